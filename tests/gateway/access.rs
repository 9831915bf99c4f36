//! Access: answers, what is kept, and reaccess.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

#[test]
fn only_get_true_grants_a_subscription() {
    let (svc, mut c) = pair("acc_forms");
    let denied = r#"{"code":"system.accessDenied","message":"Access denied"}"#;
    for (i, (answer, error)) in [
        (r#"{"result":{"get":false}}"#, denied),
        (r#"{"result":{}}"#, denied),
        (r#"{"result":{"get":null}}"#, denied),
        (r#"{"result":{"call":"*"}}"#, denied),
        (
            r#"{"error":{"code":"system.accessDenied","message":"No"}}"#,
            r#"{"code":"system.accessDenied","message":"No"}"#,
        ),
        (
            r#"{"error":{"code":"my.code","message":"My","data":{"a":1}}}"#,
            r#"{"code":"my.code","message":"My","data":{"a":1}}"#,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("acc_forms.r{i}");
        let id = c.ask(&format!("subscribe.{name}"));
        let [access, get] = svc.expect_all([&format!("access.{name}"), &format!("get.{name}")]);
        get.result(MODEL);
        access.respond(answer);
        c.expect(&format!(r#"{{"id":{id},"error":{error}}}"#));
    }
}

#[test]
fn an_invalid_access_answer_is_an_internal_error() {
    let (svc, mut c) = pair("acc_bad");
    for answer in [
        "{",
        "12",
        r#"{"result":{"get":1}}"#,
        r#"{"result":{"call":1}}"#,
        "{}",
    ] {
        let id = c.ask("subscribe.acc_bad.a");
        let access = loop {
            let request = svc.next();
            if request.subject() == "access.acc_bad.a" {
                break request;
            }
            request.result(MODEL);
        };
        access.respond(answer);
        let text = c.next();
        assert_eq!(member(&text, "id"), id.to_string(), "{answer}");
        assert_eq!(
            member(&member(&text, "error"), "code"),
            "system.internalError",
            "{answer}: {text}"
        );
    }
}

#[test]
fn call_lists_are_compared_exactly() {
    let (svc, mut c) = pair("acc_call");
    for (i, (list, method, allowed)) in [
        (r#""*""#, "set", true),
        (r#""set""#, "set", true),
        (r#""set""#, "Set", false),
        (r#""set""#, "se", false),
        (r#""foo,set""#, "set", true),
        (r#""foo,set,bar""#, "set", true),
        (r#""foo,,set""#, "set", true),
        (r#"",set,""#, "set", true),
        (r#""foo, set""#, "set", false),
        (r#""foo,*""#, "set", false),
        (r#""*,foo""#, "set", false),
        (r#""foo,*""#, "foo", true),
        (r#""""#, "set", false),
        ("null", "set", false),
        (r#""settings""#, "set", false),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("acc_call.r{i}");
        let id = c.ask(&format!("call.{name}.{method}"));
        svc.expect(&format!("access.{name}"))
            .result(&format!(r#"{{"get":false,"call":{list}}}"#));
        if allowed {
            svc.expect(&format!("call.{name}.{method}")).result("1");
            c.expect_result(id, r#"{"payload":1}"#);
        } else {
            c.expect_error(id, "system.accessDenied", "Access denied");
        }
    }
}

#[test]
fn a_call_on_a_resource_the_client_holds_uses_the_kept_access() {
    let (svc, mut c) = pair("acc_kept");
    let id = c.ask("subscribe.acc_kept.a");
    let [access, get] = svc.expect_all(["access.acc_kept.a", "get.acc_kept.a"]);
    access.result(r#"{"get":true,"call":"set"}"#);
    get.result(MODEL);
    c.expect_result(id, r#"{"models":{"acc_kept.a":{"a":1}}}"#);
    let id = c.ask("call.acc_kept.a.set");
    svc.expect("call.acc_kept.a.set").result("null");
    c.expect_result(id, r#"{"payload":null}"#);
    let id = c.ask("call.acc_kept.a.other");
    c.expect_error(id, "system.accessDenied", "Access denied");
    c.fence(&svc, "acc_kept.a");
}

#[test]
fn a_call_on_a_resource_the_client_does_not_hold_asks_each_time() {
    let (svc, mut c) = pair("acc_each");
    for _ in 0..3 {
        let id = c.ask("call.acc_each.a.set");
        svc.grant("acc_each.a");
        svc.expect("call.acc_each.a.set").result("1");
        c.expect_result(id, r#"{"payload":1}"#);
    }
}

#[test]
fn a_call_on_an_indirectly_held_resource_asks_once() {
    let (svc, mut c) = pair("acc_ind");
    let id = c.ask("subscribe.acc_ind.p");
    svc.serve("acc_ind.p", r#"{"model":{"c":{"rid":"acc_ind.c"}}}"#);
    svc.serve_get("acc_ind.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"acc_ind.p":{"c":{"rid":"acc_ind.c"}},"acc_ind.c":{"a":1}}}"#,
    );
    let id = c.ask("call.acc_ind.c.set");
    svc.grant("acc_ind.c");
    svc.expect("call.acc_ind.c.set").result("1");
    c.expect_result(id, r#"{"payload":1}"#);
    let id = c.ask("call.acc_ind.c.set");
    svc.expect("call.acc_ind.c.set").result("2");
    c.expect_result(id, r#"{"payload":2}"#);
}

#[test]
fn errors_other_than_denials_are_asked_again() {
    let (svc, mut c) = pair("acc_err");
    let id = c.ask("subscribe.acc_err.p");
    svc.serve("acc_err.p", r#"{"model":{"c":{"rid":"acc_err.c"}}}"#);
    svc.serve_get("acc_err.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"acc_err.p":{"c":{"rid":"acc_err.c"}},"acc_err.c":{"a":1}}}"#,
    );
    let id = c.ask("call.acc_err.c.set");
    svc.expect("access.acc_err.c")
        .error("system.internalError", "Oops");
    c.expect_error(id, "system.internalError", "Oops");
    let id = c.ask("call.acc_err.c.set");
    svc.expect("access.acc_err.c")
        .error("system.accessDenied", "No");
    c.expect_error(id, "system.accessDenied", "No");
    // The denial is kept.
    let id = c.ask("call.acc_err.c.set");
    c.expect_error(id, "system.accessDenied", "No");
    c.fence(&svc, "acc_err.c");
}

#[test]
fn simultaneous_users_share_one_access_request() {
    let (svc, mut c) = pair("acc_share");
    let id = c.ask("subscribe.acc_share.p");
    svc.serve("acc_share.p", r#"{"model":{"c":{"rid":"acc_share.c"}}}"#);
    svc.serve_get("acc_share.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"acc_share.p":{"c":{"rid":"acc_share.c"}},"acc_share.c":{"a":1}}}"#,
    );
    let call = c.ask("call.acc_share.c.set");
    let subscribe = c.ask("subscribe.acc_share.c");
    let access = svc.expect("access.acc_share.c");
    c.fence(&svc, "acc_share.c");
    access.grant();
    svc.expect("call.acc_share.c.set").result("1");
    c.expect_result(subscribe, "{}");
    c.expect_result(call, r#"{"payload":1}"#);
}

#[test]
fn each_client_has_its_own_access() {
    let (svc, mut c) = pair("acc_own");
    c.subscribe(&svc, "acc_own.a", MODEL);
    let mut d = Stack::shared().client();
    let id = d.ask("subscribe.acc_own.a");
    svc.expect("access.acc_own.a").result(r#"{"get":false}"#);
    d.expect_error(id, "system.accessDenied", "Access denied");
    svc.event("acc_own.a.custom", "1");
    c.expect_event("acc_own.a.custom", "1");
    d.fence(&svc, "acc_own.a");
}

#[test]
fn reaccess_that_is_granted_holds_events_until_the_answer() {
    let (svc, mut c) = pair("acc_re");
    c.subscribe(&svc, "acc_re.a", MODEL);
    svc.event("acc_re.a.reaccess", "");
    let access = svc.expect("access.acc_re.a");
    svc.event("acc_re.a.change", r#"{"values":{"a":2}}"#);
    svc.event("acc_re.a.custom", "1");
    c.fence(&svc, "acc_re.a");
    access.grant();
    c.expect_event("acc_re.a.change", r#"{"values":{"a":2}}"#);
    c.expect_event("acc_re.a.custom", "1");
    c.fence(&svc, "acc_re.a");
}

#[test]
fn reaccess_that_is_denied_ends_all_direct_subscriptions() {
    let (svc, mut c) = pair("acc_revoke");
    for (i, (answer, code, message)) in [
        (
            r#"{"result":{"get":false,"call":"*"}}"#,
            "system.accessDenied",
            "Access denied",
        ),
        (
            r#"{"error":{"code":"my.error","message":"Mine"}}"#,
            "my.error",
            "Mine",
        ),
        (
            r#"{"error":{"code":"system.notFound","message":"Not found"}}"#,
            "system.notFound",
            "Not found",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("acc_revoke.r{i}");
        c.subscribe(&svc, &name, MODEL);
        let id = c.ask(&format!("subscribe.{name}"));
        c.expect_result(id, "{}");
        svc.event(&format!("{name}.reaccess"), "");
        let access = svc.expect(&format!("access.{name}"));
        svc.event(&format!("{name}.custom"), "1");
        c.fence(&svc, &name);
        access.respond(answer);
        c.expect_unsubscribed(&name, code, message);
        svc.event(&format!("{name}.custom"), "2");
        c.fence(&svc, &name);
        let id = c.ask(&format!("unsubscribe.{name}"));
        c.expect_error(id, "system.noSubscription", "No subscription");
    }
}

#[test]
fn reaccess_events_meanwhile_are_folded_into_one() {
    let (svc, mut c) = pair("acc_fold");
    c.subscribe(&svc, "acc_fold.a", MODEL);
    svc.event("acc_fold.a.reaccess", "");
    let access = svc.expect("access.acc_fold.a");
    for _ in 0..3 {
        svc.event("acc_fold.a.reaccess", "");
    }
    c.fence(&svc, "acc_fold.a");
    access.grant();
    svc.grant("acc_fold.a");
    c.fence(&svc, "acc_fold.a");
}

#[test]
fn a_revoked_resource_that_a_parent_holds_stays_live() {
    let (svc, mut c) = pair("acc_parent");
    let id = c.ask("subscribe.acc_parent.p");
    svc.serve("acc_parent.p", r#"{"model":{"c":{"rid":"acc_parent.c"}}}"#);
    svc.serve_get("acc_parent.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"acc_parent.p":{"c":{"rid":"acc_parent.c"}},"acc_parent.c":{"a":1}}}"#,
    );
    let id = c.ask("subscribe.acc_parent.c");
    svc.grant("acc_parent.c");
    c.expect_result(id, "{}");
    svc.event("acc_parent.c.reaccess", "");
    svc.expect("access.acc_parent.c").result(r#"{"get":false}"#);
    c.expect_unsubscribed("acc_parent.c", "system.accessDenied", "Access denied");
    svc.event("acc_parent.c.custom", "1");
    c.expect_event("acc_parent.c.custom", "1");
}

#[test]
fn reaccess_of_an_indirectly_held_resource_asks_nothing_but_forgets() {
    let (svc, mut c) = pair("acc_forget");
    let id = c.ask("subscribe.acc_forget.p");
    svc.serve("acc_forget.p", r#"{"model":{"c":{"rid":"acc_forget.c"}}}"#);
    svc.serve_get("acc_forget.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"acc_forget.p":{"c":{"rid":"acc_forget.c"}},"acc_forget.c":{"a":1}}}"#,
    );
    let id = c.ask("call.acc_forget.c.set");
    svc.grant("acc_forget.c");
    svc.expect("call.acc_forget.c.set").result("1");
    c.expect_result(id, r#"{"payload":1}"#);
    svc.event("acc_forget.c.reaccess", "");
    c.fence(&svc, "acc_forget.c");
    let id = c.ask("call.acc_forget.c.set");
    svc.grant("acc_forget.c");
    svc.expect("call.acc_forget.c.set").result("2");
    c.expect_result(id, r#"{"payload":2}"#);
}

#[test]
fn reaccess_while_loading_is_asked_after_the_answer() {
    let (svc, mut c) = pair("acc_loading");
    let id = c.ask("subscribe.acc_loading.a");
    let [access, get] = svc.expect_all(["access.acc_loading.a", "get.acc_loading.a"]);
    access.grant();
    c.fence(&svc, "acc_loading.a");
    svc.event("acc_loading.a.reaccess", "");
    c.fence(&svc, "acc_loading.a");
    get.result(MODEL);
    c.expect_result(id, r#"{"models":{"acc_loading.a":{"a":1}}}"#);
    svc.expect("access.acc_loading.a")
        .result(r#"{"get":false}"#);
    c.expect_unsubscribed("acc_loading.a", "system.accessDenied", "Access denied");
}

#[test]
fn reaccess_reaches_every_client() {
    let (svc, mut c) = pair("acc_all");
    c.subscribe(&svc, "acc_all.a", MODEL);
    let mut d = Stack::shared().client();
    let id = d.ask("subscribe.acc_all.a");
    svc.grant("acc_all.a");
    d.expect_result(id, r#"{"models":{"acc_all.a":{"a":1}}}"#);
    let cids = [c.cid(&svc, "acc_all.a"), d.cid(&svc, "acc_all.a")];
    svc.event("acc_all.a.reaccess", "");
    for request in svc.expect_all(["access.acc_all.a", "access.acc_all.a"]) {
        if request.member("cid") == cids[0] {
            request.grant();
        } else {
            assert_eq!(request.member("cid"), cids[1]);
            request.result(r#"{"get":false}"#);
        }
    }
    d.expect_unsubscribed("acc_all.a", "system.accessDenied", "Access denied");
    svc.event("acc_all.a.custom", "1");
    c.expect_event("acc_all.a.custom", "1");
    d.fence(&svc, "acc_all.a");
}

#[test]
fn reaccess_reaches_query_resources_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("acc_query");
    let id = c.ask("subscribe.acc_query.a?x=1");
    svc.serve("acc_query.a", r#"{"model":{"a":1},"query":"x=1"}"#);
    c.expect_result(id, r#"{"models":{"acc_query.a?x=1":{"a":1}}}"#);
    svc.event("acc_query.a.reaccess", "");
    svc.expect("access.acc_query.a").result(r#"{"get":false}"#);
    c.expect_unsubscribed("acc_query.a?x=1", "system.accessDenied", "Access denied");
}

#[test]
fn an_indirect_subscription_turned_direct_survives_only_with_access() {
    let (svc, mut c) = pair("acc_turn");
    let id = c.ask("subscribe.acc_turn.p");
    svc.serve("acc_turn.p", r#"{"model":{"c":{"rid":"acc_turn.c"}}}"#);
    svc.serve_get("acc_turn.c", MODEL);
    c.expect_result(
        id,
        r#"{"models":{"acc_turn.p":{"c":{"rid":"acc_turn.c"}},"acc_turn.c":{"a":1}}}"#,
    );
    // A call needs access to `set` but grants no get.
    let id = c.ask("call.acc_turn.c.set");
    svc.expect("access.acc_turn.c")
        .result(r#"{"get":false,"call":"set"}"#);
    svc.expect("call.acc_turn.c.set").result("1");
    c.expect_result(id, r#"{"payload":1}"#);
    let id = c.ask("subscribe.acc_turn.c");
    c.expect_error(id, "system.accessDenied", "Access denied");
    c.unsubscribe("acc_turn.p");
    svc.event("acc_turn.c.custom", "1");
    c.fence(&svc, "acc_turn.c");
}
