//! One process of a worker, as the first process sees it.

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use mio::{Registry, Token};
use rustix::process::{Pid, Signal, kill_process};

use crate::control::{self, Channel, Order, Place, Report};
use crate::gateway::Time;

/// Milliseconds without a sign of life after which a worker is ended.
pub(super) const WATCH: u64 = 10_000;

/// What is of the first process alone.
const VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// What workers are started from.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// What tells one file from another.
    stamp: Option<Stamp>,
}

type Stamp = (u64, u64, u64, i64, i64);

impl Program {
    /// This one.
    ///
    /// # Errors
    ///
    /// The system does not say where it is.
    pub(super) fn of_process(arguments: Vec<OsString>) -> io::Result<Self> {
        let path = std::env::current_exe()?;
        Ok(Self {
            stamp: stamp(&path),
            path,
            arguments,
        })
    }

    /// Whether there is another file in its place since this was asked.
    pub(super) fn take_change(&mut self) -> bool {
        let now = stamp(&self.path);
        let is_other = now.is_some() && now != self.stamp;
        if is_other {
            self.stamp = now;
        }
        is_other
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;

    let file = std::fs::metadata(path).ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime(),
        file.mtime_nsec(),
    ))
}

/// A process, and what it has told.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    pub(super) channel: Channel,
    token: Token,
    started: Time,
    /// When it last gave a sign of life.
    heard: Time,
    /// It serves clients.
    pub(super) is_ready: bool,
    /// Its metrics, as it last told them, and whether it has told them since they were asked.
    pub(super) metrics: String,
    pub(super) has_told_metrics: bool,
    /// Why it wants no new clients, if it has said so since it was asked.
    pub(super) readiness: Option<String>,
    /// Something has come.
    pub(super) is_readable: bool,
    /// It takes no further clients.
    pub(super) is_leaving: bool,
}

impl Worker {
    /// Starts one, and takes its socket into the poll.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn start(
        program: &Program,
        place: &Place,
        sockets: &[BorrowedFd<'_>],
        registry: &Registry,
        token: Token,
        now: Time,
    ) -> io::Result<Self> {
        let (mut channel, theirs) = control::open(place, sockets)?;
        channel.register(registry, token)?;
        let mut command = Command::new(&program.path);
        command
            .arg(super::COMMAND)
            .args(&program.arguments)
            .stdin(Stdio::from(theirs))
            // What a terminal sends to all of the group is for the first process.
            .process_group(0);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        Ok(Self {
            child: command.spawn()?,
            channel,
            token,
            started: now,
            heard: now,
            is_ready: false,
            metrics: String::new(),
            // It is not asked yet: nobody waits for its answer.
            has_told_metrics: true,
            readiness: Some(String::new()),
            is_readable: true,
            is_leaving: false,
        })
    }

    /// Notes an event, if it is of this one.
    pub(super) fn note(&mut self, token: Token) {
        self.is_readable |= self.token == token;
    }

    /// Its process number.
    pub(super) fn number(&self) -> u32 {
        self.child.id()
    }

    /// Milliseconds since its start.
    pub(super) fn age(&self, now: Time) -> u64 {
        now.0 - self.started.0
    }

    /// It gave a sign of life.
    pub(super) fn heard(&mut self, now: Time) {
        self.heard = now;
    }

    /// When it counts as frozen.
    pub(super) fn deadline(&self) -> Time {
        Time(self.heard.0 + WATCH)
    }

    /// Tells it what to do.
    pub(super) fn order(&mut self, order: Order) {
        match order {
            Order::Metrics => self.has_told_metrics = false,
            Order::Readiness => self.readiness = None,
            _ => {}
        }
        self.channel.order(order);
    }

    /// Takes what it has told. Whether that was that it ends.
    pub(super) fn take_reports(&mut self, now: Time) -> bool {
        let mut is_leaving = false;
        while let Some(report) = self.channel.next_report() {
            self.heard(now);
            match report {
                Report::Beat => {}
                Report::Ready => self.is_ready = true,
                Report::Leaving => {
                    is_leaving = true;
                    self.is_leaving = true;
                }
                Report::Metrics(text) => (self.metrics, self.has_told_metrics) = (text, true),
                Report::Readiness(text) => self.readiness = Some(text),
            }
        }
        is_leaving
    }

    /// Lets it log what there is.
    pub(super) fn signal_summary(&self) {
        // It may have ended.
        let _ = kill_process(Pid::from_child(&self.child), Signal::USR1);
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
    }

    /// How it ended; `None` while it runs.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(words(status)),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// How a process ended.
fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => status.to_string(),
    }
}
