//! Black-box scenarios: the gateway between a real broker and real clients.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod burst;
mod call_auth;
mod compression;
mod events;
mod http_api;
mod http_protocol;
mod lifecycle;
mod lingering;
mod metrics;
mod protocol;
mod query;
mod reference_defects;
mod references;
mod reset;
mod subscribe;
mod timeouts;
mod tokens;
mod values;
mod websocket;
