//! A service that outlives its connections: when one is lost it makes another, and says by a
//! system reset that what it published may not have come. What it has is the truth that all
//! clients must have in the end.
//!
//! It has a NATS client of its own, which notices a server that says nothing.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::random::Random;

/// Models that it has; and one list.
pub const MODELS: usize = 40;

/// Entries of the list, about.
const LENGTH: usize = 30;

/// How long it waits for requests before it does something by itself, and for a server.
const STEP: Duration = Duration::from_millis(5);

/// It asks its server for a sign of life so often, and takes it for lost without one: later
/// than the gateway does, so that a server that goes on has no word of it twice.
const PING: Duration = Duration::from_millis(500);
const LOST: Duration = Duration::from_millis(5_000);

/// What it has, and what it was asked.
#[derive(Default)]
pub struct State {
    models: Vec<u64>,
    list: Vec<Value>,
    /// Calls that came.
    calls: HashSet<u64>,
    /// Those that came again.
    pub repeated: u64,
    pub changes: u64,
    pub gets: u64,
    pub accesses: u64,
}

impl State {
    /// What a resource is now.
    pub fn content(&self, name: &str) -> Value {
        match model(name) {
            Some(index) => json!({"n": self.models[index]}),
            None => json!(self.list),
        }
    }

    /// Calls that came, each counted once.
    pub fn calls(&self) -> u64 {
        self.calls.len() as u64
    }
}

/// The names of all that it has.
pub fn names() -> impl Iterator<Item = String> {
    let models = (0..MODELS).map(|index| format!("chaos.m.{index}"));
    models.chain(["chaos.list".to_owned()])
}

/// The number of a model.
fn model(name: &str) -> Option<usize> {
    name.strip_prefix("chaos.m.")?.parse().ok()
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Whether its state changes by itself.
    is_busy: AtomicBool,
    is_over: AtomicBool,
    /// Resets that it was asked for, and changes of its server.
    resets: AtomicU64,
    moves: AtomicU64,
    /// The server that it is connected to, by its place in the list.
    server: AtomicUsize,
    progress: Mutex<Progress>,
    /// Something of that is new.
    is_on: Condvar,
}

/// How far the service is.
#[derive(Default)]
struct Progress {
    is_connected: bool,
    /// Connections that were lost.
    losses: u64,
    /// Rounds of its loop: what was asked before one is done after the next.
    steps: u64,
    /// Changes of its state until then.
    changes: u64,
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("no holder panics")
    }

    /// Notes something, and tells those who wait for it.
    fn note(&self, note: impl FnOnce(&mut Progress)) {
        note(&mut self.progress());
        self.is_on.notify_all();
    }

    /// Waits for something.
    fn wait(&self, what: &str, is_so: impl Fn(&Progress) -> bool) {
        let progress = self.progress();
        let result = (self.is_on).wait_timeout_while(progress, crate::PATIENCE, |it| !is_so(it));
        let is_over = result.expect("no holder panics").1.timed_out();
        assert!(!is_over, "{what}");
    }
}

/// The service, on a thread of its own.
pub struct Service(Arc<Shared>);

impl Service {
    /// A service that takes the first of these servers that there is.
    pub fn start(servers: Vec<String>, seed: u64) -> Service {
        let shared = Arc::new(Shared::default());
        let mut state = shared.state.lock().expect("nobody else has it");
        state.models = vec![0; MODELS];
        state.list = (0..LENGTH).map(|index| json!(index)).collect();
        drop(state);
        let worker = Worker {
            shared: Arc::clone(&shared),
            servers,
            server: 0,
            random: Random::new(seed),
            was_connected: false,
            resets: 0,
            moves: 0,
        };
        std::thread::spawn(move || worker.run());
        let service = Service(shared);
        service.wait_connected();
        service
    }

    /// What it has.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder panics")
    }

    /// Waits until its state has changed so often.
    pub fn wait_changes(&self, count: u64) {
        let wanted = self.state().changes + count;
        let is_done = |progress: &Progress| progress.changes >= wanted;
        self.0.wait("the service does nothing", is_done);
    }

    /// Whether its state changes by itself from now on. When it rests, it does when this returns.
    pub fn set_busy(&self, is_busy: bool) {
        self.0.is_busy.store(is_busy, Ordering::SeqCst);
        if !is_busy {
            self.wait_connected();
        }
    }

    /// Has it say that everything may have changed.
    pub fn reset(&self) {
        self.0.resets.fetch_add(1, Ordering::SeqCst);
        self.wait_connected();
    }

    /// The server that it is connected to, by its place in the list.
    pub fn server(&self) -> usize {
        self.0.server.load(Ordering::SeqCst)
    }

    /// Has it take another server.
    pub fn move_on(&self) {
        let before = self.losses();
        self.0.moves.fetch_add(1, Ordering::SeqCst);
        let is_lost = |it: &Progress| it.losses > before;
        self.0.wait("the service keeps its server", is_lost);
        self.wait_connected();
    }

    /// Connections that were lost.
    pub fn losses(&self) -> u64 {
        self.0.progress().losses
    }

    /// Waits until it is connected, and has done what it was asked for.
    pub fn wait_connected(&self) {
        let steps = self.0.progress().steps + 2;
        let is_done = |it: &Progress| it.is_connected && it.steps >= steps;
        self.0.wait("no server for the service", is_done);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

struct Worker {
    shared: Arc<Shared>,
    servers: Vec<String>,
    /// The server that is tried next.
    server: usize,
    random: Random,
    was_connected: bool,
    /// Resets that were published, and changes of the server that were made.
    resets: u64,
    moves: u64,
}

impl Worker {
    fn run(mut self) {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            let server = self.servers[self.server % self.servers.len()].clone();
            // Whatever ends the connection, another one is made.
            let _ = Connection::open(&server).and_then(|link| self.serve(link));
            self.shared.note(|progress| {
                progress.losses += u64::from(std::mem::take(&mut progress.is_connected));
            });
            self.server += 1;
            self.change();
            // A server that is not there does not tell when it is.
            std::thread::sleep(STEP);
        }
    }

    fn serve(&mut self, mut link: Connection) -> io::Result<()> {
        if std::mem::replace(&mut self.was_connected, true) {
            link.publish("system.reset", RESET);
        }
        link.flush()?;
        let place = self.server % self.servers.len();
        self.shared.server.store(place, Ordering::SeqCst);
        self.shared.note(|progress| progress.is_connected = true);
        while !self.shared.is_over.load(Ordering::SeqCst) {
            for request in link.read()? {
                self.answer(&mut link, &request);
            }
            if self.shared.moves.load(Ordering::SeqCst) > self.moves {
                self.moves += 1;
                return Ok(());
            }
            if self.shared.resets.load(Ordering::SeqCst) > self.resets {
                self.resets += 1;
                link.publish("system.reset", RESET);
            }
            if let Some((subject, payload)) = self.change() {
                link.publish(&subject, &payload);
            }
            link.flush()?;
            let changes = self.shared.state.lock().expect("no holder panics").changes;
            self.shared.note(|progress| {
                progress.steps += 1;
                progress.changes = changes;
            });
        }
        Ok(())
    }

    fn answer(&mut self, link: &mut Connection, request: &Request) {
        let mut state = self.shared.state.lock().expect("no holder panics");
        let (kind, rest) = request.subject.split_once('.').unwrap_or_default();
        match kind {
            "access" => {
                state.accesses += 1;
                link.publish(&request.reply, r#"{"result":{"get":true,"call":"*"}}"#);
            }
            "get" => {
                state.gets += 1;
                let kind = if model(rest).is_some() {
                    "model"
                } else {
                    "collection"
                };
                let result = json!({"result": {kind: state.content(rest)}});
                link.publish(&request.reply, &result.to_string());
            }
            _ => {
                let params: Value = serde_json::from_slice(&request.payload).unwrap_or_default();
                let number = params["params"]["number"].as_u64();
                let is_new = number.is_some_and(|number| state.calls.insert(number));
                state.repeated += u64::from(!is_new);
                if let Some(index) = rest.strip_suffix(".add").and_then(model) {
                    let (subject, payload) = increase(&mut state, index);
                    link.publish(&subject, &payload);
                }
                link.publish(&request.reply, r#"{"result":null}"#);
            }
        }
    }

    /// Changes something, if it is busy; the event that tells of it.
    fn change(&mut self) -> Option<(String, String)> {
        if !self.shared.is_busy.load(Ordering::SeqCst) {
            return None;
        }
        let mut state = self.shared.state.lock().expect("no holder panics");
        state.changes += 1;
        let length = state.list.len();
        match self.random.below(4) {
            0 if length < 2 * LENGTH => {
                let (index, value) = (self.random.below(length + 1), json!(state.changes));
                state.list.insert(index, value.clone());
                let data = json!({"idx": index, "value": value});
                Some(("event.chaos.list.add".to_owned(), data.to_string()))
            }
            1 if length > 0 => {
                let index = self.random.below(length);
                state.list.remove(index);
                let data = json!({"idx": index});
                Some(("event.chaos.list.remove".to_owned(), data.to_string()))
            }
            _ => Some(increase(&mut state, self.random.below(MODELS))),
        }
    }
}

/// Says that everything may have changed.
const RESET: &str = r#"{"resources":["chaos.>"],"access":["chaos.>"]}"#;

fn increase(state: &mut State, index: usize) -> (String, String) {
    state.models[index] += 1;
    let data = json!({"values": {"n": state.models[index]}});
    (format!("event.chaos.m.{index}.change"), data.to_string())
}

/// A request of the gateway.
struct Request {
    subject: String,
    reply: String,
    payload: Vec<u8>,
}

/// A connection to a server.
struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// When the server last sent something, and when it was last asked to.
    heard: Instant,
    asked: Instant,
}

impl Connection {
    /// Connects, and subscribes.
    fn open(server: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(STEP))?;
        stream.set_write_timeout(Some(LOST))?;
        let now = Instant::now();
        let mut link = Connection {
            stream,
            input: Vec::new(),
            output: b"CONNECT {\"verbose\":false,\"echo\":false}\r\n".to_vec(),
            heard: now,
            asked: now,
        };
        for (number, kind) in ["access", "get", "call"].iter().enumerate() {
            let line = format!("SUB {kind}.chaos.> {}\r\n", number + 1);
            link.output.extend_from_slice(line.as_bytes());
        }
        link.flush()?;
        Ok(link)
    }

    fn publish(&mut self, subject: &str, payload: &str) {
        let message = format!("PUB {subject} {}\r\n{payload}\r\n", payload.len());
        self.output.extend_from_slice(message.as_bytes());
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// What has come by now; it waits a moment for something.
    fn read(&mut self) -> io::Result<Vec<Request>> {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::ConnectionAborted.into()),
            Ok(length) => {
                self.heard = Instant::now();
                self.input.extend_from_slice(&buffer[..length]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        if self.heard.elapsed() > LOST {
            return Err(ErrorKind::TimedOut.into());
        }
        if self.asked.elapsed() > PING {
            self.asked = Instant::now();
            self.output.extend_from_slice(b"PING\r\n");
        }
        let mut requests = Vec::new();
        let mut used = 0;
        while let Some(length) = self.input[used..].windows(2).position(|at| at == b"\r\n") {
            let line = String::from_utf8_lossy(&self.input[used..used + length]).into_owned();
            let behind = used + length + 2;
            let mut words = line.split(' ');
            match words.next() {
                Some("MSG") => {
                    let words: Vec<&str> = words.collect();
                    let [subject, _, reply, size] = words[..] else {
                        return Err(ErrorKind::InvalidData.into());
                    };
                    let size: usize = size.parse().map_err(io::Error::other)?;
                    if self.input.len() < behind + size + 2 {
                        break;
                    }
                    requests.push(Request {
                        subject: subject.to_owned(),
                        reply: reply.to_owned(),
                        payload: self.input[behind..behind + size].to_vec(),
                    });
                    used = behind + size + 2;
                    continue;
                }
                Some("PING") => self.output.extend_from_slice(b"PONG\r\n"),
                // It is about to shut down.
                Some("INFO") if line.contains(r#""ldm":true"#) => {
                    return Err(ErrorKind::ConnectionAborted.into());
                }
                Some("-ERR") => return Err(ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
            used = behind;
        }
        self.input.drain(..used);
        Ok(requests)
    }
}
