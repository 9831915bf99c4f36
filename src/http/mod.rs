//! HTTP/1.1 (RFC 9110, RFC 9112), sans-I/O.
//!
//! [`RequestReader`] finds requests in a connection's input, [`ResponseWriter`] appends
//! answers to its output, [`route()`] says where a request belongs and [`Cors`] who may
//! ask from which page. Nothing here knows the RES protocol, a socket or a clock.

mod body;
pub mod cors;
pub mod date;
pub(crate) mod fields;
pub mod forwarded;
pub mod head;
mod head_json;
pub mod home;
pub mod request;
pub mod response;
pub mod route;
mod trace_context;
pub mod wishes;

pub use cors::Cors;
pub use head::{Head, Version};
pub use head_json::write_head;
pub use request::{Limits, Phase, Request, RequestError, RequestReader, Step};
pub use response::{Persistence, ResponseWriter};
pub use route::{Route, route};
pub use trace_context::TraceContext;
pub use wishes::{Has, Wishes};
