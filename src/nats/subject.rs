//! What may stand as a subject on a control line.
//!
//! A server in its usual mode takes what a client writes on trust: a space inside a
//! subject shifts the arguments, and a line end starts another command. Whoever lets
//! others choose subjects checks them here first.

/// Whether a message can be published to the subject, or answered on it.
///
/// True for one or more tokens divided by dots, none of them empty or a wildcard, without
/// white space and control characters. Length is not looked at: servers limit the whole
/// control line.
pub fn is_publishable(subject: &[u8]) -> bool {
    subject
        .split(|&b| b == b'.')
        .all(|token| is_token(token) && token != b"*" && token != b">")
}

/// Whether the subject can be subscribed to.
///
/// As [`is_publishable`], but a token may be `*`, and the last one `>`.
pub fn is_subscribable(subject: &[u8]) -> bool {
    let mut tokens = subject.split(|&b| b == b'.').peekable();
    while let Some(token) = tokens.next() {
        if !is_token(token) || (token == b">" && tokens.peek().is_some()) {
            return false;
        }
    }
    true
}

fn is_token(token: &[u8]) -> bool {
    !token.is_empty() && token.iter().all(|&b| b > b' ' && b != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        // subject, publishable, subscribable
        let table: &[(&[u8], bool, bool)] = &[
            (b"a", true, true),
            (b"a.b.c", true, true),
            (b"_INBOX.x", true, true),
            (b"$SYS.REQ", true, true),
            (b"a-b_c:d/e?f=1&g", true, true),
            ("h\u{e9}.\u{4e16}".as_bytes(), true, true),
            // Wildcards count only as whole tokens.
            (b"a*", true, true),
            (b"a.b>", true, true),
            (b"**", true, true),
            (b"*", false, true),
            (b">", false, true),
            (b"a.*.c", false, true),
            (b"a.>", false, true),
            (b">.a", false, false),
            (b"a.>.b", false, false),
            (b"", false, false),
            (b".", false, false),
            (b".a", false, false),
            (b"a.", false, false),
            (b"a..b", false, false),
            (b"a b", false, false),
            (b" a", false, false),
            (b"a\tb", false, false),
            (b"a\r\nPUB b 0\r\n\r\n", false, false),
            (b"a\nb", false, false),
            (b"a\rb", false, false),
            (b"a\0b", false, false),
            (b"a\x0bb", false, false),
            (b"a\x7fb", false, false),
        ];
        for &(subject, publishable, subscribable) in table {
            let shown = subject.escape_ascii();
            assert_eq!(is_publishable(subject), publishable, "publish {shown}");
            assert_eq!(is_subscribable(subject), subscribable, "subscribe {shown}");
        }
    }
}
