//! The socket of one service.

use std::io;
use std::net::SocketAddr;

use mio::event::Event as Readiness;
use mio::net::TcpStream;
use mio::{Registry, Token};

use crate::reactor::stream::{ReadError, Stream};

/// A service's socket, and what it sent that could not be parsed yet.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: Stream,
    pub(super) remote: SocketAddr,
    /// Input; what comes before `start` was taken.
    pub(super) kept: Vec<u8>,
    pub(super) start: usize,
    /// It stands in the list of those with input.
    pub(super) is_ready: bool,
    readable: bool,
    writable: bool,
    hung_up: bool,
}

/// What a read has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Some(usize),
    Nothing,
    /// The service has gone.
    Ended,
}

impl Socket {
    /// Takes a connection into the poll.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn open(
        socket: TcpStream,
        remote: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = Stream::without_tls(socket);
        stream.register(registry, token)?;
        Ok(Self {
            stream,
            remote,
            kept: Vec::new(),
            start: 0,
            is_ready: false,
            readable: false,
            // A fresh socket has room. If not, the first write tells.
            writable: true,
            hung_up: false,
        })
    }

    /// Notes a readiness event.
    pub(super) fn note(&mut self, event: &Readiness) {
        self.hung_up |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.hung_up;
        self.writable |= event.is_writable();
    }

    /// Whether a read may find something.
    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Reads once.
    pub(super) fn read(&mut self, buffer: &mut [u8], wire: &mut Vec<u8>) -> Read {
        let got = match self.stream.read(buffer, wire) {
            Ok(got) => got,
            Err(error) => {
                if let ReadError::Tls(failure) = error {
                    log::debug!("service {} closed: {failure}", self.remote);
                    // It hears why, if it takes it at once.
                    let _ = self.stream.send();
                }
                return Read::Ended;
            }
        };
        if !got.is_ended && (got.would_block || got.is_drained && !self.hung_up) {
            self.readable = false;
        }
        if self.stream.has_unsent() && self.stream.send().is_err() {
            return Read::Ended;
        }
        match got.len {
            0 if got.is_ended => Read::Ended,
            0 => Read::Nothing,
            len => Read::Some(len),
        }
    }

    /// Writes what the socket takes of this; how much that was.
    ///
    /// # Errors
    ///
    /// The socket's, or the TLS session's.
    pub(super) fn write(&mut self, output: &[u8], wire: &mut Vec<u8>) -> io::Result<usize> {
        if self.stream.is_handshaking() {
            self.stream.send()?;
            return Ok(0);
        }
        let mut written = 0;
        while self.writable && (written < output.len() || self.stream.has_unsent()) {
            let (len, takes_more) = self.stream.write(&output[written..], wire)?;
            written += len;
            self.writable = takes_more;
        }
        Ok(written)
    }

    /// Ends our side.
    pub(super) fn close(&mut self) {
        self.stream.close();
        // It may be gone already.
        let _ = self.stream.send();
        let _ = self.stream.shutdown();
    }

    /// Keeps input; how much more memory that takes.
    pub(super) fn keep(&mut self, input: &[u8]) -> usize {
        let before = self.kept.capacity();
        if self.start > 0 && self.start >= self.kept.len() - self.start {
            // Moves less than was taken since the last time.
            self.kept.drain(..self.start);
            self.start = 0;
        }
        self.kept.extend_from_slice(input);
        self.kept.capacity() - before
    }

    /// Gives back what input was kept in; how much memory that took.
    pub(super) fn forget_kept(&mut self) -> usize {
        self.start = 0;
        std::mem::take(&mut self.kept).capacity()
    }
}
