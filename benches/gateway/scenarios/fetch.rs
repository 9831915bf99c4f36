//! Subscribe requests whose answers are compared with what the services have.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::join::answered;
use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net};
use crate::services::Services;
use crate::stats::Histogram;
use crate::wire::Delivery;

/// How long all answers together may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Subscribes clients that are connected; each must get the resource set that `set` tells
/// for the resource ID.
///
/// The first answer for an ID is read and compared; further ones must be the same text,
/// or are read as well.
pub struct Fetch<'a, 's> {
    services: &'a mut Services<'s>,
    set: &'a dyn Fn(&str) -> Value,
    waiting: VecDeque<(usize, String)>,
    in_flight: usize,
    /// Open requests by client and ID: what was asked, and when.
    open: BTreeMap<(usize, u64), (String, Instant)>,
    next_id: u64,
    /// Texts of right answers, without what comes after the result.
    texts: BTreeMap<String, Vec<u8>>,
    /// From request to answer.
    pub latency: Histogram,
}

impl<'a, 's> Fetch<'a, 's> {
    /// Each request is a client and a resource ID.
    pub fn new(
        services: &'a mut Services<'s>,
        set: &'a dyn Fn(&str) -> Value,
        requests: impl IntoIterator<Item = (usize, String)>,
        in_flight: usize,
    ) -> Self {
        Self {
            services,
            set,
            waiting: requests.into_iter().collect(),
            in_flight,
            open: BTreeMap::new(),
            next_id: 1_000,
            texts: BTreeMap::new(),
            latency: Histogram::default(),
        }
    }

    /// Sends the requests and takes the answers.
    pub fn run(&mut self, net: &mut Net) -> Outcome {
        self.ask(net)?;
        net.run(self, "answers to subscribe requests", LIMIT)
    }

    fn ask(&mut self, net: &mut Net) -> Outcome {
        while self.open.len() < self.in_flight
            && let Some((client, rid)) = self.waiting.pop_front()
        {
            let id = self.next_id;
            self.next_id += 1;
            let request = format!(r#"{{"id":{id},"method":"subscribe.{rid}"}}"#);
            net.send(client, request.as_bytes())?;
            self.open.insert((client, id), (rid, Instant::now()));
        }
        Ok(())
    }
}

impl Load for Fetch<'_, '_> {
    fn message(&mut self, net: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let id = answered(client, text)?;
        let unexpected = || Fault::unexpected(client, text);
        let (rid, sent) = self.open.remove(&(client, id)).ok_or_else(unexpected)?;
        self.latency.add(net.now() - sent, 1);
        let tail = format!(r#","id":{id}}}"#);
        let result = text.strip_suffix(tail.as_bytes()).ok_or_else(unexpected)?;
        if self.texts.get(&rid).is_none_or(|known| known != result) {
            let message: Value = serde_json::from_slice(text).map_err(|_| unexpected())?;
            if message["result"] != (self.set)(&rid) {
                return Err(unexpected());
            }
            self.texts.insert(rid, result.to_vec());
        }
        self.ask(net)
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)
    }

    fn is_done(&self) -> bool {
        self.open.is_empty() && self.waiting.is_empty()
    }
}
