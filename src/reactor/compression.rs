//! permessage-deflate on the loop: which connections agree on it, and which messages are
//! compressed for them.

use std::ops::RangeInclusive;
use std::rc::Rc;

use super::output::Piece;
use crate::gateway::{Message, SharedAnswer};
use crate::http::Head;
use crate::ws::extension::{Agreement, negotiate};
use crate::ws::{Deflater, Inflater};

/// Lengths of the messages that are compressed, in bytes. A shorter one fits in the same
/// packet as it is; a longer one would hold up all clients for more than about 20 ms.
pub(crate) const LENGTHS: RangeInclusive<usize> = 160..=4 << 20;

/// Bytes that are compressed in one turn before no more input is taken, about 5 ms.
pub(crate) const TURN_BUDGET: usize = 1 << 20;

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

    /// A message in the form for a connection with what it agreed on.
    pub(super) fn piece(&mut self, message: Rc<Message>, agreed: Option<Agreement>) -> Piece {
        match self.pack(&message, agreed) {
            true => Piece::Packed(message),
            false => Piece::Message(message),
        }
    }

    /// The same for an answer. Its tail is not compressed, so that the body is for all.
    pub(super) fn answer(&mut self, answer: SharedAnswer, agreed: Option<Agreement>) -> Piece {
        match self.pack(answer.body(), agreed) {
            true => Piece::PackedAnswer(answer),
            false => Piece::Answer(answer),
        }
    }

    /// Whether a message leaves in its compressed form. That is made for the first
    /// receiver, the others share it.
    fn pack(&mut self, message: &Message, agreed: Option<Agreement>) -> bool {
        let length = message.text().len();
        if agreed.is_none_or(|agreed| length > agreed.longest()) || !LENGTHS.contains(&length) {
            return false;
        }
        let (deflater, left) = (&mut self.deflater, &mut self.left);
        let packed = message.pack(|text| {
            *left = left.saturating_sub(text.len());
            deflater.deflate(text)
        });
        packed.is_some()
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
                matches!(compression.piece(message.clone(), agreed), Piece::Packed(_))
            });
            assert!(!forms[1] && forms[0] == forms[2]);
            assert_eq!(message.packed().is_some(), forms[0]);
            forms[0]
        };
        assert!(!kind(&[b'a'; 159]));
        assert!(kind(&[b'a'; 160]));
        assert!(kind(&vec![b'a'; 4 << 20]));
        assert!(!kind(&vec![b'a'; (4 << 20) + 1]));
        // Nothing to gain.
        let noise: Vec<u8> = (0..200u32).map(|i| (i * 167 % 256) as u8).collect();
        assert!(!kind(&noise));

        let message = Message::new(&[b'x'; 500]);
        compression.piece(message.clone(), packed);
        let first = message.packed().unwrap().as_ptr();
        compression.piece(message.clone(), packed);
        assert_eq!(message.packed().unwrap().as_ptr(), first);
    }

    #[test]
    fn a_shared_answer_is_compressed_once() {
        let mut compression = Compression::new(true);
        let packed = negotiate([&b"permessage-deflate"[..]].into_iter());
        let body = Message::new(&[b'x'; 500]);
        for id in 0..3 {
            let piece = compression.answer(SharedAnswer::new(body.clone(), id), packed);
            assert!(matches!(piece, Piece::PackedAnswer(_)));
            let piece = compression.answer(SharedAnswer::new(body.clone(), id), None);
            assert!(matches!(piece, Piece::Answer(_)));
        }
        assert_eq!(compression.left, TURN_BUDGET - 500);
        let short = SharedAnswer::new(Message::new(&[b'x'; 100]), 1);
        let piece = compression.answer(short, packed);
        assert!(matches!(piece, Piece::Answer(_)));
    }

    #[test]
    fn a_turn_compresses_so_much_and_then_takes_no_input() {
        let mut compression = Compression::new(true);
        let packed = negotiate([&b"permessage-deflate"[..]].into_iter());
        let message = Message::new(&vec![b'x'; TURN_BUDGET / 2]);
        for _ in 0..10 {
            compression.piece(message.clone(), packed);
            assert!(compression.has_budget());
        }
        compression.piece(Message::new(&vec![b'x'; TURN_BUDGET]), packed);
        assert!(!compression.has_budget());
        compression.begin_turn();
        assert!(compression.has_budget());
    }

    #[test]
    fn what_may_refer_too_far_back_stays_plain() {
        let mut compression = Compression::new(true);
        let offer = &b"permessage-deflate; server_max_window_bits=9"[..];
        let small = negotiate([offer].into_iter());
        for (length, is_packed) in [(512, true), (513, false)] {
            let message = Message::new(&vec![b'x'; length]);
            let piece = compression.piece(message.clone(), small);
            assert_eq!(matches!(piece, Piece::Packed(_)), is_packed, "{length}");
        }
    }
}
