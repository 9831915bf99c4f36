//! Why the gateway cannot run, or runs no longer.

use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::nats::{ClientError, UrlError};
use crate::secrets::SecretError;

/// Why [`run`](super::run) ended without being asked to. Each message says what was
/// wrong, where, and what to do about it.
#[derive(Debug)]
pub enum Error {
    /// The system refused something that the poll loop is made of.
    System {
        /// What was asked for.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The process cannot be bound to the configured CPU.
    Cpu {
        /// The CPU's number.
        cpu: usize,
        /// The system's answer.
        source: io::Error,
    },
    /// The configured address or port cannot be listened on.
    Listen {
        /// The configured address; `None` for all.
        addr: Option<IpAddr>,
        /// The configured port.
        port: u16,
        /// The flag that sets the port.
        option: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// What the supervisor has handed over to listen on is of no use: why.
    Inherited(String),
    /// A configured certificate, key or credentials file is of no use.
    Secret(SecretError),
    /// The configured address of the NATS server is none.
    BrokerUrl(UrlError),
    /// The configured users of the broker inside are none; with what is wrong.
    BrokerUsers(String),
    /// No NATS server took the connection.
    BrokerUnreachable(Vec<Refusal>),
    /// The connection to the NATS server ended.
    BrokerLost {
        /// The server's address, without credentials.
        url: String,
        /// Why.
        cause: BrokerError,
        /// Milliseconds for which it was tried again.
        tried: u64,
    },
    /// The NATS server refuses what the gateway cannot be without.
    BrokerRefuses {
        /// The server's address, without credentials.
        url: String,
        /// The server's words.
        words: String,
    },
}

/// A NATS server that did not take the connection.
#[derive(Debug)]
pub struct Refusal {
    /// The server's address, without credentials.
    pub url: String,
    /// Why.
    pub cause: BrokerError,
}

/// What can go wrong with a NATS connection.
#[derive(Debug)]
pub enum BrokerError {
    /// The host has no address, or none is known.
    Resolve(io::Error),
    /// The system gives no thread to look the host up.
    LookUp(io::Error),
    /// The socket failed.
    Socket(io::Error),
    /// A file that is needed for TLS is of no use.
    Secret(SecretError),
    /// TLS failed.
    Tls {
        /// What went wrong.
        words: String,
        /// What may help, with its punctuation; or nothing.
        hint: &'static str,
    },
    /// The TCP connection was not made in time.
    ConnectTimeout {
        /// The time it had, in milliseconds.
        ms: u64,
    },
    /// The server did something, or failed to do something.
    Client(ClientError),
    /// The server is about to shut down.
    Leaving,
    /// The server takes less than is sent to it.
    Backlog {
        /// Bytes that wait.
        bytes: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System { what, source } => write!(f, "cannot {what}: {source}"),
            Error::Cpu { cpu, source } => write!(
                f,
                "cannot bind to CPU {cpu}: {source}; \
                 choose a CPU that this process may use, or leave out --cpu"
            ),
            Error::Listen {
                addr,
                port,
                option,
                source,
            } => {
                match addr {
                    Some(IpAddr::V6(addr)) => write!(f, "cannot listen on [{addr}]:{port}"),
                    Some(addr) => write!(f, "cannot listen on {addr}:{port}"),
                    None => write!(f, "cannot listen on port {port}"),
                }?;
                write!(f, ": {source}")?;
                match source.kind() {
                    io::ErrorKind::AddrInUse => write!(
                        f,
                        "; stop the program that uses the port, or choose another with {option}"
                    ),
                    io::ErrorKind::AddrNotAvailable => {
                        f.write_str("; choose an address of this host with --addr")
                    }
                    io::ErrorKind::PermissionDenied => {
                        write!(f, "; choose a port above 1023 with {option}")
                    }
                    _ => Ok(()),
                }
            }
            Error::Inherited(reason) => write!(
                f,
                "cannot use the sockets that were handed over (LISTEN_FDS): {reason}; mend the \
                 supervisor's socket unit"
            ),
            Error::Secret(error) => error.fmt(f),
            Error::BrokerUrl(error) => error.fmt(f),
            Error::BrokerUsers(words) => write!(f, "\"brokerUsers\": {words}"),
            Error::BrokerUnreachable(refusals) => {
                f.write_str("cannot connect to NATS")?;
                for (index, refusal) in refusals.iter().enumerate() {
                    let divider = if index == 0 { " at" } else { ", nor at" };
                    write!(f, "{divider} {}: {}", refusal.url, refusal.cause)?;
                }
                f.write_str("; start a NATS server there, or name another with --nats")
            }
            Error::BrokerLost { url, cause, tried } => {
                write!(f, "lost the connection to NATS at {url}: {cause}")?;
                if *tried > 0 {
                    write!(f, "; no server was there again within {tried} ms")?;
                }
                f.write_str("; clients were disconnected, start again when the server is back")
            }
            Error::BrokerRefuses { url, words } => write!(
                f,
                "NATS at {url} refuses what the gateway cannot be without (\"{words}\"); give its \
                 user the right to subscribe to _INBOX.>, system.* and conn.>"
            ),
        }
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BrokerError::Resolve(error) => write!(f, "the host has no known address ({error})"),
            BrokerError::LookUp(error) => write!(
                f,
                "cannot start a thread to look the host up ({error}); raise the limit of \
                 processes, or give an IP address"
            ),
            BrokerError::Socket(error) => error.fmt(f),
            BrokerError::Secret(error) => error.fmt(f),
            BrokerError::Tls { words, hint } => write!(f, "TLS failed: {words}{hint}"),
            BrokerError::ConnectTimeout { ms } => write!(f, "no connection within {ms} ms"),
            BrokerError::Client(error) => error.fmt(f),
            BrokerError::Leaving => f.write_str("NATS server is about to shut down"),
            BrokerError::Backlog { bytes } => {
                write!(
                    f,
                    "the server does not take what is sent, {bytes} bytes wait"
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::System { source, .. }
            | Error::Cpu { source, .. }
            | Error::Listen { source, .. } => Some(source),
            Error::Secret(error) => Some(error),
            Error::BrokerUrl(error) => Some(error),
            Error::BrokerUnreachable(refusals) => {
                refusals.first().map(|refusal| &refusal.cause as _)
            }
            Error::BrokerLost { cause, .. } => Some(cause),
            Error::Inherited(_) | Error::BrokerUsers(_) | Error::BrokerRefuses { .. } => None,
        }
    }
}

impl std::error::Error for BrokerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BrokerError::Resolve(error)
            | BrokerError::LookUp(error)
            | BrokerError::Socket(error) => Some(error),
            BrokerError::Client(error) => Some(error),
            BrokerError::Secret(error) => Some(error),
            BrokerError::Tls { .. }
            | BrokerError::ConnectTimeout { .. }
            | BrokerError::Leaving
            | BrokerError::Backlog { .. } => None,
        }
    }
}

impl From<ClientError> for BrokerError {
    fn from(error: ClientError) -> Self {
        BrokerError::Client(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_where_and_what_to_do() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let table = [
            (
                Error::Listen {
                    addr: None,
                    port: 8080,
                    option: "--port",
                    source: io::ErrorKind::AddrInUse.into(),
                },
                "cannot listen on port 8080: address in use; stop the program that uses the \
                 port, or choose another with --port",
            ),
            (
                Error::Listen {
                    addr: Some("::1".parse().unwrap()),
                    port: 80,
                    option: "--metricsport",
                    source: io::ErrorKind::PermissionDenied.into(),
                },
                "cannot listen on [::1]:80: permission denied; choose a port above 1023 with \
                 --metricsport",
            ),
            (
                Error::BrokerUnreachable(vec![
                    Refusal {
                        url: "nats://a:1".into(),
                        cause: BrokerError::Socket(refused()),
                    },
                    Refusal {
                        url: "nats://b:2".into(),
                        cause: BrokerError::ConnectTimeout { ms: 2_000 },
                    },
                ]),
                "cannot connect to NATS at nats://a:1: connection refused, nor at nats://b:2: \
                 no connection within 2000 ms; start a NATS server there, or name another \
                 with --nats",
            ),
            (
                Error::BrokerUnreachable(vec![Refusal {
                    url: "nats://a:1".into(),
                    cause: BrokerError::LookUp(io::ErrorKind::OutOfMemory.into()),
                }]),
                "cannot connect to NATS at nats://a:1: cannot start a thread to look the host up \
                 (out of memory); raise the limit of processes, or give an IP address; start a \
                 NATS server there, or name another with --nats",
            ),
        ];
        for (error, text) in table {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn the_end_by_nats_is_explained() {
        let table = [
            (
                Error::BrokerLost {
                    url: "nats://a:1".into(),
                    cause: BrokerError::Backlog { bytes: 9 },
                    tried: 0,
                },
                "lost the connection to NATS at nats://a:1: the server does not take what is \
                 sent, 9 bytes wait; clients were disconnected, start again when the server \
                 is back",
            ),
            (
                Error::BrokerLost {
                    url: "nats://a:1".into(),
                    cause: BrokerError::Leaving,
                    tried: 30_000,
                },
                "lost the connection to NATS at nats://a:1: NATS server is about to shut down; no \
                 server was there again within 30000 ms; clients were disconnected, start again \
                 when the server is back",
            ),
            (
                Error::BrokerRefuses {
                    url: "nats://a:1".into(),
                    words: "Permissions Violation".into(),
                },
                "NATS at nats://a:1 refuses what the gateway cannot be without (\"Permissions \
                 Violation\"); give its user the right to subscribe to _INBOX.>, system.* and \
                 conn.>",
            ),
        ];
        for (error, text) in table {
            assert_eq!(error.to_string(), text);
        }
    }
}
