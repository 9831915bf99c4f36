//! What the gateway has asked and been told: which answers are due, what access answers
//! said to whom, and whether a request was allowed to go out at all.

use super::broker::matches;
use super::request::{Kind, REQUEST_TIMEOUT, Request};
use super::simulator::World;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::rc::Rc;
use tidegate::res::rid::is_subject;

/// A published request whose answer was not yet delivered.
#[derive(Clone, Debug)]
pub struct Open {
    request: Rc<Request>,
    deadline: u64,
    /// How often the access it may ask for had been put in question.
    spoils: u64,
}

/// What access answers said to one connection on one resource.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Whether an answer grants reading that still holds.
    pub get: bool,
    /// What such answers let be called.
    calls: Vec<String>,
    /// What an answer let be called that was out of date when it came, and when that was.
    late: Option<(u64, String)>,
    /// What it let be called before it became doubtful, while the gateway has work left
    /// over from then.
    fading: Vec<String>,
    /// Something was answered of which it is not said here what it means.
    pub misunderstood: bool,
    /// When an answer last granted reading.
    pub granted: Option<u64>,
    /// When such an answer last became doubtful: the token or the rules changed.
    pub lost: Option<u64>,
    spoils: u64,
}

/// Connection, resource name and query.
pub type AccessKey = (String, String, Option<String>);

impl World {
    pub fn request_published(&mut self, request: &Rc<Request>) {
        let cid = request.cid().map(str::to_owned);
        self.published.push((request.subject.clone(), cid.clone()));
        let deadline = self.driver.now + REQUEST_TIMEOUT;
        let query = request.query().map(str::to_owned);
        let key = (cid.clone().unwrap_or_default(), request.name.clone(), query);
        let mut spoils = 0;
        if request.kind == Kind::Access {
            spoils = self.outcomes.entry(key.clone()).or_default().spoils;
        }
        let open = Open {
            request: Rc::clone(request),
            deadline,
            spoils,
        };
        let earlier = self.open.insert(request.reply.clone(), open);
        if earlier.is_some_and(|earlier| earlier.deadline > self.driver.now) {
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
            let allowed = self.outcomes.get(&key).is_some_and(|outcome| {
                let late = outcome.late.iter().filter(|(at, _)| *at == self.driver.now);
                let calls = outcome.calls.iter().chain(&outcome.fading);
                let mut calls = calls.chain(late.map(|(_, call)| call));
                outcome.misunderstood
                    || calls.any(|call| call == "*" || call.split(',').any(|one| one == method))
            });
            if !allowed {
                self.fail(format!("{} goes out without permission", request.subject));
            }
        }
    }

    /// Keeps the books about what the gateway is about to learn.
    pub fn note(&mut self, subject: &str, payload: &[u8], status: Option<u16>) {
        let has_work = self.has_work();
        if let Some(open) = self.open.get_mut(subject) {
            if status.is_none() && payload.first().is_some_and(u8::is_ascii_alphabetic) {
                if open.deadline > self.driver.now {
                    let text = String::from_utf8_lossy(payload);
                    let timeout = text
                        .split('"')
                        .nth(1)
                        .and_then(|text| text.parse::<u64>().ok());
                    open.deadline =
                        timeout.map_or(open.deadline, |timeout| self.driver.now + timeout);
                }
                return;
            }
            let Some(open) = self.open.remove(subject) else {
                return;
            };
            // While work is left over, what is due may be that this one has timed out.
            let is_late = open.deadline <= self.driver.now && !has_work;
            if open.request.kind == Kind::Access && !is_late {
                let body: Value = serde_json::from_slice(payload).unwrap_or_default();
                let query = open.request.query().map(str::to_owned);
                let cid = open.request.cid().unwrap_or_default().to_owned();
                let key = (cid, open.request.name.clone(), query);
                self.access_answered(key, open.spoils, &body);
            }
            return;
        }
        let body: Value = serde_json::from_slice(payload).unwrap_or_default();
        if let Some(cid) = subject
            .strip_prefix("conn.")
            .and_then(|s| s.strip_suffix(".token"))
        {
            if body.get("tid").is_some_and(|tid| !tid.is_string()) {
                return;
            }
            if let Some(client) = self.clients.iter_mut().flatten().find(|c| c.cid == cid) {
                client.token = body["token"].clone();
                client.token_events = (client.token_events + 1).min(2);
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
    fn access_answered(&mut self, key: AccessKey, spoils: u64, body: &Value) {
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
        let waits = key.1.starts_with("q.");
        let (now, outcome) = (self.driver.now, self.outcomes.entry(key).or_default());
        if get {
            outcome.granted = Some(now);
        }
        if outcome.spoils == spoils || waits {
            outcome.calls.push(call.to_owned());
            outcome.get |= get && outcome.spoils == spoils;
        } else {
            outcome.late = Some((now, call.to_owned()));
        }
    }

    /// What of the books decides about what can come, as text.
    pub fn write_ledger(&self, out: &mut String) {
        let now = self.driver.now;
        for (key, outcome) in &self.outcomes {
            let calls: BTreeSet<_> = outcome.calls.iter().collect();
            let fading: BTreeSet<_> = outcome.fading.iter().collect();
            let late = outcome.late.as_ref().filter(|(at, _)| *at == now);
            let ago = |at: Option<u64>| at.map(|at| now - at);
            let _ = writeln!(
                out,
                "{key:?} {} {calls:?} {fading:?} {late:?} {} {:?} {:?}",
                outcome.get,
                outcome.misunderstood,
                ago(outcome.granted),
                ago(outcome.lost),
            );
        }
        for (reply, open) in &self.open {
            let request = &open.request;
            let query = request.query().map(str::to_owned);
            let key = (
                request.cid().unwrap_or_default().to_owned(),
                request.name.clone(),
                query,
            );
            let outcome = self.outcomes.get(&key);
            let is_good = outcome.is_some_and(|outcome| outcome.spoils == open.spoils);
            let left = open.deadline.saturating_sub(now);
            let _ = writeln!(out, "{reply} {left} {is_good}");
        }
    }

    /// Nothing is left over: who may call is what is known.
    pub fn settle_calls(&mut self) {
        if std::mem::take(&mut self.calls_fade) {
            for outcome in self.outcomes.values_mut() {
                outcome.fading.clear();
            }
        }
    }

    /// An access request is answered in a way that may mean something or nothing.
    pub fn misunderstood(&mut self, request: &Request) {
        let query = request.query().map(str::to_owned);
        let cid = request.cid().unwrap_or_default().to_owned();
        let key = (cid, request.name.clone(), query);
        self.outcomes.entry(key).or_default().misunderstood = true;
    }

    pub fn spoil(&mut self, affected: impl Fn(&AccessKey) -> bool) {
        let has_work = self.has_work();
        self.calls_fade |= has_work;
        for (key, outcome) in &mut self.outcomes {
            if !affected(key) {
                continue;
            }
            outcome.spoils += 1;
            if std::mem::take(&mut outcome.get) {
                outcome.lost = Some(self.driver.now);
            }
            // While query requests of a name are open, answers that have come wait, and
            // calls may still go out by them.
            if !key.1.starts_with("q.") {
                let calls = outcome.calls.drain(..);
                outcome.fading.extend(calls.filter(|_| has_work));
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
        if !is_subject(body["subject"].as_str()?) {
            return Some((String::new(), BTreeSet::new()));
        }
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
