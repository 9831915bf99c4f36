//! Malformed HTTP requests, after the tables by which well-known parsers are tested
//! (h1spec; llhttp's on invalid requests, lengths and codings) and the ways in which
//! requests are smuggled. Each goes through the reader, cut in several ways, and through
//! a socket with another request behind it: nothing behind a refused request is read.

use tidegate::http::{Limits, RequestReader, Step};

use crate::common::*;

/// What comes of a connection's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// So many requests, and the connection goes on.
    Requests(usize),
    /// The last of so many requests ends the connection.
    Last(usize),
    /// So many requests, then one that is refused with this status.
    Refused(usize, u16),
}
use Outcome::{Last, Refused, Requests};

const BAD: Outcome = Refused(0, 400);

type Table = &'static [(&'static str, Outcome)];

/// Whole requests, or what claims to be.
#[rustfmt::skip]
const WHOLE: Table = &[
    // Valid, though unusual.
    ("GET /n HTTP/1.1\r\nHost: h\r\n\r\n", Requests(1)),
    ("GET /n HTTP/1.1\r\nhoSt:\th\r\nempty:\r\n\r\n", Requests(1)),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n", Requests(1)),
    ("GET /n HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", Requests(1)),
    ("GET /n HTTP/1.1\r\nHost: h\r\nConnection: x, keep-alive,,y\r\n\r\n", Requests(1)),
    ("POST /n HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", Requests(1)),
    ("POST /n HTTP/1.1\r\nHost: h\r\nContent-Length: \t5 \r\n\r\nhello", Requests(1)),
    ("POST /n HTTP/1.1\r\nHost: h\r\nContent-Length: 000\r\n\r\n", Requests(1)),
    ("MKCOLA /n HTTP/1.1\r\nHost: h\r\n\r\n", Requests(1)),
    ("!#$%&'*+-.^_`|~9z /n HTTP/1.1\r\nHost: h\r\n\r\n", Requests(1)),
    ("GET //n?a=\"<>{}|\\^`&&& HTTP/1.1\r\nHost: h\r\n\r\n", Requests(1)),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX: \u{e9}\t\"(,;\r\n\r\n", Requests(1)),
    ("GET /n HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Requests(1)),
    ("GET http://other/n HTTP/1.1\r\nHost: h\r\n\r\n", Requests(1)),
    ("\r\nGET /n HTTP/1.1\r\nHost: h\r\n\r\n", Requests(1)),
    ("GET /n HTTP/1.1\r\nHost: h\r\nContent_Length: 9\r\nX-Transfer-Encoding: x\r\n\r\n", Requests(1)),
    ("GET /n HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Last(1)),
    ("GET /n HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, CLOSE\r\n\r\n", Last(1)),
    ("GET /n HTTP/1.0\r\n\r\n", Last(1)),
    ("GET /n HTTP/1.1\r\nHost: h\r\n\r\nGET /n HTTP/1.0\r\n\r\n", Last(2)),
    // Request lines.
    ("GET /n \r\n\r\n", BAD),
    ("GET /n\r\nHost: h\r\n\r\n", BAD),
    ("GET\r\n\r\n", BAD),
    ("Extra lineGET /n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET /n HTTP/9.9\r\nHost: h\r\n\r\n", Refused(0, 505)),
    ("GET /n HTTP/5.6\r\nHost: h\r\n\r\n", Refused(0, 505)),
    ("GET /n HTTP/1.2\r\nHost: h\r\n\r\n", Refused(0, 505)),
    ("GET /n HTTP/0.9\r\n\r\n", Refused(0, 505)),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refused(0, 505)),
    ("GET /n HTTP/11.1\r\nHost: h\r\n\r\n", BAD),
    ("GET /n HTTP/1.01\r\nHost: h\r\n\r\n", BAD),
    ("GET /n HTTP/1,1\r\nHost: h\r\n\r\n", BAD),
    ("GET /n ICE/1.0\r\nHost: h\r\n\r\n", BAD),
    ("GET /n IHTTP/1.0\r\nHost: h\r\n\r\n", BAD),
    ("GET /n RTSP/1.0\r\nHost: h\r\n\r\n", BAD),
    ("GET /n HTTP/1.1 \r\nHost: h\r\n\r\n", BAD),
    ("GET /n  HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET\t/n\tHTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET \u{a0} HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("G\u{e9}T /n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET: /n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("G=\":E / HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET /%g0 HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET /%0 HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET ftp://h/n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET http://u:p@h/n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET http:///n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("\r\n\r\n\r\n\r\n\r\n\r\n", BAD),
    ("\n\nGET /n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    (" GET /n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("\u{feff}GET /n HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n", BAD),
    ("*1\r\n$4\r\nPING\r\n\r\n", BAD),
    // Header fields.
    ("GET /n HTTP/1.1\r\nContent-Length: 5\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: a b\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: u@h\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\n Host: h\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost : h\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX-Invalid[]: x\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nFoo@: x\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nFoo\x01\test: x\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nF\u{e9}: x\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX Y: x\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX-Y\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX: te\x07st\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX: te\0st\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX: te\x7fst\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nname\r\n : value\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX: 1\rY: 2\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nX: 1\nY: 2\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\nHost: h\n\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\n\rX: y\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\n\r\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\n\n", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\r\n\r\n", BAD),
    ("GET /n HTTP/1.1\rHost: h\r\r", BAD),
    ("GET /n HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n", Refused(0, 417)),
];

/// Header fields of a POST request, the blank line and the body.
#[rustfmt::skip]
const FRAMING: Table = &[
    ("Content-Length: -1234\r\n\r\n", BAD),
    ("Content-Length: -123456789123456789123456789\r\n\r\n", BAD),
    ("Content-Length: abc\r\n\r\n", BAD),
    ("Content-Length: +5\r\n\r\nhello", BAD),
    ("Content-Length: 4 2\r\n\r\n", BAD),
    ("Content-Length: 5;\r\n\r\nhello", BAD),
    ("Content-Length: 5.0\r\n\r\nhello", BAD),
    ("Content-Length: 5e0\r\n\r\nhello", BAD),
    ("Content-Length: 0x5\r\n\r\nhello", BAD),
    ("Content-Length: \"5\"\r\n\r\nhello", BAD),
    ("Content-Length: 5, 5\r\n\r\nhello", BAD),
    ("Content-Length: 5,\r\n\r\nhello", BAD),
    ("Content-Length:\r\n\r\n", BAD),
    ("Content-Length: \u{665}\r\n\r\nhello", BAD),
    ("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", BAD),
    ("Content-Length: 5\r\nContent-Length: 05\r\n\r\nhello", BAD),
    ("Content-Length: 0\r\ncontent-length: 5\r\n\r\nhello", BAD),
    ("Content-Length : 5\r\n\r\nhello", BAD),
    ("Content-Length\r\n : 5\r\n\r\nhello", BAD),
    ("Content-Length: 5\r\n 5\r\n\r\nhello", BAD),
    ("Content\rLength: 5\r\n\r\nhello", BAD),
    ("Content-Length: 1048577\r\n\r\n", Refused(0, 413)),
    ("Content-Length: 18446744073709551616\r\n\r\n", Refused(0, 413)),
    ("Content-Length: 999999999999999999999999999999\r\n\r\n", Refused(0, 413)),
    ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Requests(1)),
    ("transfer-encoding:\tCHUNKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n", Requests(1)),
    ("Transfer-Encoding: chunked\r\n\r\n1e\r\nall your base are belong to us\r\n0\r\n\r\n", Requests(1)),
    ("Transfer-Encoding: chunked\r\n\r\n5;a;b=c;d=\"e f\"\r\nhello\r\n000\r\nVary: *\r\n\r\n", Requests(1)),
    ("Transfer-Encoding: chunked\r\n\r\n0\r\nHost: other\r\nContent-Length: 9\r\n\r\n", Requests(1)),
    ("Transfer-Encoding: pigeons\r\n\r\n", Refused(0, 501)),
    ("Transfer-Encoding: identity\r\n\r\n", Refused(0, 501)),
    ("Transfer-Encoding: deflate, chunked\r\n\r\n0\r\n\r\n", Refused(0, 501)),
    ("Transfer-Encoding: chunkedchunked\r\n\r\n0\r\n\r\n", Refused(0, 501)),
    ("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", Refused(0, 501)),
    ("Transfer-Encoding: [chunked]\r\n\r\n0\r\n\r\n", Refused(0, 501)),
    ("Transfer-Encoding: 'chunked'\r\n\r\n0\r\n\r\n", Refused(0, 501)),
    ("Transfer-Encoding: chunked\u{a0}\r\n\r\n0\r\n\r\n", Refused(0, 501)),
    ("Transfer-Encoding: chunked, deflate\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding:\r\n\r\n", BAD),
    ("Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding: chunked\x0c\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding: chunked\r\n abc\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", BAD),
    (" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", BAD),
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    ("Content-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n", BAD),
    ("Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\nhello", BAD),
];

/// Bodies that claim to be chunked.
#[rustfmt::skip]
const CHUNKS: Table = &[
    ("\r\n", BAD),
    ("x\r\n", BAD),
    (" 5\r\nhello\r\n0\r\n\r\n", BAD),
    ("5 \r\nhello\r\n0\r\n\r\n", BAD),
    ("+5\r\nhello\r\n0\r\n\r\n", BAD),
    ("-5\r\nhello\r\n0\r\n\r\n", BAD),
    ("0x5\r\nhello\r\n0\r\n\r\n", BAD),
    ("5g\r\nhello\r\n0\r\n\r\n", BAD),
    ("5\u{e9}\r\nhello\r\n0\r\n\r\n", BAD),
    ("5\nhello\r\n0\r\n\r\n", BAD),
    ("5\r\r\nhello\r\n0\r\n\r\n", BAD),
    ("5\rhello\r\n0\r\n\r\n", BAD),
    ("5;\nhello\r\n0\r\n\r\n", BAD),
    ("5;a=\"\r\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("5;\0\r\nhello\r\n0\r\n\r\n", BAD),
    ("5 x\r\nhello\r\n0\r\n\r\n", BAD),
    ("5\r\nhello0\r\n\r\n", BAD),
    ("5\r\nhello\n0\r\n\r\n", BAD),
    ("5\r\nhello\r0\r\n\r\n", BAD),
    ("5\r\nhello!\r\n0\r\n\r\n", BAD),
    ("4\r\nhello\r\n0\r\n\r\n", BAD),
    ("0\r\nX : y\r\n\r\n", BAD),
    ("0\r\n X: y\r\n\r\n", BAD),
    ("0\r\nX: y\n\r\n", BAD),
    ("0\r\nX\r\n\r\n", BAD),
    ("0\r\n\rX", BAD),
    ("0\r\nGET /smuggled HTTP/1.1\r\n\r\n", BAD),
    ("100001\r\n", Refused(0, 413)),
    ("FFFFFFFFFFFFFFFF\r\n", Refused(0, 413)),
    ("10000000000000005\r\nhello\r\n0\r\n\r\n", Refused(0, 413)),
];

/// Pairs of which a careless recipient would find another one or none: the second stands
/// in the body of the first, or the reverse.
#[rustfmt::skip]
const PAIRS: Table = &[
    (
        "GET /n HTTP/1.1\r\nHost: h\r\nContent-Length: 39\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other\r\n\r\n",
        Requests(1),
    ),
    (
        "POST /n HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n27\r\nGET /smuggled HTTP/1.1\r\nHost: other\r\n\r\n\r\n0\r\n\r\n",
        Requests(1),
    ),
    (
        "POST /n HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nGET /n HTTP/1.1\r\nHost: h\r\n\r\n",
        Requests(2),
    ),
    (
        "POST /n HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGPOST /smuggled HTTP/1.1\r\n\r\n",
        BAD,
    ),
    (
        "GET /n HTTP/1.1\r\nHost: h\r\n\r\nPOST /smuggled HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n",
        Refused(1, 400),
    ),
    (
        "GET /n HTTP/1.1\r\nHost: h\r\nX: y\rContent-Length: 40\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        BAD,
    ),
    (
        "POST /n HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n2\r\nyy\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        BAD,
    ),
    (
        "GET /n HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        Last(1),
    ),
    (
        "POST /n HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        BAD,
    ),
];

/// Every input with what must come of it.
fn inputs() -> Vec<(Vec<u8>, Outcome)> {
    let post = "POST /n HTTP/1.1\r\nHost: h\r\n";
    let chunked = &*format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    [(WHOLE, ""), (FRAMING, post), (CHUNKS, chunked), (PAIRS, "")]
        .into_iter()
        .flat_map(|(table, front)| {
            table
                .iter()
                .map(move |(text, outcome)| ([front, text].concat().into_bytes(), *outcome))
        })
        .collect()
}

/// What the reader finds in an input that comes in these pieces.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = RequestReader::default();
    let (mut buffer, mut requests) = (Vec::new(), 0);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match reader.read(&mut buffer, &Limits::default()) {
                Ok(Step::NeedMore { keep, .. }) => {
                    buffer.truncate(keep);
                    break;
                }
                Ok(Step::Request { request, consumed }) => {
                    assert!(!request.head.target().contains("smuggled"));
                    requests += 1;
                    if !request.persistence.is_kept() {
                        return Last(requests);
                    }
                    buffer.drain(..consumed);
                }
                Err(error) => return Refused(requests, error.status()),
            }
        }
    }
    assert!(buffer.is_empty(), "not all of the input was read");
    Requests(requests)
}

#[test]
fn the_reader_finds_what_is_there_however_it_is_cut() {
    for (input, expected) in inputs() {
        let shown = input.escape_ascii();
        assert_eq!(read(std::iter::once(&input[..])), expected, "{shown}");
        for size in [1, 2, 3, 7] {
            assert_eq!(read(input.chunks(size)), expected, "{size}: {shown}");
        }
    }
}

#[test]
fn the_gateway_answers_what_is_there_and_nothing_behind_it_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let mut bystander = stack.http();
    for (input, expected) in inputs() {
        println!("{}", input.escape_ascii());
        let mut h = stack.http();
        h.send(&input);
        h.try_send("OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let mut statuses = Vec::new();
        let (Requests(count) | Last(count) | Refused(count, _)) = expected;
        statuses.extend(std::iter::repeat_n(404, count));
        match expected {
            Requests(_) => statuses.push(200),
            Last(_) => {}
            Refused(_, status) => statuses.push(status),
        }
        for (i, status) in statuses.iter().enumerate() {
            let response = h.response();
            assert_eq!(response.status, *status, "answer {i}");
            let closes = response.header("connection").as_deref() == Some("close");
            assert_eq!(closes, i + 1 == statuses.len(), "answer {i}: {response:?}");
        }
        h.expect_closed();
        bystander.get("/nowhere");
        assert_eq!(bystander.response().status, 404);
    }
}

/// A request that is not complete is waited for: nothing is said before its last byte.
#[test]
fn a_request_in_two_parts_is_answered_when_it_is_complete() {
    let stack = Stack::shared();
    let whole = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for split in 1..whole.len() {
        let (front, back) = whole.split_at(split);
        let (mut h, mut other) = (stack.http(), stack.http());
        h.send(front);
        // The gateway reads what is there before it answers somebody who came later.
        other.get("/nowhere");
        assert_eq!(other.response().status, 404);
        h.assert_silent();
        h.send(back);
        assert_eq!(h.response().status, 404, "cut at {split}");
    }
}

/// Connections that end inside a request leave nothing behind and get no answer.
#[test]
fn a_request_that_is_cut_off_gets_no_answer_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    for front in [
        "",
        "G",
        "GET /n HTTP/1.1\r\nHost: h\r\n",
        "POST /n HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhello",
        "POST /n HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "POST /n HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ] {
        let mut h = stack.http();
        h.send(front);
        h.finish();
        h.expect_closed();
    }
}
