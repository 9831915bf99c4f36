//! Randomness from a seed: one stream for scripts, and rolls that depend on a label
//! only, so that dropping one action of a script leaves the others' luck alone.

/// SplitMix64: small, fast, and every seed is a good one.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A stream for a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream for a label within a seed, with a count to tell repeats apart.
    pub fn labelled(seed: u64, label: &str, count: u64) -> Self {
        // FNV-1a over the label, then one mixing step for each number.
        let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut rng = Self(seed ^ hash);
        let first = rng.next();
        Self(first ^ count.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// One of a list, which must not be empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// An index drawn by weight; the weights must not sum up to zero.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.next() % weights.iter().sum::<u64>();
        weights
            .iter()
            .position(|&weight| {
                let hit = left < weight;
                left = left.saturating_sub(weight);
                hit
            })
            .expect("a number below the sum falls into one of the weights")
    }
}

#[test]
fn rolls_depend_on_seed_label_and_count() {
    let first = |seed, label, count| Rng::labelled(seed, label, count).next();
    assert_eq!(first(1, "a", 0), first(1, "a", 0));
    assert_ne!(first(1, "a", 0), first(2, "a", 0));
    assert_ne!(first(1, "a", 0), first(1, "b", 0));
    assert_ne!(first(1, "a", 0), first(1, "a", 1));
}

#[test]
fn weights_bound_the_choice() {
    let mut rng = Rng::new(7);
    let mut seen = [0; 3];
    for _ in 0..1000 {
        seen[rng.weighted(&[1, 0, 3])] += 1;
    }
    assert_eq!(seen[1], 0);
    assert!(seen[0] > 150 && seen[2] > 600, "{seen:?}");
}
