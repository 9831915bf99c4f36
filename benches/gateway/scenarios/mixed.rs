//! Calls of a few while very many are sent events.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::fanout::{Events, FIRST, Flow, Plan};
use super::join::{expect_answer, join_model};
use super::{Goal, Row, Scale, Scenario};
use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net};
use crate::services::Services;
use crate::stats::Histogram;
use crate::subject::{Floor, Sample, Subject};
use crate::wire::Delivery;

/// Different loads at once.
pub const SCENARIOS: &[Scenario] = &[CALLS_BESIDE];

/// Clients that call.
const CALLERS: usize = 64;

const CALLS_BESIDE: Scenario = Scenario {
    rows: &[Row {
        id: "calls-beside",
        in_flight: None,
        title: "10,000 clients get 100 events/s, 64 others as well, which call all the time; \
                CPU per delivery, latency of the calls",
        floor_us: None,
        goals: &[Goal::TailFloor(2.0)],
    }],
    floor: Some(Floor {
        hops: 1,
        answer: r#"{"payload":{"done":true}}"#,
        addressed: false,
    }),
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| calls_beside(subject, scale),
};

fn calls_beside(subject: &Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let receivers = scale.count(10_000);
    let plan = Plan {
        clients: receivers + CALLERS,
        size: 64,
        is_plain: false,
        flow: Flow::Paced(100),
        time: scale.time,
    };
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|_| r#"{"model":{"n":0,"text":""}}"#.to_owned());
    Services::listen(&mut net)?;
    join_model(&mut net, subject, plan.clients, &mut services)?;
    let mut mixed = Mixed {
        events: Events::new(&mut services, plan, FIRST),
        callers: receivers..plan.clients,
        ids: vec![2; plan.clients],
        sent: vec![Instant::now(); plan.clients],
        open: 0,
        latency: Histogram::default(),
    };
    mixed.run(&mut net, plan.time / 10)?;
    let window = subject.begin()?;
    (mixed.events.delivered, mixed.latency) = (0, Histogram::default());
    mixed.run(&mut net, plan.time)?;
    let (delivered, latency) = (mixed.events.delivered, mixed.latency);
    let mut sample = subject.end(window, delivered)?;
    sample.extra = vec![("calls", latency.len() as f64, "")];
    sample.latency = latency;
    Ok(vec![sample])
}

/// Events for all, and calls of some.
struct Mixed<'a, 's> {
    events: Events<'a, 's>,
    callers: Range<usize>,
    /// Of each client: the ID of its open or next call.
    ids: Vec<u64>,
    sent: Vec<Instant>,
    open: usize,
    /// Of the calls.
    latency: Histogram,
}

impl Mixed<'_, '_> {
    fn run(&mut self, net: &mut Net, time: Duration) -> Outcome {
        self.events.resume(time);
        for client in self.callers.clone() {
            self.call(net, client)?;
        }
        let limit = time * 4 + Duration::from_secs(120);
        net.run(self, "events and answers", limit)
    }

    fn call(&mut self, net: &mut Net, client: usize) -> Outcome {
        self.open += 1;
        self.sent[client] = Instant::now();
        let id = self.ids[client];
        let request = format!(r#"{{"id":{id},"method":"call.bench.m.do","params":{{"value":1}}}}"#);
        net.send(client, request.as_bytes())
    }
}

impl Load for Mixed<'_, '_> {
    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        if text.starts_with(br#"{"event":"#) {
            return self.events.message(net, client, text);
        }
        expect_answer(client, text, self.ids[client])?;
        self.ids[client] += 1;
        self.open -= 1;
        self.latency.add(net.now() - self.sent[client], 1);
        match net.now() < self.events.until {
            true => self.call(net, client),
            false => Ok(()),
        }
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.events.request(net, delivery)
    }

    fn turn(&mut self, net: &mut Net, now: Instant) -> Outcome {
        self.events.turn(net, now)
    }

    fn wake(&self) -> Option<Instant> {
        self.events.wake()
    }

    fn is_done(&self) -> bool {
        self.open == 0 && self.events.is_done()
    }
}
