//! Writes responses.

use std::fmt;

use super::date::Date;
use super::fields;
use super::head::Version;

/// Whether a connection goes on after an answer, and how the answer says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It goes on, as HTTP/1.1 has it unless said otherwise.
    Keep,
    /// It goes on and the answer says so, for HTTP/1.0 clients.
    KeepStated,
    /// It is closed after the answer.
    Close,
}

impl Persistence {
    /// What a request asks for (RFC 9112, 9.3) that says `close`, or `keep-alive`.
    pub(super) fn new(version: Version, closes: bool, keeps: bool) -> Self {
        match version {
            _ if closes => Self::Close,
            Version::Http11 => Self::Keep,
            Version::Http10 if keeps => Self::KeepStated,
            Version::Http10 => Self::Close,
        }
    }

    /// Whether the connection goes on.
    pub fn is_kept(self) -> bool {
        self != Self::Close
    }
}

/// A header field that must not be written: its name is no token, or its value holds
/// a control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidField;

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("header field name is no token, or its value holds a control character")
    }
}

impl std::error::Error for InvalidField {}

/// Appends one response to an output: status line first, then fields, then the end.
#[derive(Debug)]
#[must_use = "a response without its end breaks the connection"]
pub struct ResponseWriter<'o> {
    out: &'o mut Vec<u8>,
    status: u16,
}

impl<'o> ResponseWriter<'o> {
    /// Writes the status line, `Date` and what is to be said of the connection.
    pub fn new(out: &'o mut Vec<u8>, status: u16, date: &Date, persistence: Persistence) -> Self {
        out.extend_from_slice(b"HTTP/1.1 ");
        write_number(out, usize::from(status));
        out.push(b' ');
        out.extend_from_slice(reason(status).as_bytes());
        out.extend_from_slice(b"\r\nDate: ");
        out.extend_from_slice(date);
        out.extend_from_slice(match persistence {
            Persistence::Keep => b"\r\n",
            Persistence::KeepStated => b"\r\nConnection: keep-alive\r\n",
            Persistence::Close => b"\r\nConnection: close\r\n",
        });
        Self { out, status }
    }

    /// Writes a field. Not for the fields that this type writes itself.
    ///
    /// # Errors
    ///
    /// Writes nothing if name or value could break out of the field.
    pub fn field(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidField> {
        write_field(self.out, name, value)
    }

    /// Writes the strong entity tag with these opaque characters, of which none is a quote.
    pub fn etag(&mut self, opaque: &[u8]) {
        self.out.extend_from_slice(b"ETag: \"");
        self.out.extend_from_slice(opaque);
        self.out.extend_from_slice(b"\"\r\n");
    }

    /// Writes a field that the program itself names and sets.
    pub fn constant(mut self, name: &'static str, value: &'static str) -> Self {
        self.line(name, value.as_bytes());
        self
    }

    /// Ends the response with a body.
    ///
    /// The answer to `HEAD` says the same of a body, but has none: `is_head`. A status
    /// that has no body (1xx, 204, 304) gets none either.
    pub fn body(mut self, content_type: &'static str, body: &[u8], is_head: bool) {
        if !has_body(self.status) {
            return self.empty();
        }
        self.line("Content-Type", content_type.as_bytes());
        self.end(body.len());
        if !is_head {
            self.out.extend_from_slice(body);
        }
    }

    /// Ends the head of a response whose body follows, and whose end shows by itself: by the
    /// last chunk of it (RFC 9112, 7.1), or by the end of the connection.
    pub fn stream(mut self, content_type: &'static str, is_chunked: bool) {
        self.line("Content-Type", content_type.as_bytes());
        if is_chunked {
            self.line("Transfer-Encoding", b"chunked");
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Ends the response without a body.
    pub fn empty(mut self) {
        self.end(0);
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        write_line(self.out, name.as_bytes(), value);
    }

    fn end(&mut self, length: usize) {
        if has_body(self.status) {
            self.out.extend_from_slice(b"Content-Length: ");
            write_number(self.out, length);
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends one field line of a head, its name in canonical form (`X-Foo`).
///
/// # Errors
///
/// Writes nothing if name or value could break out of the field.
pub fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), InvalidField> {
    let is_name = !name.is_empty() && name.bytes().all(fields::is_token_byte);
    if !is_name || !value.iter().copied().all(fields::is_value_byte) {
        return Err(InvalidField);
    }
    write_line(out, &fields::canonical(name.as_bytes()), value);
    Ok(())
}

fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Content type of what the API answers.
pub const JSON: &str = "application/json; charset=utf-8";
/// Content type of [`write_error`]'s bodies.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// The interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes the whole answer to a request that could not be read: the status as plain
/// text. The connection must be closed after it.
pub fn write_error(out: &mut Vec<u8>, status: u16, date: &Date) {
    let body = format!("{status} {}", reason(status));
    ResponseWriter::new(out, status, date, Persistence::Close).body(TEXT, body.as_bytes(), false);
}

/// The reason phrase of a status code; empty for unusual ones.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        423 => "Locked",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// Whether answers of this status may have a body (RFC 9110, 6.4.1).
fn has_body(status: u16) -> bool {
    status >= 200 && status != 204 && status != 304
}

fn write_number(out: &mut Vec<u8>, number: usize) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::date::imf_fixdate;

    const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

    fn text(write: impl FnOnce(&mut Vec<u8>, &Date)) -> String {
        let mut out = Vec::new();
        write(&mut out, &imf_fixdate(0));
        String::from_utf8(out).unwrap().replace(DATE, "D")
    }

    #[test]
    fn writes_whole_responses() {
        let with_body = |status, persistence, is_head| {
            text(|out, date| {
                let mut response = ResponseWriter::new(out, status, date, persistence);
                response.field("Vary", b"Origin").unwrap();
                response.body(JSON, b"{\"a\":1}", is_head);
            })
        };
        let fields = "Vary: Origin\r\nContent-Type: application/json; charset=utf-8\r\n\
                      Content-Length: 7\r\n\r\n";
        assert_eq!(
            with_body(200, Persistence::Keep, false),
            format!("HTTP/1.1 200 OK\r\nDate: D\r\n{fields}{{\"a\":1}}")
        );
        assert_eq!(
            with_body(404, Persistence::Close, true),
            format!("HTTP/1.1 404 Not Found\r\nDate: D\r\nConnection: close\r\n{fields}")
        );
        assert_eq!(
            with_body(204, Persistence::KeepStated, false),
            "HTTP/1.1 204 No Content\r\nDate: D\r\nConnection: keep-alive\r\nVary: Origin\r\n\r\n"
        );
        assert_eq!(
            text(|out, date| ResponseWriter::new(out, 200, date, Persistence::Keep).empty()),
            "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(
            text(|out, date| ResponseWriter::new(out, 299, date, Persistence::Keep).empty()),
            "HTTP/1.1 299 \r\nDate: D\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(
            text(|out, date| write_error(out, 431, date)),
            "HTTP/1.1 431 Request Header Fields Too Large\r\nDate: D\r\nConnection: close\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: 35\r\n\r\n\
             431 Request Header Fields Too Large"
        );
    }

    #[test]
    fn every_status_of_the_standards_has_words() {
        // RFC 9110, 15, without what is unused; 423, 425, 428 and following of other RFCs.
        let statuses = [100, 101].into_iter().chain([200, 204]).chain(300..=304);
        let statuses = statuses
            .chain([307, 308])
            .chain(400..=417)
            .chain([422, 423]);
        let others = [425, 426, 428, 429, 431, 451];
        for status in statuses.chain(others).chain(500..=505) {
            let response = text(|out, date| write_error(out, status, date));
            let line = response.lines().next().unwrap_or_default();
            let words = line.strip_prefix(&*format!("HTTP/1.1 {status} "));
            assert!(words.is_some_and(|words| !words.is_empty()), "{line}");
        }
    }

    #[test]
    fn refuses_fields_that_break_out() {
        let mut out = Vec::new();
        let mut response = ResponseWriter::new(&mut out, 200, &imf_fixdate(0), Persistence::Keep);
        for (name, value) in [
            ("", &b"x"[..]),
            ("a b", b"x"),
            ("a:", b"x"),
            ("a\r\nb", b"x"),
            ("a", b"x\r\nb: c"),
            ("a", b"x\n"),
            ("a", b"x\r"),
            ("a", b"\0"),
            ("a", b"\x7f"),
        ] {
            assert_eq!(response.field(name, value), Err(InvalidField), "{name:?}");
        }
        assert_eq!(response.field("Location", "/\u{f6}\tx".as_bytes()), Ok(()));
        response.empty();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("\r\n").count(), 5, "{text}");
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [0, 7, 10, 1_048_576, usize::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
