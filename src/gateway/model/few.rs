//! A list that has one entry in most cases, and holds that in place.

use std::ops::Deref;

/// Entries in the order in which they came.
#[derive(Clone, Debug, Default)]
pub enum Few<T> {
    #[default]
    None,
    One(T),
    More(Vec<T>),
}

impl<T: Copy> From<&[T]> for Few<T> {
    fn from(entries: &[T]) -> Self {
        match *entries {
            [] => Self::None,
            [entry] => Self::One(entry),
            _ => Self::More(entries.to_vec()),
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(entry) => std::slice::from_ref(entry),
            Self::More(entries) => entries,
        }
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Copy> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = Entries<T>;

    fn into_iter(self) -> Entries<T> {
        Entries { few: self, at: 0 }
    }
}

/// The entries of a list that is of no other use any more.
#[derive(Debug)]
pub struct Entries<T> {
    few: Few<T>,
    at: usize,
}

impl<T: Copy> Iterator for Entries<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let entry = self.few.get(self.at).copied();
        self.at += 1;
        entry
    }
}

impl<T: Copy> Few<T> {
    /// Takes out the entry in a place, which the last one gets.
    pub fn swap_remove(&mut self, place: usize) {
        match self {
            Self::More(entries) => {
                entries.swap_remove(place);
                if let [entry] = entries[..] {
                    *self = Self::One(entry);
                }
            }
            Self::One(_) if place == 0 => *self = Self::None,
            _ => debug_assert!(false, "an entry is taken out of a place that has one"),
        }
    }

    pub fn push(&mut self, entry: T) {
        match self {
            Self::None => *self = Self::One(entry),
            Self::One(first) => *self = Self::More(vec![*first, entry]),
            Self::More(entries) => entries.push(entry),
        }
    }

    pub fn as_slice(&self) -> &[T] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_in_order() {
        let mut few = Few::default();
        assert!(few.as_slice().is_empty());
        for n in 0..4 {
            few.push(n);
            assert_eq!(few.as_slice(), Vec::from_iter(0..=n));
            assert_eq!(Few::from(few.as_slice()).as_slice(), few.as_slice());
            assert_eq!(Vec::from_iter(few.clone()), few.to_vec());
        }
    }

    #[test]
    fn the_last_entry_gets_the_place_that_is_free() {
        let mut few = Few::from(&[0, 1, 2, 3][..]);
        few.swap_remove(1);
        assert_eq!(few[..], [0, 3, 2]);
        few.swap_remove(2);
        few.swap_remove(0);
        assert!(matches!(few, Few::One(3)));
        few.push(4);
        assert_eq!(few[..], [3, 4]);
        few.swap_remove(1);
        few.swap_remove(0);
        assert!(few.is_empty() && matches!(few, Few::None));
    }
}
