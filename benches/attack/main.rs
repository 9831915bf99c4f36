//! Attacks on a gateway, and what a client beside them notices.
//!
//! ```text
//! make attack                      # every attack on Tidegate
//! make attack PEER=resgate         # and on another gateway with the same flags
//! cargo bench --bench attack -- --help
//! ```
//!
//! Each attack has a gateway and a broker of its own. Beside it the canary calls every
//! 10 ms and gets an event every 10 ms; its times, the turns of the gateway's loop by the clock
//! and by CPU time, CPU and memory are told for as long as the attack and what it leaves behind
//! last. A message that is lost, or a gateway that ends, fails the run; a slow one does not, but
//! for `--strict`.

mod attacks;
mod canary;
mod options;
mod service;
mod stage;
mod table;
mod turns;

// Parts of the benchmark, of which not all is used here.
#[allow(dead_code)]
#[path = "../gateway/beside.rs"]
mod beside;

#[path = "../gateway/fault.rs"]
mod fault;
#[allow(dead_code)]
#[path = "../gateway/figures.rs"]
mod figures;
#[allow(dead_code)]
#[path = "../gateway/load/mod.rs"]
mod load;
#[allow(dead_code)]
#[path = "../gateway/process.rs"]
mod process;
#[allow(dead_code)]
#[path = "../gateway/secure.rs"]
mod secure;
#[allow(dead_code)]
#[path = "../gateway/stats.rs"]
mod stats;
#[allow(dead_code)]
#[path = "../gateway/subject.rs"]
mod subject;
#[allow(dead_code)]
#[path = "../gateway/syscalls.rs"]
mod syscalls;
#[allow(dead_code)]
#[path = "../gateway/wire.rs"]
mod wire;

use std::process::ExitCode;

use attacks::{ATTACKS, Attack};
use fault::Fault;
use options::Options;
use stage::{Found, Stage};
use subject::{Kind, Subject};
use table::Table;

fn main() -> ExitCode {
    let options = Options::parse(pico_args::Arguments::from_env());
    match options.and_then(|options| options.map_or(Ok(true), |options| run(&options))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("attack: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what is asked for; whether all held.
fn run(options: &Options) -> Result<bool, Fault> {
    if options.lists {
        for attack in ATTACKS {
            println!("{:24} {}", attack.id, attack.title);
        }
        return Ok(true);
    }
    process::raise_file_limit();
    std::fs::create_dir_all(&options.places.folder)?;
    let mut table = Table::default();
    for attack in ATTACKS.iter().filter(|attack| options.wants(attack)) {
        for kind in options.subjects() {
            for _ in 0..options.rounds {
                let outcome = attack_one(attack, kind, options);
                table.add(attack, kind, outcome);
            }
        }
    }
    table.print();
    if let Some(path) = &options.write {
        table.write(path)?;
    }
    let is_over = options.is_strict && table.is_over();
    Ok(!table.has_failed() && !is_over)
}

fn attack_one(attack: &Attack, kind: Kind, options: &Options) -> Result<Found, Fault> {
    let metrics = process::free_address()?;
    let port = metrics.port().to_string();
    let mut flags = vec!["--metricsport", port.as_str()];
    flags.extend(attack.flags);
    let mut subject = Subject::start(kind, &options.places, subject::PLAIN, &flags, false)?;
    subject.process().await_port(metrics)?;
    let outcome = Stage::new(&mut subject, metrics, options.scale).and_then(|mut stage| {
        (attack.run)(&mut stage)?;
        stage.finish()
    });
    let ends = matches!(&outcome, Ok(found) if found.ends);
    match (outcome, subject.is_alive() || ends) {
        (outcome, true) => outcome,
        (Ok(_), false) => Err(Fault::Surprise("it ended by itself".to_owned())),
        (Err(fault), false) => Err(Fault::Surprise(format!("it ended by itself: {fault}"))),
    }
}
