//! Trees take turns: subscriptions that wait for a place among the get requests of their
//! tree.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{SubKey, TreeKey};
use crate::gateway::parts::holdings::{Standing, Sub};
use crate::gateway::parts::worklist::Work;

impl Gateway {
    /// The throttle for a new subscription: that of its parent's tree, or one of its own.
    pub(in crate::gateway) fn join_tree(&mut self, key: SubKey, parent: Option<TreeKey>) {
        if let Some(tree) = self.trees.join(parent)
            && let Standing::Loading(loading) = &mut self.holdings[key].standing
        {
            loading.widen().tree = Some(tree);
        }
    }

    /// A subscription is loaded, failed or gone: it asks for no place any more.
    pub(in crate::gateway) fn leave_tree(&mut self, tree: Option<TreeKey>) {
        let Some(tree) = tree else { return };
        self.trees.part(tree);
        self.next_in_tree(tree);
    }

    /// Whether a subscription may send a get request now; if not, it is loaded again when
    /// it may.
    pub(in crate::gateway) fn enter_tree(&mut self, key: SubKey) -> bool {
        let sub = &self.holdings[key];
        let Some(tree) = sub.standing.tree() else {
            return true;
        };
        if !self.trees.enter(tree, key) {
            return false;
        }
        self.cache.take_place(sub.alias(), tree);
        true
    }

    /// The get request of an alias is done.
    pub(in crate::gateway) fn leave_place(&mut self, tree: Option<TreeKey>) {
        let Some(tree) = tree else { return };
        self.trees.leave(tree);
        self.next_in_tree(tree);
    }

    /// A subscription that may have come out of the queue needs no place now: the get
    /// request of its alias is open already, or it waits for its turn.
    pub(in crate::gateway) fn pass_place(&mut self, key: SubKey) {
        if let Some(tree) = self.holdings[key].standing.tree() {
            self.next_in_tree(tree);
        }
    }

    /// Lets those go on that wait, as far as there are places. Some may need none.
    fn next_in_tree(&mut self, tree: TreeKey) {
        let is_loading = |sub| self.holdings.get(sub).is_some_and(Sub::is_loading);
        if let Some(sub) = self.trees.next(tree, is_loading) {
            self.work.push(Work::Load(sub));
        }
    }
}
