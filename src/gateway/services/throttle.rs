//! Throttles: how much of what belongs together may be under way at once.
//!
//! A throttle is one count with one queue, owned by the gateway and named by key. What
//! has a place gives it back when it is done, and whoever waits longest gets it; nothing
//! is called from within, so nothing can wait for itself.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{ResetKey, SubKey, TreeKey};
use crate::gateway::parts::holdings::{State, Sub};
use crate::gateway::parts::requests::Job;
use crate::gateway::parts::throttle::Throttle;
use crate::gateway::parts::worklist::Work;

impl Gateway {
    /// Begins to act on a reset event: its requests share a throttle, if there is to be
    /// one.
    pub(in crate::gateway) fn begin_reset(&mut self) {
        if self.reset_places > 0 {
            let throttle = self
                .reset_throttles
                .insert(Throttle::new(self.reset_places));
            self.reset = Some(throttle);
            self.enter_reset(self.reset);
        }
    }

    /// What is queued from now on belongs to this reset event, or to none.
    pub(in crate::gateway) fn resume_reset(&mut self, reset: Option<ResetKey>) {
        self.reset = reset;
    }

    /// Acts on a part of a reset event later; the throttle is kept for it.
    pub(in crate::gateway) fn put_off_reset(&mut self) -> Option<ResetKey> {
        self.enter_reset(self.reset);
        self.reset
    }

    fn enter_reset(&mut self, reset: Option<ResetKey>) {
        if let Some(throttle) = reset.and_then(|key| self.reset_throttles.get_mut(key)) {
            throttle.members += 1;
        }
    }

    /// Has acted on a reset event, or on the part of it that was put off.
    pub(in crate::gateway) fn end_reset(&mut self) {
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
    pub(in crate::gateway) fn queue_job(&mut self, job: Job) {
        let job = match self.reset {
            Some(key) => self.reset_throttles[key].enter(job),
            None => Some(job),
        };
        if let Some(job) = job {
            self.jobs.push_back((job, self.reset));
        }
    }

    /// A request of the background is done, or was not needed.
    pub(in crate::gateway) fn job_done(&mut self, reset: Option<ResetKey>) {
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
    pub(in crate::gateway) fn join_tree(&mut self, key: SubKey, parent: Option<TreeKey>) {
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
    pub(in crate::gateway) fn leave_tree(&mut self, tree: Option<TreeKey>) {
        let Some(key) = tree else { return };
        self.tree_throttles[key].members -= 1;
        self.next_in_tree(key);
    }

    /// Whether a subscription may send a get request now; if not, it is loaded again when
    /// it may.
    pub(in crate::gateway) fn enter_tree(&mut self, key: SubKey) -> bool {
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
    pub(in crate::gateway) fn leave_place(&mut self, tree: Option<TreeKey>) {
        let Some(key) = tree else { return };
        self.tree_throttles[key].leave();
        self.next_in_tree(key);
    }

    /// A subscription that may have come out of the queue needs no place now: the get
    /// request of its alias is open already, or it waits for its turn.
    pub(in crate::gateway) fn pass_place(&mut self, key: SubKey) {
        let lag = self.subs.arena[key].lag.as_ref();
        if let Some(tree) = lag.and_then(|lag| lag.tree) {
            self.next_in_tree(tree);
        }
    }

    /// Lets those go on that wait, as far as there are places. Some may need none.
    fn next_in_tree(&mut self, key: TreeKey) {
        let throttle = &mut self.tree_throttles[key];
        while let Some(sub) = throttle.next() {
            let is_loading = |sub: &Sub| sub.state == State::Loading;
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
