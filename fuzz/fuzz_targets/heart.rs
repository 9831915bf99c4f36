//! The whole heart: clients, web requests, services and the clock in any order.
//!
//! The world is the one of `tests/simulation`, and everything that must hold there must hold
//! here; but each choice in it is made by the input, byte by byte.
//!
//! With `HEART_TRACE` set in the environment all that happens is printed.

#![no_main]

#[path = "../../tests/world/mod.rs"]
mod world;

use libfuzzer_sys::fuzz_target;
use world::actions;
use world::choices::Bytes;

fuzz_target!(|data: &[u8]| {
    let is_traced = std::env::var_os("HEART_TRACE").is_some();
    let world = actions::run_bytes(Bytes::new(data), is_traced);
    let failure = world.failure.clone();
    for line in world.into_trace() {
        eprintln!("{line}");
    }
    assert_eq!(failure, None);
});
