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
    stage.wait("answers to all pairs", |crowd| crowd.of(client).answers == all)?;
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
