//! What services say that keep to no protocol, and clients that send anything: few words,
//! so that they meet. Nothing of it follows from what services have.

use super::choices::Choices;
use super::request::{Kind, Request};
use super::service::RIDS;
use serde_json::{Map, Value, json};

/// What stands in what is no valid text.
const DAMAGE: [u8; 8] = [b'"', b'{', b'}', b',', b'0', b'\\', b' ', 0xff];

/// Requests and answers that are whole, to be damaged.
const WHOLE: [&str; 6] = [
    r#"{"id":1,"method":"subscribe.m.0"}"#,
    r#"{"id":2,"method":"call.m.1.ok","params":{"n":1}}"#,
    r#"{"id":3,"method":"unsubscribe.c.0","params":{"count":2}}"#,
    r#"{"result":{"model":{"a":{"rid":"m.1"}}}}"#,
    r#"{"result":{"get":true,"call":"*"}}"#,
    r#"{"values":{"a":{"rid":"c.1"}},"idx":0}"#,
];

/// Names for which some request has too long a subject, and others have not.
pub fn long_name(choice: usize) -> String {
    match choice % 2 {
        0 => format!("m.{}", "x".repeat(4060)),
        _ => format!("m.{}", "y".repeat(4090)),
    }
}

/// Bytes that mean nothing, or nearly what they should.
pub fn raw(choices: &mut impl Choices) -> Vec<u8> {
    if choices.chance(50) {
        return choices.raw();
    }
    let mut text = choices.pick(&WHOLE).as_bytes().to_vec();
    if choices.chance(70) {
        let place = choices.below(text.len());
        text[place] = *choices.pick(&DAMAGE);
    }
    text
}

/// A whole number of a resource; rarely one whose subjects are too long.
fn rid(choices: &mut impl Choices) -> String {
    match choices.below(64) {
        63 => long_name(choices.below(2)),
        choice => RIDS[choice % RIDS.len()].to_owned(),
    }
}

fn value(choices: &mut impl Choices) -> Value {
    match choices.below(20) {
        0..10 => json!({ "rid": rid(choices) }),
        10 => json!({ "rid": rid(choices), "soft": true }),
        11 => json!({ "data": { "rid": "m.0" } }),
        12 => json!({ "data": "<plain>" }),
        13 => Value::Null,
        14 => json!({ "no": "value" }),
        15 => json!("text"),
        number => json!(number),
    }
}

fn model(choices: &mut impl Choices, deletes: bool) -> Value {
    let mut model = Map::new();
    for _ in 0..choices.below(4) {
        let name = (*choices.pick(&["a", "b", "c", "d"])).to_owned();
        let value = match deletes && choices.chance(25) {
            true => json!({ "action": "delete" }),
            false => value(choices),
        };
        model.insert(name, value);
    }
    Value::Object(model)
}

fn collection(choices: &mut impl Choices) -> Value {
    (0..choices.below(5)).map(|_| value(choices)).collect()
}

fn error(choices: &mut impl Choices) -> Value {
    let code = choices.pick(&[
        "system.notFound",
        "system.accessDenied",
        "system.internalError",
        "test.error",
    ]);
    json!({ "error": { "code": code, "message": "<no>" } })
}

/// What is answered to a request; `None` when nobody listens. Whether it was made as an
/// answer comes with it.
pub fn answer(request: &Request, choices: &mut impl Choices) -> (Option<Vec<u8>>, bool) {
    let answer = match choices.below(16) {
        0 => return (None, true),
        1 => return (Some(raw(choices)), false),
        2 => {
            let timeout = *choices.pick(&["timeout:\"6000\"", "timeout:\"0\"", "x:\"y\""]);
            return (Some(timeout.into()), true);
        }
        3 => error(choices),
        _ => match request.kind {
            Kind::Access => {
                let grants = [(true, "*"), (true, "ok"), (false, ""), (false, "*")];
                let (get, call) = choices.pick(&grants);
                json!({ "result": { "get": get, "call": call } })
            }
            Kind::Get => json!({ "result": content(request, choices) }),
            Kind::Call(_) | Kind::Auth | Kind::Renew => match choices.below(3) {
                0 => json!({ "result": null }),
                1 => json!({ "result": { "rid": rid(choices) } }),
                _ => json!({ "resource": { "rid": rid(choices) } }),
            },
            Kind::Query => match choices.below(4) {
                0 => json!({ "result": { "model": model(choices, false) } }),
                1 => json!({ "result": { "collection": collection(choices) } }),
                _ => {
                    let events = (0..choices.below(4)).map(|_| {
                        let (event, data) = event(choices);
                        json!({ "event": event, "data": data })
                    });
                    json!({ "result": { "events": events.collect::<Vec<_>>() } })
                }
            },
        },
    };
    (Some(answer.to_string().into_bytes()), true)
}

/// The content of any resource.
pub fn content(request: &Request, choices: &mut impl Choices) -> Value {
    let mut result = match choices.below(2) {
        0 => json!({ "model": model(choices, false) }),
        _ => json!({ "collection": collection(choices) }),
    };
    // Different queries may be the same in the end, or none at all.
    let query = match (request.query(), choices.below(8)) {
        (Some(_), 0) | (None, 1..) => None,
        (Some(_), 1..4) | (None, 0) => Some("n".to_owned()),
        (Some(query), _) => Some(query.to_owned()),
    };
    if let Some(query) = query {
        result["query"] = json!(query);
    }
    result
}

/// An event of a resource, of the kinds that a query answer may have too.
fn event(choices: &mut impl Choices) -> (&'static str, Value) {
    match choices.below(10) {
        0..4 => ("change", json!({ "values": model(choices, true) })),
        4..6 => (
            "add",
            json!({ "idx": choices.below(4), "value": value(choices) }),
        ),
        6 | 7 => ("remove", json!({ "idx": choices.below(4) })),
        8 => ("custom", json!([1, "<"])),
        _ => ("delete", Value::Null),
    }
}

/// An event of a resource with its payload.
pub fn any_event(choices: &mut impl Choices) -> (&'static str, Vec<u8>) {
    let (event, payload) = match choices.below(16) {
        0 => ("reaccess", Value::Null),
        1 | 2 => ("query", json!({ "subject": "ask.it" })),
        3 => ("query", json!({ "subject": "ask it" })),
        4 => {
            let events = ["change", "add", "remove", "delete", "create", "query"];
            return (*choices.pick(&events), raw(choices));
        }
        _ => event(choices),
    };
    (event, payload.to_string().into())
}

/// An event of the system with its payload.
pub fn system(choices: &mut impl Choices) -> (&'static str, Value) {
    let mut patterns = || {
        let all = ["m.0", "m.1", "q.0", "*.0", "m.>", ">", "*.*", "x..y"];
        let count = choices.below(3);
        (0..count).map(|_| *choices.pick(&all)).collect::<Vec<_>>()
    };
    let reset = json!({ "resources": patterns(), "access": patterns() });
    match choices.below(8) {
        0 => (
            "tokenReset",
            json!({ "tids": ["t1"], "subject": "renew.it" }),
        ),
        1 => (
            "tokenReset",
            json!({ "tids": ["t1", "t2"], "subject": "renew it" }),
        ),
        2 => ("other", Value::Null),
        _ => ("reset", reset),
    }
}

/// What a connection token event says.
pub fn token(choices: &mut impl Choices) -> Value {
    match choices.below(5) {
        0 => json!({ "token": { "user": 1 }, "tid": "t1" }),
        1 => json!({ "token": "<two>", "tid": "t2" }),
        2 => json!({ "token": null }),
        3 => Value::Null,
        _ => json!({ "token": 1, "tid": 1 }),
    }
}
