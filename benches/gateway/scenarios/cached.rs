//! Events of single resources among more and more that are cached.

use std::time::{Duration, Instant};

use super::join::Join;
use super::library::Library;
use super::{Goal, Row, Scenario};
use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net};
use crate::services::Services;
use crate::stats::Histogram;
use crate::subject::{Kind, Sample, Subject};
use crate::wire::{Delivery, find, number};

/// The cache in its sizes.
pub const SCENARIOS: &[Scenario] = &[CACHED];

const CACHED: Scenario = Scenario {
    rows: &[
        Row {
            id: "cached-1k",
            in_flight: Some(4),
            title: "change events of any of 1,000 cached resources, each with its own write, \
                    per event",
            floor_us: None,
            goals: &[],
        },
        Row {
            id: "cached-1k-burst",
            in_flight: Some(256),
            title: "the same, 256 in flight",
            floor_us: None,
            goals: &[],
        },
        Row {
            id: "cached-100k",
            in_flight: Some(4),
            title: "of any of 100,000, each with its own write",
            floor_us: None,
            goals: &[Goal::Extra(AGAINST_FEW, 1.3)],
        },
        Row {
            id: "cached-100k-burst",
            in_flight: Some(256),
            title: "the same, 256 in flight",
            floor_us: None,
            goals: &[],
        },
        Row {
            id: "cached-1m",
            in_flight: Some(4),
            title: "of any of 1,000,000, each with its own write",
            floor_us: None,
            goals: &[Goal::Extra(AGAINST_FEW, 1.3)],
        },
        Row {
            id: "cached-1m-burst",
            in_flight: Some(256),
            title: "the same, 256 in flight",
            floor_us: None,
            goals: &[],
        },
    ],
    floor: None,
    // The broker takes long for a subscription when it has so many.
    flags: &["--reqtimeout", "60000"],
    // Its memory for a million resources is more than most machines have.
    without: &[Kind::Peer],
    others: false,
    run: |subject, scale| {
        let mut samples = Vec::new();
        for (shelf, items) in [1_000, 100_000, 1_000_000].into_iter().enumerate() {
            let items = scale.count(items);
            samples.extend(run(subject, (shelf, items), scale.time)?);
        }
        let few = [samples[0].cpu_us(), samples[1].cpu_us()];
        for (place, sample) in samples.iter_mut().enumerate().skip(2) {
            let ratio = sample.cpu_us() / few[place % 2];
            sample.extra.push((AGAINST_FEW, ratio, ""));
        }
        Ok(samples)
    },
};

const AGAINST_FEW: &str = "times that of 1,000";

/// Who holds them all, each a part.
const CLIENTS: usize = 4;

/// Events in flight: about one for each client, which then each have a write of their own;
/// and so many that writes and wake-ups hardly count.
const IN_FLIGHT: [usize; 2] = [CLIENTS, 256];

/// How many events are remembered.
const RING: usize = 1 << 12;

fn run(
    subject: &Subject,
    (shelf, items): (usize, usize),
    time: Duration,
) -> Result<Vec<Sample>, Fault> {
    let library = Library::new(shelf, items, CLIENTS);
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|name| library.get(name));
    Services::listen(&mut net)?;
    Join::new(&mut net, subject, CLIENTS, &mut services, None).run(&mut net)?;
    library.open(&mut net, &mut services)?;
    let mut events = Events {
        services: &mut services,
        library: &library,
        next: 1,
        until: Instant::now(),
        in_flight: 0,
        open: 0,
        notes: vec![(usize::MAX, Instant::now()); RING],
        last: vec![0; items],
        delivered: 0,
        latency: Histogram::default(),
    };
    let mut samples = Vec::new();
    for in_flight in IN_FLIGHT {
        events.in_flight = in_flight;
        events.until = Instant::now() + time / 5;
        events.go(&mut net)?;
        events.until = Instant::now() + time;
        (events.delivered, events.latency) = (0, Histogram::default());
        let window = subject.begin()?;
        events.go(&mut net)?;
        let mut sample = subject.end(window, events.delivered)?;
        sample.latency = std::mem::take(&mut events.latency);
        samples.push(sample);
    }
    Ok(samples)
}

struct Events<'a, 's> {
    services: &'a mut Services<'s>,
    library: &'a Library,
    /// Number of the next event.
    next: u64,
    until: Instant,
    in_flight: usize,
    open: usize,
    /// Of each event in flight, its item and when it was published.
    notes: Vec<(usize, Instant)>,
    /// Of each item, the number of the last event that came.
    last: Vec<u64>,
    delivered: u64,
    latency: Histogram,
}

impl Events<'_, '_> {
    fn go(&mut self, net: &mut Net) -> Outcome {
        self.publish(net, Instant::now());
        net.run(self, "events of all resources", Duration::from_secs(60))
    }

    fn publish(&mut self, net: &mut Net, now: Instant) {
        while self.open < self.in_flight && now < self.until {
            let number = self.next;
            let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
            let item = spread as usize % self.library.items;
            let subject = format!("event.{}.change", self.library.name(item));
            let payload = format!(r#"{{"values":{{"state":{number}}}}}"#);
            net.publish(subject.as_bytes(), payload.as_bytes());
            self.notes[number as usize % RING] = (item, now);
            self.next += 1;
            self.open += 1;
        }
    }
}

impl Load for Events<'_, '_> {
    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let found = find(text, br#""state":"#).and_then(|at| number(&text[at + 8..]));
        let found = found.ok_or_else(|| Fault::unexpected(client, text))?;
        let note = &mut self.notes[found as usize % RING];
        let (item, published) = *note;
        let values = format!(r#"{{"values":{{"state":{found}}}}}"#);
        let name = self.library.name(item);
        let wanted = format!(r#"{{"event":"{name}.change","data":{values}}}"#);
        if text != wanted.as_bytes() || self.library.holder(item) != client {
            return Err(Fault::unexpected(client, text));
        }
        if self.last[item] >= found {
            return Err(Fault::Order {
                client,
                expected: self.last[item] + 1,
                found,
            });
        }
        note.0 = usize::MAX;
        self.last[item] = found;
        self.open -= 1;
        self.delivered += 1;
        self.latency.add(net.now() - published, 1);
        Ok(())
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)
    }

    fn turn(&mut self, net: &mut Net, now: Instant) -> Outcome {
        self.publish(net, now);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.open == 0 && Instant::now() >= self.until
    }
}
