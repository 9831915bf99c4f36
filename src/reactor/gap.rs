//! After a gap in which nobody looked at the sockets, deadlines wait.
//!
//! The process may be frozen, the machine may sleep, a turn may take long. What a peer
//! did meanwhile lies in its socket, and the clock has leapt: a deadline that judged by it
//! at once would judge the peer by the absence of the gateway. So the loop first polls
//! again and takes what has come; only then may deadlines judge. As more may come for ever,
//! they wait for a bounded number of turns.

use crate::gateway::Time;

/// Milliseconds past the planned end of a poll from which on there was a gap.
const LATE: u64 = 50;

/// Turns that deadlines wait for what came during a gap, at most. With what each takes
/// from NATS that is 64 MiB, as much as a server keeps for a client.
pub(crate) const TURNS: u32 = 256;

/// Whether there was a gap, and what came meanwhile is not all taken.
#[derive(Debug, Default)]
pub(super) struct Gap {
    /// Turns for which deadlines still wait, unless all is taken before.
    turns: u32,
    /// The last poll ended a gap, and may not have told of all that came.
    is_late: bool,
}

impl Gap {
    /// A poll has ended, which was `planned` to end at that time, or when something happens.
    /// An interrupted one has told of nothing.
    pub(super) fn note_poll(&mut self, now: Time, planned: Option<Time>, is_interrupted: bool) {
        let is_behind = planned.is_some_and(|planned| now.0 > planned.0.saturating_add(LATE));
        self.is_late = is_interrupted || is_behind;
        if self.is_late && self.turns == 0 {
            self.turns = TURNS;
        }
    }

    /// Whether the last poll ended a gap.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Whether the loop must go on without sleep.
    pub(super) fn is_open(&self) -> bool {
        self.turns > 0
    }

    /// Whether deadlines may judge in this turn. `is_all_taken` says whether everything that
    /// the poll told of was taken. Asked once in each turn.
    pub(super) fn may_judge(&mut self, is_all_taken: bool) -> bool {
        self.turns = match !self.is_late && is_all_taken {
            true => 0,
            false => self.turns.saturating_sub(1),
        };
        self.turns == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_judge_as_long_as_polls_end_in_time() {
        let mut gap = Gap::default();
        for (now, planned) in [(0, Some(0)), (LATE, Some(0)), (9, Some(10)), (7, None)] {
            gap.note_poll(Time(now), planned.map(Time), false);
            assert!(!gap.is_open() && !gap.is_late());
            // Without a gap it is no matter what waits.
            assert!(gap.may_judge(false) && gap.may_judge(true));
        }
    }

    #[test]
    fn after_a_gap_deadlines_wait_for_a_second_poll_and_for_what_it_tells_of() {
        for (planned, is_interrupted) in [(Some(Time(0)), false), (None, true)] {
            let mut gap = Gap::default();
            gap.note_poll(Time(LATE + 1), planned, is_interrupted);
            assert!(gap.is_late() && gap.is_open());
            assert!(!gap.may_judge(true));
            assert!(gap.is_open());
            for _ in 0..100 {
                gap.note_poll(Time(LATE + 1), Some(Time(LATE + 1)), false);
                assert!(!gap.is_late() && gap.is_open());
                assert!(!gap.may_judge(false));
            }
            gap.note_poll(Time(LATE + 1), Some(Time(LATE + 1)), false);
            assert!(gap.may_judge(true));
            assert!(!gap.is_open());
        }
    }

    #[test]
    fn deadlines_do_not_wait_for_ever() {
        let mut gap = Gap::default();
        let mut judged = 0;
        for now in 0..10 * u64::from(TURNS) {
            // Each turn takes too long, and more comes than is taken.
            gap.note_poll(Time((now + 1) * 1_000), Some(Time(now)), false);
            judged += u32::from(gap.may_judge(false));
        }
        assert_eq!(judged, 10);
    }
}
