//! Compression on the loop: which WebSockets agree on it, and which texts are compressed.

use std::ops::RangeInclusive;

use crate::gateway::{Encoding, Message, Time};
use crate::http::Head;
use crate::ws::extension::{Agreement, negotiate};
use crate::ws::{Deflater, Inflater, Inflation};

/// Lengths of the messages that are compressed, in bytes. A shorter one fits in the same
/// packet as it is; a longer one would hold up all clients for more than about 3 ms.
pub(crate) const LENGTHS: RangeInclusive<usize> = 160..=512 << 10;

/// Bytes that are compressed in one turn before no more input is taken, about 2.5 ms.
pub(crate) const TURN_BUDGET: usize = 512 << 10;

/// Times by which a client's messages may grow when they are inflated without that it
/// counts.
const RATIO: usize = 20;

/// Bytes by which a client's messages may grow beyond [`RATIO`] in a second.
pub(crate) const EXCESS_RATE: usize = 512 << 10;

/// The same for a client that has sent nothing of the kind for a while.
pub(crate) const EXCESS_MAX: usize = 8 << 20;

/// Milliseconds of a step of [`Inflated`].
const EXCESS_STEP: u64 = 64;

/// What one client's messages have grown by, beyond what honest text does for long. It
/// drains with [`EXCESS_RATE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Inflated {
    /// When it will have drained, in steps since the reactor was made: they last for eight
    /// years.
    drained: u32,
}

impl Inflated {
    /// Counts what was inflated for the client; whether it may go on so.
    pub(super) fn count(&mut self, done: Inflation, now: Time) -> bool {
        let excess = done.message.saturating_sub(RATIO * done.payload);
        if excess == 0 {
            return true;
        }
        let now = (now.0 / EXCESS_STEP) as u32;
        let step = EXCESS_RATE * EXCESS_STEP as usize / 1_000;
        let steps = u32::try_from(excess.div_ceil(step)).unwrap_or(u32::MAX);
        self.drained = self.drained.max(now).saturating_add(steps);
        (self.drained - now) as usize * step <= EXCESS_MAX
    }
}

/// The process's one compressor and one decompressor. They take memory when they are
/// first used.
#[derive(Debug)]
pub(super) struct Compression {
    is_offered: bool,
    /// Of this turn's budget.
    left: usize,
    deflater: Deflater,
    inflater: Inflater,
}

impl Compression {
    /// Compression for clients that ask for it, if it `is_offered` at all.
    pub(super) fn new(is_offered: bool) -> Self {
        Self {
            is_offered,
            left: TURN_BUDGET,
            deflater: Deflater::default(),
            inflater: Inflater::default(),
        }
    }

    /// What an upgrade request's connection agrees on.
    pub(super) fn agree(&self, head: &Head<'_>) -> Option<Agreement> {
        match self.is_offered {
            true => negotiate(head.field_lines("sec-websocket-extensions")),
            false => None,
        }
    }

    /// Decompresses for all connections.
    pub(super) fn inflater(&mut self) -> &mut Inflater {
        &mut self.inflater
    }

    /// Whether a text is to leave compressed, where no more than `longest` bytes may be. The
    /// compressed form is made for its first receiver, the others share it.
    pub(super) fn deflate(&mut self, text: &Message, longest: usize) -> bool {
        let length = text.text().len();
        if length > longest || !LENGTHS.contains(&length) {
            return false;
        }
        let (deflater, left) = (&mut self.deflater, &mut self.left);
        let deflated = text.encode_as(Encoding::Deflate, |text| {
            *left = left.saturating_sub(text.len());
            deflater.deflate(text)
        });
        deflated.is_some()
    }

    /// Begins a turn of the loop.
    pub(super) fn begin_turn(&mut self) {
        self.left = TURN_BUDGET;
    }

    /// Whether this turn has time for messages that must be compressed.
    pub(super) fn has_budget(&self) -> bool {
        self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::framing::{Envelope, Framing};

    #[test]
    fn agrees_only_when_offered() {
        let head = b"GET / HTTP/1.1\r\nHost: h\r\n\
                     Sec-WebSocket-Extensions: foo\r\n\
                     sec-websocket-extensions: permessage-deflate\r\n\r\n";
        let head = Head::parse(head).unwrap();
        assert!(Compression::new(true).agree(&head).is_some());
        assert!(Compression::new(false).agree(&head).is_none());
    }

    #[test]
    fn compresses_once_and_only_what_is_worth_it() {
        let mut compression = Compression::new(true);
        let packed = negotiate([&b"permessage-deflate"[..]].into_iter());
        let mut kind = |text: &[u8]| {
            let message = Message::new(text);
            let forms = [packed, None, packed].map(|agreed| {
                let envelope = Framing::WebSocket(agreed).envelope(&message, &mut compression);
                envelope == Envelope::DeflatedFrame
            });
            assert!(!forms[1] && forms[0] == forms[2]);
            assert_eq!(message.encoded_as(Encoding::Deflate).is_some(), forms[0]);
            forms[0]
        };
        assert!(!kind(&[b'a'; 159]));
        assert!(kind(&[b'a'; 160]));
        assert!(kind(&vec![b'a'; 512 << 10]));
        assert!(!kind(&vec![b'a'; (512 << 10) + 1]));
        // Nothing to gain.
        let noise: Vec<u8> = (0..200u32).map(|i| (i * 167 % 256) as u8).collect();
        assert!(!kind(&noise));

        let message = Message::new(&[b'x'; 500]);
        assert!(compression.deflate(&message, usize::MAX));
        let first = message.encoded_as(Encoding::Deflate).unwrap().as_ptr();
        assert!(compression.deflate(&message, usize::MAX));
        assert_eq!(
            message.encoded_as(Encoding::Deflate).unwrap().as_ptr(),
            first
        );
    }

    #[test]
    fn a_shared_answer_is_compressed_once() {
        let mut compression = Compression::new(true);
        let packed = Framing::WebSocket(negotiate([&b"permessage-deflate"[..]].into_iter()));
        let body = Message::new(&[b'x'; 500]);
        for _ in 0..3 {
            let envelope = packed.envelope(&body, &mut compression);
            assert_eq!(envelope, Envelope::DeflatedFrame);
            let envelope = Framing::WebSocket(None).envelope(&body, &mut compression);
            assert_eq!(envelope, Envelope::TextFrame);
        }
        assert_eq!(compression.left, TURN_BUDGET - 500);
        let short = Message::new(&[b'x'; 100]);
        let envelope = packed.envelope(&short, &mut compression);
        assert_eq!(envelope, Envelope::TextFrame);
    }

    #[test]
    fn a_turn_compresses_so_much_and_then_takes_no_input() {
        let mut compression = Compression::new(true);
        let message = Message::new(&vec![b'x'; TURN_BUDGET / 2]);
        for _ in 0..10 {
            compression.deflate(&message, usize::MAX);
            assert!(compression.has_budget());
        }
        compression.deflate(&Message::new(&vec![b'x'; TURN_BUDGET]), usize::MAX);
        assert!(!compression.has_budget());
        compression.begin_turn();
        assert!(compression.has_budget());
    }

    #[test]
    fn what_may_refer_too_far_back_is_not_compressed() {
        let mut compression = Compression::new(true);
        let offer = &b"permessage-deflate; server_max_window_bits=9"[..];
        let small = negotiate([offer].into_iter());
        for (length, is_packed) in [(512, true), (513, false)] {
            let message = Message::new(&vec![b'x'; length]);
            let envelope = Framing::WebSocket(small).envelope(&message, &mut compression);
            let expected = match is_packed {
                true => Envelope::DeflatedFrame,
                false => Envelope::TextFrame,
            };
            assert_eq!(envelope, expected, "{length}");
        }
    }
}
