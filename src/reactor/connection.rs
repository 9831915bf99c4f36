//! What is kept of one client connection.
//!
//! There may be 100,000 of them, most of them idle: what only busy connections need is
//! behind a pointer that idle ones do not have.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use mio::Token;

use super::admission::Place;
use super::compression::Inflated;
use super::deadlines::Timer;
use super::framing::{Chunking, Framing};
use super::output::Output;
use super::pulse::Silence;
use super::rotation::Age;
use super::stream::Stream;
use crate::gateway::{ClientKey, Time};
use crate::http::{Persistence, RequestReader};
use crate::ws::Decoder;
use crate::ws::extension::Agreement;
use crate::ws::handshake::Refusal;

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// It comes by a proxy, which has yet to say for whom.
    Proxied,
    /// It speaks HTTP.
    Http(Box<Http>),
    /// It was upgraded.
    WebSocket(Decoder),
    /// Its last request is answered with a stream of events, which ends with the connection.
    Events(Chunking),
    /// Last words are on their way: they are written, our side is ended, and what the
    /// client still sends is read and thrown away. Closing at once would let a reset
    /// overtake the last words.
    Closing(Farewell),
    /// It is gone, and its place is free after the turn.
    Dead,
}

/// What a closing connection waits for once its last words are written.
#[derive(Debug)]
pub(super) enum Farewell {
    /// The client ends its side.
    End,
    /// The same, or the client's close frame, which this finds.
    CloseFrame(Decoder),
    /// Nothing: both close frames were sent, and it is the server that ends the
    /// connection first (RFC 6455, 7.1.1). All that came before is read all the same.
    Nothing,
}

/// State of a connection that speaks HTTP.
#[derive(Debug, Default)]
pub(super) struct Http {
    pub(super) reader: RequestReader,
    /// The request that the gateway has not answered yet. There is one at most, and
    /// the input behind it waits.
    pub(super) work: Option<Work>,
}

/// What must be remembered of a request until its answer comes.
#[derive(Debug)]
pub(super) struct Work {
    /// The body of the answer is left out.
    pub(super) is_head: bool,
    /// Whether the connection outlives the answer.
    pub(super) persistence: Persistence,
    /// The request's `Origin`.
    pub(super) origin: Option<Box<[u8]>>,
    /// Whether a web page asks: it is told which fields of the answer it may see.
    pub(super) is_of_page: bool,
    /// The request is for a stream of events.
    pub(super) events: Option<Box<EventsAsked>>,
    /// The answer waits for a change, so many seconds at most, and until then.
    pub(super) wait: Option<(u32, Time)>,
    /// The request is for a WebSocket: what is needed for that, or what is wrong with it.
    pub(super) upgrade: Option<Result<Box<Upgrade>, Refusal>>,
}

/// What an answer with a stream of events is made of.
#[derive(Debug)]
pub(super) struct EventsAsked {
    /// Whose request it is.
    pub(super) remote: SocketAddr,
    pub(super) chunking: Chunking,
}

/// What an answer to an upgrade request is made of.
#[derive(Debug)]
pub(super) struct Upgrade {
    /// The key of the handshake.
    pub(super) proof: Box<[u8]>,
    /// Whose it is.
    pub(super) remote: SocketAddr,
    /// The compression that both sides know.
    pub(super) agreement: Option<Agreement>,
}

/// One client connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) remote: SocketAddr,
    /// Tells this connection from earlier ones with its place.
    pub(super) generation: Generation,
    /// Its one deadline.
    pub(super) timer: Timer,
    pub(super) phase: Phase,
    /// Input that was read and not consumed; without memory while there is none.
    pub(super) stash: Vec<u8>,
    /// Output that was not written; `None` while there is none. It is there, though
    /// empty, while ciphertext of it waits.
    pub(super) output: Option<Box<Output>>,
    /// The socket may have input for us. The poll is edge-triggered: only a read that
    /// finds nothing clears this.
    pub(super) readable: bool,
    /// The socket may take output; cleared by a write that it does not take.
    pub(super) writable: bool,
    /// The client has ended its side, which a read will show.
    pub(super) hung_up: bool,
    /// A read has shown that the client has ended its side.
    pub(super) ended: bool,
    /// The stash may hold more than the beginning of a request or message.
    pub(super) unparsed: bool,
    /// It stands in a list of connections to be served.
    pub(super) ready: bool,
    /// It used up its share when it was last served.
    pub(super) busy: bool,
    /// It stands in a list of connections to be written to.
    pub(super) dirty: bool,
    /// The gateway knows it, and must be told of its end.
    pub(super) known: bool,
    /// What it counts as.
    pub(super) place: Place,
    /// Bytes of its input that are counted among those of all connections.
    pub(super) held: u32,
    /// For how long nothing was heard of it.
    pub(super) silence: Silence,
    /// Rounds of the pulse since it was sent a message, and one; 0 if its client has been told
    /// since what it has.
    pub(super) news: u8,
    /// How long it has been a WebSocket.
    pub(super) age: Age,
    /// What its messages have been inflated by.
    pub(super) inflated: Inflated,
    /// It has shown the console's token.
    pub(super) has_console: bool,
}

impl Connection {
    /// A fresh connection, which begins with HTTP.
    pub(super) fn new(stream: Stream, remote: SocketAddr, generation: Generation) -> Self {
        Self {
            stream,
            remote,
            generation,
            timer: Timer::default(),
            phase: Phase::Http(Box::default()),
            stash: Vec::new(),
            output: None,
            readable: false,
            // A fresh socket has room. If not, the first write tells.
            writable: true,
            hung_up: false,
            ended: false,
            unparsed: false,
            ready: false,
            busy: false,
            dirty: false,
            known: false,
            place: Place::Outside,
            held: 0,
            silence: Silence::default(),
            news: 0,
            age: Age::default(),
            inflated: Inflated::default(),
            has_console: false,
        }
    }

    /// Whether a message of a WebSocket has begun and is not complete.
    pub(super) fn is_partial(&self) -> bool {
        matches!(&self.phase, Phase::WebSocket(decoder) if decoder.is_partial())
    }

    /// Bytes of input that it keeps.
    pub(super) fn input_bytes(&self) -> usize {
        let partial = match &self.phase {
            Phase::WebSocket(decoder) | Phase::Closing(Farewell::CloseFrame(decoder)) => {
                decoder.held()
            }
            Phase::Proxied
            | Phase::Http(_)
            | Phase::Events(_)
            | Phase::Closing(_)
            | Phase::Dead => 0,
        };
        self.stash.capacity() + partial
    }

    /// Bytes that wait to be written.
    pub(super) fn output_bytes(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.bytes())
    }

    /// What the waiting output holds in memory, in bytes.
    pub(super) fn output_cost(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.cost())
    }

    /// How messages leave on it; `None` while they do not, or not any more.
    pub(super) fn framing(&self) -> Option<Framing> {
        match &self.phase {
            Phase::WebSocket(decoder) => Some(Framing::WebSocket(decoder.agreement())),
            Phase::Events(chunking) => Some(Framing::Events(*chunking)),
            Phase::Proxied | Phase::Http(_) | Phase::Closing(_) | Phase::Dead => None,
        }
    }

    /// Whether it is gone.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.phase, Phase::Dead)
    }

    /// Whether WebSocket messages go in and out.
    pub(super) fn is_websocket(&self) -> bool {
        matches!(self.phase, Phase::WebSocket(_))
    }

    /// Whether the answer to its request waits for a change.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits_until().is_some()
    }

    /// Until when the answer to its request waits for a change, if it does.
    pub(super) fn waits_until(&self) -> Option<Time> {
        match &self.phase {
            Phase::Http(http) => http.work.as_ref()?.wait.map(|(_, until)| until),
            _ => None,
        }
    }

    /// Takes the request that the gateway has not answered yet.
    pub(super) fn take_work(&mut self) -> Option<Work> {
        match &mut self.phase {
            Phase::Http(http) => http.work.take(),
            Phase::Proxied
            | Phase::WebSocket(_)
            | Phase::Events(_)
            | Phase::Closing(_)
            | Phase::Dead => None,
        }
    }

    /// From now on nothing is taken in but the close frame of a WebSocket.
    pub(super) fn begin_farewell(&mut self) {
        let phase = Phase::Closing(Farewell::End);
        match std::mem::replace(&mut self.phase, phase) {
            // What is left of its input leads to its close frame.
            Phase::WebSocket(decoder) => {
                self.phase = Phase::Closing(Farewell::CloseFrame(decoder));
            }
            _ => self.drop_input(),
        }
    }

    /// Forgets input that was kept.
    pub(super) fn drop_input(&mut self) {
        self.stash = Vec::new();
        self.unparsed = false;
    }

    /// Whether the close handshake is complete, our close frame is written, and all that
    /// came is read: the kernel would answer unread bytes with a reset.
    pub(super) fn may_end(&self) -> bool {
        matches!(self.phase, Phase::Closing(Farewell::Nothing))
            && self.output.is_none()
            && !self.readable
    }

    /// Whether there may be something to do for it, unless something else forbids it.
    pub(super) fn has_input(&self) -> bool {
        self.readable || self.unparsed
    }
}

/// Bits of a token that hold a connection's index; those above hold its generation.
const INDEX_BITS: u32 = if usize::BITS >= 64 { 32 } else { 20 };

/// Most connections at a time: one less than the indices, for the tokens that are not
/// connections.
pub(super) const CONNECTIONS_MAX: usize = (1 << INDEX_BITS) - 2;

/// The index that tokens have which belong to no connection.
const NO_INDEX: usize = (1 << INDEX_BITS) - 1;

/// Tells the connections apart that had one index, one after the other. It has as many
/// values as a token has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation(NonZeroU32);

impl Default for Generation {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

impl Generation {
    /// The one that follows.
    pub(super) fn next(self) -> Self {
        let next = self.0.get().wrapping_add(1) & (usize::MAX >> INDEX_BITS) as u32;
        NonZeroU32::new(next).map_or(Self::default(), Self)
    }
}

/// Names one connection: where it is, and which of those that were ever there. The key of
/// one that is gone finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionKey {
    index: u32,
    generation: Generation,
}

impl ConnectionKey {
    /// The key of a connection with this place in the table.
    pub(super) fn new(index: u32, generation: Generation) -> Self {
        Self { index, generation }
    }

    /// Its place in the table.
    pub(super) fn index(self) -> usize {
        self.index as usize
    }

    /// Which of the connections with its place.
    pub(super) fn generation(self) -> Generation {
        self.generation
    }

    /// What the gateway knows the connection by. The gateway hears of a connection's end
    /// before its place is used again, so that it needs no generation.
    pub(super) fn client(self) -> ClientKey {
        ClientKey(self.index)
    }

    /// The connection's token.
    pub(super) fn token(self) -> Token {
        Token((self.generation.0.get() as usize) << INDEX_BITS | self.index())
    }

    /// The connection whose token this is; `None` for a token of something else.
    pub(super) fn of_token(token: Token) -> Option<Self> {
        let generation = NonZeroU32::new((token.0 >> INDEX_BITS) as u32)?;
        let index = token.0 & NO_INDEX;
        (index != NO_INDEX).then_some(Self::new(index as u32, Generation(generation)))
    }
}

/// The token of the listening socket.
pub(super) const LISTENER: Token = special(0);
/// The token of the broker's socket.
pub(super) const BROKER: Token = special(1);
/// The token of the signals' pipe.
pub(super) const SIGNALS: Token = special(2);
/// The token of the waker that tells of a name looked up.
pub(super) const RESOLVER: Token = special(3);

/// The token of a second socket of the broker, while one takes the place of another.
pub(super) const BROKER_NEXT: Token = special(4);

/// The token of the socket to the first process of several.
pub(super) const PARENT: Token = special(5);

/// The token of the socket on which the broker inside listens for other workers.
pub(super) const WORKERS: Token = special(6);

/// The token of the operators' listening socket.
pub(super) const MONITOR: Token = special(7);

/// The token of the socket on which the broker inside listens for services. Those above it
/// are of their connections.
pub(super) const SERVICES: Token = special(HALF);

/// Half of the tokens that are not of clients.
const HALF: usize = 1 << (usize::BITS - INDEX_BITS - 1);

/// Most connections of services, as far as there are tokens.
pub(super) const SERVICES_MAX: usize = HALF - 1;

/// The token of a connection of the operators' port, by its serial number.
pub(super) fn monitor_token(serial: usize) -> Token {
    special(8 + serial % (HALF - 8))
}

/// Whether a token is of the operators' port.
pub(crate) fn is_monitor(token: Token) -> bool {
    token.0 & NO_INDEX == NO_INDEX && (MONITOR.0..SERVICES.0).contains(&token.0)
}

/// The token of a connection of a service, by its place, which is below [`SERVICES_MAX`].
pub(super) fn service_token(place: usize) -> Token {
    special(HALF + 1 + place)
}

/// The place of the service's connection whose token this is.
pub(super) fn service_of(token: Token) -> Option<usize> {
    let is_service = token.0 & NO_INDEX == NO_INDEX && token.0 > SERVICES.0;
    is_service.then(|| (token.0 >> INDEX_BITS) - HALF - 1)
}

const fn special(number: usize) -> Token {
    Token(number << INDEX_BITS | NO_INDEX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_connection() {
        let mut generation = Generation::default();
        let last = (usize::MAX >> INDEX_BITS) as u32;
        let late = Generation(NonZeroU32::new(last - 1).unwrap());
        for index in [0, 1, 77, CONNECTIONS_MAX as u32 - 1] {
            for first in [generation, late, late.next(), late.next().next()] {
                let old = ConnectionKey::new(index, first);
                let new = ConnectionKey::new(index, first.next());
                assert_ne!(old, new);
                assert_ne!(old.token(), new.token());
                for key in [old, new] {
                    assert_eq!(ConnectionKey::of_token(key.token()), Some(key));
                    assert_eq!(key.client(), ClientKey(index));
                    assert!(!is_monitor(key.token()));
                }
            }
            generation = generation.next();
        }
    }

    #[test]
    fn what_is_no_connection_has_a_token_of_its_own() {
        let monitors = [0, 1, 4_090].map(monitor_token);
        let specials = [
            LISTENER,
            BROKER,
            SIGNALS,
            RESOLVER,
            BROKER_NEXT,
            PARENT,
            WORKERS,
            MONITOR,
        ];
        let specials: Vec<_> = specials.into_iter().chain(monitors).collect();
        for (index, &token) in specials.iter().enumerate() {
            assert_eq!(is_monitor(token), index >= 7);
            assert!(!specials[..index].contains(&token));
            assert_eq!(ConnectionKey::of_token(token), None);
        }
        assert_eq!(ConnectionKey::of_token(monitor_token(usize::MAX)), None);
        assert!(is_monitor(monitor_token(usize::MAX)));
        for place in [0, 1, 77, SERVICES_MAX - 1] {
            let token = service_token(place);
            assert_eq!(service_of(token), Some(place));
            assert!(!is_monitor(token) && token != SERVICES);
            assert_eq!(ConnectionKey::of_token(token), None);
        }
        for token in [SERVICES, MONITOR, LISTENER, monitor_token(usize::MAX)] {
            assert_eq!(service_of(token), None);
        }
    }

    #[test]
    fn an_idle_connection_is_small() {
        assert!(
            size_of::<Connection>() <= 144,
            "{}",
            size_of::<Connection>()
        );
    }
}
