//! A hand that goes round the table of connections, for what must be looked at now and then
//! and is not worth a timer for each connection.
//!
//! It moves in small steps, so that no turn has much of it, and whatever it leads to is spread
//! over its round.

use crate::gateway::Time;

/// Milliseconds between two movements of the hand, at least.
const STEP: u64 = 4;

/// Places that it moves by at once, unless the table is large.
const PLACES: u64 = 16;

/// Milliseconds that a movement may be late and be made up for. What is later does not count:
/// it was us who slept.
const LATE: u64 = 50;

/// The hand.
#[derive(Debug, Default)]
pub(super) struct Hand {
    /// Milliseconds of a round; 0 is no hand at all.
    round: u64,
    /// The place that is looked at next.
    place: usize,
    /// Places of the movement that is being made.
    left: u64,
    /// Milliseconds of the round that are over. The hand stands where it should by then, also
    /// if the table grows meanwhile, so that rounds last equally long.
    at: u64,
    /// When the hand moves next.
    due: Time,
}

impl Hand {
    /// A hand that takes so many milliseconds for a round; 0 is no hand at all.
    pub(super) fn new(round: u64) -> Self {
        Self {
            round,
            ..Self::default()
        }
    }

    /// When the hand moves next over a table that has connections.
    pub(super) fn next(&self) -> Option<Time> {
        (self.round > 0).then_some(self.due)
    }

    /// The table has its first connection.
    pub(super) fn wake(&mut self, now: Time) {
        (self.place, self.left, self.at) = (0, 0, 0);
        self.due = Time(now.0 + self.step(1));
    }

    /// Milliseconds between two movements over so many places.
    fn step(&self, places: usize) -> u64 {
        self.round.div_ceil(1 + places as u64 / PLACES).max(STEP)
    }

    /// The next place to look at, of so many, if there is one by now.
    pub(super) fn take(&mut self, now: Time, places: usize) -> Option<usize> {
        if self.round == 0 || places == 0 {
            return None;
        }
        while self.left == 0 {
            if self.due > now {
                return None;
            }
            if self.at >= self.round {
                (self.place, self.at) = (0, 0);
            }
            let step = self.step(places).min(self.round - self.at);
            self.at += step;
            let target = places as u64 * self.at / self.round;
            self.left = target.saturating_sub(self.place as u64);
            self.due = match now.0 - self.due.0 > LATE {
                true => Time(now.0 + step),
                false => Time(self.due.0 + step),
            };
        }
        self.left -= 1;
        self.place += 1;
        Some(self.place - 1)
    }

    /// Milliseconds of a round.
    pub(super) fn round(&self) -> u64 {
        self.round
    }
}

/// The times at which each of `places` is looked at, up to `end`.
#[cfg(test)]
pub(super) fn walk(hand: &mut Hand, end: u64, places: impl Fn(u64) -> usize) -> Vec<Vec<u64>> {
    let mut times: Vec<Vec<u64>> = Vec::new();
    hand.wake(Time(0));
    while let Some(Time(now)) = hand.next()
        && now <= end
    {
        while let Some(place) = hand.take(Time(now), places(now)) {
            times.resize_with(times.len().max(place + 1), Vec::new);
            times[place].push(now);
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_looked_at_once_in_a_round() {
        for (round, places) in [(3_125, 1), (3_125, 40), (100, 3), (3_125, 50_000)] {
            let times = walk(&mut Hand::new(round), 10 * round, |_| places);
            assert_eq!(times.len(), places);
            for times in times {
                let count = times.len() as u64;
                assert!((9..=11).contains(&count), "{count} times in 10 rounds");
                for pair in times.windows(2) {
                    let gap = pair[1] - pair[0];
                    let most = round / 4 + 2 * STEP;
                    assert!(gap.abs_diff(round) <= most, "{gap} instead of {round}");
                }
            }
        }
    }

    #[test]
    fn a_large_table_is_gone_through_in_small_steps() {
        let mut hand = Hand::new(3_125);
        hand.wake(Time(0));
        let mut now = 0;
        for _ in 0..100 {
            now = hand.next().expect("it moves").0.max(now);
            let mut count = 0;
            while hand.take(Time(now), 100_000).is_some() {
                count += 1;
            }
            assert!(count <= 200, "{count} at once");
        }
    }

    #[test]
    fn time_that_we_slept_does_not_count() {
        let mut hand = Hand::new(1_000);
        hand.wake(Time(0));
        let mut count = 0;
        while hand.take(Time(1_000_000), 10).is_some() {
            count += 1;
        }
        assert!(count <= 10);
        assert!(hand.next() > Some(Time(1_000_000)));
    }

    #[test]
    fn no_round_is_no_hand() {
        let mut hand = Hand::new(0);
        hand.wake(Time(5));
        assert_eq!((hand.next(), hand.take(Time(99), 7)), (None, None));
    }
}
