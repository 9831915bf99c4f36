//! Events of resources the client holds: forms, no-ops, order, invalid ones.

use crate::common::*;

#[test]
fn change_events_carry_only_what_differs() {
    let (svc, mut c) = pair("ev_change");
    c.subscribe(&svc, "ev_change.a", r#"{"model":{"a":1,"b":"x","c":null}}"#);
    let cases = [
        // payload, values that the client is sent; none: no event
        (r#"{"values":{"a":2,"b":"x"}}"#, Some(r#"{"a":2}"#)),
        (r#"{"values":{"a":2,"b":"x","c":null}}"#, None),
        (r#"{"values":{"a":2.0}}"#, Some(r#"{"a":2.0}"#)),
        (r#"{"values":{"a":2e0}}"#, Some(r#"{"a":2e0}"#)),
        (r#"{"values":{"new":true}}"#, Some(r#"{"new":true}"#)),
        (
            r#"{"values":{"new":{"action":"delete"}}}"#,
            Some(r#"{"new":{"action":"delete"}}"#),
        ),
        (r#"{"values":{"new":{"action":"delete"}}}"#, None),
        (
            r#"{"values":{"a":3,"unknown":{"action":"delete"}}}"#,
            Some(r#"{"a":3}"#),
        ),
        (r#"{"values":{}}"#, None),
        (r#"{"values":{"b":"y" , "c" : [ ]}}"#, None),
        (r#"{"values": { "b" : "y z" } }"#, Some(r#"{"b":"y z"}"#)),
    ];
    for (payload, expected) in cases {
        svc.event("ev_change.a.change", payload);
        if let Some(values) = expected {
            c.expect_event("ev_change.a.change", &format!(r#"{{"values":{values}}}"#));
        }
    }
    c.fence(&svc, "ev_change.a");
    // The state of a newcomer is the sum of the events.
    let mut d = Stack::shared().client();
    let id = d.ask("subscribe.ev_change.a");
    svc.grant("ev_change.a");
    d.expect_result(
        id,
        r#"{"models":{"ev_change.a":{"a":3,"b":"y z","c":null}}}"#,
    );
}

#[test]
fn change_events_of_protocol_1_0_have_the_values_at_the_top() {
    let (svc, mut c) = pair("ev_old_change");
    c.subscribe(&svc, "ev_old_change.a", r#"{"model":{"a":1}}"#);
    svc.event("ev_old_change.a.change", r#"{"a":2,"b":3}"#);
    c.expect_event("ev_old_change.a.change", r#"{"values":{"a":2,"b":3}}"#);
    // A lone member `values` that is no object is a property of that name.
    svc.event("ev_old_change.a.change", r#"{"values":5}"#);
    c.expect_event("ev_old_change.a.change", r#"{"values":{"values":5}}"#);
    svc.event("ev_old_change.a.change", r#"{"values":6,"a":7}"#);
    c.expect_event("ev_old_change.a.change", r#"{"values":{"a":7,"values":6}}"#);
}

#[test]
fn a_change_event_with_a_member_beside_values_is_understood_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("ev_beside");
    c.subscribe(&svc, "ev_beside.a", r#"{"model":{"a":1}}"#);
    svc.event("ev_beside.a.change", r#"{"values":{"a":2},"reason":"x"}"#);
    c.expect_event("ev_beside.a.change", r#"{"values":{"a":2}}"#);
}

#[test]
fn one_invalid_value_spoils_the_whole_change_event() {
    let (svc, mut c) = pair("ev_bad_change");
    c.subscribe(&svc, "ev_bad_change.a", r#"{"model":{"a":1}}"#);
    for payload in [
        r#"{"values":{"a":2,"b":{"x":1}}}"#,
        r#"{"values":{"a":2,"b":[1]}}"#,
        r#"{"values":{"a":2,"b":{"rid":"not valid"}}}"#,
        r#"{"values":{"a":2,"b":{"rid":""}}}"#,
        r#"{"values":{"a":2,"b":{"rid":"a.b","action":"delete"}}}"#,
        r#"{"values":{"a":2,"b":{"action":"remove"}}}"#,
        r#"{"values":{"a":2,"b":{"data":1,"action":"delete"}}}"#,
        r#"{"values":{"a":2}"#,
        r#"[1]"#,
        r#""a""#,
        "12",
        "null",
        "",
    ] {
        svc.event("ev_bad_change.a.change", payload);
    }
    c.fence(&svc, "ev_bad_change.a");
    let mut d = Stack::shared().client();
    let id = d.ask("get.ev_bad_change.a");
    svc.grant("ev_bad_change.a");
    d.expect_result(id, r#"{"models":{"ev_bad_change.a":{"a":1}}}"#);
}

#[test]
fn events_for_the_other_kind_of_resource_are_ignored() {
    let (svc, mut c) = pair("ev_kind");
    c.subscribe(&svc, "ev_kind.m", r#"{"model":{"a":1}}"#);
    c.subscribe(&svc, "ev_kind.c", r#"{"collection":[1]}"#);
    svc.event("ev_kind.m.add", r#"{"idx":0,"value":1}"#);
    svc.event("ev_kind.m.remove", r#"{"idx":0}"#);
    c.fence(&svc, "ev_kind.m");
    svc.event("ev_kind.c.change", r#"{"values":{"a":1}}"#);
    c.fence(&svc, "ev_kind.c");
}

#[test]
fn add_and_remove_change_a_collection() {
    let (svc, mut c) = pair("ev_add");
    c.subscribe(&svc, "ev_add.a", r#"{"collection":["a","b"]}"#);
    let cases = [
        // event, payload, data that the client is sent; none: ignored
        (
            "add",
            r#"{"idx":2,"value":"c"}"#,
            Some(r#"{"idx":2,"value":"c"}"#),
        ),
        ("add", r#"{"idx":4,"value":"z"}"#, None),
        ("add", r#"{"idx":-1,"value":"z"}"#, None),
        ("add", r#"{"idx":1.5,"value":"z"}"#, None),
        ("add", r#"{"idx":"1","value":"z"}"#, None),
        ("add", r#"{"idx":1}"#, None),
        ("add", r#"{"idx":1,"value":{"action":"delete"}}"#, None),
        ("add", r#"{"idx":1,"value":{"nested":1}}"#, None),
        ("add", r#"{"idx":1,"value":[1]}"#, None),
        ("add", "null", None),
        ("add", "", None),
        ("add", r#"{"value":"0"}"#, Some(r#"{"idx":0,"value":"0"}"#)),
        (
            "add",
            r#"{"idx":null,"value":"n"}"#,
            Some(r#"{"idx":0,"value":"n"}"#),
        ),
        (
            "add",
            r#"{"idx":5,"value":"e","more":1}"#,
            Some(r#"{"idx":5,"value":"e"}"#),
        ),
        // Now n 0 a b c e.
        ("remove", r#"{"idx":6}"#, None),
        ("remove", r#"{"idx":-1}"#, None),
        ("remove", r#"{"idx":"0"}"#, None),
        ("remove", r#"[]"#, None),
        ("remove", r#"{"idx":5}"#, Some(r#"{"idx":5}"#)),
        ("remove", r#"{}"#, Some("{}")),
        (
            "remove",
            r#"{"idx":1,"more":"x"}"#,
            Some(r#"{"idx":1,"more":"x"}"#),
        ),
    ];
    for (event, payload, expected) in cases {
        svc.event(&format!("ev_add.a.{event}"), payload);
        match expected {
            Some(data) => c.expect_event(&format!("ev_add.a.{event}"), data),
            None => c.fence(&svc, "ev_add.a"),
        }
    }
    let mut d = Stack::shared().client();
    let id = d.ask("get.ev_add.a");
    svc.grant("ev_add.a");
    d.expect_result(id, r#"{"collections":{"ev_add.a":["0","b","c"]}}"#);
}

#[test]
fn remove_from_an_empty_collection_is_ignored() {
    let (svc, mut c) = pair("ev_rm_empty");
    c.subscribe(&svc, "ev_rm_empty.a", r#"{"collection":[]}"#);
    svc.event("ev_rm_empty.a.remove", r#"{"idx":0}"#);
    svc.event("ev_rm_empty.a.remove", "{}");
    c.fence(&svc, "ev_rm_empty.a");
}

#[test]
fn custom_events_are_forwarded_as_they_are() {
    let (svc, mut c) = pair("ev_custom");
    c.subscribe(&svc, "ev_custom.a", r#"{"model":{"a":1}}"#);
    for (event, payload, data) in [
        (
            "custom",
            r#"{"a": [1, {"b": 2.50}]}"#,
            r#"{"a":[1,{"b":2.50}]}"#,
        ),
        ("custom", "", "null"),
        ("custom", "null", "null"),
        ("custom", r#""text""#, r#""text""#),
        ("custom", "1e3", "1e3"),
        ("custom", "12345678901234567890", "12345678901234567890"),
        ("create", r#"{"a":1}"#, r#"{"a":1}"#),
        ("patch", "1", "1"),
        ("reset", "2", "2"),
        ("Change", r#"{"values":{"a":5}}"#, r#"{"values":{"a":5}}"#),
        ("unsubscribe", "{}", "{}"),
        ("$%", "1", "1"),
    ] {
        svc.event(&format!("ev_custom.a.{event}"), payload);
        c.expect_event(&format!("ev_custom.a.{event}"), data);
    }
    // Neither the forged unsubscribe nor `Change` did anything.
    svc.event("ev_custom.a.change", r#"{"values":{"a":2}}"#);
    c.expect_event("ev_custom.a.change", r#"{"values":{"a":2}}"#);
}

#[test]
fn custom_events_that_are_no_json_are_dropped() {
    let (svc, mut c) = pair("ev_not_json");
    c.subscribe(&svc, "ev_not_json.a", r#"{"model":{"a":1}}"#);
    for payload in ["{", "tru", "'a'", "{} {}", "\u{1}"] {
        svc.event("ev_not_json.a.custom", payload);
    }
    c.fence(&svc, "ev_not_json.a");
}

#[test]
fn events_of_longer_names_belong_to_another_resource() {
    let (svc, mut c) = pair("ev_longer");
    c.subscribe(&svc, "ev_longer.a", r#"{"model":{"a":1}}"#);
    svc.event("ev_longer.a.b.change", r#"{"values":{"a":2}}"#);
    svc.event("ev_longer.a.b.custom", "1");
    c.fence(&svc, "ev_longer.a");
}

#[test]
fn events_of_one_resource_keep_their_order() {
    let (svc, mut c) = pair("ev_order");
    c.subscribe(&svc, "ev_order.a", r#"{"model":{"n":-1}}"#);
    for i in 0..500 {
        svc.event("ev_order.a.change", &format!(r#"{{"values":{{"n":{i}}}}}"#));
        svc.event("ev_order.a.tick", &i.to_string());
    }
    for i in 0..500 {
        c.expect_event("ev_order.a.change", &format!(r#"{{"values":{{"n":{i}}}}}"#));
        c.expect_event("ev_order.a.tick", &i.to_string());
    }
}

#[test]
fn every_subscriber_gets_every_event() {
    let (svc, mut c) = pair("ev_fan");
    c.subscribe(&svc, "ev_fan.a", r#"{"collection":[]}"#);
    let mut others: Vec<Client> = (0..10).map(|_| Stack::shared().client()).collect();
    for d in &mut others {
        let id = d.ask("subscribe.ev_fan.a");
        svc.grant("ev_fan.a");
        d.expect_result(id, r#"{"collections":{"ev_fan.a":[]}}"#);
    }
    for i in 0..20 {
        svc.event("ev_fan.a.add", &format!(r#"{{"idx":{i},"value":{i}}}"#));
    }
    for d in others.iter_mut().chain([&mut c]) {
        for i in 0..20 {
            d.expect_event("ev_fan.a.add", &format!(r#"{{"idx":{i},"value":{i}}}"#));
        }
    }
}

#[test]
fn events_before_the_get_answer_are_dropped() {
    let (svc, mut c) = pair("ev_early");
    let id = c.ask("subscribe.ev_early.a");
    let [access, get] = svc.expect_all(["access.ev_early.a", "get.ev_early.a"]);
    svc.event("ev_early.a.change", r#"{"values":{"a":9}}"#);
    svc.event("ev_early.a.custom", "1");
    svc.event("ev_early.a.delete", "");
    c.fence(&svc, "ev_early.a");
    access.grant();
    get.result(r#"{"model":{"a":1}}"#);
    c.expect_result(id, r#"{"models":{"ev_early.a":{"a":1}}}"#);
    c.fence(&svc, "ev_early.a");
}

#[test]
fn events_between_the_get_answer_and_access_follow_the_resource() {
    let (svc, mut c) = pair("ev_mid");
    let id = c.ask("subscribe.ev_mid.a");
    let [access, get] = svc.expect_all(["access.ev_mid.a", "get.ev_mid.a"]);
    get.result(r#"{"model":{"a":1}}"#);
    c.fence(&svc, "ev_mid.a");
    svc.event("ev_mid.a.change", r#"{"values":{"a":2}}"#);
    svc.event("ev_mid.a.custom", "1");
    c.fence(&svc, "ev_mid.a");
    access.grant();
    c.expect_result(id, r#"{"models":{"ev_mid.a":{"a":1}}}"#);
    c.expect_event("ev_mid.a.change", r#"{"values":{"a":2}}"#);
    c.expect_event("ev_mid.a.custom", "1");
}

#[test]
fn delete_ends_the_direct_subscription() {
    let (svc, mut c) = pair("ev_delete");
    c.subscribe(&svc, "ev_delete.a", r#"{"model":{"a":1}}"#);
    svc.event("ev_delete.a.delete", r#"{"by":"me"}"#);
    c.expect_event("ev_delete.a.delete", r#"{"by":"me"}"#);
    c.expect_unsubscribed("ev_delete.a", "system.deleted", "Deleted");
    svc.event("ev_delete.a.custom", "1");
    c.fence(&svc, "ev_delete.a");
    let id = c.ask("unsubscribe.ev_delete.a");
    c.expect_error(id, "system.noSubscription", "No subscription");
    // It is loaded anew.
    c.subscribe(&svc, "ev_delete.a", r#"{"model":{"a":2}}"#);
    svc.event("ev_delete.a.delete", "");
    c.expect_event("ev_delete.a.delete", "null");
    c.expect_unsubscribed("ev_delete.a", "system.deleted", "Deleted");
}

#[test]
fn delete_of_an_unused_cached_resource_empties_the_cache() {
    let (svc, mut c) = pair("ev_del_cached");
    c.subscribe(&svc, "ev_del_cached.a", r#"{"model":{"a":1}}"#);
    c.unsubscribe("ev_del_cached.a");
    svc.event("ev_del_cached.a.delete", "");
    c.fence(&svc, "ev_del_cached.a");
    c.subscribe(&svc, "ev_del_cached.a", r#"{"model":{"a":2}}"#);
}

#[test]
fn delete_of_an_indirectly_held_resource_is_only_the_event() {
    let (svc, mut c) = pair("ev_del_ind");
    let id = c.ask("subscribe.ev_del_ind.p");
    svc.serve("ev_del_ind.p", r#"{"collection":[{"rid":"ev_del_ind.c"}]}"#);
    svc.serve_get("ev_del_ind.c", r#"{"model":{"a":1}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"ev_del_ind.p":[{"rid":"ev_del_ind.c"}]},"models":{"ev_del_ind.c":{"a":1}}}"#,
    );
    svc.event("ev_del_ind.c.delete", "");
    c.expect_event("ev_del_ind.c.delete", "null");
    svc.event("ev_del_ind.c.custom", "1");
    c.fence(&svc, "ev_del_ind.c");
}

#[test]
fn a_deleted_resource_held_by_a_parent_is_loaded_anew_when_subscribed_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("ev_del_again");
    let id = c.ask("subscribe.ev_del_again.p");
    svc.serve(
        "ev_del_again.p",
        r#"{"collection":[{"rid":"ev_del_again.c"}]}"#,
    );
    svc.serve_get("ev_del_again.c", r#"{"model":{"a":1}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"ev_del_again.p":[{"rid":"ev_del_again.c"}]},"models":{"ev_del_again.c":{"a":1}}}"#,
    );
    svc.event("ev_del_again.c.delete", "");
    c.expect_event("ev_del_again.c.delete", "null");
    // Made again by the service; the client asks for it.
    let id = c.ask("subscribe.ev_del_again.c");
    svc.serve("ev_del_again.c", r#"{"model":{"a":2}}"#);
    c.expect_result(id, r#"{"models":{"ev_del_again.c":{"a":2}}}"#);
    svc.event("ev_del_again.c.change", r#"{"values":{"a":3}}"#);
    c.expect_event("ev_del_again.c.change", r#"{"values":{"a":3}}"#);
}

#[test]
fn delete_between_the_get_answer_and_access_follows_the_resource() {
    let (svc, mut c) = pair("ev_del_open");
    let id = c.ask("subscribe.ev_del_open.a");
    let [access, get] = svc.expect_all(["access.ev_del_open.a", "get.ev_del_open.a"]);
    get.result(r#"{"model":{"a":1}}"#);
    c.fence(&svc, "ev_del_open.a");
    svc.event("ev_del_open.a.delete", "");
    c.fence(&svc, "ev_del_open.a");
    access.grant();
    c.expect_result(id, r#"{"models":{"ev_del_open.a":{"a":1}}}"#);
    c.expect_event("ev_del_open.a.delete", "null");
    c.expect_unsubscribed("ev_del_open.a", "system.deleted", "Deleted");
    svc.event("ev_del_open.a.custom", "1");
    c.fence(&svc, "ev_del_open.a");
}

#[test]
fn delete_while_a_direct_subscribe_is_open_makes_it_load_anew_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (svc, mut c) = pair("ev_del_direct");
    let id = c.ask("subscribe.ev_del_direct.p");
    svc.serve(
        "ev_del_direct.p",
        r#"{"collection":[{"rid":"ev_del_direct.c"}]}"#,
    );
    svc.serve_get("ev_del_direct.c", r#"{"model":{"n":1}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"ev_del_direct.p":[{"rid":"ev_del_direct.c"}]},"models":{"ev_del_direct.c":{"n":1}}}"#,
    );
    let id = c.ask("subscribe.ev_del_direct.c");
    let access = svc.expect("access.ev_del_direct.c");
    svc.event("ev_del_direct.c.delete", "");
    c.expect_event("ev_del_direct.c.delete", "null");
    access.grant();
    svc.serve_get("ev_del_direct.c", r#"{"model":{"n":2}}"#);
    c.expect_result(id, r#"{"models":{"ev_del_direct.c":{"n":2}}}"#);
    svc.event("ev_del_direct.c.change", r#"{"values":{"n":3}}"#);
    c.expect_event("ev_del_direct.c.change", r#"{"values":{"n":3}}"#);
    c.unsubscribe("ev_del_direct.c");
}
