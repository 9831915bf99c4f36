//! What nothing holds any more is found and dropped, with a budget; what the client does not
//! hold any more is marked.

use super::anchor::Found;
use super::search::Counting;
use crate::gateway::Gateway;
use crate::gateway::model::keys::{ClientKey, SubKey};
use crate::gateway::model::outbox::Delivery;
use crate::gateway::parts::worklist::Work;

/// Work of taking a subscription out of all tables, in units.
const REMOVED_UNITS: usize = 12;

impl Gateway {
    /// Drops what nothing holds any more among the suspects and below them, and marks
    /// what the client does not hold any more, as far as the turn's budget reaches. Whose
    /// suspects are left over is unsettled until all have been looked at.
    pub(in crate::gateway) fn collect(&mut self) {
        while !self.holdings.suspects.is_empty() {
            self.collect_some();
            if self.work.is_spent() && !self.holdings.suspects.is_empty() {
                for client in self.holdings.attribute() {
                    self.unsettled.add(client);
                }
                if self.unsettled.begin_collecting() {
                    self.work.push(Work::Collect);
                }
                return;
            }
        }
        self.all_settled();
    }

    /// The same, whatever the budget is.
    pub(in crate::gateway) fn collect_all(&mut self) {
        while !self.holdings.suspects.is_empty() {
            self.collect_some();
        }
        self.all_settled();
    }

    /// Goes on with what was left over.
    pub(in crate::gateway) fn go_on_collecting(&mut self) {
        self.unsettled.end_collecting();
        self.collect();
    }

    /// What has waited for clients' holdings to be in order goes on.
    fn all_settled(&mut self) {
        if self.unsettled.is_empty() {
            return;
        }
        for (client, waiting) in self.unsettled.settle() {
            self.work.extend(waiting.into_iter());
            self.unsettled.resume(client);
        }
    }

    /// A step of a client's own that took several turns is done: what has waited goes on.
    pub(in crate::gateway) fn release_held(&mut self, client: ClientKey) {
        if self.holdings.doubts.of(client).is_some() || self.sendings.has(client) {
            return; // There is another one.
        }
        if self.is_renewing(client) {
            return; // Its token may not hold any more.
        }
        if let Some(waiting) = self.unsettled.release(client) {
            self.work.extend(waiting.into_iter());
            self.unsettled.resume(client);
        }
    }

    /// Lets clients be read again that have been settled, at the end of an input.
    pub(in crate::gateway) fn resume_settled(&mut self) {
        while let Some(key) = self.unsettled.take_resumed() {
            let client = self.sessions.get(key);
            if client.is_some_and(|client| !client.is_http()) && self.takes_requests(key) {
                self.out.deliver(key, Delivery::Resume);
            }
        }
    }

    /// Looks at suspects until the budget is spent, at one at least.
    fn collect_some(&mut self) {
        loop {
            let suspects = &mut self.holdings.suspects;
            if let Some(key) = suspects.take_adrift() {
                if self.is_kept(key) {
                    self.drop_sub(key);
                }
            } else if let Some(key) = suspects.take_suspect() {
                self.look_at_suspect(key);
            } else {
                break;
            }
            if self.work.is_spent() {
                return;
            }
        }
        // What hangs on what is known by now.
        let mut doubtful = self.holdings.suspects.take_doubtful();
        doubtful.retain(|key| self.is_kept(*key));
        if doubtful.is_empty() {
            return;
        }
        for key in &doubtful {
            if self.is_revived_in_vain(*key) {
                self.give_up_revival(*key);
            }
        }
        let unheld = self.unanchored(&doubtful, Counting::All);
        self.holdings.suspects.set_adrift(unheld);
    }

    /// Whether a subscription is still there, and its client has not left: then all goes
    /// together.
    fn is_kept(&self, key: SubKey) -> bool {
        let sub = self.holdings.get(key);
        sub.is_some_and(|sub| !self.unsettled.is_leaving(sub.client()))
    }

    /// Drops a suspect, or marks it as one that the client does not hold any more, if so. What
    /// was not sent and may be held only by what is below it is doubtful.
    fn look_at_suspect(&mut self, key: SubKey) {
        if !self.is_kept(key) || self.sendings.put_off(self.holdings[key].client(), key) {
            return;
        }
        let sub = &self.holdings[key];
        if !sub.holders.any() {
            return self.drop_sub(key);
        }
        if sub.holders.direct() > 0 {
            return;
        }
        if sub.is_revived() {
            self.holdings.suspects.doubt(key);
        }
        let sub = &self.holdings[key];
        if sub.hangs() {
            return;
        }
        if !sub.is_held() {
            if self.has_more_to_it(key) {
                self.holdings.suspects.doubt(key);
            }
            return;
        }
        let adrift = match self.find_anchor(key) {
            Found::Anchor => return,
            Found::Nothing(adrift) => adrift,
        };
        if self.hold_only_each_other(&adrift) {
            return self.holdings.suspects.set_adrift(adrift);
        }
        for key in &adrift {
            self.mark_unsent(*key);
        }
        for key in adrift {
            if self.has_more_to_it(key) {
                self.holdings.suspects.doubt(key);
            }
        }
    }

    /// A client has left: takes out what it held, as far as the turn's budget reaches. All of
    /// it goes together, so nothing has to be looked for that still holds something.
    pub(in crate::gateway) fn take_leave(&mut self, client: ClientKey) {
        self.unsettled.forget(client);
        while let Some(sub) = self.holdings.first(client) {
            self.remove_sub(sub);
            self.work.spend(REMOVED_UNITS);
            if self.work.is_spent() {
                self.unsettled.leave(client);
                return self.work.push(Work::Leave(client));
            }
        }
    }

    /// Goes on with what a client that has left held.
    pub(in crate::gateway) fn go_on_leaving(&mut self, client: ClientKey) {
        if self.unsettled.is_leaving(client) {
            self.take_leave(client);
        }
    }

    /// Takes out all that is still there of a client that has left, whatever the budget is.
    pub(in crate::gateway) fn finish_leaving(&mut self, client: ClientKey) {
        if self.unsettled.is_leaving(client) {
            while let Some(sub) = self.holdings.first(client) {
                self.remove_sub(sub);
            }
            self.unsettled.forget(client);
        }
    }
}
