//! Randomness from the injected seed: connection IDs, the inbox name, hash keys.

use ring::hmac;

/// HMAC-SHA-256 of a counter: whoever sees some of the output, as services see
/// connection IDs, learns nothing of the rest.
#[derive(Debug)]
pub struct Random {
    key: hmac::Key,
    blocks: u64,
    block: [u8; 32],
    /// Bytes of the block that were given out.
    used: usize,
}

impl Random {
    pub fn new(seed: [u64; 4]) -> Self {
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip(seed) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            blocks: 0,
            block: [0; 32],
            used: 32,
        }
    }

    pub fn next(&mut self) -> u64 {
        if self.used == self.block.len() {
            let tag = hmac::sign(&self.key, &self.blocks.to_le_bytes());
            self.block.copy_from_slice(tag.as_ref());
            self.blocks += 1;
            self.used = 0;
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.block[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(word)
    }

    /// Fills a text with digits and lower-case letters up to `v`.
    pub fn text<const N: usize>(&mut self) -> [u8; N] {
        let mut text = [0; N];
        for chunk in text.chunks_mut(12) {
            let mut bits = self.next();
            for byte in chunk {
                *byte = b"0123456789abcdefghijklmnopqrstuv"[(bits & 31) as usize];
                bits >>= 5;
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_alone_decides() {
        let take = |seed| {
            let mut random = Random::new(seed);
            (random.text::<20>(), random.next(), random.text::<8>())
        };
        assert_eq!(take([1, 2, 3, 4]), take([1, 2, 3, 4]));
        assert_ne!(take([1, 2, 3, 4]), take([1, 2, 3, 5]));
    }

    #[test]
    fn texts_differ_and_keep_to_their_letters() {
        let mut random = Random::new([7; 4]);
        let texts: std::collections::BTreeSet<[u8; 20]> =
            (0..1000).map(|_| random.text()).collect();
        assert_eq!(texts.len(), 1000);
        let allowed = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'v').contains(byte);
        assert!(texts.iter().flatten().all(allowed));
    }
}
