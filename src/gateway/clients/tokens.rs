//! Access tokens of connections.

use crate::gateway::Gateway;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::keys::{ClientKey, ClientRef, Connection, PendingKey, SubKey};
use crate::gateway::model::outbox::{CloseReason, Delivery};
use crate::gateway::model::sid::Sid;
use crate::gateway::parts::background::Job;
use crate::gateway::parts::holdings::{AccessState, QUESTION_UNITS};
use crate::gateway::parts::renewals::RenewalStep;
use crate::gateway::parts::requests::{Subject, Then};
use crate::gateway::parts::sessions::{Client, TokenSource};
use crate::gateway::parts::warnings::Warning;
use crate::gateway::parts::worklist::Work;
use crate::res::Error;
use crate::res::json::Walk;
use crate::res::rid::is_subject;
use crate::res::service;
use log::debug;
use std::fmt::Display;
use std::rc::Rc;

/// Work of looking at a token ID of a token reset, or at a client that has it, in units.
const RENEW_UNITS: usize = 2;

/// So many of these are looked at when the event comes, whatever the budget is.
const RENEWED_AT_ONCE: usize = 512;

/// Bytes of a client's head that are written to a service in one unit of work.
const HEAD_WRITTEN: usize = 8;

impl Gateway {
    /// Subscribes to a connection's events, before a service can learn its ID. If they were
    /// last subscribed on an earlier connection to the broker, some may have been missed: what
    /// the configuration wants of a token that may not hold any more is done.
    ///
    /// Returns whether the client is still served.
    pub(in crate::gateway) fn listen_to_connection(&mut self, key: ClientKey) -> bool {
        let there = self.broker.is_there().then(|| self.broker.connection());
        let Some(client) = self.sessions.get_mut(key) else {
            return false;
        };
        let was_away = there.is_some()
            && client.heard_on() != Connection::NONE
            && Some(client.heard_on()) != there;
        let is_doubted = was_away && client.is_lasting() && !self.options.keep_tokens;
        // One that was being authenticated again by its head as NATS was lost is so once more.
        let source = match client.is_renewing() {
            true => TokenSource::Head,
            false => client.token_source(),
        };
        if is_doubted && source == TokenSource::Events {
            self.dismiss(key);
            return false;
        }
        if !client.listen(there) {
            return true;
        }
        let serial = client.serial();
        let sid = Sid::Client(ClientRef { key, serial }).number();
        self.out
            .subscribe(sid, &["conn.", client.cid(), ".*"], Some(key));
        if is_doubted && source == TokenSource::Head {
            self.renew_by_head(key);
        }
        true
    }

    /// Whether a client is being authenticated again by its head.
    pub(in crate::gateway) fn is_renewing(&self, key: ClientKey) -> bool {
        self.sessions.get(key).is_some_and(Client::is_renewing)
    }

    /// A client whose token may not hold any more is told to connect anew, at a time of its
    /// own, and is served no longer.
    pub(in crate::gateway) fn dismiss(&mut self, key: ClientKey) {
        // Whoever has come here may have more to do with it.
        let client = self.sessions.reference(key);
        self.work.extend(client.into_iter().map(Work::Dismiss));
    }

    pub(in crate::gateway) fn dismiss_now(&mut self, client: ClientRef) {
        if self.sessions.present(client).is_none() {
            return;
        }
        let key = client.key;
        self.counters.dismissed += 1;
        if self.sessions.get(key).is_some_and(Client::is_http) {
            // It waits for the beginning of its stream.
            return self.reply_web_error(key, &Error::SERVICE_UNAVAILABLE);
        }
        let after = self.broker.next_goodbye();
        self.out
            .deliver(key, Delivery::Close(CloseReason::TokenInDoubt { after }));
        self.close_client(key);
    }

    /// A token event came for a connection.
    pub(in crate::gateway) fn token_event(&mut self, key: ClientKey, payload: &[u8]) {
        let event = match service::token(payload) {
            Ok(event) => event,
            Err(error) => {
                let text = format_args!("token event of a connection is ignored: {error}");
                return self.warnings.warn(self.now, Warning::System, "conn", text);
            }
        };
        let token = event.token.map(|token| Rc::from(&*token));
        let Some(had_token) = self.sessions.set_token(key, token, event.tid.as_deref()) else {
            return;
        };
        let first = self.holdings.first(key);
        self.holdings.doubts.begin(key, first, had_token);
        self.go_on_doubting(key);
    }

    /// Puts access to what a client holds in question, since its token has changed, as far as
    /// the turn's budget reaches. It is sent nothing until that is done.
    pub(in crate::gateway) fn go_on_doubting(&mut self, client: ClientKey) {
        while self.doubt_next(client) {
            if self.work.is_spent() && self.holdings.doubts.of(client).is_some() {
                self.unsettled.hold(client);
                return self.work.push(Work::Doubt(client));
            }
        }
        self.release_held(client);
    }

    /// The same, whatever the budget is.
    pub(in crate::gateway) fn finish_doubting(&mut self, client: ClientKey) {
        while self.doubt_next(client) {}
        self.release_held(client);
    }

    /// Returns whether there was one left.
    fn doubt_next(&mut self, client: ClientKey) -> bool {
        let Some((key, is_asked)) = self.holdings.doubts.next(client) else {
            return false;
        };
        self.work.spend(QUESTION_UNITS);
        self.holdings.pass_doubted(key);
        self.doubt(key, is_asked);
        true
    }

    /// A client's token has changed: access to a subscription of it is asked again now, or
    /// when it is next needed.
    pub(in crate::gateway) fn doubt(&mut self, key: SubKey, is_asked: bool) {
        let sub = &mut self.holdings[key];
        if is_asked && sub.holders.asked() > 0 {
            self.reaccess(key);
        } else {
            // An answer that is still open was asked with the token before, and is for those
            // only who wait for it.
            sub.access = AccessState::Unknown;
        }
    }

    /// A token reset event came: services want some clients' tokens renewed.
    pub(in crate::gateway) fn token_reset(&mut self, payload: &[u8]) {
        let event = match service::token_reset(payload) {
            Ok(event) => event,
            Err(error) => return self.warn_of_token_reset(&error),
        };
        if !is_subject(&event.subject) {
            return self.warn_of_token_reset(&"no valid subject");
        }
        let tids = event.tids.unwrap_or("[]");
        if let Ok(None) = Walk::default().item(tids) {
            return debug!("system.tokenReset is ignored: no token IDs");
        }
        self.work.spend(payload.len() / 64);
        if self.renewals.is_full(tids.len()) {
            while !self.renew_next() {}
        }
        let is_first = self.renewals.is_empty();
        self.renewals.push(tids, &event.subject);
        // A few are found at once: what comes behind the event comes behind them.
        let mut at_once = if is_first { RENEWED_AT_ONCE } else { 0 };
        while at_once > 0 {
            if self.renew_next() {
                return;
            }
            at_once -= 1;
        }
        self.work.push(Work::Renew);
    }

    /// Goes on with the token reset event that came first.
    pub(in crate::gateway) fn go_on_renewing(&mut self) {
        while !self.renew_next() {
            if self.work.is_spent() {
                return self.work.push(Work::Renew);
            }
        }
        // Another one has its own entry in the worklist.
    }

    /// Takes a step with the token reset event that came first. Returns whether it is over.
    fn renew_next(&mut self) -> bool {
        self.work.spend(RENEW_UNITS);
        let sessions = &self.sessions;
        let step = (self.renewals).next(|tid, from| sessions.next_with_tid(tid, from));
        match step {
            RenewalStep::Client(key, subject) => {
                let reference = self.sessions.reference(key);
                if let (Some(reference), Some(client)) = (reference, self.sessions.get_mut(key))
                    && client.is_lasting()
                    && client.renew(subject)
                {
                    self.background.queue(Job::TokenReset(reference));
                }
                false
            }
            RenewalStep::Later => false,
            RenewalStep::Done => true,
            RenewalStep::Unfit(error) => {
                self.warn_of_token_reset(&error);
                true
            }
        }
    }

    pub(in crate::gateway) fn send_token_reset(&mut self, client: ClientRef) -> Option<PendingKey> {
        self.sessions.present(client)?;
        let subject = self.sessions.get_mut(client.key)?.take_renewal()?;
        if !self.listen_to_connection(client.key) {
            return None;
        }
        let (to, then) = (
            Subject::Chosen(&subject, None),
            Then::TokenReset(subject.clone()),
        );
        let head = self.sessions.get(client.key);
        let head = head.map_or(0, |client| client.head().len());
        self.work.spend(head / HEAD_WRITTEN);
        let sent = self.request(to, then, |gateway, out| {
            out.push(b'{');
            gateway.write_identity(client.key, "", out);
            gateway.write_connection(client.key, out);
            out.push(b'}');
        });
        if let Err(unsent) = &sent {
            let text = format_args!("token reset on {subject} is not sent: {}", unsent.error);
            self.warnings
                .warn(self.now, Warning::TokenReset, &subject, text);
        }
        sent.ok()
    }

    /// The auth request of a token reset was answered, or was not.
    pub(in crate::gateway) fn token_reset_answered(&mut self, subject: &str, answer: Answer<'_>) {
        match answer {
            Err(error) => {
                let text = format_args!("token reset on {subject} is not answered: {error}");
                self.warnings
                    .warn(self.now, Warning::TokenReset, subject, text);
            }
            Ok(payload) => {
                if let Err(error) = service::call(&payload, false) {
                    debug!("token reset on {subject} is answered with an error: {error}");
                }
            }
        }
    }

    fn warn_of_token_reset(&mut self, reason: &dyn Display) {
        let name = "system.tokenReset";
        let text = format_args!("{name} is ignored: {reason}");
        self.warnings.warn(self.now, Warning::System, name, text);
    }
}
