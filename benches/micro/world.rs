//! The heart between virtual clients and a virtual service. There are no sockets, and time
//! stands still, so nothing that is unused is forgotten.

use crate::driver::{Operation, operations};
use std::collections::HashMap;
use tidegate::gateway::{BrokerLimits, BrokerMessage, ClientKey, Gateway, Options, Outbox, Time};

/// The subscription of the inbox, found when the broker is connected.
const NO_SID: u64 = 0;

/// A request as the service gets it.
#[derive(Debug)]
pub struct Request {
    pub subject: String,
    pub reply: String,
}

pub struct World {
    pub gateway: Gateway,
    pub out: Outbox,
    /// What the service has not answered.
    pub requests: Vec<Request>,
    /// Messages to clients so far, and their bytes.
    pub delivered: usize,
    pub delivered_bytes: usize,
    /// The text of the last one.
    pub last: String,
    /// Whether subscriptions to events are remembered, which costs memory.
    pub keep_topics: bool,
    inbox: u64,
    /// Subscriptions to events, by what stands between `event.` and the wildcard.
    sids: HashMap<String, u64>,
}

pub const NOW: Time = Time(1_000);

/// The answer to access requests: everything is allowed.
pub const GRANTED: &[u8] = br#"{"result":{"get":true,"call":"*"}}"#;

impl World {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let mut world = Self {
            gateway: Gateway::new(options),
            out: Outbox::default(),
            requests: Vec::new(),
            delivered: 0,
            delivered_bytes: 0,
            last: String::new(),
            keep_topics: true,
            inbox: NO_SID,
            sids: HashMap::new(),
        };
        let limits = BrokerLimits {
            max_payload: 1 << 20,
            max_line: 4_096,
        };
        world.gateway.broker_connected(NOW, limits, &mut world.out);
        world.collect();
        world
    }

    /// Looks at what the heart wants done, and forgets it.
    pub fn collect(&mut self) {
        for operation in operations(&self.out) {
            match operation {
                Operation::Publish { subject, reply, .. } => self.requests.push(Request {
                    subject: subject.to_owned(),
                    reply: reply.to_owned(),
                }),
                Operation::Subscribe { sid, subject } => {
                    if subject.starts_with("_INBOX.") {
                        self.inbox = sid;
                    } else if let Some(rest) = subject.strip_prefix("event.")
                        && self.keep_topics
                    {
                        let name = &rest[..rest.len() - 2];
                        // It is the world's, not the heart's.
                        allocation_counter::opt_out(|| {
                            self.sids.insert(name.to_owned(), sid);
                        });
                    }
                }
                Operation::Unsubscribe { .. } => {}
            }
        }
        for (_, delivery) in self.out.drain_clients() {
            let Some(text) = delivery.text() else {
                panic!("nothing but messages is expected: {delivery:?}");
            };
            self.delivered += 1;
            self.delivered_bytes += text.len();
            self.last.clear();
            let text = str::from_utf8(&text).expect("it is UTF-8");
            self.last.push_str(&text[..text.len().min(2_000)]);
        }
        self.out.clear();
    }

    /// What [`World::collect`] does where only the number of messages matters, and which
    /// costs the heart's own memory to be given back: it belongs to what is measured.
    pub fn count(&mut self) -> usize {
        assert!(self.out.broker().is_empty(), "there are requests");
        count(&mut self.out)
    }

    /// Connects a client that knows the current protocol.
    pub fn connect(&mut self, number: usize, head: &[u8]) {
        let key = ClientKey(number as u32);
        let remote = ([192, 0, 2, 1], 4000).into();
        let version = br#"{"id":0,"method":"version","params":{"protocol":"1.2.3"}}"#;
        let (gateway, out) = (&mut self.gateway, &mut self.out);
        gateway.client_connected(NOW, key, head.into(), remote, out);
        gateway.client_message(NOW, key, version, out);
        self.collect();
    }

    pub fn send(&mut self, number: usize, message: &str) {
        let key = ClientKey(number as u32);
        self.gateway
            .client_message(NOW, key, message.as_bytes(), &mut self.out);
    }

    pub fn close(&mut self, number: usize) {
        let key = ClientKey(number as u32);
        self.gateway.client_closed(NOW, key, &mut self.out);
    }

    /// A service answers.
    pub fn answer(&mut self, reply: &str, payload: &[u8]) {
        let message = BrokerMessage {
            sid: self.inbox,
            subject: reply.as_bytes(),
            payload,
            status: None,
            reply: None,
        };
        self.gateway.broker_message(NOW, message, &mut self.out);
    }

    /// An event of a resource comes.
    pub fn event(&mut self, topic: &Topic, payload: &str) {
        let message = BrokerMessage {
            sid: topic.sid,
            subject: topic.subject.as_bytes(),
            payload: payload.as_bytes(),
            status: None,
            reply: None,
        };
        self.gateway.broker_message(NOW, message, &mut self.out);
    }

    pub fn system_reset(&mut self, payload: &str) {
        let message = BrokerMessage {
            sid: 1,
            subject: b"system.reset",
            payload: payload.as_bytes(),
            status: None,
            reply: None,
        };
        self.gateway.broker_message(NOW, message, &mut self.out);
    }

    /// Where events of a resource that is in use are published.
    pub fn topic(&self, name: &str, event: &str) -> Topic {
        Topic {
            sid: self.sids[name],
            subject: format!("event.{name}.{event}"),
        }
    }

    /// Answers all requests, and those that follow. `content` gives the answer to the get
    /// request for a name.
    pub fn serve(&mut self, content: impl Fn(&str) -> String) {
        self.collect();
        while !self.requests.is_empty() {
            for request in std::mem::take(&mut self.requests) {
                match request.subject.strip_prefix("get.") {
                    Some(name) => self.answer(&request.reply, content(name).as_bytes()),
                    None => self.answer(&request.reply, GRANTED),
                }
                self.collect();
            }
        }
    }

    /// Subscribes a client, and gives it what it asked for.
    pub fn subscribe(&mut self, number: usize, rid: &str, content: impl Fn(&str) -> String) {
        let delivered = self.delivered;
        self.send(number, &subscribe_message(rid));
        self.serve(content);
        assert_eq!(self.delivered, delivered + 1, "to client {number}");
        assert!(self.last.starts_with(r#"{"result":{"#), "{}", self.last);
    }
}

/// A subject, and the subscription that it is delivered for.
pub struct Topic {
    sid: u64,
    subject: String,
}

/// Takes and counts all messages to clients.
pub fn count(out: &mut Outbox) -> usize {
    let count = out.drain_clients().count();
    out.clear();
    count
}

pub fn subscribe_message(rid: &str) -> String {
    format!(r#"{{"id":1,"method":"subscribe.{rid}"}}"#)
}

/// The answer to a get request for a small model.
pub fn small_model(name: &str) -> String {
    format!(r#"{{"result":{{"model":{{"name":"{name}","count":0,"open":true}}}}}}"#)
}

/// The answer to a get request for a collection with these values.
pub fn collection(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    format!(r#"{{"result":{{"collection":[{}]}}}}"#, values.join(","))
}

/// A list of references to `test.item.<n>`.
pub fn reference_list(length: usize) -> String {
    collection((0..length).map(|n| format!(r#"{{"rid":"test.item.{n}"}}"#)))
}

/// Numbers without pattern, the same in each run.
pub struct Numbers(u64);

impl Numbers {
    pub fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }
}
