//! The rules for single header fields that several files need.

/// The value of a field that may have one line only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Lines<'a> {
    #[default]
    Missing,
    One(&'a [u8]),
    Many,
}

impl<'a> Lines<'a> {
    /// Takes a line of the field.
    pub(super) fn note(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Missing => Self::One(value),
            Self::One(_) | Self::Many => Self::Many,
        };
    }
}

/// Takes optional white space (RFC 9110, 5.6.3) from both ends.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The first place of a byte. Heads are walked for each request, some of them long: eight bytes
/// are looked at in one.
pub(super) fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let pattern = ONES * u64::from(wanted);
    let (words, rest) = bytes.as_chunks();
    for (place, word) in words.iter().enumerate() {
        // A byte is 0 where it is the wanted one; the lowest one that seems to be is.
        let differs = u64::from_le_bytes(*word) ^ pattern;
        let found = differs.wrapping_sub(ONES) & !differs & ONES << 7;
        if found != 0 {
            return Some(8 * place + found.trailing_zeros() as usize / 8);
        }
    }
    let last = rest.iter().position(|&byte| byte == wanted)?;
    Some(bytes.len() - rest.len() + last)
}

/// The members of a comma-separated list without the white space around them; empty
/// members are kept, since their meaning depends on the field.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// Whether the byte may stand in a token (RFC 9110, 5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the byte may stand in a field value: visible ASCII, space, tab, and the
/// bytes above ASCII that RFC 9110, 5.5 tolerates as opaque.
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether every `%` begins a percent-encoded byte (RFC 3986, 2.1).
pub(super) fn is_percent_encoding_valid(text: &[u8]) -> bool {
    let mut parts = text.split(|&byte| byte == b'%');
    parts.next();
    parts.all(|part| matches!(part, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

/// Whether the text is `uri-host [ ":" port ]` (RFC 9110, 7.2). Empty is valid: it is
/// what a client sends whose target has no authority.
pub(super) fn is_authority_valid(text: &[u8]) -> bool {
    let (is_host_valid, after) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else {
                return false;
            };
            let is_literal_byte =
                |&byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            let literal = &rest[..end];
            (
                !literal.is_empty() && literal.iter().all(is_literal_byte),
                &rest[end + 1..],
            )
        }
        _ => {
            let end = text.iter().position(|&byte| byte == b':');
            let (name, after) = text.split_at(end.unwrap_or(text.len()));
            let is_name_byte =
                |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
            let valid = name.iter().all(is_name_byte) && is_percent_encoding_valid(name);
            (valid, after)
        }
    };
    is_host_valid
        && match after {
            [] => true,
            [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
            _ => false,
        }
}

/// The canonical form of a field name: the first letter and those behind a hyphen are
/// capital, the others small.
pub(super) fn canonical(name: &[u8]) -> Vec<u8> {
    let mut is_first = true;
    let change = |&byte: &u8| {
        let changed = match is_first {
            true => byte.to_ascii_uppercase(),
            false => byte.to_ascii_lowercase(),
        };
        is_first = byte == b'-';
        changed
    };
    name.iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_and_lists() {
        assert_eq!(trim(b"\t a b \t"), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(
            list(b"a , b,,c").collect::<Vec<_>>(),
            [&b"a"[..], b"b", b"", b"c"]
        );
    }

    #[test]
    fn judges_authorities() {
        for good in [
            "",
            "localhost",
            "a.b-c_d:80",
            "127.0.0.1:",
            "[::1]",
            "[::ffff:1.2.3.4]:8080",
            "%C3%B6",
        ] {
            assert!(is_authority_valid(good.as_bytes()), "{good:?}");
        }
        for bad in [
            "a b",
            "a/b",
            "a:b",
            "a:1:2",
            "a:123456",
            "user@host",
            "[::1",
            "[]",
            "[::1]x",
            "[g]",
            "%4",
            "a,b?",
            "h\u{f6}",
        ] {
            assert!(!is_authority_valid(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn judges_percent_encoding() {
        for good in ["", "a", "%41", "a%2Fb%2f"] {
            assert!(is_percent_encoding_valid(good.as_bytes()), "{good:?}");
        }
        for bad in ["%", "%4", "%zz", "a%41%", "%4g", "%%41"] {
            assert!(!is_percent_encoding_valid(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn a_byte_is_found_at_its_first_place() {
        for length in 0..40 {
            // Neighbours of the wanted byte, and what has its bits and the highest.
            for filling in [b';', b'9', b':' | 0x80, 0, 0xff] {
                let bytes = vec![filling; length];
                assert_eq!(find(&bytes, b':'), None, "{filling} {length}");
                for place in 0..length {
                    let mut bytes = bytes.clone();
                    bytes[place] = b':';
                    assert_eq!(find(&bytes, b':'), Some(place), "{filling} {length}");
                    *bytes.last_mut().unwrap() = b':';
                    assert_eq!(find(&bytes, b':'), Some(place), "{filling} {length}");
                }
            }
        }
    }
}
