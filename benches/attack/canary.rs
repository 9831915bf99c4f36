//! The client that must not notice: it calls every 10 ms and gets an event every 10 ms.
//!
//! Open loop: times are counted from when a call or an event was planned, so that a
//! gateway that stands still is not asked the seldomer for it. The canary has a thread, a
//! broker connection and a service of its own; it shares nothing with the attack but the
//! gateway, the broker and the machine.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net, Speaks, VERSION};
use crate::stats::Histogram;
use crate::wire::Delivery;

/// Time from one call to the next, and from one event to the next.
const PERIOD: Duration = Duration::from_millis(10);

/// How long the last answers are waited for: four times a gateway's request time-out.
const PATIENCE: Duration = Duration::from_secs(12);

/// What is going on while a call or an event is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The attack is prepared.
    Before,
    /// It lasts.
    During,
    /// All of it was worked off.
    After,
}

/// What the canary saw of one phase.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// From when each call was planned to its answer.
    pub calls: Histogram,
    /// From when each event was planned to its arrival.
    pub events: Histogram,
    /// Calls that were answered with an error, such as a time-out.
    pub failed: u64,
    /// Calls without any answer.
    pub unanswered: u64,
    /// The longest that the canary itself was late: it waited for a processor.
    pub late: Duration,
}

/// The canary's thread.
pub struct Canary {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<[Sight; 3], Fault>>>,
}

#[derive(Default)]
struct Shared {
    phase: AtomicUsize,
    /// Calls without an answer yet.
    open: AtomicUsize,
    is_stopping: AtomicBool,
    has_ended: AtomicBool,
}

impl Canary {
    /// Starts the canary.
    pub fn start(gateway: SocketAddr, broker: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        shared
            .phase
            .store(Phase::Before as usize, Ordering::Relaxed);
        let its = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let result = watch(gateway, broker, &its);
            its.has_ended.store(true, Ordering::Relaxed);
            result
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Says what goes on from now on.
    pub fn enter(&self, phase: Phase) {
        self.shared.phase.store(phase as usize, Ordering::Relaxed);
    }

    /// Calls that wait for their answers now.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Whether it saw what no client must see, and gave up.
    pub fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::Relaxed)
    }

    /// Stops it, and waits for the answers that are to come.
    ///
    /// # Errors
    ///
    /// What was lost, or that the gateway dropped it.
    pub fn finish(mut self) -> Result<[Sight; 3], Fault> {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        thread
            .and_then(|thread| thread.join().ok())
            .unwrap_or_else(|| Err(Fault::Surprise("the canary's thread broke".to_owned())))
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
    }
}

fn watch(gateway: SocketAddr, broker: SocketAddr, shared: &Shared) -> Result<[Sight; 3], Fault> {
    let mut net = Net::new(broker)?;
    for subject in ["access.canary.>", "get.canary.>", "call.canary.>"] {
        net.subscribe(subject);
    }
    net.settle_broker()?;
    net.add(1, Speaks::WebSocket, gateway);
    let mut bird = Bird {
        shared,
        sights: Default::default(),
        next: None,
        calls: VecDeque::new(),
        first_call: FIRST,
        answered: 0,
        events: VecDeque::new(),
        first_event: 0,
        stopped: None,
    };
    net.run(&mut bird, "the canary", Duration::from_secs(3_600))?;
    // What is still without an answer is lost.
    for call in bird.calls.iter().flatten() {
        bird.sights[call.phase].unanswered += 1;
        bird.sights[call.phase].calls.add(call.planned.elapsed(), 1);
    }
    if !bird.events.is_empty() {
        let count = bird.events.len();
        return Err(Fault::Late(format!("{count} events of the canary")));
    }
    Ok(bird.sights)
}

/// ID of the first call; those before are of `version` and `subscribe`.
const FIRST: u64 = 2;

#[derive(Clone, Copy)]
struct Planned {
    planned: Instant,
    phase: usize,
}

struct Bird<'a> {
    shared: &'a Shared,
    sights: [Sight; 3],
    /// When the next call and event are planned; none before the subscription stands.
    next: Option<Instant>,
    /// Calls from `first_call` on; an empty place was answered.
    calls: VecDeque<Option<Planned>>,
    first_call: u64,
    answered: usize,
    events: VecDeque<Planned>,
    first_event: u64,
    stopped: Option<Instant>,
}

impl Bird<'_> {
    fn plan(&mut self, net: &mut Net, now: Instant) -> Outcome {
        while let Some(planned) = self.next.filter(|next| *next <= now) {
            let phase = self.shared.phase.load(Ordering::Relaxed).min(2);
            let late = &mut self.sights[phase].late;
            *late = (*late).max(now - planned);
            let id = self.first_call + self.calls.len() as u64;
            self.calls.push_back(Some(Planned { planned, phase }));
            let call = format!(r#"{{"id":{id},"method":"call.canary.tick.ping"}}"#);
            net.send(0, call.as_bytes())?;
            let number = self.first_event + self.events.len() as u64;
            self.events.push_back(Planned { planned, phase });
            let event = format!(r#"{{"n":{number}}}"#);
            net.publish(b"event.canary.tick.tick", event.as_bytes());
            self.next = Some(planned + PERIOD);
        }
        Ok(())
    }

    fn take_event(&mut self, now: Instant, number: u64) -> Outcome {
        if number != self.first_event {
            return Err(Fault::Order {
                client: 0,
                expected: self.first_event,
                found: number,
            });
        }
        if let Some(event) = self.events.pop_front() {
            self.first_event += 1;
            self.sights[event.phase].events.add(now - event.planned, 1);
        }
        Ok(())
    }

    fn take_answer(&mut self, now: Instant, id: u64, is_error: bool) -> Option<()> {
        let place = usize::try_from(id.checked_sub(self.first_call)?).ok()?;
        let call = self.calls.get_mut(place)?.take()?;
        self.answered += 1;
        let sight = &mut self.sights[call.phase];
        sight.calls.add(now - call.planned, 1);
        sight.failed += u64::from(is_error);
        while let Some(None) = self.calls.front() {
            self.calls.pop_front();
            self.first_call += 1;
            self.answered -= 1;
        }
        Some(())
    }
}

impl Load for Bird<'_> {
    fn opened(&mut self, net: &mut Net, client: usize) -> Outcome {
        net.send(client, VERSION.as_bytes())?;
        net.send(client, br#"{"id":1,"method":"subscribe.canary.tick"}"#)
    }

    fn message(&mut self, _: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let now = Instant::now();
        let unexpected = || Fault::unexpected(client, text);
        let message: Value = serde_json::from_slice(text).map_err(|_| unexpected())?;
        if let Some(number) = message["data"]["n"].as_u64() {
            return self.take_event(now, number);
        }
        let is_error = message.get("error").is_some();
        match message["id"].as_u64().ok_or_else(unexpected)? {
            0 => Ok(()),
            1 if is_error => Err(unexpected()),
            1 => {
                self.next = Some(now);
                Ok(())
            }
            id => self.take_answer(now, id, is_error).ok_or_else(unexpected),
        }
    }

    fn request(&mut self, net: &mut Net, request: Delivery<'_>) -> Outcome {
        let answer: &[u8] = match request.subject.first() {
            Some(b'a') => br#"{"result":{"get":true,"call":"*"}}"#,
            Some(b'g') => br#"{"result":{"model":{"name":"canary"}}}"#,
            _ => br#"{"result":null}"#,
        };
        net.publish(request.reply, answer);
        Ok(())
    }

    fn turn(&mut self, net: &mut Net, now: Instant) -> Outcome {
        if self.stopped.is_none() {
            self.plan(net, now)?;
            if self.shared.is_stopping.load(Ordering::Relaxed) {
                self.stopped = Some(now);
            }
        }
        let open = self.calls.len() - self.answered;
        self.shared.open.store(open, Ordering::Relaxed);
        Ok(())
    }

    fn wake(&self) -> Option<Instant> {
        // Often enough to hear that it is to stop.
        Some(match self.next {
            Some(next) if self.stopped.is_none() => next,
            _ => Instant::now() + PERIOD,
        })
    }

    fn is_done(&self) -> bool {
        self.stopped.is_some_and(|stopped| {
            let is_complete = self.calls.is_empty() && self.events.is_empty();
            is_complete || stopped.elapsed() > PATIENCE
        })
    }
}
