//! Black-box scenarios: the gateway between a real broker and real clients.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod call_auth;
mod events;
mod protocol;
mod reference_defects;
mod references;
mod subscribe;
mod tokens;
mod values;
