//! WebSocket (RFC 6455), sans-I/O.
//!
//! [`handshake`] turns an HTTP request into a connection, [`Decoder`] finds messages and
//! control frames in its input, [`frame`] builds what is sent. No extension is
//! negotiated yet.

mod decoder;
pub mod frame;
pub mod handshake;
mod mask;
mod utf8;

pub use decoder::{Decoder, Event, Step, Violation};
