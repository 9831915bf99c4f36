//! The console: a service within the process whose resources, `$tidegate.*`, show the process
//! itself, and the pages that show them.
//!
//! To the heart it is a service like any other. What the heart wants of these names is withheld
//! from NATS and waits here as jobs; answers and events go to the heart as letters, one after
//! the other and in order. It is sans-I/O: who a client is, and what there is to be seen, its
//! host says.

pub mod access;
mod figures;
mod frames;
#[cfg(test)]
pub(crate) mod limits;
pub mod pages;
#[cfg(test)]
mod tests;
mod views;

use std::collections::{BTreeMap, HashMap, VecDeque};

use log::warn;
use serde_json::{Value, json};

use crate::gateway::{BrokerMessage, BrokerOp, Bytes, ClientKey, Gateway};
use crate::metrics::Snapshot;
use figures::{Before, Figures};
pub use frames::Frame;
use frames::{Frames, TRACE_MAX, Told};
use views::Query;

/// Seconds that are kept.
pub(crate) const KEPT: usize = 300;

/// Milliseconds between two readings of the figures.
const SECOND: u64 = 1_000;

/// Milliseconds after which what is looked at is looked at again.
const REFRESH: u64 = 2_000;

/// Names that are refreshed at a time; others have their turn the next time.
pub(crate) const REFRESHED_MAX: usize = 100;

/// Larger requests are refused unread.
const REQUEST_MAX: usize = 16 << 10;

/// Letters of traces that may wait: what is beyond is left out.
const TOLD_MAX: usize = 1_000;

/// Milliseconds between two warnings of wrong tokens.
const LOG_STEP: u64 = 60_000;

/// What the names of its resources begin with.
const PREFIX: &str = "$tidegate.";

/// Where somebody shows the token.
const LOGIN: &str = "console.login";

/// What the process says to the console.
pub trait Host {
    /// Whether the client with a connection ID may use the console, which a token opens.
    fn may_see(&mut self, cid: &str, token: Option<&str>) -> bool;
    /// The client may from now on. `false` if it is not there.
    fn let_in(&mut self, cid: &str) -> bool;
    /// The heart.
    fn gateway(&self) -> &Gateway;
    /// Bytes that wait to be sent to a client.
    fn queued(&self, client: ClientKey) -> usize;
}

/// What does not change while the process runs.
#[derive(Debug)]
pub struct Facts {
    /// What opens the console from other hosts.
    pub token: Option<String>,
    /// Path of the WebSocket.
    pub ws_path: String,
    /// Path of the HTTP API.
    pub api_path: String,
    /// Random: nobody else can know the subject of the console's query events.
    pub seed: u64,
}

/// A message for the heart, as if it came from NATS.
#[derive(Debug, PartialEq, Eq)]
pub struct Letter {
    sid: u64,
    subject: String,
    payload: String,
}

impl Letter {
    /// As the heart takes it.
    pub fn message(&self) -> BrokerMessage<'_> {
        BrokerMessage {
            sid: self.sid,
            subject: self.subject.as_bytes(),
            payload: self.payload.as_bytes(),
            status: None,
            reply: None,
        }
    }
}

/// What is to be done, in the order in which it came.
#[derive(Debug)]
enum Job {
    /// A request of the heart.
    Request {
        subject: String,
        reply: String,
        payload: Option<Box<[u8]>>,
    },
    /// A second is over.
    Figures(Figures),
    /// What is shown of a name may be another by now.
    Refresh(String),
    /// Something has to be said of a client.
    Tell(Told),
}

/// Why a request is refused: code and message.
type Refusal = (&'static str, &'static str);

const NOT_FOUND: Refusal = ("system.notFound", "Not found");
const NO_METHOD: Refusal = ("system.methodNotFound", "Method not found");
const DENIED: Refusal = ("system.accessDenied", "Access denied");
const WRONG_TOKEN: Refusal = ("system.accessDenied", "Wrong token");
const NO_REQUEST: Refusal = (
    "system.invalidParams",
    "The request is too large, or no JSON",
);
const OWN_FRAMES: Refusal = (
    "system.invalidParams",
    "A connection cannot look at its own frames",
);
const TOO_MANY: Refusal = (
    "system.serviceUnavailable",
    "The frames of eight clients are looked at already",
);

/// The service.
#[derive(Debug)]
pub struct Console {
    facts: Facts,
    /// The subscriptions of its names' events, and the names by them.
    sids: BTreeMap<String, u64>,
    names: HashMap<u64, String>,
    jobs: VecDeque<Job>,
    letters: VecDeque<Letter>,
    before: Before,
    figures: Figures,
    history: VecDeque<Value>,
    frames: Frames,
    /// Whether anybody who may has ever looked.
    is_used: bool,
    due: u64,
    refresh_due: u64,
    /// The name that was refreshed last.
    refreshed: String,
    next_log: u64,
    started: u64,
}

impl Console {
    /// A console that begins at a time of the caller's clock, in milliseconds; `unix` is the
    /// same in milliseconds since 1970.
    pub fn new(facts: Facts, now: u64, unix: u64) -> Self {
        Self {
            facts,
            sids: BTreeMap::new(),
            names: HashMap::new(),
            jobs: VecDeque::new(),
            letters: VecDeque::new(),
            before: Before::default(),
            figures: Figures::default(),
            history: VecDeque::new(),
            frames: Frames::default(),
            is_used: false,
            due: now,
            refresh_due: now,
            refreshed: String::new(),
            next_log: 0,
            started: unix,
        }
    }

    /// What opens the console from other hosts.
    pub fn token(&self) -> Option<&str> {
        self.facts.token.as_deref()
    }

    /// Takes what the heart wants of NATS, if it is about the console's resources.
    pub fn withhold(&mut self, op: BrokerOp, bytes: Bytes<'_>) -> bool {
        match op {
            BrokerOp::Publish {
                subject,
                reply,
                payload,
                ..
            } => {
                let Some(subject) = own_subject(bytes.of(subject)) else {
                    return false;
                };
                let payload = bytes.of(payload);
                self.jobs.push_back(Job::Request {
                    subject: subject.to_owned(),
                    reply: String::from_utf8_lossy(bytes.of(reply)).into_owned(),
                    payload: (payload.len() <= REQUEST_MAX).then(|| payload.into()),
                });
                true
            }
            BrokerOp::Subscribe { sid, subject, .. } => {
                let name = own_subject(bytes.of(subject)).and_then(|subject| {
                    let name = subject.strip_prefix("event.")?;
                    let name = name.strip_suffix(".*")?;
                    name.starts_with(PREFIX).then_some(name)
                });
                let Some(name) = name else { return false };
                if let Some(before) = self.sids.insert(name.to_owned(), sid) {
                    self.names.remove(&before);
                }
                self.names.insert(sid, name.to_owned());
                true
            }
            BrokerOp::Unsubscribe { sid } => {
                let name = self.names.remove(&sid);
                if let Some(name) = &name
                    && self.sids.get(name) == Some(&sid)
                {
                    self.sids.remove(name);
                }
                name.is_some()
            }
        }
    }

    /// Whether [`Console::next`] has something to do.
    pub fn has_work(&self) -> bool {
        !self.jobs.is_empty() || !self.letters.is_empty()
    }

    /// When [`Console::timeout`] has something to do.
    pub fn next_timeout(&self) -> u64 {
        let traced = self.frames.next_timeout();
        let due = self.due.min(self.refresh_due);
        traced.map_or(due, |traced| traced.min(due))
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: u64, unix: u64, snapshot: &Snapshot<'_>, gateway: &Gateway) {
        if now >= self.due {
            self.due = now + SECOND;
            let figures = self.before.read(snapshot, now, unix);
            self.jobs.push_back(Job::Figures(figures));
            let ended = self
                .frames
                .end(now, |cid| gateway.find_client(cid).is_none());
            self.jobs.extend(ended.into_iter().map(Job::Tell));
        }
        if now >= self.refresh_due {
            self.refresh_due = now + REFRESH;
            // Where the last ones have not had their turn, no more can.
            if self.jobs.len() < REFRESHED_MAX {
                self.plan_refresh();
            }
        }
    }

    /// Names that are looked at have turns.
    fn plan_refresh(&mut self) {
        let behind = self.sids.range(self.refreshed.clone()..).skip_while({
            let refreshed = self.refreshed.clone();
            move |(name, _)| **name == refreshed
        });
        let first = self.sids.range(..=self.refreshed.clone());
        let names = behind.chain(first).map(|(name, _)| name);
        let names: Vec<_> = names.take(REFRESHED_MAX).cloned().collect();
        if let Some(last) = names.last() {
            self.refreshed.clone_from(last);
        }
        self.jobs.extend(names.into_iter().map(Job::Refresh));
    }

    /// The next message for the heart; `None` while there is none. One piece of work is done
    /// for it at most.
    pub fn next(&mut self, host: &mut dyn Host, now: u64) -> Option<Letter> {
        if self.letters.is_empty() {
            match self.jobs.pop_front()? {
                Job::Request {
                    subject,
                    reply,
                    payload,
                } => self.take(&subject, reply, payload.as_deref(), host, now),
                Job::Figures(figures) => self.tell_figures(figures),
                Job::Refresh(name) => self.refresh(&name, host),
                Job::Tell(told) => {
                    let name = format!("{PREFIX}client.{}", told.cid);
                    self.event(&name, told.event, &told.data);
                }
            }
        }
        self.letters.pop_front()
    }

    /// Tells of something, if anybody looks.
    fn event(&mut self, name: &str, event: &str, data: &Value) {
        if let Some(sid) = self.sids.get(name) {
            self.letters.push_back(Letter {
                sid: *sid,
                subject: format!("event.{name}.{event}"),
                payload: data.to_string(),
            });
        }
    }

    fn tell_figures(&mut self, figures: Figures) {
        self.figures = figures;
        let values = json!({ "values": figures::model(&self.figures) });
        self.event("$tidegate.now", "change", &values);
        if self.history.len() == KEPT {
            self.history.pop_front();
            self.event("$tidegate.history", "remove", &json!({ "idx": 0 }));
        }
        let row = figures::row(&self.figures);
        let added = json!({ "idx": self.history.len(), "value": row });
        self.event("$tidegate.history", "add", &added);
        self.history.push_back(row);
    }

    /// What is shown of a name, and of all its queries, is looked at again: the heart leaves out
    /// what is as it was.
    fn refresh(&mut self, name: &str, host: &dyn Host) {
        // What was forgotten while NATS was away was not unsubscribed.
        let sid = self.sids.get(name).copied();
        if let Some(sid) = sid.filter(|sid| !host.gateway().hears(*sid)) {
            self.sids.remove(name);
            self.names.remove(&sid);
        }
        if matches!(own(name), "now" | "history" | "gateway") {
            return; // These tell of themselves, or do not change.
        }
        let values = match self.model(own(name), "", host) {
            Some(values) => values,
            None if own(name).starts_with("client.") => {
                json!({ "connected": false, "traced": false })
            }
            None => json!({}),
        };
        self.event(name, "change", &json!({ "values": values }));
        let subject = format!("query.{PREFIX}{:x}.{}", self.facts.seed, own(name));
        self.event(name, "query", &json!({ "subject": subject }));
    }

    /// A request of the heart.
    fn take(
        &mut self,
        subject: &str,
        reply: String,
        payload: Option<&[u8]>,
        host: &mut dyn Host,
        now: u64,
    ) {
        let (kind, name) = subject.split_once('.').unwrap_or_default();
        let request = match payload {
            Some([]) => Some(Value::Null),
            Some(payload) => serde_json::from_slice(payload).ok(),
            None => None,
        };
        let name = own(name);
        let answer = match (kind, request) {
            (_, None) => Err(NO_REQUEST),
            ("access", Some(request)) => Ok(self.access(&request, host)),
            ("get", Some(request)) => self.get(name, &request, host),
            ("query", Some(request)) => self.query(name, &request, host),
            ("call", Some(request)) => self.call(name, &request, host, now),
            ("auth", Some(request)) if name == LOGIN => self.login(&request, host, now),
            _ => Err(NO_METHOD),
        };
        let payload = match answer {
            Ok(result) => json!({ "result": result }),
            Err((code, message)) => json!({ "error": { "code": code, "message": message } }),
        };
        self.letters.push_back(Letter {
            sid: Gateway::answers_sid(),
            subject: reply,
            payload: payload.to_string(),
        });
    }

    fn access(&mut self, request: &Value, host: &mut dyn Host) -> Value {
        let may = host.may_see(text(request, "cid"), self.token());
        self.is_used |= may;
        match may {
            true => json!({ "get": true, "call": "*" }),
            false => json!({ "get": false }),
        }
    }

    fn get(&self, name: &str, request: &Value, host: &dyn Host) -> Result<Value, Refusal> {
        // Get requests say nothing of who asks: while nobody may, nothing is put together.
        if !self.is_used {
            return Err(DENIED);
        }
        if name == "history" {
            return Ok(json!({ "collection": self.history }));
        }
        let query = text(request, "query");
        let model = self.model(name, query, host).ok_or(NOT_FOUND)?;
        Ok(match query {
            "" => json!({ "model": model }),
            query => json!({ "model": model, "query": query }),
        })
    }

    /// How a query resource is now.
    fn query(&self, name: &str, request: &Value, host: &dyn Host) -> Result<Value, Refusal> {
        let name = name.split_once('.');
        let name = name.filter(|(seed, _)| *seed == format!("{:x}", self.facts.seed));
        let (_, name) = name.ok_or(NOT_FOUND)?;
        let model = self.model(name, text(request, "query"), host);
        Ok(json!({ "model": model.ok_or(NOT_FOUND)? }))
    }

    /// A model, by its name without the prefix.
    fn model(&self, name: &str, query: &str, host: &dyn Host) -> Option<Value> {
        let (gateway, query) = (host.gateway(), Query::read(query));
        match name {
            "now" => Some(figures::model(&self.figures)),
            "gateway" => Some(json!({
                "version": env!("CARGO_PKG_VERSION"),
                "started": self.started / 1_000,
                "process": std::process::id(),
                "wsPath": self.facts.ws_path,
                "apiPath": self.facts.api_path,
            })),
            "services" => Some(views::services(gateway)),
            "clients" => Some(views::clients(gateway, &query)),
            "resource" => views::resource(gateway, &query),
            "resource.holders" => views::holders(gateway, &query),
            _ => {
                let cid = name.strip_prefix("client.")?;
                match cid.strip_suffix(".holds") {
                    Some(cid) => views::holds(gateway, cid, &query),
                    None => {
                        let is_traced = self.frames.has(cid);
                        views::client(gateway, cid, |client| host.queued(client), is_traced)
                    }
                }
            }
        }
    }

    fn call(
        &mut self,
        name: &str,
        request: &Value,
        host: &dyn Host,
        now: u64,
    ) -> Result<Value, Refusal> {
        let cid = name.strip_prefix("client.");
        let cid = cid.and_then(|name| name.strip_suffix(".trace"));
        let cid = cid.ok_or(NO_METHOD)?;
        let client = host.gateway().find_client(cid).ok_or(NOT_FOUND)?;
        if cid == text(request, "cid") {
            return Err(OWN_FRAMES);
        }
        let wanted = request["params"]["seconds"].as_u64();
        let time = wanted.map_or(TRACE_MAX, |seconds| {
            seconds.saturating_mul(1_000).min(TRACE_MAX)
        });
        if !self.frames.begin(client, cid, now, now + time) {
            return Err(TOO_MANY);
        }
        self.jobs
            .push_back(Job::Refresh(format!("{PREFIX}client.{cid}")));
        Ok(json!({ "seconds": time / 1_000 }))
    }

    fn login(&mut self, request: &Value, host: &mut dyn Host, now: u64) -> Result<Value, Refusal> {
        let cid = text(request, "cid");
        let given = request["params"]["token"].as_str().unwrap_or_default();
        let is_it = self
            .token()
            .is_some_and(|token| access::is_same(token, given));
        if is_it && host.let_in(cid) {
            return Ok(Value::Null);
        }
        if now >= self.next_log {
            self.next_log = now + LOG_STEP;
            warn!("[{cid}] a wrong token was given for the console");
        }
        Err(WRONG_TOKEN)
    }

    // The frames of clients

    /// Whether those of any client are shown.
    pub fn is_tracing(&self) -> bool {
        self.frames.are_shown()
    }

    /// Whether those of a client are.
    pub fn traces(&self, client: ClientKey) -> bool {
        self.frames.are_of(client)
    }

    /// A streak begins.
    pub fn begin_streak(&mut self) {
        self.frames.begin_streak();
    }

    /// A client gets what a streak begins with.
    pub fn lead(&mut self, client: ClientKey) {
        self.frames.lead(client);
    }

    /// The clients with frames to be shown that get what follows in the streak.
    pub fn followers(&self) -> Vec<ClientKey> {
        self.frames.followers()
    }

    /// Shows a frame, if its client is one that is looked at.
    pub fn see(&mut self, frame: &Frame<'_>, gateway: &Gateway, now: u64) {
        let waiting = self.jobs.len();
        let cid = gateway.cid(frame.client).unwrap_or_default();
        let told = self.frames.take(frame, cid, now);
        self.jobs
            .extend(told.filter(|_| waiting < TOLD_MAX).map(Job::Tell));
    }
}

/// The name of a resource of the console, without the prefix of all.
fn own(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// A subject about the console's resources: a kind of message, and a name with the prefix.
fn own_subject(subject: &[u8]) -> Option<&str> {
    let subject = std::str::from_utf8(subject).ok()?;
    let (_, name) = subject.split_once('.')?;
    name.starts_with(PREFIX).then_some(subject)
}

/// A member of a request that is a text.
fn text<'a>(request: &'a Value, name: &str) -> &'a str {
    request[name].as_str().unwrap_or_default()
}
