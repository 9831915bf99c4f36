use std::collections::BTreeSet;

use super::*;
use crate::broker::subject::covers;

/// Random patterns and subjects: the trie finds what a look at each pattern finds, whether or
/// not the matches are kept.
#[test]
fn matches_are_those_of_each_pattern_by_itself() {
    let mut router = Router::new([5, 6]);
    let mut random = Router::new([7, 8]);
    let mut there: Vec<(SubKey, String)> = Vec::new();
    let words = ["a", "b", "c", "*", ">"];
    let text = |random: &mut Router, words: &[&str]| {
        let len = 1 + random.below(4);
        let mut tokens: Vec<&str> = Vec::new();
        while tokens.len() < len && tokens.last() != Some(&">") {
            tokens.push(words[random.below(words.len())]);
        }
        tokens.join(".")
    };
    for round in 0..20_000 {
        match random.below(4) {
            0 => {
                let pattern = text(&mut random, &words);
                let sid = Sid::Number(round);
                let key = router.subscribe(Owner::Gateway, sid, pattern.as_bytes(), b"", 0);
                there.push((key, pattern));
            }
            1 if there.len() > 20 => {
                let (key, _) = there.swap_remove(random.below(there.len()));
                assert!(router.unsubscribe(key).is_some());
            }
            _ => {
                let subject = text(&mut random, &words[..3]);
                let (matches, _) = router.matches(subject.as_bytes());
                let found: BTreeSet<SubKey> = matches.subs.iter().copied().collect();
                assert_eq!(found.len(), matches.subs.len());
                let covered = there
                    .iter()
                    .filter(|(_, pattern)| covers(pattern.as_bytes(), subject.as_bytes()));
                let expected: BTreeSet<SubKey> = covered.map(|(key, _)| *key).collect();
                assert_eq!(found, expected, "{subject}");
            }
        }
        if round % 500 == 0 {
            router.audit();
        }
    }
    for (key, _) in there {
        router.unsubscribe(key);
    }
    router.audit();
    assert_eq!(router.trie.len(), 0);
}

#[test]
fn a_subject_that_comes_again_is_looked_up_once() {
    let mut router = Router::new([1, 2]);
    router.subscribe(Owner::Gateway, Sid::Number(1), b"a.b", b"", 0);
    let mut cost = || router.matches(b"a.b").1;
    let first = cost();
    assert!(first > 1);
    assert_eq!((cost(), cost()), (first, 1));
    router.subscribe(Owner::Gateway, Sid::Number(2), b"*.b", b"", 0);
    let (matches, cost) = router.matches(b"a.b");
    assert_eq!((matches.subs.len(), cost > 1), (2, true));
}

/// Empty tokens match nothing, and wildcards in a subject are none.
#[test]
fn subjects_that_are_none() {
    let mut router = Router::new([1, 2]);
    router.subscribe(Owner::Gateway, Sid::Number(1), b">", b"", 0);
    router.subscribe(Owner::Gateway, Sid::Number(2), b"a.*", b"", 0);
    for (subject, count) in [
        ("", 0),
        ("a.", 0),
        (".a", 0),
        ("a..b", 0),
        ("a.*", 2),
        ("*", 1),
        (">", 1),
        ("a.>", 2),
    ] {
        let (matches, _) = router.matches(subject.as_bytes());
        assert_eq!(matches.subs.len(), count, "{subject}");
    }
}
