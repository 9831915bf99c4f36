//! Client sessions: connections come and go, and their requests are taken in order.

use super::cache::{AliasKey, NameKey};
use super::calls::{CallKind, CallRequest, Reply};
use super::outbox::{ClientKey, Delivery, Message, SharedAnswer};
use super::ready::{WaiterKey, Want};
use super::requests::ClientRef;
use super::subscription::SubKey;
use super::web::Web;
use super::{Gateway, Outbox, Time};
use crate::res::client::{self, Action};
use crate::res::meta::Fields;
use crate::res::rid::{self, Rid};
use crate::res::version::{Dialect, PROTOCOL, Version};
use crate::res::{Error, json};
use core::net::SocketAddr;
use std::borrow::Cow;
use std::rc::Rc;

/// Requests of one client that may be open at once, and the bytes of resource IDs and
/// parameters that may wait with them. Beyond them the client is not read.
pub(crate) const MAX_IN_FLIGHT: u16 = 256;
pub(crate) const MAX_WAITING: usize = 4 << 20;

/// A connection: a WebSocket client, or one web request.
pub struct Client {
    /// Tells apart the connections that had the same key.
    pub serial: u32,
    pub cid: [u8; 20],
    /// The access token, compact JSON.
    pub token: Option<Rc<str>>,
    pub tid: Option<Box<str>>,
    /// Counts the tokens that it has had.
    pub token_serial: u32,
    pub had_token: bool,
    /// Where an auth request is due that a token reset asked for.
    pub renewal: Option<Rc<str>>,
    /// Whether the broker sends its connection events.
    pub listening: bool,
    pub dialect: Dialect,
    pub transport: Transport,
    pub in_flight: u16,
    /// Bytes of the resource IDs that it waits for, and of the queries and parameters of
    /// calls that wait for access.
    pub waiting: usize,
    /// The first of its subscriptions.
    pub first: Option<SubKey>,
    /// Its requests that wait for resources.
    pub waiters: Vec<WaiterKey>,
    pub head: Box<[u8]>,
    pub remote: SocketAddr,
}

impl Client {
    /// Whether it is a web request.
    pub fn is_web(&self) -> bool {
        matches!(self.transport, Transport::Web(_))
    }

    /// Whether what is done for it leads to an HTTP answer.
    pub fn is_http(&self) -> bool {
        !matches!(self.transport, Transport::WebSocket)
    }

    fn takes_requests(&self) -> bool {
        self.in_flight < MAX_IN_FLIGHT && self.waiting < MAX_WAITING
    }
}

/// How a client is connected.
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

/// Broker subscription IDs say what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sid {
    /// System events.
    System,
    /// Answers to requests.
    Inbox,
    /// Events of a resource name.
    Name(NameKey),
    /// Events of a connection.
    Client(ClientRef),
}

impl Sid {
    pub fn number(self) -> u64 {
        match self {
            Self::System => 1,
            Self::Inbox => 2,
            Self::Name(key) => u64::from(key.generation()) << 32 | u64::from(key.index()) << 2 | 3,
            Self::Client(client) => {
                u64::from(client.serial) << 32 | (u64::from(client.key.0) + 1) << 2
            }
        }
    }

    pub fn of(number: u64) -> Option<Self> {
        let (high, low) = ((number >> 32) as u32, number as u32);
        match (high, low, low & 3) {
            (0, 1, _) => Some(Self::System),
            (0, 2, _) => Some(Self::Inbox),
            (_, _, 3) => Some(Self::Name(NameKey::from_parts(low >> 2, high))),
            (1.., 4.., 0) => {
                let key = ClientKey((low >> 2) - 1);
                Some(Self::Client(ClientRef { key, serial: high }))
            }
            _ => None,
        }
    }
}

impl Gateway {
    /// A WebSocket client connected. `head` is its upgrade request, of which services are
    /// told in auth requests.
    pub fn client_connected(
        &mut self,
        now: Time,
        key: ClientKey,
        head: Box<[u8]>,
        remote: SocketAddr,
        out: &mut Outbox,
    ) {
        self.input(now, out, |gateway| {
            gateway.open_client(key, head, remote, Transport::WebSocket)
        });
    }

    /// A client sent a message. One that is no request is ignored, as the protocol has no
    /// way to answer it.
    pub fn client_message(&mut self, now: Time, key: ClientKey, payload: &[u8], out: &mut Outbox) {
        self.input(now, out, |gateway| {
            let Some(client) = gateway.client(key) else {
                return;
            };
            if client.is_http() {
                return;
            }
            let Some(request) = client::parse(payload) else {
                return;
            };
            if let Some(client) = gateway.client_mut(key) {
                client.in_flight = client.in_flight.saturating_add(1);
            }
            gateway.client_request(key, &request);
        });
    }

    /// Whether a client may send a further message; if not, [`Delivery::Resume`] tells
    /// when it may again.
    pub fn takes_requests(&self, key: ClientKey) -> bool {
        self.client(key).is_none_or(Client::takes_requests)
    }

    /// A connection is gone: a WebSocket client, or one with an open web request. A
    /// connection that is neither is no mistake.
    pub fn client_closed(&mut self, now: Time, key: ClientKey, out: &mut Outbox) {
        self.input(now, out, |gateway| gateway.close_client(key));
    }

    pub(super) fn open_client(
        &mut self,
        key: ClientKey,
        head: Box<[u8]>,
        remote: SocketAddr,
        transport: Transport,
    ) {
        self.close_client(key);
        let place = key.0 as usize;
        if place >= self.clients.len() {
            self.clients.resize_with(place + 1, || None);
        }
        let is_http = !matches!(transport, Transport::WebSocket);
        self.serials = self.serials.wrapping_add(1).max(1);
        self.clients[place] = Some(Box::new(Client {
            serial: self.serials,
            cid: self.random.text(),
            token: None,
            tid: None,
            token_serial: 0,
            had_token: false,
            renewal: None,
            listening: false,
            dialect: if matches!(transport, Transport::Web(_)) {
                Dialect::Current
            } else {
                Version::DEFAULT.dialect()
            },
            transport,
            in_flight: 0,
            waiting: 0,
            first: None,
            waiters: Vec::new(),
            head,
            remote,
        }));
        self.client_count += 1;
        if is_http {
            self.web_count += 1;
        } else {
            self.counters.clients += 1;
        }
    }

    /// Forgets a connection and all that it held. Its subscriptions go together, so
    /// nothing has to be looked for that still holds them.
    pub(super) fn close_client(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key.0 as usize).and_then(Option::take) else {
            return;
        };
        self.client_count -= 1;
        self.web_count -= usize::from(client.is_http());
        for waiter in &client.waiters {
            self.waiters.remove(*waiter);
        }
        let mut next = client.first;
        while let Some(sub) = next {
            next = self.subs.arena.key_at(self.subs.arena[sub].next);
            self.remove_sub(sub);
        }
        if client.listening {
            let client = ClientRef {
                key,
                serial: client.serial,
            };
            self.out.unsubscribe(Sid::Client(client).number());
        }
    }

    pub(super) fn client(&self, key: ClientKey) -> Option<&Client> {
        self.clients.get(key.0 as usize)?.as_deref()
    }

    pub(super) fn client_mut(&mut self, key: ClientKey) -> Option<&mut Client> {
        self.clients.get_mut(key.0 as usize)?.as_deref_mut()
    }

    /// The client that a reference means, if it is still there.
    pub(super) fn present(&self, client: ClientRef) -> Option<&Client> {
        self.client(client.key)
            .filter(|there| there.serial == client.serial)
    }

    /// What a resource ID means for a client.
    pub(super) fn target<'a>(&self, client: ClientKey, text: &'a str) -> Option<Target<'a>> {
        if !rid::has_cid_tag(text) {
            return Some(Target {
                text,
                owner: None,
                expanded: Cow::Borrowed(text),
            });
        }
        let client = self.client(client)?;
        let cid = std::str::from_utf8(&client.cid).ok()?;
        let expanded = rid::expand_cid(text, cid);
        Some(Target {
            text,
            owner: Some(client.serial),
            expanded,
        })
    }

    /// A client's subscription of a resource ID, if it has one.
    pub(super) fn find_sub(&self, client: ClientKey, rid: &str) -> Option<SubKey> {
        self.subs.find(client, self.find_alias(client, rid)?)
    }

    /// What a resource ID is known as for a client.
    pub(super) fn find_alias(&self, client: ClientKey, text: &str) -> Option<AliasKey> {
        // IDs with the tag always have an owner. Nearly all are found at once, and need no
        // search for the tag.
        self.cache.alias(text, None).or_else(|| {
            let client = rid::has_cid_tag(text).then(|| self.client(client))??;
            self.cache.alias(text, Some(client.serial))
        })
    }

    fn client_request(&mut self, key: ClientKey, request: &client::Request<'_>) {
        let id = request.id;
        let counters = &mut self.counters;
        match request.action {
            Some(Action::Subscribe(_)) => counters.subscribes += 1,
            Some(Action::Get(_)) => counters.gets += 1,
            Some(Action::Call(..) | Action::New(_)) => counters.calls += 1,
            Some(Action::Auth(..)) => counters.auths += 1,
            // Counted when its parameters are known to be valid.
            None | Some(Action::Version | Action::Unsubscribe(_)) => {}
        }
        match &request.action {
            None => self.respond_error(key, id, &Error::INVALID_REQUEST),
            Some(Action::Version) => self.version_request(key, id, request.params),
            Some(Action::Subscribe(rid)) => self.want(key, rid, Want::Subscribe(id)),
            Some(Action::Get(rid)) => self.want(key, rid, Want::Get(id)),
            Some(Action::Unsubscribe(rid)) => {
                self.unsubscribe_request(key, id, rid, request.params)
            }
            Some(Action::Call(rid, method)) => {
                self.call_request(
                    key,
                    Reply::Client(id),
                    CallKind::Call,
                    rid,
                    method,
                    request.params,
                );
            }
            Some(Action::Auth(rid, method)) => {
                self.call_request(
                    key,
                    Reply::Client(id),
                    CallKind::Auth,
                    rid,
                    method,
                    request.params,
                );
            }
            Some(Action::New(rid)) => {
                self.call_request(
                    key,
                    Reply::Client(id),
                    CallKind::New,
                    rid,
                    "new",
                    request.params,
                );
            }
        }
    }

    pub(super) fn call_request(
        &mut self,
        key: ClientKey,
        reply: Reply,
        kind: CallKind,
        rid: &str,
        method: &str,
        params: Option<&str>,
    ) {
        let Some(client) = self.client(key) else {
            return;
        };
        let client = ClientRef {
            key,
            serial: client.serial,
        };
        let Some(target) = self.target(key, rid) else {
            return;
        };
        let Some(parsed) = Rid::parse(&target.expanded) else {
            return self.reply_error(client, reply, &Error::INVALID_REQUEST);
        };
        let name = self.cache.intern_name(parsed.name);
        let call = CallRequest {
            client,
            reply,
            kind,
            name,
            query: parsed.query.unwrap_or_default().into(),
            method: method.into(),
            params: params.map(Into::into),
        };
        if let Some(client) = self.client_mut(key) {
            client.waiting += call.waiting();
        }
        // The call itself uses the name until a request of its does.
        self.hold_name(name);
        self.call(call, &target);
        self.release_name(name);
    }

    fn version_request(&mut self, key: ClientKey, id: u64, params: Option<&str>) {
        let Ok(protocol) = client::parse_protocol(params) else {
            return self.respond_error(key, id, &Error::INVALID_PARAMS);
        };
        if let Some(protocol) = protocol {
            let Some(version) = Version::parse(&protocol) else {
                return self.respond_error(key, id, &Error::INVALID_PARAMS);
            };
            if !version.is_supported() {
                return self.respond_error(key, id, &Error::UNSUPPORTED_PROTOCOL);
            }
            if let Some(client) = self.client_mut(key) {
                client.dialect = version.dialect();
            }
        }
        self.respond(key, id, |out| {
            out.extend_from_slice(b"\"result\":{\"protocol\":\"");
            out.extend_from_slice(PROTOCOL.as_bytes());
            out.extend_from_slice(b"\"}");
        });
    }

    fn unsubscribe_request(&mut self, key: ClientKey, id: u64, rid: &str, params: Option<&str>) {
        let Ok(count) = client::parse_count(params) else {
            return self.respond_error(key, id, &Error::INVALID_PARAMS);
        };
        self.counters.unsubscribes += 1;
        match self.find_sub(key, rid) {
            Some(sub) if self.unsubscribe(sub, count) => self.respond(key, id, |_| {}),
            _ => self.respond_error(key, id, &Error::NO_SUBSCRIPTION),
        }
    }

    /// Answers a client's request. `members` writes what stands before the ID.
    pub(super) fn respond(&mut self, key: ClientKey, id: u64, members: impl FnOnce(&mut Vec<u8>)) {
        let mut text = self.begin_response();
        members(&mut text);
        self.finish_response(key, id, text);
    }

    pub(super) fn respond_error(&mut self, key: ClientKey, id: u64, error: &Error) {
        self.respond(key, id, |out| {
            out.extend_from_slice(b"\"error\":");
            error.write(out);
        });
    }

    /// The beginning of an answer. It is written into the scratch buffer, which
    /// [`Gateway::finish_response`] gives back.
    pub(super) fn begin_response(&mut self) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        text.push(b'{');
        text
    }

    /// Ends an answer and sends it.
    pub(super) fn finish_response(&mut self, key: ClientKey, id: u64, mut text: Vec<u8>) {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(b"\"id\":");
        json::write_number(id, &mut text);
        text.push(b'}');
        self.out.send(key, Message::new(&text));
        self.keep_scratch(text);
        self.responded(key);
    }

    /// Answers a client's request with a text that is the same for others, but for the
    /// request's ID.
    pub(super) fn respond_shared(&mut self, key: ClientKey, id: u64, body: Rc<Message>) {
        let answer = SharedAnswer::new(body, id);
        self.out.deliver(key, Delivery::Answer(answer));
        self.responded(key);
    }

    fn responded(&mut self, key: ClientKey) {
        self.relieve(key, |client| {
            client.in_flight = client.in_flight.saturating_sub(1);
        });
    }

    /// Lessens what a client waits for, and lets it be read again if that was too much.
    pub(super) fn relieve(&mut self, key: ClientKey, lessen: impl FnOnce(&mut Client)) {
        let Some(client) = self.client_mut(key) else {
            return;
        };
        let was_blocked = !client.takes_requests();
        lessen(client);
        if was_blocked && client.takes_requests() {
            self.out.deliver(key, Delivery::Resume);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscription_ids_tell_what_they_are_for() {
        let sids = [
            Sid::System,
            Sid::Inbox,
            Sid::Name(NameKey::from_parts(0, 1)),
            Sid::Name(NameKey::from_parts(123_456, 99)),
            Sid::Client(ClientRef {
                key: ClientKey(0),
                serial: 1,
            }),
            Sid::Client(ClientRef {
                key: ClientKey(70_000),
                serial: u32::MAX,
            }),
        ];
        for sid in sids {
            assert_eq!(Sid::of(sid.number()), Some(sid));
        }
        for number in [0, 4, 5, u64::from(u32::MAX) << 32] {
            assert_eq!(Sid::of(number), None, "{number}");
        }
    }
}
