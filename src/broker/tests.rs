//! Whole brokers, with clients that are strings.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use super::*;

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\
                       \"no_responders\":true}\r\n";
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const USERS: &str = include_str!("../../tests/data/nats_users.json");

/// A broker, and what its caller keeps.
struct Stage {
    broker: Broker,
    /// Input that was not taken, by key.
    input: BTreeMap<Key, Vec<u8>>,
    /// What the gateway heard: subscription, subject, payload.
    heard: Vec<(u64, String, String)>,
    now: u64,
}

impl Stage {
    fn new(users: &str) -> Self {
        Self::with(|options| options.users = Users::parse(users).expect("valid"))
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            host: "127.0.0.1".into(),
            port: 4_222,
            tls: false,
            max_payload: 1 << 20,
            max_connections: 100,
            users: Users::default(),
            worker: None,
            seed: [1, 2, 3, 4],
        };
        change(&mut options);
        Self {
            broker: Broker::new(options),
            input: BTreeMap::new(),
            heard: Vec::new(),
            now: 1,
        }
    }

    /// A client that has read its greeting.
    fn client(&mut self) -> Key {
        let key = self.broker.connect(LOCAL, self.now);
        let greeting = self.read(key);
        assert!(greeting.starts_with("INFO {"), "{greeting}");
        key
    }

    /// One that has also made itself known.
    fn service(&mut self) -> Key {
        let key = self.client();
        self.send(key, CONNECT);
        key
    }

    fn send(&mut self, key: Key, text: &str) {
        self.send_bytes(key, text.as_bytes());
    }

    fn send_bytes(&mut self, key: Key, bytes: &[u8]) {
        self.input.entry(key).or_default().extend_from_slice(bytes);
        while self.step(key) {}
    }

    /// Takes one operation; whether there was one.
    fn step(&mut self, key: Key) -> bool {
        let input = self.input.entry(key).or_default();
        let taken = self.broker.take(key, input, self.now);
        if let Some(message) = taken.message {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (subject, payload) = (text(message.subject), text(message.payload));
            while let Some(sid) = self.broker.next_hearer() {
                self.heard.push((sid, subject.clone(), payload.clone()));
            }
        }
        let (len, is_operation) = (taken.len, taken.is_operation);
        input.drain(..len);
        self.broker.audit();
        is_operation
    }

    /// Everything that waits for a client.
    fn read(&mut self, key: Key) -> String {
        let text = String::from_utf8_lossy(self.broker.output(key)).into_owned();
        let len = self.broker.output(key).len();
        self.broker.wrote(key, len, self.now);
        text
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.broker.timeout(self.now);
    }
}

/// The transcripts of a section.
fn transcripts(section: &str) -> Vec<Vec<u8>> {
    let all = include_str!("../../tests/data/nats_transcripts.txt");
    let lines = all.lines().skip_while(|line| *line != section).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let lines = lines.filter(|line| !line.is_empty());
    lines.map(|line| unescaped(&line[2..])).collect()
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let (kind, after) = rest.split_at(1);
                rest = after;
                match kind {
                    "x" => {
                        let (digits, after) = rest.split_at(2);
                        rest = after;
                        out.push(u8::from_str_radix(digits, 16).expect("two digits"));
                    }
                    "r" => out.push(b'\r'),
                    "n" => out.push(b'\n'),
                    "t" => out.push(b'\t'),
                    other => out.extend_from_slice(other.as_bytes()),
                }
            }
            '<' => {
                let (what, after) = rest.split_once(">>").expect("an end");
                rest = after;
                let (byte, count) = what.split_once('*').expect("a count");
                out.extend(byte.repeat(count.parse().expect("a number")).bytes());
            }
            c => out.extend_from_slice(c.to_string().as_bytes()),
        }
    }
    out
}

/// Where the input is cut has no influence.
#[test]
fn transcripts_cut_at_every_byte() {
    for (section, users) in [("[open]", "[]"), ("[users]", USERS)] {
        let all = transcripts(section);
        assert!(all.len() > 5);
        for transcript in all {
            let mut whole = Stage::new(users);
            let key = whole.client();
            whole.send_bytes(key, &transcript);
            let mut cut = Stage::new(users);
            let other = cut.client();
            for byte in transcript.chunks(1) {
                cut.send_bytes(other, byte);
            }
            let shown = transcript[..transcript.len().min(200)].escape_ascii();
            assert_eq!(whole.read(key), cut.read(other), "{shown}");
            let is_over = |stage: &Stage, key| stage.broker.end(key).is_some();
            assert_eq!(is_over(&whole, key), is_over(&cut, other), "{shown}");
        }
    }
}

#[test]
fn the_gateway_hears_and_is_heard() {
    let mut stage = Stage::new("[]");
    stage.broker.subscribe(1, b"_INBOX.g.*");
    stage.broker.subscribe(2, b"event.a.b.*");
    let service = stage.service();
    stage.send(service, "SUB get.> q 7\r\n");
    stage
        .broker
        .publish(b"get.a.b", b"_INBOX.g.1", b"", b"{}", 1);
    let request = stage.read(service);
    assert_eq!(request, "MSG get.a.b 7 _INBOX.g.1 2\r\n{}\r\n");
    stage.send(
        service,
        "PUB _INBOX.g.1 2\r\nok\r\nPUB event.a.b.change 0\r\n\r\nPUB event.a.c.change 0\r\n\r\n",
    );
    let heard = |sid, subject: &str, payload: &str| (sid, subject.into(), payload.into());
    assert_eq!(
        stage.heard,
        [
            heard(1, "_INBOX.g.1", "ok"),
            heard(2, "event.a.b.change", "")
        ]
    );
    stage.broker.unsubscribe(2);
    stage.send(service, "PUB event.a.b.change 0\r\n\r\n");
    assert_eq!(stage.heard.len(), 2);
    stage.broker.audit();
}

#[test]
fn headers_of_the_gateway_reach_those_who_can_have_them() {
    let mut stage = Stage::new("[]");
    let (able, plain) = (stage.service(), stage.client());
    stage.send(plain, "CONNECT {\"verbose\":false}\r\n");
    for key in [able, plain] {
        stage.read(key);
        stage.send(key, "SUB get.> 7\r\n");
    }
    let headers = b"NATS/1.0\r\na: 1\r\n\r\n";
    stage
        .broker
        .publish(b"get.a", b"_INBOX.g.1", headers, b"{}", 1);
    assert_eq!(
        stage.read(able),
        "HMSG get.a 7 _INBOX.g.1 18 20\r\nNATS/1.0\r\na: 1\r\n\r\n{}\r\n"
    );
    assert_eq!(stage.read(plain), "MSG get.a 7 _INBOX.g.1 2\r\n{}\r\n");
    stage.broker.audit();
}

#[test]
fn the_gateway_is_told_that_nobody_listens() {
    let mut stage = Stage::new("[]");
    stage.broker.subscribe(1, b"_INBOX.g.*");
    stage.broker.publish(b"get.a", b"_INBOX.g.1", b"", b"", 1);
    assert!(stage.broker.has_unanswered());
    let told = stage.broker.next_unanswered();
    assert_eq!(told, Some((1, Box::from(&b"_INBOX.g.1"[..]))));
    let service = stage.service();
    stage.send(service, "SUB get.a 1\r\n");
    stage.broker.publish(b"get.a", b"_INBOX.g.2", b"", b"", 1);
    assert_eq!(stage.broker.next_unanswered(), None);
    // Whoever is at its end does not listen any more.
    stage.broker.close(service);
    stage.broker.publish(b"get.a", b"_INBOX.g.3", b"", b"", 1);
    assert!(stage.broker.has_unanswered());
}

#[test]
fn a_group_has_each_message_once_and_all_members_some() {
    let mut stage = Stage::new("[]");
    let members: Vec<Key> = (0..4).map(|_| stage.service()).collect();
    for &member in &members {
        stage.send(member, "SUB work q 1\r\n");
    }
    let publisher = stage.service();
    for _ in 0..200 {
        stage.send(publisher, "PUB work 1\r\nx\r\n");
    }
    let counts: Vec<usize> = members
        .iter()
        .map(|&member| stage.read(member).matches("MSG").count())
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), 200);
    assert!(counts.iter().all(|&count| count > 20), "{counts:?}");
}

#[test]
fn a_message_for_very_many_is_delivered_in_steps() {
    let mut stage = Stage::new("[]");
    let many = stage.service();
    let count = limits::FANOUT * 2 + 10;
    for sid in 0..count {
        stage
            .broker
            .take(many, format!("SUB a {sid}\r\n").as_bytes(), 1);
    }
    let (publisher, other) = (stage.service(), stage.service());
    let input = stage.input.entry(publisher).or_default();
    input.extend_from_slice(b"PUB a 1\r\nx\r\nPUB b 0\r\n\r\n");
    stage.send(other, "SUB b 1\r\n");
    for _ in 0..2 {
        assert!(stage.step(publisher));
        // Who comes meanwhile has no part in it.
        stage.send(other, "SUB a 2\r\n");
        assert_eq!(stage.read(other), "");
    }
    assert!(stage.step(publisher));
    assert!(stage.step(publisher));
    assert_eq!(stage.read(other), "MSG b 1 0\r\n\r\n");
    let delivered = stage.read(many);
    assert_eq!(delivered.matches("MSG a ").count(), count);
    let sids: HashSet<&str> = delivered.split(' ').skip(2).step_by(3).collect();
    assert!(sids.len() >= count, "{}", sids.len());
}

#[test]
fn what_costs_nobody_anything() {
    let mut stage = Stage::new("[]");
    let many = stage.service();
    let publisher = stage.service();
    for sid in 0..20_000 {
        let subscribe = format!("SUB event.thing.{sid}.> {sid}\r\n");
        stage.broker.take(many, subscribe.as_bytes(), 1);
    }
    let message = b"PUB event.thing.77.change 0\r\n\r\n";
    let taken = stage.broker.take(publisher, message, 1);
    assert!(taken.units < 20, "{}", taken.units);
    stage.broker.audit();
}

#[test]
fn a_client_that_has_gone_leaves_nothing() {
    let mut stage = Stage::new("[]");
    let key = stage.service();
    for sid in 0..100 {
        stage.send(
            key,
            &format!("SUB a.{}.{sid} q{} {sid}\r\n", sid % 7, sid % 3),
        );
    }
    stage.broker.close(key);
    stage.broker.close(key);
    assert!(stage.broker.is_empty());
    while stage.broker.has_work() {
        stage.broker.go_on(7);
        stage.broker.audit();
    }
    assert_eq!((stage.broker.router.len(), stage.broker.cost), (0, 0));
    assert_eq!(stage.broker.sessions.len(), 0);
}

#[test]
fn who_does_not_read_is_cut_off() {
    let mut stage = Stage::with(|options| options.max_payload = 8 << 20);
    let (slow, publisher) = (stage.service(), stage.service());
    stage.send(slow, "SUB a 1\r\n");
    let payload = "x".repeat(8 << 20);
    let message = format!("PUB a {}\r\n{payload}\r\n", payload.len());
    for _ in 0..8 {
        assert_eq!(stage.broker.end(slow), None);
        stage.send(publisher, &message);
    }
    assert_eq!(stage.broker.end(slow), Some(End::Slow));
    assert_eq!(stage.broker.pending(), 0);
    // By time.
    let late = stage.service();
    stage.send(late, "SUB b 1\r\n");
    stage.send(publisher, "PUB b 0\r\n\r\n");
    stage.broker.wrote(late, 1, stage.now);
    stage.pass(limits::WRITE_TIME - 1);
    stage.broker.wrote(late, 1, stage.now);
    stage.pass(limits::WRITE_TIME - 1);
    assert_eq!(stage.broker.end(late), None);
    stage.pass(limits::LOOK_TIME);
    assert_eq!(stage.broker.end(late), Some(End::Slow));
    assert_eq!(stage.broker.counts().slow, 2);
}

#[test]
fn memory_that_is_short_costs_the_longest() {
    let mut stage = Stage::new("[]");
    let (one, two) = (stage.service(), stage.service());
    stage.send(one, "SUB a 1\r\n");
    stage.send(two, "SUB a 1\r\nSUB a 2\r\n");
    assert!(!stage.broker.cut_longest());
    stage.send(one, "PUB a 0\r\n\r\n");
    assert!(stage.broker.cut_longest());
    assert_eq!(stage.broker.end(two), Some(End::Memory));
    assert_eq!(stage.broker.end(one), None);
    stage.broker.audit();
}

#[test]
fn silence_is_asked_about_and_then_is_the_end() {
    let mut stage = Stage::new("[]");
    let (dead, alive) = (stage.service(), stage.service());
    // What it has said before counts.
    stage.pass(limits::PING_TIME + limits::LOOK_TIME);
    for _ in 0..limits::PINGS_MAX {
        stage.pass(limits::PING_TIME + limits::LOOK_TIME);
        assert_eq!(stage.read(dead), "PING\r\n");
        stage.read(alive);
        stage.send(alive, "PONG\r\n");
    }
    stage.pass(limits::PING_TIME + limits::LOOK_TIME);
    assert_eq!(stage.read(dead), "-ERR 'Stale Connection'\r\n");
    assert_eq!(stage.broker.end(dead), Some(End::Stale));
    assert_eq!(stage.broker.end(alive), None);
}

#[test]
fn who_does_not_show_who_it_is_has_little_time() {
    let mut stage = Stage::new(USERS);
    let (known, unknown) = (stage.client(), stage.client());
    stage.send(known, "CONNECT {\"user\":\"a\",\"pass\":\"pw\"}\r\n");
    stage.pass(limits::CONNECT_TIME);
    assert_eq!(stage.read(unknown), "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(stage.broker.end(unknown), Some(End::Unauthorized));
    assert_eq!(stage.read(known), "+OK\r\n");
}

#[test]
fn there_are_no_more_clients_than_may_be() {
    let mut stage = Stage::with(|options| options.max_connections = 1);
    let first = stage.client();
    let second = stage.broker.connect(LOCAL, 1);
    let words = stage.read(second);
    assert!(
        words.ends_with("-ERR 'maximum connections exceeded'\r\n"),
        "{words}"
    );
    assert_eq!(stage.broker.end(second), Some(End::TooMany));
    stage.broker.close(second);
    assert_eq!(stage.broker.end(first), None);
    stage.broker.close(first);
    stage.client();
}

#[test]
fn an_answer_may_be_sent_where_nothing_else_may() {
    let mut stage = Stage::new(USERS);
    let (asker, answerer) = (stage.client(), stage.client());
    for (key, user) in [(asker, "a"), (answerer, "r")] {
        let connect = CONNECT.replace('{', &format!("{{\"user\":\"{user}\",\"pass\":\"pw\","));
        stage.send(key, &connect);
    }
    stage.send(answerer, "SUB req.> 1\r\n");
    stage.send(asker, "SUB rep 5\r\nPUB req.x rep 0\r\n\r\n");
    stage.send(answerer, "PUB rep 1\r\n1\r\nPUB rep 1\r\n2\r\n");
    assert_eq!(stage.read(asker), "MSG rep 5 1\r\n1\r\n");
    let words = stage.read(answerer);
    let refused = "-ERR 'Permissions Violation for Publish to \"rep\"'\r\n";
    assert!(
        words.ends_with(refused) && words.matches("ERR").count() == 1,
        "{words}"
    );
}

#[test]
fn subscriptions_take_no_more_memory_than_they_may() {
    let mut stage = Stage::new("[]");
    let key = stage.service();
    let pattern = vec!["x"; 2_000].join(".");
    let mut refused = 0;
    for sid in 0..limits::COST_OF_ONE / (2_000 * limits::TOKEN_COST) + 2 {
        let subscribe = format!("SUB {sid}.{pattern} {sid}\r\n");
        stage.broker.take(key, subscribe.as_bytes(), 1);
        let words = stage.read(key);
        refused += words
            .matches("-ERR 'maximum subscriptions exceeded'")
            .count();
    }
    assert!(refused > 0);
    assert!(stage.broker.cost <= limits::COST_OF_ONE);
    // It lives on, and ending some makes room.
    stage.send(key, "UNSUB 0\r\nSUB again 1000000\r\nPUB again 0\r\n\r\n");
    assert_eq!(stage.read(key), "MSG again 1000000 0\r\n\r\n");
}

#[test]
fn other_gateways_come_by_a_door_of_their_own() {
    let secret = || Secret::Password {
        user: "worker".into(),
        password: "hush".into(),
    };
    let mut stage = Stage::with(|options| {
        options.users = Users::parse(r#"[{"user":"a","password":"b"}]"#).expect("valid");
        options.tls = true;
        options.max_connections = 1;
        options.worker = Some(secret());
    });
    let connect = |user: &str, password: &str| {
        format!(
            "CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"{password}\"}}\r\nPING\r\n"
        )
    };
    let service = stage.client();
    stage.send(service, &connect("a", "b"));
    assert_eq!(stage.read(service), "PONG\r\n");
    // Services have all places, and this needs none of theirs, and no TLS.
    let worker = stage.broker.connect_worker(LOCAL, stage.now);
    let greeting = stage.read(worker);
    assert!(greeting.contains("\"auth_required\":true"), "{greeting}");
    assert!(!greeting.contains("tls_required"), "{greeting}");
    stage.send(worker, &connect("worker", "hush"));
    assert_eq!(stage.read(worker), "PONG\r\n");
    stage.send(worker, "SUB event.> 1\r\n");
    stage.send(service, "PUB event.a 2\r\nhi\r\n");
    assert_eq!(stage.read(worker), "MSG event.a 1 2\r\nhi\r\n");
    assert_eq!(stage.broker.workers(), 1);

    // Users are none there, nor is the secret one where users come.
    for (user, password) in [("a", "b"), ("worker", ""), ("", "")] {
        let other = stage.broker.connect_worker(LOCAL, stage.now);
        stage.read(other);
        stage.send(other, &connect(user, password));
        assert_eq!(stage.broker.end(other), Some(End::Unauthorized), "{user}");
        stage.broker.close(other);
    }
    stage.broker.close(service);
    let other = stage.client();
    stage.send(other, &connect("worker", "hush"));
    assert_eq!(stage.broker.end(other), Some(End::Unauthorized));
    stage.broker.close(worker);
    assert_eq!(stage.broker.workers(), 0);

    // It must show itself also where everybody may be a service.
    let mut stage = Stage::with(|options| options.worker = Some(secret()));
    let other = stage.broker.connect_worker(LOCAL, stage.now);
    stage.send(other, "SUB > 1\r\n");
    assert!(stage.broker.end(other).is_some());
}
