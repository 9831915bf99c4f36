//! The pages of the demonstration, on the paths that are nobody else's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Reactor;
use super::connection::ConnectionKey;
use crate::config::Config;
use crate::demo::pages::{Facts, Pages};
use crate::http::{Persistence, Request};

impl Reactor {
    /// Shows the pages from now on, if there is a demonstration, and says where.
    #[cold]
    pub(super) fn open_demo(&mut self, config: &Config, address: SocketAddr) -> io::Result<()> {
        let Some(services) = self.services.as_ref().filter(|_| config.demo) else {
            return Ok(());
        };
        let broker = reachable(services.local_addr()?);
        let program = std::env::args_os().next().unwrap_or_default();
        let program = program.to_string_lossy();
        // Where it lies is nobody's business.
        let program = match program.rsplit_once('/') {
            Some((place, name)) if place.is_empty() || place.starts_with('/') => name,
            _ => &*program,
        };
        self.site.pages = Some(Box::new(Pages::new(&Facts {
            program,
            broker: &broker.to_string(),
            ws_path: &config.ws_path,
            api_path: &config.api_path,
            console_path: config.console.as_deref().unwrap_or_default(),
        })));
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let address = reachable(address);
        log::info!("Demo: open {scheme}://{address}/ in two windows; Ctrl-C ends it");
        Ok(())
    }

    /// Answers a request for a page. `false` if there is none.
    #[cold]
    pub(super) fn show_page(&mut self, key: ConnectionKey, request: &Request<'_>) -> bool {
        let head = &request.head;
        let is_read = matches!(head.method(), "GET" | "HEAD");
        if !is_read || head.field("upgrade").is_some() {
            return false;
        }
        let persistence: Persistence = request.persistence;
        let (clients, now) = (&mut self.clients, self.clock.now());
        self.site.answer_page(clients, key, head, persistence, now)
    }
}

/// The address by which this host reaches what listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()),
        false => address,
    }
}
