//! Connections, and what is kept of each.

use crate::gateway::model::keys::{SubKey, WaiterKey};
use crate::res::meta::Fields;
use crate::res::version::Dialect;
use core::net::SocketAddr;
use std::borrow::Cow;
use std::rc::Rc;

/// Requests of one client that may be open at once, and the bytes of resource IDs and
/// parameters that may wait with them. Beyond them the client is not read.
const MAX_IN_FLIGHT: u16 = 256;
const MAX_WAITING: usize = 4 << 20;

/// A connection: a WebSocket client, or one web request.
pub struct Client {
    /// Tells apart the connections that had the same key.
    pub serial: u32,
    pub cid: [u8; 20],
    /// The access token, compact JSON.
    pub token: Option<Rc<str>>,
    pub tid: Option<Box<str>>,
    /// Counts the tokens that it has had.
    pub token_serial: u32,
    pub had_token: bool,
    /// Where an auth request is due that a token reset asked for.
    pub renewal: Option<Rc<str>>,
    /// Whether the broker sends its connection events.
    pub listening: bool,
    pub dialect: Dialect,
    pub transport: Transport,
    pub in_flight: u16,
    /// Bytes of the resource IDs that it waits for, and of the queries and parameters of
    /// calls that wait for access.
    pub waiting: usize,
    /// The first of its subscriptions.
    pub first: Option<SubKey>,
    /// Its requests that wait for resources.
    pub waiters: Vec<WaiterKey>,
    pub head: Box<[u8]>,
    pub remote: SocketAddr,
}

impl Client {
    /// Whether it is a web request.
    pub fn is_web(&self) -> bool {
        matches!(self.transport, Transport::Web(_))
    }

    /// Whether what is done for it leads to an HTTP answer.
    pub fn is_http(&self) -> bool {
        !matches!(self.transport, Transport::WebSocket)
    }

    pub fn takes_requests(&self) -> bool {
        self.in_flight < MAX_IN_FLIGHT && self.waiting < MAX_WAITING
    }
}

/// How a client is connected.
pub enum Transport {
    WebSocket,
    /// An upgrade request waits for header authentication. The fields are for its answer.
    Upgrading(Box<Fields>),
    /// One web request.
    Web(Box<Web>),
}

/// A resource ID as a client writes it, and as services know it.
pub struct Target<'a> {
    pub text: &'a str,
    /// The serial of the client, if the text has its connection ID tag.
    pub owner: Option<u32>,
    pub expanded: Cow<'a, str>,
}

/// What is kept of a web request.
#[derive(Default)]
pub struct Web {
    /// Fields that services want in the answer.
    pub fields: Fields,
    /// Whether the HTTP method stands for a call, so that an unknown method is the
    /// client's mistake.
    pub mapped: bool,
    /// What is done when the client has been authenticated.
    pub goal: Option<Goal>,
}

/// What a web request asks for.
pub enum Goal {
    Get {
        rid: String,
    },
    Call {
        rid: String,
        method: String,
        params: Option<Box<str>>,
    },
}
