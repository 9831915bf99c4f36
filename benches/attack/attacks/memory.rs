//! Clients that make the gateway keep much, and leave.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::Attack;
use crate::fault::Outcome;
use crate::load::{Speaks, UPGRADE};
use crate::stage::{Next, Stage, request};
use crate::wire::{TEXT, frame_header};

pub const LEAVE_AND_LINGER: Attack = Attack {
    id: "unsub-storm",
    title: "a client with 100,000 subscriptions leaves; the five seconds after, and more",
    flags: &[],
    run: leave_and_linger,
};

pub const SUBSCRIBE_AND_LEAVE: Attack = Attack {
    id: "subscribe-leave",
    title: "a client makes 100,000 subscriptions and leaves",
    flags: &[],
    run: subscribe_and_leave,
};

pub const CROWD_LEAVES: Attack = Attack {
    id: "crowd-leave",
    title: "5,000 clients with 20 subscriptions each leave at once",
    flags: &[],
    run: crowd_leaves,
};

pub const ENDLESS: Attack = Attack {
    id: "endless-message",
    title: "400 clients that send all but a byte of a message of 1 MiB",
    flags: &[],
    run: endless,
};

pub const UNREAD: Attack = Attack {
    id: "unread-output",
    title: "100 clients that subscribe again and again and never read",
    flags: &[],
    run: unread,
};

fn leave_and_linger(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(100_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, count, |name| format!("attack.item.{name}"))?;
    stage.begin()?;
    stage.net.end(client)?;
    // Names that nobody uses are kept for five seconds.
    stage.pass(Duration::from_secs(9))?;
    stage.end()
}

fn subscribe_and_leave(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(100_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.begin()?;
    stage.subscribe(client, count, |name| format!("attack.item.{name}"))?;
    stage.net.end(client)?;
    stage.wait("the client to be gone", |crowd| crowd.of(client).ended > 0)?;
    stage.end()?;
    stage.tell(format!("{count} subscriptions"));
    Ok(())
}

fn crowd_leaves(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(5_000);
    let clients = stage.connect(count, Speaks::WebSocket)?;
    for client in clients.clone() {
        for item in 0..20 {
            stage.send(client, item + 1, &format!("subscribe.attack.item.{item}"))?;
        }
        if client % 100 == 0 {
            stage.wait("subscriptions", |crowd| crowd.of(client).answers == 21)?;
        }
    }
    stage.wait("all subscriptions", |crowd| {
        crowd.have(clients.clone(), |seen| seen.answers == 21) == count
    })?;
    stage.begin()?;
    for client in clients.clone() {
        stage.net.end(client)?;
    }
    stage.wait("all to be gone", |crowd| {
        crowd.have(clients.clone(), |seen| seen.ended > 0) == count
    })?;
    stage.end()
}

fn endless(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(400);
    let clients = stage.connect(count, Speaks::WebSocket)?;
    let mut frame = Vec::new();
    frame_header(&mut frame, TEXT, 1 << 20, 0x80);
    frame.resize(frame.len() + (1 << 20) + 3, 0);
    stage.begin()?;
    for client in clients {
        // One after the other: the attacker need not have it all at once.
        stage.net.send_raw(client, &frame)?;
        stage.drive("a message to be sent", |net, crowd, _| {
            let is_done = net.waiting(client) == 0 || crowd.of(client).ended > 0;
            Ok(if is_done { Next::Done } else { Next::Wait })
        })?;
    }
    let held = stage.subject.memory()?.rss >> 20;
    stage.pass(stage.scale.time * 8)?;
    stage.end()?;
    let after = stage.subject.memory()?.rss >> 20;
    let ended = stage.crowd.total.ended;
    stage.tell(format!(
        "{held} MiB held when all was sent, {after} MiB in the end, {ended} of {count} closed"
    ));
    Ok(())
}

fn unread(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(100);
    let text = "x".repeat(200_000);
    stage.serve(move |_, _| format!(r#"{{"model":{{"text":"{text}"}}}}"#));
    // What is asked for below comes from the cache.
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, 1, |_| "attack.model".to_owned())?;
    stage.begin()?;
    let mut deaf = Vec::new();
    for _ in 0..count {
        let mut socket = TcpStream::connect(stage.subject.address)?;
        socket.set_write_timeout(Some(Duration::from_secs(1)))?;
        socket.write_all(UPGRADE.as_bytes())?;
        let mut input = Vec::new();
        for id in 0..120 {
            let ask = ["subscribe", "unsubscribe"][id % 2];
            let text = request(id, &format!("{ask}.attack.model"));
            frame_header(&mut input, TEXT, text.len(), 0x80);
            input.extend_from_slice(&[0; 4]);
            input.extend_from_slice(text.as_bytes());
        }
        socket.write_all(&input)?;
        deaf.push(socket);
        stage.pass(Duration::from_millis(1))?;
    }
    stage.pass(stage.scale.time * 4)?;
    let held = stage.subject.memory()?.rss >> 20;
    drop(deaf);
    stage.end()?;
    stage.tell(format!("{held} MiB held"));
    Ok(())
}
