//! The command line that talks to a gateway: `tidegate get`, `watch`, `call` and `auth`, and
//! `--probe`.
//!
//! A client of its own, which blocks: it has one connection and one thing to do. What is
//! asked, held and shown is in [`core`], without a socket.

mod connection;
pub mod core;
mod input;
mod interrupt;
mod link;
mod output;
mod probe;
mod watch;

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Write};

use crate::secrets;

use self::core::args::{self, Asked, Command, Verb};
use self::core::error::Error;
use self::core::help;
use self::core::messages::{Outcome, outcome};
use self::core::resources::{Resources, TooMuch};
use connection::Options;
use input::Params;
use interrupt::Interrupt;
use link::{Link, request_name, strange};
use output::Output;
pub use probe::probe;

/// The variable that names the gateway.
pub const URL_VARIABLE: &str = "TIDEGATE_URL";

/// Whether the arguments of the process are a command, and not for the gateway.
pub fn is_command(arguments: &[OsString]) -> bool {
    let first = arguments.first();
    first.is_some_and(|first| args::is_command(OsStr::new(first)))
}

/// Runs a command; the exit code of the process.
pub fn run(arguments: Vec<OsString>) -> u8 {
    let url = std::env::var(URL_VARIABLE).ok();
    let url = url.as_deref().filter(|url| !url.is_empty());
    match args::parse(arguments, url) {
        Err(words) => fail(&Error::Usage(words), false),
        Ok(Asked::Help(verb)) => show(&verb.map_or_else(help::overview, help::of)),
        Ok(Asked::Run(command)) => match carry_out(&command) {
            Ok(()) => 0,
            Err(Error::Ended) => 0,
            Err(error) => fail(&error, command.is_json),
        },
    }
}

fn show(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            fail(&Error::Output(error.to_string()), false)
        }
        _ => 0,
    }
}

/// Says why a command has failed: in a sentence, or as JSON.
fn fail(error: &Error, is_json: bool) -> u8 {
    let mut out = io::stderr().lock();
    // Nobody is left to be told that it cannot be said.
    let _ = match is_json {
        true => writeln!(out, "{}", error.to_json()),
        false => writeln!(out, "tidegate: {error}"),
    };
    error.exit_code()
}

fn carry_out(command: &Command) -> Result<(), Error> {
    let params = Params::read(command)?;
    let output = Output::new(command);
    let tls = match command.server.is_secure {
        false => None,
        true => {
            let config = secrets::client_config(command.roots.as_deref(), command.is_insecure);
            Some(config.map_err(|error| Error::Usage(error.to_string()))?)
        }
    };
    let options = Options {
        server: &command.server,
        headers: &command.headers,
        tls,
        timeout: command.timeout,
    };
    match command.verb {
        Verb::Watch => watch::watch(command, &params, &options, &output),
        _ => ask(command, &params, &options, &output),
    }
}

/// Asks once, and shows the answer.
fn ask(
    command: &Command,
    params: &Params,
    options: &Options<'_>,
    output: &Output,
) -> Result<(), Error> {
    let interrupt = Interrupt::default();
    let mut link = Link::open(command, params, options, &interrupt)?;
    let request = request_name(command.verb, &command.rid, &command.method);
    let result = link.ask(&request, params.method.as_deref())?;
    link.close();
    let mut resources = Resources::default();
    let (rid, is_named) = match command.verb.has_method() {
        false => (command.rid.clone(), false),
        true => match outcome(&result).map_err(|error| strange(&error))? {
            Outcome::Payload(value) => return output.value(value),
            Outcome::Resource(rid) => (rid, true),
        },
    };
    resources.put(&result).map_err(|error| strange(&error))?;
    if resources.get(&rid).is_none() {
        return Err(strange(&format_args!("{rid} is not in the answer")));
    }
    let json = match is_named {
        false => resources.to_json(&rid, command.depth),
        true => resources.named_to_json(&rid, command.depth),
    };
    output.value(&json.map_err(too_much)?)
}

fn too_much(_: TooMuch) -> Error {
    Error::Usage("what the references lead to is too much to show; give a smaller --depth".into())
}
