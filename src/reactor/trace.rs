//! What the log shows of messages with `--trace`, in Resgate's form: towards services
//! `<==` a request, `==>` its answer, `x=>` word that none will come, `=>>` an event, `S=>`
//! and `U=>` subscriptions; towards clients `-->` a request, `<--` its answer and `<<-` an
//! event. Tokens are masked.

use crate::gateway::{ClientKey, Delivery, Gateway, Message};
use crate::nats;
use crate::res::trace::{Masked, reply_id};
use log::{Level, log_enabled, trace};

/// Whether messages are shown. Where texts have to be made or looked up first, this is
/// asked before.
pub(super) fn is_on() -> bool {
    log_enabled!(Level::Trace)
}

/// A request to services.
pub(super) fn request(subject: &[u8], reply: &[u8], payload: &[u8]) {
    trace!(
        "<== ({}) {}: {}",
        reply_id(reply),
        String::from_utf8_lossy(subject),
        Masked(payload)
    );
}

/// A subscription of ours.
pub(super) fn subscribed(subject: &[u8]) {
    trace!("S=> {}", String::from_utf8_lossy(subject));
}

/// A message of services.
pub(super) fn message(message: &nats::Message<'_>) {
    let subject = message.subject;
    if !subject.starts_with(b"_INBOX.") {
        trace!(
            "=>> {}: {}",
            String::from_utf8_lossy(subject),
            Masked(message.payload)
        );
    } else if message.status == Some(503) && message.payload.is_empty() {
        trace!("x=> ({}) No responders", reply_id(subject));
    } else {
        trace!("==> ({}): {}", reply_id(subject), Masked(message.payload));
    }
}

/// Something for a client.
pub(super) fn delivery(gateway: &Gateway, client: ClientKey, delivery: &Delivery) {
    let cid = gateway.cid(client).unwrap_or_default();
    if let Some(text) = delivery.text() {
        let arrow = match text.starts_with(b"{\"event\":") {
            true => "<<-",
            false => "<--",
        };
        trace!("[{cid}] {arrow} {}", Masked(&text));
    }
}

/// An event for all clients that got the one before it.
pub(super) fn follower(message: &Message, receivers: u64) {
    trace!("[{receivers} clients] <<- {}", Masked(message.text()));
}
