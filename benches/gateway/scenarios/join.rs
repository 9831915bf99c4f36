//! Clients that connect, agree on the protocol, and subscribe.

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
        net.add(count, Speaks::WebSocket, subject.address);
        Self {
            services,
            resource,
            wanted: count,
            joined: 0,
            sent: vec![Instant::now(); net.len()],
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
        net.send(client, VERSION.as_bytes())
    }

    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        match answered(client, text)? {
            0 => match self.resource {
                Some(resource) => {
                    let rid = resource(client);
                    self.sent[client] = net.now();
                    let request = format!(r#"{{"id":1,"method":"subscribe.{rid}"}}"#);
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
    Ok(())
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
