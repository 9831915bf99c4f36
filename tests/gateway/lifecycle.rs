//! Start, stop, and the loss of the broker.

use std::time::Duration;

use rustix::process::Signal;

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

#[test]
fn without_a_broker_the_gateway_ends_with_1() {
    // A port that nobody listens on: bound here, but never listened to.
    let held =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    held.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("a free port");
    let addr = held
        .local_addr()
        .ok()
        .and_then(|a| a.as_socket())
        .expect("an address");
    let (code, log) = Gateway::run_to_end(&format!("nats://{addr}"), &[]);
    assert_eq!(code, Some(1), "{log}");
    assert!(!log.trim().is_empty(), "it does not say why it ended");
}

#[test]
fn a_signal_before_the_broker_agrees_ends_the_gateway_at_once_with_0_unlike_resgate() {
    if is_peer() {
        return;
    }
    // It takes the connection, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = silent.local_addr().expect("an address");
    let command = std::process::Command::new("env");
    let mut gateway = Gateway::start_by(command, &format!("nats://{addr}"));
    let connection = silent.accept().expect("a connection");
    let start = std::time::Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(gateway.log(), "");
    drop(connection);
}

#[test]
fn the_loss_of_the_broker_closes_all_clients_and_ends_the_process_with_1() {
    let at_once: &[&str] = if is_peer() {
        &[]
    } else {
        &["--natsreconnect", "0"]
    };
    let mut stack = Stack::start(at_once);
    let svc = stack.service("life_loss");
    let mut c = stack.client();
    c.subscribe(&svc, "life_loss.a", MODEL);
    let mut h = stack.http();
    h.get("/nowhere");
    assert_eq!(h.response().status, 404);
    stack.broker.kill();
    c.next_close();
    h.expect_closed();
    let code = stack.gateway.wait(PATIENCE);
    assert_eq!(code, Some(1), "{}", stack.gateway.log());
    assert!(!stack.gateway.log().trim().is_empty());
}

#[test]
fn signals_end_the_gateway_with_0() {
    for signal in [Signal::TERM, interrupt()] {
        let mut stack = Stack::start(&[]);
        let svc = stack.service("life_signal");
        let mut c = stack.client();
        c.subscribe(&svc, "life_signal.a", MODEL);
        stack.gateway.signal(signal);
        c.next_close();
        assert_eq!(
            stack.gateway.wait(Duration::from_secs(12)),
            Some(0),
            "{}",
            stack.gateway.log()
        );
    }
}

/// Started under `nohup`, or by a script that has given them up.
#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", r#"trap "" HUP INT QUIT; exec "$0" "$@""#]);
    let mut gateway = Gateway::start_by(command, &broker.url());
    gateway.wait_for_log("Listening on", 1);
    let mut c = Client::connect(&gateway);
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT] {
        gateway.signal(signal);
        // A signal that was not ignored would end it before it answers.
        c.handshake("1.2.3");
    }
    gateway.signal(Signal::TERM);
    assert_eq!(c.next_close(), Some(1001));
    assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
}

#[test]
fn a_full_log_pipe_does_not_keep_the_lost_broker_from_ending_the_process_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut broker = Broker::start();
    let directory = Directory::new();
    let fifo = directory.path("log");
    // The shell keeps the pipe open, and filled, and never reads it.
    let script = r#"mkfifo "$0" && exec 3<>"$0" && : >&3 &&
        dd if=/dev/zero of="$0" bs=4096 count=64 oflag=nonblock conv=notrunc 2>/dev/null;
        exec "$@" 2>"$0""#;
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, &fifo]);
    command.env("TIDEGATE_NATSRECONNECT", "0");
    let mut gateway = Gateway::start_by(command, &broker.url());
    let mut h = loop {
        if let Ok(stream) = std::net::TcpStream::connect(&gateway.addr) {
            drop(stream);
            break Http::connect(&gateway);
        }
        std::thread::yield_now();
    };
    h.get("/nowhere");
    assert_eq!(h.response().status, 404);
    broker.kill();
    h.expect_closed();
    assert_eq!(gateway.wait(PATIENCE), Some(1));
    assert_eq!(gateway.log(), "");
}

#[test]
fn sigterm_closes_clients_with_1001_within_3_s_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut stack = Stack::start(&[]);
    let mut clients: Vec<Client> = (0..5).map(|_| stack.client()).collect();
    let start = std::time::Instant::now();
    stack.gateway.signal(Signal::TERM);
    for c in &mut clients {
        assert_eq!(c.next_close(), Some(1001));
    }
    assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn clients_that_answer_the_close_frame_let_the_process_end_at_once_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut stack = Stack::start(&["--draintime", "0"]);
    let close = RawWs::masked(0x88, &1001u16.to_be_bytes());
    let text = RawWs::masked(0x81, br#"{"id":1,"method":"version"}"#);
    // What a client may have on its way when it hears of the end; the last write is cut
    // at every place below.
    let ways = [
        vec![close.clone()],
        vec![text.clone(), close.clone()],
        vec![RawWs::masked(0x01, b"half a mess"), close.clone()],
        vec![RawWs::masked(0x89, b"ping"), text, close.clone()],
    ];
    let mut clients: Vec<RawWs> = (0..ways.len() * close.len()).map(|_| stack.raw()).collect();
    // One has closed by itself before, and keeps its end of TCP open.
    let mut gone = stack.raw();
    gone.write(&close);
    assert_eq!(gone.next().close_code(), Some(1001));
    gone.expect_eof();
    let start = std::time::Instant::now();
    stack.gateway.signal(Signal::TERM);
    for (index, ws) in clients.iter_mut().enumerate() {
        assert_eq!(ws.next().close_code(), Some(1001));
        let bytes = ways[index % ways.len()].concat();
        let (first, second) = bytes.split_at(bytes.len() - 1 - index / ways.len());
        ws.write(first);
        ws.write(second);
        // Nobody ends a connection but the gateway, and nothing else is answered.
        ws.expect_eof();
    }
    assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
    let taken = start.elapsed();
    assert!(taken < Duration::from_millis(2_500), "took {taken:?}");
    drop((clients, gone));
}

#[test]
fn a_client_that_does_not_answer_the_close_frame_has_a_while_to_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut stack = Stack::start(&[]);
    let (mut late, mut silent) = (stack.raw(), stack.raw());
    stack.gateway.signal(Signal::TERM);
    assert_eq!(late.next().close_code(), Some(1001));
    assert_eq!(silent.next().close_code(), Some(1001));
    // Its bytes are taken, not answered with a reset.
    late.frame(0x81, br#"{"id":1,"method":"version"}"#);
    late.expect_eof();
    assert_eq!(stack.gateway.wait(Duration::from_secs(12)), Some(0));
    silent.expect_eof();
}

#[test]
fn sigterm_answers_pending_http_requests_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut stack = Stack::start(&[]);
    let svc = stack.service("life_http");
    let mut h = stack.http();
    h.get("/api/life_http/a");
    let [_access, _get] = svc.expect_all(["access.life_http.a", "get.life_http.a"]);
    stack.gateway.signal(Signal::TERM);
    let r = h.response();
    assert_eq!(r.status, 503, "{}", r.body);
    h.expect_closed();
    assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
}

#[test]
fn much_work_cannot_hold_up_the_end_unlike_resgate() {
    if is_peer() {
        return;
    }
    const LEVELS: usize = 15;
    let mut stack = Stack::start(&["--apiencoding", "jsonflat"]);
    let svc = stack.service("life_busy");
    // What it is expanded to doubles at each level, and is just not refused.
    let mut first = stack.http();
    first.get("/api/life_busy/0");
    let content = |level: usize| {
        let next = format!(r#"{{"rid":"life_busy.{}"}}"#, level + 1);
        format!(r#"{{"collection":[{next},{next}]}}"#)
    };
    svc.serve("life_busy.0", &content(0));
    for level in 1..LEVELS {
        svc.serve_get(&format!("life_busy.{level}"), &content(level));
    }
    svc.serve_get(&format!("life_busy.{LEVELS}"), r#"{"collection":[1]}"#);
    assert_eq!(first.response().status, 200);
    let mut clients: Vec<Http> = (0..30).map(|_| stack.http()).collect();
    for client in &mut clients {
        client.get("/api/life_busy/0");
    }
    // An event makes all of it be made anew; and then it is to end in the middle of it.
    svc.event(&format!("life_busy.{LEVELS}.add"), r#"{"idx":0,"value":2}"#);
    for _ in &clients {
        svc.grant("life_busy.0");
    }
    svc.flush();
    stack.gateway.signal(Signal::TERM);
    for client in &mut clients {
        let status = client.response().status;
        assert!(status == 200 || status == 503, "{status}");
        client.expect_closed();
    }
    assert_eq!(stack.gateway.wait(Duration::from_secs(12)), Some(0));
}

#[test]
fn a_client_that_does_not_read_cannot_hold_up_the_end() {
    let mut stack = Stack::start(&[]);
    let svc = stack.service("life_stall");
    let mut c = stack.client();
    c.subscribe(&svc, "life_stall.a", MODEL);
    let big = format!("\"{}\"", "x".repeat(500_000));
    for _ in 0..20 {
        svc.event("life_stall.a.custom", &big);
    }
    // The fence of another client: the events were handled.
    let mut d = stack.client();
    d.fence(&svc, "life_stall.a");
    stack.gateway.signal(Signal::TERM);
    assert_eq!(stack.gateway.wait(Duration::from_secs(12)), Some(0));
    drop(c);
}

#[test]
fn a_port_in_use_is_said_and_ends_with_1_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let port = stack.gateway.addr.rsplit(':').next().expect("host:port");
    let (code, log) = Gateway::run_to_end(&stack.broker.url(), &["--port", port]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(port), "{log}");
}

#[test]
fn user_and_password_in_the_broker_url_are_used() {
    let broker = Broker::start_with(&["--user", "gate", "--pass", "s3cret"]);
    let gateway = Gateway::start(&format!("nats://gate:s3cret@{}", broker.addr), &[]);
    let mut c = Client::connect(&gateway);
    c.handshake("1.2.3");
    let id = c.ask("subscribe.nobody_serves.a");
    c.expect_error(id, "system.notFound", "Not found");
    let (code, log) = Gateway::run_to_end(&format!("nats://gate:wrong@{}", broker.addr), &[]);
    assert_eq!(code, Some(1), "{log}");
    assert!(
        is_peer() || !log.contains("wrong@"),
        "the password stands in the log: {log}"
    );
}

#[test]
fn a_token_in_the_broker_url_is_used() {
    let broker = Broker::start_with(&["--auth", "t0ken"]);
    let gateway = Gateway::start(&format!("nats://t0ken@{}", broker.addr), &[]);
    let mut c = Client::connect(&gateway);
    c.handshake("1.2.3");
    let id = c.ask("subscribe.nobody_serves.a");
    c.expect_error(id, "system.notFound", "Not found");
}

/// A gateway with paths of its own, and two origins that may call it.
fn elsewhere() -> Stack {
    Stack::start(&[
        "--wspath",
        "/ws",
        "--apipath",
        "/web",
        "--alloworigin",
        "http://b.test",
        "--alloworigin",
        "https://a.test:8443",
    ])
}

#[test]
fn paths_and_origins_are_configurable() {
    let stack = elsewhere();
    let svc = stack.service("life_paths");
    let mut h = stack.http();
    h.get("/api/life_paths/a");
    assert_eq!(h.response().status, 404);
    h.get("/web/life_paths/a");
    svc.serve(
        "life_paths.a",
        r#"{"collection":[{"rid":"a.b","soft":true}]}"#,
    );
    let r = h.response();
    r.assert(200, r#"[{"href":"/web/a/b"}]"#);
    assert_eq!(r.header("access-control-allow-origin"), None);

    // A listed origin is echoed as it was sent.
    h.request("GET", "/web/life_paths/a", "Origin: HTTP://B.test\r\n");
    svc.grant("life_paths.a");
    let r = h.response();
    assert_eq!(r.status, 200);
    assert_eq!(
        r.header("access-control-allow-origin").as_deref(),
        Some("HTTP://B.test")
    );
    let vary = if is_peer() {
        "Origin"
    } else {
        "Origin, Accept"
    };
    assert_eq!(r.header("vary").as_deref(), Some(vary));
    // null is let through without header.
    h.request("GET", "/web/life_paths/a", "Origin: null\r\n");
    svc.grant("life_paths.a");
    let r = h.response();
    assert_eq!(r.status, 200);
    assert_eq!(r.header("access-control-allow-origin"), None);
    // Another one is refused before any service is asked; the first of the sorted list
    // is named.
    for origin in [
        "http://evil.test",
        "http://a.test:8443",
        "http://b.test.evil",
    ] {
        h.request("GET", "/web/life_paths/a", &format!("Origin: {origin}\r\n"));
        let r = h.response();
        r.assert(
            403,
            r#"{"code":"system.forbidden","message":"Forbidden origin"}"#,
        );
        assert_eq!(
            r.header("access-control-allow-origin").as_deref(),
            Some("http://b.test")
        );
        assert_eq!(r.header("vary").as_deref(), Some("Origin"));
    }
    h.request(
        "OPTIONS",
        "/web/life_paths/a",
        "Origin: http://evil.test\r\n",
    );
    assert_eq!(h.response().status, 200);
}

#[test]
fn web_sockets_check_the_origin_too() {
    let stack = elsewhere();
    for (origin, status) in [
        ("Origin: http://b.test\r\n", 101),
        ("Origin: null\r\n", 101),
        ("", 101),
        ("Origin: http://evil.test\r\n", 403),
    ] {
        let mut h = stack.http();
        h.request(
            "GET",
            "/ws",
            &format!(
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}"
            ),
        );
        assert_eq!(h.response_head().status, status, "{origin}");
    }
}

#[test]
fn sigusr1_logs_a_summary_and_changes_nothing_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&[]);
    let svc = stack.service("summary");
    let mut ws = stack.client();
    ws.subscribe(&svc, "summary.a", MODEL);
    for times in 1..=2 {
        stack.gateway.signal(Signal::USR1);
        stack.gateway.wait_for_log("[INF] NATS: connected, ", times);
    }
    let log = stack.gateway.log();
    for words in [
        "[INF] State: ready, ",
        "[INF] Clients: 1 connections, 1 WebSocket clients and 0 web requests that are served, \
         1 subscriptions, ",
        "[INF] Cache: 1 resources, ",
        "[INF] Requests to services: 0 without answer, 0 wait for their service, ",
    ] {
        assert_eq!(log.matches(words).count(), 2, "{words}\n{log}");
    }
    svc.event("summary.a.change", r#"{"values":{"a":2}}"#);
    ws.expect(r#"{"event":"summary.a.change","data":{"values":{"a":2}}}"#);
}
