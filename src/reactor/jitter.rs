//! Random delays, so that many peers do not all do the same in one moment. No secrets.

/// A Weyl sequence that is mixed.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    /// Randomness comes from a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `most`.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed ^ mixed >> 32) % (most + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_about_equally_often() {
        let mut jitter = Jitter::new(7);
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            counts[jitter.up_to(9) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (900..1_100).contains(count)),
            "{counts:?}"
        );
    }
}
