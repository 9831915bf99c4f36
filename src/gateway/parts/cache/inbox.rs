//! What waits for its turn at a name: while the answers to a query event are awaited, all
//! other inputs of the name keep their order behind them.

use super::Cache;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::event::EventKind;
use crate::gateway::model::keys::{AliasKey, NameKey, PendingKey, ResetKey, SubKey};
use std::collections::{BTreeSet, VecDeque};

/// Inputs of a name that may wait, and the memory that they may cost, in bytes.
pub(crate) const MAX_INBOX: usize = 1 << 16;
pub(crate) const MAX_INBOX_SIZE: usize = 64 << 20;

/// An input of a name that waits for the answers to a query event.
pub enum Deferred {
    /// An event of the resource.
    Event {
        kind: EventKind<'static>,
        payload: Box<[u8]>,
    },
    /// An answer to a request.
    Answer(PendingKey, Answer<'static>),
    /// A get request that was to be sent for an alias.
    Load(AliasKey),
    /// Cached content that was to be handed to a new subscription.
    Take(SubKey),
    /// A reset of its resources.
    Reset(Option<ResetKey>),
    /// Access that was to be asked again for all its subscriptions.
    Reaccess(Option<ResetKey>),
}

impl Deferred {
    /// The reset event that it is a part of.
    fn reset(&self) -> Option<ResetKey> {
        match self {
            Self::Reset(reset) | Self::Reaccess(reset) => *reset,
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Event { payload, .. } => payload.len(),
            Self::Answer(_, Ok(payload)) => payload.len(),
            _ => 0,
        }
    }
}

/// The inbox of a name. Most names never have one.
#[derive(Default)]
pub struct Inbox {
    /// Query requests without answer. While there are any, every input waits.
    open: BTreeSet<PendingKey>,
    inputs: VecDeque<Deferred>,
    /// Memory of what the inputs hold, in bytes.
    size: usize,
}

/// Whether more waits than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Left,
    None,
}

impl Cache {
    /// Whether a name's inputs have to wait for their turn.
    pub fn is_waiting(&self, key: NameKey) -> bool {
        let inbox = self.names[key].inbox.as_ref();
        inbox.is_some_and(|inbox| !inbox.open.is_empty() || !inbox.inputs.is_empty())
    }

    /// The query requests of a name that are without answer, in the order of their keys.
    pub fn open_queries(&self, key: NameKey) -> impl Iterator<Item = PendingKey> {
        let inbox = self.names[key].inbox.iter();
        inbox.flat_map(|inbox| inbox.open.iter().copied())
    }

    /// How many parts of a reset event wait in inboxes.
    pub fn deferred_of(&self, reset: ResetKey) -> usize {
        let inboxes = self
            .names
            .iter()
            .filter_map(|(_, name)| name.inbox.as_ref());
        let inputs = inboxes.flat_map(|inbox| &inbox.inputs);
        inputs.filter(|input| input.reset() == Some(reset)).count()
    }

    /// Makes an input wait for its turn.
    pub fn defer(&mut self, key: NameKey, input: Deferred) -> Room {
        self.epoch += 1;
        let inbox = self.names[key].inbox.get_or_insert_default();
        inbox.size += input.size();
        inbox.inputs.push_back(input);
        match inbox.inputs.len() > MAX_INBOX || inbox.size > MAX_INBOX_SIZE {
            true => Room::None,
            false => Room::Left,
        }
    }

    /// The next input of a name, if it need not wait any more.
    pub fn next_deferred(&mut self, key: NameKey) -> Option<Deferred> {
        let name = self.names.get_mut(key)?;
        let inbox = name.inbox.as_mut()?;
        if !inbox.open.is_empty() {
            return None;
        }
        let input = inbox.inputs.pop_front();
        match &input {
            Some(input) => inbox.size -= input.size(),
            None => name.inbox = None,
        }
        input
    }

    /// A query request was sent for a name.
    pub fn open_query(&mut self, key: NameKey, request: PendingKey) {
        self.epoch += 1;
        let inbox = self.names[key].inbox.get_or_insert_default();
        inbox.open.insert(request);
    }

    /// A query request of a name was answered. Returns whether it was the last one.
    pub fn close_query(&mut self, key: NameKey, request: PendingKey) -> bool {
        let inbox = self.names.get_mut(key).and_then(|name| name.inbox.as_mut());
        inbox.is_some_and(|inbox| inbox.open.remove(&request) && inbox.open.is_empty())
    }

    /// The query requests of a name without answer, which are given up.
    pub fn give_up_queries(&mut self, key: NameKey) -> BTreeSet<PendingKey> {
        let inbox = self.names.get_mut(key).and_then(|name| name.inbox.as_mut());
        inbox.map_or_else(BTreeSet::new, |inbox| std::mem::take(&mut inbox.open))
    }
}

impl Inbox {
    /// Inputs that wait.
    #[cfg(debug_assertions)]
    pub fn waiting(&self) -> usize {
        self.inputs.len()
    }
    /// Checks the total against the inputs.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let size: usize = self.inputs.iter().map(Deferred::size).sum();
        match size == self.size {
            true => Ok(()),
            false => Err(format!(
                "an inbox holds {size} bytes and says {}",
                self.size
            )),
        }
    }
}
