//! Inputs that are too large for one turn: what they say is read, and made of a resource, in
//! parts.

use crate::gateway::Gateway;
use crate::gateway::model::content::{Changed, Changing, Content, Making, Renewing};
use crate::gateway::model::keys::{NameKey, ResourceKey};
use crate::gateway::parts::cache::{Deferred, Large, Stage};
use crate::gateway::parts::worklist::Work;
use crate::res::Error;
use crate::res::reading::{ChangeReading, ResourceReading};
use crate::res::service::{Data, Unread};
use std::rc::Rc;

/// Bytes of a payload from which on it is acted on in parts. Fewer in debug builds, so that
/// tests see what comes of that.
const LARGE: usize = if cfg!(debug_assertions) { 32 } else { 16 << 10 };

/// Steps of one part: at most, and at least.
const PART: usize = 2_000;
const PART_MIN: usize = 16;

impl Gateway {
    /// Whether an input of so many bytes is acted on in parts.
    pub(in crate::gateway) fn is_large(&self, bytes: usize) -> bool {
        bytes >= LARGE && !self.work.is_unbounded()
    }

    /// Begins to act on a large input of a name.
    pub(in crate::gateway) fn begin_large(&mut self, name: NameKey, large: Box<Large>) {
        self.put_large_off(name, large);
        self.work.push(Work::Inbox(name));
    }

    /// The rest of a large input waits until the name's turn comes again, before all that came
    /// behind it.
    fn put_large_off(&mut self, name: NameKey, large: Box<Large>) {
        let throttle = self.background.put_off_reset();
        self.cache.hold_name(name);
        self.cache
            .defer_rest(name, Deferred::Large(large, throttle));
    }

    /// Goes on with a large input of a name.
    pub(super) fn go_on_with_large(&mut self, name: NameKey, mut large: Box<Large>) {
        let part = self.work.units().clamp(PART_MIN, PART);
        let mut left = part;
        let next = self.next_stage(&mut large, &mut left);
        // What does not end at a step has used all of them.
        self.work.spend(part - left.min(part));
        match next {
            Progress::Same => self.put_large_off(name, large),
            Progress::Next(stage) => {
                large.stage = *stage;
                self.put_large_off(name, large);
            }
            Progress::Over => {}
        }
    }

    fn next_stage(&mut self, large: &mut Large, steps: &mut usize) -> Progress {
        let version = self.cache.new_version();
        match &mut large.stage {
            Stage::ReadChange(key, reading) => match reading.go_on(steps) {
                None => Progress::Same,
                Some(read) => {
                    let read = read.map_err(super::events::Unfit::unreadable);
                    let changes = self.take_change(*key, read);
                    self.begin_changing(*key, changes)
                }
            },
            Stage::Change(key, changing) => match changing.go_on(version, steps) {
                None => Progress::Same,
                Some((changed, made)) => {
                    let (key, before) = (*key, changing.before.clone());
                    self.changed(key, before, changed, made, large.size);
                    Progress::Over
                }
            },
            Stage::ReadFirst(key, reading) => match reading.go_on(steps) {
                None => Progress::Same,
                Some(Ok(data)) => {
                    let query = std::mem::take(&mut reading.query);
                    Progress::to(Stage::Make(*key, query, Making::new(data)))
                }
                Some(Err(unread)) => {
                    self.loaded_as(*key, Err(unread));
                    Progress::Over
                }
            },
            Stage::Make(key, query, making) => match making.go_on(version, steps) {
                None => Progress::Same,
                Some(content) => {
                    let (key, query) = (*key, std::mem::take(query));
                    self.loaded_as(key, Ok((query, content)));
                    Progress::Over
                }
            },
            Stage::ReadAgain(key, reading) => match reading.go_on(steps) {
                None => Progress::Same,
                Some(read) => {
                    let key = *key;
                    self.begin_renewing(key, read)
                }
            },
            Stage::Renew(key, renewing) => match renewing.go_on(version, steps) {
                None => Progress::Same,
                Some(renewal) => {
                    let (key, before) = (*key, renewing.before.clone());
                    let resource = self.cache.resources().get(key);
                    let is_same =
                        resource.is_none_or(|resource| Rc::ptr_eq(&resource.content, &before));
                    debug_assert!(is_same, "the inputs of a name wait for the one before");
                    drop(before);
                    if is_same {
                        self.renew_as(key, Some(renewal));
                    } else {
                        self.refreshed_as(key, Err(Error::TIMEOUT.into()));
                    }
                    Progress::Over
                }
            },
        }
    }

    /// A large change event came, whose payload is valid JSON.
    pub(super) fn begin_change(&mut self, name: NameKey, key: ResourceKey, payload: &str) {
        let reading = ChangeReading::new(payload);
        let large = Large::new(Stage::ReadChange(key, reading), payload.len());
        self.begin_large(name, large);
    }

    /// Begins to read a large get answer. Returns what is wrong with it at first sight.
    pub(in crate::gateway) fn begin_answer(
        &mut self,
        name: NameKey,
        payload: &[u8],
        stage: impl FnOnce(ResourceReading) -> Stage,
    ) -> Result<(), Unread> {
        let reading = ResourceReading::new(payload, self.options.resources)?;
        self.begin_large(name, Large::new(stage(reading), payload.len()));
        Ok(())
    }

    fn begin_changing(
        &mut self,
        key: ResourceKey,
        changes: Option<super::events::Changes>,
    ) -> Progress {
        match (changes, self.cache.resources().get(key)) {
            (Some(changes), Some(resource)) => {
                let changing = Changing::new(resource.content.clone(), changes);
                Progress::to(Stage::Change(key, changing))
            }
            _ => Progress::Over,
        }
    }

    fn begin_renewing(&mut self, key: ResourceKey, read: Result<Data, Unread>) -> Progress {
        let resource = self.cache.resources().get(key);
        let (resource, data) = match (resource, read) {
            (Some(resource), Ok(data)) => (resource, data),
            (_, read) => {
                self.refreshed_as(key, read);
                return Progress::Over;
            }
        };
        match Renewing::new(resource.content.clone(), data) {
            Some(renewing) => Progress::to(Stage::Renew(key, renewing)),
            None => {
                self.renew_as(key, None);
                Progress::Over
            }
        }
    }

    /// A large change event is applied to a copy of a resource's content, which takes its
    /// place.
    fn changed(
        &mut self,
        key: ResourceKey,
        before: Rc<Content>,
        changed: Changed,
        made: Option<Content>,
        size: usize,
    ) {
        let Some(resource) = self.cache.resources().get(key) else {
            return;
        };
        let is_same = Rc::ptr_eq(&resource.content, &before);
        debug_assert!(is_same, "the inputs of a name wait for the one before");
        match made {
            Some(made) if is_same => self.put_change(key, changed, made, size),
            Some(_) => self.change(key, changed.changes, size),
            None => {}
        }
    }
}

/// What became of a large input.
enum Progress {
    /// It goes on.
    Same,
    Next(Box<Stage>),
    /// All is done.
    Over,
}

impl Progress {
    fn to(stage: Stage) -> Self {
        Self::Next(Box::new(stage))
    }
}
