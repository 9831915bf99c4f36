//! What is queued for connections, and how it is written: first come, first served, within a
//! budget, and later on purpose where a delay was asked for.

use std::collections::VecDeque;

use super::Clients;
use crate::gateway::{ClientKey, Time};
use crate::reactor::clock::Clock;
use crate::reactor::connection::{Connection, ConnectionKey, Phase};
use crate::reactor::deadlines::Kind;
use crate::reactor::framing::Framing;
use crate::reactor::output::{HARD_LIMIT, Output, Piece, SOFT_LIMIT, Written};

/// Microseconds of one turn's writes before the loop looks at its input again.
pub(crate) const FLUSH_TIME: u64 = 1_500;

/// Of [`FLUSH_TIME`], how much queues of more than [`BULK`] bytes leave to the others.
const FLUSH_SMALL: u64 = 1_000;

/// Writes between two looks at the clock.
const FLUSH_STEP: usize = 16;

/// Waiting bytes from which on a queue stands in the list of those whose writes take long,
/// and others do not stand behind it.
const BULK: usize = 64 << 10;

/// Waiting bytes of a client whose socket may take more, above which NATS is not read: it is
/// not the client that is slow.
pub(crate) const LONG: usize = HARD_LIMIT / 2;

/// Output queues that are kept for the next connection in need of one.
const SPARE_QUEUES: usize = 1_024;

/// Room of a kept queue, in pieces; larger ones are given back.
const SPARE_CAPACITY: usize = 64;

/// Milliseconds between two looks at the clients that may be too slow.
pub(super) const SLOW_STEP: u64 = 1_000;

/// Milliseconds between two log lines about slow clients.
const SLOW_LOG_STEP: u64 = 10_000;

/// Bytes that wait for sockets which may take them, beyond which nothing is delayed.
const DELAYED_MAX: usize = 8 << 20;

/// Clients that may be too slow, and how many were.
#[derive(Debug, Default)]
pub(super) struct SlowClients {
    pub(super) watched: Vec<ConnectionKey>,
    pub(super) look: Option<Time>,
    pub(super) closed: u64,
    pub(super) logged: u64,
    pub(super) next_log: Time,
}

/// Connections that are written to later, all together: the more messages in one write, the
/// less each costs.
#[derive(Debug)]
pub(super) struct Delayed {
    /// Milliseconds for which output may wait; 0 for none.
    time: u64,
    keys: VecDeque<ConnectionKey>,
    due: Option<Time>,
}

impl Delayed {
    pub(super) fn new(time: u64) -> Self {
        Self {
            time,
            keys: VecDeque::new(),
            due: None,
        }
    }

    /// Whether what is for a connection may wait: messages, but no answer of HTTP.
    fn takes(&self, connection: &Connection) -> bool {
        self.time > 0 && connection.framing().is_some()
    }

    fn add(&mut self, key: ConnectionKey, now: Time) {
        self.keys.push_back(key);
        self.due.get_or_insert(Time(now.0 + self.time));
    }

    /// When they are written to.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    fn is_due(&self, now: Time) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// All of them, for the caller to take: it is their time.
    fn take(&mut self) -> &mut VecDeque<ConnectionKey> {
        self.due = None;
        &mut self.keys
    }
}

impl Clients {
    /// Bytes that wait for sockets which may take them: work that this process has
    /// taken on and not done. What waits for slow readers is not in it.
    pub(in crate::reactor) fn fresh(&self) -> usize {
        self.fresh
    }

    /// Whether so much waits for a socket which may take it that more must not be added.
    pub(in crate::reactor) fn has_long_queue(&self) -> bool {
        self.long > 0
    }

    /// Bytes written to clients so far.
    pub(in crate::reactor) fn bytes_written(&self) -> u64 {
        self.written
    }

    /// Clients closed so far since they read too slowly.
    pub(in crate::reactor) fn slow_closed(&self) -> u64 {
        self.slow.closed
    }

    /// Whether there is something to write now.
    pub(in crate::reactor) fn has_output(&self) -> bool {
        !self.dirty.is_empty() || !self.bulk.is_empty() || !self.leaving.is_empty()
    }

    /// Queues output. A client that leaves too much unread is given up.
    pub(in crate::reactor) fn push(&mut self, key: ConnectionKey, piece: Piece, now: Time) {
        self.queue(key.client(), now, |connection| {
            let is_there = connection.generation == key.generation() && !connection.is_dead();
            is_there.then_some(piece)
        });
    }

    /// Queues the piece that `make` gives for the framing of a client's connection; nothing
    /// on one that takes no messages.
    pub(in crate::reactor) fn send(
        &mut self,
        client: ClientKey,
        now: Time,
        make: impl FnOnce(Framing) -> Piece,
    ) {
        self.queue(client, now, |connection| {
            connection.news = 1;
            connection.framing().map(make)
        });
    }

    /// Queues the piece that `make` gives for the connection with the place of a client, if
    /// it gives one. With one look-up: an event has many receivers.
    fn queue(
        &mut self,
        client: ClientKey,
        now: Time,
        make: impl FnOnce(&mut Connection) -> Option<Piece>,
    ) {
        let Some((key, connection)) = self.table.of_client(client) else {
            return;
        };
        let Some(piece) = make(connection) else {
            return;
        };
        let output = connection
            .output
            .get_or_insert_with(|| self.spare.pop().unwrap_or_default());
        if output.cost() >= HARD_LIMIT {
            self.give_up(key);
            return;
        }
        output.push(piece, now);
        self.held.output = (self.held.output).saturating_add_signed(output.take_change());
        if !output.watched && output.cost() > SOFT_LIMIT {
            output.watched = true;
            self.slow.watched.push(key);
            self.slow.look.get_or_insert(Time(now.0 + SLOW_STEP));
        }
        if connection.writable {
            self.fresh += output.own() - output.fresh;
            output.fresh = output.own();
            let bytes = output.bytes();
            if !output.long && bytes > LONG {
                output.long = true;
                self.long += 1;
            }
            if !connection.dirty {
                connection.dirty = true;
                if bytes > BULK {
                    self.bulk.push_back(key);
                } else if self.delayed.takes(connection) {
                    self.delayed.add(key, now);
                } else {
                    self.dirty.push_back(key);
                }
            }
        }
    }

    /// Queues the bytes that `write` puts into an empty buffer.
    pub(in crate::reactor) fn push_written(
        &mut self,
        key: ConnectionKey,
        now: Time,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        write(&mut bytes);
        self.push(key, Piece::Bytes(bytes.as_slice().into()), now);
        self.scratch = bytes;
    }

    /// Sees to it that ciphertext which the TLS session has made by itself is sent.
    pub(in crate::reactor) fn flush_tls(&mut self, key: ConnectionKey, now: Time) {
        let Some(connection) = self.get_mut(key) else {
            return;
        };
        if !connection.stream.has_unsent() {
            return;
        }
        let is_writable = connection.writable;
        if connection.output.is_none() {
            let mut output = self.spare.pop().unwrap_or_default();
            output.note_progress(now);
            if let Some(connection) = self.get_mut(key) {
                connection.output = Some(output);
            }
        }
        if is_writable {
            self.mark_dirty(key);
        }
    }

    /// Gives up the clients that leave much unread and have read nothing for long, by writes
    /// that were tried. Called behind [`flush`](Self::flush).
    pub(in crate::reactor) fn look_at_slow(&mut self, now: Time) {
        if self.slow.look.is_none_or(|look| look > now) {
            return;
        }
        let mut watched = std::mem::take(&mut self.slow.watched);
        watched.retain(|&key| {
            let Some(connection) = self.get_mut(key) else {
                return false;
            };
            let Some(output) = &mut connection.output else {
                return false;
            };
            if output.cost() <= SOFT_LIMIT {
                output.watched = false;
                return false;
            }
            // What the flush has yet to offer is not the reader's fault.
            if connection.writable || !output.is_stalled(now) {
                return true;
            }
            // The poll tells of room only when there is much of it.
            self.write(key, now);
            let connection = self.get_mut(key);
            let output = connection.and_then(|connection| connection.output.as_ref());
            let is_stalled = output.is_some_and(|output| output.is_stalled(now));
            if is_stalled {
                self.give_up(key);
            }
            !is_stalled
        });
        self.slow.watched = watched;
        let unlogged = self.slow.closed - self.slow.logged;
        if unlogged > 0 && self.slow.next_log <= now {
            log::info!(
                "closed {unlogged} clients that read too slowly, {} since the start",
                self.slow.closed
            );
            self.slow.logged = self.slow.closed;
            self.slow.next_log = Time(now.0 + SLOW_LOG_STEP);
        }
        let is_idle = self.slow.watched.is_empty() && self.slow.closed == self.slow.logged;
        self.slow.look = (!is_idle).then_some(Time(now.0 + SLOW_STEP));
    }

    /// Writes to the connections that have output, first come, first served, each once;
    /// those with long queues last. What the budget leaves is written in the next turn.
    pub(in crate::reactor) fn flush(&mut self, clock: &Clock) {
        let now = clock.now();
        if self.fresh > DELAYED_MAX || self.delayed.is_due(now) {
            self.dirty.append(self.delayed.take());
        }
        if self.dirty.is_empty() && self.bulk.is_empty() {
            return;
        }
        let start = clock.micros();
        for count in 1..=self.dirty.len() {
            let Some(key) = self.dirty.pop_front() else {
                break;
            };
            let output = self.table.get(key).and_then(|it| it.output.as_ref());
            match output {
                Some(output) if output.bytes() > BULK => self.bulk.push_back(key),
                _ => self.write(key, now),
            }
            if count % FLUSH_STEP == 0 && clock.micros() >= start + FLUSH_SMALL {
                break;
            }
        }
        for _ in 0..self.bulk.len() {
            let Some(key) = self.bulk.pop_front() else {
                return;
            };
            self.write(key, now);
            if clock.micros() >= start + FLUSH_TIME {
                return;
            }
        }
    }

    /// Drops queues of connections that ended, so many pieces at most.
    pub(super) fn drop_queues(&mut self, most: usize) {
        let mut left = most;
        while left > 0
            && let Some(mut output) = self.leaving.pop()
        {
            let before = output.pieces();
            let is_dropped = output.drop_pieces(left);
            left = left.saturating_sub(1 + before - output.pieces());
            self.held.output = (self.held.output).saturating_add_signed(output.take_change());
            if !is_dropped {
                self.leaving.push(output);
            }
        }
    }

    pub(super) fn mark_dirty(&mut self, key: ConnectionKey) {
        let Some(connection) = self.table.get_mut(key) else {
            return;
        };
        let Some(output) = &mut connection.output else {
            return;
        };
        self.fresh -= output.fresh;
        output.fresh = output.own();
        self.fresh += output.fresh;
        let bytes = output.bytes();
        let was_long = std::mem::replace(&mut output.long, bytes > LONG);
        self.long = self.long + usize::from(output.long) - usize::from(was_long);
        if !connection.dirty {
            connection.dirty = true;
            match bytes > BULK {
                true => self.bulk.push_back(key),
                false => self.dirty.push_back(key),
            }
        }
    }

    pub(super) fn write(&mut self, key: ConnectionKey, now: Time) {
        let Some(connection) = self.table.get_mut(key) else {
            return;
        };
        connection.dirty = false;
        let Some(output) = &mut connection.output else {
            return;
        };
        self.fresh -= std::mem::take(&mut output.fresh);
        self.long -= usize::from(std::mem::take(&mut output.long));
        let before = output.bytes();
        let (scratch, wire) = (&mut self.scratch, &mut self.wire);
        let result = connection.stream.write_queue(output, scratch, wire, now);
        self.written += (before - output.bytes()) as u64;
        self.held.output = (self.held.output).saturating_add_signed(output.take_change());
        match result {
            Ok(Written::All) => {
                if let Some(mut output) = connection.output.take() {
                    self.deadlines.disarm(&mut output.timer);
                    self.keep_spare(output);
                }
                self.written(key, now);
            }
            // It may have been left unread because of output that is gone now.
            Ok(Written::Some) => {
                self.mark_dirty(key);
                self.wake(key);
            }
            Ok(Written::Blocked) => {
                connection.writable = false;
                let has_moved = output.progress() == now;
                if has_moved || self.deadlines.kind(&output.timer).is_none() {
                    (self.deadlines).arm(&mut output.timer, Kind::Unread, key, now);
                }
                self.wake(key);
            }
            Err(error) => {
                log::debug!("client {} is gone: {error}", connection.remote);
                self.kill(key);
            }
        }
    }

    /// Everything that was queued is written.
    fn written(&mut self, key: ConnectionKey, now: Time) {
        let Some(connection) = self.get_mut(key) else {
            return;
        };
        match &connection.phase {
            Phase::Closing(_) => self.end_output(key, now),
            // The client has ended its side, and has now got all it asked for.
            Phase::Http(http)
                if connection.ended && !connection.unparsed && http.work.is_none() =>
            {
                self.kill(key);
            }
            // It may have been left unread because of its output.
            _ => self.wake(key),
        }
    }

    /// Ends our side of a closing connection.
    pub(super) fn end_output(&mut self, key: ConnectionKey, now: Time) {
        let Some(connection) = self.get_mut(key) else {
            return;
        };
        connection.stream.close();
        if connection.stream.has_unsent() {
            // It comes back here when that has left.
            self.flush_tls(key, now);
        } else if connection.ended || connection.stream.shutdown().is_err() {
            self.kill(key);
        } else {
            if self.deadline(key) != Some(Kind::Close) {
                self.arm(key, Kind::Linger, now);
            }
            self.end_completed(key);
        }
    }

    fn keep_spare(&mut self, mut output: Box<Output>) {
        if self.spare.len() < SPARE_QUEUES && output.capacity() <= SPARE_CAPACITY {
            output.watched = false;
            self.spare.push(output);
        }
    }

    /// A client has read nothing of its output for long.
    pub(in crate::reactor) fn look_at_unread(&mut self, key: ConnectionKey, now: Time) {
        let Some(connection) = self.table.get_mut(key) else {
            return;
        };
        let Some(output) = &mut connection.output else {
            return;
        };
        if now.0.saturating_sub(output.progress().0) < Kind::Unread.duration() {
            return (self.deadlines).arm(&mut output.timer, Kind::Unread, key, now);
        }
        self.give_up(key);
    }

    pub(in crate::reactor) fn give_up(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.get_mut(key) {
            log::debug!(
                "client {} reads too slowly, closed with {} bytes unread",
                connection.remote,
                connection.output_bytes()
            );
            self.slow.closed += 1;
            self.slow.look.get_or_insert(Time(0));
            self.kill(key);
        }
    }
}
