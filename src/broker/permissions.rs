//! What a user may publish and subscribe to.

use hashbrown::HashMap;

use super::subject::{covers, is_pattern};

/// Subjects for answers that are remembered for one connection. Those that came last count.
pub(crate) const REPLIES_MAX: usize = 4_096;

/// Which subjects are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    /// Patterns of what is; `None` for all.
    pub(super) allow: Option<Vec<Box<[u8]>>>,
    /// Patterns of what is not.
    pub(super) deny: Vec<Box<[u8]>>,
}

impl Rule {
    /// Whether a subject, or a pattern taken as one, is allowed.
    pub(super) fn allows(&self, subject: &[u8]) -> bool {
        let is_covered = |patterns: &[Box<[u8]>]| patterns.iter().any(|p| covers(p, subject));
        self.allow.as_deref().is_none_or(is_covered) && !is_covered(&self.deny)
    }

    /// Whether a message must not be delivered though its subscription is allowed.
    pub(super) fn withholds(&self, subject: &[u8]) -> bool {
        self.deny.iter().any(|pattern| covers(pattern, subject))
    }
}

/// The right to answer what was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    /// Messages for each request; 0 for any number.
    pub(super) max: u64,
    /// Milliseconds from the request on; 0 for ever.
    pub(super) time: u64,
}

/// The rights of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Permissions {
    pub(super) publish: Rule,
    pub(super) subscribe: Rule,
    pub(super) answers: Option<Answers>,
}

impl Permissions {
    /// Whether all is allowed.
    pub(super) fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a delivery must be looked at, for a subscription with wildcards.
    pub(super) fn filters(&self, is_wild: bool) -> bool {
        is_wild && !self.subscribe.deny.is_empty()
    }
}

/// What a connection may answer.
#[derive(Debug, Default)]
pub(super) struct Replies(HashMap<Box<[u8]>, Reply, foldhash::fast::RandomState>);

#[derive(Clone, Copy, Debug)]
struct Reply {
    since: u64,
    count: u64,
}

impl Replies {
    /// Notes a message that wants an answer.
    pub(super) fn note(&mut self, subject: &[u8], answers: Answers, now: u64) {
        if self.0.len() >= REPLIES_MAX {
            self.0.retain(|_, reply| !is_over(*reply, answers, now));
        }
        if self.0.len() >= REPLIES_MAX {
            // All are open: half of them, the older ones, go.
            let mut ages: Vec<u64> = self.0.values().map(|reply| reply.since).collect();
            let middle = ages.len() / 2;
            let (_, &mut middle, _) = ages.select_nth_unstable(middle);
            self.0.retain(|_, reply| reply.since > middle);
        }
        let reply = Reply {
            since: now,
            count: 0,
        };
        self.0.insert(subject.into(), reply);
    }

    /// Whether an answer may be sent; it counts.
    pub(super) fn allow(&mut self, subject: &[u8], answers: Answers, now: u64) -> bool {
        let Some(reply) = self.0.get_mut(subject) else {
            return false;
        };
        reply.count += 1;
        if is_over(*reply, answers, now) {
            self.0.remove(subject);
            return false;
        }
        true
    }
}

fn is_over(reply: Reply, answers: Answers, now: u64) -> bool {
    answers.max > 0 && reply.count > answers.max
        || answers.time > 0 && now.saturating_sub(reply.since) > answers.time
}

/// Whether a text can be a pattern of a permission.
pub(super) fn is_permission(pattern: &str) -> bool {
    is_pattern(pattern.as_bytes()) && pattern.bytes().all(|b| b > b' ' && b != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: Option<&[&str]>, deny: &[&str]) -> Rule {
        let boxed = |list: &[&str]| list.iter().map(|p| p.as_bytes().into()).collect();
        Rule {
            allow: allow.map(boxed),
            deny: boxed(deny),
        }
    }

    #[test]
    fn rules() {
        let all = rule(None, &["no.>"]);
        let some = rule(Some(&["a.>", "b"]), &["a.x"]);
        for (rule, subject, is_allowed) in [
            (&all, "a", true),
            (&all, "no.a", false),
            (&all, "no", true),
            (&some, "a.b", true),
            (&some, "a.x", false),
            (&some, "b", true),
            (&some, "c", false),
            (&some, ">", false),
        ] {
            assert_eq!(rule.allows(subject.as_bytes()), is_allowed, "{subject}");
        }
    }

    #[test]
    fn answers_are_few_and_in_time() {
        let answers = Answers { max: 2, time: 100 };
        let mut replies = Replies::default();
        assert!(!replies.allow(b"r", answers, 0));
        replies.note(b"r", answers, 0);
        assert!(replies.allow(b"r", answers, 100));
        assert!(replies.allow(b"r", answers, 100));
        assert!(!replies.allow(b"r", answers, 100));
        replies.note(b"r", answers, 200);
        assert!(!replies.allow(b"r", answers, 301));
    }

    #[test]
    fn no_more_than_so_many_answers_are_awaited() {
        let answers = Answers { max: 1, time: 0 };
        let mut replies = Replies::default();
        for n in 0..3 * REPLIES_MAX {
            replies.note(n.to_string().as_bytes(), answers, n as u64);
            assert!(replies.0.len() <= REPLIES_MAX);
        }
        let last = (3 * REPLIES_MAX - 1).to_string();
        assert!(replies.allow(last.as_bytes(), answers, 0));
        assert!(!replies.allow(b"0", answers, 0));
    }
}
