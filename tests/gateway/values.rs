//! Values of resources: kinds, spelling, escaping, and what is not valid.

use crate::common::*;

#[test]
fn numbers_keep_their_spelling() {
    let (svc, mut c) = pair("val_num");
    c.send(r#"{"id":1,"method":"subscribe.val_num.a"}"#);
    svc.serve(
        "val_num.a",
        r#"{"collection":[1.0,1e3,1E+3,-0,0.10,12345678901234567890,1.7976931348623157e309]}"#,
    );
    assert_eq!(
        c.next(),
        r#"{"result":{"collections":{"val_num.a":[1.0,1e3,1E+3,-0,0.10,12345678901234567890,1.7976931348623157e309]}},"id":1}"#
    );
}

#[test]
fn white_space_between_tokens_is_removed() {
    let (svc, mut c) = pair("val_space");
    c.send(r#"{"id":1,"method":"subscribe.val_space.a"}"#);
    svc.serve(
        "val_space.a",
        "{ \"model\" :\n{ \"a\" : { \"data\" : [ 1 , { \"x\" :\t2 } ] }, \"b\": \" x y \" } }",
    );
    assert_eq!(
        c.next(),
        r#"{"result":{"models":{"val_space.a":{"a":{"data":[1,{"x":2}]},"b":" x y "}}},"id":1}"#
    );
}

#[test]
fn html_characters_and_line_separators_are_escaped_towards_clients() {
    let (svc, mut c) = pair("val_html");
    c.send(r#"{"id":1,"method":"subscribe.val_html.a"}"#);
    svc.serve(
        "val_html.a",
        "{\"model\":{\"a\":\"<b>&\u{2028}\u{2029}é\u{1F600}\",\"<k>\":1}}",
    );
    assert_eq!(
        c.next(),
        "{\"result\":{\"models\":{\"val_html.a\":{\"\\u003ck\\u003e\":1,\"a\":\"\\u003cb\\u003e\\u0026\\u2028\\u2029é\u{1F600}\"}}},\"id\":1}"
    );
    svc.event("val_html.a.change", r#"{"values":{"a":"<"}}"#);
    assert_eq!(
        c.next(),
        r#"{"event":"val_html.a.change","data":{"values":{"a":"\u003c"}}}"#
    );
    svc.event("val_html.a.custom", r#"{"<":"&"}"#);
    assert_eq!(
        c.next(),
        r#"{"event":"val_html.a.custom","data":{"\u003c":"\u0026"}}"#
    );
    c.send(r#"{"id":2,"method":"call.val_html.a.x"}"#);
    svc.expect("call.val_html.a.x").result(r#""<&>""#);
    assert_eq!(
        c.next(),
        r#"{"result":{"payload":"\u003c\u0026\u003e"},"id":2}"#
    );
}

#[test]
fn two_spellings_of_one_string_are_different_values() {
    let (svc, mut c) = pair("val_spell");
    c.subscribe(&svc, "val_spell.a", r#"{"model":{"a":"a"}}"#);
    svc.event("val_spell.a.change", r#"{"values":{"a":"\u0061"}}"#);
    assert_eq!(
        c.next(),
        r#"{"event":"val_spell.a.change","data":{"values":{"a":"\u0061"}}}"#
    );
    svc.event("val_spell.a.change", r#"{"values":{"a":"\u0061"}}"#);
    c.fence(&svc, "val_spell.a");
}

#[test]
fn data_values_wrap_objects_and_arrays_and_unwrap_primitives() {
    let (svc, mut c) = pair("val_data");
    let id = c.ask("subscribe.val_data.a");
    svc.serve(
        "val_data.a",
        r#"{"model":{"o":{"data":{"x":[1]}},"l":{"data":[{"rid":"a.b"}]},"n":{"data":5},"s":{"data":"t"},"z":{"data":null},"b":{"data":false}}}"#,
    );
    c.expect_result(
        id,
        r#"{"models":{"val_data.a":{"o":{"data":{"x":[1]}},"l":{"data":[{"rid":"a.b"}]},"n":5,"s":"t","z":null,"b":false}}}"#,
    );
    svc.event("val_data.a.change", r#"{"values":{"n":{"data":5}}}"#);
    svc.event(
        "val_data.a.change",
        r#"{"values":{"o":{"data":{"x":[1]}}}}"#,
    );
    c.fence(&svc, "val_data.a");
    svc.event("val_data.a.change", r#"{"values":{"n":{"data":[]}}}"#);
    c.expect_event("val_data.a.change", r#"{"values":{"n":{"data":[]}}}"#);
}

#[test]
fn soft_references_are_sent_but_not_followed() {
    let (svc, mut c) = pair("val_soft");
    let id = c.ask("subscribe.val_soft.a");
    svc.serve(
        "val_soft.a",
        r#"{"model":{"s":{"rid":"val_soft.b","soft":true}}}"#,
    );
    c.expect_result(
        id,
        r#"{"models":{"val_soft.a":{"s":{"rid":"val_soft.b","soft":true}}}}"#,
    );
    c.fence(&svc, "val_soft.a");
    svc.event(
        "val_soft.a.change",
        r#"{"values":{"t":{"rid":"val_soft.c","soft":true}}}"#,
    );
    c.expect_event(
        "val_soft.a.change",
        r#"{"values":{"t":{"rid":"val_soft.c","soft":true}}}"#,
    );
    c.fence(&svc, "val_soft.a");
}

#[test]
fn references_are_sent_with_all_their_members() {
    let (svc, mut c) = pair("val_ref");
    let id = c.ask("subscribe.val_ref.a");
    svc.serve(
        "val_ref.a",
        r#"{"model":{"r":{"rid":"val_ref.b","soft":false,"note":1}}}"#,
    );
    svc.serve_get("val_ref.b", r#"{"model":{}}"#);
    c.expect_result(
        id,
        r#"{"models":{"val_ref.a":{"r":{"rid":"val_ref.b","soft":false,"note":1}},"val_ref.b":{}}}"#,
    );
    // Equal if the rid and the kind are.
    svc.event(
        "val_ref.a.change",
        r#"{"values":{"r":{"rid":"val_ref.b","note":2}}}"#,
    );
    c.fence(&svc, "val_ref.a");
}

#[test]
fn member_names_of_services_are_matched_in_any_case_and_the_last_one_wins() {
    let (svc, mut c) = pair("val_case");
    let id = c.ask("subscribe.val_case.a");
    let [access, get] = svc.expect_all(["access.val_case.a", "get.val_case.a"]);
    access.respond(r#"{"RESULT":{"Get":true,"CALL":"x"}}"#);
    get.respond(r#"{"Result":{"MODEL":{"a":1,"A":2}},"unknown":[]}"#);
    c.expect_result(id, r#"{"models":{"val_case.a":{"a":1,"A":2}}}"#);
    // Except `values` of a change event: this is a property with an invalid value.
    svc.event("val_case.a.change", r#"{"VALUES":{"a":7}}"#);
    c.fence(&svc, "val_case.a");
}

#[test]
fn invalid_get_answers_are_internal_errors() {
    let (svc, mut c) = pair("val_bad");
    let nested_object = "Internal error: Internal error: invalid value: nested json object must be wrapped as a data value";
    let nested_array = "Internal error: Internal error: invalid value: nested json array must be wrapped as a data value";
    let ambiguous = "Internal error: Internal error: invalid value: ambiguous value type";
    let invalid = "Internal error: invalid service response";
    let missing = "Internal error: response missing result";
    let cases = [
        (r#"{}"#, missing),
        (r#"{"result":null}"#, missing),
        (r#"{"result":{}}"#, invalid),
        (r#"{"result":{"model":{},"collection":[]}}"#, invalid),
        (r#"{"result":{"model":{"a":{"action":"delete"}}}}"#, invalid),
        (
            r#"{"result":{"collection":[{"action":"delete"}]}}"#,
            invalid,
        ),
        (r#"{"result":{"model":{"a":{}}}}"#, nested_object),
        (r#"{"result":{"model":{"a":{"b":1}}}}"#, nested_object),
        (r#"{"result":{"model":{"a":[1]}}}"#, nested_array),
        (r#"{"result":{"collection":[[]]}}"#, nested_array),
        (
            r#"{"result":{"model":{"a":{"rid":""}}}}"#,
            r#"Internal error: Internal error: invalid value: resource references requires a non-empty "rid" value"#,
        ),
        (
            r#"{"result":{"model":{"a":{"rid":"a..b"}}}}"#,
            r#"Internal error: Internal error: invalid value: resource reference rid "a..b" is invalid"#,
        ),
        (
            r#"{"result":{"model":{"a":{"rid":"a.b","data":1}}}}"#,
            ambiguous,
        ),
        (
            r#"{"result":{"model":{"a":{"rid":"a.b","action":"delete"}}}}"#,
            ambiguous,
        ),
        (
            r#"{"result":{"model":{"a":{"data":1,"action":"delete"}}}}"#,
            ambiguous,
        ),
        (
            r#"{"result":{"model":{"a":{"action":"remove"}}}}"#,
            r#"Internal error: Internal error: invalid value: unknown action "remove""#,
        ),
    ];
    for (answer, message) in cases {
        let id = c.ask("subscribe.val_bad.a");
        let [access, get] = svc.expect_all(["access.val_bad.a", "get.val_bad.a"]);
        access.grant();
        get.respond(answer);
        c.expect_error(id, "system.internalError", message);
    }
}

/// What the JSON library says of them is its own; the rest is fixed.
#[test]
fn answers_that_are_no_responses_are_internal_errors() {
    let (svc, mut c) = pair("val_text");
    for answer in [
        "{",
        "12",
        "[]",
        r#""x""#,
        r#"{"result":1}"#,
        r#"{"result":{"model":[]}}"#,
        r#"{"result":{"collection":{}}}"#,
        r#"{"result":{"model":{"a":{"rid":1}}}}"#,
        r#"{"error":"text"}"#,
        r#"{"error":{"code":1}}"#,
    ] {
        let id = c.ask("subscribe.val_text.a");
        let [access, get] = svc.expect_all(["access.val_text.a", "get.val_text.a"]);
        access.grant();
        get.respond(answer);
        let text = c.next();
        assert_eq!(member(&text, "id"), id.to_string(), "{answer}");
        let error = member(&text, "error");
        assert_eq!(member(&error, "code"), "system.internalError", "{answer}");
        assert!(
            member(&error, "message").starts_with("Internal error: "),
            "{answer}: {error}"
        );
    }
}

#[test]
fn a_bare_word_as_answer_ends_the_request_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("val_word");
    for word in ["null", "true", "false"] {
        let id = c.ask("subscribe.val_word.a");
        let [access, get] = svc.expect_all(["access.val_word.a", "get.val_word.a"]);
        access.grant();
        get.respond(word);
        let text = c.next();
        assert_eq!(member(&text, "id"), id.to_string(), "{word}");
        assert_eq!(
            member(&member(&text, "error"), "code"),
            "system.internalError",
            "{word}"
        );
    }
}
