//! Client requests are read as plain JSON would be, members taken one after the other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::ops::ControlFlow;
use tidegate::res::client::{self, Action, VersionParams};

/// An object's members in order, duplicates kept.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Members {
    /// All values of a member, in whatever letters its name is written.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        let same = move |key: &str| key.to_ascii_lowercase() == name;
        self.0
            .iter()
            .filter(move |(key, _)| same(key))
            .map(|(_, value)| value)
    }

    /// The last value of a member unless it is null, or `Err` if one is of the wrong kind.
    fn last<'a, T>(
        &'a self,
        name: &'a str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ()> {
        let mut last = None;
        for value in self.all(name) {
            last = match value {
                Value::Null => None,
                value => Some(read(value).ok_or(())?),
            };
        }
        Ok(last)
    }
}

fuzz_target!(|data: &[u8]| {
    let request = client::parse(data);
    // Serde's tree refuses numbers out of range, lone surrogates and a nesting of 128, all
    // of which are passed on to services as they are.
    let Ok(whole) = serde_json::from_slice::<Value>(data) else {
        if let Some(request) = request {
            consume(&request);
        }
        return;
    };
    let Ok(members) = serde_json::from_slice::<Members>(data) else {
        assert!(!whole.is_object());
        assert_eq!(request, None);
        return;
    };

    let id = members.last("id", Value::as_u64);
    let method = members.last("method", Value::as_str);
    let (Ok(Some(id)), Ok(method)) = (id, method) else {
        assert_eq!(request, None);
        return;
    };
    let request = request.expect("an ID and a method of the right kind are enough");
    assert_eq!(request.id, id);
    assert_eq!(
        request.action.as_ref().map(written),
        method.and_then(expected).as_ref().map(by_reference),
    );
    let params = members
        .all("params")
        .last()
        .filter(|value| !value.is_null());
    let read = |text| serde_json::from_str::<Value>(text).expect("parameters are JSON");
    assert_eq!(request.params.map(read).as_ref(), params);
    consume(&request);

    let again = serde_json::json!({ "id": id, "method": method, "params": params }).to_string();
    let again = client::parse(again.as_bytes()).expect("what was read can be written");
    assert_eq!((again.id, &again.action), (id, &request.action));

    let params = request.params.map(serde_json::from_str::<Members>);
    let count = match &params {
        None => Ok(1),
        Some(Err(_)) => Err(()),
        Some(Ok(params)) => match params.last("count", Value::as_u64) {
            Ok(Some(0)) | Err(()) => Err(()),
            Ok(count) => Ok(count.unwrap_or(1)),
        },
    };
    assert_eq!(client::parse_count(request.params).map_err(drop), count);
    let version = client::parse_version(request.params).map_err(drop);
    let Some(Ok(params)) = &params else {
        let expected = params.map_or(Ok(VersionParams::default()), |_| Err(()));
        assert_eq!(version, expected);
        return;
    };
    let protocol = params.last("protocol", Value::as_str);
    let etags = params.last("etags", Value::as_bool);
    let have = params.last("have", Value::as_object);
    let (Ok(protocol), Ok(etags), Ok(have)) = (protocol, etags, have) else {
        assert_eq!(version, Err(()));
        return;
    };
    let version = version.expect("all are of the right kind");
    assert_eq!(
        version.protocol.as_deref(),
        protocol.filter(|text| !text.is_empty())
    );
    assert_eq!(version.etags, etags == Some(true) || have.is_some());
    assert_eq!(version.have.is_some(), have.is_some());
    if let (Some(text), Some(have)) = (version.have, have) {
        check_had(text, have);
    }
});

/// What a client has is read as plain JSON would be.
fn check_had(text: &str, have: &serde_json::Map<String, Value>) {
    let mut read = serde_json::Map::new();
    client::each_had(text, |rid, tag| {
        read.insert(rid.to_owned(), tag.into());
        ControlFlow::Continue(())
    });
    for (rid, tag) in have {
        // Of two of the same the later one counts, unless it is no text.
        if tag.is_string() {
            assert_eq!(read.get(rid), Some(tag));
        }
    }
    assert!(read.keys().all(|rid| have.contains_key(rid)));
}

fn consume(request: &client::Request<'_>) {
    let _ = client::parse_count(request.params);
    if let Ok(version) = client::parse_version(request.params) {
        if let Some(have) = version.have {
            client::each_had(have, |_, _| ControlFlow::Continue(()));
        }
    }
}

type Parts<'a> = (&'a str, &'a str, &'a str);

fn written<'a>(action: &'a Action<'_>) -> Parts<'a> {
    match action {
        Action::Version => ("version", "", ""),
        Action::Subscribe(rid) => ("subscribe", rid, ""),
        Action::Unsubscribe(rid) => ("unsubscribe", rid, ""),
        Action::Get(rid) => ("get", rid, ""),
        Action::New(rid) => ("new", rid, ""),
        Action::Call(rid, method) => ("call", rid, method),
        Action::Auth(rid, method) => ("auth", rid, method),
    }
}

fn by_reference<'a>(parts: &'a (String, String, String)) -> Parts<'a> {
    (&parts.0, &parts.1, &parts.2)
}

/// What a method means, by the letter of the protocol.
fn expected(method: &str) -> Option<(String, String, String)> {
    if method == "version" {
        return Some((method.into(), String::new(), String::new()));
    }
    let mut parts: Vec<&str> = method.split('.').collect();
    let kind = parts.remove(0);
    let called = match kind {
        "subscribe" | "unsubscribe" | "get" | "new" => "",
        "call" | "auth" => parts.pop().filter(|method| is_part(method))?,
        _ => return None,
    };
    let rid = parts.join(".");
    let name = rid.split('?').next()?;
    let is_valid = name.split('.').all(is_part);
    is_valid.then(|| (kind.into(), rid.clone(), called.into()))
}

fn is_part(part: &str) -> bool {
    !part.is_empty()
        && part
            .chars()
            .all(|c| c.is_ascii_graphic() && !"*>?.".contains(c))
}
