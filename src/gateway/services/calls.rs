//! Calls of methods: call, auth and new requests, for both kinds of client.

use crate::gateway::Gateway;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::keys::{ClientKey, ClientRef, Connection, PendingKey, WindowKey};
use crate::gateway::model::parked::Parked;
use crate::gateway::parts::counters::RequestKind;
use crate::gateway::parts::requests::{
    CallKind, CallRequest, Pending, ReplyForm, ReplyTo, Subject, Then, Use,
};
use crate::gateway::parts::sessions::{Client, Target};
use crate::gateway::parts::waiters::Want;
use crate::gateway::parts::warnings::Warning;
use crate::gateway::parts::worklist::Work;
use crate::res::service::CallResult;
use crate::res::version::Dialect;
use crate::res::{Error, json, service};

/// Room for what stands beside the parameters of a call.
const ROOM: usize = 256;

impl Gateway {
    /// Begins a call: asks access first, unless it is known or not needed.
    pub(in crate::gateway) fn call(&mut self, mut call: CallRequest, target: &Target<'_>) {
        let held = self.cache.alias(target.text, target.owner);
        call.sub = held.and_then(|alias| self.holdings.find(call.client.key, alias));
        self.begin_call(call);
    }

    fn begin_call(&mut self, call: CallRequest) {
        if call.kind == CallKind::Auth {
            return self.send_call_in_turn(call);
        }
        let client = call.client.key;
        let held = call.sub.and_then(|sub| self.holdings.get(sub));
        if let Some(sub) = call.sub
            && held.is_some_and(|sub| sub.client() == client)
        {
            return self.require_access(sub, Use::Call(call));
        }
        let (name, query) = (call.name, call.query.clone());
        self.ask_access(client, name, &query, None, Use::Call(call));
    }

    /// Sends a call that is allowed, or lets it wait for the broker or for its service.
    pub(super) fn send_call_in_turn(&mut self, call: CallRequest) {
        if !self.broker.is_there() {
            return self.park_call(call, None);
        }
        if self.is_renewing(call.client.key) {
            return self.hold_call(call);
        }
        let window = self.window_of(call.name);
        match window.filter(|window| !self.has_room(*window)) {
            Some(window) if self.windows.is_crowded(window) => {
                self.refuse_call(&call, &Error::SERVICE_UNAVAILABLE);
            }
            Some(window) => self.park_call(call, Some(window)),
            None => self.send_call(call),
        }
    }

    /// A call waits. What it may do is looked at again when it is its turn.
    fn park_call(&mut self, call: CallRequest, window: Option<WindowKey>) {
        if self.sessions.present(call.client).is_none() {
            return;
        }
        self.listen_to_connection(call.client.key);
        let size = call.waiting();
        let key = self.open_unsent(call);
        let parked = Parked::of_size(key, size);
        match window {
            Some(window) => self.queue_up(window, parked),
            None => self.broker.park(parked),
        }
    }

    /// A call waits until it is known whether its client's token still holds.
    fn hold_call(&mut self, call: CallRequest) {
        if self.sessions.present(call.client).is_some() {
            let key = self.open_unsent(call);
            self.work.push(Work::Call(key));
        }
    }

    /// A call that waits is timed like one that was sent.
    fn open_unsent(&mut self, call: CallRequest) -> PendingKey {
        let name = call.name;
        let then = Then::Call(call);
        self.counters.opened(RequestKind::of(&then));
        self.cache.hold_name(name);
        let (form, none) = (ReplyForm::Usual, Connection::NONE);
        self.requests.open(self.now, Some(name), then, form, none).0
    }

    /// A call that was held goes on, unless its time is over.
    pub(in crate::gateway) fn call_held(&mut self, key: PendingKey) {
        if self.requests.get(key).is_some_and(Pending::is_awaited) {
            self.call_in_turn(key);
        }
    }

    /// It is the turn of a call that has waited.
    pub(super) fn call_in_turn(&mut self, key: PendingKey) {
        let Some(pending) = self.forget_request(key) else {
            return;
        };
        if let Then::Call(call) = pending.then {
            self.begin_call(call);
        }
        if let Some(name) = pending.name {
            self.release_name(name);
        }
    }

    /// Sends a call that is allowed.
    pub(super) fn send_call(&mut self, mut call: CallRequest) {
        if !self.broker.is_there() {
            return self.park_call(call, None);
        }
        if self.sessions.present(call.client).is_none() {
            return;
        }
        if !self.listen_to_connection(call.client.key) {
            return self.forget_call(&call);
        }
        if self.is_renewing(call.client.key) {
            return self.hold_call(call);
        }
        let (client, name, kind, verb) = (call.client.key, call.name, call.kind, call.verb());
        let waited = call.waiting();
        self.relieve(client, |client| client.waited(waited));
        let (query, params) = (std::mem::take(&mut call.query), call.params.take());
        let method = call.method.clone();
        let subject = Subject::Name(verb, name, &method);
        let sent = self.request(subject, Then::Call(call), |gateway, out| {
            out.reserve(params.as_ref().map_or(0, |params| params.len()) + ROOM);
            out.extend_from_slice(b"{\"params\":");
            match &params {
                Some(params) => out.extend_from_slice(json::compact(params).as_bytes()),
                None => out.extend_from_slice(b"null"),
            }
            out.push(b',');
            gateway.write_identity(client, &query, out);
            if kind == CallKind::Auth {
                gateway.write_connection(client, out);
            }
            out.push(b'}');
        });
        if let Err(unsent) = sent
            && let Then::Call(call) = unsent.then
        {
            self.refuse_call_with(&call, &unsent.error);
        }
    }

    /// A call is not sent, and its client, which is about to be dismissed, not told.
    pub(super) fn forget_call(&mut self, call: &CallRequest) {
        if self.sessions.present(call.client).is_some() {
            let waited = call.waiting();
            self.relieve(call.client.key, |client| client.waited(waited));
        }
    }

    /// Answers a call that was not sent.
    pub(super) fn refuse_call(&mut self, call: &CallRequest, error: &Error) {
        if self.sessions.present(call.client).is_some() {
            let waited = call.waiting();
            self.relieve(call.client.key, |client| client.waited(waited));
            self.refuse_call_with(call, error);
        }
    }

    fn refuse_call_with(&mut self, call: &CallRequest, error: &Error) {
        let (name, method) = (self.cache.name_text(call.name), &call.method);
        let text = format_args!("{}, {} of {name}.{method}", call.reply, call.kind);
        self.note_refused(call.client.key, text, error);
        self.reply_error(call.client, call.reply, error);
    }

    pub(super) fn call_answered(&mut self, call: CallRequest, answer: Answer<'_>) {
        if self.sessions.present(call.client).is_some() {
            // Of one that was sent nothing waits any more.
            let waited = call.waiting();
            self.relieve(call.client.key, |client| client.waited(waited));
        }
        let Some(client) = self.sessions.present(call.client) else {
            return self.note_unused("call", Some(call.name), &"the client is gone");
        };
        let dialect = client.dialect;
        let result = match &answer {
            Ok(payload) => {
                // Only calls of `new` have an older form of answer.
                let is_new = call.kind != CallKind::Auth && &*call.method == "new";
                service::call(payload, is_new)
            }
            Err(error) => Err(error.clone()),
        };
        let result = match result {
            Ok(CallResult::OldResource(rid)) => {
                self.deprecated.old_new(self.cache.name_text(call.name));
                Ok(CallResult::Resource(rid))
            }
            Ok(CallResult::Payload(_)) if call.kind == CallKind::New => {
                Err(Error::internal("non-resource response on new request"))
            }
            result => result,
        };
        if let (CallKind::New, Ok(_), Err(error)) = (call.kind, &answer, &result)
            && error.is(&Error::INTERNAL)
        {
            let text = format_args!("answer to new is not used: {error}");
            self.warn(Warning::New, call.name, text);
        }
        let rid = match &result {
            Ok(CallResult::Resource(rid)) => Some(&**rid),
            _ => None,
        };
        if let (Ok(payload), ReplyTo::Web) = (&answer, call.reply)
            && self.heed_meta(
                call.client.key,
                Some(call.name),
                payload,
                result.as_ref().err(),
                rid,
            )
        {
            return;
        }
        match (result, call.reply) {
            (Err(error), _) => self.refuse_call_with(&call, &error),
            (Ok(CallResult::Payload(payload)), ReplyTo::Client(id)) => {
                self.reply_payload(call.client.key, id, payload, dialect);
            }
            (Ok(CallResult::Payload(payload)), ReplyTo::Web) => {
                self.reply_web_payload(call.client.key, payload);
            }
            (Ok(CallResult::Resource(rid) | CallResult::OldResource(rid)), ReplyTo::Client(id)) => {
                if dialect == Dialect::V1_1 && call.kind != CallKind::New {
                    self.reply_rid(call.client.key, id, &rid);
                } else {
                    self.want_result(call.client, &rid, id);
                }
            }
            (Ok(CallResult::Resource(rid) | CallResult::OldResource(rid)), ReplyTo::Web) => {
                self.reply_web_location(call.client.key, &rid);
            }
        }
    }

    /// A client wants what its call has brought. If its holdings are being put in order it does
    /// so afterwards: what they are about to be rid of must not seem to hold what is new.
    fn want_result(&mut self, client: ClientRef, rid: &str, id: u64) {
        let work = Work::Result(client);
        if self.unsettled.put_off(client.key, work).is_some() {
            return self.want(client.key, rid, Want::Resource(id));
        }
        if let Some(there) = self.sessions.present_mut(client) {
            there.hold_result(id, rid);
        }
    }

    /// It does so now.
    pub(in crate::gateway) fn want_held(&mut self, client: ClientRef) {
        let there = self.sessions.present_mut(client);
        if let Some((id, rid)) = there.and_then(Client::take_result) {
            self.want(client.key, &rid, Want::Resource(id));
            self.relieve(client.key, |client| client.waited(rid.len()));
        }
    }

    /// Answers a call with an error.
    pub(in crate::gateway) fn reply_error(
        &mut self,
        client: ClientRef,
        reply: ReplyTo,
        error: &Error,
    ) {
        if self.sessions.present(client).is_none() {
            return;
        }
        match reply {
            ReplyTo::Client(id) => self.respond_error(client.key, id, error),
            ReplyTo::Web => self.reply_web_error(client.key, error),
        }
    }

    fn reply_payload(&mut self, client: ClientKey, id: u64, payload: &str, dialect: Dialect) {
        self.respond(client, id, |out| {
            let payload = json::compact(payload);
            if dialect == Dialect::V1_1 {
                out.extend_from_slice(b"\"result\":");
                json::write_escaped(&payload, out);
            } else {
                out.extend_from_slice(b"\"result\":{\"payload\":");
                json::write_escaped(&payload, out);
                out.push(b'}');
            }
        });
    }

    fn reply_rid(&mut self, client: ClientKey, id: u64, rid: &str) {
        self.respond(client, id, |out| {
            out.extend_from_slice(b"\"result\":{\"rid\":");
            json::write_string(rid, out);
            out.push(b'}');
        });
    }

    /// Appends what services are told of a connection.
    pub(in crate::gateway) fn write_connection(&self, client: ClientKey, out: &mut Vec<u8>) {
        let Some(client) = self.sessions.get(client) else {
            return;
        };
        out.push(b',');
        (self.options.write_head)(client.head(), &client.remote().to_string(), out);
    }
}
