//! Flags and environment variables of the examples.

use std::env;

/// Where the example finds its broker and gateway, and where it serves its page.
pub struct Options {
    /// URL of the NATS server that the service answers on.
    pub nats: String,
    /// Port of the web page on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// WebSocket address of the gateway, handed to the page.
    pub gateway: String,
}

impl Options {
    /// Reads the command line; what it leaves out comes from `NATS_URL`, `PORT` and
    /// `GATEWAY_URL`, then from the defaults.
    ///
    /// # Errors
    /// [`Stop`] holds the text to print: the usage if `--help` was asked for, otherwise
    /// what is wrong with which flag.
    pub fn from_env(name: &str, default_port: u16) -> Result<Options, Stop> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let mut nats = variable("NATS_URL").unwrap_or_else(|| "nats://127.0.0.1:4222".into());
        let mut port = variable("PORT").unwrap_or_else(|| default_port.to_string());
        let mut gateway = variable("GATEWAY_URL").unwrap_or_else(|| "ws://127.0.0.1:8080/".into());

        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            let (flag, inline) = match arg.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let target = match flag.as_str() {
                "--nats" => &mut nats,
                "--port" => &mut port,
                "--gateway" => &mut gateway,
                "--help" | "-h" => return Err(Stop::Help(usage(name, default_port))),
                _ => {
                    return Err(Stop::Usage(format!(
                        "unknown argument {flag:?}\n\n{}",
                        usage(name, default_port)
                    )));
                }
            };
            *target = inline
                .or_else(|| args.next())
                .ok_or_else(|| Stop::Usage(format!("{flag} needs a value")))?;
        }

        let port = port.parse().map_err(|_| {
            Stop::Usage(format!(
                "--port: {port:?} is not a port, expected 0 to 65535"
            ))
        })?;
        if !gateway.starts_with("ws://") && !gateway.starts_with("wss://") {
            return Err(Stop::Usage(format!(
                "--gateway: {gateway:?} is not a WebSocket address, expected ws://host:port/"
            )));
        }
        Ok(Options {
            nats,
            port,
            gateway,
        })
    }
}

/// Why there are no options.
pub enum Stop {
    /// Help was asked for: the text for stdout.
    Help(String),
    /// The command line is wrong: the text for stderr.
    Usage(String),
}

fn usage(name: &str, default_port: u16) -> String {
    format!(
        "Usage: {name} [flags]\n\
         \n  --nats <url>      NATS server (default nats://127.0.0.1:4222, env NATS_URL)\
         \n  --port <n>        port of the web page, 0 = any (default {default_port}, env PORT)\
         \n  --gateway <url>   the gateway's WebSocket address, for the page\
         \n                    (default ws://127.0.0.1:8080/, env GATEWAY_URL)"
    )
}
