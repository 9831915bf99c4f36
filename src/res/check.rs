//! Whether a text is JSON, in one pass: with arrays within arrays a check that looks at each
//! value by itself takes several times as long as the text takes to be copied.

use std::ops::Range;

use super::scan;

/// Why a text is no JSON value that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is none, as the byte at this place shows.
    Invalid(usize),
    /// Arrays and objects are nested deeper than may be.
    Deep,
}

/// Levels of nesting that a stack of one bit each has room for.
pub const LEVELS: usize = u128::BITS as usize;

/// Where the one value of a text stands, without the white space around it.
///
/// # Errors
///
/// [`Fault`]: there is none, or more than one, or it is nested deeper than [`LEVELS`].
pub fn value(text: &str) -> Result<Range<usize>, Fault> {
    let mut check = Check {
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
        objects: 0,
    };
    check.skip_space();
    let start = check.at;
    loop {
        if check.begin()? {
            continue;
        }
        loop {
            if check.depth == 0 {
                let end = check.at;
                check.skip_space();
                return match check.at == text.len() {
                    true => Ok(start..end),
                    false => Err(Fault::Invalid(check.at)),
                };
            }
            if check.go_on()? {
                break;
            }
        }
    }
}

/// A check, and how far it has come.
struct Check<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Arrays and objects that are open.
    depth: usize,
    /// For each of them a bit, which is set for an object; that of the innermost is the lowest.
    objects: u128,
}

impl Check<'_> {
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault<T>(&self) -> Result<T, Fault> {
        Err(Fault::Invalid(self.at))
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// Goes over the beginning of a value; whether another one must begin within it.
    fn begin(&mut self) -> Result<bool, Fault> {
        match self.byte() {
            Some(b'"') => self.string()?,
            Some(b'[') => {
                self.open(false)?;
                if self.byte() != Some(b']') {
                    return Ok(true);
                }
                self.close();
            }
            Some(b'{') => {
                self.open(true)?;
                if self.byte() != Some(b'}') {
                    self.name()?;
                    return Ok(true);
                }
                self.close();
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            _ => return self.fault(),
        }
        Ok(false)
    }

    /// Goes over what stands behind a value of an array or object; whether another one must
    /// begin there.
    fn go_on(&mut self) -> Result<bool, Fault> {
        self.skip_space();
        let is_object = self.objects & 1 == 1;
        match (self.byte(), is_object) {
            (Some(b','), _) => {
                self.at += 1;
                self.skip_space();
                if is_object {
                    self.name()?;
                }
                Ok(true)
            }
            (Some(b']'), false) | (Some(b'}'), true) => {
                self.close();
                Ok(false)
            }
            _ => self.fault(),
        }
    }

    fn open(&mut self, is_object: bool) -> Result<(), Fault> {
        if self.depth == LEVELS {
            return Err(Fault::Deep);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
        self.at += 1;
    }

    /// Goes over the name of a member and what stands between it and the value.
    fn name(&mut self) -> Result<(), Fault> {
        if self.byte() != Some(b'"') {
            return self.fault();
        }
        self.string()?;
        self.skip_space();
        if self.byte() != Some(b':') {
            return self.fault();
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at = scan::end_of_plain(self.bytes, self.at);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return self.fault(),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.fault();
                    }
                    self.at += 1;
                }
            }
            _ => return self.fault(),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Goes over digits, of which there must be one.
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => self.fault(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        match self.bytes[self.at..].starts_with(word) {
            true => {
                self.at += word.len();
                Ok(())
            }
            false => self.fault(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    /// What serde_json makes of a text.
    fn expected(text: &str) -> Option<&str> {
        let raw: Result<&RawValue, _> = serde_json::from_str(text);
        raw.ok().map(RawValue::get)
    }

    fn agrees(text: &str) {
        let found = value(text);
        let place = found.clone().ok().map(|place| &text[place]);
        assert_eq!(place, expected(text), "{text:?}: {found:?}");
    }

    #[test]
    fn every_short_text_is_judged_as_serde_json_does() {
        const LETTERS: &[u8] = b"[]{}\",:\\u10-.e+ tn\n";
        for length in 0..=5 {
            let mut places = vec![0; length];
            'all: loop {
                let bytes = places.iter().map(|place| LETTERS[*place]).collect();
                agrees(&String::from_utf8(bytes).unwrap());
                let mut at = 0;
                loop {
                    if at == length {
                        break 'all;
                    }
                    places[at] += 1;
                    if places[at] < LETTERS.len() {
                        break;
                    }
                    places[at] = 0;
                    at += 1;
                }
            }
        }
    }

    #[test]
    fn every_change_of_a_valid_text_is_judged_as_serde_json_does() {
        let texts = [
            r#" {"a" : [1, -2.5e+10 ,{"b\"]":"}\\"} , [ ], {}],"":{ }, "c":true,"d":false, "e":null} "#,
            r#"["\u00e9\ud800\b\f\n\r\t\/\\\"", "é\u2028 a long string without any mark in it", 0, -0, 1E5, 0.5]"#,
            "\t[\r\n[[[0e0]], {\"a\":{\"b\":[{\"c\":12345678901234567890}]}}] \n]\r",
        ];
        let others = [
            "", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e",
        ];
        let others = others
            .iter()
            .chain(&[" ", "\n", "\u{1}", "\u{7f}", "u", "é", "t", "\u{c}"]);
        for text in texts {
            assert!(value(text).is_ok(), "{text}");
            for (place, char) in text.char_indices() {
                agrees(&text[..place]);
                for other in others.clone() {
                    let behind = &text[place + char.len_utf8()..];
                    agrees(&[&text[..place], other, behind].concat());
                    agrees(&[&text[..place], other, &text[place..]].concat());
                }
            }
        }
    }

    #[test]
    fn strings_end_at_each_place() {
        for length in 0..40 {
            for mark in ["\"", "\\\"", "\\\\", "\u{1f}", "\u{80}", "", " "] {
                for place in 0..=length {
                    let (before, behind) = ("x".repeat(place), "y".repeat(length - place));
                    agrees(&format!("\"{before}{mark}{behind}\""));
                    agrees(&format!("\"{before}{mark}{behind}"));
                }
            }
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |opening: &str, closing: &str, depth: usize| {
            value(&(opening.repeat(depth) + "1" + &closing.repeat(depth)))
        };
        for (opening, closing) in [("[", "]"), ("{\"a\":", "}"), ("[{\"\": ", "} ]")] {
            let levels = LEVELS / opening.matches(['[', '{']).count();
            assert!(nested(opening, closing, levels).is_ok());
            assert_eq!(nested(opening, closing, levels + 1), Err(Fault::Deep));
            assert_eq!(nested(opening, closing, 100_000), Err(Fault::Deep));
        }
        // One behind the other.
        let flat = format!("[{}]", vec!["[[]]"; 10_000].join(","));
        assert_eq!(value(&flat), Ok(0..flat.len()));
        assert_eq!(value("[[1]"), Err(Fault::Invalid(4)));
        assert_eq!(value("[}"), Err(Fault::Invalid(1)));
    }
}
