//! Subscriptions: what one client holds of one alias, directly or by reference.

use crate::gateway::model::arena::Arena;
use crate::gateway::model::content::Content;
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{
    AliasKey, ClientKey, PendingKey, SubKey, TreeKey, WaiterKey, of,
};
use crate::gateway::model::update::Queue;
use crate::res::Error;
use crate::res::service::Access;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::rc::Rc;

/// The place of no subscription.
pub const NOWHERE: u32 = u32::MAX;

/// A subscription. It lives while anything below holds it.
pub struct Sub {
    pub client: ClientKey,
    pub alias: AliasKey,
    /// Its place among the alias's subscriptions.
    pub slot: u32,
    /// The places of its neighbours among the client's subscriptions, or `NOWHERE`.
    pub next: u32,
    pub previous: u32,
    /// The place of a parent that may hold it, or any other: a hint, see `anchor`.
    pub parent: u32,
    /// Direct subscriptions that the client was told of.
    pub direct: u16,
    /// Open requests for it.
    pub open: u16,
    /// Parents that the client holds, and that reference it as the client knows them.
    pub sent_refs: u32,
    /// Parents that the client does not hold yet, and events that wait for it.
    pub unsent_refs: u32,
    pub state: State,
    /// Whether the client holds it: its data or its error.
    pub sent: bool,
    pub access: AccessState,
    /// Before it is sent, what is to be known of it if that is little: most that come with
    /// a tree or an event need no lag. It goes into the lag if there is one.
    pub brief: Brief,
    /// Only while it is not simply in step with its resource.
    pub lag: Option<Box<Lag>>,
}

/// The one thing to be known of a subscription that is not sent yet and has no lag.
#[derive(Debug, Default)]
pub enum Brief {
    #[default]
    Nothing,
    /// What waits for it to be loaded.
    Awaited(WaiterKey),
    /// The version that it stands at.
    Pinned(Rc<Content>),
}

/// How far a subscription is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its alias is being loaded.
    Loading,
    /// It has content: the resource's own, or the older version of its lag.
    Ready,
    /// The resource could not be loaded.
    Failed,
    /// The resource was deleted. Nothing more comes; what the client holds stays.
    Deleted,
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

/// The state of a subscription that is not in step.
#[derive(Default)]
pub struct Lag {
    /// What the client holds, or will be sent first. Always there in the states `Ready`
    /// and `Deleted`.
    pub version: Option<Rc<Content>>,
    /// What the client holds of a deleted resource that is being loaded again, until it
    /// is sent the new one. Its references keep counting as those of what is held.
    pub old: Option<Rc<Content>>,
    /// What happened since, in order.
    pub queue: Queue,
    /// Steps of the first update that the client has been sent.
    pub step: usize,
    /// Steps of it that the version has in it.
    pub applied: usize,
    /// Memory that the queue refers to, in bytes.
    pub queue_size: usize,
    /// Waits for references of the first event in the queue.
    pub waiting: Option<WaiterKey>,
    /// Requests and events that wait for this subscription to be loaded.
    pub waiters: Few<WaiterKey>,
    /// While it is being loaded: the throttle of its tree, if there is one.
    pub tree: Option<TreeKey>,
    /// Events wait, since access is being asked again.
    pub held: bool,
    /// A deletion is in the queue or done: the resource's later events are another's.
    pub ended: bool,
    /// While events wait: access was put in question once more.
    pub reaccess: bool,
    /// Why loading failed.
    pub error: Option<Rc<Error>>,
}

impl Sub {
    /// Whether the resource's events can be sent on at once.
    pub fn is_live(&self) -> bool {
        self.lag.is_none() && self.sent
    }

    pub fn is_referenced(&self) -> bool {
        self.direct > 0 || self.open > 0 || self.sent_refs > 0 || self.unsent_refs > 0
    }

    pub fn lag(&mut self) -> &mut Lag {
        self.lag.get_or_insert_with(|| {
            let mut lag = Box::<Lag>::default();
            match std::mem::take(&mut self.brief) {
                Brief::Nothing => {}
                Brief::Awaited(waiter) => lag.waiters.push(waiter),
                Brief::Pinned(version) => lag.version = Some(version),
            }
            lag
        })
    }

    /// Something begins to wait for it to be loaded.
    pub fn await_load(&mut self, waiter: WaiterKey) {
        match (&self.lag, &self.brief) {
            (None, Brief::Nothing) => self.brief = Brief::Awaited(waiter),
            _ => self.lag().waiters.push(waiter),
        }
    }

    /// It is loaded, or has failed to: takes what waited for that.
    pub fn take_waiters(&mut self) -> Few<WaiterKey> {
        match (&mut self.lag, &self.brief) {
            (Some(lag), _) => std::mem::take(&mut lag.waiters),
            (None, Brief::Awaited(waiter)) => {
                let waiter = Few::One(*waiter);
                self.brief = Brief::Nothing;
                waiter
            }
            (None, _) => Few::None,
        }
    }

    /// It stands at a version of its own now. What waited for it has been taken.
    pub fn pin(&mut self, version: Rc<Content>) {
        match &mut self.lag {
            Some(lag) => lag.version = Some(version),
            None => self.brief = Brief::Pinned(version),
        }
    }

    /// Whether it stands at a version of its own, and nothing is below that.
    pub fn is_pinned_leaf(&self) -> bool {
        matches!(&self.brief, Brief::Pinned(version) if !version.has_references())
    }

    /// The version that it stands at, if it has one of its own.
    pub fn version(&self) -> Option<&Rc<Content>> {
        match (&self.lag, &self.brief) {
            (Some(lag), _) => lag.version.as_ref(),
            (None, Brief::Pinned(version)) => Some(version),
            (None, _) => None,
        }
    }

    /// Why it failed, if it did.
    pub fn error(&self) -> Option<&Rc<Error>> {
        self.lag.as_ref().and_then(|lag| lag.error.as_ref())
    }
}

/// All subscriptions, to be found by client and alias.
pub struct Subs {
    pub arena: Arena<of::Sub, Sub>,
    /// By hash. Each entry has its own beside it: a table that grows would else look at
    /// every subscription again.
    pub table: HashTable<Entry>,
    pub hasher: FixedState,
}

#[derive(Clone, Copy)]
pub struct Entry {
    hash: u32,
    place: u32,
}

impl Subs {
    pub fn new(seed: u64) -> Self {
        Self {
            arena: Arena::default(),
            table: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    pub fn find(&self, client: ClientKey, alias: AliasKey) -> Option<SubKey> {
        let hash = hash(&self.hasher, client, alias);
        let entry = self.table.find(spread(hash), |entry| {
            entry.hash == hash && {
                let sub = self.arena.at(entry.place).1;
                sub.client == client && sub.alias == alias
            }
        })?;
        Some(self.arena.at(entry.place).0)
    }

    pub fn insert(&mut self, sub: Sub) -> SubKey {
        let hash = hash(&self.hasher, sub.client, sub.alias);
        let key = self.arena.insert(sub);
        let entry = Entry {
            hash,
            place: key.index(),
        };
        self.table
            .insert_unique(spread(hash), entry, |entry| spread(entry.hash));
        key
    }

    pub fn remove(&mut self, key: SubKey) -> Option<Sub> {
        let sub = self.arena.get(key)?;
        let hash = hash(&self.hasher, sub.client, sub.alias);
        let entry = self
            .table
            .find_entry(spread(hash), |entry| entry.place == key.index());
        if let Ok(entry) = entry {
            entry.remove();
        }
        self.arena.remove(key)
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

/// The table takes a bucket from the lower bits of a hash and a tag from the uppermost,
/// which must differ for neighbours.
fn spread(hash: u32) -> u64 {
    let mixed = hash.wrapping_mul(0x9E37_79B9);
    u64::from(mixed) << 32 | u64::from(hash)
}
