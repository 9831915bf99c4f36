//! `tidegate --probe`: the binary asks a gateway that runs whether it is well.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::common::*;

/// What a probe does: its exit code, what it says on standard output and on standard error.
fn probe(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Command::new(gateway_binary())
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port().to_string()
}

#[test]
fn a_gateway_is_live_as_long_as_it_runs_and_ready_while_nats_is_there_unlike_resgate() {
    if is_peer() {
        return;
    }
    let port = free_port();
    let broker = Broker::start();
    let gateway = Gateway::start(&broker.url(), &["--metricsport", &port]);
    // The port is in a flag, in a variable, or in the file, as for the gateway.
    let (code, said, wrong) = probe(&["--probe", "--metricsport", &port], &[]);
    assert_eq!(code, Some(0), "{wrong}");
    assert_eq!(said, format!("http://127.0.0.1:{port}/healthz says ok\n"));
    assert_eq!(wrong, "");
    let variables = [
        ("TIDEGATE_METRICSPORT", &*port),
        ("TIDEGATE_ADDR", "127.0.0.1"),
    ];
    let (code, said, wrong) = probe(&["--probe", "ready"], &variables);
    assert_eq!(code, Some(0), "{wrong}");
    assert_eq!(said, format!("http://127.0.0.1:{port}/readyz says ok\n"));

    drop(broker);
    gateway.wait_for_log("NATS", 1);
    let (code, said, wrong) = probe(&["--probe=ready", "-m", &port], &[]);
    assert_eq!((code, &*said), (Some(1), ""), "{wrong}");
    assert!(wrong.contains("/readyz says 503: NATS is lost"), "{wrong}");
    let (code, ..) = probe(&["--probe", "-m", &port], &[]);
    assert_eq!(code, Some(0));

    drop(gateway);
    let (code, said, wrong) = probe(&["--probe", "-m", &port], &[]);
    assert_eq!((code, &*said), (Some(1), ""), "{wrong}");
    assert!(
        wrong.contains("does not answer: Connection refused"),
        "{wrong}"
    );
    assert_eq!(wrong.lines().count(), 1, "{wrong}");
}

#[test]
fn what_cannot_be_asked_is_said_unlike_resgate() {
    if is_peer() {
        return;
    }
    let (code, said, wrong) = probe(&["--probe"], &[]);
    assert_eq!((code, &*said), (Some(1), ""), "{wrong}");
    assert!(wrong.contains("--metricsport"), "{wrong}");

    // It says nothing in the end, and then what is no HTTP.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let other = std::thread::spawn(move || {
        for answer in ["", "SSH-2.0-other\r\n"] {
            let (mut socket, _) = listener.accept().expect("the probe");
            let mut request = [0; 1024];
            let len = socket.read(&mut request).expect("a request");
            assert!(request[..len].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            socket.write_all(answer.as_bytes()).expect("it is taken");
        }
    });
    for _ in 0..2 {
        let (code, said, wrong) = probe(&["--probe", "-m", &port], &[]);
        assert_eq!((code, &*said), (Some(1), ""), "{wrong}");
        assert!(wrong.contains("is no HTTP; is it the gateway?"), "{wrong}");
    }
    other.join().expect("both came");
}

#[test]
fn a_gateway_that_stands_still_is_not_live_unlike_resgate() {
    if is_peer() {
        return;
    }
    let port = free_port();
    let broker = Broker::start();
    let gateway = Gateway::start(&broker.url(), &["--metricsport", &port]);
    gateway.freeze();
    let (code, said, wrong) = probe(&["--probe", "-m", &port], &[]);
    assert_eq!((code, &*said), (Some(1), ""), "{wrong}");
    assert!(
        wrong.contains("does not answer: nothing came in 4 s"),
        "{wrong}"
    );
}
