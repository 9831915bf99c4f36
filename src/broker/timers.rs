//! What is due: credentials, signs of life, and output that stands still.

use super::session::End;
use super::{Broker, limits};

impl Broker {
    /// When [`Broker::timeout`] must be called.
    pub fn next_timeout(&self) -> Option<u64> {
        self.due
    }

    /// Something is due then.
    pub(super) fn note_due(&mut self, due: u64) {
        // All are looked at, so not each time that one of them is due.
        let due = due.max(self.looked.saturating_add(limits::LOOK_TIME));
        self.due = Some(self.due.map_or(due, |other| other.min(due)));
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: u64) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        (self.looked, self.due) = (now, None);
        for key in 0..self.sessions.capacity() as u32 {
            if let Some(due) = self.look_at(key, now) {
                self.note_due(due);
            }
        }
    }

    /// Does what is due for one client; when something is due next.
    fn look_at(&mut self, key: u32, now: u64) -> Option<u64> {
        let session = self.sessions.get_mut(key as usize)?;
        if session.end.is_some() {
            return None;
        }
        let late = (session.pending() > 0).then(|| session.progress + limits::WRITE_TIME);
        if late.is_some_and(|late| late <= now) {
            self.counts.slow += 1;
            self.cut(key, End::Slow);
            return None;
        }
        if let Some(by) = session.connect_by {
            if by <= now {
                self.refuse(key, "Authentication Timeout", End::Unauthorized);
                return None;
            }
            return Some(late.map_or(by, |late| late.min(by)));
        }
        if std::mem::take(&mut session.is_heard) {
            session.pings = 0;
            session.ping_at = now + limits::PING_TIME;
        }
        if session.ping_at <= now {
            session.ping_at = now + limits::PING_TIME;
            session.pings += 1;
            if session.pings > limits::PINGS_MAX {
                self.refuse(key, "Stale Connection", End::Stale);
                return None;
            }
            self.say(key, |out| out.extend_from_slice(b"PING\r\n"));
        }
        let ping_at = self.sessions.get(key as usize)?.ping_at;
        Some(late.map_or(ping_at, |late| late.min(ping_at)))
    }
}
