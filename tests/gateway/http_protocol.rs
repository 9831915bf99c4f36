//! HTTP/1.1 itself: keep-alive, pipelining, bodies, malformed requests.

use crate::common::*;

const NOT_FOUND: &str = r#"{"code":"system.notFound","message":"Not found"}"#;

#[test]
fn a_connection_serves_many_requests() {
    let mut h = Stack::shared().http();
    for _ in 0..20 {
        h.get("/nowhere");
        h.response().assert(404, NOT_FOUND);
    }
}

#[test]
fn connection_close_is_honoured() {
    let mut h = Stack::shared().http();
    h.request("GET", "/nowhere", "Connection: close\r\n");
    h.response().assert(404, NOT_FOUND);
    h.expect_closed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let stack = Stack::shared();
    let svc = stack.service("pipe");
    let mut h = stack.http();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    h.send(
        [
            get("/api/pipe/a"),
            get("/nowhere"),
            get("/api/pipe/b"),
            get("/api/pipe/a"),
        ]
        .concat(),
    );
    svc.serve("pipe.a", r#"{"model":{"n":"a"}}"#);
    h.response().assert(200, r#"{"n":"a"}"#);
    h.response().assert(404, NOT_FOUND);
    svc.serve("pipe.b", r#"{"model":{"n":"b"}}"#);
    h.response().assert(200, r#"{"n":"b"}"#);
    svc.grant("pipe.a");
    h.response().assert(200, r#"{"n":"a"}"#);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let stack = Stack::shared();
    let svc = stack.service("bytes");
    let mut h = stack.http();
    for byte in b"POST /api/bytes/a/set HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"a\":1}" {
        h.send([*byte]);
    }
    svc.grant("bytes.a");
    let call = svc.expect("call.bytes.a.set");
    call.assert_payload(r#"{"params":{"a":1},"token":null,"isHttp":true}"#);
    call.result("1");
    h.response().assert(200, "1");
}

#[test]
fn chunked_bodies_are_put_together() {
    let stack = Stack::shared();
    let svc = stack.service("chunk");
    let mut h = stack.http();
    for body in [
        "7\r\n{\"a\":1}\r\n0\r\n\r\n",
        "1\r\n{\r\n1\r\n\"\r\n5\r\na\":1}\r\n0\r\n\r\n",
        "7;name=value\r\n{\"a\":1}\r\n0\r\nX-Trailer: 1\r\n\r\n",
        "0007\r\n{\"a\":1}\r\n000\r\n\r\n",
    ] {
        h.send("POST /api/chunk/a/set HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        h.send(body);
        svc.grant("chunk.a");
        let call = svc.expect("call.chunk.a.set");
        call.assert_payload(r#"{"params":{"a":1},"token":null,"isHttp":true}"#);
        call.result("1");
        h.response().assert(200, "1");
    }
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let stack = Stack::shared();
    let svc = stack.service("expect100");
    let mut h = stack.http();
    h.send(
        "POST /api/expect100/a/set HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    );
    assert_eq!(h.response().status, 100);
    h.send("5");
    svc.grant("expect100.a");
    svc.expect("call.expect100.a.set").result("1");
    h.response().assert(200, "1");
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let mut h = Stack::shared().http();
    h.send("GET /nowhere HTTP/1.0\r\n\r\n");
    // The status line may name either version.
    h.expect_some_then_closed("404");
}

#[test]
fn malformed_requests_are_answered_400_and_closed() {
    for request in [
        "nonsense\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nNo-Colon\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nSpace : x\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST /api/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "POST /api/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /api/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ] {
        let mut h = Stack::shared().http();
        h.send(request);
        let r = h.response();
        assert_eq!(r.status, 400, "{request:?}");
        h.expect_closed();
    }
}

#[test]
fn ambiguous_body_framing_is_refused_unlike_resgate() {
    if is_peer() {
        return;
    }
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 6\r\n",
    ] {
        let mut h = Stack::shared().http();
        h.send(format!(
            "POST /api/a/b HTTP/1.1\r\nHost: a\r\n{head}\r\n0\r\n\r\n"
        ));
        let status = h.response().status;
        assert!(status == 400 || status == 501, "{head:?}: {status}");
        h.expect_closed();
    }
}

#[test]
fn an_unknown_version_of_http_is_refused() {
    let mut h = Stack::shared().http();
    h.send("GET / HTTP/2.0\r\nHost: a\r\n\r\n");
    let r = h.response();
    assert!(r.status == 505 || r.status == 400, "{}", r.status);
    h.expect_closed();
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let stack = Stack::shared();
    let svc = stack.service("half");
    let mut h = stack.http();
    h.get("/api/half/a");
    h.finish();
    svc.serve("half.a", r#"{"model":{"a":1}}"#);
    h.response().assert(200, r#"{"a":1}"#);
    h.expect_closed();
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let mut h = Stack::shared().http();
    // Larger than any default in the field.
    let line = format!("X-Filler: {}\r\n", "x".repeat(1000));
    h.try_send(format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        line.repeat(2000)
    ));
    assert_eq!(h.response().status, 431);
    h.expect_closed();
}

#[test]
fn a_body_over_the_limit_is_refused_unlike_resgate() {
    if is_peer() {
        return;
    }
    for head in [
        "Content-Length: 8000000\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        let mut h = Stack::shared().http();
        h.send(format!("POST /api/a/b HTTP/1.1\r\nHost: a\r\n{head}\r\n"));
        if head.starts_with('T') {
            for _ in 0..20 {
                h.try_send(format!("20000\r\n{}\r\n", "x".repeat(0x20000)));
            }
        }
        assert_eq!(h.response().status, 413, "{head}");
        h.expect_closed();
    }
}

#[test]
fn the_client_may_leave_before_the_answer() {
    let stack = Stack::shared();
    let svc = stack.service("leave");
    let mut h = stack.http();
    h.get("/api/leave/a");
    let [access, get] = svc.expect_all(["access.leave.a", "get.leave.a"]);
    drop(h);
    access.grant();
    get.result(r#"{"model":{"a":1}}"#);
    let mut h = stack.http();
    h.get("/nowhere");
    h.response().assert(404, NOT_FOUND);
}
