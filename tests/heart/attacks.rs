//! Attacks in small: what a peer may send, in turns with a budget. Neither a turn nor all of
//! them together may do more work than what was sent is worth, whatever it is sent about.
//!
//! `benches/attack` does the same to a whole gateway, with a client beside that measures.

use crate::driver::{INBOX, Operation, SYSTEM, operations, web_get};
use std::collections::{HashMap, VecDeque};
use tidegate::gateway::{
    BrokerLimits, BrokerMessage, ClientKey, Delivery, Gateway, Options, Outbox, Time,
};

/// Work units of one turn.
const UNITS: u32 = 2_000;

/// What the last step of a turn may do beyond its budget: wide, for a step's own size.
const BEYOND: u64 = 20_000;

/// The same where no step of its own is large.
const SMALL: u64 = 500;

pub const NOW: Time = Time(0);

/// What get requests are answered with, by the resource's name.
type Get = Box<dyn Fn(&str) -> String>;

/// A gateway in turns, the services that answer it, and the largest turn so far.
pub struct Stage {
    pub gateway: Gateway,
    out: Outbox,
    get: Get,
    asked: VecDeque<(String, String)>,
    /// Subjects of names, by which their subscription IDs are found.
    pub sids: HashMap<String, u64>,
    largest: u64,
    pub turns: u64,
    /// Messages to clients, and statuses of web answers.
    messages: u64,
    pub statuses: Vec<u16>,
}

impl Stage {
    pub fn new(get: impl Fn(&str) -> String + 'static) -> Self {
        Self::with(Options::default(), get)
    }

    fn with(options: Options, get: impl Fn(&str) -> String + 'static) -> Self {
        let mut stage = Self {
            gateway: Gateway::new(options),
            out: Outbox::default(),
            get: Box::new(get),
            asked: VecDeque::new(),
            sids: HashMap::new(),
            largest: 0,
            turns: 0,
            messages: 0,
            statuses: Vec::new(),
        };
        let limits = BrokerLimits {
            max_payload: 1 << 20,
            max_line: 4_096,
        };
        stage.turn(|gateway, out| gateway.broker_connected(NOW, limits, out));
        stage
    }

    /// An input in a turn of its own, and the turns that go on with what it left.
    pub fn turn(&mut self, input: impl FnOnce(&mut Gateway, &mut Outbox)) {
        let mut input = Some(input);
        while input.is_some() || self.gateway.has_work() {
            let before = self.gateway.work_done();
            self.gateway.begin_turn(UNITS);
            match input.take() {
                Some(input) => input(&mut self.gateway, &mut self.out),
                None => self.gateway.go_on(NOW, &mut self.out),
            }
            self.turns += 1;
            self.largest = self.largest.max(self.gateway.work_done() - before);
            self.take();
        }
    }

    fn take(&mut self) {
        for operation in operations(&self.out) {
            match operation {
                Operation::Publish { subject, reply, .. } => {
                    let asked = (subject.to_owned(), reply.to_owned());
                    self.asked.push_back(asked);
                }
                Operation::Subscribe { sid, subject } => {
                    self.sids.insert(subject.to_owned(), sid);
                }
                Operation::Unsubscribe { .. } => {}
            }
        }
        for (_, delivery) in self.out.drain_clients() {
            match delivery {
                Delivery::Message(_) | Delivery::Answer(_) => self.messages += 1,
                Delivery::Web(answer) => self.statuses.push(answer.status),
                _ => {}
            }
        }
        self.out.clear();
    }

    /// Answers until nothing is asked any more.
    pub fn serve(&mut self) {
        while let Some((subject, reply)) = self.asked.pop_front() {
            let (kind, name) = subject.split_once('.').expect("subjects have parts");
            let payload = match kind {
                "get" => format!(r#"{{"result":{}}}"#, (self.get)(name)),
                "access" => r#"{"result":{"get":true,"call":"*"}}"#.to_owned(),
                _ => r#"{"result":{"events":[]}}"#.to_owned(),
            };
            self.tell(INBOX, &reply, &payload);
        }
    }

    /// Requests that are not answered yet.
    pub fn asked(&self) -> usize {
        self.asked.len()
    }

    pub fn tell(&mut self, sid: u64, subject: &str, payload: &str) {
        self.turn(|gateway, out| {
            let message = BrokerMessage {
                sid,
                subject: subject.as_bytes(),
                payload: payload.as_bytes(),
                status: None,
                reply: None,
            };
            gateway.broker_message(NOW, message, out);
        });
    }

    pub fn event(&mut self, name: &str, event: &str, payload: &str) {
        let sid = self.sids[&format!("event.{name}.*")];
        self.tell(sid, &format!("event.{name}.{event}"), payload);
    }

    pub fn connect(&mut self, client: u32) {
        let remote = ([127, 0, 0, 1], 4_000).into();
        let key = ClientKey(client);
        self.turn(|gateway, out| gateway.client_connected(NOW, key, Box::default(), remote, out));
    }

    pub fn ask(&mut self, client: u32, method: &str) {
        let request = format!(r#"{{"id":1,"method":"{method}"}}"#);
        self.turn(|gateway, out| {
            gateway.client_message(NOW, ClientKey(client), request.as_bytes(), out);
        });
    }

    /// A client asks, and services answer.
    pub fn settle(&mut self, client: u32, method: &str) {
        self.ask(client, method);
        self.serve();
    }

    pub fn web_get(&mut self, client: u32, path: &str) {
        let request = web_get(path);
        self.turn(|gateway, out| gateway.web_request(NOW, ClientKey(client), request, out));
        self.serve();
    }

    /// What an attack costs: from here to [`Cost::is_within`].
    pub fn begin(&mut self) -> Cost {
        self.largest = 0;
        Cost {
            before: self.gateway.work_done(),
            messages: self.messages,
        }
    }
}

pub struct Cost {
    before: u64,
    messages: u64,
}

impl Cost {
    /// The attack has cost about so many units in all, and no turn too many; and it was
    /// counted at all, at one unit for each of `least` things that must have been done.
    #[track_caller]
    pub fn is_within(&self, stage: &Stage, least: u64, most: u64) {
        self.is_within_turns(stage, least, most, u64::from(UNITS) + BEYOND);
    }

    /// The same where one step is known to be larger than a turn's budget.
    #[track_caller]
    pub fn is_within_turns(&self, stage: &Stage, least: u64, most: u64, turn: u64) {
        let units = self.units(stage);
        let largest = stage.largest;
        assert!(
            units >= least,
            "{units} units are charged for {least} things"
        );
        assert!(units <= most, "it cost {units} units, not {most}");
        assert!(largest <= turn, "a turn did {largest} units");
    }

    /// Units in all, so far.
    pub fn units(&self, stage: &Stage) -> u64 {
        stage.gateway.work_done() - self.before
    }

    pub fn messages(&self, stage: &Stage) -> u64 {
        stage.messages - self.messages
    }
}

fn number(name: &str) -> usize {
    let last = name.rsplit('.').next();
    last.and_then(|last| last.parse().ok()).unwrap_or(0)
}

fn reference(name: impl std::fmt::Display) -> String {
    format!(r#"{{"rid":"{name}"}}"#)
}

fn collection(values: impl Iterator<Item = String>) -> String {
    format!(
        r#"{{"collection":[{}]}}"#,
        values.collect::<Vec<_>>().join(",")
    )
}

const RING: usize = 2_000;

/// A client holds a ring of models that refer to the next and to the one before.
fn ring() -> Stage {
    let mut stage = Stage::new(|name| {
        let place = number(name);
        let next = reference(format!("test.ring.{}", (place + 1) % RING));
        let before = reference(format!("test.ring.{}", (place + RING - 1) % RING));
        format!(r#"{{"model":{{"next":{next},"prev":{before}}}}}"#)
    });
    stage.connect(0);
    stage.settle(0, "subscribe.test.ring.0");
    stage
}

#[test]
fn a_member_of_a_ring_is_subscribed_and_unsubscribed_at_the_cost_of_a_member() {
    let mut stage = ring();
    let cost = stage.begin();
    for _ in 0..100 {
        stage.settle(0, &format!("subscribe.test.ring.{}", RING / 2));
        stage.ask(0, &format!("unsubscribe.test.ring.{}", RING / 2));
    }
    assert_eq!(cost.messages(&stage), 200);
    // The whole ring each time would be 200,000 at least.
    cost.is_within(&stage, 200, 40_000);
}

#[test]
fn a_ring_is_cut_and_rewired_at_the_cost_of_what_changes() {
    let mut stage = ring();
    let cost = stage.begin();
    for event in 0..200 {
        let place = event * (RING / 200);
        let next = reference(format!("test.ring.{}", (place + RING / 2) % RING));
        let next = if event % 2 == 0 {
            "null".to_owned()
        } else {
            next
        };
        let change = format!(r#"{{"values":{{"next":{next}}}}}"#);
        stage.event(&format!("test.ring.{place}"), "change", &change);
    }
    assert_eq!(cost.messages(&stage), 200);
    cost.is_within(&stage, 200, 100_000);
}

#[test]
fn a_hub_with_many_holders_of_which_one_is_held_is_let_go_in_small_turns() {
    const LEAVES: usize = 2_000;
    let mut stage = Stage::new(|name| match name {
        "test.hub" => collection((0..LEAVES).map(|leaf| reference(format!("test.leaf.{leaf}")))),
        _ => format!(r#"{{"model":{{"hub":{}}}}}"#, reference("test.hub")),
    });
    stage.connect(0);
    stage.settle(0, &format!("subscribe.test.leaf.{}", LEAVES - 1));
    let cost = stage.begin();
    for _ in 0..50 {
        stage.settle(0, "subscribe.test.hub");
        stage.ask(0, "unsubscribe.test.hub");
    }
    assert_eq!(cost.messages(&stage), 100);
    cost.is_within(&stage, 100, 50_000);
}

#[test]
fn a_deep_chain_is_loaded_and_left_in_small_turns() {
    const LENGTH: usize = 2_000;
    let mut stage = Stage::new(|name| match number(name) + 1 {
        LENGTH => r#"{"model":{"next":null}}"#.to_owned(),
        next => {
            let next = reference(format!("test.chain.{next}"));
            format!(r#"{{"model":{{"next":{next}}}}}"#)
        }
    });
    stage.connect(0);
    stage.settle(0, "subscribe.test.chain.0");
    let cost = stage.begin();
    for _ in 0..10 {
        stage.ask(0, "unsubscribe.test.chain.0");
        stage.settle(0, "subscribe.test.chain.0");
    }
    cost.is_within(&stage, 20 * LENGTH as u64, 40 * 10 * LENGTH as u64);
}

#[test]
fn a_get_that_doubles_at_each_level_is_refused_at_the_cost_of_its_levels() {
    for flat in [false, true] {
        let options = Options {
            flat,
            ..Options::default()
        };
        let mut stage = Stage::with(options, |name| match number(name) {
            30 => r#"{"collection":[1]}"#.to_owned(),
            level => {
                let next = || reference(format!("test.dag.{}", level + 1));
                collection([next(), next()].into_iter())
            }
        });
        stage.web_get(1, "test/dag/0");
        let cost = stage.begin();
        for client in 2..12 {
            stage.web_get(client, "test/dag/0");
        }
        assert_eq!(stage.statuses.len(), 11);
        assert!(stage.statuses.iter().all(|status| *status >= 500));
        cost.is_within(&stage, 10, 100_000);
    }
}

#[test]
fn a_get_of_friends_of_friends_is_bounded() {
    const USERS: usize = 15;
    let mut stage = Stage::new(|name| match name.starts_with("test.friends.") {
        true => {
            let own = number(name);
            let others = (0..USERS).filter(move |other| *other != own);
            collection(others.map(|other| reference(format!("test.user.{other}"))))
        }
        false => {
            let friends = reference(format!("test.friends.{}", number(name)));
            format!(r#"{{"model":{{"friends":{friends}}}}}"#)
        }
    });
    stage.web_get(1, "test/user/0");
    let cost = stage.begin();
    stage.web_get(2, "test/user/0");
    assert_eq!(stage.statuses.len(), 2);
    cost.is_within(&stage, 1, 2_000_000);
}

#[test]
fn gets_of_a_large_collection_are_work_of_several_turns() {
    const ITEMS: usize = 3_000;
    let mut stage = Stage::new(|name| match name {
        "test.all" => collection((0..ITEMS).map(|item| reference(format!("test.item.{item}")))),
        _ => r#"{"model":{"name":"an item"}}"#.to_owned(),
    });
    stage.web_get(1, "test/all");
    let cost = stage.begin();
    for client in 2..7 {
        stage.web_get(client, "test/all");
    }
    assert_eq!(stage.statuses, [200; 6]);
    // All get the body that the first one has led to.
    cost.is_within(&stage, 5 * 30, ITEMS as u64);
}

#[test]
fn adds_at_the_beginning_of_a_long_collection_do_not_move_all_of_it() {
    const LENGTH: usize = 20_000;
    let mut stage = Stage::new(|_| collection((0..LENGTH).map(|value| value.to_string())));
    stage.connect(0);
    stage.settle(0, "subscribe.test.list");
    let cost = stage.begin();
    for _ in 0..500 {
        stage.event("test.list", "add", r#"{"idx":0,"value":1}"#);
    }
    assert_eq!(cost.messages(&stage), 500);
    // All of it each time would be ten million entries.
    cost.is_within(&stage, 500, 500 * 1_000);
}

#[test]
fn a_collection_in_another_order_is_compared_in_bounded_work() {
    const LENGTH: usize = 5_000;
    let round = std::cell::Cell::new(0);
    let mut stage = Stage::new(move |_| {
        round.set(round.get() + 1);
        let step = 7_919 * (2 * round.get() - 1);
        collection((0..LENGTH).map(|at| (at * step % LENGTH).to_string()))
    });
    stage.connect(0);
    stage.settle(0, "subscribe.test.list");
    let cost = stage.begin();
    stage.tell(SYSTEM, "system.reset", r#"{"resources":["test.list"]}"#);
    stage.serve();
    // To read one answer, and to compare it, is one step by its size.
    let turn = 10 * LENGTH as u64;
    cost.is_within_turns(&stage, LENGTH as u64, 100 * LENGTH as u64, turn);
}

#[test]
fn patterns_that_mix_every_part_with_its_wildcard_are_tried_over_many_turns() {
    const PARTS: usize = 10;
    let mut stage = Stage::new(|_| r#"{"model":{"a":1}}"#.to_owned());
    stage.connect(0);
    let path = ["a"; PARTS].join(".");
    for name in 0..300 {
        stage.settle(0, &format!("subscribe.test.{path}.{name}"));
    }
    let patterns = (0..1_usize << PARTS).map(|mixture| {
        let part = |place| if mixture >> place & 1 == 0 { "a" } else { "*" };
        let parts: Vec<&str> = (0..PARTS).map(part).collect();
        format!("\"test.{}.none\"", parts.join("."))
    });
    let reset = format!(
        r#"{{"resources":[{}]}}"#,
        patterns.collect::<Vec<_>>().join(",")
    );
    let cost = stage.begin();
    stage.tell(SYSTEM, "system.reset", &reset);
    assert_eq!(stage.asked.len(), 0);
    // Each node of the patterns' tree for each name, and not each part of each pattern, which
    // would be 3,686,400; over many turns.
    cost.is_within(&stage, 1 << PARTS, 800_000);
}

/// A client with many subscriptions.
pub fn with_many(count: usize) -> Stage {
    let mut stage = Stage::new(|_| r#"{"model":{"a":1}}"#.to_owned());
    stage.connect(0);
    for name in 0..count {
        stage.settle(0, &format!("subscribe.test.item.{name}"));
    }
    stage
}

#[test]
fn a_client_with_many_subscriptions_is_gone_in_small_turns() {
    let mut stage = with_many(30_000);
    let cost = stage.begin();
    stage.turn(|gateway, out| gateway.client_closed(NOW, ClientKey(0), out));
    assert_eq!(stage.gateway.stats().subscriptions, 0);
    cost.is_within(&stage, 30_000, 40 * 30_000);
}

#[test]
fn resets_of_everything_in_a_row_are_work_of_many_turns() {
    let mut stage = with_many(5_000);
    let cost = stage.begin();
    for _ in 0..20 {
        stage.tell(
            SYSTEM,
            "system.reset",
            r#"{"resources":[">"],"access":[">"]}"#,
        );
    }
    stage.serve();
    cost.is_within(&stage, 5_000, 20 * 20 * 5_000);
}

#[test]
fn query_events_of_many_queries_ask_in_small_turns() {
    const QUERIES: u64 = 3_000;
    let mut stage = Stage::new(|_| r#"{"model":{"a":1}}"#.to_owned());
    // As it came, the query is its own normal form.
    stage.get = Box::new(|_| r#"{"model":{"a":1},"query":"x"}"#.to_owned());
    stage.connect(0);
    for query in 0..QUERIES {
        stage.get = Box::new(move |_| format!(r#"{{"model":{{"a":1}},"query":"q={query}"}}"#));
        stage.settle(0, &format!("subscribe.test.list?q={query}"));
    }
    let cost = stage.begin();
    for event in 0..5 {
        let event = format!(r#"{{"subject":"query.{event}"}}"#);
        stage.event("test.list", "query", &event);
        stage.serve();
    }
    cost.is_within(&stage, 5 * QUERIES, 5 * 40 * QUERIES);
}

#[test]
fn changes_of_many_members_cost_what_they_say() {
    const MEMBERS: u64 = 5_000;
    let mut stage = Stage::new(|_| r#"{"model":{"a":1}}"#.to_owned());
    stage.connect(0);
    stage.settle(0, "subscribe.test.wide");
    let cost = stage.begin();
    let mut bytes = 0;
    for event in 0..10 {
        let values = (0..MEMBERS).map(|member| format!(r#""m{member}":{event}"#));
        let values = values.collect::<Vec<_>>().join(",");
        let change = format!(r#"{{"values":{{{values}}}}}"#);
        bytes += change.len() as u64;
        stage.event("test.wide", "change", &change);
    }
    assert_eq!(cost.messages(&stage), 10);
    cost.is_within(&stage, bytes / 64, 40 * 10 * MEMBERS);
}

#[test]
fn a_reference_for_many_clients_is_sent_in_small_turns() {
    const CLIENTS: u32 = 2_000;
    let mut stage = Stage::new(|name| match name {
        "test.list" => r#"{"collection":[]}"#.to_owned(),
        _ => r#"{"model":{"a":1}}"#.to_owned(),
    });
    for client in 0..CLIENTS {
        stage.connect(client);
        stage.settle(client, "subscribe.test.list");
    }
    let cost = stage.begin();
    for item in 0..5 {
        let value = reference(format!("test.item.{item}"));
        let add = format!(r#"{{"idx":0,"value":{value}}}"#);
        stage.event("test.list", "add", &add);
        stage.serve();
    }
    let all = 5 * u64::from(CLIENTS);
    assert_eq!(cost.messages(&stage), all);
    // In debug builds all but the first wait for a turn.
    cost.is_within(&stage, all, 240 * all);
}

#[test]
fn events_that_have_waited_for_a_reference_are_sent_in_small_turns() {
    const EVENTS: u64 = 300;
    let mut stage = Stage::new(|name| match name {
        "test.list" | "test.slow" => r#"{"collection":[]}"#.to_owned(),
        _ => r#"{"model":{"a":1}}"#.to_owned(),
    });
    stage.connect(0);
    for item in 0..EVENTS {
        stage.settle(0, &format!("subscribe.test.item.{item}"));
    }
    stage.connect(1);
    stage.settle(1, "subscribe.test.list");
    let add = |stage: &mut Stage, name: &str| {
        let value = reference(name);
        stage.event(
            "test.list",
            "add",
            &format!(r#"{{"idx":0,"value":{value}}}"#),
        );
    };
    add(&mut stage, "test.slow");
    for item in 0..EVENTS {
        add(&mut stage, &format!("test.item.{item}"));
    }
    let (cost, turns) = (stage.begin(), stage.turns);
    // All that waits for it follows.
    stage.serve();
    assert_eq!(cost.messages(&stage), 1 + EVENTS);
    let most = u64::from(UNITS) + BEYOND / 10;
    cost.is_within_turns(&stage, 40 * EVENTS, 400 * EVENTS, most);
    assert!(stage.turns - turns > 40 * EVENTS / u64::from(UNITS) / 2);
}

#[test]
fn a_large_collection_is_taken_over_by_each_client_in_small_turns() {
    const LEAVES: u64 = 5_000;
    let mut stage = Stage::new(|name| match name {
        "test.all" => collection((0..LEAVES).map(|leaf| reference(format!("test.leaf.{leaf}")))),
        _ => r#"{"model":{"a":1}}"#.to_owned(),
    });
    stage.connect(0);
    stage.settle(0, "subscribe.test.all");
    for client in 1..5 {
        stage.connect(client);
        let (cost, turns) = (stage.begin(), stage.turns);
        stage.settle(client, "subscribe.test.all");
        assert_eq!(cost.messages(&stage), 1);
        // That the client holds what one member references is noted in one go.
        let most = u64::from(UNITS) + SMALL + LEAVES;
        cost.is_within_turns(&stage, LEAVES, 20 * LEAVES, most);
        // All in one step it would be two or three.
        assert!(stage.turns - turns > LEAVES / u64::from(UNITS) + 3);
        stage.gateway.audit().expect("the books agree");
    }
    // Events come while it is taken over, and it is let go before that is done.
    for client in 5..10 {
        stage.connect(client);
        let request = br#"{"id":1,"method":"subscribe.test.all"}"#;
        let (gateway, out) = (&mut stage.gateway, &mut stage.out);
        gateway.begin_turn(UNITS);
        gateway.client_message(NOW, ClientKey(client), request, out);
        stage.take();
        if client % 2 == 0 {
            let (subject, reply) = stage.asked.pop_front().expect("access is asked");
            assert_eq!(subject, "access.test.all");
            let answer = r#"{"result":{"get":false}}"#;
            let (gateway, out) = (&mut stage.gateway, &mut stage.out);
            gateway.begin_turn(UNITS);
            let message = BrokerMessage {
                sid: INBOX,
                subject: reply.as_bytes(),
                payload: answer.as_bytes(),
                status: None,
                reply: None,
            };
            gateway.broker_message(NOW, message, out);
            stage.take();
        }
        stage.gateway.audit().expect("the books agree");
        let event = format!(
            r#"{{"idx":0,"value":{}}}"#,
            reference(format!("test.new.{client}"))
        );
        stage.event("test.all", "add", &event);
        stage.serve();
        stage.gateway.audit().expect("the books agree");
    }
    let subscribed = stage.gateway.stats().subscriptions as u64;
    assert_eq!(subscribed, 8 * (LEAVES + 6));
}

#[test]
fn token_resets_cost_what_they_name_and_not_the_clients() {
    const CLIENTS: u32 = 2_000;
    let mut stage = Stage::new(|_| r#"{"model":{"a":1}}"#.to_owned());
    for client in 0..CLIENTS {
        stage.connect(client);
        stage.settle(client, "subscribe.test.item");
    }
    let cost = stage.begin();
    for _ in 0..100 {
        let reset = r#"{"tids":["none"],"subject":"auth.test.renew"}"#;
        stage.tell(SYSTEM, "system.tokenReset", reset);
    }
    cost.is_within(&stage, 100, 100 * 50);
}

#[test]
fn requests_that_wait_for_much_go_on_in_small_turns() {
    const LEAVES: u64 = 1_000;
    const REQUESTS: u64 = 100;
    let mut stage = Stage::new(|name| match name {
        "test.all" => collection((0..LEAVES).map(|leaf| reference(format!("test.leaf.{leaf}")))),
        _ => r#"{"model":{"a":1}}"#.to_owned(),
    });
    stage.connect(0);
    for _ in 0..REQUESTS {
        stage.ask(0, "get.test.all");
    }
    let cost = stage.begin();
    stage.serve();
    assert_eq!(cost.messages(&stage), REQUESTS);
    // The answer to the get request is the largest input: it is read in one go.
    let read = 4 * LEAVES + 40 * LEAVES / 8;
    let most = 30 * REQUESTS * LEAVES;
    cost.is_within_turns(
        &stage,
        REQUESTS * LEAVES,
        most,
        u64::from(UNITS) + SMALL + read,
    );
    let cost = stage.begin();
    stage.settle(0, "subscribe.test.all");
    cost.is_within_turns(&stage, LEAVES, 20 * LEAVES, u64::from(UNITS) + SMALL);
    assert_eq!(cost.messages(&stage), 1);
    stage.gateway.audit().expect("the books agree");
}

#[test]
fn a_new_token_puts_in_question_what_a_client_holds_in_small_turns() {
    const HELD: usize = 3_000;
    let mut stage = with_many(HELD);
    let subject = stage
        .sids
        .keys()
        .find(|subject| subject.starts_with("conn."));
    let subject = subject.expect("the client's events are subscribed").clone();
    let (sid, name) = (stage.sids[&subject], subject.replace('*', "token"));
    for token in 0..2 {
        let cost = stage.begin();
        stage.tell(sid, &name, &format!(r#"{{"token":{{"user":{token}}}}}"#));
        // Only one that follows another is asked about.
        let asked = stage.asked();
        assert_eq!(asked > 0, token > 0);
        stage.serve();
        cost.is_within_turns(
            &stage,
            HELD as u64,
            200 * HELD as u64,
            u64::from(UNITS) + SMALL,
        );
    }
}

#[test]
fn a_client_is_sent_nothing_while_its_new_token_is_looked_at() {
    const HELD: usize = 1_000;
    let mut stage = with_many(HELD);
    let subject = stage
        .sids
        .keys()
        .find(|subject| subject.starts_with("conn."));
    let subject = subject.expect("the client's events are subscribed").clone();
    let (sid, name) = (stage.sids[&subject], subject.replace('*', "token"));
    stage.tell(sid, &name, r#"{"token":{"user":0}}"#);
    stage.serve();
    let (gateway, out) = (&mut stage.gateway, &mut stage.out);
    gateway.begin_turn(UNITS);
    let token = BrokerMessage {
        sid,
        subject: name.as_bytes(),
        payload: br#"{"token":null}"#,
        status: None,
        reply: None,
    };
    gateway.broker_message(NOW, token, out);
    assert!(gateway.has_work() && !gateway.takes_requests(ClientKey(0)));
    stage.take();
    // An event of each resource: whichever is not come to yet must wait for its access too.
    let before = stage.messages;
    for item in 0..HELD {
        let subject = format!("event.test.item.{item}.custom");
        let sid = stage.sids[&format!("event.test.item.{item}.*")];
        let (gateway, out) = (&mut stage.gateway, &mut stage.out);
        let event = BrokerMessage {
            sid,
            subject: subject.as_bytes(),
            payload: b"1",
            status: None,
            reply: None,
        };
        gateway.begin_turn(1);
        gateway.broker_message(NOW, event, out);
        stage.take();
    }
    assert_eq!(stage.messages, before);
    stage.turn(|gateway, out| gateway.go_on(NOW, out));
    stage.serve();
    assert_eq!(stage.messages, before + HELD as u64);
    assert!(stage.gateway.takes_requests(ClientKey(0)));
}

#[test]
fn access_of_many_clients_is_put_in_question_in_small_turns() {
    const CLIENTS: u32 = 2_000;
    let mut stage = Stage::new(|_| r#"{"model":{"a":1}}"#.to_owned());
    for client in 0..CLIENTS {
        stage.connect(client);
        stage.settle(client, "subscribe.test.item");
    }
    let cost = stage.begin();
    stage.event("test.item", "reaccess", "null");
    let asked = stage.asked();
    assert!(asked > 0 && cost.messages(&stage) == 0);
    // What comes before all have been asked about waits for their answers.
    stage.event("test.item", "custom", "1");
    assert_eq!(cost.messages(&stage), 0);
    stage.serve();
    assert_eq!(cost.messages(&stage), u64::from(CLIENTS));
    let all = u64::from(CLIENTS);
    cost.is_within_turns(&stage, all, 60 * all, u64::from(UNITS) + SMALL + all / 4);
}
