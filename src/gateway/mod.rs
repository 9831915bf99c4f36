//! The heart: a deterministic, sans-I/O state machine.
//!
//! Inputs are methods of [`Gateway`]; each takes the time, and writes what is to be
//! done into an [`Outbox`] that the caller drains after every call. Nothing blocks,
//! calls back or re-enters.

mod outbox;
mod stub;
pub use stub::Gateway;

pub use outbox::{BrokerOp, ClientKey, CloseReason, Delivery, Message, Outbox, Span, WebResponse};

use std::net::SocketAddr;

/// Milliseconds of a monotonic clock that the caller reads; zero is arbitrary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// What a gateway is made from. Nothing of it changes afterwards.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path prefix of the HTTP API, with its trailing slash. It begins every `href`.
    pub api_path: String,
    /// Time for a service to answer a request, in milliseconds.
    pub request_timeout: u64,
    /// Seed of everything random: connection IDs, the inbox name, hash keys.
    pub seed: [u64; 4],
    /// Writes the members `"header":{..},"host":"..","uri":".."` of an auth request
    /// from the request head that the client connected with (the bytes given to
    /// [`Gateway::client_connected`] or in [`WebRequest::head`]).
    pub write_head: fn(head: &[u8], out: &mut Vec<u8>),
}

/// What the broker said of itself when the connection was made (NATS `INFO`).
#[derive(Clone, Copy, Debug)]
pub struct BrokerLimits {
    /// Largest payload that may be published, in bytes.
    pub max_payload: usize,
}

/// A message from the broker, as the NATS client parsed it.
#[derive(Clone, Copy, Debug)]
pub struct BrokerMessage<'a> {
    /// The subscription it was delivered for, as given in [`BrokerOp::Subscribe`].
    pub sid: u64,
    /// The subject it was published on.
    pub subject: &'a [u8],
    /// The payload without headers.
    pub payload: &'a [u8],
    /// Status of the NATS header, 503 meaning that nobody listens.
    pub status: Option<u16>,
}

/// What an HTTP request asks of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebAction {
    /// Encode a resource (GET and HEAD; the caller leaves out the body for HEAD).
    Get,
    /// Call a method, the last part of the path (POST).
    Post,
}

/// An HTTP request below the API path.
#[derive(Clone, Copy, Debug)]
pub struct WebRequest<'a> {
    /// What is asked.
    pub action: WebAction,
    /// The request target's path behind the API prefix, still percent-encoded.
    pub path: &'a str,
    /// What follows the first `?` of the request target, undecoded.
    pub query: Option<&'a str>,
    /// The request body.
    pub body: &'a [u8],
    /// The request head as received, for [`Options::write_head`].
    pub head: &'a [u8],
    /// The network address of the client.
    pub remote: SocketAddr,
}
