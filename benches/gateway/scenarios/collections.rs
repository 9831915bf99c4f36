//! Events of collections: values and references come and go.

use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};

use super::chorus::{Chorus, Plan};
use super::fetch::Fetch;
use super::join::Join;
use super::{Goal, Row, Scale, Scenario};
use crate::fault::Fault;
use crate::load::Net;
use crate::services::Services;
use crate::subject::{PLAIN, Sample, Subject};
use crate::wire::number;

/// Collections with primitives, long ones, and lists of references.
pub const SCENARIOS: &[Scenario] = &[VALUES, LENGTH, REFERENCES];

const VALUES: Scenario = Scenario {
    rows: &[Row {
        id: "list-values",
        in_flight: Some(64),
        title: "add and remove events of primitives, collection of 1,000, 1,000 clients, \
                64 in flight, per delivery",
        floor_us: Some(0.10),
        goals: &[Goal::CpuFloor(1.8)],
    }],
    floor: Some(PLAIN),
    flags: &[],
    without: &[],
    others: false,
    run: values,
};

const LENGTH: Scenario = Scenario {
    rows: &[
        Row {
            id: "list-length-1k",
            in_flight: Some(64),
            title: "the same with 10 clients, anywhere in a collection of 1,000, per event",
            floor_us: None,
            goals: &[],
        },
        Row {
            id: "list-length-100k-end",
            in_flight: Some(64),
            title: "the same near the end of a collection of 100,000, where none move, per event",
            floor_us: None,
            goals: &[Goal::Extra(AGAINST_SHORT, 1.3)],
        },
        Row {
            id: "list-length-100k",
            in_flight: Some(64),
            title: "the same anywhere in a collection of 100,000, per event",
            floor_us: None,
            goals: &[],
        },
    ],
    floor: None,
    flags: &[],
    without: &[],
    others: false,
    run: lengths,
};

const REFERENCES: Scenario = Scenario {
    rows: &[
        Row {
            id: "list-reference-add",
            in_flight: Some(64),
            title: "events that add one new reference to a list held by 1,000 clients, one in \
                    flight for each of 64 lists, per delivery",
            floor_us: None,
            goals: &[Goal::Cpu(0.6), Goal::Extra(GETS, 1.0)],
        },
        // The reference of an event is asked for at its turn: one round trip each.
        Row {
            id: "list-reference-queue",
            in_flight: Some(64),
            title: "the same with 64 in flight for one list, per delivery",
            floor_us: None,
            goals: &[Goal::Extra(GETS, 1.0)],
        },
        Row {
            id: "list-reference-remove",
            in_flight: Some(64),
            title: "the same references removed, per delivery",
            floor_us: None,
            goals: &[],
        },
    ],
    floor: None,
    flags: &[],
    without: &[],
    others: false,
    run: references,
};

const AGAINST_SHORT: &str = "times the short one's";
const GETS: &str = "get requests per event";

/// A number that looks random, the same for the same input.
fn scatter(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
}

/// Adds a value, removes one, and so on; the length stays what it is.
struct Numbers {
    name: &'static str,
    /// The collection after all that was published.
    values: Vec<u64>,
    /// How many places before the end events happen.
    span: usize,
}

impl Numbers {
    fn new(name: &'static str, length: usize, span: usize) -> Self {
        Self {
            name,
            // Six digits each, as those that come.
            values: (100_000..).take(length).collect(),
            span,
        }
    }

    fn text(&self) -> String {
        let mut text = String::from(r#"{"collection":["#);
        for (at, value) in self.values.iter().enumerate() {
            let _ = write!(text, "{}{value}", if at > 0 { "," } else { "" });
        }
        text.push_str("]}");
        text
    }

    /// Where the event of a number happens in a collection of this length.
    fn place(&self, number: u64, length: usize) -> usize {
        let span = self.span.min(length);
        length - span + scatter(number) as usize % span
    }
}

impl Plan for Numbers {
    fn event(&mut self, number: u64, payload: &mut Vec<u8>) -> String {
        // Even numbers add: the length is the same before each of them.
        let is_add = number.is_multiple_of(2);
        let (kind, text) = if is_add {
            let idx = self.place(number, self.values.len());
            self.values.insert(idx, number);
            ("add", format!(r#"{{"idx":{idx},"value":{number}}}"#))
        } else {
            let idx = self.place(number, self.values.len() - 1);
            self.values.remove(idx);
            ("remove", format!(r#"{{"idx":{idx}}}"#))
        };
        payload.extend_from_slice(text.as_bytes());
        format!("event.{}.{kind}", self.name)
    }

    fn is_right(&self, number: u64, message: &Value) -> bool {
        // Between two adds the length is one more than after them.
        let length = self.values.len() & !1;
        let idx = self.place(number, length);
        let event = |kind: &str| format!("{}.{kind}", self.name);
        match number % 2 {
            0 => *message == json!({"event": event("add"), "data": {"idx": idx, "value": number}}),
            _ => *message == json!({"event": event("remove"), "data": {"idx": idx}}),
        }
    }
}

/// Compares what the gateway holds after all events with what it must be.
fn check_cached(
    net: &mut Net,
    subject: &Subject,
    services: &mut Services<'_>,
    plan: &Numbers,
) -> Result<(), Fault> {
    let client = net.len();
    Join::new(net, subject, 1, services, None).run(net)?;
    let set = |name: &str| json!({"collections": {name: &plan.values}});
    Fetch::new(services, &set, [(client, plan.name.to_owned())], 1).run(net)
}

fn join(
    net: &mut Net,
    subject: &Subject,
    services: &mut Services<'_>,
    count: usize,
    name: &'static str,
) -> Result<Range<usize>, Fault> {
    let first = net.len();
    let resource = |_| name.to_owned();
    Join::new(net, subject, count, services, Some(&resource)).run(net)?;
    Ok(first..first + count)
}

/// One sample of a plan's events, after some that warm up.
fn sample(
    subject: &Subject,
    net: &mut Net,
    services: &mut Services<'_>,
    (plan, clients): (&mut Numbers, Range<usize>),
    time: Duration,
) -> Result<(Sample, u64), Fault> {
    let first = Chorus::new(services, plan, clients.clone(), 64, 0).run_for(net, time / 10)?;
    // An add comes first, so that the length is always known.
    let first = match first % 2 {
        0 => first,
        _ => Chorus::new(services, plan, clients.clone(), 64, first).run_count(net, 1)?,
    };
    let window = subject.begin()?;
    let mut chorus = Chorus::new(services, plan, clients.clone(), 64, first);
    let end = chorus.run_for(net, time)?;
    let mut sample = subject.end(window, chorus.delivered)?;
    sample.latency = chorus.latency;
    if end % 2 == 1 {
        Chorus::new(services, plan, clients, 64, end).run_count(net, 1)?;
    }
    Ok((sample, end - first))
}

fn values(subject: &mut Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let mut net = Net::new(subject.broker.address)?;
    let mut plan = Numbers::new("bench.m", 1_000, usize::MAX);
    let text = plan.text();
    let mut services = Services::new(|_| text.clone());
    Services::listen(&mut net)?;
    let count = scale.count(1_000);
    let clients = join(&mut net, subject, &mut services, count, plan.name)?;
    let of = (&mut plan, clients);
    let (sample, _) = sample(subject, &mut net, &mut services, of, scale.time)?;
    if subject.kind != crate::subject::Kind::Floor {
        check_cached(&mut net, subject, &mut services, &plan)?;
    }
    Ok(vec![sample])
}

fn lengths(subject: &mut Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let long = scale.count(100_000) & !1;
    let mut net = Net::new(subject.broker.address)?;
    let mut plans = [
        Numbers::new("bench.short", 1_000, usize::MAX),
        Numbers::new("bench.end", long, 100),
        Numbers::new("bench.long", long, usize::MAX),
    ];
    let texts = plans.each_ref().map(|plan| (plan.name, plan.text()));
    let mut services = Services::new(|name| {
        let text = texts.iter().find(|(other, _)| *other == name);
        text.map_or_else(String::new, |(_, text)| text.clone())
    });
    Services::listen(&mut net)?;
    let mut samples = Vec::new();
    for plan in &mut plans {
        let clients = join(&mut net, subject, &mut services, 10, plan.name)?;
        let of = (&mut *plan, clients);
        let (mut sample, events) = sample(subject, &mut net, &mut services, of, scale.time)?;
        sample.ops = events;
        check_cached(&mut net, subject, &mut services, plan)?;
        samples.push(sample);
    }
    let short = samples[0].cpu_us();
    for sample in &mut samples[1..] {
        let ratio = sample.cpu_us() / short;
        sample.extra.push((AGAINST_SHORT, ratio, ""));
    }
    Ok(samples)
}

/// Adds references that are new to lists in turn, or removes them again.
struct Items {
    /// Lists are `bench.<kind>.<number>`.
    kind: &'static str,
    lists: u64,
    /// How many were added when it turned to removals; before, nothing.
    added: Option<u64>,
}

impl Items {
    /// Where an event happens.
    fn place(&self, number: u64) -> u64 {
        let choices = match self.added {
            Some(added) => added / self.lists - (number - added) / self.lists,
            None => number / self.lists + 1,
        };
        scatter(number) % choices
    }

    fn list(&self, number: u64) -> String {
        format!("bench.{}.{}", self.kind, number % self.lists)
    }

    fn item(&self, number: u64) -> String {
        format!("bench.{}.item.{number}", self.kind)
    }
}

impl Plan for Items {
    fn event(&mut self, number: u64, payload: &mut Vec<u8>) -> String {
        let (idx, list) = (self.place(number), self.list(number));
        if self.added.is_some() {
            payload.extend_from_slice(format!(r#"{{"idx":{idx}}}"#).as_bytes());
            return format!("event.{list}.remove");
        }
        let item = self.item(number);
        let text = format!(r#"{{"idx":{idx},"value":{{"rid":"{item}"}}}}"#);
        payload.extend_from_slice(text.as_bytes());
        format!("event.{list}.add")
    }

    fn is_right(&self, number: u64, message: &Value) -> bool {
        let (idx, list) = (self.place(number), self.list(number));
        if self.added.is_some() {
            let event = format!("{list}.remove");
            return *message == json!({"event": event, "data": {"idx": idx}});
        }
        let item = self.item(number);
        let data = json!({
            "idx": idx,
            "value": {"rid": item},
            "models": {&*item: {"n": number}},
        });
        *message == json!({"event": format!("{list}.add"), "data": data})
    }

    fn lanes(&self) -> u64 {
        self.lists
    }

    fn lane(&self, text: &[u8]) -> Option<u64> {
        let text = text.strip_prefix(br#"{"event":"bench."#)?;
        let text = text.strip_prefix(self.kind.as_bytes())?;
        number(text.strip_prefix(b".")?)
    }
}

fn references(subject: &mut Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let count = scale.count(1_000);
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|name| match name.rsplit_once(".item.") {
        Some((_, number)) => format!(r#"{{"model":{{"n":{number}}}}}"#),
        None => r#"{"collection":[]}"#.to_owned(),
    });
    Services::listen(&mut net)?;
    Join::new(&mut net, subject, count, &mut services, None).run(&mut net)?;
    let plan = |kind, lists| Items {
        kind,
        lists,
        added: None,
    };
    let (mut lists, mut queue) = (plan("list", 64), plan("queue", 1));
    for plan in [&lists, &queue] {
        let set = |name: &str| json!({"collections": {name: []}});
        let requests = (0..plan.lists)
            .flat_map(|list| (0..count).map(move |client| (client, plan.list(list))));
        Fetch::new(&mut services, &set, requests, 1_000).run(&mut net)?;
    }

    let mut run = |plan: &mut Items, first: u64, events: u64| {
        let (window, gets) = (subject.begin()?, services.gets);
        let mut chorus = Chorus::new(&mut services, plan, 0..count, 64, first);
        chorus.run_count(&mut net, events)?;
        let mut sample = subject.end(window, chorus.delivered)?;
        sample.latency = chorus.latency;
        let gets = (services.gets - gets) as f64 / events as f64;
        sample.extra.push((GETS, gets, ""));
        Ok::<Sample, Fault>(sample)
    };
    // The first ones only warm up.
    run(&mut lists, 0, 64)?;
    let added = 64 * (1 + scale.count(16) as u64);
    let adds = run(&mut lists, 64, added - 64)?;
    let queued = run(&mut queue, 0, scale.count(500) as u64)?;
    lists.added = Some(added);
    let removes = run(&mut lists, added, added)?;
    Ok(vec![adds, queued, removes])
}
