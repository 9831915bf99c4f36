//! Values and contents as services hold them and as clients see them.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a client understands, which decides how values reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Up to 1.1.1: bare call results, soft references and data values flattened.
    V1_1,
    /// 1.2.0: results in an envelope, values as in 1.1.
    V1_2_0,
    /// 1.2.1 and later.
    V1_2_1,
}

/// The state of a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Model(BTreeMap<String, Value>),
    Collection(Vec<Value>),
}

impl Content {
    /// The resource IDs that the content refers to by hard references.
    pub fn hard_references(&self) -> Vec<&str> {
        match self {
            Self::Model(values) => values.values().filter_map(hard_reference).collect(),
            Self::Collection(values) => values.iter().filter_map(hard_reference).collect(),
        }
    }

    /// What a client of a generation holds when it holds this.
    pub fn seen_by(&self, generation: Generation) -> Self {
        match self {
            Self::Model(values) => Self::Model(
                values
                    .iter()
                    .map(|(key, value)| (key.clone(), seen_by(value, generation)))
                    .collect(),
            ),
            Self::Collection(values) => Self::Collection(
                values
                    .iter()
                    .map(|value| seen_by(value, generation))
                    .collect(),
            ),
        }
    }

    /// The member of a get answer that carries the content.
    pub fn to_result(&self) -> Map<String, Value> {
        let mut result = Map::new();
        match self {
            Self::Model(values) => result.insert("model".into(), json!(values)),
            Self::Collection(values) => result.insert("collection".into(), json!(values)),
        };
        result
    }
}

/// The resource ID of a hard reference, `None` for every other value.
pub fn hard_reference(value: &Value) -> Option<&str> {
    let rid = value.get("rid")?.as_str()?;
    (value.get("soft") != Some(&json!(true))).then_some(rid)
}

/// A value in the form in which two equal ones look alike: references by ID and kind
/// only, data values of a primitive as that primitive.
pub fn canonical(value: &Value) -> Value {
    if let Some(rid) = value.get("rid") {
        return match value.get("soft") {
            Some(Value::Bool(true)) => json!({"rid": rid, "soft": true}),
            _ => json!({"rid": rid}),
        };
    }
    match value.get("data") {
        Some(data) if !data.is_object() && !data.is_array() => data.clone(),
        _ => value.clone(),
    }
}

fn seen_by(value: &Value, generation: Generation) -> Value {
    let value = canonical(value);
    if generation == Generation::V1_2_1 {
        return value;
    }
    if value.get("soft").is_some() {
        value["rid"].clone()
    } else if value.get("data").is_some() {
        json!("[Data]")
    } else {
        value
    }
}

/// Whether a value is a delete action.
pub fn is_delete(value: &Value) -> bool {
    value.get("action").is_some()
}

#[test]
fn clients_see_values_by_their_generation() {
    let table = [
        (json!(1), json!(1), json!(1)),
        (
            json!({"rid": "a"}),
            json!({"rid": "a"}),
            json!({"rid": "a"}),
        ),
        (
            json!({"rid": "a", "soft": false}),
            json!({"rid": "a"}),
            json!({"rid": "a"}),
        ),
        (
            json!({"rid": "a", "soft": true}),
            json!({"rid": "a", "soft": true}),
            json!("a"),
        ),
        (json!({"data": [1]}), json!({"data": [1]}), json!("[Data]")),
        (json!({"data": null}), json!(null), json!(null)),
    ];
    for (value, new, old) in table {
        assert_eq!(seen_by(&value, Generation::V1_2_1), new);
        assert_eq!(seen_by(&value, Generation::V1_2_0), old);
        assert_eq!(seen_by(&value, Generation::V1_1), old);
    }
}

#[test]
fn only_hard_references_count() {
    let content = Content::Collection(vec![
        json!({"rid": "a"}),
        json!({"rid": "b", "soft": true}),
        json!({"rid": "c", "soft": false}),
        json!({"data": {"rid": "d"}}),
        json!("e"),
    ]);
    assert_eq!(content.hard_references(), ["a", "c"]);
}
