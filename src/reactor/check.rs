//! `--check`: what would be wrong if the gateway were started, and all of it at once. Files
//! are read, addresses are bound, NATS is connected to, and all is let go of again.

use std::io;
use std::path::Path;

use mio::{Events, Poll};

use super::clock::unix_seconds;
use super::identity::Identity;
use super::listener::Listener;
use super::services::Services;
use super::signals::Signals;
use super::{EVENTS, End, Error, Reactor, process};
use crate::config::Config;
use crate::secrets::{BrokerSecrets, validity_of};

/// Days before the end of a certificate from which on it is spoken of.
const DAYS_LEFT: i64 = 14;

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Good,
    /// It will run, but not for long, or not as meant.
    Doubtful,
    /// The gateway will not start, or not serve.
    Wrong,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How good it is.
    pub grade: Grade,
    /// What it is, in a line; if it is wrong, with what to do.
    pub text: String,
}

fn good(text: String) -> Finding {
    Finding {
        grade: Grade::Good,
        text,
    }
}

fn wrong(error: &dyn std::fmt::Display) -> Finding {
    Finding {
        grade: Grade::Wrong,
        text: error.to_string(),
    }
}

/// Looks at all that the start of the gateway needs beside its configuration.
pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_clients(config, &mut findings);
    if let Some(port) = config.metrics_port {
        findings.push(match bind(config, port, "--metricsport", false) {
            Ok(address) => good(format!("metrics on http://{address}/metrics")),
            Err(error) => wrong(&error),
        });
    }
    match config.broker.addr {
        Some(_) => check_inside(config, &mut findings),
        None => check_nats(config, &mut findings),
    }
    findings
}

/// The certificate for clients, and where they are listened to.
fn check_clients(config: &Config, findings: &mut Vec<Finding>) {
    if config.tls {
        match (Identity::for_clients(config), &config.tls_cert) {
            (Err(error), _) => findings.push(wrong(&error)),
            (Ok(_), Some(path)) => findings.push(certificate("TLS certificate", path)),
            (Ok(_), None) => {}
        }
    }
    if let Some(cpu) = config.cpu
        && let Err(source) = process::pin_to_cpu(cpu)
    {
        findings.push(wrong(&Error::Cpu { cpu, source }));
    }
    let (http, ws) = match config.tls {
        true => ("https", "wss"),
        false => ("http", "ws"),
    };
    findings.push(
        match bind(config, config.port, "--port", config.reuse_port) {
            Ok(address) => good(format!(
                "clients on {ws}://{address}{} and {http}://{address}{}",
                config.ws_path, config.api_path
            )),
            Err(error) => wrong(&error),
        },
    );
}

/// The address of a port that can be listened on.
fn bind(
    config: &Config,
    port: u16,
    option: &'static str,
    is_shared: bool,
) -> Result<std::net::SocketAddr, Error> {
    let bound = Listener::bind(config.addr, port, is_shared);
    bound
        .and_then(|listener| listener.local_addr())
        .map_err(|source| Error::Listen {
            addr: config.addr,
            port,
            option,
            source,
        })
}

/// A certificate that can be used, and for how long.
fn certificate(what: &str, path: &Path) -> Finding {
    let shown = format!("{what} {}", path.display());
    let now = unix_seconds() as i64;
    match validity_of(path) {
        Some(time) if now > time.until => wrong(&format_args!(
            "{shown} has expired on {}; replace it",
            time.last_day
        )),
        Some(time) if now < time.from => wrong(&format_args!(
            "{shown} is not valid yet; look at the clock of this host"
        )),
        Some(time) if time.until - now < DAYS_LEFT * 86_400 => Finding {
            grade: Grade::Doubtful,
            text: format!("{shown} expires on {}; replace it", time.last_day),
        },
        Some(time) => good(format!("{shown}, valid until {}", time.last_day)),
        None => good(shown),
    }
}

/// The broker inside: its users, its certificate and its address.
fn check_inside(config: &Config, findings: &mut Vec<Finding>) {
    let what = "make a poll";
    let services = Poll::new()
        .map_err(|source| Error::System { what, source })
        .and_then(|poll| Services::bind(config, poll.registry(), [0; 4], None));
    match services {
        Err(error) => findings.push(wrong(&error)),
        Ok(None) => {}
        Ok(Some(services)) => {
            if let Some(path) = &config.broker.tls_cert {
                findings.push(certificate("TLS certificate for services", path));
            }
            findings.push(good(format!("broker for services on {}", services.url())));
            // As at the end of the gateway: the process ends.
            std::mem::forget(services);
        }
    }
}

/// The NATS server: what is shown to it, and whether it takes the gateway.
fn check_nats(config: &Config, findings: &mut Vec<Finding>) {
    // Without files that can be used there is nothing to connect with.
    match BrokerSecrets::load(config) {
        Err(error) => return findings.push(wrong(&error)),
        Ok(_) => {
            if let Some(path) = &config.nats_creds {
                findings.push(good(format!("NATS credentials {}", path.display())));
            }
            if let Some(path) = &config.nats_cert {
                findings.push(certificate("client certificate for NATS", path));
            }
        }
    }
    findings.push(match connect(config) {
        Ok(text) => good(text),
        Err(error) => wrong(&error),
    });
}

/// Connects as the gateway does, and no further.
fn connect(config: &Config) -> Result<String, Error> {
    // What is for clients has been looked at.
    let config = Config {
        tls: false,
        ..config.clone()
    };
    let mut reactor = Reactor::new(&config, Signals::new, super::Given::default())?;
    let result = reactor.connect(&mut Events::with_capacity(EVENTS));
    let found = match result {
        Ok(()) => Ok(match reactor.link.ready() {
            Some(broker) => {
                let version = &broker.info().version;
                format!("NATS: nats-server {version} at {}", broker.url())
            }
            None => format!("NATS at {}", reactor.link.url()),
        }),
        Err(End::Failed(error)) => Err(error),
        Err(End::Lost { url, cause, tried }) => Err(Error::BrokerLost { url, cause, tried }),
        Err(End::Signal) => Err(Error::System {
            what: "connect to NATS",
            source: io::ErrorKind::Interrupted.into(),
        }),
    };
    // As at the end of the gateway: the process ends.
    std::mem::forget(reactor);
    found
}
