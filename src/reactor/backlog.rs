//! What NATS has sent and nobody has looked at yet: when too much of it waits, the names
//! with most of it lose theirs.

use hashbrown::HashMap;

use crate::gateway::Time;
use crate::nats::{Op, Parser};

/// Bytes that wait, of which some are dropped when as many wait for [`PATIENCE`]; and those
/// of which some are dropped at once, and beyond which nothing more is read, whatever the
/// server makes of that.
pub(crate) const BACKLOG_HIGH: usize = 8 << 20;
pub(crate) const BACKLOG_MAX: usize = 6 * BACKLOG_HIGH;

/// Milliseconds for a burst to be worked off.
pub(crate) const PATIENCE: u64 = 1_000;

/// Since when too much waits.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    since: Option<Time>,
    /// Whether some was dropped since then because no more could be kept.
    was_full: bool,
}

impl Backlog {
    /// Whether some of what waits must be dropped now. If it is, time begins anew.
    pub(super) fn is_too_long(&mut self, waiting: usize, now: Time) -> bool {
        if waiting < BACKLOG_HIGH {
            *self = Self::default();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_over = now.0.saturating_sub(since.0) >= PATIENCE;
        // Where nothing could be dropped it is not tried at each turn.
        let is_full = waiting >= BACKLOG_MAX && !std::mem::replace(&mut self.was_full, true);
        if is_over || is_full {
            self.since = Some(now);
        }
        is_over || is_full
    }
}

/// Drops messages from whole operations at the front of what was received, until half of
/// it is left: all those of the subscriptions that have most, if `may_drop` says so of
/// them. What is left keeps its order and moves to the front.
///
/// Returns its length, and the subscriptions that have lost messages.
pub(super) fn shed(input: &mut [u8], may_drop: impl Fn(u64) -> bool) -> (usize, Vec<u64>) {
    let mut waiting: HashMap<u64, usize, foldhash::fast::RandomState> = HashMap::default();
    let mut at = 0;
    while let Some((len, sid)) = next(&input[at..]) {
        at += len;
        if let Some(sid) = sid.filter(|sid| may_drop(*sid)) {
            *waiting.entry(sid).or_default() += len;
        }
    }
    let mut most: Vec<(u64, usize)> = waiting.into_iter().collect();
    most.sort_unstable_by_key(|(sid, bytes)| (std::cmp::Reverse(*bytes), *sid));
    let mut rest = input.len();
    let half = input.len() / 2;
    let victims = most.into_iter().take_while(|(_, bytes)| {
        let is_needed = rest > half;
        rest -= bytes;
        is_needed
    });
    let mut victims: Vec<u64> = victims.map(|(sid, _)| sid).collect();
    victims.sort_unstable();
    let (mut at, mut kept) = (0, 0);
    while let Some((len, sid)) = next(&input[at..]) {
        let is_victim = sid.is_some_and(|sid| victims.binary_search(&sid).is_ok());
        if !is_victim {
            input.copy_within(at..at + len, kept);
            kept += len;
        }
        at += len;
    }
    let tail = at..input.len();
    let len = kept + tail.len();
    input.copy_within(tail, kept);
    (len, victims)
}

/// The length of the operation at the front, and the subscription whose message it is.
/// What is no operation is left for whoever will report it.
fn next(input: &[u8]) -> Option<(usize, Option<u64>)> {
    let (len, op) = Parser::default().next(input).ok()??;
    match op {
        Op::Message(message) => Some((len, Some(message.sid))),
        _ => Some((len, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sid: u64, text: &str) -> String {
        format!("MSG a.{sid} {sid} {}\r\n{text}\r\n", text.len())
    }

    #[test]
    fn the_busiest_names_lose_theirs_and_all_else_keeps_its_order() {
        let mut input = String::new();
        for n in 0..100 {
            input += &message(7, &format!("flood {n}"));
            if n % 10 == 0 {
                input += &message(3, &format!("calm {n}"));
                input += &message(2, &format!("answer to {n}, longer than all the flood"));
                input += "PING\r\n";
            }
        }
        let tail = "MSG a.7 7 100\r\nnot whole";
        input += tail;
        let expected: String = (0..100)
            .step_by(10)
            .map(|n| {
                message(3, &format!("calm {n}"))
                    + &message(2, &format!("answer to {n}, longer than all the flood"))
                    + "PING\r\n"
            })
            .collect();
        let mut bytes = input.into_bytes();
        let (len, sids) = shed(&mut bytes, |sid| sid != 2);
        assert_eq!(sids, [7]);
        assert_eq!(std::str::from_utf8(&bytes[..len]), Ok(&*(expected + tail)));
    }

    #[test]
    fn a_burst_has_a_while_to_be_worked_off() {
        let mut backlog = Backlog::default();
        assert!(!backlog.is_too_long(BACKLOG_HIGH, Time(0)));
        assert!(!backlog.is_too_long(BACKLOG_HIGH - 1, Time(PATIENCE)));
        assert!(!backlog.is_too_long(BACKLOG_HIGH, Time(PATIENCE)));
        assert!(!backlog.is_too_long(BACKLOG_HIGH, Time(2 * PATIENCE - 1)));
        assert!(backlog.is_too_long(BACKLOG_HIGH, Time(2 * PATIENCE)));
        assert!(!backlog.is_too_long(BACKLOG_HIGH, Time(2 * PATIENCE)));
        assert!(!backlog.is_too_long(0, Time(2 * PATIENCE)));
        assert!(backlog.is_too_long(BACKLOG_MAX, Time(2 * PATIENCE)));
        assert!(!backlog.is_too_long(BACKLOG_MAX, Time(2 * PATIENCE)));
    }

    #[test]
    fn nothing_is_dropped_that_must_not_be() {
        let input: String = (0..50).map(|n| message(2, &n.to_string())).collect();
        let mut bytes = input.clone().into_bytes();
        let (len, sids) = shed(&mut bytes, |sid| sid != 2);
        assert_eq!((len, sids.len()), (input.len(), 0));
        assert_eq!(bytes, input.as_bytes());
        let mut broken = b"MSG a 7 1\r\nx\r\nnonsense\r\nMSG a 7 1\r\nx\r\n".to_vec();
        let (len, sids) = shed(&mut broken, |_| true);
        assert_eq!((&broken[..10], &sids[..]), (&b"nonsense\r\n"[..], &[7][..]));
        assert_eq!(len, broken.len() - 14);
        assert_eq!(shed(&mut [], |_| true), (0, Vec::new()));
    }
}
