//! GET of what a client has already: by its tag, and with patience.

use std::time::{Duration, Instant};

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// Asks for a resource that is cached, or whose get request is answered beside.
fn get(http: &mut Http, svc: &Service, name: &str, fields: &str) -> Response {
    http.request("GET", &format!("/api/{}", name.replace('.', "/")), fields);
    svc.grant(name);
    http.response()
}

#[test]
fn a_tag_saves_the_body_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let (svc, mut h) = (stack.service("cond_tag"), stack.http());
    h.get("/api/cond_tag/a");
    svc.serve("cond_tag.a", MODEL);
    let first = h.response();
    first.assert(200, r#"{"a":1}"#);
    let tag = first.header("etag").expect("an answer has a tag");
    assert_eq!(first.header("vary").as_deref(), Some("Accept"));
    assert_eq!(first.header("access-control-expose-headers"), None);
    for condition in [
        tag.clone(),
        "*".to_owned(),
        format!("W/{tag}"),
        format!("\"x\", W/\"y\",{tag}"),
    ] {
        let fields = format!("If-None-Match: {condition}\r\nOrigin: http://page.test\r\n");
        let same = get(&mut h, &svc, "cond_tag.a", &fields);
        same.assert(304, "");
        assert_eq!(same.header("etag").as_ref(), Some(&tag));
        assert_eq!(same.header("vary").as_deref(), Some("Accept"));
        assert_eq!(same.header("content-length"), None);
        assert_eq!(same.header("content-type"), None);
        assert_eq!(
            same.header("access-control-allow-origin").as_deref(),
            Some("*")
        );
        let exposed = same.header("access-control-expose-headers");
        assert_eq!(exposed.as_deref(), Some("ETag, Preference-Applied"));
    }
    for condition in ["\"x\"", "x", "\"00000000000000000000000000000000\""] {
        let other = get(
            &mut h,
            &svc,
            "cond_tag.a",
            &format!("If-None-Match: {condition}\r\n"),
        );
        other.assert(200, r#"{"a":1}"#);
    }
    // HEAD says the same, and what was changed is sent.
    for (fields, status) in [
        (String::new(), 200),
        (format!("If-None-Match: {tag}\r\n"), 304),
    ] {
        h.request("HEAD", "/api/cond_tag/a", &fields);
        svc.grant("cond_tag.a");
        let head = h.response();
        assert_eq!((head.status, &*head.body), (status, ""));
        assert_eq!(head.header("etag").as_ref(), Some(&tag));
        let length = head.header("content-length");
        assert_eq!(length.as_deref(), (status == 200).then_some("7"));
    }
    svc.event("cond_tag.a.change", r#"{"values":{"a":2}}"#);
    svc.flush();
    let changed = get(
        &mut h,
        &svc,
        "cond_tag.a",
        &format!("If-None-Match: {tag}\r\n"),
    );
    assert_ne!(changed.header("etag"), Some(tag.clone()));
    // Errors have none, and no condition applies to them.
    h.request(
        "GET",
        "/api/cond_tag/a",
        &format!("If-None-Match: {tag}\r\n"),
    );
    svc.expect("access.cond_tag.a").result("{}");
    let denied = h.response();
    assert_eq!((denied.status, denied.header("etag")), (401, None));
}

#[test]
fn another_process_has_the_same_tag_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut tags = Vec::new();
    for order in [
        r#"{"a":1,"b":{"rid":"cond_two.b"}}"#,
        r#"{"b":{"rid":"cond_two.b"},"a":1}"#,
    ] {
        let stack = Stack::start(&[]);
        let (svc, mut h) = (stack.service("cond_two"), stack.http());
        h.get("/api/cond_two/a");
        svc.serve("cond_two.a", &format!(r#"{{"model":{order}}}"#));
        svc.serve_get("cond_two.b", r#"{"collection":[1,"x"]}"#);
        tags.push(h.response().header("etag").expect("a tag"));
    }
    assert_eq!(tags[0], tags[1]);
}

#[test]
fn a_patient_client_is_answered_when_it_changes_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let (svc, mut h) = (stack.service("cond_wait"), stack.http());
    h.get("/api/cond_wait/a");
    svc.serve("cond_wait.a", MODEL);
    let tag = h.response().header("etag").expect("a tag");
    let fields = format!("If-None-Match: {tag}\r\nPrefer: wait=30\r\n");
    h.request("GET", "/api/cond_wait/a", &fields);
    svc.grant("cond_wait.a");
    // It holds what it waits for, as a request of another shows that is behind it.
    let mut other = stack.http();
    let same = get(
        &mut other,
        &svc,
        "cond_wait.a",
        &format!("If-None-Match: {tag}\r\n"),
    );
    same.assert(304, "");
    h.assert_silent();
    svc.event("cond_wait.a.change", r#"{"values":{"a":2}}"#);
    svc.grant("cond_wait.a");
    let changed = h.response();
    changed.assert(200, r#"{"a":2}"#);
    assert_eq!(
        changed.header("preference-applied").as_deref(),
        Some("wait=30")
    );

    // In vain; the connection is kept.
    let tag = changed.header("etag").expect("a tag");
    let start = Instant::now();
    let fields = format!("If-None-Match: {tag}\r\nPrefer: wait=1\r\n");
    let same = get(&mut h, &svc, "cond_wait.a", &fields);
    same.assert(304, "");
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "it has waited"
    );
    assert_eq!(same.header("preference-applied").as_deref(), Some("wait=1"));
    assert_eq!(same.header("etag"), Some(tag));
    h.get("/nowhere");
    assert_eq!(h.response().status, 404);
}

#[test]
fn the_end_of_the_gateway_ends_patience_unlike_resgate() {
    if is_peer() {
        return;
    }
    let mut stack = Stack::start(&["--draintime", "0"]);
    let (svc, mut h) = (stack.service("cond_end"), stack.http());
    h.get("/api/cond_end/a");
    svc.serve("cond_end.a", MODEL);
    let tag = h.response().header("etag").expect("a tag");
    h.request(
        "GET",
        "/api/cond_end/a",
        &format!("If-None-Match: {tag}\r\nPrefer: wait=60\r\n"),
    );
    svc.grant("cond_end.a");
    let mut other = stack.http();
    let same = get(
        &mut other,
        &svc,
        "cond_end.a",
        &format!("If-None-Match: {tag}\r\n"),
    );
    same.assert(304, "");
    stack.gateway.signal(rustix::process::Signal::TERM);
    h.response().assert(304, "");
    assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
}

/// A proxy or a page that gives up leaves nothing behind that waits.
#[test]
fn who_has_gone_waits_no_longer_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let (svc, mut h) = (stack.service("cond_gone"), stack.http());
    h.get("/api/cond_gone/a");
    svc.serve("cond_gone.a", MODEL);
    let tag = h.response().header("etag").expect("a tag");
    let fields = format!("If-None-Match: {tag}\r\nPrefer: wait=60\r\n");
    // While it waits, and before it does.
    for waits in [true, false] {
        let mut h = stack.http();
        h.request("GET", "/api/cond_gone/a", &fields);
        if !waits {
            h.finish();
        }
        svc.grant("cond_gone.a");
        if waits {
            let mut other = stack.http();
            let fields = format!("If-None-Match: {tag}\r\n");
            get(&mut other, &svc, "cond_gone.a", &fields).assert(304, "");
            h.assert_silent();
            h.finish();
        }
        // Whoever ends but its own side sees that the wait is over.
        h.response().assert(304, "");
        h.expect_closed();
    }
}
