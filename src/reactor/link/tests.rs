use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Waker};

use super::*;
use crate::config::{Command, Config, load};
use crate::reactor::connection::{BROKER, RESOLVER};
use crate::reactor::resolver::tests::Names;
use crate::reactor::signals::Signals;
use crate::reactor::{End, Reactor};

/// The test fails when nothing happens for so long.
const PATIENCE: Duration = Duration::from_secs(20);

const INFO: &[u8] =
    b"INFO {\"server_name\":\"shore\",\"version\":\"2.0\",\"max_payload\":1000}\r\n";

pub(in crate::reactor) fn config(urls: &str, more: &[&str]) -> Config {
    let arguments = ["-n", urls, "-i", "127.0.0.1"].into_iter();
    let arguments = arguments.chain(more.iter().copied());
    match load(arguments.map(Into::into).collect(), []) {
        Ok(Command::Run { config, .. }) => *config,
        _ => panic!("a configuration"),
    }
}

/// A link and what it needs of a loop. Time is a parameter.
struct Driver {
    poll: Poll,
    link: Link,
    names: Names,
    now: u64,
}

impl Driver {
    fn new(urls: &str, retry_delay: Option<u64>) -> Self {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), RESOLVER).expect("a waker");
        let mut resolver = Resolver::new(waker);
        let names = Names::replace_system(&mut resolver);
        let servers = ServerUrl::parse_list(urls).expect("URLs");
        let secrets = BrokerSecrets::load(&config(urls, &[])).expect("no files are named");
        Self {
            poll,
            link: Link::new(servers, secrets, resolver, retry_delay),
            names,
            now: 1_000,
        }
    }

    fn step(&mut self) -> Option<LinkEvent> {
        self.link.step(self.poll.registry(), Time(self.now))
    }

    /// Steps as often as there is work.
    fn work(&mut self) -> Option<LinkEvent> {
        while self.link.has_work() {
            let event = self.step();
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// A turn of the loop. Time stands still.
    fn turn(&mut self) -> Option<LinkEvent> {
        let mut events = Events::with_capacity(8);
        let has_work = self.link.has_work();
        let sleep = if has_work { Duration::ZERO } else { PATIENCE };
        self.poll.poll(&mut events, Some(sleep)).expect("it polls");
        let state = &self.link.state;
        assert!(has_work || !events.is_empty(), "nothing happens: {state:?}");
        for event in &events {
            match event.token() {
                BROKER => self.link.set_ready(event),
                token => assert_eq!(token, RESOLVER),
            }
        }
        self.step()
    }

    /// Takes turns until something happens.
    fn next(&mut self) -> LinkEvent {
        loop {
            if let Some(event) = self.turn() {
                return event;
            }
        }
    }

    fn expect_connected(&mut self) -> String {
        match self.next() {
            LinkEvent::Connected {
                server,
                url,
                limits,
            } => {
                assert_eq!(server, "nats-server 2.0 (shore)");
                assert_eq!(limits.max_payload, 1_000);
                assert!(self.link.is_ready());
                url
            }
            event => panic!("{event:?}"),
        }
    }
}

/// What became of each server, and the time of the next try.
fn refused(event: &LinkEvent) -> (Vec<String>, Option<u64>) {
    match event {
        LinkEvent::Unreachable { refusals, retry } => (
            refusals
                .iter()
                .map(|refusal| format!("{}: {}", refusal.url, refusal.cause))
                .collect(),
            retry.map(|time| time.0),
        ),
        event => panic!("{event:?}"),
    }
}

/// A server that agrees with all, each connection until a word is sent; its address.
pub(in crate::reactor) fn agreeable() -> (SocketAddr, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (end, ended) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            stream.write_all(INFO).expect("it is taken");
            let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
            assert!(lines.any(|line| line.expect("a line") == "PING"));
            stream.write_all(b"PONG\r\n").expect("it is taken");
            if ended.recv().is_err() {
                return;
            }
        }
    });
    (address, end)
}

/// An address at which nobody listens, for as long as the socket is kept.
fn refusing() -> (SocketAddr, socket2::Socket) {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().expect("it is bound").as_socket();
    (address.expect("an address of IP"), socket)
}

#[test]
fn each_server_and_each_address_is_tried_in_turn_and_the_first_that_agrees_is_taken() {
    let (refusing, _socket) = refusing();
    let (first, _end) = agreeable();
    let (second, _other_end) = agreeable();
    let mut driver = Driver::new(
        &format!("nats://{refusing},nats://unknown:1,nats://shore:2,nats://{second}"),
        None,
    );
    let answers = [
        Err(std::io::Error::other("never heard of")),
        Ok(vec![refusing, first]),
    ];
    for answer in answers {
        driver.names.answers.send(answer).expect("it is there");
    }
    assert_eq!(driver.expect_connected(), "nats://shore:2");
    assert_eq!(driver.names.asked(), ("unknown".to_owned(), 1));
    assert_eq!(driver.names.asked(), ("shore".to_owned(), 2));
    assert!(driver.step().is_none());
}

#[test]
fn when_no_server_agrees_the_end_says_why_for_each() {
    let (refusing, _socket) = refusing();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_address = silent.local_addr().expect("an address");
    let urls = format!("nats://unknown:1,nats://u:hush@{refusing},nats://{silent_address}");
    let mut driver = Driver::new(&urls, None);
    driver.names.answers.send(Ok(Vec::new())).expect("it waits");
    // Nothing listens at the second; the third takes connections and is silent.
    let closer = thread::spawn(move || drop(silent.accept().expect("a connection")));
    let event = driver.next();
    closer.join().expect("it accepts");
    let (refusals, retry) = refused(&event);
    assert_eq!(retry, None);
    let expected = [
        "nats://unknown:1: the host has no known address (entity not found)".to_owned(),
        format!("nats://{refusing}: Connection refused (os error "),
        format!("nats://{silent_address}: NATS server closed the connection before it was ready"),
    ];
    assert_eq!(refusals.len(), expected.len());
    for (refusal, expected) in refusals.iter().zip(expected) {
        assert!(refusal.starts_with(&expected), "{refusal}\n{expected}");
    }
    // That was all, for ever.
    driver.now = u64::MAX;
    assert!(!driver.link.has_work() && !driver.link.is_ready());
    assert_eq!(driver.link.next_timeout(), None);
    assert!(driver.step().is_none());
}

#[test]
fn an_address_has_two_seconds_to_connect_and_to_agree() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let mut driver = Driver::new(&format!("nats://{address},nats://shore:2"), Some(30_000));
    // The poll is not asked, so that the link never hears that the socket is connected.
    assert!(driver.work().is_none());
    assert!(matches!(driver.link.state, State::Connecting(_)));
    assert_eq!(driver.link.next_timeout(), Some(Time(3_000)));
    driver.now = 2_999;
    assert!(driver.step().is_none());
    assert!(matches!(driver.link.state, State::Connecting(_)));
    driver.now = 3_000;
    assert!(driver.step().is_none());
    assert!(driver.work().is_none());
    assert!(matches!(driver.link.state, State::Resolving));
    assert_eq!(driver.link.next_timeout(), None);
    // The second one is connected, and says nothing.
    driver
        .names
        .answers
        .send(Ok(vec![address]))
        .expect("it waits");
    while !matches!(driver.link.state, State::Greeting(_)) {
        assert!(driver.turn().is_none());
    }
    assert_eq!(driver.link.next_timeout(), Some(Time(5_000)));
    driver.now = 5_000;
    assert!(driver.step().is_none());
    let (refusals, retry) = refused(&driver.work().expect("all have failed"));
    assert_eq!(
        refusals,
        [
            format!("nats://{address}: no connection within 2000 ms"),
            "nats://shore:2: NATS server did not send INFO within 2000 ms; one that expects TLS \
             first (handshake_first) needs --natstlsfirst"
                .to_owned(),
        ]
    );
    // It begins again when the time has come, and looks names up anew.
    assert_eq!(retry, Some(35_000));
    assert_eq!(driver.link.next_timeout(), Some(Time(35_000)));
    driver.now = 34_999;
    assert!(!driver.link.has_work());
    assert!(driver.step().is_none());
    assert!(matches!(driver.link.state, State::Waiting(Time(35_000))));
    driver.now = 35_000;
    assert!(driver.step().is_none());
    assert!(driver.link.has_work());
    assert!(driver.work().is_none());
    assert!(matches!(driver.link.state, State::Connecting(_)));
}

#[test]
fn a_lost_link_is_made_anew_and_its_counts_go_on() {
    let (address, end) = agreeable();
    let mut driver = Driver::new("nats://shore:2", Some(500));
    let known = || Ok(vec![address]);
    driver.names.answers.send(known()).expect("it waits");
    driver.expect_connected();
    let greeted = driver.link.traffic();
    assert_eq!(greeted.received, INFO.len() as u64 + 6);
    assert!(greeted.sent > 0);

    end.send(()).expect("it serves");
    assert_eq!(driver.link.lost(Time(driver.now)), "nats://shore:2");
    assert!(matches!(driver.link.state, State::Waiting(Time(1_500))));
    assert!(!driver.link.is_ready() && driver.link.ready().is_none());
    assert_eq!(driver.link.traffic(), greeted);
    driver.now = 1_500;
    assert!(driver.step().is_none());
    assert!(matches!(driver.link.state, State::Resolving));
    driver.names.answers.send(known()).expect("it waits");
    driver.expect_connected();
    assert_eq!(driver.link.traffic().received, 2 * greeted.received);
    assert_eq!(driver.link.traffic().sent, 2 * greeted.sent);

    // Given up in the middle of a look-up: the late answer is for nobody, and the next
    // look-up waits for it rather than for a second thread.
    end.send(()).expect("it serves");
    driver.link.lost(Time(1_500));
    driver.now = 2_000;
    assert!(driver.step().is_none());
    driver.link.lost(Time(2_000));
    driver.now = 2_500;
    assert!(driver.step().is_none());
    assert!(matches!(driver.link.state, State::Resolving));
    let late = Err(std::io::Error::other("late"));
    driver.names.answers.send(late).expect("it waits");
    driver.names.answers.send(known()).expect("it will wait");
    driver.expect_connected();
    for _ in 0..4 {
        assert_eq!(driver.names.asked(), ("shore".to_owned(), 2));
    }
    assert!(driver.names.asked.try_recv().is_err());
}

/// A whole reactor, whose names are in the test's hands.
struct Stage {
    reactor: Reactor,
    events: Events,
}

impl Stage {
    /// Takes turns until it is done, or the loop ends.
    fn turns(&mut self, mut is_done: impl FnMut(&Reactor) -> bool) -> Result<(), End> {
        let start = Instant::now();
        while !is_done(&self.reactor) {
            assert!(start.elapsed() < PATIENCE, "{:?}", self.reactor.link.state);
            let limit = Time(self.reactor.clock.now().0 + 10);
            self.reactor.turn(&mut self.events, Some(limit))?;
        }
        Ok(())
    }

    /// A client asks for something that is not there, and hears so.
    fn expect_service(&mut self, client: &mut TcpStream) {
        client
            .write_all(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("it is taken");
        let mut answer = Vec::new();
        let is_answered = |_: &Reactor| {
            let mut bytes = [0; 1_024];
            if let Ok(len) = client.read(&mut bytes) {
                answer.extend_from_slice(&bytes[..len]);
            }
            answer.ends_with(b"}")
        };
        let end = self.turns(is_answered);
        assert!(end.is_ok(), "the loop goes on");
        assert!(answer.starts_with(b"HTTP/1.1 404 "));
    }
}

#[test]
fn clients_are_served_while_the_link_is_made_anew() {
    let (address, end) = agreeable();
    let mut config = config("nats://shore:2", &[]);
    let mut reactor = Reactor::new(&config, Signals::none).expect("a reactor");
    reactor.link.retry_delay = Some(0);
    let names = Names::replace_system(&mut reactor.link.resolver);
    let events = Events::with_capacity(8);
    let mut stage = Stage { reactor, events };
    names.answers.send(Ok(vec![address])).expect("it waits");
    let ready = |reactor: &Reactor| reactor.link.is_ready();
    assert!(stage.turns(ready).is_ok(), "it connects");
    config.port = 0;
    stage.reactor.listen(&config).expect("a port");
    let listener = stage.reactor.listener.as_ref().expect("it listens");
    let mut client =
        TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    client.set_nonblocking(true).expect("a socket");
    stage.expect_service(&mut client);

    end.send(()).expect("it serves");
    // The loop says so; that it is the end is for its caller to decide.
    let lost = stage.turns(|_| false);
    assert!(matches!(lost, Err(End::Lost { .. })), "it is lost");
    assert!(matches!(stage.reactor.link.state, State::Waiting(_)));
    let resolving = |reactor: &Reactor| matches!(reactor.link.state, State::Resolving);
    assert!(stage.turns(resolving).is_ok(), "it begins again");
    stage.expect_service(&mut client);
    assert!(resolving(&stage.reactor), "nobody has answered yet");
    names.answers.send(Ok(vec![address])).expect("it waits");
    assert!(stage.turns(ready).is_ok(), "it connects again");
    stage.expect_service(&mut client);
}

#[test]
fn a_server_that_talks_much_before_it_agrees_gets_one_read_of_a_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    // So much that a step which read until nothing is there would not soon be through.
    let long = format!("INFO {{\"version\":\"{}\"}}\r\n", "x".repeat(16_000));
    let talk = [INFO, &long.repeat(1_500).into_bytes(), INFO, b"PONG\r\n"].concat();
    let len = talk.len() as u64;
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(&talk).expect("it is taken");
        stream
    });
    let mut driver = Driver::new(&format!("nats://{address}"), None);
    let mut received = 0;
    let event = loop {
        if let Some(event) = driver.turn() {
            break event;
        }
        if let State::Greeting(broker) = &driver.link.state {
            let before = std::mem::replace(&mut received, broker.traffic().received);
            assert!(received - before <= 256 << 10);
        }
    };
    assert!(matches!(event, LinkEvent::Connected { .. }), "{event:?}");
    assert_eq!(driver.link.traffic().received, len);
    drop(server.join().expect("it wrote all"));
}
