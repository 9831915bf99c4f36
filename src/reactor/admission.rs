//! Who may connect: how many connections there are, in all and of each address.

use std::fmt;
use std::net::IpAddr;

use hashbrown::HashMap;

use super::address::AddressKey;
use crate::gateway::Time;

/// Refused connections that are kept until their client has read why; of more the kernel
/// alone sees to that.
pub(crate) const LINGERING_MAX: usize = 256;

/// Milliseconds between two log lines about refused connections.
const LOG_STEP: u64 = 10_000;

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// There are as many as there may be.
    Gateway,
    /// There are as many of its address as there may be.
    Address,
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "there are too many connections (maxConnections)",
            Self::Address => "there are too many of its address (maxConnectionsPerAddress)",
        })
    }
}

/// What a connection counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    #[default]
    Outside,
    /// A refused one that its client may still read from.
    Lingering,
    /// One of all.
    Inside,
    /// One of all, and one of its address.
    Numbered,
}

/// The counts, and what they may be.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Most connections; 0 is no limit.
    most: usize,
    /// Most connections of an address; 0 is no limit, and none are counted.
    most_of_address: u32,
    count: usize,
    lingering: usize,
    of_address: HashMap<AddressKey, u32, foldhash::fast::RandomState>,
    /// How many were refused, by [`Crowded`].
    refused: [u64; 2],
    logged: u64,
    next_log: Time,
}

impl Admission {
    /// Limits; 0 is none.
    pub(super) fn new(most: u32, most_of_address: u32) -> Self {
        Self {
            most: most as usize,
            most_of_address,
            ..Self::default()
        }
    }

    /// Counts a connection, unless there are too many. Its address is counted if it is said
    /// whose it is.
    ///
    /// # Errors
    /// Which limit is in its way; nothing was counted.
    pub(super) fn enter(&mut self, address: Option<IpAddr>) -> Result<Place, Crowded> {
        if self.most > 0 && self.count >= self.most {
            self.refused[Crowded::Gateway as usize] += 1;
            return Err(Crowded::Gateway);
        }
        let place = match address {
            Some(address) => self.number(address)?,
            None => Place::Inside,
        };
        self.count += 1;
        Ok(place)
    }

    /// Counts a connection that is inside among those of an address.
    ///
    /// # Errors
    /// There are too many; nothing was counted.
    pub(super) fn number(&mut self, address: IpAddr) -> Result<Place, Crowded> {
        if self.most_of_address == 0 {
            return Ok(Place::Inside);
        }
        let count = self.of_address.entry(AddressKey::of(address)).or_insert(0);
        if *count >= self.most_of_address {
            self.refused[Crowded::Address as usize] += 1;
            return Err(Crowded::Address);
        }
        *count += 1;
        Ok(Place::Numbered)
    }

    /// Counts a refused connection whose client shall be able to read why, unless there are
    /// many.
    pub(super) fn linger(&mut self) -> Option<Place> {
        if self.lingering >= LINGERING_MAX {
            return None;
        }
        self.lingering += 1;
        Some(Place::Lingering)
    }

    /// A connection of this address is gone.
    pub(super) fn leave(&mut self, place: Place, address: IpAddr) {
        match place {
            Place::Outside => {}
            Place::Lingering => self.lingering -= 1,
            Place::Inside => self.count -= 1,
            Place::Numbered => {
                self.count -= 1;
                let key = AddressKey::of(address);
                if let Some(count) = self.of_address.get_mut(&key) {
                    *count -= 1;
                    if *count == 0 {
                        self.of_address.remove(&key);
                    }
                }
            }
        }
    }

    /// Connections that were refused, by [`Crowded`].
    pub(super) fn refused(&self) -> [u64; 2] {
        self.refused
    }

    /// Says now and then that connections are refused since there are too many in all: then
    /// nobody new is served.
    pub(super) fn note_crowd(&mut self, now: Time) {
        let refused = self.refused[Crowded::Gateway as usize];
        if refused > self.logged && self.next_log <= now {
            log::warn!(
                "refused {} connections since there are {} (maxConnections)",
                refused - self.logged,
                self.most
            );
            self.logged = refused;
            self.next_log = Time(now.0 + LOG_STEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn connections_are_counted_in_all_and_by_address() {
        let mut admission = Admission::new(3, 2);
        let (one, two) = (ip("192.0.2.1"), ip("192.0.2.2"));
        assert_eq!(admission.enter(Some(one)), Ok(Place::Numbered));
        assert_eq!(admission.enter(Some(one)), Ok(Place::Numbered));
        assert_eq!(admission.enter(Some(one)), Err(Crowded::Address));
        assert_eq!(admission.enter(Some(two)), Ok(Place::Numbered));
        assert_eq!(admission.enter(Some(two)), Err(Crowded::Gateway));
        assert_eq!(admission.enter(None), Err(Crowded::Gateway));
        assert_eq!(admission.refused(), [2, 1]);
        admission.leave(Place::Numbered, one);
        assert_eq!(admission.enter(None), Ok(Place::Inside));
        assert_eq!(admission.number(one), Ok(Place::Numbered));
        assert_eq!(admission.number(one), Err(Crowded::Address));
        for (place, address) in [
            (Place::Numbered, one),
            (Place::Numbered, one),
            (Place::Numbered, two),
        ] {
            admission.leave(place, address);
        }
        assert_eq!((admission.count, admission.of_address.len()), (0, 0));
    }

    #[test]
    fn nothing_is_kept_of_addresses_without_a_limit() {
        let mut admission = Admission::default();
        for _ in 0..1_000 {
            let place = admission.enter(Some(ip("192.0.2.1")));
            assert_eq!(place, Ok(Place::Inside));
        }
        assert_eq!(admission.of_address.capacity(), 0);
    }

    #[test]
    fn so_many_refused_connections_linger() {
        let mut admission = Admission::new(1, 0);
        for _ in 0..LINGERING_MAX {
            assert_eq!(admission.linger(), Some(Place::Lingering));
        }
        assert_eq!(admission.linger(), None);
        admission.leave(Place::Lingering, ip("192.0.2.1"));
        assert_eq!(admission.linger(), Some(Place::Lingering));
        assert_eq!(
            admission.enter(None),
            Ok(Place::Inside),
            "they take no place"
        );
    }
}
