//! A second framing goes through everything that was made for WebSockets.

use std::io::{self, Write};
use std::rc::Rc;

use super::*;
use crate::gateway::Time;
use crate::reactor::output::{Output, Piece, Written};
use crate::ws::extension::negotiate;

/// A socket that takes `step` bytes a call.
struct Trickle {
    step: usize,
    got: Vec<u8>,
}

impl Write for Trickle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.step.min(bytes.len());
        self.got.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What reaches the wire of a queue, in steps of so many bytes.
fn written(output: &mut Output, step: usize) -> Vec<u8> {
    let mut socket = Trickle {
        step,
        got: Vec::new(),
    };
    let mut scratch = Vec::new();
    while output.write_to(&mut socket, &mut scratch, Time(0)).unwrap() != Written::All {}
    assert_eq!((output.bytes(), output.cost()), (0, 0));
    socket.got
}

fn deflate() -> Framing {
    let agreed = negotiate([&b"permessage-deflate"[..]].into_iter());
    assert!(agreed.is_some());
    Framing::WebSocket(agreed)
}

#[test]
fn texts_leave_in_the_framing_of_their_connection() {
    // From one byte up to bodies that leave from where they are.
    for (length, step) in [(1, 1), (200, 1), (200, 7), (20_000, 997), (20_000, 1 << 20)] {
        let mut compression = Compression::new(true);
        let text = vec![b'a'; length];
        let message = Message::new(&text);
        let answer = SharedAnswer::new(Message::new(&text), 42);
        let mut output = Output::default();
        for _ in 0..2 {
            let envelope = Framing::Lines.envelope(&message, &mut compression);
            output.push(Piece::Message(Rc::clone(&message), envelope), Time(0));
            let envelope = Framing::Lines.envelope(answer.body(), &mut compression);
            output.push(Piece::Answer(answer.clone(), envelope), Time(0));
        }
        let text = String::from_utf8(text).unwrap();
        let expected = format!("json: {text}\njson: {text},\"id\":42}}\n").repeat(2);
        assert_eq!(output.bytes(), expected.len());
        assert!(written(&mut output, step) == expected.as_bytes());
    }
}

#[test]
fn a_shared_body_has_one_form_for_each_framing() {
    let mut compression = Compression::new(true);
    let text = [b'a'; 500];
    let body = Message::new(&text);
    let framings = [deflate(), Framing::Lines, Framing::WebSocket(None)];
    let mut bodies = Vec::new();
    for framing in framings.into_iter().chain(framings) {
        let envelope = framing.envelope(&body, &mut compression);
        bodies.push(envelope.body(&body).as_ptr_range());
    }
    // The second receiver of a framing is sent the same bytes as the first.
    assert_eq!(bodies[..3], bodies[3..]);
    let text = body.text().as_ptr_range();
    let deflated = body.encoded_as(Encoding::Deflate).unwrap().as_ptr_range();
    assert_eq!(bodies[..3], [deflated, text.clone(), text]);
}

#[test]
fn an_answer_ends_in_the_way_of_its_framing() {
    let mut room = [0xee; TRAILER_MAX];
    let end = b",\"id\":18446744073709551615}";
    assert_eq!(end.len(), SharedAnswer::TAIL_MAX);
    assert_eq!(Envelope::TextFrame.trailer(end, &mut room), end);
    let line = [&end[..], b"\n"].concat();
    assert_eq!(Envelope::Line.trailer(end, &mut room), line);
    let length = end.len() as u8;
    let block = [&[length, 0, !length, 0xff][..], end, &[0]].concat();
    assert_eq!(Envelope::DeflatedFrame.trailer(end, &mut room), block);
    // A message has no end of its own.
    assert_eq!(Envelope::TextFrame.trailer(b"", &mut room), b"");
    assert_eq!(Envelope::DeflatedFrame.trailer(b"", &mut room), b"");
    assert_eq!(Envelope::Line.trailer(b"", &mut room), b"\n");
}

#[test]
fn only_a_transport_with_a_word_for_it_says_goodbye() {
    let close = Framing::WebSocket(None).goodbye(Some(1001), "bye");
    assert_eq!(close.unwrap(), b"\x88\x05\x03\xe9bye");
    assert_eq!(Framing::Lines.goodbye(Some(1001), "bye"), None);
}

#[test]
fn a_piece_with_its_envelope_is_no_larger_than_an_answer() {
    assert_eq!(size_of::<Piece>(), size_of::<SharedAnswer>() + 8);
}
