//! The header of the PROXY protocol, versions 1 and 2, sans-I/O: what a proxy says of the
//! client before the client's own bytes.
//!
//! Whether the peer may be believed is the caller's to know.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header, in bytes: one of version 2 may have fields that say more of the client.
pub const HEADER_MAX: usize = 4 << 10;

/// Longest header of version 1, with its end.
const LINE_MAX: usize = 107;

/// What version 1 begins with.
const LINE: &[u8] = b"PROXY ";

/// What version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 before the addresses: the signature, version and command, family,
/// length.
const FIXED: usize = SIGNATURE.len() + 4;

/// What the beginning of an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The beginning of a header.
    NeedMore,
    /// A header.
    Header {
        /// Its length in bytes.
        len: usize,
        /// The client's address; `None` where the proxy speaks for itself, or knows none.
        client: Option<SocketAddr>,
    },
}

/// Why an input does not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// It begins with something else.
    Missing,
    /// It is longer than [`HEADER_MAX`], or its line than such lines are.
    TooLong,
    /// It is not as the protocol says.
    Malformed,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no PROXY header where one must be (proxyProtocol)",
            Self::TooLong => "the PROXY header is too long",
            Self::Malformed => "the PROXY header is malformed",
        })
    }
}

impl std::error::Error for HeaderError {}

/// Reads the header that an input must begin with.
///
/// # Errors
/// [`HeaderError`]; more input would not change it.
pub fn read(input: &[u8]) -> Result<Step, HeaderError> {
    let begins = |with: &[u8]| {
        let len = input.len().min(with.len());
        input[..len] == with[..len]
    };
    if begins(SIGNATURE) {
        read_binary(input)
    } else if begins(LINE) {
        read_line(input)
    } else {
        Err(HeaderError::Missing)
    }
}

/// Version 1: a line.
fn read_line(input: &[u8]) -> Result<Step, HeaderError> {
    let line = &input[..input.len().min(LINE_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return match line.len() < LINE_MAX {
            true => Ok(Step::NeedMore),
            false => Err(HeaderError::TooLong),
        };
    };
    let text = std::str::from_utf8(&line[LINE.len()..end]).map_err(|_| HeaderError::Malformed)?;
    let client = match text.split(' ').collect::<Vec<_>>()[..] {
        ["UNKNOWN", ..] => None,
        ["TCP4", source, target, from, to] => {
            let addresses = [source, target].map(str::parse::<Ipv4Addr>);
            Some(endpoint(addresses, [from, to])?)
        }
        ["TCP6", source, target, from, to] => {
            let addresses = [source, target].map(str::parse::<Ipv6Addr>);
            Some(endpoint(addresses, [from, to])?)
        }
        _ => return Err(HeaderError::Malformed),
    };
    Ok(Step::Header {
        len: end + 2,
        client,
    })
}

/// The first of two addresses with its port, if all of them can be read.
fn endpoint<A: Into<IpAddr>, E>(
    [source, target]: [Result<A, E>; 2],
    [from, to]: [&str; 2],
) -> Result<SocketAddr, HeaderError> {
    let (Ok(source), Ok(_), Some(from), Some(_)) = (source, target, port(from), port(to)) else {
        return Err(HeaderError::Malformed);
    };
    Ok(canonical(source.into(), from))
}

fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn canonical(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

/// Version 2: binary.
fn read_binary(input: &[u8]) -> Result<Step, HeaderError> {
    let Some((&[.., command, family, high, low], rest)) = input.split_first_chunk::<FIXED>() else {
        return Ok(Step::NeedMore);
    };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Malformed),
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + len > HEADER_MAX {
        return Err(HeaderError::TooLong);
    }
    let Some(body) = rest.get(..len) else {
        return Ok(Step::NeedMore);
    };
    // What follows the addresses says more than is asked for.
    let client = match family {
        _ if is_local => None,
        0x11 => {
            let (source, ports) = parts::<4>(body)?;
            Some(canonical(Ipv4Addr::from(source).into(), ports))
        }
        0x21 => {
            let (source, ports) = parts::<16>(body)?;
            Some(canonical(Ipv6Addr::from(source).into(), ports))
        }
        // Datagrams and sockets of the host, and none at all.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => None,
        _ => return Err(HeaderError::Malformed),
    };
    Ok(Step::Header {
        len: FIXED + len,
        client,
    })
}

/// Source address and port of the addresses that version 2 has: both addresses, both ports.
fn parts<const N: usize>(body: &[u8]) -> Result<([u8; N], u16), HeaderError> {
    let parts = || {
        let (source, rest) = body.split_first_chunk::<N>()?;
        let ports = rest.get(N..N + 4)?;
        Some((*source, u16::from_be_bytes([ports[0], ports[1]])))
    };
    parts().ok_or(HeaderError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2.
    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend((body.len() as u16).to_be_bytes());
        header.extend(body);
        header
    }

    const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 1, 0x1f, 0x90, 0, 80];

    fn v6() -> Vec<u8> {
        let ends = ["2001:db8::1", "2001:db8::2"].map(|it| it.parse::<Ipv6Addr>().unwrap());
        let mut body = ends.map(|end| end.octets()).concat();
        body.extend([0x1f, 0x90, 0, 80]);
        body
    }

    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let with_more = [V4, &[4, 0, 1, 7], &[0xee; 900]].concat();
        let line = |text: &str| format!("PROXY {text}\r\n").into_bytes();
        vec![
            (
                line("TCP4 192.0.2.1 198.51.100.1 8080 80"),
                Some("192.0.2.1:8080"),
            ),
            (
                line("TCP6 2001:db8::1 2001:db8::2 8080 80"),
                Some("[2001:db8::1]:8080"),
            ),
            (
                line("TCP6 ::ffff:192.0.2.1 ::1 8080 80"),
                Some("192.0.2.1:8080"),
            ),
            (
                line("TCP4 255.255.255.255 0.0.0.0 65535 0"),
                Some("255.255.255.255:65535"),
            ),
            (line("UNKNOWN"), None),
            (line("UNKNOWN ffff::1 ffff::2 65535 65535"), None),
            (binary(0x21, 0x11, V4), Some("192.0.2.1:8080")),
            (binary(0x21, 0x11, &with_more), Some("192.0.2.1:8080")),
            (binary(0x21, 0x21, &v6()), Some("[2001:db8::1]:8080")),
            (binary(0x20, 0x11, V4), None),
            (binary(0x20, 0x00, b""), None),
            (binary(0x21, 0x00, b"whatever"), None),
            (binary(0x21, 0x31, &[0; 216]), None),
            (binary(0x21, 0x12, V4), None),
        ]
    }

    #[test]
    fn headers_say_who_the_client_is_wherever_they_are_cut() {
        for (header, client) in good() {
            let client = client.map(|text| text.parse().unwrap());
            let len = header.len();
            for at in 0..len {
                assert_eq!(
                    read(&header[..at]),
                    Ok(Step::NeedMore),
                    "{header:?} to {at}"
                );
            }
            let whole = Ok(Step::Header { len, client });
            assert_eq!(read(&header), whole, "{header:?}");
            let more = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(read(&more), whole);
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "PROXX",
            "\r\n\r\n\0\r\nQUIT\r",
            "\x16\x03\x01",
            "PROXY\r",
        ] {
            assert_eq!(read(text.as_bytes()), Err(HeaderError::Missing), "{text:?}");
        }
        for text in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 8080\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 8080 80 \r\n",
            "PROXY  TCP4 192.0.2.1 198.51.100.1 8080 80\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 8080 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +80 80\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 8080 80\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 8080 80\r\n",
            "PROXY tcp4 192.0.2.1 198.51.100.1 8080 80\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.\u{e9} 8080 80\r\n",
        ] {
            assert_eq!(
                read(text.as_bytes()),
                Err(HeaderError::Malformed),
                "{text:?}"
            );
        }
        for header in [
            binary(0x22, 0x11, V4),
            binary(0x11, 0x11, V4),
            binary(0x21, 0x11, &V4[..11]),
            binary(0x21, 0x21, V4),
            binary(0x21, 0x41, V4),
            binary(0x21, 0x13, V4),
        ] {
            assert_eq!(read(&header), Err(HeaderError::Malformed), "{header:?}");
        }
    }

    #[test]
    fn headers_are_not_longer_than_they_may_be() {
        let line = format!("PROXY UNKNOWN {}", "x".repeat(LINE_MAX));
        assert_eq!(read(line.as_bytes()), Err(HeaderError::TooLong));
        assert_eq!(read(&line.as_bytes()[..LINE_MAX - 1]), Ok(Step::NeedMore));
        let most = binary(
            0x21,
            0x11,
            &[V4, &vec![0; HEADER_MAX - FIXED - V4.len()]].concat(),
        );
        assert!(matches!(
            read(&most),
            Ok(Step::Header {
                len: HEADER_MAX,
                ..
            })
        ));
        // It is refused before it has come.
        let more = binary(0x21, 0x11, &vec![0; HEADER_MAX - FIXED + 1]);
        assert_eq!(read(&more[..FIXED]), Err(HeaderError::TooLong));
    }
}
