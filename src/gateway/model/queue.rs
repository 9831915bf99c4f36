//! Updates that wait at subscriptions: each subscription's in order, and what all of them
//! cost together.

use crate::gateway::model::update::Update;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Updates at one subscription.
    pub updates: usize,
    /// Bytes of such.
    pub bytes: usize,
    /// Updates at all subscriptions together, each as often as it waits. Beyond it each
    /// subscription may have a small share of what it may have else.
    pub all_updates: usize,
    /// Bytes of such, each once.
    pub all_bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            updates: 1 << 16,
            bytes: 64 << 20,
            all_updates: 1 << 22,
            all_bytes: 256 << 20,
        }
    }
}

/// The part of its own limits that a subscription may use when too much waits in all.
const SHARE: usize = 1 << 10;

impl QueueLimits {
    /// Whether more waits at a subscription than may.
    pub fn are_passed(&self, updates: usize, bytes: usize, waiting: &Waiting) -> bool {
        let are_all =
            waiting.updates.get() > self.all_updates || waiting.bytes.get() > self.all_bytes;
        let share = if are_all { SHARE } else { 1 };
        updates > self.updates / share || bytes > self.bytes / share
    }
}

/// What waits at all subscriptions together.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Updates, each as often as it waits, without the first of each queue.
    updates: Cell<usize>,
    /// Bytes of all that have waited and are there.
    bytes: Cell<usize>,
}

impl Waiting {
    /// Updates, each as often as it waits, without the first of each queue.
    pub fn updates(&self) -> usize {
        self.updates.get()
    }

    /// Bytes of updates that have waited and are there, each once.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub fn add_bytes(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    pub fn remove_bytes(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() - bytes);
    }
}

/// Updates that wait at a subscription, in order. In most cases it is one alone, for which
/// no memory is needed.
#[derive(Debug, Default)]
pub struct Queue {
    /// There while there are any.
    first: Option<Rc<Update>>,
    later: Option<Box<Later>>,
}

#[derive(Debug)]
struct Later {
    updates: VecDeque<Rc<Update>>,
    waiting: Rc<Waiting>,
}

impl Queue {
    /// Adds an update, which is counted in what waits in all.
    pub fn push(&mut self, update: Rc<Update>, waiting: &Rc<Waiting>) {
        update.waits(waiting);
        if self.first.is_none() {
            self.first = Some(update);
            return;
        }
        let later = self.later.get_or_insert_with(|| {
            Box::new(Later {
                updates: VecDeque::new(),
                waiting: waiting.clone(),
            })
        });
        later.updates.push_back(update);
        waiting.updates.set(waiting.updates.get() + 1);
    }

    pub fn front(&self) -> Option<&Rc<Update>> {
        self.first.as_ref()
    }

    pub fn pop(&mut self) -> Option<Rc<Update>> {
        let next = self.later.as_mut().and_then(|later| later.pop());
        std::mem::replace(&mut self.first, next)
    }

    /// Drops all but the first.
    pub fn keep_first(&mut self) {
        self.later = None;
    }

    pub fn len(&self) -> usize {
        let later = self.later.as_ref().map_or(0, |later| later.updates.len());
        usize::from(self.first.is_some()) + later
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rc<Update>> {
        let later = self.later.iter().flat_map(|later| &later.updates);
        self.first.iter().chain(later)
    }
}

impl Later {
    fn pop(&mut self) -> Option<Rc<Update>> {
        let next = self.updates.pop_front()?;
        self.waiting.updates.set(self.waiting.updates.get() - 1);
        Some(next)
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        let updates = &self.waiting.updates;
        updates.set(updates.get() - self.updates.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::update::StepKind;

    fn update(size: usize) -> Rc<Update> {
        let (event, payload) = ("custom".into(), "null".into());
        Update::of(StepKind::Custom { event, payload }, size)
    }

    #[test]
    fn updates_leave_a_queue_in_order() {
        let least = update(0).size;
        let waiting = Rc::default();
        let mut queue = Queue::default();
        let (mut next, mut first) = (0, 0);
        for (pushed, popped) in [(1, 1), (3, 2), (2, 3), (2, 1), (1, 2)] {
            for _ in 0..pushed {
                queue.push(update(next), &waiting);
                next += 1;
            }
            assert_eq!(queue.len(), next - first);
            for _ in 0..popped {
                let expected = Some(least + first);
                assert_eq!(queue.front().map(|update| update.size), expected);
                assert_eq!(queue.pop().map(|update| update.size), expected);
                first += 1;
            }
            assert_eq!(
                (queue.len(), queue.is_empty()),
                (next - first, next == first)
            );
        }
        assert!(queue.pop().is_none() && queue.front().is_none());
    }

    #[test]
    fn what_waits_is_counted_until_it_is_dropped() {
        let waiting: Rc<Waiting> = Rc::default();
        let (shared, other) = (update(100), update(50));
        let size = shared.size;
        let mut queues = [Queue::default(), Queue::default()];
        for queue in &mut queues {
            queue.push(shared.clone(), &waiting);
            queue.push(shared.clone(), &waiting);
            queue.push(other.clone(), &waiting);
        }
        assert_eq!(waiting.updates(), 4);
        assert_eq!(waiting.bytes(), size + other.size);
        drop(other);
        queues[0].pop();
        assert_eq!(waiting.updates(), 3);
        queues[0].keep_first();
        assert_eq!((queues[0].len(), waiting.updates()), (1, 2));
        let [first, rest] = queues;
        drop(rest);
        assert_eq!((waiting.updates(), waiting.bytes()), (0, size));
        drop((first, shared));
        assert_eq!(waiting.bytes(), 0);
    }

    #[test]
    fn each_has_a_share_when_too_much_waits_in_all() {
        let limits = QueueLimits {
            updates: 4 * SHARE,
            bytes: 8 * SHARE,
            all_updates: 10,
            all_bytes: 1 << 20,
        };
        let waiting = Waiting::default();
        assert!(!limits.are_passed(4 * SHARE, 8 * SHARE, &waiting));
        assert!(limits.are_passed(4 * SHARE + 1, 0, &waiting));
        assert!(limits.are_passed(0, 8 * SHARE + 1, &waiting));
        waiting.updates.set(11);
        assert!(!limits.are_passed(4, 8, &waiting));
        assert!(limits.are_passed(5, 0, &waiting) && limits.are_passed(0, 9, &waiting));
        waiting.updates.set(10);
        assert!(!limits.are_passed(5, 0, &waiting));
        waiting.add_bytes((1 << 20) + 1);
        assert!(limits.are_passed(5, 0, &waiting));
    }
}
