//! The simulator: the gateway, the virtual broker, the services and the clients on one
//! virtual clock, and what must hold at every step.

use super::broker::{Broker, Lanes};
use super::client::{Client, Pending};
use super::ledger::{AccessKey, Open, Outcome};
use super::request::{self, Kind, Request, Style};
use super::rng::Rng;
use super::script::{Profile, SLOTS, WEB_SLOTS};
use super::service::{Sent, Service};
use super::web::WebClient;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tidegate::gateway::{
    BrokerLimits, BrokerMessage, BrokerOp, ClientKey, Delivery, Gateway, Options, Outbox, Time,
};

/// Prefix of the web API.
pub const API: &str = "/api/";

/// Longer than any request, retry or lingering resource needs.
const REST_LIMIT: u64 = 600_000;

/// The first thing found to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

/// Something that will happen at its time.
#[derive(Debug)]
enum Due {
    /// An operation of the gateway reaches the broker.
    Operation(Operation),
    /// A service acts on a request.
    Act(Rc<Request>, Style),
    /// A message reaches the broker.
    Published {
        subject: String,
        payload: Vec<u8>,
        status: Option<u16>,
    },
    /// A message reaches the gateway.
    Message {
        sid: u64,
        subject: String,
        payload: Vec<u8>,
        status: Option<u16>,
    },
}

#[derive(Debug)]
enum Operation {
    Publish(Rc<Request>),
    Subscribe(u64, String),
    Unsubscribe(u64),
}

/// Everything of a run.
pub struct World {
    pub gateway: Gateway,
    outbox: Outbox,
    pub now: u64,
    due: BTreeMap<(u64, u64), Due>,
    sequence: u64,
    pub broker: Broker,
    lanes: Lanes,
    pub service: Service,
    pub clients: Vec<Option<Client>>,
    pub web: Vec<WebClient>,
    pub outcomes: BTreeMap<AccessKey, Outcome>,
    pub open: BTreeMap<String, Open>,
    counts: BTreeMap<String, u64>,
    pub profile: Profile,
    seed: u64,
    /// The client whose request is the present input.
    pub acting: Option<usize>,
    /// Faults happen at present.
    pub faults: bool,
    /// Subjects of the requests that the current input caused.
    pub published: Vec<(String, Option<String>)>,
    trace: Option<Vec<String>>,
    pub failure: Option<Failure>,
}

impl World {
    pub fn new(seed: u64, profile: Profile, trace: bool) -> Self {
        let options = Options {
            api_path: API.to_owned(),
            request_timeout: request::REQUEST_TIMEOUT,
            seed: [seed, 1, 2, 3],
            write_head: |_, _, out| out.extend_from_slice(br#""header":{},"uri":"/""#),
            reset_throttle: profile.reset_throttle,
            reference_throttle: profile.reference_throttle,
            ..Options::default()
        };
        let mut service = Service::new(seed, profile.focus);
        if profile.open {
            service.open_up();
        }
        let mut world = Self {
            gateway: Gateway::new(options),
            outbox: Outbox::default(),
            now: 1000,
            due: BTreeMap::new(),
            sequence: 0,
            broker: Broker::default(),
            lanes: Lanes::default(),
            service,
            clients: (0..SLOTS).map(|_| None).collect(),
            web: (0..WEB_SLOTS).map(|_| WebClient::default()).collect(),
            outcomes: BTreeMap::new(),
            open: BTreeMap::new(),
            counts: BTreeMap::new(),
            profile,
            seed,
            acting: None,
            faults: profile.faults,
            published: Vec::new(),
            trace: trace.then(Vec::new),
            failure: None,
        };
        let limits = BrokerLimits {
            max_payload: 1 << 20,
        };
        world.input(|gateway, now, out| gateway.broker_connected(now, limits, out));
        world
    }

    /// How long a message takes between the gateway and the broker, in milliseconds.
    fn latency(&mut self, way: &str) -> u64 {
        let most = self.profile.latency;
        self.roll(way).between(0, most)
    }

    /// A stream of luck for a label; each use of a label gets another one.
    pub fn roll(&mut self, label: &str) -> Rng {
        let count = self.counts.entry(label.to_owned()).or_default();
        *count += 1;
        Rng::labelled(self.seed, label, *count)
    }

    pub fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} {}", self.now, line()));
        }
    }

    /// The lines of the trace.
    pub fn into_trace(self) -> Vec<String> {
        self.trace.unwrap_or_default()
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.log(|| format!("FAILED {what}"));
        self.failure.get_or_insert(Failure(what));
    }

    pub fn check(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.fail(what);
        }
    }

    /// Gives the gateway one input and does what it wants done.
    pub fn input(&mut self, input: impl FnOnce(&mut Gateway, Time, &mut Outbox)) {
        let mut outbox = std::mem::take(&mut self.outbox);
        input(&mut self.gateway, Time(self.now), &mut outbox);
        for &op in outbox.broker() {
            self.operation(op, &outbox);
        }
        let deliveries: Vec<_> = outbox.drain_clients().collect();
        outbox.clear();
        self.outbox = outbox;
        self.acting = None;
        for (key, delivery) in deliveries {
            self.delivery(key, delivery);
        }
        self.flush_clients();
    }

    fn operation(&mut self, op: BrokerOp, outbox: &Outbox) {
        let text = |span| String::from_utf8_lossy(outbox.bytes(span)).into_owned();
        let operation = match op {
            BrokerOp::Publish {
                subject,
                reply,
                payload,
            } => {
                let (subject, reply) = (text(subject), text(reply));
                self.log(|| format!("gateway asks {subject} {}", text(payload)));
                match Request::parse(&subject, &reply, outbox.bytes(payload)) {
                    Ok(request) => {
                        let request = Rc::new(request);
                        self.request_published(&request);
                        Operation::Publish(request)
                    }
                    Err(what) => return self.fail(what),
                }
            }
            BrokerOp::Subscribe { sid, subject } => {
                let subject = text(subject);
                self.log(|| format!("gateway subscribes {subject}"));
                if let Some(cid) = subject
                    .strip_prefix("conn.")
                    .and_then(|s| s.strip_suffix(".*"))
                    && let Some(client) = self.acting.and_then(|slot| self.clients[slot].as_mut())
                {
                    cid.clone_into(&mut client.cid);
                    if cid.len() != 20 {
                        self.fail(format!("{cid:?} is no connection ID"));
                    }
                }
                Operation::Subscribe(sid, subject)
            }
            BrokerOp::Unsubscribe { sid } => {
                self.log(|| format!("gateway unsubscribes {sid}"));
                Operation::Unsubscribe(sid)
            }
        };
        let latency = self.latency("up");
        let at = self.lanes.arrival(" up", self.now + latency);
        self.schedule(at, Due::Operation(operation));
    }

    fn delivery(&mut self, key: ClientKey, delivery: Delivery) {
        let slot = key.0 as usize;
        if slot >= SLOTS {
            return match delivery {
                Delivery::Web(response) => self.web_answer(slot - SLOTS, *response),
                other => self.fail(format!("a web request gets {other:?}")),
            };
        }
        match delivery {
            Delivery::Message(_) | Delivery::Answer(_) => {
                let message = delivery.text().unwrap_or_default();
                let text = String::from_utf8_lossy(&message).into_owned();
                self.log(|| format!("client {slot} gets {text}"));
                match serde_json::from_slice::<Value>(&message) {
                    Ok(message) => self.client_receives(slot, &message),
                    Err(error) => self.fail(format!("client {slot} gets no JSON: {error}: {text}")),
                }
            }
            Delivery::Resume => self.log(|| format!("client {slot} may ask again")),
            other => self.fail(format!("client {slot} gets {other:?}")),
        }
    }

    /// Sends what services want sent, each message after its own delay.
    pub fn send(&mut self, messages: Vec<Sent>) {
        for Sent {
            lane,
            subject,
            payload,
        } in messages
        {
            let mut rng = self.roll(&lane);
            let wanted = self.now
                + if rng.chance(60) {
                    0
                } else {
                    rng.between(0, 40)
                };
            let at = self.lanes.arrival(&lane, wanted);
            self.schedule(
                at,
                Due::Published {
                    subject,
                    payload,
                    status: None,
                },
            );
        }
    }

    /// Sends a message that comes after everything these lanes sent before.
    pub fn send_joint(&mut self, lanes: &[String], subject: &str, payload: &Value) {
        let wanted = self.now + self.roll(subject).between(0, 40);
        let at = self.lanes.joint_arrival(lanes, wanted);
        let (subject, payload) = (subject.to_owned(), payload.to_string().into());
        self.schedule(
            at,
            Due::Published {
                subject,
                payload,
                status: None,
            },
        );
    }

    fn schedule(&mut self, at: u64, due: Due) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), due);
    }

    /// Lets time pass, with everything that happens meanwhile.
    pub fn advance(&mut self, until: u64) {
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    /// Lets time pass until nothing is left to happen.
    pub fn rest(&mut self) {
        let limit = self.now + REST_LIMIT;
        while self.step(limit) {}
        if self.failure.is_none() && (!self.due.is_empty() || self.gateway.next_timeout().is_some())
        {
            self.fail(format!("no rest after {REST_LIMIT} ms"));
        }
    }

    /// Does the next thing that is due before a time, if there is one.
    fn step(&mut self, until: u64) -> bool {
        if self.failure.is_some() {
            return false;
        }
        let timeout = self.gateway.next_timeout().map(|time| time.0);
        let due = self.due.first_key_value().map(|(&(at, _), _)| at);
        let next = timeout.into_iter().chain(due).min();
        let Some(next) = next.filter(|&next| next <= until) else {
            return false;
        };
        self.now = self.now.max(next);
        if timeout == Some(next) {
            self.log(|| "gateway wakes up".to_owned());
            self.input(|gateway, now, out| gateway.timeout(now, out));
            if self
                .gateway
                .next_timeout()
                .is_some_and(|time| time.0 <= self.now)
            {
                self.fail("a time-out is due again right after it was handled");
            }
        } else if let Some((_, due)) = self.due.pop_first() {
            self.happen(due);
        }
        true
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Operation(Operation::Subscribe(sid, subject)) => {
                let result = self.broker.subscribe(sid, &subject);
                self.check(result);
            }
            Due::Operation(Operation::Unsubscribe(sid)) => {
                let result = self.broker.unsubscribe(sid);
                self.check(result);
            }
            Due::Operation(Operation::Publish(request)) => self.plan(request),
            Due::Act(request, style) => self.act(&request, &style),
            Due::Published {
                subject,
                payload,
                status,
            } => {
                let latency = self.latency("down");
                for sid in self.broker.route(&subject) {
                    let at = self.lanes.arrival(" down", self.now + latency);
                    let (subject, payload) = (subject.clone(), payload.clone());
                    self.schedule(
                        at,
                        Due::Message {
                            sid,
                            subject,
                            payload,
                            status,
                        },
                    );
                }
            }
            Due::Message {
                sid,
                subject,
                payload,
                status,
            } => {
                self.message(sid, &subject, &payload, status);
            }
        }
    }

    /// A request reaches its service, which decides how to treat it.
    fn plan(&mut self, request: Rc<Request>) {
        let mut rng = self.roll(&request.subject);
        let (style, delay) = request::plan(&mut rng, self.faults);
        if style != Style::Answer && style != Style::Twice && style != Style::PreResponse
            || delay >= request::REQUEST_TIMEOUT
        {
            self.service.will_fail(&request);
        }
        match style {
            Style::Never => self.log(|| format!("{} stays unanswered", request.subject)),
            Style::NoResponders => {
                let (subject, payload) = (request.reply.clone(), Vec::new());
                self.schedule(
                    self.now,
                    Due::Published {
                        subject,
                        payload,
                        status: Some(503),
                    },
                );
            }
            style => self.schedule(self.now + delay, Due::Act(request, style)),
        }
    }

    fn act(&mut self, request: &Rc<Request>, style: &Style) {
        let mut rng = self.roll(&request.reply);
        let mut sent = match style {
            // Missing is what a query request says of a resource that is gone.
            Style::Error if request.kind == Kind::Query && rng.chance(30) => {
                let payload = br#"{"error":{"code":"system.notFound","message":"Gone"}}"#;
                vec![self.reply(request, payload.to_vec())]
            }
            Style::Error => {
                let payload = br#"{"error":{"code":"test.fault","message":"Fault"}}"#;
                vec![self.reply(request, payload.to_vec())]
            }
            // Some of the garbage would be a denial, and be kept.
            Style::Garbage(choice) if request.kind == Kind::Access => {
                vec![self.reply(request, request::garbage(*choice % request::NO_RESULT))]
            }
            Style::Garbage(choice) => vec![self.reply(request, request::garbage(*choice))],
            Style::PreResponse => {
                // One time in four less time is asked for than the answer takes.
                let short = rng.chance(25);
                let (timeout, least, most) = if short {
                    (40, 200, 2000)
                } else {
                    (9000, 0, 7000)
                };
                if short {
                    self.service.will_fail(request);
                }
                let later = self.now + rng.between(least, most);
                self.schedule(later, Due::Act(Rc::clone(request), Style::Answer));
                vec![self.reply(request, format!("timeout:\"{timeout}\"").into_bytes())]
            }
            _ => request::answer(&mut self.service, request, &mut rng),
        };
        if request.kind == Kind::Access && self.profile.access_apart {
            for message in &mut sent {
                message.lane.insert_str(0, "access ");
            }
        }
        if *style == Style::Twice {
            sent.extend(sent.last().cloned());
        }
        for message in &sent {
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            self.log(|| {
                format!(
                    "service sends {} ({}) {text}",
                    message.subject, request.subject
                )
            });
        }
        self.send(sent);
    }

    fn reply(&self, request: &Request, payload: Vec<u8>) -> Sent {
        let name = match request.kind {
            Kind::Query => self
                .service
                .name_of_changes(&request.name)
                .unwrap_or_default(),
            Kind::Auth | Kind::Renew => "auth",
            _ => &request.name,
        };
        Sent {
            lane: name.to_owned(),
            subject: request.reply.clone(),
            payload,
        }
    }

    /// A message reaches the gateway.
    fn message(&mut self, sid: u64, subject: &str, payload: &[u8], status: Option<u16>) {
        self.log(|| {
            let (text, mark) = (String::from_utf8_lossy(payload), status.unwrap_or(0));
            format!(
                "gateway hears {subject} {text}{}",
                if mark == 0 { "" } else { " (503)" }
            )
        });
        self.note(subject, payload, status);
        let tids = self.expect_renewals(subject, payload);
        self.published.clear();
        self.input(|gateway, now, out| {
            gateway.broker_message(
                now,
                BrokerMessage {
                    sid,
                    subject: subject.as_bytes(),
                    payload,
                    status,
                },
                out,
            );
        });
        if let Some((subject, expected)) = tids {
            let asked = self
                .published
                .iter()
                .filter(|(published, _)| *published == subject);
            let asked: Vec<_> = asked.filter_map(|(_, cid)| cid.clone()).collect();
            let unique: BTreeSet<_> = asked.iter().cloned().collect();
            if unique != expected || asked.len() != expected.len() {
                self.fail(format!("token reset asks {asked:?}, due were {expected:?}"));
            }
        }
    }

    /// Sends what the clients have in store, as far as the gateway takes it.
    pub fn flush_clients(&mut self) {
        for slot in 0..SLOTS {
            let key = ClientKey(slot as u32);
            while self.failure.is_none() && self.gateway.takes_requests(key) {
                let Some(client) = &mut self.clients[slot] else {
                    break;
                };
                let Some((text, pending)) = client.backlog.pop_front() else {
                    break;
                };
                if let Some((id, pending)) = pending {
                    client.pending.insert(id, (pending, self.now));
                }
                self.log(|| format!("client {slot} sends {text}"));
                self.acting = Some(slot);
                self.input(|gateway, now, out| {
                    gateway.client_message(now, key, text.as_bytes(), out);
                });
            }
        }
    }

    /// Queues a request of a client.
    pub fn ask(&mut self, slot: usize, method: &str, params: &Value, pending: Pending) {
        let Some(client) = &mut self.clients[slot] else {
            return;
        };
        client.enqueue(method, params, pending);
        self.flush_clients();
    }
}
