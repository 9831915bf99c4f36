//! Requests to services without answer, and what goes on with each.

use crate::gateway::model::delay::TimerKey;
use crate::gateway::model::keys::{
    AliasKey, ClientRef, NameKey, ResetKey, ResourceKey, SubKey, WaiterKey,
};
use crate::gateway::model::time::Time;
use crate::res::Error;
use crate::res::service::Access;
use std::borrow::Cow;

/// A request without answer, and what goes on with it.
pub struct Pending {
    /// The name whose order it keeps, and which it uses.
    pub name: Option<NameKey>,
    pub then: Then,
    pub timer: Timer,
    /// When it was sent.
    pub sent: Time,
    /// Whether it is one of the background, and of which reset event.
    pub background: Option<Option<ResetKey>>,
    /// The short number in its reply subject, if that has one.
    pub short: Option<u32>,
}

/// What an answer is for.
pub enum Then {
    /// Get request: content for an alias.
    Load(AliasKey),
    /// Get request: is the content still true?
    Refresh(ResourceKey),
    /// Access request.
    Access(AccessRequest),
    /// Call or auth request.
    Call(CallRequest),
    /// Query request.
    Query(ResourceKey),
    /// Auth request that comes before a request of the client.
    HeaderAuth(ClientRef),
    /// The answer does not matter.
    Ignore,
}

/// An answer's payload, or why there is none.
pub type Answer<'a> = Result<Cow<'a, [u8]>, Error>;

pub enum Timer {
    /// The answer is here and waits for its turn.
    Stopped,
    Usual(TimerKey),
    Set(Time),
}

/// A request that waits until fewer of its kind are open.
pub enum Job {
    /// Fetch a resource again.
    Refresh(ResourceKey),
    /// Ask a subscription's access again.
    Reaccess(SubKey),
    /// Let a service renew a client's token.
    TokenReset(ClientRef),
}

/// A request that the broker would not take: why, and what was to go on with its answer.
pub struct Unsent {
    pub error: Error,
    pub then: Then,
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// `<type>.<name>`, and `.<method>` unless that is empty.
    Name(&'static str, NameKey, &'a str),
    /// A subject that a service chose, on behalf of a name if there is one.
    Chosen(&'a str, Option<NameKey>),
}

/// A call, on its way to a service or back.
pub struct CallRequest {
    pub client: ClientRef,
    pub reply: ReplyTo,
    pub kind: CallKind,
    pub name: NameKey,
    pub query: Box<str>,
    pub method: Box<str>,
    /// The parameters as sent; `None` for none.
    pub params: Option<Box<str>>,
}

impl CallRequest {
    /// Bytes that wait with it for access, for [`Client::waiting`].
    ///
    /// [`Client::waiting`]: super::session::Client::waiting
    pub fn waiting(&self) -> usize {
        self.query.len() + self.params.as_deref().map_or(0, str::len)
    }
}

/// The kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Call,
    /// Needs no access, and tells the service about the connection.
    Auth,
    /// The deprecated request: a call of `new` that must be answered with a resource.
    New,
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// The request of a WebSocket client with this ID.
    Client(u64),
    /// The one open web request of the connection.
    Web,
}

/// An open access request.
pub struct AccessRequest {
    pub client: ClientRef,
    /// The subscription that keeps the answer, if the client has one.
    pub sub: Option<SubKey>,
    /// Which of the client's tokens it was asked with.
    pub token: u32,
    pub waiting: Vec<Use>,
}

/// What an access answer is needed for.
pub enum Use {
    /// A request for a resource.
    Request(WaiterKey),
    /// A call.
    Call(CallRequest),
    /// The subscription itself, whose access was put in question.
    Reaccess,
}

/// An access answer, or why there is none.
pub type Verdict = Result<Access, Error>;
