//! Connections, and what is kept of each.

use crate::gateway::model::keys::{
    ClientKey, ClientRef, Connection, PendingKey, SubKey, WaiterKey,
};
use crate::gateway::model::random::Random;
use crate::gateway::model::rate::{Rate, Used};
use crate::gateway::model::tag::{Have, Tag};
use crate::gateway::model::time::Time;
use crate::res::meta::Fields;
use crate::res::version::{Dialect, Version};
use core::net::SocketAddr;
use hashbrown::HashMap;
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// Requests of one client that may be open at once, and the bytes of resource IDs and
/// parameters that may wait with them. Beyond them the client is not read.
pub(crate) const MAX_IN_FLIGHT: u16 = 256;
pub(crate) const MAX_WAITING: usize = 4 << 20;

/// Who gave a client the token that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// It has none.
    None,
    /// Header authentication, which can be repeated.
    Head,
    /// A call of an auth method, or whoever sent a token event.
    Events,
}

/// A connection: a WebSocket client, or one web request.
#[derive(Debug)]
pub struct Client {
    /// Tells apart the connections that had the same key.
    serial: u32,
    cid: [u8; 20],
    /// The access token, compact JSON.
    token: Option<Rc<str>>,
    tid: Option<Rc<str>>,
    /// Counts the tokens that it has had.
    token_serial: u32,
    /// Where an auth request is due that a token reset asked for.
    renewal: Option<Rc<str>>,
    /// Who gave it the token.
    token_source: TokenSource,
    /// It is being authenticated again by its head.
    renewing: bool,
    /// Whether its connection events are wanted from the broker, and the connection on which
    /// they were subscribed last.
    listening: bool,
    heard_on: Connection,
    pub dialect: Dialect,
    /// Whether it is told the tags of the resources that it is sent.
    is_told_tags: bool,
    transport: Transport,
    in_flight: u16,
    /// How far it has used its rate of requests up.
    used: Used,
    /// Bytes of the resource IDs that it waits for, and of the queries and parameters of
    /// calls that wait for access.
    waiting: usize,
    /// Resources that it is directly subscribed to.
    subscribed: u32,
    /// Its requests that wait for resources.
    waiters: Vec<WaiterKey>,
    /// Resources that its calls have brought while what it holds was put in order, by the IDs
    /// of the calls.
    results: Option<Box<VecDeque<(u64, Box<str>)>>>,
    /// Requests that only it waits for, and to which a service has given more time.
    extended: BTreeSet<PendingKey>,
    head: Box<[u8]>,
    remote: SocketAddr,
}

impl Client {
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The connection ID.
    pub fn cid(&self) -> &str {
        std::str::from_utf8(&self.cid).unwrap_or_default()
    }

    /// The access token, compact JSON.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// How many tokens it has had; what was asked with one that is gone is not kept.
    pub fn token_serial(&self) -> u32 {
        self.token_serial
    }

    /// Takes over a token, or that there is none any more. Returns whether it has had one
    /// before.
    fn set_token(&mut self, token: Option<Rc<str>>, tid: Option<Rc<str>>) -> bool {
        let had_token = self.token_serial > 0;
        self.token_source = match &token {
            None => TokenSource::None,
            Some(_) if self.renewing || self.is_unanswered() => TokenSource::Head,
            Some(_) => TokenSource::Events,
        };
        self.token = token;
        self.tid = tid;
        self.token_serial = self.token_serial.checked_add(1).unwrap_or(1);
        had_token
    }

    /// An auth request is due on this subject. Returns whether none was before; one that
    /// still waits is replaced, since it would renew the same token.
    pub fn renew(&mut self, subject: Rc<str>) -> bool {
        self.renewal.replace(subject).is_none()
    }

    /// Where the auth request goes that is due.
    pub fn take_renewal(&mut self) -> Option<Rc<str>> {
        self.renewal.take()
    }

    /// Its connection events are wanted from now on, and subscribed on this connection, or on
    /// the next one where there is none. Returns whether they were not.
    pub fn listen(&mut self, connection: Option<Connection>) -> bool {
        self.listening = true;
        let Some(connection) = connection else {
            return false;
        };
        std::mem::replace(&mut self.heard_on, connection) != connection
    }

    /// Whether its connection events are wanted.
    pub fn is_listening(&self) -> bool {
        self.listening
    }

    /// The connection on which its connection events were subscribed last.
    pub fn heard_on(&self) -> Connection {
        self.heard_on
    }

    /// Its connection events do not come. Returns whether they were to.
    pub fn unheard(&mut self) -> bool {
        std::mem::take(&mut self.heard_on) != Connection::NONE
    }

    /// Who gave it the token.
    pub fn token_source(&self) -> TokenSource {
        self.token_source
    }

    /// Begins to be authenticated again by its head. Until that brings a token, the one that
    /// it has is not the head's any more.
    pub fn begin_renewal(&mut self) {
        self.renewing = true;
        self.token_source = TokenSource::Events;
    }

    /// Whether it is being authenticated again by its head: nobody knows yet whether the token
    /// that it has still holds.
    pub fn is_renewing(&self) -> bool {
        self.renewing
    }

    /// Was authenticated again by its head, or was not. Returns whether it was to be.
    pub fn end_renewal(&mut self) -> bool {
        std::mem::take(&mut self.renewing)
    }

    /// The head of the request that it connected with.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Whether it is told the tags of the resources that it is sent.
    pub fn is_told_tags(&self) -> bool {
        self.is_told_tags
    }

    /// From now on it is told them, or not.
    pub fn tell_tags(&mut self, is_told: bool) {
        self.is_told_tags = is_told;
    }

    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Whether it is a web request.
    pub fn is_web(&self) -> bool {
        matches!(self.transport, Transport::Web(_))
    }

    /// What is kept of it if it is a web request.
    pub fn web_mut(&mut self) -> Option<&mut Web> {
        match &mut self.transport {
            Transport::Web(web) => Some(web),
            Transport::WebSocket
            | Transport::Upgrading(_)
            | Transport::Opening(_)
            | Transport::Stream(_) => None,
        }
    }

    /// What it wants done when it has been authenticated, if it is a web request.
    pub fn set_goal(&mut self, goal: Goal) {
        match &mut self.transport {
            Transport::Web(web) => web.goal = Some(goal),
            Transport::Opening(opening) => opening.goal = Some(goal),
            Transport::WebSocket | Transport::Upgrading(_) | Transport::Stream(_) => {}
        }
    }

    /// The same, which is done now.
    pub fn take_goal(&mut self) -> Option<Goal> {
        match &mut self.transport {
            Transport::Web(web) => web.goal.take(),
            Transport::Opening(opening) => opening.goal.take(),
            Transport::WebSocket | Transport::Upgrading(_) | Transport::Stream(_) => None,
        }
    }

    /// The fields that services want in the HTTP answer to it, if it gets one.
    pub fn fields_mut(&mut self) -> Option<&mut Fields> {
        match &mut self.transport {
            Transport::WebSocket | Transport::Stream(_) => None,
            Transport::Upgrading(fields) => Some(fields),
            Transport::Opening(opening) => Some(&mut opening.fields),
            Transport::Web(web) => Some(&mut web.fields),
        }
    }

    /// Whether what is done for it leads to an HTTP answer.
    pub fn is_http(&self) -> bool {
        self.transport.is_http()
    }

    /// Whether it has come for a WebSocket.
    pub fn is_of_web_socket(&self) -> bool {
        matches!(
            self.transport,
            Transport::WebSocket | Transport::Upgrading(_)
        )
    }

    /// Whether it has a WebSocket, by which it sends requests.
    pub fn is_web_socket(&self) -> bool {
        matches!(self.transport, Transport::WebSocket)
    }

    /// Whether it has a stream of events.
    pub fn is_stream(&self) -> bool {
        matches!(self.transport, Transport::Stream(_))
    }

    /// The subscription that its stream of events is of.
    pub fn stream_root(&self) -> Option<SubKey> {
        match self.transport {
            Transport::Stream(root) => Some(root),
            _ => None,
        }
    }

    /// Whether it has come for longer than one answer, so that its token must be kept right.
    pub fn is_lasting(&self) -> bool {
        !matches!(self.transport, Transport::Web(_) | Transport::Upgrading(_))
    }

    /// Whether a token that it gets now is the answer to what was asked by its head.
    fn is_unanswered(&self) -> bool {
        match &self.transport {
            Transport::Web(_) | Transport::Upgrading(_) => true,
            Transport::Opening(opening) => opening.goal.is_some(),
            Transport::WebSocket | Transport::Stream(_) => false,
        }
    }

    /// Whether it may send a further request.
    pub fn takes_requests(&self) -> bool {
        self.in_flight < MAX_IN_FLIGHT && self.waiting < MAX_WAITING
    }

    /// Whether it waits for the answer to a request.
    pub fn has_requests(&self) -> bool {
        self.in_flight > 0
    }

    /// A request of it was taken.
    pub fn begin_request(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// Counts a request that is for a service, unless it comes too soon.
    ///
    /// # Errors
    /// Seconds after which it may come.
    pub fn count_request(&mut self, rate: Rate, now: Time) -> Result<(), u64> {
        rate.take(&mut self.used, now)
    }

    /// A request of it was answered.
    pub fn end_request(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// As many bytes begin to wait.
    pub fn wait(&mut self, bytes: usize) {
        self.waiting = self.waiting.saturating_add(bytes);
    }

    /// As many bytes wait no longer.
    pub fn waited(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.waiting, "what waits has begun to");
        self.waiting = self.waiting.saturating_sub(bytes);
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Its requests that wait for resources.
    pub fn waiters(&self) -> &[WaiterKey] {
        &self.waiters
    }

    /// A request of it begins to wait for resources.
    pub fn add_waiter(&mut self, waiter: WaiterKey) {
        self.waiters.push(waiter);
    }

    /// A request of it waits for resources no longer.
    pub fn remove_waiter(&mut self, waiter: WaiterKey) {
        self.waiters.retain(|other| *other != waiter);
    }

    /// A call has brought a resource, which has to wait.
    pub fn hold_result(&mut self, id: u64, rid: &str) {
        self.wait(rid.len());
        let results = self.results.get_or_insert_default();
        results.push_back((id, rid.into()));
    }

    /// The first resource that has to wait no longer. Its bytes are counted until
    /// [`Client::waited`].
    pub fn take_result(&mut self) -> Option<(u64, Box<str>)> {
        let results = self.results.as_mut()?;
        let first = results.pop_front();
        if results.is_empty() {
            self.results = None;
        }
        first
    }

    /// Bytes of the resource IDs that have to wait.
    pub fn results_size(&self) -> usize {
        let results = self.results.iter().flat_map(|results| results.iter());
        results.map(|(_, rid)| rid.len()).sum()
    }

    /// It is directly subscribed to a further resource.
    pub fn subscribe(&mut self) {
        self.subscribed += 1;
    }

    /// It is not directly subscribed to a resource any more.
    pub fn unsubscribe(&mut self) {
        debug_assert!(self.subscribed > 0, "what ends has begun");
        self.subscribed = self.subscribed.saturating_sub(1);
    }

    /// Resources that it is directly subscribed to.
    pub fn subscribed(&self) -> u32 {
        self.subscribed
    }

    /// A service has given more time to a request that only it waits for.
    pub fn keep_extended(&mut self, request: PendingKey) {
        self.extended.insert(request);
    }

    /// A request is over.
    pub fn forget_extended(&mut self, request: PendingKey) {
        self.extended.remove(&request);
    }

    /// Requests that only it waits for, and to which a service has given more time.
    pub fn extended(&self) -> impl Iterator<Item = PendingKey> {
        self.extended.iter().copied()
    }
}

/// All connections, by the caller's keys.
#[derive(Debug, Default)]
pub struct Sessions {
    clients: Vec<Option<Box<Client>>>,
    count: usize,
    /// Those of them whose transport is HTTP so far.
    http_count: usize,
    /// Those that have a stream of events.
    stream_count: usize,
    serials: u32,
    /// Those that have a token ID, by that.
    tids: HashMap<Rc<str>, BTreeSet<ClientKey>, foldhash::fast::RandomState>,
    /// Headers of requests that are sent for those that are part of a trace.
    traces: HashMap<ClientKey, Box<[u8]>, foldhash::fast::RandomState>,
    /// All of them by connection ID, where they are looked for by that.
    cids: Option<Cids>,
}

/// Connections by their IDs.
type Cids = HashMap<[u8; 20], ClientKey, foldhash::fast::RandomState>;

impl Sessions {
    /// No connections yet; whether they will be looked for by their IDs.
    pub fn new(has_cids: bool) -> Self {
        Self {
            cids: has_cids.then(Cids::default),
            ..Self::default()
        }
    }

    /// The connection with an ID.
    pub fn with_cid(&self, cid: &str) -> Option<ClientKey> {
        let cid: &[u8; 20] = cid.as_bytes().try_into().ok()?;
        self.cids.as_ref()?.get(cid).copied()
    }

    pub fn get(&self, key: ClientKey) -> Option<&Client> {
        self.clients.get(key.0 as usize)?.as_deref()
    }

    pub fn get_mut(&mut self, key: ClientKey) -> Option<&mut Client> {
        self.clients.get_mut(key.0 as usize)?.as_deref_mut()
    }

    /// The client that a reference means, if it is still there.
    pub fn present(&self, client: ClientRef) -> Option<&Client> {
        self.get(client.key)
            .filter(|there| there.serial == client.serial)
    }

    /// The same, to be changed.
    pub fn present_mut(&mut self, client: ClientRef) -> Option<&mut Client> {
        self.get_mut(client.key)
            .filter(|there| there.serial == client.serial)
    }

    /// A reference to the client that has a key now.
    pub fn reference(&self, key: ClientKey) -> Option<ClientRef> {
        let serial = self.get(key)?.serial;
        Some(ClientRef { key, serial })
    }

    /// A client gets a token and a token ID, or has none any more. Returns whether it has had
    /// a token before; `None` if it is not there.
    pub fn set_token(
        &mut self,
        key: ClientKey,
        token: Option<Rc<str>>,
        tid: Option<&str>,
    ) -> Option<bool> {
        let tid: Option<Rc<str>> = tid.map(Rc::from);
        let client = self.get_mut(key)?;
        let before = client.tid.clone();
        let had_token = client.set_token(token, tid.clone());
        self.forget_tid(key, before);
        if let Some(tid) = tid {
            self.tids.entry(tid).or_default().insert(key);
        }
        Some(had_token)
    }

    /// A client's token ID does not stand for it any more.
    fn forget_tid(&mut self, key: ClientKey, tid: Option<Rc<str>>) {
        if let Some(tid) = tid
            && let Some(clients) = self.tids.get_mut(&tid)
        {
            clients.remove(&key);
            if clients.is_empty() {
                self.tids.remove(&tid);
            }
        }
    }

    /// A client is part of a trace: these headers go with its requests.
    pub fn set_trace(&mut self, key: ClientKey, headers: Box<[u8]>) {
        self.traces.insert(key, headers);
    }

    /// Whether any client is part of a trace.
    pub fn has_traces(&self) -> bool {
        !self.traces.is_empty()
    }

    /// The headers of requests that are sent for a client; empty for none.
    pub fn trace_of(&self, key: Option<ClientKey>) -> &[u8] {
        let headers = key.and_then(|key| self.traces.get(&key));
        headers.map_or(&[], |headers| headers)
    }

    /// The clients that have a token ID.
    fn with_tid(&self, tid: &str) -> Option<&BTreeSet<ClientKey>> {
        self.tids.get(tid)
    }

    /// A token ID, and the first client that has it, of those from a key on.
    pub fn next_with_tid(&self, tid: &str, from: ClientKey) -> Option<(Rc<str>, ClientKey)> {
        let (tid, clients) = self.tids.get_key_value(tid)?;
        let client = clients.range(from..).next()?;
        Some((tid.clone(), *client))
    }

    pub fn iter(&self) -> impl Iterator<Item = (ClientKey, &Client)> {
        let places = self.clients.iter().enumerate();
        places.filter_map(|(key, client)| Some((ClientKey(key as u32), client.as_deref()?)))
    }

    /// Places of the table.
    pub fn places(&self) -> usize {
        self.clients.len()
    }

    /// Connections of all kinds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Those that have a WebSocket.
    pub fn web_socket_count(&self) -> usize {
        self.count - self.http_count - self.stream_count
    }

    /// The one at a place, if it has a WebSocket.
    pub fn web_socket_at(&self, place: usize) -> Option<&Client> {
        let client = self.clients.get(place)?.as_deref()?;
        client.is_web_socket().then_some(client)
    }

    /// Those that get an HTTP answer.
    pub fn http_count(&self) -> usize {
        self.http_count
    }

    /// Those that have a stream of events.
    pub fn stream_count(&self) -> usize {
        self.stream_count
    }

    /// Adds a connection. Its key must be free.
    pub fn open(
        &mut self,
        key: ClientKey,
        head: Box<[u8]>,
        remote: SocketAddr,
        transport: Transport,
        random: &mut Random,
    ) {
        let place = key.0 as usize;
        if place >= self.clients.len() {
            self.clients.resize_with(place + 1, || None);
        }
        self.serials = self.serials.wrapping_add(1).max(1);
        self.count += 1;
        self.http_count += usize::from(transport.is_http());
        let cid = random.text();
        if let Some(cids) = &mut self.cids {
            cids.insert(cid, key);
        }
        self.clients[place] = Some(Box::new(Client {
            serial: self.serials,
            cid,
            token: None,
            tid: None,
            token_serial: 0,
            renewal: None,
            token_source: TokenSource::None,
            renewing: false,
            listening: false,
            heard_on: Connection::NONE,
            dialect: match transport {
                Transport::Web(_) | Transport::Opening(_) | Transport::Stream(_) => {
                    Dialect::Current
                }
                Transport::WebSocket | Transport::Upgrading(_) => Version::DEFAULT.dialect(),
            },
            is_told_tags: false,
            transport,
            in_flight: 0,
            used: Used::default(),
            waiting: 0,
            subscribed: 0,
            waiters: Vec::new(),
            results: None,
            extended: BTreeSet::new(),
            head,
            remote,
        }));
    }

    /// A client whose upgrade request waited gets its WebSocket. Returns the fields for
    /// its answer; `None` for one that did not wait for that.
    pub fn upgrade(&mut self, key: ClientKey) -> Option<Box<Fields>> {
        let client = self.get_mut(key)?;
        let Transport::Upgrading(fields) = &mut client.transport else {
            return None;
        };
        let fields = std::mem::take(fields);
        client.transport = Transport::WebSocket;
        self.http_count -= 1;
        Some(fields)
    }

    /// A web request gets the stream that it asks for, of a subscription. Returns what was
    /// kept for that; `None` for one that did not ask for any.
    pub fn begin_stream(&mut self, key: ClientKey, root: SubKey) -> Option<Box<Opening>> {
        let client = self.get_mut(key)?;
        if !matches!(client.transport, Transport::Opening(_)) {
            return None;
        }
        let before = std::mem::replace(&mut client.transport, Transport::Stream(root));
        self.http_count -= 1;
        self.stream_count += 1;
        match before {
            Transport::Opening(opening) => Some(opening),
            _ => None,
        }
    }

    /// Takes a connection out.
    pub fn close(&mut self, key: ClientKey) -> Option<Box<Client>> {
        let client = self
            .clients
            .get_mut(key.0 as usize)
            .and_then(Option::take)?;
        self.count -= 1;
        self.http_count -= usize::from(client.is_http());
        self.stream_count -= usize::from(client.is_stream());
        self.forget_tid(key, client.tid.clone());
        if self.has_traces() {
            self.traces.remove(&key);
        }
        if let Some(cids) = &mut self.cids {
            cids.remove(&client.cid);
        }
        Some(client)
    }

    /// Checks the counts against the connections.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let count = self.iter().count();
        let http = self.iter().filter(|(_, client)| client.is_http()).count();
        let tids = self.iter().filter_map(|(key, client)| {
            let tid = client.tid.as_deref()?;
            Some(
                self.with_tid(tid)
                    .is_some_and(|clients| clients.contains(&key)),
            )
        });
        let tids: Vec<bool> = tids.collect();
        let (found, all) = (tids.iter().filter(|found| **found).count(), tids.len());
        let indexed: usize = self.tids.values().map(BTreeSet::len).sum();
        if (found, indexed) != (all, all) || self.tids.values().any(BTreeSet::is_empty) {
            return Err(format!(
                "{all} connections have token IDs, {found} of {indexed} are found by them"
            ));
        }
        if let Some(key) = self.traces.keys().find(|key| self.get(**key).is_none()) {
            return Err(format!("{key:?} is part of a trace, and is not there"));
        }
        if let Some(cids) = &self.cids {
            let mut all = self.iter();
            let is_found = all.all(|(key, client)| cids.get(&client.cid) == Some(&key));
            if !is_found || cids.len() != count {
                return Err(format!(
                    "{count} connections are {} by their IDs",
                    cids.len()
                ));
            }
        }
        let streams = self.iter().filter(|(_, client)| client.is_stream()).count();
        let counted = (self.count, self.http_count, self.stream_count);
        match (count, http, streams) == counted {
            true => Ok(()),
            false => Err(format!(
                "{count} connections, {http} of them HTTP and {streams} streams, are counted as \
                 {counted:?}"
            )),
        }
    }
}

/// How a client is connected.
#[derive(Debug)]
pub enum Transport {
    WebSocket,
    /// An upgrade request waits for header authentication. The fields are for its answer.
    Upgrading(Box<Fields>),
    /// One web request.
    Web(Box<Web>),
    /// A web request for a stream of events, which has yet to begin.
    Opening(Box<Opening>),
    /// A stream of events of a subscription, as long as that is there.
    Stream(SubKey),
}

impl Transport {
    /// Whether what is done for it leads to an HTTP answer.
    fn is_http(&self) -> bool {
        match self {
            Self::WebSocket | Self::Stream(_) => false,
            Self::Upgrading(_) | Self::Web(_) | Self::Opening(_) => true,
        }
    }
}

/// A resource ID as a client writes it, and as services know it.
pub struct Target<'a> {
    pub text: &'a str,
    /// The serial of the client, if the text has its connection ID tag.
    pub owner: Option<u32>,
    pub expanded: Cow<'a, str>,
}

/// What is kept of a web request.
#[derive(Debug, Default)]
pub struct Web {
    /// Fields that services want in the answer.
    pub fields: Fields,
    /// Whether the HTTP method stands for a call, so that an unknown method is the
    /// client's mistake.
    pub mapped: bool,
    /// Whether it has subscriptions of what its resource references. It needs none while all
    /// of that is cached.
    pub follows: bool,
    /// Whether its answer is being made, or waits to be.
    pub expanding: bool,
    /// What is done when the client has been authenticated.
    pub goal: Option<Goal>,
    /// What the client has of what it asks for.
    pub have: Have,
    /// Whether it waits while the client has that.
    pub patience: Patience,
    /// The resource that it asks for anew, since that may have changed.
    pub again: Option<String>,
}

/// Whether a web request waits while its client has what it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// It does not, or not any more.
    #[default]
    None,
    /// It will, once its answer is made, unless something has changed meanwhile.
    Ready { is_changed: bool },
    /// It does, and its client has the content with this tag.
    Resting(Tag),
}

impl Patience {
    /// Its answer is made from what is there from now on.
    pub fn begin(&mut self) {
        if let Self::Ready { is_changed } = self {
            *is_changed = false;
        }
    }
}

/// What is kept of a web request for a stream until that begins.
#[derive(Debug, Default)]
pub struct Opening {
    /// Fields that services want in the answer.
    pub fields: Fields,
    /// What is done when the client has been authenticated.
    pub goal: Option<Goal>,
    /// What the client has of an earlier stream.
    pub have: Have,
}

/// What a web request asks for.
#[derive(Debug)]
pub enum Goal {
    Get {
        rid: String,
    },
    Stream {
        rid: String,
    },
    Call {
        rid: String,
        method: String,
        params: Option<Box<str>>,
    },
}
