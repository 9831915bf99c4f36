//! The operators' port: metrics in OpenMetrics text, health and readiness.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::common::*;

/// A stack with a metrics port, and the address of that port.
fn stack() -> (Stack, String) {
    stack_with(&[])
}

/// The same with more arguments.
fn stack_with(more: &[&str]) -> (Stack, String) {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has a free port")
        .port();
    let port_text = port.to_string();
    let args = ["--metricsport", &port_text, "--reqtimeout", "60000"];
    let stack = Stack::start(&[&args, more].concat());
    (stack, format!("127.0.0.1:{port}"))
}

fn scrape(http: &mut Http) -> Exposition {
    http.get("/metrics");
    let response = http.response();
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type").as_deref(),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    Exposition::parse(&response.body)
}

#[test]
fn has_every_family_of_resgate() {
    let (_stack, address) = stack();
    let metrics = scrape(&mut Http::connect_to(&address));
    // Name, type and help text as Resgate 1.8.0 writes them.
    for (name, kind, help) in [
        ("go", "info", "Information about the Go environment."),
        ("resgate", "info", "Information about resgate."),
        (
            "go_memstats_sys_bytes",
            "gauge",
            "Number of bytes obtained from system.",
        ),
        (
            "resgate_ws_current_connections",
            "gauge",
            "Current established WebSocket connections.",
        ),
        (
            "resgate_ws_connections",
            "counter",
            "Total established WebSocket connections.",
        ),
        (
            "resgate_ws_requests",
            "counter",
            "Total WebSocket client requests.",
        ),
        (
            "resgate_http_requests",
            "counter",
            "Total HTTP client requests.",
        ),
        (
            "resgate_cache_resources",
            "gauge",
            "Current number of resources stored in the cache.",
        ),
        (
            "resgate_cache_subscriptions",
            "gauge",
            "Current number of subscriptions on cached resources.",
        ),
    ] {
        let family = metrics
            .families
            .get(name)
            .unwrap_or_else(|| panic!("{name}"));
        assert_eq!(family.kind, kind, "{name}");
        assert_eq!(family.help.as_deref(), Some(help), "{name}");
    }
    // Labelled series exist before their first use.
    for method in ["get", "subscribe", "unsubscribe", "call", "auth"] {
        let series = format!("resgate_ws_requests_total{{method=\"{method}\"}}");
        assert_eq!(metrics.value(&series), 0.0);
    }
    assert_eq!(
        metrics.value("resgate_http_requests_total{method=\"GET\"}"),
        0.0
    );
    assert_eq!(
        metrics.value("resgate_http_requests_total{method=\"POST\"}"),
        0.0
    );
    assert!(!metrics.has("resgate_http_requests_total{method=\"PUT\"}"));
    assert!(metrics.has("resgate_info{version=\"1.8.0\",protocol=\"1.2.3\"}"));
    if !is_peer() {
        assert!(metrics.has("go_info{version=\"none\"}"));
    }
    assert!(metrics.value("go_memstats_sys_bytes") > 500_000.0);
}

#[test]
fn counts_requests_as_resgate_does() {
    let (stack, address) = stack();
    let svc = stack.service("m");
    let mut http = Http::connect_to(&address);
    let mut client = stack.client();
    let values = |metrics: &Exposition| {
        [
            "resgate_ws_current_connections",
            "resgate_ws_connections_total",
            "resgate_ws_requests_total{method=\"subscribe\"}",
            "resgate_ws_requests_total{method=\"unsubscribe\"}",
            "resgate_ws_requests_total{method=\"get\"}",
            "resgate_ws_requests_total{method=\"call\"}",
            "resgate_ws_requests_total{method=\"auth\"}",
            "resgate_cache_resources",
            "resgate_cache_subscriptions",
        ]
        .map(|sample| metrics.value(sample))
    };

    // The version request is not counted.
    let before = scrape(&mut http);
    assert_eq!(values(&before), [1., 1., 0., 0., 0., 0., 0., 0., 0.]);

    client.subscribe(&svc, "m.a", r#"{"model":{"x":1}}"#);
    assert_eq!(
        values(&scrape(&mut http)),
        [1., 1., 1., 0., 0., 0., 0., 1., 1.]
    );

    // A second client, and a second direct subscription of the first.
    let mut other = stack.client();
    let id = other.ask("subscribe.m.a");
    svc.expect("access.m.a")
        .respond(r#"{"result":{"get":true}}"#);
    other.expect_result(id, r#"{"models":{"m.a":{"x":1}}}"#);
    let id = client.ask("subscribe.m.a");
    client.expect_result(id, "{}");
    assert_eq!(
        values(&scrape(&mut http)),
        [2., 2., 3., 0., 0., 0., 0., 1., 2.]
    );

    // Invalid requests are not counted; new counts as call; unsubscribing what is not
    // subscribed counts, but not with an invalid count.
    client.ask("subscribe.m..a");
    client.ask("nothing.m.a");
    client.ask("unsubscribe.m.none");
    client.ask_with("unsubscribe.m.a", r#"{"count":-1}"#);
    for _ in 0..4 {
        client.next();
    }
    let id = client.ask("auth.m.a.login");
    svc.expect("auth.m.a.login").respond(r#"{"result":null}"#);
    client.expect_result(id, r#"{"payload":null}"#);
    let id = client.ask("call.m.a.set");
    svc.expect("call.m.a.set").respond(r#"{"result":null}"#);
    client.expect_result(id, r#"{"payload":null}"#);
    client.ask("new.m.a");
    svc.expect("call.m.a.new").respond(r#"{"result":null}"#);
    client.next();
    let id = client.ask("get.m.a");
    client.expect_result(id, "{}");
    assert_eq!(
        values(&scrape(&mut http)),
        [2., 2., 3., 1., 1., 2., 1., 1., 2.]
    );

    other.drop_connection();
    // The gateway may see the end after the next scrape begins: ask until it has.
    while scrape(&mut http).value("resgate_ws_current_connections") > 1.0 {}
    assert_eq!(
        values(&scrape(&mut http)),
        [1., 2., 3., 1., 1., 2., 1., 1., 1.]
    );
}

#[test]
fn counts_api_requests_by_method() {
    let (stack, address) = stack();
    let svc = stack.service("m");
    let mut http = Http::connect_to(&address);
    let mut api = stack.http();
    for (method, name) in [("GET", "a"), ("HEAD", "b")] {
        api.request(method, &format!("/api/m/{name}"), "");
        svc.serve(&format!("m.{name}"), r#"{"model":{}}"#);
        assert_eq!(api.response().status, 200);
    }
    api.post("/api/m/a/set", "");
    svc.expect("access.m.a")
        .respond(r#"{"result":{"call":"*"}}"#);
    svc.expect("call.m.a.set").respond(r#"{"result":null}"#);
    assert_eq!(api.response().status, 204);
    // An invalid ID is counted; pages, pre-flights and unmapped methods are not.
    for (method, target, status) in [
        ("GET", "/api/m//a", 404),
        ("GET", "/page", 404),
        ("OPTIONS", "/api/m/a", 200),
        ("PUT", "/api/m/a", 405),
    ] {
        api.request(method, target, "");
        assert_eq!(api.response().status, status, "{method} {target}");
    }
    let metrics = scrape(&mut http);
    assert_eq!(
        metrics.value("resgate_http_requests_total{method=\"GET\"}"),
        3.0
    );
    assert_eq!(
        metrics.value("resgate_http_requests_total{method=\"POST\"}"),
        1.0
    );
    assert!(!metrics.has("resgate_http_requests_total{method=\"PUT\"}"));
}

/// Two access requests and a get request are answered; an auth request is open in between.
fn expect_requests(during: &Exposition, after: &Exposition) {
    for (kind, count, open) in [
        ("access", 2.0, 0.0),
        ("get", 1.0, 0.0),
        ("call", 0.0, 0.0),
        ("auth", 1.0, 1.0),
        ("query", 0.0, 0.0),
    ] {
        let samples = format!("tidegate_request_seconds_count{{type=\"{kind}\"}}");
        assert_eq!(after.value(&samples), count, "{kind}");
        let pending = format!("tidegate_pending_requests{{type=\"{kind}\"}}");
        assert_eq!(during.value(&pending), open, "{kind}");
        assert_eq!(after.value(&pending), 0.0, "{kind}");
    }
}

#[test]
fn counts_what_goes_through_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (stack, address) = stack();
    let svc = stack.service("m");
    let mut http = Http::connect_to(&address);
    let mut clients = [stack.client(), stack.client()];
    clients[0].subscribe(&svc, "m.a", r#"{"model":{"x":1}}"#);
    let id = clients[1].ask("subscribe.m.a");
    svc.expect("access.m.a")
        .respond(r#"{"result":{"get":true}}"#);
    clients[1].expect_result(id, r#"{"models":{"m.a":{"x":1}}}"#);
    let before = scrape(&mut http);

    svc.publish("event.m.a.change", r#"{"values":{"x":2}}"#);
    for client in &mut clients {
        client.expect_event("m.a.change", r#"{"values":{"x":2}}"#);
    }
    let open = clients[0].ask("auth.m.a.login");
    let request = svc.expect("auth.m.a.login");
    let during = scrape(&mut http);
    request.respond(r#"{"result":null}"#);
    clients[0].expect_result(open, r#"{"payload":null}"#);
    let after = scrape(&mut http);

    let grown = |sample: &str| after.value(sample) - before.value(sample);
    assert_eq!(grown("tidegate_events_received_total"), 1.0);
    assert_eq!(grown("tidegate_events_sent_total"), 2.0);
    // Two events and an answer.
    assert_eq!(grown("tidegate_deliveries_total"), 3.0);
    // The event and the answer; the request.
    assert_eq!(grown("tidegate_nats_messages_received_total"), 2.0);
    assert_eq!(grown("tidegate_nats_messages_sent_total"), 1.0);
    for traffic in [
        "tidegate_client_received_bytes_total",
        "tidegate_client_sent_bytes_total",
        "tidegate_nats_received_bytes_total",
        "tidegate_nats_sent_bytes_total",
        "tidegate_loop_turn_seconds_count",
    ] {
        assert!(grown(traffic) > 0.0, "{traffic}");
    }
    // {"event":"m.a.change","data":{"values":{"x":2}}} in a frame, twice, and the answer
    // {"result":{"payload":null},"id":N}.
    let answer = 2 + format!(r#"{{"result":{{"payload":null}},"id":{open}}}"#).len();
    let sent = grown("tidegate_client_sent_bytes_total");
    assert_eq!(sent, (2 * (2 + 48) + answer) as f64);

    expect_requests(&during, &after);
    for (state, count) in [("loading", 0.0), ("loaded", 1.0), ("refreshing", 0.0)] {
        let sample = format!("tidegate_cached_resources{{state=\"{state}\"}}");
        assert_eq!(after.value(&sample), count, "{state}");
    }
    assert_eq!(after.value("tidegate_connections"), 2.0);
    assert_eq!(after.value("tidegate_nats_connected"), 1.0);
    assert_eq!(after.value("tidegate_slow_clients_dropped_total"), 0.0);
    assert_eq!(after.value("tidegate_lingering_names"), 0.0);

    svc.publish("system.reset", r#"{"resources":["m.>"]}"#);
    let request = svc.expect("get.m.a");
    let metrics = scrape(&mut http);
    assert_eq!(
        metrics.value("tidegate_cached_resources{state=\"refreshing\"}"),
        1.0
    );
    assert_eq!(
        metrics.value("tidegate_cached_resources{state=\"loaded\"}"),
        0.0
    );
    request.respond(r#"{"result":{"model":{"x":2}}}"#);
    clients[1].fence(&svc, "m.a");
    clients[1].unsubscribe("m.a");
    clients[0].unsubscribe("m.a");
    assert_eq!(scrape(&mut http).value("tidegate_lingering_names"), 1.0);
}

#[test]
fn serves_nothing_else_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (stack, address) = stack();
    let mut http = Http::connect_to(&address);
    for (method, target, status, body) in [
        ("GET", "/healthz", 200, "ok\n"),
        ("GET", "/readyz", 200, "ok\n"),
        ("HEAD", "/readyz", 200, ""),
        ("GET", "/readyz?verbose", 200, "ok\n"),
        ("GET", "/", 404, "not found\n"),
        ("GET", "/metrics/", 404, "not found\n"),
        ("GET", "/api/m/a", 404, "not found\n"),
        ("POST", "/metrics", 405, "only GET and HEAD\n"),
    ] {
        http.request(method, target, "");
        let response = http.response();
        assert_eq!(
            (response.status, &response.body[..]),
            (status, body),
            "{target}"
        );
    }
    // The port for clients knows none of it.
    let mut api = stack.http();
    api.get("/metrics");
    assert_eq!(api.response().status, 404);
}

#[test]
fn takes_requests_in_pieces_and_several_at_once() {
    let (_stack, address) = stack();
    let mut http = Http::connect_to(&address);
    let request = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n";
    http.send(&request[..9]);
    // Another connection is served meanwhile.
    scrape(&mut Http::connect_to(&address));
    http.send(&request[9..]);
    Exposition::parse(&http.response().body);
    http.send(request.repeat(20));
    for _ in 0..20 {
        Exposition::parse(&http.response().body);
    }
    http.send("GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    Exposition::parse(&http.response().body);
    http.expect_closed();

    let mut http = Http::connect_to(&address);
    http.send("nonsense\r\n\r\n");
    assert_eq!(http.response().status, 400);
    http.expect_closed();
}

#[test]
fn is_live_but_not_ready_while_it_stops_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (mut stack, address) = stack();
    let svc = stack.service("m");
    let mut http = Http::connect_to(&address);
    // An open web request keeps the gateway alive for a while.
    let mut api = stack.http();
    api.get("/api/m/a");
    svc.expect("access.m.a");
    stack.gateway.signal(Signal::TERM);
    let mut status = 200;
    while status == 200 {
        http.get("/readyz");
        status = http.response().status;
    }
    assert_eq!(status, 503);
    http.get("/healthz");
    assert_eq!(http.response().status, 200);
    assert_eq!(api.response().status, 503);
    assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
}

#[test]
fn the_longest_idle_connection_makes_room_for_the_next_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (_stack, address) = stack();
    let probe = |http: &mut Http| {
        http.get("/healthz");
        http.response().assert(200, "ok\n");
    };
    let mut held: Vec<Http> = Vec::new();
    for count in 0..32 {
        let mut http = Http::connect_to(&address);
        // Some never ask for anything.
        if count % 3 > 0 {
            probe(&mut http);
        }
        held.push(http);
    }
    // The first two have been idle for longest, until the second asks again.
    let mut first = held.remove(0);
    let mut second = held.remove(0);
    probe(&mut second);
    let mut next = Http::connect_to(&address);
    probe(&mut next);
    first.expect_closed();
    probe(&mut second);
    for _ in 0..100 {
        held.push(Http::connect_to(&address));
        let mut http = Http::connect_to(&address);
        probe(&mut http);
        held.push(http);
    }
    second.expect_closed();
}

/// Clients have taken all descriptors that there are for them.
#[test]
fn probes_are_answered_when_clients_have_all_descriptors_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has a free port")
        .port();
    let mut command = std::process::Command::new("sh");
    let script = format!(r#"ulimit -n 128; exec "$0" "$@" --metricsport {port}"#);
    command.args(["-c", &script]);
    let gateway = Gateway::start_by(command, &broker.url());
    gateway.wait_for_log("Listening on", 1);
    let mut waiting: Vec<Http> = (0..128).map(|_| Http::connect(&gateway)).collect();
    gateway.wait_for_log("cannot accept clients for now", 1);
    // The kernel has taken all; the gateway takes them in their order.
    let address = format!("127.0.0.1:{port}");
    let mut probes: Vec<Http> = (0..32).map(|_| Http::connect_to(&address)).collect();
    for probe in &mut probes {
        probe.get("/healthz");
        probe.response().assert(200, "ok\n");
    }
    let connections = scrape(&mut probes[0]).value("tidegate_connections");
    let descriptors = 128.0 - 16.0 - 32.0;
    assert!(
        (descriptors / 2.0..descriptors).contains(&connections),
        "{connections}"
    );
    // Where clients leave, those who wait get in.
    let mut last = waiting.pop().expect("a client");
    last.get("/nowhere");
    drop(waiting);
    assert_eq!(last.response().status, 404);
}

#[test]
fn a_taken_metrics_port_is_an_error_unlike_resgate() {
    if is_peer() {
        return; // It says so and then hangs.
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let broker = Broker::start();
    let (code, log) = Gateway::run_to_end(&broker.url(), &["--metricsport", &port]);
    assert_eq!(code, Some(1), "{log}");
    let message = format!("cannot listen on 127.0.0.1:{port}: ");
    assert!(log.contains(&message), "{log}");
    assert!(log.contains("choose another with --metricsport"), "{log}");
}

#[test]
fn answer_times_are_counted_by_pattern_unlike_resgate() {
    if is_peer() {
        return;
    }
    let patterns = ["--latencypatterns", "m.books.>", "--latencypatterns", "m.*"];
    let (stack, address) = stack_with(&patterns);
    let (svc, mut client) = (stack.service("m"), stack.client());
    for name in ["m.books.a", "m.books.b.c", "m.other", "m.x.y"] {
        client.subscribe(&svc, name, r#"{"model":{"a":1}}"#);
    }
    let metrics = scrape(&mut Http::connect_to(&address));
    for kind in ["access", "get"] {
        for (pattern, count) in [
            ("pattern=\"m.books.>\",", 2.0),
            ("pattern=\"m.*\",", 1.0),
            ("", 1.0),
        ] {
            let sample = format!("tidegate_request_seconds_count{{{pattern}type=\"{kind}\"}}");
            assert_eq!(metrics.value(&sample), count, "{sample}");
        }
    }
}
