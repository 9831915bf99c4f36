//! Messages of services (RES-Service protocol): answers, events, pre-responses.
//!
//! Every function reads one kind of payload into what the gateway needs of it. Member
//! names are read without regard to letter case, of duplicates the last one wins, unknown
//! members are ignored, `null` counts as absent, and a member of the wrong type makes
//! the whole message invalid.

use super::error::Error;
use super::json::{self, JsonError, Raw, Walk};
use super::meta::Meta;
use super::order;
use super::pattern::Pattern;
use super::rid::Rid;
use super::text::Text;
use super::value::{self, Change, Value, ValueError};
use std::borrow::Cow;

/// What a client may do with a resource, as an access answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether the resource may be read.
    pub get: bool,
    /// Methods divided by commas, or `*` for all.
    pub call: Box<str>,
}

impl Access {
    /// Whether a method may be called. Names are compared exactly, without trimming.
    pub fn allows(&self, method: &str) -> bool {
        &*self.call == "*" || self.call.split(',').any(|name| name == method)
    }
}

/// The data of a resource, in the order in which it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Properties sorted by name, each name once.
    Model(Vec<(Text, Value)>),
    /// Values in order.
    Collection(Vec<Value>),
}

impl Data {
    /// The number of its values.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        match self {
            Self::Model(model) => model.len(),
            Self::Collection(values) => values.len(),
        }
    }
}

/// How large a resource may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Values of a collection, or properties of a model.
    pub entries: usize,
    /// Bytes of its JSON text.
    pub bytes: usize,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self {
        entries: usize::MAX,
        bytes: usize::MAX,
    };
}

/// Why an answer has no resource that can be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is beyond the limits, and was not read.
    TooLarge,
    /// The service says so, or the answer is not valid.
    Failed(Error),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A successful answer to a get request.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// The model or collection.
    pub data: Data,
    /// The normalised query; empty for a resource that is no query resource.
    pub query: Box<str>,
}

/// A successful answer to a call or auth request.
#[derive(Debug, PartialEq, Eq)]
pub enum CallResult<'a> {
    /// Any JSON value.
    Payload(Raw<'a>),
    /// A reference to a resource that the client shall be subscribed to.
    Resource(Cow<'a, str>),
    /// The same in the form of protocol 1.1, which only `new` may answer with.
    OldResource(Cow<'a, str>),
}

/// A successful answer to a query request.
#[derive(Debug, PartialEq)]
pub enum QueryResult<'a> {
    /// Events to apply in order; an entry that is none is left out.
    Events(Vec<(Cow<'a, str>, Option<Raw<'a>>)>),
    /// The resource's new state.
    Data(Data),
}

/// A change event.
#[derive(Debug, PartialEq)]
pub struct ChangeEvent {
    /// The changed properties, sorted by name.
    pub changes: Vec<(Text, Change)>,
    /// Whether it has the form of protocol 1.0.
    pub is_old: bool,
}

/// An add event.
#[derive(Debug, PartialEq)]
pub struct Add {
    /// Place of the new value.
    pub idx: usize,
    /// The new value.
    pub value: Value,
}

/// A system reset event. Its patterns may be many, and are read one by one
/// ([`next_pattern`]); those that are not valid are left out.
#[derive(Debug, PartialEq, Eq)]
pub struct Reset<'a> {
    /// Resources to be fetched again: an array of patterns.
    pub resources: Raw<'a>,
    /// Resources whose access is to be asked again.
    pub access: Raw<'a>,
}

/// A connection token event.
#[derive(Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The token, compact; `None` clears it.
    pub token: Option<Cow<'a, str>>,
    /// The token ID.
    pub tid: Option<Cow<'a, str>>,
}

/// A system token reset event.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenReset<'a> {
    /// Token IDs whose tokens are out of date: an array of strings, or, if it is long, of
    /// whatever.
    pub tids: Option<Raw<'a>>,
    /// Where to send the auth requests.
    pub subject: Cow<'a, str>,
}

/// What comes before an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreResponse {
    /// The answer may take this long from now, in milliseconds.
    Timeout(u64),
    /// It says nothing that is known, and changes nothing.
    Unknown,
}

/// Reads a pre-response; `None` for an answer.
///
/// The literals `null`, `true` and `false` begin with a letter too, but are answers.
pub fn pre_response(payload: &[u8]) -> Option<PreResponse> {
    if !payload.first()?.is_ascii_alphabetic() || json::value(payload).is_ok() {
        return None;
    }
    let timeout = std::str::from_utf8(payload)
        .ok()
        .and_then(pre_response_timeout);
    Some(timeout.map_or(PreResponse::Unknown, PreResponse::Timeout))
}

fn pre_response_timeout(mut text: &str) -> Option<u64> {
    loop {
        let (key, rest) = text.trim_start_matches(' ').split_once(":\"")?;
        let (value, rest) = rest.split_once('"')?;
        if key == "timeout" {
            return value.parse().ok();
        }
        if key.is_empty() || key.contains([' ', '"', ':']) {
            return None;
        }
        text = rest;
    }
}

/// Reads what an answer wants to see in the HTTP answer that it leads to.
///
/// An answer whose meta object is not valid is an error as a whole, as all readers of
/// answers say; here it just wants nothing.
pub fn meta(payload: &[u8]) -> Meta {
    let mut meta = Meta::default();
    if let Ok(text) = json::value(payload) {
        // What is no object has no members.
        let _ = json::object(text, |name, raw| {
            if json::is(&name, "meta") {
                meta = json::present(raw)
                    .map(Meta::parse)
                    .transpose()?
                    .unwrap_or_default();
            }
            Ok(())
        });
    }
    meta
}

/// Reads an access answer.
pub fn access(payload: &[u8]) -> Result<Access, Error> {
    let result = Answer::parse(payload, true)?.present_result()?;
    let (mut get, mut call) = (false, Cow::Borrowed(""));
    json::object(result, |name, raw| {
        if json::is(&name, "get") {
            get = json::present(raw)
                .map(json::boolean)
                .transpose()?
                .unwrap_or(false);
        } else if json::is(&name, "call") {
            call = json::present(raw)
                .map(json::string)
                .transpose()?
                .unwrap_or_default();
        }
        Ok(())
    })
    .map_err(Error::internal)?;
    Ok(Access {
        get,
        call: call.into(),
    })
}

/// Reads a get answer.
///
/// # Errors
/// When it is an error, not valid, or too large.
pub fn resource(payload: &[u8], limits: Limits) -> Result<Resource, Unread> {
    let found = resource_text(payload, limits)?;
    let data = match found.is_model {
        true => self::model(found.text, limits)?,
        false => self::collection(found.text, limits)?,
    };
    let query = found.query.into();
    Ok(Resource { data, query })
}

/// Where an answer has a resource.
pub(super) struct ResourceText<'a> {
    pub text: Raw<'a>,
    pub is_model: bool,
    pub query: Cow<'a, str>,
}

/// Finds the resource in a get answer.
pub(super) fn resource_text(payload: &[u8], limits: Limits) -> Result<ResourceText<'_>, Unread> {
    let result = Answer::parse(payload, false)?.present_result()?;
    let (mut model, mut collection, mut query) = (None, None, Cow::Borrowed(""));
    json::object(result, |name, raw| {
        if json::is(&name, "model") {
            model = json::present(raw);
        } else if json::is(&name, "collection") {
            collection = json::present(raw);
        } else if json::is(&name, "query") {
            query = json::present(raw)
                .map(json::string)
                .transpose()?
                .unwrap_or_default();
        }
        Ok(())
    })
    .map_err(Error::internal)?;
    let (text, is_model) = match (model, collection) {
        (Some(model), None) => (model, true),
        (None, Some(values)) => (values, false),
        _ => return Err(Error::internal("invalid service response").into()),
    };
    match text.len() > limits.bytes {
        true => Err(Unread::TooLarge),
        false => Ok(ResourceText {
            text,
            is_model,
            query,
        }),
    }
}

/// Reads an answer to a call or auth request.
///
/// `is_new` tells whether it was a call of `new`, which has an older form of answer.
pub fn call(payload: &[u8], is_new: bool) -> Result<CallResult<'_>, Error> {
    let answer = Answer::parse(payload, true)?;
    if let Some(resource) = answer.resource {
        let mut rid = None;
        json::object(resource, |name, raw| {
            if json::is(&name, "rid") {
                rid = json::present(raw).map(json::string).transpose()?;
            }
            Ok(())
        })
        .map_err(Error::internal)?;
        return valid_rid(rid).map(CallResult::Resource);
    }
    let result = answer.result.ok_or_else(missing_result)?;
    if is_new && let Some(rid) = old_new_result(result) {
        return valid_rid(Some(rid)).map(CallResult::OldResource);
    }
    Ok(CallResult::Payload(result))
}

fn valid_rid(rid: Option<Cow<'_, str>>) -> Result<Cow<'_, str>, Error> {
    rid.filter(|rid| Rid::parse(rid).is_some())
        .ok_or_else(|| Error::internal("invalid service response"))
}

/// The old answer of `new`: an object with a `rid` and nothing else.
fn old_new_result(result: Raw<'_>) -> Option<Cow<'_, str>> {
    let (mut rid, mut members) = (None, 0);
    json::object(result, |name, raw| {
        members += 1;
        if name == "rid" {
            rid = Some(json::string(raw)?);
        }
        Ok(())
    })
    .ok()?;
    rid.filter(|_| members == 1)
}

/// Reads an answer to a query request.
///
/// # Errors
/// When it is an error, not valid, or has a resource that is too large.
pub fn query(payload: &[u8], limits: Limits) -> Result<QueryResult<'_>, Unread> {
    let result = Answer::parse(payload, false)?.present_result()?;
    let (mut events, mut model, mut collection) = (None, None, None);
    json::object(result, |name, raw| {
        if json::is(&name, "events") {
            events = json::present(raw);
        } else if json::is(&name, "model") {
            model = json::present(raw);
        } else if json::is(&name, "collection") {
            collection = json::present(raw);
        }
        Ok(())
    })
    .map_err(Error::internal)?;
    match (events, model, collection) {
        (Some(events), None, None) => Ok(query_events(events).map_err(Error::internal)?),
        (None, Some(model), None) => Ok(QueryResult::Data(self::model(model, limits)?)),
        (None, None, Some(values)) => Ok(QueryResult::Data(self::collection(values, limits)?)),
        (None, None, None) => Ok(QueryResult::Events(Vec::new())),
        _ => Err(Error::internal("invalid service response").into()),
    }
}

fn query_events(text: Raw<'_>) -> Result<QueryResult<'_>, JsonError> {
    let mut events = Vec::new();
    json::array(text, |entry| {
        let (mut event, mut data) = (None, None);
        json::object(entry, |name, raw| {
            if json::is(&name, "event") {
                event = json::present(raw).map(json::string).transpose()?;
            } else if json::is(&name, "data") {
                data = json::present(raw);
            }
            Ok(())
        })?;
        events.extend(event.map(|event| (event, data)));
        Ok(())
    })?;
    Ok(QueryResult::Events(events))
}

/// Reads the payload of a change event.
///
/// Services of protocol 1.0 send the properties at the top level. A member `values` that
/// is an object means the present form, unless further members stand beside it and it
/// reads as one property's value.
pub fn change(payload: Raw<'_>) -> Result<ChangeEvent, ValueError> {
    let (mut values, mut members) = (None, 0);
    json::object(payload, |name, raw| {
        members += 1;
        if name == "values" && raw.starts_with('{') {
            values = Some(raw);
        }
        Ok(())
    })?;
    let current = values.filter(|raw| members == 1 || value::parse_change(raw).is_err());
    let properties = properties(current.unwrap_or(payload), usize::MAX)?;
    let properties = properties.unwrap_or_default();
    let mut changes = Vec::with_capacity(properties.len());
    for (name, raw) in properties {
        changes.push((Text::from(&*name), value::parse_change(raw)?));
    }
    let is_old = current.is_none() && members > 0;
    Ok(ChangeEvent { changes, is_old })
}

/// Reads the payload of an add event; `None` when it lacks a value.
pub fn add(payload: Raw<'_>) -> Result<Option<Add>, ValueError> {
    let (mut place, mut value) = (0, None);
    json::object(payload, |name, raw| {
        if json::is(&name, "idx") {
            place = json::present(raw).map(index).transpose()?.unwrap_or(0);
        } else if json::is(&name, "value") {
            value = json::present(raw).or(Some(raw));
        }
        Ok(())
    })?;
    let Some(value) = value.map(value::parse).transpose()?.flatten() else {
        return Ok(None);
    };
    Ok(Some(Add { idx: place, value }))
}

/// Reads the place in the payload of a remove event.
pub fn remove(payload: Raw<'_>) -> Result<usize, JsonError> {
    let mut place = 0;
    json::object(payload, |name, raw| {
        if json::is(&name, "idx") {
            place = json::present(raw).map(index).transpose()?.unwrap_or(0);
        }
        Ok(())
    })?;
    Ok(place)
}

fn index(raw: Raw<'_>) -> Result<usize, JsonError> {
    raw.parse()
        .map_err(|_| JsonError::new("idx is no place in a collection"))
}

/// Reads a system reset event.
pub fn reset(payload: &[u8]) -> Result<Reset<'_>, JsonError> {
    const NONE: Raw<'_> = "[]";
    let mut reset = Reset {
        resources: NONE,
        access: NONE,
    };
    json::object(json::value(payload)?, |name, raw| {
        let patterns = if json::is(&name, "resources") {
            &mut reset.resources
        } else if json::is(&name, "access") {
            &mut reset.access
        } else {
            return Ok(());
        };
        *patterns = json::present(raw).unwrap_or(NONE);
        json::array(patterns, |item| json::string(item).map(|_| ()))
    })?;
    Ok(reset)
}

/// The next of the patterns that are valid, in an array of them; `None` behind the last one.
pub fn next_pattern(patterns: Raw<'_>, walk: &mut Walk) -> Option<Pattern> {
    loop {
        let text = json::string(walk.item(patterns).ok()??).ok()?;
        if let Some(pattern) = Pattern::parse(&text) {
            return Some(pattern);
        }
    }
}

/// Reads a connection token event. A bare `null` clears token and token ID.
pub fn token(payload: &[u8]) -> Result<Token<'_>, JsonError> {
    let mut event = Token {
        token: None,
        tid: None,
    };
    let Some(payload) = json::present(json::value(payload)?) else {
        return Ok(event);
    };
    json::object(payload, |name, raw| {
        if json::is(&name, "token") {
            event.token = json::present(raw).map(json::compact);
        } else if json::is(&name, "tid") {
            event.tid = json::present(raw).map(json::string).transpose()?;
        }
        Ok(())
    })?;
    Ok(event)
}

/// Bytes of a list of token IDs up to which each is looked at as the event is read.
const TIDS_READ: usize = 16 << 10;

/// Reads a system token reset event; its lists may be empty.
pub fn token_reset(payload: &[u8]) -> Result<TokenReset<'_>, JsonError> {
    let mut event = TokenReset {
        tids: None,
        subject: Cow::Borrowed(""),
    };
    json::object(json::value(payload)?, |name, raw| {
        if json::is(&name, "tids") {
            event.tids = json::present(raw);
            match event.tids {
                None => {}
                Some(raw) if raw.len() <= TIDS_READ => {
                    json::array(raw, |item| json::string(item).map(drop))?;
                }
                Some(raw) if raw.starts_with('[') => {}
                Some(_) => return Err(JsonError::new("not an array")),
            }
        } else if json::is(&name, "subject") {
            event.subject = json::present(raw)
                .map(json::string)
                .transpose()?
                .unwrap_or_default();
        }
        Ok(())
    })?;
    Ok(event)
}

/// Reads the subject of a query event.
pub fn query_event(payload: &[u8]) -> Result<Cow<'_, str>, JsonError> {
    let mut subject = Cow::Borrowed("");
    json::object(json::value(payload)?, |name, raw| {
        if json::is(&name, "subject") {
            subject = json::present(raw)
                .map(json::string)
                .transpose()?
                .unwrap_or_default();
        }
        Ok(())
    })?;
    if subject.is_empty() {
        return Err(JsonError::new("missing subject"));
    }
    Ok(subject)
}

/// The members that every answer may have.
struct Answer<'a> {
    result: Option<Raw<'a>>,
    resource: Option<Raw<'a>>,
}

impl<'a> Answer<'a> {
    /// Reads an answer; one with an error is that error. Only some kinds of answers have a
    /// meta object, which must be valid then.
    fn parse(payload: &'a [u8], has_meta: bool) -> Result<Self, Error> {
        let text = json::value(payload).map_err(Error::internal)?;
        let (mut answer, mut error) = (
            Self {
                result: None,
                resource: None,
            },
            None,
        );
        if json::present(text).is_some() {
            json::object(text, |name, raw| {
                if json::is(&name, "result") {
                    answer.result = Some(raw);
                } else if json::is(&name, "resource") {
                    answer.resource = json::present(raw);
                } else if json::is(&name, "error") {
                    error = json::present(raw).map(error_object).transpose()?;
                } else if has_meta && json::is(&name, "meta") {
                    json::present(raw).map(Meta::parse).transpose()?;
                }
                Ok(())
            })
            .map_err(Error::internal)?;
        }
        error.map_or(Ok(answer), Err)
    }

    fn present_result(self) -> Result<Raw<'a>, Error> {
        let result = self.result.and_then(json::present);
        result.ok_or_else(missing_result)
    }
}

fn missing_result() -> Error {
    Error::internal("response missing result")
}

fn error_object(text: Raw<'_>) -> Result<Error, JsonError> {
    let (mut code, mut message, mut data) = (None, None, None);
    json::object(text, |name, raw| {
        if json::is(&name, "code") {
            code = json::present(raw).map(json::string).transpose()?;
        } else if json::is(&name, "message") {
            message = json::present(raw).map(json::string).transpose()?;
        } else if json::is(&name, "data") {
            data = json::present(raw).map(|raw| json::compact(raw).into());
        }
        Ok(())
    })?;
    let owned = |text: Option<Cow<'_, str>>| Cow::Owned(text.unwrap_or_default().into_owned());
    Ok(Error {
        code: owned(code),
        message: owned(message),
        data,
    })
}

/// Reads the properties of a model.
fn model(text: Raw<'_>, limits: Limits) -> Result<Data, Unread> {
    if text.len() > limits.bytes {
        return Err(Unread::TooLarge);
    }
    let properties = properties(text, limits.entries);
    let properties = properties.map_err(|error| value_error(error.into()))?;
    let properties = properties.ok_or(Unread::TooLarge)?;
    let (mut model, mut has_action) = (Vec::with_capacity(properties.len()), false);
    for (name, raw) in properties {
        match value::parse(raw).map_err(value_error)? {
            Some(value) => model.push((Text::from(&*name), value)),
            None => has_action = true,
        }
    }
    if has_action {
        return Err(action_as_value().into());
    }
    Ok(Data::Model(model))
}

/// Reads the values of a collection.
fn collection(text: Raw<'_>, limits: Limits) -> Result<Data, Unread> {
    if text.len() > limits.bytes {
        return Err(Unread::TooLarge);
    }
    let (mut values, mut error, mut has_action) = (Vec::new(), None, false);
    let mut is_too_long = false;
    let read = json::array(text, |raw| {
        if values.len() >= limits.entries {
            is_too_long = true;
            return Err(TOO_MANY);
        }
        match value::parse(raw) {
            Ok(Some(value)) => values.push(value),
            Ok(None) => has_action = true,
            Err(reason) => error = error.take().or(Some(reason)),
        }
        Ok(())
    });
    if is_too_long {
        return Err(Unread::TooLarge);
    }
    read.map_err(Error::internal)?;
    if let Some(error) = error {
        return Err(value_error(error).into());
    }
    if has_action {
        return Err(action_as_value().into());
    }
    Ok(Data::Collection(values))
}

/// Ends the reading of what has more entries than may be.
pub(super) const TOO_MANY: JsonError = JsonError::new("too many entries");

/// Older clients of this error know it with its prefix twice.
pub(super) fn value_error(error: ValueError) -> Error {
    Error::internal(format_args!("Internal error: {error}"))
}

pub(super) fn action_as_value() -> Error {
    Error::internal("invalid service response")
}

/// Members of an object, in the order of their names.
type Properties<'a> = Vec<(Cow<'a, str>, Raw<'a>)>;

/// Reads the members of an object as properties: sorted by name, of duplicates the last.
/// `None` if there are more than `most`, duplicates included.
fn properties(text: Raw<'_>, most: usize) -> Result<Option<Properties<'_>>, JsonError> {
    let (mut members, mut are_too_many) = (Vec::new(), false);
    let read = json::object(text, |name, raw| {
        if members.len() >= most {
            are_too_many = true;
            return Err(TOO_MANY);
        }
        members.push((name, raw));
        Ok(())
    });
    if are_too_many {
        return Ok(None);
    }
    read?;
    sort_by_name(&mut members);
    // Of those that are left out the value is put into the place of the one that stays.
    members.dedup_by(|later, kept| {
        let is_same = later.0 == kept.0;
        if is_same {
            kept.1 = later.1;
        }
        is_same
    });
    Ok(Some(members))
}

/// Sorts members by name. Those with the same one stay in order.
fn sort_by_name(members: &mut Properties<'_>) {
    if members.len() < order::MANY || members.is_sorted_by(|a, b| a.0 <= b.0) {
        return members.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let places = order::places(members.len(), |place| &*members[place].0);
    let sorted = places.into_iter();
    let sorted = sorted.map(|place| std::mem::take(&mut members[place]));
    let sorted = sorted.collect();
    *members = sorted;
}

#[cfg(test)]
mod tests;
