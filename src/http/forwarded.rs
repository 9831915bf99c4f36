//! Who a request comes from, where proxies stand in between: `X-Forwarded-For`.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::fields;
use super::head::Head;

/// The field in which each proxy writes where it got a request from, behind what is there.
const FIELD: &str = "x-forwarded-for";

/// The client that a request comes from. The peer must be one that is trusted; what it says
/// is believed, and so on backwards up to the first that is not trusted. What stands before
/// anybody may have written. A port that was not said is 0.
pub fn client(
    head: &Head<'_>,
    peer: SocketAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> SocketAddr {
    let mut client = peer;
    let lines: Vec<&[u8]> = head.field_lines(FIELD).collect();
    let entries = lines.iter().rev();
    for entry in entries.flat_map(|line| line.rsplit(|byte| *byte == b',')) {
        // Behind what cannot be read nobody can be believed.
        let Some(address) = endpoint(fields::trim(entry)) else {
            break;
        };
        client = address;
        if !is_trusted(address.ip()) {
            break;
        }
    }
    client
}

/// An address with or without a port, one of IPv6 with or without brackets.
fn endpoint(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let of = |address: IpAddr, port| SocketAddr::new(address.to_canonical(), port);
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(of(address, 0));
    }
    if let Ok(endpoint) = text.parse::<SocketAddr>() {
        return Some(of(endpoint.ip(), endpoint.port()));
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let address = inner.parse::<Ipv6Addr>().ok()?;
    Some(of(address.into(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[&str], expected: &str) {
        let lines: String = fields
            .iter()
            .map(|it| format!("X-Forwarded-For: {it}\r\n"))
            .collect();
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        let head = Head::parse(text.as_bytes()).expect("a head");
        let peer = "10.0.0.1:5000".parse().expect("an address");
        let is_trusted =
            |address: IpAddr| matches!(address, IpAddr::V4(it) if it.octets()[0] == 10);
        assert_eq!(client(&head, peer, is_trusted).to_string(), expected);
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_client() {
        check(&[], "10.0.0.1:5000");
        check(&["192.0.2.1"], "192.0.2.1:0");
        check(&["6.6.6.6, 192.0.2.1"], "192.0.2.1:0");
        check(&["6.6.6.6, 192.0.2.1 ,\t10.0.0.2"], "192.0.2.1:0");
        check(
            &["6.6.6.6", "192.0.2.1,10.0.0.3", "10.0.0.2"],
            "192.0.2.1:0",
        );
        check(&["10.0.0.3, 10.0.0.2"], "10.0.0.3:0");
    }

    #[test]
    fn addresses_are_read_in_every_form() {
        check(&["192.0.2.1:8080"], "192.0.2.1:8080");
        check(&["2001:db8::1"], "[2001:db8::1]:0");
        check(&["[2001:db8::1]"], "[2001:db8::1]:0");
        check(&["[2001:db8::1]:8080"], "[2001:db8::1]:8080");
        check(&["::ffff:192.0.2.1"], "192.0.2.1:0");
    }

    #[test]
    fn nothing_before_what_cannot_be_read_is_believed() {
        for odd in [
            "",
            "unknown",
            "_hidden",
            "192.0.2.256",
            "[192.0.2.1]",
            "\u{e9}",
        ] {
            check(&[&format!("192.0.2.1, {odd}")], "10.0.0.1:5000");
            check(&[&format!("192.0.2.1, {odd}, 10.0.0.2")], "10.0.0.2:0");
        }
    }
}
