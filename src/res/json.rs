//! JSON text as this protocol treats it: objects read member by member without regard
//! to letter case, values kept as text, white space removed, markup escaped.
//!
//! Nothing here builds a tree, and nothing recurses over what a peer sent.

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Deepest nesting of arrays and objects in a message.
pub const MAX_DEPTH: usize = 128;

/// Why a text was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError(Cow<'static, str>);

impl JsonError {
    /// An error with a fixed text.
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JsonError {}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self(Cow::Owned(error.to_string()))
    }
}

/// One JSON value as text, without white space around it.
pub type Raw<'a> = &'a str;

/// Checks that a payload is one JSON value of bounded depth and returns its text.
pub fn value(payload: &[u8]) -> Result<Raw<'_>, JsonError> {
    let raw: &RawValue = serde_json::from_slice(payload)?;
    check_depth(raw.get())?;
    Ok(raw.get())
}

/// Whether there is nothing but JSON's white space, which is less than ASCII's.
pub fn is_blank(payload: &[u8]) -> bool {
    payload.iter().all(|byte| b" \t\r\n".contains(byte))
}

fn check_depth(text: &str) -> Result<(), JsonError> {
    let bytes = text.as_bytes();
    if bytes.len() <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_string, mut i) = (0usize, false, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'\\' if in_string => i += 1,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(JsonError::new("nesting deeper than 128 levels"));
                }
            }
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        i += 1;
    }
    Ok(())
}

/// Calls `member` with each name and value of an object, in order.
///
/// # Errors
/// When the text is no object, or `member` refuses.
pub fn object<'a>(
    text: Raw<'a>,
    member: impl FnMut(Cow<'a, str>, Raw<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    struct Members<F>(F);
    impl<'de, F> Visitor<'de> for Members<F>
    where
        F: FnMut(Cow<'de, str>, Raw<'de>) -> Result<(), JsonError>,
    {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(Text(name)) = map.next_key()? {
                let value: &'de RawValue = map.next_value()?;
                (self.0)(name, value.get()).map_err(A::Error::custom)?;
            }
            Ok(())
        }
    }
    if !text.starts_with('{') {
        return Err(JsonError::new("not an object"));
    }
    Ok(serde_json::Deserializer::from_str(text).deserialize_map(Members(member))?)
}

/// Calls `item` with each value of an array, in order.
///
/// # Errors
/// When the text is no array, or `item` refuses.
pub fn array<'a>(
    text: Raw<'a>,
    item: impl FnMut(Raw<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    struct Items<F>(F);
    impl<'de, F> Visitor<'de> for Items<F>
    where
        F: FnMut(Raw<'de>) -> Result<(), JsonError>,
    {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(value) = seq.next_element::<&'de RawValue>()? {
                (self.0)(value.get()).map_err(A::Error::custom)?;
            }
            Ok(())
        }
    }
    if !text.starts_with('[') {
        return Err(JsonError::new("not an array"));
    }
    Ok(serde_json::Deserializer::from_str(text).deserialize_seq(Items(item))?)
}

/// A string that is borrowed unless it holds escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// `None` for `null`, which counts as absent everywhere in this protocol.
pub fn present(text: Raw<'_>) -> Option<Raw<'_>> {
    (text != "null").then_some(text)
}

/// Reads a string.
pub fn string(text: Raw<'_>) -> Result<Cow<'_, str>, JsonError> {
    if !text.starts_with('"') {
        return Err(JsonError::new("not a string"));
    }
    let Text(string) = serde_json::from_str(text)?;
    Ok(string)
}

/// Reads a boolean.
pub fn boolean(text: Raw<'_>) -> Result<bool, JsonError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(JsonError::new("not a boolean")),
    }
}

/// Whether two member names are the same but for letter case.
pub fn is(name: &str, expected: &str) -> bool {
    name.eq_ignore_ascii_case(expected)
}

/// Returns a value without white space between its tokens.
pub fn compact(text: Raw<'_>) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let Some(first) = next_space(bytes, 0) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    let (mut from, mut to) = (0, Some(first));
    while let Some(space) = to {
        out.push_str(&text[from..space]);
        from = space + 1;
        to = next_space(bytes, from);
    }
    out.push_str(&text[from..]);
    Cow::Owned(out)
}

/// The place of the next white space outside a string, from a place outside a string.
fn next_space(bytes: &[u8], mut i: usize) -> Option<usize> {
    let mut in_string = false;
    while i < bytes.len() {
        match bytes[i] {
            b'"' => in_string = !in_string,
            b'\\' => i += 1,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => return Some(i),
            _ => {}
        }
        i += 1;
    }
    None
}

/// Whether text for a client must differ from the value's own.
pub fn needs_escape(text: &str) -> bool {
    text.bytes()
        .enumerate()
        .any(|(i, byte)| escape_at(text.as_bytes(), i, byte).is_some())
}

/// The escape of the character that starts at a place, and its length there.
fn escape_at(bytes: &[u8], i: usize, byte: u8) -> Option<(&'static [u8], usize)> {
    match byte {
        b'<' => Some((b"\\u003c", 1)),
        b'>' => Some((b"\\u003e", 1)),
        b'&' => Some((b"\\u0026", 1)),
        0xe2 if bytes[i..].starts_with(b"\xe2\x80\xa8") => Some((b"\\u2028", 3)),
        0xe2 if bytes[i..].starts_with(b"\xe2\x80\xa9") => Some((b"\\u2029", 3)),
        _ => None,
    }
}

/// Appends JSON text with what HTML or JavaScript would misread escaped.
pub fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let (mut from, mut i) = (0, 0);
    while i < bytes.len() {
        if let Some((escape, length)) = escape_at(bytes, i, bytes[i]) {
            out.extend_from_slice(&bytes[from..i]);
            out.extend_from_slice(escape);
            i += length;
            from = i;
        } else {
            i += 1;
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

/// Appends a text as a JSON string, escaped as [`write_escaped`] does.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let (mut from, mut i) = (0, 0);
    while i < bytes.len() {
        let byte = bytes[i];
        let mut hex = *b"\\u0000";
        let (escape, length): (&[u8], usize) = match byte {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'\t' => (b"\\t", 1),
            0..=0x1f => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                hex[4] = DIGITS[usize::from(byte >> 4)];
                hex[5] = DIGITS[usize::from(byte & 15)];
                (&hex, 1)
            }
            _ => match escape_at(bytes, i, byte) {
                Some(escape) => escape,
                None => {
                    i += 1;
                    continue;
                }
            },
        };
        out.extend_from_slice(&bytes[from..i]);
        out.extend_from_slice(escape);
        i += length;
        from = i;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// The most digits that a number has.
pub const DIGITS_MAX: usize = 20;

/// Appends a whole number.
pub fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(digits(number, &mut [0; DIGITS_MAX]));
}

/// The decimal digits of a whole number, for which `buffer` is the room.
pub fn digits(mut number: u64, buffer: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut start = DIGITS_MAX;
    loop {
        start -= 1;
        buffer[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn removes_white_space_outside_strings_only() {
        for (text, expected) in [
            ("1", "1"),
            ("[ 1 ,\t2\n]", "[1,2]"),
            (r#"{ "a b" : " \" c " }"#, r#"{"a b":" \" c "}"#),
            (r#"["\\", " "]"#, r#"["\\"," "]"#),
        ] {
            assert_eq!(compact(text), expected);
        }
    }

    #[test]
    fn escapes_markup_and_line_separators() {
        let text = "\"<a>&\u{2028}\u{2029}\u{2027}é\"";
        assert!(needs_escape(text));
        assert_eq!(
            written(|out| write_escaped(text, out)),
            "\"\\u003ca\\u003e\\u0026\\u2028\\u2029\u{2027}é\""
        );
        assert!(!needs_escape("\"plain é \u{2027}\""));
        assert_eq!(
            written(|out| write_string("a\"\\\n\r\t\u{1}\u{1f}<é\u{2028}", out)),
            r#""a\"\\\n\r\t\u0001\u001f\u003cé\u2028""#
        );
    }

    #[test]
    fn writes_numbers() {
        for number in [0, 7, 10, 65535, u64::MAX] {
            assert_eq!(written(|out| write_number(number, out)), number.to_string());
        }
    }

    #[test]
    fn reads_members_in_order_with_their_text() {
        let mut seen = Vec::new();
        object(
            r#"{"a" : 1.0, "\u0062":{"c": [ ]},"a":null}"#,
            |name, raw| {
                seen.push((name.into_owned(), raw.to_owned()));
                Ok(())
            },
        )
        .unwrap();
        let expected = [("a", "1.0"), ("b", r#"{"c": [ ]}"#), ("a", "null")];
        assert_eq!(seen.len(), expected.len());
        for ((name, raw), (expected_name, expected_raw)) in seen.iter().zip(expected) {
            assert_eq!((name.as_str(), raw.as_str()), (expected_name, expected_raw));
        }
    }

    #[test]
    fn refuses_other_kinds_and_deep_nesting() {
        assert!(object("[]", |_, _| Ok(())).is_err());
        assert!(array("{}", |_| Ok(())).is_err());
        assert!(string("1").is_err());
        assert!(boolean("null").is_err());
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(value(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(value(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(value(nested(100_000).as_bytes()).is_err());
        assert!(value(format!("\"{}\"", "[".repeat(1000)).as_bytes()).is_ok());
    }

    #[test]
    fn refuses_what_is_no_json() {
        for text in [
            "",
            " ",
            "{",
            "nul",
            "1 2",
            "{\"a\":1,}",
            "\"\\x\"",
            "01",
            "\u{feff}1",
        ] {
            assert!(value(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(value(b"\"\xff\"").is_err());
    }
}
