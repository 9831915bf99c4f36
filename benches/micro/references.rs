//! Resources that reference others: trees, and events that bring something new.

use crate::runner::Runner;
use crate::world::{GRANTED, World, reference_list, small_model, subscribe_message};

pub fn run(runner: &mut Runner) {
    additions(runner);
    cold_tree(runner);
    cached_tree(runner);
    burst(runner);
}

fn list_of(length: usize) -> impl Fn(&str) -> String + Copy {
    move |name| match name {
        "test.list" => reference_list(length),
        name => small_model(name),
    }
}

fn subscribed(clients: usize, length: usize) -> World {
    let mut world = World::new();
    for n in 0..clients {
        world.connect(n, b"");
        world.subscribe(n, "test.list", list_of(length));
    }
    world
}

/// An event adds a reference that nobody holds. It is loaded once, and then sent to all.
fn additions(runner: &mut Runner) {
    for (name, removal, length) in [
        (
            "references/add new one to a list of 100, 1,000 clients",
            None,
            100,
        ),
        (
            "references/add new one to a list of 10,000, 100 clients",
            None,
            10_000,
        ),
        (
            "references/remove one from a list of 100, 1,000 clients",
            Some(()),
            100,
        ),
    ] {
        if !runner.wants(name) {
            continue;
        }
        let length = runner.size(length, length.min(1_000));
        let clients = runner.size(100_000 / length.max(100), 20);
        let mut world = subscribed(clients, length);
        let (add, remove) = (
            world.topic("test.list", "add"),
            world.topic("test.list", "remove"),
        );
        let mut next = 0;
        runner.rounds(name, |meter| {
            next += 1;
            let added = format!(r#"{{"idx":5,"value":{{"rid":"test.new.{next}"}}}}"#);
            let answer = small_model("new");
            if removal.is_some() {
                world.event(&add, &added);
                world.serve(|_| answer.clone());
                meter.time(clients, 0, || world.event(&remove, r#"{"idx":5}"#));
                assert_eq!(world.count(), clients);
                return;
            }
            meter.time(clients, 0, || world.event(&add, &added));
            world.collect();
            let request = world.requests.pop().expect("the new one is requested");
            assert!(world.requests.is_empty(), "once for all clients");
            assert_eq!(request.subject, format!("get.test.new.{next}"));
            let delivered = world.delivered;
            meter.more(|| world.answer(&request.reply, answer.as_bytes()));
            world.collect();
            assert_eq!(world.delivered - delivered, clients);
            world.event(&remove, r#"{"idx":5}"#);
            world.collect();
        });
    }
}

/// A collection of references of which nothing is cached: one access request, and a get
/// request for each resource.
fn cold_tree(runner: &mut Runner) {
    let name = "references/cold tree of 1,000, per reference";
    if !runner.wants(name) {
        return;
    }
    let length = runner.size(1_000, 100);
    let (list, item) = (reference_list(length), small_model("item"));
    runner.rounds(name, |meter| {
        let mut world = World::new();
        world.connect(0, b"");
        meter.time(length, 0, || {
            world.send(0, &subscribe_message("test.list"));
        });
        world.collect();
        let mut requests = 0;
        while !world.requests.is_empty() {
            let asked = std::mem::take(&mut world.requests);
            requests += asked.len();
            meter.more(|| {
                for request in &asked {
                    let answer = match &*request.subject {
                        "access.test.list" => GRANTED,
                        "get.test.list" => list.as_bytes(),
                        _ => item.as_bytes(),
                    };
                    world.answer(&request.reply, answer);
                }
            });
            world.collect();
        }
        assert_eq!(requests, length + 2);
        assert_eq!(world.delivered, 2, "the handshake and the tree");
        let item = r#""test.item.0":{"name":"item","count":0,"open":true},"#;
        assert!(world.delivered_bytes > length * item.len());
    });
}

/// The same for a client that comes when all is cached.
fn cached_tree(runner: &mut Runner) {
    let name = "references/cached tree of 1,000, per reference";
    if !runner.wants(name) {
        return;
    }
    let length = runner.size(1_000, 100);
    let mut world = subscribed(1, length);
    let mut next = 0;
    runner.rounds(name, |meter| {
        next += 1;
        world.connect(next, b"");
        let delivered = world.delivered;
        let message = subscribe_message("test.list");
        meter.time(length, 0, || world.send(next, &message));
        world.collect();
        let request = world.requests.pop().expect("access is asked");
        assert!(world.requests.is_empty(), "all else is cached");
        meter.more(|| world.answer(&request.reply, GRANTED));
        world.collect();
        assert_eq!(world.delivered, delivered + 1);
        let held = world.gateway.stats().subscriptions;
        assert_eq!(held, (next + 1) * (length + 1));
    });
}

/// Events that wait behind one whose reference is being loaded, for every client.
fn burst(runner: &mut Runner) {
    let name = "references/20,000 events wait at 100 clients, per delivery";
    if !runner.wants(name) {
        return;
    }
    let events = runner.size(20_000, 500);
    let clients = runner.size(100, 5);
    let mut next = 0;
    runner.rounds(name, |meter| {
        let mut world = subscribed(clients, 10);
        let (add, custom) = (
            world.topic("test.list", "add"),
            world.topic("test.list", "remove"),
        );
        next += 1;
        let added = format!(r#"{{"idx":10,"value":{{"rid":"test.new.{next}"}}}}"#);
        world.event(&add, &added);
        world.collect();
        let request = world.requests.pop().expect("the new one is requested");
        meter.time((events + 1) * clients, 0, || {
            for n in 0..events / 2 {
                let value = format!(r#"{{"idx":3,"value":{n}}}"#);
                world.event(&add, &value);
                world.event(&custom, r#"{"idx":3}"#);
            }
        });
        assert_eq!(world.count(), 0, "all of them wait");
        let delivered = meter.more(|| {
            world.answer(&request.reply, small_model("new").as_bytes());
            world.count()
        });
        assert_eq!(delivered, (events + 1) * clients);
    });
}
