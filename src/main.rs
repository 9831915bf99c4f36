//! The binary: arguments, configuration, logging, run, exit codes.

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use tidegate::config::{self, Command, Config};
use tidegate::logging::{self, Escaped};

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect();
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
    let result = tidegate::reactor::run(config);
    log::logger().flush();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

/// Prints a text that was asked for. Whoever closed the pipe has read enough.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error, 1),
        _ => ExitCode::SUCCESS,
    }
}

/// Says in one line why the process ends.
fn fail(error: &dyn Display, code: u8) -> ExitCode {
    // With standard error closed there is only the exit code.
    let _ = writeln!(io::stderr(), "tidegate: {}", Escaped(error));
    ExitCode::from(code)
}
