//! SharedAnswers that were encoded lately, kept for others who lack the same.

use crate::gateway::model::outbox::Message;
use crate::gateway::model::set::{AnswerForm, Member, SetKey};
use crate::gateway::model::time::{LINGER, Time};
use std::rc::Rc;

/// Answers from this size on, in bytes, are shared and kept. A shorter one is encoded
/// again as quickly as it is found.
pub const SHARED_MIN: usize = 512;

/// Answers that are kept at most, and their size in bytes; one alone may be larger.
const MOST: usize = 16;
const SIZE_MAX: usize = 8 << 20;

/// Milliseconds for which an answer is kept after its last use.
const KEPT: u64 = LINGER;

/// Answers that were encoded lately.
#[derive(Debug, Default)]
pub struct SharedAnswers {
    /// The one that was used last stands last.
    kept: Vec<KeptAnswer>,
    /// Bytes of all of them.
    size: usize,
}

#[derive(Debug)]
struct KeptAnswer {
    set: SetKey,
    form: AnswerForm,
    body: Rc<Message>,
    used: Time,
}

impl KeptAnswer {
    fn size(&self) -> usize {
        self.set.size() + self.body.text().len()
    }
}

impl SharedAnswers {
    /// The body of an answer, if it is known.
    pub fn find(&mut self, now: Time, form: AnswerForm, set: &[Member]) -> Option<Rc<Message>> {
        let mut kept = self.kept.iter();
        let place = kept.rposition(|kept| kept.form == form && kept.set.is_of(set))?;
        let mut found = self.kept.remove(place);
        found.used = now;
        let body = found.body.clone();
        self.kept.push(found);
        Some(body)
    }

    pub fn keep(&mut self, now: Time, form: AnswerForm, set: SetKey, body: Rc<Message>) {
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

    /// Checks the total against the answers.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let size: usize = self.kept.iter().map(KeptAnswer::size).sum();
        match size == self.size {
            true => Ok(()),
            false => Err(format!(
                "answers of {size} bytes are counted as {}",
                self.size
            )),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::keys::{AliasKey, SubKey};
    use crate::res::version::ValueForm;

    const FORM: AnswerForm = AnswerForm {
        values: ValueForm::Full,
        named: None,
        same: None,
    };

    fn member(alias: u32, version: u64) -> Member {
        let sub = SubKey::from_parts(alias, version as u32);
        Member::leaf(sub, AliasKey::from_parts(alias, 1), version)
    }

    fn keep(answers: &mut SharedAnswers, now: u64, form: AnswerForm, set: &[Member], size: usize) {
        let key = SetKey::of(set).unwrap();
        answers.keep(Time(now), form, key, Message::new(&vec![b' '; size]));
    }

    #[test]
    fn an_answer_is_found_by_all_that_its_text_depends_on() {
        let mut answers = SharedAnswers::default();
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
        let plain = AnswerForm {
            values: ValueForm::Plain,
            ..FORM
        };
        let named = AnswerForm {
            named: Some(set[0].alias),
            ..FORM
        };
        assert!(answers.find(Time(1), plain, &set).is_none());
        assert!(answers.find(Time(1), named, &set).is_none());
        for same in [0, 1] {
            let tagged = AnswerForm {
                same: Some(same),
                ..FORM
            };
            assert!(answers.find(Time(1), tagged, &set).is_none());
        }
        assert_eq!(SetKey::of(&[member(1, 5), member(2, 0)]), None);
    }

    #[test]
    fn what_was_not_used_for_longest_gives_way() {
        let mut answers = SharedAnswers::default();
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
        let mut answers = SharedAnswers::default();
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
