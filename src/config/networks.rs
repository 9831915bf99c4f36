//! Addresses and networks of them, as `192.0.2.1` and `2001:db8::/32`.

use std::net::IpAddr;

/// Some addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// The addresses of one IP version that begin with these bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    is_v4: bool,
    /// These bits alone.
    first: u128,
    /// How many others an address has.
    rest: u32,
}

/// Number and length in bits of an address. One of IPv4 in the form of IPv6 is of IPv4.
fn bits(address: IpAddr) -> (bool, u128, u32) {
    match address.to_canonical() {
        IpAddr::V4(address) => (true, address.to_bits().into(), 32),
        IpAddr::V6(address) => (false, address.to_bits(), 128),
    }
}

/// Leaves out the last bits.
fn without(number: u128, rest: u32) -> u128 {
    number.checked_shr(rest).unwrap_or(0)
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let (is_v4, first, all) = bits(address.parse().ok()?);
        let length = match length {
            Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().ok()?
            }
            Some(_) => return None,
            None => all,
        };
        let rest = all.checked_sub(length)?;
        let first = without(first, rest);
        Some(Self { is_v4, first, rest })
    }

    fn contains(self, address: IpAddr) -> bool {
        let (is_v4, number, _) = bits(address);
        is_v4 == self.is_v4 && without(number, self.rest) == self.first
    }
}

impl Networks {
    /// Reads a list of addresses and networks.
    ///
    /// # Errors
    /// The first text that is neither.
    pub(super) fn parse(texts: &[String]) -> Result<Self, String> {
        let networks = texts
            .iter()
            .map(|text| Network::parse(text.trim()).ok_or(text));
        networks
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(String::clone)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is among them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_their_networks() {
        for (network, within, without) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.77/25", "192.0.2.127", "192.0.2.128"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "11.0.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("::1/128", "::1", "::"),
        ] {
            let networks = Networks::parse(&["fe80::/10".to_owned(), network.to_owned()]);
            let networks = networks.expect(network);
            assert!(networks.contains(within.parse().unwrap()), "{network}");
            assert!(!networks.contains(without.parse().unwrap()), "{network}");
        }
    }

    #[test]
    fn what_is_neither_is_named() {
        for text in [
            "",
            "host",
            "192.0.2.0/33",
            "::/129",
            "192.0.2.0/",
            "::1/+4",
            "1.2.3/8",
            "/8",
        ] {
            let list = ["::1".to_owned(), text.to_owned()];
            assert_eq!(Networks::parse(&list), Err(text.to_owned()));
        }
    }
}
