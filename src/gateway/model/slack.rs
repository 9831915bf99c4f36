//! Room that a crowd has left behind, which is given back to the system.

use hashbrown::HashTable;
use slab::Slab;

/// Entries for which there is always room.
const KEPT: usize = 1 << 10;

/// Gives back the room of a slab that has become empty. The places of what is still there
/// cannot change.
pub fn clear<T>(slab: &mut Slab<T>) {
    if slab.is_empty() && slab.capacity() > KEPT {
        *slab = Slab::new();
    }
}

/// Gives back most of the room of a table of which little is in use. It is seldom done: half
/// of what is left must go, or as much come, before it is done again.
pub fn shrink<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    if table.capacity() > KEPT && table.len() < table.capacity() / 8 {
        table.shrink_to(2 * table.len(), hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_or_nearly_so_takes_little_room() {
        let mut slab: Slab<u32> = (0..10_000).enumerate().collect();
        let room = slab.capacity();
        for n in 1..10_000 {
            slab.remove(n);
        }
        clear(&mut slab);
        assert_eq!((slab.capacity(), slab.get(0)), (room, Some(&0)));
        slab.remove(0);
        clear(&mut slab);
        assert_eq!(slab.capacity(), 0);

        let hash = |n: &u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut table = HashTable::new();
        for n in 0..10_000 {
            table.insert_unique(hash(&n), n, hash);
        }
        let (room, mut shrunk) = (table.capacity(), 0);
        for n in 0..10_000 {
            let before = table.capacity();
            if let Ok(entry) = table.find_entry(hash(&n), |it| *it == n) {
                entry.remove();
            }
            shrink(&mut table, hash);
            let is_smaller = table.capacity() < before;
            assert!(!is_smaller || table.len() < before / 8, "{before}");
            shrunk += usize::from(is_smaller);
            assert!(
                (n + 1..10_000)
                    .all(|n| n % 97 > 0 || table.find(hash(&n), |it| *it == n).is_some())
            );
        }
        assert!(
            table.is_empty() && table.capacity() <= KEPT && shrunk <= 4,
            "{room} {shrunk}"
        );
    }
}
