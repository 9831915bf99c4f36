//! What the log says of faulty services and of requests that are refused.

use crate::harness::{Heart, REQUEST_TIMEOUT};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::RefCell;
use std::sync::Once;

const MODEL: &str = r#"{"model":{"a":1}}"#;
const LIST: &str = r#"{"collection":[1,2]}"#;

thread_local! {
    /// The lines of the test that runs on this thread.
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps lines for the test that made them.
struct Kept;

impl Log for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = (record.level(), record.args().to_string());
        LINES.with(|lines| lines.borrow_mut().push(line));
    }

    fn flush(&self) {}
}

/// A heart whose lines are kept from now on.
fn heart() -> Heart {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Kept).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
    Heart::new()
}

/// The lines of a level since the last call, without connection IDs.
fn lines(level: Level) -> Vec<String> {
    let lines = LINES.with(RefCell::take).into_iter();
    let lines = lines.filter(|(of, _)| *of == level);
    lines.map(|(_, line)| without_cid(&line)).collect()
}

fn without_cid(line: &str) -> String {
    match (line.starts_with('['), line.split_once("] ")) {
        (true, Some((_, rest))) => format!("[$CID] {rest}"),
        _ => line.to_owned(),
    }
}

/// What was warned about since the last call.
fn warnings() -> Vec<String> {
    lines(Level::Warn)
}

#[test]
fn an_event_that_is_ignored_is_warned_about_once_a_minute() {
    let mut h = heart();
    h.subscribed(1, "test.model", MODEL);
    h.subscribed(1, "test.list", LIST);
    warnings();
    for _ in 0..3 {
        h.event("event.test.list.add", r#"{"idx":9,"value":1}"#);
    }
    assert_eq!(
        warnings(),
        ["test.list: add event is ignored: idx 9 is beyond the end, 2"]
    );
    h.event("event.test.model.add", r#"{"idx":0,"value":1}"#);
    assert_eq!(
        warnings(),
        ["test.model: add event is ignored: the resource is a model \
          (2 more of this kind since the last, see -D)"]
    );
    h.event("event.test.model.change", "{");
    h.event("event.test.list.remove", r#"{"idx":2}"#);
    assert_eq!(
        lines(Level::Debug).len(),
        2,
        "what is not warned about is said at debug level"
    );
    h.advance(60_000);
    h.event("event.test.list.remove", r#"{"idx":2}"#);
    assert_eq!(
        warnings(),
        [
            "test.list: remove event is ignored: idx 2 is not below the length, 2 \
          (2 more of this kind since the last, see -D)"
        ]
    );
    h.client(1).receives_nothing();
}

#[test]
fn a_reset_whose_get_request_fails_is_warned_about() {
    for (answer, words) in [
        (
            r#"{"error":{"code":"test.no","message":"No"}}"#,
            "No (test.no)",
        ),
        (
            r#"{"result":{"collection":[]}}"#,
            "the resource is of another type now",
        ),
        (
            r#"{"result":{"model":{"a":{}}}}"#,
            "Internal error: invalid value: nested json object must be wrapped as a data value \
             (system.internalError)",
        ),
    ] {
        let mut h = heart();
        h.subscribed(1, "test.model", MODEL);
        warnings();
        h.event("system.reset", r#"{"resources":["test.>"]}"#);
        let request = h.expect_request("get.test.model");
        h.respond(&request, answer);
        let front = "test.model: the get request that was to renew it is of no use";
        assert_eq!(warnings(), [format!("{front}: {words}")]);
        h.discard();
    }
}

#[test]
fn an_invalid_answer_to_new_and_a_status_without_meaning_are_warned_about() {
    let mut h = heart();
    h.client(1).request(1, "new.test.list");
    h.access("test.list", r#"{"result":{"call":"*"}}"#);
    let request = h.expect_request("call.test.list.new");
    warnings();
    h.respond(&request, r#"{"result":{"id":1}}"#);
    assert_eq!(
        warnings(),
        [
            "test.list: answer to new is not used: Internal error: non-resource response on new \
          request (system.internalError)"
        ]
    );
    h.client(1).messages();

    h.web(2, "GET", "test/model", "");
    let request = h.expect_request("access.test.model");
    h.respond(&request, r#"{"result":{"get":true},"meta":{"status":200}}"#);
    assert_eq!(
        warnings(),
        ["test.model: meta status 200 is ignored: not from 300 to 599"]
    );
    h.serve("test.model", MODEL);
    assert_eq!(h.web_answer(2).0, 200);
}

#[test]
fn a_token_reset_without_answer_is_warned_about() {
    let mut h = heart();
    h.client(1).request(1, "auth.test.login");
    let login = h.expect_request("auth.test.login");
    h.respond(&login, r#"{"result":null}"#);
    h.token(1, r#"{"token":1,"tid":"a"}"#);
    h.event(
        "system.tokenReset",
        r#"{"tids":["a"],"subject":"auth.renew"}"#,
    );
    h.expect_request("auth.renew");
    warnings();
    h.advance(REQUEST_TIMEOUT);
    assert_eq!(
        warnings(),
        ["token reset on auth.renew is not answered: Request timeout (system.timeout)"]
    );
    h.client(1).messages();
}

#[test]
fn refusals_have_a_line_with_the_reason() {
    let mut h = heart();
    h.client(1);
    lines(Level::Debug);
    h.client(1).subscribe(1, "test.model");
    h.deny("test.model");
    h.serve("test.model", MODEL);
    assert_eq!(
        lines(Level::Debug),
        ["[$CID] request 1, subscribe of test.model is refused: \
          Access denied (system.accessDenied)"]
    );
    h.client(1).request(2, "call.test.model.set");
    h.access("test.model", r#"{"result":{"get":1}}"#);
    let found = lines(Level::Debug);
    let ends = [
        "answer to the access request of test.model is not used: Internal error: not a boolean \
         (system.internalError)",
        "[$CID] request 2, call of test.model.set is refused: Internal error: not a boolean \
         (system.internalError)",
    ];
    assert_eq!(found, ends);
    h.client(1).messages();
    h.client(1).send("nonsense");
    assert_eq!(
        lines(Level::Debug),
        ["[$CID] message is ignored: it is no request"]
    );
}

#[test]
fn a_trace_shows_messages_without_tokens() {
    let mut h = heart();
    h.client(1);
    lines(Level::Trace);
    h.client(1)
        .send(r#"{"id":1,"method":"auth.a.b","params":{"token":"secret","x":1}}"#);
    assert_eq!(
        lines(Level::Trace),
        [r#"[$CID] --> {"id":1,"method":"auth.a.b","params":{"token":"***","x":1}}"#]
    );
    h.expect_request("auth.a.b");
    h.advance(REQUEST_TIMEOUT);
    let found = lines(Level::Trace);
    assert!(
        found[0].starts_with("x=> (") && found[0].ends_with(") Request timeout"),
        "{found:?}"
    );
    h.client(1).messages();
}
