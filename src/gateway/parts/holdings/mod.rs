//! Subscriptions: what one client holds of one alias, directly or by reference; how they
//! are found, and which of them may have lost their last holder.

mod doubts;
mod holders;
mod parents;
mod standing;
mod suspects;
mod takings;

pub use holders::{Hold, Holders};
pub use standing::{Lag, Loaded, Loading, Recheck, Standing};
pub use takings::Taking;

use crate::gateway::model::arena::Arena;
use crate::gateway::model::content::Content;
use crate::gateway::model::keys::{AliasKey, ClientKey, PendingKey, SubKey, of};
use crate::gateway::model::table::Table;
use crate::res::Error;
use crate::res::service::Access;
use doubts::Doubts;
use foldhash::fast::FixedState;
use parents::{Lists, NOWHERE, Parents};
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};
use std::rc::Rc;
use suspects::Suspects;
use takings::Takings;

/// A subscription. It lives while anything holds it.
#[derive(Debug)]
pub struct Sub {
    client: ClientKey,
    alias: AliasKey,
    /// Its place among the alias's subscriptions.
    slot: u32,
    /// The places of its neighbours among the client's subscriptions, or `NOWHERE`.
    next: u32,
    previous: u32,
    /// The place of the parent by which it hangs on what is held directly, or `NOWHERE`: see
    /// [`Holdings::tree`].
    tree: u32,
    /// The parents that the client holds.
    parents: Parents,
    pub holders: Holders,
    pub access: AccessState,
    pub standing: Standing,
}

/// What is known of the client's access.
#[derive(Debug)]
pub enum AccessState {
    /// Nothing: it must be asked before use.
    Unknown,
    /// The service's answer, or its denial.
    Known(Rc<Result<Access, Error>>),
    /// A request is open.
    Asking(PendingKey),
}

impl Sub {
    /// A new one, which nothing holds yet: pinned if its content is there and can be
    /// handed to it at once, otherwise to be loaded.
    pub fn new(client: ClientKey, alias: AliasKey, content: Option<Rc<Content>>) -> Self {
        Self {
            client,
            alias,
            slot: 0,
            next: NOWHERE,
            previous: NOWHERE,
            tree: NOWHERE,
            parents: Parents::default(),
            holders: Holders::default(),
            access: AccessState::Unknown,
            standing: match content {
                Some(content) => Standing::Pinned(content),
                None => Standing::Loading(Loading::Alone),
            },
        }
    }

    pub fn client(&self) -> ClientKey {
        self.client
    }

    pub fn alias(&self) -> AliasKey {
        self.alias
    }

    /// Its place among the alias's subscriptions.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Whether the resource's events can be sent on at once.
    pub fn is_live(&self) -> bool {
        matches!(self.standing, Standing::Live)
    }

    /// Whether it is being loaded.
    pub fn is_loading(&self) -> bool {
        matches!(self.standing, Standing::Loading(_))
    }

    /// Whether it is loaded again while the client holds its deleted version.
    pub fn is_revived(&self) -> bool {
        self.standing.old().is_some()
    }

    /// Whether the client holds it: its data or its error, or what it was before it was
    /// deleted.
    pub fn is_held(&self) -> bool {
        self.standing.is_sent() || self.is_revived()
    }

    /// Whether it hangs on a parent that the client holds.
    pub fn hangs(&self) -> bool {
        self.tree != NOWHERE
    }

    /// Whether it stands at a version of its own that the client was not sent, and nothing
    /// is below that.
    pub fn is_pinned_leaf(&self) -> bool {
        matches!(&self.standing, Standing::Pinned(version) if !version.has_references())
    }

    /// How its references hold what they mean.
    pub fn hold(&self) -> Hold {
        match self.standing.is_sent() {
            true => Hold::Sent,
            false => Hold::Unsent,
        }
    }
}

impl Sub {
    /// A parent is not one of those that the client holds any more.
    fn unlink(&mut self, parent: SubKey, lists: &mut Lists) {
        lists.remove(&mut self.parents, parent.index());
        if self.tree == parent.index() {
            self.tree = NOWHERE;
        }
    }
}

/// Work of putting access to a subscription in question, in units.
pub const QUESTION_UNITS: usize = 4;

/// All subscriptions, to be found by client and alias, and by client.
#[derive(Debug)]
pub struct Holdings {
    arena: Arena<of::Sub, Sub>,
    /// By hash.
    table: Table,
    hasher: FixedState,
    /// The place of each client's first subscription, or `NOWHERE`.
    first: Vec<u32>,
    /// Those with several parents that the client holds have them here.
    lists: Lists,
    /// Subscriptions that may have lost their last holder.
    pub suspects: Suspects,
    /// Subscriptions that are taken over in several turns.
    pub takings: Takings,
    /// Clients whose token has changed.
    pub doubts: Doubts,
}

/// Where a subscription that is not there would be found.
pub struct Vacant {
    hash: u32,
}

impl Holdings {
    pub fn new(seed: u64) -> Self {
        Self {
            arena: Arena::default(),
            table: Table::default(),
            hasher: FixedState::with_seed(seed),
            first: Vec::new(),
            lists: Lists::default(),
            suspects: Suspects::default(),
            takings: Takings::default(),
            doubts: Doubts::default(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.arena.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (SubKey, &Sub)> {
        self.arena.iter()
    }

    pub fn get(&self, key: SubKey) -> Option<&Sub> {
        self.arena.get(key)
    }

    pub fn get_mut(&mut self, key: SubKey) -> Option<&mut Sub> {
        self.arena.get_mut(key)
    }

    pub fn contains(&self, key: SubKey) -> bool {
        self.arena.contains(key)
    }

    pub fn find(&self, client: ClientKey, alias: AliasKey) -> Option<SubKey> {
        self.look_up(client, alias).ok()
    }

    /// A client's subscription of an alias, or where it would be.
    ///
    /// # Errors
    /// There is none; [`Holdings::insert`] makes one.
    pub fn look_up(&self, client: ClientKey, alias: AliasKey) -> Result<SubKey, Vacant> {
        let hash = hash(&self.hasher, client, alias);
        let place = self.table.find(hash, |place| {
            let sub = self.arena.at(place).1;
            sub.client == client && sub.alias == alias
        });
        match place {
            Some(place) => Ok(self.arena.at(place).0),
            None => Err(Vacant { hash }),
        }
    }

    /// The first of a client's subscriptions; [`Holdings::next`] has the others.
    pub fn first(&self, client: ClientKey) -> Option<SubKey> {
        self.arena.key_at(*self.first.get(client.0 as usize)?)
    }

    /// The client's subscription that follows one.
    pub fn next(&self, key: SubKey) -> Option<SubKey> {
        self.arena.key_at(self.arena[key].next)
    }

    /// Adds a subscription, to the client's as well. `slot` is its place among those of the
    /// alias.
    pub fn insert(&mut self, vacant: Vacant, mut sub: Sub, slot: u32) -> SubKey {
        let client = sub.client.0 as usize;
        if client >= self.first.len() {
            self.first.resize(client + 1, NOWHERE);
        }
        sub.slot = slot;
        let next = self.first[client];
        sub.next = next;
        let key = self.arena.insert(sub);
        self.first[client] = key.index();
        if next != NOWHERE {
            self.arena.at_mut(next).previous = key.index();
        }
        self.table.insert(vacant.hash, key.index());
        key
    }

    /// Takes a subscription out, also from among the client's.
    pub fn remove(&mut self, key: SubKey) -> Option<Sub> {
        if !self.doubts.is_empty() && self.arena.contains(key) {
            self.pass_doubted(key);
        }
        let mut sub = self.arena.remove(key)?;
        let hash = hash(&self.hasher, sub.client, sub.alias);
        self.table.remove(hash, key.index());
        if sub.next != NOWHERE {
            self.arena.at_mut(sub.next).previous = sub.previous;
        }
        match sub.previous {
            NOWHERE => self.first[sub.client.0 as usize] = sub.next,
            previous => self.arena.at_mut(previous).next = sub.next,
        }
        self.lists.clear(&mut sub.parents);
        Some(sub)
    }

    /// A subscription has another place among those of its alias now.
    pub fn moved(&mut self, key: SubKey, slot: u32) {
        self.arena[key].slot = slot;
    }

    /// The subscription of a client that is next of those whose access is put in question has
    /// been, or is no more.
    pub fn pass_doubted(&mut self, key: SubKey) {
        let client = self.arena[key].client;
        self.doubts.pass(client, key, self.next(key));
    }

    /// A subscription may have lost its last holder.
    pub fn suspect(&mut self, key: SubKey) {
        self.suspects.suspect(key);
    }

    /// A parent lets a subscription go.
    pub fn release(&mut self, key: SubKey, parent: SubKey, hold: Hold) {
        let sub = &mut self.arena[key];
        sub.holders.release(hold);
        if hold == Hold::Sent {
            sub.unlink(parent, &mut self.lists);
        }
        self.suspects.suspect(key);
    }

    /// The client was sent a parent, or the event by which it references a subscription.
    pub fn promote(&mut self, key: SubKey, parent: SubKey) {
        let sub = &mut self.arena[key];
        sub.holders.promote();
        // What is held already may have the parent below it, and hangs on something else, or
        // is looked at.
        if sub.tree == NOWHERE {
            match sub.is_held() {
                false => sub.tree = parent.index(),
                true if sub.holders.direct() == 0 => self.suspects.suspect(key),
                true => {}
            }
        }
        self.lists.add(&mut sub.parents, parent.index());
    }

    /// The client does not hold a parent any more, which goes on holding the subscription.
    pub fn demote(&mut self, key: SubKey, parent: SubKey) {
        let sub = &mut self.arena[key];
        sub.holders.demote();
        sub.unlink(parent, &mut self.lists);
        self.suspects.suspect(key);
    }

    /// The parent by which a subscription hangs on what is held directly: whoever goes from
    /// parent to parent comes to a direct subscription, unless one on the way is suspect.
    pub fn tree(&self, key: SubKey) -> Option<SubKey> {
        self.arena.key_at(self.arena[key].tree)
    }

    /// A subscription hangs on this parent of its from now on. The way up from there must not
    /// lead to it.
    pub fn hang(&mut self, key: SubKey, parent: SubKey) {
        self.arena[key].tree = parent.index();
    }

    /// A direct subscription hangs on nothing any more.
    pub fn unhang(&mut self, key: SubKey) {
        self.arena[key].tree = NOWHERE;
    }

    /// The parents of a subscription that the client holds.
    pub fn parents(&self, key: SubKey) -> impl Iterator<Item = SubKey> {
        let places = self.lists.iter(self.arena[key].parents);
        places.map(|place| self.arena.at(place).0)
    }

    /// The clients of those that have come to be suspect since this was last asked.
    pub fn attribute(&mut self) -> Vec<ClientKey> {
        let keys = self.suspects.attribute();
        let clients = keys.filter_map(|key| Some(self.arena.get(key)?.client));
        let mut clients: Vec<ClientKey> = clients.collect();
        clients.sort();
        clients.dedup();
        clients
    }

    /// Checks the tables and chains against the subscriptions.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        if self.table.len() != self.arena.len() {
            return Err(format!(
                "{} subscriptions are in the table, {} are there",
                self.table.len(),
                self.arena.len()
            ));
        }
        let lists = self.arena.iter().filter(|(_, sub)| sub.parents.is_list());
        if lists.count() != self.lists.len() {
            return Err("there are more lists of parents than subscriptions have".into());
        }
        let mut chained = 0;
        for client in 0..self.first.len() {
            let client = ClientKey(client as u32);
            let (mut at, mut previous) = (self.first(client), NOWHERE);
            while let Some(key) = at {
                let sub = &self.arena[key];
                if sub.client != client || sub.previous != previous {
                    return Err(format!("the chain of {client:?} is broken at {key:?}"));
                }
                if self.find(client, sub.alias) != Some(key) {
                    return Err(format!("{key:?} is not found by client and alias"));
                }
                chained += 1;
                previous = key.index();
                at = self.next(key);
            }
        }
        if chained != self.arena.len() {
            return Err(format!(
                "{chained} subscriptions are in clients' chains, {} are there",
                self.arena.len()
            ));
        }
        Ok(())
    }
}

/// For keys whose subscription is known to exist, since what holds the key keeps it.
impl Index<SubKey> for Holdings {
    type Output = Sub;

    fn index(&self, key: SubKey) -> &Sub {
        &self.arena[key]
    }
}

impl IndexMut<SubKey> for Holdings {
    fn index_mut(&mut self, key: SubKey) -> &mut Sub {
        &mut self.arena[key]
    }
}

/// Clients with neighbouring keys have neighbouring places in the table for one alias: an
/// event that brings a new resource makes a subscription for each of its receivers, one
/// after the other, and every place by itself would be a cache miss or two.
const NEAR: u32 = 16;

fn hash(hasher: &FixedState, client: ClientKey, alias: AliasKey) -> u32 {
    let (block, place) = (client.0 / NEAR, client.0 % NEAR);
    let hash = hasher.hash_one(u64::from(block) << 32 | u64::from(alias.index())) as u32;
    // Turned by a part of the hash, so that a client's own subscriptions spread evenly.
    hash & !(NEAR - 1) | hash.wrapping_add(place) & (NEAR - 1)
}
