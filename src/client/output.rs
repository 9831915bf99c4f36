//! Where results, lines and sentences go.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::core::args::Command;
use super::core::error::Error;
use super::core::lines::{Form, Stamp};
use super::core::print::Style;
use super::core::zone::Zone;

/// Where the system keeps its time zone, and all of them.
const LOCAL_ZONE: &str = "/etc/localtime";
const ZONES: &str = "/usr/share/zoneinfo";

/// Standard output and standard error.
#[derive(Debug)]
pub struct Output {
    /// How lines are written.
    pub form: Form,
    zone: Zone,
}

impl Output {
    /// What suits a command and where its output goes: colours are for terminals, and not
    /// for who sets `NO_COLOR`.
    pub fn new(command: &Command) -> Self {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let has_colours = io::stdout().is_terminal() && !is_plain && !command.is_json;
        Self {
            form: Form {
                is_json: command.is_json,
                style: Style {
                    is_indented: false,
                    has_colours,
                },
                depth: command.depth,
            },
            zone: zone(),
        }
    }

    /// Writes a JSON value: indented, or on one line for scripts.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn value(&self, json: &str) -> Result<(), Error> {
        let style = Style {
            is_indented: !self.form.is_json,
            ..self.form.style
        };
        self.line(&style.json(json))
    }

    /// Writes a line.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn line(&self, line: &str) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        let written = out
            .write_all(line.as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Error::Ended),
            Err(error) => Err(Error::Output(format!("cannot write the output: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Says something beside the output.
    pub fn say(&self, sentence: &dyn Display) {
        // Nobody is left to be told that it cannot be said.
        let _ = writeln!(io::stderr(), "tidegate: {sentence}");
    }

    /// Says something that only people at a terminal want to know.
    pub fn remark(&self, sentence: &dyn Display) {
        if io::stderr().is_terminal() && !self.form.is_json {
            self.say(sentence);
        }
    }

    /// The time.
    pub fn now(&self) -> Stamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since.map_or(0, |since| since.as_millis());
        self.zone.stamp(millis.try_into().unwrap_or(u64::MAX))
    }
}

/// The time zone of `TZ`, or the system's; UTC if neither can be read.
fn zone() -> Zone {
    let read = |path: &Path| {
        std::fs::read(path)
            .ok()
            .and_then(|bytes| Zone::parse(&bytes))
    };
    let found = match std::env::var("TZ") {
        Err(_) => read(Path::new(LOCAL_ZONE)),
        Ok(name) => {
            let name = name.strip_prefix(':').unwrap_or(&name);
            // A whole path stands for itself.
            read(&Path::new(ZONES).join(name)).or_else(|| Zone::of_rule(name))
        }
    };
    found.unwrap_or_default()
}
