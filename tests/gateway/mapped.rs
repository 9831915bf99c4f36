//! HTTP methods that stand for calls, and the flat encoding.

use crate::common::*;

const NOT_ALLOWED: &str = r#"{"code":"system.methodNotAllowed","message":"Method not allowed"}"#;

fn send(h: &mut Http, method: &str, target: &str, body: &str) {
    let length = format!("Content-Length: {}\r\n", body.len());
    h.request(method, target, &length);
    h.send(body);
}

#[test]
fn methods_call_what_they_are_mapped_to() {
    let stack = Stack::start(&[
        "--reqtimeout=60000",
        "--putmethod=set",
        "--deletemethod=remove",
        "--patchmethod=p$1",
    ]);
    let (svc, mut h) = (stack.service("test"), stack.http());
    for (method, call) in [("PUT", "set"), ("DELETE", "remove"), ("PATCH", "p$1")] {
        let subject = format!("call.test.a.{call}");
        // Parameters and a result.
        send(&mut h, method, "/api/test/a?q=1", r#" {"x":1.0} "#);
        svc.expect("access.test.a").grant();
        let request = svc.expect(&subject);
        request.assert_payload(r#"{"params":{"x":1.0},"token":null,"query":"q=1","isHttp":true}"#);
        request.result(r#"{"y":2}"#);
        h.response().assert(200, r#"{"y":2}"#);
        // Neither.
        send(&mut h, method, "/api/test/a", "");
        svc.expect("access.test.a").grant();
        let request = svc.expect(&subject);
        request.assert_payload(r#"{"params":null,"token":null,"isHttp":true}"#);
        request.result("null");
        let r = h.response();
        r.assert(204, "");
        assert_eq!(r.header("content-type"), None);
        // A resource.
        send(&mut h, method, "/api/test/a", "");
        svc.expect("access.test.a").grant();
        svc.expect(&subject)
            .respond(r#"{"resource":{"rid":"test.b"}}"#);
        let r = h.response();
        r.assert(200, "");
        assert_eq!(r.header("location").as_deref(), Some("/api/test/b"));
        // Refusals.
        send(&mut h, method, "/api/test/a", "");
        svc.expect("access.test.a").result(r#"{"call":"other"}"#);
        assert_eq!(h.response().status, 401);
        send(&mut h, method, "/api/test/a", "{");
        assert_eq!(h.response().status, 400);
        send(&mut h, method, "/api/test/", "");
        assert_eq!(h.response().status, 404);
        // A method that the service does not know.
        send(&mut h, method, "/api/test/a", "");
        svc.expect("access.test.a").grant();
        svc.expect(&subject)
            .error("system.methodNotFound", "No such method");
        h.response().assert(405, NOT_ALLOWED);
    }
    // The same error stays what it is for a POST.
    h.post("/api/test/a/set", "");
    svc.expect("access.test.a").grant();
    svc.expect("call.test.a.set")
        .error("system.methodNotFound", "No such method");
    h.response().assert(
        404,
        r#"{"code":"system.methodNotFound","message":"No such method"}"#,
    );
}

#[test]
fn a_mapped_method_of_a_single_part_is_allowed() {
    let stack = Stack::start(&["--reqtimeout=60000", "--putmethod=set"]);
    let mut h = stack.http();
    let svc = stack.service("test");
    send(&mut h, "PUT", "/api/test.a", "");
    assert_eq!(h.response().status, 404);
    send(&mut h, "PUT", "/api/test/a/b", "");
    svc.expect("access.test.a.b").grant();
    svc.expect("call.test.a.b.set").result("1");
    h.response().assert(200, "1");
    for method in ["DELETE", "PATCH", "put"] {
        send(&mut h, method, "/api/test/a", "");
        h.response().assert(405, NOT_ALLOWED);
    }
}

#[test]
fn options_name_the_mapped_methods() {
    for (args, methods) in [
        (&["--putmethod=a"][..], "GET, HEAD, OPTIONS, POST, PUT"),
        (&["--deletemethod=a"], "GET, HEAD, OPTIONS, POST, DELETE"),
        (&["--patchmethod=a"], "GET, HEAD, OPTIONS, POST, PATCH"),
        (
            &["--patchmethod=a", "--deletemethod=a", "--putmethod=a"],
            "GET, HEAD, OPTIONS, POST, PUT, DELETE, PATCH",
        ),
    ] {
        let stack = Stack::start(args);
        let mut h = stack.http();
        h.request("OPTIONS", "/api/test/a", "Origin: http://o.test\r\n");
        let r = h.response();
        r.assert(200, "");
        assert_eq!(
            r.header("access-control-allow-methods").as_deref(),
            Some(methods)
        );
    }
}

#[test]
fn the_flat_encoding_has_content_in_place_of_references() {
    let stack = Stack::start(&["--reqtimeout=60000", "--apiencoding", "JSONFlat"]);
    let (svc, mut h) = (stack.service("test"), stack.http());
    h.get("/api/test/p");
    svc.serve(
        "test.p",
        r#"{"model":{"c":{"rid":"test.c"},"d":{"rid":"test.c"},"e":{"rid":"test.e"},"l":{"rid":"test.l"},"n":null,"s":{"rid":"test.s?x=1","soft":true},"v":{"data":{"k":[1]}}}}"#,
    );
    let [c, l, e] = svc.expect_all(["get.test.c", "get.test.l", "get.test.e"]);
    c.result(r#"{"model":{"n":1}}"#);
    l.result(r#"{"collection":[{"rid":"test.p"},2,{"rid":"test.c"}]}"#);
    e.error("system.notFound", "Not found");
    let r = h.response();
    assert_eq!(r.status, 200);
    assert_json(
        &r.body,
        r#"{
            "c":{"n":1},
            "d":{"n":1},
            "e":{"code":"system.notFound","message":"Not found"},
            "l":[{"href":"/api/test/p"},2,{"n":1}],
            "n":null,
            "s":{"href":"/api/test/s%3Fx=1"},
            "v":{"k":[1]}
        }"#,
    );
    h.get("/api/test/list");
    svc.serve("test.list", r#"{"collection":[]}"#);
    h.response().assert(200, "[]");
    // Calls and errors are as ever.
    h.post("/api/test/list/add", "");
    svc.expect("access.test.list").grant();
    svc.expect("call.test.list.add").result(r#"{"rid":"x"}"#);
    h.response().assert(200, r#"{"rid":"x"}"#);
}
