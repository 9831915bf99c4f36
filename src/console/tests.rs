//! The console before a real heart: what is withheld, answered, told and hidden.

use std::collections::HashSet;
use std::io::Write;

use serde_json::{Value, json};

use super::frames::{FRAME_MAX, FRAMES_MAX, TRACED_MAX};
use super::pages::Pages;
use super::views::ROWS;
use super::{Console, Facts, Frame, Host, KEPT};
use crate::gateway::{BrokerLimits, BrokerOp, ClientKey, Gateway, Options, Outbox, Stats, Time};
use crate::metrics::{Metrics, Snapshot, Traffic};

const TOKEN: &str = "0123456789abcdef";

/// What the process is to the console.
struct Process {
    gateway: Gateway,
    /// Connection IDs of those who may see it.
    allowed: HashSet<String>,
    metrics: Metrics,
}

impl Host for Process {
    fn may_see(&mut self, cid: &str, _token: Option<&str>) -> bool {
        self.allowed.contains(cid)
    }

    fn let_in(&mut self, cid: &str) -> bool {
        self.allowed.insert(cid.to_owned());
        true
    }

    fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    fn queued(&self, _client: ClientKey) -> usize {
        7
    }
}

struct Stage {
    process: Process,
    console: Console,
    out: Outbox,
    now: u64,
    /// Messages for clients.
    sent: Vec<(ClientKey, Value)>,
    /// Subjects that went to NATS, of messages and subscriptions.
    asked: Vec<String>,
    last_id: u64,
}

impl Stage {
    fn new() -> Self {
        let facts = Facts {
            token: Some(TOKEN.to_owned()),
            ws_path: "/".to_owned(),
            api_path: "/api/".to_owned(),
            seed: 42,
        };
        let options = Options {
            finds_clients: true,
            ..Options::default()
        };
        let mut stage = Self {
            process: Process {
                gateway: Gateway::new(options),
                allowed: HashSet::new(),
                metrics: Metrics::new(0),
            },
            console: Console::new(facts, 0, 1_700_000_000_000),
            out: Outbox::default(),
            now: 0,
            sent: Vec::new(),
            asked: Vec::new(),
            last_id: 0,
        };
        let limits = BrokerLimits {
            max_payload: 1 << 20,
            max_line: 4_096,
        };
        (stage.process.gateway).broker_connected(Time(0), limits, &mut stage.out);
        stage.settle();
        stage.asked.clear();
        stage
    }

    /// A WebSocket client; whether it may see the console.
    fn connect(&mut self, key: u32, may_see: bool) -> String {
        let (client, remote) = (ClientKey(key), ([127, 0, 0, 1], 5_000).into());
        let gateway = &mut self.process.gateway;
        gateway.client_connected(
            Time(self.now),
            client,
            Box::default(),
            remote,
            &mut self.out,
        );
        let cid = gateway.cid(client).expect("it is there").to_owned();
        if may_see {
            self.process.allowed.insert(cid.clone());
        }
        self.settle();
        self.ask(key, "version", &json!({ "protocol": "1.2.3" }));
        cid
    }

    /// Carries out what the heart wants, as the loop does, until nothing is left.
    fn settle(&mut self) {
        loop {
            let console = &mut self.console;
            self.out.withhold(|op, bytes| console.withhold(op, bytes));
            for op in self.out.broker() {
                if let BrokerOp::Publish { subject, .. } | BrokerOp::Subscribe { subject, .. } = *op
                {
                    let subject = String::from_utf8_lossy(self.out.bytes(subject));
                    self.asked.push(subject.into_owned());
                }
            }
            let sent = self.out.drain_clients().filter_map(|(client, delivery)| {
                let text = delivery.text()?;
                Some((client, serde_json::from_slice(&text).expect("JSON")))
            });
            self.sent.extend(sent);
            self.out.clear();
            let now = Time(self.now);
            if let Some(letter) = self.console.next(&mut self.process, self.now) {
                (self.process.gateway).broker_message(now, letter.message(), &mut self.out);
            } else if self.process.gateway.has_work() {
                self.process.gateway.go_on(now, &mut self.out);
            } else if !self.console.has_work() {
                return;
            }
        }
    }

    /// The answer to a request of a client; the events that came with it stay.
    fn ask(&mut self, client: u32, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let request = json!({ "id": self.last_id, "method": method, "params": params });
        let (now, key) = (Time(self.now), ClientKey(client));
        let text = request.to_string();
        let gateway = &mut self.process.gateway;
        gateway.client_message(now, key, text.as_bytes(), &mut self.out);
        self.settle();
        let is_it =
            |(to, message): &(ClientKey, Value)| *to == key && message["id"] == self.last_id;
        let place = self.sent.iter().position(is_it).expect("an answer");
        self.sent.remove(place).1
    }

    fn subscribe(&mut self, client: u32, rid: &str) -> Value {
        self.ask(client, &format!("subscribe.{rid}"), &Value::Null)
    }

    /// The model in an answer.
    fn model(&mut self, client: u32, rid: &str) -> Value {
        self.subscribe(client, rid)["result"]["models"][rid].clone()
    }

    /// Time passes.
    fn wait(&mut self, millis: u64) {
        self.now += millis;
        let (gateway, now) = (&self.process.gateway, self.now);
        let snapshot = snapshot(&self.process.metrics, gateway, gateway.stats());
        (self.console).timeout(now, 1_700_000_000_000 + now, &snapshot, gateway);
        self.settle();
        (self.process.gateway).timeout(Time(now), &mut self.out);
        self.settle();
    }

    /// The events that clients were sent.
    fn events(&mut self) -> Vec<(u32, String, Value)> {
        let events = self.sent.drain(..).filter_map(|(client, message)| {
            let event = message["event"].as_str()?.to_owned();
            Some((client.0, event, message["data"].clone()))
        });
        events.collect()
    }

    /// A frame of a client, as the loop shows it.
    fn frame(&mut self, client: u32, is_request: bool, text: &str) {
        let frame = Frame {
            client: ClientKey(client),
            is_request,
            text: text.as_bytes(),
            unix: 1,
        };
        (self.console).see(&frame, &self.process.gateway, self.now);
        self.settle();
    }

    /// The texts of frames that a client was shown.
    fn shown(&mut self) -> Vec<String> {
        let events = self.events().into_iter();
        let frames = events.filter(|(_, event, _)| event.ends_with(".frame"));
        frames
            .map(|(_, _, data)| data["text"].as_str().expect("a text").to_owned())
            .collect()
    }
}

fn snapshot<'a>(metrics: &'a Metrics, gateway: &'a Gateway, stats: Stats) -> Snapshot<'a> {
    Snapshot {
        metrics,
        counters: gateway.counters(),
        stats,
        connections: stats.clients,
        refused_connections: [3, 0],
        client_bytes_out: 0,
        slow_clients: 2,
        buffers: 0,
        broker_traffic: Traffic::default(),
        broker_published: 0,
        broker_connected: true,
        broker_inside: None,
        broker_away: 0,
        memory: None,
    }
}

#[test]
fn nothing_of_it_goes_to_nats_and_all_else_does() {
    let mut stage = Stage::new();
    stage.connect(0, true);
    stage.subscribe(0, "$tidegate.now");
    stage.subscribe(0, "$tidegate.clients?from=0");
    stage.wait(10_000);
    // But for what is said of the connection, which is a service's affair.
    let is_of_connection = |subject: &String| subject.starts_with("conn.");
    assert!(
        stage.asked.iter().all(is_of_connection),
        "{:?}",
        stage.asked
    );
    stage.asked.clear();
    for rid in [
        "$tidegate",
        "$tidegates.now",
        "a.$tidegate.now",
        "tidegate.now",
    ] {
        let id = stage.last_id + 1;
        let request = json!({ "id": id, "method": format!("subscribe.{rid}") }).to_string();
        let (now, out) = (Time(stage.now), &mut stage.out);
        let gateway = &mut stage.process.gateway;
        gateway.client_message(now, ClientKey(0), request.as_bytes(), out);
        stage.last_id = id;
        stage.settle();
        let subjects = [
            format!("event.{rid}.*"),
            format!("access.{rid}"),
            format!("get.{rid}"),
        ];
        let mut asked = std::mem::take(&mut stage.asked);
        asked.sort_by_key(|subject| subjects.iter().position(|it| it == subject));
        assert_eq!(asked, subjects);
    }
    stage.process.gateway.audit().expect("sound");
}

/// What the heart forgets while NATS is away it does not unsubscribe.
#[test]
fn nothing_is_told_of_what_the_heart_has_forgotten() {
    let mut stage = Stage::new();
    stage.connect(0, true);
    for rid in ["$tidegate.now", "$tidegate.services"] {
        stage.subscribe(0, rid);
    }
    let (now, out) = (Time(stage.now), &mut stage.out);
    stage.process.gateway.broker_lost(now, out);
    stage.settle();
    stage.events();
    // Whoever looks is still told.
    stage.wait(2_000);
    let events = stage.events();
    assert!(
        events
            .iter()
            .any(|(_, event, _)| event == "$tidegate.now.change"),
        "{events:?}"
    );
    let (now, out) = (Time(stage.now), &mut stage.out);
    stage.process.gateway.client_closed(now, ClientKey(0), out);
    stage.settle();
    for _ in 0..10 {
        stage.wait(2_000);
    }
    assert!(stage.console.sids.is_empty() && stage.console.names.is_empty());
    stage.process.gateway.audit().expect("sound");
}

#[test]
fn whoever_may_not_sees_nothing() {
    let mut stage = Stage::new();
    let cid = stage.connect(0, false);
    let client = format!("$tidegate.client.{cid}");
    for rid in [
        "$tidegate.now",
        "$tidegate.history",
        "$tidegate.clients?from=0",
        "$tidegate.nothing",
        &client,
    ] {
        assert_eq!(
            stage.subscribe(0, rid)["error"]["code"],
            "system.accessDenied",
            "{rid}"
        );
        let get = stage.ask(0, &format!("get.{rid}"), &Value::Null);
        assert_eq!(get["error"]["code"], "system.accessDenied", "{rid}");
    }
    let trace = stage.ask(0, &format!("call.{client}.trace"), &Value::Null);
    assert_eq!(trace["error"]["code"], "system.accessDenied");
    // Also not while another one looks.
    stage.connect(1, true);
    assert!(stage.model(1, "$tidegate.now").is_object());
    let denied = stage.subscribe(0, "$tidegate.now");
    assert_eq!(denied["error"]["code"], "system.accessDenied");
    stage.wait(5_000);
    assert!(stage.events().iter().all(|(client, ..)| *client == 1));
}

#[test]
fn the_token_lets_a_connection_in() {
    let mut stage = Stage::new();
    stage.connect(0, false);
    let login = "auth.$tidegate.console.login";
    for params in [
        json!(null),
        json!({}),
        json!({ "token": null }),
        json!({ "token": "" }),
        json!({ "token": "0123456789abcdeg" }),
        json!({ "token": [TOKEN] }),
    ] {
        let answer = stage.ask(0, login, &params);
        assert_eq!(answer["error"]["code"], "system.accessDenied", "{params}");
    }
    let denied = stage.subscribe(0, "$tidegate.gateway");
    assert_eq!(denied["error"]["code"], "system.accessDenied");
    let answer = stage.ask(0, login, &json!({ "token": TOKEN }));
    assert_eq!(answer["result"], json!({ "payload": null }));
    assert_eq!(stage.model(0, "$tidegate.gateway")["wsPath"], "/");
    let answer = stage.ask(0, "auth.$tidegate.console.logout", &Value::Null);
    assert_eq!(answer["error"]["code"], "system.methodNotFound");
    let answer = stage.ask(0, "call.$tidegate.now.set", &Value::Null);
    assert_eq!(answer["error"]["code"], "system.methodNotFound");
    let large = json!({ "token": "x".repeat(20_000) });
    let answer = stage.ask(0, login, &large);
    assert_eq!(answer["error"]["code"], "system.invalidParams");
}

#[test]
fn figures_come_each_second_while_somebody_looks() {
    let mut stage = Stage::new();
    stage.connect(0, true);
    stage.wait(1_000);
    assert_eq!(stage.events(), []);
    let now = stage.model(0, "$tidegate.now");
    assert_eq!(
        (&now["closedSlow"], &now["refusedConnections"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(now["time"], 1_700_000_001);
    assert_eq!(now["eventsPerSecond"], 0);
    stage.process.metrics.deliveries += 50;
    stage.process.metrics.turns.observe(120);
    stage.process.metrics.turns.observe(80);
    stage.wait(2_000);
    let events = stage.events();
    let [(0, name, data)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(name, "$tidegate.now.change");
    let values = &data["values"];
    assert_eq!(values["deliveriesPerSecond"], 25);
    assert_eq!(
        (&values["turnMs"], &values["turnMaxMs"]),
        (&json!(0.1), &json!(0.2))
    );
    assert_eq!(values["time"], 1_700_000_003);
    // What did not change is not told.
    assert!(values.get("closedSlow").is_none());
    stage.ask(0, "unsubscribe.$tidegate.now", &Value::Null);
    stage.wait(6_000);
    stage.wait(6_000);
    assert_eq!(stage.events(), []);
    assert!(stage.console.sids.is_empty() && stage.console.names.is_empty());
}

#[test]
fn the_last_minutes_are_kept_and_stay_in_step() {
    let mut stage = Stage::new();
    stage.connect(0, true);
    for _ in 0..KEPT - 1 {
        stage.wait(1_000);
    }
    let answer = stage.subscribe(0, "$tidegate.history");
    let rows = answer["result"]["collections"]["$tidegate.history"].clone();
    let mut rows = rows.as_array().expect("a list").clone();
    assert_eq!(rows.len(), KEPT - 1);
    for second in 0..3 {
        stage.wait(1_000);
        for (_, name, data) in stage.events() {
            let idx = data["idx"].as_u64().expect("a place") as usize;
            match &*name {
                "$tidegate.history.add" => rows.insert(idx, data["value"].clone()),
                "$tidegate.history.remove" => drop(rows.remove(idx)),
                _ => panic!("{name}"),
            }
        }
        assert_eq!(rows.len(), KEPT);
        let of = |place: usize| &rows[place]["data"]["time"];
        let last = 1_700_000_000 + KEPT + second;
        assert_eq!(
            (of(0), of(KEPT - 1)),
            (&json!(last - KEPT + 1), &json!(last))
        );
    }
}

#[test]
fn clients_and_what_they_hold_are_seen_in_parts() {
    let mut stage = Stage::new();
    stage.connect(0, true);
    let mut cids = HashSet::new();
    for key in 1..=2 * ROWS as u32 {
        cids.insert(stage.connect(key, false));
    }
    let (mut from, mut seen) = (json!(0), HashSet::new());
    while !from.is_null() {
        let page = stage.model(0, &format!("$tidegate.clients?from={from}"));
        assert_eq!(page["total"], 2 * ROWS + 1);
        let rows = page["rows"]["data"].as_array().expect("rows").clone();
        assert!(rows.len() <= ROWS);
        seen.extend(
            rows.iter()
                .map(|row| row["cid"].as_str().expect("an ID").to_owned()),
        );
        from = page["next"].clone();
    }
    assert!(cids.is_subset(&seen) && seen.len() == cids.len() + 1);

    let own = stage
        .process
        .gateway
        .cid(ClientKey(0))
        .expect("there")
        .to_owned();
    let holds = stage.model(0, &format!("$tidegate.client.{own}.holds?from=1"));
    assert_eq!(
        holds["rows"]["data"].as_array().map(Vec::len),
        Some(3),
        "{holds}"
    );
    let client = stage.model(0, &format!("$tidegate.client.{own}"));
    assert_eq!(
        (&client["queuedBytes"], &client["connected"]),
        (&json!(7), &json!(true))
    );
    for rid in [
        "$tidegate.client.nobody",
        "$tidegate.client.nobody.holds?from=0",
        "$tidegate.x",
    ] {
        assert_eq!(
            stage.subscribe(0, rid)["error"]["code"],
            "system.notFound",
            "{rid}"
        );
    }
    stage.process.gateway.audit().expect("sound");
}

/// However few are left of many, a look takes no longer.
#[test]
fn a_thin_list_is_seen_in_parts_too() {
    const PLACES: u32 = 5_000;
    let mut stage = Stage::new();
    stage.connect(0, true);
    let last = stage.connect(PLACES, false);
    let page = stage.model(0, "$tidegate.clients?from=1");
    assert_eq!(page["rows"]["data"], json!([]));
    let next = page["next"].as_u64().expect("it goes on");
    assert!(next > 1 && next < u64::from(PLACES), "{next}");
    let page = stage.model(0, &format!("$tidegate.clients?from={next}"));
    assert_eq!(
        (&page["next"], &page["rows"]["data"][0]["cid"]),
        (&Value::Null, &json!(last))
    );
}

#[test]
fn holders_of_a_resource_are_seen_and_followed() {
    let mut stage = Stage::new();
    stage.connect(0, true);
    let other = stage.connect(1, true);
    let rid = "$tidegate.resource.holders?rid=%24tidegate.gateway&from=0";
    assert_eq!(stage.model(0, rid)["rows"]["data"], json!([]));
    let about = "$tidegate.resource?rid=%24tidegate.gateway";
    assert_eq!(stage.model(0, about)["kind"], Value::Null);
    stage.subscribe(1, "$tidegate.gateway");
    stage.wait(2_000);
    let events = stage.events();
    let change = |name: &str| {
        let name = format!("{name}.change");
        let event = events.iter().find(|(_, event, _)| *event == name);
        event
            .map(|(_, _, data)| data["values"].clone())
            .expect("a change")
    };
    let row = json!({ "cid": other, "direct": 1, "references": 0, "state": "live" });
    assert_eq!(change(rid)["rows"]["data"], json!([row]));
    assert_eq!(
        (&change(about)["kind"], &change(about)["holders"]),
        (&json!("model"), &json!(1))
    );
    // Nothing is told of what stays as it is.
    stage.wait(2_000);
    assert_eq!(stage.events(), []);
    assert_eq!(
        stage.subscribe(0, "$tidegate.resource")["error"]["code"],
        "system.notFound"
    );
}

#[test]
fn a_client_that_goes_is_shown_so() {
    let mut stage = Stage::new();
    stage.connect(0, true);
    let cid = stage.connect(1, false);
    stage.model(0, &format!("$tidegate.client.{cid}"));
    let trace = stage.ask(
        0,
        &format!("call.$tidegate.client.{cid}.trace"),
        &Value::Null,
    );
    assert_eq!(trace["result"]["payload"], json!({ "seconds": 60 }));
    stage.events();
    let gateway = &mut stage.process.gateway;
    gateway.client_closed(Time(stage.now), ClientKey(1), &mut stage.out);
    stage.settle();
    stage.wait(2_000);
    let events = stage.events();
    let of = |event: &str| {
        let name = format!("$tidegate.client.{cid}.{event}");
        events.iter().find(|(_, event, _)| *event == name)
    };
    assert_eq!(
        of("change").expect("a change").2,
        json!({ "values": { "connected": false, "traced": false } })
    );
    assert!(of("traceEnd").is_some());
    assert!(!stage.console.is_tracing());
}

#[test]
fn frames_are_shown_masked_and_not_for_long() {
    let mut stage = Stage::new();
    let own = stage.connect(0, true);
    let cid = stage.connect(1, false);
    let rid = format!("$tidegate.client.{cid}");
    stage.model(0, &rid);
    stage.frame(1, true, r#"{"id":1,"method":"get.a"}"#);
    assert_eq!(stage.shown(), [""; 0], "nobody has asked");
    let refused = stage.ask(
        0,
        &format!("call.$tidegate.client.{own}.trace"),
        &Value::Null,
    );
    assert_eq!(refused["error"]["code"], "system.invalidParams");
    stage.ask(0, &format!("call.{rid}.trace"), &json!({ "seconds": 30 }));
    let request = r#"{"id":2,"method":"call.a.b","params":{"token":"hush","x":1}}"#;
    stage.frame(1, true, request);
    stage.frame(0, true, request);
    stage.frame(
        1,
        true,
        r#"{"id":3,"method":"\u0061uth.a.login","params":{"password":"hush"}}"#,
    );
    let long = format!(
        r#"{{"id":4,"method":"auth.a.b","params":"{}"}}"#,
        "hush".repeat(FRAME_MAX)
    );
    stage.frame(1, true, &long);
    stage.frame(1, false, r#"{"event":"$tidegate.client.x.frame","data":1}"#);
    stage.frame(
        1,
        false,
        r#"{"result":{"payload":{"token":"hush"}},"id":3}"#,
    );
    stage.frame(
        1,
        false,
        &format!("{{\"a\":\"{}\"}}", "é".repeat(FRAME_MAX)),
    );
    let shown = stage.shown();
    assert_eq!(shown.len(), 5, "{shown:?}");
    assert_eq!(
        shown[0],
        r#"{"id":2,"method":"call.a.b","params":{"token":"***","x":1}}"#
    );
    assert_eq!(
        shown[1],
        r#"{"id":3,"method":"auth.a.login","params":"***"}"#
    );
    assert_eq!(shown[2], r#"{"id":4,"method":"auth.a.b","params":"***"}"#);
    assert!(shown[4].len() <= FRAME_MAX + "…".len() && shown[4].ends_with('…'));
    assert!(shown.iter().all(|text| !text.contains("hush")));

    // More than can be read is counted.
    for _ in 0..FRAMES_MAX + 50 {
        stage.frame(1, true, request);
    }
    assert!(stage.shown().len() < FRAMES_MAX as usize + 1);
    stage.now += 1_000;
    stage.frame(1, true, request);
    let events = stage.events();
    let (.., data) = events.last().expect("a frame");
    assert!(data["leftOut"].as_u64() >= Some(50), "{data}");
    stage.wait(30_000);
    stage.frame(1, true, request);
    assert_eq!(stage.shown(), [""; 0]);
    assert!(!stage.console.is_tracing());
}

#[test]
fn few_clients_are_looked_at_at_a_time_and_streaks_are_followed() {
    let mut stage = Stage::new();
    stage.connect(0, true);
    for key in 1..=TRACED_MAX as u32 + 1 {
        let cid = stage.connect(key, false);
        let trace = format!("call.$tidegate.client.{cid}.trace");
        let answer = stage.ask(0, &trace, &Value::Null);
        let is_refused = key > TRACED_MAX as u32;
        assert_eq!(answer.get("error").is_some(), is_refused, "{answer}");
    }
    stage.console.begin_streak();
    stage.console.lead(ClientKey(2));
    stage.console.lead(ClientKey(99));
    assert_eq!(stage.console.followers(), [ClientKey(2)]);
    stage.console.begin_streak();
    assert_eq!(stage.console.followers(), []);
}

#[test]
fn query_requests_are_answered_to_the_heart_alone() {
    let mut stage = Stage::new();
    stage.connect(0, true);
    stage.subscribe(0, "$tidegate.now");
    let ask = |name: &str| {
        let request = json!({ "query": "from=0" });
        stage.console.query(name, &request, &stage.process).is_ok()
    };
    assert!(ask("2a.clients"));
    for name in ["clients", "0.clients", "2a", "2a.nothing", ""] {
        assert!(!ask(name), "{name}");
    }
}

#[test]
fn pages_are_found_and_small() {
    let pages = Pages::new("/look/here", "/ws\"<&");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for name in [
        "",
        "/tidegate.js",
        "/console.js",
        "/look.js",
        "/parts.js",
        "/plots.js",
        "/console.css",
        "/mark.svg",
    ] {
        let path = format!("/look/here{name}");
        let page = pages.find(&path).expect(name);
        assert!(pages.has(&path) && !page.body.is_empty());
        packed.write_all(page.body).expect("memory");
    }
    let size = packed.finish().expect("memory").len();
    assert!(size <= 60 << 10, "{size} bytes gzipped");
    let index = String::from_utf8_lossy(pages.find("/look/here/").expect("the page").body);
    assert!(index.contains(r#"data-ws="/ws&quot;&lt;&amp;""#) && !index.contains("{path}"));
    assert!(index.contains(r#"src="/look/here/console.js""#) && !index.contains("http"));
    for (path, has) in [
        ("/look/here/x", true),
        ("/look/hereafter", false),
        ("/look", false),
    ] {
        assert!(
            pages.has(path) == has && pages.find(path).is_none(),
            "{path}"
        );
    }
}
