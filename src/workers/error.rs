//! Why the first process cannot run, or runs no longer.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::reactor;

/// Why [`run`](super::run) ended without being asked to.
#[derive(Debug)]
pub enum Error {
    /// A socket, or something else that gateways need too.
    Gateway(reactor::Error),
    /// The system refused something.
    System {
        /// What was asked for.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A worker cannot be started.
    Start {
        /// Its number.
        worker: usize,
        /// What was to be started.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A worker has ended soon after its start, again and again.
    GivenUp {
        /// Its number.
        worker: usize,
        /// How often in a row.
        times: u32,
        /// How it ended, in words.
        how: String,
    },
    /// Not started by a first process.
    NoPlace(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(error) => error.fmt(f),
            Self::System { what, source } => write!(f, "cannot {what}: {source}"),
            Self::Start {
                worker,
                program,
                source,
            } => {
                let program = program.display();
                write!(f, "cannot start worker {worker} ({program}): {source}")
            }
            Self::GivenUp { worker, times, how } => write!(
                f,
                "worker {worker} ended {times} times in a row soon after its start, at last by \
                 {how}: given up; its own messages say what is wrong"
            ),
            Self::NoPlace(source) => write!(
                f,
                "this process was not started as a worker ({source}); start tidegate with --workers"
            ),
        }
    }
}

impl From<reactor::Error> for Error {
    fn from(error: reactor::Error) -> Self {
        Self::Gateway(error)
    }
}
