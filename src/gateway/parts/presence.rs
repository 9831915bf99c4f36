//! What services are told of who is connected, where they are told.

use crate::gateway::model::random::Random;
use std::collections::VecDeque;

/// Snapshots that may be on the way at once. Whoever asks for one more gets no answer.
pub(crate) const SNAPSHOTS_MAX: usize = 16;

/// A service is being sent the connections that there are.
#[derive(Debug)]
pub struct Snapshot {
    /// Where it wants them.
    pub reply: Box<str>,
    /// The place from which on they are still to be sent.
    pub at: usize,
}

/// What a service is told of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Connect,
    Disconnect,
}

impl Passage {
    /// As it stands in a subject.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
        }
    }
}

/// What services are told of who is connected.
#[derive(Debug)]
pub struct Presence {
    /// Milliseconds between two heartbeats.
    interval: u64,
    /// The gateway's own ID.
    gateway: [u8; 20],
    /// Connections that came or went, so far: a service that has heard of fewer has missed some.
    events: u64,
    snapshots: VecDeque<Snapshot>,
}

impl Presence {
    /// Services are told, with a heartbeat in so many milliseconds; not at all with 0.
    pub fn new(interval: u64, random: &mut Random) -> Option<Box<Self>> {
        (interval > 0).then(|| {
            Box::new(Self {
                interval,
                gateway: random.text(),
                events: 0,
                snapshots: VecDeque::new(),
            })
        })
    }

    /// The gateway's own ID.
    pub fn gateway(&self) -> &str {
        std::str::from_utf8(&self.gateway).unwrap_or_default()
    }

    pub fn interval(&self) -> u64 {
        self.interval
    }

    /// Connections that came or went, so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// A connection came or went.
    pub fn count(&mut self) {
        self.events += 1;
    }

    /// A service asks for a snapshot. Whether it gets one.
    pub fn ask(&mut self, reply: &str) -> bool {
        let has_room = self.snapshots.len() < SNAPSHOTS_MAX;
        if has_room {
            let reply = reply.into();
            self.snapshots.push_back(Snapshot { reply, at: 0 });
        }
        has_room
    }

    /// The snapshot whose turn it is.
    pub fn take_snapshot(&mut self) -> Option<Snapshot> {
        self.snapshots.pop_front()
    }

    /// One is not complete: those that others have asked for have their turn.
    pub fn put_snapshot_off(&mut self, snapshot: Snapshot) {
        self.snapshots.push_back(snapshot);
    }

    /// Whether any is on the way.
    pub fn has_snapshots(&self) -> bool {
        !self.snapshots.is_empty()
    }

    /// The broker is away: who has asked for a snapshot does not hear of it.
    pub fn forget_snapshots(&mut self) {
        self.snapshots.clear();
    }
}
