//! What is measured. A scenario runs on one subject and gives one sample for each of
//! its rows; a row has the goals.

mod burst;
mod cached;
mod calls;
mod chorus;
mod collections;
mod crowd;
mod fanout;
mod fetch;
mod growth;
mod join;
mod library;
mod memory;
mod mixed;
mod resets;
mod restart;
mod trees;

use std::time::Duration;

use crate::fault::Fault;
use crate::subject::{Floor, Kind, Sample, Subject};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Seconds that a steady load lasts.
    pub time: Duration,
    /// Whether counts of clients and resources are cut to what takes moments.
    pub is_short: bool,
}

impl Scale {
    /// `count` at full scale, a fiftieth of it in short form.
    pub fn count(&self, count: usize) -> usize {
        match self.is_short {
            true => (count / 50).clamp(1, 100),
            false => count,
        }
    }
}

/// What a row must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// CPU per operation, at most so many times the floor's.
    CpuFloor(f64),
    /// CPU per operation, at most the peer's divided by this.
    CpuPeer(f64),
    /// CPU per operation in microseconds.
    Cpu(f64),
    /// p50 and p99, each at most so many times the floor's.
    LatencyFloor(f64),
    /// p99, at most so many times the floor's.
    TailFloor(f64),
    /// Growth of memory for each operation in bytes.
    Growth(f64),
    /// Growth of memory in all, in MiB.
    GrowthTotal(f64),
    /// Resident memory at the end in MiB.
    Resident(f64),
    /// A figure of the scenario's own, at most this.
    Extra(&'static str, f64),
}

/// One line of the results.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Short name, for the command line and for plots.
    pub id: &'static str,
    /// Events, calls or clients that are under way at one time, where that is fixed.
    pub in_flight: Option<u32>,
    /// What it measures, per what.
    pub title: &'static str,
    /// The floor's CPU per operation in microseconds on the machine that the goals were
    /// set on; `None` where there is none, or where nothing depends on it.
    pub floor_us: Option<f64>,
    /// What is to be reached.
    pub goals: &'static [Goal],
}

/// A run that gives a sample for each of its rows, in order.
pub type Run = fn(&mut Subject, Scale) -> Result<Vec<Sample>, Fault>;

/// Something that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its results.
    pub rows: &'static [Row],
    /// What the floor does; `None` if it has no part.
    pub floor: Option<Floor>,
    /// Flags that gateways get.
    pub flags: &'static [&'static str],
    /// Who takes no part: a gateway that cannot do it.
    pub without: &'static [Kind],
    /// Whether those take part that only hand texts on (`--beside`).
    pub others: bool,
    /// The measurement.
    pub run: Run,
}

/// Rows that differ in one count alone: the points of a plot, with a goal in common.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// Short name, with which its plots' files begin.
    pub id: &'static str,
    /// What all rows do.
    pub title: &'static str,
    /// What is counted.
    pub along: &'static str,
    /// The count of each row, and the row's name.
    pub points: &'static [(u32, &'static str)],
    /// The ratio of CPU to the floor, at most so many times its smallest value.
    pub flat: f64,
}

/// All sweeps.
pub const SWEEPS: &[Sweep] = &[growth::CLIENTS];

/// Scenarios with a heading in common.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// Its scenarios, in order.
    pub scenarios: &'static [Scenario],
}

/// Everything that is measured, in the order of the report.
pub const GROUPS: &[Group] = &[
    Group {
        title: "Fan-out",
        scenarios: fanout::SCENARIOS,
    },
    Group {
        title: "Collections",
        scenarios: collections::SCENARIOS,
    },
    Group {
        title: "Trees of references",
        scenarios: trees::SCENARIOS,
    },
    Group {
        title: "Resets",
        scenarios: resets::SCENARIOS,
    },
    Group {
        title: "Bursts",
        scenarios: burst::SCENARIOS,
    },
    Group {
        title: "Growth with the number of cached resources",
        scenarios: cached::SCENARIOS,
    },
    Group {
        title: "Calls and HTTP requests",
        scenarios: calls::SCENARIOS,
    },
    Group {
        title: "Calls beside a fan-out",
        scenarios: mixed::SCENARIOS,
    },
    Group {
        title: "Crowds of clients",
        scenarios: crowd::SCENARIOS,
    },
    Group {
        title: "All clients come back",
        scenarios: restart::SCENARIOS,
    },
    Group {
        title: "Memory and start",
        scenarios: memory::SCENARIOS,
    },
    Group {
        title: "Growth with the number of clients",
        scenarios: growth::SCENARIOS,
    },
];

/// All scenarios in the order of the report.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    GROUPS.iter().flat_map(|group| group.scenarios)
}
