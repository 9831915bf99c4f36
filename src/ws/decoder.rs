//! Finds messages and control frames in what the other side sends (RFC 6455, 5 to 8, and
//! RFC 7692, 6): mostly a client, whose frames are masked, else a server.

use std::borrow::Cow;
use std::fmt;

use super::deflate::{InflateError, Inflater};
use super::extension::Agreement;
use super::frame::{COMPRESSED, CONTROL_MAX, Opcode};
use super::{mask, utf8};

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message.
    Message {
        /// Whether it is text, and then valid UTF-8; otherwise it is binary.
        is_text: bool,
        /// What it says: borrowed from the input if it came in one piece and not
        /// compressed.
        data: Cow<'a, [u8]>,
    },
    /// A ping, to be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// The client closes. To be answered by a close frame with the same code; nothing
    /// comes after it.
    Close {
        /// Why; `None` if it does not say.
        code: Option<u16>,
        /// Why, for people.
        reason: &'a str,
    },
}

/// What [`Decoder::next`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// No event is complete.
    NeedMore {
        /// These bytes are taken; the others, fewer than 140, must be given again with
        /// what comes behind them.
        consumed: usize,
    },
    /// An event.
    Event {
        /// The event.
        event: Event<'a>,
        /// The next one begins here.
        consumed: usize,
    },
}

/// How a client broke the protocol. The connection is to be closed with
/// [`close_code`](Self::close_code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A reserved bit is set, and no extension gives it a meaning there.
    ReservedBits,
    /// An opcode without meaning.
    ReservedOpcode,
    /// A control frame that is a fragment.
    FragmentedControl,
    /// A control frame with more than 125 bytes.
    LongControl,
    /// A client's frame that is not masked.
    Unmasked,
    /// A server's frame that is masked.
    Masked,
    /// A length that is not written in the fewest bytes, or has its top bit set.
    Length,
    /// A continuation of nothing.
    UnexpectedContinuation,
    /// A new message before the last one is complete.
    ExpectedContinuation,
    /// A message that is longer than allowed.
    TooBig,
    /// A text message that is not UTF-8.
    Text,
    /// A compressed message that cannot be decompressed.
    Compression,
    /// A close frame with half a code, or with one that must not be sent.
    CloseCode,
    /// A close frame whose reason is not UTF-8.
    CloseReason,
}

impl Violation {
    /// The code for the close frame (RFC 6455, 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Self::ReservedBits
            | Self::ReservedOpcode
            | Self::FragmentedControl
            | Self::LongControl
            | Self::Unmasked
            | Self::Masked
            | Self::Length
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::CloseCode => 1002,
            Self::Text | Self::Compression | Self::CloseReason => 1007,
            Self::TooBig => 1009,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "reserved bit set",
            Self::ReservedOpcode => "reserved opcode",
            Self::FragmentedControl => "fragmented control frame",
            Self::LongControl => "control frame too long",
            Self::Unmasked => "frame not masked",
            Self::Masked => "frame masked",
            Self::Length => "frame length not in its shortest form",
            Self::UnexpectedContinuation => "continuation without a message",
            Self::ExpectedContinuation => "new message within a fragmented one",
            Self::TooBig => "message too big",
            Self::Text => "text message is not UTF-8",
            Self::Compression => "compressed message cannot be read",
            Self::CloseCode => "invalid close code",
            Self::CloseReason => "close reason is not UTF-8",
        })
    }
}

impl std::error::Error for Violation {}

/// Reads what one client sends, or what a server does.
///
/// Between messages it holds nothing; only a message that comes in pieces makes it
/// allocate, and never more than came.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
    is_over: bool,
    /// The other side is a server.
    of_server: bool,
    agreement: Option<Agreement>,
}

impl Decoder {
    /// A decoder for a connection that has just been made, with what it agreed on.
    pub fn new(agreement: Option<Agreement>) -> Self {
        Self {
            agreement,
            ..Self::default()
        }
    }

    /// A decoder for what a server sends, with which no extension was agreed on.
    pub fn of_server() -> Self {
        Self {
            of_server: true,
            ..Self::default()
        }
    }

    /// What the connection agreed on.
    pub fn agreement(&self) -> Option<Agreement> {
        self.agreement
    }

    /// Reads on in `input`, which is unmasked in place; so bytes in front of `consumed`
    /// change. Messages of more than `limit` bytes are refused as soon as they say so, or
    /// as soon as so much is decompressed. `inflater` may serve many connections.
    ///
    /// # Errors
    ///
    /// Says what the client did wrong. After that, as after a close event, all further
    /// input is taken and ignored.
    pub fn next<'a>(
        &mut self,
        input: &'a mut [u8],
        limit: usize,
        inflater: &mut Inflater,
    ) -> Result<Step<'a>, Violation> {
        if self.is_over {
            return Ok(Step::NeedMore {
                consumed: input.len(),
            });
        }
        let result = self.advance(input, limit, inflater);
        let is_close = |step: &Step<'_>| {
            matches!(
                step,
                Step::Event {
                    event: Event::Close { .. },
                    ..
                }
            )
        };
        if result.as_ref().map_or(true, is_close) {
            self.is_over = true;
            self.partial = None;
        }
        result
    }

    /// Bytes of memory that the beginning of a message takes.
    pub fn held(&self) -> usize {
        let partial = self.partial.as_ref();
        partial.map_or(0, |partial| partial.data.capacity())
    }

    /// Whether the client is in the middle of a message, as far as the decoder took it.
    pub fn is_partial(&self) -> bool {
        self.partial.is_some()
    }

    fn advance<'a>(
        &mut self,
        input: &'a mut [u8],
        limit: usize,
        inflater: &mut Inflater,
    ) -> Result<Step<'a>, Violation> {
        let mut consumed = 0;
        loop {
            if let Some(partial) = &mut self.partial {
                consumed += partial.take(&mut input[consumed..])?;
                match partial.progress {
                    Progress::Payload(_) => return Ok(Step::NeedMore { consumed }),
                    Progress::NextFragment => {}
                    Progress::Complete => break,
                }
            }
            let input_left = &input[consumed..];
            let partial = self.partial.as_deref();
            let deflates = self.agreement.is_some();
            let Some(frame) =
                FrameHead::parse(input_left, partial, limit, deflates, self.of_server)?
            else {
                return Ok(Step::NeedMore { consumed });
            };
            let start = consumed + frame.length;
            let end = start + frame.payload;
            if input.len() >= end && (frame.opcode.is_control() || frame.is_whole()) {
                let payload = &mut input[start..end];
                mask::unmask(payload, frame.key);
                let event = match frame.is_compressed {
                    true => inflate(frame.opcode == Opcode::Text, payload, limit, inflater)?,
                    false => event(frame.opcode, payload)?,
                };
                return Ok(Step::Event {
                    event,
                    consumed: end,
                });
            }
            if frame.opcode.is_control() {
                return Ok(Step::NeedMore { consumed });
            }
            self.partial
                .get_or_insert_with(|| Box::new(Partial::new(&frame)))
                .progress = Progress::Payload(Payload {
                key: frame.key,
                remaining: frame.payload,
                is_final: frame.is_final,
            });
            consumed = start;
        }
        let Some(partial) = self.partial.take() else {
            return Ok(Step::NeedMore { consumed });
        };
        Ok(Step::Event {
            event: partial.finish(limit, inflater)?,
            consumed,
        })
    }
}

/// What a frame says before its payload.
struct FrameHead {
    opcode: Opcode,
    is_final: bool,
    is_compressed: bool,
    key: [u8; 4],
    /// Bytes of this head.
    length: usize,
    /// Bytes of the payload.
    payload: usize,
}

impl FrameHead {
    /// Reads the head of a frame, `None` if it is incomplete; what is wrong is said at
    /// the first byte that shows it.
    ///
    /// `held` is the fragmented message that the frame comes within.
    fn parse(
        input: &[u8],
        held: Option<&Partial>,
        limit: usize,
        deflates: bool,
        of_server: bool,
    ) -> Result<Option<Self>, Violation> {
        let Some(&first) = input.first() else {
            return Ok(None);
        };
        let is_compressed = first & COMPRESSED != 0;
        if first & 0x30 != 0 || is_compressed && !deflates {
            return Err(Violation::ReservedBits);
        }
        let is_final = first & 0x80 != 0;
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::ReservedOpcode)?;
        match (opcode, held) {
            (opcode, _) if opcode.is_control() && !is_final => {
                return Err(Violation::FragmentedControl);
            }
            (opcode, _) if is_compressed && !opcode.begins_message() => {
                return Err(Violation::ReservedBits);
            }
            (Opcode::Continuation, None) => return Err(Violation::UnexpectedContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::ExpectedContinuation);
            }
            _ => {}
        }

        let Some(&second) = input.get(1) else {
            return Ok(None);
        };
        match (second & 0x80 != 0, of_server) {
            (false, false) => return Err(Violation::Unmasked),
            (true, true) => return Err(Violation::Masked),
            _ => {}
        }
        let (payload, key_start) = match (second & 0x7f, &input[2..]) {
            (126.., _) if opcode.is_control() => return Err(Violation::LongControl),
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10)
            }
            (126.., _) => return Ok(None),
            (short, _) => (u64::from(short), 2),
        };
        let least = match key_start {
            4 => CONTROL_MAX as u64 + 1,
            10 => 0x1_0000,
            _ => 0,
        };
        if payload < least || payload > i64::MAX as u64 {
            return Err(Violation::Length);
        }
        let limit = match is_compressed || held.is_some_and(|held| held.is_compressed) {
            true => compressed_limit(limit),
            false => limit,
        };
        let space = limit.saturating_sub(held.map_or(0, |held| held.data.len())) as u64;
        if payload > space && !opcode.is_control() {
            return Err(Violation::TooBig);
        }

        let (key, length) = match input.get(key_start..key_start + 4) {
            // A mask of zeros leaves everything as it is.
            _ if of_server => ([0; 4], key_start),
            Some(&[a, b, c, d]) => ([a, b, c, d], key_start + 4),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            opcode,
            is_final,
            is_compressed,
            key,
            length,
            // Not above the limit, which is one.
            payload: payload as usize,
        }))
    }

    /// Whether the frame is a message of its own.
    fn is_whole(&self) -> bool {
        self.is_final && self.opcode != Opcode::Continuation
    }
}

/// How long the compressed form of a message may be: as long as the message, and what
/// the algorithm adds to what it cannot compress.
fn compressed_limit(limit: usize) -> usize {
    limit + limit / 256 + 64
}

/// Makes the event of a compressed message.
fn inflate(
    is_text: bool,
    payload: &[u8],
    limit: usize,
    inflater: &mut Inflater,
) -> Result<Event<'static>, Violation> {
    let data = inflater
        .inflate(payload, limit)
        .map_err(|error| match error {
            InflateError::TooBig => Violation::TooBig,
            InflateError::Corrupt => Violation::Compression,
        })?;
    if is_text && str::from_utf8(&data).is_err() {
        return Err(Violation::Text);
    }
    Ok(Event::Message {
        is_text,
        data: Cow::Owned(data),
    })
}

/// Makes the event of a frame that is complete and stands for itself.
fn event(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, Violation> {
    Ok(match opcode {
        Opcode::Text if str::from_utf8(payload).is_err() => return Err(Violation::Text),
        Opcode::Text | Opcode::Binary | Opcode::Continuation => Event::Message {
            is_text: opcode == Opcode::Text,
            data: Cow::Borrowed(payload),
        },
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        Opcode::Close => match payload {
            [] => Event::Close {
                code: None,
                reason: "",
            },
            [a, b, reason @ ..] => {
                let code = u16::from_be_bytes([*a, *b]);
                if !is_close_code(code) {
                    return Err(Violation::CloseCode);
                }
                Event::Close {
                    code: Some(code),
                    reason: str::from_utf8(reason).map_err(|_| Violation::CloseReason)?,
                }
            }
            [_] => return Err(Violation::CloseCode),
        },
    })
}

/// Whether a close frame may have this code: those of RFC 6455, 7.4.1 that are sent,
/// the three registered since, and those for libraries and applications.
fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A message of which a part has come.
#[derive(Debug)]
struct Partial {
    is_text: bool,
    is_compressed: bool,
    data: Vec<u8>,
    /// How much of a text that is not compressed is known to be UTF-8.
    checked: usize,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    /// Within the payload of a frame.
    Payload(Payload),
    /// Behind a fragment that is not the last.
    NextFragment,
    /// Behind the last one.
    Complete,
}

#[derive(Clone, Copy, Debug)]
struct Payload {
    /// The key, turned for the next byte.
    key: [u8; 4],
    remaining: usize,
    is_final: bool,
}

impl Partial {
    fn new(first: &FrameHead) -> Self {
        Self {
            is_text: first.opcode == Opcode::Text,
            is_compressed: first.is_compressed,
            data: Vec::new(),
            checked: 0,
            progress: Progress::NextFragment,
        }
    }

    /// Takes what `input` has of the current payload, and gives how many bytes that is.
    fn take(&mut self, input: &mut [u8]) -> Result<usize, Violation> {
        let Progress::Payload(payload) = &mut self.progress else {
            return Ok(0);
        };
        let count = payload.remaining.min(input.len());
        let part = &mut input[..count];
        mask::unmask(part, payload.key);
        self.data.extend_from_slice(part);
        if self.is_text && !self.is_compressed {
            self.checked = utf8::check(&self.data, self.checked).map_err(|_| Violation::Text)?;
        }
        payload.key = mask::rotate(payload.key, count);
        payload.remaining -= count;
        if payload.remaining == 0 {
            self.progress = match payload.is_final {
                true => Progress::Complete,
                false => Progress::NextFragment,
            };
        }
        Ok(count)
    }

    fn finish<'a>(self, limit: usize, inflater: &mut Inflater) -> Result<Event<'a>, Violation> {
        if self.is_compressed {
            return inflate(self.is_text, &self.data, limit, inflater);
        }
        if self.is_text && self.checked < self.data.len() {
            return Err(Violation::Text);
        }
        Ok(Event::Message {
            is_text: self.is_text,
            data: Cow::Owned(self.data),
        })
    }
}

#[cfg(test)]
mod tests;
