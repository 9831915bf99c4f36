//! Load in one go: nothing is lost, everything stays in order, nobody is dropped.

use std::collections::HashSet;

use crate::common::*;

#[test]
fn a_burst_of_20_000_events_reaches_all_clients_in_order_unlike_resgate() {
    if is_peer() {
        return;
    }
    const COUNT: usize = 20_000;
    let stack = Stack::start(&[]);
    let svc = stack.service("burst_ev");
    let mut clients: Vec<Client> = (0..5).map(|_| stack.client()).collect();
    for (i, c) in clients.iter_mut().enumerate() {
        if i == 0 {
            c.subscribe(&svc, "burst_ev.a", r#"{"model":{"n":-1}}"#);
            c.subscribe(&svc, "burst_ev.b", r#"{"collection":[]}"#);
            continue;
        }
        let id = c.ask("subscribe.burst_ev.a");
        svc.grant("burst_ev.a");
        c.expect_result(id, r#"{"models":{"burst_ev.a":{"n":-1}}}"#);
        let id = c.ask("subscribe.burst_ev.b");
        svc.grant("burst_ev.b");
        c.expect_result(id, r#"{"collections":{"burst_ev.b":[]}}"#);
    }
    for n in 0..COUNT {
        if n % 2 == 0 {
            svc.event("burst_ev.a.change", &format!(r#"{{"values":{{"n":{n}}}}}"#));
        } else {
            svc.event("burst_ev.b.tick", &n.to_string());
        }
    }
    for c in &mut clients {
        let (mut a, mut b) = (0, 1);
        for _ in 0..COUNT {
            let text = c.next();
            if member(&text, "event") == "burst_ev.a.change" {
                assert_eq!(
                    member(&text, "data"),
                    format!(r#"{{"values":{{"n":{a}}}}}"#)
                );
                a += 2;
            } else {
                assert_eq!(member(&text, "event"), "burst_ev.b.tick");
                assert_eq!(member(&text, "data"), b.to_string());
                b += 2;
            }
        }
        c.fence(&svc, "burst_ev.a");
    }
}

#[test]
fn a_burst_of_new_references_is_sent_in_order() {
    const COUNT: usize = 200;
    let (svc, mut c) = pair("burst_ref");
    c.subscribe(&svc, "burst_ref.l", r#"{"collection":[]}"#);
    for n in 0..COUNT {
        svc.event(
            "burst_ref.l.add",
            &format!(r#"{{"idx":{n},"value":{{"rid":"burst_ref.m{n}"}}}}"#),
        );
    }
    for n in 0..COUNT {
        svc.serve_get(
            &format!("burst_ref.m{n}"),
            &format!(r#"{{"model":{{"n":{n}}}}}"#),
        );
        c.expect_event(
            "burst_ref.l.add",
            &format!(
                r#"{{"idx":{n},"value":{{"rid":"burst_ref.m{n}"}},"models":{{"burst_ref.m{n}":{{"n":{n}}}}}}}"#
            ),
        );
    }
}

#[test]
fn a_reset_of_20_000_resources_loses_nothing_unlike_resgate() {
    if is_peer() {
        return;
    }
    const COUNT: usize = 20_000;
    let stack = Stack::start(&["--reqtimeout", "60000"]);
    let svc = stack.service("burst_reset");
    let mut c = stack.client();
    // The list fits one message of the broker.
    let refs: Vec<String> = (0..COUNT)
        .map(|i| format!(r#"{{"rid":"burst_reset.m{i}"}}"#))
        .collect();
    let list = format!(r#"{{"collection":[{}]}}"#, refs.join(","));
    let id = c.ask("subscribe.burst_reset.list");
    svc.serve("burst_reset.list", &list);
    for _ in 0..COUNT {
        svc.next().result(r#"{"model":{"n":1}}"#);
    }
    let answer = c.next();
    assert_eq!(member(&answer, "id"), id.to_string());
    assert_eq!(answer.matches(r#":{"n":1}"#).count(), COUNT);

    svc.reset(r#"{"resources":["burst_reset.>"]}"#);
    let mut asked = HashSet::new();
    for _ in 0..=COUNT {
        let get = svc.next();
        if get.subject() == "get.burst_reset.list" {
            get.result(&list);
        } else {
            get.result(r#"{"model":{"n":2}}"#);
        }
        assert!(asked.insert(get.subject().to_owned()), "asked twice");
    }
    let mut changed = HashSet::new();
    for _ in 0..COUNT {
        let event = c.next();
        assert_eq!(member(&event, "data"), r#"{"values":{"n":2}}"#);
        assert!(changed.insert(member(&event, "event")), "sent twice");
    }
    c.fence(&svc, "burst_reset.list");
}

#[test]
fn many_clients_come_and_go() {
    let (svc, mut c) = pair("burst_clients");
    c.subscribe(&svc, "burst_clients.a", r#"{"model":{"n":0}}"#);
    let mut clients: Vec<Client> = (0..200).map(|_| Stack::shared().client()).collect();
    for d in &mut clients {
        d.ask("subscribe.burst_clients.a");
    }
    for _ in &clients {
        svc.grant("burst_clients.a");
    }
    for d in &mut clients {
        d.expect_result(2, r#"{"models":{"burst_clients.a":{"n":0}}}"#);
    }
    // Every second one leaves while events come.
    let mut stay = Vec::new();
    for (i, d) in clients.into_iter().enumerate() {
        svc.event(
            "burst_clients.a.change",
            &format!(r#"{{"values":{{"n":{}}}}}"#, i + 1),
        );
        if i % 2 == 0 {
            d.drop_connection();
        } else {
            stay.push(d);
        }
    }
    for d in stay.iter_mut().chain([&mut c]) {
        for n in 1..=200 {
            d.expect_event(
                "burst_clients.a.change",
                &format!(r#"{{"values":{{"n":{n}}}}}"#),
            );
        }
    }
}

#[test]
fn one_client_may_send_thousands_of_requests_at_once() {
    let (svc, mut c) = pair("burst_req");
    c.subscribe(&svc, "burst_req.a", r#"{"model":{"n":0}}"#);
    let ids: Vec<u64> = (0..2000).map(|_| c.ask("call.burst_req.a.set")).collect();
    for n in 0..ids.len() {
        svc.expect("call.burst_req.a.set").result(&n.to_string());
    }
    for (n, id) in ids.into_iter().enumerate() {
        c.expect_result(id, &format!(r#"{{"payload":{n}}}"#));
    }
}

#[test]
fn a_client_that_never_reads_is_dropped_and_others_are_served_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&[]);
    let svc = stack.service("burst_slow");
    let mut slow = stack.client();
    slow.subscribe(&svc, "burst_slow.a", r#"{"model":{}}"#);
    let mut c = stack.client();
    let id = c.ask("subscribe.burst_slow.a");
    svc.grant("burst_slow.a");
    c.expect_result(id, r#"{"models":{"burst_slow.a":{}}}"#);
    // 100 MB in all: above the hard limit of one client's output.
    let data = format!("\"{}\"", "x".repeat(500_000));
    for _ in 0..200 {
        svc.event("burst_slow.a.custom", &data);
        c.expect_event("burst_slow.a.custom", &data);
    }
    c.fence(&svc, "burst_slow.a");
    slow.expect_cut_off();
}
