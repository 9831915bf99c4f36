//! What the gateway has asked and been told: which answers are due, what access answers
//! said to whom, and whether a request was allowed to go out at all.

use super::broker::matches;
use super::request::{Kind, REQUEST_TIMEOUT, Request};
use super::world::World;
use serde_json::Value;
use std::collections::BTreeSet;
use std::rc::Rc;

/// A published request whose answer was not yet delivered.
#[derive(Debug)]
pub struct Open {
    request: Rc<Request>,
    deadline: u64,
}

/// What the last access answer said to one connection on one resource.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub get: bool,
    pub call: String,
    /// What earlier answers let be called.
    pub earlier: Vec<String>,
    /// When an answer last granted reading.
    pub granted: Option<u64>,
    /// The answer is no longer good, since then: the token or the rules changed.
    pub spoiled: Option<u64>,
}

/// Connection, resource name and query.
pub type AccessKey = (String, String, Option<String>);

impl World {
    pub fn request_published(&mut self, request: &Rc<Request>) {
        let cid = request.cid().map(str::to_owned);
        self.published.push((request.subject.clone(), cid.clone()));
        let deadline = self.now + REQUEST_TIMEOUT;
        let open = Open {
            request: Rc::clone(request),
            deadline,
        };
        let earlier = self.open.insert(request.reply.clone(), open);
        if earlier.is_some_and(|earlier| earlier.deadline > self.now) {
            self.fail(format!(
                "{} is the reply of two open requests",
                request.reply
            ));
        }
        let holder = self
            .clients
            .iter()
            .flatten()
            .find(|client| Some(&client.cid) == cid.as_ref());
        if let Some(client) = holder
            && client.token != request.body["token"]
        {
            let wanted = client.token.clone();
            self.fail(format!(
                "{} carries a token other than {wanted}",
                request.subject
            ));
        }
        if let Kind::Call(method) = &request.kind {
            let query = request.query().map(str::to_owned);
            let key = (cid.unwrap_or_default(), request.name.clone(), query);
            let name = &request.name;
            let allowed = self.outcomes.get(&key).is_some_and(|outcome| {
                // While query requests of a name are open, answers that have arrived wait,
                // and calls may go out by any of them.
                let waiting = name.starts_with("q.");
                let earlier = outcome.earlier.iter().any(|call| allows(call, method));
                let last = allows(&outcome.call, method);
                (last && outcome.spoiled.is_none()) || (waiting && (earlier || last))
            });
            if !allowed {
                self.fail(format!("{} goes out without permission", request.subject));
            }
        }
    }

    /// Keeps the books about what the gateway is about to learn.
    pub fn note(&mut self, subject: &str, payload: &[u8], status: Option<u16>) {
        if let Some(open) = self.open.get_mut(subject) {
            if status.is_none() && payload.first().is_some_and(u8::is_ascii_alphabetic) {
                if open.deadline > self.now {
                    open.deadline = self.now + 9000;
                }
                return;
            }
            let Some(open) = self.open.remove(subject) else {
                return;
            };
            if open.request.kind == Kind::Access && open.deadline > self.now {
                let body: Value = serde_json::from_slice(payload).unwrap_or_default();
                let query = open.request.query().map(str::to_owned);
                let cid = open.request.cid().unwrap_or_default().to_owned();
                self.access_answered((cid, open.request.name.clone(), query), &body);
            }
            return;
        }
        let body: Value = serde_json::from_slice(payload).unwrap_or_default();
        if let Some(cid) = subject
            .strip_prefix("conn.")
            .and_then(|s| s.strip_suffix(".token"))
        {
            if let Some(client) = self.clients.iter_mut().flatten().find(|c| c.cid == cid) {
                client.token = body["token"].clone();
                client.token_events += 1;
                client.tid = body["tid"].as_str().map(str::to_owned);
            }
            self.spoil(|key| key.0 == cid);
        } else if let Some(name) = subject
            .strip_prefix("event.")
            .and_then(|s| s.strip_suffix(".reaccess"))
        {
            self.spoil(|key| key.1 == name);
        } else if subject == "system.reset" {
            let patterns = body["access"].as_array().cloned().unwrap_or_default();
            let patterns: Vec<_> = patterns.iter().filter_map(Value::as_str).collect();
            self.spoil(|key| patterns.iter().any(|pattern| matches(pattern, &key.1)));
        }
    }

    /// Takes an access answer that the gateway can use; errors but a denial say nothing
    /// that lasts.
    fn access_answered(&mut self, key: AccessKey, body: &Value) {
        let result = &body["result"];
        let valid = result.is_object()
            && result.get("get").is_none_or(Value::is_boolean)
            && result.get("call").is_none_or(Value::is_string);
        let error = body.get("error").is_some();
        if (error || !valid) && body["error"]["code"] != "system.accessDenied" {
            return;
        }
        let get = !error && result["get"] == true;
        let call = result["call"]
            .as_str()
            .filter(|_| !error)
            .unwrap_or_default();
        let outcome = self.outcomes.entry(key).or_default();
        let last = std::mem::replace(&mut outcome.call, call.to_owned());
        outcome.earlier.push(last);
        outcome.get = get;
        outcome.spoiled = None;
        if get {
            outcome.granted = Some(self.now);
        }
    }

    fn spoil(&mut self, affected: impl Fn(&AccessKey) -> bool) {
        for (key, outcome) in &mut self.outcomes {
            if affected(key) {
                outcome.spoiled = Some(self.now);
            }
        }
    }

    /// Who must send an auth request when a token reset arrives, and where to.
    pub fn expect_renewals(
        &self,
        subject: &str,
        payload: &[u8],
    ) -> Option<(String, BTreeSet<String>)> {
        if subject != "system.tokenReset" {
            return None;
        }
        let body: Value = serde_json::from_slice(payload).ok()?;
        let tids: Vec<_> = body["tids"]
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let holders = self
            .clients
            .iter()
            .flatten()
            .filter(|client| client.tid.as_deref().is_some_and(|tid| tids.contains(&tid)));
        let cids = holders.map(|client| client.cid.clone()).collect();
        Some((body["subject"].as_str()?.to_owned(), cids))
    }
}

/// Whether an access answer's list of methods has a method in it.
fn allows(call: &str, method: &str) -> bool {
    call == "*" || call.split(',').any(|one| one == method)
}
