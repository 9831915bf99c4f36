//! Tokens: setting, effect on access, token reset.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

#[test]
fn a_token_is_sent_with_all_later_requests() {
    let (svc, mut c) = pair("tok_sent");
    c.set_token(
        &svc,
        "tok_sent.x",
        r#"{"token": {"user": 1.0, "b": [true]}}"#,
    );
    let id = c.ask("call.tok_sent.a.set");
    let access = svc.expect("access.tok_sent.a");
    access.assert_payload(r#"{"token":{"user":1.0,"b":[true]}}"#);
    access.grant();
    let call = svc.expect("call.tok_sent.a.set");
    call.assert_payload(r#"{"params":null,"token":{"user":1.0,"b":[true]}}"#);
    call.result("1");
    c.expect_result(id, r#"{"payload":1}"#);
    let id = c.ask("auth.tok_sent.a.again");
    let auth = svc.expect("auth.tok_sent.a.again");
    assert_json(&auth.member("token"), r#"{"user":1.0,"b":[true]}"#);
    auth.result("1");
    c.expect_result(id, r#"{"payload":1}"#);
    let id = c.ask("subscribe.tok_sent.a");
    let [access, get] = svc.expect_all(["access.tok_sent.a", "get.tok_sent.a"]);
    access.assert_payload(r#"{"token":{"user":1.0,"b":[true]}}"#);
    assert_eq!(get.payload(), "{}");
    access.grant();
    get.result(MODEL);
    c.expect_result(id, r#"{"models":{"tok_sent.a":{"a":1}}}"#);
}

#[test]
fn any_json_value_may_be_a_token() {
    let (svc, mut c) = pair("tok_any");
    for (event, token) in [
        (r#"{"token":"text"}"#, r#""text""#),
        (r#"{"token":[1,2]}"#, "[1,2]"),
        (r#"{"token":false}"#, "false"),
        (r#"{"token":1e3}"#, "1e3"),
        (r#"{"token":null}"#, "null"),
        (r#"{"token":5}"#, "5"),
        ("{}", "null"),
    ] {
        c.set_token(&svc, "tok_any.x", event);
        let id = c.ask("call.tok_any.a.set");
        let access = svc.expect("access.tok_any.a");
        access.assert_payload(&format!(r#"{{"token":{token}}}"#));
        access.result(r#"{}"#);
        c.expect_error(id, "system.accessDenied", "Access denied");
    }
}

#[test]
fn invalid_token_events_are_ignored() {
    let (svc, mut c) = pair("tok_bad");
    c.set_token(&svc, "tok_bad.x", r#"{"token":"kept"}"#);
    for event in ["", "{", "1", "[]", r#""x""#, r#"{"token":"new","tid":5}"#] {
        c.set_token(&svc, "tok_bad.x", event);
        let id = c.ask("call.tok_bad.a.set");
        let access = svc.expect("access.tok_bad.a");
        access.assert_payload(r#"{"token":"kept"}"#);
        access.result("{}");
        c.expect_error(id, "system.accessDenied", "Access denied");
    }
}

#[test]
fn the_first_token_asks_nothing() {
    let (svc, mut c) = pair("tok_first");
    c.subscribe(&svc, "tok_first.a", MODEL);
    c.set_token(&svc, "tok_first.x", r#"{"token":1}"#);
    c.fence(&svc, "tok_first.a");
}

#[test]
fn a_new_token_asks_access_for_direct_subscriptions_again() {
    let (svc, mut c) = pair("tok_new");
    let id = c.ask("subscribe.tok_new.p");
    svc.serve("tok_new.p", r#"{"model":{"c":{"rid":"tok_new.c"}}}"#);
    svc.serve_get("tok_new.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"tok_new.p":{"c":{"rid":"tok_new.c"}},"tok_new.c":{"a":1}}}"#,
    );
    c.subscribe(&svc, "tok_new.q", MODEL);
    c.set_token(&svc, "tok_new.x", r#"{"token":1}"#);
    let login = c.ask("auth.tok_new.x.login");
    let auth = svc.expect("auth.tok_new.x.login");
    svc.publish(
        &format!("conn.{}.token", auth.member("cid")),
        r#"{"token":2}"#,
    );
    let [p, q] = svc.expect_all(["access.tok_new.p", "access.tok_new.q"]);
    p.assert_payload(r#"{"token":2}"#);
    p.grant();
    q.result(r#"{"get":false}"#);
    c.expect_unsubscribed("tok_new.q", "system.accessDenied", "Access denied");
    auth.result("1");
    c.expect_result(login, r#"{"payload":1}"#);
    // The same token again asks again.
    let login = c.ask("auth.tok_new.x.login");
    let auth = svc.expect("auth.tok_new.x.login");
    svc.publish(
        &format!("conn.{}.token", auth.member("cid")),
        r#"{"token":2}"#,
    );
    svc.grant("tok_new.p");
    auth.result("1");
    c.expect_result(login, r#"{"payload":1}"#);
    c.fence(&svc, "tok_new.p");
}

#[test]
fn a_null_token_counts_as_having_had_one() {
    let (svc, mut c) = pair("tok_null");
    c.subscribe(&svc, "tok_null.a", MODEL);
    c.set_token(&svc, "tok_null.x", r#"{"token":null}"#);
    let auth_id = c.ask("auth.tok_null.x.login");
    let auth = svc.expect("auth.tok_null.x.login");
    svc.publish(
        &format!("conn.{}.token", auth.member("cid")),
        r#"{"token":1}"#,
    );
    svc.grant("tok_null.a");
    auth.result("1");
    c.expect_result(auth_id, r#"{"payload":1}"#);
}

#[test]
fn a_new_token_forgets_the_kept_access_of_indirect_subscriptions() {
    let (svc, mut c) = pair("tok_ind");
    c.set_token(&svc, "tok_ind.x", r#"{"token":1}"#);
    let id = c.ask("subscribe.tok_ind.p");
    svc.serve("tok_ind.p", r#"{"model":{"c":{"rid":"tok_ind.c"}}}"#);
    svc.serve_get("tok_ind.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"tok_ind.p":{"c":{"rid":"tok_ind.c"}},"tok_ind.c":{"a":1}}}"#,
    );
    let id = c.ask("call.tok_ind.c.set");
    svc.grant("tok_ind.c");
    svc.expect("call.tok_ind.c.set").result("1");
    c.expect_result(id, r#"{"payload":1}"#);
    let login = c.ask("auth.tok_ind.x.login");
    let auth = svc.expect("auth.tok_ind.x.login");
    svc.publish(
        &format!("conn.{}.token", auth.member("cid")),
        r#"{"token":2}"#,
    );
    svc.grant("tok_ind.p");
    auth.result("1");
    c.expect_result(login, r#"{"payload":1}"#);
    let id = c.ask("call.tok_ind.c.set");
    let access = svc.expect("access.tok_ind.c");
    access.assert_payload(r#"{"token":2}"#);
    access.result(r#"{"get":false}"#);
    c.expect_error(id, "system.accessDenied", "Access denied");
}

#[test]
fn a_method_denied_before_login_is_asked_again_after_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("tok_login");
    let id = c.ask("subscribe.tok_login.a");
    let [access, get] = svc.expect_all(["access.tok_login.a", "get.tok_login.a"]);
    access.result(r#"{"get":true}"#);
    get.result(MODEL);
    c.expect_result(id, r#"{"models":{"tok_login.a":{"a":1}}}"#);
    let id = c.ask("call.tok_login.a.set");
    c.expect_error(id, "system.accessDenied", "Access denied");
    let login = c.ask("auth.tok_login.x.login");
    let auth = svc.expect("auth.tok_login.x.login");
    svc.publish(
        &format!("conn.{}.token", auth.member("cid")),
        r#"{"token":1}"#,
    );
    auth.result("1");
    c.expect_result(login, r#"{"payload":1}"#);
    // Access may be asked at once or with the next call, but it must be asked.
    let call = c.ask("call.tok_login.a.set");
    let access = svc.expect("access.tok_login.a");
    access.assert_payload(r#"{"token":1}"#);
    access.result(r#"{"get":true,"call":"set"}"#);
    svc.expect("call.tok_login.a.set").result("1");
    c.expect_result(call, r#"{"payload":1}"#);
}

#[test]
fn token_reset_asks_the_connections_with_that_tid() {
    let (svc, mut c) = pair("tok_reset");
    let mut d = Stack::shared().client();
    c.set_token(
        &svc,
        "tok_reset.x",
        r#"{"token":{"n":1},"tid":"tok_reset_1"}"#,
    );
    d.set_token(&svc, "tok_reset.x", r#"{"token":2,"tid":"tok_reset_2"}"#);
    svc.publish(
        "system.tokenReset",
        r#"{"tids":["other","tok_reset_1"],"subject":"auth.tok_reset.renew"}"#,
    );
    let renew = svc.expect("auth.tok_reset.renew");
    let text = renew.payload();
    assert!(
        text.starts_with(r#"{"token":{"n":1},"cid":""#) && !text.contains("\"params\""),
        "{text}"
    );
    for key in ["header", "host", "remoteAddr", "uri"] {
        renew.member(key);
    }
    renew.error("system.internalError", "ignored");
    c.fence(&svc, "tok_reset.x");
    d.fence(&svc, "tok_reset.x");
    svc.publish(
        "system.tokenReset",
        r#"{"tids":["tok_reset_1","tok_reset_2"],"subject":"anything.tok_reset.at.all"}"#,
    );
    let both = svc.expect_all(["anything.tok_reset.at.all", "anything.tok_reset.at.all"]);
    let mut tokens = both.map(|r| r.member("token"));
    tokens.sort();
    assert_eq!(tokens, ["2", r#"{"n":1}"#]);
}

#[test]
fn token_resets_that_concern_nobody_or_are_invalid_do_nothing() {
    let (svc, mut c) = pair("tok_reset_bad");
    c.set_token(&svc, "tok_reset_bad.x", r#"{"token":1,"tid":"tok_bad_1"}"#);
    // A connection without tid matches nothing.
    let mut d = Stack::shared().client();
    d.set_token(&svc, "tok_reset_bad.x", r#"{"token":1}"#);
    for payload in [
        r#"{"tids":["tok_bad_"],"subject":"auth.tok_reset_bad.renew"}"#,
        r#"{"tids":["TOK_BAD_1",""],"subject":"auth.tok_reset_bad.renew"}"#,
        r#"{"tids":[],"subject":"auth.tok_reset_bad.renew"}"#,
        r#"{"subject":"auth.tok_reset_bad.renew"}"#,
        r#"{"tids":["tok_bad_1"]}"#,
        r#"{"tids":["tok_bad_1"],"subject":""}"#,
        r#"{"tids":"tok_bad_1","subject":"auth.tok_reset_bad.renew"}"#,
        r#"{"tids":["tok_bad_1"],"subject":5}"#,
        "{",
        "",
    ] {
        svc.publish("system.tokenReset", payload);
    }
    // The last one is heard: all before it were handled.
    svc.publish(
        "system.tokenReset",
        r#"{"tids":["tok_bad_1"],"subject":"auth.tok_reset_bad.last"}"#,
    );
    svc.expect("auth.tok_reset_bad.last").result("null");
    c.fence(&svc, "tok_reset_bad.x");
    d.fence(&svc, "tok_reset_bad.x");
}

#[test]
fn each_token_event_replaces_the_tid() {
    let (svc, mut c) = pair("tok_tid");
    c.set_token(&svc, "tok_tid.x", r#"{"token":1,"tid":"tok_tid_1"}"#);
    c.set_token(&svc, "tok_tid.x", r#"{"token":2,"tid":"tok_tid_2"}"#);
    svc.publish(
        "system.tokenReset",
        r#"{"tids":["tok_tid_1"],"subject":"auth.tok_tid.one"}"#,
    );
    svc.publish(
        "system.tokenReset",
        r#"{"tids":["tok_tid_2"],"subject":"auth.tok_tid.two"}"#,
    );
    svc.expect("auth.tok_tid.two").result("null");
    c.set_token(&svc, "tok_tid.x", r#"{"token":3}"#);
    svc.publish(
        "system.tokenReset",
        r#"{"tids":["tok_tid_2",""],"subject":"auth.tok_tid.three"}"#,
    );
    c.fence(&svc, "tok_tid.x");
}

#[test]
fn other_connection_events_are_ignored() {
    let (svc, mut c) = pair("tok_other");
    let cid = c.cid(&svc, "tok_other.x");
    svc.publish(&format!("conn.{cid}.other"), r#"{"token":1}"#);
    svc.publish(&format!("conn.{cid}.Token"), r#"{"token":1}"#);
    svc.publish("system.other", r#"{"resources":["tok_other.>"]}"#);
    let id = c.ask("call.tok_other.a.set");
    let access = svc.expect("access.tok_other.a");
    access.assert_payload(r#"{"token":null}"#);
    access.grant();
    svc.expect("call.tok_other.a.set").result("1");
    c.expect_result(id, r#"{"payload":1}"#);
}
