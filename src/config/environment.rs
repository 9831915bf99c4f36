//! Environment variables: each option has one, `TIDEGATE_` and its long flag in capitals.

use std::ffi::OsString;
use std::path::PathBuf;

use super::args;
use super::error::{Error, Place};
use super::options::{CONFIG, Kind, OPTIONS, PREFIX, Setting, Value};
use super::settings::Settings;

/// What Kubernetes sets for a service of the name `tidegate` begins with one of these.
const FOREIGN: [&str; 2] = ["PORT_", "SERVICE_"];

/// What names a gateway to the commands that talk to one.
const URL: &str = "URL";

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// The configuration file.
    pub(super) config: Option<PathBuf>,
    /// Names that mean nothing, as lines to log.
    pub(super) warnings: Vec<String>,
    values: Vec<(Setting, Value)>,
}

impl Environment {
    /// Puts the variables over what `settings` holds.
    pub(super) fn apply(&self, settings: &mut Settings) {
        for (key, value) in &self.values {
            settings.set_from_variable(*key, value.clone());
        }
    }
}

/// Reads the variables that concern the gateway, in any order. An empty one counts as not
/// set.
///
/// # Errors
/// [`Error::Invalid`] for a value that is not of its kind.
pub(super) fn parse(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Environment, Error> {
    let mut environment = Environment::default();
    for (name, value) in variables {
        let Some(name) = name.to_str() else {
            continue;
        };
        let Some(short) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let is_foreign = short == URL || FOREIGN.iter().any(|prefix| short.starts_with(prefix));
        if value.is_empty() || is_foreign {
            continue;
        }
        if name == CONFIG.variable {
            environment.config = Some(value.into());
            continue;
        }
        let Some(spec) = OPTIONS.iter().find(|spec| spec.variable == name) else {
            environment.warnings.push(format!(
                "{name} stands for no option and is passed over; see {PREFIX}* in \
                 the manual"
            ));
            continue;
        };
        let place = || Place::Variable(spec.variable);
        let text = value.into_string().map_err(|_| args::not_text(place()))?;
        if spec.key == Setting::Port && text.contains("://") {
            environment.warnings.push(format!(
                "{}: {text:?} is an address that Kubernetes sets, not a port; it is passed over",
                place()
            ));
            continue;
        }
        let texts = match spec.kind {
            Kind::List | Kind::Joined => items(&text),
            _ => vec![text],
        };
        let value = args::typed(spec, texts, place)?;
        environment.values.push((spec.key, value));
    }
    Ok(environment)
}

/// The items of a list, with whatever white space was put between them left out.
fn items(text: &str) -> Vec<String> {
    let items = text.split([';', ',']).map(str::trim);
    items
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;
    use std::path::Path;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, Error> {
        let variables = variables.iter();
        parse(variables.map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn values_of_every_kind() {
        for (name, value, key, expected) in [
            (
                "TIDEGATE_NATS",
                "nats://h:1",
                Setting::NatsUrl,
                Value::Text("nats://h:1".into()),
            ),
            ("TIDEGATE_PORT", "0x10", Setting::Port, Value::Number(16)),
            (
                "TIDEGATE_BUFFERSIZE",
                "7",
                Setting::BufferSize,
                Value::Number(7),
            ),
            ("TIDEGATE_DEBUG", "T", Setting::Debug, Value::Switch(true)),
            (
                "TIDEGATE_HEADAUTH",
                "a.b",
                Setting::HeaderAuth,
                Value::Text("a.b".into()),
            ),
            (
                "TIDEGATE_NATSROOTCA",
                "a; b,,c",
                Setting::NatsRootCas,
                Value::List(["a", "b", "c"].map(String::from).into()),
            ),
            (
                "TIDEGATE_ALLOWORIGIN",
                "http://a, http://b",
                Setting::AllowOrigin,
                Value::Text("http://a;http://b".into()),
            ),
        ] {
            let mut settings = Settings::new(Path::new(""));
            let environment = read(&[(name, value)]).expect(name);
            assert_eq!(environment.warnings, [""; 0], "{name}");
            environment.apply(&mut settings);
            assert_eq!(settings.value(key), &expected, "{name}");
            assert_eq!(settings.place(key), Place::Variable(name));
        }
    }

    #[test]
    fn the_file_can_be_named() {
        let environment = read(&[("TIDEGATE_CONFIG", "/etc/t.json")]).expect("a path");
        assert_eq!(
            environment.config.as_deref(),
            Some(Path::new("/etc/t.json"))
        );
    }

    #[test]
    fn what_is_no_option_changes_nothing() {
        for (name, value, warns) in [
            ("TIDEGATE_PORT", "", false),
            ("TIDEGATE_PORT", "tcp://10.0.0.1:8080", true),
            ("TIDEGATE_PORT_8080_TCP", "tcp://10.0.0.1:8080", false),
            ("TIDEGATE_SERVICE_HOST", "10.0.0.1", false),
            ("TIDEGATE_URL", "ws://h/", false),
            ("TIDEGATE_HEADERAUTH", "a.b", true),
            ("TIDEGATE_port", "1", true),
            ("tidegate_port", "1", false),
            ("PORT", "1", false),
        ] {
            let environment = read(&[(name, value)]).expect(name);
            assert!(environment.values.is_empty(), "{name}={value}");
            let warnings = &environment.warnings;
            assert_eq!(warnings.len(), usize::from(warns), "{name}={value}");
            assert!(warnings.iter().all(|line| line.contains(name)), "{name}");
        }
    }

    #[test]
    fn errors_name_the_variable() {
        for (name, value, message) in [
            (
                "TIDEGATE_PORT",
                "http",
                "TIDEGATE_PORT: \"http\" is not a whole number from 0 to 65535; give one",
            ),
            (
                "TIDEGATE_TLS",
                "maybe",
                "TIDEGATE_TLS: \"maybe\" is not a truth value; give true or false",
            ),
        ] {
            let error = read(&[(name, value)]).expect_err(name);
            assert_eq!(error.to_string(), message);
            assert_eq!(error.exit_code(), 1);
        }
        let bytes = OsString::from_vec(b"\xff".to_vec());
        let error = parse([("TIDEGATE_NATS".into(), bytes)]).expect_err("not text");
        assert_eq!(
            error.to_string(),
            "TIDEGATE_NATS: the value is not valid UTF-8; use UTF-8 characters only"
        );
    }
}
