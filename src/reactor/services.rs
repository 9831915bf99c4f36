//! The sockets of services that the broker inside serves, and the gateway as its client.

mod resident;
mod socket;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;

use log::Level;
use mio::event::Event as Readiness;
use mio::{Registry, Token};

use super::connection::{SERVICES, SERVICES_MAX, WORKERS, service_of, service_token};
use super::denials::{Denial, Denials};
use super::error::Error;
use super::identity::Identity;
use super::listener::Listener;
use super::stream::READ_MIN;
use super::{Reactor, tell, trace, turn};
use crate::broker::{self, Broker, End, Key, Secret, Taken, Users};
use crate::config::Config;
use crate::demo::{self, Demo};
use crate::gateway::{BrokerLimits, BrokerOp, Outbox, Time};
use crate::metrics::{BrokerCounts, Traffic};
use crate::nats::{self, Event, Message, writer};
use crate::tls::Tls;
use socket::{Read, Socket};

/// Bytes that are read at once.
pub(crate) const READ: usize = 64 << 10;
const _: () = assert!(READ >= READ_MIN);

/// Operations of one service before others have their turn, and bytes.
pub(crate) const VISIT: usize = 256;
pub(crate) const VISIT_BYTES: usize = 256 << 10;

/// Descriptors that clients leave to services.
pub(super) const DESCRIPTORS: u64 = 256;

/// Bytes that are written to one service in a turn.
pub(crate) const WRITE_MAX: usize = 1 << 20;

/// Milliseconds between two warnings about services that are sent away.
const LOG_STEP: u64 = 10_000;

/// What the broker takes on a control line.
const LINE_MAX: usize = writer::MAX_ARGUMENTS;

/// Subscriptions of services that are gone which are taken out in one turn.
const LEFT: usize = 4_000;

/// The broker inside, and the sockets of its clients.
pub(super) struct Services {
    /// Where it listens.
    url: String,
    listener: Listener,
    /// Where other workers come.
    side_door: Option<Listener>,
    tls: Option<Identity>,
    broker: Broker,
    /// By the place of their key.
    sockets: Vec<Option<Box<Socket>>>,
    /// Those with input.
    ready: VecDeque<Key>,
    visit: Option<Visit>,
    /// The message that the gateway hears.
    present: Option<Present>,
    /// The demonstration, and the message of it that the gateway hears.
    demo: Option<Box<Demo>>,
    spoken: Option<demo::Message>,
    /// The subject for the answer that the gateway will not get.
    unanswered: Box<[u8]>,
    /// What is read passes through here; a socket keeps only what cannot be parsed yet.
    buffer: Vec<u8>,
    wire: Vec<u8>,
    denials: Denials,
    traffic: Traffic,
    /// It was said that there is no JetStream.
    has_told: bool,
    /// When the end of a service is logged as a warning again: strangers may cause many.
    next_log: Time,
    /// Bytes of input that sockets keep.
    held: usize,
    /// Bytes that input and output of all services may take.
    max_buffers: usize,
}

/// The sockets on which a worker with the broker listens, which the first process keeps.
#[derive(Debug)]
pub(super) struct Doors {
    /// For services.
    pub(super) services: TcpListener,
    /// For other workers, and what they show.
    pub(super) workers: TcpListener,
    pub(super) secret: Secret,
}

/// The service that is being served.
#[derive(Debug)]
struct Visit {
    key: Key,
    /// What was read and not taken, in the buffer, or in what the socket keeps.
    input: Range<usize>,
    is_kept: bool,
    operations: usize,
    bytes: usize,
}

/// Where the parts of a message are in the input of the visit.
#[derive(Clone, Debug)]
struct Present {
    subject: Range<usize>,
    headers: Range<usize>,
    payload: Range<usize>,
    /// Bytes of the operation.
    len: usize,
}

/// What [`Services::next`] has found.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A message for the gateway, and the work units of its operation.
    Message(Message<'a>, usize),
    /// Something else was done, which cost so many work units.
    Work(usize),
    Nothing,
}

/// Whether a broker inside can be made of this, as far as files and users go.
///
/// # Errors
///
/// A file is of no use, or the users are none.
pub(crate) fn check_inside(config: &Config) -> Result<(), Error> {
    if config.broker.addr.is_some() {
        Users::parse(&config.broker.users).map_err(Error::BrokerUsers)?;
        Identity::for_services(config).map_err(Error::Secret)?;
    }
    Ok(())
}

/// Takes the socket for other workers into the poll.
fn open_side_door(socket: TcpListener, registry: &Registry) -> io::Result<Listener> {
    let mut door = Listener::inherit(socket)?;
    door.register(registry, WORKERS)?;
    Ok(door)
}

/// What the broker is told of the configuration.
fn options(config: &Config, local: SocketAddr, users: Users) -> broker::Options {
    broker::Options {
        host: local.ip().to_string(),
        port: local.port(),
        tls: false,
        max_payload: config.broker.max_payload as usize,
        max_connections: (config.broker.max_connections as usize).min(SERVICES_MAX - 1),
        users,
        worker: None,
        seed: [0; 4],
    }
}

impl Services {
    /// Listens for services where the configuration says so; `None` if it does not.
    ///
    /// # Errors
    ///
    /// The address cannot be had, a file is of no use, or the users are none.
    pub(super) fn bind(
        config: &Config,
        registry: &Registry,
        seed: [u64; 4],
        doors: Option<Doors>,
    ) -> Result<Option<Box<Self>>, Error> {
        let Some(addr) = config.broker.addr else {
            return Ok(None);
        };
        let users = Users::parse(&config.broker.users).map_err(Error::BrokerUsers)?;
        let tls = Identity::for_services(config).map_err(Error::Secret)?;
        let refused = |source| Error::Listen {
            addr: Some(addr.ip()),
            port: addr.port(),
            option: "--broker",
            source,
        };
        let (given, side_door, worker) = match doors {
            Some(doors) => (
                Some(doors.services),
                Some(doors.workers),
                Some(doors.secret),
            ),
            None => (None, None, None),
        };
        let listener = match given {
            Some(socket) => Listener::inherit(socket),
            None => Listener::bind_near(addr.port(), config.demo, &|port| {
                Listener::bind(Some(addr.ip()), port, false)
            }),
        };
        let mut listener = listener.map_err(refused)?;
        let side_door = side_door.map(|socket| open_side_door(socket, registry));
        let side_door = side_door.transpose().map_err(refused)?;
        listener.keep_back(super::DESCRIPTORS_KEPT);
        listener.register(registry, SERVICES).map_err(refused)?;
        let local = listener.local_addr().map_err(refused)?;
        let scheme = if tls.is_some() { "tls" } else { "nats" };
        let url = format!("{scheme}://{local}");
        log::info!("Broker for services on {url}");
        let options = options(config, local, users);
        let mut broker = Broker::new(broker::Options {
            tls: tls.is_some(),
            worker,
            seed,
            ..options
        });
        let demo = config.demo.then(|| resident::move_in(&mut broker));
        Ok(Some(Box::new(Self {
            url,
            listener,
            side_door,
            tls,
            broker,
            sockets: Vec::new(),
            ready: VecDeque::new(),
            visit: None,
            present: None,
            demo,
            spoken: None,
            unanswered: Box::default(),
            buffer: vec![0; READ],
            wire: Vec::new(),
            denials: Denials::default(),
            traffic: Traffic::default(),
            has_told: false,
            next_log: Time(0),
            held: 0,
            max_buffers: (config.max_buffers as usize) << 20,
        })))
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The address at which it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What the gateway may publish.
    pub(super) fn limits(&self) -> BrokerLimits {
        BrokerLimits {
            max_payload: self.broker.max_payload(),
            max_line: LINE_MAX,
        }
    }

    /// Whether a token is of one of its sockets.
    pub(super) fn has_token(token: Token) -> bool {
        matches!(token, SERVICES | WORKERS) || service_of(token).is_some()
    }

    /// Notes a readiness event of one of its tokens. One that comes late may be of a socket
    /// that is not there any more; then another one is looked at in vain.
    pub(super) fn set_ready(&mut self, event: &Readiness) {
        let Some(place) = service_of(event.token()) else {
            return match &mut self.side_door {
                Some(door) if event.token() == WORKERS => door.set_ready(),
                _ => self.listener.set_ready(),
            };
        };
        let Some(Some(socket)) = self.sockets.get_mut(place) else {
            return;
        };
        socket.note(event);
        let key = Key(place as u32);
        if socket.is_readable() {
            self.wake(key);
        }
        if event.is_writable() {
            self.broker.touch_output(key);
        }
    }

    /// Whether something is to be done at once; input only if it `may_read`.
    pub(super) fn is_busy(&self, may_read: bool) -> bool {
        self.listener.is_ready()
            || self.side_door.as_ref().is_some_and(Listener::is_ready)
            || self.broker.has_touched()
            || self.broker.has_work()
            || may_read && self.has_input()
    }

    /// Whether [`Self::next`] would find something.
    pub(super) fn has_input(&self) -> bool {
        !self.ready.is_empty()
            || !self.denials.is_empty()
            || self.broker.has_unanswered()
            || self.has_demo_input()
    }

    /// When [`Self::timeout`] must be called, or [`Self::accept`].
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let demo = self.demo.as_ref().map(|demo| demo.next_timeout());
        let due = self.broker.next_timeout().into_iter().chain(demo).map(Time);
        let doors = [Some(&self.listener), self.side_door.as_ref()];
        let doors = doors
            .into_iter()
            .flatten()
            .filter_map(Listener::next_timeout);
        due.chain(doors).min()
    }

    /// Does what is due.
    pub(super) fn timeout(&mut self, now: Time) {
        self.broker.timeout(now.0);
        if let Some(demo) = &mut self.demo {
            demo.timeout(now.0);
        }
    }

    /// Whether other workers of this host are connected.
    pub(super) fn has_workers(&self) -> bool {
        self.side_door.is_some() && self.broker.workers() > 0
    }

    /// Whether services must use TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Who this end is, where they must.
    pub(super) fn identity(&mut self) -> Option<&mut Identity> {
        self.tls.as_mut()
    }

    /// Takes new connections.
    pub(super) fn accept(&mut self, registry: &Registry, now: Time) {
        self.accept_by(false, registry, now);
        self.accept_by(true, registry, now);
    }

    /// Takes those of services, or those of other workers.
    fn accept_by(&mut self, is_worker: bool, registry: &Registry, now: Time) {
        let Self {
            listener,
            side_door,
            broker,
            sockets,
            tls,
            traffic,
            ..
        } = self;
        let (listener, tls) = match (is_worker, side_door) {
            (false, _) => (listener, tls.as_ref()),
            (true, Some(door)) => (door, None),
            (true, None) => return,
        };
        listener.accept(now, |socket, remote| {
            let key = match is_worker {
                false => broker.connect(remote.ip(), now.0),
                true => broker.connect_worker(remote.ip(), now.0),
            };
            let place = key.0 as usize;
            let opened = Socket::open(socket, remote, registry, service_token(place));
            let greeted = opened.and_then(|mut socket| {
                if let Some(identity) = tls {
                    // The greeting leaves before TLS begins.
                    let greeting = broker.output(key);
                    let len = socket.write(greeting, &mut Vec::new())?;
                    if len < greeting.len() {
                        return Err(ErrorKind::WriteZero.into());
                    }
                    broker.wrote(key, len, now.0);
                    traffic.sent += len as u64;
                    let tls = Tls::server(identity.config()).map_err(io::Error::other)?;
                    socket.stream.secure(tls);
                }
                Ok(socket)
            });
            match greeted {
                Ok(socket) if place < SERVICES_MAX => {
                    if sockets.len() <= place {
                        sockets.resize_with(place + 1, || None);
                    }
                    sockets[place] = Some(Box::new(socket));
                }
                Ok(_) => broker.close(key),
                Err(error) => {
                    log::debug!("cannot take the service {remote}: {error}");
                    broker.close(key);
                }
            }
        });
    }

    /// Goes on with what services sent, by one operation at most.
    pub(super) fn next(&mut self, now: Time) -> Found<'_> {
        if let Some((sid, subject)) = self.broker.next_unanswered() {
            self.unanswered = subject;
            let message = Message {
                sid,
                subject: &self.unanswered,
                reply: None,
                status: Some(503),
                headers: b"",
                payload: b"",
            };
            return Found::Message(message, 1);
        }
        if self.present.is_some() {
            if let Some(sid) = self.broker.next_hearer() {
                return self.hear(sid, 1);
            }
            self.pass_present();
        }
        if self.demo.is_some()
            && let Some(units) = self.step_demo(now)
        {
            return self.hear_demo(units);
        }
        loop {
            let Some(visit) = &self.visit else {
                let Some(key) = self.ready.pop_front() else {
                    return Found::Nothing;
                };
                self.begin_visit(key);
                continue;
            };
            let key = visit.key;
            let Some(Some(socket)) = self.sockets.get(key.0 as usize) else {
                self.visit = None;
                continue;
            };
            let storage = match visit.is_kept {
                true => &socket.kept,
                false => &self.buffer,
            };
            let start = visit.input.start;
            let input = &storage[visit.input.clone()];
            let taken = self.broker.take(key, input, now.0);
            let Taken { len, units, .. } = taken;
            if !taken.is_operation {
                let is_over = self.broker.end(key).is_some();
                self.advance(len);
                if is_over || !self.read_on(key) {
                    self.end_visit(false);
                    return Found::Work(1);
                }
                continue;
            }
            let message = taken.message.map(|message| Present {
                subject: place_of(input, message.subject, start),
                headers: place_of(input, message.headers, start),
                payload: place_of(input, message.payload, start),
                len,
            });
            let Some(message) = message else {
                self.advance(len);
                self.rest_a_while();
                return Found::Work(units);
            };
            self.present = Some(message);
            return match self.broker.next_hearer() {
                Some(sid) => self.hear(sid, units),
                None => Found::Work(units),
            };
        }
    }

    /// The present message for one of the gateway's subscriptions.
    fn hear(&self, sid: u64, units: usize) -> Found<'_> {
        let (Some(visit), Some(present)) = (&self.visit, &self.present) else {
            return Found::Nothing;
        };
        let storage = match (visit.is_kept, &self.sockets[visit.key.0 as usize]) {
            (true, Some(socket)) => &socket.kept,
            _ => &self.buffer,
        };
        let headers = &storage[present.headers.clone()];
        let message = Message {
            sid,
            subject: &storage[present.subject.clone()],
            reply: None,
            status: nats::status(headers),
            headers,
            payload: &storage[present.payload.clone()],
        };
        Found::Message(message, units)
    }

    /// Whether a message has not been heard by all that it is for.
    pub(super) fn is_hearing(&self) -> bool {
        self.broker.has_hearers()
    }

    /// The present message was heard by all.
    fn pass_present(&mut self) {
        if let Some(present) = self.present.take() {
            self.advance(present.len);
            self.rest_a_while();
        }
    }

    /// So much of the input is done with.
    fn advance(&mut self, len: usize) {
        if let Some(visit) = &mut self.visit {
            visit.input.start += len;
            visit.bytes += len;
        }
    }

    /// Notes an operation; others have their turn when it was one of many.
    fn rest_a_while(&mut self) {
        let Some(visit) = &mut self.visit else {
            return;
        };
        visit.operations += 1;
        let is_long = visit.operations >= VISIT || visit.bytes >= VISIT_BYTES;
        if is_long && !self.ready.is_empty() {
            self.end_visit(true);
        }
    }

    fn begin_visit(&mut self, key: Key) {
        let Some(Some(socket)) = self.sockets.get_mut(key.0 as usize) else {
            return;
        };
        socket.is_ready = false;
        self.visit = Some(Visit {
            key,
            input: socket.start..socket.kept.len(),
            is_kept: !socket.kept.is_empty(),
            operations: 0,
            bytes: 0,
        });
    }

    /// Reads more for the visit; whether there was some.
    fn read_on(&mut self, key: Key) -> bool {
        let (Some(visit), Some(Some(socket))) =
            (&mut self.visit, self.sockets.get_mut(key.0 as usize))
        else {
            return false;
        };
        if !socket.is_readable() {
            return false;
        }
        if visit.is_kept && visit.input.is_empty() {
            self.held -= socket.forget_kept();
            (visit.is_kept, visit.input) = (false, 0..0);
        }
        if !visit.is_kept {
            // What is left goes to the front, or to what the socket keeps.
            let left = visit.input.len();
            if left <= READ - READ_MIN {
                self.buffer.copy_within(visit.input.clone(), 0);
                visit.input = 0..left;
            } else {
                self.held += socket.keep(&self.buffer[visit.input.clone()]);
                (visit.is_kept, visit.input) = (true, 0..left);
            }
        }
        let room = match visit.is_kept {
            true => &mut self.buffer[..],
            false => &mut self.buffer[visit.input.end..],
        };
        let read = socket.read(room, &mut self.wire);
        if socket.stream.has_tls() {
            // What waited for the handshake may leave now.
            self.broker.touch_output(key);
        }
        match read {
            Read::Some(len) => {
                self.traffic.received += len as u64;
                if visit.is_kept {
                    socket.start = visit.input.start;
                    self.held += socket.keep(&self.buffer[..len]);
                    visit.input = socket.start..socket.kept.len();
                } else {
                    visit.input.end += len;
                }
                true
            }
            Read::Nothing => false,
            Read::Ended => {
                self.visit = None;
                self.remove(key);
                false
            }
        }
    }

    /// Ends the visit: what was not taken is kept. With more to do it comes again.
    fn end_visit(&mut self, has_more: bool) {
        let Some(visit) = self.visit.take() else {
            return;
        };
        let Some(Some(socket)) = self.sockets.get_mut(visit.key.0 as usize) else {
            return;
        };
        if visit.is_kept {
            socket.start = visit.input.start;
        } else if !visit.input.is_empty() {
            self.held += socket.keep(&self.buffer[visit.input]);
        }
        if socket.start == socket.kept.len() {
            self.held -= socket.forget_kept();
        }
        if has_more || socket.is_readable() {
            self.wake(visit.key);
        }
    }

    /// The turn's reading is over.
    pub(super) fn pause(&mut self) {
        debug_assert!(!self.is_hearing(), "a message is heard by all or none");
        self.pass_present();
        self.end_visit(true);
    }

    /// The service has a turn when the others had theirs.
    fn wake(&mut self, key: Key) {
        if let Some(Some(socket)) = self.sockets.get_mut(key.0 as usize)
            && !std::mem::replace(&mut socket.is_ready, true)
        {
            self.ready.push_back(key);
        }
    }

    /// Carries out what the gateway asks for.
    pub(super) fn queue(&mut self, outbox: &Outbox, now: Time) {
        for &op in outbox.broker() {
            match op {
                BrokerOp::Publish {
                    subject,
                    reply,
                    headers,
                    payload,
                    ..
                } => {
                    let (subject, payload) = (outbox.bytes(subject), outbox.bytes(payload));
                    let reply = outbox.bytes(reply);
                    trace::request(subject, reply, payload);
                    if writer::publish_len(subject, Some(reply), 0, payload.len()) > LINE_MAX {
                        self.denials.unsent_message(subject, reply);
                        continue;
                    }
                    let headers = outbox.bytes(headers);
                    let has_room = headers.len() + payload.len() <= self.broker.max_payload();
                    let headers = if has_room { headers } else { b"" };
                    self.broker.publish(subject, reply, headers, payload, now.0);
                }
                BrokerOp::Subscribe { sid, subject, .. } => {
                    let subject = outbox.bytes(subject);
                    if writer::subscribe_len(subject, sid) > LINE_MAX {
                        self.denials.unsent_subscription(subject, sid);
                        continue;
                    }
                    trace::subscribed(subject);
                    self.broker.subscribe(sid, subject);
                }
                BrokerOp::Unsubscribe { sid } => self.broker.unsubscribe(sid),
            }
        }
    }

    /// What of the gateway could not be sent: the oldest.
    pub(super) fn next_denial(&mut self) -> Option<Denial> {
        self.denials.next()
    }

    /// Writes to services what waits for them, and closes those that are at their end.
    pub(super) fn flush(&mut self, now: Time) {
        self.cut_memory(now);
        if self.broker.take_jetstream() && !std::mem::replace(&mut self.has_told, true) {
            log::warn!(
                "a service asks for JetStream, which the broker inside does not have; use a \
                 nats-server for it, with --nats in place of --broker"
            );
        }
        let mut rest = Vec::new();
        while let Some(key) = self.broker.next_touched() {
            let Some(Some(socket)) = self.sockets.get_mut(key.0 as usize) else {
                continue;
            };
            let output = self.broker.output(key);
            let offered = &output[..output.len().min(WRITE_MAX)];
            let written = socket.write(offered, &mut self.wire);
            let is_failed = written.is_err();
            let len = written.unwrap_or(0);
            let has_more = len == offered.len() && len < output.len();
            self.traffic.sent += len as u64;
            self.broker.wrote(key, len, now.0);
            match self.broker.end(key) {
                Some(end) => {
                    socket.close();
                    let level = log_level(end, now, &mut self.next_log);
                    tell_of_end(socket.remote, end, self.broker.name(key), level);
                    self.remove(key);
                }
                None if is_failed => self.remove(key),
                None if has_more => rest.push(key),
                None => {}
            }
        }
        for key in rest {
            self.broker.touch_output(key);
        }
        self.broker.go_on(LEFT);
    }

    /// Ends services that take most while all take more than they may.
    fn cut_memory(&mut self, now: Time) {
        while self.broker.pending() > self.max_buffers && self.broker.cut_longest() {}
        while self.held > self.max_buffers {
            let sockets = self.sockets.iter().enumerate();
            let kept = sockets.filter_map(|(place, socket)| Some((place, socket.as_ref()?)));
            let Some((place, socket)) = kept.max_by_key(|(_, socket)| socket.kept.capacity())
            else {
                return;
            };
            let level = log_level(End::Memory, now, &mut self.next_log);
            tell_of_end(socket.remote, End::Memory, "", level);
            self.remove(Key(place as u32));
        }
    }

    /// A service's socket is closed.
    fn remove(&mut self, key: Key) {
        if let Some(mut socket) = self.sockets.get_mut(key.0 as usize).and_then(Option::take) {
            self.held -= socket.forget_kept();
            self.broker.close(key);
        }
    }

    /// Bytes so far.
    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// What is told of it.
    pub(super) fn counts(&self) -> BrokerCounts {
        let counts = self.broker.counts();
        BrokerCounts {
            connections: self.broker.len(),
            accepted: counts.connections,
            messages_in: counts.messages_in,
            messages_out: counts.messages_out,
            slow: counts.slow,
            waiting: self.broker.pending() + self.held,
        }
    }

    /// Messages that the gateway has published.
    pub(super) fn published(&self) -> u64 {
        self.broker.counts().published
    }
}

/// Where a part of the input is, in the storage of which the input begins at `start`.
fn place_of(input: &[u8], part: &[u8], start: usize) -> Range<usize> {
    // Empty parts may be from elsewhere.
    if part.is_empty() {
        return start..start;
    }
    let offset = start + (part.as_ptr() as usize - input.as_ptr() as usize);
    offset..offset + part.len()
}

/// How loudly it is said that a service is sent away.
fn log_level(end: End, now: Time, next_log: &mut Time) -> Level {
    if matches!(end, End::Gone | End::Protocol(_)) || now < *next_log {
        return Level::Debug;
    }
    *next_log = Time(now.0 + LOG_STEP);
    Level::Warn
}

/// Says why a service is sent away.
fn tell_of_end(remote: SocketAddr, end: End, name: &str, level: Level) {
    let name = nats::printable(name.as_bytes());
    let reason = match end {
        End::Gone => "it has gone",
        End::Protocol(what) => {
            log::log!(level, "service {remote} ({name}) closed: it sent {what}");
            return;
        }
        End::Missing(what) => {
            log::log!(
                level,
                "service {remote} ({name}) closed: it asks for {what}, which the broker inside \
                 does not have; use a nats-server for it, with --nats in place of --broker"
            );
            return;
        }
        End::Unauthorized => "it has not shown in time that it may connect",
        End::Slow => "it does not read what it has subscribed to",
        End::Stale => "it no longer answers",
        End::TooMany => "there are as many as brokerMaxConnections allows",
        End::Memory => "too much waits in the buffers of all services",
    };
    log::log!(level, "service {remote} ({name}) closed: {reason}");
}

impl Reactor {
    /// Begins to serve services, if the broker is inside.
    pub(super) fn open_inside(&mut self) {
        let Some(services) = &self.services else {
            return;
        };
        let (now, limits) = (self.clock.tick(), services.limits());
        self.gateway.broker_connected(now, limits, &mut self.outbox);
        self.carry_out();
    }

    /// Gives the gateway what services send, until nothing is left or the turn's share is
    /// used up.
    pub(super) fn read_services(&mut self) {
        let now = self.clock.now();
        let mut messages = self.broker_messages;
        self.begin_share(turn::NATS);
        loop {
            let may_go_on = messages > 0 && !self.is_share_over() && self.takes_broker_input();
            let Some(services) = &mut self.services else {
                break;
            };
            if !may_go_on && !services.is_hearing() {
                break;
            }
            match services.next(now) {
                Found::Message(message, units) => {
                    messages = messages.saturating_sub(1);
                    self.metrics.broker_messages += 1;
                    let bytes = message.payload.len() + 64 * units;
                    let event = Event::Message(message);
                    tell(&mut self.gateway, event, now, &mut self.outbox);
                    self.carry_out();
                    self.turn.step(bytes, || self.clock.micros());
                }
                Found::Work(units) => self.turn.step(64 * units, || self.clock.micros()),
                Found::Nothing => break,
            }
        }
        // What is queued for a client from here on comes behind the streak.
        self.outbox.seal();
        self.streak.clear();
        if let Some(services) = &mut self.services {
            services.pause();
        }
        // One a turn at least; what the turn has no room for is the next one's.
        while let Some(denial) = self
            .services
            .as_mut()
            .and_then(|services| services.next_denial())
        {
            self.deny(denial, now);
            self.turn.step(0, || self.clock.micros());
            if self.is_share_over() {
                return;
            }
        }
    }

    /// Takes new connections of services.
    pub(super) fn accept_services(&mut self, now: Time) {
        if let Some(services) = &mut self.services {
            services.accept(self.poll.registry(), now);
        }
    }

    /// Whether there is a broker: services can be asked.
    pub(super) fn has_broker(&self) -> bool {
        self.services.is_some() || self.link.is_ready()
    }

    /// Whether NATS, or the broker inside, has something for the gateway.
    pub(super) fn has_broker_input(&self) -> bool {
        let services = self.services.as_ref();
        self.link.has_input() || services.is_some_and(|services| services.has_input())
    }
}
