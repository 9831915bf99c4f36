//! The place of a worker: who serves there, who follows, who leaves, and when another is
//! started.

use super::worker::Worker;
use crate::gateway::Time;

/// Milliseconds after its start in which an end counts as one at once.
const SOON: u64 = 5_000;

/// Ends at once, in a row, after which it is no use to try again.
pub(super) const ENDS_MAX: u32 = 5;

/// Milliseconds until another is started after the first of them; each further one doubles it.
const PAUSE: u64 = 100;

/// A place.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Who is started again when it ends.
    pub(super) serving: Option<Worker>,
    /// Who is to follow it, and is not ready yet.
    pub(super) next: Option<Worker>,
    /// Those that close their clients.
    pub(super) leaving: Vec<Worker>,
    /// When another is started, if none serves.
    pub(super) due: Option<Time>,
    /// How often another was started, as one had ended.
    pub(super) restarts: u64,
    ends: Ends,
}

impl Slot {
    /// One in which a worker is started then.
    pub(super) fn due_at(due: Time) -> Self {
        Self {
            due: Some(due),
            ..Self::default()
        }
    }

    /// All processes.
    pub(super) fn workers(&self) -> impl Iterator<Item = &Worker> {
        let first = self.serving.iter().chain(&self.next);
        first.chain(&self.leaving)
    }

    /// The same, to be changed.
    pub(super) fn workers_mut(&mut self) -> impl Iterator<Item = &mut Worker> {
        let first = self.serving.iter_mut().chain(&mut self.next);
        first.chain(&mut self.leaving)
    }

    /// Whether clients are served.
    pub(super) fn is_ready(&self) -> bool {
        self.serving.as_ref().is_some_and(|worker| worker.is_ready)
    }

    /// Who served has ended: another is started after a pause. `false` if that is of no use.
    pub(super) fn ended(&mut self, was_ready: bool, age: u64, now: Time) -> bool {
        let pause = self.ends.note(was_ready, age);
        self.due = pause.map(|pause| Time(now.0 + pause));
        self.restarts += u64::from(pause.is_some());
        pause.is_some()
    }
}

/// Ends soon after a start, in a row.
#[derive(Debug, Default)]
struct Ends(u32);

impl Ends {
    /// Milliseconds until the next start; `None` if that is of no use.
    fn note(&mut self, was_ready: bool, age: u64) -> Option<u64> {
        if was_ready && age >= SOON {
            self.0 = 0;
            return Some(0);
        }
        self.0 += 1;
        (self.0 < ENDS_MAX).then(|| PAUSE << (self.0 - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_is_given_up() {
        let mut ends = Ends::default();
        let pauses = [0; 5].map(|_| ends.note(false, 10));
        assert_eq!(pauses, [Some(100), Some(200), Some(400), Some(800), None]);
    }

    #[test]
    fn a_long_life_makes_good_and_a_long_start_does_not() {
        let mut ends = Ends::default();
        for _ in 0..20 {
            assert_eq!(ends.note(true, 10), Some(100));
            assert_eq!(ends.note(true, SOON), Some(0));
        }
        let pauses = [0; 5].map(|_| ends.note(false, 60_000));
        assert_eq!(pauses[4], None);
    }
}
