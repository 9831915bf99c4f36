//! The books are checked: every count, index, chain and total is computed anew from what is
//! kept, and compared.

use crate::gateway::Gateway;
use crate::gateway::model::content::Content;
use crate::gateway::model::keys::{
    ClientKey, ClientRef, NameKey, PendingKey, SubKey, TreeKey, WaiterKey,
};
use crate::gateway::parts::holdings::{AccessState, Hold, Recheck, Sub};
use crate::gateway::parts::requests::{AccessRequest, Cause, Pending, Then, Use};
use crate::gateway::parts::sessions::Transport;
use crate::gateway::parts::waiters::Awaiting;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

/// What has happened since the last audit of a debug build.
#[cfg(debug_assertions)]
#[derive(Debug, Default)]
pub(super) struct Unaudited {
    /// Inputs, each with the weight that it may have.
    inputs: usize,
    /// Values of all resources, and updates and inputs that waited, at the last audit.
    values: usize,
    /// The caller audits.
    is_left: bool,
}

impl Gateway {
    /// Recomputes every count, index, chain and total from scratch and compares: for
    /// tests, since it costs as much as the gateway holds.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn audit(&self) -> Result<(), String> {
        self.sessions.audit()?;
        self.cache.audit()?;
        self.audit_sizes()?;
        self.holdings.audit()?;
        self.requests.audit()?;
        self.broker.audit()?;
        let pending = self.requests.iter();
        self.windows
            .audit(pending.filter_map(|(_, pending)| pending.seat()))?;
        self.texts.audit()?;
        self.audit_haves()?;
        if !self.holdings.suspects.is_empty() && !self.unsettled.is_collecting() {
            return Err("suspects were forgotten".into());
        }
        let held = self.holdings.doubts.clients();
        let renewing = self
            .sessions
            .iter()
            .filter(|(_, there)| there.is_renewing());
        let renewing = renewing.map(|(client, _)| client);
        for client in held.chain(self.sendings.clients()).chain(renewing) {
            if !self.unsettled.has(client) {
                return Err(format!(
                    "a step of {client:?} is under way, and it is settled"
                ));
            }
        }
        self.warnings.audit()?;
        self.expansions.audit()?;
        self.audit_expansions()?;
        self.resets.audit()?;
        self.renewals.audit()?;
        self.audit_subs()?;
        self.audit_queues()?;
        self.audit_subscribed()?;
        self.audit_holders()?;
        self.audit_trees()?;
        self.audit_waiters()?;
        self.audit_clients()?;
        self.audit_uses()?;
        self.audit_throttles()
    }

    /// The caller calls [`Gateway::audit`] where it wants to: debug builds do not by
    /// themselves.
    pub fn leave_audits_to_caller(&mut self) {
        #[cfg(debug_assertions)]
        {
            self.unaudited.is_left = true;
        }
    }

    /// What clients say that they have is kept of those who want to be told tags.
    fn audit_haves(&self) -> Result<(), String> {
        self.haves.audit()?;
        let is_kept_rightly = |client: &ClientRef| {
            let there = self.sessions.present(*client);
            there.is_some_and(|there| there.is_told_tags())
        };
        match self.haves.clients().find(|client| !is_kept_rightly(client)) {
            Some(client) => Err(format!("it is kept what {client:?} has, for nothing")),
            None => Ok(()),
        }
    }

    /// No resource is larger than may be.
    fn audit_sizes(&self) -> Result<(), String> {
        let limits = self.options.resources;
        let is_too_large =
            |content: &Content| content.size() > limits.entries || content.bytes() > limits.bytes;
        let mut resources = self.cache.resources().iter();
        match resources.find(|(_, resource)| is_too_large(&resource.content)) {
            Some((key, _)) => Err(format!("{key:?} is larger than may be")),
            None => Ok(()),
        }
    }

    /// In debug builds, after inputs: after each while little is held, and the more is
    /// held the seldomer, so that tests with many clients or long lists end.
    #[cfg(debug_assertions)]
    pub(super) fn audit_now_and_then(&mut self) {
        /// So much may be held for an audit after each input.
        const LITTLE: usize = 64;
        let held = self.holdings.len()
            + self.cache.aliases().len()
            + self.sessions.count()
            + self.requests.len();
        if self.unaudited.is_left {
            return;
        }
        self.unaudited.inputs += LITTLE * LITTLE;
        let weight = held + self.unaudited.values;
        if self.unaudited.inputs >= weight.saturating_mul(weight) {
            let queues = self
                .holdings
                .iter()
                .filter_map(|(_, sub)| sub.standing.lag());
            let queued: usize = queues.map(|lag| lag.queue.len()).sum();
            self.unaudited = Unaudited {
                inputs: 0,
                values: self.cache.weight() + queued,
                is_left: false,
            };
            if let Err(fault) = self.audit() {
                panic!("the gateway's books do not agree: {fault}");
            }
        }
    }

    /// Each client has as many direct subscriptions as are counted.
    fn audit_subscribed(&self) -> Result<(), String> {
        let mut subscribed: BTreeMap<ClientKey, u32> = BTreeMap::new();
        for (_, sub) in self.holdings.iter() {
            *subscribed.entry(sub.client()).or_default() += u32::from(sub.holders.direct() > 0);
        }
        for (key, client) in self.sessions.iter() {
            let found = subscribed.get(&key).copied().unwrap_or(0);
            if found != client.subscribed() {
                let counted = client.subscribed();
                return Err(format!(
                    "{key:?} has {found} subscriptions, counted are {counted}"
                ));
            }
        }
        Ok(())
    }

    /// What waits at all subscriptions is as much as is counted.
    fn audit_queues(&self) -> Result<(), String> {
        let lags = (self.holdings.iter()).filter_map(|(_, sub)| sub.standing.lag());
        let (mut later, mut bytes, mut seen) = (0, 0, HashSet::new());
        for update in lags.flat_map(|lag| {
            later += lag.queue.len().saturating_sub(1);
            lag.queue.iter()
        }) {
            if seen.insert(Rc::as_ptr(update)) {
                bytes += update.size;
            }
        }
        let waiting = self.queues.waiting();
        // Something else may hold an update for a while.
        match later == waiting.updates() && bytes <= waiting.bytes() {
            true => Ok(()),
            false => Err(format!(
                "{later} updates of {bytes} bytes wait, counted are {waiting:?}"
            )),
        }
    }

    /// Each subscription stands among its alias's, and as its alias and resource let it.
    fn audit_subs(&self) -> Result<(), String> {
        let mut placed = 0;
        for (_, alias) in self.cache.aliases().iter() {
            placed += alias.subs.len();
        }
        if placed != self.holdings.len() {
            return Err(format!(
                "{placed} subscriptions are in aliases' lists, {} are there",
                self.holdings.len()
            ));
        }
        let questioned: HashSet<u32> = (self.background.reaccesses())
            .map(|sub| sub.index())
            .collect();
        for (key, sub) in self.holdings.iter() {
            let Some(alias) = self.cache.aliases().get(sub.alias()) else {
                return Err(format!("the subscription {key:?} has no alias"));
            };
            if alias.subs.get(sub.slot() as usize) != Some(&key) {
                return Err(format!("{key:?} is not in its place at its alias"));
            }
            if !sub.holders.any() && self.is_settled(sub.client()) {
                return Err(format!("nothing holds the subscription {key:?}"));
            }
            if self.holdings.takings.has(key)
                && (!sub.standing.is_loaded() || sub.standing.is_sent())
            {
                return Err(format!("{key:?} is taken over, and is not pinned"));
            }
            // What a client that has left held hears of no end.
            let is_there = self.sessions.get(sub.client()).is_some();
            if sub.is_live() && alias.resource.is_none() && is_there {
                return Err(format!("{key:?} is live without a resource"));
            }
            if let Some(lag) = sub.standing.lag() {
                let size: usize = lag.queue.iter().map(|update| update.size).sum();
                let steps = lag.queue.front().map_or(0, |update| update.steps.len());
                let in_order = lag.applied <= lag.step && lag.step <= steps;
                if size != lag.queue_size || !in_order {
                    return Err(format!("the queue of {key:?} is miscounted"));
                }
                let waits = lag.waiting.map(|waiter| self.waiters.get(waiter));
                if let Some(waiter) = waits
                    && waiter.is_none_or(|waiter| waiter.cause() != Awaiting::Event(key))
                {
                    return Err(format!("{key:?} waits with another's waiter"));
                }
            }
            self.audit_question(key, sub, &questioned)?;
        }
        Ok(())
    }

    /// Whether somebody is asked, or will be, for access that is in question. `questioned` has
    /// those of which it waits to be asked.
    fn audit_question(
        &self,
        key: SubKey,
        sub: &Sub,
        questioned: &HashSet<u32>,
    ) -> Result<(), String> {
        if let Recheck::Asking(request) | Recheck::AskingAgain(request) = sub.standing.recheck()
            && self.sessions.get(sub.client()).is_some()
        {
            let then = self.requests.get(request).map(|pending| &pending.then);
            let is_its = |access: &AccessRequest| {
                let mut uses = access.waiting.iter();
                access.sub == Some(key) && uses.any(|purpose| matches!(purpose, Use::Reaccess))
            };
            if !matches!(then, Some(Then::Access(access)) if is_its(access)) {
                return Err(format!("{key:?} is in question, and nobody is asked"));
            }
        }
        if sub.standing.recheck() == Recheck::Queued
            && sub.holders.direct() > 0
            && self.sessions.get(sub.client()).is_some()
            && !questioned.contains(&key.index())
        {
            return Err(format!("{key:?} is in question, and nobody will be asked"));
        }
        // What a client that has left was to be told is not waited for any more.
        if let AccessState::Asking(request) = sub.access
            && self.sessions.get(sub.client()).is_some()
        {
            let then = self.requests.get(request).map(|pending| &pending.then);
            if !matches!(then, Some(Then::Access(access)) if access.sub == Some(key)) {
                return Err(format!(
                    "{key:?} waits for an access answer that is not its"
                ));
            }
        }
        Ok(())
    }

    /// What holds each subscription, counted from what is referenced.
    fn audit_holders(&self) -> Result<(), String> {
        let mut parents: BTreeMap<SubKey, (u32, u32)> = BTreeMap::new();
        let mut count = |child: SubKey, hold: Hold| {
            let counts = parents.entry(child).or_default();
            match hold {
                Hold::Sent => counts.0 += 1,
                Hold::Unsent => counts.1 += 1,
            }
        };
        let mut open: BTreeMap<SubKey, u16> = BTreeMap::new();
        // What a client that has left held goes together, and is not kept in order.
        let is_there = |key: SubKey| self.sessions.get(self.holdings[key].client()).is_some();
        for (key, sub) in self.holdings.iter().filter(|(key, _)| is_there(*key)) {
            for child in self.children(key) {
                count(child, sub.hold());
            }
            for child in self.old_children(key) {
                count(child, Hold::Sent);
            }
        }
        for (_, waiter) in self.waiters.iter() {
            if self.sessions.get(waiter.client()).is_none() {
                continue;
            }
            for child in waiter.brought() {
                count(*child, Hold::Unsent);
            }
            if let Awaiting::Request { root, .. } = waiter.cause() {
                *open.entry(root).or_default() += 1;
            }
        }
        for (key, sub) in self.holdings.iter().filter(|(key, _)| is_there(*key)) {
            let counted = (
                sub.holders.parents(Hold::Sent),
                sub.holders.parents(Hold::Unsent),
            );
            let expected = parents.remove(&key).unwrap_or_default();
            let requests = open.remove(&key).unwrap_or_default();
            if (counted, sub.holders.open()) != (expected, requests) {
                return Err(format!(
                    "{key:?} is held by {expected:?} parents and {requests} requests, not by {:?}",
                    sub.holders
                ));
            }
        }
        match parents.keys().chain(open.keys()).next() {
            Some(stale) => Err(format!("{stale:?} is held and is not there")),
            None => Ok(()),
        }
    }

    /// Whether all that a client holds has been looked at since it may have lost a holder.
    fn is_settled(&self, client: ClientKey) -> bool {
        self.sessions.get(client).is_some() && !self.unsettled.has(client)
    }

    /// The parents that the client holds of each subscription, and the way up from it.
    fn audit_trees(&self) -> Result<(), String> {
        let mut parents: BTreeMap<SubKey, Vec<SubKey>> = BTreeMap::new();
        let is_there = |key: SubKey| self.sessions.get(self.holdings[key].client()).is_some();
        for (key, sub) in self.holdings.iter().filter(|(key, _)| is_there(*key)) {
            let sent = sub.standing.is_sent().then(|| self.children(key));
            let old = self.old_children(key);
            for child in sent.into_iter().flatten().chain(old) {
                parents.entry(child).or_default().push(key);
            }
        }
        let mut anchored: BTreeSet<SubKey> = BTreeSet::new();
        for (key, sub) in self.holdings.iter().filter(|(key, _)| is_there(*key)) {
            let mut expected = parents.remove(&key).unwrap_or_default();
            let mut there: Vec<SubKey> = self.holdings.parents(key).collect();
            expected.sort();
            there.sort();
            if there != expected {
                return Err(format!(
                    "{key:?} has the parents {expected:?}, not {there:?}"
                ));
            }
            let tree = self.holdings.tree(key);
            if sub.hangs() && !tree.is_some_and(|tree| expected.contains(&tree)) {
                return Err(format!(
                    "{key:?} hangs on {tree:?}, which is no parent of its"
                ));
            }
            let must_hang = sub.holders.direct() == 0 && sub.is_held();
            if must_hang && tree.is_none() && self.is_settled(sub.client()) {
                return Err(format!(
                    "{key:?} is held by the client and hangs on nothing"
                ));
            }
            let (mut way, mut at) = (vec![], key);
            // Also from what is held directly.
            while !anchored.contains(&at) {
                if way.len() > self.holdings.len() {
                    return Err(format!("{key:?} hangs on itself"));
                }
                way.push(at);
                let Some(parent) = self.holdings.tree(at) else {
                    break;
                };
                at = parent;
            }
            anchored.extend(way);
        }
        Ok(())
    }

    /// Each waiter whose walk has stopped is awaited at one place, and the others at none.
    fn audit_waiters(&self) -> Result<(), String> {
        let mut awaited: BTreeMap<WaiterKey, u32> = BTreeMap::new();
        for (_, sub) in self.holdings.iter() {
            for waiter in sub.standing.waiters() {
                *awaited.entry(*waiter).or_default() += 1;
            }
        }
        for (_, taking) in self.holdings.takings.iter() {
            for waiter in taking.waiters.as_slice() {
                *awaited.entry(*waiter).or_default() += 1;
            }
        }
        for (key, waiter) in self.waiters.iter() {
            if self.sessions.get(waiter.client()).is_none() {
                continue; // It goes with what the client held.
            }
            let places = awaited.get(&key).copied().unwrap_or_default();
            if places != u32::from(waiter.is_stopped()) {
                return Err(format!("{key:?} waits at {places} places"));
            }
        }
        Ok(())
    }

    /// What waits with each client.
    fn audit_clients(&self) -> Result<(), String> {
        let mut waiting: BTreeMap<ClientKey, usize> = BTreeMap::new();
        let mut requests = 0;
        for (key, client) in self.sessions.iter() {
            for waiter in client.waiters() {
                let waiter = self.waiters.get(*waiter).filter(|w| w.client() == key);
                let Some(Awaiting::Request { root, .. }) = waiter.map(|w| w.cause()) else {
                    return Err(format!("{key:?} has another's waiter"));
                };
                requests += 1;
                let rid = self.cache.rid(self.holdings[root].alias());
                *waiting.entry(key).or_default() += rid.len();
            }
        }
        let is_request = |cause| matches!(cause, Awaiting::Request { .. });
        let all = self.waiters.iter().filter(|(_, w)| is_request(w.cause()));
        if all.count() != requests {
            return Err("a request waits that is not its client's".into());
        }
        for (key, pending) in self.requests.iter() {
            let client = pending.then.client();
            if pending.is_extended()
                && let Some(client) = client
            {
                let there = self.sessions.present(client);
                if !there.is_some_and(|client| client.extended().any(|other| other == key)) {
                    return Err(format!("{key:?} has more time, and its client has it not"));
                }
            }
            if let Then::Call(call) = &pending.then
                && self.sessions.present(call.client).is_some()
            {
                *waiting.entry(call.client.key).or_default() += call.waiting();
            }
            let Then::Access(access) = &pending.then else {
                continue;
            };
            for purpose in &access.waiting {
                if let Use::Call(call) = purpose
                    && self.sessions.present(call.client).is_some()
                {
                    *waiting.entry(call.client.key).or_default() += call.waiting();
                }
            }
        }
        for (key, client) in self.sessions.iter() {
            let expected = waiting.get(&key).copied().unwrap_or_default() + client.results_size();
            if client.waiting() != expected {
                return Err(format!(
                    "{} bytes wait with {key:?}, not {expected}",
                    client.waiting()
                ));
            }
        }
        Ok(())
    }

    /// Each web request whose answer is being made stands in one place.
    fn audit_expansions(&self) -> Result<(), String> {
        let mut places: BTreeMap<ClientKey, usize> = BTreeMap::new();
        for client in self.expansions.clients() {
            if self.sessions.present(client).is_some() {
                *places.entry(client.key).or_default() += 1;
            }
        }
        for (key, client) in self.sessions.iter() {
            let is_expanding = matches!(client.transport(), Transport::Web(web) if web.expanding);
            let expected = usize::from(is_expanding);
            let found = places.get(&key).copied().unwrap_or_default();
            if found != expected {
                return Err(format!("the web answer of {key:?} is made {found} times"));
            }
        }
        Ok(())
    }

    /// What uses each name; and which query requests it awaits.
    fn audit_uses(&self) -> Result<(), String> {
        let mut uses: BTreeMap<NameKey, u32> = BTreeMap::new();
        for (_, sub) in self.holdings.iter() {
            let name = self.cache.aliases()[sub.alias()].name;
            *uses.entry(name).or_default() += 1;
        }
        let mut queries: BTreeMap<NameKey, Vec<PendingKey>> = BTreeMap::new();
        for (key, pending) in self.requests.iter() {
            let Some(name) = pending.name else { continue };
            *uses.entry(name).or_default() += 1;
            if matches!(pending.then, Then::Query(_)) {
                queries.entry(name).or_default().push(key);
            }
        }
        for (key, name) in self.cache.names().iter() {
            let is_asking = self.cache.has_round(key);
            if is_asking && !self.background.queries().any(|name| name == key) {
                return Err(format!("nobody asks the query resources of {key:?}"));
            }
            let waiting = u32::from(is_asking) + self.cache.rests(key) as u32;
            let expected = uses.remove(&key).unwrap_or_default() + waiting;
            if name.uses != expected {
                return Err(format!("{key:?} has {expected} uses, not {}", name.uses));
            }
            let mut open = queries.remove(&key).unwrap_or_default();
            open.sort();
            if !self.cache.open_queries(key).eq(open) {
                return Err(format!("{key:?} awaits other query requests than are open"));
            }
        }
        match uses.is_empty() {
            true => Ok(()),
            false => Err(format!("names are used that are not there: {uses:?}")),
        }
    }

    /// What has to do with each throttle, and what the background has open.
    fn audit_throttles(&self) -> Result<(), String> {
        let background = |pending: &Pending| match pending.cause {
            Cause::Need => None,
            cause => Some(cause.reset()),
        };
        let open = self.requests.iter();
        let open: Vec<_> = open
            .filter_map(|(_, pending)| background(pending))
            .collect();
        self.background.audit(&open, |reset| {
            let walks = self.resets.throttles().filter(|other| *other == reset);
            walks.count() + self.cache.deferred_of(reset)
        })?;
        let mut trees: BTreeMap<TreeKey, (usize, usize)> = BTreeMap::new();
        for (_, sub) in self.holdings.iter() {
            if let Some(tree) = sub.standing.tree() {
                trees.entry(tree).or_default().0 += 1;
            }
        }
        for (_, taking) in self.holdings.takings.iter() {
            if let Some(tree) = taking.tree {
                trees.entry(tree).or_default().0 += 1;
            }
        }
        for (_, alias) in self.cache.aliases().iter() {
            if let Some(tree) = alias.tree() {
                trees.entry(tree).or_default().1 += 1;
            }
        }
        self.trees
            .audit(|tree| trees.get(&tree).copied().unwrap_or_default())
    }
}
