//! Services that speak older versions of the protocol.

use rustix::process::Signal;

use crate::common::*;

#[test]
fn old_forms_work_and_are_spoken_of_once_each() {
    let mut stack = Stack::start(&["--reqtimeout=60000"]);
    let svc = stack.service("test");
    let mut c = stack.client();
    c.subscribe(&svc, "test.a", r#"{"model":{"a":1,"values":0}}"#);
    for value in 2..4 {
        svc.event("test.a.change", &format!(r#"{{"a":{value}}}"#));
        c.expect_event("test.a.change", &format!(r#"{{"values":{{"a":{value}}}}}"#));
    }
    // The present form, and an event that changes nothing, are no matter of this.
    svc.event("test.a.change", r#"{"values":{"a":9}}"#);
    c.expect_event("test.a.change", r#"{"values":{"a":9}}"#);
    svc.event("test.a.change", "{}");
    for (method, name) in [("new.test.l", "b"), ("call.test.l.new", "c")] {
        let id = c.ask(method);
        svc.expect("access.test.l").grant();
        svc.expect("call.test.l.new")
            .result(&format!(r#"{{"rid":"test.{name}"}}"#));
        svc.serve(&format!("test.{name}"), r#"{"model":{}}"#);
        c.expect_result(
            id,
            &format!(r#"{{"rid":"test.{name}","models":{{"test.{name}":{{}}}}}}"#),
        );
    }
    if is_peer() {
        return;
    }
    stack.gateway.signal(Signal::TERM);
    stack.gateway.wait(PATIENCE);
    let log = stack.gateway.log();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("deprecated"))
        .collect();
    let [change, new] = warnings[..] else {
        panic!("one line each in:\n{log}");
    };
    assert!(change.contains("[WRN] a change event of test.a has the form of protocol 1.0"));
    assert!(new.contains("[WRN] a new call of test.l is answered in the form of protocol 1.1"));
}

#[test]
fn an_auth_method_of_the_name_new_has_no_old_form() {
    let (svc, mut c) = pair("legacy_auth");
    let id = c.ask("auth.legacy_auth.l.new");
    svc.expect("auth.legacy_auth.l.new")
        .result(r#"{"rid":"legacy_auth.b"}"#);
    c.expect_result(id, r#"{"payload":{"rid":"legacy_auth.b"}}"#);
}

#[test]
fn access_of_the_first_drafts_is_no_access() {
    let (svc, mut c) = pair("legacy_read");
    let id = c.ask("subscribe.legacy_read.a");
    let [access, get] = svc.expect_all(["access.legacy_read.a", "get.legacy_read.a"]);
    access.result(r#"{"read":true}"#);
    get.result(r#"{"model":{}}"#);
    c.expect_error(id, "system.accessDenied", "Access denied");
}

#[test]
fn the_broker_may_be_read_message_by_message_unlike_resgate() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("buffer-size.json");
    std::fs::write(&path, r#"{"bufferSize":1}"#).expect("a file");
    let path = path.to_str().expect("text");
    if is_peer() {
        // Its buffer overflows, and it ends.
        return;
    }
    let stack = Stack::start(&["--reqtimeout=60000", "-c", path]);
    let svc = stack.service("test");
    let mut c = stack.client();
    c.subscribe(&svc, "test.a", r#"{"model":{"n":0}}"#);
    for n in 1..=2_000 {
        svc.event("test.a.change", &format!(r#"{{"values":{{"n":{n}}}}}"#));
    }
    for n in 1..=2_000 {
        c.expect_event("test.a.change", &format!(r#"{{"values":{{"n":{n}}}}}"#));
    }
}
