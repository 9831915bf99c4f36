//! Which server a link tries next, and at which of its addresses. No sockets, no clock.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::vec::IntoIter;

use crate::reactor::error::BrokerError;

/// What is to be tried next. Servers are named by their place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Find the addresses of the server's host, and tell [`Route::resolved`].
    Resolve(usize),
    /// Connect to the server at this address, and tell [`Route::failed`] if it fails.
    Connect(usize, SocketAddr),
}

/// The way through the list: each server in turn, each address of its host in turn.
#[derive(Debug)]
pub(super) struct Route {
    /// How many servers there are.
    servers: usize,
    /// The one that is tried; all have failed when it is none of them.
    server: usize,
    /// Its addresses that were not tried yet; `None` while they are not known.
    addresses: Option<IntoIter<SocketAddr>>,
    /// What went wrong with it last.
    last: Option<BrokerError>,
    /// What went wrong last with each server before it.
    failures: Vec<BrokerError>,
}

impl Route {
    /// The way through a list of so many servers, from its beginning.
    pub(super) fn new(servers: usize) -> Self {
        Self {
            servers,
            server: 0,
            addresses: None,
            last: None,
            failures: Vec::new(),
        }
    }

    /// The server that is tried.
    pub(super) fn server(&self) -> usize {
        self.server
    }

    /// The next move, once the one before has failed; `None` if nothing is left to try.
    pub(super) fn next(&mut self) -> Option<Move> {
        while self.server < self.servers {
            let Some(addresses) = &mut self.addresses else {
                return Some(Move::Resolve(self.server));
            };
            if let Some(address) = addresses.next() {
                return Some(Move::Connect(self.server, address));
            }
            let none = || BrokerError::Resolve(ErrorKind::NotFound.into());
            self.failures.push(self.last.take().unwrap_or_else(none));
            self.server += 1;
            self.addresses = None;
        }
        None
    }

    /// The server's host has these addresses, or none are known.
    pub(super) fn resolved(&mut self, answer: io::Result<Vec<SocketAddr>>) {
        match answer {
            Ok(addresses) => self.addresses = Some(addresses.into_iter()),
            Err(error) => self.unresolved(BrokerError::Resolve(error)),
        }
    }

    /// The server's host cannot be looked up.
    pub(super) fn unresolved(&mut self, error: BrokerError) {
        self.addresses = Some(Vec::new().into_iter());
        self.last = Some(error);
    }

    /// The server did not take the connection at the address of the last move.
    pub(super) fn failed(&mut self, error: BrokerError) {
        self.last = Some(error);
    }

    /// What went wrong last with each server, in the order of the list.
    pub(super) fn take_failures(&mut self) -> Vec<BrokerError> {
        std::mem::take(&mut self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn timeout(ms: u64) -> BrokerError {
        BrokerError::ConnectTimeout { ms }
    }

    fn words(failures: &[BrokerError]) -> Vec<String> {
        failures.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_address_of_each_server_is_tried_in_turn() {
        let mut route = Route::new(3);
        assert_eq!(route.next(), Some(Move::Resolve(0)));
        // It is not forgotten that the answer is still to come.
        assert_eq!(route.next(), Some(Move::Resolve(0)));
        route.resolved(Ok(vec![address(1), address(2)]));
        assert_eq!(route.next(), Some(Move::Connect(0, address(1))));
        route.failed(timeout(1));
        assert_eq!(route.next(), Some(Move::Connect(0, address(2))));
        route.failed(timeout(2));
        assert_eq!(route.next(), Some(Move::Resolve(1)));
        route.resolved(Err(io::Error::other("no such name")));
        assert_eq!(route.next(), Some(Move::Resolve(2)));
        route.resolved(Ok(vec![address(3)]));
        assert_eq!(route.next(), Some(Move::Connect(2, address(3))));
        route.failed(timeout(3));
        assert_eq!(route.next(), None);
        assert_eq!(route.next(), None);
        assert_eq!(
            words(&route.take_failures()),
            [
                "no connection within 2 ms",
                "the host has no known address (no such name)",
                "no connection within 3 ms",
            ]
        );
    }

    #[test]
    fn a_host_without_addresses_and_a_look_up_that_cannot_begin_are_failures() {
        let mut route = Route::new(2);
        route.next();
        route.resolved(Ok(Vec::new()));
        assert_eq!(route.next(), Some(Move::Resolve(1)));
        route.unresolved(BrokerError::LookUp(io::Error::other("no threads")));
        assert_eq!(route.next(), None);
        let words = words(&route.take_failures());
        assert!(words[0].contains("no known address"), "{words:?}");
        assert!(words[1].contains("no threads"), "{words:?}");
    }
}
