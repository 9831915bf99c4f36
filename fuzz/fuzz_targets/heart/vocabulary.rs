//! What the world is made of: few words, so that they meet.

use serde_json::{Value, json};

/// The input, byte by byte; zeros follow its end.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.next()) % limit
    }

    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// Up to 63 bytes as they are.
    pub fn raw(&mut self) -> &'a [u8] {
        let length = self.below(64).min(self.0.len());
        let (raw, rest) = self.0.split_at(length);
        self.0 = rest;
        raw
    }
}

const RIDS: [&str; 12] = [
    "t.a",
    "t.b",
    "t.c",
    "t.d",
    "t",
    "t.q",
    "t.q?",
    "t.q?x=1",
    "t.q?y=2.z",
    "t.q?u={cid}",
    "t.{cid}.m",
    "t.a?x",
];

/// A resource ID; rarely one whose access request, or any request, has too long a subject.
pub fn rid(bytes: &mut Bytes<'_>) -> String {
    match bytes.next() {
        254 => format!("t.{}", "x".repeat(4060)),
        255 => format!("t.{}", "y".repeat(4090)),
        byte => RIDS[usize::from(byte) % RIDS.len()].to_owned(),
    }
}

fn value(bytes: &mut Bytes<'_>) -> Value {
    match bytes.below(20) {
        0..12 => json!({ "rid": rid(bytes) }),
        12 => json!({ "rid": rid(bytes), "soft": true }),
        13 => json!({ "data": { "rid": "t.a" } }),
        14 => json!({ "data": "<plain>" }),
        15 => Value::Null,
        16 => json!({ "no": "value" }),
        17 => json!("text"),
        number => json!(number),
    }
}

fn model(bytes: &mut Bytes<'_>, deletes: bool) -> Value {
    let mut model = serde_json::Map::new();
    for _ in 0..bytes.below(4) {
        let name = bytes.pick(&["a", "b", "c", "d"]).to_owned();
        let value = match bytes.next() {
            0..64 if deletes => json!({ "action": "delete" }),
            _ => value(bytes),
        };
        model.insert(name, value);
    }
    Value::Object(model)
}

fn collection(bytes: &mut Bytes<'_>) -> Value {
    (0..bytes.below(5)).map(|_| value(bytes)).collect()
}

fn error(bytes: &mut Bytes<'_>) -> Value {
    let code = bytes.pick(&[
        "system.notFound",
        "system.accessDenied",
        "system.internalError",
        "my.error",
    ]);
    json!({ "error": { "code": code, "message": "<no>" } })
}

/// An answer that fits a request; `None` when nobody listens.
pub fn answer(subject: &str, request: &Value, bytes: &mut Bytes<'_>) -> Option<Vec<u8>> {
    let kind = subject.split('.').next().unwrap_or_default();
    let answer = match bytes.below(16) {
        0 => return None,
        1 => return Some(bytes.raw().to_vec()),
        2 => {
            return Some(
                bytes
                    .pick(&["timeout:\"6000\"", "timeout:\"0\"", "x:\"y\""])
                    .into(),
            );
        }
        3 => error(bytes),
        _ => match kind {
            "access" => json!({ "result": bytes.pick(&[
                (true, "*"), (true, "*"), (true, "set"), (false, ""), (false, "*"),
            ]) }),
            "get" => content(request, bytes),
            "call" | "auth" => match bytes.below(3) {
                0 => json!({ "result": null }),
                1 => json!({ "result": { "rid": rid(bytes) } }),
                _ => json!({ "resource": { "rid": rid(bytes) } }),
            },
            _ => match bytes.below(4) {
                0 => json!({ "result": { "model": model(bytes, false) } }),
                1 => json!({ "result": { "collection": collection(bytes) } }),
                _ => {
                    let events = (0..bytes.below(4)).map(|_| {
                        let (event, data) = event(bytes);
                        json!({ "event": event, "data": data })
                    });
                    json!({ "result": { "events": events.collect::<Vec<_>>() } })
                }
            },
        },
    };
    let answer = match answer.pointer("/result/0") {
        Some(get) => {
            let call = answer.pointer("/result/1");
            json!({ "result": { "get": get, "call": call } })
        }
        None => answer,
    };
    Some(answer.to_string().into_bytes())
}

fn content(request: &Value, bytes: &mut Bytes<'_>) -> Value {
    let mut result = match bytes.below(2) {
        0 => json!({ "model": model(bytes, false) }),
        _ => json!({ "collection": collection(bytes) }),
    };
    // Different queries may be the same in the end, or none at all.
    let query = match (request.get("query"), bytes.below(8)) {
        (Some(_), 0) | (None, 1..) => None,
        (Some(_), 1..4) | (None, 0) => Some(json!("n")),
        (Some(query), _) => Some(query.clone()),
    };
    if let Some(query) = query {
        result["query"] = query;
    }
    json!({ "result": result })
}

/// An event of a resource with its payload.
pub fn event(bytes: &mut Bytes<'_>) -> (&'static str, Value) {
    match bytes.below(10) {
        0..4 => ("change", json!({ "values": model(bytes, true) })),
        4..6 => (
            "add",
            json!({ "idx": bytes.below(4), "value": value(bytes) }),
        ),
        6 | 7 => ("remove", json!({ "idx": bytes.below(4) })),
        8 => ("custom", json!([1, "<"])),
        _ => ("delete", Value::Null),
    }
}

/// Parameters of a system reset.
pub fn reset(bytes: &mut Bytes<'_>) -> Value {
    let mut patterns = || {
        let count = bytes.below(3);
        let one = |_| bytes.pick(&["t.a", "t.b", "t.q", "t.*", "t.>", ">", "t.*.m", "x..y"]);
        (0..count).map(one).collect::<Vec<_>>()
    };
    json!({ "resources": patterns(), "access": patterns() })
}

/// A connection token event.
pub fn token(bytes: &mut Bytes<'_>) -> Value {
    match bytes.below(4) {
        0 => json!({ "token": { "user": 1 }, "tid": "one" }),
        1 => json!({ "token": "<two>", "tid": "two" }),
        2 => json!({ "token": null }),
        _ => json!({ "token": 1, "tid": 1 }),
    }
}
