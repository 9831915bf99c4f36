//! The first process of several, as a worker sees it: it tells what to do, and is told how
//! the worker fares.

use mio::{Registry, Token};
use std::io;

use super::{End, Identity, Reactor};
use crate::control::{BEAT, Channel, Order, Report};
use crate::gateway::Time;

/// The socket to it.
#[derive(Debug)]
pub(super) struct Parent {
    channel: Channel,
    /// A readiness event has come.
    is_ready: bool,
    /// It is gone, or does not make itself understood.
    is_gone: bool,
    /// It wants all clients closed at once.
    pub(super) is_hasty: bool,
    /// All workers end: nobody else takes who waits in the listening socket.
    pub(super) is_last: bool,
    /// When the next sign of life is due.
    due: Time,
}

impl Parent {
    /// Takes the socket into the poll.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn new(
        mut channel: Channel,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Box<Self>> {
        channel.register(registry, token)?;
        Ok(Box::new(Self {
            channel,
            // What has come with the worker's place tells of itself by no event.
            is_ready: true,
            is_gone: false,
            is_hasty: false,
            is_last: false,
            due: Time(0),
        }))
    }

    /// Notes a readiness event.
    pub(super) fn set_ready(&mut self) {
        self.is_ready = true;
    }

    /// When a sign of life is due.
    pub(super) fn next_timeout(&self) -> Time {
        self.due
    }

    /// Gives a sign of life, if one is due.
    pub(super) fn tick(&mut self, now: Time) {
        if self.due <= now {
            self.channel.report(&Report::Beat);
            self.due = Time(now.0 + BEAT);
        }
    }

    /// Tells it something.
    pub(super) fn tell(&mut self, report: &Report) {
        self.channel.report(report);
    }
}

impl Reactor {
    /// Does what the first process orders.
    ///
    /// # Errors
    ///
    /// [`End::Signal`], if the worker is to end: by an order, or as that process is gone and
    /// nobody would start this one again.
    pub(super) fn obey(&mut self) -> Result<(), End> {
        let Some(mut parent) = self.parent.take_if(|parent| parent.is_ready) else {
            return Ok(());
        };
        parent.is_ready = false;
        let is_open = parent.channel.step();
        let mut must_end = false;
        while let Some(order) = parent.channel.next_order() {
            match order {
                Order::Metrics => parent.tell(&Report::Metrics(self.metrics_text())),
                Order::Readiness => {
                    let reason = self.unready().unwrap_or_default();
                    parent.tell(&Report::Readiness(reason));
                }
                Order::Reload => self.read_identities(),
                Order::Stop => (must_end, parent.is_last) = (true, true),
                Order::Leave => must_end = true,
                Order::LeaveAtOnce => (must_end, parent.is_hasty) = (true, true),
            }
        }
        if !is_open && !std::mem::replace(&mut parent.is_gone, true) {
            log::warn!("the first process is gone: this worker ends too");
            (must_end, parent.is_last) = (true, true);
        }
        self.parent = Some(parent);
        match must_end {
            true => Err(End::Signal),
            false => Ok(()),
        }
    }

    /// Reads certificates again.
    pub(super) fn read_identities(&mut self) {
        let services = self.services.as_mut();
        let theirs = services.and_then(|services| services.identity());
        self.tls.iter_mut().chain(theirs).for_each(Identity::reload);
    }
}
