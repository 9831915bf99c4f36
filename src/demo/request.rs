//! What the gateway asks services for.

use serde_json::Value;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Access,
    Get,
    Call,
    Auth,
    /// How a query resource is now.
    Query,
}

/// Kind and resource name of a subject, without the service's own part of it; a method stands
/// at the name's end.
pub(super) fn route(subject: &[u8]) -> Option<(Kind, &str)> {
    let subject = std::str::from_utf8(subject).ok()?;
    if subject == super::elements::QUERIES {
        return Some((Kind::Query, ""));
    }
    let (kind, rest) = subject.split_once('.')?;
    let kind = match kind {
        "access" => Kind::Access,
        "get" => Kind::Get,
        "call" => Kind::Call,
        "auth" => Kind::Auth,
        _ => return None,
    };
    Some((kind, rest.strip_prefix("demo.")?))
}

/// The payload of a request.
#[derive(Debug)]
pub(super) struct Request(Value);

impl Request {
    /// Reads the JSON of a request; `None` if it is none. A get request may have no payload.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        if payload.is_empty() {
            return Some(Self(Value::Null));
        }
        serde_json::from_slice(payload).ok().map(Self)
    }

    /// A parameter that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0["params"][name].as_str()
    }

    /// A parameter that is a whole number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.0["params"][name].as_u64()
    }

    /// A parameter that is true or false.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.0["params"][name].as_bool()
    }

    /// The connection that it is about. It becomes a part of a subject.
    pub(super) fn cid(&self) -> Option<&str> {
        let cid = self.0["cid"].as_str()?;
        let is_part = !cid.is_empty() && cid.bytes().all(|b| b.is_ascii_alphanumeric());
        is_part.then_some(cid)
    }

    /// The query of the resource ID.
    pub(super) fn query(&self) -> &str {
        self.0["query"].as_str().unwrap_or_default()
    }

    /// The name in the connection's token.
    pub(super) fn user(&self) -> Option<&str> {
        self.0["token"]["name"].as_str()
    }
}

/// A text without the spaces around it, if it has from one to so many characters and none
/// that is not seen.
pub(super) fn line(text: Option<&str>, max: usize) -> Option<&str> {
    let text = text?.trim();
    let fits = !text.is_empty() && text.chars().count() <= max;
    (fits && !text.chars().any(char::is_control)).then_some(text)
}
