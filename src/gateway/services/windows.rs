//! Requests take turns at their service: what is more than it can take waits, clients in turn.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{NameKey, PendingKey, WindowKey};
use crate::gateway::model::outbox::Lane;
use crate::gateway::model::parked::Parked;
use crate::gateway::parts::background::Job;
use crate::gateway::parts::requests::Then;
use crate::gateway::parts::worklist::Work;

/// The flow of the background among those of clients.
const BACKGROUND: u32 = u32::MAX;

/// The flow of what no client in particular has asked for.
const NOBODY: u32 = u32::MAX - 1;

impl Gateway {
    /// The window of the service that has a name.
    pub(super) fn window_of(&mut self, name: NameKey) -> Option<WindowKey> {
        self.windows.of(self.cache.name_text(name))
    }

    /// Whether a request may be sent now.
    pub(super) fn has_room(&mut self, window: WindowKey) -> bool {
        if self.windows.has_room(window) {
            return true;
        }
        // Nobody may have needed the places that were given back.
        self.give_places_back();
        self.windows.has_room(window)
    }

    /// Whether so much waits for a service that a request is refused. What the background asks
    /// is little, and nobody would ask it again.
    pub(super) fn is_crowded(&self, window: WindowKey, name: Option<NameKey>, then: &Then) -> bool {
        self.windows.is_crowded(window) && self.place_of(name, then).lane != Lane::Background
    }

    /// A request that is sent takes a place in its window.
    pub(super) fn take_seat(&mut self, key: PendingKey, window: Option<WindowKey>) {
        if let Some(window) = window {
            self.windows.enter(window);
            self.requests.set_seat(key, Some(window));
        }
    }

    /// An answer has come: the request's place is free, if it has not given it back before.
    pub(super) fn leave_answered(&mut self, key: PendingKey) {
        let Some(pending) = self.requests.get(key) else {
            return;
        };
        if pending.seat().is_some() || pending.is_extended() {
            return self.leave_seat(key, true);
        }
        let (took, name) = (self.now.0.saturating_sub(pending.sent.0), pending.name);
        let name = name.map(|name| self.cache.name_text(name));
        let window = name.and_then(|name| self.windows.answered_late(name, took, self.now));
        self.work.extend(window.into_iter().map(Work::Window));
    }

    /// A request gives its place back: it is answered, or needs none any more.
    pub(super) fn leave_seat(&mut self, key: PendingKey, is_answered: bool) {
        let Some(window) = self.requests.set_seat(key, None) else {
            return;
        };
        // Those who wait behind it see that their service is there.
        if is_answered && self.windows.is_full(window) {
            let flow = self.flow_of(key);
            self.windows.note_answer(window, flow, self.now);
        }
        let sent = self.requests.get(key).map(|pending| pending.sent);
        let took = sent.filter(|_| is_answered);
        let took = took.map(|sent| self.now.0.saturating_sub(sent.0));
        let is_waited_for = self.windows.leave(window, took, self.now).is_some();
        if is_waited_for || self.background.waits_for(window) {
            self.work.push(Work::Window(window));
        }
    }

    /// The window in which a request of the background would wait.
    pub(super) fn full_window_of(&mut self, job: &Job) -> Option<WindowKey> {
        let name = match *job {
            Job::Refresh(resource) | Job::Check(resource) => {
                self.cache.resources().get(resource)?.name
            }
            Job::Reaccess(sub) => self.cache.aliases()[self.holdings.get(sub)?.alias()].name,
            Job::Query(name) => name,
            Job::TokenReset(_) => return None,
        };
        if !self.cache.names().contains(name) {
            return None;
        }
        let window = self.window_of(name)?;
        (!self.has_room(window)).then_some(window)
    }

    /// Starts a request of the background that has waited for room at its service. Whether
    /// there was one, and room.
    fn start_aside(&mut self, window: WindowKey) -> bool {
        if !self.background.waits_for(window) || self.broker.is_among_clients() {
            return false;
        }
        match self.windows.has_place(window) {
            // It was forgotten, and will be another one.
            None => self.background.bring_back(window),
            Some(true) if self.background.is_full() => self.background.owe(window),
            Some(true) => {
                if let Some(job) = self.background.take_aside(window) {
                    self.windows.set_turn(Some(window));
                    self.start_job(job);
                    self.windows.set_turn(None);
                    return true;
                }
            }
            Some(false) => {}
        }
        false
    }

    /// A request waits until its service has room.
    pub(super) fn queue_up(&mut self, window: WindowKey, parked: Parked) {
        let key = parked.request;
        let flow = self.flow_of(key);
        self.requests
            .wait(key, self.now, self.options.request_timeout);
        self.windows.wait(window, flow, parked);
    }

    /// Whether a request that has waited for three time-outs waits on: so long as requests of
    /// the same client are answered, it is nobody's fault that there are many.
    pub(super) fn waits_on(&mut self, key: PendingKey) -> bool {
        let name = self.requests.get(key).and_then(|pending| pending.name);
        let Some(window) = name.and_then(|name| self.window_of(name)) else {
            return false;
        };
        let Some(answered) = self.windows.last_answer(window, self.flow_of(key)) else {
            return false;
        };
        self.requests
            .wait_on(key, answered, self.options.request_timeout, self.now)
    }

    /// Whose turn it is when a request's is.
    fn flow_of(&self, key: PendingKey) -> u32 {
        let Some(pending) = self.requests.get(key) else {
            return NOBODY;
        };
        if let Then::Load(alias) = &pending.then {
            let subs = self.cache.aliases().get(*alias).map(|alias| &alias.subs);
            let first = subs.and_then(|subs| self.holdings.get(*subs.first()?));
            return first.map_or(NOBODY, |sub| sub.client().0);
        }
        match self.place_of(pending.name, &pending.then).lane {
            Lane::Client(client) => client.0,
            Lane::Direct => NOBODY,
            Lane::Background => BACKGROUND,
        }
    }

    /// Sends what waits for a service, as far as it has room; the background has its turns.
    pub(in crate::gateway) fn send_in_turn(&mut self, window: WindowKey) {
        while self.broker.is_there() {
            let is_started = self.start_aside(window);
            let parked = self.windows.next(window);
            if !is_started && parked.is_none() {
                return;
            }
            if let Some(parked) = parked {
                self.windows.set_turn(Some(window));
                self.send_parked(parked);
                self.windows.set_turn(None);
            }
            self.work.spend(1);
            if self.work.is_spent() {
                return self.work.push(Work::Window(window));
            }
        }
    }

    /// Sends a request that has waited, unless it has to wait on for its service.
    pub(super) fn send_parked(&mut self, parked: Parked) {
        let key = parked.request;
        let there = self.requests.get(key);
        let Some(pending) = there.filter(|pending| pending.is_awaited()) else {
            return; // Its time is over.
        };
        self.work.spend(parked.payload().len() / 64);
        let (client, name) = (pending.then.client(), pending.name);
        if client.is_some_and(|client| self.sessions.present(client).is_none()) {
            return self.abandon(key);
        }
        let window = name.and_then(|name| self.window_of(name));
        if let Some(window) = window
            && !self.has_room(window)
        {
            return self.queue_up(window, parked);
        }
        match self.requests.get(key).map(|pending| &pending.then) {
            // Its token may have changed, and what it may do.
            Some(Then::Access(_)) => return self.write_again(key, window),
            Some(Then::Call(_)) => return self.call_in_turn(key),
            Some(Then::Load(_)) => {
                self.hear_before(client, name);
            }
            _ => {}
        }
        let connection = self.broker.connection();
        if let Some(reply) = self.requests.send(key, self.now, connection)
            && let Some(place) = self.own_answer(key)
        {
            self.take_seat(key, window);
            let (subject, payload) = (parked.subject(), parked.payload());
            let headers = self.sessions.trace_of(place.traced);
            self.out
                .publish(subject, reply.as_bytes(), headers, payload, place);
        }
    }

    /// Whether anybody waits for a place in a window, and may be given one.
    pub(in crate::gateway) fn wants_places(&self) -> bool {
        let waits = self.windows.waiting() > 0 || self.background.waited_for().next().is_some();
        waits && !self.broker.is_behind()
    }

    /// Requests that have been without answer for long give their places back to those who
    /// wait.
    pub(in crate::gateway) fn give_places_back(&mut self) {
        while !self.broker.is_behind()
            && let Some(request) = self.requests.look_late(self.now)
        {
            if let Some(window) = self.requests.set_seat(request, None) {
                self.windows.lose(window, self.now);
                self.work.push(Work::Window(window));
            }
            self.work.spend(1);
            if self.work.is_spent() {
                return;
            }
        }
    }

    /// The broker is there again: so are the services.
    pub(super) fn open_windows(&mut self) {
        let waited_for = self.background.waited_for();
        let full = self.windows.full().into_iter().chain(waited_for);
        self.work.extend(full.map(Work::Window));
    }
}
