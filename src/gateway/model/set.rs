//! Resource sets: what a client is sent with an answer or an event, since it does not hold
//! it (RES-Client protocol, "Resource set").

use super::keys::{AliasKey, SubKey};
use crate::res::version::ValueForm;
use std::ops::Range;

/// What one client lacks.
#[derive(Debug, Default)]
pub struct Set {
    pub members: Vec<Member>,
    /// The subscriptions that the members' references hold.
    children: Vec<SubKey>,
}

/// One resource of a set.
#[derive(Clone, Debug)]
pub struct Member {
    pub sub: SubKey,
    pub alias: AliasKey,
    /// The version of the content; 0 for an error.
    pub version: u64,
    /// Its place among the children of all members.
    children: Range<usize>,
}

impl Member {
    pub fn alias(&self) -> AliasKey {
        self.alias
    }

    /// A member without references, for tests of what is kept of sets.
    #[cfg(test)]
    pub fn leaf(sub: SubKey, alias: AliasKey, version: u64) -> Self {
        let children = 0..0;
        Self {
            sub,
            alias,
            version,
            children,
        }
    }
}

impl Set {
    /// Adds a resource, and the subscriptions that its references hold, which `children`
    /// appends to a list. Returns the latter.
    pub fn push(
        &mut self,
        sub: SubKey,
        alias: AliasKey,
        version: u64,
        children: impl FnOnce(&mut Vec<SubKey>),
    ) -> &[SubKey] {
        let first = self.children.len();
        children(&mut self.children);
        self.members.push(Member {
            sub,
            alias,
            version,
            children: first..self.children.len(),
        });
        &self.children[first..]
    }

    pub fn children_of(&self, member: &Member) -> &[SubKey] {
        &self.children[member.children.clone()]
    }
}

/// What the text of a set depends on, beside the dialect: resource IDs and versions. Sets
/// with errors in them have none.
#[derive(Debug, PartialEq)]
pub struct SetKey(Box<[(AliasKey, u64)]>);

impl SetKey {
    pub fn of(set: &[Member]) -> Option<Self> {
        let parts = set.iter().map(|member| (member.alias, member.version));
        let has_error = set.iter().any(|member| member.version == 0);
        (!has_error).then(|| Self(parts.collect()))
    }

    pub fn is_of(&self, set: &[Member]) -> bool {
        self.0.len() == set.len()
            && (self.0.iter().zip(set))
                .all(|(part, member)| *part == (member.alias, member.version))
    }

    pub fn size(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// What the text of an answer depends on beside its set: the dialect, and the resource that
/// a resource response names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnswerForm {
    pub values: ValueForm,
    pub named: Option<AliasKey>,
}
