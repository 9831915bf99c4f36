//! `get`, `call` and `auth` that are answered.

use crate::*;

/// A list with two items, of which one refers back, and one is missing.
fn serve_list(service: &Service, name: &str) {
    service.serve(
        &format!("{name}.list"),
        &format!(r#"{{"collection":[{{"rid":"{name}.1"}},{{"rid":"{name}.2"}},"<x>"]}}"#),
    );
    let [one, two] = service.expect_all([&format!("get.{name}.1"), &format!("get.{name}.2")]);
    one.result(&format!(
        r#"{{"model":{{"text":"one","list":{{"rid":"{name}.list"}},"n":1.50}}}}"#
    ));
    two.error("system.notFound", "Not found");
}

#[test]
fn get_shows_a_resource_with_what_it_refers_to() {
    for_each_broker(&[], |stack| {
        let service = stack.service("todo");
        let indented = r#"[
  {
    "rid": "todo.1",
    "model": {
      "list": {
        "rid": "todo.list"
      },
      "n": 1.50,
      "text": "one"
    }
  },
  {
    "rid": "todo.2",
    "error": {
      "code": "system.notFound",
      "message": "Not found"
    }
  },
  "<x>"
]
"#;
        let run = Program::start(&stack.gateway.addr, &["get", "todo.list"]);
        serve_list(&service, "todo");
        assert_eq!(run.output(), indented);
        let service = stack.service("flat");
        let args = ["get", "flat.list", "--depth=0", "--json"];
        let run = Program::start(&stack.gateway.addr, &args);
        serve_list(&service, "flat");
        let line = r#"[{"rid":"flat.1"},{"rid":"flat.2","error":{"code":"system.notFound","message":"Not found"}},"<x>"]"#;
        assert_eq!(run.output(), format!("{line}\n"));
    });
}

#[test]
fn a_resource_is_named_by_id_or_by_address() {
    let stack = Stack::shared();
    let service = stack.service("named");
    let addr = &stack.gateway.addr;
    let url = format!("ws://{addr}/");
    for (query, args) in [
        ("n=1&m=2", [&*format!("{url}?named.a?n=1&m=2"), "--json"]),
        ("n=2", [&format!("http://{addr}/api/named/a?n=2"), "--json"]),
        ("n=3", ["named.a?n=3", &format!("--url={url}")]),
    ] {
        let run = Program::start_in(&[], &[&["get"], &args[..]].concat());
        let [access, get] = service.expect_all(["access.named.a", "get.named.a"]);
        assert_eq!(access.member("query"), query);
        access.grant();
        get.result(&format!(r#"{{"model":{{}},"query":"{query}"}}"#));
        assert_eq!(run.output(), "{}\n", "{args:?}");
    }
}

#[test]
fn call_takes_parameters_from_everywhere() {
    for_each_broker(&[], |stack| {
        let service = stack.service("todo");
        let directory = Directory::new();
        let file = directory.write("params.json", " {\"from\": \"file\"}\n");
        let by_file = format!("@{file}");
        for (params, given, expected) in [
            (None, None, None),
            (Some("{\"a\": [1]}"), None, Some("{\"a\":[1]}")),
            (Some("-"), Some("[\"typed\"]\n"), Some("[\"typed\"]")),
            (Some(&*by_file), None, Some("{\"from\":\"file\"}")),
        ] {
            let mut args = vec!["call", "todo.list", "add"];
            if let Some(params) = params {
                args.extend(["--params", params]);
            }
            let mut run = Program::start(&stack.gateway.addr, &args);
            if let Some(given) = given {
                run.give(given);
            }
            service.expect("access.todo.list").grant();
            let call = service.expect("call.todo.list.add");
            match expected {
                Some(json) => assert_json(&call.member("params"), json),
                None => assert_eq!(call.member("params"), "null"),
            }
            call.result(r#"{"n":1,"list":[]}"#);
            assert_eq!(run.output(), "{\n  \"n\": 1,\n  \"list\": []\n}\n");
        }
    });
}

#[test]
fn a_call_may_be_answered_by_a_resource() {
    let stack = Stack::shared();
    let service = stack.service("made");
    let run = Program::start(&stack.gateway.addr, &["call", "made.list", "new", "--json"]);
    service.expect("access.made.list").grant();
    service
        .expect("call.made.list.new")
        .respond(r#"{"resource":{"rid":"made.1"}}"#);
    service.serve("made.1", r#"{"model":{"a":null}}"#);
    assert_eq!(
        run.output(),
        "{\"rid\":\"made.1\",\"model\":{\"a\":null}}\n"
    );
}

#[test]
fn auth_shows_its_result_and_a_login_gives_the_token() {
    for_each_broker(&[], |stack| {
        let service = stack.service("todo");
        let addr = &stack.gateway.addr;
        let run = Program::start(addr, &["auth", "todo.session", "login", "-p", "{}"]);
        service.expect("auth.todo.session.login").result("null");
        assert_eq!(run.output(), "null\n");

        let login = [
            "--auth",
            "todo.session.login",
            "--auth-params",
            "{\"password\":\"sesame\"}",
        ];
        let run = Program::start(
            addr,
            &[&["call", "todo.list", "sweep"][..], &login].concat(),
        );
        let auth = service.expect("auth.todo.session.login");
        assert_json(&auth.member("params"), r#"{"password":"sesame"}"#);
        let cid = auth.member("cid");
        service.publish(&format!("conn.{cid}.token"), r#"{"token":{"user":"me"}}"#);
        auth.result("null");
        let access = service.expect("access.todo.list");
        assert_json(&access.member("token"), r#"{"user":"me"}"#);
        access.grant();
        service.expect("call.todo.list.sweep").result("{}");
        assert_eq!(run.output(), "{}\n");
    });
}

#[test]
fn headers_reach_the_service_that_is_asked_about_them() {
    for_each_broker(&["--wsheadauth", "todo.session.header"], |stack| {
        let service = stack.service("todo");
        let args = [
            "get",
            "todo.a",
            "--json",
            "-H",
            "X-Token: a b",
            "--header=X-Token:c",
        ];
        let run = Program::start(&stack.gateway.addr, &args);
        let auth = service.expect("auth.todo.session.header");
        assert!(
            auth.payload().contains(r#""X-Token":["a b","c"]"#),
            "{}",
            auth.payload()
        );
        auth.result("null");
        service.serve("todo.a", r#"{"model":{}}"#);
        assert_eq!(run.output(), "{}\n");
    });
}

/// A gateway may send and take large messages, in frames and packets of any size.
#[test]
fn large_messages_come_and_go_whole() {
    let stack = Stack::shared();
    let service = stack.service("large");
    let text = "x".repeat(900_000);
    let params = format!("\"{text}\"");
    let args = ["call", "large.a", "echo", "-p", "-", "--json"];
    let mut run = Program::start(&stack.gateway.addr, &args);
    run.give(&params);
    service.expect("access.large.a").grant();
    let call = service.expect("call.large.a.echo");
    assert_eq!(call.member("params"), text);
    call.result(&params);
    assert_eq!(run.output(), format!("{params}\n"));
}

#[test]
fn a_connection_has_resources_of_its_own() {
    let stack = Stack::shared();
    let service = stack.service("own");
    let run = Program::start(&stack.gateway.addr, &["get", "own.{cid}.a", "--json"]);
    for _ in 0..2 {
        let request = service.next();
        match request.subject().starts_with("access.") {
            true => request.grant(),
            false => request.result(r#"{"model":{"a":1}}"#),
        }
    }
    assert_eq!(run.output(), "{\"a\":1}\n");
}

/// Colours are for terminals, and not for those who do not want them.
#[test]
fn colours_are_for_terminals() {
    let stack = Stack::shared();
    let service = stack.service("colour");
    let expected = "{\r\n  \u{1b}[34m\"a\"\u{1b}[0m: \u{1b}[36m1\u{1b}[0m\r\n}\r\n";
    let plain = "{\r\n  \"a\": 1\r\n}\r\n";
    for (name, variable, expected) in [
        ("on", "", expected),
        ("off", "NO_COLOR=1", plain),
        ("empty", "NO_COLOR=", expected),
    ] {
        let binary = env!("CARGO_BIN_EXE_tidegate");
        let addr = &stack.gateway.addr;
        let command = format!("{variable} {binary} get 'ws://{addr}/?colour.{name}'");
        let child = std::process::Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env_remove("NO_COLOR")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let Ok(child) = child else {
            eprintln!("skipped: script(1) is not installed");
            return;
        };
        service.serve(&format!("colour.{name}"), r#"{"model":{"a":1}}"#);
        let output = child.wait_with_output().expect("our child");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{name}");
    }
}
