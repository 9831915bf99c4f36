//! The poll loop: the only part that touches sockets, the clock and signals.
//!
//! One `Reactor` owns the listener, the clients' sockets, the link to NATS, the timers
//! and the signals. A turn of its loop is, in this order: poll, accept, step the link,
//! read from NATS, serve clients, go on with TLS handshakes, timers, write to NATS, write
//! to clients, look for slow ones, free the connections that ended, serve operators. Each
//! step has a budget; what is left over makes the next poll return at once. There is no
//! other loop: while the link is made, turns are taken as ever.
//!
//! The poll is edge-triggered, and no socket is ever registered again: whoever stops
//! reading or writing before the socket says so is remembered in a list.

mod address;
mod admission;
mod away;
mod backlog;
mod broker;
mod check;
mod clients;
mod clock;
mod compression;
mod connection;
mod console;
mod deadlines;
mod deliver;
mod demo;
mod denials;
mod drain;
mod drift;
mod due;
mod entrance;
mod error;
mod events;
mod framing;
mod gap;
mod goodbyes;
mod hand;
mod hearing;
mod heartbeat;
mod identity;
mod inherited;
mod input;
mod jitter;
#[cfg(test)]
pub(crate) mod limits;
mod link;
mod listener;
mod monitor;
mod output;
mod parent;
mod process;
mod pulse;
mod rates;
mod resolver;
mod rotation;
mod services;
mod signals;
mod site;
mod streak;
mod stream;
mod supervisor;
mod table;
mod trace;
mod trace_context;
mod turn;

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::time::Duration;

use mio::{Events, Poll, Registry, Token, Waker};

use crate::broker::Secret;
use crate::config::{ApiEncoding, AuthMethod, Config};
use crate::console::Console;
use crate::control::{Channel, Inside, Report, Start};
use crate::gateway::{
    BrokerMessage, CacheLimits, Delivery, Gateway, Method, Options, Outbox, QueueLimits, Rate, Time,
};
use crate::http::write_head;
use crate::metrics::Metrics;
use crate::nats::{Event, ServerUrl};
use crate::res::Pattern;
use crate::secrets::BrokerSecrets;

use admission::Admission;
use away::Absence;
pub use check::{Finding, Grade, check};
use clients::Clients;
pub(crate) use clock::{Clock, unix_seconds};
use compression::Compression;
pub(crate) use connection::is_monitor;
use connection::{BROKER, BROKER_NEXT, LISTENER, PARENT, RESOLVER, SIGNALS};
use deadlines::Durations;
use deliver::deliver;
use drain::Drain;
use drift::Drift;
use entrance::Proxies;
pub use error::{BrokerError, Error, Refusal};
use gap::Gap;
use heartbeat::Heartbeat;
use identity::Identity;
pub(crate) use inherited::Inherited;
use input::READ_MAX;
use link::{Keeping, Link};
use listener::Listener;
pub(crate) use listener::{is_free, reserve};
pub(crate) use monitor::{Monitor, Page};
use parent::Parent;
use rates::Rates;
use resolver::Resolver;
use rotation::Rotation;
pub(crate) use services::check_inside;
use services::{Doors, Services};
use signals::Signals;
pub(crate) use signals::ignored;
use site::Site;
use streak::Streak;
pub(crate) use supervisor::Supervisor;
use trace_context::trace_headers;
use turn::Turn;

/// Readiness events taken in one turn.
const EVENTS: usize = 1_024;

/// Bytes that are read from NATS in one turn before clients have theirs.
pub(crate) const BROKER_BUDGET: usize = 256 << 10;

/// Descriptors that clients do not get, beside those for operators: to load certificates
/// again, to look up a name, to read what memory is in use.
pub(crate) const DESCRIPTORS_KEPT: u64 = 16;

/// Runs the gateway until a signal asks it to end, or until it cannot go on.
///
/// It connects to NATS first and listens only then, so that a client that can connect
/// is served; sockets that a supervisor has handed over are taken in place of its own. SIGINT, SIGTERM and SIGQUIT end it, and clients are closed over `drainTime`.
/// SIGHUP does too, unless clients are served TLS: then certificate and key are read again.
///
/// # Errors
///
/// [`Error`]; its text is for the user. Clients were disconnected.
pub fn run(config: &Config) -> Result<(), Error> {
    let inherited = Inherited::take()?;
    if let Some(cpu) = config.cpu {
        process::pin_to_cpu(cpu).map_err(|source| Error::Cpu { cpu, source })?;
    }
    let supervisor = Supervisor::take();
    let given = Given {
        supervisor,
        ..Given::default()
    };
    begin(config, inherited, given)
}

/// Runs a worker: the gateway in the place among others that the first process has given it.
///
/// # Errors
///
/// As [`run`].
pub fn work(mut config: Config, start: Start) -> Result<(), Error> {
    let Start {
        place,
        sockets,
        channel,
    } = start;
    if let Some(cpu) = place.cpu
        && let Err(error) = process::pin_to_cpu(cpu)
    {
        log::warn!("cannot bind to CPU {cpu}: {error}");
    }
    // There is one for all.
    config.metrics_port = None;
    let mut sockets = sockets.into_iter();
    let mut next = || {
        sockets.next().ok_or(Error::System {
            what: "have the sockets of the first process",
            source: ErrorKind::NotFound.into(),
        })
    };
    let inherited = Inherited {
        clients: Some(next()?),
        metrics: None,
    };
    let mut given = Given {
        parent: Some(channel),
        ..Given::default()
    };
    match place.broker {
        None => {}
        Some(inside) if inside.is_here => {
            given.doors = Some(Doors {
                services: next()?,
                workers: next()?,
                secret: Secret::Password {
                    user: WORKER.to_owned(),
                    password: inside.secret,
                },
            });
        }
        Some(inside) => {
            let Inside { port, secret, .. } = inside;
            config.broker.addr = None;
            config.nats_url = format!("nats://{WORKER}:{secret}@127.0.0.1:{port}");
            config.nats_tls_first = false;
            (config.nats_creds, config.nats_cert, config.nats_key) = (None, None, None);
        }
    }
    begin(&config, inherited, given)
}

/// What others have given the process.
#[derive(Default)]
struct Given {
    /// systemd, or what does as it does.
    supervisor: Option<Box<Supervisor>>,
    /// The first process of several.
    parent: Option<Channel>,
    /// Sockets for a broker inside.
    doors: Option<Doors>,
}

fn begin(config: &Config, inherited: Inherited, given: Given) -> Result<(), Error> {
    match process::raise_descriptor_limit() {
        Ok(Some(limit)) => log::debug!("descriptor limit: {limit}"),
        Ok(None) => log::debug!("descriptor limit: none"),
        Err(error) => log::warn!(
            "cannot raise the limit of open files, which limits the clients: {error}; \
             raise it with ulimit -n"
        ),
    }
    let mut reactor = Reactor::new(config, Signals::new, given)?;
    let result = reactor.run(config, inherited);
    // The process ends. To free millions of entries one by one would only hold that up.
    std::mem::forget(reactor);
    result
}

/// Everything that the loop owns.
struct Reactor {
    poll: Poll,
    clock: Clock,
    gap: Gap,
    signals: Signals,
    listener: Option<Listener>,
    link: Link,
    /// The broker inside, in place of the link.
    services: Option<Box<Services>>,
    absence: Absence,
    drift: Option<Drift>,
    heartbeat: Option<Heartbeat>,
    clients: Clients,
    site: Site,
    compression: Compression,
    rates: Rates,
    proxies: Proxies,
    monitor: Option<Box<Monitor>>,
    supervisor: Option<Box<Supervisor>>,
    /// The first process of several, of which this is one.
    parent: Option<Box<Parent>>,
    /// The service that shows the process itself.
    console: Option<Box<Console>>,
    metrics: Metrics,
    gateway: Gateway,
    outbox: Outbox,
    /// Events in a row, while NATS is read.
    streak: Streak,
    /// What is read from clients passes through here; a connection keeps only what it
    /// cannot parse yet.
    buffer: Vec<u8>,
    /// The same for ciphertext.
    wire: Vec<u8>,
    /// Bytes of memory that waiting input and output of all clients may take.
    max_buffers: usize,
    /// What this turn may still do.
    turn: Turn,
    /// The CPU time of this thread at the end of the last turn, in microseconds.
    cpu: u64,
    /// Messages taken from NATS in one turn, at most.
    broker_messages: u32,
    /// How TLS is spoken with new clients; `None` without TLS.
    tls: Option<Identity>,
}

/// The name by which workers are known to the broker inside one of them.
const WORKER: &str = "tidegate-worker";

/// [`Signals::new`], or what stands for it in tests.
type WatchSignals = fn(&Registry, Token, bool) -> io::Result<Signals>;

/// Why the loop ends.
enum End {
    Signal,
    Lost {
        url: String,
        cause: BrokerError,
        /// Milliseconds for which it was tried again.
        tried: u64,
    },
    Failed(Error),
}

/// What the heart is told of the configuration.
fn options(config: &Config, seed: [u64; 4]) -> Options {
    Options {
        api_path: config.api_path.clone(),
        request_timeout: millis(config.request_timeout),
        reset_throttle: config.reset_throttle as usize,
        reference_throttle: config.reference_throttle as usize,
        resources: crate::res::service::Limits {
            entries: config.max_entries as usize,
            bytes: config.max_resource_size as usize,
        },
        web_resources: config.api_max_resources.into(),
        web_bytes: config.api_max_bytes.into(),
        flat: config.api_encoding == ApiEncoding::JsonFlat,
        header_auth: config.header_auth.as_ref().map(method),
        ws_header_auth: config.ws_header_auth.as_ref().map(method),
        cached: CacheLimits {
            resources: config.max_cached_resources as usize,
            bytes: (config.max_cached_bytes as usize) << 20,
        },
        subscriptions: config.max_subscriptions,
        rate: Rate(config.max_requests_per_second),
        queues: QueueLimits::default(),
        heartbeat: config.connection_events.into(),
        finds_clients: config.console.is_some(),
        keep_tokens: away::keeps_tokens(config),
        window: crate::gateway::WINDOW,
        seed,
        write_head,
        trace_headers: config.trace_parent.then_some(trace_headers),
        latency_patterns: (config.latency_patterns.iter())
            .filter_map(|text| Pattern::parse(text))
            .collect(),
    }
}

impl Reactor {
    /// A reactor that has yet to connect to NATS and to listen.
    fn new(config: &Config, watch: WatchSignals, given: Given) -> Result<Self, Error> {
        let system = |what| move |source| Error::System { what, source };
        let servers = match config.broker.addr {
            None => ServerUrl::parse_list(&config.nats_url).map_err(Error::BrokerUrl)?,
            Some(_) => Vec::new(),
        };
        let poll = Poll::new().map_err(system("make a poll"))?;
        let clock = Clock::new();
        let tls = Identity::for_clients(config).map_err(Error::Secret)?;
        let secrets = BrokerSecrets::load(config).map_err(Error::Secret)?;
        let seed = process::random_seed().map_err(system("read random numbers"))?;
        let services = Services::bind(config, poll.registry(), seed, given.doors)?;
        let parent = given
            .parent
            .map(|channel| Parent::new(channel, poll.registry(), PARENT));
        let parent = parent
            .transpose()
            .map_err(system("hear the first process"))?;
        let can_reload = parent.is_some()
            || tls.is_some()
            || services.as_ref().is_some_and(|inside| inside.has_tls());
        let signals =
            watch(poll.registry(), SIGNALS, can_reload).map_err(system("watch for signals"))?;
        let waker = Waker::new(poll.registry(), RESOLVER).map_err(system("make a waker"))?;
        Ok(Self {
            poll,
            clock,
            gap: Gap::default(),
            signals,
            listener: None,
            link: Link::new(
                servers,
                secrets,
                Resolver::new(waker),
                Keeping {
                    is_kept: !config.nats_reconnect.is_zero(),
                    ping_interval: millis(config.nats_ping_interval),
                    seed: seed[0] ^ seed[1].rotate_left(32),
                },
            ),
            services,
            absence: Absence::new(config),
            drift: Drift::new(config.drift_audit, Time(0)),
            heartbeat: Heartbeat::new(config.connection_events, Time(0)),
            clients: Clients::new(
                pulse::hand(config.ping_interval.into()),
                Rotation::new(config.max_age.into(), seed[2]),
                Admission::new(config.max_connections, config.max_connections_per_address),
                Durations::new(config),
                config.flush_delay.into(),
            ),
            site: Site::new(config),
            compression: Compression::new(config.ws_compression),
            proxies: Proxies::new(config),
            rates: Rates::new(config.max_requests_per_second),
            monitor: None,
            supervisor: given.supervisor,
            parent,
            console: console::make(config, seed[3]),
            metrics: Metrics::new(unix_seconds()),
            gateway: Gateway::new(options(config, seed)),
            outbox: Outbox::default(),
            streak: Streak::default(),
            buffer: vec![0; READ_MAX],
            wire: Vec::new(),
            max_buffers: (config.max_buffers as usize) << 20,
            turn: Turn::default(),
            cpu: process::cpu_micros().unwrap_or(0),
            broker_messages: config.buffer_size,
            tls,
        })
    }

    fn listen(&mut self, config: &Config, inherited: Option<TcpListener>) -> Result<(), Error> {
        let refused = |source| Error::Listen {
            addr: config.addr,
            port: config.port,
            option: "--port",
            source,
        };
        let listener = match inherited {
            Some(socket) => Listener::inherit(socket),
            None => Listener::bind_near(config.port, config.demo, &|port| {
                Listener::bind(config.addr, port, config.reuse_port)
            }),
        };
        let mut listener = listener.map_err(refused)?;
        let for_operators = self
            .monitor
            .as_ref()
            .map_or(0, |_| monitor::CONNECTIONS_MAX);
        let for_services = self.services.as_ref().map_or(0, |_| services::DESCRIPTORS);
        listener.keep_back(DESCRIPTORS_KEPT + for_operators as u64 + for_services);
        listener
            .register(self.poll.registry(), LISTENER)
            .map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        log::info!("Listening on {scheme}://{address}");
        self.listener = Some(listener);
        self.open_demo(config, address).map_err(refused)
    }

    /// Connects to NATS, serves clients, and ends in good order.
    fn run(&mut self, config: &Config, inherited: Inherited) -> Result<(), Error> {
        let mut events = Events::with_capacity(EVENTS);
        match self.connect(&mut events) {
            Ok(()) => {}
            // Nobody is served yet who would have to be told.
            Err(End::Signal) => return Ok(()),
            Err(End::Lost { url, cause, tried }) => {
                return Err(Error::BrokerLost { url, cause, tried });
            }
            Err(End::Failed(error)) => return Err(error),
        }
        self.monitor = Monitor::bind(config, inherited.metrics, self.poll.registry())?;
        self.listen(config, inherited.clients)?;
        self.tell_ready();
        let end = loop {
            if let Err(end) = self.turn(&mut events, None) {
                break end;
            }
        };
        match end {
            End::Signal => {
                log::info!("Stopping");
                let now = self.clock.tick();
                // While NATS is away no service answers.
                let drain = match self.absence.is_now() {
                    true => Drain::lost(now),
                    false if self.is_hasty() => Drain::spread(now, 0),
                    false => Drain::spread(now, config.drain_time.into()),
                };
                self.stop(&mut events, drain);
                log::info!("Stopped");
                self.tell_last();
                Ok(())
            }
            End::Lost { url, cause, tried } => {
                let now = self.clock.tick();
                self.stop(&mut events, Drain::lost(now));
                self.tell_last();
                Err(Error::BrokerLost { url, cause, tried })
            }
            End::Failed(error) => Err(error),
        }
    }

    /// Takes turns until the link to NATS is ready, and has taken the subscriptions without
    /// which the gateway hears of nothing.
    fn connect(&mut self, events: &mut Events) -> Result<(), End> {
        self.open_inside();
        while self.services.is_none() && !self.link.is_confirmed() {
            self.turn(events, None)?;
        }
        if self.gateway.is_ready() {
            return Ok(());
        }
        Err(End::Failed(Error::BrokerRefuses {
            url: self.link.url().to_owned(),
            words: self.absence.refused().to_owned(),
        }))
    }

    /// One turn of the loop. The poll sleeps until `limit` at most.
    fn turn(&mut self, events: &mut Events, limit: Option<Time>) -> Result<(), End> {
        self.reload();
        self.compression.begin_turn();
        let now = self.poll(events, limit)?;
        let start = self.clock.micros();
        self.turn.begin(start);
        self.site.tick(now);
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.tick(now);
        }
        if let Some(parent) = &mut self.parent {
            parent.tick(now);
        }
        let is_signalled = self.note(events);
        // Not before all events are noted: they do not come again.
        if is_signalled {
            return Err(End::Signal);
        }
        self.obey()?;
        self.accept(now);
        self.accept_services(now);
        self.step_link(now)?;
        // What the last turn has not written is no sign of a slow reader either.
        let is_all_offered = !self.clients.has_output();
        self.read_broker().or_else(|cause| self.lose(cause))?;
        self.serve_clients();
        self.shake_hands();
        let may_judge = self.may_judge(events, is_all_offered);
        if may_judge {
            self.run_timers(now).or_else(|cause| self.lose(cause))?;
        }
        self.do_what_is_left(now);
        if self.console.is_some() {
            self.serve_console(now);
        }
        self.fill_turn(start).or_else(|cause| self.lose(cause))?;
        self.write_broker().or_else(|cause| self.lose(cause))?;
        self.clients.flush(&self.clock);
        if may_judge {
            self.clients.look_at_slow(now);
        }
        self.cut_memory(now);
        // A failed write ends a client, of which the gateway must hear before the place
        // is free.
        self.carry_out();
        self.clients.reap(|client| self.gateway.is_free(client));
        let end = self.clock.micros();
        self.turn.end(end);
        if self.monitor.is_some() || self.console.is_some() || self.parent.is_some() {
            self.metrics.turns.observe(end - start);
            self.count_cpu();
            self.serve_monitor(now, may_judge);
        }
        Ok(())
    }

    /// Counts the CPU time of a turn, which the poll before it is part of: what a turn takes
    /// beyond it, it has waited.
    fn count_cpu(&mut self) {
        if let Some(cpu) = process::cpu_micros() {
            let before = std::mem::replace(&mut self.cpu, cpu);
            self.metrics.turns_cpu.observe(cpu.saturating_sub(before));
        }
    }

    /// Reads files again, if a signal has asked for it.
    fn reload(&mut self) {
        if !self.signals.take_reload() {
            return;
        }
        if let Some(supervisor) = &self.supervisor {
            supervisor.reloading();
        }
        self.read_identities();
        self.tell_ready();
    }

    /// Tells the supervisor, if there is one, that clients are served.
    fn tell_ready(&mut self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.ready("Serving clients");
        }
        if let Some(parent) = &mut self.parent {
            parent.tell(&Report::Ready);
        }
    }

    /// Whether the first process wants all clients closed at once.
    fn is_hasty(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.is_hasty)
    }

    /// Tells the first process what was counted in all: the process ends.
    fn tell_last(&mut self) {
        if let Some(mut parent) = self.parent.take() {
            parent.tell(&Report::Metrics(self.metrics_text()));
        }
    }

    /// Whether deadlines may judge peers by the clock: not while something waits that came
    /// in a gap.
    fn may_judge(&mut self, events: &Events, is_all_offered: bool) -> bool {
        let is_all_known = events.iter().count() < EVENTS;
        let is_all_taken = is_all_known
            && is_all_offered
            && self.clients.ready_len() + self.clients.shaking_len() == 0
            && !self.has_broker_input();
        self.gap.may_judge(is_all_taken)
    }

    /// Notes what is ready. Returns whether a signal asked to end.
    fn note(&mut self, events: &Events) -> bool {
        let mut is_signalled = false;
        for event in events.iter() {
            match event.token() {
                LISTENER => {
                    if let Some(listener) = &mut self.listener {
                        listener.set_ready();
                    }
                }
                BROKER | BROKER_NEXT => self.link.set_ready(event),
                token if Services::has_token(token) => {
                    if let Some(services) = &mut self.services {
                        services.set_ready(event);
                    }
                }
                PARENT => {
                    if let Some(parent) = &mut self.parent {
                        parent.set_ready();
                    }
                }
                // The link looks for the answer when it is stepped.
                RESOLVER => {}
                SIGNALS => {
                    is_signalled = self.signals.take_stop();
                    self.summarise();
                }
                token if is_monitor(token) => {
                    if let Some(monitor) = &mut self.monitor {
                        monitor.set_ready(event);
                    }
                }
                _ => self.clients.set_ready(event),
            }
        }
        is_signalled
    }

    /// Lets the gateway go on with what its inputs have left over, in steps: what they lead
    /// to takes time too.
    fn do_what_is_left(&mut self, now: Time) {
        if !self.gateway.has_work() {
            return;
        }
        self.begin_share(turn::LEFT);
        for _ in 0..turn::LEFT_STEPS {
            self.gateway.begin_turn(turn::LEFT.units);
            self.gateway.go_on(now, &mut self.outbox);
            self.carry_out();
            self.turn.long_step(self.clock.micros());
            let has_time = !self.turn.is_over() && self.compression.has_budget();
            if !has_time || !self.gateway.has_work() {
                return;
            }
        }
    }

    /// Whether something is to be done without sleep.
    fn is_busy(&self) -> bool {
        self.gap.is_open()
            || self.clients.has_output()
            || self.has_clients_input()
            || self.gateway.has_work()
            || self.link.has_work()
            || self.link.has_output()
            || self.link.has_late_input()
            || self.link.has_input() && self.takes_broker_input()
            || self
                .services
                .as_ref()
                .is_some_and(|services| services.is_busy(self.takes_broker_input()))
            || self
                .console
                .as_ref()
                .is_some_and(|console| console.has_work())
            || self.listener.as_ref().is_some_and(Listener::is_ready)
            || self
                .monitor
                .as_ref()
                .is_some_and(|monitor| monitor.is_busy())
    }

    /// When something is due.
    fn next_due(&self) -> Option<Time> {
        Time::first([
            self.gateway.next_timeout(),
            self.clients.next_timeout(),
            self.link.next_timeout(),
            self.services
                .as_ref()
                .and_then(|services| services.next_timeout()),
            self.absence.next_timeout(),
            self.drift.as_ref().map(Drift::next_timeout),
            self.heartbeat.as_ref().map(Heartbeat::next_timeout),
            self.console
                .as_ref()
                .map(|console| Time(console.next_timeout())),
            self.parent.as_ref().map(|parent| parent.next_timeout()),
            self.listener.as_ref().and_then(Listener::next_timeout),
            self.monitor
                .as_ref()
                .and_then(|monitor| monitor.next_timeout()),
            self.supervisor
                .as_ref()
                .and_then(|supervisor| supervisor.next_timeout()),
        ])
    }

    /// Sleeps until something happens or is due, or until `limit`; the time then.
    fn poll(&mut self, events: &mut Events, limit: Option<Time>) -> Result<Time, End> {
        let is_behind = self.link.ready().is_some_and(|broker| broker.is_behind());
        self.gateway.broker_behind(is_behind);
        let is_busy = self.is_busy();
        self.metrics.cut_turns += u64::from(is_busy);
        let planned = if is_busy {
            Some(self.clock.now())
        } else {
            Time::first([limit, self.next_due()])
        };
        let sleep = match (is_busy, planned) {
            (true, _) => Some(Duration::ZERO),
            (false, due) => due.map(|due| self.clock.until(due)),
        };
        let is_interrupted = match self.poll.poll(events, sleep) {
            Ok(()) => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(source) => {
                return Err(End::Failed(Error::System {
                    what: "poll for events",
                    source,
                }));
            }
        };
        let looked = self.clock.now();
        let now = self.clock.tick();
        // What was due already could not be met.
        let planned = planned.map(|planned| planned.max(looked));
        self.gap.note_poll(now, planned, is_interrupted);
        Ok(now)
    }

    /// Does what the gateway asks for, until it asks for nothing more. Called after
    /// each of its inputs, and after each end of a client.
    fn carry_out(&mut self) {
        let now = self.clock.now();
        loop {
            if let Some(console) = &mut self.console {
                let outbox = &mut self.outbox;
                outbox.withhold(|op, bytes| console.withhold(op, bytes));
            }
            // Without a connection there is nobody to send it to.
            if let Some(broker) = self.link.ready() {
                broker.queue(&self.outbox);
            } else if let Some(services) = &mut self.services {
                services.queue(&self.outbox, now);
            }
            if let Some(message) = self.outbox.take_follower() {
                let followed = self.streak.follow(&message, &mut self.compression);
                self.metrics.deliveries += followed.receivers;
                trace::follower(&message, followed.receivers);
                self.show_follower(&message);
                if followed.is_full {
                    self.outbox.seal();
                }
            }
            let lead = self.outbox.lead().cloned();
            if lead.is_some() {
                self.streak.clear();
            }
            self.show_streak(lead.is_some());
            let is_traced = trace::is_on();
            let mut shown = (self.console.as_mut()).filter(|console| console.is_tracing());
            for (client, delivery) in self.outbox.drain_clients() {
                if is_traced {
                    trace::delivery(&self.gateway, client, &delivery);
                }
                if let Some(console) = &mut shown {
                    console::show(
                        console,
                        &self.gateway,
                        client,
                        &delivery,
                        lead.is_some(),
                        now,
                    );
                }
                let is_message = delivery.is_message();
                self.metrics.deliveries += u64::from(is_message);
                let (clients, site) = (&mut self.clients, &self.site);
                let (streak, compression) = (&mut self.streak, &mut self.compression);
                match (&lead, delivery) {
                    (Some(lead), Delivery::Message(_)) => {
                        deliver::lead(clients, streak, compression, client, lead, now)
                    }
                    (_, delivery) => deliver(clients, site, compression, client, delivery, now),
                }
            }
            self.outbox.clear();
            let Some(client) = self.clients.take_doomed() else {
                return;
            };
            self.gateway.client_closed(now, client, &mut self.outbox);
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn method(method: &AuthMethod) -> Method {
    Method {
        resource: method.resource.clone(),
        method: method.method.clone(),
    }
}

/// Gives the gateway an event of the NATS connection.
fn tell(gateway: &mut Gateway, event: Event<'_>, now: Time, outbox: &mut Outbox) {
    match event {
        Event::Message(message) => {
            trace::message(&message);
            let message = BrokerMessage {
                sid: message.sid,
                subject: message.subject,
                payload: message.payload,
                status: message.status,
                reply: message.reply,
            };
            gateway.broker_message(now, message, outbox);
        }
        // Those are the connection's own.
        Event::InfoChanged | Event::Refused { .. } => {}
        Event::Connected | Event::StartTls | Event::Pong => {}
    }
}
