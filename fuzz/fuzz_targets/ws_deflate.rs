//! Compressed streams: what is found in them does not depend on how they are cut, a
//! message never exceeds the limit, and one decompressor forgets between messages. What
//! the compressor makes is read back, by miniz_oxide too. Offers of the extension are
//! read without harm.

#![no_main]

use libfuzzer_sys::fuzz_target;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use tidegate::ws::{Decoder, Deflater, Event, Inflater, Step, Violation, extension, frame};

const LIMIT: usize = 4_000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Message(bool, Vec<u8>),
    Control(u8, Vec<u8>),
    Close(Option<u16>),
}

type Outcome = (Vec<Got>, Result<(), Violation>);

fuzz_target!(|data: &[u8]| {
    let Some((&kind, input)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => {
            // A stream of frames as they come.
            let mut inflater = Inflater::default();
            let whole = feed(std::iter::once(input), &mut inflater);
            assert_eq!(feed(input.chunks(1), &mut inflater), whole);
            let cut = 2 + usize::from(kind);
            assert_eq!(feed(input.chunks(cut), &mut Inflater::default()), whole);
        }
        1 => one_message(input),
        2 => round_trip(input),
        _ => {
            let lines = input.split(|byte| *byte == b'\n');
            if let Some(agreement) = extension::negotiate(lines) {
                let mut answer = Vec::new();
                agreement.write(&mut answer);
                assert!(answer.starts_with(b"permessage-deflate; "));
                assert!(agreement.longest() >= 256);
                assert!(input.windows(18).any(|part| part == b"permessage-deflate"));
            }
        }
    }
});

fn feed<'a>(pieces: impl Iterator<Item = &'a [u8]>, inflater: &mut Inflater) -> Outcome {
    let offer = &b"permessage-deflate"[..];
    let mut decoder = Decoder::new(extension::negotiate(std::iter::once(offer)));
    let mut buffer = Vec::new();
    let mut events = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let length = buffer.len();
            let consumed = match decoder.next(&mut buffer, LIMIT, inflater) {
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
        Event::Message { is_text, data } => {
            assert!(data.len() <= LIMIT);
            assert!(!is_text || std::str::from_utf8(&data).is_ok());
            Got::Message(is_text, data.into_owned())
        }
        Event::Ping(data) => Got::Control(9, data.to_vec()),
        Event::Pong(data) => Got::Control(10, data.to_vec()),
        Event::Close { code, .. } => Got::Close(code),
    }
}

/// A whole binary message with this compressed payload.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(frame::Opcode::Binary, payload, &mut out);
    out[0] |= frame::COMPRESSED;
    out[1] |= 0x80;
    // A key of zeros changes nothing.
    let head = out.len() - payload.len();
    out.splice(head..head, [0; 4]);
    out
}

/// Any payload: if both implementations read it, they read the same.
fn one_message(payload: &[u8]) {
    let (events, end) = feed(
        std::iter::once(&masked(payload)[..]),
        &mut Inflater::default(),
    );
    let mut tailed = payload.to_vec();
    tailed.extend_from_slice(&[0, 0, 0xff, 0xff]);
    let mut expected = vec![0; LIMIT + 1];
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
        | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
    let mut other = DecompressorOxide::new();
    let (status, taken, made) = decompress(&mut other, &tailed, &mut expected, 0, flags);
    use miniz_oxide::inflate::TINFLStatus::{HasMoreOutput, NeedsMoreInput};
    match (status, end) {
        // The tail ends the last block, and no block called itself the last.
        (NeedsMoreInput, Ok(())) if taken == tailed.len() && made <= LIMIT => {
            assert_eq!(events, [Got::Message(false, expected[..made].to_vec())]);
        }
        (NeedsMoreInput, Err(violation)) if made > LIMIT => {
            assert_eq!(violation, Violation::TooBig);
        }
        // What is too long may be wrong further on, and which is seen first is open.
        (HasMoreOutput, end) => assert!(matches!(
            end,
            Err(Violation::TooBig | Violation::Compression)
        )),
        _ => {}
    }
}

/// What one compressor makes of a row of messages comes back.
fn round_trip(input: &[u8]) {
    let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
    for part in input.split(|byte| *byte == 0xfe).take(64) {
        // Repeated, so that it is worth it.
        let message = part.repeat(1 + part.len() % 7);
        let message = &message[..message.len().min(LIMIT)];
        if let Some(deflated) = deflater.deflate(message) {
            assert!(deflated.len() < message.len());
            let (events, end) = feed(std::iter::once(&masked(&deflated)[..]), &mut inflater);
            assert_eq!(
                (events, end),
                (vec![Got::Message(false, message.to_vec())], Ok(()))
            );
        }
    }
}
