//! Resource IDs, resource names and method names (RES protocol, "Resource IDs").

use std::borrow::Cow;

/// The tag that clients write for their connection ID, which they never learn.
pub const CID_TAG: &str = "{cid}";

/// What the IDs of the gateway's own resources begin with. What is referenced is sent without a
/// question of access, so that no resource may reference them; only softly.
pub const RESERVED: &str = "$tidegate.";

/// A resource ID in its two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rid<'a> {
    /// The resource name: non-empty parts divided by dots.
    pub name: &'a str,
    /// What follows the first `?`; `Some("")` for an ID that ends with it.
    pub query: Option<&'a str>,
}

impl<'a> Rid<'a> {
    /// Reads a resource ID; `None` when its name is not valid.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (name, query) = match text.bytes().position(|byte| byte == b'?') {
            Some(place) => (&text[..place], Some(&text[place + 1..])),
            None => (text, None),
        };
        is_name(name).then_some(Self { name, query })
    }
}

/// Whether a text is a resource name.
pub fn is_name(text: &str) -> bool {
    let mut in_part = false;
    for byte in text.bytes() {
        // A dot ends a part, which must have begun.
        let is_end = byte == b'.';
        if !(is_end && in_part || is_token_byte(byte)) {
            return false;
        }
        in_part = !is_end;
    }
    in_part
}

/// Whether a text is a method or event name: one part of a name.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether a text that a service chose can be published to: parts of visible characters,
/// none of them a wildcard.
pub fn is_subject(text: &str) -> bool {
    let is_part = |part: &str| {
        !matches!(part, "" | "*" | ">") && part.bytes().all(|byte| (33..=126).contains(&byte))
    };
    text.split('.').all(is_part)
}

fn is_token_byte(byte: u8) -> bool {
    (33..=126).contains(&byte) && !matches!(byte, b'?' | b'*' | b'>' | b'.')
}

/// Replaces every connection ID tag.
pub fn expand_cid<'a>(text: &'a str, cid: &str) -> Cow<'a, str> {
    if has_cid_tag(text) {
        Cow::Owned(text.replace(CID_TAG, cid))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether a text holds a connection ID tag.
pub fn has_cid_tag(text: &str) -> bool {
    // Few IDs have a brace, and one byte is found faster than five.
    text.as_bytes().contains(&b'{') && text.contains(CID_TAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_question_mark() {
        for (text, name, query) in [
            ("a", "a", None),
            ("a.b", "a.b", None),
            ("a.b?", "a.b", Some("")),
            ("a.b?x=1.c?*>", "a.b", Some("x=1.c?*>")),
            ("a.{cid}.~!#", "a.{cid}.~!#", None),
            ("a? å", "a", Some(" å")),
        ] {
            assert_eq!(Rid::parse(text), Some(Rid { name, query }), "{text}");
        }
    }

    #[test]
    fn refuses_names_that_a_subject_cannot_hold() {
        for text in [
            "", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "a.b\n", "å", "?x", "a.\u{7f}", "a\0",
        ] {
            assert_eq!(Rid::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn subjects_cannot_break_out_of_their_line() {
        for text in ["a", "_INBOX.a?b", "a*.b"] {
            assert!(is_subject(text), "{text:?}");
        }
        for text in ["", "a.", "a b", "a\r\nPUB x", "a.*", ">", "a.\u{e9}", "a\t"] {
            assert!(!is_subject(text), "{text:?}");
        }
    }

    #[test]
    fn expands_every_tag() {
        assert_eq!(expand_cid("a.{cid}?u={cid}", "x1"), "a.x1?u=x1");
        assert!(matches!(expand_cid("a.b", "x1"), Cow::Borrowed("a.b")));
    }
}
