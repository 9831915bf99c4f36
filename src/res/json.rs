//! JSON text as this protocol treats it: objects read member by member without regard
//! to letter case, values kept as text, white space removed, markup escaped.
//!
//! Nothing here builds a tree, and nothing recurses over what a peer sent.

use super::check::{self, Fault};
use super::scan;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Deepest nesting of arrays and objects in a message.
pub const MAX_DEPTH: usize = 128;
const _: () = assert!(MAX_DEPTH == check::LEVELS);

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

/// Bytes of a payload that is no JSON up to which it is read once more for the words of the
/// error: beyond that these are not worth the time.
const EXPLAINED: usize = 64 << 10;

/// Checks that a payload is one JSON value of bounded depth and returns its text.
pub fn value(payload: &[u8]) -> Result<Raw<'_>, JsonError> {
    let place = match std::str::from_utf8(payload) {
        Ok(text) => match check::value(text) {
            Ok(place) => return Ok(&text[place]),
            Err(Fault::Deep) => {
                return Err(JsonError::new("nesting deeper than 128 levels"));
            }
            Err(Fault::Invalid(place)) => place,
        },
        Err(error) => error.valid_up_to(),
    };
    Err(invalid(payload, place))
}

/// What is wrong with a payload that is no JSON, as the byte at a place shows.
fn invalid(payload: &[u8], place: usize) -> JsonError {
    let read: Result<&RawValue, _> = match payload.len() {
        0..=EXPLAINED => serde_json::from_slice(payload),
        _ => return JsonError(Cow::Owned(format!("not JSON, at byte {}", place + 1))),
    };
    read.map_or_else(JsonError::from, |_| INVALID)
}

/// Whether there is nothing but JSON's white space, which is less than ASCII's.
pub fn is_blank(payload: &[u8]) -> bool {
    payload.iter().all(|byte| b" \t\r\n".contains(byte))
}

/// Calls `member` with each name and value of an object, in order. The text is a value that
/// [`value`] has accepted, or one of those within it: it is not checked again.
///
/// # Errors
/// When the text is no object, or `member` refuses.
pub fn object<'a>(
    text: Raw<'a>,
    mut member: impl FnMut(Cow<'a, str>, Raw<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut items = Items::within(text, b'{').ok_or(JsonError::new("not an object"))?;
    while items.has_next()? {
        let name = string(items.take()?)?;
        items.skip(b':')?;
        member(name, items.take()?)?;
    }
    Ok(())
}

/// Calls `item` with each value of an array, in order. The text is as for [`object`].
///
/// # Errors
/// When the text is no array, or `item` refuses.
pub fn array<'a>(
    text: Raw<'a>,
    mut item: impl FnMut(Raw<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut items = Items::within(text, b'[').ok_or(JsonError::new("not an array"))?;
    while items.has_next()? {
        item(items.take()?)?;
    }
    Ok(())
}

/// A place in an array or object up to which a walk has come that takes several turns. The
/// text is as for [`object`], and the same each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk(usize);

impl Walk {
    /// The next name and value of an object; `None` behind the last one, where the walk ends.
    ///
    /// # Errors
    /// When the text is no object.
    pub fn member<'a>(
        &mut self,
        text: Raw<'a>,
    ) -> Result<Option<(Cow<'a, str>, Raw<'a>)>, JsonError> {
        let mut items = Items::within(text, b'{').ok_or(JsonError::new("not an object"))?;
        items.at = self.0;
        if !items.has_next()? {
            return Ok(None);
        }
        let name = string(items.take()?)?;
        items.skip(b':')?;
        let raw = items.take()?;
        self.0 = items.at;
        Ok(Some((name, raw)))
    }

    /// The next value of an array; `None` behind the last one, where the walk ends.
    ///
    /// # Errors
    /// When the text is no array.
    pub fn item<'a>(&mut self, text: Raw<'a>) -> Result<Option<Raw<'a>>, JsonError> {
        let mut items = Items::within(text, b'[').ok_or(JsonError::new("not an array"))?;
        items.at = self.0;
        if !items.has_next()? {
            return Ok(None);
        }
        let raw = items.take()?;
        self.0 = items.at;
        Ok(Some(raw))
    }

    /// Where what was taken last ends in the text.
    pub fn end(&self) -> usize {
        self.0
    }
}

/// A walk over what an array or object holds, of which it is known that it is valid. It
/// looks for nothing but where values end. Of a text that is not valid it finds something
/// or refuses it.
struct Items<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Items<'a> {
    fn within(text: Raw<'a>, opening: u8) -> Option<Self> {
        (text.as_bytes().first() == Some(&opening)).then_some(Self { text, at: 0 })
    }

    /// Goes to the next item; `false` if there is none. Before the first one it stands at
    /// the bracket, later behind the item before.
    fn has_next(&mut self) -> Result<bool, JsonError> {
        self.skip_space();
        let mark = self.text.as_bytes().get(self.at);
        let is_first = self.at == 0;
        self.at += 1;
        match mark {
            Some(b',') => {}
            Some(b'{' | b'[') if is_first => {
                self.skip_space();
                if let Some(b'}' | b']') = self.text.as_bytes().get(self.at) {
                    return Ok(false);
                }
            }
            Some(b'}' | b']') => return Ok(false),
            _ => return Err(INVALID),
        }
        self.skip_space();
        Ok(true)
    }

    /// Goes behind a mark and the white space around it.
    fn skip(&mut self, mark: u8) -> Result<(), JsonError> {
        self.skip_space();
        if self.text.as_bytes().get(self.at) != Some(&mark) {
            return Err(INVALID);
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn skip_space(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| is_space(**byte)).count();
    }

    /// Takes the value that begins here.
    fn take(&mut self) -> Result<Raw<'a>, JsonError> {
        let bytes = self.text.as_bytes();
        let (start, mut end) = (self.at, self.at);
        match bytes.get(start) {
            Some(b'"') => end = string_end(bytes, start)?,
            Some(b'{' | b'[') => end = brackets_end(bytes, start)?,
            _ => {
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || is_space(*byte);
                let rest = bytes.get(start..).unwrap_or_default();
                end += rest.iter().position(is_end).unwrap_or(rest.len());
            }
        }
        self.at = end;
        self.text.get(start..end).ok_or(INVALID)
    }
}

const INVALID: JsonError = JsonError::new("not a JSON value");

fn has(bytes: &[u8], wanted: impl Fn(u8) -> bool + Copy) -> bool {
    scan::find(bytes, 0, wanted) < bytes.len()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The place behind a string that begins at a place.
fn string_end(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start + 1;
    // Most are short.
    for _ in 0..4 {
        let Some(word) = scan::word(bytes, at) else {
            break;
        };
        match scan::first(word, b'"', b'\\') {
            None => at += scan::WORD,
            Some(place) if bytes.get(at + place) == Some(&b'"') => return Ok(at + place + 1),
            Some(place) => at += place + 2,
        }
    }
    loop {
        at = scan::find(bytes, at, |byte| byte == b'"' || byte == b'\\');
        match bytes.get(at).ok_or(INVALID)? {
            b'"' => return Ok(at + 1),
            _ => at += 2,
        }
    }
}

/// The place behind an array or object that begins at a place.
fn brackets_end(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let (mut depth, mut at) = (0, start);
    loop {
        if depth > 0
            && let Some(next) = scan::depths(bytes, at, depth)
            && next.least > 0
        {
            depth = next.last;
            at += scan::SKIPPED;
            continue;
        }
        let end = at + scan::SKIPPED;
        while at < end {
            match bytes.get(at).ok_or(INVALID)? {
                b'"' => {
                    at = string_end(bytes, at)?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                return Ok(at);
            }
        }
    }
}

/// `None` for `null`, which counts as absent everywhere in this protocol.
pub fn present(text: Raw<'_>) -> Option<Raw<'_>> {
    (text != "null").then_some(text)
}

/// Reads a string. The text is as for [`object`].
pub fn string(text: Raw<'_>) -> Result<Cow<'_, str>, JsonError> {
    let Some(rest) = text.strip_prefix('"') else {
        return Err(JsonError::new("not a string"));
    };
    match rest.strip_suffix('"') {
        Some(plain) if !has(plain.as_bytes(), |byte| byte == b'\\') => Ok(Cow::Borrowed(plain)),
        _ => Ok(Cow::Owned(serde_json::from_str(text)?)),
    }
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
    if !matches!(bytes.first(), Some(b'{' | b'[')) {
        return Cow::Borrowed(text); // One token.
    }
    if !has(bytes, is_space) {
        return Cow::Borrowed(text);
    }
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

/// Where something begins that must not stand in a string as it is.
const MARK: u8 = 1;

/// Where something may begin that HTML or JavaScript would misread.
const SUSPECT: u8 = 2;

/// What each byte may be the beginning of.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            0..0x20 | b'"' | b'\\' => MARK,
            b'<' | b'>' | b'&' | 0xe2 => SUSPECT,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// Bytes up to which a look at each, until one is found, is the shorter way.
const SHORT: usize = 32;

/// Whether there is a byte of these kinds. Longer texts are looked at without a branch for
/// each byte, which is many times faster than one by one.
fn has_kind(bytes: &[u8], kinds: u8) -> bool {
    if bytes.len() <= SHORT {
        return bytes
            .iter()
            .any(|byte| KINDS[usize::from(*byte)] & kinds != 0);
    }
    let is_mark = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let is_suspect = |byte: u8| matches!(byte, b'<' | b'>' | b'&' | 0xe2);
    let all = |is: fn(u8) -> bool| bytes.iter().fold(false, |any, byte| any | is(*byte));
    kinds & SUSPECT != 0 && all(is_suspect) || kinds & MARK != 0 && all(is_mark)
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
    write_escaped_bytes(text.as_bytes(), out);
}

/// The same for text of which only the bytes are at hand.
pub(super) fn write_escaped_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    if !has_kind(bytes, SUSPECT) {
        return out.extend_from_slice(bytes);
    }
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
    write_string_bytes(text.as_bytes(), out);
}

/// The same for a text of which only the bytes are at hand.
pub(crate) fn write_string_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if !has_kind(bytes, MARK | SUSPECT) {
        out.extend_from_slice(bytes);
        return out.push(b'"');
    }
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
        assert_eq!(
            written(|out| write_escaped(text, out)),
            "\"\\u003ca\\u003e\\u0026\\u2028\\u2029\u{2027}é\""
        );
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
    fn walks_over_whatever_is_valid() {
        let text = " { \"a\\\"}\" :[ 1 , {\"b]\":\"}\\\\\"} ,[]],\"\":{ } , \"c\":-1.5e+3\n,\"d\":\"é\" } ";
        let text = value(text.as_bytes()).unwrap();
        let mut seen = Vec::new();
        object(text, |name, raw| {
            seen.push((name.into_owned(), raw));
            Ok(())
        })
        .unwrap();
        let inner = "[ 1 , {\"b]\":\"}\\\\\"} ,[]]";
        let expected = [
            ("a\"}", inner),
            ("", "{ }"),
            ("c", "-1.5e+3"),
            ("d", "\"é\""),
        ];
        let expected = expected.map(|(name, raw)| (name.to_owned(), raw));
        assert_eq!(seen, expected);
        let mut items = Vec::new();
        array(inner, |raw| {
            items.push(raw);
            Ok(())
        })
        .unwrap();
        assert_eq!(items, ["1", "{\"b]\":\"}\\\\\"}", "[]"]);
        for empty in ["{}", "{ \t}", "{\n}"] {
            object(empty, |_, _| panic!("it is empty")).unwrap();
        }
        array("[ ]", |_| panic!("it is empty")).unwrap();
    }

    /// Reads a value by the walks, down to what is neither array nor object.
    fn walked(text: Raw<'_>) -> serde_json::Value {
        use serde_json::Value;
        if text.starts_with('{') {
            let mut members = serde_json::Map::new();
            let read = object(text, |name, raw| {
                members.insert(name.into_owned(), walked(raw));
                Ok(())
            });
            return read.map(|()| Value::Object(members)).unwrap();
        }
        if text.starts_with('[') {
            let mut items = Vec::new();
            let read = array(text, |raw| {
                items.push(walked(raw));
                Ok(())
            });
            return read.map(|()| Value::Array(items)).unwrap();
        }
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn long_texts_are_walked_over_as_short_ones() {
        use serde_json::{Value, json};
        let mut state = 1_u32;
        let mut pick = |n: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % n
        };
        let mut values: Vec<Value> = vec![json!(1)];
        for n in 0..2_000 {
            let mut known = |most: u32| {
                let count = pick(most);
                (0..count)
                    .map(|_| {
                        values[values.len() - 1 - pick(values.len().min(4) as u32) as usize].clone()
                    })
                    .collect::<Vec<_>>()
            };
            let value = match n % 5 {
                0 => Value::Array(known(6)),
                1 => known(4)
                    .into_iter()
                    .enumerate()
                    .map(|(n, value)| (format!("\"{n}]"), value))
                    .collect(),
                2 => json!(["{[".repeat(n % 40), "\\\"".repeat(n % 30), n]),
                3 => json!(vec![n; n % 90]),
                _ => json!({"a": [[[[[n]]]]], "": " "}),
            };
            let (text, wide) = (value.to_string(), format!("{value:#}"));
            if text.len() < 10_000 {
                assert_eq!(walked(super::value(text.as_bytes()).unwrap()), value);
                assert_eq!(walked(super::value(wide.as_bytes()).unwrap()), value);
                assert_eq!(compact(&wide), text);
                values.push(value);
            }
        }
        let deep = |depth: usize, text: &str| {
            let (before, behind) = (format!("[{text},").repeat(depth), "]".repeat(depth));
            super::value(format!("{before}1{behind}").as_bytes()).is_ok()
        };
        for text in [
            "1",
            "[],[[]]",
            "\"[[[[[[[[\"",
            "12,".repeat(50).trim_end_matches(','),
        ] {
            assert!(deep(100, text) && !deep(MAX_DEPTH + 1, text), "{text}");
        }
    }

    #[test]
    fn a_walk_may_take_several_turns() {
        let text = " {\"a\" : [1, 2] ,\"b\":{}}";
        let text = value(text.as_bytes()).unwrap();
        let (mut walk, mut seen) = (Walk::default(), Vec::new());
        while let Some((name, raw)) = walk.member(text).unwrap() {
            assert_eq!(&text[walk.end() - raw.len()..walk.end()], raw);
            let mut within = Walk::default();
            while raw.starts_with('[')
                && let Some(item) = within.item(raw).unwrap()
            {
                seen.push(item);
            }
            seen.push(&text[walk.end() - raw.len()..walk.end()]);
            assert_eq!(name.len(), 1);
        }
        assert_eq!(seen, ["1", "2", "[1, 2]", "{}"]);
        assert!(Walk::default().item("{}").is_err() && Walk::default().member("[]").is_err());
        assert_eq!(Walk::default().item("[ ]"), Ok(None));
    }

    #[test]
    fn refuses_or_walks_over_what_was_not_checked() {
        let valid = "{\"a\":[1,{\"b\":\"é\\\"\"}],\"c\":\"d\"}";
        for (place, _) in valid.char_indices() {
            for replaced in ["", "\"", "\\", "{", "]", ",", ":", "é"] {
                let rest = valid[place..].chars().next().map_or(0, char::len_utf8);
                let text = [&valid[..place], replaced, &valid[place + rest..]].concat();
                let _ = object(&text, |_, raw| array(raw, |_| Ok(())).or(Ok(())));
                let _ = object(&valid[..place], |_, _| Ok(()));
            }
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
    fn says_where_a_large_payload_is_no_json() {
        let words = |text: &str| value(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(words("[1,]"), "expected value at line 1 column 4");
        let large = format!("[\"{}\",]", "x".repeat(EXPLAINED));
        assert_eq!(
            words(&large),
            format!("not JSON, at byte {}", EXPLAINED + 5)
        );
        let mut bytes = large.into_bytes();
        bytes[9] = 0xff;
        assert_eq!(
            value(&bytes).unwrap_err().to_string(),
            "not JSON, at byte 10"
        );
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
