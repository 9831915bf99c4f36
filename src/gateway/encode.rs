//! The texts that WebSocket clients are sent (RES-Client protocol).

use super::Gateway;
use super::outbox::{ClientKey, Message};
use super::sets::{Form, Member};
use super::subscription::SubKey;
use super::update::StepKind;
use crate::res::value::Change;
use crate::res::{Error, json};
use std::rc::Rc;

/// Encodes an event. `bundle` has the members of a resource set, without braces.
pub fn event(rid: &str, kind: &StepKind, plain: bool, bundle: &[u8]) -> Rc<Message> {
    let mut out = Vec::with_capacity(64 + rid.len() + bundle.len());
    let name: &str = match kind {
        StepKind::Change(_) => "change",
        StepKind::Add { .. } => "add",
        StepKind::Remove { .. } => "remove",
        StepKind::Custom { event, .. } => event,
        StepKind::Delete { .. } => "delete",
    };
    begin_event(rid, name, &mut out);
    match kind {
        StepKind::Change(changes) => {
            out.extend_from_slice(b"{\"values\":{");
            for (i, (name, change)) in changes.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                json::write_string(name, &mut out);
                out.push(b':');
                match change {
                    Change::Set(value) => value.write(plain, &mut out),
                    Change::Delete => out.extend_from_slice(b"{\"action\":\"delete\"}"),
                }
            }
            out.push(b'}');
            end_with_bundle(bundle, &mut out);
        }
        StepKind::Add { idx, value } => {
            out.extend_from_slice(b"{\"idx\":");
            json::write_number(*idx as u64, &mut out);
            out.extend_from_slice(b",\"value\":");
            value.write(plain, &mut out);
            end_with_bundle(bundle, &mut out);
        }
        StepKind::Remove { payload, .. }
        | StepKind::Custom { payload, .. }
        | StepKind::Delete { payload } => json::write_escaped(payload, &mut out),
    }
    out.push(b'}');
    Message::new(&out)
}

/// Encodes the event that ends direct subscriptions.
pub fn unsubscribe(rid: &str, reason: &Error) -> Rc<Message> {
    let mut out = Vec::with_capacity(128 + rid.len());
    begin_event(rid, "unsubscribe", &mut out);
    out.extend_from_slice(b"{\"reason\":");
    reason.write(&mut out);
    out.extend_from_slice(b"}}");
    Message::new(&out)
}

fn begin_event(rid: &str, name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"event\":");
    json::write_string(rid, out);
    out.pop();
    out.push(b'.');
    let at = out.len();
    json::write_string(name, out);
    out.remove(at);
    out.extend_from_slice(b",\"data\":");
}

fn end_with_bundle(bundle: &[u8], out: &mut Vec<u8>) {
    if !bundle.is_empty() {
        out.push(b',');
        out.extend_from_slice(bundle);
    }
    out.push(b'}');
}

impl Gateway {
    /// Answers a request with the resources that the client lacks; for a resource
    /// response also with the ID of the resource.
    pub(super) fn respond_set(
        &mut self,
        client: ClientKey,
        id: u64,
        named: Option<SubKey>,
        set: &[Member],
    ) {
        let Some(there) = self.client(client) else {
            return;
        };
        let form = Form {
            plain: there.dialect.is_plain(),
            named: named.map(|key| self.subs.arena[key].alias),
        };
        if let Some(body) = self.known_answer(form, set) {
            return self.respond_shared(client, id, body);
        }
        let mut text = self.begin_response();
        text.extend_from_slice(b"\"result\":{");
        if let Some(alias) = form.named {
            text.extend_from_slice(b"\"rid\":");
            json::write_string(&self.cache.aliases[alias].text, &mut text);
            if !set.is_empty() {
                text.push(b',');
            }
        }
        self.write_set(set, form.plain, &mut text);
        text.push(b'}');
        match self.share_answer(form, set, &mut text) {
            Some(body) => self.respond_shared(client, id, body),
            None => self.finish_response(client, id, text),
        }
    }

    /// Answers a call with a resource that the client cannot be given.
    pub(super) fn respond_resource_error(
        &mut self,
        client: ClientKey,
        id: u64,
        rid: &str,
        error: &Error,
    ) {
        self.respond(client, id, |out| {
            out.extend_from_slice(b"\"result\":{\"rid\":");
            json::write_string(rid, out);
            out.extend_from_slice(b",\"errors\":{");
            json::write_string(rid, out);
            out.push(b':');
            error.write(out);
            out.extend_from_slice(b"}}");
        });
    }
}
