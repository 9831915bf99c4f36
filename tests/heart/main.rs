//! The heart through its public contract, with virtual time and neither sockets nor
//! threads: each test is a transcript of what clients, services and the gateway say.

#[path = "../common/json_corpus.rs"]
mod json_corpus;

// What is not used here serves the simulation.
#[allow(dead_code)]
#[path = "../world/driver.rs"]
mod driver;

mod access;
mod attacks;
mod bad_json;
mod bad_requests;
mod bad_services;
mod broker;
mod calls;
mod clients;
mod conditions;
mod cuts;
mod defects;
mod drift;
mod events;
mod expansions;
mod floods;
mod flow;
mod harness;
mod have;
mod header_auth;
mod limits;
mod loading;
mod meta;
mod outages;
mod overflow;
mod presence;
mod queries;
mod races;
mod resets;
mod revival;
mod runs;
mod sharing;
mod streams;
mod throttles;
mod turns;
mod warnings;
mod web;
mod windows;
