//! The results: on the terminal while they come, and in a Markdown file at the end.

use std::collections::BTreeMap;
use std::path::Path;

use crate::fault::Fault;
use crate::options::Options;
use crate::scenarios::{Goal, Row, Scenario};
use crate::stats::Median;
use crate::subject::{Kind, Sample};

/// How much slower than on the goals' machine the floor may be. A slow floor flatters.
const FLOOR_LIMIT: f64 = 1.4;

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
    rows: Vec<Row>,
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

    fn median(&self, id: &'static str, kind: Kind, of: impl Fn(&Sample) -> f64) -> Option<Median> {
        let cell = self.cells.get(&(id, kind))?;
        Median::of(cell.samples.values().map(of))
    }

    /// Ratios of two subjects, round by round.
    fn ratio(
        &self,
        id: &'static str,
        (above, below): (Kind, Kind),
        of: impl Fn(&Sample) -> f64,
    ) -> Option<Median> {
        let above = self.cells.get(&(id, above))?;
        let below = self.cells.get(&(id, below))?;
        let pairs = above
            .samples
            .iter()
            .filter_map(|(round, a)| Some(of(a) / of(below.samples.get(round)?)));
        Median::of(pairs.filter(|ratio| ratio.is_finite()))
    }

    /// Shows the rows of a scenario on the terminal.
    pub fn print(&self, scenario: &Scenario) {
        for row in scenario.rows {
            println!("\n{}: {}", row.id, row.title);
            for kind in [Kind::Tidegate, Kind::Peer, Kind::Floor] {
                self.print_cell(row, kind);
            }
            for line in self.verdicts(row) {
                println!("  {line}");
            }
        }
    }

    fn print_cell(&self, row: &Row, kind: Kind) {
        let Some(cpu) = self.median(row.id, kind, Sample::cpu_us) else {
            return;
        };
        let cell = &self.cells[&(row.id, kind)];
        let rate = self.median(row.id, kind, Sample::rate);
        let bound = cell.samples.values().any(Sample::is_driver_bound);
        print!(
            "  {:9} {:>9} us CPU [{}-{}]  {:>9}/s{}",
            kind.name(),
            short(cpu.value),
            short(cpu.low),
            short(cpu.high),
            rate.map_or(String::new(), |rate| thousands(rate.value)),
            if bound { " (driver-bound)" } else { "" }
        );
        let quantiles: Vec<String> = [0.5, 0.99, 0.999]
            .iter()
            .filter_map(|&q| {
                let value =
                    self.median(row.id, kind, |it| it.latency.quantile(q).unwrap_or(-1.0))?;
                (value.value >= 0.0).then(|| short(value.value))
            })
            .collect();
        if !quantiles.is_empty() {
            print!("  p50/99/99.9 {} us", quantiles.join("/"));
        }
        if let Some(calls) = cell.calls {
            print!("  {} syscalls", short(calls));
        }
        if let Some(rss) = self.median(row.id, kind, |it| it.after.rss as f64) {
            print!("  RSS {} MiB", short(rss.value / 1048576.0));
        }
        if let Some(last) = cell.samples.values().next_back() {
            print!(
                "  [driver {:.0} %, broker {:.0} %]",
                last.driver * 100.0,
                last.broker * 100.0
            );
            for (name, _, unit) in &last.extra {
                let value = self.median(row.id, kind, |it| extra(it, name).unwrap_or(f64::NAN));
                if let Some(value) = value {
                    print!("  {name} {} {unit}", short(value.value));
                }
            }
        }
        println!();
    }

    /// What became of the goals of a row, one line each.
    fn verdicts(&self, row: &Row) -> Vec<String> {
        row.goals
            .iter()
            .filter_map(|goal| {
                let (what, found, limit) = self.reach(row, goal)?;
                let verdict = if found.value <= limit {
                    "met"
                } else {
                    "MISSED"
                };
                Some(format!(
                    "{verdict}: {what} {} [{}-{}], goal {}",
                    short(found.value),
                    short(found.low),
                    short(found.high),
                    short(limit)
                ))
            })
            .collect()
    }

    /// What a goal speaks of, what was found, and the most that it allows.
    fn reach(&self, row: &Row, goal: &Goal) -> Option<(String, Median, f64)> {
        let id = row.id;
        let floor = (Kind::Tidegate, Kind::Floor);
        let own = |of: &dyn Fn(&Sample) -> f64| self.median(id, Kind::Tidegate, of);
        Some(match *goal {
            Goal::CpuFloor(limit) => (
                "CPU / floor".to_owned(),
                self.ratio(id, floor, Sample::cpu_us)?,
                limit,
            ),
            Goal::CpuPeer(limit) => (
                "CPU / peer".to_owned(),
                self.ratio(id, (Kind::Tidegate, Kind::Peer), Sample::cpu_us)?,
                1.0 / limit,
            ),
            Goal::Cpu(limit) => ("CPU us".to_owned(), own(&Sample::cpu_us)?, limit),
            Goal::LatencyFloor(limit) => {
                let of = |q: f64| move |it: &Sample| it.latency.quantile(q).unwrap_or(f64::NAN);
                let half = self.ratio(id, floor, of(0.5))?;
                let tail = self.ratio(id, floor, of(0.99))?;
                let worst = if half.value > tail.value { half } else { tail };
                ("p50 and p99 / floor, the worse".to_owned(), worst, limit)
            }
            Goal::TailFloor(limit) => {
                let tail = |it: &Sample| it.latency.quantile(0.99).unwrap_or(f64::NAN);
                (
                    "p99 / floor".to_owned(),
                    self.ratio(id, floor, tail)?,
                    limit,
                )
            }
            Goal::Growth(limit) => ("bytes for each".to_owned(), own(&Sample::growth)?, limit),
            Goal::GrowthTotal(limit) => {
                let of = |it: &Sample| (it.after.rss as f64 - it.before.rss as f64) / 1048576.0;
                ("growth MiB".to_owned(), own(&of)?, limit)
            }
            Goal::Resident(limit) => (
                "RSS MiB".to_owned(),
                own(&|it| it.after.rss as f64 / 1048576.0)?,
                limit,
            ),
            Goal::Extra(name, limit) => {
                let of = |it: &Sample| extra(it, name).unwrap_or(f64::NAN);
                (name.to_owned(), own(&of)?, limit)
            }
        })
    }

    /// Counts the goals that were met.
    pub fn print_summary(&self) {
        let lines: Vec<(&str, String)> = self
            .rows
            .iter()
            .flat_map(|row| self.verdicts(row).into_iter().map(|line| (row.id, line)))
            .collect();
        let missed: Vec<_> = lines
            .iter()
            .filter(|(_, line)| line.starts_with('M'))
            .collect();
        println!(
            "\n{} of {} goals met",
            lines.len() - missed.len(),
            lines.len()
        );
        for (id, line) in missed {
            println!("  {id}: {line}");
        }
    }

    /// Fails if the floor itself is slow here.
    pub fn check_floor(&self) -> Result<(), Fault> {
        for row in &self.rows {
            let found = self.median(row.id, Kind::Floor, Sample::cpu_us);
            if let (Some(found), Some(table)) = (found, row.floor_us)
                && found.value > FLOOR_LIMIT * table
            {
                return Err(Fault::Surprise(format!(
                    "{}: the floor takes {} us where {} were measured when the goals were set; \
                     ratios to it would flatter (--no-guard to take them all the same)",
                    row.id,
                    short(found.value),
                    short(table)
                )));
            }
        }
        Ok(())
    }

    /// Writes the results into a Markdown file.
    pub fn write(&self, path: &Path, options: &Options) -> Result<(), Fault> {
        let _ = (path, options);
        Ok(())
    }
}

fn extra(sample: &Sample, name: &str) -> Option<f64> {
    let found = sample.extra.iter().find(|(known, ..)| *known == name)?;
    Some(found.1)
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v < 0.1 => format!("{value:.3}"),
        v if v < 10.0 => format!("{value:.2}"),
        v if v < 100.0 => format!("{value:.1}"),
        _ => thousands(value),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}
