//! The NATS client against real servers.
//!
//! The server is `$NATS_SERVER_BIN`, or `nats-server` of the `PATH` or of `/usr/sbin`.
//! With `$NATS_SERVER_BIN_OLD` everything is run against that one too.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tidegate::nats::{
    Client, ClientError, Credentials, Event, Message, Options, Parser, Phase, Refused, ServerUrl,
    TooLong,
    writer::{self, MAX_ARGUMENTS},
};

/// The test fails when a server is silent for so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Servers to test against: the one that is installed, and an older one if named.
fn binaries() -> Vec<PathBuf> {
    let named = env::var_os("NATS_SERVER_BIN").map(PathBuf::from);
    let current = named.or_else(|| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin")])
            .map(|dir| dir.join("nats-server"))
            .find(|bin| bin.is_file())
    });
    let current = current.expect("no nats-server found: install it or set NATS_SERVER_BIN");
    let mut binaries = vec![current];
    match env::var_os("NATS_SERVER_BIN_OLD") {
        Some(old) => binaries.push(old.into()),
        None => eprintln!("skipped the second server: NATS_SERVER_BIN_OLD is not set"),
    }
    binaries
}

/// A server process on a port of the system's choice, ended when dropped.
struct Server {
    process: Child,
    /// Kept open, as the server logs to it.
    log: BufReader<ChildStderr>,
    port: u16,
    config: Option<PathBuf>,
}

impl Server {
    fn start(binary: &PathBuf, arguments: &[&str]) -> Self {
        let mut process = Command::new(binary)
            .args(["-a", "127.0.0.1", "-p", "-1"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", binary.display()));
        let log = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut server = Self {
            process,
            log,
            port: 0,
            config: None,
        };
        let line = server.wait_for_log("Listening for client connections on ");
        server.port = line.trim_end().rsplit(':').next().unwrap().parse().unwrap();
        server.wait_for_log("Server is ready");
        server
    }

    fn with_config(binary: &PathBuf, name: &str, text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = format!("tidegate-{}-{count}-{name}.conf", std::process::id());
        let config = env::temp_dir().join(file);
        fs::write(&config, text).unwrap();
        let mut server = Self::start(binary, &["-c", config.to_str().unwrap()]);
        server.config = Some(config);
        server
    }

    fn wait_for_log(&mut self, text: &str) -> String {
        let mut log = String::new();
        loop {
            let start = log.len();
            if self.log.read_line(&mut log).unwrap() == 0 {
                panic!("the server ended before it logged {text:?}: {log}");
            }
            if log[start..].contains(text) {
                return log.split_off(start);
            }
        }
    }

    fn stop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if let Some(config) = &self.config {
            let _ = fs::remove_file(config);
        }
    }
}

/// What the client reports, without borrowing from the buffer.
#[derive(Debug, PartialEq)]
enum Happened {
    Connected,
    StartTls,
    InfoChanged,
    Message(Received),
    Refused(Refused),
    Ended(ClientError),
}

#[derive(Debug, Default, PartialEq)]
struct Received {
    sid: u64,
    subject: String,
    reply: Option<String>,
    status: Option<u16>,
    headers: String,
    payload: Vec<u8>,
}

impl From<Message<'_>> for Received {
    fn from(message: Message<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            sid: message.sid,
            subject: text(message.subject),
            reply: message.reply.map(text),
            status: message.status,
            headers: text(message.headers),
            payload: message.payload.to_vec(),
        }
    }
}

fn message(sid: u64, subject: &str, payload: &str) -> Happened {
    Happened::Message(Received {
        sid,
        subject: subject.into(),
        payload: payload.into(),
        ..Received::default()
    })
}

/// A client with its socket: what the poll loop does, in blocking form.
struct Connection {
    stream: TcpStream,
    client: Client,
    parser: Parser,
    received: Vec<u8>,
    taken: usize,
    out: Vec<u8>,
    now_ms: u64,
}

impl Connection {
    fn open(server: &Server, credentials: Credentials) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let options = Options {
            name: "tidegate-test".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            credentials,
            ..Options::default()
        };
        Self {
            stream,
            client: Client::new(options, 0),
            parser: Parser::default(),
            received: Vec::new(),
            taken: 0,
            out: Vec::new(),
            now_ms: 0,
        }
    }

    fn ready(server: &Server, credentials: Credentials) -> Self {
        let mut connection = Self::open(server, credentials);
        assert_eq!(connection.next(), Happened::Connected);
        connection
    }

    /// Writes what is to be written, and reads until something happens.
    fn next(&mut self) -> Happened {
        loop {
            match self.parser.next(&self.received[self.taken..]) {
                Ok(Some((length, op))) => {
                    let event = self.client.handle(op, self.now_ms, &mut self.out);
                    self.taken += length;
                    match event {
                        Ok(None | Some(Event::Pong)) => continue,
                        Ok(Some(Event::Connected)) => return Happened::Connected,
                        Ok(Some(Event::StartTls)) => return Happened::StartTls,
                        Ok(Some(Event::InfoChanged)) => return Happened::InfoChanged,
                        Ok(Some(Event::Message(m))) => return Happened::Message(m.into()),
                        Ok(Some(Event::Refused { what, .. })) => return Happened::Refused(what),
                        Err(error) => return Happened::Ended(error),
                    }
                }
                Ok(None) => {}
                Err(error) => return Happened::Ended(error.into()),
            }
            self.received.drain(..self.taken);
            self.taken = 0;
            self.flush();
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Happened::Ended(self.client.disconnected()),
                Ok(length) => {
                    self.client.received();
                    self.received.extend_from_slice(&chunk[..length]);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Happened::Ended(self.client.disconnected());
                }
                Err(error) => panic!("nothing came from the server: {error}"),
            }
        }
    }

    fn flush(&mut self) {
        // A server that closed the connection has its reason waiting to be read.
        let _ = self.stream.write_all(&self.out);
        self.out.clear();
    }

    fn subscribe(&mut self, sid: u64, subject: &str) {
        writer::subscribe(&mut self.out, sid, subject.as_bytes());
    }

    fn publish(&mut self, subject: &str, payload: &[u8]) {
        writer::publish(&mut self.out, subject.as_bytes(), None, b"", payload);
    }
}

fn url_credentials(url: &str) -> Credentials {
    ServerUrl::parse(url).unwrap().credentials
}

#[test]
fn publish_and_subscribe() {
    for binary in binaries() {
        let server = Server::start(&binary, &["--name", "shore"]);
        let mut a = Connection::ready(&server, Credentials::None);
        let info = a.client.info();
        assert_eq!(info.server_name, "shore");
        assert!(info.version.starts_with("2."), "{info:?}");
        assert!(info.headers && info.client_id > 0, "{info:?}");
        assert_eq!(info.max_payload(), 1024 * 1024);

        a.subscribe(7, "tide.*");
        a.subscribe(u64::MAX, "other.>");
        a.publish("tide.high", b"one\r\nMSG x");
        writer::publish(&mut a.out, b"other.a.b", Some(b"re.ply"), b"", b"");
        assert_eq!(a.next(), message(7, "tide.high", "one\r\nMSG x"));
        assert_eq!(
            a.next(),
            Happened::Message(Received {
                sid: u64::MAX,
                subject: "other.a.b".into(),
                reply: Some("re.ply".into()),
                ..Received::default()
            })
        );

        writer::unsubscribe(&mut a.out, 7);
        a.publish("tide.low", b"not for us any more");
        a.publish("other.c", b"marker");
        assert_eq!(a.next(), message(u64::MAX, "other.c", "marker"));

        // A second client gets the messages of the first.
        let mut b = Connection::ready(&server, Credentials::None);
        assert_ne!(b.client.info().client_id, a.client.info().client_id);
        b.subscribe(1, "news");
        b.publish("other.b", b"subscribed");
        b.flush();
        assert_eq!(a.next(), message(u64::MAX, "other.b", "subscribed"));
        a.publish("news", b"hello");
        a.flush();
        assert_eq!(b.next(), message(1, "news", "hello"));
    }
}

#[test]
fn nobody_listens() {
    for binary in binaries() {
        let server = Server::start(&binary, &[]);
        let mut connection = Connection::ready(&server, Credentials::None);
        connection.subscribe(3, "_INBOX.t.*");
        writer::publish(
            &mut connection.out,
            b"get.nothing",
            Some(b"_INBOX.t.17"),
            b"",
            b"{}",
        );
        match connection.next() {
            Happened::Message(answer) => {
                assert_eq!((answer.sid, answer.status), (3, Some(503)));
                assert_eq!(answer.subject, "_INBOX.t.17");
                assert_eq!(answer.payload, b"");
                assert!(answer.headers.starts_with("NATS/1.0 503"), "{answer:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn headers_are_set_apart_from_the_payload() {
    for binary in binaries() {
        let server = Server::start(&binary, &[]);
        let mut connection = Connection::ready(&server, Credentials::None);
        connection.subscribe(1, "a");
        // Tidegate itself never publishes headers; services may.
        connection
            .out
            .extend_from_slice(b"HPUB a 22 24\r\nNATS/1.0\r\nBar: Baz\r\n\r\nok\r\n");
        // A header block that is none is the publisher's fault, not a reason to stop.
        connection.out.extend_from_slice(b"HPUB a 2 4\r\nhiho\r\n");
        let received = |headers: &str, payload: &str| {
            Happened::Message(Received {
                sid: 1,
                subject: "a".into(),
                headers: headers.into(),
                payload: payload.into(),
                ..Received::default()
            })
        };
        assert_eq!(
            connection.next(),
            received("NATS/1.0\r\nBar: Baz\r\n\r\n", "ok")
        );
        assert_eq!(connection.next(), received("hi", "ho"));
    }
}

#[test]
fn a_burst_arrives_whole_and_in_order() {
    const COUNT: usize = 20_000;
    for binary in binaries() {
        let server = Server::start(&binary, &[]);
        let mut sender = Connection::ready(&server, Credentials::None);
        let mut receiver = Connection::ready(&server, Credentials::None);
        receiver.subscribe(1, "burst.*");
        receiver.subscribe(2, "start");
        receiver.publish("start", b"");
        assert_eq!(receiver.next(), message(2, "start", ""));

        let mut payload = String::new();
        for i in 0..COUNT {
            payload.clear();
            write!(payload, "{i} {}", "x".repeat(i % 100)).unwrap();
            sender.publish("burst.x", payload.as_bytes());
        }
        sender.flush();
        for i in 0..COUNT {
            let expected = format!("{i} {}", "x".repeat(i % 100));
            assert_eq!(receiver.next(), message(1, "burst.x", &expected));
        }
    }
}

#[test]
fn the_largest_payload_and_a_larger_one() {
    for binary in binaries() {
        let server = Server::start(&binary, &[]);
        let mut connection = Connection::ready(&server, Credentials::None);
        let limit = connection.client.info().max_payload();
        connection.subscribe(1, "a");
        connection.publish("a", &vec![b'x'; limit]);
        match connection.next() {
            Happened::Message(message) => assert_eq!(message.payload, vec![b'x'; limit]),
            other => panic!("{other:?}"),
        }
        connection.publish("a", &vec![b'x'; limit + 1]);
        let error = ClientError::TooLong {
            what: TooLong::Payload,
            text: "Maximum Payload Violation".into(),
        };
        assert_eq!(connection.next(), Happened::Ended(error));
    }
}

/// What is as long as `MAX_ARGUMENTS` allows is taken, and one byte more is not.
#[test]
fn the_longest_subjects_and_longer_ones() {
    let reply = "_INBOX.0123456789";
    let longest = |fits: &dyn Fn(&str) -> bool| {
        let mut subject = "a".repeat(4000);
        while fits(&subject) {
            subject.push('a');
        }
        subject.pop();
        subject
    };
    let publish = longest(&|s| {
        writer::publish_len(s.as_bytes(), Some(reply.as_bytes()), 0, 10) <= MAX_ARGUMENTS
    });
    let subscribe = longest(&|s| writer::subscribe_len(s.as_bytes(), 12_345) <= MAX_ARGUMENTS);
    for binary in binaries() {
        let server = Server::start(&binary, &[]);
        let mut connection = Connection::ready(&server, Credentials::None);
        let publish_to = |connection: &mut Connection, subject: &str| {
            let out = &mut connection.out;
            writer::publish(
                out,
                subject.as_bytes(),
                Some(reply.as_bytes()),
                b"",
                b"0123456789",
            );
        };
        connection.subscribe(1, reply);
        connection.subscribe(12_345, &subscribe);
        publish_to(&mut connection, &publish);
        // Nobody listens on the one; the other is listened on.
        match connection.next() {
            Happened::Message(answer) => assert_eq!((answer.sid, answer.status), (1, Some(503))),
            other => panic!("{other:?}"),
        }
        connection.publish(&subscribe, b"x");
        assert_eq!(connection.next(), message(12_345, &subscribe, "x"));

        let too_long = |connection: &mut Connection| {
            let error = ClientError::TooLong {
                what: TooLong::ControlLine,
                text: "maximum control line exceeded".into(),
            };
            assert_eq!(connection.next(), Happened::Ended(error));
        };
        publish_to(&mut connection, &format!("{publish}a"));
        too_long(&mut connection);
        let mut connection = Connection::ready(&server, Credentials::None);
        connection.subscribe(12_345, &format!("{subscribe}a"));
        too_long(&mut connection);
    }
}

#[test]
fn user_and_password() {
    for binary in binaries() {
        let arguments = ["--user", "wat:er", "--pass", "s3@cret/"];
        let server = Server::start(&binary, &arguments);
        let good = url_credentials("nats://wat%3Aer:s3%40cret%2F@host");
        let connection = Connection::ready(&server, good);
        assert!(connection.client.info().auth_required);

        for url in [
            "wat%3Aer:wrong@host",
            "water:s3%40cret%2F@host",
            "token@host",
        ] {
            let mut refused = Connection::open(&server, url_credentials(url));
            let text = "Authorization Violation".into();
            let error = ClientError::Authorization {
                text,
                had_credentials: true,
            };
            assert_eq!(refused.next(), Happened::Ended(error), "{url}");
        }
        let mut refused = Connection::open(&server, Credentials::None);
        let text = "Authorization Violation".into();
        let error = ClientError::Authorization {
            text,
            had_credentials: false,
        };
        assert_eq!(refused.next(), Happened::Ended(error));
    }
}

#[test]
fn token() {
    for binary in binaries() {
        let server = Server::start(&binary, &["--auth", "s3cret"]);
        let connection = Connection::ready(&server, url_credentials("nats://s3cret@host"));
        assert_eq!(connection.client.phase(), Phase::Ready);
        let mut refused = Connection::open(&server, url_credentials("nats://secret@host"));
        let text = "Authorization Violation".into();
        let error = ClientError::Authorization {
            text,
            had_credentials: true,
        };
        assert_eq!(refused.next(), Happened::Ended(error));
    }
}

#[test]
fn refused_operations_do_not_end_the_connection() {
    const CONFIG: &str = r#"
        max_subscriptions: 2
        authorization { users: [ {
            user: u, password: p,
            permissions: { publish: "open.>", subscribe: ["open.>", "_INBOX.>"] }
        } ] }
    "#;
    for binary in binaries() {
        let server = Server::with_config(&binary, "refused", CONFIG);
        let mut connection = Connection::ready(&server, url_credentials("u:p@host"));
        connection.publish("closed.a", b"");
        let refused = Refused::Publish(b"closed.a".into());
        assert_eq!(connection.next(), Happened::Refused(refused));
        connection.subscribe(1, "closed.>");
        let (subject, sid) = (b"closed.>".into(), None);
        let refused = Refused::Subscription { subject, sid };
        assert_eq!(connection.next(), Happened::Refused(refused));
        connection.subscribe(2, "open.a");
        connection.subscribe(3, "open.b");
        connection.subscribe(4, "open.c");
        assert_eq!(connection.next(), Happened::Refused(Refused::TooMany));
        connection.publish("open.b", b"alive");
        assert_eq!(connection.next(), message(3, "open.b", "alive"));
    }
}

#[test]
fn pings_are_answered_and_their_absence_is_noticed() {
    for binary in binaries() {
        let server = Server::start(&binary, &[]);
        let mut connection = Connection::ready(&server, Credentials::None);
        connection.subscribe(1, "marker");
        connection.flush();
        // Time is a number: five intervals pass as fast as the server answers.
        for round in 0..5 {
            connection.now_ms = connection.client.next_timeout().unwrap();
            connection
                .client
                .timeout(connection.now_ms, &mut connection.out)
                .unwrap();
            assert_eq!(connection.out, b"PING\r\n");
            // The marker comes back behind the PONG.
            connection.publish("marker", b"");
            assert_eq!(connection.next(), message(1, "marker", ""), "round {round}");
        }
        // With nothing read any more there is no PONG.
        let mut timeout = || {
            connection.now_ms = connection.client.next_timeout().unwrap();
            connection
                .client
                .timeout(connection.now_ms, &mut connection.out)
        };
        assert_eq!(timeout(), Ok(()));
        assert_eq!(timeout(), Err(ClientError::Stale { ms: 10_000 }));
    }
}

/// The server pings too, and closes the connection if it is not answered.
#[test]
fn pings_of_the_server_are_answered() {
    for binary in binaries() {
        let config = "ping_interval: \"50ms\", ping_max: 2";
        let server = Server::with_config(&binary, "pings", config);
        let mut watched = Connection::ready(&server, Credentials::None);
        watched.subscribe(1, "marker");
        let mut pings = 0;
        let mut buffer = [0; 4096];
        let mut received = Vec::new();
        // Far more pings than an unanswered client would get.
        while pings < 8 {
            watched.flush();
            let length = watched.stream.read(&mut buffer).unwrap();
            assert_ne!(length, 0, "closed after {pings} pings");
            received.extend_from_slice(&buffer[..length]);
            while let Some((taken, op)) = watched.parser.next(&received).unwrap() {
                assert_eq!(watched.client.handle(op, 0, &mut watched.out), Ok(None));
                pings += 1;
                received.drain(..taken);
            }
        }
        watched.publish("marker", b"alive");
        assert_eq!(watched.next(), message(1, "marker", "alive"));
    }
}

#[test]
fn a_server_that_goes_away() {
    for binary in binaries() {
        let mut server = Server::start(&binary, &[]);
        let mut connection = Connection::ready(&server, Credentials::None);
        server.stop();
        let error = ClientError::Disconnected {
            phase: Phase::Ready,
        };
        assert_eq!(connection.next(), Happened::Ended(error));
    }
}

/// A right that is taken away by a reload ends the subscriptions that needed it.
#[test]
fn a_subscription_that_loses_its_right_is_named() {
    let config = |allowed: &str| {
        format!(
            "authorization {{ users: [ {{ user: u, password: p, permissions: {{ publish: \">\", \
             subscribe: {allowed} }} }} ] }}"
        )
    };
    for binary in binaries() {
        let server = Server::with_config(&binary, "rights", &config("\">\""));
        let mut connection = Connection::ready(&server, url_credentials("u:p@host"));
        connection.subscribe(70_000_000_003, "event.a.*");
        connection.subscribe(4, "event.b.*");
        connection.publish("event.a.x", b"1");
        assert_eq!(connection.next(), message(70_000_000_003, "event.a.x", "1"));
        let path = server.config.as_ref().expect("it has one");
        fs::write(path, config("[\"event.b.*\"]")).unwrap();
        let pid = rustix::process::Pid::from_child(&server.process);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        match connection.next() {
            Happened::Refused(Refused::Subscription { subject, sid }) => {
                assert_eq!(subject, b"event.a.*");
                assert_eq!(sid, Some(70_000_000_003));
            }
            other => panic!("{other:?}"),
        }
        connection.publish("event.b.x", b"2");
        assert_eq!(connection.next(), message(4, "event.b.x", "2"));
    }
}

#[test]
fn a_server_about_to_shut_down_says_so() {
    for binary in binaries() {
        let mut server = Server::start(&binary, &[]);
        let mut connection = Connection::ready(&server, Credentials::None);
        assert!(!connection.client.info().lame_duck);
        let signal = format!("ldm={}", server.process.id());
        let status = Command::new(&binary)
            .args(["--signal", &signal])
            .status()
            .unwrap();
        assert!(status.success());
        server.wait_for_log("Entering lame duck mode");
        assert_eq!(connection.next(), Happened::InfoChanged);
        assert!(connection.client.info().lame_duck);
    }
}
