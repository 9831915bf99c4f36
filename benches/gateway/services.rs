//! The services of the scenarios: they allow everything and answer at once.

use crate::fault::{Fault, Outcome};
use crate::load::Net;
use crate::wire::Delivery;

/// Subjects that the services take.
const SUBJECTS: [&str; 4] = [
    "access.bench.>",
    "get.bench.>",
    "call.bench.>",
    "auth.bench.>",
];

/// The answer to every access request.
const ACCESS: &[u8] = br#"{"result":{"get":true,"call":"*"}}"#;

/// What the services answer, and how often they were asked.
pub struct Services<'a> {
    /// From a resource name to the `result` of its get request.
    get: Box<dyn FnMut(&str) -> String + 'a>,
    call: &'static [u8],
    answer: Vec<u8>,
    /// Access requests so far.
    pub accesses: u64,
    /// Get requests so far.
    pub gets: u64,
    /// Calls so far.
    pub calls: u64,
}

impl<'a> Services<'a> {
    /// Services with resources as `get` tells, given their names.
    pub fn new(get: impl FnMut(&str) -> String + 'a) -> Self {
        Self {
            get: Box::new(get),
            call: br#"{"result":{"done":true}}"#,
            answer: Vec::new(),
            accesses: 0,
            gets: 0,
            calls: 0,
        }
    }

    /// Subscribes to all requests, and waits until the broker knows.
    pub fn listen(net: &mut Net) -> Outcome {
        for subject in SUBJECTS {
            net.subscribe(subject);
        }
        net.settle_broker()
    }

    /// Answers a request.
    pub fn answer(&mut self, net: &mut Net, request: Delivery<'_>) -> Outcome {
        let subject = std::str::from_utf8(request.subject).unwrap_or_default();
        let (kind, name) = subject.split_once('.').unwrap_or_default();
        match kind {
            "access" => {
                self.accesses += 1;
                net.publish(request.reply, ACCESS);
            }
            "get" => {
                self.gets += 1;
                self.answer.clear();
                self.answer.extend_from_slice(b"{\"result\":");
                self.answer.extend_from_slice((self.get)(name).as_bytes());
                self.answer.extend_from_slice(b"}");
                net.publish(request.reply, &self.answer);
            }
            "call" => {
                self.calls += 1;
                net.publish(request.reply, self.call);
            }
            _ => return Err(Fault::Surprise(format!("request on {subject}"))),
        }
        Ok(())
    }
}
