//! What fails, with the sentence that is said and the exit code.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::*;

/// Fails unless a run ends with this code, and a sentence with these words.
#[track_caller]
fn expect(run: Program, code: i32, words: &str) {
    let ended = run.end();
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.out, "", "{ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    assert!(ended.err.starts_with("tidegate: "), "{ended:?}");
    assert!(ended.err.contains(words), "{words}: {ended:?}");
}

#[test]
fn wrong_usage_ends_with_1() {
    let missing = "/nowhere/params.json";
    for (args, words) in [
        (
            &["get"][..],
            "a resource ID is missing; see tidegate get --help",
        ),
        (&["get", "a..b"], "is no resource ID"),
        (&["watch", "a", "--nope"], "unknown flag --nope"),
        (&["help", "serve"], "there is no command \"serve\""),
        (
            &["call", "a", "b", "-p", "{"],
            "--params: the value is not JSON",
        ),
        (&["call", "a", "b", "-p", "@/nowhere/params.json"], missing),
        (
            &["get", "wss://localhost/?a", "--cafile", missing],
            "cannot read the root certificate",
        ),
    ] {
        expect(Program::start_in(&[], args), 1, words);
    }
    let wrong = [("TIDEGATE_URL", "localhost:8080")];
    expect(
        Program::start_in(&wrong, &["get", "a"]),
        1,
        "TIDEGATE_URL: ",
    );
}

#[test]
fn help_is_shown() {
    for (args, words) in [
        (&["help"][..], "tidegate call <rid> <method>"),
        (&["get", "--help"], "Usage: tidegate get <rid>"),
        (&["help", "watch"], "Usage: tidegate watch <rid>"),
    ] {
        let text = Program::start_in(&[], args).output();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn errors_of_services_end_with_2() {
    for_each_broker(&[], |stack| {
        let service = stack.service("todo");
        let addr = &stack.gateway.addr;
        let run = Program::start(addr, &["get", "nobody.here"]);
        expect(run, 2, "get nobody.here: Not found (system.notFound)");

        let run = Program::start(addr, &["get", "todo.list"]);
        let [access, get] = service.expect_all(["access.todo.list", "get.todo.list"]);
        access.result(r#"{"get":false}"#);
        get.result(r#"{"collection":[]}"#);
        expect(run, 2, "get todo.list: Access denied (system.accessDenied)");

        let args = ["call", "todo.list", "add", "--json"];
        let run = Program::start(addr, &args);
        service.expect("access.todo.list").grant();
        let call = service.expect("call.todo.list.add");
        call.respond(r#"{"error":{"code":"todo.full","message":"No\u001bmore","data":{"n":9}}}"#);
        let ended = run.end();
        assert_eq!((ended.code, &*ended.out), (Some(2), ""));
        assert_eq!(
            ended.err,
            "{\"error\":{\"code\":\"todo.full\",\"message\":\"No\\u001bmore\",\"data\":{\"n\":9}}}\n"
        );

        let args = ["get", "todo.list", "--auth", "todo.session.login"];
        let run = Program::start(addr, &args);
        service
            .expect("auth.todo.session.login")
            .error("todo.wrong", "Wrong password");
        expect(
            run,
            2,
            "auth todo.session.login: Wrong password (todo.wrong)",
        );
    });
}

/// What a service answers about the header is told by its own words.
#[test]
fn who_is_not_let_in_ends_with_2() {
    let stack = Stack::start(&["--wsheadauth", "todo.session.header"]);
    let service = stack.service("todo");
    let run = Program::start(&stack.gateway.addr, &["get", "todo.a"]);
    service
        .expect("auth.todo.session.header")
        .respond(r#"{"error":{"code":"todo.stranger","message":"Who?"},"meta":{"status":403}}"#);
    expect(run, 2, "Who? (todo.stranger)");
}

#[test]
fn no_connection_ends_with_3() {
    let nobody = format!("127.0.0.1:{}", free_port());
    for args in [&["get", "a"][..], &["watch", "a"], &["call", "a", "b"]] {
        let words = "connection refused; start a gateway there, or name another";
        expect(Program::start(&nobody, args), 3, words);
    }
    let stack = Stack::shared();
    let addr = &stack.gateway.addr;
    let elsewhere = format!("ws://{addr}/elsewhere?a");
    let words = "it answers 404 Not Found; the WebSocket is at another path";
    expect(Program::start_in(&[], &["get", &elsewhere]), 3, words);
    let secure = format!("wss://{addr}/?a");
    let words = "it does not speak TLS; try ws://";
    let args = ["get", &*secure, "--insecure"];
    expect(Program::start_in(&[], &args), 3, words);
}

#[test]
fn no_answer_in_time_ends_with_4() {
    let stack = Stack::impatient();
    let silent = stack.service("silent");
    let run = Program::start(&stack.gateway.addr, &["call", "silent.a", "do"]);
    silent.expect("access.silent.a").grant();
    let _call = silent.expect("call.silent.a.do");
    expect(run, 4, "call silent.a.do: Request timeout (system.timeout)");

    let patient = Stack::shared();
    let service = patient.service("patient");
    let args = ["call", "patient.a", "do", "--timeout", "0.2"];
    let run = Program::start(&patient.gateway.addr, &args);
    let _access = service.expect("access.patient.a");
    expect(
        run,
        4,
        "call patient.a.do: no answer in time; see --timeout",
    );

    // One that takes connections, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("it is bound").to_string();
    let run = Program::start(&addr, &["get", "a", "--timeout", "0.2"]);
    expect(run, 4, "does not answer in time");
}

/// What answers is no gateway, or one that breaks its word.
#[test]
fn servers_that_are_no_gateway_are_found_out() {
    for (answer, words) in [
        ("SSH-2.0-x\r\n", "does not speak HTTP"),
        ("HTTP/1.1 101 X\r\n\r\n", "its proof is wrong"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: ws://other/\r\n\r\n",
            "it is at ws://other/",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nxx",
            "is it wss://",
        ),
        ("", "it was closed"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("it is bound").to_string();
        let run = Program::start(&addr, &["get", "a"]);
        let (mut socket, _) = listener.accept().expect("it comes");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("a request");
            head.push(byte[0]);
        }
        socket.write_all(answer.as_bytes()).expect("it reads");
        drop(socket);
        expect(run, 3, words);
    }
}
