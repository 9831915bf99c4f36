//! Histograms and medians.

use std::time::Duration;

use crate::stats::{Histogram, Median};

#[test]
fn a_quantile_is_near_what_was_added() {
    let mut value = 1u64;
    while value < 3_600_000_000_000 {
        for nanos in [value - 1, value, value + value / 3] {
            let mut histogram = Histogram::default();
            histogram.add(Duration::from_nanos(nanos), 1);
            let found = histogram.quantile(1.0).unwrap() * 1e3;
            let error = (found - nanos as f64).abs();
            assert!(error <= nanos as f64 / 64.0 + 1e-9, "{nanos}: {found}");
        }
        value *= 2;
    }
}

#[test]
fn quantiles_are_exact_but_for_the_width_of_a_bucket() {
    let mut histogram = Histogram::default();
    for micros in 1..=10_000 {
        histogram.add(Duration::from_micros(micros), 1);
    }
    for (q, micros) in [(0.0, 1.0), (0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
        let found = histogram.quantile(q).unwrap();
        assert!((found - micros).abs() <= micros / 64.0, "{q}: {found}");
    }
}

#[test]
fn counts_weigh() {
    let mut histogram = Histogram::default();
    histogram.add(Duration::from_nanos(10), 99);
    histogram.add(Duration::from_secs(1_000_000), 1);
    assert_eq!(histogram.len(), 100);
    assert_eq!(histogram.quantile(0.99), Some(0.01));
    // What no bucket is for counts in the last one.
    assert!(histogram.quantile(1.0).unwrap() > 1e9);
}

#[test]
fn nothing_has_no_quantile_and_no_median() {
    assert_eq!(Histogram::default().quantile(0.5), None);
    assert_eq!(Median::of([]), None);
}

#[test]
fn a_median_is_in_the_middle() {
    let of = |values: &[f64]| {
        let median = Median::of(values.iter().copied()).unwrap();
        (median.low, median.value, median.high)
    };
    assert_eq!(of(&[3.0]), (3.0, 3.0, 3.0));
    assert_eq!(of(&[9.0, 1.0, 2.0]), (1.0, 2.0, 9.0));
    assert_eq!(of(&[4.0, 1.0, 2.0, 100.0]), (1.0, 3.0, 100.0));
}
