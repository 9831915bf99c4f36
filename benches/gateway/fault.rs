//! What makes a run fail: a message lost, out of order or wrong, or a part that broke.

use std::fmt;
use std::io;

/// The end of a step.
pub type Outcome = Result<(), Fault>;

/// Why a run fails.
#[derive(Debug)]
pub enum Fault {
    /// A message came out of order, twice, or after one that was lost.
    Order {
        /// Who got it.
        client: usize,
        /// The number that was to come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A message that nothing asked for, or that says something wrong.
    Unexpected {
        /// Who got it.
        client: usize,
        /// Its beginning.
        text: String,
    },
    /// The gateway dropped a client.
    Dropped(usize),
    /// Not all came in time: what was waited for.
    Late(String),
    /// The gateway or the broker did something else than it should.
    Surprise(String),
    /// A socket, a file or a process.
    Io(io::Error),
}

impl Fault {
    /// A message that a client should not have got.
    pub fn unexpected(client: usize, text: &[u8]) -> Self {
        let shown = &text[..text.len().min(400)];
        Fault::Unexpected {
            client,
            text: String::from_utf8_lossy(shown).into_owned(),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Io(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Order {
                client,
                expected,
                found,
            } => write!(
                f,
                "client {client} got message {found} where {expected} was to come"
            ),
            Fault::Unexpected { client, text } => {
                write!(f, "client {client} got an unexpected message: {text}")
            }
            Fault::Dropped(client) => write!(f, "client {client} was disconnected"),
            Fault::Late(what) => write!(f, "not in time: {what}"),
            Fault::Surprise(what) => f.write_str(what),
            Fault::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Fault {}
