//! `tidegate --check`: what is right and what is wrong, on one screen.

use std::net::TcpListener;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::*;

/// The lines of a check, and its exit code.
#[track_caller]
fn check(code: i32, args: &[&str]) -> Vec<String> {
    let ended = Program::start_in(&[], &[&["--check"], args].concat()).end();
    assert_eq!((ended.code, &*ended.err), (Some(code), ""), "{ended:?}");
    ended.out.lines().map(str::to_owned).collect()
}

fn port() -> String {
    free_port().to_string()
}

#[test]
fn a_configuration_that_is_right_is_told_in_full() {
    let broker = Broker::start();
    let (clients, metrics) = (port(), port());
    let args = [
        "-n",
        &broker.url(),
        "-i",
        "127.0.0.1",
        "-p",
        &clients,
        "-m",
        &metrics,
    ];
    let lines = check(0, &args);
    let expected = [
        "ok     configuration: flags, variables and defaults, without a file".to_owned(),
        format!("ok     clients on ws://127.0.0.1:{clients}/ and http://127.0.0.1:{clients}/api/"),
        format!("ok     metrics on http://127.0.0.1:{metrics}/metrics"),
    ];
    assert_eq!(lines[..3], expected);
    assert!(
        lines[3].starts_with("ok     NATS: nats-server 2."),
        "{lines:?}"
    );
    assert!(
        lines[3].ends_with(&format!(" at {}", broker.url())),
        "{lines:?}"
    );
    assert_eq!(lines[4], "Nothing is wrong.");
    assert_eq!(lines.len(), 5);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let clients = taken.local_addr().expect("it is bound").port().to_string();
    let directory = Directory::new();
    let authority = Authority::new("root");
    let certificate = directory.write("cert.pem", &authority.issue(&["localhost"]).chain);
    let key = directory.write("key.pem", &authority.issue(&["localhost"]).key);
    let args = [
        "--tls",
        "--tlscert",
        &certificate,
        "--tlskey",
        &key,
        "-i",
        "127.0.0.1",
        "-p",
        &clients,
        "-n",
        "nats://127.0.0.1:1",
        "-r",
        "5",
    ];
    let lines = check(1, &args);
    for (line, (mark, words)) in lines.iter().zip([
        ("ok     ", "configuration: "),
        ("note   ", "--reqtimeout: 5 is taken as seconds"),
        ("WRONG  ", "does not belong to the first certificate"),
        (
            "WRONG  ",
            "stop the program that uses the port, or choose another with --port",
        ),
        (
            "WRONG  ",
            "cannot connect to NATS at nats://127.0.0.1:1: Connection refused",
        ),
    ]) {
        assert!(line.starts_with(mark) && line.contains(words), "{lines:?}");
    }
    assert_eq!(lines[5], "3 things are wrong.");
}

#[test]
fn certificates_that_are_out_of_time_are_told() {
    let directory = Directory::new();
    let key = KeyPair::generate().expect("a key");
    let issued = |from: i32, until: i32| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.self_signed(&key).expect("a certificate").pem()
    };
    let secret = directory.write("key.pem", &key.serialize_pem());
    for (name, from, until, code, words) in [
        (
            "old.pem",
            2000,
            2001,
            1,
            "has expired on 2001-01-01; replace it",
        ),
        ("new.pem", 2900, 2901, 1, "is not valid yet"),
        ("good.pem", 2000, 2900, 0, "valid until 2900-01-01"),
    ] {
        let certificate = directory.write(name, &issued(from, until));
        let args = [
            "--broker=127.0.0.1:0",
            "--brokertlscert",
            &certificate,
            "--brokertlskey",
            &secret,
            "-i",
            "127.0.0.1",
            "-p",
            &port(),
        ];
        let lines = check(code, &args);
        assert!(lines[2].contains(words), "{lines:?}");
        assert!(
            lines[3].starts_with("ok     broker for services on tls://127.0.0.1:"),
            "{lines:?}"
        );
    }
}

#[test]
fn the_broker_inside_is_looked_at() {
    let port = port();
    let lines = check(
        1,
        &[
            "--broker",
            "-i",
            "127.0.0.1",
            "-p",
            &port,
            "--brokerusers",
            "[{}]",
        ],
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("WRONG  \"brokerUsers\"")),
        "{lines:?}"
    );
}

#[test]
fn what_nats_refuses_is_told() {
    let broker = Broker::start_with(&["--user", "me", "--pass", "sesame"]);
    let args = ["-n", &broker.url(), "-i", "127.0.0.1", "-p", &port()];
    let lines = check(1, &args);
    assert!(
        lines[2].starts_with("WRONG  cannot connect to NATS at"),
        "{lines:?}"
    );
    assert!(
        lines[2].to_lowercase().contains("authorization"),
        "{lines:?}"
    );
    assert_eq!(lines[3], "1 thing is wrong.");
}

#[test]
fn a_file_is_read_and_none_is_created() {
    let directory = Directory::new();
    let wrong = directory.write("wrong.json", "{\"port\": \"x\"}");
    let lines = check(1, &["-c", &wrong]);
    let line = format!("WRONG  \"port\" in {wrong}: must be a number, not a text");
    assert_eq!(lines, [line, "1 thing is wrong.".to_owned()]);
    let missing = directory.path("missing.json");
    let args = [
        "-c",
        &missing,
        "--broker=127.0.0.1:0",
        "-i",
        "127.0.0.1",
        "-p",
        &port(),
    ];
    let lines = check(0, &args);
    let line = format!("ok     configuration: {missing}, which is not there and would be created");
    assert_eq!(lines[0], line);
    assert!(!std::path::Path::new(&missing).exists());
}
