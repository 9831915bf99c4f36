//! Random runs of the gateway's heart against virtual clients, services and a virtual
//! broker, on a virtual clock. Every run follows from its seed.
//!
//! `SIM_RUNS=n` sets the number of runs and `SIM_START=n` their first seed. `SIM_SEED=n`
//! does one run and prints all that happens in it. A run that fails is shrunk before it
//! is printed, and ends the test; `SIM_ALL=1` lists all failures of many runs instead.
//!
//! `SIM_RECORD=directory` writes runs as inputs for the fuzz target `heart`.

mod shrink;
#[path = "../world/mod.rs"]
mod world;

use std::sync::atomic::Ordering;
use world::actions;
use world::choices::Bytes;
use world::script::Script;

/// Runs when nothing else is asked for.
const RUNS: u64 = 150;

/// Bytes of a recorded run, which are enough for some hundred steps.
const RECORDED: usize = 600;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn clients_agree_with_the_services() {
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
            if trace.is_empty() {
                // It went with the panic.
                println!("{:#?}", small.steps);
            }
            panic!(
                "seed {seed} fails, in {} of {} steps: {}\n{:?}",
                small.steps.len(),
                script.steps.len(),
                failure.unwrap_or_default(),
                script.profile,
            );
        }
    }
    println!(
        "{} resources were compared with what services have; {} differed, none of them in a \
         run in which no event was lost",
        shrink::CHECKED.load(Ordering::Relaxed),
        shrink::DRIFTED.load(Ordering::Relaxed),
    );
    let shortened = shrink::SHORTENED.load(Ordering::Relaxed);
    println!("{shortened} times the difference took the place of events that waited");
    let spared = shrink::SPARED.load(Ordering::Relaxed);
    println!("{spared} resources were not sent, since the clients had them");
    let [rested, resumed] =
        [&shrink::RESTED, &shrink::RESUMED].map(|count| count.load(Ordering::Relaxed));
    println!("{rested} times a stream was at rest; {resumed} times it went on from there");
    assert!(resumed > 0 || number("SIM_RUNS").is_some_and(|runs| runs < RUNS));
    assert!(spared > 0 || number("SIM_RUNS").is_some_and(|runs| runs < RUNS));
}

/// What the fuzzer does, by bytes that chance has chosen.
#[test]
fn bytes_say_all_that_happens() {
    let directory = std::env::var_os("SIM_RECORD");
    let start = number("SIM_START").unwrap_or(0);
    for seed in start..start + number("SIM_RUNS").unwrap_or(RUNS) / 5 {
        let recorder = Bytes::recorded(seed, RECORDED);
        let (failure, first) = shrink::attempt_to(|| actions::run_bytes(recorder.clone(), true));
        if let Some(failure) = failure {
            println!("{}", first.join("\n"));
            panic!("bytes of seed {seed}: {failure}");
        }
        let record = recorder.record();
        let (_, again) = shrink::attempt_to(|| actions::run_bytes(Bytes::new(&record), true));
        assert_eq!(first, again, "seed {seed}");
        if let Some(directory) = &directory {
            let file = std::path::Path::new(directory).join(format!("run_{seed}"));
            std::fs::write(&file, record).expect("the directory can be written to");
        }
    }
}
