//! Warnings about services: at most one per kind, name and minute, so that a faulty service
//! leaves a trace and never a flood. The others are there at debug level.

use crate::gateway::model::time::Time;
use log::{debug, warn};
use std::collections::VecDeque;
use std::fmt::{self, Arguments};
use std::hash::BuildHasher;

/// How long a warning stands for those that are like it, in milliseconds.
pub const PERIOD: u64 = 60_000;

/// Names that one kind of warning tells apart in that time. What goes beyond is counted.
pub const MAX_NAMES: usize = 64;

/// Longest text of a warning, in bytes.
const MAX_TEXT: usize = 1_000;

/// What is warned about. Each kind has its own room, so that none hides another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The meta object of an answer has a status that means nothing, or too many fields.
    Meta,
    /// An answer to `new` that names no resource.
    New,
    /// A token reset whose auth request was not sent or not answered.
    TokenReset,
    /// A get request after a reset that failed, or brought another type.
    Reset,
    /// An event that is not used.
    Event,
    /// An answer to a query request that is not used, or a query event that is given up.
    Query,
    /// A system or connection event that is not used.
    System,
    /// A name whose events the broker does not send.
    Refused,
    /// A resource that was not what its service has.
    Drift,
    /// A resource that goes beyond a limit.
    Limit,
}

/// How many kinds there are.
const KINDS: usize = Warning::Limit as usize + 1;

/// Which warnings were given in the last minute.
#[derive(Debug, Default)]
pub struct Warnings {
    kinds: [Given; KINDS],
    hasher: foldhash::fast::RandomState,
}

/// The warnings of one kind.
#[derive(Debug, Default)]
struct Given {
    /// When, and for which name (its hash: a rare equal one costs a line). The oldest first.
    names: VecDeque<(Time, u64)>,
    /// How many were left out since the last.
    left_out: u64,
}

impl Warnings {
    /// Warns about a name, unless it was done for the same within the last minute.
    pub fn warn(&mut self, now: Time, kind: Warning, name: &str, text: Arguments<'_>) {
        match (self.admit(now, kind, name), Short(text)) {
            (Some(0), text) => warn!("{text}"),
            (Some(more), text) => {
                warn!("{text} ({more} more of this kind since the last, see -D)");
            }
            (None, text) => debug!("{text}"),
        }
    }

    /// Whether a warning may be given now, and then how many were left out before it.
    fn admit(&mut self, now: Time, kind: Warning, name: &str) -> Option<u64> {
        let name = self.hasher.hash_one(name);
        let given = &mut self.kinds[kind as usize];
        let is_over = |&(then, _): &(Time, u64)| now.0.saturating_sub(then.0) >= PERIOD;
        while given.names.front().is_some_and(is_over) {
            given.names.pop_front();
        }
        if given.names.len() >= MAX_NAMES || given.names.iter().any(|(_, there)| *there == name) {
            given.left_out += 1;
            return None;
        }
        given.names.push_back((now, name));
        Some(std::mem::take(&mut given.left_out))
    }

    /// Checks that the table is bounded, in order, and has each name once.
    ///
    /// # Errors
    /// What is not so.
    pub fn audit(&self) -> Result<(), String> {
        for given in &self.kinds {
            let names = given.names.iter();
            let is_ordered = names.clone().is_sorted_by_key(|(then, _)| *then);
            let mut hashes: Vec<u64> = names.map(|(_, name)| *name).collect();
            hashes.sort_unstable();
            hashes.dedup();
            if !is_ordered || hashes.len() != given.names.len() || hashes.len() > MAX_NAMES {
                return Err(format!("warnings of one kind: {:?}", given.names));
            }
        }
        Ok(())
    }
}

/// A text that is cut where it is long: a service's words may be of any length.
struct Short<'a>(Arguments<'a>);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (out, room) = (f, MAX_TEXT);
        let mut cut = Cut { out, room };
        match fmt::write(&mut cut, self.0) {
            Err(_) if cut.room == 0 => cut.out.write_str(".."),
            result => result,
        }
    }
}

/// Takes as much as there is room for, and then refuses.
struct Cut<'a, W> {
    out: &'a mut W,
    room: usize,
}

impl<W: fmt::Write> fmt::Write for Cut<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.room {
            self.room -= text.len();
            return self.out.write_str(text);
        }
        let mut end = self.room;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.room = 0;
        self.out.write_str(&text[..end])?;
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut() {
        let text = |text: &str| Short(format_args!("{text}{}", "!")).to_string();
        assert_eq!(text("a"), "a!");
        let fits = "a".repeat(MAX_TEXT - 1);
        assert_eq!(text(&fits), format!("{fits}!"));
        let long = "a".repeat(MAX_TEXT);
        assert_eq!(text(&long), format!("{long}.."));
        let wide = "\u{fc}".repeat(MAX_TEXT);
        assert_eq!(text(&wide).len(), MAX_TEXT / 2 * 2 + 2);
    }

    #[test]
    fn one_warning_per_name_kind_and_minute() {
        let mut warnings = Warnings::default();
        let start = Time(5);
        assert_eq!(warnings.admit(start, Warning::Event, "a"), Some(0));
        assert_eq!(warnings.admit(start, Warning::Event, "b"), Some(0));
        assert_eq!(warnings.admit(start, Warning::Reset, "a"), Some(0));
        for _ in 0..3 {
            assert_eq!(warnings.admit(start, Warning::Event, "a"), None);
        }
        let before = Time(start.0 + PERIOD - 1);
        assert_eq!(warnings.admit(before, Warning::Event, "b"), None);
        let later = Time(start.0 + PERIOD);
        assert_eq!(warnings.admit(later, Warning::Event, "a"), Some(4));
        assert_eq!(warnings.admit(later, Warning::Event, "b"), Some(0));
        assert_eq!(warnings.admit(later, Warning::Reset, "b"), Some(0));
        warnings.audit().unwrap();
    }

    #[test]
    fn many_names_are_counted_and_hide_no_other_kind() {
        let mut warnings = Warnings::default();
        let names: Vec<String> = (0..1_000).map(|n| format!("name.{n}")).collect();
        let given = names
            .iter()
            .filter(|name| warnings.admit(Time(0), Warning::Query, name).is_some());
        assert_eq!(given.count(), MAX_NAMES);
        assert_eq!(warnings.admit(Time(0), Warning::Limit, "a"), Some(0));
        let left_out = (names.len() - MAX_NAMES) as u64;
        assert_eq!(
            warnings.admit(Time(PERIOD), Warning::Query, "a"),
            Some(left_out)
        );
        warnings.audit().unwrap();
    }
}
