//! Waiting for whole trees: requests and events that can be sent only when everything
//! that they bring is loaded.

use crate::gateway::Gateway;
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{ClientKey, SubKey, WaiterKey};
use crate::gateway::model::set::Set;
use crate::gateway::parts::holdings::State;
use crate::gateway::parts::requests::Use;
use crate::gateway::parts::waiters::{Cause, Seen, Waiter, Want};
use crate::gateway::parts::worklist::Work;
use crate::res::Error;

/// Direct subscriptions of one resource ID that a client may have.
const MAX_DIRECT: u16 = 256;

impl Gateway {
    /// A client asks for a resource.
    pub(in crate::gateway) fn want(&mut self, client: ClientKey, rid: &str, want: Want) {
        let Some(root) = self.subscribe(client, rid, None) else {
            return self.refuse_want(client, rid, want, &Error::INVALID_REQUEST);
        };
        let sub = &mut self.subs.arena[root];
        if want.subscribes() && sub.direct + sub.open >= MAX_DIRECT {
            return self.refuse_want(client, rid, want, &Error::SUBSCRIPTION_LIMIT);
        }
        sub.open += 1;
        let unheld = sub.sent_refs == 0 && sub.unsent_refs == 0 && sub.open == 1;
        if sub.state == State::Deleted || (sub.state == State::Failed && unheld) {
            self.revive(root);
        }
        let waiter = self.waiters.insert(Waiter {
            client,
            cause: Cause::Request { root, want },
            missing: 0,
            admitted: false,
            questioned: false,
            brought: Few::None,
            seen: Seen::default(),
        });
        if let Some(client) = self.client_mut(client) {
            client.waiters.push(waiter);
            client.waiting += rid.len();
        }
        // The get request goes out beside the access request, whatever comes of that.
        self.visit(waiter, &[root]);
        self.require_access(root, Use::Request(waiter));
    }

    /// The first event of a subscription's queue needs these children.
    ///
    /// Returns what waits for them, which takes them over; `None` if all below them is
    /// loaded already.
    pub(in crate::gateway) fn await_children(
        &mut self,
        sub: SubKey,
        children: &mut Few<SubKey>,
    ) -> Option<WaiterKey> {
        let client = self.subs.arena[sub].client;
        let waiter = self.waiters.insert(Waiter {
            client,
            cause: Cause::Event(sub),
            missing: 0,
            admitted: true,
            questioned: false,
            brought: Few::None,
            seen: Seen::default(),
        });
        self.visit(waiter, children.as_slice());
        if self.waiters[waiter].missing > 0 {
            self.waiters[waiter].brought = std::mem::take(children);
            return Some(waiter);
        }
        self.waiters.remove(waiter);
        None
    }

    /// Follows references from some subscriptions, and waits for those being loaded.
    fn visit(&mut self, key: WaiterKey, roots: &[SubKey]) {
        let mut seen = std::mem::take(&mut self.waiters[key].seen);
        let (mut roots, mut stack) = (roots.iter().copied(), Vec::new());
        while let Some(next) = stack.pop().or_else(|| roots.next()) {
            let sub = &mut self.subs.arena[next];
            if sub.sent {
                continue;
            }
            match sub.state {
                State::Loading => {
                    if seen.insert(next) {
                        sub.await_load(key);
                        self.waiters[key].missing += 1;
                    }
                }
                State::Ready => {
                    if self.has_children(next) && seen.insert(next) {
                        self.push_children(next, &mut stack);
                    }
                }
                State::Failed | State::Deleted => {}
            }
        }
        self.waiters[key].seen = seen;
    }

    /// A subscription for which these wait has been loaded, or has failed to.
    pub(in crate::gateway) fn notify_waiters(
        &mut self,
        waiters: &Few<WaiterKey>,
        children: &[SubKey],
    ) {
        for waiter in waiters.as_slice().iter().copied() {
            let Some(waiting) = self.waiters.get_mut(waiter) else {
                continue;
            };
            waiting.missing -= 1;
            self.visit(waiter, children);
            if self.waiters[waiter].missing == 0 {
                self.work.push_back(Work::Ready(waiter));
            }
        }
    }

    /// Access for a request has been granted.
    pub(in crate::gateway) fn admit(&mut self, key: WaiterKey) {
        if let Some(waiter) = self.waiters.get_mut(key) {
            waiter.admitted = true;
            self.work.push_back(Work::Ready(key));
        }
    }

    /// Access to a subscription was put in question: the answer to what is open is used,
    /// but the subscriptions that come of it are asked about again.
    pub(in crate::gateway) fn question_requests(&mut self, key: SubKey) {
        let client = self.subs.arena[key].client;
        let Some(Some(client)) = self.clients.get(client.0 as usize) else {
            return;
        };
        for waiter in &client.waiters {
            let waiter = &mut self.waiters[*waiter];
            if matches!(waiter.cause, Cause::Request { root, .. } if root == key) {
                waiter.questioned = true;
            }
        }
    }

    /// Access for a request has been denied. The answer does not wait for the data.
    pub(in crate::gateway) fn refuse(&mut self, key: WaiterKey, error: &Error) {
        let Some(waiter) = self.waiters.get(key) else {
            return;
        };
        let Cause::Request { root, want } = waiter.cause else {
            return;
        };
        let client = waiter.client;
        let alias = self.subs.arena[root].alias;
        let rid = self.cache.aliases[alias].text.clone();
        self.refuse_want(client, &rid, want, error);
        self.end_request(key);
    }

    fn refuse_want(&mut self, client: ClientKey, rid: &str, want: Want, error: &Error) {
        match want {
            Want::Subscribe(id) | Want::Get(id) | Want::Ended(id) => {
                self.respond_error(client, id, error);
            }
            Want::Resource(id) | Want::EndedResource(id) => {
                self.respond_resource_error(client, id, rid, error);
            }
            Want::Web => self.reply_web_error(client, error),
        }
    }

    /// Something that waited may have all that it needs.
    pub(in crate::gateway) fn ready(&mut self, key: WaiterKey) {
        let Some(waiter) = self.waiters.get(key) else {
            return;
        };
        if waiter.missing > 0 || !waiter.admitted {
            return;
        }
        match waiter.cause {
            Cause::Event(sub) => self.event_ready(sub, key),
            Cause::Request { root, want } => self.request_ready(key, root, want),
        }
    }

    fn request_ready(&mut self, key: WaiterKey, root: SubKey, want: Want) {
        let sub = &self.subs.arena[root];
        let client = sub.client;
        if sub.state == State::Deleted && sub.sent {
            // Deleted while access was asked: what the client holds is no answer.
            self.revive(root);
            return self.wait_again(key, &[root]);
        }
        if let (State::Failed, Some(error)) = (sub.state, sub.error().cloned())
            && (self.is_revived(root)
                || !matches!(want, Want::Resource(_) | Want::EndedResource(_)))
        {
            let rid = self.cache.aliases[sub.alias].text.clone();
            self.refuse_want(client, &rid, want, &error);
            return self.end_request(key);
        }
        if want == Want::Web {
            self.reply_web_resource(client, root);
            return self.end_request(key);
        }
        let (id, named, set) = match want {
            Want::Ended(id) => (id, None, Set::default()),
            Want::EndedResource(id) => (id, Some(root), Set::default()),
            Want::Subscribe(id) | Want::Get(id) | Want::Resource(id) => {
                let named = matches!(want, Want::Resource(_)).then_some(root);
                match self.unsent_below(&[root]) {
                    Ok(set) => (id, named, set),
                    Err(loading) => return self.wait_again(key, &loading),
                }
            }
            Want::Web => return,
        };
        self.respond_set(client, id, named, &set.members);
        if want.subscribes() {
            let held = self.subs.arena[root]
                .lag
                .as_ref()
                .is_some_and(|lag| lag.held);
            if self.waiters[key].questioned && !held {
                // Comes before what waits is sent, which must wait for the access too.
                self.work.push_back(Work::Reaccess(root));
            }
            self.mark_sent(&set);
            self.subs.arena[root].direct += 1;
        }
        self.end_request(key);
    }

    /// Something below was found to be loading again.
    pub(in crate::gateway) fn wait_again(&mut self, key: WaiterKey, loading: &[SubKey]) {
        for sub in loading {
            self.waiters[key].seen.remove(*sub);
        }
        self.visit(key, loading);
    }

    /// A request has been answered.
    fn end_request(&mut self, key: WaiterKey) {
        let Some(waiter) = self.waiters.remove(key) else {
            return;
        };
        let Cause::Request { root, .. } = waiter.cause else {
            return;
        };
        let sub = self.subs.arena.get(root);
        let waited = sub.map_or(0, |sub| self.cache.aliases[sub.alias].text.len());
        self.relieve(waiter.client, |client| {
            client.waiters.retain(|other| *other != key);
            client.waiting -= waited;
        });
        let Some(sub) = self.subs.arena.get_mut(root) else {
            return;
        };
        sub.open -= 1;
        self.suspects.push(root);
        self.collect();
    }

    /// Ends direct subscriptions of a client: those it was told of first, then those it
    /// has asked for. The latter's requests are still answered.
    ///
    /// Returns whether there were as many.
    pub(in crate::gateway) fn unsubscribe(&mut self, key: SubKey, count: u64) -> bool {
        let sub = &self.subs.arena[key];
        let (client, direct) = (sub.client, u64::from(sub.direct));
        let asked: Vec<WaiterKey> = match self.client(client) {
            Some(client) if sub.open > 0 => {
                let waiters = client.waiters.iter().copied();
                waiters
                    .filter(|waiter| match self.waiters[*waiter].cause {
                        Cause::Request { root, want } => root == key && want.subscribes(),
                        Cause::Event(_) => false,
                    })
                    .collect()
            }
            _ => Vec::new(),
        };
        if count > direct + asked.len() as u64 {
            return false;
        }
        let told = count.min(direct);
        self.subs.arena[key].direct -= told as u16;
        for waiter in asked.into_iter().take((count - told) as usize) {
            if let Cause::Request { want, .. } = &mut self.waiters[waiter].cause {
                *want = match *want {
                    Want::Subscribe(id) => Want::Ended(id),
                    Want::Resource(id) => Want::EndedResource(id),
                    other => other,
                };
            }
        }
        let sub = &mut self.subs.arena[key];
        if sub.direct == 0
            && let Some(lag) = &mut sub.lag
            && lag.held
        {
            // Access mattered to the direct subscription only.
            (lag.held, lag.reaccess) = (false, false);
            self.work.push_back(Work::Pump(key));
        }
        self.suspects.push(key);
        self.collect();
        true
    }
}
