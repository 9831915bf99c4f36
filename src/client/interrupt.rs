//! What ends a wait beside the gateway: a signal, and the end of whoever reads the output.

use std::io::{self, ErrorKind, IsTerminal};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// What a wait has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// There is something to read.
    Readable,
    /// The time is over.
    TimedOut,
    /// A signal asks to end, or nobody reads what is written.
    Interrupted,
}

/// Where a wait hears of that.
#[derive(Debug, Default)]
pub struct Interrupt {
    signals: Option<UnixStream>,
    /// Standard output is a pipe, whose other end may go.
    has_reader: bool,
}

impl Interrupt {
    /// Takes Ctrl-C and SIGTERM as the wish to end in good order. Without it, they end the
    /// process.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            pipe::register(signal, theirs.try_clone()?)?;
        }
        Ok(Self {
            signals: Some(ours),
            has_reader: !io::stdout().is_terminal(),
        })
    }

    /// Waits for a socket, or for the time alone.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn wait(&self, socket: Option<BorrowedFd<'_>>, end: Option<Instant>) -> io::Result<Woken> {
        let output = io::stdout();
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.map(|left| Timespec::try_from(left).unwrap_or_default());
            let mut places = Vec::with_capacity(3);
            if let Some(signals) = &self.signals {
                places.push(PollFd::new(signals, PollFlags::IN));
            }
            if self.has_reader {
                // Only its end is of interest, which needs not be asked for.
                places.push(PollFd::new(&output, PollFlags::empty()));
            }
            let others = places.len();
            if let Some(socket) = socket {
                places.push(PollFd::from_borrowed_fd(socket, PollFlags::IN));
            }
            match poll(&mut places, left.as_ref()) {
                Ok(0) => return Ok(Woken::TimedOut),
                Ok(_) => {}
                Err(error) if io::Error::from(error).kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            let is_woken = |place: &PollFd<'_>| !place.revents().is_empty();
            return Ok(match places[..others].iter().any(is_woken) {
                true => Woken::Interrupted,
                false => Woken::Readable,
            });
        }
    }

    /// Sleeps; `false` if that was interrupted.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn sleep(&self, time: Duration) -> io::Result<bool> {
        let woken = self.wait(None, Some(Instant::now() + time))?;
        Ok(woken != Woken::Interrupted)
    }
}
