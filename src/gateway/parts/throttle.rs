//! Throttles: how much of what belongs together may be under way at once.
//!
//! A throttle is one count with one queue, owned by the gateway and named by key. What
//! has a place gives it back when it is done, and whoever waits longest gets it; nothing
//! is called from within, so nothing can wait for itself.

use crate::gateway::model::keys::SubKey;
use crate::gateway::parts::requests::Job;
use std::collections::VecDeque;

/// The requests that one reset event causes.
pub type ResetThrottle = Throttle<Job>;
/// The get requests for the tree of one request or event.
pub type TreeThrottle = Throttle<SubKey>;

/// A number of places, and who waits for one.
pub struct Throttle<T> {
    pub places: usize,
    pub taken: usize,
    pub waiting: VecDeque<T>,
    /// Who may still ask for a place, beside those who have one or wait.
    pub members: usize,
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
    pub fn enter(&mut self, item: T) -> Option<T> {
        if self.taken < self.places {
            self.taken += 1;
            return Some(item);
        }
        self.waiting.push_back(item);
        None
    }

    /// Gives a place back.
    pub fn leave(&mut self) {
        debug_assert!(self.taken > 0, "a place is given back once");
        self.taken = self.taken.saturating_sub(1);
    }

    /// Who waits longest, if there is a place.
    pub fn next(&mut self) -> Option<T> {
        if self.taken < self.places {
            self.waiting.pop_front()
        } else {
            None
        }
    }

    pub fn is_over(&self) -> bool {
        self.taken == 0 && self.members == 0 && self.waiting.is_empty()
    }
}
