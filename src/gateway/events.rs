//! Events of resources: applied to the cache once, sent to every subscriber in order.

use super::Gateway;
use super::cache::{Held, NameKey, ResourceKey};
use super::content::Content;
use super::few::Few;
use super::outbox::{CloseReason, Delivery, Run};
use super::ready::WaiterKey;
use super::sets::Set;
use super::subscription::{State, SubKey};
use super::update::{Queue, Step, StepKind, TextKey, Update};
use super::work::Work;
use crate::res::Error;
use crate::res::json::{self, Raw};
use crate::res::service;
use crate::res::value::Change;
use log::debug;
use std::rc::Rc;

/// Updates that may wait at one subscription, and the memory that they may cost.
pub(crate) const MAX_QUEUE: usize = 1 << 16;
pub(crate) const MAX_QUEUE_SIZE: usize = 64 << 20;

/// Subscribers from which on events in a row are sent as a run; for one it saves nothing.
const RUN_MIN: usize = 2;

/// Bytes of a text from which on it begins no run: it is better sent from where it is than
/// copied to where others may follow.
const RUN_TEXT: usize = 16 << 10;

impl Gateway {
    /// An event came on the subject of a name.
    pub(super) fn event(&mut self, key: NameKey, event: &str, payload: &[u8]) {
        if self.is_waiting(key) {
            let (event, payload) = (event.into(), payload.into());
            return self.hold_input(key, Held::Event { event, payload });
        }
        self.take_event(key, event, payload);
    }

    /// Acts on an event whose turn it is.
    pub(super) fn take_event(&mut self, key: NameKey, event: &str, payload: &[u8]) {
        match event {
            "query" => return self.query_event(key, payload),
            "reaccess" => return self.reaccess_name(key),
            _ => {}
        }
        let Some(resource) = self.cache.names[key].plain else {
            return;
        };
        let payload = match payload {
            [] => "null",
            payload => match json::value(payload) {
                Ok(text) => text,
                Err(error) => {
                    let name = &self.cache.names[key].text;
                    debug!("event {event} of {name} is dropped: {error}");
                    return;
                }
            },
        };
        self.resource_event(resource, event, payload);
    }

    /// Access to all of a name's resources was put in question.
    pub(super) fn reaccess_name(&mut self, key: NameKey) {
        let aliases = self.cache.names[key].aliases.iter();
        let subs: Vec<SubKey> = aliases
            .flat_map(|alias| self.cache.aliases[*alias].subs.iter().copied())
            .collect();
        for sub in subs {
            self.reaccess(sub);
        }
    }

    /// Acts on an event of one resource: applies it, or holds it while a get request is
    /// open whose answer will make it moot.
    pub(super) fn resource_event(&mut self, key: ResourceKey, event: &str, payload: Raw<'_>) {
        let changes_state = matches!(event, "change" | "add" | "remove" | "delete");
        if changes_state && self.hold_for_refresh(key, event, payload) {
            return;
        }
        if let Err(reason) = self.apply_event(key, event, payload) {
            let resource = &self.cache.resources[key];
            let name = &self.cache.names[resource.name].text;
            debug!(
                "event {event} of {name} (query {:?}) is ignored: {reason}",
                resource.query
            );
        }
    }

    pub(super) fn apply_event(
        &mut self,
        key: ResourceKey,
        event: &str,
        payload: Raw<'_>,
    ) -> Result<(), String> {
        let content = &self.cache.resources[key].content;
        let kind = match (event, content.length()) {
            ("change", None) => {
                let event = service::change(payload).map_err(|error| error.to_string())?;
                let changes = content.effective(event.changes);
                if event.is_old {
                    let name = &self.cache.names[self.cache.resources[key].name].text;
                    self.deprecated.old_change(name);
                }
                if changes.is_empty() {
                    return Ok(());
                }
                StepKind::Change(changes)
            }
            ("add", Some(length)) => {
                let add = service::add(payload).map_err(|error| error.to_string())?;
                let add = add.ok_or("it has no value")?;
                if add.idx > length {
                    return Err(format!("idx {} is beyond the end, {length}", add.idx));
                }
                StepKind::Add {
                    idx: add.idx,
                    value: add.value,
                }
            }
            ("remove", Some(length)) => {
                let idx = service::remove(payload).map_err(|error| error.to_string())?;
                if idx >= length {
                    return Err(format!("idx {idx} is not below the length, {length}"));
                }
                StepKind::Remove {
                    idx,
                    payload: json::compact(payload).into(),
                }
            }
            ("change", Some(_)) => return Err("the resource is a collection".into()),
            ("add" | "remove", None) => return Err("the resource is a model".into()),
            ("delete", _) => {
                self.delete(key, payload);
                return Ok(());
            }
            _ => {
                let (event, text) = (event.into(), json::compact(payload).into());
                let update = Update::of(
                    StepKind::Custom {
                        event,
                        payload: text,
                    },
                    payload.len(),
                );
                self.publish(key, update, None);
                return Ok(());
            }
        };
        // Whoever must wait for a new reference keeps the version before the event, and so
        // do several subscriptions of one client while they are updated in turn.
        let shared = content.has_references() && self.cache.resources[key].aliases.len() > 1;
        let before = (brings_references(&kind) || shared).then(|| content.clone());
        self.versions += 1;
        let version = self.versions;
        let content = Rc::make_mut(&mut self.cache.resources[key].content);
        let (added, removed) = content.apply(&kind, version);
        let update = Update::new(
            vec![Step {
                kind,
                added,
                removed,
            }],
            payload.len(),
        );
        self.publish(key, update, before);
        Ok(())
    }

    /// The resource is gone: its subscribers are told, and the cache forgets it.
    pub(super) fn delete(&mut self, key: ResourceKey, payload: Raw<'_>) {
        let payload = json::compact(payload).into();
        let update = Update::of(StepKind::Delete { payload }, 0);
        let before = self.cache.resources[key].content.clone();
        self.publish(key, update, Some(before));
    }

    /// Sends an update to all subscribers of a resource. `before` is the content that it
    /// was applied to, where the update is not simple.
    pub(super) fn publish(
        &mut self,
        key: ResourceKey,
        update: Rc<Update>,
        before: Option<Rc<Content>>,
    ) {
        if update.is_simple() {
            return self.publish_simple(key, &update);
        }
        let resource = &self.cache.resources[key];
        let aliases = resource.aliases.iter();
        let subs: Vec<SubKey> = aliases
            .flat_map(|alias| self.cache.aliases[*alias].subs.iter().copied())
            .collect();
        // Sending to one subscription may look at another one of the same client, which
        // must then know its own version.
        let at_once =
            resource.aliases.len() == 1 && update.steps.len() == 1 && !update.ends_resource();
        let mut waiting = Vec::new();
        for sub in subs {
            let Some(there) = self.subs.arena.get_mut(sub) else {
                continue;
            };
            if there.state != State::Ready {
                continue;
            }
            if !there.is_live() {
                self.enqueue(sub, &update);
            } else if at_once {
                self.step(sub, &update, 0, before.as_ref());
            } else {
                there.lag().version = before.clone();
                self.enqueue(sub, &update);
            }
            waiting.push(sub);
        }
        if update.ends_resource() {
            self.remove_resource(key);
        }
        if !at_once {
            for sub in waiting {
                self.pump(sub);
            }
        }
    }

    /// The hot path: nobody's holdings change.
    fn publish_simple(&mut self, key: ResourceKey, update: &Rc<Update>) {
        if self.follow(key, update) {
            return;
        }
        let aliases = &self.cache.resources[key].aliases;
        // What every receiver gets, if that is one message: a run may follow it.
        let mut lead = match aliases[..] {
            [alias] if update.steps.len() == 1 => {
                self.out.has_no_deliveries() && self.cache.aliases[alias].subs.len() >= RUN_MIN
            }
            _ => false,
        };
        let mut dialect = None;
        for i in 0..aliases.len() {
            let alias_key = self.cache.resources[key].aliases[i];
            let alias = &self.cache.aliases[alias_key];
            let mut lagging = Vec::new();
            for step in 0..update.steps.len() {
                let mut texts = [None, None];
                for sub_key in &alias.subs {
                    let sub = &self.subs.arena[*sub_key];
                    if !sub.is_live() {
                        if step == 0 && sub.state == State::Ready {
                            lagging.push(*sub_key);
                        }
                        continue;
                    }
                    let plain = match self.clients.get(sub.client.0 as usize) {
                        Some(Some(client)) => client.dialect.is_plain(),
                        _ => continue,
                    };
                    let text = texts[usize::from(plain)].get_or_insert_with(|| {
                        let kind = &update.steps[step].kind;
                        let text = super::encode::event(&alias.text, kind, plain, &[]);
                        lead &= dialect.replace(plain).is_none() && text.text().len() < RUN_TEXT;
                        text
                    });
                    self.counters.events_out += 1;
                    self.out.send(sub.client, text.clone());
                }
            }
            // Each event waits at these.
            lead &= lagging.is_empty();
            for sub in lagging {
                self.enqueue(sub, update);
            }
        }
        if let (true, Some(plain)) = (lead, dialect) {
            self.out.begin_run(Run {
                resource: key,
                plain,
            });
        }
    }

    /// Sends an update to everyone who got the event right before it, if that was one of
    /// the same resource: since then nothing has changed who its subscribers are.
    fn follow(&mut self, key: ResourceKey, update: &Update) -> bool {
        let Some(run) = self.run.take() else {
            return false;
        };
        let ([step], [alias]) = (&update.steps[..], &self.cache.resources[key].aliases[..]) else {
            return false;
        };
        if run.resource != key || !self.out.has_no_deliveries() {
            return false;
        }
        let text = &self.cache.aliases[*alias].text;
        let message = super::encode::event(text, &step.kind, run.plain, &[]);
        self.counters.events_out += self.out.follow(run, message) as u64;
        true
    }

    /// Adds an update to those that wait at a subscription.
    fn enqueue(&mut self, key: SubKey, update: &Rc<Update>) {
        let sub = &mut self.subs.arena[key];
        let client = sub.client;
        let lag = sub.lag();
        if lag.ended {
            return;
        }
        if lag.queue.len() >= MAX_QUEUE || lag.queue_size + update.size > MAX_QUEUE_SIZE {
            // Nothing can be left out, so the client has to begin anew.
            lag.ended = true;
            self.out
                .deliver(client, Delivery::Close(CloseReason::Overflow));
            return;
        }
        lag.ended = update.ends_resource();
        lag.queue_size += update.size;
        lag.queue.push(update.clone());
    }

    /// Sends what waits at a subscription, as far as it need not wait longer.
    pub(super) fn pump(&mut self, key: SubKey) {
        loop {
            let Some(sub) = self.subs.arena.get_mut(key) else {
                return;
            };
            if !sub.sent || sub.state != State::Ready {
                return;
            }
            let Some(lag) = &mut sub.lag else { return };
            if lag.held {
                return;
            }
            if let Some(waiter) = lag.waiting {
                // It may have become ready while the subscription was held.
                return self.work.push_back(Work::Ready(waiter));
            }
            let Some(update) = lag.queue.front().cloned() else {
                if lag.waiters.is_empty() && !lag.ended {
                    sub.lag = None;
                }
                return;
            };
            if lag.step < update.steps.len() {
                let step = lag.step;
                if !self.step(key, &update, step, None) {
                    return;
                }
                continue;
            }
            if lag.queue.len() > 1 {
                self.materialise(key);
            }
            let lag = self.subs.arena[key].lag();
            lag.queue.pop();
            lag.queue_size -= update.size;
            (lag.step, lag.applied) = (0, 0);
        }
    }

    /// Sends one step of an update to a subscription that the client holds.
    ///
    /// Returns `false` when it must wait for what the step references; the update is then
    /// in the subscription's queue.
    fn step(
        &mut self,
        key: SubKey,
        update: &Rc<Update>,
        at: usize,
        before: Option<&Rc<Content>>,
    ) -> bool {
        let client = self.subs.arena[key].client;
        let (mut children, mut tree) = (Few::None, None);
        for child in &update.steps[at].added {
            if let Some(child) = self.subscribe_child(client, child, tree) {
                self.subs.arena[child].unsent_refs += 1;
                self.hint_parent(child, key);
                let lag = self.subs.arena[child].lag.as_ref();
                tree = tree.or(lag.and_then(|lag| lag.tree));
                children.push(child);
            }
        }
        let mut brought = children.as_slice().iter();
        if brought.any(|child| !self.subs.arena[*child].sent)
            && let Some(waiter) = self.await_children(key, &mut children)
        {
            let lag = self.subs.arena[key].lag();
            if lag.queue.is_empty() {
                lag.version = before.cloned();
                lag.queue_size = update.size;
                lag.queue.push(update.clone());
            }
            lag.waiting = Some(waiter);
            return false;
        }
        // Nothing is being loaded, or it would be waited for.
        let set = self.unsent_below(children.as_slice()).unwrap_or_default();
        self.send_step(key, update, at, children.as_slice(), &set);
        true
    }

    /// All that the first event of a subscription's queue brings is loaded.
    pub(super) fn event_ready(&mut self, key: SubKey, waiter: WaiterKey) {
        let Some(lag) = self.subs.arena.get(key).and_then(|sub| sub.lag.as_ref()) else {
            return;
        };
        if lag.held {
            return; // It is looked at again when access is known.
        }
        let (Some(update), at) = (lag.queue.front().cloned(), lag.step) else {
            return;
        };
        let children = self.waiters[waiter].brought.as_slice();
        let set = match self.unsent_below(children) {
            Ok(set) => set,
            Err(loading) => return self.wait_again(waiter, &loading),
        };
        let there = self.waiters.remove(waiter);
        let children = there.map_or(Few::None, |waiter| waiter.brought);
        self.subs.arena[key].lag().waiting = None;
        self.send_step(key, &update, at, children.as_slice(), &set);
        self.pump(key);
    }

    /// Sends a step with the resources that the client does not hold yet, and makes the
    /// client's holdings what they are after it.
    fn send_step(
        &mut self,
        key: SubKey,
        update: &Rc<Update>,
        at: usize,
        children: &[SubKey],
        set: &Set,
    ) {
        let sub = &self.subs.arena[key];
        let (client, alias) = (sub.client, sub.alias);
        let Some(there) = self.client(client) else {
            return;
        };
        let plain = there.dialect.is_plain();
        let step = &update.steps[at];
        let text_key = TextKey {
            alias: alias.index(),
            step: at as u32,
            plain,
        };
        let message = update.text(text_key, &set.members, || {
            let mut bundle = Vec::new();
            self.write_set(&set.members, plain, &mut bundle);
            let text = &self.cache.aliases[alias].text;
            super::encode::event(text, &step.kind, plain, &bundle)
        });
        self.counters.events_out += 1;
        self.out.send(client, message);
        if !set.members.is_empty() {
            self.recent.note(update);
        }
        self.mark_sent(set);
        for child in children {
            let child = &mut self.subs.arena[*child];
            child.unsent_refs -= 1;
            child.sent_refs += 1;
        }
        for child in &step.removed {
            if let Some(child) = self.find_child(client, child) {
                self.subs.arena[child].sent_refs -= 1;
                self.suspects.push(child);
            }
        }
        if let Some(lag) = &mut self.subs.arena[key].lag {
            lag.step += 1;
        }
        if matches!(step.kind, StepKind::Delete { .. }) {
            self.deleted(key);
        }
        // What a run of removals cuts off, which is never the resource itself, is looked
        // for once: before something is added, or when all is done.
        let next = update.steps.get(at + 1);
        if !set.members.is_empty() || next.is_none_or(|next| !next.added.is_empty()) {
            self.collect();
        }
    }

    /// The client was told that a resource is deleted.
    fn deleted(&mut self, key: SubKey) {
        self.materialise(key);
        let sub = &mut self.subs.arena[key];
        sub.state = State::Deleted;
        sub.access = super::subscription::AccessState::Unknown;
        let lag = sub.lag();
        lag.queue = Queue::default();
        (lag.queue_size, lag.step, lag.applied) = (0, 0, 0);
        (lag.held, lag.reaccess) = (false, false);
        if std::mem::take(&mut sub.direct) > 0 {
            self.send_unsubscribe(key, &Error::DELETED);
        }
        self.suspects.push(key);
    }

    /// Tells a client that its direct subscriptions of a resource have ended.
    pub(super) fn send_unsubscribe(&mut self, key: SubKey, reason: &Error) {
        let sub = &self.subs.arena[key];
        let text = &self.cache.aliases[sub.alias].text;
        let message = super::encode::unsubscribe(text, reason);
        self.counters.events_out += 1;
        self.out.send(sub.client, message);
    }
}

/// Whether an event has hard references in it.
fn brings_references(kind: &StepKind) -> bool {
    match kind {
        StepKind::Change(changes) => changes
            .iter()
            .any(|(_, change)| matches!(change, Change::Set(value) if value.reference().is_some())),
        StepKind::Add { value, .. } => value.reference().is_some(),
        _ => false,
    }
}
