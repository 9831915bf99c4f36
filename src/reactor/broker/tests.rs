use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use mio::{Events, Poll};

use super::*;
use crate::reactor::connection::BROKER;
use crate::reactor::denials::Denied;
use crate::reactor::link::tests::config;

/// The test fails when nothing happens for so long.
const PATIENCE: Duration = Duration::from_secs(20);

const NOW: Time = Time(1_000);

/// A connection, and its other end, which says what the test wants.
struct Both {
    poll: Poll,
    broker: Broker,
    server: std::net::TcpStream,
}

impl Both {
    /// Two ends that agree.
    fn agreed() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = format!("nats://{address}");
        let servers = ServerUrl::parse_list(&url).expect("a URL");
        let secrets = BrokerSecrets::load(&config(&url, &[])).expect("no files are named");
        let poll = Poll::new().expect("a poll");
        let opening = Opening {
            server: &servers[0],
            certified: &servers[0].host,
            address,
            secrets: &secrets,
            ping_interval: 10_000,
            learned: Learned::default(),
            token: BROKER,
        };
        let broker = Broker::open(&opening, poll.registry(), NOW);
        let (server, _) = listener.accept().expect("a connection");
        server.set_read_timeout(Some(PATIENCE)).expect("it is set");
        let broker = broker.expect("a socket");
        let mut both = Self {
            poll,
            broker,
            server,
        };
        while !both.broker.is_open(NOW).expect("it is taken") {
            both.poll();
        }
        let info = "INFO {\"server_name\":\"shore\",\"version\":\"2.0\",\"max_payload\":1000}\r\n";
        both.say(info);
        while !both.broker.readable {
            both.poll();
        }
        assert!(!both.broker.greet(&secrets, NOW).expect("it is greeted"));
        both.hears("PING\r\n");
        both.say("PONG\r\n");
        while !both.broker.greet(&secrets, NOW).expect("it agrees") {
            both.poll();
        }
        both
    }

    fn poll(&mut self) {
        let mut events = Events::with_capacity(8);
        let polled = self.poll.poll(&mut events, Some(PATIENCE));
        polled.expect("it polls");
        assert!(!events.is_empty(), "nothing happens");
        for event in &events {
            self.broker.set_ready(event);
        }
    }

    fn say(&mut self, text: &str) {
        self.server.write_all(text.as_bytes()).expect("it is taken");
    }

    /// Reads until something has come that ends like this.
    fn hears(&mut self, end: &str) {
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        while !heard.ends_with(end.as_bytes()) {
            let len = self.server.read(&mut buffer).expect("more comes");
            assert!(len > 0, "the connection has ended before {end:?}");
            heard.extend_from_slice(&buffer[..len]);
        }
    }
}

/// Where there is no room to read, silence is not the server's.
#[test]
fn what_was_not_read_yet_is_a_sign_of_life() {
    let mut both = Both::agreed();
    both.say("MSG a 1 2\r\nhi\r\n");
    while !both.broker.readable {
        both.poll();
    }
    let mut due = || {
        let due = both.broker.next_timeout().expect("a PING is due");
        both.broker.timeout(due)
    };
    for _ in 0..5 {
        due().expect("it lives");
    }
    while both.broker.read(1 << 10).expect("it lives") > 0 {}
    let mut due = || {
        let due = both.broker.next_timeout().expect("a PING is due");
        both.broker.timeout(due)
    };
    due().expect("it is asked");
    let error = due().expect_err("it says nothing");
    assert!(error.to_string().contains("no longer answers"), "{error}");
}

/// What one refusal costs the gateway is charged before the next one is taken.
#[test]
fn refusals_are_taken_one_at_a_time_and_nothing_is_confirmed_before_they_are_told() {
    let mut both = Both::agreed();
    let refusal =
        |name: &str| format!("-ERR 'Permissions Violation for Publish to \"call.{name}\"'\r\n");
    both.broker.try_subscription((1, b"s"));
    both.broker.confirm();
    both.broker.write().expect("it is taken");
    both.hears("PING\r\n");
    let refusals: String = ["a", "b", "c"].map(refusal).concat();
    both.say(&format!("{refusals}PONG\r\nMSG a 1 2\r\nhi\r\n"));
    let mut taken = Vec::new();
    loop {
        let event = both.broker.next(NOW).expect("it lives");
        let is_message = matches!(event, Some(Event::Message(_)));
        match event.is_some() {
            true if is_message => break,
            true => {
                assert!(!both.broker.is_confirmed());
                let denial = both.broker.next_denial().expect("something was refused");
                assert_eq!(both.broker.next_denial(), None);
                taken.push(denial.what);
            }
            false if both.broker.readable => {
                both.broker.read(1 << 10).expect("it lives");
            }
            false => both.poll(),
        }
    }
    assert!(both.broker.is_confirmed());
    both.broker.denials.unsent_message(b"call.d", b"r");
    assert!(!both.broker.is_confirmed());
    let all = ["a", "b", "c"].map(|name| Denied::Message(format!("call.{name}").into_bytes()));
    assert_eq!(taken, all);
}

/// So many ends of subscriptions wait that these have the larger window; when they become
/// fewer within a write, that of subscriptions opens while nothing is left to be written.
#[test]
fn a_window_that_opens_during_a_write_is_used_by_the_next_one() {
    const LONG_LINE: u64 = 1 << 14;
    let mut both = Both::agreed();
    let Broker { pacing, output, .. } = &mut both.broker;
    for sid in 1..=100 {
        pacing.subscribe(sid, b"some", Some(1), output);
    }
    let sent_at_once = u64::from(nats::UNSUBSCRIBES_MAX);
    for sid in 1_000..=1_000 + sent_at_once + LONG_LINE {
        pacing.unsubscribe(sid, output);
    }
    pacing.subscribe(999, b"waits", Some(1), output);
    assert!(pacing.waiting() > 0, "it does not wait");
    both.broker.write().expect("what is queued is written");
    assert!(both.broker.has_output(), "no window has opened");
    assert!(!both.broker.has_unwritten());
    both.broker.write().expect("what is queued is written");
    both.hears("SUB waits 999\r\n");
    assert!(!both.broker.has_output());
}
