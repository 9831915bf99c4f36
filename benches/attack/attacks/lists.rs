//! Events of long collections.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Attack;
use crate::fault::Outcome;
use crate::load::Speaks;
use crate::stage::{Next, Stage};

pub const ADD_FLOOD: Attack = Attack {
    id: "add-flood",
    title: "300,000 values added at the beginning of one collection, as fast as can",
    flags: &[],
    run: add_flood,
};

fn add_flood(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(300_000);
    let added = Rc::new(Cell::new(0));
    let its = Rc::clone(&added);
    stage.serve(move |_, _| {
        // What is fetched again has what was added until then.
        let values = vec!["1"; its.get()].join(",");
        format!(r#"{{"collection":[{values}]}}"#)
    });
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, 1, |_| "attack.list".to_owned())?;
    stage.begin()?;
    stage.drive("the adds to be sent", |net, _, now| {
        while added.get() < count && net.waiting_for_broker() < 1 << 18 {
            net.publish(b"event.attack.list.add", br#"{"idx":0,"value":1}"#);
            added.set(added.get() + 1);
        }
        Ok(match added.get() < count {
            true => Next::At(now + Duration::from_millis(1)),
            false => Next::Done,
        })
    })?;
    mark(stage, client, "attack.list")?;
    stage.end()?;
    let seen = stage.crowd.of(client);
    stage.tell(format!(
        "{} of {count} adds reached the client, {} gets",
        seen.events, stage.crowd.service.asked.gets
    ));
    Ok(())
}

/// Waits until a client has got what was published before: a custom event is published now
/// and again, since events may be left out of a name that has too many.
pub fn mark(stage: &mut Stage, client: usize, name: &str) -> Outcome {
    let subject = format!("event.{name}.done");
    let before = stage.crowd.of(client).marks;
    let mut next = Instant::now();
    stage.drive("the mark behind all events", |net, crowd, now| {
        let seen = crowd.of(client);
        if seen.marks > before || seen.ended > 0 {
            return Ok(Next::Done);
        }
        if now >= next {
            net.publish(subject.as_bytes(), b"null");
            next = now + Duration::from_secs(1);
        }
        Ok(Next::At(next))
    })
}
