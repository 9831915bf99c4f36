//! Subscriptions with many references that are taken over in several turns: they have their
//! content, and hold only the first of what it references so far.

use crate::gateway::model::content::{Child, Content};
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{SubKey, TreeKey, WaiterKey};
use hashbrown::HashMap;
use std::rc::Rc;

/// A subscription that has been given content, and what it has yet to hold of it.
#[derive(Debug)]
pub struct Taking {
    content: Rc<Content>,
    /// How many of the references it holds, the first ones.
    held: usize,
    /// What waits for the subscription.
    pub waiters: Few<WaiterKey>,
    /// The throttle of its tree, if there is one.
    pub tree: Option<TreeKey>,
    /// Those that may have to be waited for, of what it holds.
    pub children: Vec<SubKey>,
}

impl Taking {
    pub fn new(content: Rc<Content>, waiters: Few<WaiterKey>, tree: Option<TreeKey>) -> Self {
        Self {
            content,
            held: 0,
            waiters,
            tree,
            children: Vec::new(),
        }
    }

    /// The content whose references are to be held.
    pub fn content(&self) -> &Rc<Content> {
        &self.content
    }

    /// How many of the references it holds, the first ones.
    pub fn held(&self) -> usize {
        self.held
    }

    /// It holds so many of the references now.
    pub fn set_held(&mut self, held: usize) {
        self.held = held;
    }

    fn references(&self) -> &[Child] {
        &self.content.references()[..self.held]
    }
}

/// All that are being taken over.
#[derive(Debug, Default)]
pub struct Takings(HashMap<SubKey, Box<Taking>, foldhash::fast::RandomState>);

impl Takings {
    /// What a subscription references that it holds by now, if it is being taken over.
    pub fn references(&self, key: SubKey) -> Option<&[Child]> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&key).map(|taking| taking.references())
    }

    /// Whether a subscription is being taken over.
    pub fn has(&self, key: SubKey) -> bool {
        !self.0.is_empty() && self.0.contains_key(&key)
    }

    /// Something waits for a subscription that is being taken over.
    pub fn wait_for(&mut self, key: SubKey, waiter: WaiterKey) {
        if let Some(taking) = self.0.get_mut(&key) {
            taking.waiters.push(waiter);
        }
    }

    /// A subscription is taken over further later.
    pub fn put(&mut self, key: SubKey, taking: Box<Taking>) {
        self.0.insert(key, taking);
    }

    /// A subscription is taken over further now, or is no more.
    pub fn take(&mut self, key: SubKey) -> Option<Box<Taking>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.remove(&key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (SubKey, &Taking)> {
        self.0.iter().map(|(key, taking)| (*key, &**taking))
    }
}
