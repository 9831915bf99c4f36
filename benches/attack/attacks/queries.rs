//! Queries, and the events that put them in question.

use super::Attack;
use super::lists::mark;
use crate::fault::Outcome;
use crate::load::Speaks;
use crate::stage::Stage;

pub const STORM: Attack = Attack {
    id: "query-storm",
    title: "20 query events of a resource with 100,000 queries of one client",
    flags: &[],
    run: storm,
};

pub const LONG: Attack = Attack {
    id: "long-queries",
    title: "200 subscriptions with queries of 400 KB; memory then, and 10 s after they left",
    flags: &[],
    run: long,
};

/// An answer with the query as it came.
fn echo(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let query = text.split_once(r#""query":""#).map_or("", |(_, rest)| rest);
    let query = query.split('"').next().unwrap_or_default();
    match query {
        "" => r#"{"model":{"value":1}}"#.to_owned(),
        _ => format!(r#"{{"model":{{"value":1}},"query":"{query}"}}"#),
    }
}

fn storm(stage: &mut Stage) -> Outcome {
    let queries = stage.scale.count(100_000);
    stage.serve(|_, payload| echo(payload));
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, queries, |query| format!("attack.list?page={query}"))?;
    // Custom events of a resource are not for its queries.
    stage.subscribe(client, 1, |_| "attack.mark".to_owned())?;
    let events = stage.scale.count(20);
    stage.begin()?;
    for event in 0..events {
        let event = format!(r#"{{"subject":"query.attack.{event}"}}"#);
        stage
            .net
            .publish(b"event.attack.list.query", event.as_bytes());
    }
    let all = (queries * events) as u64;
    stage.wait("all query requests", |crowd| {
        crowd.service.asked.queries >= all
    })?;
    mark(stage, client, "attack.mark")?;
    stage.end()
}

fn long(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(200);
    stage.serve(|_, payload| echo(payload));
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    let before = stage.subject.memory()?.rss;
    stage.begin()?;
    let text = "x".repeat(400_000);
    stage.subscribe(client, count, |query| {
        format!("attack.list?q={query}{text}")
    })?;
    let held = stage.subject.memory()?.rss;
    stage.net.end(client)?;
    stage.pass(std::time::Duration::from_secs(10))?;
    stage.end()?;
    let after = stage.subject.memory()?.rss;
    stage.tell(format!(
        "{} KB for each subscription; {} MiB before, {} MiB held, {} MiB after",
        held.saturating_sub(before) / count as u64 / 1_000,
        before >> 20,
        held >> 20,
        after >> 20
    ));
    Ok(())
}
