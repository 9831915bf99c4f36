//! RFC 6455: the upgrade, frames, fragments, control frames, violations, closing.

use crate::common::*;

const VERSION: &[u8] = br#"{"id":1,"method":"version"}"#;
const ANSWER: &str = r#"{"id":1,"result":{"protocol":"1.2.3"}}"#;

const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const V13: &str = "Sec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn the_upgrade_is_accepted_with_the_key_of_the_rfc() {
    for headers in [
        [UPGRADE, CONNECTION, V13, KEY].concat(),
        [
            "upgrade: WebSocket\r\n",
            "connection: keep-alive, Upgrade\r\n",
            V13,
            KEY,
        ]
        .concat(),
        [
            UPGRADE,
            CONNECTION,
            V13,
            KEY,
            "Sec-WebSocket-Protocol: res\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        ]
        .concat(),
        [UPGRADE, CONNECTION, V13, KEY, "Origin: http://any.test\r\n"].concat(),
        [UPGRADE, CONNECTION, V13, KEY, "Origin: null\r\n"].concat(),
    ] {
        let mut h = Stack::shared().http();
        h.request("GET", "/", &headers);
        let r = h.response_head();
        assert_eq!(r.status, 101, "{headers}");
        // RFC 6455 section 1.3.
        assert_eq!(
            r.header("sec-websocket-accept").as_deref(),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        assert_eq!(
            r.header("upgrade")
                .map(|v| v.to_ascii_lowercase())
                .as_deref(),
            Some("websocket")
        );
        assert_eq!(
            r.header("connection")
                .map(|v| v.to_ascii_lowercase())
                .as_deref(),
            Some("upgrade")
        );
        assert_eq!(r.header("sec-websocket-protocol"), None);
        assert_eq!(r.header("sec-websocket-extensions"), None);
    }
}

#[test]
fn what_is_no_upgrade_is_refused() {
    for (method, headers, status) in [
        ("GET", String::new(), 400),
        ("GET", [CONNECTION, V13, KEY].concat(), 400),
        ("GET", [UPGRADE, V13, KEY].concat(), 400),
        ("GET", [UPGRADE, CONNECTION, KEY].concat(), 400),
        ("GET", [UPGRADE, CONNECTION, V13].concat(), 400),
        (
            "GET",
            [UPGRADE, CONNECTION, V13, "Sec-WebSocket-Key: \r\n"].concat(),
            400,
        ),
        (
            "GET",
            [UPGRADE, CONNECTION, "Sec-WebSocket-Version: 12\r\n", KEY].concat(),
            400,
        ),
        (
            "GET",
            ["Upgrade: websocketx\r\n", CONNECTION, V13, KEY].concat(),
            400,
        ),
        (
            "GET",
            [UPGRADE, "Connection: keep-alive\r\n", V13, KEY].concat(),
            400,
        ),
        ("POST", [UPGRADE, CONNECTION, V13, KEY].concat(), 405),
        // The order of the checks: the headers come before the method.
        ("POST", [CONNECTION, V13, KEY].concat(), 400),
    ] {
        let mut h = Stack::shared().http();
        h.request(method, "/", &headers);
        let r = h.response();
        assert_eq!(r.status, status, "{method} {headers}");
        assert_eq!(
            r.header("sec-websocket-version").as_deref(),
            Some("13"),
            "{headers}"
        );
        assert!(
            r.header("content-type")
                .is_some_and(|t| t.starts_with("text/plain")),
            "{headers}"
        );
    }
}

#[test]
fn the_websocket_path_is_exact() {
    for target in ["/ws", "/api/", "/x/"] {
        let mut h = Stack::shared().http();
        h.request("GET", target, &[UPGRADE, CONNECTION, V13, KEY].concat());
        assert_eq!(h.response().status, 404, "{target}");
    }
    // Its query is of no concern, but services see it.
    let mut h = Stack::shared().http();
    h.request("GET", "/?x=1", &[UPGRADE, CONNECTION, V13, KEY].concat());
    assert_eq!(h.response_head().status, 101);
}

#[test]
fn text_and_binary_frames_carry_requests_and_answers_are_text() {
    let mut ws = Stack::shared().raw();
    for first in [0x81, 0x82] {
        ws.frame(first, VERSION);
        ws.expect_text(ANSWER);
    }
}

#[test]
fn all_length_forms_are_understood() {
    let mut ws = Stack::shared().raw();
    for length in [27, 125, 126, 127, 1000, 65535, 65536, 100_000] {
        let mut text = VERSION.to_vec();
        text.resize(length, b' ');
        ws.frame(0x81, &text);
        ws.expect_text(ANSWER);
    }
}

#[test]
fn every_mask_is_taken_off() {
    let mut ws = Stack::shared().raw();
    for mask in [[0; 4], [0xff; 4], [1, 2, 3, 4]] {
        let mut frame = vec![0x81, 0x80 | VERSION.len() as u8];
        frame.extend(mask);
        frame.extend(VERSION.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        ws.write(&frame);
        ws.expect_text(ANSWER);
    }
}

#[test]
fn frames_may_come_split_anywhere_and_many_at_once() {
    let mut ws = Stack::shared().raw();
    let frame = RawWs::masked(0x81, VERSION);
    for at in 1..frame.len() {
        ws.write(&frame[..at]);
        ws.write(&frame[at..]);
        ws.expect_text(ANSWER);
    }
    ws.write(&frame.repeat(100));
    for _ in 0..100 {
        ws.expect_text(ANSWER);
    }
}

#[test]
fn fragments_are_put_together_around_control_frames() {
    let mut ws = Stack::shared().raw();
    let (a, rest) = VERSION.split_at(5);
    let (b, c) = rest.split_at(9);
    ws.frame(0x01, a);
    ws.frame(0x89, b"one");
    assert_eq!(
        ws.next(),
        Frame {
            first: 0x8a,
            payload: b"one".to_vec()
        }
    );
    ws.frame(0x00, b);
    ws.frame(0x00, b"");
    ws.frame(0x8a, b"unasked pong");
    ws.frame(0x80, c);
    ws.expect_text(ANSWER);
    // Fragments of one byte.
    for (i, byte) in VERSION.iter().enumerate() {
        let opcode = if i == 0 { 2 } else { 0 };
        let fin = if i + 1 == VERSION.len() { 0x80 } else { 0 };
        ws.frame(fin | opcode, &[*byte]);
    }
    ws.expect_text(ANSWER);
}

#[test]
fn pings_are_answered_with_their_payload() {
    let mut ws = Stack::shared().raw();
    for payload in [&b""[..], b"x", &[0xff; 125]] {
        ws.frame(0x89, payload);
        assert_eq!(
            ws.next(),
            Frame {
                first: 0x8a,
                payload: payload.to_vec()
            }
        );
    }
    ws.frame(0x8a, b"pong");
    ws.expect_alive();
}

#[test]
fn protocol_violations_are_closed_with_1002() {
    let unmasked = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, payload.len() as u8];
        frame.extend(payload);
        frame
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("unmasked text", unmasked(0x81, VERSION)),
        ("unmasked ping", unmasked(0x89, b"")),
        ("RSV1 without extension", RawWs::masked(0xc1, VERSION)),
        ("RSV2", RawWs::masked(0xa1, VERSION)),
        ("RSV3", RawWs::masked(0x91, VERSION)),
        ("reserved opcode 3", RawWs::masked(0x83, b"x")),
        ("reserved opcode 7", RawWs::masked(0x87, b"x")),
        ("reserved control opcode 11", RawWs::masked(0x8b, b"")),
        ("reserved control opcode 15", RawWs::masked(0x8f, b"")),
        ("fragmented ping", RawWs::masked(0x09, b"x")),
        ("fragmented close", RawWs::masked(0x08, b"")),
        ("ping of 126 bytes", RawWs::masked(0x89, &[b'x'; 126])),
        ("close of 126 bytes", RawWs::masked(0x88, &[3; 126])),
        ("continuation of nothing", RawWs::masked(0x80, b"x")),
        (
            "text within a fragmented message",
            [RawWs::masked(0x01, b"a"), RawWs::masked(0x81, b"b")].concat(),
        ),
        ("close code 999", RawWs::masked(0x88, &999u16.to_be_bytes())),
        (
            "close code 1005",
            RawWs::masked(0x88, &1005u16.to_be_bytes()),
        ),
        (
            "close code 1006",
            RawWs::masked(0x88, &1006u16.to_be_bytes()),
        ),
    ];
    for (what, bytes) in cases {
        let mut ws = Stack::shared().raw();
        ws.expect_alive();
        ws.write(&bytes);
        assert_eq!(ws.next().close_code(), Some(1002), "{what}");
        if !is_peer() {
            ws.expect_eof();
        }
    }
}

#[test]
fn a_close_frame_of_one_byte_is_a_violation_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut ws = Stack::shared().raw();
    ws.frame(0x88, &[3]);
    assert_eq!(ws.next().close_code(), Some(1002));
    ws.expect_eof();
}

#[test]
fn odd_length_forms_are_violations_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut short_in_16 = vec![0x81, 0x80 | 126, 0, 27, 0, 0, 0, 0];
    short_in_16.extend(VERSION);
    let mut short_in_64 = vec![0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 27, 0, 0, 0, 0];
    short_in_64.extend(VERSION);
    let top_bit = vec![0x81, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 27, 0, 0, 0, 0];
    for (what, bytes) in [
        ("27 in 16 bits", short_in_16),
        ("27 in 64 bits", short_in_64),
        ("top bit of 64 set", top_bit),
    ] {
        let mut ws = Stack::shared().raw();
        ws.write(&bytes);
        assert_eq!(ws.next().close_code(), Some(1002), "{what}");
        ws.expect_eof();
    }
}

#[test]
fn close_frames_are_answered_with_the_same_code() {
    for code in [
        None,
        Some(1000),
        Some(1001),
        Some(1011),
        Some(3000),
        Some(4999),
    ] {
        let mut ws = Stack::shared().raw();
        let payload = code.map_or(Vec::new(), |c: u16| [&c.to_be_bytes()[..], b"bye"].concat());
        ws.frame(0x88, &payload);
        assert_eq!(ws.next().close_code(), code);
    }
}

#[test]
fn the_connection_is_closed_after_a_close_frame_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut ws = Stack::shared().raw();
    ws.frame(0x88, &1000u16.to_be_bytes());
    assert_eq!(ws.next().close_code(), Some(1000));
    ws.expect_eof();
    // What follows a close frame is not read.
    let mut ws = Stack::shared().raw();
    ws.write(
        &[
            RawWs::masked(0x88, &1000u16.to_be_bytes()),
            RawWs::masked(0x81, VERSION),
        ]
        .concat(),
    );
    assert_eq!(ws.next().close_code(), Some(1000));
    ws.expect_eof();
}

#[test]
fn answers_under_way_come_before_the_close_frame_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut ws = Stack::shared().raw();
    ws.write(
        &[
            RawWs::masked(0x81, VERSION),
            RawWs::masked(0x88, &1000u16.to_be_bytes()),
        ]
        .concat(),
    );
    ws.expect_text(ANSWER);
    assert_eq!(ws.next().close_code(), Some(1000));
}

#[test]
fn text_that_is_no_utf8_never_reaches_a_service_and_hurts_nobody() {
    let mut ws = Stack::shared().raw();
    ws.frame(0x81, b"{\"id\":1,\"method\":\"subscribe.a.\xff\xfe\"}");
    match ws.try_next() {
        // Closed for invalid data, or answered as an invalid request.
        Some(frame) if frame.first == 0x88 => assert_eq!(frame.close_code(), Some(1007)),
        Some(frame) => {
            let text = String::from_utf8(frame.payload).expect("answers are UTF-8");
            assert_eq!(
                member(&member(&text, "error"), "code"),
                "system.invalidRequest"
            );
        }
        None => panic!("closed without a close frame"),
    }
    Stack::shared().raw().expect_alive();
}

#[test]
fn a_message_over_the_limit_is_closed_with_1009_unlike_resgate() {
    if is_peer() {
        return;
    }
    // Said in the header of one frame.
    let mut ws = Stack::shared().raw();
    let mut head = vec![0x81, 0x80 | 127];
    head.extend((64u64 << 20).to_be_bytes());
    head.extend([0; 4]);
    ws.write(&head);
    assert_eq!(ws.next().close_code(), Some(1009));
    ws.expect_eof();
    // The sum of fragments.
    let mut ws = Stack::shared().raw();
    let part = vec![b' '; 60_000];
    ws.frame(0x01, &part);
    for _ in 0..17 {
        ws.frame(0x00, &part);
    }
    assert_eq!(ws.next().close_code(), Some(1009));
}

#[test]
fn a_message_just_below_one_mebibyte_is_taken() {
    let mut ws = Stack::shared().raw();
    let mut text = VERSION.to_vec();
    text.resize((1 << 20) - 1024, b' ');
    ws.frame(0x81, &text);
    ws.expect_text(ANSWER);
}

#[test]
fn bytes_that_follow_the_upgrade_request_are_frames_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut h = Stack::shared().http();
    let mut bytes =
        format!("GET / HTTP/1.1\r\nHost: a\r\n{UPGRADE}{CONNECTION}{V13}{KEY}\r\n").into_bytes();
    bytes.extend(RawWs::masked(0x81, VERSION));
    h.send(bytes);
    assert_eq!(h.response_head().status, 101);
    let mut expected = vec![0x81, 0x27];
    expected.extend(br#"{"result":{"protocol":"1.2.3"},"id":1}"#);
    expected[1] = (expected.len() - 2) as u8;
    assert_eq!(h.take(expected.len()), expected);
}

#[test]
fn an_old_client_that_vanishes_leaves_others_alone() {
    let (svc, mut c) = pair("ws_vanish");
    c.subscribe(&svc, "ws_vanish.a", r#"{"model":{"a":1}}"#);
    for i in 0..10 {
        let mut d = Stack::shared().client();
        let id = d.ask("subscribe.ws_vanish.a");
        svc.grant("ws_vanish.a");
        d.expect_result(id, r#"{"models":{"ws_vanish.a":{"a":1}}}"#);
        // Requests of a client that is gone before they are answered.
        d.ask("call.ws_vanish.a.set");
        let call = svc.expect("call.ws_vanish.a.set");
        d.ask(&format!("subscribe.ws_vanish.b{i}"));
        let [access, get] = svc.expect_all([
            &format!("access.ws_vanish.b{i}"),
            &format!("get.ws_vanish.b{i}"),
        ]);
        d.drop_connection();
        access.grant();
        get.result(r#"{"model":{"a":1}}"#);
        call.result("1");
    }
    svc.event("ws_vanish.a.custom", "1");
    c.expect_event("ws_vanish.a.custom", "1");
    c.fence(&svc, "ws_vanish.a");
}
