//! What clients of the broker are sent, appended to their output.

use std::net::IpAddr;

/// Most digits of a number.
const DIGITS: usize = 20;

/// A message as it is written for one client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub(super) subject: &'a [u8],
    pub(super) sid: &'a [u8],
    /// Empty for none.
    pub(super) reply: &'a [u8],
    /// Empty for none.
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl Written<'_> {
    /// Appends `MSG`, or `HMSG` if there are headers.
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        let (has_reply, has_headers) = (!self.reply.is_empty(), !self.headers.is_empty());
        let parts = [
            self.subject,
            self.sid,
            self.reply,
            self.headers,
            self.payload,
        ];
        let len: usize = parts.iter().map(|part| part.len()).sum();
        // The verb, spaces, two numbers and two line ends.
        out.reserve(len + 16 + 2 * DIGITS);
        let verb: &[u8] = if has_headers { b"HMSG " } else { b"MSG " };
        out.extend_from_slice(verb);
        out.extend_from_slice(self.subject);
        out.push(b' ');
        out.extend_from_slice(self.sid);
        out.push(b' ');
        if has_reply {
            out.extend_from_slice(self.reply);
            out.push(b' ');
        }
        if has_headers {
            number(self.headers.len(), out);
            out.push(b' ');
        }
        number(self.headers.len() + self.payload.len(), out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.headers);
        out.extend_from_slice(self.payload);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the answer to a request whose subject nobody has subscribed to.
pub(super) fn no_responders(reply: &[u8], sid: &[u8], subject: &[u8], out: &mut Vec<u8>) {
    let head = b"NATS/1.0 503\r\nNats-Subject: ";
    let headers = [&head[..], subject, b"\r\n\r\n"].concat();
    let message = Written {
        subject: reply,
        sid,
        reply: b"",
        headers: &headers,
        payload: b"",
    };
    message.append(out);
}

/// Appends `-ERR` with these words.
pub(super) fn error(words: &str, out: &mut Vec<u8>) {
    for part in ["-ERR '", words, "'\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends `-ERR` about a subject that is not allowed.
pub(super) fn violation(what: &str, subject: &[u8], queue: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"-ERR 'Permissions Violation for ");
    out.extend_from_slice(what.as_bytes());
    out.push(b' ');
    quoted(subject, out);
    if !queue.is_empty() {
        out.extend_from_slice(b" using queue ");
        quoted(queue, out);
    }
    out.extend_from_slice(b"'\r\n");
}

fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            // Nothing that a line cannot hold.
            0..b' ' | 0x7f => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// What the broker says of itself.
#[derive(Clone, Debug)]
pub(super) struct Info<'a> {
    pub(super) server_id: &'a str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) auth_required: bool,
    pub(super) tls_required: bool,
    pub(super) max_payload: usize,
    pub(super) client_id: u64,
    pub(super) client_ip: IpAddr,
}

/// The nats-server whose protocol this is, with our own version: clients read from it what
/// they may use.
const VERSION: &str = concat!("2.15.1+tidegate.", env!("CARGO_PKG_VERSION"));

impl Info<'_> {
    /// Appends `INFO`.
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        let Self {
            server_id,
            host,
            port,
            max_payload,
            client_id,
            client_ip,
            ..
        } = self;
        let flag = |name: &str, is_set| match is_set {
            true => format!("\"{name}\":true,"),
            false => String::new(),
        };
        let auth = flag("auth_required", self.auth_required);
        let tls = flag("tls_required", self.tls_required);
        out.extend_from_slice(
            format!(
                "INFO {{\"server_id\":\"{server_id}\",\"server_name\":\"tidegate\",\
                 \"version\":\"{VERSION}\",\"proto\":1,\"go\":\"none\",\"host\":\"{host}\",\
                 \"port\":{port},\"headers\":true,{auth}{tls}\"max_payload\":{max_payload},\
                 \"client_id\":{client_id},\"client_ip\":\"{client_ip}\"}} \r\n"
            )
            .as_bytes(),
        );
    }
}

/// Appends a number.
fn number(mut number: usize, out: &mut Vec<u8>) {
    let mut digits = [0; DIGITS];
    let mut at = DIGITS;
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn messages() {
        let message = Written {
            subject: b"a.b",
            sid: b"7",
            reply: b"",
            headers: b"",
            payload: b"hello, all",
        };
        let text = written(|out| message.append(out));
        assert_eq!(text, "MSG a.b 7 10\r\nhello, all\r\n");
        let message = Written {
            reply: b"r",
            headers: b"NATS/1.0\r\n\r\n",
            payload: b"",
            ..message
        };
        let text = written(|out| message.append(out));
        assert_eq!(text, "HMSG a.b 7 r 12 12\r\nNATS/1.0\r\n\r\n\r\n");
    }

    #[test]
    fn refusals_stay_on_their_line() {
        let text = written(|out| violation("Publish to", b"a\"\r\nPING", b"", out));
        assert_eq!(
            text,
            "-ERR 'Permissions Violation for Publish to \"a\\\"\\x0d\\x0aPING\"'\r\n"
        );
    }
}
