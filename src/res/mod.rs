//! The RES vocabulary, without I/O: resource IDs, patterns, values, errors, protocol
//! versions, and the messages of services and clients.

mod check;
pub mod client;
pub mod error;
pub mod json;
pub mod meta;
pub mod order;
pub mod pattern;
pub mod reading;
pub mod rid;
mod scan;
pub mod service;
pub mod text;
pub mod trace;
pub mod value;
pub mod version;

pub use error::Error;
pub use meta::Meta;
pub use pattern::{Pattern, PatternSet};
pub use text::Text;
pub use value::Value;
pub use version::Version;
