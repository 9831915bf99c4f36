//! How often a content references each resource.

use crate::res::Value;
use std::hash::BuildHasher;
use std::rc::Rc;

/// Most entries of a leaf, unless their hashes are equal.
const LEAF: usize = 32;

/// Entries that four leaves may have together to be made one.
const SMALL: usize = LEAF / 4;

/// Bits of a hash that a fork looks at.
const BITS: u32 = 2;

/// How often each resource is referenced. Most models reference none, and keep no table.
///
/// A table of many is a tree by the bits of the hashes, so that a clone shares what neither
/// side changes.
#[derive(Clone, Debug, Default)]
pub struct References(Option<Box<Table>>);

#[derive(Clone, Debug, Default)]
struct Table {
    hasher: foldhash::fast::RandomState,
    /// Resources.
    distinct: usize,
    /// Values that reference them.
    values: usize,
    root: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<Entry>),
    Fork([Rc<Node>; 1 << BITS]),
}

#[derive(Clone, Debug)]
struct Entry {
    hash: u32,
    count: u32,
    rid: Rc<str>,
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

impl References {
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|table| table.distinct == 0)
    }

    /// How many resources are referenced.
    pub fn distinct(&self) -> usize {
        self.0.as_ref().map_or(0, |table| table.distinct)
    }

    /// Whether a resource is referenced twice.
    pub fn has_repeated(&self) -> bool {
        let table = self.0.as_ref();
        table.is_some_and(|table| table.distinct != table.values)
    }

    pub fn contains(&self, rid: &str) -> bool {
        self.count(rid) > 0
    }

    /// How often a resource is referenced.
    pub fn count(&self, rid: &str) -> u32 {
        let Some(table) = &self.0 else { return 0 };
        let hash = table.hash(rid);
        let (mut node, mut rest) = (&table.root, hash);
        loop {
            match node {
                Node::Fork(below) => {
                    node = &below[place(rest)];
                    rest >>= BITS;
                }
                Node::Leaf(entries) => {
                    let found = entries.iter().find(|entry| entry.is(hash, rid));
                    return found.map_or(0, |entry| entry.count);
                }
            }
        }
    }

    /// Counts a value's reference; returns it when it is the first of its kind.
    pub fn add(&mut self, value: &Value) -> Option<Rc<str>> {
        let rid = value.reference()?;
        let table = self.0.get_or_insert_default();
        table.values += 1;
        let hash = table.hash(rid);
        let (mut node, mut depth) = (&mut table.root, 0);
        loop {
            if let Node::Leaf(entries) = node {
                if let Some(entry) = entries.iter_mut().find(|entry| entry.is(hash, rid)) {
                    entry.count += 1;
                    return None;
                }
                if entries.len() < LEAF || depth >= u32::BITS {
                    let (count, rid) = (1, rid.clone());
                    entries.push(Entry { hash, count, rid });
                    table.distinct += 1;
                    return Some(entries[entries.len() - 1].rid.clone());
                }
                let mut parts = [const { Vec::new() }; 1 << BITS];
                for entry in std::mem::take(entries) {
                    parts[place(entry.hash >> depth)].push(entry);
                }
                *node = Node::Fork(parts.map(|part| Rc::new(Node::Leaf(part))));
            }
            if let Node::Fork(below) = node {
                node = Rc::make_mut(&mut below[place(hash >> depth)]);
                depth += BITS;
            } else {
                return None; // It was made a fork above.
            }
        }
    }

    /// Uncounts a value's reference; returns it when it was the last of its kind.
    pub fn remove(&mut self, value: &Value) -> Option<Rc<str>> {
        let rid = value.reference()?;
        let table = self.0.as_mut()?;
        let hash = table.hash(rid);
        let found = remove_from(&mut table.root, hash, rid, 0);
        table.values -= usize::from(found != Removed::Nothing);
        let Removed::Last(rid) = found else {
            return None;
        };
        table.distinct -= 1;
        Some(rid)
    }
}

impl PartialEq for References {
    /// Whether both count the same.
    fn eq(&self, other: &Self) -> bool {
        fn entries(node: &Node, into: &mut Vec<(Rc<str>, u32)>) {
            match node {
                Node::Leaf(leaf) => {
                    into.extend(leaf.iter().map(|entry| (entry.rid.clone(), entry.count)));
                }
                Node::Fork(below) => below.iter().for_each(|node| entries(node, into)),
            }
        }
        let all = |references: &Self| {
            let mut all = Vec::new();
            if let Some(table) = &references.0 {
                entries(&table.root, &mut all);
            }
            all.sort();
            all
        };
        let is_counted = |references: &Self, all: &[(Rc<str>, u32)]| {
            let values: u32 = all.iter().map(|(_, count)| count).sum();
            let table = references.0.as_ref();
            let counts = table.map_or((0, 0), |table| (table.distinct, table.values));
            counts == (all.len(), values as usize)
        };
        let (these, those) = (all(self), all(other));
        these == those && is_counted(self, &these) && is_counted(other, &those)
    }
}

impl Table {
    fn hash(&self, rid: &str) -> u32 {
        self.hasher.hash_one(rid) as u32
    }
}

impl Entry {
    fn is(&self, hash: u32, rid: &str) -> bool {
        self.hash == hash && *self.rid == *rid
    }
}

/// Where a fork leads for what is left of a hash.
fn place(rest: u32) -> usize {
    (rest & ((1 << BITS) - 1)) as usize
}

/// What became of a reference that was uncounted.
#[derive(PartialEq, Eq)]
enum Removed {
    /// It was not there.
    Nothing,
    One,
    Last(Rc<str>),
}

/// Uncounts a reference below a node. The recursion is as deep as a hash has bits for.
fn remove_from(node: &mut Node, hash: u32, rid: &str, depth: u32) -> Removed {
    let below = match node {
        Node::Fork(below) => below,
        Node::Leaf(entries) => {
            let Some(at) = entries.iter().position(|entry| entry.is(hash, rid)) else {
                return Removed::Nothing;
            };
            entries[at].count -= 1;
            return match entries[at].count {
                0 => Removed::Last(entries.swap_remove(at).rid),
                _ => Removed::One,
            };
        }
    };
    let next = Rc::make_mut(&mut below[place(hash.checked_shr(depth).unwrap_or(0))]);
    let removed = remove_from(next, hash, rid, depth + BITS);
    if matches!(removed, Removed::Last(_))
        && let Some(entries) = small_leaf(below)
    {
        *node = Node::Leaf(entries);
    }
    removed
}

/// All entries of a fork's leaves, if they are few.
fn small_leaf(below: &[Rc<Node>]) -> Option<Vec<Entry>> {
    let mut count = 0;
    for node in below {
        match &**node {
            Node::Leaf(entries) => count += entries.len(),
            Node::Fork(_) => return None,
        }
    }
    let mut all = Vec::new();
    for node in below.iter().filter(|_| count <= SMALL) {
        if let Node::Leaf(entries) = &**node {
            all.extend_from_slice(entries);
        }
    }
    (count <= SMALL).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::random::Random;
    use crate::res::value;
    use std::collections::BTreeMap;

    fn reference(n: u64) -> Value {
        let raw = format!(r#"{{"rid":"test.item.{n}"}}"#);
        value::parse(&raw).unwrap().unwrap()
    }

    fn check(references: &References, counts: &BTreeMap<u64, u32>) {
        let mut fresh = References::default();
        for (n, count) in counts {
            for _ in 0..*count {
                fresh.add(&reference(*n));
            }
            assert_eq!(references.count(&format!("test.item.{n}")), *count);
        }
        assert!(*references == fresh);
        assert_eq!(references.distinct(), counts.len());
        assert_eq!(references.is_empty(), counts.is_empty());
        assert_eq!(
            references.has_repeated(),
            counts.values().any(|count| *count > 1)
        );
    }

    #[test]
    fn counts_as_a_plain_map_does_and_clones_are_others() {
        let mut random = Random::new([1, 2, 3, 4]);
        let mut pick = |n: u64| random.next() % n;
        for kinds in [1, 10, 100, 3_000] {
            let mut tables = vec![(References::default(), BTreeMap::new()); 3];
            for (adds, steps) in [(8, 8_000), (1, 8_000)] {
                for _ in 0..steps {
                    let which = pick(3) as usize;
                    if pick(500) == 0 {
                        tables[which] = tables[pick(3) as usize].clone();
                    }
                    let (references, counts) = &mut tables[which];
                    let n = pick(kinds);
                    let rid: Rc<str> = format!("test.item.{n}").into();
                    if pick(10) < adds {
                        let count = counts.entry(n).or_insert(0);
                        *count += 1;
                        let first = (*count == 1).then_some(rid);
                        assert_eq!(references.add(&reference(n)), first);
                    } else {
                        let is_last = counts.get_mut(&n).is_some_and(|count| {
                            *count -= 1;
                            *count == 0
                        });
                        if is_last {
                            counts.remove(&n);
                        }
                        let last = is_last.then_some(rid);
                        assert_eq!(references.remove(&reference(n)), last);
                    }
                }
                tables
                    .iter()
                    .for_each(|(references, counts)| check(references, counts));
            }
        }
    }

    #[test]
    fn other_counts_are_not_equal() {
        let of = |numbers: &[u64]| {
            let mut references = References::default();
            for n in numbers {
                references.add(&reference(*n));
            }
            references
        };
        let different: [&[u64]; 5] = [&[], &[1], &[1, 1], &[2], &[1, 2]];
        for (i, a) in different.iter().enumerate() {
            for (j, b) in different.iter().enumerate() {
                assert_eq!(of(a) == of(b), i == j, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn what_becomes_empty_keeps_no_tree() {
        let mut references = References::default();
        for n in 0..1_000 {
            references.add(&reference(n));
        }
        for n in 0..1_000 {
            references.remove(&reference(n));
        }
        let table = references.0.unwrap();
        assert!(matches!(&table.root, Node::Leaf(entries) if entries.is_empty()));
    }

    #[test]
    fn values_that_are_no_references_do_not_count() {
        let mut references = References::default();
        let soft = value::parse(r#"{"rid":"test.item.1","soft":true}"#).unwrap();
        assert_eq!(references.add(&soft.unwrap()), None);
        assert!(references.is_empty() && references.0.is_none());
    }
}
