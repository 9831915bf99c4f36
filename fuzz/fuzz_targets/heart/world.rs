//! The world around the heart: connections, the broker with services behind it, the clock.

use crate::replica::{Asked, Replica};
use crate::vocabulary::{self, Bytes};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use tidegate::gateway::{
    BrokerLimits, BrokerMessage, BrokerOp, ClientKey, Delivery, Gateway, Options, Outbox, Stats,
    Time, WebAction, WebRequest,
};
use tidegate::res::client::{self, Action};
use tidegate::res::rid::is_subject;

/// Connection keys below are of WebSocket clients, from it on of web requests.
const CLIENTS: u32 = 4;
const WEBS: u32 = 2;
/// What was answered or unsubscribed lately: messages may still be under way.
const LATELY: usize = 4;
/// More time-outs in a row than any request or pause can need.
const PATIENCE: usize = 500;

pub struct World {
    gateway: Gateway,
    out: Outbox,
    now: u64,
    clients: BTreeMap<u32, Replica>,
    webs: Vec<u32>,
    last_id: u64,
    subscribed: BTreeMap<u64, String>,
    unsubscribed: VecDeque<(u64, String)>,
    open: Vec<Open>,
    answered: VecDeque<Open>,
    trace: bool,
}

/// A request without answer.
#[derive(Clone)]
struct Open {
    subject: String,
    reply: String,
    payload: Value,
}

macro_rules! trace {
    ($world:expr, $($text:tt)*) => {
        if $world.trace {
            eprintln!($($text)*);
        }
    };
}

impl World {
    pub fn new(kind: u8) -> Self {
        let gateway = Gateway::new(Options {
            seed: [7, 1, 2, u64::from(kind)],
            // Few resources make few places matter.
            reset_throttle: usize::from(kind % 3),
            reference_throttle: usize::from(kind / 3 % 3),
            ..Options::default()
        });
        let mut world = Self {
            gateway,
            out: Outbox::default(),
            now: 0,
            clients: BTreeMap::new(),
            webs: Vec::new(),
            last_id: 1000,
            subscribed: BTreeMap::new(),
            unsubscribed: VecDeque::new(),
            open: Vec::new(),
            answered: VecDeque::new(),
            trace: std::env::var_os("HEART_TRACE").is_some(),
        };
        let max_payload = if kind.is_multiple_of(8) { 100 } else { 1 << 20 };
        let limits = BrokerLimits { max_payload };
        world
            .gateway
            .broker_connected(Time(0), limits, &mut world.out);
        world.drain();
        world
    }

    /// One input.
    pub fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(20) {
            0 => self.connect(bytes),
            1 => self.close(bytes),
            2..6 => self.send(bytes),
            6..11 => self.answer(bytes),
            11..15 => self.event(bytes),
            15 => self.system(bytes),
            16 => self.token(bytes),
            17 => {
                let steps = [1, 50, 999, 1000, 3000, 5000, 60_000];
                let step = bytes.pick(&steps);
                self.pass(step);
            }
            18 => self.web(bytes),
            _ => self.answer_late(bytes),
        }
        self.drain();
    }

    fn connect(&mut self, bytes: &mut Bytes<'_>) {
        let key = u32::from(bytes.next()) % CLIENTS;
        if self.clients.contains_key(&key) {
            return;
        }
        let version = bytes.pick(&["1.2.3", "1.2.3", "1.2.0", "1.1.1"]);
        self.connect_as(key, version);
    }

    fn connect_as(&mut self, key: u32, version: &'static str) {
        trace!(self, "> {key} connects, {version}");
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let head = Box::default();
        let (now, key) = (Time(self.now), ClientKey(key));
        self.gateway
            .client_connected(now, key, head, remote, &mut self.out);
        let replica = Replica::new(version);
        self.clients.insert(key.0, replica);
        self.drain();
        let params = json!({ "protocol": version });
        self.request(key.0, "version", params, Asked::Other);
    }

    fn close(&mut self, bytes: &mut Bytes<'_>) {
        let key = u32::from(bytes.next()) % (CLIENTS + WEBS);
        self.disconnect(key);
    }

    fn disconnect(&mut self, key: u32) {
        trace!(self, "> {key} closes");
        self.clients.remove(&key);
        self.webs.retain(|web| *web != key);
        self.gateway
            .client_closed(Time(self.now), ClientKey(key), &mut self.out);
    }

    /// A client sends a request.
    fn send(&mut self, bytes: &mut Bytes<'_>) {
        let key = u32::from(bytes.next()) % CLIENTS;
        if !self.clients.contains_key(&key) {
            return;
        }
        let rid = match bytes.next() {
            255 => return self.send_raw(key, bytes.raw()),
            _ => vocabulary::rid(bytes),
        };
        match bytes.below(10) {
            0..4 => {
                let method = format!("subscribe.{rid}");
                self.request(key, &method, Value::Null, Asked::Subscribe(rid));
            }
            4..6 => {
                let count = 1 + bytes.below(8) as u64 / 6;
                let (method, params) = (format!("unsubscribe.{rid}"), json!({ "count": count }));
                self.request(key, &method, params, Asked::Unsubscribe(rid, count));
            }
            6 => self.request(key, &format!("get.{rid}"), Value::Null, Asked::Other),
            7 => self.request(key, &format!("auth.{rid}.set"), json!([1]), Asked::Call),
            8 => self.request(key, &format!("new.{rid}"), json!({}), Asked::New),
            _ => self.request(key, &format!("call.{rid}.set"), Value::Null, Asked::Call),
        }
    }

    fn request(&mut self, key: u32, method: &str, params: Value, asked: Asked) {
        if !self.gateway.takes_requests(ClientKey(key)) {
            return;
        }
        self.last_id += 1;
        let id = self.last_id;
        let text = json!({ "id": id, "method": method, "params": params }).to_string();
        trace!(self, "> {key} {text}");
        if let Some(replica) = self.clients.get_mut(&key) {
            replica.ask(id, asked);
        }
        let (now, key) = (Time(self.now), ClientKey(key));
        self.gateway
            .client_message(now, key, text.as_bytes(), &mut self.out);
    }

    fn send_raw(&mut self, key: u32, text: &[u8]) {
        trace!(self, "> {key} {}", text.escape_ascii());
        let Some(replica) = self.clients.get_mut(&key) else {
            return;
        };
        if let Some(request) = client::parse(text) {
            if replica.has_asked(request.id) || request.action == Some(Action::Version) {
                return;
            }
            let count = client::parse_count(request.params).unwrap_or_default();
            let asked = match request.action {
                Some(Action::Subscribe(rid)) => Asked::Subscribe(rid.into()),
                Some(Action::Unsubscribe(rid)) => Asked::Unsubscribe(rid.into(), count),
                Some(Action::Call(..) | Action::Auth(..)) => Asked::Call,
                Some(Action::New(_)) => Asked::New,
                _ => Asked::Other,
            };
            replica.ask(request.id, asked);
        }
        let (now, key) = (Time(self.now), ClientKey(key));
        self.gateway.client_message(now, key, text, &mut self.out);
    }

    fn web(&mut self, bytes: &mut Bytes<'_>) {
        let key = CLIENTS + u32::from(bytes.next()) % WEBS;
        if self.webs.contains(&key) {
            return;
        }
        let rid = vocabulary::rid(bytes);
        let (name, query) = match rid.split_once('?') {
            Some((name, query)) => (name, Some(query)),
            None => (&*rid, None),
        };
        let mut path = name.replace('.', "/");
        let action = bytes.pick(&[WebAction::Get, WebAction::Get, WebAction::Post]);
        if action == WebAction::Post {
            path.push_str("/set");
        }
        trace!(self, "> {key} {action:?} {path} {query:?}");
        self.webs.push(key);
        let request = WebRequest {
            action,
            path: &path,
            query,
            body: b" [1] ",
            head: b"",
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        };
        self.gateway
            .web_request(Time(self.now), ClientKey(key), request, &mut self.out);
    }

    fn message(&mut self, sid: u64, subject: &str, payload: Option<&[u8]>) {
        trace!(
            self,
            "> {subject} {}",
            payload.unwrap_or(b"nobody listens").escape_ascii()
        );
        let message = BrokerMessage {
            sid,
            subject: subject.as_bytes(),
            payload: payload.unwrap_or_default(),
            status: payload.is_none().then_some(503),
        };
        self.gateway
            .broker_message(Time(self.now), message, &mut self.out);
    }

    fn answer(&mut self, bytes: &mut Bytes<'_>) {
        if self.open.is_empty() {
            return;
        }
        let open = self.open.remove(bytes.below(self.open.len()));
        let payload = vocabulary::answer(&open.subject, &open.payload, bytes);
        trace!(self, "  {} is answered", open.subject);
        self.message(2, &open.reply, payload.as_deref());
        if payload.is_some_and(|payload| payload.first().is_some_and(u8::is_ascii_alphabetic)) {
            // At most a pre-response.
            self.open.push(open);
        } else {
            self.answered.push_front(open);
            self.answered.truncate(LATELY);
        }
    }

    /// A second answer, which must not matter.
    fn answer_late(&mut self, bytes: &mut Bytes<'_>) {
        if self.answered.is_empty() {
            return;
        }
        let open = self.answered[bytes.below(self.answered.len())].clone();
        let payload = vocabulary::answer(&open.subject, &open.payload, bytes);
        self.message(2, &open.reply, payload.as_deref());
    }

    /// A subscription to subjects of a kind, now or lately.
    fn subscription(&self, kind: &str, bytes: &mut Bytes<'_>) -> Option<(u64, String)> {
        let now = self.subscribed.iter().map(|(sid, subject)| (*sid, subject));
        let lately = self
            .unsubscribed
            .iter()
            .map(|(sid, subject)| (*sid, subject));
        let all: Vec<_> = now
            .chain(lately)
            .filter(|(_, subject)| subject.starts_with(kind))
            .collect();
        let (sid, subject) = *all.get(bytes.below(all.len().max(1)))?;
        Some((sid, subject.strip_suffix('*')?.to_owned()))
    }

    fn event(&mut self, bytes: &mut Bytes<'_>) {
        let Some((sid, subject)) = self.subscription("event.", bytes) else {
            return;
        };
        let (event, payload) = match bytes.below(16) {
            0 => ("reaccess", Value::Null),
            1 | 2 => ("query", json!({ "subject": "ask.it" })),
            3 => ("query", json!({ "subject": "ask it" })),
            4 => {
                let event = bytes.pick(&["change", "add", "remove", "delete", "create", "query"]);
                let raw = bytes.raw();
                return self.message(sid, &format!("{subject}{event}"), Some(raw));
            }
            _ => vocabulary::event(bytes),
        };
        let payload = payload.to_string();
        self.message(sid, &format!("{subject}{event}"), Some(payload.as_bytes()));
    }

    fn system(&mut self, bytes: &mut Bytes<'_>) {
        let (event, payload) = match bytes.below(8) {
            0 => (
                "tokenReset",
                json!({ "tids": ["one"], "subject": "auth.t.x" }),
            ),
            1 => (
                "tokenReset",
                json!({ "tids": ["one", "two"], "subject": "auth x" }),
            ),
            2 => ("other", Value::Null),
            _ => ("reset", vocabulary::reset(bytes)),
        };
        let payload = payload.to_string();
        self.message(1, &format!("system.{event}"), Some(payload.as_bytes()));
    }

    fn token(&mut self, bytes: &mut Bytes<'_>) {
        let Some((sid, subject)) = self.subscription("conn.", bytes) else {
            return;
        };
        let payload = vocabulary::token(bytes).to_string();
        self.message(sid, &format!("{subject}token"), Some(payload.as_bytes()));
    }

    fn pass(&mut self, time: u64) {
        self.now += time;
        trace!(self, "> {} ms", self.now);
        if self
            .gateway
            .next_timeout()
            .is_some_and(|due| due.0 <= self.now)
        {
            self.gateway.timeout(Time(self.now), &mut self.out);
            self.drain();
        }
        let next = self.gateway.next_timeout();
        assert!(
            next.is_none_or(|due| due.0 > self.now),
            "{next:?} at {}",
            self.now
        );
    }

    /// Takes what the gateway wants done.
    fn drain(&mut self) {
        let mut closed = Vec::new();
        self.drain_broker();
        let deliveries: Vec<_> = self.out.drain_clients().collect();
        for (ClientKey(key), delivery) in deliveries {
            match delivery {
                Delivery::Message(_) | Delivery::Answer(_) => {
                    let message = delivery.text().expect("it is a message");
                    let text = std::str::from_utf8(&message).expect("UTF-8");
                    trace!(self, "  < {key} {text}");
                    assert!(!text.contains(['<', '>', '&']));
                    let message = serde_json::from_str(text).expect("JSON");
                    let replica = self.clients.get_mut(&key);
                    replica.expect("messages are for clients").take(&message);
                }
                Delivery::Web(response) => {
                    trace!(self, "  < {key} {} {:?}", response.status, response.fields);
                    let place = self.webs.iter().position(|web| *web == key);
                    self.webs
                        .remove(place.expect("an open request is answered"));
                    if let Some(body) = &response.body {
                        serde_json::from_slice::<Value>(body).expect("JSON");
                    }
                }
                Delivery::Upgrade(_) => unreachable!("no client waits for its upgrade"),
                Delivery::Resume => assert!(self.gateway.takes_requests(ClientKey(key))),
                Delivery::Close(_) => closed.push(key),
            }
        }
        self.out.clear();
        for key in closed {
            self.disconnect(key);
            self.drain();
        }
    }

    fn drain_broker(&mut self) {
        for op in self.out.broker() {
            let text = |span| std::str::from_utf8(self.out.bytes(span)).expect("UTF-8");
            match *op {
                BrokerOp::Publish {
                    subject,
                    reply,
                    payload,
                } => {
                    let (subject, reply, payload) = (text(subject), text(reply), text(payload));
                    trace!(self, "  < {subject} {payload}");
                    assert!(is_subject(subject) && is_subject(reply));
                    assert!(subject.len() + reply.len() <= 4096);
                    let is_reply = |open: &Open| open.reply == reply;
                    assert!(!self.open.iter().any(is_reply), "replies are told apart");
                    let events = subject
                        .strip_prefix("get.")
                        .map(|name| format!("event.{name}.*"));
                    if let Some(events) = events {
                        let mut subscribed = self.subscribed.values();
                        assert!(subscribed.any(|subject| *subject == events), "{events}");
                    }
                    let payload = serde_json::from_str(payload).expect("JSON");
                    let (subject, reply) = (subject.to_owned(), reply.to_owned());
                    self.open.push(Open {
                        subject,
                        reply,
                        payload,
                    });
                }
                BrokerOp::Subscribe { sid, subject } => {
                    let subject = text(subject).to_owned();
                    trace!(self, "  < subscribe {sid} {subject}");
                    let name = subject.strip_suffix(".*").expect("a wildcard at the end");
                    assert!(is_subject(name));
                    assert!(!self.subscribed.values().any(|other| *other == subject));
                    let lately = self.unsubscribed.iter().any(|(other, _)| *other == sid);
                    assert!(!lately, "{sid} is used again");
                    assert!(self.subscribed.insert(sid, subject).is_none());
                }
                BrokerOp::Unsubscribe { sid } => {
                    let subject = self.subscribed.remove(&sid).expect("it is subscribed");
                    trace!(self, "  < unsubscribe {sid} {subject}");
                    self.unsubscribed.push_front((sid, subject));
                    self.unsubscribed.truncate(LATELY);
                }
            }
        }
    }

    /// Nobody answers any more; then all go.
    pub fn end(&mut self) {
        for _ in 0..PATIENCE {
            let is_waiting = |replica: &Replica| replica.open().next().is_some();
            if self.webs.is_empty() && !self.clients.values().any(is_waiting) {
                break;
            }
            self.pass_to_next();
        }
        assert!(self.webs.is_empty(), "a web request is not answered");
        for (key, replica) in &self.clients {
            if let Some((id, asked)) = replica.open().next() {
                panic!("{id} of {key} is not answered: {asked:?}");
            }
        }
        for key in 0..CLIENTS {
            self.compare(key);
        }
        for key in 0..CLIENTS + WEBS {
            self.disconnect(key);
            self.drain();
        }
        for _ in 0..PATIENCE {
            self.pass_to_next();
        }
        assert_eq!(self.gateway.stats(), Stats::default());
        assert_eq!(self.gateway.next_timeout(), None);
        let subscribed: Vec<&str> = self.subscribed.values().map(String::as_str).collect();
        assert!(
            matches!(subscribed[..], ["system.*", inbox] if inbox.starts_with("_INBOX.")),
            "{subscribed:?}"
        );
    }

    /// A client at rest knows what one that comes now is told.
    fn compare(&mut self, key: u32) {
        self.rest();
        let Some(replica) = self.clients.get(&key) else {
            return;
        };
        let subscribed = replica.subscribed();
        let fresh = CLIENTS + WEBS;
        self.connect_as(fresh, replica.version);
        self.drain();
        for rid in subscribed {
            let method = format!("subscribe.{rid}");
            self.request(fresh, &method, Value::Null, Asked::Subscribe(rid));
            self.drain();
        }
        self.rest();
        self.clients[&key].compare(&self.clients[&fresh]);
        self.disconnect(fresh);
        self.drain();
    }

    /// Services grant access and answer nothing else, until no request is open.
    fn rest(&mut self) {
        for _ in 0..PATIENCE {
            let is_access = |open: &mut Open| open.subject.starts_with("access.");
            let access: Vec<Open> = self.open.extract_if(.., is_access).collect();
            let is_resting = access.is_empty();
            for open in access {
                let granted = br#"{"result":{"get":true}}"#;
                self.message(2, &open.reply, Some(granted));
                self.drain();
            }
            let stats = self.gateway.stats();
            if is_resting && (stats.pending, stats.waiting, stats.queued) == (0, 0, 0) {
                return;
            }
            if is_resting {
                self.pass_to_next();
            }
        }
        panic!("no rest: {:?}", self.gateway.stats());
    }

    fn pass_to_next(&mut self) {
        if let Some(due) = self.gateway.next_timeout() {
            self.pass(due.0.saturating_sub(self.now));
        }
    }
}
