//! The steps of a script, carried out.

use super::choices::{Bytes, Choices};
use super::client::{Client, Pending};
use super::content::Generation;
use super::driver::Input;
use super::lies;
use super::memory::Memory;
use super::replica::{Held, Item};
use super::request::token_event;
use super::script::{Action, Ask, CLIENTS, Pattern, Profile, Script, Tell};
use super::service::{RIDS, Sent};
use super::simulator::{Source, World};
use super::traces;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidegate::gateway::ClientKey;

/// Requests of a burst, more than the gateway keeps open for one client.
const BURST: usize = 300;

/// Patterns of system resets.
const PATTERNS: [&str; 10] = [
    ">", "m.>", "c.*", "m.0", "c.1", "q.>", "*.0", "q.0", "u.>", "*.1",
];

/// Requests that are none, and the error that is due; `None` for no answer at all.
const JUNK: [(&str, Option<&str>); 9] = [
    ("foo", Some("system.invalidRequest")),
    ("subscribe.m..0", Some("system.invalidRequest")),
    ("call.m", Some("system.invalidRequest")),
    ("subscribe.m.*", Some("system.invalidRequest")),
    ("Subscribe.m.0", Some("system.invalidRequest")),
    ("nonsense", None),
    ("[]", None),
    (r#"{"method":"get.m.0"}"#, None),
    (r#"{"id":1.5,"method":"get.m.0"}"#, None),
];

/// Service messages without meaning, by the end of their subject.
const NOISE: [(&str, &str); 9] = [
    ("change", "{"),
    ("change", r#"{"values":{"a":{"b":1}}}"#),
    ("change", r#"{"values":{"a":{"rid":"m..0"}}}"#),
    ("add", r#"{"value":1,"idx":99}"#),
    ("add", r#"{"idx":0}"#),
    ("remove", r#"{"idx":99}"#),
    ("remove", r#"{"idx":-1}"#),
    ("hello", "nonsense"),
    ("query", r#"{"subject":""}"#),
];

/// Steps of a run by a fuzzer's bytes.
const MOST_STEPS: usize = 200;

/// Runs a script to its end, or to the first failure.
pub fn run(script: &Script, trace: bool) -> World {
    let source = Source::Seed(script.profile.seed, BTreeMap::new());
    let mut world = World::new(script.profile, source, trace);
    for (gap, action) in &script.steps {
        world.carry_on(*gap, action);
    }
    world.end()
}

/// Runs what bytes say to its end, or to the first failure.
pub fn run_bytes(mut bytes: Bytes, trace: bool) -> World {
    let profile = Profile::from_bytes(&mut bytes);
    let mut world = World::new(profile, Source::Bytes(bytes.clone()), trace);
    world.log(|| format!("{profile:?}"));
    let mut steps = Vec::new();
    for _ in 0..MOST_STEPS {
        if bytes.is_empty() || world.failure.is_some() {
            break;
        }
        profile.add_steps(&mut steps, &mut bytes);
        for (gap, action) in steps.drain(..) {
            world.carry_on(gap, &action);
        }
    }
    world.end()
}

impl World {
    /// Lets time pass, and takes a step.
    fn carry_on(&mut self, gap: u64, action: &Action) {
        if self.failure.is_some() {
            return;
        }
        // What is left over may be overtaken.
        if gap > 0 || !self.has_work() || self.roll("leave over").chance(50) {
            self.advance(self.driver.now + gap);
        }
        if self.failure.is_none() {
            self.log(|| format!("-- {action:?}"));
            self.perform(action);
        }
        self.let_streams_rest();
    }

    fn end(mut self) -> Self {
        if self.failure.is_none() {
            self.settle();
            self.finish();
        }
        self
    }

    fn perform(&mut self, action: &Action) {
        match *action {
            Action::Connect(slot, generation) => self.connect(slot, generation),
            Action::Disconnect(slot) => self.cut_off(slot),
            Action::Ask(slot, ref ask) => {
                let client = self.clients[slot].as_ref();
                if client.is_some_and(|client| client.stream.is_none()) {
                    self.carry_out(slot, ask);
                }
            }
            Action::Stream(slot, rid) => self.stream(slot, RIDS[rid]),
            Action::Web(web, rid) => {
                if !self.web[web].pending {
                    self.web_get_again(web, RIDS[rid]);
                }
            }
            Action::WebCall(web, rid, method) => {
                if !self.web[web].pending {
                    self.web_call(web, RIDS[rid], method);
                }
            }
            Action::WebClose(web) => self.web_close(web),
            Action::Token(slot, kind) => self.tell_token(slot, |cid| token_event(cid, kind)),
            Action::TokenReset(kind) => {
                let payload = json!({"tids": [format!("t{kind}")], "subject": "renew.tokens"});
                self.send_joint(&["auth".to_owned()], "system.tokenReset", &payload);
            }
            Action::LyingEvent(choice, roll) => {
                let name = self.name_of(choice);
                self.tell_anything(&name, roll);
            }
            Action::LyingSystem(roll) => self.announce_anything(roll),
            Action::LyingToken(slot, roll) => {
                let payload = lies::token(&mut self.luck(roll));
                self.tell_token(slot, |cid| Sent {
                    payload: payload.to_string().into(),
                    ..token_event(cid, 0)
                });
            }
            Action::Behind(choice) => self.fall_behind(choice),
            Action::Check(count) => self.input(Input::Check(count)),
            Action::Outage(time) => self.lose_broker(time),
            Action::Settle => self.settle(),
            _ => self.serve(action),
        }
    }

    /// The name that a step is about.
    fn name_of(&self, choice: usize) -> String {
        let names = self.service.names();
        let of_rid = RIDS.get(choice).and_then(|rid| rid.split('?').next());
        let known = of_rid.filter(|name| names.iter().any(|other| other == name));
        known.map_or_else(|| names[choice % names.len()].clone(), str::to_owned)
    }

    /// A step of the services that is about one name.
    fn serve(&mut self, action: &Action) {
        let sent = match *action {
            Action::Mutate { name, silent, roll } => {
                let (name, mut luck) = (self.name_of(name), self.luck(roll));
                self.service.mutate(&name, &mut luck, silent)
            }
            Action::Custom(name) => {
                let name = self.name_of(name);
                self.service.custom(&name)
            }
            Action::Delete { name, silent } => {
                let name = self.name_of(name);
                self.service.delete(&name, silent)
            }
            Action::Create(name, roll) => {
                let (name, mut luck) = (self.name_of(name), self.luck(roll));
                self.service.create(&name, &mut luck)
            }
            Action::Regulate {
                name,
                token,
                tell,
                roll,
            } => {
                let (name, mut luck) = (self.name_of(name), self.luck(roll));
                return self.regulate(&name, token, tell, &mut luck);
            }
            Action::Reset {
                pattern,
                resources,
                access,
                early,
            } => {
                let pattern = match pattern {
                    Pattern::Name(choice) => self.name_of(choice),
                    Pattern::Wild(choice) => PATTERNS[choice % PATTERNS.len()].to_owned(),
                };
                return self.reset(&pattern, resources, access, early);
            }
            Action::Noise(name, kind) => {
                let (event, payload) = NOISE[kind % NOISE.len()];
                vec![Sent {
                    payload: payload.into(),
                    ..Sent::event(&self.name_of(name), event, &Value::Null)
                }]
            }
            _ => return,
        };
        self.emit(sent);
    }

    /// Sends a token event to a client, if services can know it.
    fn tell_token(&mut self, slot: usize, event: impl FnOnce(&str) -> Sent) {
        let known = self.clients[slot].as_ref();
        if let Some(client) = known.filter(|client| !client.cid.is_empty()) {
            let event = event(&client.cid);
            self.emit(vec![event]);
        }
    }

    /// Sends an event of a resource that says anything.
    fn tell_anything(&mut self, name: &str, roll: u64) {
        let (event, payload) = lies::any_event(&mut self.luck(roll));
        if event != "reaccess" && event != "custom" {
            self.service.disown(name, true);
        }
        if event == "query" {
            self.held_up.insert(name.to_owned());
        }
        self.emit(vec![Sent {
            payload,
            ..Sent::event(name, event, &Value::Null)
        }]);
    }

    /// Sends an event of the system that says anything.
    fn announce_anything(&mut self, roll: u64) {
        let (event, payload) = lies::system(&mut self.luck(roll));
        let patterns = payload["resources"].as_array().into_iter().flatten();
        for pattern in patterns.filter_map(Value::as_str) {
            self.service.disturb(pattern);
        }
        self.log(|| format!("service sends system.{event} {payload}"));
        self.send_joint(&["auth".to_owned()], &format!("system.{event}"), &payload);
    }

    /// Sends what services want sent, and says so.
    pub fn emit(&mut self, sent: Vec<Sent>) {
        for message in &sent {
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            self.log(|| format!("service sends {} {text}", message.subject));
        }
        self.send(sent);
    }

    /// Connects a client where none is. The version that it speaks is chosen by number.
    pub fn connect(&mut self, slot: usize, choice: usize) {
        match choice {
            0 if self.profile.legacy => self.connect_as(slot, Generation::V1_1),
            1 if self.profile.legacy => self.connect_as(slot, Generation::V1_2_0),
            2 | 3 if self.roll("remember").chance(80) => self.come_back(slot),
            2 => self.connect_as(slot, Generation::V1_2_1),
            _ => self.open(slot, Some("1.2.1"), Generation::V1_2_1),
        }
    }

    /// Connects a client of a generation where none is.
    pub fn connect_as(&mut self, slot: usize, generation: Generation) {
        let version = match generation {
            Generation::V1_1 => None,
            Generation::V1_2_0 => Some("1.2.0"),
            Generation::V1_2_1 => Some("1.2.3"),
        };
        self.open(slot, version, generation);
    }

    /// Connects a client that remembers what it was sent, and says so.
    fn come_back(&mut self, slot: usize) {
        if self.clients[slot].is_some() {
            return;
        }
        let left = self.memories[slot].take().unwrap_or_default();
        let (direct, swaps) = (left.direct.clone(), self.roll("swap").chance(20));
        self.open_with(
            slot,
            Some("1.2.3"),
            Generation::V1_2_1,
            Some(Memory::of(left, swaps)),
        );
        for rid in direct {
            self.subscribe(slot, &rid);
        }
    }

    pub fn open(&mut self, slot: usize, version: Option<&str>, generation: Generation) {
        self.open_with(slot, version, generation, None);
    }

    fn open_with(
        &mut self,
        slot: usize,
        version: Option<&str>,
        generation: Generation,
        memory: Option<Memory>,
    ) {
        if self.clients[slot].is_some() {
            return;
        }
        self.log(|| format!("client {slot} connects"));
        let mut client = Client::new(generation, self.profile.queue > 0);
        client.memory = memory;
        self.clients[slot] = Some(client);
        self.acting = Some(slot);
        let remote = std::net::SocketAddr::from(([127, 0, 0, 1], 5000 + slot as u16));
        let head = traces::head(slot).into();
        self.input(Input::Connect(ClientKey(slot as u32), head, remote));
        if let Some(version) = version {
            let memory = self.clients[slot]
                .as_ref()
                .and_then(|it| it.memory.as_ref());
            let params = match memory {
                Some(memory) => memory.wishes(version),
                None => json!({"protocol": version}),
            };
            self.ask(slot, "version", &params, Pending::Version);
        }
    }

    /// A client loses its connection; one with a stream or with a memory may come back at once.
    fn cut_off(&mut self, slot: usize) {
        let client = self.clients[slot].as_ref();
        let is_stream = client.is_some_and(|client| client.stream.is_some());
        let remembers = client.is_some_and(|client| client.memory.is_some());
        if remembers && self.roll("back with memory").chance(85) {
            self.disconnect(slot);
            return self.come_back(slot);
        }
        match is_stream && self.roll("back").chance(60) {
            true => self.stream(slot, ""),
            false => self.disconnect(slot),
        }
    }

    pub fn disconnect(&mut self, slot: usize) {
        if let Some(client) = self.clients[slot].take() {
            self.left[slot] = client.leaves();
            if let Some(mut memory) = client.memory {
                memory.direct = client.replica.directs().map(str::to_owned).collect();
                self.memories[slot] = Some(memory);
            }
            self.log(|| format!("client {slot} leaves"));
            self.input(Input::Close(ClientKey(slot as u32)));
        }
    }

    /// Closes a web connection, with or without an open request.
    fn web_close(&mut self, web: usize) {
        if std::mem::take(&mut self.web[web]).pending {
            self.log(|| format!("web {web} goes away"));
            self.input(Input::Close(ClientKey((CLIENTS + web) as u32)));
        }
    }

    fn carry_out(&mut self, slot: usize, ask: &Ask) {
        if let Ask::Anything(roll) = *ask {
            let text = lies::raw(&mut self.luck(roll));
            if let Some(client) = &mut self.clients[slot] {
                client.enqueue_anything(&text);
            }
            return self.flush_clients();
        }
        let Some(client) = &mut self.clients[slot] else {
            return;
        };
        match *ask {
            Ask::Subscribe(rid) => self.subscribe(slot, RIDS[rid]),
            Ask::Again(choice) => self.subscribe_again(slot, choice),
            Ask::Unsubscribe { choice, count } => self.unsubscribe(slot, choice, count),
            Ask::UnsubscribeAny(rid)
                if client.replica.is_uncertain(RIDS[rid]) || client.expects_resource() => {}
            Ask::UnsubscribeAny(rid) => {
                let rid = RIDS[rid].to_owned();
                let method = format!("unsubscribe.{rid}");
                self.ask(slot, &method, &Value::Null, Pending::Unsubscribe(rid, 1));
            }
            Ask::Get(rid) => {
                let rid = RIDS[rid].to_owned();
                self.ask(slot, &format!("get.{rid}"), &Value::Null, Pending::Get(rid));
            }
            Ask::Call(rid, method) => {
                let params = json!({"n": self.driver.now});
                let pending = Pending::Call(method.to_owned(), params.clone());
                self.ask(
                    slot,
                    &format!("call.{}.{method}", RIDS[rid]),
                    &params,
                    pending,
                );
            }
            Ask::New(rid) => {
                self.ask(
                    slot,
                    &format!("new.{}", RIDS[rid]),
                    &Value::Null,
                    Pending::New,
                );
            }
            Ask::Login(kind) => {
                let params = json!({"user": kind});
                self.ask(slot, "auth.m.0.login", &params, Pending::Auth);
            }
            Ask::Long(choice) => self.ask_long(slot, choice),
            Ask::Anything(_) => {}
            Ask::Burst(rid) => {
                for _ in 0..BURST {
                    let rid = RIDS[rid].to_owned();
                    client.enqueue(&format!("get.{rid}"), &Value::Null, Pending::Get(rid));
                }
                self.flush_clients();
            }
            Ask::Junk(choice) => match JUNK[choice % JUNK.len()] {
                (method, Some(code)) => {
                    self.ask(slot, method, &Value::Null, Pending::Refused(code))
                }
                (text, None) => {
                    client.enqueue_raw(text.as_bytes());
                    self.flush_clients();
                }
            },
        }
    }

    /// Subscribes one of those that a client holds as failed or deleted.
    fn subscribe_again(&mut self, slot: usize, choice: usize) {
        let Some(client) = &self.clients[slot] else {
            return;
        };
        let is_gone = |item: &Item| item.deleted || matches!(item.held, Held::Error(_));
        let items = client.replica.items();
        let gone: Vec<_> = items.filter(|(_, item)| is_gone(item)).collect();
        if !gone.is_empty() {
            let rid = gone[choice % gone.len()].0.to_owned();
            self.subscribe(slot, &rid);
        }
    }

    /// Ends so many direct subscriptions of one of a client's resources.
    fn unsubscribe(&mut self, slot: usize, choice: usize, count: u32) {
        let Some(client) = &self.clients[slot] else {
            return;
        };
        let directs: Vec<_> = client.replica.directs().map(str::to_owned).collect();
        if directs.is_empty() {
            return;
        }
        let rid = directs[choice % directs.len()].clone();
        let is_clear = !client.expects_resource() || count <= client.replica.direct(&rid);
        if client.replica.is_uncertain(&rid) || !is_clear {
            return;
        }
        let params = if count == 1 {
            Value::Null
        } else {
            json!({"count": count})
        };
        let method = format!("unsubscribe.{rid}");
        self.ask(slot, &method, &params, Pending::Unsubscribe(rid, count));
    }

    /// Asks for something whose subjects are too long.
    fn ask_long(&mut self, slot: usize, choice: usize) {
        let name = lies::long_name(choice);
        match choice / 2 {
            0 => self.subscribe(slot, &name),
            1 => {
                let method = format!("get.{name}");
                self.ask(slot, &method, &Value::Null, Pending::Get(name));
            }
            _ => {
                let pending = Pending::Call("ok".to_owned(), Value::Null);
                self.ask(slot, &format!("call.{name}.ok"), &Value::Null, pending);
            }
        }
    }

    pub fn subscribe(&mut self, slot: usize, rid: &str) {
        let pending = Pending::Subscribe(rid.to_owned());
        self.ask(slot, &format!("subscribe.{rid}"), &Value::Null, pending);
    }

    fn regulate(&mut self, name: &str, token: usize, tell: Tell, rng: &mut impl Choices) {
        self.service.regulate(name, token, rng);
        match tell {
            Tell::Reaccess => {
                if let Some(entry) = self.service.entry(name) {
                    entry.access_doubt = false;
                }
                self.emit(vec![Sent::event(name, "reaccess", &Value::Null)]);
            }
            Tell::Reset => self.reset(name, false, true, false),
            Tell::Nothing => {}
        }
    }

    /// Sends a system reset, after everything that the affected services sent, unless it is
    /// an early one.
    pub fn reset(&mut self, pattern: &str, resources: bool, access: bool, early: bool) {
        let mut names = self.service.names();
        names.retain(|name| super::broker::matches(pattern, name));
        for name in &names {
            if let Some(entry) = self.service.entry(name) {
                entry.disturbed |= resources;
                entry.doubt &= !resources;
                entry.access_doubt &= !access;
            }
        }
        let mut payload = json!({});
        if resources {
            payload["resources"] = json!([pattern]);
        }
        if access {
            payload["access"] = json!([pattern]);
        }
        self.log(|| format!("service sends system.reset {payload}"));
        let lanes = if early { &[] } else { &names[..] };
        self.send_joint(lanes, "system.reset", &payload);
    }
}
