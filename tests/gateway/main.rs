//! Black-box scenarios: the gateway between a real broker and real clients.

#[path = "../common/mod.rs"]
mod common;

mod subscribe;
