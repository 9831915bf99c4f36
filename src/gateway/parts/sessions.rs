//! Connections, and what is kept of each.

use crate::gateway::model::keys::{ClientKey, ClientRef, Connection, PendingKey, WaiterKey};
use crate::gateway::model::random::Random;
use crate::gateway::model::rate::{Rate, Used};
use crate::gateway::model::time::Time;
use crate::res::meta::Fields;
use crate::res::version::{Dialect, Version};
use core::net::SocketAddr;
use hashbrown::HashMap;
use std::borrow::Cow;
use std::collections::BTreeSet;
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
            Some(_) if self.renewing || self.is_http() => TokenSource::Head,
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
            Transport::WebSocket | Transport::Upgrading(_) => None,
        }
    }

    /// The fields that services want in the HTTP answer to it, if it gets one.
    pub fn fields_mut(&mut self) -> Option<&mut Fields> {
        match &mut self.transport {
            Transport::WebSocket => None,
            Transport::Upgrading(fields) => Some(fields),
            Transport::Web(web) => Some(&mut web.fields),
        }
    }

    /// Whether what is done for it leads to an HTTP answer.
    pub fn is_http(&self) -> bool {
        !matches!(self.transport, Transport::WebSocket)
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
    serials: u32,
    /// Those that have a token ID, by that.
    tids: HashMap<Rc<str>, BTreeSet<ClientKey>, foldhash::fast::RandomState>,
}

impl Sessions {
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

    /// The clients that have a token ID.
    pub fn with_tid(&self, tid: &str) -> Option<&BTreeSet<ClientKey>> {
        self.tids.get(tid)
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

    /// Those that get an HTTP answer.
    pub fn http_count(&self) -> usize {
        self.http_count
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
        self.http_count += usize::from(!matches!(transport, Transport::WebSocket));
        self.clients[place] = Some(Box::new(Client {
            serial: self.serials,
            cid: random.text(),
            token: None,
            tid: None,
            token_serial: 0,
            renewal: None,
            token_source: TokenSource::None,
            renewing: false,
            listening: false,
            heard_on: Connection::NONE,
            dialect: match transport {
                Transport::Web(_) => Dialect::Current,
                Transport::WebSocket | Transport::Upgrading(_) => Version::DEFAULT.dialect(),
            },
            transport,
            in_flight: 0,
            used: Used::default(),
            waiting: 0,
            subscribed: 0,
            waiters: Vec::new(),
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

    /// Takes a connection out.
    pub fn close(&mut self, key: ClientKey) -> Option<Box<Client>> {
        let client = self
            .clients
            .get_mut(key.0 as usize)
            .and_then(Option::take)?;
        self.count -= 1;
        self.http_count -= usize::from(client.is_http());
        self.forget_tid(key, client.tid.clone());
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
        match (count, http) == (self.count, self.http_count) {
            true => Ok(()),
            false => Err(format!(
                "{count} connections, {http} of them HTTP, are counted as {} and {}",
                self.count, self.http_count
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
}

/// What a web request asks for.
#[derive(Debug)]
pub enum Goal {
    Get {
        rid: String,
    },
    Call {
        rid: String,
        method: String,
        params: Option<Box<str>>,
    },
}
