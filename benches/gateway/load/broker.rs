//! The services' connection to the broker: just enough of the NATS client protocol.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::fault::Fault;

/// The connection.
pub struct Link {
    socket: TcpStream,
    out: Vec<u8>,
    stash: Vec<u8>,
    next_sid: u64,
    pings: u64,
    pongs: u64,
}

impl Link {
    pub fn connect(broker: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let socket = std::net::TcpStream::connect(broker)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket,
            out: b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n".to_vec(),
            stash: Vec::new(),
            next_sid: 1,
            pings: 0,
            pongs: 0,
        })
    }

    pub fn subscribe(&mut self, subject: &str) {
        let sid = self.next_sid;
        self.next_sid += 1;
        self.out
            .extend_from_slice(format!("SUB {subject} {sid}\r\n").as_bytes());
    }

    pub fn publish(&mut self, subject: &[u8], payload: &[u8]) {
        self.out.extend_from_slice(b"PUB ");
        self.out.extend_from_slice(subject);
        let _ = write!(self.out, " {}\r\n", payload.len());
        self.out.extend_from_slice(payload);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Asks for a sign that all before was taken; returns the number of that sign.
    pub fn ping(&mut self) -> u64 {
        self.out.extend_from_slice(b"PING\r\n");
        self.pings += 1;
        self.pings
    }

    pub fn pong(&mut self) {
        self.out.extend_from_slice(b"PONG\r\n");
    }

    pub fn note_pong(&mut self) {
        self.pongs += 1;
    }

    pub fn pongs(&self) -> u64 {
        self.pongs
    }

    /// How many bytes the socket did not take yet.
    pub fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Writes what waits, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut done = 0;
        while done < self.out.len() {
            match self.socket.write(&self.out[done..]) {
                Ok(len) => done += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..done);
        Ok(())
    }

    /// Reads once: what is to be split, and whether the socket is drained. `None` if
    /// there is nothing.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Option<(Vec<u8>, bool)>, Fault> {
        // A part of a message waits at the end of the stash.
        match self.socket.read(buffer) {
            Ok(0) => Err(Fault::Surprise("the broker hung up".to_owned())),
            Ok(len) => {
                let mut data = std::mem::take(&mut self.stash);
                data.extend_from_slice(&buffer[..len]);
                Ok(Some((data, len < buffer.len())))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps what `split` has left of what was read.
    pub fn keep(&mut self, mut data: Vec<u8>, used: usize) {
        data.drain(..used);
        self.stash = data;
    }
}
