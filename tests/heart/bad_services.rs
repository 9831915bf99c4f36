//! Services and clients that keep to nothing: answers late, twice, never, of the wrong
//! shape or for the wrong kind of resource, or too large. Whoever caused it gets the protocol's error; somebody else, who uses
//! something else, notices nothing, and nothing is left behind.

use crate::harness::{Heart, REQUEST_TIMEOUT, Request, changed, error, nothing_new};

pub const MODEL: &str = r#"{"model":{"a":1}}"#;
const LIST: &str = r#"{"collection":[1,2]}"#;

/// A heart with a client of something else.
pub fn with_bystander() -> Heart {
    let mut h = Heart::new();
    h.subscribed(9, "by.stander", r#"{"model":{"n":0}}"#);
    h
}

/// The bystander has got nothing so far, and gets what it should.
pub fn is_undisturbed(h: &mut Heart) {
    h.client(9).receives_nothing();
    for n in [1, 0] {
        let values = format!(r#"{{"n":{n}}}"#);
        h.change("by.stander", &values);
        h.client(9).receives(&changed("by.stander", &values));
    }
}

/// What a client gets for an answer of the wrong shape.
#[track_caller]
fn is_internal_error(got: &str, id: u64) {
    let front = r#"{"error":{"code":"system.internalError","message":"Internal error: "#;
    assert!(
        got.starts_with(front) && got.ends_with(&format!(r#","id":{id}}}"#)),
        "{got}"
    );
}

#[test]
fn late_and_repeated_answers_reach_nobody() {
    let secret = r#"{"result":{"get":true,"call":"*","model":{"secret":1}}}"#;
    let mut h = with_bystander();
    let mut old: Vec<Request> = Vec::new();
    for round in 0..5 {
        // Never answered.
        h.client(1).subscribe(1, "one").request(2, "auth.one.set");
        for subject in ["access.one", "get.one", "auth.one.set"] {
            old.push(h.expect_request(subject));
        }
        h.advance(REQUEST_TIMEOUT);
        assert_eq!(h.client(1).messages().len(), 2, "round {round}");
        // Another client's requests take the places of those that are over.
        h.client(2).subscribe(1, "two").request(2, "auth.two.set");
        let [access, get, auth] =
            ["access.two", "get.two", "auth.two.set"].map(|subject| h.expect_request(subject));
        for request in &old {
            h.respond(request, secret);
        }
        h.client(1).receives_nothing();
        h.client(2).receives_nothing();
        h.respond(&auth, r#"{"result":"mine"}"#);
        h.client(2)
            .receives(r#"{"result":{"payload":"mine"},"id":2}"#);
        h.respond(&access, r#"{"result":{"get":true}}"#);
        h.respond(&get, r#"{"result":{"model":{"a":1}}}"#);
        h.client(2)
            .receives(r#"{"result":{"models":{"two":{"a":1}}},"id":1}"#);
        // Again, and otherwise.
        for request in [&access, &get, &auth] {
            h.respond(request, secret);
            h.respond(request, r#"{"error":{"code":"x","message":"X"}}"#);
            h.respond_with(request, b"", Some(503));
        }
        h.client(2).receives_nothing();
        h.unsubscribed(2, "two");
        h.advance(10_000);
        old.extend([access, get, auth]);
        is_undisturbed(&mut h);
    }
}

/// The subject for answers says which request is meant; most say none.
#[test]
fn answers_to_nothing_are_ignored() {
    let mut h = with_bystander();
    h.client(1).request(1, "auth.test.set");
    let auth = h.expect_request("auth.test.set");
    let (inbox, tail) = auth.reply.rsplit_once('.').expect("an inbox has two parts");
    let flipped: String = tail
        .chars()
        .map(|c| if c == 'a' { 'b' } else { 'a' })
        .collect();
    for wrong in [
        "".to_owned(),
        " ".to_owned(),
        "0".to_owned(),
        "\u{e9}".to_owned(),
        "\u{1f600}\u{1f600}".to_owned(),
        tail[1..].to_owned(),
        format!("{tail}0"),
        format!("0{tail}"),
        format!("-{tail}"),
        tail.to_uppercase() + "!",
        flipped,
        "f".repeat(tail.len()),
        "z".repeat(tail.len()),
        "9".repeat(4_000),
    ] {
        let request = Request {
            reply: format!("{inbox}.{wrong}"),
            ..auth.clone()
        };
        h.respond(&request, r#"{"result":"wrong"}"#);
        h.client(1).receives_nothing();
    }
    h.respond(&auth, r#"{"result":1}"#);
    h.client(1).receives(r#"{"result":{"payload":1},"id":1}"#);
    is_undisturbed(&mut h);
}

#[test]
fn access_answers_of_the_wrong_shape_grant_nothing() {
    for answer in [
        "{}",
        "[]",
        "7",
        "\"get\"",
        r#"{"result":true}"#,
        r#"{"result":[]}"#,
        r#"{"result":"*"}"#,
        r#"{"result":{"get":"true"}}"#,
        r#"{"result":{"get":1}}"#,
        r#"{"result":{"get":{}}}"#,
        r#"{"result":{"get":true,"call":true}}"#,
        r#"{"result":{"get":true,"call":["*"]}}"#,
        r#"{"result":{"get":true},"error":1}"#,
        r#"{"result":{"get":true},"error":"no"}"#,
        r#"{"result":{"get":true},"error":[]}"#,
        r#"{"result":{"get":true},"error":{"code":1}}"#,
        r#"{"result":{"get":true},"error":{"message":[]}}"#,
        r#"{"result":{"get":true},"meta":7}"#,
        r#"{"result":{"get":true},"meta":{"status":"404"}}"#,
        r#"{"result":{"get":true},"meta":{"header":[]}}"#,
        r#"{"result":{"model":{"a":1}}}"#,
        r#"{"resource":{"rid":"test"}}"#,
    ] {
        println!("{answer}");
        let mut h = with_bystander();
        h.client(1).subscribe(1, "test").call(2, "test.set");
        h.access("test", answer);
        let messages = h.client(1).messages();
        assert_eq!(messages.len(), 2, "{messages:?}");
        for message in messages {
            assert!(
                message.starts_with(r#"{"error":{"code":"system."#),
                "{message}"
            );
        }
        h.serve("test", MODEL);
        h.client(1).receives_nothing();
        is_undisturbed(&mut h);
    }
}

#[test]
fn get_answers_of_the_wrong_shape_are_not_cached() {
    for answer in [
        "{}",
        "[]",
        "7",
        r#"{"result":null}"#,
        r#"{"result":true}"#,
        r#"{"result":[]}"#,
        r#"{"result":{}}"#,
        r#"{"result":{"a":1}}"#,
        r#"{"result":{"get":true}}"#,
        r#"{"result":{"model":null}}"#,
        r#"{"result":{"model":1}}"#,
        r#"{"result":{"model":"a"}}"#,
        r#"{"result":{"model":[]}}"#,
        r#"{"result":{"collection":{}}}"#,
        r#"{"result":{"collection":"[]"}}"#,
        r#"{"result":{"model":{},"collection":[]}}"#,
        r#"{"result":{"model":{},"query":7}}"#,
        r#"{"result":{"model":{"a":{}}}}"#,
        r#"{"result":{"model":{"a":[]}}}"#,
        r#"{"result":{"model":{"a":{"b":1}}}}"#,
        r#"{"result":{"model":{"a":{"rid":""}}}}"#,
        r#"{"result":{"model":{"a":{"rid":7}}}}"#,
        r#"{"result":{"model":{"a":{"rid":"b..c"}}}}"#,
        r#"{"result":{"model":{"a":{"rid":"b.*"}}}}"#,
        r#"{"result":{"model":{"a":{"rid":"b","soft":"yes"}}}}"#,
        r#"{"result":{"model":{"a":{"rid":"b","data":1}}}}"#,
        r#"{"result":{"model":{"a":{"rid":"b","action":"delete"}}}}"#,
        r#"{"result":{"model":{"a":{"action":"delete"}}}}"#,
        r#"{"result":{"model":{"a":{"action":"explode"}}}}"#,
        r#"{"result":{"collection":[{"action":"delete"}]}}"#,
        r#"{"result":{"collection":[[]]}}"#,
        r#"{"result":{"model":{}},"error":7}"#,
        r#"{"resource":{"rid":"by.stander"}}"#,
    ] {
        println!("{answer}");
        let mut h = with_bystander();
        h.client(1).subscribe(1, "test");
        h.grant("test");
        let get = h.expect_request("get.test");
        h.respond(&get, answer);
        let got = h.client(1).message();
        is_internal_error(&got, 1);
        // The next one asks again, and a child fails alone.
        h.client(1).subscribe(2, "parent");
        h.grant("parent");
        h.serve("parent", r#"{"model":{"c":{"rid":"test"}}}"#);
        let get = h.expect_request("get.test");
        h.respond(&get, answer);
        let got = h.client(1).message();
        assert!(
            got.contains(r#""models":{"parent":{"c":{"rid":"test"}}}"#),
            "{got}"
        );
        assert!(
            got.contains(r#""errors":{"test":{"code":"system.internalError""#),
            "{got}"
        );
        h.client(2).subscribe(1, "test");
        h.grant("test");
        h.serve("test", MODEL);
        h.client(2)
            .receives(r#"{"result":{"models":{"test":{"a":1}}},"id":1}"#);
        is_undisturbed(&mut h);
    }
}

#[test]
fn call_answers_of_the_wrong_shape_return_nothing() {
    for answer in [
        "{}",
        "[]",
        "7",
        r#"{"payload":1}"#,
        r#"{"error":7}"#,
        r#"{"error":"no"}"#,
        r#"{"error":{"code":7}}"#,
        r#"{"result":1,"error":[]}"#,
        r#"{"resource":7}"#,
        r#"{"resource":[]}"#,
        r#"{"resource":"test"}"#,
        r#"{"resource":{"rid":7}}"#,
        r#"{"resource":{"rid":"a b"}}"#,
        r#"{"resource":{"rid":"a.>"}}"#,
        r#"{"result":1,"resource":{}}"#,
        r#"{"result":1,"meta":[]}"#,
    ] {
        for method in ["call.test.set", "auth.test.set", "new.test"] {
            println!("{method}: {answer}");
            let mut h = with_bystander();
            h.client(1).request(1, method);
            let subject = match method {
                "auth.test.set" => "auth.test.set",
                _ => {
                    h.grant("test");
                    match method {
                        "new.test" => "call.test.new",
                        _ => method,
                    }
                }
            };
            let call = h.expect_request(subject);
            h.respond(&call, answer);
            let got = h.client(1).message();
            is_internal_error(&got, 1);
            is_undisturbed(&mut h);
        }
    }
}

/// Events that do not fit: name, event, payload.
const UNFIT_EVENTS: &[(&str, &str, &str)] = &[
    ("model", "add", r#"{"idx":0,"value":1}"#),
    ("model", "remove", r#"{"idx":0}"#),
    ("model", "change", "7"),
    ("model", "change", "[]"),
    ("model", "change", "null"),
    ("model", "change", ""),
    ("model", "change", r#"{"values":{"a":2,"b":[]}}"#),
    ("model", "change", r#"{"values":{"a":2,"b":{}}}"#),
    (
        "model",
        "change",
        r#"{"values":{"a":2,"b":{"rid":"x..y"}}}"#,
    ),
    (
        "model",
        "change",
        r#"{"values":{"a":2,"b":{"action":"explode"}}}"#,
    ),
    ("model", "change", r#"{"a":2,"b":{"c":1}}"#),
    ("model", "reaccess.more", ""),
    ("list", "change", r#"{"values":{"0":7}}"#),
    ("list", "add", ""),
    ("list", "add", "[]"),
    ("list", "add", r#"{"idx":0}"#),
    ("list", "add", r#"{"idx":-1,"value":1}"#),
    ("list", "add", r#"{"idx":3,"value":1}"#),
    ("list", "add", r#"{"idx":1.0,"value":1}"#),
    ("list", "add", r#"{"idx":"1","value":1}"#),
    ("list", "add", r#"{"idx":18446744073709551615,"value":1}"#),
    ("list", "add", r#"{"idx":18446744073709551616,"value":1}"#),
    ("list", "add", r#"{"idx":0,"value":[]}"#),
    ("list", "add", r#"{"idx":0,"value":{"action":"delete"}}"#),
    ("list", "remove", ""),
    ("list", "remove", "0"),
    ("list", "remove", r#"{"idx":2}"#),
    ("list", "remove", r#"{"idx":-1}"#),
    ("list", "remove", r#"{"idx":18446744073709551615}"#),
    ("list", "query", ""),
    ("list", "query", "{}"),
    ("list", "query", r#"{"subject":""}"#),
    ("list", "query", r#"{"subject":7}"#),
    ("list", "query", r#"{"subject":"ask me"}"#),
    ("list", "query", r#"{"subject":"ask.*"}"#),
    ("list", "query", r#"{"subject":"ask..me"}"#),
    ("list", "query", "{\"subject\":\"a\\r\\nPUB b 0\\r\\n\"}"),
];

#[test]
fn events_of_the_wrong_shape_or_kind_change_nothing() {
    let huge = format!(r#"{{"idx":{},"value":1}}"#, "9".repeat(400));
    let huge = [("list", "add", &*huge), ("list", "remove", &huge)];
    let mut h = with_bystander();
    h.subscribed(1, "model", MODEL);
    h.subscribed(1, "list", LIST);
    h.subscribed(2, "list?q=1", r#"{"collection":[1],"query":"q=1"}"#);
    for (name, event, payload) in UNFIT_EVENTS.iter().copied().chain(huge) {
        println!("{name}.{event} {payload}");
        if event.contains('.') {
            // Somebody else's event: the gateway does not even hear it.
            h.event_in_the_void(&format!("event.{name}.{event}"));
            continue;
        }
        h.event(&format!("event.{name}.{event}"), payload);
        h.client(1).receives_nothing();
        h.client(2).receives_nothing();
        h.expect_no_request();
        is_undisturbed(&mut h);
    }
    // What is cached is what was sent.
    assert_eq!(
        h.subscribed_again(3, "model"),
        r#"{"result":{"models":{"model":{"a":1}}},"id":100}"#
    );
    assert_eq!(
        h.subscribed_again(3, "list"),
        r#"{"result":{"collections":{"list":[1,2]}},"id":100}"#
    );
}

#[test]
fn a_reset_or_a_query_never_changes_the_kind_of_a_resource() {
    for answer in [
        LIST,
        r#"{"collection":[]}"#,
        r#"{}"#,
        "7",
        r#"{"model":[]}"#,
    ] {
        let mut h = with_bystander();
        h.subscribed(1, "test", MODEL);
        h.event("system.reset", r#"{"resources":["test"]}"#);
        h.serve("test", answer);
        h.client(1).receives_nothing();
        // What is true is not known: the events go on, and it asks again.
        h.change("test", r#"{"a":2}"#);
        h.client(1)
            .receives(&changed("test", r#"{"a":2}"#))
            .receives_nothing();
        for _ in 0..600 {
            if h.subjects().is_empty() {
                h.advance(100);
            }
        }
        h.serve("test", r#"{"model":{"a":2}}"#);
        h.client(1).receives_nothing();
        is_undisturbed(&mut h);
    }
}

#[test]
fn system_and_connection_events_of_the_wrong_shape_are_ignored() {
    let table = [
        ("system.reset", r#"{"resources":"test"}"#),
        ("system.reset", r#"{"resources":[7,"test"]}"#),
        ("system.reset", r#"{"resources":{"test":true}}"#),
        ("system.reset", r#"{"resources":["test."]}"#),
        (
            "system.reset",
            r#"{"resources":["test>","*test",".>",">.test",""]}"#,
        ),
        (
            "system.reset",
            r#"{"access":["te*t","test.>","\u0000","TEST"]}"#,
        ),
        (
            "system.tokenReset",
            r#"{"tids":"t","subject":"auth.test.x"}"#,
        ),
        ("system.tokenReset", r#"{"tids":["t"],"subject":7}"#),
        ("system.tokenReset", r#"{"tids":["t"],"subject":""}"#),
        ("system.tokenReset", r#"{"tids":["t"]}"#),
        (
            "system.tokenReset",
            r#"{"tids":["T","", "u"],"subject":"auth.test.x"}"#,
        ),
        (
            "system.tokenReset",
            r#"{"tids":["t"],"subject":"auth.*.x"}"#,
        ),
        (
            "system.tokenReset",
            "{\"tids\":[\"t\"],\"subject\":\"a\\r\\nPUB b 0\\r\\n\"}",
        ),
        ("system.Reset", r#"{"resources":["test"]}"#),
        ("system.", r#"{"resources":["test"]}"#),
    ];
    let mut h = with_bystander();
    h.subscribed(1, "test", MODEL);
    h.token(1, r#"{"token":{"user":1},"tid":"t"}"#);
    for (subject, payload) in table {
        println!("{subject} {payload}");
        h.event(subject, payload);
        h.expect_no_request();
        h.client(1).receives_nothing();
        is_undisturbed(&mut h);
    }
    let cid = h.cid(1);
    for (event, payload) in [
        ("token", "7"),
        ("token", "[]"),
        ("token", r#"{"token":2,"tid":7}"#),
        ("Token", r#"{"token":2}"#),
        ("", r#"{"token":2}"#),
        ("close", "{}"),
    ] {
        println!("{event} {payload}");
        h.event(&format!("conn.{cid}.{event}"), payload);
        h.expect_no_request();
    }
    h.client(1).request(1, "auth.test.x");
    let auth = h.expect_request("auth.test.x");
    assert!(
        auth.payload.contains(r#""token":{"user":1}"#),
        "{}",
        auth.payload
    );
    h.respond(&auth, r#"{"result":1}"#);
    h.client(1).receives(r#"{"result":{"payload":1},"id":1}"#);
}

#[test]
fn huge_answers_are_taken_whole_or_not_at_all() {
    let mut h = with_bystander();
    // A model with very many properties, a collection with very many references to one.
    let model: Vec<String> = (0..50_000).map(|i| format!(r#""p{i:05}":{i}"#)).collect();
    let model = format!("{{{}}}", model.join(","));
    h.client(1).subscribe(1, "wide");
    h.grant("wide");
    h.serve("wide", &format!(r#"{{"model":{model}}}"#));
    h.client(1).receives(&format!(
        r#"{{"result":{{"models":{{"wide":{model}}}}},"id":1}}"#
    ));
    let items = vec![r#"{"rid":"wide"}"#; 50_000].join(",");
    h.client(1).subscribe(2, "list");
    h.grant("list");
    h.serve("list", &format!(r#"{{"collection":[{items}]}}"#));
    h.client(1)
        .receives(&format!(
            r#"{{"result":{{"collections":{{"list":[{items}]}}}},"id":2}}"#
        ))
        .subscribe(3, "wide")
        .receives(&nothing_new(3));
    // An error of a service may be huge, or full of what must be escaped.
    for message in [
        "x".repeat(1_000_000),
        "\\u0000".repeat(10_000),
        "<".repeat(10_000),
    ] {
        h.client(1).request(4, "auth.test.set");
        let auth = h.expect_request("auth.test.set");
        h.respond(
            &auth,
            &format!(r#"{{"error":{{"code":"{message}","message":"{message}"}}}}"#),
        );
        let sent = message.replace('<', "\\u003c");
        h.client(1).receives(&error(4, &sent, &sent));
    }
    is_undisturbed(&mut h);
}
