//! Service messages of every kind: what the readers make of them agrees with plain JSON,
//! and is in the form that the cache relies on.
//!
//! The first byte of the input chooses the reader.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;
use tidegate::res::rid::Rid;
use tidegate::res::service::{self, CallResult, Data, Limits, QueryResult, Resource, Unread};
use tidegate::res::value::{self, Change, Value};
use tidegate::res::version::ValueForm;
use tidegate::res::{Error, json};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, payload)) = data.split_first() else {
        return;
    };
    if let Ok(text) = std::str::from_utf8(payload) {
        check_string(text);
    }
    let text = json::value(payload);
    if let Ok(text) = text {
        check_text(text);
    }
    match kind % 13 {
        0 => {
            let pre_response = service::pre_response(payload);
            let is_word = payload.first().is_some_and(u8::is_ascii_alphabetic);
            assert_eq!(pre_response.is_some(), is_word && text.is_err());
        }
        1 => check(service::access(payload), payload, |access, result| {
            let get = member(result, "get").and_then(Json::as_bool);
            let call = member(result, "call").and_then(Json::as_str);
            assert_eq!(access.get, get.unwrap_or(false));
            assert_eq!(&*access.call, call.unwrap_or_default());
        }),
        2 => {
            let read = || service::resource(payload, Limits::NONE);
            if let Ok(resource) = read() {
                check_data(&resource.data);
            }
            check_limits(read(), service::resource(payload, SMALL));
            check(read().map_err(failure), payload, |resource, result| {
                let query = member(result, "query").and_then(Json::as_str);
                assert_eq!(&*resource.query, query.unwrap_or_default());
                compare_data(&resource.data, result);
            });
        }
        3 => check_call(service::call(payload, false), payload),
        4 => check_call(service::call(payload, true), payload),
        5 => {
            let read = || service::query(payload, Limits::NONE);
            if let Ok(QueryResult::Data(data)) = read() {
                check_data(&data);
            }
            check(
                read().map_err(failure),
                payload,
                |answer, result| match answer {
                    QueryResult::Data(data) => compare_data(&data, result),
                    QueryResult::Events(events) => {
                        let entries = member(result, "events").and_then(Json::as_array);
                        assert!(events.len() <= entries.map_or(0, Vec::len));
                    }
                },
            );
        }
        6 => {
            let Ok(changes) = text.map(service::change) else {
                return;
            };
            let Ok(changes) = changes else { return };
            assert!(changes.changes.is_sorted_by(|a, b| a.0 < b.0));
            for (_, change) in &changes.changes {
                if let Change::Set(value) = change {
                    check_value(value);
                }
            }
        }
        7 => {
            let Ok(text) = text else { return };
            let Ok(Some(add)) = service::add(text) else {
                return;
            };
            check_value(&add.value);
            if let Some(json) = plain(text) {
                let idx = member(&json, "idx").and_then(Json::as_u64);
                assert_eq!(add.idx as u64, idx.unwrap_or(0));
                compare(&add.value, last(&json, "value").unwrap_or(&Json::Null));
            }
        }
        8 => {
            let Ok(text) = text else { return };
            if let (Ok(idx), Some(json)) = (service::remove(text), plain(text)) {
                let expected = member(&json, "idx").and_then(Json::as_u64);
                assert_eq!(idx as u64, expected.unwrap_or(0));
            }
        }
        9 => {
            let Ok(reset) = service::reset(payload) else {
                return;
            };
            let Some(json) = text.ok().and_then(plain) else {
                return;
            };
            for (patterns, name) in [(reset.resources, "resources"), (reset.access, "access")] {
                let expected = member(&json, name).and_then(Json::as_array);
                let mut walk = json::Walk::default();
                let read = std::iter::from_fn(|| service::next_pattern(patterns, &mut walk));
                assert!(read.count() <= expected.map_or(0, Vec::len));
            }
        }
        10 => {
            let Ok(event) = service::token(payload) else {
                return;
            };
            if let Some(token) = &event.token {
                assert_eq!(json::compact(token), *token);
                assert_ne!(token, "null");
            }
            if let Some(json) = text.ok().and_then(plain) {
                assert_eq!(
                    event.token.as_deref().and_then(plain).as_ref(),
                    member(&json, "token")
                );
                assert_eq!(
                    event.tid.as_deref(),
                    member(&json, "tid").and_then(Json::as_str)
                );
            }
        }
        11 => {
            let Ok(event) = service::token_reset(payload) else {
                return;
            };
            if let Some(json) = text.ok().and_then(plain) {
                let tids = member(&json, "tids").and_then(Json::as_array);
                let tids: Vec<&str> = tids
                    .into_iter()
                    .flatten()
                    .filter_map(Json::as_str)
                    .collect();
                let mut read = Vec::new();
                if let Some(raw) = event.tids {
                    let _ = tidegate::res::json::array(raw, |item| {
                        read.extend(tidegate::res::json::string(item).ok());
                        Ok(())
                    });
                }
                assert_eq!(read, tids);
                let subject = member(&json, "subject").and_then(Json::as_str);
                assert_eq!(event.subject, subject.unwrap_or_default());
            }
        }
        _ => {
            let Ok(subject) = service::query_event(payload) else {
                return;
            };
            assert!(!subject.is_empty());
            if let Some(json) = text.ok().and_then(plain) {
                let expected = member(&json, "subject").and_then(Json::as_str);
                assert_eq!(Some(&*subject), expected);
            }
        }
    }
});

/// The text as a tree, unless a tree cannot hold it or cannot tell which member is meant.
fn plain(text: &str) -> Option<Json> {
    let tree: Json = serde_json::from_str(text).ok()?;
    // Of members whose names differ in letter case a tree does not keep the order.
    is_clear(&tree).then_some(tree)
}

fn is_clear(tree: &Json) -> bool {
    match tree {
        Json::Object(members) => {
            let mut names: Vec<_> = members
                .keys()
                .map(|name| name.to_ascii_lowercase())
                .collect();
            names.sort();
            names.windows(2).all(|pair| pair[0] != pair[1]) && members.values().all(is_clear)
        }
        Json::Array(items) => items.iter().all(is_clear),
        _ => true,
    }
}

fn last<'a>(tree: &'a Json, name: &str) -> Option<&'a Json> {
    let mut members = tree.as_object()?.iter();
    members
        .find(|(key, _)| key.to_ascii_lowercase() == name)
        .map(|(_, value)| value)
}

fn member<'a>(tree: &'a Json, name: &str) -> Option<&'a Json> {
    last(tree, name).filter(|value| !value.is_null())
}

/// Looks at an answer that was accepted beside its result, or at the error.
fn check<T>(answer: Result<T, Error>, payload: &[u8], look: impl FnOnce(T, &Json)) {
    let tree = json::value(payload).ok().and_then(plain);
    match (answer, tree) {
        (Ok(answer), Some(tree)) => {
            assert_eq!(member(&tree, "error"), None);
            look(answer, last(&tree, "result").unwrap_or(&Json::Null));
        }
        (Err(error), tree) => {
            let mut out = Vec::new();
            error.write(&mut out);
            check_out(&out);
            let sent: Json = serde_json::from_slice(&out).unwrap_or(Json::Null);
            let given = tree.as_ref().and_then(|tree| member(tree, "error"));
            if let Some(given) = given.filter(|_| error.code != "system.internalError") {
                for name in ["code", "message"] {
                    let text = member(given, name).and_then(Json::as_str);
                    assert_eq!(sent[name], text.unwrap_or_default());
                }
                assert_eq!(sent.get("data"), member(given, "data"));
            }
        }
        (Ok(_), None) => {}
    }
}

fn check_call(answer: Result<CallResult<'_>, Error>, payload: &[u8]) {
    match &answer {
        Ok(CallResult::Resource(rid) | CallResult::OldResource(rid)) => {
            assert!(Rid::parse(rid).is_some())
        }
        Ok(CallResult::Payload(raw)) => check_text(raw),
        Err(_) => {}
    }
    check(answer, payload, |answer, result| {
        if let CallResult::Payload(raw) = answer {
            assert_eq!(plain(raw).as_ref(), Some(result));
        }
    });
}

/// Limits that inputs of a few bytes go beyond.
const SMALL: Limits = Limits {
    entries: 3,
    bytes: 64,
};

fn failure(unread: Unread) -> Error {
    match unread {
        Unread::Failed(error) => error,
        Unread::TooLarge => panic!("nothing is too large without limits"),
    }
}

/// Whatever is small enough is read as it is without limits.
fn check_limits(all: Result<Resource, Unread>, within: Result<Resource, Unread>) {
    match within {
        Ok(resource) => {
            assert!(resource.data.len() <= SMALL.entries);
            assert_eq!(all, Ok(resource));
        }
        Err(Unread::TooLarge) => {}
        Err(failed) => assert_eq!(all, Err(failed)),
    }
}

fn check_data(data: &Data) {
    match data {
        Data::Model(model) => {
            assert!(model.is_sorted_by(|a, b| a.0 < b.0));
            model.iter().for_each(|(_, value)| check_value(value));
        }
        Data::Collection(values) => values.iter().for_each(check_value),
    }
}

fn compare_data(data: &Data, result: &Json) {
    match data {
        Data::Model(model) => {
            let expected = member(result, "model").and_then(Json::as_object);
            let expected = expected.expect("a model comes from an object");
            assert_eq!(model.len(), expected.len());
            for (name, value) in model {
                compare(value, &expected[&**name]);
            }
        }
        Data::Collection(values) => {
            let expected = member(result, "collection").and_then(Json::as_array);
            let expected = expected.expect("a collection comes from an array");
            assert_eq!(values.len(), expected.len());
            for (value, expected) in values.iter().zip(expected) {
                compare(value, expected);
            }
        }
    }
}

/// A value beside what it was read from.
fn compare(value: &Value, expected: &Json) {
    let text: Option<Json> = serde_json::from_str(&text(value)).ok();
    match value {
        Value::Primitive(_) => {
            let expected = if expected.is_object() {
                last(expected, "data").expect("only a data value is unwrapped")
            } else {
                expected
            };
            assert_eq!(text.as_ref(), Some(expected));
        }
        Value::Data(_) => {
            assert_eq!(text.as_ref(), Some(expected));
            let content = value.data_content().and_then(plain);
            assert_eq!(content.as_ref(), last(expected, "data"));
        }
        Value::Reference(reference) | Value::SoftReference(reference) => {
            assert_eq!(text.as_ref(), Some(expected));
            let rid = member(expected, "rid").and_then(Json::as_str);
            assert_eq!(Some(&*reference.rid), rid);
            let soft = member(expected, "soft").and_then(Json::as_bool);
            assert_eq!(matches!(value, Value::SoftReference(_)), soft == Some(true));
        }
    }
}

/// The JSON text of a value.
fn text(value: &Value) -> String {
    let mut text = Vec::new();
    value.write_text(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

fn check_value(value: &Value) {
    let text = text(value);
    assert_eq!(json::compact(&text), text);
    assert!(json::value(text.as_bytes()).is_ok());
    for form in [ValueForm::Full, ValueForm::Plain] {
        let mut out = Vec::new();
        value.write(form, &mut out);
        check_out(&out);
    }
    if let Some(rid) = value.reference() {
        assert!(Rid::parse(rid).is_some());
    }
    // What was read once is read again as the same, but that a data value with a primitive
    // has become that primitive.
    assert_eq!(value::parse(&text), Ok(Some(value.clone())));
}

fn check_text(text: &str) {
    let tree: Option<Json> = serde_json::from_str(text).ok();
    let compact = json::compact(text);
    assert!(compact.len() <= text.len());
    assert_eq!(json::compact(&compact), compact);
    let mut escaped = Vec::new();
    json::write_escaped(&compact, &mut escaped);
    check_out(&escaped);
    if let Some(tree) = tree {
        let read = |text: &[u8]| serde_json::from_slice::<Json>(text).ok();
        assert_eq!(read(compact.as_bytes()).as_ref(), Some(&tree));
        assert_eq!(read(&escaped).as_ref(), Some(&tree));
        if let Ok(wide) = serde_json::to_string_pretty(&tree) {
            assert_eq!(json::compact(&wide), tree.to_string());
        }
    }
}

fn check_string(text: &str) {
    let mut out = Vec::new();
    json::write_string(text, &mut out);
    check_out(&out);
    assert_eq!(
        serde_json::from_slice::<String>(&out).ok().as_deref(),
        Some(text)
    );
    assert_eq!(
        json::string(std::str::from_utf8(&out).unwrap_or_default()).as_deref(),
        Ok(text)
    );
}

/// What is sent to clients is JSON, and safe in a page.
fn check_out(out: &[u8]) {
    let text = std::str::from_utf8(out).expect("UTF-8");
    assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
    assert_eq!(json::value(out), Ok(text));
}
