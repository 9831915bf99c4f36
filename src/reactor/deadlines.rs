//! Deadlines of connections: one first-in-first-out list per duration.
//!
//! All deadlines of a kind last equally long, so that a list is in order of its due
//! times by itself: arming, disarming and asking for the next one take constant time,
//! and a disarmed deadline leaves nothing behind. A connection has at most one at a
//! time, and its waiting output another one; they keep the [`Timer`], four bytes, and an
//! idle WebSocket nothing else.

use slab::Slab;

use super::connection::ConnectionKey;
use crate::config::Config;
use crate::gateway::Time;

/// What a connection has to do in time, or else is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Send the head of a request, counted from its first byte or from the accept.
    Head,
    /// Send the body of a request.
    Body,
    /// Take the last answer.
    Idle,
    /// Send the next request of a kept connection, or take an answer.
    Kept,
    /// Send a message, where a WebSocket must now and then.
    Quiet,
    /// Finish the close handshake of a WebSocket.
    Close,
    /// End its side after a last answer.
    Linger,
    /// Send the rest of a message, counted from when its beginning was read.
    Message,
    /// Read some of the output that waits.
    Unread,
    /// Nothing: it is looked at whether its answer has waited for a change for long enough.
    Wait,
}

const KINDS: [Kind; 10] = [
    Kind::Head,
    Kind::Body,
    Kind::Idle,
    Kind::Kept,
    Kind::Quiet,
    Kind::Close,
    Kind::Linger,
    Kind::Message,
    Kind::Unread,
    Kind::Wait,
];

impl Kind {
    /// How long it lasts unless an option says otherwise, in milliseconds; 0 is that there is
    /// none.
    pub(super) const fn duration(self) -> u64 {
        match self {
            Kind::Head => 10_000,
            Kind::Body => 30_000,
            Kind::Idle | Kind::Kept => 120_000,
            Kind::Quiet => 0,
            Kind::Close => 5_000,
            Kind::Linger => 2_000,
            Kind::Message => 30_000,
            Kind::Unread => 120_000,
            Kind::Wait => 1_000,
        }
    }
}

/// How long deadlines last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Durations([u64; KINDS.len()]);

impl Default for Durations {
    fn default() -> Self {
        Self(KINDS.map(Kind::duration))
    }
}

impl Durations {
    /// Those of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        let mut durations = Self::default();
        for (kind, time) in [
            (Kind::Head, config.head_timeout),
            (Kind::Kept, config.http_keep_alive),
            (Kind::Quiet, config.ws_idle_timeout),
        ] {
            durations.0[kind as usize] = time.into();
        }
        durations
    }
}

const NONE: u32 = u32::MAX;

/// A connection's handle on its deadline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timer(u32);

impl Timer {
    /// Whether the deadline is armed.
    pub(super) fn is_armed(&self) -> bool {
        self.0 != NONE
    }
}

impl Default for Timer {
    fn default() -> Self {
        Timer(NONE)
    }
}

#[derive(Debug)]
struct Node {
    due: Time,
    owner: ConnectionKey,
    kind: Kind,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// All armed deadlines.
#[derive(Debug)]
pub(super) struct Deadlines {
    nodes: Slab<Node>,
    lists: [List; KINDS.len()],
    durations: Durations,
}

impl Deadlines {
    /// No deadlines.
    pub(super) fn new(durations: Durations) -> Self {
        Self {
            nodes: Slab::new(),
            lists: [List {
                first: NONE,
                last: NONE,
            }; KINDS.len()],
            durations,
        }
    }

    /// How long a kind lasts, in milliseconds; 0 is that there is none.
    pub(super) fn duration(&self, kind: Kind) -> u64 {
        self.durations.0[kind as usize]
    }

    /// Starts a deadline for `owner`, in place of the one that it had.
    pub(super) fn arm(&mut self, timer: &mut Timer, kind: Kind, owner: ConnectionKey, now: Time) {
        self.disarm(timer);
        let due = Time(now.0 + self.duration(kind));
        let list = &mut self.lists[kind as usize];
        let index = self.nodes.insert(Node {
            due,
            owner,
            kind,
            previous: list.last,
            next: NONE,
        }) as u32;
        let last = std::mem::replace(&mut list.last, index);
        match self.nodes.get_mut(last as usize) {
            Some(node) => node.next = index,
            None => list.first = index,
        }
        timer.0 = index;
    }

    /// Forgets a deadline, if it is armed.
    pub(super) fn disarm(&mut self, timer: &mut Timer) {
        let index = std::mem::take(timer).0;
        let Some(node) = self.nodes.try_remove(index as usize) else {
            return;
        };
        let list = &mut self.lists[node.kind as usize];
        match self.nodes.get_mut(node.previous as usize) {
            Some(previous) => previous.next = node.next,
            None => list.first = node.next,
        }
        match self.nodes.get_mut(node.next as usize) {
            Some(next) => next.previous = node.previous,
            None => list.last = node.previous,
        }
    }

    /// The kind of an armed deadline.
    pub(super) fn kind(&self, timer: &Timer) -> Option<Kind> {
        self.nodes.get(timer.0 as usize).map(|node| node.kind)
    }

    /// When an armed deadline was started.
    pub(super) fn started(&self, timer: &Timer) -> Option<Time> {
        let node = self.nodes.get(timer.0 as usize)?;
        Some(Time(node.due.0.saturating_sub(self.duration(node.kind))))
    }

    /// When the next deadline is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.first().map(|node| node.due)
    }

    /// The owner of a deadline that is due, earliest first. It stays armed: the caller
    /// disarms it, or arms another one, before it asks again.
    pub(super) fn due(&self, now: Time) -> Option<(ConnectionKey, Kind)> {
        let node = self.first()?;
        (node.due <= now).then_some((node.owner, node.kind))
    }

    fn first(&self) -> Option<&Node> {
        let firsts = self.lists.iter();
        firsts
            .filter_map(|list| self.nodes.get(list.first as usize))
            .min_by_key(|node| node.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::connection::Generation;

    fn key(index: u32) -> ConnectionKey {
        ConnectionKey::new(index, Generation::default())
    }

    /// The same by the slow way: a vector searched from the front.
    #[derive(Default)]
    struct Model(Vec<(Time, ConnectionKey, Kind)>);

    impl Model {
        fn arm(&mut self, kind: Kind, owner: ConnectionKey, now: Time) {
            self.disarm(owner);
            self.0.push((Time(now.0 + kind.duration()), owner, kind));
        }

        fn disarm(&mut self, owner: ConnectionKey) {
            self.0.retain(|entry| entry.1 != owner);
        }

        fn next(&self) -> Option<Time> {
            self.0.iter().map(|entry| entry.0).min()
        }
    }

    #[test]
    fn each_kind_is_due_after_its_duration() {
        for kind in KINDS {
            let mut deadlines = Deadlines::new(Durations::default());
            let mut timer = Timer::default();
            deadlines.arm(&mut timer, kind, key(7), Time(100));
            let due = 100 + kind.duration();
            assert_eq!(deadlines.next(), Some(Time(due)));
            assert_eq!(deadlines.kind(&timer), Some(kind));
            assert_eq!(deadlines.due(Time(due - 1)), None);
            assert_eq!(deadlines.due(Time(due)), Some((key(7), kind)));
            deadlines.disarm(&mut timer);
            assert_eq!(timer, Timer::default());
            assert_eq!(deadlines.next(), None);
        }
    }

    #[test]
    fn disarming_twice_takes_nothing_from_others() {
        let mut deadlines = Deadlines::new(Durations::default());
        let (mut one, mut two) = (Timer::default(), Timer::default());
        deadlines.arm(&mut one, Kind::Head, key(1), Time(0));
        deadlines.disarm(&mut one);
        deadlines.arm(&mut two, Kind::Head, key(2), Time(5));
        deadlines.disarm(&mut one);
        assert_eq!(deadlines.due(Time(10_005)), Some((key(2), Kind::Head)));
    }

    #[test]
    fn agrees_with_a_searched_list_over_many_steps() {
        const OWNERS: usize = 13;
        let mut deadlines = Deadlines::new(Durations::default());
        let mut timers: Vec<Timer> = (0..OWNERS).map(|_| Timer::default()).collect();
        let mut model = Model::default();
        let (mut now, mut random) = (0u64, 1u64);
        let mut fired = 0;
        for _ in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let pick = (random >> 33) as usize;
            let owner = pick % OWNERS;
            match (pick / OWNERS) % 8 {
                0 => {
                    deadlines.disarm(&mut timers[owner]);
                    model.disarm(key(owner as u32));
                }
                1 => now += (pick as u64 / 128) % 3_000,
                step => {
                    let kind = KINDS[step % KINDS.len()];
                    let key = key(owner as u32);
                    deadlines.arm(&mut timers[owner], kind, key, Time(now));
                    model.arm(kind, key, Time(now));
                }
            }
            assert_eq!(deadlines.next(), model.next());
            while let Some((key, kind)) = deadlines.due(Time(now)) {
                let earliest = model.next();
                assert!(
                    model.0.iter().any(
                        |&entry| Some(entry.0) == earliest && (entry.1, entry.2) == (key, kind)
                    )
                );
                deadlines.disarm(&mut timers[key.index()]);
                model.disarm(key);
                fired += 1;
            }
            assert!(model.next().is_none_or(|due| due > Time(now)));
        }
        assert!(fired > 100, "only {fired} deadlines were due");
        assert_eq!(deadlines.nodes.len(), model.0.len());
    }
}
