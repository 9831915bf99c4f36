//! The states of a connection, from the first `INFO` to its end.

use std::fmt;

use super::text::printable;
use super::{
    Credentials, Message, Op, ProtocolError, Refused, ServerInfo, UserCredentials, writer,
};

#[cfg(test)]
mod tests;

/// What a client is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the program, for the server's monitoring.
    pub name: String,
    /// Version of the program, for the same.
    pub version: String,
    /// What to show to be let in.
    pub credentials: Credentials,
    /// A user with a key, to be shown too.
    pub user: Option<UserCredentials>,
    /// Whether the connection must have TLS, even if the server does not ask for it.
    pub tls: bool,
    /// Whether TLS begins before the server's `INFO`: the client starts in
    /// [`Phase::AwaitingTls`], as after [`Event::StartTls`].
    pub tls_first: bool,
    /// Time from the making of the client until the connection must be ready, in
    /// milliseconds.
    pub connect_timeout_ms: u64,
    /// Time between two `PING`s, in milliseconds; 0 for none. A server that has sent no
    /// byte from one to the next is given up.
    pub ping_interval_ms: u64,
}

impl Default for Options {
    /// No name, version or credentials; 2 s to connect, a `PING` every 10 s.
    fn default() -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            credentials: Credentials::None,
            user: None,
            tls: false,
            tls_first: false,
            connect_timeout_ms: 2_000,
            ping_interval_ms: 10_000,
        }
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was sent; the server speaks first, but for TLS that came before.
    AwaitingInfo,
    /// The caller makes the TLS handshake, see [`Event::StartTls`].
    AwaitingTls,
    /// `CONNECT` and `PING` were sent, whose `PONG` will say that the server agrees.
    AwaitingPong,
    /// Operations may be sent.
    Ready,
    /// An error ended the connection.
    Closed,
}

/// What the caller has to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// TLS begins with the next byte of either side. When the handshake is done, the caller
    /// calls [`Client::secured`]. What the server has sent behind its `INFO` without TLS
    /// is not from the server, and no connection can be made.
    StartTls,
    /// The connection is ready; [`Client::info`] tells with whom.
    Connected,
    /// The server has sent a new `INFO`, for instance because it is about to shut down.
    InfoChanged,
    /// The server has taken all that was sent before a `PING`, in the order of these.
    Pong,
    /// A message for a subscription.
    Message(Message<'a>),
    /// The server refused an operation, and keeps the connection.
    Refused {
        /// What it refused.
        what: Refused,
        /// Its words.
        text: String,
    },
}

/// Why a connection ended, or could not be made. It must be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// What the server sent is no NATS protocol.
    Protocol(ProtocolError),
    /// `INFO` cannot be read; with the JSON parser's words.
    BadInfo(String),
    /// TLS is wanted, and the server has none.
    TlsUnavailable,
    /// An operation that has no place at this point.
    Unexpected {
        /// The operation.
        op: &'static str,
        /// When it came.
        phase: Phase,
    },
    /// The server did not accept the credentials, or no longer does.
    Authorization {
        /// The server's words.
        text: String,
        /// Whether any credentials were sent.
        had_credentials: bool,
    },
    /// The server ended the connection since it was sent something longer than it takes.
    TooLong {
        /// What was too long.
        what: TooLong,
        /// The server's words.
        text: String,
    },
    /// The server ended the connection for another reason.
    Server {
        /// The server's words.
        text: String,
        /// When it did so.
        phase: Phase,
    },
    /// The connection was not ready in time.
    ConnectTimeout {
        /// The time it had, in milliseconds.
        ms: u64,
        /// How far it came.
        phase: Phase,
    },
    /// The server no longer answers.
    Stale {
        /// Milliseconds since it was asked to by a `PING`; it has sent nothing since.
        ms: u64,
    },
    /// The server closed the connection without a word.
    Disconnected {
        /// How far it had come.
        phase: Phase,
    },
    /// The client was used after it had ended.
    Closed,
}

/// What can be longer than a server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// The payload of a message.
    Payload,
    /// The line before it, which holds the subjects.
    ControlLine,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::BadInfo(words) => {
                write!(f, "NATS server sent an INFO that is not valid: {words}")
            }
            Self::TlsUnavailable => f.write_str(
                "NATS server does not offer TLS, which a tls:// URL, a root certificate or a \
                 client certificate for NATS asks for; set up TLS there, or go without",
            ),
            Self::Unexpected { op, phase } => write!(
                f,
                "NATS server sent {op} {}: is this the client port of a NATS server?",
                match phase {
                    Phase::AwaitingInfo => "before INFO",
                    Phase::AwaitingTls => "in place of TLS",
                    Phase::AwaitingPong => "before answering CONNECT",
                    Phase::Ready | Phase::Closed => "out of place",
                }
            ),
            Self::Authorization {
                text,
                had_credentials: true,
            } => write!(
                f,
                "NATS server refused the credentials (\"{text}\"); \
                 check user name and password, or token, in the NATS URL, or the credentials file"
            ),
            Self::Authorization {
                text,
                had_credentials: false,
            } => write!(
                f,
                "NATS server requires credentials (\"{text}\"); \
                 put them in the NATS URL, as in nats://user:password@host:4222, or name a \
                 credentials file with --creds"
            ),
            Self::Server {
                text,
                phase: Phase::Ready,
            }
            | Self::TooLong { text, .. } => {
                write!(f, "NATS server ended the connection (\"{text}\")")
            }
            Self::Server { text, .. } => {
                write!(f, "NATS server refused the connection (\"{text}\")")
            }
            Self::ConnectTimeout { ms, phase } => write_timeout(*ms, *phase, f),
            Self::Stale { ms } => {
                write!(
                    f,
                    "NATS server no longer answers (nothing came for {ms} ms after a PING)"
                )
            }
            Self::Disconnected {
                phase: Phase::Ready,
            } => f.write_str("NATS server closed the connection"),
            Self::Disconnected { .. } => f.write_str(
                "NATS server closed the connection before it was ready: \
                 is this the client port of a NATS server?",
            ),
            Self::Closed => f.write_str("NATS connection has ended before"),
        }
    }
}

fn write_timeout(ms: u64, phase: Phase, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (what, hint) = match phase {
        Phase::AwaitingInfo => (
            "send INFO",
            "; one that expects TLS first (handshake_first) needs --natstlsfirst",
        ),
        Phase::AwaitingTls => ("finish the TLS handshake", ""),
        _ => ("answer CONNECT", ""),
    };
    write!(f, "NATS server did not {what} within {ms} ms{hint}")
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ProtocolError> for ClientError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

/// The client's side of one connection.
///
/// Times are milliseconds of a monotonic clock; zero is arbitrary.
#[derive(Debug)]
pub struct Client {
    options: Options,
    phase: Phase,
    info: ServerInfo,
    /// When [`Client::timeout`] has something to do: give up connecting, or send `PING`.
    deadline: Option<u64>,
    /// When a `PING` was sent, if no byte has come since.
    asked: Option<u64>,
    has_tls: bool,
}

impl Client {
    /// A client for a connection that is being made. The connect time-out begins now.
    pub fn new(options: Options, now_ms: u64) -> Self {
        Self {
            deadline: Some(now_ms.saturating_add(options.connect_timeout_ms)),
            phase: match options.tls_first {
                true => Phase::AwaitingTls,
                false => Phase::AwaitingInfo,
            },
            options,
            info: ServerInfo::default(),
            asked: None,
            has_tls: false,
        }
    }

    /// How far the connection has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What the server last said of itself; the default until the first `INFO`.
    pub fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// Takes the news that bytes have come from the server, whether or not they complete an
    /// operation. They show that it lives, as a `PONG` does that may stand behind minutes
    /// of messages.
    pub fn received(&mut self) {
        self.asked = None;
    }

    /// Takes an operation from the server. What is to be sent is appended to `out`.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if the connection has ended; it must be closed.
    pub fn handle<'a>(
        &mut self,
        op: Op<'a>,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, ClientError> {
        match (op, self.phase) {
            (_, Phase::Closed) => Err(ClientError::Closed),
            (Op::Message(message), Phase::Ready) => Ok(Some(Event::Message(message))),
            (_, Phase::AwaitingTls) => {
                let error = ClientError::Unexpected {
                    op: op.name(),
                    phase: self.phase,
                };
                Err(self.end(error))
            }
            (Op::Info(json), _) => self.server_info(json, out),
            (Op::Err(text), _) => self.server_error(text).map(Some),
            (_, Phase::AwaitingInfo) | (Op::Message(_), _) => {
                let error = ClientError::Unexpected {
                    op: op.name(),
                    phase: self.phase,
                };
                Err(self.end(error))
            }
            (Op::Ping, _) => {
                writer::pong(out);
                Ok(None)
            }
            (Op::Pong, Phase::AwaitingPong) => {
                self.phase = Phase::Ready;
                self.deadline = self.next_ping(now_ms);
                Ok(Some(Event::Connected))
            }
            (Op::Pong, Phase::Ready) => Ok(Some(Event::Pong)),
            (Op::Ok, _) => Ok(None),
        }
    }

    /// Takes the news that the TLS handshake is done. What is to be sent is appended to
    /// `out`. Does nothing unless TLS was awaited.
    pub fn secured(&mut self, out: &mut Vec<u8>) {
        if self.phase != Phase::AwaitingTls {
            return;
        }
        self.has_tls = true;
        match self.options.tls_first {
            true => self.phase = Phase::AwaitingInfo,
            false => self.connect(out),
        }
    }

    /// When [`Client::timeout`] must be called, if ever; the same clock as everywhere.
    pub fn next_timeout(&self) -> Option<u64> {
        self.deadline
    }

    /// Does what is due: sends a `PING`, or gives up. Does nothing when called early.
    ///
    /// # Errors
    ///
    /// [`ClientError::ConnectTimeout`] and [`ClientError::Stale`]; the connection must be
    /// closed.
    pub fn timeout(&mut self, now_ms: u64, out: &mut Vec<u8>) -> Result<(), ClientError> {
        if self.deadline.is_none_or(|deadline| now_ms < deadline) {
            return Ok(());
        }
        if self.phase != Phase::Ready {
            let ms = self.options.connect_timeout_ms;
            let error = ClientError::ConnectTimeout {
                ms,
                phase: self.phase,
            };
            return Err(self.end(error));
        }
        if let Some(asked) = self.asked {
            let ms = now_ms.saturating_sub(asked);
            return Err(self.end(ClientError::Stale { ms }));
        }
        self.ask(now_ms, out);
        self.deadline = self.next_ping(now_ms);
        Ok(())
    }

    /// Asks at once for a sign of life, as requests were not answered: none within half of
    /// the usual time is enough to give the server up. Does nothing while it is asked
    /// already, or is not ready, or where `PING`s are off.
    pub fn probe(&mut self, now_ms: u64, out: &mut Vec<u8>) {
        if self.phase != Phase::Ready || self.asked.is_some() {
            return;
        }
        if self.deadline.is_none() {
            return;
        }
        self.ask(now_ms, out);
        self.deadline = Some(now_ms.saturating_add(self.options.ping_interval_ms / 2));
    }

    fn ask(&mut self, now_ms: u64, out: &mut Vec<u8>) {
        writer::ping(out);
        self.asked = Some(now_ms);
    }

    /// Takes the news that the server has closed the connection, and says what that
    /// means.
    pub fn disconnected(&mut self) -> ClientError {
        match self.phase {
            Phase::Closed => ClientError::Closed,
            phase => self.end(ClientError::Disconnected { phase }),
        }
    }

    fn next_ping(&self, now_ms: u64) -> Option<u64> {
        match self.options.ping_interval_ms {
            0 => None,
            interval => Some(now_ms.saturating_add(interval)),
        }
    }

    fn end(&mut self, error: ClientError) -> ClientError {
        self.phase = Phase::Closed;
        self.deadline = None;
        error
    }

    fn server_info<'a>(
        &mut self,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, ClientError> {
        let info = match ServerInfo::from_json(json) {
            Ok(info) => info,
            Err(error) => return Err(self.end(ClientError::BadInfo(error.to_string()))),
        };
        if self.phase != Phase::AwaitingInfo {
            let changed = info != self.info;
            self.info = info;
            // Whoever is not told yet of the first one needs no news of the second.
            return Ok((changed && self.phase == Phase::Ready).then_some(Event::InfoChanged));
        }
        self.info = info;
        if !self.has_tls && (self.info.tls_required || self.options.tls) {
            if !self.info.tls_required && !self.info.tls_available {
                return Err(self.end(ClientError::TlsUnavailable));
            }
            self.phase = Phase::AwaitingTls;
            return Ok(Some(Event::StartTls));
        }
        self.connect(out);
        Ok(None)
    }

    fn connect(&mut self, out: &mut Vec<u8>) {
        writer::connect(out, &self.options, self.has_tls, &self.info);
        writer::ping(out);
        self.phase = Phase::AwaitingPong;
    }

    fn server_error<'a>(&mut self, text: &[u8]) -> Result<Event<'a>, ClientError> {
        if self.phase == Phase::Ready
            && let Some(what) = Refused::read(text)
        {
            let text = printable(text);
            return Ok(Event::Refused { what, text });
        }
        let lower = text.to_ascii_lowercase();
        let begins = |words: &[&str]| words.iter().any(|w| lower.starts_with(w.as_bytes()));
        let text = printable(text);
        let error = if begins(&[
            "authorization",
            "authentication",
            "user authentication",
            "account authentication",
        ]) {
            let had_credentials =
                self.options.credentials != Credentials::None || self.options.user.is_some();
            ClientError::Authorization {
                text,
                had_credentials,
            }
        } else if begins(&["maximum payload"]) {
            let what = TooLong::Payload;
            ClientError::TooLong { what, text }
        } else if begins(&["maximum control line"]) {
            let what = TooLong::ControlLine;
            ClientError::TooLong { what, text }
        } else {
            ClientError::Server {
                text,
                phase: self.phase,
            }
        };
        Err(self.end(error))
    }
}
