use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Waker};

use super::*;
use crate::config::{Command, Config, load};
use crate::nats::TooLong;
use crate::reactor::connection::{BROKER, BROKER_NEXT, RESOLVER};
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
    fn new(urls: &str, is_kept: bool) -> Self {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), RESOLVER).expect("a waker");
        let mut resolver = Resolver::new(waker);
        let names = Names::replace_system(&mut resolver);
        let servers = ServerUrl::parse_list(urls).expect("URLs");
        let secrets = BrokerSecrets::load(&config(urls, &[])).expect("no files are named");
        Self {
            poll,
            link: Link::new(
                servers,
                secrets,
                resolver,
                Keeping {
                    is_kept,
                    ping_interval: 10_000,
                    seed: 1,
                },
            ),
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
                BROKER | BROKER_NEXT => self.link.set_ready(event),
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

    /// Reads what the server has sent, and takes its messages.
    fn read(&mut self) {
        let now = Time(self.now);
        let broker = self.link.ready().expect("it is ready");
        broker.write().expect("it lives");
        broker.read(1 << 10).expect("it lives");
        while broker.next(now).expect("it lives").is_some() {}
    }

    /// Takes turns until the ready connection fails.
    fn next_error(&mut self) -> BrokerError {
        loop {
            assert!(self.turn().is_none());
            let now = Time(self.now);
            let broker = self.link.ready().expect("it is ready");
            let ended = broker
                .read(1 << 10)
                .and_then(|_| broker.next(now).map(drop));
            if let Err(error) = ended {
                return error;
            }
        }
    }

    fn expect_connected(&mut self) -> String {
        match self.next() {
            LinkEvent::Connected {
                server,
                url,
                limits,
                ..
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
        false,
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
    let mut driver = Driver::new(&urls, true);
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
    let mut driver = Driver::new(&format!("nats://{address},nats://shore:2"), true);
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
    assert!(matches!(driver.link.state, State::Resolving(_)));
    assert_eq!(driver.link.next_timeout(), Some(Time(3_000 + LOOK_UP_TIME)));
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
    // At the start that is the end.
    assert_eq!(retry, None);
    assert!(matches!(driver.link.state, State::Ended));
}

#[test]
fn a_look_up_without_end_keeps_no_other_server_from_being_tried() {
    let (address, _end) = agreeable();
    let mut driver = Driver::new(&format!("nats://shore:2,nats://{address}"), true);
    assert!(driver.work().is_none());
    let due = driver.link.next_timeout().expect("there is another one");
    driver.now = due.0 - 1;
    assert!(driver.step().is_none());
    assert!(matches!(driver.link.state, State::Resolving(_)));
    driver.now = due.0;
    assert!(driver.step().is_none());
    driver.expect_connected();
    // Alone, it is waited for.
    let mut driver = Driver::new("nats://shore:2", true);
    assert!(driver.work().is_none());
    assert!(matches!(driver.link.state, State::Resolving(None)));
    assert_eq!(driver.link.next_timeout(), None);
}

/// A server has said this.
fn gone() -> BrokerError {
    BrokerError::Leaving
}

#[test]
fn a_lost_link_is_made_anew_and_its_counts_go_on() {
    let (address, end) = agreeable();
    let mut driver = Driver::new("nats://shore:2", true);
    let known = || Ok(vec![address]);
    driver.names.answers.send(known()).expect("it waits");
    driver.expect_connected();
    let greeted = driver.link.traffic();
    assert_eq!(greeted.received, INFO.len() as u64 + 6);
    assert!(greeted.sent > 0);

    // It was there for long: it is tried again at once.
    end.send(()).expect("it serves");
    driver.now = 61_000;
    let loss = driver.link.lost(&gone(), Time(driver.now));
    assert_eq!((&*loss.url, loss.lesson), ("nats://shore:2", None));
    let next = driver.link.next_timeout().expect("it will be tried").0;
    assert!((61_000..=61_050).contains(&next), "{next}");
    assert!(!driver.link.is_ready() && driver.link.ready().is_none());
    assert_eq!(driver.link.traffic(), greeted);
    driver.now = next;
    assert!(driver.step().is_none());
    // The name is looked up anew.
    assert!(matches!(driver.link.state, State::Resolving(_)));
    driver.names.answers.send(known()).expect("it waits");
    driver.expect_connected();
    assert_eq!(driver.link.traffic().received, 2 * greeted.received);
    assert_eq!(driver.link.traffic().sent, 2 * greeted.sent);
    for _ in 0..2 {
        assert_eq!(driver.names.asked(), ("shore".to_owned(), 2));
    }

    // Lost again at once, and nothing is there: the pauses grow, up to the longest.
    end.send(()).expect("it serves");
    driver.link.lost(&gone(), Time(driver.now));
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let next = driver.link.next_timeout().expect("it will be tried").0;
        pauses.push(next - driver.now);
        assert!(
            !driver.link.has_work() && driver.step().is_none(),
            "too early"
        );
        driver.now = next;
        assert!(driver.step().is_none());
        driver.names.answers.send(Ok(Vec::new())).expect("it waits");
        let event = driver.next();
        let (refusals, retry) = refused(&event);
        assert_eq!(refusals.len(), 1);
        assert_eq!(retry, driver.link.next_timeout().map(|time| time.0));
    }
    assert!(pauses[0] >= 25 && pauses[0] <= 50, "{pauses:?}");
    assert!(pauses[1] >= 50 && pauses[1] <= 100, "{pauses:?}");
    assert!(
        pauses[8..].iter().all(|ms| (2_500..=5_000).contains(ms)),
        "{pauses:?}"
    );
}

#[test]
fn a_link_that_is_not_kept_ends_with_its_loss() {
    let (address, _end) = agreeable();
    let mut driver = Driver::new(&format!("nats://{address}"), false);
    driver.expect_connected();
    let url = driver.link.lost(&gone(), Time(driver.now)).url;
    assert_eq!(url, format!("nats://{address}"));
    driver.now = u64::MAX;
    assert!(matches!(driver.link.state, State::Ended));
    assert!(!driver.link.has_work() && driver.step().is_none());
    assert_eq!(driver.link.next_timeout(), None);
    // Who was not there cannot be lost.
    assert_eq!(driver.link.lost(&gone(), Time(driver.now)).url, "");
}

#[test]
fn after_a_loss_the_next_server_is_tried_first() {
    let (first, end) = agreeable();
    let (second, other_end) = agreeable();
    let mut driver = Driver::new(&format!("nats://{first},nats://{second}"), true);
    let (first, second) = (format!("nats://{first}"), format!("nats://{second}"));
    for (url, end) in [(&first, &end), (&second, &other_end), (&first, &end)] {
        assert_eq!(&driver.expect_connected(), url);
        end.send(()).expect("it serves");
        driver.link.lost(&gone(), Time(driver.now));
        driver.now = driver.link.next_timeout().expect("it will be tried").0;
        assert!(driver.step().is_none());
    }
}

/// A server whose words the test sends; they come behind what the gateway has sent.
fn scripted() -> (SocketAddr, Sender<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (words, script) = channel::<Vec<u8>>();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        while let Ok(words) = script.recv() {
            stream.write_all(&words).expect("it is taken");
        }
    });
    (address, words)
}

fn info(more: &str) -> Vec<u8> {
    format!("INFO {{\"server_name\":\"s\",\"max_payload\":1000{more}}}\r\n").into_bytes()
}

/// A link whose server says that it is about to go, and the words of that server and of the
/// next one, whose address is told too.
fn left_alone() -> (Driver, Sender<Vec<u8>>, Sender<Vec<u8>>, SocketAddr) {
    let (first, words) = scripted();
    let (second, other_words) = scripted();
    let (refusing, _socket) = refusing();
    let mut driver = Driver::new(&format!("nats://{first}"), true);
    words
        .send([&info("")[..], b"PONG\r\n"].concat())
        .expect("it waits");
    assert!(matches!(
        driver.next(),
        LinkEvent::Connected {
            is_switch: false,
            ..
        }
    ));
    let told = format!(",\"ldm\":true,\"connect_urls\":[\"{refusing}\",\"{second}\"]");
    words.send(info(&told)).expect("it waits");
    while !driver.link.ready().expect("it serves").take_info() {
        driver.read();
        if driver.link.has_input() {
            continue;
        }
        assert!(driver.turn().is_none());
    }
    assert!(!driver.link.is_leaving());
    assert!(driver.link.learn(), "it is news");
    assert!(driver.link.is_leaving() && driver.link.has_work());
    assert!(!driver.link.learn(), "it is known");
    (driver, words, other_words, second)
}

/// The other server agrees, and takes the place of the first.
fn take_place(driver: &mut Driver, other_words: &Sender<Vec<u8>>, second: SocketAddr) {
    other_words
        .send([&info("")[..], b"PONG\r\n"].concat())
        .expect("it waits");
    while !matches!(driver.link.state, State::Standing(..)) {
        assert!(driver.turn().is_none());
    }
    assert!(driver.step().is_none() && !driver.link.has_work());
    driver.read();
    assert!(!driver.link.has_input());
    match driver.step() {
        Some(LinkEvent::Connected { url, is_switch, .. }) => {
            assert_eq!(url, format!("nats://{second}"));
            assert!(is_switch);
        }
        event => panic!("{event:?}"),
    }
    assert!(!driver.link.is_leaving() && matches!(driver.link.state, State::Made));
}

#[test]
fn a_server_that_is_about_to_go_serves_until_another_takes_its_place() {
    let (mut driver, words, other_words, second) = left_alone();
    // The one that refuses is passed over, the other one has yet to agree.
    while !matches!(driver.link.state, State::Greeting(_)) {
        assert!(driver.turn().is_none());
    }
    assert!(driver.link.is_ready());
    // It agrees, while a message of the first one waits: that is taken before.
    words
        .send(b"MSG a 1 2\r\nhi\r\n".to_vec())
        .expect("it waits");
    while !driver.link.has_input() {
        driver.turn();
    }
    take_place(&mut driver, &other_words, second);
}

#[test]
fn a_connection_that_was_left_is_heard_for_a_while() {
    let (mut driver, words, other_words, second) = left_alone();
    take_place(&mut driver, &other_words, second);
    // An answer that was on its way is heard of.
    let answer = b"MSG in.1 2 2\r\nho\r\n";
    let before = driver.link.traffic().received;
    words.send(answer.to_vec()).expect("it waits");
    let (now, mut read) = (Time(driver.now), 0);
    while read < answer.len() {
        driver.turn();
        assert!(driver.link.has_late_input());
        let left = driver.link.left(now).expect("it is kept for a while");
        read += left.read(1 << 10).expect("it lives");
    }
    let left = driver.link.left(now).expect("it is kept for a while");
    match left.next(now).expect("it lives") {
        Some(crate::nats::Event::Message(message)) => assert_eq!(message.payload, b"ho"),
        event => panic!("{event:?}"),
    }
    assert!(matches!(left.next(now), Ok(None)));
    let all = before + answer.len() as u64;
    assert_eq!(driver.link.traffic().received, all);
    // Then it is closed, and counts on.
    assert_eq!(driver.link.next_timeout(), Some(Time(now.0 + 1_000)));
    assert!(driver.link.left(Time(now.0 + 1_000)).is_none());
    assert_eq!(driver.link.traffic().received, all);
    assert!(driver.link.is_ready());
}

#[test]
fn a_server_that_goes_before_another_is_found_is_lost_as_ever() {
    let (first, words) = scripted();
    let mut driver = Driver::new(&format!("nats://{first}"), true);
    words
        .send([&info(",\"ldm\":true")[..], b"PONG\r\n"].concat())
        .expect("it waits");
    assert!(matches!(driver.next(), LinkEvent::Connected { .. }));
    // It said so from the start, and there is no other: nobody accepts a second connection
    // of a scripted server.
    assert!(driver.link.is_leaving());
    while !matches!(driver.link.state, State::Greeting(_)) {
        assert!(driver.turn().is_none());
    }
    driver.now += 2_000;
    let event = driver.step().or_else(|| driver.work());
    let (_, retry) = refused(&event.expect("all have failed"));
    assert!(retry.is_some() && driver.link.is_ready());
    driver.link.lost(&gone(), Time(driver.now));
    assert!(!driver.link.is_ready());
    assert_eq!(driver.link.next_timeout().map(|time| time.0), retry);
}

#[test]
fn what_was_too_long_teaches_the_next_connection() {
    let (address, words) = scripted();
    let (other, other_words) = scripted();
    let mut driver = Driver::new(&format!("nats://{address},nats://{other}"), true);
    words
        .send([&info("")[..], b"PONG\r\n"].concat())
        .expect("it waits");
    driver.next();
    words
        .send(b"-ERR 'maximum control line exceeded'\r\n".to_vec())
        .expect("it waits");
    let cause = driver.next_error();
    // Nothing was sent that could be meant.
    let loss = driver.link.lost(&cause, Time(driver.now));
    assert_eq!((loss.lesson, loss.learned), (None, None));
    driver.now = driver.link.next_timeout().expect("it will be tried").0;
    driver.step();
    other_words
        .send([&info("")[..], b"PONG\r\n"].concat())
        .expect("it waits");
    match driver.next() {
        LinkEvent::Connected { limits, .. } => assert_eq!(limits.max_line, 4_096),
        event => panic!("{event:?}"),
    }
    let lesson = |what, bytes, limit| Lesson {
        what,
        bytes,
        limit,
        reply: Vec::new(),
    };
    let learned = &mut driver.link.learned;
    learned.learn(&lesson(TooLong::ControlLine, 1_000, 500));
    learned.learn(&lesson(TooLong::ControlLine, 300, 100));
    learned.learn(&lesson(TooLong::Payload, 800, 400));
    let mut info = crate::nats::ServerInfo::from_json(b"{\"max_payload\":1000}").expect("INFO");
    // Never so little that nothing works; and a server that states it by now is believed.
    assert_eq!(learned.limits(&info).max_line, 256);
    assert_eq!(learned.limits(&info).max_payload, 400);
    info = crate::nats::ServerInfo::from_json(b"{\"max_payload\":700}").expect("INFO");
    assert_eq!(learned.limits(&info).max_payload, 700);
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
    let mut reactor =
        Reactor::new(&config, Signals::none, crate::reactor::Given::default()).expect("a reactor");
    let names = Names::replace_system(&mut reactor.link.resolver);
    let events = Events::with_capacity(8);
    let mut stage = Stage { reactor, events };
    names.answers.send(Ok(vec![address])).expect("it waits");
    let ready = |reactor: &Reactor| reactor.link.is_ready();
    assert!(stage.turns(ready).is_ok(), "it connects");
    config.port = 0;
    stage.reactor.listen(&config, None).expect("a port");
    let listener = stage.reactor.listener.as_ref().expect("it listens");
    let mut client =
        TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    client.set_nonblocking(true).expect("a socket");
    stage.expect_service(&mut client);

    end.send(()).expect("it serves");
    let resolving = |reactor: &Reactor| matches!(reactor.link.state, State::Resolving(_));
    assert!(stage.turns(resolving).is_ok(), "it begins again");
    assert!(stage.reactor.absence.is_now());
    stage.expect_service(&mut client);
    assert!(resolving(&stage.reactor), "nobody has answered yet");
    names.answers.send(Ok(vec![address])).expect("it waits");
    assert!(stage.turns(ready).is_ok(), "it connects again");
    assert!(!stage.reactor.absence.is_now());
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
    let mut driver = Driver::new(&format!("nats://{address}"), false);
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

/// What had come by the connection that was left, and waits, is much: a turn takes a share of it.
#[test]
fn what_waits_at_the_connection_that_was_left_is_heard_in_turns() {
    const MESSAGES: usize = 200_000;
    let (mut driver, words, other_words, second) = left_alone();
    take_place(&mut driver, &other_words, second);
    let event = b"MSG event.a.change 9 2\r\n{}\r\n";
    let all = event.repeat(MESSAGES);
    let len = all.len();
    words.send(all).expect("it waits");
    let (now, mut read) = (Time(driver.now), 0);
    while read < len {
        driver.turn();
        let before = driver.link.traffic().received;
        let left = driver.link.left(now).expect("it is kept for a while");
        left.read_ahead(len, now, |_| false).expect("it lives");
        read += (driver.link.traffic().received - before) as usize;
    }
    let config = config("nats://127.0.0.1:1", &[]);
    let mut reactor =
        Reactor::new(&config, Signals::none, crate::reactor::Given::default()).expect("a reactor");
    reactor.link = driver.link;
    // What has come in time is heard though the time is over by then.
    let now = Time(now.0 + LEFT_TIME);
    let mut turns = 0;
    while reactor.link.has_left() {
        reactor.turn.begin(reactor.clock.micros());
        reactor.hear_left(now);
        turns += 1;
    }
    assert!(turns > 5, "{turns}");
}
