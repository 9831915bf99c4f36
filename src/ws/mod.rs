//! WebSocket (RFC 6455), sans-I/O.
//!
//! [`handshake`] turns an HTTP request into a connection, [`Decoder`] finds messages and
//! control frames in its input, [`frame`] builds what is sent. [`opening`] is the handshake
//! from a client's side. The one extension is
//! permessage-deflate: [`extension`] agrees on it, [`Deflater`] and [`Inflater`] do it.

mod decoder;
pub mod deflate;
pub mod extension;
pub mod frame;
pub mod handshake;
mod mask;
pub mod opening;
mod utf8;

pub use decoder::{Decoder, Event, Step, Violation};
pub use deflate::{Deflater, Inflater, Inflation};
