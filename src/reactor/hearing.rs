//! What NATS sends and is sent in a turn, within the shares that a turn has for it.

use super::input::OUTPUT_BUDGET;
use super::{BROKER_BUDGET, BrokerError, Event, Reactor, tell, turn};
use crate::gateway::{Gateway, Time};

impl Reactor {
    /// Gives the gateway what NATS sends, until nothing is left or the turn's share is
    /// used up.
    pub(super) fn read_broker(&mut self) -> Result<(), BrokerError> {
        if self.services.is_some() {
            self.read_services();
            return Ok(());
        }
        let now = self.clock.now();
        let (mut budget, mut messages) = (BROKER_BUDGET, self.broker_messages);
        self.begin_share(turn::NATS);
        while messages > 0 && !self.is_share_over() && self.takes_broker_input() {
            let Some(broker) = self.link.ready() else {
                break;
            };
            if let Some(denial) = broker.next_denial() {
                self.deny(denial, now);
                self.turn.step(0, || self.clock.micros());
                continue;
            }
            match broker.next(now)? {
                Some(event) => {
                    messages -= 1;
                    let bytes = match &event {
                        Event::Message(message) => message.payload.len(),
                        _ => 0,
                    };
                    self.metrics.broker_messages += u64::from(matches!(event, Event::Message(_)));
                    tell(&mut self.gateway, event, now, &mut self.outbox);
                    self.carry_out();
                    self.turn.step(bytes, || self.clock.micros());
                }
                None => match broker.read(budget)? {
                    0 => break,
                    len => budget = budget.saturating_sub(len),
                },
            }
        }
        // What is queued for a client from here on comes behind the streak.
        self.outbox.seal();
        self.streak.clear();
        self.take_news(now);
        self.hear_left(now);
        self.read_ahead(now)
    }

    /// NATS has what nobody else needs of a turn: the more events in one, the fewer writes for
    /// each client.
    pub(super) fn fill_turn(&mut self, start: u64) -> Result<(), BrokerError> {
        while self.has_broker_input()
            && self.takes_broker_input()
            && !self.has_clients_input()
            && !self.gateway.has_work()
            && self.clock.micros() - start < turn::FILLED
        {
            self.read_broker()?;
        }
        Ok(())
    }

    /// Reads what NATS sends though its turn is over, and lets the gateway know of what
    /// had to be dropped.
    pub(super) fn read_ahead(&mut self, now: Time) -> Result<(), BrokerError> {
        let Some(broker) = self.link.ready() else {
            return Ok(());
        };
        let dropped = broker.read_ahead(BROKER_BUDGET, now, Gateway::may_drop)?;
        if let Some(names) = dropped.all {
            log::warn!(
                "NATS sends events faster than they can be taken: those of {names} resource names \
                 are dropped, and the resources fetched again"
            );
        }
        if !dropped.sids.is_empty() {
            self.gateway
                .messages_dropped(now, &dropped.sids, &mut self.outbox);
            self.carry_out();
        }
        Ok(())
    }

    /// Whether there is room and time for what messages from NATS lead to. What waits for
    /// slow clients does not count: NATS cuts off whoever does not read.
    pub(super) fn takes_broker_input(&self) -> bool {
        self.clients.fresh() < OUTPUT_BUDGET
            && !self.clients.has_long_queue()
            && self.compression.has_budget()
    }

    pub(super) fn write_broker(&mut self) -> Result<(), BrokerError> {
        if let Some(services) = &mut self.services {
            services.flush(self.clock.now());
        }
        match self.link.ready() {
            Some(broker) => broker.write(),
            None => Ok(()),
        }
    }
}
