//! A wire between the gateway and a NATS server, which a test can cut, hold or take away.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What becomes of what is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// It comes through.
    Through,
    /// Nothing comes through, in either direction, and nobody is told.
    Held,
    /// Connections end, and no new one is let through.
    Gone,
    /// The connection ends within this text on its way to the gateway, and later ones come
    /// through.
    CutWithin(Vec<u8>),
    /// A message with this text never comes to the gateway, and all others do.
    Losing(Vec<u8>),
}

#[derive(Default)]
struct Shared {
    mode: Mutex<Option<Mode>>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn mode(&self) -> Mode {
        let mode = self.mode.lock().expect("no holder panics");
        mode.clone().unwrap_or(Mode::Through)
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().expect("no holder panics") = Some(mode);
        self.changed.notify_all();
    }

    /// Waits while nothing comes through.
    fn wait(&self) {
        let mode = self.mode.lock().expect("no holder panics");
        let held = |mode: &mut Option<Mode>| *mode == Some(Mode::Held);
        drop(
            self.changed
                .wait_while(mode, held)
                .expect("no holder panics"),
        );
    }

    fn cut(&self) {
        let mut connections = self.connections.lock().expect("no holder panics");
        for connection in connections.drain(..) {
            // It may have ended already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// The wire; the gateway connects to its end.
pub struct Wire {
    /// `127.0.0.1:port`.
    pub addr: String,
    shared: Arc<Shared>,
}

impl Wire {
    /// A wire to this address.
    pub fn to(target: &str) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("it is bound").to_string();
        let shared = Arc::new(Shared::default());
        let (ends, target) = (Arc::clone(&shared), target.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if ends.mode() == Mode::Gone {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&target) else {
                    continue;
                };
                let mut connections = ends.connections.lock().expect("no holder panics");
                for (from, to, is_down) in [(&near, &far, false), (&far, &near, true)] {
                    let copy = |stream: &TcpStream| stream.try_clone().expect("a handle");
                    connections.push(copy(from));
                    let (from, to, ends) = (copy(from), copy(to), Arc::clone(&ends));
                    thread::spawn(move || carry(from, to, &ends, is_down));
                }
            }
        });
        Wire { addr, shared }
    }

    /// The address as the gateway takes it.
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    /// From now on nothing comes through, and nobody is told.
    pub fn hold(&self) {
        self.shared.set(Mode::Held);
    }

    /// All connections end, and no new one is let through.
    pub fn take_away(&self) {
        self.shared.set(Mode::Gone);
        self.shared.cut();
    }

    /// Everything comes through again.
    pub fn mend(&self) {
        self.shared.set(Mode::Through);
    }

    /// The connection ends in the middle of this text when it comes from the server.
    pub fn cut_within(&self, text: &str) {
        self.shared.set(Mode::CutWithin(text.into()));
    }

    /// The next message with this text is lost on its way from the server. It must be small.
    pub fn lose(&self, text: &str) {
        self.shared.set(Mode::Losing(text.into()));
    }
}

/// What stands before and behind the message with a text in it, if it is there as a whole.
fn without_message<'a>(bytes: &'a [u8], text: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let find = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).position(|at| at == part);
    let at = find(bytes, text)?;
    let start = (0..at).rfind(|start| bytes[*start..].starts_with(b"MSG "))?;
    let payload = start + find(&bytes[start..], b"\r\n")? + 2;
    let line = std::str::from_utf8(&bytes[start..payload]).ok()?;
    let length: usize = line.split_whitespace().last()?.parse().ok()?;
    let end = payload + length + 2;
    (end <= bytes.len()).then(|| (&bytes[..start], &bytes[end..]))
}

/// Carries bytes until one end is gone.
fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Shared, is_down: bool) {
    let mut bytes = [0; 4096];
    // What may be the beginning of the text to cut in has been passed on: it is kept here.
    let mut seen = Vec::new();
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        shared.wait();
        let mut rest = &bytes[..len];
        if let Mode::CutWithin(text) = shared.mode()
            && is_down
        {
            let before = seen.len();
            seen.extend_from_slice(rest);
            if let Some(at) = seen.windows(text.len()).position(|part| part == text) {
                rest = &rest[..(at + text.len() / 2).saturating_sub(before)];
                let _ = to.write_all(rest);
                shared.set(Mode::Through);
                shared.cut();
                return;
            }
        }
        if let Mode::Losing(text) = shared.mode()
            && is_down
            && let Some((front, back)) = without_message(rest, &text)
        {
            shared.set(Mode::Through);
            if to.write_all(front).is_err() {
                break;
            }
            rest = back;
        }
        if to.write_all(rest).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
