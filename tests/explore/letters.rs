//! The alphabet: what may happen next in a small world, and what each of it does.
//!
//! Two clients; two models that refer to each other; a query resource, written in two ways;
//! one more connection for web requests. The services' steps go to and fro between two
//! states, so that different ways lead to the same world.

use super::world::client::Pending;
use super::world::content::Generation;
use super::world::driver::Input;
use super::world::request::{Kind, Style, token_event};
use super::world::service::{Sent, Service};
use super::world::simulator::World;
use serde_json::{Value, json};

/// Resources that each client subscribes to.
const WANTED: [&[&str]; 2] = [&["m.0", "q.0?l=2&s=0"], &["m.0", "m.1", "q.0?s=0&l=2"]];

/// Names of the two models.
const MODELS: [&str; 2] = ["m.0", "m.1"];

/// One thing that may happen. Numbers of clients, of what they want, of models, of
/// requests without answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    Subscribe(u8, u8),
    Unsubscribe(u8, u8),
    /// The first client calls the first model.
    Call,
    /// The second client leaves.
    Leave,
    /// A web request for the first model.
    Get,
    /// A model changes.
    Change(u8),
    /// The first model begins or ceases to refer to the second.
    Link,
    /// The second model is deleted, or created.
    Life,
    /// The rows of the query resource change.
    Rows,
    /// A model changes without an event, and a system reset follows.
    Reset(u8),
    /// A model's event is dropped before it comes to the gateway, which is told so.
    Behind(u8),
    /// Who has no token may read the first model no longer, or again.
    Rules,
    /// The first client gets another token, by which it may not read the first model.
    Token,
    /// The gateway compares a resource with what services have.
    Check,
    /// The broker is away, or there again.
    Lose,
    Return,
    /// A request is answered, in one of two forms.
    Answer(u8, u8),
    /// The oldest request is answered with an error.
    Fail,
    /// Time passes until the gateway wakes up.
    Time,
    /// The gateway goes on with what is left over.
    GoOn,
}

/// Where sequences begin.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// Two clients that hold nothing.
    Empty,
    /// They hold everything.
    Held,
}

/// Which letters a game has.
#[derive(Clone, Copy, Debug)]
pub enum Theme {
    /// All.
    All,
    /// Who may do what.
    Access,
    /// NATS goes and comes back.
    Outage,
    /// What refers to what.
    Tree,
    /// The query resource.
    Query,
}

impl Theme {
    /// Whether a letter is one of its. Answers come in order, and all is answered in time.
    pub fn has(self, letter: Letter) -> bool {
        use Letter as L;
        match (self, letter) {
            (Self::All, _) | (_, L::Answer(0, _) | L::GoOn) => true,
            (Self::Access, letter) => {
                matches!(
                    letter,
                    L::Call | L::Rules | L::Token | L::Change(0) | L::Fail
                )
            }
            (Self::Outage, letter) => {
                matches!(
                    letter,
                    L::Lose | L::Return | L::Change(0) | L::Rules | L::Call
                )
            }
            (Self::Tree, letter) => matches!(
                letter,
                L::Subscribe(0, 0) | L::Unsubscribe(0, 0) | L::Link | L::Life | L::Change(1)
            ),
            (Self::Query, letter) => {
                matches!(
                    letter,
                    L::Rows | L::Subscribe(_, _) | L::Unsubscribe(0, 1) | L::Get
                )
            }
        }
    }
}

/// The world at the beginning, with so many units of work in each turn, 0 for no limit.
pub fn begin(start: Start, units: u32) -> World {
    let service = Service::of(&[
        ("m.0", json!({"n": 0, "next": {"rid": "m.1"}})),
        ("m.1", json!({"n": 0, "back": {"rid": "m.0"}})),
        ("q.0", json!(["a", "b", "c"])),
    ]);
    let mut world = World::by_hand(units, service);
    forbid(&mut world, 1, true);
    for slot in 0..2 {
        world.open(slot, Some("1.2.1"), Generation::V1_2_1);
    }
    if matches!(start, Start::Held) {
        for (slot, wanted) in WANTED.iter().enumerate() {
            for rid in *wanted {
                world.subscribe(slot, rid);
            }
        }
        while world.failure.is_none() && (world.has_work() || !world.asked().is_empty()) {
            let letter = match world.has_work() {
                true => Letter::GoOn,
                false => Letter::Answer(0, 0),
            };
            perform(&mut world, letter);
        }
    }
    world
}

/// What clients may do next.
fn clients_may(world: &World, letters: &mut Vec<Letter>) {
    for (slot, wanted) in (0..).zip(WANTED) {
        let Some(client) = &world.clients[slot as usize] else {
            continue;
        };
        for (number, rid) in (0..).zip(wanted) {
            let open = client.pending.values().map(|(pending, _)| pending);
            let asks =
                |pending: &Pending| matches!(pending, Pending::Subscribe(other) if other == rid);
            let ends = |pending: &Pending| matches!(pending, Pending::Unsubscribe(other, _) if other == rid);
            let asked = open.clone().filter(|pending| asks(pending)).count();
            let is_ending = open.clone().any(ends);
            let has = client.replica.direct(rid) > 0;
            if asked == 0 && !has {
                letters.push(Letter::Subscribe(slot, number));
            }
            let calls = open
                .clone()
                .any(|pending| matches!(pending, Pending::Call(..)));
            if (asked > 0 || has) && !is_ending && !calls {
                letters.push(Letter::Unsubscribe(slot, number));
            }
        }
        match slot {
            0 if !client.expects_resource() => letters.push(Letter::Call),
            1 => letters.push(Letter::Leave),
            _ => {}
        }
    }
}

/// What may happen next.
pub fn enabled(world: &World) -> Vec<Letter> {
    let mut letters = Vec::new();
    clients_may(world, &mut letters);
    if !world.web[0].pending {
        letters.push(Letter::Get);
    }
    letters.extend([
        Letter::Change(0),
        Letter::Change(1),
        Letter::Link,
        Letter::Life,
        Letter::Rows,
        Letter::Reset(0),
        Letter::Reset(1),
        Letter::Rules,
        Letter::Token,
    ]);
    let is_away = world.is_away();
    for (number, name) in (0..).zip(MODELS) {
        if !world
            .broker
            .route(&format!("event.{name}.change"))
            .is_empty()
        {
            letters.push(Letter::Behind(number));
        }
    }
    letters.push(match is_away {
        true => Letter::Return,
        false => Letter::Lose,
    });
    if !is_away {
        letters.push(Letter::Check);
        for (place, request) in (0..).zip(world.asked()) {
            letters.push(Letter::Answer(place, 0));
            if request.kind == Kind::Query {
                letters.push(Letter::Answer(place, 1));
            }
        }
        if !world.asked().is_empty() {
            letters.push(Letter::Fail);
        }
    }
    if world.has_work() {
        letters.push(Letter::GoOn);
    } else if world.driver.gateway.next_timeout().is_some() {
        letters.push(Letter::Time);
    }
    letters
}

/// Lets it happen.
pub fn perform(world: &mut World, letter: Letter) {
    world.log(|| format!("-- {letter:?}"));
    match letter {
        Letter::Subscribe(slot, number) => {
            world.subscribe(slot.into(), WANTED[slot as usize][number as usize]);
        }
        Letter::Unsubscribe(slot, number) => {
            let rid = WANTED[slot as usize][number as usize];
            let pending = Pending::Unsubscribe(rid.to_owned(), 1);
            world.ask(
                slot.into(),
                &format!("unsubscribe.{rid}"),
                &Value::Null,
                pending,
            );
        }
        Letter::Call => {
            let pending = Pending::Call("ok".to_owned(), json!({"n": 1}));
            world.ask(0, "call.m.0.ok", &json!({"n": 1}), pending);
        }
        Letter::Leave => world.disconnect(1),
        Letter::Get => world.web_get(0, "m.0"),
        Letter::Change(number) => change(world, number, false),
        Letter::Link => link(world),
        Letter::Life => life(world),
        Letter::Rows => rows(world),
        Letter::Reset(number) => {
            change(world, number, true);
            world.reset(MODELS[number as usize], true, true, false);
        }
        Letter::Behind(number) => fall_behind(world, number),
        Letter::Rules => {
            let is_forbidden = world.service.grant("m.0", 0).get;
            forbid(world, 0, is_forbidden);
            world.emit(vec![Sent::event("m.0", "reaccess", &Value::Null)]);
        }
        Letter::Token => tell_token(world),
        Letter::Check => world.input(Input::Check(1)),
        Letter::Lose => {
            world.profile.faults = true;
            world.lose_broker(0);
        }
        Letter::Return => world.return_broker(),
        Letter::Answer(place, form) => {
            world.answer_asked(place.into(), &Style::Answer, form.into());
        }
        Letter::Fail => {
            world.profile.faults = true;
            world.answer_asked(0, &Style::Error, 0);
        }
        Letter::Time => {
            world.profile.faults = true;
            let next = world.driver.gateway.next_timeout();
            world.driver.now = next.map_or(world.driver.now, |next| next.0.max(world.driver.now));
            world.input(Input::Time);
        }
        Letter::GoOn => world.input(Input::GoOn),
    }
    for client in world.clients.iter_mut().flatten() {
        client.answers.clear();
    }
    world.published.clear();
}

fn forbid(world: &mut World, token: usize, is_forbidden: bool) {
    if let Some(entry) = world.service.entry("m.0") {
        entry.grants[token].get = !is_forbidden;
    }
}

fn number_of(world: &mut World, name: &str) -> u64 {
    let content = world.service.truth(name, None);
    content.map_or(0, |content| {
        content.to_result()["model"]["n"].as_u64().unwrap_or(0)
    })
}

fn change(world: &mut World, number: u8, silent: bool) {
    let name = MODELS[number as usize];
    let other = 1 - number_of(world, name);
    world.set(name, "n", &json!(other), silent);
}

fn link(world: &mut World) {
    let content = world.service.truth("m.0", None);
    let is_there = content.is_some_and(|content| !content.hard_references().is_empty());
    let value = if is_there {
        Value::Null
    } else {
        json!({"rid": "m.1"})
    };
    world.set("m.0", "next", &value, false);
}

fn life(world: &mut World) {
    let sent = match world.service.truth("m.1", None) {
        Some(_) => world.service.delete("m.1", false),
        None => {
            world
                .service
                .bring("m.1", &json!({"n": 0, "back": {"rid": "m.0"}}));
            vec![Sent::event("m.1", "create", &Value::Null)]
        }
    };
    world.emit(sent);
}

fn rows(world: &mut World) {
    let now = world.service.truth("q.0", Some("l=1&s=0"));
    let is_first = now.is_some_and(|now| now.to_result()["collection"][0] == "a");
    let rows = if is_first {
        json!(["b", "c"])
    } else {
        json!(["a", "b", "c"])
    };
    world.change_rows("q.0", rows.as_array().map_or(&[], |rows| &rows[..]));
}

fn fall_behind(world: &mut World, number: u8) {
    change(world, number, true);
    let name = MODELS[number as usize];
    let sids = world.broker.route(&format!("event.{name}.change"));
    // Access may have been put in question by what was dropped.
    world.note(&format!("event.{name}.reaccess"), b"", None);
    world.input(Input::Dropped(&sids));
}

fn tell_token(world: &mut World) {
    let Some(client) = &world.clients[0] else {
        return;
    };
    let kind = usize::from(client.token.is_null());
    let event = token_event(&client.cid, kind);
    world.emit(vec![event]);
}
