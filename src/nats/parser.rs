//! Server bytes to operations, without copying.

use std::fmt;

use super::text::printable;

#[cfg(test)]
mod tests;

/// Longest control line that is accepted, line end included, in bytes.
///
/// Servers accept 4096 bytes by default, but can be told otherwise, and `INFO` names all
/// servers of a cluster; so the limit is set by what we are ready to hold.
pub const MAX_CONTROL_LINE: usize = 64 * 1024;

/// Largest payload that is accepted by default, headers included, in bytes.
///
/// It is the highest limit that the documentation of nats-server allows to configure. The
/// limit in `INFO` is not taken for messages that arrive: it binds those who publish to
/// that one server, and another server of the cluster may allow more.
pub const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// An operation that a server sent, borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// `INFO`: the JSON text, not looked at yet (see `ServerInfo::from_json`).
    Info(&'a [u8]),
    /// `MSG` or `HMSG`: a message for a subscription.
    Message(Message<'a>),
    /// `PING`: to be answered with `PONG`.
    Ping,
    /// `PONG`: the answer to a `PING`.
    Pong,
    /// `+OK`: an operation was accepted; sent only to clients that ask for it.
    Ok,
    /// `-ERR`: the server's words, without the quotes around them.
    Err(&'a [u8]),
}

impl Op<'_> {
    /// The operation's name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Info(_) => "INFO",
            Self::Message(_) => "MSG",
            Self::Ping => "PING",
            Self::Pong => "PONG",
            Self::Ok => "+OK",
            Self::Err(_) => "-ERR",
        }
    }
}

/// A message for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The number that the subscription was made with.
    pub sid: u64,
    /// The subject that the message was published to.
    pub subject: &'a [u8],
    /// The subject for an answer, if one is wanted.
    pub reply: Option<&'a [u8]>,
    /// The status in the header's first line; 503 in a message without payload says that
    /// nobody listens on the subject of a request.
    pub status: Option<u16>,
    /// The header block as it came, with its version line and final empty line; empty if
    /// there is none. A server does not check what publishers put there.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// Bytes that are no NATS protocol, or exceed a limit. The connection is of no further
/// use, because it is unknown where the next operation begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// A control line is longer than [`MAX_CONTROL_LINE`].
    LineTooLong,
    /// A control line begins with no known operation; this is the line.
    UnknownOperation(String),
    /// The arguments of an operation are not as they must be.
    Arguments {
        /// The operation.
        op: &'static str,
        /// What is wrong with them.
        problem: &'static str,
        /// The arguments.
        line: String,
    },
    /// A message is larger than the limit set for the parser.
    PayloadTooLarge {
        /// Size of headers and payload, in bytes.
        size: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A payload is not followed by a line end, so its stated size is wrong.
    PayloadEnd,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NATS protocol error: ")?;
        match self {
            Self::LineTooLong => write!(f, "a control line exceeds {MAX_CONTROL_LINE} bytes"),
            Self::UnknownOperation(line) => {
                write!(
                    f,
                    "unknown operation \"{line}\": is this the client port of a NATS server?"
                )
            }
            Self::Arguments { op, problem, line } => write!(f, "{op} {problem} in \"{line}\""),
            Self::PayloadTooLarge { size, limit } => {
                write!(
                    f,
                    "a message of {size} bytes exceeds the limit of {limit} bytes"
                )
            }
            Self::PayloadEnd => f.write_str("a payload does not end where its size says"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// Takes operations off the front of what a server sent.
///
/// It holds no bytes, only how far it has looked, so that a message arriving in many
/// pieces is looked at once and not once per piece.
#[derive(Clone, Debug)]
pub struct Parser {
    max_payload: usize,
    /// Bytes at the front that are known to hold no line end.
    scanned: usize,
    /// Bytes that must be there before looking again is of use.
    needed: usize,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            max_payload: MAX_PAYLOAD,
            scanned: 0,
            needed: 0,
        }
    }
}

impl Parser {
    /// A parser that accepts messages of up to `bytes` bytes, headers included.
    pub fn with_max_payload(bytes: usize) -> Self {
        Self {
            max_payload: bytes,
            ..Self::default()
        }
    }

    /// The operation at the front of the input and the number of bytes that it takes
    /// there; `None` if more bytes are needed.
    ///
    /// The input is everything that was received and not yet taken. After `None` the same
    /// bytes must be given again with more behind them.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] if the bytes are no NATS protocol or exceed a limit; the
    /// connection must then be closed. Where the input is cut has no influence.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<Option<(usize, Op<'a>)>, ProtocolError> {
        if input.len() < self.needed {
            return Ok(None);
        }
        let searched = &input[..input.len().min(MAX_CONTROL_LINE)];
        let scanned = self.scanned.min(searched.len());
        let found = searched[scanned..].iter().position(|&b| b == b'\n');
        let Some(line_end) = found.map(|at| scanned + at) else {
            if searched.len() == MAX_CONTROL_LINE {
                return Err(ProtocolError::LineTooLong);
            }
            self.scanned = searched.len();
            self.needed = searched.len() + 1;
            return Ok(None);
        };

        let line = trim_end(&input[..line_end]);
        let (verb, rest) = next_field(line);
        let head = line_end + 1;
        let mut upper = [0; 4];
        let op = match upper_case(verb, &mut upper) {
            b"MSG" => return self.message(input, head, false, rest),
            b"HMSG" => return self.message(input, head, true, rest),
            b"PING" => no_arguments(Op::Ping, rest)?,
            b"PONG" => no_arguments(Op::Pong, rest)?,
            b"+OK" => no_arguments(Op::Ok, rest)?,
            b"-ERR" => Op::Err(unquote(rest)),
            b"INFO" => Op::Info(rest),
            _ => return Err(ProtocolError::UnknownOperation(printable(line))),
        };
        self.taken();
        Ok(Some((head, op)))
    }

    fn message<'a>(
        &mut self,
        input: &'a [u8],
        head: usize,
        with_headers: bool,
        rest: &'a [u8],
    ) -> Result<Option<(usize, Op<'a>)>, ProtocolError> {
        let arguments = Arguments::parse(with_headers, rest)?;
        if arguments.size > self.max_payload as u64 {
            return Err(ProtocolError::PayloadTooLarge {
                size: arguments.size,
                limit: self.max_payload,
            });
        }
        // Both fit: they are at most the limit, which is a usize.
        let size = arguments.size as usize;
        let header_size = arguments.header_size as usize;
        let total = head.saturating_add(size).saturating_add(2);
        if input.len() < total {
            self.scanned = head - 1;
            self.needed = total;
            return Ok(None);
        }
        let (body, end) = input[head..total].split_at(size);
        if end != b"\r\n" {
            return Err(ProtocolError::PayloadEnd);
        }
        let (headers, payload) = body.split_at(header_size);
        self.taken();
        let message = Message {
            sid: arguments.sid,
            subject: arguments.subject,
            reply: arguments.reply,
            status: status(headers),
            headers,
            payload,
        };
        Ok(Some((total, Op::Message(message))))
    }

    fn taken(&mut self) {
        self.scanned = 0;
        self.needed = 0;
    }
}

/// The arguments of `MSG <subject> <sid> [reply-to] <size>` and
/// `HMSG <subject> <sid> [reply-to] <header size> <size>`.
struct Arguments<'a> {
    subject: &'a [u8],
    sid: u64,
    reply: Option<&'a [u8]>,
    /// At most `size`.
    header_size: u64,
    size: u64,
}

impl<'a> Arguments<'a> {
    fn parse(with_headers: bool, line: &'a [u8]) -> Result<Self, ProtocolError> {
        let op = if with_headers { "HMSG" } else { "MSG" };
        let wrong = |problem| ProtocolError::Arguments {
            op,
            problem,
            line: printable(line),
        };

        let (subject, rest) = next_field(line);
        let (sid, rest) = next_field(rest);
        let (third, rest) = next_field(rest);
        let (fourth, rest) = next_field(rest);
        let (fifth, rest) = next_field(rest);
        if !rest.is_empty() {
            return Err(wrong("has too many arguments"));
        }
        let (reply, header_size, size) = match (with_headers, fourth, fifth) {
            (false, b"", _) => (None, None, third),
            (false, _, b"") => (Some(third), None, fourth),
            (false, _, _) => return Err(wrong("has too many arguments")),
            (true, _, b"") => (None, Some(third), fourth),
            (true, _, _) => (Some(third), Some(fourth), fifth),
        };
        if size.is_empty() {
            return Err(wrong("has too few arguments"));
        }
        let sid = decimal(sid).ok_or_else(|| wrong("has a bad subscription number"))?;
        let size = decimal(size).ok_or_else(|| wrong("has a bad size"))?;
        let header_size = match header_size {
            Some(digits) => decimal(digits).ok_or_else(|| wrong("has a bad header size"))?,
            None => 0,
        };
        if header_size > size {
            return Err(wrong("has headers larger than the message"));
        }
        Ok(Self {
            subject,
            sid,
            reply,
            header_size,
            size,
        })
    }
}

/// The field at the front, and what follows the white space behind it.
///
/// White space in front is not skipped: there is none where fields were taken before, and
/// at the start of a line it is an error.
fn next_field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(end) = line.iter().position(|&b| is_space(b)) else {
        return (line, b"");
    };
    let (field, rest) = line.split_at(end);
    let start = rest
        .iter()
        .position(|&b| !is_space(b))
        .unwrap_or(rest.len());
    (field, &rest[start..])
}

fn is_space(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// The line without the carriage return of its end and white space before that.
fn trim_end(line: &[u8]) -> &[u8] {
    let mut line = line.strip_suffix(b"\r").unwrap_or(line);
    while let [front @ .., last] = line
        && is_space(*last)
    {
        line = front;
    }
    line
}

/// The verb in capital letters, or nothing if it is too long to be one.
fn upper_case<'a>(verb: &[u8], into: &'a mut [u8; 4]) -> &'a [u8] {
    match into.get_mut(..verb.len()) {
        Some(upper) => {
            upper.copy_from_slice(verb);
            upper.make_ascii_uppercase();
            upper
        }
        None => b"",
    }
}

fn no_arguments<'a>(op: Op<'a>, rest: &[u8]) -> Result<Op<'a>, ProtocolError> {
    if rest.is_empty() {
        return Ok(op);
    }
    Err(ProtocolError::Arguments {
        op: op.name(),
        problem: "has arguments",
        line: printable(rest),
    })
}

fn unquote(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"'")
        .and_then(|text| text.strip_suffix(b"'"))
        .unwrap_or(text)
}

/// A number of digits only; `None` if it is empty or does not fit.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The three digits behind the version in `NATS/1.0 503 No Responders`.
///
/// Publishers write headers as they like, so that anything else is no error, just no
/// status.
pub fn status(headers: &[u8]) -> Option<u16> {
    let rest = headers.strip_prefix(b"NATS/1.0")?;
    let start = rest.iter().position(|&b| !is_space(b))?;
    if start == 0 {
        return None;
    }
    let (code, behind) = rest[start..].split_at_checked(3)?;
    if !behind.first().is_none_or(u8::is_ascii_whitespace) {
        return None;
    }
    decimal(code).and_then(|code| u16::try_from(code).ok())
}
