//! What all pages of the binary share: how files get into it, and the files that several use.

pub(crate) mod squeeze;

/// Content types.
pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(crate) const STYLE: &str = "text/css; charset=utf-8";
pub(crate) const IMAGE: &str = "image/svg+xml";

/// A file as it is in the binary.
macro_rules! squeezed {
    ($file:literal) => {{
        const TEXT: &[u8] = include_bytes!($file);
        const LEN: usize = $crate::pages::squeeze::squeeze::<0>(TEXT).1;
        static SQUEEZED: [u8; LEN] = $crate::pages::squeeze::squeeze(TEXT).0;
        &SQUEEZED
    }};
}
pub(crate) use squeezed;

/// A page, or what belongs to one.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its type, for the head.
    pub content_type: &'static str,
    /// Its content.
    pub body: &'a [u8],
}

/// The client module: docs/CLIENT-MODULE.md.
pub(crate) const MODULE: &[u8] = squeezed!("tidegate.js");

/// The mark of the tab.
pub(crate) const MARK: &[u8] = squeezed!("favicon.svg");
