//! The configuration file: a JSON object, with `//` comments as in the manual's example.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

use super::error::{Error, Place};
use super::options::{AUTO, Kind, OPTIONS, Setting, Value};
use super::read::read_whole;
use super::settings::{Settings, in_file_order};

/// Largest file that is read, in bytes. A full one is under 1 KiB.
const LIMIT: u64 = 1 << 20;

/// Members of nats-server's configuration for what the broker inside has not.
const FOREIGN: [&str; 9] = [
    "accounts",
    "authorization",
    "cluster",
    "gateway",
    "jetstream",
    "leafnodes",
    "mqtt",
    "operator",
    "websocket",
];

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the file; `None` if there is none.
///
/// # Errors
/// [`Error::Unreadable`], [`Error::TooLarge`].
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bytes = match read_whole(path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if bytes.len() as u64 > LIMIT {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            limit: LIMIT,
        });
    }
    Ok(Some(bytes))
}

/// Puts the members of the file over what `settings` holds. Unknown members are passed
/// over, of several spellings of one name the last counts, `null` is the default.
///
/// # Errors
/// [`Error::Syntax`], and [`Error::Invalid`] for a value that is not of its kind.
pub(super) fn apply(path: &Path, mut bytes: Vec<u8>, settings: &mut Settings) -> Result<(), Error> {
    // Some editors begin a file with this mark, which a reader may pass over (RFC 8259, 8.1).
    // In columns of error messages it would count as three.
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    blank_comments(&mut bytes);
    let syntax = |source| Error::Syntax {
        path: path.to_owned(),
        source,
    };
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let (members, foreign) = json.deserialize_any(Members).map_err(syntax)?;
    json.end().map_err(syntax)?;
    settings.foreign = foreign;
    for (key, name, found) in members {
        let value = convert(key, found).map_err(|reason| Error::Invalid {
            place: Place::Member {
                path: path.to_owned(),
                member: name,
            },
            reason,
        })?;
        settings.set_from_file(key, name, value);
    }
    Ok(())
}

/// Writes spaces over `//` comments outside strings, up to the end of the line, so that
/// lines and columns in error messages stay true.
fn blank_comments(bytes: &mut [u8]) {
    let mut in_string = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b'/' if !in_string && bytes.get(at + 1) == Some(&b'/') => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    bytes[at] = b' ';
                    at += 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// A known member: its option, the name as the table spells it, and what stands there.
type Member = (Setting, &'static str, Json);

/// Collects the known members in the order of the file.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = (Vec<Member>, Option<&'static str>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with the options as members")
    }

    /// `null` alone is an empty configuration, as for Resgate.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok((Vec::new(), None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut members, mut foreign) = (Vec::new(), None);
        while let Some(name) = map.next_key::<String>()? {
            match lookup(&name) {
                Some((key, name)) => members.push((key, name, map.next_value()?)),
                None => {
                    let mut known = FOREIGN.iter().copied();
                    foreign = foreign.or(known.find(|known| known.eq_ignore_ascii_case(&name)));
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok((members, foreign))
    }
}

fn lookup(name: &str) -> Option<(Setting, &'static str)> {
    OPTIONS.iter().find_map(|spec| {
        let names = [Some(spec.member), spec.alias];
        let known = names.into_iter().flatten();
        let found = known
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(name))?;
        Some((spec.key, found))
    })
}

/// The value of an option, or what is wrong with it.
fn convert(key: Setting, found: Json) -> Result<Value, String> {
    let wanted = match (key.spec().kind, found) {
        (_, Json::Null) => return Ok(Value::Unset),
        (Kind::Text | Kind::Joined | Kind::Address, Json::String(text)) => {
            return Ok(Value::Text(text.into()));
        }
        (Kind::Json, json) => return Ok(Value::Text(json.to_string().into())),
        (Kind::Switch, Json::Bool(switch)) => return Ok(Value::Switch(switch)),
        (Kind::Auto(..), Json::String(text)) if text == AUTO => {
            return Ok(Value::Text(text.into()));
        }
        (Kind::Number(min, max) | Kind::Auto(min, max), Json::Number(number)) => {
            match number.as_i64() {
                Some(number) if (min..=max).contains(&number) => return Ok(Value::Number(number)),
                _ => {
                    return Err(format!(
                        "{number} is not a whole number from {min} to {max}; give one"
                    ));
                }
            }
        }
        (Kind::List, Json::Array(items)) => {
            let texts = items.into_iter().map(|item| match item {
                Json::String(text) => Ok(text),
                other => Err(format!(
                    "must be a list of texts, one item is {}; put it in quotes",
                    kind_of(&other)
                )),
            });
            return Ok(Value::List(texts.collect::<Result<_, _>>()?));
        }
        (Kind::Text | Kind::Joined | Kind::Address, other) => ("a text in quotes", other),
        (Kind::Switch, other) => ("true or false", other),
        (Kind::Number(..), other) => ("a number", other),
        (Kind::Auto(..), other) => ("a number or \"auto\"", other),
        (Kind::List, other) => ("a list of texts in brackets", other),
    };
    let (wanted, found) = wanted;
    Err(format!("must be {wanted}, not {}", kind_of(&found)))
}

fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a truth value",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// Creates the file with every option as `settings` has it. With credentials in the URL of
/// NATS, users of the broker, or a token of the console, only its owner may read it.
///
/// # Errors
/// What the system says, also when the file has come to be in the meantime: it is never
/// overwritten.
pub(super) fn create(path: &Path, settings: &Settings) -> io::Result<()> {
    let has_secret = settings
        .text(Setting::NatsUrl)
        .is_some_and(|url| url.contains('@'))
        || settings.text(Setting::BrokerUsers) != Some("[]")
        || settings.text(Setting::ConsoleToken).is_some();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if has_secret { 0o600 } else { 0o664 })
        .open(path)?;
    file.write_all(text(settings).as_bytes())
}

/// The text of a file with every option, indented by tabs.
fn text(settings: &Settings) -> String {
    let mut text = String::from("{\n");
    for (index, spec) in in_file_order().into_iter().enumerate() {
        let json = match settings.value(spec.key) {
            Value::Unset => Json::Null,
            // What is not JSON is refused before.
            Value::Text(text) if spec.kind == Kind::Json => {
                serde_json::from_str(text).unwrap_or(Json::Null)
            }
            Value::Text(text) => Json::from(text.as_ref()),
            Value::Number(number) => Json::from(*number),
            Value::Switch(switch) => Json::from(*switch),
            Value::List(list) => Json::from(list.as_slice()),
        };
        let comma = if index + 1 < OPTIONS.len() { "," } else { "" };
        text.push_str(&format!("\t\"{}\": {json}{comma}\n", spec.member));
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings, Error> {
        let path = Path::new("x.json");
        let mut settings = Settings::new(path);
        apply(path, text.as_bytes().to_vec(), &mut settings)?;
        Ok(settings)
    }

    #[test]
    fn values_of_every_kind() {
        let settings = load(
            r#"{"natsUrl":"nats://h:1","port":81,"tls":true,"natsRootCAs":["a","b"],"cpu":3}"#,
        )
        .expect("valid");
        assert_eq!(settings.text(Setting::NatsUrl), Some("nats://h:1"));
        assert_eq!(settings.number(Setting::Port), Some(81));
        assert!(settings.switch(Setting::Tls));
        assert_eq!(settings.list(Setting::NatsRootCas), ["a", "b"]);
        assert_eq!(settings.number(Setting::Cpu), Some(3));
        assert_eq!(settings.number(Setting::RequestTimeout), Some(3_000));
    }

    #[test]
    fn names_in_any_case_last_one_wins_unknown_ones_ignored() {
        for (text, port) in [
            (r#"{"PORT":1}"#, 1),
            (r#"{"Port":1,"port":2}"#, 2),
            (r#"{"port":2,"pOrT":1}"#, 1),
            (r#"{"port":2,"port":null}"#, 8_080),
            (r#"{"port":null}"#, 8_080),
            (r#"{"port":0}"#, 8_080),
            (r#"{"ports":{"a":[1,{}]},"x":null,"port":5}"#, 5),
            ("null", 8_080),
            (" {} \n", 8_080),
        ] {
            let settings = load(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(settings.number(Setting::Port), Some(port), "{text}");
        }
    }

    #[test]
    fn certificate_names_of_binary_and_manual() {
        for name in ["certFile", "tlsCert", "TLSCERT"] {
            let settings = load(&format!(r#"{{"{name}":"c"}}"#)).expect("valid");
            assert_eq!(settings.text(Setting::TlsCert), Some("c"), "{name}");
        }
        for name in ["keyFile", "tlsKey"] {
            let settings = load(&format!(r#"{{"{name}":"k"}}"#)).expect("valid");
            assert_eq!(settings.text(Setting::TlsKey), Some("k"), "{name}");
        }
    }

    #[test]
    fn comments_outside_strings() {
        for text in [
            "// head\n{\"wsPath\":\"/w\"} // tail",
            "{ // \"wsPath\": 1,\n\t\"wsPath\": \"/w\" //\"}\n}",
            "{\"wsPath\"://c\r\n\"/w\"}",
            "{\"wsPath\":\"/w\"}//",
        ] {
            let settings = load(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
            assert_eq!(settings.text(Setting::WsPath), Some("/w"), "{text:?}");
        }
        for (text, expected) in [
            (r#"{"wsPath":"//w"}"#, "//w"),
            (r#"{"wsPath":"\"//w"}"#, "\"//w"),
            (
                r#"{"wsPath":"\\"//"}
            }"#,
                "\\",
            ),
        ] {
            let settings = load(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
            assert_eq!(settings.text(Setting::WsPath), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn broken_files_name_line_and_column() {
        for (text, end) in [
            (
                "",
                "EOF while parsing a value at line 1 column 0; correct it there",
            ),
            (
                "{",
                "EOF while parsing an object at line 1 column 1; correct it there",
            ),
            (
                "{ // c\n  \"port\": 1,\n  oops\n}",
                "key must be a string at line 3 column 3; correct it there",
            ),
            (
                "{\"port\":1}x",
                "trailing characters at line 1 column 11; correct it there",
            ),
            (
                "{\"port\":1 /*c*/}",
                "expected `,` or `}` at line 1 column 11; correct it there",
            ),
            (
                "{\"port\":1} // c\n}",
                "trailing characters at line 2 column 1; correct it there",
            ),
        ] {
            let error = load(text).expect_err(text).to_string();
            assert!(
                error.starts_with("the configuration file x.json is not valid: "),
                "{error}"
            );
            assert!(error.ends_with(end), "{text:?}: {error}");
        }
        let error = load("[]").expect_err("no object").to_string();
        assert!(error.contains("expected a JSON object"), "{error}");
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        assert!(matches!(load(&deep), Err(Error::Syntax { .. })));
        let not_text = apply(
            Path::new("x"),
            b"{\"wsPath\":\"\xff\"}".to_vec(),
            &mut Settings::new(Path::new("x")),
        );
        assert!(matches!(not_text, Err(Error::Syntax { .. })));
    }

    /// One byte less, or one that is wrong, at every place of a file with every kind of
    /// value in it: it is told what is wrong, or the file is valid all the same.
    #[test]
    fn files_broken_at_every_place() {
        let text = r#"{"natsUrl":"nats://h:1","port":81,"tls":true,"addr":null,"x":{"y":[1]}}"#;
        assert!(load(text).is_ok());
        let (mut broken, mut wrong) = (0, 0);
        let mut try_bytes = |bytes: Vec<u8>| {
            let shown = bytes.escape_ascii().to_string();
            let path = Path::new("x.json");
            match apply(path, bytes, &mut Settings::new(path)) {
                Ok(()) => {}
                Err(error @ (Error::Syntax { .. } | Error::Invalid { .. })) => {
                    assert_eq!(error.exit_code(), 1, "{shown}");
                    assert!(error.to_string().contains("x.json"), "{shown}: {error}");
                    match error {
                        Error::Syntax { .. } => broken += 1,
                        _ => wrong += 1,
                    }
                }
                Err(error) => panic!("{shown}: {error:?}"),
            }
        };
        for place in 0..text.len() {
            let (front, back) = text.as_bytes().split_at(place);
            try_bytes(front.to_vec());
            try_bytes([front, &back[1..]].concat());
            for byte in *b"\0\n\"\\/{}[]:,-x9\x7f\xff" {
                try_bytes([front, &[byte], &back[1..]].concat());
                try_bytes([front, &[byte], back].concat());
            }
        }
        assert!(broken > 1_000 && wrong > 0, "{broken} {wrong}");
        for text in ["1", "\"a\"", "null", "[{}]", "{}{}", "\0"] {
            let is_empty = text == "null";
            assert_eq!(load(text).is_ok(), is_empty, "{text:?}");
        }
    }

    #[test]
    fn one_byte_order_mark_before_the_text_is_passed_over() {
        let settings = load("\u{feff}{\"port\":81}").expect("valid");
        assert_eq!(settings.value(Setting::Port), &Value::Number(81));
        // Nor does it move the place of a mistake.
        assert_eq!(
            load("\u{feff}{1}").expect_err("no name").to_string(),
            load("{1}").expect_err("no name").to_string()
        );
        for text in ["\u{feff}\u{feff}{}", "{\u{feff}}", "{}\u{feff}", "\u{feff}"] {
            load(text).expect_err(text);
        }
    }

    #[test]
    fn wrong_types() {
        for (text, message) in [
            (
                r#"{"port":"x"}"#,
                "\"port\" in x.json: must be a number, not a text",
            ),
            (
                r#"{"PORT":true}"#,
                "\"port\" in x.json: must be a number, not a truth value",
            ),
            (
                r#"{"port":70000}"#,
                "\"port\" in x.json: 70000 is not a whole number from 0 to 65535; give one",
            ),
            (
                r#"{"port":-1}"#,
                "\"port\" in x.json: -1 is not a whole number from 0 to 65535; give one",
            ),
            (
                r#"{"port":8.5}"#,
                "\"port\" in x.json: 8.5 is not a whole number from 0 to 65535; give one",
            ),
            (
                r#"{"natsUrl":1}"#,
                "\"natsUrl\" in x.json: must be a text in quotes, not a number",
            ),
            (
                r#"{"tls":"true"}"#,
                "\"tls\" in x.json: must be true or false, not a text",
            ),
            (
                r#"{"debug":1}"#,
                "\"debug\" in x.json: must be true or false, not a number",
            ),
            (
                r#"{"tlsCert":[]}"#,
                "\"tlsCert\" in x.json: must be a text in quotes, not a list",
            ),
            (
                r#"{"natsRootCAs":"a"}"#,
                "\"natsRootCAs\" in x.json: must be a list of texts in brackets, not a text",
            ),
            (
                r#"{"natsRootCAs":["a",null]}"#,
                "\"natsRootCAs\" in x.json: must be a list of texts, one item is null; put it in quotes",
            ),
            (
                r#"{"addr":{}}"#,
                "\"addr\" in x.json: must be a text in quotes, not an object",
            ),
        ] {
            let error = load(text).expect_err(text);
            assert_eq!(error.to_string(), message);
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn a_written_file_reads_back_as_it_was() {
        let mut settings = Settings::new(Path::new("x.json"));
        settings.set_from_flag(Setting::NatsUrl, Value::Text("a\"b\n\u{e9}".into()));
        settings.set_from_flag(
            Setting::NatsRootCas,
            Value::List(vec!["a".into(), "//b".into()]),
        );
        settings.set_from_flag(Setting::Cpu, Value::Number(1));
        settings.set_from_flag(Setting::Addr, Value::Text("".into()));
        let again = load(&text(&settings)).expect("our own file");
        for spec in &OPTIONS {
            assert_eq!(
                again.value(spec.key),
                settings.value(spec.key),
                "{}",
                spec.member
            );
        }
    }
}
