//! Loading: from a subscription without content to one with a version of its own.

use crate::gateway::Gateway;
use crate::gateway::model::content::Content;
use crate::gateway::model::keys::{AliasKey, NameKey, ResourceKey, SubKey};
use crate::gateway::model::sid::Sid;
use crate::gateway::model::texts;
use crate::gateway::parts::cache::Deferred;
use crate::gateway::parts::holdings::State;
use crate::gateway::parts::replies::MAX_SUBJECT;
use crate::gateway::parts::requests::{Answer, Subject, Then};
use crate::gateway::parts::worklist::Work;
use crate::res::{Error, service};
use std::rc::Rc;

impl Gateway {
    /// A subscription needs content: from the cache, from a request that is open, or from
    /// a new one.
    pub(in crate::gateway) fn load(&mut self, key: SubKey) {
        let Some(sub) = self.subs.arena.get(key) else {
            return;
        };
        if sub.state != State::Loading {
            return;
        }
        let (alias_key, alias) = (sub.alias, &self.cache.aliases[sub.alias]);
        let (name, query) = (alias.name, &alias.query);
        if alias.loading {
            return self.pass_place(key);
        }
        if alias.resource.is_none()
            && let Some(resource) = self.cache.resource(name, query)
        {
            // The query is a normalised one that is known.
            self.cache.link_alias(alias_key, resource);
        }
        let loaded = self.cache.aliases[alias_key].resource.is_some();
        match (loaded, self.is_waiting(name)) {
            (true, true) => {
                self.hold_input(name, Deferred::Take(key));
                self.pass_place(key);
            }
            (true, false) => self.take_content(key),
            (false, true) => {
                self.cache.aliases[alias_key].loading = true;
                self.hold_input(name, Deferred::Load(alias_key));
                self.pass_place(key);
            }
            (false, false) => {
                if self.enter_tree(key) {
                    self.send_get(alias_key);
                }
            }
        }
    }

    /// Sends the get request of an alias.
    pub(in crate::gateway) fn send_get(&mut self, key: AliasKey) {
        let Some(alias) = self.cache.aliases.get_mut(key) else {
            return;
        };
        alias.loading = true;
        let (name, query) = (alias.name, alias.query.clone());
        if !self.listen_to_events(name) {
            return self.load_failed(key, Error::SUBJECT_TOO_LONG);
        }
        let then = Then::Load(key);
        let sent = self.request(Subject::Name("get", name, ""), then, |_, out| {
            texts::write_query(&query, out);
        });
        if let Err(unsent) = sent {
            self.load_failed(key, unsent.error);
        }
    }

    /// Subscribes to a name's events. `false` when the name is too long to be asked for:
    /// the subject of the events could be longer than the broker takes.
    pub(in crate::gateway) fn listen_to_events(&mut self, key: NameKey) -> bool {
        let name = &mut self.cache.names[key];
        if name.subscribed {
            return true;
        }
        if "get.".len() + name.text.len() > MAX_SUBJECT {
            return false;
        }
        name.subscribed = true;
        self.out
            .subscribe(Sid::Name(key).number(), &["event.", &name.text, ".*"]);
        true
    }

    /// A get request of an alias was answered.
    pub(in crate::gateway) fn loaded(&mut self, key: AliasKey, answer: Answer<'_>) {
        let resource = match answer.and_then(|payload| service::resource(&payload)) {
            Ok(resource) => resource,
            Err(error) => return self.load_failed(key, error),
        };
        let Some(alias) = self.cache.aliases.get_mut(key) else {
            return;
        };
        alias.loading = false;
        let (name, stale) = (alias.name, std::mem::take(&mut alias.stale));
        let tree = alias.tree.take();
        // What is cached has seen every event since, and is as good as the answer.
        let cached = self.cache.resource(name, &resource.query);
        let resource = cached.unwrap_or_else(|| {
            self.versions += 1;
            let content = Content::new(resource.data, self.versions);
            self.cache.insert_resource(name, &resource.query, content)
        });
        self.cache.link_alias(key, resource);
        let waiting = self.cache.aliases[key].subs.iter().copied();
        let waiting = waiting.filter(|sub| self.subs.arena[*sub].state == State::Loading);
        self.work.extend(waiting.map(Work::Load));
        self.leave_place(tree);
        if stale {
            self.refresh(resource);
        }
        if self.cache.aliases[key].subs.is_empty() {
            self.alias_unused(key);
        }
    }

    fn load_failed(&mut self, key: AliasKey, error: Error) {
        let Some(alias) = self.cache.aliases.get_mut(key) else {
            return;
        };
        (alias.loading, alias.stale) = (false, false);
        let tree = alias.tree.take();
        let error = Rc::new(error);
        for sub in alias.subs.clone() {
            if self.subs.arena[sub].state == State::Loading {
                let failed = &mut self.subs.arena[sub];
                failed.state = State::Failed;
                let lag = failed.lag();
                lag.error = Some(error.clone());
                let tree = lag.tree.take();
                let waiters = std::mem::take(&mut lag.waiters);
                self.notify_waiters(&waiters, &[]);
                self.leave_tree(tree);
                if self.is_revived(sub) {
                    self.suspects.push(sub);
                }
            }
        }
        if self.cache.aliases[key].subs.is_empty() {
            self.cache.remove_alias(key);
        }
        self.leave_place(tree);
        self.collect();
    }

    /// Hands the resource's content to a subscription. It keeps this version until it is
    /// sent; what happens meanwhile waits in its queue.
    pub(in crate::gateway) fn take_content(&mut self, key: SubKey) {
        let Some(sub) = self.subs.arena.get(key) else {
            return;
        };
        let (client, alias) = (sub.client, &self.cache.aliases[sub.alias]);
        let Some(resource) = alias.resource else {
            // Deleted while it waited for its turn.
            self.work.push_back(Work::Load(key));
            return;
        };
        if sub.state != State::Loading {
            return;
        }
        let content = self.cache.resources[resource].content.clone();
        let sub = &mut self.subs.arena[key];
        sub.state = State::Ready;
        let waiters = sub.take_waiters();
        let tree = sub.lag.as_mut().and_then(|lag| lag.tree.take());
        sub.pin(content.clone());
        let references = content.references();
        // Those that may have to be waited for, which a leaf has not.
        let mut children = Vec::new();
        for child in references {
            if let Some(child) = self.subscribe_child(client, child, tree) {
                self.subs.arena[child].unsent_refs += 1;
                self.hint_parent(child, key);
                if !self.subs.arena[child].is_pinned_leaf() {
                    children.push(child);
                }
            }
        }
        self.notify_waiters(&waiters, &children);
        self.leave_tree(tree);
    }

    /// The content of an alias that can be handed to a new subscription at once: it is there
    /// and references nothing, so that there is nothing to follow or to wait for.
    pub(in crate::gateway) fn leaf(&self, alias: AliasKey) -> Option<Rc<Content>> {
        let alias = &self.cache.aliases[alias];
        let content = &self.cache.resources[alias.resource?].content;
        let is_leaf = !content.has_references() && !alias.loading && !self.is_waiting(alias.name);
        is_leaf.then(|| content.clone())
    }

    /// Forgets a query resource without subscriptions; others linger with their name.
    ///
    /// Returns whether it is forgotten.
    pub(in crate::gateway) fn forget_if_unused(&mut self, key: ResourceKey) -> bool {
        let resource = &self.cache.resources[key];
        let forgotten = !resource.query.is_empty() && !self.cache.is_used(resource);
        if forgotten {
            self.remove_resource(key);
        }
        forgotten
    }

    /// Forgets a resource.
    pub(in crate::gateway) fn remove_resource(&mut self, key: ResourceKey) {
        self.stop_refresh(key);
        self.cache.remove_resource(key);
    }

    /// Something begins to use a name.
    pub(in crate::gateway) fn hold_name(&mut self, key: NameKey) {
        let name = &mut self.cache.names[key];
        name.uses += 1;
        if let Some(timer) = name.linger.take() {
            self.lingering.remove(timer);
        }
    }

    /// Something ends its use of a name. The last one leaves it cached for a while.
    pub(in crate::gateway) fn release_name(&mut self, key: NameKey) {
        let Some(name) = self.cache.names.get_mut(key) else {
            return;
        };
        name.uses -= 1;
        if name.uses > 0 {
            return;
        }
        if name.subscribed {
            name.linger = Some(self.lingering.insert(self.now, key));
        } else {
            self.forget_name(key);
        }
    }

    /// Forgets names whose time without use is over.
    pub(in crate::gateway) fn forget_lingering(&mut self) {
        while let Some(key) = self.lingering.pop(self.now) {
            self.cache.names[key].linger = None;
            self.forget_name(key);
        }
    }

    /// Forgets a name that nothing uses, with its resources.
    pub(in crate::gateway) fn forget_name(&mut self, key: NameKey) {
        let Some(name) = self.cache.names.get(key) else {
            return;
        };
        if name.uses > 0 {
            return;
        }
        if name.subscribed {
            self.out.unsubscribe(Sid::Name(key).number());
        }
        let resources: Vec<ResourceKey> = name
            .plain
            .into_iter()
            .chain(name.queries.values().copied())
            .collect();
        for resource in resources {
            self.remove_resource(resource);
        }
        for alias in self.cache.names[key].aliases.clone() {
            self.cache.remove_alias(alias);
        }
        self.cache.remove_name(key);
    }
}
