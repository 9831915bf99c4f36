//! What a client does, one operation at a time.

use std::rc::Rc;

use super::protocol::{Fault, Op};
use super::router::{Owner, Sid};
use super::session::End;
use super::trie::SubKey;
use super::{Broker, Incoming, Key, Taken, limits, subject, writer};

impl Broker {
    /// Takes the operation at the front of a client's input. What is not done with must be
    /// given again, with more behind it if there was no operation.
    pub fn take<'a>(&mut self, key: Key, input: &'a [u8], now: u64) -> Taken<'a> {
        let Some(session) = self.sessions.get_mut(key.0 as usize) else {
            return Taken::default();
        };
        if session.end.is_some() || input.is_empty() {
            return Taken::default();
        }
        session.is_heard = true;
        if self.options.users.is_empty() && !session.is_worker {
            // Any word comes behind TLS.
            session.connect_by = None;
        }
        let before = session.parser.clone();
        let (len, op) = match session.parser.next(input) {
            Ok(found) => found,
            Err(Fault::Unknown) if input.starts_with(b"GET ") => {
                let end = End::Missing("a WebSocket or HTTP port for NATS clients");
                self.refuse(key.0, "Unknown Protocol Operation", end);
                return Taken::default();
            }
            Err(fault) => {
                self.fail(key.0, &fault);
                return Taken::default();
            }
        };
        let Some(op) = op else {
            return Taken {
                len,
                ..Taken::default()
            };
        };
        let Op::Publish(publication) = op else {
            let units = self.obey(key.0, op);
            return Taken {
                len,
                is_operation: true,
                units,
                message: None,
            };
        };
        let (units, is_whole) = self.publish_of(key.0, &publication, now);
        if !is_whole && let Some(session) = self.sessions.get_mut(key.0 as usize) {
            session.parser = before;
        }
        let message = Incoming {
            subject: publication.subject,
            headers: publication.headers,
            payload: publication.payload,
        };
        Taken {
            len: if is_whole { len } else { 0 },
            is_operation: true,
            units,
            message: (!self.hearers.is_empty()).then_some(message),
        }
    }

    /// Does what is no message; its cost.
    fn obey(&mut self, key: u32, op: Op<'_>) -> usize {
        match op {
            Op::Ping => self.say(key, |out| out.extend_from_slice(b"PONG\r\n")),
            Op::Connect(json) => self.welcome(key, json),
            Op::Subscribe {
                subject,
                queue,
                sid,
            } => {
                self.subscribe_for(key, subject, queue, sid);
                return 2 + subject.len() / 32;
            }
            Op::Unsubscribe { sid, max } => self.unsubscribe_for(key, sid, max),
            Op::Info(json) => {
                if serde_json::from_slice::<serde::de::IgnoredAny>(json).is_err() {
                    self.fail(key, &Fault::Arguments("INFO is no JSON"));
                }
            }
            Op::Pong | Op::Ok | Op::Publish(_) => {}
        }
        1
    }

    /// Ends a client over what it has sent.
    fn fail(&mut self, key: u32, fault: &Fault) {
        let (words, reason) = match fault {
            Fault::Unknown => ("Unknown Protocol Operation", "an unknown operation"),
            Fault::LineTooLong => ("maximum control line exceeded", "a line that is too long"),
            Fault::PayloadTooLarge => ("Maximum Payload Violation", "too large a payload"),
            Fault::Unauthorized => {
                return self.refuse(key, "Authorization Violation", End::Unauthorized);
            }
            Fault::Arguments(reason) => {
                if let Some(session) = self.sessions.get_mut(key as usize) {
                    session.end.get_or_insert(End::Protocol(reason));
                    session.rest = None;
                }
                return self.touch(key);
            }
        };
        self.refuse(key, words, End::Protocol(reason));
    }

    /// Takes `CONNECT`.
    fn welcome(&mut self, key: u32, json: &[u8]) {
        let Some(session) = self.sessions.get_mut(key as usize) else {
            return;
        };
        if let Err(fault) = session.wishes.take(json) {
            return self.fail(key, &fault);
        }
        let wishes = &session.wishes;
        let (user, password, token) = wishes.credentials();
        if session.is_worker {
            let secret = self.options.worker.as_ref();
            if !secret.is_some_and(|secret| secret.fits(user, password, token)) {
                return self.fail(key, &Fault::Unauthorized);
            }
        } else if !self.options.users.is_empty() {
            let Some(rights) = self.options.users.find(user, password, token) else {
                return self.fail(key, &Fault::Unauthorized);
            };
            session.permissions = (!rights.is_all()).then_some(rights);
        }
        if wishes.has_account() {
            let end = End::Missing("an account");
            return self.refuse(key, "Authorization Violation", end);
        }
        if !wishes.is_understood() {
            let end = End::Protocol("a version of the protocol that there is not");
            return self.refuse(key, "invalid client protocol", end);
        }
        if wishes.no_responders && !wishes.headers {
            let words = "no responders requires headers support";
            return self.refuse(key, words, End::Protocol(words));
        }
        session.connect_by = None;
        session.parser.awaits_connect = false;
        session.parser.takes_headers = session.wishes.headers;
        self.confirm(key);
    }

    /// Answers an operation, if its client wants that.
    pub(super) fn confirm(&mut self, key: u32) {
        let session = self.sessions.get(key as usize);
        if session.is_some_and(|session| session.wishes.verbose) {
            self.say(key, |out| out.extend_from_slice(b"+OK\r\n"));
        }
    }

    fn subscribe_for(&mut self, key: u32, pattern: &[u8], queue: &[u8], sid: &[u8]) {
        let Some(session) = self.sessions.get_mut(key as usize) else {
            return;
        };
        let rights = session.permissions.as_ref();
        if rights.is_some_and(|rights| !rights.subscribe.allows(pattern)) {
            self.say(key, |out| {
                writer::violation("Subscription to", pattern, queue, out)
            });
            return;
        }
        if session.subs.contains_key(sid) {
            return self.confirm(key);
        }
        let tokens = subject::tokens(pattern).count();
        let text = pattern.len() + queue.len() + sid.len();
        let cost = limits::SUB_COST + text + limits::TOKEN_COST * tokens;
        let is_large = !session.is_worker && session.cost + cost > limits::COST_OF_ONE;
        if is_large || self.cost + cost > limits::COST_MAX {
            return self.say(key, |out| {
                writer::error("maximum subscriptions exceeded", out)
            });
        }
        if subject::is_pattern(pattern) {
            session.cost += cost;
            self.cost += cost;
            let sid: Rc<[u8]> = sid.into();
            let owner = Owner::Client(key);
            let text = Sid::Text(Rc::clone(&sid));
            let sub = self.router.subscribe(owner, text, pattern, queue, cost);
            session.subs.insert(sid, sub);
            self.confirm(key);
        } else {
            self.say(key, |out| writer::error("Invalid Subject", out));
        }
    }

    fn unsubscribe_for(&mut self, key: u32, sid: &[u8], max: Option<u64>) {
        let session = self.sessions.get(key as usize);
        let sub = session.and_then(|session| session.subs.get(sid).copied());
        if let Some(key) = sub
            && let Some(sub) = self.router.get_mut(key)
        {
            match max.filter(|max| *max > sub.count) {
                Some(max) => sub.max = max,
                None => self.drop_subscription(key),
            }
        }
        self.confirm(key);
    }

    /// Ends a subscription of a client.
    pub(super) fn drop_subscription(&mut self, key: SubKey) {
        let Some(sub) = self.router.unsubscribe(key) else {
            return;
        };
        self.cost -= sub.cost;
        if let (Owner::Client(client), Sid::Text(sid)) = (sub.owner, &sub.sid)
            && let Some(session) = self.sessions.get_mut(client as usize)
        {
            session.subs.remove(sid);
            session.cost -= sub.cost;
        }
    }
}
