//! Places for entries, which grow a part at a time: nothing is moved, however many there are.

use std::ops::{Index, IndexMut};

/// Places of one part, and the bits of an index that name one of them.
const PART: usize = 1 << BITS;
const BITS: u32 = 10;

const NONE: u32 = u32::MAX;

/// Entries by index. The place that has become free last is used first.
#[derive(Debug)]
pub struct Slots<T> {
    /// All but the last are full; the first one grows as it is needed.
    parts: Vec<Vec<Slot<T>>>,
    length: usize,
    /// The first free place, or `NONE`.
    free: u32,
}

#[derive(Debug)]
enum Slot<T> {
    Used(T),
    /// The next free place, or `NONE`.
    Free(u32),
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            length: 0,
            free: NONE,
        }
    }
}

impl<T> Slots<T> {
    pub fn len(&self) -> usize {
        self.length
    }

    /// Places in use or free: every index is below.
    pub fn places(&self) -> usize {
        let last = self.parts.last().map_or(0, Vec::len);
        self.parts.len().saturating_sub(1) * PART + last
    }

    pub fn get(&self, index: usize) -> Option<&T> {
        match self.parts.get(index >> BITS)?.get(index % PART)? {
            Slot::Used(entry) => Some(entry),
            Slot::Free(_) => None,
        }
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match self.parts.get_mut(index >> BITS)?.get_mut(index % PART)? {
            Slot::Used(entry) => Some(entry),
            Slot::Free(_) => None,
        }
    }

    /// Adds an entry, and returns its index.
    pub fn insert(&mut self, entry: T) -> usize {
        self.length += 1;
        let index = self.free as usize;
        if self.free != NONE {
            let slot = &mut self.parts[index >> BITS][index % PART];
            if let Slot::Free(next) = std::mem::replace(slot, Slot::Used(entry)) {
                self.free = next;
            }
            return index;
        }
        let index = self.places();
        if index.is_multiple_of(PART) {
            // Few gateways have as many as a part holds.
            let room = if index == 0 { 0 } else { PART };
            self.parts.push(Vec::with_capacity(room));
        }
        self.parts[index >> BITS].push(Slot::Used(entry));
        index
    }

    /// Takes an entry out. The room of all is given back when there is none any more.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        let slot = self.parts.get_mut(index >> BITS)?.get_mut(index % PART)?;
        match std::mem::replace(slot, Slot::Free(self.free)) {
            Slot::Used(entry) => {
                self.free = index as u32;
                self.length -= 1;
                if self.length == 0 && self.parts.len() > 1 {
                    *self = Self::default();
                }
                Some(entry)
            }
            free => {
                *slot = free;
                None
            }
        }
    }

    /// The entries with their indexes, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let slots = self.parts.iter().flatten().enumerate();
        slots.filter_map(|(index, slot)| match slot {
            Slot::Used(entry) => Some((index, entry)),
            Slot::Free(_) => None,
        })
    }
}

/// For an index that is known to be in use.
impl<T> Index<usize> for Slots<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        self.get(index).expect("the index is in use")
    }
}

impl<T> IndexMut<usize> for Slots<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.get_mut(index).expect("the index is in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_like_a_slab() {
        let (mut slots, mut slab) = (Slots::default(), slab::Slab::new());
        let mut state = 1_u32;
        let mut pick = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % n
        };
        for n in 0..20_000 {
            // It grows, and shrinks to nothing, again and again.
            if pick(10) < if n % 5_000 < 3_000 { 7 } else { 1 } {
                assert_eq!(slots.insert(n), slab.insert(n));
            } else if slab.capacity() > 0 {
                let index = pick(slab.capacity());
                assert_eq!(slots.remove(index), slab.try_remove(index));
            }
            if slab.is_empty() {
                slab = slab::Slab::new();
                slots = Slots::default();
            }
            let index = pick(4 * PART);
            assert_eq!(slots.get(index), slab.get(index));
            assert_eq!(slots.len(), slab.len());
        }
        assert!(slots.iter().eq(&slab));
    }

    #[test]
    fn nothing_is_moved_and_a_part_is_added_at_a_time() {
        let mut slots = Slots::default();
        (0..PART).for_each(|n| assert_eq!(slots.insert(n), n));
        let first: *const usize = &slots[7];
        for n in PART..10 * PART {
            slots.insert(n);
            let room: usize = slots.parts.iter().map(Vec::capacity).sum();
            assert!(room <= n + 1 + PART && slots.places() == n + 1);
            assert!(std::ptr::eq(first, &slots[7]));
        }
        for n in 0..10 * PART {
            assert_eq!(slots.remove(n), Some(n));
            assert_eq!(slots.remove(n), None);
        }
        assert_eq!((slots.places(), slots.len()), (0, 0));
        assert_eq!(slots.remove(0), None);
    }
}
