//! How a subscription stands to its resource: one of six ways, each with what belongs to it.

use crate::gateway::model::content::Content;
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{PendingKey, TreeKey, WaiterKey};
use crate::gateway::model::queue::Queue;
use crate::res::Error;
use std::rc::Rc;

/// How a subscription stands to its resource. The client holds it in `Live` and `Deleted`,
/// and in `Lagging` and `Failed` if it was sent.
#[derive(Debug)]
pub enum Standing {
    /// Its alias is being loaded.
    Loading(Loading),
    /// It has content, which the client was not sent yet: this version.
    Pinned(Rc<Content>),
    /// The client holds it, and it is in step with its resource.
    Live,
    /// It has content, and is not in step.
    Lagging(Box<Lag>),
    /// The resource could not be loaded.
    Failed(Box<Failure>),
    /// The resource was deleted. Nothing more comes; what the client holds of it stays.
    Deleted(Rc<Content>),
}

/// What waits for a subscription to be loaded. Most have nothing more to be known.
#[derive(Debug)]
pub enum Loading {
    Alone,
    Awaited(WaiterKey),
    Wide(Box<Load>),
}

/// A subscription that is being loaded, with all that may be known of one.
#[derive(Debug, Default)]
pub struct Load {
    /// Requests and events that wait for it.
    pub waiters: Few<WaiterKey>,
    /// The throttle of its tree, if there is one.
    pub tree: Option<TreeKey>,
    /// What the client holds of a deleted resource that is being loaded again, until it
    /// is sent the new one. Its references keep counting as those of what is held.
    pub old: Option<Rc<Content>>,
    pub recheck: Recheck,
}

/// A subscription with content that is not in step with its resource.
#[derive(Debug)]
pub struct Lag {
    /// Whether the client holds it.
    pub sent: bool,
    /// What the client holds, or will be sent first.
    pub version: Rc<Content>,
    /// As [`Load::old`].
    pub old: Option<Rc<Content>>,
    /// What happened since, in order.
    pub queue: Queue,
    /// Steps of the first update that the client has been sent.
    pub step: usize,
    /// Steps of it that the version has in it.
    pub applied: usize,
    /// Memory that the queue refers to, in bytes.
    pub queue_size: usize,
    /// Waits for references of the first event in the queue.
    pub waiting: Option<WaiterKey>,
    pub recheck: Recheck,
    /// Updates at the front of the queue for which access was granted since; and those for
    /// which the open question is.
    pub cleared: usize,
    pub asked: usize,
    /// A deletion is in the queue: the resource's later events are another's.
    pub ended: bool,
}

impl Lag {
    fn sent(version: Rc<Content>) -> Self {
        Self {
            sent: true,
            ..Self::unsent(version)
        }
    }

    fn unsent(version: Rc<Content>) -> Self {
        Self {
            sent: false,
            version,
            old: None,
            queue: Queue::default(),
            step: 0,
            applied: 0,
            queue_size: 0,
            waiting: None,
            recheck: Recheck::Settled,
            cleared: 0,
            asked: 0,
            ended: false,
        }
    }

    /// Whether the first update waits for access. It does not if it came before access was
    /// put in question once more, and what was asked until then was granted.
    pub fn is_held_back(&self) -> bool {
        self.recheck != Recheck::Settled && self.cleared == 0
    }

    /// Takes out the first update, all of which was sent.
    pub fn pop(&mut self) {
        if let Some(update) = self.queue.pop() {
            self.queue_size -= update.size;
        }
        (self.step, self.applied) = (0, 0);
        self.cleared = self.cleared.saturating_sub(1);
        self.asked = self.asked.saturating_sub(1);
    }

    /// Whether some steps of the first update were sent that the version does not have.
    pub fn is_between(&self) -> bool {
        self.applied != self.step
    }
}

/// A subscription whose resource could not be loaded.
#[derive(Debug)]
pub struct Failure {
    /// Whether the client was told.
    pub sent: bool,
    pub error: Rc<Error>,
    /// As [`Load::old`].
    pub old: Option<Rc<Content>>,
    pub recheck: Recheck,
}

/// Whether access to a direct subscription is in question. Events wait while it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recheck {
    #[default]
    Settled,
    /// It is to be asked.
    Queued,
    /// It is being asked, by this request.
    Asking(PendingKey),
    /// It was put in question once more meanwhile.
    AskingAgain(PendingKey),
}

impl Recheck {
    /// Whether this is the answer to the latest question: to a request, or to none where one
    /// did not have to be sent. That to what was asked for an earlier subscription of the
    /// client's says nothing of now.
    pub fn is_answered_by(self, asked: Option<PendingKey>) -> bool {
        match self {
            Self::Settled => false,
            Self::Queued => asked.is_none(),
            Self::Asking(latest) | Self::AskingAgain(latest) => asked == Some(latest),
        }
    }
}

/// What a subscription leaves behind that is loaded, or failed to be.
#[derive(Default)]
pub struct Loaded {
    pub waiters: Few<WaiterKey>,
    pub tree: Option<TreeKey>,
}

impl Standing {
    /// Whether it has content that is, or was, its resource's.
    pub fn is_loaded(&self) -> bool {
        matches!(self, Self::Pinned(_) | Self::Live | Self::Lagging(_))
    }

    /// Whether the client holds it: its data or its error.
    pub fn is_sent(&self) -> bool {
        match self {
            Self::Loading(_) | Self::Pinned(_) => false,
            Self::Live | Self::Deleted(_) => true,
            Self::Lagging(lag) => lag.sent,
            Self::Failed(failure) => failure.sent,
        }
    }

    /// The version that it stands at, if it has one of its own.
    pub fn version(&self) -> Option<&Rc<Content>> {
        match self {
            Self::Pinned(version) | Self::Deleted(version) => Some(version),
            Self::Lagging(lag) => Some(&lag.version),
            Self::Loading(_) | Self::Live | Self::Failed(_) => None,
        }
    }

    /// What the client holds of a deleted resource that is loaded again.
    pub fn old(&self) -> Option<&Rc<Content>> {
        match self {
            Self::Loading(Loading::Wide(load)) => load.old.as_ref(),
            Self::Lagging(lag) => lag.old.as_ref(),
            Self::Failed(failure) => failure.old.as_ref(),
            _ => None,
        }
    }

    /// The client holds the deleted version no longer.
    pub fn forget_old(&mut self) {
        match self {
            Self::Loading(Loading::Wide(load)) => load.old = None,
            Self::Lagging(lag) => lag.old = None,
            Self::Failed(failure) => failure.old = None,
            _ => {}
        }
    }

    pub fn lag(&self) -> Option<&Lag> {
        match self {
            Self::Lagging(lag) => Some(lag),
            _ => None,
        }
    }

    pub fn lag_mut(&mut self) -> Option<&mut Lag> {
        match self {
            Self::Lagging(lag) => Some(lag),
            _ => None,
        }
    }

    /// Why it failed, if it did.
    pub fn error(&self) -> Option<&Rc<Error>> {
        match self {
            Self::Failed(failure) => Some(&failure.error),
            _ => None,
        }
    }

    pub fn recheck(&self) -> Recheck {
        match self {
            Self::Loading(Loading::Wide(load)) => load.recheck,
            Self::Lagging(lag) => lag.recheck,
            Self::Failed(failure) => failure.recheck,
            _ => Recheck::Settled,
        }
    }

    /// Whether access is in question, so that events wait.
    pub fn is_in_question(&self) -> bool {
        self.recheck() != Recheck::Settled
    }

    /// Says how access stands. What is live, or deleted, keeps nothing of it: the caller
    /// freezes the former first, and nobody asks about the latter.
    pub fn set_recheck(&mut self, recheck: Recheck) {
        if let Self::Pinned(version) = self
            && recheck != Recheck::Settled
        {
            *self = Self::Lagging(Box::new(Lag::unsent(version.clone())));
        }
        match self {
            Self::Loading(_) if recheck == self.recheck() => {}
            Self::Loading(loading) => loading.widen().recheck = recheck,
            Self::Lagging(lag) => {
                lag.recheck = recheck;
                if recheck == Recheck::Settled {
                    (lag.cleared, lag.asked) = (0, 0);
                }
            }
            Self::Failed(failure) => failure.recheck = recheck,
            Self::Pinned(_) | Self::Live | Self::Deleted(_) => {}
        }
    }

    /// Access is put in question while a request asks for it. What has come until now waits
    /// for the answer, what comes from now on for that to the next question.
    pub fn question_again(&mut self, asked: PendingKey) {
        if let Self::Lagging(lag) = self {
            lag.asked = lag.queue.len();
        }
        self.set_recheck(Recheck::AskingAgain(asked));
    }

    /// Access was granted to what has come until it was put in question again, and is to
    /// be asked once more. Returns whether events wait.
    pub fn grant_for_now(&mut self) -> bool {
        self.set_recheck(Recheck::Queued);
        let Self::Lagging(lag) = self else {
            return false;
        };
        lag.cleared = lag.cleared.max(lag.asked);
        lag.asked = 0;
        !lag.queue.is_empty()
    }

    /// The throttle of the tree for which it is being loaded.
    pub fn tree(&self) -> Option<TreeKey> {
        match self {
            Self::Loading(Loading::Wide(load)) => load.tree,
            _ => None,
        }
    }

    /// What waits for it to be loaded.
    pub fn waiters(&self) -> &[WaiterKey] {
        match self {
            Self::Loading(Loading::Awaited(waiter)) => std::slice::from_ref(waiter),
            Self::Loading(Loading::Wide(load)) => load.waiters.as_slice(),
            _ => &[],
        }
    }

    /// Something begins to wait for it to be loaded.
    pub fn await_load(&mut self, waiter: WaiterKey) {
        match self {
            Self::Loading(loading @ Loading::Alone) => *loading = Loading::Awaited(waiter),
            Self::Loading(loading) => loading.widen().waiters.push(waiter),
            _ => debug_assert!(false, "only what is being loaded is waited for"),
        }
    }

    /// It is in step: keeps the version that the client holds. No change unless it is live.
    pub fn freeze(&mut self, version: Rc<Content>) {
        if matches!(self, Self::Live) {
            *self = Self::Lagging(Box::new(Lag::sent(version)));
        }
    }

    /// The state of what is not in step. What is pinned gets one; what is live must have
    /// been frozen.
    pub fn widen(&mut self) -> Option<&mut Lag> {
        if let Self::Pinned(version) = self {
            *self = Self::Lagging(Box::new(Lag::unsent(version.clone())));
        }
        self.lag_mut()
    }

    /// It is loaded, and stands at this version until the client is sent it.
    pub fn loaded(&mut self, version: Rc<Content>) -> Loaded {
        let (loaded, old, recheck) = self.end_load();
        *self = match (old, recheck) {
            (None, Recheck::Settled) => Self::Pinned(version),
            (old, recheck) => Self::Lagging(Box::new(Lag {
                old,
                recheck,
                ..Lag::unsent(version)
            })),
        };
        loaded
    }

    /// It could not be loaded.
    pub fn failed(&mut self, error: Rc<Error>) -> Loaded {
        let (loaded, old, recheck) = self.end_load();
        *self = Self::Failed(Box::new(Failure {
            sent: false,
            error,
            old,
            recheck,
        }));
        loaded
    }

    fn end_load(&mut self) -> (Loaded, Option<Rc<Content>>, Recheck) {
        let Self::Loading(loading) = self else {
            debug_assert!(false, "only what is being loaded is loaded");
            return (Loaded::default(), None, self.recheck());
        };
        let load = match std::mem::replace(loading, Loading::Alone) {
            Loading::Alone => Load::default(),
            Loading::Awaited(waiter) => Load {
                waiters: Few::One(waiter),
                ..Load::default()
            },
            Loading::Wide(load) => *load,
        };
        let Load {
            waiters,
            tree,
            old,
            recheck,
        } = load;
        (Loaded { waiters, tree }, old, recheck)
    }

    /// The client was sent it, and holds nothing old. Returns whether events wait that it
    /// may have now.
    pub fn mark_sent(&mut self) -> bool {
        match self {
            Self::Pinned(_) => *self = Self::Live,
            Self::Lagging(lag) if lag.queue.is_empty() && lag.recheck == Recheck::Settled => {
                *self = Self::Live;
            }
            Self::Lagging(lag) => {
                lag.sent = true;
                return true;
            }
            Self::Failed(failure) => failure.sent = true,
            Self::Loading(_) | Self::Live | Self::Deleted(_) => {}
        }
        false
    }

    /// The client does not hold it any more, but it is needed. `version` is the resource's
    /// content, at which it stands if it was live. Not for what is deleted.
    pub fn mark_unsent(&mut self, version: Option<Rc<Content>>) {
        match (&mut *self, version) {
            (Self::Live, Some(version)) => *self = Self::Pinned(version),
            (Self::Lagging(lag), _) => lag.sent = false,
            (Self::Failed(failure), _) => failure.sent = false,
            _ => {}
        }
    }

    /// Nothing waits any more: it is in step again.
    pub fn catch_up(&mut self) {
        if let Self::Lagging(lag) = self
            && lag.sent
            && lag.queue.is_empty()
            && !lag.ended
        {
            *self = Self::Live;
        }
    }

    /// The client was told that the resource is deleted.
    pub fn delete(&mut self) {
        if let Self::Lagging(lag) = self {
            *self = Self::Deleted(lag.version.clone());
        }
    }

    /// It is loaded again, though the client holds it as deleted or failed: what the client
    /// holds is kept as the old version.
    pub fn revive(&mut self) {
        let old = match self {
            Self::Deleted(version) => Some(version.clone()),
            Self::Failed(failure) => failure.old.take(),
            _ => None,
        };
        self.reload();
        if let (Some(_), Self::Loading(loading)) = (&old, self) {
            loading.widen().old = old;
        }
    }

    /// It is loaded again. Access that is in question stays so.
    pub fn reload(&mut self) {
        let recheck = self.recheck();
        *self = Self::Loading(Loading::Alone);
        self.set_recheck(recheck);
    }

    /// It is not loaded again after all: deleted, and held as such. Returns the throttle
    /// of its tree, if it had a part in one.
    pub fn give_up_revival(&mut self) -> Option<TreeKey> {
        let tree = self.tree();
        if let Some(old) = self.old().cloned() {
            *self = Self::Deleted(old);
        }
        tree
    }
}

impl Loading {
    /// Room for all that may be known.
    pub fn widen(&mut self) -> &mut Load {
        if !matches!(self, Self::Wide(_)) {
            let mut load = Load::default();
            if let Self::Awaited(waiter) = self {
                load.waiters.push(*waiter);
            }
            *self = Self::Wide(Box::new(load));
        }
        match self {
            Self::Wide(load) => load,
            Self::Alone | Self::Awaited(_) => unreachable!("it was made wide above"),
        }
    }
}
