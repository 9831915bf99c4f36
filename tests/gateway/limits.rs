//! Limits with names: how many connections, requests and subscriptions clients may have.

use std::time::Instant;

use crate::common::*;

/// A stack with these limits, and the address of its metrics.
fn stack(args: &[&str]) -> (Stack, String) {
    let port = free_port().to_string();
    let stack = Stack::start(&[args, &["--metricsport", &port]].concat());
    let metrics = format!("127.0.0.1:{port}");
    // The connection that found out that it listens must not count.
    let start = Instant::now();
    while !has_metric(&metrics, "tidegate_connections 0").0 {
        assert!(start.elapsed() < PATIENCE, "a connection stays");
    }
    (stack, metrics)
}

/// Whether the metrics have this line, and what they have.
fn has_metric(address: &str, line: &str) -> (bool, String) {
    let mut http = Http::connect_to(address);
    http.get("/metrics");
    let body = http.response().body;
    (body.lines().any(|other| other == line), body)
}

#[track_caller]
fn expect_metric(address: &str, line: &str) {
    let (has, body) = has_metric(address, line);
    assert!(has, "{line}:\n{body}");
}

/// Ends a WebSocket, and waits until the gateway has heard of it.
fn leave(mut client: RawWs) {
    client.frame(0x88, &1000u16.to_be_bytes());
    assert_eq!(client.next().close_code(), Some(1000));
    client.expect_eof();
}

/// Fails unless a connection is refused before it asks for anything, and what it asks does
/// not keep the answer from it.
#[track_caller]
fn expect_refused(mut http: Http, status: u16, code: &str) {
    http.try_send("GET /api/limits/model HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = http.response();
    assert_eq!(answer.status, status);
    assert_eq!(answer.header("retry-after").as_deref(), Some("2"));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert_eq!(member(&answer.body, "code"), code);
    http.expect_closed();
}

#[test]
fn a_connection_too_many_is_refused_and_others_go_on_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (stack, metrics) = stack(&["--maxconnections", "2"]);
    let mut first = stack.raw();
    let second = stack.raw();
    for _ in 0..3 {
        expect_refused(stack.http(), 503, "system.serviceUnavailable");
    }
    expect_metric(
        &metrics,
        r#"tidegate_refused_connections_total{limit="maxConnections"} 3"#,
    );
    first.expect_alive();
    leave(second);
    stack.raw().expect_alive();
    first.expect_alive();
}

#[test]
fn an_address_has_so_many_connections_and_others_theirs_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (stack, metrics) = stack(&["--maxconnectionsperaddress", "2"]);
    let mut first = stack.raw();
    let mut second = stack.http();
    expect_refused(stack.http(), 429, "common.tooActive");
    expect_metric(
        &metrics,
        r#"tidegate_refused_connections_total{limit="maxConnectionsPerAddress"} 1"#,
    );
    for other in ["127.0.0.2", "127.0.0.3"] {
        let mut http = Http::connect_from(&stack.gateway, other);
        http.get("/nowhere");
        assert_eq!(http.response().status, 404);
    }
    second.get("/nowhere");
    assert_eq!(second.response().status, 404);
    second.finish();
    second.expect_closed();
    stack.raw().expect_alive();
    first.expect_alive();
}

const TOO_ACTIVE: &str =
    r#"{"code":"common.tooActive","message":"Too many requests","data":{"seconds":1}}"#;

#[test]
fn a_client_that_asks_too_fast_is_told_so_at_once_and_others_are_not_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (stack, metrics) = stack(&["--maxrequestspersecond", "2"]);
    let svc = stack.service("limits_rate");
    let (mut hasty, mut other) = (stack.client(), stack.client());
    // They come within less time than all of them may.
    let method = "auth.limits_rate.model.login";
    let ids: Vec<u64> = (0..20).map(|_| hasty.ask(method)).collect();
    let last = hasty.ask_with("version", "null");
    let mut refused = 0;
    loop {
        let answer = hasty.next();
        let id = member(&answer, "id").parse().expect("a number");
        if id == last {
            break;
        }
        assert!(ids.contains(&id));
        assert_json(&answer, &format!(r#"{{"id":{id},"error":{TOO_ACTIVE}}}"#));
        refused += 1;
    }
    assert!((1..=18).contains(&refused), "{refused} are refused");
    for _ in refused..20 {
        svc.expect(method).respond(r#"{"result":null}"#);
        assert_eq!(member(&hasty.next(), "result"), r#"{"payload":null}"#);
    }
    // No other was passed on.
    other.fence(&svc, "limits_rate.model");
    let line = format!("tidegate_refused_requests_total{{transport=\"ws\"}} {refused}");
    expect_metric(&metrics, &line);
}

#[test]
fn an_address_that_asks_too_fast_gets_429_and_others_are_served_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (stack, metrics) = stack(&["--maxrequestspersecond", "3"]);
    let mut http = stack.http();
    let mut answers = Vec::new();
    // No resource ID: the gateway knows the answer itself. They come within less time than
    // all of them may.
    for _ in 0..30 {
        http.get("/api/limits..model");
        answers.push(http.response());
    }
    let refused: Vec<_> = answers.iter().filter(|it| it.status == 429).collect();
    assert!(refused.len() > 5, "{} are refused", refused.len());
    for answer in &refused {
        assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
        assert_json(&answer.body, TOO_ACTIVE);
    }
    let served = answers.iter().filter(|it| it.status == 404).count();
    assert!(served >= 3);
    assert_eq!(served + refused.len(), 30);
    let mut other = Http::connect_from(&stack.gateway, "127.0.0.2");
    other.get("/api/limits..model");
    assert_eq!(other.response().status, 404);
    let count = refused.len();
    let line = format!("tidegate_refused_requests_total{{transport=\"http\"}} {count}");
    expect_metric(&metrics, &line);
}

#[test]
fn a_client_has_so_many_subscriptions_and_keeps_them_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (stack, metrics) = stack(&["--maxsubscriptions", "2"]);
    let svc = stack.service("limits_subs");
    let (mut client, mut other) = (stack.client(), stack.client());
    let model = r#"{"model":{"a":1}}"#;
    client.subscribe(&svc, "limits_subs.a", model);
    client.subscribe(&svc, "limits_subs.b", model);
    let id = client.ask("subscribe.limits_subs.c");
    let code = "system.subscriptionLimitExceeded";
    client.expect_error(id, code, "Subscription limit exceeded");
    expect_metric(&metrics, "tidegate_refused_subscriptions_total 1");
    other.subscribe(&svc, "limits_subs.c", model);
    svc.event("limits_subs.a.change", r#"{"values":{"a":2}}"#);
    client.expect_event("limits_subs.a.change", r#"{"values":{"a":2}}"#);
    client.unsubscribe("limits_subs.b");
    let id = client.ask("subscribe.limits_subs.c");
    svc.grant("limits_subs.c");
    client.expect_result(id, r#"{"models":{"limits_subs.c":{"a":1}}}"#);
}

#[test]
fn the_cache_holds_so_many_resources_and_forgets_what_nobody_uses_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (stack, metrics) = stack(&["--maxcachedresources", "2", "--maxcachedbytes", "1"]);
    let svc = stack.service("limits_cache");
    let (mut client, mut other) = (stack.client(), stack.client());
    let model = r#"{"model":{"a":1}}"#;
    client.subscribe(&svc, "limits_cache.a", model);
    client.subscribe(&svc, "limits_cache.b", model);
    let id = other.ask("subscribe.limits_cache.c");
    svc.grant("limits_cache.c");
    let message = "Service unavailable: the gateway may not cache more resources";
    other.expect_error(id, "system.serviceUnavailable", message);
    client.unsubscribe("limits_cache.a");
    other.subscribe(&svc, "limits_cache.c", model);
    expect_metric(&metrics, "tidegate_evicted_names_total 1");
    expect_metric(&metrics, "tidegate_refused_resources_total 1");
    let body = has_metric(&metrics, "").1;
    let bytes = body
        .lines()
        .find_map(|line| line.strip_prefix("tidegate_cached_bytes "));
    let bytes: usize = bytes.and_then(|it| it.parse().ok()).expect("a number");
    assert_eq!(bytes, 2 * (512 + 2));
    svc.event("limits_cache.b.change", r#"{"values":{"a":2}}"#);
    client.expect_event("limits_cache.b.change", r#"{"values":{"a":2}}"#);
}

#[test]
fn times_are_what_the_options_say_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (stack, metrics) = stack(&[
        "--httpkeepalive",
        "300",
        "--headtimeout",
        "400",
        "--wsidletimeout",
        "3000",
    ]);
    let mut kept = stack.http();
    kept.get("/nowhere");
    assert_eq!(kept.response().status, 404);
    kept.expect_closed();
    let mut slow = stack.http();
    slow.send("GET /nowhere HTTP/1.1\r\n");
    assert_eq!(slow.response().status, 408);
    // Answers to pings are no messages, and whoever sends some stays.
    let (mut idle, mut there) = (stack.raw(), stack.raw());
    idle.frame(0x8a, b"");
    for _ in 0..6 {
        there.expect_alive();
        // It takes as long as a head may.
        stack.http().expect_closed();
    }
    let close = idle.next();
    assert_eq!(close.close_code(), Some(1000));
    there.expect_alive();
    expect_metric(&metrics, "tidegate_idle_clients_dropped_total 1");
}
