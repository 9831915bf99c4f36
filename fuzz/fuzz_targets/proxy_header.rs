//! What a proxy says of a client: a header is found wherever the input is cut, and is no
//! longer than it may be; the field of a head never names somebody whom nobody named.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, SocketAddr};
use tidegate::http::{Head, forwarded};
use tidegate::proxy::{self, HEADER_MAX, Step};

fuzz_target!(|data: &[u8]| {
    check_header(data);
    check_field(data);
});

fn check_header(data: &[u8]) {
    let whole = proxy::read(data);
    if let Ok(Step::Header { len, .. }) = whole {
        assert!(len <= data.len().min(HEADER_MAX));
        // Nothing behind it matters, and no part of it is one.
        assert_eq!(proxy::read(&data[..len]), whole);
        assert_eq!(proxy::read(&data[..len - 1]), Ok(Step::NeedMore));
    }
    if whole == Ok(Step::NeedMore) {
        assert!(data.len() < HEADER_MAX);
    }
    // What is wrong stays wrong: the first answer is the last.
    let first = (0..data.len()).map(|at| proxy::read(&data[..at]));
    let mut first = first.filter(|step| *step != Ok(Step::NeedMore));
    if let Some(first) = first.next() {
        assert_eq!(first, whole);
    }
}

fn check_field(data: &[u8]) {
    // Neither is in a line that a reader of requests has taken.
    if data.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return;
    }
    let peer = SocketAddr::from(([10, 0, 0, 1], 5000));
    let text = [b"GET / HTTP/1.1\r\nX-Forwarded-For: ", data, b"\r\n\r\n"].concat();
    let Some(head) = Head::parse(&text) else {
        return;
    };
    let is_trusted = |address: IpAddr| matches!(address, IpAddr::V4(it) if it.octets()[0] == 10);
    let client = forwarded::client(&head, peer, is_trusted);
    if client != peer {
        let text = String::from_utf8_lossy(data);
        let mut named = text.split(',').map(str::trim);
        assert!(named.any(|entry| {
            let bare = entry.trim_start_matches('[').trim_end_matches(']');
            let ip = bare.parse::<IpAddr>().ok();
            let ip = ip.or_else(|| entry.parse::<SocketAddr>().ok().map(|it| it.ip()));
            ip.is_some_and(|ip| ip.to_canonical() == client.ip())
        }));
    }
}
