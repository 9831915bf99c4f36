//! The table of all options, and the values that the layers merge into.
//!
//! Flags, file members, defaults and kinds stand here once; the command line, the
//! file reader, the file writer and the checks all work from this table.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::error::Place;

/// An option; its number is its place in [`OPTIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    NatsUrl,
    NatsCreds,
    NatsCert,
    NatsKey,
    NatsRootCas,
    RequestTimeout,
    BufferSize,
    Debug,
    Trace,
    Addr,
    Port,
    WsPath,
    ApiPath,
    MetricsPort,
    ApiEncoding,
    HeaderAuth,
    WsHeaderAuth,
    AllowOrigin,
    PutMethod,
    DeleteMethod,
    PatchMethod,
    Tls,
    TlsCert,
    TlsKey,
    WsCompression,
    ResetThrottle,
    ReferenceThrottle,
    ReusePort,
    Cpu,
}

impl Setting {
    /// The option's row in the table.
    pub(super) fn spec(self) -> &'static Spec {
        &OPTIONS[self as usize]
    }
}

/// A value as written, before the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// No value; `null` in the file.
    Unset,
    Text(Cow<'static, str>),
    Number(i64),
    Switch(bool),
    List(Vec<String>),
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A whole number within these bounds.
    Number(i64, i64),
    Switch,
    /// Texts; the flag may be repeated.
    List,
}

/// What an empty text or a zero means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blank {
    /// A value like any other.
    Kept,
    /// The default.
    Default,
    /// On the command line it takes the file's value away; in the file it is kept,
    /// and the checks refuse it.
    Unsets,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) key: Setting,
    /// Member of the file; its letter case does not matter.
    pub(super) member: &'static str,
    /// Second name in the file.
    pub(super) alias: Option<&'static str>,
    /// Long flag with its dashes; empty for an option that only the file has.
    pub(super) flag: &'static str,
    /// Short flag with its dash, or empty.
    pub(super) short: &'static str,
    pub(super) kind: Kind,
    pub(super) blank: Blank,
    pub(super) default: Value,
}

const fn text(value: &'static str) -> Value {
    Value::Text(Cow::Borrowed(value))
}

const fn row(
    key: Setting,
    member: &'static str,
    flag: &'static str,
    short: &'static str,
    kind: Kind,
    blank: Blank,
    default: Value,
) -> Spec {
    Spec {
        key,
        member,
        alias: None,
        flag,
        short,
        kind,
        blank,
        default,
    }
}

const PORT: Kind = Kind::Number(0, 65_535);
const COUNT: Kind = Kind::Number(0, i32::MAX as i64);
/// glibc and the kernel agree on 1,024 bits in the default affinity mask.
const CPU: Kind = Kind::Number(0, 1_023);

/// Every option, in the order in which a created file holds them: Resgate's order,
/// then what only Tidegate has. `certFile` and `keyFile` are the names that Resgate
/// reads and writes, `tlsCert` and `tlsKey` the names in its manual.
#[rustfmt::skip]
pub(super) static OPTIONS: [Spec; 29] = [
    row(Setting::NatsUrl, "natsUrl", "--nats", "-n", Kind::Text, Blank::Default, text("nats://127.0.0.1:4222")),
    row(Setting::NatsCreds, "natsCreds", "--creds", "", Kind::Text, Blank::Kept, text("")),
    row(Setting::NatsCert, "natsCert", "--natscert", "", Kind::Text, Blank::Kept, text("")),
    row(Setting::NatsKey, "natsKey", "--natskey", "", Kind::Text, Blank::Kept, text("")),
    row(Setting::NatsRootCas, "natsRootCAs", "--natsrootca", "", Kind::List, Blank::Kept, Value::List(Vec::new())),
    row(Setting::RequestTimeout, "requestTimeout", "--reqtimeout", "-r", COUNT, Blank::Default, Value::Number(3_000)),
    row(Setting::BufferSize, "bufferSize", "", "", COUNT, Blank::Default, Value::Number(8_192)),
    row(Setting::Debug, "debug", "--debug", "-D", Kind::Switch, Blank::Kept, Value::Switch(false)),
    row(Setting::Trace, "trace", "--trace", "-V", Kind::Switch, Blank::Kept, Value::Switch(false)),
    row(Setting::Addr, "addr", "--addr", "-i", Kind::Text, Blank::Kept, text("0.0.0.0")),
    row(Setting::Port, "port", "--port", "-p", PORT, Blank::Default, Value::Number(8_080)),
    row(Setting::WsPath, "wsPath", "--wspath", "-w", Kind::Text, Blank::Default, text("/")),
    row(Setting::ApiPath, "apiPath", "--apipath", "-a", Kind::Text, Blank::Default, text("/api")),
    row(Setting::MetricsPort, "metricsPort", "--metricsport", "-m", PORT, Blank::Kept, Value::Number(0)),
    row(Setting::ApiEncoding, "apiEncoding", "--apiencoding", "", Kind::Text, Blank::Default, text("json")),
    row(Setting::HeaderAuth, "headerAuth", "--headauth", "-u", Kind::Text, Blank::Unsets, Value::Unset),
    row(Setting::WsHeaderAuth, "wsHeaderAuth", "--wsheadauth", "-t", Kind::Text, Blank::Unsets, Value::Unset),
    row(Setting::AllowOrigin, "allowOrigin", "--alloworigin", "", Kind::Text, Blank::Kept, text("*")),
    row(Setting::PutMethod, "putMethod", "--putmethod", "", Kind::Text, Blank::Unsets, Value::Unset),
    row(Setting::DeleteMethod, "deleteMethod", "--deletemethod", "", Kind::Text, Blank::Unsets, Value::Unset),
    row(Setting::PatchMethod, "patchMethod", "--patchmethod", "", Kind::Text, Blank::Unsets, Value::Unset),
    row(Setting::Tls, "tls", "--tls", "", Kind::Switch, Blank::Kept, Value::Switch(false)),
    Spec {
        key: Setting::TlsCert, member: "certFile", alias: Some("tlsCert"), flag: "--tlscert", short: "",
        kind: Kind::Text, blank: Blank::Kept, default: text(""),
    },
    Spec {
        key: Setting::TlsKey, member: "keyFile", alias: Some("tlsKey"), flag: "--tlskey", short: "",
        kind: Kind::Text, blank: Blank::Kept, default: text(""),
    },
    row(Setting::WsCompression, "wsCompression", "--wscompression", "", Kind::Switch, Blank::Kept, Value::Switch(false)),
    row(Setting::ResetThrottle, "resetThrottle", "--resetthrottle", "", COUNT, Blank::Kept, Value::Number(0)),
    row(Setting::ReferenceThrottle, "referenceThrottle", "--referencethrottle", "", COUNT, Blank::Kept, Value::Number(0)),
    row(Setting::ReusePort, "reusePort", "--reuseport", "", Kind::Switch, Blank::Kept, Value::Switch(false)),
    row(Setting::Cpu, "cpu", "--cpu", "", CPU, Blank::Kept, Value::Unset),
];

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
}

impl Settings {
    /// The defaults. `path` names the configuration file in error messages.
    pub(super) fn new(path: &Path) -> Settings {
        Settings {
            values: OPTIONS
                .iter()
                .map(|spec| (spec.default.clone(), Origin::Default))
                .collect(),
            path: path.to_owned(),
        }
    }

    /// Takes a value from the file; `name` is the member as the table spells it.
    pub(super) fn set_from_file(&mut self, key: Setting, name: &'static str, value: Value) {
        let value = match (&value, key.spec().blank) {
            (Value::Unset, _) => key.spec().default.clone(),
            (_, Blank::Default) if is_blank(&value) => key.spec().default.clone(),
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
            // As in Resgate, where `-p 0` leaves the file's port in force.
            Blank::Default if key == Setting::Port && is_blank(&value) => return,
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

    /// Where the value in force was written.
    pub(super) fn place(&self, key: Setting) -> Place {
        let spec = key.spec();
        match self.values[key as usize].1 {
            Origin::File(member) => Place::Member {
                path: self.path.clone(),
                member,
            },
            Origin::Variable => Place::Variable(key.variable()),
            Origin::Flag | Origin::Default if !spec.flag.is_empty() => Place::Flag(spec.flag),
            _ => Place::Flag(spec.member),
        }
    }
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
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_key_finds_its_own_row() {
        for (index, spec) in OPTIONS.iter().enumerate() {
            assert_eq!(spec.key as usize, index, "{}", spec.member);
            assert_eq!(spec.key.spec().member, spec.member);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut members = HashSet::new();
        let mut flags = HashSet::new();
        for spec in &OPTIONS {
            assert!(members.insert(spec.member.to_ascii_lowercase()));
            if let Some(alias) = spec.alias {
                assert!(members.insert(alias.to_ascii_lowercase()));
            }
            for flag in [spec.flag, spec.short] {
                assert!(flag.is_empty() || flags.insert(flag), "{flag}");
            }
        }
    }

    #[test]
    fn defaults_are_of_their_kind() {
        for spec in &OPTIONS {
            let fits = match (&spec.default, spec.kind) {
                (Value::Unset, _) => true,
                (Value::Text(_), Kind::Text) => true,
                (Value::Number(n), Kind::Number(min, max)) => (min..=max).contains(n),
                (Value::Switch(_), Kind::Switch) => true,
                (Value::List(_), Kind::List) => true,
                _ => false,
            };
            assert!(fits, "{}", spec.member);
        }
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
