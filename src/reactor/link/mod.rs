//! The link to NATS: to which server, at which address, and how the connection is made.
//!
//! It is a state machine that the loop steps: its turns are those of the loop, which
//! serves whoever else is there meanwhile. Each server of the list is tried in turn, and
//! each address of its host; the first that agrees is taken. If none does at the start, the
//! link is at its end. Later, and when the connection is lost, it waits and begins again,
//! if it is to be kept.
//!
//! `Starting` → `Resolving` → `Connecting` → `Greeting` → `Made`; a failure leads to
//! `Starting` with the next address or server, the last one to `Waiting` or `Ended`, and so
//! does a loss. One step makes one move, so that no list makes a turn long. The connection
//! that serves stands beside these states: when its server says that it is about to go, the
//! next one is made while it still serves (`Standing` by, once it is ready). Then it is left,
//! and heard for a while: answers that were on their way may come there.

mod backoff;
mod pool;
mod route;
#[cfg(test)]
pub(super) mod tests;

use std::io;

use mio::event::Event as Readiness;
use mio::{Registry, Token};

use super::broker::{Broker, CONNECT_TIMEOUT, Learned, Opening};
use super::connection::{BROKER, BROKER_NEXT};
use super::error::{BrokerError, Refusal};
use super::resolver::{Resolver, literal};
use crate::gateway::{BrokerLimits, Time};
use crate::metrics::Traffic;
use crate::nats::{Lesson, ServerUrl};
use crate::secrets::BrokerSecrets;
use backoff::Backoff;
pub(super) use backoff::LASTING;
#[cfg(test)]
pub(crate) use backoff::{PAUSE_MAX, PAUSE_MIN};
#[cfg(test)]
pub(crate) use pool::TOLD_MAX;
use pool::{Pool, Server};
use route::{Move, Route};

/// Milliseconds for which a connection that was left is heard.
pub(crate) const LEFT_TIME: u64 = 1_000;

/// Milliseconds for which a name is looked up at most before another server is tried.
pub(crate) const LOOK_UP_TIME: u64 = 10_000;

/// What the loop has to know of.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// The link is ready.
    Connected {
        /// What the server said of itself, for the log.
        server: String,
        /// The server's address, without credentials.
        url: String,
        /// What the server allows.
        limits: BrokerLimits,
        /// It has taken the place of a connection that served until now.
        is_switch: bool,
    },
    /// No server took the connection.
    Unreachable {
        /// Why not, for each of them.
        refusals: Vec<Refusal>,
        /// When they are tried again; `None` for never.
        retry: Option<Time>,
    },
}

/// How a link was lost.
#[derive(Debug)]
pub(super) struct Loss {
    /// The server's address, without credentials.
    pub(super) url: String,
    /// What the server has shown to take.
    pub(super) lesson: Option<Lesson>,
    /// What that means, for the log.
    pub(super) learned: Option<String>,
}

/// How a link is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping {
    /// Whether a link that was lost is made anew.
    pub(super) is_kept: bool,
    /// Milliseconds between two `PING`s.
    pub(super) ping_interval: u64,
    /// Seed of what is random.
    pub(super) seed: u64,
}

/// The connection to one of several NATS servers, made or in the making.
pub(super) struct Link {
    pool: Pool,
    /// The servers of this round, in the order in which they are tried.
    servers: Vec<Server>,
    secrets: BrokerSecrets,
    resolver: Resolver,
    keeping: Keeping,
    backoff: Backoff,
    route: Route,
    state: State,
    serving: Option<Serving>,
    /// The connection before, until this time.
    left: Option<(Box<Broker>, Time)>,
    /// The server that served last.
    last: Option<Server>,
    /// The token of the next socket: there are two at most.
    token: Token,
    learned: Learned,
    /// Bytes and published messages of the connections that were lost.
    lost_traffic: Traffic,
    lost_published: u64,
}

/// The connection by which messages come and go.
#[derive(Debug)]
struct Serving {
    broker: Box<Broker>,
    server: Server,
    since: Time,
    /// The server is about to go.
    is_leaving: bool,
}

/// How far the next connection is.
#[derive(Debug)]
enum State {
    /// The next move is due.
    Starting,
    /// The addresses of the server's host are being looked up: until this time, if there are
    /// other servers.
    Resolving(Option<Time>),
    /// A socket is being connected.
    Connecting(Box<Broker>),
    /// The server has yet to agree.
    Greeting(Box<Broker>),
    /// It has agreed; what waits at the connection before leaves and is taken first, until
    /// this time.
    Standing(Box<Broker>, Time),
    /// No other connection is wanted.
    Made,
    /// A failure is over; at this time everything begins again.
    Waiting(Time),
    /// Nothing is done any more.
    Ended,
}

impl Link {
    /// A link to the first of these servers that agrees; [`Self::step`] makes it. Without
    /// servers it is at its end: the broker is inside.
    pub(super) fn new(
        servers: Vec<ServerUrl>,
        secrets: BrokerSecrets,
        resolver: Resolver,
        keeping: Keeping,
    ) -> Self {
        let is_inside = servers.is_empty();
        let pool = Pool::new(servers);
        let servers = pool.round(None);
        Self {
            route: Route::new(servers.len()),
            pool,
            servers,
            secrets,
            resolver,
            keeping,
            backoff: Backoff::new(keeping.seed),
            state: match is_inside {
                true => State::Ended,
                false => State::Starting,
            },
            serving: None,
            left: None,
            last: None,
            token: BROKER,
            learned: Learned::default(),
            lost_traffic: Traffic::default(),
            lost_published: 0,
        }
    }

    /// The connection, if messages come and go.
    pub(super) fn ready(&mut self) -> Option<&mut Broker> {
        self.serving.as_mut().map(|serving| &mut *serving.broker)
    }

    /// Whether messages come and go.
    pub(super) fn is_ready(&self) -> bool {
        self.serving.is_some()
    }

    /// Whether the server has confirmed or refused all subscriptions.
    pub(super) fn is_confirmed(&self) -> bool {
        self.connection().is_some_and(Broker::is_confirmed)
    }

    /// The server's address, without credentials; empty if there is none.
    pub(super) fn url(&self) -> &str {
        self.connection().map_or("", Broker::url)
    }

    /// Whether the server that serves is about to go.
    pub(super) fn is_leaving(&self) -> bool {
        self.serving
            .as_ref()
            .is_some_and(|serving| serving.is_leaving)
    }

    /// Bytes so far, of all connections that were ready.
    pub(super) fn traffic(&self) -> Traffic {
        let mut traffic = self.lost_traffic;
        let left = self.left.as_ref().map(|(broker, _)| &**broker);
        for broker in [self.connection(), left].into_iter().flatten() {
            traffic.received += broker.traffic().received;
            traffic.sent += broker.traffic().sent;
        }
        traffic
    }

    /// Messages published so far.
    pub(super) fn published(&self) -> u64 {
        let left = self.left.as_ref().map(|(broker, _)| &**broker);
        let there = [self.connection(), left].into_iter().flatten();
        self.lost_published + there.map(Broker::published).sum::<u64>()
    }

    /// Whether so much waits for the server that clients must not add to it.
    pub(super) fn is_congested(&self) -> bool {
        self.connection().is_some_and(Broker::is_congested)
    }

    /// Whether the ready connection has something to read at once.
    pub(super) fn has_input(&self) -> bool {
        self.connection().is_some_and(Broker::has_input)
    }

    /// Whether the connection that was left has something to read at once.
    pub(super) fn has_late_input(&self) -> bool {
        let left = self.left.as_ref();
        left.is_some_and(|(broker, _)| broker.has_input())
    }

    /// Whether there is a connection that was left.
    pub(super) fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// The connection that was left, if it may still be heard: what it has sent in time is.
    pub(super) fn left(&mut self, now: Time) -> Option<&mut Broker> {
        let (broker, until) = self.left.as_ref()?;
        if *until <= now && !broker.has_unparsed() {
            self.forget_left();
        }
        self.left.as_mut().map(|(broker, _)| &mut **broker)
    }

    /// The connection that was left is closed.
    pub(super) fn forget_left(&mut self) {
        if let Some((broker, _)) = self.left.take() {
            self.close(&broker);
        }
    }

    /// Whether the ready connection would write something at once.
    pub(super) fn has_output(&self) -> bool {
        self.connection().is_some_and(Broker::has_output)
    }

    /// Whether [`Self::step`] would go on at once.
    pub(super) fn has_work(&self) -> bool {
        match &self.state {
            State::Starting => true,
            State::Greeting(broker) => broker.has_input(),
            State::Standing(..) => self.is_idle(),
            _ => false,
        }
    }

    /// When [`Self::step`] must be called, or [`Broker::timeout`] if it is ready.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let next = match &self.state {
            State::Connecting(broker) | State::Greeting(broker) => broker.next_timeout(),
            State::Standing(_, until) | State::Waiting(until) => Some(*until),
            State::Resolving(until) => *until,
            State::Starting | State::Made | State::Ended => None,
        };
        let serving = self.connection().and_then(Broker::next_timeout);
        let left = self.left.as_ref().map(|(_, until)| *until);
        [next, serving, left].into_iter().flatten().min()
    }

    /// Notes a readiness event.
    pub(super) fn set_ready(&mut self, event: &Readiness) {
        let next = match &mut self.state {
            State::Connecting(broker) | State::Greeting(broker) | State::Standing(broker, _) => {
                Some(&mut **broker)
            }
            State::Starting | State::Resolving(_) | State::Made => None,
            State::Waiting(_) | State::Ended => None,
        };
        let serving = self.serving.as_mut().map(|serving| &mut *serving.broker);
        let left = self.left.as_mut().map(|(broker, _)| &mut **broker);
        // It may also be of a socket that was closed in the same turn.
        for broker in [serving, next, left].into_iter().flatten() {
            if broker.has_token(event.token()) {
                broker.set_ready(event);
            }
        }
    }

    /// Goes on with making the connection, as far as it gets without waiting. Called in
    /// every turn.
    pub(super) fn step(&mut self, registry: &Registry, now: Time) -> Option<LinkEvent> {
        match &self.state {
            State::Made | State::Ended => return None,
            State::Waiting(until) if now < *until => return None,
            _ => {}
        }
        match std::mem::replace(&mut self.state, State::Starting) {
            State::Starting => return self.advance(registry, now),
            State::Waiting(_) => {
                self.begin_round();
                return self.advance(registry, now);
            }
            State::Resolving(until) => match self.resolver.take() {
                None if until.is_some_and(|until| until <= now) => {
                    let words = format!("no answer within {LOOK_UP_TIME} ms");
                    let error = BrokerError::Resolve(io::Error::other(words));
                    self.route.unresolved(error);
                    return self.advance(registry, now);
                }
                None => self.state = State::Resolving(until),
                Some(answer) => {
                    self.route.resolved(answer);
                    return self.advance(registry, now);
                }
            },
            State::Connecting(broker) => match broker.is_open(now) {
                Ok(false) => self.state = State::Connecting(broker),
                Ok(true) => return self.greet(broker, now),
                Err(error) => self.route.failed(error),
            },
            State::Greeting(broker) => return self.greet(broker, now),
            State::Standing(broker, until) if now < until && !self.is_idle() => {
                self.state = State::Standing(broker, until);
            }
            State::Standing(broker, _) => return Some(self.take_over(broker, now)),
            state @ (State::Made | State::Ended) => self.state = state,
        }
        None
    }

    /// The connection that served has failed: it is closed.
    pub(super) fn lost(&mut self, cause: &BrokerError, now: Time) -> Loss {
        let Some(serving) = self.serving.take() else {
            return Loss {
                url: String::new(),
                lesson: None,
                learned: None,
            };
        };
        self.close(&serving.broker);
        let lesson = serving.broker.lesson(cause);
        let learned = lesson.as_ref().map(|lesson| self.learned.learn(lesson));
        if !self.keeping.is_kept {
            self.state = State::Ended;
        } else if matches!(self.state, State::Made) {
            let lasted = now.0.saturating_sub(serving.since.0);
            let pause = self.backoff.after_loss(lasted);
            self.state = State::Waiting(Time(now.0.saturating_add(pause)));
        }
        Loss {
            url: serving.broker.url().to_owned(),
            lesson,
            learned,
        }
    }

    /// The server has sent a new `INFO`: what it tells of others is taken over, and another
    /// one is looked for if it is about to go. Whether that is news.
    pub(super) fn learn(&mut self) -> bool {
        let Some(serving) = &mut self.serving else {
            return false;
        };
        let info = serving.broker.info();
        self.pool.learn(&info.connect_urls, &serving.server);
        let is_news = info.lame_duck && !serving.is_leaving;
        serving.is_leaving |= info.lame_duck;
        if is_news && self.keeping.is_kept && matches!(self.state, State::Made) {
            self.begin_round();
            self.state = State::Starting;
        }
        is_news
    }

    /// What a connection has done that is closed now counts on.
    fn close(&mut self, broker: &Broker) {
        let traffic = broker.traffic();
        self.lost_traffic.received += traffic.received;
        self.lost_traffic.sent += traffic.sent;
        self.lost_published += broker.published();
    }

    /// A connection serves from now on, in place of the one before if there is one.
    fn take_over(&mut self, broker: Box<Broker>, now: Time) -> LinkEvent {
        self.forget_left();
        let before = self.serving.take();
        let is_switch = before.is_some();
        self.left = before.map(|before| (before.broker, Time(now.0 + LEFT_TIME)));
        let event = LinkEvent::Connected {
            server: broker.server(),
            url: broker.url().to_owned(),
            limits: broker.limits(),
            is_switch,
        };
        let server = self.servers[self.route.server()].clone();
        self.last = Some(server.clone());
        self.serving = Some(Serving {
            broker,
            server,
            since: now,
            is_leaving: false,
        });
        self.state = State::Made;
        self.learn();
        event
    }

    /// Begins again with the first server of the list, whose host is looked up anew.
    fn begin_round(&mut self) {
        // There are two sockets at most.
        self.forget_left();
        let last = self.last.as_ref();
        self.servers = self.pool.round(last);
        // One that is about to go is the last that would do.
        if self.is_leaving()
            && let Some(place) = self.servers.iter().position(|server| Some(server) == last)
        {
            let server = self.servers.remove(place);
            self.servers.push(server);
        }
        self.route = Route::new(self.servers.len());
    }

    /// One move on the route.
    fn advance(&mut self, registry: &Registry, now: Time) -> Option<LinkEvent> {
        match self.route.next() {
            Some(Move::Resolve(server)) => {
                let ServerUrl { host, port, .. } = &self.servers[server].url;
                if let Some(address) = literal(host, *port) {
                    self.route.resolved(Ok(vec![address]));
                } else {
                    match self.resolver.look_up(host, *port) {
                        Ok(()) => {
                            let until = Time(now.0.saturating_add(LOOK_UP_TIME));
                            let has_others = self.servers.len() > 1;
                            self.state = State::Resolving(has_others.then_some(until));
                        }
                        Err(error) => self.route.unresolved(BrokerError::LookUp(error)),
                    }
                }
                None
            }
            Some(Move::Connect(server, address)) => {
                let Server { url, certified } = &self.servers[server];
                let opening = Opening {
                    server: url,
                    certified,
                    address,
                    secrets: &self.secrets,
                    ping_interval: self.keeping.ping_interval,
                    learned: self.learned,
                    token: self.token,
                };
                match Broker::open(&opening, registry, now) {
                    Ok(broker) => {
                        self.state = State::Connecting(Box::new(broker));
                        self.token = match self.token {
                            BROKER => BROKER_NEXT,
                            _ => BROKER,
                        };
                    }
                    Err(error) => self.route.failed(BrokerError::Socket(error)),
                }
                None
            }
            None => Some(self.unreachable(now)),
        }
    }

    /// Goes on with the greeting of a connected socket.
    fn greet(&mut self, mut broker: Box<Broker>, now: Time) -> Option<LinkEvent> {
        match broker.greet(&self.secrets, now) {
            Ok(false) => {
                self.state = State::Greeting(broker);
                None
            }
            // Whoever is about to go itself takes nobody's place.
            Ok(true) if broker.info().lame_duck && self.is_ready() => {
                self.route.failed(BrokerError::Leaving);
                None
            }
            Ok(true) if self.is_ready() => {
                self.state = State::Standing(broker, Time(now.0 + CONNECT_TIMEOUT));
                None
            }
            Ok(true) => Some(self.take_over(broker, now)),
            Err(error) => {
                self.route.failed(error);
                None
            }
        }
    }

    /// All servers have failed.
    fn unreachable(&mut self, now: Time) -> LinkEvent {
        // Before it was ready for the first time, a failure is the end.
        self.state = match self.last {
            Some(_) if self.keeping.is_kept => {
                State::Waiting(Time(now.0.saturating_add(self.backoff.next())))
            }
            _ => State::Ended,
        };
        let refusals = (self.servers.iter())
            .zip(self.route.take_failures())
            .map(|(server, cause)| Refusal {
                url: server.to_string(),
                cause,
            })
            .collect();
        let retry = match self.state {
            State::Waiting(until) => Some(until),
            _ => None,
        };
        LinkEvent::Unreachable { refusals, retry }
    }

    /// Whether nothing is lost when the connection that serves ends now.
    fn is_idle(&self) -> bool {
        self.connection().is_none_or(Broker::is_idle)
    }

    fn connection(&self) -> Option<&Broker> {
        self.serving.as_ref().map(|serving| &*serving.broker)
    }
}
