//! Subjects and patterns of subjects.

/// The tokens of a subject or pattern.
pub(super) fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|&b| b == b'.')
}

/// Whether a subscription may have this pattern: no token is empty, and `>` is the last.
pub(super) fn is_pattern(pattern: &[u8]) -> bool {
    let mut tokens = tokens(pattern).peekable();
    while let Some(token) = tokens.next() {
        if token.is_empty() || token == b">" && tokens.peek().is_some() {
            return false;
        }
    }
    true
}

/// Whether a pattern has a wildcard.
pub(super) fn has_wildcard(pattern: &[u8]) -> bool {
    tokens(pattern).any(|token| matches!(token, b"*" | b">"))
}

/// Whether a client that wants to be told may publish to the subject.
pub(super) fn is_literal(subject: &[u8]) -> bool {
    tokens(subject).all(|token| !token.is_empty() && !matches!(token, b"*" | b">"))
}

/// Whether a pattern covers a subject. Wildcards of the subject are tokens like any others.
pub(super) fn covers(pattern: &[u8], subject: &[u8]) -> bool {
    let mut subject = tokens(subject);
    for token in tokens(pattern) {
        match (token, subject.next()) {
            (_, None | Some(b"")) => return false,
            (b">", Some(_)) => return true,
            (b"*", Some(_)) => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, is_allowed, has_wild, is_plain) in [
            ("a", true, false, true),
            ("a.b", true, false, true),
            ("a.*", true, true, false),
            ("a.>", true, true, false),
            (">", true, true, false),
            ("*.a", true, true, false),
            ("a*.b>", true, false, true),
            (">.a", false, true, false),
            ("a..b", false, false, false),
            (".a", false, false, false),
            ("a.", false, false, false),
            ("", false, false, false),
        ] {
            let bytes = pattern.as_bytes();
            assert_eq!(is_pattern(bytes), is_allowed, "{pattern}");
            assert_eq!(has_wildcard(bytes), has_wild, "{pattern}");
            assert_eq!(is_literal(bytes), is_plain, "{pattern}");
        }
    }

    #[test]
    fn what_a_pattern_covers() {
        for (pattern, subject, is_covered) in [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.*", "a", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("*.b", "a.b", true),
            ("a.>", "a.>", true),
            ("a.*", "a.*", true),
            ("a.b", "a.*", false),
            ("a.*", "a.", false),
        ] {
            let covered = covers(pattern.as_bytes(), subject.as_bytes());
            assert_eq!(covered, is_covered, "{pattern} {subject}");
        }
    }
}
