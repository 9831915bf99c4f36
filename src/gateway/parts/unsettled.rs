//! Clients whose holdings are being put in order, and clients that have left and whose
//! subscriptions are still to be taken out. Neither is sent anything meanwhile: what a client
//! lacks is known only when it is known what it holds.

use crate::gateway::model::keys::ClientKey;
use crate::gateway::parts::worklist::Work;
use hashbrown::HashSet;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Unsettled {
    /// What waits until a client's holdings are in order. They go on in the order of their
    /// keys: equal inputs give equal outputs.
    clients: BTreeMap<ClientKey, Vec<Work>>,
    leaving: HashSet<ClientKey, foldhash::fast::RandomState>,
    /// Clients that are settled since they were last told that they may ask again.
    resumed: Vec<ClientKey>,
    /// Whether [`Work::Collect`] is in the worklist.
    collecting: bool,
}

impl Unsettled {
    /// Whether all clients are settled and none is leaving.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.leaving.is_empty()
    }

    /// Whether a client's holdings are being put in order.
    pub fn has(&self, client: ClientKey) -> bool {
        !self.clients.is_empty() && self.clients.contains_key(&client)
    }

    /// A client's holdings are not in order.
    pub fn add(&mut self, client: ClientKey) {
        self.clients.entry(client).or_default();
    }

    /// Keeps work for an unsettled client until it is settled, and none for one that has left.
    /// Returns work that may be done.
    pub fn put_off(&mut self, client: ClientKey, work: Work) -> Option<Work> {
        if let Some(waiting) = self.clients.get_mut(&client) {
            waiting.push(work);
            return None;
        }
        (!self.leaving.contains(&client)).then_some(work)
    }

    /// All clients are settled. Returns each, with what has waited.
    pub fn settle(&mut self) -> impl Iterator<Item = (ClientKey, Vec<Work>)> + use<> {
        std::mem::take(&mut self.clients).into_iter()
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
        let settled: Vec<_> = unsettled.settle().collect();
        assert_eq!(
            (settled.len(), settled[0].0, settled[0].1.len()),
            (1, here, 1)
        );
        unsettled.forget(there);
        assert!(unsettled.is_empty());
        let keys = [9, 2, 40, 7, 0, 31, 5].map(ClientKey);
        keys.into_iter().for_each(|key| unsettled.add(key));
        assert!(unsettled.settle().map(|(key, _)| key).is_sorted());
    }
}
