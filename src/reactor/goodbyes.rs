//! Clients that will be closed at a time of their own, so that not all come back at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::connection::ConnectionKey;
use crate::gateway::Time;

/// Who is to be closed when.
#[derive(Debug, Default)]
pub(super) struct Goodbyes {
    /// Due times and places, the earliest at the top.
    due: BinaryHeap<Reverse<(Time, ConnectionKey)>>,
}

impl Goodbyes {
    /// Notes a client. It may be gone by then.
    pub(super) fn add(&mut self, due: Time, key: ConnectionKey) {
        self.due.push(Reverse((due, key)));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes one that is due.
    pub(super) fn take_due(&mut self, now: Time) -> Option<ConnectionKey> {
        if self.next()? > now {
            return None;
        }
        let key = self.due.pop().map(|Reverse((_, key))| key);
        if self.due.is_empty() {
            self.due = BinaryHeap::new();
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::connection::Generation;

    #[test]
    fn each_is_taken_when_it_is_due() {
        let mut goodbyes = Goodbyes::default();
        let key = |index| ConnectionKey::new(index, Generation::default());
        assert_eq!(goodbyes.next(), None);
        for (due, index) in [(30, 1), (10, 2), (20, 3), (20, 4)] {
            goodbyes.add(Time(due), key(index));
        }
        assert_eq!(goodbyes.next(), Some(Time(10)));
        assert_eq!(goodbyes.take_due(Time(9)), None);
        let mut taken = Vec::new();
        while let Some(key) = goodbyes.take_due(Time(20)) {
            taken.push(key.client().0);
        }
        taken[1..].sort_unstable();
        assert_eq!(taken, [2, 3, 4]);
        assert_eq!(goodbyes.next(), Some(Time(30)));
        assert_eq!(goodbyes.take_due(Time(99)), Some(key(1)));
        assert_eq!(goodbyes.next(), None);
    }
}
