//! WebSocket clients that have been connected for long are closed, so that they are divided
//! anew among the processes and hosts that there are by now (`maxAge`).
//!
//! A hand goes round the table of connections, fifty times in that time, and counts the rounds
//! that each client has seen. They begin at random between none and a fifth, and the hand
//! moves evenly, so that clients who came in one moment do not go in one.

use super::connection::ConnectionKey;
use super::hand::Hand;
use super::jitter::Jitter;
use super::{Reactor, table::Table};
use crate::gateway::{ClientKey, Time};

/// Rounds of the hand in `maxAge`.
const ROUNDS: u8 = 50;

/// Shortest time, in milliseconds.
pub(crate) const MAX_AGE_MIN: u64 = 1_000;

/// Rounds, those with which it begins included, after which a client is closed: between nine
/// and eleven tenths of the time, since the first round may be a part of one.
const OVER: u8 = ROUNDS + ROUNDS / 10;

/// Rounds with which a client begins: one at least, as the first comes a round late while the
/// table is empty, and so many more at most.
const HEAD_START: u64 = 2 * (ROUNDS as u64 / 10) - 2;

/// Rounds after which it is closed though it waits for answers.
const LATEST: u8 = OVER + ROUNDS / 10;

/// How old a client is, in rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Age(u8);

/// What is to be done about a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// It is closed, unless it waits for answers.
    Due,
    /// It is closed.
    Over,
}

impl Age {
    /// Another round is over.
    fn grow(&mut self) -> Verdict {
        self.0 = self.0.saturating_add(1);
        match self.0 {
            ..OVER => Verdict::Fine,
            OVER..LATEST => Verdict::Due,
            LATEST.. => Verdict::Over,
        }
    }
}

/// The hand, and with how many rounds clients begin.
#[derive(Debug)]
pub(super) struct Rotation {
    pub(super) hand: Hand,
    jitter: Jitter,
}

impl Rotation {
    /// For clients that are closed when they are so many milliseconds old; 0 is never.
    pub(super) fn new(max_age: u64, seed: u64) -> Self {
        Self {
            hand: Hand::new(match max_age {
                0 => 0,
                _ => max_age.max(MAX_AGE_MIN) / u64::from(ROUNDS),
            }),
            jitter: Jitter::new(seed),
        }
    }

    /// The age of a client that begins.
    pub(super) fn begin(&mut self) -> Age {
        Age(1 + self.jitter.up_to(HEAD_START) as u8)
    }
}

/// What is to be done about the connection at a place of the table.
fn look(table: &mut Table, place: usize) -> Option<(ConnectionKey, Verdict)> {
    let (key, connection) = table.of_client(ClientKey(place as u32))?;
    connection.framing()?;
    Some((key, connection.age.grow()))
}

impl Reactor {
    /// Closes the clients that have been connected for long. While NATS is away nobody grows
    /// older: whoever was closed then could not come back.
    pub(super) fn close_old_clients(&mut self, now: Time) {
        let is_away = self.site.is_unavailable();
        while !self.is_share_over() {
            let (hand, table) = self.clients.rotation();
            let Some(place) = hand.take(now, table.places()) else {
                return;
            };
            let found = look(table, place).filter(|_| !is_away);
            self.turn.step(0, || self.clock.micros());
            let Some((key, verdict)) = found else {
                continue;
            };
            let is_over = match verdict {
                Verdict::Fine => false,
                Verdict::Due => !self.gateway.has_requests(key.client()),
                Verdict::Over => true,
            };
            if is_over {
                self.metrics.old_clients += 1;
                let reason = "connected for long";
                self.clients.say_goodbye(key, Some(1001), reason, now);
                self.carry_out();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::hand::walk;

    /// Whenever a client comes, it is closed after the time, give or take a tenth.
    #[test]
    fn clients_are_closed_at_their_age_and_spread() {
        const AGE: u64 = 100_000;
        let mut rotation = Rotation::new(AGE, 7);
        let times = walk(&mut rotation.hand, 3 * AGE, |_| 1_000);
        let mut ends = Vec::new();
        for (place, times) in times.iter().enumerate() {
            // Some come at once, others later.
            let came = if place % 2 == 0 { 0 } else { place as u64 * 50 };
            let mut age = rotation.begin();
            let later = times.iter().filter(|&&time| time > came);
            let mut verdicts = later.map(|&time| (time - came, age.grow()));
            let due = verdicts.find(|(_, verdict)| *verdict != Verdict::Fine);
            let (due, verdict) = due.expect("it is closed");
            assert_eq!(verdict, Verdict::Due);
            // The hand is a step late now and then.
            let range = AGE * 9 / 10 - AGE / 500..=AGE * 11 / 10 + AGE / 500;
            assert!(range.contains(&due), "{due}");
            let over = verdicts.find(|(_, verdict)| *verdict == Verdict::Over);
            let (over, _) = over.expect("it does not wait for ever");
            assert!((AGE..=AGE * 12 / 10 + AGE / 50).contains(&over), "{over}");
            ends.extend((place % 2 == 0).then_some(due));
        }
        // Of the 500 that came in one moment no hundredth of the time has many.
        for from in (AGE * 9 / 10..AGE * 11 / 10).step_by(1_000) {
            let count = (ends.iter()).filter(|end| (from..from + 1_000).contains(end));
            assert!(count.count() <= 75, "{from}");
        }
    }

    #[test]
    fn no_age_is_no_hand() {
        let mut rotation = Rotation::new(0, 7);
        rotation.hand.wake(Time(5));
        assert_eq!(rotation.hand.next(), None);
        rotation = Rotation::new(1, 7);
        assert_eq!(rotation.hand.round(), MAX_AGE_MIN / u64::from(ROUNDS));
    }
}
