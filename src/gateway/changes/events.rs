//! Events of resources: applied to the cache once, sent to every subscriber in order.

use crate::gateway::Gateway;
use crate::gateway::model::content::{Applied, Changed, Content};
use crate::gateway::model::event::EventKind;
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{ClientRef, NameKey, ResourceKey, SubKey, WaiterKey};
use crate::gateway::model::outbox::Streak;
use crate::gateway::model::set::SetView;
use crate::gateway::model::texts;
use crate::gateway::model::update::{Step, StepKind, TEXTS_KEPT, TextKey, Update};
use crate::gateway::parts::background::Job;
use crate::gateway::parts::cache::{Deferred, Resource};
use crate::gateway::parts::holdings::{AccessState, Hold, Recheck, Standing};
use crate::gateway::parts::sessions::Client;
use crate::gateway::parts::warnings::Warning;
use crate::gateway::parts::worklist::Work;
use crate::res::json::Raw;
use crate::res::service::{Add, ChangeEvent, Limits};
use crate::res::value::Change;
use crate::res::{Error, Text, Value, json, service};
use std::fmt;
use std::rc::Rc;

/// Steps of an update up to which it is sent to all subscribers at once.
const AT_ONCE: usize = 64;

/// Steps that one subscription is sent before it is another's turn: as many as an update
/// keeps texts of, so that those who go through a long update together share them.
const PUMPED: usize = TEXTS_KEPT;

/// Subscribers from which on events in a row are sent as a streak; for one it saves nothing.
const STREAK_MIN: usize = 2;

/// Subscriptions of a resource that get an event of it in one turn whatever the budget is: to
/// put it off costs more than to send it. In debug builds it is put off from the second on,
/// so that tests see what comes of that.
const SUBS_AT_ONCE: usize = if cfg!(debug_assertions) { 1 } else { 2_048 };

/// Work of sending an event that has waited for what it brings, beside its text, in units.
const READY_UNITS: usize = 32;

/// Work of sending a step to one subscription, and of each reference that it brings, in units.
const STEP_UNITS: usize = 4;
const BROUGHT_UNITS: usize = 12;

/// Work of a step that has waited at a subscription and may change what the client holds,
/// beside that: the subscription may have a version of its own to be brought up to it.
const LATE_UNITS: usize = 48;

/// Bytes of a large change event that are written in one unit of work: most of them are
/// short.
const WRITTEN: usize = 8;

/// Bytes of a text from which on it begins no streak: it is better sent from where it is than
/// copied to where others may follow.
const STREAK_TEXT: usize = 16 << 10;

impl Gateway {
    /// An event came on the subject of a name.
    pub(in crate::gateway) fn event(&mut self, key: NameKey, kind: EventKind<'_>, payload: &[u8]) {
        self.catch_up_name(key);
        if self.cache.is_waiting(key) {
            let (kind, payload) = (kind.into_owned(), payload.into());
            return self.hold_input(key, Deferred::Event { kind, payload });
        }
        self.take_event(key, kind, payload);
    }

    /// Acts on an event whose turn it is.
    pub(super) fn take_event(&mut self, key: NameKey, kind: EventKind<'_>, payload: &[u8]) {
        match kind {
            EventKind::Query => return self.query_event(key, payload),
            EventKind::Reaccess => return self.reaccess_name(key),
            _ => {}
        }
        let Some(resource) = self.cache.names()[key].bare else {
            return;
        };
        let payload = match payload {
            [] => "null",
            payload => match json::value(payload) {
                Ok(text) => text,
                Err(error) => {
                    let text = format_args!("{} event is ignored: {error}", kind.name());
                    return self.warn(Warning::Event, key, text);
                }
            },
        };
        if kind == EventKind::Change
            && self.is_large(payload.len())
            && !self.cache.is_refreshing(resource)
        {
            return self.begin_change(key, resource, payload);
        }
        self.resource_event(resource, kind, payload);
    }

    /// Access to all of a name's resources was put in question.
    pub(super) fn reaccess_name(&mut self, key: NameKey) {
        let aliases = self.cache.names()[key].aliases.iter();
        let subs: Vec<SubKey> = aliases
            .flat_map(|alias| self.cache.aliases()[*alias].subs.iter().copied())
            .collect();
        self.work.spend(subs.len() / 8);
        self.question_subs(key, subs, 0);
    }

    /// Acts on an event of one resource: applies it, or keeps it back while a get request
    /// is open whose answer will make it moot.
    pub(super) fn resource_event(
        &mut self,
        key: ResourceKey,
        kind: EventKind<'_>,
        payload: Raw<'_>,
    ) {
        if kind.changes_state() && self.cache.is_refreshing(key) {
            let event = (kind.into_owned(), json::compact(payload).into());
            return self.cache.keep_event(key, event);
        }
        let event = match &kind {
            EventKind::Custom(name) => name.clone().into_owned(),
            kind => kind.name().to_owned(),
        };
        if let Err(reason) = self.apply_event(key, kind, payload) {
            self.ignore_event(key, &event, &reason);
        }
    }

    fn ignore_event(&mut self, key: ResourceKey, event: &str, reason: &Unfit) {
        let text = format_args!("{event} event is ignored: {reason}");
        self.warn_of(Warning::Event, key, text);
    }

    /// Applies an event to a resource and sends it to the subscribers.
    fn apply_event(
        &mut self,
        key: ResourceKey,
        kind: EventKind<'_>,
        payload: Raw<'_>,
    ) -> Result<(), Unfit> {
        let step = match kind {
            EventKind::Change => {
                let changes = self.read_change(key, payload)?;
                self.change(key, changes, payload.len());
                None
            }
            EventKind::Add => Some(self.read_add(key, payload)?),
            EventKind::Remove => Some(self.read_remove(key, payload)?),
            EventKind::Delete => {
                self.delete(key, payload);
                None
            }
            // As an event of a query resource these mean nothing more.
            EventKind::Query | EventKind::Reaccess | EventKind::Custom(_) => {
                let (event, text) = (kind.name().into(), json::compact(payload).into());
                let step = StepKind::Custom {
                    event,
                    payload: text,
                };
                self.publish(key, Update::of(step, payload.len()), None);
                None
            }
        };
        if let Some(step) = step {
            self.apply_step(key, step, payload.len());
        }
        Ok(())
    }

    fn read_change(&mut self, key: ResourceKey, payload: Raw<'_>) -> Result<Changes, Unfit> {
        if !self.cache.resources()[key].content.is_model() {
            return Err(Unfit::Collection);
        }
        let event = service::change(payload).map_err(Unfit::unreadable)?;
        self.note_form(key, &event);
        Ok(event.changes)
    }

    /// The changes of an event that was read in parts; `None` if it cannot be used.
    pub(super) fn take_change(
        &mut self,
        key: ResourceKey,
        read: Result<ChangeEvent, Unfit>,
    ) -> Option<Changes> {
        let resource = self.cache.resources().get(key)?;
        let read = match resource.content.is_model() {
            true => read,
            false => Err(Unfit::Collection),
        };
        match read {
            Ok(event) => {
                self.note_form(key, &event);
                Some(event.changes)
            }
            Err(reason) => {
                self.ignore_event(key, "change", &reason);
                None
            }
        }
    }

    fn note_form(&mut self, key: ResourceKey, event: &ChangeEvent) {
        if event.is_old {
            let name = self.cache.resources()[key].name;
            self.deprecated.old_change(self.cache.name_text(name));
        }
    }

    /// Makes the changes of an event that was read, but for what changes nothing. `size` is
    /// that of its payload.
    pub(super) fn change(&mut self, key: ResourceKey, changes: Changes, size: usize) {
        let Some(resource) = self.cache.resources().get(key) else {
            return;
        };
        self.work.spend(changes.len() / 8);
        let changes = resource.content.effective(changes);
        if !changes.is_empty() {
            self.apply_step(key, StepKind::Change(changes), size);
        }
    }

    fn read_add(&self, key: ResourceKey, payload: Raw<'_>) -> Result<StepKind, Unfit> {
        let length = self.cache.resources()[key].content.length();
        let length = length.ok_or(Unfit::Model)?;
        let add = service::add(payload).map_err(Unfit::unreadable)?;
        let Add { idx, value } = add.ok_or(Unfit::NoValue)?;
        match idx > length {
            true => Err(Unfit::BeyondEnd { idx, length }),
            false => Ok(StepKind::Add { idx, value }),
        }
    }

    fn read_remove(&self, key: ResourceKey, payload: Raw<'_>) -> Result<StepKind, Unfit> {
        let length = self.cache.resources()[key].content.length();
        let length = length.ok_or(Unfit::Model)?;
        let idx = service::remove(payload).map_err(Unfit::unreadable)?;
        let payload = json::compact(payload).into();
        match idx >= length {
            true => Err(Unfit::NotBelowLength { idx, length }),
            false => Ok(StepKind::Remove { idx, payload }),
        }
    }

    /// Applies a step that fits the content of a resource.
    fn apply_step(&mut self, key: ResourceKey, kind: StepKind, size: usize) {
        if self.outgrows(key, &kind, size) {
            return self.give_up(key);
        }
        let resource = &self.cache.resources()[key];
        let kept = brings_references(&kind) || self.keeps_before(resource);
        let before = kept.then(|| resource.content.clone());
        let version = self.cache.new_version();
        let Applied {
            added,
            removed,
            moved,
        } = (self.cache).change(key, |content| Rc::make_mut(content).apply(&kind, version));
        self.work.spend(moved * size_of::<Value>() / 64);
        let step = Step {
            kind,
            added,
            removed,
        };
        self.publish(key, Update::new(vec![step], size), before);
    }

    /// Whether the version before an event that brings no references is kept while it is sent:
    /// whoever must wait for a new reference keeps it, and so do several subscriptions of one
    /// client while they are updated in turn, and whoever may have to be put off.
    fn keeps_before(&self, resource: &Resource) -> bool {
        let has_references = resource.content.has_references();
        has_references && resource.aliases.len() > 1
            || !self.unsettled.is_empty()
            || has_references && self.has_many(resource)
    }

    /// Puts the version in place that a large change event has led to, and sends the event.
    pub(super) fn put_change(
        &mut self,
        key: ResourceKey,
        changed: Changed,
        made: Content,
        size: usize,
    ) {
        let resource = &self.cache.resources()[key];
        let (before, limits) = (resource.content.clone(), self.options.resources);
        if made.size() > limits.entries.max(before.size())
            || made.bytes() > limits.bytes.max(before.bytes())
        {
            return self.give_up(key);
        }
        let Changed {
            changes,
            added,
            removed,
        } = changed;
        let kind = StepKind::Change(changes);
        let kept = brings_references(&kind) || self.keeps_before(resource);
        self.work.spend(size / WRITTEN);
        self.cache.change(key, |content| *content = Rc::new(made));
        let step = Step {
            kind,
            added,
            removed,
        };
        let before = kept.then_some(before);
        self.publish(key, Update::new(vec![step], size), before);
    }

    /// Whether an event, whose payload has this size, would make a resource larger than may
    /// be. It is looked at closely only where it could.
    fn outgrows(&self, key: ResourceKey, kind: &StepKind, size: usize) -> bool {
        let content = &self.cache.resources()[key].content;
        let limits = self.options.resources;
        let events = match kind {
            StepKind::Change(changes) => changes.len(),
            _ => 1,
        };
        if content.size() + events <= limits.entries && content.bytes() + size <= limits.bytes {
            return false;
        }
        let (entries, bytes) = content.grown_by(kind);
        let (more, larger) = (entries > content.size(), bytes > content.bytes());
        more && entries > limits.entries || larger && bytes > limits.bytes
    }

    /// The resource is larger than may be: its subscribers are told, and the
    /// cache forgets it. Whoever asks next makes it be fetched.
    pub(super) fn give_up(&mut self, key: ResourceKey) {
        let Limits { entries, bytes } = self.options.resources;
        let text = format_args!(
            "it is given up: it has become larger than {entries} values (maxEntries) or \
             {bytes} bytes (maxResourceSize)"
        );
        self.warn_of(Warning::Limit, key, text);
        self.end_resource(key, "null".into(), Error::TOO_LARGE);
    }

    /// The resource is gone: its subscribers are told, and the cache forgets it.
    pub(super) fn delete(&mut self, key: ResourceKey, payload: Raw<'_>) {
        self.end_resource(key, json::compact(payload).into(), Error::DELETED);
    }

    pub(super) fn end_resource(&mut self, key: ResourceKey, payload: Box<str>, reason: Error) {
        let reason = Box::new(reason);
        let update = Update::of(StepKind::Delete { payload, reason }, 0);
        let before = self.cache.resources()[key].content.clone();
        self.publish(key, update, Some(before));
    }

    /// Sends an update to all subscribers of a resource. `before` is the content that it
    /// was applied to, where the update is not simple.
    pub(in crate::gateway) fn publish(
        &mut self,
        key: ResourceKey,
        update: Rc<Update>,
        before: Option<Rc<Content>>,
    ) {
        let has_many = update.steps.len() > AT_ONCE;
        if update.is_simple() && !has_many {
            return self.publish_simple(key, &update, before);
        }
        let resource = &self.cache.resources()[key];
        let aliases = resource.aliases.iter();
        let subs: Vec<SubKey> = aliases
            .flat_map(|alias| self.cache.aliases()[*alias].subs.iter().copied())
            .collect();
        self.work.spend(subs.len());
        // Sending to one subscription may look at another one of the same client, which
        // must then know its own version.
        let at_once =
            resource.aliases.len() == 1 && update.steps.len() == 1 && !update.ends_resource();
        let subs = match at_once {
            true => self.put_off_unsettled(subs, &update, before.as_ref()),
            false => subs,
        };
        let mut waiting = Vec::new();
        for (at, sub) in subs.into_iter().enumerate() {
            let there = self.holdings.get_mut(sub);
            let Some(there) = there.filter(|there| there.standing.is_loaded()) else {
                continue;
            };
            if !self.unsettled.is_empty() && self.unsettled.is_leaving(there.client()) {
                continue;
            }
            let must_wait = self.work.is_spent() && at >= SUBS_AT_ONCE;
            match (there.is_live(), &before) {
                (true, Some(before)) if !at_once || must_wait => {
                    there.standing.freeze(before.clone());
                    self.enqueue(sub, &update);
                    if at_once {
                        self.work.push(Work::Pump(sub));
                        continue;
                    }
                }
                (true, _) => {
                    self.step(sub, &update, 0, before.as_ref());
                }
                (false, _) => self.enqueue(sub, &update),
            }
            waiting.push(sub);
        }
        if update.ends_resource() {
            self.cache.remove_resource(key);
        }
        if has_many {
            return self.work.extend(waiting.into_iter().map(Work::Pump));
        }
        if !at_once {
            for sub in waiting {
                self.pump(sub);
            }
        }
    }

    /// Puts an update off at live subscriptions of unsettled clients, and returns the others.
    /// While these are sent it, what the former hold may be looked at, which must then know
    /// the version that it stands at.
    fn put_off_unsettled(
        &mut self,
        subs: Vec<SubKey>,
        update: &Rc<Update>,
        before: Option<&Rc<Content>>,
    ) -> Vec<SubKey> {
        if self.unsettled.is_empty() {
            return subs;
        }
        let (unsettled, others): (Vec<SubKey>, Vec<SubKey>) = subs.into_iter().partition(|sub| {
            let sub = self.holdings.get(*sub).filter(|sub| sub.is_live());
            sub.is_some_and(|sub| self.unsettled.has(sub.client()))
        });
        for sub in unsettled {
            self.put_off(sub, before);
            self.enqueue(sub, update);
        }
        others
    }

    /// The hot path: nobody's holdings change.
    fn publish_simple(
        &mut self,
        key: ResourceKey,
        update: &Rc<Update>,
        before: Option<Rc<Content>>,
    ) {
        if self.follow(key, update) {
            return;
        }
        let is_settled = self.unsettled.is_empty();
        let aliases = &self.cache.resources()[key].aliases;
        // What every receiver gets, if that is one message: a streak may follow it.
        let mut lead = match aliases[..] {
            [alias] if update.steps.len() == 1 => {
                let subs = &self.cache.aliases()[alias].subs;
                self.out.has_no_deliveries() && subs.len() >= STREAK_MIN
            }
            _ => false,
        };
        let mut only_form = None;
        for i in 0..aliases.len() {
            let alias_key = self.cache.resources()[key].aliases[i];
            let alias = &self.cache.aliases()[alias_key];
            self.work.spend(alias.subs.len());
            let mut lagging = Vec::new();
            for step in 0..update.steps.len() {
                let mut texts = [None, None];
                for sub_key in &alias.subs {
                    let sub = &self.holdings[*sub_key];
                    if !sub.is_live() {
                        if step == 0 && sub.standing.is_loaded() {
                            lagging.push(*sub_key);
                        }
                        continue;
                    }
                    let Some(client) = self.sessions.get(sub.client()) else {
                        continue;
                    };
                    if !is_settled && self.unsettled.has(sub.client()) {
                        if step == 0 {
                            lagging.push(*sub_key);
                        }
                        continue;
                    }
                    let form = client.dialect.value_form();
                    let text = texts[form as usize].get_or_insert_with(|| {
                        let kind = &update.steps[step].kind;
                        let text = texts::event(&alias.text, kind, form, &[]);
                        let is_only = only_form.replace(form).is_none();
                        lead &= is_only && text.text().len() < STREAK_TEXT;
                        text
                    });
                    self.counters.events_out += 1;
                    self.out.send(sub.client(), text.clone());
                }
            }
            // Each event waits at these.
            lead &= lagging.is_empty();
            for sub in lagging {
                if self.holdings[sub].is_live() {
                    self.put_off(sub, before.as_ref());
                }
                self.enqueue(sub, update);
            }
        }
        if let (true, Some(form)) = (lead, only_form) {
            let resource = key;
            self.out.begin_streak(Streak { resource, form });
        }
    }

    /// An update of a live subscription waits until its client is settled. `before` is the
    /// content before it, if that is another.
    fn put_off(&mut self, key: SubKey, before: Option<&Rc<Content>>) {
        match before {
            Some(before) => self.holdings[key].standing.freeze(before.clone()),
            None => self.freeze(key),
        }
        self.work.push(Work::Pump(key));
    }

    /// Whether a resource has so many subscriptions that an event may not reach all in one
    /// turn.
    fn has_many(&self, resource: &Resource) -> bool {
        let aliases = resource.aliases.iter();
        let subs = aliases.map(|alias| self.cache.aliases()[*alias].subs.len());
        subs.sum::<usize>() > SUBS_AT_ONCE
    }

    /// Sends an update to everyone who got the event right before it, if that was one of
    /// the same resource: since then nothing has changed who its subscribers are.
    fn follow(&mut self, key: ResourceKey, update: &Update) -> bool {
        let Some(streak) = self.streak.take() else {
            return false;
        };
        let aliases = &self.cache.resources()[key].aliases[..];
        let ([step], [alias]) = (&update.steps[..], aliases) else {
            return false;
        };
        if streak.resource != key || !self.out.has_no_deliveries() {
            return false;
        }
        let message = texts::event(self.cache.rid(*alias), &step.kind, streak.form, &[]);
        self.counters.events_out += self.out.follow(streak, message) as u64;
        true
    }

    /// Adds an update to those that wait at a subscription.
    fn enqueue(&mut self, key: SubKey, update: &Rc<Update>) {
        let sub = &mut self.holdings[key];
        let client = sub.client();
        if self.sessions.get(client).is_some_and(Client::is_web) {
            // It is answered with what was there when it was loaded, or waits for another.
            if update.changes_state() {
                self.poll_later(client);
            }
            return;
        }
        let Some(lag) = sub.standing.widen() else {
            return;
        };
        if lag.ended {
            return;
        }
        if self.queues.have_no_room(lag, update) {
            return self.shorten(key, update);
        }
        lag.ended = update.ends_resource();
        self.queues.push(lag, update.clone());
        if lag.recheck == Recheck::Queued && lag.queue.len() == 1 {
            self.background.hurry(Job::Reaccess(key));
        }
    }

    /// Sends what waits at a subscription, as far as it need not wait longer. Where that is
    /// much, others have their turn in between.
    pub(in crate::gateway) fn pump(&mut self, key: SubKey) {
        let mut sent = 0;
        loop {
            self.work.spend(1);
            let Some(sub) = self.holdings.get_mut(key) else {
                return;
            };
            if !self.unsettled.is_empty() && self.unsettled.has(sub.client()) {
                return self.work.push(Work::Pump(key));
            }
            let Some(lag) = sub.standing.lag_mut().filter(|lag| lag.sent) else {
                return;
            };
            if lag.is_held_back() {
                return;
            }
            if let Some(waiter) = lag.waiting {
                // It may have become ready while access was in question.
                return self.work.push(Work::Ready(waiter));
            }
            let Some(update) = lag.queue.front().cloned() else {
                return sub.standing.catch_up();
            };
            if lag.step < update.steps.len() {
                let (step, has_many) = (lag.step, update.steps.len() > AT_ONCE);
                if sent >= PUMPED && (has_many || self.work.is_spent()) {
                    // What was cut off so far may be looked at by others' inputs.
                    self.collect();
                    return self.work.push(Work::Pump(key));
                }
                sent += 1;
                if !update.steps[step].is_simple() {
                    self.work.spend(LATE_UNITS);
                }
                if !self.step(key, &update, step, None) {
                    return;
                }
                continue;
            }
            // It does not come into step yet, and needs a version of its own.
            if lag.queue.len() > 1 || lag.recheck != Recheck::Settled {
                self.materialise(key);
            }
            if let Some(lag) = self.holdings[key].standing.lag_mut() {
                lag.pop();
            }
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
        let client = self.holdings[key].client();
        let added = &update.steps[at].added;
        self.work.spend(STEP_UNITS + BROUGHT_UNITS * added.len());
        let (mut children, mut tree) = (Few::None, None);
        for child in added {
            if let Some(child) = self.subscribe_child(client, child, tree) {
                self.holdings[child].holders.hold(Hold::Unsent);
                tree = tree.or(self.holdings[child].standing.tree());
                children.push(child);
            }
        }
        let mut brought = children.as_slice().iter();
        if brought.any(|child| !self.holdings[*child].standing.is_sent())
            && let Some(waiter) = self.await_children(key, &mut children)
        {
            let standing = &mut self.holdings[key].standing;
            if let (true, Some(before)) = (matches!(standing, Standing::Live), before) {
                standing.freeze(before.clone());
                if let Some(lag) = standing.lag_mut() {
                    self.queues.push(lag, update.clone());
                }
            }
            if let Some(lag) = standing.lag_mut() {
                lag.waiting = Some(waiter);
            }
            return false;
        }
        // Nothing is being loaded, or it would be waited for.
        let children = children.as_slice();
        if let [only] = *children
            && let Some(leaf) = self.unsent_leaf(only)
        {
            self.send_step(key, update, at, children, SetView::leaf(&leaf));
            return true;
        }
        let set = self.unsent_below(children).unwrap_or_default();
        self.send_step(key, update, at, children, set.view());
        true
    }

    /// All that the first event of a subscription's queue brings is loaded.
    pub(in crate::gateway) fn event_ready(&mut self, key: SubKey, waiter: WaiterKey) {
        let sub = self.holdings.get(key);
        let Some(lag) = sub.and_then(|sub| sub.standing.lag()) else {
            return;
        };
        if lag.is_held_back() {
            return; // It is looked at again when access is known.
        }
        let (Some(update), at) = (lag.queue.front().cloned(), lag.step) else {
            return;
        };
        self.work.spend(READY_UNITS);
        let children = self.waiters[waiter].take_brought();
        let leaf = match *children.as_slice() {
            [only] => self.unsent_leaf(only),
            _ => None,
        };
        let set;
        let view = match &leaf {
            Some(leaf) => SetView::leaf(leaf),
            None => match self.unsent_below(children.as_slice()) {
                Ok(found) => {
                    set = found;
                    set.view()
                }
                Err(loading) => {
                    self.waiters[waiter].bring(children);
                    return self.wait_again(waiter, loading);
                }
            },
        };
        self.waiters.remove(waiter);
        if let Some(lag) = self.holdings[key].standing.lag_mut() {
            lag.waiting = None;
        }
        self.send_step(key, &update, at, children.as_slice(), view);
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
        set: SetView<'_>,
    ) {
        let sub = &self.holdings[key];
        let (client, alias) = (sub.client(), sub.alias());
        let Some(there) = self.sessions.get(client) else {
            return;
        };
        let (form, is_tagged) = (there.dialect.value_form(), there.is_told_tags());
        let step = &update.steps[at];
        let text_key = TextKey {
            alias,
            step: at as u32,
            form,
            is_tagged,
        };
        if is_tagged && self.haves.has(client) {
            // What it has of these it is sent nevertheless, and that counts once.
            for member in set.members {
                self.haves.take(client, self.cache.rid(member.alias()));
            }
        }
        let message = update.text(text_key, set.members, || {
            let mut bundle = Vec::new();
            self.write_set(set.members, form, is_tagged, &mut bundle);
            texts::event(self.cache.rid(alias), &step.kind, form, &bundle)
        });
        self.counters.events_out += 1;
        self.out.send(client, message);
        if !set.members.is_empty() {
            self.texts.note_update(update);
        }
        self.work.spend(1 + set.members.len());
        for child in children {
            self.holdings.promote(*child, key);
        }
        self.mark_sent(set);
        for child in &step.removed {
            if let Some(child) = self.find_child(client, child) {
                self.holdings.release(child, key, Hold::Sent);
            }
        }
        if let Some(lag) = self.holdings[key].standing.lag_mut() {
            lag.step += 1;
        }
        if let StepKind::Delete { reason, .. } = &step.kind {
            self.deleted(key, reason);
        }
        // What a run of removals cuts off, which is never the resource itself, is looked
        // for once: before something is added, or when all is done.
        let next = update.steps.get(at + 1);
        if !set.members.is_empty() || next.is_none_or(|next| !next.added.is_empty()) {
            self.collect();
        }
    }

    /// The client was told that a resource is deleted.
    fn deleted(&mut self, key: SubKey, reason: &Error) {
        self.materialise(key);
        let sub = &mut self.holdings[key];
        sub.standing.delete();
        sub.access = AccessState::Unknown;
        if self.end_direct(key) {
            self.send_unsubscribe(key, reason);
        }
        self.holdings.suspect(key);
    }

    /// Tells a client that its direct subscriptions of a resource have ended.
    pub(in crate::gateway) fn send_unsubscribe(&mut self, key: SubKey, reason: &Error) {
        let sub = &self.holdings[key];
        let message = texts::unsubscribe(self.cache.rid(sub.alias()), reason);
        self.counters.events_out += 1;
        let client = sub.client();
        self.out.send(client, message);
        if let Some(there) = self.sessions.get(client)
            && there.is_stream()
        {
            // It has nothing else.
            let serial = there.serial();
            let client = ClientRef {
                key: client,
                serial,
            };
            self.work.push(Work::EndStream(client));
        }
    }
}

/// The properties that a change event names, in order.
pub(super) type Changes = Vec<(Text, Change)>;

/// Why an event does not fit its resource, and is ignored.
#[derive(Debug)]
pub(super) enum Unfit {
    /// What a model gets came for a collection.
    Collection,
    /// What a collection gets came for a model.
    Model,
    /// The payload cannot be read; with the reader's words.
    Unreadable(String),
    /// An add event without a value.
    NoValue,
    /// An add event for a place behind the end.
    BeyondEnd { idx: usize, length: usize },
    /// Data of another type came for a resource.
    OtherType,
    /// A remove event for a place where nothing is.
    NotBelowLength { idx: usize, length: usize },
}

impl Unfit {
    pub(super) fn unreadable(error: impl fmt::Display) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collection => f.write_str("the resource is a collection"),
            Self::Model => f.write_str("the resource is a model"),
            Self::Unreadable(words) => f.write_str(words),
            Self::OtherType => f.write_str("the resource is of another type now"),
            Self::NoValue => f.write_str("it has no value"),
            Self::BeyondEnd { idx, length } => {
                write!(f, "idx {idx} is beyond the end, {length}")
            }
            Self::NotBelowLength { idx, length } => {
                write!(f, "idx {idx} is not below the length, {length}")
            }
        }
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
