//! Requests that services answer, each client with one at a time: calls over WebSocket,
//! GET and POST over HTTP.

use std::time::{Duration, Instant};

use super::join::{Join, expect_answer, join_model};
use super::{Goal, Row, Scale, Scenario};
use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net, Speaks};
use crate::services::Services;
use crate::stats::Histogram;
use crate::subject::{Floor, Sample, Subject};
use crate::wire::Delivery;

/// Calls and HTTP requests in their forms.
pub const SCENARIOS: &[Scenario] = &[CALL_64, CALL_KNOWN, CALL_1, GET_64, GET_1, POST_64];

const CALLED: Floor = Floor {
    hops: 1,
    answer: r#"{"payload":{"done":true}}"#,
    addressed: false,
};

const CALL_64: Scenario = Scenario {
    rows: &[Row {
        id: "call-asked",
        in_flight: Some(64),
        title: "calls over 64 connections, access asked each time, per call",
        floor_us: None,
        goals: &[Goal::CpuPeer(4.5), Goal::Resident(6.0)],
    }],
    floor: Some(Floor { hops: 2, ..CALLED }),
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| requests(subject, scale, 64, Ask::Call),
};

const CALL_KNOWN: Scenario = Scenario {
    rows: &[Row {
        id: "call-known",
        in_flight: Some(64),
        title: "calls over 64 connections, access known, per call",
        floor_us: Some(6.8),
        goals: &[Goal::CpuFloor(1.4), Goal::CpuPeer(4.5), Goal::Resident(6.0)],
    }],
    floor: Some(CALLED),
    run: |subject, scale| requests(subject, scale, 64, Ask::CallHeld),
    ..CALL_64
};

const CALL_1: Scenario = Scenario {
    rows: &[Row {
        id: "call-single",
        in_flight: Some(1),
        title: "calls over 1 connection, access known, per call",
        floor_us: Some(49.0),
        goals: &[Goal::CpuFloor(1.5)],
    }],
    floor: Some(CALLED),
    run: |subject, scale| requests(subject, scale, 1, Ask::CallHeld),
    ..CALL_64
};

const GET_64: Scenario = Scenario {
    rows: &[Row {
        id: "get-64",
        in_flight: Some(64),
        title: "HTTP GET of a small model over 64 kept connections, per request",
        floor_us: None,
        goals: &[Goal::CpuPeer(6.0)],
    }],
    floor: Some(Floor {
        hops: 1,
        answer: r#"{"name":"small","count":42,"on":true}"#,
        addressed: false,
    }),
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| requests(subject, scale, 64, Ask::Get),
};

const GET_1: Scenario = Scenario {
    rows: &[Row {
        id: "get-single",
        in_flight: Some(1),
        title: "the same over 1 connection",
        floor_us: None,
        goals: &[Goal::CpuPeer(4.5)],
    }],
    run: |subject, scale| requests(subject, scale, 1, Ask::Get),
    ..GET_64
};

const POST_64: Scenario = Scenario {
    rows: &[Row {
        id: "post-64",
        in_flight: Some(64),
        title: "HTTP POST of a call over 64 kept connections, per request",
        floor_us: None,
        goals: &[Goal::CpuPeer(7.0)],
    }],
    floor: Some(Floor {
        hops: 2,
        answer: r#"{"done":true}"#,
        addressed: false,
    }),
    run: |subject, scale| requests(subject, scale, 64, Ask::Post),
    ..GET_64
};

fn requests(
    subject: &Subject,
    scale: Scale,
    clients: usize,
    ask: Ask,
) -> Result<Vec<Sample>, Fault> {
    let plan = Plan {
        clients,
        ask,
        time: scale.time,
    };
    Ok(vec![run(subject, plan)?])
}
/// The model of the requests.
const MODEL: &str = r#"{"name":"small","count":42,"on":true}"#;

/// What a client asks, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A call of a resource that the client does not hold: access is asked each time.
    Call,
    /// A call of a resource that the client holds: access is known.
    CallHeld,
    /// HTTP GET of a small model.
    Get,
    /// HTTP POST, which calls a method.
    Post,
}

/// Who asks what.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub clients: usize,
    pub ask: Ask,
    pub time: Duration,
}

/// Runs the requests; the operation is a request with its answer.
pub fn run(subject: &Subject, plan: Plan) -> Result<Sample, Fault> {
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|_| format!(r#"{{"model":{MODEL}}}"#));
    Services::listen(&mut net)?;
    match plan.ask {
        Ask::Call => {
            Join::new(&mut net, subject, plan.clients, &mut services, None).run(&mut net)?;
        }
        Ask::CallHeld => {
            join_model(&mut net, subject, plan.clients, &mut services)?;
        }
        Ask::Get | Ask::Post => net.add(plan.clients, Speaks::Http, subject.address),
    }
    let mut requests = Requests {
        services: &mut services,
        ask: plan.ask,
        message: Vec::new(),
        raw: raw_request(plan.ask, subject),
        ids: vec![2; plan.clients],
        sent: vec![Instant::now(); plan.clients],
        open: 0,
        unopened: match plan.ask {
            Ask::Get | Ask::Post => plan.clients,
            Ask::Call | Ask::CallHeld => 0,
        },
        until: Instant::now() + plan.time / 10,
        done: 0,
        latency: Histogram::default(),
    };
    // The floor counts from what it answered; a gateway takes any number.
    requests.ids.fill(match plan.ask {
        Ask::CallHeld => 2,
        _ => 1,
    });
    requests.run(&mut net, plan.clients)?;
    let window = subject.begin()?;
    requests.until = Instant::now() + plan.time;
    requests.done = 0;
    requests.latency = Histogram::default();
    requests.run(&mut net, plan.clients)?;
    let (done, latency) = (requests.done, requests.latency);
    let mut sample = subject.end(window, done)?;
    sample.latency = latency;
    Ok(sample)
}

fn raw_request(ask: Ask, subject: &Subject) -> Vec<u8> {
    let (line, body) = match ask {
        Ask::Post => ("POST /api/bench/m/do", r#"{"value":1}"#),
        _ => ("GET /api/bench/m", ""),
    };
    let fields = match body.len() {
        0 => String::new(),
        len => format!("Content-Type: application/json\r\nContent-Length: {len}\r\n"),
    };
    let host = subject.address;
    format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n{fields}\r\n{body}"
    )
    .into_bytes()
}

struct Requests<'a, 's> {
    services: &'a mut Services<'s>,
    ask: Ask,
    message: Vec<u8>,
    raw: Vec<u8>,
    /// Of each client, the ID of its open request, or of its next one.
    ids: Vec<u64>,
    sent: Vec<Instant>,
    open: usize,
    /// HTTP connections that are not made yet.
    unopened: usize,
    until: Instant,
    done: u64,
    latency: Histogram,
}

impl Requests<'_, '_> {
    fn run(&mut self, net: &mut Net, clients: usize) -> Outcome {
        if self.unopened == 0 {
            for client in 0..clients {
                self.send(net, client)?;
            }
        }
        net.run(self, "answers to requests", Duration::from_secs(60))
    }

    fn send(&mut self, net: &mut Net, client: usize) -> Outcome {
        self.open += 1;
        self.sent[client] = Instant::now();
        match self.ask {
            Ask::Get | Ask::Post => net.send_raw(client, &self.raw),
            Ask::Call | Ask::CallHeld => {
                use std::io::Write;
                let id = self.ids[client];
                self.message.clear();
                write!(
                    self.message,
                    r#"{{"id":{id},"method":"call.bench.m.do","params":{{"value":1}}}}"#
                )?;
                net.send(client, &self.message)
            }
        }
    }

    fn next(&mut self, net: &mut Net, client: usize) -> Outcome {
        self.open -= 1;
        self.done += 1;
        self.latency.add(net.now() - self.sent[client], 1);
        match net.now() < self.until {
            true => self.send(net, client),
            false => Ok(()),
        }
    }
}

impl Load for Requests<'_, '_> {
    fn opened(&mut self, net: &mut Net, client: usize) -> Outcome {
        self.unopened -= 1;
        self.send(net, client)
    }

    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        expect_answer(client, text, self.ids[client])?;
        self.ids[client] += 1;
        self.next(net, client)
    }

    fn response(&mut self, net: &mut Net, client: usize, status: u16, body: &[u8]) -> Outcome {
        let is_right = match self.ask {
            Ask::Get => status == 200 && body.len() == MODEL.len(),
            _ => status == 200 && body == br#"{"done":true}"#,
        };
        if !is_right {
            return Err(Fault::unexpected(client, body));
        }
        self.next(net, client)
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)
    }

    fn is_done(&self) -> bool {
        self.open == 0 && self.unopened == 0 && Instant::now() >= self.until
    }
}
