//! The NATS client protocol, sans-I/O.
//!
//! Bytes and time go in, operations, events and bytes come out; no socket or clock is
//! touched here, and nothing is known of what the messages mean. The caller reads into
//! one buffer, takes operations off its front with [`Parser::next`], gives each to
//! [`Client::handle`], and writes to the socket what the client and the [`writer`]
//! functions appended to its output buffer.
//!
//! The protocol is the text one of the
//! [NATS documentation](https://docs.nats.io/reference/reference-protocols/nats-protocol),
//! with headers as far as they are needed to see the status of a message.

mod blocks;
mod client;
mod credentials;
mod info;
mod longest;
mod nkey;
mod pacing;
mod parser;
mod refusal;
pub mod subject;
mod text;
mod url;
pub mod writer;

pub use blocks::Blocks;
pub use client::{Client, ClientError, Event, Options, Phase, TooLong};
pub use credentials::{Credentials, CredentialsError, UserCredentials};
pub use info::ServerInfo;
pub use longest::Lesson;
pub use nkey::{SeedError, UserKey};
#[cfg(test)]
pub(crate) use pacing::{BACKGROUND_MAX, SUBSCRIBES_MAX, UNSUBSCRIBES_MAX};
pub use pacing::{Lane, Pacing, Publish};
pub use parser::{MAX_CONTROL_LINE, MAX_PAYLOAD, Message, Op, Parser, ProtocolError, status};
pub use refusal::Refused;
pub(crate) use text::printable;
pub use url::{ServerUrl, UrlError, UrlErrorKind};
