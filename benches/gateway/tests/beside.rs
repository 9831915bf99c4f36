//! What `--beside` names, and what a client of each is handed.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::beside;
use crate::fault::Outcome;
use crate::load::{Load, Net, Speaks};
use crate::subject::Kind;

#[test]
fn names_and_programs_are_read() {
    let own = std::env::current_exe().unwrap();
    let list = format!("bun={0},centrifugo={0}", own.display());
    let kinds = beside::parse(&list).unwrap().into_iter().map(|it| it.kind);
    assert_eq!(Vec::from_iter(kinds), [Kind::Bun, Kind::Centrifugo]);
    assert!(beside::parse("").unwrap().is_empty());
}

#[test]
fn what_is_unknown_or_not_there_is_said() {
    let said = |list: &str| beside::parse(list).unwrap_err().to_string();
    assert!(said("nginx").contains("nats-ws, centrifugo, bun"));
    assert!(said("bun=/nowhere/bun").contains("docs/BENCHMARKS.md"));
}

#[test]
fn every_other_says_what_it_lacks() {
    for kind in [Kind::NatsWs, Kind::Centrifugo, Kind::Bun] {
        assert!(kind.is_other() && kind.lacks().is_some(), "{kind:?}");
    }
    assert!(Kind::Inside.lacks().is_none() && !Kind::Inside.is_other());
}

/// Takes texts until there are so many.
struct Texts {
    texts: Vec<String>,
    wanted: usize,
}

impl Load for Texts {
    fn opened(&mut self, _: &mut Net, _: usize) -> Outcome {
        Ok(())
    }
    fn message(&mut self, _: &mut Net, _: usize, text: &[u8]) -> Outcome {
        self.texts.push(String::from_utf8_lossy(text).into_owned());
        Ok(())
    }
    fn is_done(&self) -> bool {
        self.texts.len() == self.wanted
    }
}

/// What a client is handed of bytes that its server sends a few at a time.
fn handed(speaks: Speaks, bytes: Vec<u8>, wanted: usize) -> Vec<String> {
    use std::io::{Read, Write};
    let listen = || TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let (broker, server) = (listen(), listen());
    let mut net = Net::new(broker.local_addr().unwrap()).unwrap();
    net.add(1, speaks, server.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut socket, _) = server.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        let _ = socket.read(&mut [0; 4_096]).unwrap();
        for part in bytes.chunks(3) {
            socket.write_all(part).unwrap();
        }
        // Until the client goes.
        let _ = socket.read(&mut [0; 4_096]);
    });
    let mut texts = Texts {
        texts: Vec::new(),
        wanted,
    };
    net.run(&mut texts, "texts", Duration::from_secs(60))
        .unwrap();
    drop(net);
    served.join().unwrap();
    texts.texts
}

fn upgraded(frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
    frames
        .iter()
        .for_each(|frame| bytes.extend_from_slice(frame));
    bytes
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

#[test]
fn messages_of_nats_come_out_of_whatever_frames_they_are_in() {
    let (one, two) = (
        frame(0x82, b"INFO {}\r\nMSG bench.m 1 5\r\nhe"),
        frame(0x82, b"llo\r\nPONG\r\nMSG bench.m 1 2\r\nyo\r\n"),
    );
    let texts = handed(Speaks::Nats, upgraded(&[&one, &two]), 3);
    assert_eq!(texts, ["hello", "PONG", "yo"]);
}

#[test]
fn publications_of_centrifugo_are_their_data() {
    let text = br#"{"id":1,"connect":{}}
{"push":{"channel":"bench.m","pub":{"data":{"n":1}}}}
{}
{"push":{"channel":"bench.m","pub":{"data":{"n":2}}}}"#;
    let mut bytes = vec![0x81, 126];
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text);
    let texts = handed(Speaks::Centrifugo, upgraded(&[&bytes]), 3);
    assert_eq!(
        texts,
        [r#"{"id":1,"connect":{}}"#, r#"{"n":1}"#, r#"{"n":2}"#]
    );
}

#[test]
fn events_of_a_stream_are_the_data_of_its_chunks() {
    let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        b\r\nid:\ndata:on\r\n\
        11\r\ne\n\n:ping\ndata:two\r\n\
        2\r\n\n\n\r\n";
    let texts = handed(Speaks::Stream("/api/bench/m"), bytes.to_vec(), 2);
    assert_eq!(texts, ["one", "two"]);
}

#[test]
fn compressed_texts_are_decompressed() {
    let mut deflater = tidegate::ws::deflate::Deflater::default();
    let text = "again and again ".repeat(500);
    let payload = deflater.deflate(text.as_bytes()).unwrap();
    let small = frame(0xc1, &payload);
    let plain = frame(0x81, b"plain");
    let texts = handed(Speaks::Deflated, upgraded(&[&small, &plain, &small]), 3);
    assert_eq!(texts, [text.as_str(), "plain", text.as_str()]);
}
