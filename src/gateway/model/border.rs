//! What callers and the heart say to each other beside the outbox: options, inputs, sizes.

use crate::gateway::model::queue::QueueLimits;
use crate::gateway::model::rate::Rate;
use crate::gateway::model::tag::Have;
use crate::res::Pattern;
use crate::res::json;
use crate::res::service::Limits;
use core::net::SocketAddr;

/// What a gateway is made from. Nothing of it changes afterwards.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path prefix of the HTTP API, with its trailing slash. It begins every `href`.
    pub api_path: String,
    /// Time for a service to answer a request, in milliseconds.
    pub request_timeout: u64,
    /// Whether web resources are nested without addresses (`jsonflat`).
    pub flat: bool,
    /// Auth method that is called before every web request.
    pub header_auth: Option<Method>,
    /// Auth method that is called before a client is connected.
    pub ws_header_auth: Option<Method>,
    /// Requests that one reset event causes that may be open at once; 0 for no such limit.
    pub reset_throttle: usize,
    /// Get requests for the tree of one subscribe request that may be open at once; 0 for
    /// no such limit.
    pub reference_throttle: usize,
    /// How large a resource may be.
    pub resources: Limits,
    /// Most resources that the answer to a web request may nest, each as often as it is
    /// nested.
    pub web_resources: u64,
    /// Most bytes of such an answer.
    pub web_bytes: u64,
    /// Requests that a service may have open at first; 0 for no such limit. It is adapted to
    /// how fast the service answers.
    pub window: u32,
    /// Most cached resources, and most bytes that they count for; 0 for no limit.
    pub cached: CacheLimits,
    /// Most resources that a WebSocket client may subscribe to directly; 0 for no limit.
    pub subscriptions: u32,
    /// Requests for services that a WebSocket client may send in a second.
    pub rate: Rate,
    /// How many updates may wait at subscriptions.
    pub queues: QueueLimits,
    /// Milliseconds between two heartbeats of those that tell services who is connected; 0
    /// where services are not told.
    pub heartbeat: u64,
    /// Whether clients can be looked for by their connection IDs.
    pub finds_clients: bool,
    /// Whether clients keep the tokens that they have when the broker comes back: events that
    /// changed or revoked them may have been missed.
    pub keep_tokens: bool,
    /// Seed of everything random: connection IDs, the inbox name, hash keys.
    pub seed: [u64; 4],
    /// Tells services of a connection.
    pub write_head: WriteHead,
    /// Patterns of names: answer times of requests to them are counted apart, for the first that
    /// matches.
    pub latency_patterns: Vec<Pattern>,
    /// Reads what trace a client is part of, where services are to know; `None` where not.
    pub trace_headers: Option<TraceHeaders>,
}

impl Default for Options {
    /// The gateway of an empty configuration, with a fixed seed, that tells services no
    /// more than the address of a connection.
    fn default() -> Self {
        Self {
            api_path: "/api/".into(),
            request_timeout: 3_000,
            flat: false,
            header_auth: None,
            ws_header_auth: None,
            reset_throttle: 0,
            reference_throttle: 0,
            resources: Limits {
                entries: 1_000_000,
                bytes: 16 << 20,
            },
            web_resources: 100_000,
            web_bytes: 8 << 20,
            window: 0,
            cached: CacheLimits::default(),
            subscriptions: 0,
            rate: Rate(0),
            queues: QueueLimits::default(),
            heartbeat: 0,
            finds_clients: false,
            keep_tokens: false,
            seed: [1, 2, 3, 4],
            write_head: |_, remote, out| {
                out.extend_from_slice(b"\"remoteAddr\":");
                json::write_string(remote, out);
            },
            trace_headers: None,
            latency_patterns: Vec::new(),
        }
    }
}

/// How much may be cached; 0 for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheLimits {
    /// Resources.
    pub resources: usize,
    /// Bytes of their JSON, and 512 more for each.
    pub bytes: usize,
}

/// What a cached resource counts for beside its JSON, in bytes.
pub const RESOURCE_COST: usize = 512;

/// Writes the members `"header":{..},"host":"..","remoteAddr":"..","uri":".."` of an auth
/// request (RES-Service protocol, "Auth request"), at least one of them, from the request
/// head that the client connected with (the bytes given to
/// [`Gateway::client_connected`](crate::gateway::Gateway::client_connected) or in
/// [`WebRequest::head`]) and its address.
pub type WriteHead = fn(head: &[u8], remote: &str, out: &mut Vec<u8>);

/// Reads the trace that a client is part of from the request head that it connected with:
/// the headers of the broker's protocol that go with the requests sent for the client. `None`
/// for a client that is part of none.
pub type TraceHeaders = fn(head: &[u8]) -> Option<Box<[u8]>>;

/// A method of a resource, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Resource ID without query; it may have connection ID tags.
    pub resource: String,
    /// Name of the method.
    pub method: String,
}

/// What the broker said of itself when the connection was made (NATS `INFO`).
#[derive(Clone, Copy, Debug)]
pub struct BrokerLimits {
    /// Largest payload that may be published, in bytes.
    pub max_payload: usize,
    /// Longest arguments of a control line that may be sent, in bytes.
    pub max_line: usize,
}

/// Why the broker refuses a subscription or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The gateway's user has no right to the subject.
    Permission,
    /// The connection may have no more subscriptions.
    Limit,
    /// Its subject or payload is longer than the broker takes.
    TooLong,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Permission => "the gateway's user has no right to them",
            Self::Limit => "the gateway may have no more subscriptions",
            Self::TooLong => "the subject is too long",
        })
    }
}

/// A message from the broker, as the NATS client parsed it.
#[derive(Clone, Copy, Debug)]
pub struct BrokerMessage<'a> {
    /// The subscription it was delivered for, as given in [`BrokerOp::Subscribe`](crate::gateway::BrokerOp::Subscribe).
    pub sid: u64,
    /// The subject it was published on.
    pub subject: &'a [u8],
    /// The payload without headers.
    pub payload: &'a [u8],
    /// Status of the NATS header, 503 meaning that nobody listens.
    pub status: Option<u16>,
    /// The subject for an answer, if one is wanted.
    pub reply: Option<&'a [u8]>,
}

/// What an HTTP request asks of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebAction<'a> {
    /// Encode a resource (GET and HEAD; the caller leaves out the body for HEAD).
    Get,
    /// Send a resource and its events as a stream (GET where that is asked for).
    Stream,
    /// Call a method, the last part of the path (POST).
    Post,
    /// Call this method of the resource that is the whole path (PUT, PATCH, DELETE).
    Call(&'a str),
}

/// An HTTP request below the API path.
#[derive(Clone, Copy, Debug)]
pub struct WebRequest<'a> {
    /// What is asked.
    pub action: WebAction<'a>,
    /// The request target's path behind the API prefix, still percent-encoded.
    pub path: &'a str,
    /// What follows the first `?` of the request target, undecoded.
    pub query: Option<&'a str>,
    /// What the client has of it already, by the tags of earlier answers.
    pub have: &'a Have,
    /// Whether the answer to a `Get` waits, while the client has it already, until it does not
    /// any more or [`Gateway::end_poll`](crate::gateway::Gateway::end_poll) ends that.
    pub waits: bool,
    /// The request body.
    pub body: &'a [u8],
    /// The request head as received, for [`Options::write_head`].
    pub head: &'a [u8],
    /// The network address of the client.
    pub remote: SocketAddr,
}

/// How much a gateway holds, for metrics and for tests that look for leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// WebSocket clients, streams of events and open web requests.
    pub clients: usize,
    /// Of these, open web requests.
    pub web_requests: usize,
    /// Of the clients, those with a stream of events.
    pub streams: usize,
    /// Subscriptions of clients, direct and indirect.
    pub subscriptions: usize,
    /// Resource IDs as clients write them.
    pub aliases: usize,
    /// Cached resources.
    pub resources: usize,
    /// Bytes that they count for.
    pub cached_bytes: usize,
    /// Resource names that are in use or linger.
    pub names: usize,
    /// Of these, names that nothing uses any more.
    pub lingering: usize,
    /// Requests to services without answer.
    pub pending: usize,
    /// Requests of clients and events that wait for resources.
    pub waiting: usize,
    /// Requests that wait until fewer are open.
    pub queued: usize,
    /// Requests that wait until their service has room.
    pub parked: usize,
    /// Throttles in use.
    pub throttles: usize,
}
