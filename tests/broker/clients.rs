//! Real clients, and those that behave badly.

#![allow(
    deprecated,
    reason = "the nats crate is deprecated as a whole; blocking suits test services"
)]

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::common::*;

const CONNECT: &[u8] = b"CONNECT {\"verbose\":false}\r\n";

/// A connection that has made itself known.
fn stranger(broker: &Broker) -> TcpStream {
    let mut socket = TcpStream::connect(&broker.addr).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.write_all(CONNECT).expect("it is there");
    let greeting = read_until(&mut socket, b"\r\n");
    assert!(greeting.starts_with(b"INFO {"));
    socket
}

fn read_until(socket: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut got = Vec::new();
    while !got.ends_with(end) {
        let mut byte = [0];
        assert_eq!(
            socket.read(&mut byte).expect("it is there"),
            1,
            "it has gone"
        );
        got.push(byte[0]);
    }
    got
}

#[test]
fn the_rust_client_asks_and_answers() {
    let gateway = Gateway::start_inside(&[]);
    let broker = Broker::inside(&gateway);
    let (one, two) = (
        connect_service(&broker.url()),
        connect_service(&broker.url()),
    );
    let answers = one.queue_subscribe("work.*", "q").expect("subscribed");
    one.flush().expect("there");
    std::thread::spawn(move || {
        for message in answers.iter() {
            let text = [&message.data[..], b"!"].concat();
            message.respond(text).expect("there");
        }
    });
    for text in ["", "hello", &"x".repeat(1_000_000)] {
        let answer = two
            .request_timeout("work.a", text, PATIENCE)
            .expect("answered");
        assert_eq!(answer.data, format!("{text}!").into_bytes());
    }
    let error = two
        .request_timeout("nobody", "", PATIENCE)
        .expect_err("nobody is there");
    assert!(
        error.to_string().to_lowercase().contains("no responders"),
        "{error}"
    );
}

#[test]
fn services_are_served_by_tls() {
    let (directory, authority) = (Directory::new(), Authority::new("broker"));
    let issued = authority.issue(&["localhost", "127.0.0.1"]);
    let cert = directory.write("cert.pem", &issued.chain);
    let key = directory.write("key.pem", &issued.key);
    let root = directory.write("root.pem", &authority.pem);
    let stack_args = [
        "--broker=127.0.0.1:0",
        "--brokertlscert",
        &cert,
        "--brokertlskey",
        &key,
    ];
    let gateway = Gateway::start("nats://127.0.0.1:1", &stack_args);
    gateway.wait_for_log("Broker for services on tls://", 1);
    let log = gateway.log();
    let (_, addr) = log.split_once("on tls://127.0.0.1:").expect("its address");
    let port = addr.lines().next().expect("a port");
    let nc = nats::Options::new()
        .tls_required(true)
        .add_root_certificate(root)
        .connect(format!("tls://localhost:{port}"))
        .expect("it takes connections");
    let service = Service::new(nc, "secret");
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    client.send(r#"{"id":1,"method":"get.secret.model"}"#);
    for _ in 0..2 {
        let request = service.next();
        match request.subject().starts_with("access.") {
            true => request.grant(),
            false => request.result(&format!(r#"{{"model":{{"a":"{}"}}}}"#, "x".repeat(300_000))),
        }
    }
    let answer = client.next();
    assert!(answer.len() > 300_000, "{answer}");

    // Those who connect after SIGHUP see the new certificate, and the others stay.
    let other = Authority::new("other");
    let issued = other.issue(&["localhost"]);
    directory.write("cert.pem", &issued.chain);
    directory.write("key.pem", &issued.key);
    gateway.signal(Signal::HUP);
    gateway.wait_for_log("Loaded the TLS certificate", 1);
    nats::Options::new()
        .tls_required(true)
        .add_root_certificate(directory.write("other.pem", &other.pem))
        .connect(format!("tls://localhost:{port}"))
        .expect("the new certificate");
    client.send(r#"{"id":2,"method":"call.secret.model.do"}"#);
    service.next().grant();
}

/// A service that floods and one that does not read harm nobody else.
#[test]
fn who_floods_and_who_does_not_read_harm_nobody() {
    let stack = Stack::start_inside(&["--reqtimeout", "60000"]);
    let service = stack.service("good");
    let mut deaf = stranger(&stack.broker);
    deaf.write_all(b"SUB flood 1\r\nPING\r\n").expect("there");
    read_until(&mut deaf, b"PONG\r\n");
    let mut flood = stranger(&stack.broker);
    let message = [b"PUB flood 100000\r\n", &[b'x'; 100_000][..], b"\r\n"].concat();
    let flooding = std::thread::spawn(move || {
        // 200 MB, of which the broker keeps 64 MiB for the one that does not read.
        for _ in 0..2_000 {
            flood.write_all(&message).expect("it is read");
        }
        flood.write_all(b"PING\r\n").expect("there");
        read_until(&mut flood, b"PONG\r\n");
    });
    let mut client = stack.client();
    for n in 0..20 {
        client.send(&format!(r#"{{"id":{n},"method":"call.good.model.do"}}"#));
        service.next().grant();
        service.next().result("null");
        client.next();
    }
    flooding.join().expect("all was taken");
    stack
        .gateway
        .wait_for_log("it does not read what it has subscribed to", 1);
    drop(deaf);
}

/// Very many subscriptions cost a message nothing, and leave in peace.
#[test]
fn very_many_subscriptions() {
    let stack = Stack::start_inside(&["--reqtimeout", "60000"]);
    let service = stack.service("good");
    let mut many = stranger(&stack.broker);
    let mut subscriptions = Vec::new();
    for sid in 0..100_000 {
        write!(subscriptions, "SUB call.other.{sid}.> {sid}\r\n").expect("a Vec takes it");
    }
    subscriptions.extend_from_slice(b"PING\r\n");
    many.write_all(&subscriptions).expect("there");
    read_until(&mut many, b"PONG\r\n");
    drop(many);
    let mut client = stack.client();
    client.send(r#"{"id":1,"method":"call.good.model.do"}"#);
    service.next().grant();
    service.next().result("null");
    client.next();
}

#[test]
fn the_gateway_tells_of_requests_that_nobody_answers() {
    let stack = Stack::start_inside(&["--reqtimeout", "60000"]);
    let mut client = stack.client();
    client.send(r#"{"id":1,"method":"get.nobody.here"}"#);
    let answer = client.next();
    assert!(answer.contains("system.notFound"), "{answer}");
}
