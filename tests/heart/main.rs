//! The heart through its public contract, with virtual time and neither sockets nor
//! threads: each test is a transcript of what clients, services and the gateway say.

mod broker;
mod defects;
mod harness;
mod races;
mod revival;
