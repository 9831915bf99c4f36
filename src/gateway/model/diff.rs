//! The difference of two collections, as the events that lead from one to the other.

use crate::res::Value;
use hashbrown::HashMap;

/// Largest product of the lengths that is compared in full, with a bit for each pair: 1 MiB,
/// or 8 bytes for each old value where the new ones are few. Beyond it memory stays linear
/// and the result may be longer than necessary.
const FULL_CELLS: usize = 1 << 23;

/// Places to remove from the old collection and to fill in the new one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Places in the old collection, ascending; they are to be removed from the last on.
    pub removed: Vec<usize>,
    /// Places in the new collection, ascending; they are to be added from the first on,
    /// after all removals.
    pub added: Vec<usize>,
}

/// Compares two collections.
pub fn diff(old: &[Value], new: &[Value]) -> Difference {
    let mut difference = Difference::default();
    compare(old, new, 0, 0, &mut difference);
    difference
}

/// Compares parts of two collections that begin at the given places.
fn compare(old: &[Value], new: &[Value], old_at: usize, new_at: usize, out: &mut Difference) {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[start..], &new[start..]);
    let end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
    let (old_at, new_at) = (old_at + start, new_at + start);
    if old.len().saturating_mul(new.len()) <= FULL_CELLS {
        compare_fully(old, new, old_at, new_at, out);
        return;
    }
    let mut from = (0, 0);
    for anchor in anchors(old, new) {
        between_anchors(old, new, from, anchor, (old_at, new_at), out);
        from = (anchor.0 + 1, anchor.1 + 1);
    }
    between_anchors(
        old,
        new,
        from,
        (old.len(), new.len()),
        (old_at, new_at),
        out,
    );
}

/// Compares what lies between two anchors; what is still too large is replaced.
fn between_anchors(
    old: &[Value],
    new: &[Value],
    from: (usize, usize),
    to: (usize, usize),
    at: (usize, usize),
    out: &mut Difference,
) {
    let (old, new) = (&old[from.0..to.0], &new[from.1..to.1]);
    let (old_at, new_at) = (at.0 + from.0, at.1 + from.1);
    if old.len().saturating_mul(new.len()) <= FULL_CELLS {
        compare_fully(old, new, old_at, new_at, out);
    } else {
        out.removed.extend(old_at..old_at + old.len());
        out.added.extend(new_at..new_at + new.len());
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
fn compare_fully(old: &[Value], new: &[Value], old_at: usize, new_at: usize, out: &mut Difference) {
    if old.is_empty() || new.is_empty() {
        out.removed.extend(old_at..old_at + old.len());
        out.added.extend(new_at..new_at + new.len());
        return;
    }
    let places = Places::of(new);
    let width = new.len().div_ceil(64);
    let mut matches = vec![0u64; width];
    // Of values that are at more places than a row has words; there are few such.
    let mut frequent: HashMap<u32, Vec<u64>, foldhash::fast::RandomState> = HashMap::default();
    // Set where the length does not grow.
    let mut rows = vec![0u64; old.len() * width];
    let mut row = vec![u64::MAX; width];
    for (value, kept) in old.iter().zip(rows.chunks_exact_mut(width)) {
        match places.find(value) {
            [] => {}
            places if places.len() > width => {
                let matches = frequent.entry(places[0]).or_insert_with(|| {
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
            out.added.push(new_at + j);
        } else {
            i -= 1;
            out.removed.push(old_at + i);
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

/// Where each value is in a collection.
struct Places<'a> {
    /// Where the list of a value's places begins, and how long it is.
    lists: HashMap<&'a Value, (u32, u32), foldhash::fast::RandomState>,
    places: Vec<u32>,
}

impl<'a> Places<'a> {
    fn of(values: &'a [Value]) -> Self {
        let mut lists: HashMap<&Value, (u32, u32), _> =
            HashMap::with_capacity_and_hasher(values.len(), Default::default());
        for value in values {
            lists.entry(value).or_default().1 += 1;
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

    fn find(&self, value: &Value) -> &[u32] {
        let list = self.lists.get(value);
        list.map_or(&[], |(start, length)| {
            &self.places[*start as usize..(*start + *length) as usize]
        })
    }
}

/// Values that occur once in each collection, in a longest run that ascends in both.
fn anchors(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    #[derive(Default)]
    struct Seen {
        old: Option<usize>,
        new: Option<usize>,
        repeated: bool,
    }
    let mut seen: HashMap<&Value, Seen, foldhash::fast::RandomState> = HashMap::default();
    for (i, value) in old.iter().enumerate() {
        let entry = seen.entry(value).or_default();
        entry.repeated |= entry.old.replace(i).is_some();
    }
    for (j, value) in new.iter().enumerate() {
        let entry = seen.entry(value).or_default();
        entry.repeated |= entry.new.replace(j).is_some();
    }
    let pairs = new.iter().enumerate().filter_map(|(j, value)| {
        let entry = &seen[value];
        entry.old.filter(|_| !entry.repeated).map(|i| (i, j))
    });
    // Patience sorting: `piles[n]` ends the best run of length n + 1.
    let pairs: Vec<(usize, usize)> = pairs.collect();
    let mut piles: Vec<usize> = Vec::new();
    let mut previous = vec![usize::MAX; pairs.len()];
    for (at, (i, _)) in pairs.iter().enumerate() {
        let pile = piles.partition_point(|end| pairs[*end].0 < *i);
        if pile > 0 {
            previous[at] = piles[pile - 1];
        }
        if pile == piles.len() {
            piles.push(at);
        } else {
            piles[pile] = at;
        }
    }
    let mut run = Vec::with_capacity(piles.len());
    let mut at = piles.last().copied().unwrap_or(usize::MAX);
    while let Some(pair) = pairs.get(at) {
        run.push(*pair);
        at = previous[at];
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
            assert_eq!(diff(&old, &new), plain_difference(&old, &new));
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
}
