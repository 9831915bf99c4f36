//! `--workers`: the first process, which starts the gateways of a host, each on a CPU of its
//! own, and keeps them running. It serves no client and speaks no protocol but that of the
//! operators' port; what it does is start, end and ask workers.
//!
//! One poll loop: signals, the sockets to the workers, the operators' port. A worker is the
//! same binary with [`COMMAND`] before its arguments; what it is told and tells is in
//! [`crate::control`].

mod cpus;
mod error;
mod pages;
mod rolling;
mod signals;
mod slot;
mod sockets;
mod totals;
mod worker;

use std::ffi::OsString;
use std::io::{self, ErrorKind};

use mio::{Events, Poll, Token};

use crate::config::{self, Command, Config, Workers};
use crate::control::{self, Order, Place};
use crate::gateway::Time;
use crate::logging;
use crate::reactor::{self, Clock, Inherited, Monitor, Supervisor, is_monitor, unix_seconds};

use cpus::Cpus;
pub use error::Error;
use pages::Question;
use rolling::Rolling;
use signals::Signals;
use slot::{ENDS_MAX, Slot};
use sockets::Sockets;
use totals::Totals;
use worker::{Program, WATCH, Worker};

/// The first argument of a worker.
pub const COMMAND: &str = "worker";

/// Readiness events taken in one turn.
const EVENTS: usize = 256;

/// The token of the signals' pipe. Those of workers come behind it.
const SIGNALS: Token = Token(0);

/// Milliseconds that a poll may be late before the process was frozen, and its workers with it.
const LATE: u64 = 1_000;

/// Milliseconds beyond `drainTime` that a supervisor is asked for.
const GRACE: u64 = 4_000;

/// Runs the first process until a signal asks it to end, or until it cannot go on. `arguments`
/// are those that the configuration came from.
///
/// # Errors
///
/// [`Error`]; its text is for the user. All workers have ended.
pub fn run(config: &Config, arguments: Vec<OsString>) -> Result<(), Error> {
    let mut first = First::new(config, arguments)?;
    first.run()
}

/// Runs this process as a worker.
///
/// # Errors
///
/// It was not started by a first process, or as [`reactor::run`].
pub fn work(config: Config) -> Result<(), Error> {
    let start = control::join().map_err(Error::NoPlace)?;
    logging::set_worker(start.place.worker);
    Ok(reactor::work(config, start)?)
}

/// What the loop owns.
struct First {
    poll: Poll,
    clock: Clock,
    signals: Signals,
    monitor: Option<Box<Monitor>>,
    supervisor: Option<Box<Supervisor>>,
    config: Config,
    program: Program,
    sockets: Sockets,
    cpus: Cpus,
    slots: Vec<Slot>,
    /// Sockets to workers so far.
    serial: usize,
    /// What workers had counted that have ended.
    totals: Totals,
    /// When this process began, in seconds since 1970.
    created: u64,
    metrics: Question,
    readiness: Question,
    rolling: Option<Rolling>,
    /// It is to begin anew when it has ended.
    wants_rolling: bool,
    /// All workers have been ready.
    has_begun: bool,
    /// All are to end, and why if nobody has asked for it.
    stopping: Option<Option<Error>>,
}

impl First {
    fn new(config: &Config, arguments: Vec<OsString>) -> Result<Self, Error> {
        let system = |what| move |source| Error::System { what, source };
        let inherited = Inherited::take()?;
        let program = Program::of_process(arguments).map_err(system("find its own binary"))?;
        let poll = Poll::new().map_err(system("make a poll"))?;
        let signals =
            Signals::new(poll.registry(), SIGNALS).map_err(system("watch for signals"))?;
        let cpus = Cpus::of_process();
        let workers = match config.workers {
            Some(Workers::Count(count)) => count as usize,
            Some(Workers::Auto) | None => cpus.len(),
        };
        let monitor = Monitor::bind(config, inherited.metrics, poll.registry())?;
        let sockets = Sockets::open(config, inherited.clients, workers)?;
        let mut slots = Vec::new();
        slots.resize_with(workers, || Slot::due_at(Time(0)));
        Ok(Self {
            poll,
            clock: Clock::new(),
            signals,
            monitor,
            supervisor: Supervisor::take(),
            config: config.clone(),
            program,
            sockets,
            cpus,
            slots,
            serial: 0,
            totals: Totals::default(),
            created: unix_seconds(),
            metrics: Question::new(Order::Metrics),
            readiness: Question::new(Order::Readiness),
            rolling: None,
            wants_rolling: false,
            has_begun: false,
            stopping: None,
        })
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            self.turn(&mut events)?;
            if self.slots.iter().flat_map(Slot::workers).next().is_none()
                && let Some(cause) = self.stopping.take()
            {
                log::info!("Stopped");
                return cause.map_or(Ok(()), Err);
            }
        }
    }

    fn turn(&mut self, events: &mut Events) -> Result<(), Error> {
        let now = self.sleep(events)?;
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.tick(now);
        }
        for event in events.iter() {
            match event.token() {
                token if is_monitor(token) => {
                    if let Some(monitor) = &mut self.monitor {
                        monitor.set_ready(event);
                    }
                }
                token => {
                    let workers = self.slots.iter_mut().flat_map(Slot::workers_mut);
                    workers.for_each(|worker| worker.note(token));
                }
            }
        }
        self.take_signals(now);
        let left = self.hear(now);
        let ended = self.reap(now);
        if let Some(error) = left.or(ended) {
            self.stop(Some(error), now);
        }
        self.watch(now);
        self.start_due(now)?;
        self.step_rolling(now);
        self.tell_begun();
        self.serve_pages(now);
        Ok(())
    }

    /// Sleeps until something happens or is due; the time then.
    fn sleep(&mut self, events: &mut Events) -> Result<Time, Error> {
        let is_busy = self
            .monitor
            .as_ref()
            .is_some_and(|monitor| monitor.is_busy());
        let due = (0..self.slots.len()).filter(|place| self.may_start(*place));
        let planned = due
            .filter_map(|place| self.slots[place].due)
            .chain(
                self.slots
                    .iter()
                    .flat_map(Slot::workers)
                    .map(Worker::deadline),
            )
            .chain(self.rolling.as_ref().and_then(Rolling::next_timeout))
            .chain(self.supervisor.as_ref().and_then(|it| it.next_timeout()))
            .chain(self.next_page_timeout())
            .chain(is_busy.then(|| self.clock.now()))
            .min();
        let sleep = planned.map(|due| self.clock.until(due));
        match self.poll.poll(events, sleep) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => {
                let what = "poll for events";
                return Err(Error::System { what, source });
            }
        }
        let before = self.clock.now();
        let now = self.clock.tick();
        if planned.is_some_and(|planned| now.0 > planned.0.max(before.0) + LATE) {
            // This process stood still, and perhaps its workers too.
            let workers = self.slots.iter_mut().flat_map(Slot::workers_mut);
            workers.for_each(|worker| worker.heard(now));
        }
        Ok(now)
    }

    /// Does what signals ask for.
    fn take_signals(&mut self, now: Time) {
        let asked = self.signals.take();
        if asked.stop {
            match self.is_stopping() {
                false => self.stop(None, now),
                true => {
                    let workers = self.slots.iter_mut().flat_map(Slot::workers_mut);
                    workers.for_each(Worker::kill);
                }
            }
        }
        if asked.summary {
            self.summarise();
        }
        if (asked.reload || asked.renew) && !self.is_stopping() {
            if let Some(supervisor) = &self.supervisor {
                supervisor.reloading();
            }
            self.reload(asked.renew);
            if let Some(supervisor) = &self.supervisor {
                supervisor.ready("Serving clients");
            }
        }
    }

    /// Whether all are to end.
    fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Lets all workers close their clients and end.
    fn stop(&mut self, cause: Option<Error>, now: Time) {
        log::info!("Stopping");
        if let Some(supervisor) = &self.supervisor {
            supervisor.stopping(u64::from(self.config.drain_time) + GRACE);
        }
        self.stopping = Some(cause);
        self.rolling = None;
        // Whoever comes now is refused, as workers close theirs too.
        self.sockets.close();
        for slot in &mut self.slots {
            slot.due = None;
            for mut worker in slot.serving.take().into_iter().chain(slot.next.take()) {
                worker.heard(now);
                worker.order(Order::Stop);
                slot.leaving.push(worker);
            }
        }
    }

    /// Lets workers log what there is, and says which process is whose.
    fn summarise(&self) {
        for (place, slot) in self.slots.iter().enumerate() {
            for worker in slot.workers() {
                let state = match worker.is_ready {
                    true => "serves clients",
                    false => "is not ready",
                };
                let number = worker.number();
                log::info!("Worker {place} is process {number}, and {state}");
                worker.signal_summary();
            }
        }
    }

    /// Reads the configuration again, and lets workers read certificates again; if that, the
    /// binary, or whoever asks wants it, all workers are replaced.
    fn reload(&mut self, must_renew: bool) {
        let read = config::load(self.program.arguments.clone(), std::env::vars_os());
        let (config, warnings) = match read {
            Ok(Command::Run { config, warnings }) => (config, warnings),
            Ok(_) => return,
            Err(error) => {
                log::error!("{error}; everything stays as it is");
                return;
            }
        };
        // There is one broker, whose worker must end before another can be tried.
        if let Err(error) = reactor::check_inside(&config) {
            log::error!("{error}; everything stays as it is");
            return;
        }
        for warning in warnings {
            log::warn!("{warning}");
        }
        for (what, is_changed) in fixed(&self.config, &config) {
            if is_changed {
                log::warn!("a change of {what} has no effect before tidegate is started again");
            }
        }
        let workers = self.slots.iter_mut().flat_map(Slot::workers_mut);
        workers.for_each(|worker| worker.order(Order::Reload));
        let is_changed = *config != self.config;
        self.config = *config;
        let is_other = self.program.take_change();
        match must_renew || is_changed || is_other {
            true if self.rolling.is_some() => self.wants_rolling = true,
            true => self.begin_rolling(),
            false => log::info!("Configuration and binary are as they were"),
        }
    }

    /// Begins to replace all workers.
    fn begin_rolling(&mut self) {
        log::info!("Replacing workers, one after the other");
        let sockets = &self.sockets;
        let rolling = Rolling::of_all(self.slots.len(), |place| sockets.has_broker(place));
        self.rolling = Some(rolling);
    }

    /// Takes what workers tell. The error of one that it is no use to start again.
    fn hear(&mut self, now: Time) -> Option<Error> {
        let mut given_up = None;
        for (place, slot) in self.slots.iter_mut().enumerate() {
            for worker in slot.workers_mut().filter(|worker| worker.is_readable) {
                worker.is_readable = false;
                worker.channel.step();
            }
            let mut is_leaving = false;
            for worker in slot.workers_mut() {
                is_leaving |= worker.take_reports(now);
            }
            // It ends without having been asked: by a signal of somebody's, or since NATS is
            // lost. Another follows, and what waits in the socket is for that.
            let serving = slot
                .serving
                .take_if(|worker| is_leaving && worker.is_leaving);
            if let Some(worker) = serving {
                let age = worker.age(now);
                slot.leaving.push(worker);
                if slot.next.is_none() && !slot.ended(true, age, now) {
                    given_up = Some(self::given_up(place, "leaving by itself".to_owned()));
                }
            }
        }
        given_up
    }

    /// Takes note of workers that have ended. The error of one that it is no use to start again.
    fn reap(&mut self, now: Time) -> Option<Error> {
        let is_stopping = self.is_stopping();
        let mut given_up = None;
        for (place, slot) in self.slots.iter_mut().enumerate() {
            let totals = &mut self.totals;
            let mut has_ended = |worker: &mut Worker| {
                let how = worker.ended()?;
                // Its last words.
                worker.channel.step();
                worker.take_reports(now);
                totals.retire(&worker.metrics);
                Some(how)
            };
            slot.leaving
                .retain_mut(|worker| has_ended(worker).is_none());
            if let Some(next) = &mut slot.next
                && let Some(how) = has_ended(next)
            {
                log::error!("the follower of worker {place} ended by {how}");
                slot.next = None;
            }
            if let Some(worker) = &mut slot.serving
                && let Some(how) = has_ended(worker)
            {
                let number = worker.number();
                log::error!("worker {place} (process {number}) ended by {how}");
                let (was_ready, age) = (worker.is_ready, worker.age(now));
                slot.serving = None;
                if slot.next.is_none() && !is_stopping && !slot.ended(was_ready, age, now) {
                    given_up = Some(self::given_up(place, how));
                }
            }
        }
        given_up
    }

    /// Ends workers that give no sign of life.
    fn watch(&mut self, now: Time) {
        for (place, slot) in self.slots.iter_mut().enumerate() {
            for worker in slot.workers_mut().filter(|worker| worker.deadline() <= now) {
                let (number, seconds) = (worker.number(), WATCH / 1_000);
                log::error!(
                    "worker {place} (process {number}) gives no sign of life for {seconds} s: killed"
                );
                worker.kill();
                worker.heard(now);
            }
        }
    }

    /// Whether a worker can begin: those beside the broker's when that serves, and that when
    /// the one before has ended.
    fn may_start(&self, place: usize) -> bool {
        match self.sockets.has_broker(place) {
            true => self.slots[place].leaving.is_empty(),
            false => !self.sockets.has_broker(0) || self.slots[0].is_ready(),
        }
    }

    /// Starts workers whose time has come.
    fn start_due(&mut self, now: Time) -> Result<(), Error> {
        for place in 0..self.slots.len() {
            let is_due = self.slots[place].due.is_some_and(|due| due <= now);
            if !is_due || !self.may_start(place) {
                continue;
            }
            match self.start(place, now) {
                Ok(worker) => {
                    let slot = &mut self.slots[place];
                    (slot.serving, slot.due) = (Some(worker), None);
                }
                Err(source) => {
                    let error = Error::Start {
                        worker: place,
                        program: self.program.path.clone(),
                        source,
                    };
                    if !self.slots[place].ended(false, 0, now) {
                        self.stop(Some(error), now);
                        return Ok(());
                    }
                    log::error!("{error}");
                }
            }
        }
        Ok(())
    }

    /// Starts a worker.
    fn start(&mut self, place: usize, now: Time) -> io::Result<Worker> {
        self.serial += 1;
        let told = Place {
            worker: place as u32,
            cpu: self.cpus.of(place),
            broker: self.sockets.inside(place)?,
        };
        let sockets = self.sockets.of(place);
        let registry = self.poll.registry();
        Worker::start(
            &self.program,
            &told,
            &sockets,
            registry,
            Token(self.serial),
            now,
        )
    }

    /// Tells whoever has started this process, once, that all workers serve clients.
    fn tell_begun(&mut self) {
        if self.has_begun || !self.slots.iter().all(Slot::is_ready) {
            return;
        }
        self.has_begun = true;
        let count = self.slots.len();
        log::info!("Serving clients with {count} workers");
        if let Some(supervisor) = &self.supervisor {
            supervisor.ready("Serving clients");
        }
    }
}

/// Ends soon after a start, too many of them.
fn given_up(worker: usize, how: String) -> Error {
    let times = ENDS_MAX;
    Error::GivenUp { worker, times, how }
}

/// What the first process has opened, and whether it would be another by a new configuration.
fn fixed(old: &Config, new: &Config) -> [(&'static str, bool); 5] {
    [
        ("workers", old.workers != new.workers),
        ("addr", old.addr != new.addr),
        ("port", old.port != new.port),
        ("metricsPort", old.metrics_port != new.metrics_port),
        ("broker", old.broker.addr != new.broker.addr),
    ]
}
