//! What ends a wait beside the gateway: a signal, and the end of whoever reads the output.

use std::io::{self, ErrorKind, IsTerminal};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use super::core::error::Error;

/// What a wait has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The socket is ready.
    Ready,
    /// The time is over.
    TimedOut,
}

/// Where a wait hears of that.
#[derive(Debug, Default)]
pub struct Interrupt {
    signals: Option<UnixStream>,
    /// Standard output may be a pipe, whose other end may go.
    has_reader: bool,
}

impl Interrupt {
    /// Takes Ctrl-C and SIGTERM as the wish to end in good order. Without it, they end the
    /// process; so does the second one, where the first has not been heard: the look-up of a
    /// name cannot be interrupted.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new() -> Result<Self, Error> {
        let signals =
            watch().map_err(|error| Error::Output(format!("cannot watch for signals: {error}")))?;
        Ok(Self {
            signals: Some(signals),
            has_reader: !io::stdout().is_terminal(),
        })
    }

    /// Waits until a socket is ready for something, or for the time alone.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] if the user wants to end.
    pub fn wait(
        &self,
        socket: Option<(BorrowedFd<'_>, PollFlags)>,
        end: Option<Instant>,
    ) -> Result<Woken, Error> {
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
            if let Some((socket, flags)) = socket {
                places.push(PollFd::from_borrowed_fd(socket, flags));
            }
            match poll(&mut places, left.as_ref()).map_err(io::Error::from) {
                Ok(0) => return Ok(Woken::TimedOut),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Output(format!("cannot wait: {error}"))),
            }
            let is_woken = |place: &PollFd<'_>| !place.revents().is_empty();
            return match places[..others].iter().any(is_woken) {
                true => Err(Error::Ended),
                false => Ok(Woken::Ready),
            };
        }
    }

    /// Sleeps.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] if the user wants to end.
    pub fn sleep(&self, time: Duration) -> Result<(), Error> {
        self.wait(None, Some(Instant::now() + time)).map(drop)
    }
}

/// A pipe that is readable once a signal has come.
fn watch() -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let has_come = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 0, Arc::clone(&has_come))?;
        flag::register(signal, Arc::clone(&has_come))?;
        pipe::register(signal, theirs.try_clone()?)?;
    }
    Ok(ours)
}
