//! What a request to read says of its answer, heeded; and how an answer becomes a stream.

use std::net::SocketAddr;

use super::clients::Clients;
use super::connection::{EventsAsked, Work};
use super::framing::Chunking;
use super::site::Site;
use crate::gateway::{ClientKey, Have, StreamStart, Tag, Time, WebAction};
use crate::http::{Has, Head, Version, Wishes};

/// Seconds for which the answer to a request may wait for a change.
pub(crate) const WAIT_MAX: u32 = 60;

/// What is done for a request to read, and what its client has already.
pub(super) fn heed(
    head: &Head<'_>,
    remote: SocketAddr,
    now: Time,
    work: &mut Work,
) -> (WebAction<'static>, Have) {
    let wishes = Wishes::of(head);
    work.is_of_page = wishes.is_of_page;
    if wishes.stream {
        let chunking = match head.version() {
            Version::Http11 => Chunking::Chunked,
            Version::Http10 => Chunking::Plain,
        };
        work.events = Some(Box::new(EventsAsked { remote, chunking }));
        if work.is_head {
            // Whether there would be a stream is known when the resource is there.
            return (WebAction::Get, Have::Nothing);
        }
        let tag = wishes.last_event.and_then(Tag::parse);
        return (WebAction::Stream, tagged(tag));
    }
    let have = match wishes.has {
        None => Have::Nothing,
        Some(Has::Any) => Have::Anything,
        // Others are no tags of ours.
        Some(Has::Tags(tags)) => tagged(tags.into_iter().filter_map(Tag::parse)),
    };
    if have != Have::Nothing
        && let Some(seconds) = wishes.wait.filter(|seconds| *seconds > 0)
    {
        let seconds = seconds.min(WAIT_MAX);
        work.wait = Some((seconds, Time(now.0 + 1_000 * u64::from(seconds))));
    }
    (WebAction::Get, have)
}

fn tagged(tags: impl IntoIterator<Item = Tag>) -> Have {
    let tags: Box<[Tag]> = tags.into_iter().collect();
    match tags.is_empty() {
        true => Have::Nothing,
        false => Have::Tagged(tags),
    }
}

/// The gateway answers a request with a stream. From now on its connection counts by its
/// client's address, as that of a WebSocket does.
pub(super) fn begin(
    clients: &mut Clients,
    site: &Site,
    client: ClientKey,
    start: StreamStart,
    now: Time,
) {
    let Some((key, connection)) = clients.find(client) else {
        return;
    };
    let has_ended = connection.ended;
    let Some(mut work) = connection.take_work() else {
        return;
    };
    let Some(asked) = work.events.take() else {
        return;
    };
    if has_ended {
        // No event would tell of its end again.
        return clients.kill(key);
    }
    if site.is_closing {
        clients.disown(key);
        return site.unavailable(clients, key, &work, now);
    }
    if let Err(crowded) = clients.identify(key, asked.remote) {
        clients.disown(key);
        return site.refuse_crowded(clients, key, &work, crowded, now);
    }
    site.begin_events(clients, key, &work, start, asked.chunking, now);
}
