//! The texts that WebSocket clients are sent (RES-Client protocol).

use super::Gateway;
use super::cache::AliasKey;
use super::outbox::{ClientKey, Message};
use super::subscription::{State, SubKey};
use super::update::StepKind;
use crate::res::value::Change;
use crate::res::{Error, json};
use std::rc::Rc;

/// A resource set that was encoded last: the next client often lacks the same.
pub struct Bundle {
    parts: Vec<(AliasKey, u64)>,
    plain: bool,
    text: Rc<[u8]>,
}

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
    /// Encodes the members of a resource set.
    pub(super) fn bundle(&mut self, set: &[SubKey], plain: bool) -> Rc<[u8]> {
        let has_error = |key: &SubKey| self.subs.arena[*key].state == State::Failed;
        let parts: Vec<(AliasKey, u64)> = set
            .iter()
            .map(|key| {
                let version = self.content(*key).map_or(0, |content| content.version);
                (self.subs.arena[*key].alias, version)
            })
            .collect();
        if let Some(last) = &self.last_bundle
            && last.plain == plain
            && last.parts == parts
            && !set.iter().any(has_error)
        {
            return last.text.clone();
        }
        let text: Rc<[u8]> = self.encode_bundle(set, plain).into();
        self.last_bundle = Some(Bundle {
            parts,
            plain,
            text: text.clone(),
        });
        text
    }

    fn encode_bundle(&self, set: &[SubKey], plain: bool) -> Vec<u8> {
        let rid = |key: &SubKey| &*self.cache.aliases[self.subs.arena[*key].alias].text;
        let (mut models, mut collections, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for key in set {
            match self.content(*key) {
                Some(content) if content.is_model() => models.push(key),
                Some(_) => collections.push(key),
                None => errors.push(key),
            }
        }
        let mut out = Vec::new();
        for (group, keys) in [
            ("models", &mut models),
            ("collections", &mut collections),
            ("errors", &mut errors),
        ] {
            if keys.is_empty() {
                continue;
            }
            keys.sort_by(|a, b| rid(a).cmp(rid(b)));
            if !out.is_empty() {
                out.push(b',');
            }
            json::write_string(group, &mut out);
            out.extend_from_slice(b":{");
            for (i, key) in keys.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                json::write_string(rid(key), &mut out);
                out.push(b':');
                match (self.content(**key), self.subs.arena[**key].error()) {
                    (Some(content), _) => content.write(plain, &mut out),
                    (None, Some(error)) => error.write(&mut out),
                    (None, None) => Error::NOT_FOUND.write(&mut out),
                }
            }
            out.push(b'}');
        }
        out
    }

    /// Answers a request with the resources that the client lacks; for a resource
    /// response also with the ID of the resource.
    pub(super) fn respond_set(
        &mut self,
        client: ClientKey,
        id: u64,
        named: Option<SubKey>,
        set: &[SubKey],
    ) {
        let Some(there) = self.client(client) else {
            return;
        };
        let plain = there.dialect.is_plain();
        let bundle = self.bundle(set, plain);
        let rid = named.map(|key| self.cache.aliases[self.subs.arena[key].alias].text.clone());
        self.respond(client, id, |out| {
            out.reserve(bundle.len() + 64);
            out.extend_from_slice(b"\"result\":{");
            if let Some(rid) = &rid {
                out.extend_from_slice(b"\"rid\":");
                json::write_string(rid, out);
                if !bundle.is_empty() {
                    out.push(b',');
                }
            }
            out.extend_from_slice(&bundle);
            out.push(b'}');
        });
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
