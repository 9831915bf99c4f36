//! What a gateway tells its supervisor (systemd's `Type=notify`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Instant;

use rustix::process::Signal;

use crate::common::*;

/// The socket that a supervisor has for the gateway.
struct Supervisor {
    socket: UnixDatagram,
    /// How the environment names it.
    name: String,
}

impl Supervisor {
    fn at(address: &SocketAddr, name: String) -> Supervisor {
        let socket = UnixDatagram::bind_addr(address).expect("nobody has it");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        Supervisor { socket, name }
    }

    /// One without a file.
    fn without_file() -> Supervisor {
        let name = format!("tidegate-test-{}", free_port());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        Supervisor::at(&address, format!("@{name}"))
    }

    /// What comes next.
    fn next(&self) -> String {
        let mut buffer = [0; 1024];
        let len = self.socket.recv(&mut buffer).expect("the gateway tells");
        String::from_utf8(buffer[..len].to_vec()).expect("text")
    }

    /// What comes next but for signs of life.
    fn next_news(&self) -> String {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let text = self.next();
            if text != "WATCHDOG=1" {
                return text;
            }
        }
        panic!("nothing but signs of life");
    }
}

/// A number of a message.
fn member(text: &str, name: &str) -> u64 {
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let found = found.unwrap_or_else(|| panic!("{name} in {text:?}"));
    found.parse().expect("a number")
}

#[test]
fn tells_of_start_and_end_and_gives_signs_of_life_unlike_resgate() {
    if is_peer() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("notify");
    let address = SocketAddr::from_pathname(&path).expect("a path");
    let supervisor = Supervisor::at(&address, path);
    let broker = Broker::start();
    let variables = [
        ("NOTIFY_SOCKET", &*supervisor.name),
        ("WATCHDOG_USEC", "100000"),
    ];
    let mut gateway = Gateway::start_in(&variables, &broker.url(), &["--draintime", "5000"]);
    assert_eq!(supervisor.next_news(), "READY=1\nSTATUS=Serving clients");
    for _ in 0..5 {
        assert_eq!(supervisor.next(), "WATCHDOG=1");
    }

    // A client stays to its turn; signs of life go on meanwhile.
    let clients = [RawWs::open(&gateway), RawWs::open(&gateway)];
    gateway.signal(Signal::TERM);
    let stopping = supervisor.next_news();
    assert!(stopping.starts_with("STOPPING=1\nSTATUS="), "{stopping}");
    let most = member(&stopping, "EXTEND_TIMEOUT_USEC");
    assert!((5_700_000..7_000_000).contains(&most), "{most}");
    assert_eq!(supervisor.next(), "WATCHDOG=1");
    drop(clients);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
}

#[test]
fn tells_when_it_reads_the_certificate_again_unlike_resgate() {
    if is_peer() {
        return;
    }
    let authority = Authority::new("root");
    let issued = authority.issue(&["localhost"]);
    let directory = Directory::new();
    let certificate = directory.write("cert.pem", &issued.chain);
    let key = directory.write("key.pem", &issued.key);
    let supervisor = Supervisor::without_file();
    let broker = Broker::start();
    let gateway = Gateway::start_in(
        &[("NOTIFY_SOCKET", &supervisor.name), ("WATCHDOG_PID", "1")],
        &broker.url(),
        &["--tls", "--tlscert", &certificate, "--tlskey", &key],
    );
    let ready = "READY=1\nSTATUS=Serving clients";
    assert_eq!(supervisor.next(), ready);
    for _ in 0..2 {
        gateway.signal(Signal::HUP);
        let reloading = supervisor.next();
        assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
        assert!(member(&reloading, "MONOTONIC_USEC") > 0);
        assert_eq!(supervisor.next(), ready);
    }
}

#[test]
fn serves_clients_also_if_nobody_can_be_told_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    for name in ["/nowhere/at/all", "vsock:2:1", "@nobody-listens-here"] {
        let variables = [("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "20000")];
        let gateway = Gateway::start_in(&variables, &broker.url(), &["--debug"]);
        let mut http = Http::connect_to(&gateway.addr);
        http.get("/nowhere");
        assert_eq!(http.response().status, 404);
        gateway.wait_for_log("cannot tell the supervisor", 1);
    }
}

#[test]
fn the_first_process_tells_of_all_workers_unlike_resgate() {
    if is_peer() {
        return;
    }
    let supervisor = Supervisor::without_file();
    let broker = Broker::start();
    let variables = [
        ("NOTIFY_SOCKET", &*supervisor.name),
        ("WATCHDOG_USEC", "100000"),
    ];
    let args = ["--workers", "2", "--draintime", "0"];
    let mut gateway = Gateway::start_in(&variables, &broker.url(), &args);
    assert_eq!(supervisor.next_news(), "READY=1\nSTATUS=Serving clients");
    gateway.wait_for_log("Listening on", 2);
    for _ in 0..5 {
        assert_eq!(supervisor.next(), "WATCHDOG=1");
    }
    gateway.signal(Signal::HUP);
    let text = supervisor.next_news();
    assert!(text.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{text}");
    assert_eq!(supervisor.next_news(), "READY=1\nSTATUS=Serving clients");
    gateway.signal(Signal::TERM);
    let text = supervisor.next_news();
    assert!(text.starts_with("STOPPING=1\n"), "{text}");
    assert!(member(&text, "EXTEND_TIMEOUT_USEC") >= 3_000_000, "{text}");
    assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
}
