//! One world around the heart: clients, web requests, services, a broker that delays and
//! reorders as far as the protocol permits, and a virtual clock. What happens in it is
//! chosen by a seed or by the bytes of a fuzzer, and the same choices lead to the same run.
//!
//! After every input the heart is audited, and whatever a client is sent is taken by two
//! replicas that were made independently. What must hold at rest is in [`oracle`].

// Each of those who use the world uses a part of it.
#![allow(dead_code)]

pub mod actions;
mod broker;
mod changes;
pub mod choices;
pub mod client;
pub mod content;
pub mod driver;
mod hand;
mod inside;
mod ledger;
mod lies;
mod memory;
mod observer;
mod oracle;
mod presence;
mod query;
mod replica;
pub mod request;
pub mod script;
pub mod service;
pub mod simulator;
mod stream;
mod web;
