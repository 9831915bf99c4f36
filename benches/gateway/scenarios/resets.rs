//! Resets: everything that is cached is asked for again.

use std::time::Duration;

use serde_json::{Value, json};

use super::join::Join;
use super::library::{CHANGING, Library};
use super::{Goal, Row, Scenario};
use crate::fault::{Fault, Outcome};
use crate::load::{Load, Net};
use crate::services::Services;
use crate::subject::{Sample, Subject};
use crate::wire::Delivery;

/// Resets of many resources.
pub const SCENARIOS: &[Scenario] = &[RESET_5K, RESET_10K, RESET_100K];

const RESET_5K: Scenario = Scenario {
    rows: &[Row {
        id: "reset-5k",
        in_flight: None,
        title: "system.reset over 5,000 cached resources, a tenth of them changed, per resource",
        floor_us: None,
        goals: &[Goal::CpuPeer(5.0)],
    }],
    floor: None,
    flags: &[],
    without: &[],
    others: false,
    run: |subject, scale| reset(subject, scale.count(5_000), 10),
};

const RESET_10K: Scenario = Scenario {
    rows: &[Row {
        id: "reset-10k",
        in_flight: None,
        title: "the same over 10,000",
        floor_us: None,
        goals: &[],
    }],
    run: |subject, scale| reset(subject, scale.count(10_000), 5),
    ..RESET_5K
};

const RESET_100K: Scenario = Scenario {
    rows: &[Row {
        id: "reset-100k",
        in_flight: None,
        title: "the same over 100,000",
        floor_us: None,
        goals: &[],
    }],
    run: |subject, scale| reset(subject, scale.count(100_000), 1),
    ..RESET_5K
};

/// Who holds them all.
const CLIENTS: usize = 4;

fn reset(subject: &mut Subject, items: usize, rounds: u64) -> Result<Vec<Sample>, Fault> {
    let library = Library::new(0, items, CLIENTS);
    let mut net = Net::new(subject.broker.address)?;
    let mut services = Services::new(|name| library.get(name));
    Services::listen(&mut net)?;
    Join::new(&mut net, subject, CLIENTS, &mut services, None).run(&mut net)?;
    library.open(&mut net, &mut services)?;
    Reset::run(&mut net, &mut services, &library)?;
    let window = subject.begin()?;
    for _ in 0..rounds {
        Reset::run(&mut net, &mut services, &library)?;
    }
    Ok(vec![subject.end(window, items as u64 * rounds)?])
}

struct Reset<'a, 's> {
    services: &'a mut Services<'s>,
    library: &'a Library,
    /// Get requests that are to come.
    gets: u64,
    /// Of each item that changes, whether its holder was told.
    told: Vec<bool>,
    /// How many are to be told still.
    untold: usize,
    /// Holders that have seen the mark after all else.
    done: usize,
}

impl<'a, 's> Reset<'a, 's> {
    fn run(net: &mut Net, services: &'a mut Services<'s>, library: &'a Library) -> Outcome {
        library.state.set(library.state.get() + 1);
        let changing = library.items.div_ceil(CHANGING);
        let mut reset = Self {
            gets: services.gets + library.items as u64,
            services,
            library,
            told: vec![false; changing],
            untold: changing,
            done: 0,
        };
        net.publish(b"system.reset", br#"{"resources":["bench.item.>"]}"#);
        let limit = Duration::from_secs(120);
        net.run(&mut reset, "all to be asked for and changes to come", limit)
    }
}

impl Load for Reset<'_, '_> {
    fn message(&mut self, _: &mut Net, client: usize, text: &[u8]) -> Outcome {
        let unexpected = || Fault::unexpected(client, text);
        let message: Value = serde_json::from_slice(text).map_err(|_| unexpected())?;
        let event = message["event"].as_str().ok_or_else(unexpected)?;
        if event.ends_with(".done") {
            self.done += 1;
            return Ok(());
        }
        let item = event.strip_suffix(".change").and_then(Library::item);
        let item = item.ok_or_else(unexpected)?;
        let values = json!({"values": {"state": self.library.state.get()}});
        let is_right = message["data"] == values
            && item.is_multiple_of(CHANGING)
            && self.library.holder(item) == client
            && !std::mem::replace(&mut self.told[item / CHANGING], true);
        match is_right {
            true => {
                self.untold -= 1;
                Ok(())
            }
            false => Err(unexpected()),
        }
    }

    fn request(&mut self, net: &mut Net, delivery: Delivery<'_>) -> Outcome {
        self.services.answer(net, delivery)?;
        if self.services.gets > self.gets {
            return Err(Fault::Surprise("a resource was asked for twice".to_owned()));
        }
        if self.services.gets == self.gets {
            // What comes after the last answer tells each holder that there is no more.
            for page in 0..self.library.clients.min(self.library.pages()) {
                let subject = format!("event.{}.done", self.library.page(page));
                net.publish(subject.as_bytes(), b"null");
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.untold == 0 && self.done == self.library.clients.min(self.library.pages())
    }
}
