//! The events that are found in a client's input do not depend on how it is cut, and
//! are those that tungstenite, in the server's role, finds in it.
//!
//! Where tungstenite is laxer than RFC 6455, or decides later:
//! - it takes lengths that are not in their shortest form;
//! - it takes close codes that must not be sent, as 1002;
//! - it judges a frame only when the frame is complete.
//!
//! It is stricter in one: close code 1014, registered since, counts as invalid.

#![no_main]

use std::io::{Cursor, Read, Result as IoResult, Write};

use libfuzzer_sys::fuzz_target;
use tidegate::ws::{Decoder, Event, Inflater, Step, Violation};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

const LIMIT: usize = 400;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Message(bool, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

type Outcome = (Vec<Got>, Result<(), Violation>);

fuzz_target!(|data: &[u8]| {
    let Some((&cut, input)) = data.split_first() else {
        return;
    };
    let whole = feed(std::iter::once(input));
    assert_eq!(feed(input.chunks(1)), whole);
    assert_eq!(feed(input.chunks(2 + usize::from(cut))), whole);
    compare(whole, other(input));
});

fn feed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::default();
    let mut inflater = Inflater::default();
    let mut buffer = Vec::new();
    let mut events = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let length = buffer.len();
            let consumed = match decoder.next(&mut buffer, LIMIT, &mut inflater) {
                Err(violation) => return (events, Err(violation)),
                Ok(Step::NeedMore { consumed }) => {
                    assert!(consumed <= length && length - consumed < 140);
                    buffer.drain(..consumed);
                    break;
                }
                Ok(Step::Event { event, consumed }) => {
                    events.push(owned(event));
                    consumed
                }
            };
            assert!(0 < consumed && consumed <= length);
            buffer.drain(..consumed);
        }
    }
    (events, Ok(()))
}

fn owned(event: Event<'_>) -> Got {
    match event {
        Event::Message { is_text, data } => Got::Message(is_text, data.into_owned()),
        Event::Ping(data) => Got::Ping(data.to_vec()),
        Event::Pong(data) => Got::Pong(data.to_vec()),
        Event::Close { code, reason } => Got::Close(code.map(|code| (code, reason.to_owned()))),
    }
}

/// What tungstenite finds, up to a close frame, and whether it then came to the end of
/// the input; if not, the input is wrong.
fn other(input: &[u8]) -> (Vec<Got>, bool) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LIMIT))
        .max_frame_size(Some(LIMIT));
    let stream = OneWay(Cursor::new(input));
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut events = Vec::new();
    loop {
        events.push(match socket.read() {
            Ok(Message::Text(text)) => Got::Message(true, text.as_bytes().to_vec()),
            Ok(Message::Binary(data)) => Got::Message(false, data.to_vec()),
            Ok(Message::Ping(data)) => Got::Ping(data.to_vec()),
            Ok(Message::Pong(data)) => Got::Pong(data.to_vec()),
            Ok(Message::Close(frame)) => {
                let frame = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                events.push(Got::Close(frame));
                return (events, true);
            }
            Ok(Message::Frame(_)) => unreachable!("never given to readers"),
            Err(Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => return (events, true),
            Err(_) => return (events, false),
        });
    }
}

fn compare((ours, our_end): Outcome, (theirs, at_end): (Vec<Got>, bool)) {
    match our_end {
        Ok(()) => {
            assert!(at_end, "refused only by tungstenite: {ours:?}, {theirs:?}");
            let mut expected = ours;
            if let Some(Got::Close(Some(frame @ (1014, _)))) = expected.last_mut() {
                *frame = (1002, "Protocol violation".to_owned());
            }
            assert_eq!(expected, theirs);
        }
        Err(violation) => {
            // Up to the violation all is the same.
            assert_eq!(theirs.get(..ours.len()), Some(&ours[..]), "{violation}");
            match (violation, &theirs[ours.len()..]) {
                // A control frame whose length takes more than its one byte is too long,
                // or, for tungstenite, may be one more with a length not in shortest form.
                (_, []) | (Violation::Length | Violation::LongControl, _) => {}
                (Violation::CloseCode, [Got::Close(Some((1002, _)))]) => {}
                (_, more) => panic!("refused only by us: {violation}, {more:?}"),
            }
        }
    }
}

/// Input without an output.
struct OneWay<'a>(Cursor<&'a [u8]>);

impl Read for OneWay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        self.0.read(buffer)
    }
}

impl Write for OneWay<'_> {
    fn write(&mut self, data: &[u8]) -> IoResult<usize> {
        Ok(data.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}
