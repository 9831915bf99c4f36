//! The HTTP API: resources by GET and HEAD, calls by POST, errors, CORS.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;
const JSON: &str = "application/json; charset=utf-8";

fn http_pair(prefix: &str) -> (Service, Http) {
    let stack = Stack::shared();
    (stack.service(prefix), stack.http())
}

#[test]
fn get_asks_access_and_get_and_answers_the_model() {
    let (svc, mut h) = http_pair("web_get");
    h.get("/api/web_get/a/b");
    let [access, get] = svc.expect_all(["access.web_get.a.b", "get.web_get.a.b"]);
    access.assert_payload(r#"{"token":null,"isHttp":true}"#);
    assert_eq!(get.payload(), "{}");
    access.grant();
    get.result(r#"{"model":{"b":"x","a":1.0,"n":null}}"#);
    let r = h.response();
    assert_json(&r.body, r#"{"a":1.0,"b":"x","n":null}"#);
    assert_eq!(r.status, 200);
    assert_eq!(r.header("content-type").as_deref(), Some(JSON));
    assert_eq!(
        r.header("access-control-allow-origin").as_deref(),
        Some("*")
    );
    let vary = (!is_peer()).then(|| "Accept".to_owned());
    assert_eq!(r.header("vary"), vary);
    assert_eq!(r.header("access-control-allow-credentials"), None);
}

#[test]
fn get_answers_a_collection() {
    let (svc, mut h) = http_pair("web_coll");
    h.get("/api/web_coll/a");
    svc.serve(
        "web_coll.a",
        r#"{"collection":["x",1,{"data":[{"y":2}]},null]}"#,
    );
    let r = h.response();
    assert_eq!(r.status, 200);
    assert_json(&r.body, r#"["x",1,[{"y":2}],null]"#);
}

#[test]
fn head_is_get_without_the_body() {
    let (svc, mut h) = http_pair("web_head");
    h.request("HEAD", "/api/web_head/a", "");
    svc.serve("web_head.a", MODEL);
    let r = h.response();
    assert_eq!((r.status, r.body.as_str()), (200, ""));
    assert_eq!(r.header("content-type").as_deref(), Some(JSON));
    assert_eq!(r.header("content-length").as_deref(), Some("7"));
    h.request("HEAD", "/api/web_head/b", "");
    let [access, get] = svc.expect_all(["access.web_head.b", "get.web_head.b"]);
    get.result(MODEL);
    access.result("{}");
    let r = h.response();
    assert_eq!((r.status, r.body.as_str()), (401, ""));
    // The connection is still in step.
    h.get("/nowhere");
    assert_eq!(h.response().status, 404);
}

#[test]
fn references_are_expanded_with_their_addresses() {
    let (svc, mut h) = http_pair("web_ref");
    h.get("/api/web_ref/p");
    svc.serve(
        "web_ref.p",
        r#"{"model":{"c":{"rid":"web_ref.c"},"d":{"rid":"web_ref.c"},"l":{"rid":"web_ref.l"},"s":{"rid":"web_ref.s?x=1","soft":true},"e":{"rid":"web_ref.e"},"v":{"data":{"k":[1]}}}}"#,
    );
    let [c, l, e] = svc.expect_all(["get.web_ref.c", "get.web_ref.l", "get.web_ref.e"]);
    c.result(r#"{"model":{"n":1}}"#);
    l.result(r#"{"collection":[{"rid":"web_ref.p"},2]}"#);
    e.error("system.notFound", "Not found");
    let r = h.response();
    assert_eq!(r.status, 200);
    assert_json(
        &r.body,
        r#"{
            "c":{"href":"/api/web_ref/c","model":{"n":1}},
            "d":{"href":"/api/web_ref/c","model":{"n":1}},
            "l":{"href":"/api/web_ref/l","collection":[{"href":"/api/web_ref/p"},2]},
            "s":{"href":"/api/web_ref/s%3Fx=1"},
            "e":{"href":"/api/web_ref/e","error":{"code":"system.notFound","message":"Not found"}},
            "v":{"k":[1]}
        }"#,
    );
}

#[test]
fn cycles_end_where_a_resource_is_open_above() {
    let (svc, mut h) = http_pair("web_cycle");
    h.get("/api/web_cycle/a");
    svc.serve("web_cycle.a", r#"{"model":{"b":{"rid":"web_cycle.b"}}}"#);
    svc.serve_get(
        "web_cycle.b",
        r#"{"collection":[{"rid":"web_cycle.a"},{"rid":"web_cycle.b"},{"rid":"web_cycle.c"}]}"#,
    );
    svc.serve_get("web_cycle.c", r#"{"model":{"b":{"rid":"web_cycle.b"}}}"#);
    let r = h.response();
    assert_json(
        &r.body,
        r#"{"b":{"href":"/api/web_cycle/b","collection":[{"href":"/api/web_cycle/a"},{"href":"/api/web_cycle/b"},{"href":"/api/web_cycle/c","model":{"b":{"href":"/api/web_cycle/b"}}}]}}"#,
    );
}

#[test]
fn addresses_are_escaped() {
    let (svc, mut h) = http_pair("web_href");
    h.get("/api/web_href/p");
    svc.serve(
        "web_href.p",
        r#"{"collection":[{"rid":"web_href.a/b","soft":true},{"rid":"web_href.50%","soft":true},{"rid":"web_href.$&+=:@","soft":true},{"rid":"web_href.l?a=b","soft":true}]}"#,
    );
    let r = h.response();
    assert_json(
        &r.body.replace("\\u0026", "&"),
        r#"[{"href":"/api/web_href/a%2Fb"},{"href":"/api/web_href/50%25"},{"href":"/api/web_href/$&+=:@"},{"href":"/api/web_href/l%3Fa=b"}]"#,
    );
}

#[test]
fn addresses_lead_back_to_ids_with_dots_in_the_query_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut h) = http_pair("web_dots");
    h.get("/api/web_dots/p");
    svc.serve(
        "web_dots.p",
        r#"{"collection":[{"rid":"web_dots.a.b?q=x.y","soft":true}]}"#,
    );
    let body = h.response().body;
    let href = body
        .strip_prefix(r#"[{"href":""#)
        .and_then(|rest| rest.strip_suffix(r#""}]"#))
        .unwrap_or_else(|| panic!("no href alone in {body}"));
    h.get(href);
    let [access, get] = svc.expect_all(["access.web_dots.a.b", "get.web_dots.a.b"]);
    assert_eq!(get.payload(), r#"{"query":"q=x.y"}"#);
    access.grant();
    get.result(MODEL);
    h.response().assert(200, r#"{"a":1}"#);
}

#[test]
fn queries_follow_undecoded() {
    let (svc, mut h) = http_pair("web_query");
    for (target, query) in [
        ("l?a=1;b=%20x", Some("a=1;b=%20x")),
        ("l?x.y/z?q", Some("x.y/z?q")),
        ("l?", None),
        ("l%3Fq=1", Some("q=1")),
    ] {
        h.get(&format!("/api/web_query/{target}"));
        let [access, get] = svc.expect_all(["access.web_query.l", "get.web_query.l"]);
        match query {
            Some(query) => {
                assert_eq!(get.payload(), format!(r#"{{"query":"{query}"}}"#));
                assert_eq!(access.member("query"), query);
                get.result(&format!(r#"{{"collection":[],"query":"{query}"}}"#));
            }
            None => {
                assert_eq!(get.payload(), "{}");
                get.result(r#"{"collection":[]}"#);
            }
        }
        access.grant();
        h.response().assert(200, "[]");
    }
}

#[test]
fn paths_are_decoded_part_by_part() {
    let (svc, mut h) = http_pair("web_path");
    for (target, name) in [
        ("/api/web_path/a%2Fb", "web_path.a/b"),
        ("/api/web_path/a%2Eb", "web_path.a.b"),
        ("/api//web_path/c", "web_path.c"),
        ("/api/web_path/%21", "web_path.!"),
    ] {
        h.get(target);
        svc.serve(name, MODEL);
        h.response().assert(200, r#"{"a":1}"#);
    }
}

#[test]
fn what_is_no_resource_id_is_not_found() {
    let (svc, mut h) = http_pair("web_404");
    for target in [
        "/api",
        "/api/",
        "/api/web_404/",
        "/api/web_404/a/",
        "/api/web_404//a",
        "/api/web_404.a",
        "/api/web_404/a.b",
        "/api/web_404/%20",
        "/api/web_404/*",
        "/api/web_404/%3E",
        "/api/web_404/%C3%A9",
        "/api/web_404/%00",
        "/apix/web_404/a",
        "/API/web_404/a",
        "/nowhere",
        "/index.html",
    ] {
        h.get(target);
        let r = h.response();
        assert_eq!(
            (r.status, r.body.as_str()),
            (404, r#"{"code":"system.notFound","message":"Not found"}"#),
            "{target}"
        );
        assert_eq!(r.header("content-type").as_deref(), Some(JSON), "{target}");
    }
    // None of them reached the service.
    h.get("/api/web_404/last");
    svc.serve("web_404.last", MODEL);
    assert_eq!(h.response().status, 200);
}

#[test]
fn malformed_percent_encoding_is_a_bad_request() {
    for target in ["/api/web/%zz", "/api/web/a%", "/%1"] {
        let mut h = Stack::shared().http();
        h.get(target);
        assert_eq!(h.response().status, 400, "{target}");
    }
}

#[test]
fn error_codes_have_their_status() {
    let (svc, mut h) = http_pair("web_status");
    for (code, status) in [
        ("system.notFound", 404),
        ("system.methodNotFound", 404),
        ("system.timeout", 404),
        ("system.accessDenied", 401),
        ("system.methodNotAllowed", 405),
        ("system.internalError", 500),
        ("system.serviceUnavailable", 503),
        ("system.forbidden", 403),
        ("system.subjectTooLong", 414),
        ("system.invalidParams", 400),
        ("system.invalidQuery", 400),
        ("system.badRequest", 400),
        ("my.code", 400),
        ("", 400),
    ] {
        h.get("/api/web_status/a");
        let [access, get] = svc.expect_all(["access.web_status.a", "get.web_status.a"]);
        access.grant();
        get.respond(&format!(
            r#"{{"error":{{"code":"{code}","message":"M","data":{{"x":"y"}}}}}}"#
        ));
        let r = h.response();
        assert_json(
            &r.body,
            &format!(r#"{{"code":"{code}","message":"M","data":{{"x":"y"}}}}"#),
        );
        assert_eq!(r.status, status, "{code}");
        assert_eq!(r.header("content-type").as_deref(), Some(JSON));
    }
}

#[test]
fn access_is_needed() {
    let (svc, mut h) = http_pair("web_access");
    h.get("/api/web_access/a");
    let [access, get] = svc.expect_all(["access.web_access.a", "get.web_access.a"]);
    get.result(MODEL);
    access.result(r#"{"get":false,"call":"*"}"#);
    h.response().assert(
        401,
        r#"{"code":"system.accessDenied","message":"Access denied"}"#,
    );
    h.get("/api/web_access/b");
    let [access, get] = svc.expect_all(["access.web_access.b", "get.web_access.b"]);
    get.result(MODEL);
    access.error("system.forbidden", "No");
    h.response()
        .assert(403, r#"{"code":"system.forbidden","message":"No"}"#);
}

#[test]
fn without_a_service_a_resource_is_not_found() {
    let mut h = Stack::shared().http();
    h.get("/api/nobody_serves/a");
    h.response()
        .assert(404, r#"{"code":"system.notFound","message":"Not found"}"#);
}

#[test]
fn http_and_clients_share_the_cache() {
    let stack = Stack::shared();
    let (svc, mut c) = pair("web_cache");
    c.subscribe(&svc, "web_cache.a", MODEL);
    let mut h = stack.http();
    h.get("/api/web_cache/a");
    svc.grant("web_cache.a");
    h.response().assert(200, r#"{"a":1}"#);
}

#[test]
fn post_calls_the_method_that_ends_the_path() {
    let (svc, mut h) = http_pair("web_post");
    for (target, body, name, method, params, query) in [
        ("a/set", r#"{"x": 1.0}"#, "a", "set", r#"{"x":1.0}"#, ""),
        ("a/b/set", "", "a.b", "set", "null", ""),
        ("a/set", " \r\n\t ", "a", "set", "null", ""),
        ("a/set", "null", "a", "set", "null", ""),
        ("a/set", "[1, 2]", "a", "set", "[1,2]", ""),
        ("a/set", r#""text""#, "a", "set", r#""text""#, ""),
        ("a/set?q=1", "5", "a", "set", "5", r#","query":"q=1""#),
    ] {
        h.post(&format!("/api/web_post/{target}"), body);
        let access = svc.expect(&format!("access.web_post.{name}"));
        access.assert_payload(&format!(r#"{{"token":null,"isHttp":true{query}}}"#));
        access.result(&format!(r#"{{"call":"{method}"}}"#));
        let call = svc.expect(&format!("call.web_post.{name}.{method}"));
        call.assert_payload(&format!(
            r#"{{"params":{params},"token":null,"isHttp":true{query}}}"#
        ));
        call.result(r#"{"done":[true]}"#);
        let r = h.response();
        r.assert(200, r#"{"done":[true]}"#);
        assert_eq!(r.header("content-type").as_deref(), Some(JSON));
    }
}

#[test]
fn post_results_and_errors() {
    let (svc, mut h) = http_pair("web_result");
    for (answer, status, body) in [
        (r#"{"result":null}"#, 204, ""),
        (r#"{"result":"x"}"#, 200, r#""x""#),
        (r#"{"result":0}"#, 200, "0"),
        (
            r#"{"error":{"code":"system.invalidParams","message":"Bad"}}"#,
            400,
            r#"{"code":"system.invalidParams","message":"Bad"}"#,
        ),
        (
            r#"{"error":{"code":"system.methodNotFound","message":"None"}}"#,
            404,
            r#"{"code":"system.methodNotFound","message":"None"}"#,
        ),
        (
            "{}",
            500,
            r#"{"code":"system.internalError","message":"Internal error: response missing result"}"#,
        ),
    ] {
        h.post("/api/web_result/a/set", "");
        svc.grant("web_result.a");
        svc.expect("call.web_result.a.set").respond(answer);
        let r = h.response();
        r.assert(status, body);
        assert_eq!(
            r.header("content-type").is_some(),
            status != 204,
            "{answer}"
        );
    }
    h.post("/api/web_result/a/set", "");
    svc.expect("access.web_result.a").result(r#"{"get":true}"#);
    h.response().assert(
        401,
        r#"{"code":"system.accessDenied","message":"Access denied"}"#,
    );
}

#[test]
fn post_with_a_resource_response_names_its_location() {
    let (svc, mut h) = http_pair("web_loc");
    for (method, answer) in [
        ("make", r#"{"resource":{"rid":"web_loc.a/b.c?q=1"}}"#),
        ("new", r#"{"result":{"rid":"web_loc.a/b.c?q=1"}}"#),
    ] {
        h.post(&format!("/api/web_loc/list/{method}"), "{}");
        svc.grant("web_loc.list");
        svc.expect(&format!("call.web_loc.list.{method}"))
            .respond(answer);
        let r = h.response();
        r.assert(200, "");
        assert_eq!(
            r.header("location").as_deref(),
            Some("/api/web_loc/a%2Fb/c%3Fq=1")
        );
    }
    // Nothing was loaded.
    h.post("/api/web_loc/list/x", "");
    svc.expect("access.web_loc.list").result("{}");
    assert_eq!(h.response().status, 401);
}

#[test]
fn post_bodies_must_be_json() {
    let (svc, mut h) = http_pair("web_body");
    for body in ["{", "{} {}", "nonsense", r#"{"a":}"#, "'x'"] {
        h.post("/api/web_body/a/set", body);
        let r = h.response();
        assert_eq!(r.status, 400, "{body}");
        assert_eq!(member(&r.body, "code"), "system.badRequest");
        assert!(
            member(&r.body, "message").starts_with("Error decoding request body: "),
            "{}",
            r.body
        );
    }
    // None of them reached the service.
    h.post("/api/web_body/a/set", "");
    svc.expect("access.web_body.a").result("{}");
    assert_eq!(h.response().status, 401);
}

#[test]
fn post_paths_need_a_resource_and_a_method() {
    let mut h = Stack::shared().http();
    for target in ["/api/set", "/api/a/", "/api/a//set", "/api/", "/nowhere"] {
        h.post(target, "");
        h.response()
            .assert(404, r#"{"code":"system.notFound","message":"Not found"}"#);
    }
}

#[test]
fn unmapped_methods_are_not_allowed() {
    let mut h = Stack::shared().http();
    for method in ["PUT", "PATCH", "DELETE", "TRACE", "FOO"] {
        h.request(method, "/api/web/a", "");
        h.response().assert(
            405,
            r#"{"code":"system.methodNotAllowed","message":"Method not allowed"}"#,
        );
    }
}

#[test]
fn options_answers_the_preflight_on_any_api_path() {
    let mut h = Stack::shared().http();
    for target in ["/api/web/a", "/api/web//", "/api/"] {
        h.request("OPTIONS", target, "Origin: http://a.test\r\n");
        let r = h.response();
        r.assert(200, "");
        assert_eq!(
            r.header("access-control-allow-methods").as_deref(),
            Some("GET, HEAD, OPTIONS, POST")
        );
        assert_eq!(
            r.header("access-control-allow-origin").as_deref(),
            Some("*")
        );
        assert_eq!(r.header("access-control-allow-headers"), None);
    }
    h.request(
        "OPTIONS",
        "/api/web/a",
        "Access-Control-Request-Headers: X-One, X-Two\r\nAccess-Control-Request-Headers: X-Three\r\n",
    );
    let r = h.response();
    assert_eq!(
        r.header("access-control-allow-headers").as_deref(),
        Some("X-One, X-Two, X-Three")
    );
    h.request("OPTIONS", "*", "");
    h.response().assert(200, "");
}

#[test]
fn the_cid_tag_works_in_paths() {
    let (svc, mut h) = http_pair("web_cid");
    h.get("/api/web_cid/%7Bcid%7D/a");
    let first = svc.next();
    let second = svc.next();
    let access = if first.subject().starts_with("access.") {
        &first
    } else {
        &second
    };
    let cid = access.member("cid");
    assert_eq!(access.subject(), format!("access.web_cid.{cid}.a"));
    for request in [&first, &second] {
        if request.subject().starts_with("get.") {
            request.result(MODEL);
        } else {
            request.grant();
        }
    }
    h.response().assert(200, r#"{"a":1}"#);
}

#[test]
fn a_path_is_decoded_once_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut h) = http_pair("web_once");
    h.get("/api/web_once/%2541");
    svc.serve("web_once.%41", MODEL);
    h.response().assert(200, r#"{"a":1}"#);
}
