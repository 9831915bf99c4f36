//! The listening socket: binding, and accepting in bounded bursts, as long as enough
//! descriptors are left for whatever else needs one.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::process;
use crate::gateway::Time;

/// Connections that the kernel holds ready for us; it lowers this to its own limit.
pub(super) const BACKLOG: usize = 4096;

/// Connections taken in one turn.
pub(super) const BURST: usize = 64;

/// Taken ports that are stepped over, where that is wanted.
const STEPS: u16 = 20;

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
    /// The first descriptor that is none for its connections.
    ceiling: u64,
    /// One of them came near enough for each accept to be preceded by a look.
    is_near: bool,
    /// Others have the socket too, and what waits in it is theirs when we leave.
    is_shared: bool,
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
        let socket = bind_any(addr, port, reuse_port)?;
        socket.listen(BACKLOG as i32)?;
        Ok(Self::of(socket.into(), false))
    }

    /// Tries a port and, if `may_step`, those behind it as long as they are taken.
    ///
    /// # Errors
    ///
    /// What `bind` says of the last one.
    pub(super) fn bind_near(
        port: u16,
        may_step: bool,
        bind: &dyn Fn(u16) -> io::Result<Self>,
    ) -> io::Result<Self> {
        let steps = if may_step { STEPS } else { 0 };
        let last = port.saturating_add(steps);
        for near in port..last {
            match bind(near) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    log::warn!("port {near} is taken: trying {}", near + 1);
                }
                result => return result,
            }
        }
        bind(last)
    }

    /// Listens on a socket that somebody else has opened and keeps.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn inherit(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let options = SockRef::from(&socket);
        set_options(&options)?;
        // It listens already: this is about how many may wait in it.
        options.listen(BACKLOG as i32)?;
        Ok(Self::of(socket, true))
    }

    fn of(socket: std::net::TcpListener, is_shared: bool) -> Self {
        Self {
            socket: TcpListener::from_std(socket),
            ready: false,
            retry: None,
            next_log: Time(0),
            ceiling: u64::MAX,
            is_near: false,
            is_shared,
        }
    }

    /// Whether what waits in the socket is for others when this process ends.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Leaves the last `reserve` of the process's descriptors to others, or half of them if
    /// there are few.
    pub(super) fn keep_back(&mut self, reserve: u64) {
        self.ceiling = match process::descriptor_limit() {
            Some(limit) => limit - reserve.min(limit / 2),
            None => u64::MAX,
        };
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
            if self.is_near && !self.has_descriptor() {
                return self.pause(now, &"the other file descriptors are kept for other needs");
            }
            match self.socket.accept() {
                Ok((socket, remote)) => {
                    self.is_near |= number(&socket) >= self.ceiling;
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
                    _ => return self.pause(now, &error),
                },
            }
        }
    }

    /// Whether the next connection gets a descriptor that may be had. The system gives the
    /// lowest one that is free, so that the number of any tells how many are in use.
    fn has_descriptor(&self) -> bool {
        fcntl_dupfd_cloexec(&self.socket, 0).is_ok_and(|next| number(&next) < self.ceiling)
    }

    /// Accepts nothing for a while.
    fn pause(&mut self, now: Time, cause: &dyn Display) {
        self.retry = Some(Time(now.0 + RETRY));
        if self.next_log <= now {
            self.next_log = Time(now.0 + LOG_STEP);
            log::warn!(
                "cannot accept clients for now: {cause}; \
                 raise the limit of open files (ulimit -n) if this repeats"
            );
        }
    }
}

/// A socket that is bound as [`Listener::bind`] does it, with others that share its port, and
/// does not listen yet: whoever connects is refused until it does.
///
/// # Errors
///
/// The system's.
pub(crate) fn reserve(addr: Option<IpAddr>, port: u16) -> io::Result<std::net::TcpListener> {
    Ok(bind_any(addr, port, true)?.into())
}

/// Whether nobody has the port.
///
/// # Errors
///
/// The system's: somebody has, or it cannot be had.
pub(crate) fn is_free(addr: Option<IpAddr>, port: u16) -> io::Result<()> {
    bind_any(addr, port, false).map(drop)
}

/// The number of a descriptor.
fn number(descriptor: &impl AsRawFd) -> u64 {
    u64::try_from(descriptor.as_raw_fd()).unwrap_or(0)
}

/// An IPv4 client of a dual-stack socket by its own address.
fn unmapped(remote: SocketAddr) -> SocketAddr {
    SocketAddr::new(remote.ip().to_canonical(), remote.port())
}

/// A bound socket, of both versions of IP without an address.
fn bind_any(addr: Option<IpAddr>, port: u16, reuse_port: bool) -> io::Result<Socket> {
    match addr.filter(|addr| !addr.is_unspecified()) {
        Some(addr) => bind(SocketAddr::new(addr, port), reuse_port),
        None => match bind((Ipv6Addr::UNSPECIFIED, port).into(), reuse_port) {
            Err(error) if no_ipv6(&error) => bind((Ipv4Addr::UNSPECIFIED, port).into(), reuse_port),
            result => result,
        },
    }
}

fn bind(addr: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
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
    set_options(&socket)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// What connections have from the socket that they come by.
fn set_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
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

    #[test]
    fn accepting_stops_while_only_descriptors_for_others_are_left() {
        let local = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let mut listener = Listener::bind(local, 0, false).unwrap();
        let address = listener.local_addr().unwrap();
        // Other tests open and close descriptors meanwhile: the ceiling is one that all
        // are above, or all below.
        listener.ceiling = 0;
        let clients = [(); 3].map(|()| std::net::TcpStream::connect(address).unwrap());
        let mut taken = Vec::new();
        listener.set_ready();
        listener.accept(Time(0), |socket, _| taken.push(socket));
        assert_eq!(taken.len(), 1, "the first tells how near the end is");
        for now in [0, RETRY - 1, RETRY] {
            listener.accept(Time(now), |socket, _| taken.push(socket));
            assert!(!listener.is_ready());
        }
        assert_eq!(listener.next_timeout(), Some(Time(2 * RETRY)));
        assert_eq!(taken.len(), 1);
        listener.ceiling = u64::MAX;
        listener.accept(Time(2 * RETRY), |socket, _| taken.push(socket));
        assert_eq!(taken.len(), 3);
        drop(clients);
    }
}
