//! WebSocket clients that say nothing are asked by a ping whether they are there.
//!
//! A deadline for each client would be moved by each of its messages. Instead a hand goes
//! round the table of connections, eight times in an interval, and counts for each client
//! the rounds in which nothing was heard of it; whatever it sends sets the count back. That
//! is a byte of each connection, and a store for each read.

use super::connection::ConnectionKey;
use super::{Reactor, table::Table};
use crate::gateway::{ClientKey, Time};

/// Rounds of the hand in one interval.
const ROUNDS: u64 = 8;

/// Shortest interval, in milliseconds.
const INTERVAL_MIN: u64 = 100;

/// Rounds of silence after which a client is asked. The first may be a part of one, and while
/// the table grows the last may come one later: the interval is not exceeded then either.
const ASKED: u8 = ROUNDS as u8 - 1;

/// Rounds of silence after which it counts as gone.
const GONE: u8 = 2 * ROUNDS as u8 - 1;

/// Milliseconds between two movements of the hand, at least.
const STEP: u64 = 4;

/// Places that it moves by at once, unless the table is large.
const PLACES: u64 = 16;

/// Milliseconds that a movement may be late and be made up for. What is later does not count:
/// it was us who slept.
const LATE: u64 = 50;

/// For how long nothing was heard of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    rounds: u8,
    is_asked: bool,
}

/// What is to be done about a silent client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    Ask,
    Gone,
}

impl Silence {
    /// Another round is over. Whoever `is_blocked` takes no output, and no ping either.
    fn grow(&mut self, is_blocked: bool) -> Verdict {
        self.rounds = self.rounds.saturating_add(1);
        let may_answer = !self.is_asked && !is_blocked;
        if self.rounds < ASKED {
            Verdict::Fine
        } else if may_answer {
            // It has the whole time to answer, also if it could not be asked before.
            (self.rounds, self.is_asked) = (ASKED, true);
            Verdict::Ask
        } else if self.rounds >= GONE {
            Verdict::Gone
        } else {
            Verdict::Fine
        }
    }
}

/// The hand.
#[derive(Debug, Default)]
pub(super) struct Pulse {
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

impl Pulse {
    /// For this interval between pings, in milliseconds; 0 is no pings.
    pub(super) fn new(interval: u64) -> Self {
        Self {
            round: match interval {
                0 => 0,
                _ => interval.max(INTERVAL_MIN) / ROUNDS,
            },
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
    fn take(&mut self, now: Time, places: usize) -> Option<usize> {
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
    fn round(&self) -> u64 {
        self.round
    }
}

/// What is to be done about the connection at a place of the table.
fn look(
    table: &mut Table,
    place: usize,
    round: u64,
    now: Time,
) -> Option<(ConnectionKey, Verdict)> {
    let (key, connection) = table.of_client(ClientKey(place as u32))?;
    connection.framing()?.ping()?;
    let progress = connection.output.as_ref().map(|output| output.progress());
    // What it has sent waits for us; or it takes what it is sent.
    let is_alive =
        connection.has_input() || progress.is_some_and(|time| now.0.saturating_sub(time.0) < round);
    if is_alive {
        connection.silence = Silence::default();
        return None;
    }
    let is_blocked = progress.is_some() && !connection.writable;
    Some((key, connection.silence.grow(is_blocked)))
}

impl Reactor {
    /// Asks the clients that have been silent for long, and closes those that do not answer.
    pub(super) fn ask_silent_clients(&mut self, now: Time) {
        while !self.is_share_over() {
            let (pulse, table) = self.clients.pulse();
            let Some(place) = pulse.take(now, table.places()) else {
                return;
            };
            match look(table, place, pulse.round(), now) {
                None | Some((_, Verdict::Fine)) => {}
                Some((key, Verdict::Ask)) => {
                    self.clients.ask(key, now);
                }
                Some((key, Verdict::Gone)) => self.give_up_silent(key, now),
            }
            self.turn.step(0, || self.clock.micros());
        }
    }

    /// A client does not answer.
    fn give_up_silent(&mut self, key: ConnectionKey, now: Time) {
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        let reason = "no answer to a ping";
        log::debug!("client {} closed: {reason}", connection.remote);
        self.metrics.silent_clients += 1;
        match connection.output.is_some() {
            true => self.clients.kill(key),
            false => self.clients.say_goodbye(key, Some(1008), reason, now),
        }
        self.carry_out();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times at which each of `places` is looked at, up to `end`.
    fn walk(pulse: &mut Pulse, end: u64, places: impl Fn(u64) -> usize) -> Vec<Vec<u64>> {
        let mut times: Vec<Vec<u64>> = Vec::new();
        pulse.wake(Time(0));
        while let Some(Time(now)) = pulse.next()
            && now <= end
        {
            while let Some(place) = pulse.take(Time(now), places(now)) {
                times.resize_with(times.len().max(place + 1), Vec::new);
                times[place].push(now);
            }
        }
        times
    }

    #[test]
    fn each_place_is_looked_at_once_in_a_round() {
        for (interval, places) in [(25_000, 1), (25_000, 40), (800, 3), (25_000, 50_000)] {
            let round = interval / ROUNDS;
            let times = walk(&mut Pulse::new(interval), 10 * round, |_| places);
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
        let mut pulse = Pulse::new(25_000);
        pulse.wake(Time(0));
        let mut now = 0;
        for _ in 0..100 {
            now = pulse.next().expect("it moves").0.max(now);
            let mut count = 0;
            while pulse.take(Time(now), 100_000).is_some() {
                count += 1;
            }
            assert!(count <= 200, "{count} at once");
        }
    }

    #[test]
    fn time_that_we_slept_does_not_count() {
        let mut pulse = Pulse::new(8_000);
        pulse.wake(Time(0));
        let mut count = 0;
        while pulse.take(Time(1_000_000), 10).is_some() {
            count += 1;
        }
        assert!(count <= 10);
        assert!(pulse.next() > Some(Time(1_000_000)));
    }

    #[test]
    fn no_interval_is_no_hand() {
        let mut pulse = Pulse::new(0);
        pulse.wake(Time(5));
        assert_eq!((pulse.next(), pulse.take(Time(99), 7)), (None, None));
    }

    /// Whenever a client spoke last, and also while the table grows, it is asked within an
    /// interval and gone within two.
    #[test]
    fn silence_is_found_within_two_intervals() {
        const INTERVAL: u64 = 8_000;
        type Growth = fn(u64) -> usize;
        let growths: [Growth; 2] = [|_| 100, |now| 100 + now as usize / 3];
        for growth in growths {
            let times = walk(&mut Pulse::new(INTERVAL), 4 * INTERVAL, growth);
            for times in &times[..100] {
                for heard in (0..INTERVAL).step_by(97) {
                    let mut silence = Silence::default();
                    let mut verdicts = Vec::new();
                    for &time in times.iter().filter(|&&time| time > heard) {
                        match silence.grow(false) {
                            Verdict::Fine => {}
                            verdict => verdicts.push((verdict, time - heard)),
                        }
                    }
                    let [(Verdict::Ask, asked), (Verdict::Gone, gone), ..] = verdicts[..] else {
                        panic!("{verdicts:?}");
                    };
                    assert!((INTERVAL / 2..=INTERVAL).contains(&asked), "{asked}");
                    assert!((INTERVAL..=2 * INTERVAL).contains(&gone), "{gone}");
                }
            }
        }
    }

    #[test]
    fn who_takes_no_output_is_not_asked_and_has_as_long_once_it_does() {
        let mut silence = Silence::default();
        for _ in 1..GONE {
            assert_eq!(silence.grow(true), Verdict::Fine);
        }
        let mut late = silence;
        assert_eq!(silence.grow(true), Verdict::Gone);
        assert_eq!(late.grow(false), Verdict::Ask);
        for _ in ASKED + 1..GONE {
            assert_eq!(late.grow(false), Verdict::Fine);
        }
        assert_eq!(late.grow(false), Verdict::Gone);
    }
}
