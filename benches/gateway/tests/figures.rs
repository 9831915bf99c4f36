//! Numbers as people read them.

use crate::figures::{scale, short, thousands, time};

#[test]
fn numbers_keep_three_digits() {
    let cases = [
        (0.0, "0"),
        (0.0004, "0"),
        (0.0123, "0.012"),
        (1.234, "1.23"),
        (-45.67, "-45.7"),
        (999.4, "999"),
        (1_234_567.0, "1,234,567"),
        (-1_000.0, "-1,000"),
    ];
    for (value, text) in cases {
        assert_eq!(short(value), text, "{value}");
    }
}

#[test]
fn whole_numbers_have_no_negative_zero() {
    assert_eq!(thousands(-0.2), "0");
    assert_eq!(thousands(100.0), "100");
}

#[test]
fn scales_are_labelled_with_units() {
    let cases = [
        (0.02, "0.02"),
        (100.0, "100"),
        (1e3, "1 k"),
        (1.5e3, "1.5 k"),
        (2e7, "20 M"),
    ];
    for (value, text) in cases {
        assert_eq!(scale(value), text, "{value}");
    }
}

#[test]
fn times_have_the_unit_that_suits_them() {
    let cases = [
        (0.0123, "0.012 µs"),
        (85.5, "85.5 µs"),
        (15_270.0, "15.3 ms"),
        (11_878_269.0, "11.9 s"),
    ];
    for (micros, text) in cases {
        assert_eq!(time(micros), text, "{micros}");
    }
}
