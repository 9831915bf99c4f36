//! Where the memory of all clients' buffers is short: what it is, and who goes first.

use super::Clients;
use crate::gateway::Time;
use crate::reactor::connection::{Connection, ConnectionKey};

/// Connections that are ended in one turn where memory is short.
const CUT_MAX: usize = 64;

/// Part of a queue's bytes, be they shared or not, that counts where memory is short.
const SHARED: usize = 64;

impl Clients {
    /// Bytes of memory that waiting input and output takes.
    pub(in crate::reactor) fn held(&self) -> usize {
        self.held.input + self.held.output
    }

    /// The connections that should go first, since input and output of all take more memory
    /// than they may; none while memory of such ones is still being dropped.
    pub(in crate::reactor) fn to_cut(&self, most: usize, now: Time) -> Vec<ConnectionKey> {
        if self.held() <= most || !self.leaving.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<_> = (self.table.iter())
            .filter(|(_, connection)| !connection.is_dead())
            .map(|(key, connection)| (self.weight(connection, now), key))
            .filter(|((weight, _), _)| *weight > 0)
            .collect();
        let kept = found.len().saturating_sub(CUT_MAX);
        if kept > 0 {
            found.select_nth_unstable_by_key(kept - 1, |((weight, _), _)| *weight);
            found.drain(..kept);
        }
        found.sort_unstable_by_key(|((weight, _), _)| std::cmp::Reverse(*weight));
        let mut excess = self.held() - most;
        let needed = found.iter().position(|((_, bytes), _)| {
            excess = excess.saturating_sub(*bytes);
            excess == 0
        });
        found.truncate(needed.map_or(found.len(), |last| last + 1));
        found.into_iter().map(|(_, key)| key).collect()
    }

    /// How much is to be said for ending a connection where memory is short, and how much of
    /// that would be won: the larger and the older, the more.
    fn weight(&self, connection: &Connection, now: Time) -> (usize, usize) {
        let age = |since: Time| (1 + now.0.saturating_sub(since.0) / 1_000) as usize;
        let input = connection.held as usize;
        let started = self.deadlines.started(&connection.timer);
        let mut weight = input.saturating_mul(age(started.unwrap_or(now)));
        let mut bytes = input;
        if let Some(output) = &connection.output {
            // What it shares is won only when all have let go of it.
            let share = output.own() + output.cost() / SHARED;
            weight = weight.saturating_add(share.saturating_mul(age(output.progress())));
            bytes += share;
        }
        (weight, bytes)
    }

    /// Whether a connection would be cut for its output rather than for its input.
    pub(in crate::reactor) fn holds_output(&mut self, key: ConnectionKey) -> bool {
        self.get_mut(key)
            .is_some_and(|it| it.output_cost() > it.held as usize)
    }

    /// Counts the input that a connection keeps by now.
    pub(in crate::reactor) fn count_input(&mut self, key: ConnectionKey) {
        let Some(connection) = self.table.get_mut(key) else {
            return;
        };
        let held = u32::try_from(connection.input_bytes()).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut connection.held, held);
        self.held.input = self.held.input - before as usize + held as usize;
    }
}
