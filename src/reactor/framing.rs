//! How texts leave: what a transport puts around them, and which form of them it sends.
//!
//! This is all that the output code has to know of transports. The [`Framing`] is a
//! property of a connection; it gives each text its [`Envelope`], which stands in the queue
//! beside the text, and what is sealed once for many receivers is kept by framing. Another
//! transport is a variant of both, and of the connection's phase.

use super::compression::Compression;
use crate::gateway::{Encoding, Message, SharedAnswer, Tag};
use crate::ws::deflate::{END_COST, write_end};
use crate::ws::extension::Agreement;
use crate::ws::frame;

/// How the texts of one connection leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// As text frames of a WebSocket, compressed if the two sides agreed on that.
    WebSocket(Option<Agreement>),
    /// As events of a stream (the HTML standard, "Server-sent events").
    Events(Chunking),
}

/// How the end of an HTTP body shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunking {
    /// It is made of chunks, the last of which is empty (HTTP/1.1).
    Chunked,
    /// The connection ends with it (HTTP/1.0).
    Plain,
}

impl Framing {
    /// What a text leaves in: a whole message, or the body of an answer. Its encoded form
    /// is made now, if it is to leave in one and has none yet.
    pub(super) fn envelope(self, text: &Message, compression: &mut Compression) -> Envelope {
        match self {
            Framing::WebSocket(Some(agreed)) if compression.deflate(text, agreed.longest()) => {
                Envelope::DeflatedFrame
            }
            Framing::WebSocket(_) => Envelope::TextFrame,
            Framing::Events(chunking) => Envelope::Event(chunking),
        }
    }

    /// What asks the other side whether it is there, in the words of the transport; `None` for
    /// one that has no such question.
    pub(super) fn ping(self) -> Option<&'static [u8]> {
        match self {
            Framing::WebSocket(_) => Some(&frame::PING),
            Framing::Events(Chunking::Chunked) => Some(b"3\r\n:\n\n\r\n"),
            Framing::Events(Chunking::Plain) => Some(b":\n\n"),
        }
    }

    /// What tells the other side, behind all that was sent, what it can come back with; `None`
    /// for a transport by which nobody comes back.
    pub(super) fn rest(self, tag: Tag) -> Option<Vec<u8>> {
        let Framing::Events(chunking) = self else {
            return None;
        };
        // An event without data is none, and its ID counts all the same.
        let mut text = b"id:".to_vec();
        text.extend_from_slice(&tag.text());
        text.extend_from_slice(EVENT_END);
        let mut out = Vec::new();
        chunking.write(&text, &mut out);
        Some(out)
    }

    /// Whether the other side answers that. If not, it is gone when it takes no more.
    pub(super) fn is_answered(self) -> bool {
        matches!(self, Framing::WebSocket(_))
    }

    /// What says to the other side that nothing follows, in the words of the transport;
    /// `None` for one that has none. Whether there is an answer to it is as with a ping.
    pub(super) fn goodbye(self, code: Option<u16>, reason: &str) -> Option<Vec<u8>> {
        match self {
            Framing::WebSocket(_) => {
                let mut close = Vec::new();
                frame::write_close(code, reason, &mut close);
                Some(close)
            }
            Framing::Events(Chunking::Chunked) => Some(b"0\r\n\r\n".into()),
            Framing::Events(Chunking::Plain) => None,
        }
    }
}

/// What one text leaves in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    /// A text frame of a WebSocket.
    TextFrame,
    /// The same, compressed. The text has the form that this needs.
    DeflatedFrame,
    /// An event of a stream. It says that the client has not what the ID of an earlier one
    /// stands for any more.
    Event(Chunking),
    /// The first event of a stream, behind its ID.
    FirstEvent(Chunking),
}

/// The most bytes before a text: those before an event.
pub(super) const HEADER_MAX: usize = LENGTH_MAX + EVENT.len();

/// The most bytes behind a text.
pub(super) const TRAILER_MAX: usize = SharedAnswer::TAIL_MAX + END_COST;

/// Bytes of the length of a chunk, and of the line's end.
const LENGTH_MAX: usize = 2 * size_of::<usize>() + LINE_END.len();

const LINE_END: &[u8] = b"\r\n";

/// What stands before the text of an event. The empty ID means that there is none to come back
/// with, until the client is told one at rest.
const EVENT: &[u8] = b"id:\ndata:";

/// The same of the first event, whose ID stands before it.
const FIRST_EVENT: &[u8] = b"data:";

/// What stands behind it. Texts are compact JSON, and have no line ends in them.
const EVENT_END: &[u8] = b"\n\n";

/// What begins a stream: the milliseconds after which to come back when it has ended, and the
/// ID of the event that follows, or that the client has already.
pub(super) fn begin_events(chunking: Chunking, tag: Tag, has_set: bool, out: &mut Vec<u8>) {
    let mut text = b"retry:2000\nid:".to_vec();
    text.extend_from_slice(&tag.text());
    text.push(b'\n');
    if !has_set {
        text.push(b'\n');
    }
    chunking.write(&text, out);
}

/// Writes the line before a chunk of so many bytes to the beginning of `room`; where it ends.
fn chunk_header(length: usize, room: &mut [u8; HEADER_MAX]) -> usize {
    let digits = chunk_digits(length);
    for (place, byte) in room[..digits].iter_mut().enumerate() {
        let digit = (length >> (4 * (digits - 1 - place)) & 15) as u8;
        *byte = match digit {
            0..=9 => b'0' + digit,
            _ => b'a' + digit - 10,
        };
    }
    room[digits..digits + LINE_END.len()].copy_from_slice(LINE_END);
    digits + LINE_END.len()
}

/// Writes what stands before an event whose text, and what is behind it, have so many bytes.
fn event_header(
    chunking: Chunking,
    before: &[u8],
    length: usize,
    room: &mut [u8; HEADER_MAX],
) -> usize {
    let start = match chunking {
        // The end of the chunk's line is not in the chunk.
        Chunking::Chunked => chunk_header(before.len() + length - LINE_END.len(), room),
        Chunking::Plain => 0,
    };
    room[start..start + before.len()].copy_from_slice(before);
    start + before.len()
}

/// Hexadecimal digits of the length of a chunk.
fn chunk_digits(length: usize) -> usize {
    (usize::BITS - length.leading_zeros()).div_ceil(4).max(1) as usize
}

impl Chunking {
    /// Appends a part of the body.
    fn write(self, text: &[u8], out: &mut Vec<u8>) {
        let mut room = [0; HEADER_MAX];
        if self == Chunking::Chunked {
            let end = chunk_header(text.len(), &mut room);
            out.extend_from_slice(&room[..end]);
        }
        out.extend_from_slice(text);
        if self == Chunking::Chunked {
            out.extend_from_slice(LINE_END);
        }
    }

    /// Bytes of what stands before an event, which begins with `before`; see [`event_header`].
    fn header_len(self, before: &[u8], length: usize) -> usize {
        let line = match self {
            Chunking::Chunked => {
                chunk_digits(before.len() + length - LINE_END.len()) + LINE_END.len()
            }
            Chunking::Plain => 0,
        };
        line + before.len()
    }
}

impl Envelope {
    /// Bytes on the wire of a text that has `body` of them in the form that is sent, and `end`
    /// behind it. Many are queued for each that is written alone, so nothing is made for it.
    #[inline]
    pub(super) fn len(self, body: usize, end: usize) -> usize {
        let length = body + self.trailer_len(end);
        let header = match self {
            Envelope::TextFrame | Envelope::DeflatedFrame => frame::header_len(length),
            Envelope::Event(chunking) => chunking.header_len(EVENT, length),
            Envelope::FirstEvent(chunking) => chunking.header_len(FIRST_EVENT, length),
        };
        header + length
    }

    /// Bytes of [`trailer`](Self::trailer) for so many of `end`.
    #[inline]
    pub(super) fn trailer_len(self, end: usize) -> usize {
        match self {
            Envelope::DeflatedFrame if end > 0 => end + END_COST,
            Envelope::TextFrame | Envelope::DeflatedFrame => end,
            Envelope::Event(Chunking::Plain) | Envelope::FirstEvent(Chunking::Plain) => {
                end + EVENT_END.len()
            }
            Envelope::Event(Chunking::Chunked) | Envelope::FirstEvent(Chunking::Chunked) => {
                end + EVENT_END.len() + LINE_END.len()
            }
        }
    }

    /// What stands before a text: the form that is sent of it and what stands behind that
    /// have `length` bytes. It is written to the beginning of `room`.
    #[inline]
    pub(super) fn header(self, length: usize, room: &mut [u8; HEADER_MAX]) -> &[u8] {
        let end = match self {
            Envelope::TextFrame => text_frame(length, room),
            Envelope::DeflatedFrame => {
                let end = text_frame(length, room);
                room[0] |= frame::COMPRESSED;
                end
            }
            Envelope::Event(chunking) => event_header(chunking, EVENT, length, room),
            Envelope::FirstEvent(chunking) => event_header(chunking, FIRST_EVENT, length, room),
        };
        &room[..end]
    }

    /// The form of a text that is sent.
    #[inline]
    pub(super) fn body(self, text: &Message) -> &[u8] {
        match self {
            Envelope::TextFrame | Envelope::Event(_) | Envelope::FirstEvent(_) => text.text(),
            Envelope::DeflatedFrame => text.encoded_as(Encoding::Deflate).unwrap_or_default(),
        }
    }

    /// What stands behind a text: `end`, which an answer has beside its shared body, and
    /// what belongs to the envelope. It is written to the beginning of `room`.
    #[inline]
    pub(super) fn trailer<'r>(self, end: &[u8], room: &'r mut [u8; TRAILER_MAX]) -> &'r [u8] {
        match self {
            Envelope::DeflatedFrame if end.is_empty() => &[],
            Envelope::DeflatedFrame => write_end(end, room),
            Envelope::TextFrame => {
                room[..end.len()].copy_from_slice(end);
                &room[..end.len()]
            }
            Envelope::Event(chunking) | Envelope::FirstEvent(chunking) => {
                let mut length = 0;
                let chunk_end = match chunking {
                    Chunking::Chunked => LINE_END,
                    Chunking::Plain => &[],
                };
                for part in [end, EVENT_END, chunk_end] {
                    room[length..length + part.len()].copy_from_slice(part);
                    length += part.len();
                }
                &room[..length]
            }
        }
    }

    /// Appends a whole message as it leaves.
    pub(super) fn write(self, message: &Message, out: &mut Vec<u8>) {
        let (mut header, mut trailer) = ([0; HEADER_MAX], [0; TRAILER_MAX]);
        let (body, trailer) = (self.body(message), self.trailer(&[], &mut trailer));
        out.extend_from_slice(self.header(body.len() + trailer.len(), &mut header));
        out.extend_from_slice(body);
        out.extend_from_slice(trailer);
    }
}

/// Writes the header of a text frame to the beginning of `room`; where it ends.
#[inline]
fn text_frame(length: usize, room: &mut [u8; HEADER_MAX]) -> usize {
    match room.first_chunk_mut() {
        Some(room) => frame::header(frame::Opcode::Text, length, room),
        None => 0,
    }
}

#[cfg(test)]
mod tests;
