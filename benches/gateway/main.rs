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

mod fault;
mod floor;
mod load;
mod options;
mod process;
mod report;
mod scenarios;
mod secure;
mod services;
mod stats;
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
    std::fs::create_dir_all(&options.places.folder)?;
    let mut results = Results::default();
    for scenario in scenarios::all().filter(|scenario| options.wants(scenario)) {
        for round in 0..options.rounds {
            for kind in options.subjects(scenario) {
                let samples = run_one(scenario, kind, options, false)?;
                results.add(scenario, kind, round, samples);
            }
        }
        if options.counts_calls {
            for kind in options.subjects(scenario) {
                let samples = run_one(scenario, kind, options, true)?;
                results.add_counts(scenario, kind, samples);
            }
        }
        results.print(scenario);
    }
    results.print_summary();
    if let Some(path) = &options.write {
        results.write(path, options)?;
    }
    if options.guards {
        results.check_floor()?;
    }
    Ok(())
}

/// One scenario on one subject.
fn run_one(
    scenario: &Scenario,
    kind: Kind,
    options: &Options,
    is_counting: bool,
) -> Result<Vec<Sample>, Fault> {
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
            let samples = (scenario.run)(&mut subject, scale)?;
            match subject.is_alive() {
                true => Ok(samples),
                false => Err(Fault::Surprise("it ended by itself".to_owned())),
            }
        });
    match outcome {
        Ok(samples) => Ok(samples),
        // What the peer cannot do is a result too.
        Err(fault) if kind == Kind::Peer => {
            eprintln!("bench: {name}: the peer failed: {fault}");
            Ok(Vec::new())
        }
        Err(fault) => Err(Fault::Surprise(format!(
            "{name} on {}: {fault} (logs in {})",
            kind.name(),
            folder.display()
        ))),
    }
}
