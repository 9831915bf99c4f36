//! Requests to services: sent, timed, and resumed with their answers.

use crate::gateway::Gateway;
use crate::gateway::model::border::BrokerMessage;
use crate::gateway::model::keys::{ClientKey, NameKey, PendingKey};
use crate::gateway::model::time::Time;
use crate::gateway::parts::cache::Deferred;
use crate::gateway::parts::counters::RequestKind;
use crate::gateway::parts::replies::ReplyForm;
use crate::gateway::parts::requests::{Answer, Job, Pending, Subject, Then, Timer, Unsent};
use crate::res::{Error, json, service};
use std::borrow::Cow;

/// Requests caused by resets, token changes and the like that are open at once.
const MAX_BACKGROUND: usize = 1024;

/// Longest time-out that a pre-response can set, in milliseconds: a day. No request is to
/// be kept for good.
const MAX_TIMEOUT: u64 = 24 * 60 * 60 * 1000;

impl Gateway {
    /// Sends a request whose payload `payload` writes.
    ///
    /// # Errors
    /// When the broker would not take it; nothing was sent then, and what was to go on
    /// is handed back.
    pub(in crate::gateway) fn request(
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
        if form == Some(ReplyForm::Short) {
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
    pub(in crate::gateway) fn reply(&mut self, message: BrokerMessage<'_>) {
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
    pub(in crate::gateway) fn time_out_requests(&mut self) {
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
    pub(in crate::gateway) fn forget_request(&mut self, key: PendingKey) -> Option<Pending> {
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
    pub(in crate::gateway) fn start_jobs(&mut self) {
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
    pub(in crate::gateway) fn write_identity(
        &self,
        client: ClientKey,
        query: &str,
        out: &mut Vec<u8>,
    ) {
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
