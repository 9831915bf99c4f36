//! Plots as SVG text.

use crate::plot::{Axis, BOTTOM, LEFT, Line, Plot, Point, RIGHT, TOP, ticks};

fn point(x: f64, y: f64) -> Point {
    Point {
        x,
        y,
        is_hollow: false,
    }
}

fn plot(lines: Vec<Line>) -> String {
    let text = |text: &str| text.to_owned();
    Plot {
        title: text("a < b & c"),
        x_label: text("clients"),
        y_label: text("us"),
        hollow: "the driver's limit",
        lines,
    }
    .svg()
}

#[test]
fn ticks_are_round_and_enclose_the_range() {
    for (low, high) in [
        (1.0, 10.0),
        (0.013, 0.47),
        (3.0, 3.0),
        (2.3, 460.0),
        (999.0, 7.3e6),
        (1e-3, 9.9e8),
    ] {
        let ticks = ticks(low, high);
        assert!(ticks[0] < low, "{low}: {ticks:?}");
        assert!(ticks[ticks.len() - 1] > high, "{high}: {ticks:?}");
        assert!(ticks.len() <= 15, "{ticks:?}");
        assert!(ticks.is_sorted(), "{ticks:?}");
    }
}

#[test]
fn equal_ratios_are_equally_far_apart() {
    let axis = Axis {
        low: 1.0,
        high: 100.0,
        from: 0.0,
        to: 200.0,
    };
    assert!(axis.at(1.0).abs() < 1e-9);
    assert!((axis.at(10.0) - 100.0).abs() < 1e-9);
    assert!((axis.at(100.0) - 200.0).abs() < 1e-9);
}

#[test]
fn every_point_lies_within_the_frame() {
    let points = vec![point(100.0, 9e6), point(15_000.0, 0.4)];
    let svg = plot(vec![Line::new("a", 0, false, points)]);
    let list = svg.split("points=\"").nth(1).unwrap();
    let list = list.split('"').next().unwrap();
    let places: Vec<f64> = list
        .split([' ', ','])
        .map(|number| number.parse().unwrap())
        .collect();
    assert_eq!(places.len(), 4);
    for place in places.chunks(2) {
        assert!(LEFT < place[0] && place[0] < RIGHT, "{place:?}");
        assert!(TOP < place[1] && place[1] < BOTTOM, "{place:?}");
    }
}

#[test]
fn texts_are_escaped() {
    let svg = plot(vec![Line::new("x<y", 0, false, vec![point(1.0, 1.0)])]);
    assert!(svg.contains("a &lt; b &amp; c"));
    assert!(svg.contains(">x&lt;y</text>"));
}

#[test]
fn what_a_logarithmic_axis_cannot_show_is_left_out() {
    let points = vec![
        point(1.0, 0.0),
        point(0.0, 1.0),
        point(1.0, -1.0),
        point(1.0, f64::NAN),
        point(1.0, f64::INFINITY),
        point(2.0, 3.0),
    ];
    assert_eq!(Line::new("a", 0, false, points).points, [point(2.0, 3.0)]);
    // Nothing at all is a plot too.
    let svg = plot(Vec::new());
    assert!(!svg.contains("NaN") && svg.ends_with("</svg>\n"));
}

#[test]
fn hollow_markers_are_explained_where_there_are_some() {
    let mut hollow = point(1.0, 1.0);
    let without = plot(vec![Line::new("a", 0, false, vec![hollow])]);
    hollow.is_hollow = true;
    let with = plot(vec![Line::new("a", 0, false, vec![hollow])]);
    assert!(!without.contains("limit</text>"));
    assert!(with.contains("the driver's limit</text>"));
}
