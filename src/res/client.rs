//! Requests of clients (RES-Client protocol, "Requests").

use super::json::{self, JsonError};
use super::rid::{Rid, is_token};
use std::borrow::Cow;

/// A request with an ID that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The client's request ID.
    pub id: u64,
    /// What is asked; `None` when the method is not valid.
    pub action: Option<Action<'a>>,
    /// The parameters' text as sent.
    pub params: Option<&'a str>,
}

/// What a request's method asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Version handshake.
    Version,
    /// Direct subscription of a resource ID.
    Subscribe(Cow<'a, str>),
    /// End of direct subscriptions.
    Unsubscribe(Cow<'a, str>),
    /// The resource once, without subscription.
    Get(Cow<'a, str>),
    /// Call of a method of a resource.
    Call(Cow<'a, str>, Cow<'a, str>),
    /// Call of an authentication method.
    Auth(Cow<'a, str>, Cow<'a, str>),
    /// Deprecated: call of the method `new`.
    New(Cow<'a, str>),
}

/// Reads a client's message; `None` when it cannot be answered, since no valid request
/// ID can be found in it.
pub fn parse(payload: &[u8]) -> Option<Request<'_>> {
    let text = json::value(payload).ok()?;
    let (mut id, mut method, mut params) = (None, None, None);
    json::object(text, |name, raw| {
        if json::is(&name, "id") {
            id = json::present(raw).map(whole_number).transpose()?;
        } else if json::is(&name, "method") {
            method = json::present(raw).map(json::string).transpose()?;
        } else if json::is(&name, "params") {
            params = json::present(raw);
        }
        Ok(())
    })
    .ok()?;
    Some(Request {
        id: id?,
        action: method.and_then(parse_method),
        params,
    })
}

fn whole_number(raw: &str) -> Result<u64, JsonError> {
    raw.parse()
        .ok()
        .filter(|_| !raw.starts_with('+'))
        .ok_or(JsonError::new("not a whole number"))
}

fn parse_method<'a>(method: Cow<'a, str>) -> Option<Action<'a>> {
    if method == "version" {
        return Some(Action::Version);
    }
    let (kind, _) = method.split_once('.')?;
    let make: fn(Cow<'a, str>) -> Action<'a> = match kind {
        "subscribe" => Action::Subscribe,
        "unsubscribe" => Action::Unsubscribe,
        "get" => Action::Get,
        "new" => Action::New,
        "call" => return with_method(method, Action::Call),
        "auth" => return with_method(method, Action::Auth),
        _ => return None,
    };
    let rid = part(&method, kind.len() + 1, method.len());
    Rid::parse(&rid)?;
    Some(make(rid))
}

type MakeCall<'a> = fn(Cow<'a, str>, Cow<'a, str>) -> Action<'a>;

/// `call.<rid>.<method>`: the method is what follows the last dot, wherever the query is.
fn with_method<'a>(text: Cow<'a, str>, make: MakeCall<'a>) -> Option<Action<'a>> {
    let (start, dot) = (text.find('.')? + 1, text.rfind('.')?);
    if dot < start {
        return None;
    }
    let (rid, method) = (part(&text, start, dot), part(&text, dot + 1, text.len()));
    (Rid::parse(&rid).is_some() && is_token(&method)).then(|| make(rid, method))
}

fn part<'a>(text: &Cow<'a, str>, start: usize, end: usize) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[start..end]),
        Cow::Owned(text) => Cow::Owned(text[start..end].to_owned()),
    }
}

/// The parameters of a request are not what its kind takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidParams;

/// Parameters of an unsubscribe request: how many direct subscriptions end.
///
/// # Errors
/// When the parameters are not valid.
pub fn parse_count(params: Option<&str>) -> Result<u64, InvalidParams> {
    let mut count = None;
    if let Some(params) = params {
        json::object(params, |name, raw| {
            if json::is(&name, "count") {
                count = json::present(raw).map(whole_number).transpose()?;
            }
            Ok(())
        })
        .map_err(|_| InvalidParams)?;
    }
    match count.unwrap_or(1) {
        0 => Err(InvalidParams),
        count => Ok(count),
    }
}

/// Parameters of a version request: the client's protocol version, if it names one.
///
/// # Errors
/// When the parameters are not valid.
pub fn parse_protocol(params: Option<&str>) -> Result<Option<Cow<'_, str>>, InvalidParams> {
    let mut protocol = None;
    if let Some(params) = params {
        json::object(params, |name, raw| {
            if json::is(&name, "protocol") {
                protocol = json::present(raw).map(json::string).transpose()?;
            }
            Ok(())
        })
        .map_err(|_| InvalidParams)?;
    }
    Ok(protocol.filter(|protocol| !protocol.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(method: &str) -> Option<Action<'_>> {
        parse_method(Cow::Borrowed(method))
    }

    #[test]
    fn reads_methods() {
        use Action::*;
        for (method, expected) in [
            ("version", Version),
            ("subscribe.a", Subscribe("a".into())),
            ("subscribe.a.b?x=1.c", Subscribe("a.b?x=1.c".into())),
            ("unsubscribe.a.b?", Unsubscribe("a.b?".into())),
            ("get.a.{cid}", Get("a.{cid}".into())),
            ("new.a.b", New("a.b".into())),
            ("call.a.set", Call("a".into(), "set".into())),
            ("call.a.b?q=x.y.set", Call("a.b?q=x.y".into(), "set".into())),
            ("auth.a.b.login", Auth("a.b".into(), "login".into())),
        ] {
            assert_eq!(action(method), Some(expected), "{method}");
        }
    }

    #[test]
    fn refuses_other_methods() {
        for method in [
            "",
            "version.a",
            "subscribe",
            "subscribe.",
            "Subscribe.a",
            "subscribe.a..b",
            "call.a",
            "call.a.",
            "call..a",
            "call.a.b.set?q=1",
            "call.a.b.*",
            "get.?x",
            "subscribe.a b",
            "subscribe.a.>",
            "foo.a",
        ] {
            assert_eq!(action(method), None, "{method}");
        }
    }

    #[test]
    fn reads_requests_without_regard_to_letter_case() {
        let request = parse(br#"{"ID":7,"Method":"get.a","PARAMS":{"a": 1}}"#).unwrap();
        assert_eq!(request.id, 7);
        assert_eq!(request.action, Some(Action::Get("a".into())));
        assert_eq!(request.params, Some(r#"{"a": 1}"#));
        let request = parse(br#"{"id":1,"id":2,"method":"get.\u0061","params":null}"#).unwrap();
        assert_eq!(
            request,
            Request {
                id: 2,
                action: Some(Action::Get("a".into())),
                params: None
            }
        );
    }

    #[test]
    fn answers_a_valid_id_with_an_invalid_method() {
        for text in [
            r#"{"id":1}"#,
            r#"{"id":1,"method":null}"#,
            r#"{"id":1,"method":""}"#,
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap().action, None, "{text}");
        }
    }

    #[test]
    fn gives_no_answer_without_an_id() {
        for text in [
            "",
            "nonsense",
            "[]",
            "1",
            "{}",
            r#"[{"id":1}]"#,
            r#"{"id":null}"#,
            r#"{"id":1.0}"#,
            r#"{"id":"1"}"#,
            r#"{"id":-1}"#,
            r#"{"id":1e0}"#,
            r#"{"id":18446744073709551616}"#,
            r#"{"id":1,"method":1}"#,
            r#"{"id":1,"method":{}}"#,
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(
            parse(br#"{"id":18446744073709551615}"#).unwrap().id,
            u64::MAX
        );
    }

    #[test]
    fn reads_counts() {
        for (params, expected) in [
            (None, Ok(1)),
            (Some("{}"), Ok(1)),
            (Some(r#"{"count":null}"#), Ok(1)),
            (Some(r#"{"count":3}"#), Ok(3)),
            (Some(r#"{"Count":2,"x":[]}"#), Ok(2)),
            (Some(r#"{"count":0}"#), Err(InvalidParams)),
            (Some(r#"{"count":-1}"#), Err(InvalidParams)),
            (Some(r#"{"count":1.5}"#), Err(InvalidParams)),
            (Some(r#"{"count":"1"}"#), Err(InvalidParams)),
            (Some("[]"), Err(InvalidParams)),
            (Some("1"), Err(InvalidParams)),
        ] {
            assert_eq!(parse_count(params), expected, "{params:?}");
        }
    }

    #[test]
    fn reads_protocols() {
        assert_eq!(parse_protocol(None), Ok(None));
        assert_eq!(parse_protocol(Some(r#"{"protocol":""}"#)), Ok(None));
        assert_eq!(
            parse_protocol(Some(r#"{"protocol":"1.2.3"}"#)),
            Ok(Some("1.2.3".into()))
        );
        assert_eq!(
            parse_protocol(Some(r#"{"protocol":1}"#)),
            Err(InvalidParams)
        );
        assert_eq!(parse_protocol(Some("[]")), Err(InvalidParams));
    }
}
