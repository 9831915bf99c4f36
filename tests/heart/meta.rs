//! Meta objects: what services want to see in the HTTP answers that they lead to.

use crate::harness::{Heart, REQUEST_TIMEOUT, error};
use tidegate::gateway::{Method, Options};

fn heart() -> Heart {
    let method = Method {
        resource: "id".into(),
        method: "login".into(),
    };
    Heart::with(Options {
        header_auth: Some(method.clone()),
        ws_header_auth: Some(method),
        ..Options::default()
    })
}

/// The answers of a service to the requests that a POST leads to, one after the other,
/// until it is answered.
fn post(answers: [&str; 3]) -> (u16, String, String) {
    let mut h = heart();
    h.web(1, "POST", "test/r/m", "");
    let subjects = ["auth.id.login", "access.test.r", "call.test.r.m"];
    for (subject, answer) in subjects.into_iter().zip(answers) {
        if answer.is_empty() {
            break;
        }
        let request = h.expect_request(subject);
        h.respond(&request, answer);
    }
    h.expect_no_request();
    h.web_response(1)
}

const AUTH: &str = r#"{"result":null}"#;
const ACCESS: &str = r#"{"result":{"call":"m"}}"#;

#[test]
fn fields_of_all_answers_come_together() {
    let (status, body, fields) = post([
        r#"{"result":null,"meta":{"header":{"X-A":["1"],"Set-Cookie":["a=1"],"X-B":["b"]}}}"#,
        r#"{"result":{"call":"m"},"meta":{"header":{"Set-Cookie":["b=2"],"x-c":["c"]}}}"#,
        r#"{"result":5,"meta":{"status":200,"header":{"X-A":["2","3"],"set-cookie":["c=3"],"Content-Type":["text/html"]}}}"#,
    ]);
    assert_eq!((status, &*body), (200, "5"));
    assert_eq!(
        fields,
        "Set-Cookie: a=1; X-B: b; Set-Cookie: b=2; x-c: c; X-A: 2; X-A: 3; set-cookie: c=3"
    );
}

#[test]
fn errors_have_fields_too() {
    let meta = r#""meta":{"header":{"X-A":["1"]}}"#;
    let denied = format!(r#"{{"result":{{}},{meta}}}"#);
    let failed = format!(r#"{{"error":{{"code":"x","message":"y"}},{meta}}}"#);
    for (answers, status) in [
        ([AUTH, &denied, ""], 401),
        ([AUTH, &failed, ""], 400),
        ([AUTH, ACCESS, &failed], 400),
    ] {
        let (got, _, fields) = post(answers);
        assert_eq!((got, &*fields), (status, "X-A: 1"), "{answers:?}");
    }
}

#[test]
fn a_status_answers_at_once_wherever_it_comes_from() {
    let with =
        |members: &str, status: u16| format!(r#"{{{members},"meta":{{"status":{status}}}}}"#);
    let denied = r#"{"code":"system.accessDenied","message":"Access denied"}"#;
    for (members, status, expected) in [
        (r#""result":null"#, 401, denied),
        (
            r#""error":{"code":"c","message":"m"}"#,
            401,
            r#"{"code":"c","message":"m"}"#,
        ),
        (r#""result":null"#, 302, ""),
        // An answer without result is an error by itself.
        (
            r#""x":1"#,
            418,
            r#"{"code":"system.internalError","message":"Internal error: response missing result"}"#,
        ),
    ] {
        let answer = with(members, status);
        let access = with(&members.replace("null", r#"{"call":"m"}"#), status);
        for answers in [
            [&*answer, "", ""],
            [AUTH, &access, ""],
            [AUTH, ACCESS, &answer],
        ] {
            let (got, body, fields) = post(answers);
            assert_eq!(
                (got, &*body, &*fields),
                (status, expected, ""),
                "{answers:?}"
            );
        }
    }
}

#[test]
fn a_status_stands_for_an_error() {
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
        (418, "system.badRequest", "Bad request"),
        (451, "system.forbidden", "Forbidden"),
        (500, "system.internalError", "Internal error"),
        (501, "system.notImplemented", "Not implemented"),
        (503, "system.serviceUnavailable", "Service unavailable"),
        (504, "system.timeout", "Request timeout"),
        (599, "system.internalError", "Internal error"),
    ] {
        let answer = format!(r#"{{"result":1,"meta":{{"status":{status}}}}}"#);
        let (got, body, _) = post([AUTH, ACCESS, &answer]);
        let expected = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
        assert_eq!((got, body), (status, expected));
    }
}

#[test]
fn other_statuses_mean_nothing() {
    for status in [
        "null",
        "0",
        "100",
        "200",
        "204",
        "299",
        "600",
        "-1",
        "99999999999",
    ] {
        let answer =
            format!(r#"{{"result":1,"meta":{{"status":{status},"header":{{"A":["b"]}}}}}}"#);
        let (got, body, fields) = post([AUTH, ACCESS, &answer]);
        assert_eq!((got, &*body, &*fields), (200, "1", "A: b"), "{status}");
    }
}

#[test]
fn a_redirect_leads_where_the_service_says() {
    for (answer, fields) in [
        (r#"{"result":1,"meta":{"status":303}}"#, ""),
        (
            r#"{"resource":{"rid":"test.s?q"},"meta":{"status":303}}"#,
            "-> /api/test/s%3Fq",
        ),
        (
            r#"{"result":1,"meta":{"status":303,"header":{"Location":["/x"]}}}"#,
            "-> /x",
        ),
        (
            r#"{"resource":{"rid":"test.s"},"meta":{"status":303,"header":{"Location":["/x"]}}}"#,
            "-> /x",
        ),
    ] {
        let (status, body, got) = post([AUTH, ACCESS, answer]);
        assert_eq!((status, &*body, &*got), (303, "", fields), "{answer}");
    }
    // Without a status the resource is the place, once.
    let (status, _, got) = post([
        AUTH,
        ACCESS,
        r#"{"resource":{"rid":"test.s"},"meta":{"header":{"location":["/x"]}}}"#,
    ]);
    assert_eq!((status, &*got), (200, "-> /api/test/s"));
}

#[test]
fn a_meta_object_of_the_wrong_type_spoils_the_answer() {
    for meta in [
        "1",
        "[]",
        r#"{"status":"404"}"#,
        r#"{"header":{"A":"b"}}"#,
        r#"{"header":[]}"#,
    ] {
        let access = format!(r#"{{"result":{{"call":"m"}},"meta":{meta}}}"#);
        let result = format!(r#"{{"result":1,"meta":{meta}}}"#);
        assert_eq!(post([AUTH, &access, ""]).0, 500, "{meta}");
        assert_eq!(post([AUTH, ACCESS, &result]).0, 500, "{meta}");
        // The answer to header authentication says nothing anyway.
        assert_eq!(post([&result, ACCESS, r#"{"result":1}"#]).0, 200, "{meta}");
    }
    assert_eq!(post([AUTH, ACCESS, r#"{"result":1,"meta":null}"#]).0, 200);
}

#[test]
fn access_to_a_resource_can_answer_for_it() {
    let mut h = heart();
    h.web(1, "GET", "test/r", "");
    let auth = h.expect_request("auth.id.login");
    h.respond(&auth, AUTH);
    h.access(
        "test.r",
        r#"{"result":{"get":true},"meta":{"status":307,"header":{"Location":["/b"]}}}"#,
    );
    assert_eq!(h.web_response(1), (307, String::new(), "-> /b".into()));
    h.serve("test.r", r#"{"model":{}}"#);

    // Fields of the access answer are in the answer of a resource that cannot be loaded.
    h.web(2, "GET", "test/s", "");
    let auth = h.expect_request("auth.id.login");
    h.respond(&auth, AUTH);
    h.fail("test.s", "system.notFound");
    h.access(
        "test.s",
        r#"{"result":{"get":true},"meta":{"header":{"A":["b"]}}}"#,
    );
    let (status, _, fields) = h.web_response(2);
    assert_eq!((status, &*fields), (404, "A: b"));
}

#[test]
fn a_get_answer_and_what_is_asked_for_clients_have_no_meta() {
    let mut h = Heart::new();
    h.web(1, "GET", "test/r", "");
    h.grant("test.r");
    let get = h.expect_request("get.test.r");
    h.respond(&get, r#"{"result":{"model":{}},"meta":{"status":404}}"#);
    assert_eq!(h.web_answer(1), (200, "{}".into()));

    h.client(2).call(1, "test.s.m");
    h.access("test.s", r#"{"result":{"call":"*"},"meta":{"status":404}}"#);
    let call = h.expect_request("call.test.s.m");
    h.respond(&call, r#"{"result":1,"meta":{"status":404}}"#);
    h.client(2).receives(r#"{"result":{"payload":1},"id":1}"#);
    // But a broken one is broken for them as well.
    h.client(2).call(2, "test.s.m");
    h.grant("test.s");
    let call = h.expect_request("call.test.s.m");
    h.respond(&call, r#"{"result":1,"meta":1}"#);
    let answer = h.client(2).message();
    assert!(
        answer.contains(r#""code":"system.internalError""#),
        "{answer}"
    );
}

#[test]
fn an_upgrade_is_refused_by_its_status() {
    for (answer, status, body, fields) in [
        (
            r#"{"result":1,"meta":{"status":403,"header":{"X-A":["b"]}}}"#,
            403,
            r#"{"code":"system.forbidden","message":"Forbidden"}"#,
            "X-A: b",
        ),
        (
            r#"{"error":{"code":"c","message":"m","data":1},"meta":{"status":500}}"#,
            500,
            r#"{"code":"c","message":"m","data":1}"#,
            "",
        ),
        (
            r#"{"resource":{"rid":"login"},"meta":{"status":302}}"#,
            302,
            "",
            "-> /api/login",
        ),
    ] {
        let mut h = heart();
        h.ask_upgrade(1);
        let auth = h.expect_request("auth.id.login");
        h.respond(&auth, answer);
        assert!(!h.is_upgraded(1));
        assert_eq!(h.web_response(1), (status, body.into(), fields.into()));
    }
}

#[test]
fn an_upgrade_is_granted_with_the_fields_of_the_service() {
    let mut h = heart();
    h.ask_upgrade(1);
    let auth = h.expect_request("auth.id.login");
    h.respond(
        &auth,
        r#"{"error":{"code":"c","message":"m"},"meta":{"status":101,"header":{"Set-Cookie":["a=1","b=2"],"Sec-WebSocket-Protocol":["x"]}}}"#,
    );
    assert_eq!(h.upgraded(1), "Set-Cookie: a=1; Set-Cookie: b=2");
    assert!(!h.has_web_answer(1));
}

#[test]
fn a_method_that_is_mapped_is_not_allowed_rather_than_not_found() {
    let missing = r#"{"error":{"code":"system.methodNotFound","message":"M"}}"#;
    for (method, path, call, status, code) in [
        ("PUT", "test/r", "put", 405, "system.methodNotAllowed"),
        ("POST", "test/r/put", "put", 404, "system.methodNotFound"),
    ] {
        let mut h = Heart::new();
        h.web(1, method, path, "");
        h.grant("test.r");
        let request = h.expect_request(&format!("call.test.r.{call}"));
        h.respond(&request, missing);
        let (got, body) = h.web_answer(1);
        assert_eq!(got, status);
        assert!(body.contains(code), "{body}");
    }
    // Access that is denied, or a call that is not answered, is no matter of the method.
    let mut h = Heart::new();
    h.web(1, "PUT", "test/r", "");
    h.deny("test.r");
    assert_eq!(h.web_answer(1).0, 401);
    h.web(2, "PUT", "test/r", "");
    h.grant("test.r");
    h.expect_request("call.test.r.put");
    h.advance(REQUEST_TIMEOUT);
    assert_eq!(h.web_answer(2).0, 404);
    h.client(3).call(1, "test.r.put");
    h.grant("test.r");
    let request = h.expect_request("call.test.r.put");
    h.respond(&request, missing);
    h.client(3)
        .receives(&error(1, "system.methodNotFound", "M"));
}

#[test]
fn flat_encoding_leaves_out_addresses() {
    let mut h = Heart::with(Options {
        flat: true,
        ..Options::default()
    });
    h.web(1, "GET", "test/r", "");
    h.grant("test.r");
    h.serve(
        "test.r",
        r#"{"model":{"a":{"rid":"test.a"},"b":{"rid":"test.a"},"c":{"rid":"test.c"},"d":{"data":[1]},"e":{"rid":"test.e"},"r":{"rid":"test.r"},"s":{"rid":"test.s","soft":true}}}"#,
    );
    h.serve("test.a", r#"{"collection":[1,{"rid":"test.r"}]}"#);
    h.serve("test.c", r#"{"model":{}}"#);
    h.fail("test.e", "x.y");
    assert_eq!(
        h.web_answer(1),
        (
            200,
            concat!(
                r#"{"a":[1,{"href":"/api/test/r"}],"b":[1,{"href":"/api/test/r"}],"c":{},"d":[1],"#,
                r#""e":{"code":"x.y","message":"M"},"r":{"href":"/api/test/r"},"s":{"href":"/api/test/s"}}"#
            )
            .into()
        )
    );
}
