//! The servers that a link knows: those of the configuration, and those that they tell of.
//! No sockets, no clock.

use std::fmt;

use crate::nats::{Credentials, ServerUrl};

/// Most servers that are kept beside those of the configuration.
pub(crate) const TOLD_MAX: usize = 32;

/// A server, and how to be sure that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) url: ServerUrl,
    /// The host that its certificate must name.
    pub(super) certified: String,
}

impl Server {
    fn is_at(&self, url: &ServerUrl) -> bool {
        self.url.host == url.host && self.url.port == url.port
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// All servers.
#[derive(Debug)]
pub(super) struct Pool {
    configured: Vec<Server>,
    told: Vec<Server>,
}

impl Pool {
    /// The servers of the configuration.
    pub(super) fn new(servers: Vec<ServerUrl>) -> Self {
        let configured = servers.into_iter().map(|url| Server {
            certified: url.host.clone(),
            url,
        });
        Self {
            configured: configured.collect(),
            told: Vec::new(),
        }
    }

    /// Takes what a server tells of its cluster, in place of what was told before. These
    /// servers are spoken to as the teller is: with its credentials, and with TLS if its URL
    /// asks for it. An address has no name of its own, so that its certificate must be the
    /// teller's.
    pub(super) fn learn(&mut self, urls: &[String], teller: &Server) {
        self.told.clear();
        for text in urls {
            if self.told.len() >= TOLD_MAX {
                return;
            }
            let Ok(url) = ServerUrl::parse(text) else {
                log::debug!("a NATS server tells of another whose address is none: {text:?}");
                continue;
            };
            if url.credentials != Credentials::None || self.all().any(|there| there.is_at(&url)) {
                continue;
            }
            let is_address = url.host.parse::<std::net::IpAddr>().is_ok();
            self.told.push(Server {
                certified: match is_address {
                    true => teller.certified.clone(),
                    false => url.host.clone(),
                },
                url: ServerUrl {
                    tls: url.tls || teller.url.tls,
                    credentials: teller.url.credentials.clone(),
                    ..url
                },
            });
        }
    }

    /// The servers in the order in which they are tried: first those of the configuration,
    /// as they may be the only ones that can be reached from here; and of each kind the one
    /// behind `last` first, and that one last.
    pub(super) fn round(&self, last: Option<&Server>) -> Vec<Server> {
        let mut servers = Vec::with_capacity(self.configured.len() + self.told.len());
        for kind in [&self.configured, &self.told] {
            let is_last = |there: &Server| last.is_some_and(|last| there.is_at(&last.url));
            let next = kind.iter().position(is_last).map_or(0, |place| place + 1);
            servers.extend(kind[next..].iter().chain(&kind[..next]).cloned());
        }
        servers
    }

    fn all(&self) -> impl Iterator<Item = &Server> {
        self.configured.iter().chain(&self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(urls: &str) -> Pool {
        Pool::new(ServerUrl::parse_list(urls).expect("URLs"))
    }

    fn words(servers: &[Server]) -> Vec<String> {
        servers.iter().map(ToString::to_string).collect()
    }

    fn told(urls: &[&str]) -> Vec<String> {
        urls.iter().map(|url| (*url).to_owned()).collect()
    }

    #[test]
    fn what_is_told_joins_the_list_once_and_as_its_teller_is_spoken_to() {
        let mut pool = pool("tls://u:p@a:1,nats://t@10.0.0.9:2");
        let urls = told(&[
            "a:1",
            "10.0.0.7:4222",
            "b:3",
            "10.0.0.7:4222",
            "",
            "x@c:1",
            "a:b:c",
        ]);
        let servers = pool.round(None);
        pool.learn(&urls, &servers[0]);
        let servers = pool.round(None);
        assert_eq!(
            words(&servers),
            [
                "tls://a:1",
                "nats://10.0.0.9:2",
                "tls://10.0.0.7:4222",
                "tls://b:3"
            ]
        );
        assert!(
            servers[2..]
                .iter()
                .all(|there| there.url.credentials == servers[0].url.credentials)
        );
        assert_eq!(servers[2].certified, "a");
        assert_eq!(servers[3].certified, "b");
        // The next telling is in its place.
        pool.learn(&told(&["d:1"]), &servers[1]);
        let servers = pool.round(None);
        assert_eq!(words(&servers)[2..], ["nats://d:1"]);
        assert_eq!(servers[2].url.credentials, servers[1].url.credentials);
    }

    #[test]
    fn nobody_tells_of_too_many() {
        let mut pool = pool("a");
        let urls: Vec<String> = (1..1_000).map(|port| format!("b:{port}")).collect();
        let teller = pool.round(None).remove(0);
        pool.learn(&urls, &teller);
        assert_eq!(pool.round(None).len(), 1 + TOLD_MAX);
    }

    #[test]
    fn a_round_ends_with_the_server_that_was_last() {
        let pool = pool("a:1,b:1,c:1");
        let servers = pool.round(None);
        let after = |server| words(&pool.round(Some(server)));
        assert_eq!(
            after(&servers[0]),
            ["nats://b:1", "nats://c:1", "nats://a:1"]
        );
        assert_eq!(
            after(&servers[2]),
            ["nats://a:1", "nats://b:1", "nats://c:1"]
        );
        let gone = Server {
            url: ServerUrl::parse("z").expect("a URL"),
            certified: "z".into(),
        };
        assert_eq!(after(&gone), words(&servers));
    }

    #[test]
    fn servers_that_are_told_of_come_behind_those_of_the_configuration() {
        let mut pool = pool("a:1,b:1");
        let teller = pool.round(None).remove(0);
        pool.learn(&told(&["c:1", "d:1"]), &teller);
        let servers = pool.round(None);
        let after = |server| words(&pool.round(Some(server))).join(" ");
        let round = ["nats://b:1", "nats://a:1", "nats://c:1", "nats://d:1"];
        assert_eq!(after(&servers[0]), round.join(" "));
        let round = ["nats://a:1", "nats://b:1", "nats://d:1", "nats://c:1"];
        assert_eq!(after(&servers[2]), round.join(" "));
    }
}
