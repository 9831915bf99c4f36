//! Clients whose token has changed: what they were allowed is put in question, one subscription
//! after the other, over turns.

use crate::gateway::model::keys::{ClientKey, SubKey};
use hashbrown::HashMap;

/// How far a client's subscriptions are gone through.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// The one that is next.
    next: SubKey,
    /// Whether access is asked again at once, where it matters to a direct subscription.
    is_asked: bool,
}

/// All clients that are gone through.
#[derive(Debug, Default)]
pub struct Doubts(HashMap<ClientKey, Doubt, foldhash::fast::RandomState>);

impl Doubts {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins with a client's first subscription, also where it is being gone through.
    pub fn begin(&mut self, client: ClientKey, first: Option<SubKey>, is_asked: bool) {
        let before = self.0.remove(&client);
        let is_asked = is_asked || before.is_some_and(|doubt| doubt.is_asked);
        if let Some(next) = first {
            self.0.insert(client, Doubt { next, is_asked });
        }
    }

    /// The subscription of a client that is next, and whether its access is asked again.
    pub fn next(&self, client: ClientKey) -> Option<(SubKey, bool)> {
        let doubt = self.0.get(&client)?;
        Some((doubt.next, doubt.is_asked))
    }

    /// Whether access to what a client holds is being put in question, and if so, whether it
    /// is asked again.
    pub fn of(&self, client: ClientKey) -> Option<bool> {
        match self.0.is_empty() {
            true => None,
            false => self.next(client).map(|(_, is_asked)| is_asked),
        }
    }

    /// A subscription is done, or is no more; that one follows it.
    pub fn pass(&mut self, client: ClientKey, key: SubKey, next: Option<SubKey>) {
        if self.0.is_empty() || self.next(client).is_none_or(|(at, _)| at != key) {
            return;
        }
        match (next, self.0.get_mut(&client)) {
            (Some(next), Some(doubt)) => doubt.next = next,
            _ => drop(self.0.remove(&client)),
        }
    }

    /// A client has left.
    pub fn forget(&mut self, client: ClientKey) {
        if !self.0.is_empty() {
            self.0.remove(&client);
        }
    }

    pub fn clients(&self) -> impl Iterator<Item = ClientKey> {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_gone_through_once_and_anew_with_the_next_token() {
        let (client, key) = (ClientKey(1), |n| SubKey::from_parts(n, 1));
        let mut doubts = Doubts::default();
        doubts.begin(client, Some(key(1)), true);
        assert_eq!(doubts.next(client), Some((key(1), true)));
        doubts.pass(client, key(9), None);
        doubts.pass(client, key(1), Some(key(2)));
        assert_eq!(doubts.next(client), Some((key(2), true)));
        doubts.begin(client, Some(key(1)), false);
        assert_eq!(doubts.next(client), Some((key(1), true)));
        doubts.pass(client, key(1), None);
        assert_eq!(doubts.of(client), None);
    }
}
