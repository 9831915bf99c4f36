//! What a gateway sends to the command line, a message a line: whatever it is, it is read or
//! refused, and what is shown of it is JSON, fit for a terminal, and means what is held.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;
use tidegate::client::core::lines::{Form, Stamp};
use tidegate::client::core::messages::{self, Incoming, Outcome};
use tidegate::client::core::print::{Style, visible};
use tidegate::client::core::resources::{Resources, TooMuch};
use tidegate::client::core::zone::Zone;

/// Deep enough for what refers to itself in every way.
const DEPTH: usize = 3;

fuzz_target!(|data: &[u8]| {
    Zone::parse(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    Zone::of_rule(text);
    fit(&visible(text));
    let stamp = Zone::default().stamp(0);
    let mut resources = Resources::default();
    for message in text.lines() {
        let Ok(message) = messages::read(message) else {
            continue;
        };
        match message {
            Incoming::Answer {
                outcome: Ok(result),
                ..
            } => answer(result, &mut resources),
            Incoming::Answer { .. } => {}
            Incoming::Event { rid, name, data } => {
                event(&rid, &name, data, &stamp, &mut resources);
            }
        }
        show(&resources, &stamp);
    }
    let first = resources.iter().next().map(|(rid, _)| rid.to_owned());
    if let Some(rid) = first {
        let before = resources.to_json(&rid, DEPTH);
        resources.keep_reachable(&rid);
        assert_eq!(resources.to_json(&rid, DEPTH), before);
    }
});

fn answer(result: &str, resources: &mut Resources) {
    if let Ok(Outcome::Payload(value)) = messages::outcome(result) {
        fit_json(value, &Style::default().json(value));
    }
    // What is wrong in the middle of a set leaves what came before it.
    let _ = resources.put(result);
}

fn event(rid: &str, name: &str, data: &str, stamp: &Stamp, resources: &mut Resources) {
    let Ok(happening) = resources.apply(rid, name, data) else {
        return;
    };
    for is_json in [true, false] {
        match form(is_json).event(stamp, rid, name, &happening, resources) {
            Ok(line) if is_json => drop(json(&line)),
            Ok(line) => fit(&line),
            Err(TooMuch) => {}
        }
    }
}

fn show(resources: &Resources, stamp: &Stamp) {
    for (rid, _) in resources.iter() {
        let Ok(text) = resources.to_json(rid, DEPTH) else {
            continue;
        };
        for is_indented in [true, false] {
            let style = Style {
                is_indented,
                has_colours: false,
            };
            fit_json(&text, &style.json(&text));
        }
        if let Ok(line) = form(true).state(stamp, rid, resources) {
            json(&line);
        }
        if let Ok(line) = form(false).state(stamp, rid, resources) {
            fit(&line);
        }
    }
}

fn form(is_json: bool) -> Form {
    Form {
        is_json,
        style: Style::default(),
        depth: DEPTH,
    }
}

/// What is shown means what it is made of. Numbers beyond all bounds, escapes that stand for
/// no character and depths that a tree cannot have are no JSON to this reader.
fn fit_json(text: &str, shown: &str) {
    if let Ok(value) = serde_json::from_str::<Json>(text) {
        assert_eq!(json(shown), Some(value), "{text}");
    }
    for line in shown.lines() {
        fit(line);
    }
}

fn json(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok()
}

/// One line, without a command for the terminal.
fn fit(line: &str) {
    assert!(!line.chars().any(char::is_control), "{line:?}");
}
