//! A slab whose keys carry a generation, so that a stale key finds nothing.

use crate::gateway::model::keys::Key;
use crate::gateway::model::slots::Slots;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

struct Slot<V> {
    generation: u32,
    value: V,
}

/// Entries of one kind. Keys are never mixed up between entries, also where an index is
/// used again.
pub struct Arena<T, V> {
    slots: Slots<Slot<V>>,
    generation: u32,
    kind: PhantomData<fn() -> T>,
}

/// Its entries by their keys.
impl<T, V: fmt::Debug> fmt::Debug for Arena<T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T, V> Default for Arena<T, V> {
    fn default() -> Self {
        Self {
            slots: Slots::default(),
            generation: 0,
            kind: PhantomData,
        }
    }
}

impl<T, V> Arena<T, V> {
    pub fn insert(&mut self, value: V) -> Key<T> {
        self.generation = self.generation.wrapping_add(1);
        let index = self.slots.insert(Slot {
            generation: self.generation,
            value,
        });
        Key::from_parts(index as u32, self.generation)
    }

    pub fn get(&self, key: Key<T>) -> Option<&V> {
        let slot = self.slots.get(key.index as usize)?;
        (slot.generation == key.generation).then_some(&slot.value)
    }

    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut V> {
        let slot = self.slots.get_mut(key.index as usize)?;
        (slot.generation == key.generation).then_some(&mut slot.value)
    }

    pub fn contains(&self, key: Key<T>) -> bool {
        self.get(key).is_some()
    }

    pub fn remove(&mut self, key: Key<T>) -> Option<V> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        Some(self.slots.remove(key.index as usize)?.value)
    }

    /// The entry at an index that is known to be in use.
    pub fn at(&self, index: u32) -> (Key<T>, &V) {
        let slot = &self.slots[index as usize];
        (Key::from_parts(index, slot.generation), &slot.value)
    }

    /// The same, to be changed.
    pub fn at_mut(&mut self, index: u32) -> &mut V {
        &mut self.slots[index as usize].value
    }

    /// The key of whatever is at an index now.
    pub fn key_at(&self, index: u32) -> Option<Key<T>> {
        let slot = self.slots.get(index as usize)?;
        Some(Key::from_parts(index, slot.generation))
    }

    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &V)> {
        self.slots
            .iter()
            .map(|(index, slot)| (Key::from_parts(index as u32, slot.generation), &slot.value))
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Places in use or free: every index is below.
    pub fn places(&self) -> usize {
        self.slots.places()
    }

    /// The generation of the entry that is added next. They go round.
    pub fn next_generation(&self) -> u32 {
        self.generation.wrapping_add(1)
    }
}

/// For keys whose entry is known to exist, since what holds the key keeps it.
impl<T, V> Index<Key<T>> for Arena<T, V> {
    type Output = V;
    fn index(&self, key: Key<T>) -> &V {
        self.get(key).expect("a held key names a live entry")
    }
}

impl<T, V> IndexMut<Key<T>> for Arena<T, V> {
    fn index_mut(&mut self, key: Key<T>) -> &mut V {
        self.get_mut(key).expect("a held key names a live entry")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_keys_find_nothing() {
        let mut arena = Arena::<(), _>::default();
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
