//! Clients, services and a clock for the heart: a test reads like a transcript.
//!
//! Clients are numbers, time is virtual, and nothing is lost by accident: when a test is
//! over, every message and every request must have been looked at, every request of a
//! client must have been answered once, and once all clients are gone nothing may be left
//! behind.

mod client;
mod texts;

pub use client::Client;
pub use texts::*;

use crate::driver::{Driver, Input, Operation, Output, UNLIMITED};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use tidegate::gateway::{
    BrokerMessage, ClientKey, Delivery, Have, Message, Method, Options, Refusal, Stats, Tag,
    WebAction, WebRequest, WebResponse,
};
use tidegate::res::meta::Fields;

/// Time for a service to answer, in milliseconds.
pub const REQUEST_TIMEOUT: u64 = 3_000;
/// Time that an unused resource stays cached, in milliseconds.
pub const LINGER: u64 = 5_000;
/// What stands in transcripts for the ID of whichever connection asks.
const CID: &str = "$CID";

/// A request as a service gets it.
#[derive(Clone, Debug)]
pub struct Request {
    pub subject: String,
    pub reply: String,
    /// The headers of the broker's protocol; empty for none.
    pub headers: String,
    /// The payload, with `$CID` for the connection ID in it.
    pub payload: String,
}

/// The heart with everything around it.
pub struct Heart {
    driver: Driver,
    /// Units of work of a turn.
    units: u32,
    requests: VecDeque<Request>,
    subscriptions: BTreeMap<u64, String>,
    /// The other way round.
    sids: BTreeMap<String, u64>,
    clients: BTreeMap<u32, Peer>,
    /// The bodies of answers that several clients can be sent.
    bodies: Vec<Rc<Message>>,
}

/// What a client or the sender of a web request has got.
#[derive(Default)]
struct Peer {
    messages: VecDeque<String>,
    /// IDs of its requests without answer.
    open: Vec<u64>,
    answer: Option<WebResponse>,
    stream: Option<(Tag, Option<String>, String)>,
    rest: Option<Tag>,
    upgrade: Option<Fields>,
    cid: Option<String>,
    closed: bool,
    resumed: usize,
}

impl Heart {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// One whose first client was authenticated by the head of its upgrade request.
    pub fn logged_in_by_head(options: Options) -> Self {
        let mut heart = Self::with(Options {
            ws_header_auth: Some(Method {
                resource: "id".to_owned(),
                method: "login".to_owned(),
            }),
            ..options
        });
        heart.ask_upgrade(1);
        let login = heart.expect_request("auth.id.login");
        heart.token(1, r#"{"token":{"user":1}}"#);
        heart.respond(&login, r#"{"result":null}"#);
        heart.upgraded(1);
        heart
    }

    pub fn with(options: Options) -> Self {
        Self::with_limits(options, 1 << 20)
    }

    pub fn with_max_payload(max_payload: usize) -> Self {
        Self::with_limits(Options::default(), max_payload)
    }

    fn with_limits(options: Options, max_payload: usize) -> Self {
        let options = Options {
            request_timeout: REQUEST_TIMEOUT,
            write_head: |head, remote, out| {
                if !head.is_empty() {
                    out.extend_from_slice(head);
                    out.push(b',');
                }
                out.extend_from_slice(format!("\"remoteAddr\":\"{remote}\"").as_bytes());
            },
            ..options
        };
        let mut heart = Self {
            driver: Driver::new(options, 1_000),
            units: units(),
            requests: VecDeque::new(),
            subscriptions: BTreeMap::new(),
            sids: BTreeMap::new(),
            clients: BTreeMap::new(),
            bodies: Vec::new(),
        };
        // Some transcripts have a hundred thousand clients; the debug build audits enough.
        heart.driver.audits = false;
        heart.input(Input::Broker { max_payload });
        heart
    }

    /// Gives the heart an input, and keeps what comes of it.
    fn input(&mut self, input: Input<'_>) {
        let mut output = self.driver.input(self.units, input);
        self.driver.finish(self.units, &mut output);
        self.take(output);
    }

    /// Takes what the heart has put out.
    fn take(&mut self, output: Output) {
        assert_eq!(output.fault, None, "inside the heart");
        for operation in output.broker {
            self.operation(operation);
        }
        for (key, delivery) in output.clients {
            let peer = self
                .clients
                .get_mut(&key.0)
                .expect("deliveries are for connections that are open");
            if let Delivery::Answer(answer) = &delivery {
                let is_new = |known: &Rc<Message>| !Rc::ptr_eq(known, answer.body());
                if self.bodies.iter().all(is_new) {
                    self.bodies.push(answer.body().clone());
                }
            }
            match delivery {
                Delivery::Message(_) | Delivery::Answer(_) => {
                    let message = delivery.text().expect("it is a message").into_owned();
                    let message = String::from_utf8(message).expect("clients are sent UTF-8");
                    assert!(is_json(&message), "a message is no JSON: {message}");
                    if let Some(id) = answered_id(&message) {
                        let asked = peer.open.iter().position(|open| *open == id);
                        let asked = asked.unwrap_or_else(|| panic!("never asked: {message}"));
                        peer.open.remove(asked);
                    }
                    peer.messages.push_back(message);
                }
                Delivery::Web(response) => {
                    let old = peer.answer.replace(*response);
                    assert!(old.is_none(), "a web request is answered twice");
                }
                Delivery::Upgrade(fields) => {
                    let old = peer.upgrade.replace(*fields);
                    assert!(old.is_none(), "an upgrade is granted twice");
                }
                Delivery::Stream(ref start) => {
                    let text = delivery.text().map(|text| text.into_owned());
                    let text = text.map(|text| String::from_utf8(text).expect("it is UTF-8"));
                    let fields = field_lines(&start.fields);
                    let old = peer.stream.replace((start.tag, text, fields));
                    assert!(old.is_none(), "a stream begins twice");
                }
                Delivery::Rest(tag) => peer.rest = Some(tag),
                Delivery::Resume => peer.resumed += 1,
                Delivery::Close(_) => peer.closed = true,
            }
        }
    }

    /// The heart wants something of the broker.
    fn operation(&mut self, operation: Operation<String>) {
        match operation {
            Operation::Publish {
                subject,
                reply,
                headers,
                payload,
            } => {
                assert!(is_json(&payload), "a payload is no JSON: {payload}");
                self.requests.push_back(Request {
                    subject,
                    reply,
                    headers,
                    payload: without_cid(&payload),
                });
            }
            Operation::Subscribe { sid, subject } => {
                let old = self.sids.insert(subject.clone(), sid);
                assert_eq!(old, None, "a second subscription to {subject}");
                let old = self.subscriptions.insert(sid, subject);
                assert_eq!(old, None, "a subscription ID is used twice");
            }
            Operation::Unsubscribe { sid } => {
                let subject = self.subscriptions.remove(&sid);
                let subject = subject.expect("what ends was subscribed");
                self.sids.remove(&subject);
            }
        }
    }

    /// A client by its number; it is connected, with the current protocol, when it is
    /// first named.
    pub fn client(&mut self, number: u32) -> Client<'_> {
        if !self.clients.contains_key(&number) {
            self.connect(number, Some("1.2.3"));
        }
        Client {
            heart: self,
            number,
        }
    }

    /// Connects a client, with or without a version handshake.
    pub fn connect(&mut self, number: u32, version: Option<&str>) {
        let head = format!(r#""header":{{}},"host":"h{number}","uri":"/""#);
        let remote = ([10, 0, 0, 1], 4000 + number as u16).into();
        self.clients.insert(number, Peer::default());
        let head = head.into_bytes().into_boxed_slice();
        self.input(Input::Connect(ClientKey(number), head, remote));
        if let Some(version) = version {
            let request =
                format!(r#"{{"id":0,"method":"version","params":{{"protocol":"{version}"}}}}"#);
            self.client(number)
                .send(&request)
                .receives(r#"{"result":{"protocol":"1.2.3"},"id":0}"#);
        }
    }

    /// Closes a connection. What it has not read is lost with it.
    pub fn close(&mut self, number: u32) {
        self.input(Input::Close(ClientKey(number)));
        self.clients.remove(&number);
    }

    /// Sends an HTTP request on a connection, `GET` or `POST` and a path below the prefix.
    pub fn web(
        &mut self,
        number: u32,
        method: &str,
        target: &str,
        body: &(impl AsRef<[u8]> + ?Sized),
    ) {
        self.web_with(number, method, target, body, &Have::Nothing, false);
    }

    /// The same of a client that has something of it already, and perhaps waits for another.
    pub fn web_with(
        &mut self,
        number: u32,
        method: &str,
        target: &str,
        body: &(impl AsRef<[u8]> + ?Sized),
        have: &Have,
        waits: bool,
    ) {
        self.clients.insert(number, Peer::default());
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let action = match method {
            "GET" => WebAction::Get,
            "STREAM" => WebAction::Stream,
            "POST" => WebAction::Post,
            // What the configuration would map it to.
            "PUT" => WebAction::Call("put"),
            _ => panic!("{method} is no method here"),
        };
        let request = WebRequest {
            action,
            path,
            query,
            have,
            waits,
            body: body.as_ref(),
            head: br#""header":{},"host":"h","uri":"/""#,
            remote: ([10, 0, 0, 1], 80).into(),
        };
        self.input(Input::Web(ClientKey(number), request));
        self.learn_cid(number);
    }

    /// Ends the wait of a web request for a change.
    pub fn end_poll(&mut self, number: u32) {
        self.input(Input::EndPoll(ClientKey(number)));
    }

    /// The tag in the answer to a connection's HTTP request, which stays there.
    pub fn web_tag(&self, number: u32) -> Option<Tag> {
        self.clients.get(&number)?.answer.as_ref()?.tag
    }

    /// With what a stream began: its tag, its first event if there is one, and its fields.
    pub fn stream(&mut self, number: u32) -> (Tag, Option<String>, String) {
        let stream = self.clients.get_mut(&number).and_then(|p| p.stream.take());
        stream.unwrap_or_else(|| panic!("the stream of {number} has not begun"))
    }

    /// A stream has been silent for a while; the tag that its client is told then, if any.
    pub fn rests(&mut self, number: u32) -> Option<Tag> {
        self.input(Input::Rest(ClientKey(number)));
        self.clients.get_mut(&number)?.rest.take()
    }

    /// Whether a client was closed.
    pub fn is_closed(&self, number: u32) -> bool {
        self.clients.get(&number).is_some_and(|peer| peer.closed)
    }

    /// The answer to a connection's HTTP request: status, and body or fields.
    pub fn web_answer(&mut self, number: u32) -> (u16, String) {
        let (status, body, fields) = self.web_response(number);
        assert!(body.is_empty() || fields.is_empty(), "{fields} {body}");
        (status, format!("{fields}{body}"))
    }

    /// The answer to a connection's HTTP request: status, body, and fields. A `Location`
    /// is written as `-> /api/a`, others as `Name: value`, with semicolons between.
    pub fn web_response(&mut self, number: u32) -> (u16, String, String) {
        let answer = self.clients.get_mut(&number).and_then(|p| p.answer.take());
        let answer = answer.unwrap_or_else(|| panic!("web request {number} has no answer"));
        let body = answer
            .body
            .map(|body| String::from_utf8(body.to_vec()).unwrap());
        assert!(body.as_deref().is_none_or(is_json), "{body:?} is no JSON");
        (
            answer.status,
            body.unwrap_or_default(),
            field_lines(&answer.fields),
        )
    }

    /// A client asks for a WebSocket where a service decides about it.
    pub fn ask_upgrade(&mut self, number: u32) {
        self.clients.insert(number, Peer::default());
        let head = br#""header":{"Cookie":["a=1"]},"host":"h","uri":"/""#;
        let remote = ([10, 0, 0, 1], 4000 + number as u16).into();
        self.input(Input::Upgrade(ClientKey(number), Box::new(*head), remote));
        self.learn_cid(number);
    }

    /// The fields with which a client's upgrade was granted.
    pub fn upgraded(&mut self, number: u32) -> String {
        let fields = self.clients.get_mut(&number).and_then(|p| p.upgrade.take());
        field_lines(&fields.unwrap_or_else(|| panic!("client {number} is not connected")))
    }

    pub fn is_upgraded(&self, number: u32) -> bool {
        self.clients[&number].upgrade.is_some()
    }

    pub fn has_web_answer(&self, number: u32) -> bool {
        self.clients[&number].answer.is_some()
    }

    fn learn_cid(&mut self, number: u32) {
        let known: Vec<&str> = self
            .clients
            .values()
            .filter_map(|p| p.cid.as_deref())
            .collect();
        let new = self.subscriptions.values().rev().find_map(|subject| {
            let cid = subject.strip_prefix("conn.")?.strip_suffix(".*")?;
            (!known.contains(&cid)).then(|| cid.to_owned())
        });
        let peer = self.clients.get_mut(&number).expect("it is connected");
        if peer.cid.is_none() {
            peer.cid = new;
        }
    }

    /// The ID of a connection, once services can know it.
    pub fn cid(&self, number: u32) -> String {
        let cid = self.clients[&number].cid.clone();
        cid.unwrap_or_else(|| panic!("no service knows client {number}"))
    }

    /// Takes the oldest request on a subject out of those that services have not seen.
    pub fn expect_request(&mut self, subject: &str) -> Request {
        let place = self.requests.iter().position(|r| r.subject == subject);
        let place = place.unwrap_or_else(|| {
            panic!("no request on {subject}; there are {:?}", self.subjects());
        });
        self.requests.remove(place).expect("it was found there")
    }

    /// The subjects of all requests that services have not seen, oldest first.
    pub fn subjects(&self) -> Vec<&str> {
        self.requests.iter().map(|r| &*r.subject).collect()
    }

    /// Takes the oldest request out of those that services have not seen.
    pub fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    pub fn expect_no_request(&self) {
        assert_eq!(self.subjects(), [""; 0], "there are requests");
    }

    /// A service answers, or answers again.
    pub fn respond(&mut self, request: &Request, payload: &(impl AsRef<[u8]> + ?Sized)) {
        self.respond_with(request, payload.as_ref(), None);
    }

    /// An answer with the status of its header.
    pub fn respond_with(&mut self, request: &Request, payload: &[u8], status: Option<u16>) {
        self.deliver(&request.reply, payload, status);
    }

    /// Answers that nobody serves what is requested.
    pub fn nobody_answers(&mut self, subject: &str) {
        let request = self.expect_request(subject);
        self.respond_with(&request, b"", Some(503));
    }

    /// A service publishes something that the gateway listens to.
    pub fn event(&mut self, subject: &str, payload: &(impl AsRef<[u8]> + ?Sized)) {
        assert!(self.hears(subject), "nobody listens to {subject}");
        self.deliver(subject, payload.as_ref(), None);
    }

    /// The same from a service that does not know that nobody listens.
    pub fn event_in_the_void(&mut self, subject: &str) {
        assert!(!self.hears(subject), "somebody listens to {subject}");
    }

    /// Events of a name were dropped unseen.
    pub fn lose_events(&mut self, name: &str) {
        let sid = self.sid_for(&format!("event.{name}.lost"));
        let sid = sid.unwrap_or_else(|| panic!("nobody listens to {name}"));
        self.input(Input::Dropped(&[sid]));
    }

    /// The broker is away: it forgets all subscriptions, and nobody sees the requests that
    /// were not looked at.
    pub fn lose_broker(&mut self) {
        self.subscriptions.clear();
        self.sids.clear();
        self.requests.clear();
        self.input(Input::Lost);
    }

    /// The broker is there again.
    pub fn return_broker(&mut self) {
        self.input(Input::Broker {
            max_payload: 1 << 20,
        });
    }

    /// The same, and the turn is over before anything of it is done.
    pub fn return_broker_in_a_short_turn(&mut self) {
        let max_payload = 1 << 20;
        let output = self.driver.input(1, Input::Broker { max_payload });
        self.take(output);
    }

    /// Answers a request, and goes on with the answer in so many turns of one unit.
    pub fn respond_in_short_turns(&mut self, request: &Request, payload: &str, turns: usize) {
        let sid = self.sid_for(&request.reply);
        let message = BrokerMessage {
            sid: sid.expect("answers are listened to"),
            subject: request.reply.as_bytes(),
            payload: payload.as_bytes(),
            status: None,
            reply: None,
        };
        let output = self.driver.input(1, Input::Message(message));
        self.take(output);
        for _ in 0..turns {
            let output = self.driver.input(1, Input::GoOn);
            self.take(output);
        }
    }

    /// So many resources are compared with what services have.
    pub fn check_drift(&mut self, count: usize) {
        self.input(Input::Check(count));
    }

    /// How many were asked for, and how many differed.
    pub fn drifts(&self) -> (u64, u64) {
        let counters = self.driver.gateway.counters();
        (counters.drift_checks, counters.drifts)
    }

    /// A service asks the gateway something.
    pub fn ask(&mut self, subject: &str, reply: &str) {
        let sid = self.sid_for(subject);
        self.input(Input::Message(BrokerMessage {
            sid: sid.unwrap_or_else(|| panic!("nobody listens to {subject}")),
            subject: subject.as_bytes(),
            payload: b"",
            status: None,
            reply: Some(reply.as_bytes()),
        }));
    }

    /// It is time for a heartbeat.
    pub fn heartbeat(&mut self) {
        self.input(Input::Heartbeat);
    }

    /// How often the difference took the place of events that waited.
    pub fn shortened(&self) -> u64 {
        self.driver.gateway.counters().queues_shortened
    }

    /// The broker refuses a subscription.
    pub fn refuse_subscription(&mut self, subject: &str) {
        self.refuse_subscription_for(subject, Refusal::Permission);
    }

    /// The broker refuses a subscription for this reason.
    pub fn refuse_subscription_for(&mut self, subject: &str, reason: Refusal) {
        let sid = self.sids.remove(subject);
        let sid = sid.unwrap_or_else(|| panic!("{subject} is not subscribed"));
        self.subscriptions.remove(&sid);
        self.input(Input::Refused(sid, reason));
    }

    /// The broker refuses a request.
    pub fn refuse_request(&mut self, subject: &str) {
        self.expect_request(subject);
        self.input(Input::Unsent(subject, Refusal::Permission));
    }

    /// Whether the broker is there and sends what cannot be done without.
    pub fn is_ready(&self) -> bool {
        self.driver.gateway.is_ready()
    }

    /// Whether the gateway has subscribed to a subject.
    pub fn hears(&self, subject: &str) -> bool {
        self.sid_for(subject).is_some()
    }

    fn deliver(&mut self, subject: &str, payload: &[u8], status: Option<u16>) {
        let sid = self.sid_for(subject);
        let message = BrokerMessage {
            sid: sid.unwrap_or_else(|| panic!("nobody listens to {subject}")),
            subject: subject.as_bytes(),
            payload,
            status,
            reply: None,
        };
        self.input(Input::Message(message));
    }

    /// The subscription that a subject is delivered for: wildcards are last parts only.
    fn sid_for(&self, subject: &str) -> Option<u64> {
        let (front, _) = subject.rsplit_once('.')?;
        self.sids
            .get(&format!("{front}.*"))
            .or_else(|| self.sids.get(subject))
            .copied()
    }

    /// A connection's token is set.
    pub fn token(&mut self, number: u32, payload: &str) {
        let subject = format!("conn.{}.token", self.cid(number));
        self.event(&subject, payload);
    }

    /// Answers the access request for a resource name with full access.
    pub fn grant(&mut self, name: &str) {
        self.access(name, r#"{"result":{"get":true,"call":"*"}}"#);
    }

    /// Answers the access request for a resource name with none.
    pub fn deny(&mut self, name: &str) {
        self.access(name, r#"{"result":{"get":false}}"#);
    }

    /// Answers the access request for a resource name.
    pub fn access(&mut self, name: &str, payload: &str) {
        let request = self.expect_request(&format!("access.{name}"));
        self.respond(&request, payload);
    }

    /// Answers the get request for a resource name, with a result like `{"model":{}}`.
    pub fn serve(&mut self, name: &str, result: &str) {
        let request = self.expect_request(&format!("get.{name}"));
        self.respond(&request, &format!(r#"{{"result":{result}}}"#));
    }

    /// Answers the get request for a resource name with an error.
    pub fn fail(&mut self, name: &str, code: &str) {
        let request = self.expect_request(&format!("get.{name}"));
        self.respond(
            &request,
            &format!(r#"{{"error":{{"code":"{code}","message":"M"}}}}"#),
        );
    }

    /// Subscribes a client to a resource that is not cached yet, and reads the answer.
    pub fn subscribed(&mut self, number: u32, rid: &str, result: &str) {
        self.subscribed_tree(number, &[(rid, result)]);
    }

    /// The same for a resource with others below it, none of them cached. Each must
    /// stand behind one that references it.
    pub fn subscribed_tree(&mut self, number: u32, resources: &[(&str, &str)]) {
        let name = |rid: &str| rid.split('?').next().unwrap_or(rid).to_owned();
        self.client(number).subscribe(100, resources[0].0);
        self.grant(&name(resources[0].0));
        for (rid, result) in resources {
            self.serve(&name(rid), result);
        }
        let answer = self.client(number).message();
        assert!(answer.starts_with(r#"{"result":{"#), "{answer}");
        assert!(answer.ends_with(r#","id":100}"#), "{answer}");
        for (rid, _) in resources {
            assert!(answer.contains(&format!("\"{rid}\":")), "{rid}: {answer}");
        }
    }

    /// Has a client subscribe to a resource that is cached, and returns the answer.
    pub fn subscribed_again(&mut self, number: u32, rid: &str) -> String {
        self.client(number).subscribe(100, rid);
        self.grant(rid.split('?').next().unwrap_or(rid));
        self.client(number).message()
    }

    /// Ends one direct subscription of a client.
    pub fn unsubscribed(&mut self, number: u32, rid: &str) {
        self.client(number)
            .unsubscribe(101, rid)
            .receives(r#"{"id":101}"#);
    }

    /// A service publishes a change of a model, given as `{"property":value}`.
    pub fn change(&mut self, name: &str, values: &str) {
        let payload = format!(r#"{{"values":{values}}}"#);
        self.event(&format!("event.{name}.change"), &payload);
    }

    /// Lets time pass, with all that comes due on the way.
    pub fn advance(&mut self, milliseconds: u64) {
        let end = self.driver.now + milliseconds;
        let mut idle = 0;
        while let Some(due) = self
            .driver
            .gateway
            .next_timeout()
            .filter(|due| due.0 <= end)
        {
            idle = if due.0 <= self.driver.now {
                idle + 1
            } else {
                0
            };
            assert!(idle < 3, "a timer comes due again and again");
            self.driver.now = self.driver.now.max(due.0);
            self.input(Input::Time);
        }
        self.driver.now = end;
        self.input(Input::Time);
    }

    /// After how many milliseconds the heart wants to be called, if nothing happens before.
    pub fn next_timeout(&self) -> Option<u64> {
        let due = self.driver.gateway.next_timeout();
        due.map(|due| due.0.saturating_sub(self.driver.now))
    }

    /// Some of what was published waits until the broker has taken what came before, or does not.
    pub fn broker_behind(&mut self, is_behind: bool) {
        self.driver.gateway.broker_behind(is_behind);
    }

    /// How many answers were encoded for several clients.
    pub fn shared_bodies(&self) -> usize {
        self.bodies.len()
    }

    /// How many runs have begun: events that were handed out to each of their receivers,
    /// and that the next event of the resource may follow in one step.
    pub fn leads(&self) -> usize {
        self.driver.leads
    }

    pub fn work_done(&self) -> u64 {
        self.driver.gateway.work_done()
    }

    pub fn stats(&self) -> Stats {
        self.driver.gateway.stats()
    }

    /// Everything that the gateway is subscribed to at the broker, sorted.
    pub fn subscriptions(&self) -> Vec<&str> {
        let mut subjects: Vec<&str> = self.subscriptions.values().map(|s| &**s).collect();
        subjects.sort_unstable();
        subjects
    }

    /// The event subscriptions at the broker, sorted.
    pub fn event_subscriptions(&self) -> Vec<&str> {
        let mut subjects = self.subscriptions();
        subjects.retain(|subject| subject.starts_with("event."));
        subjects
    }

    /// Looks away from whatever has been sent until now.
    pub fn discard(&mut self) {
        self.requests.clear();
        for peer in self.clients.values_mut() {
            peer.messages.clear();
            peer.answer = None;
        }
    }

    /// Nothing that was sent has been overlooked, and nothing is left when all are gone.
    fn finish(&mut self) {
        for (number, peer) in &self.clients {
            assert_eq!(
                peer.messages, [""; 0],
                "client {number} has unread messages"
            );
            assert!(peer.answer.is_none(), "web request {number} is unread");
        }
        self.expect_no_request();
        // By then every request has been answered, if only with a time-out.
        self.advance(20_000);
        let numbers: Vec<u32> = self.clients.keys().copied().collect();
        for number in numbers {
            assert_eq!(self.clients[&number].open, [0; 0], "no answer to {number}");
            self.close(number);
        }
        assert_eq!((self.stats().subscriptions, self.stats().waiting), (0, 0));
        self.advance(200_000);
        assert_eq!(self.stats(), Stats::default(), "something is left behind");
        assert_eq!(self.driver.gateway.next_timeout(), None, "a timer is left");
        let subjects = self.subscriptions();
        assert!(
            matches!(*subjects, [inbox, "system.*"] if inbox.starts_with("_INBOX.")),
            "{subjects:?}"
        );
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish();
        }
    }
}

/// Units of work of a turn: without limit, if `HEART_UNITS` does not say otherwise.
fn units() -> u32 {
    let units = std::env::var("HEART_UNITS").ok();
    let units = units.map(|text| text.parse().expect("HEART_UNITS is a number"));
    units.unwrap_or(UNLIMITED)
}

fn field_lines(fields: &Fields) -> String {
    let lines = fields.iter().map(|(name, value)| match name {
        "Location" => format!("-> {value}"),
        _ => format!("{name}: {value}"),
    });
    lines.collect::<Vec<_>>().join("; ")
}

fn without_cid(payload: &str) -> String {
    const LENGTH: usize = 20;
    let mark = "\"cid\":\"";
    match payload.find(mark) {
        Some(at) => {
            let cid = &payload[at + mark.len()..at + mark.len() + LENGTH];
            payload.replace(cid, CID)
        }
        None => payload.to_owned(),
    }
}

/// The ID of a client's request, if it must be answered.
fn asked_id(message: &str) -> Option<u64> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let method = message.get("method");
    let readable = method.is_none_or(|method| method.is_string() || method.is_null());
    message.get("id")?.as_u64().filter(|_| readable)
}

/// The ID of the request that a message answers.
fn answered_id(message: &str) -> Option<u64> {
    if message.starts_with(r#"{"event""#) {
        return None;
    }
    let (_, id) = message.rsplit_once("\"id\":")?;
    id.strip_suffix('}')?.parse().ok()
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<Box<serde_json::value::RawValue>>(text).is_ok()
}
