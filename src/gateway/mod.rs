//! The heart: a deterministic, sans-I/O state machine.
//!
//! Inputs are methods of [`Gateway`]; each takes the time, and writes what is to be
//! done into an [`Outbox`] that the caller drains after every call. Nothing blocks,
//! calls back or re-enters.

use crate::gateway::model::arena::Arena;
use crate::gateway::model::delay::DelayQueue;
use crate::gateway::model::keys::{NameKey, PendingKey, ResetKey, ResourceKey, SubKey, of};
use crate::gateway::model::outbox::Streak;
use crate::gateway::model::random::Random;
use crate::gateway::model::sid::Sid;
use crate::gateway::model::time::LINGER;
use crate::gateway::model::update::Recent;
use crate::gateway::parts::answers::SharedAnswers;
use crate::gateway::parts::cache::Cache;
use crate::gateway::parts::deprecated::Deprecated;
use crate::gateway::parts::holdings::Subs;
use crate::gateway::parts::replies::Replies;
use crate::gateway::parts::requests::{Job, Pending, Verdict};
use crate::gateway::parts::sessions::Client;
use crate::gateway::parts::throttle::{ResetThrottle, TreeThrottle};
use crate::gateway::parts::waiters::Waiter;
use crate::gateway::parts::worklist::Work;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

mod changes;
mod clients;
mod holdings;
mod model;
mod parts;
mod services;
#[cfg(test)]
mod tests;
mod turn;

pub use model::border::{
    BrokerLimits, BrokerMessage, Method, Options, Stats, WebAction, WebRequest, WriteHead,
};
pub use model::keys::ClientKey;
pub use model::outbox::{
    BrokerOp, CloseReason, Delivery, Message, Outbox, SharedAnswer, Span, WebResponse,
};
pub use model::time::Time;
pub use parts::counters::{Counters, Histogram, RequestKind, Requests};

/// Bytes of the scratch buffer that are kept.
const SCRATCH_KEPT: usize = 16 << 10;

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
    run: Option<Streak>,
    clients: Vec<Option<Box<Client>>>,
    client_count: usize,
    web_count: usize,
    counters: Counters,
    serials: u32,
    cache: Cache,
    subs: Subs,
    waiters: Arena<of::Waiter, Waiter>,
    pending: Arena<of::Pending, Pending>,
    /// Content versions made so far.
    versions: u64,
    work: VecDeque<Work>,
    /// Subscriptions that may have lost their last holder.
    suspects: Vec<SubKey>,
    jobs: VecDeque<(Job, Option<ResetKey>)>,
    /// The reset event that is being acted on.
    reset: Option<ResetKey>,
    reset_throttles: Arena<of::ResetThrottle, ResetThrottle>,
    reset_places: usize,
    tree_throttles: Arena<of::TreeThrottle, TreeThrottle>,
    tree_places: usize,
    background_open: usize,
    request_timers: DelayQueue<PendingKey>,
    set_timers: BTreeSet<(Time, PendingKey)>,
    lingering: DelayQueue<NameKey>,
    pauses: BTreeSet<(Time, ResourceKey)>,
    answers: SharedAnswers,
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
            answers: SharedAnswers::default(),
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
