//! Timers of one duration: a queue in which every entry can be removed at once.

use crate::gateway::model::slots::Slots;
use crate::gateway::model::time::Time;
use std::fmt;

/// An entry of a [`DelayQueue`]. It is valid until it is removed or comes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey(u32);

const NONE: u32 = u32::MAX;

struct Node<T> {
    due: Time,
    item: T,
    previous: u32,
    next: u32,
}

/// Items that come due after the same time each: first in, first out, O(1) throughout.
pub struct DelayQueue<T> {
    nodes: Slots<Node<T>>,
    delay: u64,
    first: u32,
    last: u32,
    /// The first entry that [`DelayQueue::look_late`] has not been at.
    unseen: u32,
}

/// Its items with their times, in order.
impl<T: fmt::Debug> fmt::Debug for DelayQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.nodes.get(self.first as usize);
        let nodes = std::iter::successors(first, |node| self.nodes.get(node.next as usize));
        f.debug_list()
            .entries(nodes.map(|node| (node.due, &node.item)))
            .finish()
    }
}

impl<T: Copy> DelayQueue<T> {
    /// A queue whose items come due `delay` milliseconds after they were added.
    pub fn new(delay: u64) -> Self {
        Self {
            nodes: Slots::default(),
            delay,
            first: NONE,
            last: NONE,
            unseen: NONE,
        }
    }

    pub fn insert(&mut self, now: Time, item: T) -> TimerKey {
        let due = Time(now.0.saturating_add(self.delay));
        let key = self.nodes.insert(Node {
            due,
            item,
            previous: self.last,
            next: NONE,
        }) as u32;
        match self.last {
            NONE => self.first = key,
            last => self.nodes[last as usize].next = key,
        }
        self.last = key;
        if self.unseen == NONE {
            self.unseen = key;
        }
        TimerKey(key)
    }

    /// Removes an entry that has not come due.
    pub fn remove(&mut self, key: TimerKey) {
        let Some(node) = self.nodes.remove(key.0 as usize) else {
            return;
        };
        if self.unseen == key.0 {
            self.unseen = node.next;
        }
        match node.previous {
            NONE => self.first = node.next,
            previous => self.nodes[previous as usize].next = node.next,
        }
        match node.next {
            NONE => self.last = node.previous,
            next => self.nodes[next as usize].previous = node.previous,
        }
    }

    /// The next item that was added so many milliseconds ago, of those that were not looked at
    /// in this way yet. It stays.
    pub fn look_late(&mut self, now: Time, after: u64) -> Option<T> {
        let due = self.next_late(after)?;
        let node = self
            .nodes
            .get(self.unseen as usize)
            .filter(|_| due <= now)?;
        self.unseen = node.next;
        Some(node.item)
    }

    /// When [`DelayQueue::look_late`] will have the next one.
    pub fn next_late(&self, after: u64) -> Option<Time> {
        let node = self.nodes.get(self.unseen as usize)?;
        Some(Time(
            node.due.0.saturating_sub(self.delay).saturating_add(after),
        ))
    }

    /// All items that wait, in no order.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.nodes.iter().map(|(_, node)| node.item)
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// When the next item comes due.
    pub fn next(&self) -> Option<Time> {
        self.nodes.get(self.first as usize).map(|node| node.due)
    }

    /// Takes the first item if it is due.
    pub fn pop(&mut self, now: Time) -> Option<T> {
        let node = self
            .nodes
            .get(self.first as usize)
            .filter(|node| node.due <= now)?;
        let item = node.item;
        self.remove(TimerKey(self.first));
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_due_in_order_and_can_be_removed() {
        let mut queue = DelayQueue::new(10);
        let keys: Vec<_> = (0..5).map(|i| queue.insert(Time(i), i)).collect();
        for removed in [0, 2, 4] {
            queue.remove(keys[removed]);
        }
        assert_eq!(queue.next(), Some(Time(11)));
        assert_eq!(queue.pop(Time(10)), None);
        assert_eq!(
            (queue.pop(Time(20)), queue.pop(Time(20))),
            (Some(1), Some(3))
        );
        assert_eq!((queue.pop(Time(99)), queue.next()), (None, None));
        queue.insert(Time(50), 7);
        assert_eq!(
            (queue.next(), queue.pop(Time(60))),
            (Some(Time(60)), Some(7))
        );
    }

    #[test]
    fn each_item_is_looked_at_once_before_it_is_due() {
        let mut queue = DelayQueue::new(10);
        let keys: Vec<_> = (0..5).map(|i| queue.insert(Time(i), i)).collect();
        assert_eq!(
            (queue.look_late(Time(2), 3), queue.next_late(3)),
            (None, Some(Time(3)))
        );
        assert_eq!(queue.look_late(Time(4), 3), Some(0));
        // What is taken out meanwhile is passed, wherever it is.
        queue.remove(keys[0]);
        queue.remove(keys[1]);
        queue.remove(keys[3]);
        assert_eq!(queue.look_late(Time(9), 3), Some(2));
        assert_eq!(queue.look_late(Time(9), 3), Some(4));
        assert_eq!(
            (queue.look_late(Time(9), 3), queue.next_late(3)),
            (None, None)
        );
        queue.insert(Time(9), 5);
        assert_eq!(
            (queue.next_late(3), queue.look_late(Time(12), 3)),
            (Some(Time(12)), Some(5))
        );
        assert_eq!((queue.len(), queue.pop(Time(12))), (3, Some(2)));
    }
}
