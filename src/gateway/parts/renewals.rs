//! Token reset events that are being acted on: which clients each concerns, found a few at a
//! time.

use crate::gateway::model::keys::ClientKey;
use crate::res::json::{self, JsonError, Walk};
use hashbrown::HashSet;
use std::collections::VecDeque;
use std::rc::Rc;

/// Token reset events that may wait, and the bytes of their payloads. Beyond them the first one
/// is worked off in one go.
pub(crate) const MAX_RENEWALS: usize = 64;
pub(crate) const MAX_RENEWALS_SIZE: usize = 8 << 20;

/// The way of one token reset event through its token IDs.
#[derive(Debug)]
struct Renewal {
    /// The IDs, a JSON array.
    tids: Box<str>,
    walk: Walk,
    subject: Rc<str>,
    /// The IDs that clients had: the same may stand there often.
    seen: HashSet<Rc<str>, foldhash::fast::RandomState>,
    /// The ID that it has come to, and the next client that may have it.
    at: Option<(Rc<str>, ClientKey)>,
}

/// All of them, the first one first.
#[derive(Debug, Default)]
pub struct Renewals {
    events: VecDeque<Renewal>,
    /// Bytes of their IDs.
    size: usize,
}

/// What a step has come to.
#[derive(Debug)]
pub enum RenewalStep {
    /// A client whose token is to be renewed by a request on a subject.
    Client(ClientKey, Rc<str>),
    /// An ID, or the end of its clients.
    Later,
    /// The end of an event.
    Done,
    /// What is no token ID: the rest of the event is not used.
    Unfit(JsonError),
}

impl Renewals {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether there are too many for one more, with IDs of so many bytes.
    pub fn is_full(&self, bytes: usize) -> bool {
        !self.is_empty()
            && (self.events.len() >= MAX_RENEWALS || self.size + bytes > MAX_RENEWALS_SIZE)
    }

    /// Begins to act on an event: its IDs are a valid JSON array.
    pub fn push(&mut self, tids: &str, subject: &str) {
        self.size += tids.len();
        self.events.push_back(Renewal {
            tids: tids.into(),
            walk: Walk::default(),
            subject: subject.into(),
            seen: HashSet::default(),
            at: None,
        });
    }

    /// Goes on with the first one by one step. `find` has a token ID that clients have, and the
    /// first of those from a key on.
    pub fn next(
        &mut self,
        find: impl Fn(&str, ClientKey) -> Option<(Rc<str>, ClientKey)>,
    ) -> RenewalStep {
        let Some(event) = self.events.front_mut() else {
            return RenewalStep::Done;
        };
        if let Some((tid, from)) = event.at.take() {
            let Some((tid, client)) = find(&tid, from) else {
                return RenewalStep::Later;
            };
            event.at = (client.0.checked_add(1)).map(|next| (tid, ClientKey(next)));
            return RenewalStep::Client(client, event.subject.clone());
        }
        let item = event.walk.item(&event.tids);
        let tid = item.and_then(|item| item.map(json::string).transpose());
        match tid {
            Ok(Some(tid)) => {
                if let Some((tid, client)) = find(&tid, ClientKey(0))
                    && event.seen.insert(tid.clone())
                {
                    event.at = Some((tid, client));
                }
                RenewalStep::Later
            }
            Ok(None) => {
                self.end();
                RenewalStep::Done
            }
            Err(error) => {
                self.end();
                RenewalStep::Unfit(error)
            }
        }
    }

    /// The first one is over.
    fn end(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.size -= event.tids.len();
        }
    }

    /// Checks the count of bytes.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let size: usize = self.events.iter().map(|event| event.tids.len()).sum();
        match size == self.size {
            true => Ok(()),
            false => Err(format!(
                "token IDs of {size} bytes are counted as {}",
                self.size
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn each_client_of_each_id_is_found_once_and_one_step_looks_at_one() {
        let mut clients: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        clients.insert("a", (0..500).collect());
        clients.insert("b", vec![7, u32::MAX]);
        let find = |tid: &str, from: ClientKey| {
            let found = clients.get(tid)?.iter().find(|key| **key >= from.0)?;
            Some((Rc::from(tid), ClientKey(*found)))
        };
        let mut renewals = Renewals::default();
        renewals.push(r#"["x","a","b", "a","\u0062"]"#, "first");
        renewals.push(r#"["b",1,"a"]"#, "second");
        renewals.audit().unwrap();
        let (mut found, mut ends, mut steps) = (Vec::new(), Vec::new(), 0);
        while !renewals.is_empty() {
            steps += 1;
            match renewals.next(find) {
                RenewalStep::Client(client, subject) => found.push((client.0, subject)),
                RenewalStep::Later => {}
                RenewalStep::Done => ends.push(found.len()),
                RenewalStep::Unfit(error) => {
                    assert_eq!(error.to_string(), "not a string");
                    ends.push(found.len());
                }
            }
            renewals.audit().unwrap();
        }
        assert_eq!((found.len(), ends), (504, vec![502, 504]));
        assert!(
            found[..502]
                .iter()
                .all(|(_, subject)| &**subject == "first")
        );
        assert!(steps >= 504, "{steps}");
    }

    #[test]
    fn so_many_wait() {
        let mut renewals = Renewals::default();
        assert!(!renewals.is_full(2 * MAX_RENEWALS_SIZE));
        renewals.push("[]", "s");
        assert!(!renewals.is_full(MAX_RENEWALS_SIZE - 2));
        assert!(renewals.is_full(MAX_RENEWALS_SIZE - 1));
        (1..MAX_RENEWALS).for_each(|_| renewals.push("[]", "s"));
        assert!(renewals.is_full(0));
    }
}
