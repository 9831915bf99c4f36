//! Calls of methods: call, auth and new requests of connected clients.

use crate::harness::{Heart, REQUEST_TIMEOUT, changed, error, nothing_new};

#[test]
fn a_result_is_passed_on_as_it_came() {
    for (answer, result) in [
        (r#"{"result":null}"#, "null"),
        (
            r#"{"result":{ "a" : [ 1.0 , "<" ] }}"#,
            r#"{"a":[1.0,"\u003c"]}"#,
        ),
        (r#"{"Result":"x"}"#, r#""x""#),
        (r#"{"result":1,"result":2}"#, "2"),
        (
            r#"{"result":{"rid":"test.model"}}"#,
            r#"{"rid":"test.model"}"#,
        ),
        (r#"{"result":1,"error":null,"resource":null}"#, "1"),
        (
            r#"{"result":1,"meta":{"status":404,"header":{"X":["y"]}}}"#,
            "1",
        ),
    ] {
        for kind in ["call", "auth"] {
            let mut h = Heart::new();
            h.client(1).request(1, &format!("{kind}.test.set"));
            if kind == "call" {
                h.grant("test");
            }
            let call = h.expect_request(&format!("{kind}.test.set"));
            assert!(h.client(1).has_requests());
            h.respond(&call, answer);
            h.client(1)
                .receives(&format!(r#"{{"result":{{"payload":{result}}},"id":1}}"#));
            assert!(!h.client(1).has_requests());
        }
    }
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    for (answer, message) in [
        ("{}", "Internal error: response missing result"),
        ("null", "Internal error: response missing result"),
        (
            r#"{"error":null}"#,
            "Internal error: response missing result",
        ),
        (
            r#"{"resource":{}}"#,
            "Internal error: invalid service response",
        ),
        (
            r#"{"resource":{"rid":""}}"#,
            "Internal error: invalid service response",
        ),
        (
            r#"{"resource":{"rid":"a..b"},"result":1}"#,
            "Internal error: invalid service response",
        ),
    ] {
        let mut h = Heart::new();
        h.client(1).call(1, "test.set");
        h.grant("test");
        let call = h.expect_request("call.test.set");
        h.respond(&call, answer);
        h.client(1)
            .receives(&error(1, "system.internalError", message));
    }
    for answer in [
        "",
        "nonsense?",
        "[]",
        "7",
        r#"{"resource":7}"#,
        r#"{"error":7}"#,
    ] {
        let mut h = Heart::new();
        h.client(1).call(1, "test.set");
        h.grant("test");
        let call = h.expect_request("call.test.set");
        h.respond(&call, &format!(" {answer}"));
        assert!(h.client(1).message().contains("system.internalError"));
    }
}

#[test]
fn a_resource_response_is_a_direct_subscription() {
    for kind in ["call", "auth"] {
        let mut h = Heart::new();
        h.client(1).request(1, &format!("{kind}.test.make"));
        if kind == "call" {
            h.grant("test");
        }
        let call = h.expect_request(&format!("{kind}.test.make"));
        h.respond(
            &call,
            r#"{"resource":{"rid":"test.model?q","soft":true},"result":1}"#,
        );
        assert_eq!(h.subjects(), ["access.test.model", "get.test.model"]);
        h.grant("test.model");
        h.serve("test.model", r#"{"model":{"a":1}}"#);
        h.client(1).receives(
            r#"{"result":{"rid":"test.model?q","models":{"test.model?q":{"a":1}}},"id":1}"#,
        );
        h.change("test.model", r#"{"a":2}"#);
        h.client(1).receives(&changed("test.model?q", r#"{"a":2}"#));
        // What the client holds is not sent again, but counts.
        h.client(1).request(2, "auth.test.make");
        let call = h.expect_request("auth.test.make");
        h.respond(&call, r#"{"resource":{"rid":"test.model?q"}}"#);
        h.client(1)
            .receives(r#"{"result":{"rid":"test.model?q"},"id":2}"#);
        h.client(1)
            .send(r#"{"id":3,"method":"unsubscribe.test.model?q","params":{"count":2}}"#)
            .receives(r#"{"id":3}"#);
        assert_eq!(h.stats().subscriptions, 0);
    }
}

#[test]
fn a_resource_response_that_may_not_be_read_is_no_subscription() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.make");
    let call = h.expect_request("auth.test.make");
    h.respond(&call, r#"{"resource":{"rid":"test.model"}}"#);
    h.deny("test.model");
    h.client(1).receives(
        r#"{"result":{"rid":"test.model","errors":{"test.model":{"code":"system.accessDenied","message":"Access denied"}}},"id":1}"#,
    );
    h.serve("test.model", r#"{"model":{}}"#);
    h.client(1).unsubscribe(2, "test.model").receives(&error(
        2,
        "system.noSubscription",
        "No subscription",
    ));
}

#[test]
fn a_resource_response_that_fails_to_load_is_a_subscription() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.make");
    let call = h.expect_request("auth.test.make");
    h.respond(&call, r#"{"resource":{"rid":"test.model"}}"#);
    h.grant("test.model");
    h.fail("test.model", "test.broken");
    h.client(1).receives(
        r#"{"result":{"rid":"test.model","errors":{"test.model":{"code":"test.broken","message":"M"}}},"id":1}"#,
    );
    h.unsubscribed(1, "test.model");
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn an_unsubscribe_may_overtake_a_resource_response() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.make");
    let call = h.expect_request("auth.test.make");
    h.respond(&call, r#"{"resource":{"rid":"test.model"}}"#);
    h.unsubscribed(1, "test.model");
    h.grant("test.model");
    h.serve("test.model", r#"{"model":{"a":1}}"#);
    h.client(1)
        .receives(r#"{"result":{"rid":"test.model"},"id":1}"#);
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn new_must_be_answered_with_a_resource() {
    let not_one = error(
        1,
        "system.internalError",
        "Internal error: non-resource response on new request",
    );
    for (method, answer, is_resource) in [
        (
            "new.test",
            r#"{"resource":{"rid":"test.model"}}"#,
            Some(true),
        ),
        ("new.test", r#"{"result":{"rid":"test.model"}}"#, Some(true)),
        ("new.test", r#"{"result":{"rid":"test.model","a":1}}"#, None),
        ("new.test", r#"{"result":{"rid":7}}"#, None),
        ("new.test", r#"{"result":null}"#, None),
        (
            "call.test.new",
            r#"{"result":{"rid":"test.model"}}"#,
            Some(true),
        ),
        (
            "call.test.new",
            r#"{"result":{"rid":"test.model","a":1}}"#,
            Some(false),
        ),
    ] {
        let mut h = Heart::new();
        h.client(1).send(&format!(
            r#"{{"id":1,"method":"{method}","params":{{"a":1}}}}"#
        ));
        h.access("test", r#"{"result":{"call":"new"}}"#);
        let call = h.expect_request("call.test.new");
        assert_eq!(
            call.payload,
            r#"{"params":{"a":1},"token":null,"cid":"$CID"}"#
        );
        h.respond(&call, answer);
        match is_resource {
            Some(true) => {
                h.grant("test.model");
                h.serve("test.model", r#"{"collection":[]}"#);
                h.client(1).receives(
                    r#"{"result":{"rid":"test.model","collections":{"test.model":[]}},"id":1}"#,
                );
            }
            Some(false) => {
                h.client(1)
                    .receives(r#"{"result":{"payload":{"rid":"test.model","a":1}},"id":1}"#);
            }
            None => {
                h.client(1).receives(&not_one);
            }
        }
    }
}

#[test]
fn events_before_a_call_answer_reach_the_client_before_it() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
    h.client(1)
        .send(r#"{"id":1,"method":"call.test.model.set","params":{"a":2}}"#);
    let call = h.expect_request("call.test.model.set");
    h.change("test.model", r#"{"a":2}"#);
    h.respond(&call, r#"{"result":null}"#);
    h.client(1)
        .receives(&changed("test.model", r#"{"a":2}"#))
        .receives(r#"{"result":{"payload":null},"id":1}"#);
}

#[test]
fn a_call_whose_client_is_gone_is_not_sent() {
    let mut h = Heart::new();
    h.client(1).call(1, "test.set");
    let access = h.expect_request("access.test");
    h.client(1).call(2, "test.model.set");
    h.grant("test.model");
    let call = h.expect_request("call.test.model.set");
    h.close(1);
    h.respond(&access, r#"{"result":{"call":"*"}}"#);
    h.expect_no_request();
    h.respond(&call, r#"{"resource":{"rid":"test.other"}}"#);
    h.expect_no_request();
}

#[test]
fn a_call_that_times_out_is_answered_once() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
    h.client(1).call(1, "test.model.set");
    h.advance(REQUEST_TIMEOUT - 1);
    h.client(1).receives_nothing();
    h.advance(1);
    h.client(1)
        .receives(&error(1, "system.timeout", "Request timeout"));
    let call = h.expect_request("call.test.model.set");
    h.respond(&call, r#"{"result":1}"#);
    h.client(1).receives_nothing();
}

#[test]
fn a_resource_response_of_what_a_tree_brings_meanwhile_carries_nothing() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.make");
    let call = h.expect_request("auth.test.make");
    h.respond(&call, r#"{"resource":{"rid":"test.child"}}"#);
    h.client(1).subscribe(2, "test.parent");
    h.grant("test.parent");
    h.serve("test.child", r#"{"model":{"n":1}}"#);
    h.serve("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#);
    h.client(1).receives(
        r#"{"result":{"models":{"test.child":{"n":1},"test.parent":{"c":{"rid":"test.child"}}}},"id":2}"#,
    );
    h.grant("test.child");
    h.client(1)
        .receives(r#"{"result":{"rid":"test.child"},"id":1}"#);
    h.unsubscribed(1, "test.parent");
    h.client(1).get(3, "test.child").receives(&nothing_new(3));
}
