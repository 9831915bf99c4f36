//! Gauges in harbours, which change all the time, and a gate that everybody may move.

use super::post::{Answer, Post, reference};
use super::request::Request;
use super::{NO_METHOD, NOT_FOUND, Refusal};

/// Milliseconds between two readings; the gauges are read in turn.
const STEP: u64 = 250;

/// Milliseconds from flood to flood: here tides are in a hurry.
const PERIOD: u64 = 48_000;

const NO_STATE: Refusal = ("system.invalidParams", "open must be true or false");

/// Name in resources, name for people, most centimetres above the mean, and by which part of
/// a period it is behind.
const HARBOURS: [(&str, &str, i32, f64); 4] = [
    ("saint-malo", "Saint-Malo", 560, 0.0),
    ("liverpool", "Liverpool", 430, 0.32),
    ("dover", "Dover", 310, 0.47),
    ("cuxhaven", "Cuxhaven", 160, 0.78),
];

/// The basin behind the gate, at the last harbour.
const BASIN: usize = HARBOURS.len();

/// The gauges, and the gate.
#[derive(Debug)]
pub(super) struct Tide {
    start: u64,
    pub(super) due: u64,
    /// The gauge that is read next.
    next: usize,
    /// In centimetres above the mean.
    levels: [i64; BASIN + 1],
    is_rising: [bool; BASIN + 1],
    is_open: bool,
}

impl Tide {
    pub(super) fn new(now: u64) -> Self {
        let mut levels = [0; BASIN + 1];
        let mut is_rising = [true; BASIN + 1];
        for place in 0..levels.len() {
            let harbour = place.min(BASIN - 1);
            levels[place] = sea(harbour, 0);
            is_rising[place] = sea(harbour, STEP) > levels[place];
        }
        Self {
            start: now,
            due: now + STEP,
            next: 0,
            levels,
            is_rising,
            is_open: true,
        }
    }

    fn place(resource: &str) -> Option<usize> {
        let name = resource.strip_prefix("tide.")?;
        (0..=BASIN).find(|place| short(*place) == name)
    }

    pub(super) fn get(&self, resource: &str) -> Result<Answer, Refusal> {
        if resource == "tide" {
            let gauges = (0..=BASIN).map(|place| reference(&format!("tide.{}", short(place))));
            return Ok(Answer::collection(&gauges.collect::<Vec<String>>()));
        }
        if resource == "tide.gate" {
            return Ok(Answer::model(&gate(self.is_open)));
        }
        let place = Self::place(resource).ok_or(NOT_FOUND)?;
        let (name, range) = match HARBOURS.get(place) {
            Some((_, name, range, _)) => (*name, *range),
            None => ("Basin", HARBOURS[BASIN - 1].2),
        };
        let (level, is_rising) = (self.levels[place], self.is_rising[place]);
        let model =
            format!(r#"{{"name":"{name}","range":{range},"level":{level},"rising":{is_rising}}}"#);
        Ok(Answer::model(&model))
    }

    pub(super) fn call(
        &mut self,
        resource: &str,
        method: &str,
        request: &Request,
        post: &mut Post,
    ) -> Result<Answer, Refusal> {
        if (resource, method) != ("tide.gate", "set") {
            return Err(NO_METHOD);
        }
        self.is_open = request.switch("open").ok_or(NO_STATE)?;
        post.change("tide.gate", &gate(self.is_open));
        Ok(Answer::done())
    }

    /// Reads one gauge, if it is time. Times that were missed are not made up for.
    pub(super) fn timeout(&mut self, now: u64, post: &mut Post) {
        if now < self.due {
            return;
        }
        self.due = now + STEP;
        let place = self.next;
        self.next = (place + 1) % self.levels.len();
        let old = self.levels[place];
        let level = match (place, self.is_open) {
            (BASIN, true) => old + (self.levels[BASIN - 1] - old) * 2 / 3,
            (BASIN, false) => old,
            _ => sea(place, now - self.start),
        };
        if level == old {
            return;
        }
        let is_rising = level > old;
        // What is the same the gateway leaves out.
        let values = format!(r#"{{"level":{level},"rising":{is_rising}}}"#);
        (self.levels[place], self.is_rising[place]) = (level, is_rising);
        post.change(&format!("tide.{}", short(place)), &values);
    }
}

/// The level at a harbour at a time since the start.
fn sea(place: usize, time: u64) -> i64 {
    let (_, _, range, behind) = HARBOURS[place];
    let part = (time % PERIOD) as f64 / PERIOD as f64;
    // A wave on the tide.
    let wave = swing(part * 9.0) * 0.03;
    (f64::from(range) * (swing(part - behind) * 0.97 + wave)) as i64
}

/// The sine of so many whole turns, by the approximation of Bhaskara: off by 0.2 % at most, and
/// no reason for every gateway to load a library of mathematics.
fn swing(turns: f64) -> f64 {
    let rest = turns - turns as i64 as f64;
    let turn = if rest < 0.0 { rest + 1.0 } else { rest };
    let (half, sign) = match turn < 0.5 {
        true => (2.0 * turn, 1.0),
        false => (2.0 * turn - 1.0, -1.0),
    };
    let bow = half * (1.0 - half);
    sign * 16.0 * bow / (5.0 - 4.0 * bow)
}

fn gate(is_open: bool) -> String {
    format!(r#"{{"open":{is_open}}}"#)
}

fn short(place: usize) -> &'static str {
    HARBOURS.get(place).map_or("basin", |harbour| harbour.0)
}

#[cfg(test)]
mod tests {
    use super::swing;

    #[test]
    fn the_tide_swings_like_a_sine() {
        for step in -1_000..=1_000 {
            let turns = f64::from(step) / 250.0;
            let exact = (turns * std::f64::consts::TAU).sin();
            assert!((swing(turns) - exact).abs() < 0.002, "{turns}");
        }
    }
}
