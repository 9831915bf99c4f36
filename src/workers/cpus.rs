//! The CPUs that workers are for.

/// What the workers run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cpus {
    /// The numbers of those that the process may use.
    allowed: Vec<usize>,
    /// As many as it may use at a time, which can be fewer (a quota of a container).
    share: usize,
}

impl Cpus {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        let allowed = allowed();
        let share = std::thread::available_parallelism().map_or(1, |share| share.get());
        Self { allowed, share }
    }

    /// As many workers as it can use.
    pub(super) fn len(&self) -> usize {
        self.share.max(1)
    }

    /// The CPU of a worker. None, where there is a quota and not CPUs of one's own: others
    /// with a quota would choose the same ones.
    pub(super) fn of(&self, worker: usize) -> Option<usize> {
        let has_quota = self.share < self.allowed.len();
        match self.allowed.len() {
            0 => None,
            _ if has_quota => None,
            len => self.allowed.get(worker % len).copied(),
        }
    }
}

#[cfg(target_os = "linux")]
fn allowed() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let Ok(set) = sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect()
}

/// Elsewhere workers are not pinned.
#[cfg(not(target_os = "linux"))]
fn allowed() -> Vec<usize> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_turns_at_the_cpus_that_are_allowed() {
        let cpus = |allowed: &[usize], share| Cpus {
            allowed: allowed.to_vec(),
            share,
        };
        let some = cpus(&[2, 5], 2);
        assert_eq!(some.len(), 2);
        assert_eq!([0, 1, 2].map(|worker| some.of(worker)), [2, 5, 2].map(Some));
        // A quota of two CPUs of four.
        let quota = cpus(&[0, 1, 2, 3], 2);
        assert_eq!((quota.len(), quota.of(0)), (2, None));
        let unknown = cpus(&[], 3);
        assert_eq!((unknown.len(), unknown.of(1)), (3, None));
    }

    #[test]
    fn this_process_has_one_at_least() {
        assert!(Cpus::of_process().len() >= 1);
    }
}
