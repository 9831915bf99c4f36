//! WebSocket frames and compressed messages.

use crate::runner::Runner;
use tidegate::ws::frame::{self, HEADER_MAX, Opcode};
use tidegate::ws::{Decoder, Deflater, Event, Inflater, Step};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub const EVENT: &str = r#"{"event":"library.book.42.change","data":{"values":{"title":"Coraline","year":2002,"author":{"rid":"library.author.7"},"stock":17}}}"#;

pub fn run(runner: &mut Runner) {
    let small = r#"{"id":17,"method":"subscribe.library.book.42"}"#.to_owned();
    let large = format!(
        r#"{{"id":18,"method":"call.library.import","params":"{}"}}"#,
        "x".repeat(64 << 10)
    );
    decode(runner, "ws/decode masked message of 46 bytes", &small, 1000);
    decode(runner, "ws/decode masked message of 64 KiB", &large, 10);
    encode(runner);
    compress(runner);
}

fn masked(text: &str, first: u8) -> Vec<u8> {
    let mut bytes = [0; HEADER_MAX];
    let length = frame::header(Opcode::Text, text.len(), &mut bytes);
    bytes[0] |= first;
    bytes[1] |= 0x80;
    let mut out = bytes[..length].to_vec();
    out.extend_from_slice(&KEY);
    out.extend(text.bytes().zip(KEY.iter().cycle()).map(|(a, b)| a ^ b));
    out
}

/// Decodes a run of equal messages. It is unmasked in place, so each round has its own.
fn decode(runner: &mut Runner, name: &'static str, text: &str, count: usize) {
    let stream = masked(text, 0).repeat(count);
    let mut inflater = Inflater::default();
    let mut input = stream.clone();
    runner.rounds(name, |meter| {
        input.copy_from_slice(&stream);
        let seen = meter.time(count, stream.len(), || {
            let mut decoder = Decoder::new(None);
            let (mut rest, mut seen) = (&mut *input, 0);
            while !rest.is_empty() {
                let step = decoder.next(rest, 1 << 20, &mut inflater);
                let consumed = match step.expect("it is valid") {
                    Step::Event {
                        event: Event::Message { is_text, data },
                        consumed,
                    } => {
                        seen += usize::from(is_text && data.len() == text.len());
                        consumed
                    }
                    other => panic!("only messages were sent: {other:?}"),
                };
                rest = &mut rest[consumed..];
            }
            seen
        });
        assert_eq!(seen, count);
    });
    assert!(input.ends_with(text.as_bytes()) || !runner.wants(name));
}

fn encode(runner: &mut Runner) {
    let mut bytes = [0; HEADER_MAX];
    assert_eq!(frame::header(Opcode::Text, 300, &mut bytes), 4);
    let mut length = 0;
    runner.op("ws/frame header", 0, || {
        length = (length + 61) & 0xffff;
        frame::header(Opcode::Text, length, &mut bytes)
    });
    let mut out = Vec::with_capacity(2048);
    for (name, length) in [
        ("ws/write frame of 64 bytes", 64),
        ("ws/write frame of 1 KiB", 1024),
    ] {
        let payload = vec![b'x'; length];
        runner.op(name, length, || {
            out.clear();
            frame::write(Opcode::Text, &payload, &mut out);
            assert!(out.len() > length);
        });
    }
}

fn compress(runner: &mut Runner) {
    let mut deflater = Deflater::default();
    let answer = EVENT.repeat(8);
    for (name, text) in [
        ("ws/deflate event of 134 bytes", EVENT),
        ("ws/deflate message of 1 KiB", &*answer),
    ] {
        let packed = deflater.deflate(text.as_bytes()).expect("it gets shorter");
        assert!(packed.len() < text.len());
        runner.op(name, text.len(), || deflater.deflate(text.as_bytes()));
    }
    let packed = deflater
        .deflate(answer.as_bytes())
        .expect("it gets shorter");
    let mut bytes = [0; HEADER_MAX];
    let length = frame::header(Opcode::Text, packed.len(), &mut bytes);
    bytes[0] |= frame::COMPRESSED;
    bytes[1] |= 0x80;
    // A mask of zeros leaves the input as it is, so that it can be read again.
    let mut input = [&bytes[..length], &[0; 4], &packed[..]].concat();
    let offer = [&b"permessage-deflate"[..]];
    let agreement = tidegate::ws::extension::negotiate(offer.into_iter());
    let (mut decoder, mut inflater) = (Decoder::new(agreement), Inflater::default());
    runner.op(
        "ws/decode compressed message of 1 KiB",
        answer.len(),
        || {
            let step = decoder.next(&mut input, 1 << 20, &mut inflater);
            let Ok(Step::Event {
                event: Event::Message { data, .. },
                ..
            }) = step
            else {
                panic!("it is a message: {step:?}");
            };
            assert_eq!(data.len(), answer.len());
        },
    );
}
