//! The same bytes to both brokers: they answer alike, byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::common::*;

const FINAL: &[u8] = b"PING\r\n";

/// The transcripts of a section, each with whether the order of its answers is free.
fn transcripts(section: &str) -> Vec<(bool, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nats_transcripts.txt");
    let all = std::fs::read_to_string(path).expect("the transcripts are there");
    let lines = all.lines().skip_while(|line| *line != section).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let lines = lines.filter(|line| !line.is_empty());
    let all: Vec<_> = lines
        .map(|line| (line.starts_with('~'), unescaped(&line[2..])))
        .collect();
    assert!(!all.is_empty());
    all
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next().expect("an escape is whole") {
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    out.push(u8::from_str_radix(&digits, 16).expect("two digits"));
                }
                'r' => out.push(b'\r'),
                'n' => out.push(b'\n'),
                't' => out.push(b'\t'),
                other => out.push(other as u8),
            },
            '<' => {
                let what: String = chars.by_ref().take_while(|c| *c != '>').collect();
                assert_eq!(chars.next(), Some('>'));
                let (byte, count) = what.split_once('*').expect("a count");
                out.extend(byte.repeat(count.parse().expect("a number")).bytes());
            }
            c => out.push(c as u8),
        }
    }
    out
}

/// What a broker answers to a transcript, without its greeting, and whether it closes the
/// connection. A last `PING` shows the end of the answers.
fn answers(addr: &str, transcript: &[u8]) -> (String, bool) {
    let mut socket = TcpStream::connect(addr).expect("the broker is there");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut got = Vec::new();
    receive(&mut socket, &mut got, |got| got.ends_with(b"\r\n"));
    got.clear();
    socket.write_all(transcript).expect("it is there");
    // It may have closed the connection over it.
    let _ = socket.write_all(FINAL);
    let upper = transcript.to_ascii_uppercase();
    let pings = upper
        .split(|&b| b == b'\n')
        .filter(|line| line.starts_with(b"PING"))
        .count();
    let is_done = |got: &[u8]| {
        let pongs = got
            .split(|&b| b == b'\n')
            .filter(|line| *line == b"PONG\r")
            .count();
        pongs > pings
    };
    let is_closed = receive(&mut socket, &mut got, is_done);
    (got.escape_ascii().to_string(), is_closed)
}

/// Reads until that is enough; whether the connection was closed before.
fn receive(socket: &mut TcpStream, got: &mut Vec<u8>, is_done: impl Fn(&[u8]) -> bool) -> bool {
    while !is_done(got) {
        let mut buffer = [0; 4_096];
        match socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(len) => got.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
            Err(error) => panic!("{error} after {}", got.escape_ascii()),
        }
    }
    false
}

fn compare(section: &str, theirs: &str, ours: &str) {
    let mut wrong = Vec::new();
    for (is_free, transcript) in transcripts(section) {
        let sorted = |(text, is_closed): (String, bool)| {
            let mut lines: Vec<String> = text.split("\\r\\n").map(str::to_owned).collect();
            if is_free {
                lines.sort();
            }
            (lines.join("|"), is_closed)
        };
        let (expected, found) = (
            sorted(answers(theirs, &transcript)),
            sorted(answers(ours, &transcript)),
        );
        if expected != found {
            let shown = transcript[..transcript.len().min(300)].escape_ascii();
            wrong.push(format!(
                "{shown}\n  theirs {expected:?}\n  ours   {found:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn strangers_are_answered_as_by_nats_server() {
    if broker_version() < (2, 15) {
        eprintln!("skipped: the comparison is with nats-server 2.15");
        return;
    }
    let theirs = Broker::start();
    let gateway = Gateway::start_inside(&[]);
    let ours = Broker::inside(&gateway);
    compare("[open]", &theirs.addr, &ours.addr);
}

#[test]
fn users_are_answered_as_by_nats_server() {
    if broker_version() < (2, 15) {
        eprintln!("skipped: the comparison is with nats-server 2.15");
        return;
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let theirs = data.join("nats_users.conf");
    let theirs = Broker::start_with(&["-c", theirs.to_str().expect("a plain path")]);
    let users = std::fs::read_to_string(data.join("nats_users.json")).expect("it is there");
    let gateway = Gateway::start_inside(&["--brokerusers", &users]);
    let ours = Broker::inside(&gateway);
    compare("[users]", &theirs.addr, &ours.addr);
}
