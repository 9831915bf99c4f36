//! The NATS protocol: messages from the server, requests to it.

use crate::runner::Runner;
use tidegate::nats::{Op, Parser, writer};

/// Messages in a stream: a read of the gateway's buffer has about as many small ones.
const MESSAGES: usize = 1_000;

pub fn run(runner: &mut Runner) {
    parse(runner, "nats/parse MSG, event of 64 bytes", |out| {
        message(out, 64);
    });
    parse(runner, "nats/parse MSG, event of 1 KiB", |out| {
        message(out, 1024);
    });
    parse(runner, "nats/parse HMSG, nobody listens", |out| {
        out.extend_from_slice(b"HMSG _INBOX.4pSqvxGK.1a 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    });
    publish(runner);
}

fn message(out: &mut Vec<u8>, payload: usize) {
    let head = format!("MSG event.library.book.42.change 17179869187 {payload}\r\n");
    out.extend_from_slice(head.as_bytes());
    out.resize(out.len() + payload, b'x');
    out.extend_from_slice(b"\r\n");
}

fn parse(runner: &mut Runner, name: &'static str, write: impl Fn(&mut Vec<u8>)) {
    let mut stream = Vec::new();
    (0..MESSAGES).for_each(|_| write(&mut stream));
    let (expected, _) = take_all(&stream);
    assert_eq!(expected, MESSAGES);
    runner.rounds(name, |meter| {
        let (messages, rest) = meter.time(MESSAGES, stream.len(), || take_all(&stream));
        assert_eq!((messages, rest), (MESSAGES, 0));
    });
}

/// Takes all messages off a stream: how many, and how many bytes are left.
fn take_all(stream: &[u8]) -> (usize, usize) {
    let (mut parser, mut at, mut messages) = (Parser::default(), 0, 0);
    while let Some((taken, op)) = parser.next(&stream[at..]).expect("it is valid") {
        let Op::Message(message) = op else {
            panic!("only messages were sent: {op:?}");
        };
        messages += usize::from(message.status == Some(503) || !message.payload.is_empty());
        at += taken;
    }
    (messages, stream.len() - at)
}

fn publish(runner: &mut Runner) {
    let (subject, reply) = (b"call.library.book.42.set", b"_INBOX.4pSqvxGK.1a");
    let payload = br#"{"params":{"title":"Coraline"},"token":null,"cid":"Qv3bD8nHsJ2kXy4LwZ5r"}"#;
    let mut out = Vec::with_capacity(256);
    writer::publish(&mut out, subject, Some(reply), b"", payload);
    let expected = [
        b"PUB call.library.book.42.set _INBOX.4pSqvxGK.1a 73\r\n",
        &payload[..],
        b"\r\n",
    ];
    assert_eq!(out, expected.concat());
    runner.op("nats/write PUB of a request", out.len(), || {
        out.clear();
        writer::publish(&mut out, subject, Some(reply), b"", payload);
        out.len()
    });
}
