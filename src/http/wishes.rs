//! What a request says of the answer that it wants, beside what it asks for: a stream of
//! events, nothing that it has already, to wait until there is something new.

use super::fields;
use super::head::Head;

/// Content type of a stream of events (the HTML standard, "Server-sent events").
pub const EVENT_STREAM: &str = "text/event-stream";

/// What the fields of a request say of the answer. They are read in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes<'a> {
    /// A stream of events rather than one body (`Accept`).
    pub stream: bool,
    /// What the client has (`If-None-Match`).
    pub has: Option<Has<'a>>,
    /// The ID of the last event that it has of an earlier stream (`Last-Event-ID`).
    pub last_event: Option<&'a [u8]>,
    /// Seconds for which it would wait for an answer (`Prefer: wait`).
    pub wait: Option<u32>,
    /// Whether a web page asks (`Origin`).
    pub is_of_page: bool,
}

/// What `If-None-Match` names (RFC 9110, 13.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Has<'a> {
    /// `*`: whatever there is.
    Any,
    /// The opaque tags, without their quotes and whether or not they are weak: the comparison
    /// is the weak one.
    Tags(Vec<&'a [u8]>),
}

impl<'a> Wishes<'a> {
    /// Reads the fields of a head.
    pub fn of(head: &Head<'a>) -> Self {
        let mut wishes = Self::default();
        let mut accepted = Accepted::default();
        for (name, value) in head.fields() {
            // Nearly all fields are told by their length to be others.
            match name.len() {
                6 if name.eq_ignore_ascii_case(b"accept") => accepted.note(value),
                6 if name.eq_ignore_ascii_case(b"origin") => wishes.is_of_page = true,
                6 if name.eq_ignore_ascii_case(b"prefer") => {
                    wishes.wait = wishes.wait.or_else(|| wait(value));
                }
                13 if name.eq_ignore_ascii_case(b"if-none-match") => {
                    wishes.has.get_or_insert(Has::Tags(Vec::new())).note(value);
                }
                13 if name.eq_ignore_ascii_case(b"last-event-id") => {
                    wishes.last_event = Some(value);
                }
                _ => {}
            }
        }
        wishes.stream = accepted.prefers_stream();
        wishes
    }
}

/// How much a client wants of what there is, in thousandths (RFC 9110, 12.4.2); `None` for
/// what it does not name. Of several ranges that fit, the most specific one counts.
#[derive(Debug, Default)]
struct Accepted {
    stream: Option<u16>,
    json: Option<u16>,
    application: Option<u16>,
    all: Option<u16>,
}

impl Accepted {
    fn note(&mut self, line: &[u8]) {
        for range in fields::list(line) {
            let mut parts = range.split(|&byte| byte == b';').map(fields::trim);
            let name = parts.next().unwrap_or_default();
            let place = [
                (&b"text/event-stream"[..], &mut self.stream),
                (b"application/json", &mut self.json),
                (b"application/*", &mut self.application),
                (b"*/*", &mut self.all),
            ];
            let place = place
                .into_iter()
                .find(|(other, _)| name.eq_ignore_ascii_case(other));
            if let Some((_, place)) = place {
                let weight = parts.find_map(weight).unwrap_or(1_000);
                *place = Some(weight.max(place.unwrap_or(0)));
            }
        }
    }

    /// Whether a stream is to be sent: it is named, and wanted no less than JSON is. Where both
    /// are named and wanted alike it is JSON, which is what everybody else gets.
    fn prefers_stream(&self) -> bool {
        let Some(stream) = self.stream.filter(|weight| *weight > 0) else {
            return false;
        };
        match self.json {
            Some(json) => stream > json,
            None => stream >= self.application.or(self.all).unwrap_or(0),
        }
    }
}

/// The weight that a parameter gives, in thousandths.
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', number @ ..] = parameter else {
        return None;
    };
    let (whole, digits) = match number {
        [whole, b'.', digits @ ..] => (whole, digits),
        [whole] => (whole, &[][..]),
        _ => return Some(0),
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return Some(0);
    }
    match whole {
        b'1' => Some(1_000),
        b'0' => {
            let places = digits.iter().chain(b"000").take(3);
            Some(places.fold(0, |sum, digit| 10 * sum + u16::from(digit - b'0')))
        }
        _ => Some(0),
    }
}

/// The seconds of a `wait` among preferences (RFC 7240, 4.3).
fn wait(line: &[u8]) -> Option<u32> {
    fields::list(line).find_map(|preference| {
        let preference = preference.split(|&byte| byte == b';').next()?;
        let at = preference.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (
            fields::trim(&preference[..at]),
            fields::trim(&preference[at + 1..]),
        );
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let value = value.strip_suffix(b"\"").unwrap_or(value);
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        if !name.eq_ignore_ascii_case(b"wait") || !is_number {
            return None;
        }
        // Longer than a number is longer than may be waited.
        Some(str::from_utf8(value).ok()?.parse().unwrap_or(u32::MAX))
    })
}

impl<'a> Has<'a> {
    /// Takes a line of the field. What cannot be read, and what follows it there, is left out.
    fn note(&mut self, line: &'a [u8]) {
        if line == b"*" {
            *self = Self::Any;
        }
        let Self::Tags(tags) = self else { return };
        let mut rest = line;
        loop {
            while let [b',' | b' ' | b'\t', after @ ..] = rest {
                rest = after;
            }
            let Some(tag) = rest.strip_prefix(b"W/").unwrap_or(rest).strip_prefix(b"\"") else {
                return;
            };
            let Some(end) = tag.iter().position(|&byte| byte == b'"') else {
                return;
            };
            tags.push(&tag[..end]);
            rest = fields::trim(&tag[end + 1..]);
            if !matches!(rest, [b',', ..]) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_fields(fields: &str, check: impl FnOnce(Wishes<'_>)) {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        check(Wishes::of(&Head::parse(text.as_bytes()).unwrap()));
    }

    #[test]
    fn a_stream_is_named_and_wanted_no_less_than_json() {
        let table = [
            ("", false),
            ("Accept: */*\r\n", false),
            ("Accept: application/json\r\n", false),
            ("Accept: text/event-stream\r\n", true),
            ("aCCept: Text/Event-Stream;q=0.001\r\n", true),
            ("Accept: text/event-stream, */*\r\n", true),
            ("Accept: text/event-stream;q=0.5, */*\r\n", false),
            ("Accept: text/event-stream; q=0.5, */* ;q=0.4\r\n", true),
            (
                "Accept: text/event-stream;q=0.5, */*;q=0.4, application/*\r\n",
                false,
            ),
            ("Accept: application/json, text/event-stream\r\n", false),
            (
                "Accept: application/json;q=0.9, text/event-stream\r\n",
                true,
            ),
            (
                "Accept: application/json;q=0.9\r\nAccept: text/event-stream\r\n",
                true,
            ),
            (
                "Accept: application/json;q=0, text/event-stream;q=0.1\r\n",
                true,
            ),
            ("Accept: text/event-stream;q=0\r\n", false),
            ("Accept: text/event-stream;q=0.000, */*;q=0\r\n", false),
            ("Accept: text/event-stream;charset=utf-8;q=1.0\r\n", true),
            ("Accept: text/event-stream;q=2\r\n", false),
            ("Accept: text/event-stream;q=\r\n", false),
            ("Accept: text/event-stream;q=0.5555\r\n", false),
            ("Accept: text/event-streams, text/*\r\n", false),
        ];
        for (fields, expected) in table {
            with_fields(fields, |wishes| {
                assert_eq!(wishes.stream, expected, "{fields}")
            });
        }
    }

    #[test]
    fn reads_what_a_client_has() {
        let table: [(&str, Option<Option<&[&str]>>); 13] = [
            ("", None),
            ("If-None-Match: *\r\n", Some(None)),
            ("If-None-Match: \"a\"\r\n", Some(Some(&["a"]))),
            ("if-none-match: W/\"a\"\r\n", Some(Some(&["a"]))),
            (
                "If-None-Match: \"a\", W/\"b\" ,\t\"c,d\"\r\n",
                Some(Some(&["a", "b", "c,d"])),
            ),
            (
                "If-None-Match: ,,\"a\",, \"b\",\r\n",
                Some(Some(&["a", "b"])),
            ),
            (
                "If-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\n",
                Some(Some(&["a", "b"])),
            ),
            ("If-None-Match: \"a\"\r\nIf-None-Match: *\r\n", Some(None)),
            ("If-None-Match: \"\"\r\n", Some(Some(&[""]))),
            ("If-None-Match: a\r\n", Some(Some(&[]))),
            ("If-None-Match: \"a\r\n", Some(Some(&[]))),
            ("If-None-Match: \"a\" \"b\"\r\n", Some(Some(&["a"]))),
            ("If-None-Match: w/\"a\"\r\n", Some(Some(&[]))),
        ];
        for (fields, expected) in table {
            let expected = expected.map(|tags| match tags {
                None => Has::Any,
                Some(tags) => Has::Tags(tags.iter().map(|tag| tag.as_bytes()).collect()),
            });
            with_fields(fields, |wishes| {
                assert_eq!(wishes.has, expected, "{fields}")
            });
        }
    }

    #[test]
    fn reads_how_long_a_client_waits() {
        let table = [
            ("", None),
            ("Prefer: wait=30\r\n", Some(30)),
            ("prefer: respond-async, Wait = \"5\"; x=1\r\n", Some(5)),
            (
                "Prefer: return=minimal\r\nPrefer: wait=0, wait=9\r\n",
                Some(0),
            ),
            ("Prefer: wait=99999999999999\r\n", Some(u32::MAX)),
            ("Prefer: wait\r\n", None),
            ("Prefer: wait=\r\n", None),
            ("Prefer: wait=-1\r\n", None),
            ("Prefer: waits=1\r\n", None),
        ];
        for (fields, expected) in table {
            with_fields(fields, |wishes| {
                assert_eq!(wishes.wait, expected, "{fields}")
            });
        }
    }

    #[test]
    fn finds_the_rest() {
        with_fields("Origin: https://a\r\nLast-Event-ID: x y\r\n", |wishes| {
            assert!(wishes.is_of_page);
            assert_eq!(wishes.last_event, Some(&b"x y"[..]));
        });
        with_fields("Originn: https://a\r\nx-last-event-id: x\r\n", |wishes| {
            assert_eq!(wishes, Wishes::default());
        });
    }
}
