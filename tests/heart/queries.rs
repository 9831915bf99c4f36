//! Query resources: normalised queries, query events, and what waits for their answers.

use crate::harness::{Heart, LINGER, REQUEST_TIMEOUT, access_lost, changed, deleted};

const LIST: &str = r#"{"collection":[1],"query":"q=1"}"#;

fn added(rid: &str, idx: usize, value: &str) -> String {
    format!(r#"{{"event":"{rid}.add","data":{{"idx":{idx},"value":{value}}}}}"#)
}

/// Three clients: two of one query resource under different IDs, one of another.
fn with_three_clients() -> Heart {
    let mut h = Heart::new();
    h.subscribed(1, "test.list?q=1", LIST);
    h.subscribed(2, "test.list?a=b;q=1", LIST);
    h.subscribed(3, "test.list?q=2", r#"{"collection":[2],"query":"q=2"}"#);
    h
}

#[test]
fn different_queries_with_one_normal_form_share_data() {
    let mut h = with_three_clients();
    assert_eq!(h.stats().resources, 2);
    // A query that is known costs no request, the normal form itself neither.
    assert_eq!(
        h.subscribed_again(4, "test.list?a=b;q=1"),
        r#"{"result":{"collections":{"test.list?a=b;q=1":[1]}},"id":100}"#
    );
    h.unsubscribed(1, "test.list?q=1");
    assert_eq!(
        h.subscribed_again(1, "test.list?q=1"),
        r#"{"result":{"collections":{"test.list?q=1":[1]}},"id":100}"#
    );
    // The same resource under two IDs is two subscriptions.
    assert_eq!(
        h.subscribed_again(1, "test.list?a=b;q=1"),
        r#"{"result":{"collections":{"test.list?a=b;q=1":[1]}},"id":100}"#
    );
}

#[test]
fn the_normal_form_of_another_query_needs_no_request() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list?x;q=1", LIST);
    assert_eq!(
        h.subscribed_again(2, "test.list?q=1"),
        r#"{"result":{"collections":{"test.list?q=1":[1]}},"id":100}"#
    );
}

#[test]
fn a_query_that_is_answered_without_one_is_an_alias_of_the_plain_resource() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
    h.subscribed(2, "test.model?x=1", r#"{"model":{"a":"stale"}}"#);
    assert_eq!(h.stats().resources, 1);
    h.change("test.model", r#"{"a":2}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
    h.client(2)
        .receives(&changed("test.model?x=1", r#"{"a":2}"#));
    h.event("event.test.model.reaccess", "");
    h.deny("test.model");
    h.deny("test.model");
    h.client(1).receives(&access_lost("test.model"));
    h.client(2).receives(&access_lost("test.model?x=1"));
}

#[test]
fn an_id_without_query_may_be_an_alias_of_a_query_resource() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list", LIST);
    h.event("event.test.list.add", r#"{"idx":0,"value":0}"#);
    h.client(1).receives_nothing();
    h.event("event.test.list.query", r#"{"subject":"_S"}"#);
    let query = h.expect_request("_S");
    assert_eq!(query.payload, r#"{"query":"q=1"}"#);
    h.respond(
        &query,
        r#"{"result":{"events":[{"event":"add","data":{"idx":0,"value":0}}]}}"#,
    );
    h.client(1).receives(&added("test.list", 0, "0"));
}

#[test]
fn an_empty_query_is_none_for_services_and_an_id_of_its_own_for_clients() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
    h.client(1).subscribe(1, "test.model?");
    let access = h.expect_request("access.test.model");
    assert_eq!(access.payload, r#"{"token":null,"cid":"$CID"}"#);
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model?":{"a":1}}},"id":1}"#);
    h.change("test.model", r#"{"a":2}"#);
    let mut messages = h.client(1).messages();
    messages.sort();
    assert_eq!(
        messages,
        [
            changed("test.model", r#"{"a":2}"#),
            changed("test.model?", r#"{"a":2}"#)
        ]
    );
}

#[test]
fn a_query_event_asks_once_for_each_normal_form() {
    let mut h = with_three_clients();
    h.event("event.test.list.query", r#"{"subject":"_QUERY.a.b"}"#);
    assert_eq!(h.subjects(), ["_QUERY.a.b", "_QUERY.a.b"]);
    let first = h.expect_request("_QUERY.a.b");
    let second = h.expect_request("_QUERY.a.b");
    assert_eq!(first.payload, r#"{"query":"q=1"}"#);
    assert_eq!(second.payload, r#"{"query":"q=2"}"#);
    h.respond(
        &first,
        r#"{"result":{"events":[{"event":"remove","data":{"idx":0}},{"event":"add","data":{"idx":0,"value":"x"}},{"event":"custom"}]}}"#,
    );
    for (number, rid) in [(1, "test.list?q=1"), (2, "test.list?a=b;q=1")] {
        h.client(number)
            .receives(&format!(r#"{{"event":"{rid}.remove","data":{{"idx":0}}}}"#))
            .receives(&added(rid, 0, r#""x""#))
            .receives(&format!(r#"{{"event":"{rid}.custom","data":null}}"#));
    }
    h.respond(
        &second,
        r#"{"result":{"collection":[2,3],"query":"ignored"}}"#,
    );
    h.client(3).receives(&added("test.list?q=2", 1, "3"));
}

#[test]
fn query_answers_that_say_nothing_change_nothing() {
    for answer in [
        r#"{"result":{"events":[]}}"#,
        r#"{"result":{}}"#,
        r#"{"result":{"events":null}}"#,
        r#"{"result":{"collection":[1]}}"#,
        r#"{"result":{"events":[{"event":"add","data":{"idx":9,"value":0}},{"event":"change"},{"data":1},{"event":"remove","data":[]}]}}"#,
    ] {
        let mut h = Heart::new();
        h.subscribed(1, "test.list?q=1", LIST);
        h.event("event.test.list.query", r#"{"subject":"_S"}"#);
        let query = h.expect_request("_S");
        h.respond(&query, answer);
        h.client(1).receives_nothing();
        h.expect_no_request();
    }
}

#[test]
fn a_query_request_that_fails_makes_the_gateway_fetch_the_resource() {
    for answer in [
        r#"{"error":{"code":"test.broken","message":"M"}}"#,
        r#"{"result":{"model":{},"collection":[]}}"#,
        r#"{"result":{"collection":[{"action":"delete"}]}}"#,
        r#"{"result":{"model":{}}}"#,
        "?",
        "",
    ] {
        let mut h = Heart::new();
        h.subscribed(1, "test.list?q=1", LIST);
        h.event("event.test.list.query", r#"{"subject":"_S"}"#);
        let query = h.expect_request("_S");
        match answer {
            "" => h.advance(REQUEST_TIMEOUT),
            _ => h.respond(&query, answer),
        }
        let get = h.expect_request("get.test.list");
        assert_eq!(get.payload, r#"{"query":"q=1"}"#);
        h.respond(&get, r#"{"result":{"collection":[1,2],"query":"q=1"}}"#);
        h.client(1).receives(&added("test.list?q=1", 1, "2"));
    }
}

#[test]
fn a_query_resource_may_be_deleted_by_its_answer() {
    for answer in [
        r#"{"error":{"code":"system.notFound","message":"Not found"}}"#,
        r#"{"result":{"events":[{"event":"delete"},{"event":"add","data":{"value":1}}]}}"#,
    ] {
        let mut h = Heart::new();
        h.subscribed(1, "test.list?q=1", LIST);
        h.event("event.test.list.query", r#"{"subject":"_S"}"#);
        let query = h.expect_request("_S");
        h.respond(&query, answer);
        h.client(1)
            .receives(r#"{"event":"test.list?q=1.delete","data":null}"#)
            .receives(&deleted("test.list?q=1"))
            .receives_nothing();
        h.subscribed(1, "test.list?q=1", LIST);
    }
}

#[test]
fn query_events_without_a_usable_subject_are_ignored() {
    let mut h = with_three_clients();
    for payload in [
        "",
        "{}",
        "null",
        r#"{"subject":""}"#,
        r#"{"subject":7}"#,
        r#"{"subject":"a b"}"#,
        r#"{"subject":"a.>"}"#,
        r#"{"subject":"a..b"}"#,
        r#"{"subject":"a\r\nPUB x 0"}"#,
    ] {
        h.event("event.test.list.query", payload);
    }
    h.expect_no_request();
    // Nor is anything held up by them, or where there is no query resource.
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
    h.event("event.test.model.query", r#"{"subject":"_S"}"#);
    h.expect_no_request();
    h.change("test.model", r#"{"a":1}"#);
    h.client(1).receives(&changed("test.model", r#"{"a":1}"#));
}

#[test]
fn all_else_of_the_name_waits_for_the_answers_in_its_order() {
    let mut h = with_three_clients();
    h.subscribed(1, "test.list", r#"{"collection":[0]}"#);
    h.client(4).call(1, "test.list.set");
    h.event("event.test.list.query", r#"{"subject":"_S"}"#);
    let first = h.expect_request("_S");
    h.expect_request("_S");
    // From here on everything waits.
    h.event("event.test.list.add", r#"{"idx":0,"value":9}"#);
    h.grant("test.list");
    h.client(5).subscribe(1, "test.list?q=3");
    h.client(6).subscribe(1, "test.list");
    h.client(7).subscribe(1, "test.list?q=1");
    for _ in 5..8 {
        h.grant("test.list");
    }
    h.event("event.test.list.query", r#"{"subject":"_T"}"#);
    h.event("event.test.list.add", r#"{"idx":0,"value":8}"#);
    h.event("system.reset", r#"{"resources":["test.list"]}"#);
    h.expect_no_request();
    h.respond(
        &first,
        r#"{"result":{"events":[{"event":"add","data":{"idx":0,"value":"q"}}]}}"#,
    );
    h.client(2)
        .receives(&added("test.list?a=b;q=1", 0, r#""q""#));
    h.client(1)
        .receives(&added("test.list?q=1", 0, r#""q""#))
        .receives_nothing();
    h.expect_no_request();
    // Time does not help them, but the time-out of the last request does.
    h.advance(REQUEST_TIMEOUT - 1);
    h.expect_no_request();
    h.advance(1);
    h.client(1)
        .receives(&added("test.list", 0, "9"))
        .receives_nothing();
    h.client(6)
        .receives(r#"{"result":{"collections":{"test.list":[9,0]}},"id":1}"#);
    h.client(7)
        .receives(r#"{"result":{"collections":{"test.list?q=1":["q",1]}},"id":1}"#);
    h.expect_request("call.test.list.set");
    let unknown = h.expect_request("get.test.list");
    assert_eq!(unknown.payload, r#"{"query":"q=3"}"#);
    // The failed one is fetched whole; then the second query event's requests are open.
    let mended = h.expect_request("get.test.list");
    assert_eq!(mended.payload, r#"{"query":"q=2"}"#);
    let again = [h.expect_request("_T"), h.expect_request("_T")];
    assert_eq!(
        again.clone().map(|query| query.payload),
        [r#"{"query":"q=1"}"#, r#"{"query":"q=2"}"#]
    );
    h.expect_no_request();
    h.respond(&mended, r#"{"result":{"collection":[2,22],"query":"q=2"}}"#);
    h.client(3).receives_nothing();
    for query in again {
        h.respond(&query, r#"{"result":{}}"#);
    }
    h.client(3).receives(&added("test.list?q=2", 1, "22"));
    for number in [1, 6] {
        h.client(number).receives(&added("test.list", 0, "8"));
    }
    // And then the reset, of everything.
    h.respond(&unknown, r#"{"result":{"collection":[3],"query":"q=3"}}"#);
    h.client(5)
        .receives(r#"{"result":{"collections":{"test.list?q=3":[3]}},"id":1}"#);
    serve_reset_lists(&mut h);
    h.advance(REQUEST_TIMEOUT);
    h.client(4).message();
}

/// Answers the get requests of a reset with what everyone has.
fn serve_reset_lists(h: &mut Heart) {
    while h.subjects().contains(&"get.test.list") {
        let get = h.expect_request("get.test.list");
        let (collection, query) = match &*get.payload {
            "{}" => ("[8,9,0]", ""),
            r#"{"query":"q=1"}"# => (r#"["q",1]"#, r#","query":"q=1""#),
            r#"{"query":"q=2"}"# => ("[2,22]", r#","query":"q=2""#),
            r#"{"query":"q=3"}"# => ("[3]", r#","query":"q=3""#),
            other => panic!("{other}"),
        };
        h.respond(
            &get,
            &format!(r#"{{"result":{{"collection":{collection}{query}}}}}"#),
        );
    }
}

#[test]
fn users_that_leave_while_requests_wait_do_no_harm() {
    let mut h = with_three_clients();
    h.client(4).subscribe(1, "test.list?q=3");
    let access = h.expect_request("access.test.list");
    let get = h.expect_request("get.test.list");
    h.event("event.test.list.query", r#"{"subject":"_S"}"#);
    let first = h.expect_request("_S");
    let second = h.expect_request("_S");
    h.client(5).subscribe(1, "test.list?q=4");
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.respond(&get, r#"{"result":{"collection":[],"query":"q=3"}}"#);
    h.event("event.test.list.query", r#"{"subject":"_T"}"#);
    for number in 1..6 {
        h.close(number);
    }
    assert_eq!(h.stats().subscriptions, 0);
    h.respond(&first, r#"{"result":{"events":[{"event":"delete"}]}}"#);
    h.respond(&second, r#"{"result":{"collection":[]}}"#);
    h.expect_request("access.test.list");
    h.expect_no_request();
    h.advance(LINGER + REQUEST_TIMEOUT);
    assert_eq!(h.stats().names, 0);
}

#[test]
fn a_client_may_hold_a_resource_under_two_ids_and_by_reference() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.root", r#"{"model":{"l":{"rid":"test.list?x"}}}"#),
            ("test.list?x", LIST),
        ],
    );
    h.subscribed(1, "test.list?y", LIST);
    h.event("event.test.list.query", r#"{"subject":"_S"}"#);
    let query = h.expect_request("_S");
    h.respond(
        &query,
        r#"{"result":{"events":[{"event":"add","data":{"idx":0,"value":{"rid":"test.c"}}}]}}"#,
    );
    h.serve("test.c", r#"{"model":{}}"#);
    let messages = h.client(1).messages();
    assert_eq!(messages.len(), 2);
    let all = messages.join("");
    assert_eq!(all.matches(r#""models":{"test.c":{}}"#).count(), 1, "{all}");
    h.unsubscribed(1, "test.root");
    h.change("test.c", r#"{"n":1}"#);
    h.client(1).receives(&changed("test.c", r#"{"n":1}"#));
    h.unsubscribed(1, "test.list?y");
    h.change("test.c", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    h.client(1).get(1, "test.root");
    h.grant("test.root");
    h.serve("test.list", LIST);
    h.client(1).message();
}

#[test]
fn a_query_request_is_given_up_when_too_much_waits_for_it() {
    let mut h = with_three_clients();
    h.subscribed(4, "test.list", r#"{"collection":[]}"#);
    h.event("event.test.list.query", r#"{"subject":"_S"}"#);
    let late = [h.expect_request("_S"), h.expect_request("_S")];
    let mut count = 0;
    while h.subjects().is_empty() {
        h.event("event.test.list.custom", "1");
        count += 1;
        assert!(count < 100_000, "it waits without end");
    }
    // Both resources are fetched whole, and what waited goes on.
    for (query, value) in [("q=1", 11), ("q=2", 22)] {
        let get = h.expect_request("get.test.list");
        assert_eq!(get.payload, format!(r#"{{"query":"{query}"}}"#));
        h.respond(
            &get,
            &format!(r#"{{"result":{{"collection":[{value}],"query":"{query}"}}}}"#),
        );
    }
    assert_eq!(h.client(4).messages().len(), count);
    for query in late {
        h.respond(&query, r#"{"result":{"events":[{"event":"remove"}]}}"#);
    }
    for (number, rid, value) in [
        (1, "test.list?q=1", "11"),
        (2, "test.list?a=b;q=1", "11"),
        (3, "test.list?q=2", "22"),
    ] {
        h.client(number)
            .receives(&format!(r#"{{"event":"{rid}.remove","data":{{"idx":0}}}}"#))
            .receives(&added(rid, 0, value))
            .receives_nothing();
    }
}
