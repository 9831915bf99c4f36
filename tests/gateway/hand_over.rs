//! One process follows another, and nobody who connects meanwhile is refused.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::Signal;

use crate::common::*;

/// Clients that come one after the other, without a pause, and each ask for something.
pub struct Stream {
    served: Arc<AtomicUsize>,
    /// Connections that were reset while they were made.
    resets: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    askers: Vec<JoinHandle<()>>,
}

impl Stream {
    pub fn begin(addr: &str) -> Stream {
        let served = Arc::new(AtomicUsize::new(0));
        let resets = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let askers = (0..4).map(|_| {
            let (addr, served) = (addr.to_owned(), Arc::clone(&served));
            let (resets, is_over) = (Arc::clone(&resets), Arc::clone(&is_over));
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let mut http = match TcpStream::connect(&addr) {
                        Ok(stream) => Http::new(stream),
                        Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                            resets.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        Err(error) => panic!("a client is refused: {error}"),
                    };
                    http.get("/nowhere");
                    assert_eq!(http.response().status, 404);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Stream {
            askers: askers.collect(),
            served,
            resets,
            is_over,
        }
    }

    /// How many were served.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Waits until so many more were served.
    pub fn wait(&self, count: usize) {
        let (start, before) = (Instant::now(), self.served());
        while self.served() < before + count {
            let is_well = self.askers.iter().all(|asker| !asker.is_finished());
            assert!(is_well, "a client was not served");
            assert!(start.elapsed() < PATIENCE, "clients are not served");
            std::thread::yield_now();
        }
    }

    /// All were served, at the first attempt.
    pub fn end(self) {
        assert_eq!(self.end_with_resets(), 0, "clients were cut off");
    }

    /// All were served in the end; how many connections were reset while they were made.
    pub fn end_with_resets(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        for asker in self.askers {
            asker.join().expect("all were served");
        }
        self.resets.load(Ordering::Relaxed)
    }
}

#[test]
fn sockets_that_a_supervisor_keeps_refuse_nobody_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (clients, metrics) = (listen(), listen());
    let probe = metrics.local_addr().expect("it is bound").to_string();
    let start = || Gateway::start_on(&clients, &metrics, &broker.url(), &["--draintime", "0"]);
    let mut gateway = start();
    let stream = Stream::begin(&gateway.addr);
    stream.wait(100);
    let mut http = Http::connect_to(&probe);
    http.get("/readyz");
    assert_eq!(http.response().status, 200);
    for is_overlapping in [true, false, true, false] {
        let mut next = is_overlapping.then(&start);
        if let Some(next) = &next {
            next.wait_for_log("Listening on", 1);
            stream.wait(100);
        }
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
        gateway = next.take().unwrap_or_else(&start);
        stream.wait(100);
    }
    // The socket is the supervisor's: it is not the gateway's address that counts.
    assert!(!gateway.log().contains(":8080"), "{}", gateway.log());
    stream.end();
}

#[test]
fn sockets_of_no_use_end_the_start_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let connected = std::net::TcpStream::connect(&broker.addr).expect("the broker is there");
    let unused = TcpListener::from(std::os::fd::OwnedFd::from(connected));
    let metrics = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut gateway = Gateway::start_on(&unused, &metrics, &broker.url(), &[]);
    assert_eq!(gateway.wait(PATIENCE), Some(1));
    let log = gateway.log();
    let reason = "cannot use the sockets that were handed over (LISTEN_FDS): socket 1 of 2: it \
        does not listen; mend the supervisor's socket unit";
    assert!(log.contains(reason), "{log}");
}

/// Whether this is the copy of this program that runs where a test wants it.
const INSIDE: &str = "TIDEGATE_TEST_INSIDE";

/// Runs a test again in a network of its own, where the kernel hands connections over. `false`
/// if it runs there now.
fn runs_outside(test: &str) -> bool {
    const NETWORK: &str = "ip link set lo up && sysctl -q -w net.ipv4.tcp_migrate_req=1 || exit 77
        exec \"$@\"";
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("unshare")
        .args(["-n", "sh", "-c", NETWORK, "sh"])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output();
    let (is_skipped, words) = match &output {
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            // Of unshare, and of the commands above; 101 is a test that fails.
            (matches!(output.status.code(), Some(1 | 77)), words)
        }
        Err(error) => (true, error.to_string()),
    };
    if is_skipped {
        eprintln!("skipped: no network that hands connections over can be had: {words}");
    } else {
        let output = output.expect("it ran");
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{log}\n{words}");
        assert!(log.contains("1 passed"), "{log}\n{words}");
        eprint!("{words}");
    }
    true
}

#[test]
fn a_shared_port_refuses_nobody_where_the_kernel_hands_over_unlike_resgate() {
    const TEST: &str =
        "hand_over::a_shared_port_refuses_nobody_where_the_kernel_hands_over_unlike_resgate";
    if is_peer() || runs_outside(TEST) {
        return;
    }
    let broker = Broker::start();
    let args = ["--reuseport", "--draintime", "0"];
    let mut gateway = Gateway::start(&broker.url(), &args);
    let stream = Stream::begin(&gateway.addr);
    let start = Instant::now();
    let mut restarts = 0;
    while restarts < 10 || stream.served() < 20_000 {
        let next = Gateway::start_beside(&gateway, &broker.url(), &args);
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
        gateway = next;
        stream.wait(500);
        restarts += 1;
    }
    let rate = stream.served() as f64 / start.elapsed().as_secs_f64();
    eprintln!("{restarts} restarts under {rate:.0} connections a second");
    // The kernel hands over what waits, and what is under way. But the last packet of a
    // handshake may be in its hands just when the socket is closed; that is answered with a
    // reset, about once in a million connections.
    let resets = stream.end_with_resets();
    assert!(resets <= 2, "{resets} clients were cut off");

    // What waits in the queue of a process goes to the other, however it ends.
    let _next = Gateway::start_beside(&gateway, &broker.url(), &args);
    gateway.freeze();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut http = Http::connect_to(&gateway.addr);
        http.get("/nowhere");
        waiting.push(http);
    }
    gateway.signal(Signal::KILL);
    for mut http in waiting {
        assert_eq!(http.response().status, 404);
    }
}
