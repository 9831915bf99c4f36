//! Our layer against itself, without sockets: both sides, all cuts, and what is forged.

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::version::{TLS12, TLS13};

use super::*;

/// Configurations of both sides, for one version of TLS.
struct Pair {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

fn pairs() -> [Pair; 2] {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    [&TLS12, &TLS13].map(|version| {
        let provider = Arc::new(default_provider());
        let secret = PrivatePkcs8KeyDer::from(key.serialize_der());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], secret.into())
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        Pair {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    })
}

impl Pair {
    fn ends(&self) -> [Tls; 2] {
        let name = "localhost".try_into().unwrap();
        [
            Tls::client(Arc::clone(&self.client), name).unwrap(),
            Tls::server(Arc::clone(&self.server)).unwrap(),
        ]
    }

    fn connected(&self) -> [Tls; 2] {
        let mut ends = self.ends();
        shake(&mut ends, usize::MAX);
        ends
    }
}

/// Takes everything that a side wants to send.
fn take_unsent(tls: &mut Tls) -> Vec<u8> {
    let bytes = tls.unsent().to_vec();
    tls.note_sent(bytes.len());
    bytes
}

/// Gives a side ciphertext as the stream does, in one piece.
fn feed(tls: &mut Tls, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut input = tls.incoming().to_vec();
    input.extend_from_slice(bytes);
    let mut plain = vec![0; input.len()];
    let len = tls.decrypt(&mut input, &mut plain)?;
    plain.truncate(len);
    Ok(plain)
}

/// Passes on what both sides send, in pieces of this size, until they say no more.
fn shake(ends: &mut [Tls; 2], size: usize) {
    loop {
        let mut count = 0;
        for from in [0, 1] {
            let bytes = take_unsent(&mut ends[from]);
            for piece in bytes.chunks(size.min(bytes.len()).max(1)) {
                assert_eq!(feed(&mut ends[1 - from], piece), Ok(vec![]));
            }
            count += bytes.len();
        }
        if count == 0 {
            break;
        }
    }
    assert!(ends.iter().all(|end| !end.is_handshaking()));
}

fn seal(tls: &mut Tls, plain: &[u8]) -> Vec<u8> {
    let mut wire = take_unsent(tls);
    for chunk in plain.chunks(RECORD) {
        tls.encrypt(chunk, &mut wire).unwrap();
    }
    wire
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn handshakes_in_pieces_of_any_size() {
    for pair in pairs() {
        for size in [1, 2, 3, 5, 7, 64, 500, usize::MAX] {
            shake(&mut pair.ends(), size);
        }
    }
}

#[test]
fn every_cut_of_two_records_gives_the_same_text() {
    for pair in pairs() {
        let plain = text(300);
        for from in [0, 1] {
            let mut ends = pair.connected();
            // A session cannot be copied, so that each cut has its own two records.
            let len = {
                let mut wire = seal(&mut ends[from], &plain[..200]);
                wire.extend(seal(&mut ends[from], &plain[200..]));
                assert_eq!(feed(&mut ends[1 - from], &wire), Ok(plain.clone()));
                wire.len()
            };
            for cut in 0..=len {
                let mut wire = seal(&mut ends[from], &plain[..200]);
                wire.extend(seal(&mut ends[from], &plain[200..]));
                let (first, second) = wire.split_at(cut);
                let mut got = feed(&mut ends[1 - from], first).unwrap();
                // Writing between two pieces leaves what was kept as it is.
                let answer = seal(&mut ends[1 - from], b"answer");
                got.extend(feed(&mut ends[1 - from], second).unwrap());
                assert_eq!(got, plain, "cut at {cut}");
                assert_eq!(feed(&mut ends[from], &answer), Ok(b"answer".to_vec()));
                assert!(ends[1 - from].incoming().is_empty());
            }
        }
    }
}

#[test]
fn large_texts_both_ways() {
    let plain = text(100_000);
    for pair in pairs() {
        let mut ends = pair.connected();
        for from in [0, 1, 0] {
            let wire = seal(&mut ends[from], &plain);
            let mut got = Vec::new();
            for piece in wire.chunks(44 << 10) {
                got.extend(feed(&mut ends[1 - from], piece).unwrap());
                assert!(ends[1 - from].incoming().len() <= RECORD_MAX);
            }
            assert!(got == plain);
        }
    }
}

#[test]
fn the_end_is_said_once_and_understood() {
    for pair in pairs() {
        for from in [0, 1] {
            let mut ends = pair.connected();
            let mut wire = seal(&mut ends[from], b"last words");
            ends[from].close();
            ends[from].close();
            let word = take_unsent(&mut ends[from]);
            assert!(!word.is_empty() && word.len() < 64, "{}", word.len());
            wire.extend(word);
            // What follows the end counts for nothing.
            wire.extend_from_slice(b"garbage");
            assert!(!ends[1 - from].peer_closed());
            assert_eq!(feed(&mut ends[1 - from], &wire), Ok(b"last words".to_vec()));
            let other = &mut ends[1 - from];
            assert!(other.peer_closed() && other.is_deaf() && !other.is_closed());
            // It may still answer.
            let answer = seal(other, b"answer");
            assert!(!answer.is_empty());
            other.close();
            assert!(other.is_closed());
            assert!(other.encrypt(b"more", &mut Vec::new()).is_err());
        }
    }
}

#[test]
fn nothing_is_said_before_the_handshake() {
    let [pair, _] = pairs();
    let [_, mut server] = pair.ends();
    assert_eq!(server.encrypt(b"x", &mut Vec::new()), Err(Failure::Closed));
    server.close();
    assert_eq!(take_unsent(&mut server), b"");
}

#[test]
fn plain_http_is_recognised_from_its_first_byte_on() {
    let [pair, _] = pairs();
    for method in [
        "GET / ",
        "HEAD / ",
        "POST /",
        "PUT /x",
        "PATCH /",
        "DELETE /",
        "OPTIONS *",
    ] {
        for len in 1..=method.len() {
            let [_, mut server] = pair.ends();
            let got = feed(&mut server, &method.as_bytes()[..len]);
            assert_eq!(got, Err(Failure::PlainHttp), "{method} {len}");
        }
    }
    for bytes in ["get /", "\x16\x03\x01", "GOT /", "\0"] {
        let [_, mut server] = pair.ends();
        let got = feed(&mut server, bytes.as_bytes());
        assert_ne!(got, Err(Failure::PlainHttp), "{bytes:?}");
    }
}

/// Whatever is wrong with the ciphertext is an error, never a panic, and never text that
/// was not sent.
#[test]
fn one_wrong_byte_anywhere_is_an_error_at_most() {
    for pair in pairs() {
        // In each flight of the handshake, by turns.
        for at in 0..3000 {
            let mut ends = pair.ends();
            let mut position = 0;
            let mut harmed = false;
            'shake: while !harmed {
                let mut count = 0;
                for from in [0, 1] {
                    let mut bytes = take_unsent(&mut ends[from]);
                    count += bytes.len();
                    if let Some(byte) = bytes.get_mut(at - position.min(at))
                        && position <= at
                    {
                        *byte ^= 0x41;
                        harmed = true;
                    }
                    position += bytes.len();
                    match feed(&mut ends[1 - from], &bytes) {
                        Ok(plain) => assert_eq!(plain, b"", "byte {at}"),
                        Err(_) => break 'shake,
                    }
                }
                if count == 0 {
                    break;
                }
            }
            if !harmed {
                assert!(at > 500, "the handshake has only {at} bytes");
                break;
            }
            // Both may be used on without harm.
            for end in &mut ends {
                let _ = feed(end, b"\x17\x03\x03\x00\x05hello");
                let _ = end.encrypt(b"x", &mut Vec::new());
                end.close();
            }
        }
        let mut ends = pair.connected();
        let len = seal(&mut ends[0], b"some text").len();
        for at in 0..len {
            let mut ends = pair.connected();
            let mut wire = seal(&mut ends[0], b"some text");
            wire[at] ^= 0x41;
            // The version in the head has no meaning (RFC 8446, 5.1), a length that is
            // too great waits for more, all else is an error.
            match feed(&mut ends[1], &wire) {
                Ok(plain) => match at {
                    1 | 2 => assert_eq!(plain, b"some text"),
                    3 | 4 => assert_eq!(plain, b""),
                    _ => panic!("byte {at}"),
                },
                Err(failure) => assert!(matches!(failure, Failure::Tls(_)), "{failure}"),
            }
        }
    }
}

/// A peer that never finishes a message cannot fill our memory.
#[test]
fn endless_handshake_messages_are_refused() {
    let [pair, _] = pairs();
    let [_, mut server] = pair.ends();
    // A hello of 60,000 bytes, in records of 1,000.
    let mut fragment = b"\x16\x03\x01\x03\xe8\x01\x00\xea\x60".to_vec();
    fragment.resize(5 + 1_000, 0);
    let mut sent = 0;
    let failure = loop {
        match feed(&mut server, &fragment) {
            Ok(_) => sent += fragment.len(),
            Err(failure) => break failure,
        }
        assert!(sent <= RECORD_MAX, "{sent} bytes are kept");
        fragment[5..].fill(0);
    };
    assert_eq!(failure, Failure::TooMuch);
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    /// Does something to the bytes that no network would.
    fn harm(&mut self, bytes: &mut Vec<u8>) {
        let at = self.roll(bytes.len() + 1);
        let end = at + self.roll(bytes.len() - at + 1);
        match self.roll(6) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            2 => {
                let types = [20, 21, 22, 23, 24, 0];
                let head = [types[self.roll(6)], 3, 3, 0, self.roll(40) as u8];
                bytes.splice(at..at, head);
            }
            3 => bytes[at..end].reverse(),
            4 => {
                let random: Vec<u8> = (0..self.roll(60)).map(|_| self.roll(256) as u8).collect();
                bytes.splice(at..end, random);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = self.roll(256) as u8;
                }
            }
        }
    }
}

/// Ciphertext harmed at random, in pieces of random sizes, and both sides used on as if
/// nothing had happened: no panic, no endless loop, and only text that was sent.
#[test]
fn random_harm() {
    let pairs = pairs();
    let plain = text(3_000);
    let mut dice = Dice(1);
    let mut failures = 0;
    for round in 0..3_000 {
        let mut ends = pairs[round % 2].ends();
        let mut got = [Vec::new(), Vec::new()];
        let mut sent = 0;
        for _ in 0..12 {
            for from in [0, 1] {
                let mut wire = take_unsent(&mut ends[from]);
                if !ends[from].is_handshaking() && sent < plain.len() {
                    let end = (sent + dice.roll(700)).min(plain.len());
                    if from == 0 && ends[0].encrypt(&plain[sent..end], &mut wire).is_ok() {
                        sent = end;
                    }
                }
                if dice.roll(9) == 0 {
                    dice.harm(&mut wire);
                }
                if dice.roll(30) == 0 {
                    ends[from].close();
                    wire.extend(take_unsent(&mut ends[from]));
                }
                let mut rest = wire.as_slice();
                while !rest.is_empty() {
                    let (piece, tail) = rest.split_at(1 + dice.roll(rest.len()));
                    rest = tail;
                    match feed(&mut ends[1 - from], piece) {
                        Ok(bytes) => got[1 - from].extend(bytes),
                        Err(_) => failures += 1,
                    }
                }
            }
        }
        assert_eq!(got[0], b"");
        assert!(plain.starts_with(&got[1]), "round {round}");
    }
    assert!(failures > 500, "only {failures} were noticed");
}
