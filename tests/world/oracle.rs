//! What must hold when everything is at rest, and when everything has ended.

use super::choices::Choices;
use super::client::{Pending, target};
use super::content::Generation;
use super::driver::{Input, SYSTEM};
use super::presence::REPLY;
use super::replica::Held;
use super::request::token_kind;
use super::script::{CLIENTS, NEWCOMER, SLOTS, WEB_SLOTS};
use super::service::{RIDS, same};
use super::simulator::{Source, World};
use super::web;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tidegate::gateway::{BrokerMessage, Stats};

/// What the gateway answers where it may cache no more, or is not sent a name's events.
const REFUSALS: [&str; 2] = ["system.serviceUnavailable", "system.internalError"];

impl World {
    /// Ends the faults, lets everything come to rest, resets what is in doubt, and
    /// compares. Then everything changes once more, and must reach everybody.
    pub fn settle(&mut self) {
        self.faults = false;
        self.rest();
        // Before all is set right.
        for slot in 0..SLOTS {
            self.compare_newcomer(slot);
        }
        let names = self.service.names();
        for name in &names {
            let doubt = self
                .service
                .entry(name)
                .map(|entry| (entry.doubt, entry.access_doubt));
            if let Some((data, access)) = doubt.filter(|doubt| doubt.0 || doubt.1) {
                self.reset(name, data, access, false);
            }
        }
        self.rest();
        self.end_patience();
        self.compare();
        if self.failure.is_some() {
            return;
        }
        for name in &names {
            let mut rng = self.roll(name);
            let mut sent = self.service.mutate(name, &mut rng, false);
            sent.extend(self.service.custom(name));
            self.emit(sent);
        }
        self.rest();
        self.end_patience();
        self.compare();
        self.faults = self.profile.faults;
    }

    /// Compares every client with the services, when all is at rest.
    fn compare(&mut self) {
        if self.profile.presence && !self.is_away() {
            let result = self.compare_presence();
            self.check(result);
        }
        for slot in 0..CLIENTS {
            if self.failure.is_none() && self.clients[slot].is_some() {
                let result = self.compare_client(slot);
                self.check(result.map_err(|what| format!("at rest, client {slot}: {what}")));
            }
        }
        if let Some(web) = self.web.iter().position(|web| web.pending) {
            self.fail(format!("at rest, web {web} has no answer"));
        }
        let result = self.compare_broker();
        self.check(result);
        let stats = self.driver.gateway.stats();
        let held: usize = self
            .clients
            .iter()
            .flatten()
            .map(|c| c.replica.items().count())
            .sum();
        let most = self.profile.cached;
        if most > 0 && stats.resources > most {
            self.fail(format!("at rest, {} resources are cached", stats.resources));
        }
        let open = stats.pending + stats.waiting + stats.queued + stats.throttles;
        if self.failure.is_none() && (open != 0 || stats.subscriptions != held) {
            self.fail(format!("at rest, clients hold {held} resources: {stats:?}"));
        }
    }

    /// The service that keeps the list of who is connected has it right.
    fn compare_presence(&mut self) -> Result<(), String> {
        self.input(Input::Heartbeat);
        if !self.presence.is_complete() {
            self.input(Input::Message(BrokerMessage {
                sid: SYSTEM,
                subject: b"system.connections",
                payload: b"",
                status: None,
                reply: Some(REPLY.as_bytes()),
            }));
            self.rest();
            self.input(Input::Heartbeat);
        }
        if !self.presence.is_complete() {
            return Err(format!("{:?} lacks events", self.presence));
        }
        let clients = self.clients.iter().flatten();
        let clients = clients.filter(|client| client.stream.is_none());
        let known = self.presence.known();
        let (count, mut cids) = (clients.clone().count(), clients.map(|client| &client.cid));
        let is_told = |cid: &String| cid.is_empty() || known.contains(cid);
        match known.len() == count && cids.all(is_told) {
            true => Ok(()),
            false => Err(format!(
                "{count} are connected, a service knows of {known:?}"
            )),
        }
    }

    fn compare_client(&mut self, slot: usize) -> Result<(), String> {
        let Some(client) = &self.clients[slot] else {
            return Ok(());
        };
        if let Some(open) = client.pending.values().next() {
            return Err(format!("{open:?} is not answered"));
        }
        if let Some(open) = client.observer.open() {
            return Err(format!("{open:?} is not answered, as observed"));
        }
        if client.in_doubt {
            return Err("it is served, and its token may not hold any more".to_owned());
        }
        if !client.backlog.is_empty() {
            return Err("the gateway takes no requests".to_owned());
        }
        let (replica, cid) = (&client.replica, &client.cid);
        let kind = token_kind(&client.token);
        for rid in replica.directs() {
            let (name, _) = target(rid, cid);
            let deleted = replica.item(rid).is_some_and(|item| item.deleted);
            let granted = self.service.grant(&name, kind).get
                || (client.token_events == 1 && self.service.grant(&name, 0).get);
            if !deleted && !granted {
                return Err(format!("{rid} is subscribed without access"));
            }
        }
        for (rid, item) in replica.items() {
            let (name, query) = target(rid, cid);
            let truth = self.service.truth(&name, query.as_deref());
            let entry = self.service.entry(&name);
            let (number, lied) =
                entry.map_or((0, false), |entry| (entry.place(entry.number), entry.lied));
            let Held::Content(held) = &item.held else {
                continue;
            };
            if item.deleted || lied {
                continue;
            }
            let truth = truth.ok_or_else(|| format!("{rid} is held and does not exist"))?;
            if !same(held, &truth.seen_by(replica.generation)) {
                return Err(format!("{rid} is {truth:?}, held is {held:?}"));
            }
            let may_miss = replica.misses_events;
            if item
                .custom
                .is_some_and(|last| last != number && !(may_miss && last < number))
            {
                return Err(format!("custom event {number} of {rid} did not come"));
            }
        }
        Ok(())
    }

    /// What a client knows at rest is what another one is told that comes now.
    fn compare_newcomer(&mut self, slot: usize) {
        let Some(client) = self.clients[slot]
            .as_ref()
            .filter(|_| self.failure.is_none() && !self.profile.may_refuse())
        else {
            return;
        };
        let (kind, subscribed) = (token_kind(&client.token), client.observer.subscribed());
        if subscribed.is_empty() {
            return;
        }
        self.connect_as(NEWCOMER, client.replica.generation);
        self.log_in(NEWCOMER, kind);
        for rid in &subscribed {
            self.subscribe(NEWCOMER, rid);
        }
        self.rest();
        if let (Some(client), Some(newcomer)) = (&self.clients[slot], &self.clients[NEWCOMER]) {
            let result = client.observer.compare(&newcomer.observer);
            self.check(result.map_err(|what| format!("at rest, client {slot}: {what}")));
        }
        self.disconnect(NEWCOMER);
        self.rest();
    }

    /// The gateway must hear of everything that a client holds, and of nothing else.
    fn compare_broker(&self) -> Result<(), String> {
        let mut needed = BTreeSet::new();
        let mut allowed = BTreeSet::new();
        for client in self.clients.iter().flatten() {
            if !client.cid.is_empty() {
                needed.insert(format!("conn.{}.*", client.cid));
            }
            for (rid, item) in client.replica.items() {
                let subject = format!("event.{}.*", client.target(rid).0);
                if matches!(item.held, Held::Content(_)) && !item.deleted {
                    needed.insert(subject.clone());
                }
                allowed.insert(subject);
            }
        }
        let subjects: BTreeSet<_> = self.broker.subjects().map(str::to_owned).collect();
        if let Some(subject) = needed.iter().find(|subject| !subjects.contains(*subject)) {
            return Err(format!("at rest, {subject} is not subscribed"));
        }
        let permanent = |subject: &str| subject == "system.*" || subject.starts_with("_INBOX.");
        let rest = subjects.iter().find(|subject| {
            !needed.contains(*subject) && !allowed.contains(*subject) && !permanent(subject)
        });
        rest.map_or(Ok(()), |subject| {
            Err(format!("at rest, {subject} is still subscribed"))
        })
    }

    /// Everything is asked for, in most runs; then all leave, and nothing may stay behind.
    pub fn finish(&mut self) {
        if self.failure.is_some() {
            return;
        }
        self.faults = false;
        self.rest();
        // It takes long, and a fuzzer has more to try.
        let is_thorough = matches!(self.source, Source::Seed(..)) || self.roll("all").chance(10);
        if is_thorough {
            self.compare_answers();
        }
        self.leave();
    }

    /// All leave, and nothing may stay behind.
    pub fn leave(&mut self) {
        for slot in 0..CLIENTS {
            self.disconnect(slot);
        }
        self.rest();
        if self.failure.is_some() {
            return;
        }
        let left: Vec<_> = self.broker.subjects().map(str::to_owned).collect();
        if left.len() != 2 {
            self.fail(format!("at the end, the broker subscriptions are {left:?}"));
        }
        let stats = self.driver.gateway.stats();
        if stats != Stats::default() {
            self.fail(format!("at the end, something is left: {stats:?}"));
        }
    }

    /// Every client calls everything, a newcomer of every kind of token asks for everything,
    /// web clients too.
    fn compare_answers(&mut self) {
        for slot in 0..SLOTS {
            if self.failure.is_none() {
                self.call_everything(slot);
            }
        }
        for kind in 0..super::service::TOKENS {
            if self.failure.is_none() {
                self.ask_for_everything(kind);
            }
        }
        let is_known =
            !self.service.has_lies() && !self.profile.small_payloads && !self.profile.may_refuse();
        for rid in RIDS {
            if self.failure.is_none() && is_known {
                self.compare_web(rid);
            }
        }
    }

    /// Has a client ask for a kind of token, and waits for it.
    fn log_in(&mut self, slot: usize, kind: usize) {
        let params = json!({"user": kind});
        self.ask(slot, "auth.m.0.login", &params, Pending::Auth);
        self.rest();
    }

    fn ask_for_everything(&mut self, kind: usize) {
        let slot = 0;
        self.disconnect(slot);
        self.connect_as(slot, Generation::V1_2_1);
        self.log_in(slot, kind);
        for rid in RIDS {
            self.subscribe(slot, rid);
        }
        self.rest();
        self.compare();
        let Some(client) = &mut self.clients[slot] else {
            return;
        };
        let cid = client.cid.clone();
        let answers = std::mem::take(&mut client.answers);
        if answers.len() != RIDS.len() {
            return self.fail(format!(
                "{} answers to {} requests",
                answers.len(),
                RIDS.len()
            ));
        }
        for (rid, answer) in answers {
            let (name, query) = target(&rid, &cid);
            let due = if !self.service.grant(&name, kind).get {
                Err("system.accessDenied".to_owned())
            } else if self.service.truth(&name, query.as_deref()).is_none() {
                Err("system.notFound".to_owned())
            } else {
                Ok(())
            };
            let lied = self.service.entry(&name).is_some_and(|entry| entry.lied);
            // That they are no more is checked with each that succeeds.
            let is_full = answer == Err("system.subscriptionLimitExceeded".to_owned());
            if is_full && self.profile.subscriptions > 0 {
                continue;
            }
            let is_refused = matches!(&answer, Err(code) if REFUSALS.contains(&&**code));
            if is_refused && self.profile.may_refuse() {
                continue;
            }
            if answer != due && !lied && !self.profile.small_payloads {
                self.fail(format!(
                    "at rest, a subscribe of {rid} gives {answer:?}, due is {due:?}"
                ));
            }
        }
    }

    /// Whatever access answers the gateway kept, calls must follow the present rules.
    fn call_everything(&mut self, slot: usize) {
        let client = self.clients[slot].as_mut();
        let Some(client) = client.filter(|client| client.stream.is_none()) else {
            return;
        };
        client.answers.clear();
        for rid in RIDS {
            let pending = Pending::Ping(rid.to_owned());
            self.ask(slot, &format!("call.{rid}.ok"), &Value::Null, pending);
        }
        self.rest();
        let Some(client) = &mut self.clients[slot] else {
            return;
        };
        let (cid, kind) = (client.cid.clone(), token_kind(&client.token));
        let answers = std::mem::take(&mut client.answers);
        if answers.len() != RIDS.len() {
            return self.fail(format!("{} answers to {} calls", answers.len(), RIDS.len()));
        }
        for (rid, answer) in answers {
            let call = self.service.grant(&target(&rid, &cid).0, kind).call;
            let due = match call == "*" || call.split(',').any(|method| method == "ok") {
                true => Ok(()),
                false => Err("system.accessDenied".to_owned()),
            };
            if answer != due && !self.profile.small_payloads {
                self.fail(format!(
                    "at rest, a call of {rid} gives {answer:?}, due is {due:?}"
                ));
            }
        }
    }

    fn compare_web(&mut self, rid: &str) {
        self.web_get(WEB_SLOTS - 1, rid);
        self.rest();
        let (name, _) = target(rid, "web");
        let due = if !self.service.grant(&name, 0).get {
            (
                401,
                json!({"code": "system.accessDenied", "message": "Access denied"}),
            )
        } else {
            match web::encode(&mut self.service, rid, "web") {
                Some(body) if web::resources(&body) > self.profile.web_resources => {
                    (500, Value::Null)
                }
                Some(body) => (200, body),
                None => (
                    404,
                    json!({"code": "system.notFound", "message": "Not found"}),
                ),
            }
        };
        let answer = self.web[WEB_SLOTS - 1].answer.take();
        let answer = answer.map(|(status, body)| {
            let body: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
            // What it says is the gateway's own.
            (status, if status == 500 { Value::Null } else { body })
        });
        if answer.as_ref() != Some(&due) {
            self.fail(format!(
                "at rest, a web request for {rid} gives {answer:?}, due is {due:?}"
            ));
        }
    }
}
