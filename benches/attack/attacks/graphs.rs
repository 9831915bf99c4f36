//! Resources that refer to each other, with references and subscriptions that come and go.

use super::Attack;
use crate::fault::Outcome;
use crate::load::Speaks;
use crate::stage::{Stage, request};

pub const TOGGLE: Attack = Attack {
    id: "ring-toggle",
    title: "100 pairs of subscribe and unsubscribe half-way around a ring of 20,000",
    flags: &[],
    run: toggle,
};

pub const REWIRE: Attack = Attack {
    id: "ring-rewire",
    title: "1,000 change events that rewire a ring of 20,000",
    flags: &[],
    run: |stage| change(stage, |next| format!(r#"{{"rid":"attack.ring.{next}"}}"#)),
};

pub const CUT: Attack = Attack {
    id: "ring-cut",
    title: "1,000 change events that cut it",
    flags: &[],
    run: |stage| change(stage, |_| "null".to_owned()),
};

pub const STAR: Attack = Attack {
    id: "star-toggle",
    title: "100 pairs of subscribe and unsubscribe of a hub that 20,000 leaves refer to",
    flags: &[],
    run: star,
};

pub const CHAIN: Attack = Attack {
    id: "chain-drop",
    title: "a chain of 20,000 references subscribed and unsubscribed 20 times",
    flags: &[],
    run: |stage| again(stage, "attack.chain.0"),
};

pub const SET: Attack = Attack {
    id: "set-drop",
    title: "a collection of 20,000 models subscribed and unsubscribed 20 times",
    flags: &[],
    run: |stage| again(stage, "attack.all"),
};

pub const CROWD_SETS: Attack = Attack {
    id: "set-crowd",
    title: "50 clients that subscribe to a collection of 20,000 models, and leave at once",
    flags: &[],
    run: crowd_sets,
};

/// A ring of models with references to the one before and the next, which one client holds.
fn ring(stage: &mut Stage) -> Result<(usize, usize), crate::fault::Fault> {
    let len = stage.scale.count(20_000);
    stage.serve(move |name, _| {
        let place: usize = name.rsplit('.').next().and_then(|it| it.parse().ok()).unwrap_or(0);
        let (previous, next) = ((place + len - 1) % len, (place + 1) % len);
        format!(
            r#"{{"model":{{"prev":{{"rid":"attack.ring.{previous}"}},"next":{{"rid":"attack.ring.{next}"}}}}}}"#
        )
    });
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, 1, |_| "attack.ring.0".to_owned())?;
    Ok((client, len))
}

fn toggle(stage: &mut Stage) -> Outcome {
    let (client, len) = ring(stage)?;
    let pairs = if stage.scale.is_large { 500 } else { 100 };
    let before = stage.crowd.of(client).answers;
    stage.begin()?;
    for pair in 0..pairs {
        for (id, method) in [(2 * pair, "subscribe"), (2 * pair + 1, "unsubscribe")] {
            let text = request(id, &format!("{method}.attack.ring.{}", len / 2));
            stage.net.send(client, text.as_bytes())?;
        }
    }
    let all = before + 2 * pairs as u64;
    stage.wait("answers to all pairs", |crowd| {
        crowd.of(client).answers == all
    })?;
    stage.end()
}

fn change(stage: &mut Stage, next: fn(usize) -> String) -> Outcome {
    let (client, len) = ring(stage)?;
    let events = stage.scale.count(1_000);
    let before = stage.crowd.of(client).events;
    stage.begin()?;
    for event in 0..events {
        let place = event * (len / events);
        let value = next((place + len / 2) % len);
        stage.net.publish(
            format!("event.attack.ring.{place}.change").as_bytes(),
            format!(r#"{{"values":{{"next":{value}}}}}"#).as_bytes(),
        );
    }
    let all = before + events as u64;
    stage.wait("all change events", |crowd| crowd.of(client).events >= all)?;
    stage.end()
}

/// What the hub refers to refers to the hub; only the last leaf is subscribed to.
fn star(stage: &mut Stage) -> Outcome {
    let leaves = stage.scale.count(20_000);
    stage.serve(move |name, _| match name {
        "attack.hub" => list(leaves, "attack.leaf."),
        _ => r#"{"model":{"hub":{"rid":"attack.hub"}}}"#.to_owned(),
    });
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, 1, |_| format!("attack.leaf.{}", leaves - 1))?;
    let before = stage.crowd.of(client).answers;
    let pairs = 100;
    stage.begin()?;
    for pair in 0..pairs {
        for (id, method) in [(2 * pair, "subscribe"), (2 * pair + 1, "unsubscribe")] {
            let text = request(id, &format!("{method}.attack.hub"));
            stage.net.send(client, text.as_bytes())?;
        }
    }
    let all = before + 2 * pairs as u64;
    stage.wait("answers to all pairs", |crowd| {
        crowd.of(client).answers == all
    })?;
    stage.end()
}

/// A collection of references to models with a common beginning of their names.
fn list(count: usize, prefix: &str) -> String {
    let items = (0..count).map(|item| format!(r#"{{"rid":"{prefix}{item}"}}"#));
    format!(
        r#"{{"collection":[{}]}}"#,
        items.collect::<Vec<_>>().join(",")
    )
}

/// Serves the chain and the collection.
fn serve_trees(stage: &mut Stage) {
    let count = stage.scale.count(20_000);
    stage.serve(move |name, _| match name.strip_prefix("attack.chain.") {
        Some(place) => {
            let next = place.parse::<usize>().unwrap_or(0) + 1;
            match next < count {
                true => format!(r#"{{"model":{{"next":{{"rid":"attack.chain.{next}"}}}}}}"#),
                false => r#"{"model":{"next":null}}"#.to_owned(),
            }
        }
        None if name == "attack.all" => list(count, "attack.item."),
        None => r#"{"model":{"name":"an item"}}"#.to_owned(),
    });
}

fn again(stage: &mut Stage, name: &'static str) -> Outcome {
    serve_trees(stage);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    // Once before: what is measured does not wait for the service.
    stage.subscribe(client, 1, |_| name.to_owned())?;
    let before = stage.crowd.of(client).answers;
    stage.begin()?;
    for pair in 0..20 {
        for (id, method) in [(2 * pair, "unsubscribe"), (2 * pair + 1, "subscribe")] {
            let text = request(id, &format!("{method}.{name}"));
            stage.net.send(client, text.as_bytes())?;
        }
    }
    stage.wait("all answers", |crowd| {
        crowd.of(client).answers == before + 40
    })?;
    stage.end()
}

fn crowd_sets(stage: &mut Stage) -> Outcome {
    serve_trees(stage);
    let count = if stage.scale.is_short { 4 } else { 50 };
    let clients = stage.connect(count, Speaks::WebSocket)?;
    stage.subscribe(clients.start, 1, |_| "attack.all".to_owned())?;
    stage.begin()?;
    let subscribe = request(1, "subscribe.attack.all");
    for client in clients.clone().skip(1) {
        stage.net.send(client, subscribe.as_bytes())?;
    }
    stage.wait("all answers", |crowd| {
        crowd.have(clients.clone(), |seen| seen.answers == 2) == count
    })?;
    for client in clients.clone() {
        stage.net.end(client)?;
    }
    stage.wait("all to be gone", |crowd| {
        crowd.have(clients.clone(), |seen| seen.ended > 0) == count
    })?;
    stage.end()
}
