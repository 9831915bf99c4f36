//! Answers to web requests that take more than a moment: those that are being made, a slice
//! each in turn, and those that wait for their turn.

use crate::gateway::model::expansion::{Assembly, Count, Known, TooLarge, Tree};
use crate::gateway::model::keys::{AliasKey, ClientRef};
use crate::gateway::model::outbox::WebBody;
use crate::gateway::model::tag::{Tag, Tagging};
use std::collections::VecDeque;
use std::rc::Rc;

/// Answers that are made at once. Each may hold its text and its body.
pub(crate) const MAX_ACTIVE: usize = 8;

/// Work units of a slice: after as many another one's turn comes.
pub const SLICE_UNITS: usize = 1_024;

/// A web request that can be answered.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub client: ClientRef,
    /// The resource that it asks for.
    pub root: AliasKey,
    pub source: Source,
}

/// Where the resources of an answer are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the cache. Whoever asks for the same is answered with the same.
    Cache,
    /// As the client was given them: some are not in the cache, or are its alone.
    Client,
}

/// An answer that is being made.
#[derive(Debug)]
pub struct Job {
    pub root: AliasKey,
    pub source: Source,
    /// Who is answered with it; at least one.
    pub clients: Vec<ClientRef>,
    /// When the cache was looked at first, by its changes.
    pub epoch: u64,
    pub phase: Phase,
}

/// How far an answer is.
#[derive(Debug, Default)]
pub enum Phase {
    /// One that was made before is compared with what is true now.
    Checking { known: Rc<Known>, next: usize },
    /// The resources are read.
    Reading(Tree),
    /// What they expand to is counted.
    Counting(Tree, Count),
    /// It is put together.
    Joining(Tree, Assembly),
    /// Its tag is made.
    Tagging(Tree, Vec<u8>, Box<Tagging>),
    /// It is sent.
    Sending(Result<(WebBody, Tag), TooLarge>),
    /// It was sent to all.
    #[default]
    Done,
}

impl Job {
    pub fn new(ask: Ask, epoch: u64, known: Option<Rc<Known>>) -> Self {
        Self {
            root: ask.root,
            source: ask.source,
            clients: vec![ask.client],
            epoch,
            phase: match known {
                Some(known) => Phase::Checking { known, next: 0 },
                None => Phase::Reading(Tree::new(ask.root)),
            },
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Expansions {
    /// The one whose turn is next stands first.
    active: VecDeque<Job>,
    waiting: VecDeque<Ask>,
    /// Whether work is left over that goes on with them.
    scheduled: bool,
}

impl Expansions {
    /// The answer that is being made of what the cache has had since it was last changed:
    /// whoever asks now can be answered with it.
    pub fn join(&mut self, ask: Ask, epoch: u64) -> bool {
        let mut jobs = self.active.iter_mut();
        let job = jobs.find(|job| job.epoch == epoch && is_of(job, ask.root));
        if let Some(job) = job {
            job.clients.push(ask.client);
            return true;
        }
        false
    }

    /// Whether an answer can be begun. While another one of the same resource is made, it is
    /// quicker to wait for that and to look at what has changed since.
    pub fn has_room(&self, ask: Ask) -> bool {
        let is_made = || self.active.iter().any(|job| is_of(job, ask.root));
        self.active.len() < MAX_ACTIVE && (ask.source == Source::Client || !is_made())
    }

    /// A request waits for its turn.
    pub fn wait(&mut self, ask: Ask) {
        self.waiting.push_back(ask);
    }

    /// The first request that waits and need not any more.
    pub fn next_waiting(&mut self) -> Option<Ask> {
        let place = self.waiting.iter().position(|ask| self.has_room(*ask))?;
        self.waiting.remove(place)
    }

    /// Lets all who wait for a resource be answered by a job that looks at the cache from
    /// now on.
    pub fn gather(&mut self, job: &mut Job) {
        if job.source == Source::Client || self.waiting.is_empty() {
            return;
        }
        self.waiting.retain(|ask| {
            let joins = ask.source == Source::Cache && ask.root == job.root;
            if joins {
                job.clients.push(ask.client);
            }
            !joins
        });
    }

    /// The job whose turn it is. The caller does a slice of it, and puts it back if it is
    /// not done.
    pub fn take(&mut self) -> Option<Job> {
        self.active.pop_front()
    }

    pub fn put_back(&mut self, job: Job) {
        self.active.push_back(job);
    }

    /// All who were to be answered with a job are answered apart from each other.
    pub fn wait_apart(&mut self, job: Job) {
        let root = job.root;
        let source = Source::Client;
        let asks = job.clients.into_iter().map(|client| Ask {
            client,
            root,
            source,
        });
        self.waiting.extend(asks);
    }

    /// Whether nothing is being made or waits.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty()
    }

    /// Whether work is left over that goes on with them.
    pub fn is_scheduled(&self) -> bool {
        self.scheduled
    }

    pub fn set_scheduled(&mut self, scheduled: bool) {
        self.scheduled = scheduled;
        if self.waiting.is_empty() {
            // A crowd may have waited.
            self.waiting = VecDeque::new();
        }
    }

    /// Who is or may be answered, as often as they stand anywhere.
    pub fn clients(&self) -> impl Iterator<Item = ClientRef> {
        let active = self.active.iter().flat_map(|job| job.clients.iter());
        active
            .copied()
            .chain(self.waiting.iter().map(|ask| ask.client))
    }

    /// Checks that nobody waits for nothing.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn audit(&self) -> Result<(), String> {
        if self.active.len() > MAX_ACTIVE {
            return Err(format!(
                "{} web answers are made at once",
                self.active.len()
            ));
        }
        if self.active.iter().any(|job| job.clients.is_empty()) {
            return Err("a web answer is made for nobody".into());
        }
        match self.is_empty() || self.scheduled {
            true => Ok(()),
            false => Err("web answers are being made, and no work goes on with them".into()),
        }
    }
}

/// Whether others may be answered with a job that makes the answer of this resource.
fn is_of(job: &Job, root: AliasKey) -> bool {
    let is_sent = matches!(job.phase, Phase::Sending(_) | Phase::Done);
    job.source == Source::Cache && job.root == root && !is_sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::keys::ClientKey;

    #[test]
    fn who_waits_for_the_same_joins_but_not_who_is_answered_apart() {
        let ask = |client, root, source| Ask {
            client: ClientRef {
                key: ClientKey(client),
                serial: 1,
            },
            root: AliasKey::from_parts(root, 1),
            source,
        };
        let mut expansions = Expansions::default();
        for (client, root, source) in [
            (1, 1, Source::Cache),
            (2, 1, Source::Client),
            (3, 2, Source::Cache),
            (4, 1, Source::Cache),
        ] {
            expansions.wait(ask(client, root, source));
        }
        let clients = |clients: &[ClientRef]| {
            clients
                .iter()
                .map(|client| client.key.0)
                .collect::<Vec<_>>()
        };
        let mut job = Job::new(ask(5, 1, Source::Cache), 0, None);
        expansions.gather(&mut job);
        assert_eq!(clients(&job.clients), [5, 1, 4]);
        let left: Vec<_> = expansions.clients().collect();
        assert_eq!(clients(&left), [2, 3]);
        // One that is made for a client alone takes nobody along.
        let mut alone = Job::new(ask(6, 2, Source::Client), 0, None);
        expansions.gather(&mut alone);
        assert_eq!(clients(&alone.clients), [6]);
    }
}
