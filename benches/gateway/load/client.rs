//! One client's connection: its socket, what could not be written, what is not complete.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Protocol, Socket, Type};

use super::Speaks;
use crate::secure;
use crate::wire::frame_header;

/// Masks of clients need only be unpredictable to proxies, of which there are none.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x1e, 0x97];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Unmade,
    /// Until the handshake is answered, or the head of an answer without an end.
    Upgrading,
    Open,
    Ended,
}

pub struct Client {
    speaks: Speaks,
    gateway: SocketAddr,
    socket: Option<TcpStream>,
    /// How it is encrypted, if it is.
    secure: Option<Arc<ClientConfig>>,
    session: Option<Box<ClientConnection>>,
    pub phase: Phase,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    /// What came and is not a whole frame or answer yet.
    pub stash: Vec<u8>,
    /// What frames or chunks held and is not a whole message yet.
    pub part: Vec<u8>,
    is_made: bool,
}

impl Client {
    pub fn new(speaks: Speaks, gateway: SocketAddr, secure: Option<Arc<ClientConfig>>) -> Self {
        Self {
            speaks,
            gateway,
            socket: None,
            secure,
            session: None,
            phase: Phase::Unmade,
            unsent: Vec::new(),
            stash: Vec::new(),
            part: Vec::new(),
            is_made: false,
        }
    }

    pub fn speaks(&self) -> Speaks {
        self.speaks
    }

    /// Whether the TCP connection stands.
    pub fn is_made(&self) -> bool {
        self.is_made
    }

    pub fn connect(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let mut socket = connect(self.gateway)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.socket = Some(socket);
        if let Some(config) = &self.secure {
            self.session = Some(Box::new(secure::session(config)?));
        }
        self.phase = match self.speaks.upgrade() {
            Some(request) => {
                self.unsent.extend_from_slice(request.as_bytes());
                Phase::Upgrading
            }
            None => Phase::Open,
        };
        Ok(())
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match (&mut self.socket, &mut self.session) {
            (Some(socket), None) => socket.read(buffer),
            (Some(socket), Some(session)) => {
                let is_ended = take_records(session, socket)?;
                self.flush()?;
                match self.session.as_mut().map(|it| it.reader().read(buffer)) {
                    Some(Err(error)) if is_ended && error.kind() == ErrorKind::WouldBlock => Ok(0),
                    Some(result) => result,
                    None => Err(ErrorKind::WouldBlock.into()),
                }
            }
            (None, _) => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes what waits, once the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        if !self.is_made {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            match socket.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(error),
            }
            socket.set_nodelay(true)?;
            self.is_made = true;
        }
        if let Some(session) = &mut self.session {
            session.writer().write_all(&self.unsent)?;
            self.unsent = Vec::new();
            while session.wants_write() {
                match session.write_tls(socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        while !self.unsent.is_empty() {
            match socket.write(&self.unsent) {
                Ok(len) => drop(self.unsent.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.unsent.is_empty() && self.unsent.capacity() > 0 {
            self.unsent = Vec::new();
        }
        Ok(())
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    /// Sends a masked frame (RFC 6455, section 5.2) of the kind that is spoken.
    pub fn send_text(&mut self, text: &[u8]) -> io::Result<()> {
        frame_header(&mut self.unsent, self.speaks.opcode(), text.len(), 0x80);
        self.unsent.extend_from_slice(&MASK);
        let masked = text
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, key)| byte ^ key);
        self.unsent.extend(masked);
        self.flush()
    }

    /// How many bytes the socket did not take yet.
    pub fn waiting(&self) -> usize {
        self.unsent.len()
    }

    pub fn end(&mut self) -> io::Result<()> {
        match &self.socket {
            Some(socket) => socket.shutdown(Shutdown::Write),
            None => Ok(()),
        }
    }

    /// The other side has ended the connection: nothing more is heard of it.
    pub fn close(&mut self) {
        self.phase = Phase::Ended;
        self.socket = None;
        self.session = None;
    }
}

/// Begins to connect. A few thousand clients come from one address, and later ones never
/// from the same: the kernel searches long for a free port where most are taken, and those
/// of a run before stay taken for a minute.
fn connect(gateway: SocketAddr) -> io::Result<TcpStream> {
    const FROM_ONE_ADDRESS: u32 = 4_000;
    static MADE: AtomicU32 = AtomicU32::new(0);
    if !gateway.ip().is_loopback() || !gateway.is_ipv4() {
        return TcpStream::connect(gateway);
    }
    let number = MADE.fetch_add(1, Ordering::Relaxed) / FROM_ONE_ADDRESS;
    let [.., high, low] = (number % 60_000 + 256).to_be_bytes();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from(([127, 0, high, low], 0)).into())?;
    match socket.connect(&gateway.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Decrypts all that the socket has; whether the other side has ended the connection.
fn take_records(session: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<bool> {
    loop {
        match session.read_tls(socket) {
            Ok(0) => return Ok(true),
            Ok(_) => {
                session.process_new_packets().map_err(io::Error::other)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
