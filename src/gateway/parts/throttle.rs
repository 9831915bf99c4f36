//! Throttles: how much of what belongs together may be under way at once.
//!
//! A throttle is one count with one queue, owned by the gateway and named by key. What
//! has a place gives it back when it is done, and whoever waits longest gets it; nothing
//! is called from within, so nothing can wait for itself.

use std::collections::VecDeque;

/// A number of places, and who waits for one.
#[derive(Debug)]
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

    /// Takes a place for whoever was next.
    pub fn take(&mut self) {
        self.taken += 1;
    }

    /// Somebody may ask for a place from now on.
    pub fn join(&mut self) {
        self.members += 1;
    }

    /// Somebody asks for no place any more.
    pub fn part(&mut self) {
        debug_assert!(self.members > 0, "a member parts once");
        self.members = self.members.saturating_sub(1);
    }

    /// Members, places that are taken, and who waits for one.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.members, self.taken, self.waiting.len())
    }

    /// Who waits for a place.
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter()
    }

    /// Whether nobody has to do with it any more.
    pub fn is_over(&self) -> bool {
        self.taken == 0 && self.members == 0 && self.waiting.is_empty()
    }
}
