//! The graph of what a client holds: which subscription keeps which, what is dropped
//! when a holder goes, and what the client must be sent again.
//!
//! A subscription is held directly, by open requests, or by parents that reference it.
//! Parents that the client holds count apart from those that it was not sent yet: a
//! resource that only the latter hold is one that the client does not have any more.

use super::Gateway;
use super::anchor::ParentHints;
use super::arena::Key;
use super::cache::{Alias, AliasKey, push_one};
use super::content::Content;
use super::outbox::ClientKey;
use super::subscription::{AccessState, Lag, State, Sub, SubKey};
use super::throttle::TreeThrottle;
use super::work::Work;
use crate::res::rid::{Rid, has_cid_tag};
use hashbrown::{HashMap, HashSet};
use std::rc::Rc;

/// Aliases without subscriptions that are kept per resource.
const MAX_IDLE_ALIASES: usize = 64;
/// Longest text of such an alias, in bytes: clients choose it.
const MAX_IDLE_TEXT: usize = 1024;

/// Which holders of a subscription a look at the graph counts, beside direct ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holders {
    /// Parents that the client holds.
    Sent,
    /// Open requests and parents that it does not hold.
    Unsent,
    /// All of them.
    All,
}

impl Gateway {
    /// Finds or makes a client's subscription of a resource ID. A new one is loaded, and
    /// is gone with the next [`Gateway::collect`] that finds it unreferenced.
    ///
    /// `None` when the ID is not valid.
    pub(super) fn subscribe(
        &mut self,
        client: ClientKey,
        rid: &str,
        tree: Option<Key<TreeThrottle>>,
    ) -> Option<SubKey> {
        let alias = self.intern_alias(client, rid)?;
        if let Some(sub) = self.subs.find(client, alias) {
            return Some(sub);
        }
        let first = self.client(client)?.first;
        let slot = self.cache.aliases[alias].subs.len() as u32;
        let key = self.subs.insert(Sub {
            client,
            alias,
            slot,
            next: first,
            previous: None,
            parent: u32::MAX,
            direct: 0,
            open: 0,
            sent_refs: 0,
            unsent_refs: 0,
            state: State::Loading,
            sent: false,
            access: AccessState::Unknown,
            lag: None,
        });
        if let Some(first) = first {
            self.subs.arena[first].previous = Some(key);
        }
        if let Some(client) = self.client_mut(client) {
            client.first = Some(key);
        }
        push_one(&mut self.cache.aliases[alias].subs, key);
        self.hold_name(self.cache.aliases[alias].name);
        self.join_tree(key, tree);
        self.work.push_back(Work::Load(key));
        Some(key)
    }

    fn intern_alias(&mut self, client: ClientKey, rid: &str) -> Option<AliasKey> {
        let target = self.target(client, rid)?;
        if let Some(alias) = self.cache.alias(rid, target.owner) {
            return Some(alias);
        }
        let parsed = Rid::parse(&target.expanded)?;
        let name = self.cache.intern_name(parsed.name);
        Some(self.cache.insert_alias(Alias {
            text: rid.into(),
            owner: target.owner,
            name,
            query: parsed.query.unwrap_or_default().into(),
            resource: None,
            loading: false,
            stale: false,
            tree: None,
            subs: Vec::new(),
            name_slot: 0,
            resource_slot: 0,
        }))
    }

    /// A client's subscription of a resource ID, if it has one.
    pub(super) fn find_sub(&self, client: ClientKey, rid: &str) -> Option<SubKey> {
        let owner = if has_cid_tag(rid) {
            Some(self.client(client)?.serial)
        } else {
            None
        };
        self.subs.find(client, self.cache.alias(rid, owner)?)
    }

    /// The content that a subscription stands at: its own version, or the resource's.
    pub(super) fn content(&self, key: SubKey) -> Option<&Rc<Content>> {
        let sub = &self.subs.arena[key];
        if let Some(version) = sub.lag.as_ref().and_then(|lag| lag.version.as_ref()) {
            return Some(version);
        }
        if sub.state != State::Ready {
            return None;
        }
        let resource = self.cache.aliases[sub.alias].resource?;
        Some(&self.cache.resources[resource].content)
    }

    /// The resources that a subscription references, as far as its events have been sent.
    pub(super) fn child_ids(&self, key: SubKey) -> Rc<[Rc<str>]> {
        let Some(content) = self.content(key) else {
            return Rc::new([]);
        };
        let ids = content.references();
        let lag = self.subs.arena[key].lag.as_deref();
        let Some((lag, update)) = lag.and_then(|lag| Some((lag, lag.queue.front()?))) else {
            return ids;
        };
        if lag.applied == lag.step {
            return ids;
        }
        // Some steps of the first update are done, but not applied to the version.
        let mut ids = ids.to_vec();
        for step in &update.steps[lag.applied..lag.step] {
            ids.retain(|id| !step.removed.contains(id));
            ids.extend(step.added.iter().cloned());
        }
        ids.into()
    }

    /// The subscriptions that a subscription's references hold.
    pub(super) fn children(&self, key: SubKey) -> Vec<SubKey> {
        let client = self.subs.arena[key].client;
        let ids = self.child_ids(key);
        ids.iter()
            .filter_map(|id| self.find_sub(client, id))
            .collect()
    }

    /// The subscriptions that the deleted version of a revived subscription holds.
    fn old_children(&self, key: SubKey) -> Vec<SubKey> {
        let sub = &self.subs.arena[key];
        let Some(old) = sub.lag.as_deref().and_then(|lag| lag.old.as_ref()) else {
            return Vec::new();
        };
        let ids = old.references();
        ids.iter()
            .filter_map(|id| self.find_sub(sub.client, id))
            .collect()
    }

    /// The client does not hold the deleted version of a revived subscription any more.
    fn release_old(&mut self, key: SubKey) {
        for child in self.old_children(key) {
            self.subs.arena[child].sent_refs -= 1;
            self.suspects.push(child);
        }
        if let Some(lag) = &mut self.subs.arena[key].lag {
            lag.old = None;
        }
    }

    /// The subscriptions that the first event in a subscription's queue waits for.
    fn awaited(&self, key: SubKey) -> Vec<SubKey> {
        let sub = &self.subs.arena[key];
        let Some(lag) = sub.lag.as_deref().filter(|lag| lag.waiting.is_some()) else {
            return Vec::new();
        };
        let Some(update) = lag.queue.front() else {
            return Vec::new();
        };
        let added = update.steps[lag.step].added.iter();
        added
            .filter_map(|id| self.find_sub(sub.client, id))
            .collect()
    }

    /// Keeps the version that a live subscription stands at.
    pub(super) fn freeze(&mut self, key: SubKey) {
        let sub = &self.subs.arena[key];
        if sub.state != State::Ready || sub.lag.as_ref().is_some_and(|lag| lag.version.is_some()) {
            return;
        }
        let content = self.content(key).cloned();
        self.subs.arena[key].lag().version = content;
    }

    /// What the client does not hold of some trees, each after what references it.
    ///
    /// # Errors
    /// Those that are still being loaded.
    pub(super) fn unsent_below(&self, roots: &[SubKey]) -> Result<Vec<SubKey>, Vec<SubKey>> {
        let mut set: Vec<SubKey> = Vec::new();
        let mut loading = Vec::new();
        let mut seen: HashSet<SubKey, foldhash::fast::RandomState> = HashSet::default();
        let mut stack: Vec<SubKey> = roots.iter().rev().copied().collect();
        while let Some(next) = stack.pop() {
            let sub = &self.subs.arena[next];
            // An error is no state that a client keeps: each set tells it again.
            let holds = sub.sent && sub.state != State::Failed;
            if holds || !seen.insert(next) {
                continue;
            }
            match sub.state {
                State::Loading => loading.push(next),
                State::Ready => {
                    set.push(next);
                    if self
                        .content(next)
                        .is_some_and(|content| content.has_references())
                    {
                        stack.extend(self.children(next).into_iter().rev());
                    }
                }
                // What is deleted and could not be loaded again stays as the client holds it.
                State::Failed if self.is_revived(next) => {}
                State::Failed => set.push(next),
                State::Deleted => {}
            }
        }
        if loading.is_empty() {
            Ok(set)
        } else {
            Err(loading)
        }
    }

    /// The client has been sent a subscription's data or error.
    pub(super) fn mark_sent(&mut self, key: SubKey) {
        if self.subs.arena[key].sent {
            return;
        }
        for child in self.children(key) {
            let child = &mut self.subs.arena[child];
            child.unsent_refs -= 1;
            child.sent_refs += 1;
        }
        self.release_old(key);
        let sub = &mut self.subs.arena[key];
        sub.sent = true;
        if let (State::Ready, Some(lag)) = (sub.state, &sub.lag) {
            if lag.queue.is_empty() && !lag.held && lag.waiters.is_empty() {
                sub.lag = None;
            } else {
                self.work.push_back(Work::Pump(key));
            }
        }
    }

    /// The client does not hold a subscription any more, but something unsent does.
    fn mark_unsent(&mut self, key: SubKey) {
        if !self.subs.arena[key].sent {
            return self.release_old(key);
        }
        self.stop_waiting(key);
        self.freeze(key);
        let children = self.children(key);
        let sub = &mut self.subs.arena[key];
        sub.sent = false;
        if sub.state == State::Deleted {
            for child in children {
                self.subs.arena[child].sent_refs -= 1;
                self.suspects.push(child);
            }
            return self.reload(key);
        }
        for child in children {
            let child = &mut self.subs.arena[child];
            child.sent_refs -= 1;
            child.unsent_refs += 1;
        }
        self.materialise(key);
    }

    /// Applies to a subscription's version what has been sent of its first update.
    pub(super) fn materialise(&mut self, key: SubKey) {
        let Some(lag) = self.subs.arena[key].lag.as_deref_mut() else {
            return;
        };
        let (Some(version), Some(update)) = (&mut lag.version, lag.queue.front()) else {
            return;
        };
        if lag.applied == lag.step {
            return;
        }
        match &update.after {
            Some(after) if lag.step == update.steps.len() => *version = after.clone(),
            _ => {
                let content = Rc::make_mut(version);
                for step in &update.steps[lag.applied..lag.step] {
                    self.versions += 1;
                    content.apply(&step.kind, self.versions);
                }
            }
        }
        lag.applied = lag.step;
    }

    /// Ends the wait of a subscription's first event; it begins anew when it is pumped.
    fn stop_waiting(&mut self, key: SubKey) {
        let awaited = self.awaited(key);
        let Some(lag) = &mut self.subs.arena[key].lag else {
            return;
        };
        if let Some(waiter) = lag.waiting.take() {
            self.waiters.remove(waiter);
            for child in awaited {
                self.subs.arena[child].unsent_refs -= 1;
                self.suspects.push(child);
            }
        }
    }

    /// Loads again what was deleted or failed, since the client asks for it. The client
    /// keeps what it holds of it until it is sent the new content.
    pub(super) fn revive(&mut self, key: SubKey) {
        let sub = &mut self.subs.arena[key];
        let lag = sub.lag.as_deref_mut();
        let old = lag.and_then(|lag| lag.version.take().or(lag.old.take()));
        sub.sent = false;
        self.reload(key);
        self.subs.arena[key].lag().old = old;
    }

    fn reload(&mut self, key: SubKey) {
        let sub = &mut self.subs.arena[key];
        sub.state = State::Loading;
        let lag = sub.lag.take().unwrap_or_default();
        let tree = lag.tree;
        sub.lag = Some(Box::new(Lag {
            waiters: lag.waiters,
            held: lag.held,
            reaccess: lag.reaccess,
            ..Lag::default()
        }));
        self.leave_tree(tree);
        self.join_tree(key, None);
        self.work.push_back(Work::Load(key));
    }

    /// Whether a subscription is loaded again while the client holds its deleted version.
    pub(super) fn is_revived(&self, key: SubKey) -> bool {
        let lag = self.subs.arena[key].lag.as_deref();
        lag.is_some_and(|lag| lag.old.is_some())
    }

    /// Whether a revived subscription failed to load or is not wanted any more.
    fn is_revived_in_vain(&mut self, key: SubKey) -> bool {
        if !self.is_revived(key) {
            return false;
        }
        let sub = &self.subs.arena[key];
        let failed = sub.state == State::Failed && sub.open == 0 && sub.direct == 0;
        failed || self.unanchored(&[key], Holders::Unsent).contains(&key)
    }

    /// Makes a revived subscription again what it was: deleted, and held as such.
    fn give_up_revival(&mut self, key: SubKey) {
        self.stop_waiting(key);
        for child in self.children(key) {
            self.subs.arena[child].unsent_refs -= 1;
            self.suspects.push(child);
        }
        let sub = &mut self.subs.arena[key];
        let lag = sub.lag.take();
        let (version, tree) = lag.map_or((None, None), |lag| (lag.old, lag.tree));
        (sub.state, sub.sent) = (State::Deleted, true);
        sub.lag = Some(Box::new(Lag {
            version,
            ended: true,
            ..Lag::default()
        }));
        self.leave_tree(tree);
    }

    /// Drops what nothing holds any more among the suspects and below them, and marks
    /// what the client does not hold any more.
    pub(super) fn collect(&mut self) {
        let mut cyclic: Vec<SubKey> = Vec::new();
        loop {
            while let Some(key) = self.suspects.pop() {
                let Some(sub) = self.subs.arena.get(key) else {
                    continue;
                };
                if !sub.is_referenced() {
                    self.drop_sub(key);
                } else if sub.direct > 0 || self.is_known_to_be_held(key) {
                    continue;
                } else if self
                    .content(key)
                    .is_some_and(|content| content.has_references())
                    || sub.lag.is_some()
                {
                    cyclic.push(key);
                } else if sub.sent && sub.sent_refs == 0 {
                    self.mark_unsent(key);
                }
            }
            cyclic.retain(|key| self.subs.arena.contains(*key));
            if cyclic.is_empty() {
                return;
            }
            let roots = std::mem::take(&mut cyclic);
            for key in self.unanchored(&roots, Holders::Sent) {
                self.mark_unsent(key);
            }
            for key in &roots {
                if self.is_revived_in_vain(*key) {
                    self.give_up_revival(*key);
                }
            }
            for key in self.unanchored(&roots, Holders::All) {
                if self.subs.arena.contains(key) {
                    self.drop_sub(key);
                }
            }
        }
    }

    /// What is reachable from some subscriptions and held only from within that: no
    /// direct subscription, and no parent or open request outside that counts.
    fn unanchored(&mut self, roots: &[SubKey], holders: Holders) -> Vec<SubKey> {
        let arena = &self.subs.arena;
        let is_candidate = |sub: &Sub| {
            let revived = sub.lag.as_ref().is_some_and(|lag| lag.old.is_some());
            sub.direct == 0
                && match holders {
                    Holders::Sent => sub.sent || revived,
                    Holders::Unsent => !sub.sent && sub.open == 0,
                    Holders::All => sub.open == 0,
                }
        };
        // How many of each one's holders lie within.
        let mut within: HashMap<SubKey, u32, foldhash::fast::RandomState> = HashMap::default();
        let mut order: Vec<SubKey> = Vec::new();
        let mut edges: Vec<Vec<SubKey>> = Vec::new();
        for root in roots {
            if is_candidate(&arena[*root]) && within.insert(*root, 0).is_none() {
                order.push(*root);
            }
        }
        let mut at = 0;
        while at < order.len() {
            let key = order[at];
            let mut children = match holders {
                Holders::Sent if !arena[key].sent => Vec::new(),
                _ => self.children(key),
            };
            if holders != Holders::Unsent {
                children.extend(self.old_children(key));
            }
            if holders == Holders::All {
                children.extend(self.awaited(key));
            }
            children.retain(|child| is_candidate(&arena[*child]));
            for child in &children {
                *within.entry(*child).or_insert_with(|| {
                    order.push(*child);
                    0
                }) += 1;
            }
            edges.push(children);
            at += 1;
        }
        // Whoever has a holder outside anchors all that it reaches.
        let mut anchored: Vec<bool> = order
            .iter()
            .map(|key| {
                let sub = &arena[*key];
                let counted = match holders {
                    Holders::Sent => sub.sent_refs,
                    Holders::Unsent => sub.unsent_refs,
                    Holders::All => sub.sent_refs + sub.unsent_refs,
                };
                counted > within[key]
            })
            .collect();
        let places: HashMap<SubKey, usize, foldhash::fast::RandomState> =
            order.iter().enumerate().map(|(i, key)| (*key, i)).collect();
        let mut reached: Vec<usize> = (0..order.len()).filter(|i| anchored[*i]).collect();
        // Who is reached first has a shortest way up: hints along it make no circles.
        let mut hints = ParentHints::new(order.len());
        let mut at = 0;
        while at < reached.len() {
            let parent = reached[at];
            for child in &edges[parent] {
                let child = places[child];
                if !std::mem::replace(&mut anchored[child], true) {
                    reached.push(child);
                    hints.reached(child, parent);
                } else {
                    hints.reached_again(child, parent);
                }
            }
            at += 1;
        }
        if holders == Holders::Sent {
            for (child, parent) in hints.into_iter() {
                self.subs.arena[order[child]].parent = order[parent].index();
            }
        }
        order
            .into_iter()
            .zip(anchored)
            .filter(|(_, anchored)| !anchored)
            .map(|(key, _)| key)
            .collect()
    }

    /// Drops a subscription; what it held becomes suspect.
    fn drop_sub(&mut self, key: SubKey) {
        self.stop_waiting(key);
        self.release_old(key);
        let sent = self.subs.arena[key].sent;
        for child in self.children(key) {
            let child_sub = &mut self.subs.arena[child];
            if sent {
                child_sub.sent_refs -= 1;
            } else {
                child_sub.unsent_refs -= 1;
            }
            self.suspects.push(child);
        }
        self.remove_sub(key);
    }

    /// Takes a subscription out of all tables, whatever it held.
    pub(super) fn remove_sub(&mut self, key: SubKey) {
        let Some(sub) = self.subs.remove(key) else {
            return;
        };
        match sub.previous {
            Some(previous) => self.subs.arena[previous].next = sub.next,
            None => {
                if let Some(client) = self.client_mut(sub.client) {
                    client.first = sub.next;
                }
            }
        }
        if let Some(next) = sub.next {
            self.subs.arena[next].previous = sub.previous;
        }
        if let Some(lag) = sub.lag {
            if let Some(waiter) = lag.waiting {
                self.waiters.remove(waiter);
            }
            self.leave_tree(lag.tree);
        }
        let alias = &mut self.cache.aliases[sub.alias];
        let name = alias.name;
        alias.subs.swap_remove(sub.slot as usize);
        if let Some(moved) = alias.subs.get(sub.slot as usize) {
            self.subs.arena[*moved].slot = sub.slot;
        } else if alias.subs.is_empty() {
            self.alias_unused(sub.alias);
        }
        self.release_name(name);
    }

    /// The last subscription of an alias is gone.
    pub(super) fn alias_unused(&mut self, key: AliasKey) {
        let alias = &self.cache.aliases[key];
        let Some(resource) = alias.resource else {
            if !alias.loading {
                self.cache.remove_alias(key);
            }
            return;
        };
        if self.forget_if_unused(resource) {
            return;
        }
        let aliases = self.cache.resources[resource].aliases.len();
        let alias = &self.cache.aliases[key];
        let is_large = alias.text.len() > MAX_IDLE_TEXT;
        if alias.owner.is_some() || is_large || aliases > MAX_IDLE_ALIASES {
            self.cache.remove_alias(key);
        }
    }
}
