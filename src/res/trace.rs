//! How messages are shown in the log: on the way from text to text, without a tree.

use super::json;
use std::borrow::Cow;
use std::fmt::{self, Write};

/// Members whose values open doors: tokens, and the header fields that carry them.
const SECRETS: [&str; 5] = [
    "token",
    "authorization",
    "cookie",
    "set-cookie",
    "proxy-authorization",
];

/// What stands in place of a secret.
const MASK: &str = "\"***\"";

/// Characters of a reply subject that tell requests apart.
const REPLY_ID: usize = 6;

/// What a request and its answers can be matched by: the end of the reply subject.
pub fn reply_id(subject: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&subject[subject.len().saturating_sub(REPLY_ID)..])
}

/// A JSON text with secrets masked: the values of members `token` at any depth, and of the
/// header fields that carry tokens. `null` stays, for it says that there is none. What is no
/// JSON is shown as it is.
#[derive(Clone, Copy, Debug)]
pub struct Masked<'a>(
    /// The text.
    pub &'a [u8],
);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, mut at, mut shown) = (self.0, 0, 0);
        while let Some(quote) = find(text, at, b'"') {
            let end = string_end(text, quote);
            let value = skip_space(text, end);
            at = end;
            if text.get(value) != Some(&b':') || !is_secret(&text[quote..end]) {
                continue;
            }
            let value = skip_space(text, value + 1);
            at = value_end(text, value);
            if &text[value..at] != b"null" {
                write_lossy(f, &text[shown..value])?;
                f.write_str(MASK)?;
                shown = at;
            }
        }
        write_lossy(f, &text[shown..])
    }
}

fn write_lossy(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        f.write_str(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            f.write_char(char::REPLACEMENT_CHARACTER)?;
        }
    }
    Ok(())
}

fn find(text: &[u8], from: usize, byte: u8) -> Option<usize> {
    let rest = text.get(from..)?;
    Some(from + rest.iter().position(|there| *there == byte)?)
}

fn skip_space(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let space = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    from + space.count()
}

/// Where the string that begins at a quote ends; one without end, with the text.
fn string_end(text: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Where a value ends; one without end, with the text.
fn value_end(text: &[u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0usize);
    while at < text.len() {
        match text[at] {
            b'"' => at = string_end(text, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at.min(text.len());
        }
    }
    text.len()
}

/// Whether a member name, in its quotes, is one of [`SECRETS`] in any case.
fn is_secret(name: &[u8]) -> bool {
    let is_secret = |name: &str| SECRETS.iter().any(|secret| json::is(name, secret));
    match std::str::from_utf8(name) {
        // It may be written with escapes.
        Ok(name) if name.contains('\\') => json::string(name).is_ok_and(|name| is_secret(&name)),
        Ok(name) => is_secret(name.trim_matches('"')),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        Masked(text.as_bytes()).to_string()
    }

    #[test]
    fn values_of_tokens_are_masked() {
        for (text, expected) in [
            (
                r#"{"token":"abc","cid":"x"}"#,
                r#"{"token":"***","cid":"x"}"#,
            ),
            (
                r#"{ "Token" : {"a":["}",{"b":"\"]"}]} , "x":1}"#,
                r#"{ "Token" : "***" , "x":1}"#,
            ),
            (r#"{"token":[1,[2]],"x":1}"#, r#"{"token":"***","x":1}"#),
            (r#"{"token":17}"#, r#"{"token":"***"}"#),
            (
                r#"{"token":17 , "token":null}"#,
                r#"{"token":"***" , "token":null}"#,
            ),
            (
                r#"{"token":true,"tid":"t"}"#,
                r#"{"token":"***","tid":"t"}"#,
            ),
            (r#"{"token":null,"cid":"x"}"#, r#"{"token":null,"cid":"x"}"#),
            (r#"{"\u0074oken":"abc"}"#, r#"{"\u0074oken":"***"}"#),
            (r#"{"a":{"token":"abc"}}"#, r#"{"a":{"token":"***"}}"#),
            (
                r#"{"header":{"Cookie":["a=1"],"Accept":["*/*"],"Authorization":["Bearer x"]}}"#,
                r#"{"header":{"Cookie":"***","Accept":["*/*"],"Authorization":"***"}}"#,
            ),
            (
                r#"{"token":"a","token":"b"}"#,
                r#"{"token":"***","token":"***"}"#,
            ),
            // Values, other names, names within strings.
            (r#"["token","x"]"#, r#"["token","x"]"#),
            (r#"{"tokens":"x"}"#, r#"{"tokens":"x"}"#),
            (r#"{"a":"\"token\":1"}"#, r#"{"a":"\"token\":1"}"#),
            (r#"{"a":"token"}"#, r#"{"a":"token"}"#),
            ("", ""),
            ("timeout:\"3000\"", "timeout:\"3000\""),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn no_cut_shows_more_than_the_mask() {
        let text = r#"{"x":"y\\","token" : {"a":["secret","\"secret"]} ,"token":"secret"}"#;
        for end in 0..text.len() {
            let shown = masked(&text[..end]);
            assert!(!shown.contains("secret"), "{shown}");
        }
        assert_eq!(
            masked(text),
            r#"{"x":"y\\","token" : "***" ,"token":"***"}"#
        );
    }

    #[test]
    fn what_is_no_text_is_shown_all_the_same() {
        assert_eq!(
            Masked(b"{\"a\":\"\xff\"}").to_string(),
            "{\"a\":\"\u{fffd}\"}"
        );
        assert_eq!(Masked(b"\"\\").to_string(), "\"\\");
        assert_eq!(Masked(b"{\"token\":\"\\").to_string(), "{\"token\":\"***\"");
    }

    #[test]
    fn requests_are_known_by_the_end_of_their_reply_subject() {
        assert_eq!(reply_id(b"_INBOX.01234567.00000abcDEF"), "abcDEF");
        assert_eq!(reply_id(b"abc"), "abc");
    }
}
