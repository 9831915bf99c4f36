//! Values and changes as services make them up.

use super::choices::Choices;
use super::service::{RIDS, Sent};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The resource IDs that a run is mostly about: some neighbours of the list.
#[derive(Clone, Copy, Debug)]
pub struct Focus {
    pub first: usize,
    pub count: usize,
    /// Most values are references.
    pub dense: bool,
}

/// No focus at all.
pub const EVERYWHERE: Focus = Focus {
    first: 0,
    count: RIDS.len(),
    dense: false,
};

impl Focus {
    /// The number of one of them.
    pub fn number(self, rng: &mut impl Choices) -> usize {
        (self.first + rng.below(self.count)) % RIDS.len()
    }

    /// One of them.
    pub fn pick(self, rng: &mut impl Choices) -> &'static str {
        RIDS[self.number(rng)]
    }
}

/// Properties of models.
pub const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A value of any kind; references go to anything that has a name.
pub fn value(focus: Focus, rng: &mut impl Choices) -> Value {
    let rid = if rng.chance(70) {
        focus.pick(rng)
    } else {
        *rng.pick(&RIDS)
    };
    let references = if focus.dense { 134 } else { 34 };
    match rng.weighted(&[24, 8, 4, 4, references, 3, 8, 6, 5, 4]) {
        0 => json!(rng.below(5)),
        1 => json!(rng.pick(&["x", "<b>&amp;</b>", "\u{2028}", "ä\"\\\n", ""])),
        2 => json!(null),
        3 => json!(1.0),
        4 => json!({"rid": rid}),
        5 => json!({"rid": rid, "soft": false}),
        6 => json!({"rid": rid, "soft": true}),
        7 => json!({"data": {"rid": rid, "n": [rng.below(3)]}}),
        8 => json!({"data": [rng.below(3), {"rid": rid}]}),
        _ => json!({"data": rng.below(3)}),
    }
}

/// Changes a model. Returns the event.
pub fn change_model(
    name: &str,
    model: &mut BTreeMap<String, Value>,
    focus: Focus,
    rng: &mut impl Choices,
) -> Sent {
    let mut values = serde_json::Map::new();
    for _ in 0..=rng.below(2) {
        let key = *rng.pick(&KEYS);
        if rng.chance(30) {
            // May be a delete action for what is not there, which changes nothing.
            model.remove(key);
            values.insert(key.to_owned(), json!({"action": "delete"}));
        } else {
            let value = value(focus, rng);
            model.insert(key.to_owned(), value.clone());
            values.insert(key.to_owned(), value);
        }
    }
    if rng.chance(20)
        && let Some((key, value)) = model.first_key_value()
    {
        // Unchanged members may stand in an event.
        values.insert(key.clone(), value.clone());
    }
    let payload = if rng.chance(15) {
        json!(values)
    } else {
        json!({"values": values})
    };
    Sent::event(name, "change", &payload)
}

/// Changes a collection. Returns the event.
pub fn change_list(
    name: &str,
    list: &mut Vec<Value>,
    focus: Focus,
    rng: &mut impl Choices,
) -> Sent {
    let grow = list.is_empty() || (list.len() < 6 && rng.chance(55));
    if grow {
        let (idx, value) = (rng.below(list.len() + 1), value(focus, rng));
        list.insert(idx, value.clone());
        let mut payload = json!({"value": value, "idx": idx});
        if idx == 0 && rng.chance(50) {
            payload = json!({"value": value});
        }
        return Sent::event(name, "add", &payload);
    }
    let idx = rng.below(list.len());
    list.remove(idx);
    Sent::event(name, "remove", &json!({"idx": idx}))
}

/// Changes the rows of query resources.
pub fn change_rows(rows: &mut Vec<Value>, focus: Focus, rng: &mut impl Choices) {
    for _ in 0..=rng.below(2) {
        let grow = rows.is_empty() || (rows.len() < 7 && rng.chance(50));
        if grow {
            rows.insert(rng.below(rows.len() + 1), value(focus, rng));
        } else if rng.chance(60) {
            rows.remove(rng.below(rows.len()));
        } else {
            let row = rng.below(rows.len());
            rows[row] = value(focus, rng);
        }
    }
}
