//! What a client sends, appended to an output buffer.
//!
//! Subjects are the caller's care: see [`subject`]. In debug
//! builds a subject that does not pass stops the program, in release builds it would be
//! sent as it is.

use serde::Serialize;

use super::subject;
use super::{Credentials, Options, ServerInfo};

/// Most that may follow the verb on a control line, in bytes without the line end.
///
/// It is what a server takes unless it is configured otherwise, which `INFO` does not tell;
/// it answers more by closing the connection.
pub const MAX_ARGUMENTS: usize = 4096;

#[derive(Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'a str,
    version: &'a str,
    protocol: u8,
    echo: bool,
    headers: bool,
    no_responders: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// Appends `CONNECT`: no `+OK` for each operation, headers and "no responders" answers
/// if the server has them, `INFO` at any time.
///
/// `tls` says whether the connection has TLS. A user with a key signs the server's nonce.
pub fn connect(out: &mut Vec<u8>, options: &Options, tls: bool, server: &ServerInfo) {
    let (user, pass, auth_token) = match &options.credentials {
        Credentials::None => (None, None, None),
        Credentials::UserPassword { user, password } => (Some(&**user), Some(&**password), None),
        Credentials::Token(token) => (None, None, Some(&**token)),
    };
    let signer = options.user.as_ref();
    let jwt = signer.and_then(|signer| signer.jwt.as_deref());
    let connect = Connect {
        verbose: false,
        pedantic: false,
        tls_required: tls,
        name: &options.name,
        lang: "rust",
        version: &options.version,
        protocol: 1,
        echo: true,
        headers: server.headers,
        no_responders: server.headers,
        user,
        pass,
        auth_token,
        jwt,
        // The JWT tells the public key.
        nkey: match jwt {
            None => signer.map(|signer| signer.key.public()),
            Some(_) => None,
        },
        sig: match server.nonce.as_str() {
            "" => None,
            nonce => signer.map(|signer| signer.key.sign(nonce.as_bytes())),
        },
    };
    out.extend_from_slice(b"CONNECT ");
    serde_json::to_writer(&mut *out, &connect)
        .expect("strings and booleans have a JSON form, and a Vec takes every write");
    out.extend_from_slice(b"\r\n");
}

/// Appends a message: `PUB`, or `HPUB` if it has `headers`, which [`headers`] writes.
///
/// `reply` is the subject for the answer. Headers and payload must not be larger together
/// than the server's limit ([`ServerInfo::max_payload`]): it would close the connection.
pub fn publish(
    out: &mut Vec<u8>,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &[u8],
) {
    debug_assert!(
        subject::is_publishable(subject),
        "{}",
        subject.escape_ascii()
    );
    let mut digits = Digits::new();
    let total = headers.len() + payload.len();
    let size = digits.write(total as u64);
    let reply_len = reply.map_or(0, |reply| reply.len() + 1);
    // "HPUB ", a space, two line ends, and the size of headers.
    out.reserve(5 + subject.len() + 1 + reply_len + size.len() + 2 + total + 2 + HEADERS_WORD);
    let verb: &[u8] = if headers.is_empty() {
        b"PUB "
    } else {
        b"HPUB "
    };
    out.extend_from_slice(verb);
    out.extend_from_slice(subject);
    out.push(b' ');
    if let Some(reply) = reply {
        debug_assert!(subject::is_publishable(reply), "{}", reply.escape_ascii());
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if !headers.is_empty() {
        out.extend_from_slice(Digits::new().write(headers.len() as u64));
        out.push(b' ');
    }
    out.extend_from_slice(size);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Room for the size of headers in a control line.
const HEADERS_WORD: usize = 6;

/// Bytes of the arguments of [`publish`] for headers and a payload of so many bytes. The
/// digits of their sizes count too.
pub fn publish_len(
    subject: &[u8],
    reply: Option<&[u8]>,
    headers_len: usize,
    payload_len: usize,
) -> usize {
    let reply_len = reply.map_or(0, |reply| reply.len() + 1);
    let headers = match headers_len {
        0 => 0,
        len => digit_count(len as u64) + 1,
    };
    let total = (headers_len + payload_len) as u64;
    subject.len() + 1 + reply_len + headers + digit_count(total)
}

/// Appends the headers of a message: fields, and the lines around them. Neither names nor
/// values may have a line end.
pub fn headers(out: &mut Vec<u8>, fields: &[(&str, &[u8])]) {
    out.extend_from_slice(b"NATS/1.0\r\n");
    for (name, value) in fields {
        debug_assert!(
            !value.iter().any(|byte| b"\r\n".contains(byte)),
            "{}",
            value.escape_ascii()
        );
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Bytes of the arguments of [`subscribe`]. The digits of the number count too.
pub fn subscribe_len(subject: &[u8], sid: u64) -> usize {
    subject.len() + 1 + digit_count(sid)
}

/// Appends `SUB`. `sid` is the caller's number of the subscription, which comes back in
/// each of its messages.
pub fn subscribe(out: &mut Vec<u8>, sid: u64, subject: &[u8]) {
    debug_assert!(
        subject::is_subscribable(subject),
        "{}",
        subject.escape_ascii()
    );
    out.extend_from_slice(b"SUB ");
    out.extend_from_slice(subject);
    out.push(b' ');
    out.extend_from_slice(Digits::new().write(sid));
    out.extend_from_slice(b"\r\n");
}

/// Appends `UNSUB`: no further messages for the subscription. Those that are under way
/// still arrive.
pub fn unsubscribe(out: &mut Vec<u8>, sid: u64) {
    out.extend_from_slice(b"UNSUB ");
    out.extend_from_slice(Digits::new().write(sid));
    out.extend_from_slice(b"\r\n");
}

/// Appends `PING`.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

/// Appends `PONG`.
pub fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

fn digit_count(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Decimal digits of a number, without the formatting machinery.
struct Digits([u8; 20]);

impl Digits {
    fn new() -> Self {
        Self([0; 20])
    }

    fn write(&mut self, mut number: u64) -> &[u8] {
        let mut at = self.0.len();
        loop {
            at -= 1;
            self.0[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return &self.0[at..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before|".to_vec();
        write(&mut out);
        String::from_utf8(out)
            .unwrap()
            .strip_prefix("before|")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn operations() {
        let table: &[(String, &str)] = &[
            (
                written(|o| publish(o, b"a.b", None, b"", b"hello")),
                "PUB a.b 5\r\nhello\r\n",
            ),
            (
                written(|o| publish(o, b"a.b", Some(b"_INBOX.1"), b"", b"x\r\ny")),
                "PUB a.b _INBOX.1 4\r\nx\r\ny\r\n",
            ),
            (
                written(|o| publish(o, b"a", None, b"", b"")),
                "PUB a 0\r\n\r\n",
            ),
            (
                written(|o| publish(o, b"a.b", Some(b"_INBOX.1"), b"NATS/1.0\r\n\r\n", b"{}")),
                "HPUB a.b _INBOX.1 12 14\r\nNATS/1.0\r\n\r\n{}\r\n",
            ),
            (
                written(|o| publish(o, b"a", None, b"NATS/1.0\r\n\r\n", b"")),
                "HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n",
            ),
            (
                written(|o| headers(o, &[("a", b"1"), ("b", b"x y")])),
                "NATS/1.0\r\na: 1\r\nb: x y\r\n\r\n",
            ),
            (
                written(|o| subscribe(o, 7, b"event.a.*")),
                "SUB event.a.* 7\r\n",
            ),
            (
                written(|o| subscribe(o, u64::MAX, b">")),
                "SUB > 18446744073709551615\r\n",
            ),
            (written(|o| unsubscribe(o, 0)), "UNSUB 0\r\n"),
            (written(ping), "PING\r\n"),
            (written(pong), "PONG\r\n"),
        ];
        for (got, expected) in table {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn digits_are_those_of_the_formatter() {
        let mut numbers = vec![0, 1, 9, u64::MAX - 1, u64::MAX];
        for power in 1..20 {
            let ten = 10_u64.pow(power);
            numbers.extend([ten - 1, ten, ten + 1]);
        }
        for number in numbers {
            let digits = number.to_string();
            assert_eq!(Digits::new().write(number), digits.as_bytes());
            assert_eq!(digit_count(number), digits.len());
        }
    }

    /// The limit is for all that stands between the verb and the line end.
    #[test]
    fn fitting_is_counted_as_written() {
        let arguments = |line: Vec<u8>| {
            let verb = line.iter().position(|&b| b == b' ').unwrap() + 1;
            line.iter().position(|&b| b == b'\r').unwrap() - verb
        };
        for (reply, headers_len, payload_len) in [
            (None, 0, 0),
            (None, 0, 10),
            (Some(&b"_INBOX.1"[..]), 0, 9),
            (Some(b"r"), 0, 1_000_000),
            (Some(b"r"), 9, 0),
            (Some(b"r"), 99, 1),
            (None, 640, 999_999),
        ] {
            for len in MAX_ARGUMENTS - 30..MAX_ARGUMENTS + 2 {
                let subject = vec![b'a'; len];
                let mut line = Vec::new();
                let (headers, payload) = (vec![b'h'; headers_len], vec![b'x'; payload_len]);
                publish(&mut line, &subject, reply, &headers, &payload);
                let total = publish_len(&subject, reply, headers_len, payload_len);
                assert_eq!(total, arguments(line), "{len}");
            }
        }
        for sid in [0, 9, 10, 99_999, u64::MAX] {
            for len in MAX_ARGUMENTS - 30..MAX_ARGUMENTS + 2 {
                let subject = vec![b'a'; len];
                let mut line = Vec::new();
                subscribe(&mut line, sid, &subject);
                let fits = arguments(line) <= MAX_ARGUMENTS;
                let total = subscribe_len(&subject, sid);
                assert_eq!(total <= MAX_ARGUMENTS, fits, "{len}");
            }
        }
    }

    fn options(credentials: Credentials) -> Options {
        Options {
            name: "n".into(),
            version: "1.2".into(),
            credentials,
            ..Options::default()
        }
    }

    #[test]
    fn a_user_with_a_key_signs() {
        let seed = nkeys::KeyPair::new_user().seed().unwrap();
        let key = crate::nats::UserKey::from_seed(&seed).unwrap();
        let (public, sig) = (key.public(), key.sign(b"n0nce"));
        let with_nonce = ServerInfo::from_json(br#"{"nonce":"n0nce"}"#).unwrap();
        let without = ServerInfo::default();
        for (jwt, server, expected) in [
            (
                None,
                &with_nonce,
                format!(r#""nkey":"{public}","sig":"{sig}""#),
            ),
            (
                Some("e30"),
                &with_nonce,
                format!(r#""jwt":"e30","sig":"{sig}""#),
            ),
            (Some("e30"), &without, r#""jwt":"e30""#.to_owned()),
        ] {
            let mut options = options(Credentials::Token("t".into()));
            options.user = Some(crate::nats::UserCredentials {
                jwt: jwt.map(str::to_owned),
                key: key.clone(),
            });
            let got = written(|o| connect(o, &options, true, server));
            assert!(got.contains(r#""tls_required":true,"#), "{got}");
            let tail = format!(r#","auth_token":"t",{expected}}}"#);
            assert!(got.ends_with(&format!("{tail}\r\n")), "{got}");
        }
    }

    #[test]
    fn connect_depends_on_server_and_credentials() {
        let old = ServerInfo::default();
        let new = ServerInfo::from_json(br#"{"headers":true}"#).unwrap();
        let user = Credentials::UserPassword {
            user: "u\"1".into(),
            password: "p\r\nPING\r\n".into(),
        };
        let token = Credentials::Token("t".into());
        let head = r#"CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"name":"n","lang":"rust","version":"1.2","protocol":1,"echo":true"#;
        let table = [
            (
                &Credentials::None,
                &old,
                r#","headers":false,"no_responders":false}"#,
            ),
            (
                &Credentials::None,
                &new,
                r#","headers":true,"no_responders":true}"#,
            ),
            (
                &user,
                &new,
                r#","headers":true,"no_responders":true,"user":"u\"1","pass":"p\r\nPING\r\n"}"#,
            ),
            (
                &token,
                &old,
                r#","headers":false,"no_responders":false,"auth_token":"t"}"#,
            ),
        ];
        for (credentials, server, tail) in table {
            let options = options(credentials.clone());
            let got = written(|o| connect(o, &options, false, server));
            assert_eq!(got, format!("{head}{tail}\r\n"));
        }
    }
}
