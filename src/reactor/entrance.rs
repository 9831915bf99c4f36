//! How connections come in: accepted, counted, or refused in a few words.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;

use super::Reactor;
use super::admission::Crowded;
use super::stream::Stream;
use super::tls::Tls;
use crate::gateway::Time;

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

    /// A new connection.
    fn enter(&mut self, socket: TcpStream, remote: SocketAddr, now: Time) {
        let place = match self.clients.admit(Some(remote.ip())) {
            Ok(place) => place,
            Err(crowded) => return self.turn_away(socket, remote, crowded, now),
        };
        let stream = match &self.tls {
            None => Stream::without_tls(socket),
            Some(tls) => match Tls::server(Arc::clone(&tls.config)) {
                Ok(tls) => Stream::with_tls(socket, tls),
                Err(failure) => {
                    log::error!("cannot begin TLS with {remote}: {failure}");
                    return self.clients.leave(place, remote);
                }
            },
        };
        let registry = self.poll.registry();
        self.clients.insert(registry, stream, remote, place, now);
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
}
