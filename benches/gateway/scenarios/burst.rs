//! Many events at once: more than clients can take in one go.

use super::fanout::{Flow, Plan, run};
use super::{Goal, Row, Scenario};
use crate::subject::{PEAK, PLAIN};

/// Bursts of events.
pub const SCENARIOS: &[Scenario] = &[BURST];

const BURST: Scenario = Scenario {
    rows: &[Row {
        id: "burst",
        in_flight: Some(20_000),
        title: "change events of 64 B to 100 clients, 20,000 in flight, per delivery",
        floor_us: None,
        goals: &[Goal::Resident(64.0), Goal::Extra(PEAK, 64.0)],
    }],
    floor: Some(PLAIN),
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| {
        let plan = Plan {
            clients: scale.count(100),
            size: 64,
            is_plain: false,
            flow: Flow::InFlight(scale.count(20_000)),
            time: scale.time,
        };
        let mut sample = run(subject, plan)?;
        let peak = subject.peak()? as f64 / 1048576.0;
        sample.extra.push((PEAK, peak, ""));
        Ok(vec![sample])
    },
};
