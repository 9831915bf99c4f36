//! Streams of events: a client that asked for one resource by a web request, and is sent what a
//! WebSocket client would be that subscribes to it.
//!
//! Until it is known whether it may have the resource it is a web request, which is answered
//! with an error or not. From the first event on it is a client with a direct subscription,
//! and when that ends, it ends.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{ClientKey, ClientRef};
use crate::gateway::model::outbox::{
    CloseReason, Delivery, Message, STREAM_REQUEST, SharedAnswer, StreamStart,
};
use crate::gateway::model::tag::Tag;
use std::rc::Rc;

impl Gateway {
    /// A stream begins with a resource set, given as the answer to a subscribe request, unless
    /// the client has that.
    pub(in crate::gateway) fn begin_stream(&mut self, key: ClientKey, body: Rc<Message>, tag: Tag) {
        let Some(opening) = self.sessions.begin_stream(key) else {
            return;
        };
        self.counters.streams += 1;
        self.trace_stream(key);
        let is_there = opening.have.covers(tag);
        let start = StreamStart {
            fields: opening.fields,
            set: (!is_there).then(|| SharedAnswer::new(body, STREAM_REQUEST)),
            tag,
        };
        self.out.deliver(key, Delivery::Stream(Box::new(start)));
        self.responded(key);
    }

    /// The resource of a stream is sent no longer, which its client was told.
    pub(in crate::gateway) fn end_stream(&mut self, client: ClientRef) {
        if self.sessions.present(client).is_some() {
            self.close_client(client.key);
            self.out
                .deliver(client.key, Delivery::Close(CloseReason::Ended));
        }
    }
}
