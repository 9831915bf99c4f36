//! The services: resources and their truth, who may do what, and what goes out over
//! the broker when something changes.

use super::changes::{Focus, KEYS, change_list, change_model, change_rows, value};
use super::choices::{Choices, Rng};
use super::content::{Content, canonical};
use super::query;
use super::request::{Kind, Request};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds of token that a connection may have: none, and two users.
pub const TOKENS: usize = 3;

/// Call permissions that access answers give.
const CALLS: [&str; 5] = ["*", "set,ok,res", "ok", "set,new,err", ""];

/// Resource IDs that references and clients use. Some are other names of one
/// resource, one is each client's own, the last does not exist.
pub const RIDS: [&str; 22] = [
    "m.0",
    "m.1",
    "m.2",
    "m.3",
    "m.4",
    "c.0",
    "c.1",
    "c.2",
    "c.3",
    "m.0?x=1",
    "c.0?x=1",
    "m.1?",
    "m.2?c={cid}",
    "u.{cid}",
    "q.0",
    "q.0?l=2&s=0",
    "q.0?s=0&l=2",
    "q.0?l=3&s=1",
    "q.1",
    "q.1?l=2&s=1",
    "q.1?s=1&l=2",
    "z.9",
];

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Model,
    Collection,
    QueryModel,
    QueryCollection,
}

/// What holders of one kind of token may do with one resource name.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub get: bool,
    pub call: &'static str,
}

/// One resource name.
#[derive(Clone, Debug)]
pub struct Entry {
    pub shape: Shape,
    /// The state of a plain resource, `None` after it was deleted.
    pub content: Option<Content>,
    /// What the windows of a query resource look at.
    pub rows: Vec<Value>,
    pub grants: [Grant; TOKENS],
    /// The last number given to a custom event.
    pub number: u64,
    /// Numbers of those that never came to the gateway.
    lost: BTreeSet<u64>,
    /// The state changed without an event that says so, and no reset was sent since.
    pub doubt: bool,
    /// The same for access.
    pub access_doubt: bool,
    /// A reset was sent, or due, at any time: events may overtake others.
    pub disturbed: bool,
    /// A get request ever failed.
    pub failed: bool,
    /// Something was said that has nothing to do with what there is, and that no reset may
    /// mend: a model where there is a collection, say.
    pub lied: bool,
    /// Every state that there was, of a plain resource.
    history: Vec<Content>,
    /// Every list of rows that there was, of a query resource.
    past_rows: Vec<Vec<Value>>,
}

/// A message on its way to the broker. Messages of one lane keep their order.
#[derive(Clone, Debug)]
pub struct Sent {
    pub lane: String,
    pub subject: String,
    pub payload: Vec<u8>,
}

impl Sent {
    pub fn event(name: &str, event: &str, payload: &Value) -> Self {
        let payload = if payload.is_null() {
            Vec::new()
        } else {
            payload.to_string().into()
        };
        Self {
            lane: name.to_owned(),
            subject: format!("event.{name}.{event}"),
            payload,
        }
    }
}

/// What a query event promised: the rows before and after.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    name: String,
    before: Vec<Value>,
    after: Vec<Value>,
}

/// All services together.
#[derive(Clone, Debug)]
pub struct Service {
    entries: BTreeMap<String, Entry>,
    changes: BTreeMap<String, Change>,
    focus: Focus,
}

impl Change {
    /// Rows that there were never.
    fn detour(&self) -> Vec<Value> {
        let (before, after) = (self.before.iter(), self.after.iter().rev());
        before.take(1).chain(after).cloned().collect()
    }
}

impl Service {
    /// Services with a first state drawn from a seed.
    pub fn new(seed: u64, focus: Focus) -> Self {
        let mut service = Self {
            entries: BTreeMap::new(),
            changes: BTreeMap::new(),
            focus,
        };
        for rid in RIDS
            .iter()
            .filter(|rid| !rid.contains(['?', '{']) && **rid != "z.9")
        {
            let mut rng = Rng::labelled(seed, rid, 0);
            let shape = match &rid[..1] {
                "m" => Shape::Model,
                "c" => Shape::Collection,
                _ if *rid == "q.0" => Shape::QueryCollection,
                _ => Shape::QueryModel,
            };
            let mut entry = Entry::new(shape, focus, &mut rng);
            for grant in &mut entry.grants {
                *grant = Grant {
                    get: rng.chance(85),
                    call: CALLS[rng.below(CALLS.len())],
                };
            }
            service.entries.insert((*rid).to_owned(), entry);
        }
        service
    }

    /// Services that have nothing.
    pub fn empty() -> Self {
        Self {
            entries: BTreeMap::new(),
            changes: BTreeMap::new(),
            focus: super::changes::EVERYWHERE,
        }
    }

    /// Adds a model, or a query collection with rows.
    pub fn add(&mut self, name: &str, value: &Value) {
        let (shape, rows) = match value.as_array() {
            Some(rows) => (Shape::QueryCollection, rows.clone()),
            None => (Shape::Model, Vec::new()),
        };
        let mut entry = Entry::new(shape, self.focus, &mut Rng::new(0));
        let model = value.as_object().cloned();
        entry.content = model.map(|model| Content::Model(model.into_iter().collect()));
        entry.rows = rows;
        (entry.history, entry.past_rows) = (Vec::new(), Vec::new());
        entry.remember();
        self.entries.insert(name.to_owned(), entry);
    }

    /// Gives a model that was deleted content again.
    pub fn bring(&mut self, name: &str, model: &Value) {
        if let (Some(entry), Some(model)) = (self.entries.get_mut(name), model.as_object()) {
            entry.content = Some(Content::Model(model.clone().into_iter().collect()));
            entry.remember();
        }
    }

    /// The subject on which query requests about a change are answered: that of the same
    /// change, if there was one.
    pub fn subject_of(&mut self, name: &str, before: Vec<Value>, after: Vec<Value>) -> String {
        let name = name.to_owned();
        let change = Change {
            name: name.clone(),
            before,
            after,
        };
        let mut known = self.changes.iter();
        if let Some((subject, _)) = known.find(|(_, known)| **known == change) {
            return subject.clone();
        }
        let subject = format!("changes.{name}.{}", self.changes.len());
        self.changes.insert(subject.clone(), change);
        subject
    }

    /// Allows everything to everybody.
    pub fn open_up(&mut self) {
        for entry in self.entries.values_mut() {
            entry.grants = [Grant {
                get: true,
                call: "*",
            }; TOKENS];
        }
    }

    /// Notes that a request will not be answered well in time.
    pub fn will_fail(&mut self, request: &Request) {
        match request.kind {
            Kind::Get => {
                if let Some(entry) = self.entry(&request.name) {
                    entry.failed = true;
                }
            }
            Kind::Query => {
                let name = self
                    .name_of_changes(&request.name)
                    .unwrap_or_default()
                    .to_owned();
                if let Some(entry) = self.entry(&name) {
                    entry.disturbed = true;
                }
            }
            _ => {}
        }
    }

    /// Notes that a request is answered with anything.
    pub fn lied(&mut self, request: &Request) {
        let name = match request.kind {
            Kind::Access => {
                self.disown(&request.name.clone(), false);
                return;
            }
            Kind::Get => request.name.clone(),
            Kind::Query => self
                .name_of_changes(&request.name)
                .unwrap_or_default()
                .to_owned(),
            _ => return,
        };
        self.disown(&name, true);
    }

    /// Notes that anything was said of a resource, or else of the access to it.
    pub fn disown(&mut self, name: &str, data: bool) {
        if name.is_empty() {
            return;
        }
        if self.entry(name).is_none() {
            let mut entry = Entry::new(Shape::Model, self.focus, &mut Rng::new(0));
            entry.content = None;
            self.entries.insert(name.to_owned(), entry);
        }
        if let Some(entry) = self.entry(name) {
            entry.lied |= data;
            entry.failed |= data;
            entry.disturbed |= data;
            entry.doubt |= data;
            entry.access_doubt |= !data;
        }
    }

    /// Notes that a reset is due, which may come between a change and its event.
    pub fn disturb(&mut self, pattern: &str) {
        for (name, entry) in &mut self.entries {
            entry.disturbed |= super::broker::matches(pattern, name);
        }
    }

    /// Whether a get request is for something of which anything was said.
    pub fn has_lied(&mut self, request: &Request) -> bool {
        request.kind == Kind::Get && self.entry(&request.name).is_some_and(|entry| entry.lied)
    }

    /// Whether anything was said of any resource.
    pub fn has_lies(&self) -> bool {
        self.entries.values().any(|entry| entry.lied)
    }

    /// Every state that there was, in no order, as text.
    pub fn write_past(&self, out: &mut String) {
        for (name, entry) in &self.entries {
            let past = entry.history.iter().map(|past| format!("{past:?}"));
            let rows = entry.past_rows.iter().map(|rows| format!("{rows:?}"));
            let past: BTreeSet<_> = past.chain(rows).collect();
            out.extend([name.as_str(), " was "]);
            out.extend(past);
        }
    }

    /// The names that exist or existed, but for what stands for the own resources of web
    /// requests: each of those has another one, as it was in the beginning.
    pub fn names(&self) -> Vec<String> {
        let names = self.entries.keys().filter(|name| *name != "u.web");
        names.cloned().collect()
    }

    /// One name; a client's own ones come to life when they are first looked at.
    pub fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        if name.starts_with("u.") && !self.entries.contains_key(name) {
            let mut entry = Entry::new(Shape::Model, self.focus, &mut Rng::new(0));
            entry.content = Some(Content::Model([("a".to_owned(), json!(1))].into()));
            entry.history = entry.content.iter().cloned().collect();
            self.entries.insert(name.to_owned(), entry);
        }
        self.entries.get_mut(name)
    }

    /// The normal query of a resource, `None` for plain resources.
    pub fn normal_query(&mut self, name: &str, query: Option<&str>) -> Option<String> {
        let entry = self.entry(name)?;
        entry.is_query().then(|| query::normalise(query))
    }

    /// What a resource is at present, `None` if there is none.
    pub fn truth(&mut self, name: &str, query: Option<&str>) -> Option<Content> {
        let entry = self.entry(name)?;
        if entry.is_query() {
            return Some(query::window(entry.shape, &entry.rows, query));
        }
        entry.content.clone()
    }

    /// What a token of a kind may do; everything where nothing is known of the name.
    pub fn grant(&mut self, name: &str, token: usize) -> Grant {
        let open = Grant {
            get: true,
            call: "*",
        };
        self.entry(name).map_or(open, |entry| entry.grants[token])
    }

    /// Whether events of a resource were lost, or none were sent of a change.
    pub fn may_drift(&self) -> bool {
        self.entries
            .values()
            .any(|entry| entry.disturbed || entry.lied || entry.doubt || entry.failed)
    }

    /// Events of all resources may be lost.
    pub fn disturb_all(&mut self) {
        for name in self.names() {
            if let Some(entry) = self.entry(&name) {
                entry.disturbed = true;
            }
        }
    }

    /// Changes a resource. Without events if `silent`, and then a reset is due.
    pub fn mutate(&mut self, name: &str, rng: &mut impl Choices, silent: bool) -> Vec<Sent> {
        let focus = self.focus;
        let Some(entry) = self.entry(name) else {
            return Vec::new();
        };
        if silent {
            entry.doubt = true;
            entry.disturbed = true;
        }
        // What is kept secret may be much.
        let rounds = if silent { 1 + rng.below(6) } else { 1 };
        let (query, before) = (entry.is_query(), entry.rows.clone());
        let mut sent = Vec::new();
        for _ in 0..rounds {
            match &mut entry.content {
                Some(Content::Model(model)) => sent.push(change_model(name, model, focus, rng)),
                Some(Content::Collection(list)) => sent.push(change_list(name, list, focus, rng)),
                None if query => change_rows(&mut entry.rows, focus, rng),
                None => {}
            }
        }
        entry.remember();
        if silent {
            return Vec::new();
        }
        if query {
            let (name, after) = (name.to_owned(), entry.rows.clone());
            let subject = format!("changes.{name}.{}", self.changes.len());
            sent.push(Sent::event(&name, "query", &json!({"subject": subject})));
            self.changes.insert(
                subject,
                Change {
                    name,
                    before,
                    after,
                },
            );
        }
        sent
    }

    /// A numbered event that changes nothing. It tells the state at its time.
    pub fn custom(&mut self, name: &str) -> Vec<Sent> {
        let Some(entry) = self.entry(name) else {
            return Vec::new();
        };
        if entry.is_query() {
            return vec![Sent::event(name, "hello", &json!(1))];
        }
        if entry.content.is_none() {
            return Vec::new();
        }
        entry.number += 1;
        let data = json!({"number": entry.number, "state": {"result": entry.state()}});
        vec![Sent::event(name, "hello", &data)]
    }

    /// Deletes a plain resource.
    pub fn delete(&mut self, name: &str, silent: bool) -> Vec<Sent> {
        let Some(entry) = self.entry(name) else {
            return Vec::new();
        };
        if entry.content.take().is_none() {
            return Vec::new();
        }
        entry.failed = true;
        entry.doubt |= silent;
        entry.disturbed |= silent;
        if silent {
            Vec::new()
        } else {
            vec![Sent::event(name, "delete", &Value::Null)]
        }
    }

    /// Creates a deleted resource anew, perhaps as another type.
    pub fn create(&mut self, name: &str, rng: &mut impl Choices) -> Vec<Sent> {
        let focus = self.focus;
        let Some(entry) = self.entry(name) else {
            return Vec::new();
        };
        if entry.is_query() || entry.content.is_some() {
            return Vec::new();
        }
        // Where the end of the old one was kept secret, another type would be no reset.
        if rng.chance(30) && !entry.disturbed {
            entry.shape = match entry.shape {
                Shape::Model => Shape::Collection,
                _ => Shape::Model,
            };
        }
        entry.content = Entry::new(entry.shape, focus, rng).content;
        entry.remember();
        vec![Sent::event(name, "create", &Value::Null)]
    }

    /// Changes what holders of a kind of token may do. Telling is up to the caller.
    pub fn regulate(&mut self, name: &str, token: usize, rng: &mut impl Choices) {
        if let Some(entry) = self.entry(name) {
            entry.grants[token] = Grant {
                get: rng.chance(65),
                call: CALLS[rng.below(CALLS.len())],
            };
            entry.access_doubt = true;
        }
    }

    /// The answer to a query request: events, or the whole content, or an error if
    /// the subject was never given out.
    pub fn changes(&self, subject: &str, query: &str, rng: &mut impl Choices) -> Value {
        let Some(change) = self.changes.get(subject) else {
            return json!({"error": {"code": "test.noQueryEvent", "message": "No query event"}});
        };
        let shape = self.entries[&change.name].shape;
        let before = query::window(shape, &change.before, Some(query));
        let after = query::window(shape, &change.after, Some(query));
        if rng.chance(40) {
            return json!({"result": after.to_result()});
        }
        let mut events = query::events_between(&before, &after);
        if rng.chance(25) {
            // The same by a detour.
            let between = query::window(shape, &change.detour(), Some(query));
            events = query::events_between(&before, &between);
            events.extend(query::events_between(&between, &after));
        }
        if events.is_empty() && rng.chance(50) {
            return json!({"result": {}});
        }
        json!({"result": {"events": events}})
    }

    /// The name that a query event's subject belongs to.
    pub fn name_of_changes(&self, subject: &str) -> Option<&str> {
        self.changes.get(subject).map(|change| change.name.as_str())
    }
}

impl Entry {
    /// An event never comes to the gateway. If it is a numbered one, the next follows the one
    /// before.
    pub fn lose(&mut self, payload: &[u8]) {
        let data: Value = serde_json::from_slice(payload).unwrap_or_default();
        self.lost.extend(data["number"].as_u64());
    }

    /// What place a custom event has among those that came to the gateway.
    pub fn place(&self, number: u64) -> u64 {
        number - self.lost.range(..=number).count() as u64
    }

    fn new(shape: Shape, focus: Focus, rng: &mut impl Choices) -> Self {
        let mut entry = Self {
            shape,
            content: None,
            rows: Vec::new(),
            grants: [Grant {
                get: true,
                call: "*",
            }; TOKENS],
            number: 0,
            lost: BTreeSet::new(),
            doubt: false,
            access_doubt: false,
            disturbed: false,
            failed: false,
            lied: false,
            history: Vec::new(),
            past_rows: Vec::new(),
        };
        let count = rng.below(4);
        match shape {
            Shape::Model => {
                let values = KEYS[..count]
                    .iter()
                    .map(|key| ((*key).to_owned(), value(focus, rng)));
                entry.content = Some(Content::Model(values.collect()));
            }
            Shape::Collection => {
                entry.content = Some(Content::Collection(
                    (0..count).map(|_| value(focus, rng)).collect(),
                ));
            }
            Shape::QueryModel | Shape::QueryCollection => {
                entry.rows = (0..=count).map(|_| value(focus, rng)).collect();
            }
        }
        entry.remember();
        entry
    }

    pub fn remember(&mut self) {
        if let Some(content) = &self.content
            && !self.history.contains(content)
        {
            self.history.push(content.clone());
        }
        if !self.past_rows.contains(&self.rows) {
            self.past_rows.push(self.rows.clone());
        }
    }

    /// Every state that a resource of this name ever had.
    pub fn past(&self, query: Option<&str>) -> Vec<Content> {
        if !self.is_query() {
            return self.history.clone();
        }
        let windows = self
            .past_rows
            .iter()
            .map(|rows| query::window(self.shape, rows, query));
        windows.collect()
    }

    /// Whether this is a query resource.
    pub fn is_query(&self) -> bool {
        matches!(self.shape, Shape::QueryModel | Shape::QueryCollection)
    }

    fn state(&self) -> Value {
        self.content
            .as_ref()
            .map_or(Value::Null, |content| Value::Object(content.to_result()))
    }
}

/// Whether two contents are the same to a client that holds them.
pub fn same(a: &Content, b: &Content) -> bool {
    let list = |values: &[Value]| values.iter().map(canonical).collect::<Vec<_>>();
    match (a, b) {
        (Content::Collection(a), Content::Collection(b)) => list(a) == list(b),
        (Content::Model(a), Content::Model(b)) => {
            a.keys().eq(b.keys()) && a.values().map(canonical).eq(b.values().map(canonical))
        }
        _ => false,
    }
}

#[cfg(test)]
fn apply(state: &mut Content, data: &Value) {
    match state {
        Content::Model(model) => {
            for (key, value) in data.get("values").unwrap_or(data).as_object().unwrap() {
                match super::content::is_delete(value) {
                    true => drop(model.remove(key)),
                    false => drop(model.insert(key.clone(), value.clone())),
                }
            }
        }
        Content::Collection(list) => {
            let idx = data
                .get("idx")
                .map_or(0, |idx| idx.as_u64().unwrap() as usize);
            match data.get("value") {
                Some(value) => list.insert(idx, value.clone()),
                None => drop(list.remove(idx)),
            }
        }
    }
}

#[test]
fn events_describe_the_change() {
    let mut service = Service::new(3, super::changes::EVERYWHERE);
    let mut rng = Rng::new(9);
    for name in ["m.0", "m.1", "c.0", "c.1"] {
        for _ in 0..200 {
            let mut state = service.truth(name, None).unwrap();
            let sent = service.mutate(name, &mut rng, false);
            let [event] = &sent[..] else {
                panic!("{sent:?}")
            };
            let data: Value = serde_json::from_slice(&event.payload).unwrap();
            apply(&mut state, &data);
            assert_eq!(Some(state), service.truth(name, None));
        }
    }
}

#[test]
fn a_query_answer_tells_the_change_at_the_event() {
    let mut service = Service::new(5, super::changes::EVERYWHERE);
    let mut rng = Rng::new(1);
    let before = service.truth("q.0", Some("l=9")).unwrap();
    let sent = service.mutate("q.0", &mut rng, false);
    let after = service.truth("q.0", Some("l=9")).unwrap();
    service.mutate("q.0", &mut rng, false);
    let subject = serde_json::from_slice::<Value>(&sent[0].payload).unwrap()["subject"].clone();
    let subject = subject.as_str().unwrap();
    assert_eq!(service.name_of_changes(subject), Some("q.0"));
    let mut forms = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let answer = service.changes(subject, "l=9&s=0", &mut Rng::new(seed));
        if let Some(events) = answer["result"].get("events") {
            let mut state = before.clone();
            for event in events.as_array().unwrap() {
                apply(&mut state, &event["data"]);
            }
            assert_eq!(state, after);
        } else {
            assert_eq!(answer["result"], json!(after.to_result()));
        }
        forms.insert(answer["result"].as_object().unwrap().keys().next().cloned());
    }
    assert_eq!(forms.len(), 2, "both forms come up");
    assert!(
        service
            .changes("changes.q.0.never", "l=9&s=0", &mut rng)
            .get("error")
            .is_some()
    );
}

#[test]
fn silent_changes_and_deletion_leave_doubt() {
    let mut service = Service::new(5, super::changes::EVERYWHERE);
    let mut rng = Rng::new(1);
    assert!(service.mutate("m.0", &mut rng, true).is_empty());
    assert!(service.delete("c.0", true).is_empty());
    assert_eq!(service.delete("c.1", false)[0].subject, "event.c.1.delete");
    assert!(service.delete("c.1", false).is_empty());
    let doubts = |service: &mut Service, name| service.entry(name).unwrap().doubt;
    assert!(doubts(&mut service, "m.0") && doubts(&mut service, "c.0"));
    assert!(!doubts(&mut service, "c.1"));
    assert_eq!(service.truth("c.1", None), None);
    assert_eq!(
        service.create("c.1", &mut rng)[0].subject,
        "event.c.1.create"
    );
    assert!(service.truth("c.1", None).is_some());
    assert!(service.entry("z.9").is_none());
}
