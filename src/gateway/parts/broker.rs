//! The broker as the gateway knows it: whether it is there, which connection to it this is,
//! and what waits until it is there again.

use crate::gateway::model::keys::{Connection, PendingKey};
use crate::gateway::model::parked::Parked;
use crate::gateway::model::time::Time;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// Subjects that the broker has refused to send, and that are remembered.
pub(crate) const REFUSED_MAX: usize = 4096;

/// First pause before a refused subject is subscribed again, in milliseconds. It doubles with
/// each refusal in a row, up to the longest.
const FIRST_PAUSE: u64 = 1_000;
const LONGEST_PAUSE: u64 = 60_000;

/// Time between two clients that are told to go, in milliseconds, and the longest that one
/// is put off.
const GOODBYE_GAP: u64 = 1;
const GOODBYES_TIME: u64 = 60_000;

/// Subscriptions without which the gateway is of no use, and which the broker has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vital {
    Inbox,
    System,
    Connections,
}

/// Which tables are gone through when the broker is there again, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Clients,
    /// Requests that were sent on the connection before.
    Requests,
    Names,
}

/// How far the gateway has come since the broker is there again.
#[derive(Debug)]
struct Return {
    stage: Stage,
    at: usize,
}

/// A name whose events the broker does not send.
#[derive(Debug)]
struct Refused {
    until: Time,
    pause: u64,
}

/// See above.
#[derive(Debug, Default)]
pub struct Broker {
    /// The present connection, or the one that was lost last.
    connection: Connection,
    is_there: bool,
    /// Some of what it is to be sent waits until it has taken what came before.
    is_behind: bool,
    parked: VecDeque<Parked>,
    parked_bytes: usize,
    returning: Option<Return>,
    vital: [bool; 3],
    refused: HashMap<Box<str>, Refused, foldhash::fast::RandomState>,
    /// Clients that were told to go since the broker is there again.
    goodbyes: u64,
}

impl Broker {
    /// Whether anything can be asked now.
    pub fn is_there(&self) -> bool {
        self.is_there
    }

    /// Whether some of what it is to be sent waits until it has taken what came before.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// It is behind, or not any more.
    pub fn set_behind(&mut self, is_behind: bool) {
        self.is_behind = is_behind;
    }

    /// The present connection, or the one that was lost last.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Whether what was subscribed on a connection is sent.
    pub fn hears(&self, connection: Connection) -> bool {
        self.is_there && connection == self.connection
    }

    /// It is there: a new connection, to which nothing is known.
    pub fn connect(&mut self) {
        self.connection = self.connection.next();
        self.is_there = true;
        self.vital = [false; 3];
        self.goodbyes = 0;
        self.refused.clear();
        self.returning = None;
    }

    /// All that was known to it has to be said again.
    pub fn begin_return(&mut self) {
        let (stage, at) = (Stage::Clients, 0);
        self.returning = Some(Return { stage, at });
    }

    /// It is away. Returns whether it was there.
    pub fn lose(&mut self) -> bool {
        self.returning = None;
        std::mem::take(&mut self.is_there)
    }

    /// A request waits for it.
    pub fn park(&mut self, parked: Parked) {
        self.parked_bytes += parked.size();
        self.parked.push_back(parked);
    }

    /// The request that has waited longest.
    pub fn next_parked(&mut self) -> Option<Parked> {
        let parked = self.parked.pop_front()?;
        self.parked_bytes -= parked.size();
        if self.parked.is_empty() {
            self.parked = VecDeque::new();
        }
        Some(parked)
    }

    /// Forgets the oldest of those that wait, as far as nobody waits for their answers.
    pub fn forget_parked(&mut self, is_over: impl Fn(PendingKey) -> bool) {
        while self
            .parked
            .front()
            .is_some_and(|first| is_over(first.request))
        {
            self.next_parked();
        }
    }

    /// Bytes of the requests that wait.
    pub fn parked_bytes(&self) -> usize {
        self.parked_bytes
    }

    /// The next place to look at on the way of the return: `places` says how many a table
    /// has. `None` when all is said.
    pub fn next_place(&mut self, places: impl Fn(Stage) -> usize) -> Option<(Stage, u32)> {
        let returning = self.returning.as_mut()?;
        loop {
            let Return { stage, at } = *returning;
            if at < places(stage) {
                returning.at += 1;
                return Some((stage, at as u32));
            }
            returning.at = 0;
            returning.stage = match stage {
                Stage::Clients => Stage::Requests,
                Stage::Requests => Stage::Names,
                Stage::Names => {
                    self.returning = None;
                    return None;
                }
            };
        }
    }

    /// Whether the return has not come to all clients yet.
    pub fn is_among_clients(&self) -> bool {
        let stage = self.returning.as_ref().map(|returning| returning.stage);
        stage == Some(Stage::Clients)
    }

    /// It does not send what the gateway cannot do without.
    pub fn lacks(&mut self, vital: Vital) {
        self.vital[vital as usize] = true;
    }

    /// Whether it is there, and sends all that the gateway cannot do without.
    pub fn is_ready(&self) -> bool {
        self.is_there && self.vital == [false; 3]
    }

    /// It does not send the events of a name. They are not subscribed again for a while.
    pub fn refuse(&mut self, name: &str, now: Time) {
        if self.refused.len() >= REFUSED_MAX {
            self.refused.retain(|_, refused| refused.until > now);
        }
        if self.refused.len() >= REFUSED_MAX && !self.refused.contains_key(name) {
            return; // It is subscribed again when it is next asked for.
        }
        let refused = self.refused.entry(name.into()).or_insert(Refused {
            until: now,
            pause: FIRST_PAUSE,
        });
        refused.until = Time(now.0.saturating_add(refused.pause));
        refused.pause = (2 * refused.pause).min(LONGEST_PAUSE);
    }

    /// Whether the events of a name must not be subscribed now.
    pub fn refuses(&self, name: &str, now: Time) -> bool {
        !self.refused.is_empty()
            && self
                .refused
                .get(name)
                .is_some_and(|refused| refused.until > now)
    }

    /// How long the next client that has to go is put off, in milliseconds, so that not all
    /// come back at once.
    pub fn next_goodbye(&mut self) -> u64 {
        self.goodbyes += GOODBYE_GAP;
        self.goodbyes.min(GOODBYES_TIME)
    }

    /// Checks the total.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let bytes: usize = self.parked.iter().map(Parked::size).sum();
        match bytes == self.parked_bytes {
            true => Ok(()),
            false => Err(format!(
                "parked requests of {bytes} bytes are counted as {}",
                self.parked_bytes
            )),
        }
    }
}
