//! The trace that a request is part of: `traceparent` and `tracestate` (W3C Trace Context).

use super::fields::{Lines, list};
use super::head::Head;

/// Bytes of a `traceparent` of version 00.
const PARENT: usize = 55;

/// A longer `tracestate` is left out, which the standard lets whoever passes it on.
const STATE_MAX: usize = 512;

/// Members that a `tracestate` may have.
const MEMBERS_MAX: usize = 32;

/// Bytes that a key, and a value, of a `tracestate` may have.
const KEY_MAX: usize = 256;

/// What a request says of the trace that it is part of. Both are as the standard has them, so
/// that nothing but letters, digits and harmless signs is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext<'a> {
    /// The trace, and who has sent the request in it.
    pub parent: &'a [u8],
    /// What tracing systems add of their own; empty for nothing.
    pub state: Vec<u8>,
}

impl<'a> TraceContext<'a> {
    /// Reads it from a stored head, as accepted by [`RequestReader`](super::RequestReader).
    /// `None` where there is no valid `traceparent` of version 00, or more than one.
    pub fn of(head: &'a [u8]) -> Option<Self> {
        let head = Head::parse(head)?;
        let mut parents = Lines::Missing;
        for value in head.field_lines("traceparent") {
            parents.note(value);
        }
        match parents {
            Lines::One(parent) if is_parent(parent) => Some(Self {
                parent,
                state: state_of(&head).unwrap_or_default(),
            }),
            _ => None,
        }
    }
}

/// Whether it is `00-<trace>-<parent>-<flags>`, in small hexadecimal digits, neither ID zero.
fn is_parent(text: &[u8]) -> bool {
    let is_hex = |text: &[u8]| {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.iter().all(is_digit)
    };
    let is_id = |text: &[u8]| is_hex(text) && text.iter().any(|&byte| byte != b'0');
    text.len() == PARENT
        && text.starts_with(b"00-")
        && is_id(&text[3..35])
        && text[35] == b'-'
        && is_id(&text[36..52])
        && text[52] == b'-'
        && is_hex(&text[53..])
}

/// The `tracestate`, its lines joined, if all of it is valid and it is short enough.
fn state_of(head: &Head<'_>) -> Option<Vec<u8>> {
    let (mut state, mut count) = (Vec::new(), 0);
    let members = head.field_lines("tracestate").flat_map(list);
    for member in members.filter(|member| !member.is_empty()) {
        count += 1;
        let length = state.len() + usize::from(count > 1) + member.len();
        if count > MEMBERS_MAX || length > STATE_MAX || !is_member(member) {
            return None;
        }
        if count > 1 {
            state.push(b',');
        }
        state.extend_from_slice(member);
    }
    Some(state)
}

/// Whether it is `key=value`.
fn is_member(text: &[u8]) -> bool {
    let Some(at) = text.iter().position(|&byte| byte == b'=') else {
        return false;
    };
    let (key, value) = (&text[..at], &text[at + 1..]);
    let is_key_byte =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(byte);
    let is_value_byte = |byte: &u8| matches!(byte, b' '..=b'~') && !b",=".contains(byte);
    let begins_well = |first: &u8| first.is_ascii_lowercase() || first.is_ascii_digit();
    key.first().is_some_and(begins_well)
        && key.len() <= KEY_MAX
        && key.iter().all(is_key_byte)
        && key.iter().filter(|&&byte| byte == b'@').count() <= 1
        && !value.is_empty()
        && value.len() <= KEY_MAX
        && value.iter().all(is_value_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(fields: &str) -> Option<(String, String)> {
        let head = format!("GET /api/a HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let context = TraceContext::of(head.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((text(context.parent), text(&context.state)))
    }

    #[test]
    fn a_valid_parent_is_taken() {
        let maximal = "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-ff";
        for parent in [PARENT, maximal] {
            for name in ["traceparent", "Traceparent", "TRACEPARENT"] {
                let got = read(&format!("{name}: {parent} \r\n"));
                assert_eq!(got, Some((parent.to_owned(), String::new())));
            }
        }
    }

    #[test]
    fn any_other_is_ignored() {
        assert_eq!(read(""), None);
        assert_eq!(read("tracestate: a=1\r\n"), None);
        let two = format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\n");
        assert_eq!(read(&two), None);
        for bad in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-701",
        ] {
            assert_eq!(read(&format!("traceparent: {bad}\r\n")), None, "{bad}");
        }
        // Each of its bytes counts.
        for at in 0..PARENT.len() {
            for byte in ["\t", " ", "\u{b5}", "G", ":"] {
                let mut bad = PARENT.to_owned();
                bad.replace_range(at..=at, byte);
                assert_eq!(read(&format!("traceparent: x{bad}\r\n")), None, "{bad}");
                if at > 0 && at + 1 < PARENT.len() {
                    assert_eq!(read(&format!("traceparent: {bad}\r\n")), None, "{bad}");
                }
            }
        }
    }

    #[test]
    fn a_state_goes_along_if_it_is_valid() {
        let member = |length: usize| format!("k={}", "v".repeat(length - 2));
        let many = |count| vec!["a=1"; count].join(",");
        let table = [
            ("tracestate: congo=t61rcWkgMzE\r\n", "congo=t61rcWkgMzE"),
            (
                "tracestate: rojo=00f0,\t 1t@sys-a=b c:d\r\nTraceState: a_-*/=!~\r\n",
                "rojo=00f0,1t@sys-a=b c:d,a_-*/=!~",
            ),
            ("tracestate: ,a=1, ,\r\n", "a=1"),
            ("tracestate:\r\n", ""),
            ("tracestate: a\r\n", ""),
            ("tracestate: =1\r\n", ""),
            ("tracestate: a=\r\n", ""),
            ("tracestate: A=1\r\n", ""),
            ("tracestate: @a=1\r\n", ""),
            ("tracestate: a@b@c=1\r\n", ""),
            ("tracestate: a=1=2\r\n", ""),
            ("tracestate: a=1\t2\r\n", ""),
            ("tracestate: a=\u{fc}\r\n", ""),
            ("tracestate: a=1\r\ntracestate: b\r\n", ""),
        ];
        for (fields, expected) in table {
            let got = read(&format!("traceparent: {PARENT}\r\n{fields}"));
            assert_eq!(got.unwrap().1, expected, "{fields}");
        }
        let state = |state: &str| {
            let fields = format!("traceparent: {PARENT}\r\ntracestate: {state}\r\n");
            read(&fields).unwrap().1
        };
        let (longest, half) = (format!("{},{}", member(255), member(256)), member(258));
        assert_eq!(longest.len(), STATE_MAX);
        assert_eq!(state(&longest), longest);
        assert_eq!(state(&format!("{longest},a=1")), "");
        assert_eq!(state(&format!("{},{}", member(256), member(256))), "");
        assert_eq!(state(&half), half);
        assert_eq!(state(&member(259)), "");
        assert_eq!(state(&many(32)), many(32));
        assert_eq!(state(&many(33)), "");
    }
}
