//! The services at a whole broker, asked as the gateway asks.

use serde_json::{Value, json};

use super::*;
use crate::broker::{Broker, Options, Users};

/// The gateway's subscriptions: for answers, events and tokens.
const ANSWERS: u64 = 1;
const EVENTS: u64 = 2;
const TOKENS: u64 = 3;

/// A broker with the services in it.
struct Stage {
    broker: Broker,
    demo: Demo,
    now: u64,
}

impl Stage {
    fn new() -> Self {
        let mut broker = Broker::new(Options {
            host: "127.0.0.1".into(),
            port: 4_222,
            tls: false,
            max_payload: 1 << 20,
            max_connections: 100,
            users: Users::default(),
            worker: None,
            seed: [1, 2, 3, 4],
        });
        for subject in SUBJECTS {
            broker.subscribe_resident(subject.as_bytes());
        }
        broker.subscribe(ANSWERS, b"answer.*");
        broker.subscribe(EVENTS, b"event.demo.>");
        broker.subscribe(TOKENS, b"conn.*.token");
        Self {
            broker,
            demo: Demo::new(0, 1_000_000),
            now: 0,
        }
    }

    /// Lets the services hear and say everything: what the gateway heard, in order.
    fn settle(&mut self) -> Vec<(u64, String, Value)> {
        let mut heard = Vec::new();
        loop {
            if let Some(Message { subject, payload }) = self.demo.next_message() {
                let (subject, payload) = (subject.as_str(), payload.as_str());
                self.broker
                    .publish_resident(subject.as_bytes(), payload.as_bytes(), self.now);
                let json: Value = serde_json::from_str(payload).expect("services say JSON");
                while let Some(sid) = self.broker.next_hearer() {
                    heard.push((sid, subject.to_owned(), json.clone()));
                }
            } else if let Some(letter) = self.broker.next_letter() {
                let (subject, payload) = (&letter.subject, &letter.payload);
                self.demo.take(subject, &letter.reply, payload, self.now);
            } else {
                self.broker.audit();
                return heard;
            }
        }
    }

    /// Asks as the gateway does: the events before the answer, and the answer.
    #[track_caller]
    fn ask(&mut self, subject: &str, request: &Value) -> (Vec<(String, Value)>, Value) {
        let payload = request.to_string();
        self.broker.publish(
            subject.as_bytes(),
            b"answer.1",
            b"",
            payload.as_bytes(),
            self.now,
        );
        assert_eq!(self.broker.next_unanswered(), None, "{subject} is heard");
        let mut heard = self.settle();
        let (sid, _, answer) = heard.pop().expect("an answer");
        assert_eq!(sid, ANSWERS, "the answer comes last: {answer}");
        let events = heard.into_iter().map(|(_, subject, json)| (subject, json));
        (events.collect(), answer)
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> (Vec<(String, Value)>, Value) {
        self.ask(&format!("call.demo.{method}"), &json!({ "params": params }))
    }

    #[track_caller]
    fn get(&mut self, name: &str) -> Value {
        let (events, answer) = self.ask(&format!("get.demo.{name}"), &json!({}));
        assert_eq!(events, []);
        answer["result"].clone()
    }

    #[track_caller]
    fn query(&mut self, query: &str) -> (Value, Vec<String>) {
        let (_, answer) = self.ask("get.demo.elements", &json!({ "query": query }));
        let result = &answer["result"];
        (result["query"].clone(), rids(&result["collection"]))
    }

    #[track_caller]
    fn login(&mut self, cid: &str, name: &str, key: &str) -> (Vec<(String, Value)>, Value) {
        let request = json!({ "cid": cid, "params": { "name": name, "key": key } });
        self.ask("auth.demo.chat.login", &request)
    }

    #[track_caller]
    fn say(&mut self, cid: &str, text: &str) -> (Vec<(String, Value)>, Value) {
        let request = json!({ "cid": cid, "params": { "text": text } });
        self.ask("call.demo.chat.messages.send", &request)
    }
}

fn rids(collection: &Value) -> Vec<String> {
    let values = collection.as_array().expect("a collection").iter();
    let rids = values.map(|value| value["rid"].as_str().expect("a reference").to_owned());
    rids.collect()
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or("none")
}

fn event(name: &str, data: Value) -> (String, Value) {
    (format!("event.demo.{name}"), data)
}

#[test]
fn books_come_go_and_return_to_their_place() {
    let mut stage = Stage::new();
    let all = ["demo.book.1", "demo.book.2", "demo.book.3", "demo.book.4"];
    assert_eq!(rids(&stage.get("books")["collection"]), all);
    let first = json!({ "id": 1, "title": "Moby-Dick", "author": "Herman Melville" });
    assert_eq!(stage.get("book.1")["model"], first);

    let (events, answer) = stage.call("books.add", json!({ "title": " A ", "author": "B" }));
    let added = json!({ "idx": 4, "value": { "rid": "demo.book.5" } });
    assert_eq!(events, [event("books.add", added)]);
    assert_eq!(answer["resource"]["rid"], "demo.book.5");
    assert_eq!(stage.get("book.5")["model"]["title"], "A");

    let (events, answer) = stage.call("books.delete", json!({ "id": 3 }));
    assert_eq!(events, [event("books.remove", json!({ "idx": 2 }))]);
    assert_eq!(answer, json!({ "result": null }));
    stage.call("books.delete", json!({ "id": 1 }));
    // Behind number 2, which now is the first.
    let (events, answer) = stage.call("books.restore", json!({ "id": 3 }));
    let back = json!({ "idx": 1, "value": { "rid": "demo.book.3" } });
    assert_eq!(events, [event("books.add", back)]);
    assert_eq!(answer["resource"]["rid"], "demo.book.3");
    stage.call("books.restore", json!({ "id": 1 }));
    let mut expected = all.to_vec();
    expected.push("demo.book.5");
    assert_eq!(rids(&stage.get("books")["collection"]), expected);
    let (events, answer) = stage.call("books.restore", json!({ "id": 1 }));
    assert_eq!((events.len(), code(&answer)), (0, "system.notFound"));
}

#[test]
fn a_book_is_edited_whole_or_not_at_all() {
    let mut stage = Stage::new();
    let (events, _) = stage.call("book.2.set", json!({ "title": "X" }));
    assert_eq!(
        events,
        [event(
            "book.2.change",
            json!({ "values": { "title": "X", "author": "Virginia Woolf" } })
        )]
    );
    let (events, answer) = stage.call("book.2.set", json!({ "title": "Y", "author": "\n" }));
    assert_eq!((events.len(), code(&answer)), (0, "system.invalidParams"));
    assert_eq!(stage.get("book.2")["model"]["title"], "X");
    let long = "é".repeat(81);
    for params in [
        json!({ "title": long, "author": "B" }),
        json!({}),
        json!([]),
    ] {
        let (events, answer) = stage.call("books.add", params);
        assert_eq!((events.len(), code(&answer)), (0, "system.invalidParams"));
    }
}

#[test]
fn the_shelf_is_full_at_some_time() {
    let mut stage = Stage::new();
    let book = json!({ "title": "T", "author": "A" });
    let mut added = 4;
    while code(&stage.call("books.add", book.clone()).1) == "none" {
        added += 1;
    }
    assert_eq!(added, 40);
    // Of those that were taken off, the last are kept.
    for id in 1..=30 {
        stage.call("books.delete", json!({ "id": id }));
    }
    let (_, answer) = stage.call("books.restore", json!({ "id": 10 }));
    assert_eq!(code(&answer), "system.notFound");
    let (_, answer) = stage.call("books.restore", json!({ "id": 11 }));
    assert_eq!(code(&answer), "none");
}

#[test]
fn gauges_tell_what_get_tells() {
    let mut stage = Stage::new();
    let names = rids(&stage.get("tide")["collection"]);
    assert_eq!(names.len(), 5);
    let mut known: Vec<Value> = Vec::new();
    for name in &names {
        known.push(stage.get(&name["demo.".len()..])["model"].clone());
    }
    let mut events = 0;
    for _ in 0..400 {
        stage.now = stage.demo.next_timeout();
        stage.demo.timeout(stage.now);
        for (_, subject, payload) in stage.settle() {
            events += 1;
            let place = names
                .iter()
                .position(|name| subject == format!("event.{name}.change"));
            let model = &mut known[place.expect("a gauge")];
            for (field, value) in payload["values"].as_object().expect("values") {
                model[field] = value.clone();
            }
            let (level, range) = (model["level"].as_i64(), model["range"].as_i64());
            assert!(level.map(i64::abs) <= range, "{model}");
        }
    }
    assert!(events > 300, "{events}");
    for (name, known) in names.iter().zip(&known) {
        assert_eq!(&stage.get(&name["demo.".len()..])["model"], known);
    }
}

#[test]
fn the_basin_stands_still_behind_a_closed_gate() {
    let mut stage = Stage::new();
    let (events, _) = stage.call("tide.gate.set", json!({ "open": false }));
    let closed = json!({ "values": { "open": false } });
    assert_eq!(events, [event("tide.gate.change", closed)]);
    let level = stage.get("tide.basin")["model"]["level"].clone();
    for _ in 0..50 {
        stage.now = stage.demo.next_timeout();
        stage.demo.timeout(stage.now);
        let heard = stage.settle();
        assert!(
            heard
                .iter()
                .all(|(_, subject, _)| !subject.contains("basin"))
        );
    }
    assert_eq!(stage.get("tide.basin")["model"]["level"], level);
    let (_, answer) = stage.call("tide.gate.set", json!({ "open": "yes" }));
    assert_eq!(code(&answer), "system.invalidParams");
}

#[test]
fn who_has_a_name_may_speak() {
    let mut stage = Stage::new();
    let nobody = json!({ "cid": "c1" });
    let (_, answer) = stage.ask("access.demo.chat.messages", &nobody);
    assert_eq!(answer["result"], json!({ "get": true, "call": "" }));
    assert_eq!(code(&stage.say("c1", "Hi").1), "system.accessDenied");

    let (events, answer) = stage.login("c1", "Ann", "k1");
    let token = json!({ "token": { "name": "Ann" } });
    let expected = [
        event("chat.people.add", json!({ "idx": 0, "value": "Ann" })),
        ("conn.c1.token".to_owned(), token.clone()),
    ];
    assert_eq!(events, expected);
    assert_eq!(answer["result"]["name"], "Ann");
    let known = json!({ "cid": "c1", "token": token["token"] });
    let (_, answer) = stage.ask("access.demo.chat.messages", &known);
    assert_eq!(answer["result"]["call"], "send,stay");

    stage.now = 5;
    let (events, answer) = stage.say("c1", "<b>Hi</b>");
    let message = json!({ "id": 2, "from": "Ann", "text": "<b>Hi</b>", "at": 1_000_005 });
    let data = json!({ "idx": 1, "value": { "data": message } });
    assert_eq!(events, [event("chat.messages.add", data)]);
    assert_eq!(answer, json!({ "result": null }));
    assert_eq!(code(&stage.say("c1", "again").1), "demo.tooFast");
    stage.now += 1_000;
    for text in ["", " \t", "a\u{7}b", &"x".repeat(401)] {
        assert_eq!(code(&stage.say("c1", text).1), "system.invalidParams");
    }
}

#[test]
fn a_name_is_had_once_and_comes_back_by_its_key() {
    let mut stage = Stage::new();
    stage.login("c1", "Ann", "k1");
    for (cid, name, key) in [("c2", "ann", "k2"), ("c2", "ANN", ""), ("c3", "Ann", "k3")] {
        let (events, answer) = stage.login(cid, name, key);
        assert_eq!((events.len(), code(&answer)), (0, "demo.nameTaken"));
    }
    // The same page, on a new connection: nothing is to be seen of that.
    let (events, answer) = stage.login("c4", "Ann", "k1");
    assert_eq!(code(&answer), "none");
    assert_eq!(events.len(), 1, "the token alone: {events:?}");
    assert_eq!(code(&stage.say("c1", "old").1), "system.accessDenied");
    assert_eq!(code(&stage.say("c4", "new").1), "none");
    // Another name, then another way to write it.
    for name in ["Eve", "EVE"] {
        let (events, _) = stage.login("c4", name, "k1");
        let expected = [
            event("chat.people.remove", json!({ "idx": 0 })),
            event("chat.people.add", json!({ "idx": 0, "value": name })),
        ];
        assert_eq!(events[..2], expected);
        assert_eq!(stage.get("chat.people")["collection"], json!([name]));
    }
    let (events, _) = stage.ask("auth.demo.chat.logout", &json!({ "cid": "c4" }));
    let expected = [
        event("chat.people.remove", json!({ "idx": 0 })),
        ("conn.c4.token".to_owned(), json!({ "token": null })),
    ];
    assert_eq!(events, expected);
}

#[test]
fn who_is_silent_for_long_is_gone() {
    let mut stage = Stage::new();
    stage.login("c1", "Ann", "k1");
    stage.now = 60_000;
    stage.login("c2", "Bob", "k2");
    let stay = json!({ "cid": "c1" });
    stage.ask("call.demo.chat.people.stay", &stay);
    stage.now = 150_000;
    stage.ask("call.demo.chat.people.stay", &stay);
    stage.now = 160_000;
    stage.demo.timeout(stage.now);
    let heard = stage.settle();
    let gone = heard.iter().filter(|(sid, ..)| *sid != ANSWERS);
    let subjects: Vec<&str> = gone.map(|(_, subject, _)| subject.as_str()).collect();
    assert!(subjects.contains(&"conn.c2.token"), "{subjects:?}");
    assert!(subjects.contains(&"event.demo.chat.people.remove"));
    assert!(!subjects.contains(&"conn.c1.token"));
    assert_eq!(stage.get("chat.people")["collection"], json!(["Ann"]));
}

#[test]
fn the_chat_is_bounded() {
    let mut stage = Stage::new();
    for number in 0..50 {
        let answer = stage
            .login(&format!("c{number}"), &format!("n{number}"), "")
            .1;
        assert_eq!(code(&answer), "none");
    }
    assert_eq!(code(&stage.login("more", "more", "").1), "demo.crowded");
    for number in 0..50 {
        stage.now += 1_000;
        stage.say("c0", &number.to_string());
    }
    let kept = stage.get("chat.messages")["collection"].clone();
    let kept = kept.as_array().expect("a collection");
    assert_eq!(kept.len(), 40);
    assert_eq!(kept[39]["data"]["text"], "49");
}

#[test]
fn queries_are_written_in_one_way() {
    let mut stage = Stage::new();
    let table = [
        ("q=", "q=&sort=number&from=0", 8, "demo.element.1"),
        ("from=112", "q=&sort=number&from=112", 6, "demo.element.113"),
        (
            "sort=name&q=IUM%20",
            "q=ium&sort=name&from=0",
            8,
            "demo.element.89",
        ),
        ("q=fe&x=1", "q=fe&sort=number&from=0", 2, "demo.element.26"),
        (
            "from=-1&sort=?",
            "q=&sort=number&from=0",
            8,
            "demo.element.1",
        ),
        ("q=zzz", "q=zzz&sort=number&from=0", 0, ""),
    ];
    for (query, normalised, count, first) in table {
        let (written, rids) = stage.query(query);
        assert_eq!(written, normalised, "{query}");
        assert_eq!(rids.len(), count, "{query}: {rids:?}");
        assert_eq!(rids.first().map_or("", String::as_str), first, "{query}");
        let (again, _) = stage.query(normalised);
        assert_eq!(again, normalised);
    }
    let (query, all) = stage.query("");
    assert_eq!((query, all.len()), (Value::Null, 8));
    let (_, count) = stage.ask("get.demo.elements.count", &json!({ "query": "q=ium" }));
    assert_eq!(count["result"]["model"]["page"], 8);
    assert_eq!(stage.get("element.118")["model"]["name"], "Oganesson");
    for name in [
        "element.0",
        "element.119",
        "element.x",
        "elements.x",
        "nothing",
    ] {
        let (_, answer) = stage.ask(&format!("get.demo.{name}"), &json!({}));
        assert_eq!(code(&answer), "system.notFound", "{name}");
    }
}

#[test]
fn a_star_changes_the_order() {
    let mut stage = Stage::new();
    let (events, answer) = stage.call("element.26.star", Value::Null);
    let expected = [
        event("element.26.change", json!({ "values": { "stars": 1 } })),
        event(
            "elements.query",
            json!({ "subject": "query.demo.elements" }),
        ),
    ];
    assert_eq!(
        (&*events, answer["result"].is_null()),
        (&expected[..], true)
    );
    let request = json!({ "query": "q=&sort=stars&from=0" });
    let (_, answer) = stage.ask("query.demo.elements", &request);
    let first = &rids(&answer["result"]["collection"])[..2];
    assert_eq!(first, ["demo.element.26", "demo.element.1"]);
}

#[test]
fn what_is_no_request_is_refused() {
    let mut stage = Stage::new();
    let mut ask = |subject: &str, payload: &[u8]| {
        stage.demo.take(subject.as_bytes(), b"answer.1", payload, 0);
        let heard = stage.settle();
        heard.last().map(|(.., answer)| code(answer).to_owned())
    };
    let some = |code: &str| Some(code.to_owned());
    assert_eq!(ask("get.demo.books", b""), some("none"));
    assert_eq!(ask("get.demo.books", b"{"), some("system.internalError"));
    let large = vec![b' '; 20_000];
    assert_eq!(ask("get.demo.books", &large), some("system.invalidParams"));
    for method in [
        "books.fly",
        "book.1.fly",
        "tide.fly",
        "element.1.fly",
        "fly",
        "x.y",
    ] {
        let code = ask(&format!("call.demo.{method}"), b"{}");
        assert_eq!(code, some("system.methodNotFound"), "{method}");
    }
    let forged = br#"{"cid":"a b\r\nPUB","params":{"name":"Ann"}}"#;
    assert_eq!(
        ask("auth.demo.chat.login", forged),
        some("system.accessDenied")
    );
    assert_eq!(ask("get.other.books", b"{}"), None);
    assert_eq!(ask("\u{ff}", b"{}"), None);
    // Without a subject for the answer there is none.
    stage.demo.take(b"get.demo.books", b"", b"{}", 0);
    assert_eq!(stage.demo.next_message(), None);
}

#[test]
fn pages_are_found_and_small() {
    let pages = pages::Pages::new(&pages::Facts {
        program: "tidegate",
        broker: "127.0.0.1:4222",
        ws_path: "/",
        api_path: "/api/",
        console_path: "/console",
    });
    let mut size = 0;
    let is_comment = |line: &str| {
        line == "*"
            || ["/*", "* ", " "]
                .iter()
                .any(|begin| line.starts_with(begin))
    };
    for path in ["/", "/tidegate.js", "/demo.js", "/demo.css", "/favicon.svg"] {
        let page = pages.find(path).expect(path);
        size += page.body.len();
        let text = std::str::from_utf8(page.body).expect("text");
        let left: Vec<&str> = text.lines().filter(|line| is_comment(line)).collect();
        assert!(!text.is_empty() && left.is_empty(), "{path}: {left:?}");
    }
    assert!(size < 50 << 10, "{size} bytes");
    let facts = pages.find("/demo.json").expect("facts").body;
    let facts: Value = serde_json::from_slice(facts).expect("JSON");
    assert_eq!(facts["broker"], "127.0.0.1:4222");
    assert!(pages.find("/api/").is_none() && pages.find("").is_none());
}
