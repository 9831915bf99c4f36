//! The table driven over real sockets of one host, in virtual time.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream as Peer};

use mio::{Events, Poll};

use super::writing::SLOW_STEP;
use super::*;
use crate::gateway::Message;
use crate::reactor::clock::Clock;
use crate::reactor::compression::Compression;
use crate::reactor::framing::Chunking;
use crate::reactor::output::{HARD_LIMIT, SOFT_LIMIT, STALL_TIME};
use crate::ws::Decoder;

/// A table, its poll, and a listener that clients come from.
struct Host {
    poll: Poll,
    listener: TcpListener,
    clients: Clients,
    clock: Clock,
}

impl Host {
    fn new() -> Self {
        Self::delaying(0)
    }

    /// One where messages may wait for so many milliseconds.
    fn delaying(flush_delay: u64) -> Self {
        Self {
            poll: Poll::new().unwrap(),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            clients: Clients::new(
                Hand::default(),
                Rotation::new(0, 1),
                Admission::default(),
                Durations::default(),
                flush_delay,
            ),
            clock: Clock::new(),
        }
    }

    /// A new client: its key and the other end of its connection.
    fn connect(&mut self, now: Time) -> (ConnectionKey, Peer) {
        let peer = Peer::connect(self.listener.local_addr().unwrap()).unwrap();
        // A test that waits in vain shall fail, not hang.
        peer.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let (socket, remote) = self.listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let before = self.clients.keys();
        let socket = Stream::without_tls(mio::net::TcpStream::from_std(socket));
        self.clients
            .insert(self.poll.registry(), socket, remote, Place::Outside, now);
        let after = self.clients.keys();
        let key = after.into_iter().find(|key| !before.contains(key));
        (key.unwrap(), peer)
    }

    fn push(&mut self, key: ConnectionKey, len: usize, now: Time) {
        self.clients
            .push(key, Piece::Bytes(vec![b'x'; len].into()), now);
    }

    /// Waits for events until `done` says that it has seen enough.
    fn poll_until(&mut self, mut done: impl FnMut(&mut Clients) -> bool) {
        let mut events = Events::with_capacity(64);
        while !done(&mut self.clients) {
            self.poll
                .poll(&mut events, Some(Duration::from_secs(20)))
                .unwrap();
            assert!(!events.is_empty(), "nothing happened for 30 s");
            for event in events.iter() {
                self.clients.set_ready(event);
            }
        }
    }

    fn is_gone(&mut self, key: ConnectionKey) -> bool {
        self.clients.get_mut(key).is_none()
    }
}

/// Fills the socket until it takes no more, and returns the bytes it took.
fn fill(host: &mut Host, key: ConnectionKey, now: Time) -> usize {
    let mut pushed = 0;
    while host.clients.get_mut(key).unwrap().writable {
        host.push(key, 256 << 10, now);
        pushed += 256 << 10;
        host.clients.flush(&host.clock);
    }
    pushed - host.clients.get_mut(key).unwrap().output_bytes()
}

#[test]
fn a_key_is_free_only_when_no_list_names_it() {
    let mut host = Host::new();
    let (key, _peer) = host.connect(Time(0));
    host.push(key, 10, Time(0));
    host.clients.get_mut(key).unwrap().readable = true;
    host.clients.wake(key);
    host.clients.kill(key);
    assert_eq!(host.clients.fresh(), 0);
    host.clients.reap(|_| true);
    assert_eq!(host.clients.len(), 1, "both lists still name it");
    host.clients.flush(&host.clock);
    host.clients.reap(|_| true);
    assert_eq!(host.clients.len(), 1, "one list still names it");
    assert_eq!(host.clients.next_ready(), Some(key));
    host.clients.reap(|_| true);
    assert_eq!(host.clients.len(), 0);
    let (again, _peer) = host.connect(Time(0));
    assert_eq!(again.client(), key.client());
    assert!(!host.clients.get_mut(again).unwrap().ready);
}

#[test]
fn a_stale_key_finds_nothing() {
    let mut host = Host::new();
    let (old, _peer) = host.connect(Time(0));
    host.clients.kill(old);
    host.clients.reap(|_| true);
    let (new, _peer) = host.connect(Time(5));
    assert_eq!(new.client(), old.client());
    let connection = host.clients.get_mut(new).unwrap();
    (connection.readable, connection.known) = (true, true);
    let clients = &mut host.clients;
    assert!(clients.get_mut(old).is_none());
    assert_eq!(clients.deadline(old), None);
    clients.disarm(old);
    clients.arm(old, Kind::Body, Time(9));
    clients.push(old, Piece::Bytes(Box::new([0])), Time(9));
    clients.wake(old);
    clients.disown(old);
    clients.close(old, Kind::Idle, Time(9));
    clients.complete(old);
    clients.kill(old);
    clients.dead.push(old);
    clients.reap(|_| true);
    assert_eq!(clients.deadline(new), Some(Kind::Head));
    assert_eq!(clients.due(Time(10_005)), Some((new, Kind::Head)));
    assert_eq!((clients.fresh(), clients.ready_len()), (0, 0));
    assert!(!clients.has_output());
    assert_eq!(clients.take_doomed(), None);
    // The client of the gateway is the one that is there.
    let (found, connection) = clients.find(old.client()).unwrap();
    assert_eq!(found, new);
    assert!(matches!(connection.phase, Phase::Http(_)));
}

#[test]
fn a_client_is_sent_what_its_framing_makes_of_it_and_only_while_it_has_one() {
    let mut host = Host::new();
    let (key, _peer) = host.connect(Time(0));
    let mut asked = Vec::new();
    let mut send = |clients: &mut Clients| {
        clients.send(key.client(), Time(0), |framing| {
            asked.push(framing);
            Piece::Bytes(Box::new([0; 3]))
        });
        clients.fresh()
    };
    assert_eq!(send(&mut host.clients), 0, "it speaks HTTP");
    host.clients.get_mut(key).unwrap().phase = Phase::WebSocket(Decoder::default());
    assert_eq!(send(&mut host.clients), 3);
    // The goodbye of a WebSocket is a frame, and nothing follows it.
    host.clients.say_goodbye(key, Some(1001), "bye", Time(0));
    assert_eq!(host.clients.deadline(key), Some(Kind::Close));
    assert_eq!(host.clients.fresh(), 3 + 7);
    host.clients.say_goodbye(key, Some(1001), "bye", Time(0));
    assert_eq!(send(&mut host.clients), 3 + 7);
    host.clients.kill(key);
    assert_eq!(send(&mut host.clients), 0);
    assert_eq!(asked, [Framing::WebSocket(None)]);
}

#[test]
fn what_the_gateway_knows_it_is_told_of_once() {
    let mut host = Host::new();
    for known in [false, true] {
        let (key, _peer) = host.connect(Time(0));
        host.clients.get_mut(key).unwrap().known = known;
        host.push(key, 1, Time(0));
        host.clients.close(key, Kind::Close, Time(0));
        let told = host.clients.take_doomed();
        assert_eq!(told, known.then_some(key.client()));
        host.clients.kill(key);
        host.clients.kill(key);
        assert_eq!(host.clients.take_doomed(), None);
    }
}

#[test]
fn last_words_arrive_before_the_end() {
    let mut host = Host::new();
    let (key, mut peer) = host.connect(Time(0));
    host.push(key, 3_000_000, Time(0));
    host.clients.close(key, Kind::Idle, Time(0));
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).map(|_| got.len()).unwrap()
    });
    host.clients.flush(&host.clock);
    while host.clients.deadline(key) != Some(Kind::Linger) {
        host.poll_until(|clients| clients.has_output());
        host.clients.flush(&host.clock);
    }
    assert_eq!(reader.join().unwrap(), 3_000_000);
}

#[test]
fn who_reads_nothing_is_closed_and_who_reads_is_not() {
    let mut host = Host::new();
    let start = Time(1);
    let (slow, mut slow_peer) = host.connect(start);
    host.clients.get_mut(slow).unwrap().phase = Phase::WebSocket(Decoder::default());
    let sent = fill(&mut host, slow, start);
    for _ in 0..30 {
        host.push(slow, 1 << 20, start);
    }
    assert_eq!(host.clients.fresh(), 0, "a full socket is no work to do");
    assert!(host.clients.next_timeout().unwrap() <= Time(start.0 + SLOW_STEP));
    let output = host.clients.get_mut(slow).unwrap().output.as_ref();
    let last = output.unwrap().progress();
    host.clients.look_at_slow(Time(last.0 + STALL_TIME - 1));
    assert!(!host.is_gone(slow));
    // The peer takes some, and the time begins anew.
    let mut taken = vec![0; sent];
    slow_peer.read_exact(&mut taken).unwrap();
    host.poll_until(|clients| clients.has_output());
    let now = Time(last.0 + STALL_TIME);
    // Before it is offered some, nothing is held against it, whatever the time.
    host.clients.look_at_slow(now);
    assert!(!host.is_gone(slow));
    while host.clients.get_mut(slow).unwrap().writable {
        host.clients.write(slow, now);
    }
    host.clients.look_at_slow(Time(now.0 + SLOW_STEP));
    assert!(!host.is_gone(slow));
    let waiting = host.clients.get_mut(slow).unwrap().output_bytes();
    assert!(waiting > SOFT_LIMIT, "the test needs more output");
    assert_eq!(host.clients.slow_closed(), 0);
    host.clients.look_at_slow(Time(now.0 + STALL_TIME));
    assert!(host.is_gone(slow));
    assert_eq!(host.clients.slow_closed(), 1);
    host.clients.flush(&host.clock);
    host.clients.reap(|_| true);
    // Not a byte more than what was under way reaches it, and no orderly end.
    let error = loop {
        match slow_peer.read(&mut taken) {
            Ok(0) => panic!("an orderly end"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_client_cannot_hold_more_than_the_limit() {
    let mut host = Host::new();
    let (key, _peer) = host.connect(Time(0));
    fill(&mut host, key, Time(0));
    // A single piece is taken whatever its size.
    host.push(key, HARD_LIMIT, Time(0));
    assert!(!host.is_gone(key));
    host.push(key, 1, Time(0));
    assert!(host.is_gone(key));
    assert_eq!(host.clients.fresh(), 0);
}

#[test]
fn who_has_gone_stands_behind_those_who_ask() {
    let mut host = Host::new();
    let (gone, peer) = host.connect(Time(0));
    let (asks, mut asker) = host.connect(Time(0));
    for key in [gone, asks] {
        host.clients.get_mut(key).unwrap().readable = false;
    }
    while host.clients.next_ready().is_some() {}
    drop(peer);
    host.poll_until(|clients| clients.get_mut(gone).unwrap().hung_up);
    asker.write_all(b"x").unwrap();
    host.poll_until(|clients| clients.get_mut(asks).unwrap().readable);
    assert_eq!((host.clients.ready_len(), host.clients.busy_len()), (1, 1));
    assert_eq!(host.clients.next_ready(), Some(asks));
    assert_eq!(host.clients.next_busy(), Some(gone));
}

#[test]
fn a_stale_event_meets_no_new_connection() {
    let mut host = Host::new();
    let (old, peer) = host.connect(Time(0));
    drop(peer);
    // The event of the old connection is read from the kernel and kept.
    let mut events = Events::with_capacity(8);
    while !events.iter().any(Event::is_read_closed) {
        host.poll
            .poll(&mut events, Some(Duration::from_secs(20)))
            .unwrap();
        assert!(!events.is_empty());
    }
    host.clients.kill(old);
    host.clients.reap(|_| true);
    let (new, _peer) = host.connect(Time(0));
    assert_eq!(new.client(), old.client());
    for event in events.iter() {
        host.clients.set_ready(event);
    }
    let connection = host.clients.get_mut(new).unwrap();
    assert!(!connection.readable && !connection.hung_up);
}

#[test]
fn a_websocket_ends_when_both_sides_have_said_so() {
    // Our close frame leaves before or after theirs comes; input may still wait.
    for (written_first, readable) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut host = Host::new();
        let (key, mut peer) = host.connect(Time(0));
        let connection = host.clients.get_mut(key).unwrap();
        connection.phase = Phase::WebSocket(Decoder::default());
        connection.readable = readable;
        host.push(key, 4, Time(0));
        host.clients.close(key, Kind::Close, Time(0));
        if written_first {
            host.clients.flush(&host.clock);
            assert!(!host.is_gone(key), "their close frame has not come");
            host.clients.complete(key);
        } else {
            host.clients.complete(key);
            assert!(!host.is_gone(key), "our close frame has not left");
            host.clients.flush(&host.clock);
        }
        assert_eq!(host.is_gone(key), !readable);
        if readable {
            host.clients.get_mut(key).unwrap().readable = false;
            host.clients.end_completed(key);
            assert!(host.is_gone(key));
        }
        assert_eq!(host.clients.next_timeout(), None);
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"xxxx");
    }
}

#[test]
fn nothing_but_a_closing_websocket_can_be_complete() {
    let mut host = Host::new();
    let (key, _peer) = host.connect(Time(0));
    host.clients.complete(key);
    assert!(!host.is_gone(key));
    host.clients.get_mut(key).unwrap().phase = Phase::WebSocket(Decoder::default());
    host.clients.complete(key);
    assert!(!host.is_gone(key));
}

#[test]
fn any_output_must_be_read_some_time() {
    let mut host = Host::new();
    let start = Time(1);
    let (key, mut peer) = host.connect(start);
    host.clients.get_mut(key).unwrap().phase = Phase::WebSocket(Decoder::default());
    host.clients.disarm(key);
    let sent = fill(&mut host, key, start);
    let output = host.clients.get_mut(key).unwrap().output.as_ref();
    let last = output.unwrap().progress().0;
    let due = |host: &Host| host.clients.due(Time(u64::MAX));
    assert_eq!(due(&host), Some((key, Kind::Unread)));
    host.clients
        .look_at_unread(key, Time(last + Kind::Unread.duration() - 1));
    assert!(!host.is_gone(key));
    let mut taken = vec![0; sent];
    peer.read_exact(&mut taken).unwrap();
    host.poll_until(|clients| clients.has_output());
    host.push(key, 256 << 10, Time(last + 9));
    host.clients.write(key, Time(last + 9));
    host.clients
        .look_at_unread(key, Time(last + Kind::Unread.duration()));
    assert!(!host.is_gone(key), "it has read some");
    fill(&mut host, key, Time(last + 9));
    host.clients
        .look_at_unread(key, Time(last + 1_000 + Kind::Unread.duration()));
    assert!(host.is_gone(key));
    assert_eq!(due(&host), None);
    host.clients.reap(|_| true);
    assert_eq!(host.clients.held(), 0);
}

#[test]
fn memory_of_a_shared_text_counts_once_and_is_dropped_in_steps() {
    let mut host = Host::new();
    let clients: Vec<_> = (0..3).map(|_| host.connect(Time(0))).collect();
    let message = Message::new(&[b'x'; 5_000]);
    for (key, _) in &clients {
        let connection = host.clients.get_mut(*key).unwrap();
        connection.phase = Phase::WebSocket(Decoder::default());
        for _ in 0..DROPPED {
            let envelope =
                Framing::WebSocket(None).envelope(&message, &mut Compression::new(false));
            host.clients
                .push(*key, Piece::Message(message.clone(), envelope), Time(0));
        }
    }
    let pieces = 48 * DROPPED;
    assert_eq!(host.clients.held(), 5_000 + 3 * pieces);
    assert_eq!(host.clients.fresh(), 5_000);
    // Three are ended at once; their queues go one after the other.
    for (key, _) in &clients {
        host.clients.kill(*key);
    }
    let mut held = vec![host.clients.held()];
    while host.clients.held() > 0 {
        host.clients.reap(|_| true);
        held.push(host.clients.held());
        assert!(held.len() < 10);
    }
    assert!(held.windows(2).all(|two| two[0] - two[1] <= pieces + 5_000));
    assert!(held.len() >= 4, "{held:?}");
}

#[test]
fn messages_wait_for_each_other_and_answers_of_http_do_not() {
    let mut host = Host::delaying(40);
    let now = host.clock.tick();
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (key, peer) = host.connect(now);
        host.clients.get_mut(key).unwrap().phase = Phase::Events(Chunking::Plain);
        peers.push((key, peer));
    }
    let (http, _peer) = host.connect(now);
    for (key, _) in &peers {
        host.push(*key, 10, now);
    }
    host.push(http, 10, now);
    assert!(host.clients.has_output(), "the answer is to be written");
    host.clients.flush(&host.clock);
    // The others do not keep the loop awake until it is their time.
    assert!(!host.clients.has_output());
    assert_eq!(host.clients.get_mut(http).unwrap().output_bytes(), 0);
    let due = Time(now.0 + 40);
    let next = host.clients.next_timeout();
    assert!(next.is_some_and(|next| next <= due), "{next:?}");
    // What comes meanwhile leaves with it, and no later.
    let (second, later) = (peers[1].0, Time(now.0 + 39));
    host.push(second, 5, later);
    assert_eq!(host.clients.get_mut(second).unwrap().output_bytes(), 15);
    // As the loop does: it sleeps in its poll until something is due.
    let mut events = Events::with_capacity(64);
    while host.clock.tick() < due {
        let sleep = host.clock.until(due);
        host.poll.poll(&mut events, Some(sleep)).unwrap();
    }
    host.clients.flush(&host.clock);
    for (at, (key, peer)) in peers.iter_mut().enumerate() {
        assert_eq!(host.clients.get_mut(*key).unwrap().output_bytes(), 0);
        let mut got = vec![0; if at == 1 { 15 } else { 10 }];
        peer.read_exact(&mut got).unwrap();
    }
    // The next one has the whole time again.
    let now = host.clock.now();
    host.push(second, 5, now);
    host.clients.flush(&host.clock);
    assert_eq!(host.clients.get_mut(second).unwrap().output_bytes(), 5);
}

#[test]
fn nothing_waits_on_purpose_where_much_waits() {
    let mut host = Host::delaying(1_000);
    let now = host.clock.tick();
    let mut peers = Vec::new();
    // Below the size at which one alone would stand elsewhere.
    for _ in 0..200 {
        let (key, peer) = host.connect(now);
        host.clients.get_mut(key).unwrap().phase = Phase::Events(Chunking::Plain);
        host.push(key, 50 << 10, now);
        peers.push((key, peer));
    }
    assert!(!host.clients.has_output());
    host.clients.flush(&host.clock);
    let written = |key: &ConnectionKey, host: &mut Host| {
        host.clients.get_mut(*key).unwrap().output_bytes() < 50 << 10
    };
    assert!(peers.iter().any(|(key, _)| written(key, &mut host)));
    // A connection that ends meanwhile leaves nothing behind.
    for (key, _) in &peers {
        host.clients.kill(*key);
    }
    while host.clients.has_output() {
        host.clients.flush(&host.clock);
        host.clients.reap(|_| true);
    }
    assert_eq!((host.clients.fresh(), host.clients.held()), (0, 0));
}
