//! Web answers that are large, or would be: what they take is bounded in each turn, and is
//! not taken twice.

use crate::driver::{Driver, INBOX, Input, Operation, web_get};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use tidegate::gateway::{BrokerMessage, ClientKey, Delivery, Message, Options, WebBody};

/// Work units of a turn, and what its last step may pass that by.
const UNITS: u32 = 4_000;
const STEP: u64 = 1_100;

/// Services with some resources, and web clients.
struct Web {
    driver: Driver,
    /// Get results by name.
    resources: BTreeMap<String, String>,
    /// Subjects and reply subjects.
    asked: VecDeque<(String, String)>,
    answers: Vec<(ClientKey, u16, WebBody)>,
    events: BTreeMap<String, u64>,
    /// Requests for content so far.
    gets: usize,
    /// The work units of the turn that took most.
    most: u64,
}

impl Web {
    fn new(options: Options, resources: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut web = Self {
            driver: Driver::new(options, 1_000),
            resources: resources.into_iter().collect(),
            asked: VecDeque::new(),
            answers: Vec::new(),
            events: BTreeMap::new(),
            gets: 0,
            most: 0,
        };
        web.driver.audits = false;
        web.input(Input::Broker {
            max_payload: 1 << 20,
        });
        web
    }

    fn input(&mut self, input: Input<'_>) {
        let before = self.driver.gateway.work_done();
        let output = self.driver.input(UNITS, input);
        let done = self.driver.gateway.work_done() - before;
        self.most = self.most.max(done);
        for operation in output.broker {
            match operation {
                Operation::Publish { subject, reply, .. } => self.asked.push_back((subject, reply)),
                Operation::Subscribe { sid, subject } => {
                    self.events.insert(subject, sid);
                }
                Operation::Unsubscribe { .. } => {}
            }
        }
        for (client, delivery) in output.clients {
            let Delivery::Web(response) = delivery else {
                panic!("{delivery:?} for a web request");
            };
            let body = response.body.expect("each answer has a body");
            self.answers.push((client, response.status, body));
        }
    }

    fn message(&mut self, sid: u64, subject: &str, payload: &str) {
        self.input(Input::Message(BrokerMessage {
            sid,
            subject: subject.as_bytes(),
            payload: payload.as_bytes(),
            status: None,
            reply: None,
        }));
    }

    fn event(&mut self, name: &str, event: &str, payload: &str) {
        let sid = self.events[&format!("event.{name}.*")];
        self.message(sid, &format!("event.{name}.{event}"), payload);
    }

    fn get(&mut self, client: u32, path: &str) {
        self.input(Input::Web(ClientKey(client), web_get(path)));
    }

    /// Services answer, and turns follow, until nothing is left.
    fn serve(&mut self) {
        loop {
            while let Some((subject, reply)) = self.asked.pop_front() {
                let payload = match subject.strip_prefix("get.") {
                    Some(name) => match self.resources.get(name) {
                        Some(result) => format!(r#"{{"result":{result}}}"#),
                        None => r#"{"error":{"code":"system.notFound","message":"M"}}"#.to_owned(),
                    },
                    None => r#"{"result":{"get":true}}"#.to_owned(),
                };
                self.gets += usize::from(subject.starts_with("get."));
                self.message(INBOX, &reply, &payload);
            }
            if !self.driver.gateway.has_work() {
                return;
            }
            self.input(Input::GoOn);
        }
    }

    /// One GET, from beginning to end. Returns the status, the body, and the work units.
    fn got(&mut self, path: &str) -> (u16, String, u64) {
        let before = self.driver.gateway.work_done();
        self.get(0, path);
        self.serve();
        let (_, status, body) = self.answers.pop().expect("an answer");
        assert!(self.answers.is_empty());
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        (status, body, self.driver.gateway.work_done() - before)
    }
}

fn flat(flat: bool) -> Options {
    Options {
        flat,
        ..Options::default()
    }
}

fn reference(name: &str) -> String {
    format!(r#"{{"rid":"{name}"}}"#)
}

fn collection(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    format!(r#"{{"collection":[{}]}}"#, items.join(","))
}

/// Thirty collections, each of which has the next one twice.
fn doubling() -> Vec<(String, String)> {
    let level = |n: usize| {
        let next = reference(&format!("d.{}", n + 1));
        (format!("d.{n}"), collection([next.clone(), next]))
    };
    let end = ("d.30".to_owned(), r#"{"model":{"a":1}}"#.to_owned());
    (0..30).map(level).chain([end]).collect()
}

/// Fifteen users that list each other.
fn friends() -> Vec<(String, String)> {
    let user = |n: usize| {
        let others = (0..15).filter(move |other| *other != n);
        let others = others.map(|other| reference(&format!("u.{other}")));
        (format!("u.{n}"), collection(others))
    };
    (0..15).map(user).collect()
}

/// Members of a ring, each of which has the one before and the next.
fn ring(length: usize) -> Vec<(String, String)> {
    let member = |n: usize| {
        let next = reference(&format!("r.{}", (n + 1) % length));
        let previous = reference(&format!("r.{}", (n + length - 1) % length));
        (format!("r.{n}"), collection([next, previous]))
    };
    (0..length).map(member).collect()
}

/// A list of small models.
fn list(length: usize) -> Vec<(String, String)> {
    let model = |n: usize| (format!("m.{n}"), format!(r#"{{"model":{{"n":{n}}}}}"#));
    let items = collection((0..length).map(|n| reference(&format!("m.{n}"))));
    let root = ("list".to_owned(), items);
    (0..length).map(model).chain([root]).collect()
}

#[test]
fn what_would_be_too_large_is_refused_in_bounded_turns_and_remembered() {
    for (graph, path) in [(doubling(), "d/0"), (friends(), "u/3")] {
        for is_flat in [false, true] {
            let mut web = Web::new(flat(is_flat), graph.clone());
            let (status, body, first) = web.got(path);
            assert_eq!(status, 500);
            assert!(body.contains("too large: more than") && body.contains("(apiMax"));
            assert!(first < 600_000, "{first}");
            assert!(
                web.most <= u64::from(UNITS) + STEP,
                "{} in one turn",
                web.most
            );
            // The second one costs what a small answer costs.
            let (status, again, second) = web.got(path);
            assert_eq!((status, again), (500, body));
            assert!(second < 100, "{second}");
            // A change that does not matter to the limit is looked at.
            let name = path.replace('/', ".");
            web.event(&name, "add", r#"{"idx":0,"value":1}"#);
            web.serve();
            assert_eq!(web.got(path).0, 500);
            // One that does makes it possible.
            let length = if path == "d/0" { 3 } else { 15 };
            for _ in 0..length {
                web.event(&name, "remove", r#"{"idx":0}"#);
            }
            web.serve();
            assert_eq!(web.got(path).1, "[]");
        }
    }
}

#[test]
fn a_doubling_graph_is_counted_and_not_walked() {
    let options = Options {
        web_resources: u64::MAX,
        ..Options::default()
    };
    let mut web = Web::new(options, doubling());
    let (status, body, units) = web.got("d/0");
    assert_eq!(status, 500);
    assert!(body.contains("apiMaxBytes"), "{body}");
    assert!(units < 3_000, "{units}");
}

#[test]
fn a_ring_is_cut_where_it_closes_in_bounded_turns() {
    let length = 5_000;
    let mut web = Web::new(flat(false), ring(length));
    let (status, body, units) = web.got("r/0");
    assert_eq!(status, 200);
    // Each way round has all others.
    assert_eq!(body.matches(r#""collection""#).count(), 2 * (length - 1));
    assert_eq!(body.matches("href").count(), 4 * (length - 1) + 2);
    assert!(units < 100 * length as u64, "{units}");
    assert!(
        web.most <= u64::from(UNITS) + STEP,
        "{} in one turn",
        web.most
    );
    let (_, again, second) = web.got("r/0");
    assert_eq!(again, body);
    assert!(second < 100, "{second}");
}

#[test]
fn many_gets_of_a_large_list_are_answered_with_one_body() {
    let length = 20_000;
    let mut web = Web::new(flat(false), list(length));
    let (status, body, _) = web.got("list");
    assert_eq!(status, 200);
    assert_eq!(body.matches("href").count(), length);
    // Something in it has changed since.
    web.event("m.7", "change", r#"{"values":{"n":70}}"#);
    web.serve();
    let (gets, before) = (web.gets, web.driver.gateway.work_done());
    web.most = 0;
    for client in 0..40 {
        web.get(client, "list");
    }
    // Nobody needs a subscription of what is in the list.
    assert_eq!(web.driver.gateway.stats().subscriptions, 40);
    web.serve();
    let units = web.driver.gateway.work_done() - before;
    assert_eq!((web.answers.len(), web.gets), (40, gets));
    assert!(
        web.most <= u64::from(UNITS) + STEP,
        "{} in one turn",
        web.most
    );
    assert!(units < 8 * length as u64, "{units}");
    let mut bodies: Vec<Rc<Message>> = Vec::new();
    for (_, status, body) in web.answers.drain(..) {
        assert_eq!(status, 200);
        let WebBody::Shared(body) = body else {
            panic!("a body of its own");
        };
        bodies.push(body);
    }
    assert!(bodies.iter().all(|body| Rc::ptr_eq(body, &bodies[0])));
    let text = String::from_utf8(bodies[0].text().to_vec()).expect("UTF-8");
    assert_eq!(text, body.replace(r#""n":7}"#, r#""n":70}"#));
}

#[test]
fn an_answer_is_no_older_than_its_request() {
    let mut web = Web::new(flat(false), list(3_000));
    let (_, body, _) = web.got("list");
    // One is being made.
    web.event("m.7", "change", r#"{"values":{"n":70}}"#);
    web.get(1, "list");
    while web.answers.is_empty() && !web.asked.is_empty() {
        let (_, reply) = web.asked.pop_front().expect("access is asked");
        web.message(INBOX, &reply, r#"{"result":{"get":true}}"#);
    }
    assert!(web.answers.is_empty(), "all in one turn");
    // What has changed by then is in the answers that were asked for later.
    web.event("m.8", "change", r#"{"values":{"n":80}}"#);
    web.get(2, "list");
    web.get(3, "list");
    web.serve();
    let old = body.replace(r#""n":7}"#, r#""n":70}"#);
    let new = old.replace(r#""n":8}"#, r#""n":80}"#);
    web.answers.sort_by_key(|(client, ..)| client.0);
    let answers: Vec<_> = web.answers.iter().map(|(.., body)| body.to_vec()).collect();
    assert!(answers[0] == old.as_bytes() || answers[0] == new.as_bytes());
    assert!(answers[1] == new.as_bytes() && answers[2] == new.as_bytes());
}

#[test]
fn an_answer_that_nobody_waits_for_is_not_made() {
    let mut web = Web::new(flat(false), list(20_000));
    web.got("list");
    web.event("m.7", "change", r#"{"values":{"n":70}}"#);
    for client in 1..4 {
        web.get(client, "list");
    }
    while let Some((_, reply)) = web.asked.pop_front() {
        web.message(INBOX, &reply, r#"{"result":{"get":true}}"#);
    }
    let before = web.driver.gateway.work_done();
    for client in 1..4 {
        web.input(Input::Close(ClientKey(client)));
    }
    web.serve();
    let units = web.driver.gateway.work_done() - before;
    assert!(units < 3 * u64::from(UNITS), "{units}");
    assert!(web.answers.is_empty());
    assert_eq!(web.driver.gateway.audit(), Ok(()));
}

#[test]
fn what_the_cache_has_lost_is_asked_for_again() {
    let mut web = Web::new(flat(false), list(50));
    let (_, body, _) = web.got("list");
    // Between the look at the list and the answer to access.
    web.get(1, "list");
    web.event("m.7", "delete", "");
    web.serve();
    let (.., answer) = web.answers.pop().expect("an answer");
    assert_eq!(&*answer, body.as_bytes());
    assert_eq!(web.gets, 52);
    // One that cannot be loaded is told as an error to each.
    web.resources.remove("m.8");
    web.event("m.8", "delete", "");
    for client in 1..4 {
        web.get(client, "list");
    }
    web.serve();
    assert_eq!(web.answers.len(), 3);
    for (_, status, body) in web.answers.drain(..) {
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert_eq!((status, text.matches("error").count()), (200, 1));
    }
}

#[test]
fn what_gets_use_stays_cached() {
    let mut web = Web::new(flat(false), list(50));
    web.got("list");
    let gets = web.gets;
    for _ in 0..4 {
        web.driver.now += 3_000;
        web.input(Input::Time);
        assert_eq!(web.got("list").0, 200);
    }
    assert_eq!(web.gets, gets);
    web.driver.now += 5_000;
    web.input(Input::Time);
    web.serve();
    assert_eq!(web.driver.gateway.stats(), Default::default());
}
