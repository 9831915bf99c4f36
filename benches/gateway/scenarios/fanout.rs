//! Events of one resource to many clients.

use std::time::{Duration, Instant};

use super::join::join_model;
use super::{Goal, Row, Scale, Scenario};
use crate::fault::{Fault, Outcome};
use crate::floor::EVENT_HEAD;
use crate::load::{Load, Net, Speaks};
use crate::secure;
use crate::services::Services;
use crate::stats::Histogram;
use crate::subject::{INSIDE, Kind, PLAIN, Sample, Subject, WORKERS};
use crate::wire::{Delivery, find, number};

/// Fan-out in its forms.
pub const SCENARIOS: &[Scenario] = &[
    FANOUT_64,
    FANOUT_1,
    FANOUT_1K,
    FANOUT_5000,
    FANOUT_PACED,
    FANOUT_TLS,
    FANOUT_DEFLATED,
    FANOUT_STREAM,
    FANOUT_INSIDE,
    FANOUT_WORKERS,
    FLUSH_0,
    FLUSH_5,
    FLUSH_20,
];

const FANOUT_64: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-64x64",
        in_flight: Some(64),
        title: "change events of 64 B to 1,000 clients, 64 in flight, per delivery",
        floor_us: Some(0.11),
        goals: &[Goal::CpuFloor(1.7), Goal::CpuPeer(30.0)],
    }],
    floor: Some(PLAIN),
    flags: &[],
    without: &[],
    others: true,
    run: |subject, scale| fan_out(subject, scale, 1_000, 64, Flow::InFlight(64)),
};

const FANOUT_1: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-64x1",
        in_flight: Some(1),
        title: "the same, 1 event in flight",
        floor_us: Some(5.5),
        goals: &[Goal::CpuFloor(1.12)],
    }],
    run: |subject, scale| fan_out(subject, scale, 1_000, 64, Flow::InFlight(1)),
    ..FANOUT_64
};

const FANOUT_1K: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-1024x64",
        in_flight: Some(64),
        title: "the same, events of 1 KiB, 64 in flight",
        floor_us: Some(0.46),
        goals: &[Goal::CpuFloor(1.4)],
    }],
    run: |subject, scale| fan_out(subject, scale, 1_000, 1_024, Flow::InFlight(64)),
    ..FANOUT_64
};

const FANOUT_5000: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-5000",
        in_flight: Some(64),
        title: "change events of 64 B to 5,000 clients, 64 in flight, per delivery",
        floor_us: Some(0.13),
        goals: &[Goal::CpuFloor(1.7)],
    }],
    run: |subject, scale| fan_out(subject, scale, 5_000, 64, Flow::InFlight(64)),
    ..FANOUT_64
};

const FANOUT_PACED: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-paced",
        in_flight: None,
        title: "60 paced events/s to 1,000 clients, from publish to receive",
        floor_us: None,
        goals: &[Goal::LatencyFloor(1.15)],
    }],
    run: |subject, scale| fan_out(subject, scale, 1_000, 64, Flow::Paced(60)),
    ..FANOUT_64
};

const FANOUT_TLS: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-tls",
        in_flight: Some(64),
        title: "change events of 64 B to 1,000 clients with TLS, per delivery",
        floor_us: None,
        goals: &[],
    }],
    floor: None,
    flags: secure::FLAGS,
    others: false,
    ..FANOUT_64
};

const FANOUT_DEFLATED: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-deflated",
        in_flight: Some(64),
        title: "events of 1 KiB to 1,000 clients, compressed (permessage-deflate), per delivery",
        floor_us: None,
        goals: &[],
    }],
    floor: None,
    flags: &["--wscompression"],
    others: false,
    ..FANOUT_1K
};

const FANOUT_STREAM: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-stream",
        in_flight: Some(64),
        title: "change events of 64 B to 1,000 streams of server-sent events, per delivery",
        floor_us: None,
        goals: &[],
    }],
    floor: None,
    without: &[Kind::Peer],
    others: false,
    run: |subject, scale| {
        subject.speaks = Speaks::Stream("/api/bench/m");
        fan_out(subject, scale, 1_000, 64, Flow::InFlight(64))
    },
    ..FANOUT_64
};

const FANOUT_INSIDE: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-inside",
        in_flight: Some(64),
        title: "change events of 64 B to 1,000 clients of a gateway with --broker, whose time \
                counts as well, per delivery",
        floor_us: None,
        goals: &[],
    }],
    floor: None,
    flags: &[INSIDE],
    without: &[Kind::Peer],
    others: false,
    ..FANOUT_64
};

const FANOUT_WORKERS: Scenario = Scenario {
    rows: &[Row {
        id: "fanout-workers",
        in_flight: Some(64),
        title: "the same of a gateway with --workers 2, CPU and memory of all its processes, \
                per delivery",
        floor_us: None,
        goals: &[],
    }],
    flags: &[WORKERS, "2"],
    ..FANOUT_INSIDE
};

const FLUSH_0: Scenario = Scenario {
    rows: &[Row {
        id: "flush-0",
        in_flight: None,
        title: "1,000 paced events/s to 250 clients, each written at once, per delivery",
        floor_us: None,
        goals: &[],
    }],
    floor: None,
    others: false,
    run: |subject, scale| fan_out(subject, scale, 250, 64, Flow::Paced(1_000)),
    ..FANOUT_64
};

const FLUSH_5: Scenario = Scenario {
    rows: &[Row {
        id: "flush-5",
        in_flight: None,
        title: "the same with flushDelay 5",
        floor_us: None,
        goals: &[],
    }],
    flags: &["--flushdelay", "5"],
    without: &[Kind::Peer],
    ..FLUSH_0
};

const FLUSH_20: Scenario = Scenario {
    rows: &[Row {
        id: "flush-20",
        in_flight: None,
        title: "the same with flushDelay 20",
        floor_us: None,
        goals: &[],
    }],
    flags: &["--flushdelay", "20"],
    ..FLUSH_5
};

fn fan_out(
    subject: &Subject,
    scale: Scale,
    clients: usize,
    size: usize,
    flow: Flow,
) -> Result<Vec<Sample>, Fault> {
    let plan = Plan {
        clients: scale.count(clients),
        size,
        is_plain: subject.kind.is_other(),
        flow,
        time: scale.time,
    };
    Ok(vec![run(subject, plan)?])
}

/// The first event's number; all have as many digits.
pub(super) const FIRST: u64 = 1_000_000;

/// Events whose times are remembered; no more are in flight.
const RING: usize = 1 << 16;

/// How the events come.
#[derive(Clone, Copy, Debug)]
pub enum Flow {
    /// So many not yet received by all.
    InFlight(usize),
    /// So many in a second, whether or not they were received.
    Paced(u32),
}

/// Who gets what.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub clients: usize,
    /// Bytes of an event's payload.
    pub size: usize,
    /// Whether the text that clients get is published as it is: nobody makes it of an event.
    pub is_plain: bool,
    pub flow: Flow,
    pub time: Duration,
}

/// Runs a fan-out of change events; the operation is a delivery.
pub fn run(subject: &Subject, plan: Plan) -> Result<Sample, Fault> {
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|_| r#"{"model":{"n":0,"text":""}}"#.to_owned());
    Services::listen(&mut net)?;
    join_model(&mut net, subject, plan.clients, &mut services)?;

    // A first round fills caches and buffers.
    let mut events = Events::new(&mut services, plan, FIRST);
    events.until = Instant::now() + plan.time / 10;
    events.run(&mut net)?;
    let next = events.next;
    let mut events = Events::new(&mut services, plan, next);
    let window = subject.begin()?;
    events.until = Instant::now() + plan.time;
    events.run(&mut net)?;
    let mut sample = subject.end(window, events.delivered)?;
    sample.latency = events.latency;
    Ok(sample)
}

/// Events on their way to all clients.
pub(super) struct Events<'a, 's> {
    services: &'a mut Services<'s>,
    plan: Plan,
    /// Number of the next event.
    next: u64,
    /// Events that not all clients have yet.
    open: usize,
    /// When no more are published.
    pub(super) until: Instant,
    due: Instant,
    /// Of each client, the number that it must get next.
    expected: Vec<u64>,
    /// Of each event: when it was published, and how many have it.
    published: Vec<(Instant, usize)>,
    pub(super) delivered: u64,
    latency: Histogram,
    payload: Vec<u8>,
}

impl<'a, 's> Events<'a, 's> {
    pub(super) fn new(services: &'a mut Services<'s>, plan: Plan, first: u64) -> Self {
        let now = Instant::now();
        Self {
            services,
            plan,
            next: first,
            open: 0,
            until: now,
            due: now,
            expected: vec![first; plan.clients],
            published: vec![(now, 0); RING],
            delivered: 0,
            latency: Histogram::default(),
            payload: Vec::new(),
        }
    }

    /// Publishes for a further time, beginning now.
    pub(super) fn resume(&mut self, time: Duration) {
        self.due = Instant::now();
        self.until = self.due + time;
    }

    fn run(&mut self, net: &mut Net) -> Outcome {
        let now = Instant::now();
        self.publish(net, now);
        let limit = self.plan.time * 4 + Duration::from_secs(60);
        net.run(self, "events to reach every client", limit)
    }

    /// Publishes what the flow allows now.
    fn publish(&mut self, net: &mut Net, now: Instant) {
        loop {
            let may = match self.plan.flow {
                Flow::InFlight(count) => self.open < count,
                Flow::Paced(_) => self.due <= now && self.open < RING,
            };
            if !may || now >= self.until {
                return;
            }
            if let Flow::Paced(rate) = self.plan.flow {
                self.due += Duration::from_secs(1) / rate;
            }
            let number = self.next;
            let letter = b'a' + (number % 26) as u8;
            self.payload.clear();
            if self.plan.is_plain {
                self.payload.extend_from_slice(EVENT_HEAD);
            }
            let head = format!(r#"{{"values":{{"n":{number},"text":""#);
            self.payload.extend_from_slice(head.as_bytes());
            let fill = self.plan.size.saturating_sub(head.len() + 3);
            let filled = self.payload.len() + fill;
            self.payload.resize(filled, letter);
            self.payload.extend_from_slice(br#""}}"#);
            if self.plan.is_plain {
                self.payload.push(b'}');
                net.publish(b"bench.m", &self.payload);
            } else {
                net.publish(b"event.bench.m.change", &self.payload);
            }
            self.published[number as usize % RING] = (now, 0);
            self.next += 1;
            self.open += 1;
        }
    }
}

impl Load for Events<'_, '_> {
    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let found = event_number(text).ok_or_else(|| Fault::unexpected(client, text))?;
        let expected = &mut self.expected[client];
        if found != *expected {
            return Err(Fault::Order {
                client,
                expected: *expected,
                found,
            });
        }
        *expected += 1;
        let (time, count) = &mut self.published[found as usize % RING];
        self.latency.add(net.now() - *time, 1);
        self.delivered += 1;
        *count += 1;
        if *count == self.plan.clients {
            self.open -= 1;
        }
        Ok(())
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)
    }

    fn turn(&mut self, net: &mut Net, now: Instant) -> Outcome {
        self.publish(net, now);
        Ok(())
    }

    fn wake(&self) -> Option<Instant> {
        match self.plan.flow {
            Flow::InFlight(_) => None,
            Flow::Paced(_) => Some(self.due.min(self.until)),
        }
    }

    fn is_done(&self) -> bool {
        self.open == 0 && Instant::now() >= self.until
    }
}

/// The number that an event carries.
pub(super) fn event_number(text: &[u8]) -> Option<u64> {
    const MARK: &[u8] = br#""n":"#;
    // Where it stands if values come first, as they are sent.
    let usual = EVENT_HEAD.len() + 11;
    let start = match text.get(usual..usual + MARK.len()) {
        Some(part) if part == MARK => usual,
        _ => find(text, MARK)?,
    };
    number(&text[start + MARK.len()..])
}
