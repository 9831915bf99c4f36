//! The broker inside, beside a real nats-server, and with real clients.

#[path = "../common/mod.rs"]
mod common;

mod clients;
mod refused;
mod transcripts;
