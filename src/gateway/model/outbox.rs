//! What the gateway wants done: the one narrow way out of the heart.

use crate::gateway::model::keys::{ClientKey, ResourceKey};
use crate::gateway::model::tag::Tag;
use crate::res::json;
use crate::res::meta::Fields;
use crate::res::version::ValueForm;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::ops::Deref;
use std::rc::Rc;

/// Room that an outbox keeps: for deliveries, of which an event of a resource makes one for
/// each of its subscribers; for broker operations; and bytes.
const DELIVERIES_KEPT: usize = 1 << 17;
const OPS_KEPT: usize = 1 << 14;
const BYTES_KEPT: usize = 1 << 18;

/// A form of its text that a [`Message`] can hold beside the text itself. The transport
/// makes it; here it is a slot and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// DEFLATE, as a compressed WebSocket message has it (RFC 7692).
    Deflate,
}

impl Encoding {
    const COUNT: usize = 1;
}

/// In how many output queues some bytes stand, so that their memory is counted once.
#[derive(Debug, Default)]
pub struct InQueues {
    queues: Cell<u32>,
    bytes: Cell<usize>,
}

impl InQueues {
    /// One queue more has the bytes, of which there are so many: how many the queues hold
    /// by that which they did not before.
    pub fn enter(&self, bytes: usize) -> usize {
        self.queues.set(self.queues.get() + 1);
        self.grow(bytes)
    }

    /// There are more bytes by now, in a queue that has them: how many more.
    pub fn grow(&self, bytes: usize) -> usize {
        let known = self.bytes.replace(bytes.max(self.bytes.get()));
        bytes.saturating_sub(known)
    }

    /// One queue less has the bytes: how many the queues hold no longer by that.
    pub fn leave(&self) -> usize {
        self.queues.set(self.queues.get().saturating_sub(1));
        match self.queues.get() {
            0 => self.bytes.take(),
            _ => 0,
        }
    }
}

/// JSON text for one or many clients: a whole message, or the body of a [`SharedAnswer`].
#[derive(Debug)]
pub struct Message {
    text: Box<[u8]>,
    /// By [`Encoding`]; empty for none.
    encoded: [OnceCell<Box<[u8]>>; Encoding::COUNT],
    /// The tag of what is in it, if anybody has asked for that.
    tag: OnceCell<Box<Tag>>,
    in_queues: InQueues,
}

impl Message {
    /// Makes a message of a JSON text.
    pub fn new(text: &[u8]) -> Rc<Self> {
        Rc::new(Self {
            text: text.into(),
            encoded: Default::default(),
            tag: OnceCell::new(),
            in_queues: InQueues::default(),
        })
    }

    /// Makes a message of a JSON text that has been written for it alone.
    pub(in crate::gateway) fn of(text: Vec<u8>) -> Rc<Self> {
        Rc::new(Self {
            text: text.into(),
            encoded: Default::default(),
            tag: OnceCell::new(),
            in_queues: InQueues::default(),
        })
    }

    /// The tag of what is in it, if that was kept.
    pub(in crate::gateway) fn tag(&self) -> Option<Tag> {
        self.tag.get().map(|tag| **tag)
    }

    /// Keeps the tag of what is in it.
    pub(in crate::gateway) fn keep_tag(&self, tag: Tag) {
        self.tag.get_or_init(|| Box::new(tag));
    }

    /// In which output queues it stands, for the transport.
    pub fn in_queues(&self) -> &InQueues {
        &self.in_queues
    }

    /// Bytes of memory, all forms together.
    pub fn memory(&self) -> usize {
        let forms = self.encoded.iter().filter_map(OnceCell::get);
        self.text.len() + forms.map(|form| form.len()).sum::<usize>()
    }

    /// The JSON text, valid UTF-8.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The text in an encoding, which the transport makes once for all its receivers;
    /// `None` if it has decided that there is none. `make` is called the first time.
    pub fn encode_as(
        &self,
        encoding: Encoding,
        make: impl FnOnce(&[u8]) -> Option<Box<[u8]>>,
    ) -> Option<&[u8]> {
        self.encoded[encoding as usize].get_or_init(|| make(&self.text).unwrap_or_default());
        self.encoded_as(encoding)
    }

    /// The text in an encoding, if that was made.
    pub fn encoded_as(&self, encoding: Encoding) -> Option<&[u8]> {
        self.encoded[encoding as usize]
            .get()
            .map(|form| &**form)
            .filter(|form| !form.is_empty())
    }
}

/// The request that the first event of a stream answers: a stream is what a client is sent whose
/// first request subscribes to the resource.
pub const STREAM_REQUEST: u64 = 1;

/// The answer to a request that other clients are answered in the same way: one text for
/// all of them, and the end that tells whose answer it is.
#[derive(Clone, Debug)]
pub struct SharedAnswer {
    body: Rc<Message>,
    id: u64,
}

impl SharedAnswer {
    /// The most bytes of [`SharedAnswer::tail`].
    pub const TAIL_MAX: usize = b",\"id\":".len() + json::DIGITS_MAX + b"}".len();

    /// The answer to the request with this ID. The body is a JSON object with members,
    /// but for its last brace.
    pub fn new(body: Rc<Message>, id: u64) -> Self {
        Self { body, id }
    }

    /// What all are sent: the answer but for its tail.
    pub fn body(&self) -> &Rc<Message> {
        &self.body
    }

    /// Bytes of [`SharedAnswer::tail`].
    pub fn tail_len(&self) -> usize {
        Self::TAIL_MAX - json::DIGITS_MAX + self.id.checked_ilog10().unwrap_or(0) as usize + 1
    }

    /// The whole text.
    fn text(&self) -> Vec<u8> {
        let mut room = [0; Self::TAIL_MAX];
        [self.body.text(), self.tail(&mut room)].concat()
    }

    /// What follows the body: the request's ID, and the end of the JSON object. It is
    /// written to the beginning of `room`.
    pub fn tail<'r>(&self, room: &'r mut [u8; Self::TAIL_MAX]) -> &'r [u8] {
        let mut digits = [0; json::DIGITS_MAX];
        let digits = json::digits(self.id, &mut digits);
        let mut end = 0;
        for part in [b",\"id\":", digits, b"}"] {
            room[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        &room[..end]
    }
}

/// The body of the answer to a web request.
#[derive(Clone, Debug)]
pub enum WebBody {
    /// It is for this answer alone.
    Own(Vec<u8>),
    /// Others are answered with it too.
    Shared(Rc<Message>),
}

impl Deref for WebBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(text) => text,
            Self::Shared(message) => message.text(),
        }
    }
}

/// The answer to a web request.
#[derive(Debug)]
pub struct WebResponse {
    /// HTTP status code.
    pub status: u16,
    /// JSON body; `None` for none, and then no content type either.
    pub body: Option<WebBody>,
    /// The tag of the resource that is answered, also where the client has it (304).
    pub tag: Option<Tag>,
    /// Header fields beside those that the transport sets, as services wrote them.
    pub fields: Fields,
}

/// The beginning of a stream of events.
#[derive(Debug)]
pub struct StreamStart {
    /// Header fields of its answer, as services wrote them.
    pub fields: Fields,
    /// The resource set with which it begins, as the answer to a subscribe request; `None` if
    /// the client has it.
    pub set: Option<SharedAnswer>,
    /// The tag of the resource set.
    pub tag: Tag,
}

/// Why the gateway closes a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// A stream has come to its end, since its resource is not sent any more. The gateway has
    /// forgotten the client.
    Ended,
    /// Events waited for a service longer than the queue of a subscription can hold.
    Overflow,
    /// The broker was away, and may have sent meanwhile that the client's token does not hold
    /// any more. The gateway has forgotten the client; it is closed after so many
    /// milliseconds, and what it sends until then means nothing.
    TokenInDoubt {
        /// Milliseconds until then.
        after: u64,
    },
}

/// Something for one connection, in the order in which it must leave.
#[derive(Debug)]
pub enum Delivery {
    /// A message to a WebSocket client, or on a stream.
    Message(Rc<Message>),
    /// An answer to a WebSocket client, a message too.
    Answer(SharedAnswer),
    /// The answer to the connection's web request, or to its upgrade request. The key is
    /// free for the next one.
    Web(Box<WebResponse>),
    /// The upgrade request may be carried out, with these fields in its answer.
    Upgrade(Box<Fields>),
    /// The connection's web request is answered with a stream: from now on it is sent messages.
    Stream(Box<StreamStart>),
    /// On a stream: the tag of all that the client has of it now.
    Rest(Tag),
    /// The client takes requests again (see `Gateway::takes_requests`).
    Resume,
    /// Close the connection; the caller answers with `Gateway::client_closed`.
    Close(CloseReason),
}

impl Delivery {
    /// Whether it is a message to a client.
    pub fn is_message(&self) -> bool {
        match self {
            Self::Message(_) | Self::Answer(_) => true,
            Self::Stream(start) => start.set.is_some(),
            _ => false,
        }
    }

    /// The JSON text of a message to a WebSocket client; `None` for what is none.
    pub fn text(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Message(message) => Some(message.text().into()),
            Self::Answer(answer) => Some(answer.text().into()),
            Self::Stream(start) => Some(start.set.as_ref()?.text().into()),
            Self::Web(_) | Self::Upgrade(_) | Self::Rest(_) | Self::Resume | Self::Close(_) => None,
        }
    }
}

/// A range of [`Outbox::bytes`].
#[derive(Clone, Copy, Debug)]
pub struct Span {
    start: usize,
    end: usize,
}

/// The bytes of an outbox.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Those that a span of a [`BrokerOp`] names.
    pub fn of(self, span: Span) -> &'a [u8] {
        &self.0[span.start..span.end]
    }
}

/// Who wants a request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A client, whose other requests it keeps in order.
    Client(ClientKey),
    /// Several, or none in particular.
    Direct,
    /// The background, which comes after clients.
    Background,
}

/// Where a request stands among what is for the broker.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) struct Place {
    pub after: [u64; 2],
    pub lane: Lane,
    /// The client whose trace it is part of.
    pub traced: Option<ClientKey>,
}

/// Something for the broker, in the order in which it was asked for. The caller may let
/// clients take turns, as far as the order that each operation names is kept.
#[derive(Clone, Copy, Debug)]
pub enum BrokerOp {
    /// Publish a request.
    Publish {
        /// Subject, checked to hold neither white space nor wildcards.
        subject: Span,
        /// Reply subject.
        reply: Span,
        /// Headers, which [`Options::trace_headers`](crate::gateway::Options::trace_headers) has
        /// written; empty for none. They are not counted with the payload, and are left out
        /// where the broker could not take both.
        headers: Span,
        /// Payload, checked against the broker's maximum.
        payload: Span,
        /// IDs of subscriptions behind which it must leave; 0 for none.
        after: [u64; 2],
        /// Who wants it.
        lane: Lane,
    },
    /// Subscribe to a subject; messages for it carry the `sid`.
    Subscribe {
        /// Subscription ID, unique for the connection's life.
        sid: u64,
        /// Subject, its last token a wildcard at most.
        subject: Span,
        /// The client that caused it; `None` if it must not wait for others.
        client: Option<ClientKey>,
    },
    /// End a subscription.
    Unsubscribe {
        /// Subscription ID.
        sid: u64,
    },
}

/// Everything that the inputs since the last [`Outbox::clear`] ask for. A gateway must be
/// given the same one with each input, since it knows of the streak that the next may continue.
#[derive(Debug, Default)]
pub struct Outbox {
    clients: Vec<(ClientKey, Delivery)>,
    broker: Vec<BrokerOp>,
    bytes: Vec<u8>,
    /// What the next input may continue.
    streak: Option<Streak>,
    /// Who gets the messages of the streak.
    receivers: Vec<ClientKey>,
    follower: Option<Rc<Message>>,
}

/// Messages about one resource that the same clients get, one right behind the other.
///
/// While nothing but the events of one resource happens, its subscribers stay who they
/// are. Of the first event each of them gets a [`Delivery`], which begins the streak; of a
/// later one only the message is told, and the transport adds it for all of them at once.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) struct Streak {
    pub resource: ResourceKey,
    /// The form of values that all receivers get.
    pub form: ValueForm,
}

impl Span {
    /// Whether it names nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl Outbox {
    /// Takes what is for connections, oldest first.
    ///
    /// A follower that was not taken before is among it, for each of its receivers.
    pub fn drain_clients(&mut self) -> std::vec::Drain<'_, (ClientKey, Delivery)> {
        if let Some(message) = self.follower.take() {
            let all = self.receivers.iter();
            let all = all.map(|client| (*client, Delivery::Message(message.clone())));
            self.clients.splice(..0, all);
        }
        self.clients.drain(..)
    }

    /// The message whose deliveries in this outbox begin a streak.
    pub fn lead(&self) -> Option<&Rc<Message>> {
        let (_, first) = self.streak.and(self.clients.first())?;
        match first {
            Delivery::Message(message) => Some(message),
            _ => None,
        }
    }

    /// A message for everyone who got the last message of the streak, before all else that
    /// is for connections.
    pub fn take_follower(&mut self) -> Option<Rc<Message>> {
        self.follower.take()
    }

    /// Ends the streak: the transport can add no more to it.
    pub fn seal(&mut self) {
        self.streak = None;
    }

    /// Whether nothing is for connections yet.
    pub(in crate::gateway) fn has_no_deliveries(&self) -> bool {
        self.clients.is_empty() && self.follower.is_none()
    }

    /// Takes the streak that the last input began or continued.
    pub(in crate::gateway) fn take_streak(&mut self) -> Option<Streak> {
        self.streak.take()
    }

    /// Begins a streak with everything that is for connections so far, which is one message
    /// for each of its receivers.
    pub(in crate::gateway) fn begin_streak(&mut self, streak: Streak) {
        self.receivers.clear();
        self.receivers
            .extend(self.clients.iter().map(|(client, _)| *client));
        self.streak = Some(streak);
    }

    /// Continues a streak; returns how many receivers it has.
    pub(in crate::gateway) fn follow(&mut self, streak: Streak, message: Rc<Message>) -> usize {
        self.follower = Some(message);
        self.streak = Some(streak);
        self.receivers.len()
    }

    /// What is for the broker, oldest first.
    pub fn broker(&self) -> &[BrokerOp] {
        &self.broker
    }

    /// The bytes that a span of a [`BrokerOp`] names.
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.bytes[span.start..span.end]
    }

    /// Takes out what `is_taken` says of what is for the broker: somebody else carries it out.
    pub fn withhold(&mut self, mut is_taken: impl FnMut(BrokerOp, Bytes<'_>) -> bool) {
        let bytes = Bytes(&self.bytes);
        self.broker.retain(|op| !is_taken(*op, bytes));
    }

    /// Forgets everything, keeping the memory for the next input, but not that of one
    /// which asked for unusually much.
    pub fn clear(&mut self) {
        self.follower = None;
        self.clients.clear();
        self.broker.clear();
        self.bytes.clear();
        self.clients.shrink_to(DELIVERIES_KEPT);
        self.broker.shrink_to(OPS_KEPT);
        self.bytes.shrink_to(BYTES_KEPT);
        if self.streak.is_none() {
            self.receivers.clear();
            self.receivers.shrink_to(DELIVERIES_KEPT);
        }
    }

    pub(in crate::gateway) fn send(&mut self, client: ClientKey, message: Rc<Message>) {
        self.deliver(client, Delivery::Message(message));
    }

    pub(in crate::gateway) fn publish(
        &mut self,
        subject: &[u8],
        reply: &[u8],
        headers: &[u8],
        payload: &[u8],
        place: Place,
    ) {
        let (subject, reply, payload) = (self.span(subject), self.span(reply), self.span(payload));
        let headers = self.span(headers);
        let Place { after, lane, .. } = place;
        self.broker.push(BrokerOp::Publish {
            subject,
            reply,
            headers,
            payload,
            after,
            lane,
        });
    }

    pub(in crate::gateway) fn subscribe(
        &mut self,
        sid: u64,
        subject: &[&str],
        client: Option<ClientKey>,
    ) {
        let start = self.bytes.len();
        for part in subject {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        let subject = Span {
            start,
            end: self.bytes.len(),
        };
        self.broker.push(BrokerOp::Subscribe {
            sid,
            subject,
            client,
        });
    }

    pub(in crate::gateway) fn unsubscribe(&mut self, sid: u64) {
        self.broker.push(BrokerOp::Unsubscribe { sid });
    }

    fn span(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span {
            start,
            end: self.bytes.len(),
        }
    }

    pub(in crate::gateway) fn deliver(&mut self, client: ClientKey, delivery: Delivery) {
        // What follows would overtake it.
        self.streak = None;
        self.clients.push((client, delivery));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_answer_ends_with_the_id() {
        let body = Message::new(b"{\"result\":{}");
        for id in [0, 7, 10, u64::MAX] {
            let answer = SharedAnswer::new(body.clone(), id);
            let text = Delivery::Answer(answer).text().unwrap().into_owned();
            let expected = format!("{{\"result\":{{}},\"id\":{id}}}");
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
