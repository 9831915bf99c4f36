//! Streams of events over plain HTTP.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;
const WANTED: &str = "Accept: text/event-stream\r\n";
const DENIED: &str = r#"{"code":"system.accessDenied","message":"Access denied"}"#;

/// Asks for a stream of a resource that is not cached; gives its head, and its events behind
/// the first one.
fn stream(stack: &Stack, svc: &Service, name: &str) -> (Response, Events) {
    let mut http = stack.http();
    http.request("GET", &format!("/api/{}", name.replace('.', "/")), WANTED);
    svc.serve(name, MODEL);
    begun(http, name)
}

/// The head of a stream of a resource and its events behind the first one.
fn begun(mut http: Http, name: &str) -> (Response, Events) {
    let head = http.response_head();
    assert_eq!(head.status, 200);
    let mut events = http.events(&head);
    events.expect(&set(name));
    assert_eq!(events.last_id.len(), 32);
    (head, events)
}

/// What a stream begins with.
fn set(name: &str) -> String {
    format!(r#"{{"result":{{"models":{{"{name}":{{"a":1}}}}}},"id":1}}"#)
}

#[test]
fn a_stream_has_the_texts_of_a_websocket_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let svc = stack.service("sse_same");
    let (head, mut events) = stream(stack, &svc, "sse_same.a");
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("vary", "Accept"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(head.header(name).as_deref(), Some(value), "{name}");
    }
    for name in ["content-length", "etag"] {
        assert_eq!(head.header(name), None, "{name}");
    }
    let mut client = stack.client();
    let id = client.ask("subscribe.sse_same.a");
    svc.grant("sse_same.a");
    client.expect_result(id, r#"{"models":{"sse_same.a":{"a":1}}}"#);
    // The first event has its ID, and what came behind it none to come back with.
    assert_ne!(events.last_id, "");
    for n in 2..6 {
        svc.event("sse_same.a.change", &format!(r#"{{"values":{{"a":{n}}}}}"#));
    }
    svc.event(
        "sse_same.a.change",
        r#"{"values":{"b":{"rid":"sse_same.b"}}}"#,
    );
    svc.serve_get("sse_same.b", r#"{"collection":["line\nend"]}"#);
    svc.event("sse_same.a.custom", r#"{"x":  [1]}"#);
    for n in 0..6 {
        let text = events.next().expect("an event");
        let message = client.next_message();
        assert_eq!(message.to_text().expect("a text"), text, "{n}");
        assert_eq!(events.last_id, "");
    }
}

#[test]
fn a_query_is_that_of_the_resource_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let (svc, mut http) = (stack.service("sse_query"), stack.http());
    http.request("GET", "/api/sse_query/a?from=1", WANTED);
    let [access, get] = svc.expect_all(["access.sse_query.a", "get.sse_query.a"]);
    access.assert_payload(r#"{"token":null,"isHttp":true,"query":"from=1"}"#);
    access.grant();
    get.result(r#"{"model":{"a":1},"query":"from=1"}"#);
    begun(http, "sse_query.a?from=1");
}

#[test]
fn http_1_0_is_sent_no_chunks_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let (svc, mut http) = (stack.service("sse_old"), stack.http());
    http.send("GET /api/sse_old/a HTTP/1.0\r\nConnection: keep-alive\r\nAccept: text/event-stream\r\n\r\n");
    svc.serve("sse_old.a", MODEL);
    let (head, mut events) = begun(http, "sse_old.a");
    assert_eq!(head.header("transfer-encoding"), None);
    assert_eq!(head.header("connection").as_deref(), Some("close"));
    svc.event("sse_old.a.delete", "");
    events.expect(r#"{"event":"sse_old.a.delete","data":null}"#);
    let end = r#"{"event":"sse_old.a.unsubscribe","data":{"reason":{"code":"system.deleted","message":"Deleted"}}}"#;
    events.expect(end);
    events.expect_end();
}

#[test]
fn head_has_the_head_of_a_stream_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let (svc, mut http) = (stack.service("sse_head"), stack.http());
    http.request("HEAD", "/api/sse_head/a", WANTED);
    svc.serve("sse_head.a", MODEL);
    let head = http.response();
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(
        head.header("content-type").as_deref(),
        Some("text/event-stream")
    );
    assert_eq!(
        (head.header("content-length"), head.header("etag")),
        (None, None)
    );
    // The connection is still in step.
    http.request("HEAD", "/api/sse_head/b", WANTED);
    svc.expect("access.sse_head.b").result("{}");
    assert_eq!(http.response().status, 401);
    http.get("/nowhere");
    assert_eq!(http.response().status, 404);
}

#[test]
fn who_may_not_read_gets_the_answer_of_a_get_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let (svc, mut http) = (stack.service("sse_denied"), stack.http());
    http.request("GET", "/api/sse_denied/a", WANTED);
    let [access, get] = svc.expect_all(["access.sse_denied.a", "get.sse_denied.a"]);
    access.result("{}");
    get.result(MODEL);
    http.response().assert(401, DENIED);
    http.request(
        "GET",
        "/api/sse_denied/a",
        "Accept: text/event-stream;q=0.1, */*\r\n",
    );
    svc.grant("sse_denied.a");
    let json = http.response();
    assert_eq!(
        json.header("content-type").as_deref(),
        Some("application/json; charset=utf-8")
    );
}

#[test]
fn it_ends_with_its_access_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let svc = stack.service("sse_revoked");
    let (_, mut events) = stream(stack, &svc, "sse_revoked.a");
    svc.event("sse_revoked.a.reaccess", "");
    svc.expect("access.sse_revoked.a").result("{}");
    let end = format!(r#"{{"event":"sse_revoked.a.unsubscribe","data":{{"reason":{DENIED}}}}}"#);
    events.expect(&end);
    events.expect_end();
}

#[test]
fn pages_are_judged_by_their_origin_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&[
        "--alloworigin",
        "http://a.test",
        "--headauth",
        "sse_cors.id.login",
    ]);
    let (svc, mut http) = (stack.service("sse_cors"), stack.http());
    let wanted = |origin: &str| format!("{WANTED}Origin: {origin}\r\n");
    http.request("GET", "/api/sse_cors/a", &wanted("http://b.test"));
    assert_eq!(http.response().status, 403);
    let asked = "Origin: http://a.test\r\nAccess-Control-Request-Method: GET\r\n\
                 Access-Control-Request-Headers: last-event-id\r\n";
    http.request("OPTIONS", "/api/sse_cors/a", asked);
    let allowed = http.response().header("access-control-allow-headers");
    assert_eq!(allowed.as_deref(), Some("last-event-id"));
    http.request("GET", "/api/sse_cors/a", &wanted("http://a.test"));
    // Its head is authenticated as that of any other GET.
    let auth = svc.expect("auth.sse_cors.id.login");
    assert_eq!(auth.member("isHttp"), "true");
    auth.result("null");
    svc.serve("sse_cors.a", MODEL);
    let (head, _) = begun(http, "sse_cors.a");
    for (name, value) in [
        ("access-control-allow-origin", "http://a.test"),
        ("access-control-allow-credentials", "true"),
        ("vary", "Origin, Accept"),
    ] {
        assert_eq!(head.header(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn who_comes_back_is_sent_what_it_lacks_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let svc = stack.service("sse_again");
    let (_, events) = stream(stack, &svc, "sse_again.a");
    let id = events.last_id.clone();
    drop(events);
    let mut http = stack.http();
    let fields = format!("{WANTED}Last-Event-ID: {id}\r\n");
    http.request("GET", "/api/sse_again/a", &fields);
    svc.grant("sse_again.a");
    let head = http.response_head();
    let mut events = http.events(&head);
    svc.event("sse_again.a.change", r#"{"values":{"a":2}}"#);
    // It has what there was, and so the event is the first that it is sent.
    events.expect(r#"{"event":"sse_again.a.change","data":{"values":{"a":2}}}"#);
    assert_eq!(events.last_id, "");
    // To whoever has something else all is sent.
    let mut http = stack.http();
    http.request("GET", "/api/sse_again/a", &fields);
    svc.grant("sse_again.a");
    let head = http.response_head();
    let mut events = http.events(&head);
    events.expect(&set("sse_again.a").replace("\"a\":1", "\"a\":2"));
    assert_ne!(events.last_id, id);
}

#[test]
fn it_lives_by_pings_and_ends_by_age_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&["--pinginterval", "800", "--maxage", "5000"]);
    let svc = stack.service("sse_ping");
    let (_, mut events) = stream(&stack, &svc, "sse_ping.a");
    let id = events.last_id.clone();
    // Longer than a WebSocket that answers none.
    events.expect_pings(3);
    assert_eq!(events.last_id, id);
    events.expect_end();
}

#[test]
fn who_comes_back_after_a_rest_is_sent_nothing_again_unlike_resgate() {
    if is_peer() {
        return;
    }
    let port = free_port().to_string();
    let stack = Stack::start(&["--pinginterval", "800", "--metricsport", &port]);
    let svc = stack.service("sse_rest");
    let (_, mut events) = stream(&stack, &svc, "sse_rest.a");
    let first = events.last_id.clone();
    svc.event("sse_rest.a.change", r#"{"values":{"a":2}}"#);
    events.expect(r#"{"event":"sse_rest.a.change","data":{"values":{"a":2}}}"#);
    assert_eq!(events.last_id, "");
    // Behind it comes one ID, and no other while nothing happens.
    let id = events.expect_id();
    assert!(id.len() == 32 && id != first, "{id} and {first}");
    let (ids, pings) = (events.ids, events.pings);
    events.expect_pings(pings + 3);
    assert_eq!((&events.last_id, events.ids), (&id, ids));
    events.finish();

    let back = |id: &str| {
        let mut http = stack.http();
        let fields = format!("{WANTED}Last-Event-ID: {id}\r\n");
        http.request("GET", "/api/sse_rest/a", &fields);
        svc.grant("sse_rest.a");
        let head = http.response_head();
        http.events(&head)
    };
    let mut events = back(&id);
    svc.event("sse_rest.a.change", r#"{"values":{"a":3}}"#);
    events.expect(r#"{"event":"sse_rest.a.change","data":{"values":{"a":3}}}"#);
    let mut events = back(&id);
    events.expect(r#"{"result":{"models":{"sse_rest.a":{"a":3}}},"id":1}"#);
    let mut http = Http::connect_to(&format!("127.0.0.1:{port}"));
    http.get("/metrics");
    let metrics = Exposition::parse(&http.response().body);
    assert_eq!(metrics.value("tidegate_streams_begun_total"), 3.0);
    assert_eq!(metrics.value("tidegate_streams_resumed_total"), 1.0);
}

#[test]
fn the_end_of_the_gateway_ends_it_unlike_resgate() {
    if is_peer() {
        return;
    }
    let port = free_port().to_string();
    let mut stack = Stack::start(&["--draintime", "0", "--metricsport", &port]);
    let svc = stack.service("sse_drain");
    let (_, mut events) = stream(&stack, &svc, "sse_drain.a");
    let mut http = Http::connect_to(&format!("127.0.0.1:{port}"));
    http.get("/metrics");
    let metrics = Exposition::parse(&http.response().body);
    for (name, value) in [
        ("tidegate_streams", 1.0),
        ("tidegate_streams_begun_total", 1.0),
        ("resgate_ws_current_connections", 0.0),
        ("tidegate_deliveries_total", 1.0),
    ] {
        assert_eq!(metrics.value(name), value, "{name}");
    }
    stack.gateway.signal(Signal::TERM);
    events.expect_end();
    assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
}

#[test]
fn who_ends_its_side_has_left_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let svc = stack.service("sse_left");
    let (_, mut events) = stream(stack, &svc, "sse_left.a");
    events.finish();
    svc.wait_unsubscribed("sse_left.a");
}

#[test]
fn who_reads_too_slowly_is_cut_off_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&[]);
    let svc = stack.service("sse_slow");
    let (_, mut slow) = stream(&stack, &svc, "sse_slow.a");
    let mut client = stack.client();
    let id = client.ask("subscribe.sse_slow.a");
    svc.grant("sse_slow.a");
    client.expect_result(id, r#"{"models":{"sse_slow.a":{"a":1}}}"#);
    // 100 MB in all: above the hard limit of one client's output.
    let data = format!("\"{}\"", "x".repeat(500_000));
    for _ in 0..200 {
        svc.event("sse_slow.a.custom", &data);
        client.expect_event("sse_slow.a.custom", &data);
    }
    slow.expect_cut_off();
}

/// The program that everybody has.
#[test]
fn curl_shows_it_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let svc = stack.service("sse_curl");
    for version in ["--http1.1", "--http1.0"] {
        let url = format!("http://{}/api/sse_curl/a", stack.gateway.addr);
        let mut curl = Command::new("curl")
            .args(["-sN", version, "-H", "Accept: text/event-stream", &url])
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl is installed");
        if version == "--http1.1" {
            svc.serve("sse_curl.a", MODEL);
        } else {
            svc.grant("sse_curl.a");
        }
        let mut lines = BufReader::new(curl.stdout.take().expect("it is piped")).lines();
        let mut next = || lines.next().expect("a line").expect("a text");
        assert_eq!(next(), "retry:2000");
        assert!(next().starts_with("id:"));
        assert_eq!(next(), format!("data:{}", set("sse_curl.a")));
        assert_eq!(next(), "");
        svc.event("sse_curl.a.hello", r#"{"n":1}"#);
        let expected = [
            "id:",
            r#"data:{"event":"sse_curl.a.hello","data":{"n":1}}"#,
            "",
        ];
        assert_eq!([next(), next(), next()], expected);
        svc.event("sse_curl.a.reaccess", "");
        svc.expect("access.sse_curl.a").result("{}");
        assert!([next(), next()][1].contains("unsubscribe"));
        assert!(curl.wait().expect("our child").success(), "{version}");
    }
}
