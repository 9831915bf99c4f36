//! Signals that end the process, as a readable pipe on the poll loop.

use std::io::{self, Read};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};

/// Handlers that write a byte to our pipe; dropped, they are taken out again.
#[derive(Debug)]
pub(super) struct Signals {
    pipe: UnixStream,
    handlers: Vec<SigId>,
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
            handlers: Vec::new(),
        };
        for signal in [SIGINT, SIGTERM, SIGQUIT, SIGHUP] {
            let id = pipe::register(signal, theirs.try_clone()?)?;
            signals.handlers.push(id);
        }
        registry.register(&mut signals.pipe, token, Interest::READABLE)?;
        Ok(signals)
    }

    /// How many signals came since the last call (several may count as one).
    pub(super) fn take(&mut self) -> usize {
        let mut bytes = [0; 64];
        let mut count = 0;
        loop {
            match self.pipe.read(&mut bytes) {
                Ok(0) => return count,
                Ok(n) => count += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return count,
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.handlers.drain(..) {
            unregister(id);
        }
    }
}
