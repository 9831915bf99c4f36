//! Reset events that are being acted on: which names each concerns, found a few at a time.

use super::Name;
use crate::gateway::model::arena::Arena;
use crate::gateway::model::keys::{NameKey, ResetKey, of};
use crate::res::PatternSet;
use crate::res::json::{Raw, Walk};
use crate::res::service::{self, Reset};
use hashbrown::HashSet;
use std::collections::VecDeque;

/// Reset events that may wait, and the bytes of their payloads. Beyond them they become one
/// that is about everything.
pub(crate) const MAX_RESETS: usize = 64;
pub(crate) const MAX_RESETS_SIZE: usize = 8 << 20;

/// The way of one reset event through the names: first those whose resources are in doubt,
/// then those whose access is.
#[derive(Debug)]
pub struct ResetWalk {
    resources: Selection,
    access: Selection,
    /// Names whose access was put in question before the walk came to them.
    early: HashSet<NameKey, foldhash::fast::RandomState>,
    throttle: Option<ResetKey>,
    /// Bytes of the event's payload.
    size: usize,
}

/// Some of the names that there were when an event came.
#[derive(Debug)]
struct Selection {
    /// Those that are named, in the order of their keys.
    exact: Vec<NameKey>,
    patterns: PatternSet,
    /// How far it has come: among `exact` if there are no patterns, otherwise among the
    /// places of all names.
    at: usize,
    end: usize,
    /// Names from this generation on are newer than the event, and so many places had names.
    newer: u32,
    places: usize,
    /// Patterns that are in none of the above yet.
    unread: Option<Unread>,
}

/// Patterns that are not read yet: those behind a place.
#[derive(Debug)]
struct Unread {
    text: Box<str>,
    walk: Walk,
}

/// Patterns that are read as the event comes. Others are read over turns, in which it is not
/// known whether the event is about a name, and access to it is asked anew if it is used.
const AT_ONCE: usize = 512;

/// Work of reading a pattern, in units.
const READ_UNITS: usize = 4;

impl Selection {
    fn new(
        patterns: Raw<'_>,
        names: &Arena<of::Name, Name>,
        find: impl Fn(&str) -> Option<NameKey>,
    ) -> Self {
        let mut selection = Self {
            unread: Some(Unread {
                text: patterns.into(),
                walk: Walk::default(),
            }),
            at: 0,
            end: 0,
            newer: names.next_generation(),
            places: names.places(),
            exact: Vec::new(),
            patterns: PatternSet::default(),
        };
        for _ in 0..=AT_ONCE {
            if !selection.read_one(&find) {
                break;
            }
        }
        selection
    }

    /// Reads one more pattern. Returns whether there was one.
    fn read_one(&mut self, find: impl Fn(&str) -> Option<NameKey>) -> bool {
        let Some(unread) = &mut self.unread else {
            return false;
        };
        let Some(pattern) = service::next_pattern(&unread.text, &mut unread.walk) else {
            self.end_reading();
            return false;
        };
        match pattern.exact() {
            Some(name) => {
                let found = find(name).filter(|key| !self.is_newer(*key));
                self.exact.extend(found);
            }
            None => self.patterns.insert(&pattern),
        }
        true
    }

    fn end_reading(&mut self) {
        self.unread = None;
        self.exact.sort_unstable();
        self.exact.dedup();
        self.end = match self.patterns.is_empty() {
            true => self.exact.len(),
            false => self.places,
        };
    }

    /// Whether it is not known yet what it has.
    fn is_unread(&self) -> bool {
        self.unread.is_some()
    }

    fn is_newer(&self, key: NameKey) -> bool {
        // Generations go round.
        key.generation().wrapping_sub(self.newer) < u32::MAX / 2
    }

    fn is_done(&self) -> bool {
        self.at >= self.end && !self.is_unread()
    }

    /// Looks at the next place: the name there, if it is one of the selection.
    fn next(&mut self, names: &Arena<of::Name, Name>, steps: &mut usize) -> Option<NameKey> {
        let at = self.at;
        self.at += 1;
        *steps += 1;
        if self.patterns.is_empty() {
            let key = *self.exact.get(at)?;
            return names.contains(key).then_some(key);
        }
        let key = names.key_at(at as u32)?;
        self.has(key, &names[key].text, steps).then_some(key)
    }

    fn has(&self, key: NameKey, text: &str, steps: &mut usize) -> bool {
        let is_exact = self.exact.binary_search(&key).is_ok();
        is_exact || !self.is_newer(key) && self.patterns.matches(text, steps)
    }

    /// Whether it has a name that it has not come to, or may have it as far as is known.
    fn has_ahead(&self, key: NameKey, text: &str, steps: &mut usize) -> bool {
        if self.is_unread() {
            return !self.is_newer(key);
        }
        let is_ahead = match self.patterns.is_empty() {
            true => self
                .exact
                .binary_search(&key)
                .is_ok_and(|place| place >= self.at),
            false => key.index() as usize >= self.at,
        };
        *steps += 1;
        is_ahead && self.has(key, text, steps)
    }
}

impl ResetWalk {
    /// The walk of an event over the names that there are now.
    pub fn new(
        reset: &Reset<'_>,
        names: &Arena<of::Name, Name>,
        find: impl Fn(&str) -> Option<NameKey>,
        throttle: Option<ResetKey>,
        size: usize,
    ) -> Self {
        Self {
            size,
            resources: Selection::new(reset.resources, names, &find),
            access: Selection::new(reset.access, names, &find),
            early: HashSet::default(),
            throttle,
        }
    }
}

/// One step of a reset event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetStep {
    /// The resources of a name are in doubt.
    Resource(NameKey),
    /// Access to a name is in question.
    Access(NameKey),
    /// Nothing was found yet.
    Later,
    /// The event was acted on.
    Done,
}

/// Reset events in the order in which they came.
#[derive(Debug, Default)]
pub struct Resets {
    walks: VecDeque<ResetWalk>,
    /// Bytes of all of them.
    size: usize,
}

impl Resets {
    pub fn is_empty(&self) -> bool {
        self.walks.is_empty()
    }

    pub fn push(&mut self, walk: ResetWalk) {
        self.size += walk.size;
        self.walks.push_back(walk);
    }

    /// Whether one more event, with a payload of so many bytes, is too many.
    pub fn is_full(&self, size: usize) -> bool {
        let is_large = self.size.saturating_add(size) > MAX_RESETS_SIZE;
        self.walks.len() >= MAX_RESETS || !self.walks.is_empty() && is_large
    }

    /// Forgets all events. Returns their throttles.
    pub fn clear(&mut self) -> Vec<Option<ResetKey>> {
        self.size = 0;
        self.walks.drain(..).map(|walk| walk.throttle).collect()
    }

    /// Checks the total.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let size: usize = self.walks.iter().map(|walk| walk.size).sum();
        match size == self.size {
            true => Ok(()),
            false => Err(format!(
                "reset events of {size} bytes are counted as {}",
                self.size
            )),
        }
    }

    /// The throttles of the events that are still acted on.
    pub fn throttles(&self) -> impl Iterator<Item = ResetKey> {
        self.walks.iter().filter_map(|walk| walk.throttle)
    }

    /// Goes on with the first event: some steps, up to the next name that it concerns.
    /// `None` if there is none.
    pub fn next(
        &mut self,
        names: &Arena<of::Name, Name>,
        find: impl Fn(&str) -> Option<NameKey>,
        steps: &mut usize,
    ) -> Option<(Option<ResetKey>, ResetStep)> {
        /// Places that are looked at before the budget is looked at again.
        const STRIDE: usize = 64;
        let throttle = self.walks.front()?.throttle;
        let last = steps.saturating_add(STRIDE);
        while *steps < last {
            let walk = self.walks.front_mut()?;
            if walk.resources.is_unread() || walk.access.is_unread() {
                // What is used meanwhile must not wait for the walk.
                let _ = walk.access.read_one(&find) || walk.resources.read_one(&find);
                *steps += READ_UNITS;
                continue;
            }
            let step = if !walk.resources.is_done() {
                let name = walk.resources.next(names, steps);
                name.map(ResetStep::Resource)
            } else if !walk.access.is_done() {
                let name = walk.access.next(names, steps);
                name.filter(|name| !walk.early.remove(name))
                    .map(ResetStep::Access)
            } else {
                let done = self.walks.pop_front();
                self.size -= done.map_or(0, |walk| walk.size);
                return Some((throttle, ResetStep::Done));
            };
            if let Some(step) = step {
                return Some((throttle, step));
            }
        }
        Some((throttle, ResetStep::Later))
    }

    /// The events that concern access to a name and have not come to it, by their
    /// throttles. They will leave it out.
    pub fn take_access(
        &mut self,
        name: NameKey,
        text: &str,
        steps: &mut usize,
    ) -> Vec<Option<ResetKey>> {
        let mut found = Vec::new();
        for walk in &mut self.walks {
            if !walk.early.contains(&name)
                && walk.access.has_ahead(name, text, steps)
                && walk.early.insert(name)
            {
                found.push(walk.throttle);
            }
        }
        found
    }
}
