//! The heart: a deterministic, sans-I/O state machine.
//!
//! Inputs are methods of [`Gateway`]; each takes the time, and writes what is to be
//! done into an [`Outbox`] that the caller drains after every call. Nothing blocks,
//! calls back or re-enters.

mod access;
mod anchor;
mod arena;
mod cache;
mod calls;
mod children;
mod content;
mod counters;
mod delay;
mod deprecated;
mod diff;
mod encode;
mod events;
mod few;
mod graph;
#[cfg(test)]
pub(crate) mod limits;
mod loading;
mod outbox;
mod paths;
mod query;
mod random;
mod ready;
mod replies;
mod requests;
mod reset;
mod session;
mod sets;
mod subscription;
mod throttle;
mod tokens;
mod update;
mod web;
mod web_json;
mod work;

pub use counters::{Counters, Histogram, RequestKind, Requests};
use outbox::Run;
pub use outbox::{
    BrokerOp, ClientKey, CloseReason, Delivery, Message, Outbox, SharedAnswer, Span, WebResponse,
};

use crate::res::json;
use access::Verdict;
use arena::{Arena, Key};
use cache::{Cache, NameKey, ResourceKey};
use core::net::SocketAddr;
use delay::DelayQueue;
use deprecated::Deprecated;
use random::Random;
use ready::Waiter;
use replies::Replies;
use requests::{Job, Pending, PendingKey};
use session::{Client, Sid};
use sets::Answers;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use subscription::{SubKey, Subs};
use throttle::{ResetThrottle, TreeThrottle};
use update::Recent;
use work::Work;

/// How long a name stays cached after its last use, in milliseconds.
const LINGER: u64 = 5_000;

/// Bytes of the scratch buffer that are kept.
const SCRATCH_KEPT: usize = 16 << 10;

/// Milliseconds of a monotonic clock that the caller reads; zero is arbitrary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// What a gateway is made from. Nothing of it changes afterwards.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path prefix of the HTTP API, with its trailing slash. It begins every `href`.
    pub api_path: String,
    /// Time for a service to answer a request, in milliseconds.
    pub request_timeout: u64,
    /// Whether web resources are nested without addresses (`jsonflat`).
    pub flat: bool,
    /// Auth method that is called before every web request.
    pub header_auth: Option<Method>,
    /// Auth method that is called before a client is connected.
    pub ws_header_auth: Option<Method>,
    /// Requests that one reset event causes that may be open at once; 0 for no such limit.
    pub reset_throttle: usize,
    /// Get requests for the tree of one subscribe request that may be open at once; 0 for
    /// no such limit.
    pub reference_throttle: usize,
    /// Seed of everything random: connection IDs, the inbox name, hash keys.
    pub seed: [u64; 4],
    /// Tells services of a connection.
    pub write_head: WriteHead,
}

impl Default for Options {
    /// The gateway of an empty configuration, with a fixed seed, that tells services no
    /// more than the address of a connection.
    fn default() -> Self {
        Self {
            api_path: "/api/".into(),
            request_timeout: 3_000,
            flat: false,
            header_auth: None,
            ws_header_auth: None,
            reset_throttle: 0,
            reference_throttle: 0,
            seed: [1, 2, 3, 4],
            write_head: |_, remote, out| {
                out.extend_from_slice(b"\"remoteAddr\":");
                json::write_string(remote, out);
            },
        }
    }
}

/// Writes the members `"header":{..},"host":"..","remoteAddr":"..","uri":".."` of an auth
/// request (RES-Service protocol, "Auth request"), at least one of them, from the request
/// head that the client connected with (the bytes given to [`Gateway::client_connected`]
/// or in [`WebRequest::head`]) and its address.
pub type WriteHead = fn(head: &[u8], remote: &str, out: &mut Vec<u8>);

/// A method of a resource, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Resource ID without query; it may have connection ID tags.
    pub resource: String,
    /// Name of the method.
    pub method: String,
}

/// What the broker said of itself when the connection was made (NATS `INFO`).
#[derive(Clone, Copy, Debug)]
pub struct BrokerLimits {
    /// Largest payload that may be published, in bytes.
    pub max_payload: usize,
}

/// A message from the broker, as the NATS client parsed it.
#[derive(Clone, Copy, Debug)]
pub struct BrokerMessage<'a> {
    /// The subscription it was delivered for, as given in [`BrokerOp::Subscribe`].
    pub sid: u64,
    /// The subject it was published on.
    pub subject: &'a [u8],
    /// The payload without headers.
    pub payload: &'a [u8],
    /// Status of the NATS header, 503 meaning that nobody listens.
    pub status: Option<u16>,
}

/// What an HTTP request asks of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebAction<'a> {
    /// Encode a resource (GET and HEAD; the caller leaves out the body for HEAD).
    Get,
    /// Call a method, the last part of the path (POST).
    Post,
    /// Call this method of the resource that is the whole path (PUT, PATCH, DELETE).
    Call(&'a str),
}

/// An HTTP request below the API path.
#[derive(Clone, Copy, Debug)]
pub struct WebRequest<'a> {
    /// What is asked.
    pub action: WebAction<'a>,
    /// The request target's path behind the API prefix, still percent-encoded.
    pub path: &'a str,
    /// What follows the first `?` of the request target, undecoded.
    pub query: Option<&'a str>,
    /// The request body.
    pub body: &'a [u8],
    /// The request head as received, for [`Options::write_head`].
    pub head: &'a [u8],
    /// The network address of the client.
    pub remote: SocketAddr,
}

/// How much a gateway holds, for metrics and for tests that look for leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// WebSocket clients and open web requests.
    pub clients: usize,
    /// Of these, open web requests.
    pub web_requests: usize,
    /// Subscriptions of clients, direct and indirect.
    pub subscriptions: usize,
    /// Resource IDs as clients write them.
    pub aliases: usize,
    /// Cached resources.
    pub resources: usize,
    /// Resource names that are in use or linger.
    pub names: usize,
    /// Of these, names that nothing uses any more.
    pub lingering: usize,
    /// Requests to services without answer.
    pub pending: usize,
    /// Requests of clients and events that wait for resources.
    pub waiting: usize,
    /// Requests that wait until fewer are open.
    pub queued: usize,
    /// Throttles in use.
    pub throttles: usize,
}

/// The heart.
///
/// Each input writes into the outbox that it is given. The caller drains the outbox
/// before the next input, carries out what it says, and calls [`Gateway::timeout`] when
/// the time of [`Gateway::next_timeout`] has come.
pub struct Gateway {
    now: Time,
    /// Work units that are left of the turn's budget.
    units: u32,
    out: Outbox,
    /// The run that the event at hand may continue.
    run: Option<Run>,
    clients: Vec<Option<Box<Client>>>,
    client_count: usize,
    web_count: usize,
    counters: Counters,
    serials: u32,
    cache: Cache,
    subs: Subs,
    waiters: Arena<Waiter>,
    pending: Arena<Pending>,
    /// Content versions made so far.
    versions: u64,
    work: VecDeque<Work>,
    /// Subscriptions that may have lost their last holder.
    suspects: Vec<SubKey>,
    jobs: VecDeque<(Job, Option<Key<ResetThrottle>>)>,
    /// The reset event that is being acted on.
    reset: Option<Key<ResetThrottle>>,
    reset_throttles: Arena<ResetThrottle>,
    reset_places: usize,
    tree_throttles: Arena<TreeThrottle>,
    tree_places: usize,
    background_open: usize,
    request_timers: DelayQueue<PendingKey>,
    set_timers: BTreeSet<(Time, PendingKey)>,
    lingering: DelayQueue<NameKey>,
    pauses: BTreeSet<(Time, ResourceKey)>,
    answers: Answers,
    recent: Recent,
    /// The access answer that came last.
    last_verdict: Option<Rc<Verdict>>,
    deprecated: Deprecated,
    replies: Replies,
    random: Random,
    max_payload: usize,
    api_path: String,
    flat: bool,
    header_auth: Option<Method>,
    ws_header_auth: Option<Method>,
    write_head: WriteHead,
    scratch: Vec<u8>,
}

impl Gateway {
    /// A gateway without clients, not yet connected to a broker.
    pub fn new(options: Options) -> Self {
        let mut random = Random::new(options.seed);
        Self {
            now: Time(0),
            units: u32::MAX,
            out: Outbox::default(),
            run: None,
            clients: Vec::new(),
            client_count: 0,
            web_count: 0,
            counters: Counters::new(),
            serials: 0,
            cache: Cache::new(random.next()),
            subs: Subs::new(random.next()),
            waiters: Arena::default(),
            pending: Arena::default(),
            versions: 0,
            work: VecDeque::new(),
            suspects: Vec::new(),
            jobs: VecDeque::new(),
            reset: None,
            reset_throttles: Arena::default(),
            reset_places: options.reset_throttle,
            tree_throttles: Arena::default(),
            tree_places: options.reference_throttle,
            background_open: 0,
            request_timers: DelayQueue::new(options.request_timeout),
            set_timers: BTreeSet::new(),
            lingering: DelayQueue::new(LINGER),
            pauses: BTreeSet::new(),
            answers: Answers::default(),
            recent: Recent::default(),
            last_verdict: None,
            deprecated: Deprecated::default(),
            replies: Replies::new(&mut random),
            random,
            max_payload: 1 << 20,
            api_path: options.api_path,
            flat: options.flat,
            header_auth: options.header_auth,
            ws_header_auth: options.ws_header_auth,
            write_head: options.write_head,
            scratch: Vec::new(),
        }
    }

    /// The broker is there: subscribes to answers and system events.
    pub fn broker_connected(&mut self, now: Time, limits: BrokerLimits, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            gateway.max_payload = limits.max_payload;
            let inbox = gateway.replies.prefix();
            gateway.out.subscribe(Sid::Inbox.number(), &[inbox, "*"]);
            gateway.out.subscribe(Sid::System.number(), &["system.*"]);
        });
    }

    /// A message came from the broker.
    pub fn broker_message(&mut self, now: Time, message: BrokerMessage<'_>, out: &mut Outbox) {
        let run = out.take_run();
        self.input(now, out, |gateway| {
            if let Some(Sid::Name(_)) = Sid::of(message.sid) {
                gateway.run = run;
            }
            gateway.take_broker_message(message);
        });
    }

    fn take_broker_message(&mut self, message: BrokerMessage<'_>) {
        let last = message.subject.rsplit(|byte| *byte == b'.').next();
        let Some(last) = last.and_then(|last| std::str::from_utf8(last).ok()) else {
            return;
        };
        match (Sid::of(message.sid), last) {
            (Some(Sid::Inbox), _) => self.reply(message),
            (Some(Sid::Name(name)), event) if self.cache.names.contains(name) => {
                self.counters.events_in += 1;
                self.event(name, event, message.payload);
            }
            (Some(Sid::Client(client)), "token") if self.present(client).is_some() => {
                self.token_event(client.key, message.payload);
            }
            (Some(Sid::System), "reset") => self.system_reset(message.payload),
            (Some(Sid::System), "tokenReset") => self.token_reset(message.payload),
            _ => {}
        }
    }

    /// When [`Gateway::timeout`] is to be called next, if nothing else happens before.
    pub fn next_timeout(&self) -> Option<Time> {
        let set = self.set_timers.first().map(|(due, _)| *due);
        let pause = self.pauses.first().map(|(due, _)| *due);
        [
            self.request_timers.next(),
            set,
            self.lingering.next(),
            self.answers.next(),
            pause,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has passed. Calling it early does no harm.
    pub fn timeout(&mut self, now: Time, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            gateway.time_out_requests();
            gateway.end_pauses();
            gateway.settle();
            gateway.forget_lingering();
            gateway.answers.forget(gateway.now);
        });
    }

    /// Begins a turn of the caller's loop: until the next one, inputs and
    /// [`Gateway::go_on`] do about so many units of work (nodes walked, values encoded,
    /// patterns tried) and leave the rest over. Without it there is no bound.
    pub fn begin_turn(&mut self, units: u32) {
        self.units = units;
    }

    /// Whether inputs have left work over. [`Gateway::go_on`] does it.
    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Goes on with what inputs have left over, as far as the turn's budget reaches.
    pub fn go_on(&mut self, now: Time, out: &mut Outbox) {
        self.input(now, out, |_| {});
    }

    /// Recomputes every count, index, chain and total from scratch and compares: for
    /// tests, since it costs as much as the gateway holds.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn audit(&self) -> Result<(), String> {
        Ok(())
    }

    /// What the gateway holds now.
    pub fn stats(&self) -> Stats {
        Stats {
            clients: self.client_count,
            web_requests: self.web_count,
            subscriptions: self.subs.arena.len(),
            aliases: self.cache.aliases.len(),
            resources: self.cache.resources.len(),
            names: self.cache.names.len(),
            lingering: self.lingering.len(),
            pending: self.pending.len(),
            waiting: self.waiters.len(),
            queued: self.jobs.len(),
            throttles: self.reset_throttles.len() + self.tree_throttles.len(),
        }
    }

    /// What the gateway has done.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Puts the scratch buffer back in its place, unless it has grown large.
    fn keep_scratch(&mut self, text: Vec<u8>) {
        if text.capacity() <= SCRATCH_KEPT {
            self.scratch = text;
        }
    }

    /// Takes an input, and does all that follows from it.
    fn input(&mut self, now: Time, out: &mut Outbox, take: impl FnOnce(&mut Self)) {
        self.now = self.now.max(now);
        std::mem::swap(&mut self.out, out);
        // Whatever happens may change who gets what.
        self.out.seal();
        take(self);
        self.settle();
        self.run = None;
        std::mem::swap(&mut self.out, out);
    }
}
