//! The ways through what a client was not sent, for those who wait until all of it is loaded:
//! each goes on until it comes to what is being loaded, or the turn's budget is spent.

use crate::gateway::Gateway;
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{SubKey, WaiterKey};
use crate::gateway::model::way::Place;
use crate::gateway::parts::worklist::Work;
use std::rc::Rc;

/// What a walk finds where it is.
enum Found {
    /// Nothing to be waited for.
    Nothing,
    /// A subscription that holds more.
    Parent(SubKey),
    /// Something that is being loaded: it goes on when that is done.
    Loading,
}

impl Gateway {
    /// Follows references from some subscriptions, and waits for what is being loaded. What
    /// is not gone through at once is waited for too.
    pub(super) fn visit(&mut self, waiter: WaiterKey, roots: Few<SubKey>) {
        self.waiters[waiter].set_out(roots);
        self.walk(waiter);
    }

    /// A subscription for which these wait has been loaded, or has failed to. They go on with
    /// these of what it holds.
    pub(super) fn notify_waiters(
        &mut self,
        key: SubKey,
        waiters: &Few<WaiterKey>,
        children: Vec<SubKey>,
    ) {
        let waiters = waiters.as_slice();
        if waiters.is_empty() {
            return;
        }
        let children: Option<Rc<[SubKey]>> = (!children.is_empty()).then(|| children.into());
        for waiter in waiters.iter().copied() {
            self.work.spend(1);
            if let Some(waiting) = self.waiters.get_mut(waiter) {
                waiting.go_on(key, children.clone());
                if waiting.is_complete() {
                    if waiting.is_ready() {
                        self.work.push(Work::Ready(waiter));
                    }
                } else if self.work.is_spent() {
                    self.work.push(Work::Walk(waiter));
                } else {
                    self.go_on_walking(waiter);
                }
            }
        }
    }

    /// Goes on with a walk, one step at least.
    pub(in crate::gateway) fn go_on_walking(&mut self, waiter: WaiterKey) {
        if self.walk(waiter) && self.waiters[waiter].is_ready() {
            self.work.push(Work::Ready(waiter));
        }
    }

    /// Goes on with a walk. Returns whether it is through.
    fn walk(&mut self, waiter: WaiterKey) -> bool {
        let there = self.waiters.get_mut(waiter);
        let Some(mut way) = there.and_then(|there| there.take_walk()) else {
            return false;
        };
        let mut is_first = true;
        while let Some(place) = way.place() {
            if self.work.is_spent() && !is_first {
                self.work.push(Work::Walk(waiter));
                self.waiters[waiter].stay(way, false);
                return false;
            }
            is_first = false;
            let key = match place {
                Place::At(key) => Some(key),
                Place::Child(parent, place) => match self.child_at(parent, place) {
                    Some(child) => child,
                    None => {
                        way.ascend();
                        continue;
                    }
                },
            };
            match key.map_or(Found::Nothing, |key| self.find(waiter, key)) {
                Found::Nothing => way.pass(),
                Found::Parent(key) => {
                    way.pass();
                    way.descend(key);
                }
                Found::Loading => {
                    self.waiters[waiter].stay(way, true);
                    return false;
                }
            }
        }
        true
    }

    /// The subscription that a reference of another holds; `None` if there are not so many,
    /// or nothing is to be looked at there any more.
    fn child_at(&mut self, parent: SubKey, place: usize) -> Option<Option<SubKey>> {
        self.work.spend(1);
        // It may have gone, or have been sent, since the walk was here last.
        let sub = self.holdings.get(parent)?;
        if sub.standing.is_sent() || !sub.standing.is_loaded() {
            return None;
        }
        let client = sub.client();
        let children = self.child_ids(parent);
        Some(self.find_child(client, children.get(place)?))
    }

    /// Looks at a subscription that a walk has come to.
    fn find(&mut self, waiter: WaiterKey, key: SubKey) -> Found {
        self.work.spend(1);
        let Some(sub) = self.holdings.get_mut(key) else {
            return Found::Nothing;
        };
        if sub.standing.is_sent() {
            Found::Nothing
        } else if sub.is_loading() {
            sub.standing.await_load(waiter);
            Found::Loading
        } else if self.holdings.takings.has(key) {
            self.holdings.takings.wait_for(key, waiter);
            Found::Loading
        } else if self.holdings[key].standing.is_loaded()
            && self.has_children(key)
            && self.waiters[waiter].see(key)
        {
            Found::Parent(key)
        } else {
            Found::Nothing
        }
    }
}
