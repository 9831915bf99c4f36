//! What signals ask of the first process, as a readable pipe on its poll.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::low_level::pipe;

use crate::reactor::ignored;

/// Handlers that set a flag and write a byte to our pipe.
#[derive(Debug)]
pub(super) struct Signals {
    pipe: UnixStream,
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    renew: Arc<AtomicBool>,
    summary: Arc<AtomicBool>,
}

/// What signals have asked for since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// All is to end.
    pub(super) stop: bool,
    /// Configuration and certificates are to be read again.
    pub(super) reload: bool,
    /// All workers are to be replaced.
    pub(super) renew: bool,
    /// The workers are to log what there is.
    pub(super) summary: bool,
}

impl Signals {
    /// Installs the handlers and registers the pipe.
    ///
    /// # Errors
    ///
    /// What the system says: no descriptors left, above all.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut signals = Self {
            pipe: UnixStream::from_std(ours),
            stop: Arc::default(),
            reload: Arc::default(),
            renew: Arc::default(),
            summary: Arc::default(),
        };
        // What is asked for comes first: who is woken by the byte must find it.
        let is_ignored = ignored();
        for (signal, flag) in [
            (SIGINT, &signals.stop),
            (SIGTERM, &signals.stop),
            (SIGQUIT, &signals.stop),
            (SIGHUP, &signals.reload),
            (SIGUSR2, &signals.renew),
            (SIGUSR1, &signals.summary),
        ] {
            // Whoever has started the process so wants it to outlive them.
            if matches!(signal, SIGINT | SIGQUIT) && is_ignored(signal) {
                continue;
            }
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            pipe::register(signal, theirs.try_clone()?)?;
        }
        pipe::register(SIGCHLD, theirs)?;
        registry.register(&mut signals.pipe, token, Interest::READABLE)?;
        Ok(signals)
    }

    /// Empties the pipe; what was asked for since the last call.
    pub(super) fn take(&mut self) -> Asked {
        let mut bytes = [0; 64];
        loop {
            match self.pipe.read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        Asked {
            stop: self.stop.swap(false, Ordering::AcqRel),
            reload: self.reload.swap(false, Ordering::AcqRel),
            renew: self.renew.swap(false, Ordering::AcqRel),
            summary: self.summary.swap(false, Ordering::AcqRel),
        }
    }
}
