//! What has happened to a resource, in one line: for people, or as a JSON document.

use crate::res::json;

use super::print::{Style, visible};
use super::resources::{Content, Happening, Resources, TooMuch};

/// How lines are written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// JSON documents.
    pub is_json: bool,
    /// Of lines for people.
    pub style: Style,
    /// How deep references are followed.
    pub depth: usize,
}

/// When something has happened.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// The time of day, for people.
    pub short: String,
    /// Date, time and offset (RFC 3339).
    pub full: String,
}

impl Form {
    /// The line of an event.
    ///
    /// # Errors
    ///
    /// As [`Resources::to_json`].
    pub fn event(
        self,
        stamp: &Stamp,
        rid: &str,
        name: &str,
        happening: &Happening,
        resources: &Resources,
    ) -> Result<String, TooMuch> {
        match self.is_json {
            true => self.document(stamp, rid, name, happening, resources),
            false => self.sentence(stamp, rid, name, happening, resources),
        }
    }

    /// The line of what a resource is now.
    ///
    /// # Errors
    ///
    /// As [`Resources::to_json`].
    pub fn state(self, stamp: &Stamp, rid: &str, resources: &Resources) -> Result<String, TooMuch> {
        let content = resources.to_json(rid, self.depth)?;
        if !self.is_json {
            return Ok(self.line(stamp, rid, "state", &self.style.json(&content)));
        }
        let kind = match resources.get(rid) {
            Some(Content::Collection(_)) => "collection",
            Some(Content::Error(_)) => "error",
            _ => "model",
        };
        Ok(Document::new(stamp, rid, "state").raw(kind, &content).end())
    }

    fn line(self, stamp: &Stamp, rid: &str, name: &str, rest: &str) -> String {
        let mut line = format!(
            "{} {} {}",
            self.style.faint(&stamp.short),
            self.style.strong(&visible(rid)),
            visible(name)
        );
        if !rest.is_empty() {
            line.push(' ');
            line.push_str(rest);
        }
        line
    }

    fn sentence(
        self,
        stamp: &Stamp,
        rid: &str,
        name: &str,
        happening: &Happening,
        resources: &Resources,
    ) -> Result<String, TooMuch> {
        let value = |value: &str| {
            let text = resources.value_to_json(rid, value, self.depth)?;
            Ok(self.style.json(&text))
        };
        let rest = match happening {
            Happening::Changed(changes) => {
                let mut parts = Vec::with_capacity(changes.len());
                for change in changes {
                    // What it was may be forgotten already, but for its ID.
                    let before = change.before.as_deref().map(|it| self.style.json(it));
                    let after = change.after.as_deref().map(value).transpose()?;
                    let none = || self.style.faint("(none)");
                    parts.push(format!(
                        "{}: {} -> {}",
                        visible(&change.name),
                        before.unwrap_or_else(none),
                        after.unwrap_or_else(none)
                    ));
                }
                parts.join(", ")
            }
            Happening::Added(at, it) => format!("[{at}] {}", value(it)?),
            Happening::Removed(at, Some(it)) => format!("[{at}] {}", self.style.json(it)),
            Happening::Removed(at, None) => format!("[{at}]"),
            Happening::Deleted => String::new(),
            Happening::Unsubscribed(reason) => {
                format!("{} ({})", visible(&reason.message), visible(&reason.code))
            }
            Happening::Custom(data) if data == "null" => String::new(),
            Happening::Custom(data) => self.style.json(data),
        };
        Ok(self.line(stamp, rid, name, &rest))
    }

    fn document(
        self,
        stamp: &Stamp,
        rid: &str,
        name: &str,
        happening: &Happening,
        resources: &Resources,
    ) -> Result<String, TooMuch> {
        let document = Document::new(stamp, rid, name);
        Ok(match happening {
            Happening::Changed(changes) => {
                let (mut values, mut before) = (Vec::new(), Vec::new());
                for change in changes {
                    if let Some(after) = &change.after {
                        let text = resources.value_to_json(rid, after, self.depth)?;
                        push_member(&change.name, &text, &mut values);
                    }
                    if let Some(was) = &change.before {
                        push_member(&change.name, was, &mut before);
                    }
                }
                let braced = |members: &[u8]| format!("{{{}}}", String::from_utf8_lossy(members));
                document
                    .raw("values", &braced(&values))
                    .raw("before", &braced(&before))
            }
            Happening::Added(at, it) => document
                .raw("idx", &at.to_string())
                .raw("value", &resources.value_to_json(rid, it, self.depth)?),
            Happening::Removed(at, it) => document
                .raw("idx", &at.to_string())
                .raw("before", it.as_deref().unwrap_or("null")),
            Happening::Deleted => document,
            Happening::Unsubscribed(reason) => {
                let mut error = Vec::new();
                for (name, text) in [("code", &reason.code), ("message", &reason.message)] {
                    let mut string = Vec::new();
                    json::write_string(text, &mut string);
                    push_member(name, &String::from_utf8_lossy(&string), &mut error);
                }
                let error = String::from_utf8_lossy(&error);
                document.raw("reason", &format!("{{{error}}}"))
            }
            Happening::Custom(data) => document.raw("data", data),
        }
        .end())
    }
}

fn push_member(name: &str, raw: &str, out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
    json::write_string(name, out);
    out.push(b':');
    out.extend_from_slice(raw.as_bytes());
}

/// A JSON object that is being written.
struct Document {
    members: Vec<u8>,
}

impl Document {
    fn new(stamp: &Stamp, rid: &str, event: &str) -> Self {
        let members = Vec::new();
        Self { members }
            .text("time", &stamp.full)
            .text("rid", rid)
            .text("event", event)
    }

    fn text(self, name: &str, text: &str) -> Self {
        let mut string = Vec::new();
        json::write_string(text, &mut string);
        self.raw(name, &String::from_utf8_lossy(&string))
    }

    fn raw(mut self, name: &str, raw: &str) -> Self {
        push_member(name, raw, &mut self.members);
        self
    }

    fn end(self) -> String {
        let members = String::from_utf8_lossy(&self.members);
        Style::default().json(&format!("{{{members}}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(is_json: bool) -> Vec<String> {
        let stamp = Stamp {
            short: "15:40:11.003".into(),
            full: "2026-11-27T15:40:11.003+01:00".into(),
        };
        let form = Form {
            is_json,
            style: Style::default(),
            depth: 1,
        };
        let mut resources = Resources::default();
        resources
            .put(r#"{"models":{"m":{"a":1,"b":"x"}},"collections":{"c":[{"rid":"m"}]}}"#)
            .expect("a set");
        let mut lines = vec![form.state(&stamp, "c", &resources).expect("short")];
        for (rid, name, data) in [
            (
                "m",
                "change",
                r#"{"values":{"a":{"action":"delete"},"b":"\u003cy","z z":[1, 2]}}"#,
            ),
            (
                "c",
                "add",
                r#"{"idx":1,"value":{"rid":"n"},"models":{"n":{"k":null}}}"#,
            ),
            ("c", "remove", r#"{"idx":0}"#),
            ("c", "delete", "null"),
            ("c", "rang", "null"),
            ("c", "rang", r#"{"x": 1}"#),
            (
                "c",
                "unsubscribe",
                r#"{"reason":{"code":"system.accessDenied","message":"Access denied"}}"#,
            ),
        ] {
            let happening = resources.apply(rid, name, data).expect(name);
            let line = form.event(&stamp, rid, name, &happening, &resources);
            lines.push(line.expect("short"));
        }
        lines
    }

    #[test]
    fn people_read_a_line() {
        let expected = [
            r#"c state [{"rid":"m","model":{"a":1,"b":"x"}}]"#,
            r#"m change a: 1 -> (none), b: "x" -> "<y", z z: (none) -> [1,2]"#,
            r#"c add [1] {"rid":"n","model":{"k":null}}"#,
            r#"c remove [0] {"rid":"m"}"#,
            "c delete",
            "c rang",
            r#"c rang {"x":1}"#,
            "c unsubscribe Access denied (system.accessDenied)",
        ];
        let expected = expected.map(|line| format!("15:40:11.003 {line}"));
        assert_eq!(lines(false), expected);
    }

    #[test]
    fn scripts_read_a_document() {
        let expected = [
            r#""rid":"c","event":"state","collection":[{"rid":"m","model":{"a":1,"b":"x"}}]}"#,
            r#""rid":"m","event":"change","values":{"b":"<y","z z":[1,2]},"before":{"a":1,"b":"x"}}"#,
            r#""rid":"c","event":"add","idx":1,"value":{"rid":"n","model":{"k":null}}}"#,
            r#""rid":"c","event":"remove","idx":0,"before":{"rid":"m"}}"#,
            r#""rid":"c","event":"delete"}"#,
            r#""rid":"c","event":"rang","data":null}"#,
            r#""rid":"c","event":"rang","data":{"x":1}}"#,
            r#""rid":"c","event":"unsubscribe","reason":{"code":"system.accessDenied","message":"Access denied"}}"#,
        ];
        let time = r#"{"time":"2026-11-27T15:40:11.003+01:00","#;
        let expected = expected.map(|line| format!("{time}{line}"));
        assert_eq!(lines(true), expected);
    }
}
