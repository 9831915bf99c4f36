//! Which goals were reached, and whether the floor was fast enough to judge by.

use super::{MIB, Results, extra, quantile, rss_mib};
use crate::figures::short;
use crate::scenarios::{self, Goal, Row, Sweep};
use crate::stats::Median;
use crate::subject::{Kind, Sample};

/// How much slower than on the goals' machine the floor may be. A slow floor flatters.
const FLOOR_LIMIT: f64 = 1.4;

const TO_FLOOR: (Kind, Kind) = (Kind::Tidegate, Kind::Floor);

/// What became of one goal.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What the goal speaks of.
    pub what: String,
    /// What was measured.
    pub found: Median,
    /// The most that the goal allows.
    pub limit: f64,
}

impl Verdict {
    pub fn is_met(&self) -> bool {
        self.found.value <= self.limit
    }
}

impl Results {
    /// What became of a row's goals; those that nothing was measured for are left out.
    pub fn verdicts(&self, row: &Row) -> Vec<Verdict> {
        row.goals
            .iter()
            .filter_map(|goal| self.verdict(row.id, goal))
            .collect()
    }

    pub(super) fn verdict(&self, id: &'static str, goal: &Goal) -> Option<Verdict> {
        let own = |of: &dyn Fn(&Sample) -> f64| self.median(id, Kind::Tidegate, of);
        let (what, found, limit) = match *goal {
            Goal::CpuFloor(limit) => {
                let found = self.ratio(id, TO_FLOOR, Sample::cpu_us)?;
                ("CPU / floor", found, limit)
            }
            Goal::CpuPeer(limit) => {
                let to_peer = (Kind::Tidegate, Kind::Peer);
                let found = self.ratio(id, to_peer, Sample::cpu_us)?;
                ("CPU / peer", found, 1.0 / limit)
            }
            Goal::Cpu(limit) => ("CPU us", own(&Sample::cpu_us)?, limit),
            Goal::LatencyFloor(limit) => {
                let half = self.ratio(id, TO_FLOOR, quantile(0.5))?;
                let tail = self.ratio(id, TO_FLOOR, quantile(0.99))?;
                let worst = if half.value > tail.value { half } else { tail };
                ("p50 and p99 / floor, the worse", worst, limit)
            }
            Goal::TailFloor(limit) => {
                let found = self.ratio(id, TO_FLOOR, quantile(0.99))?;
                ("p99 / floor", found, limit)
            }
            Goal::Growth(limit) => ("bytes for each", own(&Sample::growth)?, limit),
            Goal::GrowthTotal(limit) => {
                let of = |it: &Sample| (it.after.rss as f64 - it.before.rss as f64) / MIB;
                ("growth MiB", own(&of)?, limit)
            }
            Goal::Resident(limit) => ("RSS MiB", own(&rss_mib)?, limit),
            Goal::Extra(name, limit) => (name, own(&extra(name))?, limit),
        };
        Some(Verdict {
            what: what.to_owned(),
            found,
            limit,
        })
    }

    /// How flat a sweep is: the largest of its rows' CPU ratios to the floor divided by
    /// the smallest. Without a floor it is the CPU itself. `None` with less than two rows.
    pub fn flatness(&self, sweep: &Sweep) -> Option<Verdict> {
        let ratios = |id| Some(self.ratio(id, TO_FLOOR, Sample::cpu_us)?.value);
        let costs = |id| Some(self.median(id, Kind::Tidegate, Sample::cpu_us)?.value);
        let points: Vec<_> = self.points(sweep).map(|(_, id)| id).collect();
        let of_floor: Option<Vec<f64>> = points.iter().map(|id| ratios(id)).collect();
        let (name, values) = match of_floor {
            Some(values) => ("CPU / floor", values),
            None => ("CPU", points.iter().filter_map(|id| costs(id)).collect()),
        };
        let (low, high) = (
            values.iter().copied().reduce(f64::min)?,
            values.iter().copied().reduce(f64::max)?,
        );
        (values.len() > 1).then(|| Verdict {
            what: format!("{name}, largest by smallest"),
            found: Median {
                value: high / low,
                low: high / low,
                high: high / low,
            },
            limit: sweep.flat,
        })
    }

    /// All goals that were judged: the row's or the sweep's name, and the verdict.
    pub fn all_verdicts(&self) -> Vec<(&'static str, Verdict)> {
        let of_rows = self
            .rows
            .iter()
            .flat_map(|row| self.verdicts(row).into_iter().map(|it| (row.id, it)));
        let of_sweeps = scenarios::SWEEPS
            .iter()
            .filter_map(|sweep| Some((sweep.id, self.flatness(sweep)?)));
        of_rows.chain(of_sweeps).collect()
    }

    /// Rows whose floor is slower here than the goals allow: ratios to it flatter.
    pub fn slow_floors(&self) -> Vec<String> {
        let slow = |row: &Row| {
            let found = self.median(row.id, Kind::Floor, Sample::cpu_us)?.value;
            let table = row.floor_us?;
            (found > FLOOR_LIMIT * table).then(|| {
                format!(
                    "{}: {} us where {} were measured when the goals were set",
                    row.id,
                    short(found),
                    short(table)
                )
            })
        };
        self.rows.iter().filter_map(slow).collect()
    }
}
