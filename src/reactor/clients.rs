//! The table of client connections, and the lists of those with work to do.
//!
//! Nothing here parses or knows the gateway. A connection that the gateway knows and
//! that ends is put on [`Clients::take_doomed`]'s list; the reactor tells the gateway.

mod memory;
#[cfg(test)]
mod tests;
pub(super) mod writing;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::Registry;
use mio::event::Event;

use super::admission::{Admission, Crowded, Place};
use super::connection::{CONNECTIONS_MAX, Connection, ConnectionKey, Farewell, Phase};
use super::deadlines::{Deadlines, Durations, Kind};
use super::framing::Framing;
use super::goodbyes::Goodbyes;
use super::hand::Hand;
use super::output::{Output, Piece};
use super::rotation::{Age, Rotation};
use super::stream::Stream;
use super::table::Table;
use crate::gateway::{ClientKey, Time};
use writing::{Delayed, SlowClients};

/// Pieces of ended connections' queues that are dropped in a turn.
const DROPPED: usize = 4 << 10;

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
    /// To be written to later.
    delayed: Delayed,
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
    /// Clients whose sockets may take more and that have [`LONG`](writing::LONG) queues.
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

impl Clients {
    /// No connections, how many there may be, and what they have time for. Silent ones will be
    /// asked, and old ones closed, when the hands come to them. What is for clients that are
    /// sent messages may wait for `flush_delay` milliseconds.
    pub(super) fn new(
        pulse: Hand,
        rotation: Rotation,
        admission: Admission,
        durations: Durations,
        flush_delay: u64,
    ) -> Self {
        Self {
            table: Table::new(),
            admission,
            ready: VecDeque::new(),
            shaking: VecDeque::new(),
            busy: VecDeque::new(),
            dirty: VecDeque::new(),
            bulk: VecDeque::new(),
            delayed: Delayed::new(flush_delay),
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

    /// When something is to be done next.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let has_some = self.table.len() > 0;
        Time::first([
            self.deadlines.next(),
            self.slow.look,
            self.delayed.due(),
            self.goodbyes.next(),
            self.pulse.next().filter(|_| has_some),
            self.rotation.hand.next().filter(|_| has_some),
        ])
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
            // Who has gone, in a crowd perhaps, waits for nothing.
            let can_wait = connection.busy || connection.hung_up;
            match (connection.stream.is_handshaking(), can_wait) {
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
}
