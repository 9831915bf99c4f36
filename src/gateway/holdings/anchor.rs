//! What a subscription hangs on: the way up, from parent to parent, to something that is held
//! directly.
//!
//! Each that the client holds, and not directly, hangs on one of its parents. While that one
//! keeps it nothing has to be looked for, whatever other parents come and go. If it lets go,
//! the parents are gone through upwards, nearest first, until one is found that hangs on
//! something else. If there is none, all that was come to holds only itself.

use crate::gateway::Gateway;
use crate::gateway::model::keys::SubKey;
use crate::gateway::parts::holdings::Hold;
use hashbrown::{HashMap, HashSet};

/// What a look upwards has found.
pub(super) enum Found {
    /// It hangs on another parent now.
    Anchor,
    /// Nothing outside of these, which it is the first of, holds any of them as the client's.
    Nothing(Vec<SubKey>),
}

/// What is known of a subscription during one look upwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It hangs on something that is held directly.
    Anchored,
    /// It hangs on something that has lost its own parent.
    Adrift,
    /// The same, and its parents are being gone through.
    Visited,
}

type Verdicts = HashMap<SubKey, Verdict, foldhash::fast::RandomState>;

impl Gateway {
    /// Looks for a parent that a subscription may hang on, which has lost the one that it
    /// hung on. Those on the way there hang on each other then.
    pub(super) fn find_anchor(&mut self, key: SubKey) -> Found {
        let mut verdicts = Verdicts::default();
        // Each with the place of the one that it was come to from.
        let mut order = vec![(key, 0)];
        verdicts.insert(key, Verdict::Visited);
        let mut at = 0;
        while at < order.len() {
            let below = order[at].0;
            let mut anchor = None;
            for parent in self.holdings.parents(below) {
                match self.look_up_from(parent, &mut verdicts) {
                    Verdict::Anchored => {
                        anchor = Some(parent);
                        break;
                    }
                    Verdict::Adrift => {
                        verdicts.insert(parent, Verdict::Visited);
                        order.push((parent, at));
                    }
                    Verdict::Visited => {}
                }
            }
            if let Some(anchor) = anchor {
                self.work.spend(verdicts.len());
                self.hang(&order, at, anchor);
                return Found::Anchor;
            }
            at += 1;
        }
        self.work.spend(verdicts.len());
        Found::Nothing(order.into_iter().map(|(key, _)| key).collect())
    }

    /// Hangs the subscription at a place on an anchor, and those that led to it on each other.
    fn hang(&mut self, order: &[(SubKey, usize)], mut at: usize, anchor: SubKey) {
        let mut led = HashSet::<SubKey, foldhash::fast::RandomState>::default();
        let mut parent = anchor;
        loop {
            let (key, from) = order[at];
            led.insert(key);
            self.holdings.hang(key, parent);
            if at == 0 {
                break;
            }
            (parent, at) = (key, from);
        }
        // What is held directly may hang on something too, which must not be one of these: it
        // would hang on itself when it is not held directly any more.
        let (mut direct, mut next) = (None, Some(anchor));
        while let Some(key) = next {
            if led.contains(&key) {
                if let Some(direct) = direct {
                    self.holdings.unhang(direct);
                }
                return;
            }
            if self.holdings[key].holders.direct() > 0 {
                direct = Some(key);
            }
            next = self.holdings.tree(key);
        }
    }

    /// Goes up from a subscription to where it hangs.
    fn look_up_from(&self, key: SubKey, verdicts: &mut Verdicts) -> Verdict {
        if let Some(verdict) = verdicts.get(&key) {
            return *verdict;
        }
        let mut way = Vec::new();
        let mut next = key;
        let verdict = loop {
            match verdicts.get(&next) {
                Some(Verdict::Anchored) => break Verdict::Anchored,
                Some(_) => break Verdict::Adrift,
                None if self.holdings[next].holders.direct() > 0 => break Verdict::Anchored,
                None => {}
            }
            way.push(next);
            match self.holdings.tree(next) {
                Some(parent) => next = parent,
                None => break Verdict::Adrift,
            }
        };
        verdicts.extend(way.into_iter().map(|key| (key, verdict)));
        verdict
    }

    /// Whether nothing but each other holds any of some subscriptions that have no anchor.
    pub(super) fn hold_only_each_other(&self, adrift: &[SubKey]) -> bool {
        adrift.iter().all(|key| {
            let holders = &self.holdings[*key].holders;
            holders.open() == 0 && holders.parents(Hold::Unsent) == 0
        })
    }
}
