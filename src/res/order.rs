//! Many texts in order.

use super::text::Text;
use std::collections::VecDeque;
use std::iter::Peekable;
use std::vec::IntoIter;

/// Texts from which on it pays to sort them by keys.
pub const MANY: usize = 512;

/// The places of some texts in the order of the texts; of equal ones the first comes first.
///
/// What all texts begin with tells none apart. The eight bytes behind that tell most, and are
/// compared without a look at the text, which may be far away in memory.
pub fn places<'a>(count: usize, text: impl Fn(usize) -> &'a str) -> Vec<usize> {
    let mut common: &[u8] = match count {
        0 => return Vec::new(),
        _ => text(0).as_bytes(),
    };
    for place in 1..count {
        let same = common.iter().zip(text(place).as_bytes());
        common = &common[..same.take_while(|(a, b)| a == b).count()];
    }
    let key = |place| {
        let rest = &text(place).as_bytes()[common.len()..];
        let mut key = [0; size_of::<u64>()];
        let length = rest.len().min(key.len());
        key[..length].copy_from_slice(&rest[..length]);
        (u64::from_be_bytes(key), place)
    };
    let mut order: Vec<(u64, usize)> = (0..count).map(key).collect();
    order.sort_unstable_by(|a, b| {
        let texts = || text(a.1).cmp(text(b.1));
        (a.0.cmp(&b.0)).then_with(texts).then(a.1.cmp(&b.1))
    });
    order.into_iter().map(|(_, place)| place).collect()
}

/// Entries of a run that is sorted by itself.
const RUN: usize = 256;

/// An entry with its name.
type Entry<T> = (Text, T);

/// Puts entries in the order of their names, a part at a time. Of those with the same name
/// the last one stays.
#[derive(Debug)]
pub struct Sorter<T> {
    /// Entries that came last.
    open: Vec<Entry<T>>,
    /// Whether these are in order.
    is_ascending: bool,
    /// Runs in order, as they came, and the longer ones that were made of some before them.
    runs: VecDeque<Vec<Entry<T>>>,
    merged: VecDeque<Vec<Entry<T>>>,
    merge: Option<Merge<T>>,
}

/// Two runs that become one; the second one came later.
#[derive(Debug)]
struct Merge<T> {
    first: Peekable<IntoIter<Entry<T>>>,
    second: Peekable<IntoIter<Entry<T>>>,
    into: Vec<Entry<T>>,
}

impl<T> Default for Sorter<T> {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            is_ascending: true,
            runs: VecDeque::new(),
            merged: VecDeque::new(),
            merge: None,
        }
    }
}

impl<T> Sorter<T> {
    /// One more entry came.
    pub fn push(&mut self, name: Text, entry: T) {
        let last = self.open.last();
        let follows = last.is_none_or(|(last, _)| *last < name);
        // What is in order is one run, however long.
        if self.open.len() >= RUN && !(follows && self.is_ascending) {
            self.close();
            self.is_ascending = true;
        } else {
            self.is_ascending &= follows;
        }
        self.open.push((name, entry));
    }

    fn close(&mut self) {
        let mut run = std::mem::take(&mut self.open);
        if !self.is_ascending {
            run.sort_by(|a, b| a.0.cmp(&b.0));
            // Of those that are left out the later one is put into the place of the one kept.
            run.dedup_by(|later, kept| {
                let is_same = later.0 == kept.0;
                if is_same {
                    std::mem::swap(&mut later.1, &mut kept.1);
                }
                is_same
            });
        }
        self.runs.push_back(run);
    }

    /// All have come. Goes on with putting them in order for so many steps at most, which it
    /// counts down; all of them when that is done.
    pub fn finish(&mut self, steps: &mut usize) -> Option<Vec<Entry<T>>> {
        if !self.open.is_empty() {
            *steps = steps.saturating_sub(RUN.min(self.open.len()));
            self.close();
        }
        loop {
            if let Some(merge) = &mut self.merge {
                if !merge.go_on(steps) {
                    return None;
                }
                self.merged
                    .extend(self.merge.take().map(|merge| merge.into));
            }
            match (self.runs.pop_front(), self.runs.pop_front()) {
                (Some(first), Some(second)) => self.merge = Some(Merge::of(first, second)),
                (Some(only), None) => self.merged.push_back(only),
                _ if self.merged.len() > 1 => std::mem::swap(&mut self.runs, &mut self.merged),
                _ => return Some(self.merged.pop_front().unwrap_or_default()),
            }
        }
    }
}

impl<T> Merge<T> {
    fn of(first: Vec<Entry<T>>, second: Vec<Entry<T>>) -> Self {
        let into = Vec::with_capacity(first.len() + second.len());
        let (first, second) = (first.into_iter().peekable(), second.into_iter().peekable());
        Self {
            first,
            second,
            into,
        }
    }

    /// Returns whether it is done.
    fn go_on(&mut self, steps: &mut usize) -> bool {
        while *steps > 0 {
            *steps -= 1;
            let next = match (self.first.peek(), self.second.peek()) {
                (Some((a, _)), Some((b, _))) if a == b => {
                    self.first.next();
                    self.second.next()
                }
                (Some((a, _)), Some((b, _))) if a < b => self.first.next(),
                (Some(_), None) => self.first.next(),
                (_, Some(_)) => self.second.next(),
                (None, None) => return true,
            };
            self.into.extend(next);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_put_in_order_in_parts_and_the_last_of_a_name_stays() {
        let mut state = 1_u32;
        let mut pick = |n: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % n
        };
        for (count, names) in [(0, 1), (1, 1), (10, 5), (300, 1_000), (5_000, 3_000)] {
            for ascends in [0, 1, 700] {
                let mut sorter = Sorter::default();
                let mut expected = std::collections::BTreeMap::new();
                for n in 0..count {
                    let name = match ascends > 0 && n % ascends != 0 {
                        true => format!("{n:09}"),
                        false => pick(names).to_string(),
                    };
                    sorter.push(Text::from(&*name), n);
                    expected.insert(name, n);
                }
                let sorted = loop {
                    let mut steps = 100;
                    if let Some(sorted) = sorter.finish(&mut steps) {
                        break sorted;
                    }
                    assert_eq!(steps, 0);
                };
                let sorted = sorted.iter().map(|(name, n)| (name.to_string(), *n));
                assert!(sorted.eq(expected));
            }
        }
    }

    #[test]
    fn entries_in_any_order_are_compared_few_times() {
        for backwards in [false, true] {
            let mut sorter = Sorter::default();
            // 40 runs and less: they become one in six passes.
            for n in 0..10_000_u64 {
                let name = match backwards {
                    true => 10_000 - n,
                    false => n * 7_919 % 10_007,
                };
                sorter.push(Text::from(&*format!("{name:05}")), ());
            }
            let mut passes = 0;
            loop {
                let mut steps = 10_000;
                passes += 1;
                if let Some(sorted) = sorter.finish(&mut steps) {
                    assert_eq!(sorted.len(), 10_000);
                    break;
                }
            }
            assert!((6..=8).contains(&passes), "{passes}");
        }
    }

    #[test]
    fn texts_of_all_kinds_are_put_in_order() {
        for prefix in ["", "a", "a beginning that all of them have"] {
            let texts: Vec<String> = (0..500usize)
                .map(|n| match n % 5 {
                    0 => format!("{prefix}{}", n * 7 % 400),
                    1 => format!("{prefix}{}", "\0".repeat(n % 13)),
                    2 => format!("{prefix}longer than eight bytes {}", n % 50),
                    3 => format!("{prefix}{}", char::from(b'a' + (n % 26) as u8)),
                    _ => format!("{prefix}é{n}"),
                })
                .collect();
            for count in [0, 1, 2, 10, 500] {
                let mut expected: Vec<usize> = (0..count).collect();
                expected.sort_by_key(|place| &texts[*place]);
                assert_eq!(places(count, |place| &texts[place]), expected);
            }
        }
    }
}
