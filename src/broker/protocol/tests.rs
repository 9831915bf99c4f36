use super::*;

fn parser() -> Parser {
    let mut parser = Parser::new(100, false);
    parser.takes_headers = true;
    parser
}

#[test]
fn operations() {
    let publication = |subject, reply, headers, payload| {
        Op::Publish(Publication {
            subject,
            reply,
            headers,
            payload,
        })
    };
    let table: &[(&[u8], Op<'_>)] = &[
        (b"ping\r\n", Op::Ping),
        (b"PONG and more\n", Op::Pong),
        (b"+ok\r\n", Op::Ok),
        (b"CONNECT {}\r\n", Op::Connect(b"{}")),
        (b"connect{}\n", Op::Connect(b"{}")),
        (b"Pub a 2\r\nhi\r\n", publication(b"a", b"", b"", b"hi")),
        (
            b"PUB\ta  b\t2 \nhi\r\n",
            publication(b"a", b"b", b"", b"hi"),
        ),
        (
            b"HPUB a 1 3\r\nhey\r\n",
            publication(b"a", b"", b"h", b"ey"),
        ),
        (b"HPUB a b 0 0\r\n\r\n", publication(b"a", b"b", b"", b"")),
        (
            b"SUB a.> 1\r\n",
            Op::Subscribe {
                subject: b"a.>",
                queue: b"",
                sid: b"1",
            },
        ),
        (
            b"SUB a q x\r\n",
            Op::Subscribe {
                subject: b"a",
                queue: b"q",
                sid: b"x",
            },
        ),
        (
            b"UNSUB 1\r\n",
            Op::Unsubscribe {
                sid: b"1",
                max: None,
            },
        ),
        (
            b"UNSUB 1 07\r\n",
            Op::Unsubscribe {
                sid: b"1",
                max: Some(7),
            },
        ),
        (
            b"UNSUB 1 x\r\n",
            Op::Unsubscribe {
                sid: b"1",
                max: None,
            },
        ),
        (b"INFO {}\r\n", Op::Info(b"{}")),
    ];
    expect(table);
}

/// Each input is its operation, whole and not before.
fn expect(table: &[(&[u8], Op<'_>)]) {
    for (input, expected) in table {
        let shown = input.escape_ascii();
        let behind = [input, &b"PING\r\n"[..]].concat();
        let taken = parser().next(&behind).expect("no fault");
        assert_eq!(taken, (input.len(), Some(*expected)), "{shown}");
        // Without its last byte it is not complete.
        let mut parser = parser();
        let (len, op) = parser.next(&input[..input.len() - 1]).expect("no fault");
        assert_eq!(op, None, "{shown}");
        let (rest, op) = parser.next(&input[len..]).expect("no fault");
        assert_eq!((len + rest, op.is_some()), (input.len(), true), "{shown}");
    }
}

#[test]
fn faults() {
    for (input, fault) in [
        (&b"X"[..], Fault::Unknown),
        (b" PING", Fault::Unknown),
        (b"\r\n", Fault::Unknown),
        (b"PX", Fault::Unknown),
        (b"SUBx", Fault::Unknown),
        (b"PUB a 1\r\nxy", Fault::Unknown),
        (b"PUB a 1\r\nx\n", Fault::Unknown),
        (b"PUB a 101\r\n", Fault::PayloadTooLarge),
        (b"HPUB a 1 101\r\n", Fault::PayloadTooLarge),
    ] {
        let found = parser().next(input);
        assert_eq!(found, Err(fault), "{}", input.escape_ascii());
    }
    for input in [
        "PUB a\r\n",
        "PUB a b c 1\r\n",
        "PUB a -1\r\n",
        "PUB a 1234567890\r\n",
        "HPUB a 1\r\n",
        "HPUB a 2 1\r\n",
        "SUB a\r\n",
        "SUB \r\n",
        "SUB a b c 1\r\n",
        "UNSUB \r\n",
        "UNSUB 1 2 3\r\n",
        "-ERR x\r\n",
    ] {
        let found = parser().next(input.as_bytes());
        assert!(matches!(found, Err(Fault::Arguments(_))), "{input}");
    }
    let mut without = Parser::new(100, false);
    let found = without.next(b"HPUB a 1 1\r\nx\r\n");
    assert!(matches!(found, Err(Fault::Arguments(_))));
    let mut stranger = Parser::new(100, true);
    assert_eq!(stranger.next(b"PING\r\n"), Err(Fault::Unauthorized));
    assert!(Parser::new(100, true).next(b"CONNECT {}\r\n").is_ok());
}

/// What says nothing may be as long as it likes, and nothing is kept of it.
#[test]
fn long_lines() {
    let longest = "a".repeat(CONTROL_LINE_MAX - 2);
    assert!(
        parser()
            .next(format!("SUB {longest} 1\r\n").as_bytes())
            .is_ok()
    );
    for line in [
        format!("SUB {longest}a 1\r\n"),
        format!("SUB {longest}aaaaa"),
    ] {
        assert_eq!(parser().next(line.as_bytes()), Err(Fault::LineTooLong));
    }
    let mut parser = parser();
    for part in [&b"PING"[..], &[b'x'; 9_999], &[b'y'; 9_999]] {
        assert_eq!(parser.next(part), Ok((part.len(), None)));
    }
    assert_eq!(parser.next(b"\n"), Ok((1, Some(Op::Ping))));
    for part in [&b"SUB "[..], &[b' '; 9_999]] {
        assert_eq!(parser.next(part), Ok((part.len(), None)));
    }
    let (_, op) = parser.next(b"a 1\n").expect("no fault");
    assert!(matches!(op, Some(Op::Subscribe { .. })));
}
