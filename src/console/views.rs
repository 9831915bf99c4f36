//! The resources that are put together from what the heart holds when somebody looks.

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::gateway::look::{ClientSight, HoldingSight, Part};

/// Rows of a list that are shown at once.
pub(crate) const ROWS: usize = 100;

/// Services that are looked at: names that clients make up have windows too, for a while.
const SERVICES_MAX: usize = 1_000;

/// What is asked for behind a name.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// The row to begin with.
    from: usize,
    /// A resource ID.
    rid: Option<String>,
}

impl Query {
    /// Reads `from=` and `rid=`, whose values are percent-encoded; others mean nothing.
    pub(super) fn read(text: &str) -> Self {
        let mut query = Self::default();
        for part in text.split('&') {
            match part.split_once('=') {
                Some(("from", from)) => query.from = from.parse().unwrap_or(0),
                Some(("rid", rid)) => query.rid = Some(decoded(rid)),
                _ => {}
            }
        }
        query
    }
}

/// A text without percent-encoding. What is none stays as it is.
fn decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Services with their windows: the first of them.
pub(super) fn services(gateway: &Gateway) -> Value {
    let mut all: Vec<_> = gateway.see_windows().take(SERVICES_MAX).collect();
    all.sort_unstable_by_key(|(service, _)| *service);
    let rows = all.iter().take(ROWS).map(|(service, counts)| {
        let [window, open, waiting] = counts;
        json!({ "service": service, "window": window, "open": open, "waiting": waiting })
    });
    let rows: Vec<_> = rows.collect();
    json!({ "rows": { "data": rows } })
}

/// Connections that last.
pub(super) fn clients(gateway: &Gateway, query: &Query) -> Value {
    let Part { rows, next } = gateway.see_clients(query.from, ROWS);
    let stats = gateway.stats();
    let rows: Vec<_> = rows.iter().map(client_row).collect();
    json!({
        "total": stats.clients - stats.web_requests,
        "next": next,
        "rows": { "data": rows },
    })
}

fn client_row(client: &ClientSight<'_>) -> Value {
    json!({
        "cid": client.cid,
        "transport": client.transport,
        "remote": client.remote.to_string(),
        "direct": client.direct,
        "token": client.has_token,
    })
}

/// One connection; `None` if it is not there. `queued` has the bytes that wait for it.
pub(super) fn client(
    gateway: &Gateway,
    cid: &str,
    queued: impl Fn(crate::gateway::ClientKey) -> usize,
    is_traced: bool,
) -> Option<Value> {
    let client = gateway.see_client(gateway.find_client(cid)?)?;
    Some(json!({
        "cid": client.cid,
        "connected": true,
        "transport": client.transport,
        "remote": client.remote.to_string(),
        "direct": client.direct,
        "token": client.has_token,
        "asking": client.has_requests,
        "waitingBytes": client.waiting,
        "queuedBytes": queued(client.key),
        "traced": is_traced,
        "holds": { "rid": format!("$tidegate.client.{cid}.holds?from=0"), "soft": true },
    }))
}

/// What a connection holds; `None` if it is not there.
pub(super) fn holds(gateway: &Gateway, cid: &str, query: &Query) -> Option<Value> {
    let part = gateway.see_holdings(gateway.find_client(cid)?, query.from, ROWS);
    let rows = part
        .rows
        .iter()
        .map(|holding| row(holding, "rid", holding.rid));
    let rows: Vec<_> = rows.collect();
    Some(json!({ "next": part.next, "rows": { "data": rows } }))
}

/// A resource.
pub(super) fn resource(gateway: &Gateway, query: &Query) -> Option<Value> {
    let rid = query.rid.as_deref()?;
    let Some(resource) = gateway.see_resource(rid) else {
        return Some(json!({
            "rid": rid, "kind": null, "bytes": 0, "length": 0, "holders": 0, "aliases": 0,
            "query": "",
        }));
    };
    Some(json!({
        "rid": rid,
        "kind": resource.kind,
        "bytes": resource.bytes,
        "length": resource.length,
        "holders": resource.holders,
        "aliases": resource.aliases,
        "query": resource.query,
    }))
}

/// Who holds a resource.
pub(super) fn holders(gateway: &Gateway, query: &Query) -> Option<Value> {
    let rid = query.rid.as_deref()?;
    let part = gateway.see_holders(rid, query.from, ROWS);
    let rows = part
        .rows
        .iter()
        .map(|holding| row(holding, "cid", holding.cid));
    let rows: Vec<_> = rows.collect();
    let total = gateway.see_resource(rid).map_or(0, |there| there.holders);
    Some(json!({ "total": total, "next": part.next, "rows": { "data": rows } }))
}

fn row(holding: &HoldingSight<'_>, name: &str, value: &str) -> Value {
    json!({
        name: value,
        "direct": holding.direct,
        "references": holding.references,
        "state": holding.state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_far_as_they_make_sense() {
        for (text, from, rid) in [
            ("", 0, None),
            ("from=7", 7, None),
            ("from=-1&rid=a.b", 0, Some("a.b")),
            (
                "rid=a.b%3Fx%3D1%26y%3D%C3%A9&from=2",
                2,
                Some("a.b?x=1&y=é"),
            ),
            ("rid=%&x&=", 0, Some("%")),
            ("rid=%zz%4", 0, Some("%zz%4")),
            ("rid=%\u{e9}1", 0, Some("%\u{e9}1")),
            ("rid=%ff", 0, Some("\u{fffd}")),
            ("from=99999999999999999999", 0, None),
        ] {
            let query = Query::read(text);
            assert_eq!((query.from, query.rid.as_deref()), (from, rid), "{text}");
        }
    }
}
