//! Subscriptions of all clients, and which of them a subject has.

use std::hash::BuildHasher;
use std::rc::Rc;

use foldhash::fast::FixedState;
use slab::Slab;

use super::subject::has_wildcard;
use super::trie::{Matches, NodeKey, Spot, SubKey, Trie};

/// Subjects whose matches are kept.
const KEPT: usize = 1_024;

/// The longest subject of which they are kept, and the most subscriptions.
const KEPT_LEN: usize = 256;
const KEPT_SUBS: usize = 4_096;

/// Who has a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The gateway itself.
    Gateway,
    /// The service in this process.
    Resident,
    /// A client, by its place in the table.
    Client(u32),
}

/// The number by which its owner knows a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sid {
    Number(u64),
    Text(Rc<[u8]>),
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) owner: Owner,
    pub(super) sid: Sid,
    /// Whether its pattern has wildcards.
    pub(super) is_wild: bool,
    /// Messages so far, and after how many it ends; 0 for never.
    pub(super) count: u64,
    pub(super) max: u64,
    /// What it costs in memory, about.
    pub(super) cost: usize,
    /// How many there were before it.
    pub(super) serial: u64,
    spot: Spot,
}

/// What is known of a subject that was published to.
#[derive(Debug, Default)]
struct Known {
    /// The hash of the last subject that had this place.
    hash: u64,
    subject: Box<[u8]>,
    matches: Rc<Matches>,
    /// The state of the subscriptions that it is true for; 0 for none.
    generation: u64,
}

/// All subscriptions.
#[derive(Debug)]
pub(super) struct Router {
    trie: Trie,
    subs: Slab<Subscription>,
    known: Vec<Known>,
    hasher: FixedState,
    /// Grows with each change.
    generation: u64,
    serial: u64,
    /// State of the numbers that choose members of groups.
    random: u64,
    scratch: Rc<Matches>,
}

impl Router {
    pub(super) fn new(seed: [u64; 2]) -> Self {
        Self {
            trie: Trie::new(seed[0]),
            subs: Slab::new(),
            known: Vec::new(),
            hasher: FixedState::with_seed(seed[1]),
            generation: 1,
            serial: 0,
            random: seed[1] | 1,
            scratch: Rc::default(),
        }
    }

    /// Adds a subscription; the pattern is valid.
    pub(super) fn subscribe(
        &mut self,
        owner: Owner,
        sid: Sid,
        pattern: &[u8],
        queue: &[u8],
        cost: usize,
    ) -> SubKey {
        self.generation += 1;
        self.serial += 1;
        let entry = self.subs.vacant_entry();
        let key = entry.key() as SubKey;
        entry.insert(Subscription {
            owner,
            sid,
            is_wild: has_wildcard(pattern),
            count: 0,
            max: 0,
            cost,
            serial: self.serial,
            spot: self.trie.insert(pattern, queue, key),
        });
        key
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&mut self, key: SubKey) -> Option<Subscription> {
        let sub = self.subs.try_remove(key as usize)?;
        self.generation += 1;
        if let Some(moved) = self.trie.remove(sub.spot) {
            self.subs[moved as usize].spot = sub.spot;
        }
        Some(sub)
    }

    pub(super) fn get(&self, key: SubKey) -> Option<&Subscription> {
        self.subs.get(key as usize)
    }

    pub(super) fn get_mut(&mut self, key: SubKey) -> Option<&mut Subscription> {
        self.subs.get_mut(key as usize)
    }

    /// How many subscriptions there have been.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.subs.len()
    }

    pub(super) fn members(&self, group: NodeKey) -> &[SubKey] {
        self.trie.members(group)
    }

    /// What a subject is delivered to, and what it cost to find out.
    ///
    /// A subject that comes for the second time is kept: subjects for answers come once.
    pub(super) fn matches(&mut self, subject: &[u8]) -> (Rc<Matches>, usize) {
        if self.known.is_empty() {
            self.known.resize_with(KEPT, Known::default);
        }
        let hash = self.hasher.hash_one(subject);
        let known = &mut self.known[hash as usize % KEPT];
        if known.generation == self.generation && known.hash == hash && *known.subject == *subject {
            return (Rc::clone(&known.matches), 1);
        }
        let is_again = std::mem::replace(&mut known.hash, hash) == hash;
        known.generation = 0;
        if Rc::get_mut(&mut self.scratch).is_none() {
            self.scratch = Rc::default();
        }
        let mut looked = 1;
        if let Some(scratch) = Rc::get_mut(&mut self.scratch) {
            scratch.clear();
            looked += self.trie.collect(subject, scratch);
        }
        let is_small = self.scratch.subs.len() + self.scratch.groups.len() <= KEPT_SUBS;
        if is_again && is_small && subject.len() <= KEPT_LEN {
            let known = &mut self.known[hash as usize % KEPT];
            if *known.subject != *subject {
                known.subject = subject.into();
            }
            known.matches = Rc::clone(&self.scratch);
            known.generation = self.generation;
        }
        (Rc::clone(&self.scratch), looked)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        // Marsaglia's xorshift: it need not be hard to guess.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }

    /// Panics where a count or index is wrong.
    pub(super) fn audit(&self) {
        self.trie
            .audit(self.subs.len(), |key| self.subs[key as usize].spot);
    }

    /// All subscriptions.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SubKey, &Subscription)> {
        self.subs.iter().map(|(key, sub)| (key as SubKey, sub))
    }
}

#[cfg(test)]
mod tests;
