//! permessage-deflate on the loop: which connections agree on it, and which messages are
//! compressed for them.

use std::ops::RangeInclusive;
use std::rc::Rc;

use super::output::Piece;
use crate::gateway::Message;
use crate::http::Head;
use crate::ws::extension::{Agreement, negotiate};
use crate::ws::{Deflater, Inflater};

/// Lengths of the messages that are compressed, in bytes. A shorter one fits in the same
/// packet as it is; a longer one would hold up all clients for more than about 20 ms.
const LENGTHS: RangeInclusive<usize> = 160..=4 << 20;

/// The process's one compressor and one decompressor. They take memory when they are
/// first used.
#[derive(Debug)]
pub(super) struct Compression {
    is_offered: bool,
    deflater: Deflater,
    inflater: Inflater,
}

impl Compression {
    /// Compression for clients that ask for it, if it `is_offered` at all.
    pub(super) fn new(is_offered: bool) -> Self {
        Self {
            is_offered,
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

    /// A message in the form for a connection with what it agreed on. It is compressed for the first receiver,
    /// the others share that.
    pub(super) fn piece(&mut self, message: Rc<Message>, agreed: Option<Agreement>) -> Piece {
        let length = message.text().len();
        let is_packed = agreed.is_some_and(|agreed| length <= agreed.longest())
            && LENGTHS.contains(&length)
            && message.pack(|text| self.deflater.deflate(text)).is_some();
        match is_packed {
            true => Piece::Packed(message),
            false => Piece::Message(message),
        }
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
