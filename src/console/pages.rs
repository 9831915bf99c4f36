//! What a browser gets: page, style and scripts, all of them in the binary.

use crate::pages::{HTML, IMAGE, MARK, MODULE, Page, SCRIPT, STYLE, squeezed};

/// Fields of the head of every page. Nothing is loaded from elsewhere, nothing runs that is not a
/// file of ours, and nobody else's page has any of it.
pub const PAGE_FIELDS: [(&str, &str); 6] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
];

/// Name behind the console's path, content type and content of each file.
const FILES: [(&str, &str, &[u8]); 7] = [
    ("/tidegate.js", SCRIPT, MODULE),
    ("/console.js", SCRIPT, squeezed!("pages/console.js")),
    ("/look.js", SCRIPT, squeezed!("pages/look.js")),
    ("/parts.js", SCRIPT, squeezed!("pages/parts.js")),
    ("/plots.js", SCRIPT, squeezed!("pages/plots.js")),
    ("/console.css", STYLE, squeezed!("pages/console.css")),
    ("/mark.svg", IMAGE, MARK),
];

const INDEX: &[u8] = squeezed!("pages/index.html");

/// The pages of one process.
#[derive(Debug)]
pub struct Pages {
    path: String,
    index: String,
}

impl Pages {
    /// Pages below a path, for a gateway with its WebSocket at another. The former has nothing
    /// in it that means something to HTML.
    pub fn new(path: &str, ws_path: &str) -> Self {
        let ws_path = ws_path
            .replace('&', "&amp;")
            .replace('"', "&quot;")
            .replace('<', "&lt;");
        let index = String::from_utf8_lossy(INDEX);
        Self {
            path: path.to_owned(),
            index: index.replace("{path}", path).replace("{ws}", &ws_path),
        }
    }

    /// Whether a path is one of the console's, if there is something or not.
    pub fn has(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&self.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The page at a path.
    pub fn find(&self, path: &str) -> Option<Page<'_>> {
        let name = path.strip_prefix(&self.path)?;
        if matches!(name, "" | "/") {
            return Some(Page {
                content_type: HTML,
                body: self.index.as_bytes(),
            });
        }
        let (_, content_type, body) = FILES.iter().find(|file| file.0 == name)?;
        Some(Page { content_type, body })
    }
}
