//! Tables of the documents that are made of the source, and tested to be so; and whole files
//! that are: the manual page, and what shells offer.
//!
//! In a document such a table stands between two comments, `<!-- table: name -->` and
//! `<!-- end of table -->`. With the variable `UPDATE_DOCS` set, which `make tables` does,
//! the tests write the tables instead of comparing them.

mod completions;
mod manual_page;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

const END: &str = "<!-- end of table -->";

/// Tests run side by side, and some write tables of the same document.
static WRITING: Mutex<()> = Mutex::new(());

/// Expects the table of this name in the document, a path from the root of the repository,
/// to be `table`.
///
/// # Panics
/// It is another one, or not there.
pub(crate) fn expect_table(document: &str, name: &str, table: &str) {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{document}: {e}"));
    let begin = format!("<!-- table: {name} -->\n");
    let start = text.find(&begin).map(|at| at + begin.len());
    let start = start.unwrap_or_else(|| panic!("{document} lacks {begin}"));
    let length = text[start..].find(END);
    let end = start + length.unwrap_or_else(|| panic!("{document} lacks {END}"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{}{table}{}", &text[..start], &text[end..]);
        fs::write(&path, text).unwrap_or_else(|e| panic!("{document}: {e}"));
        return;
    }
    assert!(
        text[start..end] == *table,
        "the table {name} in {document} is not what the source says; `make tables` writes it. \
         Expected:\n{table}"
    );
}

/// Expects the file, a path from the root of the repository, to hold `text`.
///
/// # Panics
/// It holds another one, or is not there.
fn expect_file(document: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, text).unwrap_or_else(|e| panic!("{document}: {e}"));
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{document}: {e}"));
    let lines = found.lines().zip(text.lines());
    let other = lines.enumerate().find(|(_, (found, line))| found != line);
    assert!(
        found == text,
        "{document} is not what the source says, first at {other:?}; `make tables` writes it"
    );
}

/// A Markdown table of these cells.
pub(crate) fn markdown<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |");
    let mut table = line(&head.map(str::to_owned));
    table.push_str(&line(&head.map(|_| "---".to_owned())));
    rows.iter().for_each(|row| table.push_str(&line(row)));
    table
}
