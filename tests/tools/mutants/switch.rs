//! Which mutant is on, and which are reached: in the copy that `make mutants` changes.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;

/// Reaching is written down, and none is on.
const RECORDED: u32 = u32::MAX;

static CHOSEN: OnceLock<u32> = OnceLock::new();
static RECORD: OnceLock<Option<File>> = OnceLock::new();

thread_local! {
    static SEEN: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) };
}

/// Whether the mutant of this number is on.
#[inline]
#[must_use]
pub fn on(number: u32) -> bool {
    let chosen = *CHOSEN.get_or_init(choose);
    if chosen == RECORDED {
        record(number);
        return false;
    }
    chosen == number
}

/// What one of two functions returning iterators does, as one type.
pub fn either<T, A: Iterator<Item = T>, B: Iterator<Item = T>>(
    is_on: bool,
    mutant: impl FnOnce() -> A,
    original: impl FnOnce() -> B,
) -> impl Iterator<Item = T> {
    let original = (!is_on).then(original).into_iter().flatten();
    is_on.then(mutant).into_iter().flatten().chain(original)
}

fn choose() -> u32 {
    if std::env::var_os("MUTANTS_RECORD").is_some() {
        return RECORDED;
    }
    let chosen = std::env::var("MUTANT").ok();
    chosen.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A line for each mutant and thread, which has the name of the test that it runs.
#[cold]
fn record(number: u32) {
    let at = number as usize;
    let known = SEEN.try_with(|seen| {
        let mut seen = seen.borrow_mut();
        if seen.len() <= at {
            seen.resize(at + 1, false);
        }
        std::mem::replace(&mut seen[at], true)
    });
    if known == Ok(true) {
        return;
    }
    let file = RECORD.get_or_init(|| {
        let path = std::env::var_os("MUTANTS_RECORD")?;
        File::options().append(true).create(true).open(path).ok()
    });
    if let Some(mut file) = file.as_ref() {
        let thread = std::thread::current();
        let line = format!("{number} {}\n", thread.name().unwrap_or("?"));
        let _ = file.write_all(line.as_bytes());
    }
}
