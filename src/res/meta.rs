//! What services want to see in HTTP answers (RES-Service protocol, "Meta object").

use super::json::{self, JsonError, Raw};

/// Header fields that services cannot set: they are the gateway's own.
const RESERVED: [&str; 5] = [
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "content-type",
];

/// Fields that services may set in one answer, and the bytes of their names and values.
pub(crate) const MAX_FIELDS: usize = 256;
pub(crate) const MAX_SIZE: usize = 64 << 10;

/// Header fields of an HTTP answer, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(Box<str>, Box<str>)>);

/// The meta object of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The status to answer with, if it is one that means something: 300 to 599.
    pub status: Option<u16>,
    /// A status that means nothing.
    pub invalid_status: Option<i64>,
    /// The fields to set, by name.
    pub header: Vec<(String, Vec<String>)>,
}

impl Fields {
    /// The fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is a field of a name.
    pub fn contains(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// Adds a field.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.into(), value.into()));
    }

    /// Sets a field, in place of all of its name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.push(name, value);
    }

    /// Takes the fields of an answer over those of earlier ones: cookies are added, all
    /// others replaced, and the gateway's own left out.
    ///
    /// Returns `false` when there are too many, or too large ones; the rest is left out
    /// then.
    pub fn merge(&mut self, header: &[(String, Vec<String>)]) -> bool {
        let mut has_all = true;
        for (name, values) in header {
            if RESERVED
                .iter()
                .any(|reserved| reserved.eq_ignore_ascii_case(name))
            {
                continue;
            }
            if !name.eq_ignore_ascii_case("set-cookie") {
                self.0
                    .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            }
            for value in values {
                if self.has_room(name.len() + value.len()) {
                    self.push(name, value);
                } else {
                    has_all = false;
                }
            }
        }
        has_all
    }

    fn has_room(&self, size: usize) -> bool {
        let sizes = self.0.iter().map(|(name, value)| name.len() + value.len());
        self.0.len() < MAX_FIELDS && sizes.sum::<usize>() + size <= MAX_SIZE
    }
}

impl Meta {
    /// Reads a meta object.
    ///
    /// # Errors
    /// When a member has the wrong type.
    pub fn parse(text: Raw<'_>) -> Result<Self, JsonError> {
        let mut meta = Self::default();
        json::object(text, |name, raw| {
            if json::is(&name, "status") {
                let status = json::present(raw).map(status).transpose()?;
                let valid = status.and_then(|status| u16::try_from(status).ok());
                meta.status = valid.filter(|status| (300..600).contains(status));
                meta.invalid_status = status.filter(|_| meta.status.is_none());
            } else if json::is(&name, "header") {
                meta.header.clear();
                if let Some(raw) = json::present(raw) {
                    meta.header = header(raw)?;
                }
            }
            Ok(())
        })?;
        Ok(meta)
    }
}

fn status(raw: Raw<'_>) -> Result<i64, JsonError> {
    raw.parse()
        .map_err(|_| JsonError::new("meta status is no whole number"))
}

fn header(text: Raw<'_>) -> Result<Vec<(String, Vec<String>)>, JsonError> {
    let mut header = Vec::new();
    json::object(text, |name, raw| {
        let mut values = Vec::new();
        if let Some(raw) = json::present(raw) {
            json::array(raw, |value| {
                let value = json::present(value).map(json::string).transpose()?;
                values.push(value.unwrap_or_default().into_owned());
                Ok(())
            })?;
        }
        header.push((name.into_owned(), values));
        Ok(())
    })?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(metas: &[&str]) -> Vec<(String, String)> {
        let mut fields = Fields::default();
        for meta in metas {
            fields.merge(&Meta::parse(meta).unwrap().header);
        }
        fields
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn later_fields_replace_earlier_ones_but_for_cookies() {
        let pairs = merged(&[
            r#"{"header":{"X-A":["1"],"Set-Cookie":["a=1"],"X-B":["b"]}}"#,
            r#"{"header":{"x-a":["2","3"],"set-cookie":["b=2"]}}"#,
        ]);
        let expected = [
            ("Set-Cookie", "a=1"),
            ("X-B", "b"),
            ("x-a", "2"),
            ("x-a", "3"),
            ("set-cookie", "b=2"),
        ];
        assert_eq!(pairs.len(), expected.len());
        for ((name, value), expected) in pairs.iter().zip(expected) {
            assert_eq!((name.as_str(), value.as_str()), expected);
        }
    }

    #[test]
    fn fields_are_bounded() {
        let named = |count| -> Vec<(String, Vec<String>)> {
            let names = (0..count).map(|i| format!("X-{i}"));
            names.map(|name| (name, vec!["v".to_owned()])).collect()
        };
        let mut fields = Fields::default();
        assert!(fields.merge(&named(MAX_FIELDS)));
        assert!(fields.merge(&named(MAX_FIELDS)), "they replace the others");
        assert!(!fields.merge(&named(MAX_FIELDS + 1)));
        assert_eq!(fields.iter().count(), MAX_FIELDS);

        let large = |size| vec![("A".to_owned(), vec!["v".repeat(size - 1)])];
        let mut fields = Fields::default();
        assert!(!fields.merge(&large(MAX_SIZE + 1)));
        assert_eq!(fields.iter().count(), 0);
        assert!(fields.merge(&large(MAX_SIZE)));
        assert!(!fields.merge(&[("B".to_owned(), vec![String::new()])]));
    }

    #[test]
    fn the_gateways_own_fields_are_left_out() {
        let pairs = merged(&[
            r#"{"header":{"content-type":["x"],"Access-Control-Allow-Origin":["*"],"Sec-WebSocket-Protocol":["y"]}}"#,
        ]);
        assert!(pairs.is_empty());
    }

    #[test]
    fn only_statuses_that_mean_something_count() {
        for (text, expected) in [
            ("{}", None),
            (r#"{"status":null}"#, None),
            (r#"{"status":200}"#, None),
            (r#"{"status":299}"#, None),
            (r#"{"status":300}"#, Some(300)),
            (r#"{"Status":599}"#, Some(599)),
            (r#"{"status":600}"#, None),
            (r#"{"status":-1}"#, None),
            (
                r#"{"status":400,"header":{"A":[null],"B":null}}"#,
                Some(400),
            ),
            (r#"{"status":70000}"#, None),
        ] {
            let meta = Meta::parse(text).unwrap();
            assert_eq!(meta.status, expected, "{text}");
            let has_status = text.contains(|c: char| c.is_ascii_digit());
            let is_invalid = has_status && expected.is_none();
            assert_eq!(meta.invalid_status.is_some(), is_invalid, "{text}");
        }
        for text in [
            "[]",
            r#"{"status":"300"}"#,
            r#"{"status":300.5}"#,
            r#"{"header":[]}"#,
            r#"{"header":{"A":"b"}}"#,
            r#"{"header":{"A":[1]}}"#,
        ] {
            assert!(Meta::parse(text).is_err(), "{text}");
        }
    }
}
