//! Throttles: how much of what belongs together may be under way at once.
//!
//! A throttle is one count with one queue, owned by the gateway and named by key. What
//! has a place gives it back when it is done, and whoever waits longest gets it; nothing
//! is called from within, so nothing can wait for itself.

use super::Gateway;
use super::arena::Key;
use super::requests::Job;
use super::subscription::{State, SubKey};
use super::work::Work;
use std::collections::VecDeque;

/// The requests that one reset event causes.
pub type ResetThrottle = Throttle<Job>;
/// The get requests for the tree of one request or event.
pub type TreeThrottle = Throttle<SubKey>;

/// A number of places, and who waits for one.
pub struct Throttle<T> {
    places: usize,
    taken: usize,
    waiting: VecDeque<T>,
    /// Who may still ask for a place, beside those who have one or wait.
    members: usize,
}

impl<T> Throttle<T> {
    pub fn new(places: usize) -> Self {
        Self {
            places,
            taken: 0,
            waiting: VecDeque::new(),
            members: 0,
        }
    }

    /// Takes a place for an item, which is handed back; otherwise it waits.
    fn enter(&mut self, item: T) -> Option<T> {
        if self.taken < self.places {
            self.taken += 1;
            return Some(item);
        }
        self.waiting.push_back(item);
        None
    }

    /// Gives a place back.
    fn leave(&mut self) {
        debug_assert!(self.taken > 0, "a place is given back once");
        self.taken = self.taken.saturating_sub(1);
    }

    /// Who waits longest, if there is a place.
    fn next(&mut self) -> Option<T> {
        if self.taken < self.places {
            self.waiting.pop_front()
        } else {
            None
        }
    }

    fn is_over(&self) -> bool {
        self.taken == 0 && self.members == 0 && self.waiting.is_empty()
    }
}

impl Gateway {
    /// Begins to act on a reset event: its requests share a throttle, if there is to be
    /// one.
    pub(super) fn begin_reset(&mut self) {
        if self.reset_places > 0 {
            let throttle = self
                .reset_throttles
                .insert(Throttle::new(self.reset_places));
            self.reset = Some(throttle);
            self.enter_reset(self.reset);
        }
    }

    /// What is queued from now on belongs to this reset event, or to none.
    pub(super) fn resume_reset(&mut self, reset: Option<Key<ResetThrottle>>) {
        self.reset = reset;
    }

    /// Acts on a part of a reset event later; the throttle is kept for it.
    pub(super) fn put_off_reset(&mut self) -> Option<Key<ResetThrottle>> {
        self.enter_reset(self.reset);
        self.reset
    }

    fn enter_reset(&mut self, reset: Option<Key<ResetThrottle>>) {
        if let Some(throttle) = reset.and_then(|key| self.reset_throttles.get_mut(key)) {
            throttle.members += 1;
        }
    }

    /// Has acted on a reset event, or on the part of it that was put off.
    pub(super) fn end_reset(&mut self) {
        let Some(key) = self.reset.take() else { return };
        if let Some(throttle) = self.reset_throttles.get_mut(key) {
            throttle.members -= 1;
            if throttle.is_over() {
                self.reset_throttles.remove(key);
            }
        }
    }

    /// Queues a request of the background. One that a reset event causes waits for a place
    /// among the event's first.
    pub(super) fn queue_job(&mut self, job: Job) {
        let job = match self.reset {
            Some(key) => self.reset_throttles[key].enter(job),
            None => Some(job),
        };
        if let Some(job) = job {
            self.jobs.push_back((job, self.reset));
        }
    }

    /// A request of the background is done, or was not needed.
    pub(super) fn job_done(&mut self, reset: Option<Key<ResetThrottle>>) {
        let Some(key) = reset else { return };
        let throttle = &mut self.reset_throttles[key];
        throttle.leave();
        if let Some(job) = throttle.next() {
            throttle.taken += 1;
            self.jobs.push_back((job, reset));
        } else if throttle.is_over() {
            self.reset_throttles.remove(key);
        }
    }

    /// The throttle for a new subscription: that of its parent's tree, or one of its own.
    pub(super) fn join_tree(&mut self, key: SubKey, parent: Option<Key<TreeThrottle>>) {
        if self.tree_places == 0 {
            return;
        }
        let tree = match parent {
            Some(tree) => tree,
            None => self.tree_throttles.insert(Throttle::new(self.tree_places)),
        };
        self.tree_throttles[tree].members += 1;
        self.subs.arena[key].lag().tree = Some(tree);
    }

    /// A subscription is loaded, failed or gone: it asks for no place any more.
    pub(super) fn leave_tree(&mut self, tree: Option<Key<TreeThrottle>>) {
        let Some(key) = tree else { return };
        self.tree_throttles[key].members -= 1;
        self.next_in_tree(key);
    }

    /// Whether a subscription may send a get request now; if not, it is loaded again when
    /// it may.
    pub(super) fn enter_tree(&mut self, key: SubKey) -> bool {
        let tree = self.subs.arena[key].lag.as_ref().and_then(|lag| lag.tree);
        let Some(tree) = tree else { return true };
        if self.tree_throttles[tree].enter(key).is_none() {
            return false;
        }
        let alias = self.subs.arena[key].alias;
        self.cache.aliases[alias].tree = Some(tree);
        true
    }

    /// The get request of an alias is done.
    pub(super) fn leave_place(&mut self, tree: Option<Key<TreeThrottle>>) {
        let Some(key) = tree else { return };
        self.tree_throttles[key].leave();
        self.next_in_tree(key);
    }

    /// A subscription that may have come out of the queue needs no place now: the get
    /// request of its alias is open already, or it waits for its turn.
    pub(super) fn pass_place(&mut self, key: SubKey) {
        let lag = self.subs.arena[key].lag.as_ref();
        if let Some(tree) = lag.and_then(|lag| lag.tree) {
            self.next_in_tree(tree);
        }
    }

    /// Lets those go on that wait, as far as there are places. Some may need none.
    fn next_in_tree(&mut self, key: Key<TreeThrottle>) {
        let throttle = &mut self.tree_throttles[key];
        while let Some(sub) = throttle.next() {
            let is_loading = |sub: &super::subscription::Sub| sub.state == State::Loading;
            if self.subs.arena.get(sub).is_some_and(is_loading) {
                self.work.push_back(Work::Load(sub));
                return;
            }
        }
        if throttle.is_over() {
            self.tree_throttles.remove(key);
        }
    }
}
