//! Sweeps as plots: throughput, latency and memory against a count.

use super::{KINDS, Results, quantile, rss_mib, title};
use crate::plot::{Line, Plot, Point};
use crate::scenarios::Sweep;
use crate::subject::{Kind, Sample};

/// A plot, and the name of its file.
pub struct Drawing {
    pub file: String,
    pub title: String,
    pub svg: String,
}

/// What is drawn of each sweep, by the end of the file's name.
const PARTS: [&str; 3] = ["throughput", "latency", "memory"];

/// The names of all files that a sweep can have.
pub fn files(sweep: &Sweep) -> impl Iterator<Item = String> {
    PARTS.iter().map(|part| format!("{}-{part}.svg", sweep.id))
}

impl Results {
    /// The plots of a sweep; none if less than two of its rows were measured.
    pub fn draw(&self, sweep: &Sweep) -> Vec<Drawing> {
        if self.points(sweep).count() < 2 {
            return Vec::new();
        }
        let plots = [
            self.throughput_plot(sweep),
            self.latency_plot(sweep),
            self.memory_plot(sweep),
        ];
        files(sweep)
            .zip(plots)
            .map(|(file, plot)| Drawing {
                file,
                title: plot.title.clone(),
                svg: plot.svg(),
            })
            .collect()
    }

    fn throughput_plot(&self, sweep: &Sweep) -> Plot {
        let lines = KINDS.map(|kind| {
            let points = self.line(sweep, kind, Sample::rate, true);
            Line::new(title(kind), look(kind), false, points)
        });
        plot("Throughput", sweep, "deliveries per second", lines)
    }

    fn latency_plot(&self, sweep: &Sweep) -> Plot {
        let lines = KINDS.into_iter().flat_map(|kind| {
            [(0.5, "p50", false), (0.99, "p99", true)].map(|(q, name, is_dashed)| {
                let millis = move |it: &Sample| quantile(q)(it) / 1e3;
                let points = self.line(sweep, kind, millis, true);
                let name = format!("{} {name}", title(kind));
                Line::new(&name, look(kind), is_dashed, points)
            })
        });
        plot(
            "Latency",
            sweep,
            "milliseconds from publish to receive",
            lines,
        )
    }

    fn memory_plot(&self, sweep: &Sweep) -> Plot {
        let lines = KINDS.map(|kind| {
            let points = self.line(sweep, kind, rss_mib, false);
            Line::new(title(kind), look(kind), false, points)
        });
        plot("Memory", sweep, "resident set in MiB", lines)
    }

    /// One figure of one subject over the sweep. `is_timed`: the driver can be its limit.
    fn line(
        &self,
        sweep: &Sweep,
        kind: Kind,
        of: impl Fn(&Sample) -> f64,
        is_timed: bool,
    ) -> Vec<Point> {
        self.points(sweep)
            .filter_map(|(count, id)| {
                Some(Point {
                    x: f64::from(count),
                    y: self.median(id, kind, &of)?.value,
                    is_hollow: is_timed && self.is_driver_bound(id, kind),
                })
            })
            .collect()
    }
}

fn plot(what: &str, sweep: &Sweep, y_label: &str, lines: impl IntoIterator<Item = Line>) -> Plot {
    Plot {
        title: format!("{what}: {}", sweep.title),
        x_label: format!("{} (log scale)", sweep.along),
        y_label: format!("{y_label} (log scale)"),
        hollow: "limit of the load driver",
        lines: lines
            .into_iter()
            .filter(|line| !line.points.is_empty())
            .collect(),
    }
}

fn look(kind: Kind) -> usize {
    KINDS.iter().position(|known| *known == kind).unwrap_or(0)
}
