//! HTTP requests, among them the one that makes a WebSocket.

use crate::runner::Runner;
use tidegate::http::{Limits, RequestReader, Step, write_head};
use tidegate::ws::{extension, handshake};

/// The upgrade request of a desktop browser.
pub const BROWSER_HEAD: &str = "GET / HTTP/1.1\r\n\
    Host: app.example.com\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/126.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: https://app.example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=eyJhbGciOiJIUzI1NiJ9.c29tZSBzZXNzaW9u.4pSqvxGK; theme=dark\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

const GET: &str = "GET /api/library/book/42 HTTP/1.1\r\n\
    Host: app.example.com\r\n\
    Accept: */*\r\n\
    User-Agent: curl/8.5.0\r\n\r\n";

const POST: &str = "POST /api/library/book/42/set HTTP/1.1\r\n\
    Host: app.example.com\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 20\r\n\r\n\
    {\"title\":\"Coraline\"}";

pub fn run(runner: &mut Runner) {
    for (name, request) in [
        ("http/read GET of a command line client", GET),
        ("http/read POST with body", POST),
        ("http/read upgrade request of a browser", BROWSER_HEAD),
    ] {
        let mut input = request.as_bytes().to_vec();
        runner.op(name, request.len(), || read(&mut input));
    }
    handshakes(runner);
    let mut out = Vec::with_capacity(2048);
    write_head(BROWSER_HEAD.as_bytes(), "192.0.2.1:4000", &mut out);
    let text = [b"{", &*out, b"}"].concat();
    let json: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
    assert_eq!(json["header"]["Pragma"][0], "no-cache");
    runner.op("http/write a browser's head as JSON", out.len(), || {
        out.clear();
        write_head(BROWSER_HEAD.as_bytes(), "192.0.2.1:4000", &mut out);
    });
}

/// Reads one request, which is all of the input.
fn read(input: &mut [u8]) {
    let length = input.len();
    let step = RequestReader::default().read(input, &Limits::default());
    let Ok(Step::Request { request, consumed }) = step else {
        panic!("not a whole request: {step:?}");
    };
    assert_eq!(consumed, length);
    assert_eq!(request.head.host(), b"app.example.com");
}

fn handshakes(runner: &mut Runner) {
    let mut input = BROWSER_HEAD.as_bytes().to_vec();
    let mut out = Vec::with_capacity(512);
    let name = "http/read, check and accept an upgrade request";
    runner.op(name, BROWSER_HEAD.len(), || {
        let step = RequestReader::default().read(&mut input, &Limits::default());
        let Ok(Step::Request { request, .. }) = step else {
            panic!("not a whole request: {step:?}");
        };
        let key = handshake::check(&request.head, true).expect("it asks for a WebSocket");
        let lines = request.head.field_lines("sec-websocket-extensions");
        let agreement = extension::negotiate(lines);
        assert!(agreement.is_some());
        out.clear();
        handshake::write_accept(key, agreement, b"", &mut out);
        // RFC 6455, 1.3 has this answer to this key.
        let proof = b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        assert!(out.windows(proof.len()).any(|part| part == proof));
    });
}
