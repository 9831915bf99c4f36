//! What clients ask for that is none: IDs and methods of any text, tags for their
//! connection's ID, tokens of any kind and size. Whoever asks gets the protocol's error,
//! nobody gets what is another's, and somebody else notices nothing.

use crate::bad_services::{MODEL, is_undisturbed, with_bystander};
use crate::harness::{access_lost, error};

/// No resource IDs, as they stand in JSON.
const NO_IDS: &[&str] = &[
    "",
    ".",
    "..",
    ".a",
    "a.",
    "a..b",
    "*",
    "a.*",
    ">",
    "a.>",
    "a.>b",
    "a*",
    "?",
    "?q",
    "a b",
    " a",
    "a ",
    "a\\u0000",
    "a\\u0000.b",
    "a\\n",
    "a\\r\\nPUB x 0\\r\\n",
    "\\t",
    "\\u007f",
    "a\u{e9}",
    "\u{1f600}.a",
    "\\ud800x",
    "a.\\u202e",
    "\u{feff}a",
];

/// No methods.
const NO_METHODS: &[&str] = &[
    "",
    ".",
    "set",
    "call",
    "call.",
    "call.a",
    "call.a.",
    "call.a.*",
    "call.a.>",
    "call.a.b c",
    "call.a.b?c",
    "call.a.\u{e9}",
    "Call.a.b",
    "version.a",
    "subscribe",
    "delete.a",
    "{cid}",
];

#[test]
fn ids_that_are_none_are_refused_before_any_service_is_asked() {
    let mut h = with_bystander();
    for kind in ["subscribe", "unsubscribe", "get", "new", "call", "auth"] {
        for rid in NO_IDS {
            for method in [format!("{kind}.{rid}"), format!("{kind}.{rid}.set")] {
                // A query may hold anything, so a method must not follow it by accident,
                // and a trailing dot is one before a method's name.
                let is_call = matches!(kind, "call" | "auth");
                if is_call != method.ends_with(".set") {
                    continue;
                }
                println!("{method}");
                let request = format!(r#"{{"id":1,"method":"{method}"}}"#);
                let answered = !rid.contains("\\ud800");
                h.client(1)
                    .send_bytes(request.as_bytes(), answered.then_some(1));
                if answered {
                    h.client(1)
                        .receives(&error(1, "system.invalidRequest", "Invalid request"));
                }
                h.client(1).receives_nothing();
                h.expect_no_request();
            }
        }
    }
    is_undisturbed(&mut h);
}

#[test]
fn methods_that_are_none_are_refused_before_any_service_is_asked() {
    let long = "x".repeat(100_000);
    let mut h = with_bystander();
    for method in NO_METHODS.iter().copied().chain([&*long]) {
        h.client(1)
            .request(1, method)
            .receives(&error(1, "system.invalidRequest", "Invalid request"))
            .receives_nothing();
        h.expect_no_request();
    }
    for method in [
        format!("subscribe.{long}"),
        format!("get.a.{long}?q"),
        format!("call.{long}.set"),
        format!("auth.a.{long}"),
    ] {
        h.client(1)
            .request(1, &method)
            .receives(&error(1, "system.subjectTooLong", "Subject too long"))
            .receives_nothing();
        h.expect_no_request();
    }
    is_undisturbed(&mut h);
}

/// A resource for each connection: the tag stands for its ID, and one connection never
/// gets what is another's.
#[test]
fn the_connection_tag_keeps_clients_apart() {
    let mut h = with_bystander();
    let mut cids = Vec::new();
    for number in [1, 2] {
        h.client(number).request(1, "auth.who.am");
        let auth = h.expect_request("auth.who.am");
        h.respond(&auth, r#"{"result":1}"#);
        h.client(number).messages();
        cids.push(h.cid(number));
    }
    assert_ne!(cids[0], cids[1]);
    for (number, cid) in [(1, &cids[0]), (2, &cids[1])] {
        h.client(number).subscribe(2, "u.{cid}.{cid}{cid}?{cid}");
        let name = format!("u.{cid}.{cid}{cid}");
        let [access, get] =
            ["access", "get"].map(|kind| h.expect_request(&format!("{kind}.{name}")));
        assert!(
            access.payload.contains(r#""query":"$CID""#),
            "{}",
            access.payload
        );
        h.respond(&access, r#"{"result":{"get":true,"call":"*"}}"#);
        h.respond(
            &get,
            &format!(r#"{{"result":{{"model":{{"of":{number}}},"query":"{cid}"}}}}"#),
        );
        h.client(number).receives(&format!(
            r#"{{"result":{{"models":{{"u.{{cid}}.{{cid}}{{cid}}?{{cid}}":{{"of":{number}}}}}}},"id":2}}"#
        ));
    }
    // Whoever knows the other's ID needs that one's access all the same.
    let others = format!("u.{0}.{0}{0}?{0}", cids[1]);
    h.client(1).subscribe(3, &others);
    h.deny(&format!("u.{0}.{0}{0}", cids[1]));
    h.client(1)
        .receives(&error(3, "system.accessDenied", "Access denied"));
    // A tag that is none stays what it is.
    for rid in ["t.{CID}", "t.{cid", "t.{{cid}", "t.{ cid }"] {
        let expanded = rid.replace("{cid}", &cids[0]);
        if rid.contains(' ') {
            h.client(1).subscribe(4, rid).receives(&error(
                4,
                "system.invalidRequest",
                "Invalid request",
            ));
            continue;
        }
        h.client(1).subscribe(4, rid);
        h.deny(&expanded);
        let get = h.expect_request(&format!("get.{expanded}"));
        h.respond(&get, &format!(r#"{{"result":{MODEL}}}"#));
        h.client(1)
            .receives(&error(4, "system.accessDenied", "Access denied"));
    }
    is_undisturbed(&mut h);
}

#[test]
fn a_token_may_be_any_value() {
    let mut h = with_bystander();
    h.subscribed(1, "test", MODEL);
    h.token(1, r#"{"token":"first"}"#);
    let long = format!("\"{}\"", "x".repeat(1_000_000));
    for token in [
        "0",
        "-1.50e+400",
        "true",
        "false",
        "\"\"",
        "\"\\u0000\\ud800\"",
        "[]",
        "{}",
        "[[{\"a\":[null]}]]",
        "{\"a\":1,\"a\":2}",
        "12345678901234567890123",
        "\"<&>\"",
        &long,
    ] {
        h.token(1, &format!(r#"{{"token":{token}}}"#));
        let access = h.expect_request("access.test");
        let expected = format!(r#""token":{token},"#);
        assert!(
            access.payload.contains(&expected),
            "{:.200}",
            access.payload
        );
        h.respond(&access, r#"{"result":{"get":true}}"#);
        h.client(1).receives_nothing();
        is_undisturbed(&mut h);
    }
    // One that leaves no room for the rest of a request makes requests fail, no more.
    let mib = format!(r#"{{"token":"{}"}}"#, "x".repeat(1 << 20));
    h.token(1, &mib);
    h.expect_no_request();
    let lost = h.client(1).message();
    assert!(
        lost.contains("system.internalError") && lost.len() < 500,
        "{lost:.500}"
    );
    h.client(1).subscribe(2, "test");
    h.expect_no_request();
    let got = h.client(1).message();
    assert!(
        got.contains("system.internalError") && got.len() < 500,
        "{got:.500}"
    );
    h.token(1, r#"{"token":null}"#);
    h.client(1).subscribe(3, "test");
    h.grant("test");
    h.client(1)
        .receives(r#"{"result":{"models":{"test":{"a":1}}},"id":3}"#);
    h.event("event.test.reaccess", "null");
    h.deny("test");
    h.client(1)
        .receives(&access_lost("test"))
        .receives_nothing();
    is_undisturbed(&mut h);
}
