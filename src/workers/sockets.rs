//! The sockets that workers listen on. The first process has opened them, keeps them and never
//! takes anything from them: so what waits in the queue of a worker that ends is there for the
//! one that follows it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};

use ring::rand::{SecureRandom, SystemRandom};

use crate::config::Config;
use crate::control::Inside;
use crate::reactor::{self, is_free, reserve};

/// The number of the worker that has the broker, if there is one inside.
pub(super) const BROKER: usize = 0;

/// Sockets that are bound, and that the first worker to have each makes listen.
#[derive(Debug)]
pub(super) struct Sockets {
    /// One for each worker, which share a port; or one for all.
    clients: Vec<TcpListener>,
    broker: Option<Broker>,
}

/// Those of the broker inside.
#[derive(Debug)]
struct Broker {
    services: TcpListener,
    workers: TcpListener,
    /// What workers show there.
    secret: String,
}

impl Sockets {
    /// Opens them for so many workers, or takes the one that was handed over.
    ///
    /// # Errors
    ///
    /// An address cannot be had.
    pub(super) fn open(
        config: &Config,
        inherited: Option<TcpListener>,
        workers: usize,
    ) -> Result<Self, reactor::Error> {
        let clients = match inherited {
            Some(socket) => vec![socket],
            None => share(config, workers).map_err(|source| reactor::Error::Listen {
                addr: config.addr,
                port: config.port,
                option: "--port",
                source,
            })?,
        };
        let broker = config.broker.addr.map(|addr| {
            Broker::open(addr.ip(), addr.port()).map_err(|source| reactor::Error::Listen {
                addr: Some(addr.ip()),
                port: addr.port(),
                option: "--broker",
                source,
            })
        });
        Ok(Self {
            clients,
            broker: broker.transpose()?,
        })
    }

    /// Closes those for clients: no worker will be started any more.
    pub(super) fn close(&mut self) {
        self.clients.clear();
    }

    /// Those of a worker.
    pub(super) fn of(&self, worker: usize) -> Vec<BorrowedFd<'_>> {
        let clients = self.clients.get(worker % self.clients.len().max(1));
        let mut sockets: Vec<_> = clients.into_iter().map(AsFd::as_fd).collect();
        if let Some(broker) = self.broker.as_ref().filter(|_| worker == BROKER) {
            sockets.extend([broker.services.as_fd(), broker.workers.as_fd()]);
        }
        sockets
    }

    /// How a worker reaches the broker inside, if there is one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn inside(&self, worker: usize) -> io::Result<Option<Inside>> {
        let Some(broker) = &self.broker else {
            return Ok(None);
        };
        Ok(Some(Inside {
            port: broker.workers.local_addr()?.port(),
            secret: broker.secret.clone(),
            is_here: worker == BROKER,
        }))
    }

    /// Whether a worker has the broker.
    pub(super) fn has_broker(&self, worker: usize) -> bool {
        self.broker.is_some() && worker == BROKER
    }
}

impl Broker {
    fn open(addr: IpAddr, port: u16) -> io::Result<Self> {
        let mut secret = [0; 24];
        (SystemRandom::new().fill(&mut secret))
            .map_err(|_| io::Error::other("the system has no random numbers to give"))?;
        if port != 0 {
            is_free(Some(addr), port)?;
        }
        Ok(Self {
            services: reserve(Some(addr), port)?,
            workers: reserve(Some(Ipv4Addr::LOCALHOST.into()), 0)?,
            secret: secret.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// Sockets that share the port for clients.
fn share(config: &Config, workers: usize) -> io::Result<Vec<TcpListener>> {
    if !config.reuse_port {
        // Otherwise a second start by mistake would take a share of the clients.
        is_free(config.addr, config.port)?;
    }
    let sockets = (0..workers).map(|_| reserve(config.addr, config.port));
    sockets.collect()
}
