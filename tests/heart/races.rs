//! Inputs that meet: what happens when something changes while something else is open.

use crate::harness::{Heart, REQUEST_TIMEOUT, access_lost, changed, error, nothing_new};

const PARENT: (&str, &str) = ("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#);
const CHILD: (&str, &str) = ("test.child", r#"{"model":{"n":1}}"#);

#[test]
fn a_request_is_answered_although_the_resource_is_deleted_after_another_one_sent_it() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.child");
    h.serve("test.child", CHILD.1);
    let access = h.expect_request("access.test.child");
    h.client(1).subscribe(2, "test.parent");
    h.grant("test.parent");
    h.serve("test.parent", PARENT.1);
    h.client(1).receives(
        r#"{"result":{"models":{"test.child":{"n":1},"test.parent":{"c":{"rid":"test.child"}}}},"id":2}"#,
    );
    h.event("event.test.child.delete", "");
    h.client(1)
        .receives(r#"{"event":"test.child.delete","data":null}"#);
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.serve("test.child", r#"{"model":{"n":2}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.child":{"n":2}}},"id":1}"#);
    h.change("test.child", r#"{"n":3}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":3}"#));
}

#[test]
fn reaccess_of_an_indirectly_held_resource_with_an_open_get_stops_no_events() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.client(1).get(2, "test.child");
    h.event("event.test.child.reaccess", "");
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":2}"#));
    h.grant("test.child");
    h.client(1).receives(&nothing_new(2));
    h.change("test.child", r#"{"n":3}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":3}"#));
    h.expect_no_request();
}

#[test]
fn reaccess_of_an_indirectly_held_resource_with_an_open_subscribe_asks_again_after_it() {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD]);
    h.client(1).subscribe(2, "test.child");
    h.event("event.test.child.reaccess", "");
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.child", r#"{"n":2}"#));
    h.grant("test.child");
    h.client(1).receives(&nothing_new(2));
    h.change("test.child", r#"{"n":3}"#);
    h.client(1).receives_nothing();
    h.grant("test.child");
    h.client(1).receives(&changed("test.child", r#"{"n":3}"#));
}

#[test]
fn a_change_that_waits_for_a_child_waits_for_access_too() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
    h.change("test.model", r#"{"c":{"rid":"test.child"}}"#);
    h.event("event.test.model.reaccess", "");
    h.serve("test.child", CHILD.1);
    h.client(1).receives_nothing();
    h.grant("test.model");
    h.client(1).receives(
        r#"{"event":"test.model.change","data":{"values":{"c":{"rid":"test.child"}},"models":{"test.child":{"n":1}}}}"#,
    );
}

#[test]
fn a_change_that_waits_for_a_child_is_dropped_with_the_access() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
    h.change("test.model", r#"{"c":{"rid":"test.child"}}"#);
    h.event("event.test.model.reaccess", "");
    h.deny("test.model");
    h.client(1).receives(&access_lost("test.model"));
    h.serve("test.child", CHILD.1);
    h.client(1).receives_nothing();
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn an_unsubscribe_does_not_save_an_open_subscribe_from_a_reaccess() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.access("test.model", r#"{"result":{"get":true}}"#);
    h.serve("test.model", r#"{"model":{"a":1}}"#);
    assert_eq!(h.client(1).messages().len(), 1);
    h.event("event.test.model.reaccess", "");
    let first = h.expect_request("access.test.model");
    h.client(1).subscribe(2, "test.model");
    h.event("event.test.model.reaccess", "");
    h.unsubscribed(1, "test.model");
    h.respond(&first, r#"{"result":{"get":true}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{"a":1}}},"id":2}"#);
    h.deny("test.model");
    h.client(1).receives(&access_lost("test.model"));
}

#[test]
fn reaccess_while_a_resource_loads_is_asked_after_the_answer_and_holds_later_events() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.grant("test.model");
    h.serve("test.model", r#"{"model":{"c":{"rid":"test.child"}}}"#);
    h.event("event.test.model.reaccess", "");
    h.change("test.model", r#"{"a":1}"#);
    h.expect_request("get.test.child");
    h.expect_no_request();
    h.advance(REQUEST_TIMEOUT);
    h.client(1).receives(
        r#"{"result":{"models":{"test.model":{"c":{"rid":"test.child"}}},"errors":{"test.child":{"code":"system.timeout","message":"Request timeout"}}},"id":1}"#,
    );
    h.client(1).receives_nothing();
    h.deny("test.model");
    h.client(1)
        .receives(&access_lost("test.model"))
        .receives_nothing();
}

#[test]
fn what_a_deleted_resource_holds_stays_while_it_is_asked_for_again() {
    for found in [true, false] {
        let mut h = Heart::new();
        h.subscribed_tree(
            1,
            &[
                ("test.root", r#"{"model":{"p":{"rid":"test.parent"}}}"#),
                PARENT,
                CHILD,
            ],
        );
        h.event("event.test.parent.delete", "");
        h.client(1)
            .receives(r#"{"event":"test.parent.delete","data":null}"#);
        h.client(1).subscribe(2, "test.parent");
        h.change("test.child", r#"{"n":2}"#);
        h.client(1).receives(&changed("test.child", r#"{"n":2}"#));
        h.grant("test.parent");
        if found {
            // What is there now does not hold the child any more.
            h.serve("test.parent", r#"{"model":{}}"#);
            h.client(1)
                .receives(r#"{"result":{"models":{"test.parent":{}}},"id":2}"#);
            h.change("test.child", r#"{"n":3}"#);
            h.client(1).receives_nothing();
        } else {
            h.fail("test.parent", "system.notFound");
            h.client(1).receives(&error(2, "system.notFound", "M"));
            h.change("test.child", r#"{"n":3}"#);
            h.client(1).receives(&changed("test.child", r#"{"n":3}"#));
            h.change("test.root", r#"{"p":null}"#);
            h.client(1).receives(&changed("test.root", r#"{"p":null}"#));
            h.change("test.child", r#"{"n":4}"#);
            h.client(1).receives_nothing();
        }
    }
}

#[test]
fn a_cycle_through_a_deleted_resource_is_dropped_although_it_is_asked_for_again() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.root", r#"{"model":{"p":{"rid":"test.parent"}}}"#),
            PARENT,
            ("test.child", r#"{"model":{"up":{"rid":"test.parent"}}}"#),
        ],
    );
    h.event("event.test.parent.delete", "");
    h.client(1).message();
    h.client(1).get(2, "test.parent");
    h.change("test.root", r#"{"p":null}"#);
    h.client(1).receives(&changed("test.root", r#"{"p":null}"#));
    // The client has given up both.
    h.change("test.child", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    h.grant("test.parent");
    h.serve("test.parent", PARENT.1);
    h.client(1).receives(
        r#"{"result":{"models":{"test.child":{"n":2,"up":{"rid":"test.parent"}},"test.parent":{"c":{"rid":"test.child"}}}},"id":2}"#,
    );
    assert_eq!(h.stats().subscriptions, 1);
}

#[test]
fn access_to_what_failed_to_load_is_asked_again_before_its_data_can_come() {
    for allowed in [true, false] {
        let mut h = Heart::new();
        h.client(1).request(1, "auth.test.make");
        let call = h.expect_request("auth.test.make");
        h.respond(&call, r#"{"resource":{"rid":"test.child"}}"#);
        h.grant("test.child");
        h.fail("test.child", "test.broken");
        h.client(1).message();
        h.event("event.test.child.reaccess", "");
        // Another request loads it again while access is asked.
        h.client(1).subscribe(2, "test.child");
        h.serve("test.child", CHILD.1);
        h.change("test.child", r#"{"n":2}"#);
        h.client(1).receives_nothing();
        if allowed {
            h.grant("test.child");
            h.client(1)
                .receives(r#"{"result":{"models":{"test.child":{"n":1}}},"id":2}"#)
                .receives(&changed("test.child", r#"{"n":2}"#));
        } else {
            h.deny("test.child");
            h.client(1)
                .receives(&access_lost("test.child"))
                .receives(&error(2, "system.accessDenied", "Access denied"));
            assert_eq!(h.stats().subscriptions, 0);
        }
    }
}

#[test]
fn a_token_while_a_resource_loads_is_asked_with_after_the_answer() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.token(1, r#"{"token":1}"#);
    h.token(1, r#"{"token":2}"#);
    h.grant("test.model");
    h.serve("test.model", r#"{"model":{}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{}}},"id":1}"#);
    let access = h.expect_request("access.test.model");
    assert_eq!(access.payload, r#"{"token":2,"cid":"$CID"}"#);
    h.respond(&access, r#"{"error":{"code":"test.no","message":"No"}}"#);
    h.client(1).receives(
        r#"{"event":"test.model.unsubscribe","data":{"reason":{"code":"test.no","message":"No"}}}"#,
    );
}

#[test]
fn open_gets_do_not_count_as_direct_subscriptions() {
    let mut h = Heart::new();
    h.subscribed(1, "test.child", CHILD.1);
    h.event("event.test.child.reaccess", "");
    for id in 2..258 {
        h.client(1).get(id, "test.child");
    }
    h.client(1).receives_nothing();
    h.grant("test.child");
    for id in 2..258 {
        h.client(1).receives(&nothing_new(id));
    }
}

#[test]
fn a_resource_that_only_a_deleted_one_holds_goes_on_when_that_cannot_be_loaded_again() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            PARENT,
            ("test.child", r#"{"model":{"l":{"rid":"test.list"}}}"#),
            ("test.list", r#"{"collection":[]}"#),
        ],
    );
    h.event("event.test.child.delete", "");
    h.client(1).message();
    // The client keeps the deleted child, and the list by it, while it is loaded again.
    h.client(1).get(2, "test.child");
    h.event("system.reset", r#"{"resources":["test.list"]}"#);
    h.serve("test.list", r#"{"collection":[{"rid":"test.child"},3]}"#);
    h.client(1).receives_nothing();
    h.grant("test.child");
    h.fail("test.child", "test.gone");
    // The client keeps the deleted child, which holds the list, as it was.
    h.client(1)
        .receives(&error(2, "test.gone", "M"))
        .receives(r#"{"event":"test.list.add","data":{"idx":0,"value":{"rid":"test.child"}}}"#)
        .receives(r#"{"event":"test.list.add","data":{"idx":1,"value":3}}"#)
        .receives_nothing();
    assert_eq!(h.stats().subscriptions, 3);
}
