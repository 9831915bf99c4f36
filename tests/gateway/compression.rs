//! RFC 7692: what is agreed on, and compressed frames both ways.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use std::sync::OnceLock;

use crate::common::*;

const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const VERSION: &[u8] = br#"{"id":1,"method":"version"}"#;
const VERSION_ANSWER: &str = r#"{"id":1,"result":{"protocol":"1.2.3"}}"#;

fn stack() -> &'static Stack {
    static SHARED: OnceLock<Stack> = OnceLock::new();
    SHARED.get_or_init(|| Stack::start(&["--wscompression", "--reqtimeout", "60000"]))
}

fn open() -> RawWs {
    let (ws, head) = RawWs::open_with(&stack().gateway, OFFER);
    assert!(
        head.contains(&format!("sec-websocket-extensions: {ANSWER}\r\n")),
        "{head}"
    );
    ws
}

/// Compresses as a client does, one message for itself.
fn deflate(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 100);
    Compress::new(Compression::default(), false)
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .expect("compresses");
    out.strip_suffix(&[0, 0, 0xff, 0xff])
        .expect("flushed")
        .to_vec()
}

/// Decompresses a frame without knowing earlier ones.
#[track_caller]
fn inflate(frame: &Frame) -> String {
    assert_eq!(frame.first, 0xc1, "not compressed: {frame:?}");
    let mut input = frame.payload.clone();
    input.extend_from_slice(&[0, 0, 0xff, 0xff]);
    let mut out = Vec::with_capacity(4 << 20);
    Decompress::new(false)
        .decompress_vec(&input, &mut out, FlushDecompress::Sync)
        .expect("valid without context");
    String::from_utf8(out).expect("text is UTF-8")
}

#[test]
fn answers_offers() {
    let plain = Some(ANSWER);
    let with_window = format!("{ANSWER}; server_max_window_bits=10");
    for (lines, answer) in [
        ("", None),
        ("permessage-deflate", plain),
        ("permessage-deflate; client_max_window_bits", plain),
        (
            "foo, permessage-deflate; client_max_window_bits=\"9\"",
            plain,
        ),
        ("x-webkit-deflate-frame", None),
        ("permessage-deflate;;", None),
    ] {
        let (_, head) = RawWs::open_with(
            &stack().gateway,
            &format!("Sec-WebSocket-Extensions: {lines}\r\n"),
        );
        let found = head
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
        assert_eq!(found, answer, "{lines}");
    }
    if is_peer() {
        return; // It accepts whatever parameters are offered.
    }
    for (lines, answer) in [
        (
            "permessage-deflate; server_max_window_bits=10",
            Some(&with_window[..]),
        ),
        ("permessage-deflate; server_max_window_bits=16", None),
        (
            "permessage-deflate; server_max_window_bits=7, permessage-deflate",
            plain,
        ),
        ("permessage-deflate; unknown", None),
    ] {
        let (_, head) = RawWs::open_with(
            &stack().gateway,
            &format!("Sec-WebSocket-Extensions: {lines}\r\n"),
        );
        let found = head
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
        assert_eq!(found, answer, "{lines}");
    }
}

#[test]
fn takes_compressed_and_plain_messages() {
    let mut ws = open();
    let packed = deflate(VERSION);
    for _ in 0..2 {
        ws.frame(0xc1, &packed);
        ws.expect_text_or_packed(VERSION_ANSWER, inflate);
        ws.frame(0x81, VERSION);
        ws.expect_text_or_packed(VERSION_ANSWER, inflate);
    }
    // In fragments, with a ping between them.
    let (front, back) = packed.split_at(packed.len() / 2);
    ws.frame(0x41, front);
    ws.frame(0x89, b"p");
    assert_eq!((ws.next().first, 0x8a), (0x8a, 0x8a));
    ws.frame(0x80, back);
    ws.expect_text_or_packed(VERSION_ANSWER, inflate);
}

#[test]
fn each_client_gets_its_form_of_an_event() {
    let svc = stack().service("z");
    let long = "tide ".repeat(200);
    let data = format!(r#"{{"values":{{"text":"{long}"}}}}"#);
    let mut plain = stack().client();
    let mut packed = [open(), open()];
    plain.subscribe(&svc, "z.a", r#"{"model":{"text":""}}"#);
    for ws in &mut packed {
        ws.frame(0x81, br#"{"id":1,"method":"subscribe.z.a"}"#);
        svc.expect("access.z.a")
            .respond(r#"{"result":{"get":true}}"#);
        ws.expect_text_or_packed(
            r#"{"id":1,"result":{"models":{"z.a":{"text":""}}}}"#,
            inflate,
        );
    }
    for _ in 0..2 {
        svc.publish("event.z.a.said", &data);
        plain.expect_event("z.a.said", &data);
        let frames = packed.each_mut().map(RawWs::next);
        assert_eq!(frames[0], frames[1]);
        assert!(frames[0].payload.len() < 100, "{}", frames[0].payload.len());
        assert_json(
            &inflate(&frames[0]),
            &format!(r#"{{"event":"z.a.said","data":{data}}}"#),
        );
    }
}

#[test]
fn events_in_a_row_reach_each_client_in_its_form() {
    const COUNT: usize = 2_000;
    let svc = stack().service("row");
    let mut plain = stack().client();
    plain.subscribe(&svc, "row.a", r#"{"model":{}}"#);
    let mut packed = [open(), open()];
    for ws in &mut packed {
        ws.frame(0x81, br#"{"id":1,"method":"subscribe.row.a"}"#);
        svc.expect("access.row.a")
            .respond(r#"{"result":{"get":true}}"#);
        ws.expect_text_or_packed(r#"{"id":1,"result":{"models":{"row.a":{}}}}"#, inflate);
    }
    // Some are worth compressing, some are not.
    let data = |n: usize| format!(r#"{{"n":{n},"text":"{}"}}"#, "tide ".repeat(n % 90));
    for n in 0..COUNT {
        svc.publish("event.row.a.said", data(n));
    }
    for n in 0..COUNT {
        let data = data(n);
        plain.expect_event("row.a.said", &data);
        for ws in &mut packed {
            let event = format!(r#"{{"event":"row.a.said","data":{data}}}"#);
            ws.expect_text_or_packed(&event, inflate);
        }
    }
}

#[test]
fn large_answers_are_compressed_for_each_request() {
    const CLIENTS: usize = 50;
    let svc = stack().service("zl");
    let properties: Vec<String> = (0..5_000)
        .map(|n| format!(r#""p{n:05}":"{}""#, format!("{n:x}.").repeat(16)))
        .collect();
    let model = format!("{{{}}}", properties.join(","));
    // IDs of all lengths, and a client without compression between the others.
    let mut clients: Vec<(RawWs, u64)> = (0..CLIENTS as u32)
        .map(|n| match n {
            7 => (stack().raw(), 1),
            _ => (open(), 7_u64.pow(n % 18)),
        })
        .collect();
    for (ws, id) in &mut clients {
        let request = format!(r#"{{"id":{id},"method":"subscribe.zl.m"}}"#);
        ws.frame(0x81, request.as_bytes());
    }
    let (mut granted, mut served) = (0, false);
    while granted < CLIENTS || !served {
        let request = svc.next();
        match request.subject() {
            "access.zl.m" => {
                request.grant();
                granted += 1;
            }
            "get.zl.m" => {
                request.result(&format!(r#"{{"model":{model}}}"#));
                served = true;
            }
            other => panic!("nobody asked for {other}"),
        }
    }
    for (n, (ws, id)) in clients.iter_mut().enumerate() {
        let frame = ws.next();
        let text = match frame.first {
            0x81 => String::from_utf8(frame.payload).expect("UTF-8"),
            _ => inflate(&frame),
        };
        assert_eq!(frame.first == 0x81, n == 7);
        let answer = format!(r#"{{"result":{{"models":{{"zl.m":{model}}}}},"id":{id}}}"#);
        if text != answer {
            assert_json(&text, &answer);
        }
    }
    for (ws, id) in &mut clients {
        let request = format!(r#"{{"id":{id},"method":"unsubscribe.zl.m"}}"#);
        ws.frame(0x81, request.as_bytes());
        ws.expect_text(&format!(r#"{{"id":{id}}}"#));
    }
}

#[test]
fn short_messages_stay_plain_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut ws = open();
    ws.frame(0x81, VERSION);
    ws.expect_text(VERSION_ANSWER);
}

#[test]
fn violations_are_closed() {
    let bomb = deflate(&vec![b' '; 30 << 20]);
    assert!(bomb.len() < 100_000);
    for (frames, code) in [
        (vec![RawWs::masked(0xc1, b"\xff\xff\xff\xff")], 1007),
        (vec![RawWs::masked(0xc1, &deflate(b"\xff\xfe"))], 1007),
        (vec![RawWs::masked(0xc9, b"")], 1002),
        (
            vec![RawWs::masked(0x41, b"a"), RawWs::masked(0xc0, b"b")],
            1002,
        ),
        (vec![RawWs::masked(0xa1, VERSION)], 1002),
        (vec![RawWs::masked(0xc1, &bomb)], 1009),
        (
            bomb.chunks(9_000)
                .enumerate()
                .map(|(index, part)| {
                    let is_last = (index + 1) * 9_000 >= bomb.len();
                    let first = if index == 0 { 0x41 } else { 0 };
                    RawWs::masked(if is_last { 0x80 | first } else { first }, part)
                })
                .collect(),
            1009,
        ),
    ] {
        if is_peer() {
            return; // It closes without a code, and has no limit.
        }
        let mut ws = open();
        ws.write(&frames.concat());
        assert_eq!(
            ws.next().close_code(),
            Some(code),
            "{:?}",
            frames[0].first()
        );
    }
    // The process is none the worse for it.
    let mut ws = open();
    ws.frame(0xc1, &deflate(VERSION));
    ws.expect_text_or_packed(VERSION_ANSWER, inflate);
}

#[test]
fn compressed_frames_need_an_agreement() {
    let (mut ws, head) = RawWs::open_with(&Stack::shared().gateway, OFFER);
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    ws.frame(0xc1, &deflate(VERSION));
    assert_eq!(ws.next().close_code(), Some(1002));
}
