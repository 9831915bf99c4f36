//! Events of resources: what is applied, what is passed on, and in which order.

use crate::harness::{Heart, REQUEST_TIMEOUT, changed, deleted, error, nothing_new};

const MODEL: &str = r#"{"model":{"a":1,"b":"x"}}"#;
const LIST: &str = r#"{"collection":[1,2,3]}"#;
const PARENT: (&str, &str) = ("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#);
const CHILD: (&str, &str) = ("test.child", r#"{"model":{"n":1}}"#);

/// Sends an event of a resource and returns what the client gets, and the state after it
/// as another client is sent it.
fn effect(result: &str, event: &str, payload: &str) -> (Vec<String>, String) {
    let mut h = Heart::new();
    h.subscribed(1, "test.r", result);
    h.event(&format!("event.test.r.{event}"), payload);
    let messages = h.client(1).messages();
    let answer = h.subscribed_again(2, "test.r");
    let (_, state) = answer.split_once(r#""test.r":"#).expect("it is there");
    let state = state.strip_suffix(r#"}},"id":100}"#).expect("nothing else");
    (messages, state.to_owned())
}

#[test]
fn a_change_is_sent_as_far_as_it_changes_something() {
    for (payload, sent, state) in [
        (r#"{"values":{"a":2}}"#, r#"{"a":2}"#, r#"{"a":2,"b":"x"}"#),
        (
            r#"{"values":{"a":1,"b":"y"}}"#,
            r#"{"b":"y"}"#,
            r#"{"a":1,"b":"y"}"#,
        ),
        (
            r#"{"values":{"a":1.0}}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1.0,"b":"x"}"#,
        ),
        (
            r#"{"values":{"b":"\u0078"}}"#,
            r#"{"b":"\u0078"}"#,
            r#"{"a":1,"b":"\u0078"}"#,
        ),
        (
            r#"{"values":{"a":null}}"#,
            r#"{"a":null}"#,
            r#"{"a":null,"b":"x"}"#,
        ),
        (
            r#"{"values":{"a":{"action":"delete"},"z":{"action":"delete"}}}"#,
            r#"{"a":{"action":"delete"}}"#,
            r#"{"b":"x"}"#,
        ),
        (
            r#"{"values":{"z":{"data":[1]},"c":{"data":5}}}"#,
            r#"{"c":5,"z":{"data":[1]}}"#,
            r#"{"a":1,"b":"x","c":5,"z":{"data":[1]}}"#,
        ),
        (
            r#"{"values":{"a":2,"a":3}}"#,
            r#"{"a":3}"#,
            r#"{"a":3,"b":"x"}"#,
        ),
        // The form of protocol 1.0.
        (
            r#"{"a":2,"c":true}"#,
            r#"{"a":2,"c":true}"#,
            r#"{"a":2,"b":"x","c":true}"#,
        ),
        (
            r#"{"values":5}"#,
            r#"{"values":5}"#,
            r#"{"a":1,"b":"x","values":5}"#,
        ),
    ] {
        let (messages, after) = effect(MODEL, "change", payload);
        assert_eq!(messages, [changed("test.r", sent)], "{payload}");
        assert_eq!(after, state, "{payload}");
    }
}

#[test]
fn what_changes_nothing_or_is_invalid_is_not_sent() {
    for payload in [
        r#"{"values":{}}"#,
        r#"{"values":{"a":1,"b":"x"}}"#,
        r#"{"values":{"z":{"action":"delete"}}}"#,
        "{}",
        "",
        "null",
        "[]",
        "nonsense",
        r#"{"values":{"a":2,"c":{}}}"#,
        r#"{"values":{"a":2,"c":[]}}"#,
        r#"{"values":{"a":2,"c":{"rid":""}}}"#,
        r#"{"values":{"a":2,"c":{"rid":"a..b"}}}"#,
        r#"{"values":{"a":2,"c":{"action":"rename"}}}"#,
    ] {
        let (messages, after) = effect(MODEL, "change", payload);
        assert_eq!(
            (messages.len(), &*after),
            (0, r#"{"a":1,"b":"x"}"#),
            "{payload}"
        );
    }
    for (event, payload) in [
        ("add", r#"{"idx":0,"value":1}"#),
        ("remove", r#"{"idx":0}"#),
    ] {
        let (messages, _) = effect(MODEL, event, payload);
        assert_eq!(messages.len(), 0, "{event} on a model");
    }
}

#[test]
fn collections_take_adds_and_removes_at_their_places() {
    for (event, payload, sent, state) in [
        (
            "add",
            r#"{"idx":0,"value":9}"#,
            r#"{"idx":0,"value":9}"#,
            "[9,1,2,3]",
        ),
        (
            "add",
            r#"{"idx":3,"value":9,"x":1}"#,
            r#"{"idx":3,"value":9}"#,
            "[1,2,3,9]",
        ),
        (
            "add",
            r#"{"value":"a"}"#,
            r#"{"idx":0,"value":"a"}"#,
            r#"["a",1,2,3]"#,
        ),
        (
            "add",
            r#"{"idx":null,"value":{"data":{}}}"#,
            r#"{"idx":0,"value":{"data":{}}}"#,
            r#"[{"data":{}},1,2,3]"#,
        ),
        (
            "add",
            r#"{"IDX":1,"Value":null}"#,
            r#"{"idx":1,"value":null}"#,
            "[1,null,2,3]",
        ),
        ("remove", r#"{"idx":2}"#, r#"{"idx":2}"#, "[1,2]"),
        (
            "remove",
            r#"{ "idx" : 1, "why" : "<" }"#,
            r#"{"idx":1,"why":"\u003c"}"#,
            "[1,3]",
        ),
        ("remove", "{}", "{}", "[2,3]"),
        ("remove", r#"{"idx":null}"#, r#"{"idx":null}"#, "[2,3]"),
    ] {
        let (messages, after) = effect(LIST, event, payload);
        let expected = format!(r#"{{"event":"test.r.{event}","data":{sent}}}"#);
        assert_eq!(messages, [expected], "{payload}");
        assert_eq!(after, state, "{payload}");
    }
    for (event, payload) in [
        ("add", r#"{"idx":4,"value":9}"#),
        ("add", r#"{"idx":-1,"value":9}"#),
        ("add", r#"{"idx":0.5,"value":9}"#),
        ("add", r#"{"idx":"0","value":9}"#),
        ("add", r#"{"idx":18446744073709551616,"value":9}"#),
        ("add", r#"{"idx":0}"#),
        ("add", r#"{"idx":0,"value":{"action":"delete"}}"#),
        ("add", r#"{"idx":0,"value":[]}"#),
        ("add", ""),
        ("remove", r#"{"idx":3}"#),
        ("remove", r#"{"idx":-1}"#),
        ("remove", "[]"),
        ("change", r#"{"values":{"a":1}}"#),
    ] {
        let (messages, after) = effect(LIST, event, payload);
        assert_eq!(
            (messages.len(), &*after),
            (0, "[1,2,3]"),
            "{event} {payload}"
        );
    }
}

#[test]
fn other_events_are_passed_on() {
    for (event, payload, sent) in [
        (
            "custom",
            r#"{ "a" : [ 1.0 , "<" ] }"#,
            Some(r#"{"a":[1.0,"\u003c"]}"#),
        ),
        ("custom", "", Some("null")),
        ("custom", "null", Some("null")),
        ("custom", "nonsense", None),
        ("custom", "{\"a\":\"\u{0}\"}", None),
        ("create", "", Some("null")),
        ("patch", "1", Some("1")),
        ("reset", "1", Some("1")),
        ("unsubscribe", "1", Some("1")),
        (
            "Change",
            r#"{"values":{"a":2}}"#,
            Some(r#"{"values":{"a":2}}"#),
        ),
        ("a\"b", "1", Some("1")),
    ] {
        let (messages, after) = effect(MODEL, event, payload);
        let name = event.replace('"', "\\\"");
        let expected = sent.map(|sent| format!(r#"{{"event":"test.r.{name}","data":{sent}}}"#));
        assert_eq!(messages, Vec::from_iter(expected), "{event} {payload}");
        assert_eq!(after, r#"{"a":1,"b":"x"}"#);
    }
}

#[test]
fn events_concern_only_the_resource_without_query() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list?q=1", r#"{"collection":[],"query":"q=1"}"#);
    h.event("event.test.list.add", r#"{"idx":0,"value":1}"#);
    h.event("event.test.list.custom", "1");
    h.event("event.test.list.delete", "");
    h.client(1).receives_nothing();
}

#[test]
fn events_before_the_get_answer_are_dropped_and_those_after_it_wait() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.parent");
    h.change("test.parent", r#"{"lost":1}"#);
    h.event("event.test.parent.custom", "1");
    h.event("event.test.parent.delete", "");
    h.serve("test.parent", PARENT.1);
    h.change("test.parent", r#"{"n":1}"#);
    h.event("event.test.parent.custom", "2");
    h.change("test.parent", r#"{"n":2}"#);
    h.grant("test.parent");
    h.client(1).receives_nothing();
    h.serve("test.child", CHILD.1);
    h.client(1)
        .receives(
            r#"{"result":{"models":{"test.child":{"n":1},"test.parent":{"c":{"rid":"test.child"}}}},"id":1}"#,
        )
        .receives(&changed("test.parent", r#"{"n":1}"#))
        .receives(r#"{"event":"test.parent.custom","data":2}"#)
        .receives(&changed("test.parent", r#"{"n":2}"#))
        .receives_nothing();
}

#[test]
fn an_event_that_brings_a_reference_waits_for_its_tree() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list", r#"{"collection":[]}"#);
    h.subscribed(1, "test.other", MODEL);
    h.event(
        "event.test.list.add",
        r#"{"idx":0,"value":{"rid":"test.parent"}}"#,
    );
    h.event(
        "event.test.list.add",
        r#"{"idx":1,"value":{"rid":"test.later"}}"#,
    );
    h.event("event.test.list.custom", "1");
    // References of events that wait are not asked for before their turn.
    assert_eq!(h.subjects(), ["get.test.parent"]);
    h.serve("test.parent", PARENT.1);
    h.change("test.parent", r#"{"n":1}"#);
    h.change("test.other", r#"{"a":2}"#);
    h.client(1)
        .receives(&changed("test.other", r#"{"a":2}"#))
        .receives_nothing();
    h.fail("test.child", "test.broken");
    h.client(1)
        .receives(
            r#"{"event":"test.list.add","data":{"idx":0,"value":{"rid":"test.parent"},"models":{"test.parent":{"c":{"rid":"test.child"}}},"errors":{"test.child":{"code":"test.broken","message":"M"}}}}"#,
        )
        .receives(&changed("test.parent", r#"{"n":1}"#))
        .receives_nothing();
    h.serve("test.later", r#"{"model":{}}"#);
    h.client(1)
        .receives(
            r#"{"event":"test.list.add","data":{"idx":1,"value":{"rid":"test.later"},"models":{"test.later":{}}}}"#,
        )
        .receives(r#"{"event":"test.list.custom","data":1}"#);
}

#[test]
fn a_reference_to_what_is_held_needs_no_wait() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.subscribed(1, "test.list", r#"{"collection":[]}"#);
    h.event(
        "event.test.list.add",
        r#"{"idx":0,"value":{"rid":"test.child"}}"#,
    );
    h.client(1)
        .receives(r#"{"event":"test.list.add","data":{"idx":0,"value":{"rid":"test.child"}}}"#);
    h.unsubscribed(1, "test.parent");
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":2}"#));
    h.event("event.test.list.remove", r#"{"idx":0}"#);
    h.client(1).message();
    h.change("test.child", r#"{"n":3}"#);
    h.client(1).receives_nothing();
}

#[test]
fn a_reference_that_moves_stays_subscribed() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.change("test.parent", r#"{"c":null,"d":{"rid":"test.child"}}"#);
    h.client(1).receives(&changed(
        "test.parent",
        r#"{"c":null,"d":{"rid":"test.child"}}"#,
    ));
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":2}"#));
    h.change("test.parent", r#"{"d":{"rid":"test.child","soft":true}}"#);
    h.client(1).receives(&changed(
        "test.parent",
        r#"{"d":{"rid":"test.child","soft":true}}"#,
    ));
    h.change("test.child", r#"{"n":3}"#);
    h.client(1).receives_nothing();
}

#[test]
fn an_event_is_encoded_for_each_client_as_it_lacks() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list", r#"{"collection":[]}"#);
    h.subscribed_again(2, "test.list");
    h.subscribed(2, "test.child", CHILD.1);
    h.event(
        "event.test.list.add",
        r#"{"idx":0,"value":{"rid":"test.child"}}"#,
    );
    h.client(1).receives(
        r#"{"event":"test.list.add","data":{"idx":0,"value":{"rid":"test.child"},"models":{"test.child":{"n":1}}}}"#,
    );
    h.client(2)
        .receives(r#"{"event":"test.list.add","data":{"idx":0,"value":{"rid":"test.child"}}}"#);
}

#[test]
fn an_event_that_waits_sends_the_child_as_the_client_must_see_it() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list", r#"{"collection":[]}"#);
    h.subscribed(2, "test.child", CHILD.1);
    h.event(
        "event.test.list.add",
        r#"{"idx":0,"value":{"rid":"test.pair"}}"#,
    );
    h.serve(
        "test.pair",
        r#"{"collection":[{"rid":"test.child"},{"rid":"test.slow"}]}"#,
    );
    h.change("test.child", r#"{"n":2}"#);
    h.client(2).receives(&changed("test.child", r#"{"n":2}"#));
    h.serve("test.slow", r#"{"model":{}}"#);
    h.client(1)
        .receives(
            r#"{"event":"test.list.add","data":{"idx":0,"value":{"rid":"test.pair"},"models":{"test.child":{"n":1},"test.slow":{}},"collections":{"test.pair":[{"rid":"test.child"},{"rid":"test.slow"}]}}}"#,
        )
        .receives(&changed("test.child", r#"{"n":2}"#));
}

#[test]
fn what_an_event_brings_may_be_taken_away_before_it_is_sent() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
    h.change("test.model", r#"{"c":{"rid":"test.child"}}"#);
    h.change("test.model", r#"{"c":null}"#);
    h.client(1).receives_nothing();
    h.serve("test.child", CHILD.1);
    h.client(1)
        .receives(
            r#"{"event":"test.model.change","data":{"values":{"c":{"rid":"test.child"}},"models":{"test.child":{"n":1}}}}"#,
        )
        .receives(&changed("test.model", r#"{"c":null}"#));
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    assert_eq!(h.stats().subscriptions, 1);
}

#[test]
fn an_unsubscribe_drops_the_events_that_wait() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
    h.change("test.model", r#"{"c":{"rid":"test.child"}}"#);
    h.change("test.model", r#"{"n":1}"#);
    h.unsubscribed(1, "test.model");
    h.serve("test.child", CHILD.1);
    h.client(1).receives_nothing();
    assert_eq!(
        h.subscribed_again(1, "test.model"),
        r#"{"result":{"models":{"test.child":{"n":1},"test.model":{"c":{"rid":"test.child"},"n":1}}},"id":100}"#
    );
}

#[test]
fn a_request_for_what_waits_to_be_sent_by_an_event_may_be_first() {
    let mut h = Heart::new();
    h.subscribed(1, "test.list", r#"{"collection":[]}"#);
    h.event(
        "event.test.list.add",
        r#"{"idx":0,"value":{"rid":"test.parent"}}"#,
    );
    h.client(1).subscribe(1, "test.child");
    h.grant("test.child");
    h.serve("test.parent", PARENT.1);
    h.serve("test.child", CHILD.1);
    let messages = h.client(1).messages();
    assert_eq!(messages.len(), 2);
    let all = messages.join("");
    assert_eq!(all.matches(r#""test.child":{"n":1}"#).count(), 1);
    assert_eq!(all.matches(r#""test.parent":{"#).count(), 1);
    h.change("test.child", r#"{"n":2}"#);
    h.client(1)
        .receives(&changed("test.child", r#"{"n":2}"#))
        .receives_nothing();
}

#[test]
fn a_delete_ends_direct_subscriptions() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.client(1)
        .subscribe(1, "test.model")
        .receives(&nothing_new(1));
    h.subscribed_again(2, "test.model");
    h.event("event.test.model.delete", r#"{ "by" : 1 }"#);
    for number in [1, 2] {
        h.client(number)
            .receives(r#"{"event":"test.model.delete","data":{"by":1}}"#)
            .receives(&deleted("test.model"))
            .unsubscribe(2, "test.model")
            .receives(&error(2, "system.noSubscription", "No subscription"));
    }
    assert_eq!((h.stats().subscriptions, h.stats().resources), (0, 0));
    h.change("test.model", r#"{"a":9}"#);
    h.client(1).receives_nothing();
    h.subscribed(1, "test.model", MODEL);
}

#[test]
fn a_delete_of_an_unused_resource_empties_the_cache() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.unsubscribed(1, "test.model");
    h.event("event.test.model.delete", "");
    assert_eq!(h.stats().resources, 0);
    h.subscribed(1, "test.model", r#"{"model":{"a":2}}"#);
}

#[test]
fn a_deleted_child_is_kept_by_clients_until_its_parent_lets_go() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.event("event.test.child.delete", "");
    h.client(1)
        .receives(r#"{"event":"test.child.delete","data":null}"#);
    h.change("test.child", r#"{"n":9}"#);
    h.client(1).receives_nothing();
    h.change("test.parent", r#"{"c":null}"#);
    h.client(1)
        .receives(&changed("test.parent", r#"{"c":null}"#));
    // Now it is another resource of the same name.
    h.change("test.parent", r#"{"c":{"rid":"test.child"}}"#);
    h.serve("test.child", r#"{"model":{"n":5}}"#);
    h.client(1).receives(
        r#"{"event":"test.parent.change","data":{"values":{"c":{"rid":"test.child"}},"models":{"test.child":{"n":5}}}}"#,
    );
}

#[test]
fn a_deleted_parent_lets_its_children_go() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.event("event.test.parent.delete", "");
    h.client(1)
        .receives(r#"{"event":"test.parent.delete","data":null}"#)
        .receives(&deleted("test.parent"));
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn a_delete_waits_behind_events_that_wait() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
    h.change("test.model", r#"{"c":{"rid":"test.child"}}"#);
    h.event("event.test.model.delete", "");
    // Another client loads the resource anew meanwhile; its events are its own.
    h.subscribed(2, "test.model", r#"{"model":{"new":true}}"#);
    h.change("test.model", r#"{"n":1}"#);
    h.client(2).receives(&changed("test.model", r#"{"n":1}"#));
    h.client(1).receives_nothing();
    h.serve("test.child", CHILD.1);
    h.client(1)
        .receives(
            r#"{"event":"test.model.change","data":{"values":{"c":{"rid":"test.child"}},"models":{"test.child":{"n":1}}}}"#,
        )
        .receives(r#"{"event":"test.model.delete","data":null}"#)
        .receives(&deleted("test.model"))
        .receives_nothing();
}

#[test]
fn a_get_of_a_deleted_child_is_answered_with_what_is_there_now() {
    for found in [true, false] {
        let mut h = Heart::new();
        h.subscribed_tree(1, &[PARENT, CHILD]);
        h.event("event.test.child.delete", "");
        h.client(1).message();
        h.client(1).get(1, "test.child");
        h.grant("test.child");
        if found {
            h.serve("test.child", r#"{"model":{"n":2}}"#);
            h.client(1)
                .receives(r#"{"result":{"models":{"test.child":{"n":2}}},"id":1}"#);
        } else {
            h.fail("test.child", "system.notFound");
            h.client(1).receives(&error(1, "system.notFound", "M"));
        }
        h.unsubscribed(1, "test.parent");
        assert_eq!(h.stats().subscriptions, 0);
    }
}

#[test]
fn of_too_many_events_that_wait_the_client_is_sent_the_difference() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
    h.subscribed_again(2, "test.model");
    h.event("event.test.model.reaccess", "");
    let first = h.expect_request("access.test.model");
    let second = h.expect_request("access.test.model");
    h.respond(&second, r#"{"result":{"get":true}}"#);
    let payload = format!(r#"{{"values":{{"a":"{}"}}}}"#, "x".repeat(1 << 20));
    for n in 0..80 {
        let payload = payload.replacen('x', &format!("{n}"), 1);
        h.event("event.test.model.change", &payload);
    }
    assert_eq!(h.client(2).messages().len(), 80);
    h.client(1).receives_nothing();
    h.respond(&first, r#"{"result":{"get":true}}"#);
    let messages = h.client(1).messages();
    assert_eq!((h.shortened(), messages.len()), (1, 17));
    for (number, message) in (63..80).zip(messages) {
        assert!(message.contains(&format!(r#""a":"{number}xx"#)), "{number}");
    }
}

#[test]
fn children_that_time_out_do_not_stop_events() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
    h.change("test.model", r#"{"c":{"rid":"test.child"}}"#);
    let get = h.expect_request("get.test.child");
    h.advance(REQUEST_TIMEOUT);
    h.client(1).receives(
        r#"{"event":"test.model.change","data":{"values":{"c":{"rid":"test.child"}},"errors":{"test.child":{"code":"system.timeout","message":"Request timeout"}}}}"#,
    );
    h.respond(&get, r#"{"result":{"model":{}}}"#);
    h.client(1).receives_nothing();
}
