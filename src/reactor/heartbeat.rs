//! When services hear that this gateway is there, where they are told who is connected.

use super::Reactor;
use crate::gateway::Time;

/// The pace of the heartbeats.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// Milliseconds from one to the next.
    interval: u64,
    due: Time,
}

impl Heartbeat {
    /// One in so many milliseconds; `None` for none.
    pub(super) fn new(interval: u32, now: Time) -> Option<Self> {
        let interval = u64::from(interval);
        (interval > 0).then_some(Self {
            interval,
            due: Time(now.0 + interval),
        })
    }

    /// When the next one is due.
    pub(super) fn next_timeout(&self) -> Time {
        self.due
    }

    /// Whether one is due. What was missed is not made up for.
    fn take_due(&mut self, now: Time) -> bool {
        let is_due = now >= self.due;
        if is_due {
            self.due = Time(now.0 + self.interval);
        }
        is_due
    }
}

impl Reactor {
    /// Has the gateway send a heartbeat that is due.
    pub(super) fn beat(&mut self, now: Time) {
        let is_due = (self.heartbeat.as_mut()).is_some_and(|heartbeat| heartbeat.take_due(now));
        if is_due && self.has_broker() {
            self.gateway.heartbeat(now, &mut self.outbox);
            self.carry_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        assert!(Heartbeat::new(0, Time(0)).is_none());
        let mut heartbeat = Heartbeat::new(100, Time(1_000)).expect("there are to be some");
        assert!(!heartbeat.take_due(Time(1_099)));
        assert!(heartbeat.take_due(Time(1_100)) && !heartbeat.take_due(Time(1_100)));
        assert_eq!(heartbeat.next_timeout(), Time(1_200));
        assert!(heartbeat.take_due(Time(9_000)) && !heartbeat.take_due(Time(9_000)));
        assert_eq!(heartbeat.next_timeout(), Time(9_100));
    }
}
