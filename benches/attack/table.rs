//! What came out, as a table.

use std::path::Path;

use crate::attacks::Attack;
use crate::fault::{Fault, Outcome};
use crate::figures::{short, time};
use crate::stage::Found;
use crate::stats::Histogram;
use crate::subject::Kind;
use crate::turns::Turns;

/// The bar: the canary's largest time and its p99 in microseconds, a turn in seconds.
const MAX: f64 = 50_000.0;
const P99: f64 = 20_000.0;
const TURN: f64 = 0.01;

/// Processors that are in use when none is free for the canary, as a share.
const FULL: f64 = 0.9;

/// All rows so far.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
}

struct Row {
    id: &'static str,
    title: &'static str,
    kind: Kind,
    outcome: Result<Found, Fault>,
}

/// The columns, each with the width that the terminal gives it.
const COLUMNS: [(&str, usize); 12] = [
    ("attack", 22),
    ("call p50", 9),
    ("p99", 9),
    ("max", 9),
    ("event p99", 9),
    ("max", 9),
    ("longest turn", 14),
    ("> 10 ms", 7),
    ("by CPU time", 14),
    ("> 10 ms", 7),
    ("CPU", 9),
    ("RSS MiB", 7),
];

impl Table {
    /// Adds a row and shows it. Of several rounds the worst stays.
    pub fn add(&mut self, attack: &Attack, kind: Kind, outcome: Result<Found, Fault>) {
        let row = Row {
            id: attack.id,
            title: attack.title,
            kind,
            outcome,
        };
        if self.rows.is_empty() {
            println!("{}", line(COLUMNS.map(|(name, _)| name.to_owned())));
        }
        println!("{}  {}", line(row.cells()), row.verdict());
        for detail in row.details() {
            println!("    {detail}");
        }
        match self.rows.last_mut() {
            Some(last) if last.id == row.id && last.kind == row.kind => {
                if row.severity() > last.severity() {
                    *last = row;
                }
            }
            _ => self.rows.push(row),
        }
    }

    /// Prints all rows once more, without their details.
    pub fn print(&self) {
        println!(
            "\nThe bar: canary max <= 50 ms and p99 <= 20 ms, no turn above 10 ms of CPU time.\n"
        );
        println!("{}", line(COLUMNS.map(|(name, _)| name.to_owned())));
        for row in &self.rows {
            println!("{}  {}", line(row.cells()), row.verdict());
        }
    }

    /// Whether Tidegate lost something or ended. What a peer cannot do is a result too.
    pub fn has_failed(&self) -> bool {
        self.own().any(|row| row.is_lost())
    }

    /// Whether Tidegate is over the bar somewhere.
    pub fn is_over(&self) -> bool {
        self.own().any(|row| row.severity() > 0.0)
    }

    fn own(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.kind == Kind::Tidegate)
    }

    /// Writes the table between its marks in a Markdown file.
    pub fn write(&self, path: &Path) -> Outcome {
        const BEGIN: &str = "<!-- table: attacks -->\n";
        const END: &str = "<!-- end of table -->";
        let text = std::fs::read_to_string(path)?;
        let lacks = || Fault::Surprise(format!("{} has no {}", path.display(), BEGIN.trim()));
        let (before, rest) = text.split_once(BEGIN).ok_or_else(lacks)?;
        let (_, after) = rest.split_once(END).ok_or_else(lacks)?;
        let mut table = String::from(
            "| Attack | Canary p99 | max | Longest turn: clock, CPU | Turns above 10 ms | CPU | \
             RSS in MiB | Beside it |\n| --- | --: | --: | --: | --: | --: | --: | --- |\n",
        );
        for row in &self.rows {
            let [
                _,
                _,
                p99,
                max,
                event_p99,
                event_max,
                turn,
                above,
                worked,
                worked_above,
                cpu,
                rss,
            ] = row.cells();
            let name = match row.kind {
                Kind::Tidegate => format!("`{}`: {}", row.id, row.title),
                kind => kind.name().to_owned(),
            };
            table.push_str(&format!(
                "| {name} | {p99}, {event_p99} | {max}, {event_max} | {turn}, {worked} | {above}, \
                 {worked_above} | {cpu} | {rss} | {} |\n",
                row.notes().join("; ")
            ));
        }
        let whole = format!("{before}{BEGIN}{table}{END}{after}");
        std::fs::write(path, whole).map_err(Fault::from)
    }
}

impl Row {
    fn cells(&self) -> [String; COLUMNS.len()] {
        let name = match self.kind {
            Kind::Tidegate => self.id.to_owned(),
            kind => format!("  {}", kind.name()),
        };
        let mut cells: [String; COLUMNS.len()] = Default::default();
        cells[0] = name;
        let Ok(found) = &self.outcome else {
            return cells;
        };
        let sight = &found.sights[1];
        let quantile = |times: &Histogram, q| times.quantile(q).map_or("-".to_owned(), time);
        cells[1] = quantile(&sight.calls, 0.5);
        cells[2] = quantile(&sight.calls, 0.99);
        cells[3] = quantile(&sight.calls, 1.0);
        cells[4] = quantile(&sight.events, 0.99);
        cells[5] = quantile(&sight.events, 1.0);
        if let Some(told) = &found.turns {
            cells[6] = longest(&told.clock);
            cells[7] = told.clock.above(TURN).to_string();
            if let Some(turns) = &told.cpu {
                cells[8] = longest(turns);
                cells[9] = turns.above(TURN).to_string();
            }
        }
        if let Some(sample) = &found.sample {
            cells[10] = time(sample.cpu_ns as f64 / 1e3);
            cells[11] = short(found.peak as f64 / f64::from(1 << 20));
        }
        cells
    }

    /// Whether a message was lost or the gateway ended.
    fn is_lost(&self) -> bool {
        match &self.outcome {
            Ok(found) => found.sights.iter().any(|sight| sight.unanswered > 0),
            Err(_) => true,
        }
    }

    /// How far from the bar: 0 for met, and the worse the more.
    fn severity(&self) -> f64 {
        let Ok(found) = &self.outcome else {
            return f64::INFINITY;
        };
        let sight = &found.sights[1];
        let over = |value: Option<f64>, bar: f64| (value.unwrap_or(0.0) / bar - 1.0).max(0.0);
        let times = [&sight.calls, &sight.events];
        let canary =
            times.map(|times| over(times.quantile(0.99), P99).max(over(times.quantile(1.0), MAX)));
        let turns = found.turns.as_ref().map(|told| told.work().above(TURN));
        let turns = turns.unwrap_or(0);
        canary[0].max(canary[1]) + turns as f64 + (sight.failed + sight.unanswered) as f64
    }

    fn verdict(&self) -> String {
        match &self.outcome {
            Err(fault) => format!("FAILED: {fault}"),
            Ok(_) if self.is_lost() => "LOST".to_owned(),
            Ok(_) if self.severity() > 0.0 => "over".to_owned(),
            Ok(_) => "met".to_owned(),
        }
    }

    /// What is worth to be told beside the figures.
    fn notes(&self) -> Vec<String> {
        let Ok(found) = &self.outcome else {
            return vec![self.verdict()];
        };
        let mut notes = found.notes.clone();
        let sight = &found.sights[1];
        for (count, what) in [
            (sight.failed, "calls failed"),
            (sight.unanswered, "calls without an answer"),
        ] {
            if count > 0 {
                notes.push(format!("{count} of {} {what}", sight.calls.len()));
            }
        }
        if let Some(sample) = &found.sample {
            let own = sample.cpu_ns as f64 / sample.wall.as_nanos() as f64;
            let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
            if (own + sample.driver + sample.broker) / processors > FULL {
                notes.push(format!(
                    "the machine is full, {:.1} of it the attacker",
                    sample.driver
                ));
            }
        }
        notes
    }

    /// Lines of their own below a row on the terminal.
    fn details(&self) -> Vec<String> {
        let Ok(found) = &self.outcome else {
            return Vec::new();
        };
        let mut lines = self.notes();
        let [before, during, _] = &found.sights;
        let p99 = |times: &Histogram| times.quantile(0.99).map_or("-".to_owned(), time);
        if let Some(sample) = &found.sample {
            lines.push(format!(
                "{} in all; attacker {:.2}, broker {:.2} of a processor; before: call p99 {}, \
                 event p99 {}; canary late by {}",
                time(sample.wall.as_micros() as f64),
                sample.driver,
                sample.broker,
                p99(&before.calls),
                p99(&before.events),
                time(during.late.as_micros() as f64),
            ));
        }
        if self.severity() > 0.0
            && let Some(told) = &found.turns
        {
            lines.push(format!("turns: {}", histogram(&told.clock)));
            if let Some(turns) = &told.cpu {
                lines.push(format!("by CPU time: {}", histogram(turns)));
            }
        }
        lines
    }
}

fn longest(turns: &Turns) -> String {
    let longest = turns.longest();
    longest.map_or("-".to_owned(), |(low, bound)| match bound.is_finite() {
        true => format!("<= {}", time(bound * 1e6)),
        false => format!("> {}", time(low * 1e6)),
    })
}

fn histogram(turns: &Turns) -> String {
    let each = turns.each().map(|(bound, count)| match bound.is_finite() {
        true => format!("<= {} {count}", time(bound * 1e6)),
        false => format!("more {count}"),
    });
    each.collect::<Vec<_>>().join(", ")
}

fn line(cells: [String; COLUMNS.len()]) -> String {
    let mut line = String::new();
    for (index, (cell, (_, width))) in cells.iter().zip(COLUMNS).enumerate() {
        match index {
            0 => line.push_str(&format!("{cell:width$}")),
            _ => line.push_str(&format!("  {cell:>width$}")),
        }
    }
    line
}
