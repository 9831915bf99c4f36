//! The results in a Markdown file, with their plots beside it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::{BESIDE, KINDS, Results, extra, machine, plots, pss_mib, quantile, rss_mib, title};
use crate::fault::{Fault, Outcome};
use crate::figures::{short, thousands, time};
use crate::options::Options;
use crate::scenarios::{GROUPS, Goal, Group, Row, SWEEPS, Sweep};
use crate::stats::Median;
use crate::subject::{Kind, Sample};

const BEGIN: &str = "<!-- results -->\n";
const END: &str = "<!-- end of results -->";

/// Marks what tells of the driver rather than of the subject.
const BOUND: &str = "†";

/// Characters of a failure's reason that are shown.
const REASON: usize = 200;

impl Results {
    /// Replaces the results in a Markdown file, and the plots in the folder beside it.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written, or has no place for the results.
    pub fn write(&self, path: &Path, options: &Options) -> Outcome {
        let named = |path: &Path, error| Fault::Surprise(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| named(path, error))?;
        let mut part = String::new();
        head(&mut part, &machine::describe(options));
        self.body(&mut part);
        let text = replace(&text, &part).ok_or_else(|| {
            Fault::Surprise(format!(
                "{} has no line {} with a line {END} below it; the results go between them",
                path.display(),
                BEGIN.trim_end()
            ))
        })?;

        let folder = path.parent().unwrap_or(Path::new("")).join("plots");
        fs::create_dir_all(&folder).map_err(|error| named(&folder, error))?;
        for sweep in SWEEPS {
            // Nothing may be left of another run.
            for file in plots::files(sweep) {
                let _ = fs::remove_file(folder.join(file));
            }
            for drawing in self.draw(sweep) {
                let file = folder.join(drawing.file);
                fs::write(&file, drawing.svg).map_err(|error| named(&file, error))?;
            }
        }
        fs::write(path, text).map_err(|error| named(path, error))
    }

    /// All that follows the description of the machine.
    pub fn body(&self, out: &mut String) {
        self.summary(out);
        self.lacks(out);
        for group in GROUPS {
            self.group(out, group);
        }
        for sweep in SWEEPS {
            self.sweep(out, sweep);
        }
    }

    fn summary(&self, out: &mut String) {
        let all = self.all_verdicts();
        let missed: Vec<String> = all
            .iter()
            .filter(|(_, verdict)| !verdict.is_met())
            .map(|(id, verdict)| format!("`{id}` ({})", verdict.what))
            .collect();
        let met = all.len() - missed.len();
        line(out, format_args!("{met} of {} goals are met.", all.len()));
        if !missed.is_empty() {
            line(out, format_args!("Missed: {}.", missed.join(", ")));
        }
        let slow = self.slow_floors();
        if !slow.is_empty() {
            line(
                out,
                format_args!("\n**The floor was slow, ratios to it flatter:**\n"),
            );
            for row in slow {
                line(out, format_args!("- {row}"));
            }
        }
    }

    /// What those do not do that somebody might take instead.
    fn lacks(&self, out: &mut String) {
        let took_part = |kind: Kind| {
            self.rows
                .iter()
                .any(|row| self.cell(row.id, kind).is_some())
        };
        let kinds = BESIDE.into_iter().filter(|kind| took_part(*kind));
        let mut lacks = kinds.filter_map(Kind::lacks).peekable();
        if lacks.peek().is_some() {
            line(
                out,
                format_args!("\nWhat is measured beside it, and what that does not do:\n"),
            );
        }
        for text in lacks {
            line(out, format_args!("- {text}"));
        }
    }

    fn group(&self, out: &mut String, group: &Group) {
        let rows: Vec<&Row> = self
            .rows
            .iter()
            .filter(|row| group.scenarios.iter().any(|it| holds(it.rows, row)))
            .collect();
        if rows.is_empty() {
            return;
        }
        line(out, format_args!("\n### {}\n", group.title));
        self.costs(out, &rows);
        self.beside(out, &rows);
        self.rates(out, &rows);
        self.memory(out, &rows);
        self.extras(out, &rows);
        for (id, kind, why) in &self.failures {
            if rows.iter().any(|row| row.id == *id) {
                let (kind, why) = (title(*kind), plain(why));
                line(out, format_args!("\nIn `{id}` {kind} failed: {why}"));
            }
        }
    }

    fn costs(&self, out: &mut String, rows: &[&Row]) {
        line(
            out,
            format_args!("CPU time of an operation in µs, and the goals:\n"),
        );
        table(
            out,
            &[
                "Row",
                "In flight",
                "Tidegate",
                "Peer",
                "Floor",
                "Tidegate / floor",
                "Peer / Tidegate",
                "Goals",
            ],
        );
        for row in rows {
            let cpu = |kind| value(self.median(row.id, kind, Sample::cpu_us));
            let ratio = |pair| spread(self.ratio(row.id, pair, Sample::cpu_us));
            line(
                out,
                format_args!(
                    "| `{}`: {} | {} | {} | {} | {} | {} | {} | {} |",
                    row.id,
                    row.title,
                    depth(row),
                    cpu(Kind::Tidegate),
                    cpu(Kind::Peer),
                    cpu(Kind::Floor),
                    ratio((Kind::Tidegate, Kind::Floor)),
                    ratio((Kind::Peer, Kind::Tidegate)),
                    self.goals(row)
                ),
            );
        }
    }

    /// The rows in which others took part that somebody might take instead.
    fn beside(&self, out: &mut String, rows: &[&Row]) {
        let has = |row: &Row, kind| self.cell(row.id, kind).is_some();
        let is_there = |kind: &Kind| rows.iter().any(|row| has(row, *kind));
        let kinds: Vec<Kind> = BESIDE.into_iter().filter(is_there).collect();
        if kinds.is_empty() {
            return;
        }
        line(
            out,
            format_args!(
                "\nBeside what somebody might take instead, CPU time of an operation in µs, and how \
                 many times that of Tidegate:\n"
            ),
        );
        let names = kinds.iter().map(|kind| title(*kind));
        let heads: Vec<&str> = ["Row", "In flight", "Tidegate"]
            .into_iter()
            .chain(names)
            .collect();
        table(out, &heads);
        let rows = rows
            .iter()
            .filter(|row| BESIDE.iter().any(|kind| has(row, *kind)));
        for row in rows {
            let cpu = |kind| value(self.median(row.id, kind, Sample::cpu_us));
            let cell = |kind: &Kind| {
                let times = self.ratio(row.id, (*kind, Kind::Tidegate), Sample::cpu_us);
                match times {
                    Some(_) => format!("{}: {}", cpu(*kind), spread(times)),
                    None => "–".to_owned(),
                }
            };
            let cells: Vec<String> = kinds.iter().map(cell).collect();
            let cells = cells.join(" | ");
            let (depth, own) = (depth(row), cpu(Kind::Tidegate));
            line(
                out,
                format_args!("| `{}` | {depth} | {own} | {cells} |", row.id),
            );
        }
    }

    /// Each goal of a row with what became of it.
    fn goals(&self, row: &Row) -> String {
        let goals: Vec<String> = row
            .goals
            .iter()
            .map(|goal| match self.verdict(row.id, goal) {
                None => format!("{}: not measured", wish(goal)),
                Some(verdict) if !verdict.is_met() => {
                    format!(
                        "{}: **missed**, {}",
                        wish(goal),
                        reached(goal, verdict.found)
                    )
                }
                Some(verdict) => format!("{}: met, {}", wish(goal), reached(goal, verdict.found)),
            })
            .collect();
        match goals.is_empty() {
            true => "–".to_owned(),
            false => goals.join("<br>"),
        }
    }

    fn rates(&self, out: &mut String, rows: &[&Row]) {
        line(out, format_args!("\nRate and latency:\n"));
        table(
            out,
            &["Row", "Subject", "Per second", "p50", "p99", "p99.9"],
        );
        let mut has_bound = false;
        for row in rows {
            for (index, kind) in self.subjects(row).enumerate() {
                let mark = match self.is_driver_bound(row.id, kind) {
                    true => BOUND,
                    false => "",
                };
                has_bound |= !mark.is_empty();
                let marked = |median: Option<Median>, show: fn(f64) -> String| match median {
                    Some(median) => format!("{}{mark}", show(median.value)),
                    None => "–".to_owned(),
                };
                let latency = |q| marked(self.median(row.id, kind, quantile(q)), time);
                line(
                    out,
                    format_args!(
                        "| {} | {} | {} | {} | {} | {} |",
                        first(index, row),
                        title(kind),
                        marked(self.median(row.id, kind, Sample::rate), thousands),
                        latency(0.5),
                        latency(0.99),
                        latency(0.999)
                    ),
                );
            }
        }
        if has_bound {
            line(
                out,
                format_args!("\n{BOUND} The load driver was the limit; the CPU time above holds."),
            );
        }
    }

    fn memory(&self, out: &mut String, rows: &[&Row]) {
        line(
            out,
            format_args!("\nSystem calls of an operation, and memory at the end:\n"),
        );
        table(
            out,
            &[
                "Row",
                "Subject",
                "System calls",
                "RSS in MiB",
                "PSS in MiB",
                "Growth in bytes, each",
            ],
        );
        for row in rows {
            for (index, kind) in self.subjects(row).enumerate() {
                let calls = self.cell(row.id, kind).and_then(|cell| cell.calls);
                let growth = self.median(row.id, kind, Sample::growth);
                line(
                    out,
                    format_args!(
                        "| {} | {} | {} | {} | {} | {} |",
                        first(index, row),
                        title(kind),
                        calls.map_or("–".to_owned(), short),
                        value(self.median(row.id, kind, rss_mib)),
                        value(self.median(row.id, kind, pss_mib)),
                        growth.map_or("–".to_owned(), |growth| thousands(growth.value))
                    ),
                );
            }
        }
    }

    /// The figures that only some scenarios have.
    fn extras(&self, out: &mut String, rows: &[&Row]) {
        let mut has_any = false;
        for row in rows {
            for (name, unit) in self.extra_names(row) {
                let of_subjects: Vec<String> = self
                    .subjects(row)
                    .filter_map(|kind| {
                        let found = self.median(row.id, kind, extra(name));
                        found.map(|found| format!("{} {}", title(kind), spread(Some(found))))
                    })
                    .collect();
                if !of_subjects.is_empty() {
                    if !has_any {
                        line(out, format_args!("\nFurther figures:\n"));
                        has_any = true;
                    }
                    let all = of_subjects.join("; ");
                    let of = if unit.is_empty() { "" } else { " in " };
                    line(out, format_args!("- `{}`, {name}{of}{unit}: {all}", row.id));
                }
            }
        }
    }

    /// Names and units of a row's own figures, in the order in which they first occur.
    fn extra_names(&self, row: &Row) -> Vec<(&'static str, &'static str)> {
        let mut names = Vec::new();
        let cells = KINDS.iter().filter_map(|kind| self.cell(row.id, *kind));
        for sample in cells.flat_map(|cell| cell.samples.values()) {
            for &(name, _, unit) in &sample.extra {
                if !names.contains(&(name, unit)) {
                    names.push((name, unit));
                }
            }
        }
        names
    }

    fn sweep(&self, out: &mut String, sweep: &Sweep) {
        let drawings = self.draw(sweep);
        if drawings.is_empty() {
            return;
        }
        line(out, format_args!("\n### Plots: {}\n", sweep.title));
        if let Some(verdict) = self.flatness(sweep) {
            line(
                out,
                format_args!(
                    "{} over the numbers of {}: {}, goal ≤ {}, {}.\n",
                    verdict.what,
                    sweep.along,
                    short(verdict.found.value),
                    short(verdict.limit),
                    match verdict.is_met() {
                        true => "met",
                        false => "**missed**",
                    }
                ),
            );
        }
        for drawing in drawings {
            line(
                out,
                format_args!("![{}](plots/{})\n", drawing.title, drawing.file),
            );
        }
        // The last one's empty line.
        out.pop();
    }

    /// Who has figures of a row.
    fn subjects(&self, row: &Row) -> impl Iterator<Item = Kind> + use<'_> {
        let id = row.id;
        KINDS
            .into_iter()
            .filter(move |kind| self.cell(id, *kind).is_some())
    }
}

/// Puts a text between the marks; `None` if they are not there.
pub fn replace(text: &str, part: &str) -> Option<String> {
    let start = text.find(BEGIN)? + BEGIN.len();
    let end = start + text[start..].find(END)?;
    Some(format!("{}\n{part}\n{}", &text[..start], &text[end..]))
}

fn head(out: &mut String, lines: &[(&str, String)]) {
    table(out, &["", "Measured with"]);
    for (name, value) in lines {
        line(out, format_args!("| {name} | {} |", plain(value)));
    }
    out.push('\n');
}

/// What a goal asks, in short.
fn wish(goal: &Goal) -> String {
    match *goal {
        Goal::CpuFloor(limit) => format!("≤ {limit} × floor"),
        Goal::CpuPeer(limit) => format!("≤ peer / {limit}"),
        Goal::Cpu(limit) => format!("≤ {limit} µs"),
        Goal::LatencyFloor(limit) => format!("p50 and p99 ≤ {limit} × floor"),
        Goal::TailFloor(limit) => format!("p99 ≤ {limit} × floor"),
        Goal::Growth(limit) => format!("≤ {} B each", thousands(limit)),
        Goal::GrowthTotal(limit) => format!("grows ≤ {limit} MiB"),
        Goal::Resident(limit) => format!("RSS ≤ {limit} MiB"),
        Goal::Extra(name, limit) => format!("{name} ≤ {}", short(limit)),
    }
}

/// What was measured in the terms of the goal.
fn reached(goal: &Goal, found: Median) -> String {
    match goal {
        Goal::CpuPeer(_) => format!("peer / {}", short(1.0 / found.value)),
        _ => short(found.value),
    }
}

fn holds(rows: &[Row], row: &Row) -> bool {
    rows.iter().any(|known| known.id == row.id)
}

/// How many are under way at one time.
fn depth(row: &Row) -> String {
    let count = row.in_flight.map(f64::from);
    count.map_or("–".to_owned(), thousands)
}

/// The row's name in the first of its lines.
fn first(index: usize, row: &Row) -> String {
    match index {
        0 => format!("`{}`", row.id),
        _ => String::new(),
    }
}

fn value(median: Option<Median>) -> String {
    median.map_or("–".to_owned(), |median| short(median.value))
}

fn spread(median: Option<Median>) -> String {
    let Some(Median { value, low, high }) = median else {
        return "–".to_owned();
    };
    match low == high {
        true => short(value),
        false => format!("{} ({}–{})", short(value), short(low), short(high)),
    }
}

fn table(out: &mut String, heads: &[&str]) {
    line(out, format_args!("| {} |", heads.join(" | ")));
    // Text is on the left, figures are on the right.
    let rules = heads.iter().map(|head| match *head {
        "" | "Row" | "Subject" | "Goals" | "Measured with" => "---",
        _ => "--:",
    });
    let rules: Vec<&str> = rules.collect();
    line(out, format_args!("| {} |", rules.join(" | ")));
}

/// A text of others on one line that means nothing to Markdown.
fn plain(text: &str) -> String {
    let text: String = text
        .chars()
        .take(REASON)
        .map(|letter| match letter {
            '|' | '`' | '<' | '>' | '*' => '\'',
            letter if letter.is_control() => ' ',
            letter => letter,
        })
        .collect();
    text.trim_end().to_owned()
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}
