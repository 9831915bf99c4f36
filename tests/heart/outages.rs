//! The broker goes away and comes back, and refuses: clients stay, are never told what is
//! not true, and hold in the end what services have.

use crate::harness::{Heart, LINGER, REQUEST_TIMEOUT, access_lost, changed, error};
use tidegate::gateway::{Options, Refusal, Stats};

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// What a client is told when events of a resource do not come.
fn unheard(rid: &str) -> String {
    format!(
        r#"{{"event":"{rid}.unsubscribe","data":{{"reason":{{"code":"system.internalError","message":"Internal error: NATS refuses the gateway the events of the resource"}}}}}}"#
    )
}

#[test]
fn what_was_missed_is_fetched_when_the_broker_is_back() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.lose_broker();
    assert!(!h.is_ready());
    h.client(1).receives_nothing();
    h.return_broker();
    assert!(h.is_ready());
    let connection = format!("conn.{}.*", h.cid(1));
    assert_eq!(
        h.subscriptions()[1..],
        [&*connection, "event.test.model.*", "system.*"]
    );
    // Events that come before the answers are in them, or wait for the access.
    h.change("test.model", r#"{"a":2}"#);
    h.client(1).receives_nothing();
    h.serve("test.model", r#"{"model":{"a":3}}"#);
    h.client(1).receives_nothing();
    h.grant("test.model");
    h.client(1)
        .receives(&changed("test.model", r#"{"a":3}"#))
        .receives_nothing();
    h.change("test.model", r#"{"a":4}"#);
    h.client(1)
        .receives(&changed("test.model", r#"{"a":4}"#))
        .receives_nothing();
    h.expect_no_request();
}

#[test]
fn access_that_was_revoked_meanwhile_ends_the_subscription() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.lose_broker();
    h.return_broker();
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.client(1).receives_nothing();
    h.deny("test.model");
    let told = h.client(1).messages();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("test.model.unsubscribe"), "{told:?}");
}

#[test]
fn requests_wait_for_the_return_within_their_time() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.lose_broker();
    h.client(1).call(2, "test.model.set").subscribe(3, "test.b");
    h.client(2).request(4, "auth.test.login");
    h.expect_no_request();
    h.advance(REQUEST_TIMEOUT - 1);
    h.client(1).receives_nothing();
    h.return_broker();
    // Access is asked anew, though it was known before.
    assert!(h.event_subscriptions().contains(&"event.test.b.*"));
    let mut subjects = h.subjects();
    subjects.sort_unstable();
    assert_eq!(
        subjects,
        [
            "access.test.b",
            "access.test.model",
            "auth.test.login",
            "get.test.b",
            "get.test.model"
        ]
    );
    // Their time begins when they are sent.
    h.advance(REQUEST_TIMEOUT - 1);
    h.grant("test.model");
    let call = h.expect_request("call.test.model.set");
    h.respond(&call, r#"{"result":1}"#);
    h.client(1).receives(r#"{"result":{"payload":1},"id":2}"#);
    h.grant("test.b");
    h.serve("test.b", MODEL);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.b":{"a":1}}},"id":3}"#);
    let login = h.expect_request("auth.test.login");
    h.respond(&login, r#"{"result":null}"#);
    h.client(2)
        .receives(r#"{"result":{"payload":null},"id":4}"#);
    h.serve("test.model", MODEL);
    h.client(1).receives_nothing();
}

#[test]
fn requests_whose_time_ends_meanwhile_are_never_sent() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.lose_broker();
    h.client(1).request(2, "auth.test.login");
    h.client(1).subscribe(3, "test.b");
    h.advance(REQUEST_TIMEOUT);
    let timeout = ("system.timeout", "Request timeout");
    h.client(1)
        .receives(&error(2, timeout.0, timeout.1))
        .receives(&error(3, timeout.0, timeout.1));
    h.return_broker();
    let mut subjects = h.subjects();
    subjects.sort_unstable();
    assert_eq!(subjects, ["access.test.model", "get.test.model"]);
    h.discard();
}

#[test]
fn a_call_is_sent_once_and_reads_are_sent_again() {
    let mut h = Heart::new();
    h.client(1)
        .request(1, "auth.test.login")
        .subscribe(2, "test.b");
    let login = h.expect_request("auth.test.login");
    let (access, get) = (
        h.expect_request("access.test.b"),
        h.expect_request("get.test.b"),
    );
    h.lose_broker();
    h.advance(REQUEST_TIMEOUT - 1);
    h.return_broker();
    assert_eq!(h.subjects(), ["access.test.b", "get.test.b"]);
    // Answers to what was asked before the loss may be older than events that were missed.
    h.respond(&get, r#"{"result":{"model":{"a":"old"}}}"#);
    h.respond(&access, r#"{"result":{"get":false}}"#);
    h.client(1).receives_nothing();
    // The answer to the call is no older than the call.
    h.respond(&login, r#"{"result":"late"}"#);
    h.client(1)
        .receives(r#"{"result":{"payload":"late"},"id":1}"#);
    h.grant("test.b");
    h.serve("test.b", MODEL);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.b":{"a":1}}},"id":2}"#)
        .receives_nothing();
    // It was being asked as events may have been missed.
    h.grant("test.b");
    h.expect_no_request();
}

#[test]
fn a_call_of_what_its_client_has_let_go_is_not_forgotten() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("event.test.model.reaccess", "");
    let _ = h.expect_request("access.test.model");
    // It waits for the answer to that, and the subscription goes.
    h.client(1)
        .call(2, "test.model.set")
        .request(3, "unsubscribe.test.model")
        .receives(r#"{"id":3}"#);
    h.lose_broker();
    h.client(1).receives_nothing();
    h.return_broker();
    h.grant("test.model");
    let call = h.expect_request("call.test.model.set");
    h.respond(&call, r#"{"result":1}"#);
    h.client(1).receives(r#"{"result":{"payload":1},"id":2}"#);
    h.expect_no_request();
}

#[test]
fn a_second_loss_makes_reads_be_sent_a_third_time() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.b");
    for _ in 0..3 {
        h.lose_broker();
        h.return_broker();
        assert_eq!(h.subjects(), ["access.test.b", "get.test.b"]);
    }
    h.grant("test.b");
    h.serve("test.b", MODEL);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.b":{"a":1}}},"id":1}"#)
        .receives_nothing();
    h.grant("test.b");
}

#[test]
fn what_nobody_uses_is_forgotten() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.unsubscribed(1, "test.model");
    h.lose_broker();
    h.advance(LINGER - 1);
    h.return_broker();
    assert_eq!(h.event_subscriptions(), [""; 0]);
    h.expect_no_request();
    h.client(1).subscribe(2, "test.model");
    h.grant("test.model");
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{"a":2}}},"id":2}"#);
}

#[test]
fn what_nobody_used_is_not_handed_out_before_the_walk_has_come_to_it() {
    const TREE: &str = r#"{"model":{"a":1,"b":{"rid":"test.b"}}}"#;
    for is_web in [true, false] {
        for rid in ["test.a", "test.tree"] {
            let mut h = Heart::new();
            h.client(1).subscribe(1, rid);
            h.grant(rid);
            match rid {
                "test.a" => h.serve(rid, MODEL),
                _ => {
                    h.serve(rid, TREE);
                    h.serve("test.b", MODEL);
                }
            }
            h.client(1).messages();
            h.unsubscribed(1, rid);
            h.lose_broker();
            h.return_broker_in_a_short_turn();
            match is_web {
                true => h.web(2, "GET", &rid.replace('.', "/"), ""),
                false => {
                    h.client(1).subscribe(2, rid);
                }
            }
            h.grant(rid);
            match rid {
                "test.a" => h.serve(rid, r#"{"model":{"a":2}}"#),
                _ => {
                    h.serve(rid, TREE);
                    h.serve("test.b", r#"{"model":{"a":2}}"#);
                }
            }
            let told = match is_web {
                true => h.web_answer(2).1.to_string(),
                false => h.client(1).message(),
            };
            assert!(told.contains(r#""a":2"#), "{told}");
            if !is_web {
                // It was being asked as events may have been missed.
                h.grant(rid);
            }
            h.client(1).receives_nothing();
            h.expect_no_request();
        }
    }
}

#[test]
fn who_leaves_meanwhile_leaves_nothing_behind() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.lose_broker();
    h.client(1).subscribe(2, "test.b").call(3, "test.model.set");
    h.close(1);
    h.advance(REQUEST_TIMEOUT + LINGER);
    h.return_broker();
    assert_eq!(h.subscriptions().len(), 2);
    h.expect_no_request();
    assert_eq!(h.stats(), Stats::default());
}

#[test]
fn resets_that_were_acted_on_go_on_after_the_return() {
    for throttle in [0, 1] {
        let mut h = Heart::with(Options {
            reset_throttle: throttle,
            ..Options::default()
        });
        h.subscribed(1, "test.a", MODEL);
        h.subscribed(1, "test.b", MODEL);
        h.event(
            "system.reset",
            r#"{"resources":["test.>"],"access":["test.>"]}"#,
        );
        h.lose_broker();
        h.advance(10 * REQUEST_TIMEOUT);
        h.client(1).receives_nothing();
        h.return_broker();
        let mut served = 0;
        while let Some(subject) = h.subjects().first().map(|subject| (*subject).to_owned()) {
            match subject.split_once('.') {
                Some(("get", name)) => h.serve(name, r#"{"model":{"a":2}}"#),
                Some((_, name)) => h.grant(name),
                None => panic!("{subject}"),
            }
            served += 1;
            assert!(served < 100, "requests without end");
        }
        let mut told = h.client(1).messages();
        told.sort();
        assert_eq!(
            told,
            [
                changed("test.a", r#"{"a":2}"#),
                changed("test.b", r#"{"a":2}"#)
            ]
        );
        h.advance(LINGER);
        assert_eq!(h.stats().throttles, 0);
        assert_eq!(h.stats().pending, 0);
    }
}

#[test]
fn a_query_event_whose_answers_were_lost_leads_to_the_whole_resources() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.list?q=1");
    h.grant("test.list");
    h.serve("test.list", r#"{"collection":[1],"query":"q=1"}"#);
    h.client(1).messages();
    h.event("event.test.list.query", r#"{"subject":"_REPLY.1"}"#);
    h.expect_request("_REPLY.1");
    h.lose_broker();
    h.return_broker();
    let get = h.expect_request("get.test.list");
    assert_eq!(get.payload, r#"{"query":"q=1"}"#);
    h.respond(&get, r#"{"result":{"collection":[1,2],"query":"q=1"}}"#);
    h.grant("test.list");
    h.client(1)
        .receives(r#"{"event":"test.list?q=1.add","data":{"idx":1,"value":2}}"#)
        .receives_nothing();
    h.expect_no_request();
}

#[test]
fn a_token_of_an_auth_call_is_in_doubt_after_the_return() {
    for keep_tokens in [false, true] {
        let mut h = Heart::with(Options {
            keep_tokens,
            ..Options::default()
        });
        h.subscribed(1, "test.model", MODEL);
        h.token(1, r#"{"token":{"user":1}}"#);
        h.subscribed(2, "test.other", MODEL);
        while let Some(subject) = h.subjects().first().map(|subject| (*subject).to_owned()) {
            h.grant(subject.trim_start_matches("access."));
        }
        h.lose_broker();
        assert!(!h.client(1).is_closed(), "nobody can come back yet");
        h.return_broker();
        assert_eq!(h.client(1).is_closed(), !keep_tokens);
        assert!(
            !h.client(2).is_closed(),
            "without a token nothing was missed"
        );
        assert_eq!(
            h.event_subscriptions().contains(&"event.test.model.*"),
            keep_tokens,
            "nothing more is done for it"
        );
        h.discard();
    }
}

#[test]
fn a_client_is_authenticated_again_by_its_head() {
    for is_known in [true, false] {
        let mut h = Heart::logged_in_by_head(Options::default());
        h.lose_broker();
        h.return_broker();
        let login = h.expect_request("auth.id.login");
        if is_known {
            h.token(1, r#"{"token":{"user":2}}"#);
            h.respond(&login, r#"{"result":null}"#);
        } else {
            h.respond(&login, r#"{"error":{"code":"test.no","message":"No"}}"#);
        }
        assert_eq!(h.client(1).is_closed(), !is_known);
    }
}

#[test]
fn a_loss_while_the_head_is_asked_again_makes_it_be_asked_once_more() {
    for is_extended in [false, true] {
        let mut h = Heart::logged_in_by_head(Options::default());
        h.lose_broker();
        h.return_broker();
        let lost = h.expect_request("auth.id.login");
        if is_extended {
            h.respond(&lost, r#"timeout:"60000""#);
        }
        h.lose_broker();
        h.advance(REQUEST_TIMEOUT);
        assert!(!h.client(1).is_closed(), "nobody can come back yet");
        h.return_broker();
        let login = h.expect_request("auth.id.login");
        // What was said before may have been taken back since.
        h.respond(&lost, r#"{"result":null}"#);
        assert!(!h.client(1).is_closed());
        h.token(1, r#"{"token":{"user":2}}"#);
        h.respond(&login, r#"{"result":null}"#);
        assert!(!h.client(1).is_closed());
        h.client(1).request(1, "auth.test.who");
        let who = h.expect_request("auth.test.who");
        assert!(who.payload.contains(r#""user":2"#), "{}", who.payload);
        h.respond(&who, r#"{"result":null}"#);
        h.client(1).receives(r#"{"result":null,"id":1}"#);
    }
}

#[test]
fn a_token_that_the_head_does_not_bring_again_is_in_doubt() {
    let mut h = Heart::logged_in_by_head(Options::default());
    h.lose_broker();
    h.return_broker();
    // Its user has logged out meanwhile: the service takes the head, and gives no token.
    let login = h.expect_request("auth.id.login");
    h.respond(&login, r#"{"result":null}"#);
    assert!(h.client(1).is_closed());
    h.discard();
}

#[test]
fn while_the_head_is_asked_again_the_old_token_is_used_for_nothing() {
    for is_known in [true, false] {
        let mut h = Heart::logged_in_by_head(Options::default());
        h.subscribed(1, "test.model", MODEL);
        h.client(2).subscribe(1, "test.model");
        h.grant("test.model");
        assert_eq!(h.client(2).messages().len(), 1);
        h.lose_broker();
        h.client(1)
            .subscribe(2, "test.b")
            .call(3, "test.model.set")
            .request(4, "auth.test.login");
        h.return_broker();
        let login = h.expect_request("auth.id.login");
        // A service that looks at the token alone lets it in.
        let mut calls = 0;
        serve_all(&mut h, &mut calls);
        h.change("test.model", r#"{"a":2}"#);
        h.client(2).receives(&changed("test.model", r#"{"a":2}"#));
        h.client(1).receives_nothing();
        assert_eq!(calls, 0);
        if is_known {
            h.token(1, r#"{"token":{"user":2}}"#);
            h.client(1).receives_nothing();
        }
        h.respond(&login, r#"{"result":null}"#);
        assert_eq!(h.client(1).is_closed(), !is_known);
        serve_all(&mut h, &mut calls);
        let told = h.client(1).messages();
        match is_known {
            true => {
                assert_eq!((calls, told.len()), (2, 4), "{told:?}");
                assert!(told.contains(&changed("test.model", r#"{"a":2}"#)));
            }
            false => {
                assert_eq!((calls, told.len()), (0, 0), "{told:?}");
                h.close(1);
            }
        }
    }
}

/// Answers all requests: reads, access that allows all, and calls, which are counted.
fn serve_all(h: &mut Heart, calls: &mut u32) {
    while let Some(subject) = h.subjects().first().map(|subject| (*subject).to_owned()) {
        match subject.split_once('.') {
            Some(("get", name)) => h.serve(name, MODEL),
            Some(("access", name)) => h.grant(name),
            _ => {
                *calls += 1;
                let call = h.expect_request(&subject);
                assert!(
                    call.payload.contains(r#""token":{"user":2}"#),
                    "{}",
                    call.payload
                );
                h.respond(&call, r#"{"result":null}"#);
            }
        }
    }
}

#[test]
fn a_client_with_a_token_whose_events_are_refused_is_closed() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.login");
    let login = h.expect_request("auth.test.login");
    h.token(1, r#"{"token":{"user":1}}"#);
    h.respond(&login, r#"{"result":null}"#);
    h.client(1)
        .receives(r#"{"result":{"payload":null},"id":1}"#);
    let subject = format!("conn.{}.*", h.cid(1));
    h.refuse_subscription(&subject);
    assert!(!h.is_ready());
    assert!(h.client(1).is_closed(), "it could not be logged out");
}

#[test]
fn one_client_more_than_nats_takes_is_no_reason_to_be_unready() {
    let mut h = Heart::new();
    for client in [1, 2] {
        h.client(client).request(1, "auth.test.login");
        let login = h.expect_request("auth.test.login");
        if client == 1 {
            h.token(1, r#"{"token":{"user":1}}"#);
        }
        let subject = format!("conn.{}.*", h.cid(client));
        h.refuse_subscription_for(&subject, Refusal::Limit);
        assert!(h.is_ready());
        // Whoever has a token could not be logged out; others are served on.
        assert_eq!(h.client(client).is_closed(), client == 1);
        h.respond(&login, r#"{"result":null}"#);
        if client == 1 {
            h.close(1);
        }
    }
    h.client(2)
        .receives(r#"{"result":{"payload":null},"id":1}"#)
        .request(2, "auth.test.login");
    let subject = format!("conn.{}.*", h.cid(2));
    assert!(h.subscriptions().contains(&&*subject), "it is tried again");
    let login = h.expect_request("auth.test.login");
    h.respond(&login, r#"{"result":null}"#);
    h.client(2)
        .receives(r#"{"result":{"payload":null},"id":2}"#);
}

#[test]
fn a_name_whose_events_are_refused_is_not_served() {
    let mut h = Heart::new();
    h.client(1).subscribe(1, "test.model");
    h.refuse_subscription("event.test.model.*");
    h.client(1).receives_nothing();
    h.grant("test.model");
    assert!(h.client(1).message().contains("NATS refuses"));
    // What was asked before comes to nothing.
    h.serve("test.model", MODEL);
    h.client(1).receives_nothing();
    // For a while it is not tried again.
    h.client(1).subscribe(2, "test.model");
    h.grant("test.model");
    assert!(h.client(1).message().contains("NATS refuses"));
    assert_eq!(h.event_subscriptions(), [""; 0]);
    h.discard();
    h.advance(REQUEST_TIMEOUT);
    h.client(1).subscribe(3, "test.model");
    h.grant("test.model");
    h.serve("test.model", MODEL);
    h.client(1)
        .receives(r#"{"result":{"models":{"test.model":{"a":1}}},"id":3}"#);
    assert!(h.is_ready());
}

#[test]
fn what_was_asked_before_a_refusal_does_not_answer_what_is_asked_after_it() {
    for is_extended in [false, true] {
        let mut h = Heart::new();
        // Who refers to it holds it on, though it has failed.
        h.client(1).subscribe(1, "test.tree");
        h.grant("test.tree");
        h.serve("test.tree", r#"{"model":{"b":{"rid":"test.model"}}}"#);
        let before = h.expect_request("get.test.model");
        if is_extended {
            h.respond(&before, r#"timeout:"60000""#);
        }
        h.refuse_subscription("event.test.model.*");
        assert!(h.client(1).message().contains("NATS refuses"));
        h.advance(REQUEST_TIMEOUT - 1);
        h.client(2).subscribe(2, "test.model");
        h.grant("test.model");
        let after = h.expect_request("get.test.model");
        // Events may have been missed since.
        h.respond(&before, r#"{"result":{"model":{"a":"old"}}}"#);
        h.client(2).receives_nothing();
        // Its time is not that of the second one.
        h.advance(1);
        h.client(2).receives_nothing();
        h.respond(&after, r#"{"result":{"model":{"a":"new"}}}"#);
        h.client(2)
            .receives(r#"{"result":{"models":{"test.model":{"a":"new"}}},"id":2}"#);
    }
}

#[test]
fn holders_of_a_name_whose_events_are_refused_are_told() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.refuse_subscription("event.test.model.*");
    let told = h.client(1).messages();
    assert!(told.contains(&unheard("test.model")), "{told:?}");
    h.client(1).subscribe(2, "test.model");
    h.grant("test.model");
    assert!(h.client(1).message().contains("NATS refuses"));
}

#[test]
fn without_answers_or_system_events_it_is_not_ready() {
    for subject in ["_INBOX", "system.*", "conn"] {
        let mut h = Heart::new();
        h.client(1).request(1, "auth.test.login");
        let subject = h
            .subscriptions()
            .into_iter()
            .find(|there| there.starts_with(subject))
            .map(str::to_owned);
        h.refuse_subscription(&subject.expect("it is subscribed"));
        assert!(!h.is_ready());
        h.lose_broker();
        h.return_broker();
        assert!(h.is_ready(), "it is asked for again");
    }
}

#[test]
fn a_request_that_is_refused_is_answered_at_once() {
    let mut h = Heart::new();
    h.client(1).request(1, "auth.test.login");
    h.refuse_request("auth.test.login");
    let told = h.client(1).message();
    assert!(told.contains("NATS does not let the gateway"), "{told}");
    h.client(1).subscribe(2, "test.model");
    h.refuse_request("access.test.model");
    let told = h.client(1).message();
    assert!(told.contains("NATS does not let the gateway"), "{told}");
    h.serve("test.model", MODEL);
}

#[test]
fn a_reset_that_nobody_answers_says_nothing_of_the_resource() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.event("system.reset", r#"{"resources":["test.model"]}"#);
    h.nobody_answers("get.test.model");
    h.client(1).receives_nothing();
    h.advance(1_000);
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.client(1)
        .receives(&changed("test.model", r#"{"a":2}"#))
        .receives_nothing();
}

#[test]
fn access_that_nobody_tells_of_after_an_outage_is_asked_until_somebody_does() {
    let mut h = Heart::new();
    h.subscribed(1, "test.model", MODEL);
    h.lose_broker();
    h.return_broker();
    h.serve("test.model", MODEL);
    // The services come back later than the gateway.
    for _ in 0..5 {
        h.nobody_answers("access.test.model");
        h.client(1).receives_nothing();
        // What the service says meanwhile is not for who may not be allowed to hear it.
        h.advance(999);
        h.expect_no_request();
        h.advance(1);
    }
    h.change("test.model", r#"{"a":2}"#);
    h.client(1).receives_nothing();
    h.grant("test.model");
    h.client(1).receives(&changed("test.model", r#"{"a":2}"#));

    h.lose_broker();
    h.return_broker();
    h.serve("test.model", r#"{"model":{"a":2}}"#);
    h.nobody_answers("access.test.model");
    h.advance(1_000);
    h.deny("test.model");
    h.client(1).receives(&access_lost("test.model"));
}
