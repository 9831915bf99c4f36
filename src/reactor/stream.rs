//! A non-blocking socket with or without TLS.
//!
//! The poll is edge-triggered: no event tells of bytes that TLS holds back. So nothing is
//! held back on the way in, each read decrypts all that it has got; and on the way out,
//! [`Stream::has_unsent`] tells of ciphertext that the socket did not take, which keeps a
//! connection among those with output.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::output::{Output, Written};
use crate::gateway::Time;
use crate::tls::{Failure, RECORD, RECORD_MAX, Tls};

/// Ciphertext that is gathered for one system call.
const WIRE_MAX: usize = 64 << 10;

/// Plaintext that one call encrypts, so that one connection cannot hold up the others.
const ENCRYPT_MAX: usize = 1 << 20;

/// Least room for a read, in bytes.
pub(super) const READ_MIN: usize = 3 * RECORD_MAX;

/// A socket, and its TLS session if it has one.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<Box<Tls>>,
}

/// What a read has found.
#[derive(Debug)]
pub(super) struct Got {
    /// Bytes for us.
    pub(super) len: usize,
    /// Bytes that came: the measure of the work, as a record of one byte is as much of
    /// it as a long one is.
    pub(super) taken: usize,
    /// The socket had nothing.
    pub(super) would_block: bool,
    /// The socket had less than it was asked for.
    pub(super) is_drained: bool,
    /// The peer has ended its side, behind those bytes.
    pub(super) is_ended: bool,
}

/// Why a stream cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The socket failed.
    Socket(io::Error),
    /// The TLS session failed. What it has to say about it is queued.
    Tls(Failure),
}

impl Stream {
    /// A stream without TLS.
    pub(super) fn without_tls(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    /// Begins TLS on a stream that had none. Nothing that was read may be left over.
    pub(super) fn secure(&mut self, tls: Tls) {
        self.tls = Some(Box::new(tls));
    }

    /// Goes on without TLS, to answer a client that speaks none.
    pub(super) fn strip(&mut self) {
        self.tls = None;
    }

    /// Whether TLS has begun.
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether a TLS handshake is not finished: nothing may be written yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether ciphertext waits to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.unsent_len() > 0
    }

    fn unsent_len(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.unsent().len())
    }

    /// Registers the socket for reading and writing.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.socket, token, interest)
    }

    /// The socket itself, for its options.
    pub(super) fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.socket)
    }

    /// The error that a failed connect has left.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// The peer's address, which a socket has once it is connected.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// What has come and was not read, without TLS; it stays there.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        retry(|| self.socket.peek(buffer))
    }

    /// Takes so many bytes away that have come, without TLS.
    ///
    /// # Errors
    ///
    /// The system's, or that there are less.
    pub(super) fn skip(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.socket.read_exact(buffer)
    }

    /// Reads once, into `buffer`, which holds [`READ_MIN`] bytes at least. `wire` is used
    /// for ciphertext and keeps its length, for the next call.
    ///
    /// With TLS the number of bytes may be 0 without an end, and there may be something to
    /// send afterwards, also after an error.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; an interrupted read is made again, a read that would block is
    /// [`Got`] with nothing in it.
    pub(super) fn read(&mut self, buffer: &mut [u8], wire: &mut Vec<u8>) -> Result<Got, ReadError> {
        let Some(tls) = &mut self.tls else {
            let len = read(&mut self.socket, buffer)?;
            return Ok(Got {
                len: len.unwrap_or(0),
                taken: len.unwrap_or(0),
                would_block: len.is_none(),
                is_drained: len.is_none_or(|len| len < buffer.len()),
                is_ended: len == Some(0),
            });
        };
        let kept = tls.incoming().len();
        // What was kept of the last read and what comes decrypt to less than they are.
        // More than a record is kept of a handshake only, which holds nothing for us.
        let room = buffer.len().saturating_sub(RECORD_MAX).max(RECORD_MAX);
        if wire.len() < kept + room {
            wire.resize(kept + room, 0);
        }
        wire[..kept].copy_from_slice(tls.incoming());
        let len = read(&mut self.socket, &mut wire[kept..kept + room])?;
        let plain_len = match len {
            None | Some(0) => 0,
            Some(_) if tls.is_deaf() => 0,
            Some(len) => tls
                .decrypt(&mut wire[..kept + len], buffer)
                .map_err(ReadError::Tls)?,
        };
        Ok(Got {
            len: plain_len,
            taken: len.unwrap_or(0),
            would_block: len.is_none(),
            is_drained: len.is_none_or(|len| len < room),
            // The end counts also without the word that nothing follows: HTTP, WebSocket
            // and NATS messages have a length, so that a cut one shows.
            is_ended: len == Some(0) || tls.peer_closed(),
        })
    }

    /// Writes what waits in the queue as far as the socket takes it, within a budget.
    /// `scratch` and `wire` are any buffers.
    ///
    /// # Errors
    ///
    /// The socket's, or the TLS session's.
    pub(super) fn write_queue(
        &mut self,
        queue: &mut Output,
        scratch: &mut Vec<u8>,
        wire: &mut Vec<u8>,
        now: Time,
    ) -> io::Result<Written> {
        if self.tls.is_none() {
            return queue.write_to(&mut self.socket, scratch, now);
        }
        let before = self.unsent_len();
        if before > 0 {
            let is_sent = self.send()?;
            if self.unsent_len() < before {
                queue.note_progress(now);
            }
            if !is_sent {
                queue.note_blocked(now);
                return Ok(Written::Blocked);
            }
        }
        let mut sealed = Sealed { stream: self, wire };
        let written = queue.write_to(&mut sealed, scratch, now)?;
        Ok(match written {
            _ if self.has_unsent() => {
                queue.note_blocked(now);
                Written::Blocked
            }
            // Not the socket has enough, but the budget is used up.
            Written::Blocked => Written::Some,
            written => written,
        })
    }

    /// Writes bytes, as many as the socket takes within a budget; how many, and whether it
    /// would take more at once. `wire` is any buffer.
    ///
    /// # Errors
    ///
    /// The socket's, or the TLS session's.
    pub(super) fn write(&mut self, bytes: &[u8], wire: &mut Vec<u8>) -> io::Result<(usize, bool)> {
        if self.tls.is_some() {
            if !self.send()? {
                return Ok((0, false));
            }
            let len = Sealed { stream: self, wire }.write(bytes)?;
            return Ok((len, !self.has_unsent()));
        }
        match retry(|| self.socket.write(bytes)) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(len) => Ok((len, len == bytes.len())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok((0, false)),
            Err(error) => Err(error),
        }
    }

    /// Sends ciphertext that the socket did not take before; whether nothing is left.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub(super) fn send(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        while !tls.unsent().is_empty() {
            match retry(|| self.socket.write(tls.unsent())) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => tls.note_sent(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Tells the peer that nothing follows, where TLS has a word for it. There may be
    /// something to send afterwards. Nothing may be written any more.
    pub(super) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close();
        }
    }

    /// Ends our side.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn shutdown(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }
}

/// Encrypts what is written to it.
struct Sealed<'a> {
    stream: &'a mut Stream,
    wire: &'a mut Vec<u8>,
}

impl Sealed<'_> {
    /// Sends what was encrypted; whether all of it has left. The rest is kept.
    fn send(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.stream.tls else {
            return Ok(true);
        };
        let mut sent = 0;
        while sent < self.wire.len() {
            match retry(|| self.stream.socket.write(&self.wire[sent..])) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        tls.keep_unsent(&self.wire[sent..]);
        self.wire.clear();
        Ok(tls.unsent().is_empty())
    }
}

/// Gives less than it was offered if the socket takes no more, when the stream has unsent
/// ciphertext, or if one call has had its share.
impl Write for Sealed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.wire.clear();
        let mut taken = 0;
        for chunk in slices.iter().flat_map(|slice| slice.chunks(RECORD)) {
            if self.wire.len() >= WIRE_MAX && !self.send()? || taken >= ENCRYPT_MAX {
                break;
            }
            if let Some(tls) = &mut self.stream.tls {
                tls.encrypt(chunk, self.wire).map_err(io::Error::other)?;
            }
            taken += chunk.len();
        }
        self.send()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Socket(error)
    }
}

/// Reads once; `None` if there is nothing for now.
fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> Result<Option<usize>, ReadError> {
    match retry(|| socket.read(buffer)) {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(ReadError::Socket(error)),
    }
}

/// Makes a system call again that a signal has interrupted.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
