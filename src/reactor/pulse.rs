//! WebSocket clients that say nothing are asked by a ping whether they are there.
//!
//! A deadline for each client would be moved by each of its messages. Instead a hand goes
//! round the table of connections, eight times in an interval, and counts for each client
//! the rounds in which nothing was heard of it; whatever it sends sets the count back. That
//! is a byte of each connection, and a store for each read.

use super::connection::ConnectionKey;
use super::hand::Hand;
use super::{Reactor, table::Table};
use crate::gateway::{ClientKey, Time};

/// Rounds of the hand in one interval.
const ROUNDS: u64 = 8;

/// Shortest interval, in milliseconds.
pub(crate) const INTERVAL_MIN: u64 = 100;

/// Rounds of silence after which a client is asked. The first may be a part of one, and while
/// the table grows the last may come one later: the interval is not exceeded then either.
const ASKED: u8 = ROUNDS as u8 - 1;

/// Rounds of silence after which it counts as gone.
const GONE: u8 = 2 * ROUNDS as u8 - 1;

/// Rounds without a message after which the client of a stream is told what it has, the first
/// of which may be a part of one.
const RESTED: u8 = 2;

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
    /// Nothing was sent to it for a while.
    Rests,
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

/// The hand for this interval between pings, in milliseconds; 0 is no pings.
pub(super) fn hand(interval: u64) -> Hand {
    Hand::new(match interval {
        0 => 0,
        _ => interval.max(INTERVAL_MIN) / ROUNDS,
    })
}

/// What is to be done about the connection at a place of the table.
fn look(
    table: &mut Table,
    place: usize,
    round: u64,
    now: Time,
) -> Option<(ConnectionKey, Verdict)> {
    let (key, connection) = table.of_client(ClientKey(place as u32))?;
    let framing = connection.framing()?;
    framing.ping()?;
    if !framing.is_answered() && rests(&mut connection.news) {
        return Some((key, Verdict::Rests));
    }
    let progress = connection.output.as_ref().map(|output| output.progress());
    // What it has sent waits for us; or it takes what it is sent.
    let is_alive =
        connection.has_input() || progress.is_some_and(|time| now.0.saturating_sub(time.0) < round);
    if is_alive {
        connection.silence = Silence::default();
        return None;
    }
    let is_blocked = progress.is_some() && !connection.writable;
    let verdict = connection.silence.grow(is_blocked);
    if verdict == Verdict::Ask && !framing.is_answered() {
        // It shows that it is there by taking this.
        connection.silence = Silence::default();
    }
    Some((key, verdict))
}

/// Another round is over for a stream. Whether it is at rest, which it is once.
fn rests(news: &mut u8) -> bool {
    if *news == 0 {
        return false;
    }
    *news += 1;
    let rests = *news > 1 + RESTED;
    if rests {
        *news = 0;
    }
    rests
}

impl Reactor {
    /// Asks the clients that have been silent for long, and closes those that do not answer.
    pub(super) fn ask_silent_clients(&mut self, now: Time) {
        while !self.is_share_over() {
            let (hand, table) = self.clients.pulse();
            let Some(place) = hand.take(now, table.places()) else {
                return;
            };
            match look(table, place, hand.round(), now) {
                None | Some((_, Verdict::Fine)) => {}
                Some((key, Verdict::Rests)) => {
                    (self.gateway).stream_rests(now, key.client(), &mut self.outbox);
                    self.carry_out();
                }
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
    use crate::reactor::hand::walk;

    /// Whenever a client spoke last, and also while the table grows, it is asked within an
    /// interval and gone within two.
    #[test]
    fn silence_is_found_within_two_intervals() {
        const INTERVAL: u64 = 8_000;
        type Growth = fn(u64) -> usize;
        let growths: [Growth; 2] = [|_| 100, |now| 100 + now as usize / 3];
        for growth in growths {
            let times = walk(&mut hand(INTERVAL), 4 * INTERVAL, growth);
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
