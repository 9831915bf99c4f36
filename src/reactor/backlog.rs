//! What NATS has sent and nobody has looked at yet: when too much of it waits, the names
//! with most of it lose theirs.

use hashbrown::HashMap;

use crate::nats::{Op, Parser};

/// Bytes that wait, from which on some are dropped; and those beyond which nothing more is
/// read, whatever the server makes of that.
pub(crate) const BACKLOG_HIGH: usize = 8 << 20;
pub(crate) const BACKLOG_MAX: usize = 4 * BACKLOG_HIGH;

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
