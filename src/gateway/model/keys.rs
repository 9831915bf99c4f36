//! Keys: what one thing knows another by. Whoever has a key has no way to what it names but
//! through the table that keeps it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// The place of an entry, and which of the entries that were ever there it means.
pub struct Key<T> {
    pub index: u32,
    pub generation: u32,
    pub kind: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key from its two halves, as [`Key::index`] and [`Key::generation`] gave them.
    pub fn from_parts(index: u32, generation: u32) -> Self {
        Self {
            index,
            generation,
            kind: PhantomData,
        }
    }

    pub fn index(self) -> u32 {
        self.index
    }

    pub fn generation(self) -> u32 {
        self.generation
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.generation) == (other.index, other.generation)
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.generation) << 32 | u64::from(self.index));
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// A connection to the broker, by its number. What was subscribed or sent on an earlier one
/// is not known to the broker any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection(u32);

impl Connection {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// The one that is made next. Their numbers go round.
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1).max(1))
    }
}

/// Says what a key is of.
pub mod of {
    pub enum Name {}
    pub enum Resource {}
    pub enum Alias {}
    pub enum Sub {}
    pub enum Waiter {}
    pub enum Pending {}
    pub enum ResetThrottle {}
    pub enum TreeThrottle {}
    pub enum Window {}
}

/// A resource name.
pub type NameKey = Key<of::Name>;
/// A loaded resource.
pub type ResourceKey = Key<of::Resource>;
/// A resource ID as clients write it.
pub type AliasKey = Key<of::Alias>;
/// What one client holds of one alias.
pub type SubKey = Key<of::Sub>;
/// The window of a service.
pub type WindowKey = Key<of::Window>;
/// A request or an event that waits.
pub type WaiterKey = Key<of::Waiter>;
/// A request to a service.
pub type PendingKey = Key<of::Pending>;
/// What the requests of one reset event share.
pub type ResetKey = Key<of::ResetThrottle>;
/// What the get requests of one tree share.
pub type TreeKey = Key<of::TreeThrottle>;

/// The caller's key of a connection: an index that the caller reuses only after
/// `Gateway::client_closed`. It must be small (slab-like), since it indexes a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(pub u32);

/// A client as it was when something was asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRef {
    pub key: ClientKey,
    pub serial: u32,
}
