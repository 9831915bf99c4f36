//! The whole heart: clients, web requests, services and the clock in any order.
//!
//! After every input: what is published can stand on its line, a name's events are
//! subscribed before its content is asked for, every answer belongs to one open request,
//! and every client can follow what it is sent (see [`replica`]). At the end: every
//! request is answered once time has passed, and with the clients everything goes.
//!
//! With `HEART_TRACE` set in the environment the inputs and outputs are printed.

#![no_main]

mod replica;
mod vocabulary;
mod world;

use libfuzzer_sys::fuzz_target;
use vocabulary::Bytes;
use world::World;

/// Inputs of one run.
const MAX_STEPS: usize = 400;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(bytes.next());
    for _ in 0..MAX_STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
    }
    world.end();
});
