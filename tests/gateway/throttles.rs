//! Throttles: how many requests of a reset, or of a tree, are open at once.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// Takes `total` requests of which `places` may be open, in the order they come, and
/// answers them; `fence` shows that no more of them are on the way.
fn take_turns(
    svc: &Service,
    places: usize,
    total: usize,
    mut fence: impl FnMut(),
    answer: impl Fn(&Request),
) {
    let mut open = std::collections::VecDeque::new();
    for taken in 0..total {
        if open.len() == places {
            fence();
            let oldest: Request = open.pop_front().expect("as many as there are places");
            answer(&oldest);
        }
        open.push_back(svc.next());
        assert!(taken < total);
    }
    fence();
    open.iter().for_each(answer);
}

fn usual(request: &Request) {
    match request.subject().starts_with("access.") {
        true => request.grant(),
        false => request.result(MODEL),
    }
}

#[test]
fn a_reset_asks_for_so_many_resources_at_once() {
    for places in 1..=3 {
        let stack = Stack::start(&["--reqtimeout=60000", &format!("--resetthrottle={places}")]);
        let (svc, other) = (stack.service("test"), stack.service("other"));
        let mut c = stack.client();
        for name in ["test.a", "test.b", "test.c", "test.d", "test.e"] {
            c.subscribe(&svc, name, MODEL);
        }
        svc.reset(r#"{"resources":["test.>"],"access":["test.>"]}"#);
        take_turns(&svc, places, 10, || c.fence(&other, "other.x"), usual);
        c.fence(&svc, "test.a");
    }
}

/// resgate#213 and #217: one resource, many connections, one place.
#[test]
fn access_to_one_resource_is_asked_in_turn_for_many_clients() {
    for places in 1..=3 {
        let stack = Stack::start(&["--reqtimeout=60000", &format!("--resetthrottle={places}")]);
        let (svc, other) = (stack.service("test"), stack.service("other"));
        let mut clients: Vec<Client> = (0..6).map(|_| stack.client()).collect();
        for (i, client) in clients.iter_mut().enumerate() {
            if i == 0 {
                client.subscribe(&svc, "test.a", MODEL);
            } else {
                let id = client.ask("subscribe.test.a");
                svc.expect("access.test.a").grant();
                client.expect_result(id, r#"{"models":{"test.a":{"a":1}}}"#);
            }
        }
        svc.reset(r#"{"access":["test.a"]}"#);
        let mut c = stack.client();
        take_turns(&svc, places, 6, || c.fence(&other, "other.x"), usual);
        svc.event("test.a.change", r#"{"values":{"a":2}}"#);
        for client in &mut clients {
            client.expect_event("test.a.change", r#"{"values":{"a":2}}"#);
        }
    }
}

#[test]
fn a_tree_is_loaded_with_so_many_requests_at_once() {
    for places in 1..=3 {
        let stack = Stack::start(&[
            "--reqtimeout=60000",
            &format!("--referencethrottle={places}"),
        ]);
        let (svc, other) = (stack.service("test"), stack.service("other"));
        let (mut c, mut bystander) = (stack.client(), stack.client());
        let id = c.ask("subscribe.test.list");
        svc.serve(
            "test.list",
            r#"{"collection":[{"rid":"test.a"},{"rid":"test.b"},{"rid":"test.c"},{"rid":"test.d"}]}"#,
        );
        take_turns(
            &svc,
            places,
            4,
            || bystander.fence(&other, "other.x"),
            usual,
        );
        c.expect_result(
            id,
            r#"{"collections":{"test.list":[{"rid":"test.a"},{"rid":"test.b"},{"rid":"test.c"},{"rid":"test.d"}]},"models":{"test.a":{"a":1},"test.b":{"a":1},"test.c":{"a":1},"test.d":{"a":1}}}"#,
        );
    }
}

#[test]
fn throttles_of_clients_that_share_children_do_not_lock() {
    let stack = Stack::start(&["--reqtimeout=60000", "--referencethrottle=1"]);
    let svc = stack.service("test");
    let mut clients: Vec<Client> = (0..4).map(|_| stack.client()).collect();
    let mut ids = Vec::new();
    for (i, client) in clients.iter_mut().enumerate() {
        ids.push(client.ask(&format!("subscribe.test.list{i}")));
    }
    let children = ["a", "b", "c", "d"].map(|name| format!(r#"{{"rid":"test.{name}"}}"#));
    // Four access requests, four lists that begin with another child each, four children.
    for _ in 0..12 {
        let request = svc.next();
        match request.subject().strip_prefix("get.test.list") {
            Some(number) => {
                let mut order = children.clone();
                order.rotate_left(number.parse().expect("a number"));
                request.result(&format!(r#"{{"collection":[{}]}}"#, order.join(",")));
            }
            None => usual(&request),
        }
    }
    for (client, id) in clients.iter_mut().zip(ids) {
        let answer = client.next();
        assert_eq!(member(&answer, "id"), id.to_string());
        for name in ["a", "b", "c", "d"] {
            assert!(
                answer.contains(&format!(r#""test.{name}":{{"a":1}}"#)),
                "{answer}"
            );
        }
    }
}
