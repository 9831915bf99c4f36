//! Updates: what one input does to a resource, as the events that clients are sent.

use crate::gateway::model::content::{Child, Content};
use crate::gateway::model::keys::AliasKey;
use crate::gateway::model::outbox::Message;
use crate::gateway::model::queue::Waiting;
use crate::gateway::model::set::{Member, SetKey};
use crate::res::value::Change;
use crate::res::version::ValueForm;
use crate::res::{Error, Text, Value};
use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::{Rc, Weak};

/// Values that may be held, all in all, by what is remembered of the updates that wait at
/// one subscription: whoever goes first leaves an outcome with each of them, and those stay
/// until the last one who waits for the update has passed it.
const OUTCOMES_MAX: usize = 1 << 16;

/// Events of one resource that came with one input; shared by all whom it concerns.
#[derive(Debug)]
pub struct Update {
    pub steps: Vec<Step>,
    /// Roughly the memory that a waiting update costs, in bytes.
    pub size: usize,
    /// The content that it leads to, where applying its many steps would cost more.
    pub after: Option<Rc<Content>>,
    /// What a version became by the steps up to one: the version, that step, the outcome.
    /// All clients that wait for the same reference stand at the same version.
    applied: RefCell<Option<(u64, usize, Rc<Content>)>>,
    /// What it is counted in, once it has waited somewhere.
    waiting: OnceCell<Rc<Waiting>>,
    /// Texts already made for subscribers, by what they depend on.
    texts: RefCell<Vec<(TextKey, SetKey, Rc<Message>)>>,
}

/// Texts that an update keeps: more aliases and sets for one are rare enough to be encoded
/// anew.
pub const TEXTS_KEPT: usize = 8;

/// How many updates keep the texts that were made of them.
const RECENT: usize = 16;

/// The updates that were sent last with what clients lacked. Only these keep their texts,
/// which can be long: those that wait at some client may be many.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<Weak<Update>>);

impl Recent {
    /// An update was sent.
    pub fn note(&mut self, update: &Rc<Update>) {
        let this = Rc::as_ptr(update);
        if self.0.iter().rev().any(|known| known.as_ptr() == this) {
            return;
        }
        if self.0.len() == RECENT
            && let Some(oldest) = self.0.pop_front().and_then(|known| known.upgrade())
        {
            oldest.texts.take();
        }
        self.0.push_back(Rc::downgrade(update));
    }
}

/// One event, and what it does to the references of the resource.
#[derive(Debug)]
pub struct Step {
    pub kind: StepKind,
    /// Resources that it references and did not before.
    pub added: Vec<Child>,
    /// Resources that it references no longer.
    pub removed: Vec<Child>,
}

/// The kinds of events.
#[derive(Debug)]
pub enum StepKind {
    /// Properties of a model, sorted by name.
    Change(Vec<(Text, Change)>),
    /// A value of a collection; its members beside these are dropped.
    Add { idx: usize, value: Value },
    /// Removal from a collection; the payload is passed on as it came. It is empty where
    /// none came, for a removal that a difference consists of.
    Remove { idx: usize, payload: Box<str> },
    /// Anything else, with its payload or `null`.
    Custom { event: Box<str>, payload: Box<str> },
    /// The resource is gone. Always the last step. Whoever subscribed to it is told the
    /// reason.
    Delete {
        payload: Box<str>,
        reason: Box<Error>,
    },
}

/// What a step's text depends on beside the resources that it brings: alias, step and
/// dialect, and whether their tags stand with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextKey {
    pub alias: AliasKey,
    pub step: u32,
    pub form: ValueForm,
    pub is_tagged: bool,
}

impl Step {
    /// Whether subscribers can be sent it without a look at what they hold.
    pub fn is_simple(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && !matches!(self.kind, StepKind::Delete { .. })
    }
}

impl Update {
    pub fn new(steps: Vec<Step>, size: usize) -> Rc<Self> {
        Self::make(steps, size, None)
    }

    /// An update that puts new content in place.
    pub fn leading_to(after: Rc<Content>, steps: Vec<Step>) -> Rc<Self> {
        let size = after.bytes();
        Self::make(steps, size, Some(after))
    }

    /// `size` is that of what the steps say.
    fn make(steps: Vec<Step>, size: usize, after: Option<Rc<Content>>) -> Rc<Self> {
        Rc::new(Self {
            size: size + size_of::<Self>() + steps.len() * size_of::<Step>(),
            steps,
            after,
            applied: RefCell::new(None),
            waiting: OnceCell::new(),
            texts: RefCell::new(Vec::new()),
        })
    }

    /// An update of one event that concerns no references.
    pub fn of(kind: StepKind, size: usize) -> Rc<Self> {
        Self::new(
            vec![Step {
                kind,
                added: Vec::new(),
                removed: Vec::new(),
            }],
            size,
        )
    }

    /// It waits at a subscription: what it costs counts among all that waits, until it is
    /// dropped.
    pub fn waits(&self, waiting: &Rc<Waiting>) {
        self.waiting.get_or_init(|| {
            waiting.add_bytes(self.size);
            waiting.clone()
        });
    }

    /// Whether subscribers can be sent it without a look at what they hold.
    pub fn is_simple(&self) -> bool {
        self.steps.iter().all(Step::is_simple)
    }

    /// What a version was found to become by the steps up to one.
    pub fn outcome(&self, version: u64, steps: usize) -> Option<Rc<Content>> {
        match &*self.applied.borrow() {
            Some((from, to, content)) if (*from, *to) == (version, steps) => Some(content.clone()),
            _ => None,
        }
    }

    /// Remembers what a version becomes, unless that is too much where so many updates wait.
    pub fn note_outcome(&self, version: u64, steps: usize, content: &Rc<Content>, waiting: usize) {
        if content.size().saturating_mul(waiting) <= OUTCOMES_MAX {
            *self.applied.borrow_mut() = Some((version, steps, content.clone()));
        }
    }

    /// Whether an outcome is remembered.
    #[cfg(test)]
    pub fn has_outcome(&self) -> bool {
        self.applied.borrow().is_some()
    }

    /// Applies steps to a version, where so many updates wait. What comes of it is numbered by
    /// `new_version`.
    pub fn bring(
        &self,
        version: &mut Rc<Content>,
        steps: Range<usize>,
        waiting: usize,
        mut new_version: impl FnMut() -> u64,
    ) {
        if let Some(after) = &self.after
            && steps.end == self.steps.len()
        {
            *version = after.clone();
            return;
        }
        let before = version.version;
        if let Some(outcome) = self.outcome(before, steps.end) {
            *version = outcome;
            return;
        }
        let is_shared = Rc::strong_count(version) > 1;
        let content = Rc::make_mut(version);
        for step in &self.steps[steps.clone()] {
            content.apply(&step.kind, new_version());
        }
        if is_shared {
            self.note_outcome(before, steps.end, version, waiting);
        }
    }

    /// Whether the resource is another one after it: not only custom events.
    pub fn changes_state(&self) -> bool {
        let is_custom = |step: &Step| matches!(step.kind, StepKind::Custom { .. });
        !self.steps.iter().all(is_custom)
    }

    /// Whether the resource is no more.
    pub fn ends_resource(&self) -> bool {
        matches!(
            self.steps.last(),
            Some(Step {
                kind: StepKind::Delete { .. },
                ..
            })
        )
    }

    /// The text for a key with a set of resources, made at most once while few are in use.
    pub fn text(
        &self,
        key: TextKey,
        set: &[Member],
        make: impl FnOnce() -> Rc<Message>,
    ) -> Rc<Message> {
        let mut texts = self.texts.borrow_mut();
        let mut known = texts.iter();
        if let Some((.., text)) = known.find(|(other, of, _)| *other == key && of.is_of(set)) {
            return text.clone();
        }
        let text = make();
        let Some(set) = SetKey::of(set) else {
            return text;
        };
        if texts.len() == TEXTS_KEPT {
            texts.remove(0);
        }
        texts.push((key, set, text.clone()));
        text
    }
}

impl Drop for Update {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.get() {
            waiting.remove_bytes(self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_updates_sent_last_keep_their_texts() {
        let update = || {
            let (event, payload) = ("custom".into(), "null".into());
            Update::of(StepKind::Custom { event, payload }, 0)
        };
        let key = TextKey {
            alias: AliasKey::from_parts(1, 1),
            step: 0,
            form: ValueForm::Full,
            is_tagged: false,
        };
        let is_kept = |update: &Update| {
            let mut is_kept = true;
            update.text(key, &[], || {
                is_kept = false;
                Message::new(b"text")
            });
            is_kept
        };
        let mut recent = Recent::default();
        let first = update();
        assert!(!is_kept(&first) && is_kept(&first));
        for _ in 0..3 {
            recent.note(&first);
        }
        for _ in 1..RECENT {
            recent.note(&update());
        }
        assert!(is_kept(&first));
        recent.note(&update());
        assert!(!is_kept(&first));
    }
}
