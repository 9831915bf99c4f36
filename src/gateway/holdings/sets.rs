//! Resource sets: what a client is sent with an answer or an event, since it does not hold
//! it (RES-Client protocol, "Resource set").
//!
//! Whoever follows a tree lacks what others before lacked: its set is found by a walk of its
//! own, but encoded once for all.

use crate::gateway::Gateway;
use crate::gateway::model::keys::SubKey;
use crate::gateway::model::outbox::Message;
use crate::gateway::model::set::{AnswerForm, Member, Set, SetKey};
use crate::gateway::parts::answers::SHARED_MIN;
use crate::gateway::parts::holdings::State;
use crate::res::{Error, json};
use hashbrown::HashSet;
use std::rc::Rc;

impl Gateway {
    /// What the client does not hold of some trees, each after what references it.
    ///
    /// # Errors
    /// Those that are still being loaded.
    pub(in crate::gateway) fn unsent_below(&self, roots: &[SubKey]) -> Result<Set, Vec<SubKey>> {
        let mut set = Set::default();
        let mut loading = Vec::new();
        // Those that may be come to again. The others have one holder, which is gone through
        // once.
        let mut seen: Option<HashSet<SubKey, foldhash::fast::RandomState>> = None;
        let (mut roots, mut stack) = (roots.iter().copied(), Vec::new());
        while let Some(next) = stack.pop().or_else(|| roots.next()) {
            let sub = &self.subs.arena[next];
            // An error is no state that a client keeps: each set tells it again.
            let holds = sub.sent && sub.state != State::Failed;
            let has_one_holder = sub.direct + sub.open == 0 && sub.sent_refs + sub.unsent_refs == 1;
            if holds || !has_one_holder && !seen.get_or_insert_default().insert(next) {
                continue;
            }
            let content = match sub.state {
                State::Loading => {
                    loading.push(next);
                    continue;
                }
                State::Ready => self.content(next),
                // What is deleted and could not be loaded again stays as the client holds it.
                State::Failed if self.is_revived(next) => continue,
                State::Failed => None,
                State::Deleted => continue,
            };
            let version = content.map_or(0, |content| content.version);
            let first = set.children.len();
            if content.is_some_and(|content| content.has_references()) {
                self.push_children(next, &mut set.children);
                stack.extend(set.children[first..].iter().rev());
            }
            set.members.push(Member {
                sub: next,
                alias: sub.alias,
                version,
                children: first..set.children.len(),
            });
        }
        if loading.is_empty() {
            Ok(set)
        } else {
            Err(loading)
        }
    }

    /// Appends the members of a resource set, without braces.
    pub(in crate::gateway) fn write_set(&self, set: &[Member], plain: bool, out: &mut Vec<u8>) {
        let rid = |member: &Member| &*self.cache.aliases[member.alias].text;
        let (mut models, mut collections, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for member in set {
            match self.content(member.sub) {
                Some(content) if content.is_model() => models.push(member),
                Some(_) => collections.push(member),
                None => errors.push(member),
            }
        }
        let start = out.len();
        for (group, members) in [
            ("models", &mut models),
            ("collections", &mut collections),
            ("errors", &mut errors),
        ] {
            if members.is_empty() {
                continue;
            }
            members.sort_by(|a, b| rid(a).cmp(rid(b)));
            if out.len() > start {
                out.push(b',');
            }
            json::write_string(group, out);
            out.extend_from_slice(b":{");
            for (i, member) in members.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                json::write_string(rid(member), out);
                out.push(b':');
                let sub = member.sub;
                match (self.content(sub), self.subs.arena[sub].error()) {
                    (Some(content), _) => content.write(plain, out),
                    (None, Some(error)) => error.write(out),
                    (None, None) => Error::NOT_FOUND.write(out),
                }
            }
            out.push(b'}');
        }
    }

    /// An answer with a resource set that was encoded before, but for its tail.
    pub(in crate::gateway) fn known_answer(
        &mut self,
        form: AnswerForm,
        set: &[Member],
    ) -> Option<Rc<Message>> {
        self.answers.find(self.now, form, set)
    }

    /// Makes the body that others can be answered with too of an answer's text, and keeps
    /// it for them. `None` for a text that is no use to others.
    pub(in crate::gateway) fn share_answer(
        &mut self,
        form: AnswerForm,
        set: &[Member],
        text: &mut Vec<u8>,
    ) -> Option<Rc<Message>> {
        if text.len() < SHARED_MIN {
            return None;
        }
        let key = SetKey::of(set)?;
        let body = Message::of(std::mem::take(text));
        self.answers.keep(self.now, form, key, body.clone());
        Some(body)
    }
}
