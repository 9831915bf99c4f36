//! Comparison of JSON texts that ignores member order and white space, and nothing else.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The text with object members sorted and white space removed. Numbers and string
/// values keep their spelling: `1.0` is not `1`, and `"\u003c"` is not `"<"`.
///
/// # Panics
///
/// If the text is no JSON.
pub fn canonical(text: &str) -> String {
    let mut out = String::new();
    write(text.trim(), text, &mut out);
    out
}

fn write(text: &str, whole: &str, out: &mut String) {
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, Box<RawValue>> = parse(text, whole);
            out.push('{');
            for (i, (key, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(key).expect("a string is always JSON"));
                out.push(':');
                write(value.get(), whole, out);
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<Box<RawValue>> = parse(text, whole);
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item.get(), whole, out);
            }
            out.push(']');
        }
        _ => {
            let _: &RawValue = parse(text, whole);
            out.push_str(text);
        }
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(text: &'a str, whole: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not JSON ({e}): {whole}"))
}

/// Fails unless both texts are the same JSON in the sense of [`canonical`].
#[track_caller]
pub fn assert_json(got: &str, expected: &str) {
    let (g, e) = (canonical(got), canonical(expected));
    assert!(g == e, "\n     got: {g}\nexpected: {e}\n");
}

/// The text of one member of a JSON object; of a string its content.
///
/// # Panics
///
/// If the text is no object or lacks the member.
#[track_caller]
pub fn member(object: &str, key: &str) -> String {
    let members: BTreeMap<String, Box<RawValue>> = parse(object, object);
    let raw = members
        .get(key)
        .unwrap_or_else(|| panic!("no member {key:?} in {object}"))
        .get();
    serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned())
}
