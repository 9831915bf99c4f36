//! Waiting for whole trees: requests and events that can be sent only when everything
//! that they bring is loaded.

use crate::gateway::Gateway;
use crate::gateway::model::few::Few;
use crate::gateway::model::keys::{ClientKey, SubKey, WaiterKey};
use crate::gateway::model::outbox::STREAM_REQUEST;
use crate::gateway::model::set::{Gathering, Writing};
use crate::gateway::parts::holdings::{Recheck, Standing};
use crate::gateway::parts::requests::Use;
use crate::gateway::parts::sendings::{Sending, Stage};
use crate::gateway::parts::waiters::{Awaiting, Waiter, Want};
use crate::gateway::parts::worklist::Work;
use crate::res::Error;

/// Direct subscriptions of one resource ID that a client may have.
const MAX_DIRECT: u32 = 256;

impl Gateway {
    /// A client asks for a resource.
    pub(in crate::gateway) fn want(&mut self, client: ClientKey, rid: &str, want: Want) {
        if want.subscribes() && !self.may_subscribe(client, self.find_sub(client, rid)) {
            return self.refuse_subscription(client, rid, want);
        }
        let Some(root) = self.subscribe(client, rid, None) else {
            return self.refuse_want(client, rid, want, &Error::INVALID_REQUEST);
        };
        let sub = &mut self.holdings[root];
        if want.subscribes() && sub.holders.asked() >= MAX_DIRECT {
            return self.refuse_subscription(client, rid, want);
        }
        sub.holders.open_request();
        let unheld = sub.holders.all_parents() == 0 && sub.holders.open() == 1;
        match sub.standing {
            Standing::Deleted(_) => self.revive(root),
            Standing::Failed(_) if unheld => self.revive(root),
            _ => {}
        }
        let waiter = self.waiters.insert(Waiter::request(client, root, want));
        if let Some(client) = self.sessions.get_mut(client) {
            client.add_waiter(waiter);
            client.wait(rid.len());
        }
        // The get request goes out beside the access request, whatever comes of that.
        self.visit(waiter, Few::One(root));
        self.require_access(root, Use::Request(waiter));
    }

    /// Whether a client may have a direct subscription more, of what it may have one already.
    fn may_subscribe(&self, client: ClientKey, sub: Option<SubKey>) -> bool {
        let most = self.options.subscriptions;
        most == 0
            || sub.is_some_and(|sub| self.holdings[sub].holders.direct() > 0)
            || (self.sessions.get(client)).is_none_or(|client| client.subscribed() < most)
    }

    fn refuse_subscription(&mut self, client: ClientKey, rid: &str, want: Want) {
        self.counters.refused_subscriptions += 1;
        self.refuse_want(client, rid, want, &Error::SUBSCRIPTION_LIMIT);
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
        let client = self.holdings[sub].client();
        if let [only] = *children.as_slice()
            && self.holdings[only].is_loading()
        {
            self.work.spend(1);
            let waiter = Waiter::event_with(client, sub, only);
            let waiter = self.waiters.insert(waiter);
            self.holdings[only].standing.await_load(waiter);
            *children = Few::None;
            return Some(waiter);
        }
        let waiter = self.waiters.insert(Waiter::event(client, sub));
        self.visit(waiter, children.clone());
        if !self.waiters[waiter].is_complete() {
            self.waiters[waiter].bring(std::mem::take(children));
            return Some(waiter);
        }
        self.waiters.remove(waiter);
        None
    }

    /// Access for a request has been granted.
    pub(in crate::gateway) fn admit(&mut self, key: WaiterKey) {
        if let Some(waiter) = self.waiters.get_mut(key) {
            waiter.admit();
            self.work.push(Work::Ready(key));
        }
    }

    /// Access to a subscription was put in question: the answer to what is open is used,
    /// but the subscriptions that come of it are asked about again.
    pub(in crate::gateway) fn question_requests(&mut self, key: SubKey) {
        let holder = self.holdings[key].client();
        let Some(client) = self.sessions.get(holder) else {
            return;
        };
        let is_web = client.is_web();
        for waiter in client.waiters() {
            let waiter = &mut self.waiters[*waiter];
            if matches!(waiter.cause(), Awaiting::Request { root, .. } if root == key) {
                waiter.question();
            }
        }
        if is_web {
            self.poll_later(holder);
        }
    }

    /// Access for a request has been denied. The answer does not wait for the data.
    pub(in crate::gateway) fn refuse(&mut self, key: WaiterKey, error: &Error) {
        let Some(waiter) = self.waiters.get(key) else {
            return;
        };
        let Awaiting::Request { root, want } = waiter.cause() else {
            return;
        };
        let client = waiter.client();
        let rid = self.cache.rid(self.holdings[root].alias()).to_owned();
        self.refuse_want(client, &rid, want, error);
        self.end_request(key);
    }

    fn refuse_want(&mut self, client: ClientKey, rid: &str, want: Want, error: &Error) {
        self.note_refused(client, format_args!("{want} of {rid}"), error);
        match want {
            Want::Subscribe(id) | Want::Get(id) | Want::Ended(id) => {
                self.respond_error(client, id, error);
            }
            Want::Resource(id) | Want::EndedResource(id) => {
                self.respond_resource_error(client, id, rid, error);
            }
            Want::Web | Want::Stream => self.reply_web_error(client, error),
        }
    }

    /// A request may have all that it waited for.
    pub(in crate::gateway) fn request_ready(&mut self, key: WaiterKey, root: SubKey, want: Want) {
        let sub = &self.holdings[root];
        let client = sub.client();
        if matches!(sub.standing, Standing::Deleted(_)) {
            // Deleted while access was asked: what the client holds is no answer.
            self.revive(root);
            return self.wait_again(key, vec![root]);
        }
        if let Some(error) = sub.standing.error().cloned()
            && (sub.is_revived() || !matches!(want, Want::Resource(_) | Want::EndedResource(_)))
        {
            let rid = self.cache.rid(sub.alias()).to_owned();
            self.refuse_want(client, &rid, want, &error);
            return self.end_request(key);
        }
        if want.subscribes() && !self.may_subscribe(client, Some(root)) {
            // Others that were asked for together with it came first.
            let rid = self.cache.rid(self.holdings[root].alias()).to_owned();
            self.refuse_subscription(client, &rid, want);
            return self.end_request(key);
        }
        if want == Want::Web {
            return self.expand(client, root);
        }
        let (id, brings) = match want {
            Want::Ended(id) | Want::EndedResource(id) => (id, false),
            Want::Subscribe(id) | Want::Get(id) | Want::Resource(id) => (id, true),
            Want::Stream => (STREAM_REQUEST, true),
            Want::Web => return,
        };
        let names = matches!(want, Want::Resource(_) | Want::EndedResource(_));
        let roots: &[SubKey] = if brings { &[root] } else { &[] };
        self.send(Sending {
            client,
            waiter: key,
            root,
            want,
            id,
            named: names.then_some(root),
            stage: Stage::Gather,
            gathering: Gathering::below(roots),
            left_out: 0,
            tags: None,
            writing: Writing::default(),
            text: Vec::new(),
            tagging: None,
            suspects: Vec::new(),
        });
    }

    /// A request was answered with what the client lacked, which it holds now.
    pub(super) fn is_answered(&mut self, key: WaiterKey, root: SubKey, want: Want) {
        // The subscription may have been ended while the answer was made.
        if want.subscribes()
            && let Some(sub) = self.holdings.get_mut(root)
            && let Some(waiter) = self.waiters.get(key)
        {
            sub.holders.subscribe();
            if sub.holders.direct() == 1
                && let Some(client) = self.sessions.get_mut(sub.client())
            {
                client.subscribe();
            }
            if waiter.is_questioned() && !sub.standing.is_in_question() {
                // Before what waits is sent, which must wait for the access too.
                self.reaccess(root);
            }
        }
        self.end_request(key);
    }

    /// All direct subscriptions of a client of a resource end. Returns whether there were any.
    pub(in crate::gateway) fn end_direct(&mut self, key: SubKey) -> bool {
        let sub = &mut self.holdings[key];
        let had_any = sub.holders.end_direct() > 0;
        if had_any && let Some(client) = self.sessions.get_mut(sub.client()) {
            client.unsubscribe();
        }
        had_any
    }

    /// Something below was found to be loading again.
    pub(in crate::gateway) fn wait_again(&mut self, key: WaiterKey, loading: Vec<SubKey>) {
        for sub in &loading {
            self.waiters[key].forget_seen(*sub);
        }
        self.visit(key, Few::More(loading));
    }

    /// A request has been answered, or is made anew.
    pub(in crate::gateway) fn end_request(&mut self, key: WaiterKey) {
        let Some(waiter) = self.waiters.remove(key) else {
            return;
        };
        let Awaiting::Request { root, .. } = waiter.cause() else {
            return;
        };
        let sub = self.holdings.get(root);
        let waited = sub.map_or(0, |sub| self.cache.rid(sub.alias()).len());
        self.relieve(waiter.client(), |client| {
            client.remove_waiter(key);
            client.waited(waited);
        });
        let Some(sub) = self.holdings.get_mut(root) else {
            return;
        };
        sub.holders.close_request();
        self.holdings.suspect(root);
        self.collect();
    }

    /// Ends direct subscriptions of a client: those it was told of first, then those it
    /// has asked for. The latter's requests are still answered.
    ///
    /// Returns whether there were as many.
    pub(in crate::gateway) fn unsubscribe(&mut self, key: SubKey, count: u64) -> bool {
        let sub = &self.holdings[key];
        let direct = sub.holders.direct();
        let asked: Vec<WaiterKey> = match self.sessions.get(sub.client()) {
            Some(client) if sub.holders.open() > 0 => {
                let waiters = client.waiters().iter().copied();
                waiters
                    .filter(|waiter| match self.waiters[*waiter].cause() {
                        Awaiting::Request { root, want } => root == key && want.subscribes(),
                        Awaiting::Event(_) => false,
                    })
                    .collect()
            }
            _ => Vec::new(),
        };
        if count > u64::from(direct) + asked.len() as u64 {
            return false;
        }
        let told = count.min(direct.into());
        for waiter in asked.into_iter().take((count - told) as usize) {
            self.waiters[waiter].end();
        }
        let sub = &mut self.holdings[key];
        sub.holders.unsubscribe(told as u16);
        if direct > 0
            && sub.holders.direct() == 0
            && let Some(client) = self.sessions.get_mut(sub.client())
        {
            client.unsubscribe();
        }
        if sub.holders.direct() == 0 && sub.standing.is_in_question() {
            // Access mattered to the direct subscription only.
            sub.standing.set_recheck(Recheck::Settled);
            self.work.push(Work::Pump(key));
        }
        self.holdings.suspect(key);
        self.collect();
        true
    }
}
