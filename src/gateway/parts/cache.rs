//! What the gateway knows of resources: names, resources and the IDs that clients use.

use crate::gateway::model::arena::Arena;
use crate::gateway::model::content::Content;
use crate::gateway::model::delay::TimerKey;
use crate::gateway::model::keys::{
    AliasKey, NameKey, PendingKey, ResetKey, ResourceKey, SubKey, TreeKey, of,
};
use crate::gateway::model::time::Time;
use crate::gateway::parts::requests::Answer;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::rc::Rc;

/// A resource name. Order is a property of the name: all its resources share it.
pub struct Name {
    pub text: Box<str>,
    /// Subscriptions of its aliases, and open requests.
    pub uses: u32,
    /// Whether the broker sends its events.
    pub subscribed: bool,
    /// Runs while it is subscribed and unused.
    pub linger: Option<TimerKey>,
    /// The resource without query.
    pub plain: Option<ResourceKey>,
    /// Query resources by normalised query.
    pub queries: BTreeMap<Box<str>, ResourceKey>,
    pub aliases: Vec<AliasKey>,
    /// Query requests without answer. While there are any, the inbox takes every input.
    pub open_queries: u32,
    pub inbox: VecDeque<Deferred>,
    /// Memory of what the inbox holds, in bytes.
    pub inbox_size: usize,
}

/// An input of a name that waits for the answers to a query event.
pub enum Deferred {
    /// An event of the resource.
    Event { event: Box<str>, payload: Box<[u8]> },
    /// An answer to a request.
    Answer(PendingKey, Answer<'static>),
    /// A get request that was to be sent for an alias.
    Load(AliasKey),
    /// Cached content that was to be handed to a new subscription.
    Take(SubKey),
    /// A reset of its resources.
    Reset(Option<ResetKey>),
    /// Access that was to be asked again for all its subscriptions.
    Reaccess(Option<ResetKey>),
}

/// A loaded resource: a name with a normalised query.
pub struct Resource {
    pub name: NameKey,
    pub query: Box<str>,
    pub content: Rc<Content>,
    pub aliases: Vec<AliasKey>,
    /// A get request to see whether the content is still true.
    pub refresh: Option<Box<Refresh>>,
}

/// A resource whose content is in doubt.
pub struct Refresh {
    pub state: RefreshState,
    pub failures: u32,
    /// Put in doubt once more since the get request was sent.
    pub again: bool,
    /// Events since the get request was sent: a good answer has them in it.
    pub held: Vec<(Box<str>, Box<str>)>,
    pub held_size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RefreshState {
    /// The get request waits for its turn.
    Queued,
    /// The get request is open.
    Open,
    /// The get request failed and is sent again at this time.
    Pausing(Time),
}

/// A resource ID as clients write it.
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
    /// A reset came while it was loading.
    pub stale: bool,
    /// The tree whose throttle its get request has a place of.
    pub tree: Option<TreeKey>,
    pub subs: Vec<SubKey>,
    /// Its places among the aliases of its name and of its resource.
    pub name_slot: u32,
    pub resource_slot: u32,
}

/// The tables of names, resources and aliases.
pub struct Cache {
    pub names: Arena<of::Name, Name>,
    pub resources: Arena<of::Resource, Resource>,
    pub aliases: Arena<of::Alias, Alias>,
    pub name_table: HashTable<u32>,
    pub alias_table: HashTable<u32>,
    pub hasher: FixedState,
}

impl Cache {
    pub fn new(seed: u64) -> Self {
        Self {
            names: Arena::default(),
            resources: Arena::default(),
            aliases: Arena::default(),
            name_table: HashTable::new(),
            alias_table: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    pub fn name(&self, text: &str) -> Option<NameKey> {
        let hash = self.hasher.hash_one(text);
        let index = self
            .name_table
            .find(hash, |i| *self.names.at(*i).1.text == *text)?;
        Some(self.names.at(*index).0)
    }

    /// Finds or makes a name. One that nothing uses must be given to `Gateway::unuse`.
    pub fn intern_name(&mut self, text: &str) -> NameKey {
        if let Some(key) = self.name(text) {
            return key;
        }
        let key = self.names.insert(Name {
            text: text.into(),
            uses: 0,
            subscribed: false,
            linger: None,
            plain: None,
            queries: BTreeMap::new(),
            aliases: Vec::new(),
            open_queries: 0,
            inbox: VecDeque::new(),
            inbox_size: 0,
        });
        let (names, hasher) = (&self.names, &self.hasher);
        self.name_table
            .insert_unique(hasher.hash_one(text), key.index(), |i| {
                hasher.hash_one(&*names.at(*i).1.text)
            });
        key
    }

    /// Removes a name that has neither resources nor aliases.
    pub fn remove_name(&mut self, key: NameKey) -> Option<Name> {
        let hash = self.hasher.hash_one(&*self.names.get(key)?.text);
        if let Ok(entry) = self.name_table.find_entry(hash, |i| *i == key.index()) {
            entry.remove();
        }
        self.names.remove(key)
    }

    pub fn alias(&self, text: &str, owner: Option<u32>) -> Option<AliasKey> {
        let index = self.alias_table.find(self.alias_hash(text, owner), |i| {
            let alias = self.aliases.at(*i).1;
            alias.owner == owner && *alias.text == *text
        })?;
        Some(self.aliases.at(*index).0)
    }

    pub fn alias_hash(&self, text: &str, owner: Option<u32>) -> u64 {
        alias_hash(&self.hasher, text, owner)
    }

    pub fn insert_alias(&mut self, mut alias: Alias) -> AliasKey {
        let (hash, name) = (self.alias_hash(&alias.text, alias.owner), alias.name);
        alias.name_slot = self.names[name].aliases.len() as u32;
        let key = self.aliases.insert(alias);
        push_one(&mut self.names[name].aliases, key);
        let (aliases, hasher) = (&self.aliases, &self.hasher);
        self.alias_table.insert_unique(hash, key.index(), |i| {
            let alias = aliases.at(*i).1;
            alias_hash(hasher, &alias.text, alias.owner)
        });
        key
    }

    /// Removes an alias without subscriptions.
    pub fn remove_alias(&mut self, key: AliasKey) {
        let Some(alias) = self.aliases.get(key) else {
            return;
        };
        let hash = self.alias_hash(&alias.text, alias.owner);
        if let Ok(entry) = self.alias_table.find_entry(hash, |i| *i == key.index()) {
            entry.remove();
        }
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
        self.unlink_alias(key);
        let siblings = &mut self.resources[resource].aliases;
        self.aliases[key].resource = Some(resource);
        self.aliases[key].resource_slot = siblings.len() as u32;
        push_one(siblings, key);
    }

    pub fn unlink_alias(&mut self, key: AliasKey) {
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
            name.plain
        } else {
            name.queries.get(query).copied()
        }
    }

    pub fn insert_resource(&mut self, name: NameKey, query: &str, content: Content) -> ResourceKey {
        let key = self.resources.insert(Resource {
            name,
            query: query.into(),
            content: Rc::new(content),
            aliases: Vec::new(),
            refresh: None,
        });
        let name = &mut self.names[name];
        if query.is_empty() {
            name.plain = Some(key);
        } else {
            name.queries.insert(query.into(), key);
        }
        key
    }

    /// Forgets a resource. Its aliases stay while they have subscriptions, and mean
    /// nothing until they are loaded again.
    pub fn remove_resource(&mut self, key: ResourceKey) {
        let Some(resource) = self.resources.remove(key) else {
            return;
        };
        let name = &mut self.names[resource.name];
        if resource.query.is_empty() {
            name.plain = None;
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
}

/// Appends to a list of which most have one entry only, without room for more.
pub fn push_one<T>(list: &mut Vec<T>, entry: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(entry);
}

fn alias_hash(hasher: &FixedState, text: &str, owner: Option<u32>) -> u64 {
    hasher.hash_one((text, owner))
}
