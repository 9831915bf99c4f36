//! System resets: patterns, the requests they cause, and the differences sent.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

#[test]
fn a_reset_of_a_model_sends_what_differs() {
    let (svc, mut c) = pair("rst_model");
    c.subscribe(&svc, "rst_model.a", r#"{"model":{"a":1,"b":2,"c":"x y"}}"#);
    for (content, event) in [
        (r#"{"a":1,"b":2,"c":"x y"}"#, None),
        (
            r#"{"a":5,"d":null,"c":"x y"}"#,
            Some(r#"{"a":5,"b":{"action":"delete"},"d":null}"#),
        ),
        (r#"{"a":5.0,"d":null,"c":"x y"}"#, Some(r#"{"a":5.0}"#)),
        (
            r#"{}"#,
            Some(r#"{"a":{"action":"delete"},"c":{"action":"delete"},"d":{"action":"delete"}}"#),
        ),
        (r#"{"a":{"data":[1]}}"#, Some(r#"{"a":{"data":[1]}}"#)),
    ] {
        svc.reset(r#"{"resources":["rst_model.a"]}"#);
        let get = svc.expect("get.rst_model.a");
        assert_eq!(get.payload(), "{}");
        get.result(&format!(r#"{{"model":{content}}}"#));
        match event {
            Some(values) => {
                c.expect_event("rst_model.a.change", &format!(r#"{{"values":{values}}}"#))
            }
            None => c.fence(&svc, "rst_model.a"),
        }
    }
}

#[test]
fn after_a_reset_strings_that_need_escaping_are_not_changes_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("rst_escape");
    let content = "{\"model\":{\"a\":\"<b>&\u{2028}\",\"n\":NUM}}";
    c.subscribe(&svc, "rst_escape.x", r#"{"model":{}}"#);
    let id = c.ask("subscribe.rst_escape.a");
    svc.serve("rst_escape.a", &content.replace("NUM", "1"));
    assert_eq!(member(&c.next(), "id"), id.to_string());
    svc.reset(r#"{"resources":["rst_escape.a"]}"#);
    svc.serve_get("rst_escape.a", &content.replace("NUM", "2"));
    c.expect_event("rst_escape.a.change", r#"{"values":{"n":2}}"#);
    svc.reset(r#"{"resources":["rst_escape.a"]}"#);
    svc.serve_get("rst_escape.a", &content.replace("NUM", "3"));
    c.expect_event("rst_escape.a.change", r#"{"values":{"n":3}}"#);
    svc.event(
        "rst_escape.a.change",
        "{\"values\":{\"a\":\"<b>&\u{2028}\"}}",
    );
    c.fence(&svc, "rst_escape.a");
}

#[test]
fn a_reset_of_a_collection_sends_removes_from_the_end_and_adds_from_the_start() {
    let (svc, mut c) = pair("rst_coll");
    let cases: [(&str, &str, &[&str]); 16] = [
        ("abcd", "abcd", &[]),
        ("ab", "ba", &["r0", "a1a"]),
        ("abcd", "dcba", &["r2", "r1", "r0", "a1c", "a2b", "a3a"]),
        ("abcd", "axyd", &["r2", "r1", "a1x", "a2y"]),
        ("abcd", "", &["r3", "r2", "r1", "r0"]),
        ("", "abc", &["a0a", "a1b", "a2c"]),
        ("abcd", "abxcd", &["a2x"]),
        ("abcd", "acd", &["r1"]),
        ("abcd", "bcde", &["r0", "a3e"]),
        ("aaaa", "aa", &["r3", "r2"]),
        ("aa", "aaaa", &["a2a", "a3a"]),
        ("abc", "xyz", &["r2", "r1", "r0", "a0x", "a1y", "a2z"]),
        ("abcab", "cabba", &["r1", "r0", "a2b", "a4a"]),
        ("abcdbe", "bdcab", &["r5", "r2", "r0", "a2c", "a3a"]),
        ("xaxbx", "xbxax", &["r2", "r1", "a2x", "a3a"]),
        (
            "abcdef",
            "fbdxa",
            &["r5", "r4", "r2", "r0", "a0f", "a3x", "a4a"],
        ),
    ];
    let list = |text: &str| {
        let items: Vec<String> = text.chars().map(|ch| format!("\"{ch}\"")).collect();
        format!(r#"{{"collection":[{}]}}"#, items.join(","))
    };
    for (i, (old, new, events)) in cases.into_iter().enumerate() {
        let name = format!("rst_coll.c{i}");
        c.subscribe(&svc, &name, &list(old));
        svc.reset(&format!(r#"{{"resources":["{name}"]}}"#));
        svc.serve_get(&name, &list(new));
        for event in events {
            let idx = &event[1..2];
            if event.starts_with('r') {
                c.expect_event(&format!("{name}.remove"), &format!(r#"{{"idx":{idx}}}"#));
            } else {
                c.expect_event(
                    &format!("{name}.add"),
                    &format!(r#"{{"idx":{idx},"value":"{}"}}"#, &event[2..]),
                );
            }
        }
        c.fence(&svc, &name);
        // What a newcomer gets is the new list.
        let mut d = Stack::shared().client();
        let id = d.ask(&format!("subscribe.{name}"));
        svc.grant(&name);
        let items = list(new)
            .replace(r#"{"collection":"#, "")
            .replace("]}", "]");
        d.expect_result(id, &format!(r#"{{"collections":{{"{name}":{items}}}}}"#));
    }
}

#[test]
fn a_reset_may_bring_new_references_and_drop_old_ones() {
    let (svc, mut c) = pair("rst_ref");
    let id = c.ask("subscribe.rst_ref.p");
    svc.serve("rst_ref.p", r#"{"collection":[{"rid":"rst_ref.a"}]}"#);
    svc.serve_get("rst_ref.a", MODEL);
    c.expect_result(
        id,
        r#"{"collections":{"rst_ref.p":[{"rid":"rst_ref.a"}]},"models":{"rst_ref.a":{"a":1}}}"#,
    );
    svc.reset(r#"{"resources":["rst_ref.p"]}"#);
    svc.serve_get("rst_ref.p", r#"{"collection":[{"rid":"rst_ref.b"}]}"#);
    c.expect_event("rst_ref.p.remove", r#"{"idx":0}"#);
    svc.serve_get("rst_ref.b", MODEL);
    c.expect_event(
        "rst_ref.p.add",
        r#"{"idx":0,"value":{"rid":"rst_ref.b"},"models":{"rst_ref.b":{"a":1}}}"#,
    );
    svc.event("rst_ref.a.custom", "1");
    c.fence(&svc, "rst_ref.a");
}

#[test]
fn resource_patterns_match_by_parts() {
    let (svc, mut c) = pair("rst_pat");
    for name in ["a", "a.b", "a.b.c", "x.b", "a.B"] {
        c.subscribe(&svc, &format!("rst_pat.{name}"), MODEL);
    }
    let cases: [(&str, &[&str]); 22] = [
        (r#""rst_pat.a""#, &["a"]),
        (r#""rst_pat.*""#, &["a"]),
        (r#""rst_pat.>""#, &["a", "a.b", "a.b.c", "x.b", "a.B"]),
        (r#""rst_pat.a.>""#, &["a.b", "a.b.c", "a.B"]),
        (r#""rst_pat.*.b""#, &["a.b", "x.b"]),
        (r#""rst_pat.*.*""#, &["a.b", "x.b", "a.B"]),
        (r#""rst_pat.*.*.>""#, &["a.b.c"]),
        (r#""rst_pat.a.b""#, &["a.b"]),
        (r#""rst_pat.a.b.c.>""#, &[]),
        (r#""rst_pat.a.b*""#, &[]),
        (r#""rst_pat.a.*b""#, &[]),
        (r#""rst_pat.>.c""#, &[]),
        (r#""rst_pat.a.b>""#, &[]),
        (r#""rst_pat..b""#, &[]),
        (r#""rst_pat.""#, &[]),
        (r#"".rst_pat.a""#, &[]),
        (r#""rst_pat.a?x""#, &[]),
        (r#""rst_pat.a b""#, &[]),
        (r#""RST_PAT.a""#, &[]),
        (r#""""#, &[]),
        (r#""rst_pat.a","rst_pat.*""#, &["a"]),
        (r#""nonsense..","rst_pat.x.b""#, &["x.b"]),
    ];
    for (patterns, names) in cases {
        svc.reset(&format!(r#"{{"resources":[{patterns}]}}"#));
        let mut wanted: Vec<String> = names.iter().map(|n| format!("get.rst_pat.{n}")).collect();
        wanted.sort();
        let mut got: Vec<String> = names
            .iter()
            .map(|_| {
                let get = svc.next();
                get.result(MODEL);
                get.subject().to_owned()
            })
            .collect();
        got.sort();
        assert_eq!(got, wanted, "{patterns}");
        // No further request: the next one is the fence's.
        for name in ["a", "a.b", "a.b.c", "x.b", "a.B"] {
            c.fence(&svc, &format!("rst_pat.{name}"));
        }
    }
}

#[test]
fn invalid_resets_are_ignored() {
    let (svc, mut c) = pair("rst_bad");
    c.subscribe(&svc, "rst_bad.a", MODEL);
    for payload in [
        "",
        "{",
        "null",
        "[]",
        "12",
        "{}",
        r#"{"resources":"rst_bad.a"}"#,
        r#"{"resources":["rst_bad.a"],"access":5}"#,
        r#"{"resources":[5]}"#,
        r#"{"resources":null,"access":null}"#,
        r#"{"resources":[],"access":[]}"#,
    ] {
        svc.reset(payload);
    }
    svc.reset(r#"{"resources":["rst_bad.a"]}"#);
    svc.serve_get("rst_bad.a", MODEL);
    c.fence(&svc, "rst_bad.a");
}

#[test]
fn lingering_resources_are_reset_too() {
    let (svc, mut c) = pair("rst_linger");
    c.subscribe(&svc, "rst_linger.a", MODEL);
    c.unsubscribe("rst_linger.a");
    svc.reset(r#"{"resources":["rst_linger.>"]}"#);
    svc.serve_get("rst_linger.a", r#"{"model":{"a":2}}"#);
    c.fence(&svc, "rst_linger.a");
    let id = c.ask("subscribe.rst_linger.a");
    svc.grant("rst_linger.a");
    c.expect_result(id, r#"{"models":{"rst_linger.a":{"a":2}}}"#);
}

#[test]
fn not_found_on_reset_is_a_delete() {
    let (svc, mut c) = pair("rst_gone");
    c.subscribe(&svc, "rst_gone.a", MODEL);
    svc.reset(r#"{"resources":["rst_gone.a"]}"#);
    svc.expect("get.rst_gone.a")
        .error("system.notFound", "Not found");
    c.expect_event("rst_gone.a.delete", "null");
    c.expect_unsubscribed("rst_gone.a", "system.deleted", "Deleted");
    c.subscribe(&svc, "rst_gone.a", MODEL);
}

#[test]
fn another_type_of_resource_on_reset_changes_nothing() {
    let (svc, mut c) = pair("rst_type");
    c.subscribe(&svc, "rst_type.a", MODEL);
    svc.reset(r#"{"resources":["rst_type.a"]}"#);
    svc.serve_get("rst_type.a", r#"{"collection":[1]}"#);
    c.fence(&svc, "rst_type.a");
    let mut d = Stack::shared().client();
    let id = d.ask("subscribe.rst_type.a");
    // The gateway may ask again; the content is the old one until it is another model.
    let mut request = svc.next();
    while request.subject() == "get.rst_type.a" {
        request.result(MODEL);
        request = svc.next();
    }
    assert_eq!(request.subject(), "access.rst_type.a");
    request.grant();
    d.expect_result(id, r#"{"models":{"rst_type.a":{"a":1}}}"#);
}

#[test]
fn custom_events_pass_while_a_reset_is_open() {
    let (svc, mut c) = pair("rst_custom");
    c.subscribe(&svc, "rst_custom.a", MODEL);
    svc.reset(r#"{"resources":["rst_custom.a"]}"#);
    let get = svc.expect("get.rst_custom.a");
    svc.event("rst_custom.a.custom", "1");
    c.expect_event("rst_custom.a.custom", "1");
    get.result(r#"{"model":{"a":2}}"#);
    c.expect_event("rst_custom.a.change", r#"{"values":{"a":2}}"#);
}

#[test]
fn a_good_reset_answer_supersedes_events_during_the_reset() {
    let (svc, mut c) = pair("rst_super");
    c.subscribe(&svc, "rst_super.a", MODEL);
    svc.reset(r#"{"resources":["rst_super.a"]}"#);
    let get = svc.expect("get.rst_super.a");
    svc.event("rst_super.a.change", r#"{"values":{"a":2}}"#);
    c.fence(&svc, "rst_super.a");
    get.result(r#"{"model":{"a":3}}"#);
    c.expect_event("rst_super.a.change", r#"{"values":{"a":3}}"#);
    c.fence(&svc, "rst_super.a");
}

#[test]
fn events_during_a_reset_that_fails_are_not_lost_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("rst_fail");
    c.subscribe(&svc, "rst_fail.a", MODEL);
    svc.reset(r#"{"resources":["rst_fail.a"]}"#);
    let get = svc.expect("get.rst_fail.a");
    svc.event("rst_fail.a.change", r#"{"values":{"a":2}}"#);
    svc.event("rst_fail.a.change", r#"{"values":{"b":3}}"#);
    get.error("system.internalError", "Busy");
    // Applied in order, as two events or as one.
    let mut seen = String::new();
    while !(seen.contains(r#""a":2"#) && seen.contains(r#""b":3"#)) {
        let event = c.next();
        assert_eq!(member(&event, "event"), "rst_fail.a.change");
        seen += &event;
    }
    svc.event("rst_fail.a.custom", "1");
    c.expect_event("rst_fail.a.custom", "1");
}

#[test]
fn a_second_reset_during_one_that_fails_is_not_lost_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("rst_second");
    c.subscribe(&svc, "rst_second.a", MODEL);
    svc.reset(r#"{"resources":["rst_second.a"]}"#);
    let get = svc.expect("get.rst_second.a");
    svc.reset(r#"{"resources":["rst_second.a"]}"#);
    get.error("system.internalError", "Busy");
    svc.serve_get("rst_second.a", r#"{"model":{"a":2}}"#);
    c.expect_event("rst_second.a.change", r#"{"values":{"a":2}}"#);
}

#[test]
fn a_reset_reaches_every_client() {
    let (svc, mut c) = pair("rst_all");
    c.subscribe(&svc, "rst_all.a", MODEL);
    let mut d = Stack::shared().client();
    let id = d.ask("subscribe.rst_all.a");
    svc.grant("rst_all.a");
    d.expect_result(id, r#"{"models":{"rst_all.a":{"a":1}}}"#);
    svc.reset(r#"{"resources":["rst_all.a"]}"#);
    // One request for all of them.
    svc.serve_get("rst_all.a", r#"{"model":{"a":2}}"#);
    c.expect_event("rst_all.a.change", r#"{"values":{"a":2}}"#);
    d.expect_event("rst_all.a.change", r#"{"values":{"a":2}}"#);
    c.fence(&svc, "rst_all.a");
}

#[test]
fn a_reset_of_access_asks_every_direct_subscriber() {
    let (svc, mut c) = pair("rst_access");
    c.subscribe(&svc, "rst_access.a", MODEL);
    let id = c.ask("subscribe.rst_access.q?x=1");
    svc.serve("rst_access.q", r#"{"model":{"a":1},"query":"x=1"}"#);
    c.expect_result(id, r#"{"models":{"rst_access.q?x=1":{"a":1}}}"#);
    svc.reset(r#"{"access":["rst_access.>"]}"#);
    let [a, q] = svc.expect_all(["access.rst_access.a", "access.rst_access.q"]);
    a.grant();
    q.assert_payload(r#"{"token":null,"query":"x=1"}"#);
    q.result(r#"{"get":false}"#);
    c.expect_unsubscribed("rst_access.q?x=1", "system.accessDenied", "Access denied");
    c.fence(&svc, "rst_access.a");
}

#[test]
fn a_reset_may_concern_resources_and_access_at_once() {
    let (svc, mut c) = pair("rst_both");
    c.subscribe(&svc, "rst_both.a", MODEL);
    svc.reset(r#"{"resources":["rst_both.*"],"access":["rst_both.a"]}"#);
    let [get, access] = svc.expect_all(["get.rst_both.a", "access.rst_both.a"]);
    get.result(r#"{"model":{"a":2}}"#);
    c.fence(&svc, "rst_both.a");
    access.grant();
    c.expect_event("rst_both.a.change", r#"{"values":{"a":2}}"#);
}

#[test]
fn a_reset_of_some_thousand_resources_asks_for_each_once() {
    const COUNT: usize = 3000;
    let (svc, mut c) = pair("rst_many");
    let id = c.ask("subscribe.rst_many.list");
    let refs: Vec<String> = (0..COUNT)
        .map(|i| format!(r#"{{"rid":"rst_many.m{i}"}}"#))
        .collect();
    svc.serve(
        "rst_many.list",
        &format!(r#"{{"collection":[{}]}}"#, refs.join(",")),
    );
    for _ in 0..COUNT {
        svc.next().result(MODEL);
    }
    let answer = c.next();
    assert_eq!(member(&answer, "id"), id.to_string());
    svc.reset(r#"{"resources":["rst_many.*"]}"#);
    let mut subjects = std::collections::HashSet::new();
    for _ in 0..=COUNT {
        let get = svc.next();
        if get.subject() == "get.rst_many.list" {
            get.result(&format!(r#"{{"collection":[{}]}}"#, refs.join(",")));
        } else {
            get.result(r#"{"model":{"a":2}}"#);
        }
        assert!(subjects.insert(get.subject().to_owned()), "asked twice");
    }
    let mut changed = std::collections::HashSet::new();
    for _ in 0..COUNT {
        let event = c.next();
        assert_json(&member(&event, "data"), r#"{"values":{"a":2}}"#);
        assert!(changed.insert(member(&event, "event")));
    }
    c.fence(&svc, "rst_many.list");
}
