//! Signals, as a readable pipe on the poll loop. Whichever thread the system gives a signal
//! to, it is the loop that hears of it.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::low_level::{pipe, unregister};

/// Where Linux says what a process does with signals.
const STATUS: &str = "/proc/self/status";

/// Handlers that set a flag and write a byte to our pipe; dropped, they are taken out again.
#[derive(Debug)]
pub(super) struct Signals {
    pipe: UnixStream,
    handlers: Vec<SigId>,
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    summary: Arc<AtomicBool>,
}

impl Signals {
    /// Installs the handlers and registers the pipe. SIGINT, SIGTERM and SIGQUIT ask the
    /// process to end; so does SIGHUP, unless there is something to load again. SIGUSR1 asks for
    /// a summary. Whoever
    /// has started the process with SIGHUP, SIGINT or SIGQUIT ignored (`nohup`, a shell's `&`)
    /// wants it to outlive them: then they stay ignored, where the system tells.
    ///
    /// # Errors
    ///
    /// What the system says: no descriptors left, above all.
    pub(super) fn new(registry: &Registry, token: Token, can_reload: bool) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut signals = Self {
            pipe: UnixStream::from_std(ours),
            handlers: Vec::new(),
            stop: Arc::default(),
            reload: Arc::default(),
            summary: Arc::default(),
        };
        let is_ignored = ignored();
        for signal in [SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1] {
            let flag = match signal {
                SIGHUP if can_reload => &signals.reload,
                SIGUSR1 => &signals.summary,
                _ => &signals.stop,
            };
            let asks_for_end = signal != SIGTERM && Arc::ptr_eq(flag, &signals.stop);
            if asks_for_end && is_ignored(signal) {
                continue;
            }
            // The flag comes first: who is woken by the byte must find it.
            let id = signal_hook::flag::register(signal, Arc::clone(flag))?;
            signals.handlers.push(id);
            let id = pipe::register(signal, theirs.try_clone()?)?;
            signals.handlers.push(id);
        }
        registry.register(&mut signals.pipe, token, Interest::READABLE)?;
        Ok(signals)
    }

    /// Watches for nothing: handlers are the whole process's, and tests share theirs.
    #[cfg(test)]
    pub(super) fn none(_: &Registry, _: Token, _: bool) -> io::Result<Self> {
        let (ours, _) = std::os::unix::net::UnixStream::pair()?;
        Ok(Self {
            pipe: UnixStream::from_std(ours),
            handlers: Vec::new(),
            stop: Arc::default(),
            reload: Arc::default(),
            summary: Arc::default(),
        })
    }

    /// Takes a readiness event; whether a signal has asked the process to end since the
    /// last call.
    pub(super) fn take_stop(&mut self) -> bool {
        let mut bytes = [0; 64];
        loop {
            match self.pipe.read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return self.stop.swap(false, Ordering::AcqRel),
            }
        }
    }

    /// Whether a signal has asked to load things again since the last call.
    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::AcqRel)
    }

    /// Whether a signal has asked for a summary since the last call.
    pub(super) fn take_summary(&self) -> bool {
        self.summary.swap(false, Ordering::AcqRel)
    }
}

/// Which signals whoever has started the process has it ignore, where the system tells.
pub(crate) fn ignored() -> impl Fn(i32) -> bool {
    let status = std::fs::read_to_string(STATUS).unwrap_or_default();
    move |signal| is_ignored(&status, signal)
}

/// Whether a signal is ignored, by what [`STATUS`] says.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = (status.lines()).find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.handlers.drain(..) {
            unregister(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let status = "Name:\ttidegate\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001005\n";
        assert!(is_ignored(status, SIGHUP) && is_ignored(status, SIGQUIT));
        assert!(!is_ignored(status, SIGINT) && !is_ignored(status, SIGTERM));
        for other in ["", "SigIgn:", "SigIgn:\tx", "SigIgn:\t1ffffffffffffffff"] {
            assert!(!is_ignored(other, SIGHUP), "{other}");
        }
    }
}
