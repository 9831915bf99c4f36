//! The binary: a command, or the gateway: arguments, configuration, logging, run, exit codes.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;

use tidegate::client;
use tidegate::config::{self, Command, Config, LogFormat};
use tidegate::logging;
use tidegate::reactor::{self, Finding, Grade};
use tidegate::workers;

/// musl's own takes as long again as all else that a request costs.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The standard library's own hook writes to standard error and waits for room there.
    panic::set_hook(Box::new(|panic| say(panic)));
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_worker = arguments
        .first()
        .is_some_and(|first| first == workers::COMMAND);
    if is_worker {
        arguments.remove(0);
    }
    if client::is_command(&arguments) {
        return ExitCode::from(client::run(arguments));
    }
    match config::load(arguments.clone(), std::env::vars_os()) {
        Ok(Command::Help) => print(&config::help()),
        Ok(Command::Version(shown)) => print(&config::version(shown)),
        Ok(Command::Probe { config, probe }) => match client::probe(&config, probe) {
            Ok(words) => print(&words),
            Err(words) => fail(&words, 1),
        },
        Ok(Command::Check {
            config,
            warnings,
            origin,
        }) => check(config, warnings, &origin),
        Ok(Command::Run { config, .. }) if is_worker => run(&config, &[], || {
            workers::work(*config.clone()).map_err(|error| error.to_string())
        }),
        Ok(Command::Run { config, warnings }) => run(&config, &warnings, || match config.workers {
            Some(_) => workers::run(&config, arguments).map_err(|error| error.to_string()),
            None => reactor::run(&config).map_err(|error| error.to_string()),
        }),
        Err(error) => fail(&error, error.exit_code()),
    }
}

/// Runs what serves clients, or sees to it.
fn run(
    config: &Config,
    warnings: &[String],
    serve: impl FnOnce() -> Result<(), String>,
) -> ExitCode {
    let form = match config.log_format {
        LogFormat::Text => logging::Form::Text,
        LogFormat::Json => logging::Form::Json,
    };
    logging::init(config.debug, config.trace, form);
    for warning in warnings {
        log::warn!("{warning}");
    }
    match serve() {
        Ok(()) => {
            logging::finish(None);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, 1),
    }
}

/// Says what is right and what is wrong, all on one screen.
fn check(
    config: Result<Box<Config>, config::Error>,
    warnings: Vec<String>,
    origin: &str,
) -> ExitCode {
    let found = |grade, text| Finding { grade, text };
    let mut findings = match &config {
        Ok(_) => vec![found(Grade::Good, format!("configuration: {origin}"))],
        Err(error) => vec![found(Grade::Wrong, error.to_string())],
    };
    let warnings = warnings.into_iter();
    findings.extend(warnings.map(|warning| found(Grade::Doubtful, warning)));
    if let Ok(config) = &config {
        findings.extend(reactor::check(config));
    }
    let mut text = String::new();
    for finding in &findings {
        let mark = match finding.grade {
            Grade::Good => "ok    ",
            Grade::Doubtful => "note  ",
            Grade::Wrong => "WRONG ",
        };
        text.push_str(&format!("{mark} {}\n", finding.text));
    }
    let is_wrong = |finding: &&Finding| finding.grade == Grade::Wrong;
    let count = findings.iter().filter(is_wrong).count();
    text.push_str(&match count {
        0 => "Nothing is wrong.\n".to_owned(),
        1 => "1 thing is wrong.\n".to_owned(),
        count => format!("{count} things are wrong.\n"),
    });
    match print(&text) {
        code if count == 0 => code,
        _ => ExitCode::FAILURE,
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
    logging::init(false, false, logging::Form::Text);
    logging::finish(Some(reason));
}
