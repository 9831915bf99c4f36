//! What clients may ask, and what they get for it (RES-Client protocol, "Requests").

use crate::harness::{Heart, REQUEST_TIMEOUT, changed, error, nothing_new};

const INVALID: (&str, &str) = ("system.invalidRequest", "Invalid request");

#[test]
fn what_has_no_usable_id_is_not_answered() {
    let mut h = Heart::new();
    for text in [
        "",
        "nonsense",
        "null",
        "7",
        "[]",
        r#"[{"id":1,"method":"version"}]"#,
        r#"{"method":"version"}"#,
        r#"{"id":null,"method":"version"}"#,
        r#"{"id":"1","method":"version"}"#,
        r#"{"id":-1,"method":"version"}"#,
        r#"{"id":1.0,"method":"version"}"#,
        r#"{"id":1e0,"method":"version"}"#,
        r#"{"id":18446744073709551616,"method":"version"}"#,
        r#"{"id":1,"method":7}"#,
        "\u{feff}{\"id\":1,\"method\":\"version\"}",
    ] {
        h.client(1).send(text).receives_nothing();
    }
    h.client(1)
        .request(u64::MAX, "version")
        .receives(r#"{"result":{"protocol":"1.2.3"},"id":18446744073709551615}"#);
}

#[test]
fn what_is_no_method_is_an_invalid_request() {
    let mut h = Heart::new();
    for method in [
        "",
        "subscribe",
        "subscribe.",
        "Subscribe.test",
        "subscribe.test..a",
        "subscribe.test.",
        "subscribe.te st",
        "subscribe.test.*",
        "subscribe.test.>",
        "subscribe.?q",
        "get.\u{e5}",
        "call.test",
        "call.test.a.set?q=1",
        "call.test.*",
        "auth.test.",
        "new.",
        "version.1",
        "publish.test",
    ] {
        h.client(1)
            .request(1, method)
            .receives(&error(1, INVALID.0, INVALID.1));
    }
    for text in [r#"{"id":1}"#, r#"{"id":1,"method":null}"#] {
        h.client(1)
            .send(text)
            .receives(&error(1, INVALID.0, INVALID.1));
    }
    h.expect_no_request();
}

#[test]
fn the_version_handshake_may_be_repeated() {
    let mut h = Heart::new();
    h.connect(1, None);
    for (params, failure) in [
        ("null", None),
        ("{}", None),
        (r#"{"protocol":""}"#, None),
        (r#"{"protocol":"1.0.0"}"#, None),
        (r#"{"protocol":"1.999.999"}"#, None),
        (r#"{"Protocol":"1.02.3"}"#, None),
        (r#"{"protocol":"1.2"}"#, Some("system.invalidParams")),
        (r#"{"protocol":"1.2.1000"}"#, Some("system.invalidParams")),
        (r#"{"protocol":1}"#, Some("system.invalidParams")),
        ("[]", Some("system.invalidParams")),
        (
            r#"{"protocol":"2.0.0"}"#,
            Some("system.unsupportedProtocol"),
        ),
        (
            r#"{"protocol":"0.9.0"}"#,
            Some("system.unsupportedProtocol"),
        ),
    ] {
        let answer = h
            .client(1)
            .send(&format!(
                r#"{{"id":1,"method":"version","params":{params}}}"#
            ))
            .message();
        match failure {
            None => assert_eq!(answer, r#"{"result":{"protocol":"1.2.3"},"id":1}"#),
            Some(code) => assert!(answer.contains(code), "{params}: {answer}"),
        }
    }
}

#[test]
fn a_failed_handshake_changes_nothing() {
    let mut h = Heart::new();
    h.connect(1, Some("1.2.3"));
    for version in ["2.0.0", "nonsense"] {
        let request =
            format!(r#"{{"id":1,"method":"version","params":{{"protocol":"{version}"}}}}"#);
        h.client(1).send(&request).message();
    }
    h.client(1).request(2, "auth.test.login");
    let auth = h.expect_request("auth.test.login");
    h.respond(&auth, r#"{"result":1}"#);
    h.client(1).receives(r#"{"result":{"payload":1},"id":2}"#);
}

#[test]
fn clients_below_1_2_0_get_bare_results_and_no_resource_responses() {
    for version in [None, Some("1.0.0"), Some("1.1.1")] {
        let mut h = Heart::new();
        h.connect(1, version);
        for (answer, result) in [
            (r#"{"result":{"a": 1}}"#, r#"{"a":1}"#),
            (r#"{"result":null}"#, "null"),
            (
                r#"{"resource":{"rid":"test.model"}}"#,
                r#"{"rid":"test.model"}"#,
            ),
        ] {
            h.client(1).call(1, "test.set");
            h.grant("test");
            let call = h.expect_request("call.test.set");
            h.respond(&call, answer);
            h.client(1)
                .receives(&format!(r#"{{"result":{result},"id":1}}"#));
        }
        h.expect_no_request();
        // A new request subscribes for them too.
        h.client(1).request(2, "new.test");
        h.grant("test");
        let call = h.expect_request("call.test.new");
        h.respond(&call, r#"{"result":{"rid":"test.model"}}"#);
        h.grant("test.model");
        h.serve("test.model", r#"{"model":{"a":1}}"#);
        h.client(1)
            .receives(r#"{"result":{"rid":"test.model","models":{"test.model":{"a":1}}},"id":2}"#);
        h.change("test.model", r#"{"a":2}"#);
        h.client(1).receives(&changed("test.model", r#"{"a":2}"#));
    }
}

#[test]
fn clients_below_1_2_1_get_neither_soft_references_nor_data_values() {
    let model =
        r#"{"model":{"d":{"data":[1]},"p":{"data":7},"s":{"rid":"test.soft","soft":true}}}"#;
    let mut h = Heart::new();
    h.connect(1, Some("1.2.0"));
    h.connect(2, None);
    h.connect(3, Some("1.2.1"));
    h.subscribed(1, "test.model", model);
    h.client(2).subscribe(1, "test.model");
    h.grant("test.model");
    h.client(2).receives(
        r#"{"result":{"models":{"test.model":{"d":"[Data]","p":7,"s":"test.soft"}}},"id":1}"#,
    );
    h.client(3).subscribe(1, "test.model");
    h.grant("test.model");
    h.client(3).receives(
        r#"{"result":{"models":{"test.model":{"d":{"data":[1]},"p":7,"s":{"rid":"test.soft","soft":true}}}},"id":1}"#,
    );
    h.change(
        "test.model",
        r#"{"d":{"data":{"a":1}},"s":{"rid":"test.other","soft":true}}"#,
    );
    for number in [1, 2] {
        h.client(number)
            .receives(&changed("test.model", r#"{"d":"[Data]","s":"test.other"}"#));
    }
    h.client(3).receives(&changed(
        "test.model",
        r#"{"d":{"data":{"a":1}},"s":{"rid":"test.other","soft":true}}"#,
    ));
    h.expect_no_request();
}

#[test]
fn unsubscribe_ends_as_many_subscriptions_as_it_says() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
    for id in 1..6 {
        h.client(1)
            .subscribe(id, "test.model")
            .receives(&nothing_new(id));
    }
    for (params, expected) in [
        (r#"{"count":7}"#, "system.noSubscription"),
        (r#"{"count":0}"#, "system.invalidParams"),
        (r#"{"count":-1}"#, "system.invalidParams"),
        (r#"{"count":1.5}"#, "system.invalidParams"),
        (r#"{"count":"1"}"#, "system.invalidParams"),
        (r#"{"count":99999999999999999999}"#, "system.invalidParams"),
        ("[]", "system.invalidParams"),
        ("1", "system.invalidParams"),
        (r#"{"count":2}"#, ""),
        ("null", ""),
        ("{}", ""),
        (r#"{"count":null}"#, ""),
        (r#"{"count":2}"#, "system.noSubscription"),
    ] {
        let request = format!(r#"{{"id":9,"method":"unsubscribe.test.model","params":{params}}}"#);
        let answer = h.client(1).send(&request).message();
        match expected {
            "" => assert_eq!(answer, r#"{"id":9}"#, "{params}"),
            code => assert!(answer.contains(code), "{params}: {answer}"),
        }
    }
    assert_eq!(h.stats().subscriptions, 1);
    h.unsubscribed(1, "test.model");
    assert_eq!(h.stats().subscriptions, 0);
    h.client(1).unsubscribe(9, "test.model").receives(&error(
        9,
        "system.noSubscription",
        "No subscription",
    ));
}

#[test]
fn what_is_held_by_reference_only_cannot_be_unsubscribed() {
    let mut h = Heart::new();
    h.subscribed_tree(
        1,
        &[
            ("test.parent", r#"{"model":{"c":{"rid":"test.child"}}}"#),
            ("test.child", r#"{"model":{}}"#),
        ],
    );
    h.client(1).unsubscribe(1, "test.child").receives(&error(
        1,
        "system.noSubscription",
        "No subscription",
    ));
}

#[test]
fn a_client_has_at_most_256_direct_subscriptions_of_a_resource() {
    let limit = error(
        7,
        "system.subscriptionLimitExceeded",
        "Subscription limit exceeded",
    );
    let mut h = Heart::new();
    h.subscribed(1, "test.model", r#"{"model":{}}"#);
    for id in 1..256 {
        h.client(1)
            .subscribe(id, "test.model")
            .receives(&nothing_new(id));
    }
    h.client(1).subscribe(7, "test.model").receives(&limit);
    h.unsubscribed(1, "test.model");
    h.client(1)
        .subscribe(8, "test.model")
        .receives(&nothing_new(8));
    h.client(1)
        .send(r#"{"id":9,"method":"unsubscribe.test.model","params":{"count":256}}"#)
        .receives(r#"{"id":9}"#);
    assert_eq!(h.stats().subscriptions, 0);
}

#[test]
fn open_requests_count_for_the_limit_too() {
    let mut h = Heart::new();
    for id in 0..256 {
        h.client(1).subscribe(id, "test.model");
    }
    let answer = h.client(1).subscribe(999, "test.model").message();
    assert!(answer.contains("system.subscriptionLimitExceeded"));
    // One access and one get request serve them all.
    h.grant("test.model");
    h.serve("test.model", r#"{"model":{}}"#);
    h.expect_no_request();
    let answers = h.client(1).messages();
    assert_eq!(answers.len(), 256);
    assert_eq!(
        answers[0],
        r#"{"result":{"models":{"test.model":{}}},"id":0}"#
    );
    assert_eq!(answers[255], nothing_new(255));
}

#[test]
fn a_client_with_256_open_requests_is_not_read_until_one_is_answered() {
    let mut h = Heart::new();
    for id in 0..256 {
        assert!(h.client(1).takes_requests());
        h.client(1).request(id, "auth.test.login");
    }
    assert!(!h.client(1).takes_requests());
    assert_eq!(h.client(1).resumed(), 0);
    let auth = h.expect_request("auth.test.login");
    h.respond(&auth, r#"{"result":null}"#);
    assert!(h.client(1).takes_requests());
    assert_eq!(
        (h.client(1).messages().len(), h.client(1).resumed()),
        (1, 1)
    );
    for _ in 1..256 {
        h.expect_request("auth.test.login");
    }
    h.advance(REQUEST_TIMEOUT);
    assert_eq!(
        (h.client(1).messages().len(), h.client(1).resumed()),
        (255, 1)
    );
}

#[test]
fn a_client_with_4_mib_of_open_queries_is_not_read_until_less_wait() {
    let query = "q".repeat(1 << 20);
    for (kind, tail) in [("subscribe", ""), ("get", ""), ("call", ".set")] {
        let mut h = Heart::with_max_payload(2 << 20);
        for id in 0..4 {
            assert!(h.client(1).takes_requests(), "{kind} {id}");
            let method = format!("{kind}.test.n{id}?{query}{tail}");
            h.client(1).request(id, &method);
        }
        assert!(!h.client(1).takes_requests(), "{kind}");
        h.deny("test.n0");
        assert!(h.client(1).takes_requests(), "{kind}");
        assert_eq!(h.client(1).resumed(), 1, "{kind}");
        for id in 1..4 {
            h.deny(&format!("test.n{id}"));
        }
        assert_eq!(h.client(1).messages().len(), 4, "{kind}");
        assert_eq!(h.client(1).resumed(), 1, "{kind}");
        h.discard();
        // All of it is counted off again, so as much may wait once more.
        for id in 4..8 {
            assert!(h.client(1).takes_requests(), "{kind} {id}");
            let method = format!("{kind}.test.n{id}?{query}{tail}");
            h.client(1).request(id, &method);
        }
        assert!(!h.client(1).takes_requests(), "{kind}");
        h.close(1);
        h.discard();
    }
}

#[test]
fn names_and_values_are_sent_as_services_write_them() {
    let mut h = Heart::new();
    h.subscribed(
        1,
        "test.model",
        r#" { "model" : { "z" : 1.0 , "a" : 1e3, "B" : "\u0061 b" , "d" : { "data" : { "x" : [ 1 , 2 ] } },
            "n" : 12345678901234567890123, "r": {"soft":true, "rid":"test.x", "x": {} } } } "#,
    );
    assert_eq!(
        h.subscribed_again(2, "test.model"),
        r#"{"result":{"models":{"test.model":{"B":"\u0061 b","a":1e3,"d":{"data":{"x":[1,2]}},"n":12345678901234567890123,"r":{"soft":true,"rid":"test.x","x":{}},"z":1.0}}},"id":100}"#
    );
}

#[test]
fn the_connection_id_tag_is_replaced_for_services_only() {
    let mut h = Heart::new();
    for number in [1, 2] {
        h.client(number).subscribe(1, "test.{cid}.user");
        let name = format!("test.{}.user", h.cid(number));
        h.grant(&name);
        let get = h.expect_request(&format!("get.{name}"));
        assert_eq!(get.payload, "{}");
        h.respond(
            &get,
            &format!(r#"{{"result":{{"model":{{"n":{number},"me":{{"rid":"test.{{cid}}.me?c={{cid}}"}}}}}}}}"#),
        );
        let child = h.expect_request(&format!("get.test.{}.me", h.cid(number)));
        assert_eq!(
            child.payload,
            format!(r#"{{"query":"c={}"}}"#, h.cid(number))
        );
        h.respond(&child, r#"{"result":{"model":{}}}"#);
        h.client(number).receives(&format!(
            r#"{{"result":{{"models":{{"test.{{cid}}.me?c={{cid}}":{{}},"test.{{cid}}.user":{{"me":{{"rid":"test.{{cid}}.me?c={{cid}}"}},"n":{number}}}}}}},"id":1}}"#
        ));
    }
    let names = [1, 2].map(|number| format!("test.{}.user", h.cid(number)));
    assert_ne!(names[0], names[1]);
    h.change(&names[0], r#"{"n":9}"#);
    h.client(1)
        .receives(&changed("test.{cid}.user", r#"{"n":9}"#));
    h.client(2).receives_nothing();
    // The expanded ID is another one for the client, but the same resource.
    h.client(1).subscribe(2, &names[0]);
    h.grant(&names[0]);
    let answer = h.client(1).message();
    assert!(answer.starts_with(&format!(r#"{{"result":{{"models":{{"{}":"#, names[0])));
    h.change(&names[0], r#"{"n":10}"#);
    let mut events = h.client(1).messages();
    events.sort();
    let mut expected = [
        changed("test.{cid}.user", r#"{"n":10}"#),
        changed(&names[0], r#"{"n":10}"#),
    ];
    expected.sort();
    assert_eq!(events, expected);
}

#[test]
fn a_connection_that_takes_over_a_key_has_nothing_of_the_one_before() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.{cid}");
    let old = h.cid(1);
    h.token(1, r#"{"token":"secret"}"#);
    let access = h.expect_request(&format!("access.test.{old}"));
    let get = h.expect_request(&format!("get.test.{old}"));
    h.client(1).call(2, "test.other.set");
    let call_access = h.expect_request("access.test.other");
    h.close(1);
    h.client(1).subscribe(1, "test.{cid}");
    let new = h.cid(1);
    assert_ne!(old, new);
    h.event_in_the_void(&format!("conn.{old}.token"));
    // Whatever comes for the old connection does not meet the new one.
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.respond(&call_access, r#"{"result":{"call":"*"}}"#);
    h.respond(&get, r#"{"result":{"model":{"old":true}}}"#);
    h.client(1).receives_nothing();
    let access = h.expect_request(&format!("access.test.{new}"));
    assert_eq!(access.payload, r#"{"token":null,"cid":"$CID"}"#);
    h.respond(&access, r#"{"result":{"get":true}}"#);
    h.serve(&format!("test.{new}"), r#"{"model":{"old":false}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.{cid}":{"old":false}}},"id":1}"#);
    h.expect_no_request();
}
