//! Latency histograms, medians and their spread.

use std::time::Duration;

/// Sub-buckets of each power of two; the error of a quantile is at most 1/64.
const STEPS: usize = 64;

/// A histogram of durations from 1 ns to hours, with constant relative error.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; STEPS * 48],
            total: 0,
        }
    }
}

impl Histogram {
    /// Adds `count` observations of one duration.
    pub fn add(&mut self, duration: Duration, count: u64) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let index = bucket(nanos).min(self.counts.len() - 1);
        self.counts[index] += count;
        self.total += count;
    }

    /// How many observations there are.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// The duration that a share `q` of the observations does not exceed, in
    /// microseconds. `None` without observations.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = ((self.total as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(middle(index) / 1e3);
            }
        }
        None
    }
}

/// Below `STEPS` each value has a bucket; above, `STEPS` for each power of two.
fn bucket(nanos: u64) -> usize {
    if nanos < STEPS as u64 {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - STEPS.ilog2();
    (shift as usize) * STEPS + (nanos >> shift) as usize
}

/// The middle of a bucket in nanoseconds.
fn middle(index: usize) -> f64 {
    if index < 2 * STEPS {
        return index as f64;
    }
    let shift = index / STEPS - 1;
    let low = ((index % STEPS + STEPS) as u64) << shift;
    low as f64 + (1u64 << shift) as f64 / 2.0
}

/// A median with the smallest and largest of its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Median {
    /// The middle value.
    pub value: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Median {
    /// The median of some values; `None` of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (&low, &high) = (values.first()?, values.last()?);
        let half = values.len() / 2;
        let value = match values.len() % 2 {
            0 => (values[half - 1] + values[half]) / 2.0,
            _ => values[half],
        };
        Some(Self { value, low, high })
    }
}
