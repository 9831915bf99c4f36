//! The gateway is frozen for longer than any deadline, as by a snapshot of its machine, and
//! finds what the others did meanwhile in its sockets.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::*;

/// Above the time for a head, for a slow reader, and for a request to a service.
const FREEZE: Duration = Duration::from_millis(10_500);

/// Stops the gateway, lets others do what they do, and lets it go on when the time is over.
fn freeze(gateway: &Gateway, meanwhile: impl FnOnce()) {
    let start = Instant::now();
    gateway.freeze();
    meanwhile();
    // Only time that goes by lets deadlines pass.
    std::thread::sleep(FREEZE.saturating_sub(start.elapsed()));
    gateway.signal(Signal::CONT);
}

#[test]
fn what_came_while_it_was_frozen_is_in_time_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&[]);
    let svc = stack.service("frozen");
    let (mut asker, mut reader) = (stack.client(), stack.client());

    // More than may wait for a reader that takes nothing.
    const EVENTS: usize = 60;
    reader.subscribe(&svc, "frozen.log", r#"{"model":{}}"#);
    let entry = format!("\"{}\"", "x".repeat(500_000));
    for _ in 0..EVENTS {
        svc.event("frozen.log.entry", &entry);
    }
    asker.fence(&svc, "frozen.other");

    // Half a request, half a message, and requests without answer.
    let mut half = stack.http();
    half.send("GET /nowhere HTTP/1.1\r\nHo");
    let mut cut = stack.raw();
    cut.write(&RawWs::masked(0x01, br#"{"id":1,"me"#));
    let names: Vec<String> = (0..5).map(|n| format!("frozen.item{n}")).collect();
    let asked: Vec<(u64, [Request; 2])> = (names.iter())
        .map(|name| {
            let id = asker.ask(&format!("subscribe.{name}"));
            let [access, get] = [format!("access.{name}"), format!("get.{name}")];
            (id, svc.expect_all([&access, &get]))
        })
        .collect();

    let mut entries = None;
    freeze(&stack.gateway, || {
        half.send("st: a\r\n\r\n");
        cut.write(&RawWs::masked(0x80, br#"thod":"version"}"#));
        for (_, [access, get]) in &asked {
            access.grant();
            get.result(r#"{"model":{"a":1}}"#);
        }
        svc.flush();
        // It reads on and on, and gets the rest when there is somebody to send it.
        entries = Some(std::thread::spawn(move || {
            for _ in 0..EVENTS {
                assert!(reader.next().len() > 500_000);
            }
        }));
    });
    for (name, (id, _)) in names.iter().zip(&asked) {
        asker.expect_result(*id, &format!(r#"{{"models":{{"{name}":{{"a":1}}}}}}"#));
    }
    assert_eq!(half.response().status, 404);
    cut.expect_text(r#"{"result":{"protocol":"1.2.3"},"id":1}"#);
    entries
        .expect("the thread was started")
        .join()
        .expect("all entries come");
}
