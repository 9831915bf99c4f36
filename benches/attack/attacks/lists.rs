//! Events of long collections.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Attack;
use crate::fault::{Fault, Outcome};
use crate::load::{Net, Speaks};
use crate::stage::{Next, Stage};

pub const ADD_FLOOD: Attack = Attack {
    id: "add-flood",
    title: "300,000 values added at the beginning of one collection, as fast as can",
    flags: &[],
    run: add_flood,
};

pub const SWAP: Attack = Attack {
    id: "list-swap",
    title: "100,000 pairs of remove at the beginning and add at the end, 20,000 values long",
    flags: &[],
    run: swap,
};

pub const DIFFERENCE: Attack = Attack {
    id: "difference",
    title: "a collection of 50,000 values fetched again in another order, 5 times",
    flags: &[],
    run: difference,
};

pub const EVENTS: Attack = Attack {
    id: "event-flood",
    title: "events of one resource to 5 clients, as fast as can",
    flags: &[],
    run: event_flood,
};

pub const NAMES: Attack = Attack {
    id: "event-flood-names",
    title: "the same, of 1,000 resources in turn",
    flags: &[],
    run: event_flood_names,
};

pub const FAT: Attack = Attack {
    id: "fat-events",
    title: "20 events of 1 MiB to 1,000 clients",
    flags: &[],
    run: fat,
};

pub const WIDE: Attack = Attack {
    id: "wide-change",
    title: "100 change events of 40,000 members each",
    flags: &[],
    run: wide,
};

pub const REFERENCES: Attack = Attack {
    id: "add-references",
    title: "1,000 references added to a collection that 500 clients have",
    flags: &[],
    run: references,
};

pub const DELETES: Attack = Attack {
    id: "delete-all",
    title: "delete events of 100,000 resources that one client has",
    flags: &[],
    run: deletes,
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

/// Publishes `count` messages, not much faster than the broker takes them.
fn publish_all(
    stage: &mut Stage,
    count: usize,
    mut publish: impl FnMut(&mut Net, usize),
) -> Outcome {
    let mut sent = 0;
    stage.drive("events to be sent", |net, _, now| {
        while sent < count && net.waiting_for_broker() < 1 << 18 {
            publish(net, sent);
            sent += 1;
        }
        Ok(match sent < count {
            true => Next::At(now + Duration::from_millis(1)),
            false => Next::Done,
        })
    })
}

fn swap(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(100_000);
    let values = vec!["1"; stage.scale.count(20_000)];
    let last = values.len() - 1;
    stage.serve(move |_, _| format!(r#"{{"collection":[{}]}}"#, values.join(",")));
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, 1, |_| "attack.list".to_owned())?;
    let add = format!(r#"{{"idx":{last},"value":1}}"#);
    stage.begin()?;
    publish_all(stage, count, |net, _| {
        net.publish(b"event.attack.list.remove", br#"{"idx":0}"#);
        net.publish(b"event.attack.list.add", add.as_bytes());
    })?;
    mark(stage, client, "attack.list")?;
    stage.end()?;
    stage.tell(format!(
        "{} of {} events",
        stage.crowd.of(client).events,
        2 * count
    ));
    Ok(())
}

fn difference(stage: &mut Stage) -> Outcome {
    let len = stage.scale.count(50_000);
    let mut round = 0_u64;
    stage.serve(move |_, _| {
        // Another order each time: a number without a common divisor steps through them.
        round += 1;
        let step = 7_919 * (2 * round - 1);
        let values = (0..len as u64).map(|at| ((at * step) % len as u64).to_string());
        format!(
            r#"{{"collection":[{}]}}"#,
            values.collect::<Vec<_>>().join(",")
        )
    });
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, 1, |_| "attack.list".to_owned())?;
    stage.begin()?;
    for round in 0..5 {
        stage
            .net
            .publish(b"system.reset", br#"{"resources":["attack.list"]}"#);
        stage.wait("the list to be fetched", |crowd| {
            crowd.service.asked.gets == round + 2
        })?;
        mark(stage, client, "attack.list")?;
    }
    stage.end()?;
    stage.tell(format!("{} events", stage.crowd.of(client).events));
    Ok(())
}

fn event_flood(stage: &mut Stage) -> Outcome {
    let clients = stage.connect(5, Speaks::WebSocket)?;
    for client in clients.clone() {
        stage.subscribe(client, 1, |_| "attack.model".to_owned())?;
    }
    events_for_a_time(stage, clients.start, |_| {
        "event.attack.model.tick".to_owned()
    })
}

fn event_flood_names(stage: &mut Stage) -> Outcome {
    let names = stage.scale.count(1_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, 1, |_| "attack.model".to_owned())?;
    stage.subscribe(client, names, |name| format!("attack.item.{name}"))?;
    events_for_a_time(stage, client, move |sent| {
        format!("event.attack.item.{}.tick", sent % names as u64)
    })
}

fn events_for_a_time(stage: &mut Stage, client: usize, subject: impl Fn(u64) -> String) -> Outcome {
    let mut sent = 0;
    stage.begin()?;
    stage.flood(|net, _| {
        while net.waiting_for_broker() < 1 << 18 {
            net.publish(subject(sent).as_bytes(), br#"{"value":1}"#);
            sent += 1;
        }
        Ok(())
    })?;
    mark(stage, client, "attack.model")?;
    stage.end()?;
    if stage.crowd.total.ended > 0 {
        return Err(Fault::Surprise(
            "readers of the flood were closed".to_owned(),
        ));
    }
    let came = stage.crowd.of(client).events;
    stage.tell(format!("{came} of {sent} events reached a client"));
    Ok(())
}

fn fat(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(1_000);
    let clients = stage.connect(count, Speaks::WebSocket)?;
    for client in clients.clone() {
        stage.subscribe(client, 1, |_| "attack.model".to_owned())?;
    }
    let event = format!("\"{}\"", "x".repeat((1 << 20) - 100));
    stage.begin()?;
    for _ in 0..20 {
        stage
            .net
            .publish(b"event.attack.model.tick", event.as_bytes());
    }
    stage.wait("all events of all clients", |crowd| {
        crowd.have(clients.clone(), |seen| seen.events == 20 || seen.ended > 0) == count
    })?;
    stage.end()?;
    stage.tell(format!("{} clients closed", stage.crowd.total.ended));
    Ok(())
}

fn wide(stage: &mut Stage) -> Outcome {
    let members = stage.scale.count(40_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, 1, |_| "attack.model".to_owned())?;
    stage.begin()?;
    publish_all(stage, stage.scale.count(100), |net, event| {
        let values = (0..members).map(|member| format!(r#""member{member}":{event}"#));
        let values = values.collect::<Vec<_>>().join(",");
        let change = format!(r#"{{"values":{{{values}}}}}"#);
        net.publish(b"event.attack.model.change", change.as_bytes());
    })?;
    mark(stage, client, "attack.model")?;
    stage.end()?;
    stage.tell(format!("{} events", stage.crowd.of(client).events));
    Ok(())
}

fn references(stage: &mut Stage) -> Outcome {
    stage.serve(|name, _| match name {
        "attack.list" => r#"{"collection":[]}"#.to_owned(),
        _ => r#"{"model":{"value":1}}"#.to_owned(),
    });
    let count = stage.scale.count(500);
    let clients = stage.connect(count, Speaks::WebSocket)?;
    for client in clients.clone() {
        stage.subscribe(client, 1, |_| "attack.list".to_owned())?;
    }
    let events = stage.scale.count(1_000);
    stage.begin()?;
    publish_all(stage, events, |net, event| {
        let add = format!(r#"{{"idx":0,"value":{{"rid":"attack.item.{event}"}}}}"#);
        net.publish(b"event.attack.list.add", add.as_bytes());
    })?;
    stage.wait("all events of all clients", |crowd| {
        crowd.have(clients.clone(), |seen| seen.events == events as u64) == count
    })?;
    stage.end()
}

fn deletes(stage: &mut Stage) -> Outcome {
    let names = stage.scale.count(100_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, names, |name| format!("attack.item.{name}"))?;
    stage.begin()?;
    publish_all(stage, names, |net, name| {
        net.publish(
            format!("event.attack.item.{name}.delete").as_bytes(),
            b"null",
        );
    })?;
    stage.wait("all delete events", |crowd| {
        crowd.of(client).events >= names as u64
    })?;
    stage.end()
}
