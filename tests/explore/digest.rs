//! What tells one state of the world from another: all of the gateway as it shows itself for
//! debugging, and all of the world around it, as text. Only what cannot matter to what comes
//! next is left out or written in another way: totals that only grow, the numbers of
//! requests, generations of keys, and how long ago the clock began.

use super::world::simulator::World;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Whether a member holds totals, settings, what an audit finds from the others, or the order
/// of a hash table.
fn is_left_out(member: &str) -> bool {
    matches!(
        member,
        "counters"
            | "spent"
            | "units"
            | "epoch"
            | "versions"
            | "unaudited"
            | "options"
            | "random"
            | "warnings"
            | "scratch"
            | "last_verdict"
            | "per_hasher_seed"
            | "hash"
            | "written"
            | "next_id"
            | "published"
            | "history"
            | "past_rows"
    )
}

/// Whether the numbers of a member count what was, and are only compared with each other.
fn is_ranked(member: &str) -> bool {
    matches!(member, "version" | "token_serial" | "serial" | "Connection")
}

/// What a member begins with that is worked out once and kept.
const KEPT: &str = ": OnceCell(";

/// Numbers from which requests of clients are counted.
const REQUESTS: std::ops::Range<u64> = 1_000_001..1_040_000;

/// What all reply subjects begin with, and their digits.
const INBOX: &str = "_INBOX.";
const REPLY: usize = INBOX.len() + 8 + 1 + 11;

/// A number that two worlds share only if they are the same.
pub fn of(world: &World) -> u128 {
    let text = text(world);
    let half = |which: u8| {
        let mut hasher = DefaultHasher::new();
        (which, &text).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// The text of a world.
pub fn text(world: &World) -> String {
    let mut raw = String::with_capacity(1 << 15);
    let _ = write!(raw, "{:?}", world.driver.gateway);
    world.write_state(&mut raw);
    let tokens = read(&raw);
    let mut ranks = Ranks::default();
    for token in &tokens {
        ranks.note(token);
    }
    let mut text = String::with_capacity(raw.len());
    for token in &tokens {
        ranks.write(token, world.driver.now, &mut text);
    }
    text
}

/// A piece of the raw text.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Text(&'a str),
    /// A key's index and generation.
    Key(u64, u64),
    /// The number of a client's request.
    Request(u64),
    /// A value of a ranked member.
    Ranked(&'a str, u64),
    /// A time.
    Time(u64),
}

/// How the numbers of one kind follow each other.
#[derive(Default)]
struct Ranks<'a> {
    keys: BTreeMap<u64, BTreeSet<u64>>,
    requests: BTreeSet<u64>,
    ranked: BTreeMap<&'a str, BTreeSet<u64>>,
}

impl<'a> Ranks<'a> {
    fn note(&mut self, token: &Token<'a>) {
        match *token {
            Token::Key(index, generation) => {
                self.keys.entry(index).or_default().insert(generation);
            }
            Token::Request(number) => {
                self.requests.insert(number);
            }
            Token::Ranked(member, number) => {
                self.ranked.entry(member).or_default().insert(number);
            }
            Token::Text(_) | Token::Time(_) => {}
        }
    }

    fn write(&self, token: &Token<'_>, now: u64, out: &mut String) {
        let rank = |set: Option<&BTreeSet<u64>>, number: u64| {
            set.map_or(0, |set| set.range(..number).count())
        };
        let _ = match *token {
            Token::Text(text) => out.write_str(text),
            Token::Key(index, generation) => {
                write!(out, "{index}.{}", rank(self.keys.get(&index), generation))
            }
            Token::Request(number) => write!(out, "request {}", rank(Some(&self.requests), number)),
            Token::Ranked(member, number) => {
                write!(out, "{}", rank(self.ranked.get(member), number))
            }
            Token::Time(time) => write!(out, "{}", time as i64 - now as i64),
        };
    }
}

/// Takes the raw text apart.
fn read(raw: &str) -> Vec<Token<'_>> {
    let mut reader = Reader {
        raw,
        at: 0,
        from: 0,
        member: "",
        tokens: Vec::with_capacity(256),
    };
    let (bytes, mut quoted) = (raw.as_bytes(), false);
    while let Some(byte) = bytes.get(reader.at) {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let before = reader.at.checked_sub(1).map_or(b' ', |at| bytes[at]);
        let begins = !is_word(before) && before != b'.';
        match byte {
            b'\\' if quoted => reader.at += 2,
            b'"' => {
                quoted = !quoted;
                reader.at += 1;
            }
            b'_' if reader.take_reply() => {}
            b'T' if !quoted && reader.take_time() => {}
            b'0'..=b'9' if begins => reader.take_number(quoted),
            byte if !quoted && begins && is_word(*byte) => reader.take_word(is_word),
            _ => reader.at += 1,
        }
    }
    reader.tokens.push(Token::Text(&raw[reader.from..]));
    reader.tokens
}

/// Where the reading of a text is.
struct Reader<'a> {
    raw: &'a str,
    at: usize,
    /// What is text up to here is none of the tokens yet.
    from: usize,
    /// The member whose value comes.
    member: &'a str,
    tokens: Vec<Token<'a>>,
}

impl<'a> Reader<'a> {
    /// Takes so many bytes as a token.
    fn take(&mut self, token: Token<'a>, length: usize) {
        self.tokens.push(Token::Text(&self.raw[self.from..self.at]));
        self.tokens.push(token);
        self.at += length;
        self.from = self.at;
    }

    fn take_reply(&mut self) -> bool {
        let Some(token) = self.raw.get(self.at..self.at + REPLY).and_then(reply) else {
            return false;
        };
        self.take(token, REPLY);
        true
    }

    fn take_time(&mut self) -> bool {
        const TIME: &str = "Time(";
        if !self.raw[self.at..].starts_with(TIME) {
            return false;
        }
        self.at += TIME.len();
        let (time, length) = number(&self.raw[self.at..]);
        self.take(Token::Time(time), length);
        true
    }

    fn take_number(&mut self, quoted: bool) {
        let rest = &self.raw[self.at..];
        let (value, length) = number(rest);
        let fraction = rest[length..].strip_prefix('.').filter(|_| !quoted);
        let member = std::mem::take(&mut self.member);
        match fraction.map(number) {
            Some((generation, digits)) if digits > 0 => {
                self.take(Token::Key(value, generation), length + 1 + digits);
            }
            _ if REQUESTS.contains(&value) => self.take(Token::Request(value), length),
            _ if is_ranked(member) => self.take(Token::Ranked(member, value), length),
            _ => self.at += length,
        }
    }

    fn take_word(&mut self, is_word: impl Fn(u8) -> bool) {
        let rest = &self.raw[self.at..];
        let length = rest.bytes().take_while(|byte| is_word(*byte)).count();
        let (word, value) = rest.split_at(length);
        self.at += length;
        let is_named = value.starts_with(": ") || value.starts_with('(');
        self.member = if is_named { word } else { "" };
        if value.starts_with(KEPT) || value.starts_with(": ") && is_left_out(word) {
            self.take(Token::Text(""), skip(value));
        }
    }
}

/// The number that a text begins with, and its length.
fn number(text: &str) -> (u64, usize) {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    (text[..length].parse().unwrap_or(u64::MAX), length)
}

/// The key that a reply subject has in it.
fn reply(subject: &str) -> Option<Token<'static>> {
    let digits = subject.strip_prefix(INBOX)?.get(9..)?;
    let mut number = 0u64;
    for byte in digits.bytes() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        number = number.checked_mul(62)?.checked_add(u64::from(digit))?;
    }
    Some(Token::Key(number & 0xffff_ffff, number >> 32))
}

/// The length of a member's value, from the colon on.
fn skip(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' if depth == 0 => return at,
            b'}' | b']' | b')' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn what_cannot_matter_is_written_alike() {
    let write = |raw: &str, now| {
        let (tokens, mut ranks, mut text) = (read(raw), Ranks::default(), String::new());
        tokens.iter().for_each(|token| ranks.note(token));
        tokens
            .iter()
            .for_each(|token| ranks.write(token, now, &mut text));
        text
    };
    assert_eq!(write("text: OnceCell([1, 2]), x: [1]", 0), "text, x: [1]");
    assert_eq!(
        write("Connection(9), Connection(7)", 0),
        "Connection(1), Connection(0)"
    );
    let raw = r#"{a: 3.17, b: 3.9, spent: [7, {"}": 1}], due: Time(60), n: 1000007, t: "3.9 x\" 1000009"}"#;
    let due = r#"{a: 3.1, b: 3.0, spent, due: Time(10), n: request 0, t: "3.9 x\" request 1"}"#;
    assert_eq!(write(raw, 50), due);
    // Index 5 of the second generation.
    assert_eq!(
        write("_INBOX.abcdefgh.000009NKUOD 5.2", 0),
        write("5.2 5.2", 0)
    );
    assert_eq!(
        write("version: 7, version: 5, x: 7", 0),
        "version: 1, version: 0, x: 7"
    );
}
