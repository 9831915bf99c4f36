//! Subscriptions that may have lost their last holder, until they are looked at.

use crate::gateway::model::keys::SubKey;

/// Entries for which each list keeps room.
const KEPT: usize = 1 << 12;

/// What is to be looked at, in the order of its kinds.
#[derive(Debug, Default)]
pub struct Suspects {
    /// Those that only each other holds: they are dropped.
    adrift: Pile,
    /// Those that have lost a holder, the last one first.
    suspects: Pile,
    /// Those that were not sent, and may be held only by what is below them.
    doubtful: Pile,
}

/// A list, and how many of its entries were there when it was last asked whose they are.
#[derive(Debug, Default)]
struct Pile {
    keys: Vec<SubKey>,
    attributed: usize,
}

impl Pile {
    fn pop(&mut self) -> Option<SubKey> {
        let key = self.keys.pop();
        self.attributed = self.attributed.min(self.keys.len());
        key
    }

    fn attribute(&mut self) -> &[SubKey] {
        let from = std::mem::replace(&mut self.attributed, self.keys.len());
        &self.keys[from..]
    }
}

impl Suspects {
    /// Whether nothing is to be looked at.
    pub fn is_empty(&self) -> bool {
        let piles = [&self.adrift, &self.suspects, &self.doubtful];
        piles.iter().all(|pile| pile.keys.is_empty())
    }

    /// A subscription may have lost its last holder.
    pub fn suspect(&mut self, key: SubKey) {
        self.suspects.keys.push(key);
    }

    /// Only each other holds some subscriptions.
    pub fn set_adrift(&mut self, keys: Vec<SubKey>) {
        self.adrift.keys.extend(keys);
    }

    /// A subscription that was not sent may be held only by what is below it.
    pub fn doubt(&mut self, key: SubKey) {
        self.doubtful.keys.push(key);
    }

    /// The next of those that only each other holds.
    pub fn take_adrift(&mut self) -> Option<SubKey> {
        self.adrift.pop()
    }

    /// The suspect that was named last.
    pub fn take_suspect(&mut self) -> Option<SubKey> {
        self.suspects.pop()
    }

    /// All that are doubtful.
    pub fn take_doubtful(&mut self) -> Vec<SubKey> {
        self.doubtful.attributed = 0;
        std::mem::take(&mut self.doubtful.keys)
    }

    /// Those that were added since this was last asked, and are still there.
    pub fn attribute(&mut self) -> impl Iterator<Item = SubKey> {
        let adrift = self.adrift.attribute().iter();
        let suspects = self.suspects.attribute().iter();
        let doubtful = self.doubtful.attribute().iter();
        adrift.chain(suspects).chain(doubtful).copied()
    }

    /// Gives back memory that an unusual input has taken.
    pub fn trim(&mut self) {
        for pile in [&mut self.adrift, &mut self.suspects, &mut self.doubtful] {
            pile.keys.shrink_to(KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> SubKey {
        SubKey::from_parts(n, 1)
    }

    #[test]
    fn each_is_attributed_once() {
        let mut suspects = Suspects::default();
        let attribute = |suspects: &mut Suspects| suspects.attribute().collect::<Vec<_>>();
        suspects.suspect(key(1));
        suspects.suspect(key(2));
        suspects.doubt(key(3));
        suspects.set_adrift(vec![key(4)]);
        assert_eq!(attribute(&mut suspects), [key(4), key(1), key(2), key(3)]);
        assert!(attribute(&mut suspects).is_empty());
        assert_eq!(suspects.take_suspect(), Some(key(2)));
        suspects.suspect(key(5));
        assert_eq!(attribute(&mut suspects), [key(5)]);
        assert_eq!(suspects.take_adrift(), Some(key(4)));
        assert_eq!(suspects.take_doubtful(), [key(3)]);
        suspects.doubt(key(6));
        assert_eq!(attribute(&mut suspects), [key(6)]);
        while suspects.take_suspect().is_some() {}
        assert!(!suspects.is_empty());
        suspects.take_doubtful();
        assert!(suspects.is_empty());
    }
}
