//! Requests to services: their form, their limits, and what counts as their answer.

use crate::harness::{Heart, LINGER, REQUEST_TIMEOUT, error};

#[test]
fn the_gateway_listens_to_answers_and_system_events_only() {
    let mut h = Heart::new();
    let subjects = h.subscriptions();
    assert_eq!(subjects.len(), 2);
    assert!(subjects[0].starts_with("_INBOX."));
    assert_eq!(subjects[1], "system.*");
    // A client that has asked for nothing costs the broker nothing.
    h.client(1);
    assert_eq!(h.subscriptions().len(), 2);
    h.client(1).subscribe(1, "test.model");
    let connection = format!("conn.{}.*", h.cid(1));
    assert_eq!(
        h.subscriptions()[1..],
        [&*connection, "event.test.model.*", "system.*"]
    );
    h.grant("test.model");
    h.serve("test.model", r#"{"model":{}}"#);
    assert_eq!(h.client(1).messages().len(), 1);
    h.close(1);
    assert_eq!(h.subscriptions()[1..], ["event.test.model.*", "system.*"]);
    h.advance(LINGER - 1);
    assert_eq!(h.event_subscriptions(), ["event.test.model.*"]);
    h.advance(1);
    assert_eq!(h.event_subscriptions(), [""; 0]);
}

#[test]
fn payloads_have_the_form_that_services_know() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, r#"test.list?q=a b&c=\""#);
    let access = h.expect_request("access.test.list");
    assert_eq!(
        access.payload,
        r#"{"token":null,"query":"q=a b\u0026c=\"","cid":"$CID"}"#
    );
    let get = h.expect_request("get.test.list");
    assert_eq!(get.payload, r#"{"query":"q=a b\u0026c=\""}"#);
    h.respond(&access, r#"{"result":{"get":true,"call":"set"}}"#);
    h.respond(&get, r#"{"result":{"collection":[],"query":"n"}}"#);
    assert_eq!(h.client(1).messages().len(), 1);

    h.client(1).subscribe(2, "test.model?");
    assert_eq!(
        h.expect_request("access.test.model").payload,
        r#"{"token":null,"cid":"$CID"}"#
    );
    assert_eq!(h.expect_request("get.test.model").payload, "{}");

    h.token(1, r#"{"token": {"user": 1.0, "n": 12345678901234567890}}"#);
    h.client(1)
        .send(r#"{"id":3,"method":"call.test.other?q=x.y.set","params":{"a": [1e3, 1.0]}}"#);
    let access = h.expect_request("access.test.other");
    assert_eq!(
        access.payload,
        r#"{"token":{"user":1.0,"n":12345678901234567890},"query":"q=x.y","cid":"$CID"}"#
    );
    h.respond(&access, r#"{"result":{"call":"set"}}"#);
    let call = h.expect_request("call.test.other.set");
    assert_eq!(
        call.payload,
        r#"{"params":{"a":[1e3,1.0]},"token":{"user":1.0,"n":12345678901234567890},"query":"q=x.y","cid":"$CID"}"#
    );
    h.client(1).request(4, "auth.test.login");
    assert_eq!(
        h.expect_request("auth.test.login").payload,
        r#"{"params":null,"token":{"user":1.0,"n":12345678901234567890},"cid":"$CID","header":{},"host":"h1","uri":"/","remoteAddr":"10.0.0.1:4001"}"#
    );
}

#[test]
fn what_nobody_serves_is_not_found() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.nobody_answers("access.test.model");
    h.client(1)
        .receives(&error(1, "system.notFound", "Not found"));
    h.nobody_answers("get.test.model");
    h.client(1).request(2, "auth.test.login");
    h.nobody_answers("auth.test.login");
    h.client(1)
        .receives(&error(2, "system.notFound", "Not found"));
    // A status with a payload, or another one, is an ordinary answer.
    h.client(1).request(3, "auth.test.login");
    let auth = h.expect_request("auth.test.login");
    h.respond_with(&auth, br#"{"result":1}"#, Some(503));
    h.client(1).receives(r#"{"result":{"payload":1},"id":3}"#);
}

#[test]
fn a_second_answer_is_ignored() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.login");
    let auth = h.expect_request("auth.test.login");
    h.respond(&auth, r#"{"result":1}"#);
    h.respond(&auth, r#"{"result":2}"#);
    h.respond(&auth, "timeout:\"9999\"");
    h.client(1)
        .receives(r#"{"result":{"payload":1},"id":1}"#)
        .receives_nothing();
}

#[test]
fn a_pre_response_sets_the_time_out_from_its_arrival() {
    for (pre, at, wait) in [
        ("timeout:\"10000\"", 2_000, 10_000),
        ("timeout:\"500\"", 1_000, 500),
        ("hello:\"x y\" timeout:\"7000\"", 100, 7_000),
        ("timeout:\"0\"", 100, 0),
        ("timeout:\"18446744073709551615\"", 100, 86_400_000),
    ] {
        let mut h = Heart::new();
        h.client(1).request(1, "auth.test.login");
        let auth = h.expect_request("auth.test.login");
        h.advance(at);
        h.respond(&auth, pre);
        if wait > 0 {
            h.advance(wait - 1);
        }
        h.client(1).receives_nothing();
        h.advance(1);
        h.client(1)
            .receives(&error(1, "system.timeout", "Request timeout"));
    }
}

#[test]
fn a_pre_response_may_be_repeated_and_the_answer_still_counts() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.login");
    let auth = h.expect_request("auth.test.login");
    for _ in 0..5 {
        h.advance(2_900);
        h.respond(&auth, "timeout:\"3000\"");
    }
    h.respond(&auth, "timeout:\"99999999999999999999999\"");
    h.respond(&auth, r#"{"result":1}"#);
    h.client(1).receives(r#"{"result":{"payload":1},"id":1}"#);
}

#[test]
fn time_outs_come_in_their_order() {
    let mut h = Heart::new();
    for id in 0..3 {
        h.client(1).request(id, "auth.test.login");
        h.advance(100);
    }
    let first = h.expect_request("auth.test.login");
    h.respond(&first, "timeout:\"2850\"");
    for id in [1, 0, 2] {
        while h.client(1).messages_waiting() == 0 {
            h.advance(10);
        }
        h.client(1)
            .receives(&error(id, "system.timeout", "Request timeout"))
            .receives_nothing();
    }
    for _ in 1..3 {
        h.expect_request("auth.test.login");
    }
}

#[test]
fn a_subject_up_to_4067_bytes_is_sent_and_fits_the_control_line() {
    let mut h = Heart::new();
    for length in 4_030..4_075 {
        let name = "x".repeat(length - "access.".len());
        h.client(1).subscribe(1, &name);
        if length > 4_067 {
            h.client(1)
                .receives(&error(1, "system.subjectTooLong", "Subject too long"));
            h.expect_no_request();
            continue;
        }
        for kind in ["access", "get"] {
            let request = h.expect_request(&format!("{kind}.{name}"));
            let size = request.payload.len().to_string();
            let line = [&request.subject, &request.reply, &size].map(|part| part.len() + 1);
            assert!(line.iter().sum::<usize>() - 1 <= 4_096, "{length}");
            h.respond(&request, r#"{"result":{"get":true,"model":{}}}"#);
        }
        let answer = h.client(1).message();
        assert!(answer.starts_with(r#"{"result":{"models""#));
        h.change(&name, r#"{"a":1}"#);
        assert_eq!(h.client(1).messages().len(), 1);
    }
}

#[test]
fn answers_to_long_subjects_find_their_own_requests() {
    let mut h = Heart::new();
    let method = |n: usize| format!("auth.test.{}{n}", "m".repeat(4_056));
    for n in 0..8 {
        h.client(1).request(n as u64, &method(n));
    }
    let requests: Vec<_> = (0..8).map(|n| h.expect_request(&method(n))).collect();
    assert!(requests.iter().all(|r| r.reply.len() == 20));
    for n in [3, 0, 7, 1] {
        h.respond(&requests[n], &format!(r#"{{"result":{n}}}"#));
        h.client(1)
            .receives(&format!(r#"{{"result":{{"payload":{n}}},"id":{n}}}"#));
        // A second answer meets nobody, not even a new request.
        h.client(1).request(99, &method(n));
        h.respond(&requests[n], r#"{"result":"late"}"#);
        h.client(1).receives_nothing();
        let again = h.expect_request(&method(n));
        assert_ne!(again.reply, requests[n].reply);
        h.respond(&again, r#"{"result":null}"#);
        assert_eq!(h.client(1).messages().len(), 1);
    }
    h.advance(REQUEST_TIMEOUT);
    assert_eq!(h.client(1).messages().len(), 4);
    assert_eq!(h.stats().pending, 0);
}

#[test]
fn a_payload_that_the_broker_would_not_take_fails_alone() {
    let mut h = Heart::with_max_payload(1_000);
    h.client(1);
    let params = "x".repeat(2_000);
    h.client(1).send(&format!(
        r#"{{"id":1,"method":"auth.test.login","params":"{params}"}}"#
    ));
    let answer = h.client(1).message();
    assert!(answer.contains(r#""code":"system.internalError""#));
    // The query makes access and get too large.
    h.client(1).subscribe(2, &format!("test.list?{params}"));
    let answer = h.client(1).message();
    assert!(answer.contains(r#""code":"system.internalError""#));
    h.expect_no_request();
    h.client(1).call(3, "test.model.set");
    h.grant("test.model");
    h.expect_request("call.test.model.set");
    h.advance(REQUEST_TIMEOUT);
    h.client(1)
        .receives(&error(3, "system.timeout", "Request timeout"));
}

#[test]
fn strange_messages_of_the_broker_are_ignored() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{"a":1}}"#);
    for subject in ["system.reset", "system.tokenReset", "system.other"] {
        for payload in [
            "",
            "null",
            "1",
            "[]",
            "nonsense",
            "{}",
            r#"{"resources":"test.>"}"#,
            r#"{"resources":[1]}"#,
            r#"{"resources":["test..model","*a",">.x","","te st"],"access":null}"#,
            r#"{"tids":["a"]}"#,
            r#"{"tids":"a","subject":"s"}"#,
            r#"{"tids":["a"],"subject":""}"#,
            r#"{"tids":["a"],"subject":"a b"}"#,
            r#"{"tids":["a"],"subject":"a.*"}"#,
        ] {
            h.event(subject, payload);
        }
    }
    let cid = h.cid(1);
    for payload in ["", "1", "nonsense", r#"{"token":1,"tid":7}"#] {
        h.event(&format!("conn.{cid}.token"), payload);
        h.event(&format!("conn.{cid}.other"), payload);
    }
    h.expect_no_request();
    h.client(1).receives_nothing();
}
