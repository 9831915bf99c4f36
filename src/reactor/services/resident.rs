//! The demonstration as a client of the broker inside, without a socket.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Found, Services};
use crate::broker::Broker;
use crate::demo::{Demo, SUBJECTS};
use crate::gateway::Time;
use crate::nats::Message;

/// The demonstration, which has subscribed.
pub(super) fn move_in(broker: &mut Broker) -> Box<Demo> {
    for subject in SUBJECTS {
        broker.subscribe_resident(subject.as_bytes());
    }
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64);
    Box::new(Demo::new(0, unix))
}

impl Services {
    /// Whether [`Services::step_demo`] would find something.
    pub(super) fn has_demo_input(&self) -> bool {
        let demo = self.demo.as_ref();
        demo.is_some_and(|demo| demo.has_messages()) || self.broker.has_letters()
    }

    /// Publishes one message of the demonstration, or gives it one: what it cost. It has said
    /// everything before it hears more, and before others are read: so little waits for it.
    #[cold]
    pub(super) fn step_demo(&mut self, now: Time) -> Option<usize> {
        let demo = self.demo.as_mut()?;
        if self.spoken.is_some() && self.broker.has_hearers() {
            return Some(1);
        }
        self.spoken = demo.next_message();
        if let Some(message) = &self.spoken {
            let (subject, payload) = (message.subject.as_bytes(), message.payload.as_bytes());
            return Some(self.broker.publish_resident(subject, payload, now.0));
        }
        let letter = self.broker.next_letter()?;
        demo.take(&letter.subject, &letter.reply, &letter.payload, now.0);
        Some(1 + letter.payload.len() / 64)
    }

    /// The demonstration's message for one of the gateway's subscriptions, if it has one.
    #[cold]
    pub(super) fn hear_demo(&mut self, units: usize) -> Found<'_> {
        let (Some(message), Some(sid)) = (&self.spoken, self.broker.next_hearer()) else {
            return Found::Work(units);
        };
        let message = Message {
            sid,
            subject: message.subject.as_bytes(),
            reply: None,
            status: None,
            headers: b"",
            payload: message.payload.as_bytes(),
        };
        Found::Message(message, units)
    }
}
