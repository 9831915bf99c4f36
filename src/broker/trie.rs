//! Which subscriptions a subject has: a trie of their patterns' tokens.
//!
//! A node is found by its parent and its token, in one table for all, so that a node with
//! one child costs no more than one with a million. What a subject costs is its tokens,
//! however many subscriptions there are, and the wildcards that fit.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use slab::Slab;

use super::subject::tokens;

/// A subscription's key.
pub(super) type SubKey = u32;

/// A node's place.
pub(super) type NodeKey = u32;

const ROOT: NodeKey = 0;
const NONE: NodeKey = u32::MAX;

/// A prefix of patterns, or a queue group of one pattern.
#[derive(Debug)]
struct Node {
    parent: NodeKey,
    /// The last token, or the name of the group.
    name: Box<[u8]>,
    is_group: bool,
    /// Nodes below it, groups included.
    children: u32,
    /// Those for the wildcards.
    star: NodeKey,
    rest: NodeKey,
    /// Its place among the groups of its parent.
    place: u32,
    subs: Vec<SubKey>,
    groups: Vec<NodeKey>,
}

impl Node {
    fn new(parent: NodeKey, name: &[u8], is_group: bool) -> Self {
        Self {
            parent,
            name: name.into(),
            is_group,
            children: 0,
            star: NONE,
            rest: NONE,
            place: 0,
            subs: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// Where a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) node: NodeKey,
    pub(super) place: u32,
}

/// What a subject is delivered to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Matches {
    /// Subscriptions that get it.
    pub(super) subs: Vec<SubKey>,
    /// Groups of which one subscription gets it.
    pub(super) groups: Vec<NodeKey>,
}

impl Matches {
    pub(super) fn clear(&mut self) {
        self.subs.clear();
        self.groups.clear();
    }
}

/// All patterns.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Slab<Node>,
    index: HashTable<NodeKey>,
    hasher: FixedState,
    /// Nodes that the walk has yet to look at, each with the token that comes next.
    todo: Vec<(NodeKey, u32)>,
    /// Ends of the subject's tokens.
    ends: Vec<u32>,
}

impl Trie {
    /// An empty one; the seed keeps others from choosing tokens that collide.
    pub(super) fn new(seed: u64) -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::new(NONE, b"", false));
        Self {
            nodes,
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            todo: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Adds a subscription; where it is from now on.
    pub(super) fn insert(&mut self, pattern: &[u8], queue: &[u8], sub: SubKey) -> Spot {
        let mut node = ROOT;
        for token in tokens(pattern) {
            node = self.child_or_new(node, token, false);
        }
        if !queue.is_empty() {
            node = self.child_or_new(node, queue, true);
        }
        let subs = &mut self.nodes[node as usize].subs;
        subs.push(sub);
        Spot {
            node,
            place: subs.len() as u32 - 1,
        }
    }

    /// Takes a subscription out. The one that is returned is in its place now.
    pub(super) fn remove(&mut self, spot: Spot) -> Option<SubKey> {
        let subs = &mut self.nodes[spot.node as usize].subs;
        subs.swap_remove(spot.place as usize);
        let moved = subs.get(spot.place as usize).copied();
        self.prune(spot.node);
        moved
    }

    /// Members of a group.
    pub(super) fn members(&self, group: NodeKey) -> &[SubKey] {
        let group = self.nodes.get(group as usize);
        group.map_or(&[], |group| &group.subs)
    }

    /// Adds what a subject is delivered to; returns how many nodes were looked at.
    pub(super) fn collect(&mut self, subject: &[u8], out: &mut Matches) -> usize {
        self.ends.clear();
        let mut start = 0;
        for token in tokens(subject) {
            // No pattern has an empty one.
            if token.is_empty() {
                return 0;
            }
            start += token.len() + 1;
            self.ends.push(start as u32 - 1);
        }
        self.todo.clear();
        self.todo.push((ROOT, 0));
        let mut looked = 0;
        while let Some((key, at)) = self.todo.pop() {
            looked += 1;
            let node = &self.nodes[key as usize];
            let Some(&end) = self.ends.get(at as usize) else {
                out.subs.extend_from_slice(&node.subs);
                out.groups.extend_from_slice(&node.groups);
                continue;
            };
            if let Some(rest) = self.nodes.get(node.rest as usize) {
                out.subs.extend_from_slice(&rest.subs);
                out.groups.extend_from_slice(&rest.groups);
            }
            if node.star != NONE {
                self.todo.push((node.star, at + 1));
            }
            if node.children == 0 {
                continue;
            }
            let start = match at {
                0 => 0,
                _ => self.ends[at as usize - 1] as usize + 1,
            };
            let token = &subject[start..end as usize];
            // Wildcards in a subject are no wildcards.
            if !matches!(token, b"*" | b">")
                && let Some(child) = self.child(key, token, false)
            {
                self.todo.push((child, at + 1));
            }
        }
        looked
    }

    fn hash(&self, parent: NodeKey, name: &[u8], is_group: bool) -> u64 {
        let tag = u64::from(parent) << 1 | u64::from(is_group);
        self.hasher.hash_one((tag, name))
    }

    fn child(&self, parent: NodeKey, name: &[u8], is_group: bool) -> Option<NodeKey> {
        let hash = self.hash(parent, name, is_group);
        let found = self.index.find(hash, |&key| {
            let node = &self.nodes[key as usize];
            node.parent == parent && node.is_group == is_group && *node.name == *name
        });
        found.copied()
    }

    fn child_or_new(&mut self, parent: NodeKey, name: &[u8], is_group: bool) -> NodeKey {
        if let Some(child) = self.child(parent, name, is_group) {
            return child;
        }
        let mut node = Node::new(parent, name, is_group);
        let above = &mut self.nodes[parent as usize];
        above.children += 1;
        node.place = above.groups.len() as u32;
        let key = self.nodes.insert(node) as NodeKey;
        let above = &mut self.nodes[parent as usize];
        match (is_group, name) {
            (true, _) => above.groups.push(key),
            (false, b"*") => above.star = key,
            (false, b">") => above.rest = key,
            _ => {}
        }
        let hash = self.hash(parent, name, is_group);
        let Self {
            nodes,
            index,
            hasher,
            ..
        } = self;
        index.insert_unique(hash, key, |&other| {
            let node = &nodes[other as usize];
            let tag = u64::from(node.parent) << 1 | u64::from(node.is_group);
            hasher.hash_one((tag, &*node.name))
        });
        key
    }

    /// Removes a node that nothing needs, and those above it for which that is true then.
    fn prune(&mut self, mut key: NodeKey) {
        while key != ROOT {
            let node = &self.nodes[key as usize];
            if node.children > 0 || !node.subs.is_empty() {
                return;
            }
            let hash = self.hash(node.parent, &node.name, node.is_group);
            if let Ok(entry) = self.index.find_entry(hash, |&other| other == key) {
                entry.remove();
            }
            let node = self.nodes.remove(key as usize);
            let above = &mut self.nodes[node.parent as usize];
            above.children -= 1;
            match (node.is_group, &*node.name) {
                (true, _) => {
                    above.groups.swap_remove(node.place as usize);
                    if let Some(&moved) = above.groups.get(node.place as usize) {
                        self.nodes[moved as usize].place = node.place;
                    }
                }
                (false, b"*") => above.star = NONE,
                (false, b">") => above.rest = NONE,
                _ => {}
            }
            key = node.parent;
        }
    }

    /// Nodes beside the root.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Counts everything anew: children, groups, indexes and places. `spot_of` is where
    /// each subscription says that it is. Panics where something is wrong.
    pub(super) fn audit(&self, subs: usize, spot_of: impl Fn(SubKey) -> Spot) {
        let mut found = 0;
        let mut children = vec![0; self.nodes.iter().map(|(key, _)| key + 1).max().unwrap_or(1)];
        for (key, node) in &self.nodes {
            for (place, &sub) in node.subs.iter().enumerate() {
                let spot = Spot {
                    node: key as NodeKey,
                    place: place as u32,
                };
                assert_eq!(spot_of(sub), spot, "a subscription knows where it is");
                found += 1;
            }
            if key == ROOT as usize {
                continue;
            }
            children[node.parent as usize] += 1;
            let child = self.child(node.parent, &node.name, node.is_group);
            assert_eq!(child, Some(key as NodeKey), "a node is found");
            assert!(node.children > 0 || !node.subs.is_empty(), "a node is used");
            if node.is_group {
                let groups = &self.nodes[node.parent as usize].groups;
                assert_eq!(groups[node.place as usize], key as NodeKey);
            }
        }
        for (key, node) in &self.nodes {
            assert_eq!(node.children, children[key], "children are counted");
            for (wild, name) in [(node.star, b"*"), (node.rest, b">")] {
                let child = self.child(key as NodeKey, name, false);
                assert_eq!(child.unwrap_or(NONE), wild, "wildcards are known");
            }
        }
        assert_eq!(found, subs, "subscriptions are counted");
        assert_eq!(self.index.len(), self.len(), "the index has no others");
    }
}
