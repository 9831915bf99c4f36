//! A NATS broker for services, sans-I/O: the server's side of the client protocol, and a
//! router whose clients by function call are the gateway and, if there is one, the service in
//! this process.
//!
//! Bytes and time go in, operations and bytes come out. The caller gives each client's input
//! to [`Broker::take`], one operation at a time, and writes to its socket what
//! [`Broker::output`] has; whom to look at [`Broker::next_touched`] tells. What is published
//! goes to the clients' outputs at once; what the gateway has subscribed to is returned, so
//! that it reads the message where it was received.
//!
//! The protocol is core NATS as nats-server 2.15 speaks it to clients, which the tests
//! compare it with. Clusters, accounts and JetStream are not there.

mod client;
mod delivery;
pub(crate) mod limits;
mod permissions;
mod protocol;
mod resident;
mod router;
mod session;
mod subject;
mod timers;
mod trie;
mod users;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;

use hashbrown::HashMap;
use slab::Slab;

use protocol::Parser;
pub use resident::Letter;
use router::{Owner, Router, Sid};
pub use session::End;
use session::Session;
use trie::SubKey;
pub use users::{Secret, Users};

/// What a broker is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens, as it says of itself.
    pub host: String,
    /// See `host`.
    pub port: u16,
    /// Whether clients must begin TLS.
    pub tls: bool,
    /// Largest payload with its headers, in bytes.
    pub max_payload: usize,
    /// Most clients at a time.
    pub max_connections: usize,
    /// Who may connect; everybody if there are none.
    pub users: Users,
    /// What other gateways of this host show who come by a door of their own
    /// ([`Broker::connect_worker`]), and which may do everything.
    pub worker: Option<Secret>,
    /// Seed of what is random.
    pub seed: [u64; 4],
}

/// A client of the broker, by its place in the table. The place is free again only after
/// [`Broker::close`], and when its subscriptions are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub u32);

/// A message for the gateway, borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// The subject that it was published to.
    pub subject: &'a [u8],
    /// The header block; empty for none.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// What [`Broker::take`] has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken<'a> {
    /// Bytes at the front of the input that are done with.
    pub len: usize,
    /// Whether there was an operation, and another one may follow.
    pub is_operation: bool,
    /// What it cost, in work units: subscriptions and nodes looked at, and 64 bytes copied.
    pub units: usize,
    /// A message for the subscriptions of the gateway that [`Broker::next_hearer`] names.
    pub message: Option<Incoming<'a>>,
}

/// What a broker has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clients so far.
    pub connections: u64,
    /// Messages that clients have published.
    pub messages_in: u64,
    /// Messages delivered to clients.
    pub messages_out: u64,
    /// Clients closed since they did not read.
    pub slow: u64,
    /// Messages that the gateway has published.
    pub published: u64,
}

/// The broker.
#[derive(Debug)]
pub struct Broker {
    options: Options,
    server_id: String,
    sessions: Slab<Session>,
    /// Those that are not closed, and how many of them are other gateways of this host.
    open: usize,
    workers: usize,
    router: Router,
    /// The gateway's subscriptions.
    gateway: HashMap<u64, SubKey, foldhash::fast::RandomState>,
    /// The subscriptions of the service in this process.
    resident: Vec<SubKey>,
    /// What it has been sent and has not taken.
    letters: VecDeque<Letter>,
    /// The gateway's subscriptions that the present message is for.
    hearers: Vec<u64>,
    /// Requests of the gateway that nobody will answer: the subscription for the answer, and
    /// its subject.
    unanswered: VecDeque<(u64, Box<[u8]>)>,
    /// Clients with output, or at their end.
    touched: VecDeque<u32>,
    /// Closed clients whose subscriptions are not all taken out.
    leaving: VecDeque<u32>,
    /// What the subscriptions of all clients take in memory, about.
    cost: usize,
    /// Bytes that wait for all clients.
    pending: usize,
    /// A client has asked for JetStream.
    wants_jetstream: bool,
    counts: Counts,
    /// When [`Broker::timeout`] has something to do, at the earliest.
    due: Option<u64>,
    /// When it last had.
    looked: u64,
}

impl Broker {
    /// A broker without clients.
    pub fn new(options: Options) -> Self {
        let [a, b, c, d] = options.seed;
        Self {
            server_id: format!("{:016X}{:016X}", a ^ c, b ^ d),
            sessions: Slab::new(),
            open: 0,
            workers: 0,
            router: Router::new([a, b]),
            gateway: HashMap::default(),
            resident: Vec::new(),
            letters: VecDeque::new(),
            hearers: Vec::new(),
            unanswered: VecDeque::new(),
            touched: VecDeque::new(),
            leaving: VecDeque::new(),
            cost: 0,
            pending: 0,
            wants_jetstream: false,
            counts: Counts::default(),
            due: None,
            looked: 0,
            options,
        }
    }

    /// A client has connected: it is greeted, and sent away if there are too many.
    pub fn connect(&mut self, remote: IpAddr, now: u64) -> Key {
        let key = self.admit(remote, now, false);
        if self.len() > self.options.max_connections {
            self.refuse(key.0, "maximum connections exceeded", End::TooMany);
        }
        key
    }

    /// Another gateway of this host has connected by the door that is for them: it needs no
    /// TLS, shows [`Options::worker`], and finds a place where services have taken all.
    pub fn connect_worker(&mut self, remote: IpAddr, now: u64) -> Key {
        let key = self.admit(remote, now, true);
        if self.workers > limits::WORKERS {
            self.refuse(key.0, "maximum connections exceeded", End::TooMany);
        }
        key
    }

    fn admit(&mut self, remote: IpAddr, now: u64, is_worker: bool) -> Key {
        let must_show = is_worker || !self.options.users.is_empty();
        let must_encrypt = self.options.tls && !is_worker;
        let parser = Parser::new(self.options.max_payload, must_show);
        let ping_at = now.saturating_add(limits::PING_TIME);
        let mut session = Session::new(parser, now, ping_at);
        session.is_worker = is_worker;
        if must_show || must_encrypt {
            session.connect_by = Some(now.saturating_add(limits::CONNECT_TIME));
        }
        self.counts.connections += 1;
        let info = writer::Info {
            server_id: &self.server_id,
            host: &self.options.host,
            port: self.options.port,
            auth_required: must_show,
            tls_required: must_encrypt,
            max_payload: self.options.max_payload,
            client_id: self.counts.connections,
            client_ip: remote,
        };
        info.append(&mut session.output);
        self.pending += session.output.len();
        self.note_due(session.connect_by.unwrap_or(session.ping_at));
        let key = self.sessions.insert(session) as u32;
        self.open += 1;
        self.workers += usize::from(is_worker);
        self.touch(key);
        Key(key)
    }

    /// A client's socket is closed: nothing is kept of it, at once or in [`Broker::go_on`].
    pub fn close(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key.0 as usize) else {
            return;
        };
        if session.leaving.is_some() {
            return;
        }
        session.end.get_or_insert(End::Gone);
        self.pending -= session.pending();
        (session.output, session.written) = (Vec::new(), 0);
        session.rest = None;
        session.leaving = Some(std::mem::take(&mut session.subs).into_iter());
        self.open -= 1;
        self.workers -= usize::from(session.is_worker);
        self.leaving.push_back(key.0);
    }

    /// Whether [`Broker::go_on`] has something to do.
    pub fn has_work(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Takes out subscriptions of clients that are gone, so many at most.
    pub fn go_on(&mut self, units: usize) {
        for _ in 0..units {
            let Some(&key) = self.leaving.front() else {
                return;
            };
            let session = self.sessions.get_mut(key as usize);
            let next = session.and_then(|session| session.leaving.as_mut()?.next());
            match next {
                Some((_, sub)) => {
                    if let Some(sub) = self.router.unsubscribe(sub) {
                        self.cost -= sub.cost;
                    }
                }
                None => {
                    self.sessions.try_remove(key as usize);
                    self.leaving.pop_front();
                }
            }
        }
    }

    /// Subscribes for the gateway; its messages have this number.
    pub fn subscribe(&mut self, sid: u64, pattern: &[u8]) {
        if self.gateway.contains_key(&sid) || !subject::is_pattern(pattern) {
            return;
        }
        let owner = Owner::Gateway;
        let key = self
            .router
            .subscribe(owner, Sid::Number(sid), pattern, b"", 0);
        self.gateway.insert(sid, key);
    }

    /// Ends a subscription of the gateway.
    pub fn unsubscribe(&mut self, sid: u64) {
        if let Some(key) = self.gateway.remove(&sid) {
            self.router.unsubscribe(key);
        }
    }

    /// The next of the gateway's subscriptions that the present message is for.
    pub fn next_hearer(&mut self) -> Option<u64> {
        self.hearers.pop()
    }

    /// Whether there is one.
    pub fn has_hearers(&self) -> bool {
        !self.hearers.is_empty()
    }

    /// A request of the gateway that nobody will answer: the subscription for its answer, and
    /// the subject of that.
    pub fn next_unanswered(&mut self) -> Option<(u64, Box<[u8]>)> {
        self.unanswered.pop_front()
    }

    /// Whether there is one.
    pub fn has_unanswered(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// The next client that has output, or is at its end.
    pub fn next_touched(&mut self) -> Option<Key> {
        let key = self.touched.pop_front()?;
        if let Some(session) = self.sessions.get_mut(key as usize) {
            session.is_touched = false;
        }
        Some(Key(key))
    }

    /// A client's socket takes output again, or there is more than was written at once.
    pub fn touch_output(&mut self, key: Key) {
        let session = self.sessions.get(key.0 as usize);
        if session.is_some_and(|session| session.pending() > 0) {
            self.touch(key.0);
        }
    }

    /// Whether there is one.
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// What waits to be written to a client.
    pub fn output(&self, key: Key) -> &[u8] {
        let session = self.sessions.get(key.0 as usize);
        session.map_or(&[], |session| &session.output[session.written..])
    }

    /// So much of it was written. What its socket does not take is late from
    /// `limits::WRITE_TIME` on.
    pub fn wrote(&mut self, key: Key, len: usize, now: u64) {
        let Some(session) = self.sessions.get_mut(key.0 as usize) else {
            return;
        };
        session.wrote(len, now);
        self.pending -= len;
        if session.pending() > 0 {
            let late = session.progress.saturating_add(limits::WRITE_TIME);
            self.note_due(late);
        }
    }

    /// Why a client must be closed, when what waits for it was written as far as its socket
    /// takes it at once; `None` if it need not.
    pub fn end(&self, key: Key) -> Option<End> {
        self.sessions.get(key.0 as usize)?.end
    }

    /// What a client calls itself, for the log.
    pub fn name(&self, key: Key) -> &str {
        let session = self.sessions.get(key.0 as usize);
        session.map_or("", |session| &session.wishes.name)
    }

    /// Whether a client has asked for JetStream since this was last asked.
    pub fn take_jetstream(&mut self) -> bool {
        std::mem::take(&mut self.wants_jetstream)
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Clients that are connected, without other gateways of this host.
    pub fn len(&self) -> usize {
        self.open - self.workers
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Other gateways of this host that are connected by the door for them.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Bytes that wait for all clients.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Largest payload that it takes.
    pub fn max_payload(&self) -> usize {
        self.options.max_payload
    }

    /// Ends the client for whom most waits, as memory is short. Whether there was one.
    pub fn cut_longest(&mut self) -> bool {
        let sessions = self.sessions.iter();
        let open = sessions.filter(|(_, session)| session.end.is_none() && session.pending() > 0);
        let Some((key, _)) = open.max_by_key(|(_, session)| session.pending()) else {
            return false;
        };
        self.counts.slow += 1;
        self.cut(key as u32, End::Memory);
        true
    }

    /// Ends a client at once; what waits for it is thrown away.
    fn cut(&mut self, key: u32, end: End) {
        let Some(session) = self.sessions.get_mut(key as usize) else {
            return;
        };
        if session.end.is_some() {
            return;
        }
        session.end = Some(end);
        self.pending -= session.pending();
        (session.output, session.written) = (Vec::new(), 0);
        session.rest = None;
        self.touch(key);
    }

    /// Ends a client with a last word.
    fn refuse(&mut self, key: u32, words: &str, end: End) {
        self.say(key, |out| writer::error(words, out));
        if let Some(session) = self.sessions.get_mut(key as usize) {
            session.end.get_or_insert(end);
            session.rest = None;
        }
        self.touch(key);
    }

    /// Queues something for a client that is not at its end.
    fn say(&mut self, key: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(session) = self.sessions.get_mut(key as usize) else {
            return;
        };
        if session.end.is_some() {
            return;
        }
        let before = session.output.len();
        write(&mut session.output);
        self.pending += session.output.len() - before;
        self.touch(key);
    }

    /// Whoever calls must look at the client.
    fn touch(&mut self, key: u32) {
        if let Some(session) = self.sessions.get_mut(key as usize)
            && !std::mem::replace(&mut session.is_touched, true)
        {
            self.touched.push_back(key);
        }
    }

    /// Computes all counts and indexes anew, and panics where one is wrong.
    pub fn audit(&self) {
        self.router.audit();
        let (mut subs, mut cost, mut pending, mut open, mut workers) = (0, 0, 0, 0, 0);
        for (_, session) in &self.sessions {
            subs += session.subs.len();
            subs += session.leaving.as_ref().map_or(0, ExactSizeIterator::len);
            pending += session.pending();
            open += usize::from(session.leaving.is_none());
            workers += usize::from(session.leaving.is_none() && session.is_worker);
        }
        for (key, sub) in self.router.iter() {
            cost += sub.cost;
            match (sub.owner, &sub.sid) {
                (Owner::Gateway, Sid::Number(sid)) => assert_eq!(self.gateway.get(sid), Some(&key)),
                (Owner::Resident, Sid::Number(_)) => assert!(self.resident.contains(&key)),
                (Owner::Client(client), Sid::Text(sid)) => {
                    let session = &self.sessions[client as usize];
                    let is_leaving = session.leaving.is_some();
                    assert!(is_leaving || session.subs.get(sid) == Some(&key));
                }
                (owner, sid) => panic!("{owner:?} has a subscription {sid:?}"),
            }
        }
        let calling = self.gateway.len() + self.resident.len();
        assert_eq!(self.router.len(), subs + calling);
        assert_eq!((self.cost, self.pending), (cost, pending));
        assert_eq!((self.open, self.workers), (open, workers));
        let touched = self.sessions.iter().filter(|(_, s)| s.is_touched).count();
        assert!(touched <= self.touched.len());
    }
}
