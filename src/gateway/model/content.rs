//! The content of a resource: one version of a model or collection, shared by all who
//! hold it and changed in place only while nobody else does.

use crate::gateway::model::keys::AliasKey;
use crate::gateway::model::update::{Step, StepKind};
use crate::res::service::Data;
use crate::res::value::Change;
use crate::res::version::ValueForm;
use crate::res::{Text, Value, json};
use hashbrown::HashMap;
use std::cell::{Cell, OnceCell};
use std::rc::Rc;

/// Changes of one event up to which a model is changed in place.
const FEW_CHANGES: usize = 32;

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
/// What is derived from it is computed once per version, its JSON text twice at most.
#[derive(Clone, Debug)]
pub struct Content {
    /// Changes whenever the content does; unique in the process.
    pub version: u64,
    data: Data,
    references: References,
    distinct: OnceCell<Rc<[Child]>>,
    text: OnceCell<Rc<[u8]>>,
    /// Whether its JSON text was ever asked for.
    written: Cell<bool>,
}

/// How often each resource is referenced. Most models reference none, and keep no table.
#[derive(Clone, Debug, Default)]
struct References(Option<Box<Counts>>);

type Counts = HashMap<Rc<str>, u32, foldhash::fast::RandomState>;

impl References {
    fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|counts| counts.is_empty())
    }

    fn contains(&self, rid: &str) -> bool {
        let counts = self.0.as_ref();
        counts.is_some_and(|counts| counts.contains_key(rid))
    }

    /// Counts a value's reference; returns it when it is the first of its kind.
    fn add(&mut self, value: &Value) -> Option<Rc<str>> {
        let rid = value.reference()?;
        let counts = self.0.get_or_insert_default();
        let count = counts.entry(rid.clone()).or_insert(0);
        *count += 1;
        (*count == 1).then(|| rid.clone())
    }

    /// Uncounts a value's reference; returns it when it was the last of its kind.
    fn remove(&mut self, value: &Value) -> Option<Rc<str>> {
        let rid = value.reference()?;
        let counts = self.0.as_mut()?;
        let count = counts.get_mut(rid)?;
        *count -= 1;
        if *count > 0 {
            return None;
        }
        counts.remove_entry(rid).map(|(rid, _)| rid)
    }
}

impl Content {
    pub fn new(data: Data, version: u64) -> Self {
        let mut references = References::default();
        match &data {
            Data::Model(model) => model.iter().for_each(|(_, value)| {
                references.add(value);
            }),
            Data::Collection(values) => values.iter().for_each(|value| {
                references.add(value);
            }),
        }
        Self {
            version,
            data,
            references,
            distinct: OnceCell::new(),
            text: OnceCell::new(),
            written: Cell::new(false),
        }
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    pub fn is_model(&self) -> bool {
        matches!(self.data, Data::Model(_))
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
        let mut left = self.references.0.as_deref().cloned().unwrap_or_default();
        let mut first = |value: &Value| {
            let rid = value.reference()?;
            left.remove_entry(rid).map(|(rid, _)| Child::from(rid))
        };
        match &self.data {
            Data::Model(model) => model.iter().filter_map(|(_, value)| first(value)).collect(),
            Data::Collection(values) => values.iter().filter_map(first).collect(),
        }
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
        let fresh = Self::new(self.data.clone(), self.version);
        let counts = |content: &Self| content.references.0.as_deref().cloned().unwrap_or_default();
        if counts(&fresh) != counts(self) {
            return Err(format!(
                "the references of version {} are miscounted",
                self.version
            ));
        }
        // The same in whatever order: a reference that moves leaves them as they are.
        let is_fresh = |known: &Rc<[Child]>| {
            known.len() == fresh.references().len()
                && known.iter().all(|child| fresh.has_reference(&child.rid))
        };
        if !self.distinct.get().is_none_or(is_fresh) {
            return Err(format!(
                "the references of version {} are stale",
                self.version
            ));
        }
        let mut text = Vec::new();
        fresh.encode(ValueForm::Full, &mut text);
        match self.text.get().is_none_or(|known| **known == *text) {
            true => Ok(()),
            false => Err(format!("the text of version {} is stale", self.version)),
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
        match &self.data {
            Data::Model(model) => {
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
            Data::Collection(values) => {
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
        let Data::Model(model) = &self.data else {
            return Vec::new();
        };
        changes.retain(|(name, change)| {
            let old = model
                .binary_search_by(|(other, _)| other.cmp(name))
                .ok()
                .map(|i| &model[i].1);
            match change {
                Change::Set(new) => old != Some(new),
                Change::Delete => old.is_some(),
            }
        });
        changes
    }

    /// The number of values of a collection; `None` for a model.
    pub fn length(&self) -> Option<usize> {
        match &self.data {
            Data::Model(_) => None,
            Data::Collection(values) => Some(values.len()),
        }
    }

    /// The number of its values.
    pub fn size(&self) -> usize {
        match &self.data {
            Data::Model(model) => model.len(),
            Data::Collection(values) => values.len(),
        }
    }

    /// Applies an event that fits the content, and says what it does to the references:
    /// those that appear, and those that are gone.
    pub fn apply(&mut self, kind: &StepKind, version: u64) -> (Vec<Child>, Vec<Child>) {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        match (kind, &mut self.data) {
            (StepKind::Change(changes), Data::Model(model)) => {
                // All additions come first, so that a reference that moves stays.
                for (_, change) in changes {
                    if let Change::Set(value) = change {
                        added.extend(self.references.add(value).map(Child::from));
                    }
                }
                let references = &mut self.references;
                let gone = |old: Value| removed.extend(references.remove(&old).map(Child::from));
                if changes.len() > FEW_CHANGES {
                    merge_changes(model, changes, gone);
                } else {
                    insert_changes(model, changes, gone);
                }
            }
            (StepKind::Add { idx, value }, Data::Collection(values)) if *idx <= values.len() => {
                added.extend(self.references.add(value).map(Child::from));
                values.insert(*idx, value.clone());
            }
            (StepKind::Remove { idx, .. }, Data::Collection(values)) if *idx < values.len() => {
                let old = values.remove(*idx);
                removed.extend(self.references.remove(&old).map(Child::from));
            }
            _ => return (added, removed),
        }
        self.version = version;
        self.text.take();
        self.written.set(false);
        if !(added.is_empty() && removed.is_empty()) {
            self.distinct.take();
        }
        (added, removed)
    }

    /// Replaces the content, and returns the events that lead from the old to the new one.
    /// `None` when the new one is of the other kind.
    pub fn replace(&mut self, new: Data, version: u64) -> Option<Vec<Step>> {
        match (&self.data, new) {
            (Data::Model(old), Data::Model(new)) => {
                let changes = model_changes(old, &new);
                if changes.is_empty() {
                    return Some(Vec::new());
                }
                let kind = StepKind::Change(changes);
                let (added, removed) = self.apply(&kind, version);
                Some(vec![Step {
                    kind,
                    added,
                    removed,
                }])
            }
            (Data::Collection(old), Data::Collection(new)) => {
                let difference = super::diff::diff(old, &new);
                let mut references = self.references.clone();
                let mut steps = Vec::new();
                for idx in difference.removed.into_iter().rev() {
                    let removed = references.remove(&old[idx]);
                    let payload = format!("{{\"idx\":{idx}}}").into();
                    let kind = StepKind::Remove { idx, payload };
                    steps.push(Step {
                        kind,
                        added: Vec::new(),
                        removed: removed.map(Child::from).into_iter().collect(),
                    });
                }
                for idx in difference.added {
                    let added = references.add(&new[idx]);
                    let kind = StepKind::Add {
                        idx,
                        value: new[idx].clone(),
                    };
                    steps.push(Step {
                        kind,
                        added: added.map(Child::from).into_iter().collect(),
                        removed: Vec::new(),
                    });
                }
                if !steps.is_empty() {
                    // Put in place at once: one by one would cost a move each.
                    self.data = Data::Collection(new);
                    self.references = references;
                    self.version = version;
                    self.distinct.take();
                    self.text.take();
                    self.written.set(false);
                }
                Some(steps)
            }
            _ => None,
        }
    }
}

/// Makes changes one by one, and hands over each value that goes.
fn insert_changes(
    model: &mut Vec<(Text, Value)>,
    changes: &[(Text, Change)],
    mut gone: impl FnMut(Value),
) {
    for (name, change) in changes {
        let place = model.binary_search_by(|(other, _)| other.cmp(name));
        match (place, change) {
            (Ok(i), Change::Set(value)) => {
                gone(std::mem::replace(&mut model[i].1, value.clone()));
            }
            (Ok(i), Change::Delete) => gone(model.remove(i).1),
            (Err(i), Change::Set(value)) => model.insert(i, (name.clone(), value.clone())),
            (Err(_), Change::Delete) => {}
        }
    }
}

/// The same in one pass over both, which are sorted by name: many insertions into a large
/// model would cost a move of its properties each.
fn merge_changes(
    model: &mut Vec<(Text, Value)>,
    changes: &[(Text, Change)],
    mut gone: impl FnMut(Value),
) {
    let mut merged = Vec::with_capacity(model.len() + changes.len());
    let mut old = std::mem::take(model).into_iter().peekable();
    for (name, change) in changes {
        while let Some(kept) = old.next_if(|(other, _)| other < name) {
            merged.push(kept);
        }
        if let Some((_, value)) = old.next_if(|(other, _)| other == name) {
            gone(value);
        }
        if let Change::Set(value) = change {
            merged.push((name.clone(), value.clone()));
        }
    }
    merged.extend(old);
    merged.shrink_to_fit();
    *model = merged;
}

/// The properties that differ, with delete actions for those that are gone.
fn model_changes(old: &[(Text, Value)], new: &[(Text, Value)]) -> Vec<(Text, Change)> {
    let mut changes = Vec::new();
    let mut old = old.iter().peekable();
    for (name, value) in new {
        while let Some((gone, _)) = old.next_if(|(other, _)| other < name) {
            changes.push((gone.clone(), Change::Delete));
        }
        match old.next_if(|(other, _)| other == name) {
            Some((_, same)) if same == value => {}
            _ => changes.push((name.clone(), Change::Set(value.clone()))),
        }
    }
    changes.extend(old.map(|(gone, _)| (gone.clone(), Change::Delete)));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::random::Random;
    use crate::res::service;

    fn content(result: &str) -> Content {
        let payload = format!(r#"{{"result":{result}}}"#);
        Content::new(service::resource(payload.as_bytes()).unwrap().data, 1)
    }

    fn text(content: &Content) -> String {
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

    fn change(content: &mut Content, payload: &str) -> (Vec<Child>, Vec<Child>) {
        let changes = content.effective(service::change(payload).unwrap().changes);
        content.apply(&StepKind::Change(changes), 2)
    }

    #[test]
    fn a_reference_that_moves_between_properties_stays() {
        let mut content = content(r#"{"model":{"a":{"rid":"x"},"b":1}}"#);
        let (added, removed) = change(&mut content, r#"{"values":{"a":1,"b":{"rid":"x"}}}"#);
        assert_eq!((added.len(), removed.len()), (0, 0));
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
            let Data::Model(model) = whole.data() else {
                panic!("a model")
            };
            let (mut one_by_one, mut merged) = (model.clone(), model.clone());
            let (mut gone, mut gone_merged) = (Vec::new(), Vec::new());
            insert_changes(&mut one_by_one, &changes, |value| gone.push(value));
            merge_changes(&mut merged, &changes, |value| gone_merged.push(value));
            assert_eq!((merged, gone_merged), (one_by_one, gone), "{payload}");
        }
    }

    #[test]
    fn a_large_model_takes_many_changes() {
        let mut old = content(r#"{"model":{"b":1,"z":{"rid":"x"}}}"#);
        let names = (0..1_000).map(|n| format!(r#""p{n:04}":{n}"#));
        let all = Vec::from_iter(names).join(",");
        let (added, removed) = change(
            &mut old,
            &format!(r#"{{"values":{{"b":{{"rid":"y"}},{all},"z":{{"action":"delete"}}}}}}"#),
        );
        assert_eq!((rids(&added), rids(&removed)), (vec!["y"], vec!["x"]));
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
        assert_eq!(content.apply(&remove(0), 2).1.len(), 0);
        assert_eq!(children(&content), ["x", "y"]);
        assert_eq!(rids(&content.apply(&remove(1), 3).1), ["x"]);
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
        let mut old = content(r#"{"collection":[{"rid":"x"},1,2]}"#);
        let new = content(r#"{"collection":[1,{"rid":"x"},{"rid":"y"},2]}"#);
        let steps = old.replace(new.data, 5).unwrap();
        let walked: Vec<_> = steps
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
        assert_eq!(old.version, 5);
        assert_eq!(children(&old), ["x", "y"]);
    }

    #[test]
    fn replacing_a_model_deletes_what_is_gone() {
        let mut old = content(r#"{"model":{"a":1,"b":2,"c":{"rid":"x"}}}"#);
        let new = content(r#"{"model":{"b":3,"bb":4}}"#);
        let steps = old.replace(new.data, 2).unwrap();
        let [
            Step {
                kind: StepKind::Change(changes),
                removed,
                ..
            },
        ] = &*steps
        else {
            panic!("one change event")
        };
        let names: Vec<_> = changes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "b", "bb", "c"]);
        assert_eq!(rids(removed), ["x"]);
        assert_eq!(text(&old), r#"{"b":3,"bb":4}"#);
        assert!(old.replace(Data::Collection(Vec::new()), 3).is_none());
    }
}
