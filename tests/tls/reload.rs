//! SIGHUP reads certificate and key again.

use std::sync::Arc;

use rustix::process::Signal;
use rustls::ClientConfig;

use crate::Site;
use crate::client::*;
use crate::common::*;

/// The certificate that a new client is shown.
#[track_caller]
fn shown(gateway: &Gateway, config: &Arc<ClientConfig>) -> Vec<u8> {
    let stream = connect(gateway, config).expect("a connection");
    let certificates = stream.conn.peer_certificates().expect("some");
    certificates[0].as_ref().to_vec()
}

#[test]
fn new_clients_get_the_new_certificate_and_old_ones_stay() {
    let site = Site::start();
    let (gateway, config) = (&site.stack.gateway, &site.config());
    let svc = site.stack.service("reload");
    let mut ws = site.websocket_with(config);
    ws.subscribe(&svc, "reload.a", r#"{"a":1}"#);
    let mut kept = connect(gateway, config).expect("a connection");
    let first = shown(gateway, config);

    let issued = site.authority.issue(&["localhost"]);
    site.directory.write("cert.pem", &issued.chain);
    site.directory.write("key.pem", &issued.key);
    assert_eq!(shown(gateway, config), first, "nobody has asked for it");
    gateway.signal(Signal::HUP);
    gateway.wait_for_log("Loaded the TLS certificate", 1);
    let second = shown(gateway, config);
    assert_ne!(second, first);

    // Whoever was there before notices nothing.
    svc.event("reload.a.change", r#"{"values":{"a":2}}"#);
    ws.expect(r#"{"event":"reload.a.change","data":{"values":{"a":2}}}"#);
    let answer = exchange(&mut kept, REQUEST);
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:?}");

    // What is of no use changes nothing.
    let other = site.authority.issue(&["localhost"]);
    for (count, (name, text, words)) in [
        (
            "key.pem",
            other.key.as_str(),
            "does not belong to the first certificate",
        ),
        ("key.pem", "nothing", "there is no TLS key"),
        ("cert.pem", "nothing", "there is no TLS certificate"),
    ]
    .into_iter()
    .enumerate()
    {
        site.directory.write(name, text);
        gateway.signal(Signal::HUP);
        gateway.wait_for_log("new clients get the certificate from before", count + 1);
        assert!(gateway.log().contains(words), "{}", gateway.log());
        assert_eq!(shown(gateway, config), second, "{name} {text}");
    }
    assert_eq!(
        gateway.log().matches("[ERR]").count(),
        3,
        "{}",
        gateway.log()
    );

    site.directory.write("cert.pem", &other.chain);
    site.directory.write("key.pem", &other.key);
    gateway.signal(Signal::HUP);
    gateway.wait_for_log("Loaded the TLS certificate", 2);
    let third = shown(gateway, config);
    assert!(third != second && third != first);
    ws.expect_alive();
}

#[test]
fn other_signals_end_it_and_clients_are_told() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut site = Site::start();
        let mut ws = site.websocket();
        site.stack.gateway.signal(signal);
        match ws.ws.read() {
            Ok(tungstenite::Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1001),
            other => panic!("expected a close frame, got {other:?}"),
        }
        assert!(matches!(
            ws.ws.read(),
            Err(tungstenite::Error::ConnectionClosed)
        ));
        assert_eq!(site.stack.gateway.wait(PATIENCE), Some(0));
    }
}

#[test]
fn without_tls_the_signal_ends_the_process() {
    let mut stack = Stack::start(&[]);
    stack.gateway.signal(Signal::HUP);
    assert_eq!(stack.gateway.wait(PATIENCE), Some(0));
}
