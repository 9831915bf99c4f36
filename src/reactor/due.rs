//! What is due in a turn: deadlines of connections and of everything else, and connections that
//! end since memory is short.

use super::connection::{ConnectionKey, Phase};
use super::deadlines::Kind;
use super::{BrokerError, Reactor, turn};
use crate::gateway::Time;

impl Reactor {
    pub(super) fn run_timers(&mut self, now: Time) -> Result<(), BrokerError> {
        self.begin_share(turn::TIMERS);
        while !self.is_share_over()
            && let Some((key, kind)) = self.clients.due(now)
        {
            self.expire(key, kind, now);
            self.carry_out();
            self.turn.step(0, || self.clock.micros());
        }
        self.say_goodbyes(now);
        self.ask_silent_clients(now);
        self.close_old_clients(now);
        self.check_drift(now);
        self.beat(now);
        if self.gateway.next_timeout().is_some_and(|due| due <= now) {
            self.gateway.timeout(now, &mut self.outbox);
            self.carry_out();
            self.look_at_silence(now);
        }
        if let Some(services) = &mut self.services {
            services.timeout(now);
        }
        match self.link.ready() {
            Some(broker) => broker.timeout(now),
            None => Ok(()),
        }
    }

    /// Ends connections while the memory of all buffers is more than it may be.
    pub(super) fn cut_memory(&mut self, now: Time) {
        for key in self.clients.to_cut(self.max_buffers, now) {
            self.metrics.cut_clients += 1;
            if self.clients.holds_output(key) {
                self.clients.give_up(key);
                continue;
            }
            let Some(connection) = self.clients.get_mut(key) else {
                continue;
            };
            let reason = "too much waits in the buffers of all clients";
            log::debug!("client {} closed: {reason}", connection.remote);
            match connection.phase {
                Phase::Http(_) => self.site.fail(&mut self.clients, key, 503, now),
                _ => self.clients.say_goodbye(key, Some(1013), reason, now),
            }
            self.clients.forget_input(key);
        }
    }

    /// A connection has not done in time what it had to do.
    pub(super) fn expire(&mut self, key: ConnectionKey, kind: Kind, now: Time) {
        let duration = self.clients.duration(kind);
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        let progress = connection.output.as_ref().map(|output| output.progress());
        match kind {
            Kind::Unread => self.clients.look_at_unread(key, now),
            // The rest of it has come, or something else, and waits for us.
            Kind::Message | Kind::Quiet if connection.unparsed || connection.readable => {
                self.clients.arm(key, kind, now);
            }
            Kind::Message => {
                let reason = "the rest of a message did not come";
                log::debug!("client {} closed: {reason}", connection.remote);
                self.clients.say_goodbye(key, Some(1008), reason, now);
                self.clients.forget_input(key);
            }
            Kind::Quiet => {
                let reason = "nothing was asked for long";
                log::debug!("client {} closed: {reason}", connection.remote);
                self.metrics.idle_clients += 1;
                self.clients.say_goodbye(key, Some(1000), reason, now);
            }
            Kind::Wait => match connection.waits_until() {
                Some(until) if until <= now => {
                    let (client, outbox) = (key.client(), &mut self.outbox);
                    self.clients.disarm(key);
                    self.gateway.end_poll(now, client, outbox);
                }
                Some(_) => self.clients.arm(key, kind, now),
                None => self.clients.disarm(key),
            },
            // Whoever has begun a request hears why it ends.
            Kind::Head | Kind::Body if !connection.stash.is_empty() => {
                log::debug!("client {} is too slow in asking", connection.remote);
                self.site.fail(&mut self.clients, key, 408, now);
            }
            // It still takes what it was sent: it may have the time again.
            Kind::Idle | Kind::Kept | Kind::Close
                if progress.is_some_and(|time| now.0.saturating_sub(time.0) < duration) =>
            {
                self.clients.arm(key, kind, now);
            }
            _ => self.clients.kill(key),
        }
    }
}
