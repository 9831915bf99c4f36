//! Requests to services: sent, timed, and resumed with their answers.

use crate::gateway::Gateway;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::border::BrokerMessage;
use crate::gateway::model::keys::{
    AliasKey, ClientKey, ClientRef, Connection, NameKey, PendingKey,
};
use crate::gateway::model::outbox::{Lane, Place};
use crate::gateway::model::parked::Parked;
use crate::gateway::model::sid::Sid;
use crate::gateway::parts::background::{Job, Queued};
use crate::gateway::parts::cache::Deferred;
use crate::gateway::parts::counters::RequestKind;
use crate::gateway::parts::holdings::AccessState;
use crate::gateway::parts::requests::{
    AccessRequest, Cause, GetFor, Pending, Subject, Then, Unsent, Use,
};
use crate::gateway::parts::sessions::Client;
use crate::gateway::parts::worklist::{Origin, Work};
use crate::res::service::PreResponse;
use crate::res::{Error, json, service, trace};
use log::debug;
use std::borrow::Cow;

/// Work of sending a request of the background, in units.
const JOB_UNITS: usize = 16;

/// Bytes of a request that are written in one unit of work.
const WRITTEN: usize = 32;

impl Gateway {
    /// Sends a request whose payload `payload` writes.
    ///
    /// # Errors
    /// When the broker would not take it, or too much waits for its service; nothing was sent
    /// then, and what was to go on is handed back.
    pub(in crate::gateway) fn request(
        &mut self,
        subject: Subject<'_>,
        then: Then,
        payload: impl FnOnce(&Self, &mut Vec<u8>),
    ) -> Result<PendingKey, Box<Unsent>> {
        let mut text = self.texts.take_scratch();
        let name = self.write_subject(subject, &mut text);
        let length = text.len();
        payload(self, &mut text);
        self.work.spend(text.len() / WRITTEN);
        let form = match self.requests.admit(length, text.len() - length) {
            Ok(form) => form,
            Err(error) => {
                self.texts.keep_scratch(text);
                return Err(Box::new(Unsent { error, then }));
            }
        };
        let is_there = self.broker.is_there();
        let window = name
            .filter(|_| is_there)
            .and_then(|name| self.window_of(name));
        // A call has waited before it was allowed.
        let is_call = matches!(then, Then::Call(_));
        let has_room = is_call || window.is_none_or(|window| self.has_room(window));
        if !has_room && window.is_some_and(|window| self.is_crowded(window, name, &then)) {
            self.texts.keep_scratch(text);
            let error = Error::SERVICE_UNAVAILABLE;
            return Err(Box::new(Unsent { error, then }));
        }
        self.counters.opened(RequestKind::of(&then));
        if let Some(name) = name {
            self.cache.hold_name(name);
        }
        let key = if has_room && is_there {
            let place = self.place_of(name, &then);
            let sent_on = self.broker.connection();
            let (key, reply) = self.requests.open(self.now, name, then, form, sent_on);
            self.take_seat(key, window);
            let (subject, payload) = text.split_at(length);
            let headers = self.sessions.trace_of(place.traced);
            self.out
                .publish(subject, reply.as_bytes(), headers, payload, place);
            key
        } else {
            let none = Connection::NONE;
            let (key, _) = self.requests.open(self.now, name, then, form, none);
            let parked = Parked::new(key, &text, length);
            match window {
                Some(window) => self.queue_up(window, parked),
                None => self.broker.park(parked),
            }
            key
        };
        self.texts.keep_scratch(text);
        Ok(key)
    }

    /// Where a request stands among others: behind the subscriptions without which its
    /// answer could not be kept up to date.
    pub(super) fn place_of(&self, name: Option<NameKey>, then: &Then) -> Place {
        let events = || name.map_or(0, |name| Sid::Name(name).number());
        let connection = |client: ClientRef| {
            let there = self.sessions.present(client);
            let is_listening = there.is_some_and(Client::is_listening);
            if is_listening {
                Sid::Client(client).number()
            } else {
                0
            }
        };
        let (after, lane) = match then {
            Then::Load(_) => ([events(), 0], Lane::Direct),
            Then::Refresh(_) | Then::Check(_) => ([events(), 0], Lane::Background),
            Then::Access(request) => {
                let events = request.sub.map_or(0, |_| events());
                let lane = match request.waiting[..] {
                    [Use::Reaccess] => Lane::Background,
                    _ => Lane::Client(request.client.key),
                };
                ([events, connection(request.client)], lane)
            }
            Then::Call(call) => ([connection(call.client), 0], Lane::Client(call.client.key)),
            Then::HeaderAuth(client) => ([connection(*client), 0], Lane::Client(client.key)),
            Then::Query(_) | Then::TokenReset(_) => ([0, 0], Lane::Background),
        };
        let traced = match self.sessions.has_traces() {
            true => self.traced(lane, then),
            false => None,
        };
        Place {
            after,
            lane,
            traced,
        }
    }

    /// The client for which a request is sent: of those who wait for the same content, the
    /// first. What the background asks is part of nobody's trace.
    fn traced(&self, lane: Lane, then: &Then) -> Option<ClientKey> {
        match (lane, then) {
            (Lane::Client(client), _) => Some(client),
            (_, Then::Load(alias)) => {
                let alias = self.cache.aliases().get(*alias)?;
                let first = self.holdings.get(*alias.subs.first()?)?;
                Some(first.client())
            }
            _ => None,
        }
    }

    pub(super) fn write_subject(&self, subject: Subject<'_>, out: &mut Vec<u8>) -> Option<NameKey> {
        match subject {
            Subject::Name(kind, name, method) => {
                out.extend_from_slice(kind.as_bytes());
                out.push(b'.');
                out.extend_from_slice(self.cache.name_text(name).as_bytes());
                if !method.is_empty() {
                    out.push(b'.');
                    out.extend_from_slice(method.as_bytes());
                }
                Some(name)
            }
            Subject::Chosen(subject, name) => {
                out.extend_from_slice(subject.as_bytes());
                name
            }
        }
    }

    /// A message came on the inbox.
    pub(in crate::gateway) fn reply(&mut self, message: BrokerMessage<'_>) -> Origin {
        let Some(key) = self.requests.awaited(message.subject) else {
            // It came too late, or is a second answer.
            debug!(
                "answer ({}) is not used: no request waits for it",
                trace::reply_id(message.subject)
            );
            return Origin::System;
        };
        let name = self.requests.get(key).and_then(|pending| pending.name);
        self.leave_answered(key);
        if message.status == Some(503) && message.payload.is_empty() {
            let then = self.requests.get(key).map(|pending| &pending.then);
            // What is cached may well be there still: its service is restarted, perhaps.
            let is_cached = matches!(
                then,
                Some(Then::Refresh(_) | Then::Query(_) | Then::Check(_))
            );
            self.requests.note_unheard(key);
            let error = match is_cached {
                true => Error::internal("nobody answers"),
                false => Error::NOT_FOUND,
            };
            self.answer(key, Err(error));
        } else {
            match service::pre_response(message.payload) {
                Some(PreResponse::Timeout(timeout)) => self.extend(key, timeout),
                Some(PreResponse::Unknown) => {}
                None => self.answer(key, Ok(Cow::Borrowed(message.payload))),
            }
        }
        name.map_or(Origin::System, Origin::Name)
    }

    /// A service sets another time-out. What only one client waits for is kept with the
    /// client: nobody would want it for so long when that has gone. A get request is for
    /// whoever subscribes.
    fn extend(&mut self, key: PendingKey, timeout: u64) {
        let client = self
            .requests
            .get(key)
            .and_then(|pending| pending.then.client());
        if let Some(client) = client {
            match self.sessions.present_mut(client) {
                Some(client) => client.keep_extended(key),
                None => return self.abandon(key),
            }
        }
        self.requests.extend(key, self.now, timeout);
        if client.is_none() {
            self.work.push(Work::Unwanted(key));
        }
    }

    /// The last subscription of an alias is gone: it needs no get request any more.
    pub(in crate::gateway) fn want_no_longer(&mut self, key: AliasKey) {
        let alias = &self.cache.aliases()[key];
        let gets = [
            Some(GetFor::Alias(key)),
            alias.resource.map(GetFor::Resource),
        ];
        for get in gets.into_iter().flatten() {
            if let Some(request) = self.requests.extended_get(get) {
                self.work.push(Work::Unwanted(request));
            }
        }
    }

    /// Forgets a get request to which a service has given other time than usual, a day even,
    /// if nobody wants its answer: it will be sent again when somebody does.
    pub(in crate::gateway) fn forget_unwanted(&mut self, key: PendingKey) {
        let pending = self.requests.get(key);
        let Some(pending) = pending.filter(|pending| pending.is_extended()) else {
            return;
        };
        match pending.then {
            Then::Load(alias) => {
                let alias = self.cache.aliases().get(alias);
                if alias.is_some_and(|alias| !alias.subs.is_empty()) {
                    return;
                }
            }
            Then::Refresh(key) => match self.cache.resources().get(key) {
                Some(resource) if self.cache.is_used(resource) => return,
                Some(_) => self.cache.remove_resource(key),
                None => {}
            },
            _ => return,
        }
        self.resume(key, Err(Error::TIMEOUT));
    }

    /// Forgets a request whose client has gone.
    pub(in crate::gateway) fn abandon(&mut self, key: PendingKey) {
        let pending = self.requests.get(key);
        // What the client held may not have been let go of yet.
        if let Some(Then::Access(AccessRequest { sub: Some(sub), .. })) =
            pending.map(|pending| &pending.then)
            && let Some(sub) = self.holdings.get_mut(*sub)
            && matches!(sub.access, AccessState::Asking(asked) if asked == key)
        {
            sub.access = AccessState::Unknown;
        }
        self.resume(key, Err(Error::TIMEOUT));
    }

    /// Requests whose time is over get that as their answer.
    pub(in crate::gateway) fn time_out_requests(&mut self) {
        while let Some((key, is_waiting)) = self.requests.expired(self.now) {
            if !is_waiting || !self.waits_on(key) {
                log::trace!("x=> ({}) Request timeout", self.requests.reply_id(key));
                self.counters.timeouts += 1;
                self.answer(key, Err(Error::TIMEOUT));
            }
            self.work.spend(1);
            if self.work.is_spent() {
                break;
            }
        }
        let requests = &self.requests;
        self.broker.forget_parked(|key| requests.get(key).is_none());
    }

    /// An answer, or word that none will come.
    pub(super) fn answer(&mut self, key: PendingKey, answer: Answer<'_>) {
        self.requests.stop_timer(key);
        let Some(pending) = self.requests.get(key) else {
            return;
        };
        let kind = RequestKind::of(&pending.then);
        let name = pending.name.filter(|_| self.counters.has_patterns());
        let name = name.map(|name| self.cache.name_text(name));
        self.counters.answered(kind, name, pending.sent, self.now);
        match pending.name {
            Some(name)
                if !matches!(pending.then, Then::Query(_)) && self.cache.is_waiting(name) =>
            {
                let answer = answer.map(|payload| Cow::Owned(payload.into_owned()));
                self.hold_input(name, Deferred::Answer(key, answer));
            }
            _ => self.resume(key, answer),
        }
    }

    /// Goes on with what a request was for.
    pub(in crate::gateway) fn resume(&mut self, key: PendingKey, answer: Answer<'_>) {
        let Some(pending) = self.forget_request(key) else {
            return;
        };
        // What has to be asked once more stays in the throttle of its reset event.
        self.background.resume_reset(pending.cause.reset());
        match pending.then {
            Then::Load(alias) => self.loaded(alias, answer),
            Then::Refresh(resource) => self.refreshed(resource, answer),
            Then::Check(resource) => self.checked(resource, answer),
            Then::Access(request) => self.access_answered(key, request, pending.name, answer),
            Then::Call(request) => self.call_answered(request, answer),
            Then::Query(resource) => self.query_answered(key, resource, pending.name, answer),
            Then::HeaderAuth(client) => self.header_auth_answered(client, pending.name, answer),
            Then::TokenReset(subject) => self.token_reset_answered(&subject, answer),
        }
        self.background.resume_reset(None);
        self.background.done(pending.cause.reset());
        if let Some(name) = pending.name {
            self.release_name(name);
        }
    }

    /// Takes a request out of the books; its name is still in use, and its place in a
    /// throttle taken.
    pub(in crate::gateway) fn forget_request(&mut self, key: PendingKey) -> Option<Pending> {
        self.leave_seat(key, false);
        let pending = self.requests.close(key)?;
        if let Some(client) = pending.then.client()
            && let Some(client) = self.sessions.present_mut(client)
        {
            client.forget_extended(key);
        }
        self.counters.closed(RequestKind::of(&pending.then));
        if pending.cause != Cause::Need {
            self.background.closed();
        }
        Some(pending)
    }

    /// Sends what waits in the background, as far as few enough are open and the turn's
    /// budget reaches.
    pub(in crate::gateway) fn start_jobs(&mut self) {
        // Nearly always there is none. Whose token may not hold any more asks for nothing.
        let can_start = self.background.can_start() && self.broker.is_there();
        if !can_start || self.broker.is_among_clients() {
            return;
        }
        while let Some(window) = self.background.take_owed() {
            self.work.push(Work::Window(window));
        }
        while !self.work.is_spent()
            && let Some((job, reset)) = self.background.next()
        {
            // A service that is slow holds up nobody else's background.
            match self.full_window_of(&job) {
                Some(window) => self.background.set_aside(window, (job, reset)),
                None => self.start_job((job, reset)),
            }
            self.work.spend(JOB_UNITS);
        }
    }

    pub(super) fn start_job(&mut self, (job, reset): Queued) {
        let sent = match job {
            Job::Refresh(resource) => self.send_refresh(resource),
            Job::Check(resource) => self.send_check(resource),
            Job::Reaccess(sub) => self.send_reaccess(sub),
            Job::TokenReset(client) => self.send_token_reset(client),
            Job::Query(name) => self.send_query(name),
        };
        match sent {
            Some(key) => {
                self.requests.set_cause(key, Cause::of(reset));
                self.background.opened();
            }
            None => self.background.done(reset),
        }
    }

    /// Appends the members that name a client to services.
    pub(in crate::gateway) fn write_identity(
        &self,
        client: ClientKey,
        query: &str,
        out: &mut Vec<u8>,
    ) {
        let Some(client) = self.sessions.get(client) else {
            return;
        };
        out.extend_from_slice(b"\"token\":");
        out.extend_from_slice(client.token().unwrap_or("null").as_bytes());
        if !query.is_empty() {
            out.extend_from_slice(b",\"query\":");
            json::write_string(query, out);
        }
        out.extend_from_slice(b",\"cid\":\"");
        out.extend_from_slice(client.cid().as_bytes());
        out.push(b'"');
        if client.is_http() {
            out.extend_from_slice(b",\"isHttp\":true");
        }
    }
}
