//! What a client makes of the messages that it is sent, and nothing else.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A request that the client waits for.
#[derive(Clone, Debug)]
pub enum Asked {
    Subscribe(String),
    Get(String),
    /// A subscribe request whose subscription was ended before the answer.
    Ended,
    Unsubscribe(String, u32),
    Call,
}

/// A resource that the client holds.
#[derive(Clone, Debug)]
pub struct Held {
    pub data: Value,
    /// Whether it is an error in place of the data.
    pub failed: bool,
    pub deleted: bool,
}

/// A client's copy of the resources that it holds.
#[derive(Debug, Default)]
pub struct Replica {
    pub held: BTreeMap<String, Held>,
    /// Direct subscriptions.
    pub direct: BTreeMap<String, u32>,
    /// Requests without answer, oldest first.
    pub asked: Vec<(u64, Asked)>,
    next_id: u64,
}

impl Replica {
    /// Remembers a request and gives it an ID.
    pub fn ask(&mut self, asked: Asked) -> u64 {
        self.next_id += 1;
        self.asked.push((self.next_id, asked));
        self.next_id
    }

    /// How many direct subscriptions may be ended: those that are open count too.
    pub fn can_unsubscribe(&self, rid: &str) -> u32 {
        let told = self.direct.get(rid).copied().unwrap_or(0);
        if self
            .asked
            .iter()
            .any(|(_, asked)| matches!(asked, Asked::Call))
        {
            return told; // What the call may bring is not known.
        }
        let open = self
            .asked
            .iter()
            .filter(|(_, asked)| matches!(asked, Asked::Subscribe(other) if other == rid));
        told + open.count() as u32
    }

    /// Takes a message in.
    pub fn take(&mut self, message: &str) {
        let value: Value = serde_json::from_str(message).expect("JSON");
        match value.get("event") {
            Some(event) => self.event(event.as_str().expect("a text"), &value["data"]),
            None => self.answer(&value),
        }
        self.drop_unreachable();
        for (rid, held) in &self.held {
            for child in references(&held.data) {
                assert!(
                    held.failed || self.held.contains_key(child),
                    "{child}, which {rid} references, is missing after {message}"
                );
            }
        }
    }

    fn answer(&mut self, message: &Value) {
        let id = message["id"].as_u64().expect("an ID");
        let place = self.asked.iter().position(|(asked, _)| *asked == id);
        let (_, asked) = self.asked.remove(place.expect("it was asked"));
        let Some(result) = message.get("result") else {
            if let (Asked::Unsubscribe(rid, count), None) = (asked, message.get("error")) {
                self.unsubscribed(&rid, count);
            }
            return;
        };
        match asked {
            Asked::Subscribe(rid) => self.subscribed(&rid, result),
            Asked::Get(rid) => {
                let unheld = self.new_resources(result);
                assert!(
                    unheld.iter().any(|(new, _)| *new == rid) || self.held.contains_key(&rid),
                    "a get of {rid} brings nothing"
                );
            }
            Asked::Ended => assert_eq!(*result, json!({}), "what was left is sent"),
            Asked::Call => {
                if let Some(rid) = result.get("rid") {
                    let rid = rid.as_str().expect("a text").to_owned();
                    let error = result["errors"].get(&rid);
                    // One of what the client holds, if only deleted, makes no subscription:
                    // access or loading it again may have failed, which look the same.
                    let holds = self.held.get(&rid).is_some_and(|held| !held.failed);
                    let denied = error.is_some_and(|e| e["code"] == "system.accessDenied");
                    let refused = denied || (error.is_some() && holds);
                    if !refused {
                        self.subscribed(&rid, result);
                    }
                }
            }
            Asked::Unsubscribe(..) => panic!("an unsubscribe has no result"),
        }
    }

    fn subscribed(&mut self, rid: &str, result: &Value) {
        self.add(result);
        *self.direct.entry(rid.to_owned()).or_default() += 1;
        assert!(self.held.contains_key(rid), "{rid} is not there");
    }

    fn unsubscribed(&mut self, rid: &str, count: u32) {
        let told = self.direct.entry(rid.to_owned()).or_default();
        let from_told = count.min(*told);
        *told -= from_told;
        // The oldest open ones are answered without data.
        let mut rest = count - from_told;
        for (_, asked) in &mut self.asked {
            if rest > 0 && matches!(asked, Asked::Subscribe(other) if other == rid) {
                *asked = Asked::Ended;
                rest -= 1;
            }
        }
        assert_eq!(rest, 0, "there were not so many");
    }

    /// The resources of a set, which the client must not hold yet.
    fn new_resources(&self, set: &Value) -> Vec<(String, Held)> {
        let mut new = Vec::new();
        for group in ["models", "collections", "errors"] {
            let Some(members) = set.get(group).and_then(Value::as_object) else {
                continue;
            };
            for (rid, data) in members {
                if let Some(held) = self.held.get(rid) {
                    assert!(held.failed || held.deleted, "{rid} is sent again");
                }
                let held = Held {
                    data: data.clone(),
                    failed: group == "errors",
                    deleted: false,
                };
                new.push((rid.clone(), held));
            }
        }
        new
    }

    fn add(&mut self, set: &Value) {
        let new = self.new_resources(set);
        self.held.extend(new);
    }

    fn event(&mut self, event: &str, data: &Value) {
        let (rid, name) = event.rsplit_once('.').expect("a name");
        let held = self.held.get(rid);
        let held = held.unwrap_or_else(|| panic!("{event} of what the client does not hold"));
        assert!(
            !held.failed && !held.deleted || name == "unsubscribe",
            "{event} of what failed or was deleted"
        );
        if matches!(name, "change" | "add") {
            self.add(data);
        }
        let Some(held) = self.held.get_mut(rid) else {
            return;
        };
        match name {
            "change" => {
                let model = held.data.as_object_mut().expect("a model");
                for (key, value) in data["values"].as_object().expect("values") {
                    if value.get("action").is_some() {
                        assert!(model.remove(key).is_some(), "{key} was not there");
                    } else {
                        model.insert(key.clone(), value.clone());
                    }
                }
            }
            "add" => {
                let index = data["idx"].as_u64().expect("a place") as usize;
                let list = held.data.as_array_mut().expect("a collection");
                list.insert(index, data["value"].clone());
            }
            "remove" => {
                let index = data["idx"].as_u64().expect("a place") as usize;
                held.data
                    .as_array_mut()
                    .expect("a collection")
                    .remove(index);
            }
            "delete" => held.deleted = true,
            "unsubscribe" => {
                let told = self.direct.insert(rid.to_owned(), 0);
                assert!(told.is_some_and(|told| told > 0), "{event} of nothing");
            }
            _ => {}
        }
    }

    fn drop_unreachable(&mut self) {
        self.direct.retain(|_, count| *count > 0);
        let mut reachable = BTreeSet::new();
        let mut stack: Vec<&str> = self.direct.keys().map(|rid| &**rid).collect();
        while let Some(rid) = stack.pop() {
            if let Some(held) = self.held.get(rid)
                && reachable.insert(rid.to_owned())
            {
                stack.extend(references(&held.data));
            }
        }
        self.held.retain(|rid, _| reachable.contains(rid));
    }
}

/// The hard references in a model or collection.
fn references(data: &Value) -> Vec<&str> {
    let values: Vec<&Value> = match data {
        Value::Object(model) => model.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    values
        .into_iter()
        .filter(|value| value.get("soft") != Some(&Value::Bool(true)))
        .filter_map(|value| value.get("rid")?.as_str())
        .collect()
}
