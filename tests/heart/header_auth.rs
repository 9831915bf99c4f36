//! Header authentication: a service is asked who sends a request before anything else is.

use crate::harness::{Heart, LINGER, REQUEST_TIMEOUT, error};
use tidegate::gateway::{Method, Options};

fn method(resource: &str) -> Option<Method> {
    let (resource, method) = (resource.to_owned(), "login".to_owned());
    Some(Method { resource, method })
}

/// A heart that asks `auth.id.login` before web requests.
fn web() -> Heart {
    Heart::with(Options {
        header_auth: method("id"),
        ..Options::default()
    })
}

/// A heart that asks `auth.id.login` before upgrades.
fn upgrades() -> Heart {
    Heart::with(Options {
        ws_header_auth: method("id"),
        ..Options::default()
    })
}

const NOTHING_SAID: [&str; 7] = [
    r#"{"result":null}"#,
    r#"{"result":{"user":1}}"#,
    r#"{"resource":{"rid":"test.s"}}"#,
    r#"{"error":{"code":"system.accessDenied","message":"M"}}"#,
    r#"{"meta":{"status":200}}"#,
    "{}",
    "{]",
];

#[test]
fn a_service_hears_of_a_web_request_first() {
    let mut h = web();
    h.web(1, "GET", "test/r?q", "");
    let auth = h.expect_request("auth.id.login");
    assert_eq!(
        auth.payload,
        r#"{"token":null,"cid":"$CID","isHttp":true,"header":{},"host":"h","uri":"/","remoteAddr":"10.0.0.1:80"}"#
    );
    h.expect_no_request();
    h.respond(&auth, r#"{"result":null}"#);
    h.access("test.r", r#"{"result":{"get":true}}"#);
    h.serve("test.r", r#"{"model":{}}"#);
    assert_eq!(h.web_answer(1), (200, "{}".into()));
}

#[test]
fn its_answer_decides_nothing_but_its_token_counts() {
    for answer in NOTHING_SAID {
        let mut h = web();
        h.web(1, "POST", "test/r/set", "1");
        let auth = h.expect_request("auth.id.login");
        h.token(1, r#"{"token":{"u":7}}"#);
        h.respond(&auth, answer);
        let access = h.expect_request("access.test.r");
        assert_eq!(
            access.payload, r#"{"token":{"u":7},"cid":"$CID","isHttp":true}"#,
            "{answer}"
        );
        h.respond(&access, r#"{"result":{"call":"set"}}"#);
        let call = h.expect_request("call.test.r.set");
        assert_eq!(
            call.payload,
            r#"{"params":1,"token":{"u":7},"cid":"$CID","isHttp":true}"#
        );
        h.respond(&call, r#"{"result":2}"#);
        assert_eq!(h.web_answer(1), (200, "2".into()));
    }
}

#[test]
fn a_service_that_does_not_answer_is_no_obstacle() {
    for nobody in [true, false] {
        let mut h = web();
        h.web(1, "GET", "test/r", "");
        if nobody {
            h.nobody_answers("auth.id.login");
        } else {
            h.expect_request("auth.id.login");
            h.advance(REQUEST_TIMEOUT);
        }
        h.deny("test.r");
        h.serve("test.r", r#"{"model":{}}"#);
        assert_eq!(h.web_answer(1).0, 401);
    }
}

#[test]
fn requests_that_cannot_succeed_ask_nobody() {
    for (method, target, body, status) in [
        ("GET", "test/", "", 404),
        ("GET", "test.r", "", 404),
        ("GET", "test/*", "", 404),
        ("POST", "set", "", 404),
        ("POST", "test/r/s%2Et", "", 404),
        ("POST", "test/r/set", "{", 400),
        ("PUT", "test/r", "1 2", 400),
    ] {
        let mut h = web();
        h.web(1, method, target, body);
        h.expect_no_request();
        assert_eq!(h.web_answer(1).0, status, "{method} {target}");
    }
}

#[test]
fn a_mapped_call_is_authenticated_too() {
    let mut h = web();
    h.web(1, "PUT", "test/r", "{}");
    let auth = h.expect_request("auth.id.login");
    h.respond(&auth, r#"{"result":null}"#);
    h.grant("test.r");
    let call = h.expect_request("call.test.r.put");
    h.respond(&call, r#"{"result":null}"#);
    assert_eq!(h.web_answer(1), (204, String::new()));
}

#[test]
fn the_method_may_have_the_connection_tag() {
    let mut h = Heart::with(Options {
        header_auth: method("id.{cid}"),
        ..Options::default()
    });
    h.web(1, "GET", "test/r", "");
    let subject = format!("auth.id.{}.login", h.cid(1));
    let auth = h.expect_request(&subject);
    h.respond(&auth, r#"{"result":null}"#);
    h.deny("test.r");
    h.serve("test.r", r#"{"model":{}}"#);
    assert_eq!(h.web_answer(1).0, 401);
}

#[test]
fn a_sender_that_is_gone_is_forgotten() {
    for make in [web, upgrades] {
        let mut h = make();
        for number in [1, 2] {
            h.web(number, "GET", "test/r", "");
            h.ask_upgrade(number + 10);
            let subjects = h.subjects();
            let is_auth = |subject: &&str| subject.starts_with("auth.");
            assert_eq!(subjects.iter().filter(|s| is_auth(s)).count(), 1);
            let auth = h.expect_request("auth.id.login");
            h.close(number);
            h.close(number + 10);
            h.respond(&auth, r#"{"result":null,"meta":{"status":403}}"#);
            h.discard();
        }
        h.advance(REQUEST_TIMEOUT + LINGER);
    }
}

#[test]
fn a_request_may_be_given_up_at_any_step() {
    let steps = [
        (
            "auth.id.login",
            r#"{"result":null,"meta":{"header":{"A":["b"]}}}"#,
        ),
        (
            "access.test.r",
            r#"{"result":{"call":"*"},"meta":{"status":200}}"#,
        ),
        ("call.test.r.m", r#"{"result":1,"meta":{"status":403}}"#),
    ];
    for at in 0..steps.len() {
        for is_silent in [true, false] {
            let mut h = web();
            h.web(1, "POST", "test/r/m", "{}");
            for (subject, answer) in &steps[..at] {
                let request = h.expect_request(subject);
                h.respond(&request, answer);
            }
            let open = h.expect_request(steps[at].0);
            if is_silent {
                h.advance(REQUEST_TIMEOUT);
                h.respond(&open, steps[at].1);
                if at == 0 {
                    h.deny("test.r");
                    assert_eq!(h.web_answer(1).0, 401);
                } else {
                    let (status, body, fields) = h.web_response(1);
                    assert_eq!((status, &*fields), (404, "A: b"), "{body}");
                }
            } else {
                h.close(1);
                // The same connection key is used by another request.
                h.web(1, "GET", "test/other", "");
                h.respond(&open, steps[at].1);
                assert_eq!(h.subjects(), ["auth.id.login"]);
                assert!(!h.has_web_answer(1));
                h.discard();
            }
        }
    }
}

#[test]
fn an_upgrade_waits_for_the_service() {
    for answer in NOTHING_SAID {
        let mut h = upgrades();
        h.ask_upgrade(1);
        let auth = h.expect_request("auth.id.login");
        assert_eq!(
            auth.payload,
            r#"{"token":null,"cid":"$CID","isHttp":true,"header":{"Cookie":["a=1"]},"host":"h","uri":"/","remoteAddr":"10.0.0.1:4001"}"#
        );
        assert!(!h.is_upgraded(1));
        h.respond(&auth, answer);
        assert_eq!(h.upgraded(1), "", "{answer}");
        // From here on it is a client like any other, and one without handshake.
        h.client(1).call(1, "test.r.m");
        let access = h.expect_request("access.test.r");
        assert_eq!(access.payload, r#"{"token":null,"cid":"$CID"}"#);
        h.respond(&access, r#"{"result":{"call":"m"}}"#);
        let call = h.expect_request("call.test.r.m");
        h.respond(&call, r#"{"result":1}"#);
        h.client(1).receives(r#"{"result":1,"id":1}"#);
    }
    let mut h = upgrades();
    h.ask_upgrade(1);
    h.expect_request("auth.id.login");
    h.advance(REQUEST_TIMEOUT);
    assert_eq!(h.upgraded(1), "");
}

#[test]
fn what_comes_before_the_upgrade_is_no_request() {
    let mut h = upgrades();
    h.ask_upgrade(1);
    h.client(1).send(r#"{"id":1,"method":7}"#);
    let auth = h.expect_request("auth.id.login");
    h.expect_no_request();
    h.respond(&auth, r#"{"result":null}"#);
    h.upgraded(1);
}

#[test]
fn a_token_of_the_upgrade_is_in_force_and_counts_as_the_first() {
    let mut h = upgrades();
    h.ask_upgrade(1);
    let auth = h.expect_request("auth.id.login");
    h.token(1, r#"{"token":1,"tid":"t"}"#);
    h.respond(&auth, r#"{"result":null}"#);
    h.upgraded(1);
    h.client(1).subscribe(1, "test.r");
    let access = h.expect_request("access.test.r");
    assert_eq!(access.payload, r#"{"token":1,"cid":"$CID"}"#);
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.serve("test.r", r#"{"model":{}}"#);
    h.client(1).message();
    // The next one makes the access doubtful, since the connection had a token.
    h.token(1, r#"{"token":2,"tid":"t"}"#);
    let access = h.expect_request("access.test.r");
    assert_eq!(access.payload, r#"{"token":2,"cid":"$CID"}"#);
    h.respond(&access, r#"{"result":{"get":true}}"#);
    // It can be renewed by its ID as well.
    h.event(
        "system.tokenReset",
        r#"{"tids":["t"],"subject":"auth.renew"}"#,
    );
    let renewal = h.expect_request("auth.renew");
    assert_eq!(
        renewal.payload,
        r#"{"token":2,"cid":"$CID","header":{"Cookie":["a=1"]},"host":"h","uri":"/","remoteAddr":"10.0.0.1:4001"}"#
    );
    h.respond(&renewal, r#"{"result":null}"#);
}

#[test]
fn a_token_reset_passes_by_who_is_not_connected_yet() {
    let mut h = upgrades();
    h.ask_upgrade(1);
    let auth = h.expect_request("auth.id.login");
    h.token(1, r#"{"token":1,"tid":"t"}"#);
    h.event(
        "system.tokenReset",
        r#"{"tids":["t"],"subject":"auth.renew"}"#,
    );
    h.expect_no_request();
    h.respond(&auth, r#"{"result":null}"#);
    h.upgraded(1);
}

#[test]
fn each_is_asked_only_for_its_own_kind() {
    let mut h = upgrades();
    h.web(1, "GET", "test/r", "");
    h.deny("test.r");
    h.serve("test.r", r#"{"model":{}}"#);
    assert_eq!(h.web_answer(1).0, 401);
    let mut h = web();
    h.client(1).call(1, "test.r.m");
    h.deny("test.r");
    h.client(1)
        .receives(&error(1, "system.accessDenied", "Access denied"));
}
