//! Random clients and services: whatever happens, every client's replica is the services'
//! state when all is quiet, and what it may not read it does not hold directly.
//!
//! Services keep to the protocol: what concerns one resource name arrives in the order in
//! which it was sent, and lost events are followed by a reset. All else is random.

use crate::harness::{Heart, REQUEST_TIMEOUT, Request};
use crate::replica::{Asked, Replica};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use tidegate::gateway::Options;

const CLIENTS: u32 = 3;
/// Resource names: models, collections, and collections with a query.
const MODELS: &[&str] = &["m.0", "m.1", "m.2", "m.3"];
const COLLECTIONS: &[&str] = &["c.0", "c.1", "c.2"];
/// Query events of the first are answered with events, of the second with the collection.
const QUERIES: &[&str] = &["q.0", "q.1"];

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides as u64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.roll(items.len())]
    }
}

/// Something on its way to the gateway.
enum Sent {
    Event(String, String),
    Answer(Request, String),
}

struct World {
    heart: Heart,
    dice: Dice,
    /// The services' resources, by name and normalised query.
    truth: BTreeMap<(String, String), Value>,
    /// Who may not be read now.
    forbidden: BTreeMap<String, bool>,
    /// On its way, by resource name.
    wire: BTreeMap<String, VecDeque<Sent>>,
    /// What a query event means, by its subject and query.
    queries: BTreeMap<(String, String), Value>,
    replicas: BTreeMap<u32, Replica>,
    counter: u32,
    /// Time since access requests were answered for certain.
    patience: u64,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            heart: Heart::with(Options {
                reference_throttle: [0, 1, 2, 3][(seed % 4) as usize],
                reset_throttle: [0, 1, 2][(seed / 4 % 3) as usize],
                ..Options::default()
            }),
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            truth: BTreeMap::new(),
            forbidden: BTreeMap::new(),
            wire: BTreeMap::new(),
            queries: BTreeMap::new(),
            replicas: BTreeMap::new(),
            counter: 0,
            patience: 0,
            log: Vec::new(),
        };
        for name in MODELS.iter().chain(COLLECTIONS) {
            world.create(name, "");
        }
        for name in QUERIES {
            world.create(name, "k=a");
            world.create(name, "k=b");
        }
        for number in 0..CLIENTS {
            world.connect(number);
        }
        world
    }

    fn connect(&mut self, number: u32) {
        self.heart.connect(number, Some("1.2.3"));
        self.replicas.insert(number, Replica::default());
    }

    fn rid(&mut self) -> String {
        match self.dice.roll(10) {
            0..4 => self.dice.pick(MODELS).to_owned(),
            4..7 => self.dice.pick(COLLECTIONS).to_owned(),
            7 => format!("{}?x", self.dice.pick(MODELS)),
            _ => {
                let name = self.dice.pick(QUERIES);
                let query = self.dice.pick(&["k=a", "k=b", "x;k=a", "k=b;y", "k=a;z"]);
                format!("{name}?{query}")
            }
        }
    }

    fn value(&mut self) -> Value {
        self.counter += 1;
        match self.dice.roll(8) {
            0..4 => json!({ "rid": self.rid() }),
            4 => json!({ "rid": self.rid(), "soft": true }),
            5 => json!({ "data": [self.counter] }),
            _ => json!(self.counter % 7),
        }
    }

    fn create(&mut self, name: &str, query: &str) {
        let value = if MODELS.contains(&name) {
            json!({ "a": self.value(), "n": 0 })
        } else {
            let length = self.dice.roll(4);
            Value::Array((0..length).map(|_| self.value()).collect())
        };
        self.truth.insert((name.into(), query.into()), value);
    }

    fn send(&mut self, name: &str, event: &str, payload: &Value) {
        let subject = format!("event.{name}.{event}");
        if self.heart.hears(&subject) {
            let sent = Sent::Event(subject, payload.to_string());
            self.wire.entry(name.into()).or_default().push_back(sent);
        }
    }

    /// Changes a resource at random, and returns the event that says so.
    fn modify(&mut self, name: &str, query: &str) -> Option<(&'static str, Value)> {
        let value = self.value();
        let key = *self.dice.pick(&[&"a", &"b", &"c"]);
        let (delete, mut place) = (self.dice.one_in(4), self.dice.roll(8));
        let truth = self.truth.get_mut(&(name.into(), query.into()))?;
        Some(match truth {
            Value::Object(model) => {
                let change = if delete && model.contains_key(key) {
                    model.remove(key);
                    json!({ "action": "delete" })
                } else {
                    model.insert(key.into(), value.clone());
                    value
                };
                ("change", json!({ "values": { key: change } }))
            }
            Value::Array(list) => {
                if !list.is_empty() && (delete || list.len() > 4) {
                    place %= list.len();
                    list.remove(place);
                    ("remove", json!({ "idx": place }))
                } else {
                    place %= list.len() + 1;
                    list.insert(place, value.clone());
                    ("add", json!({ "idx": place, "value": value }))
                }
            }
            _ => return None,
        })
    }

    fn service_acts(&mut self) {
        let all: Vec<&str> = [MODELS, COLLECTIONS, QUERIES].concat();
        let name = self.dice.pick(&all);
        match self.dice.roll(20) {
            0..11 if QUERIES.contains(&name) => {
                self.counter += 1;
                let subject = format!("_Q.{name}.{}", self.counter);
                for query in ["k=a", "k=b"] {
                    let mut events = Vec::new();
                    for _ in 0..self.dice.roll(3) {
                        if let Some((event, data)) = self.modify(name, query) {
                            events.push(json!({ "event": event, "data": data }));
                        }
                    }
                    self.queries
                        .insert((subject.clone(), query.into()), events.into());
                }
                self.send(name, "query", &json!({ "subject": subject }));
            }
            0..11 => {
                if let Some((event, data)) = self.modify(name, "") {
                    self.log.push(format!("   {name}.{event} {data}"));
                    self.send(name, event, &data);
                }
            }
            11 => self.send(name, "custom", &json!(1)),
            12 => self.send(name, "reaccess", &Value::Null),
            13 => {
                let forbidden = self.forbidden.entry(name.into()).or_default();
                *forbidden = !*forbidden;
                self.send(name, "reaccess", &Value::Null);
            }
            14 if !QUERIES.contains(&name) => {
                if self.truth.remove(&(name.into(), String::new())).is_some() {
                    self.send(name, "delete", &Value::Null);
                }
            }
            14 | 15 => {
                if !QUERIES.contains(&name) && !self.truth.contains_key(&(name.into(), "".into())) {
                    self.create(name, "");
                }
            }
            16 => {
                // An event is lost, which a reset mends.
                for query in ["", "k=a"] {
                    if let Some((event, data)) = self.modify(name, query) {
                        self.log.push(format!("   lost {name}.{event} {data}"));
                    }
                }
                let pattern = self.dice.pick(&[name, ">", "*.*"]);
                let reset = json!({ "resources": [pattern] });
                self.log.push(format!("S system.reset {reset}"));
                self.heart.event("system.reset", &reset.to_string());
            }
            17 => {
                let pattern = self.dice.pick(&[name, ">"]);
                let reset = json!({ "access": [pattern] });
                self.log.push(format!("S system.reset {reset}"));
                self.heart.event("system.reset", &reset.to_string());
            }
            _ => {
                let number = self.dice.roll(CLIENTS as usize) as u32;
                if self.heart.knows_cid(number) {
                    self.counter += 1;
                    let token = json!({ "token": self.counter });
                    self.log.push(format!("S C{number} {token}"));
                    self.heart.token(number, &token.to_string());
                }
            }
        }
    }

    /// A service takes a request, and perhaps fails.
    fn service_answers(&mut self, may_fail: bool) {
        let waiting = self.heart.subjects().len();
        if waiting == 0 {
            return;
        }
        let place = self.dice.roll(waiting);
        self.service_answers_one(place, may_fail);
    }

    fn service_answers_one(&mut self, place: usize, may_fail: bool) {
        let request = self.heart.take_request(place);
        let is_access = request.subject.starts_with("access.");
        if may_fail && !is_access && self.dice.one_in(20) {
            self.log.push(format!("S {} is lost", request.subject));
            return; // It will time out.
        }
        let payload: Value = serde_json::from_str(&request.payload).expect("JSON");
        let query = payload["query"].as_str().unwrap_or_default();
        let normal = query.split(';').find(|part| part.starts_with("k="));
        let normal = normal.unwrap_or_default().to_owned();
        let parts: Vec<&str> = request.subject.split('.').collect();
        let name = parts[1..3].join(".");
        let broken = may_fail && parts[0] != "access" && self.dice.one_in(10);
        let answer = match parts[0] {
            _ if broken => json!({ "error": { "code": "test.broken", "message": "M" } }),
            "access" => {
                let allowed = !self.forbidden.get(&name).copied().unwrap_or_default();
                json!({ "result": { "get": allowed, "call": "*" } })
            }
            "get" => match self.truth.get(&(name.clone(), normal.clone())) {
                Some(Value::Object(model)) => json!({ "result": { "model": model } }),
                Some(list) => {
                    let mut result = json!({ "collection": list });
                    if !normal.is_empty() {
                        result["query"] = normal.into();
                    }
                    json!({ "result": result })
                }
                None => json!({ "error": { "code": "system.notFound", "message": "Not found" } }),
            },
            "call" if self.dice.one_in(2) => json!({ "resource": { "rid": self.rid() } }),
            "call" => json!({ "result": null }),
            "_Q" if name == QUERIES[0] => {
                let events = &self.queries[&(request.subject.clone(), normal)];
                json!({ "result": { "events": events } })
            }
            "_Q" => json!({ "result": { "collection": self.truth[&(name.clone(), normal)] } }),
            other => panic!("{other}"),
        };
        let sent = Sent::Answer(request, answer.to_string());
        self.wire.entry(name).or_default().push_back(sent);
    }

    /// Something arrives at the gateway.
    fn deliver(&mut self) {
        let names: Vec<String> = self
            .wire
            .iter()
            .filter(|(_, queue)| !queue.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            return;
        }
        let name = &names[self.dice.roll(names.len())];
        match self.wire.get_mut(name).and_then(VecDeque::pop_front) {
            Some(Sent::Event(subject, payload)) => {
                self.log.push(format!("S {subject} {payload}"));
                if self.heart.hears(&subject) {
                    self.heart.event(&subject, &payload);
                }
            }
            Some(Sent::Answer(request, payload)) => {
                self.log.push(format!(
                    "S {} {} -> {payload}",
                    request.subject, request.payload
                ));
                self.heart.respond(&request, &payload);
            }
            None => {}
        }
    }

    fn client_acts(&mut self) {
        let number = self.dice.roll(CLIENTS as usize) as u32;
        let rid = self.rid();
        let Some(replica) = self.replicas.get_mut(&number) else {
            return;
        };
        let (method, params, asked) = match self.dice.roll(20) {
            0..7 => (
                format!("subscribe.{rid}"),
                Value::Null,
                Asked::Subscribe(rid),
            ),
            7..14 => {
                let mut held: Vec<String> = replica.direct.keys().cloned().collect();
                held.push(rid);
                let rid = held.swap_remove(self.dice.roll(held.len()));
                let most = replica.can_unsubscribe(&rid);
                if most == 0 {
                    return;
                }
                let count = self.dice.roll(most as usize) as u32 + 1;
                let params = json!({ "count": count });
                (
                    format!("unsubscribe.{rid}"),
                    params,
                    Asked::Unsubscribe(rid, count),
                )
            }
            14..17 => (format!("get.{rid}"), Value::Null, Asked::Get(rid)),
            17..19 => (format!("call.{rid}.do"), Value::Null, Asked::Call),
            _ => {
                if self.dice.one_in(4) {
                    self.log.push(format!("C{number} reconnects"));
                    self.heart.close(number);
                    self.connect(number);
                }
                return;
            }
        };
        let id = replica.ask(asked);
        let request = json!({ "id": id, "method": method, "params": params });
        self.log.push(format!("C{number} {request}"));
        self.heart.client(number).send(&request.to_string());
    }

    fn read(&mut self) {
        for number in 0..CLIENTS {
            for message in self.heart.client(number).messages() {
                self.log.push(format!("  to C{number} {message}"));
                let replica = self.replicas.get_mut(&number).expect("it is connected");
                replica.take(&message);
            }
        }
    }

    fn turn(&mut self) {
        match self.dice.roll(16) {
            0..4 => self.client_acts(),
            4..7 => self.service_acts(),
            7..11 => self.service_answers(true),
            11..15 => self.deliver(),
            _ => {
                let time = self.dice.roll(600) as u64;
                self.patience += time;
                if self.patience >= REQUEST_TIMEOUT {
                    self.patience = time;
                    self.settle_access();
                }
                self.log.push(format!("{time} ms"));
                self.heart.advance(time);
            }
        }
        self.read();
    }

    /// Access is always answered in time: of a resource that a call brings and that
    /// fails, a client cannot tell whether it is a subscription unless the error is
    /// that access is denied.
    fn settle_access(&mut self) {
        let is_access = |subject: &&str| subject.starts_with("access.");
        loop {
            let place = self.heart.subjects().iter().position(is_access);
            if let Some(place) = place {
                self.service_answers_one(place, false);
            } else if self.wire.values().any(|queue| !queue.is_empty()) {
                self.deliver();
                self.read();
            } else {
                return;
            }
        }
    }

    /// Lets everything come to rest, with services that answer.
    fn rest(&mut self) {
        self.log.push("rest".into());
        let mut quiet = 0;
        while quiet < 40 {
            while !self.heart.subjects().is_empty() || self.wire.values().any(|w| !w.is_empty()) {
                self.service_answers(false);
                self.deliver();
                self.read();
                quiet = 0;
            }
            quiet += 1;
            self.heart.advance(2_000);
            self.read();
        }
    }

    fn check(&self) {
        for (number, replica) in &self.replicas {
            assert!(replica.asked.is_empty(), "C{number}: {:?}", replica.asked);
            for rid in replica.direct.keys() {
                let name = rid.split('?').next().unwrap_or_default();
                let forbidden = self.forbidden.get(name).copied().unwrap_or_default();
                assert!(!forbidden, "C{number} still holds {rid}");
            }
            for (rid, held) in &replica.held {
                if held.failed || held.deleted {
                    continue;
                }
                let (name, query) = rid.split_once('?').unwrap_or((rid, ""));
                let normal = query.split(';').find(|part| part.starts_with("k="));
                let key = (name.to_owned(), normal.unwrap_or_default().to_owned());
                assert_eq!(
                    Some(&held.data),
                    self.truth.get(&key),
                    "C{number} has another state of {rid}"
                );
            }
        }
    }
}

/// Tells how a failing run came about.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let start = self.log.len().saturating_sub(300_000);
            for line in &self.log[start..] {
                eprintln!("{line}");
            }
        }
    }
}

#[test]
fn replicas_are_what_services_have_when_all_is_quiet() {
    let seeds = std::env::var("HEART_SEEDS").ok();
    let (first, count) = match seeds.as_deref().and_then(|text| text.split_once('+')) {
        Some((first, count)) => (first.parse().unwrap(), count.parse().unwrap()),
        None => (0u64, 60u64),
    };
    for seed in first..first + count {
        eprintln!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..3 {
            for _ in 0..150 {
                world.turn();
            }
            world.rest();
            world.check();
        }
    }
}
