//! Values of models and collections (RES protocol, "Values").

use super::json::{self, JsonError, Raw};
use super::rid::{RESERVED, Rid};
use super::text::Text;
use super::version::ValueForm;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// A value as a resource holds it. Its text is the service's, without white space.
///
/// Values are equal when their texts are; references when they name the same resource in
/// the same way, whatever else they carry.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string, number, boolean or null.
    Primitive(Text),
    /// A data value that holds an object or an array, with its wrapping.
    Data(Rc<str>),
    /// A reference that the gateway follows.
    Reference(Rc<Reference>),
    /// A reference that it does not follow.
    SoftReference(Rc<Reference>),
}

/// A resource reference.
#[derive(Debug)]
pub struct Reference {
    /// The resource ID.
    pub rid: Rc<str>,
    /// Its JSON text, where that is not simply `{"rid":"<rid>"}`.
    text: Option<Box<str>>,
}

/// A property in a change event.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The property's new value.
    Set(Value),
    /// The property is deleted.
    Delete,
}

/// Why a value is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// An object that is neither reference, data value nor action.
    NestedObject,
    /// An array outside a data value.
    NestedArray,
    /// A reference to the empty resource ID.
    EmptyRid,
    /// A reference to a text that is no resource ID.
    InvalidRid(String),
    /// A reference to a resource of the gateway's own.
    ReservedRid(String),
    /// An object that is several kinds of value at once.
    Ambiguous,
    /// An action that does not exist.
    UnknownAction(String),
    /// A member of the wrong type, or no JSON.
    Json(JsonError),
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid value: ")?;
        match self {
            Self::NestedObject => f.write_str("nested json object must be wrapped as a data value"),
            Self::NestedArray => f.write_str("nested json array must be wrapped as a data value"),
            Self::EmptyRid => f.write_str("resource references requires a non-empty \"rid\" value"),
            Self::InvalidRid(rid) => write!(f, "resource reference rid {rid:?} is invalid"),
            Self::ReservedRid(rid) => {
                write!(
                    f,
                    "resource reference rid {rid:?} is reserved; make it a soft one"
                )
            }
            Self::Ambiguous => f.write_str("ambiguous value type"),
            Self::UnknownAction(action) => write!(f, "unknown action {action:?}"),
            Self::Json(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ValueError {}

impl From<JsonError> for ValueError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// What stands before and behind the ID in the text of most references.
const REFERENCE: (&str, &str) = ("{\"rid\":\"", "\"}");

impl Reference {
    fn new(rid: &str, raw: Raw<'_>) -> Self {
        let (before, behind) = REFERENCE;
        let inner = raw.strip_prefix(before);
        let is_usual = inner.and_then(|text| text.strip_suffix(behind)) == Some(rid);
        Self {
            rid: rid.into(),
            text: (!is_usual).then(|| json::compact(raw).into()),
        }
    }
}

impl Value {
    /// The resource that a hard reference names.
    pub fn reference(&self) -> Option<&Rc<str>> {
        match self {
            Self::Reference(reference) => Some(&reference.rid),
            _ => None,
        }
    }

    /// The bytes of the value's text.
    pub fn size(&self) -> usize {
        match self {
            Self::Primitive(text) => text.as_bytes().len(),
            Self::Data(text) => text.len(),
            Self::Reference(reference) | Self::SoftReference(reference) => match &reference.text {
                Some(text) => text.len(),
                None => REFERENCE.0.len() + reference.rid.len() + REFERENCE.1.len(),
            },
        }
    }

    /// Appends the JSON text of the value.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        self.write_by(|bytes, out| out.extend_from_slice(bytes), out);
    }

    /// Appends the value as a client is sent it; in the form that its dialect
    /// knows.
    pub fn write(&self, form: ValueForm, out: &mut Vec<u8>) {
        match self {
            Self::SoftReference(reference) if form == ValueForm::Plain => {
                json::write_string(&reference.rid, out)
            }
            Self::Data(_) if form == ValueForm::Plain => out.extend_from_slice(b"\"[Data]\""),
            _ => self.write_by(json::write_escaped_bytes, out),
        }
    }

    /// Appends the value's text, or what `write` makes of it.
    fn write_by(&self, write: impl Fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
        match self {
            Self::Primitive(text) => write(text.as_bytes(), out),
            Self::Data(text) => write(text.as_bytes(), out),
            Self::Reference(reference) | Self::SoftReference(reference) => match &reference.text {
                Some(text) => write(text.as_bytes(), out),
                None => {
                    out.extend_from_slice(REFERENCE.0.as_bytes());
                    write(reference.rid.as_bytes(), out);
                    out.extend_from_slice(REFERENCE.1.as_bytes());
                }
            },
        }
    }

    /// The JSON inside a data value's wrapping.
    pub fn data_content(&self) -> Option<&str> {
        let Self::Data(text) = self else { return None };
        let mut content = None;
        // The text was read the same way when the value was made.
        let _ = json::object(text, |name, raw| {
            if json::is(&name, "data") {
                content = Some(raw);
            }
            Ok(())
        });
        content
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Primitive(a), Self::Primitive(b)) => a == b,
            (Self::Data(a), Self::Data(b)) => a == b,
            (Self::Reference(a), Self::Reference(b))
            | (Self::SoftReference(a), Self::SoftReference(b)) => a.rid == b.rid,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Primitive(text) => text.hash(state),
            Self::Data(text) => text.hash(state),
            Self::Reference(reference) | Self::SoftReference(reference) => {
                reference.rid.hash(state);
            }
        }
    }
}

/// Reads a value, or the delete action that may stand for one in change events.
pub fn parse_change(raw: Raw<'_>) -> Result<Change, ValueError> {
    match raw.as_bytes().first() {
        Some(b'{') => parse_object(raw),
        Some(b'[') => Err(ValueError::NestedArray),
        _ => Ok(Change::Set(Value::Primitive(raw.into()))),
    }
}

/// Reads a value where no action may stand.
///
/// # Errors
/// `Ok(None)` for a delete action, an error for anything else that is no value.
pub fn parse(raw: Raw<'_>) -> Result<Option<Value>, ValueError> {
    Ok(match parse_change(raw)? {
        Change::Set(value) => Some(value),
        Change::Delete => None,
    })
}

fn parse_object(raw: Raw<'_>) -> Result<Change, ValueError> {
    let (mut rid, mut soft, mut action, mut data) = (None, false, None, None);
    json::object(raw, |name, member| {
        if json::is(&name, "rid") {
            rid = json::present(member).map(json::string).transpose()?;
        } else if json::is(&name, "soft") {
            soft = json::present(member)
                .map(json::boolean)
                .transpose()?
                .unwrap_or(false);
        } else if json::is(&name, "action") {
            action = json::present(member).map(json::string).transpose()?;
        } else if json::is(&name, "data") {
            data = Some(member);
        }
        Ok(())
    })?;
    match (rid, action, data) {
        (Some(rid), None, None) => {
            if rid.is_empty() {
                return Err(ValueError::EmptyRid);
            }
            if Rid::parse(&rid).is_none() {
                return Err(ValueError::InvalidRid(rid.into_owned()));
            }
            if !soft && rid.starts_with(RESERVED) {
                return Err(ValueError::ReservedRid(rid.into_owned()));
            }
            let reference = Rc::new(Reference::new(&rid, raw));
            Ok(Change::Set(if soft {
                Value::SoftReference(reference)
            } else {
                Value::Reference(reference)
            }))
        }
        (None, Some(action), None) if action == "delete" => Ok(Change::Delete),
        (None, Some(action), None) => Err(ValueError::UnknownAction(action.into_owned())),
        (None, None, Some(data)) if data.starts_with(['{', '[']) => {
            Ok(Change::Set(Value::Data(json::compact(raw).into())))
        }
        (None, None, Some(data)) => Ok(Change::Set(Value::Primitive(data.into()))),
        (None, None, None) => Err(ValueError::NestedObject),
        _ => Err(ValueError::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(raw: &str, form: ValueForm) -> String {
        let mut out = Vec::new();
        parse(raw).unwrap().unwrap().write(form, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keeps_the_services_spelling() {
        for (raw, expected) in [
            ("1.0", "1.0"),
            ("1e3", "1e3"),
            ("\"\\u0061\"", "\"\\u0061\""),
            ("\"<b>\"", "\"\\u003cb\\u003e\""),
            (r#"{"data":12}"#, "12"),
            (r#"{ "data" : null }"#, "null"),
            (r#"{ "DATA" : { "a" : [ 1 ] } }"#, r#"{"DATA":{"a":[1]}}"#),
            (
                r#"{"rid":"a.b","soft":false}"#,
                r#"{"rid":"a.b","soft":false}"#,
            ),
            (
                r#"{"rid":"a.b","action":null,"x":1}"#,
                r#"{"rid":"a.b","action":null,"x":1}"#,
            ),
        ] {
            assert_eq!(sent(raw, ValueForm::Full), expected, "{raw}");
        }
    }

    #[test]
    fn writes_the_text_as_it_came() {
        for raw in [
            "\"<b>\"",
            r#"{"rid":"a.b"}"#,
            r#"{"rid":"a.b?<&>"}"#,
            r#"{"rid":"a.b?\""}"#,
            r#"{"rid":"a.b","x":1}"#,
            r#"{"rid":"a.b","soft":true}"#,
            r#"{"data":["<"]}"#,
        ] {
            let mut out = Vec::new();
            parse(raw).unwrap().unwrap().write_text(&mut out);
            assert_eq!(out, raw.as_bytes());
            assert_eq!(parse(raw).unwrap().unwrap().size(), raw.len());
        }
        assert_eq!(
            sent(r#"{"rid":"a.b?<"}"#, ValueForm::Full),
            r#"{"rid":"a.b?\u003c"}"#
        );
        assert_eq!(
            sent(r#"{"rid":"a.b?\""}"#, ValueForm::Full),
            r#"{"rid":"a.b?\""}"#
        );
    }

    #[test]
    fn is_no_larger_than_three_words() {
        assert_eq!(size_of::<Value>(), 24);
    }

    #[test]
    fn replaces_what_older_clients_do_not_know() {
        assert_eq!(
            sent(r#"{"rid":"a.b","soft":true}"#, ValueForm::Plain),
            r#""a.b""#
        );
        assert_eq!(sent(r#"{"data":[1]}"#, ValueForm::Plain), r#""[Data]""#);
        assert_eq!(sent(r#"{"data":1}"#, ValueForm::Plain), "1");
        assert_eq!(
            sent(r#"{"rid":"a.b"}"#, ValueForm::Plain),
            r#"{"rid":"a.b"}"#
        );
    }

    #[test]
    fn compares_texts_and_references_by_what_they_name() {
        let value = |raw: &str| parse(raw).unwrap().unwrap();
        assert_ne!(value("1"), value("1.0"));
        assert_ne!(value("\"a\""), value("\"\\u0061\""));
        assert_eq!(value(r#"{"data":1}"#), value("1"));
        assert_eq!(value(r#"{"rid":"a","x":1}"#), value(r#"{"rid":"a"}"#));
        assert_ne!(value(r#"{"rid":"a","soft":true}"#), value(r#"{"rid":"a"}"#));
        assert_eq!(value(r#"{"data": [ 1 ]}"#), value(r#"{"data":[1]}"#));
    }

    #[test]
    fn refuses_invalid_values() {
        for (raw, expected) in [
            ("{}", ValueError::NestedObject),
            (r#"{"a":1}"#, ValueError::NestedObject),
            ("[]", ValueError::NestedArray),
            (r#"{"rid":""}"#, ValueError::EmptyRid),
            (r#"{"rid":"a..b"}"#, ValueError::InvalidRid("a..b".into())),
            (
                r#"{"rid":"\u0024tidegate.now"}"#,
                ValueError::ReservedRid("$tidegate.now".into()),
            ),
            (r#"{"rid":"a","data":1}"#, ValueError::Ambiguous),
            (r#"{"rid":"a","action":"delete"}"#, ValueError::Ambiguous),
            (r#"{"data":1,"action":"delete"}"#, ValueError::Ambiguous),
            (r#"{"action":"x"}"#, ValueError::UnknownAction("x".into())),
        ] {
            assert_eq!(parse(raw), Err(expected), "{raw}");
        }
        for raw in [
            r#"{"rid":1}"#,
            r#"{"rid":"a","soft":"yes"}"#,
            r#"{"action":true}"#,
        ] {
            assert!(matches!(parse(raw), Err(ValueError::Json(_))), "{raw}");
        }
        assert_eq!(parse(r#"{"action":"delete"}"#), Ok(None));
    }

    #[test]
    fn finds_the_content_of_data_values() {
        let value = parse(r#"{"data":1,"data":{"a":1}}"#).unwrap().unwrap();
        assert_eq!(value.data_content(), Some(r#"{"a":1}"#));
        assert_eq!(parse("1").unwrap().unwrap().data_content(), None);
    }
}
