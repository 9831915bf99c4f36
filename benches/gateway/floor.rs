//! The floor: the least that an event loop can do for a scenario.
//!
//! It accepts, reads, makes the scenario's round trips to the broker, and writes
//! ready-made answers and frames, one write for each client and wake-up. It decodes
//! nothing: it does not unmask, parse, look anything up, or remember who subscribed to
//! what. What a gateway needs above this is its own work.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use pico_args::Arguments;

use crate::fault::Fault;
use crate::wire::{Line, TEXT, find, frame_header, number, split_lines};

const LISTENER: Token = Token(usize::MAX - 1);
const BROKER: Token = Token(usize::MAX - 2);

/// What every event of the scenarios is about.
pub const EVENT_HEAD: &[u8] = br#"{"event":"bench.m.change","data":"#;

const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
Upgrade: websocket\r\n\
Connection: Upgrade\r\n\
Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";

struct Client {
    socket: TcpStream,
    is_upgraded: bool,
    /// Answers so far, which is the ID of the next one's request.
    answered: u64,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

impl Client {
    /// Writes at once; what the socket does not take waits.
    fn send(&mut self, bytes: &[u8]) {
        let done = match self.unsent.is_empty() {
            true => self.socket.write(bytes).unwrap_or(0),
            false => 0,
        };
        self.unsent.extend_from_slice(&bytes[done..]);
    }

    /// Writes what waits, once the socket takes it.
    fn resume(&mut self) {
        if !self.unsent.is_empty() {
            let done = self.socket.write(&self.unsent).unwrap_or(0);
            self.unsent.drain(..done);
        }
    }
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    broker: TcpStream,
    broker_out: Vec<u8>,
    broker_stash: Vec<u8>,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    /// Clients in the order of their upgrades, which is that of their own events.
    upgraded: Vec<usize>,
    /// Frames of this wake-up that are for every client.
    shared: Vec<u8>,
    /// Where an answer for one client is put together.
    scratch: Vec<u8>,
    buffer: Vec<u8>,
    hops: u64,
    answer: String,
    is_addressed: bool,
}

/// Runs the floor until it is killed.
pub fn run(mut args: Arguments) -> Result<(), Fault> {
    let text = |error: pico_args::Error| Fault::Surprise(error.to_string());
    let nats: String = args.value_from_str("--nats").map_err(text)?;
    let addr: String = args.value_from_str("--addr").map_err(text)?;
    let port: u16 = args.value_from_str("--port").map_err(text)?;
    let hops = args.value_from_str("--hops").map_err(text)?;
    let answer = args.value_from_str("--answer").map_err(text)?;
    let is_addressed = args.contains("--addressed");
    let strange = |_| Fault::Surprise("not an address".to_owned());
    let nats: SocketAddr = nats
        .trim_start_matches("nats://")
        .parse()
        .map_err(strange)?;
    let addr: SocketAddr = format!("{addr}:{port}").parse().map_err(strange)?;

    let poll = Poll::new()?;
    let mut broker = std::net::TcpStream::connect(nats)?;
    broker.set_nodelay(true)?;
    subscribe(&mut broker)?;
    broker.set_nonblocking(true)?;
    let mut broker = TcpStream::from_std(broker);
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut broker, BROKER, both)?;
    let listener = std::net::TcpListener::bind(addr)?;
    // As the gateway has it: std listens with 128, too few for a rush.
    deepen_backlog(&listener)?;
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    Server {
        poll,
        listener,
        broker,
        broker_out: Vec::new(),
        broker_stash: Vec::new(),
        clients: Vec::new(),
        free: Vec::new(),
        upgraded: Vec::new(),
        shared: Vec::new(),
        scratch: Vec::new(),
        buffer: vec![0; 256 << 10],
        hops,
        answer,
        is_addressed,
    }
    .run()
}

/// Subscribes, and waits until the broker has taken it: an event that is published before
/// would reach nobody, and clients are answered without the broker.
fn subscribe(broker: &mut std::net::TcpStream) -> Result<(), Fault> {
    broker.write_all(
        b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n\
        SUB event.bench.> 1\r\nSUB floor.* 2\r\nPING\r\n",
    )?;
    let mut greeting = Vec::new();
    let mut buffer = [0; 4_096];
    while find(&greeting, b"PONG\r\n").is_none() {
        match broker.read(&mut buffer)? {
            0 => return Err(Fault::Surprise("the broker hung up".to_owned())),
            len => greeting.extend_from_slice(&buffer[..len]),
        }
    }
    Ok(())
}

fn deepen_backlog(listener: &std::net::TcpListener) -> io::Result<()> {
    socket2::SockRef::from(listener).listen(4_096)
}

impl Server {
    fn run(&mut self) -> Result<(), Fault> {
        let mut events = Events::with_capacity(1_024);
        loop {
            self.flush_broker()?;
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    BROKER => self.read_broker()?,
                    Token(index) => {
                        if event.is_writable()
                            && let Some(client) = &mut self.clients[index]
                        {
                            client.resume();
                        }
                        if event.is_readable() {
                            self.read_client(index)?;
                        }
                    }
                }
            }
            self.send_shared();
        }
    }

    fn accept(&mut self) -> Result<(), Fault> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            socket.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut socket, Token(index), both)?;
            self.clients[index] = Some(Client {
                socket,
                is_upgraded: false,
                answered: 0,
                unsent: Vec::new(),
            });
        }
    }

    fn read_client(&mut self, index: usize) -> Result<(), Fault> {
        let Some(client) = &mut self.clients[index] else {
            return Ok(());
        };
        let len = match client.socket.read(&mut self.buffer) {
            Ok(0) => return self.drop_client(index),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return self.drop_client(index),
        };
        let input = &self.buffer[..len];
        if input.starts_with(b"GET / ") {
            client.is_upgraded = true;
            client.send(UPGRADED);
            self.upgraded.push(index);
            return Ok(());
        }
        // Whatever comes in one read is one request; drivers wait for the answer.
        let is_version = client.is_upgraded && client.answered == 0;
        if self.hops == 0 || is_version {
            self.answer(index);
        } else {
            self.ask(index, 1);
        }
        Ok(())
    }

    fn drop_client(&mut self, index: usize) -> Result<(), Fault> {
        self.clients[index] = None;
        self.free.push(index);
        Ok(())
    }

    /// A request to a service, as a gateway makes it: subject, inbox, small payload.
    fn ask(&mut self, index: usize, hop: u64) {
        const PAYLOAD: &str = r#"{"cid":"btqc0l2cj6hs73fmt6pg","token":null}"#;
        let subject = if hop == 1 && self.hops == 2 {
            "access.bench.m"
        } else {
            "call.bench.m.do"
        };
        let _ = write!(
            self.broker_out,
            "PUB {subject} floor.{} {}\r\n{PAYLOAD}\r\n",
            (index as u64) << 2 | hop,
            PAYLOAD.len()
        );
    }

    fn answer(&mut self, index: usize) {
        let Some(client) = &mut self.clients[index] else {
            return;
        };
        let (answer, out) = (&self.answer, &mut self.scratch);
        out.clear();
        if client.is_upgraded {
            match client.answered {
                0 => frame(out, &[br#"{"result":{"protocol":"1.2.3"},"id":0}"#]),
                id => {
                    let tail = format!(r#","id":{id}}}"#);
                    let parts = [br#"{"result":"#, answer.as_bytes(), tail.as_bytes()];
                    frame(out, &parts);
                }
            }
        } else {
            let _ = write!(
                out,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\
                 Date: Fri, 20 Nov 2026 12:00:00 GMT\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            );
        }
        client.answered += 1;
        client.send(out);
    }

    fn read_broker(&mut self) -> Result<(), Fault> {
        loop {
            let len = match self.broker.read(&mut self.buffer) {
                Ok(0) => return Err(Fault::Surprise("the broker hung up".to_owned())),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut data = std::mem::take(&mut self.broker_stash);
            data.extend_from_slice(&self.buffer[..len]);
            let used = split_lines(&data, |line| {
                self.take_line(line);
                Ok(())
            })?;
            data.drain(..used);
            self.broker_stash = data;
            if len < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn take_line(&mut self, line: Line<'_>) {
        match line {
            Line::Ping => self.broker_out.extend_from_slice(b"PONG\r\n"),
            Line::Message(message) => {
                if let Some(key) = message.subject.strip_prefix(b"floor.") {
                    let key = number(key).unwrap_or(0);
                    let (index, hop) = ((key >> 2) as usize, key & 3);
                    match hop < self.hops {
                        true => self.ask(index, hop + 1),
                        false => self.answer(index),
                    }
                } else if self.is_addressed {
                    // event.bench.m.<place among the upgraded>.change
                    let name = &message.subject[14..];
                    let place = number(name).unwrap_or(0) as usize;
                    if let Some(&index) = self.upgraded.get(place)
                        && let Some(client) = &mut self.clients[index]
                    {
                        let resource = &message.subject[6..];
                        let parts: [&[u8]; 5] = [
                            br#"{"event":""#,
                            resource,
                            br#"","data":"#,
                            message.payload,
                            b"}",
                        ];
                        self.scratch.clear();
                        frame(&mut self.scratch, &parts);
                        client.send(&self.scratch);
                    }
                } else if message.subject.starts_with(b"event.bench.m.add") {
                    let head = br#"{"event":"bench.m.add","data":"#;
                    frame(&mut self.shared, &[head, message.payload, b"}"]);
                } else if message.subject.starts_with(b"event.bench.m.remove") {
                    let head = br#"{"event":"bench.m.remove","data":"#;
                    frame(&mut self.shared, &[head, message.payload, b"}"]);
                } else {
                    frame(&mut self.shared, &[EVENT_HEAD, message.payload, b"}"]);
                }
            }
            Line::Pong | Line::Error(_) => {}
        }
    }

    fn flush_broker(&mut self) -> Result<(), Fault> {
        let mut done = 0;
        while done < self.broker_out.len() {
            match self.broker.write(&self.broker_out[done..]) {
                Ok(len) => done += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.broker_out.drain(..done);
        Ok(())
    }

    /// Sends the frames that are for every client.
    fn send_shared(&mut self) {
        if !self.shared.is_empty() {
            for client in self.clients.iter_mut().flatten() {
                client.send(&self.shared);
            }
            self.shared.clear();
        }
    }
}

/// Appends an unmasked text frame.
fn frame(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let len = parts.iter().map(|part| part.len()).sum();
    frame_header(out, TEXT, len, 0);
    for part in parts {
        out.extend_from_slice(part);
    }
}
