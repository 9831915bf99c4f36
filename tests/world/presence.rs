//! A service that keeps the list of who is connected, from what the gateway tells.

use serde_json::Value;
use std::collections::BTreeSet;

/// Where it wants snapshots.
pub const REPLY: &str = "presence.snapshot";

/// Who is connected, as the service knows it.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    gateway: Option<String>,
    known: BTreeSet<String>,
    /// Events that it has heard of, and those that the last heartbeat told of.
    heard: u64,
    told: u64,
    /// A snapshot has begun, and is not complete.
    is_partial: bool,
}

impl Presence {
    /// A message without reply subject came.
    ///
    /// # Errors
    /// No correct gateway sends it.
    pub fn hear(&mut self, subject: &str, payload: &str) -> Result<(), String> {
        let data: Value = serde_json::from_str(payload).map_err(|error| error.to_string())?;
        let gateway = data["gateway"].as_str().ok_or("no gateway is named")?;
        let known = self.gateway.get_or_insert_with(|| gateway.to_owned());
        if gateway != known {
            return Err(format!("{gateway} has another name than {known}"));
        }
        match subject.split('.').collect::<Vec<_>>()[..] {
            ["conn", cid, "connect"] if data["cid"] == cid => {
                self.heard += 1;
                match self.known.insert(cid.to_owned()) {
                    true => Ok(()),
                    false => Err(format!("{cid} connects twice")),
                }
            }
            ["conn", cid, "disconnect"] if data["cid"] == cid => {
                self.heard += 1;
                let is_known = self.known.remove(cid);
                // Its beginning may have been missed while the broker was away.
                match is_known || self.is_partial || self.heard < self.told {
                    true => Ok(()),
                    false => Err(format!("{cid} disconnects and was not there")),
                }
            }
            ["gateway", id, "heartbeat"] if id == gateway => {
                self.told = data["events"].as_u64().ok_or("no number of events")?;
                Ok(())
            }
            ["presence", "snapshot"] => self.part(&data),
            _ => Err(format!("{subject} asks for no answer")),
        }
    }

    fn part(&mut self, data: &Value) -> Result<(), String> {
        let cids = data["cids"].as_array().ok_or("no list of connections")?;
        if data["first"].as_bool().ok_or("first is no bool")? {
            self.known.clear();
        }
        for cid in cids {
            let cid = cid.as_str().ok_or("a connection ID is no text")?;
            self.known.insert(cid.to_owned());
        }
        self.is_partial = data["more"].as_bool().ok_or("more is no bool")?;
        self.heard = data["events"].as_u64().ok_or("no number of events")?;
        Ok(())
    }

    /// Whether it has heard of all that had happened at the last heartbeat.
    pub fn is_complete(&self) -> bool {
        self.heard == self.told && !self.is_partial
    }

    /// Who is connected.
    pub fn known(&self) -> &BTreeSet<String> {
        &self.known
    }
}
