//! Access: who may read and call what, asked once and kept while a subscription lives.

use super::Gateway;
use super::cache::NameKey;
use super::calls::CallRequest;
use super::outbox::ClientKey;
use super::ready::WaiterKey;
use super::requests::{Answer, ClientRef, Job, PendingKey, Subject, Then};
use super::subscription::{AccessState, SubKey};
use super::work::Work;
use crate::res::Error;
use crate::res::service::{self, Access};
use std::rc::Rc;

/// An open access request.
pub struct AccessRequest {
    client: ClientRef,
    /// The subscription that keeps the answer, if the client has one.
    sub: Option<SubKey>,
    /// Which of the client's tokens it was asked with.
    token: u32,
    waiting: Vec<Use>,
}

/// What an access answer is needed for.
pub enum Use {
    /// A request for a resource.
    Request(WaiterKey),
    /// A call.
    Call(CallRequest),
    /// The subscription itself, whose access was put in question.
    Reaccess,
}

/// An access answer, or why there is none.
pub type Verdict = Result<Access, Error>;

impl Gateway {
    /// Gets the access that a client has to what it holds, for some use.
    pub(super) fn require_access(&mut self, sub: SubKey, purpose: Use) {
        match &self.subs.arena[sub].access {
            AccessState::Known(verdict) => {
                let verdict = verdict.clone();
                self.use_access(Some(sub), purpose, &verdict);
            }
            AccessState::Asking(key) => {
                if let Then::Access(request) = &mut self.pending[*key].then {
                    request.waiting.push(purpose);
                }
            }
            AccessState::Unknown => {
                self.ask_access_of(sub, purpose);
            }
        }
    }

    fn ask_access_of(&mut self, key: SubKey, purpose: Use) -> Option<PendingKey> {
        let sub = &self.subs.arena[key];
        let alias = &self.cache.aliases[sub.alias];
        let (client, name, query) = (sub.client, alias.name, alias.query.clone());
        self.ask_access(client, name, &query, Some(key), purpose)
    }

    /// Asks a service for a client's access to a resource.
    pub(super) fn ask_access(
        &mut self,
        client: ClientKey,
        name: NameKey,
        query: &str,
        sub: Option<SubKey>,
        purpose: Use,
    ) -> Option<PendingKey> {
        let is_read = matches!(purpose, Use::Request(_));
        if !(is_read && self.client(client)?.is_web()) {
            // No token could matter to a web request that only reads.
            self.listen_to_connection(client);
        }
        if sub.is_some() {
            // A kept answer holds until an event says otherwise, so none may be missed. A
            // name too long for that cannot be loaded either.
            self.listen_to_events(name);
        }
        let there = self.client(client)?;
        let request = AccessRequest {
            client: ClientRef {
                key: client,
                serial: there.serial,
            },
            sub,
            token: there.token_serial,
            waiting: vec![purpose],
        };
        let subject = Subject::Name("access", name, "");
        let sent = self.request(subject, Then::Access(request), |gateway, out| {
            out.push(b'{');
            gateway.write_identity(client, query, out);
            out.push(b'}');
        });
        match sent {
            Ok(key) => {
                if let Some(sub) = sub {
                    self.subs.arena[sub].access = AccessState::Asking(key);
                }
                Some(key)
            }
            Err(unsent) => {
                if let Then::Access(request) = unsent.then {
                    let verdict = Err(unsent.error);
                    for purpose in request.waiting {
                        self.use_access(sub, purpose, &verdict);
                    }
                }
                None
            }
        }
    }

    pub(super) fn access_answered(
        &mut self,
        key: PendingKey,
        request: AccessRequest,
        answer: Answer<'_>,
    ) {
        let Some(client) = self.present(request.client) else {
            return;
        };
        let same_token = client.token_serial == request.token;
        let is_http = client.is_http();
        let verdict = match &answer {
            Ok(payload) => service::access(payload),
            Err(error) => Err(error.clone()),
        };
        if let Ok(payload) = &answer
            && is_http
            && self.heed_meta(request.client.key, payload, verdict.as_ref().err(), None)
        {
            return;
        }
        let lasting = match &verdict {
            Ok(_) => same_token,
            Err(error) => same_token && error.is(&Error::ACCESS_DENIED),
        };
        let verdict = self.shared_verdict(verdict);
        if let Some(sub) = request.sub.and_then(|sub| self.subs.arena.get_mut(sub))
            && matches!(sub.access, AccessState::Asking(asked) if asked == key)
        {
            sub.access = if lasting {
                AccessState::Known(verdict.clone())
            } else {
                AccessState::Unknown
            };
        }
        for purpose in request.waiting {
            self.use_access(request.sub, purpose, &verdict);
        }
    }

    /// A verdict to keep. Most are like the one before, and each of many clients keeps one
    /// for each of its subscriptions: equal ones in a row are one in memory.
    fn shared_verdict(&mut self, verdict: Verdict) -> Rc<Verdict> {
        if let Some(last) = &self.last_verdict
            && **last == verdict
        {
            return last.clone();
        }
        let verdict = Rc::new(verdict);
        self.last_verdict = Some(verdict.clone());
        verdict
    }

    fn use_access(&mut self, sub: Option<SubKey>, purpose: Use, verdict: &Verdict) {
        match purpose {
            Use::Request(waiter) => match readable(verdict) {
                Ok(()) => self.admit(waiter),
                Err(error) => self.refuse(waiter, &error),
            },
            Use::Call(call) => match verdict {
                Ok(access) if access.allows(&call.method) => self.send_call(call),
                Ok(_) => self.refuse_call(&call, &Error::ACCESS_DENIED),
                Err(error) => self.refuse_call(&call, error),
            },
            Use::Reaccess => {
                if let Some(sub) = sub {
                    self.reaccessed(sub, verdict);
                }
            }
        }
    }

    /// A client's access to a subscription was put in question.
    pub(super) fn reaccess(&mut self, key: SubKey) {
        let Some(sub) = self.subs.arena.get_mut(key) else {
            return;
        };
        // An answer to what was asked before is used, but not kept.
        sub.access = AccessState::Unknown;
        let (open, direct) = (sub.open, sub.direct);
        if open > 0 {
            self.question_requests(key);
        }
        // One that failed counts too: its data may come by reference any time.
        if direct == 0 {
            return;
        }
        let sub = &mut self.subs.arena[key];
        if sub.lag.as_ref().is_some_and(|lag| lag.held) {
            sub.lag().reaccess = true;
            return;
        }
        self.freeze(key);
        self.subs.arena[key].lag().held = true;
        self.queue_job(Job::Reaccess(key));
    }

    pub(super) fn send_reaccess(&mut self, key: SubKey) -> Option<PendingKey> {
        let sub = self.subs.arena.get(key)?;
        if sub.direct == 0 || !sub.lag.as_ref().is_some_and(|lag| lag.held) {
            return None;
        }
        if !matches!(sub.access, AccessState::Unknown) {
            self.require_access(key, Use::Reaccess);
            return None;
        }
        self.ask_access_of(key, Use::Reaccess)
    }

    fn reaccessed(&mut self, key: SubKey, verdict: &Verdict) {
        let Some(sub) = self.subs.arena.get_mut(key) else {
            return;
        };
        let held = sub.lag.as_ref().is_some_and(|lag| lag.held);
        if sub.direct == 0 || !held {
            return;
        }
        if let Err(error) = readable(verdict) {
            return self.revoke(key, &error);
        }
        if std::mem::take(&mut sub.lag().reaccess) {
            sub.access = AccessState::Unknown;
            self.queue_job(Job::Reaccess(key));
        } else {
            sub.lag().held = false;
            self.work.push_back(Work::Pump(key));
        }
    }

    /// Ends a client's direct subscriptions of a resource.
    fn revoke(&mut self, key: SubKey, reason: &Error) {
        let sub = &mut self.subs.arena[key];
        sub.direct = 0;
        let lag = sub.lag();
        (lag.held, lag.reaccess) = (false, false);
        self.send_unsubscribe(key, reason);
        // What waited is for the client only if it still holds the resource indirectly.
        self.suspects.push(key);
        self.collect();
        self.work.push_back(Work::Pump(key));
    }
}

/// Whether an answer lets a resource be read.
fn readable(verdict: &Verdict) -> Result<(), Error> {
    match verdict {
        Ok(access) if access.get => Ok(()),
        Ok(_) => Err(Error::ACCESS_DENIED),
        Err(error) => Err(error.clone()),
    }
}

#[cfg(test)]
mod tests {
    use crate::gateway::{BrokerLimits, BrokerOp, ClientKey, Gateway, Options, Outbox, Time};
    use core::net::SocketAddr;

    #[test]
    fn events_are_subscribed_before_access_is_asked() {
        let mut gateway = Gateway::new(Options::default());
        let mut out = Outbox::default();
        let (now, client) = (Time(0), ClientKey(0));
        let limits = BrokerLimits {
            max_payload: 1 << 20,
        };
        let remote = SocketAddr::from(([127, 0, 0, 1], 4000));
        gateway.broker_connected(now, limits, &mut out);
        gateway.client_connected(now, client, Box::default(), remote, &mut out);
        let subscribe = br#"{"id":1,"method":"subscribe.test.model"}"#;
        gateway.client_message(now, client, subscribe, &mut out);
        let position = |text: &str| {
            out.broker().iter().position(|op| match *op {
                BrokerOp::Publish { subject, .. } | BrokerOp::Subscribe { subject, .. } => {
                    out.bytes(subject) == text.as_bytes()
                }
                BrokerOp::Unsubscribe { .. } => false,
            })
        };
        let events = position("event.test.model.*").expect("events are subscribed");
        let access = position("access.test.model").expect("access is asked");
        assert!(events < access);
    }
}
