//! Reset events.

use std::time::{Duration, Instant};

use super::Attack;
use super::lists::mark;
use crate::fault::Outcome;
use crate::load::{Net, Speaks};
use crate::stage::Stage;

pub const PATTERNS: Attack = Attack {
    id: "reset-patterns",
    title: "one reset event with 40,000 patterns, over 5,000 names",
    flags: &[],
    run: patterns,
};

pub const TRIE: Attack = Attack {
    id: "reset-wildcards",
    title: "4,096 patterns, every mixture of a part and its wildcard, over 5,000 names",
    flags: &[],
    run: wildcards,
};

pub const ALL: Attack = Attack {
    id: "reset-all",
    title: "20 reset events for all of 100,000 resources",
    flags: &[],
    run: |stage| all(stage, "resources"),
};

pub const ACCESS_ALL: Attack = Attack {
    id: "reset-access-all",
    title: "20 reset events for the access to all of them",
    flags: &[],
    run: |stage| all(stage, "access"),
};

pub const ACCESS_STORM: Attack = Attack {
    id: "access-reset-storm",
    title: "100 reset events a second for the access of all to all",
    flags: &[],
    run: access_storm,
};

pub const REACCESS: Attack = Attack {
    id: "reaccess-storm",
    title: "a reaccess event every 10 ms, answered after 30 ms, beside 100 events a second",
    flags: &[],
    run: reaccess,
};

pub const TOKEN: Attack = Attack {
    id: "token-event",
    title: "10 token events for a client with 100,000 subscriptions",
    flags: &[],
    run: token_events,
};

pub const TOKEN_RESET: Attack = Attack {
    id: "token-reset",
    title: "200 token resets of 5,000 token IDs, which 1,000 clients have",
    flags: &[],
    run: token_reset,
};

/// A list of JSON texts.
fn json_list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.map(|text| format!("\"{text}\"")).collect();
    format!("[{}]", texts.join(","))
}

fn wildcards(stage: &mut Stage) -> Outcome {
    const PARTS: usize = 12;
    let names = stage.scale.count(5_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    let path = ["a"; PARTS].join(".");
    stage.subscribe(client, names, |name| format!("attack.{path}.{name}"))?;
    let patterns = (0..1_usize << PARTS).map(|mixture| {
        let part = |place| if mixture >> place & 1 == 0 { "a" } else { "*" };
        let parts: Vec<&str> = (0..PARTS).map(part).collect();
        // No name has the last part.
        format!("attack.{}.none", parts.join("."))
    });
    let reset = format!(r#"{{"resources":{}}}"#, json_list(patterns));
    stage.begin()?;
    stage.net.publish(b"system.reset", reset.as_bytes());
    mark(stage, client, &format!("attack.{path}.0"))?;
    stage.end()
}

fn all(stage: &mut Stage, what: &str) -> Outcome {
    let names = stage.scale.count(100_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, names, |name| format!("attack.item.{name}"))?;
    let reset = format!(r#"{{"{what}":["attack.>"]}}"#);
    stage.begin()?;
    let asked = stage.crowd.service.asked;
    for _ in 0..20 {
        stage.net.publish(b"system.reset", reset.as_bytes());
    }
    let all = names as u64;
    stage.wait("requests for all", |crowd| {
        let now = crowd.service.asked;
        (now.gets + now.accesses) - (asked.gets + asked.accesses) >= all
    })?;
    mark(stage, client, &format!("attack.item.{}", names - 1))?;
    stage.end()?;
    let now = stage.crowd.service.asked;
    let requests = (now.gets + now.accesses) - (asked.gets + asked.accesses);
    stage.tell(format!("{requests} requests"));
    Ok(())
}

fn access_storm(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(1_000);
    let clients = stage.connect(count, Speaks::WebSocket)?;
    for client in clients {
        stage.subscribe(client, 1, |_| format!("attack.item.{client}"))?;
    }
    stage.begin()?;
    paced(stage, |net| {
        net.publish(b"system.reset", br#"{"access":[">"]}"#)
    })?;
    stage.end()
}

fn reaccess(stage: &mut Stage) -> Outcome {
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, 1, |_| "attack.model".to_owned())?;
    stage.crowd.service.access_time = Duration::from_millis(30);
    stage.begin()?;
    let mut events = 0;
    paced(stage, |net| {
        net.publish(b"event.attack.model.reaccess", b"null");
        net.publish(b"event.attack.model.tick", b"null");
        events += 1;
    })?;
    let at_once = stage.crowd.of(client).events;
    stage.wait("all events", |crowd| crowd.of(client).events == events)?;
    stage.end()?;
    stage.tell(format!("{at_once} of {events} events came while it lasted"));
    Ok(())
}

/// Does something every 10 ms for the time of a flood.
fn paced(stage: &mut Stage, mut step: impl FnMut(&mut Net)) -> Outcome {
    let mut next = Instant::now();
    stage.flood(|net, _| {
        let now = Instant::now();
        while next <= now {
            step(net);
            next += Duration::from_millis(10);
        }
        Ok(())
    })
}

fn token_events(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(100_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, count, |name| format!("attack.item.{name}"))?;
    let id = stage
        .crowd
        .service
        .connections
        .last()
        .cloned()
        .unwrap_or_default();
    stage.begin()?;
    for number in 0..10 {
        let event = format!(r#"{{"token":{{"user":{number}}}}}"#);
        stage
            .net
            .publish(format!("conn.{id}.token").as_bytes(), event.as_bytes());
    }
    mark(stage, client, &format!("attack.item.{}", count - 1))?;
    stage.end()?;
    let accesses = stage.crowd.service.asked.accesses;
    stage.tell(format!(
        "{accesses} access requests for {count} subscriptions"
    ));
    Ok(())
}

fn token_reset(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(1_000);
    let clients = stage.connect(count, Speaks::WebSocket)?;
    for client in clients {
        stage.subscribe(client, 1, |_| format!("attack.item.{client}"))?;
        let id = stage
            .crowd
            .service
            .connections
            .last()
            .cloned()
            .unwrap_or_default();
        let event = format!(r#"{{"token":{{"user":1}},"tid":"t{client}"}}"#);
        stage
            .net
            .publish(format!("conn.{id}.token").as_bytes(), event.as_bytes());
    }
    let tids = json_list((0..5_000).map(|tid| format!("t{tid}")));
    let reset = format!(r#"{{"tids":{tids},"subject":"auth.attack.login.renew"}}"#);
    stage.pass(Duration::from_millis(200))?;
    stage.begin()?;
    for _ in 0..stage.scale.count(200) {
        stage.net.publish(b"system.tokenReset", reset.as_bytes());
    }
    let client = 0;
    mark(stage, client, "attack.item.0")?;
    stage.end()?;
    stage.tell(format!("{} auth requests", stage.crowd.service.asked.auths));
    Ok(())
}

fn patterns(stage: &mut Stage) -> Outcome {
    let names = match stage.scale.is_large {
        true => 100_000,
        false => stage.scale.count(5_000),
    };
    let patterns = stage.scale.count(40_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, names, |name| format!("attack.item.{name}.part"))?;
    let patterns = (0..patterns).map(|it| format!(r#""attack.*.{it}.*.>""#));
    let patterns = patterns.collect::<Vec<_>>().join(",");
    stage.begin()?;
    let reset = format!(r#"{{"resources":[{patterns}]}}"#);
    stage.net.publish(b"system.reset", reset.as_bytes());
    // Behind it in the gateway's input.
    mark(stage, client, "attack.item.0.part")?;
    stage.end()
}
