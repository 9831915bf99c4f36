//! Listening sockets that a supervisor has opened and hands to each process that it starts
//! (socket activation, sd_listen_fds(3)). What no process takes waits in them for the next one,
//! so that a restart refuses nobody.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use socket2::SockRef;

use super::error::Error;

/// The name by which the supervisor says that a socket is for the metrics.
const METRICS: &str = "metrics";

/// Sockets that are taken at most; there is a use for two.
const SOCKETS_MAX: usize = 16;

/// What was handed to this process.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// For clients.
    pub(crate) clients: Option<TcpListener>,
    /// For operators.
    pub(crate) metrics: Option<TcpListener>,
}

impl Inherited {
    /// Takes what the environment says is for this process. Called once, and before other
    /// threads run.
    ///
    /// # Errors
    ///
    /// [`Error::Inherited`]: what was handed over is of no use.
    pub(crate) fn take() -> Result<Self, Error> {
        let variable = |name: &str| std::env::var_os(name);
        let Some(count) = count(&variable, std::process::id())? else {
            return Ok(Self::default());
        };
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.to_string_lossy();
        let is_metrics = divide(&names, count)?;
        let mut sockets = ListenFd::from_env();
        let mut inherited = Self::default();
        for (index, is_metrics) in is_metrics.into_iter().enumerate() {
            let socket = listener(&mut sockets, index).map_err(|error| {
                Error::Inherited(format!("socket {} of {count}: {error}", index + 1))
            })?;
            match is_metrics {
                true => inherited.metrics = socket,
                false => inherited.clients = socket,
            }
        }
        Ok(inherited)
    }
}

/// How many sockets are for the process with this number; `None` if there are none.
fn count(
    variable: &impl Fn(&str) -> Option<OsString>,
    process: u32,
) -> Result<Option<usize>, Error> {
    let number = |name| variable(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
    // The variables outlive the process that they were meant for.
    if number("LISTEN_PID") != Some(process.into()) {
        return Ok(None);
    }
    match number("LISTEN_FDS").and_then(|count| usize::try_from(count).ok()) {
        Some(0) => Ok(None),
        Some(count @ 1..=SOCKETS_MAX) => Ok(Some(count)),
        _ => Err(Error::Inherited(format!(
            "LISTEN_FDS is not a number from 1 to {SOCKETS_MAX}"
        ))),
    }
}

/// Which of the sockets are for the metrics, by their names. One is for clients.
fn divide(names: &str, count: usize) -> Result<Vec<bool>, Error> {
    let named = names.split(':').map(|name| name == METRICS);
    let mut is_metrics: Vec<bool> = named.take(count).collect();
    is_metrics.resize(count, false);
    let metrics = is_metrics.iter().filter(|it| **it).count();
    match (count - metrics, metrics) {
        (0 | 1, 0 | 1) => Ok(is_metrics),
        (clients, _) => Err(Error::Inherited(format!(
            "{clients} are for clients and {metrics} are named {METRICS}; there may be one of each"
        ))),
    }
}

/// The socket at an index, if it listens.
fn listener(sockets: &mut ListenFd, index: usize) -> io::Result<Option<TcpListener>> {
    let socket = sockets.take_tcp_listener(index)?;
    match &socket {
        Some(socket) if !SockRef::from(socket).is_listener()? => {
            Err(io::Error::other("it does not listen"))
        }
        _ => Ok(socket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_count_only_for_the_process_that_they_are_meant_for() {
        let cases: [(&str, &str, Option<Option<usize>>); 9] = [
            ("", "", Some(None)),
            ("77", "", None),
            ("", "1", Some(None)),
            ("78", "1", Some(None)),
            ("77", "0", Some(None)),
            ("77", "2", Some(Some(2))),
            ("77", "16", Some(Some(16))),
            ("77", "17", None),
            ("77", "-1", None),
        ];
        for (process, sockets, expected) in cases {
            let variable = |name: &str| {
                let text = if name == "LISTEN_PID" {
                    process
                } else {
                    sockets
                };
                (!text.is_empty()).then(|| text.into())
            };
            let found = count(&variable, 77).ok();
            assert_eq!(found, expected, "{process:?} {sockets:?}");
        }
    }

    #[test]
    fn names_say_which_socket_is_for_the_metrics() {
        let cases: [(&str, usize, Option<&[bool]>); 9] = [
            ("", 1, Some(&[false])),
            ("tidegate.socket", 1, Some(&[false])),
            ("metrics", 1, Some(&[true])),
            ("web:metrics", 2, Some(&[false, true])),
            ("metrics:", 2, Some(&[true, false])),
            ("metrics", 2, Some(&[true, false])),
            ("metrics:metrics", 2, None),
            ("a:b", 2, None),
            ("", 2, None),
        ];
        for (names, count, expected) in cases {
            let found = divide(names, count).ok();
            assert_eq!(found.as_deref(), expected, "{names:?}");
        }
    }
}
