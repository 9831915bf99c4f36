//! Who may use the console: whoever sits at this host, or knows the token.

use std::hint::black_box;
use std::net::IpAddr;

use crate::http::Head;

/// Fields by which a proxy says that it has passed a request on.
const PASSED_ON: [&str; 5] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];

/// Whether a request may see the console: it comes from this host, by nobody's hands, and not
/// from a page of somebody else; or it has the token with it.
///
/// `addresses` are those of the socket and of the client, which differ behind a proxy.
pub fn may_see(head: &Head<'_>, addresses: [IpAddr; 3], token: Option<&str>) -> bool {
    is_of_this_host(head, addresses) || token.is_some_and(|token| shows(head, token))
}

/// Whether two secrets are the same, in a time that does not tell how much of them is.
pub fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let pairs = one.iter().zip(other);
    let differences = pairs.fold(0, |all, (one, other)| black_box(all | (one ^ other)));
    one.len() == other.len() && differences == 0
}

/// Whether a request has the token in its `Authorization`.
fn shows(head: &Head<'_>, token: &str) -> bool {
    let given = head.field("authorization").map(String::from_utf8_lossy);
    let given = given.as_deref().and_then(|given| given.split_once(' '));
    given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case("bearer") && is_same(given.trim(), token)
    })
}

/// The name that a browser has asked for says whose page it shows: a foreign name that leads to
/// this host would have it see what is only for those who sit here.
fn is_of_this_host(head: &Head<'_>, addresses: [IpAddr; 3]) -> bool {
    let is_local = addresses.iter().all(|ip| ip.to_canonical().is_loopback());
    if !is_local || PASSED_ON.iter().any(|name| head.field(name).is_some()) {
        return false;
    }
    let text = |name| {
        head.field(name)
            .map(|value| std::str::from_utf8(value).ok())
    };
    let (Some(Some(host)), mut hosts) = (text("host"), head.field_lines("host")) else {
        return false;
    };
    let is_one = hosts.nth(1).is_none();
    let is_own_page = match text("origin") {
        None => true,
        Some(origin) => origin
            .and_then(authority)
            .is_some_and(|it| it.eq_ignore_ascii_case(host)),
    };
    // Scripts of other sites may load without `Origin` what they cannot read. Not even that.
    let is_own_site = match text("sec-fetch-site") {
        None => true,
        Some(site) => matches!(site, Some("same-origin" | "none")),
    };
    is_one && is_local_name(host) && is_own_page && is_own_site
}

/// Host and port of an origin.
fn authority(origin: &str) -> Option<&str> {
    origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
}

/// Whether a host, perhaps with a port, can be no other than this one.
fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_name = |name: &str| {
        let name = name.to_ascii_lowercase();
        name == "localhost" || name.ends_with(".localhost")
    };
    let address = name.parse::<IpAddr>();
    address.map_or_else(|_| is_name(name), |ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "127.0.0.1";
    const TOKEN: &str = "0123456789abcdef";

    fn see(fields: &str, peer: &str, remote: &str) -> bool {
        let text = format!("GET /console HTTP/1.1\r\n{fields}\r\n");
        let head = Head::parse(text.as_bytes()).expect("a request");
        let addresses = [peer, peer, remote].map(|ip| ip.parse().expect("an address"));
        may_see(&head, addresses, Some(TOKEN))
    }

    #[test]
    fn whoever_sits_here_may_see_it() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "a.localhost",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(see(&format!("Host: {host}\r\n"), LOCAL, LOCAL), "{host}");
            let origin = format!("Host: {host}\r\nOrigin: http://{host}\r\n");
            assert!(see(&origin, "::1", "::ffff:127.0.0.1"), "{host}");
        }
        let fetched = "Host: localhost\r\nSec-Fetch-Site: same-origin\r\n";
        assert!(see(fetched, LOCAL, LOCAL));
    }

    #[test]
    fn nobody_else_may() {
        for (peer, remote) in [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", LOCAL),
            (LOCAL, "10.0.0.1"),
            ("::", "::"),
            ("2001:db8::1", "::1"),
        ] {
            assert!(!see("Host: localhost\r\n", peer, remote), "{peer} {remote}");
        }
        for fields in [
            // A name that somebody has made lead here, and what is none.
            "Host: evil.example\r\n",
            "Host: evil.example:8080\r\nOrigin: http://evil.example:8080\r\n",
            "Host: localhost.evil.example\r\n",
            "Host: 127.0.0.1.evil.example\r\n",
            "Host: xlocalhost\r\n",
            "Host: [::1\r\n",
            "Host:\r\n",
            "",
            "Host: localhost\r\nHost: localhost\r\n",
            // A page from elsewhere.
            "Host: localhost:8080\r\nOrigin: http://evil.example\r\n",
            "Host: localhost:8080\r\nOrigin: http://localhost:3000\r\n",
            "Host: localhost\r\nOrigin: null\r\n",
            "Host: localhost\r\nOrigin: \r\n",
            "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
            "Host: localhost\r\nSec-Fetch-Site: same-site\r\n",
            // Somebody in between.
            "Host: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n",
            "Host: localhost\r\nForwarded: for=10.0.0.1\r\n",
            "Host: localhost\r\nVia: 1.1 proxy\r\n",
            // A token that is not it.
            "Host: x\r\nAuthorization: Bearer 0123456789abcde\r\n",
            "Host: x\r\nAuthorization: Bearer 0123456789abcdef0\r\n",
            "Host: x\r\nAuthorization: Basic 0123456789abcdef\r\n",
            "Host: x\r\nAuthorization: 0123456789abcdef\r\n",
        ] {
            assert!(!see(fields, LOCAL, LOCAL), "{fields}");
        }
    }

    #[test]
    fn the_token_opens_it_from_anywhere() {
        let fields = format!("Host: x\r\nOrigin: http://y\r\nAuthorization: bearer  {TOKEN}\r\n");
        assert!(see(&fields, "10.0.0.1", "10.0.0.1"));
        let head = Head::parse(b"GET / HTTP/1.1\r\nAuthorization: Bearer \r\n\r\n");
        let head = head.expect("a request");
        assert!(!may_see(&head, [IpAddr::from([10, 0, 0, 1]); 3], None));
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(is_same("", "") && is_same(TOKEN, TOKEN));
        for other in ["", "0123456789abcdeg", "1123456789abcdef", "0123"] {
            assert!(!is_same(TOKEN, other) && !is_same(other, TOKEN), "{other}");
        }
    }
}
