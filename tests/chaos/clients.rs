//! Clients that hold everything the service has, each on a thread of its own. Whatever they are
//! sent is checked by a replica; their connections must outlive all that happens to NATS.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use crate::content::{Content, Generation};
use crate::random::Random;
use crate::replica::{Held, Replica};
use crate::service::{MODELS, State, names};

/// How long a client sleeps when nothing comes.
const STEP: Duration = Duration::from_millis(10);

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(100);

/// Calls so far, of all clients that there ever were: each has a number of its own.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// What all clients have in common.
#[derive(Default)]
struct Shared {
    /// Whether they make requests.
    is_busy: AtomicBool,
    is_over: AtomicBool,
    /// Requests that were answered, with a result and with an error.
    answered: AtomicU64,
    refused: AtomicU64,
    events: AtomicU64,
    /// Subscriptions that the gateway ended.
    ended: AtomicU64,
}

/// What one client knows.
struct View {
    replica: Replica,
    /// Requests that are not answered yet.
    open: usize,
    /// What went wrong.
    fault: Option<String>,
}

struct Member {
    view: Arc<Mutex<View>>,
    thread: JoinHandle<()>,
}

/// The clients.
pub struct Crowd {
    shared: Arc<Shared>,
    members: Vec<Member>,
}

impl Crowd {
    /// So many clients of the gateway at this address.
    pub fn start(addr: &str, count: usize, seed: u64) -> Crowd {
        let mut crowd = Crowd {
            shared: Arc::default(),
            members: Vec::new(),
        };
        for number in 0..count {
            let view = Arc::new(Mutex::new(View {
                replica: Replica::new(Generation::V1_2_1),
                open: 0,
                fault: None,
            }));
            let client = Client::connect(addr, &crowd.shared, &view, seed ^ number as u64);
            let thread = std::thread::spawn(move || client.run());
            crowd.members.push(Member { view, thread });
        }
        crowd
    }

    /// Whether they make requests from now on.
    pub fn set_busy(&self, is_busy: bool) {
        self.shared.is_busy.store(is_busy, Ordering::SeqCst);
    }

    /// What the first client says to which something went wrong.
    pub fn fault(&self) -> Option<String> {
        let mut faults = self
            .members
            .iter()
            .enumerate()
            .filter_map(|(number, member)| {
                let view = member.view.lock().expect("no holder panics");
                let fault = view.fault.clone();
                fault.map(|fault| format!("client {number}: {fault}"))
            });
        faults.next()
    }

    /// What the first client lacks or has otherwise than the service has it; `None` if all have
    /// all, and wait for nothing.
    pub fn difference(&self, state: &State) -> Option<String> {
        self.members
            .iter()
            .enumerate()
            .find_map(|(number, member)| {
                let view = member.view.lock().expect("no holder panics");
                let difference = match view.open {
                    0 => names().find_map(|name| differs(&view.replica, state, &name)),
                    open => Some(format!("{open} requests are not answered")),
                };
                difference.map(|difference| format!("client {number}: {difference}"))
            })
    }

    /// Requests that were answered with a result, and with an error; events; subscriptions that
    /// the gateway ended.
    pub fn counts(&self) -> [u64; 4] {
        let shared = &self.shared;
        [
            &shared.answered,
            &shared.refused,
            &shared.events,
            &shared.ended,
        ]
        .map(|count| count.load(Ordering::SeqCst))
    }

    /// Ends all clients.
    pub fn end(self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for member in self.members {
            member.thread.join().expect("a client does not panic");
        }
    }
}

/// How a client's resource differs from the service's.
fn differs(replica: &Replica, state: &State, name: &str) -> Option<String> {
    let held = match replica.item(name).map(|item| &item.held) {
        Some(Held::Content(Content::Model(values))) => json!(values),
        Some(Held::Content(Content::Collection(values))) => json!(values),
        Some(Held::Error(error)) => error.clone(),
        None => Value::Null,
    };
    let content = state.content(name);
    (held != content).then(|| format!("{name} is {held} in place of {content}"))
}

/// What a request was.
enum Asked {
    Version,
    Subscribe(String),
    Unsubscribe(String),
    Call,
}

struct Client {
    socket: WebSocket<TcpStream>,
    shared: Arc<Shared>,
    view: Arc<Mutex<View>>,
    random: Random,
    asked: HashMap<u64, Asked>,
    last: u64,
    /// What it has to subscribe to.
    wanted: Vec<String>,
    /// When it asks for that, and when it makes its next request.
    resume: Instant,
    next: Instant,
}

impl Client {
    fn connect(addr: &str, shared: &Arc<Shared>, view: &Arc<Mutex<View>>, seed: u64) -> Client {
        let stream = TcpStream::connect(addr).expect("the gateway listens");
        stream.set_nodelay(true).expect("a live socket");
        let (socket, _) =
            tungstenite::client(format!("ws://{addr}/"), stream).expect("the gateway upgrades");
        let mut client = Client {
            socket,
            shared: Arc::clone(shared),
            view: Arc::clone(view),
            random: Random::new(seed),
            asked: HashMap::new(),
            last: 0,
            wanted: names().collect(),
            resume: Instant::now(),
            next: Instant::now(),
        };
        let stream = client.socket.get_ref();
        stream.set_read_timeout(Some(STEP)).expect("a live socket");
        client.ask("version", json!({"protocol": "1.2.3"}), Asked::Version);
        client
    }

    fn run(mut self) {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            if let Err(fault) = self.step() {
                let mut view = self.view.lock().expect("no holder panics");
                view.fault = Some(fault);
                return;
            }
        }
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }

    fn step(&mut self) -> Result<(), String> {
        match self.socket.read() {
            Ok(Message::Text(text)) => {
                let value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
                self.take(&value)
                    .map_err(|fault| format!("{fault}: {text}"))?;
            }
            Ok(Message::Ping(_)) => {}
            Ok(other) => return Err(format!("{other:?} came")),
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(format!("the connection ended: {error}")),
        }
        let is_time = self.resume <= Instant::now();
        let wanted = if is_time {
            std::mem::take(&mut self.wanted)
        } else {
            Vec::new()
        };
        for rid in wanted {
            self.ask(
                &format!("subscribe.{rid}"),
                Value::Null,
                Asked::Subscribe(rid),
            );
        }
        if self.shared.is_busy.load(Ordering::SeqCst) && self.next <= Instant::now() {
            self.next = Instant::now() + PAUSE;
            self.act();
        }
        let mut view = self.view.lock().expect("no holder panics");
        view.open = self.asked.len() + self.wanted.len();
        Ok(())
    }

    /// Makes a request.
    fn act(&mut self) {
        let model = format!("chaos.m.{}", self.random.below(MODELS));
        if self.random.below(4) == 0 {
            let view = self.view.lock().expect("no holder panics");
            let is_held = view.replica.direct(&model) == 1;
            drop(view);
            // Not while an answer about it is to come.
            let is_asked = self.asked.values().any(|asked| match asked {
                Asked::Subscribe(rid) | Asked::Unsubscribe(rid) => *rid == model,
                Asked::Version | Asked::Call => false,
            });
            if is_held && !is_asked {
                let asked = Asked::Unsubscribe(model.clone());
                self.ask(&format!("unsubscribe.{model}"), Value::Null, asked);
            }
            return;
        }
        let number = CALLS.fetch_add(1, Ordering::SeqCst);
        let params = json!({"number": number});
        self.ask(&format!("call.{model}.add"), params, Asked::Call);
    }

    fn ask(&mut self, method: &str, params: Value, asked: Asked) {
        self.last += 1;
        self.asked.insert(self.last, asked);
        let request = json!({"id": self.last, "method": method, "params": params});
        // If the connection is gone, the next read tells.
        let _ = self.socket.send(Message::Text(request.to_string().into()));
    }

    fn take(&mut self, message: &Value) -> Result<(), String> {
        if let Some(event) = message["event"].as_str() {
            return self.take_event(event, &message["data"]);
        }
        let id = message["id"].as_u64().ok_or("no event and no answer")?;
        let asked = self.asked.remove(&id).ok_or("nothing was asked")?;
        let is_refused = message.get("error").is_some();
        let count = match is_refused {
            true => &self.shared.refused,
            false => &self.shared.answered,
        };
        count.fetch_add(1, Ordering::SeqCst);
        let mut view = self.view.lock().expect("no holder panics");
        match (asked, is_refused) {
            (Asked::Subscribe(rid), true) => {
                self.wanted.push(rid);
                self.resume = Instant::now() + PAUSE;
            }
            (Asked::Subscribe(rid), false) => {
                view.replica.subscribed(&rid, &message["result"])?;
            }
            (Asked::Unsubscribe(rid), false) => {
                view.replica.unsubscribed(&rid, 1)?;
                self.wanted.push(rid);
            }
            // It was ended by an event that came before.
            (Asked::Unsubscribe(rid), true) if view.replica.direct(&rid) == 0 => {}
            (Asked::Version | Asked::Unsubscribe(_), true) => return Err("it is refused".into()),
            (Asked::Call, _) | (Asked::Version, false) => {}
        }
        Ok(())
    }

    fn take_event(&mut self, event: &str, data: &Value) -> Result<(), String> {
        self.shared.events.fetch_add(1, Ordering::SeqCst);
        let mut view = self.view.lock().expect("no holder panics");
        view.replica.event(event, data)?;
        if let Some(rid) = event.strip_suffix(".unsubscribe") {
            self.shared.ended.fetch_add(1, Ordering::SeqCst);
            self.wanted.push(rid.to_owned());
        }
        Ok(())
    }
}
