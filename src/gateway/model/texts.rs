//! The texts of events that WebSocket clients are sent (RES-Client protocol).

use super::outbox::Message;
use super::update::StepKind;
use crate::res::value::Change;
use crate::res::version::ValueForm;
use crate::res::{Error, json};
use std::rc::Rc;

/// Encodes an event. `bundle` has the members of a resource set, without braces.
pub fn event(rid: &str, kind: &StepKind, form: ValueForm, bundle: &[u8]) -> Rc<Message> {
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
                json::write_string_bytes(name.as_bytes(), &mut out);
                out.push(b':');
                match change {
                    Change::Set(value) => value.write(form, &mut out),
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
            value.write(form, &mut out);
            end_with_bundle(bundle, &mut out);
        }
        StepKind::Remove { idx, payload } if payload.is_empty() => {
            out.extend_from_slice(b"{\"idx\":");
            json::write_number(*idx as u64, &mut out);
            out.push(b'}');
        }
        StepKind::Remove { payload, .. }
        | StepKind::Custom { payload, .. }
        | StepKind::Delete { payload, .. } => json::write_escaped(payload, &mut out),
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
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        out.extend_from_slice(name.as_bytes());
        out.push(b'"');
    } else {
        let at = out.len();
        json::write_string(name, out);
        out.remove(at);
    }
    out.extend_from_slice(b",\"data\":");
}

fn end_with_bundle(bundle: &[u8], out: &mut Vec<u8>) {
    if !bundle.is_empty() {
        out.push(b',');
        out.extend_from_slice(bundle);
    }
    out.push(b'}');
}

/// Appends the payload of a get or query request.
pub fn write_query(query: &str, out: &mut Vec<u8>) {
    if query.is_empty() {
        return out.extend_from_slice(b"{}");
    }
    out.extend_from_slice(b"{\"query\":");
    json::write_string(query, out);
    out.push(b'}');
}
