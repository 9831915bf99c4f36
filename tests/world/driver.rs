//! The heart with nothing around it: an input goes in as plain data, what the heart wants
//! done comes out as owned data. Whoever tests the heart does it through this.

use std::net::SocketAddr;
use tidegate::gateway::{
    BrokerLimits, BrokerMessage, BrokerOp, ClientKey, Delivery, Gateway, Have, Options, Outbox,
    Refusal, Time, WebAction, WebRequest,
};

/// The units of a turn that does all that there is to do.
pub const UNLIMITED: u32 = u32::MAX;

/// Turns in a row that may leave work over: more than any test's work is worth.
const TURNS: usize = 1_000_000;

/// The subscription of answers to requests, as the heart numbers it.
pub const INBOX: u64 = 2;

/// The subscription of system events.
pub const SYSTEM: u64 = 1;

/// Something for the broker; the texts are borrowed or owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation<T> {
    Publish {
        subject: T,
        reply: T,
        headers: T,
        payload: T,
    },
    Subscribe {
        sid: u64,
        subject: T,
    },
    Unsubscribe {
        sid: u64,
    },
}

impl Operation<&str> {
    /// The same with texts of its own.
    pub fn to_owned(&self) -> Operation<String> {
        match *self {
            Operation::Publish {
                subject,
                reply,
                headers,
                payload,
            } => Operation::Publish {
                subject: subject.to_owned(),
                reply: reply.to_owned(),
                headers: headers.to_owned(),
                payload: payload.to_owned(),
            },
            Operation::Subscribe { sid, subject } => Operation::Subscribe {
                sid,
                subject: subject.to_owned(),
            },
            Operation::Unsubscribe { sid } => Operation::Unsubscribe { sid },
        }
    }
}

/// What an outbox has for the broker, oldest first.
///
/// # Panics
/// When something is no UTF-8, which nothing may be.
pub fn operations(out: &Outbox) -> impl Iterator<Item = Operation<&str>> {
    let text = |span| std::str::from_utf8(out.bytes(span)).expect("the broker is sent UTF-8");
    out.broker().iter().map(move |op| match *op {
        BrokerOp::Publish {
            subject,
            reply,
            headers,
            payload,
            ..
        } => Operation::Publish {
            subject: text(subject),
            reply: text(reply),
            headers: text(headers),
            payload: text(payload),
        },
        BrokerOp::Subscribe { sid, subject, .. } => Operation::Subscribe {
            sid,
            subject: text(subject),
        },
        BrokerOp::Unsubscribe { sid } => Operation::Unsubscribe { sid },
    })
}

/// A web request that asks for a resource.
#[allow(dead_code, reason = "not all who share this ask for any")]
pub fn web_get(path: &str) -> WebRequest<'_> {
    WebRequest {
        action: WebAction::Get,
        path,
        query: None,
        have: &Have::Nothing,
        waits: false,
        body: b"",
        head: b"",
        remote: ([127, 0, 0, 1], 4_000).into(),
    }
}

/// Something that happens to the heart.
#[derive(Debug)]
pub enum Input<'a> {
    /// The broker is there, and takes payloads of so many bytes.
    Broker { max_payload: usize },
    /// The broker is away.
    #[allow(dead_code, reason = "only some tests that share this lose it")]
    Lost,
    /// The broker refuses a subscription.
    #[allow(
        dead_code,
        reason = "only some tests that share this have it refuse any"
    )]
    Refused(u64, Refusal),
    /// The broker refuses a request on a subject.
    #[allow(
        dead_code,
        reason = "only some tests that share this have it refuse any"
    )]
    Unsent(&'a str, Refusal),
    /// So many cached resources are to be compared with what services have.
    #[allow(dead_code, reason = "only some tests that share this compare any")]
    Check(usize),
    /// It is time for a heartbeat.
    #[allow(dead_code, reason = "only some tests that share this have any")]
    Heartbeat,
    /// A message comes from the broker.
    Message(BrokerMessage<'a>),
    /// Messages for these subscriptions were dropped unseen.
    #[allow(dead_code, reason = "not all who share this drop any")]
    Dropped(&'a [u64]),
    /// A client is connected.
    Connect(ClientKey, Box<[u8]>, SocketAddr),
    /// A client asks to be connected, where a service decides about it.
    Upgrade(ClientKey, Box<[u8]>, SocketAddr),
    /// A client sends a message.
    Say(ClientKey, &'a [u8]),
    /// A web request comes.
    Web(ClientKey, WebRequest<'a>),
    /// The wait of a web request for a change is over.
    #[allow(dead_code, reason = "only some tests that share this wait")]
    EndPoll(ClientKey),
    /// A stream was sent nothing for a while.
    #[allow(dead_code, reason = "only some tests that share this have streams")]
    Rest(ClientKey),
    /// A connection is gone.
    Close(ClientKey),
    /// Time has passed.
    Time,
    /// Nothing happens; work that was left over is gone on with.
    GoOn,
}

impl Input<'_> {
    /// Bytes that it has.
    #[allow(dead_code, reason = "not all who share this ask")]
    pub fn size(&self) -> usize {
        match self {
            Self::Message(message) => message.subject.len() + message.payload.len(),
            Self::Say(_, text) => text.len(),
            Self::Web(_, request) => request.path.len() + request.body.len(),
            _ => 0,
        }
    }
}

/// What the heart wants done.
#[derive(Debug, Default)]
pub struct Output {
    /// For the broker, oldest first.
    pub broker: Vec<Operation<String>>,
    /// For connections, oldest first.
    pub clients: Vec<(ClientKey, Delivery)>,
    /// What is not as it should be inside.
    pub fault: Option<String>,
}

/// The heart, its outbox and its clock.
pub struct Driver {
    pub gateway: Gateway,
    outbox: Outbox,
    /// Milliseconds.
    pub now: u64,
    /// Whether runs are taken as the reactor takes them: the followers of a message go to
    /// those who got it. Otherwise the outbox says of each follower who gets it.
    pub follows_runs: bool,
    /// Whether the books are audited after every input, whatever that costs. A debug build
    /// does it by itself while little is held.
    pub audits: bool,
    receivers: Vec<ClientKey>,
    /// Runs that have begun.
    pub leads: usize,
}

impl Driver {
    pub fn new(options: Options, now: u64) -> Self {
        Self {
            gateway: Gateway::new(options),
            outbox: Outbox::default(),
            now,
            follows_runs: false,
            audits: true,
            receivers: Vec::new(),
            leads: 0,
        }
    }

    /// Ends the run that the next input might continue.
    pub fn seal(&mut self) {
        self.outbox.seal();
    }

    /// Begins a turn of so many units of work with an input.
    pub fn input(&mut self, units: u32, input: Input<'_>) -> Output {
        self.give(units, input);
        self.take()
    }

    /// The same, where what the heart wants done is known.
    #[allow(dead_code, reason = "not all who share this do anything twice")]
    pub fn tell(&mut self, units: u32, input: Input<'_>) {
        self.give(units, input);
        let _ = self.outbox.drain_clients().count();
        self.outbox.clear();
    }

    fn give(&mut self, units: u32, input: Input<'_>) {
        let (gateway, out) = (&mut self.gateway, &mut self.outbox);
        let now = Time(self.now);
        gateway.begin_turn(units);
        match input {
            Input::Broker { max_payload } => {
                let limits = BrokerLimits {
                    max_payload,
                    max_line: 4_096,
                };
                gateway.broker_connected(now, limits, out);
            }
            Input::Check(count) => gateway.check_drift(now, count, out),
            Input::Heartbeat => gateway.heartbeat(now, out),
            Input::Lost => gateway.broker_lost(now, out),
            Input::Refused(sid, reason) => gateway.subscription_refused(now, sid, reason, out),
            Input::Unsent(subject, reason) => {
                gateway.publish_refused(now, subject.as_bytes(), reason, out);
            }
            Input::Message(message) => gateway.broker_message(now, message, out),
            Input::Dropped(sids) => gateway.messages_dropped(now, sids, out),
            Input::Connect(key, head, remote) => {
                gateway.client_connected(now, key, head, remote, out);
            }
            Input::Upgrade(key, head, remote) => {
                gateway.client_connecting(now, key, head, remote, out);
            }
            Input::Say(key, text) => gateway.client_message(now, key, text, out),
            Input::Web(key, request) => gateway.web_request(now, key, request, out),
            Input::EndPoll(key) => gateway.end_poll(now, key, out),
            Input::Rest(key) => gateway.stream_rests(now, key, out),
            Input::Close(key) => gateway.client_closed(now, key, out),
            Input::Time => gateway.timeout(now, out),
            Input::GoOn => gateway.go_on(now, out),
        }
    }

    /// Goes on, in turns of so many units, until no work is left over.
    pub fn finish(&mut self, units: u32, output: &mut Output) {
        for _ in 0..TURNS {
            if !self.gateway.has_work() {
                return;
            }
            let more = self.input(units, Input::GoOn);
            output.broker.extend(more.broker);
            output.clients.extend(more.clients);
            output.fault = output.fault.take().or(more.fault);
        }
        panic!("{TURNS} turns of {units} units leave work over");
    }

    fn take(&mut self) -> Output {
        let mut output = Output {
            broker: operations(&self.outbox).map(|op| op.to_owned()).collect(),
            clients: Vec::new(),
            fault: match self.audits {
                true => self.gateway.audit().err(),
                false => None,
            },
        };
        if self.follows_runs
            && let Some(message) = self.outbox.take_follower()
        {
            let all = self.receivers.iter();
            let all = all.map(|key| (*key, Delivery::Message(message.clone())));
            output.clients.extend(all);
        }
        let leads = self.outbox.lead().is_some();
        output.clients.extend(self.outbox.drain_clients());
        if leads {
            self.leads += 1;
            self.receivers.clear();
            self.receivers
                .extend(output.clients.iter().map(|(key, _)| *key));
        }
        self.outbox.clear();
        output
    }
}
