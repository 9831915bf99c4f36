//! A gateway was restarted, and everybody comes back in the same moment, to a service that
//! cannot answer all that at once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Goal, Row, Scale, Scenario};
use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net, Speaks, VERSION};
use crate::services::Services;
use crate::stats::Histogram;
use crate::subject::{Kind, Sample, Subject};
use crate::wire::{Delivery, TEXT, find, frame_header, number};

/// Coming back.
pub const SCENARIOS: &[Scenario] = &[RESTART];

/// Resources that each client holds.
const HELD: usize = 20;

/// Of them, how many it has in common with others.
const COMMON: usize = 10;

/// Resources that are common.
const SHARED: usize = 1_000;

/// Requests that the service answers in a second, at most; in short form.
const RATE: f64 = 20_000.0;
const RATE_SHORT: f64 = 4_000.0;

/// How long all may take.
const LIMIT: Duration = Duration::from_secs(90);

/// Names of further figures.
const ERRORS: &str = "errors";
const SECONDS: &str = "all have all after s";
const OPEN: &str = "most open";

const RESTART: Scenario = Scenario {
    rows: &[Row {
        id: "restart",
        in_flight: None,
        title: "10,000 clients come at once and subscribe to 20 resources each, of a service \
                that answers 20,000 requests a second at most, per subscription",
        floor_us: None,
        goals: &[Goal::Extra(ERRORS, 0.0)],
    }],
    floor: None,
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| restart(subject, scale),
};

fn restart(subject: &mut Subject, scale: Scale) -> Result<Vec<Sample>, Fault> {
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|name| format!(r#"{{"model":{{"name":"{name}"}}}}"#));
    Services::listen(&mut net)?;
    let count = scale.count(10_000);
    let rate = match scale.is_short {
        true => RATE_SHORT,
        false => RATE,
    };
    let window = subject.begin()?;
    net.add(count, Speaks::WebSocket, subject.address);
    let now = Instant::now();
    let mut crowd = Crowd {
        services: &mut services,
        is_patient: subject.kind == Kind::Peer,
        awaited: vec![[false; HELD]; count],
        left: count * HELD,
        begin: vec![now; count],
        latency: Histogram::default(),
        errors: 0,
        waiting: VecDeque::new(),
        most: 0,
        rate,
        allowed: 0.0,
        counted: now,
    };
    net.run(&mut crowd, "all to have what they hold", LIMIT)?;
    let (errors, most) = (crowd.errors, crowd.most);
    let latency = std::mem::take(&mut crowd.latency);
    let mut sample = subject.end(window, (count * HELD) as u64)?;
    sample.latency = latency;
    sample.extra = vec![
        (SECONDS, sample.wall.as_secs_f64(), ""),
        (ERRORS, errors as f64, ""),
        (OPEN, most as f64, ""),
    ];
    Ok(vec![sample])
}

/// The name of a resource that a client holds.
fn resource(client: usize, index: usize) -> String {
    match index < COMMON {
        true => format!("bench.s.{}", (client * COMMON + index) % SHARED),
        false => format!("bench.o.{client}-{index}"),
    }
}

/// The frame in which a client subscribes. With a mask of zeros, text is sent as it is.
fn subscribe(out: &mut Vec<u8>, client: usize, index: usize) {
    let rid = resource(client, index);
    let text = format!(r#"{{"id":{},"method":"subscribe.{rid}"}}"#, index + 1);
    frame(out, text.as_bytes());
}

fn frame(out: &mut Vec<u8>, text: &[u8]) {
    frame_header(out, TEXT, text.len(), 0x80);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text);
}

/// A request that the service has not answered yet.
struct Waiting {
    subject: Vec<u8>,
    reply: Vec<u8>,
}

struct Crowd<'a, 's> {
    services: &'a mut Services<'s>,
    /// Whether clients ask again for what they were refused. If not, it is a fault.
    is_patient: bool,
    /// Which answers each client waits for.
    awaited: Vec<[bool; HELD]>,
    /// Subscriptions that are to be made still.
    left: usize,
    /// When each client was let in.
    begin: Vec<Instant>,
    /// From then to each answer.
    latency: Histogram,
    errors: u64,
    /// What the service has not answered yet: it takes one after the other.
    waiting: VecDeque<Waiting>,
    most: usize,
    rate: f64,
    /// Requests that it may answer now, and when they were counted.
    allowed: f64,
    counted: Instant,
}

impl Crowd<'_, '_> {
    /// Seconds for which the service makes up at most.
    const SLACK: f64 = 0.005;

    /// Answers as many as the service can by now.
    fn serve(&mut self, net: &mut Net, now: Instant) -> Outcome {
        let time = now.duration_since(self.counted).as_secs_f64();
        self.counted = now;
        self.allowed = (self.allowed + time * self.rate).min(self.rate * Self::SLACK);
        while self.allowed >= 1.0
            && let Some(Waiting { subject, reply }) = self.waiting.pop_front()
        {
            self.allowed -= 1.0;
            let request = Delivery {
                subject: &subject,
                reply: &reply,
                payload: b"",
            };
            self.services.answer(net, request)?;
        }
        Ok(())
    }
}

impl Load for Crowd<'_, '_> {
    fn opened(&mut self, net: &mut Net, client: usize) -> Outcome {
        let mut out = Vec::new();
        frame(&mut out, VERSION.as_bytes());
        for index in 0..HELD {
            subscribe(&mut out, client, index);
        }
        self.awaited[client] = [true; HELD];
        self.begin[client] = net.now();
        net.send_raw(client, &out)
    }

    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let unexpected = || Fault::unexpected(client, text);
        let tail = &text[text.len().saturating_sub(28)..];
        let id = find(tail, b"\"id\":").and_then(|at| number(&tail[at + 5..]));
        let id = id.ok_or_else(unexpected)? as usize;
        if id == 0 {
            return Ok(());
        }
        let index = id - 1;
        let awaited = self.awaited[client].get_mut(index);
        let awaited = awaited.filter(|it| **it).ok_or_else(unexpected)?;
        if text.starts_with(b"{\"error\":") {
            self.errors += 1;
            if !self.is_patient {
                return Err(Fault::Surprise(format!(
                    "client {client} was refused after {:.1} s, when {} of {} subscriptions were \
                     made and the service had {} requests before it: {}",
                    (net.now() - self.begin[client]).as_secs_f64(),
                    self.awaited.len() * HELD - self.left,
                    self.awaited.len() * HELD,
                    self.waiting.len(),
                    String::from_utf8_lossy(text)
                )));
            }
            let mut out = Vec::new();
            subscribe(&mut out, client, index);
            return net.send_raw(client, &out);
        }
        let own = format!(r#""{0}":{{"name":"{0}"}}"#, resource(client, index));
        if !text.starts_with(b"{\"result\":") || find(text, own.as_bytes()).is_none() {
            return Err(unexpected());
        }
        *awaited = false;
        self.left -= 1;
        self.latency.add(net.now() - self.begin[client], 1);
        Ok(())
    }

    fn request(&mut self, _: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.waiting.push_back(Waiting {
            subject: delivery.subject.to_vec(),
            reply: delivery.reply.to_vec(),
        });
        self.most = self.most.max(self.waiting.len());
        Ok(())
    }

    fn turn(&mut self, net: &mut Net, now: Instant) -> Outcome {
        self.serve(net, now)
    }

    fn wake(&self) -> Option<Instant> {
        let is_idle = self.waiting.is_empty();
        (!is_idle).then(|| self.counted + Duration::from_millis(1))
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}
