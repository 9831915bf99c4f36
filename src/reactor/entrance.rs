//! How connections come in: accepted, counted, or refused in a few words; and whose they are,
//! where proxies stand in between.

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;

use super::Reactor;
use super::admission::Crowded;
use super::connection::{ConnectionKey, Http, Phase};
use super::deadlines::Kind;
use super::output::Piece;
use super::stream::Stream;
use crate::config::{Config, Networks};
use crate::gateway::Time;
use crate::http::{Head, forwarded};
use crate::proxy::{self, HEADER_MAX, HeaderError, Step};
use crate::tls::{Failure, Tls};

/// Which proxies are believed, and what they speak.
#[derive(Debug)]
pub(super) struct Proxies {
    trusted: Networks,
    /// They speak the PROXY protocol.
    has_header: bool,
}

impl Proxies {
    /// Those of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            trusted: config.trusted_proxies.clone(),
            has_header: config.proxy_protocol,
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        !self.trusted.is_empty() && self.trusted.contains(address)
    }

    /// Where a request comes from by its head, if who sent it may say so.
    pub(super) fn client(&self, head: &Head<'_>, peer: SocketAddr) -> SocketAddr {
        match self.trusts(peer.ip()) {
            true => forwarded::client(head, peer, |address| self.trusts(address)),
            false => peer,
        }
    }
}

/// Why a connection that came by a proxy cannot be taken.
enum Unproxied {
    Socket(io::Error),
    Ended,
    Header(HeaderError),
    Tls(Failure),
}

impl Reactor {
    /// Takes what the listener has, a bounded number.
    pub(super) fn accept(&mut self, now: Time) {
        // It is put back: nothing else accepts.
        let Some(mut listener) = self.listener.take() else {
            return;
        };
        listener.accept(now, |socket, remote| self.enter(socket, remote, now));
        self.listener = Some(listener);
    }

    /// A new connection. The address of a proxy says nothing of whose it is.
    fn enter(&mut self, socket: TcpStream, remote: SocketAddr, now: Time) {
        let is_proxy = self.proxies.trusts(remote.ip());
        let has_header = is_proxy && self.proxies.has_header;
        let place = match self.clients.admit((!is_proxy).then_some(remote.ip())) {
            Ok(place) => place,
            Err(crowded) => return self.turn_away(socket, remote, crowded, now),
        };
        let mut stream = Stream::without_tls(socket);
        if !has_header && let Err(failure) = self.secure(&mut stream) {
            log::error!("cannot begin TLS with {remote}: {failure}");
            return self.clients.leave(place, remote);
        }
        let registry = self.poll.registry();
        let key = self.clients.insert(registry, stream, remote, place, now);
        if has_header
            && let Some(key) = key
            && let Some(connection) = self.clients.get_mut(key)
        {
            connection.phase = Phase::Proxied;
        }
    }

    /// Begins TLS, where clients are served that.
    fn secure(&self, stream: &mut Stream) -> Result<(), Failure> {
        if let Some(tls) = &self.tls {
            stream.secure(Tls::server(tls.config())?);
        }
        Ok(())
    }

    /// Refuses a connection: with one write, and a close that lets it arrive. With TLS it is
    /// closed at once: a handshake costs more than it is worth.
    fn turn_away(
        &mut self,
        mut socket: TcpStream,
        remote: SocketAddr,
        crowded: Crowded,
        now: Time,
    ) {
        log::debug!("client {remote} is refused: {crowded}");
        self.clients.note_crowd(now);
        if self.tls.is_some() {
            return;
        }
        let answer = self.site.crowded(crowded);
        // A fresh socket has room for it. If not, nobody is there to read it.
        if socket.write(&answer).is_ok_and(|len| len == answer.len()) {
            let stream = Stream::without_tls(socket);
            let registry = self.poll.registry();
            self.clients.refuse(registry, stream, remote, now);
        }
    }

    /// Looks for what a proxy says of a connection, before anything of that is read. Returns
    /// whether its input may be read now.
    pub(super) fn take_proxy_header(&mut self, key: ConnectionKey) -> bool {
        let Some(connection) = self.clients.get_mut(key) else {
            return false;
        };
        if !matches!(connection.phase, Phase::Proxied) || !connection.readable {
            return false;
        }
        let remote = connection.remote;
        let client = match self.find_proxy_header(key) {
            Ok(None) => return false,
            Ok(Some(client)) => client,
            Err(cause) => {
                match cause {
                    Unproxied::Socket(error) => log::debug!("client {remote} is gone: {error}"),
                    Unproxied::Ended => {}
                    Unproxied::Header(error) => log::debug!("proxy {remote} refused: {error}"),
                    Unproxied::Tls(failure) => {
                        log::error!("cannot begin TLS with {remote}: {failure}");
                    }
                }
                self.clients.kill(key);
                return false;
            }
        };
        match client {
            None => {}
            // It may say itself whose its requests are.
            Some(client) if self.proxies.trusts(client.ip()) => {
                self.clients.set_remote(key, client);
            }
            Some(client) => {
                if let Err(crowded) = self.clients.identify(key, client) {
                    self.turn_out(key, crowded);
                    return false;
                }
            }
        }
        // With TLS it stands among those whose handshake goes on.
        if self.tls.is_some() {
            self.clients.wake(key);
        }
        self.tls.is_none()
    }

    /// Takes the header of the PROXY protocol off the socket, and nothing behind it; `None`
    /// while it has not come. What it has come to is whom it names.
    fn find_proxy_header(
        &mut self,
        key: ConnectionKey,
    ) -> Result<Option<Option<SocketAddr>>, Unproxied> {
        let Some(connection) = self.clients.get_mut(key) else {
            return Ok(None);
        };
        let buffer = &mut self.buffer[..HEADER_MAX];
        let len = match connection.stream.peek(buffer) {
            Ok(0) => return Err(Unproxied::Ended),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                connection.readable = false;
                return Ok(None);
            }
            Err(error) => return Err(Unproxied::Socket(error)),
        };
        let (len, client) = match proxy::read(&buffer[..len]).map_err(Unproxied::Header)? {
            // More of it is an event.
            Step::NeedMore if !connection.hung_up => {
                connection.readable = false;
                return Ok(None);
            }
            Step::NeedMore => return Err(Unproxied::Ended),
            Step::Header { len, client } => (len, client),
        };
        (connection.stream)
            .skip(&mut buffer[..len])
            .map_err(Unproxied::Socket)?;
        connection.phase = Phase::Http(Box::<Http>::default());
        if let Some(tls) = &self.tls {
            let tls = Tls::server(tls.config()).map_err(Unproxied::Tls)?;
            connection.stream.secure(tls);
        }
        Ok(Some(client))
    }

    /// Refuses a connection whose address is known only now, in the way of
    /// [`turn_away`](Self::turn_away).
    fn turn_out(&mut self, key: ConnectionKey, crowded: Crowded) {
        let now = self.clock.now();
        if self.tls.is_some() {
            return self.clients.kill(key);
        }
        let answer = self.site.crowded(crowded);
        self.clients.push(key, Piece::Bytes(answer.into()), now);
        self.clients.close(key, Kind::Idle, now);
    }
}
