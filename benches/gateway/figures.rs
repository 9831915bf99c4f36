//! Numbers as people read them.

/// Three digits that count, with commas from a thousand on.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v < 0.0005 => "0".to_owned(),
        v if v < 0.1 => format!("{value:.3}"),
        v if v < 10.0 => format!("{value:.2}"),
        v if v < 100.0 => format!("{value:.1}"),
        _ => thousands(value),
    }
}

/// A whole number with commas.
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    match value < 0.0 && digits != "0" {
        true => format!("-{text}"),
        false => text,
    }
}

/// A time, given in microseconds, in the unit that suits it.
pub fn time(micros: f64) -> String {
    match micros {
        v if v < 1e3 => format!("{} µs", short(v)),
        v if v < 1e6 => format!("{} ms", short(v / 1e3)),
        v => format!("{} s", short(v / 1e6)),
    }
}

/// The label of a scale: `500`, `2 k`, `10 M`.
pub fn scale(value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 1e6 => (v / 1e6, " M"),
        v if v >= 1e3 => (v / 1e3, " k"),
        v => (v, ""),
    };
    // As many decimals as the number has, at most three.
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}")
}
