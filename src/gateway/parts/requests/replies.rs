//! Reply subjects: where answers come in, and which request each is for.
//!
//! A usual one holds the request's key. The subject of a request may be so long that this
//! does not fit the broker's control line beside it; then a short number stands for the
//! key, which a table remembers.

use crate::gateway::model::keys::PendingKey;
use crate::gateway::model::random::Random;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// Most that a broker takes in a control line behind its verb, in bytes, unless it is
/// configured otherwise.
const MAX_ARGUMENTS: usize = 4096;

/// What a control line must have room for beside the subject of a request, in bytes: two
/// spaces, the shortest reply subject, and a size of seven digits. The event subscription
/// of a name needs less beside the subject of its get request: `event.` and `.*` for
/// `get.`, a space, and an ID of at most twenty digits.
const BESIDE_SUBJECT: usize = 29;

/// `_INBOX.`, eight characters of the process, and a dot.
const INBOX: usize = 16;
/// Digits of a key and of a short number.
const LONG: usize = 11;
const SHORT: usize = 4;
/// There are so many short numbers.
const SHORT_NUMBERS: u32 = 62 * 62 * 62 * 62;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The forms of reply subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyForm {
    Usual,
    Short,
}

/// A reply subject.
#[derive(Debug)]
pub struct Reply {
    pub text: [u8; INBOX + LONG],
    pub length: usize,
}

impl Reply {
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// The inbox of the process.
#[derive(Debug)]
pub struct Replies {
    pub inbox: [u8; INBOX],
    /// Requests by short number.
    pub short: HashMap<u32, PendingKey, foldhash::fast::RandomState>,
    /// The short number that was given out last. They go round, so that a late answer
    /// does not meet another request soon.
    pub last: u32,
    /// Most that the broker takes in a control line behind its verb, in bytes.
    max_line: usize,
}

impl Replies {
    pub fn new(random: &mut Random) -> Self {
        let mut inbox = *b"_INBOX.01234567.";
        inbox[7..15].copy_from_slice(&random.text::<8>());
        Self {
            inbox,
            short: HashMap::default(),
            last: 0,
            max_line: MAX_ARGUMENTS,
        }
    }

    /// The broker takes control lines of so many bytes behind their verb.
    pub fn set_max_line(&mut self, bytes: usize) {
        self.max_line = bytes;
    }

    /// Longest request subject, in bytes, however short the reply subject is.
    pub fn max_subject(&self) -> usize {
        self.max_line.saturating_sub(BESIDE_SUBJECT)
    }

    /// What all reply subjects begin with.
    pub fn prefix(&self) -> &str {
        std::str::from_utf8(&self.inbox).unwrap_or_default()
    }

    /// The form of reply subject that fits a request whose subject and payload have these
    /// lengths; `None` when none does.
    pub fn form(&self, subject: usize, payload: usize) -> Option<ReplyForm> {
        if subject > self.max_subject() {
            return None;
        }
        let digits = payload.checked_ilog10().unwrap_or(0) as usize + 1;
        let room = self.max_line.saturating_sub(subject + "  ".len());
        if INBOX + LONG + digits <= room {
            Some(ReplyForm::Usual)
        } else if INBOX + SHORT + digits <= room && self.can_shorten() {
            Some(ReplyForm::Short)
        } else {
            None
        }
    }

    /// The usual reply subject of a request.
    pub fn usual(&self, key: PendingKey) -> Reply {
        self.reply(
            u64::from(key.generation()) << 32 | u64::from(key.index()),
            LONG,
        )
    }

    /// Gives a request a short number, of which [`Replies::form`] has found one free.
    pub fn shorten(&mut self, key: PendingKey) -> u32 {
        loop {
            self.last = (self.last + 1) % SHORT_NUMBERS;
            if let Entry::Vacant(entry) = self.short.entry(self.last) {
                entry.insert(key);
                return self.last;
            }
        }
    }

    /// The reply subject of a request with a short number.
    pub fn short(&self, number: u32) -> Reply {
        self.reply(u64::from(number), SHORT)
    }

    /// Short numbers in use.
    pub fn short_len(&self) -> usize {
        self.short.len()
    }

    /// A request is over; its short number may be given out again.
    pub fn forget(&mut self, number: u32) {
        self.short.remove(&number);
    }

    fn reply(&self, mut number: u64, digits: usize) -> Reply {
        let mut text = [0; INBOX + LONG];
        let length = INBOX + digits;
        text[..INBOX].copy_from_slice(&self.inbox);
        for byte in text[INBOX..length].iter_mut().rev() {
            *byte = DIGITS[(number % 62) as usize];
            number /= 62;
        }
        Reply { text, length }
    }

    /// Whether a short number is free.
    pub fn can_shorten(&self) -> bool {
        self.short.len() < SHORT_NUMBERS as usize
    }

    /// The request that a reply subject means, and its form. The request may be over.
    pub fn find(&self, subject: &[u8]) -> Option<(PendingKey, ReplyForm)> {
        let digits = subject.strip_prefix(&self.inbox)?;
        let mut number = 0u64;
        for byte in digits {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'A'..=b'Z' => byte - b'A' + 10,
                b'a'..=b'z' => byte - b'a' + 36,
                _ => return None,
            };
            number = number.checked_mul(62)?.checked_add(u64::from(digit))?;
        }
        match digits.len() {
            LONG => {
                let key = PendingKey::from_parts(number as u32, (number >> 32) as u32);
                Some((key, ReplyForm::Usual))
            }
            SHORT => {
                let key = self.short.get(&(number as u32)).copied()?;
                Some((key, ReplyForm::Short))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies() -> Replies {
        Replies::new(&mut Random::new([1, 2, 3, 4]))
    }

    #[test]
    fn reply_subjects_lead_back_to_their_requests() {
        let mut replies = replies();
        for (index, generation) in [(0, 1), (7, 99), (u32::MAX, u32::MAX), (123_456, 789_012)] {
            let key = PendingKey::from_parts(index, generation);
            let usual = replies.usual(key);
            assert_eq!(usual.as_bytes().len(), 27);
            assert_eq!(
                replies.find(usual.as_bytes()),
                Some((key, ReplyForm::Usual))
            );
            let number = replies.shorten(key);
            let short = replies.short(number);
            assert_eq!(short.as_bytes().len(), 20);
            assert_eq!(
                replies.find(short.as_bytes()),
                Some((key, ReplyForm::Short))
            );
            replies.forget(number);
            assert_eq!(replies.find(short.as_bytes()), None);
        }
    }

    #[test]
    fn other_subjects_mean_nothing() {
        let replies = replies();
        let prefix = replies.prefix();
        for tail in [
            "",
            "0",
            "0001",
            "000000000-0",
            "zzzzzzzzzzz",
            "000000000000",
        ] {
            let subject = format!("{prefix}{tail}");
            assert_eq!(replies.find(subject.as_bytes()), None, "{tail}");
        }
        assert_eq!(replies.find(b"_INBOX.other.00000000001"), None);
    }

    #[test]
    fn short_numbers_go_round_and_leave_out_those_in_use() {
        let mut replies = replies();
        let key = PendingKey::from_parts(1, 1);
        let first = replies.shorten(key);
        let second = replies.shorten(key);
        replies.forget(second);
        replies.last = SHORT_NUMBERS - 1;
        assert_eq!(replies.shorten(key), 0);
        replies.last = first - 1;
        assert_eq!(replies.shorten(key), second);
    }

    #[test]
    fn the_form_is_the_longest_that_fits_the_control_line() {
        let replies = replies();
        for subject in 4_000..4_100 {
            for payload in [0, 2, 9, 10, 99, 100, 65_536, 1 << 20, 9_999_999] {
                let arguments = |reply: usize| subject + reply + payload.to_string().len() + 2;
                let expected = match subject {
                    4_068.. => None,
                    _ if arguments(27) <= 4_096 => Some(ReplyForm::Usual),
                    _ => Some(ReplyForm::Short),
                };
                assert_eq!(
                    replies.form(subject, payload),
                    expected,
                    "{subject} {payload}"
                );
                if expected.is_some() {
                    assert!(arguments(20) <= 4_096);
                }
            }
        }
        // A payload of more digits than any broker takes is too long with the subject.
        assert_eq!(replies.form(4_067, 10_000_000), None);
        // The event subscription of the longest name that a get request can be sent for.
        let name = replies.max_subject() - "get.".len();
        let subscribe = "event.".len() + name + ".*".len() + 1 + u64::MAX.to_string().len();
        assert!(subscribe <= MAX_ARGUMENTS);
    }

    #[test]
    fn a_broker_may_take_less() {
        let mut replies = replies();
        replies.set_max_line(256);
        assert_eq!(replies.form(227, 9), Some(ReplyForm::Short));
        assert_eq!(replies.form(228, 9), None);
        assert_eq!(replies.form(200, 9), Some(ReplyForm::Usual));
        replies.set_max_line(0);
        assert_eq!(replies.form(1, 0), None);
    }
}
