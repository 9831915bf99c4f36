//! The table of client connections, and the lists of those with work to do.
//!
//! Nothing here parses or knows the gateway. A connection that the gateway knows and
//! that ends is put on [`Clients::take_doomed`]'s list; the reactor tells the gateway.

mod memory;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::Registry;
use mio::event::Event;

use super::admission::{Admission, Crowded, Place};
use super::clock::Clock;
use super::connection::{CONNECTIONS_MAX, Connection, ConnectionKey, Farewell, Phase};
use super::deadlines::{Deadlines, Durations, Kind};
use super::framing::Framing;
use super::goodbyes::Goodbyes;
use super::hand::Hand;
use super::output::{HARD_LIMIT, Output, Piece, SOFT_LIMIT, Written};
use super::rotation::{Age, Rotation};
use super::stream::Stream;
use super::table::Table;
use crate::gateway::{ClientKey, Time};

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

/// Pieces of ended connections' queues that are dropped in a turn.
const DROPPED: usize = 4 << 10;

/// Output queues that are kept for the next connection in need of one.
const SPARE_QUEUES: usize = 1_024;

/// Room of a kept queue, in pieces; larger ones are given back.
const SPARE_CAPACITY: usize = 64;

/// Milliseconds between two looks at the clients that may be too slow.
const SLOW_STEP: u64 = 1_000;

/// Milliseconds between two log lines about slow clients.
const SLOW_LOG_STEP: u64 = 10_000;

/// All connections.
#[derive(Debug)]
pub(super) struct Clients {
    table: Table,
    admission: Admission,
    /// To be served: input to parse, or a socket to read.
    ready: VecDeque<ConnectionKey>,
    /// The same for connections whose TLS handshake is not finished: its steps take so
    /// much time that nobody shall stand behind them.
    shaking: VecDeque<ConnectionKey>,
    /// The same for those that used up their share when they were last served: the others
    /// do not stand behind them.
    busy: VecDeque<ConnectionKey>,
    /// To be written to.
    dirty: VecDeque<ConnectionKey>,
    /// The same for long queues.
    bulk: VecDeque<ConnectionKey>,
    /// Gone; their places are freed after the turn.
    dead: Vec<ConnectionKey>,
    /// The gateway must be told that they are gone.
    doomed: Vec<ClientKey>,
    deadlines: Deadlines,
    goodbyes: Goodbyes,
    pulse: Hand,
    rotation: Rotation,
    slow: SlowClients,
    #[expect(clippy::vec_box, reason = "a box moves to its connection as it is")]
    spare: Vec<Box<Output>>,
    scratch: Vec<u8>,
    /// Ciphertext on its way out.
    wire: Vec<u8>,
    /// Queues of connections that ended, while dropping them takes long.
    #[expect(clippy::vec_box, reason = "a box moves from its connection as it is")]
    leaving: Vec<Box<Output>>,
    /// Bytes queued for sockets that may take them; each text counts once.
    fresh: usize,
    /// Clients whose sockets may take more and that have [`LONG`] queues.
    long: usize,
    /// Memory that input and output of all connections take.
    held: Held,
    /// Bytes written so far.
    written: u64,
}

/// Memory that waiting input and output takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Bytes of input that cannot be used yet.
    input: usize,
    /// Bytes of output, each text once.
    output: usize,
}

/// Clients that may be too slow, and how many were.
#[derive(Debug, Default)]
struct SlowClients {
    watched: Vec<ConnectionKey>,
    look: Option<Time>,
    closed: u64,
    logged: u64,
    next_log: Time,
}

impl Clients {
    /// No connections, how many there may be, and what they have time for. Silent ones will be
    /// asked, and old ones closed, when the hands come to them.
    pub(super) fn new(
        pulse: Hand,
        rotation: Rotation,
        admission: Admission,
        durations: Durations,
    ) -> Self {
        Self {
            table: Table::new(),
            admission,
            ready: VecDeque::new(),
            shaking: VecDeque::new(),
            busy: VecDeque::new(),
            dirty: VecDeque::new(),
            bulk: VecDeque::new(),
            dead: Vec::new(),
            doomed: Vec::new(),
            deadlines: Deadlines::new(durations),
            goodbyes: Goodbyes::default(),
            pulse,
            rotation,
            slow: SlowClients::default(),
            spare: Vec::new(),
            scratch: Vec::new(),
            wire: Vec::new(),
            leaving: Vec::new(),
            fresh: 0,
            long: 0,
            held: Held::default(),
            written: 0,
        }
    }

    /// Counts a new connection, and by its address if that is known, unless there are too
    /// many. [`insert`](Self::insert) is next.
    ///
    /// # Errors
    /// Which limit is in its way.
    pub(super) fn admit(&mut self, address: Option<IpAddr>) -> Result<Place, Crowded> {
        self.admission.enter(address)
    }

    /// The address of a connection that was counted without one is known now, and is a
    /// proxy's again.
    pub(super) fn set_remote(&mut self, key: ConnectionKey, remote: SocketAddr) {
        if let Some(connection) = self.table.get_mut(key)
            && connection.place == Place::Inside
        {
            connection.remote = remote;
        }
    }

    /// The address of a connection that was counted without one is known now.
    ///
    /// # Errors
    /// There are too many of it.
    pub(super) fn identify(
        &mut self,
        key: ConnectionKey,
        remote: SocketAddr,
    ) -> Result<(), Crowded> {
        let Some(connection) = self.table.get_mut(key) else {
            return Ok(());
        };
        if connection.place == Place::Inside {
            connection.place = self.admission.number(remote.ip())?;
        }
        connection.remote = remote;
        Ok(())
    }

    /// A connection that was counted has not come in.
    pub(super) fn leave(&mut self, place: Place, remote: SocketAddr) {
        self.admission.leave(place, remote.ip());
    }

    /// Says now and then that connections are refused.
    pub(super) fn note_crowd(&mut self, now: Time) {
        self.admission.note_crowd(now);
    }

    /// Connections that were refused, by [`Crowded`].
    pub(super) fn refused(&self) -> [u64; 2] {
        self.admission.refused()
    }

    /// Keeps a connection that was refused, and has been told so, until its client has read
    /// that. Where many are kept the kernel has to do.
    pub(super) fn refuse(
        &mut self,
        registry: &Registry,
        stream: Stream,
        remote: SocketAddr,
        now: Time,
    ) {
        let Some(place) = self.admission.linger() else {
            return;
        };
        if let Some(key) = self.insert(registry, stream, remote, place, now) {
            self.close(key, Kind::Linger, now);
        }
    }

    /// Takes a new connection in. It has the time for a head to say something.
    pub(super) fn insert(
        &mut self,
        registry: &Registry,
        mut stream: Stream,
        remote: SocketAddr,
        place: Place,
        now: Time,
    ) -> Option<ConnectionKey> {
        if self.table.len() >= CONNECTIONS_MAX {
            self.admission.leave(place, remote.ip());
            return None;
        }
        if self.table.len() == 0 {
            self.pulse.wake(now);
            self.rotation.hand.wake(now);
        }
        let key = self.table.next_key();
        if let Err(error) = stream.register(registry, key.token()) {
            log::warn!("cannot take client {remote} into the poll loop: {error}");
            self.admission.leave(place, remote.ip());
            return None;
        }
        let mut connection = Connection::new(stream, remote, key.generation());
        connection.place = place;
        let connection = self.table.insert(connection);
        self.deadlines
            .arm(&mut connection.timer, Kind::Head, key, now);
        Some(key)
    }

    /// How many connections there are, those included that end with this turn.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The connection with this key, unless it is gone.
    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.table.get_mut(key).filter(|it| !it.is_dead())
    }

    /// The connection of a client of the gateway, and its key, unless it is gone.
    pub(super) fn find(&mut self, client: ClientKey) -> Option<(ConnectionKey, &mut Connection)> {
        let found = self.table.of_client(client);
        found.filter(|(_, connection)| !connection.is_dead())
    }

    /// Bytes that wait to be sent to a client of the gateway.
    pub(super) fn queued(&self, client: ClientKey) -> usize {
        let connection = self.table.see(client);
        connection.map_or(0, |connection| connection.output_bytes())
    }

    /// The keys of all connections that are not gone.
    pub(super) fn keys(&self) -> Vec<ConnectionKey> {
        let all = self.table.iter();
        all.filter(|(_, connection)| !connection.is_dead())
            .map(|(key, _)| key)
            .collect()
    }

    /// Bytes that wait for sockets which may take them: work that this process has
    /// taken on and not done. What waits for slow readers is not in it.
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }

    /// Whether so much waits for a socket which may take it that more must not be added.
    pub(super) fn has_long_queue(&self) -> bool {
        self.long > 0
    }

    /// Bytes written to clients so far.
    pub(super) fn bytes_written(&self) -> u64 {
        self.written
    }

    /// Clients closed so far since they read too slowly.
    pub(super) fn slow_closed(&self) -> u64 {
        self.slow.closed
    }

    /// Whether there is something to write.
    pub(super) fn has_output(&self) -> bool {
        !self.dirty.is_empty() || !self.bulk.is_empty() || !self.leaving.is_empty()
    }

    /// When something is to be done next.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let has_some = self.table.len() > 0;
        [
            self.deadlines.next(),
            self.slow.look,
            self.goodbyes.next(),
            self.pulse.next().filter(|_| has_some),
            self.rotation.hand.next().filter(|_| has_some),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The hand by which silent clients are found, and the table.
    pub(super) fn pulse(&mut self) -> (&mut Hand, &mut Table) {
        (&mut self.pulse, &mut self.table)
    }

    /// The hand by which clients grow older, and the table.
    pub(super) fn rotation(&mut self) -> (&mut Hand, &mut Table) {
        (&mut self.rotation.hand, &mut self.table)
    }

    /// The age of a WebSocket client that begins.
    pub(super) fn begin_age(&mut self) -> Age {
        self.rotation.begin()
    }

    /// Asks a client whether it is there.
    pub(super) fn ask(&mut self, key: ConnectionKey, now: Time) {
        let framing = self.get_mut(key).and_then(|it| it.framing());
        if let Some(ping) = framing.and_then(Framing::ping) {
            self.push(key, Piece::Bytes(ping.into()), now);
        }
    }

    /// Notes a readiness event.
    pub(super) fn set_ready(&mut self, event: &Event) {
        let Some(key) = ConnectionKey::of_token(event.token()) else {
            return;
        };
        let Some(connection) = self.table.get_mut(key) else {
            return;
        };
        if event.is_read_closed() || event.is_error() {
            connection.hung_up = true;
        }
        if event.is_readable() || connection.hung_up {
            connection.readable = true;
        }
        if event.is_writable() && !connection.writable {
            connection.writable = true;
            self.mark_dirty(key);
        }
        self.wake(key);
    }

    /// Puts a connection on the list of those to be served, if it has input.
    pub(super) fn wake(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.get_mut(key)
            && connection.has_input()
            && !connection.ready
        {
            connection.ready = true;
            match (connection.stream.is_handshaking(), connection.busy) {
                (true, _) => self.shaking.push_back(key),
                (false, true) => self.busy.push_back(key),
                (false, false) => self.ready.push_back(key),
            }
        }
    }

    /// How many connections are to be served, of those that left some of their share and
    /// are through with their handshake.
    pub(super) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// How many connections are to be served of those that did not.
    pub(super) fn busy_len(&self) -> usize {
        self.busy.len()
    }

    /// How many connections have input for their handshake.
    pub(super) fn shaking_len(&self) -> usize {
        self.shaking.len()
    }

    /// Takes the next connection to be served off the list.
    pub(super) fn next_ready(&mut self) -> Option<ConnectionKey> {
        let key = self.ready.pop_front()?;
        self.unlist(key);
        Some(key)
    }

    /// The same for the connections that used up their share.
    pub(super) fn next_busy(&mut self) -> Option<ConnectionKey> {
        let key = self.busy.pop_front()?;
        self.unlist(key);
        Some(key)
    }

    /// Takes the next connection whose handshake goes on off its list.
    pub(super) fn next_shaking(&mut self) -> Option<ConnectionKey> {
        let key = self.shaking.pop_front()?;
        self.unlist(key);
        Some(key)
    }

    fn unlist(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.table.get_mut(key) {
            connection.ready = false;
        }
    }

    /// Starts the deadline of a connection, in place of the one it had.
    pub(super) fn arm(&mut self, key: ConnectionKey, kind: Kind, now: Time) {
        if let Some(connection) = self.table.get_mut(key) {
            self.deadlines.arm(&mut connection.timer, kind, key, now);
        }
    }

    /// How long a deadline lasts, in milliseconds.
    pub(super) fn duration(&self, kind: Kind) -> u64 {
        self.deadlines.duration(kind)
    }

    /// A WebSocket has the whole time again to send a message, where it must send some.
    pub(super) fn hear(&mut self, key: ConnectionKey, now: Time) {
        match self.duration(Kind::Quiet) {
            0 => self.disarm(key),
            _ => self.arm(key, Kind::Quiet, now),
        }
    }

    /// Starts a deadline unless one of this kind already runs.
    pub(super) fn arm_once(&mut self, key: ConnectionKey, kind: Kind, now: Time) {
        if self.deadline(key) != Some(kind) {
            self.arm(key, kind, now);
        }
    }

    /// Ends the deadline of a connection.
    pub(super) fn disarm(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.table.get_mut(key) {
            self.deadlines.disarm(&mut connection.timer);
        }
    }

    /// The deadline of a connection.
    pub(super) fn deadline(&self, key: ConnectionKey) -> Option<Kind> {
        self.deadlines.kind(&self.table.get(key)?.timer)
    }

    /// Queues output. A client that leaves too much unread is given up.
    pub(super) fn push(&mut self, key: ConnectionKey, piece: Piece, now: Time) {
        self.queue(key.client(), now, |connection| {
            let is_there = connection.generation == key.generation() && !connection.is_dead();
            is_there.then_some(piece)
        });
    }

    /// Queues the piece that `make` gives for the framing of a client's connection; nothing
    /// on one that takes no messages.
    pub(super) fn send(
        &mut self,
        client: ClientKey,
        now: Time,
        make: impl FnOnce(Framing) -> Piece,
    ) {
        self.queue(client, now, |connection| connection.framing().map(make));
    }

    /// Queues the piece that `make` gives for the connection with the place of a client, if
    /// it gives one. With one look-up: an event has many receivers.
    fn queue(
        &mut self,
        client: ClientKey,
        now: Time,
        make: impl FnOnce(&Connection) -> Option<Piece>,
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
                match bytes > BULK {
                    true => self.bulk.push_back(key),
                    false => self.dirty.push_back(key),
                }
            }
        }
    }

    /// Queues the bytes that `write` puts into an empty buffer.
    pub(super) fn push_written(
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
    pub(super) fn flush_tls(&mut self, key: ConnectionKey, now: Time) {
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

    /// Ends a connection after what is queued for it, within the deadline. The gateway
    /// hears that the client is gone, and what the client still sends is thrown away. A
    /// WebSocket ends earlier if [`complete`](Self::complete) tells of its close frame.
    pub(super) fn close(&mut self, key: ConnectionKey, kind: Kind, now: Time) {
        let Some(connection) = self.get_mut(key) else {
            return;
        };
        if matches!(connection.phase, Phase::Closing(_)) {
            return;
        }
        connection.begin_farewell();
        let is_written = connection.output.is_none();
        if std::mem::take(&mut connection.known) {
            self.doomed.push(key.client());
        }
        self.arm(key, kind, now);
        self.wake(key);
        if is_written {
            self.end_output(key, now);
        }
    }

    /// Says goodbye to a client that is sent messages, in the words of its transport, and
    /// ends its connection like [`close`](Self::close). One that was said goodbye to hears
    /// no more.
    pub(super) fn say_goodbye(
        &mut self,
        key: ConnectionKey,
        code: Option<u16>,
        reason: &str,
        now: Time,
    ) {
        let Some(framing) = self.get_mut(key).and_then(|it| it.framing()) else {
            return;
        };
        if let Some(words) = framing.goodbye(code, reason) {
            self.push(key, Piece::Bytes(words.into()), now);
        }
        let kind = match framing.is_answered() {
            true => Kind::Close,
            false => Kind::Idle,
        };
        self.close(key, kind, now);
    }

    /// Notes that the close handshake of a closing WebSocket is complete: the client has
    /// said that nothing follows.
    pub(super) fn complete(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.get_mut(key)
            && matches!(connection.phase, Phase::Closing(_))
        {
            connection.phase = Phase::Closing(Farewell::Nothing);
            connection.drop_input();
            self.end_completed(key);
        }
    }

    /// A connection that was said goodbye to hears nothing more, not even a close frame: what
    /// is kept of its input is dropped, and the rest is thrown away.
    pub(super) fn forget_input(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.get_mut(key)
            && matches!(connection.phase, Phase::Closing(Farewell::CloseFrame(_)))
        {
            connection.phase = Phase::Closing(Farewell::End);
            connection.drop_input();
        }
        self.count_input(key);
    }

    /// Ends a connection whose close handshake is complete, as soon as it may end.
    pub(super) fn end_completed(&mut self, key: ConnectionKey) {
        if self.get_mut(key).is_some_and(|it| it.may_end()) {
            self.kill(key);
        }
    }

    /// Ends a connection at once, with whatever waits for it.
    pub(super) fn kill(&mut self, key: ConnectionKey) {
        let Some(connection) = self.table.get_mut(key) else {
            return;
        };
        if connection.is_dead() {
            return;
        }
        connection.phase = Phase::Dead;
        let place = std::mem::take(&mut connection.place);
        self.admission.leave(place, connection.remote.ip());
        connection.stash = Vec::new();
        self.held.input -= std::mem::take(&mut connection.held) as usize;
        if let Some(mut output) = connection.output.take() {
            self.fresh -= output.fresh;
            self.long -= usize::from(output.long);
            self.deadlines.disarm(&mut output.timer);
            self.leaving.push(output);
            // The kernel would hold what it has of it until the client reads, which may
            // be never. With this it forgets it and tells the client by a reset.
            let _ = connection.stream.socket().set_linger(Some(Duration::ZERO));
        } else {
            connection.stream.close();
            let _ = connection.stream.send();
        }
        if std::mem::take(&mut connection.known) {
            self.doomed.push(key.client());
        }
        self.deadlines.disarm(&mut connection.timer);
        self.dead.push(key);
    }

    /// The connection goes on, but is none of the gateway's clients any more.
    pub(super) fn disown(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.get_mut(key)
            && std::mem::take(&mut connection.known)
        {
            self.doomed.push(key.client());
        }
    }

    /// A connection that ended and that the gateway has not heard of.
    pub(super) fn take_doomed(&mut self) -> Option<ClientKey> {
        self.doomed.pop()
    }

    /// A connection whose deadline is over. The deadline stays until it is disarmed or
    /// the connection is killed.
    pub(super) fn due(&self, now: Time) -> Option<(ConnectionKey, Kind)> {
        self.deadlines.due(now)
    }

    /// Closes a client later; what it sends until then means nothing.
    pub(super) fn close_later(&mut self, key: ConnectionKey, due: Time) {
        self.goodbyes.add(due, key);
    }

    /// A client that [`close_later`](Self::close_later) was asked to close now.
    pub(super) fn take_goodbye(&mut self, now: Time) -> Option<ConnectionKey> {
        self.goodbyes.take_due(now)
    }

    /// Gives up the clients that leave much unread and have read nothing for long, by writes
    /// that were tried. Called behind [`flush`](Self::flush).
    pub(super) fn look_at_slow(&mut self, now: Time) {
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
    pub(super) fn flush(&mut self, clock: &Clock) {
        let now = clock.now();
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

    /// Frees the places of the dead. One that still stands in a list is freed later, so that
    /// the lists are never longer than the table; and so is one whose key is not free, since
    /// the gateway has yet to take out what it held.
    pub(super) fn reap(&mut self, is_free: impl Fn(ClientKey) -> bool) {
        self.drop_queues(DROPPED);
        let table = &mut self.table;
        self.dead.retain(|&key| {
            let is_listed = table
                .get(key)
                .is_some_and(|connection| connection.ready || connection.dirty);
            let stays = is_listed || !is_free(key.client());
            if !stays {
                table.remove(key);
            }
            stays
        });
    }

    /// Drops queues of connections that ended, so many pieces at most.
    fn drop_queues(&mut self, most: usize) {
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

    fn mark_dirty(&mut self, key: ConnectionKey) {
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

    fn write(&mut self, key: ConnectionKey, now: Time) {
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
    fn end_output(&mut self, key: ConnectionKey, now: Time) {
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
    pub(super) fn look_at_unread(&mut self, key: ConnectionKey, now: Time) {
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

    pub(super) fn give_up(&mut self, key: ConnectionKey) {
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
