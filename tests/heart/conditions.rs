//! Web requests of clients that have something already: they are told so, or wait until it is
//! another.

use crate::harness::{Heart, LINGER};
use tidegate::gateway::{Have, Tag};

fn having(tag: Tag) -> Have {
    Have::Tagged(Box::new([Tag::of(b"other"), tag]))
}

/// A heart that has answered a request for `test.r`, which is `{"a":1}`, and the tag.
fn answered() -> (Heart, Tag) {
    let mut h = Heart::new();
    h.web(1, "GET", "test/r", "");
    h.grant("test.r");
    h.serve("test.r", r#"{"model":{"a":1}}"#);
    let tag = h.web_tag(1).unwrap();
    assert_eq!(h.web_answer(1), (200, r#"{"a":1}"#.into()));
    (h, tag)
}

#[test]
fn the_tag_is_that_of_the_body() {
    let (_h, tag) = answered();
    assert_eq!(tag, Tag::of(br#"{"a":1}"#));
}

#[test]
fn what_a_client_has_is_not_sent() {
    let (mut h, tag) = answered();
    for have in [having(tag), Have::Anything] {
        h.web_with(1, "GET", "test/r", "", &have, false);
        h.grant("test.r");
        assert_eq!(h.web_tag(1), Some(tag));
        assert_eq!(h.web_answer(1), (304, String::new()));
    }
    for have in [Have::Nothing, Have::Tagged(Box::new([Tag::of(b"other")]))] {
        h.web_with(1, "GET", "test/r", "", &have, false);
        h.grant("test.r");
        assert_eq!(h.web_answer(1), (200, r#"{"a":1}"#.into()));
    }
}

#[test]
fn the_tag_of_a_tree_is_that_of_its_parts() {
    let mut h = Heart::new();
    let mut tags = Vec::new();
    for (round, change) in [(0, "2"), (1, "1"), (2, "3")] {
        h.web(1, "GET", "test/r", "");
        h.grant("test.r");
        if round == 0 {
            h.serve("test.r", r#"{"collection":[{"rid":"test.s"}]}"#);
            h.serve("test.s", r#"{"model":{"a":1}}"#);
        }
        tags.push(h.web_tag(1).unwrap());
        h.web_answer(1);
        h.change("test.s", &format!(r#"{{"a":{change}}}"#));
    }
    assert_eq!((tags[0], tags[0] == tags[1]), (tags[2], false));
}

#[test]
fn errors_have_no_tag_and_are_no_less_told() {
    let (mut h, tag) = answered();
    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.deny("test.r");
    assert_eq!(h.web_tag(1), None);
    assert_eq!(h.web_answer(1).0, 401);
}

#[test]
fn who_waits_is_answered_when_it_changes() {
    let (mut h, tag) = answered();
    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.grant("test.r");
    assert!(!h.has_web_answer(1));
    h.advance(2 * LINGER);
    // What changes nothing is no reason to look.
    h.event("event.test.r.custom", "1");
    h.change("test.r", r#"{"a":1}"#);
    h.expect_no_request();
    assert!(!h.has_web_answer(1));
    h.change("test.r", r#"{"a":2}"#);
    h.grant("test.r");
    assert_eq!(h.web_answer(1), (200, r#"{"a":2}"#.into()));
}

#[test]
fn who_waits_in_vain_has_what_there_is() {
    let (mut h, tag) = answered();
    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.grant("test.r");
    h.end_poll(1);
    assert_eq!(h.web_tag(1), Some(tag));
    assert_eq!(h.web_answer(1), (304, String::new()));
    // Before it is known.
    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.end_poll(1);
    assert!(!h.has_web_answer(1));
    h.grant("test.r");
    assert_eq!(h.web_answer(1), (304, String::new()));
    // One that does not wait takes no notice.
    h.web(1, "GET", "test/r", "");
    h.end_poll(1);
    h.grant("test.r");
    assert_eq!(h.web_answer(1), (200, r#"{"a":1}"#.into()));
    h.end_poll(1);
}

#[test]
fn it_waits_for_all_that_is_referenced() {
    let mut h = Heart::new();
    h.web(1, "GET", "test/r", "");
    h.grant("test.r");
    h.serve("test.r", r#"{"collection":[{"rid":"test.s"}]}"#);
    h.serve("test.s", r#"{"model":{"a":1}}"#);
    let tag = h.web_tag(1).unwrap();
    h.web_answer(1);
    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.grant("test.r");
    h.advance(3 * LINGER);
    assert!(!h.has_web_answer(1));
    h.change("test.s", r#"{"a":2}"#);
    h.grant("test.r");
    let body = r#"[{"href":"/api/test/s","model":{"a":2}}]"#;
    assert_eq!(h.web_answer(1), (200, body.into()));
}

#[test]
fn a_change_that_is_undone_keeps_it_waiting() {
    let (mut h, tag) = answered();
    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.grant("test.r");
    h.change("test.r", r#"{"a":2}"#);
    // By the time that access is known it is what it was.
    let access = h.expect_request("access.test.r");
    h.change("test.r", r#"{"a":1}"#);
    h.respond(&access, r#"{"result":{"get":true}}"#);
    while let Some(request) = h.next_request() {
        h.respond(&request, r#"{"result":{"get":true}}"#);
    }
    assert!(!h.has_web_answer(1));
    h.change("test.r", r#"{"a":3}"#);
    h.grant("test.r");
    assert_eq!(h.web_answer(1), (200, r#"{"a":3}"#.into()));
}

#[test]
fn who_may_not_read_it_any_more_waits_no_longer() {
    let (mut h, tag) = answered();
    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.grant("test.r");
    h.event("event.test.r.reaccess", "");
    h.deny("test.r");
    assert_eq!(h.web_answer(1).0, 401);

    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.grant("test.r");
    h.event("event.test.r.delete", "");
    h.grant("test.r");
    h.fail("test.r", "system.notFound");
    assert_eq!(h.web_answer(1).0, 404);
}

#[test]
fn it_hears_of_what_was_missed_while_nats_was_away() {
    let (mut h, tag) = answered();
    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.grant("test.r");
    h.lose_broker();
    h.return_broker();
    while let Some(request) = h.next_request() {
        let answer = match request.subject.starts_with("get.") {
            true => r#"{"result":{"model":{"a":5}}}"#,
            false => r#"{"result":{"get":true}}"#,
        };
        h.respond(&request, answer);
    }
    assert_eq!(h.web_answer(1), (200, r#"{"a":5}"#.into()));
}

#[test]
fn who_waits_and_leaves_holds_nothing() {
    let (mut h, tag) = answered();
    h.web_with(1, "GET", "test/r", "", &having(tag), true);
    h.grant("test.r");
    assert!(h.stats().subscriptions > 0);
    h.close(1);
    assert_eq!((h.stats().subscriptions, h.stats().clients), (0, 0));
    h.change("test.r", r#"{"a":2}"#);
}
