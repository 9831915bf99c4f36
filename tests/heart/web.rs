//! HTTP requests for resources and methods, from path to answer.

use crate::harness::{Heart, LINGER, REQUEST_TIMEOUT, changed};

/// GETs a tree: resources by name with their get results, the root first.
fn get(target: &str, resources: &[(&str, &str)]) -> (u16, String) {
    let mut h = Heart::new();
    h.web(1, "GET", target, "");
    h.grant(resources[0].0);
    for (name, result) in resources {
        assert!(!h.has_web_answer(1), "it waits for {name}");
        h.serve(name, result);
    }
    h.web_answer(1)
}

#[test]
fn a_resource_is_encoded_with_what_it_references() {
    for (resources, body) in [
        (&[("test.r", r#"{"model":{}}"#)][..], "{}"),
        (&[("test.r", r#"{"collection":[]}"#)], "[]"),
        (
            &[(
                "test.r",
                r#"{"model":{"b":1.0,"a":"<","d":{"data":{"x":[1]}},"p":{"data":null}}}"#,
            )],
            r#"{"a":"<","b":1.0,"d":{"x":[1]},"p":null}"#,
        ),
        (
            &[(
                "test.r",
                r#"{"collection":[{"rid":"test.s?q=x.y","soft":true}]}"#,
            )],
            r#"[{"href":"/api/test/s%3Fq=x%2Ey"}]"#,
        ),
        (
            &[
                (
                    "test.r",
                    r#"{"collection":[{"rid":"test.m"},{"rid":"test.c"},{"rid":"test.m"}]}"#,
                ),
                ("test.m", r#"{"model":{"n":1}}"#),
                ("test.c", r#"{"collection":[7]}"#),
            ],
            r#"[{"href":"/api/test/m","model":{"n":1}},{"href":"/api/test/c","collection":[7]},{"href":"/api/test/m","model":{"n":1}}]"#,
        ),
        (
            &[
                (
                    "test.r",
                    r#"{"model":{"a":{"rid":"test.a"},"me":{"rid":"test.r"}}}"#,
                ),
                (
                    "test.a",
                    r#"{"model":{"b":{"rid":"test.b"},"r":{"rid":"test.r"}}}"#,
                ),
                (
                    "test.b",
                    r#"{"collection":[{"rid":"test.a"},{"rid":"test.r"}]}"#,
                ),
            ],
            r#"{"a":{"href":"/api/test/a","model":{"b":{"href":"/api/test/b","collection":[{"href":"/api/test/a"},{"href":"/api/test/r"}]},"r":{"href":"/api/test/r"}}},"me":{"href":"/api/test/r"}}"#,
        ),
    ] {
        assert_eq!(get("test/r", resources), (200, body.to_owned()));
    }
}

#[test]
fn a_child_that_fails_is_its_error() {
    let mut h = Heart::new();
    h.web(1, "GET", "test/r", "");
    h.grant("test.r");
    h.serve(
        "test.r",
        r#"{"collection":[{"rid":"test.a"},{"rid":"test.b"}]}"#,
    );
    h.fail("test.a", "system.notFound");
    h.advance(REQUEST_TIMEOUT);
    h.expect_request("get.test.b");
    assert_eq!(
        h.web_answer(1),
        (
            200,
            concat!(
                r#"[{"href":"/api/test/a","error":{"code":"system.notFound","message":"M"}},"#,
                r#"{"href":"/api/test/b","error":{"code":"system.timeout","message":"Request timeout"}}]"#
            )
            .to_owned()
        )
    );
}

#[test]
fn paths_name_resources_or_nothing() {
    for (target, name, query) in [
        ("test", "test", ""),
        ("test/a", "test.a", ""),
        ("/test/a", "test.a", ""),
        ("test/a%2Fb", "test.a/b", ""),
        ("test%2Ea", "test.a", ""),
        ("test%3Fq", "test", r#""query":"q""#),
        ("test?q=a%20b.c/*", "test", r#""query":"q=a%20b.c/*""#),
        ("test?", "test", ""),
        ("test?a?b", "test", r#""query":"a?b""#),
        ("%2541", "%41", ""),
    ] {
        let mut h = Heart::new();
        h.web(1, "GET", target, "");
        let access = h.expect_request(&format!("access.{name}"));
        let comma = if query.is_empty() { "" } else { "," };
        assert_eq!(
            access.payload,
            format!(r#"{{"token":null{comma}{query},"cid":"$CID","isHttp":true}}"#)
        );
        assert_eq!(
            h.expect_request(&format!("get.{name}")).payload,
            format!("{{{query}}}")
        );
        h.respond(&access, r#"{"result":{"get":false}}"#);
        assert_eq!(h.web_answer(1).0, 401, "{target}");
    }
    let not_found = r#"{"code":"system.notFound","message":"Not found"}"#;
    for target in [
        "",
        "/",
        "test/",
        "test/a.b",
        "test//a",
        "//test",
        "te%20st",
        "test/%2A",
        "test/%3E",
        "test/%zz",
        "test/%4",
        "test/%",
        "test/%ff",
        "test/%00",
        "test/\u{e5}",
        "%3Fq",
        "?q",
    ] {
        for method in ["GET", "POST"] {
            let mut h = Heart::new();
            h.web(1, method, target, "");
            assert_eq!(
                h.web_answer(1),
                (404, not_found.into()),
                "{method} {target}"
            );
            h.expect_no_request();
        }
    }
}

#[test]
fn errors_have_their_status() {
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
        ("test.custom", 400),
        ("", 400),
    ] {
        let error = format!(r#"{{"code":"{code}","message":"M","data":{{"a":1}}}}"#);
        let answer = format!(r#"{{"error":{error}}}"#);
        let mut h = Heart::new();
        // As the answer to get, to access, and to call.
        h.web(1, "GET", "test/r", "");
        h.grant("test.r");
        let get = h.expect_request("get.test.r");
        h.respond(&get, &answer);
        h.web(2, "GET", "test/r", "");
        h.access("test.r", &answer);
        h.web(3, "POST", "test/r/set", "");
        h.grant("test.r");
        let call = h.expect_request("call.test.r.set");
        h.respond(&call, &answer);
        h.web(4, "POST", "test/r/set", "");
        h.access("test.r", &answer);
        for number in 1..5 {
            assert_eq!(h.web_answer(number), (status, error.clone()), "{number}");
        }
        h.fail("test.r", "x");
    }
}

#[test]
fn a_name_that_is_too_long_is_414() {
    let mut h = Heart::new();
    let name = "x".repeat(4_061);
    for (method, target) in [("GET", name.clone()), ("POST", format!("{name}/set"))] {
        h.web(1, method, &target, "");
        assert_eq!(h.web_answer(1).0, 414);
    }
    h.expect_no_request();
    let answer = r#"{"code":"system.subjectTooLong","message":"Subject too long"}"#;
    h.web(1, "POST", &format!("test/{}", "m".repeat(4_062)), "");
    h.grant("test");
    assert_eq!(h.web_answer(1), (414, answer.into()));
}

#[test]
fn a_post_calls_the_last_part_of_its_path() {
    for (body, params) in [
        ("", "null"),
        (" \r\n\t", "null"),
        ("null", "null"),
        (r#" { "a" : [ 1.0 ] } "#, r#"{"a":[1.0]}"#),
        ("\"text\"", "\"text\""),
    ] {
        let mut h = Heart::new();
        h.web(1, "POST", "test/r/set?q=1", body);
        let access = h.expect_request("access.test.r");
        assert_eq!(
            access.payload,
            r#"{"token":null,"query":"q=1","cid":"$CID","isHttp":true}"#
        );
        h.respond(&access, r#"{"result":{"call":"set"}}"#);
        let call = h.expect_request("call.test.r.set");
        assert_eq!(
            call.payload,
            format!(
                r#"{{"params":{params},"token":null,"query":"q=1","cid":"$CID","isHttp":true}}"#
            )
        );
        h.respond(&call, r#"{"result":{"done": true}}"#);
        assert_eq!(h.web_answer(1).0, 200);
    }
}

#[test]
fn a_post_is_answered_by_its_result() {
    for (answer, expected) in [
        (r#"{"result":null}"#, (204, "")),
        (r#"{"result":"x"}"#, (200, "\"x\"")),
        (r#"{"result":[1]}"#, (200, "[1]")),
        (
            r#"{"resource":{"rid":"test.new?q=a.b"}}"#,
            (200, "-> /api/test/new%3Fq=a%2Eb"),
        ),
        (
            "nonsense-but-late",
            (
                404,
                r#"{"code":"system.timeout","message":"Request timeout"}"#,
            ),
        ),
    ] {
        let mut h = Heart::new();
        h.web(1, "POST", "test/set", "");
        h.grant("test");
        let call = h.expect_request("call.test.set");
        h.respond(&call, answer);
        h.advance(REQUEST_TIMEOUT);
        assert_eq!(h.web_answer(1), (expected.0, expected.1.to_owned()));
        // Nothing is loaded for it.
        h.expect_no_request();
    }
    let mut h = Heart::new();
    h.web(1, "POST", "test/new", "");
    h.grant("test");
    let call = h.expect_request("call.test.new");
    h.respond(&call, r#"{"result":{"rid":"test.old"}}"#);
    assert_eq!(h.web_answer(1), (200, "-> /api/test/old".into()));
}

#[test]
fn a_body_that_is_no_json_value_is_refused() {
    for body in ["{", "a", "1 2", "{}x", "\u{feff}1", "'x'"] {
        let mut h = Heart::new();
        h.web(1, "POST", "test/set", body);
        let (status, answer) = h.web_answer(1);
        assert_eq!(status, 400);
        let start = r#"{"code":"system.badRequest","message":"Error decoding request body: "#;
        assert!(answer.starts_with(start), "{answer}");
        h.expect_no_request();
    }
}

#[test]
fn web_requests_share_the_cache_and_leave_nothing_behind() {
    let mut h = Heart::new();
    h.subscribed(1, "test.r", r#"{"model":{"a":1}}"#);
    h.change("test.r", r#"{"a":2}"#);
    h.client(1).receives(&changed("test.r", r#"{"a":2}"#));
    h.web(2, "GET", "test/r", "");
    h.grant("test.r");
    assert_eq!(h.web_answer(2), (200, r#"{"a":2}"#.into()));
    assert_eq!((h.stats().clients, h.stats().subscriptions), (1, 1));
    h.unsubscribed(1, "test.r");
    h.advance(LINGER - 1);
    h.web(2, "GET", "test/r", "");
    h.grant("test.r");
    assert_eq!(h.web_answer(2), (200, r#"{"a":2}"#.into()));
    h.advance(LINGER - 1);
    assert_eq!(h.stats().resources, 1);
}

#[test]
fn events_while_a_tree_loads_are_not_in_it_twice() {
    let mut h = Heart::new();
    h.web(1, "GET", "test/r", "");
    h.grant("test.r");
    h.serve("test.r", r#"{"model":{"c":{"rid":"test.c"},"n":1}}"#);
    h.change("test.r", r#"{"c":null,"n":2}"#);
    h.event("event.test.r.delete", "");
    h.serve("test.c", r#"{"model":{}}"#);
    assert_eq!(
        h.web_answer(1),
        (
            200,
            r#"{"c":{"href":"/api/test/c","model":{}},"n":1}"#.into()
        )
    );
}

#[test]
fn a_connection_tag_in_a_path_is_replaced() {
    let mut h = Heart::new();
    h.web(1, "GET", "test/%7Bcid%7D", "");
    let asked = h.subjects()[0].to_owned();
    let cid = asked.strip_prefix("access.test.").expect("access is asked");
    assert_eq!(cid.len(), 20);
    let name = format!("test.{cid}");
    h.grant(&name);
    h.serve(&name, r#"{"model":{"me":{"rid":"test.{cid}"}}}"#);
    assert_eq!(
        h.web_answer(1),
        (200, r#"{"me":{"href":"/api/test/%7Bcid%7D"}}"#.into())
    );
}

#[test]
fn a_request_whose_sender_is_gone_is_forgotten() {
    for method in ["GET", "POST"] {
        let mut h = Heart::new();
        h.web(1, method, "test/r", "");
        let requests: Vec<String> = h.subjects().into_iter().map(str::to_owned).collect();
        h.close(1);
        // The same connection key is used by another request.
        h.web(1, "GET", "other", "");
        for subject in requests {
            let request = h.expect_request(&subject);
            h.respond(&request, r#"{"result":{"get":true,"call":"*","model":{}}}"#);
        }
        assert!(!h.has_web_answer(1));
        h.deny("other");
        assert_eq!(h.web_answer(1).0, 401);
        h.serve("other", r#"{"model":{}}"#);
    }
}

#[test]
fn a_graph_that_doubles_at_each_level_is_refused_in_time() {
    let mut h = Heart::new();
    h.web(1, "GET", "test/n0", "");
    h.grant("test.n0");
    let filler = "x".repeat(1_000);
    for n in 0..40 {
        let next = format!(r#"{{"rid":"test.n{}"}}"#, n + 1);
        h.serve(
            &format!("test.n{n}"),
            &format!(r#"{{"collection":[{next},{next},"{filler}"]}}"#),
        );
    }
    h.serve("test.n40", r#"{"collection":[]}"#);
    let (status, answer) = h.web_answer(1);
    assert_eq!(status, 500);
    assert!(answer.contains("too large"));
}

#[test]
fn a_token_of_a_web_request_is_used_at_once() {
    let mut h = Heart::new();
    h.web(1, "POST", "test/set", "");
    h.token(1, r#"{"token":1}"#);
    h.grant("test");
    let call = h.expect_request("call.test.set");
    assert_eq!(
        call.payload,
        r#"{"params":null,"token":1,"cid":"$CID","isHttp":true}"#
    );
    h.respond(&call, r#"{"result":null}"#);
    assert_eq!(h.web_answer(1).0, 204);
}

/// Its answer is what was there when it was loaded: events that come meanwhile, more than
/// may wait for a client, are no use to it and must not end it.
#[test]
fn events_do_not_wait_for_a_web_request() {
    let mut h = Heart::new();
    h.subscribed(2, "test.list", r#"{"collection":[]}"#);
    h.web(1, "GET", "test/list", "");
    for _ in 0..70_000 {
        h.event("event.test.list.custom", "1");
    }
    assert!(!h.client(1).is_closed());
    h.grant("test.list");
    assert_eq!(h.web_answer(1), (200, "[]".to_owned()));
    assert_eq!(h.client(2).messages().len(), 70_000);
}
