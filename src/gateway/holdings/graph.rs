//! The graph of what a client holds: which subscription keeps which, what is dropped
//! when a holder goes, and what the client must be sent again.
//!
//! A subscription is held directly, by open requests, or by parents that reference it.
//! Parents that the client holds count apart from those that it was not sent yet: a
//! resource that only the latter hold is one that the client does not have any more.

use super::search::Counting;
use crate::gateway::Gateway;
use crate::gateway::model::content::{Child, Content};
use crate::gateway::model::keys::{AliasKey, ClientKey, SubKey, TreeKey};
use crate::gateway::model::set::SetView;
use crate::gateway::parts::holdings::{Hold, Loading, Standing, Sub};
use crate::gateway::parts::worklist::Work;
use crate::res::rid::Rid;
use std::rc::Rc;

/// Aliases without subscriptions that are kept per resource.
const MAX_IDLE_ALIASES: usize = 64;
/// Longest text of such an alias, in bytes: clients choose it.
const MAX_IDLE_TEXT: usize = 1024;

/// Work of dropping a subscription, in units.
const DROPPED_UNITS: usize = 8;

/// Bytes of a resource ID that are forgotten in one unit of work: it is hashed and compared, and
/// its memory given back.
const FORGOTTEN: usize = 64;

impl Gateway {
    /// Finds or makes a client's subscription of a resource ID. A new one is loaded, and
    /// is gone with the next [`Gateway::collect`] that finds it unreferenced.
    ///
    /// `None` when the ID is not valid.
    pub(super) fn subscribe(
        &mut self,
        client: ClientKey,
        rid: &str,
        tree: Option<TreeKey>,
    ) -> Option<SubKey> {
        let alias = self.intern_alias(client, rid)?;
        self.subscribe_alias(client, alias, tree)
    }

    /// The same for a resource that another one references.
    pub(in crate::gateway) fn subscribe_child(
        &mut self,
        client: ClientKey,
        child: &Child,
        tree: Option<TreeKey>,
    ) -> Option<SubKey> {
        let alias = match self.known_alias(child) {
            Some(alias) => alias,
            None => {
                let alias = self.intern_alias(client, &child.rid)?;
                let is_tagged = self.cache.aliases()[alias].owner.is_some();
                child.alias.set((!is_tagged).then_some(alias));
                alias
            }
        };
        self.subscribe_alias(client, alias, tree)
    }

    fn subscribe_alias(
        &mut self,
        client: ClientKey,
        alias: AliasKey,
        tree: Option<TreeKey>,
    ) -> Option<SubKey> {
        let vacant = match self.holdings.look_up(client, alias) {
            Ok(sub) => return Some(sub),
            Err(vacant) => vacant,
        };
        self.sessions.get(client)?;
        let sub = Sub::new(client, alias, self.leaf(alias));
        let is_loading = sub.is_loading();
        let key = self
            .holdings
            .insert(vacant, sub, self.cache.next_slot(alias));
        self.cache.add_sub(alias, key);
        if is_loading {
            self.join_tree(key, tree);
            self.work.push(Work::Load(key));
        }
        Some(key)
    }

    fn intern_alias(&mut self, client: ClientKey, rid: &str) -> Option<AliasKey> {
        if let Some(alias) = self.find_alias(client, rid) {
            return Some(alias);
        }
        let target = self.target(client, rid)?;
        let parsed = Rid::parse(&target.expanded)?;
        let name = self.cache.intern_name(parsed.name);
        let query = parsed.query.unwrap_or_default();
        Some(self.cache.insert_alias(rid, target.owner, name, query))
    }

    /// The content that a subscription stands at: its own version, or the resource's.
    pub(in crate::gateway) fn content(&self, key: SubKey) -> Option<&Rc<Content>> {
        let sub = &self.holdings[key];
        if sub.is_live() {
            return Some(&self.cache.resource_of(sub.alias())?.content);
        }
        sub.standing.version()
    }

    /// The client does not hold the deleted version of a revived subscription any more.
    fn release_old(&mut self, key: SubKey) {
        if !self.holdings[key].is_revived() {
            return;
        }
        for child in self.old_children(key) {
            self.holdings.release(child, key, Hold::Sent);
        }
        self.holdings[key].standing.forget_old();
    }

    /// Keeps the version that a live subscription stands at.
    pub(in crate::gateway) fn freeze(&mut self, key: SubKey) {
        if self.holdings[key].is_live()
            && let Some(content) = self.content(key).cloned()
        {
            self.holdings[key].standing.freeze(content);
        }
    }

    /// The client has been sent what it lacked.
    pub(in crate::gateway) fn mark_sent(&mut self, set: SetView<'_>) {
        for member in set.members {
            self.mark_member_sent(member.sub, set.children_of(member));
        }
    }

    /// The client has been sent a subscription's data or error.
    pub(super) fn mark_member_sent(&mut self, key: SubKey, children: &[SubKey]) {
        let sub = &self.holdings[key];
        if sub.standing.is_sent() {
            return;
        }
        if sub.is_revived() {
            self.release_old(key);
        }
        // Before its children are: it may be one of them.
        if self.holdings[key].standing.mark_sent() {
            self.work.push(Work::Pump(key));
        }
        for child in children {
            self.holdings.promote(*child, key);
        }
    }

    /// The client does not hold a subscription any more, but something unsent does.
    pub(super) fn mark_unsent(&mut self, key: SubKey) {
        if !self.holdings[key].standing.is_sent() {
            return self.release_old(key);
        }
        self.stop_waiting(key);
        let children = self.children(key);
        if matches!(self.holdings[key].standing, Standing::Deleted(_)) {
            for child in children {
                self.holdings.release(child, key, Hold::Sent);
            }
            self.holdings[key].standing.reload();
            return self.load_again(key);
        }
        let content = self.content(key).cloned();
        self.holdings[key].standing.mark_unsent(content);
        for child in children {
            self.holdings.demote(child, key);
        }
        self.materialise(key);
    }

    /// Applies to a subscription's version what has been sent of its first update.
    pub(in crate::gateway) fn materialise(&mut self, key: SubKey) {
        let Some(lag) = self.holdings[key].standing.lag_mut() else {
            return;
        };
        let Some(update) = lag.queue.front() else {
            return;
        };
        if !lag.is_between() {
            return;
        }
        let steps = lag.applied..lag.step;
        let new_version = || self.cache.new_version();
        update.bring(&mut lag.version, steps, lag.queue.len(), new_version);
        lag.applied = lag.step;
    }

    /// Ends the wait of a subscription's first event; it begins anew when it is pumped.
    fn stop_waiting(&mut self, key: SubKey) {
        let awaited = self.awaited(key);
        let Some(lag) = self.holdings[key].standing.lag_mut() else {
            return;
        };
        if let Some(waiter) = lag.waiting.take() {
            self.waiters.remove(waiter);
            for child in awaited {
                self.holdings.release(child, key, Hold::Unsent);
            }
        }
    }

    /// Loads again what was deleted or failed, since the client asks for it. The client
    /// keeps what it holds of it until it is sent the new content.
    pub(super) fn revive(&mut self, key: SubKey) {
        self.holdings[key].standing.revive();
        self.load_again(key);
    }

    fn load_again(&mut self, key: SubKey) {
        self.join_tree(key, None);
        self.work.push(Work::Load(key));
    }

    /// Whether a revived subscription failed to load or is not wanted any more.
    pub(super) fn is_revived_in_vain(&mut self, key: SubKey) -> bool {
        let sub = &self.holdings[key];
        if !sub.is_revived() {
            return false;
        }
        let failed = sub.standing.error().is_some() && sub.holders.asked() == 0;
        failed || self.unanchored(&[key], Counting::Unsent).contains(&key)
    }

    /// Makes a revived subscription again what it was: deleted, and held as such.
    pub(super) fn give_up_revival(&mut self, key: SubKey) {
        self.stop_waiting(key);
        for child in self.children(key) {
            self.holdings.release(child, key, Hold::Unsent);
        }
        if let Some(taking) = self.holdings.takings.take(key) {
            self.leave_tree(taking.tree);
        }
        let tree = self.holdings[key].standing.give_up_revival();
        self.leave_tree(tree);
    }

    /// Whether a subscription may be held by what is below it, or stands in a way that a
    /// look at its own counts does not settle.
    pub(super) fn has_more_to_it(&self, key: SubKey) -> bool {
        let has_references = |content: &Rc<Content>| content.has_references();
        match &self.holdings[key].standing {
            Standing::Live | Standing::Pinned(_) => self.content(key).is_some_and(has_references),
            Standing::Loading(loading) => matches!(loading, Loading::Wide(_)),
            Standing::Lagging(_) | Standing::Failed(_) | Standing::Deleted(_) => true,
        }
    }

    /// Drops a subscription; what it held becomes suspect.
    pub(super) fn drop_sub(&mut self, key: SubKey) {
        self.work.spend(DROPPED_UNITS);
        let sub = &self.holdings[key];
        if !matches!(sub.standing, Standing::Live | Standing::Pinned(_)) {
            self.stop_waiting(key);
            self.release_old(key);
        }
        if self.has_children(key) {
            let hold = self.holdings[key].hold();
            for child in self.children(key) {
                self.holdings.release(child, key, hold);
            }
        }
        self.remove_sub(key);
    }

    /// Takes a subscription out of all tables, whatever it held.
    pub(in crate::gateway) fn remove_sub(&mut self, key: SubKey) {
        let Some(sub) = self.holdings.remove(key) else {
            return;
        };
        if let Some(waiter) = sub.standing.lag().and_then(|lag| lag.waiting) {
            self.waiters.remove(waiter);
        }
        let taking = self.holdings.takings.take(key);
        if let Some(tree) = sub
            .standing
            .tree()
            .or(taking.and_then(|taking| taking.tree))
        {
            self.leave_tree(Some(tree));
        }
        let (alias, slot) = (sub.alias(), sub.slot());
        let left = self.cache.remove_sub(alias, slot);
        match left.moved {
            Some(moved) => self.holdings.moved(moved, slot),
            None if left.is_empty => self.alias_unused(alias),
            None => {}
        }
        self.release_name(left.name);
    }

    /// The last subscription of an alias is gone.
    pub(super) fn alias_unused(&mut self, key: AliasKey) {
        if self.requests.has_extended_gets() {
            self.want_no_longer(key);
        }
        let alias = &self.cache.aliases()[key];
        self.work.spend(alias.text.len() / FORGOTTEN);
        let Some(resource) = alias.resource else {
            if !alias.loading {
                self.cache.remove_alias(key);
            }
            return;
        };
        if self.forget_if_unused(resource) {
            return;
        }
        let aliases = self.cache.resources()[resource].aliases.len();
        let alias = &self.cache.aliases()[key];
        let is_large = alias.text.len() > MAX_IDLE_TEXT;
        if alias.owner.is_some() || is_large || aliases > MAX_IDLE_ALIASES {
            self.cache.remove_alias(key);
        }
    }
}
