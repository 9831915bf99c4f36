//! What clients say that they have, from an earlier connection: of each resource its tag.
//!
//! A resource that a client has is not sent to it when it is handed out for the first time.
//! To forget what a client has costs no more than sending it, so that all of this has short
//! limits: in number and bytes, of one client and of all, and in time.

use crate::gateway::model::keys::{ClientKey, ClientRef};
use crate::gateway::model::tag::Tag;
use crate::gateway::model::time::Time;
use crate::res::client;
use hashbrown::HashMap;
use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

/// Resources that one client may name, and the bytes of their IDs; it has none beyond them.
pub(crate) const MAX_NAMED: usize = 10_000;
pub(crate) const MAX_NAMED_BYTES: usize = 512 << 10;

/// Bytes that are kept of all clients; who comes when there is no room has nothing.
pub(crate) const MAX_KEPT: usize = 64 << 20;

/// Milliseconds for which what a client has is kept.
pub(crate) const KEPT: u64 = 60_000;

/// Clients that are looked at in one go.
const FORGOTTEN: usize = 64;

/// What one client has.
#[derive(Debug, Default)]
pub struct Has {
    /// The resource IDs, one behind the other.
    rids: String,
    /// In the order of their resource IDs, each once.
    entries: Vec<Entry>,
    /// How many of them nobody has asked for.
    left: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its resource ID begins and ends.
    start: u32,
    end: u32,
    /// None when it was asked for.
    tag: Option<Tag>,
}

impl Has {
    /// Reads what a client says that it has. What is no tag of ours is left out: such content
    /// nobody has.
    pub fn read(have: &str) -> Self {
        let mut has = Self::default();
        client::each_had(have, |rid, tag| {
            let Some(tag) = Tag::parse(tag.as_bytes()) else {
                return ControlFlow::Continue(());
            };
            let start = has.rids.len();
            if has.entries.len() == MAX_NAMED || start + rid.len() > MAX_NAMED_BYTES {
                return ControlFlow::Break(());
            }
            has.rids.push_str(rid);
            has.entries.push(Entry {
                start: start as u32,
                end: has.rids.len() as u32,
                tag: Some(tag),
            });
            ControlFlow::Continue(())
        });
        has.put_in_order();
        has
    }

    fn put_in_order(&mut self) {
        let rids = &self.rids;
        self.entries.sort_by_key(|entry| entry.rid(rids));
        // Of two of the same the later one counts.
        self.entries.dedup_by(|later, earlier| {
            let is_same = later.rid(rids) == earlier.rid(rids);
            if is_same {
                *earlier = *later;
            }
            is_same
        });
        self.rids.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.left = self.entries.len();
    }

    /// How many resources it has.
    pub fn len(&self) -> usize {
        self.left
    }

    fn size(&self) -> usize {
        self.rids.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn take(&mut self, rid: &str) -> Option<Tag> {
        let rids = &self.rids;
        let place = (self.entries)
            .binary_search_by_key(&rid, |entry| entry.rid(rids))
            .ok()?;
        let tag = self.entries[place].tag.take();
        self.left -= usize::from(tag.is_some());
        tag
    }
}

impl Entry {
    fn rid<'r>(&self, rids: &'r str) -> &'r str {
        &rids[self.start as usize..self.end as usize]
    }
}

/// What all clients have.
#[derive(Debug, Default)]
pub struct Haves {
    clients: HashMap<ClientKey, Kept, foldhash::fast::RandomState>,
    /// The keys of these, each once, and when it is looked at whether they are old.
    order: VecDeque<(Time, ClientKey)>,
    /// Bytes that are kept.
    bytes: usize,
}

/// What is kept of one client; it is empty when that counts no more.
#[derive(Debug)]
struct Kept {
    serial: u32,
    since: Time,
    has: Has,
}

impl Haves {
    /// Keeps what a client has, in place of what it had.
    pub fn keep(&mut self, now: Time, client: ClientRef, has: Has) {
        self.forget(client.key);
        if has.left == 0 || self.bytes + has.size() > MAX_KEPT {
            return;
        }
        self.bytes += has.size();
        let kept = Kept {
            serial: client.serial,
            since: now,
            has,
        };
        if self.clients.insert(client.key, kept).is_none() {
            self.order.push_back((Time(now.0 + KEPT), client.key));
        }
    }

    /// Whether a client has anything.
    pub fn has(&self, client: ClientKey) -> bool {
        !self.clients.is_empty()
            && (self.clients.get(&client)).is_some_and(|kept| kept.has.left > 0)
    }

    /// What a client has of a resource. It counts once: from then on it holds what it is sent.
    pub fn take(&mut self, client: ClientKey, rid: &str) -> Option<Tag> {
        let kept = self.clients.get_mut(&client)?;
        let tag = kept.has.take(rid);
        if kept.has.left == 0 {
            self.forget(client);
        }
        tag
    }

    /// A client has nothing any more.
    pub fn forget(&mut self, client: ClientKey) {
        if let Some(kept) = self.clients.get_mut(&client) {
            let has = std::mem::take(&mut kept.has);
            self.bytes -= has.size();
        }
    }

    /// When something may be old.
    pub fn next_timeout(&self) -> Option<Time> {
        self.order.front().map(|(due, _)| *due)
    }

    /// Forgets what was kept for long enough, of some clients.
    pub fn forget_old(&mut self, now: Time) {
        for _ in 0..FORGOTTEN {
            if self.next_timeout().is_none_or(|due| due > now) {
                break;
            }
            let Some((_, client)) = self.order.pop_front() else {
                break;
            };
            let Some(kept) = self.clients.get(&client) else {
                continue;
            };
            let due = Time(kept.since.0 + KEPT);
            if kept.has.left > 0 && due > now {
                // It has said so anew.
                self.order.push_back((due, client));
                continue;
            }
            self.forget(client);
            self.clients.remove(&client);
        }
        if self.clients.is_empty() {
            *self = Self::default();
        }
    }

    /// The clients that have anything.
    pub fn clients(&self) -> impl Iterator<Item = ClientRef> {
        let clients = self.clients.iter().filter(|(_, kept)| kept.has.left > 0);
        clients.map(|(key, kept)| ClientRef {
            key: *key,
            serial: kept.serial,
        })
    }

    /// Checks totals and times against what is kept.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let mut bytes = 0;
        for (key, Kept { has, .. }) in &self.clients {
            bytes += has.size();
            let left = has.entries.iter().filter(|entry| entry.tag.is_some());
            if left.count() != has.left {
                return Err(format!("miscounted: what {key:?} has"));
            }
        }
        if bytes != self.bytes {
            return Err(format!(
                "{bytes} bytes of what clients have are {}",
                self.bytes
            ));
        }
        let timed: BTreeSet<_> = self.order.iter().map(|(_, client)| *client).collect();
        let is_timed = self.clients.keys().all(|client| timed.contains(client));
        match is_timed && timed.len() == self.order.len() && timed.len() == self.clients.len() {
            true => Ok(()),
            false => Err("what some client has is never forgotten, or twice".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "ba7816bf8f01cfea414140de5dae2223";
    const OTHER: &str = "00000000000000000000000000000000";

    fn client(key: u32, serial: u32) -> ClientRef {
        let key = ClientKey(key);
        ClientRef { key, serial }
    }

    fn tag(text: &str) -> Option<Tag> {
        Tag::parse(text.as_bytes())
    }

    #[test]
    fn what_a_client_has_counts_once() {
        let mut haves = Haves::default();
        let has = format!(r#"{{"b":"{TAG}","a":"{OTHER}","c":"x","b":"{OTHER}","d":1}}"#);
        haves.keep(Time(0), client(1, 1), Has::read(&has));
        haves.audit().unwrap();
        let key = ClientKey(1);
        assert!(haves.has(key) && !haves.has(ClientKey(2)));
        assert_eq!(haves.take(ClientKey(2), "a"), None);
        for rid in ["c", "d", "", "aa"] {
            assert_eq!(haves.take(key, rid), None, "{rid}");
        }
        // The later of two counts.
        assert_eq!(haves.take(key, "b"), tag(OTHER));
        assert_eq!(haves.take(key, "b"), None);
        assert!(haves.has(key));
        assert_eq!(haves.take(key, "a"), tag(OTHER));
        assert!(!haves.has(key));
        assert_eq!(haves.bytes, 0);
        haves.audit().unwrap();
    }

    #[test]
    fn a_client_has_no_more_than_may_be() {
        let name = |n: usize| format!(r#""m.{n:05}":"{TAG}""#);
        let names = Vec::from_iter((0..MAX_NAMED + 5).map(name)).join(",");
        assert_eq!(Has::read(&format!("{{{names}}}")).len(), MAX_NAMED);
        let long = "x".repeat(100 << 10);
        let names = (0..9).map(|n| format!(r#""{long}{n}":"{TAG}""#));
        let names = Vec::from_iter(names).join(",");
        assert_eq!(Has::read(&format!("{{{names}}}")).len(), 5);
        for text in ["{}", r#"{"a":null}"#, r#"{"a":{}}"#] {
            assert_eq!(Has::read(text).len(), 0, "{text}");
        }
    }

    #[test]
    fn all_clients_have_no_more_than_may_be() {
        let mut haves = Haves::default();
        let long = "x".repeat(MAX_NAMED_BYTES);
        let has = format!(r#"{{"{long}":"{TAG}"}}"#);
        for n in 0..200 {
            haves.keep(Time(0), client(n, 1), Has::read(&has));
        }
        let most = MAX_KEPT / MAX_NAMED_BYTES;
        assert_eq!(haves.clients().count(), most - 1);
        haves.audit().unwrap();
        // Where one has gone there is room.
        haves.forget(ClientKey(0));
        haves.keep(Time(0), client(199, 1), Has::read(&has));
        assert!(haves.has(ClientKey(199)) && !haves.has(ClientKey(0)));
        haves.audit().unwrap();
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let mut haves = Haves::default();
        let has = || Has::read(&format!(r#"{{"a":"{TAG}"}}"#));
        assert_eq!(haves.next_timeout(), None);
        haves.keep(Time(0), client(1, 1), has());
        haves.keep(Time(10), client(2, 2), has());
        // The first has gone, and another one has its key, and says so twice.
        haves.forget(ClientKey(1));
        haves.keep(Time(20), client(1, 3), has());
        haves.keep(Time(30), client(1, 3), has());
        haves.audit().unwrap();
        assert_eq!(haves.next_timeout(), Some(Time(KEPT)));
        haves.forget_old(Time(KEPT));
        assert!(haves.has(ClientKey(1)) && haves.has(ClientKey(2)));
        haves.forget_old(Time(KEPT + 10));
        assert!(haves.has(ClientKey(1)) && !haves.has(ClientKey(2)));
        haves.audit().unwrap();
        haves.forget_old(Time(KEPT + 30));
        assert_eq!(haves.next_timeout(), None);
        assert_eq!((haves.bytes, haves.clients.len()), (0, 0));
    }
}
