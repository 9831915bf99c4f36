//! What comes from NATS faster than it can be acted on, and what goes there in its turn.

use crate::harness::{Heart, changed, deleted};

const MODEL: &str = r#"{"model":{"a":1}}"#;

#[test]
fn access_that_is_put_in_question_all_the_time_holds_no_event_for_long() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    let (mut sent, mut got, mut asked_at) = (0_u64, 0_u64, None);
    for time in 0..400_u64 {
        // Every 10 ms access is put in question, and an event comes; answers take 30 ms.
        h.event("event.test.model.reaccess", "");
        h.change("test.model", &format!(r#"{{"a":{}}}"#, 100 + sent));
        sent += 1;
        match asked_at {
            Some(at) if time >= at + 3 => {
                h.grant("test.model");
                asked_at = None;
            }
            _ => {}
        }
        if asked_at.is_none() && !h.subjects().is_empty() {
            asked_at = Some(time);
        }
        assert!(h.subjects().len() <= 1, "one question at a time");
        for message in h.client(1).messages() {
            let values = format!(r#"{{"a":{}}}"#, 100 + got);
            assert_eq!(message, changed("test.model", &values));
            got += 1;
        }
        assert!(sent - got <= 7, "{sent} sent, {got} got");
        h.advance(10);
    }
    // What came behind the last question waits for the answer to one that comes behind it.
    while !h.subjects().is_empty() {
        h.grant("test.model");
    }
    for n in got..sent {
        h.client(1)
            .receives(&changed("test.model", &format!(r#"{{"a":{}}}"#, 100 + n)));
    }
}

#[test]
fn an_event_waits_for_an_answer_that_was_asked_after_access_was_put_in_question() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("event.test.model.reaccess", "");
    h.change("test.model", r#"{"a":2}"#);
    h.event("event.test.model.reaccess", "");
    h.change("test.model", r#"{"a":3}"#);
    h.grant("test.model");
    h.client(1)
        .receives(&changed("test.model", r#"{"a":2}"#))
        .receives_nothing();
    h.deny("test.model");
    let message = h.client(1).message();
    assert!(message.contains("test.model.unsubscribe"), "{message}");
    h.client(1).receives_nothing();
}

#[test]
fn what_was_dropped_unseen_is_fetched_again_and_access_asked() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.lose_events("test.model");
    // Events before the answer may be about what nobody has seen.
    h.change("test.model", r#"{"b":7}"#);
    h.grant("test.model");
    h.client(1).receives_nothing();
    h.serve("test.model", r#"{"model":{"a":5,"b":7}}"#);
    h.client(1)
        .receives(&changed("test.model", r#"{"a":5,"b":7}"#))
        .receives_nothing();
    h.change("test.model", r#"{"a":6}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":6}"#));
}

#[test]
fn events_lost_while_a_get_request_is_open_make_its_answer_doubtful() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("system.reset", r#"{"resources":["test.model"]}"#);
    let first = h.expect_request("get.test.model");
    h.lose_events("test.model");
    h.respond(&first, r#"{"result":{"model":{"a":2}}}"#);
    h.change("test.model", r#"{"a":9}"#);
    h.grant("test.model");
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
    h.client(1).receives_nothing();
    h.serve("test.model", r#"{"model":{"a":9}}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":9}"#));
    // The same where a client has yet to get it.
    h.client(1).subscribe(2, "test.other");
    h.grant("test.other");
    h.lose_events("test.other");
    h.serve("test.other", r#"{"model":{"a":1}}"#);
    h.client(1).message();
    h.change("test.other", r#"{"a":3}"#);
    h.client(1).receives_nothing();
    h.serve("test.other", r#"{"model":{"a":3}}"#);
    while !h.subjects().is_empty() {
        h.grant("test.other");
    }
    h.client(1).receives(&changed("test.other", r#"{"a":3}"#));
}

#[test]
fn what_is_of_another_kind_after_events_were_lost_was_deleted_meanwhile() {
    let mut h = Heart::new();
    h.subscribed(1, "test.thing", r#"{"model":{"a":1}}"#);
    h.lose_events("test.thing");
    h.serve("test.thing", r#"{"collection":[1]}"#);
    h.grant("test.thing");
    h.client(1)
        .receives(r#"{"event":"test.thing.delete","data":null}"#)
        .receives(&deleted("test.thing"));
    h.client(1).subscribe(1, "test.thing");
    h.grant("test.thing");
    h.serve("test.thing", r#"{"collection":[2]}"#);
    h.client(1)
        .receives(r#"{"result":{"collections":{"test.thing":[2]}},"id":1}"#);
}

#[test]
fn a_call_of_a_client_that_has_gone_is_forgotten_however_long_it_may_take() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.login");
    let before = h.expect_request("auth.test.login");
    h.client(1).request(2, "auth.test.login");
    let after = h.expect_request("auth.test.login");
    h.respond(&before, r#"timeout:"86400000""#);
    assert_eq!(h.stats().pending, 2);
    h.close(1);
    assert_eq!(h.stats().pending, 1);
    h.respond(&after, r#"timeout:"86400000""#);
    assert_eq!(h.stats().pending, 0);
    h.respond(&before, r#"{"result":null}"#);
    assert_eq!(h.stats().pending, 0);
}

const A_DAY: &str = r#"timeout:"86400000""#;

#[test]
fn a_get_that_nobody_waits_for_is_forgotten_however_long_it_may_take() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.grant("test.model");
    let before = h.expect_request("get.test.model");
    h.respond(&before, A_DAY);
    // Another one waits for the same.
    h.client(2).subscribe(1, "test.model");
    h.grant("test.model");
    h.close(1);
    assert_eq!(h.stats().pending, 1);
    h.close(2);
    assert_eq!(h.stats().pending, 0);
    h.respond(&before, r#"{"result":{"model":{"a":1}}}"#);
    assert_eq!(h.stats().resources, 0);

    // The time is set when they have gone.
    h.client(3).subscribe(1, "test.model");
    h.grant("test.model");
    let after = h.expect_request("get.test.model");
    h.close(3);
    assert_eq!(h.stats().pending, 1);
    h.respond(&after, A_DAY);
    assert_eq!(h.stats().pending, 0);

    // Who comes then is not told of it.
    h.subscribed(4, "test.model", r#"{"model":{"a":2}}"#);
    h.expect_no_request();
}

#[test]
fn a_get_of_a_reset_is_forgotten_with_the_last_subscriber() {
    let mut h = Heart::new();
    for rid in ["test.model", "test.model?a=1"] {
        h.subscribed(1, rid, r#"{"model":{"a":1}}"#);
        h.event("system.reset", r#"{"resources":["test.>"]}"#);
        let request = h.expect_request("get.test.model");
        h.respond(&request, A_DAY);
        assert_eq!(h.stats().pending, 1);
        h.client(1).receives_nothing();
        h.unsubscribed(1, rid);
        let stats = h.stats();
        assert_eq!((stats.pending, stats.resources), (0, 0), "{rid}");
        h.respond(&request, r#"{"result":{"model":{"a":2}}}"#);
    }
    // It is not answered from what was in doubt.
    h.subscribed(2, "test.model", r#"{"model":{"a":3}}"#);
}

#[test]
fn query_requests_are_the_backgrounds_and_its_events_wait_for_all_of_them() {
    const COUNT: usize = 1_500;
    let mut h = Heart::new();
    for n in 0..COUNT {
        h.client(1).subscribe(n as u64, &format!("test.q?n={n:04}"));
        h.grant("test.q");
        h.serve(
            "test.q",
            &format!(r#"{{"model":{{"a":1}},"query":"n={n:04}"}}"#),
        );
        h.client(1).message();
    }
    h.event("event.test.q.query", r#"{"subject":"ask.me"}"#);
    let (mut asked, mut most) = (0, 0);
    while !h.subjects().is_empty() {
        most = most.max(h.subjects().len());
        let request = h.expect_request("ask.me");
        h.respond(&request, r#"{"result":{"events":[]}}"#);
        asked += 1;
    }
    assert_eq!((asked, most), (COUNT, 1_024));
    h.client(1).receives_nothing();
}
