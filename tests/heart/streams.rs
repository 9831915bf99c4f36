//! Streams of events: one resource, asked for by a web request, with all that a WebSocket client
//! would be sent that subscribes to it.

use crate::harness::{Heart, access_lost, changed, deleted};
use tidegate::gateway::{Have, Method, Options, Tag};

/// What a stream begins with, whose resource set is given.
fn first(set: &str) -> Option<String> {
    Some(format!(r#"{{"result":{set},"id":1}}"#))
}

const SET: &str = r#"{"models":{"test.r":{"a":1}}}"#;

/// A heart with a stream of `test.r`, and its tag.
fn streaming() -> (Heart, Tag) {
    let mut h = Heart::new();
    h.web(1, "STREAM", "test/r", "");
    h.grant("test.r");
    h.serve("test.r", r#"{"model":{"a":1}}"#);
    let (tag, text, _) = h.stream(1);
    assert_eq!(text, first(SET));
    (h, tag)
}

#[test]
fn a_stream_is_what_a_subscriber_is_sent() {
    let (mut h, _) = streaming();
    assert_eq!((h.stats().streams, h.stats().web_requests), (1, 0));
    h.subscribed_again(2, "test.r");
    h.change("test.r", r#"{"a":2}"#);
    h.change("test.r", r#"{"b":{"rid":"test.s"}}"#);
    h.serve("test.s", r#"{"collection":[7]}"#);
    h.event("event.test.s.add", r#"{"idx":1,"value":8}"#);
    h.event("event.test.r.custom", "null");
    let streamed = h.client(1).messages();
    assert_eq!(streamed.len(), 4);
    assert_eq!(h.client(2).messages(), streamed);
    assert_eq!(streamed[0], changed("test.r", r#"{"a":2}"#));
    assert_eq!(
        streamed[1],
        r#"{"event":"test.r.change","data":{"values":{"b":{"rid":"test.s"}},"collections":{"test.s":[7]}}}"#
    );
}

#[test]
fn streams_get_runs_of_events_with_all_others() {
    let (mut h, _) = streaming();
    h.subscribed_again(2, "test.r");
    for a in 2..6 {
        h.change("test.r", &format!(r#"{{"a":{a}}}"#));
    }
    let streamed = h.client(1).messages();
    assert_eq!(streamed.len(), 4);
    assert_eq!(h.client(2).messages(), streamed);
}

#[test]
fn the_tag_is_that_of_the_set() {
    let (_h, tag) = streaming();
    assert_eq!(tag, Tag::of(SET.as_bytes()));
}

#[test]
fn who_has_the_set_is_not_sent_it_and_holds_it_all_the_same() {
    let (mut h, tag) = streaming();
    h.close(1);
    let have = Have::Tagged(Box::new([tag]));
    h.web_with(1, "STREAM", "test/r", "", &have, false);
    h.grant("test.r");
    assert_eq!(h.stream(1), (tag, None, String::new()));
    h.change("test.r", r#"{"a":2}"#);
    h.client(1).receives(&changed("test.r", r#"{"a":2}"#));
    h.close(1);
    // It is another one by now.
    h.web_with(1, "STREAM", "test/r", "", &have, false);
    h.grant("test.r");
    let (other, text, _) = h.stream(1);
    assert_eq!(text, first(r#"{"models":{"test.r":{"a":2}}}"#));
    assert_ne!(other, tag);
}

#[test]
fn at_rest_a_client_is_told_the_tag_of_what_it_has_by_now() {
    let (mut h, first_tag) = streaming();
    assert_eq!(h.rests(1), Some(first_tag));
    h.change("test.r", r#"{"a":2,"s":{"rid":"test.s"}}"#);
    // The event waits for what it brings.
    assert_eq!(h.rests(1), None);
    h.serve("test.s", r#"{"collection":[7]}"#);
    h.event("event.test.s.add", r#"{"idx":1,"value":8}"#);
    assert_eq!(h.client(1).messages().len(), 2);
    let set =
        r#"{"models":{"test.r":{"a":2,"s":{"rid":"test.s"}}},"collections":{"test.s":[7,8]}}"#;
    let tag = h.rests(1).expect("it is in step");
    assert_eq!(tag, Tag::of(set.as_bytes()));
    h.close(1);
    let have = Have::Tagged(Box::new([tag]));
    h.web_with(1, "STREAM", "test/r", "", &have, false);
    h.grant("test.r");
    assert_eq!(h.stream(1), (tag, None, String::new()));
    h.event("event.test.s.remove", r#"{"idx":0}"#);
    assert_eq!(h.client(1).messages().len(), 1);
    assert_ne!(h.rests(1), Some(tag));
}

#[test]
fn who_has_no_stream_or_too_much_is_told_no_tag() {
    let (mut h, _) = streaming();
    h.subscribed_again(2, "test.r");
    assert_eq!(h.rests(2), None);
    assert_eq!(h.rests(7), None);
    h.change("test.r", &format!(r#"{{"a":"{}"}}"#, "x".repeat(200_000)));
    h.client(1).messages();
    assert_eq!(h.rests(1), None);
    h.change("test.r", r#"{"a":1}"#);
    h.client(1).messages();
    assert_eq!(h.rests(1), Some(Tag::of(SET.as_bytes())));
    // What failed is told again whenever it is sent.
    h.change("test.r", r#"{"b":{"rid":"test.s"}}"#);
    h.fail("test.s", "system.notFound");
    h.client(1).messages();
    assert_eq!(h.rests(1), None);
    h.event("event.test.r.delete", "null");
    assert_eq!(h.rests(1), None);
    h.discard();
}

/// Of many who rest together it costs a walk each, and the text is made once.
#[test]
fn what_many_have_is_tagged_once() {
    let (mut h, _) = streaming();
    for client in 2..6 {
        h.web(client, "STREAM", "test/r", "");
        h.grant("test.r");
        h.stream(client);
    }
    h.change("test.r", &format!(r#"{{"a":"{}"}}"#, "x".repeat(60_000)));
    let mut costs = Vec::new();
    let mut tags = Vec::new();
    for client in 1..6 {
        let before = h.work_done();
        tags.push(h.rests(client).expect("it is in step"));
        costs.push(h.work_done() - before);
    }
    assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    assert!(
        costs[0] > 1_000 && costs[1..].iter().all(|cost| *cost < 50),
        "{costs:?}"
    );
    h.discard();
}

#[test]
fn the_tag_is_of_all_that_is_referenced() {
    let mut tags = Vec::new();
    for leaf in ["[1]", "[2]", "[1]"] {
        let mut h = Heart::new();
        h.web(1, "STREAM", "test/r", "");
        h.grant("test.r");
        h.serve("test.r", r#"{"model":{"s":{"rid":"test.s"}}}"#);
        h.serve("test.s", &format!(r#"{{"collection":{leaf}}}"#));
        let (tag, text, _) = h.stream(1);
        let text = text.unwrap();
        assert!(text.contains(&format!(r#""test.s":{leaf}"#)), "{text}");
        tags.push(tag);
    }
    assert_eq!((tags[0], tags[0] == tags[1]), (tags[2], false));
}

/// A set that is long is written, and its tag made, once for all.
#[test]
fn many_are_sent_one_text() {
    let mut h = Heart::new();
    let long = "x".repeat(30_000);
    let mut tags = Vec::new();
    for client in 1..5 {
        h.web(client, "STREAM", "test/r", "");
        h.grant("test.r");
        if client == 1 {
            h.serve("test.r", &format!(r#"{{"model":{{"a":"{long}"}}}}"#));
        }
        let (tag, text, _) = h.stream(client);
        tags.push((tag, text.unwrap().len()));
    }
    assert!(tags.iter().all(|other| *other == tags[0]), "{tags:?}");
}

#[test]
fn what_may_not_be_read_is_an_http_error() {
    for (status, access) in [
        (401, r#"{"result":{"get":false}}"#),
        (
            404,
            "{\"error\":{\"code\":\"system.notFound\",\"message\":\"M\"}}",
        ),
    ] {
        let mut h = Heart::new();
        h.web(1, "STREAM", "test/r", "");
        h.access("test.r", access);
        let get = h.expect_request("get.test.r");
        assert_eq!(h.web_answer(1).0, status);
        h.respond(&get, r#"{"result":{"model":{}}}"#);
        assert_eq!(h.stats().clients, 0);
    }
    let mut h = Heart::new();
    h.web(1, "STREAM", "test/r", "");
    h.grant("test.r");
    h.fail("test.r", "system.notFound");
    assert_eq!(h.web_answer(1).0, 404);
    h.web(1, "STREAM", "test//", "");
    assert_eq!(h.web_answer(1).0, 404);
}

#[test]
fn services_may_set_fields_or_send_it_elsewhere() {
    let mut h = Heart::new();
    h.web(1, "STREAM", "test/r", "");
    h.access(
        "test.r",
        r#"{"result":{"get":true},"meta":{"header":{"X-A":["b"]}}}"#,
    );
    h.serve("test.r", r#"{"model":{"a":1}}"#);
    let (_, text, fields) = h.stream(1);
    assert_eq!((text, fields), (first(SET), "X-A: b".into()));
    h.web(2, "STREAM", "test/r", "");
    h.access(
        "test.r",
        r#"{"result":{"get":true},"meta":{"status":302,"header":{"Location":["/x"]}}}"#,
    );
    assert_eq!(h.web_answer(2), (302, "-> /x".into()));
}

#[test]
fn it_ends_with_its_subscription() {
    let (mut h, _) = streaming();
    h.event("event.test.r.reaccess", "");
    h.deny("test.r");
    h.client(1).receives(&access_lost("test.r"));
    assert!(h.is_closed(1));
    assert_eq!(h.stats().clients, 0);

    let (mut h, _) = streaming();
    h.event("event.test.r.delete", "");
    let [gone, end] = &h.client(1).messages()[..] else {
        panic!("it is sent that it is deleted, and that it ends");
    };
    assert_eq!(gone, r#"{"event":"test.r.delete","data":null}"#);
    assert_eq!(*end, deleted("test.r"));
    assert!(h.is_closed(1));
    assert_eq!(h.stats().clients, 0);
}

#[test]
fn what_it_references_may_go() {
    let mut h = Heart::new();
    h.web(1, "STREAM", "test/r", "");
    h.grant("test.r");
    h.serve("test.r", r#"{"model":{"s":{"rid":"test.s"}}}"#);
    h.serve("test.s", r#"{"model":{}}"#);
    h.stream(1);
    h.event("event.test.s.delete", "");
    h.client(1)
        .receives(r#"{"event":"test.s.delete","data":null}"#);
    assert!(!h.is_closed(1));
}

#[test]
fn who_leaves_before_it_begins_is_sent_nothing() {
    let mut h = Heart::new();
    h.web(1, "STREAM", "test/r", "");
    h.close(1);
    h.grant("test.r");
    h.serve("test.r", r#"{"model":{"a":1}}"#);
    assert_eq!(h.stats().clients, 0);
}

/// A heart that asks `auth.id.login` before requests to the API.
fn with_auth(keep_tokens: bool) -> Heart {
    let (resource, method) = ("id".to_owned(), "login".to_owned());
    Heart::with(Options {
        header_auth: Some(Method { resource, method }),
        keep_tokens,
        ..Options::default()
    })
}

#[test]
fn its_head_is_authenticated_as_that_of_a_get() {
    let mut h = with_auth(false);
    h.web(1, "STREAM", "test/r", "");
    let auth = h.expect_request("auth.id.login");
    assert!(
        auth.payload.contains(r#""isHttp":true"#),
        "{}",
        auth.payload
    );
    h.token(1, r#"{"token":{"u":7},"tid":"t"}"#);
    h.respond(&auth, r#"{"result":null}"#);
    let access = h.expect_request("access.test.r");
    assert!(access.payload.contains(r#""token":{"u":7}"#));
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.serve("test.r", r#"{"model":{"a":1}}"#);
    h.stream(1);
    // Its token is kept right as long as it lasts.
    h.event(
        "system.tokenReset",
        r#"{"tids":["t"],"subject":"auth.renew"}"#,
    );
    let renew = h.expect_request("auth.renew");
    assert!(!renew.payload.contains("isHttp"), "{}", renew.payload);
    h.token(1, r#"{"token":{"u":8},"tid":"t"}"#);
    h.respond(&renew, r#"{"result":null}"#);
    let access = h.expect_request("access.test.r");
    assert!(access.payload.contains(r#""token":{"u":8}"#));
    h.respond(&access, r#"{"result":{"get":false}}"#);
    h.client(1).receives(&access_lost("test.r"));
    assert!(h.is_closed(1));
}

#[test]
fn its_token_is_asked_for_again_when_nats_is_back() {
    let mut h = with_auth(false);
    h.web(1, "STREAM", "test/r", "");
    let auth = h.expect_request("auth.id.login");
    h.token(1, r#"{"token":{"u":7}}"#);
    h.respond(&auth, r#"{"result":null}"#);
    h.grant("test.r");
    h.serve("test.r", r#"{"model":{"a":1}}"#);
    h.stream(1);
    h.lose_broker();
    h.return_broker();
    let auth = h.expect_request("auth.id.login");
    h.token(1, r#"{"token":{"u":7}}"#);
    h.respond(&auth, r#"{"result":null}"#);
    while let Some(request) = h.next_request() {
        let answer = match request.subject.starts_with("get.") {
            true => r#"{"result":{"model":{"a":2}}}"#,
            false => r#"{"result":{"get":true}}"#,
        };
        h.respond(&request, answer);
    }
    h.client(1).receives(&changed("test.r", r#"{"a":2}"#));
    h.change("test.r", r#"{"a":3}"#);
    h.client(1).receives(&changed("test.r", r#"{"a":3}"#));
}

#[test]
fn who_was_given_a_token_by_an_event_is_sent_away_then() {
    let (mut h, _) = streaming();
    h.token(1, r#"{"token":{"u":7}}"#);
    h.lose_broker();
    h.return_broker();
    h.discard();
    assert!(h.is_closed(1));
    // One that has not begun hears that it is not served.
    let mut h = Heart::new();
    h.web(1, "STREAM", "test/r", "");
    h.token(1, r#"{"token":{"u":7}}"#);
    h.lose_broker();
    h.return_broker();
    assert_eq!(h.web_answer(1).0, 503);
    h.discard();
}
