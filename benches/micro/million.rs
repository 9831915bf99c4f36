//! A million clients in one heart: what they take in memory, and what it costs to send
//! something to all of them, or to the few in a room.
//!
//! There are no sockets here: what the kernel and the reactor keep of a client comes on top.

use crate::runner::{Runner, figure};
use crate::world::{World, count, small_model};
use std::process::Command;
use std::time::{Duration, Instant};

/// The option by which a process is told to run it.
pub const OPTION: &str = "--million";

/// What is printed, in this order.
const ROWS: [&str; 6] = [
    "million/connect",
    "million/subscribe to what all have",
    "million/subscribe to what a room of 1,000 has",
    "million/an event for all",
    "million/an event for a room",
    "million/leave",
];

/// Clients that have a resource in common, beside what all have.
const ROOM: usize = 1_000;

/// Work units of a turn, as the reactor gives them to what NATS sends.
const TURN: u32 = 30_000;

/// Bytes of a browser's request, as it is kept for services.
const HEAD: usize = 500;

/// Runs it in a process of its own.
pub fn run(runner: &mut Runner) {
    if !ROWS.into_iter().any(|name| runner.wants(name)) {
        return;
    }
    let clients = runner.size(1_000_000, 2_000);
    let program = std::env::current_exe().expect("the system tells what runs");
    let output = Command::new(program)
        .args([OPTION, &clients.to_string()])
        .output()
        .expect("a program can run itself");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "failed: {output:?}");
    assert_eq!(text.lines().count(), ROWS.len(), "{text}");
    for (name, line) in ROWS.into_iter().zip(text.lines()) {
        runner.note(name, line);
    }
}

/// The case itself.
pub fn run_case(clients: usize) {
    let mut world = World::new();
    let head = vec![b'h'; HEAD];
    let mut stage = Stage::begin();
    for number in 0..clients {
        world.connect(number, &head);
    }
    stage.end(clients);
    for number in 0..clients {
        world.subscribe(number, "all.news", small_model);
    }
    stage.end(clients);
    for number in 0..clients {
        let room = number / ROOM;
        world.subscribe(number, &format!("room.{room}"), small_model);
    }
    stage.end(clients);
    assert_eq!(world.gateway.stats().subscriptions, 2 * clients);
    // Clients that are idle wake nobody.
    assert_eq!(world.gateway.next_timeout(), None);

    fan_out(&mut world, "all.news", clients);
    fan_out(&mut world, "room.1", ROOM);

    let mut stage = Stage::begin();
    for number in 0..clients {
        world.close(number);
        finish(&mut world);
    }
    stage.end(clients);
    assert_eq!(world.gateway.stats().clients, 0);
}

/// Sends an event several times, and prints what it takes in the middle.
fn fan_out(world: &mut World, name: &str, receivers: usize) {
    let topic = world.topic(name, "change");
    let mut times = Vec::new();
    let (mut turns, mut longest) = (0, Duration::ZERO);
    for value in 1..=5 {
        let payload = format!(r#"{{"values":{{"count":{value}}}}}"#);
        let start = Instant::now();
        world.gateway.begin_turn(TURN);
        let mut turn = Instant::now();
        world.event(&topic, &payload);
        let mut delivered = count(&mut world.out);
        turns = 1;
        longest = longest.max(turn.elapsed());
        while world.gateway.has_work() {
            turn = Instant::now();
            world.gateway.begin_turn(TURN);
            world.gateway.go_on(crate::world::NOW, &mut world.out);
            delivered += count(&mut world.out);
            turns += 1;
            longest = longest.max(turn.elapsed());
        }
        assert_eq!(delivered, receivers, "{name}");
        times.push(start.elapsed());
    }
    times.sort();
    let middle = times[times.len() / 2];
    println!(
        "{:>11} ms for {receivers}, {} ns each, {turns} turns of {} ms at most",
        figure(middle.as_secs_f64() * 1e3),
        figure(middle.as_nanos() as f64 / receivers as f64),
        figure(longest.as_secs_f64() * 1e3)
    );
}

fn finish(world: &mut World) {
    while world.gateway.has_work() {
        world.gateway.begin_turn(TURN);
        world.gateway.go_on(crate::world::NOW, &mut world.out);
    }
    world.collect();
}

/// A part of it: its time, and what it adds to memory.
struct Stage {
    start: Instant,
    resident: i64,
}

impl Stage {
    fn begin() -> Self {
        Self {
            start: Instant::now(),
            resident: crate::memory::resident(),
        }
    }

    fn end(&mut self, clients: usize) {
        let now = Self::begin();
        let micros = self.start.elapsed().as_secs_f64() * 1e6 / clients as f64;
        let bytes = (now.resident - self.resident) as f64 / clients as f64;
        println!(
            "{:>11} µs each, {} B resident each, {} MiB in all",
            figure(micros),
            figure(bytes),
            now.resident >> 20
        );
        *self = now;
    }
}
