//! The parents of each subscription that the client holds, so that the way up from it can be
//! gone. Most have one, which costs nothing beside its place.

use crate::gateway::model::slots::Slots;
use hashbrown::HashSet;

/// The place of no subscription.
pub const NOWHERE: u32 = u32::MAX;

/// Marks the place of a list in [`Lists`].
const LIST: u32 = 1 << 31;

/// Parents from which on they are found by hash.
const MANY: usize = 16;

/// The parents of one subscription: none, one place, or a list in [`Lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parents(u32);

impl Default for Parents {
    fn default() -> Self {
        Self(NOWHERE)
    }
}

/// Several parents of one subscription.
#[derive(Debug)]
enum List {
    Few(Vec<u32>),
    Many(HashSet<u32, foldhash::fast::FixedState>),
}

/// The lists of all subscriptions with several parents.
#[derive(Debug, Default)]
pub struct Lists {
    lists: Slots<List>,
}

impl Lists {
    /// Adds a parent, which must not be among them.
    pub fn add(&mut self, parents: &mut Parents, place: u32) {
        debug_assert!(place < LIST && !self.iter(*parents).any(|other| other == place));
        match parents.0 {
            NOWHERE => parents.0 = place,
            one if one & LIST == 0 => {
                parents.0 = LIST | self.lists.insert(List::Few(vec![one, place])) as u32;
            }
            list => match &mut self.lists[(list & !LIST) as usize] {
                List::Few(few) if few.len() < MANY => few.push(place),
                there => there.many().extend([place]),
            },
        }
    }

    /// Takes a parent out. One that is not among them is no mistake.
    pub fn remove(&mut self, parents: &mut Parents, place: u32) {
        match parents.0 {
            NOWHERE => {}
            one if one & LIST == 0 => {
                if one == place {
                    parents.0 = NOWHERE;
                }
            }
            list => {
                let index = (list & !LIST) as usize;
                let is_empty = match &mut self.lists[index] {
                    List::Few(few) => {
                        if let Some(at) = few.iter().position(|other| *other == place) {
                            few.swap_remove(at);
                        }
                        few.is_empty()
                    }
                    List::Many(many) => {
                        many.remove(&place);
                        many.is_empty()
                    }
                };
                if is_empty {
                    self.clear(parents);
                }
            }
        }
    }

    /// Takes all parents out.
    pub fn clear(&mut self, parents: &mut Parents) {
        if parents.0 != NOWHERE && parents.0 & LIST != 0 {
            self.lists.remove((parents.0 & !LIST) as usize);
        }
        parents.0 = NOWHERE;
    }

    /// The places of the parents.
    pub fn iter(&self, parents: Parents) -> impl Iterator<Item = u32> {
        let (one, few, many) = match parents.0 {
            NOWHERE => (None, None, None),
            one if one & LIST == 0 => (Some(one), None, None),
            list => match &self.lists[(list & !LIST) as usize] {
                List::Few(few) => (None, Some(few), None),
                List::Many(many) => (None, None, Some(many)),
            },
        };
        let few = few.into_iter().flatten();
        one.into_iter()
            .chain(few.copied())
            .chain(many.into_iter().flatten().copied())
    }

    /// How many subscriptions have several parents.
    pub fn len(&self) -> usize {
        self.lists.len()
    }
}

impl List {
    /// Makes it one that is found by hash.
    fn many(&mut self) -> &mut HashSet<u32, foldhash::fast::FixedState> {
        if let Self::Few(few) = self {
            *self = Self::Many(few.iter().copied().collect());
        }
        match self {
            Self::Many(many) => many,
            Self::Few(_) => unreachable!("it was made large above"),
        }
    }
}

impl Parents {
    /// Whether they need a list.
    pub fn is_list(self) -> bool {
        self.0 != NOWHERE && self.0 & LIST != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn parents_come_and_go_in_any_number() {
        let (mut lists, mut parents) = (Lists::default(), Parents::default());
        let mut expected = BTreeSet::new();
        let check = |lists: &Lists, parents: Parents, expected: &BTreeSet<u32>| {
            let there = BTreeSet::from_iter(lists.iter(parents));
            assert_eq!(
                (&there, lists.iter(parents).count()),
                (expected, there.len())
            );
        };
        for n in 0..3 * MANY as u32 {
            lists.add(&mut parents, n * 7);
            expected.insert(n * 7);
            check(&lists, parents, &expected);
        }
        lists.remove(&mut parents, 1);
        for n in (0..3 * MANY as u32).rev() {
            check(&lists, parents, &expected);
            lists.remove(&mut parents, n * 7);
            expected.remove(&(n * 7));
        }
        assert_eq!((parents, lists.len()), (Parents::default(), 0));
        lists.remove(&mut parents, 1);
        lists.add(&mut parents, 3);
        lists.add(&mut parents, 4);
        assert!(parents.is_list());
        lists.clear(&mut parents);
        assert_eq!((lists.iter(parents).count(), lists.len()), (0, 0));
    }
}
