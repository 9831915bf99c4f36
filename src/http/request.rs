//! Finds requests in the input of a connection: heads, bodies, limits, refusals.

use std::fmt;
use std::mem::MaybeUninit;

use super::body::{Body, Framing};
use super::fields::{self, Lines};
use super::head::{Head, Version, split_absolute};
use super::response::Persistence;

/// Most header fields that a head may have: a bound of the parser's own table, above
/// every sensible [`Limits::fields`].
const FIELDS_MAX: usize = 100;
/// Empty lines tolerated before a request line (RFC 9112, 2.2 asks for one).
const EMPTY_LINES_MAX: usize = 4;

/// What one request may cost. Checked while the bytes come in, not when they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, and again of the trailers of a chunked body.
    pub head: usize,
    /// Header fields, at most 100.
    pub fields: usize,
    /// Bytes of a body, decoded.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 16 * 1024,
            fields: FIELDS_MAX,
            body: 1024 * 1024,
        }
    }
}

/// A complete request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Request line and header fields.
    pub head: Head<'a>,
    /// The body, decoded; empty if there is none.
    pub body: &'a [u8],
    /// Whether the connection goes on after the answer, and if it must be said.
    pub persistence: Persistence,
}

/// What [`RequestReader::read`] found.
#[derive(Debug)]
pub enum Step<'a> {
    /// A request is not complete yet.
    NeedMore {
        /// How far it has come, for timers.
        phase: Phase,
        /// The first `keep` bytes must be in the buffer again at the next call, with
        /// what comes next right behind them. The others are spent: they framed a
        /// chunked body.
        keep: usize,
        /// Whether the client waits for `100 Continue`; said once for a request.
        send_continue: bool,
    },
    /// A request, and how many bytes it took from the front of the buffer.
    Request {
        /// The request.
        request: Request<'a>,
        /// The next request begins here.
        consumed: usize,
    },
}

/// How far an incomplete request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of it is there.
    Idle,
    /// Its head is incomplete.
    Head,
    /// Its head is complete, its body is not.
    Body,
}

/// Why a request is refused. The connection must be closed after the answer, since
/// nobody knows where the next request would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The request line is not `method target HTTP/x.y`.
    RequestLine,
    /// The target is none that this server serves: RFC 9112, 3.2.
    Target,
    /// A version other than 1.0 and 1.1.
    Version,
    /// A line ends with CR or LF alone.
    LineEnd,
    /// A control character.
    ControlCharacter,
    /// A header field with an invalid name or value, a folded one, or white space
    /// before the colon.
    Field,
    /// `Host` is missing, is there twice, or is no host.
    Host,
    /// `Content-Length` is no number, or is there twice.
    ContentLength,
    /// `Transfer-Encoding` beside `Content-Length`, in HTTP/1.0, twice, or with `chunked`
    /// not last.
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    Coding,
    /// An expectation other than `100-continue`.
    Expectation,
    /// The request line alone is longer than a head may be.
    TargetTooLong,
    /// The head, or the trailers, are longer than allowed.
    HeadTooLarge,
    /// More header fields than allowed.
    TooManyFields,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The framing of a chunked body is broken.
    Chunk,
}

impl RequestError {
    /// The status code to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::RequestLine
            | Self::Target
            | Self::LineEnd
            | Self::ControlCharacter
            | Self::Field
            | Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Chunk => 400,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::Coding => 501,
            Self::Version => 505,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestLine => "malformed request line",
            Self::Target => "invalid request target",
            Self::Version => "HTTP version is neither 1.0 nor 1.1",
            Self::LineEnd => "a line of the head ends with CR or LF alone",
            Self::ControlCharacter => "control character in the head",
            Self::Field => "malformed header field",
            Self::Host => "Host is missing, repeated or invalid",
            Self::ContentLength => "Content-Length is repeated or no number",
            Self::TransferEncoding => "Transfer-Encoding leaves the length of the body open",
            Self::Coding => "transfer coding other than chunked",
            Self::Expectation => "expectation other than 100-continue",
            Self::TargetTooLong => "request target too long",
            Self::HeadTooLarge => "header or trailer section too large",
            Self::TooManyFields => "too many header fields",
            Self::BodyTooLarge => "request body too large",
            Self::Chunk => "malformed chunked body",
        })
    }
}

impl std::error::Error for RequestError {}

/// Reads the requests of one connection, one after the other.
///
/// The caller owns the bytes: it keeps what is not consumed at the front of a buffer,
/// appends what arrives, and calls [`read`](Self::read). The reader remembers how far
/// it has looked, so that a client that sends single bytes costs no more than others.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestReader {
    state: State,
}

impl RequestReader {
    /// Reads on. `buffer` begins with the bytes kept from the last call (see
    /// [`Step::NeedMore`]), or, after a request, behind what it consumed.
    ///
    /// A chunked body is decoded in place, so bytes in front of `consumed` may change.
    ///
    /// # Errors
    ///
    /// Says why the input is refused. The reader is then at its end: it gives the same
    /// error for ever.
    pub fn read<'a>(
        &mut self,
        buffer: &'a mut [u8],
        limits: &Limits,
    ) -> Result<Step<'a>, RequestError> {
        self.advance(buffer, limits)
            .inspect_err(|&error| self.state = State::Failed(error))
    }

    fn advance<'a>(
        &mut self,
        buffer: &'a mut [u8],
        limits: &Limits,
    ) -> Result<Step<'a>, RequestError> {
        let (mut entity, is_new) = match self.state {
            State::Failed(error) => return Err(error),
            State::Entity(entity) => (entity, false),
            State::Head(mut scan) => {
                let Some(end) = scan.advance(buffer, limits)? else {
                    self.state = State::Head(scan);
                    return Ok(Step::NeedMore {
                        phase: scan.phase(buffer),
                        keep: buffer.len(),
                        send_continue: false,
                    });
                };
                (Entity::new(buffer, scan.start, end, limits)?, true)
            }
        };
        if !entity.body.advance(buffer, entity.head_end, limits)? {
            self.state = State::Entity(entity);
            return Ok(Step::NeedMore {
                phase: Phase::Body,
                keep: entity.body.keep(entity.head_end, buffer.len()),
                send_continue: is_new && entity.expects_continue,
            });
        }
        self.state = State::default();
        let (body, consumed) = entity.body.finish(entity.head_end);
        let head = &buffer[entity.head_start..entity.head_end];
        Ok(Step::Request {
            request: Request {
                head: Head::parse(head).ok_or(RequestError::RequestLine)?,
                body: &buffer[body],
                persistence: entity.persistence,
            },
            consumed,
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head(HeadScan),
    Entity(Entity),
    Failed(RequestError),
}

impl Default for State {
    fn default() -> Self {
        Self::Head(HeadScan::default())
    }
}

/// The search for the end of a head.
#[derive(Clone, Copy, Debug, Default)]
struct HeadScan {
    /// Where the request line begins: behind tolerated empty lines.
    start: usize,
    /// Where the line begins that is being scanned.
    line: usize,
    /// Bytes before this one have been looked at, and are no control characters but line
    /// ends.
    position: usize,
    /// Complete lines: the request line and the fields.
    lines: usize,
}

impl HeadScan {
    /// Looks at the new bytes; gives the end of the head, behind its empty line.
    fn advance(&mut self, buffer: &[u8], limits: &Limits) -> Result<Option<usize>, RequestError> {
        loop {
            let limit = self.start.saturating_add(limits.head);
            let unseen = buffer.get(self.position..buffer.len().min(limit));
            let unseen = unseen.unwrap_or_default();
            let is_plain = |byte: &&u8| fields::is_value_byte(**byte);
            let plain = unseen.iter().take_while(is_plain).count();
            self.position += plain;
            match unseen.get(plain..).unwrap_or_default() {
                [b'\r', ..] if self.position + 2 <= limit => match buffer.get(self.position + 1) {
                    None => return Ok(None),
                    Some(b'\n') => {
                        self.position += 2;
                        if self.end_line(limits)? {
                            return Ok(Some(self.position));
                        }
                    }
                    Some(_) => return Err(RequestError::LineEnd),
                },
                [b'\n', ..] => return Err(RequestError::LineEnd),
                [] if buffer.len() <= limit => return Ok(None),
                [] | [b'\r', ..] if self.lines == 0 => return Err(RequestError::TargetTooLong),
                [] | [b'\r', ..] => return Err(RequestError::HeadTooLarge),
                _ => return Err(RequestError::ControlCharacter),
            }
        }
    }

    /// Counts the line that ends here; `true` if it is the empty one behind the fields.
    fn end_line(&mut self, limits: &Limits) -> Result<bool, RequestError> {
        let is_empty = self.position - self.line == 2;
        self.line = self.position;
        if is_empty && self.lines > 0 {
            return Ok(true);
        }
        if is_empty {
            self.start = self.position;
            return match self.start > 2 * EMPTY_LINES_MAX {
                true => Err(RequestError::RequestLine),
                false => Ok(false),
            };
        }
        self.lines += 1;
        match self.lines > 1 + limits.fields.min(FIELDS_MAX) {
            true => Err(RequestError::TooManyFields),
            false => Ok(false),
        }
    }

    fn phase(&self, buffer: &[u8]) -> Phase {
        match buffer.len() > self.start {
            true => Phase::Head,
            false => Phase::Idle,
        }
    }
}

/// A request whose head is complete and valid.
#[derive(Clone, Copy, Debug)]
struct Entity {
    head_start: usize,
    head_end: usize,
    persistence: Persistence,
    expects_continue: bool,
    body: Body,
}

impl Entity {
    fn new(
        buffer: &[u8],
        head_start: usize,
        head_end: usize,
        limits: &Limits,
    ) -> Result<Self, RequestError> {
        let bytes = &buffer[head_start..head_end];
        let mut table = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(bytes, &mut table) {
            Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
            // Line ends are known to be right, so one is missed only where a version is
            // longer.
            Ok(_) | Err(httparse::Error::Token | httparse::Error::NewLine) => {
                return Err(RequestError::RequestLine);
            }
            Err(httparse::Error::Version) => return Err(version_error(bytes)),
            Err(_) => return Err(RequestError::Field),
        }
        let head = Head::parse(bytes).ok_or(RequestError::RequestLine)?;
        check_target(&head)?;

        let mut noted = Noted::default();
        for field in parsed.headers {
            noted.note(field.name, fields::trim(field.value))?;
        }
        noted.check_host(head.version())?;
        let framing = Framing::of(noted.coding, noted.length, head.version())?;
        Ok(Self {
            head_start,
            head_end,
            persistence: Persistence::new(head.version(), noted.closes, noted.keeps),
            // HTTP/1.0 clients know no 100 (RFC 9110, 10.1.1).
            expects_continue: noted.expects_continue && head.version() == Version::Http11,
            body: Body::new(framing, limits)?,
        })
    }
}

/// The fields that matter here, gathered in one walk.
#[derive(Default)]
struct Noted<'a> {
    host: Lines<'a>,
    coding: Lines<'a>,
    length: Lines<'a>,
    closes: bool,
    keeps: bool,
    expects_continue: bool,
}

impl<'a> Noted<'a> {
    fn note(&mut self, name: &str, value: &'a [u8]) -> Result<(), RequestError> {
        if name.eq_ignore_ascii_case("host") {
            self.host.note(value);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.coding.note(value);
        } else if name.eq_ignore_ascii_case("content-length") {
            self.length.note(value);
        } else if name.eq_ignore_ascii_case("connection") {
            for option in fields::list(value) {
                self.closes |= option.eq_ignore_ascii_case(b"close");
                self.keeps |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name.eq_ignore_ascii_case("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(RequestError::Expectation);
            }
            self.expects_continue = true;
        }
        Ok(())
    }

    /// RFC 9112, 3.2: exactly one valid `Host` in HTTP/1.1, at most one before.
    fn check_host(&self, version: Version) -> Result<(), RequestError> {
        let is_valid = match self.host {
            Lines::Missing => version == Version::Http10,
            Lines::One(host) => fields::is_authority_valid(host),
            Lines::Many => false,
        };
        match is_valid {
            true => Ok(()),
            false => Err(RequestError::Host),
        }
    }
}

/// Tells an unknown version (505) from something that is no version (400).
fn version_error(bytes: &[u8]) -> RequestError {
    let line = bytes
        .split(|&byte| byte == b'\r')
        .next()
        .unwrap_or_default();
    match line.splitn(3, |&byte| byte == b' ').nth(2) {
        Some([b'H', b'T', b'T', b'P', b'/', a, b'.', b])
            if a.is_ascii_digit() && b.is_ascii_digit() =>
        {
            RequestError::Version
        }
        _ => RequestError::RequestLine,
    }
}

fn check_target(head: &Head<'_>) -> Result<(), RequestError> {
    let is_valid = match (head.method(), head.target()) {
        // CONNECT asks for a tunnel, which a gateway of resources never is.
        ("CONNECT", _) => false,
        ("OPTIONS", "*") => true,
        (_, target) if target.starts_with('/') => true,
        (_, target) => split_absolute(target).is_some_and(|(authority, _)| {
            !authority.is_empty() && fields::is_authority_valid(authority.as_bytes())
        }),
    };
    match is_valid && fields::is_percent_encoding_valid(head.path().as_bytes()) {
        true => Ok(()),
        false => Err(RequestError::Target),
    }
}

#[cfg(test)]
mod tests;
