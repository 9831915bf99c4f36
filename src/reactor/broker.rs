//! One connection to a NATS server: its socket and its buffers.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
use std::time::Duration;

use mio::event::Event as Readiness;
use mio::net::TcpStream;
use mio::{Registry, Token};

use super::backlog::{BACKLOG_MAX, Backlog, Dropped, PASSED, Shedding};
use super::denials::{Denial, Denials};
use super::error::BrokerError;
use super::stream::{READ_MIN, ReadError, Stream};
use super::trace;
use crate::gateway::{BrokerLimits, BrokerOp, Lane, Outbox, Time};
use crate::metrics::Traffic;
use crate::nats::{
    self, Blocks, Client, ClientError, Event, Lesson, Op, Options, Pacing, Parser, Phase, Publish,
    ServerInfo, ServerUrl, TooLong, writer,
};
use crate::secrets::{BrokerSecrets, server_name};
use crate::tls::{Failure, Tls};

#[cfg(test)]
mod tests;

/// Size of the input buffer; it grows while a larger message is coming in.
const INPUT: usize = 256 << 10;

/// Size of the input buffer above which it is given back when it is empty.
const INPUT_KEPT: usize = 1 << 20;

/// Input buffer up to which it grows in steps.
const INPUT_GROWN: usize = 4 << 20;

/// Room that a read must have at least.
const ROOM: usize = 64 << 10;
const _: () = assert!(ROOM >= READ_MIN);

/// Bytes that are written in one turn.
const WRITE_MAX: usize = 1 << 20;

/// Waiting output above which clients are not read.
pub(crate) const OUTPUT_HIGH: usize = 8 << 20;

/// The same for what waits until the server has taken the subscriptions before it.
pub(crate) const PACED_HIGH: usize = 64 << 20;

/// Waiting output at which the connection is given up. Clients are not read long
/// before, and what the gateway asks for by itself is bounded too, so that only a
/// server which takes nothing at all leads here.
pub(crate) const OUTPUT_MAX: usize = 512 << 20;

/// Time to connect, in milliseconds, for the socket and the greeting together.
pub(crate) const CONNECT_TIMEOUT: u64 = 2_000;

/// The least that [`Learned::line`] comes to, in bytes: with less no gateway could work.
pub(crate) const LINE_MIN: usize = 256;

/// What servers have shown to take, by ending connections over what they do not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learned {
    /// Bytes of a control line behind its verb.
    line: usize,
    /// Bytes of a payload that was too large, and of the largest that is sent since then.
    payload: Option<(usize, usize)>,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            line: writer::MAX_ARGUMENTS,
            payload: None,
        }
    }
}

impl Learned {
    /// Takes a lesson, and says what it is for the log.
    pub(super) fn learn(&mut self, lesson: &Lesson) -> String {
        let Lesson { bytes, limit, .. } = *lesson;
        let what = match lesson.what {
            TooLong::ControlLine => {
                self.line = self.line.min(limit.max(LINE_MIN));
                "control lines (its max_control_line)"
            }
            TooLong::Payload => {
                self.payload = Some((bytes, limit));
                "payloads (its max_payload)"
            }
        };
        format!(
            "NATS takes no {what} of {bytes} bytes: from now on none above {limit} bytes is sent, \
             and requests that need one get an error"
        )
    }

    /// What may be sent to the server that says this of itself.
    pub(super) fn limits(&self, info: &ServerInfo) -> BrokerLimits {
        let stated = info.max_payload();
        BrokerLimits {
            max_payload: match self.payload {
                // A server that still says so is wrong.
                Some((bytes, limit)) if stated >= bytes => limit,
                _ => stated,
            },
            max_line: self.line,
        }
    }
}

/// How a connection is opened.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    pub(super) server: &'a ServerUrl,
    /// The host that its certificate must name.
    pub(super) certified: &'a str,
    pub(super) address: SocketAddr,
    pub(super) secrets: &'a BrokerSecrets,
    /// Milliseconds between two `PING`s.
    pub(super) ping_interval: u64,
    pub(super) learned: Learned,
    pub(super) token: Token,
}

/// A connection to a NATS server: first [`Self::is_open`] is asked until it is, then
/// [`Self::greet`] is called until the server agrees, and then messages come and go.
#[derive(Debug)]
pub(super) struct Broker {
    stream: Stream,
    token: Token,
    host: String,
    url: String,
    parser: Parser,
    client: Client,
    /// Input buffer; `start..end` of it was received and not parsed.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// What is to be written.
    output: Blocks,
    readable: bool,
    writable: bool,
    hung_up: bool,
    /// The input may hold a whole operation.
    unparsed: bool,
    /// Ciphertext on its way in.
    wire_in: Vec<u8>,
    /// Ciphertext on its way out.
    wire_out: Vec<u8>,
    traffic: Traffic,
    /// Messages published so far.
    published: u64,
    /// What is to be sent, and waits.
    pacing: Pacing,
    /// Whether too much of the input waits, and what is dropped of it then.
    backlog: Backlog,
    shedding: Shedding,
    /// Bytes of the input that were parsed so far.
    parsed: u64,
    /// What the server has refused.
    denials: Denials,
    /// It has sent a new `INFO`.
    has_info: bool,
    learned: Learned,
    /// The connection has failed; what came before counts still.
    failure: Option<BrokerError>,
}

impl Broker {
    /// Begins to connect to a server at an address. The time-out begins now.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn open(opening: &Opening<'_>, registry: &Registry, now: Time) -> io::Result<Self> {
        let Opening {
            server, secrets, ..
        } = opening;
        let mut stream = Stream::without_tls(TcpStream::connect(opening.address)?);
        stream.register(registry, opening.token)?;
        stream.socket().set_tcp_nodelay(true)?;
        // What was sent and is not confirmed by then shows the loss too.
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        stream
            .socket()
            .set_tcp_user_timeout(Some(Duration::from_millis(2 * opening.ping_interval)))?;
        let options = Options {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            credentials: server.credentials.clone(),
            user: secrets.user.clone(),
            tls: server.tls || secrets.wants_tls,
            tls_first: secrets.tls_first,
            connect_timeout_ms: CONNECT_TIMEOUT,
            ping_interval_ms: opening.ping_interval,
        };
        Ok(Self {
            stream,
            token: opening.token,
            host: opening.certified.to_owned(),
            url: server.to_string(),
            parser: Parser::default(),
            client: Client::new(options, now.0),
            input: Vec::new(),
            start: 0,
            end: 0,
            output: Blocks::default(),
            readable: false,
            writable: false,
            hung_up: false,
            unparsed: false,
            wire_in: Vec::new(),
            wire_out: Vec::new(),
            traffic: Traffic::default(),
            published: 0,
            pacing: Pacing::default(),
            backlog: Backlog::default(),
            shedding: Shedding::default(),
            parsed: 0,
            denials: Denials::default(),
            has_info: false,
            learned: opening.learned,
            failure: None,
        })
    }

    /// Whether the socket is connected by now.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or not in time.
    pub(super) fn is_open(&self, now: Time) -> Result<bool, BrokerError> {
        // The poll tells of success and of failure. They count even if they come late: the
        // loop may have been away.
        if !self.writable && !self.hung_up {
            return self.is_in_time(now).map(|()| false);
        }
        if let Some(error) = self.stream.take_error().map_err(BrokerError::Socket)? {
            return Err(BrokerError::Socket(error));
        }
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                self.is_in_time(now).map(|()| false)
            }
            Err(error) => Err(BrokerError::Socket(error)),
        }
    }

    fn is_in_time(&self, now: Time) -> Result<(), BrokerError> {
        match self.next_timeout() {
            Some(due) if due <= now => Err(BrokerError::ConnectTimeout {
                ms: CONNECT_TIMEOUT,
            }),
            _ => Ok(()),
        }
    }

    /// Goes on with the greeting, by one read at most: whether the server has agreed.
    ///
    /// # Errors
    ///
    /// The server does not agree, or not in time.
    pub(super) fn greet(
        &mut self,
        secrets: &BrokerSecrets,
        now: Time,
    ) -> Result<bool, BrokerError> {
        if self.client.phase() == Phase::AwaitingTls && !self.stream.has_tls() {
            self.start_tls(secrets)?;
        }
        self.read(INPUT)
            .map_err(|error| hint_at_order(error, secrets))?;
        // The first word of the server can have come right behind the handshake.
        if !self.stream.is_handshaking() {
            self.client.secured(self.output.room());
        }
        while self.next(now)?.is_some() {
            match self.client.phase() {
                Phase::Ready => return Ok(true),
                Phase::AwaitingTls => self.start_tls(secrets)?,
                _ => {}
            }
        }
        self.write()?;
        // What has come late counts: the loop may have been away.
        self.timeout(now)?;
        Ok(false)
    }

    /// The server's address, without credentials.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What the server said of itself, for the log.
    pub(super) fn server(&self) -> String {
        let info = self.client.info();
        format!("nats-server {} ({})", info.version, info.server_name)
    }

    /// What the server allows.
    pub(super) fn limits(&self) -> BrokerLimits {
        self.learned.limits(self.client.info())
    }

    /// What the server last said of itself.
    pub(super) fn info(&self) -> &ServerInfo {
        self.client.info()
    }

    /// Whether the server has sent a new `INFO` since this was last asked.
    pub(super) fn take_info(&mut self) -> bool {
        std::mem::take(&mut self.has_info)
    }

    /// What the server has refused, and nobody was told of: the oldest.
    pub(super) fn next_denial(&mut self) -> Option<Denial> {
        self.denials.next()
    }

    /// Nobody is told of what the server has refused.
    pub(super) fn forget_denials(&mut self) {
        self.denials.clear();
    }

    /// Whether the server has confirmed or refused all subscriptions, and all that it has
    /// refused is told.
    pub(super) fn is_confirmed(&self) -> bool {
        self.pacing.is_confirmed() && self.denials.is_empty()
    }

    /// Subscribes, and ends that at once: it shows whether the server lets us.
    pub(super) fn try_subscription(&mut self, (sid, subject): (u64, &[u8])) {
        // One that waits and has ended is never sent.
        self.pacing
            .subscribe_at_once(sid, subject, &mut self.output);
        self.pacing.unsubscribe(sid, &mut self.output);
    }

    /// Asks the server to confirm the subscriptions.
    pub(super) fn confirm(&mut self) {
        self.pacing.confirm();
    }

    /// What the end of the connection has shown.
    pub(super) fn lesson(&self, cause: &BrokerError) -> Option<Lesson> {
        match cause {
            BrokerError::Client(ClientError::TooLong { what, .. }) => self.pacing.learn(*what),
            _ => None,
        }
    }

    /// Whether the socket is the one with this token.
    pub(super) fn has_token(&self, token: Token) -> bool {
        self.token == token
    }

    /// Bytes so far.
    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Messages published so far.
    pub(super) fn published(&self) -> u64 {
        self.published
    }

    /// Notes a readiness event.
    pub(super) fn set_ready(&mut self, event: &Readiness) {
        if event.is_read_closed() || event.is_error() {
            self.hung_up = true;
        }
        self.readable |= event.is_readable() || self.hung_up;
        self.writable |= event.is_writable();
    }

    /// Whether [`Self::next`] or [`Self::read`] would find something to do at once.
    pub(super) fn has_input(&self) -> bool {
        self.readable || self.unparsed || self.has_news()
    }

    /// Whether something that was read waits.
    pub(super) fn has_unparsed(&self) -> bool {
        self.unparsed
    }

    /// Whether nothing waits in either direction.
    pub(super) fn is_idle(&self) -> bool {
        let has_waiting = !self.output.is_empty() || self.stream.has_unsent();
        !self.has_input() && !has_waiting && self.pacing.waiting() == 0
    }

    /// Whether something happened that is no message.
    fn has_news(&self) -> bool {
        self.has_info || !self.denials.is_empty() || self.failure.is_some()
    }

    /// Whether a write would find something to do at once.
    pub(super) fn has_output(&self) -> bool {
        self.has_unwritten() || self.writable && self.pacing.has_work()
    }

    /// Whether the socket may take more of what was queued.
    fn has_unwritten(&self) -> bool {
        self.writable && (!self.output.is_empty() || self.stream.has_unsent())
    }

    /// Whether something waits until the server has taken what came before it.
    pub(super) fn is_behind(&self) -> bool {
        self.pacing.waiting() > 0
    }

    /// Whether so much waits for the server that clients must not add to it.
    pub(super) fn is_congested(&self) -> bool {
        self.output.len() > OUTPUT_HIGH
            || self.pacing.waiting() > PACED_HIGH
            || self.failure.is_some()
    }

    /// When [`Self::timeout`] must be called.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.client.next_timeout().map(Time)
    }

    /// Does what is due.
    ///
    /// # Errors
    ///
    /// The server no longer answers.
    pub(super) fn timeout(&mut self, now: Time) -> Result<(), BrokerError> {
        if self.readable {
            // It has sent something that there was no room or no time to read.
            self.client.received();
        }
        let before = self.output.len();
        self.client.timeout(now.0, self.output.room())?;
        if self.output.len() > before {
            self.pacing.pinged();
        }
        Ok(())
    }

    /// Asks the server at once for a sign of life.
    pub(super) fn probe(&mut self, now: Time) {
        let before = self.output.len();
        self.client.probe(now.0, self.output.room());
        if self.output.len() > before {
            self.pacing.pinged();
        }
    }

    /// The next event in what was read; `None` if more must be read first. One that is
    /// nothing to the gateway stands for what [`Self::next_denial`] has then, or for messages
    /// that were dropped.
    ///
    /// # Errors
    ///
    /// The connection has ended, by the server's word or by its fault.
    pub(super) fn next(&mut self, now: Time) -> Result<Option<Event<'_>>, BrokerError> {
        let mut passed = 0;
        while self.start < self.end {
            let input = &self.input[self.start..self.end];
            let Some((len, op)) = self.parser.next(input).map_err(ClientError::from)? else {
                break;
            };
            let place = self.parsed;
            self.start += len;
            self.parsed += len as u64;
            if self.shedding.is_on()
                && let Op::Message(message) = &op
                && self.shedding.drops(message.sid, place)
            {
                passed += 1;
                if passed < PASSED {
                    continue;
                }
                self.unparsed = true;
                return Ok(Some(Event::Pong));
            }
            match self.client.handle(op, now.0, self.output.room())? {
                None => {}
                Some(Event::Pong) => {
                    let refused = self.pacing.confirmed(&mut self.output);
                    self.denials.too_many(&refused);
                }
                Some(Event::InfoChanged) => self.has_info = true,
                Some(Event::Refused { what, text }) => {
                    self.denials.refused(what, text, &mut self.pacing);
                }
                Some(event) => {
                    self.unparsed = true;
                    return Ok(Some(event));
                }
            }
            if !self.denials.is_empty() {
                // Each costs the gateway some work, and is told before the next one is read.
                self.unparsed = true;
                return Ok(Some(Event::Pong));
            }
        }
        self.unparsed = false;
        if !self.readable
            && let Some(failure) = self.failure.take()
        {
            return Err(failure);
        }
        Ok(None)
    }

    /// Reads once, `most` bytes at most or somewhat more, and returns how many came; 0 if
    /// none are there, or with TLS no whole record.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub(super) fn read(&mut self, most: usize) -> Result<usize, BrokerError> {
        if !self.readable || most == 0 {
            return Ok(0);
        }
        self.make_room();
        let room = most.max(READ_MIN).min(self.input.len() - self.end);
        let buffer = &mut self.input[self.end..self.end + room];
        let got = match self.stream.read(buffer, &mut self.wire_in) {
            Ok(got) => got,
            Err(ReadError::Socket(error)) => return Err(BrokerError::Socket(error)),
            Err(ReadError::Tls(failure)) => {
                // The server hears why, if it takes it at once.
                let _ = self.stream.send();
                return Err(tls_error(&failure));
            }
        };
        self.end += got.len;
        if got.taken > 0 {
            self.client.received();
        }
        self.traffic.received += got.len as u64;
        self.unparsed |= got.len > 0;
        // Less than asked for is all there was; more will be an event, except the end
        // that has come along with the server's last words.
        if !got.is_ended && (got.would_block || got.is_drained && !self.hung_up) {
            self.readable = false;
        }
        match got.is_ended && got.len == 0 {
            true => Err(self.client.disconnected().into()),
            false => Ok(got.len),
        }
    }

    /// Goes on reading while what was read before waits, so that the server finds nobody
    /// slow. If too much waits, messages of the subscriptions that `may_drop` lets, and that
    /// have most, are dropped. Returns whose are dropped from now on, as far as they wait; the
    /// gateway is to be told before another message is taken.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub(super) fn read_ahead(
        &mut self,
        most: usize,
        now: Time,
        may_drop: impl Fn(u64) -> bool,
    ) -> Result<Dropped, BrokerError> {
        let mut most = most;
        while self.readable && most > 0 && self.end - self.start < BACKLOG_MAX {
            match self.read(most) {
                Ok(0) => break,
                Ok(len) => most = most.saturating_sub(len),
                Err(failure) => {
                    self.readable = false;
                    self.fail(failure)?;
                }
            }
        }
        let waiting = &self.input[self.start..self.end];
        if self.backlog.is_too_long(waiting.len(), now) {
            self.shedding.begin(self.parsed);
        }
        Ok(self.shedding.step(waiting, self.parsed, may_drop))
    }

    /// The connection has failed. While something that came before waits that is no error
    /// yet: there may be answers in it.
    fn fail(&mut self, failure: BrokerError) -> Result<(), BrokerError> {
        if !self.readable && !self.unparsed {
            return Err(failure);
        }
        self.writable = false;
        self.failure.get_or_insert(failure);
        Ok(())
    }

    /// Queues what the gateway asks for.
    pub(super) fn queue(&mut self, outbox: &Outbox) {
        for &op in outbox.broker() {
            match op {
                BrokerOp::Publish {
                    subject,
                    reply,
                    headers,
                    payload,
                    after,
                    lane,
                } => {
                    let (subject, payload) = (outbox.bytes(subject), outbox.bytes(payload));
                    let reply = outbox.bytes(reply);
                    trace::request(subject, reply, payload);
                    let line = writer::publish_len(subject, Some(reply), 0, payload.len());
                    if line > self.learned.line {
                        self.denials.unsent_message(subject, reply);
                        continue;
                    }
                    let headers = match headers.is_empty() {
                        true => b"",
                        false => self.that_fit(outbox.bytes(headers), subject, reply, payload),
                    };
                    let message = Publish {
                        subject,
                        reply,
                        headers,
                        payload,
                        after,
                        lane: match lane {
                            Lane::Client(client) => nats::Lane::Client(client.0),
                            Lane::Direct => nats::Lane::Direct,
                            Lane::Background => nats::Lane::Background,
                        },
                    };
                    self.pacing.publish(&message, &mut self.output);
                    self.published += 1;
                }
                BrokerOp::Subscribe {
                    sid,
                    subject,
                    client,
                } => {
                    let subject = outbox.bytes(subject);
                    if writer::subscribe_len(subject, sid) > self.learned.line {
                        self.denials.unsent_subscription(subject, sid);
                        continue;
                    }
                    trace::subscribed(subject);
                    let client = client.map(|client| client.0);
                    self.pacing
                        .subscribe(sid, subject, client, &mut self.output);
                }
                BrokerOp::Unsubscribe { sid } => self.pacing.unsubscribe(sid, &mut self.output),
            }
        }
    }

    /// The headers of a message, or none where the server does not take them: a request matters
    /// more than the trace that it is part of.
    fn that_fit<'a>(
        &self,
        headers: &'a [u8],
        subject: &[u8],
        reply: &[u8],
        payload: &[u8],
    ) -> &'a [u8] {
        let limits = self.limits();
        let line = writer::publish_len(subject, Some(reply), headers.len(), payload.len());
        let fits = headers.len() + payload.len() <= limits.max_payload && line <= limits.max_line;
        match fits && self.info().headers {
            true => headers,
            false => b"",
        }
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    ///
    /// The connection has ended, or the server takes too little.
    pub(super) fn write(&mut self) -> Result<(), BrokerError> {
        if self.stream.is_handshaking() {
            self.writable &= self.stream.send().map_err(BrokerError::Socket)?;
            return Ok(());
        }
        self.pacing.go_on(&mut self.output);
        // Not while more may be queued: nothing would be written, which is an error.
        let mut most = WRITE_MAX;
        while self.has_unwritten() && most > 0 {
            let output = self.output.front();
            let output = &output[..output.len().min(most)];
            let (len, takes_more) = match self.stream.write(output, &mut self.wire_out) {
                Ok(written) => written,
                Err(error) => return self.fail(BrokerError::Socket(error)),
            };
            self.output.advance(len);
            most = most.saturating_sub(len.max(1));
            self.traffic.sent += len as u64;
            self.writable = takes_more;
        }
        let waiting = self.output.len();
        if waiting > OUTPUT_MAX {
            return Err(BrokerError::Backlog { bytes: waiting });
        }
        Ok(())
    }

    /// Begins TLS, which the server or the configuration wants.
    fn start_tls(&mut self, secrets: &BrokerSecrets) -> Result<(), BrokerError> {
        if self.start < self.end {
            return Err(BrokerError::Tls {
                words: "something came between INFO and TLS".into(),
                hint: "",
            });
        }
        let host = &self.host;
        let name = server_name(host).ok_or_else(|| BrokerError::Tls {
            words: format!("{host} is not a host name"),
            hint: "",
        })?;
        let config = secrets.tls_config().map_err(BrokerError::Secret)?;
        let tls = Tls::client(config, name).map_err(|failure| tls_error(&failure))?;
        self.stream.secure(tls);
        Ok(())
    }

    /// Sees to it that the buffer has room for a read behind what it holds.
    fn make_room(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.input.len() > INPUT_KEPT {
                self.input.truncate(INPUT);
                self.input.shrink_to_fit();
            }
        }
        let waiting = self.end - self.start;
        let is_roomy = self.input.len() - self.end >= ROOM;
        if is_roomy && (self.start < INPUT_GROWN || self.start < waiting) {
            return;
        }
        if waiting <= INPUT || self.start >= waiting {
            // Moves little, or less than was taken since the last time.
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.input.len() - self.end < ROOM {
            // The parser refuses what is too large before this grows beyond it.
            let len = match (2 * self.input.len()).max(INPUT) {
                // More and more of what waits would be moved, tens of megabytes in one step.
                len if len > INPUT_GROWN => len.max(BACKLOG_MAX + INPUT_GROWN),
                len => len,
            };
            // Memory that is zero from the start and never written to is never resident.
            let mut larger = vec![0; len];
            larger[..waiting].copy_from_slice(&self.input[self.start..self.end]);
            (self.start, self.end) = (0, waiting);
            self.input = larger;
        }
    }
}

/// A server that speaks before TLS fails it by that.
fn hint_at_order(error: BrokerError, secrets: &BrokerSecrets) -> BrokerError {
    match error {
        BrokerError::Tls { words, hint: "" } if secrets.tls_first => BrokerError::Tls {
            words,
            hint: "; a server without handshake_first needs no --natstlsfirst",
        },
        error => error,
    }
}

/// What a failure of TLS means to whoever has set up the gateway.
fn tls_error(failure: &Failure) -> BrokerError {
    use rustls::{AlertDescription, CertificateError, Error};
    let hint = match failure {
        Failure::Tls(Error::InvalidCertificate(error)) => match error {
            CertificateError::UnknownIssuer => {
                "; name the root certificate of its issuer with --natsrootca"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "; name the server in the URL as its certificate does"
            }
            _ => "",
        },
        Failure::Tls(Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown,
        )) => "; the server wants a client certificate that it knows, see --natscert and --natskey",
        _ => "",
    };
    BrokerError::Tls {
        words: failure.to_string(),
        hint,
    }
}
