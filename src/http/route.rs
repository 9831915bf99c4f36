//! Where a request belongs.

use super::head::Head;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// The WebSocket endpoint.
    WebSocket,
    /// The HTTP API.
    Api {
        /// The path behind the API prefix, still percent-encoded.
        rest: &'a str,
    },
    /// `OPTIONS *`: a question about the server as such.
    OptionsAsterisk,
    /// Nothing.
    NotFound,
}

/// Finds where a request belongs.
///
/// `ws_path` is matched exactly and first; `api_path` is a prefix with its trailing
/// slash.
pub fn route<'a>(head: &Head<'a>, ws_path: &str, api_path: &str) -> Route<'a> {
    let path = head.path();
    if path == ws_path {
        Route::WebSocket
    } else if let Some(rest) = path.strip_prefix(api_path) {
        Route::Api { rest }
    } else if path == "*" {
        Route::OptionsAsterisk
    } else {
        Route::NotFound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_place() {
        let table = [
            ("/", Route::WebSocket),
            ("/?q=/api/", Route::WebSocket),
            ("http://h", Route::WebSocket),
            ("/api/a/b?q", Route::Api { rest: "a/b" }),
            ("/api/", Route::Api { rest: "" }),
            ("/api//a%2Fb/", Route::Api { rest: "/a%2Fb/" }),
            ("http://h/api/a", Route::Api { rest: "a" }),
            ("/api", Route::NotFound),
            ("/API/a", Route::NotFound),
            ("/other", Route::NotFound),
            ("//", Route::NotFound),
            ("*", Route::OptionsAsterisk),
        ];
        for (target, expected) in table {
            let text = format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            let head = Head::parse(text.as_bytes()).unwrap();
            assert_eq!(route(&head, "/", "/api/"), expected, "{target}");
        }
    }

    #[test]
    fn the_websocket_path_may_lie_below_the_api() {
        let head = Head::parse(b"GET /api/ws HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(route(&head, "/api/ws", "/api/"), Route::WebSocket);
        assert_eq!(route(&head, "/", "/api/"), Route::Api { rest: "ws" });
    }
}
