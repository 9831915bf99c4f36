//! Query events: every query resource of a name asks what the event means for it, and
//! until all answers are in, the name's other inputs wait.

use super::events::Unfit;
use crate::gateway::Gateway;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::event::EventKind;
use crate::gateway::model::keys::{AliasKey, NameKey, PendingKey, ResourceKey};
use crate::gateway::model::texts;
use crate::gateway::parts::background::Job;
use crate::gateway::parts::cache::{Deferred, GivenUp, Room};
use crate::gateway::parts::requests::{Subject, Then};
use crate::gateway::parts::warnings::Warning;
use crate::gateway::parts::worklist::Work;
use crate::res::rid::is_subject;
use crate::res::service::{QueryResult, Unread};
use crate::res::{Error, service};

impl Gateway {
    /// Makes an input wait for its turn.
    pub(in crate::gateway) fn hold_input(&mut self, key: NameKey, input: Deferred) {
        if self.cache.defer(key, input) == Room::None {
            self.give_up_queries(key, "too much waits for it");
        }
    }

    /// Acts on the next input that waits, and comes back for those behind it.
    pub(in crate::gateway) fn next_input(&mut self, key: NameKey) {
        let Some(input) = self.cache.next_deferred(key) else {
            return;
        };
        self.work.push(Work::Inbox(key));
        match input {
            Deferred::Event { kind, payload } => self.take_event(key, kind, &payload),
            Deferred::Answer(pending, answer) => self.resume(pending, answer),
            Deferred::Large(large, throttle) => {
                self.background.resume_reset(throttle);
                self.go_on_with_large(key, large);
                self.background.end_reset();
                self.release_name(key);
            }
            Deferred::Question(subs, first, throttle) => {
                self.background.resume_reset(throttle);
                self.question_subs(key, subs, first);
                self.background.end_reset();
                self.release_name(key);
            }
            Deferred::Load(alias) => {
                if self.cache.aliases().contains(alias) {
                    self.cache.put_off_load(alias);
                    self.send_get_unless_known(alias);
                }
            }
            Deferred::Take(sub) => self.take_content_in_turn(sub),
            Deferred::Lost => self.lose_name(key),
            Deferred::Reset(throttle) => {
                self.background.resume_reset(throttle);
                self.reset_name(key);
                self.background.end_reset();
            }
            Deferred::Reaccess(throttle) => {
                self.background.resume_reset(throttle);
                self.reaccess_name(key);
                self.background.end_reset();
            }
        }
    }

    fn send_get_unless_known(&mut self, key: AliasKey) {
        let alias = &self.cache.aliases()[key];
        if alias.subs.is_empty() {
            if alias.resource.is_none() {
                self.cache.remove_alias(key);
            }
            return;
        }
        match self.cache.resource(alias.name, &alias.query) {
            Some(resource) => {
                self.cache.link_alias(key, resource);
                for sub in self.cache.aliases()[key].subs.clone() {
                    self.take_content_in_turn(sub);
                }
            }
            None => self.send_get_in_turn(key),
        }
    }

    /// Sends the get request of an alias if the throttle of any tree lets it; those whose
    /// tree does not have got into its queue.
    fn send_get_in_turn(&mut self, key: AliasKey) {
        for sub in self.cache.aliases()[key].subs.clone() {
            if self.holdings[sub].is_loading() && self.enter_tree(sub) {
                return self.send_get(key, self.holdings[sub].client());
            }
        }
    }

    /// A query event came for a name.
    pub(super) fn query_event(&mut self, key: NameKey, payload: &[u8]) {
        let subject = match service::query_event(payload) {
            Ok(subject) if is_subject(&subject) => subject,
            Ok(subject) => {
                let text = format_args!("query event is ignored: no subject is {subject:.80}");
                return self.warn(Warning::Event, key, text);
            }
            Err(error) => {
                let text = format_args!("query event is ignored: {error}");
                return self.warn(Warning::Event, key, text);
            }
        };
        let name = &self.cache.names()[key];
        let mut resources: Vec<ResourceKey> = name.queries.values().copied().collect();
        if resources.is_empty() {
            return;
        }
        self.work.spend(resources.len());
        // They are taken from the end.
        resources.reverse();
        self.cache.begin_round(key, &subject, resources);
        self.cache.hold_name(key);
        self.background.queue(Job::Query(key));
    }

    /// Sends the next query request of a name, and comes back for the others.
    pub(in crate::gateway) fn send_query(&mut self, key: NameKey) -> Option<PendingKey> {
        let next = self.cache.next_of_round(key);
        let sent = next.and_then(|(subject, resource)| self.send_query_of(key, &subject, resource));
        match self.cache.end_round(key) {
            Some(is_over) => {
                if is_over {
                    self.work.push(Work::Inbox(key));
                }
                self.release_name(key);
            }
            None if self.cache.names().contains(key) && self.cache.has_round(key) => {
                self.background.queue(Job::Query(key));
            }
            // It was given up.
            None => {}
        }
        sent
    }

    fn send_query_of(
        &mut self,
        key: NameKey,
        subject: &str,
        resource: ResourceKey,
    ) -> Option<PendingKey> {
        let query = self.cache.resources()[resource].query.clone();
        let subject = Subject::Chosen(subject, Some(key));
        let sent = self.request(subject, Then::Query(resource), |_, out| {
            texts::write_query(&query, out);
        });
        match sent {
            Ok(request) => {
                self.cache.open_query(key, request);
                Some(request)
            }
            Err(unsent) => {
                let text = format_args!("query request is not sent: {}", unsent.error);
                self.warn_of(Warning::Query, resource, text);
                self.refresh(resource);
                None
            }
        }
    }

    /// A query request was answered.
    pub(in crate::gateway) fn query_answered(
        &mut self,
        request: PendingKey,
        key: ResourceKey,
        name: Option<NameKey>,
        answer: Answer<'_>,
    ) {
        if self.cache.resources().contains(key) {
            self.apply_query_answer(key, answer);
        }
        if let Some(name) = name
            && self.cache.close_query(name, request)
        {
            self.work.push(Work::Inbox(name));
        }
    }

    fn apply_query_answer(&mut self, key: ResourceKey, answer: Answer<'_>) {
        let payload = match answer {
            Ok(payload) => payload,
            // What the event meant is not known: only the whole resource can tell.
            Err(error) => {
                let text = format_args!("query request is not answered: {error}");
                self.warn_of(Warning::Query, key, text);
                return self.refresh(key);
            }
        };
        match service::query(&payload, self.options.resources) {
            Ok(QueryResult::Events(events)) => {
                for (event, data) in events {
                    if self.cache.resources().contains(key) {
                        self.resource_event(key, EventKind::of(&event), data.unwrap_or("null"));
                    }
                }
            }
            Ok(QueryResult::Data(data)) => {
                if !self.replace(key, data) {
                    let text = format_args!(
                        "answer to a query request is not used: {}",
                        Unfit::OtherType
                    );
                    self.warn_of(Warning::Query, key, text);
                    self.refresh(key);
                }
            }
            // Fetched whole it may be smaller.
            Err(Unread::TooLarge) => self.refresh(key),
            Err(Unread::Failed(error)) if error.is(&Error::NOT_FOUND) => self.delete(key, "null"),
            Err(Unread::Failed(error)) => {
                let text = format_args!("answer to a query request is not used: {error}");
                self.warn_of(Warning::Query, key, text);
                self.refresh(key);
            }
        }
    }

    /// The open query requests of a name are given up, and their resources fetched whole.
    pub(in crate::gateway) fn give_up_queries(&mut self, key: NameKey, reason: &str) {
        let GivenUp { open, unsent } = self.cache.give_up_queries(key);
        if open.is_empty() && unsent.is_none() {
            return; // They were given up before; what waits is being acted on.
        }
        let text = format_args!("query event is given up: {reason}");
        self.warn(Warning::Query, key, text);
        for request in open {
            let pending = self.forget_request(request);
            if let Some(Then::Query(resource)) = pending.map(|pending| pending.then) {
                self.refresh(resource);
            }
            self.release_name(key);
        }
        if let Some(resources) = unsent {
            for resource in resources {
                self.refresh(resource);
            }
            self.release_name(key);
        }
        self.work.push(Work::Inbox(key));
    }
}
