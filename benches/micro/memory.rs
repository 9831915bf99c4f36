//! What clients, subscriptions and resources cost in memory.
//!
//! Each case runs in a process of its own, so that its resident memory says something. The
//! heap is what was asked of the allocator and not given back; resident memory has the
//! allocator's own share in it.

use crate::runner::{Runner, figure};
use crate::world::{World, reference_list, small_model};
use std::process::Command;

/// The option by which a process is told its case.
pub const OPTION: &str = "--memory-case";

struct Case {
    name: &'static str,
    /// Clients in full size, and in short.
    clients: (usize, usize),
    run: fn(usize) -> Cost,
}

/// Bytes on the heap and resident, and what they are to be divided by.
struct Cost {
    heap: i64,
    resident: i64,
    units: usize,
}

const CASES: [Case; 5] = [
    Case {
        name: "memory/client without subscription or head",
        clients: (100_000, 500),
        run: idle_clients,
    },
    Case {
        name: "memory/further subscription of one resource",
        clients: (100_000, 500),
        run: shared_resource,
    },
    Case {
        name: "memory/client with its own model subscribed",
        clients: (100_000, 500),
        run: own_models,
    },
    Case {
        name: "memory/referenced resource of a further client",
        clients: (2_000, 10),
        run: shared_tree,
    },
    Case {
        name: "memory/cached model, subscribed once",
        clients: (200_000, 500),
        run: models,
    },
];

/// Runs the cases, each in its process.
pub fn run(runner: &mut Runner) {
    for case in &CASES {
        if !runner.wants(case.name) {
            continue;
        }
        let clients = runner.size(case.clients.0, case.clients.1);
        let program = std::env::current_exe().expect("the system tells what runs");
        let output = Command::new(program)
            .args([OPTION, case.name, &clients.to_string()])
            .output()
            .expect("a program can run itself");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{} failed: {output:?}", case.name);
        runner.note(case.name, text.trim_end());
    }
}

/// Runs the case that this process was started for, and prints its result.
pub fn run_case(name: &str, clients: usize) {
    let case = CASES.iter().find(|case| case.name == name);
    let cost = (case.expect("it is one of ours").run)(clients);
    let per_unit = |bytes: i64| figure(bytes as f64 / cost.units as f64);
    println!(
        "{:>11} B heap, {} B resident ({} of them)",
        per_unit(cost.heap),
        per_unit(cost.resident),
        cost.units
    );
}

/// What some work adds, for so many units.
fn cost(world: &mut World, units: usize, work: impl FnOnce(&mut World)) -> Cost {
    let before = resident();
    let info = allocation_counter::measure(|| work(world));
    Cost {
        heap: info.bytes_current,
        resident: resident() - before,
        units,
    }
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
pub fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0i64) * 4096
}

fn connected(clients: usize) -> World {
    let mut world = World::new();
    world.keep_topics = false;
    (0..clients).for_each(|n| world.connect(n, b""));
    world
}

fn idle_clients(clients: usize) -> Cost {
    let mut world = connected(0);
    let cost = cost(&mut world, clients, |world| {
        (0..clients).for_each(|n| world.connect(n, b""));
    });
    assert_eq!(world.gateway.stats().clients, clients);
    cost
}

fn shared_resource(clients: usize) -> Cost {
    let mut world = connected(clients);
    world.subscribe(0, "test.model", small_model);
    let cost = cost(&mut world, clients - 1, |world| {
        (1..clients).for_each(|n| world.subscribe(n, "test.model", small_model));
    });
    assert_eq!(world.gateway.stats().subscriptions, clients);
    // Clients that are idle wake nobody.
    assert_eq!(world.gateway.next_timeout(), None);
    cost
}

fn own_models(clients: usize) -> Cost {
    let mut world = connected(0);
    let cost = cost(&mut world, clients, |world| {
        for n in 0..clients {
            world.connect(n, b"");
            world.subscribe(n, &format!("test.model.{n}"), small_model);
        }
    });
    assert_eq!(world.gateway.stats().resources, clients);
    assert_eq!(world.gateway.next_timeout(), None);
    cost
}

fn shared_tree(clients: usize) -> Cost {
    const REFERENCES: usize = 100;
    let content = |name: &str| match name {
        "test.list" => reference_list(REFERENCES),
        name => small_model(name),
    };
    let mut world = connected(clients);
    world.subscribe(0, "test.list", content);
    let cost = cost(&mut world, (clients - 1) * REFERENCES, |world| {
        (1..clients).for_each(|n| world.subscribe(n, "test.list", content));
    });
    let held = world.gateway.stats().subscriptions;
    assert_eq!(held, clients * (REFERENCES + 1));
    cost
}

fn models(count: usize) -> Cost {
    let mut world = connected(1);
    let cost = cost(&mut world, count, |world| {
        (0..count).for_each(|n| world.subscribe(0, &format!("test.model.{n}"), small_model));
    });
    assert_eq!(world.gateway.stats().resources, count);
    cost
}
