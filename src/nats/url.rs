//! Addresses of NATS servers as they are configured.

use std::fmt;
use std::str::FromStr;

use super::Credentials;

/// The port of a URL that names none.
const DEFAULT_PORT: u16 = 4222;

/// Where a NATS server is, and the credentials for it.
///
/// Neither `Display` nor `Debug` shows the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// Host name or IP address, an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether the scheme asks for TLS, whatever the server says.
    pub tls: bool,
    /// What stands before the `@`.
    pub credentials: Credentials,
}

impl ServerUrl {
    /// Reads `[nats://|tls://][user:password@|token@]host[:port][/]`.
    ///
    /// Everything before the last `@` belongs to the credentials, which are
    /// percent-decoded. An IPv6 address stands in brackets.
    ///
    /// # Errors
    ///
    /// [`UrlError`], which never shows what stands before an `@`.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        parse(url).map_err(|kind| UrlError {
            url: without_secrets(url),
            kind,
        })
    }

    /// Reads a list of URLs divided by commas. Items without text are skipped.
    ///
    /// # Errors
    ///
    /// As [`ServerUrl::parse`], and [`UrlErrorKind::Empty`] if there is no item at all.
    pub fn parse_list(urls: &str) -> Result<Vec<Self>, UrlError> {
        let error = |kind| UrlError {
            url: without_secrets(urls),
            kind,
        };
        let servers = urls
            .split(',')
            .filter(|url| !url.trim().is_empty())
            .map(|url| parse(url).map_err(error))
            .collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Err(error(UrlErrorKind::Empty));
        }
        Ok(servers)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "tls" } else { "nats" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        Self::parse(url)
    }
}

/// A URL that does not say where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError {
    /// The URL or list as given, with `...` for all that precedes the last `@`.
    pub url: String,
    /// What is wrong with it.
    pub kind: UrlErrorKind,
}

/// What is wrong with a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlErrorKind {
    /// There is no URL.
    Empty,
    /// The scheme is neither `nats` nor `tls`.
    Scheme,
    /// The host is missing, or has characters that no host name has.
    Host,
    /// Square brackets do not enclose an IPv6 address.
    Brackets,
    /// The host has several colons, so an IPv6 address lacks its brackets.
    BareIpv6,
    /// The port is not a number from 1 to 65535.
    Port,
    /// Something follows the port.
    Path,
    /// A percent sign in the credentials is not followed by two hexadecimal digits, or
    /// the decoded text is not UTF-8.
    Escape,
    /// There is a user name that is empty, or an `@` with nothing before it.
    Credentials,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.kind {
            UrlErrorKind::Empty => "no server is named; write nats://host:port",
            UrlErrorKind::Scheme => "the scheme is not known; use nats:// or tls://",
            UrlErrorKind::Host => "the host is missing or not valid; write nats://host:port",
            UrlErrorKind::Brackets => "there is no IPv6 address in the brackets",
            UrlErrorKind::BareIpv6 => "an IPv6 address needs brackets, as in nats://[::1]:4222",
            UrlErrorKind::Port => "the port is not a number from 1 to 65535",
            UrlErrorKind::Path => "nothing may follow the port",
            UrlErrorKind::Escape => {
                "a % in the credentials does not begin a percent-encoded character; \
                 write % itself as %25"
            }
            UrlErrorKind::Credentials => {
                "user name or token is missing before the @; write nats://user:password@host"
            }
        };
        write!(f, "NATS URL \"{}\": {problem}", self.url.escape_debug())
    }
}

impl std::error::Error for UrlError {}

/// A text that may be shown. Commas and slashes in a password can make a URL fall apart
/// at the wrong places; nothing before the last `@` of the whole text is safe to show.
fn without_secrets(text: &str) -> String {
    match text.rfind('@') {
        Some(at) => format!("...{}", &text[at..]),
        None => text.to_owned(),
    }
}

fn parse(url: &str) -> Result<ServerUrl, UrlErrorKind> {
    let url = url.trim();
    if url.is_empty() {
        return Err(UrlErrorKind::Empty);
    }
    let (tls, rest) = match url.split_once("://") {
        None => (false, url),
        Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
            "nats" => (false, rest),
            "tls" => (true, rest),
            _ => return Err(UrlErrorKind::Scheme),
        },
    };
    let (credentials, address) = match rest.rsplit_once('@') {
        None => (Credentials::None, rest),
        Some((user_info, address)) => (parse_user_info(user_info)?, address),
    };
    let address = address.strip_suffix('/').unwrap_or(address);
    if address.contains(['/', '?', '#']) {
        return Err(UrlErrorKind::Path);
    }
    let (host, port) = split_port(address)?;
    Ok(ServerUrl {
        host: host.to_owned(),
        port,
        tls,
        credentials,
    })
}

fn split_port(address: &str) -> Result<(&str, u16), UrlErrorKind> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(UrlErrorKind::Brackets)?;
        let is_address = host.contains(':')
            && host
                .bytes()
                .all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
        if !is_address {
            return Err(UrlErrorKind::Brackets);
        }
        match port.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if port.is_empty() => (host, None),
            None => return Err(UrlErrorKind::Port),
        }
    } else {
        let (host, port) = match address.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(UrlErrorKind::BareIpv6),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b) || b >= 0x80;
        if host.is_empty() || !host.bytes().all(is_name) {
            return Err(UrlErrorKind::Host);
        }
        (host, port)
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|&port| port > 0)
            .ok_or(UrlErrorKind::Port)?,
        Some(_) => return Err(UrlErrorKind::Port),
    };
    Ok((host, port))
}

fn parse_user_info(user_info: &str) -> Result<Credentials, UrlErrorKind> {
    let (name, password) = match user_info.split_once(':') {
        Some((name, password)) => (name, Some(password)),
        None => (user_info, None),
    };
    if name.is_empty() {
        return Err(UrlErrorKind::Credentials);
    }
    let name = percent_decode(name)?;
    Ok(match password {
        Some(password) => Credentials::UserPassword {
            user: name,
            password: percent_decode(password)?,
        },
        None => Credentials::Token(name),
    })
}

fn percent_decode(text: &str) -> Result<String, UrlErrorKind> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let [high, low, tail @ ..] = rest else {
            return Err(UrlErrorKind::Escape);
        };
        match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => bytes.push(high << 4 | low),
            _ => return Err(UrlErrorKind::Escape),
        }
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| UrlErrorKind::Escape)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: &str, password: &str) -> Credentials {
        Credentials::UserPassword {
            user: user.into(),
            password: password.into(),
        }
    }

    fn token(token: &str) -> Credentials {
        Credentials::Token(token.into())
    }

    #[test]
    fn good_urls() {
        let table = [
            (
                "nats://127.0.0.1:4222",
                "127.0.0.1",
                4222,
                Credentials::None,
            ),
            ("nats://localhost", "localhost", 4222, Credentials::None),
            (
                "NATS://Host.example:1",
                "Host.example",
                1,
                Credentials::None,
            ),
            ("nats://host:65535/", "host", 65535, Credentials::None),
            ("host", "host", 4222, Credentials::None),
            ("host:99", "host", 99, Credentials::None),
            (" host_1-a:99 ", "host_1-a", 99, Credentials::None),
            ("h\u{f6}st", "h\u{f6}st", 4222, Credentials::None),
            ("[::1]", "::1", 4222, Credentials::None),
            ("nats://[fe80::1:2]:99", "fe80::1:2", 99, Credentials::None),
            (
                "[::ffff:1.2.3.4]:99/",
                "::ffff:1.2.3.4",
                99,
                Credentials::None,
            ),
            ("nats://u:p@host:1", "host", 1, user("u", "p")),
            ("u:p@host", "host", 4222, user("u", "p")),
            ("u:@host", "host", 4222, user("u", "")),
            ("u:p:q@host", "host", 4222, user("u", "p:q")),
            ("u:p@q/r?s#t@host", "host", 4222, user("u", "p@q/r?s#t")),
            ("a%40b:%3a%2F%25@[::1]:2", "::1", 2, user("a@b", ":/%")),
            ("%c3%A9:x@host", "host", 4222, user("\u{e9}", "x")),
            ("s3cret@host", "host", 4222, token("s3cret")),
            ("nats://a%3Ab@host:3", "host", 3, token("a:b")),
            ("tls://host", "host", 4222, Credentials::None),
            ("TLS://u:p@[::1]:3", "::1", 3, user("u", "p")),
        ];
        for (url, host, port, credentials) in table {
            let expected = ServerUrl {
                host: host.into(),
                port,
                tls: url.to_ascii_lowercase().starts_with("tls:"),
                credentials,
            };
            assert_eq!(ServerUrl::parse(url), Ok(expected.clone()), "{url}");
            assert_eq!(url.parse(), Ok(expected.clone()), "{url}");
            assert_eq!(ServerUrl::parse_list(url), Ok(vec![expected]), "{url}");
        }
    }

    #[test]
    fn bad_urls() {
        let table = [
            ("", UrlErrorKind::Empty),
            ("  ", UrlErrorKind::Empty),
            ("wss://host", UrlErrorKind::Scheme),
            ("ws://host", UrlErrorKind::Scheme),
            ("http://host", UrlErrorKind::Scheme),
            ("://host", UrlErrorKind::Scheme),
            ("nats://", UrlErrorKind::Host),
            ("nats:///", UrlErrorKind::Host),
            (":4222", UrlErrorKind::Host),
            ("u:p@", UrlErrorKind::Host),
            ("nats://u:p@:1", UrlErrorKind::Host),
            ("ho st", UrlErrorKind::Host),
            ("host\0", UrlErrorKind::Host),
            ("host]", UrlErrorKind::Host),
            ("[::1", UrlErrorKind::Brackets),
            ("[]", UrlErrorKind::Brackets),
            ("[host]", UrlErrorKind::Brackets),
            ("[fe80::1%25eth0]", UrlErrorKind::Brackets),
            ("[::1]4222", UrlErrorKind::Port),
            ("::1", UrlErrorKind::BareIpv6),
            ("nats://fe80::1:4222", UrlErrorKind::BareIpv6),
            ("host:", UrlErrorKind::Port),
            ("host:x", UrlErrorKind::Port),
            ("host:0", UrlErrorKind::Port),
            ("host:+1", UrlErrorKind::Port),
            ("host:-1", UrlErrorKind::Port),
            ("host:65536", UrlErrorKind::Port),
            ("host:4222/a", UrlErrorKind::Path),
            ("host//", UrlErrorKind::Path),
            ("host?x=1", UrlErrorKind::Path),
            ("host#x", UrlErrorKind::Path),
            ("@host", UrlErrorKind::Credentials),
            (":p@host", UrlErrorKind::Credentials),
            ("a%:b@host", UrlErrorKind::Escape),
            ("a:%4@host", UrlErrorKind::Escape),
            ("a:%zz@host", UrlErrorKind::Escape),
            ("a:%+1@host", UrlErrorKind::Escape),
            ("a:%ff@host", UrlErrorKind::Escape),
        ];
        for (url, kind) in table {
            assert_eq!(
                ServerUrl::parse(url).map_err(|e| e.kind),
                Err(kind),
                "{url}"
            );
            assert_eq!(
                ServerUrl::parse_list(url).map_err(|e| e.kind),
                Err(kind),
                "{url}"
            );
        }
    }

    #[test]
    fn lists() {
        let shown = |list| {
            let servers = ServerUrl::parse_list(list)?;
            Ok::<_, UrlError>(servers.iter().map(ServerUrl::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            shown("nats://a:1, u:p@b ,,[::1]:3,"),
            Ok(vec![
                "nats://a:1".to_owned(),
                "nats://b:4222".to_owned(),
                "nats://[::1]:3".to_owned()
            ])
        );
        assert_eq!(shown(" , ").map_err(|e| e.kind), Err(UrlErrorKind::Empty));
        assert_eq!(
            shown("a,tls://b").map_err(|e| e.kind),
            Ok(vec!["nats://a:4222".to_owned(), "tls://b:4222".to_owned()])
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let url = ServerUrl::parse("nats://SECRET:SECRET@host:1").unwrap();
        assert_eq!(url.to_string(), "nats://host:1");
        assert!(!format!("{url:?}").contains("SECRET"));
        for list in [
            "nats://u:SECRET@host:x",
            "nats://SECRET@host:x",
            "u:%SECRET@host",
            // A comma in a password makes the list fall apart inside it.
            "nats://u:SECRET,SECRET@host",
            "a,nats://u:/SECRET,b@host",
        ] {
            let error = ServerUrl::parse_list(list).unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("SECRET"),
                "{error:?}"
            );
            if let Err(error) = ServerUrl::parse(list) {
                assert!(
                    !format!("{error} {error:?}").contains("SECRET"),
                    "{error:?}"
                );
            }
        }
    }

    #[test]
    fn messages_name_the_url_and_the_problem() {
        for (url, message) in [
            (
                "host:x",
                "NATS URL \"host:x\": the port is not a number from 1 to 65535",
            ),
            (
                "wss://u:p@host",
                "NATS URL \"...@host\": the scheme is not known; use nats:// or tls://",
            ),
            (
                "a\nb",
                "NATS URL \"a\\nb\": the host is missing or not valid; write nats://host:port",
            ),
        ] {
            assert_eq!(ServerUrl::parse(url).unwrap_err().to_string(), message);
        }
    }
}
