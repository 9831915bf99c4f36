//! What leaves when: clients' requests before all else, and no more subscriptions at a time
//! than the server is quick with.
//!
//! A server takes what one connection sends in its order, and for a subscription many times
//! as long as for a message. So whoever sends thousands of them holds up all that comes
//! behind. Here subscriptions, their ends, and background requests have a window each: so
//! many may be under way. A `PING` behind some of them asks how far the server is, and its
//! `PONG` opens the window again. Subscriptions that do not fit wait, those of several
//! clients in turn; what is published only behind a subscription waits with it, and
//! everything else leaves at once. Those behind which something waits come before the others:
//! a request's time runs, and so many subscriptions may have been asked for with the requests
//! still to come that a turn among all of them takes seconds.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::blocks::Blocks;
use super::longest::{Lesson, Longest};
use super::{TooLong, writer};

#[cfg(test)]
mod tests;

/// Subscriptions, ends of subscriptions and background messages that may be under way.
pub(crate) const SUBSCRIBES_MAX: u32 = 192;
pub(crate) const UNSUBSCRIBES_MAX: u32 = 64;
pub(crate) const BACKGROUND_MAX: u32 = 256;

/// Ends of subscriptions that wait, beyond which they take the larger of the two windows, so
/// that whoever comes and goes cannot make the server's subscriptions ever more.
const RELEASES_HIGH: usize = 1 << 14;

/// Bytes that [`Pacing::go_on`] copies in one go, and one message more.
const COPIED_MAX: usize = 1 << 20;

/// What a waiting subscription costs beside its subject, in bytes.
const OVERHEAD: usize = 128;

/// Room for the words around a subject in an operation, the reply subject among them.
const WORDS: usize = 24;

/// Whose turn it is when it is that of what no client asks for.
const NOBODY: u32 = u32::MAX;

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
    /// Its headers as they are sent; empty for none.
    pub headers: &'a [u8],
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
    /// Which subscriptions it has not confirmed.
    unconfirmed: Unconfirmed,
    /// A `PING` is wanted behind the subscriptions that have none yet.
    wants_mark: bool,
    longest: Longest,
    /// Subscriptions that wait, by ID; and the IDs by client, who have turns. One that
    /// several clients want leaves with the first.
    waiting: HashMap<u64, Waiting, foldhash::fast::RandomState>,
    /// All of them, and those behind which a request waits. `ahead` of the latter have left
    /// since one of all did.
    all: Lines,
    wanted: Lines,
    ahead: u32,
    /// A subscription that has left, behind which more waits than leaves at once.
    leaving: Option<u64>,
    /// Subscriptions that are to end.
    releases: VecDeque<u64>,
    /// Background messages as they will be sent, and the length of each.
    background: Blocks,
    lengths: VecDeque<usize>,
    /// What waits costs so many bytes.
    bytes: usize,
}

/// How many subscriptions that are wanted leave for one whose turn it is among all.
const AHEAD: u32 = 3;

/// Who waits in line: clients in turn, and what each wants in its order. What has left with
/// another client's stays in line until its turn.
#[derive(Debug, Default)]
struct Lines {
    flows: HashMap<u32, VecDeque<u64>, foldhash::fast::RandomState>,
    turns: VecDeque<u32>,
}

impl Lines {
    /// A client wants a subscription.
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

    /// The next subscription of the client whose turn it is.
    fn next(&mut self) -> Option<u64> {
        let client = self.turns.pop_front()?;
        let flow = self.flows.get_mut(&client)?;
        let sid = flow.pop_front();
        if flow.is_empty() {
            self.flows.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        sid
    }
}

/// A subscription that waits.
#[derive(Debug)]
struct Waiting {
    /// Who asked for it first.
    client: u32,
    /// Its own operation, as it will be sent; empty once it has left.
    own: Vec<u8>,
    /// It has ended before it began, and is left out.
    has_ended: bool,
    /// What leaves behind it in order, as it will be sent.
    text: Blocks,
    behind: VecDeque<Behind>,
}

/// A message that waits for a subscription.
#[derive(Clone, Copy, Debug)]
struct Behind {
    length: usize,
    /// The other subscription that it must wait for.
    after: u64,
    lane: Lane,
}

/// The subject of a subscription as it is sent.
fn subject_of(line: &[u8]) -> &[u8] {
    let mut words = line.split(|byte| *byte == b' ');
    words.nth(1).unwrap_or_default()
}

/// Subscriptions that were sent, until a `PONG` says that the server has taken them.
#[derive(Debug, Default)]
struct Unconfirmed {
    /// ID and length of the subject; the ID is `None` once the server has refused it.
    sids: VecDeque<(Option<u64>, u32)>,
    /// The subjects, one behind the other.
    subjects: VecDeque<u8>,
    /// How many of them the server has refused, as there are too many.
    too_many: usize,
}

impl Unconfirmed {
    fn push(&mut self, sid: u64, subject: &[u8]) {
        // A control line has some thousand bytes.
        self.sids.push_back((Some(sid), subject.len() as u32));
        self.subjects.extend(subject);
    }

    /// The oldest `count` are confirmed. If some were refused for their number, the IDs of
    /// all are returned, oldest first.
    fn confirm(&mut self, count: usize) -> Vec<u64> {
        let mut length = 0;
        let confirmed = self.sids.drain(..count.min(self.sids.len()));
        let confirmed = confirmed.inspect(|(_, bytes)| length += *bytes as usize);
        let in_doubt = match self.too_many {
            0 => {
                confirmed.for_each(drop);
                Vec::new()
            }
            _ => confirmed.filter_map(|(sid, _)| sid).collect(),
        };
        self.subjects.drain(..length);
        in_doubt
    }

    fn trim(&mut self) {
        const KEPT: usize = 64 << 10;
        if self.subjects.is_empty() && self.subjects.capacity() > KEPT {
            (self.sids, self.subjects) = Default::default();
        }
    }

    fn refuse(&mut self, subject: &[u8]) -> Option<u64> {
        let mut start = 0;
        for (sid, bytes) in &mut self.sids {
            let end = start + *bytes as usize;
            let is_it = end - start == subject.len()
                && sid.is_some()
                && self.subjects.range(start..end).eq(subject);
            if is_it {
                return sid.take();
            }
            start = end;
        }
        None
    }
}

impl Pacing {
    /// Queues a subscription, which must fit a control line. What no client asks for has its
    /// turns like a client's.
    pub fn subscribe(&mut self, sid: u64, subject: &[u8], client: Option<u32>, out: &mut Blocks) {
        if self.has_room_to_subscribe() {
            return self.subscribe_at_once(sid, subject, out);
        }
        let mut own = Vec::with_capacity(subject.len() + WORDS);
        writer::subscribe(&mut own, sid, subject);
        self.bytes += own.len() + OVERHEAD;
        let client = client.unwrap_or(NOBODY);
        let waiting = Waiting {
            client,
            own,
            has_ended: false,
            // Most names are asked for access and content right behind it.
            text: Blocks::with_capacity(3 * (subject.len() + WORDS)),
            behind: VecDeque::with_capacity(2),
        };
        self.waiting.insert(sid, waiting);
        self.all.line_up(sid, client);
    }

    /// Sends a subscription, however many others wait.
    pub fn subscribe_at_once(&mut self, sid: u64, subject: &[u8], out: &mut Blocks) {
        writer::subscribe(out.room(), sid, subject);
        self.subscribed(sid, subject);
    }

    /// A subscription leaves.
    fn subscribed(&mut self, sid: u64, subject: &[u8]) {
        self.unconfirmed.push(sid, subject);
        self.longest
            .note(0, writer::subscribe_len(subject, sid), &[]);
        self.count(Kind::Subscribe);
    }

    fn has_room_to_subscribe(&self) -> bool {
        self.waiting.is_empty() && self.has_room(Kind::Subscribe)
    }

    /// Queues the end of a subscription.
    pub fn unsubscribe(&mut self, sid: u64, out: &mut Blocks) {
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.get_mut(&sid)
            && !waiting.own.is_empty()
        {
            // It never was; but what waits behind it was asked for all the same.
            waiting.has_ended = true;
        } else if self.releases.is_empty() && self.has_room(Kind::Unsubscribe) {
            writer::unsubscribe(out.room(), sid);
            self.count(Kind::Unsubscribe);
        } else {
            self.releases.push_back(sid);
        }
    }

    /// Queues a message, which must fit a control line.
    pub fn publish(&mut self, message: &Publish<'_>, out: &mut Blocks) {
        let Publish {
            subject,
            reply,
            headers,
            payload,
            after,
            lane,
        } = *message;
        let wanted = (!reply.is_empty()).then_some(reply);
        let line = writer::publish_len(subject, wanted, headers.len(), payload.len());
        let size = headers.len() + payload.len();
        self.longest.note(size, line, reply);
        if !self.waiting.is_empty() {
            let [first, second] = after.map(|sid| self.waiting.contains_key(&sid).then_some(sid));
            if let Some(sid) = first.or(second) {
                for sid in [first, second].into_iter().flatten() {
                    self.want(sid, lane);
                }
                let after = if first.is_some() { after[1] } else { 0 };
                return self.put_behind(sid, after, lane, |text| {
                    writer::publish(text.room_for(size), subject, wanted, headers, payload);
                });
            }
        }
        if lane != Lane::Background {
            writer::publish(out.room_for(size), subject, wanted, headers, payload);
        } else if self.lengths.is_empty() && self.has_room(Kind::Background) {
            writer::publish(out.room_for(size), subject, wanted, headers, payload);
            self.count(Kind::Background);
        } else {
            self.put_off(|text| {
                writer::publish(text.room_for(size), subject, wanted, headers, payload);
            });
        }
    }

    /// Lets go what need not wait any more, and asks how far the server is. Called before
    /// each write.
    pub fn go_on(&mut self, out: &mut Blocks) {
        let mut copied = 0;
        if let Some(sid) = self.leaving.take() {
            copied += self.let_go(sid, out, COPIED_MAX);
        }
        while self.leaving.is_none()
            && copied < COPIED_MAX
            && !self.waiting.is_empty()
            && self.has_room(Kind::Subscribe)
            && let Some(sid) = self.next_in_line()
        {
            copied += self.let_go(sid, out, COPIED_MAX - copied);
        }
        while !self.releases.is_empty() && self.has_room(Kind::Unsubscribe) {
            if let Some(sid) = self.releases.pop_front() {
                writer::unsubscribe(out.room(), sid);
                self.count(Kind::Unsubscribe);
            }
        }
        while copied < COPIED_MAX
            && self.has_room(Kind::Background)
            && let Some(length) = self.lengths.pop_front()
        {
            self.bytes -= length;
            copied += self.background.move_to(length, out);
            self.count(Kind::Background);
        }
        self.trim();
        let is_due = |(count, at): (&u32, &u32)| count >= at;
        if self.wants_mark || self.unmarked.iter().zip(&MARK_AT).any(is_due) {
            writer::ping(out.room());
            self.pinged();
        }
    }

    /// Sees to it that a `PING` follows all that has no such behind it.
    pub fn confirm(&mut self) {
        self.wants_mark |= self.unmarked != Counts::default();
    }

    /// Somebody else has sent a `PING`.
    pub fn pinged(&mut self) {
        self.wants_mark = false;
        self.longest.mark();
        self.marks.push_back(std::mem::take(&mut self.unmarked));
    }

    /// A `PONG` has come: the server has taken what its `PING` stood behind. Returns which
    /// subscriptions among that it has refused, as there were too many; they were ended,
    /// where it is not certain which it meant.
    pub fn confirmed(&mut self, out: &mut Blocks) -> Vec<u64> {
        // One that nobody has asked for means nothing.
        let mark = self.marks.pop_front().unwrap_or_default();
        self.longest.confirm();
        for (open, confirmed) in self.open.iter_mut().zip(mark) {
            *open -= confirmed;
        }
        let [subscribes, ends, _] = mark.map(|count| count as usize);
        let mut refused = self.unconfirmed.confirm(subscribes);
        let (first, count) = (
            refused.len(),
            std::mem::take(&mut self.unconfirmed.too_many),
        );
        if ends == 0 && count < first {
            // Once there are too many, each further one is refused.
            refused.drain(..first - count);
        } else {
            for sid in &refused {
                self.unsubscribe(*sid, out);
            }
        }
        refused
    }

    /// The server has refused the subscription to this subject. Its ID, if it was not
    /// confirmed before.
    pub fn refused(&mut self, subject: &[u8]) -> Option<u64> {
        self.unconfirmed.refuse(subject)
    }

    /// The server has refused a subscription, as there are too many. Which one is known when
    /// all before the next `PING` is confirmed.
    pub fn refused_one(&mut self) {
        self.unconfirmed.too_many += 1;
        self.confirm();
    }

    /// Whether the server has confirmed or refused all subscriptions.
    pub fn is_confirmed(&self) -> bool {
        self.waiting.is_empty() && self.unconfirmed.sids.is_empty()
    }

    /// What the server has shown by ending the connection since something was too long.
    pub fn learn(&self, what: TooLong) -> Option<Lesson> {
        self.longest.learn(what)
    }

    /// Whether something waits that [`Pacing::go_on`] would let go.
    pub fn has_work(&self) -> bool {
        self.wants_mark
            || self.leaving.is_some()
            || !self.waiting.is_empty() && self.has_room(Kind::Subscribe)
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

    /// A request waits behind a subscription that waits.
    fn want(&mut self, sid: u64, lane: Lane) {
        let client = match lane {
            Lane::Client(client) => client,
            Lane::Direct => self.waiting.get(&sid).map_or(NOBODY, |it| it.client),
            Lane::Background => return,
        };
        self.wanted.line_up(sid, client);
    }

    /// What `write` appends waits behind a subscription that waits.
    fn put_behind(&mut self, sid: u64, after: u64, lane: Lane, write: impl FnOnce(&mut Blocks)) {
        let Some(waiting) = self.waiting.get_mut(&sid) else {
            return;
        };
        let before = waiting.text.len();
        write(&mut waiting.text);
        let length = waiting.text.len() - before;
        waiting.behind.push_back(Behind {
            length,
            after,
            lane,
        });
        self.bytes += length;
    }

    /// What `write` appends waits behind the rest of the background.
    fn put_off(&mut self, write: impl FnOnce(&mut Blocks)) {
        let before = self.background.len();
        write(&mut self.background);
        let length = self.background.len() - before;
        self.lengths.push_back(length);
        self.bytes += length;
    }

    /// The subscription whose turn it is. It may have left with another client's.
    fn next_in_line(&mut self) -> Option<u64> {
        if self.ahead < AHEAD
            && let Some(sid) = self.wanted.next()
        {
            self.ahead += u32::from(self.waiting.contains_key(&sid));
            return Some(sid);
        }
        let sid = self.all.next()?;
        if self.waiting.contains_key(&sid) {
            self.ahead = 0;
        }
        Some(sid)
    }

    /// A subscription leaves, if it has not before, and what waits behind it, as far as no more
    /// than `most` bytes are copied for that, and one message more. Returns how many were.
    fn let_go(&mut self, sid: u64, out: &mut Blocks, most: usize) -> usize {
        let Some((sid, mut waiting)) = self.waiting.remove_entry(&sid) else {
            return 0;
        };
        let own = std::mem::take(&mut waiting.own);
        self.bytes -= own.len();
        if !own.is_empty() && !waiting.has_ended {
            out.room().extend_from_slice(&own);
            self.subscribed(sid, subject_of(&own));
        }
        let mut copied = own.len();
        while copied < most
            && let Some(behind) = waiting.behind.pop_front()
        {
            let Behind {
                length,
                after,
                lane,
            } = behind;
            self.bytes -= length;
            let text = &mut waiting.text;
            if self.waiting.contains_key(&after) {
                self.put_behind(after, 0, lane, |out| copied += text.move_to(length, out));
            } else if lane == Lane::Background {
                self.put_off(|out| copied += text.move_to(length, out));
            } else {
                copied += text.move_to(length, out);
            }
        }
        if waiting.behind.is_empty() {
            self.bytes -= OVERHEAD;
        } else {
            // What comes meanwhile waits behind it.
            self.waiting.insert(sid, waiting);
            self.leaving = Some(sid);
        }
        copied
    }

    /// Gives back memory that an unusual crowd has taken.
    fn trim(&mut self) {
        const KEPT: usize = 1 << 10;
        if self.waiting.is_empty() && self.waiting.capacity() > 0 {
            // What is still in line has left with another client's.
            (self.waiting, self.all, self.wanted) = Default::default();
        }
        if self.releases.is_empty() {
            self.releases.shrink_to(KEPT);
        }
        self.unconfirmed.trim();
        if self.lengths.is_empty() {
            self.lengths.shrink_to(KEPT);
        }
    }
}
