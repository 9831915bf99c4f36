//! Loading, references and caching: who is sent what, and how long it stays.

use crate::harness::{Heart, LINGER, REQUEST_TIMEOUT, changed, error, nothing_new};

const MODEL: &str = r#"{"model":{"a":1}}"#;
const PARENT: (&str, &str) = ("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#);
const CHILD: (&str, &str) = ("test.child", r#"{"model":{"n":1}}"#);

#[test]
fn one_get_request_serves_all_who_wait() {
    let mut h = Heart::new();
    for number in 1..4 {
        h.client(number).subscribe(1, "test.model");
        h.grant("test.model");
    }
    h.web(9, "GET", "test/model", "");
    h.grant("test.model");
    assert_eq!(h.subjects(), ["get.test.model"]);
    h.serve("test.model", MODEL);
    for number in 1..4 {
        h.client(number)
            .receives(r#"{"result":{"models":{"test.model":{"a":1}}},"id":1}"#);
    }
    assert_eq!(h.web_answer(9), (200, r#"{"a":1}"#.into()));
}

#[test]
fn a_get_error_is_not_cached() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.grant("test.model");
    h.fail("test.model", "test.broken");
    h.client(1).receives(&error(1, "test.broken", "M"));
    for number in [1, 2] {
        h.client(number).subscribe(2, "test.model");
        h.grant("test.model");
        h.fail("test.model", "test.again");
        h.client(number).receives(&error(2, "test.again", "M"));
    }
}

#[test]
fn an_unused_resource_stays_cached_for_a_while_and_up_to_date() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.unsubscribed(1, "test.model");
    h.advance(LINGER - 1);
    h.change("test.model", r#"{"a":2}"#);
    assert_eq!(
        h.subscribed_again(2, "test.model"),
        r#"{"result":{"models":{"test.model":{"a":2}}},"id":100}"#
    );
    // That restarts the whole period.
    h.close(2);
    h.advance(LINGER - 1);
    assert_eq!((h.stats().resources, h.stats().names), (1, 1));
    h.advance(1);
    assert_eq!((h.stats().resources, h.stats().names), (0, 0));
    h.event_in_the_void("event.test.model.change");
    h.subscribed(1, "test.model", MODEL);
}

#[test]
fn a_request_counts_as_use_of_its_name() {
    for kind in ["call", "auth"] {
        let mut h = Heart::new();
        h.subscribed(1, "test.model", MODEL);
        h.unsubscribed(1, "test.model");
        h.advance(LINGER - 1_000);
        h.client(1).request(1, &format!("{kind}.test.model.set"));
        if kind == "call" {
            h.grant("test.model");
        }
        h.advance(REQUEST_TIMEOUT - 1);
        let call = h.expect_request(&format!("{kind}.test.model.set"));
        h.respond(&call, r#"{"result":1}"#);
        h.client(1).message();
        h.advance(LINGER - 1);
        assert_eq!(h.event_subscriptions(), ["event.test.model.*"]);
        h.advance(1);
        assert_eq!(h.event_subscriptions(), [""; 0]);
    }
}

#[test]
fn a_query_resource_is_forgotten_with_its_last_user() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list?q=1", r#"{"collection":[1],"query":"q=1"}"#);
    h.subscribed_again(2, "test.list?q=1");
    h.unsubscribed(1, "test.list?q=1");
    assert_eq!(h.stats().resources, 1);
    h.unsubscribed(2, "test.list?q=1");
    assert_eq!(h.stats().resources, 0);
    assert_eq!(h.event_subscriptions(), ["event.test.list.*"]);
    h.subscribed(1, "test.list?q=1", r#"{"collection":[2],"query":"q=1"}"#);
}

#[test]
fn an_answer_that_nobody_waits_for_any_more_is_cached_all_the_same() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    let access = h.expect_request("access.test.model");
    h.close(1);
    h.serve("test.model", MODEL);
    assert_eq!(
        h.subscribed_again(2, "test.model"),
        r#"{"result":{"models":{"test.model":{"a":1}}},"id":100}"#
    );
    h.respond(&access, r#"{"result":{}}"#);
    h.client(2).receives_nothing();
}

#[test]
fn references_are_followed_before_access_is_known() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.parent");
    h.serve("test.parent", PARENT.1);
    assert_eq!(h.subjects(), ["access.test.parent", "get.test.child"]);
    h.deny("test.parent");
    h.client(1)
        .receives(&error(1, "system.accessDenied", "Access denied"));
    h.serve("test.child", CHILD.1);
    h.client(1).receives_nothing();
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn the_answer_waits_for_the_whole_tree_and_names_what_failed() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.root");
    h.grant("test.root");
    h.serve(
        "test.root",
        r#"{"collection":[{"rid":"test.a"},{"rid":"test.b","soft":true},{"rid":"test.c"},{"rid":"test.a"},null]}"#,
    );
    assert_eq!(h.subjects(), ["get.test.a", "get.test.c"]);
    h.serve("test.a", r#"{"model":{"d":{"rid":"test.d"}}}"#);
    h.fail("test.c", "test.broken");
    h.client(1).receives_nothing();
    h.serve("test.d", r#"{"collection":[{"rid":"test.root"}]}"#);
    h.client(1).receives(concat!(
        r#"{"result":{"models":{"test.a":{"d":{"rid":"test.d"}}},"#,
        r#""collections":{"test.d":[{"rid":"test.root"}],"#,
        r#""test.root":[{"rid":"test.a"},{"rid":"test.b","soft":true},{"rid":"test.c"},{"rid":"test.a"},null]},"#,
        r#""errors":{"test.c":{"code":"test.broken","message":"M"}}},"id":1}"#
    ));
}

#[test]
fn a_resource_may_reference_itself() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.self");
    h.grant("test.self");
    h.serve("test.self", r#"{"model":{"me":{"rid":"test.self"},"n":1}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.self":{"me":{"rid":"test.self"},"n":1}}},"id":1}"#);
    h.change("test.self", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.self", r#"{"n":2}"#));
    h.change("test.self", r#"{"me":null,"other":{"rid":"test.self"}}"#);
    h.client(1).receives(&changed(
        "test.self",
        r#"{"me":null,"other":{"rid":"test.self"}}"#,
    ));
    h.unsubscribed(1, "test.self");
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn cycles_without_direct_holder_are_dropped() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.a", r#"{"model":{"b":{"rid":"test.b"}}}"#),
            ("test.b", r#"{"model":{"c":{"rid":"test.c"}}}"#),
            (
                "test.c",
                r#"{"model":{"a":{"rid":"test.a"},"b":{"rid":"test.b"}}}"#,
            ),
        ],
    );
    h.client(1).subscribe(1, "test.b");
    h.grant("test.b");
    h.client(1).receives(&nothing_new(1));
    h.unsubscribed(1, "test.a");
    assert_eq!(h.stats().subscriptions, 3);
    h.change("test.a", r#"{"n":1}"#);
    h.client(1).receives(&changed("test.a", r#"{"n":1}"#));
    h.unsubscribed(1, "test.b");
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn what_a_client_holds_is_not_sent_again() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.client(1).subscribe(1, "test.child");
    h.grant("test.child");
    h.client(1).receives(&nothing_new(1));
    h.client(1).get(2, "test.parent").receives(&nothing_new(2));
    h.unsubscribed(1, "test.parent");
    // The child is still held, by itself.
    assert_eq!(
        h.subscribed_again(1, "test.parent"),
        r#"{"result":{"models":{"test.parent":{"c":{"rid":"test.child"}}}},"id":100}"#
    );
}

#[test]
fn what_a_get_brought_is_not_held() {
    let mut h = Heart::new();
    h.client(1).get(1, "test.parent");
    h.grant("test.parent");
    h.serve("test.parent", PARENT.1);
    h.serve("test.child", CHILD.1);
    let tree =
        r#"{"result":{"models":{"test.child":{"n":1},"test.parent":{"c":{"rid":"test.child"}}}},"#;
    h.client(1).receives(&format!(r#"{tree}"id":1}}"#));
    assert_eq!(h.stats().subscriptions, 0);
    h.change("test.parent", r#"{"n":1}"#);
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    h.client(1).get(2, "test.child");
    h.grant("test.child");
    h.client(1)
        .receives(r#"{"result":{"models":{"test.child":{"n":2}}},"id":2}"#);
}

#[test]
fn of_two_requests_into_a_loading_tree_the_first_to_complete_carries_it() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.parent");
    h.client(1).subscribe(2, "test.child");
    h.serve("test.parent", PARENT.1);
    h.serve("test.child", CHILD.1);
    h.grant("test.child");
    h.client(1)
        .receives(r#"{"result":{"models":{"test.child":{"n":1}}},"id":2}"#);
    h.grant("test.parent");
    h.client(1)
        .receives(r#"{"result":{"models":{"test.parent":{"c":{"rid":"test.child"}}}},"id":1}"#);
}

#[test]
fn two_subscribes_of_one_loading_resource_are_two_subscriptions() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.client(1).subscribe(2, "test.model");
    h.serve("test.model", MODEL);
    h.grant("test.model");
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{"a":1}}},"id":1}"#)
        .receives(&nothing_new(2));
    h.unsubscribed(1, "test.model");
    h.change("test.model", r#"{"a":2}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
    h.unsubscribed(1, "test.model");
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn one_of_two_open_subscribes_may_be_ended() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.client(1).subscribe(2, "test.model");
    h.client(1)
        .send(r#"{"id":3,"method":"unsubscribe.test.model","params":{"count":3}}"#)
        .receives(&error(3, "system.noSubscription", "No subscription"));
    h.unsubscribed(1, "test.model");
    h.serve("test.model", MODEL);
    h.grant("test.model");
    // Only the one that is still wanted carries data.
    let mut answers = h.client(1).messages();
    answers.sort();
    assert_eq!(
        answers,
        [
            r#"{"result":{"models":{"test.model":{"a":1}}},"id":2}"#,
            &nothing_new(1),
        ]
    );
    h.unsubscribed(1, "test.model");
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn a_failed_child_stays_failed_while_something_holds_it() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.parent");
    h.grant("test.parent");
    h.serve("test.parent", PARENT.1);
    h.fail("test.child", "test.broken");
    h.client(1).receives(
        r#"{"result":{"models":{"test.parent":{"c":{"rid":"test.child"}}},"errors":{"test.child":{"code":"test.broken","message":"M"}}},"id":1}"#,
    );
    h.client(1).subscribe(2, "test.child");
    h.grant("test.child");
    h.client(1).receives(&error(2, "test.broken", "M"));
    h.expect_no_request();
    // For another client it is asked again.
    h.client(2).subscribe(1, "test.parent");
    h.grant("test.parent");
    h.serve("test.child", CHILD.1);
    h.client(2).receives(
        r#"{"result":{"models":{"test.child":{"n":1},"test.parent":{"c":{"rid":"test.child"}}}},"id":1}"#,
    );
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    h.client(2).receives(&changed("test.child", r#"{"n":2}"#));
    // And for the first when it does not hold it any more.
    h.unsubscribed(1, "test.parent");
    assert!(h.subscribed_again(1, "test.parent").contains(r#"{"n":2}"#));
}

#[test]
fn invalid_get_answers_are_errors_that_say_why() {
    let doubled = |text: &str| format!("Internal error: Internal error: invalid value: {text}");
    for (answer, message) in [
        (
            r#"{"result":{}}"#.to_owned(),
            "Internal error: invalid service response".to_owned(),
        ),
        (
            r#"{"result":{"model":{},"collection":[]}}"#.into(),
            "Internal error: invalid service response".into(),
        ),
        (
            r#"{"result":{"model":null,"collection":null}}"#.into(),
            "Internal error: invalid service response".into(),
        ),
        (
            r#"{"result":{"model":{"a":{"action":"delete"}}}}"#.into(),
            "Internal error: invalid service response".into(),
        ),
        (
            r#"{"result":{"collection":[{"action":"delete"}]}}"#.into(),
            "Internal error: invalid service response".into(),
        ),
        (
            r#"{"result":null}"#.into(),
            "Internal error: response missing result".into(),
        ),
        (
            r#"{"error":null}"#.into(),
            "Internal error: response missing result".into(),
        ),
        (
            r#"{"result":{"model":{"a":{}}}}"#.into(),
            doubled("nested json object must be wrapped as a data value"),
        ),
        (
            r#"{"result":{"collection":[[]]}}"#.into(),
            doubled("nested json array must be wrapped as a data value"),
        ),
        (
            r#"{"result":{"collection":[{"rid":""}]}}"#.into(),
            doubled("resource references requires a non-empty \\\"rid\\\" value"),
        ),
        (
            r#"{"result":{"collection":[{"rid":"a..b"}]}}"#.into(),
            doubled("resource reference rid \\\"a..b\\\" is invalid"),
        ),
        (
            r#"{"result":{"collection":[{"rid":"a","data":1}]}}"#.into(),
            doubled("ambiguous value type"),
        ),
        (
            r#"{"result":{"collection":[{"action":"x"}]}}"#.into(),
            doubled("unknown action \\\"x\\\""),
        ),
    ] {
        let mut h = Heart::new();
        h.client(1).subscribe(1, "test.model");
        h.grant("test.model");
        let get = h.expect_request("get.test.model");
        h.respond(&get, &answer);
        h.client(1)
            .receives(&error(1, "system.internalError", &message));
    }
}

#[test]
fn get_answers_that_cannot_be_read_are_internal_errors() {
    for answer in [
        "nonsense",
        "{",
        "[]",
        "1",
        r#"{"result":[]}"#,
        r#"{"result":{"model":[]}}"#,
        r#"{"result":{"collection":{}}}"#,
        r#"{"result":{"model":{},"query":1}}"#,
        r#"{"error":"x"}"#,
        "{\"result\":{\"model\":{\"a\":\"\u{0}\"}}}",
    ] {
        let mut h = Heart::new();
        h.client(1).subscribe(1, "test.model");
        h.grant("test.model");
        let get = h.expect_request("get.test.model");
        h.respond(&get, &format!(" {answer}"));
        let answer = h.client(1).message();
        assert!(
            answer.starts_with(
                r#"{"error":{"code":"system.internalError","message":"Internal error: "#
            )
        );
    }
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.grant("test.model");
    let get = h.expect_request("get.test.model");
    h.respond_with(&get, b"{\"result\":{\"model\":{\"a\":\"\xff\"}}}", None);
    assert!(h.client(1).message().contains("system.internalError"));
}

#[test]
fn deep_nesting_is_refused_and_nothing_overflows() {
    let mut h = Heart::new();
    for depth in [100, 200, 100_000] {
        let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        h.client(1).subscribe(1, "test.model");
        h.grant("test.model");
        h.serve(
            "test.model",
            &format!(r#"{{"model":{{"a":{{"data":{value}}}}}}}"#),
        );
        let answer = h.client(1).message();
        assert_eq!(answer.contains("system.internalError"), depth > 100);
        if depth == 100 {
            h.unsubscribed(1, "test.model");
            h.advance(LINGER);
        }
    }
}

#[test]
fn a_long_chain_of_references_is_followed_and_dropped() {
    const LENGTH: usize = 5_000;
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.n0");
    h.grant("test.n0");
    for n in 0..LENGTH {
        // The last one closes the ring.
        let next = (n + 1) % LENGTH;
        h.serve(
            &format!("test.n{n}"),
            &format!(r#"{{"model":{{"next":{{"rid":"test.n{next}"}}}}}}"#),
        );
    }
    h.client(1).message();
    h.web(2, "GET", "test/n0", "");
    h.grant("test.n0");
    assert_eq!(h.web_answer(2).0, 200);
    assert_eq!(h.stats().subscriptions, LENGTH);
    h.unsubscribed(1, "test.n0");
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn a_reset_while_a_resource_loads_asks_once_more_after_it() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.grant("test.model");
    let get = h.expect_request("get.test.model");
    h.event("system.reset", r#"{"resources":["test.model"]}"#);
    h.expect_no_request();
    h.respond(&get, r#"{"result":{"model":{"a":1}}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{"a":1}}},"id":1}"#);
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
}

#[test]
fn a_reset_while_a_resource_loads_counts_although_its_users_are_gone() {
    let mut h = Heart::new();
    h.client(1).get(1, "test.model");
    h.grant("test.model");
    let get = h.expect_request("get.test.model");
    h.event("system.reset", r#"{"resources":["test.model"]}"#);
    h.close(1);
    h.respond(&get, r#"{"result":{"model":{"a":1}}}"#);
    assert!(h.subscribed_again(2, "test.model").contains(r#"{"a":1}"#));
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.client(2).receives(&changed("test.model", r#"{"a":2}"#));
}

#[test]
fn long_query_strings_are_not_kept_when_idle() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    let before = h.stats().aliases;
    for (length, kept) in [(500_000, 0), (1_100, 0), (1_000, 1)] {
        h.client(2)
            .get(1, &format!("test.model?{}", "q".repeat(length)));
        h.grant("test.model");
        h.serve("test.model", MODEL);
        h.client(2).message();
        assert_eq!(h.stats().aliases, before + kept, "{length}");
    }
}

#[test]
fn idle_query_strings_are_not_kept_without_bound() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    for n in 0..500 {
        // Answered without a query, each is an alias of the plain resource.
        h.client(2).get(1, &format!("test.model?n={n}"));
        h.grant("test.model");
        if n % 2 == 0 {
            h.close(2);
        }
        h.serve("test.model", MODEL);
        if n % 2 == 1 {
            h.client(2).message();
        }
    }
    assert!(h.stats().aliases < 100, "{:?}", h.stats());
    h.change("test.model", r#"{"a":2}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
}

#[test]
fn a_large_cyclic_graph_is_changed_in_time() {
    // Each child points back to the list, which something else holds: whoever loses a
    // child must not look at all others to see that the list stays.
    const COUNT: usize = 4_000;
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.root");
    h.grant("test.root");
    h.serve("test.root", r#"{"model":{"list":{"rid":"test.list"}}}"#);
    let rid = |n: usize| format!(r#"{{"rid":"test.item.{n}"}}"#);
    let list = |from: usize| {
        let rids: Vec<String> = (from..COUNT).map(rid).collect();
        format!(r#"{{"collection":[{}]}}"#, rids.join(","))
    };
    h.serve("test.list", &list(0));
    for n in 0..COUNT {
        h.serve(
            &format!("test.item.{n}"),
            r#"{"model":{"up":{"rid":"test.list"}}}"#,
        );
    }
    assert_eq!(h.client(1).messages().len(), 1);
    for _ in 0..COUNT / 2 {
        h.event("event.test.list.remove", r#"{"idx":0}"#);
    }
    assert_eq!(h.client(1).messages().len(), COUNT / 2);
    assert_eq!(h.stats().subscriptions, COUNT / 2 + 2);
    h.event("system.reset", r#"{"resources":["test.list"]}"#);
    h.serve("test.list", &list(COUNT - 1));
    assert_eq!(h.client(1).messages().len(), COUNT / 2 - 1);
    assert_eq!(h.stats().subscriptions, 3);
}

#[test]
fn a_child_that_many_hold_may_lose_one_after_the_other() {
    // Each item holds the user, who holds the list again: the user stays, whichever end
    // of the list is removed first.
    const COUNT: usize = 2_000;
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.root");
    h.grant("test.root");
    h.serve("test.root", r#"{"model":{"list":{"rid":"test.list"}}}"#);
    let rids: Vec<String> = (0..COUNT)
        .map(|n| format!(r#"{{"rid":"test.item.{n}"}}"#))
        .collect();
    let list = format!(r#"{{"collection":[{}]}}"#, rids.join(","));
    h.serve("test.list", &list);
    for n in 0..COUNT {
        h.serve(
            &format!("test.item.{n}"),
            r#"{"model":{"by":{"rid":"test.user"}}}"#,
        );
    }
    h.serve("test.user", r#"{"model":{"list":{"rid":"test.list"}}}"#);
    assert_eq!(h.client(1).messages().len(), 1);
    for left in (1..COUNT).rev() {
        let idx = if left % 1_000 > 500 { 0 } else { left };
        h.event("event.test.list.remove", &format!(r#"{{"idx":{idx}}}"#));
    }
    assert_eq!(h.client(1).messages().len(), COUNT - 1);
    assert_eq!(h.stats().subscriptions, 4);
    h.event("event.test.list.remove", "{}");
    assert_eq!(h.client(1).messages().len(), 1);
    assert_eq!(h.stats().subscriptions, 2);
}
