//! What leaves when: clients' requests before all else, and no more subscriptions at a time
//! than the server is quick with.
//!
//! A server takes what one connection sends in its order, and for a subscription many times
//! as long as for a message. So whoever sends thousands of them holds up all that comes
//! behind. Here subscriptions, their ends, and background requests have a window each: so
//! many may be under way. A `PING` behind some of them asks how far the server is, and its
//! `PONG` opens the window again. Subscriptions that do not fit wait, those of several
//! clients in turn; what is published only behind a subscription waits with it, and
//! everything else leaves at once.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::writer;

#[cfg(test)]
mod tests;

/// Subscriptions, ends of subscriptions and background messages that may be under way.
pub(crate) const SUBSCRIBES_MAX: u32 = 192;
pub(crate) const UNSUBSCRIBES_MAX: u32 = 64;
pub(crate) const BACKGROUND_MAX: u32 = 256;

/// Ends of subscriptions that wait, beyond which they take the larger of the two windows, so
/// that whoever comes and goes cannot make the server's subscriptions ever more.
const RELEASES_HIGH: usize = 1 << 14;

/// What a waiting subscription costs beside its subject, in bytes.
const OVERHEAD: usize = 128;

/// Room for the words around a subject in an operation, the reply subject among them.
const WORDS: usize = 24;

/// What is counted until the server has confirmed it.
#[derive(Clone, Copy)]
enum Kind {
    Subscribe,
    Unsubscribe,
    Background,
}

/// A count for each [`Kind`].
type Counts = [u32; 3];

/// From so many that no `PING` stands behind one is sent: less often than the windows are
/// full, so that the server is never without work.
const MARK_AT: Counts = [SUBSCRIBES_MAX / 3, UNSUBSCRIBES_MAX / 2, BACKGROUND_MAX / 2];

/// Who wants a message to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A client, named by a number.
    Client(u32),
    /// Nobody in particular. It leaves at once.
    Direct,
    /// Whoever can wait.
    Background,
}

/// A message to be published.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// Its subject.
    pub subject: &'a [u8],
    /// Where an answer goes.
    pub reply: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
    /// Subscriptions behind which it must leave, if they were asked for; 0 for none.
    pub after: [u64; 2],
    /// Who wants it.
    pub lane: Lane,
}

/// The order in which operations leave.
#[derive(Debug, Default)]
pub struct Pacing {
    /// What each `PING` without `PONG` stands behind, oldest first.
    marks: VecDeque<Counts>,
    /// What the server has not confirmed, and how much of that has no `PING` behind it.
    open: Counts,
    unmarked: Counts,
    /// Subscriptions that wait, by ID; and the IDs by client, who have turns. One that
    /// several clients want leaves with the first.
    waiting: HashMap<u64, Waiting, foldhash::fast::RandomState>,
    flows: HashMap<u32, VecDeque<u64>, foldhash::fast::RandomState>,
    turns: VecDeque<u32>,
    /// Subscriptions that are to end.
    releases: VecDeque<u64>,
    /// Background messages as they will be sent, and the length of each. What comes before
    /// `background_start` has left.
    background: Vec<u8>,
    background_start: usize,
    lengths: VecDeque<usize>,
    /// What waits costs so many bytes.
    bytes: usize,
}

/// A subscription that waits.
#[derive(Debug)]
struct Waiting {
    /// Its own operation, and what leaves behind it in order, as they will be sent.
    text: Vec<u8>,
    /// Length of its own operation.
    own: usize,
    /// It has ended before it began, and is left out.
    has_ended: bool,
    behind: Vec<Behind>,
}

/// A message that waits for a subscription.
#[derive(Clone, Copy, Debug)]
struct Behind {
    length: usize,
    /// The other subscription that it must wait for.
    after: u64,
    lane: Lane,
}

impl Pacing {
    /// Queues a subscription, which must fit a control line. What no client asks for is
    /// sent at once.
    pub fn subscribe(&mut self, sid: u64, subject: &[u8], client: Option<u32>, out: &mut Vec<u8>) {
        let Some(client) = client.filter(|_| !self.has_room_to_subscribe()) else {
            writer::subscribe(out, sid, subject);
            return self.count(Kind::Subscribe);
        };
        // Most names are asked for access and content right behind it.
        let mut text = Vec::with_capacity(4 * (subject.len() + WORDS));
        writer::subscribe(&mut text, sid, subject);
        self.bytes += text.len() + OVERHEAD;
        let waiting = Waiting {
            own: text.len(),
            text,
            has_ended: false,
            behind: Vec::with_capacity(2),
        };
        self.waiting.insert(sid, waiting);
        self.line_up(sid, client);
    }

    fn has_room_to_subscribe(&self) -> bool {
        self.waiting.is_empty() && self.has_room(Kind::Subscribe)
    }

    /// Queues the end of a subscription.
    pub fn unsubscribe(&mut self, sid: u64, out: &mut Vec<u8>) {
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.get_mut(&sid)
        {
            // It never was; but what waits behind it was asked for all the same.
            waiting.has_ended = true;
        } else if self.releases.is_empty() && self.has_room(Kind::Unsubscribe) {
            writer::unsubscribe(out, sid);
            self.count(Kind::Unsubscribe);
        } else {
            self.releases.push_back(sid);
        }
    }

    /// Queues a message, which must fit a control line.
    pub fn publish(&mut self, message: &Publish<'_>, out: &mut Vec<u8>) {
        let Publish {
            subject,
            reply,
            payload,
            after,
            lane,
        } = *message;
        if !self.waiting.is_empty() {
            let [first, second] = after.map(|sid| self.waiting.contains_key(&sid).then_some(sid));
            if let Some(sid) = first.or(second) {
                if let Lane::Client(client) = lane {
                    for sid in [first, second].into_iter().flatten() {
                        self.line_up(sid, client);
                    }
                }
                let after = if first.is_some() { after[1] } else { 0 };
                return self.put_behind(sid, after, lane, |text| {
                    writer::publish(text, subject, Some(reply), payload);
                });
            }
        }
        if lane != Lane::Background {
            writer::publish(out, subject, Some(reply), payload);
        } else if self.lengths.is_empty() && self.has_room(Kind::Background) {
            writer::publish(out, subject, Some(reply), payload);
            self.count(Kind::Background);
        } else {
            self.put_off(|text| writer::publish(text, subject, Some(reply), payload));
        }
    }

    /// Lets go what need not wait any more, and asks how far the server is. Called before
    /// each write.
    pub fn go_on(&mut self, out: &mut Vec<u8>) {
        while !self.waiting.is_empty()
            && self.has_room(Kind::Subscribe)
            && let Some(client) = self.turns.pop_front()
        {
            self.next_subscription(client, out);
        }
        while !self.releases.is_empty() && self.has_room(Kind::Unsubscribe) {
            if let Some(sid) = self.releases.pop_front() {
                writer::unsubscribe(out, sid);
                self.count(Kind::Unsubscribe);
            }
        }
        while self.has_room(Kind::Background)
            && let Some(length) = self.lengths.pop_front()
        {
            self.bytes -= length;
            let start = self.background_start;
            self.background_start += length;
            out.extend_from_slice(&self.background[start..self.background_start]);
            self.count(Kind::Background);
        }
        self.trim();
        let is_due = |(count, at): (&u32, &u32)| count >= at;
        if self.unmarked.iter().zip(&MARK_AT).any(is_due) {
            writer::ping(out);
            self.marks.push_back(std::mem::take(&mut self.unmarked));
        }
    }

    /// Somebody else has sent a `PING`.
    pub fn pinged(&mut self) {
        self.marks.push_back(std::mem::take(&mut self.unmarked));
    }

    /// A `PONG` has come: the server has taken what its `PING` stood behind.
    pub fn confirmed(&mut self) {
        // One that nobody has asked for means nothing.
        let mark = self.marks.pop_front().unwrap_or_default();
        for (open, confirmed) in self.open.iter_mut().zip(mark) {
            *open -= confirmed;
        }
    }

    /// Whether something waits that [`Pacing::go_on`] would let go.
    pub fn has_work(&self) -> bool {
        !self.waiting.is_empty() && self.has_room(Kind::Subscribe)
            || !self.releases.is_empty() && self.has_room(Kind::Unsubscribe)
            || !self.lengths.is_empty() && self.has_room(Kind::Background)
    }

    /// What waits, in bytes.
    pub fn waiting(&self) -> usize {
        self.bytes
    }

    fn has_room(&self, kind: Kind) -> bool {
        let is_behind = self.releases.len() > RELEASES_HIGH;
        let most = match kind {
            Kind::Subscribe if is_behind => UNSUBSCRIBES_MAX,
            Kind::Subscribe => SUBSCRIBES_MAX,
            Kind::Unsubscribe if is_behind => SUBSCRIBES_MAX,
            Kind::Unsubscribe => UNSUBSCRIBES_MAX,
            Kind::Background => BACKGROUND_MAX,
        };
        self.open[kind as usize] < most
    }

    fn count(&mut self, kind: Kind) {
        self.open[kind as usize] += 1;
        self.unmarked[kind as usize] += 1;
    }

    /// A client wants a subscription that waits.
    fn line_up(&mut self, sid: u64, client: u32) {
        let flow = self.flows.entry(client).or_default();
        if flow.is_empty() {
            self.turns.push_back(client);
        }
        // Requests for one name come in a row.
        if flow.back() != Some(&sid) {
            flow.push_back(sid);
        }
    }

    /// What `write` appends waits behind a subscription that waits.
    fn put_behind(&mut self, sid: u64, after: u64, lane: Lane, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(waiting) = self.waiting.get_mut(&sid) else {
            return;
        };
        let before = waiting.text.len();
        write(&mut waiting.text);
        let length = waiting.text.len() - before;
        waiting.behind.push(Behind {
            length,
            after,
            lane,
        });
        self.bytes += length;
    }

    /// What `write` appends waits behind the rest of the background.
    fn put_off(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.background.len();
        write(&mut self.background);
        let length = self.background.len() - before;
        self.lengths.push_back(length);
        self.bytes += length;
    }

    /// The next subscription of the client whose turn it is, and what waits behind it.
    fn next_subscription(&mut self, client: u32, out: &mut Vec<u8>) {
        let Some(flow) = self.flows.get_mut(&client) else {
            return;
        };
        let sid = flow.pop_front();
        if flow.is_empty() {
            self.flows.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        let Some(waiting) = sid.and_then(|sid| self.waiting.remove(&sid)) else {
            return; // It has left with another client's.
        };
        self.bytes -= OVERHEAD + waiting.text.len();
        let (own, mut rest) = waiting.text.split_at(waiting.own);
        if !waiting.has_ended {
            out.extend_from_slice(own);
            self.count(Kind::Subscribe);
        }
        for Behind {
            length,
            after,
            lane,
        } in waiting.behind
        {
            let (text, behind) = rest.split_at(length);
            rest = behind;
            if self.waiting.contains_key(&after) {
                self.put_behind(after, 0, lane, |out| out.extend_from_slice(text));
            } else if lane == Lane::Background {
                self.put_off(|out| out.extend_from_slice(text));
            } else {
                out.extend_from_slice(text);
            }
        }
    }

    /// Gives back memory that an unusual crowd has taken.
    fn trim(&mut self) {
        const KEPT: usize = 1 << 10;
        if self.waiting.is_empty() && self.waiting.capacity() > 0 {
            // What is still in line has left with another client's.
            (self.waiting, self.flows) = Default::default();
            self.turns = VecDeque::new();
        }
        if self.releases.is_empty() {
            self.releases.shrink_to(KEPT);
        }
        if self.lengths.is_empty() {
            self.lengths.shrink_to(KEPT);
            self.background.clear();
            self.background.shrink_to(64 * KEPT);
            self.background_start = 0;
        } else if 2 * self.background_start > self.background.len() {
            // Moves less than has left since the last time.
            self.background.drain(..self.background_start);
            self.background_start = 0;
        }
    }
}
