//! The broker comes, goes, and comes back; and it refuses what it does not let the gateway do.
//!
//! While it is away clients stay. What they ask for waits, each within its time-out; what was
//! asked before and is not known to have arrived is asked again when it can do no harm: get
//! and access requests, but no call. When the broker is there again, all is subscribed anew.
//! A name's events may have been missed until then, so what is cached of it is fetched again
//! and access to it is asked again. Whatever concerns a name that the walk over all names has
//! not come to yet makes it catch up first.

use crate::gateway::Gateway;
use crate::gateway::model::border::{BrokerLimits, Refusal};
use crate::gateway::model::keys::{
    AliasKey, ClientKey, ClientRef, Connection, NameKey, PendingKey, WindowKey,
};
use crate::gateway::model::outbox::{Outbox, Place};
use crate::gateway::model::sid::Sid;
use crate::gateway::model::texts;
use crate::gateway::model::time::Time;
use crate::gateway::parts::background::Job;
use crate::gateway::parts::broker::{Stage, Vital};
use crate::gateway::parts::holdings::AccessState;
use crate::gateway::parts::requests::{
    AccessRequest, Cause, Pending, ReplyForm, Requests, Subject, Then, Use,
};
use crate::gateway::parts::sessions::Client;
use crate::gateway::parts::warnings::Warning;
use crate::gateway::parts::worklist::{Origin, Work};
use crate::res::Error;
use std::borrow::Cow;

impl Gateway {
    /// The broker is there: subscribes to answers and system events.
    pub fn broker_connected(&mut self, now: Time, limits: BrokerLimits, out: &mut Outbox) {
        self.broker_back(now, limits, out);
    }

    /// The broker is there again, or another one in its place, and knows nothing of the
    /// gateway: all is subscribed anew, then asked anew.
    pub fn broker_back(&mut self, now: Time, limits: BrokerLimits, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            gateway.requests.set_limits(limits);
            gateway.broker.connect();
            let inbox = gateway.requests.inbox();
            gateway
                .out
                .subscribe(Sid::Inbox.number(), &[inbox, "*"], None);
            let system = Sid::System.number();
            gateway.out.subscribe(system, &["system.*"], None);
            gateway.beat();
            gateway.broker.begin_return();
            gateway.work.push(Work::Return);
            Origin::System
        });
    }

    /// The broker is away: nothing can be asked until [`Gateway::broker_back`].
    pub fn broker_lost(&mut self, now: Time, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            if let Some(presence) = &mut gateway.presence {
                presence.forget_snapshots();
            }
            if gateway.broker.lose() {
                gateway.put_background_off();
            }
            Origin::System
        });
    }

    /// What the broker says that it takes has changed.
    pub fn broker_limits(&mut self, limits: BrokerLimits) {
        self.requests.set_limits(limits);
    }

    /// Some of what was published waits until the broker has taken what came before it, or does
    /// not any more. What has a place in its service's window keeps it meanwhile: the service has
    /// not seen it.
    pub fn broker_behind(&mut self, is_behind: bool) {
        self.broker.set_behind(is_behind);
    }

    /// Whether the broker is there, and sends all that the gateway cannot do without.
    pub fn is_ready(&self) -> bool {
        self.broker.is_ready()
    }

    /// Bytes of requests that wait until the broker is there again.
    pub fn parked(&self) -> usize {
        self.broker.parked_bytes()
    }

    /// The broker refuses a subscription, which is not there any more.
    pub fn subscription_refused(&mut self, now: Time, sid: u64, reason: Refusal, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            gateway.take_in(0);
            match Sid::of(sid) {
                Some(Sid::Inbox) => gateway.broker.lacks(Vital::Inbox),
                Some(Sid::System) => gateway.broker.lacks(Vital::System),
                Some(Sid::Client(client)) => {
                    if Self::is_vital(sid, reason) {
                        gateway.broker.lacks(Vital::Connections);
                    }
                    gateway.refuse_connection(client);
                }
                Some(Sid::Name(name)) if gateway.cache.names().contains(name) => {
                    gateway.refuse_name(name, reason);
                    return Origin::Name(name);
                }
                _ => {}
            }
            Origin::System
        });
    }

    /// The broker does not send a client's connection events. Nobody could take its token away,
    /// so it is dismissed if it has one; if not, its next request subscribes them again.
    fn refuse_connection(&mut self, client: ClientRef) {
        let there = self.sessions.present_mut(client);
        if there.is_some_and(|there| there.unheard() && there.token().is_some()) {
            self.dismiss(client.key);
        }
    }

    /// Whether the gateway is of no use without a subscription that the broker has refused. One
    /// client too many is that client's misfortune; a right to hear of none is missing for all.
    pub fn is_vital(sid: u64, reason: Refusal) -> bool {
        match Sid::of(sid) {
            Some(Sid::Name(_)) => false,
            Some(Sid::Client(_)) => reason != Refusal::Limit,
            _ => true,
        }
    }

    /// The broker refuses a request: it is answered at once. The request is named by its
    /// subject, or by its reply subject.
    pub fn publish_refused(
        &mut self,
        now: Time,
        subject: &[u8],
        reason: Refusal,
        out: &mut Outbox,
    ) {
        self.input(now, out, |gateway| {
            gateway.take_in(subject.len());
            let key = gateway.requests.awaited(subject);
            if let Some(key) = key.or_else(|| gateway.find_request(subject)) {
                gateway.answer(key, Err(reason.error()));
            }
            Origin::System
        });
    }

    /// A request without answer that was sent on a subject: the oldest.
    fn find_request(&mut self, subject: &[u8]) -> Option<PendingKey> {
        let (_, name) = std::str::from_utf8(subject).ok()?.split_once('.')?;
        let called = name.rsplit_once('.').map(|(name, _)| name);
        let names = [Some(name), called].map(|name| self.cache.name(name?));
        let mut text = Vec::new();
        let mut found: Option<(Time, PendingKey)> = None;
        self.work.spend(self.requests.len() / 8);
        for (key, pending) in self.requests.iter() {
            if pending.name.is_some() && !names.contains(&pending.name) {
                continue; // Most of them, and not written for that.
            }
            text.clear();
            self.write_subject_of(pending, &mut text);
            let is_awaited = text == subject && pending.is_awaited();
            if is_awaited && found.is_none_or(|(sent, _)| pending.sent < sent) {
                found = Some((pending.sent, key));
            }
        }
        found.map(|(_, key)| key)
    }

    /// The subject that a request was sent on, as far as the request tells.
    fn write_subject_of(&self, pending: &Pending, out: &mut Vec<u8>) {
        let (verb, method) = match &pending.then {
            Then::Load(_) | Then::Refresh(_) | Then::Check(_) => ("get", ""),
            Then::Access(_) => ("access", ""),
            Then::Call(call) => (call.verb(), &*call.method),
            Then::HeaderAuth(_) => ("auth", self.head_method(pending)),
            Then::Query(_) => return,
            Then::TokenReset(subject) => return out.extend_from_slice(subject.as_bytes()),
        };
        if let Some(name) = pending.name {
            self.write_subject(Subject::Name(verb, name, method), out);
        }
    }

    fn head_method(&self, pending: &Pending) -> &str {
        let client = pending.then.client();
        let client = client.filter(|client| self.sessions.present(*client).is_some());
        let method = client.and_then(|client| self.head_auth(client.key));
        method.map_or("", |method| &method.method)
    }

    /// The broker does not send a name's events: nothing of it is kept, and whoever holds it
    /// is told.
    fn refuse_name(&mut self, key: NameKey, reason: Refusal) {
        let text = format_args!("NATS does not send its events ({reason}): it is not served");
        self.warn(Warning::Refused, key, text);
        self.broker.refuse(self.cache.name_text(key), self.now);
        // It lives until all of this is done.
        self.cache.hold_name(key);
        self.cache.unsubscribe(key);
        self.give_up_queries(key, "the events of its name are refused");
        let name = &self.cache.names()[key];
        let (resources, aliases): (Vec<_>, Vec<AliasKey>) =
            (name.resources().collect(), name.aliases.to_vec());
        for alias in &aliases {
            for sub in self.cache.aliases()[*alias].subs.clone() {
                self.holdings[sub].access = AccessState::Unknown;
            }
        }
        for resource in resources {
            self.end_unheard(resource);
        }
        self.forget_loads(key);
        for alias in aliases {
            let there = self.cache.aliases().get(alias);
            if there.is_some_and(|alias| alias.loading) {
                self.load_failed(alias, Error::EVENTS_REFUSED);
            }
        }
        self.release_name(key);
    }

    /// What a name's open get requests bring is older than the next subscription of its
    /// events: it is not for whoever loads the name then.
    fn forget_loads(&mut self, name: NameKey) {
        let of_name = |(key, pending): (PendingKey, &Pending)| {
            let is_load = pending.name == Some(name) && matches!(pending.then, Then::Load(_));
            is_load.then_some(key)
        };
        let open: Vec<PendingKey> = self.requests.iter().filter_map(of_name).collect();
        self.work.spend(self.requests.len() / 16 + open.len());
        for key in open {
            if self.forget_request(key).is_some() {
                self.release_name(name);
            }
        }
    }

    /// No answer will come to the requests of the background that are open: they are sent
    /// anew when there is a broker. Query events cannot be acted on any more; what they were
    /// about is fetched again anyway. Whoever is being authenticated again by its head will be
    /// once more.
    fn put_background_off(&mut self) {
        let put_off = |(key, pending): (PendingKey, &Pending)| {
            let is_renewal = match &pending.then {
                Then::HeaderAuth(client) => self.is_renewing(client.key),
                _ => false,
            };
            let is_lost = (pending.cause != Cause::Need || is_renewal) && pending.is_awaited();
            is_lost.then_some(key)
        };
        let open: Vec<PendingKey> = self.requests.iter().filter_map(put_off).collect();
        self.work.spend(self.requests.len() / 16 + open.len());
        let mut queried: Vec<NameKey> = self.background.queries().collect();
        for key in open {
            match self.requests.get(key).map(|pending| &pending.then) {
                Some(Then::Query(_)) => {
                    queried.extend(self.requests.get(key).and_then(|pending| pending.name));
                }
                Some(Then::Refresh(_) | Then::Access(_) | Then::Check(_)) => self.queue_again(key),
                Some(Then::HeaderAuth(_)) => {
                    let name = self.forget_request(key).and_then(|pending| pending.name);
                    name.into_iter().for_each(|name| self.release_name(name));
                }
                _ => {}
            }
        }
        queried.sort();
        queried.dedup();
        for name in queried {
            self.give_up_queries(name, "NATS is away");
        }
    }

    /// Queues an open request of the background once more.
    fn queue_again(&mut self, key: PendingKey) {
        let Some(pending) = self.forget_request(key) else {
            return;
        };
        self.background.resume_reset(pending.cause.reset());
        match pending.then {
            Then::Refresh(resource) if self.cache.reopen_refresh(resource) => {
                self.background.queue(Job::Refresh(resource));
            }
            Then::Check(resource) => self.cache.end_check(resource),
            Then::Access(request) => self.ask_for_each(key, request),
            _ => {}
        }
        self.background.resume_reset(None);
        self.background.done(pending.cause.reset());
        if let Some(name) = pending.name {
            self.release_name(name);
        }
    }

    /// An access request of the background will not be answered: what its answer was to be
    /// used for asks anew.
    fn ask_for_each(&mut self, key: PendingKey, request: AccessRequest) {
        let there = request.sub.and_then(|sub| self.holdings.get_mut(sub));
        let is_held = there.is_some();
        if let Some(sub) = there
            && matches!(sub.access, AccessState::Asking(asked) if asked == key)
        {
            sub.access = AccessState::Unknown;
        }
        for purpose in request.waiting {
            match (purpose, request.sub.filter(|_| is_held)) {
                (Use::Reaccess, Some(sub)) => self.recheck_later(sub, Some(key)),
                (purpose, Some(sub)) => self.require_access(sub, purpose),
                // The client has let it go, and calls it nevertheless.
                (Use::Call(call), None) if self.sessions.present(call.client).is_some() => {
                    let (client, name, query) = (call.client.key, call.name, call.query.clone());
                    self.ask_access(client, name, &query, None, Use::Call(call));
                }
                _ => {}
            }
        }
    }

    /// Goes on with what the broker has to be told since it is there again: first what
    /// clients wait for.
    pub(in crate::gateway) fn go_on_with_return(&mut self) {
        while self.broker.is_there() && self.take_step_of_return() {
            self.work.spend(1);
            // What follows from a step comes before the next: whoever is dismissed uses nothing.
            if self.work.is_spent() || !self.work.is_done() {
                return self.work.push(Work::Return);
            }
        }
    }

    /// Whether there was a step to take.
    fn take_step_of_return(&mut self) -> bool {
        // Whose token may not hold any more asks for nothing.
        if !self.broker.is_among_clients()
            && let Some(parked) = self.broker.next_parked()
        {
            self.send_parked(parked);
            return true;
        }
        let was_among_clients = self.broker.is_among_clients();
        let (requests, sessions, names) = (&self.requests, &self.sessions, self.cache.names());
        let next = self.broker.next_place(|stage| match stage {
            Stage::Requests => requests.places(),
            Stage::Clients => sessions.places(),
            Stage::Names => names.places(),
        });
        if was_among_clients && !self.broker.is_among_clients() {
            self.open_windows();
        }
        match next {
            None => return false,
            Some((Stage::Requests, place)) => {
                if let Some(key) = self.requests.key_at(place) {
                    self.ask_again(key);
                }
            }
            Some((Stage::Clients, place)) => self.rejoin_client(ClientKey(place)),
            Some((Stage::Names, place)) => {
                if let Some(key) = self.cache.names().key_at(place) {
                    self.rejoin_or_forget(key);
                }
            }
        }
        true
    }

    /// What must be heard of before a request is sent, is subscribed. Returns whether it is
    /// to be sent.
    pub(super) fn hear_before(&mut self, client: Option<ClientRef>, name: Option<NameKey>) -> bool {
        if let Some(client) = client
            && let Some(there) = self.sessions.present(client)
            && there.is_listening()
            && !self.listen_to_connection(client.key)
        {
            return false;
        }
        if let Some(name) = name {
            self.rejoin_name(name, client.map(|client| client.key));
        }
        true
    }

    /// A request is sent only now, so its answer will be as good as any. Returns where it
    /// stands among others.
    pub(super) fn own_answer(&mut self, key: PendingKey) -> Option<Place> {
        let client = self.requests.get(key)?.then.client();
        let token = client.and_then(|client| self.sessions.present(client));
        if let Some(token) = token.map(Client::token_serial) {
            self.requests.ask_with(key, token);
        }
        let pending = self.requests.get(key)?;
        match &pending.then {
            Then::Load(alias) => self.cache.load_again(*alias),
            Then::Access(AccessRequest { sub: Some(sub), .. }) => {
                if let Some(sub) = self.holdings.get_mut(*sub)
                    && matches!(sub.access, AccessState::Unknown)
                {
                    sub.access = AccessState::Asking(key);
                }
            }
            _ => {}
        }
        Some(self.place_of(pending.name, &pending.then))
    }

    /// A request that was sent on an earlier connection, and that may have been lost: a get or
    /// access request is sent once more.
    fn ask_again(&mut self, key: PendingKey) {
        let connection = self.broker.connection();
        let Some(pending) = self.requests.get(key) else {
            return;
        };
        // One that waited for the broker has its own turn.
        if [connection, Connection::NONE].contains(&pending.sent_on) || !pending.is_awaited() {
            return;
        }
        self.write_again(key, None);
    }

    /// Sends a get or access request as it has to be now. It takes a place in a window, if it
    /// has none.
    pub(super) fn write_again(&mut self, key: PendingKey, window: Option<WindowKey>) {
        let connection = self.broker.connection();
        let Some(pending) = self.requests.get(key) else {
            return;
        };
        let mut text = self.texts.take_scratch();
        self.write_subject_of(pending, &mut text);
        let (length, name, client) = (text.len(), pending.name, pending.then.client());
        let hears = match &pending.then {
            Then::Load(alias) => {
                let Some(alias) = self.cache.aliases().get(*alias) else {
                    self.texts.keep_scratch(text);
                    return self.abandon(key); // Nobody could take the answer.
                };
                texts::write_query(&alias.query, &mut text);
                true
            }
            Then::Access(request) => {
                let query = self.query_of(request);
                text.push(b'{');
                self.write_identity(request.client.key, query, &mut text);
                text.push(b'}');
                request.sub.is_some()
            }
            _ => return self.texts.keep_scratch(text),
        };
        let is_wanted = self.hear_before(client, name.filter(|_| hears));
        let form = match self.requests.admit(length, text.len() - length) {
            Ok(form) => form,
            Err(error) => {
                self.texts.keep_scratch(text);
                return self.answer(key, Err(error));
            }
        };
        let is_first = form == ReplyForm::Usual
            && self.requests.get(key).map(|pending| pending.sent_on) == Some(Connection::NONE);
        let send = |requests: &mut Requests| match is_first {
            true => requests.send(key, self.now, connection),
            false => requests.send_again(key, self.now, connection),
        };
        if is_wanted
            && let Some(reply) = send(&mut self.requests)
            && let Some(place) = self.own_answer(key)
        {
            // What had to be heard before may have asked other services, and the window been
            // forgotten for theirs.
            let window = window.and(name).and_then(|name| self.window_of(name));
            self.take_seat(key, window);
            let (subject, payload) = text.split_at(length);
            let headers = self.sessions.trace_of(place.traced);
            self.out
                .publish(subject, reply.as_bytes(), headers, payload, place);
        }
        self.work.spend(text.len() / 64);
        self.texts.keep_scratch(text);
    }

    /// The query that access is asked with.
    fn query_of<'a>(&'a self, request: &'a AccessRequest) -> &'a str {
        if let Some(sub) = request.sub.and_then(|sub| self.holdings.get(sub)) {
            return &self.cache.aliases()[sub.alias()].query;
        }
        let calls = request.waiting.iter().find_map(|purpose| match purpose {
            Use::Call(call) => Some(&*call.query),
            _ => None,
        });
        calls.unwrap_or_default()
    }

    /// A client's connection events are subscribed again.
    fn rejoin_client(&mut self, key: ClientKey) {
        if self.sessions.get(key).is_some_and(Client::is_listening) {
            self.listen_to_connection(key);
        }
    }

    fn rejoin_or_forget(&mut self, key: NameKey) {
        let name = &self.cache.names()[key];
        if name.uses > 0 {
            return self.rejoin_name(key, None);
        }
        if !self.broker.hears(name.heard_on) {
            self.cache.end_linger_of(key);
            self.forget_name(key);
        }
    }
}

impl Refusal {
    /// What whoever has asked is told.
    fn error(self) -> Error {
        match self {
            Self::TooLong => Error::SUBJECT_TOO_LONG,
            Self::Permission | Self::Limit => Error::internal(Cow::Borrowed(
                "NATS does not let the gateway send the request",
            )),
        }
    }
}
