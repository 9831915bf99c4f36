//! The opening handshake, from the client's side (RFC 6455, 4.1).

use std::fmt;

use super::handshake::{accept_key, base64};

/// Most that the head of an answer may have, in bytes.
pub const HEAD_MAX: usize = 16 << 10;

/// Header lines that an answer may have.
const FIELDS_MAX: usize = 100;

/// The key of a request, made of bytes that nobody can foresee.
pub fn key(nonce: [u8; 16]) -> [u8; 24] {
    base64(&nonce)
}

/// Appends the request for a WebSocket. `fields` are further lines of its head.
///
/// The caller answers for target, host and fields: none of them has a line end in it.
pub fn write_request(
    target: &str,
    host: &str,
    key: &[u8; 24],
    fields: &[(String, String)],
    out: &mut Vec<u8>,
) {
    for part in ["GET ", target, " HTTP/1.1\r\nHost: ", host] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(
        b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: ",
    );
    out.extend_from_slice(key);
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The head of a server's answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The connection is a WebSocket from here on.
    Opened {
        /// Bytes of the head.
        consumed: usize,
    },
    /// It is none.
    Refused {
        /// The status code.
        status: u16,
        /// Its reason.
        reason: String,
        /// Where else to go.
        location: Option<String>,
        /// Bytes of the body, if the head says it.
        length: Option<usize>,
        /// Bytes of the head.
        consumed: usize,
    },
}

/// What answers is no WebSocket server.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It does not speak HTTP/1.1.
    NoHttp,
    /// The head is too long.
    TooLong,
    /// The answer does not belong to the key.
    Key,
    /// It insists on an extension or a protocol that was not offered.
    Extension,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHttp => "what answers there does not speak HTTP",
            Self::TooLong => "what answers there sends an HTTP head of more than 16 KiB",
            Self::Key => "what answers there is no WebSocket server: its proof is wrong",
            Self::Extension => "the WebSocket server wants an extension that was not offered",
        })
    }
}

impl std::error::Error for Failure {}

/// Reads the answer to the request with this key; `None` while its head is incomplete.
///
/// # Errors
///
/// It is no answer to that.
pub fn read_answer(input: &[u8], key: &[u8; 24]) -> Result<Option<Answer>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let consumed = match head.parse(input) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) if input.len() > HEAD_MAX => return Err(Failure::TooLong),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Failure::TooLong),
        Err(_) => return Err(Failure::NoHttp),
    };
    let field = |name: &str| {
        let mut fields = head.headers.iter();
        let found = fields.find(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| field.value.trim_ascii())
    };
    let text = |name| field(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let status = head.code.unwrap_or_default();
    if status != 101 {
        return Ok(Some(Answer::Refused {
            status,
            reason: head.reason.unwrap_or_default().to_owned(),
            location: text("location"),
            length: text("content-length").and_then(|length| length.parse().ok()),
            consumed,
        }));
    }
    let is_upgrade = field("upgrade").is_some_and(|it| it.eq_ignore_ascii_case(b"websocket"));
    if !is_upgrade || field("sec-websocket-accept") != Some(&accept_key(key)) {
        return Err(Failure::Key);
    }
    let adds = ["sec-websocket-extensions", "sec-websocket-protocol"];
    if adds
        .iter()
        .any(|name| field(name).is_some_and(|it| !it.is_empty()))
    {
        return Err(Failure::Extension);
    }
    Ok(Some(Answer::Opened { consumed }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Head;
    use crate::ws::handshake;

    const KEY: &[u8; 24] = b"dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_key_is_that_of_the_rfc() {
        assert_eq!(&key(*b"the sample nonce"), KEY);
    }

    /// Both sides of the handshake meet, with the answer cut at every byte.
    #[test]
    fn our_server_takes_the_request_and_its_answer_is_taken() {
        let mut request = Vec::new();
        let fields = [("X-Token".to_owned(), "a b".to_owned())];
        write_request("/ws?x=1", "h:8080", KEY, &fields, &mut request);
        let head = Head::parse(&request).expect("a request");
        assert_eq!(head.field("x-token"), Some(&b"a b"[..]));
        assert_eq!((head.path(), head.query()), ("/ws", Some("x=1")));
        let proof = handshake::check(&head, true).expect("one for a WebSocket");
        let mut answer = Vec::new();
        handshake::write_accept(proof, None, b"X-Y: z\r\n", &mut answer);
        let whole = answer.len();
        answer.extend_from_slice(b"\x81\x00");
        for end in 0..=answer.len() {
            let expected = (end >= whole).then_some(Answer::Opened { consumed: whole });
            assert_eq!(read_answer(&answer[..end], KEY), Ok(expected), "{end}");
        }
        let other = key([0; 16]);
        assert_eq!(read_answer(&answer, &other), Err(Failure::Key));
    }

    #[test]
    fn others_answer_something_else() {
        let refused = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 3\r\n\r\nabc";
        let expected = Answer::Refused {
            status: 302,
            reason: "Found".to_owned(),
            location: Some("/x".to_owned()),
            length: Some(3),
            consumed: refused.len() - 3,
        };
        assert_eq!(read_answer(refused, KEY), Ok(Some(expected)));
        let accept = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: \
                      s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let extended = format!("{accept}Sec-WebSocket-Extensions: x\r\n\r\n");
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_MAX));
        let many = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(FIELDS_MAX + 1));
        for (text, failure) in [
            ("SSH-2.0-x\r\n", Failure::NoHttp),
            ("HTTP/1.1 101 X\r\n\r\n", Failure::Key),
            (&extended, Failure::Extension),
            (&long, Failure::TooLong),
            (&many, Failure::TooLong),
        ] {
            assert_eq!(read_answer(text.as_bytes(), KEY), Err(failure), "{text}");
        }
    }
}
