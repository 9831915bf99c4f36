//! What waits at all subscriptions together, and how much of it may.

use crate::gateway::model::content::Content;
use crate::gateway::model::queue::{QueueLimits, Waiting};
use crate::gateway::model::update::Update;
use crate::gateway::parts::holdings::Lag;
use std::rc::{Rc, Weak};

/// What waits at all subscriptions together.
#[derive(Debug)]
pub struct Queues {
    limits: QueueLimits,
    waiting: Rc<Waiting>,
    /// The difference that was last put in place of a queue, and the versions that it lies
    /// between: those whose queues are full at once stand at the same in most cases.
    last: Option<(u64, u64, Weak<Update>)>,
}

impl Queues {
    pub fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            waiting: Rc::default(),
            last: None,
        }
    }

    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Adds an update to those that wait at a subscription.
    pub fn push(&self, lag: &mut Lag, update: Rc<Update>) {
        lag.queue_size += update.size;
        lag.queue.push(update, &self.waiting);
    }

    /// Whether with one more update at a subscription more waits there than may.
    pub fn have_no_room(&self, lag: &Lag, update: &Update) -> bool {
        let (updates, bytes) = (lag.queue.len() + 1, lag.queue_size + update.size);
        self.limits.are_passed(updates, bytes, &self.waiting)
    }

    /// Whether one that takes the place of all others is too large to wait.
    pub fn have_no_bytes(&self, lag: &Lag, update: &Update) -> bool {
        let bytes = lag.queue_size + update.size;
        self.limits.are_passed(0, bytes, &self.waiting)
    }

    /// The difference between two versions, if it was the last and waits still.
    pub fn known(&self, from: &Content, to: &Content) -> Option<Rc<Update>> {
        let (known_from, known_to, update) = self.last.as_ref()?;
        let is_it = (*known_from, *known_to) == (from.version, to.version);
        is_it.then(|| update.upgrade()).flatten()
    }

    /// Remembers the difference between two versions.
    pub fn note(&mut self, from: &Content, to: &Content, update: &Rc<Update>) {
        self.last = Some((from.version, to.version, Rc::downgrade(update)));
    }
}
