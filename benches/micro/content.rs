//! Content of resources: events applied, collections compared, resources serialised.
//!
//! What does this is private to the heart. It is driven by a resource that nobody
//! subscribes to any more but which is still cached, so that nothing is sent.

use crate::runner::Runner;
use crate::world::{Numbers, World, collection};
use std::fmt::Write as _;
use tidegate::gateway::Options;
use tidegate::res::service::Limits;

const EVENTS: usize = 256;

pub fn run(runner: &mut Runner) {
    models(runner);
    collections(runner);
    growth(runner);
    references(runner);
    differences(runner);
    texts(runner);
}

/// A world that has a resource cached.
fn cached(name: &str, answer: &str) -> World {
    let mut world = World::new();
    cache(&mut world, name, answer);
    world
}

fn cache(world: &mut World, name: &str, answer: &str) {
    world.connect(0, b"");
    world.subscribe(0, name, |_| answer.to_owned());
    world.close(0);
    world.collect();
    assert_eq!(world.gateway.stats().resources, 1);
}

fn model(length: usize) -> String {
    let mut text = String::from(r#"{"result":{"model":{"#);
    for i in 0..length {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(text, r#"{comma}"property{i}":"the value of {i}""#);
    }
    text + "}}}"
}

/// What the cache holds of a resource, as a client is sent it.
fn get(world: &mut World, name: &str) -> String {
    world.connect(9, b"");
    world.send(9, &format!(r#"{{"id":1,"method":"get.{name}"}}"#));
    world.serve(|name| panic!("{name} is cached"));
    let text = world.last.clone();
    world.close(9);
    world.collect();
    text
}

fn models(runner: &mut Runner) {
    for (name, length) in [
        ("content/change one of 3 properties", 3),
        ("content/change one of 100 properties", 100),
        ("content/change one of 10,000 properties", 10_000),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let mut world = cached("test.model", &model(length));
        let topic = world.topic("test.model", "change");
        let mut value = 0;
        runner.rounds(name, |meter| {
            let payloads: Vec<String> = (0..EVENTS)
                .map(|_| {
                    value += 1;
                    format!(r#"{{"values":{{"property1":{value}}}}}"#)
                })
                .collect();
            meter.time(EVENTS, 0, || {
                for payload in &payloads {
                    world.event(&topic, payload);
                }
            });
            assert_eq!(world.count(), 0);
        });
        let text = get(&mut world, "test.model");
        let expected = format!(r#""property1":{value},"#);
        assert!(length > 3 || text.contains(&expected), "{text}");
    }
}

fn collections(runner: &mut Runner) {
    let cases = [
        ("content/add and remove at the end of 1,000", 1_000, false),
        (
            "content/add and remove at the end of 100,000",
            100_000,
            false,
        ),
        ("content/add and remove at the front of 1,000", 1_000, true),
        (
            "content/add and remove at the front of 100,000",
            100_000,
            true,
        ),
    ];
    for (name, length, front) in cases {
        if !runner.wants(name) {
            continue;
        }
        let length = runner.size(length, length.min(10_000));
        let values = (0..length).map(|n| n.to_string());
        let mut world = cached("test.list", &collection(values));
        let (add, remove) = (
            world.topic("test.list", "add"),
            world.topic("test.list", "remove"),
        );
        let idx = if front { 0 } else { length };
        let (added, removed) = (
            format!(r#"{{"idx":{idx},"value":"new"}}"#),
            format!(r#"{{"idx":{idx}}}"#),
        );
        runner.rounds(name, |meter| {
            meter.time(EVENTS, 0, || {
                for _ in 0..EVENTS / 2 {
                    world.event(&add, &added);
                    world.event(&remove, &removed);
                }
            });
            assert_eq!(world.count(), 0);
        });
        world.event(&add, r#"{"idx":0,"value":"first"}"#);
        let text = get(&mut world, "test.list");
        assert!(text.contains(r#":["first",0,1,2,"#), "{text}");
    }
}

/// A list that grows at its front without end, and a model that gets further properties.
fn growth(runner: &mut Runner) {
    for (name, count, is_list) in [
        ("content/300,000 adds at the front", 300_000, true),
        ("content/100,000 new properties", 100_000, false),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let count = runner.size(count, 3_000);
        let resource = if is_list {
            collection(std::iter::empty::<String>())
        } else {
            model(0)
        };
        runner.rounds(name, |meter| {
            let mut world = World::with(Options {
                resources: Limits::NONE,
                ..Options::default()
            });
            cache(&mut world, "test.grows", &resource);
            let event = if is_list { "add" } else { "change" };
            let topic = world.topic("test.grows", event);
            let payload = |n: usize| match is_list {
                true => format!(r#"{{"idx":0,"value":"entry {n}"}}"#),
                // In no order that is easy for what is sorted.
                false => format!(r#"{{"values":{{"p{}":{n}}}}}"#, n * 7_919 % count),
            };
            let payloads: Vec<String> = (0..count).map(payload).collect();
            meter.time(count, 0, || {
                for payload in &payloads {
                    world.event(&topic, payload);
                }
            });
            assert_eq!(world.count(), 0);
        });
    }
}

/// References are counted beside the values, and new ones make a lagging client keep the
/// version before.
fn references(runner: &mut Runner) {
    for (name, length) in [
        ("content/add and remove reference, list of 1,000", 1_000),
        ("content/add and remove reference, list of 100,000", 100_000),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let length = runner.size(length, length.min(10_000));
        let list = collection((0..length).map(|n| format!(r#"{{"rid":"test.item.{n}"}}"#)));
        let mut world = World::new();
        world.connect(0, b"");
        world.send(0, &crate::world::subscribe_message("test.list"));
        world.collect();
        // The items are never answered for; the list is cached all the same.
        let requests = std::mem::take(&mut world.requests);
        for request in requests {
            let is_get = request.subject == "get.test.list";
            let answer = if is_get {
                list.as_bytes()
            } else {
                crate::world::GRANTED
            };
            world.answer(&request.reply, answer);
        }
        world.collect();
        world.close(0);
        world.collect();
        let (add, remove) = (
            world.topic("test.list", "add"),
            world.topic("test.list", "remove"),
        );
        let (added, removed) = (
            format!(r#"{{"idx":{length},"value":{{"rid":"test.new"}}}}"#),
            format!(r#"{{"idx":{length}}}"#),
        );
        runner.rounds(name, |meter| {
            meter.time(16, 0, || {
                for _ in 0..8 {
                    world.event(&add, &added);
                    world.event(&remove, &removed);
                }
            });
            assert_eq!(world.count(), 0);
        });
    }
}

/// Two states of a collection.
struct Edit {
    name: &'static str,
    old: Vec<usize>,
    new: Vec<usize>,
}

fn edits(length: usize) -> Vec<Edit> {
    let mut numbers = Numbers::new();
    let all: Vec<usize> = (0..length).collect();
    let mut shuffled = all.clone();
    numbers.shuffle(&mut shuffled);
    let mut edited = all.clone();
    for n in 0..10 {
        edited.remove(numbers.below(length - 10));
        edited.insert(numbers.below(length - 10), length + n);
    }
    let mut blocks: Vec<&[usize]> = all.chunks(length / 20 + 1).collect();
    blocks.reverse();
    let few = |numbers: &mut Numbers, kinds| (0..length).map(|_| numbers.below(kinds)).collect();
    let edit = |name, old: &[usize], new: Vec<usize>| Edit {
        name,
        old: old.to_vec(),
        new,
    };
    vec![
        edit("content/reset of 10,000: the same", &all, all.clone()),
        edit("content/reset of 10,000: 20 edits", &all, edited),
        edit(
            "content/reset of 10,000: random permutation",
            &all,
            shuffled,
        ),
        edit(
            "content/reset of 10,000: all different",
            &all,
            (length..2 * length).collect(),
        ),
        edit(
            "content/reset of 10,000: reversed",
            &all,
            all.iter().rev().copied().collect(),
        ),
        edit(
            "content/reset of 10,000: blocks moved",
            &all,
            blocks.concat(),
        ),
        Edit {
            name: "content/reset of 10,000: two values at random",
            old: few(&mut numbers, 2),
            new: few(&mut numbers, 2),
        },
        Edit {
            name: "content/reset of 10,000: 100 values at random",
            old: few(&mut numbers, 100),
            new: few(&mut numbers, 100),
        },
        // Each tenth value is an anchor, and between two of them all is to be compared.
        Edit {
            name: "content/reset of 10,000: anchors in repetitions",
            old: (0..length)
                .map(|n| if n % 1_000 == 0 { 10 + n } else { n % 3 })
                .collect(),
            new: (0..length)
                .map(|n| if n % 1_000 == 0 { 10 + n } else { n % 2 })
                .collect(),
        },
    ]
}

/// A reset and its answer: the answer read, the collections compared, the events made.
fn differences(runner: &mut Runner) {
    let length = runner.size(10_000, 2_000);
    for edit in edits(length) {
        if !runner.wants(edit.name) {
            continue;
        }
        let answer = |values: &[usize]| collection(values.iter().map(|n| format!("\"entry {n}\"")));
        let (old, new) = (answer(&edit.old), answer(&edit.new));
        let mut world = cached("test.list", &old);
        // Back in one step over something else, so that each round finds the same.
        let reset = r#"{"resources":["test.list"]}"#;
        runner.rounds(edit.name, |meter| {
            world.system_reset(reset);
            world.collect();
            let request = world.requests.pop().expect("it is fetched again");
            meter.time(1, 0, || world.answer(&request.reply, new.as_bytes()));
            assert_eq!(world.count(), 0);
            world.system_reset(reset);
            world.collect();
            let request = world.requests.pop().expect("it is fetched again");
            world.answer(&request.reply, old.as_bytes());
        });
        let text = get(&mut world, "test.list");
        let expected = format!(r#":["entry {}","entry {}","#, edit.old[0], edit.old[1]);
        assert!(text.contains(&expected), "{text}");
    }
}

/// A resource that changes is serialised when it is next asked for.
fn texts(runner: &mut Runner) {
    for (name, length, changed) in [
        ("content/get of 1,000 properties, serialised", 1_000, false),
        ("content/get of 1,000 properties, just changed", 1_000, true),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let mut world = cached("test.model", &model(length));
        let topic = world.topic("test.model", "change");
        world.connect(0, b"");
        let mut value = 0;
        runner.rounds(name, |meter| {
            for _ in 0..16 {
                if changed {
                    value += 1;
                    world.event(&topic, &format!(r#"{{"values":{{"property1":{value}}}}}"#));
                }
                world.send(0, r#"{"id":1,"method":"get.test.model"}"#);
                world.collect();
                let request = world.requests.pop().expect("access is asked");
                meter.time(1, 0, || {
                    world.answer(&request.reply, crate::world::GRANTED);
                });
                world.collect();
                assert!(
                    world
                        .last
                        .starts_with(r#"{"result":{"models":{"test.model":{"#)
                );
            }
        });
    }
}
