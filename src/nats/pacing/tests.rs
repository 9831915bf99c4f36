use super::*;
use std::collections::HashMap as Map;

/// A server that takes operations in order, and says how far it is when it is asked to.
#[derive(Default)]
struct Server {
    /// Lines that were taken, payloads left out.
    lines: Vec<String>,
    pongs: usize,
}

impl Server {
    fn take(&mut self, out: &mut Blocks) {
        let mut text = Vec::new();
        while !out.is_empty() {
            text.extend_from_slice(out.front());
            out.advance(out.front().len());
        }
        let text = String::from_utf8(text).unwrap();
        for line in text.split("\r\n").filter(|line| !line.is_empty()) {
            match line {
                "PING" => self.pongs += 1,
                line => self.lines.push(line.to_owned()),
            }
        }
    }

    fn count(&self, verb: &str) -> usize {
        self.lines
            .iter()
            .filter(|line| line.starts_with(verb))
            .count()
    }
}

/// Pacing with a server at its other end.
#[derive(Default)]
struct Both {
    pacing: Pacing,
    server: Server,
    out: Blocks,
    refused: Vec<u64>,
}

impl Both {
    fn subscribe(&mut self, sid: u64, client: u32) {
        let subject = format!("s{sid}");
        self.pacing
            .subscribe(sid, subject.as_bytes(), Some(client), &mut self.out);
    }

    fn publish(&mut self, subject: &str, after: [u64; 2], lane: Lane) {
        let message = Publish {
            subject: subject.as_bytes(),
            reply: b"r",
            headers: b"",
            payload: b"",
            after,
            lane,
        };
        self.pacing.publish(&message, &mut self.out);
    }

    /// A turn: what may leave is taken by the server, which answers nothing yet.
    fn turn(&mut self) {
        self.pacing.go_on(&mut self.out);
        self.server.take(&mut self.out);
    }

    /// The server answers all that it was asked.
    fn answer(&mut self) {
        for _ in 0..std::mem::take(&mut self.server.pongs) {
            let refused = self.pacing.confirmed(&mut self.out);
            self.refused.extend(refused);
        }
    }

    /// Turns until nothing is left.
    fn finish(&mut self) {
        for _ in 0..100_000 {
            self.turn();
            if self.server.pongs == 0 && !self.pacing.has_work() {
                break;
            }
            self.answer();
        }
        assert_eq!(self.pacing.waiting(), 0);
        assert!(self.pacing.waiting.is_empty());
        assert!(self.pacing.all.flows.is_empty() && self.pacing.wanted.flows.is_empty());
        assert!(self.pacing.releases.is_empty() && self.pacing.lengths.is_empty());
    }

    /// All that was subscribed can be confirmed, and nothing of it is kept then.
    fn expect_confirmed(&mut self) {
        self.pacing.confirm();
        self.turn();
        self.answer();
        assert!(self.pacing.is_confirmed() && self.refused.is_empty());
        assert!(self.pacing.unconfirmed.subjects.is_empty());
        assert_eq!(self.pacing.open, Counts::default());
    }

    fn place(&self, line: &str) -> Option<usize> {
        self.server
            .lines
            .iter()
            .position(|other| other.starts_with(line))
    }
}

#[test]
fn a_few_operations_leave_at_once_and_in_order() {
    let mut both = Both::default();
    both.subscribe(7, 1);
    both.publish("get.a", [7, 0], Lane::Direct);
    both.publish("again.a", [7, 0], Lane::Background);
    both.pacing.unsubscribe(7, &mut both.out);
    both.server.take(&mut both.out);
    assert_eq!(
        both.server.lines,
        ["SUB s7 7", "PUB get.a r 0", "PUB again.a r 0", "UNSUB 7"]
    );
    both.turn();
    assert_eq!(both.server.pongs, 0, "nobody is asked for so little");
}

#[test]
fn headers_go_along_however_long_a_message_waits() {
    let mut both = Both::default();
    for sid in 0..=u64::from(SUBSCRIBES_MAX) {
        both.subscribe(sid + 1, 1);
    }
    let last = u64::from(SUBSCRIBES_MAX) + 1;
    for (after, lane) in [
        (0, Lane::Direct),
        (last, Lane::Client(1)),
        (last, Lane::Background),
    ] {
        let message = Publish {
            subject: b"get.a",
            reply: b"r",
            headers: b"NATS/1.0\r\na: 1\r\n\r\n",
            payload: b"{}",
            after: [after, 0],
            lane,
        };
        both.pacing.publish(&message, &mut both.out);
    }
    // Both together are what a server may find too large.
    let lesson = both.pacing.learn(TooLong::Payload);
    assert_eq!(lesson.map(|lesson| lesson.bytes), Some(20));
    let count = |both: &Both| both.server.count("HPUB get.a r 18 20");
    both.server.take(&mut both.out);
    assert_eq!(count(&both), 1);
    both.finish();
    assert_eq!((count(&both), both.server.count("a: 1")), (3, 3));
}

#[test]
fn a_flood_has_a_window_and_a_request_passes_it() {
    let mut both = Both::default();
    for sid in 1..=10_000 {
        both.subscribe(sid, 1);
        both.publish(&format!("get.{sid}.x"), [sid, 0], Lane::Direct);
    }
    both.turn();
    let most = SUBSCRIBES_MAX as usize;
    assert_eq!(both.server.count("SUB"), most);
    assert_eq!(both.server.count("PUB"), most);
    // A call that needs nothing is not held up by them, nor is one of the same client.
    both.publish("call.x", [1, 0], Lane::Client(2));
    both.publish("call.y", [0, 0], Lane::Client(1));
    both.turn();
    assert_eq!(both.server.count("PUB call"), 2);
    assert_eq!(both.server.count("SUB"), most);
    both.finish();
    assert_eq!(both.server.count("SUB"), 10_000);
    for sid in [1, 192, 193, 10_000] {
        let sub = both.place(&format!("SUB s{sid} "));
        assert!(sub < both.place(&format!("PUB get.{sid}.x ")), "{sid}");
    }
}

#[test]
fn a_subscription_that_is_refused_by_its_subject_has_its_id() {
    let mut both = Both::default();
    for sid in 1..=100 {
        both.subscribe(sid, 1);
    }
    both.subscribe(101, 1);
    assert!(!both.pacing.is_confirmed());
    assert_eq!(both.pacing.refused(b"s7"), Some(7));
    assert_eq!(both.pacing.refused(b"s7"), None, "it is known");
    assert_eq!(both.pacing.refused(b"s"), None);
    assert_eq!(both.pacing.refused(b"s101"), Some(101));
    both.turn();
    both.answer();
    assert_eq!(both.pacing.refused(b"s8"), None, "it is confirmed");
    assert!(both.pacing.is_confirmed());
    assert_eq!(both.refused, [0; 0]);
    // One behind the last PING is asked for.
    both.subscribe(200, 1);
    both.turn();
    assert_eq!(both.server.pongs, 0);
    both.pacing.confirm();
    assert!(both.pacing.has_work() && !both.pacing.is_confirmed());
    both.turn();
    both.answer();
    assert!(both.pacing.is_confirmed() && !both.pacing.has_work());
    both.pacing.confirm();
    both.turn();
    assert_eq!(both.server.pongs, 0, "nothing is to be confirmed");
}

#[test]
fn of_too_many_subscriptions_the_last_were_refused() {
    let mut both = Both::default();
    for sid in 1..=10 {
        both.subscribe(sid, 1);
    }
    both.pacing.refused_one();
    both.turn();
    assert_eq!(both.server.pongs, 1, "it is asked at once which these are");
    // The next ones are no longer meant, whatever comes before the PONG.
    both.subscribe(11, 1);
    both.pacing.refused_one();
    both.answer();
    assert_eq!(both.refused, [9, 10]);
    both.turn();
    assert_eq!(both.server.count("UNSUB"), 0);
    both.pacing.confirm();
    both.turn();
    both.answer();
    assert_eq!(both.refused, [9, 10]);
}

#[test]
fn where_others_ended_between_all_are_in_doubt_and_ended() {
    let mut both = Both::default();
    both.subscribe(1, 1);
    both.subscribe(2, 1);
    both.pacing.unsubscribe(1, &mut both.out);
    both.subscribe(3, 1);
    both.pacing.refused(b"s2");
    both.pacing.refused_one();
    both.turn();
    both.answer();
    assert_eq!(both.refused, [1, 3]);
    both.turn();
    let ends = |sid: u64| both.server.count(&format!("UNSUB {sid}"));
    assert_eq!([1, 2, 3].map(ends), [2, 0, 1]);
}

#[test]
fn clients_have_turns() {
    let mut both = Both::default();
    for client in 0..64 {
        for n in 0..256 {
            both.subscribe(1 + u64::from(client) * 256 + n, client);
        }
    }
    // One that comes behind all of them.
    both.subscribe(99_999, 99);
    while both.place("SUB s99999 ").is_none() {
        both.turn();
        both.answer();
    }
    let before = both.server.lines.len();
    assert!(
        before < 2 * SUBSCRIBES_MAX as usize + 65,
        "{before} were before it"
    );
}

#[test]
fn whoever_wants_a_subscription_first_gets_it_in_its_turn() {
    let mut both = Both::default();
    for sid in 1..=5_000 {
        both.subscribe(sid, 1);
    }
    // Another client needs the last one, and its own connection's.
    both.subscribe(8_000, 2);
    both.publish("access.a", [5_000, 8_000], Lane::Client(2));
    both.publish("call.b", [8_000, 0], Lane::Client(2));
    while both.place("PUB access.a").is_none() {
        both.turn();
        both.answer();
    }
    let place = both.place("PUB access.a");
    assert!(place < Some(SUBSCRIBES_MAX as usize + 200));
    assert!(both.place("SUB s5000 ") < place && both.place("SUB s8000 ") < place);
    both.finish();
    assert!(both.place("SUB s8000 ") < both.place("PUB call.b"));
    assert_eq!(both.server.count("SUB s5000 "), 1);
}

#[test]
fn what_a_request_waits_behind_comes_before_what_nobody_has_asked_for_yet() {
    let mut both = Both::default();
    for n in 0..10 {
        for client in 0..10_000 {
            both.subscribe(1 + u64::from(client) * 10 + n, client);
        }
    }
    // The first clients' requests are under way, and are all that their service takes.
    for client in 0..10 {
        for n in 5..10 {
            let (sid, subject) = (1 + u64::from(client) * 10 + n, format!("get.{client}.{n}"));
            both.publish(&subject, [sid, 0], Lane::Direct);
            let subject = format!("access.{client}.{n}");
            both.publish(&subject, [sid, 0], Lane::Client(client));
        }
    }
    while both.server.count("PUB") < 100 {
        both.turn();
        both.answer();
    }
    let before = both.server.count("SUB");
    assert!(
        before <= 2 * SUBSCRIBES_MAX as usize,
        "{before} were before them"
    );
    // The others are not forgotten over them.
    for sid in 50_000..60_000 {
        both.publish("get.other", [sid, 0], Lane::Direct);
    }
    let (wanted, all) = (5_000, 5_000 / AHEAD as usize);
    while both.server.count("PUB") < 100 + wanted {
        both.turn();
        both.answer();
    }
    assert!(both.server.count("SUB") > before + wanted + all - SUBSCRIBES_MAX as usize);
    both.finish();
    assert_eq!(both.server.count("SUB"), 100_000);
}

#[test]
fn what_ends_before_it_began_is_never_subscribed() {
    let mut both = Both::default();
    for sid in 1..=1_000 {
        both.subscribe(sid, 1);
    }
    both.publish("call.a", [900, 0], Lane::Client(1));
    both.pacing.unsubscribe(900, &mut both.out);
    both.pacing.unsubscribe(901, &mut both.out);
    both.finish();
    assert_eq!(both.server.count("SUB"), 998);
    assert_eq!(both.server.count("UNSUB"), 0);
    assert_eq!(both.server.count("PUB call.a"), 1, "it was asked for");
}

#[test]
fn releases_and_the_background_wait_for_confirmation() {
    let mut both = Both::default();
    for sid in 1..=100_000 {
        both.pacing.unsubscribe(sid, &mut both.out);
        both.publish("get.x", [0, 0], Lane::Background);
    }
    both.turn();
    // So many wait that they may have the larger window.
    assert_eq!(both.server.count("UNSUB"), SUBSCRIBES_MAX as usize);
    assert_eq!(both.server.count("PUB"), BACKGROUND_MAX as usize);
    both.turn();
    assert_eq!(both.server.count("UNSUB"), SUBSCRIBES_MAX as usize);
    both.subscribe(200_000, 3);
    both.publish("call.z", [200_000, 0], Lane::Client(3));
    both.turn();
    assert_eq!(both.server.count("PUB call.z"), 1);
    both.finish();
    assert_eq!(both.server.count("UNSUB"), 100_000);
    assert_eq!(both.server.count("PUB get.x"), 100_000);
    assert!(both.pacing.confirmed(&mut both.out).is_empty());
}

#[test]
fn any_mixture_keeps_the_order_that_it_names() {
    for seed in 1..60_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let (mut both, mut subscribed, mut ended) = (Both::default(), Vec::new(), Vec::new());
        let mut wants = Map::new();
        for n in 0..3_000_u64 {
            match random(10) {
                0..4 => {
                    subscribed.push(n + 1);
                    both.subscribe(n + 1, random(5) as u32);
                }
                4 if !subscribed.is_empty() => {
                    let at = random(subscribed.len() as u64) as usize;
                    let sid = subscribed.swap_remove(at);
                    ended.push(sid);
                    both.pacing.unsubscribe(sid, &mut both.out);
                }
                5..8 if !subscribed.is_empty() => {
                    let mut any = || subscribed[random(subscribed.len() as u64) as usize];
                    let after = [any(), any()];
                    let lane = match n % 3 {
                        0 => Lane::Background,
                        1 => Lane::Direct,
                        _ => Lane::Client((n % 5) as u32),
                    };
                    wants.insert(format!("p{n}.x"), after);
                    both.publish(&format!("p{n}.x"), after, lane);
                }
                8 => both.turn(),
                _ => both.answer(),
            }
        }
        both.finish();
        both.expect_confirmed();
        let lines = both.server.lines.iter().enumerate();
        let places: Map<&str, usize> = lines
            .map(|(at, line)| {
                let verb = line.split(' ').next();
                let key = match verb {
                    Some("UNSUB") => &line[..],
                    _ => line.split(' ').nth(1).unwrap_or_default(),
                };
                (key, at)
            })
            .collect();
        for (subject, after) in &wants {
            let place = places[&subject[..]];
            for sid in after {
                let sub = places.get(&format!("s{sid}")[..]);
                match sub {
                    Some(sub) => assert!(*sub < place, "{seed}: {subject} {sid}"),
                    None => assert!(ended.contains(sid), "{seed}: {sid}"),
                }
            }
        }
        for sid in &subscribed {
            assert!(places.contains_key(&format!("s{sid}")[..]), "{seed}: {sid}");
        }
        for sid in &ended {
            let sub = places.get(&format!("s{sid}")[..]);
            let unsub = places.get(&format!("UNSUB {sid}")[..]);
            assert_eq!(sub.is_some(), unsub.is_some(), "{seed}: {sid}");
            assert!(sub <= unsub, "{seed}: {sid}");
        }
    }
}

#[test]
fn what_nobody_in_particular_subscribes_has_its_turns_and_holds_up_no_client() {
    let mut both = Both::default();
    // Names that are subscribed again at the return, and the one of a client behind them.
    for sid in 1..=10_000_u64 {
        let subject = format!("s{sid}");
        both.pacing
            .subscribe(sid, subject.as_bytes(), None, &mut both.out);
    }
    both.subscribe(20_000, 1);
    both.publish("get.x", [20_000, 0], Lane::Direct);
    both.turn();
    assert_eq!(both.server.count("SUB"), SUBSCRIBES_MAX as usize);
    both.answer();
    both.turn();
    assert!(both.place("PUB get.x").is_some());
    // One that must be known about at once does not wait.
    both.pacing
        .subscribe_at_once(30_000, b"probe", &mut both.out);
    both.turn();
    assert!(both.place("SUB probe").is_some());
    both.finish();
    assert_eq!(both.server.count("SUB"), 10_002);
}

/// What waits behind one subscription, or in the background, is let go over turns: to copy all
/// of it would take long.
#[test]
fn much_that_waits_is_let_go_in_small_turns() {
    const MESSAGES: usize = 4_000;
    const SIZE: usize = 4_000;
    for is_background in [false, true] {
        let mut both = Both::default();
        let windows = SUBSCRIBES_MAX.max(BACKGROUND_MAX);
        for sid in 0..u64::from(windows) {
            both.subscribe(sid, 1);
            both.publish("before", [0, 0], Lane::Background);
        }
        both.subscribe(1_000, 2);
        let payload = vec![b'x'; SIZE];
        for n in 0..MESSAGES {
            let subject = format!("m{n}");
            let message = Publish {
                subject: subject.as_bytes(),
                reply: b"",
                headers: b"",
                payload: &payload,
                after: [if is_background { 0 } else { 1_000 }, 0],
                lane: match is_background {
                    true => Lane::Background,
                    false => Lane::Client(2),
                },
            };
            both.pacing.publish(&message, &mut both.out);
        }
        let waited = both.pacing.waiting();
        assert!(waited > MESSAGES * SIZE, "{waited}");
        let (mut turns, mut most, mut is_ended) = (0, 0, false);
        while both.pacing.waiting() > 0 {
            turns += 1;
            assert!(turns < 1_000, "it is never let go");
            let before = both.out.len();
            both.pacing.go_on(&mut both.out);
            most = most.max(both.out.len() - before);
            both.server.take(&mut both.out);
            while both.server.pongs > 0 {
                both.server.pongs -= 1;
                both.pacing.confirmed(&mut both.out);
            }
            if both.pacing.leaving.is_some() && !is_ended {
                // It has left: its end does, too, and what comes now stays behind the rest.
                is_ended = true;
                both.pacing.unsubscribe(1_000, &mut both.out);
                both.publish("last", [1_000, 0], Lane::Client(2));
            }
        }
        assert!(turns > 10 && most < COPIED_MAX + 10_000, "{turns} {most}");
        assert_eq!(is_ended, !is_background);
        both.pacing.go_on(&mut both.out);
        both.server.take(&mut both.out);
        let all = both
            .server
            .lines
            .iter()
            .filter(|line| line.starts_with("PUB m"));
        let order = all.map(|line| {
            line.split(' ').nth(1).unwrap()[1..]
                .parse::<usize>()
                .unwrap()
        });
        assert!(order.eq(0..MESSAGES), "all come in order");
        if !is_background {
            assert_eq!(both.server.count("SUB s1000"), 1);
            assert_eq!(both.server.count("UNSUB 1000"), 1);
            let place = |start: &str| {
                both.server
                    .lines
                    .iter()
                    .position(|it| it.starts_with(start))
            };
            assert!(place("PUB last") > place(&format!("PUB m{}", MESSAGES - 1)));
        }
        assert!(!both.pacing.has_work());
    }
}
