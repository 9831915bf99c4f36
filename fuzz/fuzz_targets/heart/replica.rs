//! What one client knows, by what it was sent and nothing else.
//!
//! A client holds what it subscribed directly, and all that this references, step by
//! step. It forgets the rest at once, so whatever it needs again must be sent again; and
//! it must not be sent what it holds.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What a client has asked, by request ID.
#[derive(Clone, Debug)]
pub enum Asked {
    Subscribe(String),
    Unsubscribe(String, u64),
    Call,
    /// A call that must bring a resource.
    New,
    /// What does not change what the client holds.
    Other,
}

struct Entry {
    data: Data,
    is_deleted: bool,
}

#[derive(Debug, PartialEq)]
enum Data {
    Model(Map<String, Value>),
    Collection(Vec<Value>),
    Error,
}

#[derive(Default)]
pub struct Replica {
    /// The protocol version that the client speaks.
    pub version: &'static str,
    asked: BTreeMap<u64, Asked>,
    entries: BTreeMap<String, Entry>,
    direct: BTreeMap<String, u64>,
    /// It has seen a deletion: parts of what it holds may be sent anew.
    takes_twice: bool,
    /// What it holds cannot be told from the messages alone, so it is not checked.
    is_lost: bool,
}

impl Replica {
    /// A client that holds nothing.
    pub fn new(version: &'static str) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }

    pub fn ask(&mut self, id: u64, asked: Asked) {
        assert!(self.asked.insert(id, asked).is_none(), "IDs are used once");
    }

    pub fn has_asked(&self, id: u64) -> bool {
        self.asked.contains_key(&id)
    }

    pub fn open(&self) -> impl Iterator<Item = (&u64, &Asked)> {
        self.asked.iter()
    }

    /// What it is subscribed to, and was not deleted.
    pub fn subscribed(&self) -> Vec<String> {
        let direct = self.direct.iter().filter(|(_, count)| **count > 0);
        direct
            .filter(|(rid, _)| {
                self.entries
                    .get(*rid)
                    .is_some_and(|entry| !entry.is_deleted)
            })
            .map(|(rid, _)| rid.clone())
            .collect()
    }

    /// What it knows is what another client has been told now.
    pub fn compare(&self, fresh: &Self) {
        if self.is_lost || fresh.is_lost {
            return;
        }
        for (rid, entry) in &self.entries {
            // The same tag means another resource for each client.
            if entry.is_deleted || rid.contains("{cid}") || entry.data == Data::Error {
                continue;
            }
            if let Some(now) = fresh.entries.get(rid).filter(|now| now.data != Data::Error) {
                assert_eq!(entry.data, now.data, "{rid} is out of step");
            }
        }
    }

    /// Takes a message from the gateway.
    pub fn take(&mut self, message: &Value) {
        match message.get("id") {
            Some(id) => {
                let id = id.as_u64().expect("IDs are numbers");
                let asked = self.asked.remove(&id).expect("an open request is answered");
                self.answered(asked, message);
            }
            None => {
                let event = message["event"].as_str().expect("the rest are events");
                let (rid, event) = event.rsplit_once('.').expect("<rid>.<event>");
                self.event(rid, event, &message["data"]);
            }
        }
        self.forget();
        self.check();
    }

    fn answered(&mut self, asked: Asked, message: &Value) {
        let result = message.get("result");
        match (asked, result) {
            (Asked::Subscribe(rid), Some(set)) => {
                self.add_set(set);
                *self.direct.entry(rid).or_default() += 1;
            }
            (Asked::Unsubscribe(rid, count), _) if message.get("error").is_none() => {
                self.unsubscribed(&rid, count);
            }
            (asked @ (Asked::Call | Asked::New), Some(result)) => {
                let is_new = matches!(asked, Asked::New);
                if !is_new && (self.version == "1.1.1" || result.get("payload").is_some()) {
                    return;
                }
                let rid = result["rid"].as_str().expect("a payload or a resource");
                // Whether the client was subscribed to what failed, it is not told.
                self.is_lost |= result
                    .pointer("/errors")
                    .is_some_and(|e| e.get(rid).is_some());
                self.add_set(result);
                *self.direct.entry(rid.to_owned()).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Those that it knows of end first, then those that it has asked for.
    fn unsubscribed(&mut self, rid: &str, count: u64) {
        let direct = self.direct.entry(rid.to_owned()).or_default();
        let told = count.min(*direct);
        *direct -= told;
        for _ in told..count {
            let is_call = |asked: &Asked| matches!(asked, Asked::Call | Asked::New);
            self.is_lost |= self.asked.values().any(is_call);
            let open = self.asked.values_mut();
            let mut same = open.filter(|asked| matches!(asked, Asked::Subscribe(r) if r == rid));
            match same.next() {
                Some(asked) => *asked = Asked::Other,
                None => assert!(self.is_lost, "{rid}: more ended than there were"),
            }
        }
    }

    fn event(&mut self, rid: &str, event: &str, data: &Value) {
        if self.is_lost {
            return;
        }
        let entry = self.entries.get_mut(rid);
        let entry = entry.unwrap_or_else(|| panic!("{event} of {rid}, which it does not hold"));
        assert!(
            event == "unsubscribe" || !entry.is_deleted,
            "{event} of deleted {rid}"
        );
        match (event, &mut entry.data) {
            ("unsubscribe", _) => {
                let direct = self.direct.insert(rid.to_owned(), 0);
                assert!(direct > Some(0), "{rid} was not subscribed directly");
            }
            ("delete", _) => {
                entry.is_deleted = true;
                self.takes_twice = true;
            }
            ("change", Data::Model(model)) => {
                let values = data["values"].as_object().expect("a change has values");
                assert!(!values.is_empty(), "an empty change");
                for (name, value) in values {
                    let before = if value.get("action").is_some() {
                        model.remove(name).unwrap_or(Value::Null) == *value
                    } else {
                        model.insert(name.clone(), value.clone()).as_ref() == Some(value)
                    };
                    assert!(!before, "{rid}.{name} was {value} before");
                }
                self.add_set(data);
            }
            ("add", Data::Collection(values)) => {
                let idx = data["idx"].as_u64().expect("a place") as usize;
                assert!(idx <= values.len(), "{rid}: no place {idx}");
                values.insert(idx, data["value"].clone());
                self.add_set(data);
            }
            ("remove", Data::Collection(values)) => {
                let idx = data["idx"].as_u64().unwrap_or(0) as usize;
                assert!(idx < values.len(), "{rid}: no place {idx}");
                values.remove(idx);
            }
            ("change" | "add" | "remove", _) => panic!("{event} of {rid}, which is no such thing"),
            _ => {}
        }
    }

    fn add_set(&mut self, set: &Value) {
        for kind in ["models", "collections", "errors"] {
            let Some(resources) = set.get(kind).and_then(Value::as_object) else {
                continue;
            };
            for (rid, data) in resources {
                let data = match data {
                    _ if kind == "errors" => Data::Error,
                    Value::Object(model) if kind == "models" => Data::Model(model.clone()),
                    Value::Array(values) => Data::Collection(values.clone()),
                    _ => panic!("{rid} is not in its place"),
                };
                let old = self.entries.insert(
                    rid.clone(),
                    Entry {
                        data,
                        is_deleted: false,
                    },
                );
                // A child that failed is told of in every set that it belongs to.
                let is_repeated =
                    old.is_some_and(|old| kind != "errors" || !matches!(old.data, Data::Error));
                if !self.takes_twice && !self.is_lost {
                    assert!(!is_repeated, "{rid} is sent twice");
                }
            }
        }
    }

    /// Forgets what it does not hold any more.
    fn forget(&mut self) {
        let mut held = BTreeSet::new();
        let direct = self.direct.iter().filter(|(_, count)| **count > 0);
        let mut stack: Vec<String> = direct.map(|(rid, _)| rid.clone()).collect();
        while let Some(rid) = stack.pop() {
            if let Some(entry) = self.entries.get(&rid) {
                stack.extend(
                    entry
                        .references()
                        .map(str::to_owned)
                        .filter(|r| !held.contains(r)),
                );
            }
            held.insert(rid);
        }
        self.entries.retain(|rid, _| held.contains(rid));
    }

    /// Nothing is missing.
    fn check(&self) {
        if self.is_lost {
            return;
        }
        for (rid, count) in &self.direct {
            assert!(
                *count == 0 || self.entries.contains_key(rid),
                "{rid} is missing"
            );
        }
        for (rid, entry) in &self.entries {
            for child in entry.references() {
                assert!(
                    self.entries.contains_key(child),
                    "{child} below {rid} is missing"
                );
            }
        }
    }
}

impl Entry {
    /// The resources that it holds.
    fn references(&self) -> impl Iterator<Item = &str> {
        let (model, collection) = match &self.data {
            Data::Model(model) => (Some(model.values()), None),
            Data::Collection(values) => (None, Some(values.iter())),
            Data::Error => (None, None),
        };
        let values = model
            .into_iter()
            .flatten()
            .chain(collection.into_iter().flatten());
        values.filter_map(|value| match value.get("soft") {
            Some(Value::Bool(true)) => None,
            _ => value.get("rid")?.as_str(),
        })
    }
}
