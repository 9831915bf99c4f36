//! Time, as the caller tells it.

/// How long a name stays cached after its last use, in milliseconds.
pub const LINGER: u64 = 5_000;

/// Milliseconds of a monotonic clock that the caller reads; zero is arbitrary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);
