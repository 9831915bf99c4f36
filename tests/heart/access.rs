//! Access: what is asked when, how long an answer counts, tokens, and reaccess.

use crate::harness::{Heart, REQUEST_TIMEOUT, Request, access_lost, changed, error, nothing_new};

const MODEL: &str = r#"{"model":{"a":1}}"#;
const DENIED: (&str, &str) = ("system.accessDenied", "Access denied");
const PARENT: (&str, &str) = ("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#);
const CHILD: (&str, &str) = ("test.child", r#"{"model":{"n":1}}"#);

#[test]
fn only_an_answer_that_says_so_lets_a_resource_be_read() {
    for (answer, code) in [
        (r#"{"result":{"get":true}}"#, ""),
        (r#"{"Result":{"GET":true,"call":null}}"#, ""),
        (r#"{"result":{"get":false}}"#, DENIED.0),
        (r#"{"result":{"get":null,"call":"*"}}"#, DENIED.0),
        (r#"{"result":{}}"#, DENIED.0),
        (
            r#"{"error":{"code":"test.no","message":"M"},"result":{"get":true}}"#,
            "test.no",
        ),
        (r#"{"error":null,"result":{"get":true}}"#, ""),
        (r#"{"error":{}}"#, "\"code\":\"\""),
        (r#"{"result":null}"#, "system.internalError"),
        ("{}", "system.internalError"),
        ("", "system.internalError"),
        ("[]", "system.internalError"),
        ("null", "system.internalError"),
        (r#"{"result":{"get":1}}"#, "system.internalError"),
        (
            r#"{"result":{"get":true,"call":["a"]}}"#,
            "system.internalError",
        ),
    ] {
        for kind in ["subscribe", "get"] {
            let mut h = Heart::new();
            h.client(1).request(1, &format!("{kind}.test.model"));
            h.access("test.model", answer);
            // A denial does not wait for the data.
            if !code.is_empty() {
                assert!(h.client(1).message().contains(code), "{answer}");
            }
            h.client(1).receives_nothing();
            h.serve("test.model", MODEL);
            if code.is_empty() {
                h.client(1)
                    .receives(r#"{"result":{"models":{"test.model":{"a":1}}},"id":1}"#);
            }
        }
    }
}

#[test]
fn both_answers_must_be_in_and_the_access_error_comes_first() {
    for access_first in [true, false] {
        let mut h = Heart::new();
        h.client(1).subscribe(1, "test.model");
        if access_first {
            h.grant("test.model");
            h.client(1).receives_nothing();
            h.fail("test.model", "test.broken");
            h.client(1).receives(&error(1, "test.broken", "M"));
        } else {
            h.fail("test.model", "test.broken");
            h.client(1).receives_nothing();
            h.deny("test.model");
            h.client(1).receives(&error(1, DENIED.0, DENIED.1));
        }
    }
}

#[test]
fn methods_are_allowed_by_name() {
    for (call, method, allowed) in [
        ("*", "set", true),
        ("set", "set", true),
        ("set,del", "del", true),
        ("del,,set,", "set", true),
        ("set", "Set", false),
        ("set, del", "del", false),
        ("set,*", "del", false),
        ("set", "se", false),
        ("", "set", false),
        (",", "set", false),
    ] {
        let mut h = Heart::new();
        h.client(1).call(1, &format!("test.{method}"));
        h.access("test", &format!(r#"{{"result":{{"call":"{call}"}}}}"#));
        if allowed {
            let request = h.expect_request(&format!("call.test.{method}"));
            h.respond(&request, r#"{"result":1}"#);
            h.client(1).receives(r#"{"result":{"payload":1},"id":1}"#);
        } else {
            h.client(1).receives(&error(1, DENIED.0, DENIED.1));
        }
    }
}

#[test]
fn an_answer_is_kept_while_the_subscription_lives() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.access("test.model", r#"{"result":{"get":true,"call":"set"}}"#);
    h.serve("test.model", MODEL);
    h.client(1).message();
    h.client(1)
        .subscribe(2, "test.model")
        .receives(&nothing_new(2));
    h.client(1).get(3, "test.model").receives(&nothing_new(3));
    h.client(1)
        .call(4, "test.model.other")
        .receives(&error(4, DENIED.0, DENIED.1));
    h.client(1).call(5, "test.model.set");
    h.expect_request("call.test.model.set");
    // Another resource ID of the same resource has an answer of its own.
    h.client(1).call(6, "test.model?q.set");
    h.expect_request("access.test.model");
    for id in [7, 8] {
        h.client(1).unsubscribe(id, "test.model").message();
    }
    h.client(1).subscribe(9, "test.model");
    h.grant("test.model");
    h.client(1).message();
    h.advance(REQUEST_TIMEOUT);
    assert_eq!(h.client(1).messages().len(), 2);
}

#[test]
fn an_error_other_than_denied_is_not_kept() {
    for (answer, kept) in [
        (r#"{"result":{"get":false}}"#, true),
        (
            r#"{"error":{"code":"system.accessDenied","message":"Access denied"}}"#,
            true,
        ),
        (
            r#"{"error":{"code":"test.later","message":"Access denied"}}"#,
            false,
        ),
    ] {
        let mut h = Heart::new();
        h.subscribed_tree(1, &[PARENT, CHILD]);
        h.client(1).subscribe(1, "test.child");
        h.access("test.child", answer);
        let first = h.client(1).message();
        h.client(1).subscribe(1, "test.child");
        if !kept {
            h.access("test.child", answer);
        }
        h.client(1).receives(&first);
    }
}

#[test]
fn simultaneous_users_share_one_access_request() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.client(1).get(2, "test.model");
    h.client(1).call(3, "test.model.set");
    assert_eq!(h.subjects(), ["access.test.model", "get.test.model"]);
    h.access("test.model", r#"{"result":{"get":false,"call":"set"}}"#);
    h.client(1)
        .receives(&error(1, DENIED.0, DENIED.1))
        .receives(&error(2, DENIED.0, DENIED.1))
        .receives_nothing();
    let call = h.expect_request("call.test.model.set");
    h.respond(&call, r#"{"result":1}"#);
    h.client(1).receives(r#"{"result":{"payload":1},"id":3}"#);
    h.serve("test.model", MODEL);
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn a_call_on_what_the_client_does_not_hold_asks_every_time() {
    let mut h = Heart::new();
    for id in 0..3 {
        h.client(1).call(id, "test.set");
        h.grant("test");
        let call = h.expect_request("call.test.set");
        h.respond(&call, r#"{"result":1}"#);
        h.client(1).message();
    }
    h.client(1).call(1, "test.set");
    h.client(1).call(2, "test.set");
    assert_eq!(h.subjects(), ["access.test", "access.test"]);
    h.grant("test");
    h.deny("test");
    h.expect_request("call.test.set");
    h.client(1).receives(&error(2, DENIED.0, DENIED.1));
    h.advance(REQUEST_TIMEOUT);
    h.client(1)
        .receives(&error(1, "system.timeout", "Request timeout"));
    // A method needs no subject for events, and the name is not kept.
    assert_eq!(h.event_subscriptions(), [""; 0]);
    assert_eq!(h.stats().names, 0);
}

#[test]
fn auth_needs_no_access() {
    let mut h = Heart::new();
    h.client(1)
        .send(r#"{"id":1,"method":"auth.test.login","params":{"a":1}}"#);
    assert_eq!(h.subjects(), ["auth.test.login"]);
    let auth = h.expect_request("auth.test.login");
    h.respond(
        &auth,
        r#"{"error":{"code":"test.no","message":"N","data":{"x": [1]}}}"#,
    );
    h.client(1)
        .receives(r#"{"error":{"code":"test.no","message":"N","data":{"x":[1]}},"id":1}"#);
}

#[test]
fn a_new_token_asks_access_for_all_direct_subscriptions() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.subscribed(1, "test.model", MODEL);
    h.token(1, r#"{"token":1}"#);
    h.expect_no_request();
    for token in ["2", "2", "null", r#"{"a":"b"}"#] {
        h.token(1, &format!(r#"{{"token":{token}}}"#));
        h.change("test.model", r#"{"a":2}"#);
        let subjects: Vec<_> = {
            let mut subjects = h.subjects();
            subjects.sort_unstable();
            subjects.into_iter().map(str::to_owned).collect()
        };
        assert_eq!(subjects, ["access.test.model", "access.test.parent"]);
        let access = h.expect_request("access.test.model");
        assert_eq!(
            access.payload,
            format!(r#"{{"token":{token},"cid":"$CID"}}"#)
        );
        h.respond(&access, r#"{"result":{"get":true}}"#);
        h.grant("test.parent");
        if token == "2" {
            h.client(1).messages();
        }
    }
    h.client(1).receives_nothing();
    // An empty event clears the token.
    h.token(1, "{}");
    let access = h.expect_request("access.test.model");
    assert_eq!(access.payload, r#"{"token":null,"cid":"$CID"}"#);
    h.respond(&access, r#"{"result":{}}"#);
    h.client(1).receives(&access_lost("test.model"));
    h.grant("test.parent");
}

/// A service may log a client out with a payload that is no object at all.
#[test]
fn a_bare_null_clears_token_and_token_id() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.token(1, r#"{"token":1,"tid":"a"}"#);
    h.expect_no_request();
    h.token(1, "null");
    let access = h.expect_request("access.test.model");
    assert_eq!(access.payload, r#"{"token":null,"cid":"$CID"}"#);
    h.respond(&access, r#"{"result":{}}"#);
    h.client(1).receives(&access_lost("test.model"));
    h.event("system.tokenReset", r#"{"tids":["a"],"subject":"auth.x"}"#);
    h.expect_no_request();
    // One that cannot be read clears nothing.
    h.token(1, r#"{"token":2}"#);
    h.token(1, "");
    h.client(1).subscribe(1, "test.model");
    let access = h.expect_request("access.test.model");
    assert_eq!(access.payload, r#"{"token":2,"cid":"$CID"}"#);
    h.respond(&access, r#"{"result":{}}"#);
    h.client(1).messages();
    h.discard();
}

#[test]
fn a_null_token_counts_as_having_had_one() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.token(1, r#"{"token":null}"#);
    h.expect_no_request();
    h.token(1, r#"{"token":1}"#);
    h.grant("test.model");
    h.client(1).receives_nothing();
}

#[test]
fn a_token_before_the_answer_to_auth_is_in_force_for_all_after_it() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.login");
    let auth = h.expect_request("auth.test.login");
    h.token(1, r#"{"token":7}"#);
    h.client(1).subscribe(2, "test.model");
    let access = h.expect_request("access.test.model");
    assert_eq!(access.payload, r#"{"token":7,"cid":"$CID"}"#);
    h.respond(&auth, r#"{"result":null}"#);
    h.client(1)
        .receives(r#"{"result":{"payload":null},"id":1}"#);
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.serve("test.model", MODEL);
    h.client(1).message();
}

#[test]
fn an_answer_that_was_asked_with_an_older_token_is_used_but_not_kept() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.client(1).call(1, "test.child.set");
    h.token(1, r#"{"token":1}"#);
    h.grant("test.child");
    h.expect_request("call.test.child.set");
    h.client(1).call(2, "test.child.set");
    let access = h.expect_request("access.test.child");
    assert_eq!(access.payload, r#"{"token":1,"cid":"$CID"}"#);
    h.respond(&access, r#"{"result":{}}"#);
    h.client(1).receives(&error(2, DENIED.0, DENIED.1));
    h.advance(REQUEST_TIMEOUT);
    h.client(1)
        .receives(&error(1, "system.timeout", "Request timeout"));
}

#[test]
fn events_wait_while_access_is_asked_again() {
    for (trigger, payload) in [
        ("event.test.model.reaccess", ""),
        ("event.test.model.reaccess", "null"),
        ("system.reset", r#"{"access":["test.model"]}"#),
        (
            "system.reset",
            r#"{"access":["test.>"],"resources":["other"]}"#,
        ),
    ] {
        let mut h = Heart::new();
        h.subscribed(1, "test.model", MODEL);
        h.subscribed_again(2, "test.model");
        h.event(trigger, payload);
        let first = h.expect_request("access.test.model");
        let second = h.expect_request("access.test.model");
        h.expect_no_request();
        h.change("test.model", r#"{"a":2}"#);
        h.event("event.test.model.custom", "1");
        h.client(1).receives_nothing();
        h.respond(&first, r#"{"result":{"get":true}}"#);
        h.client(1)
            .receives(&changed("test.model", r#"{"a":2}"#))
            .receives(r#"{"event":"test.model.custom","data":1}"#);
        h.client(2).receives_nothing();
        h.respond(&second, r#"{"result":{"get":false}}"#);
        h.client(2)
            .receives(&access_lost("test.model"))
            .receives_nothing();
        h.change("test.model", r#"{"a":3}"#);
        h.client(1).receives(&changed("test.model", r#"{"a":3}"#));
        h.client(2).unsubscribe(1, "test.model").receives(&error(
            1,
            "system.noSubscription",
            "No subscription",
        ));
    }
}

#[test]
fn further_reaccess_is_folded_into_one_more_request() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    for _ in 0..4 {
        h.event("event.test.model.reaccess", "");
    }
    assert_eq!(h.subjects(), ["access.test.model"]);
    h.grant("test.model");
    assert_eq!(h.subjects(), ["access.test.model"]);
    h.change("test.model", r#"{"a":2}"#);
    h.client(1).receives_nothing();
    h.grant("test.model");
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
    h.expect_no_request();
}

#[test]
fn the_reason_is_why_access_was_lost() {
    for (answer, reason) in [
        (
            r#"{"error":{"code":"test.out","message":"Out","data":1}}"#,
            r#"{"code":"test.out","message":"Out","data":1}"#,
        ),
        (
            "nonsense-timeout",
            r#"{"code":"system.timeout","message":"Request timeout"}"#,
        ),
        (
            r#"{"result":null}"#,
            r#"{"code":"system.internalError","message":"Internal error: response missing result"}"#,
        ),
    ] {
        let mut h = Heart::new();
        h.subscribed(1, "test.model", MODEL);
        // All direct subscriptions go at once.
        h.client(1)
            .subscribe(1, "test.model")
            .receives(&nothing_new(1));
        h.event("event.test.model.reaccess", "");
        h.access("test.model", answer);
        h.advance(REQUEST_TIMEOUT);
        h.client(1).receives(&format!(
            r#"{{"event":"test.model.unsubscribe","data":{{"reason":{reason}}}}}"#
        ));
        assert_eq!(h.stats().subscriptions, 0);
    }
}

#[test]
fn who_holds_a_resource_by_reference_too_keeps_its_events() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.client(1).subscribe(1, "test.child");
    h.grant("test.child");
    h.client(1).receives(&nothing_new(1));
    h.event("event.test.child.reaccess", "");
    h.change("test.child", r#"{"n":2}"#);
    h.deny("test.child");
    h.client(1)
        .receives(&access_lost("test.child"))
        .receives(&changed("test.child", r#"{"n":2}"#));
    h.change("test.child", r#"{"n":3}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":3}"#));
    // It holds it by reference only: nothing is asked now.
    h.event("event.test.child.reaccess", "");
    h.expect_no_request();
    h.unsubscribed(1, "test.parent");
    h.change("test.child", r#"{"n":4}"#);
    h.client(1).receives_nothing();
}

#[test]
fn reaccess_of_what_is_held_by_reference_drops_the_answer_that_was_kept() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.client(1).call(1, "test.child.set");
    h.grant("test.child");
    h.expect_request("call.test.child.set");
    h.client(1).call(2, "test.child.set");
    h.expect_request("call.test.child.set");
    h.event("event.test.child.reaccess", "");
    h.client(1).call(3, "test.child.set");
    h.deny("test.child");
    h.client(1).receives(&error(3, DENIED.0, DENIED.1));
    h.advance(REQUEST_TIMEOUT);
    assert_eq!(h.client(1).messages().len(), 2);
}

#[test]
fn an_unsubscribe_while_access_is_asked_ends_it_quietly() {
    for answer in [r#"{"result":{"get":true}}"#, r#"{"result":{}}"#] {
        let mut h = Heart::new();
        h.subscribed(1, "test.model", MODEL);
        h.event("event.test.model.reaccess", "");
        h.change("test.model", r#"{"a":2}"#);
        h.unsubscribed(1, "test.model");
        h.access("test.model", answer);
        h.client(1).receives_nothing();
        assert_eq!(h.stats().subscriptions, 0);
    }
}

/// A client that holds a child by reference and has subscribed to it too, whose access was
/// put in question twice: the first question is open since before it unsubscribed and
/// subscribed again, and the second is asked after that.
fn questioned_before_and_after() -> (Heart, Request, Request) {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.client(1).subscribe(1, "test.child");
    h.grant("test.child");
    h.client(1).receives(&nothing_new(1));
    h.event("event.test.child.reaccess", "");
    let first = h.expect_request("access.test.child");
    h.unsubscribed(1, "test.child");
    h.event("event.test.child.reaccess", "");
    h.client(1).subscribe(2, "test.child");
    h.grant("test.child");
    h.client(1).receives(&nothing_new(2));
    h.event("event.test.child.reaccess", "");
    let second = h.expect_request("access.test.child");
    (h, first, second)
}

#[test]
fn a_right_granted_before_an_unsubscribe_does_not_answer_what_is_asked_after_it() {
    let (mut h, first, second) = questioned_before_and_after();
    h.respond(&first, r#"{"result":{"get":true}}"#);
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    h.respond(&second, r#"{"result":{}}"#);
    h.client(1)
        .receives(&access_lost("test.child"))
        .receives(&changed("test.child", r#"{"n":2}"#));
}

#[test]
fn a_right_denied_before_an_unsubscribe_does_not_answer_what_is_asked_after_it() {
    let (mut h, first, second) = questioned_before_and_after();
    h.respond(&first, r#"{"result":{}}"#);
    h.client(1).receives_nothing();
    h.change("test.child", r#"{"n":2}"#);
    h.respond(&second, r#"{"result":{"get":true}}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":2}"#));
    h.unsubscribed(1, "test.child");
}

#[test]
fn a_subscribe_while_access_is_asked_again_shares_the_request() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("event.test.model.reaccess", "");
    h.client(1).subscribe(1, "test.model");
    h.client(1).call(2, "test.model.set");
    assert_eq!(h.subjects(), ["access.test.model"]);
    h.deny("test.model");
    let mut messages = h.client(1).messages();
    messages.sort();
    assert_eq!(
        messages,
        [
            error(1, DENIED.0, DENIED.1),
            error(2, DENIED.0, DENIED.1),
            access_lost("test.model"),
        ]
    );
}

#[test]
fn a_reset_with_two_patterns_for_a_name_gets_once_and_asks_access_once() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event(
        "system.reset",
        r#"{"resources":["test.model","test.>"],"access":["test.*",">"]}"#,
    );
    assert_eq!(h.subjects(), ["get.test.model", "access.test.model"]);
    h.grant("test.model");
    h.serve("test.model", MODEL);
    h.expect_no_request();
}

#[test]
fn token_reset_lets_services_renew_the_tokens_that_it_lists() {
    let mut h = Heart::new();
    for (number, tid) in [(1, r#","tid":"a""#), (2, r#","tid":"b""#), (3, "")] {
        h.client(number).request(1, "auth.test.login");
        h.expect_request("auth.test.login");
        h.token(number, &format!(r#"{{"token":{number}{tid}}}"#));
    }
    h.client(4);
    h.event(
        "system.tokenReset",
        r#"{"tids":["a","c",""],"subject":"auth.renew.it"}"#,
    );
    let renewal = h.expect_request("auth.renew.it");
    assert_eq!(
        renewal.payload,
        r#"{"token":1,"cid":"$CID","header":{},"host":"h1","uri":"/","remoteAddr":"10.0.0.1:4001"}"#
    );
    h.expect_no_request();
    h.respond(&renewal, r#"{"error":{"code":"test.no","message":"N"}}"#);
    // A token without ID takes the old ID away.
    h.token(1, r#"{"token":9}"#);
    h.event("system.tokenReset", r#"{"tids":["a"],"subject":"auth.x"}"#);
    h.expect_no_request();
    h.advance(REQUEST_TIMEOUT);
    for number in [1, 2, 3] {
        assert_eq!(h.client(number).messages().len(), 1);
    }
}

/// Whatever is asked after a token event is decided by the access that the new token has.
#[test]
fn an_open_access_request_is_not_joined_after_a_token_event() {
    for tokens in [&["1"][..], &["1", "2"]] {
        let mut h = Heart::new();
        h.subscribed_tree(
            1,
            &[
                ("test.list", r#"{"collection":[{"rid":"test.child"}]}"#),
                ("test.child", r#"{"model":{}}"#),
            ],
        );
        h.client(1).call(2, "test.child.set");
        let old = h.expect_request("access.test.child");
        assert!(old.payload.contains(r#""token":null"#), "{}", old.payload);
        for token in tokens {
            h.token(1, &format!(r#"{{"token":{token}}}"#));
        }
        if tokens.len() > 1 {
            h.grant("test.list");
        }
        h.client(1).subscribe(3, "test.child");
        let new = h.expect_request("access.test.child");
        let token = format!(r#""token":{}"#, tokens[tokens.len() - 1]);
        assert!(new.payload.contains(&token), "{}", new.payload);
        h.respond(&old, r#"{"result":{"get":true}}"#);
        h.client(1)
            .receives(&error(2, "system.accessDenied", "Access denied"))
            .receives_nothing();
        h.respond(&new, r#"{"result":{"get":false}}"#);
        h.client(1)
            .receives(&error(3, "system.accessDenied", "Access denied"));
    }
}

#[test]
fn access_that_is_lost_while_a_long_answer_is_sent_is_not_asked_for_without_end() {
    const ITEMS: usize = 50;
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    let rids: Vec<String> = (0..ITEMS).map(|item| format!("test.item.{item}")).collect();
    let items = rids.iter().map(|rid| format!(r#"{{"rid":"{rid}"}}"#));
    let items = items.collect::<Vec<_>>().join(",");
    let list = format!(r#"{{"collection":[{items}]}}"#);
    let mut tree = vec![("test.list", &*list)];
    tree.extend(rids.iter().map(|rid| (&**rid, MODEL)));
    h.subscribed_tree(2, &tree);
    h.event("event.test.model.reaccess", "");
    let asked = h.expect_request("access.test.model");
    h.client(1).subscribe(7, "test.list");
    let access = h.expect_request("access.test.list");
    h.respond_in_short_turns(&access, r#"{"result":{"get":true}}"#, 4);
    // The turn in which this comes has an end, and both are told.
    h.respond(&asked, r#"{"result":{"get":false}}"#);
    assert!(h.client(1).message().contains("test.item.49"));
    h.advance(1_000);
    h.client(1).receives(&access_lost("test.model"));
    h.expect_no_request();
}
