//! How long resources stay cached after their last user is gone.

use std::time::{Duration, Instant};

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// The peer's delay, with what the machine may add.
fn assert_five_seconds(taken: Duration) {
    assert!(
        taken >= Duration::from_millis(4900) && taken < Duration::from_secs(9),
        "unsubscribed after {taken:?}"
    );
}

#[test]
fn an_unused_resource_is_kept_for_five_seconds() {
    let (svc, mut c) = pair("lin_keep");
    let id = c.ask("subscribe.lin_keep.p");
    svc.serve("lin_keep.p", r#"{"model":{"c":{"rid":"lin_keep.c"}}}"#);
    svc.serve_get("lin_keep.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"lin_keep.p":{"c":{"rid":"lin_keep.c"}},"lin_keep.c":{"a":1}}}"#,
    );
    let start = Instant::now();
    c.unsubscribe("lin_keep.p");
    // Kept up to date meanwhile.
    svc.event("lin_keep.c.change", r#"{"values":{"a":2}}"#);
    c.fence(&svc, "lin_keep.c");
    svc.wait_unsubscribed("lin_keep.p");
    assert_five_seconds(start.elapsed());
    svc.wait_unsubscribed("lin_keep.c");
    assert_five_seconds(start.elapsed());
    // Dropped: loaded anew.
    c.subscribe(&svc, "lin_keep.c", r#"{"model":{"a":3}}"#);
}

#[test]
fn use_within_that_time_restarts_the_whole_period() {
    let (svc, mut c) = pair("lin_again");
    c.subscribe(&svc, "lin_again.a", MODEL);
    c.unsubscribe("lin_again.a");
    // Another resource, dropped now, is the clock: when it goes, 5 s are over.
    c.subscribe(&svc, "lin_again.clock", MODEL);
    c.unsubscribe("lin_again.clock");
    let id = c.ask("get.lin_again.a");
    svc.grant("lin_again.a");
    c.expect_result(id, r#"{"models":{"lin_again.a":{"a":1}}}"#);
    // Held again over the end of the first period.
    let id = c.ask("subscribe.lin_again.a");
    svc.grant("lin_again.a");
    c.expect_result(id, r#"{"models":{"lin_again.a":{"a":1}}}"#);
    svc.wait_unsubscribed("lin_again.clock");
    assert!(svc.is_listened_to("lin_again.a"));
    c.expect_event("lin_again.a.probe", "null");
    let start = Instant::now();
    c.unsubscribe("lin_again.a");
    svc.wait_unsubscribed("lin_again.a");
    assert_five_seconds(start.elapsed());
}

#[test]
fn resources_of_a_client_that_left_are_released() {
    let (svc, mut c) = pair("lin_left");
    c.subscribe(&svc, "lin_left.a", MODEL);
    let start = Instant::now();
    c.drop_connection();
    svc.wait_unsubscribed("lin_left.a");
    assert_five_seconds(start.elapsed());
}

#[test]
fn resources_fetched_by_http_linger_too() {
    let stack = Stack::shared();
    let svc = stack.service("lin_http");
    let mut h = stack.http();
    h.get("/api/lin_http/a");
    svc.serve("lin_http.a", MODEL);
    h.response().assert(200, r#"{"a":1}"#);
    let start = Instant::now();
    h.get("/api/lin_http/a");
    svc.grant("lin_http.a");
    h.response().assert(200, r#"{"a":1}"#);
    svc.wait_unsubscribed("lin_http.a");
    assert_five_seconds(start.elapsed());
}

#[test]
fn calls_and_auth_alone_listen_to_no_events() {
    let (svc, mut c) = pair("lin_call");
    let id = c.ask("call.lin_call.a.set");
    svc.grant("lin_call.a");
    svc.expect("call.lin_call.a.set").result("1");
    c.expect_result(id, r#"{"payload":1}"#);
    c.fence(&svc, "lin_call.a");
    assert!(!svc.is_listened_to("lin_call.a"));
}

#[test]
fn a_denied_resource_is_released() {
    let (svc, mut c) = pair("lin_denied");
    let id = c.ask("subscribe.lin_denied.a");
    let [access, get] = svc.expect_all(["access.lin_denied.a", "get.lin_denied.a"]);
    access.result("{}");
    get.result(MODEL);
    c.expect_error(id, "system.accessDenied", "Access denied");
    svc.wait_unsubscribed("lin_denied.a");
}

#[test]
fn delete_that_meets_an_unsubscribe_leaves_later_subscriptions_alive_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("lin_delete");
    let rounds = 40;
    for round in 0..rounds {
        let name = format!("lin_delete.r{round}");
        c.subscribe(&svc, &name, MODEL);
        // The two cross: either may come first.
        svc.event(&format!("{name}.delete"), "");
        let unsubscribe = c.ask(&format!("unsubscribe.{name}"));
        let fence = c.ask(&format!("auth.{name}.fence"));
        svc.expect(&format!("auth.{name}.fence")).result("1");
        let ids = [unsubscribe, fence].map(|id| format!("\"id\":{id}}}"));
        let mut answered = 0;
        while answered < 2 {
            let text = c.next();
            answered += usize::from(ids.iter().any(|id| text.ends_with(id)));
        }
        c.subscribe(&svc, &name, MODEL);
    }
    // When the clock's resource is gone, every linger period from above is over.
    c.subscribe(&svc, "lin_delete.clock", MODEL);
    c.unsubscribe("lin_delete.clock");
    svc.wait_unsubscribed("lin_delete.clock");
    for round in 0..rounds {
        let name = format!("lin_delete.r{round}");
        svc.event(&format!("{name}.change"), r#"{"values":{"a":2}}"#);
        c.expect_event(&format!("{name}.change"), r#"{"values":{"a":2}}"#);
    }
}
