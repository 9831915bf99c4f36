//! From a subscription to those that its references hold.

use crate::gateway::Gateway;
use crate::gateway::model::content::Child;
use crate::gateway::model::keys::{AliasKey, ClientKey, SubKey};
use crate::res::rid::has_cid_tag;
use std::borrow::Cow;

impl Gateway {
    /// What a subscription references and holds, as far as its events have been sent.
    pub(super) fn child_ids(&self, key: SubKey) -> Cow<'_, [Child]> {
        if let Some(ids) = self.holdings.takings.references(key) {
            return Cow::Borrowed(ids);
        }
        let Some(content) = self.content(key) else {
            return Cow::default();
        };
        let ids = content.references();
        let lag = self.holdings[key].standing.lag();
        let between = lag.filter(|lag| lag.is_between());
        let Some((lag, update)) = between.and_then(|lag| Some((lag, lag.queue.front()?))) else {
            return Cow::Borrowed(ids);
        };
        // Some steps of the first update are done, but not applied to the version.
        let mut ids = ids.to_vec();
        for step in &update.steps[lag.applied..lag.step] {
            ids.retain(|id| !step.removed.iter().any(|gone| gone.rid == id.rid));
            ids.extend(step.added.iter().cloned());
        }
        Cow::Owned(ids)
    }

    /// Whether a subscription may reference anything.
    pub(super) fn has_children(&self, key: SubKey) -> bool {
        let lag = self.holdings[key].standing.lag();
        self.content(key)
            .is_some_and(|content| content.has_references())
            || lag.is_some_and(|lag| lag.is_between())
    }

    /// The subscriptions that a subscription's references hold.
    pub(in crate::gateway) fn children(&self, key: SubKey) -> Vec<SubKey> {
        let mut children = Vec::new();
        self.push_children(key, &mut children);
        children
    }

    /// The same, appended to a list.
    pub(super) fn push_children(&self, key: SubKey, children: &mut Vec<SubKey>) {
        let client = self.holdings[key].client();
        let ids = self.child_ids(key);
        children.extend(ids.iter().filter_map(|id| self.find_child(client, id)));
    }

    /// Appends what references of a subscription hold, of at most so many behind the first
    /// ones. Returns how many references these are.
    pub(super) fn push_some_children(
        &self,
        key: SubKey,
        first: usize,
        most: usize,
        children: &mut Vec<SubKey>,
    ) -> usize {
        let Some(sub) = self.holdings.get(key) else {
            return 0;
        };
        let (client, ids) = (sub.client(), self.child_ids(key));
        let ids = ids.iter().skip(first).take(most);
        let count = ids.len();
        children.extend(ids.filter_map(|id| self.find_child(client, id)));
        count
    }

    /// A client's subscription of something that is referenced, if it has one.
    pub(in crate::gateway) fn find_child(
        &self,
        client: ClientKey,
        child: &Child,
    ) -> Option<SubKey> {
        if let Some(alias) = self.known_alias(child) {
            return self.holdings.find(client, alias);
        }
        if has_cid_tag(&child.rid) {
            return self.find_sub(client, &child.rid);
        }
        self.holdings.find(client, self.cached_alias(child)?)
    }

    /// What a reference means for all clients, if that is known. One with a connection ID tag
    /// means something for each client.
    pub(in crate::gateway) fn cached_alias(&self, child: &Child) -> Option<AliasKey> {
        if let Some(alias) = self.known_alias(child) {
            return Some(alias);
        }
        // IDs with the tag are found with their owner alone.
        let alias = self.cache.alias(&child.rid, None)?;
        child.alias.set(Some(alias));
        Some(alias)
    }

    /// What a reference was found to mean, if that is still true: an alias always means the
    /// same, but may be gone.
    pub(super) fn known_alias(&self, child: &Child) -> Option<AliasKey> {
        let alias = child.alias.get()?;
        self.cache.aliases().contains(alias).then_some(alias)
    }

    /// The subscriptions that the deleted version of a revived subscription holds.
    pub(in crate::gateway) fn old_children(&self, key: SubKey) -> Vec<SubKey> {
        let sub = &self.holdings[key];
        let Some(old) = sub.standing.old() else {
            return Vec::new();
        };
        let ids = old.references();
        ids.iter()
            .filter_map(|id| self.find_child(sub.client(), id))
            .collect()
    }

    /// The subscriptions that the first event in a subscription's queue waits for.
    pub(in crate::gateway) fn awaited(&self, key: SubKey) -> Vec<SubKey> {
        let lag = self.holdings[key].standing.lag();
        let waiter = lag.and_then(|lag| self.waiters.get(lag.waiting?));
        let brought = waiter.map_or(&[][..], |waiter| waiter.brought());
        // Where all are dropped together, some are gone before others.
        let there = brought.iter().copied();
        there.filter(|key| self.holdings.contains(*key)).collect()
    }
}
