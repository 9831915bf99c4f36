//! Resets: cached content is fetched again, and what differs is sent as events.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{NameKey, PendingKey, ResourceKey};
use crate::gateway::model::texts;
use crate::gateway::model::time::Time;
use crate::gateway::model::update::Update;
use crate::gateway::parts::cache::{Deferred, Refresh, RefreshState};
use crate::gateway::parts::requests::{Answer, Job, Subject, Then};
use crate::res::json::Raw;
use crate::res::service::Data;
use crate::res::{Error, Pattern, json, service};
use log::{debug, warn};
use std::rc::Rc;

/// First pause before a get request that failed is sent again, in milliseconds. It
/// doubles with every failure, up to the longest one.
const FIRST_PAUSE: u64 = 1_000;
const LONGEST_PAUSE: u64 = 60_000;

/// Events that may wait for a get request, and the memory that they may cost.
const MAX_HELD: usize = 1 << 16;
const MAX_HELD_SIZE: usize = 64 << 20;

impl Gateway {
    /// A system reset event came.
    pub(in crate::gateway) fn system_reset(&mut self, payload: &[u8]) {
        let reset = match service::reset(payload) {
            Ok(reset) => reset,
            Err(error) => return warn!("system.reset is ignored: {error}"),
        };
        self.begin_reset();
        for name in self.matching_names(&reset.resources) {
            if self.is_waiting(name) {
                let throttle = self.put_off_reset();
                self.hold_input(name, Deferred::Reset(throttle));
            } else {
                self.reset_name(name);
            }
        }
        for pattern in &reset.access {
            for name in self.matching_names(std::slice::from_ref(pattern)) {
                if self.is_waiting(name) {
                    let throttle = self.put_off_reset();
                    self.hold_input(name, Deferred::Reaccess(throttle));
                } else {
                    self.reaccess_name(name);
                }
            }
        }
        self.end_reset();
    }

    /// The names that any of the patterns matches, each once. Those without wildcards are
    /// looked up: an event may have as many of them as there are names.
    fn matching_names(&self, patterns: &[Pattern]) -> Vec<NameKey> {
        let exact = patterns.iter().filter_map(Pattern::exact);
        let mut names: Vec<NameKey> = exact.filter_map(|name| self.cache.name(name)).collect();
        let wild = patterns.iter().filter(|pattern| pattern.exact().is_none());
        let wild: Vec<&Pattern> = wild.collect();
        if !wild.is_empty() {
            let matching = self.cache.names.iter();
            let matching = matching
                .filter(|(_, name)| wild.iter().any(|pattern| pattern.matches(&name.text)))
                .map(|(key, _)| key);
            names.extend(matching);
        }
        names.sort();
        names.dedup();
        names
    }

    /// Puts all resources of a name in doubt.
    pub(in crate::gateway) fn reset_name(&mut self, key: NameKey) {
        let name = &self.cache.names[key];
        let resources: Vec<ResourceKey> = name
            .plain
            .into_iter()
            .chain(name.queries.values().copied())
            .collect();
        for alias in &name.aliases {
            let alias = &mut self.cache.aliases[*alias];
            alias.stale = alias.loading;
        }
        for resource in resources {
            self.refresh(resource);
        }
    }

    /// Puts a resource in doubt.
    ///
    /// While a get request is open, one more follows its answer: the service may have
    /// looked before whatever put the resource in doubt again.
    pub(in crate::gateway) fn refresh(&mut self, key: ResourceKey) {
        let Some(resource) = self.cache.resources.get_mut(key) else {
            return;
        };
        match &mut resource.refresh {
            Some(refresh) => {
                let RefreshState::Pausing(due) = refresh.state else {
                    refresh.again = true;
                    return;
                };
                refresh.state = RefreshState::Queued;
                self.pauses.remove(&(due, key));
            }
            None => {
                resource.refresh = Some(Box::new(Refresh {
                    state: RefreshState::Queued,
                    failures: 0,
                    again: false,
                    held: Vec::new(),
                    held_size: 0,
                }));
            }
        }
        self.queue_job(Job::Refresh(key));
    }

    pub(in crate::gateway) fn send_refresh(&mut self, key: ResourceKey) -> Option<PendingKey> {
        let resource = self.cache.resources.get_mut(key)?;
        let (name, query) = (resource.name, resource.query.clone());
        let refresh = resource.refresh.as_mut()?;
        if refresh.state != RefreshState::Queued {
            return None;
        }
        (refresh.state, refresh.again) = (RefreshState::Open, false);
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

    /// Keeps an event of a resource back while a get request for it is open.
    pub(in crate::gateway) fn hold_for_refresh(
        &mut self,
        key: ResourceKey,
        event: &str,
        payload: Raw<'_>,
    ) -> bool {
        let Some(refresh) = &mut self.cache.resources[key].refresh else {
            return false;
        };
        if refresh.state != RefreshState::Open {
            return false;
        }
        refresh.held_size += payload.len();
        if refresh.held.len() >= MAX_HELD || refresh.held_size > MAX_HELD_SIZE {
            // Some of them are lost: only a good answer can mend it now.
            refresh.held.clear();
            refresh.held_size = usize::MAX / 2;
        } else {
            refresh
                .held
                .push((event.into(), json::compact(payload).into()));
        }
        true
    }

    /// The get request of a resource in doubt was answered.
    pub(in crate::gateway) fn refreshed(&mut self, key: ResourceKey, answer: Answer<'_>) {
        if !self.cache.resources.contains(key) {
            return;
        }
        match answer.and_then(|payload| service::resource(&payload)) {
            Ok(resource) => {
                if !self.replace(key, resource.data) {
                    let error = Error::internal("the resource is of another type now");
                    return self.refresh_failed(key, &error);
                }
                let resource = self.cache.resources.get_mut(key);
                let refresh = resource.and_then(|resource| resource.refresh.take());
                if refresh.is_some_and(|refresh| refresh.again) {
                    self.refresh(key);
                }
            }
            Err(error) if error.is(&Error::NOT_FOUND) => self.delete(key, "null"),
            Err(error) => self.refresh_failed(key, &error),
        }
    }

    /// Puts new data in place and tells the subscribers the difference.
    ///
    /// Returns `false` when it is of the other kind; nothing changes then.
    pub(in crate::gateway) fn replace(&mut self, key: ResourceKey, data: Data) -> bool {
        let content = &mut self.cache.resources[key].content;
        let before = content.clone();
        self.versions += 1;
        let mut after = (**content).clone();
        let Some(steps) = after.replace(data, self.versions) else {
            return false;
        };
        if !steps.is_empty() {
            let after = Rc::new(after);
            *content = after.clone();
            self.publish(key, Update::leading_to(after, steps), Some(before));
        }
        true
    }

    fn refresh_failed(&mut self, key: ResourceKey, error: &Error) {
        let Some(resource) = self.cache.resources.get(key) else {
            return;
        };
        let name = &self.cache.names[resource.name].text;
        debug!(
            "reset of {name} (query {:?}) failed: {error}",
            resource.query
        );
        if !self.cache.is_used(resource) {
            // Nobody sees it: forgotten, it will be loaded when somebody does.
            return self.remove_resource(key);
        }
        let Some(refresh) = &mut self.cache.resources[key].refresh else {
            return;
        };
        let pause = (FIRST_PAUSE << refresh.failures.min(16)).min(LONGEST_PAUSE);
        let due = Time(self.now.0.saturating_add(pause));
        refresh.failures += 1;
        refresh.state = RefreshState::Pausing(due);
        refresh.held_size = 0;
        let held = std::mem::take(&mut refresh.held);
        self.pauses.insert((due, key));
        for (event, payload) in held {
            if self.cache.resources.contains(key) {
                self.resource_event(key, &event, &payload);
            }
        }
    }

    /// Sends the get requests again whose pause is over.
    pub(in crate::gateway) fn end_pauses(&mut self) {
        while let Some((due, key)) = self
            .pauses
            .first()
            .copied()
            .filter(|(due, _)| *due <= self.now)
        {
            self.pauses.remove(&(due, key));
            let Some(resource) = self.cache.resources.get_mut(key) else {
                continue;
            };
            if let Some(refresh) = &mut resource.refresh {
                refresh.state = RefreshState::Queued;
                self.queue_job(Job::Refresh(key));
            }
        }
    }

    /// A resource is forgotten: so is the doubt about it.
    pub(in crate::gateway) fn stop_refresh(&mut self, key: ResourceKey) {
        let Some(resource) = self.cache.resources.get_mut(key) else {
            return;
        };
        if let Some(RefreshState::Pausing(due)) =
            resource.refresh.take().map(|refresh| refresh.state)
        {
            self.pauses.remove(&(due, key));
        }
    }
}
