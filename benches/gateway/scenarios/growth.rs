//! What grows with the number of clients: one fan-out at four sizes.

use rustix::process::{Resource, getrlimit};

use super::fanout::{self, Flow, Plan};
use super::{Goal, Row, Scale, Scenario, Sweep};
use crate::fault::Fault;
use crate::subject::{PLAIN, Sample, Subject};

/// The fan-out at its sizes.
pub const SCENARIOS: &[Scenario] = &[AT_100, AT_1000, AT_5000, AT_15000];

/// Cost per delivery against the number of clients.
pub const CLIENTS: Sweep = Sweep {
    id: "growth",
    title: "change events of 64 B, 64 in flight",
    along: "clients",
    points: &[
        (100, "growth-100"),
        (1_000, "growth-1000"),
        (5_000, "growth-5000"),
        (15_000, "growth-15000"),
    ],
    flat: 1.3,
};

/// Files that a process has open beside its clients, generously.
const OTHER_FILES: u64 = 100;

const AT_100: Scenario = Scenario {
    rows: &[row(
        "growth-100",
        "change events of 64 B to 100 clients, 64 in flight, per delivery",
    )],
    floor: Some(PLAIN),
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| fan_out(subject, scale, 100),
};

const AT_1000: Scenario = Scenario {
    rows: &[row("growth-1000", "the same to 1,000 clients")],
    run: |subject, scale| fan_out(subject, scale, 1_000),
    ..AT_100
};

const AT_5000: Scenario = Scenario {
    rows: &[row("growth-5000", "the same to 5,000 clients")],
    run: |subject, scale| fan_out(subject, scale, 5_000),
    ..AT_100
};

const AT_15000: Scenario = Scenario {
    rows: &[row("growth-15000", "the same to 15,000 clients")],
    run: |subject, scale| fan_out(subject, scale, 15_000),
    ..AT_100
};

/// The goal is one of all rows together, see [`CLIENTS`].
const fn row(id: &'static str, title: &'static str) -> Row {
    const NONE: &[Goal] = &[];
    Row {
        id,
        in_flight: Some(64),
        title,
        floor_us: None,
        goals: NONE,
    }
}

/// No sample where this machine does not permit so many clients.
fn fan_out(subject: &Subject, scale: Scale, clients: usize) -> Result<Vec<Sample>, Fault> {
    let clients = scale.count(clients);
    let needed = clients as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile).current;
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        eprintln!(
            "bench: left out: {clients} clients need {needed} open files, the limit is {limit} \
             (raise it with ulimit -n)"
        );
        return Ok(Vec::new());
    }
    let plan = Plan {
        clients,
        size: 64,
        is_plain: false,
        flow: Flow::InFlight(64),
        time: scale.time,
    };
    Ok(vec![fanout::run(subject, plan)?])
}
