//! Room that a crowd has left behind, which is given back to the system.

use hashbrown::HashTable;

/// Entries for which there is always room.
const KEPT: usize = 1 << 10;

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
    fn what_is_nearly_empty_takes_little_room() {
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
