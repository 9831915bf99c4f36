//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use pico_args::Arguments;

use crate::beside;
use crate::fault::Fault;
use crate::scenarios::Scenario;
use crate::subject::{Kind, Places};

const HELP: &str = "\
Measures Tidegate beside another gateway and beside the floor.

  cargo bench --bench gateway -- [options] [part of a row's name]...

  --peer BINARY      a gateway with the same flags to compare with
  --inside           the peer is Tidegate with --broker; CPU is that of gateway and broker
                     (goals beside another gateway mean nothing then)
  --workers N        the peer is Tidegate with --workers N; CPU, memory and
                     system calls are those of all its processes
  --beside LIST      what somebody might take instead, in rows that it can do: some of
                     nats-ws,centrifugo=BINARY,bun=BINARY (docs/BENCHMARKS.md says how they
                     are got); with nats-ws also Tidegate with --broker
  --tidegate BINARY  another build of Tidegate
  --rounds N         rounds of all subjects (default 5)
  --seconds S        how long a steady load lasts (default 2)
  --short            small counts and one round of moments: shows that all works
  --no-floor         without the floor
  --no-syscalls      without the further round that counts system calls
  --no-guard         do not fail when the floor is slower than the goals' machine
  --write FILE       write the results into this Markdown file: all between the lines
                     <!-- results --> and <!-- end of results --> is replaced, so rows
                     that are not run now keep nothing; plots go to plots/ beside it

Environment: NATS_SERVER_BIN, a nats-server.";

/// What is to be run.
#[derive(Debug)]
pub struct Options {
    pub places: Places,
    pub rounds: usize,
    pub time: Duration,
    pub is_short: bool,
    pub counts_calls: bool,
    pub guards: bool,
    pub write: Option<PathBuf>,
    /// Whether `--tidegate` names what is measured.
    pub has_other_build: bool,
    has_floor: bool,
    filters: Vec<String>,
}

impl Options {
    /// Reads the command line; `None` if it only asks for help.
    pub fn parse(mut args: Arguments) -> Result<Option<Self>, Fault> {
        let wrong = |error: pico_args::Error| Fault::Surprise(format!("{error}; try --help"));
        if args.contains(["-h", "--help"]) {
            println!("{HELP}");
            return Ok(None);
        }
        // `cargo bench` adds it.
        let _ = args.contains("--bench");
        let is_short = args.contains("--short");
        let peer: Option<PathBuf> = args.opt_value_from_str("--peer").map_err(wrong)?;
        let is_inside = args.contains("--inside");
        let workers: Option<String> = args.opt_value_from_str("--workers").map_err(wrong)?;
        let peers = [is_inside, workers.is_some(), peer.is_some()];
        if peers.iter().filter(|it| **it).count() > 1 {
            return Err(Fault::Surprise(
                "--inside, --workers and --peer are a peer each; leave one out".to_owned(),
            ));
        }
        let beside: Option<String> = args.opt_value_from_str("--beside").map_err(wrong)?;
        let others = beside::parse(beside.as_deref().unwrap_or_default())?;
        let tidegate = args.opt_value_from_str("--tidegate").map_err(wrong)?;
        let rounds: Option<usize> = args.opt_value_from_str("--rounds").map_err(wrong)?;
        let seconds: Option<f64> = args.opt_value_from_str("--seconds").map_err(wrong)?;
        let write: Option<PathBuf> = args.opt_value_from_str("--write").map_err(wrong)?;
        let seconds = seconds.unwrap_or(if is_short { 0.1 } else { 2.0 });
        let time = Duration::try_from_secs_f64(seconds)
            .map_err(|error| Fault::Surprise(format!("--seconds: {error}")))?;
        if is_short && write.is_some() {
            return Err(Fault::Surprise(
                "--short measures nothing that is worth to --write; leave one out".to_owned(),
            ));
        }
        let has_other_build = tidegate.is_some();
        let tidegate = tidegate.map(absolute).transpose()?;
        let tidegate = tidegate.unwrap_or_else(|| env!("CARGO_BIN_EXE_tidegate").into());
        let peer = if is_inside || workers.is_some() {
            Some(tidegate.clone())
        } else {
            peer
        };
        let mut options = Self {
            places: Places {
                tidegate,
                is_inside,
                workers,
                peer: peer.map(absolute).transpose()?,
                others,
                folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench"),
            },
            rounds: rounds.unwrap_or(if is_short { 1 } else { 5 }).max(1),
            time,
            is_short,
            counts_calls: !args.contains("--no-syscalls") && !is_short,
            guards: !args.contains("--no-guard") && !is_short,
            write,
            has_other_build,
            has_floor: !args.contains("--no-floor"),
            filters: Vec::new(),
        };
        for rest in args.finish() {
            let rest = rest.to_string_lossy().into_owned();
            if rest.starts_with('-') {
                return Err(Fault::Surprise(format!(
                    "unknown option {rest}; try --help"
                )));
            }
            options.filters.push(rest);
        }
        Ok(Some(options))
    }

    /// Whether a scenario is to be run.
    pub fn wants(&self, scenario: &Scenario) -> bool {
        let named = |filter: &String| scenario.rows.iter().any(|row| row.id.contains(filter));
        self.filters.is_empty() || self.filters.iter().any(named)
    }

    /// What the command line asked for, as the report tells it.
    pub fn describe(&self) -> String {
        let seconds = self.time.as_secs_f64();
        let mut text = match self.rounds {
            1 => "1 round".to_owned(),
            rounds => format!("{rounds} rounds"),
        };
        text.push_str(&format!(", {seconds} s of each steady load"));
        if self.places.is_inside {
            text.push_str(", the peer is Tidegate with --broker, CPU that of gateway and broker");
        }
        if let Some(workers) = &self.places.workers {
            text.push_str(&format!(
                ", the peer is Tidegate with --workers {workers}, CPU and memory of all processes"
            ));
        }
        if !self.has_floor {
            text.push_str(", without the floor");
        }
        if !self.counts_calls {
            text.push_str(", system calls not counted");
        }
        if !self.filters.is_empty() {
            let rows = self.filters.join(", ");
            text.push_str(&format!(", only rows with {rows} in their names"));
        }
        text
    }

    /// Who takes part in a scenario, in the order of a round.
    pub fn subjects(&self, scenario: &Scenario) -> impl Iterator<Item = Kind> + use<'_> {
        let peer = self.places.peer.is_some().then_some(Kind::Peer);
        let floor = (self.has_floor && scenario.floor.is_some()).then_some(Kind::Floor);
        let without = scenario.without;
        let others = match scenario.others {
            true => &self.places.others[..],
            false => &[],
        };
        let others = others.iter().map(|other| other.kind);
        // Where broker and gateway are one, so are they in Tidegate.
        let has_broker = others.clone().any(|kind| kind == Kind::NatsWs);
        let inside = has_broker.then_some(Kind::Inside);
        [Some(Kind::Tidegate), peer, floor, inside]
            .into_iter()
            .flatten()
            .chain(others)
            .filter(move |kind| !without.contains(kind))
    }
}

/// Subjects are started in a folder of their own.
fn absolute(path: PathBuf) -> Result<PathBuf, Fault> {
    // A bare name is looked up in the search path.
    if path.components().count() == 1 {
        return Ok(crate::process::find_program(&path.to_string_lossy()));
    }
    std::path::absolute(path).map_err(Fault::from)
}
