//! Leaves out of a page, when it is compiled in, what only its authors need.

/// A text without indentation, empty lines, and comments on lines of their own, and how long it
/// is; as much of it as there is room for. Comments at the beginning of a line stay, if they
/// begin with two slashes: they say what a file is.
pub(crate) const fn squeeze<const N: usize>(text: &[u8]) -> ([u8; N], usize) {
    let mut out = [0; N];
    let mut len = 0;
    let mut at = 0;
    while at < text.len() {
        let begin = at;
        while at < text.len() && text[at] == b' ' {
            at += 1;
        }
        let is_left_out = is_comment(text, at, at > begin) || at < text.len() && text[at] == b'\n';
        while at < text.len() {
            let byte = text[at];
            if !is_left_out {
                if len < N {
                    out[len] = byte;
                }
                len += 1;
            }
            at += 1;
            if byte == b'\n' {
                break;
            }
        }
    }
    (out, len)
}

/// Whether a line is a comment, or part of one, behind its indentation.
const fn is_comment(text: &[u8], at: usize, is_indented: bool) -> bool {
    if at + 1 >= text.len() {
        return false;
    }
    match (text[at], text[at + 1]) {
        (b'/', b'/') => is_indented,
        (b'/', b'*') | (b'*', b' ' | b'/' | b'\n') => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_left() {
        const TEXT: &[u8] =
            b"// What it is.\n\n/** Says\n * more.\n *\n */\nfunction f() {\n  // why\n  \
                              return 1; // one\n}\n*, a { b: c; }\n    /* d */\n   e";
        const LEN: usize = squeeze::<0>(TEXT).1;
        const OUT: [u8; LEN] = squeeze(TEXT).0;
        let expected = "// What it is.\nfunction f() {\nreturn 1; // one\n}\n*, a { b: c; }\ne";
        assert_eq!(std::str::from_utf8(&OUT), Ok(expected));
        assert_eq!(squeeze::<3>(TEXT), (*b"// ", LEN));
    }
}
