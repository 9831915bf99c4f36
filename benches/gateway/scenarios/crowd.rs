//! A crowd of clients: they connect, each takes a resource of its own and its events, and
//! they leave.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::fanout::{FIRST, event_number};
use super::join::{JOIN_LIMIT, Join, settle, subscription, taken};
use super::memory::HEAD;
use super::{Goal, Row, Scale, Scenario};
use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net, Speaks};
use crate::services::Services;
use crate::stats::Histogram;
use crate::subject::{Floor, Kind, PLAIN, Sample, Subject};
use crate::wire::{Delivery, find, number};

/// Coming, staying and leaving.
pub const SCENARIOS: &[Scenario] = &[OWN, LEAVING];

/// Clients that go through all of it before anything is measured, and fill the buffers.
const BEFORE: usize = 64;

/// Clients that wait for an answer at one time.
const ASKING: usize = 64;

/// Events that have not reached their clients yet. With ten times as many in flight the
/// Go client of NATS that Resgate uses gives up.
const IN_FLIGHT: usize = 1_000;

const OWN: Scenario = Scenario {
    rows: &[
        Row {
            id: "connect",
            in_flight: Some(64),
            title: "10,000 clients connect and agree on the version, per client",
            floor_us: Some(26.0),
            goals: &[Goal::CpuFloor(1.35), Goal::Growth(768.0 + HEAD)],
        },
        Row {
            id: "subscribe-own",
            in_flight: Some(64),
            title: "each subscribes to a model of its own, per client; \
                    memory since before it connected",
            floor_us: Some(10.0),
            goals: &[Goal::CpuPeer(5.0), Goal::Growth(1_536.0 + HEAD)],
        },
        Row {
            id: "event-own",
            in_flight: Some(1_000),
            title: "events, one for each of 10,000 models in turn, per event",
            floor_us: Some(8.0),
            goals: &[Goal::CpuFloor(1.15)],
        },
    ],
    // The services' round trips are a gateway's own work: the floor's figure is without.
    floor: Some(Floor {
        addressed: true,
        ..PLAIN
    }),
    flags: &[],
    without: &[],
    others: true,
    run: |subject, scale| own(subject, scale),
};

const LEAVING: Scenario = Scenario {
    rows: &[Row {
        id: "disconnect",
        in_flight: None,
        title: "10,000 subscribers of one model disconnect, per client",
        floor_us: Some(15.0),
        goals: &[Goal::CpuFloor(1.3)],
    }],
    floor: Some(PLAIN),
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| leaving(subject, scale),
};

fn own(subject: &Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|name| {
        let owner = name.rsplit('.').next().unwrap_or_default();
        format!(r#"{{"model":{{"owner":{owner},"n":0}}}}"#)
    });
    Services::listen(&mut net)?;
    let count = scale.count(10_000);

    Join::new(&mut net, subject, BEFORE, &mut services, None).run(&mut net)?;
    Subscribing::new(&mut services, 0..BEFORE, subject).run(&mut net)?;
    settle(&mut net, subject.speaks)?;
    OwnEvents::new(&mut services, BEFORE, subject, FIRST).run(&mut net, Duration::ZERO)?;

    let window = subject.begin()?;
    Join::new(&mut net, subject, count, &mut services, None).run(&mut net)?;
    let connected = subject.end(window, count as u64)?;

    let window = subject.begin()?;
    let crowd = BEFORE..BEFORE + count;
    let latency = Subscribing::new(&mut services, crowd, subject).run(&mut net)?;
    let mut subscribed = subject.end(window, count as u64)?;
    settle(&mut net, subject.speaks)?;
    subscribed.before = connected.before;
    subscribed.latency = latency;

    // A first round for buffers again.
    let mut events = OwnEvents::new(&mut services, BEFORE + count, subject, FIRST + 1_000);
    events.run(&mut net, Duration::ZERO)?;
    let window = subject.begin()?;
    (events.delivered, events.latency) = (0, Histogram::default());
    events.run(&mut net, scale.time)?;
    let (delivered, latency) = (events.delivered, events.latency);
    let mut sent = subject.end(window, delivered)?;
    sent.latency = latency;
    Ok(vec![connected, subscribed, sent])
}

/// Each client of a range subscribes to the model that has its number.
struct Subscribing<'a, 's> {
    services: &'a mut Services<'s>,
    /// Those that have not asked yet.
    left: Range<usize>,
    asking: usize,
    sent: Vec<Option<Instant>>,
    speaks: Speaks,
    /// Whether answers say what the client's own model is.
    is_told: bool,
    latency: Histogram,
}

impl<'a, 's> Subscribing<'a, 's> {
    fn new(services: &'a mut Services<'s>, clients: Range<usize>, subject: &Subject) -> Self {
        Self {
            services,
            sent: vec![None; clients.end],
            left: clients,
            asking: 0,
            speaks: subject.speaks,
            is_told: subject.kind != Kind::Floor && !subject.kind.is_other(),
            latency: Histogram::default(),
        }
    }

    fn run(mut self, net: &mut Net) -> Result<Histogram, Fault> {
        self.ask(net)?;
        net.run(&mut self, "answers to subscribe requests", JOIN_LIMIT)?;
        Ok(self.latency)
    }

    fn ask(&mut self, net: &mut Net) -> Outcome {
        while self.asking < ASKING
            && let Some(client) = self.left.next()
        {
            self.asking += 1;
            self.sent[client] = Some(Instant::now());
            let request = subscription(self.speaks, &format!("bench.m.{client}"));
            net.send(client, request.as_bytes())?;
        }
        Ok(())
    }
}

impl Load for Subscribing<'_, '_> {
    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let own = format!(r#""bench.m.{client}":{{"#);
        let owner = format!(r#""owner":{client}"#);
        let is_own = [own, owner]
            .iter()
            .all(|part| find(text, part.as_bytes()).is_some());
        let asked = self.sent.get_mut(client).and_then(Option::take);
        let answer = taken(self.speaks, client, text, true)?;
        let (1, true, Some(time)) = (answer, is_own || !self.is_told, asked) else {
            return Err(Fault::unexpected(client, text));
        };
        self.latency.add(net.now() - time, 1);
        self.asking -= 1;
        self.ask(net)
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)
    }

    fn is_done(&self) -> bool {
        self.left.is_empty() && self.asking == 0
    }
}

/// Events for the models of all clients in turn. No model's next one is published before
/// its client has the last one.
struct OwnEvents<'a, 's> {
    services: &'a mut Services<'s>,
    /// The subjects of the models' events, by number.
    subjects: Vec<String>,
    /// Whether the text that a client gets is published as it is.
    is_plain: bool,
    /// Of each client: the number of its model. The floor has another order than the
    /// driver, which shows with the first event.
    models: Vec<Option<usize>>,
    /// Of each model: the client that gets its events.
    owners: Vec<Option<usize>>,
    /// Of each model: when its event was published that its client does not have yet.
    published: Vec<Option<Instant>>,
    /// Of each model: the number that its next event carries.
    next: Vec<u64>,
    /// The model whose turn it is.
    turn: usize,
    open: usize,
    /// Events that are published at least.
    least: usize,
    until: Instant,
    delivered: u64,
    latency: Histogram,
}

impl<'a, 's> OwnEvents<'a, 's> {
    fn new(services: &'a mut Services<'s>, clients: usize, subject: &Subject, first: u64) -> Self {
        let models = |client| (subject.kind != Kind::Floor).then_some(client);
        Self {
            services,
            subjects: (0..clients)
                .map(|client| format!("event.bench.m.{client}.change"))
                .collect(),
            is_plain: subject.kind.is_other(),
            models: (0..clients).map(models).collect(),
            owners: (0..clients).map(models).collect(),
            published: vec![None; clients],
            next: vec![first; clients],
            turn: 0,
            open: 0,
            least: 0,
            until: Instant::now(),
            delivered: 0,
            latency: Histogram::default(),
        }
    }

    /// One event for each client at least.
    fn run(&mut self, net: &mut Net, time: Duration) -> Outcome {
        self.until = Instant::now() + time;
        self.least = self.subjects.len();
        self.publish(net);
        net.run(self, "events to reach their clients", time + JOIN_LIMIT)
    }

    fn publish(&mut self, net: &mut Net) {
        let now = Instant::now();
        while self.open < IN_FLIGHT
            && self.published[self.turn].is_none()
            && (self.least > 0 || now < self.until)
        {
            let payload = format!(r#"{{"values":{{"n":{}}}}}"#, self.next[self.turn]);
            let subject = &self.subjects[self.turn];
            if self.is_plain {
                // `event.` before the model's name, `.change` behind it.
                let event = &subject[6..];
                let text = format!(r#"{{"event":"{event}","data":{payload}}}"#);
                let name = &event[..event.len() - 7];
                net.publish(name.as_bytes(), text.as_bytes());
            } else {
                net.publish(subject.as_bytes(), payload.as_bytes());
            }
            self.published[self.turn] = Some(now);
            self.least = self.least.saturating_sub(1);
            self.open += 1;
            self.turn = (self.turn + 1) % self.subjects.len();
        }
    }

    /// The model whose event a text is, if it is the client's.
    fn model(&mut self, client: usize, text: &[u8]) -> Option<usize> {
        let rest = text.strip_prefix(br#"{"event":"bench.m."#)?;
        let model = match self.models[client] {
            Some(model) => model,
            None => {
                let model = number(rest)? as usize;
                let owner = self.owners.get_mut(model)?;
                if owner.replace(client).is_some() {
                    return None;
                }
                self.models[client] = Some(model);
                model
            }
        };
        // Behind `event.bench.m.`
        let rest = rest.strip_prefix(&self.subjects[model].as_bytes()[14..])?;
        rest.starts_with(br#"","data":"#).then_some(model)
    }
}

impl Load for OwnEvents<'_, '_> {
    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let found = self.model(client, text).zip(event_number(text));
        let (model, found) = found.ok_or_else(|| Fault::unexpected(client, text))?;
        let (expected, published) = (self.next[model], self.published[model].take());
        let Some(published) = published.filter(|_| found == expected) else {
            return Err(Fault::Order {
                client,
                expected,
                found,
            });
        };
        self.next[model] += 1;
        self.latency.add(net.now() - published, 1);
        self.delivered += 1;
        self.open -= 1;
        Ok(())
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)
    }

    fn turn(&mut self, net: &mut Net, _: Instant) -> Outcome {
        self.publish(net);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.open == 0 && self.least == 0 && Instant::now() >= self.until
    }
}

fn leaving(subject: &Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|_| r#"{"model":{"n":0}}"#.to_owned());
    Services::listen(&mut net)?;
    let count = scale.count(10_000);
    let resource = |_| "bench.m".to_owned();
    Join::new(&mut net, subject, count, &mut services, Some(&resource)).run(&mut net)?;
    let now = Instant::now();
    let mut leaving = Leaving {
        has_left: vec![false; count],
        left: 0,
        rest: (subject.kind == Kind::Peer).then_some(Rest {
            subject,
            look: now,
            cpu: 0,
            looks: 0,
        }),
    };
    let window = subject.begin()?;
    for client in 0..count {
        net.end(client)?;
    }
    net.run(&mut leaving, "the ends of all connections", JOIN_LIMIT)?;
    Ok(vec![subject.end(window, count as u64)?])
}

/// Clients have ended their side; the subject shall end its own.
struct Leaving<'a> {
    has_left: Vec<bool>,
    left: usize,
    rest: Option<Rest<'a>>,
}

/// Until a process has nothing to do. Resgate leaves such sockets to its garbage collector,
/// so that only this tells when it has forgotten the clients.
struct Rest<'a> {
    subject: &'a Subject,
    look: Instant,
    cpu: u64,
    /// How often in succession it was found at rest.
    looks: u32,
}

impl Rest<'_> {
    const STEP: Duration = Duration::from_millis(50);

    /// Nanoseconds between two looks that are rest all the same.
    const NOISE: u64 = 10_000_000;

    fn look(&mut self, now: Instant) -> Outcome {
        if now >= self.look {
            self.look = now + Self::STEP;
            let before = std::mem::replace(&mut self.cpu, self.subject.cpu_ns()?);
            self.looks = match self.cpu - before <= Self::NOISE {
                true => self.looks + 1,
                false => 0,
            };
        }
        Ok(())
    }
}

impl Load for Leaving<'_> {
    fn ended(&mut self, _: &mut Net, client: usize) -> Outcome {
        if std::mem::replace(&mut self.has_left[client], true) {
            return Err(Fault::Surprise(format!("client {client} ended twice")));
        }
        self.left += 1;
        Ok(())
    }

    fn turn(&mut self, _: &mut Net, now: Instant) -> Outcome {
        match &mut self.rest {
            Some(rest) => rest.look(now),
            None => Ok(()),
        }
    }

    fn wake(&self) -> Option<Instant> {
        self.rest.as_ref().map(|rest| rest.look)
    }

    fn is_done(&self) -> bool {
        self.left == self.has_left.len() || self.rest.as_ref().is_some_and(|it| it.looks >= 4)
    }
}
