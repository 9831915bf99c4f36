//! Resource sets: what a client is sent with an answer or an event, since it does not hold
//! it (RES-Client protocol, "Resource set").
//!
//! Whoever follows a tree lacks what others before lacked: its set is found by a walk of its
//! own, but encoded once for all.

use super::cache::AliasKey;
use super::outbox::Message;
use super::subscription::{State, SubKey};
use super::{Gateway, LINGER, Time};
use crate::res::{Error, json};
use hashbrown::HashSet;
use std::ops::Range;
use std::rc::Rc;

/// Answers from this size on, in bytes, are shared and kept. A shorter one is encoded
/// again as quickly as it is found.
pub const SHARED_MIN: usize = 512;

/// Answers that are kept at most, and their size in bytes; one alone may be larger.
const MOST: usize = 16;
const SIZE_MAX: usize = 8 << 20;

/// Milliseconds for which an answer is kept after its last use.
const KEPT: u64 = LINGER;

/// What one client lacks.
#[derive(Debug, Default)]
pub struct Set {
    pub members: Vec<Member>,
    /// The subscriptions that the members' references hold.
    children: Vec<SubKey>,
}

/// One resource of a set.
#[derive(Clone, Debug)]
pub struct Member {
    pub sub: SubKey,
    alias: AliasKey,
    /// The version of the content; 0 for an error.
    version: u64,
    /// Its place among the children of all members.
    children: Range<usize>,
}

impl Set {
    pub fn children_of(&self, member: &Member) -> &[SubKey] {
        &self.children[member.children.clone()]
    }
}

/// What the text of a set depends on, beside the dialect: resource IDs and versions. Sets
/// with errors in them have none.
#[derive(Debug, PartialEq)]
pub struct SetKey(Box<[(AliasKey, u64)]>);

impl SetKey {
    pub fn of(set: &[Member]) -> Option<Self> {
        let parts = set.iter().map(|member| (member.alias, member.version));
        let has_error = set.iter().any(|member| member.version == 0);
        (!has_error).then(|| Self(parts.collect()))
    }

    pub fn is_of(&self, set: &[Member]) -> bool {
        self.0.len() == set.len()
            && (self.0.iter().zip(set))
                .all(|(part, member)| *part == (member.alias, member.version))
    }

    fn size(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// Answers that were encoded lately.
#[derive(Default)]
pub struct Answers {
    /// The one that was used last stands last.
    kept: Vec<KeptAnswer>,
    /// Bytes of all of them.
    size: usize,
}

struct KeptAnswer {
    set: SetKey,
    form: Form,
    body: Rc<Message>,
    used: Time,
}

/// What the text of an answer depends on beside its set: the dialect, and the resource that
/// a resource response names.
#[derive(Clone, Copy, PartialEq)]
pub struct Form {
    pub plain: bool,
    pub named: Option<AliasKey>,
}

impl KeptAnswer {
    fn size(&self) -> usize {
        self.set.size() + self.body.text().len()
    }
}

impl Answers {
    /// The body of an answer, if it is known.
    fn find(&mut self, now: Time, form: Form, set: &[Member]) -> Option<Rc<Message>> {
        let mut kept = self.kept.iter();
        let place = kept.rposition(|kept| kept.form == form && kept.set.is_of(set))?;
        let mut found = self.kept.remove(place);
        found.used = now;
        let body = found.body.clone();
        self.kept.push(found);
        Some(body)
    }

    fn keep(&mut self, now: Time, form: Form, set: SetKey, body: Rc<Message>) {
        let new = KeptAnswer {
            set,
            form,
            body,
            used: now,
        };
        self.size += new.size();
        self.kept.push(new);
        while self.kept.len() > MOST || self.size > SIZE_MAX && self.kept.len() > 1 {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let first = self.kept.remove(0);
        self.size -= first.size();
    }

    /// When the next answer is to be forgotten.
    pub fn next(&self) -> Option<Time> {
        Some(Time(self.kept.first()?.used.0 + KEPT))
    }

    /// Forgets what was not used for long.
    pub fn forget(&mut self, now: Time) {
        while self.next().is_some_and(|due| due <= now) {
            self.forget_first();
        }
    }
}

impl Gateway {
    /// What the client does not hold of some trees, each after what references it.
    ///
    /// # Errors
    /// Those that are still being loaded.
    pub(super) fn unsent_below(&self, roots: &[SubKey]) -> Result<Set, Vec<SubKey>> {
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
    pub(super) fn write_set(&self, set: &[Member], plain: bool, out: &mut Vec<u8>) {
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
    pub(super) fn known_answer(&mut self, form: Form, set: &[Member]) -> Option<Rc<Message>> {
        self.answers.find(self.now, form, set)
    }

    /// Makes the body that others can be answered with too of an answer's text, and keeps
    /// it for them. `None` for a text that is no use to others.
    pub(super) fn share_answer(
        &mut self,
        form: Form,
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

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form {
        plain: false,
        named: None,
    };

    fn member(alias: u32, version: u64) -> Member {
        Member {
            sub: SubKey::from_parts(alias, version as u32),
            alias: AliasKey::from_parts(alias, 1),
            version,
            children: 0..0,
        }
    }

    fn keep(answers: &mut Answers, now: u64, form: Form, set: &[Member], size: usize) {
        let key = SetKey::of(set).unwrap();
        answers.keep(Time(now), form, key, Message::new(&vec![b' '; size]));
    }

    #[test]
    fn an_answer_is_found_by_all_that_its_text_depends_on() {
        let mut answers = Answers::default();
        let set = [member(1, 5), member(2, 6)];
        keep(&mut answers, 0, FORM, &set, 700);
        // Another client's subscriptions are other ones, of the same.
        let mut same = set.clone();
        same[0].sub = SubKey::from_parts(99, 99);
        assert!(answers.find(Time(1), FORM, &same).is_some());
        for other in [
            vec![],
            vec![member(1, 5)],
            vec![member(1, 5), member(2, 7)],
            vec![member(1, 5), member(3, 6)],
            vec![member(2, 6), member(1, 5)],
            vec![member(1, 5), member(2, 6), member(3, 7)],
        ] {
            assert!(answers.find(Time(1), FORM, &other).is_none(), "{other:?}");
        }
        let plain = Form {
            plain: true,
            ..FORM
        };
        let named = Form {
            named: Some(set[0].alias),
            ..FORM
        };
        assert!(answers.find(Time(1), plain, &set).is_none());
        assert!(answers.find(Time(1), named, &set).is_none());
        assert_eq!(SetKey::of(&[member(1, 5), member(2, 0)]), None);
    }

    #[test]
    fn what_was_not_used_for_longest_gives_way() {
        let mut answers = Answers::default();
        let set = |n: usize| [member(n as u32, 1)];
        for n in 0..MOST {
            keep(&mut answers, 0, FORM, &set(n), 600);
        }
        assert!(answers.find(Time(1), FORM, &set(0)).is_some());
        keep(&mut answers, 2, FORM, &set(MOST), 600);
        assert!(answers.find(Time(3), FORM, &set(0)).is_some());
        assert!(answers.find(Time(3), FORM, &set(1)).is_none());
        // One larger than all may be stands alone.
        keep(&mut answers, 4, FORM, &set(90), SIZE_MAX + 1);
        assert_eq!(answers.kept.len(), 1);
        keep(&mut answers, 5, FORM, &set(91), 600);
        assert!(answers.find(Time(5), FORM, &set(90)).is_none());
        assert!(answers.find(Time(5), FORM, &set(91)).is_some());
    }

    #[test]
    fn what_is_not_used_is_forgotten() {
        let mut answers = Answers::default();
        assert_eq!(answers.next(), None);
        keep(&mut answers, 10, FORM, &[member(1, 1)], 600);
        keep(&mut answers, 20, FORM, &[member(2, 1)], 600);
        assert_eq!(answers.next(), Some(Time(10 + KEPT)));
        answers.find(Time(30), FORM, &[member(1, 1)]).unwrap();
        assert_eq!(answers.next(), Some(Time(20 + KEPT)));
        answers.forget(Time(20 + KEPT));
        assert_eq!(answers.next(), Some(Time(30 + KEPT)));
        answers.forget(Time(30 + KEPT));
        assert_eq!((answers.next(), answers.size), (None, 0));
    }
}
