//! Subscribe, unsubscribe and get: answers, counts, errors and what is asked of services.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

#[test]
fn subscribe_loads_and_sends_a_model() {
    let (svc, mut c) = pair("sub_model");
    let id = c.ask("subscribe.sub_model.a");
    let [access, get] = svc.expect_all(["access.sub_model.a", "get.sub_model.a"]);
    access.assert_payload(r#"{"token":null}"#);
    assert_eq!(get.payload(), "{}");
    access.grant();
    get.result(r#"{"model":{"b":"x","a":1}}"#);
    c.expect_result(id, r#"{"models":{"sub_model.a":{"a":1,"b":"x"}}}"#);
    c.fence(&svc, "sub_model.a");
}

#[test]
fn subscribe_loads_and_sends_a_collection() {
    let (svc, mut c) = pair("sub_coll");
    let id = c.ask("subscribe.sub_coll.a");
    svc.serve("sub_coll.a", r#"{"collection":["x",2,true,null]}"#);
    c.expect_result(id, r#"{"collections":{"sub_coll.a":["x",2,true,null]}}"#);
}

#[test]
fn answers_put_the_result_before_the_id_and_sort_model_keys() {
    let (svc, mut c) = pair("sub_order");
    c.send(r#"{"id":7,"method":"subscribe.sub_order.a"}"#);
    svc.serve("sub_order.a", r#"{"model":{"b":2,"c":3,"a":1}}"#);
    assert_eq!(
        c.next(),
        r#"{"result":{"models":{"sub_order.a":{"a":1,"b":2,"c":3}}},"id":7}"#
    );
    c.send(r#"{"id":8,"method":"subscribe.sub_order.b"}"#);
    let [access, get] = svc.expect_all(["access.sub_order.b", "get.sub_order.b"]);
    access.grant();
    get.respond(r#"{"error":{"data":{"x":1},"message":"M","code":"c.d"}}"#);
    assert_eq!(
        c.next(),
        r#"{"error":{"code":"c.d","message":"M","data":{"x":1}},"id":8}"#
    );
    svc.event("sub_order.a.custom", r#"{"b":1,"a":2}"#);
    assert_eq!(
        c.next(),
        r#"{"event":"sub_order.a.custom","data":{"b":1,"a":2}}"#
    );
}

#[test]
fn an_empty_model_and_an_empty_collection_are_resources() {
    let (svc, mut c) = pair("sub_empty");
    c.subscribe(&svc, "sub_empty.m", r#"{"model":{}}"#);
    c.subscribe(&svc, "sub_empty.c", r#"{"collection":[]}"#);
}

#[test]
fn answers_wait_for_both_access_and_get() {
    let (svc, mut c) = pair("sub_both");
    let id = c.ask("subscribe.sub_both.a");
    let [access, get] = svc.expect_all(["access.sub_both.a", "get.sub_both.a"]);
    get.result(MODEL);
    c.fence(&svc, "sub_both.a");
    access.grant();
    c.expect_result(id, r#"{"models":{"sub_both.a":{"a":1}}}"#);

    let id = c.ask("subscribe.sub_both.b");
    let [access, get] = svc.expect_all(["access.sub_both.b", "get.sub_both.b"]);
    access.grant();
    c.fence(&svc, "sub_both.b");
    get.result(MODEL);
    c.expect_result(id, r#"{"models":{"sub_both.b":{"a":1}}}"#);
}

#[test]
fn a_denial_is_answered_without_waiting_for_the_get_answer() {
    let (svc, mut c) = pair("sub_denied");
    let id = c.ask("subscribe.sub_denied.a");
    let [access, get] = svc.expect_all(["access.sub_denied.a", "get.sub_denied.a"]);
    access.result(r#"{"get":false}"#);
    c.expect_error(id, "system.accessDenied", "Access denied");
    get.result(MODEL);
    c.fence(&svc, "sub_denied.a");
    // Not subscribed: its events do not come, and there is nothing to unsubscribe.
    svc.event("sub_denied.a.custom", "1");
    c.fence(&svc, "sub_denied.a");
    let id = c.ask("unsubscribe.sub_denied.a");
    c.expect_error(id, "system.noSubscription", "No subscription");
}

#[test]
fn the_access_error_wins_over_the_get_error() {
    let (svc, mut c) = pair("sub_both_err");
    let id = c.ask("subscribe.sub_both_err.a");
    let [access, get] = svc.expect_all(["access.sub_both_err.a", "get.sub_both_err.a"]);
    get.error("get.code", "Get");
    c.fence(&svc, "sub_both_err.a");
    access.error("access.code", "Access");
    c.expect_error(id, "access.code", "Access");
}

#[test]
fn a_get_error_is_passed_on_and_not_kept() {
    let (svc, mut c) = pair("sub_get_err");
    for _ in 0..2 {
        let id = c.ask("subscribe.sub_get_err.a");
        let [access, get] = svc.expect_all(["access.sub_get_err.a", "get.sub_get_err.a"]);
        access.grant();
        get.error("system.notFound", "Not found");
        c.expect_error(id, "system.notFound", "Not found");
    }
    c.subscribe(&svc, "sub_get_err.a", MODEL);
}

#[test]
fn errors_keep_their_data_and_may_lack_code_and_message() {
    let (svc, mut c) = pair("sub_err_forms");
    let forms = [
        (
            r#"{"code":"a.b","message":"M","data":{"x":"1.0"}}"#,
            r#"{"code":"a.b","message":"M","data":{"x":"1.0"}}"#,
        ),
        (
            r#"{"code":"a.b","message":"M","data":null}"#,
            r#"{"code":"a.b","message":"M"}"#,
        ),
        (r#"{}"#, r#"{"code":"","message":""}"#),
        (r#"{"message":"only"}"#, r#"{"code":"","message":"only"}"#),
    ];
    for (error, expected) in forms {
        let id = c.ask("subscribe.sub_err_forms.a");
        let [access, get] = svc.expect_all(["access.sub_err_forms.a", "get.sub_err_forms.a"]);
        access.grant();
        get.respond(&format!(r#"{{"error":{error}}}"#));
        c.expect(&format!(r#"{{"id":{id},"error":{expected}}}"#));
    }
}

#[test]
fn an_error_beats_a_result_and_a_null_error_is_none() {
    let (svc, mut c) = pair("sub_err_null");
    let id = c.ask("subscribe.sub_err_null.a");
    let [access, get] = svc.expect_all(["access.sub_err_null.a", "get.sub_err_null.a"]);
    access.grant();
    get.respond(r#"{"result":{"model":{}},"error":{"code":"x.y","message":"Z"}}"#);
    c.expect_error(id, "x.y", "Z");

    let id = c.ask("subscribe.sub_err_null.b");
    let [access, get] = svc.expect_all(["access.sub_err_null.b", "get.sub_err_null.b"]);
    access.respond(r#"{"error":null,"result":{"get":true}}"#);
    get.respond(r#"{"error":null,"result":{"model":{}}}"#);
    c.expect_result(id, r#"{"models":{"sub_err_null.b":{}}}"#);
}

#[test]
fn a_second_client_is_served_from_the_cache() {
    let (svc, mut c) = pair("sub_cached");
    c.subscribe(&svc, "sub_cached.a", MODEL);
    let mut d = Stack::shared().client();
    let id = d.ask("subscribe.sub_cached.a");
    svc.grant("sub_cached.a");
    d.expect_result(id, r#"{"models":{"sub_cached.a":{"a":1}}}"#);
    d.fence(&svc, "sub_cached.a");
}

#[test]
fn one_get_request_serves_all_who_wait() {
    let (svc, mut c) = pair("sub_wait");
    let mut d = Stack::shared().client();
    let first = c.ask("subscribe.sub_wait.a");
    let [access, get] = svc.expect_all(["access.sub_wait.a", "get.sub_wait.a"]);
    access.grant();
    let second = d.ask("subscribe.sub_wait.a");
    svc.grant("sub_wait.a");
    d.fence(&svc, "sub_wait.a");
    get.result(MODEL);
    c.expect_result(first, r#"{"models":{"sub_wait.a":{"a":1}}}"#);
    d.expect_result(second, r#"{"models":{"sub_wait.a":{"a":1}}}"#);
}

#[test]
fn subscribing_again_needs_no_requests_and_sends_nothing_new() {
    let (svc, mut c) = pair("sub_again");
    c.subscribe(&svc, "sub_again.a", MODEL);
    let id = c.ask("subscribe.sub_again.a");
    c.expect_result(id, "{}");
    let id = c.ask("get.sub_again.a");
    c.expect_result(id, "{}");
    c.fence(&svc, "sub_again.a");
}

#[test]
fn of_two_subscribes_of_one_loading_resource_the_first_carries_it() {
    let (svc, mut c) = pair("sub_twice");
    let first = c.ask("subscribe.sub_twice.a");
    let second = c.ask("subscribe.sub_twice.a");
    svc.serve("sub_twice.a", MODEL);
    c.expect_result(first, r#"{"models":{"sub_twice.a":{"a":1}}}"#);
    c.expect_result(second, "{}");
    svc.event("sub_twice.a.custom", "1");
    c.expect_event("sub_twice.a.custom", "1");
}

#[test]
fn a_subscribe_beside_an_open_get_is_answered_with_the_data_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("sub_get");
    let first = c.ask("get.sub_get.a");
    let second = c.ask("subscribe.sub_get.a");
    svc.serve("sub_get.a", MODEL);
    c.expect_result(first, r#"{"models":{"sub_get.a":{"a":1}}}"#);
    // The get left nothing with the client.
    c.expect_result(second, r#"{"models":{"sub_get.a":{"a":1}}}"#);
    svc.event("sub_get.a.custom", "1");
    c.expect_event("sub_get.a.custom", "1");
}

#[test]
fn get_asks_access_and_leaves_no_subscription() {
    let (svc, mut c) = pair("get_once");
    let id = c.ask("get.get_once.a");
    svc.serve("get_once.a", MODEL);
    c.expect_result(id, r#"{"models":{"get_once.a":{"a":1}}}"#);
    svc.event("get_once.a.change", r#"{"values":{"a":2}}"#);
    svc.event("get_once.a.custom", "null");
    c.fence(&svc, "get_once.a");
    let id = c.ask("unsubscribe.get_once.a");
    c.expect_error(id, "system.noSubscription", "No subscription");
    // Still cached, and kept up to date; access is asked again.
    let id = c.ask("get.get_once.a");
    svc.grant("get_once.a");
    c.expect_result(id, r#"{"models":{"get_once.a":{"a":2}}}"#);
}

#[test]
fn get_needs_access() {
    let (svc, mut c) = pair("get_denied");
    let id = c.ask("get.get_denied.a");
    let [access, get] = svc.expect_all(["access.get_denied.a", "get.get_denied.a"]);
    get.result(MODEL);
    access.result(r#"{"call":"*"}"#);
    c.expect_error(id, "system.accessDenied", "Access denied");
}

#[test]
fn params_of_subscribe_and_get_are_ignored() {
    let (svc, mut c) = pair("sub_params");
    for (method, params) in [
        ("subscribe", r#"{"count":5}"#),
        ("get", "[1]"),
        ("subscribe", "12"),
        ("get", "null"),
    ] {
        let name = format!("sub_params.{}", params.len());
        let id = c.ask_with(&format!("{method}.{name}"), params);
        svc.serve(&name, MODEL);
        c.expect_result(id, &format!(r#"{{"models":{{"{name}":{{"a":1}}}}}}"#));
    }
}

#[test]
fn unsubscribe_takes_back_as_many_as_its_count_says() {
    let (svc, mut c) = pair("unsub_count");
    c.subscribe(&svc, "unsub_count.a", MODEL);
    for _ in 0..4 {
        let id = c.ask("subscribe.unsub_count.a");
        c.expect_result(id, "{}");
    }
    // 5 direct subscriptions.
    let id = c.ask_with("unsubscribe.unsub_count.a", r#"{"count":6}"#);
    c.expect_error(id, "system.noSubscription", "No subscription");
    for params in ["null", "{}", r#"{"count":null}"#] {
        let id = c.ask_with("unsubscribe.unsub_count.a", params);
        c.expect(&format!(r#"{{"id":{id}}}"#));
    }
    // 2 left: events still come.
    svc.event("unsub_count.a.custom", "1");
    c.expect_event("unsub_count.a.custom", "1");
    let id = c.ask_with("unsubscribe.unsub_count.a", r#"{"count":2}"#);
    c.expect(&format!(r#"{{"id":{id}}}"#));
    svc.event("unsub_count.a.custom", "2");
    c.fence(&svc, "unsub_count.a");
    let id = c.ask("unsubscribe.unsub_count.a");
    c.expect_error(id, "system.noSubscription", "No subscription");
}

#[test]
fn unsubscribe_params_of_the_wrong_form_change_nothing() {
    let (svc, mut c) = pair("unsub_params");
    c.subscribe(&svc, "unsub_params.a", MODEL);
    for params in [
        r#"{"count":0}"#,
        r#"{"count":-1}"#,
        r#"{"count":1.5}"#,
        r#"{"count":"1"}"#,
        r#"{"count":true}"#,
        r#"{"count":{}}"#,
        "[]",
        "1",
        r#""count""#,
    ] {
        let id = c.ask_with("unsubscribe.unsub_params.a", params);
        let answer = c.next();
        assert_eq!(member(&answer, "id"), id.to_string(), "{params}");
        assert_eq!(
            member(&member(&answer, "error"), "code"),
            "system.invalidParams",
            "{params}"
        );
    }
    svc.event("unsub_params.a.custom", "1");
    c.expect_event("unsub_params.a.custom", "1");
}

#[test]
fn unsubscribe_of_what_is_not_subscribed_is_an_error() {
    let (svc, mut c) = pair("unsub_none");
    let id = c.ask("unsubscribe.unsub_none.a");
    c.expect_error(id, "system.noSubscription", "No subscription");
    // Indirect subscriptions cannot be taken back by the client.
    let id = c.ask("subscribe.unsub_none.p");
    svc.serve("unsub_none.p", r#"{"model":{"c":{"rid":"unsub_none.c"}}}"#);
    svc.serve_get("unsub_none.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"unsub_none.p":{"c":{"rid":"unsub_none.c"}},"unsub_none.c":{"a":1}}}"#,
    );
    let id = c.ask("unsubscribe.unsub_none.c");
    c.expect_error(id, "system.noSubscription", "No subscription");
}

#[test]
fn a_resource_takes_256_direct_subscriptions_of_one_client() {
    let (svc, mut c) = pair("sub_limit");
    c.subscribe(&svc, "sub_limit.a", MODEL);
    for _ in 1..256 {
        let id = c.ask("subscribe.sub_limit.a");
        c.expect_result(id, "{}");
    }
    let id = c.ask("subscribe.sub_limit.a");
    c.expect_error(
        id,
        "system.subscriptionLimitExceeded",
        "Subscription limit exceeded",
    );
    let id = c.ask_with("unsubscribe.sub_limit.a", r#"{"count":256}"#);
    c.expect(&format!(r#"{{"id":{id}}}"#));
    svc.event("sub_limit.a.custom", "1");
    c.fence(&svc, "sub_limit.a");
}

#[test]
fn resources_without_a_service_are_not_found() {
    let mut c = Stack::shared().client();
    for method in ["subscribe", "get"] {
        let id = c.ask(&format!("{method}.nobody_serves.a"));
        c.expect_error(id, "system.notFound", "Not found");
    }
    let id = c.ask("call.nobody_serves.a.set");
    c.expect_error(id, "system.notFound", "Not found");
    let id = c.ask("auth.nobody_serves.a.login");
    c.expect_error(id, "system.notFound", "Not found");
    let id = c.ask("new.nobody_serves.a");
    c.expect_error(id, "system.notFound", "Not found");
}

#[test]
fn ids_are_not_checked_for_reuse() {
    let (svc, mut c) = pair("sub_same_id");
    c.send(r#"{"id":5,"method":"subscribe.sub_same_id.a"}"#);
    c.send(r#"{"id":5,"method":"version"}"#);
    c.expect_result(5, r#"{"protocol":"1.2.3"}"#);
    svc.serve("sub_same_id.a", MODEL);
    c.expect_result(5, r#"{"models":{"sub_same_id.a":{"a":1}}}"#);
}

#[test]
fn an_empty_query_is_an_id_of_its_own_for_the_client() {
    let (svc, mut c) = pair("sub_empty_q");
    let id = c.ask("subscribe.sub_empty_q.a?");
    let [access, get] = svc.expect_all(["access.sub_empty_q.a", "get.sub_empty_q.a"]);
    access.assert_payload(r#"{"token":null}"#);
    assert_eq!(get.payload(), "{}");
    access.grant();
    get.result(MODEL);
    c.expect_result(id, r#"{"models":{"sub_empty_q.a?":{"a":1}}}"#);
    // The data is there, access is asked for each id.
    let id = c.ask("subscribe.sub_empty_q.a");
    svc.grant("sub_empty_q.a");
    c.expect_result(id, r#"{"models":{"sub_empty_q.a":{"a":1}}}"#);
    svc.event("sub_empty_q.a.change", r#"{"values":{"a":2}}"#);
    let mut got = [c.next(), c.next()].map(|t| canonical(&t));
    got.sort();
    assert_eq!(
        got,
        [
            r#"{"data":{"values":{"a":2}},"event":"sub_empty_q.a.change"}"#,
            r#"{"data":{"values":{"a":2}},"event":"sub_empty_q.a?.change"}"#,
        ]
    );
}

#[test]
fn names_may_hold_any_visible_character_but_the_wildcards() {
    let (svc, mut c) = pair("sub_chars");
    let name = r##"sub_chars.!"#$%&'()+,-/:;<=@[\]^_`{|}~.z"##;
    let id = c.ask(&format!("subscribe.{name}"));
    svc.serve(name, MODEL);
    let key = serde_json::to_string(name)
        .expect("a string is always JSON")
        .replace('<', "\\u003c")
        .replace('&', "\\u0026");
    let answer = c.next();
    assert!(
        answer.contains(&key) && answer.ends_with(&format!("\"id\":{id}}}")),
        "{answer} lacks {key}"
    );
}

#[test]
fn every_request_is_answered_when_its_resource_is_unsubscribed_while_it_loads_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("sub_unsub_load");
    let subscribe = c.ask("subscribe.sub_unsub_load.a");
    let [access, get] = svc.expect_all(["access.sub_unsub_load.a", "get.sub_unsub_load.a"]);
    let unsubscribe = c.ask("unsubscribe.sub_unsub_load.a");
    c.send(r#"{"id":90,"method":"version"}"#);
    let mut answered = Vec::new();
    loop {
        let id: u64 = member(&c.next(), "id").parse().expect("ids are numbers");
        answered.push(id);
        if id == 90 {
            break;
        }
    }
    access.grant();
    get.result(MODEL);
    for _ in answered.len()..3 {
        answered.push(member(&c.next(), "id").parse().expect("ids are numbers"));
    }
    answered.sort_unstable();
    assert_eq!(answered, [subscribe, unsubscribe, 90]);
    c.fence(&svc, "sub_unsub_load.a");
}

#[test]
fn an_open_get_is_no_subscription_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("get_open");
    let get_id = c.ask("get.get_open.a");
    let [access, get] = svc.expect_all(["access.get_open.a", "get.get_open.a"]);
    let id = c.ask("unsubscribe.get_open.a");
    c.expect_error(id, "system.noSubscription", "No subscription");
    access.grant();
    get.result(MODEL);
    c.expect_result(get_id, r#"{"models":{"get_open.a":{"a":1}}}"#);
}

#[test]
fn a_failed_get_leaves_nothing_behind_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("get_failed");
    let id = c.ask("get.get_failed.a");
    let [access, get] = svc.expect_all(["access.get_failed.a", "get.get_failed.a"]);
    access.grant();
    get.error("system.internalError", "Busy");
    c.expect_error(id, "system.internalError", "Busy");
    let id = c.ask("get.get_failed.a");
    svc.serve("get_failed.a", MODEL);
    c.expect_result(id, r#"{"models":{"get_failed.a":{"a":1}}}"#);
    let id = c.ask("subscribe.get_failed.a");
    svc.grant("get_failed.a");
    c.expect_result(id, r#"{"models":{"get_failed.a":{"a":1}}}"#);
}

#[test]
fn events_during_a_plain_get_are_not_sent_after_its_answer_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("get_events");
    let id = c.ask("get.get_events.a");
    let [access, get] = svc.expect_all(["access.get_events.a", "get.get_events.a"]);
    get.result(MODEL);
    svc.event("get_events.a.custom", "1");
    c.fence(&svc, "get_events.a");
    access.grant();
    c.expect_result(id, r#"{"models":{"get_events.a":{"a":1}}}"#);
    c.fence(&svc, "get_events.a");
}
