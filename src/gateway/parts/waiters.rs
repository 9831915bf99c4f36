//! What waits for whole trees: requests and events that can be sent only when everything
//! that they bring is loaded.

use crate::gateway::model::arena::Arena;
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{ClientKey, SubKey, WaiterKey, of};
use crate::gateway::model::way::Way;
use hashbrown::HashSet;
use std::fmt;
use std::ops::{Index, IndexMut};
use std::rc::Rc;

/// A request or an event that waits.
#[derive(Debug)]
pub struct Waiter {
    client: ClientKey,
    cause: Awaiting,
    /// How far all that it brings is known to be loaded.
    walk: Walk,
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
            walk: Walk::Done,
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
        self.is_complete() && self.admitted
    }

    /// Whether nothing below it is being loaded.
    pub fn is_complete(&self) -> bool {
        matches!(self.walk, Walk::Done)
    }

    /// Whether it waits for what its walk has come to.
    pub fn is_stopped(&self) -> bool {
        matches!(self.walk, Walk::Stopped(_))
    }

    /// An event that brings one subscription, which is being loaded.
    pub fn event_with(client: ClientKey, sub: SubKey, brought: SubKey) -> Self {
        Self {
            walk: Walk::Stopped(Way::from(Few::One(brought))),
            brought: Few::One(brought),
            ..Self::event(client, sub)
        }
    }

    /// Begins to look for what is being loaded below some subscriptions.
    pub fn set_out(&mut self, roots: Few<SubKey>) {
        debug_assert!(self.is_complete(), "one walk ends before the next one");
        self.walk = Walk::Going(Way::from(roots));
    }

    /// The walk that goes on. It goes back by [`Waiter::stay`], unless it is over.
    pub fn take_walk(&mut self) -> Option<Way> {
        match std::mem::replace(&mut self.walk, Walk::Done) {
            Walk::Going(way) => Some(way),
            other => {
                self.walk = other;
                None
            }
        }
    }

    /// The walk is not over: it has stopped at what is being loaded, or goes on later.
    pub fn stay(&mut self, way: Way, is_stopped: bool) {
        self.walk = match is_stopped {
            true => Walk::Stopped(way),
            false => Walk::Going(way),
        };
    }

    /// Notes that the walk looks below a subscription. Whether it has not before.
    pub fn see(&mut self, key: SubKey) -> bool {
        self.seen.insert(key)
    }

    /// What the walk has stopped at was loaded, or failed to be: it goes on, and first with
    /// these of what that holds.
    pub fn go_on(&mut self, key: SubKey, children: Option<Rc<[SubKey]>>) {
        match std::mem::replace(&mut self.walk, Walk::Done) {
            Walk::Stopped(mut way) => {
                way.pass();
                if let Some(children) = children
                    && self.seen.insert(key)
                {
                    way.descend_to(children);
                }
                // Most wait for one resource, and are through with it.
                if way.place().is_some() {
                    self.walk = Walk::Going(way);
                }
            }
            other => {
                debug_assert!(false, "what is loaded was waited for");
                self.walk = other;
            }
        }
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

/// A walk through what was not sent, which stops at what is being loaded.
#[derive(Debug)]
enum Walk {
    /// None, or it is over.
    Done,
    /// It goes on by itself.
    Going(Way),
    /// It goes on when what it has come to is loaded.
    Stopped(Way),
}

/// Subscriptions that a waiter has looked below. Most events that wait do so for one.
#[derive(Debug, Default)]
struct Seen {
    first: Option<SubKey>,
    others: Option<Box<HashSet<SubKey, foldhash::fast::RandomState>>>,
}

impl Seen {
    /// Whether it was not among them.
    fn insert(&mut self, key: SubKey) -> bool {
        match self.first {
            None if self.others.is_none() => {
                self.first = Some(key);
                true
            }
            first => first != Some(key) && self.others.get_or_insert_default().insert(key),
        }
    }

    fn remove(&mut self, key: SubKey) {
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
    /// The same and its events, as a stream.
    Stream,
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribe(id) | Self::Ended(id) => write!(f, "request {id}, subscribe"),
            Self::Get(id) => write!(f, "request {id}, get"),
            Self::Resource(id) | Self::EndedResource(id) => write!(f, "request {id}, resource"),
            Self::Web => f.write_str("HTTP GET"),
            Self::Stream => f.write_str("HTTP GET, stream"),
        }
    }
}

impl Want {
    pub fn subscribes(self) -> bool {
        matches!(self, Self::Subscribe(_) | Self::Resource(_) | Self::Stream)
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
