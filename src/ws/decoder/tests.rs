use super::*;

const LIMIT: usize = 1000;

/// An event that no longer borrows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl From<Event<'_>> for Got {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message {
                is_text: true,
                data,
            } => Self::Text(String::from_utf8(data.into_owned()).unwrap()),
            Event::Message { data, .. } => Self::Binary(data.into_owned()),
            Event::Ping(data) => Self::Ping(data.to_vec()),
            Event::Pong(data) => Self::Pong(data.to_vec()),
            Event::Close { code, reason } => Self::Close(code, reason.to_owned()),
        }
    }
}

type Outcome = (Vec<Got>, Result<(), Violation>);

/// Gives the pieces to a decoder as a connection would.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Outcome {
    feed_to(Decoder::default(), pieces, limit)
}

fn feed_to<'a>(
    mut decoder: Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> Outcome {
    let mut inflater = Inflater::default();
    let mut buffer = Vec::new();
    let mut events = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let length = buffer.len();
            let consumed = match decoder.next(&mut buffer, limit, &mut inflater) {
                Err(violation) => {
                    let ignored = decoder.next(&mut buffer, limit, &mut inflater);
                    assert_eq!(ignored, Ok(Step::NeedMore { consumed: length }));
                    return (events, Err(violation));
                }
                Ok(Step::NeedMore { consumed }) => {
                    assert!(length - consumed < 140);
                    buffer.drain(..consumed);
                    break;
                }
                Ok(Step::Event { event, consumed }) => {
                    events.push(event.into());
                    consumed
                }
            };
            assert!(0 < consumed && consumed <= length);
            buffer.drain(..consumed);
        }
    }
    (events, Ok(()))
}

/// The outcome of an input, which must not depend on how it is cut.
fn outcome(input: &[u8], limit: usize) -> Outcome {
    let bytewise = feed(input.chunks(1), limit);
    for split in 0..=input.len() {
        let (front, back) = input.split_at(split);
        assert_eq!(
            feed([front, back], limit),
            bytewise,
            "cut at {split}: {input:?}"
        );
    }
    bytewise
}

/// A client's frame, with its length in the shortest form.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    masked(out, payload)
}

fn masked(mut out: Vec<u8>, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    out.extend_from_slice(&key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b));
    out
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

#[test]
fn reads_messages_and_control_frames() {
    let long = "x".repeat(300);
    let close = |code: u16, reason: &str| [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    let table: [(&[Vec<u8>], &[Got]); 9] = [
        (&[], &[]),
        (&[frame(0x81, b"Hello")], &[text("Hello")]),
        (
            &[
                frame(0x81, b""),
                frame(0x82, b"\xff\x00"),
                frame(0x89, b"ping"),
                frame(0x8a, b""),
                frame(0x81, long.as_bytes()),
            ],
            &[
                text(""),
                Got::Binary(b"\xff\x00".to_vec()),
                Got::Ping(b"ping".to_vec()),
                Got::Pong(Vec::new()),
                text(&long),
            ],
        ),
        // Control frames between fragments; fragments of any length, cut within a
        // character.
        (
            &[
                frame(0x01, b"a\xe2"),
                frame(0x89, &[7; 125]),
                frame(0x00, b""),
                frame(0x8a, b"p"),
                frame(0x00, b"\x82"),
                frame(0x80, b"\xacz"),
                frame(0x02, b""),
                frame(0x80, b""),
            ],
            &[
                Got::Ping(vec![7; 125]),
                Got::Pong(b"p".to_vec()),
                text("a\u{20ac}z"),
                Got::Binary(Vec::new()),
            ],
        ),
        (
            &[frame(0x02, long.as_bytes()), frame(0x80, b"\xff")],
            &[Got::Binary([long.as_bytes(), b"\xff"].concat())],
        ),
        (&[frame(0x88, b"")], &[Got::Close(None, String::new())]),
        (
            &[frame(0x88, &close(1000, ""))],
            &[Got::Close(Some(1000), String::new())],
        ),
        // Nothing after a close counts, even if it is wrong.
        (
            &[
                frame(0x81, b"a"),
                frame(0x88, &close(4999, "\u{f6}")),
                frame(0x81, b"b"),
                vec![0xff; 20],
            ],
            &[text("a"), Got::Close(Some(4999), "\u{f6}".to_owned())],
        ),
        // A close within a fragmented message.
        (
            &[frame(0x01, b"a"), frame(0x88, b"")],
            &[Got::Close(None, String::new())],
        ),
    ];
    for (frames, expected) in table {
        let (events, end) = outcome(&frames.concat(), LIMIT);
        assert_eq!(events, expected);
        assert_eq!(end, Ok(()));
    }
}

#[test]
fn says_what_is_wrong() {
    use Violation as V;
    let length = |bytes: &[u8]| masked(bytes.to_vec(), b"");
    let table: [(Vec<u8>, Violation); 34] = [
        (vec![0xc1], V::ReservedBits),
        (vec![0xa1], V::ReservedBits),
        (vec![0x91], V::ReservedBits),
        (vec![0x83], V::ReservedOpcode),
        (vec![0x87], V::ReservedOpcode),
        (vec![0x8b], V::ReservedOpcode),
        (vec![0x8f], V::ReservedOpcode),
        (vec![0x08], V::FragmentedControl),
        (vec![0x09], V::FragmentedControl),
        (vec![0x0a], V::FragmentedControl),
        (vec![0x88, 0xfe], V::LongControl),
        (vec![0x89, 0xff], V::LongControl),
        (vec![0x81, 0x00], V::Unmasked),
        (vec![0x89, 0x7e], V::Unmasked),
        (length(&[0x81, 0xfe, 0, 125]), V::Length),
        (
            length(&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            V::Length,
        ),
        (length(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), V::Length),
        (
            length(&[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            V::Length,
        ),
        // Said before key and payload are there.
        (vec![0x81, 0xfe, 0x03, 0xe9], V::TooBig),
        (vec![0x01, 0xff, 0, 0, 0, 0, 0, 1, 0, 0], V::TooBig),
        (
            vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            V::TooBig,
        ),
        (
            [frame(0x01, &[b'a'; 999]), vec![0x80, 0x82]].concat(),
            V::TooBig,
        ),
        (vec![0x80], V::UnexpectedContinuation),
        (vec![0x00], V::UnexpectedContinuation),
        (
            [frame(0x01, b"a"), frame(0x80, b"b"), vec![0x80]].concat(),
            V::UnexpectedContinuation,
        ),
        (
            [frame(0x01, b"a"), vec![0x81]].concat(),
            V::ExpectedContinuation,
        ),
        (
            [frame(0x02, b"a"), vec![0x01]].concat(),
            V::ExpectedContinuation,
        ),
        (frame(0x81, b"a\xff"), V::Text),
        (frame(0x81, b"a\xc3"), V::Text),
        ([frame(0x01, b"a\xc3"), frame(0x80, b"b")].concat(), V::Text),
        ([frame(0x01, b"a\xc3"), frame(0x80, b"")].concat(), V::Text),
        (frame(0x88, b"\x03"), V::CloseCode),
        (frame(0x88, b"\x03\xe8\xff"), V::CloseReason),
        (frame(0x88, b"\x03\xed"), V::CloseCode),
    ];
    for (input, expected) in table {
        let (events, end) = outcome(&input, LIMIT);
        assert_eq!(end, Err(expected), "{input:?}");
        assert!(events.len() < 2);
    }
}

/// Text that can no longer become UTF-8 is refused before the frame is complete.
#[test]
fn text_fails_fast() {
    let long = frame(0x81, &[b"a\xf4\x90".as_slice(), &[b'b'; 500]].concat());
    assert_eq!(feed([&long[..10]], LIMIT).1, Ok(()));
    assert_eq!(feed([&long[..11]], LIMIT).1, Err(Violation::Text));
    assert_eq!(feed(long[..11].chunks(1), LIMIT).1, Err(Violation::Text));
}

#[test]
fn messages_may_have_just_the_limit() {
    let whole = frame(0x82, &[1; LIMIT]);
    let parts = [
        frame(0x02, &[1; 400]),
        frame(0x00, &[1; 600]),
        frame(0x80, b""),
    ]
    .concat();
    for input in [whole, parts] {
        let expected = [Got::Binary(vec![1; LIMIT])];
        assert_eq!(outcome(&input, LIMIT), (expected.to_vec(), Ok(())));
    }
    // Control frames have their own limit.
    let ping = frame(0x89, &[1; 125]);
    assert_eq!(outcome(&ping, 3).0, [Got::Ping(vec![1; 125])]);
}

#[test]
fn knows_the_close_codes() {
    for code in 0..=u16::MAX {
        let is_valid = match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(()),
            _ => Err(Violation::CloseCode),
        };
        assert_eq!(
            feed([&frame(0x88, &code.to_be_bytes())[..]], LIMIT).1,
            is_valid,
            "{code}"
        );
    }
}

#[test]
fn a_whole_message_is_not_copied() {
    let mut input = frame(0x81, b"whole");
    match Decoder::default().next(&mut input, LIMIT, &mut Inflater::default()) {
        Ok(Step::Event {
            event: Event::Message { data, .. },
            consumed,
        }) => {
            assert!(matches!(data, Cow::Borrowed(b"whole")));
            assert_eq!(consumed, 11);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_idle_connection_costs_sixteen_bytes() {
    assert!(size_of::<Decoder>() <= 16);
    let mut decoder = Decoder::default();
    let mut input = [frame(0x01, b"a"), frame(0x80, b"b")].concat();
    let first = decoder.next(&mut input[..8], LIMIT, &mut Inflater::default());
    assert_eq!(first, Ok(Step::NeedMore { consumed: 7 }));
    assert!(decoder.is_partial());
    assert!(matches!(
        decoder.next(&mut input[7..], LIMIT, &mut Inflater::default()),
        Ok(Step::Event { consumed: 7, .. })
    ));
    assert!(!decoder.is_partial());
}

/// A decoder that copied or checked old bytes again would take hours for this.
#[test]
fn large_messages_in_small_pieces_cost_no_more() {
    const SIZE: usize = 1024 * 1024;
    let body = "\u{20ac}".repeat(SIZE / 3);
    let whole = frame(0x81, body.as_bytes());
    assert_eq!(feed(whole.chunks(1), SIZE).0, [text(&body)]);

    let mut fragments = Vec::new();
    fragments.extend(frame(0x01, b""));
    for byte in body.as_bytes().chunks(1) {
        fragments.extend(frame(0x00, byte));
    }
    fragments.extend(frame(0x80, b""));
    assert_eq!(feed(fragments.chunks(64), SIZE).0, [text(&body)]);
}

/// Random messages, cut into random fragments with pings between, in random pieces.
#[test]
fn survives_random_fragmentation() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    for _ in 0..500 {
        let mut input = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..random(6) {
            let length = [random(10), random(300), random(LIMIT)][random(3)];
            let is_text = random(2) == 0;
            let payload: Vec<u8> = match is_text {
                true => "a\u{f6}\u{20ac}\u{1f600}"
                    .bytes()
                    .cycle()
                    .take(length - length % 10),
                false => "\u{7f}\u{ff}".bytes().cycle().take(length),
            }
            .collect();
            let mut first = if is_text { 1 } else { 2 };
            let mut rest = &payload[..];
            while random(3) > 0 {
                let (part, after) = rest.split_at(random(rest.len() + 1));
                input.extend(frame(first, part));
                first = 0;
                rest = after;
                if random(2) == 0 {
                    let ping = vec![random(256) as u8; random(126)];
                    input.extend(frame(0x89, &ping));
                    expected.push(Got::Ping(ping));
                }
            }
            input.extend(frame(0x80 | first, rest));
            expected.push(match is_text {
                true => Got::Text(String::from_utf8(payload).unwrap()),
                false => Got::Binary(payload),
            });
        }
        let mut pieces = Vec::new();
        let mut rest = &input[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random(rest.len()).min(random(200)));
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(feed(pieces, LIMIT), (expected, Ok(())));
    }
}

#[test]
fn violations_have_their_close_code() {
    use Violation as V;
    let table = [
        (V::ReservedBits, 1002),
        (V::ReservedOpcode, 1002),
        (V::FragmentedControl, 1002),
        (V::LongControl, 1002),
        (V::Unmasked, 1002),
        (V::Length, 1002),
        (V::UnexpectedContinuation, 1002),
        (V::ExpectedContinuation, 1002),
        (V::TooBig, 1009),
        (V::Text, 1007),
        (V::CloseCode, 1002),
        (V::CloseReason, 1007),
    ];
    for (violation, code) in table {
        assert_eq!(violation.close_code(), code);
    }
}

/// A decoder for a connection that agreed on compression.
fn packed() -> Decoder {
    let agreement = super::super::extension::negotiate([&b"permessage-deflate"[..]].into_iter());
    assert!(agreement.is_some());
    Decoder::new(agreement)
}

/// The outcome of an input of a connection that agreed on compression.
fn compressed_outcome(input: &[u8], limit: usize) -> Outcome {
    let bytewise = feed_to(packed(), input.chunks(1), limit);
    for split in 0..=input.len() {
        let (front, back) = input.split_at(split);
        assert_eq!(
            feed_to(packed(), [front, back], limit),
            bytewise,
            "cut at {split}: {input:?}"
        );
    }
    bytewise
}

/// "Hello" compressed (RFC 7692, 7.2.3.1).
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[test]
fn reads_compressed_messages() {
    let mut deflater = super::super::Deflater::default();
    let long = "abcdefgh".repeat(120);
    let packed = deflater.deflate(long.as_bytes()).unwrap();
    let (front, back) = packed.split_at(packed.len() / 2);
    let table: [(&[Vec<u8>], &[Got]); 6] = [
        (&[frame(0xc1, HELLO)], &[text("Hello")]),
        (
            &[frame(0xc2, HELLO), frame(0x81, b"plain")],
            &[Got::Binary(b"Hello".to_vec()), text("plain")],
        ),
        // Fragments, a control frame and an empty fragment between.
        (
            &[
                frame(0x41, &HELLO[..3]),
                frame(0x89, b"ping"),
                frame(0x00, b""),
                frame(0x80, &HELLO[3..]),
            ],
            &[Got::Ping(b"ping".to_vec()), text("Hello")],
        ),
        (
            &[frame(0x41, front), frame(0x80, back), frame(0x81, b"x")],
            &[text(&long), text("x")],
        ),
        // Plain fragments are no less allowed.
        (
            &[frame(0x01, b"a"), frame(0x80, b"b"), frame(0xc1, HELLO)],
            &[text("ab"), text("Hello")],
        ),
        // An empty message, and one of two compressed runs.
        (
            &[
                frame(0xc1, b"\0"),
                frame(0xc1, &[HELLO, b"\0\0\xff\xff", HELLO].concat()),
            ],
            &[text(""), text("HelloHello")],
        ),
    ];
    for (frames, events) in table {
        let outcome = compressed_outcome(&frames.concat(), LIMIT);
        assert_eq!(outcome, (events.to_vec(), Ok(())));
    }
}

#[test]
fn refuses_wrong_compression() {
    let mut deflater = super::super::Deflater::default();
    let mut pack = |message: &[u8]| deflater.deflate(message).unwrap();
    let bomb = pack(&vec![b' '; 8 << 20]);
    let two_bytes_over = pack(&[b'x'; LIMIT + 1]);
    let not_text = pack(&b"\xff".repeat(90));
    let table: [(&[Vec<u8>], Violation); 11] = [
        // RSV1 belongs to the first frame of a message, and to no control frame.
        (
            &[frame(0x41, &HELLO[..3]), frame(0xc0, &HELLO[3..])],
            Violation::ReservedBits,
        ),
        (&[frame(0xc9, b"")], Violation::ReservedBits),
        (&[frame(0xc8, b"")], Violation::ReservedBits),
        (&[frame(0xa1, HELLO)], Violation::ReservedBits),
        (&[frame(0xd1, HELLO)], Violation::ReservedBits),
        (&[frame(0xc3, b"")], Violation::ReservedOpcode),
        (&[frame(0xc1, b"\xff\xff\xff")], Violation::Compression),
        (&[frame(0xc1, &not_text)], Violation::Text),
        (&[frame(0xc1, &two_bytes_over)], Violation::TooBig),
        (
            &[frame(0x41, &bomb[..500]), frame(0x80, &bomb[500..1_000])],
            Violation::TooBig,
        ),
        // The compressed form itself is too long.
        (&[frame(0xc1, &[0; LIMIT + 70])], Violation::TooBig),
    ];
    for (frames, violation) in table {
        let outcome = compressed_outcome(&frames.concat(), LIMIT);
        assert_eq!(outcome, (vec![], Err(violation)));
    }
    // Without agreement it is no compression.
    let outcome = outcome(&frame(0xc1, HELLO), LIMIT);
    assert_eq!(outcome, (vec![], Err(Violation::ReservedBits)));
}

#[test]
fn a_server_does_not_mask() {
    let read = |bytes: &[u8]| {
        let mut input = bytes.to_vec();
        let mut decoder = Decoder::of_server();
        let mut got = Vec::new();
        let mut at = 0;
        loop {
            match decoder.next(&mut input[at..], LIMIT, &mut Inflater::default())? {
                Step::NeedMore { .. } => return Ok(got),
                Step::Event { event, consumed } => {
                    at += consumed;
                    got.push(format!("{event:?}"));
                }
            }
        }
    };
    let frames = b"\x81\x02hi\x01\x01a\x89\x01p\x80\x01b\x88\x02\x03\xe8";
    let got = read(frames).expect("a server's frames");
    assert_eq!(got.len(), 4, "{got:?}");
    for (event, part) in got.iter().zip(["104, 105", "Ping", "97, 98", "1000"]) {
        assert!(event.contains(part), "{event}");
    }
    assert_eq!(read(b"\x81\x82abcdhi"), Err(Violation::Masked));
    // Cut at any place, nothing is refused and nothing comes too early.
    for end in 0..frames.len() {
        let part = read(&frames[..end]).expect("the beginning of a server's frames");
        assert_eq!(part[..], got[..part.len()]);
    }
}
