//! Resource sets: what a client is sent with an answer or an event, since it does not hold
//! it (RES-Client protocol, "Resource set").

use super::few::Few;
use super::keys::{AliasKey, SubKey};
use crate::res::version::ValueForm;
use hashbrown::HashSet;
use std::ops::Range;

/// What one client lacks.
#[derive(Debug, Default)]
pub struct Set {
    pub members: Vec<Member>,
    /// The subscriptions that the members' references hold.
    children: Vec<SubKey>,
}

/// A set as it is sent.
#[derive(Clone, Copy, Debug)]
pub struct SetView<'a> {
    pub members: &'a [Member],
    children: &'a [SubKey],
}

impl<'a> SetView<'a> {
    /// One resource without references.
    pub fn leaf(member: &'a Member) -> Self {
        Self {
            members: std::slice::from_ref(member),
            children: &[],
        }
    }

    pub fn children_of(self, member: &Member) -> &'a [SubKey] {
        &self.children[member.children.clone()]
    }
}

/// A set that is being put together: what is below some subscriptions, as far as it is known.
#[derive(Debug, Default)]
pub struct Gathering {
    pub set: Set,
    /// What was found to be loading still.
    pub loading: Vec<SubKey>,
    /// Those that may be come to again.
    seen: Option<HashSet<SubKey, foldhash::fast::RandomState>>,
    roots: Few<SubKey>,
    /// How many of the roots are taken.
    taken: usize,
    /// What is to be looked at before the next root; the last one is next.
    stack: Vec<SubKey>,
    /// How many references of the last member are gone through, if not all are.
    pub open: Option<usize>,
    /// Whether it is of all that the client holds, and not of what it lacks.
    pub is_whole: bool,
}

impl Gathering {
    pub fn below(roots: &[SubKey]) -> Self {
        Self {
            roots: Few::from(roots),
            ..Self::default()
        }
    }

    /// All that a client holds below a subscription, and that itself.
    pub fn of_all_below(root: SubKey) -> Self {
        Self {
            is_whole: true,
            ..Self::below(&[root])
        }
    }

    /// The subscription that is to be looked at next.
    pub fn take_next(&mut self) -> Option<SubKey> {
        if let Some(key) = self.stack.pop() {
            return Some(key);
        }
        let root = self.roots.as_slice().get(self.taken).copied();
        self.taken += usize::from(root.is_some());
        root
    }

    /// Whether a subscription that may be come to again is so for the first time.
    pub fn is_new(&mut self, key: SubKey) -> bool {
        self.seen.get_or_insert_default().insert(key)
    }

    /// The references of the last member are gone through.
    pub fn close(&mut self) {
        self.open = None;
        self.stack.extend(self.set.last_children().iter().rev());
    }

    /// Whether nothing is left to be looked at.
    pub fn is_over(&self) -> bool {
        let is_last = self.taken == self.roots.as_slice().len();
        self.open.is_none() && self.stack.is_empty() && is_last
    }
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

    /// A member without references.
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
    pub fn view(&self) -> SetView<'_> {
        SetView {
            members: &self.members,
            children: &self.children,
        }
    }

    /// Adds a resource.
    pub fn push(&mut self, sub: SubKey, alias: AliasKey, version: u64) {
        let first = self.children.len();
        self.members.push(Member {
            sub,
            alias,
            version,
            children: first..first,
        });
    }

    /// Adds subscriptions that the references of the last member hold, which `children`
    /// appends to a list.
    pub fn push_children<T>(&mut self, children: impl FnOnce(&mut Vec<SubKey>) -> T) -> T {
        let result = children(&mut self.children);
        if let Some(last) = self.members.last_mut() {
            last.children.end = self.children.len();
        }
        result
    }

    /// The subscriptions that the last member's references hold.
    pub fn last_children(&self) -> &[SubKey] {
        self.members
            .last()
            .map_or(&[], |last| self.children_of(last))
    }

    /// Moves members behind the others, by their places in order. The order is kept
    /// otherwise.
    pub fn move_back(&mut self, places: &[u32]) {
        let mut next = places.iter().peekable();
        let mut moved = Vec::with_capacity(places.len());
        let mut place = 0;
        self.members.retain(|member| {
            let moves = next.next_if(|next| **next == place).is_some();
            if moves {
                moved.push(member.clone());
            }
            place += 1;
            !moves
        });
        self.members.append(&mut moved);
    }

    pub fn children_of(&self, member: &Member) -> &[SubKey] {
        &self.children[member.children.clone()]
    }
}

/// The members of a set in the order in which they are written: models, collections and errors,
/// each by their resource IDs. And how many have been written.
#[derive(Debug, Default)]
pub struct Writing {
    order: Few<u32>,
    /// Where each of the groups ends.
    ends: [usize; 3],
    written: usize,
}

/// The names of the groups.
pub const GROUPS: [&str; 3] = ["models", "collections", "errors"];

/// What is written next.
#[derive(Debug)]
pub struct Turn {
    /// The member's place in the set.
    pub member: usize,
    /// The group that it opens, if it does.
    pub opens: Option<&'static str>,
    /// Whether it is the first of all.
    pub is_first: bool,
    /// Whether it closes its group.
    pub closes: bool,
}

impl Writing {
    /// One member, of a group.
    pub fn one(group: usize) -> Self {
        Self {
            order: Few::One(0),
            ends: std::array::from_fn(|at| usize::from(at >= group)),
            written: 0,
        }
    }

    /// The groups have their members in order.
    pub fn of(groups: [Vec<u32>; 3]) -> Self {
        let mut order = Vec::with_capacity(groups.iter().map(Vec::len).sum());
        let ends = groups.map(|group| {
            order.extend(group);
            order.len()
        });
        Self {
            order: Few::More(order),
            ends,
            written: 0,
        }
    }

    /// Whether all are written.
    pub fn is_over(&self) -> bool {
        self.written == self.order.as_slice().len()
    }
}

impl Iterator for Writing {
    type Item = Turn;

    fn next(&mut self) -> Option<Turn> {
        let (at, member) = (self.written, *self.order.as_slice().get(self.written)?);
        self.written += 1;
        let group = self.ends.iter().position(|end| at < *end)?;
        let begin = match group {
            0 => 0,
            group => self.ends[group - 1],
        };
        Some(Turn {
            member: member as usize,
            opens: (at == begin).then_some(GROUPS[group]),
            is_first: at == 0,
            closes: at + 1 == self.ends[group],
        })
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
    /// For a client that is told the tags of what it is sent: how many resources it is not
    /// sent, since it has them.
    pub same: Option<u32>,
}
