//! How long what was sent to a server was, as far as the server has not confirmed it: a
//! server that ends the connection since something was too long does not say what that was,
//! nor how long it may be.

use std::collections::VecDeque;

use super::TooLong;

/// The longest message since some time, and where its answer goes.
#[derive(Clone, Debug, Default)]
struct Record {
    bytes: usize,
    reply: Vec<u8>,
}

impl Record {
    fn note(&mut self, bytes: usize, reply: &[u8]) {
        if bytes > self.bytes {
            self.bytes = bytes;
            self.reply.clear();
            self.reply.extend_from_slice(reply);
        }
    }
}

/// By [`TooLong`].
type Records = [Record; 2];

/// What is known of the lengths that a server takes.
#[derive(Debug, Default)]
pub(super) struct Longest {
    /// The longest that the server has taken, by [`TooLong`].
    taken: [usize; 2],
    /// The longest of what each `PING` without `PONG` stands behind, oldest first.
    marks: VecDeque<Records>,
    /// The longest of what has no `PING` behind it.
    unmarked: Records,
}

/// What a server has shown by ending the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// What was too long.
    pub what: TooLong,
    /// Bytes that it was long.
    pub bytes: usize,
    /// Bytes up to which it is sent from now on: what the server has taken before, or half
    /// of what it has not, so that few lessons are enough.
    pub limit: usize,
    /// Where the answer to the message goes that was too long; empty for a subscription.
    pub reply: Vec<u8>,
}

impl Longest {
    /// A message is sent, or a subscription, which has neither payload nor answer.
    pub(super) fn note(&mut self, payload: usize, line: usize, reply: &[u8]) {
        self.unmarked[TooLong::Payload as usize].note(payload, reply);
        self.unmarked[TooLong::ControlLine as usize].note(line, reply);
    }

    /// A `PING` was sent.
    pub(super) fn mark(&mut self) {
        self.marks.push_back(std::mem::take(&mut self.unmarked));
    }

    /// The `PONG` for the oldest `PING` has come.
    pub(super) fn confirm(&mut self) {
        let confirmed = self.marks.pop_front().unwrap_or_default();
        for (taken, record) in self.taken.iter_mut().zip(confirmed) {
            *taken = record.bytes.max(*taken);
        }
    }

    /// What the server teaches by its refusal; `None` if nothing was sent that it can mean.
    pub(super) fn learn(&self, what: TooLong) -> Option<Lesson> {
        let index = what as usize;
        let records = self.marks.iter().chain([&self.unmarked]);
        let record = records
            .map(|records| &records[index])
            .max_by_key(|record| record.bytes)?;
        let bytes = record.bytes;
        let limit = self.taken[index].max(bytes / 2).min(bytes.checked_sub(1)?);
        let reply = record.reply.clone();
        Some(Lesson {
            what,
            bytes,
            limit,
            reply,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(longest: &Longest, what: TooLong) -> Option<(usize, usize, String)> {
        let lesson = longest.learn(what)?;
        assert_eq!(lesson.what, what);
        let reply = String::from_utf8(lesson.reply).expect("text");
        Some((lesson.bytes, lesson.limit, reply))
    }

    #[test]
    fn the_longest_that_was_not_confirmed_was_too_long() {
        let mut longest = Longest::default();
        assert_eq!(learn(&longest, TooLong::Payload), None);
        longest.note(100, 30, b"r.1");
        longest.note(7, 900, b"r.2");
        longest.note(100, 40, b"r.3");
        assert_eq!(
            learn(&longest, TooLong::Payload),
            Some((100, 50, "r.1".into()))
        );
        assert_eq!(
            learn(&longest, TooLong::ControlLine),
            Some((900, 450, "r.2".into()))
        );
        // Those before a PING are as much in doubt, until it is answered.
        longest.mark();
        longest.note(9, 20, b"r.4");
        let line = |longest: &Longest| learn(longest, TooLong::ControlLine);
        assert_eq!(line(&longest), Some((900, 450, "r.2".into())));
        longest.confirm();
        assert_eq!(line(&longest), Some((20, 19, "r.4".into())));
        // What was taken is not given up.
        longest.note(0, 1_500, b"");
        assert_eq!(line(&longest), Some((1_500, 900, String::new())));
        longest.confirm();
    }

    #[test]
    fn few_lessons_are_enough() {
        // A server that takes 700 bytes, and one who sends what just passes.
        let (mut limit, mut lessons) = (4_096, 0);
        while limit > 700 {
            let mut longest = Longest::default();
            longest.note(0, limit, b"");
            limit = learn(&longest, TooLong::ControlLine).expect("a lesson").1;
            lessons += 1;
        }
        assert!(lessons <= 3, "{lessons}");
    }
}
