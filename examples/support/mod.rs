//! What the examples share: flags, the connection to NATS, and the web server that
//! hands their pages to the browser.

pub mod options;
pub mod web;

use std::process::ExitCode;

use options::{Options, Stop};

/// Reads the options, runs the example, and turns what went wrong into a line on
/// stderr and an exit code: 1 for a failure, 2 for a wrong command line.
pub fn start(
    name: &str,
    default_port: u16,
    run: impl FnOnce(&Options) -> Result<(), String>,
) -> ExitCode {
    let result = match Options::from_env(name, default_port) {
        Ok(options) => run(&options),
        Err(Stop::Help(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Usage(text)) => {
            eprintln!("{name}: {text}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{name}: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Connects to the broker. A broker that goes away later is waited for.
///
/// # Errors
/// There is no NATS server at that address; the text says what to do.
pub fn connect(name: &str, options: &Options) -> Result<nats::Connection, String> {
    nats::Options::new()
        .with_name(name)
        .max_reconnects(None)
        .connect(&options.nats)
        .map_err(|error| {
            format!(
                "no NATS server at {}: {error}; start nats-server, or name another with --nats",
                options.nats
            )
        })
}

/// Serves the page and returns its address.
///
/// # Errors
/// The port is taken; the text says what to do.
pub fn serve_page(site: web::Site, options: &Options) -> Result<String, String> {
    site.serve(options.port).map_err(|error| {
        format!(
            "cannot serve the page on 127.0.0.1:{}: {error}; choose another port with --port",
            options.port
        )
    })
}
