//! Services that keep to nothing, over a real broker: payloads as large as it lets them
//! be, answers late and twice, tokens that leave no room, messages nobody asked for.
//! `tests/heart/bad_services.rs` has the tables of wrong shapes.

use crate::common::*;
use crate::leaks::Observed;

/// The broker's limit of a payload.
const PAYLOAD_MAX: usize = 1 << 20;

#[test]
fn payloads_may_be_as_large_as_the_broker_takes() {
    let mut observed = Observed::start(&["--reqtimeout", "60000"]);
    let svc = observed.stack.service("large");
    let mut c = observed.stack.client();
    let filled = |front: &str, back: &str| {
        let length = PAYLOAD_MAX - front.len() - back.len();
        format!("{front}{}{back}", "x".repeat(length))
    };
    let model = filled(r#"{"result":{"model":{"a":""#, r#""}}}"#);
    let id = c.ask("subscribe.large.a");
    let [access, get] = svc.expect_all(["access.large.a", "get.large.a"]);
    access.grant();
    get.respond(&model);
    let length = model.len() - r#"{"result":{"model":{"a":""}}}"#.len();
    let text = "x".repeat(length);
    c.expect_result(
        id,
        &format!(r#"{{"models":{{"large.a":{{"a":"{text}"}}}}}}"#),
    );

    let event = filled(r#"{"values":{"a":""#, r#"y"}}"#);
    svc.event("large.a.change", &event);
    c.expect_event("large.a.change", &event);
    observed.is_undisturbed();

    // What does not fit into a request is never sent: the broker would end the gateway.
    // An auth request also holds the header of the client's own.
    let params = format!("\"{}\"", "x".repeat(PAYLOAD_MAX - 100));
    let id = c.ask_with("auth.large.a.set", &params);
    let answer = c.next();
    assert_eq!(member(&answer, "id"), id.to_string());
    let error = member(&answer, "error");
    assert_eq!(member(&error, "code"), "system.internalError");
    observed.is_undisturbed();
    c.unsubscribe("large.a");
    drop((c, svc, text, model, event));
    observed.expect_nothing_left();
}

#[test]
fn a_token_that_leaves_no_room_harms_its_own_client_only_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut observed = Observed::start(&["--reqtimeout", "60000"]);
    let svc = observed.stack.service("token");
    let mut c = observed.stack.client();
    let (front, back) = (r#"{"token":""#, r#""}"#);
    let length = PAYLOAD_MAX - front.len() - back.len();
    c.set_token(
        &svc,
        "token.a",
        &format!("{front}{}{back}", "x".repeat(length)),
    );
    for method in ["subscribe.token.a", "call.token.a.set", "auth.token.a.set"] {
        let id = c.ask(method);
        let answer = c.next();
        assert_eq!(member(&answer, "id"), id.to_string());
        let error = member(&answer, "error");
        assert_eq!(member(&error, "code"), "system.internalError", "{method}");
        observed.is_undisturbed();
    }
    drop(c);
    observed.expect_nothing_left();
}

#[test]
fn late_and_repeated_answers_reach_nobody() {
    let mut observed = Observed::start(&["--reqtimeout", "300"]);
    let svc = observed.stack.service("late");
    let (mut c, mut other) = (observed.stack.client(), observed.stack.client());
    let secret = r#"{"result":{"get":true,"call":"*","model":{"secret":1}}}"#;
    let mut late = Vec::new();
    for _ in 0..5 {
        let id = c.ask("subscribe.late.a");
        late.extend(svc.expect_all(["access.late.a", "get.late.a"]));
        c.expect_error(id, "system.timeout", "Request timeout");
        let id = other.ask("auth.late.b.set");
        let request = svc.expect("auth.late.b.set");
        for request in &late {
            request.respond(secret);
        }
        request.result(r#""mine""#);
        for _ in 0..3 {
            request.respond(secret);
        }
        other.expect_result(id, r#"{"payload":"mine"}"#);
        late.push(request);
        c.fence(&svc, "late.a");
        other.fence(&svc, "late.b");
        observed.is_undisturbed();
    }
    drop((c, other));
    observed.expect_nothing_left();
}

/// The gateway hears some subjects that mean nothing.
#[test]
fn messages_that_nobody_asked_for_are_ignored() {
    let mut observed = Observed::start(&["--reqtimeout", "60000"]);
    let svc = observed.stack.service("odd");
    let mut c = observed.stack.client();
    c.subscribe(&svc, "odd.a", r#"{"model":{"a":1}}"#);
    let cid = c.cid(&svc, "odd.a");
    for subject in [
        "system.unknown",
        "system.\u{e9}",
        "system.RESET",
        &format!("conn.{cid}.close"),
        &format!("conn.{cid}.TOKEN"),
        &format!("conn.{cid}.\u{1f600}"),
        &format!("conn.{cid}x.token"),
        "conn.*.token",
        "event.odd",
        "event.odd.a",
        "event.odd.a.b.change",
        "event.odd.A.change",
        "event.odd.b.change",
    ] {
        for payload in [
            &br#"{"token":1,"values":{"a":2},"resources":["odd.a"]}"#[..],
            b"",
            b"\xff\0",
        ] {
            svc.publish(subject, payload);
        }
    }
    c.fence(&svc, "odd.a");
    observed.is_undisturbed();
    // A name of an event is the service's choice, within what may stand in text.
    let name = format!("\u{1f600}{}", "n".repeat(3_000));
    svc.event(&format!("odd.a.{name}"), "7");
    c.expect_event(&format!("odd.a.{name}"), "7");
    c.fence(&svc, "odd.a");
    drop(c);
    observed.expect_nothing_left();
}

/// A flood of refused requests of every kind leaves nothing behind.
#[test]
fn refused_requests_leave_nothing_behind_unlike_resgate() {
    if is_peer() {
        return;
    }
    let observed = Observed::start(&["--reqtimeout", "60000"]);
    let mut c = observed.stack.client();
    let long = "x".repeat(5_000);
    for round in 0..200 {
        for (method, code) in [
            ("subscribe.a..b".to_owned(), "system.invalidRequest"),
            ("call.a".to_owned(), "system.invalidRequest"),
            ("nonsense".to_owned(), "system.invalidRequest"),
            ("unsubscribe.never.held".to_owned(), "system.noSubscription"),
            (format!("get.{round}.{long}"), "system.subjectTooLong"),
            (
                format!("subscribe.{round}.{long}?q"),
                "system.subjectTooLong",
            ),
            (format!("call.{round}.{long}.set"), "system.subjectTooLong"),
            (format!("auth.{round}.{long}"), "system.subjectTooLong"),
            (format!("subscribe.nobody.{round}"), "system.notFound"),
        ] {
            let id = c.ask(&method);
            let answer = c.next();
            assert_eq!(member(&answer, "id"), id.to_string(), "{answer}");
            assert_eq!(member(&member(&answer, "error"), "code"), code, "{answer}");
        }
    }
    drop(c);
    observed.expect_nothing_left();
}
