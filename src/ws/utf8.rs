//! UTF-8 that comes in pieces.

/// The text is not UTF-8, whatever may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// Checks the front of a growing text, and gives how far it is checked: up to its end,
/// or up to a last character that is not complete yet.
pub(super) fn check(text: &[u8], checked: usize) -> Result<usize, Invalid> {
    match str::from_utf8(&text[checked..]) {
        Ok(_) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(checked + error.valid_up_to()),
        Err(_) => Err(Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds single bytes; gives at which byte it failed, or if the end is between
    /// characters.
    fn feed(text: &[u8]) -> Result<bool, usize> {
        let mut checked = 0;
        for end in 1..=text.len() {
            checked = check(&text[..end], checked).map_err(|Invalid| end)?;
        }
        Ok(checked == text.len())
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_be() {
        let table: [(&[u8], Result<bool, usize>); 12] = [
            (b"", Ok(true)),
            (b"abc", Ok(true)),
            ("\u{f6}\u{20ac}\u{1f600}".as_bytes(), Ok(true)),
            (b"a\xc3", Ok(false)),
            (b"\xe2\x82", Ok(false)),
            (b"\xf0\x9f\x98", Ok(false)),
            (b"ab\x80", Err(3)),
            (b"\xc3a", Err(2)),
            (b"\xc0\x80", Err(1)),
            (b"\xed\xa0\x80", Err(2)),
            (b"\xf4\x90\x80\x80", Err(2)),
            (b"\xe2\x82\xffa", Err(3)),
        ];
        for (text, expected) in table {
            assert_eq!(feed(text), expected, "{text:?}");
        }
    }
}
