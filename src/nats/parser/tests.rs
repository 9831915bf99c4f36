use super::*;

/// What an operation is, without borrowing from the input.
fn shown(op: Op<'_>) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match op {
        Op::Message(m) => format!(
            "{} {} {} {:?} [{}] [{}]",
            m.sid,
            text(m.subject),
            m.reply.map_or("-".to_owned(), text),
            m.status,
            text(m.headers),
            text(m.payload),
        ),
        Op::Info(json) => format!("INFO {}", text(json)),
        Op::Err(words) => format!("-ERR {}", text(words)),
        other => other.name().to_owned(),
    }
}

/// Feeds the chunks one after the other, as a reader with one buffer does.
fn parse(parser: &mut Parser, chunks: &[&[u8]]) -> (Vec<String>, Result<usize, ProtocolError>) {
    let mut buffer = Vec::new();
    let mut ops = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        let mut at = 0;
        loop {
            match parser.next(&buffer[at..]) {
                Ok(Some((taken, op))) => {
                    ops.push(shown(op));
                    at += taken;
                }
                Ok(None) => break,
                Err(error) => return (ops, Err(error)),
            }
        }
        buffer.drain(..at);
    }
    (ops, Ok(buffer.len()))
}

/// Parses the stream whole, cut once at every byte, and byte by byte; the result must be
/// the same.
fn parse_every_way(stream: &[u8], limit: usize) -> (Vec<String>, Result<usize, ProtocolError>) {
    let whole = parse(&mut Parser::with_max_payload(limit), &[stream]);
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        let pieces = parse(&mut Parser::with_max_payload(limit), &[a, b]);
        assert_eq!(pieces, whole, "cut at {cut} of {}", stream.escape_ascii());
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    let pieces = parse(&mut Parser::with_max_payload(limit), &bytes);
    assert_eq!(pieces, whole, "byte by byte: {}", stream.escape_ascii());
    whole
}

#[test]
fn operations() {
    let table: &[(&[u8], &str)] = &[
        (b"INFO {\"a\":1}\r\n", "INFO {\\\"a\\\":1}"),
        (b"INFO {\"a\": 1 } \r\n", "INFO {\\\"a\\\": 1 }"),
        (b"info\t{}\n", "INFO {}"),
        (b"INFO\r\n", "INFO "),
        (b"PING\r\n", "PING"),
        (b"PING\n", "PING"),
        (b"PiNg \t \r\n", "PING"),
        (b"PONG\r\n", "PONG"),
        (b"pong\r\n", "PONG"),
        (b"+OK\r\n", "+OK"),
        (b"+ok\r\n", "+OK"),
        (b"-ERR 'Stale Connection'\r\n", "-ERR Stale Connection"),
        (b"-err\t Stale Connection\n", "-ERR Stale Connection"),
        (b"-ERR 'a'b'\r\n", "-ERR a\\'b"),
        (b"-ERR 'a\r\n", "-ERR \\'a"),
        (b"-ERR '\r\n", "-ERR \\'"),
        (b"-ERR ''\r\n", "-ERR "),
        (b"-ERR\r\n", "-ERR "),
        (b"MSG a.b 7 5\r\nhello\r\n", "7 a.b - None [] [hello]"),
        (
            b"MSG a.b 7 re.ply 5\r\nhello\r\n",
            "7 a.b re.ply None [] [hello]",
        ),
        (b"msg \ta  0\t\tr 0 \t\r\n\r\n", "0 a r None [] []"),
        (
            b"MSG a 18446744073709551615 000002\nok\r\n",
            "18446744073709551615 a - None [] [ok]",
        ),
        (
            b"MSG a 1 8\r\nMSG\r\n\r\n\n\r\n",
            "1 a - None [] [MSG\\r\\n\\r\\n\\n]",
        ),
        (
            b"HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
            "1 a - Some(503) [NATS/1.0 503\\r\\n\\r\\n] []",
        ),
        (
            b"HMSG a 1 r 22 24\r\nNATS/1.0\r\nBar: Baz\r\n\r\nok\r\n",
            "1 a r None [NATS/1.0\\r\\nBar: Baz\\r\\n\\r\\n] [ok]",
        ),
        (b"hmsg a 1 0 2\r\nok\r\n", "1 a - None [] [ok]"),
        // A publisher may call anything a header block.
        (b"HMSG a 1 2 4\r\nhihi\r\n", "1 a - None [hi] [hi]"),
    ];
    let mut stream = Vec::new();
    let mut expected = Vec::new();
    for &(bytes, op) in table {
        assert_eq!(parse_every_way(bytes, 100), (vec![op.to_owned()], Ok(0)));
        stream.extend_from_slice(bytes);
        expected.push(op.to_owned());
    }
    assert_eq!(parse_every_way(&stream, 100), (expected, Ok(0)));
}

#[test]
fn unfinished_operations_wait() {
    for stream in [
        &b""[..],
        b"P",
        b"PING",
        b"PING\r",
        b"INFO {}",
        b"MSG a 1 5",
        b"MSG a 1 5\r\n",
        b"MSG a 1 5\r\nhello",
        b"MSG a 1 5\r\nhello\r",
        b"HMSG a 1 5 5\r\n\r\n",
    ] {
        assert_eq!(parse_every_way(stream, 5), (vec![], Ok(stream.len())));
    }
}

/// Expects each of the streams to be refused so, with 5 bytes as the largest payload.
fn expect_refusals(table: &[(&[u8], ProtocolError)]) {
    for (stream, error) in table {
        let (ops, result) = parse_every_way(stream, 5);
        assert_eq!(
            (ops, result),
            (vec![], Err(error.clone())),
            "{}",
            stream.escape_ascii()
        );
        // What came before the error is not lost.
        let stream = [b"PING\r\n", *stream].concat();
        let (ops, result) = parse_every_way(&stream, 5);
        assert_eq!((ops, result), (vec!["PING".to_owned()], Err(error.clone())));
    }
}

#[test]
fn unknown_operations() {
    let unknown = |line: &str| ProtocolError::UnknownOperation(line.to_owned());
    expect_refusals(&[
        (b"\r\n", unknown("")),
        (b"\n", unknown("")),
        (b" PING\r\n", unknown(" PING")),
        (b"PIN\r\n", unknown("PIN")),
        (b"PINGS\r\n", unknown("PINGS")),
        (b"PING\r\r\n", unknown("PING\\r")),
        (b"INFO{}\r\n", unknown("INFO{}")),
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            unknown("HTTP/1.1 400 Bad Request"),
        ),
        (
            b"\x15\x03\x01\0\x02\n",
            unknown("\\u{15}\\u{3}\\u{1}\\u{0}\\u{2}"),
        ),
        (b"PUB a 1\r\n1\r\n", unknown("PUB a 1")),
        (b"-ERRx\r\n", unknown("-ERRx")),
    ]);
}

#[test]
fn malformed_arguments() {
    let arguments = |op, problem, line: &str| ProtocolError::Arguments {
        op,
        problem,
        line: line.to_owned(),
    };
    let few = "has too few arguments";
    let many = "has too many arguments";
    let sid = "has a bad subscription number";
    let size = "has a bad size";
    expect_refusals(&[
        (b"PING x\r\n", arguments("PING", "has arguments", "x")),
        (b"PONG 1\r\n", arguments("PONG", "has arguments", "1")),
        (b"+OK 1\r\n", arguments("+OK", "has arguments", "1")),
        (b"MSG\r\n", arguments("MSG", few, "")),
        (b"MSG a\r\n", arguments("MSG", few, "a")),
        (b"MSG a 1\r\n", arguments("MSG", few, "a 1")),
        (b"MSG a 1 b 1 1\r\n", arguments("MSG", many, "a 1 b 1 1")),
        (
            b"MSG a 1 b 1 1 1\r\n",
            arguments("MSG", many, "a 1 b 1 1 1"),
        ),
        (b"MSG a x 1\r\n", arguments("MSG", sid, "a x 1")),
        (b"MSG a -1 1\r\n", arguments("MSG", sid, "a -1 1")),
        (
            b"MSG a 18446744073709551616 1\r\n",
            arguments("MSG", sid, "a 18446744073709551616 1"),
        ),
        (b"MSG a 1 x\r\n", arguments("MSG", size, "a 1 x")),
        (b"MSG a 1 +1\r\n", arguments("MSG", size, "a 1 +1")),
        (b"MSG a 1 -1\r\n", arguments("MSG", size, "a 1 -1")),
        (b"MSG a 1 1\r2\r\n", arguments("MSG", size, "a 1 1\\r2")),
        (
            b"MSG a 1 99999999999999999999\r\n",
            arguments("MSG", size, "a 1 99999999999999999999"),
        ),
        (b"HMSG a 1 1\r\n", arguments("HMSG", few, "a 1 1")),
        (
            b"HMSG a 1 r 1 1 1\r\n",
            arguments("HMSG", many, "a 1 r 1 1 1"),
        ),
        (
            b"HMSG a 1 x 1\r\n",
            arguments("HMSG", "has a bad header size", "a 1 x 1"),
        ),
        (
            b"HMSG a 1 r x 1\r\n",
            arguments("HMSG", "has a bad header size", "a 1 r x 1"),
        ),
        (
            b"HMSG a 1 3 2\r\n",
            arguments("HMSG", "has headers larger than the message", "a 1 3 2"),
        ),
    ]);
}

#[test]
fn malformed_payloads() {
    expect_refusals(&[
        (
            b"MSG a 1 6\r\n",
            ProtocolError::PayloadTooLarge { size: 6, limit: 5 },
        ),
        (
            b"HMSG a 1 1 6\r\n",
            ProtocolError::PayloadTooLarge { size: 6, limit: 5 },
        ),
        (
            b"MSG a 1 18446744073709551615\r\n",
            ProtocolError::PayloadTooLarge {
                size: u64::MAX,
                limit: 5,
            },
        ),
        (b"MSG a 1 2\r\nabc\r\n", ProtocolError::PayloadEnd),
        (b"MSG a 1 2\r\na\r\n\r\n", ProtocolError::PayloadEnd),
        (b"MSG a 1 2\r\nab\n\n", ProtocolError::PayloadEnd),
    ]);
}

#[test]
fn the_largest_line_is_taken_and_no_larger_one() {
    for (fill, taken) in [(MAX_CONTROL_LINE - 7, true), (MAX_CONTROL_LINE - 6, false)] {
        let line = [b"INFO ", "x".repeat(fill).as_bytes(), b"\r\n"].concat();
        assert_eq!(line.len() <= MAX_CONTROL_LINE, taken);
        let whole = parse(&mut Parser::default(), &[&line]);
        match taken {
            true => assert_eq!((whole.0.len(), &whole.1), (1, &Ok(0))),
            false => assert_eq!(whole, (vec![], Err(ProtocolError::LineTooLong))),
        }
        for cut in [1, 5, MAX_CONTROL_LINE - 1, MAX_CONTROL_LINE, line.len() - 1] {
            let (a, b) = line.split_at(cut);
            assert_eq!(
                parse(&mut Parser::default(), &[a, b]),
                whole,
                "cut at {cut}"
            );
        }
    }
    // An endless line ends at the limit, not in memory.
    let endless = vec![b'x'; MAX_CONTROL_LINE];
    let mut parser = Parser::default();
    assert_eq!(parser.next(&endless[1..]), Ok(None));
    assert_eq!(parser.next(&endless), Err(ProtocolError::LineTooLong));
}

#[test]
fn the_largest_payload_is_taken() {
    let stream = [
        b"MSG a 1 100000\r\n",
        &*vec![b'x'; 100_000],
        b"\r\nPING\r\n",
    ]
    .concat();
    let mut parser = Parser::with_max_payload(100_000);
    let chunks: Vec<&[u8]> = stream.chunks(1000).collect();
    let (ops, result) = parse(&mut parser, &chunks);
    assert_eq!((ops.len(), result), (2, Ok(0)));
    assert_eq!(ops[1], "PING");
}

/// A message in many pieces costs a look at each byte of its line once, and one
/// comparison for each piece of the payload.
#[test]
fn pieces_are_not_scanned_again() {
    let head = b"MSG a 1 1000\r\n";
    let mut parser = Parser::default();
    for len in 0..head.len() {
        assert_eq!(parser.next(&head[..len]), Ok(None));
        assert_eq!(parser.scanned, len);
    }
    assert_eq!(parser.next(head), Ok(None));
    assert_eq!(parser.needed, head.len() + 1000 + 2);

    // Bytes that would be an error if they were looked at again.
    let mut input = vec![b'\n'; parser.needed - 1];
    assert_eq!(parser.next(&input), Ok(None));
    input[..head.len()].copy_from_slice(head);
    input.truncate(input.len() - 1);
    input.extend_from_slice(b"\r\n");
    let taken = parser.next(&input).unwrap().map(|(taken, _)| taken);
    assert_eq!(taken, Some(input.len()));
    assert_eq!((parser.scanned, parser.needed), (0, 0));
}

#[test]
fn a_shrunken_input_is_no_panic() {
    let mut parser = Parser::default();
    assert_eq!(parser.next(b"PIN"), Ok(None));
    assert_eq!(parser.next(b""), Ok(None));
    assert_eq!(parser.next(b"P"), Ok(None));
    assert_eq!(parser.next(b"PING\r\n"), Ok(Some((6, Op::Ping))));
}

#[test]
fn statuses() {
    let table: &[(&[u8], Option<u16>)] = &[
        (b"NATS/1.0 503\r\n\r\n", Some(503)),
        (b"NATS/1.0 503 No Responders\r\n\r\n", Some(503)),
        (b"NATS/1.0 \t 404\tx\r\n\r\n", Some(404)),
        (b"NATS/1.0 100\r\nA: b\r\n\r\n", Some(100)),
        (b"NATS/1.0 503", Some(503)),
        (b"NATS/1.0\r\n\r\n", None),
        (b"NATS/1.0\r\n 503\r\n\r\n", None),
        (b"NATS/1.0 \r\n503\r\n\r\n", None),
        (b"NATS/1.0503\r\n\r\n", None),
        (b"NATS/1.0 5033\r\n\r\n", None),
        (b"NATS/1.0 50\r\n\r\n", None),
        (b"NATS/1.0 5", None),
        (b"NATS/1.0 x03\r\n\r\n", None),
        (b"NATS/1.0 +50\r\n\r\n", None),
        (b"NATS/1.0 ", None),
        (b"NATS/2.0 503\r\n\r\n", None),
        (b"nats", None),
        (b"", None),
    ];
    for &(headers, expected) in table {
        assert_eq!(status(headers), expected, "{}", headers.escape_ascii());
    }
}

#[test]
fn messages_say_what_is_wrong() {
    let error = |bytes: &[u8]| {
        Parser::with_max_payload(5)
            .next(bytes)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(b"HTTP/1.1 400 Bad Request\r\n"),
        "NATS protocol error: unknown operation \"HTTP/1.1 400 Bad Request\": \
         is this the client port of a NATS server?"
    );
    assert_eq!(
        error(b"MSG a 1 x\r\n"),
        "NATS protocol error: MSG has a bad size in \"a 1 x\""
    );
    assert_eq!(
        error(b"MSG a 1 6\r\n"),
        "NATS protocol error: a message of 6 bytes exceeds the limit of 5 bytes"
    );
}
