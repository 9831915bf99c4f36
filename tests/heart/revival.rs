//! A deleted resource that a client still holds through a parent, and asks for again.

use crate::harness::{Heart, changed, error};

const PARENT: (&str, &str) = ("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#);
const CHILD: (&str, &str) = ("test.child", r#"{"model":{"leaf":{"rid":"test.leaf"}}}"#);
const LEAF: (&str, &str) = ("test.leaf", r#"{"model":{"n":1}}"#);

/// A client that holds a deleted child with a living leaf below it.
fn with_deleted_child() -> Heart {
    let mut h = Heart::new();
    h.subscribed_tree(1, &[PARENT, CHILD, LEAF]);
    h.event("event.test.child.delete", "");
    h.client(1)
        .receives(r#"{"event":"test.child.delete","data":null}"#);
    h
}

#[test]
fn what_a_deleted_resource_references_stays_held_while_it_is_loaded_again() {
    let mut h = with_deleted_child();
    h.client(1).subscribe(2, "test.child");
    h.change("test.leaf", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.leaf", r#"{"n":2}"#));
    h.grant("test.child");
    h.serve("test.child", r#"{"model":{"x":1}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.child":{"x":1}}},"id":2}"#);
    h.change("test.leaf", r#"{"n":3}"#);
    h.client(1).receives_nothing();
}

#[test]
fn what_a_deleted_resource_references_stays_held_when_it_cannot_be_loaded_again() {
    let mut h = with_deleted_child();
    h.client(1).subscribe(2, "test.child");
    h.grant("test.child");
    h.fail("test.child", "system.notFound");
    h.client(1).receives(&error(2, "system.notFound", "M"));
    assert_eq!(h.stats().subscriptions, 3);
    h.change("test.leaf", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.leaf", r#"{"n":2}"#));
}

#[test]
fn a_get_of_a_deleted_resource_changes_nothing_of_what_is_held() {
    let mut h = with_deleted_child();
    h.client(1).get(2, "test.child");
    h.grant("test.child");
    // It references itself, and something that only it needs.
    let child = r#"{"model":{"self":{"rid":"test.child"},"other":{"rid":"test.other"}}}"#;
    h.serve("test.child", child);
    h.serve("test.other", r#"{"model":{}}"#);
    h.client(1).receives(
        r#"{"result":{"models":{"test.child":{"other":{"rid":"test.other"},"self":{"rid":"test.child"}},"test.other":{}}},"id":2}"#,
    );
    assert_eq!(h.stats().subscriptions, 3);
    h.change("test.other", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    h.change("test.leaf", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.leaf", r#"{"n":2}"#));
}

#[test]
fn a_deleted_resource_that_is_dropped_while_it_is_loaded_again_lets_go_of_its_references() {
    let mut h = with_deleted_child();
    h.client(1).subscribe(2, "test.child");
    h.change("test.parent", r#"{"c":null}"#);
    h.client(1)
        .receives(&changed("test.parent", r#"{"c":null}"#));
    h.change("test.leaf", r#"{"n":2}"#);
    h.client(1).receives_nothing();
    h.grant("test.child");
    h.serve("test.child", r#"{"model":{"leaf":{"rid":"test.leaf"}}}"#);
    h.client(1).receives(
        r#"{"result":{"models":{"test.child":{"leaf":{"rid":"test.leaf"}},"test.leaf":{"n":2}}},"id":2}"#,
    );
}

#[test]
fn a_deleted_resource_that_cannot_be_loaded_again_is_no_error_to_others() {
    let mut h = with_deleted_child();
    h.client(1).get(2, "test.child");
    let get = h.expect_request("get.test.child");
    h.change("test.leaf", r#"{"other":{"rid":"test.other"}}"#);
    h.serve("test.other", r#"{"model":{"c":{"rid":"test.child"}}}"#);
    h.client(1).receives_nothing();
    h.respond(
        &get,
        r#"{"error":{"code":"system.notFound","message":"M"}}"#,
    );
    // The client holds the deleted child, and through it the leaf that changed.
    h.client(1).receives(
        r#"{"event":"test.leaf.change","data":{"values":{"other":{"rid":"test.other"}},"models":{"test.other":{"c":{"rid":"test.child"}}}}}"#,
    );
    h.grant("test.child");
    h.client(1).receives(&error(2, "system.notFound", "M"));
    assert_eq!(h.stats().subscriptions, 4);
    h.change("test.other", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.other", r#"{"n":2}"#));
}

#[test]
fn a_call_that_brings_a_deleted_resource_tells_why_it_cannot_be_loaded_again() {
    let mut h = with_deleted_child();
    h.client(1).call(2, "test.model.method");
    h.access("test.model", r#"{"result":{"call":"*"}}"#);
    let call = h.expect_request("call.test.model.method");
    h.respond(&call, r#"{"resource":{"rid":"test.child"}}"#);
    h.grant("test.child");
    h.fail("test.child", "system.notFound");
    h.client(1).receives(
        r#"{"result":{"rid":"test.child","errors":{"test.child":{"code":"system.notFound","message":"M"}}},"id":2}"#,
    );
    // The client cannot tell this from a lack of access: what it holds stays.
    h.change("test.leaf", r#"{"n":2}"#);
    h.client(1).receives(&changed("test.leaf", r#"{"n":2}"#));
    h.client(1).unsubscribe(3, "test.child");
    h.client(1)
        .receives(&error(3, "system.noSubscription", "No subscription"));
}
