//! Trees of references in the situations where Resgate loses track of what a client
//! holds.

use crate::common::*;

#[test]
fn a_child_brought_back_by_a_loading_parent_is_sent_in_its_newest_state_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("rd_back");
    // The client holds c through p.
    let id = c.ask("subscribe.rd_back.p");
    svc.serve("rd_back.p", r#"{"collection":[{"rid":"rd_back.c"}]}"#);
    svc.serve_get("rd_back.c", r#"{"model":{"n":1}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"rd_back.p":[{"rid":"rd_back.c"}]},"models":{"rd_back.c":{"n":1}}}"#,
    );
    // q holds c too, but is still loading when p lets c go.
    let id = c.ask("subscribe.rd_back.q");
    svc.serve(
        "rd_back.q",
        r#"{"collection":[{"rid":"rd_back.c"},{"rid":"rd_back.slow"}]}"#,
    );
    let slow = svc.expect("get.rd_back.slow");
    svc.event("rd_back.p.remove", r#"{"idx":0}"#);
    c.expect_event("rd_back.p.remove", r#"{"idx":0}"#);
    // The client no longer holds c, so its events do not come now.
    svc.event("rd_back.c.change", r#"{"values":{"n":2}}"#);
    c.fence(&svc, "rd_back.c");
    slow.result(r#"{"model":{}}"#);
    // What it is sent in the end is the state after the change: in the set, or as the
    // older state followed by the event.
    let answer = c.next();
    assert_eq!(member(&answer, "id"), id.to_string(), "{answer}");
    let models = member(&member(&answer, "result"), "models");
    match member(&models, "rd_back.c").as_str() {
        r#"{"n":2}"# => {}
        r#"{"n":1}"# => c.expect_event("rd_back.c.change", r#"{"values":{"n":2}}"#),
        other => panic!("wrong state {other}"),
    }
    svc.event("rd_back.c.change", r#"{"values":{"n":3}}"#);
    c.expect_event("rd_back.c.change", r#"{"values":{"n":3}}"#);
}

#[test]
fn the_old_child_is_kept_until_the_change_that_drops_it_is_sent_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("rd_old");
    let id = c.ask("subscribe.rd_old.p");
    svc.serve("rd_old.p", r#"{"model":{"x":{"rid":"rd_old.a"}}}"#);
    svc.serve_get("rd_old.a", r#"{"model":{"n":1}}"#);
    c.expect_result(
        id,
        r#"{"models":{"rd_old.p":{"x":{"rid":"rd_old.a"}},"rd_old.a":{"n":1}}}"#,
    );
    svc.event("rd_old.p.change", r#"{"values":{"x":{"rid":"rd_old.b"}}}"#);
    let b = svc.expect("get.rd_old.b");
    // The client still sees a in p, so a must stay live.
    svc.event("rd_old.a.change", r#"{"values":{"n":2}}"#);
    c.expect_event("rd_old.a.change", r#"{"values":{"n":2}}"#);
    b.result(r#"{"model":{}}"#);
    c.expect_event(
        "rd_old.p.change",
        r#"{"values":{"x":{"rid":"rd_old.b"}},"models":{"rd_old.b":{}}}"#,
    );
    svc.event("rd_old.a.custom", "1");
    c.fence(&svc, "rd_old.a");
}

#[test]
fn a_call_is_answered_when_its_resource_is_dropped_meanwhile_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("rd_call");
    let id = c.ask("subscribe.rd_call.p");
    svc.serve("rd_call.p", r#"{"collection":[{"rid":"rd_call.c"}]}"#);
    svc.serve_get("rd_call.c", r#"{"model":{}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"rd_call.p":[{"rid":"rd_call.c"}]},"models":{"rd_call.c":{}}}"#,
    );
    let call = c.ask("call.rd_call.c.set");
    let access = svc.expect("access.rd_call.c");
    c.unsubscribe("rd_call.p");
    access.grant();
    svc.expect("call.rd_call.c.set").result("1");
    c.expect_result(call, r#"{"payload":1}"#);
}

#[test]
fn grandchildren_that_another_parent_holds_are_not_sent_again_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("rd_grand");
    let id = c.ask("subscribe.rd_grand.p");
    svc.serve("rd_grand.p", r#"{"collection":[{"rid":"rd_grand.m"}]}"#);
    svc.serve_get("rd_grand.m", r#"{"collection":[{"rid":"rd_grand.g"}]}"#);
    svc.serve_get("rd_grand.g", r#"{"model":{"n":1}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"rd_grand.p":[{"rid":"rd_grand.m"}],"rd_grand.m":[{"rid":"rd_grand.g"}]},"models":{"rd_grand.g":{"n":1}}}"#,
    );
    let id = c.ask("subscribe.rd_grand.q");
    svc.serve("rd_grand.q", r#"{"collection":[{"rid":"rd_grand.m"}]}"#);
    c.expect_result(
        id,
        r#"{"collections":{"rd_grand.q":[{"rid":"rd_grand.m"}]}}"#,
    );
    // q still holds m and with it g.
    c.unsubscribe("rd_grand.p");
    svc.event("rd_grand.g.change", r#"{"values":{"n":2}}"#);
    c.expect_event("rd_grand.g.change", r#"{"values":{"n":2}}"#);
    let id = c.ask("subscribe.rd_grand.r");
    svc.serve("rd_grand.r", r#"{"collection":[{"rid":"rd_grand.g"}]}"#);
    c.expect_result(
        id,
        r#"{"collections":{"rd_grand.r":[{"rid":"rd_grand.g"}]}}"#,
    );
}

#[test]
fn a_child_that_stood_twice_is_sent_again_after_it_was_dropped_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("rd_twice");
    let id = c.ask("subscribe.rd_twice.p");
    svc.serve("rd_twice.p", r#"{"collection":[{"rid":"rd_twice.c"}]}"#);
    svc.serve_get("rd_twice.c", r#"{"model":{"n":1}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"rd_twice.p":[{"rid":"rd_twice.c"}]},"models":{"rd_twice.c":{"n":1}}}"#,
    );
    svc.event(
        "rd_twice.p.add",
        r#"{"idx":0,"value":{"rid":"rd_twice.c"}}"#,
    );
    c.expect_event(
        "rd_twice.p.add",
        r#"{"idx":0,"value":{"rid":"rd_twice.c"}}"#,
    );
    // q holds c as well, but is not sent yet when p drops both.
    let id = c.ask("subscribe.rd_twice.q");
    svc.serve(
        "rd_twice.q",
        r#"{"collection":[{"rid":"rd_twice.c"},{"rid":"rd_twice.slow"}]}"#,
    );
    let slow = svc.expect("get.rd_twice.slow");
    for _ in 0..2 {
        svc.event("rd_twice.p.remove", r#"{"idx":0}"#);
        c.expect_event("rd_twice.p.remove", r#"{"idx":0}"#);
    }
    slow.result(r#"{"model":{}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"rd_twice.q":[{"rid":"rd_twice.c"},{"rid":"rd_twice.slow"}]},"models":{"rd_twice.c":{"n":1},"rd_twice.slow":{}}}"#,
    );
}

#[test]
fn what_an_opened_cycle_cuts_off_is_dropped_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("rd_cycle");
    let id = c.ask("subscribe.rd_cycle.a");
    svc.serve("rd_cycle.a", r#"{"model":{"n":{"rid":"rd_cycle.b"}}}"#);
    svc.serve_get("rd_cycle.b", r#"{"model":{"n":{"rid":"rd_cycle.c"}}}"#);
    svc.serve_get("rd_cycle.c", r#"{"model":{"n":{"rid":"rd_cycle.b"}}}"#);
    c.expect_result(
        id,
        r#"{"models":{"rd_cycle.a":{"n":{"rid":"rd_cycle.b"}},"rd_cycle.b":{"n":{"rid":"rd_cycle.c"}},"rd_cycle.c":{"n":{"rid":"rd_cycle.b"}}}}"#,
    );
    // b lets c go, which refers to b.
    svc.event("rd_cycle.b.change", r#"{"values":{"n":null}}"#);
    c.expect_event("rd_cycle.b.change", r#"{"values":{"n":null}}"#);
    svc.event("rd_cycle.c.custom", "1");
    c.fence(&svc, "rd_cycle.c");
    // Back again, it is sent again.
    svc.event(
        "rd_cycle.b.change",
        r#"{"values":{"n":{"rid":"rd_cycle.c"}}}"#,
    );
    c.expect_event(
        "rd_cycle.b.change",
        r#"{"values":{"n":{"rid":"rd_cycle.c"}},"models":{"rd_cycle.c":{"n":{"rid":"rd_cycle.b"}}}}"#,
    );
    c.unsubscribe("rd_cycle.a");
    for name in ["rd_cycle.a", "rd_cycle.b", "rd_cycle.c"] {
        svc.event(&format!("{name}.custom"), "1");
        c.fence(&svc, name);
    }
}
