//! What NATS has sent and nobody has looked at yet: when too much of it waits, the names
//! with most of it lose theirs.

use std::cmp::Reverse;

use hashbrown::{HashMap, HashSet};

use crate::gateway::Time;
use crate::nats::{Op, Parser};

/// Bytes that wait, of which some are dropped when as many wait for [`PATIENCE`]; and those
/// of which some are dropped at once, and beyond which nothing more is read, whatever the
/// server makes of that.
pub(crate) const BACKLOG_HIGH: usize = 8 << 20;
pub(crate) const BACKLOG_MAX: usize = 6 * BACKLOG_HIGH;

/// Milliseconds for a burst to be worked off.
pub(crate) const PATIENCE: u64 = 1_000;

/// Since when too much waits.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    since: Option<Time>,
    /// Whether some was dropped since then because no more could be kept.
    was_full: bool,
}

impl Backlog {
    /// Whether some of what waits must be dropped now. If it is, time begins anew.
    pub(super) fn is_too_long(&mut self, waiting: usize, now: Time) -> bool {
        if waiting < BACKLOG_HIGH {
            *self = Self::default();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_over = now.0.saturating_sub(since.0) >= PATIENCE;
        // Where nothing could be dropped it is not tried at each turn.
        let is_full = waiting >= BACKLOG_MAX && !std::mem::replace(&mut self.was_full, true);
        if is_over || is_full {
            self.since = Some(now);
        }
        is_over || is_full
    }
}

/// Operations that are counted in one go, and subscriptions that lose theirs at once: what is
/// dropped is of many names, perhaps, and of a million messages.
const COUNTED: usize = 4_096;
const TOLD: usize = 256;

/// Messages that are passed over in one go.
pub(super) const PASSED: usize = 256;

/// Drops what waits, in small steps. First it is counted whose messages wait, then those of
/// the subscriptions that have most are chosen until half would be left, and these are passed
/// over when their turn comes. Places are those in the stream of all that was ever received.
#[derive(Debug, Default)]
pub(super) struct Shedding {
    count: Option<Count>,
    /// Subscriptions that are to lose what comes before `until`; the next one is the last.
    chosen: Vec<u64>,
    /// Those that lose it, of which the gateway has heard.
    victims: HashSet<u64, foldhash::fast::RandomState>,
    until: u64,
}

/// A count of what waits.
#[derive(Debug)]
struct Count {
    at: u64,
    start: u64,
    end: u64,
    /// Bytes by subscription.
    waiting: HashMap<u64, usize, foldhash::fast::RandomState>,
}

/// Subscriptions that lose from now on what waits for them, and how many will lose it in all,
/// if these are the first ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) sids: Vec<u64>,
    pub(super) all: Option<usize>,
}

impl Shedding {
    /// Begins to look for what can be dropped between two places, if it is not at that.
    pub(super) fn begin(&mut self, start: u64, end: u64) {
        if self.count.is_none() && self.until <= start {
            self.chosen.clear();
            self.victims.clear();
            let waiting = HashMap::default();
            let at = start;
            self.count = Some(Count {
                at,
                start,
                end,
                waiting,
            });
        }
    }

    /// Goes on: `input` is what waits now, from the place `start` on. `may_drop` says whose
    /// messages may be dropped.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        start: u64,
        may_drop: impl Fn(u64) -> bool,
    ) -> Dropped {
        let mut all = None;
        if let Some(count) = &mut self.count {
            if !count.go_on(input, start, may_drop) {
                return Dropped::default();
            }
            // It may have been worked off meanwhile.
            if input.len() >= BACKLOG_HIGH {
                (self.chosen, self.until) = (count.choose(), count.end);
                all = Some(self.chosen.len()).filter(|chosen| *chosen > 0);
            }
            self.count = None;
        }
        if self.chosen.is_empty() {
            return Dropped {
                sids: Vec::new(),
                all,
            };
        }
        if start >= self.until {
            self.chosen.clear();
        }
        let sids = self
            .chosen
            .split_off(self.chosen.len().saturating_sub(TOLD));
        self.victims.extend(&sids);
        Dropped { sids, all }
    }

    /// Whether anything is dropped now.
    pub(super) fn is_on(&self) -> bool {
        !self.victims.is_empty()
    }

    /// Whether the message at a place, which is that of a subscription, is dropped.
    pub(super) fn drops(&mut self, sid: u64, place: u64) -> bool {
        if place >= self.until {
            self.victims.clear();
        }
        self.victims.contains(&sid)
    }
}

impl Count {
    /// Counts some more. Returns whether all is counted.
    fn go_on(&mut self, input: &[u8], start: u64, may_drop: impl Fn(u64) -> bool) -> bool {
        // What was taken meanwhile does not wait any more, counted or not.
        self.at = self.at.max(start);
        for _ in 0..COUNTED {
            let rest = usize::try_from(self.at - start).ok();
            let rest = rest.and_then(|at| input.get(at..)).unwrap_or_default();
            let Some((len, sid)) = next(rest).filter(|_| self.at < self.end) else {
                return true;
            };
            self.at += len as u64;
            if let Some(sid) = sid.filter(|sid| may_drop(*sid)) {
                *self.waiting.entry(sid).or_default() += len;
            }
        }
        false
    }

    /// The subscriptions that have most, the first one last.
    fn choose(&mut self) -> Vec<u64> {
        let mut most: Vec<(u64, usize)> = self.waiting.drain().collect();
        most.sort_unstable_by_key(|(sid, bytes)| (Reverse(*bytes), *sid));
        let mut rest = (self.end - self.start) as usize;
        let half = rest / 2;
        let victims = most.into_iter().take_while(|(_, bytes)| {
            let is_needed = rest > half;
            rest -= bytes;
            is_needed
        });
        let mut victims: Vec<u64> = victims.map(|(sid, _)| sid).collect();
        victims.reverse();
        victims
    }
}

/// The length of the operation at the front, and the subscription whose message it is.
/// What is no operation is left for whoever will report it.
fn next(input: &[u8]) -> Option<(usize, Option<u64>)> {
    let (len, op) = Parser::default().next(input).ok()??;
    match op {
        Op::Message(message) => Some((len, Some(message.sid))),
        _ => Some((len, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sid: u64, text: &str) -> String {
        format!("MSG a.{sid} {sid} {}\r\n{text}\r\n", text.len())
    }

    /// What is left of what waits when it is taken, and who has lost messages. Behind it
    /// comes a long message, so that it is long enough.
    fn shed(input: &str, may_drop: impl Fn(u64) -> bool + Copy) -> (String, Vec<u64>) {
        let mut waiting = input.as_bytes().to_vec();
        let end = waiting.len() as u64;
        waiting.extend_from_slice(message(1, &" ".repeat(BACKLOG_HIGH)).as_bytes());
        let mut shedding = Shedding::default();
        shedding.begin(0, end);
        let (mut sids, mut steps) = (Vec::new(), 0);
        loop {
            let dropped = shedding.step(&waiting, 0, may_drop);
            steps += 1;
            assert!(dropped.sids.len() <= TOLD);
            sids.extend(dropped.sids);
            if shedding.count.is_none() && shedding.chosen.is_empty() {
                break;
            }
        }
        let operations = input.matches("\r\n").count() / 2;
        assert!(steps >= operations / COUNTED + sids.len() / TOLD, "{steps}");
        let (mut left, mut at) = (String::new(), 0);
        while let Some((len, sid)) = next(&waiting[at..]) {
            if !sid.is_some_and(|sid| shedding.drops(sid, at as u64)) {
                left += std::str::from_utf8(&waiting[at..at + len]).unwrap();
            }
            at += len;
        }
        assert!(!shedding.is_on());
        left.truncate(left.find("MSG a.1 1 ").unwrap_or(left.len()));
        (left, sids)
    }

    #[test]
    fn the_busiest_names_lose_theirs_and_all_else_keeps_its_order() {
        let mut input = String::new();
        for n in 0..100 {
            input += &message(7, &format!("flood {n}"));
            if n % 10 == 0 {
                input += &message(3, &format!("calm {n}"));
                input += &message(2, &format!("answer to {n}, longer than all the flood"));
                input += "PING\r\n";
            }
        }
        let expected: String = (0..100)
            .step_by(10)
            .map(|n| {
                message(3, &format!("calm {n}"))
                    + &message(2, &format!("answer to {n}, longer than all the flood"))
                    + "PING\r\n"
            })
            .collect();
        assert_eq!(shed(&input, |sid| sid != 2), (expected, vec![7]));
    }

    #[test]
    fn many_names_and_messages_are_dropped_in_many_steps() {
        let messages = (0..20_000).map(|n| message(1_000 + n % 2_000, "x"));
        let input: String = messages.collect();
        let (left, sids) = shed(&input, |_| true);
        assert!((999..=1_001).contains(&sids.len()), "{}", sids.len());
        assert!((input.len() / 2).abs_diff(left.len()) < input.len() / 100);
    }

    #[test]
    fn what_comes_or_is_taken_while_it_is_counted_is_left_alone() {
        let long = message(1, &" ".repeat(BACKLOG_HIGH));
        let flood: String = (0..COUNTED + 1).map(|_| message(7, "x")).collect();
        let one = message(7, "x").len();
        let mut shedding = Shedding::default();
        let waiting = [&*flood, &long].concat();
        shedding.begin(0, flood.len() as u64);
        let dropped = shedding.step(waiting.as_bytes(), 0, |_| true);
        assert_eq!(dropped, Dropped::default());
        // All but the last is taken.
        let start = flood.len() - one;
        let dropped = shedding.step(&waiting.as_bytes()[start..], start as u64, |_| true);
        assert_eq!((&*dropped.sids, dropped.all), (&[7][..], Some(1)));
        assert!(shedding.drops(7, start as u64) && !shedding.drops(1, start as u64));
        assert!(!shedding.drops(7, flood.len() as u64) && !shedding.is_on());
        // All is taken, or not much is left.
        for (input, start) in [(&waiting[..], flood.len()), (&flood, 0)] {
            shedding = Shedding::default();
            shedding.begin(0, flood.len() as u64);
            while shedding.count.is_some() {
                let dropped = shedding.step(input.as_bytes(), start as u64, |_| true);
                assert_eq!(dropped, Dropped::default());
            }
        }
    }

    #[test]
    fn a_burst_has_a_while_to_be_worked_off() {
        let mut backlog = Backlog::default();
        assert!(!backlog.is_too_long(BACKLOG_HIGH, Time(0)));
        assert!(!backlog.is_too_long(BACKLOG_HIGH - 1, Time(PATIENCE)));
        assert!(!backlog.is_too_long(BACKLOG_HIGH, Time(PATIENCE)));
        assert!(!backlog.is_too_long(BACKLOG_HIGH, Time(2 * PATIENCE - 1)));
        assert!(backlog.is_too_long(BACKLOG_HIGH, Time(2 * PATIENCE)));
        assert!(!backlog.is_too_long(BACKLOG_HIGH, Time(2 * PATIENCE)));
        assert!(!backlog.is_too_long(0, Time(2 * PATIENCE)));
        assert!(backlog.is_too_long(BACKLOG_MAX, Time(2 * PATIENCE)));
        assert!(!backlog.is_too_long(BACKLOG_MAX, Time(2 * PATIENCE)));
    }

    #[test]
    fn nothing_is_dropped_that_must_not_be() {
        let input: String = (0..50).map(|n| message(2, &n.to_string())).collect();
        assert_eq!(shed(&input, |sid| sid != 2), (input.clone(), vec![]));
        assert_eq!(shed("", |_| true), (String::new(), vec![]));
        let mut shedding = Shedding::default();
        let broken = ["MSG a 7 1\r\nx\r\nnonsense\r\n", &" ".repeat(BACKLOG_HIGH)].concat();
        shedding.begin(0, broken.len() as u64);
        let dropped = shedding.step(broken.as_bytes(), 0, |_| true);
        assert_eq!(dropped.sids, [7]);
    }
}
