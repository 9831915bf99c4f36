//! Web requests that wait for a change: their client has what they would be answered with.
//!
//! While one rests it holds what it was to be answered with, but is sent nothing: what
//! changes any of that makes the request begin anew, access included, so that it is answered
//! as one that comes then.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{ClientKey, ClientRef};
use crate::gateway::model::outbox::Outbox;
use crate::gateway::model::tag::Tag;
use crate::gateway::model::time::Time;
use crate::gateway::parts::sessions::{Client, Patience};
use crate::gateway::parts::waiters::{Awaiting, Want};
use crate::gateway::parts::worklist::{Origin, Work};

impl Gateway {
    /// A web request that waits for a change waits no longer: if its client still has what
    /// there is, it is told so. Nothing happens to one that does not wait.
    pub fn end_poll(&mut self, now: Time, key: ClientKey, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            gateway.take_in(0);
            let client = gateway.sessions.get_mut(key);
            if let Some(web) = client.and_then(Client::web_mut) {
                match std::mem::take(&mut web.patience) {
                    Patience::Resting(tag) => gateway.reply_unchanged(key, tag),
                    // It is answered when that is known.
                    Patience::None | Patience::Ready { .. } => {}
                }
            }
            Origin::Client(key)
        });
    }

    /// A web request would be answered with what its client has. Whether it waits instead.
    pub(super) fn rest(&mut self, key: ClientKey, tag: Tag) -> bool {
        let Some(web) = self.sessions.get_mut(key).and_then(Client::web_mut) else {
            return false;
        };
        match web.patience {
            Patience::Ready { is_changed } => {
                web.expanding = false;
                web.patience = Patience::Resting(tag);
                if is_changed {
                    self.poll_later(key);
                }
                true
            }
            Patience::None | Patience::Resting(_) => false,
        }
    }

    /// What a web request is answered with may have changed, or who may have it.
    pub(in crate::gateway) fn poll_later(&mut self, key: ClientKey) {
        let Some(there) = self.sessions.get_mut(key) else {
            return;
        };
        let serial = there.serial();
        let Some(web) = there.web_mut() else { return };
        match &mut web.patience {
            Patience::None => {}
            Patience::Ready { is_changed } => *is_changed = true,
            Patience::Resting(_) => {
                web.patience = Patience::Ready { is_changed: false };
                self.work.push(Work::Poll(ClientRef { key, serial }));
            }
        }
    }

    /// A web request that has waited begins anew, when it holds nothing any more.
    pub(in crate::gateway) fn poll_again(&mut self, client: ClientRef) {
        let Some(there) = self.sessions.present_mut(client) else {
            return;
        };
        let waiter = there.waiters().first().copied();
        let Some(web) = there.web_mut() else { return };
        let Some(waiter) = waiter else {
            web.patience.begin();
            if let Some(rid) = web.again.take() {
                self.want(client.key, &rid, Want::Web);
            }
            return;
        };
        if let Awaiting::Request { root, .. } = self.waiters[waiter].cause() {
            let alias = self.holdings[root].alias();
            web.again = Some(self.cache.rid(alias).into());
        }
        self.end_request(waiter);
        self.work.push(Work::Poll(client));
    }
}
