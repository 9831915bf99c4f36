//! Transcripts that are cut off: after each of their steps something else happens, and
//! whatever it is, nothing may panic, stay without answer, be answered twice, or be left
//! behind.

use crate::harness::{Heart, LINGER, REQUEST_TIMEOUT};
use tidegate::gateway::Options;

type Step = fn(&mut Heart);

/// A client's life with everything in it: trees, cycles, events that wait, reaccess,
/// tokens, resets, queries, calls and deletion. Requests are answered in other steps than
/// they are made, so that each cut finds something open.
const LIFE: &[Step] = &[
    |h| {
        h.client(1).subscribe(1, "test.root");
    },
    |h| {
        h.client(1).get(2, "test.child");
    },
    |h| {
        h.client(1).call(3, "test.root.set");
    },
    |h| {
        answer(
            h,
            "get.test.root",
            r#"{"result":{"model":{"c":{"rid":"test.child"},"l":{"rid":"test.list?q"}}}}"#,
        )
    },
    |h| {
        answer(
            h,
            "access.test.root",
            r#"{"result":{"get":true,"call":"*"}}"#,
        )
    },
    |h| publish(h, "event.test.root.change", r#"{"values":{"n":1}}"#),
    |h| {
        answer(
            h,
            "get.test.child",
            r#"{"result":{"model":{"up":{"rid":"test.root"},"n":1}}}"#,
        )
    },
    |h| answer(h, "access.test.child", r#"{"result":{"get":true}}"#),
    |h| {
        answer(
            h,
            "get.test.list",
            r#"{"result":{"collection":[{"rid":"test.child"},1],"query":"q=1"}}"#,
        )
    },
    |h| {
        h.client(1).subscribe(4, "test.child");
    },
    |h| publish(h, "event.test.child.reaccess", ""),
    |h| {
        publish(
            h,
            "event.test.child.change",
            r#"{"values":{"x":{"rid":"test.slow"}}}"#,
        )
    },
    |h| answer(h, "access.test.child", r#"{"result":{"get":true}}"#),
    |h| answer(h, "access.test.child", r#"{"result":{"get":true}}"#),
    |h| publish(h, "event.test.child.reaccess", ""),
    |h| answer(h, "access.test.child", r#"{"result":{"get":true}}"#),
    |h| {
        answer(
            h,
            "get.test.slow",
            r#"{"result":{"model":{"child":{"rid":"test.child"}}}}"#,
        )
    },
    |h| publish(h, "event.test.list.query", r#"{"subject":"_Q"}"#),
    |h| publish(h, "event.test.list.query", r#"{"subject":"_Q"}"#),
    |h| {
        h.client(1).subscribe(5, "test.list?z");
    },
    |h| answer(h, "access.test.list", r#"{"result":{"get":true}}"#),
    |h| {
        answer(
            h,
            "_Q",
            r#"{"result":{"events":[{"event":"add","data":{"idx":0,"value":{"rid":"test.late"}}}]}}"#,
        )
    },
    |h| {
        answer(
            h,
            "_Q",
            r#"{"result":{"collection":[{"rid":"test.late"},{"rid":"test.root"}]}}"#,
        )
    },
    |h| {
        answer(
            h,
            "get.test.list",
            r#"{"result":{"collection":[],"query":"q=1"}}"#,
        )
    },
    |h| {
        answer(
            h,
            "get.test.late",
            r#"{"result":{"collection":[{"rid":"test.slow"}]}}"#,
        )
    },
    |h| {
        answer(
            h,
            "call.test.root.set",
            r#"{"resource":{"rid":"test.made"}}"#,
        )
    },
    |h| {
        answer(
            h,
            "get.test.made",
            r#"{"result":{"model":{"r":{"rid":"test.root"}}}}"#,
        )
    },
    |h| answer(h, "access.test.made", r#"{"result":{"get":true}}"#),
    |h| publish(h, "system.reset", r#"{"resources":[">"],"access":[">"]}"#),
    |h| publish(h, "event.test.root.change", r#"{"values":{"n":2}}"#),
    |h| {
        answer(
            h,
            "get.test.root",
            r#"{"error":{"code":"test.broken","message":"M"}}"#,
        )
    },
    |h| {
        answer(
            h,
            "get.test.child",
            r#"{"result":{"model":{"new":{"rid":"test.new"}}}}"#,
        )
    },
    |h| publish(h, "event.test.root.change", r#"{"values":{"c":null}}"#),
    |h| answer(h, "access.test.root", r#"{"result":{"get":true}}"#),
    |h| h.advance(1_000),
    |h| {
        answer(
            h,
            "get.test.new",
            r#"{"error":{"code":"test.broken","message":"M"}}"#,
        )
    },
    |h| {
        answer(
            h,
            "get.test.root",
            r#"{"error":{"code":"system.notFound","message":"M"}}"#,
        )
    },
    |h| {
        h.client(1).subscribe(6, "test.root");
    },
    |h| answer(h, "access.test.root", r#"{"result":{"get":true}}"#),
    |h| {
        answer(
            h,
            "get.test.root",
            r#"{"result":{"model":{"c":{"rid":"test.child"}}}}"#,
        )
    },
    |h| publish(h, "event.test.child.delete", ""),
    |h| {
        h.client(1).unsubscribe(7, "test.child");
    },
    |h| publish(h, "event.test.slow.delete", ""),
    |h| {
        h.client(1).unsubscribe(8, "test.made");
    },
    |h| {
        h.client(1).unsubscribe(9, "test.root");
    },
];

/// What a service answers if it has got the request, which depends on the cut.
fn answer(h: &mut Heart, subject: &str, payload: &str) {
    if h.subjects().contains(&subject) {
        let request = h.expect_request(subject);
        h.respond(&request, payload);
    }
}

fn publish(h: &mut Heart, subject: &str, payload: &str) {
    if h.hears(subject) {
        h.event(subject, payload);
    }
}

/// Answers, late and twice, whatever is open.
fn answer_all(h: &mut Heart) {
    while let Some(subject) = h.subjects().first().map(|subject| (*subject).to_owned()) {
        let request = h.expect_request(&subject);
        let payload = r#"{"result":{"get":true,"call":"*","model":{}}}"#;
        h.respond(&request, payload);
        h.respond(&request, payload);
    }
}

/// Plays the transcript up to each of its steps, and then what ends it. With throttles,
/// steps that answer what is not asked yet do nothing.
fn cut(end: impl Fn(&mut Heart)) {
    for (places, steps) in (0..=1).flat_map(|p| (0..=LIFE.len()).map(move |s| (p, s))) {
        let mut h = Heart::with(Options {
            reset_throttle: places,
            reference_throttle: places,
            ..Options::default()
        });
        h.client(1);
        for step in &LIFE[..steps] {
            step(&mut h);
        }
        end(&mut h);
    }
}

#[test]
fn the_client_may_go_at_any_time() {
    cut(|h| {
        h.close(1);
        assert_eq!((h.stats().subscriptions, h.stats().waiting), (0, 0));
        answer_all(h);
        h.advance(LINGER);
        h.discard();
    });
}

#[test]
fn services_may_fall_silent_at_any_time() {
    cut(|h| {
        h.advance(10 * REQUEST_TIMEOUT);
        h.discard();
    });
}

#[test]
fn a_delete_may_come_at_any_time() {
    for name in ["root", "child", "list", "slow", "late", "made", "new"] {
        cut(|h| {
            publish(h, &format!("event.test.{name}.delete"), "");
            answer_all(h);
            publish(h, &format!("event.test.{name}.delete"), "");
            h.advance(REQUEST_TIMEOUT);
            h.discard();
        });
    }
}

#[test]
fn access_may_be_lost_at_any_time() {
    for name in ["root", "child", "list", "made"] {
        cut(|h| {
            publish(h, &format!("event.test.{name}.reaccess"), "");
            while h.subjects().iter().any(|s| s.starts_with("access.")) {
                let subjects = h.subjects();
                let subject = subjects.iter().find(|s| s.starts_with("access."));
                let subject = subject.map(|s| (*s).to_owned()).unwrap_or_default();
                h.deny(&subject["access.".len()..]);
            }
            answer_all(h);
            h.discard();
        });
    }
}

#[test]
fn a_client_may_unsubscribe_at_any_time() {
    for rid in ["root", "child", "list?z", "made"] {
        cut(|h| {
            for id in 50..54 {
                h.client(1).unsubscribe(id, &format!("test.{rid}"));
            }
            answer_all(h);
            h.client(1).get(60, &format!("test.{rid}"));
            answer_all(h);
            h.advance(REQUEST_TIMEOUT);
            h.discard();
        });
    }
}

#[test]
fn a_reset_may_come_at_any_time() {
    cut(|h| {
        h.event("system.reset", r#"{"resources":[">"],"access":[">"]}"#);
        answer_all(h);
        h.event("system.reset", r#"{"resources":[">"]}"#);
        h.advance(REQUEST_TIMEOUT);
        h.discard();
    });
}
