//! Web requests: what they ask, what they are answered, and header authentication.

use crate::gateway::Gateway;
use crate::gateway::model::answer::Answer;
use crate::gateway::model::border::{Method, WebAction, WebRequest};
use crate::gateway::model::keys::{ClientKey, ClientRef, NameKey};
use crate::gateway::model::outbox::{Delivery, Outbox, WebBody, WebResponse};
use crate::gateway::model::paths::{id_to_path, path_to_id, percent_decode, with_query};
use crate::gateway::model::tag::Tag;
use crate::gateway::model::time::Time;
use crate::gateway::parts::requests::{CallKind, ReplyTo, Subject, Then};
use crate::gateway::parts::sessions::{
    Client, Goal, Opening, Patience, TokenSource, Transport, Web,
};
use crate::gateway::parts::waiters::Want;
use crate::gateway::parts::warnings::Warning;
use crate::gateway::parts::worklist::Origin;
use crate::res::rid::{Rid, is_token};
use crate::res::service::CallResult;
use crate::res::{Error, json, service};
use core::net::SocketAddr;

impl Gateway {
    /// An HTTP request came for the API. The answer is delivered to its connection, which
    /// has no other request open.
    pub fn web_request(
        &mut self,
        now: Time,
        key: ClientKey,
        request: WebRequest<'_>,
        out: &mut Outbox,
    ) {
        self.input(now, out, |gateway| {
            gateway.take_in(request.body.len());
            let goal = Goal::parse(&request);
            let transport = transport_of(&request);
            gateway.open_client(key, request.head.into(), request.remote, transport);
            gateway.trace_web_request(key, &request);
            match goal {
                Ok(goal) => gateway.authenticate(key, goal),
                Err(error) => {
                    let text = format_args!("HTTP request for {}", request.path);
                    gateway.note_refused(key, text, &error);
                    gateway.reply_web_error(key, &error);
                }
            }
            Origin::Client(key)
        });
    }

    /// A client asks for a WebSocket where header authentication is set: it is decided by
    /// a service first. [`Delivery::Upgrade`] says that the client is connected, and
    /// [`Delivery::Web`] that it is not.
    pub fn client_connecting(
        &mut self,
        now: Time,
        key: ClientKey,
        head: Box<[u8]>,
        remote: SocketAddr,
        out: &mut Outbox,
    ) {
        self.input(now, out, |gateway| {
            gateway.take_in(0);
            let transport = Transport::Upgrading(Box::default());
            gateway.open_client(key, head, remote, transport);
            let method = gateway.options.ws_header_auth.clone();
            gateway.send_header_auth(key, method.as_ref());
            Origin::Client(key)
        });
    }

    fn authenticate(&mut self, key: ClientKey, goal: Goal) {
        if let Some(client) = self.sessions.get_mut(key) {
            client.set_goal(goal);
        }
        let method = self.options.header_auth.clone();
        self.send_header_auth(key, method.as_ref());
    }

    /// Asks a service once more who a WebSocket client is. Until that is answered it is sent
    /// nothing, and calls nothing.
    pub(in crate::gateway) fn renew_by_head(&mut self, key: ClientKey) {
        if let Some(client) = self.sessions.get_mut(key) {
            client.begin_renewal();
            self.unsettled.hold(key);
            let method = self.head_auth(key).cloned();
            self.send_header_auth(key, method.as_ref());
        }
    }

    /// What is asked about a client by the head that it came with: it came for a WebSocket, or to
    /// the API.
    pub(in crate::gateway) fn head_auth(&self, key: ClientKey) -> Option<&Method> {
        match self.sessions.get(key)?.is_of_web_socket() {
            true => self.options.ws_header_auth.as_ref(),
            false => self.options.header_auth.as_ref(),
        }
    }

    /// Asks a service who the sender of a request is, by its head.
    fn send_header_auth(&mut self, key: ClientKey, method: Option<&Method>) {
        let target = method.and_then(|method| Some((method, self.target(key, &method.resource)?)));
        let Some((method, target)) = target else {
            return self.authenticated(key);
        };
        let Some(client) = self.sessions.reference(key) else {
            return;
        };
        let name = self.cache.intern_name(&target.expanded);
        self.cache.hold_name(name);
        // It has no token yet, or is being asked about the one that it has.
        self.listen_to_connection(key);
        let then = Then::HeaderAuth(client);
        let subject = Subject::Name("auth", name, &method.method);
        let sent = self.request(subject, then, |gateway, out| {
            out.push(b'{');
            gateway.write_identity(key, "", out);
            gateway.write_connection(key, out);
            out.push(b'}');
        });
        self.release_name(name);
        if sent.is_err() {
            match self.sessions.get_mut(key).is_some_and(Client::end_renewal) {
                true => self.dismiss(key),
                false => self.authenticated(key),
            }
        }
    }

    /// The service has said who the sender is, by a token event if at all. Beside that
    /// only its meta object counts.
    pub(in crate::gateway) fn header_auth_answered(
        &mut self,
        client: ClientRef,
        name: Option<NameKey>,
        answer: Answer<'_>,
    ) {
        if self.sessions.present(client).is_none() {
            return self.note_unused("auth", name, &"the client is gone");
        }
        let there = self.sessions.get_mut(client.key);
        if there.is_some_and(Client::end_renewal) {
            let there = self.sessions.present(client);
            let is_doubted = there.is_some_and(|there| there.token_source() == TokenSource::Events);
            match answer.and_then(|payload| service::call(&payload, false).map(drop)) {
                // It has been given a token, or its token was taken away.
                Ok(()) if !is_doubted => return self.release_held(client.key),
                Ok(()) => self.note_unused("auth", name, &"it brings no token"),
                Err(error) => self.note_unused("auth", name, &error),
            }
            return self.dismiss(client.key);
        }
        if let Err(error) = &answer {
            self.note_unused("auth", name, error);
        }
        if let Ok(payload) = &answer {
            let result = service::call(payload, false);
            if let Err(error) = &result {
                self.note_unused("auth", name, error);
            }
            let rid = match &result {
                Ok(CallResult::Resource(rid)) => Some(&**rid),
                _ => None,
            };
            let error = result.as_ref().err();
            if self.heed_meta(client.key, name, payload, error, rid) {
                return;
            }
        }
        self.authenticated(client.key);
    }

    fn authenticated(&mut self, key: ClientKey) {
        if let Some(fields) = self.sessions.upgrade(key) {
            self.trace_connected(key);
            self.counters.clients += 1;
            self.tell_connected(key);
            return self.out.deliver(key, Delivery::Upgrade(fields));
        }
        let goal = self.sessions.get_mut(key).and_then(Client::take_goal);
        match goal {
            Some(Goal::Get { rid }) => self.want(key, &rid, Want::Web),
            Some(Goal::Stream { rid }) => {
                if let Some(client) = self.sessions.get_mut(key) {
                    client.begin_request();
                }
                self.want(key, &rid, Want::Stream);
            }
            Some(Goal::Call {
                rid,
                method,
                params,
            }) => {
                let params = params.as_deref();
                self.call_request(key, ReplyTo::Web, CallKind::Call, &rid, &method, params);
            }
            None => {}
        }
    }

    /// Does what a service's answer wants with the HTTP answer that it leads to.
    ///
    /// Returns whether the request is answered with that.
    pub(in crate::gateway) fn heed_meta(
        &mut self,
        key: ClientKey,
        name: Option<NameKey>,
        payload: &[u8],
        error: Option<&Error>,
        rid: Option<&str>,
    ) -> bool {
        let client = self.sessions.get_mut(key);
        let Some(fields) = client.and_then(|client| client.fields_mut()) else {
            return false;
        };
        let meta = service::meta(payload);
        let has_room = fields.merge(&meta.header);
        let has_location = meta.status.is_some() && fields.contains("location");
        if let Some(name) = name {
            if !has_room {
                let text = format_args!("meta header fields are left out: there are too many");
                self.warn(Warning::Meta, name, text);
            }
            if let Some(status) = meta.invalid_status {
                let text = format_args!("meta status {status} is ignored: not from 300 to 599");
                self.warn(Warning::Meta, name, text);
            }
        }
        let Some(status) = meta.status else {
            return false;
        };
        if status < 400 {
            let location = rid.filter(|_| !has_location);
            let location = location.map(|rid| id_to_path(&self.options.api_path, rid));
            self.reply_web(key, status, None, location);
        } else {
            let mut body = Vec::new();
            let alone = error_of(status);
            let error = error.unwrap_or(&alone);
            self.note_refused(key, format_args!("HTTP request, with {status},"), error);
            error.write(&mut body);
            self.reply_web(key, status, Some(WebBody::Own(body)), None);
        }
        true
    }

    pub(super) fn reply_web(
        &mut self,
        key: ClientKey,
        status: u16,
        body: Option<WebBody>,
        location: Option<String>,
    ) {
        self.deliver_web(key, status, body, location, None);
    }

    /// Answers with a resource, unless the client has it.
    pub(super) fn reply_found(&mut self, key: ClientKey, body: WebBody, tag: Tag) {
        let web = self.sessions.get_mut(key).and_then(Client::web_mut);
        if !web.is_some_and(|web| web.have.covers(tag)) {
            return self.deliver_web(key, 200, Some(body), None, Some(tag));
        }
        if !self.rest(key, tag) {
            self.reply_unchanged(key, tag);
        }
    }

    /// Answers that the client has the resource.
    pub(super) fn reply_unchanged(&mut self, key: ClientKey, tag: Tag) {
        self.deliver_web(key, 304, None, None, Some(tag));
    }

    fn deliver_web(
        &mut self,
        key: ClientKey,
        status: u16,
        body: Option<WebBody>,
        location: Option<String>,
        tag: Option<Tag>,
    ) {
        let client = self.sessions.get_mut(key);
        let fields = client.and_then(|client| client.fields_mut());
        let mut fields = fields.map(std::mem::take).unwrap_or_default();
        if let Some(location) = location {
            fields.set("Location", &location);
        }
        self.trace_web_answer(key, status, body.as_deref());
        self.close_client(key);
        let response = WebResponse {
            status,
            body,
            tag,
            fields,
        };
        self.out.deliver(key, Delivery::Web(Box::new(response)));
    }

    pub(in crate::gateway) fn reply_web_error(&mut self, key: ClientKey, error: &Error) {
        let transport = self.sessions.get(key).map(Client::transport);
        let mapped = matches!(transport, Some(Transport::Web(web)) if web.mapped);
        let error = if mapped && error.is(&Error::METHOD_NOT_FOUND) {
            &Error::METHOD_NOT_ALLOWED
        } else {
            error
        };
        let mut body = Vec::new();
        error.write(&mut body);
        self.reply_web(key, status_of(error), Some(WebBody::Own(body)), None);
    }

    /// Answers a call with its result; `null` is no content.
    pub(in crate::gateway) fn reply_web_payload(&mut self, key: ClientKey, payload: &str) {
        match json::present(payload) {
            Some(payload) => {
                let body = WebBody::Own(payload.into());
                self.reply_web(key, 200, Some(body), None);
            }
            None => self.reply_web(key, 204, None, None),
        }
    }

    /// Answers a call that brought a resource, which is not loaded.
    pub(in crate::gateway) fn reply_web_location(&mut self, key: ClientKey, rid: &str) {
        let location = id_to_path(&self.options.api_path, rid);
        self.reply_web(key, 200, None, Some(location));
    }
}

impl Goal {
    /// What a request asks for, or what is wrong with it.
    fn parse(request: &WebRequest<'_>) -> Result<Self, Error> {
        let (path, method) = match request.action {
            WebAction::Get | WebAction::Stream => (request.path, None),
            WebAction::Call(method) => (request.path, Some(method.to_owned())),
            WebAction::Post => {
                let (path, method) = request.path.rsplit_once('/').ok_or(Error::NOT_FOUND)?;
                // A dot that is decoded stays a dot, which no method name has.
                let method = percent_decode(method).ok_or(Error::NOT_FOUND)?;
                (path, Some(method))
            }
        };
        let rid = path_to_id(path).map(|name| with_query(name, request.query));
        let rid = rid
            .filter(|rid| Rid::parse(rid).is_some())
            .ok_or(Error::NOT_FOUND)?;
        let Some(method) = method else {
            return Ok(match request.action {
                WebAction::Stream => Self::Stream { rid },
                _ => Self::Get { rid },
            });
        };
        if !is_token(&method) {
            return Err(Error::NOT_FOUND);
        }
        let params = match json::is_blank(request.body) {
            true => None,
            false => Some(json::value(request.body).map_err(Error::bad_body)?.into()),
        };
        Ok(Self::Call {
            rid,
            method,
            params,
        })
    }
}

/// What is kept of a request until it is answered.
fn transport_of(request: &WebRequest<'_>) -> Transport {
    if request.action == WebAction::Stream {
        return Transport::Opening(Box::new(Opening {
            have: request.have.clone(),
            ..Opening::default()
        }));
    }
    let waits = request.waits && request.action == WebAction::Get;
    Transport::Web(Box::new(Web {
        mapped: matches!(request.action, WebAction::Call(_)),
        have: request.have.clone(),
        patience: match waits {
            true => Patience::Ready { is_changed: false },
            false => Patience::None,
        },
        // Of what it waits for it must hear.
        follows: waits,
        ..Web::default()
    }))
}

/// HTTP status of an error.
fn status_of(error: &Error) -> u16 {
    match &*error.code {
        "system.notFound" | "system.methodNotFound" | "system.timeout" => 404,
        "system.accessDenied" => 401,
        "system.methodNotAllowed" => 405,
        "system.internalError" => 500,
        "system.serviceUnavailable" => 503,
        "system.forbidden" => 403,
        "system.subjectTooLong" => 414,
        _ => 400,
    }
}

/// The error that a status stands for, where a service names the status alone.
fn error_of(status: u16) -> Error {
    match status {
        401 | 402 | 407 => Error::ACCESS_DENIED,
        403 | 451 => Error::FORBIDDEN,
        404 | 410 => Error::NOT_FOUND,
        405 => Error::METHOD_NOT_ALLOWED,
        408 | 504 => Error::TIMEOUT,
        501 => Error::NOT_IMPLEMENTED,
        503 => Error::SERVICE_UNAVAILABLE,
        500.. => Error::INTERNAL,
        _ => Error::BAD_REQUEST,
    }
}
