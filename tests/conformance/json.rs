//! JSON of scenarios: read without losing the spelling of numbers, and compared with
//! what came, where `$name` in a string captures or repeats a text.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// Texts captured by a scenario, by name without the dollar sign.
pub type Captures = BTreeMap<String, String>;

/// A JSON value. Numbers and literals keep their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    Literal(String),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads a whole text.
    pub fn parse(text: &str) -> Result<Json, String> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|e| format!("not JSON ({e}): {text}"))?;
        Json::from_raw(raw.get())
    }

    fn from_raw(text: &str) -> Result<Json, String> {
        let bad = |e: serde_json::Error| format!("not JSON ({e}): {text}");
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<String, Box<RawValue>> =
                    serde_json::from_str(text).map_err(bad)?;
                let members = members
                    .into_iter()
                    .map(|(key, value)| Ok((key, Json::from_raw(value.get())?)));
                Json::Object(members.collect::<Result<_, String>>()?)
            }
            Some(b'[') => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(bad)?;
                let items = items.iter().map(|item| Json::from_raw(item.get()));
                Json::List(items.collect::<Result<_, String>>()?)
            }
            Some(b'"') => Json::Text(serde_json::from_str(text).map_err(bad)?),
            _ => Json::Literal(text.to_owned()),
        })
    }

    /// The value at this member, if this is an object that has it.
    pub fn member(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// True if `got` is what this pattern describes; then new captures are kept.
    ///
    /// The string `$*` stands for any value, a member `...` for any further members.
    pub fn matches(&self, got: &Json, captures: &mut Captures) -> bool {
        let mut tried = captures.clone();
        let fits = self.fits(got, &mut tried);
        if fits {
            *captures = tried;
        }
        fits
    }

    fn fits(&self, got: &Json, captures: &mut Captures) -> bool {
        match (self, got) {
            (Json::Text(pattern), _) if pattern == "$*" => true,
            (Json::Text(pattern), Json::Text(text)) => text_matches(pattern, text, captures),
            (Json::Literal(a), Json::Literal(b)) => a == b,
            (Json::List(a), Json::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.fits(b, captures))
            }
            (Json::Object(pattern), Json::Object(got)) => {
                let open = pattern.contains_key("...");
                let wanted: Vec<_> = pattern.iter().filter(|(key, _)| *key != "...").collect();
                (open || wanted.len() == got.len())
                    && wanted.into_iter().all(|(key, value)| {
                        let key = fill(key, captures).unwrap_or_else(|_| key.clone());
                        got.get(&key).is_some_and(|got| value.fits(got, captures))
                    })
            }
            _ => false,
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |s: &str| serde_json::to_string(s).unwrap_or_default();
        match self {
            Json::Literal(s) => f.write_str(s),
            Json::Text(s) => f.write_str(&text(s)),
            Json::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (i, (key, value)) in members.iter().enumerate() {
                    write!(f, "{}{}:{value}", if i > 0 { "," } else { "" }, text(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A piece of a text with captures.
enum Piece<'a> {
    Plain(&'a str),
    Capture(&'a str),
}

/// Takes `a $name b` apart. A dollar sign before anything but a small letter or `*`
/// is itself.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest[from..].find('$').map(|at| at + from) {
        let name = &rest[at + 1..];
        let length = if name.starts_with('*') {
            1
        } else if name.starts_with(|c: char| c.is_ascii_lowercase()) {
            name.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())
                .unwrap_or(name.len())
        } else {
            from = at + 1;
            continue;
        };
        out.push(Piece::Plain(&rest[..at]));
        out.push(Piece::Capture(&name[..length]));
        rest = &name[length..];
        from = 0;
    }
    out.push(Piece::Plain(rest));
    out
}

/// The text with every `$name` replaced by what was captured.
pub fn fill(text: &str, captures: &Captures) -> Result<String, String> {
    let mut out = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => out.push_str(plain),
            Piece::Capture(name) => match captures.get(name) {
                Some(value) => out.push_str(value),
                None => return Err(format!("${name} is not known yet")),
            },
        }
    }
    Ok(out)
}

/// True if the text is what the pattern describes. A capture takes as little as it can;
/// one whose name begins with `cid` takes only connection IDs.
pub fn text_matches(pattern: &str, text: &str, captures: &mut Captures) -> bool {
    let mut rest = text;
    let mut open: Option<&str> = None;
    for piece in pieces(pattern) {
        match piece {
            Piece::Plain("") if open.is_none() => {}
            Piece::Plain(plain) => {
                let Some(name) = open.take() else {
                    match rest.strip_prefix(plain) {
                        Some(after) => rest = after,
                        None => return false,
                    }
                    continue;
                };
                let end = if plain.is_empty() {
                    Some(rest.len())
                } else {
                    rest.find(plain)
                };
                let Some(end) = end else { return false };
                let value = &rest[..end];
                if name.starts_with("cid") && !is_connection_id(value) {
                    return false;
                }
                if name != "*" {
                    captures.insert(name.to_owned(), value.to_owned());
                }
                rest = &rest[end + plain.len()..];
            }
            Piece::Capture(name) => match captures.get(name) {
                Some(value) => match rest.strip_prefix(value.as_str()) {
                    Some(after) => rest = after,
                    None => return false,
                },
                None => open = Some(name),
            },
        }
    }
    rest.is_empty()
}

fn is_connection_id(text: &str) -> bool {
    text.len() == 20
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'v').contains(&b))
}

#[test]
fn patterns_capture_and_compare() {
    let cases = [
        (r#"{"a":1}"#, r#"{ "a" : 1 }"#, true),
        (r#"{"a":1}"#, r#"{"a":1.0}"#, false),
        (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
        (r#"{"a":1,"...":0}"#, r#"{"a":1,"b":2}"#, true),
        (r#"["$x","$x"]"#, r#"["u","u"]"#, true),
        (r#"["$x","$x"]"#, r#"["u","v"]"#, false),
        (r#"{"a":"$*"}"#, r#"{"a":[1]}"#, true),
        (r#""from $a to $b.""#, r#""from here to there.""#, true),
        (r#""$cid""#, r#""short""#, false),
        (r#""$cid""#, r#""0123456789abcdefghuv""#, true),
        (r#""a$*c""#, r#""abbc""#, true),
        (r#""$5""#, r#""$5""#, true),
    ];
    for (pattern, got, fits) in cases {
        let (pattern, got) = (Json::parse(pattern).unwrap(), Json::parse(got).unwrap());
        let result = pattern.matches(&got, &mut Captures::new());
        assert_eq!(result, fits, "{pattern} and {got}");
    }
}
