//! The TLS layer of one connection, without its socket.
//!
//! Ciphertext and plaintext go in and come out through buffers of the caller, which all
//! connections share. So a connection keeps its keys and nothing else, except the
//! beginning of a record that is not there as a whole, and ciphertext that the socket
//! did not take.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, ServerConfig};

/// Plaintext of one record at most, in bytes (RFC 8446, 5.1).
pub(crate) const RECORD: usize = 16 << 10;

/// More than a record with all that encryption adds, in bytes (RFC 5246, 6.2.3). A client
/// that has not sent as much of its handshake has no certificate to send either.
pub(crate) const RECORD_MAX: usize = 20 << 10;

/// Most input that is kept of a server's handshake, in bytes: its certificates come as
/// one message of up to 64 KiB.
const HANDSHAKE_MAX: usize = 80 << 10;

/// Most that a session may want to send of its own accord before the peer takes some,
/// in bytes.
const UNSENT_MAX: usize = 256 << 10;

/// How the beginning of a connection shows that its client does not speak TLS.
const HTTP_METHODS: [&[u8]; 7] = [
    b"GET /", b"HEAD ", b"POST ", b"PUT /", b"PATCH", b"DELET", b"OPTIO",
];

/// Why a TLS connection cannot go on.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    /// The first bytes are those of an HTTP request.
    PlainHttp,
    /// What rustls says.
    Tls(rustls::Error),
    /// The peer sends a message that is longer than any it has reason to send, or
    /// provokes more than it reads.
    TooMuch,
    /// A key may not encrypt more.
    KeyUsedUp,
    /// The session has ended, or has not begun.
    Closed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::PlainHttp => f.write_str("the client does not use TLS"),
            Failure::Tls(error) => error.fmt(f),
            Failure::TooMuch => f.write_str("a TLS message is too large"),
            Failure::KeyUsedUp => f.write_str("the TLS key has encrypted all that it may"),
            Failure::Closed => f.write_str("the TLS session has ended"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<rustls::Error> for Failure {
    fn from(error: rustls::Error) -> Self {
        Failure::Tls(error)
    }
}

/// Which side of the connection is ours.
#[expect(
    clippy::large_enum_variant,
    reason = "there are many of the large kind, which are in a box as they are, and one of the other"
)]
enum Session {
    Server(UnbufferedServerConnection),
    Client(Box<UnbufferedClientConnection>),
}

/// A TLS session, and what it holds back.
pub(crate) struct Tls {
    session: Session,
    /// The beginning of a record, or a message that is spread over records.
    incoming: Vec<u8>,
    /// Ciphertext to be sent; what comes before `sent` has left.
    outgoing: Vec<u8>,
    sent: usize,
    /// The handshake is not finished.
    is_handshaking: bool,
    /// Nothing came yet.
    is_fresh: bool,
    /// The peer has said that nothing follows.
    peer_closed: bool,
    /// We have said so, or cannot any more.
    closed: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("is_handshaking", &self.is_handshaking)
            .field("incoming", &self.incoming.len())
            .field("outgoing", &(self.outgoing.len() - self.sent))
            .finish_non_exhaustive()
    }
}

/// Where decrypted bytes go.
struct Plain<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Plain<'_> {
    /// Takes bytes, unless there is no room for all of them.
    fn push(&mut self, bytes: &[u8]) -> bool {
        let end = self.len + bytes.len();
        let Some(room) = self.buffer.get_mut(self.len..end) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.len = end;
        true
    }
}

impl Tls {
    /// Our side of a connection that a client has made.
    ///
    /// # Errors
    ///
    /// The configuration cannot serve; a checked one can.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, Failure> {
        let session = UnbufferedServerConnection::new(config)?;
        Ok(Self::new(Session::Server(session)))
    }

    /// Our side of a connection to the server of that name.
    ///
    /// # Errors
    ///
    /// The configuration offers nothing that is enabled; a checked one does.
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Failure> {
        let session = Box::new(UnbufferedClientConnection::new(config, name)?);
        let mut tls = Self::new(Session::Client(session));
        // A client speaks first.
        tls.decrypt(&mut [], &mut [])?;
        Ok(tls)
    }

    fn new(session: Session) -> Self {
        Self {
            session,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            is_handshaking: true,
            is_fresh: true,
            peer_closed: false,
            closed: false,
        }
    }

    /// Whether the handshake is not finished: no plaintext was received, and none may
    /// be sent.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.is_handshaking
    }

    /// Whether the peer has said that nothing follows.
    pub(crate) fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether input has no meaning any more: the peer has said that nothing follows, or
    /// the session has ended.
    pub(crate) fn is_deaf(&self) -> bool {
        self.peer_closed || self.closed
    }

    /// The input that was kept, to stand before what is read next.
    pub(crate) fn incoming(&self) -> &[u8] {
        &self.incoming
    }

    /// Takes ciphertext, unless it is [deaf](Self::is_deaf): what was [kept](Self::incoming) and what has come. Decrypted
    /// bytes are written to the front of `plain`; their number is returned.
    ///
    /// `plain` must be at least as long as `input`, the input of a handshake excepted.
    /// Afterwards there may be something to send.
    ///
    /// # Errors
    ///
    /// The connection has failed. What remains to be sent tells the peer why.
    pub(crate) fn decrypt(&mut self, input: &mut [u8], plain: &mut [u8]) -> Result<usize, Failure> {
        if self.is_deaf() {
            return Ok(0);
        }
        if self.is_fresh && !input.is_empty() && matches!(self.session, Session::Server(_)) {
            // A TLS client begins with one byte that no method begins with, so that
            // fewer bytes than a method has are no reason to wait.
            self.is_fresh = false;
            if HTTP_METHODS.iter().any(|&method| {
                input.starts_with(method) || method.starts_with(&input[..input.len().min(5)])
            }) {
                self.closed = true;
                return Err(Failure::PlainHttp);
            }
        }
        let mut plain = Plain {
            buffer: plain,
            len: 0,
        };
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let mut at = 0;
        let mut failure = loop {
            let rest = &mut input[at..];
            let (discard, step) = self.step(rest, &mut plain, &mut outgoing, &mut None);
            at += discard;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::PeerClosed) => self.peer_closed = true,
                Ok(Step::Done) => break None,
                Err(failure) => {
                    // The session may have an alert to send. Without, a step would look
                    // at what is wrong once more.
                    while self.wants_write() {
                        let rest = &mut input[at..];
                        if let (_, Err(_)) = self.step(rest, &mut plain, &mut outgoing, &mut None) {
                            break;
                        }
                    }
                    break Some(failure);
                }
            }
        };
        self.outgoing = outgoing;
        if self.peer_closed {
            at = input.len();
        }
        if failure.is_none() && self.outgoing.len() - self.sent > UNSENT_MAX {
            failure = Some(Failure::TooMuch);
        }
        let rest = &input[at..];
        let most = match (&self.session, self.is_handshaking) {
            (Session::Client(_), true) => HANDSHAKE_MAX,
            _ => RECORD_MAX,
        };
        if failure.is_none() && rest.len() > most {
            failure = Some(Failure::TooMuch);
        }
        if let Some(failure) = failure {
            self.closed = true;
            self.incoming = Vec::new();
            return Err(failure);
        }
        self.incoming = rest.to_vec();
        Ok(plain.len)
    }

    /// Appends the ciphertext of `plain` to `wire`. What is [unsent](Self::unsent) must
    /// have left before.
    ///
    /// # Errors
    ///
    /// The session cannot encrypt any more.
    pub(crate) fn encrypt(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        match self.closed {
            true => Err(Failure::Closed),
            false => self.perform(Task::Encrypt(plain), wire),
        }
    }

    /// Queues the word that nothing follows, once. Nothing may be encrypted afterwards.
    pub(crate) fn close(&mut self) {
        if !self.is_closed() {
            self.closed = true;
            let mut outgoing = std::mem::take(&mut self.outgoing);
            // A session that cannot say it any more need not.
            let _ = self.perform(Task::Close, &mut outgoing);
            self.outgoing = outgoing;
        }
    }

    /// Whether [`Self::close`] has been called, or would have no effect.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed || self.is_handshaking
    }

    /// Ciphertext to be sent before any other.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.outgoing[self.sent..]
    }

    /// Notes that so much of [`Self::unsent`] has left.
    pub(crate) fn note_sent(&mut self, len: usize) {
        self.sent += len;
        if self.sent >= self.outgoing.len() {
            self.outgoing = Vec::new();
            self.sent = 0;
        }
    }

    /// Keeps ciphertext that the socket has not taken.
    pub(crate) fn keep_unsent(&mut self, rest: &[u8]) {
        self.outgoing.extend_from_slice(rest);
    }

    fn wants_write(&self) -> bool {
        match &self.session {
            Session::Server(session) => session.wants_write(),
            Session::Client(session) => session.wants_write(),
        }
    }

    /// Lets the session do something as soon as it is in the state for it.
    fn perform(&mut self, task: Task<'_>, wire: &mut Vec<u8>) -> Result<(), Failure> {
        // The session must see what it has left of the input each time; it finds no more
        // in it than before.
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut task = Some(task);
        let result = loop {
            let mut plain = Plain {
                buffer: &mut [],
                len: 0,
            };
            let (discard, step) = self.step(&mut incoming, &mut plain, wire, &mut task);
            incoming.drain(..discard);
            match step {
                Ok(Step::Again) => {}
                Ok(Step::PeerClosed) => self.peer_closed = true,
                Ok(Step::Done) if task.is_none() => break Ok(()),
                Ok(Step::Done) => break Err(Failure::Closed),
                Err(failure) => break Err(failure),
            }
        };
        self.incoming = incoming;
        result
    }

    /// Does one step of the session's state machine: how much of the input is used up.
    fn step(
        &mut self,
        input: &mut [u8],
        plain: &mut Plain<'_>,
        out: &mut Vec<u8>,
        task: &mut Option<Task<'_>>,
    ) -> (usize, Result<Step, Failure>) {
        let (step, is_handshaking) = match &mut self.session {
            Session::Server(session) => (
                take_step(session.process_tls_records(input), plain, out, task),
                session.is_handshaking(),
            ),
            Session::Client(session) => (
                take_step(session.process_tls_records(input), plain, out, task),
                session.is_handshaking(),
            ),
        };
        self.is_handshaking = is_handshaking;
        step
    }
}

/// What a session is to do when it can.
#[derive(Clone, Copy)]
enum Task<'a> {
    Encrypt(&'a [u8]),
    Close,
}

/// What follows a step of the session's state machine.
enum Step {
    /// The next one.
    Again,
    /// The next one; and the peer sends no more.
    PeerClosed,
    /// Nothing, until there is more input.
    Done,
}

/// Takes what the session has decrypted and what it wants to send, and does the task if
/// its time has come.
fn take_step<D>(
    status: UnbufferedStatus<'_, '_, D>,
    plain: &mut Plain<'_>,
    out: &mut Vec<u8>,
    task: &mut Option<Task<'_>>,
) -> (usize, Result<Step, Failure>) {
    let discard = status.discard;
    let state = match status.state {
        Ok(state) => state,
        Err(error) => return (discard, Err(Failure::Tls(error))),
    };
    let step = match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            let mut step = Ok(Step::Again);
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) if plain.push(record.payload) => {}
                    Ok(_) => step = Err(Failure::TooMuch),
                    Err(error) => step = Err(Failure::Tls(error)),
                }
            }
            step
        }
        ConnectionState::EncodeTlsData(mut data) => {
            grow(out, |room| match data.encode(room) {
                Err(EncodeError::InsufficientSize(error)) => Err(error.required_size),
                Err(EncodeError::AlreadyEncoded) => Ok(0),
                Ok(len) => Ok(len),
            });
            Ok(Step::Again)
        }
        ConnectionState::TransmitTlsData(data) => {
            // It stands in a queue that loses nothing, which is as good as sent.
            data.done();
            Ok(Step::Again)
        }
        ConnectionState::PeerClosed => Ok(Step::PeerClosed),
        ConnectionState::WriteTraffic(mut traffic) => {
            let mut step = Ok(Step::Done);
            if let Some(task) = task.take() {
                grow(out, |room| {
                    let result = match task {
                        Task::Encrypt(plain) => traffic.encrypt(plain, room),
                        Task::Close => traffic.queue_close_notify(room),
                    };
                    match result {
                        Ok(len) => Ok(len),
                        Err(EncryptError::InsufficientSize(error)) => Err(error.required_size),
                        Err(EncryptError::EncryptExhausted) => {
                            step = Err(Failure::KeyUsedUp);
                            Ok(0)
                        }
                    }
                });
            }
            step
        }
        _ => Ok(Step::Done),
    };
    (discard, step)
}

/// Calls `make` with room behind the buffer's content until the room suffices; it says how
/// much it has written, or how much it needs.
fn grow(buffer: &mut Vec<u8>, mut make: impl FnMut(&mut [u8]) -> Result<usize, usize>) {
    let start = buffer.len();
    loop {
        match make(&mut buffer[start..]) {
            Ok(len) => {
                buffer.truncate(start + len);
                return;
            }
            Err(needed) => buffer.resize(start + needed, 0),
        }
    }
}

#[cfg(test)]
mod tests;
