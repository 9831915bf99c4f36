//! System resets: cached content is fetched again, and what differs is sent as events.

use crate::harness::{Heart, LINGER, REQUEST_TIMEOUT, changed, deleted, nothing_new};

const MODEL: &str = r#"{"model":{"a":1,"b":2}}"#;
const RESET: &str = r#"{"resources":["test.>"]}"#;

/// Resets a resource that a client holds, and returns what the client gets.
fn after_reset(before: &str, after: &str) -> Vec<String> {
    let mut h = Heart::new();
    h.subscribed(1, "test.r", before);
    h.event("system.reset", RESET);
    h.serve("test.r", after);
    let messages = h.client(1).messages();
    let answer = h.subscribed_again(2, "test.r");
    let (_, data) = after.split_once(':').expect("a result");
    assert!(answer.contains(data.trim_end_matches('}')), "{answer}");
    messages
}

#[test]
fn a_model_is_mended_with_one_change() {
    for (after, values) in [
        (r#"{"model":{"a":1,"b":2}}"#, None),
        (r#"{"model":{"a":1,"b":3}}"#, Some(r#"{"b":3}"#)),
        (r#"{"model":{"a":1}}"#, Some(r#"{"b":{"action":"delete"}}"#)),
        (
            r#"{"model":{"B":5,"a":1.0,"b":2}}"#,
            Some(r#"{"B":5,"a":1.0}"#),
        ),
        (
            r#"{"model":{}}"#,
            Some(r#"{"a":{"action":"delete"},"b":{"action":"delete"}}"#),
        ),
    ] {
        let expected = values.map(|values| changed("test.r", values));
        assert_eq!(
            after_reset(MODEL, after),
            Vec::from_iter(expected),
            "{after}"
        );
    }
}

#[test]
fn a_resource_is_fetched_once_whichever_patterns_match_it() {
    let mut h = Heart::new();
    for rid in ["test.a", "test.b", "other.c", "other.d"] {
        h.subscribed(1, rid, MODEL);
    }
    h.event(
        "system.reset",
        r#"{"resources":["other.c","test.*","test.a","no.such","test.>","other.c"]}"#,
    );
    for name in ["test.a", "test.b", "other.c"] {
        h.serve(name, MODEL);
    }
    h.expect_no_request();
}

#[test]
fn what_comes_behind_a_reset_that_waits_for_references_meets_its_outcome() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.list", r#"{"collection":[{"rid":"test.a"},1,2]}"#),
            ("test.a", MODEL),
        ],
    );
    h.event("system.reset", r#"{"resources":["test.list"]}"#);
    h.serve("test.list", r#"{"collection":[2,{"rid":"test.b"},1]}"#);
    h.event(
        "event.test.list.add",
        r#"{"idx":3,"value":{"rid":"test.c"}}"#,
    );
    h.serve("test.b", MODEL);
    assert_eq!(h.client(1).messages().len(), 4);
    // The list stands at the reset's outcome: it holds one child and waits for another.
    let get = h.expect_request("get.test.c");
    assert_eq!(h.stats().subscriptions, 3);
    h.change("test.a", r#"{"a":9}"#);
    h.client(1).receives_nothing();
    h.change("test.b", r#"{"a":9}"#);
    h.client(1).receives(&changed("test.b", r#"{"a":9}"#));
    h.unsubscribed(1, "test.list");
    assert_eq!(h.stats().subscriptions, 0);
    h.respond(&get, &format!(r#"{{"result":{MODEL}}}"#));
}

#[test]
fn a_collection_is_mended_with_removes_and_then_adds() {
    for (before, after, steps) in [
        (r#"["a","b"]"#, r#"["a","b"]"#, &[][..]),
        (r#"["a","b"]"#, r#"["b","a"]"#, &["-0", r#"+1"a""#]),
        (
            r#"["a","b","c","d"]"#,
            r#"["d","c","b","a"]"#,
            &["-2", "-1", "-0", r#"+1"c""#, r#"+2"b""#, r#"+3"a""#],
        ),
        (
            r#"["a","b","c","d"]"#,
            r#"["a","x","y","d"]"#,
            &["-2", "-1", r#"+1"x""#, r#"+2"y""#],
        ),
        ("[1,2,3]", "[]", &["-2", "-1", "-0"]),
        ("[]", "[1,2]", &["+01", "+12"]),
    ] {
        let expected: Vec<String> = steps
            .iter()
            .map(|step| match step.split_at(2) {
                (remove, "") => format!(
                    r#"{{"event":"test.r.remove","data":{{"idx":{}}}}}"#,
                    &remove[1..]
                ),
                (add, value) => format!(
                    r#"{{"event":"test.r.add","data":{{"idx":{},"value":{value}}}}}"#,
                    &add[1..]
                ),
            })
            .collect();
        let wrap = |values: &str| format!(r#"{{"collection":{values}}}"#);
        assert_eq!(
            after_reset(&wrap(before), &wrap(after)),
            expected,
            "{after}"
        );
    }
}

#[test]
fn a_reset_asks_for_every_cached_resource_that_matches() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.subscribed(1, "test.lingers", MODEL);
    h.unsubscribed(1, "test.lingers");
    h.subscribed(
        1,
        "test.list?q=2;p=1",
        r#"{"collection":[],"query":"p=1;q=2"}"#,
    );
    h.subscribed(1, "test.sub.model", MODEL);
    h.subscribed(1, "other.model", MODEL);
    for (patterns, expected) in [
        (
            r#"["test.>"]"#,
            &[
                "get.test.lingers",
                "get.test.list",
                "get.test.model",
                "get.test.sub.model",
            ][..],
        ),
        (
            r#"["test.*"]"#,
            &["get.test.lingers", "get.test.list", "get.test.model"],
        ),
        (r#"["*.model"]"#, &["get.other.model", "get.test.model"]),
        (r#"["test.model","test.model"]"#, &["get.test.model"]),
        (
            r#"["test.model","*.model"]"#,
            &["get.other.model", "get.test.model"],
        ),
        (r#"["test"]"#, &[]),
        (
            r#"["Test.model","test.model.a","te*","test.mod*","","test..model"]"#,
            &[],
        ),
        (r#"["test.list?q=2;p=1"]"#, &[]),
        ("[]", &[]),
    ] {
        h.event("system.reset", &format!(r#"{{"resources":{patterns}}}"#));
        let mut subjects: Vec<String> = h.subjects().into_iter().map(str::to_owned).collect();
        subjects.sort();
        assert_eq!(subjects, expected, "{patterns}");
        for subject in subjects {
            let get = h.expect_request(&subject);
            if subject == "get.test.list" {
                assert_eq!(get.payload, r#"{"query":"p=1;q=2"}"#);
                h.respond(&get, r#"{"result":{"collection":[],"query":"p=1;q=2"}}"#);
            } else {
                assert_eq!(get.payload, "{}");
                h.respond(&get, &format!(r#"{{"result":{MODEL}}}"#));
            }
        }
    }
    h.client(1).receives_nothing();
}

#[test]
fn events_during_a_reset_are_in_its_answer_and_custom_ones_pass() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("system.reset", RESET);
    h.change("test.model", r#"{"a":5}"#);
    h.event("event.test.model.custom", "1");
    h.client(1)
        .receives(r#"{"event":"test.model.custom","data":1}"#)
        .receives_nothing();
    h.serve("test.model", r#"{"model":{"a":5,"b":3}}"#);
    h.client(1)
        .receives(&changed("test.model", r#"{"a":5,"b":3}"#));
    h.change("test.model", r#"{"a":6}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":6}"#));
}

#[test]
fn a_resource_that_is_not_found_any_more_is_deleted() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("system.reset", RESET);
    h.change("test.model", r#"{"a":5}"#);
    h.fail("test.model", "system.notFound");
    h.client(1)
        .receives(r#"{"event":"test.model.delete","data":null}"#)
        .receives(&deleted("test.model"))
        .receives_nothing();
    h.subscribed(1, "test.model", MODEL);
}

#[test]
fn a_failing_reset_is_tried_again_after_longer_and_longer_pauses() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("system.reset", RESET);
    for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        h.fail("test.model", "test.broken");
        h.advance(pause - 1);
        h.expect_no_request();
        h.advance(1);
    }
    h.change("test.model", r#"{"a":5}"#);
    h.fail("test.model", "test.broken");
    h.client(1).receives(&changed("test.model", r#"{"a":5}"#));
    // A further reset does not wait for the pause to end.
    h.event("system.reset", RESET);
    h.serve("test.model", r#"{"model":{"a":6}}"#);
    h.client(1)
        .receives(&changed("test.model", r#"{"a":6,"b":{"action":"delete"}}"#));
    h.advance(200_000);
    h.expect_no_request();
    // The next failure begins with a short pause again.
    h.event("system.reset", RESET);
    h.fail("test.model", "test.broken");
    h.advance(1_000);
    h.serve("test.model", r#"{"model":{"a":6}}"#);
}

#[test]
fn an_unused_resource_whose_reset_fails_is_forgotten() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.unsubscribed(1, "test.model");
    h.event("system.reset", RESET);
    h.fail("test.model", "test.broken");
    assert_eq!(h.stats().resources, 0);
    h.subscribed(1, "test.model", r#"{"model":{"a":2}}"#);
}

#[test]
fn a_resource_that_is_dropped_while_its_reset_pauses_is_asked_for_once_at_most() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("system.reset", RESET);
    h.fail("test.model", "test.broken");
    h.unsubscribed(1, "test.model");
    h.advance(1_000);
    h.fail("test.model", "test.broken");
    // Still nobody sees it, so it is not worth a further request.
    assert_eq!(h.stats().resources, 0);
    h.advance(LINGER);
    h.expect_no_request();
}

#[test]
fn a_delete_while_a_reset_is_open_or_pausing() {
    for state in ["open", "pausing"] {
        let mut h = Heart::new();
        h.subscribed(1, "test.model", MODEL);
        h.event("system.reset", RESET);
        let get = h.expect_request("get.test.model");
        if state == "pausing" {
            h.respond(&get, r#"{"error":{"code":"test.broken","message":"M"}}"#);
        }
        h.event("event.test.model.delete", "");
        if state == "open" {
            h.client(1).receives_nothing();
            h.respond(&get, r#"{"error":{"code":"test.broken","message":"M"}}"#);
        }
        h.client(1)
            .receives(r#"{"event":"test.model.delete","data":null}"#)
            .receives(&deleted("test.model"));
        h.advance(REQUEST_TIMEOUT);
        h.expect_no_request();
    }
}

#[test]
fn a_reset_brings_and_takes_references() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.list", r#"{"collection":[{"rid":"test.a"},1]}"#),
            ("test.a", r#"{"model":{"n":1}}"#),
        ],
    );
    h.event("system.reset", r#"{"resources":["test.list"]}"#);
    h.serve(
        "test.list",
        r#"{"collection":[2,{"rid":"test.b"},{"rid":"test.c"}]}"#,
    );
    // First what goes, one step at a time, then what comes.
    h.client(1)
        .receives(r#"{"event":"test.list.remove","data":{"idx":1}}"#)
        .receives(r#"{"event":"test.list.remove","data":{"idx":0}}"#)
        .receives(r#"{"event":"test.list.add","data":{"idx":0,"value":2}}"#)
        .receives_nothing();
    h.change("test.a", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    assert_eq!(h.subjects(), ["get.test.b"]);
    h.serve("test.b", r#"{"model":{}}"#);
    h.client(1).receives(
        r#"{"event":"test.list.add","data":{"idx":1,"value":{"rid":"test.b"},"models":{"test.b":{}}}}"#,
    );
    h.change("test.b", r#"{"n":1}"#);
    h.client(1).receives(&changed("test.b", r#"{"n":1}"#));
    h.serve("test.c", r#"{"model":{}}"#);
    h.client(1).receives(
        r#"{"event":"test.list.add","data":{"idx":2,"value":{"rid":"test.c"},"models":{"test.c":{}}}}"#,
    );
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_reset_comes_back_to_the_present_state() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list", r#"{"collection":[1]}"#);
    h.event("system.reset", RESET);
    h.serve(
        "test.list",
        r#"{"collection":[{"rid":"test.b"},{"rid":"test.c"}]}"#,
    );
    h.client(1).message();
    h.serve("test.b", r#"{"model":{}}"#);
    h.client(1).message();
    h.unsubscribed(1, "test.list");
    assert_eq!(h.stats().subscriptions, 0);
    h.serve("test.c", r#"{"model":{"late":true}}"#);
    h.client(1).receives_nothing();
    assert_eq!(
        h.subscribed_again(1, "test.list"),
        r#"{"result":{"models":{"test.b":{},"test.c":{"late":true}},"collections":{"test.list":[{"rid":"test.b"},{"rid":"test.c"}]}},"id":100}"#
    );
}

#[test]
fn a_reset_reaches_every_client_in_its_own_way() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list", r#"{"collection":[]}"#);
    h.subscribed_again(2, "test.list");
    h.subscribed(2, "test.b", r#"{"model":{"n":1}}"#);
    // The third is told to wait, since its access is asked.
    h.subscribed_again(3, "test.list");
    h.client(3).request(1, "auth.test.login");
    h.expect_request("auth.test.login");
    h.token(3, r#"{"token":1}"#);
    h.token(3, r#"{"token":2}"#);
    let access = h.expect_request("access.test.list");
    h.event("system.reset", r#"{"resources":["test.list"]}"#);
    h.serve("test.list", r#"{"collection":[{"rid":"test.b"}]}"#);
    let add = r#"{"event":"test.list.add","data":{"idx":0,"value":{"rid":"test.b"}"#;
    let with_child = format!(r#"{add},"models":{{"test.b":{{"n":1}}}}}}}}"#);
    h.client(1).receives(&with_child);
    h.client(2).receives(&format!("{add}}}}}"));
    h.client(3).receives_nothing();
    h.change("test.b", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.b", r#"{"n":2}"#));
    h.client(2).receives(&changed("test.b", r#"{"n":2}"#));
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.client(3)
        .receives(&with_child.replace(r#"{"n":1}"#, r#"{"n":2}"#));
    h.advance(REQUEST_TIMEOUT);
    h.client(3).message();
    h.client(3).get(2, "test.b");
    h.grant("test.b");
    h.client(3).receives(&nothing_new(2));
}

#[test]
fn more_events_than_can_wait_for_a_reset_are_left_to_its_next_answer() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"n":-1}}"#);
    h.event("system.reset", RESET);
    for n in 0..70_000 {
        h.change("test.model", &format!(r#"{{"n":{n}}}"#));
    }
    h.fail("test.model", "test.broken");
    h.client(1).receives_nothing();
    // An event means nothing where those before it are lost.
    h.change("test.model", r#"{"n":70000,"x":1}"#);
    h.client(1).receives_nothing();
    h.advance(1_000);
    h.serve("test.model", r#"{"model":{"n":70000,"x":1,"y":2}}"#);
    h.client(1)
        .receives(&changed("test.model", r#"{"n":70000,"x":1,"y":2}"#));
}

#[test]
fn a_large_reset_that_fails_is_tried_again_a_few_at_a_time() {
    const COUNT: usize = 2_500;
    let mut h = Heart::new();
    let rids: Vec<String> = (0..COUNT)
        .map(|n| format!(r#"{{"rid":"test.item.{n}"}}"#))
        .collect();
    h.client(1).subscribe(1, "test.list");
    h.grant("test.list");
    let list = format!(r#"{{"collection":[{}]}}"#, rids.join(","));
    h.serve("test.list", &list);
    for n in 0..COUNT {
        h.serve(&format!("test.item.{n}"), r#"{"model":{"n":0}}"#);
    }
    h.client(1).message();
    h.event("system.reset", r#"{"resources":["test.item.*"]}"#);
    let mut rounds = 0;
    // Nobody answers; the requests time out in turn and are sent again later.
    while rounds < 3 {
        let open = h.subjects().len();
        assert!(open <= 1_024);
        rounds += 1;
        h.discard();
        h.advance(REQUEST_TIMEOUT);
    }
    for _ in 0..200 {
        while let Some(subject) = h.subjects().first().map(|s| (*s).to_owned()) {
            let get = h.expect_request(&subject);
            h.respond(&get, r#"{"result":{"model":{"n":1}}}"#);
        }
        h.advance(1_000);
    }
    let mut events = h.client(1).messages();
    events.sort();
    events.dedup();
    assert_eq!(events.len(), COUNT);
}
