//! Header authentication of HTTP requests, and meta objects in their answers.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;
const JSON: &str = "application/json; charset=utf-8";

/// A gateway that asks `auth.id.login` before web requests: the service that is asked,
/// another one, and an HTTP connection.
fn start(more: &[&str]) -> (Stack, Service, Service, Http) {
    let mut args = vec!["--reqtimeout", "60000", "--headauth", "id.login"];
    args.extend_from_slice(more);
    let stack = Stack::start(&args);
    let (id, svc, http) = (stack.service("id"), stack.service("test"), stack.http());
    (stack, id, svc, http)
}

#[test]
fn the_request_is_shown_to_the_service_before_anything_else() {
    let (_stack, id, svc, mut h) = start(&[]);
    h.request(
        "GET",
        "/api/test/a?q=%20",
        "cookie: a=1\r\nX-Two: b\r\nx-two: c\r\nOrigin: http://o.test\r\n",
    );
    let auth = id.expect("auth.id.login");
    assert_json(
        &auth.member("header"),
        r#"{"Cookie":["a=1"],"X-Two":["b","c"],"Origin":["http://o.test"]}"#,
    );
    assert_eq!(auth.member("host"), "gateway.test");
    assert_eq!(auth.member("uri"), "/api/test/a?q=%20");
    assert_eq!(auth.member("isHttp"), "true");
    assert_eq!(auth.member("token"), "null");
    let remote = auth.member("remoteAddr");
    assert!(remote.starts_with("127.0.0.1:"), "{remote}");
    let payload: serde_json::Value = serde_json::from_str(auth.payload()).expect("JSON");
    assert_eq!(payload.get("params"), None);
    let cid = auth.member("cid");
    id.publish(&format!("conn.{cid}.token"), r#"{"token":{"user":7}}"#);
    auth.result("null");
    let [access, get] = svc.expect_all(["access.test.a", "get.test.a"]);
    access.assert_payload(r#"{"token":{"user":7},"query":"q=%20","isHttp":true}"#);
    access.grant();
    get.result(MODEL);
    h.response().assert(200, r#"{"a":1}"#);
}

#[test]
fn the_answer_of_the_service_decides_nothing() {
    let (_stack, id, svc, mut h) = start(&[]);
    for answer in [
        r#"{"result":{"x":1}}"#,
        r#"{"resource":{"rid":"test.x"}}"#,
        r#"{"error":{"code":"system.accessDenied","message":"M"}}"#,
        r#"{"result":null,"meta":{"status":200}}"#,
        r#"{"result":null,"meta":{"status":"x"}}"#,
        "{}",
    ] {
        h.get("/api/test/a");
        id.expect("auth.id.login").respond(answer);
        let [access, get] = svc.expect_all(["access.test.a", "get.test.a"]);
        access.assert_payload(r#"{"token":null,"isHttp":true}"#);
        access.result("{}");
        get.error("system.notFound", "Not found");
        assert_eq!(h.response().status, 401, "{answer}");
    }
}

#[test]
fn a_service_that_does_not_answer_is_waited_for_in_vain() {
    let stack = Stack::start(&["--reqtimeout", "200", "--headauth", "id.login"]);
    let (id, svc, mut h) = (stack.service("id"), stack.service("test"), stack.http());
    h.get("/api/test/a");
    id.expect("auth.id.login");
    svc.serve("test.a", MODEL);
    h.response().assert(200, r#"{"a":1}"#);
}

#[test]
fn without_a_service_requests_go_on() {
    let stack = Stack::start(&["--reqtimeout", "60000", "--headauth", "nobody.login"]);
    let (svc, mut h) = (stack.service("test"), stack.http());
    h.get("/api/test/a");
    svc.serve("test.a", MODEL);
    h.response().assert(200, r#"{"a":1}"#);
}

#[test]
fn only_requests_that_may_succeed_are_authenticated() {
    let (_stack, id, svc, mut h) = start(&["--alloworigin", "http://good.test"]);
    for (method, target, headers, status) in [
        ("GET", "/api/test/", "", 404),
        ("GET", "/api/test/a.b", "", 404),
        ("GET", "/nowhere", "", 404),
        ("PUT", "/api/test/a", "", 405),
        ("OPTIONS", "/api/test/a", "", 200),
        ("GET", "/api/test/a", "Origin: http://bad.test\r\n", 403),
    ] {
        h.request(method, target, headers);
        assert_eq!(h.response().status, status, "{method} {target}");
    }
    h.post("/api/test/a/b", "{");
    assert_eq!(h.response().status, 400);
    // The first request of the service is that of the first that may succeed.
    h.request("HEAD", "/api/test/last", "");
    let auth = id.expect("auth.id.login");
    assert_eq!(auth.member("uri"), "/api/test/last");
    auth.result("null");
    svc.serve("test.last", MODEL);
    assert_eq!(h.response().status, 200);
}

#[test]
fn credentials_are_allowed_on_all_of_the_api() {
    let (_stack, id, svc, mut h) = start(&[]);
    let allowed = |r: &Response| r.header("access-control-allow-credentials");
    h.get("/api/test/a");
    id.expect("auth.id.login").result("null");
    svc.serve("test.a", MODEL);
    assert_eq!(allowed(&h.response()).as_deref(), Some("true"));
    h.request("OPTIONS", "/api/test/a", "Origin: http://o.test\r\n");
    assert_eq!(allowed(&h.response()).as_deref(), Some("true"));
    h.request("PUT", "/api/test/a", "");
    assert_eq!(allowed(&h.response()).as_deref(), Some("true"));
    h.get("/nowhere");
    assert_eq!(allowed(&h.response()), None);
}

#[test]
fn fields_come_from_auth_access_and_call() {
    let (_stack, id, svc, mut h) = start(&[]);
    h.post("/api/test/a/set", "");
    id.expect("auth.id.login").respond(
        r#"{"result":null,"meta":{"header":{"x-one":["1"],"set-cookie":["a=1"],"X-Two":["2"]}}}"#,
    );
    svc.expect("access.test.a").respond(
        r#"{"result":{"call":"*"},"meta":{"header":{"Set-Cookie":["b=2","c=3"],"X-Three":["3"],"Content-Type":["text/html"]}}}"#,
    );
    svc.expect("call.test.a.set").respond(
        r#"{"result":"ok","meta":{"status":600,"header":{"X-ONE":["one","uno"],"Access-Control-Allow-Origin":["http://x.test"]}}}"#,
    );
    let r = h.response();
    r.assert(200, r#""ok""#);
    for (name, value) in [
        ("x-one", Some("one, uno")),
        ("x-two", Some("2")),
        ("x-three", Some("3")),
        ("set-cookie", Some("a=1, b=2, c=3")),
        ("content-type", Some(JSON)),
        ("access-control-allow-origin", Some("*")),
    ] {
        assert_eq!(r.header(name).as_deref(), value, "{name}");
    }
    // One line for each cookie: they cannot be joined (RFC 6265, section 3).
    let cookies = r.headers.iter().filter(|(name, _)| name == "set-cookie");
    assert_eq!(cookies.count(), 3);
}

#[test]
fn a_status_ends_the_request_where_it_comes() {
    let (_stack, id, svc, mut h) = start(&[]);
    let meta = r#""meta":{"status":403,"header":{"X-A":["b"]}}"#;
    for stage in 0..3 {
        h.post("/api/test/a/set", "");
        let auth = id.expect("auth.id.login");
        if stage == 0 {
            auth.respond(&format!(r#"{{"result":null,{meta}}}"#));
        } else {
            auth.result("null");
            let access = svc.expect("access.test.a");
            if stage == 1 {
                access.respond(&format!(r#"{{"result":{{"call":"*"}},{meta}}}"#));
            } else {
                access.grant();
                svc.expect("call.test.a.set")
                    .respond(&format!(r#"{{"result":1,{meta}}}"#));
            }
        }
        let r = h.response();
        r.assert(403, r#"{"code":"system.forbidden","message":"Forbidden"}"#);
        assert_eq!(r.header("x-a").as_deref(), Some("b"));
        assert_eq!(r.header("content-type").as_deref(), Some(JSON));
    }
}

#[test]
fn statuses_stand_for_errors() {
    let (_stack, id, _svc, mut h) = start(&[]);
    for (status, code, message) in [
        (400, "system.badRequest", "Bad request"),
        (401, "system.accessDenied", "Access denied"),
        (402, "system.accessDenied", "Access denied"),
        (403, "system.forbidden", "Forbidden"),
        (404, "system.notFound", "Not found"),
        (405, "system.methodNotAllowed", "Method not allowed"),
        (407, "system.accessDenied", "Access denied"),
        (408, "system.timeout", "Request timeout"),
        (410, "system.notFound", "Not found"),
        (429, "system.badRequest", "Bad request"),
        (451, "system.forbidden", "Forbidden"),
        (500, "system.internalError", "Internal error"),
        (501, "system.notImplemented", "Not implemented"),
        (502, "system.internalError", "Internal error"),
        (503, "system.serviceUnavailable", "Service unavailable"),
        (504, "system.timeout", "Request timeout"),
    ] {
        h.get("/api/test/a");
        id.expect("auth.id.login").respond(&format!(
            r#"{{"result":null,"meta":{{"status":{status}}}}}"#
        ));
        h.response().assert(
            status,
            &format!(r#"{{"code":"{code}","message":"{message}"}}"#),
        );
        h.get("/api/test/a");
        id.expect("auth.id.login").respond(&format!(
            r#"{{"error":{{"code":"my.code","message":"M","data":1}},"meta":{{"status":{status}}}}}"#
        ));
        h.response()
            .assert(status, r#"{"code":"my.code","message":"M","data":1}"#);
    }
}

#[test]
fn redirects_have_no_body() {
    let (_stack, id, _svc, mut h) = start(&[]);
    for (answer, status, location) in [
        (
            r#"{"result":1,"meta":{"status":302,"header":{"Location":["/x?y"]}}}"#,
            302,
            Some("/x?y"),
        ),
        (
            r#"{"resource":{"rid":"test.b"},"meta":{"status":303}}"#,
            303,
            Some("/api/test/b"),
        ),
        (
            r#"{"resource":{"rid":"test.b"},"meta":{"status":307,"header":{"location":["/x"]}}}"#,
            307,
            Some("/x"),
        ),
        (r#"{"result":1,"meta":{"status":304}}"#, 304, None),
        (
            r#"{"error":{"code":"x","message":"y"},"meta":{"status":300}}"#,
            300,
            None,
        ),
    ] {
        h.get("/api/test/a");
        id.expect("auth.id.login").respond(answer);
        let r = h.response();
        assert_eq!((r.status, &*r.body), (status, ""), "{answer}");
        assert_eq!(r.header("location").as_deref(), location, "{answer}");
        assert_eq!(r.header("content-type"), None, "{answer}");
    }
}

#[test]
fn a_resource_in_an_answer_is_the_location_whatever_the_fields_say() {
    let (svc, mut h) = (Stack::shared().service("meta_loc"), Stack::shared().http());
    h.post("/api/meta_loc/a/new", "");
    svc.expect("access.meta_loc.a").grant();
    svc.expect("call.meta_loc.a.new")
        .respond(r#"{"resource":{"rid":"meta_loc.b"},"meta":{"header":{"Location":["/x"]}}}"#);
    let r = h.response();
    r.assert(200, "");
    assert_eq!(r.header("location").as_deref(), Some("/api/meta_loc/b"));
}

#[test]
fn a_meta_object_of_the_wrong_type_is_an_internal_error() {
    let (svc, mut h) = (Stack::shared().service("meta_bad"), Stack::shared().http());
    for meta in [
        "1",
        "[]",
        r#"{"status":"404"}"#,
        r#"{"status":1.5}"#,
        r#"{"header":{"A":"b"}}"#,
    ] {
        h.post("/api/meta_bad/a/set", "");
        svc.expect("access.meta_bad.a").grant();
        svc.expect("call.meta_bad.a.set")
            .respond(&format!(r#"{{"result":1,"meta":{meta}}}"#));
        assert_eq!(h.response().status, 500, "{meta}");
        h.post("/api/meta_bad/a/set", "");
        svc.expect("access.meta_bad.a")
            .respond(&format!(r#"{{"result":{{"call":"*"}},"meta":{meta}}}"#));
        assert_eq!(h.response().status, 500, "{meta}");
    }
}

#[test]
fn meta_says_nothing_in_get_answers_and_to_clients() {
    let (svc, mut c) = pair("meta_ws");
    let mut h = Stack::shared().http();
    h.get("/api/meta_ws/a");
    let [access, get] = svc.expect_all(["access.meta_ws.a", "get.meta_ws.a"]);
    access.grant();
    get.respond(r#"{"result":{"model":{"a":1}},"meta":{"status":404,"header":{"X-A":["b"]}}}"#);
    let r = h.response();
    r.assert(200, r#"{"a":1}"#);
    assert_eq!(r.header("x-a"), None);
    let call = c.ask("call.meta_ws.b.set");
    svc.expect("access.meta_ws.b")
        .respond(r#"{"result":{"call":"*"},"meta":{"status":403}}"#);
    svc.expect("call.meta_ws.b.set")
        .respond(r#"{"result":1,"meta":{"status":403}}"#);
    c.expect_result(call, r#"{"payload":1}"#);
}

#[test]
fn fields_that_cannot_be_sent_are_left_out_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut h) = (Stack::shared().service("meta_inj"), Stack::shared().http());
    h.post("/api/meta_inj/a/set", "");
    svc.expect("access.meta_inj.a").grant();
    svc.expect("call.meta_inj.a.set").respond(
        r#"{"result":1,"meta":{"header":{"X-A":["b\r\nX-Evil: 1"],"X B":["c"],"":["d"],"Content-Length":["99"],"Transfer-Encoding":["chunked"],"Connection":["close"],"X-Good":["e"]}}}"#,
    );
    let r = h.response();
    r.assert(200, "1");
    assert_eq!(r.header("content-length").as_deref(), Some("1"));
    assert_eq!(r.header("x-good").as_deref(), Some("e"));
    for name in ["x-a", "x-evil", "x b", "transfer-encoding", "connection"] {
        assert_eq!(r.header(name), None, "{name}");
    }
    h.get("/nowhere");
    assert_eq!(h.response().status, 404, "the connection is in step");
}
