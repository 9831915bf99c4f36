//! What the process writes to standard error of messages, with `-D` and with `-DV`.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// The text after the tag of the only line that has all of these.
#[track_caller]
fn line(log: &str, tag: &str, parts: &[&str]) -> String {
    let mut found = log
        .lines()
        .filter_map(|line| Some(line.split_once(tag)?.1.trim_start()))
        .filter(|line| parts.iter().all(|part| line.contains(part)));
    match (found.next(), found.next()) {
        (Some(line), None) => line.to_owned(),
        (first, second) => panic!("{parts:?}: {first:?}, {second:?} in\n{log}"),
    }
}

#[test]
fn a_trace_matches_answers_with_requests_and_masks_tokens() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&["-DV"]);
    let svc = stack.service("trace");
    let mut client = stack.client();
    client.set_token(&svc, "trace.a", r#"{"token":"secret"}"#);
    client.subscribe(&svc, "trace.model", MODEL);
    svc.event("trace.model.change", r#"{"values":{"a":2}}"#);
    client.expect_event("trace.model.change", r#"{"values":{"a":2}}"#);
    let id = client.ask("auth.nobody.login");
    client.expect_error(id, "system.notFound", "Not found");
    client.drop_connection();
    stack.gateway.wait_for_log("] Disconnected", 1);

    let log = stack.gateway.log();
    assert!(!log.contains("secret"), "{log}");
    assert!(!log.contains("Some("), "{log}");
    let request = line(&log, "[TRC]", &["<== (", "access.trace.model: "]);
    assert!(request.contains(r#""token":"***""#), "{request}");
    let key = &request["<== ".len()..request.find(") ").expect("an ID") + 1];
    line(&log, "[TRC]", &[&format!("==> {key}: "), r#""get":true"#]);
    let nobody = line(&log, "[TRC]", &["<== (", "auth.nobody.login: "]);
    let key = &nobody["<== ".len()..nobody.find(") ").expect("an ID") + 1];
    line(&log, "[TRC]", &[&format!("x=> {key} No responders")]);
    line(&log, "[TRC]", &["=>> event.trace.model.change: "]);
    line(&log, "[TRC]", &["S=> event.trace.model.*"]);
    line(&log, "[TRC]", &["] Connected: 127.0.0.1:"]);
    line(&log, "[TRC]", &["] --> ", "subscribe.trace.model"]);
    line(&log, "[TRC]", &["] <-- ", r#""trace.model":{"a":1}"#]);
    line(
        &log,
        "[TRC]",
        &["] <<- ", r#""event":"trace.model.change""#],
    );
    line(
        &log,
        "[DBG]",
        &["auth of nobody.login is refused: Not found (system.notFound)"],
    );
}

#[test]
fn debug_says_why_and_shows_no_message() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&["-D"]);
    let svc = stack.service("debug");
    let mut client = stack.client();
    client.subscribe(&svc, "debug.model", MODEL);
    svc.event("debug.model.add", r#"{"idx":0,"value":"secret"}"#);
    svc.event("debug.model.add", r#"{"idx":1,"value":"secret"}"#);
    let id = client.ask("get.debug.other");
    svc.expect("access.debug.other")
        .respond(r#"{"result":{"get":false}}"#);
    client.expect_error(id, "system.accessDenied", "Access denied");
    svc.expect("get.debug.other").respond(r#"{"result":[]}"#);
    let mut http = stack.http();
    http.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    stack.gateway.wait_for_log("get of debug.other failed", 1);
    stack.gateway.wait_for_log("GET /nowhere with 404", 1);

    let log = stack.gateway.log();
    assert!(!log.contains("[TRC]") && !log.contains("secret"), "{log}");
    let ignored = "debug.model: add event is ignored: the resource is a model";
    line(&log, "[WRN]", &[ignored]);
    line(&log, "[DBG]", &[ignored]);
    line(
        &log,
        "[DBG]",
        &["get of debug.other is refused: Access denied (system.accessDenied)"],
    );
}
