//! Paths of web resources: from a path to a resource ID and back.

/// The resource name that a path below the API means, its parts decoded. A part may
/// bring an encoded dot or question mark with it.
pub fn path_to_id(path: &str) -> Option<String> {
    if path.contains('.') || path.ends_with('/') {
        return None;
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut id = String::with_capacity(path.len());
    for (i, part) in path.split('/').enumerate() {
        if i > 0 {
            id.push('.');
        }
        id.push_str(&percent_decode(part)?);
    }
    Some(id)
}

/// Adds the query of a request target, undecoded, to a resource name.
pub fn with_query(mut id: String, query: Option<&str>) -> String {
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        id.push('?');
        id.push_str(query);
    }
    id
}

/// Decodes one part of a path; `None` if that gives no text.
pub fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(decoded).ok()
}

/// The path of a resource: its name's parts divided by slashes, all else encoded so that
/// [`path_to_id`] finds it again.
pub fn id_to_path(api_path: &str, id: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut path = String::with_capacity(api_path.len() + id.len());
    path.push_str(api_path);
    let mut in_query = false;
    for byte in id.bytes() {
        match byte {
            b'.' if !in_query => path.push('/'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => path.push(char::from(byte)),
            b'-' | b'_' | b'~' | b'$' | b'&' | b'+' | b'=' | b':' | b'@' => {
                path.push(char::from(byte));
            }
            _ => {
                in_query |= byte == b'?';
                path.push('%');
                path.push(char::from(DIGITS[usize::from(byte >> 4)]));
                path.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_resources() {
        for (path, id) in [
            ("a", Some("a")),
            ("a/b", Some("a.b")),
            ("/a/b", Some("a.b")),
            ("a%2Fb/c", Some("a/b.c")),
            ("a%2Eb", Some("a.b")),
            ("a%3Fq=1", Some("a?q=1")),
            ("%2541", Some("%41")),
            ("a/b/", None),
            ("a.b", None),
            ("a%zz", None),
            ("a%4", None),
            ("%ff", None),
        ] {
            assert_eq!(path_to_id(path).as_deref(), id, "{path}");
        }
        assert_eq!(with_query("a".into(), Some("")), "a");
        assert_eq!(with_query("a".into(), Some("x=1?y")), "a?x=1?y");
    }

    #[test]
    fn resources_have_paths_that_lead_back() {
        for (id, path) in [
            ("a.b", "/api/a/b"),
            ("a.b?q=x.y", "/api/a/b%3Fq=x%2Ey"),
            ("a/b.c%", "/api/a%2Fb/c%25"),
            ("a.$&+=:@-_~", "/api/a/$&+=:@-_~"),
            ("a.,;!", "/api/a/%2C%3B%21"),
        ] {
            assert_eq!(id_to_path("/api/", id), path);
            assert_eq!(path_to_id(&path["/api/".len()..]).as_deref(), Some(id));
        }
    }
}
