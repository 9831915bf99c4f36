//! What a service may send to the broker inside, in pieces of any size: no panic, all counts
//! and indexes right, and the same answers and deliveries wherever it is cut.
//!
//! The first byte of the input is a number of piece sizes, which follow it; the rest is
//! the stream, cut to these sizes over and over. A second client and the gateway listen.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use tidegate::broker::{Broker, Key, Options, Users};

/// Small, so that messages around the limit are found.
const MAX_PAYLOAD: usize = 100;

const USERS: &str = r#"[{"user":"a","password":"p"},
    {"token":"t","permissions":{"publish":{"allow":["a.>"],"deny":["a.x"]},
    "subscribe":{"deny":["no.>"]},"allowResponses":true}}]"#;

#[derive(Debug, PartialEq)]
struct Outcome {
    output: Vec<u8>,
    others: Vec<u8>,
    /// What the gateway heard: subscription, subject, payload.
    heard: Vec<(u64, Vec<u8>, Vec<u8>)>,
    is_over: bool,
}

fn broker(with_users: bool) -> Broker {
    let users = if with_users { USERS } else { "[]" };
    Broker::new(Options {
        host: "h".into(),
        port: 1,
        tls: false,
        max_payload: MAX_PAYLOAD,
        max_connections: 3,
        users: Users::parse(users).expect("valid"),
        worker: None,
        seed: [1, 2, 3, 4],
    })
}

fn feed(broker: &mut Broker, key: Key, buffer: &mut Vec<u8>, outcome: &mut Outcome) {
    loop {
        let taken = broker.take(key, buffer, 5);
        assert!(taken.len <= buffer.len());
        if let Some(message) = taken.message {
            let (subject, payload) = (message.subject.to_vec(), message.payload.to_vec());
            while let Some(sid) = broker.next_hearer() {
                outcome.heard.push((sid, subject.clone(), payload.clone()));
            }
        }
        let (len, is_operation) = (taken.len, taken.is_operation);
        buffer.drain(..len);
        if !is_operation {
            return;
        }
    }
}

fn run<'a>(with_users: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut broker = broker(with_users);
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut outcome = Outcome {
        output: Vec::new(),
        others: Vec::new(),
        heard: Vec::new(),
        is_over: false,
    };
    broker.subscribe(1, b"_INBOX.*");
    broker.subscribe(2, b"event.a.*");
    let other = broker.connect(local, 0);
    let words = b"CONNECT {\"user\":\"a\",\"pass\":\"p\"}\r\nSUB > 1\r\nSUB a.* q 2\r\n";
    feed(&mut broker, other, &mut words.to_vec(), &mut outcome);
    let key = broker.connect(local, 0);
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        feed(&mut broker, key, &mut buffer, &mut outcome);
    }
    broker.publish(b"get.a", b"_INBOX.1", b"", b"{}", 5);
    broker.audit();
    outcome.output = broker.output(key).to_vec();
    outcome.others = broker.output(other).to_vec();
    outcome.is_over = broker.end(key).is_some();
    broker.timeout(3_000);
    broker.close(key);
    while broker.has_work() {
        broker.go_on(3);
        broker.audit();
    }
    outcome
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
    let with_users = count & 16 != 0;
    let whole = run(with_users, std::iter::once(stream));
    assert_eq!(run(with_users, cut(stream, sizes)), whole);
});
