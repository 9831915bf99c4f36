//! Where a run's choices come from: a seed, or the bytes of a fuzzer.
//!
//! From a seed come a stream for the script, and rolls that depend on a label only, so
//! that dropping one action of a script leaves the others' luck alone. The fuzzer's bytes
//! are taken one after the other, for whatever is to be chosen next.

use std::cell::RefCell;
use std::rc::Rc;

/// What makes choices.
pub trait Choices {
    /// A number below `bound`, which must not be zero.
    fn draw(&mut self, bound: u64) -> u64;

    /// The seed of what is drawn apart.
    fn seed(&mut self) -> u64;

    /// A number below `bound`, which must not be zero.
    fn below(&mut self, bound: usize) -> usize {
        self.draw(bound as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw(high - low + 1)
    }

    /// True in so many of a hundred cases.
    fn chance(&mut self, percent: u64) -> bool {
        self.draw(100) < percent
    }

    /// One of a list, which must not be empty.
    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// An index drawn by weight; the weights must not sum up to zero.
    fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.draw(weights.iter().sum());
        weights
            .iter()
            .position(|&weight| {
                let hit = left < weight;
                left = left.saturating_sub(weight);
                hit
            })
            .expect("a number below the sum falls into one of the weights")
    }

    /// Up to 63 bytes.
    fn raw(&mut self) -> Vec<u8> {
        let length = self.below(64);
        (0..length).map(|_| self.draw(256) as u8).collect()
    }
}

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
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Choices for Rng {
    fn draw(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn seed(&mut self) -> u64 {
        self.next()
    }
}

/// The bytes of a fuzzer, or of a run that is being recorded as such. All copies take
/// from the same bytes.
#[derive(Clone, Debug)]
pub struct Bytes(Rc<RefCell<Input>>);

#[derive(Debug)]
struct Input {
    data: Vec<u8>,
    taken: usize,
    /// Makes the choices for which there are no bytes.
    rest: Rng,
    /// How many bytes are to be written down of these choices.
    room: usize,
}

impl Bytes {
    /// Choices by these bytes, and by chance from their end on.
    pub fn new(data: &[u8]) -> Self {
        Self::with(data.to_vec(), Rng::new(0), 0)
    }

    /// Choices by chance, of which so many bytes are kept.
    pub fn recorded(seed: u64, room: usize) -> Self {
        Self::with(Vec::new(), Rng::new(seed), room)
    }

    fn with(data: Vec<u8>, rest: Rng, room: usize) -> Self {
        Self(Rc::new(RefCell::new(Input {
            data,
            taken: 0,
            rest,
            room,
        })))
    }

    /// Whether all bytes are taken.
    pub fn is_empty(&self) -> bool {
        let input = self.0.borrow();
        input.room == 0 && input.taken >= input.data.len()
    }

    /// The bytes by which the same choices are made again.
    pub fn record(&self) -> Vec<u8> {
        self.0.borrow().data.clone()
    }
}

impl Choices for Bytes {
    fn draw(&mut self, bound: u64) -> u64 {
        let width = match bound {
            0..=1 => 0,
            2..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 8,
        };
        let mut input = self.0.borrow_mut();
        let input = &mut *input;
        if input.room > 0 && width > input.room {
            // What follows is chosen as at the end of any bytes.
            (input.room, input.taken) = (0, input.data.len());
            input.rest = Rng::new(0);
        }
        if input.room > 0 {
            let drawn = input.rest.draw(bound.max(1));
            input.data.extend(&drawn.to_le_bytes()[..width]);
            input.taken += width;
            input.room -= width;
            if input.room == 0 {
                input.rest = Rng::new(0);
            }
            return drawn;
        }
        let mut bytes = [0; 8];
        let Some(taken) = input.data.get(input.taken..input.taken + width) else {
            input.taken = input.data.len();
            return input.rest.draw(bound.max(1));
        };
        bytes[..width].copy_from_slice(taken);
        input.taken += width;
        u64::from_le_bytes(bytes) % bound.max(1)
    }

    /// What would be drawn apart is drawn from the bytes too.
    fn seed(&mut self) -> u64 {
        0
    }
}

/// The choices at one place of a run.
#[derive(Clone, Debug)]
pub enum Luck {
    Seed(Rng),
    Bytes(Bytes),
}

impl Choices for Luck {
    fn draw(&mut self, bound: u64) -> u64 {
        match self {
            Self::Seed(rng) => rng.draw(bound),
            Self::Bytes(bytes) => bytes.draw(bound),
        }
    }

    fn seed(&mut self) -> u64 {
        match self {
            Self::Seed(rng) => rng.seed(),
            Self::Bytes(bytes) => bytes.seed(),
        }
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

#[test]
fn recorded_choices_are_made_again() {
    let choose = |bytes: &mut Bytes| {
        let bounds = [1, 2, 100, 256, 257, 951, 70_000];
        let mut drawn = bounds.map(|bound| bytes.draw(bound)).to_vec();
        drawn.extend(bytes.raw().iter().map(|byte| u64::from(*byte)));
        drawn
    };
    for room in [1, 4, 8, 10, 1000] {
        let mut recorder = Bytes::recorded(5, room);
        let drawn = choose(&mut recorder);
        let mut bytes = Bytes::new(&recorder.record());
        assert!(!bytes.is_empty());
        assert_eq!(choose(&mut bytes), drawn, "with {room} bytes");
        assert!(bytes.is_empty());
    }
}
