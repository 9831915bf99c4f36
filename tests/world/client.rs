//! Clients: what they asked and wait for, and what they make of what they are sent.

use super::content::{Content, Generation};
use super::memory::Memory;
use super::observer::{Asked, Observer};
use super::replica::{Held, Item, Replica};
use super::service::same;
use super::simulator::World;
use super::stream::Stream;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tidegate::res::client::{self as request, Action};

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub enum Pending {
    Version,
    Subscribe(String),
    Unsubscribe(String, u32),
    /// Finds out whether a failed resource response left a subscription.
    Probe(String, u32),
    Get(String),
    Call(String, Value),
    /// A call at rest, of which only success or failure matters.
    Ping(String),
    New,
    Auth,
    /// An error of this code is due.
    Refused(&'static str),
}

impl Pending {
    /// What it is to an observer.
    pub fn asked(&self) -> Asked {
        match self {
            Self::Subscribe(rid) => Asked::Subscribe(rid.clone()),
            Self::Unsubscribe(rid, count) => Asked::Unsubscribe(rid.clone(), (*count).into()),
            Self::Probe(rid, told) => Asked::Unsubscribe(rid.clone(), u64::from(*told) + 1),
            Self::Call(..) | Self::Ping(_) | Self::Auth => Asked::Call,
            Self::New => Asked::New,
            Self::Version | Self::Get(_) | Self::Refused(_) => Asked::Other,
        }
    }
}

/// A request not yet given to the gateway, with what it waits for, if for anything.
type Stored = (Vec<u8>, Option<(u64, Pending)>);

/// What our own requests are numbered from: others, made of anything, stay below.
const FIRST_ID: u64 = 1_000_000;

/// A WebSocket client.
#[derive(Clone, Debug)]
pub struct Client {
    pub replica: Replica,
    /// The other replica, which is told the same.
    pub observer: Observer,
    pub cid: String,
    /// What it remembers of earlier connections, if it is one that does.
    pub memory: Option<Memory>,
    /// What it came for, unless it has a WebSocket.
    pub stream: Option<Stream>,
    /// The token that the gateway was last told for it.
    pub token: Value,
    pub tid: Option<String>,
    /// Token events so far. The first one puts no access in question.
    pub token_events: u32,
    /// The broker was away, and may have sent that the token does not hold any more.
    pub in_doubt: bool,
    /// Open requests by ID, with the time when they were sent.
    pub pending: BTreeMap<u64, (Pending, u64)>,
    pub backlog: VecDeque<Stored>,
    next_id: u64,
    /// Thousandths of requests that it may send, as of this time; `None` before the first.
    allowance: Option<(u64, u64)>,
    /// It waits until it may send more.
    pub waits: bool,
    /// Failed resource responses that may have left a subscription.
    probes: Vec<String>,
    /// Subscribe requests whose subscriptions were ended before the answer; which, when it
    /// comes, must bring nothing.
    ended: BTreeSet<u64>,
    /// Answers that an at-rest check asked for: resource and whether it succeeded.
    pub answers: Vec<(String, Result<(), String>)>,
}

impl Client {
    /// Its events may be lost where too many wait for it.
    pub fn new(generation: Generation, misses_events: bool) -> Self {
        let mut replica = Replica::new(generation);
        replica.misses_events = misses_events;
        Self {
            replica,
            observer: Observer::new(generation),
            cid: String::new(),
            memory: None,
            stream: None,
            token: Value::Null,
            tid: None,
            token_events: 0,
            in_doubt: false,
            pending: BTreeMap::new(),
            backlog: VecDeque::new(),
            next_id: FIRST_ID,
            allowance: None,
            waits: false,
            probes: Vec::new(),
            ended: BTreeSet::new(),
            answers: Vec::new(),
        }
    }

    pub fn enqueue(&mut self, method: &str, params: &Value, pending: Pending) {
        self.next_id += 1;
        let mut request = json!({"id": self.next_id, "method": method});
        if !params.is_null() {
            request["params"] = params.clone();
        }
        self.backlog
            .push_back((request.to_string().into(), Some((self.next_id, pending))));
    }

    /// Whether it may send this by now, of so many requests for services in a second; 0 is no
    /// limit. If so it counts.
    pub fn may_ask(&mut self, text: &[u8], rate: u32, now: u64) -> bool {
        let action = request::parse(text).and_then(|request| request.action);
        let is_free = matches!(
            action,
            None | Some(Action::Version | Action::Unsubscribe(_))
        );
        if rate == 0 || is_free {
            return true;
        }
        let (full, rate) = (u64::from(rate) * 1_000, u64::from(rate));
        let (left, since) = self.allowance.unwrap_or((full, now));
        let left = full.min(left + (now - since) * rate);
        self.allowance = Some((left.saturating_sub(1_000), now));
        if left < 1_000 {
            self.allowance = Some((left, now));
        }
        left >= 1_000
    }

    /// Queues text that gets no answer.
    pub fn enqueue_raw(&mut self, text: &[u8]) {
        self.backlog.push_back((text.to_owned(), None));
    }

    /// Queues bytes that may be a request.
    pub fn enqueue_anything(&mut self, text: &[u8]) {
        let Some(request) = request::parse(text) else {
            return self.enqueue_raw(text);
        };
        let queued = self.backlog.iter().filter_map(|(_, asked)| asked.as_ref());
        let mut taken = queued
            .map(|(id, _)| *id)
            .chain(self.pending.keys().copied());
        let id = request.id;
        if id >= FIRST_ID || taken.any(|other| other == id) {
            return;
        }
        let count = request::parse_count(request.params);
        let count = count.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let expects_resource = self.expects_resource();
        let pending = match (request.action, count) {
            (Some(Action::Version), _) => return,
            (Some(Action::Unsubscribe(_)), Err(_)) => Pending::Refused("system.invalidParams"),
            (Some(Action::Unsubscribe(rid)), Ok(count)) => {
                let is_clear = !expects_resource || count <= self.replica.direct(&rid);
                if self.replica.is_uncertain(&rid) || !is_clear {
                    return;
                }
                Pending::Unsubscribe(rid.into(), count)
            }
            (Some(Action::Subscribe(rid)), _) => Pending::Subscribe(rid.into()),
            (Some(Action::Get(rid)), _) => Pending::Get(rid.into()),
            (Some(Action::Call(_, method)), _) => Pending::Call(method.into(), Value::Null),
            (Some(Action::Auth(..)), _) => Pending::Auth,
            (Some(Action::New(_)), _) => Pending::New,
            (None, _) => Pending::Refused("system.invalidRequest"),
        };
        self.backlog
            .push_back((text.to_owned(), Some((id, pending))));
    }

    /// Takes the success of an unsubscribe. What goes beyond the subscriptions that the
    /// client was told of ends ones that it has asked for.
    fn unsubscribed(&mut self, rid: &str, count: u32) -> Result<(), String> {
        let told = count.min(self.replica.direct(rid));
        if told > 0 {
            self.replica.unsubscribed(rid, told)?;
        }
        // The oldest requests first.
        for _ in told..count {
            let open = self.pending.iter().find(|(id, (pending, _))| {
                matches!(pending, Pending::Subscribe(other) if other == rid)
                    && !self.ended.contains(id)
            });
            let (id, _) = open.ok_or_else(|| format!("{count} of {rid} are not there to end"))?;
            self.ended.insert(*id);
        }
        Ok(())
    }

    /// Whether a request is open whose success may bring a direct subscription of any
    /// resource: what an unsubscribe would end is then not known.
    pub fn expects_resource(&self) -> bool {
        let mut pending = self.pending.values();
        pending
            .any(|(pending, _)| matches!(pending, Pending::Call(..) | Pending::New | Pending::Auth))
    }

    /// Tries to end what failed resource responses may have left, when no open request
    /// could be ended instead.
    fn probe(&mut self) {
        let subscribes = |(pending, _): &(Pending, u64)| matches!(pending, Pending::Subscribe(_));
        let busy = self.expects_resource() || self.pending.values().any(subscribes);
        if busy || !self.backlog.is_empty() || self.pending.len() > 100 {
            return;
        }
        for rid in std::mem::take(&mut self.probes) {
            // One more than the client knows of: it succeeds if there is one more.
            let told = self.replica.direct(&rid);
            let params = json!({"count": told + 1});
            self.enqueue(
                &format!("unsubscribe.{rid}"),
                &params,
                Pending::Probe(rid, told),
            );
        }
    }

    /// Whether it may have subscriptions that it does not know of.
    fn is_unsure(&self) -> bool {
        !self.probes.is_empty()
            || (self.pending.values()).any(|(pending, _)| matches!(pending, Pending::Probe(..)))
    }

    /// The name and the query that services know a resource of this client by.
    pub fn target(&self, rid: &str) -> (String, Option<String>) {
        target(rid, &self.cid)
    }
}

/// Splits a resource ID into name and query, with the connection's ID filled in.
pub fn target(rid: &str, cid: &str) -> (String, Option<String>) {
    let rid = rid.replace("{cid}", cid);
    match rid.split_once('?') {
        Some((name, query)) => (
            name.to_owned(),
            Some(query.to_owned()).filter(|query| !query.is_empty()),
        ),
        None => (rid, None),
    }
}

impl World {
    /// A client takes a message.
    pub fn client_receives(&mut self, slot: usize, message: &Value) {
        let whole = self.remembered(slot, message);
        if self.failure.is_some() {
            return;
        }
        let message = whole.as_ref().unwrap_or(message);
        let Some(client) = &mut self.clients[slot] else {
            return self.fail(format!("client {slot} is gone and gets {message}"));
        };
        if let Err(what) = client.observer.take(message) {
            return self.fail(format!("client {slot}, as observed: {what}: {message}"));
        }
        let Some(client) = &mut self.clients[slot] else {
            return;
        };
        let outcome = if let Some(event) = message["event"].as_str() {
            let mut data = Cow::Borrowed(&message["data"]);
            // What a service says of a removal is passed on, also where no place means the
            // first one.
            let is_removal = event.ends_with(".remove") && data.is_object();
            if self.profile.lies && is_removal && data["idx"].is_null() {
                data.to_mut()["idx"] = json!(0);
            }
            if let (Some(number), Some((rid, _))) =
                (data["number"].as_u64(), event.rsplit_once('.'))
                && let Some(entry) = self.service.entry(&client.target(rid).0)
            {
                data.to_mut()["number"] = json!(entry.place(number));
            }
            client
                .replica
                .event(event, &data)
                .map(|fresh| (fresh, Some(event)))
        } else {
            let pending = message["id"]
                .as_u64()
                .and_then(|id| client.pending.remove(&id));
            match pending {
                None => Err("an answer to no open request".to_owned()),
                Some((pending, since)) => self
                    .answered(slot, &pending, since, message)
                    .map(|fresh| (fresh, None)),
            }
        };
        match outcome {
            Err(what) => self.fail(format!("client {slot}: {what}: {message}")),
            Ok((fresh, event)) => {
                if let Some(client) = &mut self.clients[slot] {
                    client.probe();
                }
                self.check_fresh(slot, &fresh);
                if let Some(event) = event {
                    self.check_reason(event, &message["data"]);
                    self.check_state(slot, event, &message["data"]);
                }
            }
        }
    }

    fn answered(
        &mut self,
        slot: usize,
        pending: &Pending,
        since: u64,
        message: &Value,
    ) -> Result<Vec<String>, String> {
        let Some(client) = &mut self.clients[slot] else {
            return Ok(Vec::new());
        };
        let error = message
            .get("error")
            .map(|error| error["code"].as_str().unwrap_or("no code"));
        let result = &message["result"];
        match (pending, error) {
            (Pending::Refused(due), error) if error == Some(due) => {}
            (Pending::Refused(due), _) => return Err(format!("{due} was due")),
            (Pending::Probe(rid, told), None) => {
                if *told > 0 {
                    client.replica.unsubscribed(rid, *told)?;
                }
                client.replica.certain(rid);
            }
            (Pending::Probe(rid, _), Some("system.noSubscription")) => client.replica.certain(rid),
            (Pending::Unsubscribe(rid, count), Some("system.noSubscription")) => {
                if client.replica.direct(rid) >= *count {
                    return Err(format!("{} are held", client.replica.direct(rid)));
                }
            }
            (Pending::Unsubscribe(rid, count), None) => client.unsubscribed(rid, *count)?,
            (Pending::Ping(rid), error) => {
                let told = error.map_or(Ok(()), |code| Err(code.to_owned()));
                client.answers.push((rid.clone(), told));
            }
            (Pending::Subscribe(rid), error) => {
                let told = error.map_or(Ok(()), |code| Err(code.to_owned()));
                client.answers.push((rid.clone(), told));
                let ended = message["id"]
                    .as_u64()
                    .is_some_and(|id| client.ended.remove(&id));
                match error {
                    Some(code) => self.check_error(slot, Some(rid), code)?,
                    None if ended && *result == json!({}) => {
                        self.check_granted(slot, rid, since)?;
                    }
                    None if ended => {
                        return Err(format!("{rid} was sent to a client that had left it"));
                    }
                    None => {
                        self.check_granted(slot, rid, since)?;
                        return self.subscribe_answered(slot, rid, result);
                    }
                }
            }
            (Pending::Get(rid), None) => self.got(slot, rid, result, since)?,
            (Pending::Get(rid), Some(code)) => self.check_error(slot, Some(rid), code)?,
            (Pending::Call(method, params), None) => {
                return self.call_answered(slot, method, params, result, since);
            }
            (Pending::New, None) => return self.resource_answered(slot, result, since),
            (Pending::Call(..) | Pending::New | Pending::Auth, Some(code)) => {
                self.check_error(slot, None, code)?;
            }
            (Pending::Version, None) if result["protocol"] == "1.2.3" => {
                let is_tagged = result.get("etags") == Some(&json!(true));
                if is_tagged != client.memory.is_some() {
                    return Err("etags are not what was asked for".to_owned());
                }
            }
            (Pending::Auth, None) => {
                return self.call_answered(slot, "login", &Value::Null, result, since);
            }
            _ => return Err(format!("not the answer to {pending:?}")),
        }
        Ok(Vec::new())
    }

    fn got(&mut self, slot: usize, rid: &str, result: &Value, since: u64) -> Result<(), String> {
        let Some(client) = &self.clients[slot] else {
            return Ok(());
        };
        let got = client.replica.got(rid, result)?;
        self.check_granted(slot, rid, since)?;
        for (rid, item) in got {
            self.check_history(slot, &rid, &item)?;
        }
        Ok(())
    }

    fn subscribe_answered(
        &mut self,
        slot: usize,
        rid: &str,
        result: &Value,
    ) -> Result<Vec<String>, String> {
        let Some(client) = &mut self.clients[slot] else {
            return Ok(Vec::new());
        };
        if !result.is_object() {
            return Err("a result was due".to_owned());
        }
        let fresh = client.replica.subscribed(rid, result)?;
        let (held, most) = (client.replica.directs().count(), self.profile.subscriptions);
        match most > 0 && held > most as usize {
            true => Err(format!("{held} subscriptions are more than {most}")),
            false => Ok(fresh),
        }
    }

    fn call_answered(
        &mut self,
        slot: usize,
        method: &str,
        params: &Value,
        result: &Value,
        since: u64,
    ) -> Result<Vec<String>, String> {
        let Some(client) = &self.clients[slot] else {
            return Ok(Vec::new());
        };
        let bare = client.replica.generation == Generation::V1_1;
        if !bare && result.get("rid").is_some() {
            return self.resource_answered(slot, result, since);
        }
        let payload = if bare {
            Some(result)
        } else {
            result.get("payload")
        };
        let payload = payload.ok_or("neither payload nor rid")?;
        if !self.profile.faults && method == "ok" && payload != params {
            return Err(format!("the payload is not {params}"));
        }
        Ok(Vec::new())
    }

    /// A resource response came: the resource is subscribed, or failed.
    fn resource_answered(
        &mut self,
        slot: usize,
        result: &Value,
        since: u64,
    ) -> Result<Vec<String>, String> {
        let Some(client) = &mut self.clients[slot] else {
            return Ok(Vec::new());
        };
        let rid = result["rid"].as_str().ok_or("no rid")?.to_owned();
        let sent_error = result["errors"].get(&rid).is_some();
        let item = client.replica.item(&rid);
        let held_error = item.is_some_and(|item| matches!(item.held, Held::Error(_)));
        let sent = ["models", "collections"]
            .iter()
            .any(|group| result[group].get(&rid).is_some());
        if sent_error || (held_error && !sent) {
            if client.replica.subscribed_in_error(&rid, result)? {
                client.probes.push(rid);
            }
            return Ok(Vec::new());
        }
        self.check_granted(slot, &rid, since)?;
        self.subscribe_answered(slot, &rid, result)
    }

    /// A request succeeds by an access answer that granted it: one that came since the
    /// request, or the last one if nothing made it stale before the request.
    fn check_granted(&self, slot: usize, rid: &str, since: u64) -> Result<(), String> {
        let Some(client) = &self.clients[slot] else {
            return Ok(());
        };
        let (name, query) = client.target(rid);
        let is_held_up = self.held_up.contains(&name);
        let outcome = self.outcomes.get(&(client.cid.clone(), name, query));
        let granted = outcome.is_some_and(|outcome| {
            // Answers and events may have waited, where query requests hold up a name.
            let waited = rid.starts_with("q.") || is_held_up;
            let lost = outcome.lost.is_some_and(|at| is_held_up || at >= since);
            let kept = outcome.get || lost;
            let since_then = outcome.granted.is_some_and(|at| waited || at >= since);
            kept || since_then || outcome.misunderstood
        });
        if granted {
            return Ok(());
        }
        Err(format!("access to {rid} was not granted: {outcome:?}"))
    }

    /// In runs without faults only what is forbidden or missing fails.
    pub fn check_error(
        &mut self,
        slot: usize,
        rid: Option<&str>,
        code: &str,
    ) -> Result<(), String> {
        let Some(client) = &self.clients[slot] else {
            return Ok(());
        };
        let name = rid.map(|rid| client.target(rid).0);
        let expected = match (code, name) {
            ("system.subscriptionLimitExceeded", _) => {
                let (held, most) = (client.replica.directs().count(), self.profile.subscriptions);
                most > 0 && (held >= most as usize || client.is_unsure())
            }
            ("common.tooActive", _) => false,
            _ if self.profile.faults => true,
            ("system.accessDenied", _) => !self.profile.open,
            ("system.notFound", Some(name)) => {
                self.service.entry(&name).is_none_or(|entry| entry.failed)
            }
            ("test.refused", None) => true,
            _ => false,
        };
        if expected {
            Ok(())
        } else {
            Err("an error without a reason".to_owned())
        }
    }

    /// Without faults subscriptions end only with access or the resource.
    fn check_reason(&mut self, event: &str, data: &Value) {
        let reason = data["reason"]["code"].as_str().unwrap_or_default();
        let expected = match reason {
            "system.deleted" => true,
            "system.accessDenied" => !self.profile.open || self.profile.lies,
            _ => self.profile.faults,
        };
        if event.ends_with(".unsubscribe") && !expected {
            self.fail(format!("{event} without a reason: {data}"));
        }
    }

    fn check_fresh(&mut self, slot: usize, fresh: &[String]) {
        for rid in fresh {
            let Some(client) = &self.clients[slot] else {
                return;
            };
            let Some(item) = client.replica.item(rid).cloned() else {
                continue;
            };
            let result = self.check_history(slot, rid, &item);
            self.check(result);
        }
    }

    /// What is sent of a resource must be a state that the service once had, unless a
    /// silent change left the gateway with a mixture.
    fn check_history(&mut self, slot: usize, rid: &str, item: &Item) -> Result<(), String> {
        let Some(client) = &self.clients[slot] else {
            return Ok(());
        };
        let (generation, (name, query)) = (client.replica.generation, client.target(rid));
        let (faults, entry) = (self.profile.faults, self.service.entry(&name));
        match (&item.held, entry) {
            (Held::Error(error), entry) => {
                if faults || entry.is_none_or(|entry| entry.failed) {
                    return Ok(());
                }
                Err(format!("{rid} fails without a reason: {error}"))
            }
            (Held::Content(_), None) => Err(format!("{rid} does not exist")),
            (Held::Content(content), Some(entry)) => {
                // Query answers make several events of one change; a client that is sent
                // the resource between them is sent a state that is none of the service. So
                // do the events of a difference.
                let known = entry.disturbed
                    || entry.is_query()
                    || client.replica.misses_events
                    || entry
                        .past(query.as_deref())
                        .iter()
                        .any(|old| same(&old.seen_by(generation), content));
                if known {
                    Ok(())
                } else {
                    Err(format!("{rid} never had this state"))
                }
            }
        }
    }

    /// A numbered custom event tells the state at its time. Events of a resource are in
    /// order, so the client must hold that very state.
    fn check_state(&mut self, slot: usize, event: &str, data: &Value) {
        let Some((rid, "hello")) = event.rsplit_once('.') else {
            return;
        };
        let Some(client) = &self.clients[slot] else {
            return;
        };
        let (name, _) = client.target(rid);
        let generation = client.replica.generation;
        let held = client.replica.item(rid).map(|item| item.held.clone());
        if self
            .service
            .entry(&name)
            .is_none_or(|entry| entry.disturbed)
        {
            return;
        }
        let result = &data["state"]["result"];
        let state = match (result["model"].as_object(), result["collection"].as_array()) {
            (Some(model), _) => Content::Model(model.clone().into_iter().collect()),
            (_, Some(list)) => Content::Collection(list.clone()),
            _ => return,
        };
        match held {
            Some(Held::Content(content)) if same(&content, &state.seen_by(generation)) => {}
            held => self.fail(format!(
                "client {slot} holds {held:?} of {rid} at {event}: {data}"
            )),
        }
    }
}
