//! The difference of two collections, as the events that lead from one to the other.
//!
//! The work is bounded: linear in the lengths, but for the longest run that ascends in both,
//! which takes n log n, and for [`ALL_CELLS`].

use crate::gateway::model::list::List;
use crate::res::Value;
use hashbrown::{HashMap, HashTable};
use std::hash::BuildHasher;
use std::ops::Range;

/// Largest product of the lengths that is compared in full, with a bit for each pair: 1 MiB,
/// or 8 bytes for each old value where the new ones are few. Beyond it memory stays linear
/// and the result may be longer than necessary.
const FULL_CELLS: usize = 1 << 23;

/// Such products of all parts between anchors together. Parts beyond that are replaced.
const ALL_CELLS: usize = 1 << 24;

/// Places to remove from the old collection and to fill in the new one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Places in the old collection, ascending; they are to be removed from the last on.
    pub removed: Vec<usize>,
    /// Places in the new collection, ascending; they are to be added from the first on,
    /// after all removals.
    pub added: Vec<usize>,
    /// Pairs of values that were compared, each 64 as one.
    pub compared: usize,
}

/// Compares two collections.
pub fn diff(old: &List<Value>, new: &[Value]) -> Difference {
    let is_same = |(a, b): &(&Value, &Value)| a == b;
    let start = old.iter().zip(new).take_while(is_same).count();
    if start == old.len() && start == new.len() {
        return Difference::default();
    }
    let (old, new): (Vec<&Value>, _) = (old.iter_from(start).collect(), &new[start..]);
    let ends = old.iter().copied().rev().zip(new.iter().rev());
    let end = ends.take_while(is_same).count();
    let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
    Comparison::of(old, new, start).run()
}

/// Two collections without what is the same at their beginnings and at their ends.
struct Comparison {
    /// The values, each as a number: equal ones have the same, and one that only the old
    /// collection has is not below `kinds`.
    old: Vec<u32>,
    new: Vec<u32>,
    /// How many values the new collection has, but for repetitions.
    kinds: usize,
    /// What was at the beginnings.
    start: usize,
    /// What [`ALL_CELLS`] leaves.
    cells: usize,
    out: Difference,
}

impl Comparison {
    fn of(old: &[&Value], new: &[Value], start: usize) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        // Of each value its first place in the new collection, and its number.
        let mut table: HashTable<(u32, u32)> = HashTable::with_capacity(new.len());
        let mut kinds = 0;
        let number = |(place, value): (usize, &Value)| {
            let hash = hasher.hash_one(value);
            let is_it = |(other, _): &(u32, u32)| new[*other as usize] == *value;
            let rehash = |(other, _): &(u32, u32)| hasher.hash_one(&new[*other as usize]);
            let entry = table.entry(hash, is_it, rehash).or_insert_with(|| {
                kinds += 1;
                (place as u32, kinds - 1)
            });
            entry.get().1
        };
        let numbers: Vec<u32> = new.iter().enumerate().map(number).collect();
        let known = |value: &&Value| {
            let is_it = |(other, _): &(u32, u32)| new[*other as usize] == **value;
            let found = table.find(hasher.hash_one(value), is_it);
            found.map_or(u32::MAX, |(_, number)| *number)
        };
        Self {
            old: old.iter().map(known).collect(),
            new: numbers,
            kinds: kinds as usize,
            start,
            cells: ALL_CELLS,
            out: Difference {
                compared: old.len() + new.len(),
                ..Difference::default()
            },
        }
    }

    fn run(mut self) -> Difference {
        let (old, new) = (self.old.len(), self.new.len());
        if old.saturating_mul(new) <= FULL_CELLS {
            self.compare(0..old, 0..new);
            return self.out;
        }
        let mut from = (0, 0);
        for anchor in anchors(&self.old, &self.new, self.kinds) {
            self.compare(from.0..anchor.0, from.1..anchor.1);
            from = (anchor.0 + 1, anchor.1 + 1);
        }
        self.compare(from.0..old, from.1..new);
        self.out
    }

    /// Compares what lies between two anchors; what is too large for that is replaced.
    fn compare(&mut self, old: Range<usize>, new: Range<usize>) {
        let cells = old.len().saturating_mul(new.len());
        if cells == 0 || cells > FULL_CELLS.min(self.cells) {
            let start = self.start;
            self.out.removed.extend(old.map(|place| start + place));
            self.out.added.extend(new.map(|place| start + place));
            return;
        }
        self.cells -= cells;
        self.out.compared += cells / 64;
        let at = (self.start + old.start, self.start + new.start);
        compare_fully(&self.old[old], &self.new[new], at, &mut self.out);
    }
}

/// Keeps a longest common subsequence. Of equally long ones it takes the one that the
/// walk back from the ends meets when a new value is preferred over an old one.
///
/// The table of lengths has a row for each old value. Along a row lengths grow by one or
/// not at all, so a bit for each new value tells all, and 64 of them are worked out at once
/// (the bit-parallel method of Hyyrö). The walk back needs nothing else: among two ways that
/// are no match, the one to the left is as good as the other exactly where the length does
/// not grow.
fn compare_fully(old: &[u32], new: &[u32], at: (usize, usize), out: &mut Difference) {
    let places = Places::of(new);
    let width = new.len().div_ceil(64);
    let mut matches = vec![0u64; width];
    // Of values that are at more places than a row has words; there are few such.
    let mut frequent: HashMap<u32, Vec<u64>, foldhash::fast::RandomState> = HashMap::default();
    // Set where the length does not grow.
    let mut rows = vec![0u64; old.len() * width];
    let mut row = vec![u64::MAX; width];
    for (value, kept) in old.iter().zip(rows.chunks_exact_mut(width)) {
        match places.find(*value) {
            [] => {}
            places if places.len() > width => {
                let matches = frequent.entry(*value).or_insert_with(|| {
                    let mut matches = vec![0; width];
                    mark(places, &mut matches);
                    matches
                });
                next_row(&mut row, matches);
            }
            places => {
                mark(places, &mut matches);
                next_row(&mut row, &matches);
                for place in places {
                    matches[*place as usize / 64] = 0;
                }
            }
        }
        kept.copy_from_slice(&row);
    }
    let grows = |i: usize, j: usize| rows[i * width + j / 64] >> (j % 64) & 1 == 0;
    let (removed_before, added_before) = (out.removed.len(), out.added.len());
    let (mut i, mut j) = (old.len(), new.len());
    while i > 0 || j > 0 {
        if i > 0 && j > 0 && old[i - 1] == new[j - 1] {
            (i, j) = (i - 1, j - 1);
        } else if j > 0 && (i == 0 || !grows(i - 1, j - 1)) {
            j -= 1;
            out.added.push(at.1 + j);
        } else {
            i -= 1;
            out.removed.push(at.0 + i);
        }
    }
    out.removed[removed_before..].reverse();
    out.added[added_before..].reverse();
}

/// Sets the bits of some places.
fn mark(places: &[u32], bits: &mut [u64]) {
    for place in places {
        bits[*place as usize / 64] |= 1 << (place % 64);
    }
}

/// Turns a row of the table into the next one, whose old value is at the places `matches`.
fn next_row(row: &mut [u64], matches: &[u64]) {
    let mut carry = false;
    for (bits, matches) in row.iter_mut().zip(matches) {
        let found = *bits & matches;
        let (sum, first) = bits.overflowing_add(found);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        carry = first || second;
        *bits = sum | (*bits - found);
    }
}

/// Where each value is in a part of a collection.
struct Places {
    /// Where the list of a value's places begins, and how long it is.
    lists: HashMap<u32, (u32, u32), foldhash::fast::RandomState>,
    places: Vec<u32>,
}

impl Places {
    fn of(values: &[u32]) -> Self {
        let mut lists: HashMap<u32, (u32, u32), _> =
            HashMap::with_capacity_and_hasher(values.len(), Default::default());
        for value in values {
            lists.entry(*value).or_default().1 += 1;
        }
        let mut begin = 0;
        for (start, length) in lists.values_mut() {
            *start = begin;
            begin += std::mem::take(length);
        }
        let mut places = vec![0; values.len()];
        for (place, value) in values.iter().enumerate() {
            if let Some((start, length)) = lists.get_mut(value) {
                places[(*start + *length) as usize] = place as u32;
                *length += 1;
            }
        }
        Self { lists, places }
    }

    fn find(&self, value: u32) -> &[u32] {
        let list = self.lists.get(&value);
        list.map_or(&[], |(start, length)| {
            &self.places[*start as usize..(*start + *length) as usize]
        })
    }
}

/// Values that occur once in each collection, in a longest run that ascends in both. `kinds`
/// is what the numbers of the new one's values are below.
fn anchors(old: &[u32], new: &[u32], kinds: usize) -> Vec<(usize, usize)> {
    const NOWHERE: u32 = u32::MAX;
    const REPEATED: u32 = u32::MAX - 1;
    let places = |values: &[u32]| {
        let mut places = vec![NOWHERE; kinds];
        for (place, value) in values.iter().enumerate() {
            if let Some(known) = places.get_mut(*value as usize) {
                *known = match *known {
                    NOWHERE => place as u32,
                    _ => REPEATED,
                };
            }
        }
        places
    };
    let (old_places, new_places) = (places(old), places(new));
    let pairs = new.iter().enumerate().filter_map(|(j, value)| {
        let (i, known) = (old_places[*value as usize], new_places[*value as usize]);
        (i < REPEATED && known < REPEATED).then_some((i, j as u32))
    });
    // Patience sorting: `piles[n]` ends the best run of length n + 1. Their last places in
    // the old collection are beside them, where the search finds them together.
    let pairs: Vec<(u32, u32)> = pairs.collect();
    let mut piles: Vec<u32> = Vec::new();
    let mut ends: Vec<u32> = Vec::new();
    let mut previous = vec![NOWHERE; pairs.len()];
    for (at, (i, _)) in pairs.iter().enumerate() {
        let pile = match ends.last() {
            Some(end) if end < i => ends.len(),
            _ => ends.partition_point(|end| end < i),
        };
        if pile > 0 {
            previous[at] = piles[pile - 1];
        }
        if pile == piles.len() {
            piles.push(at as u32);
            ends.push(*i);
        } else {
            (piles[pile], ends[pile]) = (at as u32, *i);
        }
    }
    let mut run = Vec::with_capacity(piles.len());
    let mut at = piles.last().copied().unwrap_or(NOWHERE);
    while let Some((i, j)) = pairs.get(at as usize) {
        run.push((*i as usize, *j as usize));
        at = previous[at as usize];
    }
    run.reverse();
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::random::Random;
    use crate::res::value;

    fn values(texts: &[&str]) -> Vec<Value> {
        texts
            .iter()
            .map(|text| value::parse(&format!("\"{text}\"")).unwrap().unwrap())
            .collect()
    }

    fn diff(old: &[Value], new: &[Value]) -> Difference {
        super::diff(&List::from(old.to_vec()), new)
    }

    fn numbers(numbers: impl IntoIterator<Item = usize>) -> Vec<Value> {
        let numbers = numbers.into_iter();
        numbers
            .map(|n| value::parse(&n.to_string()).unwrap().unwrap())
            .collect()
    }

    fn apply(old: &[Value], new: &[Value], difference: &Difference) -> Vec<Value> {
        let mut result = old.to_vec();
        for place in difference.removed.iter().rev() {
            result.remove(*place);
        }
        for place in &difference.added {
            result.insert(*place, new[*place].clone());
        }
        result
    }

    #[test]
    fn yields_the_sequence_that_clients_know() {
        for (old, new, removed, added) in [
            (&["a", "b"][..], &["b", "a"][..], &[0][..], &[1][..]),
            (
                &["a", "b", "c", "d"],
                &["d", "c", "b", "a"],
                &[0, 1, 2],
                &[1, 2, 3],
            ),
            (
                &["a", "b", "c", "d"],
                &["a", "x", "y", "d"],
                &[1, 2],
                &[1, 2],
            ),
            (&["a"], &["a"], &[], &[]),
            (&[], &["a", "b"], &[], &[0, 1]),
            (&["a", "b"], &[], &[0, 1], &[]),
        ] {
            let difference = diff(&values(old), &values(new));
            assert_eq!(
                (&*difference.removed, &*difference.added),
                (removed, added),
                "{old:?} {new:?}"
            );
        }
    }

    #[test]
    fn leads_from_the_old_to_the_new_collection() {
        let mut random = Random::new([1, 2, 3, 4]);
        let mut pick = |n: usize| (random.next() % n as u64) as usize;
        for _ in 0..500 {
            let old: Vec<usize> = (0..pick(12)).map(|_| pick(5)).collect();
            let new: Vec<usize> = (0..pick(12)).map(|_| pick(5)).collect();
            let (old, new) = (numbers(old), numbers(new));
            assert_eq!(apply(&old, &new, &diff(&old, &new)), new);
        }
    }

    /// The same by the table of lengths as it is written down in textbooks.
    fn plain_difference(old: &[Value], new: &[Value]) -> Difference {
        let mut lengths = vec![vec![0; new.len() + 1]; old.len() + 1];
        for (i, a) in old.iter().enumerate() {
            for (j, b) in new.iter().enumerate() {
                lengths[i + 1][j + 1] = if a == b {
                    lengths[i][j] + 1
                } else {
                    lengths[i][j + 1].max(lengths[i + 1][j])
                };
            }
        }
        let mut difference = Difference::default();
        let (mut i, mut j) = (old.len(), new.len());
        while i > 0 || j > 0 {
            if i > 0 && j > 0 && old[i - 1] == new[j - 1] {
                (i, j) = (i - 1, j - 1);
            } else if j > 0 && (i == 0 || lengths[i][j - 1] >= lengths[i - 1][j]) {
                j -= 1;
                difference.added.insert(0, j);
            } else {
                i -= 1;
                difference.removed.insert(0, i);
            }
        }
        difference
    }

    #[test]
    fn finds_what_the_table_of_lengths_says() {
        let mut random = Random::new([4, 3, 2, 1]);
        let mut pick = |n: usize| (random.next() % n as u64) as usize;
        for round in 0..600 {
            let longest = if round % 3 == 0 { 200 } else { 20 };
            let kinds = 1 + pick(40);
            let old: Vec<usize> = (0..pick(longest)).map(|_| pick(kinds)).collect();
            let new: Vec<usize> = (0..pick(longest)).map(|_| pick(kinds)).collect();
            let (old, new) = (numbers(old), numbers(new));
            // Equal ends are no part of the comparison: they must differ.
            let ends = |values: &[Value], end: usize| {
                [&numbers([100 + end]), values, &numbers([200 + end])].concat()
            };
            let (old, new) = (ends(&old, 0), ends(&new, 1));
            let (difference, plain) = (diff(&old, &new), plain_difference(&old, &new));
            assert_eq!(difference.removed, plain.removed);
            assert_eq!(difference.added, plain.added);
        }
    }

    #[test]
    fn stays_small_for_a_large_collection_with_few_changes() {
        let old = numbers(0..10_000);
        let mut new = numbers(1..9_000);
        new.extend(numbers([20_000, 20_001]));
        new.extend(numbers(9_000..9_990));
        let difference = diff(&old, &new);
        assert_eq!(apply(&old, &new, &difference), new);
        assert_eq!((difference.removed.len(), difference.added.len()), (11, 2));
    }

    #[test]
    fn replaces_large_collections_without_common_order() {
        let old = numbers((0..6_000).map(|n| n % 7));
        let new = numbers((0..6_000).map(|n| n % 5 + 1));
        let difference = diff(&old, &new);
        assert_eq!(apply(&old, &new, &difference), new);
    }

    #[test]
    fn is_bounded_in_what_it_compares() {
        let mut random = Random::new([7, 7, 7, 7]);
        let mut pick = |n: usize| (random.next() % n as u64) as usize;
        const LENGTH: usize = 50_000;
        let mut shuffled: Vec<usize> = (0..LENGTH).collect();
        for i in (1..LENGTH).rev() {
            shuffled.swap(i, pick(i + 1));
        }
        // Anchors with parts between them that are just small enough to be compared.
        let parts = |kinds: usize| {
            let value = move |n: usize| {
                if n.is_multiple_of(2_800) {
                    100 + n
                } else {
                    n % kinds
                }
            };
            (0..LENGTH).map(value)
        };
        let random_values = Vec::from_iter((0..LENGTH).map(|_| pick(1_000)));
        let ascending = numbers(0..LENGTH);
        for (old, new) in [
            (ascending.clone(), numbers(shuffled)),
            (ascending.clone(), numbers((0..LENGTH).rev())),
            (ascending, numbers(random_values.clone())),
            (
                numbers(random_values.iter().rev().copied()),
                numbers(random_values),
            ),
            (numbers(parts(2)), numbers(parts(3))),
            (numbers(vec![1; LENGTH]), numbers(vec![2; LENGTH])),
        ] {
            let difference = diff(&old, &new);
            assert!(difference.compared <= 2 * LENGTH + ALL_CELLS / 64);
            let mut list = List::from(old.clone());
            for place in difference.removed.iter().rev() {
                list.remove(*place);
            }
            for place in &difference.added {
                list.insert(*place, new[*place].clone());
            }
            assert!(list.iter().eq(&new));
        }
    }
}
