//! Requests to services without answer, and what goes on with each.

mod replies;

use crate::gateway::model::arena::Arena;
use crate::gateway::model::border::BrokerLimits;
use crate::gateway::model::delay::{DelayQueue, TimerKey};
use crate::gateway::model::keys::of;
use crate::gateway::model::keys::{
    AliasKey, ClientRef, Connection, NameKey, PendingKey, ResetKey, ResourceKey, SubKey, WaiterKey,
    WindowKey,
};
use crate::gateway::model::parked::PLACE_TIME;
use crate::gateway::model::random::Random;
use crate::gateway::model::time::Time;
use crate::res::service::Access;
use crate::res::{Error, trace};
pub use replies::ReplyForm;
use replies::{Replies, Reply};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

/// Longest time-out that a pre-response can set, in milliseconds: a day. No request is to
/// be kept for good.
pub(crate) const MAX_TIMEOUT: u64 = 24 * 60 * 60 * 1000;

/// A request without answer, and what goes on with it.
#[derive(Debug)]
pub struct Pending {
    /// The name whose order it keeps, and which it uses.
    pub name: Option<NameKey>,
    pub then: Then,
    timer: Timer,
    /// When it was sent.
    pub sent: Time,
    pub cause: Cause,
    /// The connection to the broker that it was sent on; none while it waits for one.
    pub sent_on: Connection,
    /// The window of its service, while it has a place there.
    seat: Option<WindowKey>,
    /// The short number in its reply subject, if that has one.
    short: Option<u32>,
}

impl Pending {
    /// Whether a service has given it another time-out than the usual one.
    pub fn is_extended(&self) -> bool {
        matches!(self.timer, Timer::Set(_))
    }

    /// The window of its service, while it has a place there.
    pub fn seat(&self) -> Option<WindowKey> {
        self.seat
    }

    /// Whether an answer is still to come.
    pub fn is_awaited(&self) -> bool {
        !matches!(self.timer, Timer::Stopped)
    }
}

/// What a request was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A client, or an event that waits for the answer.
    Need,
    /// The background.
    Background,
    /// The background, by a reset event with a throttle.
    Reset(ResetKey),
}

impl Cause {
    /// The cause of a request of the background.
    pub fn of(reset: Option<ResetKey>) -> Self {
        reset.map_or(Self::Background, Self::Reset)
    }

    /// The reset event that has it counted.
    pub fn reset(self) -> Option<ResetKey> {
        match self {
            Self::Need | Self::Background => None,
            Self::Reset(reset) => Some(reset),
        }
    }
}

/// What an answer is for.
#[derive(Debug)]
pub enum Then {
    /// Get request: content for an alias.
    Load(AliasKey),
    /// Get request: is the content still true?
    Refresh(ResourceKey),
    /// Get request: is it what the events so far have made of it?
    Check(ResourceKey),
    /// Access request.
    Access(AccessRequest),
    /// Call or auth request.
    Call(CallRequest),
    /// Query request.
    Query(ResourceKey),
    /// Auth request that comes before a request of the client.
    HeaderAuth(ClientRef),
    /// Auth request of a token reset, on this subject. Only its token event counts.
    TokenReset(Rc<str>),
}

impl Then {
    /// The client without which the answer is of no use; `None` if others use it too.
    pub fn client(&self) -> Option<ClientRef> {
        match self {
            Self::Access(request) => Some(request.client),
            Self::Call(request) => Some(request.client),
            Self::HeaderAuth(client) => Some(*client),
            Self::Load(_)
            | Self::Refresh(_)
            | Self::Check(_)
            | Self::Query(_)
            | Self::TokenReset(_) => None,
        }
    }
}

/// What a get request is for. There is one request at a time for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GetFor {
    Alias(AliasKey),
    Resource(ResourceKey),
}

impl GetFor {
    fn of(then: &Then) -> Option<Self> {
        match then {
            Then::Load(alias) => Some(Self::Alias(*alias)),
            Then::Refresh(resource) => Some(Self::Resource(*resource)),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Timer {
    /// The answer is here and waits for its turn.
    Stopped,
    Usual(TimerKey),
    Set(Time),
    /// It waits to be sent, longer than others wait for an answer.
    Waiting(Time),
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

/// A call, on its way to a service or back.
#[derive(Debug)]
pub struct CallRequest {
    pub client: ClientRef,
    pub reply: ReplyTo,
    pub kind: CallKind,
    pub name: NameKey,
    pub query: Box<str>,
    pub method: Box<str>,
    /// The parameters as sent; `None` for none.
    pub params: Option<Box<str>>,
    /// The client's subscription of the resource, if it had one.
    pub sub: Option<SubKey>,
}

impl CallRequest {
    /// Bytes that wait with it for access.
    pub fn waiting(&self) -> usize {
        self.query.len() + self.params.as_deref().map_or(0, str::len)
    }
}

/// The kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Call,
    /// Needs no access, and tells the service about the connection.
    Auth,
    /// The deprecated request: a call of `new` that must be answered with a resource.
    New,
}

impl CallRequest {
    /// What its subject begins with.
    pub fn verb(&self) -> &'static str {
        match self.kind {
            CallKind::Auth => "auth",
            CallKind::Call | CallKind::New => "call",
        }
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Auth => "auth",
            Self::New => "new",
        })
    }
}

impl fmt::Display for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "request {id}"),
            Self::Web => f.write_str("HTTP request"),
        }
    }
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// The request of a WebSocket client with this ID.
    Client(u64),
    /// The one open web request of the connection.
    Web,
}

/// An open access request.
#[derive(Debug)]
pub struct AccessRequest {
    pub client: ClientRef,
    /// The subscription that keeps the answer, if the client has one.
    pub sub: Option<SubKey>,
    /// Which of the client's tokens it was asked with.
    pub token: u32,
    /// Nobody is there who could answer it.
    pub is_unheard: bool,
    pub waiting: Vec<Use>,
}

/// What an access answer is needed for.
#[derive(Debug)]
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

/// Time-outs for which a request waits for its turn, unless others of its client are answered.
pub(crate) const WAITS: u64 = 3;

/// All requests without answer, with their timers and reply subjects.
#[derive(Debug)]
pub struct Requests {
    pending: Arena<of::Pending, Pending>,
    /// Timers of those with the usual time-out, and of those that a service has set.
    usual: DelayQueue<PendingKey>,
    set: BTreeSet<(Time, PendingKey)>,
    /// Get requests with a time-out that a service has set.
    extended_gets: BTreeMap<GetFor, PendingKey>,
    replies: Replies,
    /// Largest payload that the broker takes, in bytes.
    max_payload: usize,
    /// The access answer that came last.
    last_verdict: Option<Rc<Verdict>>,
}

impl Requests {
    /// `timeout` is the usual one, in milliseconds.
    pub fn new(timeout: u64, random: &mut Random) -> Self {
        Self {
            pending: Arena::default(),
            usual: DelayQueue::new(timeout),
            set: BTreeSet::new(),
            extended_gets: BTreeMap::new(),
            replies: Replies::new(random),
            max_payload: 1 << 20,
            last_verdict: None,
        }
    }

    /// What all reply subjects begin with.
    pub fn inbox(&self) -> &str {
        self.replies.prefix()
    }

    /// Takes over what the broker says that it takes.
    pub fn max_payload(&self) -> usize {
        self.max_payload
    }

    pub fn set_limits(&mut self, limits: BrokerLimits) {
        self.max_payload = limits.max_payload;
        self.replies.set_max_line(limits.max_line);
    }

    /// Longest request subject, in bytes, however short the reply subject is.
    pub fn max_subject(&self) -> usize {
        self.replies.max_subject()
    }

    /// What a request and its answers can be matched by in the log: the end of the reply
    /// subject.
    pub fn reply_id(&self, key: PendingKey) -> String {
        let short = self.pending.get(key).and_then(|pending| pending.short);
        let reply = match short {
            Some(number) => self.replies.short(number),
            None => self.replies.usual(key),
        };
        trace::reply_id(reply.as_bytes()).into_owned()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (PendingKey, &Pending)> {
        self.pending.iter()
    }

    pub fn get(&self, key: PendingKey) -> Option<&Pending> {
        self.pending.get(key)
    }

    /// The form of reply subject for a request whose subject and payload have these
    /// lengths, in bytes.
    ///
    /// # Errors
    /// When the broker would not take the request.
    pub fn admit(&self, subject: usize, payload: usize) -> Result<ReplyForm, Error> {
        let form = self.replies.form(subject, payload);
        let form = form.ok_or(Error::SUBJECT_TOO_LONG)?;
        if payload > self.max_payload {
            return Err(Error::internal("request is larger than the broker takes"));
        }
        Ok(form)
    }

    /// Adds a request that is sent now on a connection, or waits for one.
    pub fn open(
        &mut self,
        now: Time,
        name: Option<NameKey>,
        then: Then,
        form: ReplyForm,
        sent_on: Connection,
    ) -> (PendingKey, Reply) {
        let key = self.pending.insert(Pending {
            name,
            then,
            timer: Timer::Stopped,
            sent: now,
            cause: Cause::Need,
            sent_on,
            seat: None,
            short: None,
        });
        let timer = self.usual.insert(now, key);
        let pending = &mut self.pending[key];
        pending.timer = Timer::Usual(timer);
        let reply = match form {
            ReplyForm::Usual => self.replies.usual(key),
            ReplyForm::Short => {
                let number = self.replies.shorten(key);
                pending.short = Some(number);
                self.replies.short(number)
            }
        };
        (key, reply)
    }

    /// Says what a request was sent for.
    pub fn set_cause(&mut self, key: PendingKey, cause: Cause) {
        self.pending[key].cause = cause;
    }

    /// A request waits for its turn at its service, for [`WAITS`] times as long as it may wait
    /// for its answer then.
    pub fn wait(&mut self, key: PendingKey, now: Time, timeout: u64) {
        self.stop_timer(key);
        let due = Time(now.0.saturating_add(timeout.saturating_mul(WAITS)));
        self.set.insert((due, key));
        self.pending[key].timer = Timer::Waiting(due);
    }

    /// A request that has waited so long waits on, as if it had begun to wait at a time. Whether
    /// it may.
    pub fn wait_on(&mut self, key: PendingKey, since: Time, timeout: u64, now: Time) -> bool {
        let may = since.0.saturating_add(timeout.saturating_mul(WAITS)) > now.0;
        if may {
            self.wait(key, since, timeout);
        }
        may
    }

    /// A request has a place in the window of its service from now on, or none any more.
    /// Returns the one that it had.
    pub fn set_seat(&mut self, key: PendingKey, seat: Option<WindowKey>) -> Option<WindowKey> {
        let pending = self.pending.get_mut(key)?;
        std::mem::replace(&mut pending.seat, seat)
    }

    /// A request that has waited for a connection is sent on it now: its time begins.
    pub fn send(&mut self, key: PendingKey, now: Time, sent_on: Connection) -> Option<Reply> {
        self.begin_time(key, now, sent_on)?;
        let reply = match self.pending[key].short {
            Some(number) => self.replies.short(number),
            None => self.replies.usual(key),
        };
        Some(reply)
    }

    /// A request that was sent on an earlier connection is sent again. Answers to what was
    /// sent before are not its answers any more. `None` if its answer is there, or if no
    /// short number is free.
    pub fn send_again(&mut self, key: PendingKey, now: Time, sent_on: Connection) -> Option<Reply> {
        if !self.replies.can_shorten() {
            return None;
        }
        self.begin_time(key, now, sent_on)?;
        let number = self.replies.shorten(key);
        if let Some(before) = self.pending[key].short.replace(number) {
            self.replies.forget(before);
        }
        Some(self.replies.short(number))
    }

    /// The time of a request that is still without answer begins.
    fn begin_time(&mut self, key: PendingKey, now: Time, sent_on: Connection) -> Option<()> {
        if matches!(self.pending.get(key)?.timer, Timer::Stopped) {
            return None;
        }
        self.stop_timer(key);
        let timer = self.usual.insert(now, key);
        let pending = &mut self.pending[key];
        pending.timer = Timer::Usual(timer);
        (pending.sent, pending.sent_on) = (now, sent_on);
        Some(())
    }

    /// The request that a message on the inbox answers; `None` for one that is over, or
    /// was answered before, or sent again since.
    pub fn awaited(&self, subject: &[u8]) -> Option<PendingKey> {
        let (key, form) = self.replies.find(subject)?;
        let pending = self.pending.get(key)?;
        let is_form = pending.short.is_some() == (form == ReplyForm::Short);
        (is_form && !matches!(pending.timer, Timer::Stopped)).then_some(key)
    }

    /// How many places of the table are, or were, in use.
    pub fn places(&self) -> usize {
        self.pending.places()
    }

    /// The request in a place.
    pub fn key_at(&self, place: u32) -> Option<PendingKey> {
        self.pending.key_at(place)
    }

    /// A service sets another time-out, in milliseconds from now.
    pub fn extend(&mut self, key: PendingKey, now: Time, timeout: u64) {
        self.stop_timer(key);
        let due = Time(now.0.saturating_add(timeout.min(MAX_TIMEOUT)));
        self.set.insert((due, key));
        let pending = &mut self.pending[key];
        pending.timer = Timer::Set(due);
        if let Some(get) = GetFor::of(&pending.then) {
            self.extended_gets.insert(get, key);
        }
    }

    /// Notes that nobody is there who could answer an access request.
    pub fn note_unheard(&mut self, key: PendingKey) {
        if let Some(pending) = self.pending.get_mut(key)
            && let Then::Access(request) = &mut pending.then
        {
            request.is_unheard = true;
        }
    }

    /// The get request for something, if a service has given it another time-out.
    pub fn extended_get(&self, get: GetFor) -> Option<PendingKey> {
        self.extended_gets.get(&get).copied()
    }

    /// Whether a service has given any get request another time-out.
    pub fn has_extended_gets(&self) -> bool {
        !self.extended_gets.is_empty()
    }

    /// The answer is there, or none will come.
    pub fn stop_timer(&mut self, key: PendingKey) {
        let Some(pending) = self.pending.get_mut(key) else {
            return;
        };
        match std::mem::replace(&mut pending.timer, Timer::Stopped) {
            Timer::Stopped => {}
            Timer::Usual(timer) => self.usual.remove(timer),
            Timer::Set(due) | Timer::Waiting(due) => {
                self.set.remove(&(due, key));
            }
        }
    }

    /// A request whose time is over, and whether it was still to be sent.
    pub fn expired(&mut self, now: Time) -> Option<(PendingKey, bool)> {
        let set = self.set.first().copied().filter(|(due, _)| *due <= now);
        let key = match set {
            Some((due, key)) => {
                self.set.remove(&(due, key));
                key
            }
            None => self.usual.pop(now)?,
        };
        let timer = std::mem::replace(&mut self.pending[key].timer, Timer::Stopped);
        Some((key, matches!(timer, Timer::Waiting(_))))
    }

    /// A request that has been without answer for so long that it gives its place in a window
    /// back, if it has one.
    pub fn look_late(&mut self, now: Time) -> Option<PendingKey> {
        self.usual.look_late(now, PLACE_TIME)
    }

    /// When there will be such a request.
    pub fn next_late(&self) -> Option<Time> {
        self.usual.next_late(PLACE_TIME)
    }

    /// When the next request's time is over.
    pub fn next_timeout(&self) -> Option<Time> {
        let set = self.set.first().map(|(due, _)| *due);
        Time::first([self.usual.next(), set])
    }

    /// Takes a request out.
    pub fn close(&mut self, key: PendingKey) -> Option<Pending> {
        self.stop_timer(key);
        let pending = self.pending.remove(key)?;
        if let Some(number) = pending.short {
            self.replies.forget(number);
        }
        if !self.extended_gets.is_empty()
            && let Some(get) = GetFor::of(&pending.then)
            && self.extended_get(get) == Some(key)
        {
            self.extended_gets.remove(&get);
        }
        Some(pending)
    }

    /// An access request is sent with another token than it was to be.
    pub fn ask_with(&mut self, key: PendingKey, token: u32) {
        if let Then::Access(request) = &mut self.pending[key].then {
            request.token = token;
        }
    }

    /// One more use of the answer to an open access request.
    pub fn await_access(&mut self, key: PendingKey, purpose: Use) {
        if let Then::Access(request) = &mut self.pending[key].then {
            request.waiting.push(purpose);
        }
    }

    /// Makes an answer one that can be kept. Most are the same for all clients, and are kept
    /// once for all that came in a row.
    pub fn share_verdict(&mut self, verdict: Verdict) -> Rc<Verdict> {
        match &self.last_verdict {
            Some(last) if **last == verdict => last.clone(),
            _ => self.last_verdict.insert(Rc::new(verdict)).clone(),
        }
    }

    /// Checks timers and short numbers against the requests.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let (mut usual, mut set, mut short) = (0, 0, 0);
        for (key, pending) in self.pending.iter() {
            match pending.timer {
                Timer::Stopped => {}
                Timer::Usual(_) => usual += 1,
                Timer::Set(due) | Timer::Waiting(due) if self.set.contains(&(due, key)) => set += 1,
                Timer::Set(_) | Timer::Waiting(_) => {
                    return Err(format!("the request {key:?} has no timer"));
                }
            }
            short += usize::from(pending.short.is_some());
            let get = GetFor::of(&pending.then).filter(|_| pending.is_extended());
            if get.is_some_and(|get| self.extended_get(get) != Some(key)) {
                return Err(format!("the get request {key:?} has more time unseen"));
            }
        }
        let mut gets = self.extended_gets.values();
        if let Some(stale) = gets.find(|key| !self.pending.contains(**key)) {
            return Err(format!(
                "the get request {stale:?} has more time, and is over"
            ));
        }
        let kept = (self.usual.len(), self.set.len(), self.replies.short_len());
        match kept == (usual, set, short) {
            true => Ok(()),
            false => Err(format!(
                "timers and short numbers {kept:?} of {:?} requests",
                (usual, set, short)
            )),
        }
    }
}
