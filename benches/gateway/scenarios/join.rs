//! Clients that connect, agree on the protocol, and subscribe, in whatever they speak.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net, Speaks, VERSION};
use crate::services::Services;
use crate::stats::Histogram;
use crate::subject::Subject;
use crate::wire::{Delivery, find};

/// How long a crowd may take to come in.
pub const JOIN_LIMIT: Duration = Duration::from_secs(120);

/// Connects WebSocket clients; each subscribes to what `resource` says for its index.
pub struct Join<'a, 's> {
    services: &'a mut Services<'s>,
    resource: Option<&'a dyn Fn(usize) -> String>,
    wanted: usize,
    joined: usize,
    /// When each client's last request left.
    sent: Vec<Instant>,
    /// Which have asked for their resource.
    asked: Vec<bool>,
    speaks: Speaks,
    /// From request to answer of each subscribe.
    pub latency: Histogram,
}

impl<'a, 's> Join<'a, 's> {
    /// `count` further clients of `subject`.
    pub fn new(
        net: &mut Net,
        subject: &Subject,
        count: usize,
        services: &'a mut Services<'s>,
        resource: Option<&'a dyn Fn(usize) -> String>,
    ) -> Self {
        if let Some(config) = &subject.secure {
            net.encrypt(Arc::clone(config));
        }
        net.add(count, subject.speaks, subject.address);
        Self {
            speaks: subject.speaks,
            services,
            resource,
            wanted: count,
            joined: 0,
            sent: vec![Instant::now(); net.len()],
            asked: vec![false; net.len()],
            latency: Histogram::default(),
        }
    }

    /// Brings all of them in.
    pub fn run(mut self, net: &mut Net) -> Result<Histogram, Fault> {
        net.run(&mut self, "clients to connect and subscribe", JOIN_LIMIT)?;
        Ok(self.latency)
    }
}

impl Load for Join<'_, '_> {
    fn opened(&mut self, net: &mut Net, client: usize) -> Outcome {
        match greeting(self.speaks) {
            Some(text) => net.send(client, text.as_bytes()),
            // The request has asked already.
            None => Ok(()),
        }
    }

    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        match taken(self.speaks, client, text, self.asked[client])? {
            0 => match self.resource {
                Some(resource) => {
                    let request = subscription(self.speaks, &resource(client));
                    self.sent[client] = net.now();
                    self.asked[client] = true;
                    net.send(client, request.as_bytes())?;
                }
                None => self.joined += 1,
            },
            1 => {
                self.latency.add(net.now() - self.sent[client], 1);
                self.joined += 1;
            }
            _ => return Err(Fault::unexpected(client, text)),
        }
        Ok(())
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)
    }

    fn is_done(&self) -> bool {
        self.joined == self.wanted
    }
}

/// `count` clients that all subscribe to the model of the events, `bench.m`.
pub fn join_model(
    net: &mut Net,
    subject: &Subject,
    count: usize,
    services: &mut Services<'_>,
) -> Outcome {
    let resource = |_| "bench.m".to_owned();
    Join::new(net, subject, count, services, Some(&resource)).run(net)?;
    settle(net, subject.speaks)
}

/// What a client says first; none where the request that makes the connection says it all.
fn greeting(speaks: Speaks) -> Option<&'static str> {
    match speaks {
        Speaks::Nats => Some("CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n"),
        Speaks::Centrifugo => Some(r#"{"id":1,"connect":{}}"#),
        Speaks::Topics => Some("hello"),
        Speaks::Stream(_) => None,
        _ => Some(VERSION),
    }
}

/// How a client asks for a resource, or for the texts of a subject that has its name.
pub fn subscription(speaks: Speaks, rid: &str) -> String {
    match speaks {
        Speaks::Nats => format!("SUB {rid} 1\r\nPING\r\n"),
        Speaks::Centrifugo => format!(r#"{{"id":2,"subscribe":{{"channel":"{rid}"}}}}"#),
        Speaks::Topics => rid.to_owned(),
        _ => format!(r#"{{"id":1,"method":"subscribe.{rid}"}}"#),
    }
}

/// What a text says yes to: 0 for the greeting, 1 for the subscription, which the client may
/// have `asked` for.
pub fn taken(speaks: Speaks, client: usize, text: &[u8], asked: bool) -> Result<u64, Fault> {
    let strange = || Fault::unexpected(client, text);
    match speaks {
        Speaks::Nats if text == b"PONG" => Ok(asked.into()),
        Speaks::Centrifugo if text.starts_with(br#"{"id":1,"connect":"#) => Ok(0),
        Speaks::Centrifugo if text.starts_with(br#"{"id":2,"subscribe":"#) => Ok(1),
        Speaks::Topics if !asked && text == b"hello" => Ok(0),
        Speaks::Topics if asked && text.starts_with(b"bench.") => Ok(1),
        Speaks::Nats | Speaks::Centrifugo | Speaks::Topics => Err(strange()),
        _ => answered(client, text),
    }
}

/// Centrifugo says yes before its broker has the subscription, and nothing tells when it has:
/// what is published at once might reach nobody.
pub fn settle(net: &mut Net, speaks: Speaks) -> Outcome {
    struct Pause(Instant);
    impl Load for Pause {
        fn wake(&self) -> Option<Instant> {
            Some(self.0)
        }
        fn is_done(&self) -> bool {
            Instant::now() >= self.0
        }
    }
    if speaks != Speaks::Centrifugo {
        return Ok(());
    }
    let time = Duration::from_millis(200);
    net.run(
        &mut Pause(Instant::now() + time),
        "a pause to pass",
        time * 2,
    )
}

/// Checks that a message answers a client's request with this ID, with a result.
pub fn expect_answer(client: usize, text: &[u8], expected: u64) -> Outcome {
    let found = answered(client, text)?;
    match found == expected {
        true => Ok(()),
        false => Err(Fault::Order {
            client,
            expected,
            found,
        }),
    }
}

/// The ID of the request that a message answers with a result.
pub fn answered(client: usize, text: &[u8]) -> Result<u64, Fault> {
    let tail = &text[text.len().saturating_sub(28)..];
    let id = text.starts_with(b"{\"result\":").then(|| {
        let at = find(tail, b",\"id\":")?;
        crate::wire::number(&tail[at + 6..])
    });
    id.flatten().ok_or_else(|| Fault::unexpected(client, text))
}
