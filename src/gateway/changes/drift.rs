//! Drift: whether what is cached is still what services have, though no event said otherwise.
//!
//! NATS loses messages without a word, and events have no numbers. So, where it is asked for,
//! resources in use are fetched again one by one. An answer has in it all that its service
//! has sent before, and the cache has applied all that came before it: what differs then was
//! lost on the way. Events go on meanwhile as ever.

use crate::gateway::Gateway;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::keys::{PendingKey, ResourceKey};
use crate::gateway::model::outbox::Outbox;
use crate::gateway::model::texts;
use crate::gateway::model::time::Time;
use crate::gateway::parts::background::Job;
use crate::gateway::parts::requests::{Subject, Then};
use crate::gateway::parts::warnings::Warning;
use crate::gateway::parts::worklist::Origin;
use crate::res::Error;
use crate::res::service::{Data, Unread};

/// Places of the table of resources that are looked at for each that is to be found.
const STRIDE: usize = 16;

impl Gateway {
    /// Has the next few cached resources that are in use compared with what services have.
    /// A resource that differs is counted, logged, and put right.
    pub fn check_drift(&mut self, now: Time, count: usize, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            let mut left = count;
            for _ in 0..count.saturating_mul(STRIDE) {
                if left == 0 {
                    break;
                }
                if let Some(key) = gateway.cache.begin_check() {
                    left -= 1;
                    gateway.background.queue(Job::Check(key));
                }
            }
            gateway.work.spend(count);
            Origin::System
        });
    }

    pub(in crate::gateway) fn send_check(&mut self, key: ResourceKey) -> Option<PendingKey> {
        let resource = self.cache.resources().get(key)?;
        if !self.cache.is_checkable(key) {
            self.cache.end_check(key);
            return None;
        }
        let (name, query) = (resource.name, resource.query.clone());
        self.rejoin_name(name, None);
        let then = Then::Check(key);
        let sent = self.request(Subject::Name("get", name, ""), then, |_, out| {
            texts::write_query(&query, out);
        });
        match sent {
            Ok(sent) => {
                self.counters.drift_checks += 1;
                Some(sent)
            }
            Err(_) => {
                self.cache.end_check(key);
                None
            }
        }
    }

    /// A service says what a resource is.
    pub(in crate::gateway) fn checked(&mut self, key: ResourceKey, answer: Answer<'_>) {
        self.cache.end_check(key);
        if !self.cache.resources().contains(key) || !self.cache.is_checkable(key) {
            return; // What it is will be known anyway.
        }
        match self.read_resource(answer) {
            Ok(resource) => self.compare(key, resource.data),
            Err(Unread::Failed(error)) if error.is(&Error::NOT_FOUND) => {
                self.drifted(key, "the service does not have it any more");
                self.delete(key, "null");
            }
            // This says nothing of what it is.
            Err(Unread::Failed(error)) => self.note_unused("get", None, &error),
            Err(Unread::TooLarge) => self.refresh(key),
        }
    }

    fn compare(&mut self, key: ResourceKey, data: Data) {
        let version = self.cache.new_version();
        let before = &self.cache.resources()[key].content;
        let Some(renewal) = before.renewal(data, version) else {
            self.drifted(key, "the service has another kind of resource");
            return self.refresh(key);
        };
        self.work.spend(renewal.compared + renewal.steps.len());
        if renewal.content.is_some() {
            self.drifted(key, "events of it were lost on the way");
            self.put(key, renewal);
        }
    }

    fn drifted(&mut self, key: ResourceKey, why: &str) {
        self.counters.drifts += 1;
        let text = format_args!("it was not what its service has, and is put right: {why}");
        self.warn_of(Warning::Drift, key, text);
    }
}
