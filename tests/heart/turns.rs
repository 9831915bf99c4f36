//! Turns with a budget: what an input leaves over, and that it comes to the same end.

use crate::driver::{Driver, INBOX, Input, Operation, Output, SYSTEM, UNLIMITED, operations};
use std::collections::{HashMap, VecDeque};
use tidegate::gateway::{
    BrokerLimits, BrokerMessage, ClientKey, Gateway, Options, Outbox, Stats, Time,
};

/// Work units of one turn.
const UNITS: u32 = 2_000;

const NOW: Time = Time(0);
const CLIENT: ClientKey = ClientKey(0);

/// A gateway, and what it has asked of services so far.
struct Turns {
    gateway: Gateway,
    out: Outbox,
    /// Subjects and reply subjects.
    asked: Vec<(String, String)>,
}

impl Turns {
    /// One client holds as many models.
    fn with_models(count: usize) -> Self {
        let mut turns = Self {
            gateway: Gateway::new(Options::default()),
            out: Outbox::default(),
            asked: Vec::new(),
        };
        let limits = BrokerLimits {
            max_payload: 1 << 20,
            max_line: 4_096,
        };
        let (gateway, out) = (&mut turns.gateway, &mut turns.out);
        gateway.broker_connected(NOW, limits, out);
        let remote = ([127, 0, 0, 1], 4000).into();
        gateway.client_connected(NOW, CLIENT, Box::default(), remote, out);
        for n in 0..count {
            let method = format!("subscribe.service{}.item.{n}", n % 7);
            turns.say(&format!(r#"{{"id":{n},"method":"{method}"}}"#));
            turns.answer_all();
        }
        turns
    }

    fn say(&mut self, message: &str) {
        let message = message.as_bytes();
        self.gateway
            .client_message(NOW, CLIENT, message, &mut self.out);
        self.take();
    }

    fn tell(&mut self, sid: u64, subject: &str, payload: &str) {
        self.message(sid, subject, payload);
        self.take();
    }

    /// The same, but for what is sent then.
    fn message(&mut self, sid: u64, subject: &str, payload: &str) {
        let message = BrokerMessage {
            sid,
            subject: subject.as_bytes(),
            payload: payload.as_bytes(),
            status: None,
            reply: None,
        };
        self.gateway.broker_message(NOW, message, &mut self.out);
    }

    fn go_on(&mut self) {
        self.gateway.begin_turn(UNITS);
        self.gateway.go_on(NOW, &mut self.out);
        self.take();
    }

    /// Keeps what was asked.
    fn take(&mut self) {
        for operation in operations(&self.out) {
            if let crate::driver::Operation::Publish { subject, reply, .. } = operation {
                self.asked.push((subject.to_owned(), reply.to_owned()));
            }
        }
        self.out.clear();
    }

    fn answer_all(&mut self) {
        for (subject, reply) in std::mem::take(&mut self.asked) {
            let payload = match subject.split_once('.') {
                Some(("get", _)) => r#"{"result":{"model":{"a":1}}}"#,
                _ => r#"{"result":{"get":true,"call":"*"}}"#,
            };
            self.tell(crate::driver::INBOX, &reply, payload);
        }
    }

    fn asked_of(&self, kind: &str) -> usize {
        let of_kind = |(subject, _): &&(String, String)| subject.starts_with(kind);
        self.asked.iter().filter(of_kind).count()
    }
}

/// A thousand wildcard patterns, each of which ends in one that matches nothing.
fn patterns(last: &str) -> String {
    let patterns = (0..1_000).map(|n| format!(r#""service{}.*.none{n}""#, n % 7));
    let patterns: Vec<_> = patterns.chain([format!("\"{last}\"")]).collect();
    patterns.join(",")
}

#[test]
fn a_reset_of_many_patterns_over_many_names_is_work_of_several_turns() {
    let mut turns = Turns::with_models(800);
    turns.gateway.begin_turn(UNITS);
    let reset = format!(r#"{{"resources":[{}]}}"#, patterns("service3.>"));
    turns.tell(crate::driver::SYSTEM, "system.reset", &reset);
    assert!(turns.gateway.has_work(), "all in one turn");
    let mut count = 0;
    while turns.gateway.has_work() {
        turns.go_on();
        count += 1;
        // Patterns times names would be four hundred turns.
        assert!(count < 20, "the work does not get less");
    }
    assert_eq!(
        turns.asked_of("get.service3."),
        (0..800).filter(|n| n % 7 == 3).count()
    );
    assert_eq!(turns.asked_of("get."), turns.asked_of("get.service3."));
}

#[test]
fn a_large_answer_is_taken_in_many_turns() {
    let values = |from: u32| {
        let values = (from..from + 5_000).map(|n| format!(r#""p{n}":{n}"#));
        format!("{{{}}}", values.collect::<Vec<_>>().join(","))
    };
    let turns_taken = |turns: &mut Turns| {
        let mut count = 0;
        while turns.gateway.has_work() {
            turns.gateway.begin_turn(100);
            turns.gateway.go_on(NOW, &mut turns.out);
            turns.take();
            count += 1;
        }
        count
    };
    let mut turns = Turns::with_models(0);
    turns.say(r#"{"id":1,"method":"subscribe.test.model"}"#);
    let asked = std::mem::take(&mut turns.asked);
    turns.gateway.begin_turn(100);
    for (subject, reply) in asked {
        let result = match subject.starts_with("get.") {
            true => format!(r#"{{"result":{{"model":{}}}}}"#, values(0)),
            false => r#"{"result":{"get":true}}"#.to_owned(),
        };
        turns.tell(crate::driver::INBOX, &reply, &result);
    }
    let count = turns_taken(&mut turns);
    assert!(count >= 50, "{count}");
}

#[test]
fn more_resets_than_may_wait_become_one_about_everything() {
    let mut turns = Turns::with_models(100);
    turns.gateway.begin_turn(1);
    for n in 0..1_000 {
        let reset = format!(r#"{{"resources":["nothing{n}.*"]}}"#);
        turns.tell(crate::driver::SYSTEM, "system.reset", &reset);
    }
    let mut count = 0;
    while turns.gateway.has_work() {
        turns.go_on();
        count += 1;
        assert!(count < 20, "they are all gone through");
    }
    assert_eq!(turns.asked_of("get."), 100);
    assert_eq!(turns.asked_of("access."), 100);
}

#[test]
fn access_that_a_reset_will_come_to_is_in_question_before_it_is_used() {
    let mut turns = Turns::with_models(800);
    turns.gateway.begin_turn(100);
    let reset = format!(r#"{{"access":[{}]}}"#, patterns("service3.>"));
    turns.tell(crate::driver::SYSTEM, "system.reset", &reset);
    assert!(turns.gateway.has_work());
    let last = "service3.item.794";
    assert_eq!(turns.asked_of(&format!("access.{last}")), 0);
    // A call of it asks first, though the walk has not come to its name.
    turns.say(&format!(r#"{{"id":9999,"method":"call.{last}.set"}}"#));
    assert_eq!(turns.asked_of(&format!("call.{last}")), 0);
    assert_eq!(turns.asked_of(&format!("access.{last}")), 1);
    while turns.gateway.has_work() {
        turns.go_on();
    }
    assert_eq!(turns.asked_of(&format!("access.{last}")), 1);
    assert_eq!(
        turns.asked_of("access."),
        (0..800).filter(|n| n % 7 == 3).count()
    );
}

#[test]
fn names_that_nobody_uses_any_more_are_left_in_several_turns() {
    let mut turns = Turns::with_models(5_000);
    turns.gateway.client_closed(NOW, CLIENT, &mut turns.out);
    turns.out.clear();
    turns.gateway.begin_turn(UNITS);
    turns.gateway.timeout(Time(5_000), &mut turns.out);
    let left = operations(&turns.out).count();
    assert!(left < 2 * UNITS as usize, "{left} at once");
    assert!(turns.gateway.has_work());
    turns.out.clear();
    while turns.gateway.has_work() {
        turns.go_on();
    }
    assert_eq!(turns.gateway.stats(), Stats::default());
}

#[test]
fn a_long_difference_is_sent_in_several_turns_and_in_order() {
    const LENGTH: u32 = 3_000;
    let list = |values: &[u32]| {
        let values: Vec<_> = values.iter().map(u32::to_string).collect();
        format!(r#"{{"result":{{"collection":[{}]}}}}"#, values.join(","))
    };
    let old: Vec<u32> = (0..LENGTH).collect();
    let new: Vec<u32> = (LENGTH..2 * LENGTH).collect();
    let mut turns = Turns::with_models(0);
    let clients = [CLIENT, ClientKey(1), ClientKey(2)];
    for client in clients {
        if client != CLIENT {
            let remote = ([127, 0, 0, 1], 4000).into();
            let (gateway, out) = (&mut turns.gateway, &mut turns.out);
            gateway.client_connected(NOW, client, Box::default(), remote, out);
        }
        let subscribe = br#"{"id":1,"method":"subscribe.test.list"}"#;
        turns
            .gateway
            .client_message(NOW, client, subscribe, &mut turns.out);
        turns.take();
        for (subject, reply) in std::mem::take(&mut turns.asked) {
            let payload = match subject.starts_with("get.") {
                true => list(&old),
                false => r#"{"result":{"get":true}}"#.to_owned(),
            };
            turns.tell(crate::driver::INBOX, &reply, &payload);
        }
    }
    turns.tell(
        crate::driver::SYSTEM,
        "system.reset",
        r#"{"resources":[">"]}"#,
    );
    let (_, reply) = turns.asked.pop().expect("it is fetched again");
    // The answer is read and compared, and then nothing is left of the budget.
    turns.gateway.begin_turn(UNITS);
    let answer = list(&new);
    turns.message(crate::driver::INBOX, &reply, &answer);
    let mut values = clients.map(|_| old.clone());
    let mut most = 0;
    loop {
        let sent: Vec<_> = turns.out.drain_clients().collect();
        most = most.max(sent.len());
        for (client, delivery) in sent {
            let text = delivery.text().expect("an event");
            let event: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            let values = &mut values[client.0 as usize];
            let idx = event["data"]["idx"].as_u64().expect("a place") as usize;
            match event["event"].as_str() {
                Some("test.list.remove") => drop(values.remove(idx)),
                _ => values.insert(
                    idx,
                    event["data"]["value"].as_u64().expect("a number") as u32,
                ),
            }
        }
        turns.out.clear();
        if !turns.gateway.has_work() {
            break;
        }
        turns.gateway.begin_turn(UNITS);
        turns.gateway.go_on(NOW, &mut turns.out);
    }
    assert!(values.iter().all(|values| *values == new));
    assert!(most <= UNITS as usize, "{most} events in a turn");
    turns.gateway.audit().unwrap();
}

/// References in a list, more than are taken out in one go.
const ITEMS: usize = 100;

/// A gateway with resources that reference each other, whose services answer at once.
struct Ring {
    driver: Driver,
    sids: HashMap<String, u64>,
    asked: VecDeque<(String, String)>,
    /// Where the answer to a call goes, which is given later.
    call: Option<String>,
    /// Whether the list has its items.
    is_full: bool,
}

impl Ring {
    /// Two clients, of which the first holds two resources that hold each other and a leaf,
    /// and the second the same by way of another.
    fn with_two_clients() -> Self {
        let mut ring = Self {
            driver: Driver::new(Options::default(), 0),
            sids: HashMap::new(),
            asked: VecDeque::new(),
            call: None,
            is_full: true,
        };
        let max_payload = 1 << 20;
        ring.input(UNLIMITED, Input::Broker { max_payload });
        for (client, root) in [(0, "test.q"), (1, "test.root")] {
            let (key, remote) = (ClientKey(client), ([127, 0, 0, 1], 4_000).into());
            ring.input(UNLIMITED, Input::Connect(key, Box::default(), remote));
            ring.say(UNLIMITED, client, &format!("subscribe.{root}"));
        }
        assert_eq!(ring.driver.gateway.stats().subscriptions, 3 + 4);
        ring
    }

    fn answer(&self, subject: &str) -> String {
        let items = (0..ITEMS).map(|item| format!(r#"{{"rid":"test.item.{item}"}}"#));
        let items: Vec<String> = items.filter(|_| self.is_full).collect();
        let items = format!(r#"{{"result":{{"collection":[{}]}}}}"#, items.join(","));
        let answer = match subject {
            "get.test.list" => &items,
            item if item.starts_with("get.test.item.") => r#"{"result":{"model":{"a":1}}}"#,
            "get.test.root" => r#"{"result":{"model":{"c":{"rid":"test.c"}}}}"#,
            "get.test.c" => r#"{"result":{"model":{"q":{"rid":"test.q"}}}}"#,
            "get.test.q" => r#"{"result":{"model":{"c":{"rid":"test.c"},"z":{"rid":"test.z"}}}}"#,
            "get.test.z" => r#"{"result":{"model":{"a":1}}}"#,
            _ => r#"{"result":{"get":true,"call":"*"}}"#,
        };
        answer.to_owned()
    }

    /// An input in a turn of so many units, and all answers to what it asks.
    fn input(&mut self, units: u32, input: Input<'_>) {
        let output = self.driver.input(units, input);
        self.take(output);
        while let Some((subject, reply)) = self.asked.pop_front() {
            let answer = self.answer(&subject);
            let message = BrokerMessage {
                sid: INBOX,
                subject: reply.as_bytes(),
                payload: answer.as_bytes(),
                status: None,
                reply: None,
            };
            let output = self.driver.input(units, Input::Message(message));
            self.take(output);
        }
    }

    fn take(&mut self, output: Output) {
        assert_eq!(output.fault, None);
        for operation in output.broker {
            match operation {
                Operation::Publish { subject, reply, .. } if subject.starts_with("call.") => {
                    self.call = Some(reply);
                }
                Operation::Publish { subject, reply, .. } => {
                    self.asked.push_back((subject, reply));
                }
                Operation::Subscribe { sid, subject } => {
                    self.sids.insert(subject, sid);
                }
                Operation::Unsubscribe { .. } => {}
            }
        }
    }

    fn say(&mut self, units: u32, client: u32, method: &str) {
        let message = format!(r#"{{"id":1,"method":"{method}"}}"#);
        self.input(units, Input::Say(ClientKey(client), message.as_bytes()));
    }

    fn change(&mut self, units: u32, name: &str, values: &str) {
        let sid = self.sids[&format!("event.{name}.*")];
        self.tell(units, sid, &format!("event.{name}.change"), values);
    }

    fn tell(&mut self, units: u32, sid: u64, subject: &str, payload: &str) {
        let message = BrokerMessage {
            sid,
            subject: subject.as_bytes(),
            payload: payload.as_bytes(),
            status: None,
            reply: None,
        };
        self.input(units, Input::Message(message));
    }

    /// How many subscriptions there are when nothing is left over.
    fn subscriptions(&mut self) -> usize {
        while self.driver.gateway.has_work() {
            self.input(1, Input::GoOn);
        }
        self.driver.gateway.stats().subscriptions
    }
}

/// What is left over of one client's suspects is looked at while another one is sent an
/// event: what the former holds must then be what it was sent, and not what the event made
/// of it.
#[test]
fn an_event_to_one_client_meets_what_is_left_over_of_another() {
    let mut ring = Ring::with_two_clients();
    ring.change(1, "test.root", r#"{"values":{"c":null}}"#);
    assert!(ring.driver.gateway.has_work(), "nothing is left over");
    ring.change(1, "test.q", r#"{"values":{"z":{"rid":"test.c"}}}"#);
    assert_eq!(ring.subscriptions(), 2 + 1);
}

/// A call brings what the client is about to lose: it must not be taken for what it had.
#[test]
fn a_call_brings_a_resource_while_it_is_being_let_go_of() {
    let mut puts_off = false;
    for turns in 0..12 {
        let mut ring = Ring::with_two_clients();
        ring.say(UNLIMITED, 1, "new.test.root");
        ring.change(1, "test.root", r#"{"values":{"c":null}}"#);
        for _ in 0..turns {
            ring.input(1, Input::GoOn);
        }
        puts_off |= ring.driver.gateway.has_work();
        let reply = ring.call.take().expect("a call");
        let answer = BrokerMessage {
            sid: INBOX,
            subject: reply.as_bytes(),
            payload: br#"{"resource":{"rid":"test.c"}}"#,
            status: None,
            reply: None,
        };
        ring.input(1, Input::Message(answer));
        assert_eq!(ring.subscriptions(), 3 + 4, "after {turns} turns");
    }
    assert!(puts_off, "nothing is left over");
}

#[test]
fn a_client_leaves_while_what_it_let_go_of_is_left_over() {
    let mut ring = Ring::with_two_clients();
    ring.say(1, 0, "unsubscribe.test.q");
    assert!(ring.driver.gateway.has_work(), "nothing is left over");
    ring.input(1, Input::Close(ClientKey(0)));
    assert_eq!(ring.subscriptions(), 4);
    ring.say(1, 1, "unsubscribe.test.root");
    ring.input(UNLIMITED, Input::Close(ClientKey(1)));
    assert_eq!(ring.subscriptions(), 0);
}

#[test]
fn what_a_long_run_of_removals_cuts_off_is_looked_for_in_each_part_of_it() {
    let mut ring = Ring::with_two_clients();
    ring.say(UNLIMITED, 0, "subscribe.test.list");
    assert_eq!(ring.subscriptions(), 3 + 4 + 1 + ITEMS);
    ring.is_full = false;
    ring.tell(1, SYSTEM, "system.reset", r#"{"resources":["test.list"]}"#);
    assert_eq!(ring.subscriptions(), 3 + 4 + 1);
}
