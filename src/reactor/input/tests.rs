//! Clients' input through a whole loop, with a NATS server that only greets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::Sender;

use flate2::{Compress, Compression, FlushCompress};
use mio::Events;

use super::*;
use crate::reactor::compression::{EXCESS_MAX, EXCESS_RATE};
use crate::reactor::link::tests::{agreeable, config};
use crate::reactor::signals::Signals;
use crate::reactor::turn::{READ_STEP, VISIT_STEPS};

/// Turns after which a test fails.
const PATIENCE: usize = 10_000;

struct Stage {
    reactor: Reactor,
    events: Events,
    _end: Sender<()>,
}

impl Stage {
    fn new(arguments: &[&str]) -> Self {
        let (address, end) = agreeable();
        let mut config = config(&format!("nats://{address}"), arguments);
        let reactor = Reactor::new(&config, Signals::none, crate::reactor::Given::default())
            .expect("a reactor");
        let events = Events::with_capacity(64);
        let mut stage = Self {
            reactor,
            events,
            _end: end,
        };
        while !stage.reactor.link.is_ready() {
            stage.turn();
        }
        config.port = 0;
        stage.reactor.listen(&config, None).expect("a port");
        stage
    }

    fn turn(&mut self) {
        let limit = crate::gateway::Time(self.reactor.clock.now().0 + 10);
        let end = self.reactor.turn(&mut self.events, Some(limit));
        assert!(end.is_ok(), "the loop goes on");
    }

    fn turns_until(&mut self, mut is_done: impl FnMut(&mut Reactor) -> bool) {
        for _ in 0..PATIENCE {
            if is_done(&mut self.reactor) {
                return;
            }
            self.turn();
        }
        panic!("it does not come");
    }

    /// A new WebSocket client and its key.
    fn open(&mut self, fields: &str) -> (ConnectionKey, TcpStream) {
        let listener = self.reactor.listener.as_ref().expect("it listens");
        let address = listener.local_addr().expect("an address");
        let before = self.reactor.clients.keys();
        let mut client = TcpStream::connect(address).expect("it listens");
        client.set_nonblocking(true).expect("a socket");
        let request = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {fields}\r\n"
        );
        client.write_all(request.as_bytes()).expect("it is taken");
        let mut head = Vec::new();
        self.turns_until(|_| {
            head.extend(received(&mut client));
            head.ends_with(b"\r\n\r\n")
        });
        let mut keys = self.reactor.clients.keys().into_iter();
        let key = keys.find(|key| !before.contains(key));
        (key.expect("it is there"), client)
    }

    fn deliveries(&self) -> u64 {
        self.reactor.metrics.deliveries
    }
}

/// What has come for a client by now.
fn received(client: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut bytes) = (Vec::new(), [0; 4_096]);
    while let Ok(len @ 1..) = client.read(&mut bytes) {
        all.extend_from_slice(&bytes[..len]);
    }
    all
}

/// A text message of a client, compressed if that is said of its payload.
fn masked(payload: &[u8], is_compressed: bool) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(frame::Opcode::Text, payload, &mut out);
    if is_compressed {
        out[0] |= frame::COMPRESSED;
    }
    out[1] |= 0x80;
    // A key of zeros changes nothing.
    let head = out.len() - payload.len();
    out.splice(head..head, [0; 4]);
    out
}

fn version() -> Vec<u8> {
    masked(br#"{"id":1,"method":"version"}"#, false)
}

/// Whether a client has been sent a close frame with this code, and nothing else.
fn is_closed_with(bytes: &[u8], code: u16) -> bool {
    bytes.first() == Some(&0x88) && bytes.get(2..4) == Some(&code.to_be_bytes())
}

#[test]
fn a_flood_leaves_others_their_turn() {
    const FLOOD: u64 = 1_500;
    let mut stage = Stage::new(&[]);
    let (_, mut loud) = stage.open("");
    let (_, mut quiet) = stage.open("");
    let flood = version().repeat(FLOOD as usize);
    loud.write_all(&flood).expect("the socket has room");
    let (mut turns, mut asked) = (0, None);
    while stage.deliveries() <= FLOOD {
        let before = stage.deliveries();
        stage.turn();
        turns += 1;
        assert!(turns < PATIENCE);
        let done = stage.deliveries() - before;
        // The first time it is served as one of the others too.
        assert!(done <= 2 * u64::from(VISIT_STEPS) + 1, "{done} in a turn");
        match asked {
            None if stage.deliveries() >= 200 => {
                quiet.write_all(&version()).expect("the socket has room");
                asked = Some(turns);
            }
            Some(turn) if turns == turn + 1 => {
                assert!(!received(&mut quiet).is_empty(), "it waits for the flood");
                assert!(stage.deliveries() < FLOOD, "the test needs a longer flood");
            }
            _ => {}
        }
        received(&mut loud);
    }
    assert_eq!(stage.deliveries(), FLOOD + 1);
    assert!(turns as u64 >= FLOOD / u64::from(2 * VISIT_STEPS));
}

#[test]
fn pipelined_requests_leave_others_their_turn() {
    let mut stage = Stage::new(&[]);
    let (_, mut quiet) = stage.open("");
    let listener = stage.reactor.listener.as_ref().expect("it listens");
    let address = listener.local_addr().expect("an address");
    let mut loud = TcpStream::connect(address).expect("it listens");
    loud.set_nonblocking(true).expect("a socket");
    let request = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    loud.write_all(&request.repeat(1_500))
        .expect("the socket has room");
    let mut answers = Vec::new();
    stage.turns_until(|_| {
        answers.extend(received(&mut loud));
        !answers.is_empty()
    });
    quiet.write_all(&version()).expect("the socket has room");
    stage.turn();
    assert_eq!(stage.deliveries(), 1);
    let count = |answers: &[u8]| {
        let heads = answers.windows(13);
        heads.filter(|part| part == b"HTTP/1.1 404 ").count()
    };
    answers.extend(received(&mut loud));
    assert!(count(&answers) <= 3 * VISIT_STEPS as usize);
    stage.turns_until(|_| {
        answers.extend(received(&mut loud));
        count(&answers) == 1_500
    });
}

#[test]
fn pings_leave_others_their_turn() {
    const PINGS: usize = 2_000;
    let mut stage = Stage::new(&[]);
    let (_, mut loud) = stage.open("");
    let (_, mut quiet) = stage.open("");
    // A ping without payload; a key of zeros. Its pong has two bytes.
    let ping = [0x89, 0x80, 0, 0, 0, 0];
    loud.write_all(&ping.repeat(PINGS))
        .expect("the socket has room");
    let (mut pongs, mut turns) = (0, 0);
    while pongs == 0 {
        stage.turn();
        pongs += received(&mut loud).len() / 2;
    }
    quiet.write_all(&version()).expect("the socket has room");
    stage.turn();
    assert_eq!(stage.deliveries(), 1, "it waits for the flood");
    assert!(pongs < PINGS, "the test needs a longer flood");
    while pongs < PINGS {
        let before = pongs;
        stage.turn();
        turns += 1;
        assert!(turns < PATIENCE);
        pongs += received(&mut loud).len() / 2;
        // Those of the turn before may have been in the socket.
        assert!(pongs - before <= 4 * VISIT_STEPS as usize);
    }
    assert_eq!(pongs, PINGS);
}

#[test]
fn large_heads_leave_others_their_turn() {
    const REQUESTS: usize = 60;
    let mut stage = Stage::new(&[]);
    let (_, mut quiet) = stage.open("");
    let listener = stage.reactor.listener.as_ref().expect("it listens");
    let address = listener.local_addr().expect("an address");
    let mut loud = TcpStream::connect(address).expect("it listens");
    loud.set_nonblocking(true).expect("a socket");
    let field = format!("X-Long: {}\r\n", "v".repeat(140));
    let fields = field.repeat(98);
    let request = format!("GET /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let input = request.repeat(REQUESTS);
    let (mut sent, mut answers, mut asked) = (0, 0, false);
    let mut turns = 0;
    while answers < REQUESTS {
        if let Ok(len) = loud.write(&input.as_bytes()[sent..]) {
            sent += len;
        }
        let (before, quiet_before) = (answers, stage.deliveries());
        let has_asked = asked;
        if !asked && answers > 5 {
            quiet.write_all(&version()).expect("the socket has room");
            asked = true;
        }
        stage.turn();
        turns += 1;
        assert!(turns < PATIENCE);
        let text = received(&mut loud);
        answers += text.windows(9).filter(|part| part == b"HTTP/1.1 ").count();
        // Each counts by its length: so many bytes as make a share, twice in a turn at most,
        // and what was in the socket of the turn before.
        let share = VISIT_STEPS as usize * READ_STEP / request.len() + 1;
        assert!(
            answers - before <= 4 * share,
            "{} in a turn",
            answers - before
        );
        if asked && !has_asked {
            assert_eq!(
                stage.deliveries(),
                quiet_before + 1,
                "it waits for the flood"
            );
        }
    }
    assert!(asked);
}

#[test]
fn what_was_sent_before_the_end_is_taken() {
    let mut stage = Stage::new(&[]);
    let (_, mut client) = stage.open("");
    client
        .write_all(&version().repeat(300))
        .expect("the socket has room");
    client
        .shutdown(std::net::Shutdown::Write)
        .expect("it is open");
    stage.turns_until(|reactor| reactor.clients.len() == 0);
    assert_eq!(stage.deliveries(), 300);
}

#[test]
fn the_rest_of_a_message_must_come_in_time() {
    let mut stage = Stage::new(&[]);
    let (key, mut client) = stage.open("");
    let message = version();
    let deadline = |stage: &Stage| stage.reactor.clients.deadline(key);
    for cut in [1, 7] {
        // The end of one and the beginning of the next.
        client.write_all(&message[..cut]).expect("it is taken");
        stage.turns_until(|reactor| reactor.clients.deadline(key) == Some(Kind::Message));
        let before = stage.deliveries();
        client
            .write_all(&[&message[cut..], &message].concat())
            .expect("it is taken");
        stage.turns_until(|reactor| reactor.metrics.deliveries == before + 2);
        assert_eq!(deadline(&stage), None);
    }
    received(&mut client);
    client.write_all(&message[..20]).expect("it is taken");
    stage.turns_until(|reactor| reactor.clients.deadline(key) == Some(Kind::Message));
    assert!(stage.reactor.clients.held() > 0);
    let now = stage.reactor.clock.now();
    // What waits for us is not late.
    let connection = stage.reactor.clients.get_mut(key).expect("it is there");
    connection.readable = true;
    stage.reactor.expire(key, Kind::Message, now);
    assert_eq!(deadline(&stage), Some(Kind::Message));
    let connection = stage.reactor.clients.get_mut(key).expect("it is there");
    connection.readable = false;
    stage.reactor.expire(key, Kind::Message, now);
    assert_eq!(deadline(&stage), Some(Kind::Close));
    assert_eq!(stage.reactor.clients.held(), 2 + 2 + 34 + 48);
    stage.turn();
    assert_eq!(stage.reactor.clients.held(), 0);
    assert!(is_closed_with(&received(&mut client), 1008));
}

#[test]
fn who_holds_most_for_longest_goes_when_memory_is_short() {
    const LIMIT: usize = 16 << 20;
    let mut stage = Stage::new(&["--maxbuffers=16"]);
    let message = masked(&vec![b' '; MESSAGE_MAX - 100], false);
    let message = &message[..message.len() - 1];
    let mut clients = Vec::new();
    for _ in 0..20 {
        let (_, mut client) = stage.open("");
        let mut sent = 0;
        stage.turns_until(|_| {
            if let Ok(len) = client.write(&message[sent..]) {
                sent += len;
            }
            sent == message.len()
        });
        clients.push(client);
        let (_, mut small) = stage.open("");
        small.write_all(&message[..100]).expect("it is taken");
        clients.push(small);
    }
    stage.turns_until(|reactor| {
        reactor.clients.ready_len() + reactor.clients.busy_len() == 0
            && reactor.clients.held() <= LIMIT
    });
    for _ in 0..10 {
        stage.turn();
    }
    let cut = stage.reactor.metrics.cut_clients;
    // Buffers have room for twice what is in them at most.
    assert!((4..=13).contains(&cut), "{cut} were closed");
    let closed = clients
        .iter_mut()
        .enumerate()
        .filter_map(|(index, client)| {
            let bytes = received(client);
            assert!(bytes.is_empty() || is_closed_with(&bytes, 1013));
            (!bytes.is_empty()).then_some(index)
        });
    let closed: Vec<_> = closed.collect();
    assert_eq!(closed.len() as u64, cut);
    assert!(closed.iter().all(|index| index % 2 == 0), "{closed:?}");
}

#[test]
fn messages_that_grow_without_measure_end_their_connection() {
    let mut stage = Stage::new(&["--wscompression"]);
    let fields = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (key, mut client) = stage.open(fields);
    let mut deflated = Vec::with_capacity(1 << 20);
    let mut text = vec![b' '; 900_000];
    text[0] = b'7';
    Compress::new(Compression::best(), false)
        .compress_vec(&text, &mut deflated, FlushCompress::Sync)
        .expect("it compresses");
    let bomb = masked(&deflated[..deflated.len() - 4], true);
    assert!(bomb.len() < 2_000);
    client
        .write_all(&bomb.repeat(20))
        .expect("the socket has room");
    let mut visits = 0;
    stage.turns_until(|reactor| {
        let connection = reactor.clients.get_mut(key).expect("it is there");
        visits += u32::from(connection.busy);
        !connection.is_websocket()
    });
    // One of them uses a share up.
    assert!(visits as usize >= EXCESS_MAX / 900_000 - 1, "{visits}");
    stage.turn();
    let mut bytes = received(&mut client);
    stage.turns_until(|_| {
        bytes.extend(received(&mut client));
        !bytes.is_empty()
    });
    assert!(is_closed_with(&bytes, 1008));
}

#[test]
fn honest_text_may_compress_well() {
    use crate::gateway::Time;
    use crate::reactor::compression::Inflated;
    use crate::ws::Inflation;
    let honest = Inflation {
        payload: 20_000,
        message: 1_000_000,
    };
    let mut inflated = Inflated::default();
    // A megabyte of it now and then.
    assert!((0..100).all(|n| inflated.count(honest, Time(n * 2_000))));
    let plain = Inflation {
        payload: 50_000,
        message: 1_000_000,
    };
    // Any amount of what compresses as text does.
    assert!((0..1_000).all(|_| inflated.count(plain, Time(200_000))));
    let bomb = Inflation {
        payload: 1_000,
        message: 1_000_000,
    };
    let mut bombs = 0;
    while inflated.count(bomb, Time(500_000)) {
        bombs += 1;
    }
    assert_eq!(bombs, EXCESS_MAX / 980_000);
    let drained = 500_000 + 1_000 * (EXCESS_MAX / EXCESS_RATE + 4) as u64;
    assert!(inflated.count(bomb, Time(drained)));
}
