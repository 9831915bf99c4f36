//! Query resources: normalised queries and query events.

use crate::common::*;

/// Subscribes `name?query`; the service says what the query is when normalised.
#[track_caller]
fn subscribe(c: &mut Client, svc: &Service, name: &str, query: &str, normal: &str, list: &str) {
    let id = c.ask(&format!("subscribe.{name}?{query}"));
    let [access, get] = svc.expect_all([&format!("access.{name}"), &format!("get.{name}")]);
    access.assert_payload(&format!(r#"{{"token":null,"query":"{query}"}}"#));
    assert_eq!(get.payload(), format!(r#"{{"query":"{query}"}}"#));
    access.grant();
    get.result(&format!(r#"{{"collection":{list},"query":"{normal}"}}"#));
    c.expect_result(
        id,
        &format!(r#"{{"collections":{{"{name}?{query}":{list}}}}}"#),
    );
}

/// Publishes a query event and waits for the query request it causes.
#[track_caller]
fn query_event(svc: &Service, name: &str, prefix: &str) -> Request {
    svc.event(
        &format!("{name}.query"),
        &format!(r#"{{"subject":"query.{prefix}.s"}}"#),
    );
    svc.expect(&format!("query.{prefix}.s"))
}

#[test]
fn different_queries_with_one_normal_form_share_data() {
    let (svc, mut c) = pair("qry_norm");
    subscribe(&mut c, &svc, "qry_norm.l", "b=2;a=1", "a=1;b=2", "[1]");
    subscribe(&mut c, &svc, "qry_norm.l", "a=1;b=2;c=", "a=1;b=2", "[1]");
    // The normalised form itself is known: only access is asked.
    let id = c.ask("subscribe.qry_norm.l?a=1;b=2");
    svc.grant("qry_norm.l");
    c.expect_result(id, r#"{"collections":{"qry_norm.l?a=1;b=2":[1]}}"#);
}

#[test]
fn a_known_query_needs_no_get_request() {
    let (svc, mut c) = pair("qry_known");
    subscribe(&mut c, &svc, "qry_known.l", "x", "x=0", "[1]");
    let mut d = Stack::shared().client();
    for query in ["x", "x=0"] {
        let id = d.ask(&format!("subscribe.qry_known.l?{query}"));
        svc.grant("qry_known.l");
        d.expect_result(
            id,
            &format!(r#"{{"collections":{{"qry_known.l?{query}":[1]}}}}"#),
        );
    }
}

#[test]
fn an_answer_without_query_makes_an_alias_of_the_plain_resource() {
    let (svc, mut c) = pair("qry_alias");
    let id = c.ask("subscribe.qry_alias.m?x=1");
    svc.serve("qry_alias.m", r#"{"model":{"a":1}}"#);
    c.expect_result(id, r#"{"models":{"qry_alias.m?x=1":{"a":1}}}"#);
    svc.event("qry_alias.m.change", r#"{"values":{"a":2}}"#);
    c.expect_event("qry_alias.m?x=1.change", r#"{"values":{"a":2}}"#);
    svc.event("qry_alias.m.custom", "1");
    c.expect_event("qry_alias.m?x=1.custom", "1");
    let id = c.ask("subscribe.qry_alias.m");
    svc.grant("qry_alias.m");
    c.expect_result(id, r#"{"models":{"qry_alias.m":{"a":2}}}"#);
}

#[test]
fn a_plain_id_may_be_an_alias_of_a_query_resource() {
    let (svc, mut c) = pair("qry_plain");
    let id = c.ask("subscribe.qry_plain.l");
    svc.serve("qry_plain.l", r#"{"collection":[1],"query":"from=0"}"#);
    c.expect_result(id, r#"{"collections":{"qry_plain.l":[1]}}"#);
    let request = query_event(&svc, "qry_plain.l", "qry_plain");
    assert_eq!(request.payload(), r#"{"query":"from=0"}"#);
    request.result(r#"{"events":[{"event":"add","data":{"idx":0,"value":0}}]}"#);
    c.expect_event("qry_plain.l.add", r#"{"idx":0,"value":0}"#);
}

#[test]
fn plain_events_do_not_reach_query_resources() {
    let (svc, mut c) = pair("qry_noev");
    subscribe(&mut c, &svc, "qry_noev.l", "x=1", "x=1", "[1]");
    svc.event("qry_noev.l.add", r#"{"idx":0,"value":0}"#);
    svc.event("qry_noev.l.custom", "1");
    svc.event("qry_noev.l.delete", "");
    c.fence(&svc, "qry_noev.l");
}

#[test]
fn query_events_ask_once_per_normal_form() {
    let (svc, mut c) = pair("qry_ask");
    subscribe(&mut c, &svc, "qry_ask.l", "x=1", "x=1", "[1]");
    subscribe(&mut c, &svc, "qry_ask.l", "x=01", "x=1", "[1]");
    subscribe(&mut c, &svc, "qry_ask.l", "x=2", "x=2", "[2]");
    svc.event("qry_ask.l.query", r#"{"subject":"query.qry_ask.s"}"#);
    for request in svc.expect_all(["query.qry_ask.s", "query.qry_ask.s"]) {
        match request.payload() {
            r#"{"query":"x=1"}"# => request.result(
                r#"{"events":[{"event":"add","data":{"idx":1,"value":9}},{"event":"custom","data":{"k":1}}]}"#,
            ),
            r#"{"query":"x=2"}"# => {
                request.result(r#"{"events":[{"event":"remove","data":{"idx":0}}]}"#);
            }
            other => panic!("unexpected query request {other}"),
        }
    }
    // The two names of x=1 and x=2 get their events under the id the client used.
    let mut got: Vec<String> = (0..5).map(|_| canonical(&c.next())).collect();
    got.sort();
    assert_eq!(
        got,
        [
            r#"{"data":{"idx":0},"event":"qry_ask.l?x=2.remove"}"#,
            r#"{"data":{"idx":1,"value":9},"event":"qry_ask.l?x=01.add"}"#,
            r#"{"data":{"idx":1,"value":9},"event":"qry_ask.l?x=1.add"}"#,
            r#"{"data":{"k":1},"event":"qry_ask.l?x=01.custom"}"#,
            r#"{"data":{"k":1},"event":"qry_ask.l?x=1.custom"}"#,
        ]
    );
}

#[test]
fn a_query_request_may_be_answered_with_the_whole_content() {
    let (svc, mut c) = pair("qry_whole");
    subscribe(&mut c, &svc, "qry_whole.l", "x=1", "x=1", r#"["a","b"]"#);
    query_event(&svc, "qry_whole.l", "qry_whole").result(r#"{"collection":["b","c"]}"#);
    c.expect_event("qry_whole.l?x=1.remove", r#"{"idx":0}"#);
    c.expect_event("qry_whole.l?x=1.add", r#"{"idx":1,"value":"c"}"#);
    let id = c.ask("subscribe.qry_whole.m?y");
    svc.serve("qry_whole.m", r#"{"model":{"a":1,"b":2},"query":"y"}"#);
    c.expect_result(id, r#"{"models":{"qry_whole.m?y":{"a":1,"b":2}}}"#);
    query_event(&svc, "qry_whole.m", "qry_whole").result(r#"{"model":{"a":1,"c":3}}"#);
    c.expect_event(
        "qry_whole.m?y.change",
        r#"{"values":{"b":{"action":"delete"},"c":3}}"#,
    );
}

#[test]
fn query_answers_that_say_nothing_change_nothing() {
    let (svc, mut c) = pair("qry_nothing");
    subscribe(&mut c, &svc, "qry_nothing.l", "x=1", "x=1", r#"["a"]"#);
    for answer in [
        r#"{"result":{}}"#,
        r#"{"result":{"events":null}}"#,
        r#"{"result":{"events":[]}}"#,
        r#"{"result":{"collection":["a"]}}"#,
    ] {
        query_event(&svc, "qry_nothing.l", "qry_nothing").respond(answer);
        c.fence(&svc, "qry_nothing.l");
    }
}

#[test]
fn of_several_events_in_a_query_answer_the_bad_ones_are_skipped() {
    let (svc, mut c) = pair("qry_skip");
    subscribe(&mut c, &svc, "qry_skip.l", "x=1", "x=1", r#"["a"]"#);
    query_event(&svc, "qry_skip.l", "qry_skip").result(
        r#"{"events":[{"event":"add","data":{"idx":9,"value":1}},{"event":"change","data":{"values":{"a":1}}},{"event":"add","data":{"idx":1,"value":"b"}}]}"#,
    );
    c.expect_event("qry_skip.l?x=1.add", r#"{"idx":1,"value":"b"}"#);
    c.fence(&svc, "qry_skip.l");
}

/// Query requests that are answered with an error or nonsense.
const USELESS: [&str; 7] = [
    r#"{"result":{"collection":["b"],"events":[{"event":"add","data":{"idx":0,"value":1}}]}}"#,
    r#"{"result":{"model":{"a":1}}}"#,
    r#"{"result":{"collection":[{"action":"delete"}]}}"#,
    r#"{"error":{"code":"system.internalError","message":"x"}}"#,
    "{",
    "[]",
    "{}",
];

#[test]
fn useless_query_answers_send_nothing_to_clients() {
    let (svc, mut c) = pair("qry_bad");
    subscribe(&mut c, &svc, "qry_bad.l", "x=1", "x=1", r#"["a"]"#);
    for answer in USELESS {
        query_event(&svc, "qry_bad.l", "qry_bad").respond(answer);
        if !is_peer() {
            svc.serve_get("qry_bad.l", r#"{"collection":["a"],"query":"x=1"}"#);
        }
        c.fence(&svc, "qry_bad.l");
    }
}

#[test]
fn after_a_useless_query_answer_the_resource_is_fetched_whole_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("qry_fetch");
    subscribe(&mut c, &svc, "qry_fetch.l", "x=1", "x=1", "[0]");
    for (i, answer) in USELESS.into_iter().enumerate() {
        query_event(&svc, "qry_fetch.l", "qry_fetch").respond(answer);
        let get = svc.expect("get.qry_fetch.l");
        assert_eq!(get.payload(), r#"{"query":"x=1"}"#);
        get.result(&format!(r#"{{"collection":[{}],"query":"x=1"}}"#, i + 1));
        c.expect_event("qry_fetch.l?x=1.remove", r#"{"idx":0}"#);
        c.expect_event(
            "qry_fetch.l?x=1.add",
            &format!(r#"{{"idx":0,"value":{}}}"#, i + 1),
        );
    }
}

#[test]
fn not_found_or_a_delete_event_deletes_the_query_resource() {
    let (svc, mut c) = pair("qry_del");
    for answer in [
        r#"{"error":{"code":"system.notFound","message":"Not found"}}"#,
        r#"{"result":{"events":[{"event":"delete"}]}}"#,
    ] {
        subscribe(&mut c, &svc, "qry_del.l", "x=1", "x=1", "[1]");
        query_event(&svc, "qry_del.l", "qry_del").respond(answer);
        c.expect_event("qry_del.l?x=1.delete", "null");
        c.expect_unsubscribed("qry_del.l?x=1", "system.deleted", "Deleted");
    }
}

#[test]
fn query_events_without_subject_or_query_resources_ask_nothing() {
    let (svc, mut c) = pair("qry_none");
    c.subscribe(&svc, "qry_none.plain", r#"{"model":{}}"#);
    svc.event("qry_none.plain.query", r#"{"subject":"query.qry_none.s"}"#);
    c.fence(&svc, "qry_none.plain");
    subscribe(&mut c, &svc, "qry_none.l", "x=1", "x=1", "[1]");
    for payload in ["", "{}", r#"{"subject":""}"#, r#"{"subject":5}"#, "[]", "{"] {
        svc.event("qry_none.l.query", payload);
    }
    c.fence(&svc, "qry_none.l");
}

#[test]
fn all_else_on_the_name_waits_for_the_query_answers() {
    let (svc, mut c) = pair("qry_wait");
    c.subscribe(&svc, "qry_wait.l", r#"{"collection":[0]}"#);
    subscribe(&mut c, &svc, "qry_wait.l", "x=1", "x=1", "[1]");
    let call = c.ask("call.qry_wait.l.set");
    let call_request = svc.expect("call.qry_wait.l.set");
    let request = query_event(&svc, "qry_wait.l", "qry_wait");
    // These all wait behind the open query request. The other resource's traffic on the
    // same connection shows that they have arrived.
    svc.event("qry_wait.l.add", r#"{"idx":1,"value":"e"}"#);
    call_request.result("1");
    svc.flush();
    c.fence(&svc, "qry_wait.other");
    request.result(r#"{"events":[{"event":"add","data":{"idx":0,"value":"q"}}]}"#);
    c.expect_event("qry_wait.l?x=1.add", r#"{"idx":0,"value":"q"}"#);
    c.expect_event("qry_wait.l.add", r#"{"idx":1,"value":"e"}"#);
    c.expect_result(call, r#"{"payload":1}"#);
}

#[test]
fn query_events_are_handled_one_after_the_other() {
    let (svc, mut c) = pair("qry_seq");
    subscribe(&mut c, &svc, "qry_seq.l", "x=1", "x=1", "[]");
    svc.event("qry_seq.l.query", r#"{"subject":"query.qry_seq.one"}"#);
    svc.event("qry_seq.l.query", r#"{"subject":"query.qry_seq.two"}"#);
    let one = svc.expect("query.qry_seq.one");
    c.fence(&svc, "qry_seq.other");
    one.result(r#"{"events":[{"event":"add","data":{"idx":0,"value":1}}]}"#);
    let two = svc.expect("query.qry_seq.two");
    two.result(r#"{"events":[{"event":"add","data":{"idx":1,"value":2}}]}"#);
    c.expect_event("qry_seq.l?x=1.add", r#"{"idx":0,"value":1}"#);
    c.expect_event("qry_seq.l?x=1.add", r#"{"idx":1,"value":2}"#);
}

#[test]
fn query_answers_may_bring_references() {
    let (svc, mut c) = pair("qry_ref");
    subscribe(&mut c, &svc, "qry_ref.l", "x=1", "x=1", "[]");
    query_event(&svc, "qry_ref.l", "qry_ref")
        .result(r#"{"events":[{"event":"add","data":{"idx":0,"value":{"rid":"qry_ref.m"}}}]}"#);
    svc.serve_get("qry_ref.m", r#"{"model":{"a":1}}"#);
    c.expect_event(
        "qry_ref.l?x=1.add",
        r#"{"idx":0,"value":{"rid":"qry_ref.m"},"models":{"qry_ref.m":{"a":1}}}"#,
    );
}

#[test]
fn a_reset_asks_for_each_query_of_a_name() {
    let (svc, mut c) = pair("qry_reset");
    c.subscribe(&svc, "qry_reset.l", r#"{"collection":[0]}"#);
    subscribe(&mut c, &svc, "qry_reset.l", "x=01", "x=1", "[1]");
    svc.reset(r#"{"resources":["qry_reset.l"]}"#);
    for request in svc.expect_all(["get.qry_reset.l", "get.qry_reset.l"]) {
        match request.payload() {
            "{}" => request.result(r#"{"collection":[0]}"#),
            r#"{"query":"x=1"}"# => request.result(r#"{"collection":[1,2],"query":"x=1"}"#),
            other => panic!("unexpected get request {other}"),
        }
    }
    c.expect_event("qry_reset.l?x=01.add", r#"{"idx":1,"value":2}"#);
    c.fence(&svc, "qry_reset.l");
}

#[test]
fn a_query_resource_is_forgotten_when_its_last_user_goes() {
    let (svc, mut c) = pair("qry_forget");
    subscribe(&mut c, &svc, "qry_forget.l", "x=1", "x=1", "[1]");
    c.unsubscribe("qry_forget.l?x=1");
    subscribe(&mut c, &svc, "qry_forget.l", "x=1", "x=1", "[2]");
}

#[test]
fn queries_may_hold_anything() {
    let (svc, mut c) = pair("qry_chars");
    let query = "a b?c.d*>é\u{1F600}{}";
    let id = c.ask(&format!("get.qry_chars.l?{query}"));
    let [access, get] = svc.expect_all(["access.qry_chars.l", "get.qry_chars.l"]);
    assert_eq!(access.member("query"), query);
    assert_eq!(get.member("query"), query);
    access.grant();
    get.result(r#"{"model":{},"query":"n"}"#);
    let answer = c.next();
    assert_eq!(member(&answer, "id"), id.to_string());
    member(
        &member(&member(&answer, "result"), "models"),
        &format!("qry_chars.l?{query}"),
    );
}
