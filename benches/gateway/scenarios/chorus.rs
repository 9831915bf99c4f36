//! Events that many clients must all get alike, in the order in which they were
//! published.
//!
//! The first text of each event is read and compared with what was published; every
//! other client must get the same bytes. So every message of every client is checked for
//! content, order and number at the cost of a comparison.

use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net};
use crate::services::Services;
use crate::stats::Histogram;
use crate::wire::Delivery;

/// Events that may be in flight.
const RING: usize = 1 << 10;

/// What is published, by number from 0 on.
pub trait Plan {
    /// Appends the payload of an event and returns its subject.
    fn event(&mut self, number: u64, payload: &mut Vec<u8>) -> String;

    /// Whether a message is what clients must be sent for an event.
    fn is_right(&self, number: u64, message: &Value) -> bool;

    /// How many resources take turns; events of different ones have no order.
    fn lanes(&self) -> u64 {
        1
    }

    /// Which of them a message is about.
    fn lane(&self, text: &[u8]) -> Option<u64> {
        let _ = text;
        Some(0)
    }
}

/// An event that is in flight.
struct Note {
    published: Instant,
    /// What the first client was sent.
    text: Vec<u8>,
    /// How many have it.
    count: usize,
}

/// Publishes the events of a plan and sees to it that all clients get them.
pub struct Chorus<'a, 's, P> {
    services: &'a mut Services<'s>,
    plan: &'a mut P,
    clients: Range<usize>,
    in_flight: usize,
    /// Number of the next event.
    next: u64,
    /// How many may not be published any more: by number, and by time.
    end: u64,
    until: Option<Instant>,
    open: usize,
    lanes: usize,
    /// Of each client, the number that it must get next in each lane.
    expected: Vec<u64>,
    notes: Vec<Note>,
    payload: Vec<u8>,
    /// Messages that came.
    pub delivered: u64,
    /// From publish to receive.
    pub latency: Histogram,
}

impl<'a, 's, P: Plan> Chorus<'a, 's, P> {
    /// For these clients, with so many events not yet received by all of them; the first
    /// event has the number `first`.
    pub fn new(
        services: &'a mut Services<'s>,
        plan: &'a mut P,
        clients: Range<usize>,
        in_flight: usize,
        first: u64,
    ) -> Self {
        let now = Instant::now();
        let lanes = plan.lanes();
        // Of each lane, its first number from `first` on.
        let firsts = (0..lanes).map(|lane| first + (lane + lanes - first % lanes) % lanes);
        let firsts = Vec::from_iter(firsts);
        Self {
            services,
            plan,
            lanes: firsts.len(),
            expected: firsts.repeat(clients.len()),
            clients,
            in_flight: in_flight.min(RING),
            next: first,
            end: u64::MAX,
            until: None,
            open: 0,
            notes: (0..RING)
                .map(|_| Note {
                    published: now,
                    text: Vec::new(),
                    count: 0,
                })
                .collect(),
            payload: Vec::new(),
            delivered: 0,
            latency: Histogram::default(),
        }
    }

    /// Publishes for some time; returns the number after the last event's.
    pub fn run_for(&mut self, net: &mut Net, time: Duration) -> Result<u64, Fault> {
        self.until = Some(Instant::now() + time);
        self.run(net, time * 4)?;
        Ok(self.next)
    }

    /// Publishes so many events; returns the number after the last one's.
    pub fn run_count(&mut self, net: &mut Net, count: u64) -> Result<u64, Fault> {
        self.end = self.next + count;
        self.run(net, Duration::ZERO)?;
        Ok(self.next)
    }

    fn run(&mut self, net: &mut Net, limit: Duration) -> Outcome {
        self.publish(net, Instant::now());
        let limit = limit + Duration::from_secs(60);
        net.run(self, "events to reach every client", limit)
    }

    fn may_publish(&self, now: Instant) -> bool {
        self.next < self.end && self.until.is_none_or(|until| now < until)
    }

    fn publish(&mut self, net: &mut Net, now: Instant) {
        while self.open < self.in_flight && self.may_publish(now) {
            self.payload.clear();
            let subject = self.plan.event(self.next, &mut self.payload);
            net.publish(subject.as_bytes(), &self.payload);
            let note = &mut self.notes[self.next as usize % RING];
            (note.published, note.count) = (now, 0);
            self.next += 1;
            self.open += 1;
        }
    }
}

impl<P: Plan> Load for Chorus<'_, '_, P> {
    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        if !self.clients.contains(&client) {
            return Err(Fault::unexpected(client, text));
        }
        let lane = self.plan.lane(text);
        let lane = lane.filter(|lane| *lane < self.lanes as u64);
        let lane = lane.ok_or_else(|| Fault::unexpected(client, text))? as usize;
        let expected = &mut self.expected[(client - self.clients.start) * self.lanes + lane];
        let note = &mut self.notes[*expected as usize % RING];
        if *expected >= self.next {
            return Err(Fault::unexpected(client, text));
        }
        if note.count == 0 {
            let is_right = serde_json::from_slice(text)
                .is_ok_and(|message| self.plan.is_right(*expected, &message));
            if !is_right {
                return Err(Fault::unexpected(client, text));
            }
            note.text.clear();
            note.text.extend_from_slice(text);
        } else if note.text != text {
            return Err(Fault::unexpected(client, text));
        }
        *expected += self.lanes as u64;
        note.count += 1;
        self.delivered += 1;
        self.latency.add(net.now() - note.published, 1);
        if note.count == self.clients.len() {
            self.open -= 1;
        }
        Ok(())
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)
    }

    fn turn(&mut self, net: &mut Net, now: Instant) -> Outcome {
        self.publish(net, now);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.open == 0 && !self.may_publish(Instant::now())
    }
}
