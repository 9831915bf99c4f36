//! The services of the attacks: they allow everything, and answer as an attack says.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::fault::Outcome;
use crate::load::Net;
use crate::wire::{Delivery, find};

/// Subjects that the services take.
pub const SUBJECTS: [&str; 5] = [
    "access.attack.>",
    "get.attack.>",
    "call.attack.>",
    "auth.attack.>",
    "query.attack.>",
];

/// What a get request is answered with, its `result`, given the resource's name and the
/// request's payload.
pub type Get = Box<dyn FnMut(&str, &[u8]) -> String>;

/// What the services answer, and how often they were asked.
pub struct Service {
    pub get: Get,
    /// The `result` of calls and auth requests.
    pub call: &'static str,
    /// The `result` of query requests.
    pub query: &'static str,
    /// How long access answers take.
    pub access_time: Duration,
    /// Access answers that are to leave, in order.
    later: VecDeque<(Instant, Vec<u8>)>,
    /// Connection IDs of access requests, each once in a row.
    pub connections: Vec<String>,
    pub asked: Asked,
}

/// How often the services were asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub accesses: u64,
    pub gets: u64,
    pub calls: u64,
    pub auths: u64,
    pub queries: u64,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            get: Box::new(|_, _| r#"{"model":{"value":1}}"#.to_owned()),
            call: "null",
            query: r#"{"events":[]}"#,
            access_time: Duration::ZERO,
            later: VecDeque::new(),
            connections: Vec::new(),
            asked: Asked::default(),
        }
    }
}

impl Service {
    /// Answers a request.
    pub fn answer(&mut self, net: &mut Net, request: Delivery<'_>) -> Outcome {
        let subject = std::str::from_utf8(request.subject).unwrap_or_default();
        let (kind, name) = subject.split_once('.').unwrap_or_default();
        let result = match kind {
            "access" => {
                self.asked.accesses += 1;
                self.note_connection(request.payload);
                if !self.access_time.is_zero() {
                    let due = net.now() + self.access_time;
                    self.later.push_back((due, request.reply.to_vec()));
                    return Ok(());
                }
                net.publish(request.reply, ACCESS);
                return Ok(());
            }
            "get" => {
                self.asked.gets += 1;
                (self.get)(name, request.payload)
            }
            "query" => {
                self.asked.queries += 1;
                self.query.to_owned()
            }
            "auth" => {
                self.asked.auths += 1;
                self.call.to_owned()
            }
            _ => {
                self.asked.calls += 1;
                self.call.to_owned()
            }
        };
        net.publish(request.reply, format!("{{\"result\":{result}}}").as_bytes());
        Ok(())
    }

    /// Sends what was kept back until now.
    pub fn turn(&mut self, net: &mut Net, now: Instant) {
        while self.wake().is_some_and(|due| due <= now) {
            if let Some((_, reply)) = self.later.pop_front() {
                net.publish(&reply, ACCESS);
            }
        }
    }

    /// When something that was kept back is due.
    pub fn wake(&self) -> Option<Instant> {
        self.later.front().map(|(due, _)| *due)
    }

    fn note_connection(&mut self, payload: &[u8]) {
        let Some(at) = find(payload, b"\"cid\":\"") else {
            return;
        };
        let rest = &payload[at + 7..];
        let id = &rest[..rest.iter().position(|&byte| byte == b'"').unwrap_or(0)];
        if self.connections.last().map(String::as_bytes) != Some(id) {
            let id = String::from_utf8_lossy(id).into_owned();
            self.connections.push(id);
        }
    }
}

/// The answer to every access request.
const ACCESS: &[u8] = br#"{"result":{"get":true,"call":"*"}}"#;
