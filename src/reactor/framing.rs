//! How texts leave: what a transport puts around them, and which form of them it sends.
//!
//! This is all that the output code has to know of transports. The [`Framing`] is a
//! property of a connection; it gives each text its [`Envelope`], which stands in the queue
//! beside the text, and what is sealed once for many receivers is kept by framing. Another
//! transport is a variant of both, and of the connection's phase.

use super::compression::Compression;
use crate::gateway::{Encoding, Message, SharedAnswer};
use crate::ws::deflate::{END_COST, write_end};
use crate::ws::extension::Agreement;
use crate::ws::frame;

/// How the texts of one connection leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// As text frames of a WebSocket, compressed if the two sides agreed on that.
    WebSocket(Option<Agreement>),
    /// As lines: the second framing of the tests, with something around each text.
    #[cfg(test)]
    Lines,
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
            #[cfg(test)]
            Framing::Lines => Envelope::Line,
        }
    }

    /// What asks the other side whether it is there, in the words of the transport; `None` for
    /// one that has no such question.
    pub(super) fn ping(self) -> Option<&'static [u8]> {
        match self {
            Framing::WebSocket(_) => Some(&frame::PING),
            #[cfg(test)]
            Framing::Lines => None,
        }
    }

    /// What says to the other side that nothing follows, in the words of the transport;
    /// `None` for one that has none, and then no answer to it is to be awaited.
    pub(super) fn goodbye(self, code: Option<u16>, reason: &str) -> Option<Vec<u8>> {
        match self {
            Framing::WebSocket(_) => {
                let mut close = Vec::new();
                frame::write_close(code, reason, &mut close);
                Some(close)
            }
            #[cfg(test)]
            Framing::Lines => None,
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
    /// A line with a mark.
    #[cfg(test)]
    Line,
}

/// The most bytes before a text.
pub(super) const HEADER_MAX: usize = frame::HEADER_MAX;

/// The most bytes behind a text.
pub(super) const TRAILER_MAX: usize = SharedAnswer::TAIL_MAX + END_COST;

impl Envelope {
    /// What stands before a text: the form that is sent of it and what stands behind that
    /// have `length` bytes. It is written to the beginning of `room`.
    #[inline]
    pub(super) fn header(self, length: usize, room: &mut [u8; HEADER_MAX]) -> &[u8] {
        let end = match self {
            Envelope::TextFrame => frame::header(frame::Opcode::Text, length, room),
            Envelope::DeflatedFrame => {
                let end = frame::header(frame::Opcode::Text, length, room);
                room[0] |= frame::COMPRESSED;
                end
            }
            #[cfg(test)]
            Envelope::Line => {
                room[..LINE_MARK.len()].copy_from_slice(LINE_MARK);
                LINE_MARK.len()
            }
        };
        &room[..end]
    }

    /// The form of a text that is sent.
    #[inline]
    pub(super) fn body(self, text: &Message) -> &[u8] {
        match self {
            Envelope::TextFrame => text.text(),
            Envelope::DeflatedFrame => text.encoded_as(Encoding::Deflate).unwrap_or_default(),
            #[cfg(test)]
            Envelope::Line => text.text(),
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
            #[cfg(test)]
            Envelope::Line => {
                room[..end.len()].copy_from_slice(end);
                room[end.len()] = b'\n';
                &room[..=end.len()]
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

/// What stands before a line.
#[cfg(test)]
const LINE_MARK: &[u8] = b"json: ";

#[cfg(test)]
mod tests;
