//! What leads from one version to another one that is whole, found in parts. What is found is
//! what [`Content::renewal`] finds in one go.

use super::making::{Making, cost_of};
use super::{Child, Content, Renewal, Values};
use crate::gateway::model::diff::{Comparison, Difference};
use crate::gateway::model::list::List;
use crate::gateway::model::references::References;
use crate::gateway::model::update::{Step, StepKind};
use crate::res::service::Data;
use crate::res::value::Change;
use crate::res::{Text, Value};
use std::cmp::Ordering;
use std::rc::Rc;

/// Work of making an event of a difference, in steps.
const STEP: usize = 4;

/// A version that is compared with new data.
#[derive(Debug)]
pub struct Renewing {
    /// The version.
    pub before: Rc<Content>,
    /// The data, until what leads to it is known.
    data: Option<Data>,
    references: References,
    stage: Stage,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Stage {
    /// The properties of two models are compared.
    Model(Join),
    Collection(Comparison),
    /// The events of a difference are made: how many of the removals, and of the additions.
    Events(Difference, usize, usize),
    Make(Making),
}

/// A walk over the properties of two models.
#[derive(Debug, Default)]
struct Join {
    old: usize,
    new: usize,
    changes: Vec<(Text, Change)>,
    added: Vec<Child>,
    /// Values with references that are not there any more; and those of them that were
    /// uncounted.
    gone: Vec<Value>,
    uncounted: usize,
    removed: Vec<Child>,
}

impl Renewing {
    /// Begins to compare; `None` when the data is of the other kind.
    pub fn new(before: Rc<Content>, data: Data) -> Option<Self> {
        let stage = match (&before.values, &data) {
            (Values::Model(_), Data::Model(_)) => Stage::Model(Join::default()),
            (Values::Collection(_), Data::Collection(_)) => Stage::Collection(Comparison::new()),
            _ => return None,
        };
        Some(Self {
            references: before.references.clone(),
            before,
            data: Some(data),
            stage,
            steps: Vec::new(),
        })
    }

    /// Goes on for so many steps, which it counts down. What was found when that is done.
    pub fn go_on(&mut self, version: u64, steps: &mut usize) -> Option<Renewal> {
        while *steps > 0 {
            let is_found = match (&mut self.stage, &self.before.values, &self.data) {
                (Stage::Model(join), Values::Model(old), Some(Data::Model(new))) => {
                    let is_done = join.go_on(old, new, &mut self.references, steps);
                    if is_done {
                        self.steps.extend(std::mem::take(join).end());
                    }
                    is_done
                }
                (
                    Stage::Collection(comparison),
                    Values::Collection(old),
                    Some(Data::Collection(new)),
                ) => {
                    if comparison.go_on(old, new, steps) {
                        let done = std::mem::take(comparison).into_difference();
                        self.stage = Stage::Events(done, 0, 0);
                    }
                    false
                }
                (
                    Stage::Events(difference, removed, added),
                    Values::Collection(old),
                    Some(Data::Collection(new)),
                ) => {
                    let references = &mut self.references;
                    match next_event(difference, (removed, added), old, new, references) {
                        Some(step) => {
                            self.steps.push(step);
                            *steps = steps.saturating_sub(STEP);
                            false
                        }
                        None => true,
                    }
                }
                (Stage::Make(making), ..) => {
                    let content = making.go_on(version, steps)?;
                    return Some(self.end(Some(content)));
                }
                // The kinds were compared at the beginning.
                _ => return Some(self.end(None)),
            };
            if is_found {
                match self.data.take() {
                    Some(data) if !self.steps.is_empty() => {
                        let references = std::mem::take(&mut self.references);
                        self.stage = Stage::Make(Making::counted(data, references));
                    }
                    _ => return Some(self.end(None)),
                }
            }
        }
        None
    }

    fn end(&mut self, content: Option<Content>) -> Renewal {
        Renewal {
            steps: std::mem::take(&mut self.steps),
            content,
            compared: 0,
        }
    }
}

impl Join {
    /// Goes on with the walk. Returns whether all is compared and counted.
    fn go_on(
        &mut self,
        old: &List<(Text, Value)>,
        new: &[(Text, Value)],
        references: &mut References,
        steps: &mut usize,
    ) -> bool {
        let mut olds = old.iter_from(self.old);
        let mut next = olds.next();
        while *steps > 0 {
            let order = match (next, new.get(self.new)) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((other, _)), Some((name, _))) => other.cmp(name),
            };
            *steps -= 1;
            let (was, is) = (next.filter(|_| order.is_le()), new.get(self.new));
            let is = is.filter(|_| order.is_ge());
            self.old += usize::from(was.is_some());
            self.new += usize::from(is.is_some());
            if was.is_some() {
                next = olds.next();
            }
            match (was, is) {
                (Some((_, was)), Some((_, is))) if was == is => continue,
                (_, Some((name, value))) => {
                    *steps = steps.saturating_sub(1 + cost_of(value));
                    self.changes
                        .push((name.clone(), Change::Set(value.clone())));
                    self.added.extend(references.add(value).map(Child::from));
                }
                (Some((name, _)), None) => self.changes.push((name.clone(), Change::Delete)),
                (None, None) => break,
            }
            let was = was
                .map(|(_, was)| was)
                .filter(|was| was.reference().is_some());
            self.gone.extend(was.cloned());
        }
        // All additions come first, so that a reference that moves stays.
        while *steps > 0 {
            let Some(value) = self.gone.get(self.uncounted) else {
                return self.old == old.len() && self.new == new.len();
            };
            self.uncounted += 1;
            *steps = steps.saturating_sub(cost_of(value));
            let removed = references.remove(value).map(Child::from);
            self.removed.extend(removed);
        }
        false
    }

    /// The event, if there is one.
    fn end(self) -> Option<Step> {
        (!self.changes.is_empty()).then_some(Step {
            kind: StepKind::Change(self.changes),
            added: self.added,
            removed: self.removed,
        })
    }
}

/// The next event of a difference. Counts the references as it does.
fn next_event(
    difference: &Difference,
    (removed, added): (&mut usize, &mut usize),
    old: &List<Value>,
    new: &[Value],
    references: &mut References,
) -> Option<Step> {
    if let Some(idx) = difference.removed.iter().rev().nth(*removed) {
        *removed += 1;
        let gone = old.get(*idx).and_then(|value| references.remove(value));
        let (idx, payload) = (*idx, Box::default());
        return Some(Step {
            kind: StepKind::Remove { idx, payload },
            added: Vec::new(),
            removed: gone.map(Child::from).into_iter().collect(),
        });
    }
    let idx = *difference.added.get(*added)?;
    *added += 1;
    let more = references.add(&new[idx]);
    let value = new[idx].clone();
    Some(Step {
        kind: StepKind::Add { idx, value },
        added: more.map(Child::from).into_iter().collect(),
        removed: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{content, data, text};
    use super::*;
    use crate::gateway::model::random::Random;

    /// Everything that is said of an event, but for the order of its references.
    fn said(step: &Step) -> String {
        let rids = |children: &[Child]| {
            let mut rids: Vec<&str> = children.iter().map(|child| &*child.rid).collect();
            rids.sort_unstable();
            rids.join(",")
        };
        let (added, removed) = (rids(&step.added), rids(&step.removed));
        format!("{:?} +{added} -{removed}", step.kind)
    }

    #[test]
    fn what_is_found_in_parts_is_what_is_found_in_one_go() {
        let mut random = Random::new([9, 8, 7, 6]);
        let mut pick = |n: u64| random.next() % n;
        for round in 0..300 {
            let (count, kinds) = [(8, 4), (200, 300), (3_500, 9_000)][(round % 30 / 14) as usize];
            let mut some = |is_model: bool| {
                let values = (0..pick(count)).map(|_| {
                    let value = match pick(2) {
                        0 => format!(r#"{{"rid":"r{}"}}"#, pick(kinds)),
                        _ => pick(kinds).to_string(),
                    };
                    match is_model {
                        true => format!(r#""p{:04}":{value}"#, pick(count)),
                        false => value,
                    }
                });
                let values = Vec::from_iter(values).join(",");
                match is_model {
                    true => format!(r#"{{"model":{{{values}}}}}"#),
                    false => format!(r#"{{"collection":[{values}]}}"#),
                }
            };
            let is_model = round % 2 == 0;
            let (old, new) = (some(is_model), some(is_model));
            let other = some(!is_model);
            let size = [1, 7, 5_000][pick(3) as usize];
            let old = Rc::new(content(&old));
            let expected = old.renewal(data(&new), 2).unwrap();
            let mut renewing = Renewing::new(old.clone(), data(&new)).unwrap();
            let found = std::iter::repeat_with(|| renewing.go_on(2, &mut size.clone()));
            let found = found.take(1_000_000).flatten().next().unwrap();
            let both = [&expected, &found].map(|renewal| {
                let steps: Vec<String> = renewal.steps.iter().map(said).collect();
                (steps, renewal.content.as_ref().map(text))
            });
            assert_eq!(both[0], both[1]);
            if let Some(content) = &found.content {
                content.audit().unwrap();
            }
            assert!(Renewing::new(old, data(&other)).is_none());
        }
    }

    #[test]
    fn each_part_does_as_much_as_it_may() {
        let values = |step: usize| {
            let values = (0..10_007).map(|n| (n * step % 10_007).to_string());
            format!(r#"{{"collection":[{}]}}"#, Vec::from_iter(values).join(","))
        };
        let old = Rc::new(content(&values(1)));
        let mut renewing = Renewing::new(old, data(&values(5_003))).unwrap();
        let (mut parts, mut most) = (0, 0);
        loop {
            let mut steps = 500;
            parts += 1;
            let before = renewing.steps.len();
            if renewing.go_on(2, &mut steps).is_some() {
                break;
            }
            assert_eq!(steps, 0);
            most = most.max(renewing.steps.len() - before);
        }
        assert!(most <= 500 / STEP + 1, "{most} events in one part");
        assert!(parts > 10 * 10_007 / 500, "{parts}");
    }
}
