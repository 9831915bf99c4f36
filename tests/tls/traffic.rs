//! What goes through a TLS connection once it is made.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use crate::Site;
use crate::client::*;

#[test]
fn resources_events_and_calls_over_a_websocket() {
    let site = Site::start();
    let svc = site.stack.service("wss");
    for (index, versions) in VERSIONS.into_iter().enumerate() {
        let name = format!("wss.{index}");
        let mut ws = site.websocket_with(&Arc::new(site.authority.client(versions)));
        ws.subscribe(&svc, &name, r#"{"a":0}"#);
        for value in 1..=100 {
            svc.event(
                &format!("{name}.change"),
                &format!(r#"{{"values":{{"a":{value}}}}}"#),
            );
        }
        for value in 1..=100 {
            ws.expect(&format!(
                r#"{{"event":"{name}.change","data":{{"values":{{"a":{value}}}}}}}"#
            ));
        }
        ws.send(&format!(
            r#"{{"id":3,"method":"call.{name}.set","params":{{"x":1}}}}"#
        ));
        svc.expect(&format!("call.{name}.set")).result(r#""done""#);
        ws.expect(r#"{"id":3,"result":{"payload":"done"}}"#);
        ws.ws.close(None).expect("a live connection");
        while ws.ws.read().is_ok() {}
    }
}

#[test]
fn https_requests() {
    let site = Site::start();
    let svc = site.stack.service("https");
    let mut stream = connect(&site.stack.gateway, &site.config()).expect("a connection");
    stream
        .write_all(b"GET /api/https/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("a live stream");
    svc.serve("https.a", r#"{"model":{"b":1}}"#);
    let mut head = Vec::new();
    while !head.ends_with(br#"{"b":1}"#) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the answer is whole");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
    // The connection is kept, and requests may come together.
    let two = format!("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n{REQUEST}");
    let answer = exchange(&mut stream, &two);
    assert_eq!(answer.matches("HTTP/1.1 404 ").count(), 2, "{answer:?}");
}

/// A text that shows where a part of it is lost.
fn long_text(len: usize) -> String {
    let mut text = String::new();
    while text.len() < len {
        text.push_str(&format!("{:x}.", text.len()));
    }
    text
}

#[test]
fn large_messages_in_both_directions() {
    let site = Site::start();
    let svc = site.stack.service("large");
    let text = long_text(900_000);
    // Records of the greatest length, and of the smallest that the client's side makes.
    let [old, new] = VERSIONS;
    for (index, (versions, record)) in [(old, None), (new, None), (old, Some(32)), (new, Some(32))]
        .into_iter()
        .enumerate()
    {
        let name = format!("large.{index}");
        let mut config = site.authority.client(versions);
        config.max_fragment_size = record;
        let mut ws = site.websocket_with(&Arc::new(config));
        ws.subscribe(&svc, &name, &format!(r#"{{"a":"{text}"}}"#));
        ws.send(&format!(
            r#"{{"id":3,"method":"call.{name}.set","params":"{text}"}}"#
        ));
        let request = svc.expect(&format!("call.{name}.set"));
        assert!(request.member("params") == text);
        request.result(&format!(r#""{text}""#));
        ws.expect(&format!(r#"{{"id":3,"result":{{"payload":"{text}"}}}}"#));
    }
}

/// One encoded body for all, and records of its own for each.
#[test]
fn a_large_resource_goes_to_many_clients() {
    const CLIENTS: usize = 40;
    let site = Site::start();
    let svc = site.stack.service("many");
    let model = format!(r#"{{"a":"{}"}}"#, long_text(900_000));
    let mut clients: Vec<Wss> = (0..CLIENTS)
        .map(|n| {
            let config = site.authority.client(VERSIONS[n % VERSIONS.len()]);
            site.websocket_with(&Arc::new(config))
        })
        .collect();
    clients[0].subscribe(&svc, "many.a", &model);
    for (n, client) in clients.iter_mut().enumerate().skip(1) {
        client.send(&format!(r#"{{"id":{n},"method":"subscribe.many.a"}}"#));
    }
    for _ in 1..CLIENTS {
        svc.grant("many.a");
    }
    for (n, client) in clients.iter_mut().enumerate().skip(1) {
        let answer = format!(r#"{{"result":{{"models":{{"many.a":{model}}}}},"id":{n}}}"#);
        assert!(client.next() == answer, "not the answer to {n}");
    }
    svc.event("many.a.change", r#"{"values":{"a":1}}"#);
    for client in &mut clients {
        client.expect(r#"{"event":"many.a.change","data":{"values":{"a":1}}}"#);
    }
}

/// More than the sockets hold waits for a client that does not read; then it gets all of
/// it, in order.
#[test]
fn a_slow_reader_gets_everything() {
    const EVENTS: usize = 60;
    let site = Site::start();
    let svc = site.stack.service("slow");
    let mut slow = site.websocket();
    let mut quick = site.websocket();
    slow.subscribe(&svc, "slow.a", r#"{"a":0}"#);
    quick.send(r#"{"id":2,"method":"subscribe.slow.a"}"#);
    svc.grant("slow.a");
    quick.expect(r#"{"id":2,"result":{"models":{"slow.a":{"a":0}}}}"#);
    let text = long_text(300_000);
    for number in 0..EVENTS {
        svc.event(
            "slow.a.custom",
            &format!(r#"{{"number":{number},"text":"{text}"}}"#),
        );
    }
    let expect = |number: usize| {
        format!(r#"{{"event":"slow.a.custom","data":{{"number":{number},"text":"{text}"}}}}"#)
    };
    for number in 0..EVENTS {
        quick.expect(&expect(number));
    }
    quick.expect_alive();
    for number in 0..EVENTS {
        slow.expect(&expect(number));
    }
    slow.expect_alive();
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let site = Site::start();
    let svc = site.stack.service("half");
    for (index, with_fin) in [(0, false), (1, true)] {
        let mut stream = connect(&site.stack.gateway, &site.config()).expect("a connection");
        stream
            .write_all(format!("GET /api/half/{index} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .expect("a live stream");
        stream.conn.send_close_notify();
        stream.flush().expect("a live stream");
        if with_fin {
            stream
                .sock
                .shutdown(Shutdown::Write)
                .expect("a live socket");
        }
        svc.serve(&format!("half.{index}"), r#"{"model":{"c":3}}"#);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a proper end");
        assert!(answer.ends_with(r#"{"c":3}"#), "{answer:?}");
    }
}

/// The word that nothing follows can come in one read with an upgrade request, which then
/// waits for a service: nothing tells of the end again.
#[test]
fn a_half_closed_client_does_not_become_a_websocket() {
    let site = Site::start_with(&["--wsheadauth", "half.login"]);
    let svc = site.stack.service("half");
    let mut stream = connect(&site.stack.gateway, &site.config()).expect("a connection");
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n";
    // Both leave in one segment.
    let mut writer = stream.conn.writer();
    writer.write_all(upgrade).expect("room for it");
    stream.conn.send_close_notify();
    stream.flush().expect("a live stream");
    svc.expect("auth.half.login").result("null");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("a proper end");
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// The end of a WebSocket client, by the word of TLS or without it, is noticed at once.
#[test]
fn the_end_of_a_client_is_noticed() {
    let site = Site::start();
    let svc = site.stack.service("end");
    for (index, with_word) in [(0, false), (1, true)] {
        let name = format!("end.{index}");
        let mut ws = site.websocket();
        ws.subscribe(&svc, &name, r#"{"a":1}"#);
        let stream = ws.ws.get_mut();
        if with_word {
            stream.conn.send_close_notify();
            stream.flush().expect("a live stream");
        } else {
            stream
                .sock
                .shutdown(Shutdown::Write)
                .expect("a live socket");
        }
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("a proper end");
        assert_eq!(rest, b"");
        svc.wait_unsubscribed(&name);
    }
}

/// Application data that was tampered with ends the connection, with an alert.
#[test]
fn a_forged_record_is_refused() {
    let site = Site::start();
    for versions in VERSIONS {
        let config = Arc::new(site.authority.client(versions));
        let mut stream = connect(&site.stack.gateway, &config).expect("a connection");
        stream
            .conn
            .writer()
            .write_all(REQUEST.as_bytes())
            .expect("room");
        let mut record = Vec::new();
        stream.conn.write_tls(&mut record).expect("a Vec takes all");
        *record.last_mut().expect("a record") ^= 1;
        stream.sock.write_all(&record).expect("a live socket");
        let error = stream.read_to_end(&mut Vec::new()).expect_err("an alert");
        assert!(error.to_string().contains("BadRecordMac"), "{error}");
    }
    expect_served(&site.stack.gateway, &site.config());
}
