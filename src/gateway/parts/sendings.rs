//! Answers with what clients lack that take several turns, one of each client at a time.

use crate::gateway::model::keys::{ClientKey, SubKey, WaiterKey};
use crate::gateway::model::outbox::Message;
use crate::gateway::model::set::{AnswerForm, Gathering, Member, Set, Writing};
use crate::gateway::model::tag::Tagging;
use crate::gateway::parts::waiters::Want;
use hashbrown::HashMap;
use std::rc::Rc;

/// Members of a set from which on it is worth to wait for an answer that may be the same.
const LARGE: usize = if cfg!(debug_assertions) { 2 } else { 64 };

/// An answer to a request that has all that it waited for.
#[derive(Debug)]
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
    /// What the client lacks.
    pub gathering: Gathering,
    /// How many of that are not written, since the client has them: the last ones.
    pub left_out: usize,
    /// For a client that is told tags.
    pub tags: Option<Box<Tags>>,
    /// The order in which it is written.
    pub writing: Writing,
    pub text: Vec<u8>,
    /// The text with which a stream begins, but for its tail, while its tag is made.
    pub tagging: Option<(Rc<Message>, Box<Tagging>)>,
    /// What may have lost its last holder meanwhile.
    pub suspects: Vec<SubKey>,
}

impl Sending {
    /// What the client lacks, as far as it is known.
    pub fn set(&self) -> &Set {
        &self.gathering.set
    }

    /// What of that is written.
    pub fn written(&self) -> &[Member] {
        let members = &self.gathering.set.members;
        &members[..members.len() - self.left_out]
    }

    /// What the client has of that, and holds when it is answered.
    pub fn left_out(&self) -> &[Member] {
        let members = &self.gathering.set.members;
        &members[members.len() - self.left_out..]
    }

    /// What the client lacks is looked for anew.
    pub fn begin_anew(&mut self) {
        self.gathering = Gathering::below(&[self.root]);
        self.left_out = 0;
        self.tags = None;
    }
}

/// What is kept of an answer to a client that is told the tags of what it is sent.
#[derive(Debug, Default)]
pub struct Tags {
    /// How many members were compared with what the client has.
    pub compared: usize,
    /// The places of those that it has.
    pub same: Vec<u32>,
    /// The tags of those that were written, as members of a JSON object.
    pub text: Vec<u8>,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// What the client lacks is looked for.
    Gather,
    /// What the client lacks is compared with what it says that it has.
    Compare(AnswerForm),
    /// Another answer is being written, which may be the same one.
    Wait(AnswerForm),
    /// The text is being written.
    Write(AnswerForm),
    /// The tag of the text is being made.
    Tag,
    /// The client has been sent the set; it is noted of so many members.
    Mark(usize),
    /// All is done.
    Done,
}

/// Answers that are under way.
#[derive(Debug, Default)]
pub struct Sendings {
    clients: HashMap<ClientKey, Box<Sending>, foldhash::fast::RandomState>,
    /// The client whose answer is being written.
    writer: Option<ClientKey>,
}

impl Sendings {
    /// Whether an answer to a client is under way.
    pub fn has(&self, client: ClientKey) -> bool {
        !self.clients.is_empty() && self.clients.contains_key(&client)
    }

    /// A subscription may have lost its last holder. Returns whether that is looked at only
    /// when an answer to its client is done.
    pub fn put_off(&mut self, client: ClientKey, suspect: SubKey) -> bool {
        if self.clients.is_empty() {
            return false;
        }
        let sending = self.clients.get_mut(&client);
        let is_under_way = sending.is_some();
        if let Some(sending) = sending {
            sending.suspects.push(suspect);
        }
        is_under_way
    }

    /// Whether an answer is written later than the one that is being written now: it may be the
    /// same, and is then written once.
    pub fn must_wait(&self, written: &[Member]) -> bool {
        self.writer.is_some() && written.len() >= LARGE
    }

    /// An answer goes on later.
    pub fn put(&mut self, sending: Box<Sending>) {
        if matches!(sending.stage, Stage::Write(_)) {
            self.writer = Some(sending.client);
        }
        self.clients.insert(sending.client, sending);
    }

    /// A client's answer goes on now, or the client has left.
    pub fn take(&mut self, client: ClientKey) -> Option<Box<Sending>> {
        if self.writer == Some(client) {
            self.writer = None;
        }
        match self.clients.is_empty() {
            true => None,
            false => self.clients.remove(&client),
        }
    }

    pub fn clients(&self) -> impl Iterator<Item = ClientKey> {
        self.clients.keys().copied()
    }
}
