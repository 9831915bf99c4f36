//! Clients whose holdings are being put in order, clients at which a long step is under way,
//! and clients that have left and whose subscriptions are still to be taken out. None of them
//! is sent anything meanwhile: what a client lacks is known only when it is known what it
//! holds.

use crate::gateway::model::keys::ClientKey;
use crate::gateway::parts::worklist::Work;
use hashbrown::{HashMap, HashSet};

#[derive(Debug, Default)]
pub struct Unsettled {
    clients: HashMap<ClientKey, Waiting, foldhash::fast::RandomState>,
    /// Those whose holdings are not in order.
    disordered: Vec<ClientKey>,
    leaving: HashSet<ClientKey, foldhash::fast::RandomState>,
    /// Clients that are settled since they were last told that they may ask again.
    resumed: Vec<ClientKey>,
    /// Whether [`Work::Collect`] is in the worklist.
    collecting: bool,
}

/// What waits until a client is settled, and why it has to.
#[derive(Debug, Default)]
struct Waiting {
    work: Vec<Work>,
    /// Its holdings are not in order.
    is_disordered: bool,
    /// A step of its own is under way.
    is_held: bool,
}

impl Unsettled {
    /// Whether all clients are settled and none is leaving.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.leaving.is_empty()
    }

    /// Whether a client is sent nothing.
    pub fn has(&self, client: ClientKey) -> bool {
        !self.clients.is_empty() && self.clients.contains_key(&client)
    }

    /// A client's holdings are not in order.
    pub fn add(&mut self, client: ClientKey) {
        let there = self.clients.entry(client).or_default();
        if !std::mem::replace(&mut there.is_disordered, true) {
            self.disordered.push(client);
        }
    }

    /// A step of a client's own is under way, until [`Unsettled::release`].
    pub fn hold(&mut self, client: ClientKey) {
        self.clients.entry(client).or_default().is_held = true;
    }

    /// A client's own step is done. Returns what has waited, if the client is settled then.
    pub fn release(&mut self, client: ClientKey) -> Option<Vec<Work>> {
        let there = self.clients.get_mut(&client)?;
        there.is_held = false;
        match there.is_disordered {
            true => None,
            false => self.clients.remove(&client).map(|there| there.work),
        }
    }

    /// Keeps work for an unsettled client until it is settled, and none for one that has left.
    /// Returns work that may be done.
    pub fn put_off(&mut self, client: ClientKey, work: Work) -> Option<Work> {
        if let Some(there) = self.clients.get_mut(&client) {
            there.work.push(work);
            return None;
        }
        (!self.leaving.contains(&client)).then_some(work)
    }

    /// The holdings of all clients are in order. Returns each that is settled, with what has
    /// waited, in the order of their keys: equal inputs give equal outputs.
    pub fn settle(&mut self) -> Vec<(ClientKey, Vec<Work>)> {
        let mut disordered = std::mem::take(&mut self.disordered);
        disordered.sort_unstable();
        let settled = disordered.into_iter().filter_map(|client| {
            let there = self.clients.get_mut(&client)?;
            there.is_disordered = false;
            match there.is_held {
                true => None,
                false => Some((client, self.clients.remove(&client)?.work)),
            }
        });
        settled.collect()
    }

    /// A client may ask again, unless it is unsettled once more at the end of the input.
    pub fn resume(&mut self, client: ClientKey) {
        self.resumed.push(client);
    }

    /// A client that may ask again.
    pub fn take_resumed(&mut self) -> Option<ClientKey> {
        self.resumed.pop()
    }

    /// What is left over will be gone on with. Returns whether that was not so before.
    pub fn begin_collecting(&mut self) -> bool {
        !std::mem::replace(&mut self.collecting, true)
    }

    /// Whether something is left over.
    pub fn is_collecting(&self) -> bool {
        self.collecting
    }

    /// What is left over is gone on with.
    pub fn end_collecting(&mut self) {
        self.collecting = false;
    }

    /// A client has left, and some of its subscriptions are still there.
    pub fn leave(&mut self, client: ClientKey) {
        self.leaving.insert(client);
    }

    /// A client's last subscription is gone, or nothing waits for it any more.
    pub fn forget(&mut self, client: ClientKey) {
        self.clients.remove(&client);
        self.leaving.remove(&client);
    }

    /// Whether a client has left and some of its subscriptions are still there.
    pub fn is_leaving(&self, client: ClientKey) -> bool {
        !self.leaving.is_empty() && self.leaving.contains(&client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_waits_while_a_client_is_unsettled_and_is_nothing_to_one_that_has_left() {
        let (here, there) = (ClientKey(1), ClientKey(2));
        let mut unsettled = Unsettled::default();
        assert!(unsettled.is_empty() && unsettled.put_off(here, Work::Reset).is_some());
        unsettled.add(here);
        unsettled.leave(there);
        assert!(unsettled.has(here) && !unsettled.has(there) && unsettled.is_leaving(there));
        assert!(unsettled.put_off(here, Work::Reset).is_none());
        assert!(unsettled.put_off(there, Work::Reset).is_none());
        let settled = unsettled.settle();
        assert_eq!(
            (settled.len(), settled[0].0, settled[0].1.len()),
            (1, here, 1)
        );
        unsettled.forget(there);
        assert!(unsettled.is_empty());
        let keys = [9, 2, 40, 7, 0, 31, 5].map(ClientKey);
        keys.into_iter().for_each(|key| unsettled.add(key));
        assert!(unsettled.settle().iter().map(|(key, _)| key).is_sorted());
    }

    #[test]
    fn a_client_is_settled_when_nothing_keeps_it_any_more() {
        let (here, there) = (ClientKey(1), ClientKey(2));
        let mut unsettled = Unsettled::default();
        unsettled.hold(here);
        unsettled.hold(there);
        unsettled.add(here);
        assert!(unsettled.put_off(here, Work::Reset).is_none());
        // In either order.
        assert!(unsettled.settle().is_empty() && unsettled.has(here));
        assert_eq!(unsettled.release(here).map(|work| work.len()), Some(1));
        unsettled.add(there);
        assert!(unsettled.release(there).is_none() && unsettled.has(there));
        assert_eq!(unsettled.settle().len(), 1);
        assert!(unsettled.is_empty() && unsettled.release(there).is_none());
    }
}
