//! Randomness from the injected seed: connection IDs and the inbox name.

/// xoshiro256**: fast and well distributed. What it makes is never shown to clients.
pub struct Random([u64; 4]);

impl Random {
    pub fn new(seed: [u64; 4]) -> Self {
        // An all-zero state would stay zero.
        Self([seed[0] | 1, seed[1], seed[2], seed[3]])
    }

    pub fn next(&mut self) -> u64 {
        let state = &mut self.0;
        let result = state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
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
