//! What is known to go wrong in other gateways of this protocol must not go wrong here.
//!
//! The numbered tests follow the list of known defects of Resgate 1.8.0 in
//! docs/COMPATIBILITY.md, the others its published issues.

use crate::harness::{
    Heart, LINGER, REQUEST_TIMEOUT, access_lost, changed, deleted, error, nothing_new,
};
use std::collections::BTreeSet;

#[test]
fn defect_01_a_subscribe_that_is_unsubscribed_while_it_loads_is_answered() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.client(1)
        .unsubscribe(2, "test.model")
        .receives(r#"{"id":2}"#);
    h.grant("test.model");
    h.serve("test.model", r#"{"model":{"a":1}}"#);
    // The subscription is gone all the same. Clients that keep what they are sent, as
    // ResClient does, would keep it for good: nothing is sent.
    h.client(1).receives(&nothing_new(1));
    h.event("event.test.model.change", r#"{"values":{"a":2}}"#);
    h.client(1).receives_nothing();
}

#[test]
fn defect_01_an_open_get_is_no_subscription() {
    let mut h = Heart::new();
    h.client(1).get(1, "test.model");
    h.client(1).unsubscribe(2, "test.model").receives(&error(
        2,
        "system.noSubscription",
        "No subscription",
    ));
    h.grant("test.model");
    h.serve("test.model", r#"{"model":{}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{}}},"id":1}"#);
}

#[test]
fn defect_02_after_a_failed_get_the_resource_is_asked_for_again() {
    let mut h = Heart::new();
    h.client(1).get(1, "test.model");
    h.grant("test.model");
    h.fail("test.model", "test.broken");
    h.client(1).receives(&error(1, "test.broken", "M"));
    h.client(1).subscribe(2, "test.model");
    h.grant("test.model");
    h.serve("test.model", r#"{"model":{}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{}}},"id":2}"#);
}

#[test]
fn defect_02_after_a_failed_resource_response_the_resource_is_asked_for_again() {
    let mut h = Heart::new();
    h.client(1).call(1, "test.make");
    h.grant("test");
    let call = h.expect_request("call.test.make");
    h.respond(&call, r#"{"resource":{"rid":"test.model"}}"#);
    h.grant("test.model");
    h.fail("test.model", "test.broken");
    h.client(1).receives(
        r#"{"result":{"rid":"test.model","errors":{"test.model":{"code":"test.broken","message":"M"}}},"id":1}"#,
    );
    h.client(1).subscribe(2, "test.model");
    h.serve("test.model", r#"{"model":{"a":1}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{"a":1}}},"id":2}"#);
    h.event("event.test.model.change", r#"{"values":{"a":2}}"#);
    h.client(1)
        .receives(r#"{"event":"test.model.change","data":{"values":{"a":2}}}"#);
}

#[test]
fn defect_03_reaccess_reaches_query_resources() {
    let mut h = Heart::new();
    h.subscribed(
        1,
        "test.list?page=1",
        r#"{"collection":[],"query":"page=1"}"#,
    );
    h.event("event.test.list.reaccess", "");
    h.deny("test.list");
    h.client(1).receives(&access_lost("test.list?page=1"));
}

#[test]
fn defect_04_the_first_token_forgets_answers_obtained_without_one() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.access("test.model", r#"{"result":{"get":true}}"#);
    h.serve("test.model", r#"{"model":{}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{}}},"id":1}"#);
    h.client(1).call(2, "test.model.set").receives(&error(
        2,
        "system.accessDenied",
        "Access denied",
    ));
    h.token(1, r#"{"token":{"user":1}}"#);
    h.expect_no_request();
    h.client(1).call(3, "test.model.set");
    h.grant("test.model");
    let call = h.expect_request("call.test.model.set");
    h.respond(&call, r#"{"result":null}"#);
    h.client(1)
        .receives(r#"{"result":{"payload":null},"id":3}"#);
}

#[test]
fn defect_05_a_change_with_a_member_beside_values_is_understood() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
    h.event(
        "event.test.model.change",
        r#"{"values":{"a":2},"by":"somebody"}"#,
    );
    h.client(1)
        .receives(r#"{"event":"test.model.change","data":{"values":{"a":2}}}"#);
}

#[test]
fn defect_06_what_was_deleted_but_is_still_held_is_loaded_again() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#),
            ("test.child", r#"{"model":{"n":1}}"#),
        ],
    );
    h.event("event.test.child.delete", "");
    h.client(1)
        .receives(r#"{"event":"test.child.delete","data":null}"#);
    h.client(1).subscribe(2, "test.child");
    h.grant("test.child");
    h.serve("test.child", r#"{"model":{"n":2}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.child":{"n":2}}},"id":2}"#);
    h.change("test.child", r#"{"n":3}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":3}"#));
}

#[test]
fn defect_16_events_are_kept_while_a_reset_is_in_doubt() {
    for (answer, failing) in [
        (
            r#"{"error":{"code":"test.broken","message":"M"}}"#,
            "an error",
        ),
        (r#"{"result":{"collection":[]}}"#, "another type"),
        (r#"{"result":{}}"#, "nonsense"),
        ("", "time-out"),
    ] {
        let mut h = Heart::new();
        h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
        h.event("system.reset", r#"{"resources":["test.>"]}"#);
        let get = h.expect_request("get.test.model");
        h.change("test.model", r#"{"a":2}"#);
        h.change("test.model", r#"{"a":3,"b":1}"#);
        h.client(1).receives_nothing();
        match failing {
            "time-out" => h.advance(REQUEST_TIMEOUT),
            _ => h.respond(&get, answer),
        }
        h.client(1)
            .receives(&changed("test.model", r#"{"a":2}"#))
            .receives(&changed("test.model", r#"{"a":3,"b":1}"#));
        // The doubt remains: after a pause the service is asked again.
        h.expect_no_request();
        h.advance(1_000);
        h.serve("test.model", r#"{"model":{"a":3,"b":2}}"#);
        h.client(1).receives(&changed("test.model", r#"{"b":2}"#));
    }
}

#[test]
fn defect_17_a_burst_or_a_large_reset_overflows_nothing() {
    const COUNT: usize = 12_000;
    let mut h = Heart::new();
    let rids: Vec<String> = (0..COUNT)
        .map(|n| format!(r#"{{"rid":"test.item.{n}"}}"#))
        .collect();
    h.client(1).subscribe(1, "test.list");
    h.grant("test.list");
    h.serve(
        "test.list",
        &format!(r#"{{"collection":[{}]}}"#, rids.join(",")),
    );
    for n in 0..COUNT {
        h.serve(&format!("test.item.{n}"), r#"{"model":{"n":0}}"#);
    }
    assert_eq!(h.client(1).messages().len(), 1);
    for n in 0..COUNT {
        h.change(&format!("test.item.{n}"), r#"{"n":1}"#);
        h.change(&format!("test.item.{n}"), r#"{"n":2}"#);
    }
    assert_eq!(h.client(1).messages().len(), 2 * COUNT);
    h.event("system.reset", r#"{"resources":["test.item.*"]}"#);
    let mut asked = BTreeSet::new();
    while let Some(subject) = h.subjects().first().map(|s| (*s).to_owned()) {
        assert!(h.subjects().len() <= 1_024, "services are spared");
        let get = h.expect_request(&subject);
        h.respond(&get, r#"{"result":{"model":{"n":3}}}"#);
        assert!(asked.insert(subject), "each is asked for once");
    }
    assert_eq!(asked.len(), COUNT);
    let events: BTreeSet<String> = h.client(1).messages().into_iter().collect();
    assert_eq!(events.len(), COUNT);
    assert!(events.contains(&changed("test.item.11999", r#"{"n":3}"#)));
}

#[test]
fn defect_19_a_child_brought_back_by_a_loading_parent_is_sent_in_its_present_state() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.a", r#"{"model":{"c":{"rid":"test.c"}}}"#),
            ("test.c", r#"{"model":{"n":1}}"#),
        ],
    );
    h.client(1).subscribe(2, "test.b");
    h.grant("test.b");
    h.serve(
        "test.b",
        r#"{"model":{"c":{"rid":"test.c"},"d":{"rid":"test.d"}}}"#,
    );
    h.change("test.c", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.c", r#"{"n":2}"#));
    // Now the client holds it no more, and hears nothing of it.
    h.unsubscribed(1, "test.a");
    h.change("test.c", r#"{"n":3}"#);
    h.client(1).receives_nothing();
    h.serve("test.d", r#"{"model":{}}"#);
    h.client(1)
        .receives(
            r#"{"result":{"models":{"test.b":{"c":{"rid":"test.c"},"d":{"rid":"test.d"}},"test.c":{"n":2},"test.d":{}}},"id":2}"#,
        )
        .receives(&changed("test.c", r#"{"n":3}"#))
        .receives_nothing();
}

#[test]
fn defect_20_a_grandchild_that_another_parent_holds_is_not_sent_again() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.a", r#"{"model":{"m":{"rid":"test.m"}}}"#),
            ("test.m", r#"{"model":{"g":{"rid":"test.g"}}}"#),
            ("test.g", r#"{"model":{"n":1}}"#),
        ],
    );
    let answer = h.client(1).subscribe(2, "test.b").messages();
    assert_eq!(answer, [""; 0]);
    h.grant("test.b");
    h.serve("test.b", r#"{"model":{"g":{"rid":"test.g"}}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.b":{"g":{"rid":"test.g"}}}},"id":2}"#);
    h.unsubscribed(1, "test.a");
    h.change("test.g", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.g", r#"{"n":2}"#));
    // What has been dropped is sent again, but not what is still held.
    assert_eq!(
        h.subscribed_again(1, "test.a"),
        r#"{"result":{"models":{"test.a":{"m":{"rid":"test.m"}},"test.m":{"g":{"rid":"test.g"}}}},"id":100}"#
    );
    h.change("test.g", r#"{"n":3}"#);
    h.client(1)
        .receives(&changed("test.g", r#"{"n":3}"#))
        .receives_nothing();
}

#[test]
fn defect_21_a_child_that_stands_twice_is_held_once() {
    let mut h = Heart::new();
    let list = r#"{"collection":[{"rid":"test.c"},{"rid":"test.c"}]}"#;
    h.subscribed_tree(
        1,
        &[("test.list", list), ("test.c", r#"{"model":{"n":1}}"#)],
    );
    h.event("event.test.list.remove", r#"{"idx":0}"#);
    h.client(1)
        .receives(r#"{"event":"test.list.remove","data":{"idx":0}}"#);
    h.change("test.c", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.c", r#"{"n":2}"#));
    h.event("event.test.list.remove", r#"{"idx":0}"#);
    h.client(1)
        .receives(r#"{"event":"test.list.remove","data":{"idx":0}}"#);
    h.change("test.c", r#"{"n":3}"#);
    h.client(1).receives_nothing();
    // The client dropped it, so it is sent again.
    h.event(
        "event.test.list.add",
        r#"{"idx":0,"value":{"rid":"test.c"}}"#,
    );
    h.client(1).receives(
        r#"{"event":"test.list.add","data":{"idx":0,"value":{"rid":"test.c"},"models":{"test.c":{"n":3}}}}"#,
    );
}

#[test]
fn defect_21_a_child_that_stands_twice_goes_with_its_parent() {
    let mut h = Heart::new();
    let list = r#"{"collection":[{"rid":"test.c"},{"rid":"test.c"}]}"#;
    h.subscribed_tree(
        1,
        &[("test.list", list), ("test.c", r#"{"model":{"n":1}}"#)],
    );
    h.unsubscribed(1, "test.list");
    assert_eq!(h.stats().subscriptions, 0);
    assert_eq!(
        h.subscribed_again(1, "test.c"),
        r#"{"result":{"models":{"test.c":{"n":1}}},"id":100}"#
    );
}

#[test]
fn defect_22_a_reference_cycle_that_is_cut_off_is_dropped() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.root", r#"{"model":{"a":{"rid":"test.a"}}}"#),
            ("test.a", r#"{"model":{"b":{"rid":"test.b"}}}"#),
            ("test.b", r#"{"model":{"a":{"rid":"test.a"}}}"#),
        ],
    );
    h.change("test.root", r#"{"a":null}"#);
    h.client(1).receives(&changed("test.root", r#"{"a":null}"#));
    h.change("test.a", r#"{"n":1}"#);
    h.change("test.b", r#"{"n":1}"#);
    h.client(1).receives_nothing();
    assert_eq!(h.stats().subscriptions, 1);
    assert_eq!(
        h.subscribed_again(1, "test.b"),
        r#"{"result":{"models":{"test.a":{"b":{"rid":"test.b"},"n":1},"test.b":{"a":{"rid":"test.a"},"n":1}}},"id":100}"#
    );
}

#[test]
fn defect_23_a_reset_during_the_get_of_an_earlier_one_is_not_lost() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
    h.event("system.reset", r#"{"resources":["test.model"]}"#);
    let get = h.expect_request("get.test.model");
    h.event("system.reset", r#"{"resources":["test.model"]}"#);
    h.expect_no_request();
    h.respond(&get, r#"{"error":{"code":"test.broken","message":"M"}}"#);
    h.advance(1_000);
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
}

#[test]
fn defect_23_a_reset_that_overtakes_the_answer_to_an_earlier_one_is_not_lost() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
    h.event("system.reset", r#"{"resources":["test.model"]}"#);
    let get = h.expect_request("get.test.model");
    for _ in 0..3 {
        h.event("system.reset", r#"{"resources":["test.model"]}"#);
    }
    h.expect_no_request();
    // The service looked before the further resets: it is asked once more.
    h.respond(&get, r#"{"result":{"model":{"a":2}}}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
    h.serve("test.model", r#"{"model":{"a":3}}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":3}"#));
    h.expect_no_request();
}

#[test]
fn defect_24_a_delete_that_overtakes_an_unsubscribe_counts_once() {
    for leave in ["unsubscribe", "close"] {
        let mut h = Heart::new();
        h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
        h.event("event.test.model.delete", "");
        h.client(1)
            .receives(r#"{"event":"test.model.delete","data":null}"#)
            .receives(&deleted("test.model"));
        if leave == "close" {
            h.close(1);
        } else {
            h.client(1).unsubscribe(2, "test.model").receives(&error(
                2,
                "system.noSubscription",
                "No subscription",
            ));
        }
        h.subscribed(2, "test.model", r#"{"model":{"a":2}}"#);
        h.advance(10 * LINGER);
        h.change("test.model", r#"{"a":3}"#);
        h.client(2).receives(&changed("test.model", r#"{"a":3}"#));
    }
}

#[test]
fn defect_25_the_old_child_stays_until_the_change_that_waits_is_sent() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.parent", r#"{"model":{"c":{"rid":"test.old"}}}"#),
            ("test.old", r#"{"model":{"n":1}}"#),
        ],
    );
    h.change("test.parent", r#"{"c":{"rid":"test.new"}}"#);
    h.change("test.old", r#"{"n":2}"#);
    h.client(1)
        .receives(&changed("test.old", r#"{"n":2}"#))
        .receives_nothing();
    h.serve("test.new", r#"{"model":{}}"#);
    h.client(1).receives(
        r#"{"event":"test.parent.change","data":{"values":{"c":{"rid":"test.new"}},"models":{"test.new":{}}}}"#,
    );
    h.change("test.old", r#"{"n":3}"#);
    h.client(1).receives_nothing();
}

#[test]
fn defect_26_a_call_is_answered_although_its_resource_is_dropped() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#),
            ("test.child", r#"{"model":{}}"#),
        ],
    );
    h.client(1).call(2, "test.child.set");
    h.unsubscribed(1, "test.parent");
    h.grant("test.child");
    let call = h.expect_request("call.test.child.set");
    h.respond(&call, r#"{"result":7}"#);
    h.client(1).receives(r#"{"result":{"payload":7},"id":2}"#);
}

#[test]
fn defect_27_a_delete_during_a_subscribe_comes_after_its_answer() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.serve("test.model", r#"{"model":{"a":1}}"#);
    h.event("event.test.model.delete", "");
    h.client(1).receives_nothing();
    h.grant("test.model");
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{"a":1}}},"id":1}"#)
        .receives(r#"{"event":"test.model.delete","data":null}"#)
        .receives(&deleted("test.model"))
        .receives_nothing();
}

#[test]
fn defect_28_escaped_text_is_equal_to_itself_after_a_reset() {
    let mut h = Heart::new();
    let model = "{\"model\":{\"a\":\"<b>&\u{2028}\u{2029}\"}}";
    h.subscribed(1, "test.model", model);
    for _ in 0..2 {
        h.event("system.reset", r#"{"resources":["test.model"]}"#);
        h.serve("test.model", model);
        h.client(1).receives_nothing();
    }
    h.change("test.model", r#"{"a":"<i>"}"#);
    h.client(1)
        .receives(&changed("test.model", r#"{"a":"\u003ci\u003e"}"#));
}

#[test]
fn defect_29_events_that_wait_during_a_get_are_not_sent() {
    let mut h = Heart::new();
    h.client(1).get(1, "test.model");
    h.serve("test.model", r#"{"model":{"a":1}}"#);
    h.change("test.model", r#"{"a":2}"#);
    h.grant("test.model");
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{"a":1}}},"id":1}"#)
        .receives_nothing();
}

#[test]
fn issue_86_an_answer_after_the_time_out_is_an_ordinary_input() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    let access = h.expect_request("access.test.model");
    let get = h.expect_request("get.test.model");
    h.advance(REQUEST_TIMEOUT);
    h.client(1)
        .receives(&error(1, "system.timeout", "Request timeout"));
    h.respond(&get, r#"{"result":{"model":{}}}"#);
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.client(1).receives_nothing();
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
}

#[test]
fn issue_98_a_resource_held_by_reference_is_not_subscribed_without_access() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#),
            ("test.child", r#"{"model":{"n":1}}"#),
        ],
    );
    h.client(1).subscribe(2, "test.child");
    h.deny("test.child");
    h.client(1)
        .receives(&error(2, "system.accessDenied", "Access denied"));
    h.unsubscribed(1, "test.parent");
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn issue_158_only_text_that_begins_with_a_letter_is_a_pre_response() {
    // Whatever is no time-out is swallowed; white space or a literal make an answer.
    for (payload, is_answer) in [
        ("timeout", false),
        ("nonsense", false),
        ("timeout:15000", false),
        ("timeout:\"x\"", false),
        ("hello:\"1\" timeout:\"", false),
        (" timeout:\"15000\"", true),
        ("{\"timeout\":15000}", true),
        ("\"timeout\"", true),
        ("null", true),
        ("true", true),
        ("15000", true),
        ("", true),
    ] {
        let mut h = Heart::new();
        h.client(1).get(1, "test.model");
        h.grant("test.model");
        let get = h.expect_request("get.test.model");
        h.respond(&get, payload);
        let answers = h.client(1).messages();
        assert_eq!(answers.len(), usize::from(is_answer), "{payload:?}");
        if is_answer {
            assert!(answers[0].contains("system.internalError"), "{payload:?}");
        } else {
            h.respond(&get, r#"{"result":{"model":{}}}"#);
            assert_eq!(h.client(1).messages().len(), 1);
        }
    }
}

#[test]
fn issue_185_no_client_can_make_a_control_line_too_long() {
    let mut h = Heart::new();
    for length in [4_061, 4_062, 4_063, 4_064, 4_088, 5_000, 100_000] {
        let rid = "x".repeat(length);
        h.client(1)
            .subscribe(1, &rid)
            .receives(&error(1, "system.subjectTooLong", "Subject too long"))
            .receives_nothing();
        for subject in h.subjects() {
            assert!(subject.len() <= 4_067);
        }
        for subject in h.event_subscriptions() {
            // A number of up to twenty digits follows it on its line.
            assert!(subject.len() + 1 + 20 <= 4_096, "{length}");
        }
        for method in ["call", "auth"] {
            let request = format!("{method}.{rid}.{}", "m".repeat(10));
            h.client(1).request(2, &request).receives(&error(
                2,
                "system.subjectTooLong",
                "Subject too long",
            ));
        }
        h.expect_no_request();
    }
}

#[test]
fn issue_194_events_follow_the_state_that_they_change() {
    let mut h = Heart::new();
    h.subscribed(1, "test.child", r#"{"model":{"n":1}}"#);
    h.client(2).subscribe(1, "test.parent");
    h.grant("test.parent");
    h.serve(
        "test.parent",
        r#"{"model":{"c":{"rid":"test.child"},"d":{"rid":"test.slow"}}}"#,
    );
    // The second client took over the child before this event, and is sent both.
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":2}"#));
    h.client(2).receives_nothing();
    h.change("test.parent", r#"{"x":1}"#);
    h.serve("test.slow", r#"{"model":{}}"#);
    let mut messages = h.client(2).messages();
    assert_eq!(
        messages.remove(0),
        r#"{"result":{"models":{"test.child":{"n":1},"test.parent":{"c":{"rid":"test.child"},"d":{"rid":"test.slow"}},"test.slow":{}}},"id":1}"#
    );
    messages.sort();
    assert_eq!(
        messages,
        [
            changed("test.child", r#"{"n":2}"#),
            changed("test.parent", r#"{"x":1}"#)
        ]
    );
}

#[test]
fn issue_213_217_access_of_many_clients_is_asked_again_a_few_at_a_time() {
    const COUNT: u32 = 1_500;
    let mut h = Heart::new();
    h.subscribed(0, "test.model", r#"{"model":{}}"#);
    for number in 1..COUNT {
        h.subscribed_again(number, "test.model");
    }
    h.event("event.test.model.reaccess", "");
    h.event("system.reset", r#"{"access":["test.model"]}"#);
    let mut asked = 0;
    while !h.subjects().is_empty() {
        assert!(h.subjects().len() <= 1_024);
        h.grant("test.model");
        asked += 1;
    }
    // Once each, and once more those that were being asked when it was put in question again.
    assert_eq!(asked, COUNT + 1_024);
    h.change("test.model", r#"{"a":1}"#);
    for number in 0..COUNT {
        h.client(number)
            .receives(&changed("test.model", r#"{"a":1}"#));
    }
}

#[test]
fn issue_241_a_child_unsubscribed_while_its_parent_loads_is_in_the_answer() {
    let mut h = Heart::new();
    h.subscribed(1, "test.child", r#"{"model":{"n":1}}"#);
    h.client(1).subscribe(2, "test.parent");
    h.grant("test.parent");
    h.serve(
        "test.parent",
        r#"{"model":{"c":{"rid":"test.child"},"d":{"rid":"test.slow"}}}"#,
    );
    h.unsubscribed(1, "test.child");
    h.serve("test.slow", r#"{"model":{}}"#);
    h.client(1).receives(
        r#"{"result":{"models":{"test.child":{"n":1},"test.parent":{"c":{"rid":"test.child"},"d":{"rid":"test.slow"}},"test.slow":{}}},"id":2}"#,
    );
    // It is held by its parent, so there is nothing new in it.
    h.client(1)
        .subscribe(3, "test.child")
        .receives(&nothing_new(3));
}
