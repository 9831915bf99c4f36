//! What a NATS server has refused, or would refuse, though the connection lives on.

use crate::gateway::Refusal;
use crate::nats::{Pacing, Refused};
use std::collections::VecDeque;

/// Something that was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) what: Denied,
    pub(super) reason: Refusal,
    /// The words for it.
    pub(super) text: String,
}

/// What was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The subscription with this ID.
    Subscription(u64),
    /// A message to this subject, or whose answer goes there.
    Message(Vec<u8>),
    /// It is not known what.
    Unknown,
}

/// What was refused and nobody has been told of.
#[derive(Debug, Default)]
pub(super) struct Denials(VecDeque<Denial>);

impl Denials {
    /// The oldest.
    pub(super) fn next(&mut self) -> Option<Denial> {
        self.0.pop_front()
    }

    /// Nobody needs to be told any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The server has refused this, in these words.
    pub(super) fn refused(&mut self, what: Refused, text: String, pacing: &mut Pacing) {
        let what = match what {
            Refused::TooMany => return pacing.refused_one(),
            Refused::Subscription { subject, sid } => {
                let sid = sid.or_else(|| pacing.refused(&subject));
                sid.map_or(Denied::Unknown, Denied::Subscription)
            }
            Refused::Publish(subject) => Denied::Message(subject),
            Refused::Unnamed => Denied::Unknown,
        };
        let reason = Refusal::Permission;
        self.0.push_back(Denial { what, reason, text });
    }

    /// The server has refused these subscriptions, as there are too many.
    pub(super) fn too_many(&mut self, sids: &[u64]) {
        self.0.extend(sids.iter().map(|sid| Denial {
            what: Denied::Subscription(*sid),
            reason: Refusal::Limit,
            text: "maximum subscriptions exceeded".to_owned(),
        }));
    }

    /// A message was not sent, since the server would not take its control line: it would
    /// cost all clients the connection. The gateway knows such by their length, but for
    /// those that were on their way when the limit was learned.
    pub(super) fn unsent_message(&mut self, subject: &[u8], reply: &[u8]) {
        self.unsent(subject, Denied::Message(reply.to_vec()));
    }

    /// The same of a subscription.
    pub(super) fn unsent_subscription(&mut self, subject: &[u8], sid: u64) {
        self.unsent(subject, Denied::Subscription(sid));
    }

    fn unsent(&mut self, subject: &[u8], what: Denied) {
        self.0.push_back(Denial {
            what,
            reason: Refusal::TooLong,
            text: format!("a subject of {} bytes is too long for NATS", subject.len()),
        });
    }
}
