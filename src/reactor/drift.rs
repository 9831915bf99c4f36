//! When the gateway compares a few cached resources with what services have.

use super::Reactor;
use crate::gateway::Time;

/// Milliseconds between two of these times, at least: more resources at a time where there
/// are to be more in a second.
const STEP: u64 = 20;

/// The pace of the comparisons.
#[derive(Debug)]
pub(super) struct Drift {
    per_second: u64,
    /// Milliseconds from one time to the next.
    step: u64,
    /// Thousandths of a resource that were left of the times before.
    left: u64,
    due: Time,
}

impl Drift {
    /// So many resources a second; `None` for none.
    pub(super) fn new(per_second: u32, now: Time) -> Option<Self> {
        let per_second = u64::from(per_second);
        if per_second == 0 {
            return None;
        }
        let step = (1_000 / per_second).max(STEP);
        Some(Self {
            per_second,
            step,
            left: 0,
            due: Time(now.0 + step),
        })
    }

    /// When the next comparison is due.
    pub(super) fn next_timeout(&self) -> Time {
        self.due
    }

    /// How many resources are to be compared now. What was missed is not made up for.
    fn take_due(&mut self, now: Time) -> usize {
        if now < self.due {
            return 0;
        }
        self.due = Time(now.0 + self.step);
        self.left += self.per_second * self.step;
        let count = self.left / 1_000;
        self.left %= 1_000;
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

impl Reactor {
    /// Has the gateway compare what is due.
    pub(super) fn check_drift(&mut self, now: Time) {
        let due = self.drift.as_mut().map_or(0, |drift| drift.take_due(now));
        if due > 0 && self.has_broker() {
            self.gateway.check_drift(now, due, &mut self.outbox);
            self.carry_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_as_many_as_were_asked_for() {
        for per_second in [1, 7, 50, 51, 1_000, 100_000] {
            let mut drift = Drift::new(per_second, Time(5_000)).expect("there are to be some");
            let (mut all, mut now) = (0, Time(5_000));
            while drift.next_timeout() <= Time(15_000) {
                assert_eq!(drift.take_due(now), 0);
                now = drift.next_timeout();
                all += drift.take_due(now);
            }
            let expected = 10 * per_second as usize;
            assert!(
                (expected * 98 / 100..=expected).contains(&all),
                "{all} for {per_second} a second"
            );
        }
        assert!(Drift::new(0, Time(0)).is_none());
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let mut drift = Drift::new(10, Time(0)).expect("there are to be some");
        assert_eq!(drift.take_due(Time(60_000)), 1, "as if it were in time");
        assert_eq!(drift.take_due(Time(60_001)), 0);
    }
}
