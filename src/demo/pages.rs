//! What a browser gets: pages, style and scripts, all of them in the binary.

use super::post::quoted;
use crate::pages::{HTML, IMAGE, MARK, MODULE, Page, SCRIPT, STYLE, squeezed};

/// Fields of the head of every page. Nothing is loaded from elsewhere and nothing runs that is
/// not a file of ours; other pages may use the module.
pub const PAGE_FIELDS: [(&str, &str); 5] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
    ("Access-Control-Allow-Origin", "*"),
];

/// Path, content type and content of each file.
const FILES: [(&str, &str, &[u8]); 5] = [
    ("/", HTML, squeezed!("pages/index.html")),
    ("/tidegate.js", SCRIPT, MODULE),
    ("/demo.js", SCRIPT, squeezed!("pages/demo.js")),
    ("/demo.css", STYLE, squeezed!("pages/demo.css")),
    ("/favicon.svg", IMAGE, MARK),
];

/// What the pages say of the process that serves them.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What it was called as.
    pub program: &'a str,
    /// Host and port for services.
    pub broker: &'a str,
    /// The path of the WebSocket.
    pub ws_path: &'a str,
    /// The path of the HTTP API, with its trailing slash.
    pub api_path: &'a str,
    /// The path of the console.
    pub console_path: &'a str,
}

/// The pages of one process.
#[derive(Debug)]
pub struct Pages {
    facts: String,
}

impl Pages {
    /// Pages that say this.
    pub fn new(facts: &Facts<'_>) -> Self {
        let Facts { broker, .. } = facts;
        let program = quoted(facts.program);
        let (ws_path, api_path) = (quoted(facts.ws_path), quoted(facts.api_path));
        let console_path = quoted(facts.console_path);
        Self {
            facts: format!(
                r#"{{"program":{program},"broker":"{broker}","wsPath":{ws_path},"apiPath":{api_path},"consolePath":{console_path}}}"#
            ),
        }
    }

    /// The page at a path.
    pub fn find(&self, path: &str) -> Option<Page<'_>> {
        if path == "/demo.json" {
            return Some(Page {
                content_type: "application/json; charset=utf-8",
                body: self.facts.as_bytes(),
            });
        }
        let (_, content_type, body) = FILES.iter().find(|file| file.0 == path)?;
        Some(Page { content_type, body })
    }
}
