//! The binary: a command, or the gateway: arguments, configuration, logging, run, exit codes.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;

use tidegate::client;
use tidegate::config::{self, Command, Config};
use tidegate::logging;

fn main() -> ExitCode {
    // The standard library's own hook writes to standard error and waits for room there.
    panic::set_hook(Box::new(|panic| say(panic)));
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if client::is_command(&arguments) {
        return ExitCode::from(client::run(arguments));
    }
    match config::load(arguments, std::env::vars_os()) {
        Ok(Command::Help) => print(&config::help()),
        Ok(Command::Version) => print(config::VERSION),
        Ok(Command::Run { config, warnings }) => run(&config, &warnings),
        Err(error) => fail(&error, error.exit_code()),
    }
}

fn run(config: &Config, warnings: &[String]) -> ExitCode {
    logging::init(config.debug, config.trace);
    for warning in warnings {
        log::warn!("{warning}");
    }
    match tidegate::reactor::run(config) {
        Ok(()) => {
            logging::finish(None);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, 1),
    }
}

/// Prints a text that was asked for, and waits for whoever reads it: nothing else runs.
/// Whoever closed the pipe has read enough.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error, 1),
        _ => ExitCode::SUCCESS,
    }
}

/// Says in one line why the process ends.
fn fail(error: &dyn Display, code: u8) -> ExitCode {
    say(error);
    ExitCode::from(code)
}

/// Logs the last line. With standard error closed, or full and never read, there is only
/// the exit code.
fn say(reason: &dyn Display) {
    logging::init(false, false);
    logging::finish(Some(reason));
}
