//! A gateway between NATS servers to which everything happens and clients that must not notice.
//!
//! Each round does one thing to the servers, to the network or to a connection, while a service
//! publishes and clients call, and waits until all is well again: no client without a token was
//! closed, no call came to the service twice, and each client has what the service has.
//!
//! Another test has three gateways on a cluster, any of which goes under way (`CLUSTER_ROUNDS=n`).
//!
//! `CHAOS_ROUNDS=n` and `CHAOS_SEED=n` say how many rounds there are, and what is drawn in them;
//! `SOAK_MINUTES=n` how long the soak lasts, which is skipped without.

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the world uses more of it")]
#[path = "../world/content.rs"]
mod content;
#[allow(dead_code, reason = "the world uses more of it")]
#[path = "../world/replica.rs"]
mod replica;

mod clients;
mod faults;
mod fleet;
mod random;
mod servers;
mod service;
mod soak;
mod stage;

use std::time::{Duration, Instant};

use faults::Fault;
use random::Random;
use servers::Servers;
use stage::Stage;

/// How long anything may take that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rounds when nothing else is asked for.
const ROUNDS: usize = 4;

/// The same of the gateways and servers of a cluster.
const FLEET_ROUNDS: usize = 12;

/// Clients in a round.
const CLIENTS: usize = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Rounds on these servers, in which each of the faults has its turn, in a random order.
fn rounds(name: &str, servers: Servers, faults: &[Fault], count: usize) {
    let seed = number("CHAOS_SEED").unwrap_or(1);
    let mut random = Random::new(seed);
    let mut stage = Stage::start(servers, CLIENTS, seed, &[]);
    let mut times = Vec::new();
    let mut left: Vec<Fault> = Vec::new();
    for round in 1..=count {
        if left.is_empty() {
            left = faults.to_vec();
        }
        let fault = left.swap_remove(random.below(left.len()));
        let start = Instant::now();
        fault.strike(&mut stage, &mut random);
        let healed = start.elapsed();
        stage.expect_all_well(&format!("{name}, seed {seed}, round {round}, {fault:?}"));
        let total = start.elapsed();
        times.push(total - healed);
        eprintln!(
            "{name} {round:3}: {:10} over after {:6.2} s, all clients right {:5.2} s later",
            format!("{fault:?}"),
            healed.as_secs_f64(),
            (total - healed).as_secs_f64(),
        );
    }
    times.sort();
    eprintln!("{name}: {}", stage.summary());
    eprintln!(
        "{name}: all clients right after {:.2} s in the middle, {:.2} s at most",
        times[times.len() / 2].as_secs_f64(),
        times[times.len() - 1].as_secs_f64()
    );
    stage.end();
}

#[test]
fn clients_stay_and_agree_whatever_happens_to_a_server() {
    let count = number("CHAOS_ROUNDS").map_or(ROUNDS, |count| (count as usize).div_ceil(2));
    rounds("alone", Servers::one(), &Fault::ALONE, count);
}

#[test]
fn clients_stay_and_agree_whatever_happens_to_a_cluster() {
    let count = number("CHAOS_ROUNDS").map_or(ROUNDS, |count| count as usize / 2);
    rounds("cluster", Servers::cluster(), &Fault::CLUSTER, count.max(1));
}

#[test]
fn clients_of_three_gateways_on_a_cluster_agree_whichever_of_them_goes() {
    let count = number("CLUSTER_ROUNDS").map_or(FLEET_ROUNDS, |count| count as usize);
    fleet::run(count.max(1), number("CHAOS_SEED").unwrap_or(1));
}

#[test]
fn nothing_grows_and_nobody_errs_in_the_long_run() {
    match number("SOAK_MINUTES") {
        Some(minutes) => soak::run(Duration::from_secs(60 * minutes)),
        None => eprintln!("skipped: SOAK_MINUTES is not set"),
    }
}
