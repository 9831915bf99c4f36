//! Streams of events: a client that asked for one resource by a web request, and is sent what a
//! WebSocket client would be that subscribes to it.
//!
//! Until it is known whether it may have the resource it is a web request, which is answered
//! with an error or not. From the first event on it is a client with a direct subscription,
//! and when that ends, it ends.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{ClientKey, ClientRef, SubKey};
use crate::gateway::model::outbox::{
    CloseReason, Delivery, Message, Outbox, STREAM_REQUEST, SharedAnswer, StreamStart,
};
use crate::gateway::model::tag::Tag;
use crate::gateway::model::time::Time;
use crate::gateway::parts::sessions::Client;
use crate::gateway::parts::worklist::Origin;
use std::rc::Rc;

impl Gateway {
    /// A stream was sent nothing for a while: its client is told the tag of what it has now, by
    /// [`Delivery::Rest`], unless something waits for it or that is too much to go through at
    /// once. For who has no stream nothing is done.
    pub fn stream_rests(&mut self, now: Time, key: ClientKey, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            gateway.take_in(0);
            gateway.tell_rest(key);
            Origin::Client(key)
        });
    }

    fn tell_rest(&mut self, key: ClientKey) {
        let root = self.sessions.get(key).and_then(Client::stream_root);
        let is_direct = |root: &SubKey| {
            let sub = self.holdings.get(*root);
            sub.is_some_and(|sub| sub.client() == key && sub.holders.direct() > 0)
        };
        // While it is told something else, that is not all that it has.
        if self.unsettled.has(key) || self.sendings.has(key) {
            return;
        }
        if let Some(root) = root.filter(is_direct)
            && let Some(tag) = self.tag_of_all(key, root)
        {
            self.out.deliver(key, Delivery::Rest(tag));
        }
    }

    /// A stream begins with a resource set, given as the answer to a subscribe request, unless
    /// the client has that.
    pub(in crate::gateway) fn begin_stream(
        &mut self,
        key: ClientKey,
        root: SubKey,
        body: Rc<Message>,
        tag: Tag,
    ) {
        let Some(opening) = self.sessions.begin_stream(key, root) else {
            return;
        };
        self.counters.streams += 1;
        self.trace_stream(key);
        let is_there = opening.have.covers(tag);
        self.counters.streams_resumed += u64::from(is_there);
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
