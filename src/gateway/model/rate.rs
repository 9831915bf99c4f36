//! How many requests a client may send.

use crate::gateway::model::time::Time;

/// Milliseconds of a second.
const SECOND: u64 = 1_000;

/// Requests in a second; 0 is no limit. As many may come at once after a second without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate(pub u32);

/// How far a client has used its rate up: when the requests that it was let send would be
/// over if they had come evenly. The unit is a millisecond divided by the rate, so that
/// nothing is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used(u64);

impl Rate {
    /// Whether there is a limit.
    pub fn is_limited(self) -> bool {
        self.0 > 0
    }

    /// Counts a request, unless it is one too many.
    ///
    /// # Errors
    /// Seconds after which there is room again.
    pub fn take(self, used: &mut Used, now: Time) -> Result<(), u64> {
        if !self.is_limited() {
            return Ok(());
        }
        let rate = u64::from(self.0);
        let now = now.0.saturating_mul(rate);
        let next = used.0.max(now).saturating_add(SECOND);
        let excess = next.saturating_sub(now.saturating_add(SECOND * rate));
        if excess > 0 {
            return Err(excess.div_ceil(rate).div_ceil(SECOND));
        }
        used.0 = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many requests at once are let through.
    fn burst(rate: Rate, used: &mut Used, now: u64, count: usize) -> usize {
        let taken = (0..count).map(|_| rate.take(used, Time(now)));
        taken.filter(Result::is_ok).count()
    }

    #[test]
    fn a_second_has_so_many_requests() {
        let (rate, mut used) = (Rate(3), Used::default());
        assert_eq!(burst(rate, &mut used, 10_000, 5), 3);
        assert_eq!(rate.take(&mut used, Time(10_000)), Err(1));
        assert_eq!(burst(rate, &mut used, 10_333, 5), 0);
        assert_eq!(burst(rate, &mut used, 10_334, 5), 1);
        assert_eq!(burst(rate, &mut used, 11_000, 5), 2);
        assert_eq!(burst(rate, &mut used, 12_000, 5), 3);
        assert_eq!(burst(rate, &mut used, 1_000_000, 5), 3);
    }

    #[test]
    fn a_rate_holds_over_time_whatever_it_is() {
        for rate in [1, 7, 999, 1_000, 1_001, 60_000] {
            let mut used = Used::default();
            let mut all = 0;
            for now in 0..5_000 {
                all += burst(Rate(rate), &mut used, now, 70);
            }
            // What may come at once, and the rate; but 70 in a millisecond at most.
            let most = 70 * 5_000;
            let due = rate as usize + rate as usize * 4_999 / 1_000;
            assert_eq!(all, due.min(most), "{rate}");
        }
    }

    #[test]
    fn no_limit_keeps_nothing() {
        let mut used = Used::default();
        assert_eq!(burst(Rate(0), &mut used, 5, 1_000), 1_000);
        assert_eq!(used, Used::default());
        let mut last = Used(u64::MAX);
        assert_eq!(Rate(u32::MAX).take(&mut last, Time(u64::MAX)), Ok(()));
    }
}
