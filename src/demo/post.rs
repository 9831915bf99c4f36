//! What the services send.

use std::collections::VecDeque;

use serde_json::Value;

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
    /// The JSON of the result.
    Result(String),
    /// The resource that came of it.
    Resource(String),
}

/// The messages on their way out, in order.
#[derive(Debug, Default)]
pub(super) struct Post(VecDeque<Message>);

impl Post {
    /// Tells of something that has happened to a resource of ours.
    pub(super) fn event(&mut self, resource: &str, event: &str, data: String) {
        self.publish(format!("event.demo.{resource}.{event}"), data);
    }

    /// Tells of properties of a model, the JSON of an object.
    pub(super) fn change(&mut self, resource: &str, values: &str) {
        self.event(resource, "change", format!(r#"{{"values":{values}}}"#));
    }

    /// Tells of a value in a collection that is new at a place.
    pub(super) fn add(&mut self, resource: &str, place: usize, value: &str) {
        let data = format!(r#"{{"idx":{place},"value":{value}}}"#);
        self.event(resource, "add", data);
    }

    /// Tells of a value that is gone.
    pub(super) fn remove(&mut self, resource: &str, place: usize) {
        self.event(resource, "remove", format!(r#"{{"idx":{place}}}"#));
    }

    /// Says what a connection is called, or that it has no name.
    pub(super) fn token(&mut self, cid: &str, name: Option<&str>) {
        let token = match name {
            Some(name) => format!(r#"{{"token":{{"name":{}}}}}"#, quoted(name)),
            None => r#"{"token":null}"#.to_owned(),
        };
        self.publish(format!("conn.{cid}.token"), token);
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
            Ok(Answer::Result(result)) => format!(r#"{{"result":{result}}}"#),
            Ok(Answer::Resource(name)) => format!(r#"{{"resource":{}}}"#, reference(&name)),
            // Both are constants without anything to escape.
            Err((code, message)) => {
                format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#)
            }
        };
        self.publish(reply.to_owned(), payload);
    }

    fn publish(&mut self, subject: String, payload: String) {
        self.0.push_back(Message { subject, payload });
    }

    pub(super) fn next(&mut self) -> Option<Message> {
        self.0.pop_front()
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.0.is_empty()
    }
}

impl Answer {
    /// Nothing but that it is done.
    pub(super) fn done() -> Self {
        Self::Result("null".to_owned())
    }

    /// A model, the JSON of an object.
    pub(super) fn model(model: &str) -> Self {
        Self::Result(format!(r#"{{"model":{model}}}"#))
    }

    /// A collection, by the JSON of each value.
    pub(super) fn collection(values: &[String]) -> Self {
        Self::Result(format!(r#"{{"collection":[{}]}}"#, values.join(",")))
    }
}

/// A reference to a resource of ours, as JSON. The name has nothing to escape.
pub(super) fn reference(resource: &str) -> String {
    format!(r#"{{"rid":"demo.{resource}"}}"#)
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
