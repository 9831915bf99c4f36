//! Throttles: how many requests of a reset, or of a tree, are open at once.

use crate::harness::{Heart, REQUEST_TIMEOUT, changed};
use tidegate::gateway::Options;

fn resets(places: usize) -> Heart {
    Heart::with(Options {
        reset_throttle: places,
        ..Options::default()
    })
}

fn trees(places: usize) -> Heart {
    Heart::with(Options {
        reference_throttle: places,
        ..Options::default()
    })
}

/// The first request that services have not seen; its subject as well.
fn next(h: &mut Heart) -> crate::harness::Request {
    let subject = h.subjects()[0].to_owned();
    h.expect_request(&subject)
}

/// Answers what is open in the order that `pick` chooses, and counts how much was open.
fn answer_all(h: &mut Heart, places: usize, answer: impl Fn(&str) -> String) -> usize {
    let mut open = Vec::new();
    let mut answered = 0;
    loop {
        while !h.subjects().is_empty() {
            open.push(next(h));
        }
        assert!(open.len() <= places, "{open:?}");
        if open.is_empty() {
            return answered;
        }
        // Neither the first nor the last all the time.
        let request = open.swap_remove(answered % open.len());
        h.respond(&request, &answer(&request.subject));
        answered += 1;
    }
}

const GRANTED: &str = r#"{"result":{"get":true,"call":"*"}}"#;

/// Access is granted, and every resource is a model without properties.
fn usual(subject: &str) -> String {
    match subject.starts_with("access.") {
        true => GRANTED.to_owned(),
        false => r#"{"result":{"model":{}}}"#.to_owned(),
    }
}

#[test]
fn a_reset_has_so_many_requests_open_at_once() {
    for places in 1..=3 {
        let mut h = resets(places);
        for resource in 0..7 {
            h.subscribed(1, &format!("test.r{resource}"), r#"{"model":{}}"#);
        }
        h.event(
            "system.reset",
            r#"{"resources":["test.>"],"access":["test.>"]}"#,
        );
        assert_eq!(h.subjects().len(), places);
        assert_eq!(answer_all(&mut h, places, usual), 14);
        assert_eq!(h.stats().throttles, 0);
    }
}

#[test]
fn each_reset_has_places_of_its_own() {
    let mut h = resets(2);
    for resource in ["a.1", "a.2", "a.3", "b.1", "b.2", "b.3"] {
        h.subscribed(1, resource, r#"{"model":{}}"#);
    }
    h.event("system.reset", r#"{"resources":["a.*"]}"#);
    h.event("system.reset", r#"{"resources":["b.*"]}"#);
    assert_eq!(h.subjects().len(), 4);
    assert_eq!(answer_all(&mut h, 4, usual), 6);
    assert_eq!(h.stats().throttles, 0);
}

/// Many connections, one resource: the peer's issues #213 and #217.
#[test]
fn access_of_one_resource_for_many_clients_is_asked_in_turn() {
    for places in 1..=3 {
        let mut h = resets(places);
        for number in 1..=9 {
            if number == 1 {
                h.subscribed(1, "test.r", r#"{"model":{"a":1}}"#);
            } else {
                h.subscribed_again(number, "test.r");
            }
        }
        for _ in 0..3 {
            h.event(
                "system.reset",
                r#"{"resources":["test.r"],"access":["test.r"]}"#,
            );
        }
        // What was being asked when the later resets came is asked once more, in the same
        // throttle; what waited is asked once for all of them.
        let asked = answer_all(&mut h, places, usual_but_changed);
        assert_eq!(asked, 1 + 9 + places);
        assert_eq!(h.stats().throttles, 0);
        for number in 1..=9 {
            h.client(number)
                .receives(&changed("test.r", r#"{"a":2}"#))
                .receives_nothing();
        }
    }
}

fn usual_but_changed(subject: &str) -> String {
    usual(subject).replace(r#"{"model":{}}"#, r#"{"model":{"a":2}}"#)
}

#[test]
fn a_reset_that_overtakes_another_waits_for_no_one() {
    let mut h = resets(1);
    for resource in ["a", "b", "c"] {
        h.subscribed(1, &format!("test.{resource}"), r#"{"model":{}}"#);
    }
    for _ in 0..50 {
        h.event(
            "system.reset",
            r#"{"resources":["test.>"],"access":["test.>"]}"#,
        );
    }
    answer_all(&mut h, 50, usual);
    assert_eq!(h.stats().throttles, 0);
    assert_eq!(h.stats().queued, 0);
}

#[test]
fn places_come_back_from_requests_that_fail() {
    let mut h = resets(1);
    for resource in ["a", "b", "c", "d"] {
        h.subscribed(1, &format!("test.{resource}"), r#"{"model":{}}"#);
    }
    h.event("system.reset", r#"{"resources":["test.>"]}"#);
    let first = next(&mut h);
    h.respond_with(&first, b"", Some(503));
    let second = next(&mut h);
    h.respond(&second, "{]");
    next(&mut h);
    h.expect_no_request();
    h.advance(REQUEST_TIMEOUT);
    // What failed is tried again after a pause, in no throttle any more.
    let mut left = 0;
    while !h.subjects().is_empty() {
        let request = next(&mut h);
        h.respond(&request, r#"{"result":{"model":{}}}"#);
        left += 1;
    }
    assert!(left >= 1);
    h.advance(2_000);
    h.discard();
    h.advance(REQUEST_TIMEOUT);
    assert_eq!(h.stats().throttles, 0);
    h.close(1);
    h.discard();
}

#[test]
fn places_come_back_from_clients_that_leave() {
    let mut h = resets(1);
    h.subscribed(1, "test.r", r#"{"model":{}}"#);
    for number in 2..=5 {
        h.subscribed_again(number, "test.r");
    }
    h.event("system.reset", r#"{"access":["test.r"]}"#);
    let first = next(&mut h);
    for number in 1..=4 {
        h.close(number);
    }
    // One has been asked about; those who waited are gone, but the last.
    h.respond(&first, GRANTED);
    h.grant("test.r");
    h.expect_no_request();
    assert_eq!(h.stats().throttles, 0);
}

#[test]
fn a_reset_held_by_a_query_event_keeps_its_throttle() {
    let mut h = resets(1);
    h.subscribed(1, "test.q?x", r#"{"model":{},"query":"x"}"#);
    h.subscribed(1, "test.r", r#"{"model":{}}"#);
    h.event("event.test.q.query", r#"{"subject":"s"}"#);
    let query = h.expect_request("s");
    h.event(
        "system.reset",
        r#"{"resources":["test.>"],"access":["test.>"]}"#,
    );
    let mut seen = Vec::new();
    while !h.subjects().is_empty() {
        let request = next(&mut h);
        h.expect_no_request();
        seen.push(request.subject.clone());
        h.respond(&request, &usual(&request.subject));
    }
    assert_eq!(seen, ["get.test.r", "access.test.r"]);
    assert_eq!(h.stats().throttles, 1);
    h.respond(&query, r#"{"result":{"events":[]}}"#);
    let get = h.expect_request("get.test.q");
    h.expect_no_request();
    h.respond(&get, r#"{"result":{"model":{},"query":"x"}}"#);
    h.grant("test.q");
    assert_eq!(h.stats().throttles, 0);
}

#[test]
fn a_place_whose_answer_waits_for_a_query_event_is_taken_until_its_turn() {
    let mut h = resets(1);
    h.subscribed(1, "test.q?x", r#"{"model":{},"query":"x"}"#);
    h.subscribed(1, "test.r", r#"{"model":{}}"#);
    h.event("system.reset", r#"{"resources":["test.q","test.r"]}"#);
    let first = next(&mut h);
    h.event("event.test.q.query", r#"{"subject":"s"}"#);
    let query = h.expect_request("s");
    h.respond(&first, r#"{"result":{"model":{},"query":"x"}}"#);
    h.respond(&query, r#"{"result":{"events":[]}}"#);
    answer_all(&mut h, 1, usual);
    assert_eq!(h.stats().throttles, 0);
}

/// A tree of two levels with three branches each.
fn tree(subject: &str) -> String {
    let name = subject.split_once('.').expect("a name").1;
    let model = match name.len() {
        _ if subject.starts_with("access.") => return GRANTED.to_owned(),
        // `test.r`, `test.r1`
        6 | 7 => (1..=3)
            .map(|i| format!(r#""{i}":{{"rid":"{name}{i}"}}"#))
            .collect::<Vec<_>>()
            .join(","),
        _ => String::new(),
    };
    format!(r#"{{"result":{{"model":{{{model}}}}}}}"#)
}

#[test]
fn a_tree_has_so_many_get_requests_open_at_once() {
    for places in 1..=3 {
        let mut h = trees(places);
        h.client(1).subscribe(1, "test.r");
        h.grant("test.r");
        assert_eq!(answer_all(&mut h, places, tree), 13);
        let answer = h.client(1).message();
        assert_eq!(answer.matches(r#""test.r"#).count(), 13 + 12, "{answer}");
        assert_eq!(h.stats().throttles, 0);
        // An HTTP request for the same has nothing to ask for but access.
        h.web(2, "GET", "test/r", "");
        h.grant("test.r");
        assert_eq!(h.web_answer(2).0, 200);
        h.expect_no_request();
    }
}

#[test]
fn what_is_cached_or_being_loaded_needs_no_place() {
    let mut h = trees(1);
    h.subscribed(1, "test.a", r#"{"model":{}}"#);
    h.client(2).subscribe(1, "test.b");
    h.grant("test.b");
    let b = h.expect_request("get.test.b");
    h.client(3).subscribe(1, "test.r");
    h.grant("test.r");
    h.serve(
        "test.r",
        r#"{"collection":[{"rid":"test.a"},{"rid":"test.b"},{"rid":"test.c"}]}"#,
    );
    // `a` is there, `b` is another's affair.
    h.serve("test.c", r#"{"model":{}}"#);
    h.client(3).receives_nothing();
    h.respond(&b, r#"{"result":{"model":{}}}"#);
    h.client(2).message();
    h.client(3).message();
    assert_eq!(h.stats().throttles, 0);
}

#[test]
fn trees_with_common_children_do_not_wait_for_each_other() {
    for places in 1..=3 {
        let mut h = trees(places);
        let list = |order: [&str; 4]| {
            let items = order.map(|name| format!(r#"{{"rid":"test.{name}"}}"#));
            format!(r#"{{"collection":[{}]}}"#, items.join(","))
        };
        for (number, root) in [(1, "test.l"), (2, "test.m"), (3, "test.n")] {
            h.client(number).subscribe(1, root);
            h.grant(root);
        }
        h.serve("test.l", &list(["a", "b", "c", "d"]));
        h.serve("test.m", &list(["d", "c", "b", "a"]));
        h.serve("test.n", &list(["c", "a", "d", "b"]));
        assert_eq!(answer_all(&mut h, 3 * places, usual), 4, "each once");
        for number in 1..=3 {
            let answer = h.client(number).message();
            for name in ["a", "b", "c", "d"] {
                assert!(
                    answer.contains(&format!(r#""test.{name}":{{}}"#)),
                    "{answer}"
                );
            }
        }
        assert_eq!(h.stats().throttles, 0);
    }
}

#[test]
fn a_client_that_leaves_takes_its_tree_along_but_not_what_others_wait_for() {
    let mut h = trees(1);
    for number in 1..=2 {
        h.client(number).subscribe(1, "test.r");
        h.grant("test.r");
    }
    h.serve(
        "test.r",
        r#"{"collection":[{"rid":"test.a"},{"rid":"test.b"},{"rid":"test.c"}]}"#,
    );
    let a = next(&mut h);
    // The other tree has a place for another one.
    let b = next(&mut h);
    h.expect_no_request();
    h.close(1);
    h.respond(&a, r#"{"result":{"model":{}}}"#);
    h.respond(&b, r#"{"result":{"model":{}}}"#);
    answer_all(&mut h, 1, usual);
    h.client(2).message();
    assert_eq!(h.stats().throttles, 0);
}

#[test]
fn failures_and_time_outs_give_places_back() {
    let mut h = trees(1);
    h.client(1).subscribe(1, "test.r");
    h.grant("test.r");
    h.serve(
        "test.r",
        r#"{"collection":[{"rid":"test.a"},{"rid":"test.b"},{"rid":"test.c"}]}"#,
    );
    let a = next(&mut h);
    h.respond_with(&a, b"", Some(503));
    next(&mut h);
    h.expect_no_request();
    h.advance(REQUEST_TIMEOUT);
    let c = next(&mut h);
    h.respond(&c, r#"{"result":{"model":{}}}"#);
    let answer = h.client(1).message();
    assert_eq!(answer.matches(r#""code""#).count(), 2, "{answer}");
    assert_eq!(h.stats().throttles, 0);
}

#[test]
fn what_an_event_brings_shares_a_throttle() {
    let mut h = trees(1);
    h.subscribed(1, "test.r", r#"{"model":{}}"#);
    h.change(
        "test.r",
        r#"{"a":{"rid":"test.a"},"b":{"rid":"test.b"},"c":{"rid":"test.c"}}"#,
    );
    assert_eq!(answer_all(&mut h, 1, usual), 3);
    h.client(1).message();
    assert_eq!(h.stats().throttles, 0);
}

#[test]
fn a_load_held_by_a_query_event_asks_for_a_place_in_its_turn() {
    let mut h = trees(1);
    h.subscribed(1, "test.q?x", r#"{"model":{},"query":"x"}"#);
    h.event("event.test.q.query", r#"{"subject":"s"}"#);
    let query = h.expect_request("s");
    h.client(2).subscribe(1, "test.r");
    h.grant("test.r");
    h.serve(
        "test.r",
        r#"{"collection":[{"rid":"test.q?y"},{"rid":"test.q?z"},{"rid":"test.a"}]}"#,
    );
    let a = h.expect_request("get.test.a");
    h.respond(&query, r#"{"result":{"events":[]}}"#);
    h.expect_no_request();
    h.respond(&a, r#"{"result":{"model":{}}}"#);
    let (mut open, mut queries) = (Vec::new(), Vec::new());
    while !h.subjects().is_empty() {
        open.push(next(&mut h));
        h.expect_no_request();
        let request = open.pop().expect("one");
        queries.push(request.payload.clone());
        let result = format!(r#"{{"result":{{"model":{{}},{}}}"#, &request.payload[1..]);
        h.respond(&request, &result);
    }
    queries.sort();
    assert_eq!(queries, [r#"{"query":"y"}"#, r#"{"query":"z"}"#]);
    h.client(2).message();
    assert_eq!(h.stats().throttles, 0);
}

#[test]
fn who_waits_for_a_query_event_lets_the_next_one_go_first() {
    let mut h = trees(1);
    h.subscribed(1, "test.q?x", r#"{"model":{},"query":"x"}"#);
    h.client(2).subscribe(1, "test.r");
    h.grant("test.r");
    h.serve(
        "test.r",
        r#"{"collection":[{"rid":"test.a"},{"rid":"test.q?y"},{"rid":"test.z"}]}"#,
    );
    h.event("event.test.q.query", r#"{"subject":"s"}"#);
    let query = h.expect_request("s");
    h.serve("test.a", r#"{"model":{}}"#);
    h.serve("test.z", r#"{"model":{}}"#);
    h.expect_no_request();
    h.respond(&query, r#"{"result":{"events":[]}}"#);
    h.serve("test.q", r#"{"model":{},"query":"y"}"#);
    h.client(2).message();
    assert_eq!(h.stats().throttles, 0);
}
