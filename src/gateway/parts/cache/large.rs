//! Large inputs of a name that are acted on over turns: first they are read, then it is
//! worked out what they make of a resource. The name's other inputs wait until that is done.

use crate::gateway::model::content::{Changing, Making, Renewing};
use crate::gateway::model::keys::{AliasKey, ResourceKey};
use crate::res::reading::{ChangeReading, ResourceReading};

/// A large input, and how far it is.
#[derive(Debug)]
pub struct Large {
    pub stage: Stage,
    /// Bytes of its payload.
    pub size: usize,
}

#[derive(Debug)]
pub enum Stage {
    /// A change event is read.
    ReadChange(ResourceKey, ChangeReading),
    /// What it changes is changed.
    Change(ResourceKey, Changing),
    /// An answer to the get request of an alias is read.
    ReadFirst(AliasKey, ResourceReading),
    /// The resource that it has is made, with its query.
    Make(AliasKey, Box<str>, Making),
    /// An answer to the get request of a resource in doubt is read.
    ReadAgain(ResourceKey, ResourceReading),
    /// What it has is compared with what is cached.
    Renew(ResourceKey, Renewing),
}

impl Large {
    pub fn new(stage: Stage, size: usize) -> Box<Self> {
        Box::new(Self { stage, size })
    }

    /// Roughly the memory that it costs, in bytes: its text, and what is made of it.
    pub(super) fn memory(&self) -> usize {
        4 * self.size
    }
}
