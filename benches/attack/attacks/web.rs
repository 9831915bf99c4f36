//! GET requests whose answers are large or refer to each other.

use std::time::Duration;

use super::Attack;
use crate::fault::Outcome;
use crate::load::Speaks;
use crate::stage::{Scale, Stage};

pub const DOUBLING: Attack = Attack {
    id: "get-doubling",
    title: "40 GETs of 30 collections, each with the next twice",
    flags: &[],
    run: doubling,
};

pub const DOUBLING_FLAT: Attack = Attack {
    id: "get-doubling-flat",
    title: "the same with `apiEncoding` `jsonflat`",
    flags: &["--apiencoding", "jsonflat"],
    ..DOUBLING
};

pub const FRIENDS: Attack = Attack {
    id: "get-friends",
    title: "40 GETs of 15 users who all have each other as friends",
    flags: &[],
    run: friends,
};

pub const LARGE: Attack = Attack {
    id: "get-large",
    title: "40 GETs of a collection of 20,000 models",
    flags: &[],
    run: large,
};

pub const MANY: Attack = Attack {
    id: "get-many",
    title: "300 GETs of a model of 900 KB",
    flags: &[],
    run: many,
};

/// How deep the doubling goes: a request of 40 bytes stands for 2^30 places.
pub const DEPTH: usize = 30;

fn doubling(stage: &mut Stage) -> Outcome {
    stage.serve(|name, _| doubled(name));
    storm(stage, requests(stage.scale), "dag/0")
}

/// The resource of the doubling with a name.
pub fn doubled(name: &str) -> String {
    let level: usize = name
        .rsplit('.')
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(0);
    match level < DEPTH {
        true => {
            let next = format!(r#"{{"rid":"attack.dag.{}"}}"#, level + 1);
            format!(r#"{{"collection":[{next},{next}]}}"#)
        }
        false => r#"{"collection":[1]}"#.to_owned(),
    }
}

fn friends(stage: &mut Stage) -> Outcome {
    const USERS: usize = 15;
    stage.serve(|name, _| {
        let (kind, user) = name.rsplit_once('.').unwrap_or_default();
        if kind == "attack.user" {
            return format!(
                r#"{{"model":{{"name":"{user}","friends":{{"rid":"attack.friends.{user}"}}}}}}"#
            );
        }
        let others = (0..USERS).filter(|other| other.to_string() != user);
        let others = others.map(|other| format!(r#"{{"rid":"attack.user.{other}"}}"#));
        format!(
            r#"{{"collection":[{}]}}"#,
            others.collect::<Vec<_>>().join(",")
        )
    });
    storm(stage, requests(stage.scale), "user/0")
}

fn large(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(20_000);
    stage.serve(move |name, _| match name {
        "attack.all" => {
            let items = (0..count).map(|item| format!(r#"{{"rid":"attack.item.{item}"}}"#));
            format!(
                r#"{{"collection":[{}]}}"#,
                items.collect::<Vec<_>>().join(",")
            )
        }
        _ => r#"{"model":{"name":"an item","state":1}}"#.to_owned(),
    });
    storm(stage, requests(stage.scale), "all")
}

fn many(stage: &mut Stage) -> Outcome {
    let text = "x".repeat(900_000);
    stage.serve(move |_, _| format!(r#"{{"model":{{"text":"{text}"}}}}"#));
    let count = if stage.scale.is_short { 20 } else { 300 };
    storm(stage, count, "model")
}

/// How many requests for what costs much.
fn requests(scale: Scale) -> usize {
    if scale.is_short { 4 } else { 40 }
}

/// Many requests at once, each on a connection of its own, for what is cached.
fn storm(stage: &mut Stage, count: usize, path: &str) -> Outcome {
    let get = format!("GET /api/attack/{path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let clients = stage.connect(count + 1, Speaks::Http)?;
    // One before, so that what is measured does not wait for the service.
    stage.net.send_raw(clients.start, get.as_bytes())?;
    let first = clients.start;
    stage.wait("the first answer", |crowd| crowd.of(first).responses > 0)?;
    stage.pass(Duration::from_millis(100))?;
    let clients = first + 1..clients.end;
    stage.begin()?;
    for client in clients.clone() {
        stage.net.send_raw(client, get.as_bytes())?;
    }
    stage.wait("answers to all GETs", |crowd| {
        crowd.have(clients.clone(), |seen| seen.responses + seen.ended > 0) == count
    })?;
    stage.end()?;
    let (mut refused, mut bytes) = (0, 0);
    for client in clients {
        refused += stage.crowd.of(client).refusals;
        bytes += stage.crowd.of(client).bytes;
    }
    stage.tell(format!(
        "{refused} of {count} refused, {} MB of bodies",
        bytes / 1_000_000
    ));
    Ok(())
}
