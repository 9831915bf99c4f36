//! Tidegate beside another gateway and beside the floor, in one run.
//!
//! ```text
//! make bench                      # Tidegate and the floor
//! make bench PEER=resgate         # and another gateway with the same flags
//! cargo bench --bench gateway -- --help
//! ```
//!
//! Every scenario is run in rounds, each with all subjects in turn, each subject in a
//! process of its own with a broker of its own. Ratios are those of one round; the
//! report gives their median and spread. A message that is lost, out of order or wrong
//! fails the run; a slow one does not.

mod beside;
mod fault;
mod figures;
mod floor;
// Some of it serves benches/attack alone.
#[allow(dead_code)]
mod load;
mod options;
mod plot;
// Some of it serves benches/attack alone.
#[allow(dead_code)]
mod process;
mod report;
mod scenarios;
mod secure;
mod services;
mod stats;
// Some of it serves benches/attack alone.
#[allow(dead_code)]
mod subject;
mod syscalls;
mod wire;

use std::process::ExitCode;

use fault::Fault;
use options::Options;
use report::Results;
use scenarios::{Scale, Scenario};
use subject::{Kind, Places, Sample, Subject};

fn main() -> ExitCode {
    let mut args = pico_args::Arguments::from_env();
    let outcome = match args.subcommand() {
        Ok(Some(command)) if command == "floor" => floor::run(args),
        Ok(None) => Options::parse(args).and_then(|options| match options {
            Some(options) => measure(&options),
            None => Ok(()),
        }),
        Ok(Some(command)) => Err(Fault::Surprise(format!("unknown command {command}"))),
        Err(error) => Err(Fault::Surprise(error.to_string())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("bench: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), Fault> {
    process::raise_file_limit();
    std::fs::create_dir_all(&options.places.folder)?;
    let mut results = Results::default();
    for scenario in scenarios::all().filter(|scenario| options.wants(scenario)) {
        for round in 0..options.rounds {
            for kind in options.subjects(scenario) {
                // A failure may take a minute to show; once is enough.
                if results.has_failed(scenario, kind) {
                    continue;
                }
                match run_one(scenario, kind, options, false)? {
                    Ok(samples) => results.add(scenario, kind, round, samples),
                    Err(why) => results.add_failure(scenario, kind, why),
                }
            }
        }
        if options.counts_calls {
            for kind in options.subjects(scenario) {
                if results.has_failed(scenario, kind) {
                    continue;
                }
                match run_one(scenario, kind, options, true)? {
                    Ok(samples) => results.add_counts(scenario, kind, samples),
                    Err(why) => results.add_failure(scenario, kind, why),
                }
            }
        }
        results.print(scenario, !options.is_short);
    }
    if options.is_short {
        println!("\nThe short form shows that all works; its figures mean nothing.");
    } else {
        results.print_summary();
    }
    if let Some(path) = &options.write {
        results.write(path, options)?;
    }
    let slow = results.slow_floors();
    if options.guards && !slow.is_empty() {
        return Err(Fault::Surprise(format!(
            "the floor is slow here, ratios to it flatter (--no-guard to take them all the \
             same):\n  {}",
            slow.join("\n  ")
        )));
    }
    Ok(())
}

/// One scenario on one subject: its samples, or what the peer cannot do.
fn run_one(
    scenario: &Scenario,
    kind: Kind,
    options: &Options,
    is_counting: bool,
) -> Result<Result<Vec<Sample>, String>, Fault> {
    let Places { folder, .. } = &options.places;
    let name = scenario.rows[0].id;
    let scale = Scale {
        time: match is_counting {
            true => options.time / 4,
            false => options.time,
        },
        is_short: options.is_short,
    };
    let floor = scenario.floor.unwrap_or(subject::PLAIN);
    let outcome = Subject::start(kind, &options.places, floor, scenario.flags, is_counting)
        .and_then(|mut subject| {
            let outcome = (scenario.run)(&mut subject, scale);
            match (outcome, subject.is_alive()) {
                (outcome, true) => outcome,
                (Ok(_), false) => Err(Fault::Surprise("it ended by itself".to_owned())),
                (Err(fault), false) => Err(Fault::Surprise(format!("it ended by itself: {fault}"))),
            }
        });
    match outcome {
        Ok(samples) => Ok(Ok(samples)),
        // What another cannot do is a result too.
        Err(fault) if kind == Kind::Peer || kind.is_other() => {
            eprintln!("bench: {name}: {} failed: {fault}", kind.name());
            Ok(Err(fault.to_string()))
        }
        Err(fault) => Err(Fault::Surprise(format!(
            "{name} on {}: {fault} (logs in {})",
            kind.name(),
            folder.display()
        ))),
    }
}
