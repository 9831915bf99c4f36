//! A slab whose keys carry a generation, so that a stale key finds nothing.

use slab::Slab;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// The place of an entry, and which of the entries that were ever there it means.
pub struct Key<T> {
    index: u32,
    generation: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key from its two halves, as [`Key::index`] and [`Key::generation`] gave them.
    pub fn from_parts(index: u32, generation: u32) -> Self {
        Self {
            index,
            generation,
            kind: PhantomData,
        }
    }

    pub fn index(self) -> u32 {
        self.index
    }

    pub fn generation(self) -> u32 {
        self.generation
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.generation) == (other.index, other.generation)
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.generation) << 32 | u64::from(self.index));
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

struct Slot<T> {
    generation: u32,
    value: T,
}

/// Entries of one kind. Keys are never mixed up between entries, also where an index is
/// used again.
pub struct Arena<T> {
    slots: Slab<Slot<T>>,
    generation: u32,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self {
            slots: Slab::new(),
            generation: 0,
        }
    }
}

impl<T> Arena<T> {
    pub fn insert(&mut self, value: T) -> Key<T> {
        self.generation = self.generation.wrapping_add(1);
        let index = self.slots.insert(Slot {
            generation: self.generation,
            value,
        });
        Key::from_parts(index as u32, self.generation)
    }

    pub fn get(&self, key: Key<T>) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        (slot.generation == key.generation).then_some(&slot.value)
    }

    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        (slot.generation == key.generation).then_some(&mut slot.value)
    }

    pub fn contains(&self, key: Key<T>) -> bool {
        self.get(key).is_some()
    }

    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.contains(key)
            .then(|| self.slots.remove(key.index as usize).value)
    }

    /// The entry at an index that is known to be in use.
    pub fn at(&self, index: u32) -> (Key<T>, &T) {
        let slot = &self.slots[index as usize];
        (Key::from_parts(index, slot.generation), &slot.value)
    }

    /// The key of whatever is at an index now.
    pub fn key_at(&self, index: u32) -> Option<Key<T>> {
        let slot = self.slots.get(index as usize)?;
        Some(Key::from_parts(index, slot.generation))
    }

    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.slots
            .iter()
            .map(|(index, slot)| (Key::from_parts(index as u32, slot.generation), &slot.value))
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }
}

/// For keys whose entry is known to exist, since what holds the key keeps it.
impl<T> Index<Key<T>> for Arena<T> {
    type Output = T;
    fn index(&self, key: Key<T>) -> &T {
        self.get(key).expect("a held key names a live entry")
    }
}

impl<T> IndexMut<Key<T>> for Arena<T> {
    fn index_mut(&mut self, key: Key<T>) -> &mut T {
        self.get_mut(key).expect("a held key names a live entry")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_keys_find_nothing() {
        let mut arena = Arena::default();
        let first = arena.insert("a");
        assert_eq!(arena.remove(first), Some("a"));
        let second = arena.insert("b");
        assert_eq!(first.index(), second.index());
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena[second], "b");
        let copy = Key::from_parts(second.index(), second.generation());
        assert_eq!(arena.get(copy), Some(&"b"));
    }
}
