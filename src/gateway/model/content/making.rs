//! Versions that are made in parts, since they are too large for one turn. What is made is
//! what [`Content::new`], [`Content::effective`] and [`Content::apply`] make in one go.

use super::{Child, Content, Property, Values, are_many, size_of_entry};
use crate::gateway::model::list::{Builder, List};
use crate::gateway::model::references::References;
use crate::res::service::Data;
use crate::res::value::Change;
use crate::res::{Text, Value};
use std::cell::{Cell, OnceCell};
use std::cmp::Ordering;
use std::rc::Rc;
use std::vec::IntoIter;

/// Steps that it costs to count a reference, and to change an entry of a long list by
/// itself.
const REFERENCE: usize = 4;
const PLACED: usize = 16;

/// The first version of a resource, or one that owes nothing to the one before.
#[derive(Debug)]
pub struct Making {
    from: From,
    bytes: usize,
    references: References,
    /// Whether the references are counted already.
    is_counted: bool,
}

#[derive(Debug)]
enum From {
    Model(IntoIter<Property>, Builder<Property>),
    Collection(IntoIter<Value>, Builder<Value>),
}

impl Making {
    pub fn new(data: Data) -> Self {
        Self {
            from: From::of(data),
            bytes: 0,
            references: References::default(),
            is_counted: false,
        }
    }

    /// The same where the references of the data are counted.
    pub(super) fn counted(data: Data, references: References) -> Self {
        Self {
            references,
            is_counted: true,
            ..Self::new(data)
        }
    }

    /// Goes on for so many steps, which it counts down; the version when it is made.
    pub fn go_on(&mut self, version: u64, steps: &mut usize) -> Option<Content> {
        let Self {
            from,
            bytes,
            references,
            is_counted,
        } = self;
        let mut note = |name: Option<&Text>, value: &Value| {
            *bytes += size_of_entry(name, value);
            *steps = steps.saturating_sub(1);
            if !*is_counted {
                *steps = steps.saturating_sub(cost_of(value));
                references.add(value);
            }
            *steps > 0
        };
        match from {
            From::Model(old, new) => {
                for (name, value) in old.by_ref() {
                    let goes_on = note(Some(&name), &value);
                    new.push((name, value));
                    if !goes_on {
                        return None;
                    }
                }
            }
            From::Collection(old, new) => {
                for value in old.by_ref() {
                    let goes_on = note(None, &value);
                    new.push(value);
                    if !goes_on {
                        return None;
                    }
                }
            }
        }
        let references = std::mem::take(references);
        Some(Content::of_parts(version, from.end(), *bytes, references))
    }
}

impl From {
    fn of(data: Data) -> Self {
        match data {
            Data::Model(model) => Self::Model(model.into_iter(), Builder::default()),
            Data::Collection(values) => Self::Collection(values.into_iter(), Builder::default()),
        }
    }

    fn end(&mut self) -> Values {
        match self {
            Self::Model(_, new) => Values::Model(std::mem::take(new).finish()),
            Self::Collection(_, new) => Values::Collection(std::mem::take(new).finish()),
        }
    }
}

pub(super) fn cost_of(value: &Value) -> usize {
    match value.reference() {
        Some(_) => REFERENCE,
        None => 0,
    }
}

/// A change event with many members that is being applied to a model.
#[derive(Debug)]
pub struct Changing {
    /// The version that it is applied to.
    pub before: Rc<Content>,
    /// What is not compared yet.
    changes: IntoIter<(Text, Change)>,
    /// What changes something, and how much of it is done.
    effective: Vec<(Text, Change)>,
    done: usize,
    /// How far the properties of the version before were walked over.
    walked: usize,
    into: Into,
    changed: Changed,
    bytes: usize,
    references: References,
}

/// What the new version is made of.
#[derive(Debug)]
enum Into {
    /// Nothing yet.
    Nothing,
    /// A new list, where much changes.
    New(Builder<Property>),
    /// A copy of the old one.
    Copy(List<Property>),
}

/// What a change event did.
#[derive(Debug, Default)]
pub struct Changed {
    /// The changes that change something.
    pub changes: Vec<(Text, Change)>,
    /// Resources that are referenced and were not before, and those that are no longer.
    pub added: Vec<Child>,
    pub removed: Vec<Child>,
}

impl Changing {
    pub fn new(before: Rc<Content>, changes: Vec<(Text, Change)>) -> Self {
        Self {
            effective: Vec::with_capacity(changes.len()),
            changes: changes.into_iter(),
            done: 0,
            walked: 0,
            into: Into::Nothing,
            changed: Changed::default(),
            bytes: before.bytes,
            references: before.references.clone(),
            before,
        }
    }

    /// Goes on for so many steps, which it counts down. When it is done, what was changed,
    /// and the new version unless nothing was.
    pub fn go_on(&mut self, version: u64, steps: &mut usize) -> Option<(Changed, Option<Content>)> {
        let before = self.before.clone();
        let Values::Model(model) = &before.values else {
            return Some((Changed::default(), None));
        };
        if let Into::Nothing = self.into {
            if !self.compare(model, steps) {
                return None;
            }
            self.walked = 0;
            self.into = match are_many(&self.effective, model) {
                true => Into::New(Builder::default()),
                false => Into::Copy(model.clone()),
            };
        }
        if !self.effective.is_empty() {
            let is_done = match self.into {
                Into::New(_) => self.merge(model, steps),
                _ => self.place(steps),
            };
            if !is_done {
                return None;
            }
        }
        let mut changed = std::mem::take(&mut self.changed);
        changed.changes = std::mem::take(&mut self.effective);
        if changed.changes.is_empty() {
            return Some((changed, None));
        }
        let model = match std::mem::replace(&mut self.into, Into::Nothing) {
            Into::New(builder) => builder.finish(),
            Into::Copy(model) => model,
            Into::Nothing => return None, // It was made something above.
        };
        let references = std::mem::take(&mut self.references);
        let same = changed.added.is_empty() && changed.removed.is_empty();
        let content = Content::of_parts(version, Values::Model(model), self.bytes, references);
        if same && let Some(distinct) = before.distinct.get() {
            let _ = content.distinct.set(distinct.clone());
        }
        Some((changed, Some(content)))
    }

    /// Leaves out what changes nothing, and counts what is added: a reference that moves
    /// stays. Returns whether all is compared.
    fn compare(&mut self, model: &List<Property>, steps: &mut usize) -> bool {
        let is_many = are_many(self.changes.as_slice(), model) || self.walked > 0;
        let mut old = model.iter_from(self.walked);
        let mut next = old.next();
        while *steps > 0 {
            let Some((name, _)) = self.changes.as_slice().first() else {
                return true;
            };
            let was = if is_many {
                let order = next.map_or(Ordering::Greater, |(other, _)| other.cmp(name));
                *steps -= 1;
                match order {
                    Ordering::Less => {
                        self.walked += 1;
                        next = old.next();
                        continue;
                    }
                    Ordering::Equal => next.map(|(_, value)| value),
                    Ordering::Greater => None,
                }
            } else {
                *steps = steps.saturating_sub(PLACED / 2);
                let found = model.find(|(other, _)| other.cmp(name)).ok();
                found.map(|(_, (_, value))| value)
            };
            let Some((name, change)) = self.changes.next() else {
                return true;
            };
            match &change {
                Change::Set(value) if was != Some(value) => {
                    *steps = steps.saturating_sub(cost_of(value));
                    let added = self.references.add(value).map(Child::from);
                    self.changed.added.extend(added);
                    self.bytes += size_of_entry(Some(&name), value);
                }
                Change::Delete if was.is_some() => {}
                _ => continue,
            }
            self.effective.push((name, change));
        }
        false
    }

    /// What was at a place is there no longer.
    fn lose(&mut self, name: &Text, was: &Value, steps: &mut usize) {
        *steps = steps.saturating_sub(cost_of(was));
        self.bytes -= size_of_entry(Some(name), was);
        let removed = self.references.remove(was).map(Child::from);
        self.changed.removed.extend(removed);
    }

    /// Puts the new version together from the old one's properties and the changes. Returns
    /// whether all of it is.
    fn merge(&mut self, model: &List<Property>, steps: &mut usize) -> bool {
        let mut old = model.iter_from(self.walked);
        let mut next = old.next();
        while *steps > 0 {
            *steps -= 1;
            let change = self.effective.get(self.done).cloned();
            let order = match (next, &change) {
                (None, None) => return true,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((other, _)), Some((name, _))) => other.cmp(name),
            };
            if let (true, Some((name, was))) = (order.is_le(), next) {
                self.walked += 1;
                next = old.next();
                if order.is_eq() {
                    self.lose(name, was, steps);
                } else if let Into::New(into) = &mut self.into {
                    into.push((name.clone(), was.clone()));
                }
            }
            if let (true, Some((name, change))) = (order.is_ge(), change) {
                self.done += 1;
                if let (Change::Set(value), Into::New(into)) = (change, &mut self.into) {
                    into.push((name, value));
                }
            }
        }
        false
    }

    /// Makes the changes one by one. Returns whether all are made.
    fn place(&mut self, steps: &mut usize) -> bool {
        while *steps > 0 {
            let Some((name, change)) = self.effective.get(self.done).cloned() else {
                return true;
            };
            let Into::Copy(model) = &mut self.into else {
                return true;
            };
            self.done += 1;
            *steps = steps.saturating_sub(PLACED);
            let place = model.find(|(other, _)| other.cmp(&name)).map(|(at, _)| at);
            let was = match (place, change) {
                (Ok(at), Change::Set(value)) => model.replace(at, (name.clone(), value)).1,
                (Ok(at), Change::Delete) => model.remove(at).0.1,
                (Err(at), Change::Set(value)) => {
                    model.insert(at, (name, value));
                    continue;
                }
                (Err(_), Change::Delete) => continue,
            };
            self.lose(&name, &was, steps);
        }
        false
    }
}

impl Content {
    pub(super) fn of_parts(
        version: u64,
        values: Values,
        bytes: usize,
        references: References,
    ) -> Self {
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

#[cfg(test)]
mod tests {
    use super::super::tests::{content, data, text};
    use super::*;
    use crate::gateway::model::random::Random;
    use crate::gateway::model::update::StepKind;
    use crate::res::service;

    fn rids(children: &[Child]) -> Vec<String> {
        let mut rids: Vec<String> = children.iter().map(|child| child.rid.to_string()).collect();
        rids.sort();
        rids
    }

    #[test]
    fn what_is_made_in_parts_is_what_is_made_in_one_go() {
        let members = (0..200).map(|n| format!(r#""m{n:03}":{{"rid":"r{}"}}"#, n % 50));
        let model = format!(r#"{{"model":{{{}}}}}"#, Vec::from_iter(members).join(","));
        for result in [
            &*model,
            r#"{"collection":[1,{"rid":"x"},2]}"#,
            r#"{"model":{}}"#,
        ] {
            for size in [1, 3, 1_000] {
                let mut making = Making::new(data(result));
                let made = std::iter::repeat_with(|| making.go_on(7, &mut size.clone()));
                let made = made.take(2_000).flatten().next().unwrap();
                made.audit().unwrap();
                assert_eq!((text(&made), made.version), (text(&content(result)), 7));
                assert_eq!(made.bytes, content(result).bytes);
            }
        }
    }

    #[test]
    fn what_is_changed_in_parts_is_what_is_changed_in_one_go() {
        let mut random = Random::new([4, 3, 2, 1]);
        let mut pick = |n: u64| random.next() % n;
        for round in 0..300 {
            let (names, count) = match round % 3 {
                0 => (20, 20),
                1 => (400, 120),
                _ => (2_000, 30),
            };
            let properties: Vec<_> = (0..pick(names))
                .map(|_| format!(r#""{}":{{"rid":"r{}"}}"#, pick(names), pick(4)))
                .collect();
            let old = content(&format!(r#"{{"model":{{{}}}}}"#, properties.join(",")));
            let changes: Vec<_> = (0..pick(count))
                .map(|_| match pick(3) {
                    0 => format!(r#""{}":{{"action":"delete"}}"#, pick(names)),
                    1 => format!(r#""{}":{{"rid":"r{}"}}"#, pick(names), pick(5)),
                    _ => format!(r#""{}":{}"#, pick(names), pick(4)),
                })
                .collect();
            let payload = format!(r#"{{"values":{{{}}}}}"#, changes.join(","));
            let changes = service::change(&payload).unwrap().changes;
            let effective = old.effective(changes.clone());
            let mut new = old.clone();
            let kind = StepKind::Change(effective.clone());
            let applied = new.apply(&kind, 2);
            old.references();
            let mut changing = Changing::new(Rc::new(old), changes);
            let size = [1, 5, 10_000][pick(3) as usize];
            let done = std::iter::repeat_with(|| changing.go_on(2, &mut size.clone()));
            let (changed, made) = done.take(100_000).flatten().next().unwrap();
            assert_eq!(changed.changes, effective);
            assert_eq!(rids(&changed.added), rids(&applied.added), "{payload}");
            assert_eq!(rids(&changed.removed), rids(&applied.removed), "{payload}");
            assert_eq!(made.is_none(), effective.is_empty());
            if let Some(made) = made {
                made.audit().unwrap();
                assert_eq!(text(&made), text(&new));
                assert_eq!((made.bytes, made.version), (new.bytes, 2));
            }
        }
    }
}
