//! The page that a browser gets at `/`: what this is, and what to try.

use super::head::Head;
use super::response::ResponseWriter;

const PAGE: &str = include_str!("home.html");
const STYLE: &str = include_str!("home.css");

/// The page loads nothing and runs nothing: what it looks like is allowed by its hash.
const POLICY: &str = "default-src 'none'; style-src \
    'sha256-5yMkkkTQqmuReVsmjW2o178zj0ZKEgSubSCH8zaRJfA='; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// Content type of the page.
const HTML: &str = "text/html; charset=utf-8";

/// Longest `Host` that is repeated, which is longer than any name.
const HOST_MAX: usize = 270;

/// The gateway that the page tells of.
#[derive(Debug)]
pub struct Home {
    /// Whether clients use TLS.
    pub is_secure: bool,
    /// Path of the WebSocket.
    pub ws_path: String,
    /// Path of the HTTP API, with its slash at the end.
    pub api_path: String,
    /// Path of the console, if there is one.
    pub console: Option<String>,
}

/// Whether a request is that of a browser that was sent to `/` by a person.
pub fn is_visit(head: &Head<'_>) -> bool {
    head.path() == "/"
        && matches!(head.method(), "GET" | "HEAD")
        && head.field("upgrade").is_none()
        && head.field_lines("accept").any(takes_html)
}

/// Whether a line of `Accept` names HTML, and does not say that it is unwanted.
fn takes_html(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    line.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        // Of a weight of nothing all digits are zeros.
        let is_some = |weight: &str| weight.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
        is_html && weight.is_none_or(is_some)
    })
}

impl Home {
    /// Ends a response with the page.
    pub fn write(&self, head: &Head<'_>, writer: ResponseWriter<'_>) {
        writer
            .constant("Cache-Control", "no-store")
            .constant("Content-Security-Policy", POLICY)
            .constant("Referrer-Policy", "no-referrer")
            .constant("Vary", "Accept")
            .constant("X-Content-Type-Options", "nosniff")
            .body(HTML, self.page(head).as_bytes(), head.method() == "HEAD");
    }

    /// What else there is.
    fn more(&self) -> String {
        let console = self.console.as_deref().map(escaped);
        console.map_or_else(String::new, |path| {
            format!("<p>Whoever runs it finds the <a href=\"{path}\">console</a> here.</p>\n")
        })
    }

    /// The page, with the addresses by which the browser has come.
    fn page(&self, head: &Head<'_>) -> String {
        let host = head.field("host").and_then(plain_host);
        let host = host.unwrap_or("localhost");
        let forwarded = head.field("x-forwarded-proto");
        let is_secure = self.is_secure || forwarded == Some(b"https");
        let s = if is_secure { "s" } else { "" };
        let (ws_path, api_path) = (escaped(&self.ws_path), escaped(&self.api_path));
        // What the program takes must not be torn apart by a shell.
        let watch = match &*self.api_path {
            "/api/" => format!("http{s}://{host}/api/todo/items"),
            _ => format!("'ws{s}://{host}{ws_path}?todo.items'"),
        };
        PAGE.replace("{style}", STYLE.trim_end())
            .replace("{ws}", &format!("ws{s}://{host}{ws_path}"))
            .replace("{api}", &format!("http{s}://{host}{api_path}"))
            .replace("{watch}", &watch)
            .replace("{more}", &self.more())
    }
}

/// A host that can stand in the page as it is.
fn plain_host(host: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    let fits = !host.is_empty() && host.len() <= HOST_MAX && host.iter().all(is_plain);
    fits.then_some(str::from_utf8(host).ok()?)
}

/// A path of the configuration as HTML.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '{' => out.push_str("&#123;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Persistence;
    use crate::http::date::imf_fixdate;

    fn request(line: &str, fields: &str) -> String {
        format!("{line} HTTP/1.1\r\n{fields}\r\n")
    }

    #[test]
    fn visits_are_those_of_browsers() {
        const BROWSER: &str = "Host: h\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
        let upgrade = format!("{BROWSER}Connection: Upgrade\r\nUpgrade: websocket\r\n");
        for (line, fields, expected) in [
            ("GET /", BROWSER, true),
            ("HEAD /?x", BROWSER, true),
            ("GET /", "Accept: a/b , TEXT/HTML;v=1;q=0.1\r\n", true),
            ("GET /", "Accept: a/b\r\nAccept: text/html\r\n", true),
            ("GET /", &upgrade, false),
            ("POST /", BROWSER, false),
            ("OPTIONS /", BROWSER, false),
            ("GET /x", BROWSER, false),
            ("GET /", "", false),
            ("GET /", "Accept: */*\r\n", false),
            ("GET /", "Accept: text/*\r\n", false),
            ("GET /", "Accept: text/html;q=0\r\n", false),
            ("GET /", "Accept: text/html; q=0.000\r\n", false),
            ("GET /", "Accept: text/html; q=x\r\n", false),
        ] {
            let text = request(line, fields);
            let head = Head::parse(text.as_bytes()).expect("a request");
            assert_eq!(is_visit(&head), expected, "{line} {fields:?}");
        }
    }

    fn home() -> Home {
        Home {
            is_secure: false,
            ws_path: "/".to_owned(),
            api_path: "/api/".to_owned(),
            console: None,
        }
    }

    fn page(home: &Home, fields: &str) -> String {
        let text = request("GET /", fields);
        home.page(&Head::parse(text.as_bytes()).expect("a request"))
    }

    #[test]
    fn the_page_has_the_addresses_by_which_it_was_reached() {
        let page = |fields| page(&home(), fields);
        let text = page("Host: h.example:81\r\n");
        for part in [
            "<code>ws://h.example:81/</code>",
            "<code>http://h.example:81/api/</code>",
            "curl -i http://h.example:81/api/todo/items",
            "tidegate watch http://h.example:81/api/todo/items",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            page("Host: [::1]:81\r\nX-Forwarded-Proto: https\r\n").contains("wss://[::1]:81/<")
        );
        let long = format!("Host: {}\r\n", "x".repeat(300));
        for fields in [
            "",
            "Host: <b>\r\n",
            "Host: a'b\r\n",
            "Host: {more}\r\n",
            &long,
        ] {
            assert!(page(fields).contains("ws://localhost/<"), "{fields}");
        }
    }

    #[test]
    fn paths_of_the_configuration_are_shown_as_they_are() {
        let home = Home {
            is_secure: true,
            ws_path: "/<w>&'".to_owned(),
            api_path: "/v1/{more}/".to_owned(),
            console: Some("/look/{ws}".to_owned()),
        };
        let text = page(&home, "Host: h\r\n");
        assert!(text.contains("wss://h/&lt;w&gt;&amp;&#39;<"), "{text}");
        assert!(text.contains("https://h/v1/&#123;more}/<"), "{text}");
        assert!(text.contains("tidegate get 'wss://h/&lt;w"), "{text}");
        assert_eq!(
            text.matches("<a href=\"/look/&#123;ws}\">").count(),
            1,
            "{text}"
        );
    }

    #[test]
    fn the_page_is_small_and_whole_and_loads_nothing() {
        let text = page(&home(), "Host: h\r\n");
        assert!(text.len() < 4_096, "{}", text.len());
        let style_end = text.find("</style>").expect("a style");
        assert!(!text[style_end..].contains('{'), "{text}");
        for part in ["<script", "src=", "<link", "url(", "@import", "style="] {
            assert!(!text.contains(part), "{part}");
        }
        for part in [
            "<!doctype html>",
            "lang=\"en\"",
            "<title>",
            "<main>",
            "<h1>",
        ] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn the_policy_allows_the_style_and_nothing_else() {
        use ring::digest::{SHA256, digest};
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let hash = digest(&SHA256, STYLE.trim_end().as_bytes());
        let mut text = String::new();
        for group in hash.as_ref().chunks(3) {
            let bits = group.iter().chain(&[0, 0]).take(3);
            let bits = bits.fold(0, |bits, byte| bits << 8 | usize::from(*byte));
            for place in 0..4 {
                text.push(match place <= group.len() {
                    true => char::from(DIGITS[bits >> (18 - 6 * place) & 63]),
                    false => '=',
                });
            }
        }
        assert!(POLICY.contains(&format!("'sha256-{text}'")), "it is {text}");
    }

    #[test]
    fn the_answer_says_what_it_is() {
        let answer = |method: &str| {
            let text = request(&format!("{method} /"), "Host: h\r\n");
            let head = Head::parse(text.as_bytes()).expect("a request");
            let mut out = Vec::new();
            let date = imf_fixdate(0);
            let writer = ResponseWriter::new(&mut out, 200, &date, Persistence::Keep);
            home().write(&head, writer);
            String::from_utf8(out).expect("text")
        };
        let get = answer("GET");
        let (head, body) = get.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains("Content-Type: text/html; charset=utf-8"));
        assert!(head.contains("Cache-Control: no-store"));
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert_eq!(answer("HEAD"), format!("{head}\r\n\r\n"));
    }
}
