//! What the log says of clients and their requests. Nothing of it is made where nobody
//! asks for it: names are found and texts written only for a line that is wanted.

use crate::gateway::Gateway;
use crate::gateway::model::border::WebRequest;
use crate::gateway::model::keys::{ClientKey, NameKey};
use crate::res::Error;
use crate::res::trace::Masked;
use log::{debug, trace};
use std::fmt::{Arguments, Display};

impl Gateway {
    /// The connection ID by which services and the log know a client.
    pub fn cid(&self, client: ClientKey) -> Option<&str> {
        self.sessions.get(client).map(|client| client.cid())
    }

    /// Shows that a client has its WebSocket.
    pub(super) fn trace_connected(&self, client: ClientKey) {
        if let Some(client) = self.sessions.get(client) {
            trace!("[{}] Connected: {}", client.cid(), client.remote());
        }
    }

    /// Shows that a web request is answered with a stream.
    pub(super) fn trace_stream(&self, client: ClientKey) {
        if let Some(client) = self.sessions.get(client) {
            trace!("[{}] <-- 200, a stream", client.cid());
        }
    }

    /// Shows a web request.
    pub(super) fn trace_web_request(&self, client: ClientKey, request: &WebRequest<'_>) {
        trace!(
            "[{}] --> {} {}",
            self.cid(client).unwrap_or_default(),
            String::from_utf8_lossy(first_line(request.head)),
            Masked(request.body)
        );
    }

    /// Shows the answer to a web request, or to one for a WebSocket.
    pub(super) fn trace_web_answer(&self, client: ClientKey, status: u16, body: Option<&[u8]>) {
        trace!(
            "[{}] <-- {status} {}",
            self.cid(client).unwrap_or_default(),
            Masked(body.unwrap_or_default())
        );
    }

    /// Says why a client's request is refused.
    pub(in crate::gateway) fn note_refused(
        &self,
        client: ClientKey,
        request: Arguments<'_>,
        error: &Error,
    ) {
        debug!(
            "[{}] {request} is refused: {error}",
            self.cid(client).unwrap_or_default()
        );
    }

    /// Says why the answer to a request of ours is not used.
    pub(in crate::gateway) fn note_unused(
        &self,
        kind: &str,
        name: Option<NameKey>,
        reason: &dyn Display,
    ) {
        debug!(
            "answer to the {kind} request of {} is not used: {reason}",
            name.and_then(|name| self.cache.names().get(name))
                .map_or("a name that is gone", |name| &name.text)
        );
    }
}

/// The request line of a head.
fn first_line(head: &[u8]) -> &[u8] {
    let mut lines = head.split(|byte| matches!(byte, b'\r' | b'\n'));
    lines.next().unwrap_or_default()
}
