//! Bytes that wait, in blocks: they come at the end and leave at the front, and however many
//! there are, none are moved to make room.

use std::collections::VecDeque;

/// Bytes of a block from which on a further one is begun.
const BLOCK: usize = 256 << 10;

/// Bytes of a part from which on it has a block of its own, which leaves as it is.
const LARGE: usize = 64 << 10;

/// Room of the last block that is kept while nothing waits.
const KEPT: usize = 64 << 10;

/// A queue of bytes. What is appended in one go stays together in a block.
#[derive(Debug, Default)]
pub struct Blocks {
    /// Those to which nothing is appended any more.
    full: VecDeque<Vec<u8>>,
    last: Vec<u8>,
    /// Whether the last one is of a large part, and has nothing behind that.
    is_alone: bool,
    /// Bytes of the first one that have left.
    start: usize,
    /// Bytes of those that are full, `start` included.
    length: usize,
}

impl Blocks {
    /// None yet, with room for so many.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            last: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.length + self.last.len() - self.start
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where bytes are appended.
    pub fn room(&mut self) -> &mut Vec<u8> {
        if self.last.len() >= BLOCK || self.is_alone {
            self.begin_block();
        }
        &mut self.last
    }

    /// The same, for a part of so many bytes.
    pub fn room_for(&mut self, bytes: usize) -> &mut Vec<u8> {
        if bytes >= LARGE && !self.last.is_empty() {
            self.begin_block();
        }
        let room = self.room();
        room.reserve(bytes);
        self.is_alone = bytes >= LARGE;
        &mut self.last
    }

    fn begin_block(&mut self) {
        let block = std::mem::take(&mut self.last);
        self.length += block.len();
        self.full.push_back(block);
        self.is_alone = false;
    }

    /// The first bytes that wait, as many as stand together.
    pub fn front(&self) -> &[u8] {
        &self.full.front().unwrap_or(&self.last)[self.start..]
    }

    /// So many bytes of the [`front`](Self::front) have left.
    pub fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        match self.full.front() {
            Some(block) if self.start >= block.len() => {
                self.take_block();
            }
            None if self.start >= self.last.len() => {
                self.last.clear();
                self.last.shrink_to(KEPT);
                (self.start, self.is_alone) = (0, false);
            }
            _ => {}
        }
    }

    fn take_block(&mut self) -> Option<Vec<u8>> {
        let block = self.full.pop_front()?;
        self.length -= block.len();
        self.start = 0;
        Some(block)
    }

    /// The first `bytes`, which were appended in one go, wait at the end of others from now on.
    /// Returns how many of them were copied.
    pub fn move_to(&mut self, bytes: usize, others: &mut Self) -> usize {
        if bytes >= LARGE && self.start == 0 && self.front().len() == bytes {
            let block = match self.take_block() {
                Some(block) => block,
                None => {
                    self.is_alone = false;
                    std::mem::take(&mut self.last)
                }
            };
            if !others.last.is_empty() {
                others.begin_block();
            }
            (others.last, others.is_alone) = (block, true);
            return 0;
        }
        let room = others.room_for(bytes);
        room.extend_from_slice(&self.front()[..bytes]);
        self.advance(bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything, block by block.
    fn taken(blocks: &mut Blocks) -> Vec<u8> {
        let mut all = Vec::new();
        while !blocks.is_empty() {
            all.extend_from_slice(blocks.front());
            blocks.advance(blocks.front().len());
        }
        all
    }

    #[test]
    fn bytes_leave_in_order_wherever_blocks_end() {
        let (mut blocks, mut all, mut left) = (Blocks::default(), Vec::new(), Vec::new());
        for n in 0..3_000_u32 {
            let part = vec![n as u8; (n as usize * 7_919) % 900];
            blocks.room().extend_from_slice(&part);
            all.extend_from_slice(&part);
            if n % 3 == 0 {
                let some = blocks.front().len().min(1_000);
                left.extend_from_slice(&blocks.front()[..some]);
                blocks.advance(some);
            }
            assert_eq!(blocks.len(), all.len() - left.len());
            assert!(blocks.full.iter().all(|block| block.len() < BLOCK + 900));
        }
        assert!(blocks.full.len() > 1);
        left.extend(taken(&mut blocks));
        assert_eq!(left, all);
        assert_eq!((blocks.len(), blocks.front()), (0, &[][..]));
    }

    #[test]
    fn what_is_appended_in_one_go_is_moved_in_one_go_and_if_it_is_long_not_copied() {
        let (mut from, mut to, mut expected) = (Blocks::default(), Blocks::default(), Vec::new());
        let sizes = [5, LARGE, 7, 0, LARGE - 1, BLOCK, BLOCK, 3, 2 * BLOCK + 1, 9];
        for (n, size) in sizes.into_iter().enumerate() {
            let room = from.room_for(size);
            room.extend(vec![n as u8; size]);
            expected.extend(vec![n as u8; size]);
        }
        to.room().extend_from_slice(b"before");
        let copied: Vec<usize> = sizes.map(|size| from.move_to(size, &mut to)).into();
        let is_copied =
            |(size, copied): (usize, usize)| copied == if size < LARGE { size } else { 0 };
        assert!(sizes.into_iter().zip(copied).all(is_copied));
        assert!(from.is_empty());
        assert_eq!(taken(&mut to), [b"before", &expected[..]].concat());
    }

    #[test]
    fn a_large_block_is_given_back_when_it_has_left() {
        let mut blocks = Blocks::default();
        blocks.room_for(8 * BLOCK).resize(8 * BLOCK, 1);
        blocks.advance(8 * BLOCK);
        assert!(blocks.is_empty() && blocks.last.capacity() <= KEPT);
    }
}
