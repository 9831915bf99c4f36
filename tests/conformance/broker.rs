//! A scripted broker: a NATS server for one connection, the gateway's. It notes what the
//! gateway publishes and subscribes, in order, and sends what a scenario says.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A message that the gateway published.
#[derive(Debug, Clone)]
pub struct Published {
    pub subject: String,
    /// Where the answer goes, if it asks for one.
    pub reply: Option<String>,
    pub payload: String,
    /// Whether `event.<name>.*` was subscribed when it came.
    pub heard: bool,
}

struct Subscription {
    subject: String,
    /// How many more messages it takes, if the gateway limited that.
    left: Option<u64>,
}

#[derive(Default)]
struct State {
    gateway: Option<TcpStream>,
    subscriptions: BTreeMap<String, Subscription>,
    /// Published and not yet asked for.
    published: Vec<Published>,
    closed: bool,
}

impl State {
    /// Does what an operation without payload asks for.
    fn obey(&mut self, verb: &str, arguments: &[&str]) -> std::io::Result<()> {
        match (verb, arguments) {
            ("SUB", [subject, .., sid]) => {
                let subscription = Subscription {
                    subject: (*subject).to_owned(),
                    left: None,
                };
                self.subscriptions.insert((*sid).to_owned(), subscription);
            }
            ("UNSUB", [sid]) => {
                self.subscriptions.remove(*sid);
            }
            ("UNSUB", [sid, limit]) => {
                if let Some(s) = self.subscriptions.get_mut(*sid) {
                    s.left = limit.parse().ok();
                }
            }
            ("PING", _) => {
                // From here, so that it cannot fall into a message.
                if let Some(gateway) = &mut self.gateway {
                    gateway.write_all(b"PONG\r\n")?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The broker's side of the one connection.
pub struct Broker {
    /// `127.0.0.1:port`.
    pub addr: String,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Broker {
    /// Listens on a free port; the first connection is the gateway's.
    pub fn start() -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound socket").to_string();
        let shared: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                // Whatever ends the connection, the scenarios that wait must know.
                let _ = serve(stream, &theirs);
            }
            theirs.0.lock().expect("no holder panics").closed = true;
            theirs.1.notify_all();
        });
        Broker { addr, shared }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("no holder panics")
    }

    /// True if the gateway is gone.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until `find` finds something in the state.
    fn wait<T>(
        &self,
        patience: Duration,
        mut find: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut state = self.state();
        loop {
            if let Some(found) = find(&mut state) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed {
                return None;
            }
            state = self
                .shared
                .1
                .wait_timeout(state, left)
                .expect("no holder panics")
                .0;
        }
    }

    /// Takes the oldest message that `wanted` accepts, whatever came beside it.
    pub fn take(
        &self,
        patience: Duration,
        mut wanted: impl FnMut(&Published) -> bool,
    ) -> Option<Published> {
        self.wait(patience, |state| {
            let at = state.published.iter().position(&mut wanted)?;
            Some(state.published.remove(at))
        })
    }

    /// What was published and not taken; it is forgotten.
    pub fn take_rest(&self) -> Vec<Published> {
        std::mem::take(&mut self.state().published)
    }

    /// What was published and not taken; it stays.
    pub fn rest(&self) -> Vec<Published> {
        self.state().published.clone()
    }

    /// Waits until a subscription of exactly this subject is there, or is gone.
    pub fn wait_subscription(&self, patience: Duration, subject: &str, there: bool) -> bool {
        let found = self.wait(patience, |state| {
            let is = state.subscriptions.values().any(|s| s.subject == subject);
            (is == there).then_some(())
        });
        found.is_some()
    }

    /// Publishes to every subscription that matches; how many there were.
    pub fn publish(&self, subject: &str, payload: &[u8]) -> usize {
        self.send(subject, None, payload)
    }

    /// Says that nobody listens to the request whose answers go to this subject.
    pub fn no_responders(&self, reply: &str) -> usize {
        self.send(reply, Some("NATS/1.0 503\r\n\r\n"), b"")
    }

    fn send(&self, subject: &str, head: Option<&str>, payload: &[u8]) -> usize {
        let mut state = self.state();
        let State {
            gateway,
            subscriptions,
            ..
        } = &mut *state;
        let Some(stream) = gateway else { return 0 };
        let mut bytes = Vec::new();
        let mut count = 0;
        for (sid, subscription) in subscriptions.iter_mut() {
            if !matches_subject(&subscription.subject, subject) {
                continue;
            }
            count += 1;
            if let Some(left) = &mut subscription.left {
                *left = left.saturating_sub(1);
            }
            match head {
                None => {
                    let line = format!("MSG {subject} {sid} {}\r\n", payload.len());
                    bytes.extend_from_slice(line.as_bytes());
                }
                Some(head) => {
                    let all = head.len() + payload.len();
                    let line = format!("HMSG {subject} {sid} {} {all}\r\n{head}", head.len());
                    bytes.extend_from_slice(line.as_bytes());
                }
            }
            bytes.extend_from_slice(payload);
            bytes.extend_from_slice(b"\r\n");
        }
        subscriptions.retain(|_, s| s.left != Some(0));
        // A gateway that is gone shows where something is expected of it.
        let _ = stream.write_all(&bytes);
        count
    }

    /// Ends the connection as a broker that dies.
    pub fn hang_up(&self) {
        if let Some(stream) = &self.state().gateway {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Speaks with the gateway until one of both ends it.
fn serve(mut stream: TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(
        b"INFO {\"server_id\":\"SCRIPT\",\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,\
          \"max_payload\":1048576}\r\n",
    )?;
    shared.0.lock().expect("no holder panics").gateway = Some(stream.try_clone()?);
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let Some(verb) = words.first() else { continue };
        let verb = verb.to_ascii_uppercase();
        let published = match (verb.as_str(), &words[1..]) {
            ("PUB", [subject, reply @ .., size]) => {
                Some((subject, reply.first(), 0, read_payload(&mut reader, size)?))
            }
            ("HPUB", [subject, reply @ .., head, size]) => {
                let head = head.parse().unwrap_or(0);
                Some((
                    subject,
                    reply.first(),
                    head,
                    read_payload(&mut reader, size)?,
                ))
            }
            _ => None,
        };
        let mut state = shared.0.lock().expect("no holder panics");
        if let Some((subject, reply, head, payload)) = published {
            let name = subject.split_once('.').map_or("", |(_, name)| name);
            let events = format!("event.{name}.*");
            let heard = state.subscriptions.values().any(|s| s.subject == events);
            let payload = payload.get(head..).unwrap_or_default();
            state.published.push(Published {
                subject: (*subject).to_owned(),
                reply: reply.map(|r| (*r).to_owned()),
                payload: String::from_utf8_lossy(payload).into_owned(),
                heard,
            });
        } else {
            state.obey(&verb, &words[1..])?;
        }
        drop(state);
        shared.1.notify_all();
    }
}

fn read_payload(reader: &mut impl Read, size: &str) -> std::io::Result<Vec<u8>> {
    let size: usize = size
        .parse()
        .map_err(|_| std::io::Error::other("a size that is no number"))?;
    let mut payload = vec![0; size + 2];
    reader.read_exact(&mut payload)?;
    payload.truncate(size);
    Ok(payload)
}

/// Whether a subject is one that the subscribed subject covers.
fn matches_subject(pattern: &str, subject: &str) -> bool {
    let mut parts = subject.split('.');
    for want in pattern.split('.') {
        match (want, parts.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (want, Some(part)) if want == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

#[test]
fn subjects_match_as_in_nats() {
    let cases = [
        ("a.b", "a.b", true),
        ("a.*", "a.b", true),
        ("a.*", "a.b.c", false),
        ("a.>", "a.b.c", true),
        ("a.>", "a", false),
        ("a.b", "a", false),
    ];
    for (pattern, subject, fits) in cases {
        assert_eq!(
            matches_subject(pattern, subject),
            fits,
            "{pattern} {subject}"
        );
    }
}
