//! Where an attack takes place: a gateway with its broker, the attackers, their service,
//! and the canary beside them.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::canary::{Canary, Phase, Sight};
use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net, Speaks, VERSION};
use crate::process;
use crate::service::{SUBJECTS, Service};
use crate::subject::{Sample, Subject, Window};
use crate::turns::Told;
use crate::wire::Delivery;

/// How long a step of an attack may take before it counts as lost, and in the short form.
const LIMIT: Duration = Duration::from_secs(150);
const SHORT_LIMIT: Duration = Duration::from_secs(30);

/// How large the attacks are.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// How long floods last.
    pub time: Duration,
    pub is_short: bool,
    pub is_large: bool,
}

impl Scale {
    fn limit(&self) -> Duration {
        match self.is_short {
            true => SHORT_LIMIT,
            false => LIMIT,
        }
    }

    /// `count` at full scale, a fiftieth of it in short form, but never fewer than two.
    pub fn count(&self, count: usize) -> usize {
        match self.is_short {
            true => (count / 50).max(2),
            false => count,
        }
    }
}

/// What came for one attacker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub opened: u64,
    pub answers: u64,
    pub events: u64,
    /// Answers to HTTP requests, and those with a status of 500 and more.
    pub responses: u64,
    pub refusals: u64,
    pub bytes: u64,
    pub ended: u64,
    /// Events that are named `done`.
    pub marks: u64,
}

/// The attackers and their service.
#[derive(Default)]
pub struct Crowd {
    pub service: Service,
    pub seen: Vec<Seen>,
    pub total: Seen,
}

impl Crowd {
    fn note(&mut self, client: usize, note: impl Fn(&mut Seen)) {
        if self.seen.len() <= client {
            self.seen.resize(client + 1, Seen::default());
        }
        note(&mut self.seen[client]);
        note(&mut self.total);
    }

    /// What came for a client.
    pub fn of(&self, client: usize) -> Seen {
        self.seen.get(client).copied().unwrap_or_default()
    }

    /// How many clients got all of something.
    pub fn have(&self, clients: Range<usize>, is_complete: impl Fn(Seen) -> bool) -> usize {
        clients
            .filter(|client| is_complete(self.of(*client)))
            .count()
    }
}

/// What a step of an attack wants next.
pub enum Next {
    /// Nothing: it is over.
    Done,
    /// To be asked again after whatever comes.
    Wait,
    /// The same, at this time at the latest.
    At(Instant),
}

/// The stage, while an attack uses it.
pub struct Stage<'a> {
    pub subject: &'a mut Subject,
    pub net: Net,
    pub crowd: Crowd,
    pub scale: Scale,
    canary: Option<Canary>,
    metrics: SocketAddr,
    window: Option<(Window, Option<Told>)>,
    found: Found,
}

/// What an attack did.
#[derive(Default)]
pub struct Found {
    /// What the canary saw before, during and after it.
    pub sights: [Sight; 3],
    /// Time and CPU of all while it lasted.
    pub sample: Option<Sample>,
    pub turns: Option<Told>,
    /// The largest resident set while it lasted.
    pub peak: u64,
    /// Whether it ends the gateway on purpose.
    pub ends: bool,
    /// What else is worth to be told.
    pub notes: Vec<String>,
}

impl<'a> Stage<'a> {
    pub fn new(subject: &'a mut Subject, metrics: SocketAddr, scale: Scale) -> Result<Self, Fault> {
        let mut net = Net::new(subject.broker.address)?;
        for subject in SUBJECTS {
            net.subscribe(subject);
        }
        net.settle_broker()?;
        let canary = Canary::start(subject.address, subject.broker.address);
        Ok(Self {
            subject,
            net,
            crowd: Crowd::default(),
            scale,
            canary: Some(canary),
            metrics,
            window: None,
            found: Found::default(),
        })
    }

    /// Says what get requests are answered with.
    pub fn serve(&mut self, get: impl FnMut(&str, &[u8]) -> String + 'static) {
        self.crowd.service.get = Box::new(get);
    }

    /// Something that the table is to tell beside its figures.
    pub fn tell(&mut self, note: String) {
        self.found.notes.push(note);
    }

    /// Adds attackers and waits until all are connected.
    pub fn connect(&mut self, count: usize, speaks: Speaks) -> Result<Range<usize>, Fault> {
        let first = self.net.len();
        let all = first..first + count;
        self.net.add(count, speaks, self.subject.address);
        let mut greeted = first;
        let clients = all.clone();
        self.drive("attackers to connect", |net, crowd, _| {
            if speaks == Speaks::WebSocket {
                while greeted < clients.end && crowd.of(greeted).opened > 0 {
                    net.send(greeted, VERSION.as_bytes())?;
                    greeted += 1;
                }
            }
            let ready = crowd.have(clients.clone(), |seen| match speaks {
                Speaks::Http => seen.opened > 0,
                _ => seen.answers > 0,
            });
            Ok(if ready == count {
                Next::Done
            } else {
                Next::Wait
            })
        })?;
        Ok(all)
    }

    /// Sends a request of a client.
    pub fn send(&mut self, client: usize, id: usize, method: &str) -> Outcome {
        self.net.send(client, request(id, method).as_bytes())
    }

    /// Subscribes a client to resources, some at a time, and waits for the answers.
    pub fn subscribe(
        &mut self,
        client: usize,
        count: usize,
        name: impl Fn(usize) -> String,
    ) -> Outcome {
        let before = self.crowd.of(client).answers as usize;
        let mut sent = 0;
        self.drive("attackers to subscribe", |net, crowd, _| {
            let answered = crowd.of(client).answers as usize - before;
            while sent < count && sent - answered < 200 {
                let method = format!("subscribe.{}", name(sent));
                net.send(client, request(sent + 1, &method).as_bytes())?;
                sent += 1;
            }
            Ok(if answered == count {
                Next::Done
            } else {
                Next::Wait
            })
        })
    }

    /// Waits until a condition holds.
    pub fn wait(&mut self, what: &str, mut is_done: impl FnMut(&Crowd) -> bool) -> Outcome {
        self.drive(what, |_, crowd, _| {
            Ok(if is_done(crowd) {
                Next::Done
            } else {
                Next::Wait
            })
        })
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) -> Outcome {
        let end = Instant::now() + time;
        self.drive("time to pass", |_, _, now| {
            Ok(if now >= end {
                Next::Done
            } else {
                Next::At(end)
            })
        })
    }

    /// Does a step again and again for the time of a flood.
    pub fn flood(&mut self, mut step: impl FnMut(&mut Net, &mut Crowd) -> Outcome) -> Outcome {
        let end = Instant::now() + self.scale.time;
        self.drive("a flood", |net, crowd, now| {
            if now >= end {
                return Ok(Next::Done);
            }
            step(net, crowd)?;
            // What does not wait for a socket waits for a moment.
            Ok(Next::At(now + Duration::from_millis(1)))
        })
    }

    /// Runs a step until it is done.
    pub fn drive(
        &mut self,
        what: &str,
        step: impl FnMut(&mut Net, &mut Crowd, Instant) -> Result<Next, Fault>,
    ) -> Outcome {
        let mut play = Play {
            crowd: &mut self.crowd,
            step,
            wake: Some(Instant::now()),
            is_done: false,
            canary: self.canary.as_ref(),
        };
        let limit = self.scale.limit();
        self.net.run(&mut play, what, limit)
    }

    /// The attack begins.
    pub fn begin(&mut self) -> Outcome {
        // The canary sings undisturbed for a moment.
        self.pass(self.scale.time / 5)?;
        // Lets the largest resident set be counted anew.
        let _ = std::fs::write(
            format!("/proc/{}/clear_refs", self.subject.process().pid()),
            "5",
        );
        let turns = Told::ask(self.metrics)?;
        self.window = Some((self.subject.begin()?, turns));
        if let Some(canary) = &self.canary {
            canary.enter(Phase::During);
        }
        Ok(())
    }

    /// The attack is over, as soon as what it left behind is worked off.
    pub fn end(&mut self) -> Outcome {
        let Some((window, before)) = self.window.take() else {
            return Err(Fault::Surprise("the attack never began".to_owned()));
        };
        let start = Instant::now();
        let mut calm = None;
        while let Some(canary) = &self.canary {
            // Until few of its calls have been open for a while.
            let now = Instant::now();
            match canary.open() <= 2 {
                true if now - *calm.get_or_insert(now) > Duration::from_millis(100) => break,
                true => {}
                false => calm = None,
            }
            if now - start > self.scale.limit() {
                return Err(Fault::Late("the gateway to come to rest".to_owned()));
            }
            self.pass(Duration::from_millis(10))?;
        }
        let after = Told::ask(self.metrics)?;
        if let Some(canary) = &self.canary {
            canary.enter(Phase::After);
        }
        self.found.turns = after
            .zip(before)
            .map(|(after, before)| after.since(&before));
        self.found.sample = Some(self.subject.end(window, 1)?);
        self.found.peak = process::peak(self.subject.process().pid())?;
        self.pass(self.scale.time / 10)
    }

    /// The gateway is ended on purpose: the canary is gone before.
    pub fn dismiss_canary(&mut self) -> Outcome {
        if let Some(canary) = self.canary.take() {
            self.found.sights = canary.finish()?;
        }
        self.found.ends = true;
        self.window = None;
        Ok(())
    }

    /// What the attack did.
    pub fn finish(mut self) -> Result<Found, Fault> {
        if let Some(canary) = self.canary.take() {
            self.found.sights = canary.finish()?;
        }
        Ok(self.found)
    }
}

/// A request of a client.
pub fn request(id: usize, method: &str) -> String {
    format!(r#"{{"id":{id},"method":"{method}"}}"#)
}

/// A step while it runs.
struct Play<'p, F> {
    crowd: &'p mut Crowd,
    step: F,
    wake: Option<Instant>,
    is_done: bool,
    canary: Option<&'p Canary>,
}

impl<F> Load for Play<'_, F>
where
    F: FnMut(&mut Net, &mut Crowd, Instant) -> Result<Next, Fault>,
{
    fn opened(&mut self, _: &mut Net, client: usize) -> Outcome {
        self.crowd.note(client, |seen| seen.opened += 1);
        Ok(())
    }

    fn message(&mut self, _: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let is_event = text.starts_with(b"{\"event\"");
        let head = &text[..text.len().min(80)];
        let is_mark = is_event && head.windows(6).any(|part| part == b".done\"");
        self.crowd.note(client, |seen| {
            seen.events += u64::from(is_event && !is_mark);
            seen.marks += u64::from(is_mark);
            seen.answers += u64::from(!is_event);
            seen.bytes += text.len() as u64;
        });
        Ok(())
    }

    fn control(&mut self, _: &mut Net, _: usize, _: u8, _: &[u8]) -> Outcome {
        // Pongs, and reasons why an attacker is sent away.
        Ok(())
    }

    fn response(&mut self, _: &mut Net, client: usize, status: u16, body: &[u8]) -> Outcome {
        self.crowd.note(client, |seen| {
            seen.responses += 1;
            seen.refusals += u64::from(status >= 500);
            seen.bytes += body.len() as u64;
        });
        Ok(())
    }

    fn ended(&mut self, _: &mut Net, client: usize) -> Outcome {
        self.crowd.note(client, |seen| seen.ended += 1);
        Ok(())
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.crowd.service.answer(net, delivery)
    }

    fn turn(&mut self, net: &mut Net, now: Instant) -> Outcome {
        if self.canary.is_some_and(Canary::has_ended) {
            return Err(Fault::Surprise("the canary was disconnected".to_owned()));
        }
        self.crowd.service.turn(net, now);
        let next = (self.step)(net, self.crowd, now)?;
        // Often enough to see that the canary is gone.
        let at_last = now + Duration::from_millis(100);
        self.wake = Some(match next {
            Next::Done => {
                self.is_done = true;
                at_last
            }
            Next::Wait => at_last,
            Next::At(time) => time.min(at_last),
        });
        Ok(())
    }

    fn wake(&self) -> Option<Instant> {
        let due = self.crowd.service.wake();
        self.wake.into_iter().chain(due).min()
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}
