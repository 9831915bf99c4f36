use super::*;
use serde_json::json;

fn replica() -> Replica {
    Replica::new(Generation::V1_2_1)
}

fn held(replica: &Replica) -> Vec<&str> {
    replica.items().map(|(rid, _)| rid).collect()
}

/// A client that subscribes a list of `a` and `b`.
fn with_list() -> Replica {
    let mut replica = replica();
    let set = json!({
        "collections": {"list": [{"rid": "a"}, {"rid": "b"}]},
        "models": {"a": {"next": {"rid": "b"}}, "b": {"next": {"rid": "a"}}},
    });
    replica.subscribed("list", &set).unwrap();
    replica
}

#[test]
fn holds_what_it_can_reach() {
    let mut replica = with_list();
    assert_eq!(held(&replica), ["a", "b", "list"]);
    replica.event("list.remove", &json!({"idx": 0})).unwrap();
    assert_eq!(held(&replica), ["a", "b", "list"], "a is still needed by b");
    replica.subscribed("a", &json!({})).unwrap();
    replica.unsubscribed("list", 1).unwrap();
    assert_eq!(held(&replica), ["a", "b"]);
    replica.unsubscribed("a", 1).unwrap();
    assert_eq!(
        held(&replica),
        [""; 0],
        "a cycle without a direct holder goes"
    );
}

#[test]
fn counts_direct_subscriptions() {
    let mut replica = replica();
    replica
        .subscribed("a", &json!({"models": {"a": {}}}))
        .unwrap();
    replica.subscribed("a", &json!({})).unwrap();
    replica.subscribed("a", &json!({})).unwrap();
    assert!(replica.unsubscribed("a", 4).is_err());
    replica.unsubscribed("a", 2).unwrap();
    assert_eq!(held(&replica), ["a"]);
    replica.unsubscribed("a", 1).unwrap();
    assert!(replica.unsubscribed("a", 1).is_err());
    assert_eq!(held(&replica), [""; 0]);
}

#[test]
fn an_unsubscribe_event_takes_all_direct_subscriptions() {
    let mut replica = with_list();
    replica.subscribed("a", &json!({})).unwrap();
    replica.subscribed("a", &json!({})).unwrap();
    replica
        .event("a.unsubscribe", &json!({"reason": {}}))
        .unwrap();
    assert_eq!(replica.direct("a"), 0);
    assert_eq!(held(&replica), ["a", "b", "list"]);
    assert!(
        replica
            .event("a.unsubscribe", &json!({"reason": {}}))
            .is_err()
    );
}

#[test]
fn applies_events() {
    let mut replica = with_list();
    let add = json!({"idx": 1, "value": {"rid": "c"}, "errors": {"c": {"code": "x"}}});
    replica.event("list.add", &add).unwrap();
    let change = json!({"values": {"next": {"action": "delete"}, "n": 1}});
    replica.event("a.change", &change).unwrap();
    let Held::Content(list) = &replica.item("list").unwrap().held else {
        panic!("an error")
    };
    assert_eq!(list.hard_references(), ["a", "c", "b"]);
    assert_eq!(
        replica.item("a").unwrap().held,
        Held::Content(Content::Model([("n".to_owned(), json!(1))].into()))
    );
    assert_eq!(
        replica.item("c").unwrap().held,
        Held::Error(json!({"code": "x"}))
    );
}

#[test]
fn objects_to_what_no_correct_gateway_sends() {
    let events = [
        ("c.change", json!({"values": {"a": 1}}), "not held"),
        ("a.add", json!({"idx": 0, "value": 1}), "no such event"),
        ("a.change", json!({"values": {}}), "nothing changes"),
        (
            "a.change",
            json!({"values": {"next": {"rid": "b"}}}),
            "does not change",
        ),
        (
            "a.change",
            json!({"values": {"x": {"action": "delete"}}}),
            "is not there",
        ),
        (
            "a.change",
            json!({"values": {"x": {"rid": "c"}}}),
            "was not sent",
        ),
        (
            "a.change",
            json!({"values": {"x": 1}, "models": {"c": {}}}),
            "nothing that the client",
        ),
        (
            "a.change",
            json!({"values": {"x": 1}, "models": {"b": {}}}),
            "the client holds it",
        ),
        ("list.change", json!({"values": {"x": 1}}), "no such event"),
        ("list.add", json!({"idx": 3, "value": 1}), "index 3"),
        ("list.add", json!({"idx": 0}), "no value"),
        ("list.remove", json!({"idx": 2}), "index 2"),
        ("list.remove", json!({}), "no idx"),
        ("list.reaccess", json!(null), "no such event"),
    ];
    for (event, data, problem) in events {
        let violation = with_list().event(event, &data).unwrap_err();
        assert!(violation.contains(problem), "{event} {data}: {violation}");
    }
    let sets = [
        (json!({}), "neither held nor sent"),
        (json!({"models": {"x": []}}), "wrong type"),
        (json!({"models": {"x": {}, "a": {}}}), "the client holds it"),
        (
            json!({"models": {"x": {"c": {"rid": "c"}}}}),
            "was not sent",
        ),
        (
            json!({"models": {"x": {}}, "collections": {"x": []}}),
            "the client holds it",
        ),
        (json!({"errors": {"x": {}}}), "an error is held"),
    ];
    for (set, problem) in sets {
        let violation = with_list().subscribed("x", &set).unwrap_err();
        assert!(violation.contains(problem), "{set}: {violation}");
    }
}

#[test]
fn a_deleted_resource_is_frozen_until_it_is_sent_again() {
    let mut replica = with_list();
    replica.event("a.delete", &json!(null)).unwrap();
    assert_eq!(held(&replica), ["a", "b", "list"]);
    assert!(
        replica
            .clone()
            .event("a.change", &json!({"values": {"x": 1}}))
            .is_err()
    );
    assert!(replica.clone().subscribed("a", &json!({})).is_err());
    replica
        .subscribed("a", &json!({"models": {"a": {"x": 1}}}))
        .unwrap();
    replica
        .event("a.change", &json!({"values": {"x": 2}}))
        .unwrap();
}

#[test]
fn custom_events_have_no_gap() {
    let mut replica = with_list();
    replica.event("a.hello", &json!({"number": 4})).unwrap();
    replica.event("a.hello", &json!({"number": 5})).unwrap();
    assert!(
        replica
            .clone()
            .event("a.hello", &json!({"number": 5}))
            .is_err()
    );
    assert!(
        replica
            .clone()
            .event("a.hello", &json!({"number": 7}))
            .is_err()
    );
    replica.event("a.hello", &json!(null)).unwrap();
}

#[test]
fn a_get_leaves_nothing_behind() {
    let replica = with_list();
    let got = replica
        .got("c", &json!({"models": {"c": {"b": {"rid": "b"}}}}))
        .unwrap();
    assert_eq!(got.len(), 1);
    assert!(replica.item("c").is_none());
    assert!(replica.got("b", &json!({})).unwrap().is_empty());
    assert!(replica.got("c", &json!({})).is_err());
}

#[test]
fn a_failed_resource_response_is_uncertain() {
    let mut replica = with_list();
    assert!(
        replica
            .subscribed_in_error("c", &json!({"errors": {"c": {"code": "x"}}}))
            .unwrap()
    );
    assert!(replica.item("c").is_some());
    replica.certain("c");
    assert!(replica.item("c").is_none());
    assert!(
        !replica
            .subscribed_in_error("a", &json!({"errors": {"a": {"code": "x"}}}))
            .unwrap()
    );
    assert!(matches!(replica.item("a").unwrap().held, Held::Content(_)));
}
