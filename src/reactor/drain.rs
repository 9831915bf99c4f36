//! The end: clients are closed one after the other, open web requests are answered, and
//! when nobody is left, or the time is over, the process ends.
//!
//! Clients come back at once, to another process or to the next one, and ask for all they
//! had. So they are closed evenly over a while, and not in one moment.

use mio::Events;

use super::connection::{ConnectionKey, Phase};
use super::deadlines::Kind;
use super::listener::BACKLOG;
use super::{End, Reactor, turn};
use crate::control::Report;
use crate::gateway::Time;

/// Milliseconds from a signal on in which services may answer web requests, at least.
pub(crate) const ANSWERS: u64 = 2_000;

/// Milliseconds for clients to take their last words.
pub(crate) const LAST_WORDS: u64 = 700;

/// Milliseconds from the loss of NATS to the end.
pub(crate) const LOST_TIME: u64 = 1_000;

/// Who is closed when, and when the process ends.
#[derive(Debug)]
pub(super) struct Drain {
    /// When it began.
    start: Time,
    /// Milliseconds over which the clients are spread.
    time: u64,
    /// Whoever was there when it began, in the order in which they are closed.
    keys: Vec<ConnectionKey>,
    /// How many of them had their turn.
    taken: usize,
    /// Until when web requests may be answered.
    answers: Time,
    /// Whether that is over, and nobody is left out any more.
    is_last: bool,
    /// When the process ends.
    end: Time,
}

impl Drain {
    /// After a signal: clients are closed over so many milliseconds.
    pub(super) fn spread(start: Time, time: u64) -> Self {
        let answers = Time(start.0 + time.max(ANSWERS));
        Self {
            start,
            time,
            keys: Vec::new(),
            taken: 0,
            answers,
            is_last: false,
            end: Time(answers.0 + LAST_WORDS),
        }
    }

    /// NATS is lost: nothing can be answered, and all are closed at once.
    pub(super) fn lost(start: Time) -> Self {
        Self {
            answers: start,
            end: Time(start.0 + LOST_TIME),
            ..Self::spread(start, 0)
        }
    }

    /// Milliseconds that it takes at most.
    fn duration(&self) -> u64 {
        self.end.0 - self.start.0
    }

    /// NATS was lost meanwhile.
    fn hurry(&mut self, now: Time) {
        self.answers = self.answers.min(now);
        self.end = self.end.min(Time(now.0 + LOST_TIME));
    }

    /// Whether it is the last pass that begins now.
    fn begins_last(&self, now: Time) -> bool {
        !self.is_last && now >= self.answers
    }

    /// Begins a pass over these clients: spread, or the last one, which takes all at once.
    fn begin(&mut self, keys: Vec<ConnectionKey>, is_last: bool) {
        (self.keys, self.taken, self.is_last) = (keys, 0, is_last);
    }

    /// When the next client is closed; `None` if all had their turn.
    fn next_due(&self) -> Option<Time> {
        if self.taken >= self.keys.len() {
            return None;
        }
        // Neither number is so large that the product could be too large.
        let offset = match self.is_last {
            true => 0,
            false => self.time * self.taken as u64 / self.keys.len() as u64,
        };
        Some(Time(self.start.0 + offset))
    }

    /// The next client, if its time has come.
    fn take(&mut self, now: Time) -> Option<ConnectionKey> {
        if self.next_due()? > now {
            return None;
        }
        let key = self.keys.get(self.taken).copied();
        self.taken += 1;
        key
    }

    /// When there is something to do next.
    fn next(&self) -> Time {
        let pass = match self.is_last {
            true => self.end,
            false => self.answers,
        };
        self.next_due().map_or(pass, |due| due.min(pass))
    }
}

impl Reactor {
    /// Ends all connections in good order. A signal meanwhile ends at once.
    pub(super) fn stop(&mut self, events: &mut Events, mut drain: Drain) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.stopping(drain.duration());
        }
        if let Some(parent) = &mut self.parent {
            parent.tell(&Report::Leaving);
        }
        // What waits in a socket that others have too is theirs.
        let is_last = self.parent.as_ref().is_some_and(|parent| parent.is_last);
        let has_own = |listener: &super::Listener| is_last || !listener.is_shared();
        if self.listener.as_ref().is_some_and(has_own) {
            self.accept_last(drain.start);
        }
        self.listener = None;
        self.site.is_closing = true;
        drain.begin(self.clients.keys(), false);
        loop {
            let now = self.clock.now();
            self.dismiss_due(&mut drain, now);
            self.clients.reap(|client| self.gateway.is_free(client));
            // Other workers have nothing without the broker, and close their clients too.
            let services = self.services.as_ref().filter(|_| !self.is_hasty());
            let has_workers = services.is_some_and(|services| services.has_workers());
            if self.clients.len() == 0 && !has_workers || now >= drain.end {
                return;
            }
            match self.turn(events, Some(drain.next())) {
                Ok(()) => {}
                Err(End::Lost { cause, .. }) => {
                    log::debug!("lost the connection to NATS while stopping: {cause}");
                    drain.hurry(now);
                }
                // A supervisor may have told this worker, and the first process too, which
                // ends it at once if that is wanted.
                Err(End::Signal) if self.parent.is_some() => {}
                Err(End::Signal | End::Failed(_)) => return,
            }
        }
    }

    /// Takes the connections that the kernel holds ready, so that closing the listener
    /// resets none of them.
    fn accept_last(&mut self, now: Time) {
        let mut left = BACKLOG;
        if let Some(listener) = &mut self.listener {
            listener.set_ready();
        }
        while left > 0 && (self.listener.as_ref()).is_some_and(|listener| listener.is_ready()) {
            self.accept(now);
            left -= super::listener::BURST.min(left);
        }
    }

    /// Dismisses those whose time has come, as far as the share of a turn reaches.
    fn dismiss_due(&mut self, drain: &mut Drain, now: Time) {
        if drain.begins_last(now) {
            self.site.is_over = true;
            drain.begin(self.clients.keys(), true);
        }
        self.turn.begin(self.clock.micros());
        self.begin_share(turn::TIMERS);
        while !self.is_share_over()
            && let Some(key) = drain.take(now)
        {
            self.dismiss(key, drain.is_last, now);
            self.carry_out();
            self.turn.step(0, || self.clock.micros());
        }
    }

    /// Ends a connection in the way that is right for it. An open web request stays, and so
    /// does a connection that has not had its first one, unless it is the last pass.
    fn dismiss(&mut self, key: ConnectionKey, is_last: bool, now: Time) {
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        if connection.framing().is_some() {
            let reason = "server is going away";
            return self.clients.say_goodbye(key, Some(1001), reason, now);
        }
        if !is_last && self.clients.get_mut(key).is_some_and(|it| it.is_waiting()) {
            return (self.gateway).end_poll(now, key.client(), &mut self.outbox);
        }
        let is_kept = self.clients.deadline(key) == Some(Kind::Kept);
        if !self.is_unoccupied(key) || !is_kept && !is_last {
            return self.end_request(key, is_last, now);
        }
        // A request may lie in its socket of which no event has told yet.
        if let Some(connection) = self.clients.get_mut(key) {
            connection.readable = true;
        }
        self.serve(key);
        match self.is_unoccupied(key) {
            true => self.clients.kill(key),
            false => self.end_request(key, is_last, now),
        }
    }

    /// Whether a connection that speaks HTTP has nothing to do, by what is known of it.
    fn is_unoccupied(&mut self, key: ConnectionKey) -> bool {
        self.clients.get_mut(key).is_some_and(|connection| {
            matches!(&connection.phase, Phase::Http(http) if http.work.is_none())
                && connection.stash.is_empty()
                && connection.output.is_none()
        })
    }

    /// Ends the request of a connection in the last pass: it has had its time.
    fn end_request(&mut self, key: ConnectionKey, is_last: bool, now: Time) {
        let Some(connection) = self.clients.get_mut(key).filter(|_| is_last) else {
            return;
        };
        let Phase::Http(http) = &mut connection.phase else {
            return;
        };
        if let Some(work) = http.work.take() {
            self.site.unavailable(&mut self.clients, key, &work, now);
        } else if !connection.stash.is_empty() {
            self.site.fail(&mut self.clients, key, 503, now);
        } else {
            self.clients.close(key, Kind::Linger, now);
        }
    }
}

#[cfg(test)]
mod tests;
