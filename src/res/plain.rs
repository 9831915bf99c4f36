//! Short JSON as most services send it, told at a glance: no white space, no escapes. A
//! parser for all of JSON takes several times as long for it.

/// Bytes of the longest text that is looked at; longer ones are better read many at a time.
const LONGEST: usize = 256;

/// Arrays and objects that are open at most: a bit for each says which it is.
const DEEPEST: u32 = 32;

/// The text of a payload that is one such value for certain. `None` says nothing.
pub fn value(payload: &[u8]) -> Option<&str> {
    if payload.len() > LONGEST {
        return None;
    }
    // Which of those around are objects, the innermost one lowest.
    let (mut objects, mut depth, mut at) = (0_u32, 0, 0);
    loop {
        // A value begins.
        let (is_object, close) = match payload.get(at)? {
            b'{' => (true, b'}'),
            b'[' => (false, b']'),
            byte => {
                at = scalar_end(payload, at, *byte)?;
                (false, 0)
            }
        };
        if close != 0 {
            at += 1;
            if payload.get(at) == Some(&close) {
                at += 1;
            } else if depth == DEEPEST {
                return None;
            } else {
                objects = objects << 1 | u32::from(is_object);
                depth += 1;
                if is_object {
                    at = key_end(payload, at)?;
                }
                continue;
            }
        }
        // It has ended, and what is around it with it, as far as brackets follow.
        loop {
            if depth == 0 {
                let text = std::str::from_utf8(payload).ok()?;
                return (at == payload.len()).then_some(text);
            }
            let is_object = objects & 1 == 1;
            let byte = *payload.get(at)?;
            at += 1;
            match byte {
                b',' if is_object => at = key_end(payload, at)?,
                b',' => {}
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            if byte == b',' {
                break;
            }
            objects >>= 1;
            depth -= 1;
        }
    }
}

/// The place behind a member's name and its colon.
fn key_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let end = string_end(bytes, at + 1)?;
    (bytes.get(end) == Some(&b':')).then_some(end + 1)
}

/// The place behind a string, given that behind its first quote.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' | 0..0x20 => return None,
            _ => at += 1,
        }
    }
}

/// The place behind a string, a number or a word.
fn scalar_end(bytes: &[u8], at: usize, first: u8) -> Option<usize> {
    let word = |word: &[u8]| bytes[at..].starts_with(word).then_some(at + word.len());
    match first {
        b'"' => string_end(bytes, at + 1),
        b'-' => number_end(bytes, at + 1),
        b'0'..=b'9' => number_end(bytes, at),
        b't' => word(b"true"),
        b'f' => word(b"false"),
        b'n' => word(b"null"),
        _ => None,
    }
}

/// The place behind a number, given that behind its sign.
fn number_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = match bytes.get(at)? {
        b'0' => at + 1,
        _ => digits_end(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits_end(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += match bytes.get(at + 1) {
            Some(b'+' | b'-') => 2,
            _ => 1,
        };
        at = digits_end(bytes, at)?;
    }
    Some(at)
}

/// The place behind one digit or more.
fn digits_end(bytes: &[u8], at: usize) -> Option<usize> {
    let count = bytes.get(at..)?.iter().take_while(|it| it.is_ascii_digit());
    match count.count() {
        0 => None,
        count => Some(at + count),
    }
}

#[cfg(test)]
mod tests {
    use super::{DEEPEST, LONGEST, value};
    use serde_json::value::RawValue;

    /// What the parser for all of JSON says.
    fn expected(payload: &[u8]) -> Option<&str> {
        let raw: Result<&RawValue, _> = serde_json::from_slice(payload);
        raw.ok().map(RawValue::get)
    }

    #[test]
    fn what_services_send_is_told_at_a_glance() {
        // The innermost one is empty, and so not open.
        let nested = "[".repeat(DEEPEST as usize + 1) + &"]".repeat(DEEPEST as usize + 1);
        for text in [
            r#"{"values":{"n":1000001,"text":"aaaa"}}"#,
            r#"{"result":{"get":true,"call":"*"}}"#,
            r#"{"result":{"model":{"a":null,"b":-0.5e+10,"c":[],"d":{},"e":[1,{"f":[false]}]}}}"#,
            r#"{"result":{"collection":[{"rid":"a.b"},"é",0,-0,1E5,12.25]}}"#,
            "null",
            "\"\"",
            nested.as_str(),
        ] {
            assert_eq!(value(text.as_bytes()), Some(text));
            assert_eq!(expected(text.as_bytes()), Some(text));
        }
    }

    #[test]
    fn what_is_not_sure_is_left_to_the_parser() {
        let long = format!("\"{}\"", "x".repeat(LONGEST));
        let deep = "[".repeat(DEEPEST as usize + 2) + &"]".repeat(DEEPEST as usize + 2);
        for text in [" 1", "1 ", "[1, 2]", r#""\n""#, &long, &deep] {
            assert_eq!(value(text.as_bytes()), None, "{text}");
            assert!(expected(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn nothing_is_accepted_that_is_no_json() {
        const PARTS: [&[u8]; 26] = [
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"\"",
            b"\"a\":",
            b"\"b\"",
            b"0",
            b"1",
            b"-",
            b".",
            b"e",
            b"E+",
            b"true",
            b"false",
            b"null",
            b" ",
            b"\\",
            b"\n",
            b"\xc3\xa9",
            b"\xff",
            b"{\"c\":",
            b"]}",
            b"tru",
        ];
        let mut state = 7_u64;
        let mut below = |end: usize| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (state >> 33) as usize % end
        };
        let (mut accepted, mut text) = (0, Vec::new());
        for _ in 0..400_000 {
            text.clear();
            for _ in 0..1 + below(9) {
                text.extend_from_slice(PARTS[below(PARTS.len())]);
            }
            if let Some(found) = value(&text) {
                accepted += 1;
                assert_eq!(Some(found), expected(&text), "{:?}", text.escape_ascii());
            }
        }
        assert!(accepted > 1_000, "{accepted}");
    }

    #[test]
    fn a_byte_more_or_less_makes_no_difference_to_that() {
        let right =
            br#"{"values":{"n":-10.25e+3,"t":"\xc3\xa9 b","l":[true,null,{"x":[]}]},"a":""}"#;
        let mut text = Vec::new();
        for at in 0..right.len() {
            for byte in 0..=255 {
                for change in 0..3 {
                    text.clear();
                    text.extend_from_slice(right);
                    match change {
                        0 => text[at] = byte,
                        1 => text.insert(at, byte),
                        _ => drop(text.remove(at)),
                    }
                    if let Some(found) = value(&text) {
                        assert_eq!(Some(found), expected(&text), "{:?}", text.escape_ascii());
                    }
                }
            }
        }
    }
}
