//! What a browser gets: pages, style and scripts, all of them in the binary.

mod squeeze;

use super::post::quoted;

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

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// A file as it is in the binary.
macro_rules! squeezed {
    ($file:literal) => {{
        const TEXT: &[u8] = include_bytes!($file);
        const LEN: usize = squeeze::squeeze::<0>(TEXT).1;
        static SQUEEZED: [u8; LEN] = squeeze::squeeze(TEXT).0;
        &SQUEEZED
    }};
}

/// Path, content type and content of each file.
const FILES: [(&str, &str, &[u8]); 5] = [
    ("/", HTML, squeezed!("pages/index.html")),
    ("/tidegate.js", SCRIPT, squeezed!("pages/tidegate.js")),
    ("/demo.js", SCRIPT, squeezed!("pages/demo.js")),
    ("/demo.css", STYLE, squeezed!("pages/demo.css")),
    ("/favicon.svg", IMAGE, squeezed!("pages/favicon.svg")),
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
}

/// A page, or what belongs to one.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its type, for the head.
    pub content_type: &'static str,
    /// Its content.
    pub body: &'a [u8],
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
        Self {
            facts: format!(
                r#"{{"program":{program},"broker":"{broker}","wsPath":{ws_path},"apiPath":{api_path}}}"#
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
