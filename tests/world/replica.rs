//! A client's replica, built only from the messages that the client was sent, by the
//! rules of the RES-Client protocol: direct subscriptions are counted, everything
//! reachable from them over hard references is held, the rest is forgotten.

use super::content::{Content, Generation, is_delete};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the client holds of one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    Content(Content),
    Error(Value),
}

/// One resource of a client.
#[derive(Clone, Debug)]
pub struct Item {
    pub held: Held,
    /// A delete event came: what is held stays as it is, and nothing more may come.
    pub deleted: bool,
    /// The number of the last numbered custom event.
    pub custom: Option<u64>,
    /// As [`Replica::misses_events`].
    may_miss: bool,
}

/// A client's view of the world.
#[derive(Clone, Debug)]
pub struct Replica {
    pub generation: Generation,
    items: BTreeMap<String, Item>,
    direct: BTreeMap<String, u32>,
    /// Resources that a resource response reported as failed: the client cannot know
    /// whether it is subscribed until an unsubscribe is answered.
    uncertain: BTreeMap<String, u32>,
    /// Custom events are lost now and then: where more events wait for it than may.
    pub misses_events: bool,
}

/// A message that no correct gateway sends.
pub type Violation = String;

impl Replica {
    pub fn new(generation: Generation) -> Self {
        Self {
            generation,
            items: BTreeMap::new(),
            direct: BTreeMap::new(),
            uncertain: BTreeMap::new(),
            misses_events: false,
        }
    }

    /// The resources held, with their IDs as the client writes them.
    pub fn items(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.items.iter().map(|(rid, item)| (rid.as_str(), item))
    }

    /// All that is held as a resource set; `None` if some of it is none that is in step.
    pub fn whole_set(&self) -> Option<Value> {
        let mut set = json!({});
        for (rid, item) in &self.items {
            let (group, content) = match &item.held {
                Held::Content(Content::Model(values)) => ("models", json!(values)),
                Held::Content(Content::Collection(values)) => ("collections", json!(values)),
                Held::Error(_) => return None,
            };
            if item.deleted {
                return None;
            }
            set[group][rid] = content;
        }
        Some(set)
    }

    /// What is held of one resource.
    pub fn item(&self, rid: &str) -> Option<&Item> {
        self.items.get(rid)
    }

    /// The direct subscriptions of one resource.
    pub fn direct(&self, rid: &str) -> u32 {
        self.direct.get(rid).copied().unwrap_or(0)
    }

    /// All resources with direct subscriptions.
    pub fn directs(&self) -> impl Iterator<Item = &str> {
        self.direct.keys().map(String::as_str)
    }

    /// Takes the result of a successful subscribe, or of a call that answered with a
    /// resource. Returns what was new.
    pub fn subscribed(&mut self, rid: &str, result: &Value) -> Result<Vec<String>, Violation> {
        let stale = self.items.get(rid).is_some_and(|item| item.deleted);
        let fresh = self.merge(result)?;
        if stale && !fresh.iter().any(|new| new == rid) {
            return Err(format!(
                "{rid} was deleted, is subscribed again, and is not sent"
            ));
        }
        match self.items.get(rid) {
            None => return Err(format!("{rid} is subscribed and neither held nor sent")),
            Some(item) if matches!(item.held, Held::Error(_)) => {
                return Err(format!(
                    "{rid} is subscribed with success, and an error is held"
                ));
            }
            Some(_) => {}
        }
        *self.direct.entry(rid.to_owned()).or_default() += 1;
        self.settle(&fresh)?;
        Ok(fresh)
    }

    /// Takes a resource response whose resource failed. True if the client cannot know
    /// whether the gateway counts a direct subscription, until it tries to end one.
    pub fn subscribed_in_error(&mut self, rid: &str, result: &Value) -> Result<bool, Violation> {
        let mut rest = result.clone();
        let item = self.items.get(rid);
        let known = item.is_some_and(|item| matches!(item.held, Held::Content(_)));
        if known {
            // The error says that there is no new subscription; what is held stays.
            if let Some(errors) = rest.get_mut("errors").and_then(Value::as_object_mut) {
                errors.remove(rid);
            }
        } else {
            *self.uncertain.entry(rid.to_owned()).or_default() += 1;
        }
        let fresh = self.merge(&rest)?;
        self.settle(&fresh)?;
        Ok(!known)
    }

    /// Whether it is unknown how many direct subscriptions there are.
    pub fn is_uncertain(&self, rid: &str) -> bool {
        self.uncertain.contains_key(rid)
    }

    /// An unsubscribe tried after such a response was answered.
    pub fn certain(&mut self, rid: &str) {
        match self.uncertain.get_mut(rid) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.uncertain.remove(rid).is_some()),
        }
        self.collect();
    }

    /// Checks the result of a get, which leaves nothing behind. Returns what it sent.
    pub fn got(&self, rid: &str, result: &Value) -> Result<Vec<(String, Item)>, Violation> {
        let mut copy = self.clone();
        let fresh = copy.subscribed(rid, result)?;
        Ok(fresh
            .into_iter()
            .filter_map(|rid| copy.items.remove_entry(&rid))
            .collect())
    }

    /// Takes the success of an unsubscribe request.
    pub fn unsubscribed(&mut self, rid: &str, count: u32) -> Result<(), Violation> {
        match self.direct.get_mut(rid) {
            Some(direct) if *direct > count => *direct -= count,
            Some(direct) if *direct == count => {
                self.direct.remove(rid);
            }
            _ => {
                return Err(format!(
                    "unsubscribe of {rid} by {count} succeeded without reason"
                ));
            }
        }
        self.collect();
        Ok(())
    }

    /// Takes an event. Returns what its resource set brought.
    pub fn event(&mut self, event: &str, data: &Value) -> Result<Vec<String>, Violation> {
        let (rid, name) = event
            .rsplit_once('.')
            .ok_or_else(|| format!("no event name: {event}"))?;
        if name == "unsubscribe"
            && (self.direct.remove(rid).is_some() || self.uncertain.remove(rid).is_some())
        {
            self.collect();
            return Ok(Vec::new());
        }
        match self.items.get(rid) {
            None => return Err(format!("{event} for a resource that is not held")),
            Some(item) if item.deleted => return Err(format!("{event} after its delete event")),
            Some(item) if matches!(item.held, Held::Error(_)) => {
                return Err(format!("{event} for a resource held as an error"));
            }
            Some(_) => {}
        }
        let fresh = match name {
            "change" | "add" => self.merge(data)?,
            _ => Vec::new(),
        };
        let Some(item) = self.items.get_mut(rid) else {
            return Err(format!("{event} lost its resource"));
        };
        item.apply(name, data, self.generation)
            .map_err(|problem| format!("{event}: {problem}"))?;
        // The set may bring anew what was deleted and was all that held this resource: then
        // what the event needed goes along with it.
        let below = self.reach([rid.to_owned()].iter());
        self.collect();
        let is_lost = !self.items.contains_key(rid);
        let needed: Vec<String> = fresh
            .iter()
            .filter(|fresh| !(is_lost && below.contains(*fresh)))
            .cloned()
            .collect();
        self.settle(&needed)?;
        Ok(fresh)
    }

    fn holds_content(&self, rid: &str) -> bool {
        let item = self.items.get(rid);
        item.is_some_and(|item| !item.deleted && matches!(item.held, Held::Content(_)))
    }

    /// Enters a resource set.
    fn merge(&mut self, set: &Value) -> Result<Vec<String>, Violation> {
        let mut fresh = Vec::new();
        for group in ["models", "collections", "errors"] {
            let Some(members) = set.get(group) else {
                continue;
            };
            let members = members
                .as_object()
                .ok_or_else(|| format!("{group} is no object"))?;
            for (rid, value) in members {
                let held = self.holds_content(rid) && self.certainly_holds(rid);
                if held || fresh.contains(rid) {
                    return Err(format!("{rid} is sent in {group}, and the client holds it"));
                }
                let held = match (group, value) {
                    ("models", Value::Object(values)) => Held::Content(Content::Model(
                        values
                            .iter()
                            .map(|(key, value)| (key.clone(), value.clone()))
                            .collect(),
                    )),
                    ("collections", Value::Array(values)) => {
                        Held::Content(Content::Collection(values.clone()))
                    }
                    ("errors", Value::Object(_)) => Held::Error(value.clone()),
                    _ => return Err(format!("{rid} in {group} has the wrong type")),
                };
                self.items.insert(
                    rid.clone(),
                    Item {
                        held,
                        deleted: false,
                        custom: None,
                        may_miss: self.misses_events,
                    },
                );
                fresh.push(rid.clone());
            }
        }
        Ok(fresh)
    }

    /// Forgets what is out of reach, then checks that what came was needed and that
    /// nothing in reach is missing.
    fn settle(&mut self, fresh: &[String]) -> Result<(), Violation> {
        self.collect();
        if let Some(rid) = fresh.iter().find(|rid| !self.items.contains_key(*rid)) {
            return Err(format!(
                "{rid} is sent, and nothing that the client holds needs it"
            ));
        }
        for (rid, item) in &self.items {
            let Held::Content(content) = &item.held else {
                continue;
            };
            for child in content.hard_references() {
                if !self.items.contains_key(child) {
                    return Err(format!("{rid} refers to {child}, which was not sent"));
                }
            }
        }
        Ok(())
    }

    fn collect(&mut self) {
        let reached = self.reach(self.direct.keys().chain(self.uncertain.keys()));
        self.items.retain(|rid, _| reached.contains(rid));
    }

    /// Whether a resource is in reach of what is certainly subscribed.
    fn certainly_holds(&self, rid: &str) -> bool {
        self.uncertain.is_empty() || self.reach(self.direct.keys()).contains(rid)
    }

    fn reach<'a>(&'a self, roots: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = roots.map(String::as_str).collect();
        while let Some(rid) = open.pop() {
            let Some(item) = self.items.get(rid) else {
                continue;
            };
            if reached.insert(rid.to_owned())
                && let Held::Content(content) = &item.held
            {
                open.extend(content.hard_references());
            }
        }
        reached
    }
}

impl Item {
    /// Applies an event's own data.
    fn apply(&mut self, name: &str, data: &Value, generation: Generation) -> Result<(), String> {
        let Held::Content(content) = &mut self.held else {
            return Err("there is no content".into());
        };
        match (name, content) {
            ("change", Content::Model(model)) => {
                let values = data.get("values").and_then(Value::as_object);
                let values = values.ok_or("no values")?;
                if values.is_empty() {
                    return Err("nothing changes".into());
                }
                for (key, value) in values {
                    if is_delete(value) {
                        model
                            .remove(key)
                            .ok_or_else(|| format!("{key} is not there"))?;
                    } else if model.insert(key.clone(), value.clone()).as_ref() == Some(value)
                        // To older clients different values may look alike.
                        && generation == Generation::V1_2_1
                    {
                        return Err(format!("{key} does not change"));
                    }
                }
            }
            ("add", Content::Collection(values)) => {
                let value = data.get("value").ok_or("no value")?;
                let index = index(data)?;
                if index > values.len() {
                    return Err(format!("index {index} in a list of {}", values.len()));
                }
                values.insert(index, value.clone());
            }
            ("remove", Content::Collection(values)) => {
                let index = index(data)?;
                if index >= values.len() {
                    return Err(format!("index {index} in a list of {}", values.len()));
                }
                values.remove(index);
            }
            ("delete", _) => self.deleted = true,
            ("change" | "add" | "remove" | "unsubscribe" | "reaccess" | "query", _) => {
                return Err("no such event is due".into());
            }
            _ => self.number(data)?,
        }
        Ok(())
    }

    /// Checks that no numbered custom event is missing, and none comes twice.
    fn number(&mut self, data: &Value) -> Result<(), String> {
        if let Some(number) = data.get("number").and_then(Value::as_u64) {
            match self.custom {
                Some(last) if number <= last || (number > last + 1 && !self.may_miss) => {
                    return Err(format!("number {number} follows {last}"));
                }
                _ => self.custom = Some(number),
            }
        }
        Ok(())
    }
}

fn index(data: &Value) -> Result<usize, String> {
    let index = data.get("idx").and_then(Value::as_u64).ok_or("no idx")?;
    usize::try_from(index).map_err(|_| "idx out of range".into())
}

#[cfg(test)]
#[path = "replica_tests.rs"]
mod tests;
