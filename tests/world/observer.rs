//! What one client knows, by what it was sent and nothing else: a second opinion beside
//! [`super::replica`], of other make.
//!
//! A client holds what it subscribed directly, and all that this references, step by
//! step. It forgets the rest at once, so whatever it needs again must be sent again; and
//! it must not be sent what it holds. That holds whatever services say, so nothing is
//! asked here of what they have.

use super::content::{Generation, canonical};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A message that no correct gateway sends.
type Violation = String;

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

#[derive(Clone, Debug)]
struct Entry {
    data: Data,
    is_deleted: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Data {
    Model(Map<String, Value>),
    Collection(Vec<Value>),
    Error,
}

#[derive(Clone, Debug)]
pub struct Observer {
    generation: Generation,
    asked: BTreeMap<u64, Asked>,
    entries: BTreeMap<String, Entry>,
    direct: BTreeMap<String, u64>,
    /// It has seen a deletion: parts of what it holds may be sent anew.
    takes_twice: bool,
    /// What it holds cannot be told from the messages alone, so it is not checked.
    is_lost: bool,
}

impl Observer {
    /// A client that holds nothing.
    pub fn new(generation: Generation) -> Self {
        Self {
            generation,
            asked: BTreeMap::new(),
            entries: BTreeMap::new(),
            direct: BTreeMap::new(),
            takes_twice: false,
            is_lost: false,
        }
    }

    /// The client sends a request.
    pub fn ask(&mut self, id: u64, asked: Asked) {
        assert!(self.asked.insert(id, asked).is_none(), "IDs are used once");
    }

    /// A request that is not answered yet.
    pub fn open(&self) -> Option<&Asked> {
        self.asked.values().next()
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
    pub fn compare(&self, fresh: &Self) -> Result<(), Violation> {
        if self.is_lost || fresh.is_lost {
            return Ok(());
        }
        for (rid, entry) in &self.entries {
            // The same tag means another resource for each client.
            if entry.is_deleted || rid.contains("{cid}") || entry.data == Data::Error {
                continue;
            }
            if let Some(now) = fresh.entries.get(rid).filter(|now| now.data != Data::Error) {
                ensure(entry.data.is_like(&now.data), || {
                    format!("{rid} is {entry:?}, a newcomer has {now:?}")
                })?;
            }
        }
        Ok(())
    }

    /// Takes a message from the gateway.
    pub fn take(&mut self, message: &Value) -> Result<(), Violation> {
        match message.get("id") {
            Some(id) => {
                let id = id.as_u64().ok_or("an ID is no number")?;
                let asked = self.asked.remove(&id).ok_or("never asked")?;
                self.answered(asked, message)?;
            }
            None => {
                let event = message["event"].as_str().ok_or("no event")?;
                let (rid, event) = event.rsplit_once('.').ok_or("no event of a resource")?;
                self.event(rid, event, &message["data"])?;
            }
        }
        self.forget();
        self.check()
    }

    fn answered(&mut self, asked: Asked, message: &Value) -> Result<(), Violation> {
        let result = message.get("result");
        match (asked, result) {
            (Asked::Subscribe(rid), Some(set)) => {
                self.add_set(set)?;
                *self.direct.entry(rid).or_default() += 1;
            }
            (Asked::Unsubscribe(rid, count), _) if message.get("error").is_none() => {
                self.unsubscribed(&rid, count)?;
            }
            (asked @ (Asked::Call | Asked::New), Some(result)) => {
                let is_new = matches!(asked, Asked::New);
                let is_bare = self.generation == Generation::V1_1;
                if !is_new && (is_bare || result.get("payload").is_some()) {
                    return Ok(());
                }
                let rid = result["rid"]
                    .as_str()
                    .ok_or("neither payload nor resource")?;
                // Whether the client was subscribed to what failed, it is not told.
                self.is_lost |= result
                    .pointer("/errors")
                    .is_some_and(|e| e.get(rid).is_some());
                self.add_set(result)?;
                *self.direct.entry(rid.to_owned()).or_default() += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// Those that it knows of end first, then those that it has asked for.
    fn unsubscribed(&mut self, rid: &str, count: u64) -> Result<(), Violation> {
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
                None => ensure(self.is_lost, || {
                    format!("{rid}: more ended than there were")
                })?,
            }
        }
        Ok(())
    }

    fn event(&mut self, rid: &str, event: &str, data: &Value) -> Result<(), Violation> {
        if self.is_lost {
            return Ok(());
        }
        let not_held = || format!("{event} of {rid}, which it does not hold");
        let entry = self.entries.get_mut(rid).ok_or_else(not_held)?;
        let is_alive = event == "unsubscribe" || !entry.is_deleted;
        ensure(is_alive, || format!("{event} of deleted {rid}"))?;
        let no_place = || format!("{rid}: no such place");
        match (event, &mut entry.data) {
            ("unsubscribe", _) => {
                let direct = self.direct.insert(rid.to_owned(), 0);
                ensure(direct > Some(0), || {
                    format!("{rid} was not subscribed directly")
                })?;
            }
            ("delete", _) => {
                entry.is_deleted = true;
                self.takes_twice = true;
            }
            ("change", Data::Model(model)) => {
                let values = data["values"]
                    .as_object()
                    .ok_or("a change without values")?;
                ensure(!values.is_empty(), || "an empty change".into())?;
                for (name, value) in values {
                    let before = if value.get("action").is_some() {
                        model.remove(name).unwrap_or(Value::Null) == *value
                    } else {
                        model.insert(name.clone(), value.clone()).as_ref() == Some(value)
                    };
                    // To older clients different values may look alike.
                    let is_new = !before || self.generation != Generation::V1_2_1;
                    ensure(is_new, || format!("{rid}.{name} was {value} before"))?;
                }
                self.add_set(data)?;
            }
            ("add", Data::Collection(values)) => {
                let idx = data["idx"].as_u64().ok_or_else(no_place)? as usize;
                ensure(idx <= values.len(), no_place)?;
                values.insert(idx, data["value"].clone());
                self.add_set(data)?;
            }
            ("remove", Data::Collection(values)) => {
                let idx = data["idx"].as_u64().unwrap_or(0) as usize;
                ensure(idx < values.len(), no_place)?;
                values.remove(idx);
            }
            ("change" | "add" | "remove", _) => {
                return Err(format!("{event} of {rid}, which is no such thing"));
            }
            _ => {}
        }
        Ok(())
    }

    fn add_set(&mut self, set: &Value) -> Result<(), Violation> {
        for kind in ["models", "collections", "errors"] {
            let Some(resources) = set.get(kind).and_then(Value::as_object) else {
                continue;
            };
            for (rid, data) in resources {
                let data = match data {
                    _ if kind == "errors" => Data::Error,
                    Value::Object(model) if kind == "models" => Data::Model(model.clone()),
                    Value::Array(values) => Data::Collection(values.clone()),
                    _ => return Err(format!("{rid} is not in its place")),
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
                let may_repeat = self.takes_twice || self.is_lost;
                ensure(may_repeat || !is_repeated, || {
                    format!("{rid} is sent twice")
                })?;
            }
        }
        Ok(())
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
    fn check(&self) -> Result<(), Violation> {
        if self.is_lost {
            return Ok(());
        }
        for (rid, count) in &self.direct {
            let is_there = *count == 0 || self.entries.contains_key(rid);
            ensure(is_there, || format!("{rid} is missing"))?;
        }
        for (rid, entry) in &self.entries {
            for child in entry.references() {
                let is_there = self.entries.contains_key(child);
                ensure(is_there, || format!("{child} below {rid} is missing"))?;
            }
        }
        Ok(())
    }
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(problem()) }
}

impl Data {
    /// Whether it says the same, in whatever form.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Model(a), Self::Model(b)) => {
                let values = a.values().map(canonical);
                a.keys().eq(b.keys()) && values.eq(b.values().map(canonical))
            }
            (Self::Collection(a), Self::Collection(b)) => {
                a.iter().map(canonical).eq(b.iter().map(canonical))
            }
            (a, b) => a == b,
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A client that has subscribed to a list of `a`, which refers to `b`.
    fn with_list() -> Observer {
        let mut observer = Observer::new(Generation::V1_2_1);
        observer.ask(1, Asked::Subscribe("list".into()));
        let set = json!({
            "collections": {"list": [{"rid": "a"}]},
            "models": {"a": {"next": {"rid": "b"}}, "b": {}},
        });
        observer.take(&json!({"id": 1, "result": set})).unwrap();
        observer
    }

    #[test]
    fn objects_to_what_no_correct_gateway_sends() {
        let removed = json!({"event": "list.remove", "data": {"idx": 0}});
        let messages = [
            (json!({"id": 2, "result": {}}), "never asked"),
            (json!({"event": "c.change", "data": {}}), "does not hold"),
            (
                json!({"event": "a.change", "data": {"values": {}}}),
                "empty",
            ),
            (
                json!({"event": "a.change", "data": {"values": {"next": {"rid": "b"}}}}),
                "before",
            ),
            (
                json!({"event": "a.change", "data": {"values": {"x": {"rid": "c"}}}}),
                "is missing",
            ),
            (
                json!({"event": "a.change", "data": {"values": {"x": 1}, "models": {"b": {}}}}),
                "sent twice",
            ),
            (
                json!({"event": "a.add", "data": {"idx": 0, "value": 1}}),
                "no such thing",
            ),
            (
                json!({"event": "list.remove", "data": {"idx": 1}}),
                "no such place",
            ),
            (
                json!({"event": "a.unsubscribe", "data": {}}),
                "not subscribed",
            ),
        ];
        for (message, problem) in messages {
            let violation = with_list().take(&message).unwrap_err();
            assert!(violation.contains(problem), "{message}: {violation}");
        }
        let mut observer = with_list();
        observer.take(&removed).unwrap();
        assert_eq!(observer.entries.keys().collect::<Vec<_>>(), ["list"]);
    }

    #[test]
    fn a_newcomer_is_told_the_same() {
        let (one, mut other) = (with_list(), with_list());
        let change = json!({"event": "b.change", "data": {"values": {"n": 1}}});
        assert_eq!(one.compare(&other), Ok(()));
        other.take(&change).unwrap();
        assert!(one.compare(&other).is_err());
    }
}
