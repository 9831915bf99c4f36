//! What a NATS server may send, in pieces of any size: no panic, and the same operations,
//! answers and errors wherever it is cut.
//!
//! The first byte of the input is a number of piece sizes, which follow it; the rest is
//! the stream, cut to these sizes over and over.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::nats::{Client, ClientError, Options, Parser};

/// Small, so that messages around the limit are found.
const MAX_PAYLOAD: usize = 100;

#[derive(Debug, PartialEq)]
struct Outcome {
    /// What the parser found and what the client made of it, as text.
    steps: Vec<String>,
    out: Vec<u8>,
    error: Option<ClientError>,
    unused: Vec<u8>,
}

fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut parser = Parser::with_max_payload(MAX_PAYLOAD);
    let mut client = Client::new(Options::default(), 0);
    let mut steps = Vec::new();
    let mut out = Vec::new();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut at = 0;
        let error = loop {
            let (taken, op) = match parser.next(&buffer[at..]) {
                Ok(Some(found)) => found,
                Ok(None) => break None,
                Err(error) => break Some(error.into()),
            };
            assert!(taken > 0 && taken <= buffer.len() - at);
            at += taken;
            match client.handle(op, 0, &mut out) {
                Ok(event) => steps.push(format!("{op:?} {event:?}")),
                Err(error) => break Some(error),
            }
        };
        buffer.drain(..at);
        if error.is_some() {
            return Outcome {
                steps,
                out,
                error,
                unused: Vec::new(),
            };
        }
    }
    Outcome {
        steps,
        out,
        error: None,
        unused: buffer,
    }
}

/// Cuts the stream to the sizes, over and over; a size of 0 counts as 1.
fn cut<'a>(mut stream: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        if stream.is_empty() {
            return None;
        }
        let size = sizes.next().map_or(1, |&size| usize::from(size).max(1));
        let (piece, rest) = stream.split_at(size.min(stream.len()));
        stream = rest;
        Some(piece)
    })
}

fuzz_target!(|data: &[u8]| {
    let Some((&count, rest)) = data.split_first() else {
        return;
    };
    let (sizes, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let whole = run(std::iter::once(stream));
    assert_eq!(run(cut(stream, sizes)), whole);
});
