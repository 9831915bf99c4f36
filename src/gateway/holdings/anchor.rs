//! Hints at who holds a subscription, so that most that lose a holder need not be searched
//! for the others.
//!
//! Each subscription remembers the place of the parent that brought it. Hints are checked
//! when they are used and may be out of date: a chain of true ones that ends at a direct
//! subscription proves that all in it are held, a broken one proves nothing.

use crate::gateway::Gateway;
use crate::gateway::model::keys::SubKey;
use crate::gateway::parts::holdings::Standing;

/// Hints that are followed before a search is the better choice.
const LONGEST_CHAIN: usize = 64;

/// Parents found by a search that goes from those that are held to what they hold,
/// nearest first. Places are those in the order of the search.
pub struct ParentHints {
    /// How far each is from the first ones, and the parent to hint at.
    found: Vec<Option<(u32, u32)>>,
}

impl ParentHints {
    pub fn new(length: usize) -> Self {
        Self {
            found: vec![None; length],
        }
    }

    fn distance(&self, place: usize) -> u32 {
        self.found[place].map_or(0, |(distance, _)| distance)
    }

    /// A child is reached for the first time.
    pub fn reached(&mut self, child: usize, parent: usize) {
        self.found[child] = Some((self.distance(parent) + 1, parent as u32));
    }

    /// A child is reached from a further parent. Of those that are equally near, chance
    /// decides: whichever end of a list is removed first, the hints must not go first.
    pub fn reached_again(&mut self, child: usize, parent: usize) {
        let distance = self.distance(parent) + 1;
        if let Some((found, hint)) = &mut self.found[child]
            && *found == distance
            && scatter(parent as u32) < scatter(*hint)
        {
            *hint = parent as u32;
        }
    }

    /// Children and their parents.
    pub fn into_iter(self) -> impl Iterator<Item = (usize, usize)> {
        let found = self.found.into_iter().enumerate();
        found.filter_map(|(child, hint)| hint.map(|(_, parent)| (child, parent as usize)))
    }
}

/// An order of places that has nothing to do with their own.
fn scatter(place: u32) -> u32 {
    let mixed = place.wrapping_mul(0x9E37_79B9);
    (mixed ^ mixed >> 15).wrapping_mul(0x85EB_CA6B)
}

impl Gateway {
    /// Remembers the parent that has just begun to hold a subscription, unless others do
    /// already: the first one is nearest to what is held directly.
    pub(in crate::gateway) fn hint_parent(&mut self, child: SubKey, parent: SubKey) {
        if self.holdings[child].holders.all_parents() == 1 {
            self.holdings.hint_parent(child, parent);
        }
    }

    /// Whether a subscription is known to be held by what the client holds, without a
    /// search. `false` proves nothing.
    pub(super) fn is_known_to_be_held(&self, key: SubKey) -> bool {
        let mut at = key;
        for _ in 0..LONGEST_CHAIN {
            let sub = &self.holdings[at];
            if !sub.standing.is_sent() {
                return false;
            }
            if sub.holders.direct() > 0 {
                return true;
            }
            let Some(parent) = self.holdings.hinted_parent(at) else {
                return false;
            };
            if self.holdings[parent].client() != sub.client() || !self.is_parent(parent, at) {
                return false;
            }
            at = parent;
        }
        false
    }

    /// Whether the content that the client holds of one subscription references another.
    fn is_parent(&self, parent: SubKey, child: SubKey) -> bool {
        let holds = match &self.holdings[parent].standing {
            Standing::Live => true,
            // While an update is half done, what is referenced is not simply the content's.
            Standing::Lagging(lag) => lag.sent && !lag.is_between(),
            _ => false,
        };
        let id = self.cache.rid(self.holdings[child].alias());
        holds
            && self
                .content(parent)
                .is_some_and(|content| content.has_reference(id))
    }
}
