//! Clients that remember: they say on a new connection what they have of an earlier one, and put
//! what they are not sent since they have it in its place, so that all who look at their
//! messages see what others would have been sent.

use super::client::Pending;
use super::content::hard_reference;
use super::simulator::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One resource as it was sent.
#[derive(Clone, Debug, PartialEq)]
struct Copy {
    tag: String,
    /// The group of its set.
    group: String,
    data: Value,
}

/// What a client remembers.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What it has said that it has, as far as it was not handed out since.
    had: BTreeMap<String, Copy>,
    /// What it was sent or told that it has, and no event has changed.
    copies: BTreeMap<String, Copy>,
    /// What it is subscribed to.
    pub direct: Vec<String>,
    /// How many resources it was not sent lately.
    spared: u64,
}

/// What messages that no correct gateway sends do.
type Violation = String;

impl Memory {
    /// What a client begins with that comes back; some copies go to another's resource ID, if
    /// `swaps`: to have another content is to have that content.
    pub fn of(left: Self, swaps: bool) -> Self {
        let mut had = left.copies;
        let names: Vec<String> = had.keys().cloned().collect();
        if let (true, [first, .., last]) = (swaps, &names[..])
            && let (Some(one), Some(other)) = (had.remove(first), had.remove(last))
        {
            had.insert(first.clone(), other);
            had.insert(last.clone(), one);
        }
        Self {
            had,
            ..Self::default()
        }
    }

    /// The parameters of its version request.
    pub fn wishes(&self, version: &str) -> Value {
        match self.had.is_empty() {
            true => json!({"protocol": version, "etags": true}),
            false => {
                let have = self
                    .had
                    .iter()
                    .map(|(rid, copy)| (rid.clone(), json!(copy.tag)));
                let have: serde_json::Map<_, _> = have.collect();
                json!({"protocol": version, "have": have})
            }
        }
    }

    /// Takes a message, and gives what others would have been sent. `asked` is what it
    /// answers.
    pub fn complete(
        &mut self,
        asked: Option<&Pending>,
        message: &Value,
    ) -> Result<Value, Violation> {
        let mut whole = message.clone();
        if let Some((rid, event)) = message["event"].as_str().and_then(|it| it.rsplit_once('.')) {
            if event == "change" || event == "add" {
                self.complete_set(None, &mut whole["data"])?;
            }
            if ["change", "add", "remove", "delete"].contains(&event) {
                self.copies.remove(rid);
            }
            return Ok(whole);
        }
        let set = match message.get("result") {
            Some(Value::Object(_)) => &mut whole["result"],
            _ => return Ok(whole),
        };
        let root = match asked {
            Some(Pending::Subscribe(rid) | Pending::Get(rid)) => Some(rid.clone()),
            Some(Pending::Call(..) | Pending::New | Pending::Auth) if set.get("rid").is_some() => {
                set["rid"].as_str().map(str::to_owned)
            }
            _ => return Ok(whole),
        };
        self.complete_set(root, set)?;
        Ok(whole)
    }

    fn complete_set(&mut self, root: Option<String>, set: &mut Value) -> Result<(), Violation> {
        let Some(members) = set.as_object_mut() else {
            return Ok(());
        };
        let tags = members.remove("etags").unwrap_or(json!({}));
        let same = members
            .remove("same")
            .map_or(0, |same| same.as_u64().unwrap_or(u64::MAX));
        let mut open: Vec<String> = root.into_iter().collect();
        let (mut brought, mut tagged) = (BTreeSet::new(), 0);
        for group in ["models", "collections", "errors"] {
            let resources = set[group].as_object().into_iter().flatten();
            for (rid, data) in resources {
                brought.insert(rid.clone());
                self.had.remove(rid);
                self.copies.remove(rid);
                if group == "errors" {
                    continue;
                }
                let tag = tags[rid]
                    .as_str()
                    .ok_or_else(|| format!("{rid} has no tag"))?;
                tagged += 1;
                let copy = Copy {
                    tag: tag.to_owned(),
                    group: group.to_owned(),
                    data: data.clone(),
                };
                self.copies.insert(rid.clone(), copy);
                open.extend(references(data));
            }
        }
        if tags.as_object().map(serde_json::Map::len) != Some(tagged) {
            return Err(format!("there are tags of what is not sent: {tags}"));
        }
        let mut found = 0;
        while let (true, Some(rid)) = (same > 0, open.pop()) {
            if brought.contains(&rid) {
                continue;
            }
            // What it had and was handed out before it holds, or has let go of.
            let Some(copy) = self.had.remove(&rid) else {
                continue;
            };
            found += 1;
            open.extend(references(&copy.data));
            set[&copy.group][&rid] = copy.data.clone();
            self.copies.insert(rid, copy);
        }
        self.spared += found;
        match found == same {
            true => Ok(()),
            false => Err(format!("{found} of {same} that it has were found")),
        }
    }

    /// The contents that it knows, by their tags.
    pub fn contents(&self) -> impl Iterator<Item = (&str, &Value)> {
        let copies = self.copies.values();
        copies.map(|copy| (&*copy.tag, &copy.data))
    }
}

fn references(data: &Value) -> Vec<String> {
    let (model, list) = (data.as_object(), data.as_array());
    let values = model.into_iter().flat_map(serde_json::Map::values);
    let values = values.chain(list.into_iter().flatten());
    values
        .filter_map(hard_reference)
        .map(str::to_owned)
        .collect()
}

impl World {
    /// A message as others would have been sent it, for a client that remembers.
    pub fn remembered(&mut self, slot: usize, message: &Value) -> Option<Value> {
        let client = self.clients[slot].as_mut()?;
        let memory = client.memory.as_mut()?;
        let asked = message["id"]
            .as_u64()
            .and_then(|id| client.pending.get(&id));
        match memory.complete(asked.map(|(pending, _)| pending), message) {
            Ok(whole) => {
                self.spared += std::mem::take(&mut memory.spared);
                let known: Vec<_> = memory
                    .contents()
                    .map(|(tag, data)| (tag.to_owned(), data.clone()))
                    .collect();
                for (tag, data) in known {
                    let first = self
                        .tagged
                        .entry(tag.clone())
                        .or_insert_with(|| data.clone());
                    if *first != data {
                        let what = format!("{tag} stands for {first} and for {data}");
                        self.fail(what);
                        break;
                    }
                }
                Some(whole)
            }
            Err(what) => {
                self.fail(format!("client {slot}, as remembered: {what}: {message}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGS: [&str; 2] = ["t1", "t2"];

    /// A client that had a list of `a`, and comes back.
    fn back() -> Memory {
        let mut first = Memory::default();
        let sent = json!({
            "collections": {"list": [{"rid": "a"}]},
            "models": {"a": {"n": 1}},
            "etags": {"list": TAGS[0], "a": TAGS[1]},
        });
        let asked = Pending::Subscribe("list".into());
        let whole = first.complete(Some(&asked), &json!({"id": 1, "result": sent}));
        assert!(whole.unwrap()["result"].get("etags").is_none());
        Memory::of(first, false)
    }

    fn answer(memory: &mut Memory, result: &Value) -> Result<Value, Violation> {
        let asked = Pending::Subscribe("list".into());
        let message = json!({"id": 1, "result": result});
        memory.complete(Some(&asked), &message)
    }

    #[test]
    fn what_is_left_out_is_put_in_its_place() {
        let whole = answer(&mut back(), &json!({"same": 2})).unwrap();
        let expected = json!({"collections": {"list": [{"rid": "a"}]}, "models": {"a": {"n": 1}}});
        assert_eq!(whole["result"], expected);
        let newer = json!({"models": {"a": {"n": 2}}, "etags": {"a": "t3"}, "same": 1});
        let whole = answer(&mut back(), &newer).unwrap();
        let expected = json!({"collections": {"list": [{"rid": "a"}]}, "models": {"a": {"n": 2}}});
        assert_eq!(whole["result"], expected);
    }

    #[test]
    fn objects_to_what_no_correct_gateway_sends() {
        for (result, problem) in [
            (json!({"same": 1}), "2 of 1"),
            (json!({"same": 3}), "2 of 3"),
            (json!({"models": {"a": {}}, "same": 1}), "no tag"),
            (json!({"etags": {"a": "t3"}, "same": 2}), "not sent"),
        ] {
            let violation = answer(&mut back(), &result).unwrap_err();
            assert!(violation.contains(problem), "{result}: {violation}");
        }
    }
}
