//! The trees of requests and events: how many get requests of one may be open at once.

use crate::gateway::model::arena::Arena;
use crate::gateway::model::keys::{SubKey, TreeKey, of};
use crate::gateway::parts::throttle::Throttle;

/// The throttles of trees: each lives while subscriptions of its tree are being loaded.
#[derive(Debug)]
pub struct Trees {
    throttles: Arena<of::TreeThrottle, Throttle<SubKey>>,
    /// Get requests of one tree that may be open; 0 for no such limit.
    places: usize,
}

impl Trees {
    pub fn new(places: usize) -> Self {
        Self {
            throttles: Arena::default(),
            places,
        }
    }

    /// Throttles in use.
    pub fn len(&self) -> usize {
        self.throttles.len()
    }

    /// The throttle for a new subscription: that of its parent's tree, or one of its own;
    /// `None` where there is no limit.
    pub fn join(&mut self, parent: Option<TreeKey>) -> Option<TreeKey> {
        if self.places == 0 {
            return None;
        }
        let tree = match parent {
            Some(tree) => tree,
            None => self.throttles.insert(Throttle::new(self.places)),
        };
        self.throttles[tree].join();
        Some(tree)
    }

    /// A subscription asks for no place any more. [`Trees::next`] follows.
    pub fn part(&mut self, tree: TreeKey) {
        self.throttles[tree].part();
    }

    /// Takes a place for a subscription's get request; `false` if it must wait for one.
    pub fn enter(&mut self, tree: TreeKey, sub: SubKey) -> bool {
        self.throttles[tree].enter(sub).is_some()
    }

    /// A get request is done. [`Trees::next`] follows.
    pub fn leave(&mut self, tree: TreeKey) {
        self.throttles[tree].leave();
    }

    /// Who may go on, if there is a place: the first that waits and `is_wanted`. The
    /// throttle ends with the last that has to do with it.
    pub fn next(&mut self, tree: TreeKey, is_wanted: impl Fn(SubKey) -> bool) -> Option<SubKey> {
        let throttle = &mut self.throttles[tree];
        while let Some(sub) = throttle.next() {
            if is_wanted(sub) {
                return Some(sub);
            }
        }
        if throttle.is_over() {
            self.throttles.remove(tree);
        }
        None
    }

    /// Checks the counts: `expected` has, for a tree, its subscriptions that are being
    /// loaded and its get requests that are open.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self, expected: impl Fn(TreeKey) -> (usize, usize)) -> Result<(), String> {
        for (key, throttle) in self.throttles.iter() {
            let (members, taken, _) = throttle.counts();
            if (members, taken) != expected(key) || throttle.is_over() {
                return Err(format!(
                    "the tree {key:?} has {members} members and {taken} places taken, not {:?}",
                    expected(key)
                ));
            }
        }
        Ok(())
    }
}
