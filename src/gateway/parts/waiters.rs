//! What waits for whole trees: requests and events that can be sent only when everything
//! that they bring is loaded.

use crate::gateway::model::arena::Arena;
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{ClientKey, SubKey, WaiterKey, of};
use hashbrown::HashSet;
use std::fmt;
use std::ops::{Index, IndexMut};

/// A request or an event that waits.
#[derive(Debug)]
pub struct Waiter {
    client: ClientKey,
    cause: Awaiting,
    /// Subscriptions below it that are being loaded.
    missing: u32,
    /// Whether access has been granted.
    admitted: bool,
    /// Whether access was put in question after it was asked for this.
    questioned: bool,
    /// What an event brings, while it waits for that.
    brought: Few<SubKey>,
    seen: Seen,
}

impl Waiter {
    /// A client's request for the resource of a subscription.
    pub fn request(client: ClientKey, root: SubKey, want: Want) -> Self {
        Self::new(client, Awaiting::Request { root, want }, false)
    }

    /// The first event in a subscription's queue.
    pub fn event(client: ClientKey, sub: SubKey) -> Self {
        Self::new(client, Awaiting::Event(sub), true)
    }

    fn new(client: ClientKey, cause: Awaiting, admitted: bool) -> Self {
        Self {
            client,
            cause,
            missing: 0,
            admitted,
            questioned: false,
            brought: Few::None,
            seen: Seen::default(),
        }
    }

    pub fn client(&self) -> ClientKey {
        self.client
    }

    pub fn cause(&self) -> Awaiting {
        self.cause
    }

    /// Whether it has all that it waits for.
    pub fn is_ready(&self) -> bool {
        self.missing == 0 && self.admitted
    }

    /// Whether nothing below it is being loaded.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Something below it is being loaded.
    pub fn miss(&mut self) {
        self.missing = self.missing.saturating_add(1);
    }

    /// Something below it was loaded, or failed to be.
    pub fn found(&mut self) {
        debug_assert!(self.missing > 0, "what is found was missed");
        self.missing = self.missing.saturating_sub(1);
    }

    /// How many are being loaded below it.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// Access was granted.
    pub fn admit(&mut self) {
        self.admitted = true;
    }

    /// Access was put in question.
    pub fn question(&mut self) {
        self.questioned = true;
    }

    pub fn is_questioned(&self) -> bool {
        self.questioned
    }

    /// What an event brings.
    pub fn brought(&self) -> &[SubKey] {
        self.brought.as_slice()
    }

    /// Gives an event what it brings, while it waits.
    pub fn bring(&mut self, brought: Few<SubKey>) {
        self.brought = brought;
    }

    /// Takes it back.
    pub fn take_brought(&mut self) -> Few<SubKey> {
        std::mem::take(&mut self.brought)
    }

    /// What it has looked at, to go on with a walk.
    pub fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }

    /// The end of a walk.
    pub fn set_seen(&mut self, seen: Seen) {
        self.seen = seen;
    }

    /// Will look at a subscription once more.
    pub fn forget_seen(&mut self, key: SubKey) {
        self.seen.remove(key);
    }

    /// The subscription that it asks for is ended: it is answered, but brings nothing.
    pub fn end(&mut self) {
        if let Awaiting::Request { want, .. } = &mut self.cause {
            *want = match *want {
                Want::Subscribe(id) => Want::Ended(id),
                Want::Resource(id) => Want::EndedResource(id),
                other => other,
            };
        }
    }
}

/// Subscriptions that a waiter has looked at. Most events that wait do so for one.
#[derive(Debug, Default)]
pub struct Seen {
    first: Option<SubKey>,
    others: Option<HashSet<SubKey, foldhash::fast::RandomState>>,
}

impl Seen {
    /// Whether it was not among them.
    pub fn insert(&mut self, key: SubKey) -> bool {
        match self.first {
            None if self.others.is_none() => {
                self.first = Some(key);
                true
            }
            first => first != Some(key) && self.others.get_or_insert_default().insert(key),
        }
    }

    pub fn remove(&mut self, key: SubKey) {
        if self.first == Some(key) {
            self.first = None;
        } else if let Some(others) = &mut self.others {
            others.remove(&key);
        }
    }
}

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaiting {
    /// A request for the resource of a subscription.
    Request { root: SubKey, want: Want },
    /// The first event in a subscription's queue.
    Event(SubKey),
}

/// What a request wants with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A direct subscription; the ID of the client's request.
    Subscribe(u64),
    /// The resource once.
    Get(u64),
    /// A direct subscription of what a call brought.
    Resource(u64),
    /// A subscribe request whose subscription was ended before it could be answered. The
    /// answer must bring nothing: a client could not tell whether it will stay true.
    Ended(u64),
    /// The same of what a call brought.
    EndedResource(u64),
    /// The encoded resource, for the connection's web request.
    Web,
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribe(id) | Self::Ended(id) => write!(f, "request {id}, subscribe"),
            Self::Get(id) => write!(f, "request {id}, get"),
            Self::Resource(id) | Self::EndedResource(id) => write!(f, "request {id}, resource"),
            Self::Web => f.write_str("HTTP GET"),
        }
    }
}

impl Want {
    pub fn subscribes(self) -> bool {
        matches!(self, Self::Subscribe(_) | Self::Resource(_))
    }
}

/// All that waits.
#[derive(Debug, Default)]
pub struct Waiters {
    arena: Arena<of::Waiter, Waiter>,
}

impl Waiters {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.arena.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (WaiterKey, &Waiter)> {
        self.arena.iter()
    }

    pub fn get(&self, key: WaiterKey) -> Option<&Waiter> {
        self.arena.get(key)
    }

    pub fn get_mut(&mut self, key: WaiterKey) -> Option<&mut Waiter> {
        self.arena.get_mut(key)
    }

    pub fn insert(&mut self, waiter: Waiter) -> WaiterKey {
        self.arena.insert(waiter)
    }

    pub fn remove(&mut self, key: WaiterKey) -> Option<Waiter> {
        self.arena.remove(key)
    }
}

/// For keys whose waiter is known to exist.
impl Index<WaiterKey> for Waiters {
    type Output = Waiter;

    fn index(&self, key: WaiterKey) -> &Waiter {
        &self.arena[key]
    }
}

impl IndexMut<WaiterKey> for Waiters {
    fn index_mut(&mut self, key: WaiterKey) -> &mut Waiter {
        &mut self.arena[key]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_at_is_known_until_it_is_taken_out() {
        let key = |n| SubKey::from_parts(n, 1);
        let mut seen = Seen::default();
        assert!([1, 2, 3].iter().all(|n| seen.insert(key(*n))));
        assert!(![1, 2, 3].iter().any(|n| seen.insert(key(*n))));
        seen.remove(key(1));
        assert!(!seen.insert(key(2)));
        assert!(seen.insert(key(1)));
        seen.remove(key(3));
        assert!(seen.insert(key(3)));
        assert!(![1, 2, 3].iter().any(|n| seen.insert(key(*n))));
    }
}
