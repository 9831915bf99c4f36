//! What clients and subscriptions hold in memory, and what a gateway without any needs.

use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::join::Join;
use super::{Goal, Row, Scale, Scenario};
use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net, UPGRADE, VERSION};
use crate::secure;
use crate::services::Services;
use crate::subject::{PLAIN, Sample, Subject};
use crate::wire::Delivery;

/// Bytes of the head that a client brings, which a gateway must keep: it may have to tell
/// services of it.
pub const HEAD: f64 = UPGRADE.len() as f64;

/// Memory in its forms.
pub const SCENARIOS: &[Scenario] = &[START, IDLE_MOST, IDLE_TLS, REFERENCES];

/// Clients that come in before memory is measured, and make the first buffers.
const BEFORE: usize = 64;

/// Descriptors that a process has for other things than clients.
const OTHER_FILES: u64 = 200;

/// Clients where nothing limits them.
const MOST: u64 = 100_000;

const START: Scenario = Scenario {
    rows: &[Row {
        id: "start",
        in_flight: None,
        title: "started, without clients",
        floor_us: None,
        goals: &[
            Goal::Resident(3.0),
            Goal::Extra("start", 10.0),
            Goal::Extra("program", 3.0),
        ],
    }],
    floor: Some(PLAIN),
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| start(subject, scale),
};

const IDLE_MOST: Scenario = Scenario {
    rows: &[Row {
        id: "idle-most",
        in_flight: None,
        title: "as many clients as may have a socket, each subscribed to one model, per client; \
                then at rest",
        floor_us: None,
        goals: &[
            Goal::Growth(768.0 + 128.0 + HEAD),
            Goal::Extra("CPU at rest", 1.0),
        ],
    }],
    floor: Some(PLAIN),
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| idle_most(subject, scale),
};

const IDLE_TLS: Scenario = Scenario {
    rows: &[Row {
        id: "idle-tls",
        in_flight: None,
        title: "2,000 clients connect with TLS and agree on the version, per client",
        floor_us: None,
        goals: &[Goal::Growth(12.0 * 1_024.0)],
    }],
    floor: None,
    flags: secure::FLAGS,
    without: &[],
    others: false,
    run: |subject, scale| idle_tls(subject, scale),
};

const REFERENCES: Scenario = Scenario {
    rows: &[Row {
        id: "references",
        in_flight: None,
        title: "100 clients get a cached list of 1,000 models, per subscription of a model",
        floor_us: None,
        goals: &[Goal::Growth(128.0)],
    }],
    floor: None,
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| references(subject, scale),
};

fn start(subject: &Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let mut net = Net::new(subject.broker.address)?;
    let window = subject.begin()?;
    net.run(&mut Rest::new(scale.time / 10), "time to pass", scale.time)?;
    let mut sample = subject.end(window, 1)?;
    sample.extra = vec![
        ("start", subject.start_time.as_secs_f64() * 1e3, "ms"),
        ("program", subject.program_size as f64 / 1e6, "MB"),
    ];
    Ok(vec![sample])
}

fn idle_most(subject: &Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    // Driver and subject have the same limit, and each client costs both one.
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST);
    let most = limit.saturating_sub(OTHER_FILES).min(MOST) as usize;
    let count = scale.count(most).saturating_sub(BEFORE).max(1);
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|_| r#"{"model":{"n":0}}"#.to_owned());
    Services::listen(&mut net)?;
    let resource = |_| "bench.m".to_owned();
    Join::new(&mut net, subject, BEFORE, &mut services, Some(&resource)).run(&mut net)?;
    let window = subject.begin()?;
    Join::new(&mut net, subject, count, &mut services, Some(&resource)).run(&mut net)?;
    let mut sample = subject.end(window, count as u64)?;
    // What is still done after the last answer is no rest.
    let quarter = scale.time / 4;
    net.run(&mut Rest::new(quarter), "time to pass", scale.time)?;
    let (start, cpu) = (Instant::now(), subject.cpu_ns()?);
    net.run(&mut Rest::new(scale.time), "time to pass", scale.time * 2)?;
    let share = (subject.cpu_ns()? - cpu) as f64 / start.elapsed().as_nanos() as f64;
    sample.extra = vec![
        ("CPU at rest", share * 100.0, "%"),
        ("clients", (BEFORE + count) as f64, ""),
    ];
    Ok(vec![sample])
}

/// Nothing happens, and nothing may come.
struct Rest {
    until: Instant,
}

impl Rest {
    fn new(time: Duration) -> Self {
        let until = Instant::now() + time;
        Self { until }
    }
}

impl Load for Rest {
    fn wake(&self) -> Option<Instant> {
        Some(self.until)
    }

    fn is_done(&self) -> bool {
        Instant::now() >= self.until
    }
}

fn idle_tls(subject: &Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|_| String::new());
    let count = scale.count(2_000);
    Join::new(&mut net, subject, BEFORE, &mut services, None).run(&mut net)?;
    let window = subject.begin()?;
    Join::new(&mut net, subject, count, &mut services, None).run(&mut net)?;
    Ok(vec![subject.end(window, count as u64)?])
}

/// Models that the list of the references has.
const MODELS: usize = 1_000;

fn references(subject: &Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|name| match name.strip_prefix("bench.item.") {
        Some(number) => format!(r#"{{"model":{{"n":{number}}}}}"#),
        None => {
            let items = (0..MODELS).map(|number| format!(r#"{{"rid":"bench.item.{number}"}}"#));
            let items: Vec<String> = items.collect();
            format!(r#"{{"collection":[{}]}}"#, items.join(","))
        }
    });
    Services::listen(&mut net)?;
    // The first client brings the list and its models into the cache, and the texts that
    // are sent; the second one what only later clients need.
    let mut expected = None;
    for _ in 0..2 {
        Trees::new(&mut net, subject, 1, &mut services, &mut expected).run(&mut net)?;
    }
    let count = scale.count(100);
    let window = subject.begin()?;
    // One after the other: what many at once hold while they wait is another matter.
    for _ in 0..count {
        Trees::new(&mut net, subject, 1, &mut services, &mut expected).run(&mut net)?;
    }
    let sample = subject.end(window, (count * MODELS) as u64)?;
    match services.gets as usize == MODELS + 1 {
        true => Ok(vec![sample]),
        false => Err(Fault::Surprise(format!("{} get requests", services.gets))),
    }
}

/// Clients that connect and take the list with its models.
struct Trees<'a, 's> {
    services: &'a mut Services<'s>,
    /// Length of every answer: all say the same, in whatever order.
    expected: &'a mut Option<usize>,
    left: usize,
}

impl<'a, 's> Trees<'a, 's> {
    fn new(
        net: &mut Net,
        subject: &Subject,
        count: usize,
        services: &'a mut Services<'s>,
        expected: &'a mut Option<usize>,
    ) -> Self {
        net.add(count, crate::load::Speaks::WebSocket, subject.address);
        Self {
            services,
            expected,
            left: count,
        }
    }

    fn run(mut self, net: &mut Net) -> Outcome {
        net.run(&mut self, "lists", super::join::JOIN_LIMIT)
    }
}

impl Load for Trees<'_, '_> {
    fn opened(&mut self, net: &mut Net, client: usize) -> Outcome {
        net.send(client, VERSION.as_bytes())
    }

    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        match super::join::answered(client, text)? {
            0 => net.send(client, br#"{"id":1,"method":"subscribe.bench.list"}"#),
            1 => {
                const ITEM: &[u8] = br#""bench.item."#;
                let items = text.windows(ITEM.len()).filter(|part| *part == ITEM);
                let is_whole = items.count() == 2 * MODELS
                    && *self.expected.get_or_insert(text.len()) == text.len();
                self.left = match is_whole {
                    true => self.left - 1,
                    false => return Err(Fault::unexpected(client, text)),
                };
                Ok(())
            }
            _ => Err(Fault::unexpected(client, text)),
        }
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}
