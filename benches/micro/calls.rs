//! Requests of clients that a service answers: calls, and subscribing.

use crate::runner::Runner;
use crate::world::{GRANTED, World, small_model, subscribe_message};

const CALLS: usize = 64;

pub fn run(runner: &mut Runner) {
    calls(runner);
    subscribes(runner);
}

fn calls(runner: &mut Runner) {
    for (name, known) in [
        ("calls/call, access known", true),
        ("calls/call, access asked", false),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let mut world = World::new();
        for n in 0..CALLS {
            world.connect(n, b"");
            if known {
                world.subscribe(n, "test.model", small_model);
            }
        }
        let mut id = 0;
        runner.rounds(name, |meter| {
            id += 1;
            let message =
                format!(r#"{{"id":{id},"method":"call.test.model.set","params":{{"count":17}}}}"#);
            let delivered = world.delivered;
            meter.time(CALLS, 0, || {
                (0..CALLS).for_each(|n| world.send(n, &message));
            });
            world.collect();
            while !world.requests.is_empty() {
                let requests = std::mem::take(&mut world.requests);
                assert_eq!(requests.len(), CALLS);
                meter.more(|| {
                    for request in &requests {
                        let answer = match request.subject.starts_with("access.") {
                            true => GRANTED,
                            false => br#"{"result":{"done":true}}"#,
                        };
                        world.answer(&request.reply, answer);
                    }
                });
                world.collect();
            }
            assert_eq!(world.delivered - delivered, CALLS);
            let expected = format!(r#"{{"result":{{"payload":{{"done":true}}}},"id":{id}}}"#);
            assert_eq!(world.last, expected);
        });
    }
}

fn subscribes(runner: &mut Runner) {
    for (name, own) in [
        ("calls/connect and subscribe to one's own model", true),
        ("calls/connect and subscribe to a cached model", false),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let clients = runner.size(1_000, 50);
        runner.rounds(name, |meter| {
            let mut world = World::new();
            let messages: Vec<String> = (0..clients)
                .map(|n| match own {
                    true => subscribe_message(&format!("test.model.{n}")),
                    false => subscribe_message("test.model"),
                })
                .collect();
            if !own {
                world.connect(clients, b"");
                world.subscribe(clients, "test.model", small_model);
            }
            let before = world.delivered;
            let answer = small_model("test.model");
            meter.time(clients, 0, || {
                for (n, message) in messages.iter().enumerate() {
                    let key = tidegate::gateway::ClientKey(n as u32);
                    let remote = ([192, 0, 2, 1], 4000).into();
                    let (gateway, out) = (&mut world.gateway, &mut world.out);
                    gateway.client_connected(crate::world::NOW, key, Box::default(), remote, out);
                    world.send(n, message);
                }
            });
            world.collect();
            let requests = std::mem::take(&mut world.requests);
            assert_eq!(requests.len(), if own { 2 * clients } else { clients });
            meter.more(|| {
                for request in &requests {
                    let answer = match request.subject.starts_with("access.") {
                        true => GRANTED,
                        false => answer.as_bytes(),
                    };
                    world.answer(&request.reply, answer);
                }
            });
            world.collect();
            assert_eq!(world.delivered - before, clients);
            assert_eq!(world.gateway.stats().waiting, 0);
        });
    }
}
