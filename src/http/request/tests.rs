use super::*;

/// A request as the tests compare it: method, target, body.
type Got = (String, String, Vec<u8>);

/// What a connection's input came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    requests: Vec<Got>,
    /// How often `100 Continue` was asked for.
    continues: usize,
    end: Result<Phase, RequestError>,
}

/// Gives the pieces to a reader as a connection would.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Outcome {
    let mut reader = RequestReader::default();
    let mut buffer = Vec::new();
    let mut outcome = Outcome {
        requests: Vec::new(),
        continues: 0,
        end: Ok(Phase::Idle),
    };
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let length = buffer.len();
            match reader.read(&mut buffer, limits) {
                Ok(Step::NeedMore {
                    phase,
                    keep,
                    send_continue,
                }) => {
                    assert!(keep <= length);
                    buffer.truncate(keep);
                    outcome.continues += usize::from(send_continue);
                    outcome.end = Ok(phase);
                    break;
                }
                Ok(Step::Request { request, consumed }) => {
                    assert!(consumed <= length);
                    outcome.requests.push((
                        request.head.method().to_owned(),
                        request.head.target().to_owned(),
                        request.body.to_vec(),
                    ));
                    assert!(request.head.bytes().ends_with(b"\r\n\r\n"));
                    buffer.drain(..consumed);
                }
                Err(error) => {
                    assert_eq!(reader.read(&mut buffer, limits).err(), Some(error));
                    outcome.end = Err(error);
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// The outcome of an input, which must not depend on how it is cut.
fn outcome(input: &[u8], limits: &Limits) -> Outcome {
    let bytewise = feed(input.chunks(1), limits);
    for split in 0..=input.len() {
        let (front, back) = input.split_at(split);
        let mut parts = feed([front, back], limits);
        // A request that is there at once needs no 100 Continue.
        assert!(parts.continues <= bytewise.continues);
        parts.continues = bytewise.continues;
        let shown = String::from_utf8_lossy(input);
        assert_eq!(parts, bytewise, "cut at {split}: {shown:?}");
    }
    bytewise
}

fn got(method: &str, target: &str, body: &[u8]) -> Got {
    (method.to_owned(), target.to_owned(), body.to_vec())
}

fn error_of(input: impl AsRef<[u8]>) -> Option<RequestError> {
    let outcome = outcome(input.as_ref(), &Limits::default());
    outcome.end.err()
}

/// A request with these lines between request line and empty line.
fn with_fields(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

#[test]
fn reads_requests() {
    let table: [(&[u8], &[Got]); 9] = [
        (b"", &[]),
        (
            b"GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n",
            &[got("GET", "/a?b", b"")],
        ),
        (b"GET /a HTTP/1.0\r\n\r\n", &[got("GET", "/a", b"")]),
        (
            b"OPTIONS * HTTP/1.1\r\nhost:h:80\r\nX:\r\nY:\t \xff\r\n\r\n",
            &[got("OPTIONS", "*", b"")],
        ),
        (
            b"GET http://h/a HTTP/1.1\r\nHost: other\r\n\r\n",
            &[got("GET", "http://h/a", b"")],
        ),
        (
            b"GET /\xc3\xb6#?\xc3\xb6%zz HTTP/1.1\r\nHost:\r\n\r\n",
            &[got("GET", "/\u{f6}#?\u{f6}%zz", b"")],
        ),
        // Empty lines before, and requests behind one another.
        (
            b"\r\n\r\nPOST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 005\r\n\r\nhello\
              \r\nPUT /b HTTP/1.1\r\nHost: h\r\nContent-Length:0\r\n\r\n\
              WHAT-else /c HTTP/1.0\r\n\r\n",
            &[
                got("POST", "/a", b"hello"),
                got("PUT", "/b", b""),
                got("WHAT-else", "/c", b""),
            ],
        ),
        (
            b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n\
              0003\r\nabc\r\nA \t; x=\"y z\";q\r\n0123456789\r\n1;\r\n!\r\n0\r\n\r\n\
              GET /b HTTP/1.1\r\nHost: h\r\n\r\n",
            &[got("POST", "/a", b"abc0123456789!"), got("GET", "/b", b"")],
        ),
        (
            b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
              000;\r\nContent-Length: 9\r\nx:\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
            &[got("POST", "/a", b""), got("GET", "/b", b"")],
        ),
    ];
    for (input, expected) in table {
        let outcome = outcome(input, &Limits::default());
        assert_eq!(outcome.requests, expected);
        assert_eq!(outcome.end, Ok(Phase::Idle));
        assert_eq!(outcome.continues, 0);
    }
}

#[test]
fn refuses_request_lines() {
    use RequestError as E;
    let table: [(&[u8], RequestError); 31] = [
        (b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET / \r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET /\r\n\r\n", E::RequestLine),
        (b"GET\r\n\r\n", E::RequestLine),
        (b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET / http/1.1\r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET / HTTP/1.12\r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET / HTTP/x.1\r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", E::Version),
        (b"GET / HTTP/0.9\r\n\r\n", E::Version),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", E::Version),
        (b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"CONNECT /a HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"GET /%4 HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"GET /%zz?q HTTP/1.1\r\nHost: h\r\n\r\n", E::Target),
        (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", E::RequestLine),
        (b"GET /\x00 HTTP/1.1\r\n", E::ControlCharacter),
        (b"\x16\x03\x01\x02\x00\x01", E::ControlCharacter),
        (b"\nGET / HTTP/1.1\r\n", E::LineEnd),
        (b"\r\n\r\n\r\n\r\n\r\n", E::RequestLine),
        (b"GET / HTTP/1.1\nHost: h\n\n", E::LineEnd),
    ];
    for (input, error) in table {
        let shown = String::from_utf8_lossy(input);
        assert_eq!(error_of(input), Some(error), "{shown:?}");
    }
}

#[test]
fn refuses_fields() {
    use RequestError as E;
    let table = [
        ("X : 1\r\n", E::Field),
        ("X\t: 1\r\n", E::Field),
        (" X: 1\r\n", E::Field),
        ("X: 1\r\n folded\r\n", E::Field),
        ("X: 1\r\n\tfolded\r\n", E::Field),
        ("X\r\n", E::Field),
        (": 1\r\n", E::Field),
        ("X\u{f6}: 1\r\n", E::Field),
        ("X(: 1\r\n", E::Field),
        ("X: 1\n", E::LineEnd),
        ("X: 1\r\r\n", E::LineEnd),
        ("X: a\rb\r\n", E::LineEnd),
        ("X: \0\r\n", E::ControlCharacter),
        ("X: \u{7f}\r\n", E::ControlCharacter),
        ("X: \u{b}\r\n", E::ControlCharacter),
        ("Host: h\r\n", E::Host),
        ("host: other\r\n", E::Host),
        ("Expect: 200-ok\r\n", E::Expectation),
        ("Expect: 100-continue\r\nexpect: x\r\n", E::Expectation),
    ];
    for (fields, error) in table {
        assert_eq!(error_of(with_fields(fields)), Some(error), "{fields:?}");
    }
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET http://h/ HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(error_of(head), Some(E::Host), "{head:?}");
    }
}

/// What two recipients could read differently is refused, whatever the first would do.
#[test]
fn refuses_ambiguous_framing() {
    use RequestError as E;
    let table = [
        (
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            E::ContentLength,
        ),
        (
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            E::ContentLength,
        ),
        ("Content-Length: 1, 1\r\n", E::ContentLength),
        ("Content-Length: +1\r\n", E::ContentLength),
        ("Content-Length: -1\r\n", E::ContentLength),
        ("Content-Length: 1 1\r\n", E::ContentLength),
        ("Content-Length: 0x1\r\n", E::ContentLength),
        ("Content-Length: 1.0\r\n", E::ContentLength),
        ("Content-Length: \r\n", E::ContentLength),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            E::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            E::TransferEncoding,
        ),
        (
            "Transfer-Encoding: x\r\nContent-Length: 1\r\n",
            E::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            E::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked, chunked\r\n",
            E::TransferEncoding,
        ),
        ("Transfer-Encoding: chunked, gzip\r\n", E::TransferEncoding),
        ("Transfer-Encoding: chunked,\r\n", E::TransferEncoding),
        ("Transfer-Encoding:\r\n", E::TransferEncoding),
        ("Transfer-Encoding: gzip\r\n", E::Coding),
        ("Transfer-Encoding: identity\r\n", E::Coding),
        ("Transfer-Encoding: gzip, chunked\r\n", E::Coding),
        ("Transfer-Encoding: xchunked\r\n", E::Coding),
        ("Transfer-Encoding: \"chunked\"\r\n", E::Coding),
        ("Transfer-Encoding: chunked;q=1\r\n", E::Coding),
    ];
    for (fields, error) in table {
        assert_eq!(error_of(with_fields(fields)), Some(error), "{fields:?}");
    }
    assert_eq!(
        error_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Some(E::TransferEncoding)
    );
}

#[test]
fn refuses_broken_chunks() {
    use RequestError as E;
    let table: [(&str, RequestError); 24] = [
        ("\r\n", E::Chunk),
        ("g\r\n", E::Chunk),
        (" 1\r\na\r\n", E::Chunk),
        ("-1\r\na\r\n", E::Chunk),
        ("0x1\r\na\r\n", E::Chunk),
        (";x\r\n", E::Chunk),
        ("1 \r\na\r\n", E::Chunk),
        ("1 1\r\na\r\n", E::Chunk),
        ("1\na\r\n", E::Chunk),
        ("1\r\r\na\r\n", E::Chunk),
        ("1;x\ny\r\na\r\n", E::Chunk),
        ("1;\0\r\na\r\n", E::Chunk),
        ("1\r\nab\r\n", E::Chunk),
        ("1\r\na\n", E::Chunk),
        ("1\r\na0\r\n\r\n", E::Chunk),
        ("0\r\n\n", E::Chunk),
        ("0\r\nx\r\n\r\n", E::Chunk),
        ("0\r\n x: y\r\n\r\n", E::Chunk),
        ("0\r\nx : y\r\n\r\n", E::Chunk),
        ("0\r\nx: y\n\r\n", E::Chunk),
        ("0\r\nx: y\r\r\n", E::Chunk),
        ("0\r\n\rx", E::Chunk),
        ("100001\r\n", E::BodyTooLarge),
        ("ffffffffffffffffffff\r\n", E::BodyTooLarge),
    ];
    for (body, error) in table {
        let input = with_fields("Transfer-Encoding: chunked\r\n") + body;
        assert_eq!(error_of(input), Some(error), "{body:?}");
    }
}

#[test]
fn keeps_to_the_limits() {
    use RequestError as E;
    let limits = Limits {
        head: 64,
        fields: 3,
        body: 10,
    };
    let head_of = |length: usize| {
        let rest = "GET / HTTP/1.0\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.0\r\nX: {}\r\n\r\n", "y".repeat(length - rest))
    };
    let target_of = |length: usize| format!("GET /{}", "y".repeat(length - 5));
    let fields_of = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "a:b\r\n".repeat(count));
    let chunks = |body: &str| {
        format!("POST / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
    };
    let extension = |length: usize| {
        chunks(&format!(
            "1\r\na\r\n1;{}\r\nb\r\n0\r\n\r\n",
            "x".repeat(length)
        ))
    };
    let trailers = |length: usize| chunks(&format!("0\r\nx:{}\r\n\r\n", "y".repeat(length)));
    let table = [
        (head_of(64), None),
        (head_of(65), Some(E::HeadTooLarge)),
        (head_of(500), Some(E::HeadTooLarge)),
        (format!("\r\n\r\n{}", head_of(64)), None),
        (target_of(64), None),
        (target_of(65), Some(E::TargetTooLong)),
        (fields_of(3), None),
        (fields_of(4), Some(E::TooManyFields)),
        (
            "P / HTTP/1.0\r\nContent-Length: 10\r\n\r\n0123456789".into(),
            None,
        ),
        (
            "P / HTTP/1.0\r\nContent-Length: 11\r\n\r\n".into(),
            Some(E::BodyTooLarge),
        ),
        (
            format!("P / HTTP/1.0\r\nContent-Length: {}\r\n\r\n", "9".repeat(24)),
            Some(E::BodyTooLarge),
        ),
        (chunks("9\r\n012345678\r\n1\r\n9\r\n0\r\n\r\n"), None),
        (chunks("9\r\n012345678\r\n2\r\n"), Some(E::BodyTooLarge)),
        (extension(254), None),
        (extension(255), Some(E::Chunk)),
        (trailers(59), None),
        (trailers(63), Some(E::HeadTooLarge)),
    ];
    for (input, error) in table {
        assert_eq!(
            outcome(input.as_bytes(), &limits).end.err(),
            error,
            "{input:?}"
        );
    }

    let many = format!("GET / HTTP/1.0\r\n{}\r\n", "a:b\r\n".repeat(101));
    assert_eq!(error_of(many), Some(E::TooManyFields));
}

#[test]
fn tells_how_far_a_request_has_come() {
    let table = [
        ("", Phase::Idle),
        ("\r\n", Phase::Idle),
        ("G", Phase::Head),
        ("\r\nG", Phase::Head),
        ("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r", Phase::Head),
        ("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n", Phase::Body),
        ("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\na", Phase::Body),
        (
            "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab",
            Phase::Idle,
        ),
    ];
    for (input, phase) in table {
        assert_eq!(
            outcome(input.as_bytes(), &Limits::default()).end,
            Ok(phase),
            "{input:?}"
        );
    }
}

#[test]
fn asks_for_continue_once_and_only_if_it_is_awaited() {
    let table = [
        ("1.1", "Content-Length: 2", "ab", 1),
        (
            "1.1",
            "Transfer-Encoding: chunked",
            "1\r\na\r\n0\r\n\r\n",
            1,
        ),
        ("1.1", "Content-Length: 0", "", 0),
        ("1.1", "X: y", "", 0),
        ("1.0", "Content-Length: 2", "ab", 0),
    ];
    for (version, field, body, continues) in table {
        let input = format!(
            "POST / HTTP/{version}\r\nHost: h\r\nExpect: 100-Continue\r\n{field}\r\n\r\n{body}"
        );
        let bytes = input.as_bytes();
        assert_eq!(
            feed(bytes.chunks(1), &Limits::default()).continues,
            continues
        );
        assert_eq!(feed([bytes], &Limits::default()).continues, 0, "{input}");
        assert_eq!(outcome(bytes, &Limits::default()).requests.len(), 1);
    }
    let too_big = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\
                   Content-Length: 9999999\r\n\r\n";
    let outcome = outcome(too_big.as_bytes(), &Limits::default());
    assert_eq!(outcome.continues, 0);
    assert_eq!(outcome.end, Err(RequestError::BodyTooLarge));
}

/// A reader that looked at old bytes again would take hours for this.
#[test]
fn single_bytes_of_large_requests_cost_no_more() {
    let limits = Limits::default();
    let mut input = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nX: {}\r\n",
        "y".repeat(16_000)
    );
    input += &format!("Content-Length: {}\r\n\r\n", limits.body);
    let body = "b".repeat(limits.body);
    input += &body;
    let outcome = feed(input.as_bytes().chunks(1), &limits);
    assert_eq!(outcome.requests, [got("POST", "/", body.as_bytes())]);

    let mut input = with_fields("Transfer-Encoding: chunked\r\n");
    input += &"1;x\r\nb\r\n".repeat(100_000);
    input += "0\r\n\r\n";
    let outcome = feed(input.as_bytes().chunks(1), &limits);
    assert_eq!(outcome.requests, [got("POST", "/", &[b'b'; 100_000])]);
}

/// Small chunks must not make the caller keep what framed them.
#[test]
fn framing_of_chunks_does_not_pile_up() {
    let mut reader = RequestReader::default();
    let head = with_fields("Transfer-Encoding: chunked\r\n");
    let mut buffer = head.clone().into_bytes();
    for index in 0..=1_000 {
        buffer.extend_from_slice(b"1;extension\r\nb\r\n");
        match reader.read(&mut buffer, &Limits::default()) {
            Ok(Step::NeedMore { keep, .. }) => buffer.truncate(keep),
            other => panic!("{other:?}"),
        }
        assert_eq!(buffer.len(), head.len() + index + 1);
    }
}

#[test]
fn says_whether_the_connection_goes_on() {
    let table = [
        ("HTTP/1.1", "X: close", Persistence::Keep),
        ("HTTP/1.1", "Connection: keep-alive", Persistence::Keep),
        ("HTTP/1.1", "Connection: x,\tClose", Persistence::Close),
        (
            "HTTP/1.1",
            "connection: x\r\nCONNECTION: close ",
            Persistence::Close,
        ),
        ("HTTP/1.1", "Connection: closed", Persistence::Keep),
        ("HTTP/1.0", "X: keep-alive", Persistence::Close),
        (
            "HTTP/1.0",
            "Connection: Keep-Alive",
            Persistence::KeepStated,
        ),
        (
            "HTTP/1.0",
            "Connection: keep-alive, close",
            Persistence::Close,
        ),
    ];
    for (version, field, expected) in table {
        let mut input = format!("GET / {version}\r\nHost: h\r\n{field}\r\n\r\n").into_bytes();
        match RequestReader::default().read(&mut input, &Limits::default()) {
            Ok(Step::Request { request, .. }) => {
                assert_eq!(request.persistence, expected, "{version} {field}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn errors_have_their_status() {
    use RequestError as E;
    let table = [
        (E::RequestLine, 400),
        (E::Target, 400),
        (E::Version, 505),
        (E::LineEnd, 400),
        (E::ControlCharacter, 400),
        (E::Field, 400),
        (E::Host, 400),
        (E::ContentLength, 400),
        (E::TransferEncoding, 400),
        (E::Coding, 501),
        (E::Expectation, 417),
        (E::TargetTooLong, 414),
        (E::HeadTooLarge, 431),
        (E::TooManyFields, 431),
        (E::BodyTooLarge, 413),
        (E::Chunk, 400),
    ];
    for (error, status) in table {
        assert_eq!(error.status(), status);
    }
}
