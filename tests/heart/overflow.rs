//! More events wait at a subscription than may: the difference takes their place.

use crate::harness::{Heart, access_lost, changed, deleted};
use tidegate::gateway::{Options, QueueLimits};

const MODEL: &str = r#"{"model":{"a":1,"b":1}}"#;

/// A heart in which two events may wait at a subscription.
fn heart() -> Heart {
    with(QueueLimits {
        updates: 2,
        ..QueueLimits::default()
    })
}

fn with(queues: QueueLimits) -> Heart {
    Heart::with(Options {
        queues,
        ..Options::default()
    })
}

fn reaccess(h: &mut Heart, name: &str) {
    h.event(&format!("event.{name}.reaccess"), "");
}

#[test]
fn the_difference_comes_when_access_is_granted() {
    let mut h = heart();
    h.subscribed(1, "test.model", MODEL);
    reaccess(&mut h, "test.model");
    for values in [
        r#"{"a":2}"#,
        r#"{"b":2}"#,
        r#"{"a":3,"c":1}"#,
        r#"{"c":{"action":"delete"}}"#,
    ] {
        h.change("test.model", values);
    }
    assert_eq!(h.shortened(), 1);
    h.client(1).receives_nothing();
    h.grant("test.model");
    h.client(1)
        .receives(&changed("test.model", r#"{"a":3,"b":2,"c":1}"#))
        .receives(&changed("test.model", r#"{"c":{"action":"delete"}}"#));
    h.change("test.model", r#"{"a":4}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":4}"#));
}

#[test]
fn what_has_come_to_the_same_brings_nothing() {
    let mut h = heart();
    h.subscribed(1, "test.model", MODEL);
    reaccess(&mut h, "test.model");
    for value in [2, 3, 1] {
        h.change("test.model", &format!(r#"{{"a":{value}}}"#));
    }
    assert_eq!(h.shortened(), 1);
    h.grant("test.model");
    h.client(1).receives_nothing();
    h.change("test.model", r#"{"a":4}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":4}"#));
}

#[test]
fn custom_events_are_lost_and_those_that_follow_are_not() {
    let mut h = heart();
    h.subscribed(1, "test.model", MODEL);
    reaccess(&mut h, "test.model");
    for number in 1..=4 {
        h.event("event.test.model.tick", &number.to_string());
    }
    h.grant("test.model");
    h.client(1)
        .receives(r#"{"event":"test.model.tick","data":4}"#);
    h.event("event.test.model.tick", "5");
    h.client(1)
        .receives(r#"{"event":"test.model.tick","data":5}"#);
}

#[test]
fn nothing_comes_when_access_is_denied() {
    let mut h = heart();
    h.subscribed(1, "test.model", MODEL);
    reaccess(&mut h, "test.model");
    for value in 2..6 {
        h.change("test.model", &format!(r#"{{"a":{value}}}"#));
    }
    h.deny("test.model");
    h.client(1).receives(&access_lost("test.model"));
}

#[test]
fn what_was_granted_before_counts_for_nothing_that_came_later() {
    let mut h = heart();
    h.subscribed(1, "test.model", MODEL);
    reaccess(&mut h, "test.model");
    h.change("test.model", r#"{"a":2}"#);
    // What has come until now waits for the first answer, what comes from now on for the next.
    reaccess(&mut h, "test.model");
    h.change("test.model", r#"{"a":3}"#);
    h.change("test.model", r#"{"a":4}"#);
    h.grant("test.model");
    h.client(1).receives_nothing();
    h.deny("test.model");
    h.client(1).receives(&access_lost("test.model"));
}

#[test]
fn an_event_that_waits_for_a_reference_comes_first() {
    let mut h = heart();
    h.subscribed(1, "test.list", r#"{"collection":[1]}"#);
    h.event(
        "event.test.list.add",
        r#"{"idx":0,"value":{"rid":"test.model"}}"#,
    );
    for value in 2..5 {
        let event = format!(r#"{{"idx":1,"value":{value}}}"#);
        h.event("event.test.list.add", &event);
    }
    h.event("event.test.list.remove", r#"{"idx":0}"#);
    assert_eq!(h.shortened(), 3);
    h.client(1).receives_nothing();
    h.serve("test.model", MODEL);
    h.client(1)
        .receives(
            r#"{"event":"test.list.add","data":{"idx":0,"value":{"rid":"test.model"},"models":{"test.model":{"a":1,"b":1}}}}"#,
        )
        .receives(r#"{"event":"test.list.remove","data":{"idx":0}}"#)
        .receives(r#"{"event":"test.list.add","data":{"idx":0,"value":4}}"#)
        .receives(r#"{"event":"test.list.add","data":{"idx":1,"value":3}}"#)
        .receives(r#"{"event":"test.list.add","data":{"idx":2,"value":2}}"#);
    // The client does not hold the model any more.
    h.change("test.model", r#"{"a":2}"#);
    h.client(1).receives_nothing();
}

#[test]
fn a_difference_brings_references() {
    let mut h = heart();
    h.subscribed_tree(
        1,
        &[
            ("test.parent", r#"{"model":{"child":{"rid":"test.one"}}}"#),
            ("test.one", MODEL),
        ],
    );
    reaccess(&mut h, "test.parent");
    h.change("test.parent", r#"{"child":{"rid":"test.two"}}"#);
    h.change("test.parent", r#"{"child":{"rid":"test.three"}}"#);
    h.change("test.parent", r#"{"child":{"rid":"test.four"}}"#);
    assert_eq!(h.shortened(), 1);
    h.grant("test.parent");
    h.serve("test.four", MODEL);
    h.client(1).receives(
        r#"{"event":"test.parent.change","data":{"values":{"child":{"rid":"test.four"}},"models":{"test.four":{"a":1,"b":1}}}}"#,
    );
    h.change("test.one", r#"{"a":2}"#);
    h.client(1).receives_nothing();
}

#[test]
fn a_deletion_takes_the_place_of_all() {
    let mut h = heart();
    h.subscribed(1, "test.model", MODEL);
    reaccess(&mut h, "test.model");
    h.change("test.model", r#"{"a":2}"#);
    h.change("test.model", r#"{"a":3}"#);
    h.event("event.test.model.delete", "null");
    h.grant("test.model");
    h.client(1)
        .receives(r#"{"event":"test.model.delete","data":null}"#)
        .receives(&deleted("test.model"));
}

#[test]
fn all_subscriptions_together_have_a_limit() {
    let mut h = with(QueueLimits {
        all_updates: 100,
        ..QueueLimits::default()
    });
    for client in 1..=2 {
        match client {
            1 => h.subscribed(client, "test.model", MODEL),
            _ => {
                h.subscribed_again(client, "test.model");
            }
        }
    }
    reaccess(&mut h, "test.model");
    // Too much waits in all, and each may have a 1,024th of what it may have else: 64.
    for value in 2..=65 {
        h.change("test.model", &format!(r#"{{"a":{value}}}"#));
    }
    assert_eq!(h.shortened(), 0);
    h.change("test.model", r#"{"a":66}"#);
    assert_eq!(h.shortened(), 1);
    for _ in 0..2 {
        h.grant("test.model");
    }
    h.client(1).receives(&changed("test.model", r#"{"a":66}"#));
    assert_eq!(h.client(2).messages().len(), 65);
}

#[test]
fn where_the_difference_is_too_much_the_client_begins_anew() {
    let mut h = with(QueueLimits {
        bytes: 2_000,
        ..QueueLimits::default()
    });
    h.subscribed(1, "test.model", MODEL);
    reaccess(&mut h, "test.model");
    let text = "x".repeat(1_500);
    h.change("test.model", &format!(r#"{{"a":"{text}"}}"#));
    assert!(!h.client(1).is_closed());
    h.change("test.model", &format!(r#"{{"b":"{text}"}}"#));
    assert!(h.client(1).is_closed());
    h.close(1);
    h.expect_request("access.test.model");
}
