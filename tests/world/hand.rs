//! The world by hand: nothing happens by itself, no message takes any time, and whoever
//! leads it says what comes next and which request is answered when. Such a world can be
//! copied, all but its gateway, for which what it was told is told to another one.

use super::choices::{Choices, Rng};
use super::driver::{Driver, Input};
#[cfg(test)]
use super::query;
#[cfg(test)]
use super::request::Kind;
use super::request::{Request, Style};
use super::service::{Sent, Service};
use super::simulator::{Due, World};
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use tidegate::gateway::{BrokerMessage, ClientKey, WebRequest};

/// What there is while a world is led by hand.
#[derive(Clone, Debug, Default)]
pub struct Hand {
    /// Requests that services have and did not answer, oldest first.
    pub asked: Vec<Rc<Request>>,
    /// What the gateway was told so far.
    told: Vec<Rc<Told>>,
    /// Which of its forms an answer has.
    form: u64,
}

/// An input as it was given, with the time and the units of its turn.
#[derive(Debug)]
struct Told {
    now: u64,
    units: u32,
    input: Kept,
}

#[derive(Debug)]
enum Kept {
    Broker(usize),
    Lost,
    Message(u64, String, Vec<u8>, Option<u16>),
    Dropped(Vec<u64>),
    Connect(ClientKey, Box<[u8]>, SocketAddr),
    Say(ClientKey, Vec<u8>),
    Get(ClientKey, String, Vec<u8>),
    Close(ClientKey),
    Check(usize),
    Time,
    GoOn,
}

impl Kept {
    fn of(input: &Input<'_>) -> Self {
        match input {
            Input::Broker { max_payload } => Self::Broker(*max_payload),
            Input::Lost => Self::Lost,
            Input::Message(message) => Self::Message(
                message.sid,
                String::from_utf8_lossy(message.subject).into_owned(),
                message.payload.to_vec(),
                message.status,
            ),
            Input::Dropped(sids) => Self::Dropped(sids.to_vec()),
            Input::Connect(key, head, remote) => Self::Connect(*key, head.clone(), *remote),
            Input::Say(key, text) => Self::Say(*key, text.to_vec()),
            Input::Web(key, request) => {
                Self::Get(*key, request.path.to_owned(), request.head.to_vec())
            }
            Input::Close(key) => Self::Close(*key),
            Input::Check(count) => Self::Check(*count),
            Input::Time => Self::Time,
            Input::GoOn => Self::GoOn,
            Input::Refused(..)
            | Input::Unsent(..)
            | Input::Upgrade(..)
            | Input::EndPoll(_)
            | Input::Rest(_)
            | Input::Heartbeat => {
                unreachable!("the world has no such input")
            }
        }
    }

    fn input(&self) -> Input<'_> {
        match self {
            Self::Broker(max_payload) => Input::Broker {
                max_payload: *max_payload,
            },
            Self::Lost => Input::Lost,
            Self::Message(sid, subject, payload, status) => Input::Message(BrokerMessage {
                sid: *sid,
                subject: subject.as_bytes(),
                payload,
                status: *status,
                reply: None,
            }),
            Self::Dropped(sids) => Input::Dropped(sids),
            Self::Connect(key, head, remote) => Input::Connect(*key, head.clone(), *remote),
            Self::Say(key, text) => Input::Say(*key, text),
            Self::Get(key, path, head) => {
                let request = WebRequest {
                    head,
                    ..super::driver::web_get(path)
                };
                Input::Web(*key, request)
            }
            Self::Close(key) => Input::Close(*key),
            Self::Check(count) => Input::Check(*count),
            Self::Time => Input::Time,
            Self::GoOn => Input::GoOn,
        }
    }
}

impl World {
    /// From now on the world is led by hand.
    pub fn take_in_hand(&mut self) {
        self.hand = Some(Hand::default());
    }

    /// Keeps an input, so that another gateway can be told it too.
    pub fn keep(&mut self, units: u32, input: &Input<'_>) {
        let now = self.driver.now;
        if let Some(hand) = &mut self.hand {
            let input = Kept::of(input);
            hand.told.push(Rc::new(Told { now, units, input }));
        }
    }

    /// A copy of this world around another gateway, which is told what this one was told.
    pub fn copy(&self) -> Self {
        let mut driver = Driver::new(self.options(), 0);
        driver.audits = false;
        driver.gateway.leave_audits_to_caller();
        if let Some(hand) = &self.hand {
            for told in &hand.told {
                driver.now = told.now;
                driver.tell(told.units, told.input.input());
            }
        }
        driver.now = self.driver.now;
        driver.audits = true;
        self.around(driver)
    }

    /// What services were asked, and did not answer.
    pub fn asked(&self) -> &[Rc<Request>] {
        self.hand.as_ref().map_or(&[], |hand| &hand.asked)
    }

    /// One of these is answered, in one of the two forms that its answer may have, or badly.
    pub fn answer_asked(&mut self, place: usize, style: &Style, form: u64) {
        let Some(hand) = &mut self.hand else { return };
        hand.form = form;
        let request = hand.asked.remove(place);
        if *style != Style::Answer {
            self.service.will_fail(&request);
        }
        self.act(&request, style);
        if let Some(hand) = &mut self.hand {
            hand.form = 0;
        }
    }

    /// The choices of a world that is led by hand: those that the form stands for.
    pub fn hand_luck(&self) -> Option<Rng> {
        // The first has whole content in answers to query requests, the second events.
        let seeds = [form_seed(true), form_seed(false)];
        self.hand
            .as_ref()
            .map(|hand| Rng::new(seeds[hand.form as usize % 2]))
    }

    /// Nobody leads the world any more: what services were asked they answer now, and the
    /// broker comes back.
    pub fn let_go(&mut self) {
        let Some(hand) = self.hand.take() else { return };
        for request in hand.asked {
            self.schedule(self.driver.now, Due::Act(request, Style::Answer));
        }
        if self.is_away() {
            self.schedule(self.driver.now, Due::Return);
        }
    }

    /// Changes what the windows of a query resource look at, and says so.
    pub fn change_rows(&mut self, name: &str, rows: &[Value]) {
        let sent = self.service.change_rows_to(name, rows);
        self.emit(sent);
    }

    /// Puts a value into a model. It is told unless `silent`.
    pub fn set(&mut self, name: &str, key: &str, value: &Value, silent: bool) {
        let Some(entry) = self.service.entry(name) else {
            return;
        };
        let Some(super::content::Content::Model(model)) = &mut entry.content else {
            return;
        };
        model.insert(key.to_owned(), value.clone());
        entry.remember();
        entry.disturbed |= silent;
        if !silent {
            let payload = json!({"values": {key: value}});
            self.emit(vec![Sent::event(name, "change", &payload)]);
        }
    }

    /// All of the world that decides about what can come, as text.
    pub fn write_state(&self, out: &mut String) {
        for client in &self.clients {
            let _ = writeln!(out, "{client:?}");
        }
        let _ = writeln!(out, "{:?}\n{:?}", self.web, self.service);
        self.service.write_past(out);
        let mut subjects: Vec<_> = self.broker.subjects().collect();
        subjects.sort_unstable();
        let _ = writeln!(out, "{subjects:?}{}{}", self.is_away(), self.faults);
        for request in self.asked() {
            let _ = writeln!(
                out,
                "{} {} {}",
                request.subject, request.reply, request.body
            );
        }
        self.write_ledger(out);
    }
}

/// A seed whose first choices make an answer to a query request the whole content, or not.
fn form_seed(whole: bool) -> u64 {
    (0..)
        .find(|seed| Rng::new(*seed).chance(40) == whole)
        .unwrap_or_default()
}

impl Service {
    /// Services that have only these: plain ones with content, query resources with rows.
    pub fn of(names: &[(&str, Value)]) -> Self {
        let mut service = Self::empty();
        for (name, value) in names {
            service.add(name, value);
        }
        service
    }

    /// Changes the rows of a query resource. The same change has the same subject each time.
    fn change_rows_to(&mut self, name: &str, rows: &[Value]) -> Vec<Sent> {
        let Some(entry) = self.entry(name) else {
            return Vec::new();
        };
        let before = std::mem::replace(&mut entry.rows, rows.to_vec());
        entry.remember();
        let subject = self.subject_of(name, before, rows.to_vec());
        vec![Sent::event(name, "query", &json!({"subject": subject}))]
    }
}

#[test]
fn answers_to_query_requests_have_two_forms() {
    let mut service = Service::of(&[("q.0", json!(["a", "b", "c"]))]);
    let sent = service.change_rows_to("q.0", &[json!("b"), json!("c")]);
    let told: Value = serde_json::from_slice(&sent[0].payload).unwrap();
    let subject = told["subject"].as_str().unwrap();
    let query = query::normalise(Some("l=2"));
    let answer = |whole| service.changes(subject, &query, &mut Rng::new(form_seed(whole)));
    assert!(answer(true)["result"]["collection"].is_array());
    assert!(answer(false)["result"]["events"].is_array());
    // A change back and the same change again have the subjects that they had.
    let back = service.change_rows_to("q.0", &[json!("a"), json!("b"), json!("c")]);
    let again = service.change_rows_to("q.0", &[json!("b"), json!("c")]);
    assert_ne!(back[0].payload, sent[0].payload);
    assert_eq!(again[0].payload, sent[0].payload);
    assert!(matches!(
        Request::parse(subject, "r", b"{}").unwrap().kind,
        Kind::Query
    ));
}

#[test]
fn a_copy_is_told_the_same() {
    let mut world = World::by_hand(0, Service::of(&[("m.0", json!({"a": 1}))]));
    world.open(0, None, super::content::Generation::V1_1);
    world.subscribe(0, "m.0");
    assert_eq!(world.asked().len(), 2);
    let mut copy = world.copy();
    for world in [&mut world, &mut copy] {
        world.answer_asked(1, &Style::Answer, 0);
        world.answer_asked(0, &Style::Answer, 0);
        world.set("m.0", "a", &json!(2), false);
        assert_eq!(world.failure, None);
    }
    let (mut one, mut other) = (String::new(), String::new());
    world.write_state(&mut one);
    copy.write_state(&mut other);
    assert_eq!(one, other);
    assert_eq!(
        format!("{:?}", world.driver.gateway.stats()),
        format!("{:?}", copy.driver.gateway.stats())
    );
}
