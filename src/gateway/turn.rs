//! The worklist is drained here: consequences of an input, one after the other, none within
//! another, as far as the turn's budget reaches.

use crate::gateway::Gateway;
use crate::gateway::parts::waiters::Awaiting;
use crate::gateway::parts::worklist::{Origin, SLICE, Work};

impl Gateway {
    /// Does all that follows from an input, and then what the background has room for. What
    /// the turn's budget does not reach is left over.
    pub(in crate::gateway) fn settle(&mut self, origin: Origin) {
        if self.work.is_behind(origin) {
            return self.work.leave(origin);
        }
        loop {
            while let Some(work) = self.work.next() {
                self.work_on(work);
            }
            self.start_jobs();
            if self.work.is_done() || self.work.is_spent() {
                self.work.leave(origin);
                self.work.trim();
                self.holdings.suspects.trim();
                self.background.trim();
                return;
            }
        }
    }

    /// Does what is left over from earlier inputs.
    pub(super) fn do_what_is_left(&mut self) {
        while let Some(origin) = self.work.take_up() {
            for _ in 0..SLICE {
                let Some(work) = self.work.next() else { break };
                self.work_on(work);
            }
            self.work.leave(origin);
        }
        self.start_jobs();
    }

    /// Does what is due by now, as far as the turn's budget reaches.
    pub(super) fn do_what_is_due(&mut self) {
        self.work.set_due(false);
        self.time_out_requests();
        self.end_pauses();
        self.give_places_back();
        self.forget_lingering();
        self.texts.forget_unused(self.now);
        self.haves.forget_old(self.now);
        if self.next_due().is_some_and(|due| due <= self.now) {
            self.work.set_due(true);
            self.work.push(Work::Due);
        }
    }

    /// Work that may be done: what concerns an unsettled client waits, and what concerned one
    /// that has left is nothing any more.
    fn unless_unsettled(&mut self, work: Work) -> Option<Work> {
        if self.unsettled.is_empty() {
            return Some(work);
        }
        let client = match work {
            Work::Load(sub) | Work::Take(sub) | Work::Pump(sub) => {
                Some(self.holdings.get(sub)?.client())
            }
            Work::Ready(waiter) | Work::Walk(waiter) => Some(self.waiters.get(waiter)?.client()),
            Work::Call(call) => Some(self.requests.get(call)?.then.client()?.key),
            Work::Poll(client) | Work::Result(client) => Some(client.key),
            _ => None,
        };
        match client {
            Some(client) => self.unsettled.put_off(client, work),
            None => Some(work),
        }
    }

    fn work_on(&mut self, work: Work) {
        // It may change who gets what, also where nothing is sent.
        self.streak = None;
        self.out.seal();
        self.work.spend(1);
        let Some(work) = self.unless_unsettled(work) else {
            return;
        };
        match work {
            Work::Load(sub) => self.load(sub),
            Work::Take(sub) => self.go_on_taking(sub),
            Work::Ready(waiter) => match self.waiters.get(waiter) {
                Some(there) if there.is_ready() => match there.cause() {
                    Awaiting::Event(sub) => self.event_ready(sub, waiter),
                    Awaiting::Request { root, want } => self.request_ready(waiter, root, want),
                },
                _ => {}
            },
            Work::Walk(waiter) => self.go_on_walking(waiter),
            Work::Pump(sub) => self.pump(sub),
            Work::Inbox(name) => self.next_input(name),
            Work::Reset => self.go_on_with_reset(),
            Work::Renew => self.go_on_renewing(),
            Work::Dismiss(client) => self.dismiss_now(client),
            Work::EndStream(client) => self.end_stream(client),
            Work::Poll(client) => self.poll_again(client),
            Work::Call(call) => self.call_held(call),
            Work::Result(client) => self.want_held(client),
            Work::Window(window) => self.send_in_turn(window),
            Work::Return => self.go_on_with_return(),
            Work::Expand => self.go_on_expanding(),
            Work::Doubt(client) => self.go_on_doubting(client),
            Work::Send(client) => self.go_on_sending(client),
            Work::Due => self.do_what_is_due(),
            Work::Evict => self.evict(),
            Work::Collect => self.go_on_collecting(),
            Work::Leave(client) => self.go_on_leaving(client),
            Work::Snapshot => self.go_on_with_snapshots(),
            Work::Unwanted(request) => self.forget_unwanted(request),
        }
    }
}
