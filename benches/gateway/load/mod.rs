//! The load driver: thousands of clients and all services on one thread and one poll.
//!
//! A scenario is a [`Load`]: it hears of every message and sends through [`Net`]. The
//! driver must cost less than what it measures, so it does little: frames are split in
//! the read buffer, nothing is decoded that the scenario does not look at, each client
//! is written to at once, and the broker once per turn.

mod broker;
mod client;
mod dialect;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use rustls::ClientConfig;

use crate::fault::{Fault, Outcome};
use crate::wire::{self, Delivery, Line};
use broker::Link;
use client::{Client, Phase};
use dialect::Inflater;
pub use dialect::Speaks;

/// A recorded browser's upgrade request (Chromium on Linux, a page of another origin).
pub const UPGRADE: &str = "GET / HTTP/1.1\r\n\
Host: gateway.example.com:8080\r\n\
Connection: Upgrade\r\n\
Pragma: no-cache\r\n\
Cache-Control: no-cache\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/142.0.0.0 Safari/537.36\r\n\
Upgrade: websocket\r\n\
Origin: https://www.example.com\r\n\
Sec-WebSocket-Version: 13\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en-US;q=0.9,en;q=0.8\r\n\
Sec-WebSocket-Key: 3yMLSWFdF1MH1YDDPW/aYQ==\r\n\
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
\r\n";

/// The request with which every client of the protocol begins.
pub const VERSION: &str = r#"{"id":0,"method":"version","params":{"protocol":"1.2.3"}}"#;

/// The poll's token of the broker; clients have their index.
const BROKER: Token = Token(usize::MAX - 1);

/// Bytes read from one socket at once.
const READ_SIZE: usize = 1 << 20;

/// Connections that are being made at one time; more would only wait in the backlog.
const CONNECTING: usize = 64;

/// What a scenario does with what comes. Every method may send through `net`.
pub trait Load {
    /// The connection of a client stands: its handshake, if it makes one, is answered.
    fn opened(&mut self, net: &mut Net, client: usize) -> Outcome {
        let _ = (net, client);
        Ok(())
    }

    /// A text message came for a client.
    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let _ = net;
        Err(Fault::unexpected(client, text))
    }

    /// The answer to a client's HTTP request came.
    fn response(&mut self, net: &mut Net, client: usize, status: u16, body: &[u8]) -> Outcome {
        let _ = (net, status);
        Err(Fault::unexpected(client, body))
    }

    /// The other side ended a client's connection.
    fn ended(&mut self, net: &mut Net, client: usize) -> Outcome {
        let _ = net;
        Err(Fault::Dropped(client))
    }

    /// A frame came for a client that is no text and no ping.
    fn control(&mut self, net: &mut Net, client: usize, opcode: u8, payload: &[u8]) -> Outcome {
        let _ = (net, opcode);
        Err(Fault::unexpected(client, payload))
    }

    /// A message came from the broker.
    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        let _ = net;
        Err(Fault::Surprise(format!(
            "request on {}",
            String::from_utf8_lossy(delivery.subject)
        )))
    }

    /// Everything that came in one poll was handed over; `now` is the present.
    fn turn(&mut self, net: &mut Net, now: Instant) -> Outcome {
        let _ = (net, now);
        Ok(())
    }

    /// When `turn` is wanted although nothing comes.
    fn wake(&self) -> Option<Instant> {
        None
    }

    /// Whether the scenario has what it waited for.
    fn is_done(&self) -> bool;
}

/// All sockets of the driver.
pub struct Net {
    poll: Poll,
    clients: Vec<Client>,
    /// Clients whose connection is not made yet, by index from here on.
    unmade: usize,
    connecting: usize,
    /// How clients that are added are encrypted, if they are.
    secure: Option<Arc<ClientConfig>>,
    inflater: Inflater,
    broker: Link,
    buffer: Vec<u8>,
    now: Instant,
}

impl Net {
    /// Connects to the broker, which is the services' side.
    pub fn new(broker: SocketAddr) -> Result<Self, Fault> {
        let poll = Poll::new()?;
        Ok(Self {
            broker: Link::connect(broker, poll.registry(), BROKER)?,
            poll,
            clients: Vec::new(),
            unmade: 0,
            connecting: 0,
            secure: None,
            inflater: Inflater::default(),
            buffer: vec![0; READ_SIZE],
            now: Instant::now(),
        })
    }

    /// The time of the turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Adds clients; [`run`](Self::run) connects them, some at a time.
    pub fn add(&mut self, count: usize, speaks: Speaks, gateway: SocketAddr) {
        let secure = &self.secure;
        self.clients
            .extend((0..count).map(|_| Client::new(speaks, gateway, secure.clone())));
    }

    /// Makes clients that are added from now on speak TLS.
    pub fn encrypt(&mut self, config: Arc<ClientConfig>) {
        self.secure = Some(config);
    }

    /// Subscribes to a subject at the broker.
    pub fn subscribe(&mut self, subject: &str) {
        self.broker.subscribe(subject);
    }

    /// Publishes; it leaves at the end of the turn.
    pub fn publish(&mut self, subject: &[u8], payload: &[u8]) {
        self.broker.publish(subject, payload);
    }

    /// How many bytes for the broker wait.
    pub fn waiting_for_broker(&self) -> usize {
        self.broker.waiting()
    }

    /// Waits until the broker has taken everything that was sent to it.
    pub fn settle_broker(&mut self) -> Outcome {
        struct Pong(u64);
        impl Load for Pong {
            fn turn(&mut self, net: &mut Net, _: Instant) -> Outcome {
                self.0 = net.broker.pongs();
                Ok(())
            }
            fn is_done(&self) -> bool {
                self.0 == u64::MAX
            }
        }
        let target = self.broker.ping();
        let limit = Instant::now() + Duration::from_secs(60);
        let mut pong = Pong(0);
        while pong.0 < target {
            self.step(&mut pong, limit)?;
        }
        Ok(())
    }

    /// Sends a text message as a client.
    pub fn send(&mut self, client: usize, text: &[u8]) -> Outcome {
        sent(self.clients[client].send_text(text))
    }

    /// Sends bytes as they are as a client.
    pub fn send_raw(&mut self, client: usize, bytes: &[u8]) -> Outcome {
        sent(self.clients[client].send(bytes))
    }

    /// How many bytes of a client wait for its socket.
    pub fn waiting(&self, client: usize) -> usize {
        self.clients[client].waiting()
    }

    /// Ends a client's side of its connection.
    pub fn end(&mut self, client: usize) -> Outcome {
        self.clients[client].end().map_err(Fault::from)
    }

    /// Runs the load until it is done.
    ///
    /// # Errors
    ///
    /// What the load found wrong, a socket's error, or [`Fault::Late`] when `limit` is
    /// over, with `what` in its text.
    pub fn run(&mut self, load: &mut impl Load, what: &str, limit: Duration) -> Outcome {
        let limit = Instant::now() + limit;
        while !load.is_done() {
            if self.now >= limit {
                return Err(Fault::Late(what.to_owned()));
            }
            self.step(load, limit)?;
        }
        Ok(())
    }

    fn step(&mut self, load: &mut impl Load, limit: Instant) -> Outcome {
        self.connect_more()?;
        self.broker.flush()?;
        let due = load.wake().map_or(limit, |wake| wake.min(limit));
        let sleep = due.saturating_duration_since(Instant::now());
        let mut events = Events::with_capacity(4_096);
        match self.poll.poll(&mut events, Some(sleep)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => other?,
        }
        self.now = Instant::now();
        // Taken for the turn, so that the load can use `self` while it looks at bytes.
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut outcome = Ok(());
        for event in &events {
            let token = event.token();
            outcome = if token == BROKER {
                self.take_broker(load, &mut buffer)
            } else {
                self.take_client(load, token.0, event.is_writable(), &mut buffer)
            };
            if outcome.is_err() {
                break;
            }
        }
        self.buffer = buffer;
        outcome?;
        let now = self.now;
        load.turn(self, now)
    }

    fn connect_more(&mut self) -> Outcome {
        while self.connecting < CONNECTING && self.unmade < self.clients.len() {
            let index = self.unmade;
            self.clients[index].connect(self.poll.registry(), Token(index))?;
            self.unmade += 1;
            self.connecting += 1;
        }
        Ok(())
    }

    fn take_broker(&mut self, load: &mut impl Load, buffer: &mut [u8]) -> Outcome {
        loop {
            let (data, is_drained) = match self.broker.read(buffer)? {
                Some(read) => read,
                None => return Ok(()),
            };
            let used = wire::split_lines(&data, |delivery| match delivery {
                Line::Message(delivery) => load.request(self, delivery),
                Line::Ping => {
                    self.broker.pong();
                    Ok(())
                }
                Line::Pong => {
                    self.broker.note_pong();
                    Ok(())
                }
                Line::Error(text) => Err(Fault::Surprise(format!("broker: {text}"))),
            })?;
            self.broker.keep(data, used);
            if is_drained {
                return Ok(());
            }
        }
    }

    fn take_client(
        &mut self,
        load: &mut impl Load,
        index: usize,
        is_writable: bool,
        buffer: &mut [u8],
    ) -> Outcome {
        if is_writable {
            let client = &mut self.clients[index];
            let was_made = client.is_made();
            sent(client.flush())?;
            if !was_made && client.is_made() && client.phase == Phase::Open {
                self.connecting -= 1;
                load.opened(self, index)?;
            }
        }
        loop {
            let client = &mut self.clients[index];
            let len = match client.read(buffer) {
                Ok(0) => return self.close(load, index),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_reset(&error) => return self.close(load, index),
                Err(error) => return Err(error.into()),
            };
            let is_drained = len < buffer.len();
            if client.stash.is_empty() {
                let used = self.parse(load, index, &buffer[..len])?;
                self.clients[index]
                    .stash
                    .extend_from_slice(&buffer[used..len]);
            } else {
                let mut stash = std::mem::take(&mut client.stash);
                stash.extend_from_slice(&buffer[..len]);
                let used = self.parse(load, index, &stash)?;
                stash.drain(..used);
                self.clients[index].stash = stash;
            }
            if is_drained {
                return Ok(());
            }
        }
    }

    /// The other side has ended a client's connection.
    fn close(&mut self, load: &mut impl Load, index: usize) -> Outcome {
        let client = &mut self.clients[index];
        let was_waiting = match client.speaks() {
            Speaks::Http => !client.is_made(),
            _ => client.phase == Phase::Upgrading,
        };
        self.connecting -= usize::from(was_waiting);
        client.close();
        load.ended(self, index)
    }

    /// Hands over what is complete of a client's input; returns how much that was.
    fn parse(&mut self, load: &mut impl Load, index: usize, input: &[u8]) -> Result<usize, Fault> {
        let mut used = 0;
        if self.clients[index].phase == Phase::Upgrading {
            let Some(end) = wire::head_end(input) else {
                return Ok(0);
            };
            let speaks = self.clients[index].speaks();
            if !input.starts_with(speaks.accepted()) {
                return Err(Fault::unexpected(index, &input[..end]));
            }
            self.clients[index].phase = Phase::Open;
            self.connecting -= 1;
            used = end;
            load.opened(self, index)?;
        }
        match self.clients[index].speaks() {
            Speaks::Http => {
                while let Some((status, body, len)) = wire::split_response(&input[used..])? {
                    let body = used + body.start..used + body.end;
                    used += len;
                    load.response(self, index, status, &input[body])?;
                }
            }
            Speaks::Stream(_) => {
                while let Some((data, len)) = wire::split_chunk(&input[used..]) {
                    let data = used + data.start..used + data.end;
                    used += len;
                    self.take_events(load, index, &input[data])?;
                }
            }
            speaks => {
                while let Some((frame, len)) = wire::split_frame(&input[used..]) {
                    let payload = used + frame.payload.start..used + frame.payload.end;
                    used += len;
                    self.take_frame(load, index, speaks, &frame, &input[payload])?;
                }
            }
        }
        Ok(used)
    }
}

/// The end of a write. That the connection is lost shows at the next read too, which tells
/// the load.
fn sent(result: io::Result<()>) -> Outcome {
    match result {
        Err(error) if is_reset(&error) => Ok(()),
        other => other.map_err(Fault::from),
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}
