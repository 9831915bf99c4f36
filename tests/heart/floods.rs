//! Floods in small: many cheap inputs, or a few large ones. Each may cost what it says, and
//! what it must be told to others, and no more, however many there are.

use crate::attacks::{NOW, Stage, with_many};
use crate::driver::SYSTEM;
use tidegate::gateway::ClientKey;

/// Units that a small input and all that it leads to may cost.
const SMALL: u64 = 80;

fn model() -> Stage {
    Stage::new(|_| r#"{"model":{"a":1}}"#.to_owned())
}

fn close(stage: &mut Stage, client: u32) {
    stage.turn(|gateway, out| gateway.client_closed(NOW, ClientKey(client), out));
}

/// A token event for a client that has told services of its connection, the only one.
fn token(stage: &mut Stage, payload: &str) {
    let mut subjects = stage.sids.iter();
    let found = subjects.find(|(subject, _)| subject.starts_with("conn."));
    let (subject, sid) = found.expect("its events are listened to");
    let (subject, sid) = (subject.replace('*', "token"), *sid);
    stage.tell(sid, &subject, payload);
}

#[test]
fn subscribes_to_names_of_their_own_cost_a_name_each() {
    const CLIENTS: u32 = 64;
    const NAMES: u32 = 50;
    let mut stage = model();
    (0..CLIENTS).for_each(|client| stage.connect(client));
    let cost = stage.begin();
    for name in 0..NAMES {
        for client in 0..CLIENTS {
            stage.ask(client, &format!("subscribe.test.{client}.{name}"));
        }
        stage.serve();
    }
    let all = u64::from(CLIENTS * NAMES);
    assert_eq!(cost.messages(&stage), all);
    cost.is_within(&stage, 3 * all, SMALL * all);
}

#[test]
fn auth_requests_cost_what_one_costs() {
    const CLIENTS: u32 = 64;
    const REQUESTS: u32 = 50;
    let mut stage = model();
    (0..CLIENTS).for_each(|client| stage.connect(client));
    let cost = stage.begin();
    for _ in 0..REQUESTS {
        for client in 0..CLIENTS {
            stage.ask(client, "auth.test.login");
        }
        stage.serve();
    }
    let all = u64::from(CLIENTS * REQUESTS);
    assert_eq!(cost.messages(&stage), all);
    cost.is_within(&stage, 2 * all, SMALL * all);
}

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    const CLIENTS: u32 = 2_000;
    let mut stage = model();
    let cost = stage.begin();
    for client in 0..CLIENTS {
        // A few are there at the same time, and some leave before they are answered.
        let key = client % 8;
        if client >= 8 {
            close(&mut stage, key);
        }
        stage.connect(key);
        stage.ask(key, &format!("subscribe.test.{}", client % 100));
        if client % 3 > 0 {
            stage.serve();
        }
    }
    (0..8).for_each(|key| close(&mut stage, key));
    stage.serve();
    let all = u64::from(CLIENTS);
    cost.is_within(&stage, all, 2 * SMALL * all);
    let stats = stage.gateway.stats();
    assert_eq!(
        (stats.clients, stats.subscriptions, stats.pending),
        (0, 0, 0)
    );
}

#[test]
fn events_as_fast_as_can_cost_their_receivers() {
    const EVENTS: u64 = 5_000;
    const CLIENTS: u32 = 5;
    for names in [1, 50] {
        let mut stage = model();
        for client in 0..CLIENTS {
            stage.connect(client);
            for name in 0..names {
                stage.settle(client, &format!("subscribe.test.{name}"));
            }
        }
        let cost = stage.begin();
        for event in 0..EVENTS {
            let change = format!(r#"{{"values":{{"a":{event}}}}}"#);
            stage.event(&format!("test.{}", event % names), "change", &change);
        }
        let all = EVENTS * u64::from(CLIENTS);
        // The first one changes nothing where it is of another resource than the last.
        assert!(cost.messages(&stage) >= all - u64::from(CLIENTS));
        cost.is_within(&stage, all, 20 * EVENTS + 3 * all);
    }
}

#[test]
fn a_large_event_costs_its_text_once_however_many_get_it() {
    const SIZE: u64 = 1 << 20;
    const EVENTS: u64 = 3;
    const CLIENTS: u32 = 1_000;
    let mut stage = model();
    for client in 0..CLIENTS {
        stage.connect(client);
        stage.settle(client, "subscribe.test.model");
    }
    let payload = format!("\"{}\"", "x".repeat(SIZE as usize - 2));
    let cost = stage.begin();
    for _ in 0..EVENTS {
        stage.event("test.model", "custom", &payload);
    }
    assert_eq!(cost.messages(&stage), EVENTS * u64::from(CLIENTS));
    // It is read in one step. Sent to each by its length it would be fifty million.
    let each = SIZE / 4 + 10 * u64::from(CLIENTS);
    cost.is_within_turns(&stage, EVENTS * SIZE / 64, EVENTS * each, each);
}

#[test]
fn params_cost_their_length_however_they_are_nested() {
    const CALLS: u64 = 5;
    let deep = format!("{}{},", "[".repeat(100), "]".repeat(100));
    let nested = format!("[{}0]", deep.repeat(1_000));
    let flat = format!("[{}0]", "0,".repeat(nested.len() / 2));
    let mut costs = Vec::new();
    for params in [nested, flat] {
        let mut stage = model();
        stage.connect(0);
        let call = format!(r#"{{"id":1,"method":"call.test.model.set","params":{params}}}"#);
        let cost = stage.begin();
        for _ in 0..CALLS {
            stage.turn(|gateway, out| {
                gateway.client_message(NOW, ClientKey(0), call.as_bytes(), out);
            });
            stage.serve();
        }
        let length = call.len() as u64;
        // It is read, and written to the service.
        cost.is_within_turns(&stage, CALLS * length / 7, CALLS * length, length);
        assert_eq!(cost.messages(&stage), CALLS);
        costs.push(cost.units(&stage) / CALLS / (length / 1_000));
    }
    assert!(costs[0].abs_diff(costs[1]) <= 1, "{costs:?} for a kilobyte");
}

#[test]
fn a_token_event_costs_what_its_client_holds() {
    const HELD: u64 = 10_000;
    const EVENTS: u64 = 10;
    let mut stage = with_many(HELD as usize);
    let cost = stage.begin();
    for event in 0..EVENTS {
        token(&mut stage, &format!(r#"{{"token":{event}}}"#));
        stage.serve();
    }
    cost.is_within(&stage, EVENTS * HELD, EVENTS * HELD * 60);
}

#[test]
fn token_resets_cost_their_ids_and_the_clients() {
    const CLIENTS: u32 = 500;
    const RESETS: u64 = 20;
    const IDS: u64 = 5_000;
    let mut stage = model();
    for client in 0..CLIENTS {
        stage.connect(client);
        stage.sids.clear();
        stage.settle(client, "auth.test.login");
        token(&mut stage, &format!(r#"{{"token":1,"tid":"{client}"}}"#));
    }
    let ids: Vec<_> = (0..IDS).map(|id| format!("\"{id}\"")).collect();
    let reset = format!(r#"{{"subject":"auth.renew","tids":[{}]}}"#, ids.join(","));
    let cost = stage.begin();
    let mut renewed = 0;
    for _ in 0..RESETS {
        stage.tell(SYSTEM, "system.tokenReset", &reset);
        renewed += stage.asked();
        stage.serve();
    }
    assert_eq!(renewed as u64, RESETS * u64::from(CLIENTS));
    // And not each ID for each client.
    let each = reset.len() as u64 / 4 + IDS + SMALL * u64::from(CLIENTS);
    cost.is_within(&stage, RESETS * IDS, RESETS * each);
}

#[test]
fn a_token_reset_of_many_ids_or_clients_is_work_of_many_turns() {
    const CLIENTS: u32 = 1_000;
    const IDS: u64 = 40_000;
    let mut stage = model();
    for client in 0..CLIENTS {
        stage.connect(client);
        stage.sids.clear();
        stage.settle(client, "auth.test.login");
        token(&mut stage, r#"{"token":1,"tid":"all"}"#);
    }
    let ids: Vec<_> = (0..IDS).map(|id| format!("\"{id}\"")).collect();
    let reset = format!(
        r#"{{"subject":"auth.renew","tids":["all",{},"all"]}}"#,
        ids.join(",")
    );
    let (cost, turns) = (stage.begin(), stage.turns);
    stage.tell(SYSTEM, "system.tokenReset", &reset);
    assert_eq!(stage.asked() as u32, CLIENTS);
    stage.serve();
    let all = 2 * (IDS + u64::from(CLIENTS));
    let read = reset.len() as u64 / 4;
    cost.is_within_turns(
        &stage,
        all,
        4 * all + read + SMALL * u64::from(CLIENTS),
        read + 4_000,
    );
    assert!(stage.turns - turns > all / 4_000, "{}", stage.turns - turns);
    stage.gateway.audit().expect("the books agree");
}

#[test]
fn access_resets_without_end_ask_one_question_at_a_time() {
    const HELD: u64 = 500;
    const RESETS: u64 = 50;
    let mut stage = with_many(HELD as usize);
    let cost = stage.begin();
    for _ in 0..RESETS {
        stage.tell(SYSTEM, "system.reset", r#"{"access":[">"]}"#);
        assert!(
            stage.asked() as u64 <= HELD,
            "one is asked before it is answered"
        );
    }
    stage.serve();
    cost.is_within(&stage, RESETS * HELD, RESETS * HELD * 20);
}

#[test]
fn deletions_of_all_that_a_client_holds_cost_one_each() {
    const HELD: u64 = 5_000;
    let mut stage = with_many(HELD as usize);
    let cost = stage.begin();
    for item in 0..HELD {
        stage.event(&format!("test.item.{item}"), "delete", "");
    }
    // The event, and that the subscription has ended.
    assert_eq!(cost.messages(&stage), 2 * HELD);
    cost.is_within(&stage, 2 * HELD, SMALL * HELD);
}

#[test]
fn long_queries_cost_their_length() {
    const LENGTH: u64 = 100_000;
    const QUERIES: u64 = 20;
    let mut stage = Stage::new(|_| r#"{"model":{"a":1}}"#.to_owned());
    stage.connect(0);
    let query = "q".repeat(LENGTH as usize);
    let cost = stage.begin();
    for at in 0..QUERIES {
        stage.settle(0, &format!("subscribe.test.list?{at}{query}"));
    }
    assert_eq!(cost.messages(&stage), QUERIES);
    for at in 0..QUERIES {
        stage.ask(0, &format!("unsubscribe.test.list?{at}{query}"));
    }
    let most = QUERIES * (LENGTH + SMALL);
    cost.is_within_turns(&stage, QUERIES * LENGTH / 64, most, LENGTH);
    let stats = stage.gateway.stats();
    assert_eq!((stats.subscriptions, stats.resources), (0, 1));
    // To let go of all costs their length too.
    for at in 0..QUERIES {
        stage.settle(0, &format!("subscribe.test.list?{at}{query}"));
    }
    let cost = stage.begin();
    close(&mut stage, 0);
    let most = 2 * QUERIES * LENGTH / 64;
    cost.is_within_turns(&stage, QUERIES * LENGTH / 64, most, 5 * LENGTH / 64);
}
