//! What a signal does to clients: they are closed one after the other, and nobody who was
//! taken in is left without an answer.

use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;
use tungstenite::Message;

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// Stops the gateway, lets others do what they do, and sends it a signal that it finds when
/// it goes on.
fn signal_behind(gateway: &Gateway, signal: Signal, meanwhile: impl FnOnce()) {
    gateway.freeze();
    meanwhile();
    gateway.signal(signal);
    gateway.signal(Signal::CONT);
}

/// Waits until nobody listens at the gateway's address any more.
fn expect_no_listener(gateway: &Gateway) {
    let start = Instant::now();
    while TcpStream::connect(&gateway.addr).is_ok() {
        assert!(start.elapsed() < PATIENCE, "it listens on");
    }
}

#[test]
fn clients_whose_time_has_not_come_are_served_and_a_second_signal_ends_at_once_unlike_resgate() {
    if is_peer() {
        return;
    }
    let port = free_port().to_string();
    let mut stack = Stack::start(&["--draintime", "600000", "--metricsport", &port]);
    let svc = stack.service("drain_spread");
    let mut clients: Vec<Client> = (0..3).map(|_| stack.client()).collect();
    let mut kept = stack.http();
    kept.get("/nowhere");
    assert_eq!(kept.response().status, 404);
    stack.gateway.signal(Signal::TERM);
    expect_no_listener(&stack.gateway);
    let mut probe = Http::connect_to(&format!("127.0.0.1:{port}"));
    probe.get("/readyz");
    probe.response().assert(503, "stopping\n");

    // The first connection had its turn at once, and the next has it in minutes.
    let mut closed = 0;
    for (index, c) in clients.iter_mut().enumerate() {
        c.send(r#"{"id":7,"method":"version"}"#);
        match c.next_message() {
            Message::Text(_) => c.subscribe(&svc, &format!("drain_spread.{index}"), MODEL),
            Message::Close(Some(frame)) => {
                assert_eq!(u16::from(frame.code), 1001);
                closed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    if closed == 1 {
        kept.get("/api/drain_spread/other");
        svc.serve("drain_spread.other", MODEL);
        let answer = kept.response();
        answer.assert(200, r#"{"a":1}"#);
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
    }
    assert!(closed <= 1, "{closed} of 3 are closed");
    kept.expect_closed();
    stack.gateway.signal(Signal::TERM);
    assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
}

#[test]
fn all_clients_are_closed_within_the_time_unlike_resgate() {
    if is_peer() {
        return;
    }
    for time in ["0", "300"] {
        let mut stack = Stack::start(&["--draintime", time]);
        let mut clients: Vec<Client> = (0..40).map(|_| stack.client()).collect();
        stack.gateway.signal(Signal::TERM);
        for c in &mut clients {
            assert_eq!(c.next_close(), Some(1001));
        }
        assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
    }
}

#[test]
fn connections_that_were_not_read_yet_are_answered_unlike_resgate() {
    if is_peer() {
        return;
    }
    const FRESH: usize = 200;
    let mut stack = Stack::start(&["--draintime", "0"]);
    let svc = stack.service("drain_unread");
    let mut kept = stack.http();
    kept.get("/nowhere");
    assert_eq!(kept.response().status, 404);
    let mut fresh = Vec::new();
    let mut asker = None;
    let mut upgrade = None;
    signal_behind(&stack.gateway, Signal::TERM, || {
        kept.get("/nowhere");
        for _ in 0..FRESH {
            let mut http = stack.http();
            http.get("/nowhere");
            fresh.push(http);
        }
        let mut http = stack.http();
        http.get("/api/drain_unread/model");
        asker = Some(http);
        let mut http = stack.http();
        http.request(
            "GET",
            "/",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        upgrade = Some(http);
    });
    svc.serve("drain_unread.model", MODEL);
    let mut asker = asker.expect("it is set");
    asker.response().assert(200, r#"{"a":1}"#);
    asker.expect_closed();
    let mut upgrade = upgrade.expect("it is set");
    assert_eq!(upgrade.response().status, 503);
    upgrade.expect_closed();
    fresh.push(kept);
    for mut http in fresh {
        let answer = http.response();
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
        http.expect_closed();
    }
    assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
}
