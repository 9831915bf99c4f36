//! Server text made fit for a log line or an error message.

/// Longest text taken over into a message, in bytes of the source.
const MAX_SHOWN: usize = 256;

/// The text with control characters and invalid UTF-8 replaced, and cut when it is long.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let (shown, cut) = match bytes.get(..MAX_SHOWN) {
        Some(head) if bytes.len() > MAX_SHOWN => (head, true),
        _ => (bytes, false),
    };
    let mut text = String::with_capacity(shown.len() + 4);
    for c in String::from_utf8_lossy(shown).chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    if cut {
        text.push_str(" ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_log() {
        assert_eq!(
            printable(b"a\r\nb\x1b[1m \xff \xc3\xa9"),
            "a\\r\\nb\\u{1b}[1m \u{fffd} \u{e9}"
        );
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(printable(&[b'x'; MAX_SHOWN]), "x".repeat(MAX_SHOWN));
        assert_eq!(
            printable(&[b'x'; MAX_SHOWN + 1]),
            "x".repeat(MAX_SHOWN) + " ..."
        );
    }
}
