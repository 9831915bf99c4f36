//! What clients may send: version handshake, older generations, invalid requests.

use crate::common::*;

#[test]
fn the_version_answer_is_the_gateways_version() {
    let stack = Stack::shared();
    let mut c = stack.fresh_client();
    for params in [
        r#"{"protocol":"1.2.3"}"#,
        r#"{"protocol":"1.0.0"}"#,
        r#"{"protocol":"1.999.999"}"#,
        r#"{"protocol":"1.02.3"}"#,
        r#"{"protocol":""}"#,
        r#"{"protocol":null}"#,
        r#"{"PROTOCOL":"1.2.2"}"#,
        r#"{"protocol":"1.2.3","more":1}"#,
        "{}",
        "null",
    ] {
        let id = c.ask_with("version", params);
        c.expect_result(id, r#"{"protocol":"1.2.3"}"#);
    }
    let id = c.ask("version");
    c.expect_result(id, r#"{"protocol":"1.2.3"}"#);
}

#[test]
fn unsupported_and_invalid_versions_are_errors() {
    let mut c = Stack::shared().fresh_client();
    for protocol in ["2.0.0", "0.1.2", "999.0.0"] {
        let id = c.ask_with("version", &format!(r#"{{"protocol":"{protocol}"}}"#));
        c.expect_error(id, "system.unsupportedProtocol", "Unsupported protocol");
    }
    for params in [
        r#"{"protocol":"1.2"}"#,
        r#"{"protocol":"1.2.3.4"}"#,
        r#"{"protocol":"1.2.1000"}"#,
        r#"{"protocol":"1.2.x"}"#,
        r#"{"protocol":"v1.2.3"}"#,
        r#"{"protocol":" 1.2.3"}"#,
        r#"{"protocol":"1..3"}"#,
        r#"{"protocol":1}"#,
        r#""1.2.3""#,
        "[]",
        "12",
    ] {
        let id = c.ask_with("version", params);
        let text = c.next();
        assert_eq!(member(&text, "id"), id.to_string(), "{params}");
        let error = member(&text, "error");
        assert_eq!(member(&error, "code"), "system.invalidParams", "{params}");
    }
}

#[test]
fn without_handshake_call_results_are_bare() {
    let stack = Stack::shared();
    let svc = stack.service("gen_call");
    for handshake in [None, Some("1.0.0"), Some("1.1.1"), Some("1.1.999")] {
        let mut c = stack.fresh_client();
        if let Some(version) = handshake {
            c.handshake(version);
        }
        for (answer, result) in [
            (r#"{"result":{"a":1}}"#, r#"{"a":1}"#),
            (r#"{"result":null}"#, "null"),
            (r#"{"result":1.0}"#, "1.0"),
            (
                r#"{"resource":{"rid":"gen_call.new"}}"#,
                r#"{"rid":"gen_call.new"}"#,
            ),
        ] {
            let id = c.ask("call.gen_call.a.set");
            svc.grant("gen_call.a");
            svc.expect("call.gen_call.a.set").respond(answer);
            c.expect_result(id, result);
            let id = c.ask("auth.gen_call.a.login");
            svc.expect("auth.gen_call.a.login").respond(answer);
            c.expect_result(id, result);
        }
        // The resource response made no subscription.
        let id = c.ask("unsubscribe.gen_call.new");
        c.expect_error(id, "system.noSubscription", "No subscription");
    }
}

#[test]
fn without_handshake_new_subscribes() {
    let stack = Stack::shared();
    let svc = stack.service("gen_new");
    let mut c = stack.fresh_client();
    let id = c.ask("new.gen_new.list");
    svc.grant("gen_new.list");
    svc.expect("call.gen_new.list.new")
        .respond(r#"{"resource":{"rid":"gen_new.a"}}"#);
    svc.serve("gen_new.a", r#"{"model":{"a":1}}"#);
    c.expect_result(id, r#"{"rid":"gen_new.a","models":{"gen_new.a":{"a":1}}}"#);
    svc.event("gen_new.a.custom", "1");
    c.expect_event("gen_new.a.custom", "1");
}

#[test]
fn before_1_2_1_soft_references_are_strings_and_data_is_a_placeholder() {
    let stack = Stack::shared();
    let svc = stack.service("gen_data");
    for (i, version) in [None, Some("1.1.1"), Some("1.2.0")].into_iter().enumerate() {
        let mut c = stack.fresh_client();
        if let Some(version) = version {
            c.handshake(version);
        }
        let name = format!("gen_data.m{i}");
        let id = c.ask(&format!("subscribe.{name}"));
        svc.serve(
            &name,
            r#"{"model":{"s":{"rid":"a.b","soft":true},"d":{"data":{"x":1}},"p":{"data":5}}}"#,
        );
        c.expect_result(
            id,
            &format!(r#"{{"models":{{"{name}":{{"s":"a.b","d":"[Data]","p":5}}}}}}"#),
        );
        svc.event(
            &format!("{name}.change"),
            r#"{"values":{"t":{"rid":"c.d","soft":true},"e":{"data":[1]},"d":{"action":"delete"}}}"#,
        );
        c.expect_event(
            &format!("{name}.change"),
            r#"{"values":{"t":"c.d","e":"[Data]","d":{"action":"delete"}}}"#,
        );
        let name = format!("gen_data.c{i}");
        let id = c.ask(&format!("subscribe.{name}"));
        svc.serve(&name, r#"{"collection":[{"data":[]}]}"#);
        c.expect_result(id, &format!(r#"{{"collections":{{"{name}":["[Data]"]}}}}"#));
        svc.event(
            &format!("{name}.add"),
            r#"{"idx":0,"value":{"rid":"e.f?q","soft":true}}"#,
        );
        c.expect_event(&format!("{name}.add"), r#"{"idx":0,"value":"e.f?q"}"#);
    }
}

#[test]
fn the_generation_may_change_at_any_time() {
    let (svc, mut c) = pair("gen_change");
    c.subscribe(&svc, "gen_change.a", r#"{"model":{}}"#);
    svc.event("gen_change.a.change", r#"{"values":{"x":{"data":[1]}}}"#);
    c.expect_event("gen_change.a.change", r#"{"values":{"x":{"data":[1]}}}"#);
    c.handshake("1.2.0");
    svc.event("gen_change.a.change", r#"{"values":{"x":{"data":[2]}}}"#);
    c.expect_event("gen_change.a.change", r#"{"values":{"x":"[Data]"}}"#);
    // A failed handshake changes nothing.
    let id = c.ask_with("version", r#"{"protocol":"2.0.0"}"#);
    c.expect_error(id, "system.unsupportedProtocol", "Unsupported protocol");
    svc.event("gen_change.a.change", r#"{"values":{"x":{"data":[3]}}}"#);
    c.expect_event("gen_change.a.change", r#"{"values":{"x":"[Data]"}}"#);
    c.handshake("1.2.1");
    svc.event("gen_change.a.change", r#"{"values":{"x":{"data":[4]}}}"#);
    c.expect_event("gen_change.a.change", r#"{"values":{"x":{"data":[4]}}}"#);
}

#[test]
fn clients_of_several_generations_share_a_resource() {
    let (svc, mut c) = pair("gen_mixed");
    c.subscribe(&svc, "gen_mixed.a", r#"{"model":{}}"#);
    let mut old = Stack::shared().fresh_client();
    let id = old.ask("subscribe.gen_mixed.a");
    svc.grant("gen_mixed.a");
    old.expect_result(id, r#"{"models":{"gen_mixed.a":{}}}"#);
    svc.event("gen_mixed.a.change", r#"{"values":{"x":{"data":[1]}}}"#);
    c.expect_event("gen_mixed.a.change", r#"{"values":{"x":{"data":[1]}}}"#);
    old.expect_event("gen_mixed.a.change", r#"{"values":{"x":"[Data]"}}"#);
}

#[test]
fn invalid_requests_are_answered() {
    let mut c = Stack::shared().client();
    for request in [
        r#"{"id":ID}"#,
        r#"{"id":ID,"method":null}"#,
        r#"{"id":ID,"method":""}"#,
        r#"{"id":ID,"method":"unknown"}"#,
        r#"{"id":ID,"method":"unknown.a.b"}"#,
        r#"{"id":ID,"method":"Subscribe.a.b"}"#,
        r#"{"id":ID,"method":"VERSION"}"#,
        r#"{"id":ID,"method":"subscribe"}"#,
        r#"{"id":ID,"method":"get"}"#,
        r#"{"id":ID,"method":"call"}"#,
        r#"{"id":ID,"method":"subscribe."}"#,
        r#"{"id":ID,"method":"subscribe.a."}"#,
        r#"{"id":ID,"method":"subscribe..a"}"#,
        r#"{"id":ID,"method":"subscribe.a..b"}"#,
        r#"{"id":ID,"method":"subscribe.a b"}"#,
        r#"{"id":ID,"method":"subscribe.a.*"}"#,
        r#"{"id":ID,"method":"subscribe.a.>"}"#,
        r#"{"id":ID,"method":"subscribe.>"}"#,
        r#"{"id":ID,"method":"subscribe.a*b"}"#,
        r#"{"id":ID,"method":"subscribe.a\u0000b"}"#,
        r#"{"id":ID,"method":"subscribe.a\r\nPUB x"}"#,
        r#"{"id":ID,"method":"subscribe.a\tb"}"#,
        r#"{"id":ID,"method":"subscribe.é"}"#,
        r#"{"id":ID,"method":"subscribe.?x=1"}"#,
        r#"{"id":ID,"method":"get.a..b"}"#,
        r#"{"id":ID,"method":"unsubscribe.a..b"}"#,
        r#"{"id":ID,"method":"new.a..b"}"#,
        r#"{"id":ID,"method":"call.a"}"#,
        r#"{"id":ID,"method":"call.a."}"#,
        r#"{"id":ID,"method":"call.a.b?q=1"}"#,
        r#"{"id":ID,"method":"call.a.set*"}"#,
        r#"{"id":ID,"method":"call.a.>"}"#,
        r#"{"id":ID,"method":"call.a.s t"}"#,
        r#"{"id":ID,"method":"auth.a"}"#,
        r#"{"id":ID,"method":"auth.a.é"}"#,
        r#"{"id":ID,"method":"."}"#,
        r#"{"id":ID,"method":".a.b"}"#,
    ] {
        c.send(&request.replace("ID", "41"));
        c.expect_error(41, "system.invalidRequest", "Invalid request");
    }
}

#[test]
fn what_is_no_request_is_not_answered() {
    let mut c = Stack::shared().client();
    for text in [
        "",
        " ",
        "{",
        "}",
        "nonsense",
        "null",
        "12",
        r#""text""#,
        "[]",
        r#"[{"id":1,"method":"version"}]"#,
        "{}",
        r#"{"method":"version"}"#,
        r#"{"id":null,"method":"version"}"#,
        r#"{"id":"1","method":"version"}"#,
        r#"{"id":1.0,"method":"version"}"#,
        r#"{"id":1e2,"method":"version"}"#,
        r#"{"id":-1,"method":"version"}"#,
        r#"{"id":18446744073709551616,"method":"version"}"#,
        r#"{"id":[1],"method":"version"}"#,
        r#"{"id":1,"method":5}"#,
        r#"{"id":1,"method":{}}"#,
        r#"{"id":1,"method":"version"} x"#,
        r#"{"id":1,"method":"version"}{"id":1,"method":"version"}"#,
        r#"{"id":1,"method":"version","params":}"#,
        r#"{'id':1,'method':'version'}"#,
        "{\"id\":1,\"method\":\"version\",\"x\":\"\u{1}\"}",
        r#"{"id":01,"method":"version"}"#,
    ] {
        c.send(text);
    }
    c.fence_local();
}

#[test]
fn ids_may_be_any_whole_number_of_64_bits() {
    let mut c = Stack::shared().client();
    for id in ["0", "1", "18446744073709551615", "9007199254740993"] {
        c.send(&format!(r#"{{"id":{id},"method":"version"}}"#));
        assert_eq!(
            c.next(),
            format!(r#"{{"result":{{"protocol":"1.2.3"}},"id":{id}}}"#)
        );
    }
}

#[test]
fn member_names_of_requests_are_matched_in_any_case_and_the_last_one_wins() {
    let mut c = Stack::shared().client();
    for text in [
        r#"{"ID":7,"Method":"version"}"#,
        r#"{"id":1,"id":7,"method":"version"}"#,
        r#"{"id":7,"method":"x","method":"version"}"#,
        r#"{"id":7,"method":"version","unknown":{"a":[1]}}"#,
        " { \"id\" : 7 ,\n\"method\" :\t\"version\" } ",
        r#"{"id":7,"method":"\u0076ersion"}"#,
    ] {
        c.send(text);
        c.expect_result(7, r#"{"protocol":"1.2.3"}"#);
    }
}

#[test]
fn a_subject_too_long_for_the_broker_is_an_error_of_that_request() {
    let (svc, mut c) = pair("long");
    let name = |len: usize| format!("long.{}", "x".repeat(len - 5));
    let longest = name(3900);
    let id = c.ask(&format!("call.{longest}.a"));
    svc.grant(&longest);
    svc.expect(&format!("call.{longest}.a")).result("1");
    c.expect_result(id, r#"{"payload":1}"#);
    for request in [
        format!("call.{}.a", name(4061)),
        format!("subscribe.{}", name(4095)),
        format!("get.{}", name(4100)),
        format!("subscribe.{}", name(70_000)),
        format!("auth.{}.a", name(4061)),
        format!("call.{}.{}", name(100), "m".repeat(5000)),
    ] {
        let id = c.ask(&request);
        if request.ends_with("mmm") {
            svc.grant(&name(100));
        }
        c.expect_error(id, "system.subjectTooLong", "Subject too long");
    }
    c.fence(&svc, "long.x");
}

#[test]
fn no_subject_however_long_makes_the_broker_drop_the_gateway_unlike_resgate() {
    if is_peer() {
        return;
    }
    // The broker's limit is on the whole protocol line, 4096 bytes: Resgate's limit on
    // the subject lets lines through that end its connection.
    let stack = Stack::start(&[]);
    let mut c = stack.client();
    let params = format!("\"{}\"", "y".repeat(100_000));
    for length in 4030..4110 {
        let name = format!("nobody_serves.{}", "x".repeat(length - 14));
        for (method, params) in [
            (format!("auth.{name}.a"), params.as_str()),
            (format!("call.{name}.a"), "null"),
            (format!("subscribe.{name}"), "null"),
            (format!("get.{name}?q=1"), "null"),
        ] {
            let id = c.ask_with(&method, params);
            let answer = c.next();
            assert_eq!(member(&answer, "id"), id.to_string());
            // Either it can be sent and nobody is there, or it is too long.
            let code = member(&member(&answer, "error"), "code");
            assert!(
                code == "system.subjectTooLong" || code == "system.notFound" && length < 4068,
                "{code} for {} of {length} bytes",
                &method[..5]
            );
        }
    }
}

#[test]
fn a_payload_above_the_brokers_limit_is_an_error_of_that_request() {
    let (svc, mut c) = pair("big_params");
    let id = c.ask_with(
        "auth.big_params.a.login",
        &format!("\"{}\"", "x".repeat(1024 * 1024 - 10_000)),
    );
    svc.expect("auth.big_params.a.login").result("1");
    c.expect_result(id, r#"{"payload":1}"#);
}
