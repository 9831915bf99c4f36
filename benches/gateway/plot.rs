//! Line plots as SVG text: logarithmic axes, a legend, a white card around them, so that
//! they can be read on light and dark pages.

use std::fmt::Write;

use crate::figures::scale;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
/// The frame of the plot.
pub const LEFT: f64 = 74.0;
pub const RIGHT: f64 = 570.0;
pub const TOP: f64 = 52.0;
pub const BOTTOM: f64 = 354.0;
/// Where the legend's samples begin.
const LEGEND: f64 = 588.0;

/// Colours that people with any colour vision tell apart (Okabe and Ito), each with a
/// marker of its own, so that none depends on colour at all.
const LOOKS: [(&str, Marker); 3] = [
    ("#0072B2", Marker::Circle),
    ("#D55E00", Marker::Square),
    ("#555555", Marker::Triangle),
];

#[derive(Clone, Copy)]
enum Marker {
    Circle,
    Square,
    Triangle,
}

/// A measured point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Above zero, as the axes are logarithmic.
    pub x: f64,
    /// Above zero.
    pub y: f64,
    /// Whether the marker is drawn hollow.
    pub is_hollow: bool,
}

/// The points of one subject, joined.
#[derive(Clone, Debug)]
pub struct Line {
    name: String,
    look: usize,
    is_dashed: bool,
    pub points: Vec<Point>,
}

impl Line {
    /// A line with one of the looks; points that a logarithmic axis cannot show are left
    /// out.
    pub fn new(name: &str, look: usize, is_dashed: bool, points: Vec<Point>) -> Self {
        let can_show = |value: f64| value > 0.0 && value.is_finite();
        Self {
            name: name.to_owned(),
            look: look % LOOKS.len(),
            is_dashed,
            points: points
                .into_iter()
                .filter(|point| can_show(point.x) && can_show(point.y))
                .collect(),
        }
    }
}

/// A plot of some lines.
#[derive(Clone, Debug)]
pub struct Plot {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    /// What a hollow marker says, for the legend.
    pub hollow: &'static str,
    pub lines: Vec<Line>,
}

/// A logarithmic axis: from a range of values to a range of pixels.
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub from: f64,
    pub to: f64,
}

impl Axis {
    /// Where a value lies.
    pub fn at(&self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + share * (self.to - self.from)
    }
}

impl Plot {
    /// The plot as an SVG document.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let mut counts: Vec<f64> = points().map(|point| point.x).collect();
        counts.sort_by(f64::total_cmp);
        counts.dedup();
        let (low, high) = range(counts.iter().copied());
        let x = Axis {
            low: low / 1.25,
            high: high * 1.25,
            from: LEFT,
            to: RIGHT,
        };
        let (low, high) = range(points().map(|point| point.y));
        let ticks = ticks(low, high);
        let y = Axis {
            low: ticks[0],
            high: ticks[ticks.len() - 1],
            from: BOTTOM,
            to: TOP,
        };
        self.write_frame(out)?;
        for &tick in &ticks {
            let (at, text) = (y.at(tick), scale(tick));
            writeln!(
                out,
                r##"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="#e1e4e8"/>
<text x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"##,
                LEFT - 8.0,
                at + 4.0
            )?;
        }
        for &count in &counts {
            let (at, text) = (x.at(count), scale(count));
            writeln!(
                out,
                r##"<path d="M{at:.1} {TOP}V{BOTTOM}" stroke="#e1e4e8"/>
<text x="{at:.1}" y="{:.1}" text-anchor="middle">{text}</text>"##,
                BOTTOM + 18.0
            )?;
        }
        writeln!(
            out,
            r##"<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#57606a"/>"##
        )?;
        // The first subject is what the plot is about: it lies on top.
        for line in self.lines.iter().rev() {
            write_line(out, line, &x, &y)?;
        }
        self.write_legend(out)?;
        out.write_str("</svg>\n")
    }

    /// The card with the texts around the plot.
    fn write_frame(&self, out: &mut String) -> std::fmt::Result {
        let title = escape(&self.title);
        let middle = (LEFT + RIGHT) / 2.0;
        let height = (TOP + BOTTOM) / 2.0;
        writeln!(
            out,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="#24292f">
<title>{title}</title>
<rect x="0.5" y="0.5" width="{:.1}" height="{:.1}" rx="8" fill="#ffffff" stroke="#d0d7de"/>
<text x="20" y="30" font-size="15" font-weight="600">{title}</text>
<text x="{middle:.1}" y="{:.1}" text-anchor="middle">{}</text>
<text transform="translate(22 {height:.1}) rotate(-90)" text-anchor="middle">{}</text>"##,
            WIDTH - 1.0,
            HEIGHT - 1.0,
            BOTTOM + 44.0,
            escape(&self.x_label),
            escape(&self.y_label)
        )
    }

    fn write_legend(&self, out: &mut String) -> std::fmt::Result {
        let mut at = TOP + 12.0;
        let end = LEGEND + 34.0;
        for line in &self.lines {
            let (colour, marker) = LOOKS[line.look];
            writeln!(
                out,
                r##"<path d="M{LEGEND} {at}H{end}" stroke="{colour}" stroke-width="2"{}/>"##,
                dashes(line)
            )?;
            write_marker(out, marker, (LEGEND + 17.0, at), colour, colour)?;
            let text = escape(&line.name);
            writeln!(
                out,
                r##"<text x="{}" y="{}">{text}</text>"##,
                end + 8.0,
                at + 4.0
            )?;
            at += 22.0;
        }
        let mut points = self.lines.iter().flat_map(|line| &line.points);
        if points.any(|point| point.is_hollow) {
            at += 8.0;
            let place = (LEGEND + 6.0, at);
            write_marker(out, Marker::Circle, place, "#24292f", "#ffffff")?;
            let text = escape(self.hollow);
            writeln!(
                out,
                r##"<text x="{}" y="{}" font-size="11">{text}</text>"##,
                LEGEND + 18.0,
                at + 4.0
            )?;
        }
        Ok(())
    }
}

fn write_line(out: &mut String, line: &Line, x: &Axis, y: &Axis) -> std::fmt::Result {
    let (colour, marker) = LOOKS[line.look];
    let places: Vec<(f64, f64)> = line
        .points
        .iter()
        .map(|point| (x.at(point.x), y.at(point.y)))
        .collect();
    let joined: Vec<String> = places
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    writeln!(
        out,
        r##"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"{}/>"##,
        joined.join(" "),
        dashes(line)
    )?;
    for (point, place) in line.points.iter().zip(places) {
        let fill = if point.is_hollow { "#ffffff" } else { colour };
        write_marker(out, marker, place, colour, fill)?;
    }
    Ok(())
}

fn write_marker(
    out: &mut String,
    marker: Marker,
    (x, y): (f64, f64),
    colour: &str,
    fill: &str,
) -> std::fmt::Result {
    let shape = match marker {
        Marker::Circle => format!(r##"<circle cx="{x:.1}" cy="{y:.1}" r="4.5""##),
        Marker::Square => {
            let (x, y) = (x - 4.0, y - 4.0);
            format!(r##"<rect x="{x:.1}" y="{y:.1}" width="8" height="8""##)
        }
        Marker::Triangle => {
            let y = y - 5.5;
            format!(r##"<path d="M{x:.1} {y:.1}l5 9h-10z""##)
        }
    };
    writeln!(
        out,
        r##"{shape} fill="{fill}" stroke="{colour}" stroke-width="1.5"/>"##
    )
}

fn dashes(line: &Line) -> &'static str {
    match line.is_dashed {
        true => r##" stroke-dasharray="6 4""##,
        false => "",
    }
}

/// The smallest and the largest; 1 and 10 of nothing.
fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().reduce(f64::min).unwrap_or(1.0);
    (low, values.reduce(f64::max).unwrap_or(10.0))
}

/// Round values of which the first and the last enclose a range: 1, 2 and 5 of each
/// power of ten, or powers alone where that would be too many.
pub fn ticks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = match high / low {
        wide if wide > 3_000.0 => &[1.0],
        _ => &[1.0, 2.0, 5.0],
    };
    // A margin, so that no marker lies on the frame.
    let (low, high) = (low / 1.05, high * 1.05);
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let all: Vec<f64> = (first..=last)
        .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
        .collect();
    let below = |tick: &&f64| **tick < low;
    let above = |tick: &&f64| **tick > high;
    let start = all.iter().filter(below).count().saturating_sub(1);
    let end = all.len() - all.iter().filter(above).count().saturating_sub(1);
    all[start..end].to_vec()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
