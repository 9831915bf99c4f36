//! A chat: whoever has said a name may speak, and is shown as present until it leaves or is
//! silent for long.

use std::collections::VecDeque;

use super::post::{Answer, Post, quoted};
use super::request::{Request, line};
use super::{NO_METHOD, NOT_FOUND, Refusal};

/// Messages that are kept.
const KEPT: usize = 40;

/// Most people at a time.
const PEOPLE_MAX: usize = 50;

/// Most characters of a name, of a key and of a message.
const NAME_MAX: usize = 20;
const KEY_MAX: usize = 64;
const TEXT_MAX: usize = 400;

/// Milliseconds after its last sign of life for which somebody is present. Pages that are not
/// looked at may give one only once a minute.
const PRESENT: u64 = 100_000;

/// Milliseconds between two messages of the same person, at least.
const PAUSE: u64 = 250;

const NO_NAME: Refusal = (
    "system.invalidParams",
    "A name must be one to 20 characters",
);
const NO_TEXT: Refusal = (
    "system.invalidParams",
    "A message must be one to 400 characters",
);
const TAKEN: Refusal = ("demo.nameTaken", "Somebody with that name is here already");
const CROWDED: Refusal = ("demo.crowded", "There are too many people here");
const TOO_FAST: Refusal = ("demo.tooFast", "Not so fast");
const STRANGER: Refusal = ("system.accessDenied", "Say who you are first");

#[derive(Debug)]
struct Person {
    name: String,
    /// What only this person's page knows: by it a new connection takes the name over.
    key: String,
    cid: String,
    /// The last sign of life, and the last message.
    seen: u64,
    spoke: Option<u64>,
}

/// The chat.
#[derive(Debug)]
pub(super) struct Chat {
    /// The JSON of each.
    messages: VecDeque<String>,
    /// In the order in which they came.
    people: Vec<Person>,
    last_id: u64,
    /// Milliseconds since 1970 when the clock stood at zero.
    zero: u64,
    pub(super) due: u64,
}

impl Chat {
    pub(super) fn new(now: u64, unix: u64) -> Self {
        let mut chat = Self {
            messages: VecDeque::new(),
            people: Vec::new(),
            last_id: 0,
            zero: unix.saturating_sub(now),
            due: u64::MAX,
        };
        let welcome = "Welcome! Open this page in a second window and talk to yourself.";
        let message = chat.message("Tidegate", welcome, now);
        chat.messages.push_back(message);
        chat
    }

    fn message(&mut self, from: &str, text: &str, now: u64) -> String {
        self.last_id += 1;
        let (id, at) = (self.last_id, self.zero + now);
        let (from, text) = (quoted(from), quoted(text));
        format!(r#"{{"data":{{"id":{id},"from":{from},"text":{text},"at":{at}}}}}"#)
    }

    /// What a client may do with a resource of the demonstration: all but speak unnamed.
    pub(super) fn access(&self, resource: &str, request: &Request) -> Answer {
        let call = match (resource.split('.').next(), request.user()) {
            (Some("chat"), None) => "",
            (Some("chat"), Some(_)) => "send,stay",
            _ => "*",
        };
        Answer::Result(format!(r#"{{"get":true,"call":"{call}"}}"#))
    }

    pub(super) fn get(&self, resource: &str) -> Result<Answer, Refusal> {
        let collection: Vec<String> = match resource {
            "chat.messages" => self.messages.iter().cloned().collect(),
            "chat.people" => self.people.iter().map(|p| quoted(&p.name)).collect(),
            _ => return Err(NOT_FOUND),
        };
        Ok(Answer::collection(&collection))
    }

    pub(super) fn auth(
        &mut self,
        method: &str,
        request: &Request,
        post: &mut Post,
        now: u64,
    ) -> Result<Answer, Refusal> {
        let cid = request.cid().ok_or(STRANGER)?;
        match method {
            "login" => {
                let name = line(request.text("name"), NAME_MAX).ok_or(NO_NAME)?;
                let key = line(request.text("key"), KEY_MAX).unwrap_or_default();
                self.enter(name, key, cid, post, now)?;
                post.token(cid, Some(name));
                Ok(Answer::Result(format!(r#"{{"name":{}}}"#, quoted(name))))
            }
            "logout" => {
                if let Some(place) = self.people.iter().position(|p| p.cid == cid) {
                    self.leave(place, post);
                }
                post.token(cid, None);
                Ok(Answer::done())
            }
            _ => Err(NO_METHOD),
        }
    }

    /// A connection has a name from now on.
    fn enter(
        &mut self,
        name: &str,
        key: &str,
        cid: &str,
        post: &mut Post,
        now: u64,
    ) -> Result<(), Refusal> {
        let is_same = |person: &Person| person.name.eq_ignore_ascii_case(name);
        if let Some(place) = self.people.iter().position(is_same) {
            let person = &mut self.people[place];
            let may_have = person.cid == cid || !key.is_empty() && person.key == key;
            if !may_have {
                return Err(TAKEN);
            }
            if person.name == name {
                (person.seen, person.cid) = (now, cid.to_owned());
                return Ok(());
            }
            self.leave(place, post);
        }
        // A connection has one name.
        if let Some(place) = self.people.iter().position(|p| p.cid == cid) {
            self.leave(place, post);
        }
        if self.people.len() >= PEOPLE_MAX {
            return Err(CROWDED);
        }
        post.add("chat.people", self.people.len(), &quoted(name));
        self.people.push(Person {
            name: name.to_owned(),
            key: key.to_owned(),
            cid: cid.to_owned(),
            seen: now,
            spoke: None,
        });
        self.plan();
        Ok(())
    }

    fn leave(&mut self, place: usize, post: &mut Post) {
        self.people.remove(place);
        post.remove("chat.people", place);
        self.plan();
    }

    pub(super) fn call(
        &mut self,
        resource: &str,
        method: &str,
        request: &Request,
        post: &mut Post,
        now: u64,
    ) -> Result<Answer, Refusal> {
        let cid = request.cid().ok_or(STRANGER)?;
        let place = self.people.iter().position(|person| person.cid == cid);
        let place = place.ok_or(STRANGER)?;
        let person = &mut self.people[place];
        person.seen = now;
        match (resource, method) {
            ("chat.people", "stay") => {}
            ("chat.messages", "send") => {
                let text = line(request.text("text"), TEXT_MAX).ok_or(NO_TEXT)?;
                if person.spoke.is_some_and(|spoke| now < spoke + PAUSE) {
                    return Err(TOO_FAST);
                }
                person.spoke = Some(now);
                let name = person.name.clone();
                self.say(&name, text, post, now);
            }
            _ => return Err(NO_METHOD),
        }
        Ok(Answer::done())
    }

    fn say(&mut self, name: &str, text: &str, post: &mut Post, now: u64) {
        if self.messages.len() == KEPT {
            self.messages.pop_front();
            post.remove("chat.messages", 0);
        }
        let message = self.message(name, text, now);
        post.add("chat.messages", self.messages.len(), &message);
        self.messages.push_back(message);
    }

    /// Takes out whoever has given no sign of life for long.
    pub(super) fn timeout(&mut self, now: u64, post: &mut Post) {
        if now < self.due {
            return;
        }
        while let Some(place) = self.people.iter().position(|p| p.seen + PRESENT <= now) {
            post.token(&self.people[place].cid, None);
            self.leave(place, post);
        }
        self.plan();
    }

    /// Notes when somebody may be gone.
    fn plan(&mut self) {
        let seen = self.people.iter().map(|person| person.seen).min();
        self.due = seen.map_or(u64::MAX, |seen| seen + PRESENT);
    }
}
