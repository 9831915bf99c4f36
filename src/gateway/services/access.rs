//! Access: who may read and call what, asked once and kept while a subscription lives.

use crate::gateway::Gateway;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::keys::{ClientKey, ClientRef, NameKey, PendingKey, SubKey};
use crate::gateway::parts::background::Job;
use crate::gateway::parts::cache::Deferred;
use crate::gateway::parts::holdings::{AccessState, QUESTION_UNITS, Recheck};
use crate::gateway::parts::requests::{AccessRequest, Subject, Then, Use, Verdict};
use crate::gateway::parts::worklist::Work;
use crate::res::{Error, service};

impl Gateway {
    /// Gets the access that a client has to what it holds, for some use.
    pub(in crate::gateway) fn require_access(&mut self, sub: SubKey, purpose: Use) {
        self.catch_up(self.holdings[sub].alias());
        self.catch_up_access(sub);
        match &self.holdings[sub].access {
            // What has changed while the broker is away is not known.
            AccessState::Known(verdict) if self.broker.is_there() => {
                let verdict = verdict.clone();
                self.use_access(Some(sub), purpose, &verdict, None);
            }
            AccessState::Asking(key) => {
                self.requests.await_access(*key, purpose);
            }
            AccessState::Known(_) | AccessState::Unknown => {
                self.ask_access_of(sub, purpose);
            }
        }
    }

    /// Access to a subscription is about to be used: what puts it in question, and has not
    /// come to it yet, is done to it first.
    fn catch_up_access(&mut self, key: SubKey) {
        let sub = &self.holdings[key];
        let is_asked = self.holdings.doubts.of(sub.client());
        let name = self.cache.aliases()[sub.alias()].name;
        if self.cache.is_questioned(name) {
            self.reaccess(key);
        }
        if let Some(is_asked) = is_asked {
            self.doubt(key, is_asked);
        }
    }

    /// Puts access to these subscriptions of a name in question, but for the first so many,
    /// as far as the turn's budget reaches. The name's inputs wait until that is done.
    pub(in crate::gateway) fn question_subs(
        &mut self,
        name: NameKey,
        subs: Vec<SubKey>,
        first: usize,
    ) {
        for (at, sub) in subs.iter().enumerate().skip(first) {
            if self.work.is_spent() && at > first {
                let reset = self.background.put_off_reset();
                self.cache.hold_name(name);
                let rest = Deferred::Question(subs, at, reset);
                self.cache.defer_rest(name, rest);
                return self.work.push(Work::Inbox(name));
            }
            self.work.spend(QUESTION_UNITS);
            self.reaccess(*sub);
        }
    }

    fn ask_access_of(&mut self, key: SubKey, purpose: Use) -> Option<PendingKey> {
        let sub = &self.holdings[key];
        let alias = &self.cache.aliases()[sub.alias()];
        let (client, name, query) = (sub.client(), alias.name, alias.query.clone());
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
        if !(is_read && self.sessions.get(client)?.is_web()) {
            // No token could matter to a web request that only reads.
            if !self.listen_to_connection(client) {
                if let Use::Call(call) = &purpose {
                    self.forget_call(call);
                }
                return None;
            }
        }
        if sub.is_some() {
            // A kept answer holds until an event says otherwise, so none may be missed. A
            // name too long for that cannot be loaded either.
            // One whose events are refused neither, and an answer about it is not kept.
            let _ = self.listen_to_events(name, client);
        }
        let there = self.sessions.get(client)?;
        let request = AccessRequest {
            client: ClientRef {
                key: client,
                serial: there.serial(),
            },
            sub,
            token: there.token_serial(),
            is_unheard: false,
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
                    self.holdings[sub].access = AccessState::Asking(key);
                }
                Some(key)
            }
            Err(unsent) => {
                if let Then::Access(request) = unsent.then {
                    let verdict = Err(unsent.error);
                    for purpose in request.waiting {
                        self.use_access(sub, purpose, &verdict, None);
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
        name: Option<NameKey>,
        answer: Answer<'_>,
    ) {
        let Some(client) = self.sessions.present(request.client) else {
            return self.note_unused("access", name, &"the client is gone");
        };
        let same_token = client.token_serial() == request.token;
        let is_http = client.is_http();
        let verdict = match &answer {
            Ok(payload) => service::access(payload),
            Err(error) => Err(error.clone()),
        };
        if let Ok(payload) = &answer
            && is_http
            && self.heed_meta(
                request.client.key,
                name,
                payload,
                verdict.as_ref().err(),
                None,
            )
        {
            return;
        }
        if let Err(error) = &verdict {
            self.note_unused("access", name, error);
        }
        let is_heard = name.is_some_and(|name| self.cache.names()[name].subscribed);
        let lasting = match &verdict {
            Ok(_) => same_token && is_heard,
            Err(error) => same_token && is_heard && error.is(&Error::ACCESS_DENIED),
        };
        let verdict = self.requests.share_verdict(verdict);
        if let Some(sub) = request.sub.and_then(|sub| self.holdings.get_mut(sub))
            && matches!(sub.access, AccessState::Asking(asked) if asked == key)
        {
            sub.access = if lasting {
                AccessState::Known(verdict.clone())
            } else {
                AccessState::Unknown
            };
        }
        for purpose in request.waiting {
            match (purpose, request.sub) {
                // The service is restarted, perhaps: that says nothing of what it allows.
                (Use::Reaccess, Some(sub)) if request.is_unheard => {
                    self.recheck_after_pause(sub, key);
                }
                (purpose, sub) => self.use_access(sub, purpose, &verdict, Some(key)),
            }
        }
    }

    /// Goes on with what an access answer was needed for: the answer to a request, or what
    /// was known before one had to be sent.
    fn use_access(
        &mut self,
        sub: Option<SubKey>,
        purpose: Use,
        verdict: &Verdict,
        asked: Option<PendingKey>,
    ) {
        match purpose {
            Use::Request(waiter) => match readable(verdict) {
                Ok(()) => self.admit(waiter),
                Err(error) => self.refuse(waiter, &error),
            },
            Use::Call(call) => match verdict {
                Ok(access) if access.allows(&call.method) => match asked {
                    Some(_) => self.send_call(call),
                    None => self.send_call_in_turn(call),
                },
                Ok(_) => self.refuse_call(&call, &Error::ACCESS_DENIED),
                Err(error) => self.refuse_call(&call, error),
            },
            Use::Reaccess => {
                if let Some(sub) = sub {
                    self.reaccessed(sub, verdict, asked);
                }
            }
        }
    }

    /// A client's access to a subscription was put in question.
    pub(in crate::gateway) fn reaccess(&mut self, key: SubKey) {
        let Some(sub) = self.holdings.get_mut(key) else {
            return;
        };
        // An answer to what was asked before is used, but not kept.
        sub.access = AccessState::Unknown;
        let holders = sub.holders;
        if holders.open() > 0 {
            self.question_requests(key);
        }
        // One that failed counts too: its data may come by reference any time.
        if holders.direct() == 0 {
            return;
        }
        let standing = &mut self.holdings[key].standing;
        match standing.recheck() {
            Recheck::Settled => {}
            Recheck::Asking(asked) => return standing.question_again(asked),
            // The question that is still to come is about this too.
            Recheck::Queued | Recheck::AskingAgain(_) => return,
        }
        self.freeze(key);
        self.holdings[key].standing.set_recheck(Recheck::Queued);
        self.background.queue(Job::Reaccess(key));
    }

    pub(super) fn send_reaccess(&mut self, key: SubKey) -> Option<PendingKey> {
        let sub = self.holdings.get(key)?;
        if sub.holders.direct() == 0 || sub.standing.recheck() != Recheck::Queued {
            return None;
        }
        let is_unknown = matches!(sub.access, AccessState::Unknown);
        let sent = if is_unknown {
            self.ask_access_of(key, Use::Reaccess)
        } else {
            self.require_access(key, Use::Reaccess);
            None
        };
        if let Some(sub) = self.holdings.get_mut(key)
            && sub.standing.recheck() == Recheck::Queued
            && let AccessState::Asking(asked) = sub.access
        {
            sub.standing.set_recheck(Recheck::Asking(asked));
        }
        sent
    }

    /// Access to a subscription is known again: by the answer to the request `asked`, or
    /// without one.
    fn reaccessed(&mut self, key: SubKey, verdict: &Verdict, asked: Option<PendingKey>) {
        let Some(sub) = self.holdings.get_mut(key) else {
            return;
        };
        let recheck = sub.standing.recheck();
        if sub.holders.direct() == 0 || !recheck.is_answered_by(asked) {
            return;
        }
        if !self.broker.is_there() && verdict.is_err() {
            // Nobody could be asked.
            return self.recheck_later(key, asked);
        }
        if let Err(error) = readable(verdict) {
            if self.sendings.has(sub.client()) {
                // It would change what the client holds while that is being sent. To ask again
                // at once would go round in circles: the answer is known.
                sub.standing.set_recheck(Recheck::Queued);
                return self.background.reaccess_later(key, self.now);
            }
            return self.revoke(key, &error);
        }
        if let Recheck::AskingAgain(_) = recheck {
            sub.access = AccessState::Unknown;
            if sub.standing.grant_for_now() {
                self.background.hurry(Job::Reaccess(key));
            }
            self.background.queue(Job::Reaccess(key));
        } else {
            sub.standing.set_recheck(Recheck::Settled);
        }
        self.work.push(Work::Pump(key));
    }

    /// Access to a subscription that is being asked is asked when the broker is there again.
    pub(super) fn recheck_later(&mut self, key: SubKey, asked: Option<PendingKey>) {
        let Some(sub) = self.holdings.get_mut(key) else {
            return;
        };
        if sub.standing.recheck().is_answered_by(asked) {
            sub.standing.set_recheck(Recheck::Queued);
            self.background.queue(Job::Reaccess(key));
        }
    }

    /// Access to a subscription was asked, and nobody was there: it is asked again after a pause.
    /// The client is sent nothing of it until then.
    fn recheck_after_pause(&mut self, key: SubKey, asked: PendingKey) {
        let Some(sub) = self.holdings.get_mut(key) else {
            return;
        };
        if sub.holders.direct() > 0 && sub.standing.recheck().is_answered_by(Some(asked)) {
            sub.standing.set_recheck(Recheck::Queued);
            self.background.reaccess_later(key, self.now);
        }
    }

    /// Ends a client's direct subscriptions of a resource.
    fn revoke(&mut self, key: SubKey, reason: &Error) {
        let sub = &self.holdings[key];
        let (client, rid) = (sub.client(), self.cache.rid(sub.alias()));
        self.note_refused(client, format_args!("subscription of {rid}"), reason);
        self.end_direct(key);
        self.holdings[key].standing.set_recheck(Recheck::Settled);
        self.send_unsubscribe(key, reason);
        // What waited is for the client only if it still holds the resource indirectly.
        self.holdings.suspect(key);
        self.collect();
        self.work.push(Work::Pump(key));
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
