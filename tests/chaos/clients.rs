//! Clients that hold everything the service has, each on a thread of its own. Whatever they are
//! sent is checked by a replica; their connections must outlive all that happens to NATS. Where
//! there are several gateways, a client whose gateway has gone comes back to another.

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
    /// Connections made anew.
    returns: AtomicU64,
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
        Crowd::start_at(&[addr.to_owned()], count, seed)
    }

    /// So many clients of the gateways at these addresses, as many at each.
    pub fn start_at(addresses: &[String], count: usize, seed: u64) -> Crowd {
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
            let mut homes = addresses.to_vec();
            homes.rotate_left(number % addresses.len());
            let client = Client::connect(homes, &crowd.shared, &view, seed ^ number as u64);
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

    /// Connections that were made anew.
    pub fn returns(&self) -> u64 {
        self.shared.returns.load(Ordering::SeqCst)
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

/// Why a client cannot go on.
enum End {
    /// The connection is gone.
    Gone(String),
    /// Something went wrong.
    Fault(String),
}

/// A connection to the gateway at this address.
fn open(addr: &str) -> Result<WebSocket<TcpStream>, String> {
    let stream = TcpStream::connect(addr).map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    // A gateway may go while it is asked.
    let patience = Some(crate::PATIENCE);
    (stream.set_read_timeout(patience)).map_err(|error| error.to_string())?;
    let (socket, _) =
        tungstenite::client(format!("ws://{addr}/"), stream).map_err(|error| error.to_string())?;
    let stream = socket.get_ref();
    (stream.set_read_timeout(Some(STEP))).map_err(|error| error.to_string())?;
    Ok(socket)
}

struct Client {
    socket: WebSocket<TcpStream>,
    /// Where gateways are, that of now first.
    homes: Vec<String>,
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
    fn connect(
        homes: Vec<String>,
        shared: &Arc<Shared>,
        view: &Arc<Mutex<View>>,
        seed: u64,
    ) -> Client {
        let mut client = Client {
            socket: open(&homes[0]).expect("the gateway serves"),
            homes,
            shared: Arc::clone(shared),
            view: Arc::clone(view),
            random: Random::new(seed),
            asked: HashMap::new(),
            last: 0,
            wanted: names().collect(),
            resume: Instant::now(),
            next: Instant::now(),
        };
        client.ask("version", json!({"protocol": "1.2.3"}), Asked::Version);
        client
    }

    fn run(mut self) {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            let result = self.step().or_else(|end| self.come_back(end));
            if let Err(fault) = result {
                let mut view = self.view.lock().expect("no holder panics");
                view.fault = Some(fault);
                return;
            }
        }
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }

    /// Connects to another gateway, if there is one; everything is asked for anew.
    fn come_back(&mut self, end: End) -> Result<(), String> {
        let start = Instant::now();
        match end {
            End::Fault(fault) => return Err(fault),
            End::Gone(words) if self.homes.len() == 1 => return Err(words),
            End::Gone(_) => {}
        }
        let mut view = self.view.lock().expect("no holder panics");
        view.replica = Replica::new(Generation::V1_2_1);
        // Until all is asked for.
        view.open = 1;
        drop(view);
        self.asked.clear();
        self.wanted = names().collect();
        loop {
            self.homes.rotate_left(1);
            match open(&self.homes[0]) {
                Ok(socket) => {
                    self.socket = socket;
                    break;
                }
                Err(words) if start.elapsed() > crate::PATIENCE => return Err(words),
                Err(_) => std::thread::sleep(STEP),
            }
        }
        self.shared.returns.fetch_add(1, Ordering::SeqCst);
        self.ask("version", json!({"protocol": "1.2.3"}), Asked::Version);
        Ok(())
    }

    fn step(&mut self) -> Result<(), End> {
        match self.socket.read() {
            Ok(Message::Text(text)) => {
                let value =
                    serde_json::from_str(&text).map_err(|error| End::Fault(error.to_string()))?;
                self.take(&value)
                    .map_err(|fault| End::Fault(format!("{fault}: {text}")))?;
            }
            Ok(Message::Ping(_)) => {}
            Ok(Message::Close(frame)) => return Err(End::Gone(format!("{frame:?} came"))),
            Ok(other) => return Err(End::Fault(format!("{other:?} came"))),
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(End::Gone(format!("the connection ended: {error}"))),
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
