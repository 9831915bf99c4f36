//! The listening socket: binding, and accepting in bounded bursts.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::gateway::Time;

/// Connections that the kernel holds ready for us; it lowers this to its own limit.
const BACKLOG: i32 = 4096;

/// Connections taken in one turn.
const BURST: usize = 64;

/// Milliseconds without accepting after the descriptors ran out.
const RETRY: u64 = 100;

/// Milliseconds between two log lines about failed accepts.
const LOG_STEP: u64 = 10_000;

/// After how long without traffic the kernel asks whether a client is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A bound socket and whether it has connections for us.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    /// Set by a readiness event, cleared by `WouldBlock`: the poll is edge-triggered.
    ready: bool,
    /// When to try again after the descriptors ran out.
    retry: Option<Time>,
    /// When the next failure is logged.
    next_log: Time,
}

impl Listener {
    /// Binds and listens. Without `addr`, and with `0.0.0.0` or `::`, it is every address,
    /// of IPv6 and IPv4 alike where the host has both: Resgate's default of `0.0.0.0` means
    /// that too, and `localhost` is `::1` for many clients. With `reuse_port` several
    /// processes may share the port.
    ///
    /// # Errors
    ///
    /// The system's: port in use, no right to it, no such address.
    pub(super) fn bind(addr: Option<IpAddr>, port: u16, reuse_port: bool) -> io::Result<Self> {
        let socket = match addr.filter(|addr| !addr.is_unspecified()) {
            Some(addr) => listen(SocketAddr::new(addr, port), reuse_port)?,
            None => match listen((Ipv6Addr::UNSPECIFIED, port).into(), reuse_port) {
                Err(error) if no_ipv6(&error) => {
                    listen((Ipv4Addr::UNSPECIFIED, port).into(), reuse_port)?
                }
                result => result?,
            },
        };
        Ok(Self {
            socket: TcpListener::from_std(socket.into()),
            ready: false,
            retry: None,
            next_log: Time(0),
        })
    }

    /// Registers with the poll loop.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Notes a readiness event.
    pub(super) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// Whether [`Self::accept`] would find something to do at once.
    pub(super) fn is_ready(&self) -> bool {
        self.ready && self.retry.is_none()
    }

    /// When accepting is tried again after the descriptors ran out.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.retry
    }

    /// Takes waiting connections, a bounded number, and gives each to `take`.
    pub(super) fn accept(&mut self, now: Time, mut take: impl FnMut(TcpStream, SocketAddr)) {
        if self.retry.is_some_and(|retry| retry > now) {
            return;
        }
        self.retry = None;
        if !self.ready {
            return;
        }
        for _ in 0..BURST {
            match self.socket.accept() {
                Ok((socket, remote)) => {
                    // Linux hands the listener's option down, and a call is saved.
                    if !cfg!(target_os = "linux") {
                        let _ = socket.set_nodelay(true);
                    }
                    take(socket, unmapped(remote));
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        self.ready = false;
                        return;
                    }
                    // The client gave up while it waited; others may be behind it.
                    ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset
                    | ErrorKind::Interrupted => {}
                    // Out of descriptors or memory. No event will tell when there are
                    // some again, so that the timer must.
                    _ => {
                        self.retry = Some(Time(now.0 + RETRY));
                        if self.next_log <= now {
                            self.next_log = Time(now.0 + LOG_STEP);
                            log::warn!(
                                "cannot accept clients for now: {error}; \
                                 raise the limit of open files (ulimit -n) if this repeats"
                            );
                        }
                        return;
                    }
                },
            }
        }
    }
}

/// An IPv4 client of a dual-stack socket by its own address.
fn unmapped(remote: SocketAddr) -> SocketAddr {
    SocketAddr::new(remote.ip().to_canonical(), remote.port())
}

fn listen(addr: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections of an earlier process that still linger must not block a restart.
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if addr.is_ipv6() && addr.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Whether the host has no IPv6, by the answer to a bind.
fn no_ipv6(error: &io::Error) -> bool {
    [
        Errno::AFNOSUPPORT,
        Errno::ADDRNOTAVAIL,
        Errno::PROTONOSUPPORT,
    ]
    .iter()
    .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_an_error_unless_shared() {
        let local = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let first = Listener::bind(local, 0, true).unwrap();
        let port = first.local_addr().unwrap().port();
        assert_eq!(
            Listener::bind(local, port, false).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
        assert!(Listener::bind(local, port, true).is_ok());
    }

    #[test]
    fn no_address_means_both_versions() {
        let has_ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let unspecified = [
            None,
            Some(Ipv4Addr::UNSPECIFIED.into()),
            Some(Ipv6Addr::UNSPECIFIED.into()),
        ];
        for addr in unspecified {
            let mut listener = Listener::bind(addr, 0, false).unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut hosts: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into()];
            hosts.extend(has_ipv6.then_some(IpAddr::from(Ipv6Addr::LOCALHOST)));
            for host in hosts {
                let client = std::net::TcpStream::connect((host, port)).unwrap();
                // The connection is in the backlog when connect returns.
                listener.set_ready();
                let mut taken = Vec::new();
                listener.accept(Time(0), |socket, remote| taken.push((socket, remote)));
                assert_eq!(taken.len(), 1);
                assert_eq!(taken[0].1, client.local_addr().unwrap());
                assert!(taken[0].0.nodelay().unwrap());
                assert!(!listener.is_ready());
            }
        }
    }
}
