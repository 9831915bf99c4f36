//! The content of a resource: one version of a model or collection, shared by all who
//! hold it and changed in place only while nobody else does.

use crate::gateway::model::diff::diff;
use crate::gateway::model::keys::AliasKey;
use crate::gateway::model::list::List;
use crate::gateway::model::references::References;
use crate::gateway::model::tag::Tag;
use crate::gateway::model::update::{Step, StepKind};
use crate::res::service::Data;
use crate::res::value::Change;
use crate::res::version::ValueForm;
use crate::res::{Text, Value, json};
use hashbrown::HashSet;
use std::cell::{Cell, OnceCell};
use std::rc::Rc;

mod making;
mod renewing;

pub use making::{Changed, Changing, Making};
pub use renewing::Renewing;

/// Longest JSON text that is kept, in bytes.
const TEXT_KEPT: usize = 16 << 10;

/// A resource that a content references.
#[derive(Clone, Debug)]
pub struct Child {
    /// Its ID.
    pub rid: Rc<str>,
    /// What the ID was found to be, to be checked at each use. Not for an ID with a
    /// connection ID tag: that is another one for each client.
    pub alias: Cell<Option<AliasKey>>,
}

impl From<Rc<str>> for Child {
    fn from(rid: Rc<str>) -> Self {
        Self {
            rid,
            alias: Cell::new(None),
        }
    }
}

/// One version of a resource.
///
/// What is derived from it is computed once per version, its JSON text twice at most. A
/// clone shares all that is large, so that an event costs what it changes, also where the
/// version before is kept.
#[derive(Clone, Debug)]
pub struct Content {
    /// Changes whenever the content does; unique in the process.
    pub version: u64,
    values: Values,
    /// Bytes of the values' texts and of the properties' names.
    bytes: usize,
    references: References,
    distinct: OnceCell<Rc<[Child]>>,
    text: OnceCell<Rc<[u8]>>,
    /// Whether its JSON text was ever asked for.
    written: Cell<bool>,
    tags: OnceCell<Box<Tags>>,
}

/// The tags of a content, as far as anybody has asked for them.
#[derive(Clone, Debug, Default)]
struct Tags {
    /// Of what the web is answered with, if nothing is nested in that.
    web: Cell<Option<Tag>>,
    /// Of the JSON text that clients are sent.
    text: Cell<Option<Tag>>,
}

/// The values of a model or collection.
#[derive(Clone, Debug, PartialEq)]
enum Values {
    /// Properties sorted by name, each name once.
    Model(List<Property>),
    /// Values in order.
    Collection(List<Value>),
}

type Property = (Text, Value);

/// What an event does to a content.
#[derive(Debug, Default)]
pub struct Applied {
    /// Resources that it references and did not before.
    pub added: Vec<Child>,
    /// Resources that it references no longer.
    pub removed: Vec<Child>,
    /// Entries that were moved in memory.
    pub moved: usize,
}

/// What leads from one content to another of the same kind.
#[derive(Debug)]
pub struct Renewal {
    /// The events, in order.
    pub steps: Vec<Step>,
    /// What they lead to; none when there are none.
    pub content: Option<Content>,
    /// How many values were compared.
    pub compared: usize,
}

impl Content {
    pub fn new(data: Data, version: u64) -> Self {
        let values = Values::from(data);
        let (mut references, mut bytes) = (References::default(), 0);
        values.each(|name, value| {
            bytes += size_of_entry(name, value);
            references.add(value);
        });
        Self::of_parts(version, values, bytes, references)
    }

    /// The tag of what the web is answered with, if that was kept.
    pub fn tag(&self) -> Option<Tag> {
        self.tags.get()?.web.get()
    }

    /// Keeps the tag of what the web is answered with. Nothing is nested in that.
    pub fn keep_tag(&self, tag: Tag) {
        self.tags.get_or_init(Box::default).web.set(Some(tag));
    }

    /// The tag of the JSON text that clients are sent, in the full form, if that was made.
    pub fn known_text_tag(&self) -> Option<Tag> {
        self.tags.get()?.text.get()
    }

    /// The same, made if it was not. `written` is that text, where it is at hand.
    pub fn text_tag(&self, written: Option<&[u8]>) -> Tag {
        self.known_text_tag().unwrap_or_else(|| {
            let tag = match (written, self.text.get()) {
                (Some(text), _) => Tag::of(text),
                (None, Some(text)) => Tag::of(text),
                (None, None) => {
                    let mut text = Vec::new();
                    self.encode(ValueForm::Full, &mut text);
                    Tag::of(&text)
                }
            };
            self.tags.get_or_init(Box::default).text.set(Some(tag));
            tag
        })
    }

    pub fn is_model(&self) -> bool {
        matches!(self.values, Values::Model(_))
    }

    /// The resources that it references, each once.
    pub fn references(&self) -> &[Child] {
        match self.has_references() {
            true => self.distinct.get_or_init(|| self.distinct_references()),
            false => &[],
        }
    }

    /// The same, as far as they are known: none, or all.
    pub fn known_references(&self) -> &[Child] {
        self.distinct.get().map_or(&[], |known| known)
    }

    fn distinct_references(&self) -> Rc<[Child]> {
        let mut children = Vec::with_capacity(self.references.distinct());
        let mut seen: HashSet<&Rc<str>, foldhash::fast::RandomState> = HashSet::default();
        let has_repeated = self.references.has_repeated();
        self.values.each(|_, value| {
            if let Some(rid) = value.reference()
                && (!has_repeated || seen.insert(rid))
            {
                children.push(Child::from(rid.clone()));
            }
        });
        children.into()
    }

    /// Roughly what an audit of it costs: its values, and 64 bytes of text for one more.
    #[cfg(debug_assertions)]
    pub fn weight(&self) -> usize {
        let mut text = Vec::new();
        self.encode(ValueForm::Full, &mut text);
        self.size() + text.len() / 64
    }

    /// Checks what is derived from the data against it.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let (mut references, mut bytes) = (References::default(), 0);
        self.values.each(|name, value| {
            bytes += size_of_entry(name, value);
            references.add(value);
        });
        let wrong = |what: &str| Err(format!("{what} of version {}", self.version));
        match &self.values {
            Values::Model(model) => model.audit()?,
            Values::Collection(values) => values.audit()?,
        }
        if references != self.references {
            return wrong("miscounted: the references");
        }
        if bytes != self.bytes {
            return wrong("miscounted: the bytes");
        }
        // The same in whatever order: a reference that moves leaves them as they are.
        let is_fresh = |known: &Rc<[Child]>| {
            known.len() == references.distinct()
                && known.iter().all(|child| references.contains(&child.rid))
        };
        if !self.distinct.get().is_none_or(is_fresh) {
            return wrong("stale: the list of references");
        }
        let mut text = Vec::new();
        self.encode(ValueForm::Full, &mut text);
        if self.text.get().is_some_and(|known| **known != *text) {
            return wrong("stale: the text");
        }
        match self
            .known_text_tag()
            .is_none_or(|tag| tag == Tag::of(&text))
        {
            true => Ok(()),
            false => wrong("stale: the tag of the text"),
        }
    }

    /// Whether it references a resource.
    pub fn has_reference(&self, rid: &str) -> bool {
        self.references.contains(rid)
    }

    pub fn has_references(&self) -> bool {
        !self.references.is_empty()
    }

    /// Appends the JSON that clients are sent.
    pub fn write(&self, form: ValueForm, out: &mut Vec<u8>) {
        if form == ValueForm::Plain {
            return self.encode(form, out);
        }
        if let Some(text) = self.text.get() {
            return out.extend_from_slice(text);
        }
        let start = out.len();
        self.encode(form, out);
        // Most resources are sent once, and what is large is kept with the answer.
        let text = &out[start..];
        if self.written.replace(true) && text.len() <= TEXT_KEPT {
            self.text.get_or_init(|| text.into());
        }
    }

    fn encode(&self, form: ValueForm, out: &mut Vec<u8>) {
        match &self.values {
            Values::Model(model) => {
                out.push(b'{');
                for (i, (name, value)) in model.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    json::write_string_bytes(name.as_bytes(), out);
                    out.push(b':');
                    value.write(form, out);
                }
                out.push(b'}');
            }
            Values::Collection(values) => {
                out.push(b'[');
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    value.write(form, out);
                }
                out.push(b']');
            }
        }
    }

    /// Leaves out of a change what changes nothing.
    pub fn effective(&self, mut changes: Vec<(Text, Change)>) -> Vec<(Text, Change)> {
        let Values::Model(model) = &self.values else {
            return Vec::new();
        };
        let differs = |old: Option<&Value>, change: &Change| match change {
            Change::Set(new) => old != Some(new),
            Change::Delete => old.is_some(),
        };
        if are_many(&changes, model) {
            let mut old = model.iter().peekable();
            changes.retain(|(name, change)| {
                while old.next_if(|(other, _)| other < name).is_some() {}
                let old = old.next_if(|(other, _)| other == name);
                differs(old.map(|(_, value)| value), change)
            });
        } else {
            changes.retain(|(name, change)| {
                let old = model.find(|(other, _)| other.cmp(name)).ok();
                differs(old.map(|(_, (_, value))| value), change)
            });
        }
        changes
    }

    /// The number of values of a collection; `None` for a model.
    pub fn length(&self) -> Option<usize> {
        match &self.values {
            Values::Model(_) => None,
            Values::Collection(values) => Some(values.len()),
        }
    }

    /// The number of its values.
    pub fn size(&self) -> usize {
        match &self.values {
            Values::Model(model) => model.len(),
            Values::Collection(values) => values.len(),
        }
    }

    /// The bytes of its values' texts and of its properties' names.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The value at a place, with its name in a model.
    pub fn entry(&self, at: usize) -> Option<(Option<&Text>, &Value)> {
        match &self.values {
            Values::Model(model) => model.get(at).map(|(name, value)| (Some(name), value)),
            Values::Collection(values) => values.get(at).map(|value| (None, value)),
        }
    }

    /// How many values, and how many bytes, an event would leave it with.
    pub fn grown_by(&self, kind: &StepKind) -> (usize, usize) {
        let (mut size, mut bytes) = (self.size(), self.bytes);
        match (kind, &self.values) {
            (StepKind::Change(changes), Values::Model(model)) => {
                for (name, change) in changes {
                    let old = model.find(|(other, _)| other.cmp(name)).ok();
                    if let Some((_, (name, value))) = old {
                        size -= 1;
                        bytes -= size_of_entry(Some(name), value);
                    }
                    if let Change::Set(value) = change {
                        size += 1;
                        bytes += size_of_entry(Some(name), value);
                    }
                }
            }
            (StepKind::Add { value, .. }, Values::Collection(_)) => {
                size += 1;
                bytes += size_of_entry(None, value);
            }
            _ => {}
        }
        (size, bytes)
    }

    /// Applies an event that fits the content, and says what it does to the references.
    pub fn apply(&mut self, kind: &StepKind, version: u64) -> Applied {
        let mut applied = Applied::default();
        match (kind, &mut self.values) {
            (StepKind::Change(changes), Values::Model(_)) => {
                self.change(changes, &mut applied);
            }
            (StepKind::Add { idx, value }, Values::Collection(values)) if *idx <= values.len() => {
                let added = self.references.add(value).map(Child::from);
                applied.added.extend(added);
                self.bytes += size_of_entry(None, value);
                applied.moved = values.insert(*idx, value.clone());
            }
            (StepKind::Remove { idx, .. }, Values::Collection(values)) if *idx < values.len() => {
                let (old, moved) = values.remove(*idx);
                let removed = self.references.remove(&old).map(Child::from);
                applied.removed.extend(removed);
                self.bytes -= size_of_entry(None, &old);
                applied.moved = moved;
            }
            _ => return applied,
        }
        let same = applied.added.is_empty() && applied.removed.is_empty();
        self.is_changed(version, !same);
        applied
    }

    /// Makes the changes of an event of a model.
    fn change(&mut self, changes: &[(Text, Change)], applied: &mut Applied) {
        let Values::Model(model) = &mut self.values else {
            return;
        };
        // All additions come first, so that a reference that moves stays.
        for (name, change) in changes {
            if let Change::Set(value) = change {
                let added = self.references.add(value).map(Child::from);
                applied.added.extend(added);
                self.bytes += size_of_entry(Some(name), value);
            }
        }
        if are_many(changes, model) {
            return self.change_many(changes, applied);
        }
        for (name, change) in changes {
            let place = model.find(|(other, _)| other.cmp(name));
            let old = match (place.map(|(at, _)| at), change) {
                (Ok(at), Change::Set(value)) => {
                    applied.moved += 1;
                    model.replace(at, (name.clone(), value.clone())).1
                }
                (Ok(at), Change::Delete) => {
                    let ((_, old), moved) = model.remove(at);
                    applied.moved += moved;
                    old
                }
                (Err(at), Change::Set(value)) => {
                    applied.moved += model.insert(at, (name.clone(), value.clone()));
                    continue;
                }
                (Err(_), Change::Delete) => continue,
            };
            self.bytes -= size_of_entry(Some(name), &old);
            let removed = self.references.remove(&old).map(Child::from);
            applied.removed.extend(removed);
        }
    }

    /// Makes the changes of an event that says much of what the model holds: it is put
    /// together anew. What is added is counted already.
    fn change_many(&mut self, changes: &[(Text, Change)], applied: &mut Applied) {
        let Values::Model(model) = &self.values else {
            return;
        };
        let mut merged = Vec::with_capacity(model.len() + changes.len());
        let mut old = model.iter().peekable();
        for (name, change) in changes {
            while let Some(entry) = old.next_if(|(other, _)| other < name) {
                merged.push(entry.clone());
            }
            if let Some((_, was)) = old.next_if(|(other, _)| other == name) {
                self.bytes -= size_of_entry(Some(name), was);
                let removed = self.references.remove(was).map(Child::from);
                applied.removed.extend(removed);
            }
            if let Change::Set(value) = change {
                merged.push((name.clone(), value.clone()));
            }
        }
        merged.extend(old.cloned());
        applied.moved = merged.len();
        self.values = Values::Model(merged.into());
    }

    /// What was derived from the version before is that of another one.
    fn is_changed(&mut self, version: u64, has_other_references: bool) {
        self.version = version;
        self.text.take();
        self.tags.take();
        self.written.set(false);
        if has_other_references {
            self.distinct.take();
        }
    }

    /// What leads from this content to `new`; `None` when that is of the other kind.
    pub fn renewal(&self, new: Data, version: u64) -> Option<Renewal> {
        let mut references = self.references.clone();
        let (steps, compared) = match (&self.values, &new) {
            (Values::Model(old), Data::Model(new)) => {
                let changed = changed_model(old, new, &mut references);
                (Vec::from_iter(changed), old.len() + new.len())
            }
            (Values::Collection(old), Data::Collection(new)) => {
                changed_collection(old, new, &mut references)
            }
            _ => return None,
        };
        // Put in place at once: one by one would cost a move each.
        let content = (!steps.is_empty()).then(|| Self::with_references(new, references, version));
        Some(Renewal {
            steps,
            content,
            compared,
        })
    }

    /// The events that lead from this content to another, in order, and how many values were
    /// compared; `None` when that is of the other kind.
    pub fn difference(&self, other: &Self) -> Option<(Vec<Step>, usize)> {
        let mut references = self.references.clone();
        match (&self.values, &other.values) {
            (Values::Model(old), Values::Model(new)) => {
                let new: Vec<Property> = new.iter().cloned().collect();
                let compared = old.len() + new.len();
                let changed = changed_model(old, &new, &mut references);
                Some((Vec::from_iter(changed), compared))
            }
            (Values::Collection(old), Values::Collection(new)) => {
                let new: Vec<Value> = new.iter().cloned().collect();
                Some(changed_collection(old, &new, &mut references))
            }
            _ => None,
        }
    }

    fn with_references(data: Data, references: References, version: u64) -> Self {
        let values = Values::from(data);
        let mut bytes = 0;
        values.each(|name, value| bytes += size_of_entry(name, value));
        Self {
            version,
            values,
            bytes,
            references,
            distinct: OnceCell::new(),
            text: OnceCell::new(),
            written: Cell::new(false),
            tags: OnceCell::new(),
        }
    }
}

impl From<Data> for Values {
    fn from(data: Data) -> Self {
        match data {
            Data::Model(model) => Self::Model(model.into()),
            Data::Collection(values) => Self::Collection(values.into()),
        }
    }
}

impl Values {
    /// Calls `visit` with each value, and its name in a model.
    fn each<'a>(&'a self, mut visit: impl FnMut(Option<&'a Text>, &'a Value)) {
        match self {
            Self::Model(model) => model
                .iter()
                .for_each(|(name, value)| visit(Some(name), value)),
            Self::Collection(values) => values.iter().for_each(|value| visit(None, value)),
        }
    }
}

/// Changes from which on, and their share of a model, a walk through all of it costs less
/// than to look for each.
const MANY: usize = 64;
const MANY_SHARE: usize = 4;

/// Whether so many changes concern a model.
fn are_many(changes: &[(Text, Change)], model: &List<Property>) -> bool {
    changes.len() >= MANY && changes.len().saturating_mul(MANY_SHARE) >= model.len()
}

/// The bytes of a value's text, and of its name in a model.
fn size_of_entry(name: Option<&Text>, value: &Value) -> usize {
    name.map_or(0, |name| name.as_bytes().len()) + value.size()
}

/// The event that leads from one model to another, if they differ. Counts the references of
/// the new one in place of the old one's.
fn changed_model(
    old: &List<Property>,
    new: &[Property],
    references: &mut References,
) -> Option<Step> {
    let (mut changes, mut gone) = (Vec::new(), Vec::new());
    let mut old = old.iter().peekable();
    for (name, value) in new {
        while let Some((other, was)) = old.next_if(|(other, _)| other < name) {
            changes.push((other.clone(), Change::Delete));
            gone.push(was);
        }
        let was = old.next_if(|(other, _)| other == name).map(|(_, was)| was);
        if was != Some(value) {
            changes.push((name.clone(), Change::Set(value.clone())));
            gone.extend(was);
        }
    }
    for (name, was) in old {
        changes.push((name.clone(), Change::Delete));
        gone.push(was);
    }
    if changes.is_empty() {
        return None;
    }
    // All additions come first, so that a reference that moves stays.
    let set = changes.iter().filter_map(|(_, change)| match change {
        Change::Set(value) => Some(value),
        Change::Delete => None,
    });
    let added = set
        .filter_map(|value| references.add(value))
        .map(Child::from);
    let added = added.collect();
    let removed = gone
        .into_iter()
        .filter_map(|value| references.remove(value));
    Some(Step {
        removed: removed.map(Child::from).collect(),
        added,
        kind: StepKind::Change(changes),
    })
}

/// The events that lead from one collection to another, and how much was compared. Counts
/// the references as they do.
fn changed_collection(
    old: &List<Value>,
    new: &[Value],
    references: &mut References,
) -> (Vec<Step>, usize) {
    let difference = diff(old, new);
    let mut steps = Vec::with_capacity(difference.removed.len() + difference.added.len());
    for idx in difference.removed.into_iter().rev() {
        let removed = old.get(idx).and_then(|value| references.remove(value));
        let payload = Box::default();
        steps.push(Step {
            kind: StepKind::Remove { idx, payload },
            added: Vec::new(),
            removed: removed.map(Child::from).into_iter().collect(),
        });
    }
    for idx in difference.added {
        let added = references.add(&new[idx]);
        let value = new[idx].clone();
        steps.push(Step {
            kind: StepKind::Add { idx, value },
            added: added.map(Child::from).into_iter().collect(),
            removed: Vec::new(),
        });
    }
    (steps, difference.compared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::random::Random;
    use crate::res::service;

    pub fn data(result: &str) -> Data {
        let payload = format!(r#"{{"result":{result}}}"#);
        service::resource(payload.as_bytes(), service::Limits::NONE)
            .unwrap()
            .data
    }

    pub fn content(result: &str) -> Content {
        Content::new(data(result), 1)
    }

    pub fn text(content: &Content) -> String {
        let mut out = Vec::new();
        content.write(ValueForm::Full, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn rids(children: &[Child]) -> Vec<&str> {
        children.iter().map(|child| &*child.rid).collect()
    }

    fn children(content: &Content) -> Vec<&str> {
        rids(content.references())
    }

    fn change(content: &mut Content, payload: &str) -> Applied {
        let changes = content.effective(service::change(payload).unwrap().changes);
        content.apply(&StepKind::Change(changes), 2)
    }

    #[test]
    fn a_reference_that_moves_between_properties_stays() {
        let mut content = content(r#"{"model":{"a":{"rid":"x"},"b":1}}"#);
        let applied = change(&mut content, r#"{"values":{"a":1,"b":{"rid":"x"}}}"#);
        assert_eq!((applied.added.len(), applied.removed.len()), (0, 0));
        assert_eq!(children(&content), ["x"]);
        assert_eq!(text(&content), r#"{"a":1,"b":{"rid":"x"}}"#);
    }

    #[test]
    fn many_changes_have_the_outcome_of_each_in_turn() {
        let mut random = Random::new([1, 2, 3, 4]);
        let mut pick = |n: u64| random.next() % n;
        for _ in 0..200 {
            let properties: Vec<_> = (0..pick(9))
                .map(|_| format!(r#""{}":{{"rid":"r{}"}}"#, pick(20), pick(4)))
                .collect();
            let whole = content(&format!(r#"{{"model":{{{}}}}}"#, properties.join(",")));
            let changes: Vec<_> = (0..pick(20))
                .map(|_| match pick(3) {
                    0 => format!(r#""{}":{{"action":"delete"}}"#, pick(20)),
                    1 => format!(r#""{}":{{"rid":"r{}"}}"#, pick(20), pick(4)),
                    _ => format!(r#""{}":{}"#, pick(20), pick(4)),
                })
                .collect();
            let payload = format!(r#"{{"values":{{{}}}}}"#, changes.join(","));
            let changes = service::change(&payload).unwrap().changes;
            let (mut one_by_one, mut at_once) = (whole.clone(), whole.clone());
            for change in changes.clone() {
                one_by_one.apply(&StepKind::Change(vec![change]), 2);
            }
            at_once.apply(&StepKind::Change(changes), 2);
            assert_eq!(text(&at_once), text(&one_by_one), "{payload}");
            at_once.audit().unwrap();
        }
    }

    #[test]
    fn a_large_model_takes_many_changes() {
        let mut old = content(r#"{"model":{"b":1,"z":{"rid":"x"}}}"#);
        let names = (0..1_000).map(|n| format!(r#""p{n:04}":{n}"#));
        let all = Vec::from_iter(names).join(",");
        let applied = change(
            &mut old,
            &format!(r#"{{"values":{{"b":{{"rid":"y"}},{all},"z":{{"action":"delete"}}}}}}"#),
        );
        assert_eq!(
            (rids(&applied.added), rids(&applied.removed)),
            (vec!["y"], vec!["x"])
        );
        assert_eq!(text(&old), format!(r#"{{"b":{{"rid":"y"}},{all}}}"#));
    }

    #[test]
    fn a_reference_that_stands_twice_goes_with_the_last() {
        let mut content = content(r#"{"collection":[{"rid":"x"},{"rid":"y"},{"rid":"x"}]}"#);
        assert_eq!(children(&content), ["x", "y"]);
        let remove = |idx| StepKind::Remove {
            idx,
            payload: "".into(),
        };
        assert_eq!(content.apply(&remove(0), 2).removed.len(), 0);
        assert_eq!(children(&content), ["x", "y"]);
        assert_eq!(rids(&content.apply(&remove(1), 3).removed), ["x"]);
        assert_eq!(children(&content), ["y"]);
        assert_eq!(text(&content), r#"[{"rid":"y"}]"#);
    }

    #[test]
    fn only_what_changes_is_effective() {
        let content = content(r#"{"model":{"a":1,"b":"x"}}"#);
        let changes =
            service::change(r#"{"values":{"a":1,"b":"y","c":{"action":"delete"},"d":null}}"#);
        let effective = content.effective(changes.unwrap().changes);
        let names: Vec<_> = effective.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["b", "d"]);
    }

    #[test]
    fn replacing_tells_the_way_and_the_references_on_it() {
        let old = content(r#"{"collection":[{"rid":"x"},1,2]}"#);
        let new = data(r#"{"collection":[1,{"rid":"x"},{"rid":"y"},2]}"#);
        let renewal = old.renewal(new, 5).unwrap();
        let walked: Vec<_> = renewal
            .steps
            .iter()
            .map(|step| match &step.kind {
                StepKind::Add { idx, .. } => ('+', *idx, rids(&step.added).join(",")),
                StepKind::Remove { idx, .. } => ('-', *idx, rids(&step.removed).join(",")),
                _ => panic!("only adds and removes"),
            })
            .collect();
        assert_eq!(
            walked,
            [
                ('-', 0, "x".to_owned()),
                ('+', 1, "x".into()),
                ('+', 2, "y".into())
            ]
        );
        let new = renewal.content.unwrap();
        assert_eq!(new.version, 5);
        assert_eq!(children(&new), ["x", "y"]);
        let same = data(r#"{"collection":[1,{"rid":"x"},{"rid":"y"},2]}"#);
        assert!(new.renewal(same, 6).unwrap().content.is_none());
    }

    #[test]
    fn replacing_a_model_deletes_what_is_gone() {
        let old = content(r#"{"model":{"a":1,"b":2,"c":{"rid":"x"}}}"#);
        let new = data(r#"{"model":{"b":3,"bb":4}}"#);
        let renewal = old.renewal(new, 2).unwrap();
        let [
            Step {
                kind: StepKind::Change(changes),
                removed,
                ..
            },
        ] = &*renewal.steps
        else {
            panic!("one change event")
        };
        let names: Vec<_> = changes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "b", "bb", "c"]);
        assert_eq!(rids(removed), ["x"]);
        assert_eq!(text(&renewal.content.unwrap()), r#"{"b":3,"bb":4}"#);
        assert!(old.renewal(Data::Collection(Vec::new()), 3).is_none());
    }
}
