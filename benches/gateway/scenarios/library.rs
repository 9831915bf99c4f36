//! Many cached resources: pages that reference items, held by a few clients.
//!
//! Pages are `bench.page.<shelf>.<number>`, items `bench.item.<shelf>.<number>`.

use std::cell::Cell;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::fetch::Fetch;
use crate::fault::Outcome;
use crate::load::Net;
use crate::services::Services;

/// References of one page.
const PAGE: usize = 1_000;

/// Items on pages, page `p` for client `p % clients`.
pub struct Library {
    /// Tells apart the libraries that one gateway sees.
    shelf: usize,
    pub items: usize,
    /// The clients are the first ones of the driver.
    pub clients: usize,
    /// References of a page, except for the last one.
    size: usize,
    /// The present state of every [`CHANGING`]th item.
    pub state: Cell<u64>,
}

/// One in so many items changes its state.
pub const CHANGING: usize = 10;

impl Library {
    pub fn new(shelf: usize, items: usize, clients: usize) -> Self {
        Self {
            shelf,
            items,
            clients,
            size: PAGE.min(items.div_ceil(clients)),
            state: Cell::new(0),
        }
    }

    pub fn pages(&self) -> usize {
        self.items.div_ceil(self.size)
    }

    /// Who holds an item.
    pub fn holder(&self, item: usize) -> usize {
        item / self.size % self.clients
    }

    /// The name of a page.
    pub fn page(&self, number: usize) -> String {
        format!("bench.page.{}.{number}", self.shelf)
    }

    /// The name of an item.
    pub fn name(&self, item: usize) -> String {
        format!("bench.item.{}.{item}", self.shelf)
    }

    /// The item that a resource name names.
    pub fn item(name: &str) -> Option<usize> {
        let (_, item) = name.strip_prefix("bench.item.")?.split_once('.')?;
        item.parse().ok()
    }

    fn state_of(&self, item: usize) -> u64 {
        match item.is_multiple_of(CHANGING) {
            true => self.state.get(),
            false => 0,
        }
    }

    fn items_of(&self, page: &str) -> std::ops::Range<usize> {
        let page: usize = page
            .rsplit('.')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or_default();
        let first = page * self.size;
        first..(first + self.size).min(self.items)
    }

    /// The `result` of a get request.
    pub fn get(&self, name: &str) -> String {
        if let Some(item) = Self::item(name) {
            let state = self.state_of(item);
            return format!(r#"{{"model":{{"item":{item},"state":{state}}}}}"#);
        }
        let mut text = String::from(r#"{"collection":["#);
        for (at, item) in self.items_of(name).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(text, r#"{comma}{{"rid":"{}"}}"#, self.name(item));
        }
        text.push_str("]}");
        text
    }

    /// The resource set that a page brings.
    fn set(&self, page: &str) -> Value {
        let items = self.items_of(page);
        let refs: Vec<Value> = items
            .clone()
            .map(|item| json!({"rid": self.name(item)}))
            .collect();
        let models: Map<String, Value> = items
            .map(|item| {
                let model = json!({"item": item, "state": self.state_of(item)});
                (self.name(item), model)
            })
            .collect();
        json!({"collections": {page: refs}, "models": models})
    }

    /// Makes the clients, who are connected, subscribe to their pages.
    pub fn open(&self, net: &mut Net, services: &mut Services<'_>) -> Outcome {
        let set = |page: &str| self.set(page);
        let requests = (0..self.pages()).map(|page| (page % self.clients, self.page(page)));
        Fetch::new(services, &set, requests, 2).run(net)
    }
}
