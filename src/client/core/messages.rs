//! Messages of the RES-Client protocol from the client's side: requests out, answers and
//! events in.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::res::json::{self, JsonError, Raw};

/// Calls `member` with each member of an object. It is one function for all who call it: the
/// commands are in no hurry, and their part of the binary is to be small.
///
/// # Errors
///
/// As [`json::object`].
#[inline(never)]
pub fn object<'a>(
    text: Raw<'a>,
    member: &mut dyn FnMut(Cow<'a, str>, Raw<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    json::object(text, member)
}

/// The version that is spoken.
pub const PROTOCOL: &str = r#"{"protocol":"1.2.3"}"#;

/// The text of a request. `method` is the whole of it, such as `get.todo.items`.
pub fn request(id: u64, method: &str, params: Option<&str>) -> String {
    let mut out = format!("{{\"id\":{id},\"method\":").into_bytes();
    json::write_string(method, &mut out);
    if let Some(params) = params {
        out.extend_from_slice(b",\"params\":");
        out.extend_from_slice(params.as_bytes());
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

/// An error object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// Its code.
    pub code: String,
    /// Its sentence.
    pub message: String,
    /// Its data, as JSON.
    pub data: Option<String>,
}

/// A message of the gateway.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The answer to a request.
    Answer {
        /// The request's ID.
        id: u64,
        /// The result, `null` if there is none; or the error.
        outcome: Result<Raw<'a>, Failure>,
    },
    /// An event of a resource.
    Event {
        /// The resource ID.
        rid: String,
        /// The event's name.
        name: String,
        /// Its data, `null` if there is none.
        data: Raw<'a>,
    },
}

/// Reads a message.
///
/// # Errors
///
/// It is neither answer nor event.
pub fn read(text: &str) -> Result<Incoming<'_>, JsonError> {
    const OTHER: JsonError = JsonError::new("neither an answer nor an event");
    let raw: &RawValue = serde_json::from_str(text)?;
    let (mut id, mut event) = (None, None);
    let (mut result, mut error, mut data) = (None, None, None);
    object(raw.get(), &mut |name, raw| {
        match &*name {
            "id" => id = raw.parse().ok(),
            "event" => event = Some(json::string(raw)?),
            "result" => result = Some(raw),
            "error" => error = json::present(raw).map(failure).transpose()?,
            "data" => data = Some(raw),
            _ => {}
        }
        Ok(())
    })?;
    match (id, event, error) {
        (Some(id), None, Some(failure)) => Ok(Incoming::Answer {
            id,
            outcome: Err(failure),
        }),
        (Some(id), None, None) => Ok(Incoming::Answer {
            id,
            outcome: Ok(result.unwrap_or("null")),
        }),
        // A query may have dots, a name has none.
        (None, Some(event), None) => match event.rsplit_once('.') {
            Some((rid, name)) => Ok(Incoming::Event {
                rid: rid.to_owned(),
                name: name.to_owned(),
                data: data.unwrap_or("null"),
            }),
            None => Err(OTHER),
        },
        _ => Err(OTHER),
    }
}

/// Reads an error object.
///
/// # Errors
///
/// It is none.
pub fn failure(raw: Raw<'_>) -> Result<Failure, JsonError> {
    let mut failure = Failure::default();
    object(raw, &mut |name, raw| {
        match &*name {
            "code" => failure.code = json::string(raw)?.into_owned(),
            "message" => failure.message = json::string(raw)?.into_owned(),
            "data" => failure.data = json::present(raw).map(str::to_owned),
            _ => {}
        }
        Ok(())
    })?;
    Ok(failure)
}

/// What a call or an authentication has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// A value.
    Payload(Raw<'a>),
    /// A resource, which is subscribed from now on; the result has its set.
    Resource(String),
}

/// Reads the result of a call.
///
/// # Errors
///
/// It is none.
pub fn outcome(result: Raw<'_>) -> Result<Outcome<'_>, JsonError> {
    let mut outcome = Outcome::Payload("null");
    if json::present(result).is_some() {
        object(result, &mut |name, raw| {
            match &*name {
                "payload" => outcome = Outcome::Payload(raw),
                "rid" => outcome = Outcome::Resource(json::string(raw)?.into_owned()),
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_gateway_reads() {
        use crate::res::client::{Action, parse};
        let text = request(7, "call.a.b?x=\"1.do", Some(r#"{"y":1}"#));
        let read = parse(text.as_bytes()).expect("a request");
        assert_eq!(read.id, 7);
        assert_eq!(read.params, Some(r#"{"y":1}"#));
        let action = Action::Call("a.b?x=\"1".into(), "do".into());
        assert_eq!(read.action, Some(action));
        assert_eq!(request(1, "get.a", None), r#"{"id":1,"method":"get.a"}"#);
    }

    #[test]
    fn answers_and_events_are_told_apart() {
        let answer = |text| match read(text) {
            Ok(Incoming::Answer { id, outcome }) => (id, outcome),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(
            answer(r#"{"result":{"a":1},"id":2}"#),
            (2, Ok(r#"{"a":1}"#))
        );
        assert_eq!(answer(r#"{"id":8}"#), (8, Ok("null")));
        let failed = Failure {
            code: "a.b".into(),
            message: "M\"".into(),
            data: Some("[1]".into()),
        };
        assert_eq!(
            answer(r#"{"error":{"code":"a.b","message":"M\"","data":[1]},"id":3}"#),
            (3, Err(failed))
        );
        assert_eq!(
            read(r#"{"event":"a.b?x=1.c.change","data":{"values":{}}}"#),
            Ok(Incoming::Event {
                rid: "a.b?x=1.c".into(),
                name: "change".into(),
                data: r#"{"values":{}}"#,
            })
        );
        for text in [
            "",
            "1",
            "[]",
            "{}",
            "{\"id\":-1}",
            "{\"event\":\"a\"}",
            "{\"event\":1}",
            "{\"id\":1,\"event\":\"a.b\"}",
            "{\"id\":1,\"error\":1}",
            "{\"id\":1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn results_of_calls_are_values_or_resources() {
        assert_eq!(outcome("null"), Ok(Outcome::Payload("null")));
        assert_eq!(outcome(r#"{"payload":[1]}"#), Ok(Outcome::Payload("[1]")));
        let resource = Outcome::Resource("a.b".into());
        assert_eq!(
            outcome(r#"{"rid":"a.b","models":{"a.b":{}}}"#),
            Ok(resource)
        );
        assert!(outcome("1").is_err());
        assert!(outcome(r#"{"rid":1}"#).is_err());
    }
}
