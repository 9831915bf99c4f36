//! The opening handshake, from the server's side (RFC 6455, 4.2).

use std::fmt;

use super::extension::Agreement;
use crate::http::{Head, Version};
use ring::digest;

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request does not ask for `Connection: Upgrade` and `Upgrade: websocket`.
    NoUpgrade,
    /// The method is not GET.
    Method,
    /// `Sec-WebSocket-Version` is not 13.
    Version,
    /// The page that asks is of a forbidden origin.
    Origin,
    /// `Sec-WebSocket-Key` is missing or empty.
    Key,
}

impl Refusal {
    /// The status code of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::NoUpgrade | Self::Version | Self::Key => 400,
            Self::Method => 405,
            Self::Origin => 403,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoUpgrade => "no upgrade to WebSocket asked for",
            Self::Method => "WebSocket handshake with a method other than GET",
            Self::Version => "Sec-WebSocket-Version is not 13",
            Self::Origin => "WebSocket from a forbidden origin",
            Self::Key => "Sec-WebSocket-Key is missing",
        })
    }
}

impl std::error::Error for Refusal {}

/// Checks a request; gives its key, to be answered with [`write_accept`].
///
/// `is_origin_allowed` is the verdict on its `Origin`. Any key but an empty one will do:
/// the answer proves the same of all.
///
/// # Errors
///
/// The first check that fails, in the order of [`Refusal`].
pub fn check<'a>(head: &Head<'a>, is_origin_allowed: bool) -> Result<&'a [u8], Refusal> {
    // HTTP/1.0 knows no upgrades (RFC 9110, 7.8).
    let is_upgrade = head.version() == Version::Http11
        && head.has_token("connection", "upgrade")
        && head.has_token("upgrade", "websocket");
    if !is_upgrade {
        return Err(Refusal::NoUpgrade);
    }
    if head.method() != "GET" {
        return Err(Refusal::Method);
    }
    if head.field("sec-websocket-version") != Some(b"13") {
        return Err(Refusal::Version);
    }
    if !is_origin_allowed {
        return Err(Refusal::Origin);
    }
    match head.field("sec-websocket-key") {
        None | Some(b"") => Err(Refusal::Key),
        Some(key) => Ok(key),
    }
}

/// Appends the answer that makes the connection a WebSocket, with the extension that was
/// agreed on. `fields` are further lines of its head, each with its end.
pub fn write_accept(key: &[u8], extension: Option<Agreement>, fields: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept_key(key));
    out.extend_from_slice(b"\r\n");
    if let Some(agreement) = extension {
        out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        agreement.write(out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(fields);
    out.extend_from_slice(b"\r\n");
}

/// The value that proves that the server understood the key (RFC 6455, 4.2.2).
pub(super) fn accept_key(key: &[u8]) -> [u8; 28] {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64(hash.finish().as_ref())
}

/// Base64 (RFC 4648, 4) of bytes whose number makes a text of that length: a third more,
/// filled up with `=`.
pub(super) fn base64<const N: usize>(bytes: &[u8]) -> [u8; N] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = [b'='; N];
    for (group, digits) in bytes.chunks(3).zip(text.chunks_exact_mut(4)) {
        let bits = group
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
        // A group of n bytes has n + 1 digits.
        for (index, digit) in digits.iter_mut().take(group.len() + 1).enumerate() {
            *digit = DIGITS[(bits >> (18 - 6 * index) & 63) as usize];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::extension;

    const GOOD: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                        Sec-WebSocket-Version: 13\r\n\r\n";

    #[test]
    fn checks_in_order() {
        let spoiled = |from: &str, to: &str| {
            assert!(GOOD.contains(from));
            GOOD.replace(from, to)
        };
        let all_wrong = "POST / HTTP/1.1\r\nHost: h\r\n\r\n";
        let table = [
            (GOOD.to_owned(), true, None),
            (spoiled(": websocket", ": h2c,\tWebSocket"), true, None),
            (spoiled(": Upgrade", ": keep-alive, upgrade"), true, None),
            (
                spoiled(
                    "Connection: Upgrade",
                    "Connection: a\r\nconnection: upgrade",
                ),
                true,
                None,
            ),
            (spoiled("dGhlIHNhbXBsZSBub25jZQ==", "x"), true, None),
            (all_wrong.to_owned(), false, Some(Refusal::NoUpgrade)),
            (
                spoiled("HTTP/1.1", "HTTP/1.0"),
                true,
                Some(Refusal::NoUpgrade),
            ),
            (
                spoiled(": Upgrade", ": upgraded"),
                true,
                Some(Refusal::NoUpgrade),
            ),
            (
                spoiled(": websocket", ": web socket"),
                true,
                Some(Refusal::NoUpgrade),
            ),
            (
                spoiled("GET", "POST").replace("13", "8"),
                false,
                Some(Refusal::Method),
            ),
            (spoiled("13", "8"), false, Some(Refusal::Version)),
            (
                spoiled("Sec-WebSocket-Version: 13\r\n", ""),
                true,
                Some(Refusal::Version),
            ),
            (
                spoiled("Sec-WebSocket-Key", "X"),
                false,
                Some(Refusal::Origin),
            ),
            (spoiled("Sec-WebSocket-Key", "X"), true, Some(Refusal::Key)),
            (
                spoiled("dGhlIHNhbXBsZSBub25jZQ==", ""),
                true,
                Some(Refusal::Key),
            ),
        ];
        for (text, is_origin_allowed, expected) in table {
            let head = Head::parse(text.as_bytes()).unwrap();
            assert_eq!(check(&head, is_origin_allowed).err(), expected, "{text}");
        }
    }

    #[test]
    fn answers_the_example_of_the_rfc() {
        let head = Head::parse(GOOD.as_bytes()).unwrap();
        let mut out = Vec::new();
        write_accept(check(&head, true).unwrap(), None, b"X-A: 1\r\n", &mut out);
        assert_eq!(
            str::from_utf8(&out),
            Ok(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-A: 1\r\n\r\n"
            )
        );
    }

    #[test]
    fn answers_an_offer() {
        let mut out = Vec::new();
        let agreement = extension::negotiate([&b"permessage-deflate"[..]].into_iter());
        write_accept(b"x", agreement, b"", &mut out);
        let text = str::from_utf8(&out).unwrap();
        assert!(
            text.ends_with(
                "=\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                 client_no_context_takeover\r\n\r\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn refusals_have_their_status() {
        let table = [
            (Refusal::NoUpgrade, 400),
            (Refusal::Method, 405),
            (Refusal::Version, 400),
            (Refusal::Origin, 403),
            (Refusal::Key, 400),
        ];
        for (refusal, status) in table {
            assert_eq!(refusal.status(), status);
        }
    }
}
