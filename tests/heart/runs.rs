//! Events in a row, which are handed out to their receivers once and then followed: a run
//! must end whenever it might change who gets what, or in which order.

use crate::harness::{Heart, changed, deleted};

const MODEL: &str = r#"{"model":{"n":0}}"#;

/// Three clients that hold `test.r`, none of them with a message.
fn crowd() -> Heart {
    let mut h = Heart::new();
    h.subscribed(1, "test.r", MODEL);
    for number in [2, 3] {
        h.subscribed_again(number, "test.r");
    }
    h
}

/// Sends the next change and returns what each client is to get.
fn change(h: &mut Heart, n: u32) -> String {
    let values = format!(r#"{{"n":{n}}}"#);
    h.change("test.r", &values);
    changed("test.r", &values)
}

/// Checks that some clients got just these messages.
fn expect(h: &mut Heart, clients: &[u32], messages: &[String]) {
    for client in clients {
        assert_eq!(h.client(*client).messages(), messages, "client {client}");
    }
}

#[test]
fn events_in_a_row_are_one_run() {
    let mut h = crowd();
    let mut sent: Vec<_> = (1..=5).map(|n| change(&mut h, n)).collect();
    h.event("event.test.r.custom", r#"{"x":1}"#);
    sent.push(r#"{"event":"test.r.custom","data":{"x":1}}"#.to_owned());
    assert_eq!(h.leads(), 1);
    expect(&mut h, &[1, 2, 3], &sent);
}

#[test]
fn an_event_that_changes_nothing_is_not_sent_and_ends_the_run() {
    let mut h = crowd();
    let first = change(&mut h, 1);
    change(&mut h, 1);
    let second = change(&mut h, 2);
    assert_eq!(h.leads(), 2);
    expect(&mut h, &[1, 2, 3], &[first, second]);
}

#[test]
fn who_leaves_or_comes_in_between_gets_what_is_theirs() {
    let mut h = crowd();
    let first = change(&mut h, 1);
    expect(&mut h, &[2], std::slice::from_ref(&first));
    h.unsubscribed(2, "test.r");
    let second = change(&mut h, 2);
    assert!(h.subscribed_again(4, "test.r").contains(r#"{"n":2}"#));
    let third = change(&mut h, 3);
    h.close(3);
    let fourth = change(&mut h, 4);
    assert_eq!(h.leads(), 4);
    expect(&mut h, &[2], &[]);
    expect(&mut h, &[4], &[third.clone(), fourth.clone()]);
    expect(&mut h, &[1], &[first, second, third, fourth]);
}

#[test]
fn events_of_another_resource_keep_their_place() {
    let mut h = crowd();
    h.subscribed(1, "test.other", MODEL);
    h.subscribed_again(2, "test.other");
    let first = change(&mut h, 1);
    h.change("test.other", r#"{"n":9}"#);
    let other = changed("test.other", r#"{"n":9}"#);
    let second = change(&mut h, 2);
    expect(&mut h, &[1, 2], &[first.clone(), other, second.clone()]);
    expect(&mut h, &[3], &[first, second]);
}

#[test]
fn an_answer_in_between_keeps_its_place() {
    let mut h = crowd();
    let first = change(&mut h, 1);
    let answer = r#"{"result":{"protocol":"1.2.3"},"id":7}"#.to_owned();
    let version = r#"{"id":7,"method":"version","params":{"protocol":"1.2.3"}}"#;
    h.client(2).send(version);
    let second = change(&mut h, 2);
    expect(&mut h, &[2], &[first.clone(), answer, second.clone()]);
    expect(&mut h, &[1, 3], &[first, second]);
}

#[test]
fn a_client_whose_access_is_asked_again_gets_its_events_later() {
    let mut h = crowd();
    let first = change(&mut h, 1);
    h.event("event.test.r.reaccess", "null");
    let (second, third) = (change(&mut h, 2), change(&mut h, 3));
    expect(&mut h, &[1, 2, 3], &[first]);
    h.grant("test.r");
    h.grant("test.r");
    h.deny("test.r");
    expect(&mut h, &[1, 2], &[second, third]);
    h.discard();
    let fourth = change(&mut h, 4);
    expect(&mut h, &[1, 2], &[fourth]);
}

#[test]
fn two_generations_of_clients_get_their_own_texts() {
    let mut h = Heart::new();
    h.connect(1, Some("1.2.0"));
    h.subscribed(
        1,
        "test.r",
        r#"{"model":{"n":{"rid":"test.s","soft":true}}}"#,
    );
    h.subscribed_again(2, "test.r");
    for rid in ["test.a", "test.b"] {
        let values = format!(r#"{{"n":{{"rid":"{rid}","soft":true}}}}"#);
        h.change("test.r", &values);
        expect(
            &mut h,
            &[1],
            &[changed("test.r", &format!(r#"{{"n":"{rid}"}}"#))],
        );
        expect(&mut h, &[2], &[changed("test.r", &values)]);
    }
    assert_eq!(h.leads(), 0);
}

#[test]
fn a_deletion_ends_the_run() {
    let mut h = crowd();
    let first = change(&mut h, 1);
    h.event("event.test.r.delete", "null");
    let delete = r#"{"event":"test.r.delete","data":null}"#.to_owned();
    expect(&mut h, &[1, 2, 3], &[first, delete, deleted("test.r")]);
}

#[test]
fn who_was_loaded_behind_an_event_gets_the_next_one_too() {
    let mut h = crowd();
    h.subscribed(4, "test.r?q", r#"{"model":{},"query":"q"}"#);
    h.event("event.test.r.query", r#"{"subject":"_S"}"#);
    let query = h.expect_request("_S");
    // Both wait for the answer, and then follow from it.
    let first = change(&mut h, 1);
    h.client(5).subscribe(1, "test.r");
    expect(&mut h, &[1, 2, 3], &[]);
    h.respond(&query, r#"{"result":{"events":[]}}"#);
    let second = change(&mut h, 2);
    h.grant("test.r");
    expect(&mut h, &[1, 2, 3], &[first, second.clone()]);
    let answer = r#"{"result":{"models":{"test.r":{"n":1}}},"id":1}"#.to_owned();
    expect(&mut h, &[5], &[answer, second]);
}
