//! The traces that clients are part of: every other client is part of one, and what is sent for
//! it says so, and nothing else does.

use super::request::{Kind, Request};
use super::script::CLIENTS;
use super::simulator::World;

/// The head that the client in a place comes with.
pub fn head(place: usize) -> Vec<u8> {
    let trace = match place % 2 {
        0 => format!("traceparent: {place}\r\n"),
        _ => String::new(),
    };
    format!("GET / HTTP/1.1\r\nHost: h\r\n{trace}\r\n").into_bytes()
}

/// What the gateway is to send for whoever has come with a head.
pub fn headers(head: &[u8]) -> Option<Box<[u8]>> {
    let head = std::str::from_utf8(head).ok()?;
    let field = head
        .lines()
        .find(|line| line.starts_with("traceparent: "))?;
    Some(format!("NATS/1.0\r\n{field}\r\n\r\n").into_bytes().into())
}

impl World {
    /// A request goes with these headers.
    pub fn check_trace(&self, request: &Request, got: &str) -> Result<(), String> {
        let of = |place| {
            let headers = headers(&head(place)).unwrap_or_default();
            String::from_utf8(headers.into()).expect("it is text")
        };
        let known = request.cid().and_then(|cid| {
            let is_it = |client: &Option<_>| {
                (client.as_ref()).is_some_and(|client: &super::client::Client| client.cid == cid)
            };
            self.clients.iter().position(is_it)
        });
        let clients = (0..CLIENTS).filter(|place| self.clients[*place].is_some());
        let web = (0..self.web.len()).filter(|place| self.web[*place].pending);
        let mut there = clients.chain(web.map(|place| CLIENTS + place));
        let is_right = match (&request.kind, known) {
            (Kind::Query | Kind::Renew, _) => got.is_empty(),
            (Kind::Call(_) | Kind::Auth, Some(place)) => got == of(place),
            // It may be asked once more, which nobody waits for.
            (Kind::Access, Some(place)) => got.is_empty() || got == of(place),
            _ => got.is_empty() || there.any(|place| got == of(place)),
        };
        match is_right {
            true => Ok(()),
            false => Err(format!("{} goes with the headers {got:?}", request.subject)),
        }
    }
}
