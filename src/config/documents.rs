//! The documents' tables of options are what the table in the source says.

use crate::documents::{expect_table, markdown};

use super::options::{EXTRAS, Kind, OPTIONS, Spec, Value};

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
        let range = match spec.kind {
            Kind::Number(min, max) => format!(" From {min} to {max}."),
            _ => String::new(),
        };
        [
            names(spec.short, spec.flag, spec.value),
            code(spec.variable),
            members.join(", "),
            written_default(spec),
            format!("{}{range}", spec.manual),
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
