//! Resets: cached content is fetched again, and what differs is sent as events.

use super::events::Unfit;
use crate::gateway::Gateway;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::content::Renewal;
use crate::gateway::model::keys::{AliasKey, NameKey, PendingKey, ResourceKey};
use crate::gateway::model::texts;
use crate::gateway::model::update::Update;
use crate::gateway::parts::background::Job;
use crate::gateway::parts::cache::{Certainty, Deferred, ResetStep, ResetWalk, Stage};
use crate::gateway::parts::requests::{Subject, Then};
use crate::gateway::parts::warnings::Warning;
use crate::gateway::parts::worklist::Work;
use crate::res::service::{Data, Unread};
use crate::res::{Error, service};
use std::fmt::Display;
use std::rc::Rc;

/// Bytes of a reset event that are looked at in one unit of work: what its short patterns
/// are is read later.
const PATTERN: usize = 32;

impl Gateway {
    /// A system reset event came.
    pub(in crate::gateway) fn system_reset(&mut self, payload: &[u8]) {
        let mut reset = match service::reset(payload) {
            Ok(reset) => reset,
            Err(error) => {
                let (name, text) = (
                    "system.reset",
                    format_args!("system.reset is ignored: {error}"),
                );
                return self.warnings.warn(self.now, Warning::System, name, text);
            }
        };
        let mut size = payload.len();
        if self.resets.is_full(size) {
            // Too many at a time: one about everything has them all in it.
            for throttle in self.resets.clear() {
                self.background.resume_reset(throttle);
                self.background.end_reset();
            }
            let all = "[\">\"]";
            reset = service::Reset {
                resources: all,
                access: all,
            };
            size = 0;
        }
        self.work.spend(payload.len() / PATTERN);
        let throttle = self.background.begin_reset();
        self.background.resume_reset(None);
        let names = self.cache.names();
        let find = |name: &str| self.cache.name(name);
        self.resets
            .push(ResetWalk::new(&reset, names, find, throttle, size));
        self.work.push(Work::Reset);
    }

    /// Goes on with the reset event that came first.
    pub(in crate::gateway) fn go_on_with_reset(&mut self) {
        loop {
            let mut steps = 0;
            let found =
                (self.resets).next(self.cache.names(), |name| self.cache.name(name), &mut steps);
            self.work.spend(steps);
            let Some((throttle, step)) = found else {
                return; // Another reset has its own entry in the worklist.
            };
            self.background.resume_reset(throttle);
            match step {
                ResetStep::Resource(name) => self.doubt_name(name),
                ResetStep::Access(name) => self.question_name(name),
                ResetStep::Later => {}
                ResetStep::Done => {
                    self.background.end_reset();
                    return;
                }
            }
            self.background.resume_reset(None);
            if self.work.is_spent() {
                return self.work.push(Work::Reset);
            }
        }
    }

    /// A resource reset that concerns a name, in its turn.
    fn doubt_name(&mut self, name: NameKey) {
        if self.cache.is_waiting(name) {
            let throttle = self.background.put_off_reset();
            self.hold_input(name, Deferred::Reset(throttle));
        } else {
            self.reset_name(name);
        }
    }

    /// An access reset that concerns a name, in its turn.
    fn question_name(&mut self, name: NameKey) {
        if self.cache.is_waiting(name) {
            let throttle = self.background.put_off_reset();
            self.hold_input(name, Deferred::Reaccess(throttle));
        } else {
            self.reaccess_name(name);
        }
    }

    /// Access to a name is about to be used. Reset events that came before put it in
    /// question first, also where their walk has not come to the name yet.
    pub(in crate::gateway) fn catch_up_name(&mut self, name: NameKey) {
        self.rejoin_name(name, None);
        if self.resets.is_empty() {
            return;
        }
        let mut steps = 0;
        let text = self.cache.name_text(name);
        let throttles = self.resets.take_access(name, text, &mut steps);
        self.work.spend(steps);
        for throttle in throttles {
            self.background.resume_reset(throttle);
            self.question_name(name);
            self.background.resume_reset(None);
        }
    }

    /// The same for the name of an alias.
    pub(in crate::gateway) fn catch_up(&mut self, alias: AliasKey) {
        self.catch_up_name(self.cache.aliases()[alias].name);
    }

    /// Puts all resources of a name in doubt.
    pub(super) fn reset_name(&mut self, key: NameKey) {
        let resources: Vec<ResourceKey> = self.cache.names()[key].resources().collect();
        self.cache.mark_stale(key);
        self.work.spend(resources.len());
        for resource in resources {
            self.refresh(resource);
        }
    }

    /// Puts a resource in doubt.
    pub(in crate::gateway) fn refresh(&mut self, key: ResourceKey) {
        if self.cache.doubt(key) {
            self.background.queue(Job::Refresh(key));
        }
    }

    /// Events of a name were dropped unseen: in its turn, its resources are fetched again
    /// and access to them is asked again, since one of those may have been about that.
    pub(in crate::gateway) fn events_lost(&mut self, name: NameKey) {
        if self.cache.is_waiting(name) {
            self.hold_input(name, Deferred::Lost);
        } else {
            self.lose_name(name);
        }
    }

    pub(super) fn lose_name(&mut self, key: NameKey) {
        let resources: Vec<ResourceKey> = self.cache.names()[key].resources().collect();
        self.cache.mark_lost(key);
        self.work.spend(resources.len());
        for resource in resources {
            self.lose_resource(resource);
        }
        self.reaccess_name(key);
    }

    /// Events of a resource were lost.
    pub(in crate::gateway) fn lose_resource(&mut self, key: ResourceKey) {
        if self.cache.lose_events(key) {
            self.background.queue(Job::Refresh(key));
        }
    }

    pub(in crate::gateway) fn send_refresh(&mut self, key: ResourceKey) -> Option<PendingKey> {
        if !self.cache.open_refresh(key) {
            return None;
        }
        let resource = &self.cache.resources()[key];
        let (name, query) = (resource.name, resource.query.clone());
        self.rejoin_name(name, None);
        let then = Then::Refresh(key);
        let sent = self.request(Subject::Name("get", name, ""), then, |_, out| {
            texts::write_query(&query, out);
        });
        match sent {
            Ok(pending) => Some(pending),
            Err(unsent) => {
                self.refresh_failed(key, &unsent.error);
                None
            }
        }
    }

    /// The get request of a resource in doubt was answered.
    pub(in crate::gateway) fn refreshed(&mut self, key: ResourceKey, answer: Answer<'_>) {
        if !self.cache.resources().contains(key) {
            return self.note_unused("get", None, &"the resource is used no longer");
        }
        let read = match &answer {
            Ok(payload) if self.is_large(payload.len()) => {
                let name = self.cache.resources()[key].name;
                let read = |reading| Stage::ReadAgain(key, reading);
                match self.begin_answer(name, payload, read) {
                    Ok(()) => return,
                    Err(unread) => Err(unread),
                }
            }
            _ => (self.read_resource(answer)).map(|resource| resource.data),
        };
        self.refreshed_as(key, read);
    }

    /// The answer to the get request of a resource in doubt was read.
    pub(super) fn refreshed_as(&mut self, key: ResourceKey, read: Result<Data, Unread>) {
        if !self.cache.resources().contains(key) {
            return;
        }
        match read {
            Ok(data) => self.renew(key, data),
            Err(Unread::TooLarge) => self.give_up(key),
            Err(Unread::Failed(error)) if error.is(&Error::NOT_FOUND) => self.delete(key, "null"),
            Err(Unread::Failed(error)) => self.refresh_failed(key, &error),
        }
    }

    /// The data of a resource in doubt are known.
    pub(super) fn renew(&mut self, key: ResourceKey, data: Data) {
        if self.cache.resources().contains(key) {
            let renewal = self.renewal(key, data);
            self.renew_as(key, renewal);
        }
    }

    /// It is known what leads to the data of a resource in doubt; nothing if they are of the
    /// other kind.
    pub(super) fn renew_as(&mut self, key: ResourceKey, renewal: Option<Renewal>) {
        if !self.cache.resources().contains(key) {
            return;
        }
        let Some(renewal) = renewal else {
            if self.cache.has_lost_events(key) {
                // That it was deleted and made anew is among what was lost.
                return self.delete(key, "null");
            }
            return self.refresh_failed(key, &Unfit::OtherType);
        };
        self.put(key, renewal);
        match self.cache.end_refresh(key) {
            Certainty::Certain => {}
            Certainty::Doubted => self.refresh(key),
            Certainty::Lost => self.lose_resource(key),
        }
    }

    /// Puts new data in place and tells the subscribers the difference.
    ///
    /// Returns `false` when it is of the other kind; nothing changes then.
    pub(super) fn replace(&mut self, key: ResourceKey, data: Data) -> bool {
        let renewal = self.renewal(key, data);
        let is_fit = renewal.is_some();
        if let Some(renewal) = renewal {
            self.put(key, renewal);
        }
        is_fit
    }

    /// What leads to new data; nothing if they are of the other kind.
    fn renewal(&mut self, key: ResourceKey, data: Data) -> Option<Renewal> {
        let version = self.cache.new_version();
        let before = &self.cache.resources()[key].content;
        let renewal = before.renewal(data, version)?;
        self.work.spend(renewal.compared + renewal.steps.len());
        Some(renewal)
    }

    /// Puts new content in place of the old, and tells the subscribers how.
    pub(super) fn put(&mut self, key: ResourceKey, renewal: Renewal) {
        if let Some(after) = renewal.content {
            let after = Rc::new(after);
            let before =
                (self.cache).change(key, |content| std::mem::replace(content, after.clone()));
            self.publish(key, Update::leading_to(after, renewal.steps), Some(before));
        }
    }

    fn refresh_failed(&mut self, key: ResourceKey, reason: &dyn Display) {
        let text = format_args!("the get request that was to renew it is of no use: {reason}");
        self.warn_of(Warning::Reset, key, text);
        let Some(resource) = self.cache.resources().get(key) else {
            return;
        };
        if !self.cache.is_used(resource) {
            // Nobody sees it: forgotten, it will be loaded when somebody does.
            return self.cache.remove_resource(key);
        }
        for (kind, payload) in self.cache.pause_refresh(key, self.now) {
            if self.cache.resources().contains(key) {
                self.resource_event(key, kind, &payload);
            }
        }
    }

    /// The events of a resource do not come: its subscribers are told, and the cache forgets
    /// it.
    pub(in crate::gateway) fn end_unheard(&mut self, key: ResourceKey) {
        self.end_resource(key, "null".into(), Error::EVENTS_REFUSED);
    }

    /// Sends the get and access requests again whose pause is over.
    pub(in crate::gateway) fn end_pauses(&mut self) {
        while self.background.end_pause(self.now) {
            self.work.spend(1);
            if self.work.is_spent() {
                return;
            }
        }
        while let Some(key) = self.cache.end_pause(self.now) {
            self.background.queue(Job::Refresh(key));
            self.work.spend(1);
            if self.work.is_spent() {
                return;
            }
        }
    }
}
