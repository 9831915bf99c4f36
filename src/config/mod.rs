//! Command line, environment, configuration file and the one validated [`Config`].
//!
//! Values are merged in layers, each over the one before: defaults, the file, the
//! environment, the command line. Only then the checks run, once, so that a wrong value in
//! the file does no harm if a flag replaces it.

mod args;
#[cfg(test)]
pub(crate) mod documents;
mod environment;
mod error;
mod file;
mod help;
mod networks;
mod options;
#[cfg(test)]
mod ranges;
mod read;
mod settings;
mod validate;
mod version;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::{Error, Place};
pub use help::help;
pub use networks::Networks;
pub(crate) use read::read_whole;
use settings::Settings;
pub use version::{Shown, version};

/// Everything that can be configured, checked. Nothing of it changes while the gateway
/// runs.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// The NATS server, as given: it may hold a password. Its parser is in
    /// [`crate::nats`].
    pub nats_url: String,
    /// NATS user credentials file.
    pub nats_creds: Option<PathBuf>,
    /// Certificate to show to the NATS server, if it wants one.
    pub nats_cert: Option<PathBuf>,
    /// Key of [`Config::nats_cert`]; there are both or none.
    pub nats_key: Option<PathBuf>,
    /// Root certificates to check the NATS server by; the system's if there are none.
    pub nats_root_cas: Vec<PathBuf>,
    /// Begin TLS with the NATS server before it says anything.
    pub nats_tls_first: bool,
    /// Time for a service to answer a request; at least 11 ms.
    pub request_timeout: Duration,
    /// Log what happens inside.
    pub debug: bool,
    /// Log the messages between gateway and services.
    pub trace: bool,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// Messages taken from NATS in one turn of the loop; at least 1.
    pub buffer_size: u32,
    /// Address to listen on; `None` is all of both IP versions.
    pub addr: Option<IpAddr>,
    /// Port to listen on, never 0.
    pub port: u16,
    /// Path of the WebSocket.
    pub ws_path: String,
    /// Path prefix of the HTTP API, with its trailing slash.
    pub api_path: String,
    /// Port of the metrics, never that of the clients.
    pub metrics_port: Option<u16>,
    /// Encoding of resources in the HTTP API.
    pub api_encoding: ApiEncoding,
    /// Show browsers that open `/` what this is.
    pub home_page: bool,
    /// Method called before each HTTP request.
    pub header_auth: Option<AuthMethod>,
    /// Method called before each WebSocket upgrade.
    pub ws_header_auth: Option<AuthMethod>,
    /// Origins that may use the gateway from a browser.
    pub allow_origin: AllowOrigin,
    /// Method that PUT calls.
    pub put_method: Option<String>,
    /// Method that DELETE calls.
    pub delete_method: Option<String>,
    /// Method that PATCH calls.
    pub patch_method: Option<String>,
    /// Serve TLS to clients.
    pub tls: bool,
    /// Certificate to show to clients, with its chain.
    pub tls_cert: Option<PathBuf>,
    /// Key of [`Config::tls_cert`]; there are both or none, and both with
    /// [`Config::tls`].
    pub tls_key: Option<PathBuf>,
    /// Offer permessage-deflate (RFC 7692) on WebSockets.
    pub ws_compression: bool,
    /// Most requests that one system reset has open at once; 0 is no limit.
    pub reset_throttle: u32,
    /// Most requests open at once while following references; 0 is no limit.
    pub reference_throttle: u32,
    /// Memory for waiting input and output of all clients, in MiB.
    pub max_buffers: u32,
    /// Most values of a collection or properties of a model.
    pub max_entries: u32,
    /// Most bytes of a resource's JSON text.
    pub max_resource_size: u32,
    /// Most resources that the answer to a web request nests.
    pub api_max_resources: u32,
    /// Most bytes of the answer to a web request for a resource.
    pub api_max_bytes: u32,
    /// How long clients are kept while NATS is away; zero is not at all.
    pub nats_reconnect: Duration,
    /// What becomes of clients with a token when NATS is there again.
    pub nats_reconnect_tokens: ReconnectTokens,
    /// Time between two `PING`s to NATS.
    pub nats_ping_interval: Duration,
    /// Cached resources that are compared with what services have each second; 0 is none.
    pub drift_audit: u32,
    /// Milliseconds between the heartbeats of a gateway that tells services who is connected;
    /// 0 where it does not.
    pub connection_events: u32,
    /// Pass the trace on that clients are part of.
    pub trace_parent: bool,
    /// Patterns of resource names whose answer times are counted apart.
    pub latency_patterns: Vec<String>,
    /// Milliseconds of silence after which WebSocket clients are sent a ping; 0 is never.
    pub ping_interval: u32,
    /// Milliseconds for which what is for clients may wait for more; 0 for not at all.
    pub flush_delay: u32,
    /// Milliseconds after which WebSocket clients are closed; 0 is never.
    pub max_age: u32,
    /// Milliseconds over which clients are closed when a signal ends the gateway.
    pub drain_time: u32,
    /// The broker inside.
    pub broker: BrokerInside,
    /// Serve the demonstration; there is a broker inside then.
    pub demo: bool,
    /// Path of the console; `None` if there is none.
    pub console: Option<String>,
    /// What opens the console from other hosts.
    pub console_token: Option<String>,
    /// Most connections of clients; 0 is no limit.
    pub max_connections: u32,
    /// Most connections of an address; 0 is no limit.
    pub max_connections_per_address: u32,
    /// Most requests of a client in a second; 0 is no limit.
    pub max_requests_per_second: u32,
    /// Most resources that a client may subscribe to directly; 0 is no limit.
    pub max_subscriptions: u32,
    /// Proxies that are believed about the addresses of clients.
    pub trusted_proxies: Networks,
    /// Connections of trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Most cached resources; 0 is no limit.
    pub max_cached_resources: u32,
    /// Most MiB of JSON of cached resources; 0 is no limit.
    pub max_cached_bytes: u32,
    /// Milliseconds that a kept connection may have no request.
    pub http_keep_alive: u32,
    /// Milliseconds for the head of a request, and for a TLS handshake.
    pub head_timeout: u32,
    /// Milliseconds after which a WebSocket client that sends nothing is closed; 0 is never.
    pub ws_idle_timeout: u32,
    /// Share the port with other processes (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// The CPU to run on, counted from 0.
    pub cpu: Option<usize>,
    /// Processes that share the port and are kept running; `None` where this one serves
    /// clients itself.
    pub workers: Option<Workers>,
}

/// Leaves out most, above all what may hold secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("addr", &self.addr)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// The broker inside.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerInside {
    /// Where it listens; `None` if there is a NATS server.
    pub addr: Option<SocketAddr>,
    /// Its users, a JSON list; everybody may connect if it is empty.
    pub users: String,
    /// Most bytes of a message.
    pub max_payload: u32,
    /// Most services that are connected.
    pub max_connections: u32,
    /// Certificate that it shows; services must use TLS then.
    pub tls_cert: Option<PathBuf>,
    /// Key of [`BrokerInside::tls_cert`]; there are both or none.
    pub tls_key: Option<PathBuf>,
}

/// How many processes serve clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU that may be used.
    Auto,
    /// So many, at least one.
    Count(u32),
}

/// How resources are written in answers of the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiEncoding {
    /// References are objects with `href` and the content.
    Json,
    /// References are replaced by the content alone.
    JsonFlat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Resgate's.
    Text,
    /// An object of JSON for each.
    Json,
}

/// What becomes of clients with a token when NATS was away: an event that changed or revoked
/// it may have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconnectTokens {
    /// They are closed, and must authenticate anew.
    Close,
    /// They keep it.
    Keep,
}

/// A method of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthMethod {
    /// The resource name.
    pub resource: String,
    /// The method name.
    pub method: String,
}

/// Origins that may use the gateway from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowOrigin {
    /// Every origin.
    Any,
    /// These: in lower case, sorted, at least one.
    List(Vec<String>),
}

/// What a gateway that runs is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether its loop runs.
    Live,
    /// Whether it serves clients.
    Ready,
}

/// What the command line asks the process to do.
#[derive(Debug)]
pub enum Command {
    /// Print [`help`]'s text.
    Help,
    /// Print [`version`]'s text.
    Version(Shown),
    /// Ask the gateway that runs with this configuration.
    Probe {
        /// What it runs with.
        config: Box<Config>,
        /// What it is asked.
        probe: Probe,
    },
    /// Look at everything that the gateway needs, and say what is wrong.
    Check {
        /// What it would run with, or why there is nothing.
        config: Result<Box<Config>, Error>,
        /// What it would log as warnings.
        warnings: Vec<String>,
        /// Where the configuration comes from, in words.
        origin: String,
    },
    /// Run the gateway.
    Run {
        /// What to run with.
        config: Box<Config>,
        /// Lines to log as warnings.
        warnings: Vec<String>,
    },
}

/// Reads the arguments that follow the program's name, the environment's variables, and
/// the file that either names. If there is no such file, it is created once the values in
/// force have passed the checks; if that fails, a warning says so. A created file holds
/// the defaults and the flags. What the environment says is left out: it may be a secret,
/// and would stay in force after the variable has changed.
///
/// # Errors
/// Whatever is wrong with the arguments, the environment, the file or a value.
pub fn load(
    arguments: Vec<OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Command, Error> {
    let arguments = args::parse(arguments)?;
    if arguments.help {
        return Ok(Command::Help);
    }
    if let Some(shown) = arguments.version {
        return Ok(Command::Version(shown));
    }
    let mut warnings = Vec::new();
    let mut origin = "flags, variables and defaults, without a file".to_owned();
    let gathered = gather(&arguments, environment, &mut warnings, &mut origin);
    if arguments.check {
        let config = gathered.map(|(config, _)| config);
        return Ok(Command::Check {
            config,
            warnings,
            origin,
        });
    }
    let (config, missing) = gathered?;
    if let Some(probe) = arguments.probe {
        return Ok(Command::Probe { config, probe });
    }
    if let Some((path, mut written)) = missing {
        arguments.apply(&mut written);
        if let Err(error) = file::create(&path, &written) {
            let path = path.display();
            let words = format!("cannot create the configuration file {path}: {error}");
            warnings.insert(0, format!("{words}; running without it"));
        }
    }
    Ok(Command::Run { config, warnings })
}

/// A file that is not there, and what it would hold beside the flags.
type Missing = Option<(PathBuf, Settings)>;

/// Merges the layers and checks what comes of that.
fn gather(
    arguments: &args::Arguments,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    warnings: &mut Vec<String>,
    origin: &mut String,
) -> Result<(Box<Config>, Missing), Error> {
    let mut environment = environment::parse(environment)?;
    let path = arguments
        .config
        .as_deref()
        .or(environment.config.as_deref());
    let mut settings = Settings::new(path.unwrap_or(Path::new("")));
    let mut missing = None;
    if let Some(path) = path {
        *origin = path.display().to_string();
        match file::read(path)? {
            Some(bytes) => file::apply(path, bytes, &mut settings)?,
            None => {
                origin.push_str(", which is not there and would be created");
                missing = Some((path.to_owned(), settings.clone()));
            }
        }
    }
    environment.apply(&mut settings);
    arguments.apply(&mut settings);
    let config = Box::new(validate::validate(&settings, warnings)?);
    warnings.append(&mut environment.warnings);
    Ok((config, missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let arguments = ["-n", "nats://user:hush@h"].map(OsString::from);
        let command = load(arguments.into(), []).expect("valid");
        let shown = format!("{command:?}");
        assert!(shown.contains("port: 8080"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}
