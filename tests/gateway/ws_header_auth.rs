//! Header authentication of WebSocket clients, before they are connected.

use rustix::process::Signal;

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn start(more: &[&str]) -> (Stack, Service, Service, Http) {
    let mut args = vec!["--reqtimeout", "60000", "--wsheadauth", "id.login"];
    args.extend_from_slice(more);
    let stack = Stack::start(&args);
    let (id, svc, http) = (stack.service("id"), stack.service("test"), stack.http());
    (stack, id, svc, http)
}

fn upgrade(h: &mut Http, headers: &str) {
    h.request("GET", "/?room=1", &format!("{UPGRADE}{headers}"));
}

/// The request on the wire that a client sends after its upgrade.
fn ask(h: &mut Http, text: &str) {
    h.send(RawWs::masked(0x81, text.as_bytes()));
}

/// The next message that a client gets.
fn told(h: &mut Http) -> String {
    let head = h.take(2);
    assert_eq!(head[0], 0x81, "a text frame");
    let length = match head[1] {
        126 => usize::from(u16::from_be_bytes(h.take(2).try_into().expect("two bytes"))),
        short => short.into(),
    };
    String::from_utf8(h.take(length)).expect("text")
}

#[test]
fn a_client_is_connected_with_the_token_that_the_service_sets() {
    let (_stack, id, svc, mut h) = start(&[]);
    upgrade(&mut h, "Cookie: a=1\r\n");
    let auth = id.expect("auth.id.login");
    assert_eq!(auth.member("uri"), "/?room=1");
    assert_eq!(auth.member("isHttp"), "true");
    assert_eq!(auth.member("token"), "null");
    let header = auth.member("header");
    assert_eq!(member(&header, "Cookie"), r#"["a=1"]"#);
    assert_eq!(member(&header, "Sec-Websocket-Version"), r#"["13"]"#);
    let cid = auth.member("cid");
    id.publish(&format!("conn.{cid}.token"), r#"{"token":{"u":1}}"#);
    auth.respond(
        r#"{"result":null,"meta":{"header":{"set-cookie":["a=2","b=3"],"X-A":["c"],"Sec-Websocket-Protocol":["p"]}}}"#,
    );
    let r = h.response_head();
    assert_eq!(r.status, 101);
    assert_eq!(
        r.header("sec-websocket-accept").as_deref(),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(r.header("set-cookie").as_deref(), Some("a=2, b=3"));
    assert_eq!(r.header("x-a").as_deref(), Some("c"));
    assert_eq!(r.header("sec-websocket-protocol"), None);
    ask(&mut h, r#"{"id":1,"method":"subscribe.test.a"}"#);
    let [access, get] = svc.expect_all(["access.test.a", "get.test.a"]);
    access.assert_payload(r#"{"token":{"u":1}}"#);
    assert_eq!(access.member("cid"), cid);
    access.grant();
    get.result(MODEL);
    assert_json(
        &told(&mut h),
        r#"{"id":1,"result":{"models":{"test.a":{"a":1}}}}"#,
    );
}

#[test]
fn what_follows_the_upgrade_request_at_once_is_kept_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (_stack, id, _svc, mut h) = start(&[]);
    let mut bytes = format!("GET / HTTP/1.1\r\nHost: gateway.test\r\n{UPGRADE}\r\n").into_bytes();
    bytes.extend(RawWs::masked(0x81, br#"{"id":1,"method":"version"}"#));
    bytes.extend(RawWs::masked(0x81, br#"{"id":2,"method":"version"}"#));
    h.send(bytes);
    id.expect("auth.id.login").result("null");
    assert_eq!(h.response_head().status, 101);
    for id in 1..=2 {
        let answer = format!(r#"{{"id":{id},"result":{{"protocol":"1.2.3"}}}}"#);
        assert_json(&told(&mut h), &answer);
    }
}

#[test]
fn the_result_decides_nothing_but_the_status_does() {
    let (_stack, id, _svc, mut h) = start(&[]);
    for (answer, status, body, location) in [
        (
            r#"{"result":null,"meta":{"status":401,"header":{"X-A":["b"]}}}"#,
            401,
            r#"{"code":"system.accessDenied","message":"Access denied"}"#,
            None,
        ),
        (
            r#"{"error":{"code":"my","message":"M"},"meta":{"status":503}}"#,
            503,
            r#"{"code":"my","message":"M"}"#,
            None,
        ),
        (
            r#"{"resource":{"rid":"test.b"},"meta":{"status":302}}"#,
            302,
            "",
            Some("/api/test/b"),
        ),
    ] {
        upgrade(&mut h, "");
        id.expect("auth.id.login").respond(answer);
        let r = h.response();
        r.assert(status, body);
        assert_eq!(r.header("location").as_deref(), location);
        assert_eq!(r.header("access-control-allow-origin"), None);
    }
    upgrade(&mut h, "");
    id.expect("auth.id.login")
        .error("system.accessDenied", "Access denied");
    assert_eq!(h.response_head().status, 101);
}

#[test]
fn requests_that_are_no_upgrade_are_asked_about_too() {
    let (_stack, id, _svc, mut h) = start(&[]);
    for (method, headers, status) in [
        ("GET", "", 400),
        ("GET", "Upgrade: websocket\r\nConnection: Upgrade\r\n", 400),
        ("POST", UPGRADE, 405),
    ] {
        h.request(method, "/", headers);
        id.expect("auth.id.login")
            .respond(r#"{"result":null,"meta":{"header":{"X-A":["b"]}}}"#);
        let r = h.response();
        assert_eq!(r.status, status, "{method} {headers}");
        assert_eq!(r.header("sec-websocket-version").as_deref(), Some("13"));
        assert_eq!(r.header("x-a"), None);
    }
}

#[test]
fn a_forbidden_origin_is_not_asked_about() {
    let (_stack, id, _svc, mut h) = start(&["--alloworigin", "http://good.test"]);
    upgrade(&mut h, "Origin: http://bad.test\r\n");
    assert_eq!(h.response().status, 403);
    upgrade(&mut h, "Origin: http://good.test\r\n");
    let auth = id.expect("auth.id.login");
    let header = auth.member("header");
    assert_eq!(member(&header, "Origin"), r#"["http://good.test"]"#);
    auth.result("null");
    assert_eq!(h.response_head().status, 101);
}

#[test]
fn without_a_service_clients_are_connected() {
    let stack = Stack::start(&["--reqtimeout", "60000", "--wsheadauth", "nobody.login"]);
    let mut h = stack.http();
    upgrade(&mut h, "");
    assert_eq!(h.response_head().status, 101);
}

#[test]
fn a_client_that_gives_up_while_the_service_thinks_does_no_harm() {
    let (stack, id, svc, mut h) = start(&[]);
    upgrade(&mut h, "");
    let auth = id.expect("auth.id.login");
    drop(h);
    auth.result("null");
    let mut h = stack.http();
    upgrade(&mut h, "");
    id.expect("auth.id.login").result("null");
    assert_eq!(h.response_head().status, 101);
    ask(&mut h, r#"{"id":1,"method":"call.test.a.b"}"#);
    svc.expect("access.test.a").result("{}");
    assert!(told(&mut h).contains("system.accessDenied"));
}

#[test]
fn the_access_of_a_client_is_asked_again_when_its_token_changes() {
    let (_stack, id, svc, mut h) = start(&[]);
    upgrade(&mut h, "");
    let auth = id.expect("auth.id.login");
    let token = format!("conn.{}.token", auth.member("cid"));
    id.publish(&token, r#"{"token":1,"tid":"t"}"#);
    auth.result("null");
    assert_eq!(h.response_head().status, 101);
    ask(&mut h, r#"{"id":1,"method":"subscribe.test.a"}"#);
    svc.serve("test.a", MODEL);
    told(&mut h);
    id.publish(&token, r#"{"token":2,"tid":"t"}"#);
    let access = svc.expect("access.test.a");
    access.assert_payload(r#"{"token":2}"#);
    access.result("{}");
    let event = told(&mut h);
    assert_eq!(member(&event, "event"), "test.a.unsubscribe");
    // The services see the upgrade request whenever they authenticate the client.
    id.publish(
        "system.tokenReset",
        r#"{"tids":["t"],"subject":"auth.id.renew"}"#,
    );
    let renewal = id.expect("auth.id.renew");
    assert_eq!(renewal.member("uri"), "/?room=1");
    renewal.result("null");
}

#[test]
fn a_gateway_that_ends_makes_no_more_websockets_unlike_resgate() {
    if is_peer() {
        return;
    }
    for is_answered in [true, false] {
        let (mut stack, id, _svc, mut h) = start(&[]);
        upgrade(&mut h, "");
        let auth = id.expect("auth.id.login");
        let mut other = stack.http();
        stack.gateway.signal(Signal::TERM);
        // An idle connection is closed when it has begun to end.
        other.expect_closed();
        if is_answered {
            auth.result("null");
        }
        let r = h.response();
        assert_eq!(r.status, 503, "{is_answered}");
        assert!(r.body.contains("system.serviceUnavailable"), "{}", r.body);
        h.expect_closed();
        assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
    }
}
