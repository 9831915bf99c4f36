//! Which extension a handshake agrees on: permessage-deflate or none (RFC 6455, 9.1 and
//! RFC 7692, 5 and 7.1).

use crate::http::fields::is_token_byte;

/// The only name of the extension.
const NAME: &str = "permessage-deflate";

/// An offer of permessage-deflate that was accepted. Neither side uses what it sent
/// before for the next message (no context takeover).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Bits of the server's window, if the offer bounds it.
    window: Option<u8>,
}

impl Agreement {
    /// Appends the value of `Sec-WebSocket-Extensions` in the answer.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        );
        if let Some(bits) = self.window {
            out.extend_from_slice(b"; server_max_window_bits=");
            if bits >= 10 {
                out.push(b'1');
            }
            out.push(b'0' + bits % 10);
        }
    }

    /// The longest message, in bytes, that may be compressed for the client. The
    /// compressor has the largest window; what it makes of a message that is no longer
    /// than a smaller one refers to nothing outside of that.
    pub fn longest(self) -> usize {
        match self.window {
            Some(bits) if bits < 15 => 1 << bits,
            _ => usize::MAX,
        }
    }
}

/// Accepts the first offer that can be kept, of the lines of a request's
/// `Sec-WebSocket-Extensions`.
///
/// An offer of permessage-deflate is passed over if it has an unknown, repeated or
/// invalid parameter (RFC 7692, 7.1). Nothing is accepted if a line is not a list of
/// extensions.
pub fn negotiate<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Agreement> {
    let mut agreement = None;
    for line in lines {
        let mut parser = Parser { rest: line };
        loop {
            match parser.member()? {
                Member::End => break,
                Member::PassedOver => {}
                Member::Acceptable(offer) => agreement = agreement.or(Some(offer)),
            }
        }
    }
    agreement
}

/// An offer of permessage-deflate as far as it was read.
#[derive(Default)]
struct Offer {
    is_invalid: bool,
    server_takeover: bool,
    client_takeover: bool,
    server_window: Option<u8>,
    client_window: bool,
}

impl Offer {
    fn take(&mut self, name: &[u8], value: Option<&[u8]>) {
        let is_first = match (name, value) {
            (b"server_no_context_takeover", None) => {
                !std::mem::replace(&mut self.server_takeover, true)
            }
            (b"client_no_context_takeover", None) => {
                !std::mem::replace(&mut self.client_takeover, true)
            }
            (b"server_max_window_bits", Some(value)) => {
                let bits = window_bits(value);
                bits.is_some() && std::mem::replace(&mut self.server_window, bits).is_none()
            }
            (b"client_max_window_bits", value) => {
                value.is_none_or(|value| window_bits(value).is_some())
                    && !std::mem::replace(&mut self.client_window, true)
            }
            _ => false,
        };
        self.is_invalid |= !is_first;
    }

    fn agreement(&self) -> Option<Agreement> {
        (!self.is_invalid).then_some(Agreement {
            window: self.server_window,
        })
    }
}

/// A number from 8 to 15 without leading zeros (RFC 7692, 7.1.2).
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// A member of a list of extensions.
enum Member {
    /// There is none any more.
    End,
    /// Another extension, or an offer that cannot be kept.
    PassedOver,
    /// An offer that can be kept.
    Acceptable(Agreement),
}

/// Reads a list of extensions. Each step gives `None` for what is none.
struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    /// The next member of the list.
    fn member(&mut self) -> Option<Member> {
        // Empty members of a list mean nothing (RFC 9110, 5.6.1).
        self.skip_space();
        while self.skip(b',') {
            self.skip_space();
        }
        if self.rest.is_empty() {
            return Some(Member::End);
        }
        let is_ours = self.token()? == NAME.as_bytes();
        let mut offer = Offer::default();
        self.skip_space();
        while self.skip(b';') {
            self.skip_space();
            let name = self.token()?;
            self.skip_space();
            let mut quoted = Vec::new();
            let value = match self.skip(b'=') {
                false => None,
                true => {
                    self.skip_space();
                    Some(match self.skip(b'"') {
                        true => {
                            self.quoted(&mut quoted)?;
                            &quoted[..]
                        }
                        false => self.token()?,
                    })
                }
            };
            offer.take(name, value);
            self.skip_space();
        }
        if !self.rest.is_empty() && !self.skip(b',') {
            return None;
        }
        let agreement = offer.agreement().filter(|_| is_ours);
        Some(agreement.map_or(Member::PassedOver, Member::Acceptable))
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|&byte| !is_token_byte(byte));
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// The rest of a quoted string, whose content must be a token.
    fn quoted(&mut self, out: &mut Vec<u8>) -> Option<()> {
        loop {
            let (byte, rest) = match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return (!out.is_empty()).then_some(());
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => (*byte, rest),
                [] => return None,
            };
            if !is_token_byte(byte) {
                return None;
            }
            out.push(byte);
            self.rest = rest;
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn skip_space(&mut self) {
        while self.skip(b' ') || self.skip(b'\t') {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &[&str]) -> Option<String> {
        let agreement = negotiate(lines.iter().map(|line| line.as_bytes()))?;
        let mut out = Vec::new();
        agreement.write(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn accepts_what_it_can_keep() {
        let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for lines in [
            &["permessage-deflate"][..],
            &["permessage-deflate; client_max_window_bits"],
            &["permessage-deflate; client_max_window_bits=8"],
            &["permessage-deflate; client_max_window_bits=\"12\""],
            &["permessage-deflate; client_max_window_bits=\"1\\2\""],
            &["permessage-deflate;server_no_context_takeover ;\tclient_no_context_takeover"],
            &["foo, permessage-deflate"],
            &["foo; a=b; c=\"d\"; a", "permessage-deflate"],
            &[",, permessage-deflate ,"],
            // The first offer cannot be kept, the second can.
            &["permessage-deflate; server_max_window_bits=7, permessage-deflate"],
            &["permessage-deflate; foo", "permessage-deflate"],
        ] {
            assert_eq!(answer(lines).as_deref(), Some(plain), "{lines:?}");
        }
    }

    #[test]
    fn keeps_to_the_window_that_it_may_use() {
        for (bits, longest) in [
            (8, 256),
            (9, 512),
            (10, 1_024),
            (14, 16_384),
            (15, usize::MAX),
        ] {
            let offer = format!(
                "permessage-deflate; server_max_window_bits={bits}; client_max_window_bits, \
                 permessage-deflate"
            );
            let expected = format!(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits={bits}"
            );
            assert_eq!(answer(&[&offer]), Some(expected));
            let agreement = negotiate([offer.as_bytes()].into_iter()).unwrap();
            assert_eq!(agreement.longest(), longest);
        }
        let agreement = negotiate([&b"permessage-deflate"[..]].into_iter()).unwrap();
        assert_eq!(agreement.longest(), usize::MAX);
    }

    #[test]
    fn declines_the_rest() {
        for lines in [
            &[][..],
            &[""],
            &[" , "],
            &["x-webkit-deflate-frame"],
            &["permessage-deflate2"],
            &["PERMESSAGE-DEFLATE"],
            // Parameters that are unknown, repeated, or have a wrong value.
            &["permessage-deflate; foo"],
            &["permessage-deflate; server_no_context_takeover; server_no_context_takeover"],
            &["permessage-deflate; client_no_context_takeover; client_no_context_takeover"],
            &["permessage-deflate; client_max_window_bits; client_max_window_bits=9"],
            &["permessage-deflate; server_max_window_bits=15; server_max_window_bits=15"],
            &["permessage-deflate; server_no_context_takeover=1"],
            &["permessage-deflate; client_no_context_takeover=\"true\""],
            &["permessage-deflate; server_max_window_bits"],
            &["permessage-deflate; server_max_window_bits=7"],
            &["permessage-deflate; server_max_window_bits=16"],
            &["permessage-deflate; server_max_window_bits=015"],
            &["permessage-deflate; client_max_window_bits=7"],
            &["permessage-deflate; client_max_window_bits=08"],
            &["permessage-deflate; client_max_window_bits=100"],
            // No list of extensions.
            &["permessage-deflate;"],
            &["permessage-deflate;;server_no_context_takeover"],
            &["permessage-deflate; =x"],
            &["permessage-deflate; client_max_window_bits="],
            &["permessage-deflate; client_max_window_bits=\"\""],
            &["permessage-deflate; client_max_window_bits=\"12"],
            &["permessage-deflate; client_max_window_bits=\"12\\"],
            &["permessage-deflate; client_max_window_bits=\"1 2\""],
            &["permessage-deflate foo"],
            &["foo; a=\"b,permessage-deflate"],
            &["foo/1, permessage-deflate"],
            &["permessage-deflate", "a b"],
        ] {
            assert_eq!(answer(lines), None, "{lines:?}");
        }
    }
}
