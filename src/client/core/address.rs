//! Where a gateway is, and which resource an address names.

use crate::gateway::{path_to_id, with_query};
use crate::res::rid::Rid;

/// Where the gateway is looked for that nobody has named.
pub const DEFAULT_URL: &str = "ws://127.0.0.1:8080/";

/// A gateway's WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// By TLS.
    pub is_secure: bool,
    /// Host name or IP address, the latter without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path and query of the upgrade request.
    pub path: String,
}

impl Server {
    /// Host and port, as in a URL: without the usual port.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port == usual_port(self.is_secure) {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }

    /// The URL without its query, which may hold a secret.
    pub fn url(&self) -> String {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{scheme}://{}{path}", self.authority())
    }
}

/// The paths of a gateway that are not in the URL of a resource.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Its `apiPath`.
    pub api: String,
    /// Its `wsPath`.
    pub ws: String,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            api: "/api".to_owned(),
            ws: "/".to_owned(),
        }
    }
}

/// The parts of a URL.
struct Parts<'a> {
    is_secure: bool,
    is_http: bool,
    host: String,
    port: u16,
    /// Path and query.
    target: &'a str,
}

fn usual_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

fn split(url: &str) -> Result<Parts<'_>, String> {
    let wrong = |what: &str| Err(format!("{url:?} is no URL of a gateway: {what}"));
    let Some((scheme, rest)) = url.split_once("://") else {
        return wrong("it must begin with ws://, wss://, http:// or https://");
    };
    let (is_secure, is_http) = match scheme.to_ascii_lowercase().as_str() {
        "ws" => (false, false),
        "wss" => (true, false),
        "http" => (false, true),
        "https" => (true, true),
        _ => return wrong("it must begin with ws://, wss://, http:// or https://"),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.contains('@') {
        return wrong("it holds a user; give what the gateway wants by --header or --auth");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
            _ => return wrong("what is in brackets is no IPv6 address"),
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => usual_port(is_secure),
        Some("") => usual_port(is_secure),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => return wrong("its port is not one from 1 to 65535"),
        },
        _ => return wrong("its port is not one from 1 to 65535"),
    };
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host_byte) {
        return wrong("its host is no host name and no IP address");
    }
    Ok(Parts {
        is_secure,
        is_http,
        host: host.to_owned(),
        port,
        target,
    })
}

/// Reads the URL of a gateway's WebSocket.
///
/// # Errors
///
/// It is none; with what is wrong.
pub fn server(url: &str) -> Result<Server, String> {
    let parts = split(url)?;
    let target = parts.target.split('#').next().unwrap_or_default();
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{url:?} is no URL of a gateway: its path has characters that must be encoded"
        ));
    }
    let path = match target.starts_with('/') {
        true => target.to_owned(),
        false => format!("/{target}"),
    };
    Ok(Server {
        is_secure: parts.is_secure,
        host: parts.host,
        port: parts.port,
        path,
    })
}

/// Reads what a command is about: a resource ID, which is `default`'s, or a URL that has one.
///
/// # Errors
///
/// It is neither; with what is wrong.
pub fn target(text: &str, default: &str, paths: &Paths) -> Result<(Server, String), String> {
    let (server, rid) = if text.contains("://") {
        let parts = split(text)?;
        match parts.is_http {
            true => of_http(text, parts, paths)?,
            false => of_websocket(text, parts)?,
        }
    } else {
        (server(default)?, text.to_owned())
    };
    match Rid::parse(&rid) {
        Some(_) => Ok((server, rid)),
        None => Err(format!(
            "{rid:?} is no resource ID; give one like todo.items or todo.items?done=false"
        )),
    }
}

/// `ws://host/path?rid`
fn of_websocket(text: &str, parts: Parts<'_>) -> Result<(Server, String), String> {
    let Some((path, rid)) = parts.target.split_once('?') else {
        return Err(format!(
            "{text:?} names no resource; write {text}?todo.items, or give the ID alone and the \
             address by --url"
        ));
    };
    let path = match path {
        "" => "/",
        path => path,
    };
    let server = Server {
        is_secure: parts.is_secure,
        host: parts.host,
        port: parts.port,
        path: path.to_owned(),
    };
    Ok((server, rid.to_owned()))
}

/// `http://host/api/a/b?query`
fn of_http(text: &str, parts: Parts<'_>, paths: &Paths) -> Result<(Server, String), String> {
    let target = parts.target.split('#').next().unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let api = paths.api.trim_end_matches('/');
    let below = path.strip_prefix(api);
    let Some(below) = below.and_then(|below| below.strip_prefix('/')) else {
        return Err(format!(
            "{text:?} is no resource of the HTTP API, whose paths begin with {api}/; give \
             --apipath if the gateway has another"
        ));
    };
    let Some(name) = path_to_id(below) else {
        return Err(format!(
            "{text:?} is no resource of the HTTP API: the parts of its path are divided by \
             slashes, without dots or a slash at the end"
        ));
    };
    let server = Server {
        is_secure: parts.is_secure,
        host: parts.host,
        port: parts.port,
        path: paths.ws.clone(),
    };
    Ok((server, with_query(name, query)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let found = target(text, DEFAULT_URL, &Paths::default());
        found.map(|(server, rid)| format!("{} {} {rid}", server.url(), server.authority()))
    }

    #[test]
    fn resources_are_named_in_several_ways() {
        for (text, expected) in [
            ("a.b", "ws://127.0.0.1:8080/ 127.0.0.1:8080 a.b"),
            (
                "a.b?x=1&y=/?",
                "ws://127.0.0.1:8080/ 127.0.0.1:8080 a.b?x=1&y=/?",
            ),
            ("ws://h?a.b", "ws://h/ h a.b"),
            ("WS://h:81/ws?a.b?q=1", "ws://h:81/ws h:81 a.b?q=1"),
            ("wss://h/?a", "wss://h/ h a"),
            ("wss://h:80/?a", "wss://h:80/ h:80 a"),
            ("ws://[::1]:9/?a", "ws://[::1]:9/ [::1]:9 a"),
            (
                "http://localhost:8080/api/todo/items?done=false",
                "ws://localhost:8080/ localhost:8080 todo.items?done=false",
            ),
            ("https://h/api/a/b%20?#x", "wss://h/ h a.b "),
            ("https://h/api/a#x", "wss://h/ h a"),
        ] {
            // A space is no part of a name.
            match text.contains("%20") {
                true => assert!(shown(text).is_err(), "{text}"),
                false => assert_eq!(shown(text).as_deref(), Ok(expected), "{text}"),
            }
        }
        let paths = Paths {
            api: "/gw/v1/".to_owned(),
            ws: "/gw/ws".to_owned(),
        };
        let (server, rid) = target("http://h/gw/v1/a/b", DEFAULT_URL, &paths).expect("below it");
        assert_eq!((server.path.as_str(), rid.as_str()), ("/gw/ws", "a.b"));
        let root = Paths {
            api: "/".to_owned(),
            ..Paths::default()
        };
        let (_, rid) = target("http://h/a/b", DEFAULT_URL, &root).expect("below it");
        assert_eq!(rid, "a.b");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("", "is no resource ID"),
            ("a..b", "is no resource ID"),
            ("a b", "is no resource ID"),
            ("ftp://h/a", "must begin with ws://"),
            ("ws://h/", "names no resource"),
            ("ws:///?a", "no host name"),
            ("ws://h\u{e4}/?a", "no host name"),
            ("ws://h:0/?a", "its port"),
            ("ws://h:x/?a", "its port"),
            ("ws://h:65536/?a", "its port"),
            ("ws://[x]/?a", "no IPv6 address"),
            ("ws://me:hush@h/?a", "it holds a user"),
            ("http://h/other/a", "begin with /api/"),
            ("http://h/apix/a", "begin with /api/"),
            ("http://h/api/a.b", "divided by slashes"),
            ("http://h/api/a/", "divided by slashes"),
            ("http://h/api/a%", "divided by slashes"),
        ] {
            let error = shown(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_server_keeps_the_query_of_its_url_to_itself() {
        let found = server("wss://h:8443/ws?key=hush#x").expect("a server");
        assert_eq!(found.path, "/ws?key=hush");
        assert_eq!(found.url(), "wss://h:8443/ws");
        assert_eq!(server("http://h").expect("a server").url(), "ws://h/");
        assert_eq!(server("ws://h?x").expect("a server").path, "/?x");
        assert!(server("ws://h/a b").is_err());
        assert!(server("localhost:8080").is_err());
    }
}
