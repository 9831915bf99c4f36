//! The search for what nothing outside holds among what was not sent: a look at everything
//! below some subscriptions, which may hold each other in circles. What the client holds has
//! its parents at hand, see `anchor`.

use crate::gateway::Gateway;
use crate::gateway::model::keys::SubKey;
use crate::gateway::parts::holdings::{Hold, Sub};
use hashbrown::HashMap;

/// Which holders of a subscription a search counts, beside direct ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    /// Open requests and parents that the client does not hold.
    Unsent,
    /// All of them.
    All,
}

impl Counting {
    /// Whether a subscription could be without a holder of this kind.
    fn is_candidate(self, sub: &Sub) -> bool {
        sub.holders.asked() == 0
            && match self {
                Self::Unsent => !sub.standing.is_sent(),
                // What hangs on something is held.
                Self::All => !sub.hangs(),
            }
    }

    /// Its parents that count.
    fn parents(self, sub: &Sub) -> u32 {
        match self {
            Self::Unsent => sub.holders.parents(Hold::Unsent),
            Self::All => sub.holders.all_parents(),
        }
    }
}

/// What is reachable from where a search began.
#[derive(Default)]
struct Reach {
    order: Vec<SubKey>,
    /// By key: its place, and how many of its holders lie within.
    places: HashMap<SubKey, (usize, u32), foldhash::fast::RandomState>,
    /// What each one holds.
    edges: Vec<Vec<SubKey>>,
}

impl Reach {
    /// The place of a subscription, which is new to the search or not.
    fn reach(&mut self, key: SubKey) -> &mut u32 {
        let place = self.order.len();
        let (_, within) = self.places.entry(key).or_insert_with(|| {
            self.order.push(key);
            (place, 0)
        });
        within
    }

    /// Whether each one is anchored: held from outside, or by one that is.
    fn anchor(&self, mut anchored: Vec<bool>) -> Vec<bool> {
        let mut reached: Vec<usize> = (0..anchored.len()).filter(|i| anchored[*i]).collect();
        while let Some(parent) = reached.pop() {
            for child in &self.edges[parent] {
                let child = self.places[child].0;
                if !std::mem::replace(&mut anchored[child], true) {
                    reached.push(child);
                }
            }
        }
        anchored
    }
}

impl Gateway {
    /// What is reachable from some subscriptions and held only from within that: no
    /// direct subscription, and no parent or open request outside that counts.
    pub(super) fn unanchored(&mut self, roots: &[SubKey], counting: Counting) -> Vec<SubKey> {
        let reach = self.reach(roots, counting);
        self.work.spend(reach.order.len());
        // Whoever has a holder outside anchors all that it reaches.
        let is_held_outside =
            |key: &SubKey| counting.parents(&self.holdings[*key]) > reach.places[key].1;
        let anchored = reach.order.iter().map(is_held_outside).collect();
        let anchored = reach.anchor(anchored);
        let found = reach.order.into_iter().zip(anchored);
        found
            .filter(|(_, anchored)| !anchored)
            .map(|(key, _)| key)
            .collect()
    }

    fn reach(&self, roots: &[SubKey], counting: Counting) -> Reach {
        let mut reach = Reach::default();
        for root in roots {
            if counting.is_candidate(&self.holdings[*root]) {
                reach.reach(*root);
            }
        }
        let mut at = 0;
        while at < reach.order.len() {
            let key = reach.order[at];
            let mut children = self.children(key);
            if counting == Counting::All {
                children.extend(self.old_children(key));
                children.extend(self.awaited(key));
            }
            children.retain(|child| counting.is_candidate(&self.holdings[*child]));
            for child in &children {
                *reach.reach(*child) += 1;
            }
            reach.edges.push(children);
            at += 1;
        }
        reach
    }
}
