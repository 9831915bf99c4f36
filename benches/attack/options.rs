//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use pico_args::Arguments;

use crate::attacks::Attack;
use crate::fault::Fault;
use crate::process::find_program;
use crate::stage::Scale;
use crate::subject::{Kind, Places};

const HELP: &str = "\
Attacks a gateway while a client beside, the canary, calls every 10 ms and gets an event
every 10 ms.

  cargo bench --bench attack -- [options] [part of an attack's name]...

  --peer BINARY      a gateway with the same flags to attack too
  --tidegate BINARY  another build of Tidegate; with --peer-only none
  --peer-only        the peer alone
  --seconds S        how long a flood lasts (default 5)
  --short            small counts and moments: shows that all works
  --large            larger counts, where an attack has them (100,000 names)
  --rounds N         each attack so many times; the worst round counts (default 1)
  --strict           fail when the canary or a turn is over the bar
  --list             name the attacks and end
  --write FILE       write the table into this Markdown file, between the lines
                     <!-- table: attacks --> and <!-- end of table -->

It fails when the gateway ends, or when a message of the canary or of an attacker is lost.
The bar: the canary's largest time 50 ms, its p99 20 ms, no turn of the loop above 10 ms of
CPU time.

Environment: NATS_SERVER_BIN, a nats-server.";

/// What is to be run.
pub struct Options {
    pub places: Places,
    pub scale: Scale,
    pub rounds: usize,
    pub is_strict: bool,
    pub lists: bool,
    pub write: Option<PathBuf>,
    is_peer_only: bool,
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
        let tidegate: Option<PathBuf> = args.opt_value_from_str("--tidegate").map_err(wrong)?;
        let seconds: Option<f64> = args.opt_value_from_str("--seconds").map_err(wrong)?;
        let seconds = seconds.unwrap_or(if is_short { 0.3 } else { 5.0 });
        let time = Duration::try_from_secs_f64(seconds)
            .map_err(|error| Fault::Surprise(format!("--seconds: {error}")))?;
        let rounds: Option<usize> = args.opt_value_from_str("--rounds").map_err(wrong)?;
        let mut options = Self {
            places: Places {
                others: Vec::new(),
                workers: None,
                is_inside: false,
                tidegate: tidegate.map_or_else(own_build, absolute)?,
                peer: peer.map(absolute).transpose()?,
                folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("attack"),
            },
            scale: Scale {
                time,
                is_short,
                is_large: args.contains("--large"),
            },
            rounds: rounds.unwrap_or(1).max(1),
            is_strict: args.contains("--strict"),
            lists: args.contains("--list"),
            write: args.opt_value_from_str("--write").map_err(wrong)?,
            is_peer_only: args.contains("--peer-only"),
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

    /// Whether an attack is to be run.
    pub fn wants(&self, attack: &Attack) -> bool {
        let filters = &self.filters;
        filters.is_empty() || filters.iter().any(|filter| attack.id.contains(filter))
    }

    /// Who is attacked.
    pub fn subjects(&self) -> impl Iterator<Item = Kind> {
        let tidegate = (!self.is_peer_only).then_some(Kind::Tidegate);
        let peer = self.places.peer.is_some().then_some(Kind::Peer);
        tidegate.into_iter().chain(peer)
    }
}

fn own_build() -> Result<PathBuf, Fault> {
    Ok(env!("CARGO_BIN_EXE_tidegate").into())
}

/// Subjects are started in a folder of their own.
fn absolute(path: PathBuf) -> Result<PathBuf, Fault> {
    // A bare name is looked up in the search path.
    if path.components().count() == 1 {
        return Ok(find_program(&path.to_string_lossy()));
    }
    std::path::absolute(path).map_err(Fault::from)
}
