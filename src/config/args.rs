//! The command line, in the spellings of Go's `flag` package that Resgate users write:
//! one or two dashes for every name, `-f value` or `-f=value`, switches with an optional
//! `=false`, and of several occurrences the last.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::error::{Error, Place};
use super::options::{
    AUTO, BROKER_ADDRESS, CHECK, CONFIG, CONSOLE_PATH, EXTRAS, HELP, Kind, OPTIONS, PROBE,
    PROBE_LIVE, Setting, Spec, VERSION, Value,
};
use super::settings::Settings;
use super::{Probe, Shown};

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) help: bool,
    pub(super) version: Option<Shown>,
    /// Ask a gateway that runs.
    pub(super) probe: Option<Probe>,
    /// Look at everything, and run nothing.
    pub(super) check: bool,
    /// The configuration file.
    pub(super) config: Option<PathBuf>,
    values: Vec<(Setting, Value)>,
}

impl Arguments {
    /// Puts the flags over what `settings` holds.
    pub(super) fn apply(&self, settings: &mut Settings) {
        for (key, value) in &self.values {
            settings.set_from_flag(*key, value.clone());
        }
    }
}

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// The usage errors, and [`Error::Invalid`] for a value that is not of its kind. With
/// `--help` or `--version` values are not looked at.
pub(super) fn parse(arguments: Vec<OsString>) -> Result<Arguments, Error> {
    let mut pico = pico_args::Arguments::from_vec(normalise(arguments)?);
    let help = switch(&mut pico, HELP.flag)?.unwrap_or(false);
    let version = version(&mut pico)?;
    let probe = probe(&mut pico)?;
    let check = switch(&mut pico, CHECK.flag)?.unwrap_or(false);
    let config = take(&mut pico, CONFIG.flag)?.pop();
    let mut parsed = Arguments {
        help,
        version,
        probe,
        check,
        config: config.filter(|path| !path.is_empty()).map(PathBuf::from),
        values: Vec::new(),
    };
    if help || version.is_some() {
        return Ok(parsed);
    }
    for spec in &OPTIONS {
        let given = take(&mut pico, spec.flag)?;
        if !given.is_empty() {
            parsed.values.push((spec.key, value(spec, given)?));
        }
    }
    Ok(parsed)
}

/// Whether the version is asked for, and how much of it.
fn version(pico: &mut pico_args::Arguments) -> Result<Option<Shown>, Error> {
    if switch(pico, VERSION.flag)? != Some(true) {
        return Ok(None);
    }
    let details = switch(pico, Setting::Trace.spec().flag)?;
    Ok(Some(match details {
        Some(true) => Shown::Details,
        _ => Shown::Line,
    }))
}

/// What is probed, if anything.
fn probe(pico: &mut pico_args::Arguments) -> Result<Option<Probe>, Error> {
    let Some(last) = take(pico, PROBE.flag)?.pop() else {
        return Ok(None);
    };
    match last.to_str() {
        Some(PROBE_LIVE) => Ok(Some(Probe::Live)),
        Some("ready") => Ok(Some(Probe::Ready)),
        _ => Err(Error::Invalid {
            place: Place::Flag(PROBE.flag),
            reason: format!("{last:?} cannot be probed; give live or ready"),
        }),
    }
}

/// A name found on the command line.
enum Name {
    /// A flag that takes a value.
    Valued(&'static str),
    /// One whose value may be left out, and what it is then.
    Optional(&'static str, &'static str),
    Switch(&'static str),
    /// `-DV`, two switches in one name.
    DebugTrace,
}

fn lookup(name: &[u8]) -> Option<Name> {
    let is = |flag: &str| !flag.is_empty() && flag.trim_start_matches('-').as_bytes() == name;
    if is("-DV") {
        return Some(Name::DebugTrace);
    }
    let options = OPTIONS
        .iter()
        .map(|spec| (spec.flag, spec.short, spec.value));
    let extras = EXTRAS
        .iter()
        .map(|extra| (extra.flag, extra.short, extra.value));
    let (flag, _, value) = options
        .chain(extras)
        .find(|&(flag, short, _)| is(flag) || is(short))?;
    Some(match value {
        "" => Name::Switch(flag),
        _ if flag == PROBE.flag => Name::Optional(flag, PROBE_LIVE),
        _ if flag == Setting::Console.spec().flag => Name::Optional(flag, CONSOLE_PATH),
        _ if value.starts_with('[') => Name::Optional(flag, BROKER_ADDRESS),
        _ => Name::Valued(flag),
    })
}

/// Writes every flag as two arguments, `--long` and `=value`.
///
/// pico-args looks for a key anywhere among the arguments, knows a short name with one
/// dash and a long one with two, and no switches with values. It cannot tell from
/// `-c -D` that `-D` is a file name here, nor that `-port=1` and `--p 1` are one flag.
/// With long names only, and a `=` before each value so that no value looks like a key,
/// what is left is what it does well.
fn normalise(arguments: Vec<OsString>) -> Result<Vec<OsString>, Error> {
    let mut normal = Vec::with_capacity(arguments.len() * 2);
    let mut push = |flag: &'static str, value: &[u8]| {
        normal.push(OsString::from(flag));
        normal.push(OsString::from_vec([b"=", value].concat()));
    };
    let mut last_switch = None;
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--" {
            // Nothing takes free arguments, so nothing may follow.
            match rest.next() {
                Some(argument) => return Err(unexpected(&argument, None)),
                None => break,
            }
        }
        let name = match bytes {
            [b'-', b'-', name @ ..] | [b'-', name @ ..] if !name.is_empty() => name,
            _ => return Err(unexpected(&argument, last_switch)),
        };
        let (name, inline) = match name.iter().position(|&b| b == b'=') {
            Some(at) => (&name[..at], Some(&name[at + 1..])),
            None => (name, None),
        };
        if name.is_empty() || name[0] == b'-' {
            return Err(Error::MalformedFlag {
                argument: shown(&argument),
            });
        }
        last_switch = None;
        match lookup(name) {
            Some(Name::Valued(flag)) => match inline {
                Some(value) => push(flag, value),
                None => match rest.next() {
                    Some(value) => push(flag, value.as_bytes()),
                    None => return Err(Error::MissingValue { flag }),
                },
            },
            // There are no free arguments: what follows and is no flag is the value.
            Some(Name::Optional(flag, alone)) => match inline {
                Some(value) => push(flag, value),
                None => match rest.as_slice().first() {
                    Some(next) if !next.as_bytes().starts_with(b"-") => {
                        push(flag, next.as_bytes());
                        rest.next();
                    }
                    _ => push(flag, alone.as_bytes()),
                },
            },
            Some(Name::Switch(flag)) => {
                push(flag, inline.unwrap_or(b"true"));
                if inline.is_none() {
                    last_switch = Some(flag);
                }
            }
            Some(Name::DebugTrace) => {
                for key in [Setting::Debug, Setting::Trace] {
                    push(key.spec().flag, inline.unwrap_or(b"true"));
                }
            }
            None => {
                // Only the name: a value may be a secret.
                let dashes = bytes.len() - bytes.iter().skip_while(|&&b| b == b'-').count();
                return Err(Error::UnknownFlag {
                    argument: shown(OsStr::from_bytes(&bytes[..dashes + name.len()])),
                });
            }
        }
    }
    Ok(normal)
}

fn shown(argument: &OsStr) -> String {
    argument.to_string_lossy().into_owned()
}

fn unexpected(argument: &OsStr, switch: Option<&'static str>) -> Error {
    let mut argument = shown(argument);
    // It may be a URL without its flag, whose password nobody shall read in a log.
    if let Some(at) = argument.rfind('@') {
        argument.replace_range(..at, "...");
    }
    Error::UnexpectedArgument {
        switch: switch.filter(|_| truth(&argument).is_some()),
        argument,
    }
}

/// Every value of a flag, in order.
fn take(pico: &mut pico_args::Arguments, flag: &'static str) -> Result<Vec<OsString>, Error> {
    let without_sign = |value: &OsStr| {
        let bytes = value.as_bytes();
        Ok::<_, Infallible>(OsStr::from_bytes(bytes.get(1..).unwrap_or_default()).to_owned())
    };
    pico.values_from_os_str(flag, without_sign)
        .map_err(|_| Error::MissingValue { flag })
}

fn switch(pico: &mut pico_args::Arguments, flag: &'static str) -> Result<Option<bool>, Error> {
    let Some(last) = take(pico, flag)?.pop() else {
        return Ok(None);
    };
    match last.to_str().and_then(truth) {
        Some(value) => Ok(Some(value)),
        None => Err(not_a_switch(Place::Flag(flag), &last)),
    }
}

fn not_a_switch(place: Place, value: &OsStr) -> Error {
    let advice = match place {
        Place::Flag(flag) => format!("write {flag} or {flag}=false"),
        _ => "give true or false".to_owned(),
    };
    Error::Invalid {
        place,
        reason: format!("{value:?} is not a truth value; {advice}"),
    }
}

/// The error of a value that is no text. It is not shown: it may be a URL with a password.
pub(super) fn not_text(place: Place) -> Error {
    Error::Invalid {
        place,
        reason: "the value is not valid UTF-8; use UTF-8 characters only".to_owned(),
    }
}

/// The value of an option from all its occurrences, of which there is at least one.
fn value(spec: &'static Spec, given: Vec<OsString>) -> Result<Value, Error> {
    let place = || Place::Flag(spec.flag);
    let mut texts = Vec::with_capacity(given.len());
    for text in given {
        texts.push(text.into_string().map_err(|_| not_text(place()))?);
    }
    typed(spec, texts, place)
}

/// The value of an option from texts, of which the last counts unless it takes several.
///
/// # Errors
/// [`Error::Invalid`] at the place, if a text is not of the option's kind.
pub(super) fn typed(
    spec: &'static Spec,
    texts: Vec<String>,
    place: impl Fn() -> Place,
) -> Result<Value, Error> {
    let last = texts.last().map(String::as_str).unwrap_or_default();
    Ok(match spec.kind {
        Kind::Joined => Value::Text(texts.join(";").into()),
        Kind::Text | Kind::Address | Kind::Json => Value::Text(last.to_owned().into()),
        Kind::List => Value::List(texts),
        Kind::Switch => match truth(last) {
            Some(value) => Value::Switch(value),
            None => return Err(not_a_switch(place(), OsStr::new(last))),
        },
        Kind::Auto(..) if last == AUTO || last.is_empty() => Value::Text(last.to_owned().into()),
        Kind::Number(min, max) | Kind::Auto(min, max) => match integer(last) {
            Some(number) if (min..=max).contains(&number) => Value::Number(number),
            _ if matches!(spec.kind, Kind::Auto(..)) => {
                return Err(Error::Invalid {
                    place: place(),
                    reason: format!(
                        "{last:?} is neither {AUTO} nor a whole number from {min} to {max}; give one"
                    ),
                });
            }
            _ => {
                return Err(Error::Invalid {
                    place: place(),
                    reason: format!("{last:?} is not a whole number from {min} to {max}; give one"),
                });
            }
        },
    })
}

/// The truth values of Go's `strconv.ParseBool`.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A number as Go's flags take it: decimal, or with the prefix `0x`, `0b`, `0o` or `0`.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = if let Some(hex) = lower.strip_prefix("0x") {
        (hex, 16)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (binary, 2)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (octal, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse_line(line: &[&str]) -> Result<Arguments, Error> {
        parse(line.iter().map(OsString::from).collect())
    }

    fn settings(line: &[&str]) -> Settings {
        let arguments = parse_line(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        let mut settings = Settings::new(Path::new(""));
        arguments.apply(&mut settings);
        settings
    }

    #[test]
    fn spellings_of_a_value() {
        for line in [
            &["-n", "x"][..],
            &["--n", "x"],
            &["-nats", "x"],
            &["--nats", "x"],
            &["-n=x"],
            &["--n=x"],
            &["-nats=x"],
            &["--nats=x"],
            &["-n", "a", "--nats=b", "-n", "x"],
            &["-n", "x", "--"],
        ] {
            assert_eq!(settings(line).text(Setting::NatsUrl), Some("x"), "{line:?}");
        }
    }

    #[test]
    fn spellings_of_a_switch() {
        for (line, expected) in [
            (&["-tls"][..], true),
            (&["--tls"], true),
            (&["--tls=true"], true),
            (&["--tls=T"], true),
            (&["--tls=1"], true),
            (&["--tls=false"], false),
            (&["--tls=F"], false),
            (&["-tls=0"], false),
            (&["--tls", "--tls=false"], false),
            (&["--tls=false", "--tls"], true),
        ] {
            assert_eq!(settings(line).switch(Setting::Tls), expected, "{line:?}");
        }
    }

    #[test]
    fn debug_and_trace() {
        for (line, debug, trace) in [
            (&[][..], false, false),
            (&["-D"], true, false),
            (&["-V"], false, true),
            (&["-DV"], true, true),
            (&["--debug", "--trace"], true, true),
            (&["-DV", "-D=false"], false, true),
            (&["-D", "-DV=false"], false, false),
        ] {
            let settings = settings(line);
            assert_eq!(settings.switch(Setting::Debug), debug, "{line:?}");
            assert_eq!(settings.switch(Setting::Trace), trace, "{line:?}");
        }
    }

    #[test]
    fn values_that_look_like_flags_or_hold_signs() {
        let arguments = parse_line(&["-c", "--debug", "-n", "--config", "-w==/x=", "-i="]);
        let arguments = arguments.expect("all are values");
        assert_eq!(arguments.config, Some(PathBuf::from("--debug")));
        let mut settings = Settings::new(Path::new(""));
        arguments.apply(&mut settings);
        assert_eq!(settings.text(Setting::NatsUrl), Some("--config"));
        assert_eq!(settings.text(Setting::WsPath), Some("=/x="));
        assert_eq!(settings.text(Setting::Addr), Some(""));
        assert!(!settings.switch(Setting::Debug));
    }

    #[test]
    fn repeated_flags_collect() {
        let settings = settings(&[
            "--natsrootca",
            "a",
            "-natsrootca=b",
            "--alloworigin",
            "http://a",
            "-alloworigin",
            "http://b",
        ]);
        assert_eq!(settings.list(Setting::NatsRootCas), ["a", "b"]);
        assert_eq!(
            settings.text(Setting::AllowOrigin),
            Some("http://a;http://b")
        );
    }

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("9000", Some(9000)),
            ("+9000", Some(9000)),
            ("0x1F90", Some(8080)),
            ("0b101", Some(5)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("08", None),
            ("", None),
            ("-", None),
            ("0x", None),
            ("0x-1", None),
            ("--1", None),
            ("1.5", None),
            ("1e3", None),
            (" 1", None),
            ("1 ", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn version_and_probe() {
        for (line, version, probe) in [
            (&["-v"][..], Some(Shown::Line), None),
            (&["--version", "-V=false"], Some(Shown::Line), None),
            (&["-V", "--version"], Some(Shown::Details), None),
            (&["-v", "-DV"], Some(Shown::Details), None),
            (&["--version=false", "-V"], None, None),
            (&["--probe"], None, Some(Probe::Live)),
            (&["--probe", "-m", "90"], None, Some(Probe::Live)),
            (&["--probe", "live"], None, Some(Probe::Live)),
            (&["-probe=ready"], None, Some(Probe::Ready)),
            (
                &["--probe=live", "--probe", "ready"],
                None,
                Some(Probe::Ready),
            ),
        ] {
            let arguments = parse_line(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
            assert_eq!(arguments.version, version, "{line:?}");
            assert_eq!(arguments.probe, probe, "{line:?}");
        }
        let error = parse_line(&["--probe", "well"]).expect_err("no such probe");
        let reason = "--probe: \"well\" cannot be probed; give live or ready";
        assert_eq!(error.to_string(), reason);
    }

    #[test]
    fn usage_errors() {
        for (line, message) in [
            (&["--nope"][..], "unknown flag --nope; see tidegate --help"),
            (&["-nope=secret"], "unknown flag -nope; see tidegate --help"),
            (&["-p8080"], "unknown flag -p8080; see tidegate --help"),
            (&["--NATS", "x"], "unknown flag --NATS; see tidegate --help"),
            (
                &["-h", "--nope"],
                "unknown flag --nope; see tidegate --help",
            ),
            (
                &["-p"],
                "--port needs a value: --port <value>; see tidegate --help",
            ),
            (
                &["-D", "--config"],
                "--config needs a value: --config <value>; see tidegate --help",
            ),
            (
                &["---x"],
                "---x is not a flag, no name follows the dashes; see tidegate --help",
            ),
            (
                &["--=x"],
                "--=x is not a flag, no name follows the dashes; see tidegate --help",
            ),
            (
                &["-=x"],
                "-=x is not a flag, no name follows the dashes; see tidegate --help",
            ),
            (&["run"], "unexpected argument run; see tidegate --help"),
            (&["-"], "unexpected argument -; see tidegate --help"),
            (
                &["nats://u:p@ss@h:1"],
                "unexpected argument ...@h:1; see tidegate --help",
            ),
            (&[""], "unexpected argument ; see tidegate --help"),
            (&["--", "-D"], "unexpected argument -D; see tidegate --help"),
            (
                &["--tls", "x"],
                "unexpected argument x; see tidegate --help",
            ),
            (
                &["--tls", "false"],
                "unexpected argument false; write --tls=false to give --tls a value",
            ),
        ] {
            let error = parse_line(line).expect_err("a usage error");
            assert_eq!(error.to_string(), message, "{line:?}");
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }

    #[test]
    fn bad_values() {
        for (line, message) in [
            (
                &["-p", "abc"][..],
                "--port: \"abc\" is not a whole number from 0 to 65535; give one",
            ),
            (
                &["-p="],
                "--port: \"\" is not a whole number from 0 to 65535; give one",
            ),
            (
                &["-p", "65536"],
                "--port: \"65536\" is not a whole number from 0 to 65535; give one",
            ),
            (
                &["-r", "-5"],
                "--reqtimeout: \"-5\" is not a whole number from 0 to 2147483647; give one",
            ),
            (
                &["--cpu", "-1"],
                "--cpu: \"-1\" is not a whole number from 0 to 1023; give one",
            ),
            (
                &["--tls=maybe"],
                "--tls: \"maybe\" is not a truth value; write --tls or --tls=false",
            ),
            (
                &["-h=maybe"],
                "--help: \"maybe\" is not a truth value; write --help or --help=false",
            ),
        ] {
            let error = parse_line(line).expect_err("a bad value");
            assert_eq!(error.to_string(), message, "{line:?}");
            assert_eq!(error.exit_code(), 1, "{line:?}");
        }
    }

    #[test]
    fn only_the_path_may_be_other_than_utf8() {
        let bytes = OsString::from_vec(b"-c=\xff".to_vec());
        let path = parse(vec![bytes]).expect("a path").config;
        assert_eq!(
            path,
            Some(PathBuf::from(OsString::from_vec(b"\xff".to_vec())))
        );

        let error = parse(vec!["-n".into(), OsString::from_vec(b"\xff".to_vec())]);
        assert_eq!(
            error.expect_err("not text").to_string(),
            "--nats: the value is not valid UTF-8; use UTF-8 characters only"
        );
    }

    #[test]
    fn help_and_version_do_not_look_at_values() {
        assert!(parse_line(&["-p", "abc", "-h"]).expect("help").help);
        assert!(
            parse_line(&["--version", "-p=x"])
                .expect("version")
                .version
                .is_some()
        );
        assert!(!parse_line(&["-h=false"]).expect("no help").help);
    }
}
