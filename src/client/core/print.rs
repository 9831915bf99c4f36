//! JSON as people and scripts read it: indented and in colours, or on one line.
//!
//! Texts of services go to a terminal. What a terminal would take for a command, or would
//! not show, is written as an escape; the gateway's escapes of plain characters (`<`, `>`
//! and `&`) are taken back.

use std::borrow::Cow;

/// How JSON is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// A line for each value, indented by two spaces; else all on one line.
    pub is_indented: bool,
    /// With the colours of a terminal.
    pub has_colours: bool,
}

/// The sequences that switch colours.
mod colour {
    pub const NAME: &str = "\u{1b}[34m";
    pub const TEXT: &str = "\u{1b}[32m";
    pub const LITERAL: &str = "\u{1b}[36m";
    pub const FAINT: &str = "\u{1b}[2m";
    pub const STRONG: &str = "\u{1b}[1m";
    pub const END: &str = "\u{1b}[0m";
}

impl Style {
    /// A text that stands back.
    pub fn faint(self, text: &str) -> String {
        self.in_colour(colour::FAINT, text)
    }

    /// A text that stands out.
    pub fn strong(self, text: &str) -> String {
        self.in_colour(colour::STRONG, text)
    }

    fn in_colour(self, start: &str, text: &str) -> String {
        match self.has_colours {
            true => format!("{start}{text}{}", colour::END),
            false => text.to_owned(),
        }
    }

    /// Writes a JSON value, which is valid, in this style. It recurses over nothing.
    pub fn json(self, text: &str) -> String {
        Printer {
            style: self,
            text,
            at: 0,
            out: String::with_capacity(text.len() * 2),
            objects: Vec::new(),
            expects_name: false,
        }
        .run()
    }
}

/// A text with what must not reach a terminal as an escape.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push_visible(c, &mut out);
    }
    Cow::Owned(out)
}

/// Control characters, and those that change the order or the place of what is shown.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn push_visible(c: char, out: &mut String) {
    match is_hidden(c) {
        // All of them have four digits.
        true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        false => out.push(c),
    }
}

/// A walk over the tokens of a value.
struct Printer<'a> {
    style: Style,
    text: &'a str,
    at: usize,
    out: String,
    /// The brackets that are open: whether each is an object's.
    objects: Vec<bool>,
    /// The next string is a member's name.
    expects_name: bool,
}

impl Printer<'_> {
    fn run(mut self) -> String {
        while let Some(byte) = self.text.as_bytes().get(self.at).copied() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'{' | b'[' => self.open(byte),
                b'}' | b']' => {
                    self.objects.pop();
                    self.line();
                    self.mark(byte);
                }
                b',' => {
                    self.mark(byte);
                    self.expects_name = self.objects.last() == Some(&true);
                    self.line();
                }
                b':' => {
                    self.mark(byte);
                    self.expects_name = false;
                    if self.style.is_indented {
                        self.out.push(' ');
                    }
                }
                b'"' => self.string(),
                _ => self.literal(),
            }
        }
        self.out
    }

    fn mark(&mut self, byte: u8) {
        self.out.push(char::from(byte));
        self.at += 1;
    }

    /// An opening bracket; an empty pair stays together.
    fn open(&mut self, byte: u8) {
        self.mark(byte);
        let rest = &self.text[self.at..];
        let next = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if let Some(end @ (b'}' | b']')) = next.bytes().next() {
            self.at += rest.len() - next.len();
            return self.mark(end);
        }
        self.objects.push(byte == b'{');
        self.expects_name = byte == b'{';
        self.line();
    }

    fn line(&mut self) {
        if self.style.is_indented {
            self.out.push('\n');
            for _ in 0..self.objects.len() {
                self.out.push_str("  ");
            }
        }
    }

    fn literal(&mut self) {
        let rest = &self.text[self.at..];
        let is_end = |c| matches!(c, ',' | '}' | ']' | ' ' | '\t' | '\r' | '\n');
        // One byte at least is taken, whatever it is.
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let length = rest.find(is_end).unwrap_or(rest.len()).max(first);
        self.coloured(colour::LITERAL, |printer| {
            printer.out.push_str(&rest[..length]);
        });
        self.at += length;
    }

    fn string(&mut self) {
        let start = match self.expects_name {
            true => colour::NAME,
            false => colour::TEXT,
        };
        self.coloured(start, Self::string_itself);
    }

    fn coloured(&mut self, start: &str, write: impl FnOnce(&mut Self)) {
        if self.style.has_colours {
            self.out.push_str(start);
        }
        write(self);
        if self.style.has_colours {
            self.out.push_str(colour::END);
        }
    }

    fn string_itself(&mut self) {
        self.mark(b'"');
        while let Some(c) = self.text[self.at..].chars().next() {
            match c {
                '"' => return self.mark(b'"'),
                '\\' => self.escape(),
                _ => {
                    push_visible(c, &mut self.out);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    /// An escape within a string: of a character that needs none, the character.
    fn escape(&mut self) {
        let rest = &self.text[self.at..];
        if let Some((c, length)) = unescaped(rest)
            && !is_hidden(c)
            && !matches!(c, '"' | '\\')
        {
            self.out.push(c);
            self.at += length;
            return;
        }
        let mut chars = rest.chars();
        for c in chars.by_ref().take(2) {
            self.out.push(c);
        }
        self.at += rest.len() - chars.as_str().len();
    }
}

/// The character that an escape of `\u` and four digits stands for, or two of them do, and
/// how long they are.
fn unescaped(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let first = unit(text)?;
    let second = text.get(6..).and_then(unit);
    let mut pair = char::decode_utf16([first].into_iter().chain(second));
    let c = pair.next()?.ok()?;
    Some((c, 6 * c.len_utf16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Style = Style {
        is_indented: false,
        has_colours: false,
    };
    const INDENTED: Style = Style {
        is_indented: true,
        has_colours: false,
    };

    #[test]
    fn values_are_indented_or_on_one_line() {
        let text = r#" {"a": [1,{ "b":null} , [ ] ,{}],"c:,":"x\"}"} "#;
        assert_eq!(
            LINE.json(text),
            r#"{"a":[1,{"b":null},[],{}],"c:,":"x\"}"}"#
        );
        let expected = "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    },\n    [],\n    {}\n  ],\n  \
                        \"c:,\": \"x\\\"}\"\n}";
        assert_eq!(INDENTED.json(text), expected);
        for text in ["1", "-1.50e3", "null", "\"\"", "[]", "{}"] {
            assert_eq!(INDENTED.json(text), text);
        }
    }

    #[test]
    fn colours_tell_names_from_texts() {
        let style = Style {
            has_colours: true,
            ..LINE
        };
        let text = style.json(r#"{"a":"b","c":[1,"d"]}"#);
        let plain = text
            .replace(colour::NAME, "N")
            .replace(colour::TEXT, "T")
            .replace(colour::LITERAL, "L")
            .replace(colour::END, "");
        assert_eq!(plain, r#"{N"a":T"b",N"c":[L1,T"d"]}"#);
        assert_eq!(style.faint("x"), "\u{1b}[2mx\u{1b}[0m");
        assert_eq!(LINE.strong("x"), "x");
    }

    #[test]
    fn a_terminal_takes_nothing_for_a_command() {
        let text = "\"a\u{9b}31m\u{7f}\u{202e}b\\u001b[0m\"";
        assert_eq!(LINE.json(text), r#""a\u009b31m\u007f\u202eb\u001b[0m""#);
        assert_eq!(visible("a\u{1b}b\n"), "a\\u001bb\\u000a");
        assert_eq!(visible("ä ö"), "ä ö");
    }

    #[test]
    fn escapes_of_plain_characters_are_taken_back() {
        let text = r#""\u003ca\u003e \u0026 \u00e9 \ud83d\ude00 \u0022 \u005c \ud83d \u2028 \n\/""#;
        let expected = r#""<a> & é 😀 \u0022 \u005c \ud83d \u2028 \n\/""#;
        assert_eq!(LINE.json(text), expected);
    }

    /// What is written means what was read, also of texts that are cut.
    #[test]
    fn values_keep_their_meaning() {
        let text = r#"{"a":[1,2.50,"x\ty",{"\u003c":true}],"b":"\u0001","c":"é"}"#;
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        for style in [LINE, INDENTED] {
            assert_eq!(value(&style.json(text)), value(text));
            for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
                style.json(&text[..end]);
            }
        }
    }
}
