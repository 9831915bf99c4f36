//! Requests of clients (RES-Client protocol, "Requests").

use super::json::{self, JsonError};
use super::rid::{Rid, is_token};
use std::borrow::Cow;
use std::ops::ControlFlow;

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

/// Parameters of a version request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionParams<'a> {
    /// The client's protocol version, if it names one.
    pub protocol: Option<Cow<'a, str>>,
    /// Whether it wants to be told the tags of the resources that it is sent. Who says what it
    /// has does.
    pub etags: bool,
    /// What it has of an earlier connection, a JSON object for [`each_had`].
    pub have: Option<&'a str>,
}

/// Reads the parameters of a version request.
///
/// # Errors
/// When the parameters are not valid.
pub fn parse_version(params: Option<&str>) -> Result<VersionParams<'_>, InvalidParams> {
    let mut read = VersionParams::default();
    if let Some(params) = params {
        json::object(params, |name, raw| {
            let raw = json::present(raw);
            if json::is(&name, "protocol") {
                read.protocol = raw.map(json::string).transpose()?;
            } else if json::is(&name, "etags") {
                read.etags = raw.map(json::boolean).transpose()?.unwrap_or(false);
            } else if json::is(&name, "have") {
                if raw.is_some_and(|have| !have.starts_with('{')) {
                    return Err(JsonError::new("not an object"));
                }
                read.have = raw;
            }
            Ok(())
        })
        .map_err(|_| InvalidParams)?;
    }
    read.protocol = read.protocol.filter(|protocol| !protocol.is_empty());
    read.etags |= read.have.is_some();
    Ok(read)
}

/// Calls `visit` with each resource ID of what a client has, and its tag, until that breaks.
/// What has no text for a tag is passed over.
pub fn each_had(have: &str, mut visit: impl FnMut(&str, &str) -> ControlFlow<()>) {
    let mut walk = json::Walk::default();
    while let Ok(Some((rid, raw))) = walk.member(have) {
        let Ok(tag) = json::string(raw) else { continue };
        if visit(&rid, &tag).is_break() {
            return;
        }
    }
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
    fn reads_versions() {
        let read = |protocol: &'static str, etags, have| {
            let protocol = Some(protocol).filter(|text| !text.is_empty());
            Ok(VersionParams {
                protocol: protocol.map(Into::into),
                etags,
                have,
            })
        };
        let refused = Err(InvalidParams);
        for (params, expected) in [
            ("{}", read("", false, None)),
            (r#"{"protocol":""}"#, read("", false, None)),
            (r#"{"protocol":"1.2.3"}"#, read("1.2.3", false, None)),
            (r#"{"protocol":"1.2.3","x":1}"#, read("1.2.3", false, None)),
            (r#"{"protocol":1}"#, refused.clone()),
            ("[]", refused.clone()),
            (r#"{"etags":true}"#, read("", true, None)),
            (r#"{"etags":false,"have":null}"#, read("", false, None)),
            (r#"{"etags":null}"#, read("", false, None)),
            (r#"{"etags":1}"#, refused.clone()),
            (r#"{"Have":{"a":1}}"#, read("", true, Some(r#"{"a":1}"#))),
            (r#"{"etags":false,"have":{}}"#, read("", true, Some("{}"))),
            (r#"{"have":[]}"#, refused.clone()),
            (r#"{"have":"{}"}"#, refused.clone()),
        ] {
            assert_eq!(parse_version(Some(params)), expected, "{params}");
        }
        assert_eq!(parse_version(None), read("", false, None));
    }

    #[test]
    fn reads_what_a_client_has() {
        let mut read = Vec::new();
        let have = r#"{"a":"1","b":null,"c":{"x":"y"},"d":"2","a":"3","e":"4"}"#;
        each_had(have, |rid, tag| {
            read.push(format!("{rid}={tag}"));
            match rid {
                "d" if tag == "2" => ControlFlow::Continue(()),
                _ if read.len() == 3 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        assert_eq!(read, ["a=1", "d=2", "a=3"]);
    }
}
