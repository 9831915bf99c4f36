//! Client sessions: connections come and go, and their requests are taken in order.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{AliasKey, ClientKey, ClientRef, SubKey};
use crate::gateway::model::outbox::Outbox;
use crate::gateway::model::sid::Sid;
use crate::gateway::model::time::Time;
use crate::gateway::parts::haves::Has;
use crate::gateway::parts::presence::Passage;
use crate::gateway::parts::requests::{CallKind, CallRequest, ReplyTo};
use crate::gateway::parts::sessions::{Client, Target, Transport};
use crate::gateway::parts::waiters::Want;
use crate::gateway::parts::worklist::Origin;
use crate::res::client::Action;
use crate::res::rid::Rid;
use crate::res::trace::Masked;
use crate::res::version::{PROTOCOL, Version};
use crate::res::{Error, client, rid};
use core::net::SocketAddr;
use log::{debug, trace};
use std::borrow::Cow;

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
            gateway.take_in(0);
            gateway.open_client(key, head, remote, Transport::WebSocket);
            gateway.trace_connected(key);
            Origin::Client(key)
        });
    }

    /// A client sent a message. One that is no request is ignored, as the protocol has no
    /// way to answer it.
    pub fn client_message(&mut self, now: Time, key: ClientKey, payload: &[u8], out: &mut Outbox) {
        self.input(now, out, |gateway| {
            if gateway.unsettled.has(key) {
                // The caller is asked not to send any; see `takes_requests`.
                gateway.collect_all();
                gateway.finish_doubting(key);
                gateway.finish_sending(key);
            }
            gateway.take_in(payload.len());
            let client = gateway.sessions.get_mut(key);
            if let Some(client) = client.filter(|client| client.is_web_socket()) {
                trace!("[{}] --> {}", client.cid(), Masked(payload));
                match client::parse(payload) {
                    Some(request) => {
                        client.begin_request();
                        gateway.client_request(key, &request);
                    }
                    None => debug!("[{}] message is ignored: it is no request", client.cid()),
                }
            }
            Origin::Client(key)
        });
    }

    /// Whether a client may send a further message; if not, [`Delivery::Resume`](crate::gateway::Delivery::Resume) tells
    /// when it may again.
    pub fn takes_requests(&self, key: ClientKey) -> bool {
        self.sessions.get(key).is_none_or(Client::takes_requests) && !self.unsettled.has(key)
    }

    /// Whether a client waits for the answer to a request.
    pub fn has_requests(&self, key: ClientKey) -> bool {
        self.sessions.get(key).is_some_and(Client::has_requests)
    }

    /// Whether the key of a client that is gone may be used for another one. If not, what it
    /// held is still being taken out; [`Gateway::has_work`] is true meanwhile.
    pub fn is_free(&self, key: ClientKey) -> bool {
        !self.unsettled.is_leaving(key)
    }

    /// A connection is gone: a WebSocket client, or one with an open web request. A
    /// connection that is neither is no mistake.
    pub fn client_closed(&mut self, now: Time, key: ClientKey, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            gateway.take_in(0);
            gateway.close_client(key);
            Origin::Client(key)
        });
    }

    pub(super) fn open_client(
        &mut self,
        key: ClientKey,
        head: Box<[u8]>,
        remote: SocketAddr,
        transport: Transport,
    ) {
        self.close_client(key);
        self.finish_leaving(key);
        let is_web_socket = matches!(transport, Transport::WebSocket);
        self.counters.clients += u64::from(is_web_socket);
        self.sessions
            .open(key, head, remote, transport, &mut self.random);
        if is_web_socket {
            self.tell_connected(key);
        }
    }

    /// Services are told of a WebSocket client that is there now.
    pub(super) fn tell_connected(&mut self, key: ClientKey) {
        if self.presence.is_some()
            && let Some(client) = self.sessions.get(key)
        {
            let cid: Box<str> = client.cid().into();
            self.tell_passage(&cid, Passage::Connect);
        }
    }

    /// Forgets a connection and all that it held.
    pub(in crate::gateway) fn close_client(&mut self, key: ClientKey) {
        let Some(client) = self.sessions.close(key) else {
            return;
        };
        for waiter in client.waiters() {
            self.waiters.remove(*waiter);
        }
        self.holdings.doubts.forget(key);
        self.sendings.take(key);
        self.haves.forget(key);
        self.take_leave(key);
        if !client.is_http() {
            trace!("[{}] Disconnected", client.cid());
        }
        for request in client.extended() {
            // Nobody waits for it any more, and it could be kept for a day.
            self.abandon(request);
        }
        if self.broker.hears(client.heard_on()) {
            trace!("U=> conn.{}.*", client.cid());
            let serial = client.serial();
            let client = ClientRef { key, serial };
            self.out.unsubscribe(Sid::Client(client).number());
        }
        if client.is_web_socket() {
            self.tell_passage(client.cid(), Passage::Disconnect);
        }
    }

    /// What a resource ID means for a client.
    pub(in crate::gateway) fn target<'a>(
        &self,
        client: ClientKey,
        text: &'a str,
    ) -> Option<Target<'a>> {
        if !rid::has_cid_tag(text) {
            return Some(Target {
                text,
                owner: None,
                expanded: Cow::Borrowed(text),
            });
        }
        let client = self.sessions.get(client)?;
        Some(Target {
            text,
            owner: Some(client.serial()),
            expanded: rid::expand_cid(text, client.cid()),
        })
    }

    /// A client's subscription of a resource ID, if it has one.
    pub(in crate::gateway) fn find_sub(&self, client: ClientKey, rid: &str) -> Option<SubKey> {
        self.holdings.find(client, self.find_alias(client, rid)?)
    }

    /// What a resource ID is known as for a client.
    pub(in crate::gateway) fn find_alias(&self, client: ClientKey, text: &str) -> Option<AliasKey> {
        // IDs with the tag always have an owner. Nearly all are found at once, and need no
        // search for the tag.
        self.cache.alias(text, None).or_else(|| {
            let client = rid::has_cid_tag(text).then(|| self.sessions.get(client))??;
            self.cache.alias(text, Some(client.serial()))
        })
    }

    fn client_request(&mut self, key: ClientKey, request: &client::Request<'_>) {
        let id = request.id;
        if self.options.rate.is_limited()
            && let Err(seconds) = self.count_request(key, request.action.as_ref())
        {
            self.counters.hasty += 1;
            return self.refuse_request(key, id, &Error::too_active(seconds));
        }
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
            None => self.refuse_request(key, id, &Error::INVALID_REQUEST),
            Some(Action::Version) => self.version_request(key, id, request.params),
            Some(Action::Subscribe(rid)) => self.want(key, rid, Want::Subscribe(id)),
            Some(Action::Get(rid)) => self.want(key, rid, Want::Get(id)),
            Some(Action::Unsubscribe(rid)) => {
                self.unsubscribe_request(key, id, rid, request.params)
            }
            Some(Action::Call(rid, method)) => {
                self.call_request(
                    key,
                    ReplyTo::Client(id),
                    CallKind::Call,
                    rid,
                    method,
                    request.params,
                );
            }
            Some(Action::Auth(rid, method)) => {
                self.call_request(
                    key,
                    ReplyTo::Client(id),
                    CallKind::Auth,
                    rid,
                    method,
                    request.params,
                );
            }
            Some(Action::New(rid)) => {
                self.call_request(
                    key,
                    ReplyTo::Client(id),
                    CallKind::New,
                    rid,
                    "new",
                    request.params,
                );
            }
        }
    }

    /// Counts a request against its client's rate. What asks nothing of services is free, so
    /// that a client can always let go of what it holds.
    ///
    /// # Errors
    /// Seconds after which it may come.
    fn count_request(&mut self, key: ClientKey, action: Option<&Action<'_>>) -> Result<(), u64> {
        if matches!(
            action,
            None | Some(Action::Version | Action::Unsubscribe(_))
        ) {
            return Ok(());
        }
        match self.sessions.get_mut(key) {
            Some(client) => client.count_request(self.options.rate, self.now),
            None => Ok(()),
        }
    }

    pub(super) fn call_request(
        &mut self,
        key: ClientKey,
        reply: ReplyTo,
        kind: CallKind,
        rid: &str,
        method: &str,
        params: Option<&str>,
    ) {
        let Some(client) = self.sessions.reference(key) else {
            return;
        };
        let Some(target) = self.target(key, rid) else {
            return;
        };
        let Some(parsed) = Rid::parse(&target.expanded) else {
            let text = format_args!("{reply}, {kind} of {rid}");
            self.note_refused(key, text, &Error::INVALID_REQUEST);
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
            sub: None,
        };
        if let Some(client) = self.sessions.get_mut(key) {
            client.wait(call.waiting());
        }
        // The call itself uses the name until a request of its does.
        self.cache.hold_name(name);
        self.call(call, &target);
        self.release_name(name);
    }

    fn refuse_request(&mut self, key: ClientKey, id: u64, error: &Error) {
        self.note_refused(key, format_args!("request {id}"), error);
        self.respond_error(key, id, error);
    }

    fn version_request(&mut self, key: ClientKey, id: u64, params: Option<&str>) {
        let Ok(wishes) = client::parse_version(params) else {
            return self.refuse_request(key, id, &Error::INVALID_PARAMS);
        };
        if let Some(protocol) = &wishes.protocol {
            let Some(version) = Version::parse(protocol) else {
                return self.refuse_request(key, id, &Error::INVALID_PARAMS);
            };
            if !version.is_supported() {
                return self.refuse_request(key, id, &Error::UNSUPPORTED_PROTOCOL);
            }
            if let Some(client) = self.sessions.get_mut(key) {
                client.dialect = version.dialect();
            }
        }
        self.note_tags_wanted(key, &wishes);
        self.respond(key, id, |out| {
            out.extend_from_slice(b"\"result\":{\"protocol\":\"");
            out.extend_from_slice(PROTOCOL.as_bytes());
            out.push(b'"');
            if wishes.etags {
                out.extend_from_slice(b",\"etags\":true");
            }
            out.push(b'}');
        });
    }

    /// A client wants to be told the tags of what it is sent, or not, and says what it has.
    fn note_tags_wanted(&mut self, key: ClientKey, wishes: &client::VersionParams<'_>) {
        if let Some(client) = self.sessions.get_mut(key) {
            client.tell_tags(wishes.etags);
        }
        self.haves.forget(key);
        if let (Some(have), Some(client)) = (wishes.have, self.sessions.reference(key)) {
            let has = Has::read(have);
            self.work.spend(has.len());
            self.haves.keep(self.now, client, has);
        }
    }

    fn unsubscribe_request(&mut self, key: ClientKey, id: u64, rid: &str, params: Option<&str>) {
        let Ok(count) = client::parse_count(params) else {
            return self.refuse_request(key, id, &Error::INVALID_PARAMS);
        };
        self.counters.unsubscribes += 1;
        match self.find_sub(key, rid) {
            Some(sub) if self.unsubscribe(sub, count) => self.respond(key, id, |_| {}),
            _ => {
                let text = format_args!("request {id}, unsubscribe of {rid}");
                self.note_refused(key, text, &Error::NO_SUBSCRIPTION);
                self.respond_error(key, id, &Error::NO_SUBSCRIPTION);
            }
        }
    }
}
