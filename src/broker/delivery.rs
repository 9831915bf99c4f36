//! Messages, from whoever publishes them to whoever has subscribed.

use std::rc::Rc;

use super::protocol::Publication;
use super::router::{Owner, Sid};
use super::session::{End, Rest};
use super::trie::{Matches, NodeKey, SubKey};
use super::writer::Written;
use super::{Broker, limits, subject, writer};

/// How replies begin that belong to servers.
const RESERVED: [&[u8]; 2] = [b"_R_.", b"_GR_."];

impl Broker {
    /// Publishes for the gateway, with headers as they are sent or none; clients that can have
    /// none are sent the rest. A request that nobody will answer is told of by
    /// [`Broker::next_unanswered`]. Returns what it cost.
    pub fn publish(
        &mut self,
        subject: &[u8],
        reply: &[u8],
        headers: &[u8],
        payload: &[u8],
        now: u64,
    ) -> usize {
        self.counts.published += 1;
        let message = Publication {
            subject,
            reply,
            headers,
            payload,
        };
        // What it would hear of itself comes by no other way.
        let hearers = self.hearers.len();
        let (is_delivered, units) = self.publish_at_once(Owner::Gateway, &message, now);
        self.hearers.truncate(hearers);
        if !is_delivered && !reply.is_empty() {
            let (matches, _) = self.router.matches(reply);
            let subs = matches.subs.iter().filter_map(|sub| self.router.get(*sub));
            let sid = subs.into_iter().find_map(|sub| match &sub.sid {
                Sid::Number(sid) => Some(*sid),
                Sid::Text(_) => None,
            });
            self.unanswered
                .extend(sid.map(|sid| (sid, Box::from(reply))));
        }
        units
    }

    /// Delivers a message to all that it is for: whether there was anybody, and the cost.
    pub(super) fn publish_at_once(
        &mut self,
        from: Owner,
        message: &Publication<'_>,
        now: u64,
    ) -> (bool, usize) {
        let (matches, mut units) = self.router.matches(message.subject);
        let mut is_delivered = false;
        for &sub in &matches.subs {
            is_delivered |= self.deliver(sub, from, message, now);
            units += 1 + (message.headers.len() + message.payload.len()) / 64;
        }
        let (is_taken, cost) = self.deliver_to_groups(&matches, from, message, now);
        (is_delivered | is_taken, units + cost)
    }

    /// Publishes for a client: what it cost, and whether all of it is done.
    pub(super) fn publish_of(
        &mut self,
        key: u32,
        message: &Publication<'_>,
        now: u64,
    ) -> (usize, bool) {
        self.hearers.clear();
        let rest = self
            .sessions
            .get_mut(key as usize)
            .and_then(|s| s.rest.take());
        if let Some(rest) = rest {
            return self.go_on_with(key, rest, message, now);
        }
        if !self.may_publish(key, message, now) {
            return (1, true);
        }
        self.counts.messages_in += 1;
        let (matches, units) = self.router.matches(message.subject);
        let rest = Rest {
            serial: self.router.serial(),
            at: 0,
            is_delivered: false,
            matches,
        };
        let (cost, is_whole) = self.go_on_with(key, rest, message, now);
        (units + cost, is_whole)
    }

    /// Delivers a message, or more of one that goes to very many.
    fn go_on_with(
        &mut self,
        key: u32,
        rest: Rest,
        message: &Publication<'_>,
        now: u64,
    ) -> (usize, bool) {
        let from = Owner::Client(key);
        let (mut units, rest) = self.deliver_some(rest, from, message, now);
        if rest.at < rest.matches.subs.len() {
            if let Some(session) = self.sessions.get_mut(key as usize) {
                session.rest = Some(rest);
            }
            return (units, false);
        }
        let (is_taken, cost) = self.deliver_to_groups(&rest.matches, from, message, now);
        units += cost;
        if !rest.is_delivered && !is_taken {
            self.tell_of_nobody(key, message);
        }
        (units, true)
    }

    /// Delivers to as many as one step may have: the cost, and the rest.
    fn deliver_some(
        &mut self,
        mut rest: Rest,
        from: Owner,
        message: &Publication<'_>,
        now: u64,
    ) -> (usize, Rest) {
        let size = message.headers.len() + message.payload.len();
        let most = limits::FANOUT.min(1 + limits::FANOUT_BYTES / (size + 1));
        let matches = Rc::clone(&rest.matches);
        let subs = &matches.subs[rest.at..];
        let count = subs.len().min(most);
        for &sub in &subs[..count] {
            let there = self.router.get(sub);
            if there.is_some_and(|sub| sub.serial <= rest.serial) {
                rest.is_delivered |= self.deliver(sub, from, message, now);
            }
        }
        rest.at += count;
        (count * (1 + size / 64), rest)
    }

    /// Whether a client may publish a message. It is told if not.
    fn may_publish(&mut self, key: u32, message: &Publication<'_>, now: u64) -> bool {
        let Publication { subject, reply, .. } = *message;
        let Some(session) = self.sessions.get_mut(key as usize) else {
            return false;
        };
        if session.wishes.pedantic && !subject::is_literal(subject) {
            self.say(key, |out| writer::error("Invalid Publish Subject", out));
        }
        if !self.allows(key, subject, now) {
            self.say(key, |out| {
                writer::violation("Publish to", subject, b"", out)
            });
            return false;
        }
        if RESERVED.iter().any(|head| reply.starts_with(head)) {
            self.say(key, |out| {
                writer::violation("Publish with Reply of", reply, b"", out)
            });
            return false;
        }
        self.confirm(key);
        true
    }

    /// Whether a client has the right to a subject. An answer that it may send counts.
    fn allows(&mut self, key: u32, subject: &[u8], now: u64) -> bool {
        let Some(session) = self.sessions.get_mut(key as usize) else {
            return false;
        };
        let Some(rights) = &session.permissions else {
            return true;
        };
        let is_answer = |answers| session.replies.allow(subject, answers, now);
        rights.publish.allows(subject) || rights.answers.is_some_and(is_answer)
    }

    /// Delivers to one member of each group: whether there was any, and the cost.
    fn deliver_to_groups(
        &mut self,
        matches: &Matches,
        from: Owner,
        message: &Publication<'_>,
        now: u64,
    ) -> (bool, usize) {
        let (mut is_delivered, mut units) = (false, 0);
        for &group in &matches.groups {
            let (is_taken, cost) = self.deliver_to_group(group, from, message, now);
            is_delivered |= is_taken;
            units += cost;
        }
        (is_delivered, units)
    }

    /// Delivers to one member of a group: whether there was one, and the cost.
    fn deliver_to_group(
        &mut self,
        group: NodeKey,
        from: Owner,
        message: &Publication<'_>,
        now: u64,
    ) -> (bool, usize) {
        let count = self.router.members(group).len();
        if count == 0 {
            return (false, 1);
        }
        let first = self.router.below(count);
        for offset in 0..count {
            let place = (first + offset) % count;
            let Some(&sub) = self.router.members(group).get(place) else {
                break;
            };
            if self.deliver(sub, from, message, now) {
                let size = message.headers.len() + message.payload.len();
                return (true, 1 + offset + size / 64);
            }
        }
        (false, count)
    }

    /// Delivers to a subscription; whether it takes it.
    fn deliver(&mut self, key: SubKey, from: Owner, message: &Publication<'_>, now: u64) -> bool {
        let Some(sub) = self.router.get_mut(key) else {
            return false;
        };
        let (client, sid) = match (sub.owner, &sub.sid) {
            (Owner::Client(client), Sid::Text(sid)) => (client, sid),
            (Owner::Gateway, Sid::Number(sid)) => {
                self.hearers.push(*sid);
                return true;
            }
            (Owner::Resident, Sid::Number(_)) => return self.keep_letter(from, message),
            _ => return false,
        };
        let Some(session) = self.sessions.get_mut(client as usize) else {
            return false;
        };
        let is_own = from == Owner::Client(client);
        let rights = session.permissions.as_ref();
        let is_withheld = rights.is_some_and(|rights| {
            rights.filters(sub.is_wild) && rights.subscribe.withholds(message.subject)
        });
        if session.end.is_some() || is_own && !session.wishes.echo || is_withheld {
            return false;
        }
        sub.count += 1;
        let is_last = sub.count == sub.max;
        let before = session.output.len();
        if before == session.written {
            session.progress = now;
        }
        let written = Written {
            subject: message.subject,
            sid,
            reply: message.reply,
            headers: if session.wishes.headers {
                message.headers
            } else {
                b""
            },
            payload: message.payload,
        };
        written.append(&mut session.output);
        self.pending += session.output.len() - before;
        self.counts.messages_out += 1;
        let is_slow = session.pending() > limits::PENDING_MAX;
        if !session.is_touched {
            session.is_touched = true;
            self.touched.push_back(client);
        }
        let has_answers = session
            .permissions
            .as_ref()
            .and_then(|rights| rights.answers);
        if let Some(answers) = has_answers
            && !message.reply.is_empty()
            && !self.allows(client, message.reply, now)
            && let Some(session) = self.sessions.get_mut(client as usize)
        {
            session.replies.note(message.reply, answers, now);
        }
        if is_last {
            self.drop_subscription(key);
        }
        if is_slow {
            self.counts.slow += 1;
            self.cut(client, End::Slow);
        }
        true
    }

    /// Tells a client that nobody will answer its request, if it wants to know.
    fn tell_of_nobody(&mut self, key: u32, message: &Publication<'_>) {
        let Publication { subject, reply, .. } = *message;
        self.wants_jetstream |= subject.starts_with(b"$JS.API.");
        let session = self.sessions.get(key as usize);
        if reply.is_empty() || session.is_none_or(|session| !session.wishes.no_responders) {
            return;
        }
        let (matches, _): (Rc<Matches>, _) = self.router.matches(reply);
        let subs = matches.subs.iter().filter_map(|sub| self.router.get(*sub));
        let sid = subs.into_iter().find_map(|sub| match &sub.sid {
            Sid::Text(sid) if sub.owner == Owner::Client(key) => Some(Rc::clone(sid)),
            _ => None,
        });
        if let Some(sid) = sid {
            self.say(key, |out| writer::no_responders(reply, &sid, subject, out));
        }
    }
}
