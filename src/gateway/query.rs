//! Query events: every query resource of a name asks what the event means for it, and
//! until all answers are in, the name's other inputs wait.

use super::Gateway;
use super::cache::{AliasKey, Held, NameKey, ResourceKey};
use super::loading::write_query;
use super::requests::{Answer, PendingKey, Subject, Then};
use super::subscription::State;
use super::work::Work;
use crate::res::Error;
use crate::res::rid::is_subject;
use crate::res::service::{self, QueryResult};
use log::{debug, warn};

/// Inputs of a name that may wait, and the memory that they may cost.
pub(crate) const MAX_INBOX: usize = 1 << 16;
pub(crate) const MAX_INBOX_SIZE: usize = 64 << 20;

impl Gateway {
    /// Whether a name's inputs have to wait for their turn.
    pub(super) fn is_waiting(&self, key: NameKey) -> bool {
        let name = &self.cache.names[key];
        name.open_queries > 0 || !name.inbox.is_empty()
    }

    /// Makes an input wait for its turn.
    pub(super) fn hold_input(&mut self, key: NameKey, input: Held) {
        let size = match &input {
            Held::Event { payload, .. } => payload.len(),
            Held::Answer(_, Ok(payload)) => payload.len(),
            _ => 0,
        };
        let name = &mut self.cache.names[key];
        name.inbox_size += size;
        name.inbox.push_back(input);
        if name.inbox.len() > MAX_INBOX || name.inbox_size > MAX_INBOX_SIZE {
            self.give_up_queries(key);
        }
    }

    /// Acts on the next input that waits, and comes back for those behind it.
    pub(super) fn next_input(&mut self, key: NameKey) {
        let Some(name) = self.cache.names.get_mut(key) else {
            return;
        };
        if name.open_queries > 0 {
            return;
        }
        let Some(input) = name.inbox.pop_front() else {
            name.inbox.shrink_to(0);
            return;
        };
        self.work.push_back(Work::Inbox(key));
        match input {
            Held::Event { event, payload } => {
                self.cache.names[key].inbox_size -= payload.len();
                self.take_event(key, &event, &payload);
            }
            Held::Answer(pending, answer) => {
                if let Ok(payload) = &answer {
                    self.cache.names[key].inbox_size -= payload.len();
                }
                self.resume(pending, answer);
            }
            Held::Load(alias) => {
                if let Some(held) = self.cache.aliases.get_mut(alias) {
                    held.loading = false;
                    self.send_get_unless_known(alias);
                }
            }
            Held::Take(sub) => self.take_content(sub),
            Held::Reset(throttle) => {
                self.resume_reset(throttle);
                self.reset_name(key);
                self.end_reset();
            }
            Held::Reaccess(throttle) => {
                self.resume_reset(throttle);
                self.reaccess_name(key);
                self.end_reset();
            }
        }
    }

    fn send_get_unless_known(&mut self, key: AliasKey) {
        let alias = &self.cache.aliases[key];
        if alias.subs.is_empty() {
            if alias.resource.is_none() {
                self.cache.remove_alias(key);
            }
            return;
        }
        match self.cache.resource(alias.name, &alias.query) {
            Some(resource) => {
                self.cache.link_alias(key, resource);
                for sub in self.cache.aliases[key].subs.clone() {
                    self.take_content(sub);
                }
            }
            None => self.send_get_in_turn(key),
        }
    }

    /// Sends the get request of an alias if the throttle of any tree lets it; those whose
    /// tree does not have got into its queue.
    fn send_get_in_turn(&mut self, key: AliasKey) {
        for sub in self.cache.aliases[key].subs.clone() {
            if self.subs.arena[sub].state == State::Loading && self.enter_tree(sub) {
                return self.send_get(key);
            }
        }
    }

    /// A query event came for a name.
    pub(super) fn query_event(&mut self, key: NameKey, payload: &[u8]) {
        let name = &self.cache.names[key];
        let subject = match service::query_event(payload) {
            Ok(subject) if is_subject(&subject) => subject,
            Ok(_) => return warn!("query event of {} is ignored: no valid subject", name.text),
            Err(error) => return debug!("query event of {} is ignored: {error}", name.text),
        };
        let resources: Vec<ResourceKey> = name.queries.values().copied().collect();
        for resource in resources {
            let query = self.cache.resources[resource].query.clone();
            let subject = Subject::Chosen(&subject, Some(key));
            let sent = self.request(subject, Then::Query(resource), |_, out| {
                write_query(&query, out)
            });
            match sent {
                Ok(_) => self.cache.names[key].open_queries += 1,
                Err(unsent) => {
                    debug!(
                        "query request of {} is not sent: {}",
                        self.cache.names[key].text, unsent.error
                    );
                    self.refresh(resource);
                }
            }
        }
    }

    /// A query request was answered.
    pub(super) fn query_answered(
        &mut self,
        key: ResourceKey,
        name: Option<NameKey>,
        answer: Answer<'_>,
    ) {
        if self.cache.resources.contains(key) {
            self.apply_query_answer(key, answer);
        }
        let Some(name) = name else { return };
        let there = &mut self.cache.names[name];
        there.open_queries = there.open_queries.saturating_sub(1);
        if there.open_queries == 0 {
            self.work.push_back(Work::Inbox(name));
        }
    }

    fn apply_query_answer(&mut self, key: ResourceKey, answer: Answer<'_>) {
        let payload = match answer {
            Ok(payload) => payload,
            // What the event meant is not known: only the whole resource can tell.
            Err(_) => return self.refresh(key),
        };
        match service::query(&payload) {
            Ok(QueryResult::Events(events)) => {
                for (event, data) in events {
                    if self.cache.resources.contains(key) {
                        self.resource_event(key, &event, data.unwrap_or("null"));
                    }
                }
            }
            Ok(QueryResult::Data(data)) => {
                if !self.replace(key, data) {
                    self.refresh(key);
                }
            }
            Err(error) if error.is(&Error::NOT_FOUND) => self.delete(key, "null"),
            Err(error) => {
                debug!("answer to a query request is not used: {error}");
                self.refresh(key);
            }
        }
    }

    /// More waits than may: the open query requests are given up, and their resources
    /// fetched whole.
    fn give_up_queries(&mut self, key: NameKey) {
        let open: Vec<(PendingKey, ResourceKey)> = self
            .pending
            .iter()
            .filter_map(|(pending, request)| match request.then {
                Then::Query(resource) if request.name == Some(key) => Some((pending, resource)),
                _ => None,
            })
            .collect();
        warn!(
            "query event of {} is given up: too much waits for it",
            self.cache.names[key].text
        );
        for (pending, resource) in open {
            self.forget_request(pending);
            self.refresh(resource);
            self.release_name(key);
        }
        if let Some(name) = self.cache.names.get_mut(key) {
            name.open_queries = 0;
            self.work.push_back(Work::Inbox(key));
        }
    }
}
