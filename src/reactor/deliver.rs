//! What the gateway wants done for connections: messages, answers, the end.

use super::clients::Clients;
use super::compression::Compression;
use super::connection::Upgrade;
use super::events;
use super::output::Piece;
use super::site::Site;
use super::streak::Streak;
use crate::gateway::{ClientKey, CloseReason, Delivery, Message, Time};
use crate::res::meta::Fields;

/// Gives a client the first message of a streak.
pub(super) fn lead(
    clients: &mut Clients,
    streak: &mut Streak,
    compression: &mut Compression,
    client: ClientKey,
    message: &Message,
    now: Time,
) {
    clients.send(client, now, |framing| {
        Piece::streak(streak.lead(message, framing, compression))
    });
}

/// Does one thing that the gateway wants done for a connection. The connection may have
/// closed while the gateway did not know it yet: then nothing is left to be done.
pub(super) fn deliver(
    clients: &mut Clients,
    site: &Site,
    compression: &mut Compression,
    client: ClientKey,
    delivery: Delivery,
    now: Time,
) {
    match delivery {
        Delivery::Message(message) => clients.send(client, now, |framing| {
            let envelope = framing.envelope(&message, compression);
            Piece::Message(message, envelope)
        }),
        Delivery::Answer(answer) => clients.send(client, now, |framing| {
            let envelope = framing.envelope(answer.body(), compression);
            Piece::Answer(answer, envelope)
        }),
        Delivery::Web(response) => {
            if let Some((key, connection)) = clients.find(client)
                && let Some(work) = connection.take_work()
            {
                connection.known = false;
                site.answer(clients, key, &work, *response, now);
            }
        }
        Delivery::Stream(start) => events::begin(clients, site, client, *start, now),
        Delivery::Rest(tag) => {
            if let Some((key, connection)) = clients.find(client)
                && let Some(text) = connection.framing().and_then(|it| it.rest(tag))
            {
                clients.push(key, Piece::Bytes(text.into()), now);
            }
        }
        Delivery::Upgrade(fields) => upgrade(clients, site, client, &fields, now),
        Delivery::Resume => {
            if let Some((key, _)) = clients.find(client) {
                clients.wake(key);
            }
        }
        Delivery::Close(reason) => close(clients, site, client, reason, now),
    }
}

/// Says goodbye to a client that is sent messages.
fn close(clients: &mut Clients, site: &Site, client: ClientKey, reason: CloseReason, now: Time) {
    let Some((key, connection)) = clients.find(client) else {
        return;
    };
    if connection.framing().is_none() {
        // Its stream has not begun.
        if let Some(work) = connection.take_work() {
            clients.disown(key);
            site.unavailable(clients, key, &work, now);
        }
        return;
    }
    match reason {
        CloseReason::Ended => clients.say_goodbye(key, Some(1000), "", now),
        CloseReason::Overflow => {
            let text = "too many events wait for a service";
            log::debug!("client {} closed: {text}", connection.remote);
            clients.say_goodbye(key, Some(1013), text, now);
        }
        CloseReason::TokenInDoubt { after } => clients.close_later(key, Time(now.0 + after)),
    }
}

/// Makes a WebSocket of a connection whose upgrade request the gateway has agreed to.
fn upgrade(clients: &mut Clients, site: &Site, client: ClientKey, fields: &Fields, now: Time) {
    let Some((key, connection)) = clients.find(client) else {
        return;
    };
    let has_ended = connection.ended;
    let Some(mut work) = connection.take_work() else {
        return;
    };
    if site.is_closing {
        clients.disown(key);
        return site.unavailable(clients, key, &work, now);
    }
    match work.upgrade.take() {
        // Half a WebSocket is none, and no event would tell of its end again.
        Some(Ok(_)) if has_ended => clients.kill(key),
        Some(Ok(upgrade)) => {
            if let Err(crowded) = clients.identify(key, upgrade.remote) {
                clients.disown(key);
                return site.refuse_crowded(clients, key, &work, crowded, now);
            }
            let Upgrade {
                proof, agreement, ..
            } = *upgrade;
            site.upgrade(clients, key, &proof, agreement, fields, now);
            clients.wake(key);
        }
        Some(Err(refusal)) => {
            clients.disown(key);
            site.refuse_upgrade(clients, key, refusal, &work, now);
        }
        None => {}
    }
}
