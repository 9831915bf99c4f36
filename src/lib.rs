//! Tidegate: a realtime and REST API gateway for the RES protocol.
//!
//! The gateway is one thread and one poll loop. Everything below [`reactor`] is
//! sans-I/O: bytes and time go in, bytes and state come out. `docs/ARCHITECTURE.md`
//! has the map.
//!
//! The library is for the binary, the tests, the benchmarks and the fuzz targets. It has no
//! stable interface and is not published: whatever is public may change with any commit.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod broker;
pub mod client;
pub mod config;
pub mod console;
pub mod control;
pub mod demo;
#[cfg(test)]
mod documents;
pub mod gateway;
pub mod http;
#[cfg(test)]
mod limits;
pub mod logging;
pub mod metrics;
pub mod nats;
pub mod pages;
pub mod proxy;
pub mod reactor;
pub mod res;
pub mod secrets;
pub(crate) mod tls;
pub mod workers;
pub mod ws;
