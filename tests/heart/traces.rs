//! Traces: the headers that a client came with go with what is asked for it, and with nothing
//! that is asked for nobody.

use crate::harness::{Heart, Request, changed};
use tidegate::gateway::{Method, Options};

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// Client 2 is part of no trace; clients that come without WebSocket have the host `h`.
fn trace_of_host(head: &[u8]) -> Option<Box<[u8]>> {
    let head = std::str::from_utf8(head).ok()?;
    let host = head.split(r#""host":""#).nth(1)?.split('"').next()?;
    (host != "h2").then(|| format!("trace of {host}").into_bytes().into())
}

fn traced(options: Options) -> Heart {
    Heart::with(Options {
        trace_headers: Some(trace_of_host),
        ..options
    })
}

/// The next request on a subject, which has these headers.
#[track_caller]
fn expect(h: &mut Heart, subject: &str, headers: &str) -> Request {
    let request = h.expect_request(subject);
    assert_eq!(request.headers, headers, "{subject}");
    request
}

/// Answers the access request of a resource, and its get request, which have these headers.
#[track_caller]
fn serve(h: &mut Heart, name: &str, headers: &str) {
    let access = expect(h, &format!("access.{name}"), headers);
    h.respond(&access, r#"{"result":{"get":true,"call":"*"}}"#);
    let get = expect(h, &format!("get.{name}"), headers);
    h.respond(&get, &format!(r#"{{"result":{MODEL}}}"#));
}

#[test]
fn what_a_client_asks_is_part_of_its_trace() {
    let mut h = traced(Options::default());
    h.client(1).subscribe(1, "test.r");
    serve(&mut h, "test.r", "trace of h1");
    h.client(1).call(2, "test.r.set");
    let call = expect(&mut h, "call.test.r.set", "trace of h1");
    h.respond(&call, r#"{"result":null}"#);
    h.client(1).request(3, "auth.test.r.login");
    let auth = expect(&mut h, "auth.test.r.login", "trace of h1");
    h.respond(&auth, r#"{"result":null}"#);
    assert_eq!(h.client(1).messages().len(), 3);

    h.client(2).subscribe(1, "test.s");
    serve(&mut h, "test.s", "");
    h.client(2).call(2, "test.s.set");
    let call = expect(&mut h, "call.test.s.set", "");
    h.respond(&call, r#"{"result":null}"#);
    assert_eq!(h.client(2).messages().len(), 2);
}

#[test]
fn a_get_request_is_part_of_the_trace_of_the_first_who_needs_it() {
    let mut h = traced(Options::default());
    for (first, second, headers) in [(1, 3, "trace of h1"), (2, 1, "")] {
        let name = format!("test.n{first}");
        h.client(first).subscribe(first.into(), &name);
        h.client(second).subscribe(first.into(), &name);
        for client in [first, second] {
            let headers = match client {
                2 => String::new(),
                client => format!("trace of h{client}"),
            };
            let access = expect(&mut h, &format!("access.{name}"), &headers);
            h.respond(&access, r#"{"result":{"get":true}}"#);
        }
        let get = expect(&mut h, &format!("get.{name}"), headers);
        h.respond(&get, &format!(r#"{{"result":{MODEL}}}"#));
        h.expect_no_request();
        assert_eq!(h.client(first).messages().len(), 1);
        assert_eq!(h.client(second).messages().len(), 1);
    }
}

#[test]
fn what_the_background_asks_is_part_of_no_trace() {
    let mut h = traced(Options::default());
    h.client(1).subscribe(1, "test.r");
    serve(&mut h, "test.r", "trace of h1");
    assert_eq!(h.client(1).messages().len(), 1);
    h.event(
        "system.reset",
        r#"{"resources":["test.>"],"access":["test.>"]}"#,
    );
    let get = expect(&mut h, "get.test.r", "");
    let access = expect(&mut h, "access.test.r", "");
    h.respond(&get, r#"{"result":{"model":{"a":2}}}"#);
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.client(1).receives(&changed("test.r", r#"{"a":2}"#));
    h.check_drift(1);
    let check = expect(&mut h, "get.test.r", "");
    h.respond(&check, r#"{"result":{"model":{"a":2}}}"#);
    h.expect_no_request();
}

#[test]
fn a_web_request_is_part_of_its_own_trace_from_its_authentication_on() {
    let login = || {
        let (resource, method) = ("id".to_owned(), "login".to_owned());
        Some(Method { resource, method })
    };
    let mut h = traced(Options {
        header_auth: login(),
        ws_header_auth: login(),
        ..Options::default()
    });
    for (number, method, path) in [(2, "GET", "test/r"), (4, "POST", "test/r/set")] {
        h.web(number, method, path, "");
        let auth = expect(&mut h, "auth.id.login", "trace of h");
        h.respond(&auth, r#"{"result":null}"#);
        if method == "GET" {
            serve(&mut h, "test.r", "trace of h");
        } else {
            let access = expect(&mut h, "access.test.r", "trace of h");
            h.respond(&access, r#"{"result":{"call":"*"}}"#);
            let call = expect(&mut h, "call.test.r.set", "trace of h");
            h.respond(&call, r#"{"result":1}"#);
        }
        assert_eq!(h.web_answer(number).0, 200);
        h.close(number);
    }
    h.ask_upgrade(5);
    let auth = expect(&mut h, "auth.id.login", "trace of h");
    h.respond(&auth, r#"{"result":null}"#);
    h.upgraded(5);
    // Who has the place of another has not its trace.
    h.client(2).subscribe(1, "test.s");
    serve(&mut h, "test.s", "");
    assert_eq!(h.client(2).messages().len(), 1);
}

#[test]
fn what_has_waited_is_part_of_the_same_trace() {
    let mut h = traced(Options {
        window: 1,
        ..Options::default()
    });
    h.client(1).request(1, "auth.test.r.m");
    h.client(1).request(2, "auth.test.r.n");
    h.client(3).subscribe(1, "test.r");
    for (subject, headers) in [
        ("auth.test.r.m", "trace of h1"),
        ("auth.test.r.n", "trace of h1"),
        ("access.test.r", "trace of h3"),
        ("get.test.r", "trace of h3"),
    ] {
        let request = expect(&mut h, subject, headers);
        let answer = match subject {
            "access.test.r" => r#"{"result":{"get":true}}"#.to_owned(),
            "get.test.r" => format!(r#"{{"result":{MODEL}}}"#),
            _ => r#"{"result":null}"#.to_owned(),
        };
        h.respond(&request, &answer);
    }
    assert_eq!(h.client(1).messages().len(), 2);
    assert_eq!(h.client(3).messages().len(), 1);
}

#[test]
fn what_the_broker_was_away_for_is_part_of_the_same_trace() {
    let mut h = traced(Options::default());
    h.client(1).subscribe(1, "test.a");
    // What was sent before is asked once more.
    for subject in ["access.test.a", "get.test.a"] {
        expect(&mut h, subject, "trace of h1");
    }
    h.lose_broker();
    h.client(3).subscribe(1, "test.b");
    h.return_broker();
    serve(&mut h, "test.a", "trace of h1");
    serve(&mut h, "test.b", "trace of h3");
    assert_eq!(h.client(1).messages().len(), 1);
    assert_eq!(h.client(3).messages().len(), 1);
    // What the outage has put in question is asked in the background.
    let access = expect(&mut h, "access.test.a", "");
    h.respond(&access, r#"{"result":{"get":true}}"#);
}

#[test]
fn nothing_goes_along_where_nobody_asked_for_it() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.r");
    serve(&mut h, "test.r", "");
    assert_eq!(h.client(1).messages().len(), 1);
}
