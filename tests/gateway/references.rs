//! References: loading of trees, resource sets, indirect subscriptions, collection of
//! what is no longer held.

use crate::common::*;

fn reference(rid: &str) -> String {
    format!(r#"{{"rid":"{rid}"}}"#)
}

/// Subscribes `<prefix>.p`, a collection that holds the models `<prefix>.<child>`, each
/// `{"n":"<child>"}`.
#[track_caller]
fn subscribe_parent(c: &mut Client, svc: &Service, prefix: &str, children: &[&str]) {
    let id = c.ask(&format!("subscribe.{prefix}.p"));
    let items: Vec<String> = children
        .iter()
        .map(|n| reference(&format!("{prefix}.{n}")))
        .collect();
    let items = items.join(",");
    svc.serve(
        &format!("{prefix}.p"),
        &format!(r#"{{"collection":[{items}]}}"#),
    );
    let mut models = Vec::new();
    for _ in children {
        let get = svc.next();
        let name = get
            .subject()
            .strip_prefix("get.")
            .expect("children need no access request")
            .to_owned();
        let leaf = &name[prefix.len() + 1..];
        get.result(&format!(r#"{{"model":{{"n":"{leaf}"}}}}"#));
        models.push(format!(r#""{name}":{{"n":"{leaf}"}}"#));
    }
    c.expect_result(
        id,
        &format!(
            r#"{{"collections":{{"{prefix}.p":[{items}]}},"models":{{{}}}}}"#,
            models.join(",")
        ),
    );
}

#[test]
fn a_tree_is_answered_whole_and_children_need_no_access() {
    let (svc, mut c) = pair("ref_tree");
    let id = c.ask("subscribe.ref_tree.p");
    svc.serve("ref_tree.p", r#"{"model":{"c":{"rid":"ref_tree.c"}}}"#);
    svc.serve_get("ref_tree.c", r#"{"collection":[{"rid":"ref_tree.g"}]}"#);
    let get = svc.expect("get.ref_tree.g");
    c.fence(&svc, "ref_tree.p");
    get.result(r#"{"model":{"x":1}}"#);
    c.expect_result(
        id,
        r#"{"models":{"ref_tree.p":{"c":{"rid":"ref_tree.c"}},"ref_tree.g":{"x":1}},"collections":{"ref_tree.c":[{"rid":"ref_tree.g"}]}}"#,
    );
    // All three are live.
    svc.event("ref_tree.g.change", r#"{"values":{"x":2}}"#);
    c.expect_event("ref_tree.g.change", r#"{"values":{"x":2}}"#);
    svc.event("ref_tree.c.custom", "1");
    c.expect_event("ref_tree.c.custom", "1");
}

#[test]
fn children_are_requested_while_access_is_open() {
    let (svc, mut c) = pair("ref_early");
    let id = c.ask("subscribe.ref_early.p");
    let [access, get] = svc.expect_all(["access.ref_early.p", "get.ref_early.p"]);
    get.result(r#"{"model":{"c":{"rid":"ref_early.c"}}}"#);
    svc.serve_get("ref_early.c", r#"{"model":{}}"#);
    access.result(r#"{"get":false}"#);
    c.expect_error(id, "system.accessDenied", "Access denied");
}

#[test]
fn failed_children_are_errors_in_the_set() {
    let (svc, mut c) = pair("ref_err");
    let id = c.ask("subscribe.ref_err.p");
    svc.serve(
        "ref_err.p",
        r#"{"collection":[{"rid":"ref_err.a"},{"rid":"ref_err.b"},{"rid":"nobody_serves.c"}]}"#,
    );
    let [a, b] = svc.expect_all(["get.ref_err.a", "get.ref_err.b"]);
    a.result(r#"{"model":{}}"#);
    b.respond(r#"{"error":{"code":"x.y","message":"Z","data":{"d":1}}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"ref_err.p":[{"rid":"ref_err.a"},{"rid":"ref_err.b"},{"rid":"nobody_serves.c"}]},"models":{"ref_err.a":{}},"errors":{"ref_err.b":{"code":"x.y","message":"Z","data":{"d":1}},"nobody_serves.c":{"code":"system.notFound","message":"Not found"}}}"#,
    );
    // A failed child stays failed while its parent is held: no new get request.
    let id = c.ask("subscribe.ref_err.b");
    svc.grant("ref_err.b");
    c.expect(&format!(
        r#"{{"id":{id},"error":{{"code":"x.y","message":"Z","data":{{"d":1}}}}}}"#
    ));
    c.fence(&svc, "ref_err.b");
}

#[test]
fn cycles_are_sent_once() {
    let (svc, mut c) = pair("ref_cycle");
    let id = c.ask("subscribe.ref_cycle.a");
    svc.serve("ref_cycle.a", r#"{"model":{"b":{"rid":"ref_cycle.b"}}}"#);
    svc.serve_get(
        "ref_cycle.b",
        r#"{"model":{"a":{"rid":"ref_cycle.a"},"b":{"rid":"ref_cycle.b"}}}"#,
    );
    c.expect_result(
        id,
        r#"{"models":{"ref_cycle.a":{"b":{"rid":"ref_cycle.b"}},"ref_cycle.b":{"a":{"rid":"ref_cycle.a"},"b":{"rid":"ref_cycle.b"}}}}"#,
    );
    // Without direct holder all of it goes.
    c.unsubscribe("ref_cycle.a");
    svc.event("ref_cycle.a.custom", "1");
    c.fence(&svc, "ref_cycle.a");
    svc.event("ref_cycle.b.custom", "1");
    c.fence(&svc, "ref_cycle.b");
}

#[test]
fn a_resource_that_refers_to_itself_is_sent_once() {
    let (svc, mut c) = pair("ref_self");
    let id = c.ask("subscribe.ref_self.a");
    svc.serve("ref_self.a", r#"{"collection":[{"rid":"ref_self.a"}]}"#);
    c.expect_result(
        id,
        r#"{"collections":{"ref_self.a":[{"rid":"ref_self.a"}]}}"#,
    );
    c.unsubscribe("ref_self.a");
    svc.event("ref_self.a.custom", "1");
    c.fence(&svc, "ref_self.a");
}

#[test]
fn resources_sent_before_are_left_out_of_later_sets() {
    let (svc, mut c) = pair("ref_known");
    subscribe_parent(&mut c, &svc, "ref_known", &["a"]);
    let id = c.ask("subscribe.ref_known.q");
    svc.serve(
        "ref_known.q",
        r#"{"model":{"a":{"rid":"ref_known.a"},"b":{"rid":"ref_known.b"}}}"#,
    );
    svc.serve_get("ref_known.b", r#"{"model":{}}"#);
    c.expect_result(
        id,
        r#"{"models":{"ref_known.q":{"a":{"rid":"ref_known.a"},"b":{"rid":"ref_known.b"}},"ref_known.b":{}}}"#,
    );
}

#[test]
fn a_direct_subscription_of_an_indirectly_held_resource_asks_access() {
    let (svc, mut c) = pair("ref_direct");
    subscribe_parent(&mut c, &svc, "ref_direct", &["a", "b"]);
    let id = c.ask("subscribe.ref_direct.a");
    svc.grant("ref_direct.a");
    c.expect_result(id, "{}");
    let id = c.ask("subscribe.ref_direct.b");
    svc.expect("access.ref_direct.b").result(r#"{"get":false}"#);
    c.expect_error(id, "system.accessDenied", "Access denied");
    // The denied one stays indirectly held, the direct one outlives its parent.
    svc.event("ref_direct.b.custom", "1");
    c.expect_event("ref_direct.b.custom", "1");
    c.unsubscribe("ref_direct.p");
    svc.event("ref_direct.b.custom", "2");
    c.fence(&svc, "ref_direct.b");
    svc.event("ref_direct.a.custom", "3");
    c.expect_event("ref_direct.a.custom", "3");
}

#[test]
fn a_dropped_child_is_sent_again_when_it_comes_back() {
    let (svc, mut c) = pair("ref_back");
    subscribe_parent(&mut c, &svc, "ref_back", &["a"]);
    svc.event("ref_back.p.remove", r#"{"idx":0}"#);
    c.expect_event("ref_back.p.remove", r#"{"idx":0}"#);
    svc.event("ref_back.a.change", r#"{"values":{"n":"new"}}"#);
    c.fence(&svc, "ref_back.a");
    svc.event(
        "ref_back.p.add",
        r#"{"idx":0,"value":{"rid":"ref_back.a"}}"#,
    );
    c.expect_event(
        "ref_back.p.add",
        r#"{"idx":0,"value":{"rid":"ref_back.a"},"models":{"ref_back.a":{"n":"new"}}}"#,
    );
}

#[test]
fn an_event_waits_for_the_tree_it_brings_and_later_ones_wait_behind_it() {
    let (svc, mut c) = pair("ref_wait");
    c.subscribe(&svc, "ref_wait.p", r#"{"collection":[]}"#);
    c.subscribe(&svc, "ref_wait.other", r#"{"model":{"a":1}}"#);
    svc.event(
        "ref_wait.p.add",
        r#"{"idx":0,"value":{"rid":"ref_wait.a"}}"#,
    );
    svc.event(
        "ref_wait.p.add",
        r#"{"idx":1,"value":{"rid":"ref_wait.b"}}"#,
    );
    svc.event("ref_wait.p.custom", "1");
    let a = svc.expect("get.ref_wait.a");
    // The second event's reference is not requested before its turn; other resources
    // go on.
    svc.event("ref_wait.other.custom", "0");
    c.expect_event("ref_wait.other.custom", "0");
    c.fence(&svc, "ref_wait.p");
    a.result(r#"{"collection":[{"rid":"ref_wait.g"}]}"#);
    svc.expect("get.ref_wait.g")
        .error("system.notFound", "Not found");
    c.expect_event(
        "ref_wait.p.add",
        r#"{"idx":0,"value":{"rid":"ref_wait.a"},"collections":{"ref_wait.a":[{"rid":"ref_wait.g"}]},"errors":{"ref_wait.g":{"code":"system.notFound","message":"Not found"}}}"#,
    );
    svc.serve_get("ref_wait.b", r#"{"model":{}}"#);
    c.expect_event(
        "ref_wait.p.add",
        r#"{"idx":1,"value":{"rid":"ref_wait.b"},"models":{"ref_wait.b":{}}}"#,
    );
    c.expect_event("ref_wait.p.custom", "1");
}

#[test]
fn events_of_new_children_wait_until_they_were_sent() {
    let (svc, mut c) = pair("ref_child_ev");
    c.subscribe(&svc, "ref_child_ev.p", r#"{"model":{}}"#);
    svc.event(
        "ref_child_ev.p.change",
        r#"{"values":{"a":{"rid":"ref_child_ev.a"},"b":{"rid":"ref_child_ev.b"}}}"#,
    );
    let [a, b] = svc.expect_all(["get.ref_child_ev.a", "get.ref_child_ev.b"]);
    a.result(r#"{"model":{"n":1}}"#);
    c.fence(&svc, "ref_child_ev.a");
    svc.event("ref_child_ev.a.custom", r#""waits""#);
    c.fence(&svc, "ref_child_ev.a");
    b.result(r#"{"model":{"n":2}}"#);
    c.expect_event(
        "ref_child_ev.p.change",
        r#"{"values":{"a":{"rid":"ref_child_ev.a"},"b":{"rid":"ref_child_ev.b"}},"models":{"ref_child_ev.a":{"n":1},"ref_child_ev.b":{"n":2}}}"#,
    );
    c.expect_event("ref_child_ev.a.custom", r#""waits""#);
}

#[test]
fn a_reference_moved_between_properties_stays_subscribed() {
    let (svc, mut c) = pair("ref_move");
    let id = c.ask("subscribe.ref_move.p");
    svc.serve("ref_move.p", r#"{"model":{"x":{"rid":"ref_move.c"}}}"#);
    svc.serve_get("ref_move.c", r#"{"model":{"n":1}}"#);
    c.expect_result(
        id,
        r#"{"models":{"ref_move.p":{"x":{"rid":"ref_move.c"}},"ref_move.c":{"n":1}}}"#,
    );
    svc.event(
        "ref_move.p.change",
        r#"{"values":{"x":null,"y":{"rid":"ref_move.c"}}}"#,
    );
    c.expect_event(
        "ref_move.p.change",
        r#"{"values":{"x":null,"y":{"rid":"ref_move.c"}}}"#,
    );
    svc.event("ref_move.c.custom", "1");
    c.expect_event("ref_move.c.custom", "1");
}

#[test]
fn a_child_held_twice_stays_until_the_last_reference_goes() {
    let (svc, mut c) = pair("ref_held2");
    let id = c.ask("subscribe.ref_held2.p");
    svc.serve(
        "ref_held2.p",
        r#"{"collection":[{"rid":"ref_held2.c"},{"rid":"ref_held2.c"}]}"#,
    );
    svc.serve_get("ref_held2.c", r#"{"model":{"n":1}}"#);
    c.expect_result(
        id,
        r#"{"collections":{"ref_held2.p":[{"rid":"ref_held2.c"},{"rid":"ref_held2.c"}]},"models":{"ref_held2.c":{"n":1}}}"#,
    );
    svc.event("ref_held2.p.remove", r#"{"idx":0}"#);
    c.expect_event("ref_held2.p.remove", r#"{"idx":0}"#);
    svc.event("ref_held2.c.custom", "1");
    c.expect_event("ref_held2.c.custom", "1");
    svc.event("ref_held2.p.remove", r#"{"idx":0}"#);
    c.expect_event("ref_held2.p.remove", r#"{"idx":0}"#);
    svc.event("ref_held2.c.custom", "2");
    c.fence(&svc, "ref_held2.c");
}

#[test]
fn two_clients_load_a_shared_tree_with_one_get_each() {
    let (svc, mut c) = pair("ref_share");
    subscribe_parent(&mut c, &svc, "ref_share", &["a", "b"]);
    let mut d = Stack::shared().client();
    let id = d.ask("subscribe.ref_share.p");
    svc.grant("ref_share.p");
    d.expect_result(
        id,
        r#"{"collections":{"ref_share.p":[{"rid":"ref_share.a"},{"rid":"ref_share.b"}]},"models":{"ref_share.a":{"n":"a"},"ref_share.b":{"n":"b"}}}"#,
    );
    d.fence(&svc, "ref_share.p");
}

#[test]
fn a_soft_reference_made_hard_is_loaded() {
    let (svc, mut c) = pair("ref_harden");
    c.subscribe(
        &svc,
        "ref_harden.p",
        r#"{"model":{"x":{"rid":"ref_harden.c","soft":true}}}"#,
    );
    svc.event(
        "ref_harden.p.change",
        r#"{"values":{"x":{"rid":"ref_harden.c"}}}"#,
    );
    svc.serve_get("ref_harden.c", r#"{"model":{"n":1}}"#);
    c.expect_event(
        "ref_harden.p.change",
        r#"{"values":{"x":{"rid":"ref_harden.c"}},"models":{"ref_harden.c":{"n":1}}}"#,
    );
    svc.event(
        "ref_harden.p.change",
        r#"{"values":{"x":{"rid":"ref_harden.c","soft":true}}}"#,
    );
    c.expect_event(
        "ref_harden.p.change",
        r#"{"values":{"x":{"rid":"ref_harden.c","soft":true}}}"#,
    );
    svc.event("ref_harden.c.custom", "1");
    c.fence(&svc, "ref_harden.c");
}

#[test]
fn unsubscribing_a_parent_drops_its_whole_tree_but_what_others_hold() {
    let (svc, mut c) = pair("ref_drop");
    let id = c.ask("subscribe.ref_drop.p");
    svc.serve(
        "ref_drop.p",
        r#"{"model":{"a":{"rid":"ref_drop.a"},"b":{"rid":"ref_drop.b"}}}"#,
    );
    let [a, b] = svc.expect_all(["get.ref_drop.a", "get.ref_drop.b"]);
    a.result(r#"{"model":{"g":{"rid":"ref_drop.g"}}}"#);
    b.result(r#"{"model":{}}"#);
    svc.serve_get("ref_drop.g", r#"{"model":{}}"#);
    c.expect_result(
        id,
        r#"{"models":{"ref_drop.p":{"a":{"rid":"ref_drop.a"},"b":{"rid":"ref_drop.b"}},"ref_drop.a":{"g":{"rid":"ref_drop.g"}},"ref_drop.b":{},"ref_drop.g":{}}}"#,
    );
    let id = c.ask("subscribe.ref_drop.q");
    svc.serve("ref_drop.q", r#"{"collection":[{"rid":"ref_drop.b"}]}"#);
    c.expect_result(
        id,
        r#"{"collections":{"ref_drop.q":[{"rid":"ref_drop.b"}]}}"#,
    );
    c.unsubscribe("ref_drop.p");
    for name in ["p", "a", "g"] {
        svc.event(&format!("ref_drop.{name}.custom"), "1");
        c.fence(&svc, &format!("ref_drop.{name}"));
    }
    svc.event("ref_drop.b.custom", "2");
    c.expect_event("ref_drop.b.custom", "2");
}

#[test]
fn references_with_a_query_load_query_resources() {
    let (svc, mut c) = pair("ref_query");
    let id = c.ask("subscribe.ref_query.p");
    svc.serve(
        "ref_query.p",
        r#"{"model":{"q":{"rid":"ref_query.l?from=0"}}}"#,
    );
    let get = svc.expect("get.ref_query.l");
    assert_eq!(get.payload(), r#"{"query":"from=0"}"#);
    get.result(r#"{"collection":[1],"query":"from=0"}"#);
    c.expect_result(
        id,
        r#"{"models":{"ref_query.p":{"q":{"rid":"ref_query.l?from=0"}}},"collections":{"ref_query.l?from=0":[1]}}"#,
    );
}

#[test]
fn a_deep_chain_is_followed_to_its_end() {
    let (svc, mut c) = pair("ref_deep");
    let id = c.ask("subscribe.ref_deep.n0");
    let mut models = Vec::new();
    for i in 0..200 {
        let content = if i == 199 {
            r#"{"end":true}"#.to_owned()
        } else {
            format!(r#"{{"next":{{"rid":"ref_deep.n{}"}}}}"#, i + 1)
        };
        let name = format!("ref_deep.n{i}");
        if i == 0 {
            svc.serve(&name, &format!(r#"{{"model":{content}}}"#));
        } else {
            svc.serve_get(&name, &format!(r#"{{"model":{content}}}"#));
        }
        models.push(format!(r#""{name}":{content}"#));
    }
    c.expect_result(id, &format!(r#"{{"models":{{{}}}}}"#, models.join(",")));
}

#[test]
fn a_cycle_whose_holder_lets_it_go_is_dropped() {
    let (svc, mut c) = pair("ref_cut");
    let id = c.ask("subscribe.ref_cut.p");
    svc.serve("ref_cut.p", r#"{"model":{"x":{"rid":"ref_cut.a"}}}"#);
    svc.serve_get("ref_cut.a", r#"{"model":{"b":{"rid":"ref_cut.b"}}}"#);
    svc.serve_get("ref_cut.b", r#"{"model":{"a":{"rid":"ref_cut.a"}}}"#);
    c.expect_result(
        id,
        r#"{"models":{"ref_cut.p":{"x":{"rid":"ref_cut.a"}},"ref_cut.a":{"b":{"rid":"ref_cut.b"}},"ref_cut.b":{"a":{"rid":"ref_cut.a"}}}}"#,
    );
    svc.event("ref_cut.p.change", r#"{"values":{"x":null}}"#);
    c.expect_event("ref_cut.p.change", r#"{"values":{"x":null}}"#);
    for name in ["ref_cut.a", "ref_cut.b"] {
        svc.event(&format!("{name}.custom"), "1");
        c.fence(&svc, name);
    }
    svc.event(
        "ref_cut.p.change",
        r#"{"values":{"x":{"rid":"ref_cut.b"}}}"#,
    );
    c.expect_event(
        "ref_cut.p.change",
        r#"{"values":{"x":{"rid":"ref_cut.b"}},"models":{"ref_cut.a":{"b":{"rid":"ref_cut.b"}},"ref_cut.b":{"a":{"rid":"ref_cut.a"}}}}"#,
    );
}

#[test]
fn a_failed_child_is_an_error_in_every_later_set_that_refers_to_it() {
    let (svc, mut c) = pair("ref_failed");
    let error = r#"{"code":"x.y","message":"Z"}"#;
    let id = c.ask("subscribe.ref_failed.p");
    svc.serve("ref_failed.p", r#"{"collection":[{"rid":"ref_failed.d"}]}"#);
    svc.expect("get.ref_failed.d").error("x.y", "Z");
    c.expect_result(
        id,
        &format!(
            r#"{{"collections":{{"ref_failed.p":[{{"rid":"ref_failed.d"}}]}},"errors":{{"ref_failed.d":{error}}}}}"#
        ),
    );
    let id = c.ask("subscribe.ref_failed.q");
    svc.serve("ref_failed.q", r#"{"collection":[{"rid":"ref_failed.d"}]}"#);
    c.expect_result(
        id,
        &format!(
            r#"{{"collections":{{"ref_failed.q":[{{"rid":"ref_failed.d"}}]}},"errors":{{"ref_failed.d":{error}}}}}"#
        ),
    );
    let id = c.ask("subscribe.ref_failed.r");
    svc.serve("ref_failed.r", r#"{"collection":[]}"#);
    c.expect_result(id, r#"{"collections":{"ref_failed.r":[]}}"#);
    svc.event(
        "ref_failed.r.add",
        r#"{"idx":0,"value":{"rid":"ref_failed.d"}}"#,
    );
    c.expect_event(
        "ref_failed.r.add",
        &format!(
            r#"{{"idx":0,"value":{{"rid":"ref_failed.d"}},"errors":{{"ref_failed.d":{error}}}}}"#
        ),
    );
    // The failed get is not repeated.
    c.fence(&svc, "ref_failed.d");
}
