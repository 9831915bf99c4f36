//! The simulator: the gateway, the virtual broker, the services and the clients on one
//! virtual clock, and what must hold at every step.

use super::broker::{Broker, Lanes};
use super::choices::{Bytes, Choices, Luck, Rng};
use super::client::{Client, Pending};
use super::driver::{Driver, Input, Operation, Output, UNLIMITED};
use super::hand::Hand;
use super::inside::Inside;
use super::ledger::{AccessKey, Open, Outcome};
use super::lies;
use super::memory::Memory;
use super::presence::Presence;
use super::request::{self, Kind, Request, Style};
use super::script::{CLIENTS, Profile, WEB_SLOTS};
use super::service::{Sent, Service};
use super::stream::Left;
use super::traces;
use super::web::WebClient;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tidegate::gateway::{
    BrokerMessage, CacheLimits, ClientKey, CloseReason, Delivery, Gateway, Options, QueueLimits,
    Rate, Refusal,
};
use tidegate::res::rid::is_subject;

/// Prefix of the web API.
pub const API: &str = "/api/";

/// Longer than any request, retry or lingering resource needs.
const REST_LIMIT: u64 = 600_000;

/// Turns that it may take until all is at rest, once nothing goes wrong any more: many times
/// what any run needs.
const REST_TURNS: usize = 200_000;

/// Work units that a turn may do beyond its budget and the size of its input: what one step
/// costs in a world with so few resources, where one may answer 256 requests of a client.
const BEYOND: u64 = 3_000;

/// Of a hundred subscriptions of names, how many a broker refuses that refuses any.
const REFUSED: u64 = 12;

/// The first thing found to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

/// Something that will happen at its time.
#[derive(Clone, Debug)]
pub enum Due {
    /// An operation of the gateway reaches the broker.
    Operation(Ascending),
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
    /// The broker says that it has refused a subscription.
    Refused(u64),
    /// The broker is there again.
    Return,
    /// A client that has sent as much as it may goes on.
    Allowance(usize),
}

/// An operation on its way to the broker.
#[derive(Clone, Debug)]
pub enum Ascending {
    Publish(Rc<Request>),
    Subscribe(u64, String),
    Unsubscribe(u64),
}

/// The name and the kind of the event that a subject is for.
fn event_of(subject: &str) -> Option<(&str, &str)> {
    subject.strip_prefix("event.")?.rsplit_once('.')
}

/// Where the luck of a run comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A seed, with how often each label was used.
    Seed(u64, BTreeMap<String, u64>),
    Bytes(Bytes),
}

/// Everything of a run.
pub struct World {
    pub driver: Driver,
    due: BTreeMap<(u64, u64), Due>,
    sequence: u64,
    pub broker: Broker,
    /// The product's own broker beside it, where a run is long.
    inside: Option<Inside>,
    pub presence: Presence,
    lanes: Lanes,
    pub service: Service,
    pub clients: Vec<Option<Client>>,
    pub web: Vec<WebClient>,
    /// How often clients were told what all is known by that they have of their streams.
    pub rested: u64,
    /// How often who came back with that was sent nothing again.
    pub resumed: u64,
    /// What clients have of the streams that they have left.
    pub left: Vec<Option<Left>>,
    /// What clients remember that have left.
    pub memories: Vec<Option<Memory>>,
    /// What each tag stood for when it was seen first.
    pub tagged: BTreeMap<String, Value>,
    /// How many resources clients were not sent since they had them.
    pub spared: u64,
    pub outcomes: BTreeMap<AccessKey, Outcome>,
    /// Whether some of them have calls that fade.
    pub calls_fade: bool,
    /// Names that a false query event may hold up: their answers and events may wait.
    pub held_up: BTreeSet<String>,
    pub open: BTreeMap<String, Open>,
    /// The broker is away.
    away: bool,
    /// Subscriptions that it has refused, of which the gateway does not know yet; and the names
    /// whose events it has refused last.
    refused: BTreeSet<u64>,
    unserved: BTreeSet<String>,
    /// Names whose events were subscribed when it went, and were not since.
    unheard: BTreeSet<String>,
    /// Subscriptions of the gateway. Of what comes for others it does not take notice: what
    /// it asks since then is answered later.
    heard: BTreeSet<u64>,
    pub source: Source,
    pub profile: Profile,
    /// The client whose request is the present input.
    pub acting: Option<usize>,
    /// Faults happen at present.
    pub faults: bool,
    /// Subjects of the requests that the current input caused.
    pub published: Vec<(String, Option<String>)>,
    trace: Option<Vec<String>>,
    /// What there is while it is led by hand.
    pub hand: Option<Hand>,
    pub failure: Option<Failure>,
}

/// What a gateway is given in a world of this kind.
fn options(profile: &Profile) -> Options {
    Options {
        api_path: API.to_owned(),
        request_timeout: request::REQUEST_TIMEOUT,
        seed: [profile.seed, 1, 2, 3],
        write_head: |_, _, out| out.extend_from_slice(br#""header":{},"uri":"/""#),
        trace_headers: Some(traces::headers),
        reset_throttle: profile.reset_throttle,
        reference_throttle: profile.reference_throttle,
        web_resources: profile.web_resources,
        keep_tokens: profile.keep_tokens,
        finds_clients: true,
        heartbeat: if profile.presence { 1_000 } else { 0 },
        window: profile.window,
        rate: Rate(profile.rate),
        subscriptions: profile.subscriptions,
        cached: CacheLimits {
            resources: profile.cached,
            bytes: 0,
        },
        queues: match profile.queue {
            0 => QueueLimits::default(),
            // Now and then all that waits is too much, and each may have nearly nothing.
            updates => QueueLimits {
                updates,
                all_updates: 3 * updates,
                ..QueueLimits::default()
            },
        },
        ..Options::default()
    }
}

impl World {
    pub fn new(profile: Profile, source: Source, trace: bool) -> Self {
        let mut service = Service::new(profile.seed, profile.focus);
        if profile.open {
            service.open_up();
        }
        let mut world = Self::with(profile, source, service, trace);
        world.find_broker();
        world
    }

    /// A world that is led by hand, around these services. Each turn has so many units of
    /// work, 0 for no limit.
    pub fn by_hand(units: u32, service: Service) -> Self {
        let profile = Profile::by_hand(units);
        let source = Source::Seed(profile.seed, BTreeMap::new());
        let mut world = Self::with(profile, source, service, false);
        world.take_in_hand();
        world.find_broker();
        world
    }

    /// A copy of all but the gateway, around that of a driver.
    pub fn around(&self, driver: Driver) -> Self {
        Self {
            driver,
            due: self.due.clone(),
            sequence: self.sequence,
            broker: self.broker.clone(),
            inside: None,
            presence: self.presence.clone(),
            lanes: self.lanes.clone(),
            service: self.service.clone(),
            clients: self.clients.clone(),
            web: self.web.clone(),
            rested: self.rested,
            resumed: self.resumed,
            left: self.left.clone(),
            memories: self.memories.clone(),
            tagged: self.tagged.clone(),
            spared: self.spared,
            outcomes: self.outcomes.clone(),
            calls_fade: self.calls_fade,
            held_up: self.held_up.clone(),
            open: self.open.clone(),
            away: self.away,
            refused: self.refused.clone(),
            unserved: self.unserved.clone(),
            unheard: self.unheard.clone(),
            heard: self.heard.clone(),
            source: self.source.clone(),
            profile: self.profile,
            acting: self.acting,
            faults: self.faults,
            published: self.published.clone(),
            trace: self.trace.clone(),
            hand: self.hand.clone(),
            failure: self.failure.clone(),
        }
    }

    /// What this world's gateway was given.
    pub fn options(&self) -> Options {
        options(&self.profile)
    }

    /// The broker is away.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// From now on, what happens is written down.
    pub fn begin_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    fn with(profile: Profile, source: Source, service: Service, trace: bool) -> Self {
        let mut driver = Driver::new(options(&profile), 1000);
        driver.follows_runs = profile.follows_runs;
        driver.gateway.leave_audits_to_caller();
        Self {
            driver,
            due: BTreeMap::new(),
            sequence: 0,
            broker: Broker::default(),
            inside: None,
            presence: Presence::default(),
            lanes: Lanes::default(),
            service,
            clients: (0..CLIENTS).map(|_| None).collect(),
            web: (0..WEB_SLOTS).map(|_| WebClient::default()).collect(),
            rested: 0,
            resumed: 0,
            left: vec![None; CLIENTS],
            memories: vec![None; CLIENTS],
            tagged: BTreeMap::new(),
            spared: 0,
            outcomes: BTreeMap::new(),
            calls_fade: false,
            held_up: BTreeSet::new(),
            open: BTreeMap::new(),
            away: false,
            refused: BTreeSet::new(),
            unserved: BTreeSet::new(),
            unheard: BTreeSet::new(),
            heard: BTreeSet::new(),
            source,
            profile,
            acting: None,
            faults: profile.faults,
            published: Vec::new(),
            trace: trace.then(Vec::new),
            hand: None,
            failure: None,
        }
    }

    pub fn find_broker(&mut self) {
        if self.hand.is_none() {
            match Inside::new(self.driver.now) {
                Ok(inside) => self.inside = Some(inside),
                Err(what) => return self.fail(what),
            }
        }
        let is_small = self.profile.small_payloads;
        let max_payload = if is_small { 100 } else { 1 << 20 };
        self.input(Input::Broker { max_payload });
    }

    /// The broker is away for some time. All that is on its way to the gateway or from there is
    /// lost, and so is what services publish meanwhile.
    pub fn lose_broker(&mut self, time: u64) {
        if std::mem::replace(&mut self.away, true) {
            return;
        }
        self.inside = None;
        for subject in std::mem::take(&mut self.broker).subjects() {
            if let Some((name, _)) = event_of(subject) {
                self.unheard.insert(name.to_owned());
            }
        }
        self.refused.clear();
        self.unserved.clear();
        let (mut messages, mut requests) = (Vec::new(), Vec::new());
        self.due.retain(|_, due| {
            match due {
                Due::Operation(Ascending::Publish(request)) => requests.push(request.clone()),
                Due::Operation(_) | Due::Refused(_) => {}
                Due::Message {
                    subject, payload, ..
                } => messages.push((std::mem::take(subject), std::mem::take(payload))),
                _ => return true,
            }
            false
        });
        for request in requests {
            self.service.will_fail(&request);
        }
        for (subject, payload) in messages {
            if let Some((name, _)) = event_of(&subject)
                && let Some(entry) = self.service.entry(name)
            {
                entry.lose(&payload);
            }
        }
        self.service.disturb_all();
        self.spoil(|_| true);
        let keeps = self.profile.keep_tokens;
        for client in self.clients.iter_mut().flatten() {
            client.in_doubt |= !keeps && !client.token.is_null();
        }
        self.input(Input::Lost);
        if self.hand.is_none() {
            self.schedule(self.driver.now + time, Due::Return);
        }
    }

    /// The broker is there again.
    pub fn return_broker(&mut self) {
        self.away = false;
        self.find_broker();
        self.flush_clients();
    }

    /// How long a message takes between the gateway and the broker, in milliseconds.
    fn latency(&mut self, way: &str) -> u64 {
        let most = self.profile.latency;
        self.roll(way).between(0, most)
    }

    /// Luck for a label; each use of a label gets another one.
    pub fn roll(&mut self, label: &str) -> Luck {
        if let Some(luck) = self.hand_luck() {
            return Luck::Seed(luck);
        }
        match &mut self.source {
            Source::Seed(seed, counts) => {
                let count = match counts.get_mut(label) {
                    Some(count) => count,
                    None => counts.entry(label.to_owned()).or_default(),
                };
                *count += 1;
                Luck::Seed(Rng::labelled(*seed, label, *count))
            }
            Source::Bytes(bytes) => Luck::Bytes(bytes.clone()),
        }
    }

    /// The luck of a step of the script.
    pub fn luck(&self, seed: u64) -> Luck {
        match &self.source {
            Source::Seed(..) => Luck::Seed(Rng::new(seed)),
            Source::Bytes(bytes) => Luck::Bytes(bytes.clone()),
        }
    }

    pub fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} {}", self.driver.now, line()));
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
    pub fn input(&mut self, input: Input<'_>) {
        let units = self.units(&input);
        if self.hand.is_some() {
            self.keep(units, &input);
        } else if self.profile.units > 0 && self.roll("seal").chance(5) {
            self.driver.seal();
        }
        let most = u64::from(units) + BEYOND + input.size() as u64 / 4;
        let before = self.driver.gateway.work_done();
        let output = self.driver.input(units, input);
        let done = self.driver.gateway.work_done() - before;
        if units != UNLIMITED && done > most {
            self.fail(format!("a turn of {units} units did {done}, not {most}"));
        }
        self.take(output);
    }

    /// The units of work of the turn that begins with an input.
    fn units(&mut self, input: &Input<'_>) -> u32 {
        let acting = self.acting.and_then(|slot| self.clients[slot].as_ref());
        // Whose connection it is that services learn of, the world knows at once or never.
        let is_unknown = acting.is_some_and(|client| client.cid.is_empty());
        if self.profile.units == 0 || is_unknown {
            return UNLIMITED;
        }
        if self.hand.is_some() {
            return self.profile.units;
        }
        let label = match input {
            Input::Message(message) => {
                format!("units {}", String::from_utf8_lossy(message.subject))
            }
            Input::Say(key, _) | Input::Close(key) => format!("units {}", key.0),
            _ => "units".to_owned(),
        };
        let (most, mut luck) = (self.profile.units, self.roll(&label));
        if luck.chance(25) {
            return UNLIMITED;
        }
        luck.between(1, most.into()) as u32
    }

    /// Whether the gateway has left work over.
    pub fn has_work(&self) -> bool {
        self.driver.gateway.has_work()
    }

    fn take(&mut self, output: Output) {
        if let Some(fault) = output.fault {
            self.fail(format!("inside, {fault}"));
        }
        if self.driver.gateway.counters().drifts > 0 && !self.service.may_drift() {
            self.fail("a resource is said to have drifted, and no event was lost");
        }
        if self.away && !output.broker.is_empty() {
            self.fail(format!("the broker is away, and asked {:?}", output.broker));
        }
        for operation in output.broker {
            self.operation(operation);
        }
        self.acting = None;
        let (mut dismissed, mut ended) = (Vec::new(), Vec::new());
        for (key, delivery) in output.clients {
            match delivery {
                Delivery::Close(CloseReason::TokenInDoubt { .. }) => dismissed.push(key),
                Delivery::Close(CloseReason::Ended) => ended.push(key),
                delivery => self.delivery(key, delivery),
            }
        }
        for key in ended {
            self.stream_ends(key.0 as usize);
        }
        for key in dismissed {
            self.dismissed(key.0 as usize);
        }
        if !self.has_work() {
            self.settle_calls();
        }
        self.flush_clients();
    }

    /// A client must connect anew since its token may not hold any more.
    fn dismissed(&mut self, slot: usize) {
        self.log(|| format!("client {slot} is dismissed"));
        let client = self.clients.get(slot).and_then(Option::as_ref);
        match client.is_some_and(|client| client.in_doubt) {
            true => self.disconnect(slot),
            false => self.fail(format!("client {slot} is dismissed without a reason")),
        }
    }

    fn operation(&mut self, operation: Operation<String>) {
        let operation = match operation {
            Operation::Publish {
                subject,
                reply,
                headers,
                payload,
            } => {
                if let Some(inside) = &mut self.inside {
                    let result = inside.publish(&subject, &reply, &headers, &payload);
                    self.check(result);
                }
                if reply.is_empty() {
                    self.log(|| format!("gateway tells {subject} {payload}"));
                    let result = self.presence.hear(&subject, &payload);
                    return self.check(result);
                }
                self.log(|| format!("gateway asks {subject} {payload}"));
                let fits = is_subject(&subject) && is_subject(&reply);
                if !fits || subject.len() + reply.len() > 4096 {
                    return self.fail(format!("{subject} and {reply} cannot be published"));
                }
                match Request::parse(&subject, &reply, payload.as_bytes()) {
                    Ok(request) => {
                        let result = self.check_trace(&request, &headers);
                        self.check(result);
                        let request = Rc::new(request);
                        self.request_published(&request);
                        Ascending::Publish(request)
                    }
                    Err(what) => return self.fail(what),
                }
            }
            Operation::Subscribe { sid, subject } => {
                self.log(|| format!("gateway subscribes {subject}"));
                let cid = subject
                    .strip_prefix("conn.")
                    .and_then(|s| s.strip_suffix(".*"));
                if let Some(cid) = cid {
                    self.learn(cid);
                }
                self.heard.insert(sid);
                Ascending::Subscribe(sid, subject)
            }
            Operation::Unsubscribe { sid } => {
                self.log(|| format!("gateway unsubscribes {sid}"));
                self.heard.remove(&sid);
                Ascending::Unsubscribe(sid)
            }
        };
        if self.hand.is_some() {
            return self.happen(Due::Operation(operation));
        }
        let latency = self.latency("up");
        let at = self.lanes.arrival(" up", self.driver.now + latency);
        self.schedule(at, Due::Operation(operation));
    }

    /// The events of a connection are subscribed: of whoever acts, unless somebody has this
    /// ID, whose events are subscribed again since the broker was away.
    fn learn(&mut self, cid: &str) {
        let mut known = self.clients.iter().flatten();
        if known.any(|client| client.cid == cid) {
            return;
        }
        if let Some(client) = self.acting.and_then(|slot| self.clients[slot].as_mut()) {
            let is_second = !client.cid.is_empty();
            cid.clone_into(&mut client.cid);
            if is_second || cid.len() != 20 {
                self.fail(format!("{cid:?} is no connection ID"));
            }
        }
    }

    fn delivery(&mut self, key: ClientKey, delivery: Delivery) {
        let slot = key.0 as usize;
        if slot >= CLIENTS {
            return match delivery {
                Delivery::Web(response) => self.web_answer(slot - CLIENTS, *response),
                other => self.fail(format!("a web request gets {other:?}")),
            };
        }
        match delivery {
            Delivery::Stream(ref start) => {
                let text = delivery.text();
                self.log(|| {
                    let text = text.as_deref().map(String::from_utf8_lossy);
                    format!("client {slot} gets a stream: {text:?}")
                });
                self.stream_begins(slot, start, text.as_deref());
            }
            Delivery::Rest(tag) => self.stream_rests(slot, tag),
            Delivery::Web(response) => self.stream_is_refused(slot, &response),
            Delivery::Message(_) | Delivery::Answer(_) => {
                self.stream_goes_on(slot);
                let message = delivery.text().unwrap_or_default();
                let text = String::from_utf8_lossy(&message).into_owned();
                self.log(|| format!("client {slot} gets {text}"));
                if text.contains(['<', '>', '&']) {
                    self.fail(format!("client {slot} gets what HTML would read: {text}"));
                }
                match serde_json::from_slice::<Value>(&message) {
                    Ok(message) => self.client_receives(slot, &message),
                    Err(error) => self.fail(format!("client {slot} gets no JSON: {error}: {text}")),
                }
            }
            Delivery::Resume => {
                self.log(|| format!("client {slot} may ask again"));
                if !self.driver.gateway.takes_requests(key) {
                    self.fail(format!("client {slot} may ask again, and may not"));
                }
            }
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
            if self.hand.is_some() {
                self.happen(Due::Published {
                    subject,
                    payload,
                    status: None,
                });
                continue;
            }
            let mut rng = self.roll(&lane);
            let wanted = self.driver.now
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
        if self.hand.is_some() {
            return self.happen(Due::Published {
                subject: subject.to_owned(),
                payload: payload.to_string().into(),
                status: None,
            });
        }
        let wanted = self.driver.now + self.roll(subject).between(0, 40);
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

    pub fn schedule(&mut self, at: u64, due: Due) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), due);
    }

    /// Lets time pass, with everything that happens meanwhile.
    pub fn advance(&mut self, until: u64) {
        while self.step(until) {}
        self.driver.now = self.driver.now.max(until);
    }

    /// Lets time pass until nothing is left to happen.
    pub fn rest(&mut self) {
        let limit = self.driver.now + REST_LIMIT;
        let mut turns = 0;
        while self.step(limit) {
            turns += 1;
            if turns > REST_TURNS {
                return self.fail(format!("no rest after {REST_TURNS} turns"));
            }
        }
        if self.failure.is_none()
            && (!self.due.is_empty() || self.driver.gateway.next_timeout().is_some())
        {
            self.fail(format!("no rest after {REST_LIMIT} ms"));
        }
    }

    /// Does the next thing that is due before a time, if there is one. While work is left
    /// over, no time passes.
    fn step(&mut self, until: u64) -> bool {
        if self.failure.is_some() {
            return false;
        }
        let due = self.due.first_key_value().map(|(&(at, _), _)| at);
        if self.has_work() {
            let is_due = due.is_some_and(|at| at <= self.driver.now);
            if !is_due || self.roll("go on").chance(60) {
                self.go_on();
            } else if let Some((_, due)) = self.due.pop_first() {
                self.happen(due);
            }
            return true;
        }
        let timeout = self.driver.gateway.next_timeout().map(|time| time.0);
        let next = timeout.into_iter().chain(due).min();
        let Some(next) = next.filter(|&next| next <= until) else {
            return false;
        };
        self.driver.now = self.driver.now.max(next);
        if timeout == Some(next) {
            self.log(|| "gateway wakes up".to_owned());
            self.input(Input::Time);
            let next = self.driver.gateway.next_timeout();
            if !self.has_work() && next.is_some_and(|time| time.0 <= self.driver.now) {
                self.fail("a time-out is due again right after it was handled");
            }
        } else if let Some((_, due)) = self.due.pop_first() {
            self.happen(due);
        }
        true
    }

    fn go_on(&mut self) {
        self.log(|| "gateway goes on".to_owned());
        self.input(Input::GoOn);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Return => self.return_broker(),
            Due::Allowance(slot) => {
                if let Some(client) = &mut self.clients[slot] {
                    client.waits = false;
                }
                self.flush_clients();
            }
            Due::Refused(sid) => self.refused_is_heard(sid),
            Due::Operation(Ascending::Subscribe(sid, subject)) => {
                if let Some((name, _)) = event_of(&subject) {
                    self.unheard.remove(name);
                    if self.refuses(sid, name) {
                        return;
                    }
                }
                let result = self.broker.subscribe(sid, &subject);
                if let Some(inside) = &mut self.inside {
                    inside.subscribe(sid, &subject);
                }
                self.check(result);
            }
            // What was refused is not there to end.
            Due::Operation(Ascending::Unsubscribe(sid)) if self.refused.contains(&sid) => {}
            Due::Operation(Ascending::Unsubscribe(sid)) => {
                let result = self.broker.unsubscribe(sid);
                if let Some(inside) = &mut self.inside {
                    inside.unsubscribe(sid);
                }
                self.check(result);
            }
            Due::Operation(Ascending::Publish(request)) => self.is_asked(request),
            Due::Act(request, style) => self.act(&request, &style),
            Due::Published {
                subject,
                payload,
                status,
            } => {
                self.is_published(subject, payload, status);
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

    /// A message of a service is at the broker.
    fn is_published(&mut self, subject: String, payload: Vec<u8>, status: Option<u16>) {
        if let Some((name, _)) = event_of(&subject)
            && self.unheard.contains(name)
            && let Some(entry) = self.service.entry(name)
        {
            entry.lose(&payload);
        }
        let latency = self.latency("down");
        let sids = self.broker.route(&subject);
        if let Some(inside) = &mut self.inside {
            let result = inside.carry(&subject, &payload, status, &sids);
            self.check(result);
        }
        for sid in sids {
            if self.hand.is_some() {
                self.message(sid, &subject, &payload, status);
                continue;
            }
            let at = self.lanes.arrival(" down", self.driver.now + latency);
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

    /// A request of the gateway is at the broker.
    fn is_asked(&mut self, request: Rc<Request>) {
        // What happens to a resource from the moment of its answer on must be heard.
        let events = format!("event.{}.*", request.name);
        let is_heard = self.broker.subjects().any(|subject| subject == events);
        let is_refused = self.unserved.contains(&request.name);
        if request.kind == Kind::Get && !is_heard && !is_refused {
            return self.fail(format!("{} is asked for unheard", request.name));
        }
        self.plan(request);
    }

    /// Whether the broker refuses the subscription of a name's events.
    fn refuses(&mut self, sid: u64, name: &str) -> bool {
        let is_refused =
            self.profile.refusals && self.faults && self.roll("refuse").chance(REFUSED);
        if !is_refused {
            self.unserved.remove(name);
            return false;
        }
        self.log(|| format!("the events of {name} are refused"));
        self.unserved.insert(name.to_owned());
        self.refused.insert(sid);
        let latency = self.latency("down");
        let at = self.lanes.arrival(" down", self.driver.now + latency);
        self.schedule(at, Due::Refused(sid));
        true
    }

    /// The gateway hears that a subscription was refused.
    fn refused_is_heard(&mut self, sid: u64) {
        self.log(|| format!("gateway hears that {sid} is refused"));
        self.refused.remove(&sid);
        self.heard.remove(&sid);
        self.broker.forget(sid);
        if let Some(inside) = &mut self.inside {
            inside.unsubscribe(sid);
        }
        self.input(Input::Refused(sid, Refusal::Permission));
    }

    /// The gateway cannot take what is on the way to it: of one of the names with events
    /// there, chosen by number, all are dropped, and it is told so.
    pub fn fall_behind(&mut self, choice: usize) {
        let mut names: BTreeMap<u64, String> = BTreeMap::new();
        for due in self.due.values() {
            if let Due::Message { sid, subject, .. } = due
                && Gateway::may_drop(*sid)
                && let Some((name, _)) = event_of(subject)
            {
                names.insert(*sid, name.to_owned());
            }
        }
        let place = choice % names.len().max(1);
        let victim = names.into_iter().nth(place);
        let Some((victim, name)) = victim else { return };
        let mut dropped = Vec::new();
        self.due.retain(|_, due| match due {
            Due::Message { sid, payload, .. } if *sid == victim => {
                dropped.push(std::mem::take(payload));
                false
            }
            _ => true,
        });
        self.log(|| format!("{} events of {name} are dropped", dropped.len()));
        if let Some(entry) = self.service.entry(&name) {
            // Events that come until it is fetched again mean nothing.
            entry.disturbed = true;
            for payload in dropped {
                entry.lose(&payload);
            }
        }
        // Access may have been put in question by what was dropped.
        self.note(&format!("event.{name}.reaccess"), b"", None);
        self.input(Input::Dropped(&[victim]));
    }

    /// A request reaches its service, which decides how to treat it.
    fn plan(&mut self, request: Rc<Request>) {
        if let Some(hand) = &mut self.hand {
            return hand.asked.push(request);
        }
        let mut rng = self.roll(&request.subject);
        let lies = self.faults && self.profile.lies && rng.chance(50);
        let (style, delay) = match lies {
            true => request::plan_lie(&mut rng),
            false => request::plan(&mut rng, self.faults),
        };
        let good = [Style::Answer, Style::Twice, Style::PreResponse, Style::Late];
        if !good.contains(&style) || delay >= request::REQUEST_TIMEOUT {
            self.service.will_fail(&request);
        }
        match style {
            Style::Never => self.log(|| format!("{} stays unanswered", request.subject)),
            Style::NoResponders => {
                let (subject, payload) = (request.reply.clone(), Vec::new());
                self.schedule(
                    self.driver.now,
                    Due::Published {
                        subject,
                        payload,
                        status: Some(503),
                    },
                );
            }
            style => self.schedule(self.driver.now + delay, Due::Act(request, style)),
        }
    }

    pub fn act(&mut self, request: &Rc<Request>, style: &Style) {
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
            Style::Lie | Style::Echo => self.lie(request, *style == Style::Lie, &mut rng),
            _ if !self.faults && self.service.has_lied(request) => {
                // Nobody knows what it is by now; no stream of bytes may keep it so for ever.
                let mut rng = Rng::labelled(self.profile.seed, &request.reply, self.driver.now);
                let answer = match rng.below(3) {
                    0 => json!({"error": {"code": "system.notFound", "message": "Gone"}}),
                    _ => json!({"result": lies::content(request, &mut rng)}),
                };
                vec![self.reply(request, answer.to_string().into())]
            }
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
                let later = self.driver.now + rng.between(least, most);
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
        if *style == Style::Late {
            let later = self.driver.now + rng.between(0, 2000);
            self.schedule(later, Due::Act(Rc::clone(request), Style::Echo));
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

    /// What is answered by a service that keeps to no protocol. An answer may `count`, or
    /// come second, when it must not matter.
    fn lie(&mut self, request: &Rc<Request>, counts: bool, rng: &mut Luck) -> Vec<Sent> {
        let (payload, is_meant) = lies::answer(request, rng);
        if counts {
            self.service.lied(request);
            if !is_meant && request.kind == Kind::Access {
                self.misunderstood(request);
            }
        }
        let Some(payload) = payload else {
            let (subject, payload) = (request.reply.clone(), Vec::new());
            let due = Due::Published {
                subject,
                payload,
                status: Some(503),
            };
            self.schedule(self.driver.now, due);
            return Vec::new();
        };
        if counts && payload.first().is_some_and(u8::is_ascii_alphabetic) {
            // At most a pre-response.
            let style = if rng.chance(50) {
                Style::Lie
            } else {
                Style::Answer
            };
            let later = self.driver.now + rng.between(0, 7000);
            self.schedule(later, Due::Act(Rc::clone(request), style));
        }
        vec![self.reply(request, payload)]
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
        if self.heard.contains(&sid) {
            self.note(subject, payload, status);
        }
        let tids = self.expect_renewals(subject, payload);
        self.published.clear();
        self.input(Input::Message(BrokerMessage {
            sid,
            subject: subject.as_bytes(),
            payload,
            status,
            reply: None,
        }));
        if let Some((subject, expected)) = tids {
            while self.failure.is_none() && self.has_work() {
                self.go_on();
            }
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
        for slot in 0..CLIENTS {
            let key = ClientKey(slot as u32);
            while self.failure.is_none() && self.driver.gateway.takes_requests(key) {
                let Some(client) = &mut self.clients[slot] else {
                    break;
                };
                if self.away && client.cid.is_empty() {
                    break; // Its connection ID would be learned by nobody.
                }
                let Some((text, mut pending)) = client.backlog.pop_front() else {
                    break;
                };
                if !client.may_ask(&text, self.profile.rate, self.driver.now) {
                    if !self.faults {
                        // Whoever wants to know what is true waits.
                        client.backlog.push_front((text, pending));
                        if !std::mem::replace(&mut client.waits, true) {
                            self.schedule(self.driver.now + 200, Due::Allowance(slot));
                        }
                        break;
                    }
                    pending = pending.map(|(id, _)| (id, Pending::Refused("common.tooActive")));
                }
                if let Some((id, pending)) = pending {
                    client.observer.ask(id, pending.asked());
                    client.pending.insert(id, (pending, self.driver.now));
                }
                self.log(|| format!("client {slot} sends {}", text.escape_ascii()));
                self.acting = Some(slot);
                self.input(Input::Say(key, &text));
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
