//! Resets of many resources, and many clients that leave.

use crate::runner::{Meter, Runner};
use crate::world::{World, reference_list, small_model};

pub fn run(runner: &mut Runner) {
    resets(runner);
    leaving(runner);
}

fn resets(runner: &mut Runner) {
    for (name, resources, changed) in [
        ("resets/5,000 resources, per resource", 5_000, false),
        ("resets/5,000 that have changed, per resource", 5_000, true),
        ("resets/10,000 resources, per resource", 10_000, false),
        ("resets/100,000 resources, per resource", 100_000, false),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let resources = runner.size(resources, 500);
        let clients = runner.size(1_000, 50);
        let mut world = World::new();
        (0..clients).for_each(|n| world.connect(n, b""));
        for n in 0..resources {
            world.subscribe(n % clients, &format!("test.model.{n}"), small_model);
        }
        let mut round = 0;
        runner.rounds(name, |meter| {
            round += 1;
            let delivered = world.delivered;
            let requests = reset(&mut world, meter, resources, |name| match changed {
                true => format!(
                    r#"{{"result":{{"model":{{"name":"{name}","count":{round},"open":true}}}}}}"#
                ),
                false => small_model(name),
            });
            assert_eq!(requests, resources);
            let expected = if changed { resources } else { 0 };
            assert_eq!(world.delivered - delivered, expected);
        });
    }
}

/// Resets everything and answers all requests that this leads to; returns how many.
fn reset(
    world: &mut World,
    meter: &mut Meter,
    resources: usize,
    content: impl Fn(&str) -> String,
) -> usize {
    meter.time(resources, 0, || {
        world.system_reset(r#"{"resources":["test.>"]}"#);
    });
    world.collect();
    let mut requests = 0;
    while !world.requests.is_empty() {
        let answers: Vec<(String, String)> = std::mem::take(&mut world.requests)
            .into_iter()
            .map(|request| {
                let name = request.subject.strip_prefix("get.");
                (request.reply, content(name.expect("only gets are sent")))
            })
            .collect();
        requests += answers.len();
        meter.more(|| {
            for (reply, answer) in &answers {
                world.answer(reply, answer.as_bytes());
            }
        });
        world.collect();
    }
    requests
}

fn leaving(runner: &mut Runner) {
    let list = |name: &str| match name {
        "test.list" => reference_list(100),
        name => small_model(name),
    };
    for (name, rid, clients) in [
        (
            "resets/10,000 subscribers of one model leave",
            "test.model",
            10_000,
        ),
        (
            "resets/1,000 holders of a list of 100 references leave",
            "test.list",
            1_000,
        ),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let clients = runner.size(clients, 100);
        runner.rounds(name, |meter| {
            let mut world = World::new();
            for n in 0..clients {
                world.connect(n, b"");
                world.subscribe(n, rid, list);
            }
            meter.time(clients, 0, || {
                (0..clients).for_each(|n| world.close(n));
            });
            world.collect();
            let stats = world.gateway.stats();
            assert_eq!((stats.clients, stats.subscriptions), (0, 0));
        });
    }
}
