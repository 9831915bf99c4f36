//! A request's head: request line and header fields, borrowed from the bytes received.

use super::fields;

/// The HTTP version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// A request head, from the method to the empty line.
///
/// Fields are looked up by walking the bytes: a head is short, is asked for few names,
/// and can so be kept as nothing but its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    bytes: &'a [u8],
    method: &'a str,
    target: &'a str,
    version: Version,
    fields: &'a [u8],
}

impl<'a> Head<'a> {
    /// Takes apart a head that [`RequestReader`](super::RequestReader) has accepted, for
    /// example one that was stored.
    ///
    /// It checks the shape of the request line only, and gives `None` if that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let line = str::from_utf8(&bytes[..end]).ok()?;
        let (method, rest) = line.split_once(' ')?;
        let (target, version) = rest.split_once(' ')?;
        let version = match version {
            "HTTP/1.1" => Version::Http11,
            "HTTP/1.0" => Version::Http10,
            _ => return None,
        };
        Some(Self {
            bytes,
            method,
            target,
            version,
            fields: &bytes[end + 2..],
        })
    }

    /// The head as received, with its empty line.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The method, as sent (methods are case-sensitive).
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The request target, as sent.
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The version of the request line.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The target's path, still percent-encoded: it begins with `/`, or is `*`.
    pub fn path(&self) -> &'a str {
        let rest = self.origin_form();
        match rest.split_once('?').map_or(rest, |(path, _)| path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the first `?` of the target, undecoded; `None` if there is no `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.origin_form().split_once('?').map(|(_, query)| query)
    }

    /// The host asked for: that of an absolute target (RFC 9112, 3.2.2), otherwise the
    /// `Host` field; empty if there is none.
    pub fn host(&self) -> &'a [u8] {
        match split_absolute(self.target) {
            Some((authority, _)) => authority.as_bytes(),
            None => self.field("host").unwrap_or_default(),
        }
    }

    /// The value of the first field line of this name (in any letter case).
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.field_lines(name).next()
    }

    /// The values of all field lines of this name (in any letter case), in order.
    pub fn field_lines(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_bytes();
        self.fields()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All field lines in order: name as sent, value without the white space around it.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.fields;
        std::iter::from_fn(move || {
            let end = fields::find(rest, b'\r')?;
            let line = &rest[..end];
            rest = rest.get(end + 2..).unwrap_or_default();
            let colon = fields::find(line, b':')?;
            Some((&line[..colon], fields::trim(&line[colon + 1..])))
        })
    }

    /// Whether the comma-separated field `name` has this token, in any letter case and
    /// on any of its lines.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.field_lines(name)
            .flat_map(fields::list)
            .any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The target without scheme and authority.
    fn origin_form(&self) -> &'a str {
        split_absolute(self.target).map_or(self.target, |(_, rest)| rest)
    }
}

/// Divides an absolute target into authority and the rest, `None` for other targets.
pub(super) fn split_absolute(target: &str) -> Option<(&str, &str)> {
    if target.starts_with('/') {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_target_apart() {
        let table = [
            ("/", "/", None, "h"),
            ("/a/b?x=1?y", "/a/b", Some("x=1?y"), "h"),
            ("/a?", "/a", Some(""), "h"),
            ("/a?u=http://o/p", "/a", Some("u=http://o/p"), "h"),
            ("*", "*", None, "h"),
            ("http://o:81/p/q?r", "/p/q", Some("r"), "o:81"),
            ("HTTPS://o", "/", None, "o"),
            ("http://o?r", "/", Some("r"), "o"),
        ];
        for (target, path, query, host) in table {
            let text = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            let head = Head::parse(text.as_bytes()).unwrap();
            assert_eq!(head.target(), target);
            assert_eq!(head.path(), path, "{target}");
            assert_eq!(head.query(), query, "{target}");
            assert_eq!(head.host(), host.as_bytes(), "{target}");
        }
    }

    #[test]
    fn finds_fields_and_tokens() {
        let text = b"POST /x HTTP/1.0\r\nA: 1\r\nconnection: keep-alive,\tUpgrade \r\na:\t2 \r\n\
                     Empty:\r\n\r\n";
        let head = Head::parse(text).unwrap();
        assert_eq!((head.method(), head.version()), ("POST", Version::Http10));
        assert_eq!(head.field("A"), Some(&b"1"[..]));
        assert_eq!(head.field_lines("a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(head.field("empty"), Some(&b""[..]));
        assert_eq!(head.field("nothing"), None);
        assert_eq!(head.fields().count(), 4);
        assert!(head.has_token("Connection", "upgrade"));
        assert!(head.has_token("Connection", "Keep-Alive"));
        assert!(!head.has_token("Connection", "keep"));
        assert_eq!(head.host(), b"");
    }

    #[test]
    fn refuses_what_is_no_head() {
        for text in [
            "",
            "GET / HTTP/1.1",
            "GET /\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
        ] {
            assert!(Head::parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
