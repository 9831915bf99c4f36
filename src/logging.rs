//! Log lines on standard error, in Resgate's format, or as JSON:
//! `2026/01/02 15:04:05.000000 [INF] text`,
//! `{"time":"2026-01-02T15:04:05.000000Z","level":"info","text":"text"}`.
//!
//! The time is UTC: local time would need the system's time zone tables, which neither
//! the standard library nor any dependency reads.
//!
//! **A line never blocks the caller.** Standard error may be a pipe that nobody reads or
//! a stopped terminal, and whoever waits for it stops the whole loop. `O_NONBLOCK` cannot
//! just be set on it, because the flag would belong to everyone who shares the terminal
//! or pipe. So:
//! - a pipe or terminal is opened anew through `/proc/self/fd/2`, which gives a
//!   description of its own that can be non-blocking;
//! - where that fails, and for sockets, `poll` is asked before each write, and no write
//!   is larger than 4096 bytes, which a pipe that is ready takes without waiting (unless
//!   another process fills it in between);
//! - a regular file is written as it is.
//!
//! A line for which there is no room, or only in part, waits for the next line or flush.
//! Until then further lines are dropped and counted; the count is logged as soon as there
//! is room. Only at the end of the process is room waited for, and that not for long:
//! [`finish`].

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::{Mutex, MutexGuard, OnceLock, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// Bytes per write: `PIPE_BUF` of Linux, up to which a write to a pipe is atomic.
const CHUNK: usize = 4096;

/// Longest line, in bytes; the rest is replaced by a mark. Trace lines hold messages of
/// any size, and an unwritten line is kept.
const LINE: usize = 64 * 1024;

/// How long the last lines of the process wait for room.
const PATIENCE: Duration = Duration::from_millis(200);

/// The process's logger, once logging has started.
static LOGGER: OnceLock<Logger> = OnceLock::new();

/// The number of this process among several that write to the same place.
static WORKER: OnceLock<u32> = OnceLock::new();

/// Lines say from now on that they are of this worker.
pub fn set_worker(number: u32) {
    // It does not change.
    let _ = WORKER.set(number);
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Resgate's.
    Text,
    /// An object of JSON.
    Json,
}

/// Starts logging to standard error. Errors, warnings and the few lines of start and stop
/// are always logged, `Debug` with `debug` and `Trace` with `trace`; neither contains
/// the other. Records of other crates are left out. A second call changes nothing.
pub fn init(debug: bool, trace: bool, form: Form) {
    let most = match (trace, debug) {
        (true, _) => LevelFilter::Trace,
        (false, true) => LevelFilter::Debug,
        (false, false) => LevelFilter::Info,
    };
    if LOGGER.get().is_some() {
        return;
    }
    let Some(sink) = Stderr::open() else {
        // Standard error is closed: there is nowhere to log to.
        return;
    };
    let logger = LOGGER.get_or_init(|| Logger {
        debug,
        trace,
        lines: Mutex::new(Lines::new(sink, form)),
    });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(most);
    }
}

/// Writes the last lines of the process, at whose end nothing comes after them that could
/// take them along: first those that wait, then why it ends, if that must be said. Where
/// nobody makes room for them within a fifth of a second the rest is lost, so that a full
/// pipe cannot keep the process from ending.
pub fn finish(reason: Option<&dyn fmt::Display>) {
    let Some(mut lines) = LOGGER.get().and_then(Logger::lines) else {
        return;
    };
    let end = Instant::now() + PATIENCE;
    let is_settled = lines.settle_until(end);
    if let Some(reason) = reason
        && is_settled
    {
        lines.log(now(), Level::Error, &format_args!("{reason}"));
        lines.settle_until(end);
    }
}

/// Text with its control characters escaped, so that it stays on one line and cannot
/// drive a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<T>(
    /// What is shown.
    pub T,
);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

/// Passes text on with control characters escaped as in Rust literals.
struct Escaper<W>(W);

impl<W: fmt::Write> fmt::Write for Escaper<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, control) in text.char_indices().filter(|(_, c)| c.is_control()) {
            self.0.write_str(&text[plain..at])?;
            write!(self.0, "{}", control.escape_default())?;
            plain = at + control.len_utf8();
        }
        self.0.write_str(&text[plain..])
    }
}

/// The process's logger.
struct Logger {
    debug: bool,
    trace: bool,
    lines: Mutex<Lines<Stderr>>,
}

impl Logger {
    /// `None` if the text of a record logs in turn: that inner line is left out.
    fn lines(&self) -> Option<MutexGuard<'_, Lines<Stderr>>> {
        match self.lines.try_lock() {
            Ok(lines) => Some(lines),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
        ours && match metadata.level() {
            Level::Error | Level::Warn | Level::Info => true,
            Level::Debug => self.debug,
            Level::Trace => self.trace,
        }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if let Some(mut lines) = self.lines() {
            lines.log(now(), record.level(), record.args());
        }
    }

    /// Writes what can be written without waiting.
    fn flush(&self) {
        if let Some(mut lines) = self.lines() {
            lines.settle(now());
        }
    }
}

/// Time since 1970-01-01 UTC; zero with a clock before that.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Where lines go.
trait Sink {
    /// Writes some bytes without waiting; `WouldBlock` if there is no room.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits for room, but not for longer; whether there is some.
    fn wait(&mut self, patience: Duration) -> bool;
}

/// The lines on their way into a sink.
struct Lines<S> {
    sink: S,
    form: Form,
    /// The line in work, and how much of it is written.
    line: String,
    written: usize,
    /// Lines for which there was no room.
    dropped: u64,
}

impl<S: Sink> Lines<S> {
    fn new(sink: S, form: Form) -> Lines<S> {
        Lines {
            sink,
            form,
            line: String::new(),
            written: 0,
            dropped: 0,
        }
    }

    fn log(&mut self, now: Duration, level: Level, text: &fmt::Arguments<'_>) {
        if self.settle(now) {
            format_line(&mut self.line, self.form, now, level, text);
            self.drain();
        } else {
            self.dropped += 1;
        }
    }

    /// Writes what waits, then how many lines were dropped; `true` if nothing is left.
    fn settle(&mut self, now: Duration) -> bool {
        if self.drain() && self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            let line = &mut self.line;
            format_line(
                line,
                self.form,
                now,
                Level::Warn,
                &format_args!("{dropped} log lines dropped"),
            );
        }
        self.drain()
    }

    /// Writes what waits and waits for room meanwhile; `true` if nothing is left.
    fn settle_until(&mut self, end: Instant) -> bool {
        let mut has_room = false;
        loop {
            let before = (self.written, self.dropped);
            if self.settle(now()) {
                return true;
            }
            // A sink that says that it has room and takes nothing is broken.
            let is_stuck = has_room && before == (self.written, self.dropped);
            let left = end.saturating_duration_since(Instant::now());
            has_room = !is_stuck && self.sink.wait(left);
            if !has_room {
                return false;
            }
        }
    }

    /// Writes on; `true` if nothing is left.
    fn drain(&mut self) -> bool {
        while self.written < self.line.len() {
            let rest = &self.line.as_bytes()[self.written..];
            match self.sink.write(&rest[..rest.len().min(CHUNK)]) {
                Ok(0) => return false,
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.line.clear();
        self.written = 0;
        true
    }
}

/// Writes a line with its newline over what `line` holds.
fn format_line(
    line: &mut String,
    form: Form,
    now: Duration,
    level: Level,
    text: &fmt::Arguments<'_>,
) {
    line.clear();
    let (before, after) = head(form, now, level);
    line.push_str(&before);
    let mut capped = Capped { line, cut: 0 };
    // Writing to a string fails only if a Display does: then the line ends there.
    let _ = match form {
        Form::Text => Escaper(&mut capped).write_fmt(*text),
        Form::Json => JsonText(&mut capped).write_fmt(*text),
    };
    let cut = capped.cut;
    if cut > 0 {
        let _ = write!(line, " [{cut} more bytes]");
    }
    line.push_str(after);
    line.push('\n');
}

/// What stands before and behind the text of a line.
fn head(form: Form, now: Duration, level: Level) -> (String, &'static str) {
    let seconds = now.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute) = (seconds / 3_600 % 24, seconds / 60 % 60);
    let (second, micros) = (seconds % 60, now.subsec_micros());
    let time = format!("{hour:02}:{minute:02}:{second:02}.{micros:06}");
    let (tag, name) = match level {
        Level::Error => ("ERR", "error"),
        Level::Warn => ("WRN", "warn"),
        Level::Info => ("INF", "info"),
        Level::Debug => ("DBG", "debug"),
        Level::Trace => ("TRC", "trace"),
    };
    match form {
        Form::Text => {
            let date = format!("{year:04}/{month:02}/{day:02}");
            let of = WORKER
                .get()
                .map_or_else(String::new, |it| format!("worker {it}: "));
            (format!("{date} {time} [{tag}] {of}"), "")
        }
        Form::Json => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            let of = WORKER
                .get()
                .map_or_else(String::new, |it| format!("\"worker\":{it},"));
            let head =
                format!("{{\"time\":\"{date}T{time}Z\",\"level\":\"{name}\",{of}\"text\":\"");
            (head, "\"}")
        }
    }
}

/// Passes text on as it stands in a JSON string.
struct JsonText<'a, 'l>(&'a mut Capped<'l>);

impl fmt::Write for JsonText<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        let is_escaped = |c: char| c.is_control() || c == '"' || c == '\\';
        for (at, c) in text.char_indices().filter(|(_, c)| is_escaped(*c)) {
            self.0.write_str(&text[plain..at])?;
            match c {
                '"' | '\\' => self.0.write_whole(&format!("\\{c}")),
                _ => self.0.write_whole(&format!("\\u{:04x}", u32::from(c))),
            }
            plain = at + c.len_utf8();
        }
        self.0.write_str(&text[plain..])
    }
}

/// A line that takes up to [`LINE`] bytes and counts the rest.
struct Capped<'a> {
    line: &'a mut String,
    cut: usize,
}

impl Capped<'_> {
    /// Takes a text as a whole or not at all: half of an escape would be another text.
    fn write_whole(&mut self, text: &str) {
        match self.cut == 0 && self.line.len() + text.len() <= LINE {
            true => self.line.push_str(text),
            false => self.cut += text.len(),
        }
    }
}

impl fmt::Write for Capped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = if self.cut == 0 {
            LINE.saturating_sub(self.line.len())
        } else {
            0
        };
        let mut taken = room.min(text.len());
        while !text.is_char_boundary(taken) {
            taken -= 1;
        }
        self.line.push_str(&text[..taken]);
        self.cut += text.len() - taken;
        Ok(())
    }
}

/// Year, month and day in the Gregorian calendar of a day counted from 1970-01-01.
///
/// Counted from a first of March instead, the leap day is the last day of its year and of
/// its era of 400 years, and the lengths of the months repeat every five (153 days).
fn date(day: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    let day = day + 719_468;
    let (era, day) = (day / ERA, day % ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

/// Standard error, written without waiting.
struct Stderr {
    file: File,
    /// Whether `poll` must say that there is room before each write.
    ask: bool,
}

impl Stderr {
    /// `None` if the descriptor is closed.
    fn open() -> Option<Stderr> {
        let file = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?);
        Some(Stderr::new(file))
    }

    fn new(shared: File) -> Stderr {
        let Ok(kind) = shared.metadata().map(|data| data.file_type()) else {
            return Stderr {
                file: shared,
                ask: true,
            };
        };
        if (kind.is_fifo() || kind.is_char_device())
            && let Ok(own) = reopen(&shared)
        {
            return Stderr {
                file: own,
                ask: false,
            };
        }
        Stderr {
            file: shared,
            ask: !kind.is_file(),
        }
    }
}

/// Opens a pipe or terminal again as a non-blocking description.
fn reopen(file: &File) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new()
        .write(true)
        .custom_flags(flags.bits() as i32)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

impl Sink for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ask && !self.has_room(Duration::ZERO)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.write(bytes)
    }

    fn wait(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        loop {
            match self.has_room(end.saturating_duration_since(Instant::now())) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.unwrap_or(false),
            }
        }
    }
}

impl Stderr {
    /// Asks the system whether a write would be taken, at once or in a while.
    fn has_room(&self, patience: Duration) -> io::Result<bool> {
        let patience = Timespec::try_from(patience).unwrap_or_default();
        let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
        poll(&mut fds, Some(&patience))?;
        Ok(fds[0].revents().contains(PollFlags::OUT))
    }
}

#[cfg(test)]
mod tests;
