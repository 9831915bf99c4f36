//! Runs what is measured, in rounds, and prints one line for each.
//!
//! Times are for comparison: between lines of one run, or between two builds in alternating
//! runs on the same machine. Allocations and bytes repeat exactly. Nothing fails on a time.

use allocation_counter::{AllocationInfo, measure};
use std::time::{Duration, Instant};

/// Time for the rounds of one measurement.
const BUDGET: Duration = Duration::from_millis(600);
const SHORT_BUDGET: Duration = Duration::from_millis(10);

/// Rounds of one measurement, at least and at most.
const ROUNDS: (usize, usize) = (5, 51);
const SHORT_ROUNDS: (usize, usize) = (1, 3);

/// What to run, and how long.
pub struct Runner {
    filter: Option<String>,
    short: bool,
    group: &'static str,
}

impl Runner {
    pub fn new(filter: Option<String>, short: bool) -> Self {
        Self {
            filter,
            short,
            group: "",
        }
    }

    /// A size for this run: the full one, or one that takes milliseconds.
    pub fn size(&self, full: usize, short: usize) -> usize {
        if self.short { short } else { full }
    }

    /// Whether a measurement is asked for; building what it needs may take seconds.
    pub fn wants(&self, name: &str) -> bool {
        let filter = self.filter.as_deref();
        filter.is_none_or(|filter| name.contains(filter))
    }

    /// Measures an operation that can be repeated at once. `bytes` are those that it reads
    /// or writes each time; 0 where a rate in bytes says nothing.
    pub fn op<R>(&mut self, name: &'static str, bytes: usize, mut op: impl FnMut() -> R) {
        if !self.wants(name) {
            return;
        }
        let mut count = 1;
        let target = if self.short { 200 } else { 5_000 };
        while count < 1 << 24 {
            let start = Instant::now();
            (0..count).for_each(|_| drop(std::hint::black_box(op())));
            if start.elapsed() >= Duration::from_micros(target) {
                break;
            }
            count *= 2;
        }
        self.rounds(name, |meter| {
            meter.time(count, count * bytes, || {
                (0..count).for_each(|_| drop(std::hint::black_box(op())));
            });
        });
    }

    /// Measures what needs preparation. Each call of `round` is a round; what it gives to
    /// its meter counts. Returns nothing: checks are the round's.
    pub fn rounds(&mut self, name: &'static str, mut round: impl FnMut(&mut Meter)) {
        if !self.wants(name) {
            return;
        }
        let (budget, (least, most)) = if self.short {
            (SHORT_BUDGET, SHORT_ROUNDS)
        } else {
            (BUDGET, ROUNDS)
        };
        let begun = Instant::now();
        let mut meters: Vec<Meter> = Vec::new();
        while meters.len() < least || (meters.len() < most && begun.elapsed() < budget) {
            let mut meter = Meter::default();
            round(&mut meter);
            assert!(meter.count > 0, "{name} measured nothing");
            meters.push(meter);
        }
        self.print(name, &meters);
    }

    fn print(&mut self, name: &'static str, meters: &[Meter]) {
        self.head(name);
        let mut times: Vec<f64> = meters.iter().map(Meter::nanoseconds).collect();
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        // Half of the rounds lie within.
        let (low, high) = (times[times.len() / 4], times[times.len() * 3 / 4]);
        let spread = (high - low) / 2.0 / median.max(0.1) * 100.0;
        let last = &meters[meters.len() - 1];
        let count = last.count as f64;
        let rate = match last.bytes {
            0 => String::new(),
            bytes => format!("{:.0}", bytes as f64 / count / median * 1e3),
        };
        println!(
            "{name:<58} {:>11} {spread:>4.0}% {rate:>7} {:>9} {:>11} {:>11}",
            figure(median),
            figure(last.allocations as f64 / count),
            figure(last.allocated as f64 / count),
            figure(last.peak as f64),
        );
    }

    /// Prints something that is no time.
    pub fn note(&mut self, name: &'static str, text: &str) {
        self.head(name);
        println!("{name:<58} {text:>11}");
    }

    fn head(&mut self, name: &'static str) {
        let group = name.split('/').next().unwrap_or(name);
        if group != self.group {
            self.group = group;
            println!(
                "\n{group:<58} {:>11} {:>5} {:>7} {:>9} {:>11} {:>11}",
                "ns/op", "±", "MB/s", "allocs/op", "bytes/op", "peak bytes"
            );
        }
    }
}

/// Three digits that matter.
pub fn figure(number: f64) -> String {
    let digits = match number.abs() {
        0.0 | 100.0.. => 0,
        10.0..100.0 => 1,
        _ => 2,
    };
    format!("{number:.digits$}")
}

/// What one round took.
#[derive(Default)]
pub struct Meter {
    time: Duration,
    count: usize,
    bytes: usize,
    allocations: u64,
    allocated: u64,
    /// The most that was held at once, beyond what was held before.
    peak: u64,
}

impl Meter {
    /// Measures `count` operations done by one call, on so many bytes.
    pub fn time<R>(&mut self, count: usize, bytes: usize, work: impl FnOnce() -> R) -> R {
        self.count += count;
        self.bytes += bytes;
        self.more(work)
    }

    /// The same for work that belongs to operations already counted.
    pub fn more<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let mut result = None;
        let mut time = Duration::ZERO;
        let info: AllocationInfo = measure(|| {
            let start = Instant::now();
            result = Some(work());
            time = start.elapsed();
        });
        self.time += time;
        self.allocations += info.count_total;
        self.allocated += info.bytes_total;
        self.peak = self.peak.max(info.bytes_max);
        result.expect("the work was done")
    }

    fn nanoseconds(&self) -> f64 {
        self.time.as_nanos() as f64 / self.count as f64
    }
}
