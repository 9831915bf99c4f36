//! `watch`: events as they come, over all connections.

use rustix::process::Signal;

use crate::*;

/// Starts to watch a list with one item, and waits for what is there.
fn watch_list(stack: &Stack, service: &Service, name: &str, args: &[&str]) -> Program {
    let list = format!("{name}.list");
    let run = Program::start(&stack.gateway.addr, &[&["watch", &*list], args].concat());
    serve_list(service, name);
    run
}

fn serve_list(service: &Service, name: &str) {
    let list = format!(r#"{{"collection":[{{"rid":"{name}.1"}}]}}"#);
    service.serve(&format!("{name}.list"), &list);
    service.serve_get(&format!("{name}.1"), r#"{"model":{"text":"one"}}"#);
}

#[test]
fn each_event_is_a_line() {
    for_each_broker(&[], |stack| {
        let service = stack.service("todo");
        let run = watch_list(stack, &service, "todo", &[]);
        assert_eq!(
            run.event(),
            r#"todo.list state [{"rid":"todo.1","model":{"text":"one"}}]"#
        );
        service.event("todo.1.change", r#"{"values":{"text":"two","n":1}}"#);
        assert_eq!(
            run.event(),
            r#"todo.1 change n: (none) -> 1, text: "one" -> "two""#
        );
        service.event("todo.list.add", r#"{"idx":1,"value":{"rid":"todo.2"}}"#);
        service.serve_get("todo.2", r#"{"model":{"text":"new"}}"#);
        assert_eq!(
            run.event(),
            r#"todo.list add [1] {"rid":"todo.2","model":{"text":"new"}}"#
        );
        service.event("todo.list.remove", r#"{"idx":0}"#);
        assert_eq!(run.event(), r#"todo.list remove [0] {"rid":"todo.1"}"#);
        service.event("todo.list.swept", r#"{"by":"me"}"#);
        assert_eq!(run.event(), r#"todo.list swept {"by":"me"}"#);
        run.signal(Signal::INT);
        let ended = run.end();
        assert_eq!((ended.code, &*ended.out, &*ended.err), (Some(0), "", ""));
    });
}

#[test]
fn scripts_get_documents() {
    let stack = Stack::shared();
    let service = stack.service("script");
    let run = watch_list(stack, &service, "script", &["--json", "--depth=0"]);
    let first = run.line();
    assert_eq!(member(&first, "event"), "state");
    assert_eq!(member(&first, "collection"), r#"[{"rid":"script.1"}]"#);
    let time = member(&first, "time");
    assert!(time.ends_with("+01:30") && time.len() == 29, "{time}");
    service.event(
        "script.1.change",
        r#"{"values":{"text":{"action":"delete"}}}"#,
    );
    let second = run.line();
    assert_eq!(member(&second, "rid"), "script.1");
    assert_eq!(member(&second, "values"), "{}");
    assert_eq!(member(&second, "before"), r#"{"text":"one"}"#);
    run.signal(Signal::TERM);
    assert_eq!(run.end().code, Some(0));
}

#[test]
fn it_ends_with_what_it_watches() {
    for_each_broker(&[], |stack| {
        let service = stack.service("todo");
        let run = watch_list(stack, &service, "todo", &[]);
        run.event();
        service.event("todo.list.delete", "");
        assert_eq!(run.event(), "todo.list delete");
        assert!(run.event().starts_with("todo.list unsubscribe "));
        let ended = run.end();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("watch todo.list: "), "{ended:?}");

        let service = stack.service("shut");
        let run = watch_list(stack, &service, "shut", &[]);
        run.event();
        service.event("shut.list.reaccess", "");
        service
            .expect("access.shut.list")
            .result(r#"{"get":false}"#);
        assert_eq!(
            run.event(),
            "shut.list unsubscribe Access denied (system.accessDenied)"
        );
        let ended = run.end();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("Access denied"), "{ended:?}");
    });
}

/// The gateway is killed and comes back; then NATS goes, and the token with it.
#[test]
fn it_connects_again_and_shows_what_was_missed() {
    let broker = Broker::start();
    let mut gateway = Gateway::start(&broker.url(), &[]);
    let service = Service::of(&broker, "todo");
    let login = ["--auth", "todo.session.login"];
    let args = [&["watch", "todo.list"][..], &login].concat();
    let run = Program::start(&gateway.addr, &args);
    service.expect("auth.todo.session.login").result("null");
    serve_list(&service, "todo");
    run.event();

    gateway.signal(Signal::KILL);
    gateway.wait(PATIENCE);
    let words = run.wait_for_words("lost the connection to ws://");
    assert!(words.contains("; trying again in 0."), "{words}");
    run.wait_for_words("connection refused");
    let again = Gateway::start_beside(&gateway, &broker.url(), &[]);
    // It logs in on each connection.
    service.expect("auth.todo.session.login").result("null");
    let [access, get] = service.expect_all(["access.todo.list", "get.todo.list"]);
    access.grant();
    get.result(r#"{"collection":[{"rid":"todo.1"},{"rid":"todo.2"}]}"#);
    let [one, two] = service.expect_all(["get.todo.1", "get.todo.2"]);
    one.result(r#"{"model":{"text":"one"}}"#);
    two.result(r#"{"model":{"text":"two"}}"#);
    run.wait_for_words("watching todo.list again; a resource has changed meanwhile");
    let one = r#"{"rid":"todo.1","model":{"text":"one"}}"#;
    let two = r#"{"rid":"todo.2","model":{"text":"two"}}"#;
    assert_eq!(run.event(), format!("todo.list state [{one},{two}]"));
    service.event("todo.2.change", r#"{"values":{"text":"2"}}"#);
    assert_eq!(run.event(), r#"todo.2 change text: "two" -> "2""#);

    // The gateway ends in good order: the same, and what is not there again is waited for.
    again.signal(Signal::TERM);
    run.wait_for_words("closed with 1001");
    run.signal(Signal::INT);
    assert_eq!(run.end().code, Some(0), "also in a pause");
}

#[test]
fn a_refusal_after_a_reconnect_ends_it() {
    let broker = Broker::start();
    let mut gateway = Gateway::start(&broker.url(), &[]);
    let service = Service::of(&broker, "todo");
    let run = Program::start(&gateway.addr, &["watch", "todo.list"]);
    serve_list(&service, "todo");
    run.event();
    gateway.signal(Signal::KILL);
    gateway.wait(PATIENCE);
    let again = Gateway::start_beside(&gateway, &broker.url(), &[]);
    let [access, get] = service.expect_all(["access.todo.list", "get.todo.list"]);
    access.result(r#"{"get":false}"#);
    get.result(r#"{"collection":[]}"#);
    let ended = run.end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    drop(again);
}

/// `tidegate watch ... | head -1` ends as soon as `head` does.
#[test]
fn it_ends_when_nobody_reads() {
    let stack = Stack::shared();
    let service = stack.service("unread");
    let url = format!("ws://{}/?unread.list", stack.gateway.addr);
    let command = format!("{} watch '{url}' | head -1", env!("CARGO_BIN_EXE_tidegate"));
    let mut child = std::process::Command::new("sh")
        .args(["-c", &command])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("sh starts");
    serve_list(&service, "unread");
    assert!(child.wait().expect("our child").success());
}

/// A gateway that asks whether we are there is answered.
#[test]
fn pings_are_answered() {
    let stack = Stack::start(&["--pinginterval", "100", "--reqtimeout", "60000"]);
    let service = stack.service("quiet");
    let run = watch_list(&stack, &service, "quiet", &[]);
    run.event();
    // Who does not answer is closed after twice the interval.
    let mut other = RawWs::open(&stack.gateway);
    let close = loop {
        let frame = other.next();
        if frame.first & 15 == 8 {
            break frame;
        }
    };
    assert_eq!(close.close_code(), Some(1008));
    service.event("quiet.list.rang", "1");
    assert_eq!(run.event(), "quiet.list rang 1");
}

/// Ctrl-C ends it also while there is no connection yet.
#[test]
fn it_ends_before_it_is_connected() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("it is bound").to_string();
    let run = Program::start(&addr, &["watch", "a", "--timeout", "0"]);
    let _silent = listener.accept().expect("it comes");
    run.signal(Signal::INT);
    let ended = run.end();
    assert_eq!((ended.code, &*ended.out, &*ended.err), (Some(0), "", ""));
}
