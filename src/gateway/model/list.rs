//! Lists that may be long: a change anywhere in one moves a bounded number of entries, and
//! a clone shares what neither side changes.

use std::cmp::Ordering;
use std::rc::Rc;

/// Most entries of a leaf. A list that is no longer is one `Vec`.
pub const LEAF: usize = 64;

/// Most links of a fork.
pub const FAN: usize = 32;

/// A list: short ones are a vector, long ones a tree whose leaves hold the entries in order
/// and whose forks know how many entries each link leads to (a B+ tree by position).
///
/// All leaves are at the same depth. But for the first and the last leaf, which grow from
/// one entry, leaves and forks below the root are at least a quarter full.
#[derive(Clone, Debug)]
pub struct List<T>(Form<T>);

#[derive(Clone, Debug)]
enum Form<T> {
    Short(Vec<T>),
    Long(Box<Tree<T>>),
}

#[derive(Clone, Debug)]
struct Tree<T> {
    length: usize,
    root: Link<T>,
}

#[derive(Debug)]
enum Link<T> {
    Leaf(Rc<Vec<T>>),
    Fork(Rc<Fork<T>>),
}

#[derive(Clone, Debug)]
struct Fork<T> {
    /// How many entries each link leads to.
    lengths: Vec<usize>,
    links: Vec<Link<T>>,
}

/// Whether nothing of the list is before or behind a part of it. There it grows in most
/// cases, and leaves are left full.
#[derive(Clone, Copy)]
struct Edges {
    first: bool,
    last: bool,
}

impl<T> Clone for Link<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(leaf) => Self::Leaf(leaf.clone()),
            Self::Fork(fork) => Self::Fork(fork.clone()),
        }
    }
}

impl<T> List<T> {
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Short(values) => values.len(),
            Form::Long(tree) => tree.length,
        }
    }

    pub fn get(&self, at: usize) -> Option<&T> {
        match &self.0 {
            Form::Short(values) => values.get(at),
            Form::Long(tree) => tree.root.get(at),
        }
    }

    pub fn iter(&self) -> Iter<'_, T> {
        self.iter_from(0)
    }

    /// The entries from a place on.
    pub fn iter_from(&self, at: usize) -> Iter<'_, T> {
        match &self.0 {
            Form::Short(values) => Iter {
                leaf: values.get(at..).unwrap_or_default().iter(),
                above: Vec::new(),
            },
            Form::Long(tree) => tree.root.iter_from(at),
        }
    }

    /// Finds an entry in a list that is sorted by what `compare` says of its entries
    /// compared with the one that is looked for.
    ///
    /// # Errors
    /// The place where such an entry would stand, if there is none.
    pub fn find(&self, compare: impl Fn(&T) -> Ordering) -> Result<(usize, &T), usize> {
        let (mut before, mut link) = match &self.0 {
            Form::Short(values) => return find_within(values, 0, compare),
            Form::Long(tree) => (0, &tree.root),
        };
        loop {
            match link {
                Link::Leaf(leaf) => return find_within(leaf, before, compare),
                Link::Fork(fork) => {
                    // The last link that begins with no later entry.
                    let begins = |link: &Link<T>| {
                        let first = link.first();
                        first.is_some_and(|first| compare(first) != Ordering::Greater)
                    };
                    let at = fork.links.partition_point(begins).saturating_sub(1);
                    before += fork.lengths[..at].iter().sum::<usize>();
                    link = &fork.links[at];
                }
            }
        }
    }
}

fn find_within<T>(
    values: &[T],
    before: usize,
    compare: impl Fn(&T) -> Ordering,
) -> Result<(usize, &T), usize> {
    match values.binary_search_by(compare) {
        Ok(at) => Ok((before + at, &values[at])),
        Err(at) => Err(before + at),
    }
}

impl<T: Clone> List<T> {
    /// Adds an entry at a place, which is not behind the end. Returns how many entries and
    /// links were moved for it.
    pub fn insert(&mut self, at: usize, value: T) -> usize {
        match &mut self.0 {
            Form::Short(values) if values.len() < LEAF => {
                values.insert(at, value);
                values.len() - at
            }
            Form::Short(values) => {
                let mut list = Self::from_long(std::mem::take(values));
                let moved = list.insert(at, value);
                *self = list;
                LEAF + moved
            }
            Form::Long(tree) => {
                let mut moved = 0;
                let edges = Edges {
                    first: true,
                    last: true,
                };
                if let Some(right) = tree.root.insert(at, value, edges, &mut moved) {
                    let left = std::mem::replace(&mut tree.root, Link::Leaf(Rc::default()));
                    tree.root = Link::fork(vec![left, right]);
                }
                tree.length += 1;
                moved
            }
        }
    }

    /// Takes out the entry at a place, which is below the length. Returns it and how many
    /// entries and links were moved.
    pub fn remove(&mut self, at: usize) -> (T, usize) {
        match &mut self.0 {
            Form::Short(values) => {
                let value = values.remove(at);
                (value, values.len() - at + 1)
            }
            Form::Long(tree) => {
                let mut moved = 0;
                let value = tree.root.remove(at, &mut moved);
                tree.length -= 1;
                while let Link::Fork(fork) = &tree.root
                    && let [only] = &fork.links[..]
                {
                    tree.root = only.clone();
                }
                if let Link::Leaf(leaf) = &mut tree.root {
                    let values = Rc::make_mut(leaf);
                    values.shrink_to_fit();
                    self.0 = Form::Short(std::mem::take(values));
                }
                (value, moved)
            }
        }
    }

    /// Puts an entry in the place of another one, which it returns.
    pub fn replace(&mut self, at: usize, value: T) -> T {
        let place = match &mut self.0 {
            Form::Short(values) => &mut values[at],
            Form::Long(tree) => tree.root.get_mut(at),
        };
        std::mem::replace(place, value)
    }

    /// A list that is long, in leaves that are nearly full.
    fn from_long(values: Vec<T>) -> Self {
        let length = values.len();
        let links = pack(values, LEAF, |values| Link::Leaf(Rc::new(values)));
        Self::of_links(length, links)
    }

    fn of_links(length: usize, mut links: Vec<Link<T>>) -> Self {
        while links.len() > 1 {
            links = pack(links, FAN, Link::fork);
        }
        let root = links.pop().unwrap_or(Link::Leaf(Rc::default()));
        Self(Form::Long(Box::new(Tree { length, root })))
    }
}

/// A list that is put together entry by entry.
#[derive(Debug)]
pub struct Builder<T> {
    leaf: Vec<T>,
    /// Full leaves before it.
    leaves: Vec<Link<T>>,
}

impl<T> Default for Builder<T> {
    fn default() -> Self {
        Self {
            leaf: Vec::new(),
            leaves: Vec::new(),
        }
    }
}

impl<T: Clone> Builder<T> {
    /// Adds an entry at the end.
    pub fn push(&mut self, value: T) {
        if self.leaf.len() == LEAF {
            let leaf = std::mem::replace(&mut self.leaf, Vec::with_capacity(LEAF));
            self.leaves.push(Link::Leaf(Rc::new(leaf)));
        }
        self.leaf.push(value);
    }

    /// The list.
    pub fn finish(mut self) -> List<T> {
        self.leaf.shrink_to_fit();
        if self.leaves.is_empty() {
            return List(Form::Short(self.leaf));
        }
        let length = self.leaves.len() * LEAF + self.leaf.len();
        self.leaves.push(Link::Leaf(Rc::new(self.leaf)));
        List::of_links(length, self.leaves)
    }
}

impl<T: Clone> From<Vec<T>> for List<T> {
    fn from(mut values: Vec<T>) -> Self {
        if values.len() > LEAF {
            return Self::from_long(values);
        }
        // It is kept for long.
        values.shrink_to_fit();
        Self(Form::Short(values))
    }
}

/// Divides entries into as few parts of nearly equal size as there can be.
fn pack<T, P>(values: Vec<T>, most: usize, make: impl Fn(Vec<T>) -> P) -> Vec<P> {
    let mut rest = values.len();
    let parts = rest.div_ceil(most);
    let mut values = values.into_iter();
    let parts = (0..parts).rev().map(|behind| {
        let size = rest.div_ceil(behind + 1);
        rest -= size;
        let mut part = Vec::with_capacity(size);
        part.extend(values.by_ref().take(size));
        make(part)
    });
    parts.collect()
}

impl<T> Link<T> {
    fn fork(links: Vec<Self>) -> Self {
        let lengths = links.iter().map(Self::len).collect();
        Self::Fork(Rc::new(Fork { lengths, links }))
    }

    /// How many entries are below it.
    fn len(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::Fork(fork) => fork.lengths.iter().sum(),
        }
    }

    /// Whether a link has so few entries, or links, that it is to be filled up from the
    /// one beside it.
    fn is_sparse(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.len() < LEAF / 4,
            Self::Fork(fork) => fork.links.len() < FAN / 4,
        }
    }

    fn first(&self) -> Option<&T> {
        let mut link = self;
        loop {
            match link {
                Self::Leaf(leaf) => return leaf.first(),
                Self::Fork(fork) => link = fork.links.first()?,
            }
        }
    }

    fn get(&self, mut at: usize) -> Option<&T> {
        let mut link = self;
        loop {
            match link {
                Self::Leaf(leaf) => return leaf.get(at),
                Self::Fork(fork) => {
                    let place;
                    (place, at) = fork.place(at);
                    link = &fork.links[place];
                }
            }
        }
    }

    fn iter_from(&self, mut at: usize) -> Iter<'_, T> {
        let (mut link, mut above) = (self, Vec::new());
        loop {
            match link {
                Self::Leaf(leaf) => {
                    let leaf = leaf.get(at..).unwrap_or_default().iter();
                    return Iter { leaf, above };
                }
                Self::Fork(fork) => {
                    let place;
                    (place, at) = fork.place(at);
                    above.push(fork.links[place + 1..].iter());
                    link = &fork.links[place];
                }
            }
        }
    }
}

impl<T: Clone> Link<T> {
    fn get_mut(&mut self, at: usize) -> &mut T {
        match self {
            Self::Leaf(leaf) => &mut Rc::make_mut(leaf)[at],
            Self::Fork(fork) => {
                let (place, at) = fork.place(at);
                Rc::make_mut(fork).links[place].get_mut(at)
            }
        }
    }

    /// Adds an entry. Returns what has to stand behind this link, where it was full. The
    /// recursion is as deep as the tree: less than seven for a million entries.
    fn insert(&mut self, at: usize, value: T, edges: Edges, moved: &mut usize) -> Option<Self> {
        let fork = match self {
            Self::Leaf(leaf) => return insert_into_leaf(leaf, at, value, edges, moved),
            Self::Fork(fork) => Rc::make_mut(fork),
        };
        let (place, at) = fork.place(at);
        let within = Edges {
            first: edges.first && place == 0,
            last: edges.last && place + 1 == fork.links.len(),
        };
        fork.lengths[place] += 1;
        let right = fork.links[place].insert(at, value, within, moved)?;
        let behind = right.len();
        fork.lengths[place] -= behind;
        *moved += fork.links.len() - place;
        fork.links.insert(place + 1, right);
        fork.lengths.insert(place + 1, behind);
        if fork.links.len() <= FAN {
            return None;
        }
        *moved += FAN / 2;
        Some(Self::Fork(Rc::new(fork.split_off(FAN / 2))))
    }

    /// Takes out an entry.
    fn remove(&mut self, at: usize, moved: &mut usize) -> T {
        let fork = match self {
            Self::Leaf(leaf) => {
                let values = Rc::make_mut(leaf);
                *moved += values.len() - at;
                return values.remove(at);
            }
            Self::Fork(fork) => Rc::make_mut(fork),
        };
        let (place, at) = fork.place(at);
        fork.lengths[place] -= 1;
        let value = fork.links[place].remove(at, moved);
        if fork.links[place].is_sparse() && fork.links.len() > 1 {
            fork.fill_up(place.saturating_sub(1), moved);
        }
        value
    }
}

fn insert_into_leaf<T: Clone>(
    leaf: &mut Rc<Vec<T>>,
    at: usize,
    value: T,
    edges: Edges,
    moved: &mut usize,
) -> Option<Link<T>> {
    let values = Rc::make_mut(leaf);
    *moved += values.len() - at + 1;
    if values.len() < LEAF {
        if values.len() == values.capacity() {
            // No more than can ever be used.
            let room = (values.len() / 2).max(4).min(LEAF - values.len());
            values.reserve_exact(room);
        }
        values.insert(at, value);
        return None;
    }
    if edges.last && at == LEAF {
        return Some(Link::Leaf(Rc::new(vec![value])));
    }
    if edges.first && at == 0 {
        let right = std::mem::replace(values, vec![value]);
        return Some(Link::Leaf(Rc::new(right)));
    }
    *moved += LEAF / 2;
    let mut right = values.split_off(LEAF / 2);
    match at.checked_sub(LEAF / 2) {
        Some(at) if at > 0 => right.insert(at, value),
        _ => values.insert(at, value),
    }
    Some(Link::Leaf(Rc::new(right)))
}

impl<T> Fork<T> {
    /// The link that leads to a place, and the place behind it. The end is behind the last.
    fn place(&self, mut at: usize) -> (usize, usize) {
        let last = self.links.len() - 1;
        for (place, length) in self.lengths[..last].iter().enumerate() {
            if at < *length {
                return (place, at);
            }
            at -= length;
        }
        (last, at)
    }

    fn split_off(&mut self, at: usize) -> Self {
        Self {
            lengths: self.lengths.split_off(at),
            links: self.links.split_off(at),
        }
    }
}

impl<T: Clone> Fork<T> {
    /// Makes one of two neighbours, or two that are equally full.
    fn fill_up(&mut self, left: usize, moved: &mut usize) {
        let [Some(first), Some(second)] = [left, left + 1].map(|at| self.links.get(at)) else {
            return;
        };
        let (mut first, mut second) = (first.clone(), second.clone());
        let is_one = match (&mut first, &mut second) {
            (Link::Leaf(first), Link::Leaf(second)) => {
                // The tree holds them too: what is shared with others is copied here.
                let (mut all, behind) = (first.to_vec(), second.to_vec());
                *moved += all.len() + behind.len();
                all.extend(behind);
                *second = Rc::new(all.split_off(half_if_beyond(all.len(), LEAF)));
                *first = Rc::new(all);
                second.is_empty()
            }
            (Link::Fork(first), Link::Fork(second)) => {
                let (mut all, behind) = (Fork::clone(first), Fork::clone(second));
                *moved += all.links.len() + behind.links.len();
                all.lengths.extend(behind.lengths);
                all.links.extend(behind.links);
                *second = Rc::new(all.split_off(half_if_beyond(all.links.len(), FAN)));
                *first = Rc::new(all);
                second.links.is_empty()
            }
            _ => return, // All leaves are at the same depth.
        };
        self.lengths[left] = first.len();
        self.links[left] = first;
        if is_one {
            self.lengths.remove(left + 1);
            self.links.remove(left + 1);
            *moved += self.links.len() - left;
        } else {
            self.lengths[left + 1] = second.len();
            self.links[left + 1] = second;
        }
    }
}

/// Where so many entries are to be divided.
fn half_if_beyond(count: usize, most: usize) -> usize {
    if count > most { count / 2 } else { count }
}

/// A walk over a list.
pub struct Iter<'a, T> {
    leaf: std::slice::Iter<'a, T>,
    /// What comes behind the leaf, the nearest last.
    above: Vec<std::slice::Iter<'a, Link<T>>>,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(value) = self.leaf.next() {
                return Some(value);
            }
            match self.above.last_mut()?.next() {
                None => {
                    self.above.pop();
                }
                Some(Link::Leaf(leaf)) => self.leaf = leaf.iter(),
                Some(Link::Fork(fork)) => self.above.push(fork.links.iter()),
            }
        }
    }
}

impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T> List<T> {
    /// Checks the tree's lengths and depths.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn audit(&self) -> Result<(), &'static str> {
        let Form::Long(tree) = &self.0 else {
            return Ok(());
        };
        if matches!(&tree.root, Link::Fork(fork) if fork.links.len() < 2) {
            return Err("the root of a list leads to one link");
        }
        let length = tree.root.audit()?.0;
        match length == tree.length {
            true => Ok(()),
            false => Err("the length of a list is wrong"),
        }
    }
}

impl<T> Link<T> {
    /// Its entries and its depth, counted.
    fn audit(&self) -> Result<(usize, usize), &'static str> {
        let fork = match self {
            Self::Leaf(leaf) if leaf.is_empty() || leaf.len() > LEAF => {
                return Err("a leaf of a list is empty or too full");
            }
            Self::Leaf(leaf) => return Ok((leaf.len(), 0)),
            Self::Fork(fork) => fork,
        };
        if fork.links.len() != fork.lengths.len() || fork.links.len() > FAN {
            return Err("a fork of a list has too many links, or lengths of others");
        }
        let (mut length, mut depth) = (0, None);
        for (link, known) in fork.links.iter().zip(&fork.lengths) {
            let (counted, below) = link.audit()?;
            if counted != *known || depth.is_some_and(|depth| depth != below) {
                return Err("a link of a list is miscounted, or its depth differs");
            }
            (length, depth) = (length + counted, Some(below));
        }
        Ok((length, depth.unwrap_or(0) + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::random::Random;

    /// More than this is never moved at once: a leaf that is divided or filled up, and the
    /// links of the forks above it.
    const MOST_MOVED: usize = 3 * LEAF + 8 * FAN;

    fn check(list: &List<u64>, plain: &[u64]) {
        list.audit().unwrap();
        assert_eq!(list.len(), plain.len());
        assert!(list.iter().eq(plain));
    }

    /// Sizes around those at which the form changes.
    fn sizes() -> Vec<usize> {
        let (leaf, fork) = (LEAF, LEAF * FAN);
        vec![
            0,
            1,
            leaf - 1,
            leaf,
            leaf + 1,
            3 * leaf,
            fork - 1,
            fork,
            fork + 1,
            3 * fork,
        ]
    }

    #[test]
    fn a_short_list_moves_what_is_behind_and_no_more() {
        let mut list = List::from(Vec::new());
        for length in 0..LEAF {
            let at = length / 2;
            assert_eq!(list.insert(at, length as u64), length + 1 - at);
        }
        assert!(matches!(list.0, Form::Short(_)));
    }

    #[test]
    fn is_a_vector_in_all_it_says() {
        let mut random = Random::new([1, 2, 3, 4]);
        for size in sizes() {
            let mut plain: Vec<u64> = (0..size as u64).collect();
            let mut builder = Builder::default();
            plain.iter().for_each(|value| builder.push(*value));
            check(&builder.finish(), &plain);
            let mut list = List::from(plain.clone());
            check(&list, &plain);
            let mut pick = |n: usize| (random.next() % n as u64) as usize;
            // More is added, then more is removed, at random places and at one.
            for (round, adds) in [(0, 7), (1, 2), (2, 9), (3, 0)] {
                let same = pick(plain.len() + 1);
                for step in 0..2_000 {
                    let is_add = pick(9) < adds;
                    let place =
                        |length: usize, pick: &mut dyn FnMut(usize) -> usize| match round % 2 {
                            0 => pick(length),
                            _ => same.min(length - 1),
                        };
                    let moved = if is_add {
                        let at = place(plain.len() + 1, &mut pick);
                        plain.insert(at, step);
                        list.insert(at, step)
                    } else if !plain.is_empty() {
                        let at = place(plain.len(), &mut pick);
                        let (value, moved) = list.remove(at);
                        assert_eq!(value, plain.remove(at));
                        moved
                    } else {
                        0
                    };
                    assert!(moved <= MOST_MOVED, "{moved} moved in {}", plain.len());
                    if step % 97 == 0 {
                        check(&list, &plain);
                    }
                }
                check(&list, &plain);
            }
            for at in 0..plain.len() {
                assert_eq!(list.get(at), plain.get(at));
                let value = pick(1_000) as u64;
                assert_eq!(list.replace(at, value), plain[at]);
                plain[at] = value;
            }
            assert_eq!(list.get(plain.len()), None);
            check(&list, &plain);
        }
    }

    #[test]
    fn a_clone_is_another_list() {
        let mut random = Random::new([5, 6, 7, 8]);
        let mut pick = |n: usize| (random.next() % n as u64) as usize;
        for size in sizes() {
            let mut lists = vec![(List::from(Vec::new()), Vec::new()); 2];
            let plain: Vec<u64> = (0..size as u64).collect();
            lists.push((List::from(plain.clone()), plain));
            for step in 0..600 {
                let which = pick(lists.len());
                if pick(20) == 0 {
                    let other = pick(lists.len());
                    lists[other] = lists[which].clone();
                }
                let (list, plain) = &mut lists[which];
                match pick(3) {
                    0 if !plain.is_empty() => {
                        let at = pick(plain.len());
                        assert_eq!(list.remove(at).0, plain.remove(at));
                    }
                    1 if !plain.is_empty() => {
                        let at = pick(plain.len());
                        plain[at] = step;
                        list.replace(at, step);
                    }
                    _ => {
                        let at = pick(plain.len() + 1);
                        plain.insert(at, step);
                        list.insert(at, step);
                    }
                }
                if step % 50 == 0 {
                    lists.iter().for_each(|(list, plain)| check(list, plain));
                }
            }
            lists.iter().for_each(|(list, plain)| check(list, plain));
        }
    }

    #[test]
    fn begins_its_walk_anywhere() {
        for size in sizes() {
            let plain: Vec<u64> = (0..size as u64).collect();
            let list = List::from(plain.clone());
            for at in (0..size).step_by(7).chain([size]) {
                assert!(list.iter_from(at).eq(&plain[at..]), "{at} of {size}");
            }
            assert_eq!(list.iter_from(size + 1).next(), None);
        }
    }

    #[test]
    fn finds_in_what_is_sorted() {
        for size in sizes() {
            let list = List::from(Vec::from_iter((0..size as u64).map(|n| 2 * n + 1)));
            for n in 0..=size as u64 {
                let at = n as usize;
                assert_eq!(list.find(|other| other.cmp(&(2 * n))), Err(at));
                let there = list.find(|other| other.cmp(&(2 * n + 1)));
                assert_eq!(there.ok(), list.get(at).map(|value| (at, value)));
            }
        }
    }

    #[test]
    fn leaves_are_full_where_it_grows_at_its_ends() {
        for at_end in [true, false] {
            let mut list = List::from(Vec::new());
            for n in 0..10_000 {
                list.insert(if at_end { list.len() } else { 0 }, n);
            }
            fn leaves(link: &Link<u64>) -> usize {
                match link {
                    Link::Leaf(_) => 1,
                    Link::Fork(fork) => fork.links.iter().map(leaves).sum(),
                }
            }
            let Form::Long(tree) = &list.0 else {
                panic!("it is long")
            };
            assert!(leaves(&tree.root) <= 10_000 / LEAF + 2);
            list.audit().unwrap();
        }
    }

    #[test]
    fn is_no_larger_than_a_vector() {
        assert_eq!(size_of::<List<u64>>(), size_of::<Vec<u64>>());
    }
}
