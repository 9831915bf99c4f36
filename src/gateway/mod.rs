//! The heart: a deterministic, sans-I/O state machine.
//!
//! Inputs are methods of [`Gateway`]; each takes the time, and writes what is to be
//! done into an [`Outbox`] that the caller drains after every call. Nothing blocks,
//! calls back or re-enters.
//!
//! The rooms, each of which uses only those before it: `model` (values and keys), `parts`
//! (what is kept, a part with its rules each), this file (a gateway is made of parts), and
//! the wings, which say what happens: `holdings`, `services`, `changes`, `clients`.

mod audit;
mod changes;
mod clients;
mod holdings;
#[cfg(test)]
pub(crate) mod limits;
pub mod look;
mod model;
mod parts;
mod services;
#[cfg(test)]
mod tests;
mod turn;

pub use model::border::{
    BrokerLimits, BrokerMessage, CacheLimits, Method, Options, Refusal, Stats, TraceHeaders,
    WebAction, WebRequest, WriteHead,
};
pub use model::keys::ClientKey;
pub use model::outbox::{
    BrokerOp, Bytes, CloseReason, Delivery, Encoding, InQueues, Lane, Message, Outbox,
    SharedAnswer, Span, StreamStart, WebBody, WebResponse,
};
pub(crate) use model::paths::{path_to_id, with_query};
pub use model::queue::QueueLimits;
pub use model::rate::{Rate, Used};
pub use model::tag::{Have, Tag};
pub use model::time::Time;
pub use parts::counters::{Counters, Histogram, PatternTimes, RequestKind, Requests};
pub use parts::windows::WINDOW;

use model::event::EventKind;
use model::keys::{ClientRef, NameKey, ResourceKey};
use model::outbox::Streak;
use model::random::Random;
use model::sid::Sid;
use parts::background::Background;
use parts::broker::Broker;
use parts::cache::{Cache, Resets};
use parts::deprecated::Deprecated;
use parts::expansions::Expansions;
use parts::haves::Haves;
use parts::holdings::Holdings;
use parts::presence::Presence;
use parts::queues::Queues;
use parts::renewals::Renewals;
use parts::requests;
use parts::sendings::Sendings;
use parts::sessions::Sessions;
use parts::texts::Texts;
use parts::trees::Trees;
use parts::unsettled::Unsettled;
use parts::waiters::Waiters;
use parts::warnings::{Warning, Warnings};
use parts::windows::Windows;
use parts::worklist::{Origin, Worklist};

/// Work units of an input, whatever follows from it.
const INPUT_UNITS: usize = 16;

/// Bytes of an input that cost a work unit: reading JSON takes longer than copying it.
const PARSED: usize = 8;

/// The heart.
///
/// Each input writes into the outbox that it is given. The caller drains the outbox
/// before the next input, carries out what it says, and calls [`Gateway::timeout`] when
/// the time of [`Gateway::next_timeout`] has come. Where it bounds its turns with
/// [`Gateway::begin_turn`], it calls [`Gateway::go_on`] while [`Gateway::has_work`].
///
/// A client subscribes to a model, and is sent an event of it:
///
/// ```
/// use tidegate::gateway::{
///     BrokerLimits, BrokerMessage, BrokerOp, ClientKey, Gateway, Options, Outbox, Time,
/// };
///
/// let (mut gateway, mut out, now) = (Gateway::new(Options::default()), Outbox::default(), Time(0));
/// let limits = BrokerLimits { max_payload: 1 << 20, max_line: 4096 };
/// gateway.broker_connected(now, limits, &mut out);
/// let inbox = out.broker().iter().find_map(|op| match *op {
///     BrokerOp::Subscribe { sid, subject, .. } if out.bytes(subject).starts_with(b"_INBOX.") => Some(sid),
///     _ => None,
/// });
/// out.clear();
///
/// // Connect and subscribe: a service is asked for access and content.
/// let client = ClientKey(0);
/// let remote = ([127, 0, 0, 1], 50_000).into();
/// gateway.client_connected(now, client, Box::default(), remote, &mut out);
/// let request = br#"{"id":1,"method":"subscribe.example.model"}"#;
/// gateway.client_message(now, client, request, &mut out);
/// let (mut asked, mut events) = (Vec::new(), None);
/// for op in out.broker() {
///     match *op {
///         BrokerOp::Publish { subject, reply, .. } => {
///             asked.push((out.bytes(subject).to_vec(), out.bytes(reply).to_vec()));
///         }
///         BrokerOp::Subscribe { sid, subject, .. } if out.bytes(subject) == b"event.example.model.*" => {
///             events = Some(sid);
///         }
///         _ => {}
///     }
/// }
///
/// // The service answers both; the client gets the model.
/// for (subject, reply) in asked {
///     out.clear();
///     let payload: &[u8] = match &subject[..] {
///         b"get.example.model" => br#"{"result":{"model":{"message":"Hello"}}}"#,
///         _ => br#"{"result":{"get":true}}"#,
///     };
///     let (sid, subject) = (inbox.unwrap(), &reply[..]);
///     gateway.broker_message(now, BrokerMessage { sid, subject, payload, status: None, reply: None }, &mut out);
/// }
/// let (to, answer) = out.drain_clients().next().unwrap();
/// assert_eq!(to, client);
/// assert_eq!(
///     &*answer.text().unwrap(),
///     br#"{"result":{"models":{"example.model":{"message":"Hello"}}},"id":1}"#,
/// );
///
/// // An event of the model.
/// out.clear();
/// let message = BrokerMessage {
///     sid: events.unwrap(),
///     subject: b"event.example.model.change",
///     payload: br#"{"values":{"message":"Bye"}}"#,
///     status: None,
///     reply: None,
/// };
/// gateway.broker_message(now, message, &mut out);
/// let (_, event) = out.drain_clients().next().unwrap();
/// assert_eq!(
///     &*event.text().unwrap(),
///     br#"{"event":"example.model.change","data":{"values":{"message":"Bye"}}}"#,
/// );
/// ```
#[derive(Debug)]
pub struct Gateway {
    now: Time,
    out: Outbox,
    /// The streak that the event at hand may continue.
    streak: Option<Streak>,
    work: Worklist,
    sessions: Sessions,
    sendings: Sendings,
    haves: Haves,
    cache: Cache,
    holdings: Holdings,
    waiters: Waiters,
    requests: requests::Requests,
    background: Background,
    broker: Broker,
    windows: Windows,
    resets: Resets,
    /// Token reset events that are being acted on.
    renewals: Renewals,
    trees: Trees,
    queues: Queues,
    /// Where services are told who is connected.
    presence: Option<Box<Presence>>,
    unsettled: Unsettled,
    texts: Texts,
    expansions: Expansions,
    counters: Counters,
    deprecated: Deprecated,
    warnings: Warnings,
    random: Random,
    options: Options,
    #[cfg(debug_assertions)]
    unaudited: audit::Unaudited,
}

impl Gateway {
    /// A gateway without clients, not yet connected to a broker.
    pub fn new(options: Options) -> Self {
        let mut random = Random::new(options.seed);
        Self {
            now: Time(0),
            out: Outbox::default(),
            streak: None,
            work: Worklist::default(),
            sessions: Sessions::new(options.finds_clients),
            sendings: Sendings::default(),
            haves: Haves::default(),
            cache: Cache::new(random.next()),
            holdings: Holdings::new(random.next()),
            waiters: Waiters::default(),
            requests: requests::Requests::new(options.request_timeout, &mut random),
            background: Background::new(options.reset_throttle),
            broker: Broker::default(),
            windows: Windows::new(options.window),
            resets: Resets::default(),
            renewals: Renewals::default(),
            trees: Trees::new(options.reference_throttle),
            queues: Queues::new(options.queues),
            presence: Presence::new(options.heartbeat, &mut random),
            unsettled: Unsettled::default(),
            texts: Texts::default(),
            expansions: Expansions::default(),
            counters: Counters::new(&options.latency_patterns),
            deprecated: Deprecated::default(),
            warnings: Warnings::default(),
            random,
            options,
            #[cfg(debug_assertions)]
            unaudited: audit::Unaudited::default(),
        }
    }

    /// A message came from the broker.
    pub fn broker_message(&mut self, now: Time, message: BrokerMessage<'_>, out: &mut Outbox) {
        let streak = out.take_streak();
        self.input(now, out, |gateway| {
            gateway.take_in(message.payload.len());
            if let Some(Sid::Name(_)) = Sid::of(message.sid) {
                gateway.streak = streak;
            }
            gateway.take_broker_message(message)
        });
    }

    /// Whether messages for a broker subscription may be dropped unseen, if
    /// [`Gateway::messages_dropped`] is told: those that a service can be asked about.
    pub fn may_drop(sid: u64) -> bool {
        matches!(Sid::of(sid), Some(Sid::Name(_)))
    }

    /// ID and subject of a subscription that shows whether the broker lets the gateway hear of
    /// connections, before there are any. No message comes for it.
    pub fn probe() -> (u64, &'static [u8]) {
        let nobody = ClientRef {
            key: ClientKey(0),
            serial: u32::MAX,
        };
        (Sid::Client(nobody).number(), b"conn.nobody.*")
    }

    /// Whether messages for a broker subscription are answers to requests, of which each
    /// counts once, wherever it comes from.
    pub fn is_answer(sid: u64) -> bool {
        matches!(Sid::of(sid), Some(Sid::Inbox))
    }

    /// Messages for these broker subscriptions were dropped unseen, since more of them
    /// waited than can be taken; all that came before was taken or dropped with them. What
    /// they were about is asked for again.
    pub fn messages_dropped(&mut self, now: Time, sids: &[u64], out: &mut Outbox) {
        self.input(now, out, |gateway| {
            for sid in sids {
                if let Some(Sid::Name(name)) = Sid::of(*sid)
                    && gateway.cache.names().contains(name)
                {
                    gateway.events_lost(name);
                }
            }
            Origin::System
        });
    }

    fn take_broker_message(&mut self, message: BrokerMessage<'_>) -> Origin {
        let sid = Sid::of(message.sid);
        if let Some(Sid::Inbox) = sid {
            return self.reply(message);
        }
        let last = message.subject.rsplit(|byte| *byte == b'.').next();
        let Some(last) = last.and_then(|last| std::str::from_utf8(last).ok()) else {
            return Origin::System;
        };
        match (sid, last) {
            (Some(Sid::Name(name)), event) if self.cache.names().contains(name) => {
                self.counters.events_in += 1;
                self.event(name, EventKind::of(event), message.payload);
                return Origin::Name(name);
            }
            (Some(Sid::Client(client)), "token") if self.sessions.present(client).is_some() => {
                self.token_event(client.key, message.payload);
                return Origin::Client(client.key);
            }
            (Some(Sid::System), "reset") => self.system_reset(message.payload),
            (Some(Sid::System), "tokenReset") => self.token_reset(message.payload),
            (Some(Sid::System), "connections") => self.connections_asked(message.reply),
            _ => {}
        }
        Origin::System
    }

    /// When [`Gateway::timeout`] is to be called next, if nothing else happens before. What
    /// is due already and was left over is [`Gateway::go_on`]'s.
    pub fn next_timeout(&self) -> Option<Time> {
        self.next_due()
            .filter(|due| *due > self.now || !self.work.has_due())
    }

    fn next_due(&self) -> Option<Time> {
        Time::first([
            self.requests.next_timeout(),
            self.cache.next_linger(),
            self.texts.next_timeout(),
            self.haves.next_timeout(),
            self.cache.next_pause(),
            self.background.next_pause(),
            // Places matter to those who wait for one.
            (self.requests.next_late()).filter(|_| self.wants_places()),
        ])
    }

    /// Time has passed. Calling it early does no harm.
    pub fn timeout(&mut self, now: Time, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            if !gateway.work.has_due() {
                gateway.do_what_is_due();
            }
            Origin::System
        });
    }

    /// Begins a turn of the caller's loop: until the next one, inputs and
    /// [`Gateway::go_on`] do about so many units of work and leave the rest over. A unit
    /// is a node walked, a pattern tried, a message queued, or 64 bytes of text. Without
    /// it there is no bound.
    pub fn begin_turn(&mut self, units: u32) {
        self.work.begin_turn(units);
    }

    /// Charges the turn for work that the caller did for an input, in work units.
    pub fn charge(&mut self, units: usize) {
        self.work.spend(units);
    }

    /// Work units that are left of the turn's budget.
    pub fn units_left(&self) -> u32 {
        self.work.units_left()
    }

    /// Charges the turn for taking an input of so many bytes.
    fn take_in(&mut self, bytes: usize) {
        self.work.spend(INPUT_UNITS + bytes / PARSED);
    }

    /// Whether inputs have left work over. [`Gateway::go_on`] does it.
    pub fn has_work(&self) -> bool {
        self.work.has_left() || self.broker.is_there() && self.background.can_start()
    }

    /// Goes on with what inputs have left over, as far as the turn's budget reaches:
    /// in order for each client and each name, and in turn between them.
    pub fn go_on(&mut self, now: Time, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            gateway.do_what_is_left();
            Origin::System
        });
    }

    /// Work units that were done so far, for tests: what a turn takes is asserted in units,
    /// not in time.
    pub fn work_done(&self) -> u64 {
        self.work.spent()
    }

    /// What the gateway holds now.
    pub fn stats(&self) -> Stats {
        Stats {
            clients: self.sessions.count(),
            web_requests: self.sessions.http_count(),
            streams: self.sessions.stream_count(),
            subscriptions: self.holdings.len(),
            aliases: self.cache.aliases().len(),
            resources: self.cache.resources().len(),
            cached_bytes: self.cache.bytes(),
            names: self.cache.names().len(),
            lingering: self.cache.lingering(),
            pending: self.requests.len(),
            waiting: self.waiters.len(),
            queued: self.background.waiting(),
            parked: self.windows.waiting(),
            throttles: self.background.throttles() + self.trees.len(),
        }
    }

    /// What the gateway has done.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Warns about a name, which the line begins with: once a minute for each kind, and
    /// otherwise at debug level.
    fn warn(&mut self, kind: Warning, name: NameKey, text: std::fmt::Arguments<'_>) {
        let name = self.cache.name_text(name);
        self.warnings
            .warn(self.now, kind, name, format_args!("{name}: {text}"));
    }

    /// The same about a resource, which is shown with its query and counts by its name.
    fn warn_of(&mut self, kind: Warning, key: ResourceKey, text: std::fmt::Arguments<'_>) {
        let Some(resource) = self.cache.resources().get(key) else {
            return;
        };
        let (name, query) = (self.cache.name_text(resource.name), &resource.query);
        let mark = if query.is_empty() { "" } else { "?" };
        let text = format_args!("{name}{mark}{query}: {text}");
        self.warnings.warn(self.now, kind, name, text);
    }

    /// Takes an input, and does all that follows from it as far as the turn's budget
    /// reaches. `take` says whose input it is.
    fn input(&mut self, now: Time, out: &mut Outbox, take: impl FnOnce(&mut Self) -> Origin) {
        self.now = self.now.max(now);
        std::mem::swap(&mut self.out, out);
        // Whatever happens may change who gets what.
        self.out.seal();
        let origin = take(self);
        self.settle(origin);
        self.resume_settled();
        self.streak = None;
        std::mem::swap(&mut self.out, out);
        #[cfg(debug_assertions)]
        self.audit_now_and_then();
    }
}
