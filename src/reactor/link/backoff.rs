//! How long a link waits before it tries again. No clock.

use crate::reactor::jitter::Jitter;

/// Milliseconds of the first pause, and of the longest one; both are cut by up to a half at
/// random, so that the gateways of a site do not all come at once.
pub(crate) const PAUSE_MIN: u64 = 50;
pub(crate) const PAUSE_MAX: u64 = 5_000;

/// Milliseconds that a connection must have lasted for its loss to be a new matter.
pub(crate) const LASTING: u64 = 5_000;

/// The pauses between the rounds through all servers, each twice as long as the one before.
#[derive(Debug)]
pub(super) struct Backoff {
    rounds: u32,
    /// Connections in a row that soon ended.
    short: u32,
    jitter: Jitter,
}

impl Backoff {
    /// Randomness comes from a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rounds: 0,
            short: 0,
            jitter: Jitter::new(seed),
        }
    }

    /// The pause after a round in which no server was found.
    pub(super) fn next(&mut self) -> u64 {
        let most = PAUSE_MAX.min(PAUSE_MIN << self.rounds.min(16));
        self.rounds += 1;
        most - self.jitter.up_to(most / 2)
    }

    /// The pause after the loss of a connection that lasted so many milliseconds: how long it
    /// took to be made does not count. Those that soon end, one after the other, are not tried
    /// again at once for ever.
    pub(super) fn after_loss(&mut self, lasted: u64) -> u64 {
        self.short = match lasted >= LASTING {
            true => 0,
            false => self.short.saturating_add(1),
        };
        self.rounds = self.short.saturating_sub(1);
        match self.short {
            0 => {
                self.rounds = 1;
                self.jitter.up_to(PAUSE_MIN)
            }
            _ => self.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let mut firsts = Vec::new();
        for seed in 0..100 {
            let mut backoff = Backoff::new(seed);
            for round in 0..100_u32 {
                let most = [50, 100, 200, 400, 800, 1_600, 3_200, 5_000][round.min(7) as usize];
                let pause = backoff.next();
                assert!(
                    (most / 2..=most).contains(&pause),
                    "{seed} {round}: {pause}"
                );
                firsts.extend((round == 7).then_some(pause));
            }
        }
        firsts.sort_unstable();
        assert!(firsts[0] < 2_700 && firsts[99] > 4_800, "{firsts:?}");
        firsts.dedup();
        assert!(firsts.len() > 80);
    }

    #[test]
    fn a_loss_is_followed_at_once_unless_it_follows_a_loss() {
        let mut backoff = Backoff::new(7);
        assert!(backoff.after_loss(60_000) <= 50);
        let pauses: Vec<u64> = (0..8).map(|_| backoff.after_loss(10)).collect();
        assert!(pauses[0] <= 50 && pauses[7] >= 2_500, "{pauses:?}");
        assert!(backoff.after_loss(LASTING) <= 50);
        assert!(backoff.next() <= 100);
    }

    #[test]
    fn what_was_waited_for_before_a_connection_is_not_waited_for_after_it() {
        let mut backoff = Backoff::new(7);
        assert!(backoff.after_loss(60_000) <= 50);
        for _ in 0..20 {
            backoff.next();
        }
        // The server was away for long, came back, and goes once more.
        assert!(backoff.after_loss(2_000) <= 50);
        assert!(backoff.next() <= 100);
    }
}
