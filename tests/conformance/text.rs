//! Words, quotes and escapes of scenario lines.

use crate::json::Json;

/// The first word and the rest.
pub fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim_start())
}

pub fn quote(text: &str) -> String {
    Json::Text(text.to_owned()).to_string()
}

/// Bytes of a text in which `\r`, `\n`, `\t`, `\s` (space), `\xNN` and `\*N*text*`
/// (the text N times) stand for bytes. Any other backslash is itself, so that JSON needs
/// no more of them; JSON's own `\n` and the like are written `\u000a`.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let after = &rest[at + 1..];
        let used = match after.chars().next() {
            Some('r') => {
                out.push(b'\r');
                1
            }
            Some('n') => {
                out.push(b'\n');
                1
            }
            Some('t') => {
                out.push(b'\t');
                1
            }
            Some('s') => {
                out.push(b' ');
                1
            }
            Some('x') => {
                let digits = after.get(1..3).unwrap_or_default();
                let byte = u8::from_str_radix(digits, 16)
                    .map_err(|_| format!("bad escape \\x{digits}"))?;
                out.push(byte);
                3
            }
            Some('*') => {
                let mut parts = after[1..].splitn(3, '*');
                let (count, what) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
                let times: usize = count.parse().map_err(|_| "bad repetition".to_owned())?;
                out.extend_from_slice(what.repeat(times).as_bytes());
                count.len() + what.len() + 3
            }
            _ => {
                out.push(b'\\');
                0
            }
        };
        rest = &after[used.min(after.len())..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

#[test]
fn escapes_are_bytes() {
    let cases: [(&str, &[u8]); 4] = [
        (r"a\r\nb", b"a\r\nb"),
        (r"\x00\xff", &[0, 255]),
        (r"<\*3*ab*>", b"<ababab>"),
        (r#""\u0061""#, br#""\u0061""#),
    ];
    for (text, bytes) in cases {
        assert_eq!(unescape(text).as_deref(), Ok(bytes), "{text}");
    }
}
