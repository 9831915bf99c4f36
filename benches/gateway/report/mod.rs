//! What was measured, and what to make of it.
//!
//! [`Results`] keeps every sample by row, subject and round. [`goals`] judges them,
//! [`terminal`] shows them while they come, [`markdown`] and [`plots`] write them down.

mod goals;
mod machine;
pub mod markdown;
mod plots;
mod terminal;

use std::collections::BTreeMap;

use crate::scenarios::{Row, Scenario, Sweep};
use crate::stats::Median;
use crate::subject::{Kind, Sample};

/// All subjects in the order of the reports.
const KINDS: [Kind; 7] = [
    Kind::Tidegate,
    Kind::Peer,
    Kind::Floor,
    Kind::Inside,
    Kind::NatsWs,
    Kind::Centrifugo,
    Kind::Bun,
];

/// What somebody might take instead, and Tidegate in their way.
const BESIDE: [Kind; 4] = [Kind::Inside, Kind::NatsWs, Kind::Centrifugo, Kind::Bun];

const MIB: f64 = 1_048_576.0;

/// All samples of one row and subject.
#[derive(Debug, Default)]
struct Cell {
    /// By round.
    samples: BTreeMap<usize, Sample>,
    /// System calls for each operation.
    calls: Option<f64>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Results {
    cells: BTreeMap<(&'static str, Kind), Cell>,
    /// In the order in which they were run.
    rows: Vec<Row>,
    /// What a subject could not do: the first row of the scenario, who, and why.
    failures: Vec<(&'static str, Kind, String)>,
}

impl Results {
    /// Adds what one run of a scenario showed.
    pub fn add(&mut self, scenario: &Scenario, kind: Kind, round: usize, samples: Vec<Sample>) {
        for (row, sample) in scenario.rows.iter().zip(samples) {
            if !self.rows.iter().any(|known| known.id == row.id) {
                self.rows.push(*row);
            }
            let cell = self.cells.entry((row.id, kind)).or_default();
            cell.samples.insert(round, sample);
        }
    }

    /// Adds the system calls of a run.
    pub fn add_counts(&mut self, scenario: &Scenario, kind: Kind, samples: Vec<Sample>) {
        for (row, sample) in scenario.rows.iter().zip(samples) {
            let cell = self.cells.entry((row.id, kind)).or_default();
            cell.calls = sample
                .syscalls
                .map(|calls| calls as f64 / sample.ops as f64);
        }
    }

    /// Notes that a subject could not do a scenario.
    pub fn add_failure(&mut self, scenario: &Scenario, kind: Kind, why: String) {
        self.failures.push((scenario.rows[0].id, kind, why));
    }

    /// Whether a subject failed in a scenario.
    pub fn has_failed(&self, scenario: &Scenario, kind: Kind) -> bool {
        let id = scenario.rows[0].id;
        self.failures
            .iter()
            .any(|(row, who, _)| *row == id && *who == kind)
    }

    /// The rows of a sweep that were measured, with the count that each has.
    fn points<'s>(
        &self,
        sweep: &'s Sweep,
    ) -> impl Iterator<Item = (u32, &'static str)> + use<'s, '_> {
        sweep
            .points
            .iter()
            .copied()
            .filter(|(_, id)| self.rows.iter().any(|row| row.id == *id))
    }

    fn cell(&self, id: &'static str, kind: Kind) -> Option<&Cell> {
        let cell = self.cells.get(&(id, kind))?;
        (!cell.samples.is_empty()).then_some(cell)
    }

    /// The median over the rounds, of those with a figure that is one.
    fn median(&self, id: &'static str, kind: Kind, of: impl Fn(&Sample) -> f64) -> Option<Median> {
        let cell = self.cell(id, kind)?;
        let figures = cell.samples.values().map(of);
        Median::of(figures.filter(|figure| figure.is_finite()))
    }

    /// Ratios of two subjects, round by round.
    fn ratio(
        &self,
        id: &'static str,
        (above, below): (Kind, Kind),
        of: impl Fn(&Sample) -> f64,
    ) -> Option<Median> {
        let above = self.cell(id, above)?;
        let below = self.cell(id, below)?;
        let pairs = above
            .samples
            .iter()
            .filter_map(|(round, a)| Some(of(a) / of(below.samples.get(round)?)));
        Median::of(pairs.filter(|ratio| ratio.is_finite()))
    }

    /// Whether the driver was the limit in most rounds.
    fn is_driver_bound(&self, id: &'static str, kind: Kind) -> bool {
        let bound = self.median(id, kind, |it| f64::from(u8::from(it.is_driver_bound())));
        bound.is_some_and(|bound| bound.value >= 0.5)
    }
}

/// A subject's name in documents.
fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Tidegate => "Tidegate",
        Kind::Peer => "peer",
        Kind::Floor => "floor",
        Kind::Inside => "Tidegate `--broker`",
        Kind::NatsWs => "nats-server",
        Kind::Centrifugo => "Centrifugo",
        Kind::Bun => "Bun",
    }
}

/// A quantile of the latency in microseconds; not a number where none was taken.
fn quantile(q: f64) -> impl Fn(&Sample) -> f64 + Copy {
    move |sample| sample.latency.quantile(q).unwrap_or(f64::NAN)
}

fn rss_mib(sample: &Sample) -> f64 {
    sample.after.rss as f64 / MIB
}

fn pss_mib(sample: &Sample) -> f64 {
    sample.after.pss as f64 / MIB
}

/// A figure of the scenario's own; not a number where it has none of the name.
fn extra(name: &'static str) -> impl Fn(&Sample) -> f64 + Copy {
    move |sample| {
        let found = sample.extra.iter().find(|(known, ..)| *known == name);
        found.map_or(f64::NAN, |found| found.1)
    }
}
