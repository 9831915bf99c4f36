//! Answers with what clients lack that take several turns, one of each client at a time.

use crate::gateway::model::keys::{ClientKey, SubKey, WaiterKey};
use crate::gateway::model::set::{AnswerForm, Gathering, Set, Writing};
use crate::gateway::parts::waiters::Want;
use hashbrown::HashMap;

/// An answer to a request that has all that it waited for.
pub struct Sending {
    pub client: ClientKey,
    pub waiter: WaiterKey,
    pub root: SubKey,
    pub want: Want,
    /// The client's ID of the request.
    pub id: u64,
    /// The resource that the answer names.
    pub named: Option<SubKey>,
    pub stage: Stage,
    /// What may have lost its last holder meanwhile.
    pub suspects: Vec<SubKey>,
}

/// How far an answer is.
#[derive(Default)]
pub enum Stage {
    /// What the client lacks is looked for.
    Gather(Gathering),
    /// The text is being written.
    Write(Set, AnswerForm, Writing, Vec<u8>),
    /// The client has been sent the set; it is noted of so many members.
    Mark(Set, usize),
    /// All is done.
    #[default]
    Done,
}

#[derive(Default)]
pub struct Sendings(HashMap<ClientKey, Box<Sending>, foldhash::fast::RandomState>);

impl Sendings {
    /// Whether an answer to a client is under way.
    pub fn has(&self, client: ClientKey) -> bool {
        !self.0.is_empty() && self.0.contains_key(&client)
    }

    /// A subscription may have lost its last holder. Returns whether that is looked at only
    /// when an answer to its client is done.
    pub fn put_off(&mut self, client: ClientKey, suspect: SubKey) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let sending = self.0.get_mut(&client);
        let is_under_way = sending.is_some();
        if let Some(sending) = sending {
            sending.suspects.push(suspect);
        }
        is_under_way
    }

    /// An answer goes on later.
    pub fn put(&mut self, sending: Box<Sending>) {
        self.0.insert(sending.client, sending);
    }

    /// A client's answer goes on now, or the client has left.
    pub fn take(&mut self, client: ClientKey) -> Option<Box<Sending>> {
        match self.0.is_empty() {
            true => None,
            false => self.0.remove(&client),
        }
    }

    pub fn clients(&self) -> impl Iterator<Item = ClientKey> {
        self.0.keys().copied()
    }
}
