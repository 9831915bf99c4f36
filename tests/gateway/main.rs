//! Black-box scenarios: the gateway between a real broker and real clients.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/json_corpus.rs"]
mod json_corpus;

mod access;
mod away;
mod bad_http;
mod bad_json;
mod bad_services;
mod burst;
mod call_auth;
mod compression;
mod conditions;
mod console;
mod demo;
mod drain;
mod drift;
mod events;
mod frozen;
mod hand_over;
mod header_auth;
mod home;
mod http_api;
mod http_protocol;
mod inside;
mod leaks;
mod legacy;
mod lifecycle;
mod limits;
mod lingering;
mod logs;
mod look_up;
mod mapped;
mod metrics;
mod probe;
mod protocol;
mod proxies;
mod query;
mod reference_defects;
mod references;
mod reset;
mod rotation;
mod sharing;
mod silent;
mod streams;
mod subscribe;
mod supervisor;
mod throttles;
mod timeouts;
mod tokens;
mod traces;
mod values;
mod websocket;
mod workers;
mod ws_header_auth;
