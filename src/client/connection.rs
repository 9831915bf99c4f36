//! One connection to a gateway: TCP, TLS, WebSocket. It blocks, for a time at most.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustls::{CertificateError, ClientConfig};
use socket2::{Domain, Socket, Type};

use crate::secrets::server_name;
use crate::tls::{Failure, Tls};
use crate::ws::frame::{Opcode, write_masked};
use crate::ws::opening::{self, Answer};
use crate::ws::{Decoder, Event, Inflater, Step};

use super::core::address::Server;
use super::core::error::Error;
use super::interrupt::{Interrupt, Woken};

/// Longest message that is taken, in bytes.
const MESSAGE_MAX: usize = 256 << 20;

/// Longest message that a gateway takes, in bytes.
const REQUEST_MAX: usize = 1 << 20;

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// Most of the body that goes with a refusal.
const BODY_MAX: usize = 4 << 10;

/// A write that takes longer has failed.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// What has come.
#[derive(Debug)]
pub enum Received {
    /// A message.
    Text(String),
    /// The gateway is there, but has nothing to say.
    Pong,
    /// Nothing, and the time is over.
    TimedOut,
}

/// A WebSocket to a gateway.
pub struct Connection {
    url: String,
    socket: TcpStream,
    tls: Option<Box<Tls>>,
    decoder: Decoder,
    inflater: Inflater,
    /// What has come; what lies before `start` is taken.
    input: Vec<u8>,
    start: usize,
    random: SystemRandom,
}

/// How a connection is made.
#[derive(Debug)]
pub struct Options<'a> {
    /// Where.
    pub server: &'a Server,
    /// Fields of the upgrade request.
    pub headers: &'a [(String, String)],
    /// How TLS is spoken, if it is.
    pub tls: Option<Arc<ClientConfig>>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

impl Connection {
    /// Connects and makes a WebSocket.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn open(options: &Options<'_>, interrupt: &Interrupt) -> Result<Connection, Error> {
        let end = options.timeout.map(|timeout| Instant::now() + timeout);
        let server = options.server;
        let url = server.url();
        let socket = connect(server, end, interrupt)?;
        let prepared = socket
            .set_nodelay(true)
            .and_then(|()| socket.set_write_timeout(Some(WRITE_MAX)));
        prepared.map_err(|error| unreachable_by(&url, &error))?;
        let tls = match &options.tls {
            None => None,
            Some(config) => {
                let name = server_name(&server.host).ok_or_else(|| {
                    Error::Usage(format!("{:?} can have no certificate", server.host))
                })?;
                let session = Tls::client(Arc::clone(config), name)
                    .map_err(|failure| Error::Connection(untrusted(&url, &failure)))?;
                Some(Box::new(session))
            }
        };
        let mut connection = Connection {
            url,
            socket,
            tls,
            decoder: Decoder::of_server(),
            inflater: Inflater::default(),
            input: Vec::new(),
            start: 0,
            random: SystemRandom::new(),
        };
        connection.shake_hands(end, interrupt)?;
        connection.upgrade(options, end, interrupt)?;
        Ok(connection)
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// It is too long, or the connection is lost.
    pub fn send(&mut self, text: &str) -> Result<(), Error> {
        if text.len() > REQUEST_MAX {
            return Err(Error::Usage(format!(
                "the request has {} bytes, and a gateway takes {REQUEST_MAX} at most",
                text.len()
            )));
        }
        self.send_frame(Opcode::Text, text.as_bytes())
    }

    /// Asks whether the gateway is there.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub fn ping(&mut self) -> Result<(), Error> {
        self.send_frame(Opcode::Ping, b"")
    }

    /// Says goodbye, whether it is heard or not.
    pub fn close(mut self) {
        let _ = self.send_frame(Opcode::Close, &1000u16.to_be_bytes());
        if let Some(tls) = &mut self.tls {
            tls.close();
        }
        let _ = self.flush();
    }

    /// Waits for a message.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub fn receive(
        &mut self,
        end: Option<Instant>,
        interrupt: &Interrupt,
    ) -> Result<Received, Error> {
        loop {
            if let Some(received) = self.next_event()? {
                return Ok(received);
            }
            match self.fill(end, interrupt)? {
                Woken::Ready => {}
                Woken::TimedOut => return Ok(Received::TimedOut),
            }
        }
    }

    /// What the input has for the caller.
    fn next_event(&mut self) -> Result<Option<Received>, Error> {
        loop {
            let input = &mut self.input[self.start..];
            let step = self.decoder.next(input, MESSAGE_MAX, &mut self.inflater);
            let (received, answer, consumed) = match step {
                Err(violation) => {
                    let words = format!("{} breaks the WebSocket protocol: {violation}", self.url);
                    return Err(Error::Connection(words));
                }
                Ok(Step::NeedMore { consumed }) => {
                    self.start += consumed;
                    return Ok(None);
                }
                Ok(Step::Event { event, consumed }) => match event {
                    Event::Message { data, .. } => {
                        let text = String::from_utf8_lossy(&data).into_owned();
                        (Some(Received::Text(text)), None, consumed)
                    }
                    Event::Pong(_) => (Some(Received::Pong), None, consumed),
                    Event::Ping(payload) => {
                        (None, Some((Opcode::Pong, payload.to_vec())), consumed)
                    }
                    Event::Close { code, reason } => {
                        let words = closed(&self.url, code, reason);
                        let payload = code.map(u16::to_be_bytes);
                        let _ = self
                            .send_frame(Opcode::Close, payload.as_ref().map_or(&[], |it| &it[..]));
                        return Err(Error::Connection(words));
                    }
                },
            };
            self.start += consumed;
            if let Some((opcode, payload)) = answer {
                self.send_frame(opcode, &payload)?;
            }
            if received.is_some() {
                return Ok(received);
            }
        }
    }

    fn send_frame(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        let key = self.unforeseen()?;
        write_masked(opcode, payload, key, &mut frame);
        self.write(&frame)
    }

    /// Bytes that nobody can foresee.
    fn unforeseen<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        let filled = self.random.fill(&mut bytes);
        filled.map_err(|_| Error::Connection("the system gives no random numbers".to_owned()))?;
        Ok(bytes)
    }

    fn shake_hands(&mut self, end: Option<Instant>, interrupt: &Interrupt) -> Result<(), Error> {
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            self.flush().map_err(|error| lost(&self.url, &error))?;
            match self.fill(end, interrupt)? {
                Woken::Ready => {}
                Woken::TimedOut => return Err(self.silent()),
            }
        }
        Ok(())
    }

    fn upgrade(
        &mut self,
        options: &Options<'_>,
        end: Option<Instant>,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        let server = options.server;
        let key = opening::key(self.unforeseen()?);
        let mut request = Vec::new();
        opening::write_request(
            &server.path,
            &server.authority(),
            &key,
            options.headers,
            &mut request,
        );
        self.write(&request)?;
        loop {
            match opening::read_answer(&self.input, &key) {
                Err(failure) => {
                    let words = format!("cannot connect to {}: {failure}", self.url);
                    return Err(Error::Connection(words));
                }
                Ok(Some(Answer::Opened { consumed })) => {
                    self.start = consumed;
                    return Ok(());
                }
                Ok(Some(Answer::Refused {
                    status,
                    reason,
                    location,
                    length,
                    consumed,
                })) => {
                    let length = length.unwrap_or(0).min(BODY_MAX);
                    let body = self.body(consumed, length, end, interrupt);
                    return Err(refusal(&self.url, status, &reason, location, &body));
                }
                Ok(None) => match self.fill(end, interrupt)? {
                    Woken::Ready => {}
                    Woken::TimedOut => return Err(self.silent()),
                },
            }
        }
    }

    /// The body of a refusal, as far as it comes.
    fn body(
        &mut self,
        start: usize,
        length: usize,
        end: Option<Instant>,
        interrupt: &Interrupt,
    ) -> Vec<u8> {
        while self.input.len() < start + length {
            if !matches!(self.fill(end, interrupt), Ok(Woken::Ready)) {
                break;
            }
        }
        let end = self.input.len().min(start + length);
        self.input[start..end].to_vec()
    }

    fn silent(&self) -> Error {
        Error::TimedOut(format!("{} does not answer in time", self.url))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut wire = Vec::new();
        let written = self.flush().and_then(|()| match &mut self.tls {
            None => self.socket.write_all(bytes),
            Some(tls) => {
                let encrypted = tls.encrypt(bytes, &mut wire);
                encrypted.map_err(io::Error::other)?;
                self.socket.write_all(&wire)
            }
        });
        written.map_err(|error| lost(&self.url, &error))
    }

    /// Sends what TLS has to say of its own accord.
    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            let length = tls.unsent().len();
            self.socket.write_all(tls.unsent())?;
            tls.note_sent(length);
        }
        Ok(())
    }

    /// Reads once, as soon as there is something.
    fn fill(&mut self, end: Option<Instant>, interrupt: &Interrupt) -> Result<Woken, Error> {
        self.input.drain(..self.start);
        self.start = 0;
        let woken = interrupt.wait(Some((self.socket.as_fd(), PollFlags::IN)), end)?;
        if woken == Woken::TimedOut {
            return Ok(woken);
        }
        let old = self.input.len();
        let Some(tls) = &mut self.tls else {
            self.input.resize(old + CHUNK, 0);
            let read = retried(|| self.socket.read(&mut self.input[old..]));
            self.input
                .truncate(old + read.as_ref().map_or(0, |length| *length));
            return match read {
                Ok(0) => Err(lost(&self.url, &ErrorKind::UnexpectedEof.into())),
                Ok(_) => Ok(woken),
                Err(error) => Err(lost(&self.url, &error)),
            };
        };
        let mut wire = tls.incoming().to_vec();
        let kept = wire.len();
        wire.resize(kept + CHUNK, 0);
        let read = retried(|| self.socket.read(&mut wire[kept..]));
        let length = read.map_err(|error| lost(&self.url, &error))?;
        // What is decrypted is no longer than what has come.
        self.input.resize(old + kept + length, 0);
        let decrypted = tls.decrypt(&mut wire[..kept + length], &mut self.input[old..]);
        self.input
            .truncate(old + decrypted.as_ref().map_or(0, |length| *length));
        let is_over = length == 0 || tls.is_deaf();
        let flushed = self.flush();
        if let Err(failure) = decrypted {
            return Err(Error::Connection(untrusted(&self.url, &failure)));
        }
        if is_over && self.input.len() == old {
            return Err(lost(&self.url, &ErrorKind::UnexpectedEof.into()));
        }
        flushed.map_err(|error| lost(&self.url, &error))?;
        Ok(woken)
    }
}

fn retried<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Connects to the first address of the host that takes it.
fn connect(
    server: &Server,
    end: Option<Instant>,
    interrupt: &Interrupt,
) -> Result<TcpStream, Error> {
    let url = server.url();
    let addresses = (&*server.host, server.port).to_socket_addrs();
    let addresses = addresses.map_err(|error| unreachable_by(&url, &error))?;
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match connect_to(address, end, interrupt)? {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(unreachable_by(&url, &failure))
}

/// Connects to an address; a signal ends the wait.
fn connect_to(
    address: SocketAddr,
    end: Option<Instant>,
    interrupt: &Interrupt,
) -> Result<io::Result<TcpStream>, Error> {
    let begin = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                Err(error)
            }
            _ => Ok(socket),
        }
    };
    let socket = match begin() {
        Ok(socket) => socket,
        Err(error) => return Ok(Err(error)),
    };
    if interrupt.wait(Some((socket.as_fd(), PollFlags::OUT)), end)? == Woken::TimedOut {
        return Ok(Err(ErrorKind::TimedOut.into()));
    }
    let finish = || match socket.take_error()? {
        Some(error) => Err(error),
        None => socket.set_nonblocking(false),
    };
    Ok(finish().map(|()| socket.into()))
}

/// What the system says, in as few words as it can.
fn words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::BrokenPipe => error.kind().to_string(),
        _ => error.to_string(),
    }
}

fn unreachable_by(url: &str, error: &io::Error) -> Error {
    if error.kind() == ErrorKind::TimedOut {
        return Error::TimedOut(format!("{url} takes no connection in time"));
    }
    Error::Connection(format!(
        "cannot connect to {url}: {}; start a gateway there, or name another by --url or \
         TIDEGATE_URL",
        words(error)
    ))
}

fn lost(url: &str, error: &io::Error) -> Error {
    let words = match error.kind() {
        ErrorKind::UnexpectedEof => "it was closed".to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "nothing more is taken".to_owned(),
        _ => words(error),
    };
    Error::Connection(format!("lost the connection to {url}: {words}"))
}

fn closed(url: &str, code: Option<u16>, reason: &str) -> String {
    let meaning = match code {
        Some(1001) => "the gateway ends, or the connection is old",
        Some(1008) => "nothing was heard of us, or too much",
        Some(1009) => "the request is too long",
        Some(1012) => "NATS was away",
        Some(1013) => "the gateway has too much to do",
        _ => "without a reason",
    };
    let reason = if reason.is_empty() { meaning } else { reason };
    match code {
        Some(code) => format!("lost the connection to {url}: closed with {code}, {reason}"),
        None => format!("lost the connection to {url}: closed {reason}"),
    }
}

fn untrusted(url: &str, failure: &Failure) -> String {
    let Failure::Tls(error) = failure else {
        return format!("cannot connect to {url}: TLS has failed ({failure})");
    };
    let advice = match error {
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "its certificate is of an unknown authority; give that by --cafile",
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name",
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "its certificate has expired",
        rustls::Error::InvalidCertificate(_) => "its certificate is not valid",
        rustls::Error::InvalidMessage(_) => "it does not speak TLS; try ws:// or http://",
        _ => "TLS has failed",
    };
    format!("cannot connect to {url}: {advice} ({error})")
}

/// The gateway has answered the upgrade request with something else.
fn refusal(url: &str, status: u16, reason: &str, location: Option<String>, body: &[u8]) -> Error {
    let said = std::str::from_utf8(body).unwrap_or_default().trim();
    let failure = crate::res::json::value(said.as_bytes());
    let failure = failure.and_then(super::core::messages::failure);
    if let Ok(failure) = failure
        && !failure.code.is_empty()
        && matches!(status, 401 | 403)
    {
        return Error::Refused {
            request: format!("connect to {url}"),
            code: failure.code,
            message: failure.message,
            data: failure.data,
        };
    }
    let advice = match status {
        300..=399 => match location {
            Some(location) => format!("; it is at {location}"),
            None => String::new(),
        },
        400 => "; is it wss://, or another path?".to_owned(),
        401 | 403 => "; give what it wants by --header".to_owned(),
        404 | 405 | 426 | 200..=299 => "; the WebSocket is at another path".to_owned(),
        429 | 503 => "; try again later".to_owned(),
        _ => String::new(),
    };
    let words = format!("cannot connect to {url}: it answers {status} {reason}{advice}");
    match status {
        401 | 403 => Error::Refused {
            request: format!("connect to {url}"),
            code: format!("http.{status}"),
            message: format!("{reason}{advice}"),
            data: None,
        },
        _ => Error::Connection(words),
    }
}
