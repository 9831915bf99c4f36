//! Requests that are not answered in time, and pre-responses that change that time.

use crate::common::*;

const TIMEOUT: &str = r#"{"code":"system.timeout","message":"Request timeout"}"#;

#[test]
fn an_unanswered_request_times_out() {
    let stack = Stack::impatient();
    let svc = stack.service("time_req");
    let mut c = stack.client();
    let id = c.ask("auth.time_req.a.login");
    let late = svc.expect("auth.time_req.a.login");
    c.expect_error(id, "system.timeout", "Request timeout");
    // A later answer is ignored.
    late.result("1");
    c.fence(&svc, "time_req.a");

    let id = c.ask("subscribe.time_req.a");
    let [access, get] = svc.expect_all(["access.time_req.a", "get.time_req.a"]);
    access.grant();
    c.expect_error(id, "system.timeout", "Request timeout");
    get.result(r#"{"model":{}}"#);
    c.fence(&svc, "time_req.a");

    let id = c.ask("subscribe.time_req.b");
    let [_access, get] = svc.expect_all(["access.time_req.b", "get.time_req.b"]);
    get.result(r#"{"model":{}}"#);
    c.expect_error(id, "system.timeout", "Request timeout");

    let id = c.ask("call.time_req.c.set");
    svc.grant("time_req.c");
    let _call = svc.expect("call.time_req.c.set");
    c.expect_error(id, "system.timeout", "Request timeout");
}

#[test]
fn a_child_that_times_out_is_an_error_in_the_set() {
    let stack = Stack::impatient();
    let svc = stack.service("time_child");
    let mut c = stack.client();
    let id = c.ask("subscribe.time_child.p");
    svc.serve("time_child.p", r#"{"model":{"c":{"rid":"time_child.c"}}}"#);
    let _get = svc.expect("get.time_child.c");
    c.expect_result(
        id,
        &format!(
            r#"{{"models":{{"time_child.p":{{"c":{{"rid":"time_child.c"}}}}}},"errors":{{"time_child.c":{TIMEOUT}}}}}"#
        ),
    );
}

#[test]
fn http_answers_404_on_time_out() {
    let stack = Stack::impatient();
    let svc = stack.service("time_web");
    let mut h = stack.http();
    h.get("/api/time_web/a");
    let [access, _get] = svc.expect_all(["access.time_web.a", "get.time_web.a"]);
    access.grant();
    h.response().assert(404, TIMEOUT);
}

#[test]
fn a_pre_response_replaces_the_time_out() {
    let stack = Stack::impatient();
    let svc = stack.service("time_pre");
    let mut c = stack.client();
    for pre in [
        r#"timeout:"60000""#,
        r#"timeout:"60000" other:"x""#,
        r#"other:"x" timeout:"60000""#,
    ] {
        let id = c.ask("auth.time_pre.a.slow");
        let slow = svc.expect("auth.time_pre.a.slow");
        slow.respond(pre);
        svc.flush();
        // Another request, made after it, runs into its time-out of 300 ms first.
        let other = c.ask("auth.time_pre.b.none");
        let _none = svc.expect("auth.time_pre.b.none");
        c.expect_error(other, "system.timeout", "Request timeout");
        slow.result("1");
        c.expect_result(id, r#"{"payload":1}"#);
    }
}

#[test]
fn a_pre_response_may_be_repeated_and_shorten_the_time() {
    let stack = Stack::shared();
    let svc = stack.service("time_short");
    let mut c = stack.client();
    let id = c.ask("auth.time_short.a.slow");
    let slow = svc.expect("auth.time_short.a.slow");
    slow.respond(r#"timeout:"50000""#);
    slow.respond(r#"timeout:"20""#);
    // The gateway's own time-out is a minute.
    c.expect_error(id, "system.timeout", "Request timeout");
}

#[test]
fn pre_responses_that_cannot_be_read_are_swallowed() {
    let stack = Stack::shared();
    let svc = stack.service("time_odd");
    let mut c = stack.client();
    for pre in [
        "timeout",
        "timeout:5",
        r#"timeout:"abc""#,
        r#"timeout:"1.5""#,
        r#"other:"1""#,
        "nonsense",
        "x",
        r#"Timeout:"1""#,
    ] {
        let id = c.ask("auth.time_odd.a.slow");
        let slow = svc.expect("auth.time_odd.a.slow");
        slow.respond(pre);
        c.fence(&svc, "time_odd.a");
        slow.result("1");
        c.expect_result(id, r#"{"payload":1}"#);
    }
}

#[test]
fn reaccess_that_times_out_is_a_denial() {
    let stack = Stack::impatient();
    let svc = stack.service("time_re");
    let mut c = stack.client();
    c.subscribe(&svc, "time_re.a", r#"{"model":{"a":1}}"#);
    svc.event("time_re.a.reaccess", "");
    let _access = svc.expect("access.time_re.a");
    c.expect_unsubscribed("time_re.a", "system.timeout", "Request timeout");
}

#[test]
fn a_query_request_that_times_out_lets_the_rest_go_on() {
    let stack = Stack::impatient();
    let svc = stack.service("time_query");
    let mut c = stack.client();
    let id = c.ask("subscribe.time_query.l?x=1");
    svc.serve("time_query.l", r#"{"collection":[1],"query":"x=1"}"#);
    c.expect_result(id, r#"{"collections":{"time_query.l?x=1":[1]}}"#);
    let id = c.ask("subscribe.time_query.l");
    svc.serve("time_query.l", r#"{"collection":[2]}"#);
    c.expect_result(id, r#"{"collections":{"time_query.l":[2]}}"#);
    svc.event("time_query.l.query", r#"{"subject":"query.time_query.s"}"#);
    let _query = svc.expect("query.time_query.s");
    svc.event("time_query.l.custom", "1");
    c.expect_event("time_query.l.custom", "1");
}

#[test]
fn events_during_a_reset_that_times_out_are_not_lost_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::impatient();
    let svc = stack.service("time_reset");
    let mut c = stack.client();
    c.subscribe(&svc, "time_reset.a", r#"{"model":{"a":1}}"#);
    svc.reset(r#"{"resources":["time_reset.a"]}"#);
    let _get = svc.expect("get.time_reset.a");
    svc.event("time_reset.a.change", r#"{"values":{"a":2}}"#);
    c.expect_event("time_reset.a.change", r#"{"values":{"a":2}}"#);
    // The get is tried again while the resource is in use.
    svc.serve_get("time_reset.a", r#"{"model":{"a":3}}"#);
    c.expect_event("time_reset.a.change", r#"{"values":{"a":3}}"#);
}

#[test]
fn a_bare_word_is_not_taken_for_a_pre_response_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let svc = stack.service("time_word");
    let mut c = stack.client();
    for word in ["null", "true", "false"] {
        let id = c.ask("auth.time_word.a.login");
        svc.expect("auth.time_word.a.login").respond(word);
        let text = c.next();
        assert_eq!(member(&text, "id"), id.to_string());
        assert_eq!(
            member(&member(&text, "error"), "code"),
            "system.internalError"
        );
    }
}
