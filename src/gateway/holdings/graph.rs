//! The graph of what a client holds: which subscription keeps which, what is dropped
//! when a holder goes, and what the client must be sent again.
//!
//! A subscription is held directly, by open requests, or by parents that reference it.
//! Parents that the client holds count apart from those that it was not sent yet: a
//! resource that only the latter hold is one that the client does not have any more.

use crate::gateway::Gateway;
use crate::gateway::holdings::anchor::ParentHints;
use crate::gateway::model::content::{Child, Content};
use crate::gateway::model::keys::{AliasKey, ClientKey, Key, SubKey, TreeKey};
use crate::gateway::model::set::Set;
use crate::gateway::parts::cache::{Alias, push_one};
use crate::gateway::parts::holdings::{AccessState, Brief, Lag, NOWHERE, State, Sub};
use crate::gateway::parts::worklist::Work;
use crate::res::rid::Rid;
use hashbrown::HashMap;
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
    pub(in crate::gateway) fn subscribe(
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
                let is_tagged = self.cache.aliases[alias].owner.is_some();
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
        if let Some(sub) = self.subs.find(client, alias) {
            return Some(sub);
        }
        let first = self.client(client)?.first;
        let leaf = self.leaf(alias);
        let is_loaded = leaf.is_some();
        let there = &self.cache.aliases[alias];
        let name = there.name;
        let key = self.subs.insert(Sub {
            client,
            alias,
            slot: there.subs.len() as u32,
            next: first.map_or(NOWHERE, Key::index),
            previous: NOWHERE,
            parent: NOWHERE,
            direct: 0,
            open: 0,
            sent_refs: 0,
            unsent_refs: 0,
            state: match is_loaded {
                true => State::Ready,
                false => State::Loading,
            },
            sent: false,
            access: AccessState::Unknown,
            brief: leaf.map_or(Brief::Nothing, Brief::Pinned),
            lag: None,
        });
        if let Some(first) = first {
            self.subs.arena[first].previous = key.index();
        }
        if let Some(client) = self.client_mut(client) {
            client.first = Some(key);
        }
        push_one(&mut self.cache.aliases[alias].subs, key);
        self.hold_name(name);
        if !is_loaded {
            self.join_tree(key, tree);
            self.work.push_back(Work::Load(key));
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

    /// The content that a subscription stands at: its own version, or the resource's.
    pub(in crate::gateway) fn content(&self, key: SubKey) -> Option<&Rc<Content>> {
        let sub = &self.subs.arena[key];
        if let Some(version) = sub.version() {
            return Some(version);
        }
        if sub.state != State::Ready {
            return None;
        }
        let resource = self.cache.aliases[sub.alias].resource?;
        Some(&self.cache.resources[resource].content)
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

    /// Keeps the version that a live subscription stands at.
    pub(in crate::gateway) fn freeze(&mut self, key: SubKey) {
        let sub = &self.subs.arena[key];
        if sub.state != State::Ready || sub.version().is_some() {
            return;
        }
        let content = self.content(key).cloned();
        self.subs.arena[key].lag().version = content;
    }

    /// The client has been sent what it lacked.
    pub(in crate::gateway) fn mark_sent(&mut self, set: &Set) {
        for member in &set.members {
            self.mark_member_sent(member.sub, set.children_of(member));
        }
    }

    /// The client has been sent a subscription's data or error.
    fn mark_member_sent(&mut self, key: SubKey, children: &[SubKey]) {
        if self.subs.arena[key].sent {
            return;
        }
        for child in children {
            let child = &mut self.subs.arena[*child];
            child.unsent_refs -= 1;
            child.sent_refs += 1;
        }
        if self.is_revived(key) {
            self.release_old(key);
        }
        let sub = &mut self.subs.arena[key];
        sub.sent = true;
        sub.brief = Brief::Nothing;
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
    pub(in crate::gateway) fn materialise(&mut self, key: SubKey) {
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
                let before = version.version;
                if let Some(outcome) = update.outcome(before, lag.step) {
                    *version = outcome;
                } else {
                    let is_shared = Rc::strong_count(version) > 1;
                    let content = Rc::make_mut(version);
                    for step in &update.steps[lag.applied..lag.step] {
                        self.versions += 1;
                        content.apply(&step.kind, self.versions);
                    }
                    if is_shared {
                        update.note_outcome(before, lag.step, version, lag.queue.len());
                    }
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
    pub(in crate::gateway) fn revive(&mut self, key: SubKey) {
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
        let waiters = sub.take_waiters();
        let lag = sub.lag.take().unwrap_or_default();
        let tree = lag.tree;
        sub.brief = Brief::Nothing;
        sub.lag = Some(Box::new(Lag {
            waiters,
            held: lag.held,
            reaccess: lag.reaccess,
            ..Lag::default()
        }));
        self.leave_tree(tree);
        self.join_tree(key, None);
        self.work.push_back(Work::Load(key));
    }

    /// Whether a subscription is loaded again while the client holds its deleted version.
    pub(in crate::gateway) fn is_revived(&self, key: SubKey) -> bool {
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
    pub(in crate::gateway) fn collect(&mut self) {
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
    pub(in crate::gateway) fn remove_sub(&mut self, key: SubKey) {
        let Some(sub) = self.subs.remove(key) else {
            return;
        };
        let arena = &mut self.subs.arena;
        let (previous, next) = (arena.key_at(sub.previous), arena.key_at(sub.next));
        if let Some(next) = next {
            arena[next].previous = sub.previous;
        }
        if let Some(previous) = previous {
            arena[previous].next = sub.next;
        } else if let Some(client) = self.client_mut(sub.client) {
            client.first = next;
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
    pub(in crate::gateway) fn alias_unused(&mut self, key: AliasKey) {
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
