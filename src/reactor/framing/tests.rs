//! Texts leave in the words of their transport, and come out of these as they were.

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

/// The body of an HTTP answer without its chunks, the last one included.
fn unchunked(mut wire: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = wire.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let length = usize::from_str_radix(str::from_utf8(&wire[..end]).unwrap(), 16).unwrap();
        let chunk = &wire[end + 2..];
        body.extend_from_slice(&chunk[..length]);
        assert_eq!(&chunk[length..length + 2], b"\r\n");
        wire = &chunk[length + 2..];
        if length == 0 {
            assert_eq!(wire, b"");
            return body;
        }
    }
}

#[test]
fn a_stream_is_made_of_events() {
    // From one byte up to bodies that leave from where they are.
    for (length, step) in [(1, 1), (200, 1), (200, 7), (20_000, 997), (20_000, 1 << 20)] {
        for chunking in [Chunking::Chunked, Chunking::Plain] {
            let mut compression = Compression::new(true);
            let (framing, text) = (Framing::Events(chunking), vec![b'a'; length]);
            let message = Message::new(&text);
            let answer = SharedAnswer::new(Message::new(&text), 42);
            let tag = Tag::of(b"abc");
            let mut start = Vec::new();
            begin_events(chunking, tag, true, &mut start);
            let mut output = Output::default();
            output.push(Piece::Bytes(start.into()), Time(0));
            let first = Envelope::FirstEvent(chunking);
            output.push(Piece::Answer(answer, first), Time(0));
            output.push(Piece::Bytes(framing.ping().unwrap().into()), Time(0));
            for _ in 0..2 {
                let envelope = framing.envelope(&message, &mut compression);
                output.push(Piece::Message(Rc::clone(&message), envelope), Time(0));
            }
            if let Some(end) = framing.goodbye(Some(1001), "bye") {
                output.push(Piece::Bytes(end.into()), Time(0));
            }
            let text = String::from_utf8(text).unwrap();
            let expected = format!(
                "retry:2000\nid:ba7816bf8f01cfea414140de5dae2223\ndata:{text},\"id\":42}}\n\n:\n\n\
                 id:\ndata:{text}\n\nid:\ndata:{text}\n\n"
            );
            let bytes = output.bytes();
            let wire = written(&mut output, step);
            assert_eq!(wire.len(), bytes);
            let body = match chunking {
                Chunking::Chunked => unchunked(&wire),
                Chunking::Plain => wire,
            };
            assert!(body == expected.as_bytes());
        }
    }
}

#[test]
fn a_stream_whose_client_has_all_begins_with_no_event() {
    let mut start = Vec::new();
    begin_events(Chunking::Chunked, Tag::of(b"abc"), false, &mut start);
    start.extend_from_slice(b"0\r\n\r\n");
    let expected = "retry:2000\nid:ba7816bf8f01cfea414140de5dae2223\n\n";
    assert_eq!(unchunked(&start), expected.as_bytes());
}

#[test]
fn the_length_of_a_chunk_has_all_its_digits() {
    for length in [0, 1, 9, 10, 15, 16, 255, 256, 0xabc_def, usize::MAX] {
        let mut room = [0; HEADER_MAX];
        let end = chunk_header(length, &mut room);
        assert_eq!(room[..end], *format!("{length:x}\r\n").as_bytes());
    }
}

#[test]
fn a_shared_body_has_one_form_for_each_framing() {
    let mut compression = Compression::new(true);
    let text = [b'a'; 500];
    let body = Message::new(&text);
    let framings = [
        deflate(),
        Framing::Events(Chunking::Plain),
        Framing::WebSocket(None),
    ];
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
    for (chunking, behind) in [(Chunking::Plain, "\n\n"), (Chunking::Chunked, "\n\n\r\n")] {
        let event = [&end[..], behind.as_bytes()].concat();
        assert_eq!(Envelope::Event(chunking).trailer(end, &mut room), event);
    }
    let length = end.len() as u8;
    let block = [&[length, 0, !length, 0xff][..], end, &[0]].concat();
    assert_eq!(Envelope::DeflatedFrame.trailer(end, &mut room), block);
    // A message has no end of its own.
    assert_eq!(Envelope::TextFrame.trailer(b"", &mut room), b"");
    assert_eq!(Envelope::DeflatedFrame.trailer(b"", &mut room), b"");
}

#[test]
fn only_a_transport_with_a_word_for_it_says_goodbye() {
    let close = Framing::WebSocket(None).goodbye(Some(1001), "bye");
    assert_eq!(close.unwrap(), b"\x88\x05\x03\xe9bye");
    let plain = Framing::Events(Chunking::Plain);
    assert_eq!(plain.goodbye(Some(1001), "bye"), None);
}

#[test]
fn a_piece_with_its_envelope_is_no_larger_than_an_answer() {
    assert_eq!(size_of::<Piece>(), size_of::<SharedAnswer>() + 8);
}

#[test]
fn lengths_are_known_before_anything_is_made() {
    let mut compression = Compression::new(true);
    let framings = [
        Framing::WebSocket(None),
        deflate(),
        Framing::Events(Chunking::Chunked),
        Framing::Events(Chunking::Plain),
    ];
    let around = |edge: usize| edge - 30..edge + 5;
    let lengths = [1..5, around(0x80), around(0x1000), around(0x1_0000)];
    for length in lengths.into_iter().flatten() {
        let message = Message::new(&vec![b'a'; length]);
        for id in [0, 9, 10, 4_711, u64::MAX] {
            let answer = SharedAnswer::new(message.clone(), id);
            let end = answer.tail(&mut [0; SharedAnswer::TAIL_MAX]).to_vec();
            assert_eq!(answer.tail_len(), end.len());
            let envelopes = framings.map(|framing| framing.envelope(&message, &mut compression));
            for envelope in envelopes
                .into_iter()
                .chain([Envelope::FirstEvent(Chunking::Chunked)])
            {
                for end in [&[][..], &end] {
                    let (mut before, mut behind) = ([0; HEADER_MAX], [0; TRAILER_MAX]);
                    let (body, behind) =
                        (envelope.body(&message), envelope.trailer(end, &mut behind));
                    let before = envelope.header(body.len() + behind.len(), &mut before);
                    let made = before.len() + body.len() + behind.len();
                    assert_eq!(
                        envelope.len(body.len(), end.len()),
                        made,
                        "{envelope:?} {length}"
                    );
                    assert_eq!(envelope.trailer_len(end.len()), behind.len());
                }
            }
        }
    }
}
