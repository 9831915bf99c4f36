//! Call, auth and new: payloads, results, resource responses, order.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

#[test]
fn call_sends_params_token_and_cid() {
    let (svc, mut c) = pair("call_payload");
    for (params, expected) in [
        (
            r#"{"a": 1.0, "b": [1e3]}"#,
            r#""params":{"a":1.0,"b":[1e3]},"token":null"#,
        ),
        (
            "12345678901234567890",
            r#""params":12345678901234567890,"token":null"#,
        ),
        ("null", r#""params":null,"token":null"#),
        (r#""text""#, r#""params":"text","token":null"#),
        ("[]", r#""params":[],"token":null"#),
    ] {
        let id = c.ask_with("call.call_payload.a.set", params);
        let access = svc.expect("access.call_payload.a");
        access.assert_payload(r#"{"token":null}"#);
        access.grant();
        let call = svc.expect("call.call_payload.a.set");
        let cid = call.member("cid");
        assert_eq!(call.payload(), format!(r#"{{{expected},"cid":"{cid}"}}"#));
        call.result("true");
        c.expect_result(id, r#"{"payload":true}"#);
    }
    let id = c.ask("call.call_payload.a.set");
    svc.grant("call_payload.a");
    let call = svc.expect("call.call_payload.a.set");
    call.assert_payload(r#"{"params":null,"token":null}"#);
    call.result(r#"{"x":[1]}"#);
    c.expect_result(id, r#"{"payload":{"x":[1]}}"#);
}

#[test]
fn call_results_are_passed_on() {
    let (svc, mut c) = pair("call_result");
    for (answer, expected) in [
        (r#"{"result":null}"#, r#""result":{"payload":null}"#),
        (r#"{"result":1.50}"#, r#""result":{"payload":1.50}"#),
        (
            r#"{"result":{"a":[{"b":1}]}}"#,
            r#""result":{"payload":{"a":[{"b":1}]}}"#,
        ),
        (
            r#"{"result":"x","meta":{"status":404}}"#,
            r#""result":{"payload":"x"}"#,
        ),
        (r#" {"result":1}"#, r#""result":{"payload":1}"#),
        (
            r#"{"result":{"rid":"call_result.b"}}"#,
            r#""result":{"payload":{"rid":"call_result.b"}}"#,
        ),
        (
            r#"{"error":{"code":"a.b","message":"C"},"result":1}"#,
            r#""error":{"code":"a.b","message":"C"}"#,
        ),
        (
            r#"{"error":{"code":"a.b","message":"C"},"resource":{"rid":"a.b"}}"#,
            r#""error":{"code":"a.b","message":"C"}"#,
        ),
        (
            "{}",
            r#""error":{"code":"system.internalError","message":"Internal error: response missing result"}"#,
        ),
        (
            r#"{"resource":{"rid":"a..b"}}"#,
            r#""error":{"code":"system.internalError","message":"Internal error: invalid service response"}"#,
        ),
        (
            r#"{"resource":{}}"#,
            r#""error":{"code":"system.internalError","message":"Internal error: invalid service response"}"#,
        ),
    ] {
        let id = c.ask("call.call_result.a.set");
        svc.grant("call_result.a");
        svc.expect("call.call_result.a.set").respond(answer);
        c.expect(&format!(r#"{{"id":{id},{expected}}}"#));
    }
    for answer in ["{", "1", "[]"] {
        let id = c.ask("call.call_result.a.set");
        svc.grant("call_result.a");
        svc.expect("call.call_result.a.set").respond(answer);
        let text = c.next();
        assert_eq!(member(&text, "id"), id.to_string());
        assert_eq!(
            member(&member(&text, "error"), "code"),
            "system.internalError",
            "{answer}"
        );
    }
}

#[test]
fn call_needs_access_and_is_not_sent_before() {
    let (svc, mut c) = pair("call_access");
    let id = c.ask("call.call_access.a.set");
    let access = svc.expect("access.call_access.a");
    c.fence(&svc, "call_access.a");
    access.result(r#"{"get":true}"#);
    c.expect_error(id, "system.accessDenied", "Access denied");
    c.fence(&svc, "call_access.a");
    let id = c.ask("call.call_access.a.set");
    svc.expect("access.call_access.a").error("my.error", "Mine");
    c.expect_error(id, "my.error", "Mine");
}

#[test]
fn a_second_answer_to_a_request_is_ignored() {
    let (svc, mut c) = pair("call_second");
    let id = c.ask("auth.call_second.a.login");
    let auth = svc.expect("auth.call_second.a.login");
    auth.result("1");
    auth.result("2");
    c.expect_result(id, r#"{"payload":1}"#);
    c.fence(&svc, "call_second.a");
}

#[test]
fn auth_asks_no_access_and_carries_the_upgrade_request() {
    let (svc, mut c) = pair("auth_payload");
    let id = c.ask_with("auth.auth_payload.a.login", r#"{"user":"x"}"#);
    let auth = svc.expect("auth.auth_payload.a.login");
    let text = auth.payload();
    let order: Vec<usize> = [
        r#"{"params":{"user":"x"},"token":null,"cid":""#,
        r#","header":{"#,
        r#","host":""#,
        r#","remoteAddr":""#,
        r#","uri":""#,
    ]
    .iter()
    .map(|part| {
        text.find(part)
            .unwrap_or_else(|| panic!("no {part} in {text}"))
    })
    .collect();
    assert!(order.is_sorted() && order[0] == 0, "{text}");
    assert_eq!(auth.member("uri"), "/");
    assert_eq!(auth.member("host"), Stack::shared().gateway.addr);
    let remote = auth.member("remoteAddr");
    assert!(
        remote.starts_with("127.0.0.1:") && remote.parse::<std::net::SocketAddr>().is_ok(),
        "{remote}"
    );
    let header = auth.member("header");
    assert_eq!(member(&header, "Sec-Websocket-Version"), r#"["13"]"#);
    assert_eq!(member(&header, "Upgrade"), r#"["websocket"]"#);
    assert!(!header.contains("\"Host\""), "{header}");
    auth.result(r#"{"ok":1}"#);
    c.expect_result(id, r#"{"payload":{"ok":1}}"#);
}

#[test]
fn auth_errors_are_passed_on() {
    let (svc, mut c) = pair("auth_error");
    let id = c.ask("auth.auth_error.a.login");
    svc.expect("auth.auth_error.a.login")
        .respond(r#"{"error":{"code":"x.y","message":"Z","data":[1]}}"#);
    c.expect(&format!(
        r#"{{"id":{id},"error":{{"code":"x.y","message":"Z","data":[1]}}}}"#
    ));
}

#[test]
fn the_method_of_a_call_follows_the_last_dot() {
    let (svc, mut c) = pair("call_name");
    for (request, name, method, query) in [
        ("a.set", "a", "set", None),
        ("a.b.c.set", "a.b.c", "set", None),
        ("a?q=x.y.set", "a", "set", Some("q=x.y")),
        ("a?.set", "a", "set", None),
        ("a?x=1.set-it", "a", "set-it", Some("x=1")),
        ("a.s!t$", "a", "s!t$", None),
    ] {
        let id = c.ask(&format!("call.call_name.{request}"));
        let access = svc.expect(&format!("access.call_name.{name}"));
        let query = query.map_or(String::new(), |q| format!(r#","query":"{q}""#));
        access.assert_payload(&format!(r#"{{"token":null{query}}}"#));
        access.grant();
        let call = svc.expect(&format!("call.call_name.{name}.{method}"));
        call.assert_payload(&format!(r#"{{"params":null,"token":null{query}}}"#));
        call.result("null");
        c.expect_result(id, r#"{"payload":null}"#);
    }
}

#[test]
fn a_resource_response_subscribes_the_resource() {
    let (svc, mut c) = pair("call_res");
    for method in ["call", "auth"] {
        let name = format!("call_res.{method}");
        let id = c.ask(&format!("{method}.call_res.a.make"));
        if method == "call" {
            svc.grant("call_res.a");
        }
        svc.expect(&format!("{method}.call_res.a.make"))
            .respond(&format!(r#"{{"resource":{{"rid":"{name}"}}}}"#));
        svc.serve(&name, MODEL);
        c.expect_result(
            id,
            &format!(r#"{{"rid":"{name}","models":{{"{name}":{{"a":1}}}}}}"#),
        );
        svc.event(&format!("{name}.custom"), "1");
        c.expect_event(&format!("{name}.custom"), "1");
        // Again: held already.
        let id = c.ask(&format!("{method}.call_res.a.make"));
        if method == "call" {
            svc.grant("call_res.a");
        }
        svc.expect(&format!("{method}.call_res.a.make"))
            .respond(&format!(r#"{{"resource":{{"rid":"{name}","soft":true}}}}"#));
        c.expect_result(id, &format!(r#"{{"rid":"{name}"}}"#));
        let id = c.ask_with(&format!("unsubscribe.{name}"), r#"{"count":2}"#);
        c.expect(&format!(r#"{{"id":{id}}}"#));
    }
}

#[test]
fn a_resource_response_without_access_succeeds_with_an_error_in_the_set() {
    let (svc, mut c) = pair("call_res_denied");
    let id = c.ask("call.call_res_denied.a.make");
    svc.grant("call_res_denied.a");
    svc.expect("call.call_res_denied.a.make")
        .respond(r#"{"resource":{"rid":"call_res_denied.b"}}"#);
    let [access, get] = svc.expect_all(["access.call_res_denied.b", "get.call_res_denied.b"]);
    access.result(r#"{"get":false}"#);
    get.result(MODEL);
    c.expect_result(
        id,
        r#"{"rid":"call_res_denied.b","errors":{"call_res_denied.b":{"code":"system.accessDenied","message":"Access denied"}}}"#,
    );
    let id = c.ask("unsubscribe.call_res_denied.b");
    c.expect_error(id, "system.noSubscription", "No subscription");
}

#[test]
fn a_resource_response_whose_get_fails_has_the_error_in_the_set() {
    let (svc, mut c) = pair("call_res_err");
    let id = c.ask("call.call_res_err.a.make");
    svc.grant("call_res_err.a");
    svc.expect("call.call_res_err.a.make")
        .respond(r#"{"resource":{"rid":"call_res_err.b"}}"#);
    let [access, get] = svc.expect_all(["access.call_res_err.b", "get.call_res_err.b"]);
    access.grant();
    get.error("system.notFound", "Not found");
    c.expect_result(
        id,
        r#"{"rid":"call_res_err.b","errors":{"call_res_err.b":{"code":"system.notFound","message":"Not found"}}}"#,
    );
}

#[test]
fn new_is_a_call_that_answers_a_resource() {
    let (svc, mut c) = pair("new_res");
    for (i, answer) in [
        r#"{"resource":{"rid":"new_res.RID"}}"#,
        r#"{"result":{"rid":"new_res.RID"}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("new_res.r{i}");
        let id = c.ask_with("new.new_res.list", r#"{"x":1}"#);
        svc.expect("access.new_res.list")
            .result(r#"{"call":"new"}"#);
        let call = svc.expect("call.new_res.list.new");
        call.assert_payload(r#"{"params":{"x":1},"token":null}"#);
        call.respond(&answer.replace("RID", &format!("r{i}")));
        svc.serve(&name, MODEL);
        c.expect_result(
            id,
            &format!(r#"{{"rid":"{name}","models":{{"{name}":{{"a":1}}}}}}"#),
        );
    }
    let id = c.ask("new.new_res.list");
    svc.expect("access.new_res.list")
        .result(r#"{"call":"other"}"#);
    c.expect_error(id, "system.accessDenied", "Access denied");
    for answer in [
        r#"{"result":null}"#,
        r#"{"result":1}"#,
        r#"{"result":{"rid":"a.b","x":1}}"#,
        r#"{"result":{"rid":1}}"#,
    ] {
        let id = c.ask("new.new_res.list");
        svc.grant("new_res.list");
        svc.expect("call.new_res.list.new").respond(answer);
        c.expect_error(
            id,
            "system.internalError",
            "Internal error: non-resource response on new request",
        );
    }
}

#[test]
fn the_old_form_of_a_resource_response_counts_for_call_new_only() {
    let (svc, mut c) = pair("call_new");
    let id = c.ask("call.call_new.list.new");
    svc.grant("call_new.list");
    svc.expect("call.call_new.list.new")
        .respond(r#"{"result":{"rid":"call_new.a"}}"#);
    svc.serve("call_new.a", MODEL);
    c.expect_result(
        id,
        r#"{"rid":"call_new.a","models":{"call_new.a":{"a":1}}}"#,
    );
    let id = c.ask("call.call_new.list.new");
    svc.grant("call_new.list");
    svc.expect("call.call_new.list.new")
        .respond(r#"{"result":{"rid":"call_new.a","x":1}}"#);
    c.expect_result(id, r#"{"payload":{"rid":"call_new.a","x":1}}"#);
    // A method `new` of an auth request is no such call.
    let id = c.ask("auth.call_new.list.new");
    svc.expect("auth.call_new.list.new")
        .respond(r#"{"result":{"rid":"call_new.a"}}"#);
    c.expect_result(id, r#"{"payload":{"rid":"call_new.a"}}"#);
}

#[test]
fn events_sent_before_a_response_reach_the_client_before_it() {
    let (svc, mut c) = pair("call_order");
    c.subscribe(&svc, "call_order.a", MODEL);
    for i in 0..100 {
        let id = c.ask("call.call_order.a.set");
        let call = svc.expect("call.call_order.a.set");
        svc.event(
            "call_order.a.change",
            &format!(r#"{{"values":{{"a":"{i}"}}}}"#),
        );
        call.result("null");
        c.expect_event(
            "call_order.a.change",
            &format!(r#"{{"values":{{"a":"{i}"}}}}"#),
        );
        c.expect_result(id, r#"{"payload":null}"#);
    }
}

#[test]
fn requests_are_answered_when_ready_not_in_order() {
    let (svc, mut c) = pair("call_ready");
    let first = c.ask("auth.call_ready.a.x");
    let second = c.ask("auth.call_ready.b.x");
    let [a, b] = svc.expect_all(["auth.call_ready.a.x", "auth.call_ready.b.x"]);
    b.result("2");
    c.expect_result(second, r#"{"payload":2}"#);
    a.result("1");
    c.expect_result(first, r#"{"payload":1}"#);
}

#[test]
fn the_cid_tag_is_filled_in_for_services_only() {
    let (svc, mut c) = pair("cid_tag");
    let cid = c.cid(&svc, "cid_tag.x");
    let id = c.ask("subscribe.cid_tag.{cid}.a");
    let name = format!("cid_tag.{cid}.a");
    svc.serve(&name, MODEL);
    c.expect_result(id, r#"{"models":{"cid_tag.{cid}.a":{"a":1}}}"#);
    svc.event(&format!("{name}.change"), r#"{"values":{"a":2}}"#);
    c.expect_event("cid_tag.{cid}.a.change", r#"{"values":{"a":2}}"#);
    // Every occurrence, also in the query.
    let id = c.ask("subscribe.cid_tag.{cid}{cid}.b?x={cid}");
    let name = format!("cid_tag.{cid}{cid}.b");
    let [access, get] = svc.expect_all([&format!("access.{name}"), &format!("get.{name}")]);
    access.assert_payload(&format!(r#"{{"token":null,"query":"x={cid}"}}"#));
    assert_eq!(get.payload(), format!(r#"{{"query":"x={cid}"}}"#));
    access.grant();
    get.result(&format!(r#"{{"collection":[],"query":"x={cid}"}}"#));
    c.expect_result(id, r#"{"collections":{"cid_tag.{cid}{cid}.b?x={cid}":[]}}"#);
    // Call, auth, new and references.
    let id = c.ask("call.cid_tag.{cid}.c.set");
    svc.grant(&format!("cid_tag.{cid}.c"));
    svc.expect(&format!("call.cid_tag.{cid}.c.set")).result("1");
    c.expect_result(id, r#"{"payload":1}"#);
    let id = c.ask("auth.cid_tag.{cid}.c.login");
    svc.expect(&format!("auth.cid_tag.{cid}.c.login"))
        .respond(r#"{"resource":{"rid":"cid_tag.{cid}.d"}}"#);
    svc.serve(
        &format!("cid_tag.{cid}.d"),
        r#"{"model":{"r":{"rid":"cid_tag.{cid}.e"}}}"#,
    );
    svc.serve_get(&format!("cid_tag.{cid}.e"), MODEL);
    c.expect_result(
        id,
        r#"{"rid":"cid_tag.{cid}.d","models":{"cid_tag.{cid}.d":{"r":{"rid":"cid_tag.{cid}.e"}},"cid_tag.{cid}.e":{"a":1}}}"#,
    );
    c.unsubscribe("cid_tag.{cid}.a");
}

#[test]
fn the_cid_tag_is_another_resource_for_each_client() {
    let (svc, mut c) = pair("cid_two");
    let mut d = Stack::shared().client();
    let id = c.ask("subscribe.cid_two.p");
    svc.serve("cid_two.p", r#"{"collection":[{"rid":"cid_two.{cid}"}]}"#);
    let get = svc.next();
    get.result(r#"{"model":{"of":"c"}}"#);
    let first = get.subject().to_owned();
    c.expect_result(
        id,
        r#"{"collections":{"cid_two.p":[{"rid":"cid_two.{cid}"}]},"models":{"cid_two.{cid}":{"of":"c"}}}"#,
    );
    let id = d.ask("subscribe.cid_two.p");
    svc.grant("cid_two.p");
    let get = svc.next();
    assert_ne!(get.subject(), first);
    get.result(r#"{"model":{"of":"d"}}"#);
    d.expect_result(
        id,
        r#"{"collections":{"cid_two.p":[{"rid":"cid_two.{cid}"}]},"models":{"cid_two.{cid}":{"of":"d"}}}"#,
    );
}
