//! The values that the layers merge into.

use std::path::{Path, PathBuf};

use super::error::Place;
use super::options::{Blank, OPTIONS, Setting, Spec, Value};

/// Where the value in force comes from. Layers are applied in this order, each over
/// the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Default,
    /// The file, with the name of the member as this table spells it.
    File(&'static str),
    Variable,
    Flag,
}

/// All options with their merged values.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// By the number of the key.
    values: Vec<(Value, Origin)>,
    /// The configuration file, for error messages.
    path: PathBuf,
    /// A member of the file that belongs to nats-server's.
    pub(super) foreign: Option<&'static str>,
}

impl Settings {
    /// The defaults. `path` names the configuration file in error messages.
    pub(super) fn new(path: &Path) -> Settings {
        Settings {
            values: in_file_order()
                .into_iter()
                .map(|spec| (spec.default.clone(), Origin::Default))
                .collect(),
            path: path.to_owned(),
            foreign: None,
        }
    }

    /// Takes a value from the file; `name` is the member as the table spells it.
    pub(super) fn set_from_file(&mut self, key: Setting, name: &'static str, value: Value) {
        let value = match (&value, key.spec().blank) {
            (Value::Unset, _) => key.spec().default.clone(),
            (_, Blank::Default | Blank::Passed) if is_blank(&value) => key.spec().default.clone(),
            _ => value,
        };
        self.values[key as usize] = (value, Origin::File(name));
    }

    /// Takes a value from the environment.
    pub(super) fn set_from_variable(&mut self, key: Setting, value: Value) {
        self.set_over_file(key, value, Origin::Variable);
    }

    /// Takes a value from the command line.
    pub(super) fn set_from_flag(&mut self, key: Setting, value: Value) {
        self.set_over_file(key, value, Origin::Flag);
    }

    fn set_over_file(&mut self, key: Setting, value: Value, origin: Origin) {
        let value = match key.spec().blank {
            Blank::Passed if is_blank(&value) => return,
            Blank::Default if is_blank(&value) => key.spec().default.clone(),
            Blank::Unsets if is_blank(&value) => Value::Unset,
            _ => value,
        };
        self.values[key as usize] = (value, origin);
    }

    /// The value in force.
    pub(super) fn value(&self, key: Setting) -> &Value {
        &self.values[key as usize].0
    }

    /// A text; `None` if unset.
    pub(super) fn text(&self, key: Setting) -> Option<&str> {
        match self.value(key) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The configuration file, if there is one.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A number; `None` if unset.
    pub(super) fn number(&self, key: Setting) -> Option<i64> {
        match self.value(key) {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A switch.
    pub(super) fn switch(&self, key: Setting) -> bool {
        matches!(self.value(key), Value::Switch(true))
    }

    /// A list.
    pub(super) fn list(&self, key: Setting) -> &[String] {
        match self.value(key) {
            Value::List(list) => list,
            _ => &[],
        }
    }

    /// Whether somebody has set this. A created file has all defaults, so that one of them
    /// in it says nothing.
    pub(super) fn is_asked_for(&self, key: Setting) -> bool {
        let (value, origin) = &self.values[key as usize];
        match origin {
            Origin::Default => false,
            Origin::File(_) => *value != key.spec().default,
            Origin::Variable | Origin::Flag => true,
        }
    }

    /// Where the value in force was written.
    pub(super) fn place(&self, key: Setting) -> Place {
        let spec = key.spec();
        match self.values[key as usize].1 {
            Origin::File(member) => Place::Member {
                path: self.path.clone(),
                member,
            },
            Origin::Variable => Place::Variable(spec.variable),
            Origin::Flag | Origin::Default => Place::Flag(spec.flag),
        }
    }
}

/// The rows in the order of [`Setting`], which is that of a created file.
pub(super) fn in_file_order() -> Vec<&'static Spec> {
    let mut rows: Vec<&Spec> = OPTIONS.iter().collect();
    rows.sort_by_key(|spec| spec.key as usize);
    rows
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.is_empty(),
        Value::Number(number) => *number == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::Kind;

    fn text(text: &'static str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn blanks_from_file_and_flag() {
        let empty = || Value::Text("".into());
        // (key, value, from the file, from a flag over a file value)
        let table = [
            (
                Setting::NatsUrl,
                empty(),
                text("nats://127.0.0.1:4222"),
                text("nats://127.0.0.1:4222"),
            ),
            (Setting::Addr, empty(), empty(), empty()),
            (Setting::HeaderAuth, empty(), empty(), Value::Unset),
            (
                Setting::RequestTimeout,
                Value::Number(0),
                Value::Number(3_000),
                Value::Number(3_000),
            ),
            (
                Setting::Port,
                Value::Number(0),
                Value::Number(8_080),
                Value::Number(9),
            ),
            (
                Setting::MetricsPort,
                Value::Number(0),
                Value::Number(0),
                Value::Number(0),
            ),
        ];
        for (key, value, from_file, from_flag) in table {
            let mut settings = Settings::new(Path::new("f"));
            settings.set_from_file(key, key.spec().member, value.clone());
            assert_eq!(settings.value(key), &from_file, "{key:?} in the file");

            let mut settings = Settings::new(Path::new("f"));
            let other = match key.spec().kind {
                Kind::Number(..) => Value::Number(9),
                _ => text("x"),
            };
            settings.set_from_file(key, key.spec().member, other);
            settings.set_from_flag(key, value);
            assert_eq!(settings.value(key), &from_flag, "{key:?} as a flag");
        }
    }
}
