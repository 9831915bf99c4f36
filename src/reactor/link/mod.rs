//! The link to NATS: to which server, at which address, and how the connection is made.
//!
//! It is a state machine that the loop steps: its turns are those of the loop, which
//! serves whoever else is there meanwhile. Each server of the list is tried in turn, and
//! each address of its host; the first that agrees is taken. If none does, or when the
//! connection is lost, the link is at its end, or waits and begins again.
//!
//! `Starting` → `Resolving` → `Connecting` → `Greeting` → `Ready` → `Ended` or `Waiting`,
//! from which it goes on with `Starting`; a failure leads to `Starting` with the next
//! address or server. One step makes one move, so that no list makes a turn long.

mod route;
#[cfg(test)]
pub(super) mod tests;

use mio::Registry;
use mio::event::Event as Readiness;

use super::broker::Broker;
use super::error::{BrokerError, Refusal};
use super::resolver::{Resolver, literal};
use super::secrets::BrokerSecrets;
use crate::gateway::{BrokerLimits, Time};
use crate::metrics::Traffic;
use crate::nats::ServerUrl;
use route::{Move, Route};

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
    },
    /// No server took the connection.
    Unreachable {
        /// Why not, for each of them.
        refusals: Vec<Refusal>,
        /// When they are tried again; `None` for never.
        retry: Option<Time>,
    },
}

/// The connection to one of several NATS servers, made or in the making.
pub(super) struct Link {
    servers: Vec<ServerUrl>,
    secrets: BrokerSecrets,
    resolver: Resolver,
    /// Milliseconds from a failure to the next start; `None` if a failure is the end.
    retry_delay: Option<u64>,
    route: Route,
    state: State,
    /// Bytes and published messages of the connections that were lost.
    lost_traffic: Traffic,
    lost_published: u64,
}

/// Where the link stands.
#[derive(Debug)]
enum State {
    /// The next move is due.
    Starting,
    /// The addresses of the server's host are being looked up.
    Resolving,
    /// A socket is being connected.
    Connecting(Box<Broker>),
    /// The server has yet to agree.
    Greeting(Box<Broker>),
    /// Messages come and go.
    Ready(Box<Broker>),
    /// A failure is over; at this time everything begins again.
    Waiting(Time),
    /// Nothing is done any more.
    Ended,
}

impl Link {
    /// A link to the first of these servers that agrees; [`Self::step`] makes it. After a
    /// failure it begins again when `retry_delay` milliseconds are over, or never.
    pub(super) fn new(
        servers: Vec<ServerUrl>,
        secrets: BrokerSecrets,
        resolver: Resolver,
        retry_delay: Option<u64>,
    ) -> Self {
        Self {
            route: Route::new(servers.len()),
            servers,
            secrets,
            resolver,
            retry_delay,
            state: State::Starting,
            lost_traffic: Traffic::default(),
            lost_published: 0,
        }
    }

    /// The connection, if messages come and go.
    pub(super) fn ready(&mut self) -> Option<&mut Broker> {
        match &mut self.state {
            State::Ready(broker) => Some(broker),
            _ => None,
        }
    }

    /// Whether messages come and go.
    pub(super) fn is_ready(&self) -> bool {
        self.connection().is_some()
    }

    /// Bytes so far, of all connections that were ready.
    pub(super) fn traffic(&self) -> Traffic {
        let (mut traffic, now) = (self.lost_traffic, self.connection());
        if let Some(now) = now.map(Broker::traffic) {
            traffic.received += now.received;
            traffic.sent += now.sent;
        }
        traffic
    }

    /// Messages published so far.
    pub(super) fn published(&self) -> u64 {
        self.lost_published + self.connection().map_or(0, Broker::published)
    }

    /// Whether so much waits for the server that clients must not add to it.
    pub(super) fn is_congested(&self) -> bool {
        self.connection().is_some_and(Broker::is_congested)
    }

    /// Whether the ready connection has something to read at once.
    pub(super) fn has_input(&self) -> bool {
        self.connection().is_some_and(Broker::has_input)
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
            _ => false,
        }
    }

    /// When [`Self::step`] must be called, or [`Broker::timeout`] if it is ready.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        match &self.state {
            State::Connecting(broker) | State::Greeting(broker) | State::Ready(broker) => {
                broker.next_timeout()
            }
            State::Waiting(until) => Some(*until),
            State::Starting | State::Resolving | State::Ended => None,
        }
    }

    /// Notes a readiness event.
    pub(super) fn set_ready(&mut self, event: &Readiness) {
        match &mut self.state {
            State::Connecting(broker) | State::Greeting(broker) | State::Ready(broker) => {
                broker.set_ready(event);
            }
            // Of a socket that was closed in the same turn.
            State::Starting | State::Resolving | State::Waiting(_) | State::Ended => {}
        }
    }

    /// Goes on with making the connection, as far as it gets without waiting. Called in
    /// every turn.
    pub(super) fn step(&mut self, registry: &Registry, now: Time) -> Option<LinkEvent> {
        match &self.state {
            State::Ready(_) | State::Ended => return None,
            State::Waiting(until) if now < *until => return None,
            _ => {}
        }
        match std::mem::replace(&mut self.state, State::Starting) {
            State::Starting => return self.advance(registry, now),
            State::Waiting(_) => {
                self.route.restart();
                return self.advance(registry, now);
            }
            State::Resolving => match self.resolver.take() {
                None => self.state = State::Resolving,
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
            state @ (State::Ready(_) | State::Ended) => self.state = state,
        }
        None
    }

    /// The connection has failed, or is given up: it is closed. Its server's address,
    /// without credentials.
    pub(super) fn lost(&mut self, now: Time) -> String {
        (self.lost_traffic, self.lost_published) = (self.traffic(), self.published());
        let after = self.after_failure(now);
        match std::mem::replace(&mut self.state, after) {
            State::Connecting(broker) | State::Greeting(broker) | State::Ready(broker) => {
                broker.url().to_owned()
            }
            _ => String::new(),
        }
    }

    /// One move on the route.
    fn advance(&mut self, registry: &Registry, now: Time) -> Option<LinkEvent> {
        match self.route.next() {
            Some(Move::Resolve(server)) => {
                let ServerUrl { host, port, .. } = &self.servers[server];
                if let Some(address) = literal(host, *port) {
                    self.route.resolved(Ok(vec![address]));
                } else {
                    match self.resolver.look_up(host, *port) {
                        Ok(()) => self.state = State::Resolving,
                        Err(error) => self.route.unresolved(BrokerError::LookUp(error)),
                    }
                }
                None
            }
            Some(Move::Connect(server, address)) => {
                let server = &self.servers[server];
                match Broker::open(server, &self.secrets, address, registry, now) {
                    Ok(broker) => self.state = State::Connecting(Box::new(broker)),
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
            Ok(true) => {
                let event = LinkEvent::Connected {
                    server: broker.server(),
                    url: broker.url().to_owned(),
                    limits: broker.limits(),
                };
                self.state = State::Ready(broker);
                Some(event)
            }
            Err(error) => {
                self.route.failed(error);
                None
            }
        }
    }

    /// All servers have failed.
    fn unreachable(&mut self, now: Time) -> LinkEvent {
        self.state = self.after_failure(now);
        let refusals = (self.servers.iter())
            .zip(self.route.take_failures())
            .map(|(server, cause)| Refusal {
                url: server.to_string(),
                cause,
            })
            .collect();
        LinkEvent::Unreachable {
            refusals,
            retry: self.next_timeout(),
        }
    }

    fn after_failure(&self, now: Time) -> State {
        match self.retry_delay {
            Some(delay) => State::Waiting(Time(now.0.saturating_add(delay))),
            None => State::Ended,
        }
    }

    fn connection(&self) -> Option<&Broker> {
        match &self.state {
            State::Ready(broker) => Some(broker),
            _ => None,
        }
    }
}
