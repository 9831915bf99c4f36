//! Windows: a service has so many requests open, and clients take turns at it.

use crate::harness::{Heart, REQUEST_TIMEOUT, changed, error};
use tidegate::gateway::Options;

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// A heart whose services have so many requests open at first.
fn narrow(window: u32) -> Heart {
    Heart::with(Options {
        window,
        ..Options::default()
    })
}

fn call(h: &mut Heart, client: u32, id: u64, method: &str) {
    h.client(client).request(id, &format!("auth.{method}"));
}

#[test]
fn a_service_has_so_many_requests_open_and_clients_take_turns() {
    let mut h = narrow(2);
    for id in 1..=4 {
        call(&mut h, 1, id, &format!("test.first.m{id}"));
    }
    call(&mut h, 2, 1, "test.second.m1");
    assert_eq!(h.subjects(), ["auth.test.first.m1", "auth.test.first.m2"]);
    // Another service has its own.
    call(&mut h, 2, 2, "other.second.m");
    let other = h.expect_request("auth.other.second.m");
    h.respond(&other, r#"{"result":null}"#);
    let first = h.expect_request("auth.test.first.m1");
    h.respond(&first, r#"{"result":null}"#);
    assert_eq!(h.subjects(), ["auth.test.first.m2", "auth.test.first.m3"]);
    // It answers at once: it gets one more.
    let second = h.expect_request("auth.test.first.m2");
    h.respond(&second, r#"{"result":null}"#);
    assert_eq!(
        h.subjects(),
        [
            "auth.test.first.m3",
            "auth.test.second.m1",
            "auth.test.first.m4"
        ]
    );
    for subject in [
        "auth.test.first.m3",
        "auth.test.second.m1",
        "auth.test.first.m4",
    ] {
        let request = h.expect_request(subject);
        h.respond(&request, r#"{"result":null}"#);
    }
    assert_eq!(h.stats().parked, 0);
    h.discard();
}

#[test]
fn time_begins_when_a_request_is_sent_and_waiting_has_an_end() {
    let mut h = narrow(1);
    call(&mut h, 1, 1, "test.a.slow");
    call(&mut h, 1, 2, "test.a.next");
    let slow = h.expect_request("auth.test.a.slow");
    // It keeps its place for half a second only.
    h.advance(499);
    h.expect_no_request();
    h.advance(1);
    let next = h.expect_request("auth.test.a.next");
    h.advance(REQUEST_TIMEOUT - 501);
    h.respond(&slow, r#"{"result":1}"#);
    h.client(1).receives(r#"{"result":{"payload":1},"id":1}"#);
    h.advance(500);
    h.respond(&next, r#"{"result":2}"#);
    h.client(1).receives(r#"{"result":{"payload":2},"id":2}"#);
}

#[test]
fn the_heart_is_called_for_places_only_where_somebody_waits_for_one() {
    let mut h = narrow(1);
    call(&mut h, 1, 1, "test.a.slow");
    assert_eq!(h.next_timeout(), Some(REQUEST_TIMEOUT));
    call(&mut h, 1, 2, "test.a.next");
    assert_eq!(h.next_timeout(), Some(500));
    for method in ["slow", "next"] {
        let request = h.expect_request(&format!("auth.test.a.{method}"));
        h.respond(&request, r#"{"result":null}"#);
    }
    h.discard();
}

#[test]
fn places_are_kept_while_the_broker_has_not_taken_what_was_sent() {
    let mut h = narrow(1);
    call(&mut h, 1, 1, "test.a.slow");
    call(&mut h, 1, 2, "test.a.next");
    h.expect_request("auth.test.a.slow");
    h.broker_behind(true);
    h.advance(REQUEST_TIMEOUT - 1);
    h.expect_no_request();
    h.broker_behind(false);
    h.advance(0);
    h.expect_request("auth.test.a.next");
    h.discard();
}

#[test]
fn a_slow_service_holds_up_nobody_elses_background() {
    const RESOURCES: usize = 1_100;
    let mut h = narrow(8);
    for n in 0..RESOURCES {
        h.subscribed(1, &format!("slow.m{n}"), MODEL);
    }
    h.subscribed(2, "quick.model", MODEL);
    h.event("system.reset", r#"{"resources":["slow.>"]}"#);
    assert_eq!(h.subjects().len(), 8, "its window is full");
    h.event("system.reset", r#"{"resources":["quick.>"]}"#);
    h.serve("quick.model", r#"{"model":{"a":2}}"#);
    h.client(2).receives(&changed("quick.model", r#"{"a":2}"#));
    // A client of the slow one has its turn, and so has its background.
    call(&mut h, 3, 1, "slow.a.call");
    let mut asked = Vec::new();
    while let Some(request) = h.next_request() {
        let answer = match request.subject.starts_with("get.") {
            true => r#"{"result":{"model":{"a":1}}}"#,
            false => r#"{"result":null}"#,
        };
        h.respond(&request, answer);
        asked.push(request.subject);
    }
    let called = asked
        .iter()
        .position(|subject| subject == "auth.slow.a.call");
    assert!(called.is_some_and(|place| place < 20), "{called:?}");
    h.client(3)
        .receives(r#"{"result":{"payload":null},"id":1}"#);
    asked.retain(|subject| subject.starts_with("get."));
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), RESOURCES);
    assert_eq!(h.stats().queued, 0);
}

#[test]
fn what_waits_for_a_slow_service_is_asked_when_nats_is_back() {
    let mut h = narrow(1);
    for name in ["slow.a", "slow.b", "slow.c"] {
        h.subscribed(1, name, MODEL);
    }
    h.event("system.reset", r#"{"resources":["slow.>"]}"#);
    assert!(h.subjects().len() < 3 && h.stats().queued > 0);
    h.discard();
    h.lose_broker();
    h.advance(REQUEST_TIMEOUT);
    h.return_broker();
    let mut asked = Vec::new();
    while let Some(request) = h.next_request() {
        let answer = match request.subject.starts_with("get.") {
            true => r#"{"result":{"model":{"a":2}}}"#,
            false => r#"{"result":{"get":true}}"#,
        };
        h.respond(&request, answer);
        asked.push(request.subject);
    }
    for name in ["slow.a", "slow.b", "slow.c"] {
        assert!(asked.contains(&format!("get.{name}")), "{asked:?}");
    }
    assert_eq!(h.client(1).messages().len(), 3);
    assert_eq!(h.stats().queued, 0);
}

#[test]
fn who_waits_longer_than_three_time_outs_is_told() {
    let mut h = narrow(1);
    // Each is sent half a second after the one before, and never answered.
    for id in 1..=30 {
        call(&mut h, 1, id, &format!("test.a.m{id}"));
    }
    h.advance(3 * REQUEST_TIMEOUT - 1);
    let sent = h.subjects().len();
    assert_eq!(sent, 18);
    h.discard();
    h.advance(1);
    let told = h.client(1).messages();
    assert!(
        told.contains(&error(30, "system.timeout", "Request timeout")),
        "{told:?}"
    );
    h.discard();
    h.advance(REQUEST_TIMEOUT);
    assert_eq!((h.stats().parked, h.stats().pending), (0, 0));
    h.discard();
}

#[test]
fn what_waits_is_asked_with_the_token_of_its_turn_and_access_is_looked_at_again() {
    let mut h = narrow(1);
    h.subscribed(1, "test.model", MODEL);
    let mut holds = 0;
    while h.stats().parked == 0 {
        holds += 1;
        h.client(2).request(holds, "auth.test.hold");
    }
    let hold = h.expect_request("auth.test.hold");
    // The access that is known would let it.
    h.client(1).call(2, "test.model.set");
    h.client(1).subscribe(3, "test.other");
    assert!(
        h.subjects()
            .iter()
            .all(|subject| *subject == "auth.test.hold")
    );
    h.token(1, r#"{"token":{"user":7}}"#);
    h.respond(&hold, r#"{"result":null}"#);
    let mut asked = Vec::new();
    while let Some(subject) = h.subjects().first().map(|subject| (*subject).to_owned()) {
        let request = h.expect_request(&subject);
        if subject.starts_with("access.") {
            assert!(request.payload.contains(r#""user":7"#), "{subject}");
        }
        asked.push(subject.clone());
        let answer = match subject.split('.').next() {
            Some("access") if subject == "access.test.model" => r#"{"result":{"get":true}}"#,
            Some("access") => r#"{"result":{"get":true,"call":"*"}}"#,
            _ => r#"{"result":{"model":{"a":1}}}"#,
        };
        h.respond(&request, answer);
    }
    assert!(!asked.iter().any(|subject| subject.starts_with("call.")));
    let told = h.client(1).messages();
    assert!(
        told.contains(&error(2, "system.accessDenied", "Access denied")),
        "{told:?}"
    );
    h.discard();
}

#[test]
fn who_leaves_does_not_ask_any_more() {
    let mut h = narrow(1);
    h.client(2).request(1, "auth.test.hold");
    let hold = h.expect_request("auth.test.hold");
    h.client(1)
        .request(1, "auth.test.login")
        .subscribe(2, "test.a");
    h.close(1);
    h.respond(&hold, r#"{"result":null}"#);
    assert!(!h.subjects().contains(&"auth.test.login"));
    assert!(!h.subjects().contains(&"access.test.a"));
    h.discard();
    h.advance(4 * REQUEST_TIMEOUT);
    h.discard();
}

/// So many clients come back at once and subscribe to so many resources each, of a service that
/// answers two requests a millisecond in their order. Returns how many subscribes failed, the time
/// until all are answered, in milliseconds, and how many requests the service had before it at
/// most.
fn come_back(window: u32, clients: u32, resources: u32) -> (usize, u64, usize) {
    let mut h = narrow(window);
    for client in 1..=clients {
        for resource in 1..=resources {
            let rid = format!("crowd.c{client}.r{resource}");
            h.client(client).subscribe(resource.into(), &rid);
        }
    }
    let (mut failed, mut answered, mut time, mut most) = (0, 0, 0, 0);
    while answered < (clients * resources) as usize {
        most = most.max(h.subjects().len());
        for _ in 0..2 {
            let Some(request) = h.next_request() else {
                break;
            };
            match request.subject.starts_with("get.") {
                true => h.respond(&request, r#"{"result":{"model":{"a":1}}}"#),
                false => h.respond(&request, r#"{"result":{"get":true}}"#),
            }
        }
        h.advance(1);
        time += 1;
        if time % 100 == 0 {
            for client in 1..=clients {
                for message in h.client(client).messages() {
                    answered += 1;
                    failed += usize::from(message.contains("system.timeout"));
                }
            }
        }
        assert!(time < 60_000, "{answered} are answered");
    }
    h.discard();
    (failed, time, most)
}

#[test]
fn a_crowd_that_comes_back_is_served_in_turn_and_nothing_times_out() {
    // 8,000 requests at 2,000 a second: more than is answered within a time-out.
    let (failed, time, _) = come_back(100, 100, 40);
    assert_eq!(failed, 0);
    assert!(time <= 4_200, "{time} ms, of which the service needs 4,000");
    // 24,000: the last wait for more than three time-outs, and see the others being answered.
    let (failed, time, most) = come_back(100, 100, 120);
    assert_eq!(failed, 0);
    assert!(time > 3 * REQUEST_TIMEOUT && time <= 12_200, "{time} ms");
    // However long it lasts, the service has work for little more than 100 ms before it.
    assert!(most <= 300, "{most} open");
    let (failed, ..) = come_back(0, 100, 40);
    assert!(failed > 100, "{failed} fail where all is asked at once");
}

#[test]
fn a_window_lives_while_a_client_is_authenticated_again_before_its_request() {
    let mut h = Heart::logged_in_by_head(Options {
        window: 1,
        ..Options::default()
    });
    let ask = |h: &mut Heart, services: std::ops::Range<u64>| {
        for service in services {
            call(h, 3, service, &format!("s{service}.m"));
            let request = h.expect_request(&format!("auth.s{service}.m"));
            h.respond(&request, r#"{"result":null}"#);
        }
        h.client(3).messages();
    };
    // That of the auth service is forgotten when there are too many.
    ask(&mut h, 1..257);
    h.subscribed(2, "test.model", MODEL);
    for id in 10..12 {
        call(&mut h, 2, id, "test.a.hold");
    }
    h.client(1).subscribe(1, "test.model");
    assert_eq!(h.stats().parked, 1);
    ask(&mut h, 257..511);
    h.lose_broker();
    h.advance(600);
    h.discard();
    h.return_broker();
    let login = h.expect_request("auth.id.login");
    h.token(1, r#"{"token":{"user":1}}"#);
    h.respond(&login, r#"{"result":null}"#);
    h.discard();
}

/// A service answers a third of its requests at once and the others after 250 ms, be they as
/// many as they may: nobody has to wait for it.
#[test]
fn a_service_that_is_quick_with_some_requests_may_be_slow_with_others() {
    let mut h = narrow(1_024);
    let mut open = std::collections::VecDeque::new();
    let mut most = 0;
    for time in 0..20_000_u64 {
        if time % 4 == 0 {
            let client = 1 + (time / 4 % 20) as u32;
            for n in 0..3 {
                let method = if n == 0 { "quick" } else { "slow" };
                call(&mut h, client, 3 * time + n, &format!("test.a.{method}"));
            }
        }
        while let Some(request) = h.next_request() {
            match request.subject.ends_with("quick") {
                true => h.respond(&request, r#"{"result":null}"#),
                false => open.push_back((time + 250, request)),
            }
        }
        while open.front().is_some_and(|(due, _)| *due <= time) {
            if let Some((_, request)) = open.pop_front() {
                h.respond(&request, r#"{"result":null}"#);
            }
        }
        most = most.max(h.stats().parked);
        h.advance(1);
        if time % 100 == 0 {
            for client in 1..=20 {
                for message in h.client(client).messages() {
                    assert!(!message.contains("timeout"), "{time} {message}");
                }
            }
        }
    }
    assert!(most < 100, "{most} wait");
    h.discard();
}

/// The same of one that takes longer than half a second with all.
#[test]
fn a_service_may_take_its_time_with_all_requests() {
    let mut h = narrow(1_024);
    let mut open = std::collections::VecDeque::new();
    let (mut sent, mut answered, mut failed) = (0_u64, 0, 0);
    for time in 0..20_000_u64 {
        if time < 10 {
            // 2,000 at first, and later no more than are answered.
            for client in 1..=20 {
                for _ in 0..10 {
                    sent += 1;
                    call(&mut h, client, sent, "test.a.slow");
                }
            }
        }
        while let Some(request) = h.next_request() {
            open.push_back((time + 600, request));
        }
        while open.front().is_some_and(|(due, _)| *due <= time) {
            if let Some((_, request)) = open.pop_front() {
                h.respond(&request, r#"{"result":null}"#);
            }
        }
        h.advance(1);
        for client in 1..=20 {
            for message in h.client(client).messages() {
                failed += u64::from(message.contains("timeout"));
                answered += 1;
                if time < 15_000 {
                    sent += 1;
                    call(&mut h, client, sent, "test.a.slow");
                }
            }
        }
    }
    println!("{sent} sent, {answered} answered, {failed} failed");
    assert_eq!(failed, 0);
    h.discard();
}

#[test]
fn what_waits_for_a_service_is_bounded_and_other_services_do_not_notice() {
    let mut h = narrow(1);
    call(&mut h, 1, 1, "test.a.slow");
    let slow = h.expect_request("auth.test.a.slow");
    let text = "x".repeat(1 << 20);
    // Each of these clients has as much in flight as it may have.
    for client in 2..=5 {
        for id in 1..=4 {
            let method = format!("auth.test.a.m{client}x{id}");
            let request = format!(r#"{{"id":{id},"method":"{method}","params":"{text}"}}"#);
            h.client(client).send(&request);
        }
    }
    call(&mut h, 6, 1, "test.a.more");
    let refusal = |id| error(id, "system.serviceUnavailable", "Service unavailable");
    h.client(6).receives(&refusal(1));
    h.client(6).subscribe(2, "test.a");
    h.client(6).receives(&refusal(2));
    call(&mut h, 6, 3, "other.a.m");
    let other = h.expect_request("auth.other.a.m");
    h.respond(&other, r#"{"result":1}"#);
    h.client(6).receives(r#"{"result":{"payload":1},"id":3}"#);
    // There is room again when one of them has left.
    h.respond(&slow, r#"{"result":null}"#);
    call(&mut h, 6, 4, "test.a.more");
    h.client(6).receives_nothing();
    h.discard();
}
