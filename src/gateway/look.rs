//! What can be seen of clients and resources from outside. Nothing is changed, and whatever
//! may be long is seen in parts.

use core::net::SocketAddr;

use crate::gateway::Gateway;
use crate::gateway::model::keys::{AliasKey, ClientKey};
use crate::gateway::model::sid::Sid;
use crate::gateway::parts::holdings::{Standing, Sub};
use crate::gateway::parts::sessions::{Client, Transport};

/// A connection.
#[derive(Clone, Copy, Debug)]
pub struct ClientSight<'a> {
    /// Its key.
    pub key: ClientKey,
    /// Its connection ID.
    pub cid: &'a str,
    /// How it is connected: `websocket`, `stream` or `http`.
    pub transport: &'static str,
    /// Its address.
    pub remote: SocketAddr,
    /// Whether it has a token.
    pub has_token: bool,
    /// Resources that it is directly subscribed to.
    pub direct: u32,
    /// Whether it waits for the answer to a request.
    pub has_requests: bool,
    /// Bytes that wait with its requests.
    pub waiting: usize,
}

/// What a client holds of a resource.
#[derive(Clone, Copy, Debug)]
pub struct HoldingSight<'a> {
    /// The client's connection ID.
    pub cid: &'a str,
    /// The resource ID, as the client writes it.
    pub rid: &'a str,
    /// How often it is directly subscribed to.
    pub direct: u16,
    /// How many resources reference it that the client holds or will.
    pub references: u32,
    /// How it stands: `live`, `loading`, `loaded`, `lagging`, `failed` or `deleted`.
    pub state: &'static str,
}

/// A resource, by an ID that clients write.
#[derive(Clone, Copy, Debug)]
pub struct ResourceSight<'a> {
    /// The query that its service knows it by; empty for none.
    pub query: &'a str,
    /// `model` or `collection`; `None` while it is not cached.
    pub kind: Option<&'static str>,
    /// Bytes of its JSON.
    pub bytes: usize,
    /// Its properties or values.
    pub length: usize,
    /// Clients that hold it by this ID.
    pub holders: usize,
    /// Other IDs that mean the same.
    pub aliases: usize,
}

/// A part of a list, and where the next one begins.
#[derive(Clone, Debug)]
pub struct Part<T> {
    /// What is in it.
    pub rows: Vec<T>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<usize>,
}

/// Places of the table of connections that are looked at for one part of their list.
const PLACES: usize = 4_096;

/// Of what a client holds, no more is seen: to go there takes a step for each.
const HOLDINGS_MAX: usize = 10_000;

impl Gateway {
    /// The subscription ID of answers to requests, which all come on the same.
    pub fn answers_sid() -> u64 {
        Sid::Inbox.number()
    }

    /// Whether messages for a subscription still mean anything.
    pub fn hears(&self, sid: u64) -> bool {
        match Sid::of(sid) {
            Some(Sid::Name(name)) => self.cache.names().contains(name),
            _ => true,
        }
    }

    /// The connection with an ID, if `Options::finds_clients` says that they can be found.
    pub fn find_client(&self, cid: &str) -> Option<ClientKey> {
        self.sessions.with_cid(cid)
    }

    /// The head of the request that a client connected with, and the address that it came from.
    pub fn origin_of(&self, client: ClientKey) -> Option<(&[u8], SocketAddr)> {
        let client = self.sessions.get(client)?;
        Some((client.head(), client.remote()))
    }

    /// One connection.
    pub fn see_client(&self, key: ClientKey) -> Option<ClientSight<'_>> {
        Some(sight(key, self.sessions.get(key)?))
    }

    /// Connections that last, from a place of their table on: so many at most.
    pub fn see_clients(&self, from: usize, most: usize) -> Part<ClientSight<'_>> {
        let (mut rows, places) = (Vec::new(), self.sessions.places());
        let end = places.min(from.saturating_add(PLACES));
        for place in from..end {
            if rows.len() == most {
                let next = Some(place);
                return Part { rows, next };
            }
            let key = ClientKey(place as u32);
            let client = self.sessions.get(key).filter(|client| !client.is_http());
            rows.extend(client.map(|client| sight(key, client)));
        }
        let next = (end < places).then_some(end);
        Part { rows, next }
    }

    /// What a client holds, behind so many others: so many at most.
    pub fn see_holdings(
        &self,
        client: ClientKey,
        from: usize,
        most: usize,
    ) -> Part<HoldingSight<'_>> {
        let first = self.holdings.first(client);
        let all = std::iter::successors(first, |key| self.holdings.next(*key));
        let (mut rows, mut next) = (Vec::new(), None);
        for (place, key) in all.enumerate().take(HOLDINGS_MAX).skip(from) {
            if rows.len() == most {
                next = Some(place);
                break;
            }
            let sub = self.holdings.get(key);
            rows.extend(sub.and_then(|sub| self.see_holding(sub)));
        }
        Part { rows, next }
    }

    /// A resource, by the ID that clients write.
    pub fn see_resource(&self, rid: &str) -> Option<ResourceSight<'_>> {
        let key = self.cache.alias(rid, None)?;
        let alias = &self.cache.aliases()[key];
        let resource = self.cache.resource_of(key);
        let content = resource.map(|resource| &resource.content);
        Some(ResourceSight {
            query: resource.map_or(&alias.query, |resource| &resource.query),
            kind: content.map(|content| match content.is_model() {
                true => "model",
                false => "collection",
            }),
            bytes: content.map_or(0, |content| content.bytes()),
            length: content.map_or(0, |content| content.size()),
            holders: alias.subs.len(),
            aliases: resource.map_or(0, |resource| resource.aliases.len().saturating_sub(1)),
        })
    }

    /// Who holds a resource by an ID, from a place of the list on: so many at most.
    pub fn see_holders(&self, rid: &str, from: usize, most: usize) -> Part<HoldingSight<'_>> {
        let alias = self.cache.alias(rid, None);
        let subs = alias.map_or(&[][..], |key: AliasKey| &self.cache.aliases()[key].subs);
        let there = subs.get(from..).unwrap_or_default();
        let rows = there.iter().take(most);
        let rows = rows.filter_map(|key| self.see_holding(self.holdings.get(*key)?));
        Part {
            rows: rows.collect(),
            next: (there.len() > most).then_some(from + most),
        }
    }

    /// The windows of services: name, size, open and waiting requests of each.
    pub fn see_windows(&self) -> impl Iterator<Item = (&str, [usize; 3])> {
        self.windows.iter()
    }

    fn see_holding(&self, sub: &Sub) -> Option<HoldingSight<'_>> {
        Some(HoldingSight {
            cid: self.sessions.get(sub.client())?.cid(),
            rid: self.cache.rid(sub.alias()),
            direct: sub.holders.direct(),
            references: sub.holders.all_parents(),
            state: match &sub.standing {
                Standing::Loading(_) => "loading",
                Standing::Pinned(_) => "loaded",
                Standing::Live => "live",
                Standing::Lagging(_) => "lagging",
                Standing::Failed(_) => "failed",
                Standing::Deleted(_) => "deleted",
            },
        })
    }
}

fn sight(key: ClientKey, client: &Client) -> ClientSight<'_> {
    ClientSight {
        key,
        cid: client.cid(),
        transport: match client.transport() {
            Transport::WebSocket => "websocket",
            Transport::Stream(_) => "stream",
            Transport::Upgrading(_) | Transport::Web(_) | Transport::Opening(_) => "http",
        },
        remote: client.remote(),
        has_token: client.token().is_some(),
        direct: client.subscribed(),
        has_requests: client.has_requests(),
        waiting: client.waiting(),
    }
}
