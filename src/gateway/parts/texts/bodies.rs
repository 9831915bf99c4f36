//! Bodies of web answers that were made lately, kept for others who ask for the same; and
//! that some would be too large.

use crate::gateway::model::expansion::Known;
use crate::gateway::model::keys::AliasKey;
use crate::gateway::model::time::{LINGER, Time};
use std::rc::Rc;

/// Bodies that are kept at most, and their size in bytes; one alone may be larger.
pub(crate) const MOST: usize = 64;
pub(crate) const SIZE_MAX: usize = 16 << 20;

/// Milliseconds for which one is kept after its last use.
const KEPT: u64 = LINGER;

/// Milliseconds for which one need not be compared with the cache if that has not changed:
/// what it was made of counts as used when it is compared.
const FRESH: u64 = LINGER / 20;

/// Bodies that were made lately.
#[derive(Debug, Default)]
pub struct Bodies {
    /// The one that was used last stands last.
    kept: Vec<KeptBody>,
    /// Bytes of all of them.
    size: usize,
}

#[derive(Debug)]
struct KeptBody {
    root: AliasKey,
    known: Rc<Known>,
    /// When it was last found to be true, by the cache's changes and in time.
    epoch: u64,
    checked: Time,
    used: Time,
}

impl Bodies {
    /// What was last made of a resource, to be compared with the cache.
    pub fn find(&mut self, now: Time, root: AliasKey) -> Option<Rc<Known>> {
        let place = self.kept.iter().rposition(|kept| kept.root == root)?;
        let mut found = self.kept.remove(place);
        found.used = now;
        let known = found.known.clone();
        self.kept.push(found);
        Some(known)
    }

    /// Whether anything was made of a resource lately.
    pub fn has(&self, root: AliasKey) -> bool {
        self.kept.iter().any(|kept| kept.root == root)
    }

    /// What was last made of a resource, if it is known to be true without being compared.
    pub fn find_fresh(&mut self, now: Time, root: AliasKey, epoch: u64) -> Option<Rc<Known>> {
        let mut kept = self.kept.iter();
        let found = kept.rfind(|kept| kept.root == root)?;
        let is_fresh = found.epoch == epoch && now.0 < found.checked.0 + FRESH;
        is_fresh.then(|| self.find(now, root))?
    }

    /// It was compared with the cache, which had changed so often when that began.
    pub fn note_checked(&mut self, now: Time, root: AliasKey, epoch: u64) {
        if let Some(kept) = self.kept.iter_mut().rfind(|kept| kept.root == root) {
            (kept.epoch, kept.checked) = (epoch, now);
        }
    }

    /// Keeps what was made of a resource, in place of what was before.
    pub fn keep(&mut self, now: Time, root: AliasKey, epoch: u64, known: Rc<Known>) {
        if let Some(place) = self.kept.iter().position(|kept| kept.root == root) {
            self.forget_at(place);
        }
        self.size += known.size();
        self.kept.push(KeptBody {
            root,
            known,
            epoch,
            checked: now,
            used: now,
        });
        while self.kept.len() > MOST || self.size > SIZE_MAX && self.kept.len() > 1 {
            self.forget_at(0);
        }
    }

    fn forget_at(&mut self, place: usize) {
        let gone = self.kept.remove(place);
        self.size -= gone.known.size();
    }

    /// Checks the total against the bodies.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let size: usize = self.kept.iter().map(|kept| kept.known.size()).sum();
        match size == self.size {
            true => Ok(()),
            false => Err(format!(
                "web bodies of {size} bytes are counted as {}",
                self.size
            )),
        }
    }

    /// When the next body is to be forgotten.
    pub fn next(&self) -> Option<Time> {
        Some(Time(self.kept.first()?.used.0 + KEPT))
    }

    /// Forgets what was not used for long.
    pub fn forget(&mut self, now: Time) {
        while self.next().is_some_and(|due| due <= now) {
            self.forget_at(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::expansion::Outcome;
    use crate::gateway::model::outbox::Message;
    use crate::gateway::model::tag::Tag;

    fn root(n: u32) -> AliasKey {
        AliasKey::from_parts(n, 1)
    }

    fn keep(bodies: &mut Bodies, now: u64, n: u32, size: usize) {
        let known = Known {
            parts: Box::new([(root(n), 1)]),
            outcome: Outcome::Body(Message::new(&vec![b' '; size]), Tag::of(b"")),
        };
        bodies.keep(Time(now), root(n), 7, Rc::new(known));
    }

    #[test]
    fn a_body_is_fresh_while_the_cache_is_unchanged_and_for_a_moment() {
        let mut bodies = Bodies::default();
        keep(&mut bodies, 0, 1, 10);
        assert!(bodies.find_fresh(Time(1), root(1), 7).is_some());
        assert!(bodies.find_fresh(Time(1), root(2), 7).is_none());
        assert!(bodies.find_fresh(Time(1), root(1), 8).is_none());
        assert!(bodies.find_fresh(Time(FRESH), root(1), 7).is_none());
        bodies.note_checked(Time(FRESH), root(1), 8);
        assert!(bodies.find_fresh(Time(FRESH), root(1), 8).is_some());
        assert!(bodies.find(Time(FRESH), root(1)).is_some());
    }

    #[test]
    fn what_was_not_used_for_longest_gives_way() {
        let mut bodies = Bodies::default();
        for n in 0..MOST as u32 {
            keep(&mut bodies, 0, n, 10);
        }
        assert!(bodies.find(Time(1), root(0)).is_some());
        keep(&mut bodies, 2, 900, 10);
        assert!(bodies.find(Time(3), root(0)).is_some());
        assert!(bodies.find(Time(3), root(1)).is_none());
        // One larger than all may be stands alone, and a newer one replaces it.
        keep(&mut bodies, 4, 901, SIZE_MAX + 1);
        assert_eq!(bodies.kept.len(), 1);
        keep(&mut bodies, 5, 901, 10);
        assert_eq!((bodies.kept.len(), bodies.audit()), (1, Ok(())));
        assert_eq!(bodies.next(), Some(Time(5 + KEPT)));
        bodies.forget(Time(5 + KEPT));
        assert_eq!((bodies.next(), bodies.size), (None, 0));
    }
}
