//! What the first process of several (`--workers`) and a worker say to one another, on a
//! socket that the worker has in place of its standard input. The first thing that the worker
//! is told is its place among the others, and with that come the sockets on which it listens.
//!
//! The two may be of different versions while one binary takes the place of another: what is
//! not known is passed over.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// Milliseconds between two signs of life of a worker.
pub const BEAT: u64 = 1_000;

/// Bytes of a text, at most.
const TEXT_MAX: usize = 1 << 20;

/// Bytes that wait for the other side, at most.
const OUTPUT_MAX: usize = 4 << 20;

/// Bytes of what a worker is told of its place, at most.
const PLACE_MAX: usize = 4 << 10;

/// Sockets that come with it, at most: for clients, for services, for other workers.
const SOCKETS_MAX: usize = 3;

/// Descriptors that are received are not for programs that would be started.
#[cfg(target_os = "linux")]
const FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const FLAGS: RecvFlags = RecvFlags::empty();

/// What a worker is told of its place among the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its number, from 0 on.
    pub worker: u32,
    /// The CPU that it is for.
    pub cpu: Option<usize>,
    /// How the workers reach the broker that is inside one of them.
    pub broker: Option<Inside>,
}

/// How the workers reach the broker that is inside one of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// The port of the loopback interface that is for them.
    pub port: u16,
    /// Their password there.
    pub secret: String,
    /// This worker has the broker.
    pub is_here: bool,
}

/// Leaves out the secret.
impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside")
            .field("port", &self.port)
            .field("is_here", &self.is_here)
            .finish_non_exhaustive()
    }
}

/// What a worker begins with.
#[derive(Debug)]
pub struct Start {
    /// Its place among the others.
    pub place: Place,
    /// Where it listens for clients; if it has the broker, for services; and for the other
    /// workers.
    pub sockets: Vec<TcpListener>,
    /// What it is told, and tells.
    pub channel: Channel,
}

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Its metrics are wanted.
    Metrics,
    /// Whether it serves clients is wanted.
    Readiness,
    /// It reads certificates again.
    Reload,
    /// All end: it takes those who wait in its socket, closes its clients and ends.
    Stop,
    /// It closes its clients and ends; those who wait in its socket are for its follower.
    Leave,
    /// The same, and its clients all at once.
    LeaveAtOnce,
}

impl Order {
    const ALL: [Self; 6] = [
        Self::Metrics,
        Self::Readiness,
        Self::Reload,
        Self::Stop,
        Self::Leave,
        Self::LeaveAtOnce,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Readiness => "readiness",
            Self::Reload => "reload",
            Self::Stop => "stop",
            Self::Leave => "leave",
            Self::LeaveAtOnce => "leave-at-once",
        }
    }
}

/// What a worker tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Its loop runs.
    Beat,
    /// It serves clients.
    Ready,
    /// It takes no further clients, and ends.
    Leaving,
    /// Its metrics.
    Metrics(String),
    /// Why no new clients should be sent to it; empty if they should.
    Readiness(String),
}

impl Report {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Beat => ("beat", ""),
            Self::Ready => ("ready", ""),
            Self::Leaving => ("leaving", ""),
            Self::Metrics(text) => ("metrics", text),
            Self::Readiness(text) => ("readiness", text),
        }
    }

    fn of(word: &str, text: String) -> Option<Self> {
        match word {
            "beat" => Some(Self::Beat),
            "ready" => Some(Self::Ready),
            "leaving" => Some(Self::Leaving),
            "metrics" => Some(Self::Metrics(text)),
            "readiness" => Some(Self::Readiness(text)),
            _ => None,
        }
    }
}

/// One end of the socket.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    is_open: bool,
}

impl Channel {
    fn new(socket: StdStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UnixStream::from_std(socket),
            input: Vec::new(),
            output: Vec::new(),
            is_open: true,
        })
    }

    /// Registers with a poll, whose events [`Self::step`] is for.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.socket, token, interest)
    }

    /// Reads and writes what can be without waiting. Whether the other side is there.
    pub fn step(&mut self) -> bool {
        self.flush();
        let mut buffer = [0; 4 << 10];
        while self.is_open && self.input.len() <= 2 * TEXT_MAX {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.is_open = false,
                Ok(len) => self.input.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.is_open = false,
            }
        }
        self.is_open
    }

    /// The next order, for a worker.
    pub fn next_order(&mut self) -> Option<Order> {
        loop {
            let (word, _) = self.next()?;
            if let Some(order) = Order::ALL.into_iter().find(|order| order.word() == word) {
                return Some(order);
            }
        }
    }

    /// The next report, for the first process.
    pub fn next_report(&mut self) -> Option<Report> {
        loop {
            let (word, text) = self.next()?;
            if let Some(report) = Report::of(&word, text) {
                return Some(report);
            }
        }
    }

    /// Tells a worker what to do.
    pub fn order(&mut self, order: Order) {
        self.send(order.word(), "");
    }

    /// Tells the first process.
    pub fn report(&mut self, report: &Report) {
        let (word, text) = report.parts();
        self.send(word, text);
    }

    /// A message: a word, the length of a text, and the text on the next line.
    fn send(&mut self, word: &str, text: &str) {
        // Who does not read for so long is frozen, and hears the rest or is ended.
        if text.len() <= TEXT_MAX && self.output.len() < OUTPUT_MAX {
            let head = format!("{word} {}\n", text.len());
            self.output.extend_from_slice(head.as_bytes());
            self.output.extend_from_slice(text.as_bytes());
        }
        self.flush();
    }

    fn flush(&mut self) {
        let mut written = 0;
        while written < self.output.len() {
            match self.socket.write(&self.output[written..]) {
                Ok(len @ 1..) => written += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // That the other side is gone is read.
                _ => break,
            }
        }
        self.output.drain(..written);
        if self.output.is_empty() {
            self.output = Vec::new();
        }
    }

    /// The next message. One that is none ends the conversation.
    fn next(&mut self) -> Option<(String, String)> {
        let end = self.input.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&self.input[..end]).unwrap_or_default();
        let parts = head.split_once(' ');
        let found = parts.and_then(|(word, len)| Some((word.to_owned(), len.parse().ok()?)));
        let Some((word, len)) = found.filter(|(_, len): &(_, usize)| *len <= TEXT_MAX) else {
            self.is_open = false;
            self.input = Vec::new();
            return None;
        };
        let text = self.input.get(end + 1..end + 1 + len)?.to_vec();
        self.input.drain(..end + 1 + len);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Some((word, String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Both ends for a new worker: ours, and the one that is to be its standard input, in which
/// its place and its sockets wait for it.
///
/// # Errors
///
/// The system's: no descriptors left, above all.
pub fn open(place: &Place, sockets: &[BorrowedFd<'_>]) -> io::Result<(Channel, OwnedFd)> {
    debug_assert!((1..=SOCKETS_MAX).contains(&sockets.len()));
    let (ours, theirs) = StdStream::pair()?;
    let text = serde_json::to_vec(place)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    rights.push(SendAncillaryMessage::ScmRights(sockets));
    // A line by itself, which the worker reads apart from what follows: the descriptors come
    // with its first byte.
    let line = [&text[..], b"\n"].concat();
    sendmsg(
        &ours,
        &[IoSlice::new(&line)],
        &mut rights,
        SendFlags::empty(),
    )?;
    Ok((Channel::new(ours)?, theirs.into()))
}

/// What the first process has given this one.
///
/// # Errors
///
/// Whoever has started this process has given it nothing of the kind.
pub fn join() -> io::Result<Start> {
    let socket = StdStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut line = vec![0; PLACE_MAX];
    let (len, sockets) = receive(&socket, &mut line)?;
    line.truncate(len);
    while line.last() != Some(&b'\n') && line.len() < PLACE_MAX {
        let mut byte = [0];
        (&socket).read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    // What came behind the line at once is the beginning of what is told later.
    let end = line.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or(ErrorKind::InvalidData)?;
    let place = serde_json::from_slice(&line[..end])?;
    let mut channel = Channel::new(socket)?;
    channel.input = line[end + 1..].to_vec();
    Ok(Start {
        place,
        sockets,
        channel,
    })
}

fn receive(socket: &StdStream, line: &mut [u8]) -> io::Result<(usize, Vec<TcpListener>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(line)];
    let received = recvmsg(socket, &mut parts, &mut rights, FLAGS)?;
    let mut sockets = Vec::new();
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors.map(TcpListener::from));
        }
    }
    Ok((received.bytes, sockets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (ours, theirs) = StdStream::pair().unwrap();
        (Channel::new(ours).unwrap(), Channel::new(theirs).unwrap())
    }

    #[test]
    fn what_is_said_is_heard_in_order() {
        let (mut first, mut worker) = pair();
        Order::ALL.into_iter().for_each(|order| first.order(order));
        assert!(worker.step());
        for order in Order::ALL {
            assert_eq!(worker.next_order(), Some(order));
        }
        assert_eq!(worker.next_order(), None);
        let reports = [
            Report::Beat,
            Report::Ready,
            Report::Leaving,
            Report::Metrics("a 1\nb 2\n".repeat(10_000)),
            Report::Readiness(String::new()),
            Report::Readiness("NATS is lost".to_owned()),
        ];
        let mut heard = Vec::new();
        for report in &reports {
            worker.report(report);
            first.step();
            heard.extend(std::iter::from_fn(|| first.next_report()));
        }
        assert_eq!(heard, reports);
        drop(worker);
        assert!(!first.step());
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_no_message_ends_it() {
        let (mut first, mut worker) = pair();
        worker.send("song", "la la\nla");
        worker.report(&Report::Beat);
        assert!(first.step());
        assert_eq!(first.next_report(), Some(Report::Beat));
        for text in ["metrics x\n", "metrics 99999999\n", "\n"] {
            let (mut first, mut worker) = pair();
            worker.output.extend_from_slice(text.as_bytes());
            assert!(worker.step() && first.step());
            assert_eq!(first.next_report(), None);
            assert!(!first.step(), "{text:?}");
        }
    }

    #[test]
    fn a_place_comes_with_its_sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place {
            worker: 3,
            cpu: Some(1),
            broker: Some(Inside {
                port: 77,
                secret: "hush".to_owned(),
                is_here: true,
            }),
        };
        assert!(!format!("{place:?}").contains("hush"));
        let (_ours, theirs) = open(&place, &[listener.as_fd(), listener.as_fd()]).unwrap();
        let mut line = vec![0; PLACE_MAX];
        let (len, sockets) = receive(&StdStream::from(theirs), &mut line).unwrap();
        let text = line[..len].strip_suffix(b"\n").unwrap();
        assert_eq!(serde_json::from_slice::<Place>(text).unwrap(), place);
        let address = listener.local_addr().unwrap();
        assert_eq!(sockets.len(), 2);
        for socket in sockets {
            assert_eq!(socket.local_addr().unwrap(), address);
        }
    }
}
