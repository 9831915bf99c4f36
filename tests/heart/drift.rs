//! Drift: what was lost on the way is found by asking, counted, and put right.

use crate::harness::{Heart, REQUEST_TIMEOUT, changed};

const MODEL: &str = r#"{"model":{"a":1}}"#;

#[test]
fn what_differs_is_sent_and_counted() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.check_drift(1);
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.client(1)
        .receives(&changed("test.model", r#"{"a":2}"#))
        .receives_nothing();
    assert_eq!(h.drifts(), (1, 1));
    h.check_drift(1);
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.client(1).receives_nothing();
    assert_eq!(h.drifts(), (2, 1));
}

#[test]
fn events_go_on_meanwhile_and_are_no_drift() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.check_drift(1);
    h.change("test.model", r#"{"a":2}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.client(1).receives_nothing();
    assert_eq!(h.drifts(), (1, 0));
}

#[test]
fn what_says_nothing_of_the_resource_changes_nothing() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.check_drift(1);
    h.nobody_answers("get.test.model");
    h.check_drift(1);
    h.fail("test.model", "test.fault");
    h.check_drift(1);
    h.expect_request("get.test.model");
    h.advance(REQUEST_TIMEOUT);
    h.client(1).receives_nothing();
    assert_eq!(h.drifts(), (3, 0));
}

#[test]
fn what_is_gone_is_deleted() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.check_drift(1);
    h.fail("test.model", "system.notFound");
    let told = h.client(1).messages();
    assert!(told[0].contains("test.model.delete"), "{told:?}");
    assert_eq!(h.drifts(), (1, 1));
}

#[test]
fn what_is_in_doubt_or_unused_is_left_out() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("system.reset", r#"{"resources":["test.model"]}"#);
    h.check_drift(5);
    // Only the reset's.
    h.serve("test.model", MODEL);
    h.expect_no_request();
    // A reset while it is compared: what comes of that counts.
    h.check_drift(1);
    let check = h.expect_request("get.test.model");
    h.event("system.reset", r#"{"resources":["test.model"]}"#);
    h.respond(&check, r#"{"result":{"model":{"a":"old"}}}"#);
    h.client(1).receives_nothing();
    h.serve("test.model", MODEL);
    h.client(1).receives_nothing();
    h.unsubscribed(1, "test.model");
    h.check_drift(5);
    h.expect_no_request();
    assert_eq!(h.drifts().1, 0);
}

#[test]
fn all_resources_have_their_turn() {
    let mut h = Heart::new();
    for number in 0..10 {
        h.subscribed(1, &format!("test.r{number}"), MODEL);
    }
    for _ in 0..5 {
        h.check_drift(2);
    }
    for number in 0..10 {
        h.serve(&format!("test.r{number}"), MODEL);
    }
    h.expect_no_request();
    assert_eq!(h.drifts(), (10, 0));
}
