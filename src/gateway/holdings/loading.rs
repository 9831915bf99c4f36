//! Loading: from a subscription without content to one with a version of its own.

use crate::gateway::Gateway;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::content::Content;
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{AliasKey, ClientKey, Connection, NameKey, ResourceKey, SubKey};
use crate::gateway::model::sid::Sid;
use crate::gateway::model::texts;
use crate::gateway::parts::cache::{self, Deferred, Released, Stage};
use crate::gateway::parts::holdings::{Hold, Loaded, Sub, Taking};
use crate::gateway::parts::requests::{Subject, Then};
use crate::gateway::parts::sessions::{Client, Transport};
use crate::gateway::parts::warnings::Warning;
use crate::gateway::parts::worklist::Work;
use crate::res::service::{Limits, Resource, Unread};
use crate::res::{Error, service};
use log::{debug, trace};
use std::rc::Rc;

/// Work of subscribing a client to what is referenced, in units.
const CHILD_UNITS: usize = 8;

/// Work of forgetting a name with its resources, in units.
const FORGET_UNITS: usize = 64;

/// Names that are forgotten at once to make room for a resource.
const EVICTED: usize = 16;

impl Gateway {
    /// A subscription needs content: from the cache, from a request that is open, or from
    /// a new one.
    pub(in crate::gateway) fn load(&mut self, key: SubKey) {
        let Some(sub) = self.holdings.get(key).filter(|sub| sub.is_loading()) else {
            return;
        };
        let (alias_key, client) = (sub.alias(), sub.client());
        let name = self.cache.aliases()[alias_key].name;
        // What is cached may have missed events while nobody used it.
        self.rejoin_name(name, Some(client));
        let alias = &self.cache.aliases()[alias_key];
        let query = &alias.query;
        if alias.loading {
            return self.pass_place(key);
        }
        if alias.resource.is_none()
            && let Some(resource) = self.cache.resource(name, query)
        {
            // The query is a normalised one that is known.
            self.cache.link_alias(alias_key, resource);
        }
        let loaded = self.cache.aliases()[alias_key].resource.is_some();
        match (loaded, self.cache.is_waiting(name)) {
            (true, true) => {
                self.hold_input(name, Deferred::Take(key));
                self.pass_place(key);
            }
            (true, false) => self.take_content(key),
            (false, true) => {
                self.cache.begin_load(alias_key);
                self.hold_input(name, Deferred::Load(alias_key));
                self.pass_place(key);
            }
            (false, false) => {
                if self.enter_tree(key) {
                    self.send_get(alias_key, client);
                }
            }
        }
    }

    /// Sends the get request of an alias, which a client needs first.
    pub(in crate::gateway) fn send_get(&mut self, key: AliasKey, client: ClientKey) {
        if self.cache.aliases().contains(key) {
            self.catch_up(key);
        }
        let Some(alias) = self.cache.begin_load(key) else {
            return;
        };
        let (name, query) = (alias.name, alias.query.clone());
        // Whoever could not be given the answer need not ask.
        if !self.make_room(0) {
            return self.load_failed(key, Error::CACHE_FULL);
        }
        if let Err(error) = self.listen_to_events(name, client) {
            return self.load_failed(key, error);
        }
        let then = Then::Load(key);
        let sent = self.request(Subject::Name("get", name, ""), then, |_, out| {
            texts::write_query(&query, out);
        });
        if let Err(unsent) = sent {
            self.load_failed(key, unsent.error);
        }
    }

    /// Subscribes to a name's events, in the turn of a client.
    ///
    /// # Errors
    /// The name is too long to be asked for: the subject of the events could be longer than
    /// the broker takes. Or the broker has refused to send them, not long ago.
    pub(in crate::gateway) fn listen_to_events(
        &mut self,
        key: NameKey,
        client: ClientKey,
    ) -> Result<(), Error> {
        let name = &self.cache.names()[key];
        if name.subscribed {
            self.rejoin_name(key, Some(client));
            return Ok(());
        }
        if "get.".len() + name.text.len() > self.requests.max_subject() {
            return Err(Error::SUBJECT_TOO_LONG);
        }
        if self.broker.refuses(&name.text, self.now) {
            return Err(Error::EVENTS_REFUSED);
        }
        self.hear_name(key, Some(client));
        Ok(())
    }

    /// Subscribes to a name's events, as soon as there is a broker.
    fn hear_name(&mut self, key: NameKey, client: Option<ClientKey>) {
        if !self.broker.is_there() {
            return self.cache.subscribe(key, Connection::NONE);
        }
        self.cache.subscribe(key, self.broker.connection());
        let subject = ["event.", self.cache.name_text(key), ".*"];
        self.out
            .subscribe(Sid::Name(key).number(), &subject, client);
    }

    /// If the events of a name were last subscribed on an earlier connection, they are
    /// subscribed on this one, and what is known of it is in doubt: events may have been
    /// missed. What nobody has is forgotten.
    #[inline]
    pub(in crate::gateway) fn rejoin_name(&mut self, key: NameKey, client: Option<ClientKey>) {
        let name = &self.cache.names()[key];
        if self.broker.is_there() && name.subscribed && !self.broker.hears(name.heard_on) {
            self.hear_name_anew(key, client);
        }
    }

    fn hear_name_anew(&mut self, key: NameKey, client: Option<ClientKey>) {
        let name = &self.cache.names()[key];
        let is_new = name.heard_on == Connection::NONE;
        self.hear_name(key, client);
        if is_new {
            return; // Nothing was known of it that could be in doubt.
        }
        let resources: Vec<ResourceKey> = self.cache.names()[key].resources().collect();
        for resource in resources {
            if !self.is_taken(resource) {
                self.cache.remove_resource(resource);
            }
        }
        self.events_lost(key);
    }

    /// Whether somebody has the content of a resource, and not only asks for it.
    fn is_taken(&self, key: ResourceKey) -> bool {
        let aliases = &self.cache.resources()[key].aliases;
        let mut subs = (aliases.iter()).flat_map(|alias| &self.cache.aliases()[*alias].subs);
        subs.any(|sub| !self.holdings[*sub].is_loading())
    }

    /// A get request of an alias was answered.
    pub(in crate::gateway) fn loaded(&mut self, key: AliasKey, answer: Answer<'_>) {
        let read = match (&answer, self.cache.aliases().get(key)) {
            (Ok(payload), Some(alias)) if self.is_large(payload.len()) => {
                let (name, read) = (alias.name, |reading| Stage::ReadFirst(key, reading));
                match self.begin_answer(name, payload, read) {
                    Ok(()) => return,
                    Err(unread) => Err(unread),
                }
            }
            _ => self.read_resource(answer).map(|resource| {
                let content = Content::new(resource.data, self.cache.new_version());
                (resource.query, content)
            }),
        };
        self.loaded_as(key, read);
    }

    /// The answer to the get request of an alias was read: the query that it means, and the
    /// content.
    pub(in crate::gateway) fn loaded_as(
        &mut self,
        key: AliasKey,
        read: Result<(Box<str>, Content), Unread>,
    ) {
        let (query, content) = match read {
            Ok(resource) => resource,
            Err(Unread::Failed(error)) => return self.load_failed(key, error),
            Err(Unread::TooLarge) => {
                if let Some(alias) = self.cache.aliases().get(key) {
                    let Limits { entries, bytes } = self.options.resources;
                    let text = format_args!(
                        "get answer is refused: more than {entries} values (maxEntries) or \
                         {bytes} bytes (maxResourceSize)"
                    );
                    self.warn(Warning::Limit, alias.name, text);
                }
                return self.load_failed(key, Error::TOO_LARGE);
            }
        };
        let Some(alias) = self.cache.aliases().get(key) else {
            return;
        };
        let name = alias.name;
        if !self.cache.names()[name].subscribed {
            // It was loaded already as the events were refused.
            return self.load_failed(key, Error::EVENTS_REFUSED);
        }
        // What is cached has seen every event since, and is as good as the answer.
        let cached = self.cache.resource(name, &query);
        let fresh = match cached {
            Some(_) => None,
            None => Some(content),
        };
        if let Some(fresh) = &fresh
            && !self.make_room(fresh.bytes())
        {
            return self.load_failed(key, Error::CACHE_FULL);
        }
        let Some(ended) = self.cache.end_load(key) else {
            return;
        };
        let fresh = fresh.map(|it| self.cache.insert_resource(name, &query, it));
        let Some(resource) = cached.or(fresh) else {
            return;
        };
        self.cache.link_alias(key, resource);
        let waiting = self.cache.aliases()[key].subs.iter().copied();
        let waiting = waiting.filter(|sub| self.holdings[*sub].is_loading());
        self.work.extend(waiting.map(Work::Load));
        self.leave_place(ended.tree);
        if ended.is_lost {
            self.lose_resource(resource);
        } else if ended.is_stale {
            self.refresh(resource);
        }
        if self.cache.aliases()[key].subs.is_empty() {
            self.alias_unused(key);
        }
    }

    /// Sees to it that one more resource, of so many bytes, may be cached: what nobody uses
    /// goes, oldest first. Returns whether it may; all may be in use. What a step cannot do is
    /// done when there is time, and the limit exceeded for so long.
    fn make_room(&mut self, bytes: usize) -> bool {
        let limits = self.options.cached;
        for _ in 0..EVICTED {
            if self.cache.has_room(limits, bytes) {
                return true;
            }
            if !self.evict_oldest() {
                self.counters.refused_resources += 1;
                return false;
            }
        }
        self.work.push(Work::Evict);
        true
    }

    /// Forgets the name that nothing has used for longest, before its time.
    fn evict_oldest(&mut self) -> bool {
        let Some(name) = self.cache.end_oldest_linger() else {
            return false;
        };
        self.forget_name(name);
        self.work.spend(FORGET_UNITS);
        self.counters.evicted += 1;
        true
    }

    /// Goes on with making room, as far as the turn's budget reaches.
    pub(in crate::gateway) fn evict(&mut self) {
        while !self.cache.has_room(self.options.cached, 0) && self.evict_oldest() {
            if self.work.is_spent() {
                return self.work.push(Work::Evict);
            }
        }
    }

    /// Reads a get answer.
    pub(in crate::gateway) fn read_resource(
        &mut self,
        answer: Answer<'_>,
    ) -> Result<Resource, Unread> {
        let payload = answer?;
        let resource = service::resource(&payload, self.options.resources);
        // A value costs several units, be its text ever so short.
        let entries = resource.as_ref().map_or(0, |resource| resource.data.len());
        self.work.spend(4 * entries + payload.len() / 64);
        resource
    }

    pub(in crate::gateway) fn load_failed(&mut self, key: AliasKey, error: Error) {
        let Some(ended) = self.cache.end_load(key) else {
            return;
        };
        debug!("get of {} failed: {error}", self.cache.rid(key));
        let error = Rc::new(error);
        for sub in self.cache.aliases()[key].subs.clone() {
            let failed = &mut self.holdings[sub];
            if failed.is_loading() {
                let loaded = failed.standing.failed(error.clone());
                let is_revived = failed.is_revived();
                self.notify_waiters(sub, &loaded.waiters, Vec::new());
                self.leave_tree(loaded.tree);
                if is_revived {
                    self.holdings.suspect(sub);
                }
            }
        }
        if self.cache.aliases()[key].subs.is_empty() {
            self.cache.remove_alias(key);
        }
        self.leave_place(ended.tree);
        self.collect();
    }

    /// Hands the resource's content to a subscription. It keeps this version until it is
    /// sent; what happens meanwhile waits in its queue.
    pub(in crate::gateway) fn take_content(&mut self, key: SubKey) {
        let Some(sub) = self.holdings.get(key).filter(|sub| sub.is_loading()) else {
            return;
        };
        let client = sub.client();
        let Some(resource) = self.cache.resource_of(sub.alias()) else {
            // Deleted while it waited for its turn.
            return self.work.push(Work::Load(key));
        };
        let content = resource.content.clone();
        let loaded = self.holdings[key].standing.loaded(content.clone());
        if !content.has_references() || self.needs_no_children(client, key, &content) {
            self.notify_waiters(key, &loaded.waiters, Vec::new());
            return self.leave_tree(loaded.tree);
        }
        let Loaded { waiters, tree } = loaded;
        self.hold_children(key, Taking::new(content, waiters, tree));
    }

    /// The same in the turn of a name. A client whose holdings are being put in order takes it
    /// afterwards: what it would hold may be about to be dropped.
    pub(in crate::gateway) fn take_content_in_turn(&mut self, key: SubKey) {
        let Some(client) = self.holdings.get(key).map(Sub::client) else {
            return;
        };
        if self.unsettled.put_off(client, Work::Load(key)).is_some() {
            self.take_content(key);
        }
    }

    /// Subscribes a client to what a subscription of it references that was just loaded, as
    /// far as the turn's budget reaches.
    fn hold_children(&mut self, key: SubKey, mut taking: Taking) {
        if !self.hold_some_children(key, &mut taking) {
            self.holdings.takings.put(key, Box::new(taking));
            return self.work.push(Work::Take(key));
        }
        self.notify_waiters(key, &taking.waiters, taking.children);
        self.leave_tree(taking.tree);
    }

    /// Goes on with it.
    pub(in crate::gateway) fn go_on_taking(&mut self, key: SubKey) {
        if let Some(taking) = self.holdings.takings.take(key) {
            self.hold_children(key, *taking);
        }
    }

    /// Holds what is next of a content's references until the budget is spent. Returns whether
    /// all are held.
    fn hold_some_children(&mut self, key: SubKey, taking: &mut Taking) -> bool {
        let client = self.holdings[key].client();
        let content = taking.content().clone();
        let mut tree = taking.tree;
        for (at, child) in content.references().iter().enumerate().skip(taking.held()) {
            if self.work.is_spent() && at > taking.held() {
                taking.set_held(at);
                // The tree of its children must be there when it goes on.
                if taking.tree.is_none() && tree.is_some() {
                    taking.tree = self.trees.join(tree);
                }
                return false;
            }
            self.work.spend(CHILD_UNITS);
            if let Some(child) = self.subscribe_child(client, child, tree) {
                tree = tree.or(self.holdings[child].standing.tree());
                self.holdings[child].holders.hold(Hold::Unsent);
                // A leaf has nothing to be waited for.
                if !self.holdings[child].is_pinned_leaf() {
                    taking.children.push(child);
                }
            }
        }
        true
    }

    /// Whether a subscription is a web request's that can be answered from the cache, as far
    /// as a look at what is referenced directly can tell: then that is not subscribed.
    fn needs_no_children(&mut self, client: ClientKey, key: SubKey, content: &Content) -> bool {
        let transport = self.sessions.get(client).map(Client::transport);
        if !matches!(transport, Some(Transport::Web(web)) if !web.follows) {
            return false;
        }
        let root = self.holdings[key].alias();
        // What is found by its ID counts as held by what references it.
        let is_cached = !content.has_reference(self.cache.rid(root))
            && (self.texts.has_body(root) || self.are_settled(content));
        let web = self.sessions.get_mut(client).and_then(Client::web_mut);
        if let Some(web) = web {
            web.follows = !is_cached;
        }
        is_cached
    }

    fn are_settled(&mut self, content: &Content) -> bool {
        let mut children = content.references().iter();
        self.work.spend(children.len());
        children.all(|child| {
            let alias = self.cached_alias(child);
            alias.is_some_and(|alias| self.settled(alias).is_some())
        })
    }

    /// What a web request's resource references is subscribed after all.
    ///
    /// Returns whether that has to be waited for.
    pub(in crate::gateway) fn follow_web(&mut self, client: ClientKey, root: SubKey) -> bool {
        let there = self.sessions.get_mut(client);
        let Some(there) = there else { return false };
        let waiter = there.waiters().first().copied();
        let Some(web) = there.web_mut().filter(|web| !web.follows) else {
            return false;
        };
        web.follows = true;
        let (Some(waiter), Some(content)) = (waiter, self.content(root).cloned()) else {
            return false;
        };
        self.hold_children(root, Taking::new(content, Few::None, None));
        if self.holdings.takings.has(root) {
            self.wait_again(waiter, vec![root]);
        } else {
            let children = self.children(root);
            self.wait_again(waiter, children);
        }
        !self.waiters[waiter].is_complete()
    }

    /// The resource of an alias whose content can be handed on at once: no get request may
    /// bring another one, no input waits that is to be seen first, and no event may have been
    /// missed while NATS was away.
    pub(in crate::gateway) fn settled(&self, key: AliasKey) -> Option<&cache::Resource> {
        let alias = self.cache.aliases().get(key)?;
        if alias.loading {
            return None;
        }
        let resource = self.cache.resource_of(key)?;
        let is_heard = || {
            let heard_on = self.cache.names()[alias.name].heard_on;
            !self.broker.is_there() || self.broker.hears(heard_on)
        };
        let is_settled = !self.cache.is_waiting(alias.name) && is_heard();
        is_settled.then_some(resource)
    }

    /// The content of an alias that can be handed to a new subscription at once: it is there
    /// and references nothing, so that there is nothing to follow or to wait for.
    pub(in crate::gateway) fn leaf(&self, alias: AliasKey) -> Option<Rc<Content>> {
        let content = &self.settled(alias)?.content;
        (!content.has_references()).then(|| content.clone())
    }

    /// Forgets a query resource without subscriptions; others linger with their name.
    ///
    /// Returns whether it is forgotten.
    pub(super) fn forget_if_unused(&mut self, key: ResourceKey) -> bool {
        let resource = &self.cache.resources()[key];
        let forgotten = !resource.query.is_empty() && !self.cache.is_used(resource);
        if forgotten {
            self.cache.remove_resource(key);
        }
        forgotten
    }

    /// Something ends its use of a name. The last one leaves it cached for a while.
    pub(in crate::gateway) fn release_name(&mut self, key: NameKey) {
        if self.cache.release_name(key, self.now) == Released::Unused {
            self.forget_name(key);
        }
    }

    /// Forgets names whose time without use is over, as many as the turn's budget lets.
    pub(in crate::gateway) fn forget_lingering(&mut self) {
        while let Some(key) = self.cache.end_linger(self.now) {
            self.forget_name(key);
            self.work.spend(FORGET_UNITS);
            if self.work.is_spent() {
                return;
            }
        }
    }

    /// Forgets a name that nothing uses, with its resources.
    pub(in crate::gateway) fn forget_name(&mut self, key: NameKey) {
        let Some(name) = self.cache.names().get(key) else {
            return;
        };
        if name.uses > 0 {
            return;
        }
        if self.broker.hears(name.heard_on) {
            trace!("U=> event.{}.*", name.text);
            self.out.unsubscribe(Sid::Name(key).number());
        }
        let resources: Vec<ResourceKey> = name.resources().collect();
        for resource in resources {
            self.cache.remove_resource(resource);
        }
        for alias in self.cache.names()[key].aliases.clone() {
            self.cache.remove_alias(alias);
        }
        self.cache.remove_name(key);
    }
}
