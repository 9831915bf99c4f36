use super::*;
use crate::nats::Parser;

const INFO: &[u8] =
    b"INFO {\"server_id\":\"S\",\"version\":\"2.10.4\",\"headers\":true,\"max_payload\":1000}\r\n";

fn options() -> Options {
    Options {
        name: "test".into(),
        version: "0.1".into(),
        ..Options::default()
    }
}

/// A client with its parser and what they did.
struct Driver {
    client: Client,
    parser: Parser,
    buffer: Vec<u8>,
    out: Vec<u8>,
    events: Vec<String>,
}

impl Driver {
    fn new(options: Options) -> Self {
        Self {
            client: Client::new(options, 1000),
            parser: Parser::default(),
            buffer: Vec::new(),
            out: Vec::new(),
            events: Vec::new(),
        }
    }

    fn ready() -> Self {
        let mut driver = Self::new(options());
        driver.feed(INFO, 1000).unwrap();
        driver.feed(b"PONG\r\n", 1000).unwrap();
        assert_eq!(driver.client.phase(), Phase::Ready);
        driver.events.clear();
        driver.out.clear();
        driver
    }

    fn feed(&mut self, bytes: &[u8], now_ms: u64) -> Result<(), ClientError> {
        self.client.received();
        self.buffer.extend_from_slice(bytes);
        let mut at = 0;
        let result = loop {
            match self.parser.next(&self.buffer[at..]) {
                Ok(Some((taken, op))) => {
                    at += taken;
                    match self.client.handle(op, now_ms, &mut self.out) {
                        Ok(Some(event)) => self.events.push(format!("{event:?}")),
                        Ok(None) => {}
                        Err(error) => break Err(error),
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        self.buffer.drain(..at);
        result
    }

    fn out(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }
}

#[test]
fn tls_may_come_before_info() {
    let mut driver = Driver::new(Options {
        tls: true,
        tls_first: true,
        ..options()
    });
    assert_eq!(driver.client.phase(), Phase::AwaitingTls);
    driver.client.secured(&mut driver.out);
    assert_eq!(driver.client.phase(), Phase::AwaitingInfo);
    assert_eq!(driver.out(), "");
    // It is not asked for again, whatever the server says of it.
    driver.client.secured(&mut driver.out);
    let info = b"INFO {\"headers\":true,\"tls_required\":true}\r\n";
    driver.feed(info, 1000).unwrap();
    assert_eq!(driver.client.phase(), Phase::AwaitingPong);
    assert!(driver.out().contains("\"tls_required\":true"));
    assert!(driver.out().ends_with("PING\r\n"));
    driver.feed(b"PONG\r\n", 1000).unwrap();
    assert_eq!(driver.events, ["Connected"]);
    // Without TLS nothing counts.
    let mut driver = Driver::new(Options {
        tls_first: true,
        ..options()
    });
    driver.feed(INFO, 1000).unwrap_err();
}

#[test]
fn a_session_cut_at_every_byte() {
    let stream = [
        INFO,
        b"PONG\r\n",
        b"PING\r\n+OK\r\n",
        b"MSG a.b 3 r 2\r\nhi\r\n",
        b"INFO {\"headers\":true,\"ldm\":true}\r\n",
        b"-ERR 'Permissions Violation for Publish to \"x\"'\r\n",
        b"HMSG in.1 4 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
        b"-ERR 'Slow Consumer'\r\n",
        b"PING\r\n",
    ]
    .concat();
    let run = |chunks: &[&[u8]]| {
        let mut driver = Driver::new(options());
        let error = chunks
            .iter()
            .find_map(|chunk| driver.feed(chunk, 1000).err());
        (driver.events, driver.out, error, driver.client.phase())
    };
    let whole = run(&[&stream]);
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(run(&[a, b]), whole, "cut at {cut}");
    }
    assert_eq!(run(&stream.chunks(1).collect::<Vec<_>>()), whole);

    let (events, out, error, phase) = whole;
    let message = |m: Message<'_>| format!("{:?}", Event::Message(m));
    assert_eq!(
        events,
        [
            "Connected".to_owned(),
            message(Message {
                sid: 3,
                subject: b"a.b",
                reply: Some(b"r"),
                status: None,
                headers: b"",
                payload: b"hi",
            }),
            "InfoChanged".to_owned(),
            r#"Refused { what: Publish([120]), text: "Permissions Violation for Publish to \"x\"" }"#
                .to_owned(),
            message(Message {
                sid: 4,
                subject: b"in.1",
                reply: None,
                status: Some(503),
                headers: b"NATS/1.0 503\r\n\r\n",
                payload: b"",
            }),
        ]
    );
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"name\":\"test\",\
         \"lang\":\"rust\",\"version\":\"0.1\",\"protocol\":1,\"echo\":true,\"headers\":true,\
         \"no_responders\":true}\r\nPING\r\nPONG\r\n"
    );
    assert_eq!(
        error,
        Some(ClientError::Server {
            text: "Slow Consumer".into(),
            phase: Phase::Ready
        })
    );
    assert_eq!(phase, Phase::Closed);
}

#[test]
fn phases_of_connecting() {
    let mut driver = Driver::new(options());
    assert_eq!(driver.client.phase(), Phase::AwaitingInfo);
    assert_eq!(driver.client.next_timeout(), Some(3000));
    driver.feed(INFO, 1500).unwrap();
    assert_eq!(driver.client.phase(), Phase::AwaitingPong);
    assert_eq!(driver.client.next_timeout(), Some(3000));
    assert_eq!(driver.client.info().version, "2.10.4");
    // A server may answer CONNECT with a further INFO.
    driver
        .feed(
            b"INFO {\"version\":\"2.11.0\",\"max_payload\":5}\r\nPING\r\n",
            1500,
        )
        .unwrap();
    assert_eq!(driver.events, [""; 0]);
    assert!(
        driver.out().ends_with("PING\r\nPONG\r\n"),
        "{}",
        driver.out()
    );
    driver.feed(b"PONG\r\n", 2999).unwrap();
    assert_eq!(driver.events, ["Connected"]);
    assert_eq!(driver.client.info().max_payload(), 5);
    assert_eq!(driver.client.next_timeout(), Some(12_999));
}

#[test]
fn an_unchanged_info_is_no_news() {
    let mut driver = Driver::ready();
    driver.feed(INFO, 2000).unwrap();
    assert_eq!(driver.events, [""; 0]);
    driver.feed(b"INFO {}\r\n", 2000).unwrap();
    assert_eq!(driver.events, ["InfoChanged"]);
}

#[test]
fn errors_while_connecting() {
    let unexpected = |op, phase| ClientError::Unexpected { op, phase };
    let server = |text: &str, phase| ClientError::Server {
        text: text.into(),
        phase,
    };
    let authorization = |text: &str| ClientError::Authorization {
        text: text.into(),
        had_credentials: false,
    };
    let info = Phase::AwaitingInfo;
    let pong = Phase::AwaitingPong;
    let table: &[(bool, &[u8], ClientError)] = &[
        (false, b"PING\r\n", unexpected("PING", info)),
        (false, b"PONG\r\n", unexpected("PONG", info)),
        (false, b"+OK\r\n", unexpected("+OK", info)),
        (false, b"MSG a 1 0\r\n\r\n", unexpected("MSG", info)),
        (true, b"MSG a 1 0\r\n\r\n", unexpected("MSG", pong)),
        (
            false,
            b"INFO {\"tls_required\":true}\r\nPING\r\n",
            unexpected("PING", Phase::AwaitingTls),
        ),
        (
            false,
            b"INFO {\"tls_required\":true}\r\nINFO {}\r\n",
            unexpected("INFO", Phase::AwaitingTls),
        ),
        (
            false,
            b"-ERR 'maximum connections exceeded'\r\n",
            server("maximum connections exceeded", info),
        ),
        (
            true,
            b"-ERR 'invalid client protocol'\r\n",
            server("invalid client protocol", pong),
        ),
        (
            true,
            b"-ERR 'Permissions Violation'\r\n",
            server("Permissions Violation", pong),
        ),
        (
            true,
            b"-ERR 'Authorization Violation'\r\n",
            authorization("Authorization Violation"),
        ),
        (
            true,
            b"-ERR 'Authentication Timeout'\r\n",
            authorization("Authentication Timeout"),
        ),
        (
            true,
            b"-ERR 'User Authentication Expired'\r\n",
            authorization("User Authentication Expired"),
        ),
        (true, b"-ERR\r\n", server("", pong)),
    ];
    for (after_info, bytes, expected) in table {
        let mut driver = Driver::new(options());
        if *after_info {
            driver.feed(INFO, 1000).unwrap();
        }
        let got = driver.feed(bytes, 1000);
        assert_eq!(got.as_ref(), Err(expected), "{}", bytes.escape_ascii());
        assert_eq!(driver.client.phase(), Phase::Closed);
        assert_eq!(driver.client.next_timeout(), None);
        assert_eq!(driver.feed(b"PING\r\n", 1000), Err(ClientError::Closed));
    }
}

#[test]
fn an_info_that_cannot_be_read_ends_the_connection() {
    for bytes in [&b"INFO\r\n"[..], b"INFO {\r\n", b"INFO {\"headers\":3}\r\n"] {
        let error = Driver::new(options()).feed(bytes, 1000).unwrap_err();
        assert!(matches!(error, ClientError::BadInfo(_)), "{error:?}");
    }
}

#[test]
fn errors_while_ready() {
    let fatal = |text: &str| {
        Err(ClientError::Server {
            text: text.to_owned(),
            phase: Phase::Ready,
        })
    };
    let too_long = |text: &str, what| {
        let text = text.to_owned();
        Err(ClientError::TooLong { what, text })
    };
    let refused = |text: &str| {
        let what = Refused::read(text.as_bytes()).expect("it names what it refuses");
        let text = text.into();
        Ok(format!("{:?}", Event::Refused { what, text }))
    };
    let table = [
        ("Stale Connection", fatal("Stale Connection")),
        ("Slow Consumer", fatal("Slow Consumer")),
        (
            "Maximum Payload Violation",
            too_long("Maximum Payload Violation", TooLong::Payload),
        ),
        (
            "Unknown Protocol Operation",
            fatal("Unknown Protocol Operation"),
        ),
        (
            "maximum control line exceeded",
            too_long("maximum control line exceeded", TooLong::ControlLine),
        ),
        (
            "Account Authentication Expired",
            Err(ClientError::Authorization {
                text: "Account Authentication Expired".into(),
                had_credentials: false,
            }),
        ),
        (
            "permissions violation for x",
            refused("permissions violation for x"),
        ),
        (
            "Permissions Violation for Subscription to \"a.>\"",
            refused("Permissions Violation for Subscription to \"a.>\""),
        ),
        (
            "maximum subscriptions exceeded",
            refused("maximum subscriptions exceeded"),
        ),
        ("Invalid Subject", refused("Invalid Subject")),
        (
            "Invalid Publish Subject",
            refused("Invalid Publish Subject"),
        ),
    ];
    for (text, expected) in table {
        let mut driver = Driver::ready();
        let got = driver.feed(format!("-ERR '{text}'\r\n").as_bytes(), 1000);
        assert_eq!(got.map(|()| driver.events.concat()), expected, "{text}");
        let phase = if expected.is_ok() {
            Phase::Ready
        } else {
            Phase::Closed
        };
        assert_eq!(driver.client.phase(), phase, "{text}");
    }
}

#[test]
fn connecting_takes_too_long() {
    for (after_info, phase) in [(false, Phase::AwaitingInfo), (true, Phase::AwaitingPong)] {
        let mut driver = Driver::new(options());
        if after_info {
            driver.feed(INFO, 2998).unwrap();
        }
        driver.client.timeout(2999, &mut Vec::new()).unwrap();
        assert_eq!(
            driver.client.timeout(3000, &mut Vec::new()),
            Err(ClientError::ConnectTimeout { ms: 2000, phase })
        );
        assert_eq!(driver.client.phase(), Phase::Closed);
        assert_eq!(driver.client.next_timeout(), None);
        driver.client.timeout(9999, &mut Vec::new()).unwrap();
    }
}

fn timeout(driver: &mut Driver, now: u64) -> Result<String, ClientError> {
    driver.out.clear();
    driver
        .client
        .timeout(now, &mut driver.out)
        .map(|()| driver.out().to_owned())
}

#[test]
fn pings_and_a_stale_connection() {
    let mut driver = Driver::ready();
    assert_eq!(driver.client.next_timeout(), Some(11_000));
    assert_eq!(timeout(&mut driver, 10_999).as_deref(), Ok(""));
    assert_eq!(timeout(&mut driver, 11_000).as_deref(), Ok("PING\r\n"));
    assert_eq!(driver.client.next_timeout(), Some(21_000));
    assert_eq!(timeout(&mut driver, 11_000).as_deref(), Ok(""));
    // An answer that comes late makes good for what was.
    driver.feed(b"PONG\r\n", 20_999).unwrap();
    assert_eq!(driver.events, ["Pong"]);
    // A late call does not make the next one early.
    assert_eq!(timeout(&mut driver, 21_500).as_deref(), Ok("PING\r\n"));
    assert_eq!(driver.client.next_timeout(), Some(31_500));
    assert_eq!(timeout(&mut driver, 31_499).as_deref(), Ok(""));
    assert_eq!(
        timeout(&mut driver, 31_500),
        Err(ClientError::Stale { ms: 10_000 })
    );
    assert_eq!(driver.client.next_timeout(), None);
}

/// Whatever a server has sent last, it is given up within two intervals.
#[test]
fn silence_is_noticed_within_two_intervals() {
    for last in [1_000, 1_001, 6_000, 10_999, 11_000, 11_001, 15_000, 20_999] {
        let mut driver = Driver::ready();
        let (mut end, mut was_heard) = (None, false);
        for now in 1_000..60_000 {
            if now == last {
                driver.feed(b"PING\r\n", now).unwrap();
                was_heard = true;
            }
            if timeout(&mut driver, now).is_err() {
                end = Some(now);
                break;
            }
        }
        assert!(was_heard);
        let silence = end.expect("it is given up") - last;
        assert!((10_000..=20_000).contains(&silence), "{last}: {silence}");
    }
}

#[test]
fn a_probe_asks_at_once_and_has_half_of_the_time() {
    let mut driver = Driver::ready();
    let probe = |driver: &mut Driver, now| {
        driver.out.clear();
        driver.client.probe(now, &mut driver.out);
        driver.out().to_owned()
    };
    // Also when the next PING would have been due in a moment.
    assert_eq!(probe(&mut driver, 10_999), "PING\r\n");
    assert_eq!(driver.client.next_timeout(), Some(15_999));
    assert_eq!(probe(&mut driver, 11_000), "", "it is asked");
    driver.feed(b"PONG\r\n", 12_000).unwrap();
    assert_eq!(timeout(&mut driver, 15_999).as_deref(), Ok("PING\r\n"));
    assert_eq!(driver.client.next_timeout(), Some(25_999));
    driver.feed(b"PONG\r\n", 16_000).unwrap();
    assert_eq!(probe(&mut driver, 17_000), "PING\r\n");
    assert_eq!(
        timeout(&mut driver, 22_000),
        Err(ClientError::Stale { ms: 5_000 })
    );
    assert_eq!(probe(&mut driver, 23_000), "", "it is over");
    let mut connecting = Driver::new(options());
    assert_eq!(probe(&mut connecting, 1_500), "");
}

/// A server may have so much to send that its PONGs are minutes behind.
#[test]
fn any_byte_is_a_sign_of_life() {
    let mut driver = Driver::ready();
    // One message whose bytes come one in a second, then whole ones; no PONG.
    let long = [&b"MSG a 1 170\r\n"[..], &[b'x'; 170], b"\r\n"].concat();
    let (mut now, mut pings) = (1_000, 0);
    let mut second = |driver: &mut Driver, bytes: &[u8]| {
        now += 1_000;
        driver.feed(bytes, now).unwrap();
        driver.out.clear();
        driver.client.timeout(now, &mut driver.out).unwrap();
        pings += u32::from(driver.out == b"PING\r\n");
    };
    for byte in &long {
        second(&mut driver, &[*byte]);
    }
    assert_eq!(driver.events.len(), 1);
    for _ in 0..360 {
        second(&mut driver, b"MSG a 1 2\r\nhi\r\n");
    }
    assert_eq!((driver.events.len(), pings), (361, 54));
    // Silence from now on is the end, after a PING.
    let due = driver.client.next_timeout().unwrap();
    assert_eq!(driver.client.timeout(due, &mut driver.out), Ok(()));
    let due = driver.client.next_timeout().unwrap();
    assert_eq!(
        driver.client.timeout(due, &mut driver.out),
        Err(ClientError::Stale { ms: 10_000 })
    );
}

#[test]
fn pings_can_be_off_and_time_does_not_overflow() {
    let mut driver = Driver::new(Options {
        ping_interval_ms: 0,
        ..options()
    });
    driver.feed(INFO, 1000).unwrap();
    driver.feed(b"PONG\r\n", 1000).unwrap();
    assert_eq!(driver.client.next_timeout(), None);
    driver.client.timeout(u64::MAX, &mut driver.out).unwrap();

    let client = Client::new(options(), u64::MAX - 1);
    assert_eq!(client.next_timeout(), Some(u64::MAX));
    driver.out.clear();
    driver.client.probe(5_000, &mut driver.out);
    assert_eq!(driver.out(), "", "they are off");
}

#[test]
fn a_lost_connection() {
    let mut driver = Driver::ready();
    assert_eq!(
        driver.client.disconnected(),
        ClientError::Disconnected {
            phase: Phase::Ready
        }
    );
    assert_eq!(driver.client.disconnected(), ClientError::Closed);
    assert_eq!(driver.feed(b"PING\r\n", 1000), Err(ClientError::Closed));

    let mut client = Client::new(options(), 0);
    assert_eq!(
        client.disconnected(),
        ClientError::Disconnected {
            phase: Phase::AwaitingInfo
        }
    );
}

#[test]
fn tls_begins_when_either_side_wants_it() {
    let table = [
        (false, "{}", false),
        (false, "{\"tls_available\":true}", false),
        (false, "{\"tls_required\":true}", true),
        (true, "{\"tls_available\":true}", true),
        (true, "{\"tls_required\":true}", true),
    ];
    for (wanted, info, tls) in table {
        let mut driver = Driver::new(Options {
            tls: wanted,
            ..options()
        });
        driver
            .feed(format!("INFO {info}\r\n").as_bytes(), 1000)
            .unwrap();
        if tls {
            assert_eq!(driver.events, ["StartTls"], "{wanted} {info}");
            assert_eq!(driver.client.phase(), Phase::AwaitingTls);
            // Nothing may be said before TLS.
            assert_eq!(driver.out(), "");
            driver.client.secured(&mut driver.out);
        }
        let said = format!("\"tls_required\":{tls},");
        assert!(
            driver.out().contains(&said),
            "{wanted} {info}: {}",
            driver.out()
        );
        assert!(driver.out().ends_with("}\r\nPING\r\n"));
        driver.out.clear();
        // A second time it says nothing.
        driver.client.secured(&mut driver.out);
        assert_eq!(driver.out(), "");
        driver.feed(b"PONG\r\n", 1000).unwrap();
        assert_eq!(driver.client.phase(), Phase::Ready);
    }
    let mut driver = Driver::new(Options {
        tls: true,
        ..options()
    });
    assert_eq!(
        driver.feed(b"INFO {}\r\n", 1000),
        Err(ClientError::TlsUnavailable)
    );
    assert_eq!(driver.client.phase(), Phase::Closed);
}

#[test]
fn a_handshake_that_lasts_too_long_is_given_up() {
    let mut driver = Driver::new(options());
    driver
        .feed(b"INFO {\"tls_required\":true}\r\n", 1000)
        .unwrap();
    let error = driver.client.timeout(3000, &mut driver.out).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("did not finish the TLS handshake within 2000 ms"),
        "{error}"
    );
}

#[test]
fn messages_say_what_to_do() {
    let refused = |had_credentials| ClientError::Authorization {
        text: "Authorization Violation".into(),
        had_credentials,
    };
    let phase = Phase::AwaitingInfo;
    for (error, words) in [
        (
            refused(true),
            "check user name and password, or token, in the NATS URL",
        ),
        (
            refused(false),
            "requires credentials (\"Authorization Violation\"); put them in",
        ),
        (
            ClientError::TlsUnavailable,
            "does not offer TLS, which a tls:// URL",
        ),
        (
            ClientError::ConnectTimeout { ms: 2000, phase },
            "did not send INFO within 2000 ms; one that expects TLS first",
        ),
        (
            ClientError::Unexpected { op: "PONG", phase },
            "sent PONG before INFO",
        ),
        (
            ClientError::Stale { ms: 7 },
            "nothing came for 7 ms after a PING",
        ),
        (
            ClientError::Server {
                text: "Slow Consumer".into(),
                phase: Phase::Ready,
            },
            "ended the connection (\"Slow Consumer\")",
        ),
        (
            ClientError::Protocol(ProtocolError::PayloadEnd),
            "does not end where its size says",
        ),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// Control characters in the server's words reach neither a message nor an event.
#[test]
fn who_is_refused_is_told_whether_credentials_were_shown() {
    let token = Credentials::Token("t".into());
    let key = || UserCredentials::parse(nkeys::KeyPair::new_user().seed().unwrap().as_bytes()).ok();
    assert!(key().is_some());
    for (credentials, user, had) in [
        (Credentials::None, None, false),
        (token.clone(), None, true),
        (Credentials::None, key(), true),
        (token, key(), true),
    ] {
        let mut driver = Driver::new(Options {
            credentials,
            user,
            ..options()
        });
        let refused = driver.feed(b"-ERR 'Authorization Violation'\r\n", 1_000);
        let expected = Err(ClientError::Authorization {
            text: "Authorization Violation".into(),
            had_credentials: had,
        });
        assert_eq!(refused, expected);
    }
}

#[test]
fn server_words_are_made_printable() {
    let mut driver = Driver::ready();
    driver
        .feed(b"-ERR 'Permissions Violation \x1b[2J'\r\n", 1000)
        .unwrap();
    assert!(
        driver.events[0].contains("\\\\u{1b}[2J"),
        "{}",
        driver.events[0]
    );
}
