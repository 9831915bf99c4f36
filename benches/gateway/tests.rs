//! The unit tests of the benchmark's own parts; `cargo test --test bench` runs them.
//!
//! The benchmark itself has no test harness. This is a second root of the same modules.

// What only the benchmark uses.
#![allow(dead_code)]

mod beside;
mod fault;
mod figures;
mod floor;
mod load;
mod options;
mod plot;
mod process;
mod report;
mod scenarios;
mod secure;
mod services;
mod stats;
mod subject;
mod syscalls;
mod wire;

mod tests {
    mod beside;
    mod figures;
    mod plot;
    mod report;
    mod stats;
    mod wire;
}
