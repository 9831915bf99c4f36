//! Texts on their way to clients: answers that others get too, what was made of the latest
//! updates, and the buffer in which a text is written.

mod answers;
mod bodies;

use crate::gateway::model::expansion::Known;
use crate::gateway::model::keys::AliasKey;
use crate::gateway::model::outbox::Message;
use crate::gateway::model::set::{AnswerForm, Member, SetKey};
use crate::gateway::model::time::Time;
use crate::gateway::model::update::{Recent, Update};
use answers::{SHARED_MIN, SharedAnswers};
use bodies::Bodies;
use std::rc::Rc;

/// Bytes of the scratch buffer that are kept.
const SCRATCH_KEPT: usize = 16 << 10;

/// Texts that are kept for the next use.
#[derive(Debug, Default)]
pub struct Texts {
    answers: SharedAnswers,
    bodies: Bodies,
    recent: Recent,
    scratch: Vec<u8>,
}

impl Texts {
    /// An empty buffer, to be given back.
    pub fn take_scratch(&mut self) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        text
    }

    /// Puts the buffer back in its place, unless it has grown large.
    pub fn keep_scratch(&mut self, text: Vec<u8>) {
        if text.capacity() <= SCRATCH_KEPT {
            self.scratch = text;
        }
    }

    /// An answer with a resource set that was encoded before, but for its tail.
    pub fn known_answer(
        &mut self,
        now: Time,
        form: AnswerForm,
        set: &[Member],
    ) -> Option<Rc<Message>> {
        self.answers.find(now, form, set)
    }

    /// Makes the body that others can be answered with too of an answer's text, and keeps
    /// it for them. `None` for a text that is no use to others.
    pub fn share_answer(
        &mut self,
        now: Time,
        form: AnswerForm,
        set: &[Member],
        text: &mut Vec<u8>,
    ) -> Option<Rc<Message>> {
        if !Self::is_shared(text) {
            return None;
        }
        let key = SetKey::of(set)?;
        let body = Message::of(std::mem::take(text));
        self.answers.keep(now, form, key, body.clone());
        Some(body)
    }

    /// What a web request for a resource was last answered, to be compared with the cache.
    pub fn known_body(&mut self, now: Time, root: AliasKey) -> Option<Rc<Known>> {
        self.bodies.find(now, root)
    }

    /// Whether there is any.
    pub fn has_body(&self, root: AliasKey) -> bool {
        self.bodies.has(root)
    }

    /// What is known to be true without being compared.
    pub fn fresh_body(&mut self, now: Time, root: AliasKey, epoch: u64) -> Option<Rc<Known>> {
        self.bodies.find_fresh(now, root, epoch)
    }

    /// The body of a resource was compared with the cache as it was since this change.
    pub fn note_checked(&mut self, now: Time, root: AliasKey, epoch: u64) {
        self.bodies.note_checked(now, root, epoch);
    }

    /// Whether a text is worth keeping: a short one is as quickly made again.
    pub fn is_shared(text: &[u8]) -> bool {
        text.len() >= SHARED_MIN
    }

    /// Keeps what a web request for a resource was answered, for others.
    pub fn keep_body(&mut self, now: Time, root: AliasKey, epoch: u64, known: Known) {
        self.bodies.keep(now, root, epoch, Rc::new(known));
    }

    /// An update was sent with what clients lacked.
    pub fn note_update(&mut self, update: &Rc<Update>) {
        self.recent.note(update);
    }

    /// When answers or bodies are to be forgotten.
    pub fn next_timeout(&self) -> Option<Time> {
        Time::first([self.answers.next(), self.bodies.next()])
    }

    /// Forgets answers and bodies that were not used for long.
    pub fn forget_unused(&mut self, now: Time) {
        self.answers.forget(now);
        self.bodies.forget(now);
    }

    /// Checks the totals of answers and bodies.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        self.answers.audit()?;
        self.bodies.audit()
    }
}
