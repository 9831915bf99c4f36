//! What waits for whole trees: requests and events that can be sent only when everything
//! that they bring is loaded.

use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{ClientKey, SubKey};
use hashbrown::HashSet;

/// A request or an event that waits.
pub struct Waiter {
    pub client: ClientKey,
    pub cause: Cause,
    /// Subscriptions below it that are being loaded.
    pub missing: u32,
    /// Whether access has been granted.
    pub admitted: bool,
    /// Whether access was put in question after it was asked for this.
    pub questioned: bool,
    /// What an event brings, while it waits for that.
    pub brought: Few<SubKey>,
    pub seen: Seen,
}

/// Subscriptions that a waiter has looked at. Most events that wait do so for one.
#[derive(Default)]
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
pub enum Cause {
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

impl Want {
    pub fn subscribes(self) -> bool {
        matches!(self, Self::Subscribe(_) | Self::Resource(_))
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
