//! Requests that wait for what takes long to load, and much of it.

use super::Attack;
use crate::fault::Outcome;
use crate::load::Speaks;
use crate::stage::{Stage, request};

/// Requests that one client may have open.
const OPEN: usize = 255;

pub const WAITERS: Attack = Attack {
    id: "many-waiters",
    title: "255 requests of a client for a collection of 40,000 references that is loading",
    flags: &[],
    run: |stage| wait_for_all(stage, 40_000, "subscribe"),
};

pub const GETS: Attack = Attack {
    id: "many-gets",
    title: "255 get requests of a client for a collection of 20,000 references",
    flags: &[],
    run: |stage| wait_for_all(stage, 20_000, "get"),
};

pub const WHOLE: Attack = Attack {
    id: "large-answers",
    title: "10 clients subscribe to a collection of 40,000 references",
    flags: &[],
    run: whole,
};

fn serve_list(stage: &mut Stage, count: usize) {
    stage.serve(move |name, _| match name {
        "attack.all" => {
            let items = (0..count).map(|item| format!(r#"{{"rid":"attack.{item}"}}"#));
            let items = items.collect::<Vec<_>>().join(",");
            format!(r#"{{"collection":[{items}]}}"#)
        }
        _ => r#"{"model":{"name":"an item"}}"#.to_owned(),
    });
}

fn wait_for_all(stage: &mut Stage, count: usize, method: &str) -> Outcome {
    let count = stage.scale.count(count);
    serve_list(stage, count);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    let before = stage.crowd.of(client).answers;
    stage.begin()?;
    for id in 0..OPEN {
        let text = request(id, &format!("{method}.attack.all"));
        stage.net.send(client, text.as_bytes())?;
    }
    stage.wait("all answers", |crowd| {
        crowd.of(client).answers == before + OPEN as u64
    })?;
    stage.end()
}

fn whole(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(40_000);
    serve_list(stage, count);
    let clients = stage.connect(11, Speaks::WebSocket)?;
    stage.subscribe(clients.start, 1, |_| "attack.all".to_owned())?;
    stage.begin()?;
    let subscribe = request(1, "subscribe.attack.all");
    for client in clients.clone().skip(1) {
        stage.net.send(client, subscribe.as_bytes())?;
    }
    stage.wait("all answers", |crowd| {
        crowd.have(clients.clone(), |seen| seen.answers == 2) == clients.len()
    })?;
    stage.end()
}
