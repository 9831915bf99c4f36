//! Limits of a resource: what is beyond is not held, and whoever is concerned is told.

use crate::harness::{Heart, REQUEST_TIMEOUT, changed, error};
use tidegate::gateway::{CacheLimits, Options, Rate};
use tidegate::res::service::Limits;

const CODE: &str = "system.internalError";
const MESSAGE: &str = "Internal error: the resource is too large";

fn heart(entries: usize, bytes: usize) -> Heart {
    Heart::with(Options {
        resources: Limits { entries, bytes },
        ..Options::default()
    })
}

/// What subscribers get of a resource that is too large.
fn given_up(rid: &str) -> [String; 2] {
    let reason = format!(r#"{{"code":"{CODE}","message":"{MESSAGE}"}}"#);
    [
        format!(r#"{{"event":"{rid}.delete","data":null}}"#),
        format!(r#"{{"event":"{rid}.unsubscribe","data":{{"reason":{reason}}}}}"#),
    ]
}

#[test]
fn an_answer_that_is_too_large_is_an_error_to_whoever_asks() {
    for result in [
        r#"{"collection":[1,2,3,4]}"#,
        r#"{"model":{"a":1,"b":2,"c":3,"d":4}}"#,
        r#"{"collection":["this text is longer than may be, and so the list"]}"#,
    ] {
        let mut h = heart(3, 40);
        for client in [1, 2] {
            h.client(client).subscribe(1, "test.list");
            h.grant("test.list");
            h.serve("test.list", result);
            h.client(client).receives(&error(1, CODE, MESSAGE));
        }
        assert_eq!(h.stats().resources, 0);
        // It may have become smaller.
        h.subscribed(1, "test.list", r#"{"collection":[1,2,3]}"#);
    }
}

#[test]
fn an_event_beyond_the_limit_ends_the_resource_alone() {
    for (result, event, payload) in [
        (r#"{"collection":[1,2,3]}"#, "add", r#"{"idx":0,"value":0}"#),
        (
            r#"{"model":{"a":1,"b":2,"c":3}}"#,
            "change",
            r#"{"values":{"d":1}}"#,
        ),
        (
            r#"{"model":{"a":1}}"#,
            "change",
            r#"{"values":{"a":"this text is longer than may be, far longer"}}"#,
        ),
    ] {
        let mut h = heart(3, 40);
        h.subscribed(1, "test.other", r#"{"collection":[]}"#);
        h.subscribed(1, "test.item", result);
        h.subscribed_again(2, "test.item");
        h.event(&format!("event.test.item.{event}"), payload);
        for client in [1, 2] {
            for expected in given_up("test.item") {
                h.client(client).receives(&expected);
            }
        }
        assert_eq!(h.stats().resources, 1);
        h.event("event.test.other.add", r#"{"idx":0,"value":0}"#);
        h.client(1)
            .receives(r#"{"event":"test.other.add","data":{"idx":0,"value":0}}"#);
        h.client(2).receives_nothing();
        // What comes of it means nothing any more, and it can be had again.
        h.event(&format!("event.test.item.{event}"), payload);
        h.client(1).receives_nothing();
        h.subscribed(1, "test.item", r#"{"collection":[1]}"#);
    }
}

#[test]
fn up_to_the_limit_all_events_count() {
    let mut h = heart(3, 40);
    h.subscribed(1, "test.list", r#"{"collection":[1,2]}"#);
    h.subscribed(1, "test.model", r#"{"model":{"a":1,"b":2,"c":3}}"#);
    for _ in 0..5 {
        h.event("event.test.list.add", r#"{"idx":2,"value":3}"#);
        h.client(1)
            .receives(r#"{"event":"test.list.add","data":{"idx":2,"value":3}}"#);
        h.event("event.test.list.remove", r#"{"idx":2}"#);
        h.client(1)
            .receives(r#"{"event":"test.list.remove","data":{"idx":2}}"#);
        for values in [
            r#"{"a":{"action":"delete"},"d":4}"#,
            r#"{"a":1,"d":{"action":"delete"}}"#,
        ] {
            h.change("test.model", values);
            h.client(1).receives(&changed("test.model", values));
        }
    }
}

#[test]
fn the_answer_to_a_reset_that_is_too_large_ends_the_resource() {
    let mut h = heart(3, 40);
    h.subscribed(1, "test.list", r#"{"collection":[1,2,3]}"#);
    h.event("system.reset", r#"{"resources":["test.list"]}"#);
    h.serve("test.list", r#"{"collection":[1,2,3,4]}"#);
    for expected in given_up("test.list") {
        h.client(1).receives(&expected);
    }
    h.advance(10 * REQUEST_TIMEOUT);
    h.expect_no_request();
    assert_eq!(h.stats().resources, 0);
}

#[test]
fn requests_that_come_too_fast_are_refused_and_nobody_else_is_concerned() {
    let mut h = Heart::with(Options {
        rate: Rate(2),
        ..Options::default()
    });
    h.connect(1, Some("1.2.3"));
    h.connect(2, Some("1.2.3"));
    h.client(1)
        .send(r#"{"id":1,"method":"auth.test.model.login"}"#);
    h.client(1)
        .send(r#"{"id":2,"method":"auth.test.model.login"}"#);
    for _ in 0..2 {
        let request = h.expect_request("auth.test.model.login");
        h.respond(&request, r#"{"result":null}"#);
    }
    for id in 1..=2 {
        h.client(1)
            .receives(&format!(r#"{{"result":{{"payload":null}},"id":{id}}}"#));
    }
    for (id, method) in [
        (3, "subscribe.test.model"),
        (4, "get.test.model"),
        (5, "call.test.model.method"),
        (6, "auth.test.model.login"),
        (7, "new.test.model"),
    ] {
        h.client(1)
            .send(&format!(r#"{{"id":{id},"method":"{method}"}}"#));
        h.client(1).receives(&format!(
            r#"{{"error":{{"code":"common.tooActive","message":"Too many requests","data":{{"seconds":1}}}},"id":{id}}}"#
        ));
        h.expect_no_request();
    }
    // What asks nothing of a service is answered as ever, and so are others.
    h.client(1)
        .send(r#"{"id":8,"method":"unsubscribe.test.model"}"#);
    h.client(1)
        .receives(&error(8, "system.noSubscription", "No subscription"));
    h.client(1).send(r#"{"id":9,"method":"version"}"#);
    h.client(1)
        .receives(r#"{"result":{"protocol":"1.2.3"},"id":9}"#);
    h.subscribed(2, "test.model", r#"{"model":{"a":1}}"#);
    h.advance(500);
    h.subscribed_again(1, "test.model");
}

const FULL: (&str, &str) = (
    "system.subscriptionLimitExceeded",
    "Subscription limit exceeded",
);

#[test]
fn a_client_has_so_many_direct_subscriptions_and_any_number_below_them() {
    let mut h = Heart::with(Options {
        subscriptions: 2,
        ..Options::default()
    });
    let list = r#"{"collection":[{"rid":"test.c"},{"rid":"test.d"},{"rid":"test.e"}]}"#;
    let model = r#"{"model":{"a":1}}"#;
    let tree = [
        ("test.list", list),
        ("test.c", model),
        ("test.d", model),
        ("test.e", model),
    ];
    h.subscribed_tree(1, &tree);
    h.subscribed(1, "test.a", model);
    // A further one of the same resource is none more.
    h.client(1)
        .subscribe(1, "test.a")
        .receives(r#"{"result":{},"id":1}"#);
    for rid in ["test.b", "test.c"] {
        h.client(1)
            .subscribe(2, rid)
            .receives(&error(2, FULL.0, FULL.1));
        h.expect_no_request();
    }
    // Getting is no subscribing, and others have their own.
    h.client(1).get(3, "test.b");
    h.grant("test.b");
    h.serve("test.b", model);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.b":{"a":1}}},"id":3}"#);
    h.subscribed_again(2, "test.a");
    h.unsubscribed(1, "test.a");
    h.client(1)
        .subscribe(4, "test.b")
        .receives(&error(4, FULL.0, FULL.1));
    h.unsubscribed(1, "test.a");
    h.subscribed_again(1, "test.b");
}

#[test]
fn subscriptions_that_are_asked_for_together_are_not_more() {
    let mut h = Heart::with(Options {
        subscriptions: 1,
        ..Options::default()
    });
    for (id, rid) in [(1, "test.a"), (2, "test.b")] {
        h.client(1).subscribe(id, rid);
    }
    for rid in ["test.b", "test.a"] {
        h.grant(rid);
        h.serve(rid, r#"{"model":{"a":1}}"#);
    }
    h.client(1)
        .receives(r#"{"result":{"models":{"test.b":{"a":1}}},"id":2}"#)
        .receives(&error(1, FULL.0, FULL.1));
    // What ends by itself makes room.
    h.event("event.test.b.delete", "null");
    h.client(1)
        .receives(r#"{"event":"test.b.delete","data":null}"#);
    h.client(1).messages();
    h.subscribed_again(1, "test.a");
}

const UNCACHED: (&str, &str) = (
    "system.serviceUnavailable",
    "Service unavailable: the gateway may not cache more resources",
);

#[test]
fn what_nobody_uses_makes_room_oldest_first_and_what_is_in_use_stays() {
    let model = r#"{"model":{"text":"this is as long as it is, and longer than some"}}"#;
    // Three of them, by their number or by what they count for.
    for cached in [
        CacheLimits {
            resources: 3,
            bytes: 0,
        },
        CacheLimits {
            resources: 0,
            bytes: 3 * (512 + 100),
        },
    ] {
        let mut h = Heart::with(Options {
            cached,
            ..Options::default()
        });
        h.subscribed(1, "test.used", model);
        for rid in ["test.a", "test.b"] {
            h.subscribed(1, rid, model);
        }
        h.unsubscribed(1, "test.b");
        h.advance(1);
        h.unsubscribed(1, "test.a");
        assert_eq!(h.stats().resources, 3);
        // Of the two that nobody uses the one that has waited for longer goes.
        h.subscribed(1, "test.c", model);
        assert_eq!((h.stats().resources, h.stats().lingering), (3, 1));
        h.subscribed_again(1, "test.a");
        // All are in use: nobody is asked, and others are not concerned.
        h.client(2).subscribe(1, "test.d");
        let request = h.expect_request("access.test.d");
        h.respond(&request, r#"{"result":{"get":true}}"#);
        h.expect_no_request();
        h.client(2).receives(&error(1, UNCACHED.0, UNCACHED.1));
        h.change("test.used", r#"{"text":"a"}"#);
        h.client(1)
            .receives(&changed("test.used", r#"{"text":"a"}"#));
        h.subscribed_again(2, "test.used");
        h.unsubscribed(1, "test.c");
        h.subscribed(2, "test.d", model);
        assert_eq!(h.stats().resources, 3);
    }
}

#[test]
fn a_resource_that_finds_no_room_when_it_comes_is_an_error() {
    let mut h = Heart::with(Options {
        cached: CacheLimits {
            resources: 1,
            bytes: 0,
        },
        ..Options::default()
    });
    for (client, id, rid) in [(1, 1, "test.a"), (2, 2, "test.b"), (1, 3, "test.b")] {
        h.client(client).subscribe(id, rid);
        h.grant(rid);
    }
    for rid in ["test.a", "test.b"] {
        h.serve(rid, r#"{"model":{"a":1}}"#);
    }
    let answers: Vec<_> = h.client(1).messages();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(answers[1], error(3, UNCACHED.0, UNCACHED.1));
    h.client(2).receives(&error(2, UNCACHED.0, UNCACHED.1));
    assert_eq!(h.stats().resources, 1);
}
