//! Random runs of the gateway's heart against virtual clients, services and a virtual
//! broker, on a virtual clock. Every run follows from its seed.
//!
//! `SIM_RUNS=n` sets the number of runs and `SIM_START=n` their first seed. `SIM_SEED=n`
//! does one run and prints all that happens in it. A run that fails is shrunk before it
//! is printed, and ends the test; `SIM_ALL=1` lists all failures of many runs instead.

mod actions;
mod broker;
mod changes;
mod client;
mod content;
mod ledger;
mod oracle;
mod query;
mod replica;
mod request;
mod rng;
mod script;
mod service;
mod shrink;
mod web;
mod world;

use script::Script;

/// Runs when nothing else is asked for.
const RUNS: u64 = 150;

#[test]
fn clients_agree_with_the_services() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    if let Some(seed) = number("SIM_SEED") {
        let (failure, trace) = shrink::attempt(&Script::from_seed(seed), true);
        println!("{}", trace.join("\n"));
        assert_eq!(failure, None, "seed {seed}");
        return;
    }
    let all = number("SIM_ALL").is_some();
    let start = number("SIM_START").unwrap_or(0);
    for seed in start..start + number("SIM_RUNS").unwrap_or(RUNS) {
        let script = Script::from_seed(seed);
        let (failure, _) = shrink::attempt(&script, false);
        if let (Some(failure), true) = (&failure, all) {
            println!("seed {seed}: {failure}");
        } else if let Some(failure) = failure {
            let small = shrink::shrink(&script, &failure);
            let (failure, trace) = shrink::attempt(&small, true);
            println!("{}", trace.join("\n"));
            panic!(
                "seed {seed} fails, in {} of {} steps: {}\n{:?}",
                small.steps.len(),
                script.steps.len(),
                failure.unwrap_or_default(),
                script.profile,
            );
        }
    }
}
