//! Requests to services: sent, timed, and resumed with their answers.

use super::access::AccessRequest;
use super::arena::Key;
use super::cache::{AliasKey, Held, NameKey, ResourceKey};
use super::calls::CallRequest;
use super::counters::RequestKind;
use super::delay::TimerKey;
use super::outbox::ClientKey;
use super::replies::Form;
use super::subscription::SubKey;
use super::throttle::ResetThrottle;
use super::{BrokerMessage, Gateway, Time};
use crate::res::{Error, json, service};
use std::borrow::Cow;

pub type PendingKey = Key<Pending>;

/// Requests caused by resets, token changes and the like that are open at once.
pub(crate) const MAX_BACKGROUND: usize = 1024;

/// Longest time-out that a pre-response can set, in milliseconds: a day. No request is to
/// be kept for good.
pub(crate) const MAX_TIMEOUT: u64 = 24 * 60 * 60 * 1000;

/// A client as it was when something was asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRef {
    pub key: ClientKey,
    pub serial: u32,
}

/// A request without answer, and what goes on with it.
pub struct Pending {
    /// The name whose order it keeps, and which it uses.
    pub name: Option<NameKey>,
    pub then: Then,
    timer: Timer,
    /// When it was sent.
    sent: Time,
    /// Whether it is one of the background, and of which reset event.
    background: Option<Option<Key<ResetThrottle>>>,
    /// The short number in its reply subject, if that has one.
    short: Option<u32>,
}

/// What an answer is for.
pub enum Then {
    /// Get request: content for an alias.
    Load(AliasKey),
    /// Get request: is the content still true?
    Refresh(ResourceKey),
    /// Access request.
    Access(AccessRequest),
    /// Call or auth request.
    Call(CallRequest),
    /// Query request.
    Query(ResourceKey),
    /// Auth request that comes before a request of the client.
    HeaderAuth(ClientRef),
    /// The answer does not matter.
    Ignore,
}

/// An answer's payload, or why there is none.
pub type Answer<'a> = Result<Cow<'a, [u8]>, Error>;

enum Timer {
    /// The answer is here and waits for its turn.
    Stopped,
    Usual(TimerKey),
    Set(Time),
}

/// A request that waits until fewer of its kind are open.
pub enum Job {
    /// Fetch a resource again.
    Refresh(ResourceKey),
    /// Ask a subscription's access again.
    Reaccess(SubKey),
    /// Let a service renew a client's token.
    TokenReset(ClientRef),
}

/// A request that the broker would not take: why, and what was to go on with its answer.
pub struct Unsent {
    pub error: Error,
    pub then: Then,
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// `<type>.<name>`, and `.<method>` unless that is empty.
    Name(&'static str, NameKey, &'a str),
    /// A subject that a service chose, on behalf of a name if there is one.
    Chosen(&'a str, Option<NameKey>),
}

impl Gateway {
    /// Sends a request whose payload `payload` writes.
    ///
    /// # Errors
    /// When the broker would not take it; nothing was sent then, and what was to go on
    /// is handed back.
    pub(super) fn request(
        &mut self,
        subject: Subject<'_>,
        then: Then,
        payload: impl FnOnce(&Self, &mut Vec<u8>),
    ) -> Result<PendingKey, Box<Unsent>> {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        let name = self.write_subject(subject, &mut text);
        let length = text.len();
        payload(self, &mut text);
        let form = self.replies.form(length, text.len() - length);
        let refused = if form.is_none() {
            Some(Error::SUBJECT_TOO_LONG)
        } else if text.len() - length > self.max_payload {
            Some(Error::internal("request is larger than the broker takes"))
        } else {
            None
        };
        if let Some(error) = refused {
            self.keep_scratch(text);
            return Err(Box::new(Unsent { error, then }));
        }
        let timer = Timer::Stopped;
        self.counters.opened(RequestKind::of(&then));
        let key = self.pending.insert(Pending {
            name,
            then,
            timer,
            sent: self.now,
            background: None,
            short: None,
        });
        if form == Some(Form::Short) {
            self.pending[key].short = Some(self.replies.shorten(key));
        }
        let timer = self.request_timers.insert(self.now, key);
        self.pending[key].timer = Timer::Usual(timer);
        if let Some(name) = name {
            self.hold_name(name);
        }
        let reply = match self.pending[key].short {
            Some(number) => self.replies.short(number),
            None => self.replies.usual(key),
        };
        self.out
            .publish(&text[..length], reply.as_bytes(), &text[length..]);
        self.keep_scratch(text);
        Ok(key)
    }

    fn write_subject(&self, subject: Subject<'_>, out: &mut Vec<u8>) -> Option<NameKey> {
        match subject {
            Subject::Name(kind, name, method) => {
                out.extend_from_slice(kind.as_bytes());
                out.push(b'.');
                out.extend_from_slice(self.cache.names[name].text.as_bytes());
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
    pub(super) fn reply(&mut self, message: BrokerMessage<'_>) {
        let Some(key) = self.replies.find(message.subject) else {
            return;
        };
        let Some(pending) = self.pending.get(key) else {
            return; // An answer that came too late.
        };
        if matches!(pending.timer, Timer::Stopped) {
            return; // A second answer.
        }
        if message.status == Some(503) && message.payload.is_empty() {
            return self.answer(key, Err(Error::NOT_FOUND));
        }
        match service::pre_response(message.payload) {
            Some(Some(timeout)) => {
                self.stop_timer(key);
                let due = Time(self.now.0.saturating_add(timeout.min(MAX_TIMEOUT)));
                self.set_timers.insert((due, key));
                self.pending[key].timer = Timer::Set(due);
            }
            Some(None) => {}
            None => self.answer(key, Ok(Cow::Borrowed(message.payload))),
        }
    }

    fn stop_timer(&mut self, key: PendingKey) {
        match std::mem::replace(&mut self.pending[key].timer, Timer::Stopped) {
            Timer::Stopped => {}
            Timer::Usual(timer) => self.request_timers.remove(timer),
            Timer::Set(due) => {
                self.set_timers.remove(&(due, key));
            }
        }
    }

    /// Requests whose time is over get that as their answer.
    pub(super) fn time_out_requests(&mut self) {
        loop {
            let set = self
                .set_timers
                .first()
                .copied()
                .filter(|(due, _)| *due <= self.now);
            let key = if let Some((due, key)) = set {
                self.set_timers.remove(&(due, key));
                key
            } else if let Some(key) = self.request_timers.pop(self.now) {
                key
            } else {
                return;
            };
            self.pending[key].timer = Timer::Stopped;
            self.answer(key, Err(Error::TIMEOUT));
            self.settle();
        }
    }

    /// An answer, or word that none will come.
    fn answer(&mut self, key: PendingKey, answer: Answer<'_>) {
        self.stop_timer(key);
        let pending = &self.pending[key];
        self.counters
            .answered(RequestKind::of(&pending.then), pending.sent, self.now);
        match pending.name {
            Some(name) if !matches!(pending.then, Then::Query(_)) && self.is_waiting(name) => {
                let answer = answer.map(|payload| Cow::Owned(payload.into_owned()));
                self.hold_input(name, Held::Answer(key, answer));
            }
            _ => self.resume(key, answer),
        }
    }

    /// Goes on with what a request was for.
    pub(super) fn resume(&mut self, key: PendingKey, answer: Answer<'_>) {
        let Some(pending) = self.forget_request(key) else {
            return;
        };
        // What has to be asked once more stays in the throttle of its reset event.
        self.resume_reset(pending.background.flatten());
        match pending.then {
            Then::Load(alias) => self.loaded(alias, answer),
            Then::Refresh(resource) => self.refreshed(resource, answer),
            Then::Access(request) => self.access_answered(key, request, answer),
            Then::Call(request) => self.call_answered(request, answer),
            Then::Query(resource) => self.query_answered(resource, pending.name, answer),
            Then::HeaderAuth(client) => self.header_auth_answered(client, answer),
            Then::Ignore => {}
        }
        self.resume_reset(None);
        if let Some(reset) = pending.background {
            self.job_done(reset);
        }
        if let Some(name) = pending.name {
            self.release_name(name);
        }
    }

    /// Takes a request out of the books; its name is still in use, and its place in a
    /// throttle taken.
    pub(super) fn forget_request(&mut self, key: PendingKey) -> Option<Pending> {
        if self.pending.contains(key) {
            self.stop_timer(key);
        }
        let pending = self.pending.remove(key)?;
        self.counters.closed(RequestKind::of(&pending.then));
        self.background_open -= usize::from(pending.background.is_some());
        if let Some(number) = pending.short {
            self.replies.forget(number);
        }
        Some(pending)
    }

    /// Sends what waits in the background, as far as few enough are open.
    pub(super) fn start_jobs(&mut self) {
        while self.background_open < MAX_BACKGROUND {
            let Some((job, reset)) = self.jobs.pop_front() else {
                break;
            };
            let sent = match job {
                Job::Refresh(resource) => self.send_refresh(resource),
                Job::Reaccess(sub) => self.send_reaccess(sub),
                Job::TokenReset(client) => self.send_token_reset(client),
            };
            match sent {
                Some(key) => {
                    self.pending[key].background = Some(reset);
                    self.background_open += 1;
                }
                None => self.job_done(reset),
            }
        }
    }

    /// Appends the members that name a client to services.
    pub(super) fn write_identity(&self, client: ClientKey, query: &str, out: &mut Vec<u8>) {
        let Some(client) = self.client(client) else {
            return;
        };
        out.extend_from_slice(b"\"token\":");
        out.extend_from_slice(client.token.as_deref().unwrap_or("null").as_bytes());
        if !query.is_empty() {
            out.extend_from_slice(b",\"query\":");
            json::write_string(query, out);
        }
        out.extend_from_slice(b",\"cid\":\"");
        out.extend_from_slice(&client.cid);
        out.push(b'"');
        if client.is_http() {
            out.extend_from_slice(b",\"isHttp\":true");
        }
    }
}
