//! Black-box scenarios: the gateway between a real broker and real clients.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod bad_http;
mod burst;
mod call_auth;
mod compression;
mod events;
mod header_auth;
mod http_api;
mod http_protocol;
mod legacy;
mod lifecycle;
mod lingering;
mod mapped;
mod metrics;
mod protocol;
mod query;
mod reference_defects;
mod references;
mod reset;
mod subscribe;
mod throttles;
mod timeouts;
mod tokens;
mod values;
mod websocket;
mod ws_header_auth;
