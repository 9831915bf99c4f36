//! What the gateway wants done for connections: messages, answers, the end.

use super::clients::Clients;
use super::compression::Compression;
use super::connection::{Phase, Upgrade};
use super::input;
use super::site::Site;
use super::streak::Streak;
use crate::gateway::{CloseReason, Delivery, Message, Time};
use std::rc::Rc;

/// Gives a client the first message of a streak.
pub(super) fn lead(
    clients: &mut Clients,
    streak: &mut Streak,
    compression: &mut Compression,
    key: u32,
    message: &Rc<Message>,
    now: Time,
) {
    let Some(connection) = clients.get_mut(key) else {
        return;
    };
    if let Phase::WebSocket(decoder) = &connection.phase {
        let piece = streak.lead(message, decoder.agreement(), compression);
        clients.push(key, piece, now);
    }
}

/// Does one thing that the gateway wants done for a connection.
pub(super) fn deliver(
    clients: &mut Clients,
    site: &Site,
    compression: &mut Compression,
    key: u32,
    delivery: Delivery,
    now: Time,
) {
    let Some(connection) = clients.get_mut(key) else {
        return;
    };
    match (delivery, &mut connection.phase) {
        (Delivery::Message(message), Phase::WebSocket(decoder)) => {
            let piece = compression.piece(message, decoder.agreement());
            clients.push(key, piece, now);
        }
        (Delivery::Answer(answer), Phase::WebSocket(decoder)) => {
            let piece = compression.answer(answer, decoder.agreement());
            clients.push(key, piece, now);
        }
        (Delivery::Web(response), Phase::Http(http)) => {
            if let Some(work) = http.work.take() {
                connection.known = false;
                site.answer(clients, key, &work, *response, now);
            }
        }
        (Delivery::Upgrade(fields), Phase::Http(http)) => {
            let Some(mut work) = http.work.take() else {
                return;
            };
            if site.is_closing {
                clients.disown(key);
                return site.unavailable(clients, key, &work, now);
            }
            match work.upgrade.take() {
                // Half a WebSocket is none, and no event would tell of its end again.
                Some(Ok(_)) if connection.ended => clients.kill(key),
                Some(Ok(Upgrade { proof, agreement })) => {
                    site.upgrade(clients, key, &proof, agreement, &fields, now);
                    clients.wake(key);
                }
                Some(Err(refusal)) => {
                    clients.disown(key);
                    site.refuse_upgrade(clients, key, refusal, &work, now);
                }
                None => {}
            }
        }
        (Delivery::Resume, _) => clients.wake(key),
        (Delivery::Close(reason), Phase::WebSocket(_)) => {
            let (code, text) = match reason {
                CloseReason::Overflow => (1013, "too many events wait for a service"),
            };
            log::debug!("client {} closed: {text}", connection.remote);
            input::close_socket(clients, key, Some(code), text, now);
        }
        // It closed while the gateway did not know it yet.
        (_, _) => {}
    }
}
