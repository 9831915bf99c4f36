//! What the gateway knows of resources: names, resources and the IDs that clients use.
//!
//! Whoever reads gets the tables as they are; all that changes them is in here.

mod inbox;
mod large;
mod refresh;
mod resets;

pub use inbox::{Deferred, GivenUp, Inbox, Room};
#[cfg(test)]
pub(crate) use inbox::{MAX_INBOX, MAX_INBOX_SIZE};
pub use large::{Large, Stage};
pub use refresh::{Certainty, Refresh};
#[cfg(test)]
pub(crate) use resets::{MAX_RESETS, MAX_RESETS_SIZE};
pub use resets::{ResetStep, ResetWalk, Resets};

use crate::gateway::model::arena::Arena;
use crate::gateway::model::border::{CacheLimits, RESOURCE_COST};
use crate::gateway::model::content::Content;
use crate::gateway::model::delay::{DelayQueue, TimerKey};
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{
    AliasKey, Connection, NameKey, ResourceKey, SubKey, TreeKey, of,
};
use crate::gateway::model::table::Table;
use crate::gateway::model::time::{LINGER, Time};
use foldhash::fast::FixedState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::rc::Rc;

/// A resource name. Order is a property of the name: all its resources share it.
#[derive(Debug)]
pub struct Name {
    pub text: Box<str>,
    /// Subscriptions of its aliases, and open requests.
    pub uses: u32,
    /// Whether its events are wanted from the broker, and the connection on which they were
    /// subscribed last.
    pub subscribed: bool,
    pub heard_on: Connection,
    /// Runs while it is subscribed and unused.
    linger: Option<TimerKey>,
    /// The resource without query.
    pub bare: Option<ResourceKey>,
    /// Query resources by normalised query.
    pub queries: BTreeMap<Box<str>, ResourceKey>,
    pub aliases: Few<AliasKey>,
    /// There while inputs wait, or may have to.
    inbox: Option<Box<Inbox>>,
}

impl Name {
    /// Its resources: the one without query, then the others by query.
    pub fn resources(&self) -> impl Iterator<Item = ResourceKey> {
        self.bare.into_iter().chain(self.queries.values().copied())
    }
}

/// A loaded resource: a name with a normalised query.
#[derive(Debug)]
pub struct Resource {
    pub name: NameKey,
    pub query: Box<str>,
    pub content: Rc<Content>,
    pub aliases: Few<AliasKey>,
    /// A get request to see whether the content is still true.
    refresh: Option<Box<Refresh>>,
    /// It is being compared with what its service has, or will be.
    checking: bool,
}

/// A resource ID as clients write it.
#[derive(Debug)]
pub struct Alias {
    pub text: Box<str>,
    /// The serial of the client whose connection ID stands in place of tags in the text.
    pub owner: Option<u32>,
    pub name: NameKey,
    /// The query for services; empty for none.
    pub query: Box<str>,
    pub resource: Option<ResourceKey>,
    /// Whether a get request is open or due.
    pub loading: bool,
    /// A reset came while it was loading; or events were lost.
    stale: bool,
    lost: bool,
    /// The tree whose throttle its get request has a place of.
    tree: Option<TreeKey>,
    pub subs: Few<SubKey>,
    /// Its places among the aliases of its name and of its resource.
    name_slot: u32,
    resource_slot: u32,
}

impl Alias {
    /// The tree whose throttle its get request has a place of.
    pub fn tree(&self) -> Option<TreeKey> {
        self.tree
    }
}

/// What the end of an alias's get request leaves to be done.
pub struct EndedLoad {
    /// A reset came meanwhile.
    pub is_stale: bool,
    /// Events were lost meanwhile.
    pub is_lost: bool,
    /// The tree that gets a place back.
    pub tree: Option<TreeKey>,
}

/// What a subscription leaves behind at its alias.
pub struct SubRemoved {
    /// The one that has its place now.
    pub moved: Option<SubKey>,
    /// Whether the alias has none any more.
    pub is_empty: bool,
    /// The alias's name.
    pub name: NameKey,
}

/// What became of a name that was let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// Others use it, or it stays for a while.
    Kept,
    /// Nothing keeps it.
    Unused,
}

/// The tables of names, resources and aliases, and their timers.
#[derive(Debug)]
pub struct Cache {
    names: Arena<of::Name, Name>,
    resources: Arena<of::Resource, Resource>,
    aliases: Arena<of::Alias, Alias>,
    name_table: Table,
    alias_table: Table,
    hasher: FixedState,
    /// Names that nothing uses, each for a while.
    lingering: DelayQueue<NameKey>,
    /// Resources whose get request is sent again later.
    pauses: BTreeSet<(Time, ResourceKey)>,
    /// Bytes that the resources count for.
    bytes: usize,
    /// Content versions made so far.
    versions: u64,
    /// Changes of what can be handed on at once, so far.
    epoch: u64,
    /// The place of the resource that is compared next with what its service has.
    check_at: usize,
}

impl Cache {
    pub fn new(seed: u64) -> Self {
        Self {
            names: Arena::default(),
            resources: Arena::default(),
            aliases: Arena::default(),
            name_table: Table::default(),
            alias_table: Table::default(),
            hasher: FixedState::with_seed(seed),
            lingering: DelayQueue::new(LINGER),
            pauses: BTreeSet::new(),
            bytes: 0,
            versions: 0,
            epoch: 0,
            check_at: 0,
        }
    }

    pub fn names(&self) -> &Arena<of::Name, Name> {
        &self.names
    }

    pub fn resources(&self) -> &Arena<of::Resource, Resource> {
        &self.resources
    }

    pub fn aliases(&self) -> &Arena<of::Alias, Alias> {
        &self.aliases
    }

    /// The resource that an alias means, if it is loaded.
    pub fn resource_of(&self, alias: AliasKey) -> Option<&Resource> {
        Some(&self.resources[self.aliases[alias].resource?])
    }

    /// The resource ID of an alias.
    pub fn rid(&self, alias: AliasKey) -> &str {
        &self.aliases[alias].text
    }

    /// The name of an alias, as text.
    pub fn name_text(&self, key: NameKey) -> &str {
        &self.names[key].text
    }

    /// The number of a new version of some content.
    pub fn new_version(&mut self) -> u64 {
        self.versions += 1;
        self.epoch += 1;
        self.versions
    }

    /// Grows with whatever changes what an alias means, its content, or whether that can be
    /// handed on at once.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Changes the content of a resource.
    pub fn change<T>(&mut self, key: ResourceKey, change: impl FnOnce(&mut Rc<Content>) -> T) -> T {
        let content = &mut self.resources[key].content;
        let before = content.bytes();
        let result = change(content);
        self.bytes = self.bytes + content.bytes() - before;
        result
    }

    /// Bytes that all resources count for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there may be one more resource, of so many bytes of JSON.
    pub fn has_room(&self, limits: CacheLimits, bytes: usize) -> bool {
        let (resources, all) = (self.resources.len() + 1, self.bytes + bytes + RESOURCE_COST);
        (limits.resources == 0 || resources <= limits.resources)
            && (limits.bytes == 0 || all <= limits.bytes)
    }

    /// The name that nothing has used for longest, whose time without use ends now.
    pub fn end_oldest_linger(&mut self) -> Option<NameKey> {
        self.end_linger(Time(u64::MAX))
    }

    pub fn name(&self, text: &str) -> Option<NameKey> {
        let hash = name_hash(&self.hasher, text);
        let is_it = |place| *self.names.at(place).1.text == *text;
        let place = self.name_table.find(hash, is_it)?;
        Some(self.names.at(place).0)
    }

    /// Finds or makes a name. One that nothing uses must be held and released.
    pub fn intern_name(&mut self, text: &str) -> NameKey {
        if let Some(key) = self.name(text) {
            return key;
        }
        let key = self.names.insert(Name {
            text: text.into(),
            uses: 0,
            subscribed: false,
            heard_on: Connection::NONE,
            linger: None,
            bare: None,
            queries: BTreeMap::new(),
            aliases: Few::None,
            inbox: None,
        });
        let hash = name_hash(&self.hasher, text);
        self.name_table.insert(hash, key.index());
        key
    }

    /// Removes a name that has neither resources nor aliases.
    pub fn remove_name(&mut self, key: NameKey) -> Option<Name> {
        let hash = name_hash(&self.hasher, &self.names.get(key)?.text);
        self.name_table.remove(hash, key.index());
        self.names.remove(key)
    }

    pub fn alias(&self, text: &str, owner: Option<u32>) -> Option<AliasKey> {
        let hash = self.alias_hash(text, owner);
        let place = self.alias_table.find(hash, |place| {
            let alias = self.aliases.at(place).1;
            alias.owner == owner && *alias.text == *text
        })?;
        Some(self.aliases.at(place).0)
    }

    fn alias_hash(&self, text: &str, owner: Option<u32>) -> u32 {
        self.hasher.hash_one((text, owner)) as u32
    }

    /// Adds an alias of a name, which must not be there.
    pub fn insert_alias(
        &mut self,
        text: &str,
        owner: Option<u32>,
        name: NameKey,
        query: &str,
    ) -> AliasKey {
        let hash = self.alias_hash(text, owner);
        let key = self.aliases.insert(Alias {
            text: text.into(),
            owner,
            name,
            query: query.into(),
            resource: None,
            loading: false,
            stale: false,
            lost: false,
            tree: None,
            subs: Few::None,
            name_slot: self.names[name].aliases.len() as u32,
            resource_slot: 0,
        });
        self.names[name].aliases.push(key);
        self.alias_table.insert(hash, key.index());
        key
    }

    /// Removes an alias without subscriptions.
    pub fn remove_alias(&mut self, key: AliasKey) {
        let Some(alias) = self.aliases.get(key) else {
            return;
        };
        self.epoch += 1;
        let hash = self.alias_hash(&alias.text, alias.owner);
        self.alias_table.remove(hash, key.index());
        self.unlink_alias(key);
        let Some(alias) = self.aliases.remove(key) else {
            return;
        };
        let slot = alias.name_slot as usize;
        let siblings = &mut self.names[alias.name].aliases;
        siblings.swap_remove(slot);
        if let Some(moved) = siblings.get(slot) {
            self.aliases[*moved].name_slot = slot as u32;
        }
    }

    /// Makes an alias mean a resource.
    pub fn link_alias(&mut self, key: AliasKey, resource: ResourceKey) {
        self.epoch += 1;
        self.unlink_alias(key);
        let siblings = &mut self.resources[resource].aliases;
        self.aliases[key].resource = Some(resource);
        self.aliases[key].resource_slot = siblings.len() as u32;
        siblings.push(key);
    }

    fn unlink_alias(&mut self, key: AliasKey) {
        let Some(resource) = self.aliases[key].resource.take() else {
            return;
        };
        let slot = self.aliases[key].resource_slot as usize;
        let siblings = &mut self.resources[resource].aliases;
        siblings.swap_remove(slot);
        if let Some(moved) = siblings.get(slot) {
            self.aliases[*moved].resource_slot = slot as u32;
        }
    }

    /// The loaded resource of a name and normalised query.
    pub fn resource(&self, name: NameKey, query: &str) -> Option<ResourceKey> {
        let name = &self.names[name];
        if query.is_empty() {
            name.bare
        } else {
            name.queries.get(query).copied()
        }
    }

    pub fn insert_resource(&mut self, name: NameKey, query: &str, content: Content) -> ResourceKey {
        self.bytes += RESOURCE_COST + content.bytes();
        let key = self.resources.insert(Resource {
            name,
            query: query.into(),
            content: Rc::new(content),
            aliases: Few::None,
            refresh: None,
            checking: false,
        });
        let name = &mut self.names[name];
        if query.is_empty() {
            name.bare = Some(key);
        } else {
            name.queries.insert(query.into(), key);
        }
        key
    }

    /// Forgets a resource. Its aliases stay while they have subscriptions, and mean
    /// nothing until they are loaded again.
    pub fn remove_resource(&mut self, key: ResourceKey) {
        self.epoch += 1;
        self.stop_refresh(key);
        let Some(resource) = self.resources.remove(key) else {
            return;
        };
        self.bytes -= RESOURCE_COST + resource.content.bytes();
        let name = &mut self.names[resource.name];
        if resource.query.is_empty() {
            name.bare = None;
        } else {
            name.queries.remove(&resource.query);
        }
        for alias in resource.aliases {
            self.aliases[alias].resource = None;
            if self.aliases[alias].subs.is_empty() && !self.aliases[alias].loading {
                self.remove_alias(alias);
            }
        }
    }

    /// Whether a resource has subscriptions, through whichever alias.
    pub fn is_used(&self, resource: &Resource) -> bool {
        resource
            .aliases
            .iter()
            .any(|alias| !self.aliases[*alias].subs.is_empty())
    }

    /// The resource in the next place, round and round, if there is one that can be compared
    /// with what its service has. It is being compared from now on.
    pub fn begin_check(&mut self) -> Option<ResourceKey> {
        let places = self.resources.places();
        let place = self.check_at;
        self.check_at = if place + 1 < places { place + 1 } else { 0 };
        let key = self.resources.key_at(place as u32)?;
        let is_due = !self.resources[key].checking && self.is_checkable(key);
        self.resources[key].checking = is_due;
        is_due.then_some(key)
    }

    /// A resource has been compared, or could not be.
    pub fn end_check(&mut self, key: ResourceKey) {
        if let Some(resource) = self.resources.get_mut(key) {
            resource.checking = false;
        }
    }

    /// Whether a resource is in use, and its content not in doubt.
    pub fn is_checkable(&self, key: ResourceKey) -> bool {
        let resource = self.resources.get(key);
        resource.is_some_and(|resource| resource.refresh.is_none() && self.is_used(resource))
    }

    /// Something begins to use a name.
    pub fn hold_name(&mut self, key: NameKey) {
        let name = &mut self.names[key];
        name.uses += 1;
        if let Some(timer) = name.linger.take() {
            self.lingering.remove(timer);
        }
    }

    /// Something ends its use of a name. The last one leaves it cached for a while, if the
    /// broker sends its events.
    pub fn release_name(&mut self, key: NameKey, now: Time) -> Released {
        let Some(name) = self.names.get_mut(key) else {
            return Released::Kept;
        };
        debug_assert!(name.uses > 0, "a name is released once for each use");
        name.uses = name.uses.saturating_sub(1);
        if name.uses > 0 {
            return Released::Kept;
        }
        if !name.subscribed {
            return Released::Unused;
        }
        name.linger = Some(self.lingering.insert(now, key));
        Released::Kept
    }

    /// A name was used for a moment: if nothing else uses it, its time begins anew.
    pub fn touch_name(&mut self, key: NameKey, now: Time) {
        let name = &mut self.names[key];
        if let Some(timer) = &mut name.linger {
            self.lingering.remove(*timer);
            *timer = self.lingering.insert(now, key);
        }
    }

    /// A name whose time without use is over.
    pub fn end_linger(&mut self, now: Time) -> Option<NameKey> {
        let key = self.lingering.pop(now)?;
        self.names[key].linger = None;
        Some(key)
    }

    /// The time without use of a name is over before its time.
    pub fn end_linger_of(&mut self, key: NameKey) {
        if let Some(timer) = self.names[key].linger.take() {
            self.lingering.remove(timer);
        }
    }

    /// When the next name's time without use is over.
    pub fn next_linger(&self) -> Option<Time> {
        self.lingering.next()
    }

    /// How many names nothing uses.
    pub fn lingering(&self) -> usize {
        self.lingering.len()
    }

    /// A name's events are wanted from now on, and were subscribed on a connection, or will
    /// be on the next one.
    pub fn subscribe(&mut self, key: NameKey, heard_on: Connection) {
        let name = &mut self.names[key];
        (name.subscribed, name.heard_on) = (true, heard_on);
    }

    /// The broker does not send a name's events.
    pub fn unsubscribe(&mut self, key: NameKey) {
        let name = &mut self.names[key];
        (name.subscribed, name.heard_on) = (false, Connection::NONE);
    }

    /// A get request for an alias is open or due. `None` if there is no such alias.
    pub fn begin_load(&mut self, key: AliasKey) -> Option<&Alias> {
        self.epoch += 1;
        let alias = self.aliases.get_mut(key)?;
        alias.loading = true;
        Some(alias)
    }

    /// The get request of an alias has a place of a tree's throttle.
    pub fn take_place(&mut self, key: AliasKey, tree: TreeKey) {
        self.aliases[key].tree = Some(tree);
    }

    /// The get request of an alias is over, or not due any more.
    pub fn end_load(&mut self, key: AliasKey) -> Option<EndedLoad> {
        let alias = self.aliases.get_mut(key)?;
        alias.loading = false;
        Some(EndedLoad {
            is_stale: std::mem::take(&mut alias.stale),
            is_lost: std::mem::take(&mut alias.lost),
            tree: alias.tree.take(),
        })
    }

    /// The get request of an alias was due and is not any more. One that is sent for it from
    /// now on comes behind the resets so far.
    pub fn put_off_load(&mut self, key: AliasKey) {
        if let Some(alias) = self.aliases.get_mut(key) {
            (alias.loading, alias.stale, alias.lost) = (false, false, false);
        }
    }

    /// The get request of an alias is sent once more: what put its answer in doubt came before.
    pub fn load_again(&mut self, key: AliasKey) {
        if let Some(alias) = self.aliases.get_mut(key) {
            (alias.stale, alias.lost) = (false, false);
        }
    }

    /// What is being loaded of a name may be out of date when it comes.
    pub fn mark_stale(&mut self, key: NameKey) {
        for alias in &self.names[key].aliases {
            let alias = &mut self.aliases[*alias];
            alias.stale = alias.loading;
        }
    }

    /// The same, and events are lost that it may not have in it.
    pub fn mark_lost(&mut self, key: NameKey) {
        for alias in &self.names[key].aliases {
            let alias = &mut self.aliases[*alias];
            alias.lost = alias.loading;
        }
    }

    /// Adds a subscription to an alias's, of which it gets the place that was asked for
    /// with [`Cache::next_slot`]. It uses the name.
    pub fn add_sub(&mut self, key: AliasKey, sub: SubKey) {
        let alias = &mut self.aliases[key];
        alias.subs.push(sub);
        let name = alias.name;
        self.hold_name(name);
    }

    /// The place that the next subscription of an alias gets.
    pub fn next_slot(&self, key: AliasKey) -> u32 {
        self.aliases[key].subs.len() as u32
    }

    /// Takes a subscription out of an alias's. Its use of the name is still to be ended.
    pub fn remove_sub(&mut self, key: AliasKey, slot: u32) -> SubRemoved {
        let alias = &mut self.aliases[key];
        alias.subs.swap_remove(slot as usize);
        SubRemoved {
            moved: alias.subs.get(slot as usize).copied(),
            is_empty: alias.subs.is_empty(),
            name: alias.name,
        }
    }

    /// The weight of all resources, and inputs that wait at all names: what an audit costs.
    #[cfg(debug_assertions)]
    pub fn weight(&self) -> usize {
        let resources = self.resources.iter();
        let values: usize = resources
            .map(|(_, resource)| resource.content.weight())
            .sum();
        let inboxes = self
            .names
            .iter()
            .filter_map(|(_, name)| name.inbox.as_ref());
        values + inboxes.map(|inbox| inbox.waiting()).sum::<usize>()
    }

    /// Checks tables, places and timers against what is kept.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        self.audit_names()?;
        self.audit_aliases()?;
        self.audit_resources()?;
        self.audit_pauses()
    }

    fn audit_names(&self) -> Result<(), String> {
        let mut lingering = 0;
        for (key, name) in self.names.iter() {
            if self.name(&name.text) != Some(key) {
                return Err(format!("the name {key:?} is not found"));
            }
            let is_unused = name.uses == 0;
            if is_unused != name.linger.is_some() || is_unused && !name.subscribed {
                return Err(format!(
                    "the name {key:?} has {} uses and lingers",
                    name.uses
                ));
            }
            lingering += usize::from(is_unused);
            for (slot, alias) in name.aliases.iter().enumerate() {
                let alias = self.aliases.get(*alias).ok_or("a name has a stale alias")?;
                if alias.name != key || alias.name_slot as usize != slot {
                    return Err(format!("an alias of {key:?} is not in its place"));
                }
            }
            for resource in name.resources() {
                let resource = self.resources.get(resource);
                if resource.is_none_or(|resource| resource.name != key) {
                    return Err(format!("a resource of {key:?} is another's"));
                }
            }
            name.inbox.as_ref().map_or(Ok(()), |inbox| inbox.audit())?;
        }
        let counts = (self.name_table.len(), self.lingering.len());
        match counts == (self.names.len(), lingering) {
            true => Ok(()),
            false => Err(format!("{counts:?} names are in the table and linger")),
        }
    }

    fn audit_aliases(&self) -> Result<(), String> {
        let mut placed = 0;
        for (key, alias) in self.aliases.iter() {
            if self.alias(&alias.text, alias.owner) != Some(key) {
                return Err(format!("the alias {key:?} is not found"));
            }
            let Some(name) = self.names.get(alias.name) else {
                return Err(format!("the alias {key:?} has no name"));
            };
            placed += usize::from(name.aliases.get(alias.name_slot as usize) == Some(&key));
            if let Some(resource) = alias.resource {
                let resource = self.resources.get(resource);
                let place = resource.and_then(|r| r.aliases.get(alias.resource_slot as usize));
                if place != Some(&key) {
                    return Err(format!("the alias {key:?} is not in its resource's"));
                }
            }
            let is_kept = alias.loading || alias.resource.is_some() || !alias.subs.is_empty();
            if !is_kept || !alias.loading && (alias.stale || alias.lost || alias.tree.is_some()) {
                return Err(format!("the alias {key:?} has what only loading ones have"));
            }
        }
        let counts = (self.alias_table.len(), placed);
        match counts == (self.aliases.len(), self.aliases.len()) {
            true => Ok(()),
            false => Err(format!("{counts:?} aliases are in the table and in names'")),
        }
    }

    fn audit_resources(&self) -> Result<(), String> {
        let mut bytes = 0;
        for (key, resource) in self.resources.iter() {
            let found = self.names.contains(resource.name)
                && self.resource(resource.name, &resource.query) == Some(key);
            if !found {
                return Err(format!("the resource {key:?} is not its name's"));
            }
            for alias in &resource.aliases {
                let alias = self.aliases.get(*alias);
                if alias.is_none_or(|alias| alias.resource != Some(key)) {
                    return Err(format!("an alias of {key:?} means another resource"));
                }
            }
            resource.content.audit()?;
            bytes += RESOURCE_COST + resource.content.bytes();
        }
        if bytes != self.bytes {
            let counted = self.bytes;
            return Err(format!(
                "resources count for {bytes} bytes, counted are {counted}"
            ));
        }
        Ok(())
    }
}

fn name_hash(hasher: &FixedState, text: &str) -> u32 {
    hasher.hash_one(text) as u32
}
