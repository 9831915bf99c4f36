use std::cell::Cell;
use std::collections::VecDeque;
use std::io::Read;
use std::rc::Rc;

use super::*;

const NOW: Duration = Duration::new(1_767_323_045, 6_007_000);

/// Takes as much as each step says; without a step there is no room.
#[derive(Default)]
struct Steps {
    room: VecDeque<usize>,
    taken: Vec<u8>,
    /// Room that there is after each wait; without one nobody makes room in time.
    promises: VecDeque<usize>,
    waits: u32,
    largest: Rc<Cell<usize>>,
}

impl Sink for Steps {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.largest.set(self.largest.get().max(bytes.len()));
        let room = self.room.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let count = room.min(bytes.len());
        self.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn wait(&mut self, _: Duration) -> bool {
        self.waits += 1;
        self.promises.pop_front().is_some_and(|room| {
            self.room.push_back(room);
            true
        })
    }
}

fn lines(room: &[usize]) -> Lines<Steps> {
    let steps = Steps {
        room: room.iter().copied().collect(),
        ..Steps::default()
    };
    Lines::new(steps, Form::Text)
}

fn taken(lines: &Lines<Steps>) -> String {
    String::from_utf8(lines.sink.taken.clone()).expect("text")
}

fn format(level: Level, text: &fmt::Arguments<'_>) -> String {
    let mut line = "old".to_owned();
    format_line(&mut line, Form::Text, NOW, level, text);
    line
}

#[test]
fn format_of_each_level() {
    for (level, tag) in [
        (Level::Error, "ERR"),
        (Level::Warn, "WRN"),
        (Level::Info, "INF"),
        (Level::Debug, "DBG"),
        (Level::Trace, "TRC"),
    ] {
        assert_eq!(
            format(level, &format_args!("text {}", 1)),
            format!("2026/01/02 03:04:05.006007 [{tag}] text 1\n")
        );
    }
}

#[test]
fn dates() {
    for (day, expected) in [
        (0, (1970, 1, 1)),
        (58, (1970, 2, 28)),
        (59, (1970, 3, 1)),
        (364, (1970, 12, 31)),
        (789, (1972, 2, 29)),
        (790, (1972, 3, 1)),
        (10_956, (1999, 12, 31)),
        (11_016, (2000, 2, 29)),
        (11_017, (2000, 3, 1)),
        (20_454, (2026, 1, 1)),
        (47_540, (2100, 2, 28)),
        (47_541, (2100, 3, 1)),
        (157113, (2400, 2, 29)),
    ] {
        assert_eq!(date(day), expected, "{day}");
    }
    // Every day follows the one before, through a whole era.
    let mut last = date(0);
    for day in 1..146_097 {
        let (year, month, dom) = date(day);
        let follows = (year, month, dom) == (last.0, last.1, last.2 + 1)
            || (year, month, dom) == (last.0, last.1 + 1, 1)
            || (year, month, dom) == (last.0 + 1, 1, 1) && last.1 == 12;
        assert!(follows && dom <= 31 && month <= 12, "{last:?} {day}");
        last = (year, month, dom);
    }
}

#[test]
fn control_characters_are_escaped() {
    for (text, expected) in [
        ("plain \u{e9} \\ \"q\"", "plain \u{e9} \\ \"q\""),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\u{1b}[31m", "\\u{1b}[31m"),
        ("\0\u{7f}\u{9b}", "\\u{0}\\u{7f}\\u{9b}"),
        ("", ""),
    ] {
        assert_eq!(Escaped(text).to_string(), expected);
        let line = format(Level::Info, &format_args!("{text}"));
        assert_eq!(
            line,
            format!("2026/01/02 03:04:05.006007 [INF] {expected}\n")
        );
    }
}

#[test]
fn long_lines_are_cut_between_characters() {
    let head = "2026/01/02 03:04:05.006007 [TRC] ".len();
    let room = LINE - head;
    let exact = "x".repeat(room);
    let line = format(Level::Trace, &format_args!("{exact}"));
    assert!(line.ends_with("xx\n"));
    assert_eq!(line.len(), LINE + 1);

    let line = format(Level::Trace, &format_args!("{exact}y\n"));
    assert!(
        line.ends_with("x [3 more bytes]\n"),
        "the newline is two when escaped"
    );

    // A character that does not fit is cut whole, and nothing slips in after it.
    let line = format(
        Level::Trace,
        &format_args!("{}\u{20ac}{}", &exact[1..], "a"),
    );
    assert!(line.ends_with("x [4 more bytes]\n"));
}

#[test]
fn a_line_is_finished_whatever_the_sink_takes() {
    let whole = format(Level::Info, &format_args!("hello"));
    for cut in 1..whole.len() {
        let mut lines = lines(&[cut]);
        lines.log(NOW, Level::Info, &format_args!("hello"));
        assert_eq!(taken(&lines), whole[..cut]);
        lines.sink.room.extend([usize::MAX; 2]);
        lines.log(NOW, Level::Info, &format_args!("hello"));
        assert_eq!(taken(&lines), whole.repeat(2), "cut at {cut}");
    }
}

#[test]
fn lines_without_room_are_dropped_and_counted() {
    let mut lines = lines(&[]);
    for n in 1..=4 {
        lines.log(NOW, Level::Info, &format_args!("line {n}"));
    }
    assert_eq!(taken(&lines), "");
    lines.sink.room.extend([usize::MAX; 3]);
    lines.log(NOW, Level::Error, &format_args!("line 5"));
    let head = "2026/01/02 03:04:05.006007";
    assert_eq!(
        taken(&lines),
        format!("{head} [INF] line 1\n{head} [WRN] 3 log lines dropped\n{head} [ERR] line 5\n")
    );
    // The count starts anew.
    lines.sink.room.push_back(usize::MAX);
    lines.log(NOW, Level::Info, &format_args!("line 6"));
    assert!(taken(&lines).ends_with(&format!("line 5\n{head} [INF] line 6\n")));
}

#[test]
fn a_count_without_room_is_kept() {
    let mut lines = lines(&[]);
    lines.log(NOW, Level::Info, &format_args!("a"));
    lines.log(NOW, Level::Info, &format_args!("b"));
    // Room for the first line, none for the count: the new line is dropped as well.
    lines.sink.room.push_back(usize::MAX);
    lines.log(NOW, Level::Info, &format_args!("c"));
    lines.sink.room.extend([usize::MAX; 3]);
    assert!(lines.settle(NOW));
    let head = "2026/01/02 03:04:05.006007";
    assert_eq!(
        taken(&lines),
        format!(
            "{head} [INF] a\n{head} [WRN] 1 log lines dropped\n{head} [WRN] 1 log lines dropped\n"
        )
    );
}

#[test]
fn the_end_waits_for_room_only_while_some_is_made() {
    let end = Instant::now();
    let mut slow = lines(&[1]);
    slow.log(NOW, Level::Info, &format_args!("a"));
    slow.log(NOW, Level::Info, &format_args!("b"));
    slow.sink.promises.extend([1; 200]);
    assert!(slow.settle_until(end));
    assert!(taken(&slow).ends_with(" [WRN] 1 log lines dropped\n"));

    let mut full = lines(&[]);
    full.log(NOW, Level::Info, &format_args!("a"));
    full.sink.promises.extend([1; 3]);
    assert!(!full.settle_until(end));
    assert_eq!((taken(&full).len(), full.sink.waits), (3, 4));

    // It says that there is room, and takes nothing: it is not asked for ever.
    let mut broken = lines(&[]);
    broken.log(NOW, Level::Info, &format_args!("a"));
    broken.sink.promises.extend([0; 1_000]);
    assert!(!broken.settle_until(end));
    assert_eq!(broken.sink.waits, 1);
}

#[test]
fn no_write_is_larger_than_a_chunk() {
    let mut lines = lines(&[usize::MAX; 32]);
    let long = "x".repeat(LINE);
    lines.log(NOW, Level::Trace, &format_args!("{long}"));
    assert_eq!(lines.sink.largest.get(), CHUNK);
    assert!(taken(&lines).ends_with("more bytes]\n"));
}

#[test]
fn levels_are_independent_and_ours_alone() {
    let logger = |debug, trace| Logger {
        debug,
        trace,
        lines: Mutex::new(Lines::new(
            Stderr::open().expect("standard error"),
            Form::Text,
        )),
    };
    for (debug, trace) in [(false, false), (true, false), (false, true), (true, true)] {
        let logger = logger(debug, trace);
        let enabled = |level, target| {
            logger.enabled(&Metadata::builder().level(level).target(target).build())
        };
        for level in [Level::Error, Level::Warn, Level::Info] {
            assert!(enabled(level, "tidegate::reactor"));
            assert!(!enabled(level, "mio::poll"));
        }
        assert_eq!(enabled(Level::Debug, "tidegate"), debug);
        assert_eq!(enabled(Level::Trace, "tidegate::nats"), trace);
        assert!(!enabled(Level::Trace, "tidegated"));
    }
}

/// The real thing, on a pipe that nobody reads: both ways of not blocking.
#[test]
fn a_full_pipe_does_not_block() {
    for reopened in [true, false] {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let shared = File::from(std::os::fd::OwnedFd::from(writer));
        let before = rustix::fs::fcntl_getfl(&shared).expect("flags");
        let kept = shared.try_clone().expect("a duplicate");
        let sink = if reopened {
            Stderr::new(shared)
        } else {
            Stderr {
                file: shared,
                ask: true,
            }
        };
        assert_eq!(sink.ask, !reopened);
        let mut lines = Lines::new(sink, Form::Text);
        let text = "x".repeat(1_000);
        let mut sent = 0_u64;
        while lines.dropped < 3 {
            lines.log(NOW, Level::Info, &format_args!("{text}"));
            sent += 1;
        }
        assert_eq!(
            rustix::fs::fcntl_getfl(&kept).expect("flags"),
            before,
            "the shared description is as it was"
        );

        let mut buffer = [0; 1 << 20];
        let count = reader.read(&mut buffer).expect("what is in the pipe");
        lines.log(NOW, Level::Info, &format_args!("last"));
        drop((lines, kept));
        let mut all = buffer[..count].to_vec();
        reader.read_to_end(&mut all).expect("the rest");
        let all = String::from_utf8(all).expect("text");
        let whole = all.lines().filter(|line| line.ends_with(&text)).count() as u64;
        assert_eq!(whole + 3, sent, "all lines but the dropped ones, unbroken");
        let mut tail = all.lines().rev();
        assert!(tail.next().is_some_and(|line| line.ends_with("[INF] last")));
        assert!(
            tail.next()
                .is_some_and(|line| line.ends_with("[WRN] 3 log lines dropped"))
        );
    }
}

fn json(level: Level, text: &fmt::Arguments<'_>) -> serde_json::Value {
    let mut line = "old".to_owned();
    format_line(&mut line, Form::Json, NOW, level, text);
    let line = line.strip_suffix('\n').expect("a line");
    assert!(!line.contains(char::is_control), "{line:?}");
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:.200}"))
}

#[test]
fn lines_of_json_hold_any_text() {
    let text = "a \"b\" \\ \n\t\0\u{1b}\u{9f} \u{e4}\u{1f30a}";
    let line = json(Level::Warn, &format_args!("{text}"));
    let expected = serde_json::json!({
        "time": "2026-01-02T03:04:05.006007Z", "level": "warn", "text": text
    });
    assert_eq!(line, expected);
}

#[test]
fn lines_of_json_are_cut_to_json() {
    for fill in [" ", "\n", "\"", "\u{1f30a}", "a\\"] {
        let line = json(Level::Trace, &format_args!("x{}", fill.repeat(LINE)));
        let text = line["text"].as_str().expect("a text");
        assert!(text.len() < LINE + 40, "{}", text.len());
        assert!(text.ends_with(" more bytes]"), "{text:.40}");
    }
}
