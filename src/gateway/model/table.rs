//! A table of places by hash, which grows a part at a time.

use crate::gateway::model::slack;
use hashbrown::HashTable;

/// Parts, which grow at different moments: all of a large table at once would take long.
const PARTS: usize = 64;

/// Places of entries that are kept elsewhere, by their hash. Each has its hash beside it, so
/// that no entry is looked at again when a part grows.
#[derive(Debug)]
pub struct Table {
    parts: [HashTable<Entry>; PARTS],
    length: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    place: u32,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            parts: [const { HashTable::new() }; PARTS],
            length: 0,
        }
    }
}

impl Table {
    pub fn len(&self) -> usize {
        self.length
    }

    /// The place of an entry with a hash, if `is_it` says so of it.
    pub fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let part = &self.parts[part_of(hash)];
        let entry = part.find(spread(hash), |entry| {
            entry.hash == hash && is_it(entry.place)
        });
        entry.map(|entry| entry.place)
    }

    /// Adds an entry, which must not be there.
    pub fn insert(&mut self, hash: u32, place: u32) {
        let part = &mut self.parts[part_of(hash)];
        let entry = Entry { hash, place };
        part.insert_unique(spread(hash), entry, |entry| spread(entry.hash));
        self.length += 1;
    }

    /// Takes out the entry with a hash and a place.
    pub fn remove(&mut self, hash: u32, place: u32) {
        let part = &mut self.parts[part_of(hash)];
        if let Ok(entry) = part.find_entry(spread(hash), |entry| entry.place == place) {
            entry.remove();
            self.length -= 1;
        }
        slack::shrink(part, |entry| spread(entry.hash));
    }
}

/// The part of a hash. Those that differ in the lower bits alone are near each other.
fn part_of(hash: u32) -> usize {
    (hash >> (u32::BITS - PARTS.ilog2())) as usize
}

/// A part takes a bucket from the lower bits of a hash and a tag from the uppermost,
/// which must differ for neighbours.
fn spread(hash: u32) -> u64 {
    let mixed = hash.wrapping_mul(0x9E37_79B9);
    u64::from(mixed) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_hash_and_parts_grow_by_themselves() {
        let mut table = Table::default();
        let hash = |n: u32| n.wrapping_mul(0x85EB_CA6B) ^ n >> 7;
        let (mut grown, mut most) = (0, 0);
        for n in 0..50_000 {
            let room = |table: &Table| table.parts.iter().map(HashTable::capacity).sum::<usize>();
            let before = room(&table);
            table.insert(hash(n), n);
            grown += usize::from(room(&table) > before);
            most = most.max(room(&table) - before);
        }
        assert!(grown > PARTS && most < 50_000 / PARTS * 4, "{grown} {most}");
        assert_eq!(table.len(), 50_000);
        for n in 0..50_000 {
            assert_eq!(table.find(hash(n), |place| place == n), Some(n));
        }
        assert_eq!(table.find(hash(7), |_| false), None);
        assert_eq!(table.find(hash(50_001), |place| place > 50_000), None);
        for n in 0..50_000 {
            table.remove(hash(n), n);
            table.remove(hash(n), n);
        }
        assert_eq!(table.len(), 0);
    }
}
