//! Handshakes: good ones of all kinds, slow ones, and what is none.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::version::TLS13;
use rustls::{HandshakeKind, StreamOwned};

use crate::Site;
use crate::client::*;
use crate::common::*;

/// Every form of key that users have, by both versions of TLS.
#[test]
fn keys_of_every_kind_serve_both_versions() {
    let generated = |algorithm| {
        let key = KeyPair::generate_for(algorithm).expect("a known algorithm");
        (key.serialize_pem(), key.serialize_pem())
    };
    let from_file = |pkcs8: &str, given: &str| (data(pkcs8), data(given));
    let table = [
        ("RSA, PKCS #8", from_file("rsa.pkcs8.pem", "rsa.pkcs8.pem")),
        ("RSA, PKCS #1", from_file("rsa.pkcs8.pem", "rsa.pkcs1.pem")),
        ("P-256, PKCS #8", from_file("ec.pkcs8.pem", "ec.pkcs8.pem")),
        ("P-256, SEC 1", from_file("ec.pkcs8.pem", "ec.sec1.pem")),
        ("P-384", generated(&PKCS_ECDSA_P384_SHA384)),
        ("Ed25519", generated(&PKCS_ED25519)),
    ];
    let authority = Authority::new("root");
    let directory = Directory::new();
    let broker = Broker::start();
    for (name, (pkcs8, given)) in table {
        let key = KeyPair::from_pem(&pkcs8).expect(name);
        let issued = authority.issue_for(&["localhost"], &key);
        let certificate = directory.write("cert.pem", &issued.chain);
        let key = directory.write("key.pem", &given);
        let gateway = Gateway::start(
            &broker.url(),
            &["--tls", "--tlscert", &certificate, "--tlskey", &key],
        );
        for versions in VERSIONS {
            expect_served(&gateway, &Arc::new(authority.client(versions)));
        }
    }
}

#[test]
fn the_whole_chain_is_sent() {
    let root = Authority::new("root");
    let issued = root
        .intermediate("between")
        .intermediate("below")
        .issue(&["localhost", "127.0.0.1"]);
    let directory = Directory::new();
    let certificate = directory.write("chain.pem", &issued.chain);
    let key = directory.write("key.pem", &issued.key);
    // By the configuration file, under the names of the manual.
    let config = directory.write(
        "config.json",
        &format!(r#"{{"tls":true,"tlsCert":"{certificate}","tlsKey":"{key}"}}"#),
    );
    let stack = Stack::start(&["--config", &config]);
    for versions in VERSIONS {
        expect_served(&stack.gateway, &Arc::new(root.client(versions)));
    }
    let stranger = Arc::new(Authority::new("stranger").client(&[&TLS13]));
    assert!(connect(&stack.gateway, &stranger).is_err());
    expect_served(&stack.gateway, &Arc::new(root.client(&[&TLS13])));
}

#[test]
fn http_1_1_is_chosen_where_the_client_leaves_a_choice() {
    let site = Site::start();
    for (offered, chosen) in [
        (&[][..], None),
        (&["http/1.1"][..], Some("http/1.1")),
        (&["h2", "http/1.1"][..], Some("http/1.1")),
    ] {
        let mut config = site.authority.client(&[&TLS13]);
        config.alpn_protocols = offered.iter().map(|&name| name.into()).collect();
        let stream = connect(&site.stack.gateway, &Arc::new(config)).expect("a connection");
        let chosen = chosen.map(str::as_bytes);
        assert_eq!(stream.conn.alpn_protocol(), chosen, "{offered:?}");
    }
    let mut config = site.authority.client(&[&TLS13]);
    config.alpn_protocols = vec!["h2".into()];
    let error = connect(&site.stack.gateway, &Arc::new(config)).expect_err("no protocol");
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
}

#[test]
fn sessions_are_resumed() {
    let site = Site::start();
    for versions in VERSIONS {
        let config = Arc::new(site.authority.client(versions));
        for round in 0..4 {
            let mut stream = connect(&site.stack.gateway, &config).expect("a connection");
            let answer = exchange(&mut stream, REQUEST);
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:?}");
            let expected = match round {
                0 => HandshakeKind::Full,
                _ => HandshakeKind::Resumed,
            };
            assert_eq!(stream.conn.handshake_kind(), Some(expected), "{round}");
        }
    }
}

/// Sends what the session wants to send, one byte at a time.
fn trickle(session: &mut rustls::ClientConnection, socket: &mut TcpStream) {
    let mut bytes = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut bytes).expect("a Vec takes all");
    }
    for byte in bytes {
        socket.write_all(&[byte]).expect("a live socket");
    }
}

#[test]
fn a_handshake_in_single_bytes_is_one() {
    let site = Site::start();
    for versions in VERSIONS {
        let mut stream = StreamOwned::new(
            session(&Arc::new(site.authority.client(versions))),
            socket(&site.stack.gateway),
        );
        while stream.conn.is_handshaking() {
            trickle(&mut stream.conn, &mut stream.sock);
            if stream.conn.is_handshaking() {
                assert!(stream.conn.read_tls(&mut stream.sock).expect("an answer") > 0);
                stream.conn.process_new_packets().expect("a good answer");
            }
        }
        stream
            .conn
            .writer()
            .write_all(REQUEST.as_bytes())
            .expect("room");
        trickle(&mut stream.conn, &mut stream.sock);
        let answer = exchange(&mut stream, "");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:?}");
    }
}

#[test]
fn many_handshakes_at_once_are_all_finished() {
    let site = Site::start();
    let mut established = site.websocket();
    let config = site.config();
    let mut streams: Vec<Stream> = (0..400)
        .map(|_| StreamOwned::new(session(&config), socket(&site.stack.gateway)))
        .collect();
    for stream in &mut streams {
        stream
            .conn
            .write_tls(&mut stream.sock)
            .expect("a live socket");
    }
    established.expect_alive();
    for stream in &mut streams {
        let answer = exchange(stream, REQUEST);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:?}");
    }
}

/// Reads to the end; a reset would be a failure.
#[track_caller]
fn read_to_end(socket: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    socket.read_to_end(&mut all).expect("a proper end");
    all
}

#[test]
fn whoever_does_not_finish_the_handshake_is_cut_off() {
    let site = Site::start();
    let mut silent = socket(&site.stack.gateway);
    let mut hello = Vec::new();
    let mut client = session(&site.config());
    client.write_tls(&mut hello).expect("a Vec takes all");
    let mut half = socket(&site.stack.gateway);
    half.write_all(&hello[..hello.len() / 2])
        .expect("a live socket");
    let mut whole = socket(&site.stack.gateway);
    whole.write_all(&hello).expect("a live socket");
    assert_eq!(read_to_end(&mut silent), b"");
    assert_eq!(read_to_end(&mut half), b"");
    // Its answer came before the end.
    assert_eq!(read_to_end(&mut whole)[0], 22);
    expect_served(&site.stack.gateway, &site.config());
}

#[test]
fn what_is_no_handshake_is_refused_with_an_alert() {
    let site = Site::start();
    let mut hello = Vec::new();
    session(&site.config())
        .write_tls(&mut hello)
        .expect("a Vec takes all");
    let mut wrong_version = hello.clone();
    wrong_version[9..11].copy_from_slice(&[3, 0]);
    // TLS 1.3 is told by an extension, so that a client without any has the old version.
    let old = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01\
                0123456789abcdef0123456789abcdef\x00\x00\x02\x00\x2f\x01\x00";
    let mut cut = hello.clone();
    cut[3..5].copy_from_slice(&[0, 20]);
    cut[20..].fill(0);
    let table: [(&str, &[u8]); 6] = [
        ("no record", b"\x00\x01\x02\x03\x04\x05\x06\x07"),
        ("text", b"hello, is this the gateway?\n"),
        ("another type of record", b"\x17\x03\x03\x00\x05hello"),
        ("a record that is too long", b"\x16\x03\x01\xff\xffhello"),
        ("TLS 1.0", old),
        ("zeros in the hello", &cut),
    ];
    for (name, bytes) in table {
        let mut socket = socket(&site.stack.gateway);
        socket.write_all(bytes).expect("a live socket");
        let answer = read_to_end(&mut socket);
        assert_eq!(answer.first(), Some(&21), "{name}: {answer:?}");
        // It is fatal.
        assert_eq!(answer.get(5), Some(&2), "{name}: {answer:?}");
    }
    // rustls has no alert for a message that is longer than all there are.
    for bytes in [
        &b"\x16\x03\x01\x00\x05hello"[..],
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
    ] {
        let mut socket = socket(&site.stack.gateway);
        socket.write_all(bytes).expect("a live socket");
        assert_eq!(read_to_end(&mut socket), b"");
    }
    expect_served(&site.stack.gateway, &site.config());
}

/// A client whose one byte differs never hurts anybody but itself.
#[test]
fn a_hello_with_one_wrong_byte_harms_nobody() {
    let site = Site::start();
    let mut hello = Vec::new();
    session(&site.config())
        .write_tls(&mut hello)
        .expect("a Vec takes all");
    for at in 0..hello.len() {
        let mut bytes = hello.clone();
        bytes[at] ^= 0xff;
        let mut socket = socket(&site.stack.gateway);
        socket.write_all(&bytes).expect("a live socket");
        socket
            .shutdown(std::net::Shutdown::Write)
            .expect("a live socket");
        let mut answer = Vec::new();
        match socket.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{at}"),
        }
    }
    expect_served(&site.stack.gateway, &site.config());
}

#[test]
fn plain_http_is_told_what_it_is() {
    let site = Site::start();
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /api/a HTTP/1.1\r\n",
        "G",
    ] {
        let mut socket = socket(&site.stack.gateway);
        socket.write_all(request.as_bytes()).expect("a live socket");
        let answer = String::from_utf8(read_to_end(&mut socket)).expect("text");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
        assert!(answer.contains("Connection: close\r\n"), "{answer:?}");
    }
    expect_served(&site.stack.gateway, &site.config());
}

/// Expects the gateway to end at once with this message, which may go on if it ends with a
/// colon and a blank.
fn expect_refusal(broker: &Broker, certificate: &str, key: &str, message: &str) {
    let (code, log) = Gateway::run_to_end(
        &broker.url(),
        &["--tls", "--tlscert", certificate, "--tlskey", key],
    );
    assert_eq!(code, Some(1), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    let exact = !message.ends_with(": ");
    let (_, said) = log.split_once(" [ERR] ").expect("a line of the log");
    assert!(said.starts_with(message), "{log}\n{message}");
    assert!(!exact || said == message, "{log}\n{message}");
}

#[test]
fn files_that_hold_no_certificate_or_key_are_told_at_the_start() {
    let directory = Directory::new();
    let issued = Authority::new("root").issue(&["localhost"]);
    let certificate = directory.write("cert.pem", &issued.chain);
    let key = directory.write("key.pem", &issued.key);
    let text = directory.write("text.txt", "nothing of use\n");
    let missing = directory.path("missing.pem");
    let broker = Broker::start();
    let absent = "No such file or directory (os error 2)";
    let form = "give a file in PEM form, with lines like -----BEGIN ...-----";
    let table = [
        (
            &missing,
            &key,
            format!("cannot read the TLS certificate {missing}: {absent}"),
        ),
        (
            &certificate,
            &missing,
            format!("cannot read the TLS key {missing}: {absent}"),
        ),
        (
            &text,
            &key,
            format!("there is no TLS certificate in {text}; {form}"),
        ),
        (
            &certificate,
            &text,
            format!("there is no TLS key in {text}; {form}"),
        ),
        (
            &key,
            &key,
            format!("there is no TLS certificate in {key}; {form}"),
        ),
        (
            &certificate,
            &certificate,
            format!("there is no TLS key in {certificate}; {form}"),
        ),
    ];
    for (certificate, key, message) in table {
        expect_refusal(&broker, certificate, key, &message);
    }
}

#[test]
fn certificates_and_keys_of_no_use_are_told_at_the_start() {
    let authority = Authority::new("root");
    let directory = Directory::new();
    let issued = authority.issue(&["localhost"]);
    let certificate = directory.write("cert.pem", &issued.chain);
    let key = directory.write("key.pem", &issued.key);
    let other = directory.write("other.pem", &authority.issue(&["localhost"]).key);
    let encrypted = directory.write("encrypted.pem", &data("ec.encrypted.pem"));
    let broken = directory.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let not_base64 = directory.write(
        "base64.pem",
        "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n",
    );
    let broker = Broker::start();
    let table = [
        (
            &certificate,
            &other,
            format!(
                "the TLS key {other} does not belong to the first certificate in {certificate}"
            ),
        ),
        (
            &certificate,
            &encrypted,
            format!("the TLS key {encrypted} is encrypted; give one without a passphrase"),
        ),
        (
            &broken,
            &key,
            format!("the TLS certificate {broken} cannot be used: "),
        ),
        (
            &certificate,
            &not_base64,
            format!("the TLS key {not_base64} is not valid PEM: "),
        ),
    ];
    for (certificate, key, message) in table {
        expect_refusal(&broker, certificate, key, &message);
    }
}

#[test]
fn a_proxy_speaks_before_the_handshake() {
    let site = Site::start_with(&["--trustedproxies", "127.0.0.1", "--proxyprotocol"]);
    let mut socket = socket(&site.stack.gateway);
    let mut hello = b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\r\n".to_vec();
    let mut session = session(&site.config());
    session.write_tls(&mut hello).expect("a Vec takes all");
    // The header and the hello in one segment.
    socket.write_all(&hello).expect("a live socket");
    session.complete_io(&mut socket).expect("a handshake");
    let mut stream = rustls::StreamOwned::new(session, socket);
    let request = "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    assert!(exchange(&mut stream, request).starts_with("HTTP/1.1 404 "));
    // Without it there is no handshake.
    assert!(connect(&site.stack.gateway, &site.config()).is_err());
}
