//! Events that are sent to subscribers: one to many, and one each for many resources.

use crate::runner::Runner;
use crate::world::{Numbers, Topic, World, collection, count, small_model};

pub fn run(runner: &mut Runner) {
    shared(runner);
    primitives(runner);
    distinct(runner);
}

/// A world in which some clients have subscribed to one resource.
fn subscribed(clients: usize, name: &str, answer: impl Fn(&str) -> String + Copy) -> World {
    let mut world = World::new();
    for n in 0..clients {
        world.connect(n, b"");
        world.subscribe(n, name, answer);
    }
    world
}

fn shared(runner: &mut Runner) {
    for (name, clients) in [
        ("fanout/change event, 1 client, per delivery", 1),
        ("fanout/change event, 1,000 clients, per delivery", 1_000),
        ("fanout/change event, 10,000 clients, per delivery", 10_000),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let mut world = subscribed(clients, "test.model", small_model);
        let topic = world.topic("test.model", "change");
        let events = (20_000 / clients).max(4);
        let mut value = 0;
        runner.rounds(name, |meter| {
            let payloads: Vec<String> = (0..events)
                .map(|_| {
                    value += 1;
                    format!(r#"{{"values":{{"count":{value}}}}}"#)
                })
                .collect();
            let delivered = meter.time(events * clients, 0, || {
                payloads.iter().fold(0, |delivered, payload| {
                    world.event(&topic, payload);
                    delivered + world.count()
                })
            });
            assert_eq!(delivered, events * clients);
        });
    }
}

fn primitives(runner: &mut Runner) {
    let name = "fanout/add and remove, list of 1,000, 1,000 clients";
    if !runner.wants(name) {
        return;
    }
    let clients = runner.size(1_000, 100);
    let list = |_: &str| collection((0..1_000).map(|n| n.to_string()));
    let mut world = subscribed(clients, "test.list", list);
    let (add, remove) = (
        world.topic("test.list", "add"),
        world.topic("test.list", "remove"),
    );
    runner.rounds(name, |meter| {
        let delivered = meter.time(16 * clients, 0, || {
            let mut delivered = 0;
            for _ in 0..8 {
                world.event(&add, r#"{"idx":500,"value":"new"}"#);
                world.event(&remove, r#"{"idx":500}"#);
                delivered += world.count();
            }
            delivered
        });
        assert_eq!(delivered, 16 * clients);
    });
}

/// One event each for resources that are picked at random: what grows with their number is
/// the time that memory takes to come into the processor's caches.
fn distinct(runner: &mut Runner) {
    const CLIENTS: usize = 1_000;
    for (name, resources) in [
        ("fanout/event of one of 1,000 resources", 1_000),
        ("fanout/event of one of 100,000 resources", 100_000),
        ("fanout/event of one of 1,000,000 resources", 1_000_000),
        (
            "fanout/event of one of 1,000,000 resources, in order",
            1_000_000,
        ),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let resources = runner.size(resources, resources.min(2_000));
        let in_order = name.ends_with("in order");
        let mut world = World::new();
        (0..CLIENTS).for_each(|n| world.connect(n, b""));
        for n in 0..resources {
            world.subscribe(n % CLIENTS, &format!("test.model.{n}"), small_model);
        }
        let mut numbers = Numbers::new();
        let (mut value, mut next) = (0, 0);
        runner.rounds(name, |meter| {
            let events: Vec<(Topic, String)> = (0..2_000)
                .map(|_| {
                    value += 1;
                    next = match in_order {
                        true => (next + 1) % resources,
                        false => numbers.below(resources),
                    };
                    let topic = world.topic(&format!("test.model.{next}"), "change");
                    (topic, format!(r#"{{"values":{{"count":{value}}}}}"#))
                })
                .collect();
            let delivered = meter.time(events.len(), 0, || {
                events.iter().fold(0, |delivered, (topic, payload)| {
                    world.event(topic, payload);
                    delivered + count(&mut world.out)
                })
            });
            assert_eq!(delivered, events.len());
        });
    }
}
