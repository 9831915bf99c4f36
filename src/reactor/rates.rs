//! How many HTTP requests an address sends: each request is a client of its own for the
//! heart, and a connection is quickly made anew.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::address::AddressKey;
use crate::gateway::{Rate, Time, Used};

/// Milliseconds after which an address that asked nothing is as good as new.
const FORGOTTEN: u64 = 1_000;

type Addresses = HashMap<AddressKey, Used, foldhash::fast::RandomState>;

/// The addresses that have sent requests in the last two seconds at most.
#[derive(Debug, Default)]
pub(super) struct Rates {
    rate: Rate,
    /// Those of this period of [`FORGOTTEN`].
    recent: Addresses,
    /// Those of the period before; what it has is dropped as a whole.
    earlier: Addresses,
    /// When the period ends.
    end: Time,
}

impl Rates {
    /// So many requests in a second; 0 is no limit.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate: Rate(rate),
            ..Self::default()
        }
    }

    /// Counts a request of an address, unless it is one too many.
    ///
    /// # Errors
    /// Seconds after which there is room again.
    pub(super) fn take(&mut self, address: IpAddr, now: Time) -> Result<(), u64> {
        if !self.rate.is_limited() {
            return Ok(());
        }
        if now >= self.end {
            let is_next = now.0 < self.end.0.saturating_add(FORGOTTEN);
            self.earlier = std::mem::take(&mut self.recent);
            if !is_next {
                self.earlier = Addresses::default();
            }
            self.end = Time(now.0 + FORGOTTEN);
        }
        let key = AddressKey::of(address);
        let earlier = self.earlier.get(&key).copied();
        let used = self.recent.entry(key);
        self.rate
            .take(used.or_insert(earlier.unwrap_or_default()), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_is_forgotten() {
        let mut rates = Rates::new(2);
        let ip = |last| IpAddr::from([192, 0, 2, last]);
        let one = ip(1);
        assert_eq!(rates.take(one, Time(5_000)), Ok(()));
        assert_eq!(rates.take(one, Time(5_000)), Ok(()));
        assert_eq!(rates.take(one, Time(5_000)), Err(1));
        assert_eq!(rates.take(ip(2), Time(5_000)), Ok(()));
        // Over the end of a period it is known too.
        assert_eq!(rates.take(one, Time(5_999)), Ok(()));
        assert_eq!(rates.take(one, Time(6_000)), Ok(()));
        assert_eq!(rates.take(one, Time(6_001)), Err(1));
        for time in 0..100 {
            let address = ip(100 + (time % 100) as u8);
            assert_eq!(rates.take(address, Time(9_000 + 30 * time)), Ok(()));
        }
        let kept = rates.recent.len() + rates.earlier.len();
        assert!(kept <= 70, "{kept} are kept");
    }

    #[test]
    fn nothing_is_kept_without_a_limit() {
        let mut rates = Rates::default();
        for time in 0..1_000 {
            assert_eq!(rates.take(IpAddr::from([192, 0, 2, 1]), Time(time)), Ok(()));
        }
        assert_eq!(rates.recent.capacity(), 0);
    }
}
