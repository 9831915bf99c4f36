//! Resource name patterns of system events (RES-Service protocol, "Resource name pattern").

use super::rid::is_token;

/// A parsed pattern: parts divided by dots, `*` for any part, a last `>` for any tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    wild: bool,
}

impl Pattern {
    /// Reads a pattern; `None` when it is not valid.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').peekable();
        let mut wild = false;
        while let Some(part) = parts.next() {
            match part {
                "*" => wild = true,
                ">" if parts.peek().is_none() => wild = true,
                _ if is_token(part) => {}
                _ => return None,
            }
        }
        Some(Self {
            text: text.into(),
            wild,
        })
    }

    /// The one name that it matches, if it has no wildcard.
    pub fn exact(&self) -> Option<&str> {
        (!self.wild).then_some(&self.text)
    }

    /// Whether a resource name matches.
    pub fn matches(&self, name: &str) -> bool {
        if !self.wild {
            return *self.text == *name;
        }
        let mut parts = name.split('.');
        for pattern in self.text.split('.') {
            match (pattern, parts.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (literal, Some(part)) if literal != part => return false,
                _ => {}
            }
        }
        parts.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_by_parts() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.B", false),
            ("a.b", "a", false),
            ("a.b", "a.b.c", false),
            ("*", "a", true),
            ("*", "a.b", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.c", false),
            ("a.*", "a.b", true),
            ("a.*", "ab.b", false),
            (">", "a", true),
            (">", "a.b.c", true),
            ("a.>", "a", false),
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            ("*.b.>", "a.b.c.d", true),
            ("*.b.>", "a.b", false),
        ] {
            let parsed = Pattern::parse(pattern).expect(pattern);
            assert_eq!(parsed.matches(name), expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn refuses_what_is_no_pattern() {
        for text in [
            "", ".", "a.", "a..b", "a*", "*a", ">a", "a.>.b", ">.", "a b", "a?", "å",
        ] {
            assert_eq!(Pattern::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn knows_whether_it_names_one_resource() {
        assert_eq!(Pattern::parse("a.b").unwrap().exact(), Some("a.b"));
        assert_eq!(Pattern::parse("a.*").unwrap().exact(), None);
    }
}
