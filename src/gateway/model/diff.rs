//! The difference of two collections, as the events that lead from one to the other.
//!
//! The work is bounded: linear in the lengths, but for the longest run that ascends in both,
//! which takes n log n, and for [`ALL_CELLS`].

use crate::gateway::model::list::List;
use crate::res::Value;
use hashbrown::{HashMap, HashTable};
use std::hash::BuildHasher;
use std::ops::Range;
use std::vec::IntoIter;

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

/// Work of looking a value up among the others, in steps.
const LOOKED_UP: usize = 4;

/// Pairs that are compared in one step.
const PAIRS: usize = 256;

/// Compares two collections.
pub fn diff(old: &List<Value>, new: &[Value]) -> Difference {
    let mut comparison = Comparison::new();
    let is_done = comparison.go_on(old, new, &mut usize::MAX.clone());
    debug_assert!(is_done, "there are enough steps");
    comparison.out
}

/// Two collections that are being compared, which may take several turns. They are the same
/// each time.
#[derive(Debug)]
pub struct Comparison {
    stage: Stage,
    /// The values but for what is the same at the beginnings and at the ends, each as a
    /// number: equal ones have the same, and one that only the old collection has is not below
    /// `kinds`.
    old: Vec<u32>,
    new: Vec<u32>,
    /// Of each value its first place in the new collection, and its number.
    table: HashTable<(u32, u32)>,
    hasher: foldhash::fast::RandomState,
    /// How many values the new collection has, but for repetitions.
    kinds: usize,
    /// What is the same at the beginnings and at the ends.
    start: usize,
    end: usize,
    /// What [`ALL_CELLS`] leaves.
    cells: usize,
    out: Difference,
}

#[derive(Debug)]
enum Stage {
    /// What is the same at the beginnings, and then at the ends, is looked for.
    Start,
    End,
    /// The new values are numbered, and then the old ones.
    New,
    Old,
    Anchors(Box<Anchors>),
    /// What lies between the anchors is compared: those that are left, and the place behind
    /// the last one.
    Between(IntoIter<(usize, usize)>, (usize, usize)),
    Done,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            stage: Stage::Start,
            old: Vec::new(),
            new: Vec::new(),
            table: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
            kinds: 0,
            start: 0,
            end: 0,
            cells: ALL_CELLS,
            out: Difference::default(),
        }
    }
}

impl Comparison {
    pub fn new() -> Self {
        Self::default()
    }

    /// What was found, when that is done.
    pub fn into_difference(self) -> Difference {
        self.out
    }

    /// Goes on for so many steps, which it counts down. Returns whether all is compared.
    pub fn go_on(&mut self, old: &List<Value>, new: &[Value], steps: &mut usize) -> bool {
        while *steps > 0 {
            let next = match &mut self.stage {
                Stage::Start => self.find_start(old, new, steps),
                Stage::End => self.find_end(old, new, steps),
                Stage::New => self.number_new(new, steps),
                Stage::Old => self.number_old(old, new, steps),
                Stage::Anchors(anchors) => match anchors.go_on(&self.old, &self.new, steps) {
                    true => {
                        let run = std::mem::take(&mut anchors.run);
                        Some(Stage::Between(run.into_iter(), (0, 0)))
                    }
                    false => None,
                },
                Stage::Between(anchors, from) => {
                    let (from, anchor) = (*from, anchors.next());
                    let to = anchor.unwrap_or((self.old.len(), self.new.len()));
                    if let Stage::Between(_, from) = &mut self.stage {
                        *from = (to.0 + 1, to.1 + 1);
                    }
                    self.compare(from.0..to.0, from.1..to.1, steps);
                    anchor.is_none().then_some(Stage::Done)
                }
                Stage::Done => return true,
            };
            match next {
                Some(Stage::Done) => {
                    self.stage = Stage::Done;
                    return true;
                }
                Some(stage) => self.stage = stage,
                None => {}
            }
        }
        false
    }

    fn find_start(&mut self, old: &List<Value>, new: &[Value], steps: &mut usize) -> Option<Stage> {
        let pairs = old.iter_from(self.start).zip(&new[self.start..]);
        for (a, b) in pairs.take(*steps) {
            *steps -= 1;
            if a != b {
                return Some(Stage::End);
            }
            self.start += 1;
        }
        match self.start == old.len().min(new.len()) {
            true if old.len() == new.len() => Some(Stage::Done),
            true => Some(Stage::End),
            false => None,
        }
    }

    fn find_end(&mut self, old: &List<Value>, new: &[Value], steps: &mut usize) -> Option<Stage> {
        let most = old.len().min(new.len()) - self.start;
        while *steps > 0 {
            let (a, b) = (old.len() - self.end, new.len() - self.end);
            if self.end == most || old.get(a - 1) != new.get(b - 1) {
                let (a, b) = (a - self.start, b - self.start);
                (self.old, self.new) = (Vec::with_capacity(a), Vec::with_capacity(b));
                self.table = HashTable::with_capacity(b);
                self.out.compared = a + b;
                return Some(Stage::New);
            }
            self.end += 1;
            *steps -= 1;
        }
        None
    }

    fn number_new(&mut self, new: &[Value], steps: &mut usize) -> Option<Stage> {
        let (hasher, new) = (&self.hasher, &new[self.start..new.len() - self.end]);
        while let Some(value) = new.get(self.new.len()) {
            let (place, kinds) = (self.new.len() as u32, self.kinds as u32);
            let hash = hasher.hash_one(value);
            let is_it = |(other, _): &(u32, u32)| new[*other as usize] == *value;
            let rehash = |(other, _): &(u32, u32)| hasher.hash_one(&new[*other as usize]);
            let entry = self.table.entry(hash, is_it, rehash);
            let number = entry.or_insert((place, kinds)).get().1;
            self.kinds += usize::from(number == kinds);
            self.new.push(number);
            *steps = steps.saturating_sub(LOOKED_UP);
            if *steps == 0 {
                return None;
            }
        }
        Some(Stage::Old)
    }

    fn number_old(&mut self, old: &List<Value>, new: &[Value], steps: &mut usize) -> Option<Stage> {
        let count = old.len() - self.start - self.end;
        let values = old.iter_from(self.start + self.old.len());
        let new = &new[self.start..new.len() - self.end];
        for value in values.take(count - self.old.len()) {
            let is_it = |(other, _): &(u32, u32)| new[*other as usize] == *value;
            let found = self.table.find(self.hasher.hash_one(value), is_it);
            let number = found.map_or(u32::MAX, |(_, number)| *number);
            self.old.push(number);
            *steps = steps.saturating_sub(LOOKED_UP);
            if *steps == 0 {
                return None;
            }
        }
        self.table = HashTable::new();
        let is_small = self.old.len().saturating_mul(self.new.len()) <= FULL_CELLS;
        Some(match is_small {
            true => Stage::Between(Vec::new().into_iter(), (0, 0)),
            false => Stage::Anchors(Box::new(Anchors::new(self.kinds))),
        })
    }

    /// Compares what lies between two anchors; what is too large for that is replaced.
    fn compare(&mut self, old: Range<usize>, new: Range<usize>, steps: &mut usize) {
        let cells = old.len().saturating_mul(new.len());
        *steps = steps.saturating_sub(1 + (old.len() + new.len()) / 2);
        if cells == 0 || cells > FULL_CELLS.min(self.cells) {
            let start = self.start;
            self.out.removed.extend(old.map(|place| start + place));
            self.out.added.extend(new.map(|place| start + place));
            return;
        }
        self.cells -= cells;
        *steps = steps.saturating_sub(cells / PAIRS);
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

const NOWHERE: u32 = u32::MAX;
const REPEATED: u32 = u32::MAX - 1;

/// Looks for values that occur once in each collection, in a longest run that ascends in both.
#[derive(Debug)]
struct Anchors {
    /// Where the values are, by their numbers.
    old_places: Vec<u32>,
    new_places: Vec<u32>,
    /// How far they were looked at, and then the pairs, and the run from its end.
    at: usize,
    /// Places of what occurs once in each, in the order of the new one.
    pairs: Vec<(u32, u32)>,
    /// Patience sorting: `piles[n]` ends the best run of length n + 1. Their last places in
    /// the old collection are beside them, where the search finds them together.
    piles: Vec<u32>,
    ends: Vec<u32>,
    previous: Vec<u32>,
    stage: AnchorStage,
    run: Vec<(usize, usize)>,
}

#[derive(Debug)]
enum AnchorStage {
    OldPlaces,
    NewPlaces,
    Pairs,
    Piles,
    Run,
}

impl Anchors {
    /// `kinds` is what the numbers of the new collection's values are below.
    fn new(kinds: usize) -> Self {
        Self {
            old_places: vec![NOWHERE; kinds],
            new_places: vec![NOWHERE; kinds],
            at: 0,
            pairs: Vec::new(),
            piles: Vec::new(),
            ends: Vec::new(),
            previous: Vec::new(),
            stage: AnchorStage::OldPlaces,
            run: Vec::new(),
        }
    }

    /// Goes on for so many steps. Returns whether the run is found.
    fn go_on(&mut self, old: &[u32], new: &[u32], steps: &mut usize) -> bool {
        while *steps > 0 {
            let end = self.at.saturating_add(*steps);
            let (from, next) = match self.stage {
                AnchorStage::OldPlaces => {
                    let next = note_places(old, self.at..end, &mut self.old_places);
                    (AnchorStage::NewPlaces, next)
                }
                AnchorStage::NewPlaces => {
                    let next = note_places(new, self.at..end, &mut self.new_places);
                    (AnchorStage::Pairs, next)
                }
                AnchorStage::Pairs => (AnchorStage::Piles, self.pair(new, end)),
                AnchorStage::Piles => (AnchorStage::Run, self.pile(end)),
                AnchorStage::Run => return self.follow(steps),
            };
            match next {
                Some(at) => {
                    *steps = steps.saturating_sub(at - self.at);
                    self.at = at;
                }
                None => (self.stage, self.at) = (from, 0),
            }
            *steps = steps.saturating_sub(1);
        }
        false
    }

    /// Pairs what is up to a place. Returns how far it is; `None` if it is done.
    fn pair(&mut self, new: &[u32], end: usize) -> Option<usize> {
        let end = end.min(new.len());
        for (j, value) in new.iter().enumerate().take(end).skip(self.at) {
            let value = *value as usize;
            let (i, known) = (self.old_places[value], self.new_places[value]);
            if i < REPEATED && known < REPEATED {
                self.pairs.push((i, j as u32));
            }
        }
        (end < new.len()).then_some(end)
    }

    /// The same for the piles.
    fn pile(&mut self, end: usize) -> Option<usize> {
        let end = end.min(self.pairs.len());
        for (at, (i, _)) in self.pairs.iter().enumerate().take(end).skip(self.at) {
            let pile = match self.ends.last() {
                Some(end) if end < i => self.ends.len(),
                _ => self.ends.partition_point(|end| end < i),
            };
            let below = pile.checked_sub(1).map(|below| self.piles[below]);
            self.previous.push(below.unwrap_or(NOWHERE));
            if pile == self.piles.len() {
                self.piles.push(at as u32);
                self.ends.push(*i);
            } else {
                (self.piles[pile], self.ends[pile]) = (at as u32, *i);
            }
        }
        if end < self.pairs.len() {
            return Some(end);
        }
        let last = self.piles.last().copied().unwrap_or(NOWHERE);
        self.piles = vec![last];
        None
    }

    /// Follows the best run from its end. Returns whether it is at its beginning.
    fn follow(&mut self, steps: &mut usize) -> bool {
        let mut at = self.piles.first().copied().unwrap_or(NOWHERE);
        while *steps > 0 {
            *steps -= 1;
            let Some((i, j)) = self.pairs.get(at as usize) else {
                self.run.reverse();
                return true;
            };
            self.run.push((*i as usize, *j as usize));
            at = self.previous[at as usize];
        }
        self.piles = vec![at];
        false
    }
}

/// Notes where values are, of those within a range. Returns where that ends, or `None` if all
/// are noted.
fn note_places(values: &[u32], range: Range<usize>, places: &mut [u32]) -> Option<usize> {
    let end = range.end.min(values.len());
    for (place, value) in values.iter().enumerate().take(end).skip(range.start) {
        if let Some(known) = places.get_mut(*value as usize) {
            *known = match *known {
                NOWHERE => place as u32,
                _ => REPEATED,
            };
        }
    }
    (end < values.len()).then_some(end)
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
