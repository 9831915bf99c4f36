//! What the services send.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::Refusal;

/// A message for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The subject to publish it to.
    pub subject: String,
    /// The payload, JSON.
    pub payload: String,
}

/// An answer that is no refusal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Result(Value),
    /// The resource that came of it.
    Resource(String),
}

/// The messages on their way out, in order.
#[derive(Debug, Default)]
pub(super) struct Post(VecDeque<Message>);

impl Post {
    /// Tells of something that has happened to a resource of ours.
    pub(super) fn event(&mut self, resource: &str, event: &str, data: &Value) {
        self.publish(format!("event.demo.{resource}.{event}"), data);
    }

    /// Says who a connection is; `null` for nobody.
    pub(super) fn token(&mut self, cid: &str, token: Value) {
        self.publish(format!("conn.{cid}.token"), &json!({ "token": token }));
    }

    /// Answers a request, if it wants an answer.
    pub(super) fn answer(&mut self, reply: &[u8], answer: Result<Answer, Refusal>) {
        let Ok(reply) = std::str::from_utf8(reply) else {
            return;
        };
        if reply.is_empty() {
            return;
        }
        let payload = match answer {
            Ok(Answer::Result(result)) => json!({ "result": result }),
            Ok(Answer::Resource(name)) => {
                json!({ "resource": { "rid": format!("demo.{name}") } })
            }
            Err((code, message)) => json!({ "error": { "code": code, "message": message } }),
        };
        self.publish(reply.to_owned(), &payload);
    }

    fn publish(&mut self, subject: String, payload: &Value) {
        let payload = payload.to_string();
        self.0.push_back(Message { subject, payload });
    }

    pub(super) fn next(&mut self) -> Option<Message> {
        self.0.pop_front()
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.0.is_empty()
    }
}

/// A reference to a resource of ours.
pub(super) fn reference(resource: &str) -> Value {
    json!({ "rid": format!("demo.{resource}") })
}
