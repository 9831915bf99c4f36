//! The clock: one reading per turn for everything that happens in the turn.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::gateway::Time;

/// Monotonic milliseconds since the reactor was made.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    now: Time,
}

impl Clock {
    /// A clock that stands at zero.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            now: Time(0),
        }
    }

    /// Reads the system's clock. Called once after each poll, and where a turn has a
    /// budget in milliseconds.
    pub(crate) fn tick(&mut self) -> Time {
        // 2^64 milliseconds outlive the machine, the cast is lossless.
        self.now = Time(self.start.elapsed().as_millis() as u64);
        self.now
    }

    /// The time of the last [`Self::tick`].
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Microseconds since the reactor was made, read now.
    pub(super) fn micros(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// How long a poll may sleep until `due`. It is never shorter than the distance to
    /// `due`, or the poll would return early and spin through the last millisecond.
    pub(crate) fn until(&self, due: Time) -> Duration {
        (Duration::from_millis(due.0)).saturating_sub(self.start.elapsed())
    }
}

/// Seconds since 1970, for the `Date` of answers. Zero when the clock stands before.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_between_ticks_and_never_goes_back() {
        let mut clock = Clock::new();
        assert_eq!(clock.now(), Time(0));
        let first = clock.tick();
        assert_eq!(clock.now(), first);
        assert!(clock.tick() >= first);
    }

    #[test]
    fn what_is_due_needs_no_sleep() {
        let clock = Clock::new();
        assert_eq!(clock.until(Time(0)), Duration::ZERO);
        let sleep = clock.until(Time(60_000));
        assert!(sleep > Duration::from_secs(50) && sleep <= Duration::from_secs(60));
    }
}
