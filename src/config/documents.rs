//! The documents' tables of options are what the table in the source says.

use crate::documents::{expect_table, markdown};

use super::options::{EXTRAS, Kind, OPTIONS, Spec, Value};

/// A flag of the gateway, for the manual page and for the shells.
#[derive(Debug)]
pub(crate) struct Flag {
    /// With its dashes.
    pub(crate) name: &'static str,
    /// With its dash, or empty.
    pub(crate) short: &'static str,
    /// What stands for the value; empty for a switch, in brackets if it may be left out.
    pub(crate) value: &'static str,
    /// Variable of the environment, or empty.
    pub(crate) variable: &'static str,
    /// Member of the file, or empty.
    pub(crate) member: &'static str,
    /// As the file writes it; empty for what is no option.
    pub(crate) default: String,
    /// A few words.
    pub(crate) help: &'static str,
    /// All there is to say, in Markdown.
    pub(crate) manual: String,
    /// The words that the value may be, if these are few.
    pub(crate) choices: &'static [&'static str],
    /// Whether it may be given several times.
    pub(crate) is_repeatable: bool,
}

/// All flags of the gateway, in the order of the help.
pub(crate) fn flags() -> Vec<Flag> {
    let options = OPTIONS.iter().map(|spec| Flag {
        name: spec.flag,
        short: spec.short,
        value: spec.value,
        variable: spec.variable,
        member: spec.member,
        default: written_default(spec),
        help: spec.help,
        manual: meaning(spec),
        choices: spec.choices(),
        is_repeatable: matches!(spec.kind, Kind::List | Kind::Joined),
    });
    let extras = EXTRAS.iter().map(|extra| Flag {
        name: extra.flag,
        short: extra.short,
        value: extra.value,
        variable: extra.variable,
        member: "",
        default: String::new(),
        help: extra.help,
        manual: sentence(extra.help),
        choices: match extra.flag {
            "--probe" => &["live", "ready"],
            _ => &[],
        },
        is_repeatable: false,
    });
    options.chain(extras).collect()
}

/// A few words as a sentence.
fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    let rest = characters.as_str();
    first.map_or_else(String::new, |first| format!("{first}{rest}."))
}

/// The meaning in full, with the range of a number.
fn meaning(spec: &Spec) -> String {
    let range = match spec.kind {
        Kind::Number(min, max) => format!(" From {min} to {max}."),
        Kind::Auto(min, max) => format!(" From {min} to {max}, or `auto`."),
        _ => String::new(),
    };
    format!("{}{range}", spec.manual)
}

/// What the shells offer is what the checks take.
#[test]
fn choices_are_those_that_are_taken() {
    let load = |flag: &str, value: &str| {
        let arguments = vec![format!("{flag}={value}").into()];
        super::load(arguments, [])
    };
    for spec in OPTIONS.iter().filter(|spec| !spec.choices().is_empty()) {
        for choice in spec.choices() {
            assert!(load(spec.flag, choice).is_ok(), "{} {choice}", spec.flag);
        }
        let Err(error) = load(spec.flag, "other") else {
            panic!("{} takes other words", spec.flag);
        };
        let words = error.to_string();
        let named = |choice: &&str| words.contains(*choice);
        assert!(spec.choices().iter().all(named), "{words}");
    }
    let flags = flags();
    let probe = flags.iter().find(|flag| flag.name == "--probe");
    for choice in probe.expect("a flag").choices {
        assert!(load("--probe", choice).is_ok(), "{choice}");
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// The names of a flag, with what stands for its value.
fn names(short: &str, flag: &str, value: &str) -> String {
    let flag = code(format!("{flag} {value}").trim_end());
    match short {
        "" => flag,
        short => format!("{}, {flag}", code(short)),
    }
}

/// A default as the file writes it.
fn written_default(spec: &Spec) -> String {
    match &spec.default {
        Value::Text(text) if text.is_empty() => "empty".to_owned(),
        Value::Text(text) => code(text),
        Value::Unset => code("null"),
        Value::Number(number) => code(&number.to_string()),
        Value::Switch(switch) => code(&switch.to_string()),
        Value::List(_) => code("[]"),
    }
}

#[test]
fn the_manual_has_every_option() {
    let row = |spec: &Spec| {
        let members: Vec<String> = [Some(spec.member), spec.alias]
            .into_iter()
            .flatten()
            .map(code)
            .collect();
        [
            names(spec.short, spec.flag, spec.value),
            code(spec.variable),
            members.join(", "),
            written_default(spec),
            meaning(spec),
        ]
    };
    let rows: Vec<_> = OPTIONS.iter().map(row).collect();
    let head = ["Flag", "Variable", "In the file", "Default", "Meaning"];
    expect_table("docs/CONFIGURATION.md", "options", &markdown(head, &rows));

    let mut rows = EXTRAS.map(|extra| {
        let variable = match extra.variable {
            "" => String::new(),
            variable => code(variable),
        };
        [
            names(extra.short, extra.flag, extra.value),
            variable,
            extra.help.to_owned(),
        ]
    });
    rows.sort();
    let head = ["Flag", "Variable", "Meaning"];
    expect_table("docs/CONFIGURATION.md", "flags", &markdown(head, &rows));
}

#[test]
fn the_readme_has_every_option() {
    let options = OPTIONS.iter().map(|spec| {
        let default = match &spec.default {
            Value::Unset => "none".to_owned(),
            Value::Text(text) if text.is_empty() => "none".to_owned(),
            Value::List(_) => "none".to_owned(),
            Value::Switch(false) => "off".to_owned(),
            Value::Switch(true) => "on".to_owned(),
            _ => written_default(spec),
        };
        let names = names(spec.short, spec.flag, spec.value);
        [names, spec.help.to_owned(), default]
    });
    let extras = EXTRAS.iter().map(|extra| {
        let names = names(extra.short, extra.flag, extra.value);
        [names, extra.help.to_owned(), String::new()]
    });
    let rows: Vec<_> = options.chain(extras).collect();
    let head = ["Flag", "Meaning", "Default"];
    expect_table("README.md", "options", &markdown(head, &rows));
}
