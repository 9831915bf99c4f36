//! What the web API must answer when everything is at rest.

use super::client::target;
use super::content::{Content, canonical};
use super::service::Service;
use super::world::API;
use serde_json::{Value, json};

/// The encoding of a resource with everything that it refers to, as a web client of
/// this connection ID sees it.
pub fn encode(service: &mut Service, rid: &str, cid: &str) -> Option<Value> {
    let (name, query) = target(rid, cid);
    let content = service.truth(&name, query.as_deref())?;
    // In a request target an empty query is none.
    let root = rid.trim_end_matches('?').to_owned();
    Some(content_of(service, &content, cid, &mut vec![root]))
}

fn content_of(
    service: &mut Service,
    content: &Content,
    cid: &str,
    above: &mut Vec<String>,
) -> Value {
    match content {
        Content::Model(values) => {
            let mut object = serde_json::Map::new();
            for (key, value) in values {
                object.insert(key.clone(), value_of(service, value, cid, above));
            }
            Value::Object(object)
        }
        Content::Collection(values) => values
            .iter()
            .map(|value| value_of(service, value, cid, above))
            .collect(),
    }
}

fn value_of(service: &mut Service, value: &Value, cid: &str, above: &mut Vec<String>) -> Value {
    let value = canonical(value);
    if let Some(data) = value.get("data") {
        return data.clone();
    }
    let Some(rid) = value["rid"].as_str() else {
        return value;
    };
    let mut node = json!({"href": href(rid)});
    if value.get("soft").is_some() || above.iter().any(|open| open == rid) {
        return node;
    }
    let (name, query) = target(rid, cid);
    match service.truth(&name, query.as_deref()) {
        None => node["error"] = json!({"code": "system.notFound", "message": "Not found"}),
        Some(content) => {
            above.push(rid.to_owned());
            let member = match content {
                Content::Model(_) => "model",
                Content::Collection(_) => "collection",
            };
            node[member] = content_of(service, &content, cid, above);
            above.pop();
        }
    }
    node
}

/// The path of a resource in the web API.
fn href(rid: &str) -> String {
    let mut href = API.to_owned();
    for c in rid.chars() {
        match c {
            '.' => href.push('/'),
            '?' => href.push_str("%3F"),
            '{' => href.push_str("%7B"),
            '}' => href.push_str("%7D"),
            c => href.push(c),
        }
    }
    href
}

#[test]
fn references_expand_until_they_meet_themselves() {
    assert_eq!(href("q.0?l=2&s=0"), "/api/q/0%3Fl=2&s=0");
    let mut service = Service::new(1);
    let values = [
        ("a", json!({"rid": "m.0"})),
        ("b", json!({"rid": "u.{cid}"})),
        ("c", json!({"rid": "z.9", "soft": true})),
        ("d", json!({"rid": "z.9"})),
        ("e", json!({"data": {"rid": 1}})),
    ];
    let model = values.map(|(key, value)| (key.to_owned(), value));
    service.entry("m.0").unwrap().content = Some(Content::Model(model.into()));
    let expected = json!({
        "a": {"href": "/api/m/0"},
        "b": {"href": "/api/u/%7Bcid%7D", "model": {"a": 1}},
        "c": {"href": "/api/z/9"},
        "d": {"href": "/api/z/9", "error": {"code": "system.notFound", "message": "Not found"}},
        "e": {"rid": 1},
    });
    assert_eq!(encode(&mut service, "m.0", "cid"), Some(expected));
    assert_eq!(encode(&mut service, "z.9", "cid"), None);
}
