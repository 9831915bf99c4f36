//! The texts of the JSON corpus over real sockets; `tests/heart/bad_json.rs` has them at
//! every other place.

use crate::common::*;
use crate::json_corpus::{Case, corpus};
use crate::leaks::Observed;

#[test]
fn what_is_json_passes_and_what_is_not_is_refused_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut observed = Observed::start(&["--reqtimeout", "60000"]);
    let svc = observed.stack.service("corpus");
    let mut c = observed.stack.raw();
    let mut http = observed.stack.http();
    c.frame(
        0x81,
        br#"{"id":1,"method":"version","params":{"protocol":"1.2.3"}}"#,
    );
    c.expect_text(r#"{"id":1,"result":{"protocol":"1.2.3"}}"#);
    c.frame(0x81, br#"{"id":2,"method":"subscribe.corpus.a"}"#);
    svc.serve("corpus.a", r#"{"model":{"a":1}}"#);
    c.expect_text(r#"{"id":2,"result":{"models":{"corpus.a":{"a":1}}}}"#);
    for (i, case) in corpus().iter().enumerate() {
        println!("{}", case.name);

        send_as_client(case, &mut c, &svc);
        send_as_service(case, &mut c, &svc);
        send_as_body(case, &mut http, &svc);
        if i % 50 == 0 {
            observed.is_undisturbed();
        }
    }
    drop((c, http));
    observed.expect_nothing_left();
}

/// A client's message, whose params go to the service, which returns the text.
fn send_as_client(case: &Case, c: &mut RawWs, svc: &Service) {
    // Binary frames, since text frames must be UTF-8.
    c.frame(0x82, &case.text);
    let request = case.within(r#"{"params":"#, r#","id":3,"method":"call.corpus.a.set"}"#);
    c.frame(0x82, &request);
    if case.accepted {
        let call = svc.expect("call.corpus.a.set");
        let params = format!(r#"{{"params":{},"#, case.compact());
        assert!(call.payload().starts_with(&params), "{}", call.payload());
        call.respond(&case.within(r#"{"result":"#, "}"));
        let answer = format!(r#"{{"result":{{"payload":{}}},"id":3}}"#, case.sent());
        assert_eq!(
            c.next().payload.escape_ascii().to_string(),
            answer.as_bytes().escape_ascii().to_string()
        );
    }
    c.expect_alive();
}

/// An event, and a service's answer that is nothing but the text.
fn send_as_service(case: &Case, c: &mut RawWs, svc: &Service) {
    svc.publish("event.corpus.a.custom", &case.text);
    if case.accepted || case.text.is_empty() {
        let data = match case.text.is_empty() {
            true => "null".to_owned(),
            false => case.sent(),
        };
        let event = format!(r#"{{"event":"corpus.a.custom","data":{data}}}"#);
        assert_eq!(
            c.next().payload.escape_ascii().to_string(),
            event.as_bytes().escape_ascii().to_string()
        );
    }
    c.frame(0x81, br#"{"id":4,"method":"auth.corpus.a.set"}"#);
    let auth = svc.expect("auth.corpus.a.set");
    auth.respond(&case.text);
    if case.is_pre_response() {
        auth.respond(r#"{"error":{"code":"system.internalError","message":"late"}}"#);
    }
    let answer = String::from_utf8(c.next().payload).expect("text frames are UTF-8");
    let front = r#"{"error":{"code":"system.internalError","#;
    assert!(
        answer.starts_with(front) && answer.ends_with(r#","id":4}"#),
        "{answer}"
    );
}

/// An HTTP body. The connection goes on: the request's end is known.
fn send_as_body(case: &Case, http: &mut Http, svc: &Service) {
    // Head and body at once, or the kernel would hold the second back.
    let length = case.text.len();
    let head =
        format!("POST /api/corpus/a/set HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    http.send(case.within(&head, ""));
    if case.accepted || case.is_blank() {
        svc.grant("corpus.a");
        svc.expect("call.corpus.a.set").result("null");
        assert_eq!(http.response().status, 204);
    } else {
        let response = http.response();
        assert_eq!(response.status, 400, "{response:?}");
        assert_eq!(member(&response.body, "code"), "system.badRequest");
    }
}

/// What a text frame carries must be UTF-8, whatever the JSON around it.
#[test]
fn text_frames_that_are_no_utf8_end_the_connection_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    for case in corpus() {
        if std::str::from_utf8(&case.text).is_ok() || case.text.len() > 100 {
            continue;
        }
        println!("{}", case.name);
        let mut c = stack.raw();
        c.frame(0x81, &case.text);
        assert_eq!(c.next().close_code(), Some(1007));
    }
}
