//! Harness of the black-box tests: a real broker, the gateway binary, WebSocket and
//! HTTP clients over real sockets, and services whose every answer a test decides.
//!
//! The gateway under test is the binary of this package, or `TIDEGATE_BIN`. Every
//! expectation holds for Resgate 1.8.0 too, except in tests whose name ends in
//! `_unlike_resgate`; with `TIDEGATE_PEER=1` those return at once, so that the suite
//! can be checked against Resgate itself:
//!
//! ```text
//! TIDEGATE_BIN=/usr/local/bin/resgate TIDEGATE_PEER=1 cargo test --test gateway
//! ```
//!
//! Time-outs here only bound how long a failing test takes; no test passes because
//! time went by. That something does *not* come is shown by a fence, see
//! [`Client::fence`].

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its part of the harness"
)]

mod authority;
mod client;
mod http;
pub mod inside;
mod json;
mod openmetrics;
mod process;
mod raw;
mod service;
mod wire;

pub use authority::{Authority, Directory, Issued, data};
pub use client::Client;
pub use http::{Events, Http, Response};
pub use json::{assert_json, canonical, member};
pub use openmetrics::Exposition;
pub use process::{
    Broker, Gateway, Proxy, Stack, broker_binaries, broker_binary, broker_version, free_port,
    gateway_binary, interrupt,
};
pub use raw::{Frame, RawWs};
pub use service::{Request, Service, connect as connect_service};
pub use wire::Wire;

use std::time::Duration;

/// How long a test waits for something that must come before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// True if the gateway under test is Resgate (`TIDEGATE_PEER=1`).
pub fn is_peer() -> bool {
    std::env::var_os("TIDEGATE_PEER").is_some_and(|v| v == "1")
}

/// A service that owns the resource names `prefix.>` and a client that has made the
/// version handshake, on the gateway that all tests share.
///
/// # Panics
///
/// If another test already took the prefix.
pub fn pair(prefix: &str) -> (Service, Client) {
    let stack = Stack::shared();
    (stack.service(prefix), stack.client())
}
