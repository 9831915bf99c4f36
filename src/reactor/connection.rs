//! What is kept of one client connection.
//!
//! There may be 100,000 of them, most of them idle: what only busy connections need is
//! behind a pointer that idle ones do not have.

use std::net::SocketAddr;

use mio::Token;

use super::deadlines::Timer;
use super::framing::Framing;
use super::output::Output;
use super::stream::Stream;
use crate::http::{Persistence, RequestReader};
use crate::ws::Decoder;
use crate::ws::extension::Agreement;
use crate::ws::handshake::Refusal;

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// It speaks HTTP.
    Http(Box<Http>),
    /// It was upgraded.
    WebSocket(Decoder),
    /// Last words are on their way: they are written, our side is ended, and what the
    /// client still sends is read and thrown away. Closing at once would let a reset
    /// overtake the last words.
    Closing(Farewell),
    /// It is gone, and its key is free after the turn.
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
    /// The request is for a WebSocket: what is needed for that, or what is wrong with it.
    pub(super) upgrade: Option<Result<Upgrade, Refusal>>,
}

/// What an answer to an upgrade request is made of.
#[derive(Debug)]
pub(super) struct Upgrade {
    /// The key of the handshake.
    pub(super) proof: Box<[u8]>,
    /// The compression that both sides know.
    pub(super) agreement: Option<Agreement>,
}

/// One client connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) remote: SocketAddr,
    /// Tells this connection from earlier ones with its key.
    pub(super) generation: u32,
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
    /// It stands in the list of connections to be served.
    pub(super) ready: bool,
    /// It stands in the list of connections to be written to.
    pub(super) dirty: bool,
    /// The gateway knows it, and must be told of its end.
    pub(super) known: bool,
}

impl Connection {
    /// A fresh connection, which begins with HTTP.
    pub(super) fn new(stream: Stream, remote: SocketAddr, generation: u32) -> Self {
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
            dirty: false,
            known: false,
        }
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
            Phase::Http(_) | Phase::Closing(_) | Phase::Dead => None,
        }
    }

    /// Whether WebSocket messages go in and out.
    pub(super) fn is_websocket(&self) -> bool {
        matches!(self.phase, Phase::WebSocket(_))
    }

    /// Takes the request that the gateway has not answered yet.
    pub(super) fn take_work(&mut self) -> Option<Work> {
        match &mut self.phase {
            Phase::Http(http) => http.work.take(),
            Phase::WebSocket(_) | Phase::Closing(_) | Phase::Dead => None,
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

/// Bits of a token that hold the connection's key; those above hold its generation.
const KEY_BITS: u32 = if usize::BITS >= 64 { 32 } else { 20 };

/// Most connections at a time: one less than the keys, for the tokens that are not
/// connections.
pub(super) const CONNECTIONS_MAX: usize = (1 << KEY_BITS) - 2;

/// The key that tokens have which belong to no connection.
const NO_KEY: usize = (1 << KEY_BITS) - 1;

/// The token of the listening socket.
pub(super) const LISTENER: Token = special(0);
/// The token of the broker's socket.
pub(super) const BROKER: Token = special(1);
/// The token of the signals' pipe.
pub(super) const SIGNALS: Token = special(2);

/// The token of the operators' listening socket.
pub(super) const MONITOR: Token = special(3);

/// The token of a connection of the operators' port, by its serial number.
pub(super) fn monitor_token(serial: usize) -> Token {
    special(4 + serial % ((1 << (usize::BITS - KEY_BITS)) - 4))
}

/// Whether a token is of the operators' port.
pub(super) fn is_monitor(token: Token) -> bool {
    key_of(token) as usize == NO_KEY && token.0 >= MONITOR.0
}

const fn special(number: usize) -> Token {
    Token(number << KEY_BITS | NO_KEY)
}

/// The token of a connection.
pub(super) fn token(key: u32, generation: u32) -> Token {
    Token((generation as usize) << KEY_BITS | key as usize)
}

/// The key in a token.
pub(super) fn key_of(token: Token) -> u32 {
    (token.0 & NO_KEY) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_generations_apart_but_keep_the_key() {
        for key in [0, 1, 77, CONNECTIONS_MAX as u32 - 1] {
            let (old, new) = (token(key, 6), token(key, 7));
            assert_ne!(old, new);
            assert_eq!((key_of(old), key_of(new)), (key, key));
            let monitors = [0, 1, 4_095, usize::MAX].map(monitor_token);
            for special in [LISTENER, BROKER, SIGNALS, MONITOR]
                .into_iter()
                .chain(monitors)
            {
                assert_ne!(old, special);
                assert_ne!(key_of(special), key);
            }
        }
        let specials = [
            LISTENER,
            BROKER,
            SIGNALS,
            MONITOR,
            monitor_token(0),
            monitor_token(1),
        ];
        for (index, token) in specials.into_iter().enumerate() {
            assert_eq!(is_monitor(token), index >= 3);
            assert!(!specials[..index].contains(&token));
        }
        assert!(!is_monitor(token(7, u32::MAX)));
    }

    #[test]
    fn an_idle_connection_is_small() {
        assert!(
            size_of::<Connection>() <= 160,
            "{}",
            size_of::<Connection>()
        );
    }
}
