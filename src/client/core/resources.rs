//! The resources that a client holds: put in by resource sets, changed by events, and
//! forgotten when no reference leads to them any more.

use std::collections::BTreeMap;

use crate::res::json::{self, JsonError, Raw};

use super::messages::{Failure, failure, object};

/// What a resource holds; values are JSON as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Properties sorted by name, which is the order in which gateways have them.
    Model(Vec<(String, String)>),
    /// Values in order.
    Collection(Vec<String>),
    /// It could not be had: the error object.
    Error(String),
}

impl Content {
    /// Adds the resources that it holds by its references.
    fn push_references(&self, out: &mut Vec<String>) {
        let mut push = |value: &String| {
            let held = reference(value).filter(|it| !it.is_soft);
            out.extend(held.map(|it| it.rid));
        };
        match self {
            Self::Model(properties) => properties.iter().for_each(|(_, value)| push(value)),
            Self::Collection(values) => values.iter().for_each(push),
            Self::Error(_) => {}
        }
    }
}

/// A value that leads to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The resource ID.
    pub rid: String,
    /// The client does not hold what it leads to.
    pub is_soft: bool,
}

/// The reference that a value is, if it is one.
pub fn reference(value: Raw<'_>) -> Option<Reference> {
    if !value.starts_with('{') {
        return None;
    }
    let (mut rid, mut is_soft) = (None, false);
    object(value, &mut |name, raw| {
        match &*name {
            "rid" => rid = Some(json::string(raw)?.into_owned()),
            "soft" => is_soft = raw == "true",
            _ => {}
        }
        Ok(())
    })
    .ok()?;
    let rid = rid?;
    Some(Reference { rid, is_soft })
}

/// A property that a change event has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What it was, if it was there.
    pub before: Option<String>,
    /// What it is, if it is there.
    pub after: Option<String>,
}

/// What an event says, once it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Properties of a model have changed.
    Changed(Vec<Change>),
    /// A value was put in at a place.
    Added(usize, String),
    /// The value at a place was taken out.
    Removed(usize, Option<String>),
    /// The resource is no more.
    Deleted,
    /// All direct subscriptions of it have ended.
    Unsubscribed(Failure),
    /// What the service means by it; with the data.
    Custom(String),
}

/// The resources by ID.
#[derive(Debug, Default)]
pub struct Resources {
    held: BTreeMap<String, Content>,
}

impl Resources {
    /// A resource.
    pub fn get(&self, rid: &str) -> Option<&Content> {
        self.held.get(rid)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Content)> {
        self.held.iter().map(|(rid, content)| (&**rid, content))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Puts a resource set in; members of other names are passed over.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn put(&mut self, set: Raw<'_>) -> Result<(), JsonError> {
        if json::present(set).is_none() {
            return Ok(());
        }
        object(set, &mut |kind, raw| {
            let read = match &*kind {
                "models" => |raw| members(raw).map(Content::Model),
                "collections" => |raw| items(raw).map(Content::Collection),
                "errors" => |raw: Raw<'_>| Ok(Content::Error(raw.to_owned())),
                _ => return Ok(()),
            };
            if json::present(raw).is_none() {
                return Ok(());
            }
            object(raw, &mut |rid, raw| {
                self.held.insert(rid.into_owned(), read(raw)?);
                Ok(())
            })
        })
    }

    /// Applies an event, and says what it has changed.
    ///
    /// # Errors
    ///
    /// Its data is not that of such an event, or does not fit the resource.
    pub fn apply(&mut self, rid: &str, name: &str, data: Raw<'_>) -> Result<Happening, JsonError> {
        match name {
            "change" => {
                self.put(data)?;
                self.change(rid, data)
            }
            "add" => {
                self.put(data)?;
                let (at, value) = entry(data)?;
                let value = value.ok_or(JsonError::new("an add event without a value"))?;
                let values = self.collection(rid)?;
                if at > values.len() {
                    return Err(JsonError::new("an add event beyond the end"));
                }
                values.insert(at, value.to_owned());
                Ok(Happening::Added(at, value.to_owned()))
            }
            "remove" => {
                let (at, _) = entry(data)?;
                let values = self.collection(rid)?;
                if at >= values.len() {
                    return Err(JsonError::new("a remove event beyond the end"));
                }
                Ok(Happening::Removed(at, Some(values.remove(at))))
            }
            "delete" => Ok(Happening::Deleted),
            "unsubscribe" => {
                let mut reason = Failure::default();
                if json::present(data).is_some() {
                    object(data, &mut |name, raw| {
                        if &*name == "reason" {
                            reason = failure(raw)?;
                        }
                        Ok(())
                    })?;
                }
                Ok(Happening::Unsubscribed(reason))
            }
            _ => Ok(Happening::Custom(data.to_owned())),
        }
    }

    fn change(&mut self, rid: &str, data: Raw<'_>) -> Result<Happening, JsonError> {
        let Some(Content::Model(properties)) = self.held.get_mut(rid) else {
            return Err(JsonError::new("a change event of what is no model"));
        };
        let mut changes = Vec::new();
        object(data, &mut |member, values| {
            if &*member != "values" {
                return Ok(());
            }
            object(values, &mut |name, raw| {
                let after = (!is_delete_action(raw)).then(|| raw.to_owned());
                let before = match &after {
                    Some(value) => set(properties, name.clone().into_owned(), value.clone()),
                    None => {
                        let place = properties.binary_search_by(|it| (*it.0).cmp(&name));
                        place.ok().map(|at| properties.remove(at).1)
                    }
                };
                changes.push(Change {
                    name: name.into_owned(),
                    before,
                    after,
                });
                Ok(())
            })
        })?;
        Ok(Happening::Changed(changes))
    }

    fn collection(&mut self, rid: &str) -> Result<&mut Vec<String>, JsonError> {
        match self.held.get_mut(rid) {
            Some(Content::Collection(values)) => Ok(values),
            _ => Err(JsonError::new("an event of what is no collection")),
        }
    }

    /// Forgets what no reference leads to from this resource.
    pub fn keep_reachable(&mut self, root: &str) {
        let mut left = std::mem::take(&mut self.held);
        let mut next = vec![root.to_owned()];
        while let Some(rid) = next.pop() {
            if let Some(content) = left.remove(&rid) {
                content.push_references(&mut next);
                self.held.insert(rid, content);
            }
        }
    }
}

/// `{"action":"delete"}` in place of a value.
fn is_delete_action(value: Raw<'_>) -> bool {
    let mut is_delete = false;
    if value.starts_with('{') {
        let read = object(value, &mut |name, raw| {
            is_delete |= &*name == "action" && raw == "\"delete\"";
            Ok(())
        });
        is_delete &= read.is_ok();
    }
    is_delete
}

/// Place and value of an event of a collection.
fn entry<'a>(data: Raw<'a>) -> Result<(usize, Option<Raw<'a>>), JsonError> {
    let (mut at, mut value) = (None, None);
    object(data, &mut |name, raw| {
        match &*name {
            "idx" => at = raw.parse().ok(),
            "value" => value = Some(raw),
            _ => {}
        }
        Ok(())
    })?;
    Ok((at.ok_or(JsonError::new("an event without idx"))?, value))
}

/// Sets a property, and gives what it was. Gateways send them sorted: the next one is the last.
fn set(members: &mut Vec<(String, String)>, name: String, value: String) -> Option<String> {
    let place = match members.last() {
        Some((last, _)) if *last >= name => members.binary_search_by(|it| it.0.cmp(&name)),
        _ => Err(members.len()),
    };
    match place {
        Ok(at) => Some(std::mem::replace(&mut members[at].1, value)),
        Err(at) => {
            members.insert(at, (name, value));
            None
        }
    }
}

fn members(raw: Raw<'_>) -> Result<Vec<(String, String)>, JsonError> {
    let mut members = Vec::new();
    object(raw, &mut |name, raw| {
        set(&mut members, name.into_owned(), raw.to_owned());
        Ok(())
    })?;
    Ok(members)
}

fn items(raw: Raw<'_>) -> Result<Vec<String>, JsonError> {
    let mut items = Vec::new();
    json::array(raw, |raw| {
        items.push(raw.to_owned());
        Ok(())
    })?;
    Ok(items)
}

/// Most bytes that a resource with what it refers to is shown in.
const SHOWN_MAX: usize = if cfg!(test) { 1 << 20 } else { 256 << 20 };

/// It would be too much to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

impl Resources {
    /// A resource as JSON, and within it, down to this depth, what it refers to:
    /// `{"rid":"a.b","model":{...}}`. A reference that closes a circle, that is soft, or that
    /// lies deeper stays `{"rid":"a.b"}`.
    ///
    /// # Errors
    ///
    /// [`TooMuch`] if references branch too much for this depth.
    pub fn to_json(&self, rid: &str, depth: usize) -> Result<String, TooMuch> {
        let mut out = Vec::new();
        let mut path = vec![rid.to_owned()];
        match self.held.get(rid) {
            Some(content) => self.write(content, depth, &mut path, &mut out)?,
            None => out.extend_from_slice(b"null"),
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// A resource with its ID: `{"rid":"a.b","model":{...}}`.
    ///
    /// # Errors
    ///
    /// As [`Resources::to_json`].
    pub fn named_to_json(&self, rid: &str, depth: usize) -> Result<String, TooMuch> {
        let mut value = b"{\"rid\":".to_vec();
        json::write_string(rid, &mut value);
        value.push(b'}');
        let (mut out, mut path) = (Vec::new(), Vec::new());
        let value = String::from_utf8_lossy(&value);
        self.write_value(&value, depth + 1, &mut path, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// A value in the same way.
    ///
    /// # Errors
    ///
    /// As [`Resources::to_json`].
    pub fn value_to_json(
        &self,
        holder: &str,
        value: Raw<'_>,
        depth: usize,
    ) -> Result<String, TooMuch> {
        let (mut out, mut path) = (Vec::new(), vec![holder.to_owned()]);
        self.write_value(value, depth, &mut path, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// The kind of a content, and the content itself. It recurses no deeper than `depth`.
    fn write(
        &self,
        content: &Content,
        depth: usize,
        path: &mut Vec<String>,
        out: &mut Vec<u8>,
    ) -> Result<(), TooMuch> {
        match content {
            Content::Error(text) => out.extend_from_slice(text.as_bytes()),
            Content::Model(properties) => {
                out.push(b'{');
                for (place, (name, value)) in properties.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    json::write_string(name, out);
                    out.push(b':');
                    self.write_value(value, depth, path, out)?;
                }
                out.push(b'}');
            }
            Content::Collection(values) => {
                out.push(b'[');
                for (place, value) in values.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    self.write_value(value, depth, path, out)?;
                }
                out.push(b']');
            }
        }
        match out.len() > SHOWN_MAX {
            true => Err(TooMuch),
            false => Ok(()),
        }
    }

    fn write_value(
        &self,
        value: Raw<'_>,
        depth: usize,
        path: &mut Vec<String>,
        out: &mut Vec<u8>,
    ) -> Result<(), TooMuch> {
        let hard = reference(value).filter(|it| !it.is_soft && !path.contains(&it.rid));
        let content = hard.and_then(|it| Some((self.held.get(&it.rid)?, it.rid)));
        let Some((content, rid)) = content else {
            out.extend_from_slice(value.as_bytes());
            return Ok(());
        };
        let kind = match content {
            // An error is short, and says why nothing is there.
            Content::Error(_) => "error",
            _ if depth == 0 => {
                out.extend_from_slice(value.as_bytes());
                return Ok(());
            }
            Content::Model(_) => "model",
            Content::Collection(_) => "collection",
        };
        out.extend_from_slice(b"{\"rid\":");
        json::write_string(&rid, out);
        out.extend_from_slice(format!(",\"{kind}\":").as_bytes());
        path.push(rid);
        self.write(content, depth.saturating_sub(1), path, out)?;
        path.pop();
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(set: &str) -> Resources {
        let mut resources = Resources::default();
        resources.put(set).expect("a resource set");
        resources
    }

    const SET: &str = r#"{"models":{"a.1":{"n":1,"up":{"rid":"a"}},"a.2":{"n":2,"x":{"rid":"a.1","soft":true}}},
        "collections":{"a":[{"rid":"a.1"},{"rid":"a.2"},{"rid":"a.3"},{"data":{"rid":1}}]},
        "errors":{"a.3":{"code":"system.notFound","message":"Not found"}},"rid":"a"}"#;

    #[test]
    fn references_are_shown_down_to_a_depth() {
        let resources = held(SET);
        let error = r#"{"rid":"a.3","error":{"code":"system.notFound","message":"Not found"}}"#;
        let table = [
            (
                0,
                format!(r#"[{{"rid":"a.1"}},{{"rid":"a.2"}},{error},{{"data":{{"rid":1}}}}]"#),
            ),
            (
                1,
                format!(
                    r#"[{{"rid":"a.1","model":{{"n":1,"up":{{"rid":"a"}}}}}},{{"rid":"a.2","model":{{"n":2,"x":{{"rid":"a.1","soft":true}}}}}},{error},{{"data":{{"rid":1}}}}]"#
                ),
            ),
        ];
        for (depth, expected) in table {
            assert_eq!(resources.to_json("a", depth), Ok(expected));
        }
        // A circle is cut where it closes.
        assert_eq!(resources.to_json("a", 64), resources.to_json("a", 1));
        assert_eq!(resources.to_json("none", 1).as_deref(), Ok("null"));
    }

    #[test]
    fn what_branches_too_much_is_not_shown() {
        let mut set = String::from("{\"collections\":{\"c40\":[1]");
        for level in 0..40 {
            let next = format!("{{\"rid\":\"c{}\"}}", level + 1);
            set.push_str(&format!(",\"c{level}\":[{next},{next}]"));
        }
        set.push_str("}}");
        let resources = held(&set);
        assert_eq!(resources.to_json("c0", 64), Err(TooMuch));
        assert!(resources.to_json("c0", 3).is_ok());
    }

    #[test]
    fn events_change_what_is_held() {
        let mut resources = held(SET);
        let happening = resources.apply(
            "a.1",
            "change",
            r#"{"values":{"n":3,"up":{"action":"delete"},"new":{"rid":"b"}},"models":{"b":{}}}"#,
        );
        let change = |name: &str, before: Option<&str>, after: Option<&str>| Change {
            name: name.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        assert_eq!(
            happening,
            Ok(Happening::Changed(vec![
                change("n", Some("1"), Some("3")),
                change("up", Some(r#"{"rid":"a"}"#), None),
                change("new", None, Some(r#"{"rid":"b"}"#)),
            ]))
        );
        assert!(resources.get("b").is_some());
        let added = resources.apply("a", "add", r#"{"idx":1,"value":"x"}"#);
        assert_eq!(added, Ok(Happening::Added(1, "\"x\"".into())));
        let removed = resources.apply("a", "remove", r#"{"idx":0}"#);
        let first = r#"{"rid":"a.1"}"#;
        assert_eq!(removed, Ok(Happening::Removed(0, Some(first.into()))));
        // Nothing leads to it any more, nor to what it alone referred to.
        resources.keep_reachable("a");
        let left: Vec<&str> = resources.iter().map(|(rid, _)| rid).collect();
        assert_eq!(left, ["a", "a.2", "a.3"]);
        assert_eq!(
            resources.apply("a", "delete", "null"),
            Ok(Happening::Deleted)
        );
        let reason = r#"{"reason":{"code":"c","message":"m"}}"#;
        match resources.apply("a", "unsubscribe", reason) {
            Ok(Happening::Unsubscribed(reason)) => assert_eq!(reason.code, "c"),
            other => panic!("{other:?}"),
        }
        let custom = resources.apply("a", "rang", "[1]");
        assert_eq!(custom, Ok(Happening::Custom("[1]".into())));
    }

    #[test]
    fn properties_are_sorted_and_the_last_of_a_name_counts() {
        let resources = held(r#"{"models":{"m":{"b":1,"a":2,"c":3,"a":4,"c":5}}}"#);
        let expected = r#"{"a":4,"b":1,"c":5}"#;
        assert_eq!(resources.to_json("m", 0).as_deref(), Ok(expected));
    }

    #[test]
    fn events_that_do_not_fit_are_refused() {
        for (rid, name, data) in [
            ("a", "change", r#"{"values":{"n":1}}"#),
            ("none", "change", r#"{"values":{"n":1}}"#),
            ("a.1", "change", r#"{"values":1}"#),
            ("a.1", "change", "null"),
            ("a.1", "add", r#"{"idx":0,"value":1}"#),
            ("a", "add", r#"{"idx":5,"value":1}"#),
            ("a", "add", r#"{"idx":0}"#),
            ("a", "add", r#"{"idx":-1,"value":1}"#),
            ("a", "add", r#"{"value":1}"#),
            ("a", "remove", r#"{"idx":4}"#),
            ("a", "remove", "[]"),
            ("a", "unsubscribe", "1"),
        ] {
            let result = held(SET).apply(rid, name, data);
            assert!(result.is_err(), "{rid} {name} {data}: {result:?}");
        }
        for set in ["1", "[]", r#"{"models":1}"#, r#"{"models":{"a":[]}}"#] {
            assert!(Resources::default().put(set).is_err(), "{set}");
        }
    }
}
