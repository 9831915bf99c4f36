//! What a server refuses though it keeps the connection, read from its words.

/// An operation that a server has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A subscription, for want of permission.
    Subscription {
        /// Its subject.
        subject: Vec<u8>,
        /// Its ID, which servers name when they take a permission away later.
        sid: Option<u64>,
    },
    /// A message, for want of permission for its subject or its reply subject: this one.
    Publish(Vec<u8>),
    /// One of the subscriptions since the last `PONG`, since there are too many.
    TooMany,
    /// Something that the words do not name.
    Unnamed,
}

impl Refused {
    /// Reads the words of an `-ERR`; `None` if it is one that ends the connection.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let begins = |words: &str| lower.starts_with(words.as_bytes());
        if begins("permissions violation") {
            return Some(permission(text, &lower).unwrap_or(Self::Unnamed));
        }
        if begins("maximum subscriptions exceeded") {
            return Some(Self::TooMany);
        }
        (begins("invalid subject") || begins("invalid publish")).then_some(Self::Unnamed)
    }
}

fn permission(text: &[u8], lower: &[u8]) -> Option<Refused> {
    let behind = |words: &str| {
        let at = lower.strip_prefix(words.as_bytes())?.len();
        quoted(&text[text.len() - at..])
    };
    if let Some((subject, rest)) = behind("permissions violation for subscription to ") {
        let sid = rest.strip_prefix(b" (sid ").and_then(quoted);
        let sid = sid.and_then(|(digits, _)| std::str::from_utf8(&digits).ok()?.parse().ok());
        return Some(Refused::Subscription { subject, sid });
    }
    let (subject, _) = behind("permissions violation for publish to ")
        .or_else(|| behind("permissions violation for publish with reply of "))?;
    Some(Refused::Publish(subject))
}

/// A text in double quotes, as Go writes it, and what follows it.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut found = Vec::with_capacity(rest.len());
    loop {
        let (first, behind) = rest.split_first()?;
        rest = behind;
        match first {
            b'"' => return Some((found, rest)),
            b'\\' => rest = escaped(rest, &mut found)?,
            byte => found.push(*byte),
        }
    }
}

/// Takes what follows a backslash; what is left.
fn escaped<'t>(text: &'t [u8], found: &mut Vec<u8>) -> Option<&'t [u8]> {
    let (kind, rest) = text.split_first()?;
    let digits = match kind {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        _ => {
            found.push(match kind {
                b'a' => 7,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 11,
                b'f' => 12,
                b'r' => b'\r',
                other => *other,
            });
            return Some(rest);
        }
    };
    let (number, rest) = rest.split_at_checked(digits)?;
    let number = std::str::from_utf8(number).ok()?;
    let number = u32::from_str_radix(number, 16).ok()?;
    if *kind == b'x' {
        found.push(u8::try_from(number).ok()?);
    } else {
        let mut room = [0; 4];
        let char = char::from_u32(number)?.encode_utf8(&mut room);
        found.extend_from_slice(char.as_bytes());
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(subject: &[u8], sid: Option<u64>) -> Option<Refused> {
        let subject = subject.to_vec();
        Some(Refused::Subscription { subject, sid })
    }

    fn publish(subject: &[u8]) -> Option<Refused> {
        Some(Refused::Publish(subject.to_vec()))
    }

    #[test]
    fn words_of_servers() {
        let table = [
            (
                r#"Permissions Violation for Subscription to "event.a.*""#,
                subscription(b"event.a.*", None),
            ),
            (
                r#"permissions violation for subscription to "a" using queue "q""#,
                subscription(b"a", None),
            ),
            (
                r#"Permissions Violation for Subscription to "a.>" (sid "4294967299")"#,
                subscription(b"a.>", Some(4_294_967_299)),
            ),
            (
                r#"Permissions Violation for Subscription to "a.>" (sid "x")"#,
                subscription(b"a.>", None),
            ),
            (
                r#"Permissions Violation for Publish to "call.a\"b\\c\u00ad\x00\xff\tz.x""#,
                publish(b"call.a\"b\\c\xc2\xad\0\xff\tz.x"),
            ),
            (
                r#"Permissions Violation for Publish to "call.é.\U0001F600""#,
                publish("call.é.😀".as_bytes()),
            ),
            (
                r#"Permissions Violation for Publish with Reply of "_INBOX.x.1""#,
                publish(b"_INBOX.x.1"),
            ),
            ("Permissions Violation", Some(Refused::Unnamed)),
            ("maximum subscriptions exceeded", Some(Refused::TooMany)),
            ("Invalid Subject", Some(Refused::Unnamed)),
            ("Invalid Publish Subject", Some(Refused::Unnamed)),
            ("Maximum Payload Violation", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(Refused::read(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn words_cut_anywhere_name_nothing_or_the_same() {
        let text = br#"Permissions Violation for Publish to "a\u00ad\xff\\.b""#;
        for cut in 0..text.len() {
            let read = Refused::read(&text[..cut]);
            assert!(
                matches!(read, None | Some(Refused::Unnamed)),
                "{cut}: {read:?}"
            );
        }
    }
}
