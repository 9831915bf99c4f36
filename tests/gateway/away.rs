//! NATS goes away and comes back.

use std::net::TcpListener;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// A gateway with a metrics port, whose requests have a minute.
pub struct Stage {
    pub gateway: Gateway,
    monitor: String,
}

impl Stage {
    pub fn start(nats: &str, args: &[&str]) -> Stage {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("the loopback interface has a free port")
            .port();
        let port = port.to_string();
        let usual = ["--metricsport", &port, "--reqtimeout", "60000"];
        Stage {
            gateway: Gateway::start(nats, &[&usual[..], args].concat()),
            monitor: format!("127.0.0.1:{port}"),
        }
    }

    pub fn client(&self) -> Client {
        let mut client = Client::connect(&self.gateway);
        client.handshake("1.2.3");
        client
    }

    fn page(&self, path: &str) -> (u16, String) {
        let mut http = Http::connect_to(&self.monitor);
        http.get(path);
        let response = http.response();
        (response.status, response.body)
    }

    pub fn metrics(&self) -> Exposition {
        Exposition::parse(&self.page("/metrics").1)
    }

    /// Waits until the log has said so many times that it is connected.
    fn wait_connected(&self, times: usize) {
        self.gateway.wait_for_log("Connected to nats-server", times);
    }

    fn wait_lost(&self, times: usize) {
        self.gateway
            .wait_for_log("lost the connection to NATS", times);
    }
}

/// The requests by which a cached resource is put right: its content, and whether its one
/// holder may still have it.
fn put_right(svc: &Service, name: &str, content: &str) {
    let [get, access] = svc.expect_all([&format!("get.{name}"), &format!("access.{name}")]);
    get.result(content);
    access.grant();
}

#[test]
fn clients_stay_through_a_restart_unlike_resgate() {
    if is_peer() {
        return;
    }
    for binary in broker_binaries() {
        let mut broker = Broker::start_by(binary, &[]);
        let wire = Wire::to(&broker.addr);
        let stage = Stage::start(&wire.url(), &[]);
        let mut c = stage.client();
        let svc = Service::of(&broker, "away");
        c.subscribe(&svc, "away.a", MODEL);
        assert_eq!(stage.page("/readyz").0, 200);
        let mut kept = Http::connect(&stage.gateway);
        kept.get("/nowhere");
        assert_eq!(kept.response().status, 404);

        drop(svc);
        wire.take_away();
        broker.kill();
        stage.wait_lost(1);
        // Nobody new is served, and told when to ask again; the process lives.
        kept.request("GET", "/api/away/a", "Origin: http://a.test\r\n");
        let refused = kept.response();
        let body = r#"{"code":"system.serviceUnavailable","message":"Service unavailable"}"#;
        refused.assert(503, body);
        assert_eq!(refused.header("retry-after").as_deref(), Some("2"));
        assert_eq!(
            refused.header("access-control-allow-origin").as_deref(),
            Some("*")
        );
        kept.post("/api/away/a/method", "{}");
        assert_eq!(kept.response().header("retry-after").as_deref(), Some("2"));
        kept.request(
            "GET",
            "/",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        let refused = kept.response();
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("retry-after").as_deref(), Some("2"));
        assert_eq!(stage.page("/healthz"), (200, "ok\n".to_owned()));
        let (status, reason) = stage.page("/readyz");
        assert_eq!(status, 503);
        assert!(reason.starts_with("NATS is lost, for "), "{reason}");
        let metrics = stage.metrics();
        assert_eq!(metrics.value("tidegate_nats_connected"), 0.0);
        assert!(metrics.value("tidegate_nats_away_seconds") > 0.0);
        assert_eq!(metrics.value("tidegate_nats_lost_connections_total"), 1.0);
        // What needs no service is answered.
        c.fence_local();

        broker.restart();
        let svc = Service::of(&broker, "away");
        wire.mend();
        stage.wait_connected(2);
        put_right(&svc, "away.a", r#"{"model":{"a":2}}"#);
        c.expect_event("away.a.change", r#"{"values":{"a":2}}"#);
        svc.event("away.a.change", r#"{"values":{"a":3}}"#);
        c.expect_event("away.a.change", r#"{"values":{"a":3}}"#);
        c.fence(&svc, "away.a");
        kept.get("/api/away/a");
        svc.grant("away.a");
        kept.response().assert(200, r#"{"a":3}"#);
        stage.client();
        assert_eq!(stage.page("/readyz"), (200, "ok\n".to_owned()));
        let metrics = stage.metrics();
        assert_eq!(metrics.value("tidegate_nats_connected"), 1.0);
        assert_eq!(metrics.value("tidegate_nats_away_seconds"), 0.0);
    }
}

#[test]
fn streams_stay_through_a_restart_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut broker = Broker::start();
    let wire = Wire::to(&broker.addr);
    let stage = Stage::start(&wire.url(), &[]);
    let svc = Service::of(&broker, "away_sse");
    let mut http = Http::connect(&stage.gateway);
    http.request("GET", "/api/away_sse/a", "Accept: text/event-stream\r\n");
    svc.serve("away_sse.a", MODEL);
    let head = http.response_head();
    let mut events = http.events(&head);
    events.expect(r#"{"result":{"models":{"away_sse.a":{"a":1}}},"id":1}"#);

    drop(svc);
    wire.take_away();
    broker.kill();
    stage.wait_lost(1);
    broker.restart();
    let svc = Service::of(&broker, "away_sse");
    wire.mend();
    stage.wait_connected(2);
    put_right(&svc, "away_sse.a", r#"{"model":{"a":2}}"#);
    events.expect(r#"{"event":"away_sse.a.change","data":{"values":{"a":2}}}"#);
}

#[test]
fn when_nats_does_not_come_back_in_time_it_is_the_end_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut broker = Broker::start();
    let mut stage = Stage::start(&broker.url(), &["--natsreconnect", "300"]);
    let mut c = stage.client();
    broker.kill();
    assert_eq!(c.next_close(), Some(1001));
    assert_eq!(stage.gateway.wait(PATIENCE), Some(1));
    let log = stage.gateway.log();
    assert!(
        log.contains("no server was there again within 300 ms"),
        "{log}"
    );
}

/// The time that goes by while the gateway is frozen is none in which it has looked for NATS.
#[test]
fn a_gateway_that_was_frozen_looks_for_nats_before_it_ends_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut broker = Broker::start();
    let stage = Stage::start(&broker.url(), &["--natsreconnect", "3000"]);
    let mut c = stage.client();
    broker.kill();
    stage.wait_lost(1);
    stage.gateway.freeze();
    broker.restart();
    let svc = Service::of(&broker, "thaw");
    // Only time that goes by lets the deadline pass.
    std::thread::sleep(Duration::from_millis(3_200));
    stage.gateway.signal(Signal::CONT);
    stage.wait_connected(2);
    c.fence(&svc, "thaw.a");
}

#[test]
fn a_signal_while_nats_is_away_ends_the_process_with_0_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut broker = Broker::start();
    let mut stage = Stage::start(&broker.url(), &[]);
    let svc = Service::of(&broker, "sig");
    let mut c = stage.client();
    let mut h = Http::connect(&stage.gateway);
    h.get("/api/sig/a");
    svc.expect_all(["get.sig.a", "access.sig.a"]);
    broker.kill();
    stage.wait_lost(1);
    stage.gateway.signal(Signal::TERM);
    assert_eq!(c.next_close(), Some(1001));
    // No service will answer.
    assert_eq!(h.response().status, 503);
    assert_eq!(stage.gateway.wait(PATIENCE), Some(0));
}

#[test]
fn a_frozen_server_is_lost_and_found_again_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let stage = Stage::start(&broker.url(), &["--natspinginterval", "200"]);
    let mut c = stage.client();
    let svc = Service::of(&broker, "ice");
    c.subscribe(&svc, "ice.a", MODEL);
    broker.signal(Signal::STOP);
    stage
        .gateway
        .wait_for_log("NATS server no longer answers", 1);
    broker.signal(Signal::CONT);
    stage.wait_connected(2);
    put_right(&svc, "ice.a", MODEL);
    svc.event("ice.a.change", r#"{"values":{"a":3}}"#);
    c.expect_event("ice.a.change", r#"{"values":{"a":3}}"#);
}

#[test]
fn a_black_hole_is_noticed_and_another_server_taken_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (first, second) = (Broker::start(), Broker::start());
    let wire = Wire::to(&first.addr);
    let urls = format!("{},{}", wire.url(), second.url());
    let stage = Stage::start(&urls, &["--natspinginterval", "200"]);
    let mut c = stage.client();
    let svc = Service::of(&first, "hole");
    c.subscribe(&svc, "hole.a", MODEL);
    let other = Service::of(&second, "hole");
    wire.hold();
    stage.wait_connected(2);
    put_right(&other, "hole.a", r#"{"model":{"a":5}}"#);
    c.expect_event("hole.a.change", r#"{"values":{"a":5}}"#);
    assert!(
        stage
            .gateway
            .log()
            .contains(&format!("at {}", second.url()))
    );
}

/// Long before the next PING is due, requests without answer make the gateway ask.
#[test]
fn requests_without_answer_show_the_loss_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let wire = Wire::to(&broker.addr);
    let args = ["--reqtimeout", "100", "--natspinginterval", "2000"];
    let gateway = Gateway::start(&wire.url(), &args);
    let mut c = Client::connect(&gateway);
    c.handshake("1.2.3");
    wire.hold();
    // The PING that is due by itself within two seconds could be the one that is not
    // answered; the requests' own has half of the time.
    for _ in 0..3 {
        let id = c.ask("auth.nobody.a.b");
        c.expect_error(id, "system.timeout", "Request timeout");
    }
    gateway.wait_for_log("NATS server no longer answers", 1);
    wire.mend();
    gateway.wait_for_log("Connected to nats-server", 2);
}

#[test]
fn a_connection_that_ends_within_a_message_loses_nothing_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let wire = Wire::to(&broker.addr);
    let stage = Stage::start(&wire.url(), &[]);
    let mut c = stage.client();
    let svc = Service::of(&broker, "half");
    c.subscribe(&svc, "half.a", MODEL);
    let event = r#"{"values":{"a":"0123456789"}}"#;
    wire.cut_within(event);
    svc.event("half.a.change", event);
    stage.wait_connected(2);
    put_right(&svc, "half.a", r#"{"model":{"a":"0123456789"}}"#);
    c.expect_event("half.a.change", event);
    c.fence(&svc, "half.a");
}

/// What changed or revoked a token may have been missed.
#[test]
fn clients_with_a_token_must_show_it_anew_unless_they_may_keep_it_unlike_resgate() {
    if is_peer() {
        return;
    }
    for kept in [false, true] {
        let broker = Broker::start();
        let wire = Wire::to(&broker.addr);
        let args = if kept {
            &["--natsreconnecttokens", "keep"][..]
        } else {
            &[]
        };
        let stage = Stage::start(&wire.url(), args);
        let svc = Service::of(&broker, "token");
        let (mut user, mut guest) = (stage.client(), stage.client());
        user.set_token(&svc, "token.a", r#"{"token":{"name":"user"}}"#);
        guest.fence(&svc, "token.a");
        wire.take_away();
        stage.wait_lost(1);
        wire.mend();
        stage.wait_connected(2);
        match kept {
            true => user.fence(&svc, "token.a"),
            false => assert_eq!(user.next_close(), Some(1012)),
        }
        guest.fence(&svc, "token.a");
        let metrics = stage.metrics();
        let connections = if kept { 2.0 } else { 1.0 };
        assert_eq!(metrics.value("resgate_ws_current_connections"), connections);
        let dropped = metrics.value("tidegate_token_clients_dropped_total");
        assert_eq!(dropped, if kept { 0.0 } else { 1.0 });
    }
}

#[test]
fn requests_made_while_nats_is_away_are_answered_after_it_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let wire = Wire::to(&broker.addr);
    let stage = Stage::start(&wire.url(), &[]);
    let svc = Service::of(&broker, "wait");
    let mut c = stage.client();
    let mut h = Http::connect(&stage.gateway);
    // Asked before, without answer yet: a call is not sent twice, and its answer still
    // counts; what can do no harm is asked again.
    let early = c.ask("auth.wait.a.early");
    let early_request = svc.expect("auth.wait.a.early");
    h.get("/api/wait/b");
    let before = svc.expect_all(["access.wait.b", "get.wait.b"]);
    wire.take_away();
    stage.wait_lost(1);
    let late = c.ask("auth.wait.a.late");
    c.fence_local();
    wire.mend();
    stage.wait_connected(2);
    let [late_request, access, get] =
        svc.expect_all(["auth.wait.a.late", "access.wait.b", "get.wait.b"]);
    early_request.result("1");
    c.expect_result(early, r#"{"payload":1}"#);
    late_request.result("2");
    c.expect_result(late, r#"{"payload":2}"#);
    access.grant();
    get.result(MODEL);
    h.response().assert(200, r#"{"a":1}"#);
    drop(before);
    c.fence(&svc, "wait.a");
}

#[test]
fn names_whose_events_are_refused_are_not_served_unlike_resgate() {
    if is_peer() {
        return;
    }
    for binary in broker_binaries() {
        let directory = Directory::new();
        let config = r#"authorization { users: [
            { user: s, password: p }
            { user: u, password: p, permissions: {
                publish: ">", subscribe: { allow: ">", deny: "event.no.secret.>" } } }
        ] }"#;
        let file = directory.write("nats.conf", config);
        let broker = Broker::start_by(binary, &["-c", &file]);
        let of = |user: &str| format!("nats://{user}:p@{}", broker.addr);
        let stage = Stage::start(&of("u"), &[]);
        let svc = Service::of_url(&of("s"), "no");
        let (mut c, mut other) = (stage.client(), stage.client());
        c.subscribe(&svc, "no.open", MODEL);
        let id = c.ask("subscribe.no.secret.a");
        svc.serve("no.secret.a", MODEL);
        // It may have been answered before the refusal came; then it is taken back.
        let told = c.next();
        if !told.contains("\"error\"") {
            assert!(told.contains(&format!("\"id\":{id}")), "{told}");
            let told = c.next();
            assert!(told.contains("no.secret.a.unsubscribe"), "{told}");
        }
        // Nobody else is given it out of the cache.
        let id = other.ask("subscribe.no.secret.a");
        svc.grant("no.secret.a");
        let told = other.next();
        assert!(
            told.contains("\"error\"") && told.contains(&format!("\"id\":{id}")),
            "{told}"
        );
        svc.event("no.open.change", r#"{"values":{"a":2}}"#);
        c.expect_event("no.open.change", r#"{"values":{"a":2}}"#);
        let metrics = stage.metrics();
        let refused = "tidegate_nats_refusals_total{type=\"subscription\"}";
        assert_eq!(metrics.value(refused), 1.0);
        assert_eq!(stage.page("/readyz").0, 200);
    }
}

#[test]
fn a_request_that_nats_refuses_is_answered_at_once_unlike_resgate() {
    if is_peer() {
        return;
    }
    for binary in broker_binaries() {
        let directory = Directory::new();
        let config = r#"authorization { users: [ { user: u, password: p, permissions: {
            publish: { allow: ">", deny: "call.shut.>" }, subscribe: ">" } } ] }"#;
        let file = directory.write("nats.conf", config);
        let broker = Broker::start_by(binary, &["-c", &file]);
        let url = format!("nats://u:p@{}", broker.addr);
        let stage = Stage::start(&url, &[]);
        let svc = Service::of_url(&url, "shut");
        let mut c = stage.client();
        let id = c.ask("call.shut.a.now");
        svc.grant("shut.a");
        let told = c.next();
        assert!(
            told.contains("\"error\"") && told.contains(&format!("\"id\":{id}")),
            "{told}"
        );
        let refused = "tidegate_nats_refusals_total{type=\"request\"}";
        assert_eq!(stage.metrics().value(refused), 1.0);
        c.fence(&svc, "shut.a");
    }
}

#[test]
fn a_server_that_will_shut_down_is_left_before_it_does_unlike_resgate() {
    if is_peer() {
        return;
    }
    for binary in broker_binaries() {
        let (first, second) = (
            Broker::start_by(binary.clone(), &[]),
            Broker::start_by(binary, &[]),
        );
        let wire = Wire::to(&second.addr);
        wire.take_away();
        let stage = Stage::start(&format!("{},{}", first.url(), wire.url()), &[]);
        let mut c = stage.client();
        let svc = Service::of(&first, "duck");
        c.subscribe(&svc, "duck.a", MODEL);
        // Lame duck mode.
        first.signal(Signal::USR2);
        stage.gateway.wait_for_log("about to shut down", 1);
        assert_eq!(
            stage.page("/readyz"),
            (503, "NATS server is about to shut down\n".to_owned())
        );
        // It serves on until there is another.
        svc.event("duck.a.change", r#"{"values":{"a":2}}"#);
        c.expect_event("duck.a.change", r#"{"values":{"a":2}}"#);
        let other = Service::of(&second, "duck");
        wire.mend();
        stage.wait_connected(2);
        put_right(&other, "duck.a", r#"{"model":{"a":3}}"#);
        c.expect_event("duck.a.change", r#"{"values":{"a":3}}"#);
        assert_eq!(stage.page("/readyz").0, 200);
        assert!(!stage.gateway.log().contains("lost the connection"));
    }
}

/// A service's answer finds the gateway, though that has changed its server meanwhile.
#[test]
fn a_call_at_work_survives_the_change_of_servers_unlike_resgate() {
    if is_peer() {
        return;
    }
    for binary in broker_binaries() {
        let (first, second) = cluster(&binary);
        let stage = Stage::start(&first.url(), &[]);
        let svc = Service::of(&second, "work");
        let mut c = stage.client();
        let ids: Vec<u64> = (0..20)
            .map(|n| c.ask(&format!("auth.work.a.n{n}")))
            .collect();
        let mut requests: Vec<Request> = ids.iter().map(|_| svc.next()).collect();
        first.signal(Signal::USR2);
        stage.gateway.wait_for_log("about to shut down", 1);
        // Some answers come before, some while, and some after the change.
        requests.drain(..5).for_each(|request| request.result("1"));
        stage.wait_connected(2);
        requests.drain(..).for_each(|request| request.result("1"));
        for id in ids {
            c.expect_result(id, r#"{"payload":1}"#);
        }
        assert!(!stage.gateway.log().contains("lost the connection"));
    }
}

/// Two servers that know each other.
fn cluster(binary: &std::path::Path) -> (Broker, Broker) {
    let cluster = ["--cluster_name", "c", "--cluster", "nats://127.0.0.1:-1"];
    let first = Broker::start_by(binary.into(), &cluster);
    let line = first.wait_for_log("route connections on ");
    let routes = format!("nats://{}", line.rsplit(' ').next().expect("an address"));
    let args = [&cluster[..], &["--routes", &routes]].concat();
    let second = Broker::start_by(binary.into(), &args);
    second.wait_for_log("Route connection created");
    first.wait_for_log("Route connection created");
    (first, second)
}

#[test]
fn servers_that_a_server_tells_of_are_tried_too_unlike_resgate() {
    if is_peer() {
        return;
    }
    for binary in broker_binaries() {
        let (mut first, second) = cluster(&binary);
        let stage = Stage::start(&first.url(), &[]);
        let mut c = stage.client();
        let svc = Service::of(&second, "told");
        c.subscribe(&svc, "told.a", MODEL);
        first.kill();
        stage.wait_connected(2);
        assert!(
            stage
                .gateway
                .log()
                .contains(&format!("at {}", second.url()))
        );
        put_right(&svc, "told.a", MODEL);
        c.fence(&svc, "told.a");
    }
}

#[test]
fn a_user_without_the_rights_that_are_needed_ends_the_start_unlike_resgate() {
    if is_peer() {
        return;
    }
    for (refused, allowed) in [
        ("_INBOX", r#"["system.>", "conn.>"]"#),
        ("system", r#"["_INBOX.>", "conn.>"]"#),
        ("conn", r#"["_INBOX.>", "system.>"]"#),
    ] {
        let directory = Directory::new();
        let config = format!(
            "authorization {{ users: [ {{ user: u, password: p, permissions: {{ publish: \">\", \
             subscribe: {allowed} }} }} ] }}"
        );
        let file = directory.write("nats.conf", &config);
        let broker = Broker::start_with(&["-c", &file]);
        let (code, log) = Gateway::run_to_end(&format!("nats://u:p@{}", broker.addr), &[]);
        assert_eq!(code, Some(1), "{log}");
        let words = format!("Permissions Violation for Subscription to \"{refused}");
        assert!(
            log.contains(&words) && log.contains("cannot be without"),
            "{log}"
        );
        assert!(!log.contains("Listening"), "{log}");
    }
}

#[test]
fn a_right_that_is_taken_away_shows_in_readyz_unlike_resgate() {
    if is_peer() {
        return;
    }
    for binary in broker_binaries() {
        let directory = Directory::new();
        let config = |allowed: &str| {
            format!(
                "authorization {{ users: [ {{ user: u, password: p, permissions: {{ \
                 publish: \">\", subscribe: {allowed} }} }} ] }}"
            )
        };
        let file = directory.write("nats.conf", &config("\">\""));
        let broker = Broker::start_by(binary, &["-c", &file]);
        let stage = Stage::start(&format!("nats://u:p@{}", broker.addr), &[]);
        let mut c = stage.client();
        assert_eq!(stage.page("/readyz").0, 200);
        let rest = r#"["_INBOX.>", "event.>", "conn.>"]"#;
        directory.write("nats.conf", &config(rest));
        broker.signal(Signal::HUP);
        stage.gateway.wait_for_log("NATS refuses a subscription", 1);
        let (status, reason) = stage.page("/readyz");
        assert_eq!(status, 503);
        assert!(reason.contains("Subscription to \"system.*\""), "{reason}");
        assert_eq!(stage.page("/healthz").0, 200);
        // Who is there stays.
        c.fence_local();
    }
}

#[test]
fn who_asks_for_more_than_nats_takes_gets_an_error_and_is_alone_with_it_unlike_resgate() {
    if is_peer() {
        return;
    }
    for binary in broker_binaries() {
        let directory = Directory::new();
        let file = directory.write("nats.conf", "max_control_line: 512\n");
        let broker = Broker::start_by(binary, &["-c", &file]);
        let stage = Stage::start(&broker.url(), &[]);
        let svc = Service::of(&broker, "line");
        let (mut c, mut greedy) = (stage.client(), stage.client());
        c.subscribe(&svc, "line.a", MODEL);
        let name = format!("line.{}", "x".repeat(1_200));
        let id = greedy.ask(&format!("subscribe.{name}"));
        stage.wait_connected(2);
        put_right(&svc, "line.a", MODEL);
        greedy.expect_error(id, "system.subjectTooLong", "Subject too long");
        // Again: no further connection is lost by it.
        let id = greedy.ask(&format!("subscribe.{name}"));
        greedy.expect_error(id, "system.subjectTooLong", "Subject too long");
        svc.event("line.a.change", r#"{"values":{"a":2}}"#);
        c.expect_event("line.a.change", r#"{"values":{"a":2}}"#);
        assert_eq!(
            stage
                .metrics()
                .value("tidegate_nats_lost_connections_total"),
            1.0
        );
    }
}

#[test]
fn a_payload_limit_that_was_lowered_costs_one_request_its_answer_unlike_resgate() {
    if is_peer() {
        return;
    }
    for binary in broker_binaries() {
        let directory = Directory::new();
        let file = directory.write("nats.conf", "max_payload: 1000000\n");
        let broker = Broker::start_by(binary, &["-c", &file]);
        let stage = Stage::start(&broker.url(), &[]);
        let svc = Service::of(&broker, "load");
        let mut c = stage.client();
        directory.write("nats.conf", "max_payload: 2000\n");
        broker.signal(Signal::HUP);
        broker.wait_for_log("Reloaded server configuration");
        let params = format!("\"{}\"", "x".repeat(5_000));
        let id = c.ask_with("auth.load.a.b", &params);
        let answer = c.next();
        assert!(
            answer.contains("\"error\"") && answer.contains(&format!("\"id\":{id}")),
            "{answer}"
        );
        stage.wait_connected(2);
        // Now it is known.
        let id = c.ask_with("auth.load.a.b", &params);
        let answer = c.next();
        assert!(
            answer.contains("\"error\"") && answer.contains(&format!("\"id\":{id}")),
            "{answer}"
        );
        c.fence(&svc, "load.a");
        assert_eq!(
            stage
                .metrics()
                .value("tidegate_nats_lost_connections_total"),
            1.0
        );
    }
}

/// A service whose one model counts, until it is asked to stop; its last number.
fn count(svc: &Service) -> u64 {
    let mut number = 0;
    loop {
        while let Some(request) = svc.try_next(Duration::from_millis(1)) {
            match request.subject() {
                "access.many.a" => request.grant(),
                "get.many.a" => request.result(&format!(r#"{{"model":{{"n":{number}}}}}"#)),
                "auth.many.a.stop" => {
                    request.result("true");
                    return number;
                }
                other => panic!("{other}"),
            }
        }
        number += 1;
        svc.event(
            "many.a.change",
            &format!(r#"{{"values":{{"n":{number}}}}}"#),
        );
    }
}

#[test]
fn through_many_outages_nothing_goes_back_and_all_arrives_unlike_resgate() {
    if is_peer() {
        return;
    }
    // The pauses grow from one to the next, as none of the connections lasts.
    const OUTAGES: u64 = 8;
    let broker = Broker::start();
    let wire = Wire::to(&broker.addr);
    let stage = Stage::start(&wire.url(), &["--natspinginterval", "100"]);
    let svc = Service::of(&broker, "many");
    let counter = std::thread::spawn(move || count(&svc));
    let mut c = stage.client();
    let id = c.ask("subscribe.many.a");
    assert!(c.next().contains(&format!("\"id\":{id}")));

    let (mut last, mut random, mut lost) = (0, 7_u64, 0);
    let number = |text: &str| {
        let digits = text.rsplit("\"n\":").next().expect("a value");
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    };
    while lost < OUTAGES {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        for _ in 0..1 + (random >> 33) % 20 {
            let next = number(&c.next()).expect("an event of the model");
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        lost += 1;
        match random >> 62 {
            0 => wire.take_away(),
            1 => wire.hold(),
            _ => wire.cut_within("change"),
        }
        stage.wait_lost(lost as usize);
        wire.mend();
        stage.wait_connected(1 + lost as usize);
    }
    let id = c.ask("auth.many.a.stop");
    let mut text = c.next();
    while !text.contains("payload") {
        let next = number(&text).expect("an event of the model");
        assert!(next > last, "{next} after {last}");
        (last, text) = (next, c.next());
    }
    assert_json(
        &text,
        &format!(r#"{{"id":{id},"result":{{"payload":true}}}}"#),
    );
    assert_eq!(counter.join().expect("it counts"), last);
    let metrics = stage.metrics();
    assert_eq!(
        metrics.value("tidegate_nats_lost_connections_total"),
        OUTAGES as f64
    );
    assert_eq!(metrics.value("resgate_ws_current_connections"), 1.0);
}
