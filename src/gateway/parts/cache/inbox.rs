//! What waits for its turn at a name: while the answers to a query event are awaited, all
//! other inputs of the name keep their order behind them.

use super::Cache;
use super::large::Large;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::event::EventKind;
use crate::gateway::model::keys::{AliasKey, NameKey, PendingKey, ResetKey, ResourceKey, SubKey};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// Inputs of a name that may wait, and the memory that they may cost, in bytes.
pub(crate) const MAX_INBOX: usize = 1 << 16;
pub(crate) const MAX_INBOX_SIZE: usize = 64 << 20;

/// An input of a name that waits for the answers to a query event.
#[derive(Debug)]
pub enum Deferred {
    /// An event of the resource.
    Event {
        kind: EventKind<'static>,
        payload: Box<[u8]>,
    },
    /// An answer to a request.
    Answer(PendingKey, Answer<'static>),
    /// The rest of a large input.
    Large(Box<Large>, Option<ResetKey>),
    /// Subscriptions whose access is to be put in question, but for the first so many.
    Question(Vec<SubKey>, usize, Option<ResetKey>),
    /// A get request that was to be sent for an alias.
    Load(AliasKey),
    /// Cached content that was to be handed to a new subscription.
    Take(SubKey),
    /// A reset of its resources.
    Reset(Option<ResetKey>),
    /// Events of its resources were lost.
    Lost,
    /// Access that was to be asked again for all its subscriptions.
    Reaccess(Option<ResetKey>),
}

impl Deferred {
    /// The reset event that it is a part of.
    fn reset(&self) -> Option<ResetKey> {
        match self {
            Self::Reset(reset)
            | Self::Reaccess(reset)
            | Self::Large(_, reset)
            | Self::Question(.., reset) => *reset,
            _ => None,
        }
    }

    /// Whether it is the rest of an input that was begun.
    fn is_rest(&self) -> bool {
        matches!(self, Self::Large(..) | Self::Question(..))
    }

    fn size(&self) -> usize {
        match self {
            Self::Event { payload, .. } => payload.len(),
            Self::Answer(_, Ok(payload)) => payload.len(),
            Self::Large(large, _) => large.memory(),
            Self::Question(subs, ..) => size_of_val(&**subs),
            _ => 0,
        }
    }
}

/// The inbox of a name. Most names never have one.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Query requests without answer. While there are any, every input waits.
    open: BTreeSet<PendingKey>,
    /// Query requests that are to be sent. All waits for these too.
    round: Option<Round>,
    inputs: VecDeque<Deferred>,
    /// Memory of what the inputs hold, in bytes.
    size: usize,
}

/// The query resources that are to be asked what a query event means for them.
#[derive(Debug)]
struct Round {
    /// Where they ask.
    subject: Rc<str>,
    resources: Vec<ResourceKey>,
}

/// Query requests that are given up.
#[derive(Default)]
pub struct GivenUp {
    /// Those that were sent.
    pub open: BTreeSet<PendingKey>,
    /// The resources of those that were not; `None` if there were to be none.
    pub unsent: Option<Vec<ResourceKey>>,
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
        inbox.is_some_and(|inbox| inbox.is_asking() || !inbox.inputs.is_empty())
    }

    /// Whether access to what a name's subscriptions are of is being put in question.
    pub fn is_questioned(&self, key: NameKey) -> bool {
        let inbox = self.names[key].inbox.as_ref();
        let first = inbox.and_then(|inbox| inbox.inputs.front());
        matches!(first, Some(Deferred::Question(..)))
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

    /// Rests of inputs that wait at a name, each of which uses the name.
    pub fn rests(&self, key: NameKey) -> usize {
        let inputs = self.names[key].inbox.iter().flat_map(|inbox| &inbox.inputs);
        inputs.filter(|input| input.is_rest()).count()
    }

    /// Makes the rest of an input wait, before all that waits already.
    pub fn defer_rest(&mut self, key: NameKey, input: Deferred) {
        self.epoch += 1;
        let inbox = self.names[key].inbox.get_or_insert_default();
        inbox.size += input.size();
        inbox.inputs.push_front(input);
    }

    /// The next input of a name, if it need not wait any more.
    pub fn next_deferred(&mut self, key: NameKey) -> Option<Deferred> {
        let name = self.names.get_mut(key)?;
        let inbox = name.inbox.as_mut()?;
        if inbox.is_asking() {
            return None;
        }
        let input = inbox.inputs.pop_front();
        match &input {
            Some(input) => inbox.size -= input.size(),
            None => name.inbox = None,
        }
        input
    }

    /// The query resources of a name are to be asked on a subject.
    pub fn begin_round(&mut self, key: NameKey, subject: &str, resources: Vec<ResourceKey>) {
        let inbox = self.names[key].inbox.get_or_insert_default();
        debug_assert!(!inbox.is_asking(), "an event waits for the one before");
        inbox.round = Some(Round {
            subject: subject.into(),
            resources,
        });
    }

    /// The next query resource of a name that is to be asked, and on which subject. Those
    /// that are gone are left out.
    pub fn next_of_round(&mut self, key: NameKey) -> Option<(Rc<str>, ResourceKey)> {
        let inbox = self.names.get_mut(key)?.inbox.as_mut()?;
        let round = inbox.round.as_mut()?;
        loop {
            let resource = round.resources.pop()?;
            if self.resources.contains(resource) {
                return Some((round.subject.clone(), resource));
            }
        }
    }

    /// Ends the round of a name if nobody is left to be asked. Returns whether that ends all
    /// waiting; `None` if it is not over, or there is none.
    pub fn end_round(&mut self, key: NameKey) -> Option<bool> {
        let inbox = self.names.get_mut(key)?.inbox.as_mut()?;
        let round = inbox.round.take_if(|round| round.resources.is_empty());
        round.map(|_| inbox.open.is_empty())
    }

    /// Whether query resources of a name are still to be asked.
    pub fn has_round(&self, key: NameKey) -> bool {
        let inbox = self.names[key].inbox.as_ref();
        inbox.is_some_and(|inbox| inbox.round.is_some())
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
        inbox.is_some_and(|inbox| inbox.open.remove(&request) && !inbox.is_asking())
    }

    /// The query requests of a name that are without answer or were not sent, which are
    /// given up.
    pub fn give_up_queries(&mut self, key: NameKey) -> GivenUp {
        let inbox = self.names.get_mut(key).and_then(|name| name.inbox.as_mut());
        inbox.map_or_else(GivenUp::default, |inbox| GivenUp {
            open: std::mem::take(&mut inbox.open),
            unsent: inbox.round.take().map(|round| round.resources),
        })
    }
}

impl Inbox {
    /// Whether answers to query requests are awaited, or are to be.
    fn is_asking(&self) -> bool {
        !self.open.is_empty() || self.round.is_some()
    }

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
