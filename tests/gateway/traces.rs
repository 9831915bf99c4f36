//! `--traceparent`: the trace that a client is part of goes on to services.

use crate::common::*;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const MODEL: &str = r#"{"model":{"a":1}}"#;

/// The trace that a request goes with.
fn trace(request: &Request) -> (Option<String>, Option<String>) {
    (request.header("traceparent"), request.header("tracestate"))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Requests on the web and by WebSocket show services the trace.
fn show(stack: &Stack) {
    let (svc, mut h) = (stack.service("test"), stack.http());
    let state = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
    let fields = format!("Traceparent: {PARENT}\r\nTracestate: {state}\r\n");
    h.request("GET", "/api/test/a", &fields);
    let [access, get] = svc.expect_all(["access.test.a", "get.test.a"]);
    for request in [&access, &get] {
        assert_eq!(trace(request), (some(PARENT), some(state)));
        request.assert_payload(match request.subject() {
            "get.test.a" => "{}",
            _ => r#"{"token":null,"isHttp":true}"#,
        });
    }
    access.grant();
    get.result(MODEL);
    h.response().assert(200, r#"{"a":1}"#);

    // The next one on the same connection is part of none, or of one that is not valid.
    for fields in ["", "traceparent: 00-x\r\n"] {
        h.request("POST", "/api/test/a/set", fields);
        let access = svc.expect("access.test.a");
        assert_eq!(trace(&access), (None, None));
        access.grant();
        let call = svc.expect("call.test.a.set");
        assert_eq!(trace(&call), (None, None));
        call.result("null");
        assert_eq!(h.response().status, 204);
    }

    let (mut ws, _) = RawWs::open_with(&stack.gateway, &format!("traceparent: {PARENT}\r\n"));
    ws.frame(0x81, br#"{"id":1,"method":"call.test.a.set"}"#);
    let access = svc.expect("access.test.a");
    assert_eq!(trace(&access), (some(PARENT), None));
    access.grant();
    let call = svc.expect("call.test.a.set");
    assert_eq!(trace(&call), (some(PARENT), None));
    call.result("1");
    ws.expect_text(r#"{"result":1,"id":1}"#);
}

#[test]
fn services_see_the_trace_of_a_request_unlike_resgate() {
    if is_peer() {
        return;
    }
    for args in [
        &["--traceparent"][..],
        &["--traceparent", "--apiencoding", "jsonflat"],
    ] {
        show(&Stack::start(args));
        show(&Stack::start_inside(args));
    }
}

/// A service as one was before there were headers, which the client library cannot be.
struct Plain(BufReader<TcpStream>);

impl Plain {
    fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect(&broker.addr).expect("the broker listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("not a zero time-out");
        let mut plain = Self(BufReader::new(stream));
        assert!(plain.line().starts_with("INFO {"));
        plain.send("CONNECT {\"verbose\":false}\r\nSUB *.test.> 1\r\nPING\r\n");
        assert_eq!(plain.line(), "PONG");
        plain
    }

    fn send(&mut self, text: &str) {
        let stream = self.0.get_mut();
        stream.write_all(text.as_bytes()).expect("it is connected");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line of text");
        line.trim_end().to_owned()
    }

    /// Subject and reply subject of the next request, which has no headers.
    fn next(&mut self) -> (String, String) {
        let (line, _payload) = (self.line(), self.line());
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["MSG", subject, "1", reply, _] => (subject.to_owned(), reply.to_owned()),
            _ => panic!("{line} is no request"),
        }
    }

    fn publish(&mut self, subject: &str, payload: &str) {
        self.send(&format!("PUB {subject} {}\r\n{payload}\r\n", payload.len()));
    }
}

#[test]
fn without_the_option_they_do_not() {
    let stack = Stack::start(&[]);
    let (svc, mut h) = (stack.service("test"), stack.http());
    h.request("GET", "/api/test/a", &format!("traceparent: {PARENT}\r\n"));
    let [access, get] = svc.expect_all(["access.test.a", "get.test.a"]);
    assert_eq!((trace(&access), trace(&get)), ((None, None), (None, None)));
    access.grant();
    get.result(MODEL);
    h.response().assert(200, r#"{"a":1}"#);
}

#[test]
fn a_server_without_headers_gets_none_and_the_request_all_the_same_unlike_resgate() {
    if is_peer() {
        return;
    }
    let directory = Directory::new();
    let file = directory.write("nats.conf", "no_header_support: true\n");
    let broker = Broker::start_with(&["-c", &file]);
    let gateway = Gateway::start(&broker.url(), &["--traceparent"]);
    let (mut svc, mut h) = (Plain::connect(&broker), Http::connect(&gateway));
    h.request("GET", "/api/test/a", &format!("traceparent: {PARENT}\r\n"));
    for _ in 0..2 {
        let (subject, reply) = svc.next();
        svc.publish(
            &reply,
            match &*subject {
                "access.test.a" => r#"{"result":{"get":true}}"#,
                _ => r#"{"result":{"model":{"a":1}}}"#,
            },
        );
    }
    h.response().assert(200, r#"{"a":1}"#);
}

#[test]
fn a_payload_that_leaves_no_room_for_the_trace_goes_without_unlike_resgate() {
    if is_peer() {
        return;
    }
    let directory = Directory::new();
    let file = directory.write("nats.conf", "max_payload: 1024\n");
    let broker = Broker::start_with(&["-c", &file]);
    let gateway = Gateway::start(&broker.url(), &["--traceparent"]);
    let (svc, mut h) = (Service::of(&broker, "test"), Http::connect(&gateway));
    for (length, expected) in [(100, some(PARENT)), (900, None)] {
        let body = format!("{{\"a\":\"{}\"}}", "x".repeat(length));
        let fields = format!(
            "traceparent: {PARENT}\r\nContent-Length: {}\r\n",
            body.len()
        );
        h.request("POST", "/api/test/a/set", &fields);
        h.send(&body);
        svc.grant("test.a");
        let call = svc.expect("call.test.a.set");
        assert_eq!(call.header("traceparent"), expected, "{length}");
        call.result("null");
        assert_eq!(h.response().status, 204);
    }
}
