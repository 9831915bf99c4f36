//! Query resources: windows over a list of rows, written `l=2&s=1` for two rows from
//! the second on. Their members may come in any order; the normal form has `l` first.

use super::content::{Content, canonical};
use super::service::Shape;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The window of a resource asked for without query.
const DEFAULT: (usize, usize) = (3, 0);

/// The normal form of a query.
pub fn normalise(query: Option<&str>) -> String {
    let (length, start) = parse(query);
    format!("l={length}&s={start}")
}

/// What a query sees of the rows.
pub fn window(shape: Shape, rows: &[Value], query: Option<&str>) -> Content {
    let (length, start) = parse(query);
    let rows = rows.iter().skip(start).take(length);
    match shape {
        Shape::QueryModel => Content::Model(
            rows.enumerate()
                .map(|(i, row)| (format!("row{i}"), row.clone()))
                .collect(),
        ),
        _ => Content::Collection(rows.cloned().collect()),
    }
}

/// The events that lead from one content to another, as a query answer lists them.
pub fn events_between(old: &Content, new: &Content) -> Vec<Value> {
    match (old, new) {
        (Content::Model(old), Content::Model(new)) => model_events(old, new),
        (Content::Collection(old), Content::Collection(new)) => collection_events(old, new),
        _ => Vec::new(),
    }
}

fn model_events(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<Value> {
    let mut values = serde_json::Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        values.insert(key.clone(), json!({"action": "delete"}));
    }
    for (key, value) in new {
        if old.get(key).map(canonical) != Some(canonical(value)) {
            values.insert(key.clone(), value.clone());
        }
    }
    if values.is_empty() {
        return Vec::new();
    }
    vec![json!({"event": "change", "data": {"values": values}})]
}

/// Replaces the middle between the common start and the common end.
fn collection_events(old: &[Value], new: &[Value]) -> Vec<Value> {
    let shorter = old.len().min(new.len());
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let tail = tail.min(shorter - head);
    let removed = (head..old.len() - tail).rev();
    let added = head..new.len() - tail;
    removed
        .map(|idx| json!({"event": "remove", "data": {"idx": idx}}))
        .chain(added.map(|idx| json!({"event": "add", "data": {"idx": idx, "value": new[idx]}})))
        .collect()
}

fn parse(query: Option<&str>) -> (usize, usize) {
    let (mut length, mut start) = DEFAULT;
    for part in query.unwrap_or_default().split('&') {
        match part.split_once('=') {
            Some(("l", number)) => length = number.parse().unwrap_or(length),
            Some(("s", number)) => start = number.parse().unwrap_or(start),
            _ => {}
        }
    }
    (length, start)
}

#[test]
fn queries_have_one_normal_form() {
    for query in [Some("l=2&s=1"), Some("s=1&l=2"), Some("x=4&s=1&l=2")] {
        assert_eq!(normalise(query), "l=2&s=1");
    }
    assert_eq!(normalise(None), "l=3&s=0");
    assert_eq!(normalise(Some(&normalise(Some("s=7")))), "l=3&s=7");
}

#[test]
fn events_lead_from_old_to_new() {
    let list = |text: &str| -> Vec<Value> { text.chars().map(|c| json!(c)).collect() };
    for (old, new) in [
        ("", ""),
        ("", "ab"),
        ("ab", ""),
        ("abc", "abc"),
        ("abc", "ac"),
        ("aa", "aaa"),
        ("aaa", "aa"),
        ("abcd", "dcba"),
        ("xaby", "xbay"),
        ("abab", "ab"),
    ] {
        let (mut state, new) = (list(old), list(new));
        for event in collection_events(&state.clone(), &new) {
            let idx = event["data"]["idx"].as_u64().unwrap() as usize;
            match event["event"].as_str().unwrap() {
                "add" => state.insert(idx, event["data"]["value"].clone()),
                _ => drop(state.remove(idx)),
            }
        }
        assert_eq!(state, new);
    }
    let model = |rows: &str| window(Shape::QueryModel, &list(rows), Some("l=9&s=0"));
    let events = events_between(&model("abc"), &model("ax"));
    let values = json!({"row1": "x", "row2": {"action": "delete"}});
    assert_eq!(
        events,
        [json!({"event": "change", "data": {"values": values}})]
    );
    assert!(events_between(&model("abc"), &model("abc")).is_empty());
}

#[test]
fn windows_end_with_the_rows() {
    let rows = [json!(1), json!(2), json!(3)];
    let window = |query| window(Shape::QueryCollection, &rows, query);
    assert_eq!(window(Some("l=2&s=2")), Content::Collection(vec![json!(3)]));
    assert_eq!(window(Some("l=2&s=5")), Content::Collection(vec![]));
    assert_eq!(window(None), Content::Collection(rows.to_vec()));
}
