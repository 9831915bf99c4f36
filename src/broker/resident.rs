//! A service in this process, which calls the router in place of a socket.

use super::protocol::Publication;
use super::router::{Owner, Sid};
use super::{Broker, subject};

/// A message for the service in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The subject that it was published to.
    pub subject: Box<[u8]>,
    /// The subject for an answer; empty for none.
    pub reply: Box<[u8]>,
    /// The payload.
    pub payload: Box<[u8]>,
}

impl Letter {
    fn of(message: &Publication<'_>) -> Self {
        Self {
            subject: message.subject.into(),
            reply: message.reply.into(),
            payload: message.payload.into(),
        }
    }
}

impl Broker {
    /// Subscribes for the service in this process.
    pub fn subscribe_resident(&mut self, pattern: &[u8]) {
        if subject::is_pattern(pattern) {
            let sid = Sid::Number(self.resident.len() as u64);
            let key = self.router.subscribe(Owner::Resident, sid, pattern, b"", 0);
            self.resident.push(key);
        }
    }

    /// Publishes for the service in this process: what it cost. Whom of the gateway's
    /// subscriptions it is for [`Broker::next_hearer`] names; who has subscribed as a client
    /// gets it in its output. The service does not hear itself.
    #[cold]
    pub fn publish_resident(&mut self, subject: &[u8], payload: &[u8], now: u64) -> usize {
        self.hearers.clear();
        let message = Publication {
            subject,
            reply: b"",
            headers: b"",
            payload,
        };
        let (_, units) = self.publish_at_once(Owner::Resident, &message, now);
        units
    }

    /// Keeps a message for the service in this process, unless it is its own; whether it takes
    /// it.
    #[cold]
    pub(super) fn keep_letter(&mut self, from: Owner, message: &Publication<'_>) -> bool {
        let is_heard = from != Owner::Resident;
        self.letters.extend(is_heard.then(|| Letter::of(message)));
        is_heard
    }

    /// The oldest message for the service in this process.
    pub fn next_letter(&mut self) -> Option<Letter> {
        self.letters.pop_front()
    }

    /// Whether there is one.
    pub fn has_letters(&self) -> bool {
        !self.letters.is_empty()
    }
}
