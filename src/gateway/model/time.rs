//! Time, as the caller tells it.

/// How long a name stays cached after its last use, in milliseconds.
pub const LINGER: u64 = 5_000;

/// Milliseconds of a monotonic clock that the caller reads; zero is arbitrary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// The first of some times, as far as there are any. It is asked for several times in a
    /// turn, so that it has no branches.
    #[inline]
    pub fn first<const N: usize>(times: [Option<Self>; N]) -> Option<Self> {
        let (mut first, mut is_any) = (Self(u64::MAX), false);
        for time in times {
            first = first.min(time.unwrap_or(Self(u64::MAX)));
            is_any |= time.is_some();
        }
        is_any.then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_some_times() {
        assert_eq!(Time::first([None, None]), None);
        let (one, last) = (Some(Time(1)), Some(Time(u64::MAX)));
        assert_eq!(Time::first([None, Some(Time(2)), one, None]), one);
        assert_eq!(Time::first([last, None]), last);
    }
}
