//! A list that has one entry in most cases, and holds that in place.

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

impl<T: Copy> Few<T> {
    pub fn push(&mut self, entry: T) {
        match self {
            Self::None => *self = Self::One(entry),
            Self::One(first) => *self = Self::More(vec![*first, entry]),
            Self::More(entries) => entries.push(entry),
        }
    }

    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(entry) => std::slice::from_ref(entry),
            Self::More(entries) => entries,
        }
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
        }
    }
}
